// SPDX-License-Identifier: GPL-2.0
/*
 * poll, select, epoll and io_uring on endpoints. Who polls is no waiter: it
 * takes nothing, and there may be any number.
 */
#include "channel.h"
#include "polling.h"
#include "uring.h"

TEST_F(channel, readiness)
{
	make_channel(0);
	EXPECT_EQ(POLLOUT, readiness(self->a));
	EXPECT_EQ(POLLOUT, readiness(self->b));
	/* A value alone is nothing to wait for. */
	ASSERT_EQ(0, ch_write(self->a, 1));
	EXPECT_EQ(POLLOUT, readiness(self->b));
	ASSERT_EQ(0, ch_signal(self->a));
	EXPECT_EQ(POLLIN | POLLOUT, readiness(self->b));
	EXPECT_EQ(POLLOUT, readiness(self->a));
	/* Looking changes nothing. */
	EXPECT_EQ(1, ch_look(self->b));
	EXPECT_EQ(POLLIN | POLLOUT, readiness(self->b));
	EXPECT_EQ(1, ch_wait(self->b, MBUF_NOW));
	EXPECT_EQ(POLLOUT, readiness(self->b));
	/* Whatever is asked for. */
	ASSERT_EQ(0, ch_signal(self->a));
	EXPECT_EQ(POLLIN, poll_now(self->b, POLLIN));
	EXPECT_EQ(POLLOUT, poll_now(self->b, POLLOUT));
	EXPECT_EQ(0, poll_now(self->b, POLLPRI));
	EXPECT_EQ(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM,
		  poll_now(self->b, POLLIN | POLLRDNORM | POLLRDBAND |
				    POLLOUT | POLLWRNORM));
	/* However much there is, there is room for more. */
	EXPECT_EQ(POLLOUT, readiness(self->a));
}

TEST_F(channel, hangup)
{
	make_channel(0);
	ASSERT_EQ(0, ch_put(self->a, 1));
	close_fd(&self->a);
	EXPECT_EQ(POLLIN | POLLHUP, readiness(self->b));
	EXPECT_EQ(POLLIN | POLLHUP, readiness(self->b));
	EXPECT_EQ(1, fd_take(self->b));
	EXPECT_EQ(POLLHUP, readiness(self->b));
	EXPECT_EQ(-EPIPE, fd_take(self->b));
	EXPECT_EQ(POLLHUP, readiness(self->b));
	/* Asked for or not. */
	EXPECT_EQ(POLLHUP, poll_now(self->b, 0));
}

/*
 * Sleeping in poll
 */
TEST_F(channel, a_signal_wakes_all_who_poll)
{
	struct poller p[NR_BY];
	enum poll_by h;
	int by;

	make_channel(0);
	for (by = 0; by < 2; by++) {
		for (h = 0; h < NR_BY; h++)
			ASSERT_TRUE(poller_start(&p[h], h, self->a, POLLIN));
		EXPECT_EQ(0, ch_info(self->a).waiters);
		/* Without a signal they sleep on. */
		ASSERT_EQ(0, ch_write(self->b, 1));
		for (h = 0; h < NR_BY; h++)
			EXPECT_FALSE(p[h].done);
		ASSERT_EQ(0, by ? fd_put(self->b, 2) : ch_signal(self->b));
		for (h = 0; h < NR_BY; h++)
			EXPECT_EQ(POLLIN, poller_join(&p[h]));
		/* They have taken nothing. */
		EXPECT_EQ(1, ch_info(self->a).signals);
		EXPECT_EQ(1, ch_wait(self->a, MBUF_NOW));
	}
}

TEST_F(channel, the_end_wakes_all_who_poll)
{
	struct poller p[NR_BY];
	enum poll_by h;
	short events;

	/* Also those that only want to write. */
	for (events = POLLIN; events; events = events == POLLIN ? POLLPRI : 0) {
		make_channel(0);
		for (h = 0; h < NR_BY; h++) {
			if (h == BY_SELECT && events != POLLIN)
				continue;
			ASSERT_TRUE(poller_start(&p[h], h, self->a, events));
		}
		close_fd(&self->b);
		for (h = 0; h < NR_BY; h++) {
			if (h == BY_SELECT && events != POLLIN)
				continue;
			EXPECT_EQ(h == BY_SELECT ? POLLIN : POLLHUP,
				  poller_join(&p[h]));
		}
		close_fd(&self->a);
	}
}

#define CROWD	64

TEST_F(channel, many_pollers)
{
	struct poller *p = calloc(CROWD, sizeof(*p));
	int i, round;

	ASSERT_NE(NULL, p);
	make_channel(0);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < CROWD; i++)
			ASSERT_TRUE(poller_start(&p[i], i % NR_BY, self->a,
						 POLLIN));
		ASSERT_EQ(0, ch_put(self->b, 1));
		for (i = 0; i < CROWD; i++)
			EXPECT_EQ(POLLIN, poller_join(&p[i]));
		EXPECT_EQ(1, ch_take(self->a, MBUF_NOW));
	}
	free(p);
}

/* The signal is the waiter's: who polls does not hear of it. */
TEST_F(channel, pollers_beside_a_waiter)
{
	struct poller p;
	struct waiter w;
	int i;

	make_channel(0);
	ASSERT_TRUE(poller_start(&p, BY_POLL, self->a, POLLIN));
	for (i = 0; i < 20; i++) {
		ASSERT_TRUE(waiter_start(&w, i % NR_WAYS, self->session,
					 self->a));
		ASSERT_ASLEEP(self->a);
		ASSERT_EQ(0, ch_put(self->b, 1));
		EXPECT_EQ(way_success(w.way), waiter_join(&w));
		EXPECT_EQ(0, poll_now(self->a, POLLIN));
	}
	EXPECT_FALSE(p.done);
	ASSERT_EQ(0, ch_put(self->b, 1));
	EXPECT_EQ(POLLIN, poller_join(&p));
}

/* A signal that comes back, as its taker had no memory for it, is news. */
TEST_F(channel, pollers_hear_of_what_comes_back)
{
	struct mbuf_exchange *x = map_pages(sizeof(*x), PROT_READ | PROT_WRITE);
	struct poller p;

	ASSERT_NE(NULL, x);
	make_channel(0);
	*x = xchg_of(STEPS_TAKE, 0, MBUF_NOW);
	mprotect(x, page_size(), PROT_READ);
	ASSERT_EQ(0, ch_put(self->b, 1));
	ASSERT_EQ(-EFAULT, ch_xchg(self->a, x));
	ASSERT_TRUE(poller_start(&p, BY_EPOLL, self->a, POLLIN));
	EXPECT_EQ(POLLIN, poller_join(&p));
	munmap(x, sizeof(*x));
}

/* The same, while it sleeps: the waiter gets the signal first. */
struct faulting {
	int fd;
	void *page;
	long ret;
};

static void *faulting_main(void *arg)
{
	struct faulting *f = arg;

	f->ret = ch_xchg(f->fd, f->page);
	return NULL;
}

TEST_F(channel, poller_sleeps_while_it_comes_back)
{
	struct mbuf_exchange *x = map_pages(sizeof(*x), PROT_READ | PROT_WRITE);
	struct faulting f;
	struct poller p;
	pthread_t thread;

	ASSERT_NE(NULL, x);
	make_channel(0);
	*x = xchg_of(STEPS_TAKE, 0, MBUF_FOREVER);
	f = (struct faulting){ .fd = self->a, .page = x };
	ASSERT_EQ(0, pthread_create(&thread, NULL, faulting_main, &f));
	ASSERT_ASLEEP(self->a);
	ASSERT_TRUE(poller_start(&p, BY_POLL, self->a, POLLIN));
	mprotect(x, page_size(), PROT_READ);
	ASSERT_EQ(0, ch_put(self->b, 1));
	pthread_join(thread, NULL);
	EXPECT_EQ(-EFAULT, f.ret);
	EXPECT_EQ(POLLIN, poller_join(&p));
	EXPECT_EQ(1, ch_take(self->a, MBUF_NOW));
	munmap(x, sizeof(*x));
}

/* A signal comes just as poll goes to sleep. */
TEST_F(channel, poll_races_with_signal)
{
	struct poller p;
	unsigned int i;

	make_channel(0);
	for (i = 0; i < 600; i++) {
		memset(&p, 0, sizeof(p));
		p.how = i % NR_BY;
		p.fd = self->a;
		p.events = POLLIN;
		ASSERT_EQ(0, pthread_create(&p.thread, NULL, poller_main, &p));
		if (i % 5)
			while (!p.tid)
				sched_yield();
		ASSERT_EQ(0, ch_put(self->b, i));
		ASSERT_EQ(POLLIN, poller_join(&p));
		ASSERT_EQ(i, ch_take(self->a, MBUF_NOW));
	}
}

/*
 * epoll
 */
TEST_F(channel, level)
{
	struct edge e;
	int i;

	make_channel(0);
	ASSERT_TRUE(edge_add(&e, self->a, EPOLLIN));
	EXPECT_EQ(0, edge_get(&e));
	ASSERT_EQ(0, ch_put(self->b, 1));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(EPOLLIN, edge_get(&e));
	EXPECT_EQ(1, ch_take(self->a, MBUF_NOW));
	EXPECT_EQ(0, edge_get(&e));
	close_fd(&self->b);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(EPOLLHUP, edge_get(&e));
	close(e.ep);
}

TEST_F(channel, edge)
{
	struct waiter w;
	struct edge e;
	int i;

	make_channel(0);
	ASSERT_TRUE(edge_add(&e, self->a, EPOLLIN | EPOLLET));
	EXPECT_EQ(0, edge_get(&e));
	/* One for each signal, whether or not the last was taken. */
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, ch_signal(self->b));
		EXPECT_EQ(EPOLLIN, edge_get(&e));
		EXPECT_EQ(0, edge_get(&e));
	}
	/* None for a value, none for taking them. */
	ASSERT_EQ(0, ch_write(self->b, 1));
	EXPECT_EQ(0, edge_get(&e));
	EXPECT_EQ(4, ch_wait(self->a, MBUF_NOW));
	EXPECT_EQ(0, edge_get(&e));
	/* It has come and gone. */
	ASSERT_EQ(0, ch_signal(self->b));
	EXPECT_EQ(1, ch_wait(self->a, MBUF_NOW));
	EXPECT_EQ(0, edge_get(&e));
	/* None for what a waiter gets. */
	ASSERT_TRUE(waiter_start(&w, WAY_TAKE, -1, self->a));
	ASSERT_ASLEEP(self->a);
	ASSERT_EQ(0, ch_put(self->b, 2));
	EXPECT_EQ(0, waiter_join(&w));
	EXPECT_EQ(0, edge_get(&e));
	ASSERT_EQ(0, ch_put(self->b, 2));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	/* And one for the end. */
	close_fd(&self->b);
	EXPECT_EQ(EPOLLIN | EPOLLHUP, edge_get(&e));
	EXPECT_EQ(0, edge_get(&e));
	EXPECT_EQ(2, ch_take(self->a, MBUF_NOW));
	EXPECT_EQ(0, edge_get(&e));
	close(e.ep);
}

TEST_F(channel, oneshot)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };
	struct edge e;

	make_channel(0);
	ASSERT_TRUE(edge_add(&e, self->a, EPOLLIN | EPOLLONESHOT));
	ASSERT_EQ(0, ch_signal(self->b));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	ASSERT_EQ(0, ch_signal(self->b));
	EXPECT_EQ(0, edge_get(&e));
	ASSERT_EQ(0, epoll_ctl(e.ep, EPOLL_CTL_MOD, self->a, &ev));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	EXPECT_EQ(0, edge_get(&e));
	close(e.ep);
}

/* Level and edge, both ends, one epoll; the other epolls do not matter. */
TEST_F(channel, many_epolls)
{
	struct edge e[16];
	int i, round;

	make_channel(0);
	for (i = 0; i < 16; i++)
		ASSERT_TRUE(edge_add(&e[i], self->a,
				     i % 2 ? EPOLLIN | EPOLLET : EPOLLIN));
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, ch_put(self->b, 1));
		for (i = 0; i < 16; i++)
			EXPECT_EQ(EPOLLIN, edge_get(&e[i]));
		for (i = 0; i < 16; i++)
			EXPECT_EQ(i % 2 ? 0 : EPOLLIN, edge_get(&e[i]));
		EXPECT_EQ(1, ch_take(self->a, MBUF_NOW));
	}
	for (i = 0; i < 16; i++)
		close(e[i].ep);
}

/* The classic loop: edge-triggered, nonblocking, until EAGAIN. */
struct edge_loop {
	int fd;
	uint64_t nr;
};

static int edge_child(void *arg)
{
	struct edge_loop *l = arg;
	uint64_t i;

	for (i = 1; i <= l->nr; i++)
		CHECK_EQ(0, i % 2 ? ch_put(l->fd, i) : fd_put(l->fd, i));
	return 0;
}

TEST_F(channel, edge_loop)
{
	struct edge_loop l = { .nr = 20000 };
	struct epoll_event ev;
	uint64_t signals = 0;
	int64_t last = 0;
	struct edge e;
	bool end = false;
	pid_t pid;

	make_channel(0);
	l.fd = self->b;
	pid = spawn(edge_child, &l);
	ASSERT_LT(0, pid);
	close_fd(&self->b);
	ASSERT_TRUE(edge_add(&e, self->a, EPOLLIN | EPOLLET));
	while (!end) {
		/* A lost event would show as a test that does not end. */
		ASSERT_EQ(1, epoll_wait(e.ep, &ev, 1, -1));
		for (;;) {
			struct mbuf_exchange x = xchg_of(STEPS_TAKE, 0,
							 MBUF_NOW);
			int ret = ch_xchg(self->a, &x);

			if (ret == -EAGAIN)
				break;
			if (ret == -EPIPE) {
				end = true;
				break;
			}
			ASSERT_EQ(0, ret);
			ASSERT_LE(last, value_num(x.data));
			last = value_num(x.data);
			signals += x.signals;
		}
	}
	EXPECT_EQ((int64_t)l.nr, last);
	EXPECT_EQ(l.nr, signals);
	EXPECT_EQ(0, reap(pid));
	close(e.ep);
}

/* An epoll may outlive what it watches, and the other way round. */
TEST_F(channel, epoll_and_close)
{
	struct epoll_event ev;
	struct edge e, f;
	int fd;

	make_channel(0);
	ASSERT_TRUE(edge_add(&e, self->a, EPOLLIN));
	ASSERT_TRUE(edge_add(&f, self->b, EPOLLIN));
	close(f.ep);
	ASSERT_EQ(0, ch_signal(self->b));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	close_fd(&self->a);
	EXPECT_EQ(0, epoll_wait(e.ep, &ev, 1, 0));
	close_fd(&self->b);
	close(e.ep);

	/* A duplicate keeps it. */
	make_channel(0);
	ASSERT_TRUE(edge_add(&e, self->a, EPOLLIN));
	fd = dup(self->a);
	ASSERT_LE(0, fd);
	close_fd(&self->a);
	ASSERT_EQ(0, ch_signal(self->b));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	close(fd);
	EXPECT_EQ(0, edge_get(&e));
	close(e.ep);
}

/* The peer goes, and the channel is freed, while somebody polls. */
TEST_F(channel, closing_races_with_polling)
{
	struct poller p[2];
	unsigned int i;

	for (i = 0; i < 300; i++) {
		make_channel(0);
		memset(p, 0, sizeof(p));
		p[0].how = i % NR_BY;
		p[0].fd = self->a;
		p[0].events = POLLIN;
		p[1] = p[0];
		p[1].fd = self->b;
		ASSERT_EQ(0, pthread_create(&p[0].thread, NULL, poller_main,
					    &p[0]));
		if (i % 3)
			while (!p[0].tid)
				sched_yield();
		close_fd(&self->b);
		ASSERT_EQ(p[0].how == BY_SELECT ? POLLIN : POLLHUP,
			  poller_join(&p[0]));
		close_fd(&self->a);
	}
}

/*
 * io_uring
 */
TEST_F(channel, uring_read_and_write)
{
	struct value out, in[3];
	struct iovec iov[2];
	struct ring r;
	int i;

	OPEN_RING(&r);
	make_channel(0);
	for (i = 0; i < 8; i++) {
		uint8_t flags = i % 2 ? IOSQE_ASYNC : 0;

		out = value_of((uint64_t)i);
		poison(in, sizeof(in));
		if (i % 4 < 2) {
			ring_prep(&r, IORING_OP_WRITE, self->a, &out, 32, 1)
				->flags = flags;
			ASSERT_EQ(1, ring_submit(&r));
			EXPECT_CQE(&r, 1, 32);
			/* More room than needed: one value, once. */
			ring_prep(&r, IORING_OP_READ, self->b, in, sizeof(in),
				  2)->flags = flags;
		} else {
			iov[0] = (struct iovec){ &out, 9 };
			iov[1] = (struct iovec){ (char *)&out + 9, 23 };
			ring_prep(&r, IORING_OP_WRITEV, self->a, iov, 2, 1)
				->flags = flags;
			ASSERT_EQ(1, ring_submit(&r));
			EXPECT_CQE(&r, 1, 32);
			iov[0] = (struct iovec){ in, 9 };
			iov[1] = (struct iovec){ (char *)in + 9, 64 };
			ring_prep(&r, IORING_OP_READV, self->b, iov, 2, 2)
				->flags = flags;
		}
		ASSERT_EQ(1, ring_submit(&r));
		EXPECT_CQE(&r, 2, 32);
		EXPECT_EQ(i, value_num(in));
		EXPECT_TRUE(is_poison(&in[1], 64));
		EXPECT_EQ(0, ch_info(self->b).signals);
	}
	ring_close(&r);
}

TEST_F(channel, uring_errors)
{
	struct value v = value_of(1);
	struct ring r;

	OPEN_RING(&r);
	make_channel(0);
#define EXPECT_RESULT(result, op, fd, buf, len) do {			\
	ring_prep(&r, IORING_OP_##op, fd, buf, len, 1);			\
	ASSERT_EQ(1, ring_submit(&r));					\
	EXPECT_CQE(&r, 1, result);					\
} while (0)
	EXPECT_RESULT(-EMSGSIZE, WRITE, self->a, &v, 31);
	EXPECT_RESULT(-EMSGSIZE, WRITE, self->a, &v, 33);
	EXPECT_RESULT(-EINVAL, WRITE, self->a, &v, 0);
	EXPECT_RESULT(-EFAULT, WRITE, self->a, NULL, 32);
	EXPECT_EQ(0, ch_info(self->b).seq);
	ASSERT_EQ(0, ch_put(self->a, 2));
	EXPECT_RESULT(-EMSGSIZE, READ, self->b, &v, 31);
	EXPECT_RESULT(-EFAULT, READ, self->b, NULL, 32);
	EXPECT_EQ(1, ch_info(self->b).signals);
	EXPECT_EQ(2, ch_take(self->b, MBUF_NOW));
	/* A call that may not wait has an answer at once. */
	ring_prep(&r, IORING_OP_READ, self->b, &v, 32, 2)
		->rw_flags = RWF_NOWAIT;
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_CQE(&r, 2, -EAGAIN);
	close_fd(&self->a);
	EXPECT_RESULT(0, READ, self->b, &v, 32);
	EXPECT_RESULT(-EPIPE, WRITE, self->b, &v, 32);
#undef EXPECT_RESULT
	ring_close(&r);
}

TEST_F(channel, uring_read_waits)
{
	struct value in;
	struct ring r;
	int i;

	OPEN_RING(&r);
	make_channel(0);
	for (i = 0; i < 6; i++) {
		ring_prep(&r, IORING_OP_READ, self->b, &in, sizeof(in), 1)
			->flags = i % 2 ? IOSQE_ASYNC : 0;
		ASSERT_EQ(1, ring_submit(&r));
		EXPECT_TRUE(ring_idle(&r));
		/* It polls, and is no waiter. */
		EXPECT_EQ(-EAGAIN, ch_wait(self->b, MBUF_NOW));
		if (i == 4)
			ASSERT_EQ(0, ch_write(self->a, 50));
		ASSERT_EQ(0, ch_put(self->a, (uint64_t)i));
		EXPECT_CQE(&r, 1, 32);
		EXPECT_EQ(i, value_num(&in));
	}
	/* O_NONBLOCK is about calls: a request waits all the same. */
	ASSERT_EQ(0, set_nonblock(self->b, true));
	ring_prep(&r, IORING_OP_READ, self->b, &in, sizeof(in), 1);
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_TRUE(ring_idle(&r));
	ASSERT_EQ(0, ch_put(self->a, 60));
	EXPECT_CQE(&r, 1, 32);
	/* The end comes as 0. */
	ring_prep(&r, IORING_OP_READ, self->b, &in, sizeof(in), 2);
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_TRUE(ring_idle(&r));
	close_fd(&self->a);
	EXPECT_CQE(&r, 2, 0);
	ring_close(&r);
}

/* A read that waits, and the last value, and the end. */
TEST_F(channel, uring_last_value)
{
	struct value in;
	struct ring r;

	OPEN_RING(&r);
	make_channel(0);
	ring_prep(&r, IORING_OP_READ, self->b, &in, sizeof(in), 1);
	ASSERT_EQ(1, ring_submit(&r));
	ASSERT_EQ(0, ch_write(self->a, 3));
	EXPECT_TRUE(ring_idle(&r));
	close_fd(&self->a);
	EXPECT_CQE(&r, 1, 32);
	EXPECT_EQ(3, value_num(&in));
	ring_prep(&r, IORING_OP_READ, self->b, &in, sizeof(in), 2);
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_CQE(&r, 2, 0);
	ring_close(&r);
}

/* Several are pending: each signal goes to one of them. */
TEST_F(channel, uring_many_reads)
{
	struct io_uring_cqe cqe;
	struct value in[8];
	uint32_t seen = 0, i;
	struct ring r;

	OPEN_RING(&r);
	make_channel(0);
	for (i = 0; i < 8; i++)
		ring_prep(&r, IORING_OP_READ, self->b, &in[i], sizeof(in[i]),
			  i);
	ASSERT_EQ(8, ring_submit(&r));
	for (i = 0; i < 8; i++) {
		EXPECT_TRUE(ring_idle(&r));
		ASSERT_EQ(0, ch_put(self->a, i));
		ASSERT_TRUE(ring_wait(&r, &cqe));
		ASSERT_EQ(32, cqe.res);
		ASSERT_GT(8, cqe.user_data);
		ASSERT_EQ(i, value_num(&in[cqe.user_data]));
		seen |= 1u << cqe.user_data;
	}
	EXPECT_EQ(0xff, seen);
	EXPECT_TRUE(ring_idle(&r));
	ring_close(&r);
}

TEST_F(channel, uring_poll)
{
	struct ring r;

	OPEN_RING(&r);
	make_channel(0);
	ring_prep(&r, IORING_OP_POLL_ADD, self->b, NULL, 0, 1)
		->poll32_events = POLLIN;
	ring_prep(&r, IORING_OP_POLL_ADD, self->b, NULL, 0, 2)
		->poll32_events = POLLOUT;
	ASSERT_EQ(2, ring_submit(&r));
	EXPECT_CQE(&r, 2, POLLOUT);
	EXPECT_TRUE(ring_idle(&r));
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_CQE(&r, 1, POLLIN);
	EXPECT_EQ(1, ch_take(self->b, MBUF_NOW));
	ring_prep(&r, IORING_OP_POLL_ADD, self->b, NULL, 0, 3)
		->poll32_events = POLLIN;
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_TRUE(ring_idle(&r));
	close_fd(&self->a);
	EXPECT_CQE(&r, 3, POLLHUP);
	ring_close(&r);
}

/* Told again and again, and each time it is true. */
TEST_F(channel, uring_poll_multishot)
{
	struct io_uring_cqe cqe;
	struct ring r;
	int i;

	OPEN_RING(&r);
	make_channel(0);
	ring_prep(&r, IORING_OP_POLL_ADD, self->b, NULL, IORING_POLL_ADD_MULTI,
		  1)->poll32_events = POLLIN;
	ASSERT_EQ(1, ring_submit(&r));
	for (i = 0; i < 10; i++) {
		EXPECT_TRUE(ring_idle(&r));
		ASSERT_EQ(0, ch_put(self->a, (uint64_t)i));
		ASSERT_TRUE(ring_wait(&r, &cqe));
		EXPECT_EQ(POLLIN, cqe.res);
		EXPECT_NE(0, cqe.flags & IORING_CQE_F_MORE);
		EXPECT_EQ(i, ch_take(self->b, MBUF_NOW));
	}
	ring_prep(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 2);
	ASSERT_EQ(1, ring_submit(&r));
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(ring_wait(&r, &cqe));
		EXPECT_EQ(cqe.user_data == 1 ? -ECANCELED : 0, cqe.res);
	}
	ring_close(&r);
}

TEST_F(channel, uring_cancel)
{
	struct value in;
	struct ring r;
	int i, res = 0;

	OPEN_RING(&r);
	make_channel(0);
	for (i = 0; i < 4; i++) {
		ring_prep(&r, IORING_OP_READ, self->b, &in, sizeof(in), 1)
			->flags = i % 2 ? IOSQE_ASYNC : 0;
		ASSERT_EQ(1, ring_submit(&r));
		EXPECT_TRUE(ring_idle(&r));
		ASSERT_TRUE(ring_cancel(&r, 1, &res));
		EXPECT_TRUE(res == -ECANCELED || res == -EINTR) {
			TH_LOG("result %d", res);
		}
		/* What comes now is not for the dead. */
		poison(&in, sizeof(in));
		ASSERT_EQ(0, ch_put(self->a, 1));
		EXPECT_TRUE(ring_idle(&r));
		EXPECT_TRUE(is_poison(&in, sizeof(in)));
		EXPECT_EQ(1, ch_take(self->b, MBUF_NOW));
	}
	ring_close(&r);
}

/* The signal is with the read or still there, whoever was first. */
TEST_F(channel, uring_cancel_races_with_signal)
{
	struct handicap h = { .seed = 1 };
	unsigned int i, j, read = 0, canceled = 0;
	struct io_uring_cqe cqe;
	struct value in;
	struct ring r;
	int res = 0;

	OPEN_RING(&r);
	make_channel(0);
	for (i = 0; i < 300; i++) {
		struct waiter w;

		poison(&in, sizeof(in));
		ring_prep(&r, IORING_OP_READ, self->b, &in, sizeof(in), 1)
			->flags = i % 2 ? IOSQE_ASYNC : 0;
		ASSERT_EQ(1, ring_submit(&r));
		/* The peer's signal, from another processor. */
		waiter_init(&w, WAY_ALL, self->a, MBUF_NOW);
		ASSERT_TRUE(waiter_go(&w));
		handicap_spin(&h);
		ring_prep(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 2);
		ASSERT_EQ(1, ring_submit(&r));
		for (j = 0; j < 2; j++) {
			ASSERT_TRUE(ring_wait(&r, &cqe));
			if (cqe.user_data == 1)
				res = cqe.res;
		}
		ASSERT_EQ(-EAGAIN, waiter_join(&w));
		if (res == 32) {
			read++;
			ASSERT_EQ(1, value_num(&in));
			ASSERT_EQ(-EAGAIN, ch_wait(self->b, MBUF_NOW));
		} else {
			canceled++;
			ASSERT_TRUE(res == -ECANCELED || res == -EINTR);
			ASSERT_EQ(1, ch_wait(self->b, MBUF_NOW));
		}
		handicap_adapt(&h, res != 32);
	}
	TH_LOG("%u read, %u canceled", read, canceled);
	ring_close(&r);
}

/* The ring goes, and with it what waits in it. */
TEST_F(channel, uring_closes)
{
	struct value in;
	struct ring r;
	int i;

	for (i = 0; i < 4; i++) {
		OPEN_RING(&r);
		make_channel(0);
		ring_prep(&r, IORING_OP_READ, self->b, &in, sizeof(in), 1)
			->flags = i % 2 ? IOSQE_ASYNC : 0;
		ring_prep(&r, IORING_OP_POLL_ADD, self->a, NULL, 0, 2)
			->poll32_events = POLLIN;
		ASSERT_EQ(2, ring_submit(&r));
		if (i == 2) {
			/*
			 * The descriptor first: the request keeps the file. Not
			 * if a worker has yet to look it up.
			 */
			close_fd(&self->b);
			EXPECT_EQ(POLLOUT, readiness(self->a));
			ring_close(&r);
			EXPECT_TRUE(EVENTUALLY(readiness(self->a) == POLLHUP));
		} else {
			ring_close(&r);
			EXPECT_EQ(POLLOUT, readiness(self->a));
			EXPECT_TRUE(EVENTUALLY(ch_put(self->a, 1) == 0 &&
					       ch_take(self->b, MBUF_NOW) ==
					       1));
		}
		close_channel();
	}
}

TEST_HARNESS_MAIN
