/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of channels share. The ioctls are called directly, so that
 * the module is tested, and not the library.
 */
#ifndef MBUF_SELFTESTS_CHANNEL_H
#define MBUF_SELFTESTS_CHANNEL_H

#include "util.h"

/* The two steps that a peer sees, and the two that it is waited for with. */
#define STEPS_PUT	(MBUF_STEP_WRITE | MBUF_STEP_SIGNAL)
#define STEPS_TAKE	(MBUF_STEP_WAIT | MBUF_STEP_READ)
#define STEPS_ALL	(STEPS_PUT | STEPS_TAKE)

/*
 * Values. Each is made from a number, so that one that is not whole shows. The
 * number 0 is the slot that nobody has written to.
 */
struct value {
	uint64_t w[4];
};

_Static_assert(sizeof(struct value) == MBUF_SLOT_SIZE, "a value fills a slot");

static inline struct value value_of(uint64_t num)
{
	struct value v = {
		.w = {
			num * 0x9e3779b97f4a7c15ull,
			num,
			num * 0xc2b2ae3d27d4eb4full,
			num * 0xd6e8feb86659fd93ull,
		},
	};

	return v;
}

/* The number, or -EPROTO for what is no value, or not a whole one. */
static inline int64_t value_num(const void *data)
{
	struct value v, want;

	memcpy(&v, data, sizeof(v));
	want = value_of(v.w[1]);
	return memcmp(&v, &want, sizeof(v)) ? -EPROTO : (int64_t)v.w[1];
}

/*
 * Calls
 */
static inline struct mbuf_wait wait_of(uint64_t deadline)
{
	struct mbuf_wait w = {};

	if (deadline == MBUF_NOW) {
		w.mode = MBUF_WAIT_NOW;
	} else if (deadline != MBUF_FOREVER) {
		w.mode = MBUF_WAIT_UNTIL;
		w.deadline = deadline;
	}
	return w;
}

static inline struct mbuf_channel_create create_of(uint32_t flags0,
						   uint32_t flags1)
{
	struct mbuf_channel_create c = {
		.end = {
			{ .ref.fd = -77, .flags = flags0, .cookie = 100 },
			{ .ref.fd = -77, .flags = flags1, .cookie = 101 },
		},
	};

	if (flags0 & MBUF_END_DETACHED)
		c.end[0].cookie = 0;
	if (flags1 & MBUF_END_DETACHED)
		c.end[1].cookie = 0;
	return c;
}

/* Two endpoints with the same flags, and the cookies 100 and 101. */
static inline int ch_create(int session, uint32_t flags, int end[2])
{
	struct mbuf_channel_create c = create_of(flags, flags);
	int ret = (int)xioctl(session, MBUF_IOC_CHANNEL_CREATE, &c);

	if (!ret) {
		end[0] = c.end[0].ref.fd;
		end[1] = c.end[1].ref.fd;
	}
	return ret;
}

static inline struct mbuf_exchange xchg_of(uint32_t steps, uint64_t num,
					   uint64_t deadline)
{
	struct mbuf_exchange x;
	struct value v = value_of(num);

	/* What is only a result is no zero before. */
	poison(&x, sizeof(x));
	x.target = 0;
	x.wait = wait_of(deadline);
	x.steps = steps;
	x.done = 0;
	x.resv = 0;
	if (steps & MBUF_STEP_WRITE)
		memcpy(x.data, &v, sizeof(v));
	return x;
}

static inline int ch_xchg(int fd, struct mbuf_exchange *x)
{
	return (int)xioctl(fd, MBUF_IOC_EXCHANGE, x);
}

/* WRITE, SIGNAL, or both. */
static inline int ch_steps(int fd, uint32_t steps, uint64_t num)
{
	struct mbuf_exchange x = xchg_of(steps, num, MBUF_NOW);

	return ch_xchg(fd, &x);
}

static inline int ch_write(int fd, uint64_t num)
{
	return ch_steps(fd, MBUF_STEP_WRITE, num);
}

static inline int ch_signal(int fd)
{
	return ch_steps(fd, MBUF_STEP_SIGNAL, 0);
}

static inline int ch_put(int fd, uint64_t num)
{
	return ch_steps(fd, STEPS_PUT, num);
}

/* READ: the number in the own slot, or -errno. */
static inline int64_t ch_look(int fd)
{
	struct mbuf_exchange x = xchg_of(MBUF_STEP_READ, 0, MBUF_NOW);
	int ret = ch_xchg(fd, &x);

	return ret ? ret : value_num(x.data);
}

/* WAIT: how many signals, or -errno. */
static inline int64_t ch_wait(int fd, uint64_t deadline)
{
	struct mbuf_exchange x = xchg_of(MBUF_STEP_WAIT, 0, deadline);
	int ret = ch_xchg(fd, &x);

	return ret ? ret : (int64_t)x.signals;
}

/* WAIT and READ: the number, or -errno. */
static inline int64_t ch_take(int fd, uint64_t deadline)
{
	struct mbuf_exchange x = xchg_of(STEPS_TAKE, 0, deadline);
	int ret = ch_xchg(fd, &x);

	return ret ? ret : value_num(x.data);
}

/* read() and write(): the number or 0, or -errno; -EPIPE at the end. */
static inline int64_t fd_take(int fd)
{
	struct value v;
	long ret = xread(fd, &v, sizeof(v));

	if (ret <= 0)
		return ret ? ret : -EPIPE;
	return ret == sizeof(v) ? value_num(&v) : -EBADMSG;
}

static inline int fd_put(int fd, uint64_t num)
{
	struct value v = value_of(num);
	long ret = xwrite(fd, &v, sizeof(v));

	return ret == sizeof(v) ? 0 : ret < 0 ? (int)ret : -EBADMSG;
}

static inline int ch_try_info(int fd, struct mbuf_channel_info *info)
{
	memset(info, 0, sizeof(*info));
	return (int)xioctl(fd, MBUF_IOC_CHANNEL_INFO, info);
}

static inline struct mbuf_channel_info ch_info(int fd)
{
	struct mbuf_channel_info info;
	int ret = ch_try_info(fd, &info);

	if (ret) {
		fprintf(stderr, "# CHANNEL_INFO of descriptor %d: %s\n", fd,
			mbuf_strerror(ret));
		memset(&info, 0xff, sizeof(info));
	}
	return info;
}

/* Waits until somebody is asleep at the endpoint. */
static inline int ch_asleep(int fd)
{
	if (EVENTUALLY(ch_info(fd).waiters == 1))
		return 0;
	fprintf(stderr, "# nobody waits\n");
	return -ETIMEDOUT;
}

#define ASSERT_ASLEEP(fd)	ASSERT_EQ(0, ch_asleep(fd))

/* Sets */
static inline int ch_attach_flags(int session, int fd, uint64_t cookie,
				  uint32_t flags)
{
	struct mbuf_attach a = {
		.ref.fd = fd,
		.cookie = cookie,
		.flags = flags,
	};

	return (int)xioctl(session, MBUF_IOC_ATTACH, &a);
}

static inline int ch_attach(int session, int fd, uint64_t cookie)
{
	return ch_attach_flags(session, fd, cookie, 0);
}

static inline int ch_detach(int session, int fd)
{
	struct mbuf_attach a = { .ref.fd = fd };

	return (int)xioctl(session, MBUF_IOC_DETACH, &a);
}

/* How many events, or -errno. */
static inline int ch_poll_all(int session, struct mbuf_event *ev, uint32_t nr,
			      uint64_t deadline)
{
	struct mbuf_poll_all p = {
		.wait = wait_of(deadline),
		.events = (uintptr_t)ev,
		.nr = nr,
		.stride = sizeof(*ev),
	};

	return (int)xioctl(session, MBUF_IOC_POLL_ALL, &p);
}

#define ANY_MAX	64

static inline struct mbuf_wait_any any_of(const struct mbuf_ref *refs,
					  uint32_t nr, uint64_t deadline)
{
	struct mbuf_wait_any a;

	poison(&a, sizeof(a));
	a.target = 0;
	a.wait = wait_of(deadline);
	a.ends = (uintptr_t)refs;
	a.nr = nr;
	a.stride = sizeof(*refs);
	a.flags = 0;
	a.resv = 0;
	return a;
}

static inline int ch_any(int session, struct mbuf_wait_any *a)
{
	return (int)xioctl(session, MBUF_IOC_WAIT_ANY, a);
}

static inline void refs_of(struct mbuf_ref *refs, const int *fds, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		refs[i] = (struct mbuf_ref){ .fd = fds[i] };
}

/*
 * Waits of all kinds, made by a thread so that they can sleep
 */
enum how {
	WAY_WAIT,	/* EXCHANGE: WAIT */
	WAY_TAKE,	/* EXCHANGE: WAIT, READ */
	WAY_ALL,	/* EXCHANGE: all four */
	WAY_READ,	/* read() */
	WAY_READV,	/* readv() */
	WAY_ANY,	/* WAIT_ANY of this one */
	NR_WAYS
};

static inline const char *way_name(enum how way)
{
	static const char *const names[] = {
		[WAY_WAIT] = "WAIT",
		[WAY_TAKE] = "WAIT+READ",
		[WAY_ALL] = "EXCHANGE",
		[WAY_READ] = "read",
		[WAY_READV] = "readv",
		[WAY_ANY] = "WAIT_ANY",
	};

	return names[way];
}

#define FOR_EACH_WAY(way)	for ((way) = 0; (way) < NR_WAYS; (way)++)

struct waiter {
	enum how way;
	int fd;
	int session;		/* WAY_ANY */
	uint64_t deadline;	/* MBUF_FOREVER for read and readv */
	uint64_t num;		/* WAY_ALL: what to write */

	long ret;
	struct mbuf_exchange x;
	struct mbuf_ref ref;
	struct mbuf_wait_any any;
	struct value v;
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static inline uint32_t way_steps(enum how way)
{
	return way == WAY_WAIT ? MBUF_STEP_WAIT :
	       way == WAY_TAKE ? STEPS_TAKE : STEPS_ALL;
}

/* Prepares the call; waiter_again() makes it, as often as wanted. */
static inline void waiter_init(struct waiter *w, enum how way, int fd,
			       uint64_t deadline)
{
	memset(w, 0, sizeof(*w));
	w->way = way;
	w->fd = fd;
	w->session = -1;
	w->deadline = deadline;
	w->num = 1;
	poison(&w->v, sizeof(w->v));
	w->x = xchg_of(way_steps(way), w->num, deadline);
	w->ref.fd = fd;
	w->any = any_of(&w->ref, 1, deadline);
}

static inline long waiter_again(struct waiter *w)
{
	struct iovec iov[2] = {
		{ &w->v, 12 },
		{ (char *)&w->v + 12, sizeof(w->v) - 12 },
	};

	switch (w->way) {
	case WAY_READ:
		return xread(w->fd, &w->v, sizeof(w->v));
	case WAY_READV:
		return sys_result(readv(w->fd, iov, 2));
	case WAY_ANY:
		w->any.ends = (uintptr_t)&w->ref;
		return ch_any(w->session, &w->any);
	default:
		return ch_xchg(w->fd, &w->x);
	}
}

static inline void *waiter_main(void *arg)
{
	struct waiter *w = arg;

	atomic_store(&w->tid, (pid_t)syscall(SYS_gettid));
	w->ret = waiter_again(w);
	atomic_store(&w->done, true);
	return NULL;
}

/* Starts a thread that waits. */
static inline bool waiter_go(struct waiter *w)
{
	atomic_store(&w->done, false);
	atomic_store(&w->tid, 0);
	return !pthread_create(&w->thread, NULL, waiter_main, w);
}

static inline bool waiter_start(struct waiter *w, enum how way, int session,
				int fd)
{
	waiter_init(w, way, fd, MBUF_FOREVER);
	w->session = session;
	return waiter_go(w);
}

/* What the call gave; -ETIME, which no call gives, if it does not end. */
static inline long waiter_join(struct waiter *w)
{
	if (!EVENTUALLY(atomic_load(&w->done))) {
		fprintf(stderr, "# thread %d does not end\n", w->tid);
		return -ETIME;
	}
	pthread_join(w->thread, NULL);
	return w->ret;
}

/* What the call gives when there was a signal. */
static inline long way_success(enum how way)
{
	return way == WAY_READ || way == WAY_READV ? MBUF_SLOT_SIZE : 0;
}

/* What it gives at the end: read() has no error for it. */
static inline long way_end(enum how way)
{
	return way == WAY_READ || way == WAY_READV ? 0 :
	       way == WAY_ANY ? 0 : -EPIPE;
}

/* Signals that a successful call has taken; 1 where it cannot be seen. */
static inline uint64_t waiter_signals(const struct waiter *w)
{
	return w->way == WAY_ANY ? w->any.signals :
	       way_success(w->way) ? 1 : w->x.signals;
}

/* The value that it got; -ENODATA if it did not ask for one. */
static inline int64_t waiter_num(const struct waiter *w)
{
	if (w->way == WAY_WAIT)
		return -ENODATA;
	return value_num(w->way == WAY_ANY ? (const void *)w->any.data :
			 way_success(w->way) ? (const void *)&w->v :
					       w->x.data);
}

/*
 * The fixture of the tests of channels: two endpoints that a test may make,
 * attached to the session.
 */
FIXTURE(channel) {
	int session;
	int a, b;		/* -1, or the ends of make_channel() */
	struct mbuf_query q;
	struct snapshot before;
};

FIXTURE_SETUP(channel)
{
	self->a = -1;
	self->b = -1;
	self->session = fixture_begin(_metadata, &self->q, &self->before);
	ASSERT_NE(0, self->q.features & MBUF_FEATURE_CHANNEL) {
		TH_LOG("this module has no channels");
	}
}

FIXTURE_TEARDOWN(channel)
{
	close_fd(&self->a);
	close_fd(&self->b);
	fixture_end(_metadata, self->session, &self->before);
}

#define make_channel(flags) do {					\
	int __end[2];							\
									\
	ASSERT_EQ(0, ch_create(self->session, flags, __end));		\
	self->a = __end[0];						\
	self->b = __end[1];						\
} while (0)

#define close_channel() do {						\
	close_fd(&self->a);						\
	close_fd(&self->b);						\
} while (0)

#endif /* MBUF_SELFTESTS_CHANNEL_H */
