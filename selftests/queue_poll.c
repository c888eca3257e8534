// SPDX-License-Identifier: GPL-2.0
/*
 * poll, select and epoll of both rights: what is reported when, level and edge,
 * and that nobody who sleeps in one of them is forgotten.
 */
#include "polling.h"

TEST_F(queue, level)
{
	uint32_t slots = 3, i;

	make_queue(slots, 16, 0);
	EXPECT_EQ(0, readiness(self->rfd));
	EXPECT_EQ(POLLOUT, readiness(self->sfd));
	for (i = 0; i < slots; i++) {
		EXPECT_EQ(POLLOUT, readiness(self->sfd));
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		EXPECT_EQ(POLLIN, readiness(self->rfd));
	}
	EXPECT_EQ(0, readiness(self->sfd));
	for (i = 0; i < slots; i++) {
		EXPECT_EQ(POLLIN, readiness(self->rfd));
		ASSERT_EQ(i, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(POLLOUT, readiness(self->sfd));
	}
	EXPECT_EQ(0, readiness(self->rfd));
	/* Looking has taken nothing, and is not waiting. */
	EXPECT_EQ(slots, get_info(self->rfd).received);
	EXPECT_EQ(0, get_info(self->rfd).recv_blocked);
	EXPECT_EQ(0, get_info(self->rfd).send_blocked);
}

/* The other names of the same events. */
TEST_F(queue, normal_data)
{
	make_queue(1, 16, 0);
	EXPECT_EQ(POLLOUT | POLLWRNORM,
		  poll_now(self->sfd, POLLOUT | POLLWRNORM));
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	EXPECT_EQ(POLLIN | POLLRDNORM,
		  poll_now(self->rfd, POLLIN | POLLRDNORM | POLLRDBAND));
}

/* A right is ready only for what it is a right to. */
TEST_F(queue, one_direction)
{
	make_queue(4, 16, 0);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	EXPECT_EQ(0, poll_now(self->rfd, POLLOUT));
	EXPECT_EQ(0, poll_now(self->sfd, POLLIN));
}

TEST_F(queue, hangup)
{
	char buf[16];

	make_queue(4, 16, 0);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	close_fd(&self->sfd);
	EXPECT_EQ(POLLIN | POLLHUP, readiness(self->rfd));
	ASSERT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(POLLHUP, readiness(self->rfd));
	EXPECT_EQ(0, xread(self->rfd, buf, sizeof(buf)));
	EXPECT_EQ(POLLHUP, readiness(self->rfd));
	/* Asked for or not. */
	EXPECT_EQ(POLLHUP, poll_now(self->rfd, 0));
}

TEST_F(queue, error)
{
	make_queue(1, 16, 0);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	EXPECT_EQ(0, readiness(self->sfd));
	close_fd(&self->rfd);
	EXPECT_EQ(POLLERR, readiness(self->sfd));
	EXPECT_EQ(POLLERR, poll_now(self->sfd, 0));
}

/* A queue that overwrites takes a message at any time. */
TEST_F(queue, overwriting)
{
	int i;

	make_queue(2, 16, MBUF_QUEUE_OVERWRITE);
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(POLLOUT, readiness(self->sfd));
		ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
		EXPECT_EQ(POLLIN, readiness(self->rfd));
	}
	close_fd(&self->rfd);
	EXPECT_EQ(POLLERR, readiness(self->sfd));
}

/*
 * Sleeping in poll, until something happens
 */
TEST_F(queue, poll_wakes_receivers)
{
	struct poller p[NR_BY];
	enum poll_by h;

	make_queue(4, 16, 0);
	for (h = 0; h < NR_BY; h++)
		ASSERT_TRUE(poller_start(&p[h], h, self->rfd, POLLIN));
	/* They are not waiters: they get no message. */
	EXPECT_EQ(0, get_info(self->rfd).recv_waiters);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	for (h = 0; h < NR_BY; h++)
		EXPECT_EQ(POLLIN, poller_join(&p[h]));
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
}

TEST_F(queue, poll_wakes_senders)
{
	struct poller p[NR_BY];
	enum poll_by h;

	make_queue(1, 16, 0);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	for (h = 0; h < NR_BY; h++)
		ASSERT_TRUE(poller_start(&p[h], h, self->sfd, POLLOUT));
	EXPECT_EQ(0, get_info(self->rfd).send_waiters);
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	for (h = 0; h < NR_BY; h++)
		EXPECT_EQ(POLLOUT, poller_join(&p[h]));
}

TEST_F(queue, poll_wakes_at_the_end)
{
	struct poller p[NR_BY];
	enum poll_by h;

	make_queue(1, 16, 0);
	for (h = 0; h < NR_BY; h++)
		ASSERT_TRUE(poller_start(&p[h], h, self->rfd, POLLIN));
	close_fd(&self->sfd);
	for (h = 0; h < NR_BY; h++)
		EXPECT_EQ(h == BY_SELECT ? POLLIN : POLLHUP,
			  poller_join(&p[h]));
	close_fd(&self->rfd);

	make_queue(1, 16, 0);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	for (h = 0; h < NR_BY; h++)
		ASSERT_TRUE(poller_start(&p[h], h, self->sfd, POLLOUT));
	close_fd(&self->rfd);
	for (h = 0; h < NR_BY; h++)
		EXPECT_EQ(h == BY_SELECT ? POLLOUT : POLLERR,
			  poller_join(&p[h]));
}

/*
 * A poller sleeps, a message comes in because a parked sender is let in, or
 * goes because the line of parked senders ends.
 */
TEST_F(queue, poll_and_parked_senders)
{
	struct party s = { .op = OP_SEND, .deadline = MBUF_FOREVER };
	uint32_t num = 7;
	struct poller p;

	make_queue(1, 16, 0);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	s.fd = self->sfd;
	s.buf = &num;
	s.len = sizeof(num);
	ASSERT_TRUE(party_start(&s));
	ASSERT_SLEEPERS(self->rfd, 0, 1);
	ASSERT_TRUE(poller_start(&p, BY_POLL, self->sfd, POLLOUT));
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(0, party_join(&s));
	/* The parked one took the room: still full, and still asleep. */
	EXPECT_EQ(0, readiness(self->sfd));
	EXPECT_EQ(POLLIN, readiness(self->rfd));
	EXPECT_EQ('S', task_state(p.tid));
	EXPECT_EQ(7, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(POLLOUT, poller_join(&p));
}

/* A parked sender that gives up makes no room: there was none. */
TEST_F(queue, poll_and_a_sender_that_gives_up)
{
	make_queue(1, 16, 0);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	EXPECT_EQ(-ETIMEDOUT, send_num(self->sfd, 2, in_ms(20)));
	EXPECT_EQ(0, readiness(self->sfd));
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(POLLOUT, readiness(self->sfd));
}

/*
 * epoll, edge-triggered
 */
TEST_F(queue, edge_receiver)
{
	struct edge e;
	int i;

	make_queue(8, 16, 0);
	ASSERT_TRUE(edge_add(&e, self->rfd, EPOLLIN | EPOLLET));
	EXPECT_EQ(0, edge_get(&e));
	/* One for each message, whether or not the last was read. */
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, send_num(self->sfd, (uint32_t)i, MBUF_NOW));
		EXPECT_EQ(EPOLLIN, edge_get(&e));
		EXPECT_EQ(0, edge_get(&e));
	}
	/* None for taking them. */
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(i, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(0, edge_get(&e));
	}
	ASSERT_EQ(0, send_num(self->sfd, 9, MBUF_NOW));
	ASSERT_EQ(9, recv_num(self->rfd, MBUF_NOW));
	/* It has come and gone. */
	EXPECT_EQ(0, edge_get(&e));
	ASSERT_EQ(0, send_num(self->sfd, 9, MBUF_NOW));
	EXPECT_EQ(EPOLLIN, edge_get(&e));

	/* And one for the end. */
	close_fd(&self->sfd);
	EXPECT_EQ(EPOLLIN | EPOLLHUP, edge_get(&e));
	EXPECT_EQ(0, edge_get(&e));
	close(e.ep);
}

TEST_F(queue, edge_receiver_of_batches_and_parked)
{
	struct party s = { .op = OP_SEND, .deadline = MBUF_FOREVER };
	struct mbuf_msg m[2];
	uint32_t num = 7;
	struct edge e;
	uint32_t i;

	make_queue(4, 16, 0);
	ASSERT_TRUE(edge_add(&e, self->rfd, EPOLLIN | EPOLLET));
	for (i = 0; i < 2; i++) {
		m[0] = msg_of(&num, sizeof(num));
		m[1] = m[0];
		ASSERT_EQ(2, mbuf_send_batch(self->sfd, m, 2, 0, MBUF_NOW));
		EXPECT_EQ(EPOLLIN, edge_get(&e));
		EXPECT_EQ(0, edge_get(&e));
	}
	/* One that was parked enters when another leaves. */
	s.fd = self->sfd;
	s.buf = &num;
	s.len = sizeof(num);
	ASSERT_TRUE(party_start(&s));
	ASSERT_SLEEPERS(self->rfd, 0, 1);
	EXPECT_EQ(0, edge_get(&e));
	EXPECT_EQ(7, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(0, party_join(&s));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	close(e.ep);
}

TEST_F(queue, edge_sender)
{
	struct edge e;
	int round;

	make_queue(2, 16, 0);
	ASSERT_TRUE(edge_add(&e, self->sfd, EPOLLOUT | EPOLLET));
	EXPECT_EQ(EPOLLOUT, edge_get(&e));
	EXPECT_EQ(0, edge_get(&e));
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
		EXPECT_EQ(0, edge_get(&e));
		ASSERT_EQ(0, send_num(self->sfd, 2, MBUF_NOW));
		EXPECT_EQ(0, edge_get(&e));
		/* From full to not full is news; to emptier still is not. */
		ASSERT_EQ(1, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(EPOLLOUT, edge_get(&e));
		ASSERT_EQ(2, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(0, edge_get(&e));
	}
	close_fd(&self->rfd);
	EXPECT_EQ(EPOLLERR, edge_get(&e));
	EXPECT_EQ(0, edge_get(&e));
	close(e.ep);
}

TEST_F(queue, edge_sender_and_batches)
{
	struct mbuf_msg m[4];
	uint32_t nums[4];
	struct edge e;
	int i;

	make_queue(4, 16, 0);
	ASSERT_TRUE(edge_add(&e, self->sfd, EPOLLOUT | EPOLLET));
	EXPECT_EQ(EPOLLOUT, edge_get(&e));
	for (i = 0; i < 4; i++)
		m[i] = msg_of(&nums[i], sizeof(nums[i]));
	ASSERT_EQ(4, mbuf_send_batch(self->sfd, m, 4, 0, MBUF_NOW));
	EXPECT_EQ(0, edge_get(&e));
	ASSERT_EQ(4, mbuf_recv_batch(self->rfd, m, 4, 0, MBUF_NOW));
	EXPECT_EQ(EPOLLOUT, edge_get(&e));
	EXPECT_EQ(0, edge_get(&e));
	close(e.ep);
}

/* While senders are parked room is theirs: nothing to report. */
TEST_F(queue, edge_sender_and_parked)
{
	struct party s = { .op = OP_SEND, .deadline = MBUF_FOREVER };
	uint32_t num = 7;
	struct edge e;

	make_queue(1, 16, 0);
	ASSERT_TRUE(edge_add(&e, self->sfd, EPOLLOUT | EPOLLET));
	EXPECT_EQ(EPOLLOUT, edge_get(&e));
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	s.fd = self->sfd;
	s.buf = &num;
	s.len = sizeof(num);
	ASSERT_TRUE(party_start(&s));
	ASSERT_SLEEPERS(self->rfd, 0, 1);
	ASSERT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(0, party_join(&s));
	EXPECT_EQ(0, edge_get(&e));
	ASSERT_EQ(7, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(EPOLLOUT, edge_get(&e));
	close(e.ep);
}

/* The classic loop: edge-triggered, nonblocking, until EAGAIN. */
struct edge_loop {
	int fd;
	uint32_t nr;
};

static int edge_sender_child(void *arg)
{
	struct edge_loop *l = arg;
	struct epoll_event ev;
	struct edge e;
	uint32_t i = 0;

	CHECK(edge_add(&e, l->fd, EPOLLOUT | EPOLLET));
	while (i < l->nr) {
		/* A lost event would show as a test that does not end. */
		CHECK_EQ(1, epoll_wait(e.ep, &ev, 1, -1));
		while (i < l->nr) {
			int ret = send_num(l->fd, i, MBUF_NOW);

			if (ret == -EAGAIN)
				break;
			CHECK_EQ(0, ret);
			i++;
		}
	}
	return 0;
}

TEST_F(queue, edge_loops)
{
	struct edge_loop l = { .nr = 3000 };
	struct epoll_event ev;
	uint32_t i = 0;
	struct edge e;
	int64_t num;
	pid_t pid;

	make_queue(3, 16, 0);
	l.fd = self->sfd;
	pid = spawn(edge_sender_child, &l);
	ASSERT_LT(0, pid);
	close_fd(&self->sfd);
	ASSERT_TRUE(edge_add(&e, self->rfd, EPOLLIN | EPOLLET));
	for (;;) {
		ASSERT_EQ(1, epoll_wait(e.ep, &ev, 1, -1));
		while ((num = recv_num(self->rfd, MBUF_NOW)) >= 0) {
			ASSERT_EQ(i, num);
			i++;
		}
		if (num == -EPIPE)
			break;
		ASSERT_EQ(-EAGAIN, num);
	}
	EXPECT_EQ(l.nr, i);
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(0, get_info(self->rfd).recv_blocked);
	EXPECT_EQ(0, get_info(self->rfd).send_blocked);
	close(e.ep);
}

TEST_F(queue, oneshot)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT };
	struct edge e;

	make_queue(4, 16, 0);
	ASSERT_TRUE(edge_add(&e, self->rfd, EPOLLIN | EPOLLONESHOT));
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	ASSERT_EQ(0, send_num(self->sfd, 2, MBUF_NOW));
	EXPECT_EQ(0, edge_get(&e));
	ASSERT_EQ(0, epoll_ctl(e.ep, EPOLL_CTL_MOD, self->rfd, &ev));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	EXPECT_EQ(0, edge_get(&e));
	close(e.ep);
}

/*
 * Workers that share a receive right, each with an epoll of its own. Every
 * message must find one who is awake.
 */
#define WORKERS	4

struct worker {
	pthread_t thread;
	int fd, ep;
	_Atomic uint32_t *total;
	uint32_t got;
	bool broken;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct epoll_event ev;
	int64_t num;

	for (;;) {
		if (epoll_wait(w->ep, &ev, 1, -1) != 1)
			w->broken = true;
		num = recv_num(w->fd, MBUF_NOW);
		if (num == -EPIPE || w->broken)
			return NULL;
		if (num >= 0) {
			w->got++;
			atomic_fetch_add(w->total, 1);
		} else if (num != -EAGAIN) {
			w->broken = true;
		}
	}
}

TEST_F(queue, exclusive_workers)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	struct worker w[WORKERS] = {};
	_Atomic uint32_t total = 0;
	uint32_t i, nr = 300;

	make_queue(4, 16, 0);
	for (i = 0; i < WORKERS; i++) {
		w[i].fd = self->rfd;
		w[i].total = &total;
		w[i].ep = epoll_create1(EPOLL_CLOEXEC);
		ASSERT_LE(0, w[i].ep);
		ASSERT_EQ(0, epoll_ctl(w[i].ep, EPOLL_CTL_ADD, self->rfd, &ev));
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, worker_main,
					    &w[i]));
	}
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_FOREVER));
		/* Half of them one by one, so that all are asleep. */
		if (i < nr / 2)
			ASSERT_TRUE(EVENTUALLY(total == i + 1));
	}
	EXPECT_TRUE(EVENTUALLY(total == nr));
	close_fd(&self->sfd);
	for (i = 0; i < WORKERS; i++) {
		pthread_join(w[i].thread, NULL);
		EXPECT_FALSE(w[i].broken);
		close(w[i].ep);
	}
	EXPECT_EQ(nr, get_info(self->rfd).received);
}

/* An epoll may outlive what it watches, and the other way round. */
TEST_F(queue, epoll_and_close)
{
	struct epoll_event ev;
	struct edge e, f;
	int fd;

	make_queue(2, 16, 0);
	ASSERT_TRUE(edge_add(&e, self->rfd, EPOLLIN));
	ASSERT_TRUE(edge_add(&f, self->sfd, EPOLLOUT));
	close(f.ep);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	close_fd(&self->rfd);
	/* The file is gone, and with it its place in the epoll. */
	EXPECT_EQ(0, epoll_wait(e.ep, &ev, 1, 0));
	EXPECT_EQ(-EPIPE, send_num(self->sfd, 1, MBUF_NOW));
	close_fd(&self->sfd);
	close(e.ep);

	/* A duplicate keeps it. */
	make_queue(2, 16, 0);
	ASSERT_TRUE(edge_add(&e, self->rfd, EPOLLIN));
	fd = dup(self->rfd);
	ASSERT_LE(0, fd);
	close_fd(&self->rfd);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	EXPECT_EQ(EPOLLIN, edge_get(&e));
	close(fd);
	EXPECT_EQ(0, edge_get(&e));
	close(e.ep);
}

/* A message comes just as poll goes to sleep. */
TEST_F(queue, poll_races_with_message)
{
	struct poller p;
	unsigned int i;

	make_queue(2, 16, 0);
	for (i = 0; i < 400; i++) {
		memset(&p, 0, sizeof(p));
		p.how = i % NR_BY;
		p.fd = self->rfd;
		p.events = POLLIN;
		ASSERT_EQ(0, pthread_create(&p.thread, NULL, poller_main, &p));
		if (i % 5)
			while (!p.tid)
				sched_yield();
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		/* If the wakeup were lost this would not end. */
		ASSERT_EQ(POLLIN, poller_join(&p));
		ASSERT_EQ(i, recv_num(self->rfd, MBUF_NOW));
	}
}

struct onlooker {
	int rfd, sfd;
	bool stop;
	unsigned int odd;	/* answers that cannot be */
};

static void *onlooker_main(void *arg)
{
	struct onlooker *o = arg;

	while (!__atomic_load_n(&o->stop, __ATOMIC_RELAXED)) {
		struct pollfd p[2] = {
			{ .fd = o->rfd, .events = POLLIN },
			{ .fd = o->sfd, .events = POLLOUT },
		};

		poll(p, 2, 0);
		/* One of two slots may be in use, or none. */
		if (p[0].revents & ~POLLIN || p[1].revents != POLLOUT)
			o->odd++;
	}
	return NULL;
}

/* Who looks on while others are busy sees one state or the other. */
TEST_F(queue, poll_while_messages_come_and_go)
{
	struct onlooker o = {};
	pthread_t thread;
	unsigned int i;

	make_queue(2, 16, 0);
	o.rfd = self->rfd;
	o.sfd = self->sfd;
	ASSERT_EQ(0, pthread_create(&thread, NULL, onlooker_main, &o));
	for (i = 0; i < 20000; i++) {
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		ASSERT_EQ(i, recv_num(self->rfd, MBUF_NOW));
	}
	__atomic_store_n(&o.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, o.odd);
}

TEST_HARNESS_MAIN
