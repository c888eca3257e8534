// SPDX-License-Identifier: GPL-2.0
/*
 * Waiting at one endpoint: who sleeps, what ends a sleep, that there is one
 * waiter, and that no signal is lost or told twice whatever it races with.
 */
#include <sched.h>
#include "channel.h"

static int start_waiter(struct waiter *w, enum how way, int session, int fd)
{
	return waiter_start(w, way, session, fd) ? ch_asleep(fd) : -EAGAIN;
}

/* At end a: a waiter that is asleep. */
#define SLEEP_AT_A(w, way) \
	ASSERT_EQ(0, start_waiter(w, way, self->session, self->a))

TEST_F(channel, sleeps_until_a_signal)
{
	struct waiter w;
	uint64_t i = 0;
	enum how way;
	int by;

	make_channel(0);
	FOR_EACH_WAY(way) {
		for (by = 0; by < 3; by++) {
			i++;
			SLEEP_AT_A(&w, way);
			EXPECT_TRUE(EVENTUALLY(task_state(w.tid) == 'S'));
			/* A value alone wakes nobody. */
			ASSERT_EQ(0, ch_write(self->b, i));
			EXPECT_FALSE(w.done);
			EXPECT_EQ(1, ch_info(self->a).waiters);
			EXPECT_EQ(1, ch_info(self->a).waiters);
			ASSERT_EQ(0, by == 0 ? ch_signal(self->b) :
				     by == 1 ? ch_put(self->b, i) :
					       fd_put(self->b, i));
			EXPECT_EQ(way_success(way), waiter_join(&w)) {
				TH_LOG("%s", way_name(way));
			}
			EXPECT_EQ(1, waiter_signals(&w));
			if (way != WAY_WAIT)
				EXPECT_EQ((int64_t)i, waiter_num(&w));
			EXPECT_EQ(0, ch_info(self->a).waiters);
			EXPECT_EQ(0, ch_info(self->a).signals);
			EXPECT_EQ(-EAGAIN, ch_wait(self->a, MBUF_NOW));
		}
	}
	/* Each EXCHANGE told the peer once. */
	EXPECT_EQ(3, ch_info(self->b).signals);
	EXPECT_EQ(3, ch_info(self->b).seq);
	EXPECT_EQ(1, ch_take(self->b, MBUF_NOW));
}

/* What is there already is not waited for, whatever the deadline. */
TEST_F(channel, does_not_sleep_if_there_is_one)
{
	const uint64_t deadlines[] = { MBUF_NOW, 1, MBUF_FOREVER };
	unsigned int i;
	struct waiter w;
	enum how way;

	make_channel(0);
	FOR_EACH_WAY(way) {
		for (i = 0; i < ARRAY_SIZE(deadlines); i++) {
			ASSERT_EQ(0, ch_put(self->b, 1));
			ASSERT_EQ(0, ch_put(self->b, 2));
			waiter_init(&w, way, self->a, deadlines[i]);
			w.session = self->session;
			EXPECT_EQ(way_success(way), waiter_again(&w));
			if (!way_success(way))
				EXPECT_EQ(2, waiter_signals(&w));
			if (way != WAY_WAIT)
				EXPECT_EQ(2, waiter_num(&w));
			EXPECT_EQ(0, ch_info(self->a).signals);
		}
	}
}

TEST_F(channel, deadlines)
{
	struct mbuf_exchange x;
	uint64_t deadline;
	struct waiter w;
	enum how way;

	make_channel(0);
	FOR_EACH_WAY(way) {
		if (way_success(way))
			continue;	/* read() has none */
		waiter_init(&w, way, self->a, MBUF_NOW);
		w.session = self->session;
		EXPECT_EQ(-EAGAIN, waiter_again(&w));
		waiter_init(&w, way, self->a, 1);
		w.session = self->session;
		EXPECT_EQ(-ETIMEDOUT, waiter_again(&w));
		deadline = in_ms(60);
		waiter_init(&w, way, self->a, deadline);
		w.session = self->session;
		EXPECT_EQ(-ETIMEDOUT, waiter_again(&w)) {
			TH_LOG("%s", way_name(way));
		}
		EXPECT_LE(deadline, now_ns());
		EXPECT_EQ(0, ch_info(self->a).waiters);
		/* Long before it. */
		waiter_init(&w, way, self->a, in_ms(3600000));
		w.session = self->session;
		ASSERT_TRUE(waiter_go(&w));
		ASSERT_ASLEEP(self->a);
		ASSERT_EQ(0, ch_put(self->b, 4));
		EXPECT_EQ(0, waiter_join(&w));
		EXPECT_EQ(1, waiter_signals(&w));
	}
	/* The end of time. */
	x = xchg_of(STEPS_TAKE, 0, UINT64_MAX - 1);
	ASSERT_EQ(0, ch_put(self->b, 4));
	EXPECT_EQ(0, ch_xchg(self->a, &x));
}

TEST_F(channel, nonblock_never_sleeps)
{
	struct waiter w;
	enum how way;

	make_channel(MBUF_END_NONBLOCK);
	FOR_EACH_WAY(way) {
		if (way == WAY_ANY)
			continue;	/* a call on the session */
		waiter_init(&w, way, self->a, MBUF_FOREVER);
		EXPECT_EQ(-EAGAIN, waiter_again(&w)) {
			TH_LOG("%s", way_name(way));
		}
		waiter_init(&w, way, self->a, in_ms(3600000));
		EXPECT_EQ(-EAGAIN, waiter_again(&w));
		ASSERT_EQ(0, ch_signal(self->b));
		EXPECT_EQ(way_success(way), waiter_again(&w));
	}
	/* What of it could be done is done. */
	EXPECT_EQ(2, ch_info(self->b).seq);
}

/* The flag belongs to the file, so that it can be changed at any time. */
TEST_F(channel, nonblock_can_be_changed)
{
	struct waiter w;

	make_channel(0);
	SLEEP_AT_A(&w, WAY_READ);
	ASSERT_EQ(0, set_nonblock(self->a, true));
	/* A call that is asleep stays so. */
	EXPECT_EQ(-EBUSY, fd_take(self->a));
	ASSERT_EQ(0, ch_put(self->b, 1));
	EXPECT_EQ(32, waiter_join(&w));
	EXPECT_EQ(-EAGAIN, fd_take(self->a));
	ASSERT_EQ(0, set_nonblock(self->a, false));
	SLEEP_AT_A(&w, WAY_READ);
	ASSERT_EQ(0, ch_put(self->b, 1));
	EXPECT_EQ(32, waiter_join(&w));
}

/*
 * One waiter
 */
TEST_F(channel, second_waiter_is_refused)
{
	const uint64_t deadlines[] = { MBUF_NOW, 1, MBUF_FOREVER };
	enum how first, second;
	struct waiter w, v;
	unsigned int i;
	uint64_t n = 0;

	make_channel(0);
	FOR_EACH_WAY(first) {
		FOR_EACH_WAY(second) {
			struct mbuf_channel_info peer;

			SLEEP_AT_A(&w, first);
			peer = ch_info(self->b);
			for (i = 0; i < ARRAY_SIZE(deadlines); i++) {
				waiter_init(&v, second, self->a, deadlines[i]);
				v.session = self->session;
				EXPECT_EQ(-EBUSY, waiter_again(&v)) {
					TH_LOG("%s during %s", way_name(second),
					       way_name(first));
				}
				/* Nothing was done of it. */
				EXPECT_EQ(peer.seq, ch_info(self->b).seq);
				EXPECT_EQ(peer.signals,
					  ch_info(self->b).signals);
				EXPECT_EQ(0, v.x.done);
			}
			/* And the first is still there. */
			EXPECT_EQ(1, ch_info(self->a).waiters);
			EXPECT_FALSE(w.done);
			ASSERT_EQ(0, ch_put(self->b, ++n));
			EXPECT_EQ(way_success(first), waiter_join(&w));
			EXPECT_EQ(1, waiter_signals(&w));
			if (first != WAY_WAIT)
				EXPECT_EQ((int64_t)n, waiter_num(&w));
			EXPECT_EQ(-EAGAIN, ch_wait(self->a, MBUF_NOW));
		}
	}
}

/* With a nonblocking descriptor, through a duplicate, in another process. */
static int busy_child(void *arg)
{
	struct mbuf_exchange x = xchg_of(STEPS_ALL, 9, MBUF_FOREVER);
	int fd = *(int *)arg;

	CHECK_EQ(-EBUSY, ch_xchg(fd, &x));
	CHECK_EQ(-EBUSY, fd_take(fd));
	CHECK_EQ(1, ch_info(fd).waiters);
	return 0;
}

TEST_F(channel, second_waiter_elsewhere)
{
	struct waiter w;
	int fd;

	make_channel(0);
	SLEEP_AT_A(&w, WAY_ALL);
	fd = dup(self->a);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBUSY, ch_wait(fd, MBUF_FOREVER));
	EXPECT_EQ(0, reap(spawn(busy_child, &fd)));
	ASSERT_EQ(0, set_nonblock(fd, true));
	EXPECT_EQ(-EBUSY, ch_wait(fd, MBUF_FOREVER));
	EXPECT_EQ(-EBUSY, fd_take(fd));
	close(fd);
	EXPECT_EQ(1, ch_info(self->b).signals);
	ASSERT_EQ(0, ch_put(self->b, 1));
	EXPECT_EQ(0, waiter_join(&w));
}

/* All that is not waiting goes on beside a waiter. */
TEST_F(channel, others_need_not_wait)
{
	struct waiter w, v;

	make_channel(0);
	SLEEP_AT_A(&w, WAY_TAKE);
	EXPECT_EQ(0, ch_look(self->a));
	EXPECT_EQ(0, ch_put(self->a, 5));
	EXPECT_EQ(0, fd_put(self->a, 6));
	EXPECT_EQ(6, ch_take(self->b, MBUF_NOW));
	EXPECT_EQ(POLLOUT, poll_now(self->a, POLL_ALL));
	/* The other end has a waiter of its own. */
	ASSERT_EQ(0, start_waiter(&v, WAY_READ, -1, self->b));
	EXPECT_EQ(1, ch_info(self->a).waiters);
	EXPECT_EQ(0, ch_put(self->a, 7));
	EXPECT_EQ(32, waiter_join(&v));
	EXPECT_EQ(7, waiter_num(&v));
	EXPECT_EQ(1, ch_info(self->a).waiters);
	EXPECT_EQ(0, ch_put(self->b, 8));
	EXPECT_EQ(0, waiter_join(&w));
	EXPECT_EQ(8, waiter_num(&w));
}

/* Threads wait at one endpoint all at once: one can, and gets the signal. */
#define CROWD	8

static unsigned int finished(const struct waiter *w, unsigned int nr)
{
	unsigned int n = 0;

	while (nr--)
		n += w[nr].done;
	return n;
}

TEST_F(channel, one_of_many_waits)
{
	struct waiter w[CROWD];
	unsigned int round, i, got, busy;

	make_channel(0);
	for (round = 0; round < 60; round++) {
		for (i = 0; i < CROWD; i++) {
			waiter_init(&w[i], i % NR_WAYS == WAY_ALL ? WAY_TAKE :
				    i % NR_WAYS, self->a, MBUF_FOREVER);
			w[i].session = self->session;
			ASSERT_TRUE(waiter_go(&w[i]));
		}
		ASSERT_TRUE(EVENTUALLY(finished(w, CROWD) >= CROWD - 1));
		ASSERT_EQ(0, ch_put(self->b, round));
		got = 0;
		busy = 0;
		for (i = 0; i < CROWD; i++) {
			long ret = waiter_join(&w[i]);

			if (ret == way_success(w[i].way))
				got++;
			else if (ret == -EBUSY)
				busy++;
		}
		ASSERT_EQ(1, got);
		ASSERT_EQ(CROWD - 1, busy);
	}
}

/*
 * Request and reply
 */
struct server {
	int fd;
	bool by_read;
	uint64_t served;
	long ret;
	pthread_t thread;
};

/* Replies to a number with the next one, until the client is gone. */
static long serve(struct server *s)
{
	struct mbuf_exchange x = xchg_of(STEPS_TAKE, 0, MBUF_FOREVER);
	int64_t num;
	int ret;

	if (s->by_read) {
		while ((num = fd_take(s->fd)) >= 0) {
			s->served++;
			ret = fd_put(s->fd, (uint64_t)num + 1);
			if (ret)
				return ret;
		}
		return num;
	}
	while (!(ret = ch_xchg(s->fd, &x))) {
		struct value v;

		num = value_num(x.data);
		if (num < 0)
			return num;
		if (x.signals != 1)
			return -ERANGE;
		s->served++;
		v = value_of((uint64_t)num + 1);
		memcpy(x.data, &v, sizeof(v));
		x.steps = STEPS_ALL;
	}
	return ret;
}

static void *server_main(void *arg)
{
	struct server *s = arg;

	s->ret = serve(s);
	return NULL;
}

static int server_child(void *arg)
{
	struct server *s = arg;

	CHECK_EQ(-EPIPE, serve(s));
	return 0;
}

#define ROUNDS	2000

TEST_F(channel, request_and_reply)
{
	struct mbuf_exchange x;
	struct server s;
	uint64_t i;
	int by;

	for (by = 0; by < 4; by++) {
		make_channel(0);
		s = (struct server){ .fd = self->b, .by_read = by & 1 };
		ASSERT_EQ(0, pthread_create(&s.thread, NULL, server_main, &s));
		/* The same struct, over and over. */
		x = xchg_of(STEPS_ALL, 0, MBUF_FOREVER);
		for (i = 0; i < ROUNDS; i++) {
			struct value v = value_of(2 * i);

			if (by & 2) {
				ASSERT_EQ(0, fd_put(self->a, 2 * i));
				ASSERT_EQ((int64_t)(2 * i + 1),
					  fd_take(self->a));
				continue;
			}
			memcpy(x.data, &v, sizeof(v));
			ASSERT_EQ(0, ch_xchg(self->a, &x));
			ASSERT_EQ(2 * i + 1, (uint64_t)value_num(x.data));
			ASSERT_EQ(1, x.signals);
			ASSERT_EQ(i + 1, x.seq);
			ASSERT_EQ(0, x.done);
		}
		close_fd(&self->a);
		pthread_join(s.thread, NULL);
		/* The end comes once, in the server's wait. */
		EXPECT_EQ(-EPIPE, s.ret);
		EXPECT_EQ(ROUNDS, s.served);
		close_fd(&self->b);
	}
}

TEST_F(channel, request_and_reply_between_processes)
{
	struct mbuf_exchange x;
	struct server s;
	uint64_t i;
	pid_t pid;

	make_channel(0);
	s = (struct server){ .fd = self->b };
	ASSERT_EQ(0, fcntl(self->a, F_SETFD, FD_CLOEXEC));
	/* The child must not hold the client's end. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->a);
		_exit(server_child(&s));
	}
	close_fd(&self->b);
	x = xchg_of(STEPS_ALL, 0, MBUF_FOREVER);
	for (i = 0; i < ROUNDS; i++) {
		struct value v = value_of(2 * i);

		memcpy(x.data, &v, sizeof(v));
		ASSERT_EQ(0, ch_xchg(self->a, &x));
		ASSERT_EQ(2 * i + 1, (uint64_t)value_num(x.data));
	}
	close_fd(&self->a);
	EXPECT_EQ(0, reap(pid));
}

/* Both ends call: each gets what the other wrote, and nobody hangs. */
TEST_F(channel, both_ends_exchange)
{
	struct waiter w;
	struct mbuf_exchange x;
	unsigned int i;

	make_channel(0);
	for (i = 0; i < 500; i++) {
		waiter_init(&w, WAY_ALL, self->a, MBUF_FOREVER);
		ASSERT_TRUE(waiter_go(&w));
		x = xchg_of(STEPS_ALL, 2, MBUF_FOREVER);
		ASSERT_EQ(0, ch_xchg(self->b, &x));
		ASSERT_EQ(1, value_num(x.data));
		ASSERT_EQ(1, x.signals);
		ASSERT_EQ(0, waiter_join(&w));
		ASSERT_EQ(2, waiter_num(&w));
		ASSERT_EQ(1, w.x.signals);
	}
	EXPECT_EQ(-EAGAIN, ch_wait(self->a, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, ch_wait(self->b, MBUF_NOW));
}

/* A waiter gets the value that was there when it was signalled. */
struct fifo {
	int fd;
	long ret;
	int64_t num;
	uint64_t seq, signals;
	_Atomic pid_t tid;
};

static void *fifo_main(void *arg)
{
	struct fifo *f = arg;
	struct mbuf_exchange x = xchg_of(STEPS_TAKE, 0, MBUF_FOREVER);

	atomic_store(&f->tid, (pid_t)syscall(SYS_gettid));
	f->ret = ch_xchg(f->fd, &x);
	f->num = value_num(x.data);
	f->seq = x.seq;
	f->signals = x.signals;
	return NULL;
}

TEST_F(channel, value_at_the_time_of_the_signal)
{
	struct sched_param prio = { .sched_priority = 10 };
	struct fifo f = {};
	pthread_t thread;
	cpu_set_t one;

	/* One processor, and the waiter does not get it before we sleep. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	make_channel(0);
	f.fd = self->a;
	ASSERT_EQ(0, pthread_create(&thread, NULL, fifo_main, &f));
	ASSERT_ASLEEP(self->a);
	if (sched_setscheduler(0, SCHED_FIFO, &prio)) {
		ch_put(self->b, 1);
		pthread_join(thread, NULL);
		SKIP(return, "no real-time scheduling for us");
	}
	EXPECT_EQ(0, ch_put(self->b, 1));
	EXPECT_EQ(0, ch_write(self->b, 2));
	EXPECT_EQ(0, ch_put(self->b, 3));
	EXPECT_EQ(0, ch_write(self->b, 4));
	prio.sched_priority = 0;
	ASSERT_EQ(0, sched_setscheduler(0, SCHED_OTHER, &prio));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, f.ret);
	EXPECT_EQ(1, f.num);
	EXPECT_EQ(1, f.seq);
	EXPECT_EQ(1, f.signals);
	/* What came after it is pending. */
	EXPECT_EQ(1, ch_info(self->a).signals);
	EXPECT_EQ(4, ch_take(self->a, MBUF_NOW));
}

/*
 * Cut short: what was done is not done again
 */
TEST_F(channel, interrupted)
{
	struct waiter w;
	enum how way;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_channel(0);
	FOR_EACH_WAY(way) {
		SLEEP_AT_A(&w, way);
		ASSERT_EQ(0, pthread_kill(w.thread, SIGUSR1));
		EXPECT_EQ(-EINTR, waiter_join(&w)) {
			TH_LOG("%s", way_name(way));
		}
		EXPECT_EQ(0, ch_info(self->a).waiters);
		/* It is not there to take this. */
		ASSERT_EQ(0, ch_put(self->b, 1));
		EXPECT_EQ(1, ch_info(self->a).signals);
		EXPECT_EQ(1, ch_take(self->a, MBUF_NOW));
	}
	EXPECT_EQ(NR_WAYS, signals_seen);
}

TEST_F(channel, interrupted_and_called_again)
{
	struct waiter w;
	int i;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_channel(0);
	waiter_init(&w, WAY_ALL, self->a, MBUF_FOREVER);
	for (i = 0; i < 5; i++) {
		ASSERT_TRUE(waiter_go(&w));
		ASSERT_ASLEEP(self->a);
		EXPECT_EQ(1, ch_info(self->b).signals);
		EXPECT_EQ(1, ch_info(self->b).seq);
		ASSERT_EQ(0, pthread_kill(w.thread, SIGUSR1));
		EXPECT_EQ(-EINTR, waiter_join(&w));
		EXPECT_EQ(STEPS_PUT, w.x.done);
		EXPECT_EQ(STEPS_ALL, w.x.steps);
	}
	EXPECT_EQ(1, ch_take(self->b, MBUF_NOW));
	ASSERT_EQ(0, ch_put(self->b, 2));
	EXPECT_EQ(0, waiter_again(&w));
	EXPECT_EQ(2, waiter_num(&w));
	EXPECT_EQ(1, w.x.signals);
	EXPECT_EQ(0, w.x.done);
	/* Still one. */
	EXPECT_EQ(1, ch_info(self->b).seq);
	EXPECT_EQ(0, ch_info(self->b).signals);
}

/* The kernel restarts the call by itself, with what it has noted in it. */
TEST_F(channel, restarted)
{
	struct waiter w;
	enum how way;
	int i;

	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	make_channel(0);
	FOR_EACH_WAY(way) {
		uint64_t seq = ch_info(self->b).seq;

		signals_seen = 0;
		SLEEP_AT_A(&w, way);
		for (i = 1; i <= 5; i++) {
			ASSERT_EQ(0, pthread_kill(w.thread, SIGUSR1));
			ASSERT_TRUE(EVENTUALLY(signals_seen == i));
			ASSERT_ASLEEP(self->a);
			ASSERT_TRUE(EVENTUALLY(task_state(w.tid) == 'S'));
		}
		EXPECT_EQ(way == WAY_ALL ? seq + 1 : seq, ch_info(self->b).seq);
		ASSERT_EQ(0, ch_put(self->b, 7));
		EXPECT_EQ(way_success(way), waiter_join(&w)) {
			TH_LOG("%s", way_name(way));
		}
		EXPECT_EQ(1, waiter_signals(&w));
		if (way != WAY_WAIT)
			EXPECT_EQ(7, waiter_num(&w));
		EXPECT_EQ(way == WAY_ALL ? seq + 1 : seq, ch_info(self->b).seq);
	}
	EXPECT_EQ(1, ch_info(self->b).signals);
	EXPECT_EQ(1, ch_info(self->b).seq);
}

/* A restarted call does not wait anew. */
TEST_F(channel, restart_keeps_the_deadline)
{
	uint64_t deadline = in_ms(400);
	struct waiter w;
	int i;

	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	make_channel(0);
	waiter_init(&w, WAY_ALL, self->a, deadline);
	ASSERT_TRUE(waiter_go(&w));
	ASSERT_ASLEEP(self->a);
	for (i = 1; !w.done; i++) {
		if (pthread_kill(w.thread, SIGUSR1))
			break;
		EVENTUALLY(signals_seen >= i || w.done);
	}
	EXPECT_EQ(-ETIMEDOUT, waiter_join(&w));
	EXPECT_LE(deadline, now_ns());
	EXPECT_EQ(STEPS_PUT, w.x.done);
	EXPECT_EQ(1, ch_info(self->b).seq);
	EXPECT_EQ(1, ch_info(self->b).signals);
}

/* Stopped and continued, which restarts it, too. */
struct stopped {
	int fd;
	_Atomic int64_t num;
	_Atomic uint64_t signals;
};

static int stopped_child(void *arg)
{
	struct stopped *s = arg;
	struct mbuf_exchange x = xchg_of(STEPS_ALL, 3, MBUF_FOREVER);

	CHECK_EQ(0, ch_xchg(s->fd, &x));
	s->num = value_num(x.data);
	s->signals = x.signals;
	return 0;
}

TEST_F(channel, stopped)
{
	struct stopped *s = map_shared(sizeof(*s));
	int status;
	pid_t pid;

	ASSERT_NE(NULL, s);
	make_channel(0);
	s->fd = self->a;
	pid = spawn(stopped_child, s);
	ASSERT_LT(0, pid);
	ASSERT_ASLEEP(self->a);
	ASSERT_EQ(0, kill(pid, SIGSTOP));
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(0, ch_info(self->a).waiters);
	ASSERT_EQ(0, ch_put(self->b, 1));
	ASSERT_EQ(0, ch_put(self->b, 2));
	EXPECT_EQ(2, ch_info(self->a).signals);
	ASSERT_EQ(0, kill(pid, SIGCONT));
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(2, s->num);
	EXPECT_EQ(2, s->signals);
	EXPECT_EQ(1, ch_info(self->b).signals);
	EXPECT_EQ(1, ch_info(self->b).seq);
	munmap(s, sizeof(*s));
}

/* EAGAIN and ETIMEDOUT, for every set of steps with WAIT. */
TEST_F(channel, not_yet_and_called_again)
{
	struct mbuf_exchange x;
	uint32_t steps, put;
	int how;

	for (steps = MBUF_STEP_WAIT; steps <= STEPS_ALL; steps++) {
		if (!(steps & MBUF_STEP_WAIT))
			continue;
		put = steps & STEPS_PUT;
		for (how = 0; how < 3; how++) {
			make_channel(how == 2 ? MBUF_END_NONBLOCK : 0);
			x = xchg_of(steps, 1, how ? 1 : MBUF_NOW);
			EXPECT_EQ(how == 1 ? -ETIMEDOUT : -EAGAIN,
				  ch_xchg(self->a, &x));
			EXPECT_EQ(put, x.done);
			EXPECT_EQ(how == 1 ? -ETIMEDOUT : -EAGAIN,
				  ch_xchg(self->a, &x));
			EXPECT_EQ(put, x.done);
			/* Another deadline is no matter. */
			x.wait = wait_of(MBUF_NOW);
			ASSERT_EQ(0, ch_put(self->b, 2));
			EXPECT_EQ(0, ch_xchg(self->a, &x));
			EXPECT_EQ(0, x.done);
			EXPECT_EQ(1, x.signals);
			if (steps & MBUF_STEP_READ)
				EXPECT_EQ(2, value_num(x.data));
			EXPECT_EQ(!!(steps & MBUF_STEP_WRITE),
				  ch_info(self->b).seq);
			EXPECT_EQ(!!(steps & MBUF_STEP_SIGNAL),
				  ch_info(self->b).signals);
			close_channel();
		}
	}
}

/* Somebody else came in between: EBUSY, and it still knows what was done. */
TEST_F(channel, called_again_and_busy)
{
	struct mbuf_exchange x;
	struct waiter w;

	make_channel(0);
	x = xchg_of(STEPS_ALL, 1, MBUF_NOW);
	ASSERT_EQ(-EAGAIN, ch_xchg(self->a, &x));
	SLEEP_AT_A(&w, WAY_TAKE);
	EXPECT_EQ(-EBUSY, ch_xchg(self->a, &x));
	EXPECT_EQ(STEPS_PUT, x.done);
	ASSERT_EQ(0, ch_put(self->b, 2));
	EXPECT_EQ(0, waiter_join(&w));
	EXPECT_EQ(-EAGAIN, ch_xchg(self->a, &x));
	EXPECT_EQ(1, ch_info(self->b).seq);
	EXPECT_EQ(1, ch_info(self->b).signals);
}

/*
 * Races. A signal is taken by the call or it is pending; always one of them.
 */
#define RACES	400

TEST_F(channel, handler_races_with_signal)
{
	struct handicap h = { .seed = 1, .time = 100 };
	unsigned int i, took = 0, interrupted = 0;
	struct waiter w;
	enum how way;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_channel(0);
	for (i = 0; i < RACES; i++) {
		long ret;

		way = i % NR_WAYS;
		SLEEP_AT_A(&w, way);
		/* Which of the two is first differs. */
		if (i & 1) {
			pthread_kill(w.thread, SIGUSR1);
			handicap_spin(&h);
			ASSERT_EQ(0, ch_put(self->b, i));
		} else {
			ASSERT_EQ(0, ch_put(self->b, i));
			handicap_spin(&h);
			pthread_kill(w.thread, SIGUSR1);
		}
		ret = waiter_join(&w);
		if (ret == way_success(way)) {
			took++;
			ASSERT_EQ(1, waiter_signals(&w));
			if (way != WAY_WAIT)
				ASSERT_EQ(i, waiter_num(&w));
			ASSERT_EQ(0, ch_info(self->a).signals);
		} else {
			ASSERT_EQ(-EINTR, ret);
			interrupted++;
			ASSERT_EQ(1, ch_info(self->a).signals);
			ASSERT_EQ(i, ch_take(self->a, MBUF_NOW));
		}
		ASSERT_EQ(0, ch_info(self->a).waiters);
		if (i & 1)
			handicap_adapt(&h, ret == way_success(way));
	}
	TH_LOG("%u took the signal, %u were interrupted", took, interrupted);
	EXPECT_LT(0, took);
	EXPECT_LT(0, interrupted);
}

TEST_F(channel, deadline_races_with_signal)
{
	unsigned int i, took = 0, late = 0;
	int64_t lead = 50000;	/* how long before the deadline */
	struct waiter w;

	make_channel(0);
	for (i = 0; i < RACES; i++) {
		uint64_t at = now_ns() + 2 * NS_PER_MS;
		long ret;

		waiter_init(&w, i % 2 ? WAY_ALL : WAY_ANY, self->a, at);
		w.session = self->session;
		ASSERT_TRUE(waiter_go(&w));
		while ((int64_t)(at - now_ns()) > lead)
			;
		ASSERT_EQ(0, ch_put(self->b, i));
		ret = waiter_join(&w);
		if (!ret) {
			took++;
			ASSERT_EQ(1, waiter_signals(&w));
			ASSERT_EQ(i, waiter_num(&w));
			ASSERT_EQ(-EAGAIN, ch_wait(self->a, MBUF_NOW));
			lead -= 5000;
		} else {
			late++;
			ASSERT_EQ(-ETIMEDOUT, ret);
			ASSERT_EQ(i, ch_take(self->a, MBUF_NOW));
			lead += 5000;
		}
	}
	TH_LOG("%u took the signal, %u were too late", took, late);
	EXPECT_LT(0, took);
	EXPECT_LT(0, late);
	EXPECT_EQ(RACES / 2, ch_info(self->b).seq);
}

/*
 * A waiter is killed. What it was told is in shared memory, so that it can be
 * seen afterwards; what it was not told must be pending.
 */
struct killed {
	int fd;
	struct mbuf_exchange x;
	_Atomic bool ready;
};

static int killed_child(void *arg)
{
	struct killed *k = arg;

	k->x = xchg_of(STEPS_ALL, 5, MBUF_FOREVER);
	k->x.signals = 0;
	k->ready = true;
	ch_xchg(k->fd, &k->x);
	/* The one who is to be killed does not end by itself. */
	for (;;)
		pause();
	return 0;
}

TEST_F(channel, kill_races_with_signal)
{
	struct killed *k = map_shared(sizeof(*k));
	struct handicap h = { .seed = 1, .time = 100 };
	unsigned int i, told = 0, not_told = 0;

	ASSERT_NE(NULL, k);
	for (i = 0; i < 120; i++) {
		int64_t pending;
		pid_t pid;

		make_channel(0);
		memset(k, 0, sizeof(*k));
		k->fd = self->a;
		pid = spawn(killed_child, k);
		ASSERT_LT(0, pid);
		ASSERT_ASLEEP(self->a);
		if (i % 3) {
			kill(pid, SIGKILL);
			handicap_spin(&h);
			ASSERT_EQ(0, ch_put(self->b, 6));
		} else {
			ASSERT_EQ(0, ch_put(self->b, 6));
			kill(pid, SIGKILL);
		}
		EXPECT_EQ(128 + SIGKILL, reap(pid));
		pending = ch_info(self->a).signals;
		if (k->x.signals)
			told++;
		else
			not_told++;
		ASSERT_EQ(1, pending + (int64_t)k->x.signals);
		ASSERT_EQ(0, ch_info(self->a).waiters);
		ASSERT_EQ(6, ch_look(self->a));
		/* And the peer was signalled once. */
		ASSERT_EQ(1, ch_info(self->b).signals);
		ASSERT_EQ(1, ch_info(self->b).seq);
		if (i % 3)
			handicap_adapt(&h, k->x.signals);
		close_channel();
	}
	TH_LOG("%u were told, %u were not", told, not_told);
	munmap(k, sizeof(*k));
}

/*
 * Results that cannot be written: a call whose argument is on a page of its
 * own
 */
struct far {
	enum how way;
	int session, fd;
	void *page;
	struct mbuf_ref ref;
	long ret;
	_Atomic bool done;
	pthread_t thread;
};

static long far_call(struct far *f)
{
	struct iovec iov = { f->page, MBUF_SLOT_SIZE };

	switch (f->way) {
	case WAY_READ:
		return xread(f->fd, f->page, MBUF_SLOT_SIZE);
	case WAY_READV:
		return sys_result(readv(f->fd, &iov, 1));
	case WAY_ANY:
		return ch_any(f->session, f->page);
	default:
		return ch_xchg(f->fd, f->page);
	}
}

static void *far_main(void *arg)
{
	struct far *f = arg;

	f->ret = far_call(f);
	atomic_store(&f->done, true);
	return NULL;
}

static bool far_init(struct far *f, enum how way, int session, int fd)
{
	memset(f, 0, sizeof(*f));
	f->way = way;
	f->session = session;
	f->fd = fd;
	f->ref.fd = fd;
	f->page = map_pages(page_size(), PROT_READ | PROT_WRITE);
	if (!f->page)
		return false;
	if (way == WAY_ANY)
		*(struct mbuf_wait_any *)f->page = any_of(&f->ref, 1,
							  MBUF_FOREVER);
	else if (!way_success(way))
		*(struct mbuf_exchange *)f->page = xchg_of(way_steps(way), 1,
							   MBUF_FOREVER);
	return true;
}

static bool far_go(struct far *f)
{
	return !pthread_create(&f->thread, NULL, far_main, f) &&
	       !ch_asleep(f->fd);
}

static long far_join(struct far *f)
{
	if (!EVENTUALLY(f->done))
		return -ETIME;
	pthread_join(f->thread, NULL);
	return f->ret;
}

TEST_F(channel, fault_after_waiting)
{
	struct far f;
	enum how way;
	int gone;

	make_channel(0);
	FOR_EACH_WAY(way) {
		for (gone = 0; gone < 2; gone++) {
			uint64_t seq = ch_info(self->b).seq;

			ASSERT_TRUE(far_init(&f, way, self->session, self->a));
			ASSERT_TRUE(far_go(&f));
			if (gone)
				munmap(f.page, page_size());
			else
				mprotect(f.page, page_size(), PROT_READ);
			ASSERT_EQ(0, ch_put(self->b, 3));
			EXPECT_EQ(-EFAULT, far_join(&f)) {
				TH_LOG("%s", way_name(way));
			}
			/* The signal is there, and so is what was told. */
			EXPECT_EQ(1, ch_info(self->a).signals);
			EXPECT_EQ(0, ch_info(self->a).waiters);
			EXPECT_EQ(POLLIN, poll_now(self->a, POLLIN));
			EXPECT_EQ(seq + (way == WAY_ALL),
				  ch_info(self->b).seq);
			EXPECT_EQ(3, ch_take(self->a, MBUF_NOW));
			if (!gone)
				munmap(f.page, page_size());
		}
	}
}

/* They come back in addition to what has come since. */
TEST_F(channel, fault_adds_up)
{
	struct stuck s;
	struct far f;
	int ret;

	ret = stuck_alloc(&s, 2 * page_size());
	if (ret)
		SKIP(return, "no userfaultfd: %s", strerror(-ret));
	make_channel(0);
	ASSERT_EQ(0, ch_put(self->b, 1));
	ASSERT_EQ(0, ch_put(self->b, 2));
	ASSERT_TRUE(far_init(&f, WAY_READ, -1, self->a));
	munmap(f.page, page_size());
	f.page = s.p;
	ASSERT_EQ(0, pthread_create(&f.thread, NULL, far_main, &f));
	ASSERT_NE(0, stuck_wait(&s));
	/* Stuck, it keeps nobody waiting: neither the peer nor another. */
	EXPECT_EQ(0, ch_info(self->a).signals);
	ASSERT_EQ(0, ch_put(self->b, 3));
	ASSERT_EQ(0, ch_put(self->b, 4));
	ASSERT_EQ(0, ch_put(self->b, 5));
	EXPECT_EQ(3, ch_wait(self->a, MBUF_NOW));
	ASSERT_EQ(0, ch_put(self->b, 6));
	EXPECT_FALSE(f.done);
	ASSERT_EQ(0, stuck_break(&s));
	EXPECT_EQ(-EFAULT, far_join(&f));
	EXPECT_EQ(3, ch_info(self->a).signals);
	EXPECT_EQ(6, ch_take(self->a, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, ch_wait(self->a, MBUF_NOW));
	stuck_free(&s);
}

/* Its page comes at last: it has the value that it took. */
TEST_F(channel, slow_page)
{
	struct value zero = {};
	struct stuck s;
	struct far f;
	uint64_t at;
	int ret;

	ret = stuck_alloc(&s, page_size());
	if (ret)
		SKIP(return, "no userfaultfd: %s", strerror(-ret));
	make_channel(0);
	ASSERT_EQ(0, ch_put(self->b, 1));
	ASSERT_TRUE(far_init(&f, WAY_READ, -1, self->a));
	munmap(f.page, page_size());
	f.page = s.p;
	ASSERT_EQ(0, pthread_create(&f.thread, NULL, far_main, &f));
	at = stuck_wait(&s);
	ASSERT_NE(0, at);
	ASSERT_EQ(0, ch_put(self->b, 2));
	ASSERT_EQ(0, stuck_resolve(&s, at, &zero, sizeof(zero)));
	EXPECT_EQ(32, far_join(&f));
	EXPECT_EQ(1, value_num(s.p));
	EXPECT_EQ(2, ch_take(self->a, MBUF_NOW));
	stuck_free(&s);
}

/* A writer whose page does not come has not begun. */
static void *far_write(void *arg)
{
	struct far *f = arg;

	f->ret = xwrite(f->fd, f->page, MBUF_SLOT_SIZE);
	atomic_store(&f->done, true);
	return NULL;
}

TEST_F(channel, slow_writer)
{
	struct value v = value_of(9);
	struct far f = {};
	struct stuck s;
	uint64_t at;
	int ret;

	ret = stuck_alloc(&s, page_size());
	if (ret)
		SKIP(return, "no userfaultfd: %s", strerror(-ret));
	make_channel(0);
	f.fd = self->a;
	f.page = s.p;
	ASSERT_EQ(0, pthread_create(&f.thread, NULL, far_write, &f));
	at = stuck_wait(&s);
	ASSERT_NE(0, at);
	EXPECT_EQ(0, ch_info(self->b).seq);
	EXPECT_EQ(-EAGAIN, ch_wait(self->b, MBUF_NOW));
	ASSERT_EQ(0, ch_put(self->a, 1));
	EXPECT_EQ(1, ch_take(self->b, MBUF_NOW));
	ASSERT_EQ(0, ch_put(self->b, 1));
	EXPECT_EQ(1, ch_take(self->a, MBUF_NOW));
	ASSERT_EQ(0, stuck_resolve(&s, at, &v, sizeof(v)));
	EXPECT_EQ(32, far_join(&f));
	EXPECT_EQ(9, ch_take(self->b, MBUF_NOW));
	stuck_free(&s);
}

/*
 * The end
 */

/* A model of an endpoint, for what can be had from it after its peer's end. */
struct model {
	uint64_t seq, seen, signals, num;
};

enum event { EV_WRITE, EV_SIGNAL, EV_PUT, EV_READ, EV_WAIT, NR_EVENTS };

static int model_event(struct model *m, enum event ev, int a, int b)
{
	struct mbuf_exchange x;
	int ret;

	switch (ev) {
	case EV_WRITE:
		m->seq++;
		return ch_write(b, ++m->num);
	case EV_SIGNAL:
		m->signals++;
		return ch_signal(b);
	case EV_PUT:
		m->seq++;
		m->signals++;
		return ch_put(b, ++m->num);
	case EV_READ:
		m->seen = m->seq;
		return ch_look(a) == (int64_t)m->num ? 0 : -EPROTO;
	default:
		x = xchg_of(MBUF_STEP_WAIT, 0, MBUF_NOW);
		ret = ch_xchg(a, &x);
		if (!m->signals)
			return ret == -EAGAIN ? 0 : -EPROTO;
		if (ret || x.signals != m->signals)
			return -EPROTO;
		m->signals = 0;
		m->seen = m->seq;
		return 0;
	}
}

static bool model_ready(const struct model *m)
{
	return m->signals || m->seen != m->seq;
}

#define HISTORY	4

/*
 * All that can have happened in up to four steps, then the peer closes: its
 * last value is told once if it was not yet, then the end.
 */
TEST_F(channel, every_end)
{
	unsigned int n, code, total = 1, i;
	int fails = 0;

	for (n = 0; n <= HISTORY; n++, total *= NR_EVENTS) {
		for (code = 0; code < total && fails < 10; code++) {
			enum how way = code % NR_WAYS;
			struct model m = {};
			unsigned int c = code;
			struct waiter w;
			long ret;

			if (way == WAY_ALL)
				way = WAY_TAKE;
			make_channel(0);
			for (i = 0; i < n; i++, c /= NR_EVENTS)
				ASSERT_EQ(0, model_event(&m, c % NR_EVENTS,
							 self->a, self->b));
			close_fd(&self->b);
			while (model_ready(&m)) {
				uint64_t signals = m.signals;

				if (poll_now(self->a, POLL_ALL) !=
				    (POLLIN | POLLHUP)) {
					TH_LOG("history %u of %u steps: POLLIN and POLLHUP",
					       code, n);
					fails++;
				}
				waiter_init(&w, way, self->a, MBUF_FOREVER);
				w.session = self->session;
				if (waiter_again(&w) != way_success(way) ||
				    (!way_success(way) &&
				     waiter_signals(&w) != signals) ||
				    (way != WAY_WAIT &&
				     waiter_num(&w) != (int64_t)m.num)) {
					TH_LOG("history %u of %u steps: not told by %s",
					       code, n, way_name(way));
					fails++;
				}
				if (way <= WAY_ALL &&
				    w.x.state != MBUF_END_CLOSED) {
					TH_LOG("state %#x", w.x.state);
					fails++;
				}
				m.signals = 0;
				m.seen = m.seq;
			}
			for (i = 0; i < 2; i++) {
				waiter_init(&w, way, self->a, MBUF_FOREVER);
				w.session = self->session;
				ret = waiter_again(&w);
				if (ret != way_end(way)) {
					TH_LOG("history %u of %u steps: no end by %s: %ld",
					       code, n, way_name(way), ret);
					fails++;
				}
				if (way == WAY_ANY &&
				    (w.any.signals ||
				     w.any.state != MBUF_END_CLOSED))
					fails++;
			}
			if (poll_now(self->a, POLL_ALL) != POLLHUP)
				fails++;
			/* It can be read for ever. */
			if (ch_look(self->a) != (int64_t)m.num)
				fails++;
			close_fd(&self->a);
		}
	}
	EXPECT_EQ(0, fails);
}

/* Reading it counts as being told, also after the end. */
TEST_F(channel, read_after_the_end)
{
	make_channel(0);
	ASSERT_EQ(0, ch_write(self->b, 1));
	close_fd(&self->b);
	EXPECT_EQ(POLLIN | POLLHUP, poll_now(self->a, POLL_ALL));
	EXPECT_EQ(1, ch_look(self->a));
	EXPECT_EQ(POLLHUP, poll_now(self->a, POLL_ALL));
	EXPECT_EQ(-EPIPE, ch_wait(self->a, MBUF_FOREVER));
	EXPECT_EQ(-EPIPE, fd_take(self->a));
	EXPECT_EQ(1, ch_look(self->a));
}

/* One that could not be told has not been told. */
TEST_F(channel, fault_at_the_end)
{
	struct far f;
	enum how way;

	FOR_EACH_WAY(way) {
		if (way == WAY_ALL)
			continue;
		make_channel(0);
		ASSERT_EQ(0, ch_write(self->b, 6));
		close_fd(&self->b);
		ASSERT_TRUE(far_init(&f, way, self->session, self->a));
		mprotect(f.page, page_size(), PROT_READ);
		EXPECT_EQ(-EFAULT, far_call(&f)) {
			TH_LOG("%s", way_name(way));
		}
		EXPECT_EQ(POLLIN | POLLHUP, poll_now(self->a, POLL_ALL));
		mprotect(f.page, page_size(), PROT_READ | PROT_WRITE);
		EXPECT_EQ(way_success(way), far_call(&f));
		EXPECT_EQ(POLLHUP, poll_now(self->a, POLL_ALL));
		munmap(f.page, page_size());
		close_fd(&self->a);
	}
}

/* Nothing can be told to a peer that is gone; nothing is taken, either. */
TEST_F(channel, nobody_to_tell)
{
	struct mbuf_exchange x, was;
	uint32_t steps;

	ASSERT_EQ(0, catch_signal(SIGPIPE, 0));
	make_channel(0);
	ASSERT_EQ(0, ch_put(self->b, 1));
	close_fd(&self->b);
	for (steps = 1; steps <= STEPS_ALL; steps++) {
		if (!(steps & STEPS_PUT))
			continue;
		x = xchg_of(steps, 2, MBUF_FOREVER);
		was = x;
		EXPECT_EQ(-EPIPE, ch_xchg(self->a, &x)) {
			TH_LOG("steps %#x", steps);
		}
		EXPECT_EQ(0, memcmp(&x, &was, sizeof(x)));
	}
	EXPECT_EQ(-EPIPE, fd_put(self->a, 2));
	EXPECT_EQ(-EPIPE, fd_put(self->a, 2));
	EXPECT_EQ(0, signals_seen);
	EXPECT_EQ(1, ch_info(self->a).signals);
	EXPECT_EQ(1, ch_take(self->a, MBUF_FOREVER));
	EXPECT_EQ(-EPIPE, ch_take(self->a, MBUF_FOREVER));
}

/* The peer closes while somebody waits: with and without a last value. */
TEST_F(channel, end_while_asleep)
{
	struct waiter w;
	enum how way;
	int last;

	FOR_EACH_WAY(way) {
		for (last = 0; last < 3; last++) {
			make_channel(0);
			if (last == 1) {
				ASSERT_EQ(0, ch_put(self->b, 5));
				ASSERT_EQ(5, ch_take(self->a, MBUF_NOW));
			}
			SLEEP_AT_A(&w, way);
			if (last == 2)
				ASSERT_EQ(0, ch_write(self->b, 6));
			close_fd(&self->b);
			if (last < 2) {
				EXPECT_EQ(way_end(way), waiter_join(&w)) {
					TH_LOG("%s", way_name(way));
				}
				if (way == WAY_ALL)
					EXPECT_EQ(0, w.x.done & ~STEPS_PUT);
			} else {
				EXPECT_EQ(way_success(way), waiter_join(&w)) {
					TH_LOG("%s", way_name(way));
				}
				if (!way_success(way))
					EXPECT_EQ(0, waiter_signals(&w));
				if (way != WAY_WAIT)
					EXPECT_EQ(6, waiter_num(&w));
				if (way <= WAY_ALL)
					EXPECT_EQ(MBUF_END_CLOSED, w.x.state);
			}
			if (way == WAY_ANY)
				EXPECT_EQ(MBUF_END_CLOSED, w.any.state);
			EXPECT_EQ(0, ch_info(self->a).waiters);
			EXPECT_EQ(-EPIPE, ch_wait(self->a, MBUF_FOREVER));
			close_fd(&self->a);
		}
	}
}

/* The last signal and the end in one go: first the one, then the other. */
TEST_F(channel, signal_and_end)
{
	struct waiter w;
	unsigned int i;

	for (i = 0; i < 200; i++) {
		make_channel(0);
		SLEEP_AT_A(&w, WAY_TAKE);
		ASSERT_EQ(0, ch_put(self->b, 7));
		close_fd(&self->b);
		ASSERT_EQ(0, waiter_join(&w));
		ASSERT_EQ(7, waiter_num(&w));
		ASSERT_EQ(1, waiter_signals(&w));
		ASSERT_EQ(-EPIPE, ch_wait(self->a, MBUF_FOREVER));
		close_fd(&self->a);
	}
}

/* The peer dies instead of closing. */
static int client_child(void *arg)
{
	struct stopped *s = arg;
	struct mbuf_exchange x = xchg_of(STEPS_ALL, 3, MBUF_FOREVER);

	CHECK_EQ(0, ch_xchg(s->fd, &x));
	return 0;
}

TEST_F(channel, client_is_killed)
{
	struct stopped s = {};
	struct waiter w;
	pid_t pid;

	make_channel(0);
	s.fd = self->a;
	pid = spawn(client_child, &s);
	ASSERT_LT(0, pid);
	ASSERT_ASLEEP(self->a);
	close_fd(&self->a);
	/* It holds both ends; what it does not use must not keep us. */
	EXPECT_EQ(3, ch_take(self->b, MBUF_NOW));
	waiter_init(&w, WAY_ALL, self->b, MBUF_FOREVER);
	ASSERT_TRUE(waiter_go(&w));
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(-EPIPE, waiter_join(&w));

	close_channel();
	make_channel(0);
	s.fd = self->a;
	pid = spawn(client_child, &s);
	ASSERT_LT(0, pid);
	ASSERT_ASLEEP(self->a);
	close_fd(&self->a);
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	/* Its request arrived. It is told, then the end. */
	EXPECT_EQ(POLLIN | POLLHUP, poll_now(self->b, POLL_ALL));
	EXPECT_EQ(-EPIPE, ch_put(self->b, 1));
	EXPECT_EQ(3, ch_take(self->b, MBUF_FOREVER));
	EXPECT_EQ(-EPIPE, ch_take(self->b, MBUF_FOREVER));
}

/* close() of the number does not end a call that uses the endpoint. */
TEST_F(channel, close_while_asleep)
{
	struct waiter w;
	enum how way;

	FOR_EACH_WAY(way) {
		int fd;

		make_channel(0);
		SLEEP_AT_A(&w, way);
		fd = self->a;
		close_fd(&self->a);
		EXPECT_EQ(-1, fcntl(fd, F_GETFD));
		EXPECT_EQ(0, poll_now(self->b, POLLHUP));
		ASSERT_EQ(0, ch_put(self->b, 1));
		EXPECT_EQ(way_success(way), waiter_join(&w)) {
			TH_LOG("%s", way_name(way));
		}
		EXPECT_TRUE(EVENTUALLY(poll_now(self->b, POLLHUP) == POLLHUP));
		EXPECT_EQ(-EPIPE, ch_put(self->b, 1));
		close_fd(&self->b);
	}
}

/* A waiter may be gone before its channel is, and the other way round. */
TEST_F(channel, ends_race)
{
	struct handicap h = { .seed = 7, .time = 100 };
	unsigned int i, told = 0;
	struct waiter w;

	for (i = 0; i < RACES; i++) {
		enum how way = i % NR_WAYS;
		long ret;

		make_channel(0);
		waiter_init(&w, way, self->a, MBUF_FOREVER);
		w.session = self->session;
		ASSERT_TRUE(waiter_go(&w));
		if (i % 3)
			ASSERT_TRUE(EVENTUALLY(w.tid));
		handicap_spin(&h);
		if (i % 2)
			ASSERT_EQ(0, ch_put(self->b, 1));
		close_fd(&self->b);
		ret = waiter_join(&w);
		if (way == WAY_ALL && ret == -EPIPE) {
			/* It came too late to tell the peer anything. */
			handicap_adapt(&h, true);
		} else if (i % 2) {
			ASSERT_EQ(way_success(way), ret);
			told++;
			handicap_adapt(&h, false);
		} else {
			ASSERT_EQ(way_end(way), ret);
		}
		close_fd(&self->a);
	}
	EXPECT_LT(0, told);
}

TEST_HARNESS_MAIN
