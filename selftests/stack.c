// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks of threads: shared with threads and processes, by the plain sequence of
 * calls and by the library's; and kept apart by protection keys.
 */
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <ucontext.h>

#include <mbuf_stack.h>

#include "region.h"

#ifndef SEGV_PKUERR
#define SEGV_PKUERR	4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE	0x100000
#endif

#define STACK_SIZE	((size_t)256 << 10)
#define MAGIC		0x5ac4ed51ull

FIXTURE(stack) {
	int session;
	struct mbuf_query q;
	struct snapshot before;
};

/* What the kernel is made to copy to and from; see reach(). */
static int sink = -1, zero = -1;

FIXTURE_SETUP(stack)
{
	self->session = fixture_begin(_metadata, &self->q, &self->before);
	sink = memfd_create("sink", MFD_CLOEXEC);
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(sink, 0);
	ASSERT_GE(zero, 0);
}

FIXTURE_TEARDOWN(stack)
{
	close_fd(&sink);
	close_fd(&zero);
	fixture_end(_metadata, self->session, &self->before);
}

#define NEED_REACH() do {						\
	const char *__why;						\
									\
	if (mbuf_reach(&__why))						\
		SKIP(return, "%s", __why);				\
} while (0)

/*
 * What the caller can do with an address: the kernel tries, and honours the
 * caller's keys. MBUF_REGION_* bits.
 */
static unsigned int reach(const volatile void *p)
{
	void *at = (void *)(uintptr_t)p;

	if (pwrite(sink, at, 1, 0) != 1)
		return 0;
	/* What is there does not change. */
	return pread(sink, at, 1, 0) == 1 ? RIGHTS_RW : RIGHTS_R;
}

/* A thread on a stack of ours. */
struct runner {
	struct mbuf_stack *s;
	void *(*fn)(void *arg);
	void *arg;
	void *result;
	int ret;
	pthread_t thread;
};

static void *runner_main(void *arg)
{
	struct runner *r = arg;

	r->ret = mbuf_stack_run(r->s, r->fn, r->arg, &r->result);
	return NULL;
}

static int thread_on(void *addr, size_t size, void *(*fn)(void *arg), void *arg,
		     pthread_t *thread)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	err = pthread_attr_setstack(&attr, addr, size);
	if (!err)
		err = pthread_create(thread, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return -err;
}

static int runner_start(struct runner *r)
{
	r->ret = -ENOSYS;
	return thread_on(mbuf_stack_addr(r->s), mbuf_stack_size(r->s),
			 runner_main, r, &r->thread);
}

static int runner_join(struct runner *r)
{
	return -pthread_join(r->thread, NULL) ?: r->ret;
}

/* Two sides that take turns: each waits for a number. */
static _Atomic unsigned int turn;

static void turn_wait(unsigned int n)
{
	while (atomic_load(&turn) < n)
		sched_yield();
}

static void turn_next(void)
{
	atomic_fetch_add(&turn, 1);
}

static int new_stack(struct mbuf_stack **s, uint32_t flags)
{
	return mbuf_stack_create("test", STACK_SIZE, flags, s);
}

#define NEW_STACK(s, flags)	ASSERT_EQ(0, new_stack(s, flags))
#define END_STACK(s)		ASSERT_EQ(0, mbuf_stack_destroy(s))

/* A local variable that others look at. */
struct local {
	uint64_t *where;
	uint64_t seen;
};

static void *has_local(void *arg)
{
	struct local *l = arg;
	volatile uint64_t value[2] = { MAGIC };

	l->where = (uint64_t *)(uintptr_t)value;
	turn_next();
	turn_wait(2);
	l->seen = value[0];
	return (void *)l->where;
}

/* Some guests have no /dev/shm. */
static bool shm_there(void)
{
	int fd = shm_open("/mbuf-test", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0) {
		close(fd);
		shm_unlink("/mbuf-test");
		return true;
	}
	mkdir("/dev/shm", 01777);
	return !mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777");
}

static int other_user_opens(void *arg)
{
	return shm_open(arg, O_RDWR, 0) < 0 && errno == EACCES ? 0 : 1;
}

/* As the text asks for it: no library, three calls on each side. */
TEST_F(stack, plain_sequence)
{
	static const char name[] = "/" MBUF_STACK_PREFIX "plain";
	struct local l = {};
	void *stack, *where;
	int fd, ro, other;
	pthread_t thread;
	char *view;

	NEED_ROOT();
	ASSERT_TRUE(shm_there());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, (off_t)STACK_SIZE));
	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     0);
	ASSERT_NE(MAP_FAILED, stack);
	/* Only the mode keeps others from it. (No fork() while it is used.) */
	EXPECT_EQ(0, run_as(TEST_UID, other_user_opens,
			    (void *)(uintptr_t)name));
	turn = 0;
	ASSERT_EQ(0, thread_on(stack, STACK_SIZE, has_local, &l, &thread));
	turn_wait(1);
	ASSERT_GE((char *)l.where, (char *)stack);
	ASSERT_LT((char *)l.where, (char *)stack + STACK_SIZE);

	/* Somewhere else, for reading, where it is asked for. */
	ro = shm_open(name, O_RDONLY, 0);
	ASSERT_GE(ro, 0);
	where = map_pages(STACK_SIZE, PROT_NONE);
	ASSERT_EQ(0, munmap(where, STACK_SIZE));
	view = mmap(where, STACK_SIZE, PROT_READ,
		    MAP_SHARED | MAP_FIXED_NOREPLACE, ro, 0);
	ASSERT_EQ(where, view);
	EXPECT_EQ(MAGIC, *(uint64_t *)(view + ((char *)l.where -
					       (char *)stack)));
	EXPECT_EQ(-1, mprotect(view, STACK_SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
				   MAP_SHARED, ro, 0));
	EXPECT_EQ(0, munmap(view, STACK_SIZE));

	/* By its name it is told from others. */
	EXPECT_EQ(1, mbuf_stack_is(fd));
	EXPECT_EQ(1, mbuf_stack_is(ro));
	other = shm_open("/mbuf-test", O_RDWR | O_CREAT, 0600);
	EXPECT_EQ(0, mbuf_stack_is(other));
	shm_unlink("/mbuf-test");
	close(other);

	/* And written to from there. */
	close(ro);
	ro = shm_open(name, O_RDWR, 0);
	ASSERT_GE(ro, 0);
	view = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ro,
		    0);
	ASSERT_NE(MAP_FAILED, view);
	*(uint64_t *)(view + ((char *)l.where - (char *)stack)) = 42;
	turn_next();
	pthread_join(thread, NULL);
	EXPECT_EQ(42, l.seen);
	munmap(view, STACK_SIZE);
	munmap(stack, STACK_SIZE);
	close(fd);
	close(ro);
	shm_unlink(name);
}

TEST_F(stack, refused)
{
	struct mbuf_stack *s = NULL, *t = NULL;
	struct mbuf_stack_view view;
	char name[MBUF_STACK_NAME_MAX + 2];
	void *used;
	int fd;

	EXPECT_EQ(-EINVAL, mbuf_stack_create("", STACK_SIZE, 0, &s));
	EXPECT_EQ(-EINVAL, mbuf_stack_create("a/b", STACK_SIZE, 0, &s));
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	EXPECT_EQ(-EINVAL, mbuf_stack_create(name, STACK_SIZE, 0, &s));
	EXPECT_EQ(-EINVAL, mbuf_stack_create("x", STACK_SIZE + 8, 0, &s));
	EXPECT_EQ(-EINVAL, mbuf_stack_create("x", 0, 0, &s));
	EXPECT_EQ(-EINVAL, mbuf_stack_create("x", STACK_SIZE, 2, &s));
	EXPECT_EQ(NULL, s);
	name[sizeof(name) - 2] = '\0';
	ASSERT_EQ(0, mbuf_stack_create(name, STACK_SIZE, 0, &s));
	NEW_STACK(&t, 0);
	/* No keys. */
	EXPECT_EQ(-EINVAL, mbuf_stack_allow(s, t, RIGHTS_R));
	EXPECT_EQ(-EINVAL, mbuf_share_stack(self->session, s, 0));
	EXPECT_EQ(-EINVAL, mbuf_share_stack(self->session, s,
					    MBUF_REGION_WRITE));
	EXPECT_EQ(-EINVAL, mbuf_share_stack(self->session, s, 7));
	/* Not on that stack. */
	EXPECT_EQ(-EINVAL, mbuf_stack_run(s, has_local, NULL, NULL));

	fd = mbuf_share_stack(self->session, s, RIGHTS_RW);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(-EINVAL, mbuf_map_stack(fd, NULL, 0, &view));
	EXPECT_EQ(-EINVAL, mbuf_map_stack(fd, (void *)8, RIGHTS_R, &view));
	EXPECT_EQ(-EBADF, mbuf_map_stack(-1, NULL, RIGHTS_R, &view));
	EXPECT_EQ(-EBADF, mbuf_stack_is(-1));
	/* Nothing that is there is replaced. */
	used = map_pages(STACK_SIZE, PROT_READ | PROT_WRITE);
	*(int *)used = 7;
	EXPECT_EQ(-EEXIST, mbuf_map_stack(fd, used, RIGHTS_R, &view));
	EXPECT_EQ(7, *(int *)used);
	EXPECT_EQ(0, munmap(used, STACK_SIZE));
	ASSERT_EQ(0, mbuf_map_stack(fd, used, RIGHTS_R, &view));
	EXPECT_EQ(used, view.addr);
	EXPECT_EQ(STACK_SIZE, view.size);
	/* A view outlives the stack. */
	END_STACK(s);
	EXPECT_EQ(0, ((char *)view.addr)[STACK_SIZE - 1]);
	EXPECT_EQ(0, mbuf_unmap_stack(&view));
	END_STACK(t);
	close(fd);
}

/* Maps what it gets, where it is told, and changes what is there. */
struct visitor {
	int sock;
	void *where;
	size_t at;
	uint32_t rights;
};

static int visitor_main(void *arg)
{
	struct visitor *v = arg;
	struct mbuf_stack_view view;
	uint64_t *value;
	int fd = take_fd(v->sock);

	CHECK(fd >= 0);
	CHECK_EQ(1, mbuf_stack_is(fd));
	if (v->rights == MBUF_REGION_READ)
		CHECK_EQ(-EACCES, mbuf_map_stack(fd, v->where, RIGHTS_RW,
						 &view));
	CHECK_EQ(0, mbuf_map_stack(fd, v->where, v->rights, &view));
	CHECK(view.addr == v->where);
	CHECK_EQ((long long)STACK_SIZE, (long long)view.size);
	value = (uint64_t *)((char *)view.addr + v->at);
	CHECK_EQ((long long)MAGIC, (long long)*value);
	if (v->rights & MBUF_REGION_WRITE)
		*value = 77;
	return 0;
}

/* Other processes, at an address of their own choice, with either right. */
TEST_F(stack, shared_with_processes)
{
	struct visitor v[2] = {};
	struct local l = {};
	struct runner r = { .fn = has_local, .arg = &l };
	int sock[2], fd;
	void *where;
	pid_t pid;
	int i;

	NEW_STACK(&r.s, 0);
	turn = 0;
	ASSERT_EQ(0, runner_start(&r));
	turn_wait(1);
	where = map_pages(STACK_SIZE, PROT_NONE);
	munmap(where, STACK_SIZE);
	for (i = 0; i < 2; i++) {
		v[i].rights = i ? RIGHTS_RW : RIGHTS_R;
		v[i].where = where;
		v[i].at = (size_t)((char *)l.where -
				   (char *)mbuf_stack_addr(r.s));
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
		v[i].sock = sock[1];
		pid = spawn(visitor_main, &v[i]);
		ASSERT_GT(pid, 0);
		fd = mbuf_share_stack(self->session, r.s, v[i].rights);
		ASSERT_GE(fd, 0);
		ASSERT_EQ(1, pass_fd(sock[0], fd));
		EXPECT_EQ(0, reap(pid));
		close(fd);
		close(sock[0]);
		close(sock[1]);
	}
	turn_next();
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(l.where, r.result);
	EXPECT_EQ(77, l.seen);
	END_STACK(r.s);
}

/* What was given for reading, by each route to writing. */
TEST_F(stack, read_only_stays_so)
{
	struct mbuf_stack_view view;
	struct iovec local, remote;
	struct mbuf_stack *s;
	char byte = 'x', path[64];
	int fd, mem, again, sock[2];
	char *p;

	NEW_STACK(&s, 0);
	((char *)mbuf_stack_addr(s))[100] = 7;
	fd = mbuf_share_stack(self->session, s, RIGHTS_R);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EACCES, mbuf_map_stack(fd, NULL, RIGHTS_RW, &view));
	ASSERT_EQ(0, mbuf_map_stack(fd, NULL, RIGHTS_R, &view));
	p = view.addr;
	EXPECT_EQ(7, p[100]);
	EXPECT_EQ(-1, mprotect(p, view.size, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, pkey_mprotect(p, view.size, PROT_READ | PROT_WRITE, 0));
	EXPECT_EQ(-1, madvise(p, view.size, MADV_REMOVE));
	mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ASSERT_GE(mem, 0);
	EXPECT_EQ(-1, pwrite(mem, &byte, 1, (off_t)(uintptr_t)(p + 100)));
	close(mem);
	local = (struct iovec){ &byte, 1 };
	remote = (struct iovec){ p + 100, 1 };
	EXPECT_EQ(-1, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(-1, pwrite(fd, &byte, 1, 100));
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(-1, fallocate(fd, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, 0, (off_t)view.size));
	fchmod(fd, 0777);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXPECT_EQ(-1, open(path, O_RDWR | O_CLOEXEC));
	EXPECT_EQ(-EPERM, mbuf_grant(self->session, fd, RIGHTS_RW));
	/* Passed on, and granted again. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	ASSERT_EQ(1, pass_fd(sock[0], fd));
	again = take_fd(sock[1]);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, view.size, PROT_READ | PROT_WRITE,
				   MAP_SHARED, again, 0));
	close(again);
	again = mbuf_grant(self->session, fd, RIGHTS_R);
	ASSERT_GE(again, 0);
	EXPECT_EQ(1, mbuf_stack_is(again));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, view.size, PROT_READ | PROT_WRITE,
				   MAP_SHARED, again, 0));
	close(again);
	close(sock[0]);
	close(sock[1]);
	EXPECT_EQ(7, ((char *)mbuf_stack_addr(s))[100]);
	EXPECT_EQ(7, p[100]);
	ASSERT_EQ(0, mbuf_unmap_stack(&view));
	/* Nor can who may write change its size. */
	close(fd);
	fd = mbuf_share_stack(self->session, s, RIGHTS_RW);
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(EPERM, errno);
	close(fd);
	END_STACK(s);
}

static bool maps_have(const void *p, const char *what)
{
	unsigned long long from, to;
	char line[512];
	bool found = false;
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx", &from, &to) == 2 &&
		    (uintptr_t)p >= from && (uintptr_t)p < to)
			found = strstr(line, what);
	}
	if (f)
		fclose(f);
	return found;
}

TEST_F(stack, told_by_their_names)
{
	static const char want[] = "/memfd:" MBUF_STACK_PREFIX "test";
	int plain = sealed_memfd(STACK_SIZE, SEALS_SIZE), grant;
	struct mbuf_stack_view view;
	struct mbuf_stack *s;
	int fd[2], i;

	NEW_STACK(&s, 0);
	EXPECT_TRUE(maps_have(mbuf_stack_addr(s), want));
	for (i = 0; i < 2; i++) {
		fd[i] = mbuf_share_stack(self->session, s,
					 i ? RIGHTS_RW : RIGHTS_R);
		ASSERT_GE(fd[i], 0);
		EXPECT_EQ(1, mbuf_stack_is(fd[i]));
		ASSERT_EQ(0, mbuf_map_stack(fd[i], NULL, RIGHTS_R, &view));
		EXPECT_TRUE(maps_have(view.addr, want));
		ASSERT_EQ(0, mbuf_unmap_stack(&view));
		close(fd[i]);
	}
	/* What is none. */
	EXPECT_EQ(0, mbuf_stack_is(plain));
	grant = mbuf_grant(self->session, plain, RIGHTS_R);
	ASSERT_GE(grant, 0);
	EXPECT_EQ(0, mbuf_stack_is(grant));
	EXPECT_EQ(0, mbuf_stack_is(zero));
	EXPECT_EQ(0, mbuf_stack_is(self->session));
	close(grant);
	close(plain);
	END_STACK(s);
}

/* Where keys are missing, that is said, and sharing works. */
TEST_F(stack, support_is_told)
{
	struct mbuf_stack *s = NULL;
	const char *why = NULL;
	int ret = mbuf_reach(&why);

	ASSERT_NE(NULL, why);
	TH_LOG("mbuf_reach: %s", ret ? why : "supported");
	EXPECT_EQ(ret, mbuf_reach(NULL));
	if (!ret) {
		EXPECT_STREQ("", why);
		NEW_STACK(&s, MBUF_STACK_REACH);
	} else {
		int key = pkey_alloc(0, 0);

		EXPECT_EQ(-ENOTSUP, ret);
		EXPECT_NE(0, strlen(why));
		/* It is so: the kernel has none either. */
		EXPECT_EQ(-1, key);
		EXPECT_EQ(-ENOTSUP, new_stack(&s, MBUF_STACK_REACH));
		EXPECT_EQ(NULL, s);
		NEW_STACK(&s, 0);
	}
	END_STACK(s);
}

/*
 * Kept apart
 */
static uint64_t global = MAGIC;

struct pair {
	volatile uint64_t *buf[2];	/* on the stack of each */
	unsigned int can[8];
	struct mbuf_stack *s[2];
	int in, out, end[2];
	int ret, shared;
	uint64_t *heap;
	_Atomic int child;
};

/* Has something on its stack, and waits until the other has tried. */
static void *victim(void *arg)
{
	struct pair *p = arg;
	volatile uint64_t value[2] = { MAGIC, MAGIC };

	p->buf[0] = value;
	turn_next();
	turn_wait(2);
	p->can[7] = value[0] == MAGIC && value[1] == MAGIC;
	return NULL;
}

static void *intruder(void *arg)
{
	struct pair *p = arg;
	volatile uint64_t own[2] = { 1, 2 };

	turn_wait(1);
	p->can[0] = reach(p->buf[0]);
	p->can[1] = reach(own);
	p->can[2] = reach(&global);
	p->can[3] = reach(p->heap);
	/* To the last page of it, and the first. */
	p->can[4] = reach(mbuf_stack_addr(p->s[0]));
	turn_next();
	return NULL;
}

TEST_F(stack, threads_reach_their_own_only)
{
	struct pair p = { .heap = calloc(1, 64) };
	struct runner v = { .fn = victim, .arg = &p };
	struct runner i = { .fn = intruder, .arg = &p };

	NEED_REACH();
	NEW_STACK(&v.s, MBUF_STACK_REACH);
	NEW_STACK(&i.s, MBUF_STACK_REACH);
	p.s[0] = v.s;
	turn = 0;
	ASSERT_EQ(0, runner_start(&v));
	ASSERT_EQ(0, runner_start(&i));
	EXPECT_EQ(0, runner_join(&i));
	EXPECT_EQ(0, runner_join(&v));
	EXPECT_EQ(0, p.can[0]);
	EXPECT_EQ(RIGHTS_RW, p.can[1]);
	EXPECT_EQ(RIGHTS_RW, p.can[2]);
	EXPECT_EQ(RIGHTS_RW, p.can[3]);
	EXPECT_EQ(0, p.can[4]);
	EXPECT_EQ(1, p.can[7]);
	/* Not even who has made it, now that it is used. */
	EXPECT_EQ(0, reach(mbuf_stack_addr(v.s)));
	END_STACK(v.s);
	END_STACK(i.s);
	free(p.heap);
}

/* The access itself, in a process that may die of it. */
struct fault {
	int way;		/* what is done: see faulter() */
	int to;			/* whom to tell */
};

struct told {
	int code;
	void *addr;
};

static int tell_to = -1;

static void told_segv(int sig, siginfo_t *info, void *context)
{
	struct told t = { info->si_code, info->si_addr };

	(void)sig;
	(void)context;
	if (write(tell_to, &t, sizeof(t)) != sizeof(t))
		_exit(3);
	_exit(0);
}

enum { F_READ, F_WRITE, F_READ_ALLOWED, F_WRITE_RO, F_READ_RO };

static int fault_way;

static void *faulter(void *arg)
{
	struct pair *p = arg;

	turn_wait(1);
	mbuf_reach_update();
	switch (fault_way) {
	case F_READ:
	case F_READ_ALLOWED:
	case F_READ_RO:
		if (p->buf[0][0] != MAGIC)
			_exit(4);
		break;
	default:
		p->buf[0][0] = 1;
	}
	_exit(5);
}

static int fault_main(void *arg)
{
	struct fault *f = arg;
	struct pair p = {};
	struct runner v = { .fn = victim, .arg = &p };
	struct runner i = { .fn = faulter, .arg = &p };
	struct sigaction sa = {
		.sa_sigaction = told_segv,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	tell_to = f->to;
	fault_way = f->way;
	CHECK_EQ(0, sigaction(SIGSEGV, &sa, NULL));
	CHECK_EQ(0, new_stack(&v.s, MBUF_STACK_REACH));
	CHECK_EQ(0, new_stack(&i.s, MBUF_STACK_REACH));
	if (f->way == F_READ_ALLOWED)
		CHECK_EQ(0, mbuf_stack_allow(v.s, i.s, RIGHTS_RW));
	if (f->way == F_WRITE_RO || f->way == F_READ_RO)
		CHECK_EQ(0, mbuf_stack_allow(v.s, i.s, RIGHTS_R));
	turn = 0;
	CHECK_EQ(0, runner_start(&v));
	CHECK_EQ(0, runner_start(&i));
	runner_join(&i);
	return 6;
}

TEST_F(stack, ungranted_access_faults)
{
	const struct {
		int way;
		bool faults;
	} cases[] = {
		{ F_READ, true },
		{ F_WRITE, true },
		{ F_READ_ALLOWED, false },
		{ F_WRITE_RO, true },
		{ F_READ_RO, false },
	};
	unsigned int i;

	NEED_REACH();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fault f = { .way = cases[i].way };
		struct told t = {};
		int fds[2], ret, want = 5;
		pid_t pid;

		ASSERT_EQ(0, pipe(fds));
		f.to = fds[1];
		pid = spawn(fault_main, &f);
		ASSERT_GT(pid, 0);
		close(fds[1]);
		ret = reap(pid);
		if (cases[i].faults)
			want = 0;
		EXPECT_EQ(want, ret) {
			TH_LOG("case %u", i);
		}
		if (cases[i].faults) {
			EXPECT_EQ(sizeof(t), read(fds[0], &t, sizeof(t)));
			EXPECT_EQ(SEGV_PKUERR, t.code);
			EXPECT_NE(NULL, t.addr);
		}
		close(fds[0]);
	}
}

/* What the owner grants, and takes back. */
static void *grantor(void *arg)
{
	struct pair *p = arg;
	volatile uint64_t value[2] = { MAGIC };
	unsigned int i;
	const uint32_t rights[] = { RIGHTS_R, RIGHTS_RW, 0 };

	p->buf[0] = value;
	p->ret = mbuf_stack_allow(p->s[1], p->s[0], RIGHTS_R);
	turn_next();
	for (i = 0; i < ARRAY_SIZE(rights); i++) {
		turn_wait(2 * i + 2);
		if (mbuf_stack_allow(p->s[0], p->s[1], rights[i]))
			p->ret = -1000;
		turn_next();
	}
	turn_wait(2 * i + 2);
	return NULL;
}

static void *grantee(void *arg)
{
	struct pair *p = arg;
	unsigned int i;

	turn_wait(1);
	for (i = 0; i < 3; i++) {
		turn_next();
		turn_wait(2 * i + 3);
		/* Not before it asks for it. */
		p->can[2 * i] = reach(p->buf[0]);
		mbuf_reach_update();
		p->can[2 * i + 1] = reach(p->buf[0]);
	}
	turn_next();
	return NULL;
}

TEST_F(stack, grants_and_what_is_left_of_them)
{
	struct pair p = {};
	struct runner v = { .fn = grantor, .arg = &p };
	struct runner i = { .fn = grantee, .arg = &p };
	struct mbuf_stack *third;

	NEED_REACH();
	NEW_STACK(&v.s, MBUF_STACK_REACH);
	NEW_STACK(&i.s, MBUF_STACK_REACH);
	NEW_STACK(&third, 0);
	EXPECT_EQ(-EINVAL, mbuf_stack_allow(v.s, v.s, RIGHTS_R));
	EXPECT_EQ(-EINVAL, mbuf_stack_allow(v.s, i.s, MBUF_REGION_WRITE));
	EXPECT_EQ(-EINVAL, mbuf_stack_allow(v.s, i.s, 8));
	EXPECT_EQ(-EINVAL, mbuf_stack_allow(v.s, third, RIGHTS_R));
	EXPECT_EQ(-EINVAL, mbuf_stack_allow(third, v.s, RIGHTS_R));
	p.s[0] = v.s;
	p.s[1] = i.s;
	turn = 0;
	ASSERT_EQ(0, runner_start(&i));
	/* It runs: what is on it is its own to grant. */
	ASSERT_TRUE(EVENTUALLY(mbuf_stack_allow(i.s, v.s, 0) == -EPERM));
	ASSERT_EQ(0, runner_start(&v));
	EXPECT_EQ(0, runner_join(&i));
	EXPECT_EQ(0, runner_join(&v));
	EXPECT_EQ(-EPERM, p.ret);
	EXPECT_EQ(0, p.can[0]);
	EXPECT_EQ(RIGHTS_R, p.can[1]);
	EXPECT_EQ(RIGHTS_R, p.can[2]);
	EXPECT_EQ(RIGHTS_RW, p.can[3]);
	EXPECT_EQ(RIGHTS_RW, p.can[4]);
	EXPECT_EQ(0, p.can[5]);
	END_STACK(v.s);
	END_STACK(i.s);
	END_STACK(third);
}

/* On one CPU, so that the register has to go with the thread. */
#define SWITCHES	2000

struct switcher {
	struct pair *p;
	unsigned int me;
};

static void *switcher(void *arg)
{
	const struct switcher *w = arg;
	volatile uint64_t own[2] = { MAGIC };
	unsigned int i, me = w->me;
	struct pair *p = w->p;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	p->buf[me] = own;
	turn_next();
	turn_wait(2);
	mbuf_reach_update();
	for (i = 0; i < SWITCHES; i++) {
		sched_yield();
		p->can[me] |= 1u << reach(own);
		p->can[2 + me] |= 1u << reach(p->buf[!me]);
	}
	turn_next();
	turn_wait(4);
	return NULL;
}

TEST_F(stack, reach_goes_with_the_thread)
{
	struct pair p = {};
	struct switcher w[2] = { { &p, 0 }, { &p, 1 } };
	struct runner a = { .fn = switcher, .arg = &w[0] };
	struct runner b = { .fn = switcher, .arg = &w[1] };

	NEED_REACH();
	NEW_STACK(&a.s, MBUF_STACK_REACH);
	NEW_STACK(&b.s, MBUF_STACK_REACH);
	/* The second may read what the first has, and not the other way. */
	ASSERT_EQ(0, mbuf_stack_allow(a.s, b.s, RIGHTS_R));
	turn = 0;
	ASSERT_EQ(0, runner_start(&a));
	ASSERT_EQ(0, runner_start(&b));
	EXPECT_EQ(0, runner_join(&a));
	EXPECT_EQ(0, runner_join(&b));
	EXPECT_EQ(1u << RIGHTS_RW, p.can[0]);
	EXPECT_EQ(1u << RIGHTS_RW, p.can[1]);
	EXPECT_EQ(1u << 0, p.can[2]);
	EXPECT_EQ(1u << RIGHTS_R, p.can[3]);
	END_STACK(a.s);
	END_STACK(b.s);
}

/*
 * What the text wants all this for: a blocking receive into a buffer on the
 * stack of a thread that the sender cannot reach.
 */
static void *receiver(void *arg)
{
	struct pair *p = arg;
	uint64_t buf[64] = {};

	p->buf[0] = buf;
	turn_next();
	p->ret = (int)mbuf_recv(p->in, buf, sizeof(buf), MBUF_FOREVER);
	p->can[7] = is_pattern(buf, sizeof(buf), 5);
	return NULL;
}

static void *sender(void *arg)
{
	struct pair *p = arg;
	uint64_t data[64];

	turn_wait(1);
	fill_pattern(data, sizeof(data), 5);
	p->can[0] = reach(p->buf[0]);
	/* A receive into it is no way around: the message stays. */
	if (wait_sleepers(p->in, 1, 0))
		return NULL;
	p->can[1] = (unsigned int)-mbuf_send(p->out,
					     (const void *)(uintptr_t)p->buf[0],
					     8, MBUF_NOW);
	p->can[2] = (unsigned int)mbuf_send(p->out, data, sizeof(data),
					    MBUF_FOREVER);
	return NULL;
}

TEST_F(stack, a_receive_is_filled_from_another_thread)
{
	struct pair p = {};
	struct runner r = { .fn = receiver, .arg = &p };
	struct runner s = { .fn = sender, .arg = &p };

	NEED_REACH();
	ASSERT_EQ(0, mbuf_queue_create(self->session, 4, 4096, 0, &p.in,
				       &p.out));
	NEW_STACK(&r.s, MBUF_STACK_REACH);
	NEW_STACK(&s.s, MBUF_STACK_REACH);
	turn = 0;
	ASSERT_EQ(0, runner_start(&r));
	ASSERT_EQ(0, runner_start(&s));
	EXPECT_EQ(0, runner_join(&s));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(0, p.can[0]);
	EXPECT_EQ(EFAULT, p.can[1]);
	EXPECT_EQ(0, p.can[2]);
	EXPECT_EQ(512, p.ret);
	EXPECT_EQ(1, p.can[7]);
	END_STACK(r.s);
	END_STACK(s.s);
	close(p.in);
	close(p.out);
}

/* A receive into what it cannot reach: EFAULT, and the message stays. */
static void *poacher(void *arg)
{
	struct pair *p = arg;
	uint64_t buf[2] = {};

	turn_wait(1);
	p->can[0] = (unsigned int)-mbuf_recv(p->in,
					     (void *)(uintptr_t)p->buf[0], 8,
					     MBUF_NOW);
	p->can[1] = (unsigned int)-xread(p->in, (void *)(uintptr_t)p->buf[0],
					 8);
	p->ret = (int)mbuf_recv(p->in, buf, 8, MBUF_NOW);
	p->can[2] = buf[0] == MAGIC;
	turn_next();
	return NULL;
}

TEST_F(stack, the_kernel_does_not_write_where_one_cannot)
{
	struct pair p = {};
	struct runner v = { .fn = victim, .arg = &p };
	struct runner i = { .fn = poacher, .arg = &p };
	const uint64_t value = MAGIC;

	NEED_REACH();
	ASSERT_EQ(0, mbuf_queue_create(self->session, 4, 4096, 0, &p.in,
				       &p.out));
	ASSERT_EQ(0, mbuf_send(p.out, &value, sizeof(value), MBUF_NOW));
	NEW_STACK(&v.s, MBUF_STACK_REACH);
	NEW_STACK(&i.s, MBUF_STACK_REACH);
	turn = 0;
	ASSERT_EQ(0, runner_start(&v));
	ASSERT_EQ(0, runner_start(&i));
	EXPECT_EQ(0, runner_join(&i));
	EXPECT_EQ(0, runner_join(&v));
	EXPECT_EQ(EFAULT, p.can[0]);
	EXPECT_EQ(EFAULT, p.can[1]);
	EXPECT_EQ(8, p.ret);
	EXPECT_EQ(1, p.can[2]);
	EXPECT_EQ(1, p.can[7]);
	END_STACK(v.s);
	END_STACK(i.s);
	close(p.in);
	close(p.out);
}

/* The same without a copy: by a mapping of the stack, or by a grant of it. */
static void *sleeper(void *arg)
{
	struct pair *p = arg;
	volatile uint64_t buf[64] = {};

	p->buf[0] = buf;
	turn_next();
	/* Who runs before it is granted anything does not have it yet. */
	turn_wait(2);
	if (p->shared < 0 && mbuf_stack_allow(p->s[0], p->s[1], RIGHTS_RW))
		return NULL;
	turn_next();
	p->ret = mbuf_channel_wait(p->end[0], NULL, NULL, MBUF_FOREVER);
	p->can[7] = is_pattern((const void *)(uintptr_t)buf, sizeof(buf), 6);
	return NULL;
}

static void *filler(void *arg)
{
	struct pair *p = arg;
	struct mbuf_stack_view view;
	char *to;

	turn_next();
	turn_wait(3);
	p->can[0] = reach(p->buf[0]);
	to = (char *)(uintptr_t)p->buf[0];
	if (p->shared >= 0) {
		if (mbuf_map_stack(p->shared, NULL, RIGHTS_RW, &view))
			return NULL;
		to = (char *)view.addr +
		     (to - (char *)mbuf_stack_addr(p->s[0]));
		/* Its own, as long as it runs. */
		p->buf[1] = (uint64_t *)(void *)to;
		p->can[2] = reach(to + 8);
		p->child = 1;
		while (p->child == 1)
			sched_yield();
	} else {
		mbuf_reach_update();
	}
	p->can[1] = reach(p->buf[0]);
	fill_pattern(to, 512, 6);
	mbuf_channel_signal(p->end[1]);
	if (p->shared >= 0)
		mbuf_unmap_stack(&view);
	return NULL;
}

static void direct(struct __test_metadata *_metadata, int session, bool map)
{
	struct pair p = { .shared = -1 };
	struct runner r = { .fn = sleeper, .arg = &p };
	struct runner s = { .fn = filler, .arg = &p };

	ASSERT_EQ(0, ch_create(session, 0, p.end));
	NEW_STACK(&r.s, MBUF_STACK_REACH);
	NEW_STACK(&s.s, MBUF_STACK_REACH);
	p.s[0] = r.s;
	p.s[1] = s.s;
	if (map)
		p.shared = mbuf_share_stack(session, r.s, RIGHTS_RW);
	turn = 0;
	ASSERT_EQ(0, runner_start(&r));
	ASSERT_EQ(0, runner_start(&s));
	if (map) {
		ASSERT_TRUE(EVENTUALLY(p.child == 1));
		/* What it has mapped is for nobody else. */
		EXPECT_EQ(0, reach(p.buf[1]));
		p.child = 2;
	}
	EXPECT_EQ(0, runner_join(&s));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(0, p.can[0]);
	EXPECT_EQ(map ? 0 : RIGHTS_RW, p.can[1]);
	if (map)
		EXPECT_EQ(RIGHTS_RW, p.can[2]);
	EXPECT_EQ(0, p.ret);
	EXPECT_EQ(1, p.can[7]);
	END_STACK(r.s);
	END_STACK(s.s);
	close(p.end[0]);
	close(p.end[1]);
	close_fd(&p.shared);
}

TEST_F(stack, filled_through_a_shared_mapping)
{
	NEED_REACH();
	direct(_metadata, self->session, true);
}

TEST_F(stack, filled_by_a_grant)
{
	NEED_REACH();
	direct(_metadata, self->session, false);
}

/*
 * Signals, fork, exec
 */
static volatile uint64_t *signal_buf;
static _Atomic int handled;
static unsigned int handler_can;

static void on_signal(int sig)
{
	volatile uint64_t local[2] = {};

	(void)sig;
	handler_can = reach(signal_buf) << 4 | reach(local);
	handled++;
}

static void *signalled(void *arg)
{
	struct pair *p = arg;
	volatile uint64_t own[2] = { MAGIC };
	int i;

	signal_buf = own;
	for (i = 0; i < 100; i++)
		pthread_kill(pthread_self(), SIGUSR1);
	p->can[0] = reach(own);
	p->can[1] = own[0] == MAGIC;
	return NULL;
}

TEST_F(stack, signal_handlers_on_their_own_stack)
{
	struct sigaction sa = {
		.sa_handler = on_signal,
		.sa_flags = SA_ONSTACK,
	};
	struct pair p = {};
	struct runner r = { .fn = signalled, .arg = &p };

	NEED_REACH();
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	NEW_STACK(&r.s, MBUF_STACK_REACH);
	handled = 0;
	ASSERT_EQ(0, runner_start(&r));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(100, handled);
	/* They reach what has no key, and no stack that has one. */
	EXPECT_EQ(RIGHTS_RW, handler_can);
	/* And leave the thread as it was. */
	EXPECT_EQ(RIGHTS_RW, p.can[0]);
	EXPECT_EQ(1, p.can[1]);
	END_STACK(r.s);
}

static int child_lacks(void *arg)
{
	unsigned char there;

	return mincore(arg, page_size(), &there) && errno == ENOMEM ? 0 : 1;
}

static void *forker(void *arg)
{
	struct pair *p = arg;
	volatile uint64_t own[2] = { MAGIC, MAGIC };
	char sh[] = "sh", option[] = "-c", command[] = "exit 7";
	char *const argv[] = { sh, option, command, NULL };
	pid_t pid = fork();

	if (!pid)
		for (;;)	/* not reached: there is no stack to return to */
			own[0] = 0;
	p->child = pid;
	p->can[0] = (unsigned int)reap(pid);
	p->can[1] = own[0] == MAGIC && own[1] == MAGIC;
	/* That does work. */
	pid = 0;
	p->ret = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
	p->can[2] = (unsigned int)reap(pid);
	return NULL;
}

TEST_F(stack, children_do_not_run_on_it)
{
	struct pair p = {};
	struct runner r = { .fn = forker, .arg = &p };
	int keys;

	for (keys = 0; keys < 2; keys++) {
		if (keys && mbuf_reach(NULL))
			break;
		NEW_STACK(&r.s, keys ? MBUF_STACK_REACH : 0);
		EXPECT_EQ(0, reap(spawn(child_lacks, mbuf_stack_addr(r.s))));
		ASSERT_EQ(0, runner_start(&r));
		EXPECT_EQ(0, runner_join(&r));
		EXPECT_EQ(128 + SIGSEGV, p.can[0]);
		EXPECT_EQ(1, p.can[1]);
		EXPECT_EQ(0, p.ret);
		EXPECT_EQ(7, p.can[2]);
		END_STACK(r.s);
	}
}

/*
 * The end
 */
static void *does_nothing(void *arg)
{
	volatile char deep[STACK_SIZE / 2];

	deep[0] = 1;
	deep[sizeof(deep) - 1] = 2;
	return arg;
}

static void *calls_again(void *arg)
{
	struct mbuf_stack *s = arg;

	if (mbuf_stack_run(s, does_nothing, NULL, NULL) != -EBUSY)
		return NULL;
	return mbuf_stack_destroy(s) == -EBUSY ? s : NULL;
}

TEST_F(stack, ended_threads_leave_nothing)
{
	int i, flags = mbuf_reach(NULL) ? 0 : MBUF_STACK_REACH;
	int fds = count_fds();

	for (i = 0; i < 200; i++) {
		struct runner r = { .fn = i % 2 ? does_nothing : calls_again };

		NEW_STACK(&r.s, (uint32_t)flags);
		r.arg = r.s;
		ASSERT_EQ(0, runner_start(&r));
		ASSERT_EQ(0, runner_join(&r));
		ASSERT_EQ(r.s, r.result);
		END_STACK(r.s);
	}
	EXPECT_EQ(fds, count_fds());
}

#define MAX_KEYS	15

TEST_F(stack, keys_run_out)
{
	struct mbuf_stack *s[MAX_KEYS + 1], *plain;
	int n, ret = 0, again;

	NEED_REACH();
	for (n = 0; n <= MAX_KEYS && !ret; n++)
		ret = new_stack(&s[n], MBUF_STACK_REACH);
	n--;
	EXPECT_EQ(-ENOSPC, ret);
	EXPECT_GE(n, 10);
	TH_LOG("%d stacks have keys", n);
	/* Without one it works. */
	NEW_STACK(&plain, 0);
	END_STACK(plain);
	for (again = 0; again < 50; again++) {
		int which = again % n;

		END_STACK(s[which]);
		NEW_STACK(&s[which], MBUF_STACK_REACH);
		EXPECT_EQ(-ENOSPC, new_stack(&plain, MBUF_STACK_REACH));
	}
	while (n--)
		END_STACK(s[n]);
}

/* A key that a thread may still have is not used for another stack. */
static void *keeps_its_key(void *arg)
{
	struct pair *p = arg;

	mbuf_reach_update();
	p->can[0] = reach(mbuf_stack_addr(p->s[0]));
	turn_next();
	turn_wait(2);
	/* The first is gone, and another thread runs on the second. */
	p->can[1] = reach(mbuf_stack_addr(p->s[1]));
	mbuf_reach_update();
	p->can[2] = reach(mbuf_stack_addr(p->s[1]));
	turn_next();
	turn_wait(4);
	return NULL;
}

TEST_F(stack, stale_keys_are_not_used_again)
{
	struct pair p = {}, q = {};
	struct runner keeper = { .fn = keeps_its_key, .arg = &p };
	struct runner first = { .fn = does_nothing };
	struct runner r[MAX_KEYS] = {};
	int n;

	NEED_REACH();
	NEW_STACK(&first.s, MBUF_STACK_REACH);
	NEW_STACK(&keeper.s, MBUF_STACK_REACH);
	p.s[0] = first.s;
	ASSERT_EQ(0, mbuf_stack_allow(first.s, keeper.s, RIGHTS_RW));
	ASSERT_EQ(0, runner_start(&first));
	ASSERT_EQ(0, runner_join(&first));
	turn = 0;
	ASSERT_EQ(0, runner_start(&keeper));
	turn_wait(1);
	END_STACK(first.s);
	/* All that there are: one of them would have the key. */
	for (n = 0; n < MAX_KEYS; n++) {
		if (new_stack(&r[n].s, MBUF_STACK_REACH))
			break;
		r[n].fn = does_nothing;
		ASSERT_EQ(0, runner_start(&r[n]));
		ASSERT_EQ(0, runner_join(&r[n]));
	}
	TH_LOG("%d stacks beside the one that keeps two keys", n);
	ASSERT_GE(n, 8);
	p.s[1] = r[0].s;
	turn_next();
	turn_wait(3);
	/* It has given it up. */
	EXPECT_EQ(0, new_stack(&q.s[0], MBUF_STACK_REACH));
	EXPECT_EQ(-ENOSPC, new_stack(&q.s[1], MBUF_STACK_REACH));
	turn_next();
	EXPECT_EQ(0, runner_join(&keeper));
	EXPECT_EQ(RIGHTS_RW, p.can[0]);
	EXPECT_EQ(0, p.can[1]);
	EXPECT_EQ(0, p.can[2]);
	END_STACK(q.s[0]);
	END_STACK(keeper.s);
	while (n--)
		END_STACK(r[n].s);
}

/* A thread that is kept apart makes another one, and waits for it. */
static void *parent_thread(void *arg)
{
	struct runner r = { .fn = does_nothing };
	struct pair *p = arg;

	p->ret = new_stack(&r.s, MBUF_STACK_REACH);
	if (p->ret)
		return NULL;
	/* It has to be where the other can reach it. */
	p->heap = malloc(sizeof(r));
	memcpy(p->heap, &r, sizeof(r));
	p->ret = runner_start((struct runner *)(void *)p->heap) ?:
		 runner_join((struct runner *)(void *)p->heap) ?:
		 mbuf_stack_destroy(r.s);
	return NULL;
}

TEST_F(stack, threads_make_threads)
{
	struct pair p = {};
	struct runner r = { .fn = parent_thread, .arg = &p };

	NEED_REACH();
	NEW_STACK(&r.s, MBUF_STACK_REACH);
	ASSERT_EQ(0, runner_start(&r));
	EXPECT_EQ(0, runner_join(&r));
	EXPECT_EQ(0, p.ret);
	END_STACK(r.s);
	free(p.heap);
}

/* Views keep the key. */
static void *maps_and_leaves(void *arg)
{
	struct pair *p = arg;
	struct mbuf_stack_view *v = (void *)p->heap;

	p->ret = mbuf_map_stack(p->shared, NULL, RIGHTS_R, v);
	return NULL;
}

TEST_F(stack, views_keep_the_key)
{
	struct mbuf_stack_view view;
	struct pair p = { .heap = (uint64_t *)(void *)&view };
	struct runner r = { .fn = maps_and_leaves, .arg = &p };
	struct mbuf_stack *s;

	NEED_REACH();
	NEW_STACK(&s, 0);
	NEW_STACK(&r.s, MBUF_STACK_REACH);
	p.shared = mbuf_share_stack(self->session, s, RIGHTS_R);
	ASSERT_GE(p.shared, 0);
	ASSERT_EQ(0, runner_start(&r));
	EXPECT_EQ(0, runner_join(&r));
	ASSERT_EQ(0, p.ret);
	EXPECT_EQ(0, reach(view.addr));
	EXPECT_EQ(-EBUSY, mbuf_stack_destroy(r.s));
	ASSERT_EQ(0, mbuf_unmap_stack(&view));
	END_STACK(r.s);
	END_STACK(s);
	close(p.shared);
}

TEST_HARNESS_MAIN
