// SPDX-License-Identifier: GPL-2.0
/*
 * POLL_ALL: what is attached to a session, and which of it is ready.
 */
#include <sys/resource.h>
#include "channel.h"
#include "polling.h"

static int poll_now_all(int session, struct mbuf_event *ev, uint32_t nr)
{
	poison(ev, nr * sizeof(*ev));
	return ch_poll_all(session, ev, nr, MBUF_NOW);
}

/* Nothing is ready, as POLL_ALL and poll() say. */
#define EXPECT_QUIET(session) do {					\
	struct mbuf_event __ev;						\
									\
	EXPECT_EQ(-EAGAIN, poll_now_all(session, &__ev, 1));		\
	EXPECT_TRUE(is_poison(&__ev, sizeof(__ev)));			\
	EXPECT_EQ(0, poll_now(session, POLL_ALL));			\
} while (0)

/* Just one thing is ready. */
#define EXPECT_READY(session, what, event) do {				\
	struct mbuf_event __ev[2];					\
									\
	EXPECT_EQ(POLLIN, poll_now(session, POLL_ALL));			\
	EXPECT_EQ(1, poll_now_all(session, __ev, 2));			\
	EXPECT_EQ((uint64_t)(what), __ev[0].cookie);			\
	EXPECT_EQ(event, __ev[0].events);				\
	EXPECT_EQ(0, __ev[0].resv);					\
	EXPECT_TRUE(is_poison(&__ev[1], sizeof(__ev[1])));		\
} while (0)

TEST_F(channel, attached_when_made)
{
	make_channel(0);
	EXPECT_QUIET(self->session);
	/* A value alone is nothing. */
	ASSERT_EQ(0, ch_write(self->a, 1));
	EXPECT_QUIET(self->session);
	ASSERT_EQ(0, ch_signal(self->a));
	EXPECT_READY(self->session, 101, MBUF_EVENT_IN);
	/* It is told each time, until it is taken. */
	EXPECT_READY(self->session, 101, MBUF_EVENT_IN);
	EXPECT_EQ(1, ch_look(self->b));
	EXPECT_READY(self->session, 101, MBUF_EVENT_IN);
	ASSERT_EQ(0, ch_signal(self->a));
	EXPECT_READY(self->session, 101, MBUF_EVENT_IN);
	EXPECT_EQ(2, ch_wait(self->b, MBUF_NOW));
	EXPECT_QUIET(self->session);
	ASSERT_EQ(0, ch_signal(self->b));
	EXPECT_READY(self->session, 100, MBUF_EVENT_IN);
	EXPECT_EQ(0, fd_take(self->a));
	EXPECT_QUIET(self->session);
}

TEST_F(channel, the_end)
{
	make_channel(0);
	ASSERT_EQ(0, ch_put(self->b, 1));
	ASSERT_EQ(0, ch_write(self->b, 2));
	close_fd(&self->b);
	EXPECT_READY(self->session, 100, MBUF_EVENT_IN | MBUF_EVENT_HUP);
	EXPECT_EQ(2, ch_take(self->a, MBUF_NOW));
	/* For ever: it is for the program to close it. */
	EXPECT_READY(self->session, 100, MBUF_EVENT_HUP);
	EXPECT_READY(self->session, 100, MBUF_EVENT_HUP);
	EXPECT_EQ(-EPIPE, ch_take(self->a, MBUF_NOW));
	EXPECT_READY(self->session, 100, MBUF_EVENT_HUP);
	close_fd(&self->a);
	EXPECT_QUIET(self->session);

	/* A last value that nobody was told of. */
	make_channel(0);
	ASSERT_EQ(0, ch_write(self->b, 3));
	EXPECT_QUIET(self->session);
	close_fd(&self->b);
	EXPECT_READY(self->session, 100, MBUF_EVENT_IN | MBUF_EVENT_HUP);
	EXPECT_EQ(3, ch_look(self->a));
	EXPECT_READY(self->session, 100, MBUF_EVENT_HUP);
}

TEST_F(channel, both_ends_go)
{
	int i;

	/* In both orders, ready and not. */
	for (i = 0; i < 8; i++) {
		make_channel(0);
		if (i & 1)
			ASSERT_EQ(0, ch_put(self->a, 1));
		if (i & 2)
			ASSERT_EQ(0, ch_put(self->b, 1));
		if (i & 4)
			close_fd(&self->a);
		close_fd(&self->b);
		close_fd(&self->a);
		EXPECT_QUIET(self->session);
	}
}

TEST_F(channel, detached)
{
	make_channel(MBUF_END_DETACHED);
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_QUIET(self->session);
	EXPECT_EQ(-ENOENT, ch_detach(self->session, self->b));
	/* What is ready when it is attached is told at once. */
	ASSERT_EQ(0, ch_attach(self->session, self->b, 7));
	EXPECT_READY(self->session, 7, MBUF_EVENT_IN);
	ASSERT_EQ(0, ch_detach(self->session, self->b));
	EXPECT_QUIET(self->session);
	EXPECT_EQ(-ENOENT, ch_detach(self->session, self->b));
	/* Detaching changes nothing of the endpoint. */
	EXPECT_EQ(1, ch_info(self->b).signals);
	EXPECT_EQ(1, ch_take(self->b, MBUF_NOW));
	/* One that is not ready, and becomes so. */
	ASSERT_EQ(0, ch_attach(self->session, self->b, 8));
	EXPECT_QUIET(self->session);
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_READY(self->session, 8, MBUF_EVENT_IN);
	/* One whose peer is gone. */
	ASSERT_EQ(0, ch_detach(self->session, self->b));
	close_fd(&self->a);
	ASSERT_EQ(0, ch_attach(self->session, self->b, 9));
	EXPECT_READY(self->session, 9, MBUF_EVENT_IN | MBUF_EVENT_HUP);
}

TEST_F(channel, one_session_at_most)
{
	int other;

	other = mbuf_open();
	ASSERT_LE(0, other);
	make_channel(0);
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_EQ(-EBUSY, ch_attach(self->session, self->b, 1));
	EXPECT_EQ(-EBUSY, ch_attach(other, self->b, 1));
	EXPECT_EQ(-ENOENT, ch_detach(other, self->b));
	EXPECT_READY(self->session, 101, MBUF_EVENT_IN);
	EXPECT_QUIET(other);

	/* Moved, to another one and back; within one, for a new cookie. */
	ASSERT_EQ(0, ch_attach_flags(other, self->b, 5, MBUF_ATTACH_MOVE));
	EXPECT_QUIET(self->session);
	EXPECT_READY(other, 5, MBUF_EVENT_IN);
	ASSERT_EQ(0, ch_attach_flags(other, self->b, 6, MBUF_ATTACH_MOVE));
	EXPECT_READY(other, 6, MBUF_EVENT_IN);
	EXPECT_EQ(-ENOENT, ch_detach(self->session, self->b));
	ASSERT_EQ(0, ch_attach_flags(self->session, self->b, 7,
				     MBUF_ATTACH_MOVE));
	EXPECT_QUIET(other);
	EXPECT_READY(self->session, 7, MBUF_EVENT_IN);
	/* One that is not attached can be moved, too. */
	ASSERT_EQ(0, ch_detach(self->session, self->b));
	ASSERT_EQ(0, ch_attach_flags(self->session, self->b, 8,
				     MBUF_ATTACH_MOVE));
	EXPECT_READY(self->session, 8, MBUF_EVENT_IN);
	/* It is still the endpoint it was. */
	EXPECT_EQ(1, ch_take(self->b, MBUF_NOW));
	EXPECT_QUIET(self->session);
	ASSERT_EQ(0, ch_put(self->a, 2));
	EXPECT_READY(self->session, 8, MBUF_EVENT_IN);
	close(other);
}

TEST_F(channel, attach_errors)
{
	struct mbuf_attach a;
	int pipes[2], r, s, path, unused;
	char name[64];

	unused = fcntl(0, F_DUPFD_CLOEXEC, 900);
	ASSERT_LE(900, unused);
	close(unused);
	make_channel(MBUF_END_DETACHED);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(0, mbuf_queue_create(self->session, 1, 1, 0, &r, &s));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", self->b);
	path = open(name, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, path);
#define FAILS(err, cmd, stmt) do {					\
	a = (struct mbuf_attach){ .ref.fd = self->b };			\
	stmt;								\
	EXPECT_EQ(-(err), xioctl(self->session, MBUF_IOC_##cmd, &a)) {	\
		TH_LOG(#cmd ": " #stmt);				\
	}								\
} while (0)
	FAILS(EBADF, ATTACH, a.ref.fd = unused);
	FAILS(EBADF, ATTACH, a.ref.fd = -1);
	FAILS(EBADF, ATTACH, a.ref.fd = path);
	FAILS(ENOTTY, ATTACH, a.ref.fd = pipes[0]);
	FAILS(ENOTTY, ATTACH, a.ref.fd = r);
	FAILS(ENOTTY, ATTACH, a.ref.fd = self->session);
	FAILS(EINVAL, ATTACH, a.ref.flags = 1);
	FAILS(EINVAL, ATTACH, a.ref.handle = 1);
	FAILS(EINVAL, ATTACH, a.flags = 2);
	FAILS(EINVAL, ATTACH, a.flags = 1u << 31);
	FAILS(EINVAL, ATTACH, a.resv = 1);
	FAILS(EOPNOTSUPP, ATTACH, a.target = 1);
	EXPECT_EQ(-ENOTTY, ch_attach(self->a, self->b, 0));
	/* None of these has attached it. */
	FAILS(ENOENT, DETACH, (void)a);
	ASSERT_EQ(0, ch_attach(self->session, self->b, 1));
	FAILS(EBADF, DETACH, a.ref.fd = unused);
	FAILS(ENOTTY, DETACH, a.ref.fd = pipes[0]);
	FAILS(EINVAL, DETACH, a.ref.flags = 1);
	FAILS(EINVAL, DETACH, a.ref.handle = 1);
	FAILS(EINVAL, DETACH, a.flags = MBUF_ATTACH_MOVE);
	FAILS(EINVAL, DETACH, a.cookie = 1);
	FAILS(EINVAL, DETACH, a.resv = 1);
	FAILS(EOPNOTSUPP, DETACH, a.target = 1);
	FAILS(ENOENT, DETACH, a.ref.fd = self->a);
#undef FAILS
	/* Nor have these detached it. */
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_READY(self->session, 1, MBUF_EVENT_IN);
	close(pipes[0]);
	close(pipes[1]);
	close(path);
	close(r);
	close(s);
}

TEST_F(channel, poll_all_errors)
{
	const uint32_t max = self->q.batch_max;
	struct mbuf_poll_all p;
	struct mbuf_event ev[2];

	make_channel(0);
	ASSERT_EQ(0, ch_put(self->a, 1));
#define FAILS(err, stmt) do {						\
	p = (struct mbuf_poll_all){					\
		.events = (uintptr_t)ev,				\
		.nr = 2,						\
		.stride = sizeof(ev[0]),				\
	};								\
	poison(ev, sizeof(ev));						\
	stmt;								\
	EXPECT_EQ(-(err), xioctl(self->session, MBUF_IOC_POLL_ALL, &p)) { \
		TH_LOG(#stmt);						\
	}								\
	EXPECT_TRUE(is_poison(ev, sizeof(ev)));				\
} while (0)
	FAILS(EINVAL, p.nr = 0);
	FAILS(EINVAL, p.nr = max + 1);
	FAILS(EINVAL, p.nr = UINT32_MAX);
	FAILS(EINVAL, p.stride = 0);
	FAILS(EINVAL, p.stride = 8);
	FAILS(EINVAL, p.stride = 15);
	FAILS(EINVAL, p.stride = 20);
	FAILS(EINVAL, p.stride = 264);
	FAILS(EINVAL, p.stride = UINT32_MAX - 7);
	FAILS(EINVAL, p.flags = 1);
	FAILS(EINVAL, p.flags = 1u << 31);
	FAILS(EINVAL, p.resv = 1);
	FAILS(EINVAL, p.wait.mode = 3);
	FAILS(EINVAL, p.wait.deadline = 1);
	FAILS(EOPNOTSUPP, p.target = 1);
	FAILS(EFAULT, p.events = 0);
	FAILS(EFAULT, p.events = 1ull << 63);
	FAILS(EFAULT, p.events = UINT64_MAX);
#undef FAILS
	EXPECT_EQ(-ENOTTY, ch_poll_all(self->a, ev, 2, MBUF_NOW));
	EXPECT_READY(self->session, 101, MBUF_EVENT_IN);
	EXPECT_EQ(1, ch_info(self->b).signals);
}

TEST_F(channel, deadlines)
{
	struct mbuf_event ev;
	uint64_t deadline;

	make_channel(0);
	poison(&ev, sizeof(ev));
	EXPECT_EQ(-ETIMEDOUT, ch_poll_all(self->session, &ev, 1, 1));
	deadline = in_ms(50);
	EXPECT_EQ(-ETIMEDOUT, ch_poll_all(self->session, &ev, 1, deadline));
	EXPECT_LE(deadline, now_ns());
	ASSERT_EQ(0, set_nonblock(self->session, true));
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, &ev, 1, MBUF_FOREVER));
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, &ev, 1, in_ms(100000)));
	ASSERT_EQ(0, set_nonblock(self->session, false));
	EXPECT_TRUE(is_poison(&ev, sizeof(ev)));
	/* What is ready is told whatever the deadline. */
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_EQ(1, ch_poll_all(self->session, &ev, 1, 1));
	EXPECT_EQ(1, ch_poll_all(self->session, &ev, 1, MBUF_FOREVER));
}

/* Many channels, all of whose first ends have cookies from 0 on. */
struct many {
	int (*end)[2];
	uint32_t nr;
};

static bool many_make(struct many *m, int session, uint32_t nr)
{
	struct mbuf_channel_create c;

	m->nr = 0;
	m->end = calloc(nr, sizeof(*m->end));
	while (m->end && m->nr < nr) {
		c = create_of(0, MBUF_END_DETACHED);
		c.end[0].cookie = m->nr;
		if (xioctl(session, MBUF_IOC_CHANNEL_CREATE, &c))
			return false;
		m->end[m->nr][0] = c.end[0].ref.fd;
		m->end[m->nr][1] = c.end[1].ref.fd;
		m->nr++;
	}
	return m->end;
}

static void many_close(struct many *m)
{
	while (m->nr--) {
		close(m->end[m->nr][0]);
		close(m->end[m->nr][1]);
	}
	free(m->end);
}

/* How often each was told; -1 if somebody was who should not have been. */
static int count_events(const struct mbuf_event *ev, int nr, uint32_t *told,
			uint32_t max, uint32_t events)
{
	int i;

	for (i = 0; i < nr; i++) {
		if (ev[i].cookie >= max || ev[i].events != events || ev[i].resv)
			return -1;
		told[ev[i].cookie]++;
	}
	return nr;
}

#define SOME	100

TEST_F(channel, in_turn)
{
	const uint32_t nrs[] = { 1, 2, 3, 7, 31, 32, 33, 50, 64, 65, 99, 100,
				 101, 1000 };
	struct mbuf_event ev[1024];
	uint32_t told[SOME], k, i, want, calls;
	struct many m;

	ASSERT_TRUE(many_make(&m, self->session, SOME));
	for (i = 0; i < SOME; i++)
		ASSERT_EQ(0, ch_put(m.end[i][1], i));
	for (k = 0; k < ARRAY_SIZE(nrs); k++) {
		memset(told, 0, sizeof(told));
		want = nrs[k] < SOME ? nrs[k] : SOME;
		/* All are ready: no one twice before each was told once. */
		calls = (3 * SOME + want - 1) / want;
		for (i = 0; i < calls; i++) {
			ASSERT_EQ(want, poll_now_all(self->session, ev,
						     nrs[k]));
			ASSERT_EQ(want, count_events(ev, (int)want, told, SOME,
						     MBUF_EVENT_IN));
			ASSERT_TRUE(is_poison(&ev[want], (nrs[k] - want) *
					      sizeof(ev[0])));
		}
		for (i = 0; i < SOME; i++) {
			EXPECT_LE(calls * want / SOME, told[i]) {
				TH_LOG("%u at a time: %u was told %u times",
				       nrs[k], i, told[i]);
			}
			EXPECT_GE(calls * want / SOME + 1, told[i]);
		}
	}
	/* Only what is ready. */
	for (i = 0; i < SOME; i++)
		if (i % 7)
			ASSERT_EQ(1, ch_wait(m.end[i][0], MBUF_NOW));
	memset(told, 0, sizeof(told));
	ASSERT_EQ(15, poll_now_all(self->session, ev, SOME));
	EXPECT_EQ(15, count_events(ev, 15, told, SOME, MBUF_EVENT_IN));
	for (i = 0; i < SOME; i++)
		EXPECT_EQ(i % 7 ? 0 : 1, told[i]);
	many_close(&m);
}

TEST_F(channel, strides)
{
	struct mbuf_poll_all p;
	struct mbuf_event ev;
	uint32_t stride, i;
	struct many m;
	uint8_t *arr;

	ASSERT_TRUE(many_make(&m, self->session, 40));
	for (i = 0; i < 40; i++)
		ASSERT_EQ(0, ch_put(m.end[i][1], i));
	arr = malloc(40 * 256);
	ASSERT_NE(NULL, arr);
	for (stride = 16; stride <= 256; stride += 8) {
		uint32_t told[40] = {};

		memset(arr, 0, 40 * 256);
		p = (struct mbuf_poll_all){
			.events = (uintptr_t)arr,
			.nr = 40,
			.stride = stride,
		};
		ASSERT_EQ(40, xioctl(self->session, MBUF_IOC_POLL_ALL, &p));
		for (i = 0; i < 40; i++) {
			uint32_t k;

			memcpy(&ev, arr + i * stride, sizeof(ev));
			ASSERT_EQ(1, count_events(&ev, 1, told, 40,
						  MBUF_EVENT_IN));
			ASSERT_EQ(1, told[ev.cookie]);
			for (k = sizeof(ev); k < stride; k++)
				ASSERT_EQ(0, arr[i * stride + k]);
		}
	}
	free(arr);
	many_close(&m);
}

/* Memory for some of them. */
TEST_F(channel, fault)
{
	struct mbuf_event ev[40];
	uint32_t i, fit;
	struct guarded g;
	struct many m;

	ASSERT_TRUE(many_make(&m, self->session, 40));
	for (i = 0; i < 40; i++)
		ASSERT_EQ(0, ch_put(m.end[i][1], i));
	for (fit = 0; fit < 3; fit++) {
		ASSERT_TRUE(guarded_alloc(&g, fit * 16 + 8));
		EXPECT_EQ(-EFAULT, ch_poll_all(self->session, (void *)g.p, 3,
					       MBUF_NOW));
		EXPECT_EQ(-EFAULT, ch_poll_all(self->session, (void *)g.p, 40,
					       MBUF_NOW));
		guarded_free(&g);
	}
	/* Nothing is lost by it. */
	EXPECT_EQ(40, poll_now_all(self->session, ev, 40));
	for (i = 0; i < 40; i++)
		EXPECT_EQ(1, ch_info(m.end[i][0]).signals);
	many_close(&m);
}

/*
 * Sleeping
 */
struct sleeper {
	int session;
	struct mbuf_event ev[4];
	uint32_t nr;
	uint64_t deadline;
	int ret;
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	atomic_store(&s->tid, (pid_t)syscall(SYS_gettid));
	s->ret = ch_poll_all(s->session, s->ev, s->nr, s->deadline);
	atomic_store(&s->done, true);
	return NULL;
}

static bool sleeper_go(struct sleeper *s, int session, uint32_t nr,
		       uint64_t deadline)
{
	memset(s, 0, sizeof(*s));
	poison(s->ev, sizeof(s->ev));
	s->session = session;
	s->nr = nr;
	s->deadline = deadline;
	return !pthread_create(&s->thread, NULL, sleeper_main, s);
}

static bool asleep(struct sleeper *s)
{
	return sleeps_in_ioctl(s->tid, MBUF_IOC_POLL_ALL);
}

#define SLEEP(s) do {							\
	ASSERT_TRUE(sleeper_go(s, self->session, 4, MBUF_FOREVER));	\
	ASSERT_TRUE(EVENTUALLY(asleep(s)));				\
} while (0)

static int sleeper_join(struct sleeper *s)
{
	if (!EVENTUALLY(s->done)) {
		fprintf(stderr, "# thread %d sleeps on\n", s->tid);
		return -ETIME;
	}
	pthread_join(s->thread, NULL);
	return s->ret;
}

TEST_F(channel, sleeps_until_something_is_ready)
{
	struct sleeper s;
	int by;

	make_channel(0);
	for (by = 0; by < 3; by++) {
		SLEEP(&s);
		/* That is no event. */
		ASSERT_EQ(0, ch_write(self->a, 1));
		EXPECT_FALSE(s.done);
		ASSERT_EQ(0, by == 0 ? ch_signal(self->a) :
			     by == 1 ? ch_put(self->a, 2) :
				       fd_put(self->a, 3));
		EXPECT_EQ(1, sleeper_join(&s));
		EXPECT_EQ(101, s.ev[0].cookie);
		EXPECT_EQ(MBUF_EVENT_IN, s.ev[0].events);
		EXPECT_TRUE(is_poison(&s.ev[1], sizeof(s.ev[1])));
		EXPECT_EQ(1, ch_wait(self->b, MBUF_NOW));
	}
	/* The end, */
	SLEEP(&s);
	close_fd(&self->a);
	EXPECT_EQ(1, sleeper_join(&s));
	EXPECT_EQ(101, s.ev[0].cookie);
	EXPECT_EQ(MBUF_EVENT_HUP, s.ev[0].events & ~MBUF_EVENT_IN);
	close_fd(&self->b);
	/* something that is attached, */
	make_channel(MBUF_END_DETACHED);
	ASSERT_EQ(0, ch_put(self->a, 1));
	SLEEP(&s);
	ASSERT_EQ(0, ch_attach(self->session, self->b, 5));
	EXPECT_EQ(1, sleeper_join(&s));
	EXPECT_EQ(5, s.ev[0].cookie);
	EXPECT_EQ(1, ch_take(self->b, MBUF_NOW));
	/* or moved here. */
	by = mbuf_open();
	ASSERT_LE(0, by);
	ASSERT_EQ(0, ch_attach_flags(by, self->b, 6, MBUF_ATTACH_MOVE));
	ASSERT_EQ(0, ch_put(self->a, 1));
	SLEEP(&s);
	ASSERT_EQ(0, ch_attach_flags(self->session, self->b, 7,
				     MBUF_ATTACH_MOVE));
	EXPECT_EQ(1, sleeper_join(&s));
	EXPECT_EQ(7, s.ev[0].cookie);
	close(by);
}

/* A signal that a waiter takes makes nothing ready. */
TEST_F(channel, a_waiter_is_first)
{
	struct sleeper s;
	struct waiter w;
	int i;

	make_channel(0);
	SLEEP(&s);
	for (i = 0; i < 10; i++) {
		ASSERT_TRUE(waiter_start(&w, i % NR_WAYS, self->session,
					 self->b));
		ASSERT_ASLEEP(self->b);
		ASSERT_EQ(0, ch_put(self->a, 1));
		EXPECT_EQ(way_success(w.way), waiter_join(&w));
		/* WAY_ALL signals the other end, which is attached as well. */
		if (w.way == WAY_ALL) {
			EXPECT_EQ(1, sleeper_join(&s));
			EXPECT_EQ(100, s.ev[0].cookie);
			EXPECT_EQ(1, ch_wait(self->a, MBUF_NOW));
			SLEEP(&s);
		}
	}
	EXPECT_FALSE(s.done);
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_EQ(1, sleeper_join(&s));
}

/* A signal that comes back is ready again. */
TEST_F(channel, what_comes_back)
{
	struct mbuf_exchange *x = map_pages(sizeof(*x), PROT_READ | PROT_WRITE);

	ASSERT_NE(NULL, x);
	make_channel(0);
	*x = xchg_of(STEPS_TAKE, 0, MBUF_NOW);
	mprotect(x, page_size(), PROT_READ);
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_EQ(-EFAULT, ch_xchg(self->b, x));
	EXPECT_READY(self->session, 101, MBUF_EVENT_IN);
	munmap(x, sizeof(*x));
}

TEST_F(channel, interrupted)
{
	struct sleeper s;
	int i;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_channel(0);
	SLEEP(&s);
	ASSERT_EQ(0, pthread_kill(s.thread, SIGUSR1));
	EXPECT_EQ(-EINTR, sleeper_join(&s));
	EXPECT_TRUE(is_poison(s.ev, sizeof(s.ev)));

	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	SLEEP(&s);
	for (i = 1; i <= 5; i++) {
		ASSERT_EQ(0, pthread_kill(s.thread, SIGUSR1));
		ASSERT_TRUE(EVENTUALLY(signals_seen == i && asleep(&s)));
	}
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_EQ(1, sleeper_join(&s));
}

/* Each thing that becomes ready wakes one; the others sleep on. */
#define SLEEPERS	6

TEST_F(channel, one_is_woken_for_each)
{
	struct sleeper s[SLEEPERS];
	unsigned int i, k, awake;
	struct many m;

	ASSERT_TRUE(many_make(&m, self->session, SLEEPERS));
	for (i = 0; i < SLEEPERS; i++)
		SLEEP(&s[i]);
	for (i = 0; i < SLEEPERS; i++) {
		ASSERT_EQ(0, ch_put(m.end[i][1], 1));
		ASSERT_TRUE(EVENTUALLY(({
			awake = 0;
			for (k = 0; k < SLEEPERS; k++)
				awake += s[k].done;
			awake > i;
		})));
		EXPECT_EQ(i + 1, awake);
		/* Taken, so that there is nothing that others could be told. */
		EXPECT_EQ(1, ch_wait(m.end[i][0], MBUF_NOW));
	}
	for (i = 0; i < SLEEPERS; i++) {
		EXPECT_EQ(1, sleeper_join(&s[i]));
		EXPECT_EQ(MBUF_EVENT_IN, s[i].ev[0].events);
	}
	many_close(&m);
}

/*
 * One of two sleepers is woken for a signal, and is interrupted or has its
 * deadline just then: somebody must be told.
 */
static void baton(struct __test_metadata *_metadata,
		  struct _test_data_channel *self, bool by_deadline)
{
	struct handicap h = { .seed = 1, .time = 100 };
	unsigned int i, gave_up = 0;
	uint64_t ahead = 6 * NS_PER_MS, start = now_ns();
	int64_t lead = 20000;

	/* Where all is slow, for as long as both have not been seen. */
	for (i = 0; i < 300 && (now_ns() - start < 20 * NS_PER_SEC ||
				!gave_up || gave_up == i); i++) {
		uint64_t at = now_ns() + ahead;
		struct sleeper s[2];
		int first, ret;

		ASSERT_TRUE(sleeper_go(&s[0], self->session, 1, by_deadline ?
				       at : MBUF_FOREVER));
		ASSERT_TRUE(EVENTUALLY(asleep(&s[0]) || s[0].done));
		ASSERT_TRUE(sleeper_go(&s[1], self->session, 1, MBUF_FOREVER));
		ASSERT_TRUE(EVENTUALLY(asleep(&s[1])));
		if (by_deadline) {
			/* Too late already: this is a slow machine. */
			if ((int64_t)(at - now_ns()) > lead)
				ahead -= ahead / 32;
			else if (ahead < 500 * NS_PER_MS)
				ahead += ahead / 2;
			while ((int64_t)(at - now_ns()) > lead)
				;
			ASSERT_EQ(0, ch_put(self->a, i));
		} else if (i % 2) {
			pthread_kill(s[0].thread, SIGUSR1);
			handicap_spin(&h);
			ASSERT_EQ(0, ch_put(self->a, i));
		} else {
			ASSERT_EQ(0, ch_put(self->a, i));
			pthread_kill(s[0].thread, SIGUSR1);
		}
		ret = sleeper_join(&s[0]);
		if (ret != 1) {
			ASSERT_EQ(by_deadline ? -ETIMEDOUT : -EINTR, ret);
			gave_up++;
			lead += 4000;
			/* Then it is the other one that is told. */
			ASSERT_EQ(1, sleeper_join(&s[1]));
			first = 1;
		} else {
			lead -= 4000;
			first = 0;
		}
		handicap_adapt(&h, ret == 1);
		ASSERT_EQ(101, s[first].ev[0].cookie);
		ASSERT_EQ(i, ch_take(self->b, MBUF_NOW));
		if (!first) {
			/*
			 * The other one may have been told as well while it was
			 * ready. If not it sleeps.
			 */
			ASSERT_TRUE(EVENTUALLY(s[1].done || asleep(&s[1])));
			if (!s[1].done)
				ASSERT_EQ(0, ch_put(self->a, i));
			ASSERT_EQ(1, sleeper_join(&s[1]));
			ch_wait(self->b, MBUF_NOW);
		}
	}
	TH_LOG("%u of %u gave up", gave_up, i);
	EXPECT_LT(0, gave_up);
	EXPECT_GT(i, gave_up);
}

TEST_F(channel, handler_races_with_signal)
{
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_channel(0);
	baton(_metadata, self, false);
}

TEST_F(channel, deadline_races_with_signal)
{
	make_channel(0);
	baton(_metadata, self, true);
}

/* The same with one that is killed. */
static int doomed_child(void *arg)
{
	struct sleeper *s = arg;

	s->tid = getpid();
	s->ret = ch_poll_all(s->session, s->ev, 1, MBUF_FOREVER);
	for (;;)
		pause();
	return 0;
}

TEST_F(channel, kill_races_with_signal)
{
	struct sleeper *doomed = map_shared(sizeof(*doomed)), s;
	struct handicap h = { .seed = 1, .time = 100 };
	unsigned int i, told = 0;
	pid_t pid;

	ASSERT_NE(NULL, doomed);
	make_channel(0);
	for (i = 0; i < 100; i++) {
		memset(doomed, 0, sizeof(*doomed));
		doomed->session = self->session;
		pid = spawn(doomed_child, doomed);
		ASSERT_LT(0, pid);
		ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(pid,
						       MBUF_IOC_POLL_ALL)));
		SLEEP(&s);
		if (i % 2) {
			kill(pid, SIGKILL);
			handicap_spin(&h);
			ASSERT_EQ(0, ch_put(self->a, i));
		} else {
			ASSERT_EQ(0, ch_put(self->a, i));
			kill(pid, SIGKILL);
		}
		EXPECT_EQ(128 + SIGKILL, reap(pid));
		/*
		 * It is dead, the signal is there, and somebody sleeps who
		 * could be told. It was, or the dead one was told before.
		 */
		if (doomed->ret == 1)
			told++;
		else
			ASSERT_EQ(1, sleeper_join(&s));
		handicap_adapt(&h, doomed->ret == 1);
		ASSERT_EQ(i, ch_take(self->b, MBUF_NOW));
		if (doomed->ret == 1) {
			ASSERT_TRUE(EVENTUALLY(s.done || asleep(&s)));
			if (!s.done)
				ASSERT_EQ(0, ch_put(self->a, i));
			ASSERT_EQ(1, sleeper_join(&s));
			ch_wait(self->b, MBUF_NOW);
		}
	}
	TH_LOG("%u of 100 were told before they died", told);
	munmap(doomed, sizeof(*doomed));
}

/*
 * Many threads serve many endpoints: all that is signalled is taken in the
 * end.
 */
#define SERVERS		4
#define CLIENTS		3
#define SERVED		24
#define EACH		3000

struct service {
	int session;
	struct many *m;
	_Atomic uint64_t *taken;
	_Atomic bool *stop;
	_Atomic int *ended;
	unsigned int nr, seed;
	int wrong;
	pthread_t thread;
};

static void serve(struct service *s)
{
	struct mbuf_event ev[8];
	int i, n;

	while (!*s->stop) {
		n = ch_poll_all(s->session, ev, s->nr, MBUF_FOREVER);
		if (n <= 0) {
			s->wrong = n;
			break;
		}
		for (i = 0; i < n; i++) {
			int64_t got;

			if (ev[i].cookie >= SERVED)
				continue;	/* to stop it */
			got = ch_wait(s->m->end[ev[i].cookie][0], MBUF_NOW);
			if (got == -EAGAIN)
				continue;	/* another was faster */
			if (got <= 0) {
				s->wrong = (int)got;
				return;
			}
			atomic_fetch_add(s->taken, (uint64_t)got);
		}
	}
}

static void *server(void *arg)
{
	struct service *s = arg;

	serve(s);
	atomic_fetch_add(s->ended, 1);
	return NULL;
}

static void *client(void *arg)
{
	struct service *s = arg;
	unsigned int i, k;

	for (i = 0; i < EACH && !s->wrong; i++) {
		k = (unsigned int)rand_r(&s->seed) / 7 % SERVED;
		s->wrong = ch_put(s->m->end[k][1], i);
	}
	return NULL;
}

TEST_F(channel, many_servers)
{
	struct service servers[SERVERS], clients[CLIENTS];
	_Atomic bool stop = false;
	_Atomic uint64_t taken = 0;
	_Atomic int ended = 0;
	struct many m;
	int i;

	ASSERT_TRUE(many_make(&m, self->session, SERVED));
	make_channel(0);
	for (i = 0; i < SERVERS; i++) {
		servers[i] = (struct service){
			.session = self->session,
			.m = &m,
			.taken = &taken,
			.stop = &stop,
			.ended = &ended,
			.nr = i % 2 ? 1 : 8,
		};
		ASSERT_EQ(0, pthread_create(&servers[i].thread, NULL, server,
					    &servers[i]));
	}
	for (i = 0; i < CLIENTS; i++) {
		clients[i] = (struct service){ .m = &m,
					       .seed = (unsigned int)i + 1 };
		ASSERT_EQ(0, pthread_create(&clients[i].thread, NULL, client,
					    &clients[i]));
	}
	for (i = 0; i < CLIENTS; i++) {
		pthread_join(clients[i].thread, NULL);
		EXPECT_EQ(0, clients[i].wrong);
	}
	/* A lost wakeup would show as one that is never taken. */
	EXPECT_TRUE(EVENTUALLY(taken == CLIENTS * EACH)) {
		TH_LOG("%llu of %d signals were taken",
		       (unsigned long long)taken, CLIENTS * EACH);
	}
	stop = true;
	while (ended < SERVERS) {
		/* Each time wakes another one. */
		ASSERT_EQ(0, ch_put(self->a, 1));
		nap();
		ch_wait(self->b, MBUF_NOW);
	}
	for (i = 0; i < SERVERS; i++) {
		pthread_join(servers[i].thread, NULL);
		EXPECT_EQ(0, servers[i].wrong);
	}
	many_close(&m);
}

/*
 * The session as something to poll
 */
TEST_F(channel, session_polls)
{
	struct poller p[NR_BY];
	enum poll_by h;
	struct edge e;

	make_channel(0);
	EXPECT_EQ(0, readiness(self->session));
	for (h = 0; h < NR_BY; h++)
		ASSERT_TRUE(poller_start(&p[h], h, self->session, POLLIN));
	ASSERT_EQ(0, ch_write(self->a, 1));
	for (h = 0; h < NR_BY; h++)
		EXPECT_FALSE(p[h].done);
	ASSERT_EQ(0, ch_signal(self->a));
	for (h = 0; h < NR_BY; h++)
		EXPECT_EQ(POLLIN, poller_join(&p[h]));
	EXPECT_EQ(POLLIN, readiness(self->session));
	EXPECT_EQ(1, ch_wait(self->b, MBUF_NOW));
	EXPECT_EQ(0, readiness(self->session));

	/* Level-triggered epoll; an epoll in an epoll. */
	ASSERT_TRUE(edge_add(&e, self->session, EPOLLIN));
	EXPECT_EQ(0, edge_get(&e));
	ASSERT_EQ(0, ch_signal(self->b));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	EXPECT_EQ(POLLIN, readiness(e.ep));
	EXPECT_EQ(1, ch_wait(self->a, MBUF_NOW));
	EXPECT_EQ(0, edge_get(&e));
	close(e.ep);
	/* For nothing else than that. */
	EXPECT_EQ(-EINVAL, xread(self->session, &e, sizeof(e)));
	EXPECT_EQ(-EINVAL, xwrite(self->session, &e, sizeof(e)));
}

/* Edge-triggered: an event whenever something becomes ready. */
TEST_F(channel, session_edge)
{
	struct edge e;
	int i;

	make_channel(0);
	ASSERT_TRUE(edge_add(&e, self->session, EPOLLIN | EPOLLET));
	EXPECT_EQ(0, edge_get(&e));
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, ch_put(self->a, 1));
		EXPECT_EQ(EPOLLIN, edge_get(&e));
		EXPECT_EQ(0, edge_get(&e));
		ASSERT_EQ(0, ch_put(self->b, 1));
		EXPECT_EQ(EPOLLIN, edge_get(&e));
		EXPECT_EQ(0, edge_get(&e));
		EXPECT_EQ(1, ch_wait(self->b, MBUF_NOW));
		EXPECT_EQ(1, ch_wait(self->a, MBUF_NOW));
		EXPECT_EQ(0, edge_get(&e));
	}
	close(e.ep);
}

TEST_F(channel, poll_and_sleep_together)
{
	struct poller p;
	struct sleeper s;

	make_channel(0);
	ASSERT_TRUE(poller_start(&p, BY_POLL, self->session, POLLIN));
	SLEEP(&s);
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_EQ(POLLIN, poller_join(&p));
	EXPECT_EQ(1, sleeper_join(&s));
}

/*
 * What goes
 */
TEST_F(channel, session_closes)
{
	int session, end[2], i;
	struct mbuf_event ev;
	struct sleeper s;

	for (i = 0; i < 4; i++) {
		session = mbuf_open();
		ASSERT_LE(0, session);
		ASSERT_EQ(0, ch_create(session, 0, end));
		if (i & 1)
			ASSERT_EQ(0, ch_put(end[0], 1));
		close(session);
		/* The endpoints go on, and can be attached elsewhere. */
		EXPECT_EQ(-ENOENT, ch_detach(self->session, end[1]));
		EXPECT_EQ(0, ch_attach(self->session, end[1], 3));
		if (!(i & 1))
			ASSERT_EQ(0, ch_put(end[0], 1));
		EXPECT_READY(self->session, 3, MBUF_EVENT_IN);
		close(end[i >> 1]);
		close(end[!(i >> 1)]);
		EXPECT_QUIET(self->session);
	}

	/* A call that is asleep keeps it. */
	session = mbuf_open();
	ASSERT_LE(0, session);
	ASSERT_EQ(0, ch_create(session, 0, end));
	ASSERT_TRUE(sleeper_go(&s, session, 1, MBUF_FOREVER));
	ASSERT_TRUE(EVENTUALLY(asleep(&s)));
	close(session);
	EXPECT_EQ(-EBUSY, ch_attach(self->session, end[1], 1));
	ASSERT_EQ(0, ch_put(end[0], 1));
	EXPECT_EQ(1, sleeper_join(&s));
	EXPECT_EQ(101, s.ev[0].cookie);
	EXPECT_TRUE(EVENTUALLY(!ch_attach(self->session, end[1], 1)));
	EXPECT_EQ(1, ch_poll_all(self->session, &ev, 1, MBUF_NOW));
	close(end[0]);
	close(end[1]);
}

/* A descriptor in another process is the same endpoint and session. */
static int serving_child(void *arg)
{
	int session = *(int *)arg;
	struct mbuf_event ev;

	CHECK_EQ(1, ch_poll_all(session, &ev, 1, MBUF_FOREVER));
	CHECK_EQ(101, ev.cookie);
	return 0;
}

TEST_F(channel, session_is_shared)
{
	pid_t pid;

	make_channel(0);
	pid = spawn(serving_child, &self->session);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_EQ(0, reap(pid));
	EXPECT_READY(self->session, 101, MBUF_EVENT_IN);
}

/* Endpoints come and go, move and become ready, while others look. */
struct mover {
	int session[2], end;
	_Atomic bool *stop;
	uint64_t moves;
	int wrong;
	pthread_t thread;
};

static void *move(void *arg)
{
	struct mover *m = arg;
	unsigned int i;

	for (i = 0; !*m->stop && !m->wrong; i++) {
		int to = m->session[i % 2];

		if (i % 8 == 7) {
			m->wrong = ch_detach(m->session[(i + 1) % 2], m->end);
			if (!m->wrong)
				m->wrong = ch_attach(to, m->end, 9);
		} else {
			m->wrong = ch_attach_flags(to, m->end, 9,
						   MBUF_ATTACH_MOVE);
		}
		m->moves++;
	}
	return NULL;
}

struct looker {
	int session, end;
	_Atomic bool *stop;
	uint64_t taken;
	int wrong;
	pthread_t thread;
};

static void *look(void *arg)
{
	struct looker *l = arg;
	struct mbuf_event ev;
	int64_t got;
	int n;

	while (!*l->stop) {
		n = ch_poll_all(l->session, &ev, 1, now_ns() + 2 * NS_PER_MS);
		if (n == -ETIMEDOUT)
			continue;
		if (n != 1 || ev.cookie != 9) {
			l->wrong = n;
			break;
		}
		got = ch_wait(l->end, MBUF_NOW);
		if (got > 0)
			l->taken += (uint64_t)got;
		else if (got != -EAGAIN)
			l->wrong = (int)got;
	}
	return NULL;
}

TEST_F(channel, moved_while_ready)
{
	struct looker l[2] = {};
	_Atomic bool stop = false;
	struct mover m = {};
	uint64_t sent = 0, i;
	int64_t left;

	make_channel(MBUF_END_DETACHED);
	m.session[0] = self->session;
	m.session[1] = mbuf_open();
	ASSERT_LE(0, m.session[1]);
	m.end = self->b;
	m.stop = &stop;
	ASSERT_EQ(0, ch_attach(m.session[1], self->b, 9));
	for (i = 0; i < 2; i++) {
		l[i].session = m.session[i];
		l[i].end = self->b;
		l[i].stop = &stop;
		ASSERT_EQ(0, pthread_create(&l[i].thread, NULL, look, &l[i]));
	}
	ASSERT_EQ(0, pthread_create(&m.thread, NULL, move, &m));
	for (i = 0; i < 8000; i++) {
		ASSERT_EQ(0, ch_put(self->a, i));
		sent++;
		if (i % 64 == 0)
			nap();
	}
	/* In whichever session it is, it is told. */
	EXPECT_TRUE(EVENTUALLY(!ch_info(self->b).signals));
	stop = true;
	pthread_join(m.thread, NULL);
	for (i = 0; i < 2; i++) {
		pthread_join(l[i].thread, NULL);
		EXPECT_EQ(0, l[i].wrong);
	}
	EXPECT_EQ(0, m.wrong);
	left = ch_wait(self->b, MBUF_NOW);
	EXPECT_EQ(sent, l[0].taken + l[1].taken +
			(left > 0 ? (uint64_t)left : 0));
	TH_LOG("moved %llu times, %llu and %llu signals taken",
	       (unsigned long long)m.moves, (unsigned long long)l[0].taken,
	       (unsigned long long)l[1].taken);
	close(m.session[1]);
}

/* The session ends while its endpoints end, move and are signalled. */
struct closer {
	int fd;
	_Atomic int *go;
	pthread_t thread;
};

static void *close_it(void *arg)
{
	struct closer *c = arg;

	atomic_fetch_add(c->go, 1);
	while (*c->go < 3)
		;
	close(c->fd);
	return NULL;
}

TEST_F(channel, session_and_endpoints_close_at_once)
{
	struct closer c[2];
	unsigned int i, k;
	_Atomic int go;
	int session, end[2];

	for (i = 0; i < 500; i++) {
		session = mbuf_open();
		ASSERT_LE(0, session);
		ASSERT_EQ(0, ch_create(session, 0, end));
		if (i & 1)
			ASSERT_EQ(0, ch_put(end[0], 1));
		go = 0;
		c[0] = (struct closer){ .fd = session, .go = &go };
		c[1] = (struct closer){ .fd = end[1], .go = &go };
		for (k = 0; k < 2; k++)
			ASSERT_EQ(0, pthread_create(&c[k].thread, NULL,
						    close_it, &c[k]));
		while (go < 2)
			sched_yield();
		go = 3;
		/* Whichever is first, it must end up here. */
		if (i & 2)
			ch_attach_flags(self->session, end[0], 4,
					MBUF_ATTACH_MOVE);
		else
			ch_put(end[0], 2);
		for (k = 0; k < 2; k++)
			pthread_join(c[k].thread, NULL);
		if (i & 2)
			EXPECT_READY(self->session, 4, MBUF_EVENT_HUP);
		close(end[0]);
		EXPECT_QUIET(self->session);
	}
}

/*
 * Many
 */
#define MANY	10000

TEST_F(channel, ten_thousand)
{
	struct rlimit lim = { 2 * MANY + 200, 2 * MANY + 200 };
	uint32_t *told = calloc(MANY, sizeof(*told)), i, k;
	struct mbuf_event *ev = calloc(1024, sizeof(*ev));
	struct many m;
	int n, got;

	NEED_ROOT();
	ASSERT_NE(NULL, told);
	ASSERT_NE(NULL, ev);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	ASSERT_TRUE(many_make(&m, self->session, MANY));
	EXPECT_QUIET(self->session);
	/* One, wherever it is. */
	for (i = 0; i < MANY; i += 613) {
		ASSERT_EQ(0, ch_put(m.end[i][1], i));
		EXPECT_READY(self->session, i, MBUF_EVENT_IN);
		EXPECT_EQ(i, ch_take(m.end[i][0], MBUF_NOW));
		EXPECT_QUIET(self->session);
	}
	/* All of them, each once, and again. */
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(0, ch_put(m.end[(i * 7919) % MANY][1], i));
	for (k = 1; k <= 2; k++) {
		for (got = 0; got < MANY; got += n) {
			n = poll_now_all(self->session, ev, MANY - got < 1024 ?
					 MANY - (uint32_t)got : 1024);
			ASSERT_LT(0, n);
			ASSERT_EQ(n, count_events(ev, n, told, MANY,
						  MBUF_EVENT_IN));
		}
		EXPECT_EQ(MANY, got);
		for (i = 0; i < MANY; i++)
			ASSERT_EQ(k, told[i]);
	}
	/* Taken: those that remain are told, and no others. */
	for (i = 0; i < MANY; i++)
		if (i % 100)
			ASSERT_EQ(1, ch_wait(m.end[i][0], MBUF_NOW));
	memset(told, 0, MANY * sizeof(*told));
	ASSERT_EQ(MANY / 100, poll_now_all(self->session, ev, 1024));
	ASSERT_EQ(MANY / 100, count_events(ev, MANY / 100, told, MANY,
					   MBUF_EVENT_IN));
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(!(i % 100), told[i]);
	/* Their peers go. */
	for (i = 0; i < MANY; i++) {
		close(m.end[i][1]);
		m.end[i][1] = -1;
	}
	for (got = 0; got < MANY; got += n) {
		n = poll_now_all(self->session, ev, 1000);
		ASSERT_EQ(1000, n);
	}
	/* And all that is left goes with the process: teardown sees to it. */
	many_close(&m);
	EXPECT_QUIET(self->session);
	free(told);
	free(ev);
}

/* The session goes first. */
TEST_F(channel, session_of_thousands_closes)
{
	struct rlimit lim = { 2 * MANY + 200, 2 * MANY + 200 };
	struct many m;
	uint32_t i;
	int session;

	NEED_ROOT();
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	session = mbuf_open();
	ASSERT_LE(0, session);
	ASSERT_TRUE(many_make(&m, session, MANY / 2));
	for (i = 0; i < m.nr; i += 2)
		ASSERT_EQ(0, ch_put(m.end[i][1], i));
	close(session);
	for (i = 0; i < m.nr; i += 500)
		EXPECT_EQ(0, ch_attach(self->session, m.end[i][0], i));
	EXPECT_EQ(POLLIN, poll_now(self->session, POLLIN));
	many_close(&m);
	EXPECT_QUIET(self->session);
}

TEST_HARNESS_MAIN
