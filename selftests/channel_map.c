// SPDX-License-Identifier: GPL-2.0
/*
 * The mapped slot: reading without a call.
 */
#include <sys/personality.h>
#include <sys/ptrace.h>
#include "cgroup.h"
#include "channel.h"
#include "polling.h"

static const struct mbuf_slot_map *map_slot(int fd)
{
	void *p = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void unmap_slot(const struct mbuf_slot_map *m)
{
	munmap((void *)(uintptr_t)m, page_size());
}

/*
 * As the header says: a copy of one moment. The number of attempts that it
 * took, 0 if it does not end.
 */
static unsigned int map_read(const struct mbuf_slot_map *m,
			     struct mbuf_slot_map *out)
{
	const uint64_t *words = (const uint64_t *)m;
	uint64_t *to = (uint64_t *)out;
	uint64_t patience = 0;
	unsigned int tries, i;
	uint32_t version;

	for (tries = 1;; tries++) {
		/* Who writes may be held up by whatever the guest runs on. */
		if (tries % 4096 == 0) {
			if (!patience)
				patience = now_ns() + PATIENCE_NS;
			else if (now_ns() > patience)
				break;
			sched_yield();
		}
		version = __atomic_load_n(&m->version, __ATOMIC_ACQUIRE);
		if (version & 1)
			continue;
		for (i = 0; i < sizeof(*out) / sizeof(*to); i++)
			to[i] = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&m->version, __ATOMIC_RELAXED) == version)
			return tries;
	}
	return 0;
}

static struct mbuf_slot_map map_now(const struct mbuf_slot_map *m)
{
	struct mbuf_slot_map s;

	if (!map_read(m, &s))
		memset(&s, 0xff, sizeof(s));
	return s;
}

/* What the mapping shows must be what INFO says. */
static const char *map_wrong(const struct mbuf_slot_map *m, int fd)
{
	struct mbuf_channel_info info = ch_info(fd);
	struct mbuf_slot_map s = map_now(m);

	if (s.version & 1)
		return "it is being changed";
	if (s.seq != info.seq)
		return "seq";
	if (s.signals != info.signals)
		return "signals";
	if (s.state != info.state)
		return "state";
	if (s.resv)
		return "resv";
	if (value_num(s.data) != ch_look(fd))
		return "data";
	return NULL;
}

#define EXPECT_SHOWS(m, fd) do {					\
	const char *__wrong = map_wrong(m, fd);				\
									\
	EXPECT_EQ(NULL, __wrong) {					\
		TH_LOG("the mapping shows something else: %s", __wrong); \
	}								\
} while (0)

_Static_assert(sizeof(struct mbuf_slot_map) == 64, "one cache line");
_Static_assert(offsetof(struct mbuf_slot_map, state) == 4, "state");
_Static_assert(offsetof(struct mbuf_slot_map, seq) == 8, "seq");
_Static_assert(offsetof(struct mbuf_slot_map, signals) == 16, "signals");
_Static_assert(offsetof(struct mbuf_slot_map, data) == 32, "data");

TEST_F(channel, shows_what_there_is)
{
	const struct mbuf_slot_map zero = {};
	struct mbuf_slot_map s;
	struct waiter w;
	enum how way;
	const struct mbuf_slot_map *m;
	size_t i;

	make_channel(MBUF_END_MAP);
	m = map_slot(self->a);
	ASSERT_NE(NULL, m);
	s = map_now(m);
	EXPECT_EQ(0, memcmp(&s.state, &zero.state, sizeof(s) - 4));
	/* The rest of the page is nothing. */
	for (i = sizeof(s); i < page_size(); i++)
		ASSERT_EQ(0, ((const uint8_t *)m)[i]);

	ASSERT_EQ(0, ch_write(self->b, 1));
	EXPECT_EQ(1, value_num(map_now(m).data));
	EXPECT_EQ(1, map_now(m).seq);
	EXPECT_EQ(0, map_now(m).signals);
	EXPECT_SHOWS(m, self->a);
	ASSERT_EQ(0, ch_signal(self->b));
	EXPECT_EQ(1, map_now(m).signals);
	EXPECT_SHOWS(m, self->a);
	ASSERT_EQ(0, fd_put(self->b, 2));
	EXPECT_EQ(2, map_now(m).signals);
	EXPECT_EQ(2, map_now(m).seq);
	EXPECT_SHOWS(m, self->a);
	EXPECT_EQ(2, ch_wait(self->a, MBUF_NOW));
	EXPECT_EQ(0, map_now(m).signals);
	EXPECT_SHOWS(m, self->a);
	/* What is written the other way is not shown here. */
	ASSERT_EQ(0, ch_put(self->a, 9));
	EXPECT_SHOWS(m, self->a);
	EXPECT_EQ(2, value_num(map_now(m).data));

	/* What a waiter is given is shown as well. */
	FOR_EACH_WAY(way) {
		ASSERT_TRUE(waiter_start(&w, way, self->session, self->a));
		ASSERT_ASLEEP(self->a);
		ASSERT_EQ(0, ch_put(self->b, 10 + way));
		EXPECT_EQ(way_success(way), waiter_join(&w));
		EXPECT_EQ(10 + (int)way, value_num(map_now(m).data));
		EXPECT_EQ(0, map_now(m).signals);
		EXPECT_SHOWS(m, self->a);
	}
	unmap_slot(m);
}

/* What comes back, as it could not be told. */
TEST_F(channel, shows_what_comes_back)
{
	struct mbuf_exchange *x = map_pages(sizeof(*x), PROT_READ | PROT_WRITE);
	const struct mbuf_slot_map *m;

	ASSERT_NE(NULL, x);
	make_channel(MBUF_END_MAP);
	m = map_slot(self->a);
	ASSERT_NE(NULL, m);
	*x = xchg_of(STEPS_TAKE, 0, MBUF_NOW);
	mprotect(x, page_size(), PROT_READ);
	ASSERT_EQ(0, ch_put(self->b, 1));
	ASSERT_EQ(-EFAULT, ch_xchg(self->a, x));
	EXPECT_EQ(1, map_now(m).signals);
	EXPECT_SHOWS(m, self->a);
	munmap(x, sizeof(*x));
	unmap_slot(m);
}

/* Mapped at any time, it shows what was there before. */
TEST_F(channel, mapped_late)
{
	const struct mbuf_slot_map *m, *n;

	make_channel(MBUF_END_MAP);
	ASSERT_EQ(0, ch_put(self->b, 1));
	ASSERT_EQ(0, ch_put(self->b, 2));
	m = map_slot(self->a);
	ASSERT_NE(NULL, m);
	EXPECT_SHOWS(m, self->a);
	EXPECT_EQ(2, value_num(map_now(m).data));
	/* As often as one likes. */
	n = map_slot(self->a);
	ASSERT_NE(NULL, n);
	ASSERT_NE(m, n);
	ASSERT_EQ(0, ch_put(self->b, 3));
	EXPECT_SHOWS(m, self->a);
	EXPECT_SHOWS(n, self->a);
	unmap_slot(m);
	ASSERT_EQ(0, ch_put(self->b, 4));
	EXPECT_SHOWS(n, self->a);
	unmap_slot(n);
	/* After the peer's end, too. */
	close_fd(&self->b);
	m = map_slot(self->a);
	ASSERT_NE(NULL, m);
	EXPECT_SHOWS(m, self->a);
	EXPECT_EQ(MBUF_END_CLOSED, map_now(m).state);
	unmap_slot(m);
}

/*
 * What is refused
 */
static int try_map(int fd, size_t len, int prot, int flags, off_t off)
{
	void *p = mmap(NULL, len, prot, flags, fd, off);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, len);
	return 0;
}

#define EXPECT_NO_MAP(len, prot, flags, off) do {			\
	int __ret = try_map(self->a, len, prot, flags, off);		\
									\
	EXPECT_TRUE(__ret == -EPERM || __ret == -EINVAL ||		\
		    __ret == -EACCES) {					\
		TH_LOG(#len ", " #prot ", " #flags ", " #off ": %d",	\
		       __ret);						\
	}								\
} while (0)

TEST_F(channel, nothing_but_reading)
{
	size_t page = page_size();
	void *p;

	make_channel(MBUF_END_MAP);
	EXPECT_EQ(0, try_map(self->a, page, PROT_READ, MAP_SHARED, 0));
	EXPECT_NO_MAP(page, PROT_WRITE, MAP_SHARED, 0);
	EXPECT_NO_MAP(page, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	EXPECT_NO_MAP(page, PROT_READ | PROT_EXEC, MAP_SHARED, 0);
	EXPECT_NO_MAP(page, PROT_EXEC, MAP_SHARED, 0);
	EXPECT_NO_MAP(page, PROT_READ, MAP_PRIVATE, 0);
	EXPECT_NO_MAP(page, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	EXPECT_NO_MAP(page, PROT_READ, MAP_SHARED, (off_t)page);
	EXPECT_NO_MAP(page, PROT_READ, MAP_SHARED, (off_t)page * 1000);
	EXPECT_NO_MAP(2 * page, PROT_READ, MAP_SHARED, 0);
	EXPECT_NO_MAP(2 * page, PROT_READ, MAP_SHARED, (off_t)page);
	EXPECT_NO_MAP(512 * page, PROT_READ, MAP_SHARED, 0);

	/* Rights cannot be raised afterwards. */
	p = (void *)(uintptr_t)map_slot(self->a);
	ASSERT_NE(NULL, p);
	EXPECT_EQ(-1, mprotect(p, page, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(p, page, PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(p, page, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	/* Lowered and raised to what they were they can be. */
	EXPECT_EQ(0, mprotect(p, page, PROT_NONE));
	EXPECT_EQ(0, mprotect(p, page, PROT_READ));
	EXPECT_SHOWS(p, self->a);
	munmap(p, page);
}

TEST_F(channel, only_if_asked_for)
{
	struct mbuf_channel_create c = create_of(MBUF_END_MAP, 0);

	make_channel(0);
	EXPECT_EQ(-ENODEV, try_map(self->a, page_size(), PROT_READ, MAP_SHARED,
				   0));
	close_channel();
	/* Each end for itself. */
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CHANNEL_CREATE, &c));
	self->a = c.end[0].ref.fd;
	self->b = c.end[1].ref.fd;
	EXPECT_EQ(0, try_map(self->a, page_size(), PROT_READ, MAP_SHARED, 0));
	EXPECT_EQ(-ENODEV, try_map(self->b, page_size(), PROT_READ, MAP_SHARED,
				   0));
}

/* A program for which all that can be read can be executed. */
static int personality_child(void *arg)
{
	int ret;

	personality(READ_IMPLIES_EXEC);
	ret = try_map(*(int *)arg, page_size(), PROT_READ, MAP_SHARED, 0);
	CHECK(ret == 0 || ret == -EPERM || ret == -EINVAL);
	return 0;
}

TEST_F(channel, reading_implies_executing)
{
	make_channel(MBUF_END_MAP);
	EXPECT_EQ(0, reap(spawn(personality_child, &self->a)));
}

/* The ways around the page tables. */
static int tracee(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

TEST_F(channel, no_writing_by_other_routes)
{
	struct iovec local, remote;
	uint64_t evil = UINT64_MAX;
	char path[64];
	const struct mbuf_slot_map *m;
	int fd, status;
	pid_t pid;

	NEED_ROOT();
	make_channel(MBUF_END_MAP);
	m = map_slot(self->a);
	ASSERT_NE(NULL, m);
	ASSERT_EQ(0, ch_put(self->b, 1));

	/* The memory of the process as a file, which overrides protections. */
	fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_GT(0, pwrite(fd, &evil, sizeof(evil), (off_t)(uintptr_t)m));
	close(fd);

	local = (struct iovec){ &evil, sizeof(evil) };
	remote = (struct iovec){ (void *)(uintptr_t)m, sizeof(evil) };
	EXPECT_GT(0, process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
	/* As room for a result. */
	ASSERT_EQ(0, ch_put(self->a, 5));
	EXPECT_EQ(-EFAULT, xread(self->b, (void *)(uintptr_t)m, 32));
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_GT(0, xread(fd, (void *)(uintptr_t)m, 8));
	close(fd);

	/* A debugger. */
	pid = spawn(tracee, NULL);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, ptrace(PTRACE_ATTACH, pid, NULL, NULL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(-1, ptrace(PTRACE_POKEDATA, pid, (void *)(uintptr_t)m,
			     (void *)(uintptr_t)evil));
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));

	/* The file behind the mapping. */
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)(uintptr_t)m,
		 (unsigned long)((uintptr_t)m + page_size()));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		EXPECT_GT(0, xwrite(fd, &evil, sizeof(evil)));
		EXPECT_GT(0, try_map(fd, page_size(), PROT_READ | PROT_WRITE,
				     MAP_SHARED, 0));
		EXPECT_GT(0, sys_result(ftruncate(fd, 0)));
		close(fd);
	}
	EXPECT_SHOWS(m, self->a);
	EXPECT_EQ(1, value_num(map_now(m).data));
	unmap_slot(m);
}

/*
 * Lifetime
 */
TEST_F(channel, does_not_keep_the_end_open)
{
	const struct mbuf_slot_map *m;
	long users;

	make_channel(MBUF_END_MAP);
	m = map_slot(self->a);
	ASSERT_NE(NULL, m);
	ASSERT_EQ(0, ch_put(self->b, 7));
	close_fd(&self->a);
	/* The peer is told, though it is mapped. */
	EXPECT_EQ(POLLHUP, poll_now(self->b, POLL_ALL));
	EXPECT_EQ(-EPIPE, ch_put(self->b, 8));
	/* And it shows what was there last. */
	EXPECT_EQ(7, value_num(map_now(m).data));
	EXPECT_EQ(1, map_now(m).seq);
	EXPECT_EQ(MBUF_END_CLOSED, map_now(m).state & MBUF_END_CLOSED);
	close_fd(&self->b);
	EXPECT_EQ(7, value_num(map_now(m).data));
	EXPECT_EQ(MBUF_END_CLOSED, map_now(m).state & MBUF_END_CLOSED);
	/* It keeps the module. */
	users = module_users();
	if (users >= 0)
		EXPECT_EQ(self->before.module_users + 1, users);
	unmap_slot(m);
}

TEST_F(channel, tells_of_the_end)
{
	const struct mbuf_slot_map *m;

	make_channel(MBUF_END_MAP);
	m = map_slot(self->a);
	ASSERT_NE(NULL, m);
	ASSERT_EQ(0, ch_put(self->b, 1));
	ASSERT_EQ(0, ch_write(self->b, 2));
	close_fd(&self->b);
	EXPECT_EQ(MBUF_END_CLOSED, map_now(m).state);
	EXPECT_SHOWS(m, self->a);
	EXPECT_EQ(2, value_num(map_now(m).data));
	EXPECT_EQ(1, map_now(m).signals);
	EXPECT_EQ(1, ch_wait(self->a, MBUF_NOW));
	EXPECT_SHOWS(m, self->a);
	unmap_slot(m);
}

struct map_child {
	int a;
	const struct mbuf_slot_map *m;
	int ready, go;
};

static int reading_child(void *arg)
{
	struct map_child *c = arg;
	char byte;

	/* Inherited: it is the same slot. */
	CHECK_EQ(1, value_num(map_now(c->m).data));
	CHECK_EQ(1, xwrite(c->ready, "x", 1));
	CHECK_EQ(1, xread(c->go, &byte, 1));
	CHECK_EQ(2, value_num(map_now(c->m).data));
	CHECK_EQ(1, xwrite(c->ready, "x", 1));
	CHECK_EQ(1, xread(c->go, &byte, 1));
	/* The parent has closed and unmapped everything. */
	CHECK_EQ(2, value_num(map_now(c->m).data));
	CHECK_EQ(MBUF_END_CLOSED, map_now(c->m).state & MBUF_END_CLOSED);
	return 0;
}

TEST_F(channel, fork_inherits_it)
{
	struct map_child c;
	int p[2], g[2];
	const struct mbuf_slot_map *m;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(g, O_CLOEXEC));
	make_channel(MBUF_END_MAP);
	m = map_slot(self->a);
	ASSERT_NE(NULL, m);
	ASSERT_EQ(0, ch_put(self->b, 1));
	c = (struct map_child){ .a = self->a, .m = m, .ready = p[1],
				.go = g[0] };
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->a);
		close(self->b);
		_exit(reading_child(&c));
	}
	ASSERT_EQ(1, xread(p[0], &byte, 1));
	ASSERT_EQ(0, ch_put(self->b, 2));
	ASSERT_EQ(1, xwrite(g[1], "x", 1));
	ASSERT_EQ(1, xread(p[0], &byte, 1));
	unmap_slot(m);
	close_fd(&self->a);
	EXPECT_EQ(-EPIPE, ch_put(self->b, 3));
	close_fd(&self->b);
	ASSERT_EQ(1, xwrite(g[1], "x", 1));
	EXPECT_EQ(0, reap(pid));
	close(p[0]);
	close(p[1]);
	close(g[0]);
	close(g[1]);
}

TEST_F(channel, moved_and_unmapped)
{
	size_t page = page_size();
	uint8_t *p, *q, *room;
	const struct mbuf_slot_map *m;

	make_channel(MBUF_END_MAP);
	ASSERT_EQ(0, ch_put(self->b, 1));
	m = map_slot(self->a);
	ASSERT_NE(NULL, m);
	p = (uint8_t *)(uintptr_t)m;
	/* It does not grow. */
	EXPECT_EQ(MAP_FAILED, mremap(p, page, 2 * page, 0));
	EXPECT_EQ(MAP_FAILED, mremap(p, page, 2 * page, MREMAP_MAYMOVE));
	EXPECT_SHOWS((void *)p, self->a);
	/* It moves, before and after it was touched. */
	room = map_pages(page, PROT_NONE);
	ASSERT_NE(NULL, room);
	q = mremap(p, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	ASSERT_EQ(room, q);
	EXPECT_SHOWS((void *)q, self->a);
	ASSERT_EQ(0, ch_put(self->b, 2));
	EXPECT_SHOWS((void *)q, self->a);
	/* Whether a copy of it can be made or not, there is one slot. */
	p = mremap(q, 0, page, MREMAP_MAYMOVE);
	if (p != MAP_FAILED) {
		ASSERT_EQ(0, ch_put(self->b, 3));
		EXPECT_SHOWS((void *)p, self->a);
		munmap(p, page);
	}
	EXPECT_SHOWS((void *)q, self->a);
	/* Pages are thrown away and come back. */
	EXPECT_EQ(0, madvise(q, page, MADV_DONTNEED));
	EXPECT_SHOWS((void *)q, self->a);
	munmap(q, page);

	/* Locked in memory, and read ahead. */
	p = mmap(NULL, page, PROT_READ, MAP_SHARED | MAP_POPULATE | MAP_LOCKED,
		 self->a, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_SHOWS((void *)p, self->a);
	munmap(p, page);
}

/* Pages are charged to the memory cgroup, and go with the endpoint. */
#define PAGES_ROUNDS	1500

static int map_pages_child(void *arg)
{
	const struct cgroup *cg = arg;
	const struct mbuf_slot_map *m;
	uint64_t before;
	int session, end[2], i;

	join_cgroup(cg);
	session = mbuf_open();
	CHECK(session >= 0);
	before = cgroup_current(cg);
	for (i = 0; i < PAGES_ROUNDS; i++) {
		CHECK_EQ(0, ch_create(session, MBUF_END_MAP, end));
		if (i % 2) {
			m = map_slot(end[0]);
			CHECK(m);
			CHECK_EQ(0, map_now(m).signals);
			unmap_slot(m);
		}
		close(end[0]);
		close(end[1]);
	}
	/* What is not given back would be six times as much. */
	CHECK(EVENTUALLY(cgroup_current(cg) < before + CG_SLACK));
	return 0;
}

TEST_F(channel, pages_are_given_back)
{
	struct cgroup cg = {};
	const char *why;

	NEED_ROOT();
	why = cgroup_make(&cg);
	if (why) {
		cgroup_remove(&cg);
		SKIP(return, "%s", why);
	}
	EXPECT_EQ(0, reap(spawn(map_pages_child, &cg)));
	cgroup_remove(&cg);
}

/* The memory of one endpoint is not that of another, now or before. */
TEST_F(channel, pages_are_not_shared)
{
	const struct mbuf_slot_map zero = {};
	int end[16][2], round, i, k;
	struct mbuf_slot_map s;
	const struct mbuf_slot_map *m[16][2];
	size_t at;

	for (round = 0; round < 8; round++) {
		for (i = 0; i < 16; i++) {
			ASSERT_EQ(0, ch_create(self->session, MBUF_END_MAP,
					       end[i]));
			for (k = 0; k < 2; k++) {
				m[i][k] = map_slot(end[i][k]);
				ASSERT_NE(NULL, m[i][k]);
				/* Nothing of who had it before. */
				s = map_now(m[i][k]);
				ASSERT_EQ(0, memcmp(&s.state, &zero.state,
						    sizeof(s) - 4));
				for (at = sizeof(s); at < page_size(); at++)
					ASSERT_EQ(0, ((const uint8_t *)
						      m[i][k])[at]);
			}
		}
		for (i = 0; i < 16; i++) {
			ASSERT_EQ(0, ch_put(end[i][0], 100 + (uint64_t)i));
			ASSERT_EQ(0, ch_put(end[i][1], 200 + (uint64_t)i));
		}
		for (i = 0; i < 16; i++) {
			EXPECT_EQ(200 + i, value_num(map_now(m[i][0]).data));
			EXPECT_EQ(100 + i, value_num(map_now(m[i][1]).data));
			EXPECT_EQ(1, map_now(m[i][0]).seq);
		}
		for (i = 0; i < 16; i++) {
			for (k = 0; k < 2; k++) {
				close(end[i][k]);
				unmap_slot(m[i][k]);
			}
		}
	}
}

/*
 * A snapshot is of one moment
 */
struct stream {
	int fd;
	const struct mbuf_slot_map *m;
	uint64_t nr, snapshots, retries;
	_Atomic bool stop;
	const char *wrong;
	pthread_t thread;
};

static void *map_stream(void *arg)
{
	struct stream *s = arg;
	uint64_t last = 0, i;

	for (i = 0; !s->stop && !s->wrong; i++) {
		struct mbuf_slot_map now;
		unsigned int tries = map_read(s->m, &now);
		int64_t num = value_num(now.data);

		s->snapshots++;
		s->retries += tries - 1;
		if (!tries)
			s->wrong = "it never becomes even";
		else if (num < 0)
			s->wrong = "the value is torn";
		else if (num > 0 && (uint64_t)num != now.seq)
			s->wrong = "seq is not that of the value";
		else if (now.seq < last)
			s->wrong = "it goes back";
		/* Each write is one signal, and each wait takes all. */
		else if (now.signals > now.seq)
			s->wrong = "more signals than writes";
		last = now.seq;
	}
	return NULL;
}

TEST_F(channel, snapshots_are_consistent)
{
	struct stream s = { .nr = 120000 };
	uint64_t i;

	make_channel(MBUF_END_MAP);
	s.m = map_slot(self->a);
	ASSERT_NE(NULL, s.m);
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, map_stream, &s));
	for (i = 1; i <= s.nr && !s.wrong; i++) {
		ASSERT_EQ(0, i % 2 ? ch_put(self->b, i) : fd_put(self->b, i));
		if (i % 8 == 0)
			ASSERT_EQ(8, ch_wait(self->a, MBUF_NOW));
	}
	s.stop = true;
	pthread_join(s.thread, NULL);
	EXPECT_EQ(NULL, s.wrong) {
		TH_LOG("%s", s.wrong);
	}
	TH_LOG("%llu snapshots of %llu writes, %llu had to be repeated",
	       (unsigned long long)s.snapshots, (unsigned long long)s.nr,
	       (unsigned long long)s.retries);
	EXPECT_LT(0, s.snapshots);
	EXPECT_SHOWS(s.m, self->a);
	unmap_slot(s.m);
}

/* The end comes, and the page goes, while somebody reads and maps. */
TEST_F(channel, closing_while_reading)
{
	unsigned int i;

	for (i = 0; i < 200; i++) {
		struct stream s = {};

		make_channel(MBUF_END_MAP);
		s.m = map_slot(self->a);
		ASSERT_NE(NULL, s.m);
		ASSERT_EQ(0, pthread_create(&s.thread, NULL, map_stream, &s));
		ASSERT_EQ(0, ch_put(self->b, 1));
		if (i & 1)
			close_fd(&self->a);
		close_fd(&self->b);
		close_fd(&self->a);
		s.stop = true;
		pthread_join(s.thread, NULL);
		ASSERT_EQ(NULL, s.wrong) {
			TH_LOG("%s", s.wrong);
		}
		ASSERT_EQ(1, value_num(map_now(s.m).data));
		unmap_slot(s.m);
	}
}

static void *map_and_unmap(void *arg)
{
	struct stream *s = arg;

	while (!s->stop) {
		const struct mbuf_slot_map *m = map_slot(s->fd);

		if (!m)
			continue;	/* closed meanwhile */
		s->snapshots++;
		if (value_num(map_now(m).data) < 0)
			s->wrong = "no value";
		unmap_slot(m);
	}
	return NULL;
}

TEST_F(channel, mapping_while_closing)
{
	struct stream s = {};
	unsigned int i;
	int fd;

	/* A number that is an endpoint now and then. */
	fd = fcntl(0, F_DUPFD_CLOEXEC, 100);
	ASSERT_LE(0, fd);
	s.fd = fd;
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, map_and_unmap, &s));
	for (i = 0; i < 500; i++) {
		make_channel(MBUF_END_MAP);
		ASSERT_EQ(fd, dup3(self->a, fd, O_CLOEXEC));
		close_fd(&self->a);
		ASSERT_EQ(0, ch_put(self->b, i));
		if (i % 2)
			sched_yield();
		ASSERT_EQ(fd, dup3(0, fd, O_CLOEXEC));
		close_fd(&self->b);
	}
	s.stop = true;
	pthread_join(s.thread, NULL);
	close(fd);
	EXPECT_EQ(NULL, s.wrong) {
		TH_LOG("%s", s.wrong);
	}
	TH_LOG("mapped %llu times", (unsigned long long)s.snapshots);
}

/* A core dump and /proc show nothing that should not be. */
TEST_F(channel, in_proc)
{
	char line[512], path[256] = "";
	unsigned long start = 0, end;
	bool found = false;
	char perms[8];
	const struct mbuf_slot_map *m;
	FILE *f;

	make_channel(MBUF_END_MAP);
	m = map_slot(self->a);
	ASSERT_NE(NULL, m);
	f = fopen("/proc/self/maps", "r");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255[^\n]", &start,
			   &end, perms, path) == 4 && start == (uintptr_t)m) {
			found = true;
			EXPECT_EQ(page_size(), end - start);
			EXPECT_STREQ("r--s", perms);
			EXPECT_NE(NULL, strstr(path, "mbuf"));
		}
	}
	fclose(f);
	EXPECT_TRUE(found);
	unmap_slot(m);
}

TEST_HARNESS_MAIN
