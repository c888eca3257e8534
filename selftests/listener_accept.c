// SPDX-License-Identifier: GPL-2.0
/*
 * Accepting: which queue a connection goes to, how ACCEPT ends, that nothing
 * is lost whoever fails, and approving.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include "listener.h"

#define QUEUES	4

static bool make_queues(int lfd, int *q, int nr, uint32_t backlog)
{
	int i;

	for (i = 0; i < nr; i++) {
		q[i] = ls_queue(lfd, backlog);
		if (q[i] < 0)
			return false;
	}
	return true;
}

static void close_all(int *fd, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		close_fd(&fd[i]);
}

/*
 * Which queue
 */

/* That in which somebody has waited longest. */
TEST_F(listener, who_waits_longest)
{
	const int order[] = { 2, 0, 3, 3, 1, 0, 2, 1 };
	enum { NR = ARRAY_SIZE(order) };
	int q[QUEUES], nr[QUEUES] = {}, i;
	struct caller c[NR];

	make_listener(0200, 0);
	ASSERT_TRUE(make_queues(self->lfd, q, QUEUES, 8));
	for (i = 0; i < NR; i++) {
		ASSERT_TRUE(accept_start(&c[i], q[order[i]], 0, MBUF_FOREVER));
		ASSERT_ACCEPTERS(q[order[i]], ++nr[order[i]]);
	}
	for (i = 0; i < NR; i++) {
		self->con = ls_hello(self->session, (uint64_t)i + 1);
		ASSERT_GE(self->con, 0);
		self->acc = caller_join(&c[i]);
		ASSERT_GE(self->acc, 0);
		EXPECT_EQ(i + 1, ch_take(self->acc, MBUF_NOW));
		/* The others sleep on. */
		EXPECT_EQ(--nr[order[i]], ls_info(q[order[i]]).waiters);
		close_pair();
	}
	close_all(q, QUEUES);
}

/* Nobody waits: the one with the fewest. */
TEST_F(listener, fewest_first)
{
	enum { NR = 40 };
	int q[QUEUES], con[NR], i, n;

	make_listener(0200, 0);
	ASSERT_TRUE(make_queues(self->lfd, q, QUEUES, NR));
	for (i = 0; i < NR / 2; i++) {
		con[i] = ls_hello(self->session, 1);
		ASSERT_GE(con[i], 0);
		for (n = 0; n < QUEUES; n++) {
			EXPECT_GE(i / QUEUES + 1, ls_info(q[n]).pending);
			EXPECT_LE((i + 1) / QUEUES, ls_info(q[n]).pending);
		}
	}
	/* Five in each. Three leave one, two another. */
	for (n = 0; n < 3; n++)
		ASSERT_EQ(1, ls_accept_num(q[1], MBUF_NOW));
	for (n = 0; n < 2; n++)
		ASSERT_EQ(1, ls_accept_num(q[2], MBUF_NOW));
	for (; i < NR / 2 + 5; i++) {
		con[i] = ls_hello(self->session, 1);
		ASSERT_GE(con[i], 0);
	}
	for (n = 0; n < QUEUES; n++)
		EXPECT_EQ(5, ls_info(q[n]).pending);
	while (i--)
		close(con[i]);
	close_all(q, QUEUES);
}

/* Of equal ones, one after the other. */
TEST_F(listener, in_turn)
{
	int q[QUEUES], i, n;
	int got[QUEUES] = {};

	make_listener(0200, 1);
	ASSERT_TRUE(make_queues(self->lfd, q, QUEUES - 1, 1));
	q[QUEUES - 1] = dup(self->lfd);
	for (i = 0; i < 10 * QUEUES; i++) {
		self->con = ls_hello(self->session, 1);
		ASSERT_GE(self->con, 0);
		for (n = 0; n < QUEUES; n++) {
			if (ls_info(q[n]).pending) {
				got[n]++;
				ASSERT_EQ(1, ls_accept_num(q[n], MBUF_NOW));
				break;
			}
		}
		close_fd(&self->con);
		if (i % QUEUES == QUEUES - 1) {
			for (n = 0; n < QUEUES; n++)
				EXPECT_EQ(i / QUEUES + 1, got[n]);
		}
	}
	close_all(q, QUEUES);
}

TEST_F(listener, full_ones_are_passed_over)
{
	int q[3], con[6], i;

	make_listener(0200, 0);
	for (i = 0; i < 3; i++) {
		q[i] = ls_queue(self->lfd, (uint32_t)i + 1);
		ASSERT_GE(q[i], 0);
	}
	for (i = 0; i < 6; i++) {
		con[i] = ls_hello(self->session, 1);
		ASSERT_GE(con[i], 0);
	}
	EXPECT_EQ(-EAGAIN, ls_hello(self->session, 1));
	EXPECT_EQ(1, ls_info(self->lfd).overflowed);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(i + 1, ls_info(q[i]).pending);
	/* Room in one of them is room. */
	ASSERT_EQ(1, ls_accept_num(q[1], MBUF_NOW));
	self->con = ls_hello(self->session, 2);
	ASSERT_GE(self->con, 0);
	EXPECT_EQ(2, ls_info(q[1]).pending);
	EXPECT_EQ(-EAGAIN, ls_hello(self->session, 1));
	close_all(con, 6);
	close_all(q, 3);
}

TEST_F(listener, too_many_queues)
{
	struct rlimit rl = { 600, 600 };
	int q[256], i;

	setrlimit(RLIMIT_NOFILE, &rl);
	for (i = 0; i < 2; i++) {
		/* Its own counts, too. */
		make_listener(0200, (uint32_t)i);
		ASSERT_TRUE(make_queues(self->lfd, q, 256 - i, 1));
		EXPECT_EQ(256, ls_info(self->lfd).queues);
		EXPECT_EQ(-ENOSPC, ls_queue(self->lfd, 1));
		close_fd(&q[17]);
		EXPECT_EQ(255, ls_info(self->lfd).queues);
		q[17] = ls_queue(self->lfd, 1);
		EXPECT_GE(q[17], 0);
		EXPECT_EQ(-ENOSPC, ls_queue(self->lfd, 1));
		close_all(q, 256 - i);
		close_fd(&self->lfd);
	}
}

/*
 * The end of a queue
 */
TEST_F(listener, queue_closes)
{
	enum { NR = 9 };
	int q[3], con[NR], i;

	make_listener(0200, 0);
	ASSERT_TRUE(make_queues(self->lfd, q, 3, 5));
	for (i = 0; i < NR; i++) {
		con[i] = ls_hello(self->session, (uint64_t)i + 1);
		ASSERT_GE(con[i], 0);
	}
	/* Three in each. There is room for four: one is refused. */
	self->con = ls_hello(self->session, NR + 1);
	ASSERT_GE(self->con, 0);
	for (i = 0; i < 3; i++) {
		if (ls_info(q[i]).pending == 4)
			break;
	}
	ASSERT_LT(i, 3);
	close_fd(&q[i]);
	q[i] = q[2];
	q[2] = -1;
	EXPECT_EQ(5, ls_info(q[0]).pending);
	EXPECT_EQ(5, ls_info(q[1]).pending);
	EXPECT_EQ(2, ls_info(self->lfd).queues);
	EXPECT_EQ(0, ls_info(self->lfd).overflowed);
	EXPECT_EQ(-EAGAIN, ls_hello(self->session, 99));
	EXPECT_EQ(1, ls_info(self->lfd).overflowed);

	/* No room for any of them. */
	close_fd(&q[1]);
	EXPECT_EQ(6, ls_info(self->lfd).overflowed);
	EXPECT_EQ(5, ls_info(q[0]).pending);
	{
		int refused = 0;

		for (i = 0; i < NR; i++)
			refused += ch_signal(con[i]) == -ECONNREFUSED;
		refused += ch_signal(self->con) == -ECONNREFUSED;
		EXPECT_EQ(5, refused);
	}
	close_fd(&q[0]);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(-ECONNREFUSED, ch_signal(con[i]));
	EXPECT_EQ(11, ls_info(self->lfd).overflowed);
	EXPECT_EQ(0, ls_info(self->lfd).withdrawn);
	close_all(con, NR);
}

/* They keep their order. */
TEST_F(listener, queue_moves_in_order)
{
	enum { NR = 500 };
	struct rlimit rl = { 700, 700 };
	int q, con[NR], i;

	setrlimit(RLIMIT_NOFILE, &rl);
	make_listener(0200, 0);
	q = ls_queue(self->lfd, NR);
	ASSERT_GE(q, 0);
	for (i = 0; i < NR; i++) {
		con[i] = ls_hello(self->session, (uint64_t)i + 1);
		ASSERT_GE(con[i], 0);
	}
	i = q;
	q = ls_queue(self->lfd, NR);
	ASSERT_GE(q, 0);
	close(i);
	EXPECT_EQ(NR, ls_info(q).pending);
	EXPECT_EQ(POLLIN, poll_now(q, POLLIN));
	for (i = 0; i < NR; i++)
		ASSERT_EQ(i + 1, ls_accept_num(q, MBUF_NOW));
	close_all(con, NR);
	close(q);
}

/* Somebody waits elsewhere, and is handed one. */
TEST_F(listener, queue_moves_to_who_waits)
{
	struct caller c[2];
	int q[2], i;

	make_listener(0200, 0);
	q[0] = ls_queue(self->lfd, 4);
	ASSERT_GE(q[0], 0);
	self->con = ls_hello(self->session, 1);
	self->acc = ls_hello(self->session, 2);
	ASSERT_GE(self->acc, 0);
	q[1] = ls_queue(self->lfd, 4);
	ASSERT_GE(q[1], 0);
	/* It does not take what is in another. */
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(accept_start(&c[i], q[1], 0, MBUF_FOREVER));
		ASSERT_ACCEPTERS(q[1], i + 1);
	}
	EXPECT_EQ(2, ls_info(q[0]).pending);
	close(q[0]);
	for (i = 0; i < 2; i++) {
		int fd = caller_join(&c[i]);

		ASSERT_GE(fd, 0);
		EXPECT_EQ(i + 1, ch_take(fd, MBUF_NOW));
		close(fd);
	}
	close(q[1]);
}

/* Sleeping in CONNECT meanwhile. */
TEST_F(listener, queue_closes_under_who_connects)
{
	struct caller c[2];
	int q[2], i, first;

	make_listener(0200, 0);
	ASSERT_TRUE(make_queues(self->lfd, q, 2, 1));
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(connect_start(&c[i], self->session, 0,
					  MBUF_FOREVER));
		ASSERT_TRUE(EVENTUALLY(ls_info(q[0]).pending +
				       ls_info(q[1]).pending ==
				       (uint32_t)i + 1));
	}
	/* One has no place any more. */
	close(q[0]);
	ASSERT_TRUE(EVENTUALLY(atomic_load(&c[0].done) ||
			       atomic_load(&c[1].done)));
	first = !atomic_load(&c[0].done);
	EXPECT_EQ(-ECONNREFUSED, caller_join(&c[first]));
	self->acc = ls_accept(q[1], 0, MBUF_NOW);
	ASSERT_GE(self->acc, 0);
	self->con = caller_join(&c[!first]);
	EXPECT_GE(self->con, 0);
	close(q[1]);
}

/*
 * How ACCEPT ends
 */
TEST_F(listener, accept_deadline)
{
	struct mbuf_accept a;
	uint64_t end;

	make_listener(0200, 2);
	EXPECT_EQ(-EAGAIN, ls_accept(self->lfd, 0, MBUF_NOW));
	end = in_ms(50);
	a = accept_of(0, end);
	EXPECT_EQ(-ETIMEDOUT, xioctl(self->lfd, MBUF_IOC_ACCEPT, &a));
	EXPECT_GE(now_ns(), end);
	EXPECT_EQ(-77, a.end.ref.fd);
	EXPECT_TRUE(is_poison(&a.peer, sizeof(a.peer)));
	EXPECT_EQ(-ETIMEDOUT, ls_accept(self->lfd, 0, 1));
	EXPECT_EQ(0, ls_info(self->lfd).waiters);
	/* One that has passed tries once. */
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	self->acc = ls_accept(self->lfd, 0, 1);
	EXPECT_GE(self->acc, 0);
}

TEST_F(listener, accept_signal)
{
	struct caller c;

	make_listener(0200, 2);
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_TRUE(accept_start(&c, self->lfd, 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(self->lfd, 1);
	pthread_kill(c.thread, SIGUSR1);
	EXPECT_EQ(-EINTR, caller_join(&c));
	EXPECT_EQ(-77, c.accept.end.ref.fd);
	EXPECT_EQ(0, ls_info(self->lfd).waiters);

	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	ASSERT_TRUE(accept_start(&c, self->lfd, 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(self->lfd, 1);
	ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(c.tid, MBUF_IOC_ACCEPT)));
	pthread_kill(c.thread, SIGUSR1);
	ASSERT_TRUE(EVENTUALLY(signals_seen == 1));
	ASSERT_ACCEPTERS(self->lfd, 1);
	self->con = ls_connect(self->session, 0, MBUF_FOREVER);
	ASSERT_GE(self->con, 0);
	self->acc = caller_join(&c);
	EXPECT_GE(self->acc, 0);
}

/* One connection wakes one. */
TEST_F(listener, one_is_woken)
{
	enum { NR = 5 };
	struct caller c[NR];
	int i, n, done;

	make_listener(0200, 4);
	for (i = 0; i < NR; i++) {
		ASSERT_TRUE(accept_start(&c[i], self->lfd, 0, MBUF_FOREVER));
		ASSERT_ACCEPTERS(self->lfd, i + 1);
	}
	for (i = 0; i < NR; i++) {
		self->con = ls_connect(self->session, 0, MBUF_FOREVER);
		ASSERT_GE(self->con, 0);
		ASSERT_GE(caller_join(&c[i]), 0);
		for (n = 0, done = 0; n < NR; n++)
			done += atomic_load(&c[n].done);
		EXPECT_EQ(i + 1, done);
		EXPECT_EQ(NR - i - 1, ls_info(self->lfd).waiters);
		close(c[i].ret);
		close_fd(&self->con);
	}
}

/*
 * A connection that could not be accepted stays first.
 */
TEST_F(listener, no_descriptor)
{
	struct rlimit rl, was;
	int i, first;

	make_listener(0200, 4);
	self->con = ls_hello(self->session, 1);
	self->acc = ls_hello(self->session, 2);
	ASSERT_GE(self->acc, 0);
	first = dup(0);
	ASSERT_GE(first, 0);
	close(first);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &was));
	rl = was;
	rl.rlim_cur = (rlim_t)first;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &rl));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EMFILE, ls_accept(self->lfd, 0, MBUF_FOREVER));
		EXPECT_EQ(2, ls_info(self->lfd).pending);
		EXPECT_EQ(POLLIN, poll_now(self->lfd, POLLIN));
	}
	/* Nor can one be made, and nobody hears of it. */
	EXPECT_EQ(-EMFILE, ls_connect(self->session, MBUF_CONNECT_ASYNC,
				      MBUF_FOREVER));
	EXPECT_EQ(-EMFILE, ls_listen_name(self->session, "x", 1, 0200, 1));
	EXPECT_EQ(-EMFILE, ls_queue(self->lfd, 1));
	EXPECT_EQ(2, ls_info(self->lfd).pending);
	EXPECT_EQ(1, ls_info(self->lfd).queues);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &was));
	EXPECT_EQ(0, ls_info(self->lfd).withdrawn);
	EXPECT_EQ(1, ls_accept_num(self->lfd, MBUF_NOW));
	EXPECT_EQ(2, ls_accept_num(self->lfd, MBUF_NOW));
	EXPECT_EQ(-ECONNREFUSED, ls_connect_name(self->session, "x", 1, 0,
						 MBUF_NOW));
}

TEST_F(listener, no_memory_for_the_result)
{
	struct mbuf_accept *a = map_pages(page_size(), PROT_READ | PROT_WRITE);
	int i;

	ASSERT_NE(NULL, a);
	make_listener(0200, 4);
	self->con = ls_hello(self->session, 1);
	self->acc = ls_hello(self->session, 2);
	ASSERT_GE(self->acc, 0);
	*a = accept_of(0, MBUF_FOREVER);
	ASSERT_EQ(0, mprotect(a, page_size(), PROT_READ));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EFAULT, xioctl(self->lfd, MBUF_IOC_ACCEPT, a));
		EXPECT_EQ(2, ls_info(self->lfd).pending);
		EXPECT_EQ(0, ls_info(self->lfd).accepted);
	}
	EXPECT_EQ(-77, a->end.ref.fd);
	munmap(a, page_size());
	EXPECT_EQ(1, ls_accept_num(self->lfd, MBUF_NOW));
	EXPECT_EQ(2, ls_accept_num(self->lfd, MBUF_NOW));
}

/* Who would have to pay for the endpoint cannot. */
#define OBJECTS_LIMIT	"/sys/module/mbuf/parameters/objects_limit"

struct poor {
	struct stage *stage;
	int session;		/* of somebody else, to connect */
};

static int poor_child(void *arg)
{
	struct poor *p = arg;
	int session, lfd, con, acc;
	struct mbuf_query q = {};

	session = mbuf_open();
	CHECK(session >= 0);
	lfd = ls_listen(session, 0222, 4);
	CHECK(lfd >= 0);
	con = ls_hello(p->session, 4);
	CHECK(con >= 0);
	CHECK_EQ(0, mbuf_query(session, &q));
	CHECK_EQ(2, q.objects.used);
	stage_go(p->stage, 1);
	CHECK(stage_wait(p->stage, 2));
	CHECK_EQ(-EDQUOT, ls_accept(lfd, 0, MBUF_FOREVER));
	CHECK_EQ(-EDQUOT, ls_accept(lfd, 0, MBUF_NOW));
	CHECK_EQ(1, ls_info(lfd).pending);
	stage_go(p->stage, 3);
	CHECK(stage_wait(p->stage, 4));
	acc = ls_accept(lfd, 0, MBUF_NOW);
	CHECK(acc >= 0);
	CHECK_EQ(4, ch_take(acc, MBUF_NOW));
	CHECK_EQ(0, mbuf_query(session, &q));
	CHECK_EQ(3, q.objects.used);
	return 0;
}

TEST_F(listener, no_quota)
{
	struct stage *stage = map_shared(sizeof(*stage));
	struct poor p = { stage, self->session };
	char was[32];
	pid_t pid;

	NEED_ROOT();
	ASSERT_NE(NULL, stage);
	ASSERT_TRUE(read_file(OBJECTS_LIMIT, was, sizeof(was)));
	pid = spawn_as(TEST_UID, poor_child, &p);
	ASSERT_TRUE(stage_wait(stage, 1));
	ASSERT_TRUE(write_file(OBJECTS_LIMIT, "2\n"));
	stage_go(stage, 2);
	EXPECT_TRUE(stage_wait(stage, 3));
	EXPECT_TRUE(write_file(OBJECTS_LIMIT, "%s", was));
	stage_go(stage, 4);
	EXPECT_EQ(0, reap(pid));
	munmap(stage, sizeof(*stage));
}

/* Both ends are paid for by who connects, until one is accepted. */
struct payers {
	struct stage *stage;
};

static struct mbuf_query query(int session)
{
	struct mbuf_query q = {};

	CHECK_EQ(0, mbuf_query(session, &q));
	return q;
}

static int payers_listener(void *arg)
{
	struct payers *p = arg;
	int session = mbuf_open(), lfd, acc;
	struct mbuf_query before, q;

	CHECK(session >= 0);
	lfd = ls_listen(session, 0222, 4);
	CHECK(lfd >= 0);
	before = query(session);
	stage_go(p->stage, 1);
	CHECK(stage_wait(p->stage, 2));
	CHECK_EQ(1, ls_info(lfd).pending);
	q = query(session);
	CHECK_EQ(before.objects.used, q.objects.used);
	CHECK_EQ(before.memory.used, q.memory.used);
	acc = ls_accept(lfd, 0, MBUF_NOW);
	CHECK(acc >= 0);
	q = query(session);
	CHECK_EQ(before.objects.used + 1, q.objects.used);
	atomic_store(&p->stage->value[0],
		     (long)(q.memory.used - before.memory.used));
	stage_go(p->stage, 3);
	CHECK(stage_wait(p->stage, 4));
	/* The other end is closed: this one has only itself to pay for. */
	CHECK_EQ(before.objects.used + 1, query(session).objects.used);
	close(acc);
	CHECK_EQ(before.objects.used, query(session).objects.used);
	CHECK_EQ(before.memory.used, query(session).memory.used);
	return 0;
}

static int payers_connector(void *arg)
{
	struct payers *p = arg;
	int session = mbuf_open(), con;
	struct mbuf_query before, q;
	uint64_t two, one;

	CHECK(session >= 0);
	before = query(session);
	CHECK_EQ(1, before.objects.used);
	con = ls_connect(session, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	CHECK(con >= 0);
	q = query(session);
	CHECK_EQ(before.objects.used + 2, q.objects.used);
	two = q.memory.used - before.memory.used;
	stage_go(p->stage, 2);
	CHECK(stage_wait(p->stage, 3));
	q = query(session);
	CHECK_EQ(before.objects.used + 1, q.objects.used);
	one = q.memory.used - before.memory.used;
	CHECK_EQ(two, 2 * one);
	CHECK_EQ(one, atomic_load(&p->stage->value[0]));
	close(con);
	q = query(session);
	CHECK_EQ(before.objects.used, q.objects.used);
	CHECK_EQ(before.memory.used, q.memory.used);
	stage_go(p->stage, 4);
	return 0;
}

TEST_F(listener, who_pays)
{
	struct stage *stage = map_shared(sizeof(*stage));
	struct payers p = { stage };
	pid_t l, c;

	NEED_ROOT();
	ASSERT_NE(NULL, stage);
	l = spawn_as(UID_A, payers_listener, &p);
	ASSERT_TRUE(stage_wait(stage, 1));
	c = spawn_as(UID_B, payers_connector, &p);
	EXPECT_EQ(0, reap(c));
	EXPECT_EQ(0, reap(l));
	munmap(stage, sizeof(*stage));
}

/*
 * Who has taken a connection and does not get on
 */
#define NEED_STUCK(s, fd, flags) do {					\
	int __err = stuck_accept_start(s, fd, flags);			\
									\
	if (__err)							\
		SKIP(return, "no userfaultfd: %s", mbuf_strerror(__err)); \
} while (0)

TEST_F(listener, stuck_accept_stalls_nobody)
{
	struct stuck_accept s;
	struct caller c;
	int con[3], i;

	make_listener(0200, 4);
	NEED_STUCK(&s, self->lfd, 0);
	con[0] = ls_hello(self->session, 1);
	ASSERT_GE(con[0], 0);
	ASSERT_NE(0, stuck_wait(&s.stuck));
	/* The next ones come in and go out. */
	for (i = 1; i < 3; i++) {
		con[i] = ls_hello(self->session, (uint64_t)i + 1);
		ASSERT_GE(con[i], 0);
		EXPECT_EQ(i + 1, ls_accept_num(self->lfd, MBUF_NOW));
	}
	/* And who connects waits no longer than it likes. */
	EXPECT_EQ(-ETIMEDOUT, ls_connect(self->session, 0, in_ms(20)));
	ASSERT_TRUE(accept_start(&c, self->lfd, 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(self->lfd, 1);
	self->con = ls_connect(self->session, 0, MBUF_FOREVER);
	ASSERT_GE(self->con, 0);
	self->acc = caller_join(&c);
	ASSERT_GE(self->acc, 0);
	close_fd(&self->acc);

	self->acc = stuck_accept_resolve(&s);
	ASSERT_GE(self->acc, 0);
	EXPECT_EQ(1, ch_take(self->acc, MBUF_NOW));
	close_all(con, 3);
}

/* It comes back before the others. */
TEST_F(listener, stuck_accept_fails)
{
	struct stuck_accept s;
	int con[3], i;

	make_listener(0200, 4);
	NEED_STUCK(&s, self->lfd, 0);
	for (i = 0; i < 3; i++) {
		con[i] = ls_hello(self->session, (uint64_t)i + 1);
		ASSERT_GE(con[i], 0);
	}
	ASSERT_NE(0, stuck_wait(&s.stuck));
	EXPECT_EQ(2, ls_info(self->lfd).pending);
	EXPECT_EQ(-EFAULT, stuck_accept_break(&s));
	EXPECT_EQ(3, ls_info(self->lfd).pending);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(i + 1, ls_accept_num(self->lfd, MBUF_NOW));
	EXPECT_EQ(3, ls_info(self->lfd).accepted);
	close_all(con, 3);
}

/* If that is full by then, it is above the backlog. */
TEST_F(listener, comes_back_above_the_backlog)
{
	struct stuck_accept s;
	int con[2], i;

	make_listener(0200, 1);
	NEED_STUCK(&s, self->lfd, 0);
	for (i = 0; i < 2; i++) {
		con[i] = ls_hello(self->session, (uint64_t)i + 1);
		ASSERT_GE(con[i], 0);
	}
	ASSERT_NE(0, stuck_wait(&s.stuck));
	EXPECT_EQ(-EFAULT, stuck_accept_break(&s));
	EXPECT_EQ(2, ls_info(self->lfd).pending);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-EAGAIN, ls_hello(self->session, 9));
		EXPECT_EQ(i + 1, ls_accept_num(self->lfd, MBUF_NOW));
	}
	self->con = ls_hello(self->session, 9);
	EXPECT_GE(self->con, 0);
	close_all(con, 2);
}

/* Or it goes to who waits at the same queue. */
TEST_F(listener, comes_back_to_who_waits)
{
	struct stuck_accept s;
	struct caller c[2];
	int q;

	make_listener(0200, 4);
	q = ls_queue(self->lfd, 4);
	ASSERT_GE(q, 0);
	NEED_STUCK(&s, q, 0);
	self->con = ls_hello(self->session, 6);
	ASSERT_GE(self->con, 0);
	ASSERT_NE(0, stuck_wait(&s.stuck));
	/* Who waits longest at another queue is not asked. */
	ASSERT_TRUE(accept_start(&c[0], self->lfd, 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(self->lfd, 1);
	ASSERT_TRUE(accept_start(&c[1], q, 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(q, 1);
	EXPECT_EQ(-EFAULT, stuck_accept_break(&s));
	self->acc = caller_join(&c[1]);
	ASSERT_GE(self->acc, 0);
	EXPECT_EQ(6, ch_take(self->acc, MBUF_NOW));
	EXPECT_EQ(1, ls_info(self->lfd).waiters);
	close_pair();
	self->con = ls_hello(self->session, 7);
	self->acc = caller_join(&c[0]);
	EXPECT_GE(self->acc, 0);
	close(q);
}

/* Who wanted to connect goes meanwhile: ACCEPT waits for the next one. */
TEST_F(listener, withdrawn_while_being_accepted)
{
	struct stuck_accept s;
	int how;

	for (how = 0; how < 2; how++) {
		make_listener(0200, 4);
		NEED_STUCK(&s, self->lfd, 0);
		self->con = ls_hello(self->session, 1);
		ASSERT_GE(self->con, 0);
		ASSERT_NE(0, stuck_wait(&s.stuck));
		close_fd(&self->con);
		EXPECT_EQ(0, ls_info(self->lfd).withdrawn);
		if (how == 0) {
			EXPECT_EQ(-EFAULT, stuck_accept_break(&s));
			EXPECT_EQ(0, ls_info(self->lfd).pending);
			EXPECT_EQ(1, ls_info(self->lfd).withdrawn);
		} else {
			struct mbuf_accept zero = { };

			ASSERT_EQ(0, stuck_resolve(&s.stuck,
						   (uintptr_t)s.stuck.p, &zero,
						   sizeof(zero)));
			ASSERT_ACCEPTERS(self->lfd, 1);
			EXPECT_EQ(1, ls_info(self->lfd).withdrawn);
			self->con = ls_hello(self->session, 2);
			ASSERT_GE(self->con, 0);
			ASSERT_EQ(0, caller_join(&s.call));
			self->acc = s.arg->end.ref.fd;
			EXPECT_EQ(2, ch_take(self->acc, MBUF_NOW));
			stuck_free(&s.stuck);
		}
		EXPECT_EQ(how, ls_info(self->lfd).accepted);
		close_pair();
		close_fd(&self->lfd);
	}
}

/* It was first in the line, and still is. Its argument is as it was. */
TEST_F(listener, withdrawn_then_interrupted)
{
	struct mbuf_accept zero = { }, want = accept_of(0, MBUF_FOREVER);
	struct stuck_accept s;
	struct caller c;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_listener(0200, 4);
	NEED_STUCK(&s, self->lfd, 0);
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	ASSERT_NE(0, stuck_wait(&s.stuck));
	ASSERT_TRUE(accept_start(&c, self->lfd, 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(self->lfd, 1);
	close_fd(&self->con);
	ASSERT_EQ(0, stuck_resolve(&s.stuck, (uintptr_t)s.stuck.p, &zero,
				   sizeof(zero)));
	ASSERT_ACCEPTERS(self->lfd, 2);
	ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(s.call.tid, MBUF_IOC_ACCEPT)));
	pthread_kill(s.call.thread, SIGUSR1);
	EXPECT_EQ(-EINTR, caller_join(&s.call));
	EXPECT_EQ(0, memcmp(&want, s.arg, sizeof(want)));
	stuck_free(&s.stuck);

	self->con = ls_hello(self->session, 2);
	ASSERT_GE(self->con, 0);
	self->acc = caller_join(&c);
	EXPECT_GE(self->acc, 0);
}

TEST_F(listener, withdrawn_keeps_its_turn)
{
	struct mbuf_accept zero = { };
	struct stuck_accept s;
	struct caller c;

	make_listener(0200, 4);
	NEED_STUCK(&s, self->lfd, 0);
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	ASSERT_NE(0, stuck_wait(&s.stuck));
	ASSERT_TRUE(accept_start(&c, self->lfd, 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(self->lfd, 1);
	close_fd(&self->con);
	ASSERT_EQ(0, stuck_resolve(&s.stuck, (uintptr_t)s.stuck.p, &zero,
				   sizeof(zero)));
	ASSERT_ACCEPTERS(self->lfd, 2);
	self->con = ls_hello(self->session, 2);
	ASSERT_GE(self->con, 0);
	ASSERT_EQ(0, caller_join(&s.call));
	self->acc = s.arg->end.ref.fd;
	EXPECT_EQ(2, ch_take(self->acc, MBUF_NOW));
	EXPECT_EQ(1, ls_info(self->lfd).waiters);
	stuck_free(&s.stuck);
	close_pair();
	self->con = ls_hello(self->session, 3);
	self->acc = caller_join(&c);
	EXPECT_GE(self->acc, 0);
}

/* The listener goes meanwhile. */
TEST_F(listener, listener_ends_while_accepting)
{
	struct stuck_accept s;
	int q, how;

	for (how = 0; how < 2; how++) {
		make_listener(0200, 0);
		q = ls_queue(self->lfd, 4);
		ASSERT_GE(q, 0);
		NEED_STUCK(&s, q, 0);
		self->con = ls_hello(self->session, 5);
		ASSERT_GE(self->con, 0);
		ASSERT_NE(0, stuck_wait(&s.stuck));
		close_fd(&self->lfd);
		EXPECT_EQ(MBUF_END_PENDING, ch_info(self->con).state);
		if (how) {
			/* It had been taken by then. */
			self->acc = stuck_accept_resolve(&s);
			ASSERT_GE(self->acc, 0);
			EXPECT_EQ(5, ch_take(self->acc, MBUF_NOW));
		} else {
			EXPECT_EQ(-EFAULT, stuck_accept_break(&s));
			EXPECT_EQ(-ECONNREFUSED, ch_signal(self->con));
			EXPECT_EQ(0, ls_info(q).pending);
		}
		EXPECT_EQ(-EPIPE, ls_accept(q, 0, MBUF_FOREVER));
		close_pair();
		close(q);
	}
}

/* And who is killed with one in its hands gives it back. */
struct doomed {
	int lfd;
	struct stage *stage;
};

static int doomed_child(void *arg)
{
	struct doomed *d = arg;
	struct stuck_accept s;
	int err;

	err = stuck_accept_start(&s, d->lfd, 0);
	atomic_store(&d->stage->value[0], err);
	stage_go(d->stage, 1);
	if (err)
		return 0;
	if (!stuck_wait(&s.stuck))
		return 1;
	stage_go(d->stage, 2);
	for (;;)
		pause();
}

TEST_F(listener, killed_while_accepting)
{
	struct stage *stage = map_shared(sizeof(*stage));
	struct doomed d;
	pid_t pid;
	int second, err;

	ASSERT_NE(NULL, stage);
	make_listener(0200, 4);
	d.lfd = self->lfd;
	d.stage = stage;
	pid = spawn(doomed_child, &d);
	ASSERT_TRUE(stage_wait(stage, 1));
	err = (int)atomic_load(&stage->value[0]);
	if (err) {
		reap(pid);
		SKIP(return, "no userfaultfd: %s", mbuf_strerror(err));
	}
	self->con = ls_hello(self->session, 1);
	second = ls_hello(self->session, 2);
	ASSERT_GE(second, 0);
	ASSERT_TRUE(stage_wait(stage, 2));
	EXPECT_EQ(1, ls_info(self->lfd).pending);
	ASSERT_EQ(128 + SIGKILL, kill_and_reap(pid));
	ASSERT_PENDING(self->lfd, 2);
	EXPECT_EQ(1, ls_accept_num(self->lfd, MBUF_NOW));
	EXPECT_EQ(2, ls_accept_num(self->lfd, MBUF_NOW));
	close(second);
	munmap(stage, sizeof(*stage));
}

/*
 * Races: a signal, a deadline, or death when a connection comes
 */
struct race_result {
	int got, not_got;
};

/* After ACCEPT has given ret: the connection is there, or still in the queue. */
static int settle(struct _test_data_listener *self, int ret, int error,
		  struct race_result *r)
{
	if (ret >= 0) {
		r->got++;
		if (ls_info(self->lfd).pending)
			return 1;
	} else if (ret == error) {
		r->not_got++;
		if (ls_info(self->lfd).pending != 1)
			return 2;
		ret = ls_accept(self->lfd, 0, MBUF_NOW);
		if (ret < 0)
			return 3;
	} else {
		return 4;
	}
	if (ch_take(ret, MBUF_NOW) != 9)
		return 5;
	close(ret);
	return 0;
}

TEST_F(listener, signal_races_with_connect)
{
	struct handicap h = { 1000, 1 };
	struct race_result r = {};
	struct caller c;
	int i;

	make_listener(0200, 4);
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	for (i = 0; i < 400; i++) {
		ASSERT_TRUE(accept_start(&c, self->lfd, 0, MBUF_FOREVER));
		ASSERT_ACCEPTERS(self->lfd, 1);
		if (i % 2) {
			pthread_kill(c.thread, SIGUSR1);
			handicap_spin(&h);
			self->con = ls_hello(self->session, 9);
		} else {
			self->con = ls_hello(self->session, 9);
			pthread_kill(c.thread, SIGUSR1);
		}
		ASSERT_GE(self->con, 0);
		ASSERT_NE(-ETIME, caller_join(&c));
		if (i % 2)
			handicap_adapt(&h, c.ret >= 0);
		ASSERT_EQ(0, settle(self, c.ret, -EINTR, &r));
		close_fd(&self->con);
	}
	TH_LOG("%d accepted, %d were interrupted", r.got, r.not_got);
	EXPECT_LT(0, r.got);
}

TEST_F(listener, deadline_races_with_connect)
{
	struct race_result r = {};
	uint64_t end, lead = 20000;
	struct caller c;
	int i;

	make_listener(0200, 4);
	for (i = 0; i < 300; i++) {
		end = now_ns() + NS_PER_MS;
		ASSERT_TRUE(accept_start(&c, self->lfd, 0, end));
		while (now_ns() + lead < end)
			;
		self->con = ls_hello(self->session, 9);
		ASSERT_GE(self->con, 0);
		ASSERT_NE(-ETIME, caller_join(&c));
		ASSERT_EQ(0, settle(self, c.ret, -ETIMEDOUT, &r));
		lead = c.ret >= 0 ? lead - lead / 8 : lead + lead / 8 + 100;
		close_fd(&self->con);
	}
	TH_LOG("%d accepted, %d were too late", r.got, r.not_got);
}

/* Of CONNECT and ACCEPT with deadlines, both succeed, or neither. */
TEST_F(listener, connect_deadline_races_with_accept)
{
	int i, both = 0, neither = 0;
	uint64_t end, lead = 10000;
	struct caller c;

	make_listener(0200, 4);
	for (i = 0; i < 400; i++) {
		end = now_ns() + NS_PER_MS;
		ASSERT_TRUE(connect_start(&c, self->session, 0, end));
		while (now_ns() + lead < end)
			;
		self->acc = ls_accept(self->lfd, 0, MBUF_NOW);
		ASSERT_NE(-ETIME, caller_join(&c));
		if (c.ret >= 0) {
			both++;
			ASSERT_GE(self->acc, 0);
			close(c.ret);
		} else {
			neither++;
			ASSERT_EQ(-ETIMEDOUT, c.ret);
			ASSERT_EQ(-EAGAIN, self->acc);
		}
		lead = c.ret >= 0 ? lead - lead / 8 : lead + lead / 8 + 100;
		close_fd(&self->acc);
	}
	EXPECT_EQ(both, ls_info(self->lfd).accepted);
	EXPECT_EQ(neither, ls_info(self->lfd).withdrawn);
	TH_LOG("%d connected, %d were too late", both, neither);
}

static int accept_child(void *arg)
{
	int fd = ls_accept(*(int *)arg, 0, MBUF_FOREVER);

	return fd < 0 ? -fd : 0;
}

TEST_F(listener, kill_races_with_connect)
{
	struct handicap h = { 1000, 1 };
	int i, got = 0, not_got = 0;
	pid_t pid;

	make_listener(0200, 4);
	for (i = 0; i < 120; i++) {
		pid = spawn(accept_child, &self->lfd);
		ASSERT_ACCEPTERS(self->lfd, 1);
		if (i % 2) {
			kill(pid, SIGKILL);
			handicap_spin(&h);
			self->con = ls_hello(self->session, 9);
		} else {
			self->con = ls_hello(self->session, 9);
			kill(pid, SIGKILL);
		}
		ASSERT_GE(self->con, 0);
		reap(pid);
		/* It was accepted, and closed; or it was not. */
		if (ls_info(self->lfd).pending) {
			not_got++;
			EXPECT_EQ(9, ls_accept_num(self->lfd, MBUF_NOW));
		} else {
			got++;
			EXPECT_EQ(-EPIPE, ch_signal(self->con));
		}
		if (i % 2)
			handicap_adapt(&h, !ls_info(self->lfd).pending);
		close_fd(&self->con);
	}
	EXPECT_EQ(got + not_got, ls_info(self->lfd).accepted);
	EXPECT_EQ(0, ls_info(self->lfd).withdrawn);
	TH_LOG("%d were accepted, %d were not", got, not_got);
}

/*
 * Approving, after having seen who asks
 */
static int ask(struct _test_data_listener *self, struct caller *c)
{
	struct value v = value_of(4);
	int fd;

	memset(c, 0, sizeof(*c));
	c->fd = self->session;
	c->connect = true;
	c->conn = connect_of(NAME, NAME_LEN, MBUF_CONNECT_HELLO, MBUF_FOREVER);
	memcpy(c->conn.data, &v, sizeof(v));
	if (!caller_go(c))
		return -EAGAIN;
	fd = ls_accept(self->lfd, MBUF_ACCEPT_ASK, MBUF_FOREVER);
	/* It goes on sleeping. */
	if (fd >= 0 && !EVENTUALLY(sleeps_in_ioctl(c->tid, MBUF_IOC_CONNECT)))
		return -ETIMEDOUT;
	return fd;
}

TEST_F(listener, ask_and_approve)
{
	struct mbuf_channel_info info;
	struct caller c;

	make_listener(0200, 4);
	self->acc = ask(self, &c);
	ASSERT_GE(self->acc, 0);
	EXPECT_FALSE(atomic_load(&c.done));
	EXPECT_EQ(1, ls_info(self->lfd).accepted);
	info = ch_info(self->acc);
	EXPECT_EQ(MBUF_END_ASKING, info.state);
	EXPECT_EQ(MBUF_PEER_KNOWN, info.peer.flags);
	EXPECT_EQ((uint32_t)getpid(), info.peer.pid);
	EXPECT_EQ(1, info.signals);

	/* It can be looked at, and nothing else. */
	EXPECT_EQ(4, ch_look(self->acc));
	EXPECT_EQ(4, ch_look(self->acc));
	EXPECT_EQ(-ENOTCONN, ch_wait(self->acc, MBUF_NOW));
	EXPECT_EQ(-ENOTCONN, ch_wait(self->acc, MBUF_FOREVER));
	EXPECT_EQ(-ENOTCONN, ch_take(self->acc, MBUF_NOW));
	EXPECT_EQ(-ENOTCONN, ch_write(self->acc, 1));
	EXPECT_EQ(-ENOTCONN, ch_signal(self->acc));
	EXPECT_EQ(-ENOTCONN, ch_put(self->acc, 1));
	EXPECT_EQ(-ENOTCONN, fd_put(self->acc, 1));
	EXPECT_EQ(-ENOTCONN, fd_take(self->acc));
	EXPECT_EQ(0, poll_now(self->acc, POLLIN | POLLOUT));
	EXPECT_EQ(1, ch_info(self->acc).signals);
	EXPECT_EQ(0, ch_info(self->acc).peer_seq);

	EXPECT_EQ(-EINVAL, ls_approve(self->acc, 2));
	EXPECT_FALSE(atomic_load(&c.done));
	EXPECT_EQ(0, ls_approve(self->acc, 1));
	self->con = caller_join(&c);
	ASSERT_GE(self->con, 0);
	EXPECT_EQ(0, ch_info(self->acc).state);
	EXPECT_EQ(0, ch_info(self->con).state);
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(self->acc, POLLIN | POLLOUT));
	EXPECT_EQ(4, ch_take(self->acc, MBUF_NOW));
	EXPECT_EQ(0, ch_put(self->acc, 5));
	EXPECT_EQ(5, ch_take(self->con, MBUF_NOW));
	EXPECT_EQ(-EINVAL, ls_approve(self->acc, 1));
	EXPECT_EQ(-EINVAL, ls_approve(self->acc, 0));
	EXPECT_EQ(-EINVAL, ls_approve(self->con, 1));
	EXPECT_EQ(0, ch_signal(self->con));
}

TEST_F(listener, ask_and_refuse)
{
	struct caller c;
	int how;

	make_listener(0200, 4);
	for (how = 0; how < 2; how++) {
		self->acc = ask(self, &c);
		ASSERT_GE(self->acc, 0);
		if (how) {
			close_fd(&self->acc);
		} else {
			EXPECT_EQ(0, ls_approve(self->acc, 0));
			/* A descriptor of nothing. */
			EXPECT_EQ(-EINVAL, ls_approve(self->acc, 1));
			EXPECT_EQ(-EPIPE, ch_signal(self->acc));
			EXPECT_EQ(POLLHUP, poll_now(self->acc, POLLIN |
							       POLLOUT));
			EXPECT_EQ(-EPIPE, ch_attach(self->session, self->acc,
						    1));
		}
		EXPECT_EQ(-ECONNREFUSED, caller_join(&c));
		close_fd(&self->acc);
	}
}

/* Who asks goes before there is an answer. */
static int asking_child(void *arg)
{
	int fd = ls_connect(*(int *)arg, 0, MBUF_FOREVER);

	return fd < 0 ? -fd : 0;
}

TEST_F(listener, ask_and_leave)
{
	struct caller c;
	pid_t pid;
	int how;

	make_listener(0200, 4);
	for (how = 0; how < 3; how++) {
		if (how == 0) {
			pid = spawn(asking_child, &self->session);
			self->acc = ls_accept(self->lfd, MBUF_ACCEPT_ASK,
					      MBUF_FOREVER);
			ASSERT_GE(self->acc, 0);
			ASSERT_EQ(128 + SIGKILL, kill_and_reap(pid));
		} else if (how == 1) {
			ASSERT_TRUE(connect_start(&c, self->session, 0,
						  in_ms(100)));
			self->acc = ls_accept(self->lfd, MBUF_ACCEPT_ASK,
					      MBUF_FOREVER);
			ASSERT_GE(self->acc, 0);
			EXPECT_EQ(-ETIMEDOUT, caller_join(&c));
		} else {
			ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
			self->acc = ask(self, &c);
			ASSERT_GE(self->acc, 0);
			pthread_kill(c.thread, SIGUSR1);
			EXPECT_EQ(-EINTR, caller_join(&c));
		}
		EXPECT_EQ(POLLHUP, poll_now(self->acc, POLLIN | POLLOUT));
		EXPECT_EQ(MBUF_END_ASKING | MBUF_END_CLOSED,
			  ch_info(self->acc).state);
		EXPECT_EQ(how == 2 ? 4 : 0, ch_look(self->acc));
		EXPECT_EQ(-EPIPE, ls_approve(self->acc, 1));
		EXPECT_EQ(-EPIPE, ls_approve(self->acc, 0));
		close_fd(&self->acc);
	}
	/* Accepted they were, though not approved. */
	EXPECT_EQ(3, ls_info(self->lfd).accepted);
	EXPECT_EQ(0, ls_info(self->lfd).withdrawn);
}

/* What comes while it is undecided is there afterwards. */
TEST_F(listener, ask_async)
{
	struct mbuf_event ev;

	make_listener(0200, 4);
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	self->acc = ls_accept(self->lfd, MBUF_ACCEPT_ASK, MBUF_NOW);
	ASSERT_GE(self->acc, 0);
	EXPECT_EQ(MBUF_END_PENDING, ch_info(self->con).state);
	EXPECT_EQ(0, poll_now(self->con, POLLIN | POLLOUT));
	ASSERT_EQ(0, ch_put(self->con, 2));
	ASSERT_EQ(0, ch_put(self->con, 3));
	EXPECT_EQ(3, ch_look(self->acc));
	ASSERT_EQ(0, ch_attach(self->session, self->acc, 1));
	ASSERT_EQ(-EAGAIN, ch_poll_all(self->session, &ev, 1, MBUF_NOW));
	ASSERT_EQ(0, ls_approve(self->acc, 1));
	ASSERT_EQ(1, ch_poll_all(self->session, &ev, 1, MBUF_NOW));
	EXPECT_EQ(MBUF_EVENT_IN, ev.events);
	EXPECT_EQ(3, ch_wait(self->acc, MBUF_NOW));
	EXPECT_EQ(POLLOUT, poll_now(self->con, POLLIN | POLLOUT));
	EXPECT_EQ(0, ch_put(self->acc, 4));
	EXPECT_EQ(4, ch_take(self->con, MBUF_NOW));
}

/* Who sleeps until there is something is told when it is approved. */
struct sleeper {
	int session, ep, ret;
	struct mbuf_event ev;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *sleeper_main(void *arg)
{
	struct sleeper *s = arg;
	struct epoll_event ev;

	atomic_store(&s->tid, (pid_t)syscall(SYS_gettid));
	if (s->ep >= 0)
		s->ret = epoll_wait(s->ep, &ev, 1, -1) == 1 ?
			 (int)ev.events : -errno;
	else
		s->ret = ch_poll_all(s->session, &s->ev, 1, MBUF_FOREVER);
	return NULL;
}

TEST_F(listener, approving_wakes)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct sleeper s[2];
	int i;

	make_listener(0200, 4);
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	self->acc = ls_accept(self->lfd, MBUF_ACCEPT_ASK, MBUF_NOW);
	ASSERT_GE(self->acc, 0);
	ASSERT_EQ(0, ch_attach(self->session, self->acc, 33));
	memset(s, 0, sizeof(s));
	s[0].ep = -1;
	s[0].session = self->session;
	s[1].ep = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_EQ(0, epoll_ctl(s[1].ep, EPOLL_CTL_ADD, self->acc, &ev));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, sleeper_main,
					    &s[i]));
		ASSERT_TRUE(EVENTUALLY(s[i].tid &&
				       task_state(s[i].tid) == 'S'));
	}
	ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(s[0].tid, MBUF_IOC_POLL_ALL)));
	ASSERT_EQ(0, ls_approve(self->acc, 1));
	for (i = 0; i < 2; i++)
		pthread_join(s[i].thread, NULL);
	EXPECT_EQ(1, s[0].ret);
	EXPECT_EQ(33, s[0].ev.cookie);
	EXPECT_EQ(MBUF_EVENT_IN, s[0].ev.events);
	EXPECT_EQ(EPOLLIN, s[1].ret);
	close(s[1].ep);
}

TEST_F(listener, nothing_to_approve)
{
	make_listener(0200, 4);
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	EXPECT_EQ(-EINVAL, ls_approve(self->con, 1));
	self->acc = ls_accept(self->lfd, 0, MBUF_NOW);
	ASSERT_GE(self->acc, 0);
	EXPECT_EQ(-EINVAL, ls_approve(self->acc, 1));
	EXPECT_EQ(-EINVAL, ls_approve(self->acc, 0));
	EXPECT_EQ(-EINVAL, ls_approve(self->con, 1));
	EXPECT_EQ(1, ch_take(self->acc, MBUF_NOW));
}

/*
 * Endpoints of other kinds
 */
TEST_F(listener, mapped)
{
	struct mbuf_connect c = connect_of(NAME, NAME_LEN, MBUF_CONNECT_ASYNC |
					   MBUF_CONNECT_HELLO, MBUF_FOREVER);
	struct mbuf_accept a = accept_of(MBUF_ACCEPT_ASK, MBUF_NOW);
	const volatile struct mbuf_slot_map *map[2];
	struct value v = value_of(6);

	make_listener(0200, 4);
	memcpy(c.data, &v, sizeof(v));
	c.end.flags |= MBUF_END_MAP;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CONNECT, &c));
	self->con = c.end.ref.fd;
	map[0] = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, self->con, 0);
	ASSERT_NE(MAP_FAILED, map[0]);
	EXPECT_EQ(MBUF_END_PENDING, map[0]->state);
	a.end.flags |= MBUF_END_MAP;
	ASSERT_EQ(0, xioctl(self->lfd, MBUF_IOC_ACCEPT, &a));
	self->acc = a.end.ref.fd;
	map[1] = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, self->acc, 0);
	ASSERT_NE(MAP_FAILED, map[1]);
	EXPECT_EQ(MBUF_END_ASKING, map[1]->state);
	EXPECT_EQ(1, map[1]->seq);
	EXPECT_EQ(1, map[1]->signals);
	EXPECT_EQ(6, value_num((const void *)map[1]->data));
	ASSERT_EQ(0, ls_approve(self->acc, 1));
	EXPECT_EQ(0, map[0]->state);
	EXPECT_EQ(0, map[1]->state);
	ASSERT_EQ(0, ch_put(self->acc, 7));
	EXPECT_EQ(7, value_num((const void *)map[0]->data));
	munmap((void *)map[0], page_size());
	munmap((void *)map[1], page_size());
}

static void *bound_accept(void *arg)
{
	struct caller *c = arg;
	int fd;

	c->ret = (int)xioctl(c->fd, MBUF_IOC_ACCEPT, &c->accept);
	fd = c->accept.end.ref.fd;
	if (!c->ret)
		c->ret = (int)ch_take(fd, MBUF_NOW);
	atomic_store(&c->done, true);
	/* The test looks at it before this thread ends. */
	while (atomic_load(&c->done))
		nap();
	return NULL;
}

TEST_F(listener, bound_to_a_thread)
{
	struct caller c = { };

	if (!(self->q.features & MBUF_FEATURE_THREAD))
		SKIP(return, "no endpoints that belong to threads");
	make_listener(0200, 4);
	c.fd = self->lfd;
	c.accept = accept_of(0, MBUF_FOREVER);
	c.accept.end.flags |= MBUF_END_THREAD;
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	ASSERT_EQ(0, pthread_create(&c.thread, NULL, bound_accept, &c));
	ASSERT_TRUE(EVENTUALLY(atomic_load(&c.done)));
	self->acc = c.accept.end.ref.fd;
	EXPECT_EQ(1, c.ret);
	EXPECT_EQ(-EPERM, ch_signal(self->acc));
	EXPECT_EQ(0, ch_signal(self->con));
	atomic_store(&c.done, false);
	pthread_join(c.thread, NULL);
	ASSERT_TRUE(EVENTUALLY(ch_signal(self->con) == -EPIPE));
}

/* The thread ends that has been asked, before it has answered. */
static void *bound_ask(void *arg)
{
	struct caller *c = arg;

	c->ret = (int)xioctl(c->fd, MBUF_IOC_ACCEPT, &c->accept);
	return NULL;
}

TEST_F(listener, bound_thread_ends_undecided)
{
	struct caller c = { }, con;

	if (!(self->q.features & MBUF_FEATURE_THREAD))
		SKIP(return, "no endpoints that belong to threads");
	make_listener(0200, 4);
	c.fd = self->lfd;
	c.accept = accept_of(MBUF_ACCEPT_ASK, MBUF_FOREVER);
	c.accept.end.flags |= MBUF_END_THREAD;
	ASSERT_EQ(0, pthread_create(&c.thread, NULL, bound_ask, &c));
	ASSERT_ACCEPTERS(self->lfd, 1);
	ASSERT_TRUE(connect_start(&con, self->session, 0, MBUF_FOREVER));
	pthread_join(c.thread, NULL);
	ASSERT_EQ(0, c.ret);
	self->acc = c.accept.end.ref.fd;
	EXPECT_EQ(-ECONNREFUSED, caller_join(&con));
}

TEST_HARNESS_MAIN
