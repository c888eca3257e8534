// SPDX-License-Identifier: GPL-2.0
/*
 * Rings between two processes as they are meant to be used: each side's area is
 * a region that the other one can only read, and a channel is the doorbell. What
 * a ring does by itself is tested with the library.
 */
#include <sys/epoll.h>

#include <mbuf_ring.h>

#include "region.h"

#define RING_SIZE	4096
#define RECORDS		30000

/* One side: a ring each way, and the end of the channel. */
struct side {
	int fd;
	unsigned char *own, *theirs;
	struct mbuf_ring_bell bell;
	struct mbuf_ring_tx tx;
	struct mbuf_ring_rx rx;
};

FIXTURE(ring) {
	int session;
	struct side a, b;
	size_t area;
	struct mbuf_query q;
	struct snapshot before;
};

static unsigned char *map_region(int fd, size_t size, int prot)
{
	void *p = mmap(NULL, size, prot, MAP_SHARED, fd, 0);

	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

/* A region that @from offers to @to, mapped by both. */
static int share(struct side *from, struct side *to, size_t size)
{
	struct mbuf_offer o = offer_of(size / page_size(), RIGHTS_R,
				       MBUF_OFFER_SOLID);
	int mine, theirs, ret;

	ret = rg_agree(from->fd, to->fd, &o, RIGHTS_R, &mine, &theirs);
	if (ret)
		return ret;
	from->own = map_region(mine, size, PROT_READ | PROT_WRITE);
	to->theirs = map_region(theirs, size, PROT_READ);
	return from->own && to->theirs ? 0 : -ENOMEM;
}

static int side_init(struct side *s, size_t area)
{
	struct mbuf_ring_map map;
	int ret;

	mbuf_ring_bell_channel(&s->bell, s->fd);
	ret = mbuf_ring_map(&map, s->own, area, s->theirs);
	if (!ret)
		ret = mbuf_ring_tx_init(&s->tx, &map, &s->bell);
	if (!ret)
		ret = mbuf_ring_map(&map, s->theirs, area, s->own);
	return ret ? ret : mbuf_ring_rx_init(&s->rx, &map, &s->bell);
}

FIXTURE_SETUP(ring)
{
	int end[2];

	memset(&self->a, 0, sizeof(self->a));
	memset(&self->b, 0, sizeof(self->b));
	self->session = fixture_begin(_metadata, &self->q, &self->before);
	ASSERT_EQ(0, ch_create(self->session, 0, end));
	self->a.fd = end[0];
	self->b.fd = end[1];
	self->area = mbuf_ring_area(RING_SIZE);
	ASSERT_EQ(0, share(&self->a, &self->b, self->area));
	ASSERT_EQ(0, share(&self->b, &self->a, self->area));
	ASSERT_EQ(0, side_init(&self->a, self->area));
	ASSERT_EQ(0, side_init(&self->b, self->area));
}

FIXTURE_TEARDOWN(ring)
{
	close_fd(&self->a.fd);
	close_fd(&self->b.fd);
	munmap(self->a.own, self->area);
	munmap(self->a.theirs, self->area);
	munmap(self->b.own, self->area);
	munmap(self->b.theirs, self->area);
	fixture_end(_metadata, self->session, &self->before);
}

/* The other side, in a process of its own: this one has no part in it. */
static int other_end;		/* for the child to close */

static pid_t other_process(struct side *mine, struct side *its,
			   int (*fn)(void *arg))
{
	pid_t pid;

	other_end = mine->fd;
	pid = spawn(fn, its);
	if (pid > 0)
		close_fd(&its->fd);
	return pid;
}

#define SOON	in_ms(PATIENCE_NS / NS_PER_MS)

static size_t len_of(uint64_t i)
{
	uint64_t x = i * 0x9e3779b97f4a7c15ull;

	return x >> 60 ? (size_t)(x >> 32) % 100 :
			 (size_t)(x >> 32) % mbuf_ring_max(RING_SIZE);
}

static int produces(void *arg)
{
	struct side *s = arg;
	char buf[RING_SIZE];
	uint64_t i;

	close(other_end);
	for (i = 0; i < RECORDS; i++) {
		fill_pattern(buf, len_of(i), (uint32_t)i);
		CHECK_EQ(0, mbuf_ring_push(&s->tx, buf, len_of(i),
					   MBUF_FOREVER));
	}
	mbuf_ring_tx_end(&s->tx);
	return 0;
}

/* Both sleep, and wake each other, over and over. */
TEST_F(ring, blocking)
{
	struct mbuf_ring_stats stats;
	char buf[RING_SIZE];
	ssize_t ret;
	uint64_t i;
	pid_t pid;

	pid = other_process(&self->a, &self->b, produces);
	ASSERT_GT(pid, 0);
	for (i = 0; i < RECORDS; i++) {
		ret = mbuf_ring_pop(&self->a.rx, buf, sizeof(buf), SOON);
		ASSERT_EQ((ssize_t)len_of(i), ret);
		ASSERT_TRUE(is_pattern(buf, (size_t)ret, (uint32_t)i));
		/* So that the producer finds it full now and then. */
		if (i % 1000 == 0)
			nap();
	}
	EXPECT_EQ(-EPIPE, mbuf_ring_pop(&self->a.rx, buf, sizeof(buf), SOON));
	EXPECT_EQ(0, reap(pid));
	mbuf_ring_get_stats(&self->a.rx.side, &stats);
	EXPECT_GT(stats.sleeps, 0);
	EXPECT_GT(stats.rings, 0);
}

TEST_F(ring, deadlines)
{
	uint64_t begin = now_ns();
	char buf[600] = "";

	EXPECT_EQ(-EAGAIN, mbuf_ring_pop(&self->a.rx, buf, 8, MBUF_NOW));
	EXPECT_EQ(-ETIMEDOUT, mbuf_ring_pop(&self->a.rx, buf, 8, in_ms(30)));
	while (!mbuf_ring_push(&self->a.tx, buf, sizeof(buf), MBUF_NOW))
		;
	EXPECT_EQ(-EAGAIN, mbuf_ring_push(&self->a.tx, buf, sizeof(buf),
					  MBUF_NOW));
	EXPECT_EQ(-ETIMEDOUT, mbuf_ring_push(&self->a.tx, buf, sizeof(buf),
					     in_ms(30)));
	EXPECT_GE(now_ns() - begin, 60 * NS_PER_MS);
	/* One that has passed: tries once. */
	EXPECT_EQ(-ETIMEDOUT, mbuf_ring_push(&self->a.tx, buf, sizeof(buf), 1));
	EXPECT_EQ(600, mbuf_ring_pop(&self->b.rx, buf, sizeof(buf), 1));
}

/* A call that waits, by a thread. */
struct waits {
	struct side *s;
	bool push;
	ssize_t ret;
	_Atomic bool done;
	pthread_t thread;
};

static void *waits_main(void *arg)
{
	struct waits *w = arg;
	char buf[600] = "";

	w->ret = w->push ? mbuf_ring_push(&w->s->tx, buf, 600, MBUF_FOREVER) :
			   mbuf_ring_pop(&w->s->rx, buf, 600, MBUF_FOREVER);
	atomic_store(&w->done, true);
	return NULL;
}

static bool waits_start(struct waits *w, struct side *s, bool push)
{
	w->s = s;
	w->push = push;
	atomic_store(&w->done, false);
	return !pthread_create(&w->thread, NULL, waits_main, w);
}

static ssize_t waits_join(struct waits *w)
{
	if (!EVENTUALLY(atomic_load(&w->done)))
		return -ETIME;
	pthread_join(w->thread, NULL);
	return w->ret;
}

TEST_F(ring, interrupted)
{
	struct waits w = {};
	char buf[600] = "";
	int push;

	while (!mbuf_ring_push(&self->a.tx, buf, sizeof(buf), MBUF_NOW))
		;
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	for (push = 0; push < 2; push++) {
		ASSERT_TRUE(waits_start(&w, &self->a, push));
		ASSERT_ASLEEP(self->a.fd);
		/* One waits at an end, and no more. */
		EXPECT_EQ(-EBUSY, push ? mbuf_ring_pop(&self->a.rx, buf, 8,
						       SOON) :
					 mbuf_ring_push(&self->a.tx, buf, 600,
							SOON));
		ASSERT_EQ(0, pthread_kill(w.thread, SIGUSR1));
		EXPECT_EQ(-EINTR, waits_join(&w));
	}
	EXPECT_EQ(600, mbuf_ring_pop(&self->b.rx, buf, 600, MBUF_NOW));
}

static int sleeps(void *arg)
{
	(void)arg;
	close(other_end);
	pause();
	return 1;
}

/* Whoever waits for a process that dies is told. */
TEST_F(ring, peer_is_killed)
{
	struct waits w = {};
	char buf[600] = "";
	pid_t pid;

	pid = other_process(&self->a, &self->b, sleeps);
	ASSERT_GT(pid, 0);
	ASSERT_TRUE(waits_start(&w, &self->a, false));
	ASSERT_ASLEEP(self->a.fd);
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	EXPECT_EQ(-EPIPE, waits_join(&w));
	/* And so is who finds no room later. */
	while (!mbuf_ring_push(&self->a.tx, buf, sizeof(buf), MBUF_NOW))
		;
	EXPECT_EQ(-EPIPE, mbuf_ring_push(&self->a.tx, buf, 600, SOON));
}

TEST_F(ring, consumer_is_killed)
{
	struct waits w = {};
	char buf[600] = "";
	pid_t pid;

	pid = other_process(&self->a, &self->b, sleeps);
	ASSERT_GT(pid, 0);
	while (!mbuf_ring_push(&self->a.tx, buf, sizeof(buf), MBUF_NOW))
		;
	ASSERT_TRUE(waits_start(&w, &self->a, true));
	ASSERT_ASLEEP(self->a.fd);
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	EXPECT_EQ(-EPIPE, waits_join(&w));
}

static int produces_until_killed(void *arg)
{
	struct side *s = arg;
	uint64_t i;

	close(other_end);
	for (i = 0;; i++)
		CHECK_EQ(0, mbuf_ring_push(&s->tx, &i, sizeof(i),
					   MBUF_FOREVER));
}

/* What it had sent is there, and then comes the end. */
TEST_F(ring, producer_is_killed)
{
	uint64_t i, got, until = 20000;
	ssize_t ret;
	pid_t pid;

	pid = other_process(&self->a, &self->b, produces_until_killed);
	ASSERT_GT(pid, 0);
	for (i = 0;; i++) {
		if (i == until)
			ASSERT_EQ(0, kill(pid, SIGKILL));
		ret = mbuf_ring_pop(&self->a.rx, &got, sizeof(got), SOON);
		if (ret < 0)
			break;
		ASSERT_EQ((ssize_t)sizeof(got), ret);
		ASSERT_EQ(i, got);
	}
	EXPECT_EQ(-EPIPE, ret);
	EXPECT_GE(i, until);
	EXPECT_EQ(128 + SIGKILL, reap(pid));
}

static int echoes(void *arg)
{
	struct side *s = arg;
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC), ret;
	char buf[600];
	ssize_t len;

	close(other_end);
	CHECK(ep >= 0);
	CHECK_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, s->bell.fd, &ev));
	for (;;) {
		while ((len = mbuf_ring_pop(&s->rx, buf, sizeof(buf),
					    MBUF_NOW)) >= 0)
			CHECK_EQ(0, mbuf_ring_push(&s->tx, buf, (size_t)len,
						   MBUF_FOREVER));
		if (len == -EPIPE)
			return 0;
		CHECK_EQ(-EAGAIN, len);
		ret = mbuf_ring_rx_arm(&s->rx);
		if (ret)
			continue;
		CHECK_EQ(1, epoll_wait(ep, &ev, 1,
				       (int)(PATIENCE_NS / NS_PER_MS)));
		ret = mbuf_ring_rx_disarm(&s->rx);
		CHECK(ret == 0 || ret == -EPIPE);
	}
}

/* A server in an event loop, and a client that calls it. */
TEST_F(ring, calls_of_an_event_loop)
{
	struct mbuf_ring_stats before, stats;
	char buf[600], out[600];
	int i, sent;
	pid_t pid;

	pid = other_process(&self->a, &self->b, echoes);
	ASSERT_GT(pid, 0);
	/* Without polling a call is one system call, that rings and waits. */
	mbuf_ring_set_spin(&self->a.rx.side, 0);
	mbuf_ring_get_stats(&self->a.rx.side, &before);
	for (i = 0; i < 2000; i++) {
		size_t len = (size_t)i * 7 % sizeof(buf);

		fill_pattern(buf, len, (uint32_t)i);
		ASSERT_EQ((ssize_t)len, mbuf_ring_call(&self->a.tx, buf, len,
						       &self->a.rx, out,
						       sizeof(out), SOON,
						       &sent));
		EXPECT_EQ(1, sent);
		ASSERT_TRUE(is_pattern(out, len, (uint32_t)i));
	}
	mbuf_ring_get_stats(&self->a.rx.side, &stats);
	EXPECT_GT(stats.sleeps, before.sleeps);
	mbuf_ring_tx_end(&self->a.tx);
	EXPECT_EQ(0, reap(pid));
}

/* The descriptor is readable when the ring needs a look, and not before. */
TEST_F(ring, readable_when_armed)
{
	char buf[600] = "";

	EXPECT_EQ(0, poll_now(self->b.fd, POLLIN));
	ASSERT_EQ(0, mbuf_ring_rx_arm(&self->b.rx));
	ASSERT_EQ(0, mbuf_ring_push(&self->a.tx, "x", 1, MBUF_NOW));
	EXPECT_EQ(POLLIN, poll_now(self->b.fd, POLLIN));
	ASSERT_EQ(0, mbuf_ring_rx_disarm(&self->b.rx));
	EXPECT_EQ(0, poll_now(self->b.fd, POLLIN));
	EXPECT_EQ(1, mbuf_ring_rx_arm(&self->b.rx));
	EXPECT_EQ(1, mbuf_ring_pop(&self->b.rx, buf, 8, MBUF_NOW));

	while (!mbuf_ring_push(&self->a.tx, buf, 500, MBUF_NOW))
		;
	ASSERT_EQ(0, mbuf_ring_tx_arm(&self->a.tx, 500));
	EXPECT_EQ(0, poll_now(self->a.fd, POLLIN));
	while (mbuf_ring_pop(&self->b.rx, buf, 600, MBUF_NOW) >= 0)
		;
	EXPECT_EQ(POLLIN, poll_now(self->a.fd, POLLIN));
	ASSERT_EQ(0, mbuf_ring_tx_disarm(&self->a.tx));
	EXPECT_EQ(0, mbuf_ring_push(&self->a.tx, buf, 500, MBUF_NOW));

	/* The end of the peer. */
	EXPECT_EQ(500, mbuf_ring_pop(&self->b.rx, buf, 600, MBUF_NOW));
	ASSERT_EQ(0, mbuf_ring_rx_arm(&self->b.rx));
	close_fd(&self->a.fd);
	EXPECT_EQ(POLLHUP, poll_now(self->b.fd, POLLIN));
	EXPECT_EQ(-EPIPE, mbuf_ring_rx_disarm(&self->b.rx));
}

TEST_HARNESS_MAIN
