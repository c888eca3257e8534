// SPDX-License-Identifier: GPL-2.0
/*
 * Paged regions: faults, what a pager can answer, what can be done to a mapping,
 * and pagers that are slow, dead or hostile.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <linux/falloc.h>
#include <linux/futex.h>

#include "paged.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif

/* Are so many tasks waiting? */
static bool waits(int pager, unsigned int nr)
{
	return pg_info(pager).waiting == nr;
}

#define ASSERT_WAITING(nr) \
	ASSERT_TRUE(EVENTUALLY(waits(self->pager, nr)))

/* Creation, and what a right is */

TEST_F(paged, create)
{
	struct mbuf_paged_create bad[] = {
		{ .size = 0 },
		{ .size = self->page + 1 },
		{ .size = ~0ull & ~(uint64_t)(self->page - 1) },
		{ .size = self->page, .flags = 1 },
		{ .size = self->page, .resv = 1 },
		{ .size = self->page, .pager.handle = 1 },
		{ .size = self->page, .region.flags = 1 },
		{ .size = self->page, .region.handle = 1 },
	};
	struct mbuf_paged_create c;
	struct mbuf_region_info info;
	struct mbuf_paged_info p;
	char text[512], path[64];
	unsigned int i;

	EXPECT_EQ(FD_CLOEXEC, fcntl(self->pager, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->region, F_GETFD));
	ASSERT_EQ(0, rg_info(self->region, &info));
	EXPECT_EQ(self->id, info.id);
	EXPECT_EQ(self->size, info.size);
	EXPECT_EQ(RIGHTS_RW, info.rights);
	EXPECT_EQ(MBUF_REGION_PAGED, info.options);
	EXPECT_EQ(-ENOTTY, rg_info(self->pager, &info));
	p = pg_info(self->pager);
	EXPECT_EQ(self->id, p.id);
	EXPECT_EQ(self->size, p.size);
	EXPECT_EQ(0, p.resident);
	EXPECT_EQ(1, p.clients);
	EXPECT_EQ(0, p.resv);
	/* Only the pager's descriptor is one. */
	EXPECT_EQ(-ENOTTY, pg_zero(self->region, 0, self->page));
	EXPECT_EQ(-ENOTTY, pg_zero(self->session, 0, self->page));

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-EINVAL, xioctl(self->session, MBUF_IOC_PAGED_CREATE,
					  &bad[i])) {
			TH_LOG("case %u", i);
		}
	}
	c = (struct mbuf_paged_create){ .target = 1, .size = self->page };
	EXPECT_EQ(-EOPNOTSUPP, xioctl(self->session, MBUF_IOC_PAGED_CREATE,
				      &c));
	EXPECT_EQ(-ENOTTY, xioctl(self->pager, MBUF_IOC_PAGED_CREATE, &c));

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->pager);
	ASSERT_TRUE(read_file(path, text, sizeof(text)));
	EXPECT_STREQ("pager", fdinfo_value(text, "mbuf-type"));
	EXPECT_FDINFO(self->size, text, "mbuf-size");
	EXPECT_FDINFO(1, text, "mbuf-clients");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->region);
	ASSERT_TRUE(read_file(path, text, sizeof(text)));
	EXPECT_STREQ("paged", fdinfo_value(text, "mbuf-type"));
	EXPECT_FDINFO(RIGHTS_RW, text, "mbuf-rights");
}

/* Programs of other versions, with shorter and longer structs. */
TEST_F(paged, sizes_of_arguments)
{
	static const struct {
		unsigned int cmd;
		long ret;		/* with an argument of zeroes */
		bool session;
	} calls[] = {
		{ MBUF_IOC_PAGED_CREATE, -EINVAL, true },
		{ MBUF_IOC_FAULTS, -EINVAL, false },
		{ MBUF_IOC_SUPPLY, -EINVAL, false },
		{ MBUF_IOC_REFUSE, -ENOENT, false },
		{ MBUF_IOC_EVICT, -EINVAL, false },
		{ MBUF_IOC_PROTECT, -EINVAL, false },
		{ MBUF_IOC_PAGES, -EINVAL, false },
		{ MBUF_IOC_PAGED_INFO, 0, false },
	};
	uint64_t arg[32];
	unsigned int i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int fd = calls[i].session ? self->session : self->pager;
		unsigned int size = _IOC_SIZE(calls[i].cmd);
		unsigned int base = calls[i].cmd & ~IOCSIZE_MASK;

		memset(arg, 0, sizeof(arg));
		EXPECT_EQ(-EINVAL, xioctl(fd, base | (size - 8) <<
					  _IOC_SIZESHIFT, arg));
		EXPECT_EQ(calls[i].ret, xioctl(fd, base | (size + 8) <<
					       _IOC_SIZESHIFT, arg)) {
			TH_LOG("call %u", i);
		}
		memset(arg, 0, sizeof(arg));
		arg[size / 8] = 1;
		EXPECT_EQ(-E2BIG, xioctl(fd, base | (size + 8) <<
					 _IOC_SIZESHIFT, arg)) {
			TH_LOG("call %u", i);
		}
		memset(arg, 0, sizeof(arg));
		arg[0] = 1;
		EXPECT_EQ(-EOPNOTSUPP, xioctl(fd, calls[i].cmd, arg)) {
			TH_LOG("call %u", i);
		}
		EXPECT_EQ(-EFAULT, xioctl(fd, calls[i].cmd, NULL));
		EXPECT_EQ(-ENOTTY, xioctl(self->region, calls[i].cmd, arg));
	}
}

TEST_F(paged, is_no_memfd)
{
	char path[64], byte;

	EXPECT_EQ(-1, ftruncate(self->region, 0));
	EXPECT_EQ(-1, ftruncate(self->region, (off_t)self->size * 2));
	EXPECT_EQ(-1, fallocate(self->region, FALLOC_FL_PUNCH_HOLE |
				FALLOC_FL_KEEP_SIZE, 0, (off_t)self->size));
	EXPECT_EQ(-1, fcntl(self->region, F_GET_SEALS));
	EXPECT_EQ(-1, pread(self->region, &byte, 1, 0));
	EXPECT_EQ(-1, read(self->region, &byte, 1));
	EXPECT_EQ(-1, write(self->region, "x", 1));
	EXPECT_EQ(-1, lseek(self->region, 0, SEEK_SET));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->size, PROT_READ | PROT_EXEC,
				   MAP_SHARED, self->region, 0));
	EXPECT_EQ(-1, mprotect(self->p, self->size, PROT_READ | PROT_EXEC));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->size, PROT_READ, MAP_SHARED,
				   self->pager, 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->region);
	EXPECT_EQ(-1, open(path, O_RDWR | O_CLOEXEC));
	EXPECT_EQ(-1, truncate(path, 0));
	/* Beyond the end there is nothing. */
	supply_pages(15, 1);
	ASSERT_NE(MAP_FAILED, mmap(self->p, self->size, PROT_READ,
				   MAP_SHARED | MAP_FIXED, self->region,
				   (off_t)PAGE(15)));
	EXPECT_EQ(self->data[PAGE(15)], peek(self->p));
	EXPECT_EQ(-SIGBUS, peek(self->p + PAGE(1)));
}

/* Faults */

TEST_F(paged, fault_and_supply)
{
	struct mbuf_paged_info info;
	struct mbuf_fault f;
	struct toucher t;

	EXPECT_EQ(0, poll_now(self->pager, POLL_ALL));
	EXPECT_EQ(-EAGAIN, pg_faults(self->pager, &f, 1, MBUF_NOW));
	ASSERT_TRUE(toucher_start(&t, self->p + PAGE(3) + 77, -1));
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_NE(0, f.id);
	EXPECT_EQ(self->id, f.region);
	EXPECT_EQ(PAGE(3), f.offset);
	EXPECT_EQ(MBUF_FAULT_READ, f.access);
	EXPECT_EQ(getpid(), f.pid);
	EXPECT_EQ(t.tid, f.tid);
	EXPECT_EQ(0, f.resv);
	/* Told once. */
	EXPECT_EQ(-EAGAIN, pg_faults(self->pager, &f, 1, MBUF_NOW));
	EXPECT_EQ(1, pg_info(self->pager).waiting);
	EXPECT_FALSE(t.done);

	supply_pages(3, 1);
	EXPECT_EQ(self->data[PAGE(3) + 77], toucher_join(&t));
	EXPECT_PAGE(3);
	info = pg_info(self->pager);
	EXPECT_EQ(1, info.resident);
	EXPECT_EQ(1, info.faults);
	EXPECT_EQ(1, info.supplied);
	EXPECT_EQ(0, info.waiting);
	EXPECT_EQ(MBUF_PAGE_RESIDENT, pg_state(self->pager, PAGE(3)));
	EXPECT_EQ(0, pg_state(self->pager, PAGE(4)));

	ASSERT_TRUE(toucher_start(&t, self->p + PAGE(4), 9));
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_EQ(PAGE(4), f.offset);
	EXPECT_EQ(MBUF_FAULT_WRITE, f.access);
	supply_pages(4, 1);
	EXPECT_EQ(0, toucher_join(&t));
	EXPECT_EQ(9, peek(self->p + PAGE(4)));
	EXPECT_EQ(self->data[PAGE(4) + 1], peek(self->p + PAGE(4) + 1));
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_DIRTY,
		  pg_state(self->pager, PAGE(4)));
}

/* More than was asked for, and what is there stays as it is. */
TEST_F(paged, supply)
{
	struct mbuf_supply s = { .size = self->page };
	struct guarded g;
	int i;

	supply_pages(0, 4);
	for (i = 0; i < 4; i++)
		EXPECT_PAGE(i);
	ASSERT_EQ(0, poke(self->p, 99));
	EXPECT_EQ(2, pg_supply(self->pager, 0, self->data, PAGE(6), 0));
	EXPECT_EQ(99, peek(self->p));
	EXPECT_PAGE(5);
	EXPECT_EQ(10, pg_zero(self->pager, 0, self->size));
	EXPECT_EQ(0, peek(self->p + PAGE(15)));
	EXPECT_EQ(0, pg_zero(self->pager, 0, self->size));
	EXPECT_EQ(0, pg_info(self->pager).faults);
	ASSERT_EQ(16, pg_evict(self->pager, 0, NULL, self->size));

	EXPECT_EQ(-EINVAL, pg_zero(self->pager, 1, self->page));
	EXPECT_EQ(-EINVAL, pg_zero(self->pager, 0, self->page - 1));
	EXPECT_EQ(-EINVAL, pg_zero(self->pager, 0, 0));
	EXPECT_EQ(-EINVAL, pg_zero(self->pager, PAGE(1), self->size));
	EXPECT_EQ(-EINVAL, pg_zero(self->pager, PAGE(16), self->page));
	EXPECT_EQ(-EINVAL, pg_zero(self->pager, -self->page, self->page));
	EXPECT_EQ(-EINVAL, pg_supply(self->pager, 0, self->data, self->page,
				     MBUF_SUPPLY_ZERO));
	EXPECT_EQ(-EINVAL, pg_supply(self->pager, 0, self->data, self->page, 4));
	EXPECT_EQ(-EFAULT, pg_supply(self->pager, 0, NULL, self->page, 0));
	s.resv = 1;
	EXPECT_EQ(-EINVAL, xioctl(self->pager, MBUF_IOC_SUPPLY, &s));

	/* As much as there is. */
	ASSERT_TRUE(guarded_alloc(&g, PAGE(2)));
	memcpy(g.p, self->data, PAGE(2));
	s = (struct mbuf_supply){ .size = PAGE(4), .data = (uintptr_t)g.p };
	EXPECT_EQ(0, xioctl(self->pager, MBUF_IOC_SUPPLY, &s));
	EXPECT_EQ(PAGE(2), s.done);
	EXPECT_EQ(2, s.supplied);
	EXPECT_PAGE(1);
	EXPECT_EQ(0, pg_state(self->pager, PAGE(2)));
	guarded_free(&g);
}

/* That access, and no other. */
TEST_F(paged, refuse)
{
	struct mbuf_fault f, g;
	struct toucher t;

	ASSERT_TRUE(toucher_start(&t, self->p, -1));
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	g = f;
	g.id++;
	EXPECT_EQ(-ENOENT, pg_refuse(self->pager, &g));
	g = f;
	g.offset += self->page;
	EXPECT_EQ(-ENOENT, pg_refuse(self->pager, &g));
	g.offset = self->size;
	EXPECT_EQ(-ENOENT, pg_refuse(self->pager, &g));
	EXPECT_EQ(0, pg_refuse(self->pager, &f));
	EXPECT_EQ(-SIGBUS, toucher_join(&t));
	EXPECT_EQ(-ENOENT, pg_refuse(self->pager, &f));
	EXPECT_EQ(1, pg_info(self->pager).refused);

	/* Anew. */
	ASSERT_TRUE(toucher_start(&t, self->p, 5));
	ASSERT_EQ(1, pg_fault(self->pager, &g));
	EXPECT_NE(f.id, g.id);
	EXPECT_EQ(-ENOENT, pg_refuse(self->pager, &f));
	supply_pages(0, 1);
	EXPECT_EQ(0, toucher_join(&t));
	EXPECT_EQ(5, peek(self->p));
}

struct refuser {
	int pager;
	_Atomic int refused;
	_Atomic pid_t tid;
	pthread_t thread;
};

/* Until it is interrupted: a system call may try more than once. */
static void *refuser_main(void *arg)
{
	struct refuser *r = arg;
	struct mbuf_fault f;
	long ret;

	r->tid = (pid_t)syscall(SYS_gettid);
	while ((ret = pg_faults(r->pager, &f, 1, MBUF_FOREVER)) == 1) {
		ret = pg_refuse(r->pager, &f);
		if (ret)
			break;
		r->refused++;
	}
	return (void *)ret;
}

TEST_F(paged, refuse_a_system_call)
{
	struct refuser r = { .pager = self->pager };
	struct iovec remote = { self->p, 1 };
	uint8_t byte;
	struct iovec local = { &byte, 1 };
	int fds[2];
	void *ret;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(0, pthread_create(&r.thread, NULL, refuser_main, &r));
	EXPECT_EQ(-EFAULT, xwrite(fds[1], self->p + PAGE(2), 8));
	EXPECT_GE(r.refused, 1);
	EXPECT_EQ(1, write(fds[1], "x", 1));
	EXPECT_EQ(-EFAULT, xread(fds[0], self->p + PAGE(2), 1));
	EXPECT_EQ(-1, madvise(self->p, PAGE(2), MADV_POPULATE_READ));
	/* By way of get_user_pages(). */
	EXPECT_EQ(-1, process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(r.tid, MBUF_IOC_FAULTS)));
	pthread_kill(r.thread, SIGUSR1);
	pthread_join(r.thread, &ret);
	EXPECT_EQ((void *)-EINTR, ret);
	supply_pages(2, 1);
	EXPECT_EQ(8, xwrite(fds[1], self->p + PAGE(2), 8));
	close(fds[0]);
	close(fds[1]);
}

struct locked_child {
	uint8_t *p;
	size_t size;
	_Atomic bool go, gone;
};

static void *locked_main(void *arg)
{
	(void)arg;
	return (void *)(long)(mlockall(MCL_CURRENT) ? errno : 0);
}

/* One thread brings in all there is; another takes the region away meanwhile. */
static int locked_child(void *arg)
{
	struct locked_child *c = arg;
	pthread_t t;
	void *ret;

	CHECK(!pthread_create(&t, NULL, locked_main, NULL));
	while (!atomic_load(&c->go))
		sched_yield();
	CHECK(!munmap(c->p, c->size));
	atomic_store(&c->gone, true);
	pthread_join(t, &ret);
	CHECK(!ret);
	return 0;
}

/*
 * Who brings in pages of several mappings goes on with the next when one is
 * refused, and relies on that the one that failed is still there if nobody told
 * it that it had no lock meanwhile. A kernel with KASAN tells if it is not.
 */
TEST_F(paged, refuse_what_is_not_mapped_any_more)
{
	struct locked_child *c = map_shared(sizeof(*c));
	struct mbuf_fault f;
	pid_t pid;
	int i;

	ASSERT_NE(NULL, c);
	c->p = self->p;
	c->size = self->size;
	for (i = 0; i < 8; i++) {
		atomic_store(&c->go, false);
		atomic_store(&c->gone, false);
		pid = spawn(locked_child, c);
		ASSERT_EQ(1, pg_fault(self->pager, &f));
		ASSERT_TRUE(EVENTUALLY(waits(self->pager, 1)));
		atomic_store(&c->go, true);
		ASSERT_TRUE(EVENTUALLY(atomic_load(&c->gone)));
		EXPECT_EQ(0, pg_refuse(self->pager, &f));
		EXPECT_EQ(0, reap(pid));
	}
	munmap(c, sizeof(*c));
}

/* More than the kernel keeps in mind at once: then some are refused again. */
TEST_F(paged, refuse_many)
{
	struct toucher t[48];
	struct mbuf_fault f;
	unsigned int i, left = 48;
	int ret;

	for (i = 0; i < 48; i++)
		ASSERT_TRUE(toucher_start(&t[i], self->p + PAGE(i % 2), -1));
	ASSERT_WAITING(48);
	while (left) {
		ret = pg_faults(self->pager, &f, 1, in_ms(10));
		ASSERT_TRUE(ret == 1 || ret == -ETIMEDOUT);
		if (ret == 1)
			EXPECT_EQ(0, pg_refuse(self->pager, &f));
		for (i = 0, left = 0; i < 48; i++)
			left += !atomic_load(&t[i].done);
	}
	for (i = 0; i < 48; i++)
		EXPECT_EQ(-SIGBUS, toucher_join(&t[i]));
	/* And nobody for nothing. */
	supply_pages(0, 2);
	for (i = 0; i < 48; i++)
		ASSERT_TRUE(toucher_start(&t[i], self->p + PAGE(i % 2), -1));
	for (i = 0; i < 48; i++)
		EXPECT_LE(0, toucher_join(&t[i]));
}

/* Those who wait for one page share a message. */
TEST_F(paged, shared_message)
{
	struct toucher t[4];
	struct mbuf_fault f;
	int i;

	for (i = 0; i < 4; i++)
		ASSERT_TRUE(toucher_start(&t[i], self->p + PAGE(1) + i, -1));
	ASSERT_WAITING(4);
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_EQ(-EAGAIN, pg_faults(self->pager, &f, 1, MBUF_NOW));
	EXPECT_EQ(1, pg_info(self->pager).faults);
	supply_pages(1, 1);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(self->data[PAGE(1) + i], toucher_join(&t[i]));

	for (i = 0; i < 4; i++)
		ASSERT_TRUE(toucher_start(&t[i], self->p + PAGE(2), i - 1));
	ASSERT_WAITING(4);
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_EQ(0, pg_refuse(self->pager, &f));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(-SIGBUS, toucher_join(&t[i]));
	EXPECT_EQ(1, pg_info(self->pager).refused);
}

struct client {
	uint8_t *at;
	int value;
	int want;
};

static int client_main(void *arg)
{
	struct client *c = arg;

	CHECK_EQ(c->want, c->value < 0 ? peek(c->at) :
					 poke(c->at, (uint8_t)c->value));
	return 0;
}

/* The first of them is killed: another is the one whom it is about. */
TEST_F(paged, first_of_several_is_killed)
{
	struct client c = { .at = self->p, .value = -1 };
	struct mbuf_fault f, again;
	pid_t pid[3];
	int i, told;

	for (told = 0; told < 2; told++) {
		c.at = self->p + PAGE(told);
		c.want = self->data[PAGE(told)];
		for (i = 0; i < 3; i++) {
			pid[i] = spawn(client_main, &c);
			ASSERT_GT(pid[i], 0);
			ASSERT_WAITING((unsigned int)i + 1);
		}
		if (told)
			ASSERT_EQ(1, pg_fault(self->pager, &f));
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid[0]));
		EXPECT_EQ(2, pg_info(self->pager).waiting);
		if (told) {
			EXPECT_EQ(-EAGAIN, pg_faults(self->pager, &again, 1,
						     MBUF_NOW));
			ASSERT_EQ(1, pg_faults_flags(self->pager, &again, 1,
						     MBUF_NOW,
						     MBUF_FAULTS_AGAIN));
			EXPECT_EQ(f.id, again.id);
		} else {
			ASSERT_EQ(1, pg_fault(self->pager, &again));
		}
		EXPECT_EQ(pid[1], again.pid);
		/* One that does not lead. */
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid[2]));
		EXPECT_EQ(1, pg_info(self->pager).waiting);
		supply_pages((size_t)told, 1);
		EXPECT_EQ(0, reap(pid[1]));
	}
	/* Of the last the message goes, too. */
	c.at = self->p + PAGE(5);
	pid[0] = spawn(client_main, &c);
	ASSERT_WAITING(1);
	EXPECT_EQ(POLLIN, poll_now(self->pager, POLL_ALL));
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid[0]));
	EXPECT_EQ(0, poll_now(self->pager, POLL_ALL));
	EXPECT_EQ(-EAGAIN, pg_faults(self->pager, &f, 1, MBUF_NOW));
}

TEST_F(paged, taking_faults)
{
	struct toucher t[12];
	struct mbuf_fault f[12];
	struct mbuf_faults args = {
		.wait = wait_of(MBUF_NOW),
		.faults = (uintptr_t)f,
		.nr = 12,
		.stride = sizeof(f[0]),
	};
	struct guarded g;
	int i;

	EXPECT_EQ(-ETIMEDOUT, pg_faults(self->pager, f, 1, in_ms(20)));
	ASSERT_GE(set_nonblock(self->pager, true), 0);
	EXPECT_EQ(-EAGAIN, pg_faults(self->pager, f, 1, MBUF_FOREVER));
	set_nonblock(self->pager, false);
	for (i = 0; i < 12; i++) {
		ASSERT_TRUE(toucher_start(&t[i], self->p + PAGE((size_t)i),
					  -1));
		ASSERT_WAITING((unsigned int)i + 1);
	}
	EXPECT_EQ(POLLIN, poll_now(self->pager, POLL_ALL));

	/* What cannot be told is not taken: the rest is. */
	EXPECT_EQ(-EFAULT, pg_faults(self->pager, NULL, 4, MBUF_NOW));
	ASSERT_TRUE(guarded_alloc(&g, 3 * sizeof(f[0])));
	EXPECT_EQ(3, pg_faults(self->pager, (void *)g.p, 12, MBUF_NOW));
	memcpy(f, g.p, g.len);
	guarded_free(&g);
	EXPECT_EQ(9, pg_faults(self->pager, f + 3, 12, MBUF_NOW));
	for (i = 0; i < 12; i++)
		EXPECT_EQ(PAGE((size_t)i), f[i].offset);
	EXPECT_EQ(0, poll_now(self->pager, POLL_ALL));

	args.nr = 0;
	EXPECT_EQ(-EINVAL, xioctl(self->pager, MBUF_IOC_FAULTS, &args));
	args.nr = 1025;
	EXPECT_EQ(-EINVAL, xioctl(self->pager, MBUF_IOC_FAULTS, &args));
	args.nr = 12;
	args.stride = 32;
	EXPECT_EQ(-EINVAL, xioctl(self->pager, MBUF_IOC_FAULTS, &args));
	args.stride = sizeof(f[0]);
	args.flags = 2;
	EXPECT_EQ(-EINVAL, xioctl(self->pager, MBUF_IOC_FAULTS, &args));
	args.flags = 0;
	args.resv = 1;
	EXPECT_EQ(-EINVAL, xioctl(self->pager, MBUF_IOC_FAULTS, &args));
	args.resv = 0;
	args.flags = MBUF_FAULTS_AGAIN;
	EXPECT_EQ(12, xioctl(self->pager, MBUF_IOC_FAULTS, &args));
	supply_pages(0, 16);
	for (i = 0; i < 12; i++)
		EXPECT_EQ(self->data[PAGE(i)], toucher_join(&t[i]));
	EXPECT_EQ(-EAGAIN, xioctl(self->pager, MBUF_IOC_FAULTS, &args));

	/* No mapping is left, and no right. */
	close_fd(&self->region);
	EXPECT_EQ(0, poll_now(self->pager, POLL_ALL));
	munmap(self->p, self->size);
	self->p = NULL;
	EXPECT_EQ(POLLHUP, poll_now(self->pager, POLL_ALL));
	EXPECT_EQ(-EPIPE, pg_faults(self->pager, f, 1, MBUF_FOREVER));
	EXPECT_EQ(0, pg_info(self->pager).clients);
	/* What it has can be had back. */
	EXPECT_EQ(16, pg_evict(self->pager, 0, self->data, self->size));
}

struct taker {
	int pager;
	int ret;
	struct mbuf_fault f;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *taker_main(void *arg)
{
	struct taker *t = arg;

	atomic_store(&t->tid, (pid_t)syscall(SYS_gettid));
	t->ret = pg_faults(t->pager, &t->f, 1, MBUF_FOREVER);
	return NULL;
}

/* Each thread gets one; a signal ends a wait, and loses none. */
TEST_F(paged, several_threads_take)
{
	struct taker k[3] = {};
	struct toucher t[3];
	int i, interrupted = 0;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	for (i = 0; i < 3; i++) {
		k[i].pager = self->pager;
		ASSERT_EQ(0, pthread_create(&k[i].thread, NULL, taker_main,
					    &k[i]));
		ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(k[i].tid,
						       MBUF_IOC_FAULTS)));
	}
	pthread_kill(k[0].thread, SIGUSR1);
	pthread_join(k[0].thread, NULL);
	EXPECT_EQ(-EINTR, k[0].ret);
	for (i = 0; i < 2; i++)
		ASSERT_TRUE(toucher_start(&t[i], self->p + PAGE((size_t)i),
					  -1));
	for (i = 1; i < 3; i++) {
		pthread_join(k[i].thread, NULL);
		EXPECT_EQ(1, k[i].ret);
		interrupted += k[i].ret == -EINTR;
	}
	EXPECT_EQ(0, interrupted);
	EXPECT_NE(k[1].f.offset, k[2].f.offset);
	supply_pages(0, 2);
	for (i = 0; i < 2; i++)
		EXPECT_EQ(self->data[PAGE(i)], toucher_join(&t[i]));

	/* The last right goes while they wait. */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pthread_create(&k[i].thread, NULL, taker_main,
					    &k[i]));
		ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(k[i].tid,
						       MBUF_IOC_FAULTS)));
	}
	close_fd(&self->region);
	munmap(self->p, self->size);
	self->p = NULL;
	for (i = 0; i < 3; i++) {
		pthread_join(k[i].thread, NULL);
		EXPECT_EQ(-EPIPE, k[i].ret);
	}
}

/* Evicting */

TEST_F(paged, evict)
{
	uint8_t *back = map_pages(self->size, PROT_READ | PROT_WRITE);
	uint8_t states[4];
	struct mbuf_evict e = {
		.size = PAGE(4),
		.data = (uintptr_t)back,
		.states = (uintptr_t)states,
	};
	struct mbuf_paged_info info;
	struct mbuf_fault f;
	struct toucher t;
	int i;

	ASSERT_NE(NULL, back);
	supply_pages(0, 3);
	for (i = 0; i < 3; i++)
		EXPECT_PAGE(i);
	self->p[PAGE(1) + 5] = 200;
	poison(back, self->size);
	ASSERT_EQ(0, xioctl(self->pager, MBUF_IOC_EVICT, &e));
	EXPECT_EQ(PAGE(4), e.done);
	EXPECT_EQ(3, e.evicted);
	EXPECT_EQ(1, e.dirty);
	EXPECT_EQ(0, e.busy);
	EXPECT_EQ(MBUF_PAGE_EVICTED, states[0]);
	EXPECT_EQ(MBUF_PAGE_EVICTED | MBUF_PAGE_DIRTY, states[1]);
	EXPECT_EQ(MBUF_PAGE_EVICTED, states[2]);
	EXPECT_EQ(0, states[3]);
	self->data[PAGE(1) + 5] = 200;
	EXPECT_EQ(0, memcmp(back, self->data, PAGE(3)));
	EXPECT_TRUE(is_poison(back + PAGE(3), self->page));
	info = pg_info(self->pager);
	EXPECT_EQ(0, info.resident);
	EXPECT_EQ(3, info.evicted);

	/* It faults again. */
	ASSERT_TRUE(toucher_start(&t, self->p + PAGE(1) + 5, -1));
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_EQ(PAGE(1), f.offset);
	supply_pages(1, 1);
	EXPECT_EQ(200, toucher_join(&t));
	EXPECT_PAGE(1);

	/* Arguments; a buffer that is too short. */
	EXPECT_EQ(-EINVAL, pg_evict(self->pager, PAGE(15), back, PAGE(2)));
	EXPECT_EQ(-EINVAL, pg_evict(self->pager, 1, back, PAGE(1)));
	e.flags = MBUF_EVICT_DROP;
	EXPECT_EQ(-EINVAL, xioctl(self->pager, MBUF_IOC_EVICT, &e));
	e.flags = 2;
	EXPECT_EQ(-EINVAL, xioctl(self->pager, MBUF_IOC_EVICT, &e));
	mprotect(back, self->page, PROT_READ);
	EXPECT_EQ(-EFAULT, pg_evict(self->pager, PAGE(1), back, PAGE(1)));
	EXPECT_PAGE(1);
	EXPECT_EQ(MBUF_PAGE_RESIDENT, pg_state(self->pager, PAGE(1)));
	e = (struct mbuf_evict){ .offset = PAGE(1), .size = PAGE(1) };
	EXPECT_EQ(-EFAULT, xioctl(self->pager, MBUF_IOC_EVICT, &e));
	EXPECT_PAGE(1);
	EXPECT_EQ(0, poll_now(self->pager, POLL_ALL));
	munmap(back, self->size);
}

/* What I/O uses stays, and I/O is what keeps it: not mlock(). */
TEST_F(paged, evict_what_is_in_use)
{
	struct iovec iov = { self->p, self->page };
	struct mbuf_evict e = {
		.size = PAGE(2),
		.flags = MBUF_EVICT_DROP,
	};
	uint8_t *back = map_pages(self->page, PROT_READ | PROT_WRITE);
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	supply_pages(0, 2);
	EXPECT_PAGE(0);
	ASSERT_EQ((ssize_t)self->page, vmsplice(fds[1], &iov, 1, 0));
	EXPECT_EQ(-EBUSY, pg_evict(self->pager, 0, back, self->page));
	EXPECT_EQ(0, xioctl(self->pager, MBUF_IOC_EVICT, &e));
	EXPECT_EQ(1, e.evicted);
	EXPECT_EQ(1, e.busy);
	EXPECT_PAGE(0);
	/* Cleaning it would be a lie. */
	self->p[0] = self->data[0];
	EXPECT_EQ(1, pg_protect(self->pager, 0, self->page,
				MBUF_PROTECT_CLEAN));
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_DIRTY,
		  pg_state(self->pager, 0));
	ASSERT_EQ((ssize_t)self->page, read(fds[0], back, self->page));
	EXPECT_EQ(0, memcmp(back, self->data, self->page));
	EXPECT_EQ(0, pg_protect(self->pager, 0, self->page,
				MBUF_PROTECT_CLEAN));
	EXPECT_EQ(1, pg_evict(self->pager, 0, back, self->page));

	supply_pages(0, 16);
	EXPECT_EQ(0, mlock(self->p, self->size));
	EXPECT_EQ(16, pg_evict(self->pager, 0, NULL, self->size));
	EXPECT_EQ(0, munlock(self->p, self->size));
	close(fds[0]);
	close(fds[1]);
	munmap(back, self->page);
}

/* What is written to, and writes that have to be asked for. */
TEST_F(paged, protect)
{
	struct mbuf_fault f;
	struct toucher t;

	ASSERT_EQ(1, pg_supply(self->pager, 0, self->data, self->page,
			       MBUF_SUPPLY_PROTECT));
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_PROTECTED,
		  pg_state(self->pager, 0));
	/* Reading is free. */
	EXPECT_PAGE(0);
	ASSERT_TRUE(toucher_start(&t, self->p, 1));
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_EQ(0, f.offset);
	EXPECT_EQ(MBUF_FAULT_WRITE | MBUF_FAULT_PROTECTED, f.access);
	/* Also while somebody waits to write. */
	EXPECT_PAGE(0);
	EXPECT_EQ(0, pg_supply(self->pager, 0, self->data, self->page, 0));
	EXPECT_FALSE(t.done);
	EXPECT_EQ(0, pg_refuse(self->pager, &f));
	EXPECT_EQ(-SIGBUS, toucher_join(&t));
	EXPECT_PAGE(0);

	ASSERT_TRUE(toucher_start(&t, self->p, 1));
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_EQ(0, pg_protect(self->pager, 0, self->page, 0));
	EXPECT_EQ(0, toucher_join(&t));
	EXPECT_EQ(1, peek(self->p));
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_DIRTY,
		  pg_state(self->pager, 0));
	/* Free from now on. */
	EXPECT_EQ(0, poke(self->p, 2));

	/* Dirty again only if written to again. */
	EXPECT_EQ(0, pg_protect(self->pager, 0, self->size,
				MBUF_PROTECT_CLEAN));
	EXPECT_EQ(MBUF_PAGE_RESIDENT, pg_state(self->pager, 0));
	EXPECT_EQ(2, peek(self->p));
	EXPECT_EQ(MBUF_PAGE_RESIDENT, pg_state(self->pager, 0));
	EXPECT_EQ(0, poke(self->p, 3));
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_DIRTY,
		  pg_state(self->pager, 0));
	/* Both. */
	EXPECT_EQ(0, pg_protect(self->pager, 0, self->size,
				MBUF_PROTECT_CLEAN | MBUF_PROTECT_ASK));
	EXPECT_EQ(3, peek(self->p));
	ASSERT_TRUE(toucher_start(&t, self->p, 4));
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_EQ(MBUF_FAULT_WRITE | MBUF_FAULT_PROTECTED, f.access);
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_PROTECTED,
		  pg_state(self->pager, 0));
	/* It is taken away instead: then it is to be supplied. */
	EXPECT_EQ(1, pg_evict(self->pager, 0, self->data, self->page));
	EXPECT_EQ(3, self->data[0]);
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_EQ(MBUF_FAULT_WRITE, f.access);
	supply_pages(0, 1);
	EXPECT_EQ(0, toucher_join(&t));
	EXPECT_EQ(4, peek(self->p));

	EXPECT_EQ(-EINVAL, pg_protect(self->pager, 0, self->page, 8));
	EXPECT_EQ(-EINVAL, pg_protect(self->pager, 0, 0, 0));
	EXPECT_EQ(-EINVAL, pg_pages(self->pager, 0, self->size + self->page,
				    self->data));
	EXPECT_EQ(-EFAULT, pg_pages(self->pager, 0, self->size, NULL));
}

/* Which pages are in use? */
TEST_F(paged, mapped)
{
	uint8_t *r;

	supply_pages(0, 4);
	supply_pages(5, 2);
	EXPECT_EQ(0, pg_mapped(self->pager, 0));
	/* Who reads gets what follows, too; who writes does not. */
	EXPECT_EQ(0, poke(self->p, self->data[0]));
	EXPECT_EQ(1, pg_mapped(self->pager, 0));
	EXPECT_EQ(0, pg_mapped(self->pager, PAGE(1)));
	EXPECT_PAGE(2);
	EXPECT_EQ(0, pg_mapped(self->pager, PAGE(1)));
	EXPECT_EQ(1, pg_mapped(self->pager, PAGE(3)));
	EXPECT_EQ(0, pg_mapped(self->pager, PAGE(5)));
	EXPECT_PAGE(3);
	/* Up to the end of the mapping; over what is mapped already. */
	EXPECT_EQ(0, poke(self->p + PAGE(6), self->data[PAGE(6)]));
	EXPECT_PAGE(5);
	EXPECT_PAGE(6);
	EXPECT_EQ(MBUF_PAGE_RESIDENT, pg_state(self->pager, PAGE(3)));
	/* What was mapped like this is written to like any other. */
	EXPECT_EQ(0, poke(self->p + PAGE(3), self->data[PAGE(3)]));
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_DIRTY,
		  pg_state(self->pager, PAGE(3)));
	r = mmap(NULL, PAGE(2), PROT_READ, MAP_SHARED, self->region,
		 (off_t)PAGE(1));
	ASSERT_NE(MAP_FAILED, r);
	EXPECT_EQ(0, memcmp(r, self->data + PAGE(1), PAGE(2)));
	munmap(r, PAGE(2));
	self->p[PAGE(1)] = self->data[PAGE(1)];
	EXPECT_EQ(0, pg_protect(self->pager, 0, self->size,
				MBUF_PROTECT_UNMAP));
	EXPECT_EQ(0, pg_mapped(self->pager, 0));
	EXPECT_EQ(0, pg_mapped(self->pager, PAGE(1)));
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_DIRTY,
		  pg_state(self->pager, PAGE(1)));
	EXPECT_PAGE(0);
	EXPECT_EQ(1, pg_mapped(self->pager, 0));
	EXPECT_EQ(0, pg_mapped(self->pager, PAGE(1)));
	EXPECT_EQ(0, pg_info(self->pager).faults);
}

/* Mappings */

TEST_F(paged, fewer_rights)
{
	int ro = rg_grant(self->session, self->region, RIGHTS_R), rw;
	struct mbuf_region_info info;
	struct mbuf_fault f;
	struct toucher t;
	uint8_t *r;

	ASSERT_GE(ro, 0);
	ASSERT_EQ(0, rg_info(ro, &info));
	EXPECT_EQ(RIGHTS_R, info.rights);
	EXPECT_EQ(self->id, info.id);
	EXPECT_EQ(-EPERM, rg_grant(self->session, ro, RIGHTS_RW));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->size, PROT_READ | PROT_WRITE,
				   MAP_SHARED, ro, 0));
	r = mmap(NULL, self->size, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT_NE(MAP_FAILED, r);
	EXPECT_EQ(-1, mprotect(r, self->size, PROT_READ | PROT_WRITE));
	ASSERT_TRUE(toucher_start(&t, r, -1));
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_EQ(MBUF_FAULT_READ, f.access);
	supply_pages(0, 1);
	EXPECT_EQ(self->data[0], toucher_join(&t));
	EXPECT_EQ(0, poke(self->p, 3));
	EXPECT_EQ(3, peek(r));
	EXPECT_EQ(-SIGSEGV, poke(r, 4));
	EXPECT_EQ(2, pg_info(self->pager).clients);
	munmap(r, self->size);
	close(ro);
	rw = rg_grant(self->session, self->region, RIGHTS_RW);
	ASSERT_GE(rw, 0);
	r = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED, rw, 0);
	ASSERT_NE(MAP_FAILED, r);
	EXPECT_EQ(0, poke(r, 4));
	EXPECT_EQ(4, peek(self->p));
	munmap(r, self->size);
	close(rw);
	EXPECT_EQ(1, pg_info(self->pager).clients);
}

/* Over a channel. */
TEST_F(paged, offered)
{
	struct mbuf_offer o = offer_of(16, RIGHTS_R, MBUF_OFFER_MEMFD);
	struct mbuf_region_info info;
	int end[2], mine, theirs, ro;
	uint8_t *r;

	ASSERT_EQ(0, ch_create(self->session, 0, end));
	o.memory.fd = self->pager;
	EXPECT_EQ(-EPERM, rg_offer(end[0], &o));
	ro = rg_grant(self->session, self->region, RIGHTS_R);
	ASSERT_GE(ro, 0);
	o.memory.fd = ro;
	EXPECT_EQ(-EPERM, rg_offer(end[0], &o));
	close(ro);
	o.memory.fd = self->region;
	o.max += self->page;
	EXPECT_EQ(-EINVAL, rg_offer(end[0], &o));
	o.max -= self->page;
	ASSERT_EQ(0, rg_agree(end[0], end[1], &o, RIGHTS_R, &mine, &theirs));
	ASSERT_EQ(0, rg_info(theirs, &info));
	EXPECT_EQ(RIGHTS_R, info.rights);
	EXPECT_EQ(MBUF_REGION_PAGED, info.options);
	EXPECT_EQ(self->id, info.id);
	ASSERT_EQ(0, rg_info(mine, &info));
	EXPECT_EQ(RIGHTS_RW, info.rights);
	EXPECT_EQ(3, pg_info(self->pager).clients);
	supply_pages(0, 1);
	r = mmap(NULL, self->size, PROT_READ, MAP_SHARED, theirs, 0);
	ASSERT_NE(MAP_FAILED, r);
	EXPECT_EQ(self->data[0], peek(r));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, self->size, PROT_READ | PROT_WRITE,
				   MAP_SHARED, theirs, 0));
	munmap(r, self->size);
	close(mine);
	close(theirs);
	close(end[0]);
	close(end[1]);
}

/* A private mapping's copies are nobody else's. */
TEST_F(paged, private_mapping)
{
	int ro = rg_grant(self->session, self->region, RIGHTS_R);
	struct mbuf_fault f;
	struct toucher t;
	uint8_t *r;

	ASSERT_GE(ro, 0);
	r = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0);
	ASSERT_NE(MAP_FAILED, r);
	/* For the pager that is reading. */
	ASSERT_TRUE(toucher_start(&t, r, 7));
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_EQ(MBUF_FAULT_READ, f.access);
	ASSERT_EQ(1, pg_supply(self->pager, 0, self->data, self->page,
			       MBUF_SUPPLY_PROTECT));
	EXPECT_EQ(0, toucher_join(&t));
	EXPECT_EQ(7, peek(r));
	EXPECT_PAGE(0);
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_PROTECTED,
		  pg_state(self->pager, 0));
	supply_pages(1, 1);
	EXPECT_EQ(self->data[PAGE(1)], peek(r + PAGE(1)));
	EXPECT_EQ(0, poke(r + PAGE(1), 8));
	EXPECT_EQ(MBUF_PAGE_RESIDENT, pg_state(self->pager, PAGE(1)));
	EXPECT_EQ(2, pg_evict(self->pager, 0, NULL, PAGE(2)));
	EXPECT_EQ(7, peek(r));
	EXPECT_EQ(8, peek(r + PAGE(1)));
	EXPECT_EQ(0, pg_info(self->pager).waiting);
	munmap(r, self->size);
	close(ro);
}

static int inherit_main(void *arg)
{
	struct client *c = arg;

	CHECK_EQ(c->want, peek(c->at));
	CHECK_EQ(0, poke(c->at, (uint8_t)c->value));
	return 0;
}

TEST_F(paged, inherited)
{
	struct client c = { .at = self->p + PAGE(2), .value = 33 };
	struct mbuf_fault f;
	pid_t pid;

	supply_pages(1, 1);
	EXPECT_PAGE(1);
	c.want = self->data[PAGE(2)];
	pid = spawn(inherit_main, &c);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	EXPECT_EQ(pid, f.pid);
	EXPECT_EQ(pid, f.tid);
	supply_pages(2, 1);
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(33, peek(self->p + PAGE(2)));
	/* What the child touched is unmapped from there, too. */
	c.at = self->p + PAGE(1);
	c.want = self->data[PAGE(1)];
	ASSERT_EQ(0, reap(spawn(inherit_main, &c)));
	EXPECT_EQ(33, peek(self->p + PAGE(1)));
}

TEST_F(paged, moved_and_split)
{
	uint8_t *room = map_pages(2 * self->size, PROT_NONE), *q;

	ASSERT_NE(NULL, room);
	supply_pages(0, 16);
	EXPECT_PAGE(9);
	q = mremap(self->p, self->size, self->size,
		   MREMAP_MAYMOVE | MREMAP_FIXED, room);
	ASSERT_EQ(room, q);
	EXPECT_EQ(0, memcmp(q, self->data, self->size));
	self->p = q;
	/* To grow it would be to reach beyond what was granted. */
	EXPECT_EQ(MAP_FAILED, mremap(q, self->size, 2 * self->size,
				     MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);
	/* In pieces. */
	EXPECT_EQ(0, mprotect(q + PAGE(4), PAGE(2), PROT_READ));
	EXPECT_EQ(0, munmap(q + PAGE(8), PAGE(2)));
	EXPECT_EQ(-SIGSEGV, poke(q + PAGE(4), 1));
	EXPECT_EQ(0, poke(q + PAGE(6), 1));
	EXPECT_EQ(16, pg_evict(self->pager, 0, NULL, self->size));
	EXPECT_EQ(-EAGAIN, pg_faults(self->pager, &(struct mbuf_fault){}, 1,
				     MBUF_NOW));
	supply_pages(0, 16);
	EXPECT_PAGE(4);
	EXPECT_PAGE(6);
	EXPECT_PAGE(15);
	q = mremap(q + PAGE(10), PAGE(6), PAGE(3), 0);
	EXPECT_NE(MAP_FAILED, q);
	EXPECT_PAGE(12);
	EXPECT_EQ(-SIGSEGV, peek(self->p + PAGE(13)));
}

TEST_F(paged, advice)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)self->p, self->size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	static const int harmless[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
		MADV_COLD, MADV_PAGEOUT, MADV_DONTNEED, MADV_HUGEPAGE,
		MADV_NOHUGEPAGE, MADV_MERGEABLE, MADV_DONTDUMP,
	};
	static const int failing[] = { MADV_REMOVE, MADV_FREE, MADV_DODUMP };
	unsigned char vec[16];
	struct server s;
	unsigned int i;
	int fd;

	supply_pages(0, 16);
	for (i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		self->p[PAGE(i)] = self->data[PAGE(i)];
		/* Some are not known to every kernel. */
		if (madvise(self->p, self->size, harmless[i])) {
			EXPECT_EQ(EINVAL, errno) {
				TH_LOG("advice %d", harmless[i]);
			}
		}
		EXPECT_EQ(0, memcmp(self->p, self->data, self->size));
	}
	for (i = 0; i < sizeof(failing) / sizeof(failing[0]); i++) {
		EXPECT_EQ(-1, madvise(self->p, self->size, failing[i])) {
			TH_LOG("advice %d", failing[i]);
		}
		EXPECT_EQ(0, memcmp(self->p, self->data, self->size));
	}
	EXPECT_EQ(0, msync(self->p, self->size, MS_SYNC));
	EXPECT_EQ(0, msync(self->p, self->size, MS_ASYNC | MS_INVALIDATE));
	EXPECT_EQ(0, mincore(self->p, self->size, vec));
	EXPECT_EQ(0, pg_info(self->pager).faults);
	/* Nothing of it keeps pages, or makes them part of something else. */
	EXPECT_EQ(16, pg_evict(self->pager, 0, NULL, self->size));

	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		ASSERT_EQ(0, ioctl(fd, UFFDIO_API, &api));
		EXPECT_EQ(-1, ioctl(fd, UFFDIO_REGISTER, &reg));
		EXPECT_EQ(EINVAL, errno);
		close(fd);
	}

	ASSERT_TRUE(server_start(&s, self->pager, self->data, self->size));
	EXPECT_EQ(0, madvise(self->p, PAGE(2), MADV_POPULATE_READ));
	EXPECT_EQ(0, madvise(self->p + PAGE(2), PAGE(2), MADV_POPULATE_WRITE));
	EXPECT_EQ(4, pg_info(self->pager).resident);
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_DIRTY,
		  pg_state(self->pager, PAGE(2)));
	EXPECT_EQ(0, mlock(self->p + PAGE(4), PAGE(4)));
	EXPECT_EQ(8, pg_info(self->pager).resident);
	EXPECT_EQ(8, pg_evict(self->pager, 0, NULL, self->size));
	close_fd(&self->region);
	munmap(self->p, self->size);
	self->p = NULL;
	pthread_join(s.thread, NULL);
	EXPECT_EQ(0, s.ret);
	EXPECT_EQ(8, s.served);
}

/* Futexes are of the memory, whoever has it mapped, and where. */
TEST_F(paged, futex)
{
	uint32_t *word = (uint32_t *)self->p, *other;
	uint8_t *r = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  self->region, 0);
	int status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, r);
	other = (uint32_t *)r;
	ASSERT_EQ(1, pg_zero(self->pager, 0, self->page));
	pid = fork();
	if (!pid) {
		long ret;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		do {
			ret = sys_result(syscall(SYS_futex, word, FUTEX_WAIT, 0,
						 NULL, NULL, 0));
		} while (ret == -EINTR);
		_exit(ret == 0 ? 0 : 1);
	}
	ASSERT_GT(pid, 0);
	EXPECT_TRUE(EVENTUALLY(syscall(SYS_futex, other, FUTEX_WAKE, 1, NULL,
				       NULL, 0) == 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	munmap(r, self->size);
}

/* Who looks at another's memory does not wait for its pager. */
TEST_F(paged, looked_at_from_outside)
{
	uint8_t buf[16];
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	struct iovec local = { buf, sizeof(buf) };
	struct iovec remote = { self->p + PAGE(3), sizeof(buf) };
	struct server s;

	ASSERT_GE(mem, 0);
	EXPECT_EQ(-1, pread(mem, buf, sizeof(buf), (off_t)(uintptr_t)self->p));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(0, pg_info(self->pager).faults);
	supply_pages(0, 1);
	EXPECT_EQ((ssize_t)sizeof(buf), pread(mem, buf, sizeof(buf),
					      (off_t)(uintptr_t)self->p));
	EXPECT_EQ(0, memcmp(buf, self->data, sizeof(buf)));
	/* A debugger's writing counts like any other. */
	EXPECT_EQ(1, pwrite(mem, "x", 1, (off_t)(uintptr_t)self->p));
	EXPECT_EQ('x', peek(self->p));
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_DIRTY,
		  pg_state(self->pager, 0));
	close(mem);

	ASSERT_TRUE(server_start(&s, self->pager, self->data, self->size));
	EXPECT_EQ((ssize_t)sizeof(buf),
		  process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(0, memcmp(buf, self->data + PAGE(3), sizeof(buf)));
	remote.iov_base = self->p + PAGE(4);
	EXPECT_EQ((ssize_t)sizeof(buf),
		  process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
	EXPECT_EQ(self->data[PAGE(3)], peek(self->p + PAGE(4)));
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_DIRTY,
		  pg_state(self->pager, PAGE(4)));
	EXPECT_EQ(2, pg_evict(self->pager, PAGE(3), NULL, PAGE(2)));
	close_fd(&self->region);
	munmap(self->p, self->size);
	self->p = NULL;
	pthread_join(s.thread, NULL);
	EXPECT_EQ(0, s.ret);
}

/* A file without a name, or else a RAM disk: tmpfs has O_DIRECT since 6.6. */
static int open_direct(void)
{
	static const char *const dirs[] = { "/tmp", "/var/tmp", "/root", "/dev/shm" };
	char path[64];
	unsigned int i;
	int fd;

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/paged-XXXXXX", dirs[i]);
		fd = mkostemp(path, O_DIRECT | O_CLOEXEC);
		/* Or it was made, and then not opened. */
		unlink(path);
		if (fd >= 0)
			return fd;
	}
	return open("/dev/ram0", O_RDWR | O_DIRECT | O_CLOEXEC);
}

/* Into pages that are not there, and out of them. */
TEST_F(paged, direct_io)
{
	int fd = open_direct();
	struct server s;

	if (fd < 0)
		SKIP(return, "no file system with O_DIRECT, and no /dev/ram0: %s",
		     strerror(errno));
	ASSERT_TRUE(server_start(&s, self->pager, self->data, self->size));
	EXPECT_EQ((ssize_t)PAGE(4), pwrite(fd, self->p, PAGE(4), 0));
	EXPECT_EQ((ssize_t)PAGE(4), pread(fd, self->p + PAGE(8), PAGE(4), 0));
	EXPECT_EQ(0, memcmp(self->p + PAGE(8), self->data, PAGE(4)));
	EXPECT_EQ(8, pg_info(self->pager).resident);
	EXPECT_EQ(MBUF_PAGE_RESIDENT | MBUF_PAGE_DIRTY,
		  pg_state(self->pager, PAGE(8)));
	EXPECT_TRUE(EVENTUALLY(pg_evict(self->pager, 0, NULL, self->size) >= 0 &&
			       !pg_info(self->pager).resident));
	close(fd);
	close_fd(&self->region);
	munmap(self->p, self->size);
	self->p = NULL;
	pthread_join(s.thread, NULL);
	EXPECT_EQ(0, s.ret);
}

/* Slow pagers */

struct sleeper {
	uint8_t *at;
	_Atomic pid_t tid;
	pthread_t thread;
	_Atomic bool done;
	int ret;
};

static void *sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	s->tid = (pid_t)syscall(SYS_gettid);
	s->ret = *(volatile uint8_t *)s->at;
	s->done = true;
	return NULL;
}

/* Signals are handled meanwhile, and the access made again. */
TEST_F(paged, signals_while_waiting)
{
	struct sleeper s = { .at = self->p };
	struct mbuf_fault f, again;

	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, sleeper_main, &s));
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	ASSERT_TRUE(EVENTUALLY(task_state(s.tid) == 'S'));
	pthread_kill(s.thread, SIGUSR1);
	ASSERT_EQ(1, pg_fault(self->pager, &again));
	EXPECT_EQ(1, signals_seen);
	EXPECT_NE(f.id, again.id);
	EXPECT_EQ(f.tid, again.tid);
	EXPECT_EQ(-ENOENT, pg_refuse(self->pager, &f));
	supply_pages(0, 1);
	ASSERT_TRUE(EVENTUALLY(s.done));
	pthread_join(s.thread, NULL);
	EXPECT_EQ(self->data[0], s.ret);
}

/*
 * A client that waits, also in a system call, can be killed; its address space
 * can be looked at and changed by others; and nobody has to wait for it.
 */
struct slow {
	uint8_t *p;
	int fd;
	bool in_kernel;
	bool as_argv;
};

static int slow_main(void *arg)
{
	struct slow *s = arg;

	if (s->as_argv) {
		CHECK_EQ(0, prctl(PR_SET_MM, PR_SET_MM_ARG_START, s->p, 0, 0));
		CHECK_EQ(0, prctl(PR_SET_MM, PR_SET_MM_ARG_END, s->p + 100, 0,
				  0));
	}
	if (s->in_kernel)
		CHECK_EQ(8, xwrite(s->fd, s->p, 8));
	return *(volatile uint8_t *)s->p;
}

TEST_F(paged, killed_while_waiting)
{
	struct slow s = { .p = self->p };
	int fds[2], i;
	pid_t pid;

	ASSERT_EQ(0, pipe(fds));
	s.fd = fds[1];
	for (i = 0; i < 2; i++) {
		s.in_kernel = i;
		pid = spawn(slow_main, &s);
		ASSERT_GT(pid, 0);
		ASSERT_WAITING(1);
		/* In a system call a wait is one that only killing ends. */
		EXPECT_TRUE(EVENTUALLY(task_state(pid) == (i ? 'D' : 'S')));
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
		EXPECT_EQ(0, pg_info(self->pager).waiting);
	}
	close(fds[0]);
	close(fds[1]);
}

TEST_F(paged, others_are_not_kept_waiting)
{
	struct slow s = { .p = self->p, .as_argv = true };
	char path[64], text[4096];
	struct toucher t;
	uint8_t *more;
	pid_t pid;

	/* Also from the same address space. */
	ASSERT_TRUE(toucher_start(&t, self->p + PAGE(1), -1));
	ASSERT_WAITING(1);
	more = map_pages(PAGE(4), PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, more);
	more[0] = 1;
	EXPECT_EQ(0, mprotect(more, PAGE(1), PROT_NONE));
	EXPECT_EQ(0, munmap(more, PAGE(4)));
	EXPECT_TRUE(read_file("/proc/self/maps", text, sizeof(text)) ||
		    text[0]);
	/* The mapping itself can go while somebody waits in it. */
	EXPECT_EQ(0, munmap(self->p + PAGE(1), PAGE(1)));
	supply_pages(1, 1);
	EXPECT_EQ(-SIGSEGV, toucher_join(&t));

	NEED_ROOT();
	pid = spawn(slow_main, &s);
	ASSERT_GT(pid, 0);
	ASSERT_WAITING(1);
	/* What ps does. */
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	read_file(path, text, sizeof(text));
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	EXPECT_TRUE(read_file(path, text, sizeof(text)) || text[0]);
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	read_file(path, text, sizeof(text));
	EXPECT_EQ(1, pg_info(self->pager).waiting);
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
}

/* All of the region that a thread waits in goes away but for its wait. */
TEST_F(paged, nothing_left_but_a_wait)
{
	struct toucher t;

	ASSERT_TRUE(toucher_start(&t, self->p, -1));
	ASSERT_WAITING(1);
	close_fd(&self->region);
	munmap(self->p, self->size);
	self->p = NULL;
	EXPECT_EQ(1, pg_info(self->pager).clients);
	close_fd(&self->pager);
	EXPECT_EQ(-SIGSEGV, toucher_join(&t));
}

/* A list of robust futexes is looked at when a thread can no longer be killed. */
static int robust_main(void *arg)
{
	struct slow *s = arg;

	/* struct robust_list_head: three words of the program's own size. */
	CHECK_EQ(0, sys_result(syscall(SYS_set_robust_list, s->p,
				       3 * sizeof(long))));
	return 0;
}

TEST_F(paged, ends_with_a_slow_pager)
{
	struct slow s = { .p = self->p };

	ASSERT_EQ(0, reap(spawn(robust_main, &s)));
	EXPECT_EQ(0, pg_info(self->pager).waiting);
}

/* A buffer of the pager's own that is stuck. */
struct stuck_call {
	int pager;
	uint8_t *data;
	bool evict;
	long ret;
	pthread_t thread;
	_Atomic bool done;
};

static void *stuck_main(void *arg)
{
	struct stuck_call *c = arg;

	c->ret = c->evict ? pg_evict(c->pager, 0, c->data, page_size()) :
			    pg_supply(c->pager, 0, c->data, page_size(), 0);
	c->done = true;
	return NULL;
}

TEST_F(paged, stuck_pager)
{
	struct stuck_call c = { .pager = self->pager };
	struct slow s = { .p = self->p };
	struct stuck stuck;
	int ret, i;
	pid_t pid;

	for (i = 0; i < 2; i++) {
		ret = stuck_alloc(&stuck, self->page);
		if (ret)
			SKIP(return, "no userfaultfd: %s", strerror(-ret));
		c.evict = i;
		c.done = false;
		c.data = stuck.p;
		if (i)
			supply_pages(0, 1);
		ASSERT_EQ(0, pthread_create(&c.thread, NULL, stuck_main, &c));
		ASSERT_NE(0, stuck_wait(&stuck));
		pid = spawn(slow_main, &s);
		ASSERT_GT(pid, 0);
		ASSERT_WAITING(1);
		/* Of what is being taken out nobody is told. */
		EXPECT_EQ(i ? 0 : POLLIN, poll_now(self->pager, POLL_ALL));
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
		/* The rest goes on. */
		supply_pages(1, 1);
		EXPECT_PAGE(1);
		EXPECT_EQ(i ? MBUF_PAGE_RESIDENT | MBUF_PAGE_BUSY : 0,
			  pg_state(self->pager, 0));
		EXPECT_EQ(i ? -EBUSY : 0, pg_evict(self->pager, 0, self->data,
						   self->page));
		pid = spawn(slow_main, &s);
		ASSERT_GT(pid, 0);
		ASSERT_WAITING(1);
		EXPECT_EQ(0, stuck_break(&stuck));
		ASSERT_TRUE(EVENTUALLY(c.done));
		pthread_join(c.thread, NULL);
		EXPECT_EQ(-EFAULT, c.ret);
		/* It stays, and who waited for the outcome gets it. */
		if (!i)
			supply_pages(0, 1);
		EXPECT_EQ(self->data[0], reap(pid));
		EXPECT_PAGE(0);
		ASSERT_EQ(2, pg_evict(self->pager, 0, NULL, PAGE(2)));
		stuck_free(&stuck);
	}
}

/* Dead pagers */

TEST_F(paged, dead_pager)
{
	struct client c = { .at = self->p + PAGE(4), .value = -1,
			    .want = -SIGBUS };
	struct toucher t[3];
	struct mbuf_fault f;
	pid_t pid;
	int i;

	supply_pages(0, 2);
	ASSERT_EQ(1, pg_supply(self->pager, PAGE(2), self->data, self->page,
			       MBUF_SUPPLY_PROTECT));
	EXPECT_PAGE(0);
	ASSERT_TRUE(toucher_start(&t[0], self->p + PAGE(3), -1));
	ASSERT_TRUE(toucher_start(&t[1], self->p + PAGE(3), 5));
	ASSERT_TRUE(toucher_start(&t[2], self->p + PAGE(2), 5));
	pid = spawn(client_main, &c);
	ASSERT_WAITING(4);
	ASSERT_EQ(1, pg_fault(self->pager, &f));
	/* The child has a descriptor, too, until it ends. */
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	close_fd(&self->pager);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(-SIGBUS, toucher_join(&t[i]));
	/* What is there stays. */
	EXPECT_PAGE(0);
	EXPECT_PAGE(1);
	EXPECT_EQ(0, poke(self->p, 5));
	EXPECT_EQ(5, peek(self->p));
	EXPECT_EQ(-SIGBUS, poke(self->p + PAGE(2), 5));
	EXPECT_EQ(self->data[0], peek(self->p + PAGE(2)));
	EXPECT_EQ(-SIGBUS, peek(self->p + PAGE(7)));
	EXPECT_EQ(-SIGBUS, poke(self->p + PAGE(7), 1));
	EXPECT_EQ(0, reap(spawn(client_main, &c)));
	/* The module, as long as there is a mapping. */
	close_fd(&self->region);
	if (self->before.module_users >= 0)
		EXPECT_GT(module_users(), self->before.module_users);
	EXPECT_EQ(5, peek(self->p));
}

struct pager_process {
	int pager;
	int die;
};

/* Serves some, and then is not there any more. */
static int pager_process_main(void *arg)
{
	struct pager_process *p = arg;
	struct mbuf_fault f;

	while (p->die--) {
		CHECK_EQ(1, pg_fault(p->pager, &f));
		CHECK_EQ(1, pg_zero(p->pager, f.offset, page_size()));
	}
	CHECK_EQ(1, pg_fault(p->pager, &f));
	raise(SIGKILL);
	return 1;
}

TEST_F(paged, pager_is_killed)
{
	struct pager_process p = { .pager = self->pager, .die = 3 };
	pid_t pid = spawn(pager_process_main, &p);
	int i;

	ASSERT_GT(pid, 0);
	close_fd(&self->pager);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, peek(self->p + PAGE(i)));
	EXPECT_EQ(-SIGBUS, peek(self->p + PAGE(3)));
	EXPECT_EQ(128 + SIGKILL, reap(pid));
	EXPECT_EQ(-SIGBUS, peek(self->p + PAGE(3)));
	EXPECT_EQ(0, peek(self->p + PAGE(2)));
}

/* Quotas */

static int quota_main(void *arg)
{
	const size_t size = 80u << 20;
	int session = mbuf_open(), pager, region;
	struct mbuf_supply s = { .size = size, .flags = MBUF_SUPPLY_ZERO };
	struct mbuf_query before = {}, q = {};

	(void)arg;
	CHECK(session >= 0);
	CHECK_EQ(0, mbuf_query(session, &before));
	CHECK_EQ(0, pg_create(session, size, &pager, &region, NULL));
	CHECK_EQ(0, xioctl(pager, MBUF_IOC_SUPPLY, &s));
	CHECK(s.done < size);
	CHECK_EQ(0, mbuf_query(session, &q));
	CHECK(q.memory.used <= q.memory.limit);
	CHECK(q.memory.used > q.memory.limit - (1u << 20));
	CHECK_EQ(-EDQUOT, pg_zero(pager, s.done, page_size() * 64));
	CHECK_EQ((long)(s.done / page_size()), pg_evict(pager, 0, NULL,
							s.done));
	CHECK_EQ(0, mbuf_query(session, &q));
	CHECK(q.memory.used < before.memory.used + 65536);
	CHECK_EQ(64, pg_zero(pager, 0, page_size() * 64));
	return 0;
}

TEST_F(paged, who_made_it_pays)
{
	struct mbuf_query q = {}, later = {};

	ASSERT_EQ(0, mbuf_query(self->session, &q));
	supply_pages(0, 16);
	ASSERT_EQ(0, mbuf_query(self->session, &later));
	EXPECT_EQ(q.memory.used + self->size, later.memory.used);
	EXPECT_EQ(16, pg_evict(self->pager, 0, NULL, self->size));
	ASSERT_EQ(0, mbuf_query(self->session, &later));
	EXPECT_EQ(q.memory.used, later.memory.used);
	supply_pages(0, 7);

	NEED_ROOT();
	EXPECT_EQ(0, run_as(TEST_UID, quota_main, NULL));
}

/* All at once */

#define STRESS_PAGES	64
#define STRESS_CLIENTS	4
#define STRESS_ROUNDS	3000
/* At least; unless it takes too long. */
#define STRESS_EVICTIONS 500

struct stress {
	int pager;
	uint8_t *p;
	uint8_t *store;
	_Atomic bool stop;
	_Atomic long evictions, busy, failed;
	pthread_t evictor[2];
	pthread_t cleaner;
};

struct stress_client {
	struct stress *s;
	unsigned int seed;
	long done[STRESS_PAGES];
	pthread_t thread;
};

/* Adds one to a counter in a page, again and again. */
static void *stress_client_main(void *arg)
{
	struct stress_client *c = arg;
	uint64_t end = now_ns() + PATIENCE_NS;
	int i;

	for (i = 0; ; i++) {
		unsigned int n = (unsigned int)rand_r(&c->seed) % STRESS_PAGES;
		bool enough = c->s->evictions >= STRESS_EVICTIONS;
		_Atomic uint64_t *counter;

		if (i >= STRESS_ROUNDS && (enough || now_ns() > end))
			break;
		counter = (void *)(c->s->p + n * page_size() + 128);
		atomic_fetch_add(counter, 1);
		c->done[n]++;
	}
	return NULL;
}

static void *stress_evict_main(void *arg)
{
	struct stress *s = arg;
	unsigned int seed = (unsigned int)syscall(SYS_gettid);

	while (!s->stop) {
		unsigned int n = (unsigned int)rand_r(&seed) % STRESS_PAGES;
		unsigned int nr = 1 + (unsigned int)rand_r(&seed) % 4;
		size_t at = n * page_size();
		long ret;

		if (nr > STRESS_PAGES - n)
			nr = STRESS_PAGES - n;
		ret = pg_evict(s->pager, at, s->store + at, nr * page_size());
		if (ret > 0)
			s->evictions += ret;
		else if (ret == -EBUSY)
			s->busy++;
		else if (ret)
			s->failed++;
	}
	return NULL;
}

static void *stress_clean_main(void *arg)
{
	struct stress *s = arg;
	unsigned int seed = 5;

	while (!s->stop) {
		unsigned int n = (unsigned int)rand_r(&seed) % STRESS_PAGES;
		unsigned int flags = (unsigned int)rand_r(&seed) % 4;

		if (pg_protect(s->pager, n * page_size(), page_size(),
			       flags) < 0)
			s->failed++;
	}
	return NULL;
}

/*
 * What comes out of EVICT is all that was written, however it races with those
 * who write: or a count is lost.
 */
TEST_F(paged, evict_against_access)
{
	struct stress_client c[STRESS_CLIENTS] = {};
	const size_t size = STRESS_PAGES * self->page;
	struct stress s = {};
	struct server server[3];
	int region, i, n;

	ASSERT_EQ(0, pg_create(self->session, size, &s.pager, &region, NULL));
	s.p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, s.p);
	s.store = map_pages(size, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, s.store);
	memset(s.store, 0, size);
	for (i = 0; i < 3; i++)
		ASSERT_TRUE(server_start(&server[i], s.pager, s.store, size));
	for (i = 0; i < STRESS_CLIENTS; i++) {
		c[i].s = &s;
		c[i].seed = (unsigned int)i + 1;
		ASSERT_EQ(0, pthread_create(&c[i].thread, NULL,
					    stress_client_main, &c[i]));
	}
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&s.evictor[i], NULL,
					    stress_evict_main, &s));
	ASSERT_EQ(0, pthread_create(&s.cleaner, NULL, stress_clean_main, &s));
	for (i = 0; i < STRESS_CLIENTS; i++)
		pthread_join(c[i].thread, NULL);
	s.stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(s.evictor[i], NULL);
	pthread_join(s.cleaner, NULL);
	EXPECT_EQ(0, s.failed);
	EXPECT_GT(s.evictions, 0);
	TH_LOG("%ld pages evicted, %ld times busy, %llu faults",
	       s.evictions, s.busy,
	       (unsigned long long)pg_info(s.pager).faults);
	/* Nothing is in use any more. */
	EXPECT_GE(pg_evict(s.pager, 0, s.store, size), 0);
	EXPECT_EQ(0, pg_info(s.pager).resident);
	for (n = 0; n < STRESS_PAGES; n++) {
		uint64_t got, want = 0;

		memcpy(&got, s.store + (size_t)n * self->page + 128,
		       sizeof(got));
		for (i = 0; i < STRESS_CLIENTS; i++)
			want += (uint64_t)c[i].done[n];
		EXPECT_EQ(want, got) {
			TH_LOG("page %d", n);
		}
	}
	close(region);
	munmap(s.p, size);
	for (i = 0; i < 3; i++) {
		pthread_join(server[i].thread, NULL);
		EXPECT_EQ(0, server[i].ret);
	}
	close(s.pager);
	munmap(s.store, size);
}

/* Who is killed at some moment of a fault leaves nothing behind. */
struct victim {
	uint8_t *p;
	size_t pages;
	_Atomic unsigned int *beat;
};

static int victim_main(void *arg)
{
	struct victim *v = arg;
	unsigned int seed = (unsigned int)getpid();

	for (;;) {
		size_t n = (size_t)rand_r(&seed) % v->pages;

		v->p[n * page_size()]++;
		(*v->beat)++;
	}
	return 0;
}

TEST_F(paged, clients_are_killed)
{
	struct victim v = { .p = self->p, .pages = 16 };
	struct server server[2];
	pid_t pid[4];
	int i, round;

	v.beat = map_shared(self->page);
	ASSERT_NE(NULL, v.beat);
	for (i = 0; i < 2; i++)
		ASSERT_TRUE(server_start(&server[i], self->pager, NULL,
					 self->size));
	for (round = 0; round < 20; round++) {
		unsigned int from = *v.beat;

		for (i = 0; i < 4; i++) {
			pid[i] = spawn(victim_main, &v);
			ASSERT_GT(pid[i], 0);
		}
		for (i = 0; i < 40; i++)
			EXPECT_GE(pg_evict(self->pager, PAGE((size_t)i % 16),
					   NULL, self->page), -EBUSY);
		EXPECT_TRUE(EVENTUALLY(*v.beat - from > 20));
		for (i = 0; i < 4; i++)
			EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid[i]));
		EXPECT_EQ(0, pg_info(self->pager).waiting);
	}
	munmap((void *)v.beat, self->page);
	EXPECT_GE(pg_evict(self->pager, 0, NULL, self->size), 0);
	EXPECT_EQ(0, pg_info(self->pager).resident);
	close_fd(&self->region);
	munmap(self->p, self->size);
	self->p = NULL;
	for (i = 0; i < 2; i++) {
		pthread_join(server[i].thread, NULL);
		EXPECT_EQ(0, server[i].ret);
	}
}

/* A pager that is killed at any moment, by itself or in a call. */
struct mortal {
	int pager;
	uint8_t *store;
	size_t size;
};

static int mortal_main(void *arg)
{
	struct mortal *m = arg;
	unsigned int seed = (unsigned int)getpid();
	struct mbuf_fault f[4];

	for (;;) {
		size_t n = (size_t)rand_r(&seed) % (m->size / page_size());
		size_t at = n * page_size();
		int nr = pg_faults(m->pager, f, 4, in_ms(1)), i;

		for (i = 0; i < nr; i++) {
			CHECK(pg_supply(m->pager, f[i].offset,
					m->store + f[i].offset, page_size(),
					rand_r(&seed) % 2 ?
					MBUF_SUPPLY_PROTECT : 0) >= 0);
			if (f[i].access & MBUF_FAULT_PROTECTED)
				CHECK(pg_protect(m->pager, f[i].offset,
						 page_size(), 0) >= 0);
		}
		CHECK(pg_evict(m->pager, at, m->store + at, page_size()) >=
		      -EBUSY);
	}
	return 0;
}

static int bereaved_main(void *arg)
{
	struct victim *v = arg;
	unsigned int seed = (unsigned int)getpid();
	int ret;

	/* All but one page, which is not there when the pager is dead. */
	for (;;) {
		size_t at = (size_t)rand_r(&seed) % v->pages * page_size();

		if (v->beat[1])
			at = v->pages * page_size();
		ret = rand_r(&seed) % 2 ? peek(v->p + at) : poke(v->p + at, 1);
		if (ret < 0)
			break;
		(*v->beat)++;
	}
	return ret == -SIGBUS ? 0 : 1;
}

TEST_F(paged, pagers_are_killed)
{
	struct victim v = { .p = self->p, .pages = 15 };
	struct mortal m = { .store = self->data, .size = self->size };
	pid_t pager, pid[3];
	int round, i;

	v.beat = map_shared(self->page);
	ASSERT_NE(NULL, v.beat);
	for (round = 0; round < 30; round++) {
		unsigned int from = *v.beat;

		v.beat[1] = 0;
		if (self->pager < 0) {
			close_fd(&self->region);
			munmap(self->p, self->size);
			ASSERT_EQ(0, pg_create(self->session, self->size,
					       &self->pager, &self->region,
					       NULL));
			self->p = mmap(NULL, self->size, PROT_READ | PROT_WRITE,
				       MAP_SHARED, self->region, 0);
			ASSERT_NE(MAP_FAILED, self->p);
			v.p = self->p;
		}
		m.pager = self->pager;
		pager = spawn(mortal_main, &m);
		ASSERT_GT(pager, 0);
		/* Who inherits it keeps it alive: only the pager shall. */
		close_fd(&self->pager);
		for (i = 0; i < 3; i++) {
			pid[i] = spawn(bereaved_main, &v);
			ASSERT_GT(pid[i], 0);
		}
		EXPECT_TRUE(EVENTUALLY(*v.beat - from >=
				       (unsigned int)(10 + round * 7)));
		if (round % 3 == 0)
			EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid[2]));
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pager));
		v.beat[1] = 1;
		for (i = 0; i < (round % 3 ? 3 : 2); i++)
			EXPECT_EQ(0, reap(pid[i]));
	}
	munmap((void *)v.beat, self->page);
}

/* Many threads, each waiting for another page, and answered backwards. */
TEST_F(paged, many_in_flight)
{
	const unsigned int nr = 200;
	struct toucher *t = calloc(nr, sizeof(*t));
	struct mbuf_fault *f = calloc(nr, sizeof(*f));
	int pager, region, got = 0;
	pthread_attr_t attr;
	unsigned int i;
	uint8_t *p;

	ASSERT_NE(NULL, t);
	ASSERT_NE(NULL, f);
	ASSERT_EQ(0, pg_create(self->session, PAGE((size_t)nr), &pager, &region,
			       NULL));
	p = mmap(NULL, PAGE((size_t)nr), PROT_READ | PROT_WRITE, MAP_SHARED,
		 region, 0);
	ASSERT_NE(MAP_FAILED, p);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (i = 0; i < nr; i++) {
		t[i].at = p + PAGE((size_t)i);
		t[i].value = -1;
		ASSERT_EQ(0, pthread_create(&t[i].thread, &attr, toucher_main,
					    &t[i]));
	}
	ASSERT_TRUE(EVENTUALLY(waits(pager, nr)));
	while (got < (int)nr) {
		int ret = pg_faults(pager, f + got, nr - (unsigned int)got,
				    MBUF_NOW);

		ASSERT_GT(ret, 0);
		got += ret;
	}
	EXPECT_EQ(nr, pg_info(pager).faults);
	for (i = nr; i--; ) {
		EXPECT_EQ(i % 5 ? 1 : 0,
			  i % 5 ? pg_zero(pager, f[i].offset, self->page) :
				  pg_refuse(pager, &f[i]));
	}
	for (i = 0; i < nr; i++) {
		unsigned int k = (unsigned int)((t[i].at - p) / self->page);
		int ret = toucher_join(&t[i]), j;

		for (j = 0; f[j].offset != PAGE((uint64_t)k); j++)
			;
		EXPECT_EQ(j % 5 ? 0 : -SIGBUS, ret);
	}
	pthread_attr_destroy(&attr);
	munmap(p, PAGE((size_t)nr));
	close(region);
	close(pager);
	free(t);
	free(f);
}

TEST_HARNESS_MAIN
