/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of listeners share. The ioctls are called directly, so that
 * the module is tested, and not the library.
 */
#ifndef MBUF_SELFTESTS_LISTENER_H
#define MBUF_SELFTESTS_LISTENER_H

#include "channel.h"

#define NAME		"org.example.test"
#define NAME_LEN	(sizeof(NAME) - 1)

/* Others than the user of the test. */
#define UID_A		50001
#define UID_B		50002
#define GID_A		60001

/*
 * Calls
 */
static inline struct mbuf_listen listen_of(const void *name, size_t len,
					   uint32_t mode, uint32_t backlog)
{
	struct mbuf_listen a = {
		.name = (uintptr_t)name,
		.name_len = (uint32_t)len,
		.flags = MBUF_LISTEN_DETACHED,
		.mode = mode,
		.backlog = backlog,
		.listener.fd = -77,
	};

	return a;
}

/* A descriptor, not attached, or -errno. */
static inline int ls_listen_name(int session, const void *name, size_t len,
				 uint32_t mode, uint32_t backlog)
{
	struct mbuf_listen a = listen_of(name, len, mode, backlog);
	int ret = (int)xioctl(session, MBUF_IOC_LISTEN, &a);

	return ret ? ret : a.listener.fd;
}

static inline int ls_listen(int session, uint32_t mode, uint32_t backlog)
{
	return ls_listen_name(session, NAME, NAME_LEN, mode, backlog);
}

static inline int ls_queue(int lfd, uint32_t backlog)
{
	struct mbuf_accept_queue a = {
		.backlog = backlog,
		.flags = MBUF_LISTEN_DETACHED,
		.queue.fd = -77,
	};
	int ret = (int)xioctl(lfd, MBUF_IOC_ACCEPT_QUEUE, &a);

	return ret ? ret : a.queue.fd;
}

static inline struct mbuf_connect connect_of(const void *name, size_t len,
					     uint32_t flags, uint64_t deadline)
{
	struct mbuf_connect a = {
		.wait = wait_of(deadline),
		.name = (uintptr_t)name,
		.name_len = (uint32_t)len,
		.flags = flags,
		.end = {
			.ref.fd = -77,
			.flags = MBUF_END_DETACHED,
		},
	};

	return a;
}

/* An endpoint, not attached, or -errno. */
static inline int ls_connect_name(int session, const void *name, size_t len,
				  uint32_t flags, uint64_t deadline)
{
	struct mbuf_connect a = connect_of(name, len, flags, deadline);
	int ret = (int)xioctl(session, MBUF_IOC_CONNECT, &a);

	return ret ? ret : a.end.ref.fd;
}

static inline int ls_connect(int session, uint32_t flags, uint64_t deadline)
{
	return ls_connect_name(session, NAME, NAME_LEN, flags, deadline);
}

/* The same without waiting, with a number as the first value. */
static inline int ls_hello(int session, uint64_t num)
{
	struct mbuf_connect a = connect_of(NAME, NAME_LEN, MBUF_CONNECT_ASYNC |
					   MBUF_CONNECT_HELLO, MBUF_FOREVER);
	struct value v = value_of(num);
	int ret;

	memcpy(a.data, &v, sizeof(v));
	ret = (int)xioctl(session, MBUF_IOC_CONNECT, &a);
	return ret ? ret : a.end.ref.fd;
}

static inline struct mbuf_accept accept_of(uint32_t flags, uint64_t deadline)
{
	struct mbuf_accept a = {
		.wait = wait_of(deadline),
		.flags = flags,
		.end = {
			.ref.fd = -77,
			.flags = MBUF_END_DETACHED,
		},
	};

	poison(&a.peer, sizeof(a.peer));
	return a;
}

/* An endpoint, or -errno. */
static inline int ls_accept(int fd, uint32_t flags, uint64_t deadline)
{
	struct mbuf_accept a = accept_of(flags, deadline);
	int ret = (int)xioctl(fd, MBUF_IOC_ACCEPT, &a);

	return ret ? ret : a.end.ref.fd;
}

/* The number that the next connection says hello with, or -errno. */
static inline int64_t ls_accept_num(int fd, uint64_t deadline)
{
	int end = ls_accept(fd, 0, deadline);
	int64_t num;

	if (end < 0)
		return end;
	num = ch_take(end, MBUF_NOW);
	close(end);
	return num;
}

static inline int ls_approve(int end, uint32_t verdict)
{
	struct mbuf_approve a = { .verdict = verdict };

	return (int)xioctl(end, MBUF_IOC_APPROVE, &a);
}

static inline int ls_acl(int lfd, uint32_t uid, uint32_t op)
{
	struct mbuf_listener_acl a = { .uid = uid, .op = op };

	return (int)xioctl(lfd, MBUF_IOC_LISTENER_ACL, &a);
}

static inline int ls_set_mode(int lfd, uint32_t mode)
{
	struct mbuf_listener_set a = {
		.flags = MBUF_LISTEN_MODE,
		.mode = mode,
	};

	return (int)xioctl(lfd, MBUF_IOC_LISTENER_SET, &a);
}

static inline int ls_set_backlog(int lfd, uint32_t backlog)
{
	struct mbuf_listener_set a = {
		.flags = MBUF_LISTEN_BACKLOG,
		.backlog = backlog,
	};

	return (int)xioctl(lfd, MBUF_IOC_LISTENER_SET, &a);
}

static inline struct mbuf_listener_info ls_info(int fd)
{
	struct mbuf_listener_info info = {};
	int ret = (int)xioctl(fd, MBUF_IOC_LISTENER_INFO, &info);

	if (ret) {
		fprintf(stderr, "# LISTENER_INFO of descriptor %d: %s\n", fd,
			mbuf_strerror(ret));
		memset(&info, 0xff, sizeof(info));
	}
	return info;
}

/* Waits until so many threads are asleep in ACCEPT. */
static inline int ls_asleep(int fd, unsigned int waiters)
{
	if (EVENTUALLY(ls_info(fd).waiters == waiters))
		return 0;
	fprintf(stderr, "# waited for %u in ACCEPT, there are %u\n", waiters,
		ls_info(fd).waiters);
	return -ETIMEDOUT;
}

#define ASSERT_ACCEPTERS(fd, n)	ASSERT_EQ(0, ls_asleep(fd, n))

/* Waits until so many connections are in the queue. */
static inline int ls_pending(int fd, unsigned int pending)
{
	if (EVENTUALLY(ls_info(fd).pending == pending))
		return 0;
	fprintf(stderr, "# waited for %u connections, there are %u\n", pending,
		ls_info(fd).pending);
	return -ETIMEDOUT;
}

#define ASSERT_PENDING(fd, n)	ASSERT_EQ(0, ls_pending(fd, n))

/*
 * Calls made by a thread, so that they can sleep
 */
struct caller {
	int fd;			/* a listener, an accept queue, or a session */
	bool connect;
	uint32_t flags;
	uint64_t deadline;
	struct mbuf_accept accept;
	struct mbuf_connect conn;

	int ret;		/* a descriptor, or -errno */
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static inline void *caller_main(void *arg)
{
	struct caller *c = arg;

	atomic_store(&c->tid, (pid_t)syscall(SYS_gettid));
	if (c->connect) {
		c->ret = (int)xioctl(c->fd, MBUF_IOC_CONNECT, &c->conn);
		if (!c->ret)
			c->ret = c->conn.end.ref.fd;
	} else {
		c->ret = (int)xioctl(c->fd, MBUF_IOC_ACCEPT, &c->accept);
		if (!c->ret)
			c->ret = c->accept.end.ref.fd;
	}
	atomic_store(&c->done, true);
	return NULL;
}

static inline bool caller_go(struct caller *c)
{
	atomic_store(&c->done, false);
	atomic_store(&c->tid, 0);
	return !pthread_create(&c->thread, NULL, caller_main, c);
}

static inline bool accept_start(struct caller *c, int fd, uint32_t flags,
				uint64_t deadline)
{
	memset(c, 0, sizeof(*c));
	c->fd = fd;
	c->accept = accept_of(flags, deadline);
	return caller_go(c);
}

static inline bool connect_start(struct caller *c, int session, uint32_t flags,
				 uint64_t deadline)
{
	memset(c, 0, sizeof(*c));
	c->fd = session;
	c->connect = true;
	c->conn = connect_of(NAME, NAME_LEN, flags, deadline);
	return caller_go(c);
}

/* What the call gave; -ETIME, which no call gives, if it does not end. */
static inline int caller_join(struct caller *c)
{
	if (!EVENTUALLY(atomic_load(&c->done))) {
		fprintf(stderr, "# thread %d does not end\n", c->tid);
		return -ETIME;
	}
	pthread_join(c->thread, NULL);
	return c->ret;
}

/*
 * ACCEPT whose result cannot be written for as long as a test wants: it has
 * taken the connection, and neither gets on nor gives it back.
 */
struct stuck_accept {
	struct stuck stuck;
	struct caller call;
	struct mbuf_accept *arg;
};

static inline void *stuck_accept_main(void *arg)
{
	struct stuck_accept *s = arg;

	atomic_store(&s->call.tid, (pid_t)syscall(SYS_gettid));
	s->call.ret = (int)xioctl(s->call.fd, MBUF_IOC_ACCEPT, s->arg);
	atomic_store(&s->call.done, true);
	return NULL;
}

/* Sleeps in ACCEPT; 0, or -errno if that cannot be done here. */
static inline int stuck_accept_start(struct stuck_accept *s, int fd,
				     uint32_t flags)
{
	struct mbuf_accept a = accept_of(flags, MBUF_FOREVER);
	unsigned int before = ls_info(fd).waiters;
	int ret;

	memset(s, 0, sizeof(*s));
	ret = stuck_alloc(&s->stuck, sizeof(a));
	if (ret)
		return ret;
	s->arg = (void *)s->stuck.p;
	ret = stuck_resolve(&s->stuck, (uintptr_t)s->stuck.p, &a, sizeof(a));
	if (ret)
		return ret;
	s->call.fd = fd;
	if (pthread_create(&s->call.thread, NULL, stuck_accept_main, s))
		return -EAGAIN;
	ret = ls_asleep(fd, before + 1);
	/* It has read it. Now there is nothing to write to. */
	if (!ret && madvise(s->stuck.p, s->stuck.len, MADV_DONTNEED))
		ret = -errno;
	return ret;
}

/* Lets it fail, and returns with what. */
static inline int stuck_accept_break(struct stuck_accept *s)
{
	int ret = stuck_break(&s->stuck);

	if (!ret)
		ret = caller_join(&s->call);
	stuck_free(&s->stuck);
	return ret;
}

/* Lets it succeed: the descriptor. */
static inline int stuck_accept_resolve(struct stuck_accept *s)
{
	char nothing = 0;
	int ret = stuck_resolve(&s->stuck, (uintptr_t)s->stuck.p, &nothing, 1);

	if (!ret)
		ret = caller_join(&s->call);
	if (!ret)
		ret = s->arg->end.ref.fd;
	stuck_free(&s->stuck);
	return ret;
}

/*
 * Processes that work side by side: each step is waited for.
 */
struct stage {
	_Atomic int step;
	_Atomic long value[8];
};

static inline bool stage_wait(struct stage *s, int step)
{
	return EVENTUALLY(atomic_load(&s->step) >= step);
}

static inline void stage_go(struct stage *s, int step)
{
	atomic_store(&s->step, step);
}

/*
 * Users. The effective user id is what counts, so it is enough to change that.
 */
static inline void be_euid(uid_t uid)
{
	if (syscall(NR_SETRESUID, -1, uid, -1)) {
		fprintf(stderr, "# cannot become user %u\n", uid);
		abort();
	}
}

/* CONNECT as another user: a descriptor, or -errno. */
static inline int ls_connect_as(uid_t uid, int session, uint32_t flags,
				uint64_t deadline)
{
	int ret;

	be_euid(uid);
	ret = ls_connect(session, flags, deadline);
	be_euid(0);
	return ret;
}

/* Would it get into the queue? It leaves that again at once. */
static inline int ls_may_connect(uid_t uid, int session)
{
	int ret = ls_connect_as(uid, session, MBUF_CONNECT_ASYNC, MBUF_FOREVER);

	if (ret < 0)
		return ret;
	close(ret);
	return 0;
}

/* A user namespace in which one range of ids exists; 77: there are none. */
struct in_userns {
	struct stage *stage;
	int (*fn)(void *arg);
	void *arg;
	uid_t uid;		/* who makes the namespace */
};

static inline int in_userns_main(void *arg)
{
	struct in_userns *u = arg;

	CHECK_EQ(0, become(u->uid, u->uid));
	if (unshare(CLONE_NEWUSER)) {
		stage_go(u->stage, -1);
		return 77;
	}
	stage_go(u->stage, 1);
	CHECK(stage_wait(u->stage, 2));
	/* As its root. */
	CHECK_EQ(0, sys_result(setresgid(0, 0, 0)));
	CHECK_EQ(0, sys_result(setresuid(0, 0, 0)));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return u->fn(u->arg);
}

static inline bool map_range(pid_t pid, const char *what, uid_t outside,
			     unsigned int nr)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	return write_file(path, "0 %u %u\n", outside, nr);
}

/*
 * Runs fn(arg) as root of a user namespace in which 0 to nr - 1 are outside and
 * what follows it. Needs root. Returns its exit code.
 */
static inline int run_in_userns(uid_t outside, unsigned int nr,
				int (*fn)(void *), void *arg)
{
	struct stage *stage = map_shared(sizeof(*stage));
	struct in_userns u = { stage, fn, arg, outside };
	pid_t pid;
	int ret;

	if (!stage)
		return -ENOMEM;
	pid = spawn(in_userns_main, &u);
	if (EVENTUALLY(atomic_load(&stage->step)) &&
	    atomic_load(&stage->step) == 1) {
		if (!map_range(pid, "uid_map", outside, nr) ||
		    !map_range(pid, "gid_map", outside, nr)) {
			kill_and_reap(pid);
			return -EPERM;
		}
		stage_go(stage, 2);
	}
	ret = reap(pid);
	munmap(stage, sizeof(*stage));
	return ret;
}

static inline uint32_t overflow_id(const char *which)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), "/proc/sys/kernel/overflow%s", which);
	return read_file(path, text, sizeof(text)) ?
	       (uint32_t)strtoul(text, NULL, 10) : 65534;
}

/*
 * The fixture of these tests: a listener that a test may make, and two
 * endpoints.
 */
FIXTURE(listener) {
	int session;
	int lfd;
	int con, acc;		/* who connected, who accepted */
	struct mbuf_query q;
	struct snapshot before;
};

FIXTURE_SETUP(listener)
{
	self->lfd = -1;
	self->con = -1;
	self->acc = -1;
	self->session = fixture_begin(_metadata, &self->q, &self->before);
	ASSERT_NE(0, self->q.features & MBUF_FEATURE_LISTENER) {
		TH_LOG("this module has no listeners");
	}
}

FIXTURE_TEARDOWN(listener)
{
	close_fd(&self->con);
	close_fd(&self->acc);
	close_fd(&self->lfd);
	fixture_end(_metadata, self->session, &self->before);
}

#define make_listener(mode, backlog) do {				\
	self->lfd = ls_listen(self->session, mode, backlog);		\
	ASSERT_GE(self->lfd, 0);					\
} while (0)

#define close_pair() do {						\
	close_fd(&self->con);						\
	close_fd(&self->acc);						\
} while (0)

#endif /* MBUF_SELFTESTS_LISTENER_H */
