// SPDX-License-Identifier: GPL-2.0
/*
 * WAIT_ANY: waiting at several endpoints at once.
 */
#include "channel.h"

/* Several channels: mine[i] is waited at, theirs[i] is its peer. */
FIXTURE(any) {
	FIXTURE_DATA(channel) base;
	int session;
	unsigned int nr;
	int mine[ANY_MAX + 1], theirs[ANY_MAX + 1];
	struct mbuf_ref refs[ANY_MAX + 1];
};

FIXTURE_SETUP(any)
{
	unsigned int i;

	channel_setup(_metadata, &self->base, NULL);
	self->session = self->base.session;
	for (i = 0; i <= ANY_MAX; i++) {
		self->mine[i] = -1;
		self->theirs[i] = -1;
	}
}

FIXTURE_TEARDOWN(any)
{
	unsigned int i;

	for (i = 0; i <= ANY_MAX; i++) {
		close_fd(&self->mine[i]);
		close_fd(&self->theirs[i]);
	}
	channel_teardown(_metadata, &self->base, NULL);
}

#define make_channels(n) do {						\
	unsigned int __i;						\
									\
	self->nr = (n);							\
	for (__i = 0; __i < self->nr; __i++) {				\
		int __end[2];						\
									\
		ASSERT_EQ(0, ch_create(self->session,			\
				       MBUF_END_DETACHED, __end));	\
		self->mine[__i] = __end[0];				\
		self->theirs[__i] = __end[1];				\
	}								\
	refs_of(self->refs, self->mine, self->nr);			\
} while (0)

/* Is nobody left behind as the waiter of one of them? */
#define EXPECT_NO_WAITERS() do {					\
	unsigned int __i;						\
									\
	for (__i = 0; __i < self->nr; __i++)				\
		EXPECT_EQ(0, ch_info(self->mine[__i]).waiters);		\
} while (0)

/* A call in a thread. */
struct anyone {
	int session;
	struct mbuf_wait_any a;
	long ret;
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *anyone_main(void *arg)
{
	struct anyone *w = arg;

	atomic_store(&w->tid, (pid_t)syscall(SYS_gettid));
	w->ret = ch_any(w->session, &w->a);
	atomic_store(&w->done, true);
	return NULL;
}

static bool anyone_go(struct anyone *w, int session,
		      const struct mbuf_ref *refs, uint32_t nr,
		      uint64_t deadline)
{
	memset(w, 0, sizeof(*w));
	w->session = session;
	w->a = any_of(refs, nr, deadline);
	return !pthread_create(&w->thread, NULL, anyone_main, w);
}

static long anyone_join(struct anyone *w)
{
	if (!EVENTUALLY(w->done)) {
		fprintf(stderr, "# thread %d does not end\n", w->tid);
		return -ETIME;
	}
	pthread_join(w->thread, NULL);
	return w->ret;
}

/* Starts it, and waits until it is asleep at all of them. */
#define GO_TO_SLEEP(w, first, count) do {				\
	unsigned int __k;						\
									\
	ASSERT_TRUE(anyone_go(w, self->session, &self->refs[first],	\
			      count, MBUF_FOREVER));			\
	for (__k = (first); __k < (first) + (count); __k++)		\
		ASSERT_ASLEEP(self->mine[__k]);				\
} while (0)

TEST_F(any, all_numbers)
{
	const uint32_t counts[] = { 1, 2, 3, 7, 63, 64 };
	struct mbuf_wait_any a;
	struct anyone w;
	unsigned int c, i;

	make_channels(ANY_MAX);
	for (c = 0; c < ARRAY_SIZE(counts); c++) {
		uint32_t nr = counts[c];

		for (i = 0; i < nr; i += nr > 7 ? 9 : 1) {
			uint64_t seq = ch_info(self->mine[i]).seq;

			/* It is there already. */
			ASSERT_EQ(0, ch_put(self->theirs[i], i));
			ASSERT_EQ(0, ch_put(self->theirs[i], i + 1));
			a = any_of(self->refs, nr, MBUF_FOREVER);
			ASSERT_EQ(0, ch_any(self->session, &a));
			EXPECT_EQ(i, a.index);
			EXPECT_EQ(0, a.state);
			EXPECT_EQ(2, a.signals);
			EXPECT_EQ(seq + 2, a.seq);
			EXPECT_EQ(i + 1, value_num(a.data));
			EXPECT_EQ(0, a.target);
			EXPECT_EQ(0, a.flags);
			EXPECT_EQ(0, a.resv);
			EXPECT_EQ((uintptr_t)self->refs, a.ends);

			/* It comes. */
			GO_TO_SLEEP(&w, 0, nr);
			ASSERT_EQ(0, ch_put(self->theirs[i], i + 2));
			EXPECT_EQ(0, anyone_join(&w));
			EXPECT_EQ(i, w.a.index);
			EXPECT_EQ(1, w.a.signals);
			EXPECT_EQ(seq + 3, w.a.seq);
			EXPECT_EQ(i + 2, value_num(w.a.data));
			EXPECT_EQ(-EAGAIN, ch_wait(self->mine[i], MBUF_NOW));
		}
		EXPECT_NO_WAITERS();
	}
}

TEST_F(any, order_of_references)
{
	struct mbuf_ref refs[8];
	struct mbuf_wait_any a;
	unsigned int i;

	/* Index counts in the given order, whatever that is. */
	make_channels(8);
	for (i = 0; i < 8; i++)
		refs[i] = self->refs[(i * 3 + 5) % 8];
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, ch_put(self->theirs[(i * 3 + 5) % 8], i));
		a = any_of(refs, 8, MBUF_NOW);
		ASSERT_EQ(0, ch_any(self->session, &a));
		EXPECT_EQ(i, a.index);
		EXPECT_EQ(i, value_num(a.data));
	}
}

TEST_F(any, both_ends_of_a_channel)
{
	struct mbuf_ref refs[2];
	struct mbuf_wait_any a;
	int end[2];

	ASSERT_EQ(0, ch_create(self->session, 0, end));
	refs_of(refs, end, 2);
	ASSERT_EQ(0, ch_put(end[0], 1));
	a = any_of(refs, 2, MBUF_NOW);
	ASSERT_EQ(0, ch_any(self->session, &a));
	EXPECT_EQ(1, a.index);
	ASSERT_EQ(0, ch_put(end[1], 2));
	a = any_of(refs, 2, MBUF_NOW);
	ASSERT_EQ(0, ch_any(self->session, &a));
	EXPECT_EQ(0, a.index);
	close(end[0]);
	close(end[1]);
}

TEST_F(any, bad_sets)
{
	struct mbuf_wait_any a;
	struct mbuf_ref refs[4];
	int dupfd, unused, pipes[2], path, r, s, i;
	char name[64];

	make_channels(ANY_MAX + 1);
	/* A number that is surely free. */
	dupfd = fcntl(0, F_DUPFD_CLOEXEC, 900);
	ASSERT_LE(900, dupfd);
	close(dupfd);
	unused = dupfd;
	/* One is ready, and must stay so. */
	ASSERT_EQ(0, ch_put(self->theirs[0], 1));
#define FAILS(err, stmt) do {						\
	memcpy(refs, self->refs, sizeof(refs));				\
	a = any_of(refs, 4, MBUF_FOREVER);				\
	stmt;								\
	EXPECT_EQ(-(err), ch_any(self->session, &a)) {			\
		TH_LOG(#stmt);						\
	}								\
	EXPECT_EQ(1, ch_info(self->mine[0]).signals);			\
} while (0)
	FAILS(EINVAL, a.nr = 0);
	FAILS(EINVAL, a.nr = ANY_MAX + 1; a.ends = (uintptr_t)self->refs);
	FAILS(EINVAL, a.nr = UINT32_MAX);
	FAILS(EINVAL, a.flags = 1);
	FAILS(EINVAL, a.flags = 1u << 31);
	FAILS(EINVAL, a.resv = 1);
	FAILS(EOPNOTSUPP, a.target = 1);
	FAILS(EINVAL, a.wait.mode = 3);
	FAILS(EINVAL, a.stride = 0);
	FAILS(EINVAL, a.stride = 8);
	FAILS(EINVAL, a.stride = 15);
	FAILS(EINVAL, a.stride = 20);
	FAILS(EINVAL, a.stride = 264);
	FAILS(EINVAL, a.stride = UINT32_MAX - 7);
	FAILS(EFAULT, a.ends = 0);
	FAILS(EFAULT, a.ends = 1ull << 63);
	FAILS(EINVAL, refs[3].flags = 1);
	FAILS(EINVAL, refs[0].flags = 1u << 31);
	FAILS(EINVAL, refs[3].handle = 1);

	/* One is named twice, at any two places, or by two numbers. */
	FAILS(EINVAL, refs[1] = refs[0]);
	FAILS(EINVAL, refs[3] = refs[0]);
	FAILS(EINVAL, refs[3] = refs[2]);
	dupfd = dup(self->mine[1]);
	ASSERT_LE(0, dupfd);
	FAILS(EINVAL, refs[2].fd = dupfd);
	close(dupfd);

	/* No descriptor, and no endpoint. */
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(0, mbuf_queue_create(self->session, 1, 1, 0, &r, &s));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", self->mine[1]);
	path = open(name, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, path);
	for (i = 0; i < 4; i++) {
		FAILS(EBADF, refs[i].fd = unused);
		FAILS(EBADF, refs[i].fd = -1);
		FAILS(EBADF, refs[i].fd = -100);	/* AT_FDCWD */
		FAILS(EBADF, refs[i].fd = path);
		FAILS(ENOTTY, refs[i].fd = pipes[0]);
		FAILS(ENOTTY, refs[i].fd = r);
		FAILS(ENOTTY, refs[i].fd = s);
		FAILS(ENOTTY, refs[i].fd = self->session);
	}
#undef FAILS
	close(path);
	close(pipes[0]);
	close(pipes[1]);
	close(r);
	close(s);
	EXPECT_NO_WAITERS();
	/* It is a session's call. */
	a = any_of(self->refs, 1, MBUF_NOW);
	EXPECT_EQ(-ENOTTY, ch_any(self->mine[0], &a));
	EXPECT_EQ(0, ch_any(self->session, &a));
}

TEST_F(any, strides)
{
	struct mbuf_wait_any a;
	uint32_t stride, i;
	uint8_t *arr;

	make_channels(3);
	arr = malloc(3 * 256);
	ASSERT_NE(NULL, arr);
	for (stride = 16; stride <= 256; stride += 8) {
		memset(arr, 0, 3 * 256);
		for (i = 0; i < 3; i++)
			memcpy(arr + i * stride, &self->refs[i], 16);
		a = any_of((void *)arr, 3, MBUF_NOW);
		a.stride = stride;
		ASSERT_EQ(0, ch_put(self->theirs[2], stride));
		if (stride > 16) {
			for (i = 0; i < 3; i++) {
				arr[i * stride + stride - 1] = 1;
				EXPECT_EQ(-E2BIG, ch_any(self->session, &a));
				arr[i * stride + stride - 1] = 0;
				arr[i * stride + 16] = 0x80;
				EXPECT_EQ(-E2BIG, ch_any(self->session, &a));
				arr[i * stride + 16] = 0;
			}
		}
		EXPECT_EQ(1, ch_info(self->mine[2]).signals);
		EXPECT_EQ(0, ch_any(self->session, &a)) {
			TH_LOG("stride %u", stride);
		}
		EXPECT_EQ(2, a.index);
		EXPECT_EQ(stride, value_num(a.data));
	}
	free(arr);
	EXPECT_NO_WAITERS();
}

TEST_F(any, deadlines_and_signals)
{
	struct mbuf_wait_any a, was;
	uint64_t deadline;
	struct anyone w;
	int i;

	make_channels(5);
	a = any_of(self->refs, 5, MBUF_NOW);
	was = a;
	EXPECT_EQ(-EAGAIN, ch_any(self->session, &a));
	EXPECT_EQ(0, memcmp(&a, &was, sizeof(a)));
	a = any_of(self->refs, 5, 1);
	EXPECT_EQ(-ETIMEDOUT, ch_any(self->session, &a));
	deadline = in_ms(50);
	a = any_of(self->refs, 5, deadline);
	EXPECT_EQ(-ETIMEDOUT, ch_any(self->session, &a));
	EXPECT_LE(deadline, now_ns());
	EXPECT_NO_WAITERS();

	ASSERT_EQ(0, set_nonblock(self->session, true));
	a = any_of(self->refs, 5, MBUF_FOREVER);
	EXPECT_EQ(-EAGAIN, ch_any(self->session, &a));
	ASSERT_EQ(0, set_nonblock(self->session, false));
	EXPECT_NO_WAITERS();

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	GO_TO_SLEEP(&w, 0, 5);
	was = w.a;
	ASSERT_EQ(0, pthread_kill(w.thread, SIGUSR1));
	EXPECT_EQ(-EINTR, anyone_join(&w));
	EXPECT_EQ(0, memcmp(&w.a, &was, sizeof(was)));
	EXPECT_NO_WAITERS();

	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	GO_TO_SLEEP(&w, 0, 5);
	for (i = 1; i <= 4; i++) {
		ASSERT_EQ(0, pthread_kill(w.thread, SIGUSR1));
		ASSERT_TRUE(EVENTUALLY(signals_seen == i));
		ASSERT_ASLEEP(self->mine[4]);
	}
	ASSERT_EQ(0, ch_put(self->theirs[4], 1));
	EXPECT_EQ(0, anyone_join(&w));
	EXPECT_EQ(4, w.a.index);
	EXPECT_NO_WAITERS();
}

/*
 * One waiter
 */
TEST_F(any, it_is_the_waiter_of_all)
{
	struct mbuf_wait_any a;
	struct anyone w;
	unsigned int i;

	make_channels(8);
	GO_TO_SLEEP(&w, 2, 4);
	for (i = 0; i < 8; i++) {
		long want = i >= 2 && i < 6 ? -EBUSY : -EAGAIN;

		EXPECT_EQ(want, ch_wait(self->mine[i], MBUF_NOW));
		a = any_of(&self->refs[i], 1, MBUF_NOW);
		EXPECT_EQ(want, ch_any(self->session, &a));
	}
	/* Overlapping by one, at either side; and beside it. */
	a = any_of(&self->refs[0], 3, MBUF_FOREVER);
	EXPECT_EQ(-EBUSY, ch_any(self->session, &a));
	a = any_of(&self->refs[5], 3, MBUF_FOREVER);
	EXPECT_EQ(-EBUSY, ch_any(self->session, &a));
	a = any_of(&self->refs[0], 8, MBUF_FOREVER);
	EXPECT_EQ(-EBUSY, ch_any(self->session, &a));
	a = any_of(&self->refs[0], 2, MBUF_NOW);
	EXPECT_EQ(-EAGAIN, ch_any(self->session, &a));
	a = any_of(&self->refs[6], 2, MBUF_NOW);
	EXPECT_EQ(-EAGAIN, ch_any(self->session, &a));
	/* Those that were refused wait nowhere. */
	for (i = 0; i < 8; i++)
		EXPECT_EQ(i >= 2 && i < 6, ch_info(self->mine[i]).waiters);
	EXPECT_FALSE(w.done);
	ASSERT_EQ(0, ch_put(self->theirs[3], 1));
	EXPECT_EQ(0, anyone_join(&w));
	EXPECT_EQ(1, w.a.index);
	EXPECT_NO_WAITERS();
}

/* Somebody waits at one: refused, also if another one is ready. */
TEST_F(any, one_is_busy)
{
	struct mbuf_wait_any a;
	unsigned int i, ready;
	struct waiter w;

	make_channels(4);
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(waiter_start(&w, i == 0 ? WAY_READ : WAY_TAKE, -1,
					 self->mine[i]));
		ASSERT_ASLEEP(self->mine[i]);
		for (ready = 0; ready < 2; ready++) {
			if (ready)
				ASSERT_EQ(0, ch_put(self->theirs[(i + 1) % 4],
						    9));
			a = any_of(self->refs, 4, MBUF_FOREVER);
			EXPECT_EQ(-EBUSY, ch_any(self->session, &a));
		}
		EXPECT_FALSE(w.done);
		EXPECT_EQ(1, ch_info(self->mine[(i + 1) % 4]).signals);
		EXPECT_EQ(9, ch_take(self->mine[(i + 1) % 4], MBUF_NOW));
		ASSERT_EQ(0, ch_put(self->theirs[i], i));
		EXPECT_EQ(way_success(w.way), waiter_join(&w));
		EXPECT_EQ(i, waiter_num(&w));
		EXPECT_NO_WAITERS();
	}
}

/*
 * Two calls for overlapping sets, at the same time and in opposite orders: one
 * waits, the other is refused.
 */
TEST_F(any, one_of_two_wins)
{
	struct mbuf_ref back[5];
	struct anyone w[2];
	unsigned int i, k, won[2] = {};

	make_channels(5);
	for (i = 0; i < 5; i++)
		back[i] = self->refs[4 - i];
	for (i = 0; i < 400; i++) {
		/* { 0, 1, 2 } and { 4, 3, 2 }, or all and all. */
		unsigned int nr = i % 2 ? 5 : 3;
		unsigned int winner;

		ASSERT_TRUE(anyone_go(&w[0], self->session, self->refs, nr,
				      MBUF_FOREVER));
		ASSERT_TRUE(anyone_go(&w[1], self->session, back, nr,
				      MBUF_FOREVER));
		ASSERT_TRUE(EVENTUALLY(w[0].done || w[1].done));
		winner = w[0].done;
		ASSERT_EQ(-EBUSY, anyone_join(&w[!winner]));
		for (k = 0; k < 5; k++)
			if (nr == 5 || (winner ? k >= 2 : k <= 2))
				ASSERT_ASLEEP(self->mine[k]);
		ASSERT_FALSE(w[winner].done);
		won[winner]++;
		ASSERT_EQ(0, ch_put(self->theirs[2], i));
		ASSERT_EQ(0, anyone_join(&w[winner]));
		ASSERT_EQ(2, w[winner].a.index);
		ASSERT_EQ(i, value_num(w[winner].a.data));
	}
	TH_LOG("won %u and %u times", won[0], won[1]);
	EXPECT_NO_WAITERS();
}

/* A ring of sets, each overlapping with its neighbours: at least one waits. */
#define RING	6

TEST_F(any, ring_of_sets)
{
	struct mbuf_ref refs[RING][2];
	struct anyone w[RING];
	unsigned int i, k, busy, got;

	make_channels(RING);
	for (k = 0; k < RING; k++) {
		refs[k][0] = self->refs[k];
		refs[k][1] = self->refs[(k + 1) % RING];
	}
	for (i = 0; i < 150; i++) {
		for (k = 0; k < RING; k++)
			ASSERT_TRUE(anyone_go(&w[k], self->session, refs[k], 2,
					      in_ms(60000)));
		/* At most half of them can have what they want. */
		ASSERT_TRUE(EVENTUALLY(({
			busy = 0;
			for (k = 0; k < RING; k++)
				busy += w[k].done;
			busy >= RING / 2;
		})));
		for (k = 0; k < RING; k++)
			ASSERT_EQ(0, ch_put(self->theirs[k], i));
		got = 0;
		busy = 0;
		for (k = 0; k < RING; k++) {
			long ret = anyone_join(&w[k]);

			if (!ret)
				got++;
			else if (ret == -EBUSY)
				busy++;
		}
		ASSERT_EQ(RING, got + busy);
		ASSERT_LE(1, got);
		for (k = 0; k < RING; k++)
			ch_wait(self->mine[k], MBUF_NOW);
	}
	EXPECT_NO_WAITERS();
}

/*
 * Several are ready
 */
TEST_F(any, none_is_starved)
{
	unsigned int got[8] = {}, i;
	struct mbuf_wait_any a;

	make_channels(8);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, ch_put(self->theirs[i], i));
	for (i = 0; i < 800; i++) {
		a = any_of(self->refs, 8, MBUF_NOW);
		ASSERT_EQ(0, ch_any(self->session, &a));
		ASSERT_GT(8, a.index);
		ASSERT_EQ(a.index, value_num(a.data));
		ASSERT_EQ(1, a.signals);
		got[a.index]++;
		/* Those that talk most are always ready. */
		ASSERT_EQ(0, ch_put(self->theirs[a.index], a.index));
	}
	for (i = 0; i < 8; i++) {
		EXPECT_LE(25, got[i]) {
			TH_LOG("endpoint %u was told %u times of 800", i,
			       got[i]);
		}
	}
}

/* Also if calls for several sets alternate. */
TEST_F(any, none_of_several_sets_is_starved)
{
	unsigned int got[12] = {}, sets, i;
	struct mbuf_wait_any a;

	make_channels(12);
	for (i = 0; i < 12; i++)
		ASSERT_EQ(0, ch_put(self->theirs[i], i));
	for (sets = 2; sets <= 6; sets++) {
		unsigned int each = 12 / sets;

		memset(got, 0, sizeof(got));
		for (i = 0; i < 100 * each * sets; i++) {
			unsigned int k = i % sets * each;

			a = any_of(&self->refs[k], each, MBUF_NOW);
			ASSERT_EQ(0, ch_any(self->session, &a));
			ASSERT_GT(each, a.index);
			got[k + a.index]++;
			ASSERT_EQ(0, ch_put(self->theirs[k + a.index], 1));
		}
		for (i = 0; i < each * sets; i++) {
			EXPECT_LE(10, got[i]) {
				TH_LOG("%u sets of %u: endpoint %u was told %u times of %u",
				       sets, each, i, got[i], 100 * each);
			}
		}
	}
}

/* Also by those whose peer is gone, which are ready for ever. */
TEST_F(any, the_dead_starve_nobody)
{
	unsigned int i, dead = 0, alive = 0;
	struct mbuf_wait_any a;

	make_channels(6);
	for (i = 0; i < 6; i++)
		if (i != 4)
			close_fd(&self->theirs[i]);
	for (i = 0; i < 300; i++) {
		ASSERT_EQ(0, ch_put(self->theirs[4], i));
		a = any_of(self->refs, 6, MBUF_FOREVER);
		ASSERT_EQ(0, ch_any(self->session, &a));
		if (a.index == 4) {
			alive++;
			EXPECT_EQ(0, a.state);
		} else {
			dead++;
			ASSERT_EQ(MBUF_END_CLOSED, a.state);
			ASSERT_EQ(0, a.signals);
		}
	}
	TH_LOG("%u times alive, %u times dead", alive, dead);
	EXPECT_LE(10, alive);
	EXPECT_LE(10, dead);
}

TEST_F(any, each_takes_one)
{
	struct mbuf_wait_any a;
	unsigned int i, seen = 0;

	make_channels(8);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, ch_put(self->theirs[i], i));
	for (i = 0; i < 8; i++) {
		a = any_of(self->refs, 8, MBUF_NOW);
		ASSERT_EQ(0, ch_any(self->session, &a));
		EXPECT_EQ(a.index, value_num(a.data));
		seen |= 1u << a.index;
	}
	EXPECT_EQ(0xff, seen);
	a = any_of(self->refs, 8, MBUF_NOW);
	EXPECT_EQ(-EAGAIN, ch_any(self->session, &a));
}

/*
 * The end
 */
TEST_F(any, last_value_and_end)
{
	struct mbuf_wait_any a;
	struct anyone w;
	int i;

	make_channels(3);
	/* A value that nobody was told of, then nothing. */
	ASSERT_EQ(0, ch_write(self->theirs[1], 5));
	GO_TO_SLEEP(&w, 0, 3);
	close_fd(&self->theirs[1]);
	EXPECT_EQ(0, anyone_join(&w));
	EXPECT_EQ(1, w.a.index);
	EXPECT_EQ(0, w.a.signals);
	EXPECT_EQ(1, w.a.seq);
	EXPECT_EQ(5, value_num(w.a.data));
	EXPECT_EQ(MBUF_END_CLOSED, w.a.state);
	EXPECT_EQ(POLLHUP, poll_now(self->mine[1], POLL_ALL));
	for (i = 0; i < 3; i++) {
		a = any_of(self->refs, 3, MBUF_FOREVER);
		ASSERT_EQ(0, ch_any(self->session, &a));
		EXPECT_EQ(1, a.index);
		EXPECT_EQ(0, a.signals);
		EXPECT_EQ(MBUF_END_CLOSED, a.state);
	}
	/* Signals that were pending come with the value. */
	ASSERT_EQ(0, ch_put(self->theirs[2], 6));
	ASSERT_EQ(0, ch_put(self->theirs[2], 7));
	close_fd(&self->theirs[2]);
	a = any_of(&self->refs[2], 1, MBUF_FOREVER);
	ASSERT_EQ(0, ch_any(self->session, &a));
	EXPECT_EQ(2, a.signals);
	EXPECT_EQ(7, value_num(a.data));
	EXPECT_EQ(MBUF_END_CLOSED, a.state);
	ASSERT_EQ(0, ch_any(self->session, &a));
	EXPECT_EQ(0, a.signals);
	EXPECT_NO_WAITERS();
}

/* The number is closed in another thread; the call keeps the endpoint. */
TEST_F(any, close_while_asleep)
{
	struct anyone w;

	make_channels(3);
	GO_TO_SLEEP(&w, 0, 3);
	close_fd(&self->mine[1]);
	EXPECT_EQ(0, poll_now(self->theirs[1], POLLHUP));
	ASSERT_EQ(0, ch_put(self->theirs[1], 8));
	EXPECT_EQ(0, anyone_join(&w));
	EXPECT_EQ(1, w.a.index);
	EXPECT_EQ(8, value_num(w.a.data));
	EXPECT_TRUE(EVENTUALLY(poll_now(self->theirs[1], POLLHUP) == POLLHUP));

	/* The session's, too. */
	refs_of(self->refs, self->mine, 1);
	self->session = mbuf_open();
	ASSERT_LE(0, self->session);
	GO_TO_SLEEP(&w, 0, 1);
	close(self->session);
	self->session = self->base.session;
	ASSERT_EQ(0, ch_put(self->theirs[0], 9));
	EXPECT_EQ(0, anyone_join(&w));
	EXPECT_EQ(9, value_num(w.a.data));
}

/*
 * Results that cannot be written
 */
TEST_F(any, fault)
{
	struct mbuf_wait_any *a = map_pages(sizeof(*a), PROT_READ | PROT_WRITE);

	ASSERT_NE(NULL, a);
	make_channels(3);
	ASSERT_EQ(0, ch_put(self->theirs[1], 1));
	ASSERT_EQ(0, ch_put(self->theirs[1], 2));
	*a = any_of(self->refs, 3, MBUF_FOREVER);
	ASSERT_EQ(0, mprotect(a, page_size(), PROT_READ));
	EXPECT_EQ(-EFAULT, ch_any(self->session, a));
	EXPECT_EQ(2, ch_info(self->mine[1]).signals);
	EXPECT_EQ(POLLIN, poll_now(self->mine[1], POLLIN));
	EXPECT_NO_WAITERS();
	ASSERT_EQ(0, mprotect(a, page_size(), PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, ch_any(self->session, a));
	EXPECT_EQ(2, a->signals);
	munmap(a, sizeof(*a));
}

/*
 * Races: what was signalled is all there in the end, taken or pending
 */
struct talker {
	int fd[8];
	unsigned int nr, seed;
	uint64_t rounds;
	_Atomic uint64_t sent;
	_Atomic bool failed;
	pthread_t thread;
};

static void *talk(void *arg)
{
	struct talker *t = arg;
	uint64_t i;

	for (i = 1; i <= t->rounds; i++) {
		unsigned int n = (unsigned int)rand_r(&t->seed) / 7 % t->nr;
		int ret = i % 3 ? ch_put(t->fd[n], i) : fd_put(t->fd[n], i);

		if (ret) {
			t->failed = true;
			break;
		}
		atomic_fetch_add(&t->sent, 1);
		if (i % 16 == 0)
			sched_yield();
	}
	return NULL;
}

/* Sends signals to a thread, as fast as they are handled. */
struct nuisance {
	pthread_t victim, thread;
	_Atomic bool stop;
};

static void *bother(void *arg)
{
	struct nuisance *n = arg;
	int i;

	for (i = 0; !atomic_load(&n->stop); i++) {
		int seen = signals_seen;

		pthread_kill(n->victim, SIGUSR1);
		while (signals_seen == seen && !atomic_load(&n->stop))
			sched_yield();
		nap();
	}
	return NULL;
}

static void race(struct __test_metadata *_metadata,
		 struct _test_data_any *self, int how)
{
	struct nuisance n = { .victim = pthread_self() };
	unsigned int talkers = 2, k, interrupted = 0, late = 0;
	uint64_t sent = 0, got = 0, calls = 0;
	struct talker t[2] = {};

	for (k = 0; k < talkers; k++) {
		memcpy(t[k].fd, self->theirs, sizeof(t[k].fd));
		t[k].nr = self->nr;
		t[k].seed = k + 1;
		t[k].rounds = 6000;
		sent += t[k].rounds;
		ASSERT_EQ(0, pthread_create(&t[k].thread, NULL, talk, &t[k]));
	}
	if (how == 1)
		ASSERT_EQ(0, pthread_create(&n.thread, NULL, bother, &n));
	while (got < sent) {
		struct mbuf_wait_any a;
		int ret;

		a = any_of(self->refs, self->nr, how == 2 ?
			   now_ns() + 30000 + calls % 50 * 1000 : in_ms(20000));
		ret = ch_any(self->session, &a);
		calls++;
		if (ret == -EINTR && how == 1) {
			interrupted++;
			continue;
		}
		if (ret == -ETIMEDOUT && how == 2) {
			late++;
			continue;
		}
		ASSERT_EQ(0, ret) {
			TH_LOG("%llu of %llu signals have come",
			       (unsigned long long)got,
			       (unsigned long long)sent);
		}
		ASSERT_LT(0, a.signals);
		ASSERT_LT(0, value_num(a.data));
		got += a.signals;
	}
	EXPECT_EQ(sent, got);
	for (k = 0; k < talkers; k++) {
		pthread_join(t[k].thread, NULL);
		EXPECT_FALSE(t[k].failed);
	}
	n.stop = true;
	if (how == 1)
		pthread_join(n.thread, NULL);
	TH_LOG("%llu calls, %u interrupted, %u timed out",
	       (unsigned long long)calls, interrupted, late);
	/* Nothing is left, as everything was counted. */
	for (k = 0; k < self->nr; k++)
		EXPECT_EQ(0, ch_info(self->mine[k]).signals);
	EXPECT_NO_WAITERS();
}

TEST_F(any, nothing_is_lost)
{
	make_channels(8);
	race(_metadata, self, 0);
}

TEST_F(any, nothing_is_lost_by_handlers)
{
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_channels(8);
	race(_metadata, self, 1);
}

TEST_F(any, nothing_is_lost_by_deadlines)
{
	make_channels(8);
	race(_metadata, self, 2);
}

/* The process is killed; what it was told can be seen in shared memory. */
struct killed {
	int session, nr;
	struct mbuf_ref refs[8];
	struct mbuf_wait_any a;
};

static int killed_child(void *arg)
{
	struct killed *k = arg;

	k->a = any_of(k->refs, (uint32_t)k->nr, MBUF_FOREVER);
	k->a.signals = 0;
	ch_any(k->session, &k->a);
	for (;;)
		pause();
	return 0;
}

TEST_F(any, nothing_is_lost_by_death)
{
	struct killed *k = map_shared(sizeof(*k));
	struct handicap h = { .seed = 3, .time = 100 };
	unsigned int i, j, told = 0;

	ASSERT_NE(NULL, k);
	make_channels(4);
	for (i = 0; i < 100; i++) {
		uint64_t pending = 0;
		pid_t pid;

		memset(k, 0, sizeof(*k));
		k->session = self->session;
		k->nr = 4;
		memcpy(k->refs, self->refs, 4 * sizeof(k->refs[0]));
		pid = spawn(killed_child, k);
		ASSERT_LT(0, pid);
		for (j = 0; j < 4; j++)
			ASSERT_ASLEEP(self->mine[j]);
		kill(pid, SIGKILL);
		handicap_spin(&h);
		for (j = 0; j < 4; j++)
			ASSERT_EQ(0, ch_put(self->theirs[j], i));
		ASSERT_EQ(128 + SIGKILL, reap(pid));
		for (j = 0; j < 4; j++) {
			pending += ch_info(self->mine[j]).signals;
			ch_wait(self->mine[j], MBUF_NOW);
		}
		ASSERT_EQ(4, pending + k->a.signals);
		told += k->a.signals != 0;
		handicap_adapt(&h, k->a.signals);
		EXPECT_NO_WAITERS();
	}
	TH_LOG("%u of 100 were told", told);
	munmap(k, sizeof(*k));
}

/* Several signal at once: the call is told of one, the others are pending. */
TEST_F(any, all_at_once)
{
	struct talker t[4];
	struct anyone w;
	unsigned int i, k;
	uint64_t left;

	make_channels(4);
	for (i = 0; i < 300; i++) {
		GO_TO_SLEEP(&w, 0, 4);
		for (k = 0; k < 4; k++) {
			memset(&t[k], 0, sizeof(t[k]));
			t[k].fd[0] = self->theirs[k];
			t[k].nr = 1;
			t[k].rounds = 1;
			ASSERT_EQ(0, pthread_create(&t[k].thread, NULL, talk,
						    &t[k]));
		}
		ASSERT_EQ(0, anyone_join(&w));
		ASSERT_EQ(1, w.a.signals);
		for (k = 0; k < 4; k++)
			pthread_join(t[k].thread, NULL);
		left = 0;
		for (k = 0; k < 4; k++) {
			ASSERT_EQ(k != w.a.index,
				  ch_info(self->mine[k]).signals);
			left += ch_info(self->mine[k]).signals;
			ch_wait(self->mine[k], MBUF_NOW);
		}
		ASSERT_EQ(3, left);
	}
	EXPECT_NO_WAITERS();
}

/* It shares endpoints with calls that wait for one only, one after the other. */
TEST_F(any, mixed_with_single_waits)
{
	struct mbuf_wait_any a;
	uint64_t got = 0;
	struct talker t = { .nr = 4, .seed = 5, .rounds = 8000 };
	unsigned int i = 0;

	make_channels(4);
	memcpy(t.fd, self->theirs, 4 * sizeof(int));
	ASSERT_EQ(0, pthread_create(&t.thread, NULL, talk, &t));
	while (got < t.rounds) {
		int64_t ret;

		if (++i % 2) {
			a = any_of(self->refs, 4, in_ms(20000));
			ASSERT_EQ(0, ch_any(self->session, &a));
			got += a.signals;
		} else {
			ret = ch_wait(self->mine[i / 2 % 4], MBUF_NOW);
			if (ret > 0)
				got += (uint64_t)ret;
			else
				ASSERT_EQ(-EAGAIN, ret);
		}
	}
	EXPECT_EQ(t.rounds, got);
	pthread_join(t.thread, NULL);
	EXPECT_NO_WAITERS();
}

/* Whose session it is does not matter, nor where they are attached. */
TEST_F(any, session_of_others)
{
	struct mbuf_wait_any a;
	struct mbuf_event ev;
	int session, end[2];

	session = mbuf_open();
	ASSERT_LE(0, session);
	ASSERT_EQ(0, ch_create(self->session, 0, end));
	self->refs[0] = (struct mbuf_ref){ .fd = end[0] };
	ASSERT_EQ(0, ch_put(end[1], 1));
	EXPECT_EQ(1, ch_poll_all(self->session, &ev, 1, MBUF_NOW));
	a = any_of(self->refs, 1, MBUF_NOW);
	EXPECT_EQ(0, ch_any(session, &a));
	/* It took the signal: POLL_ALL does not tell of it any more. */
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, &ev, 1, MBUF_NOW));
	close(end[0]);
	close(end[1]);
	close(session);
}

TEST_HARNESS_MAIN
