// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoints that drivers have.
 */
#include <sys/epoll.h>
#include "cgroup.h"
#include "kapi.h"
#include "polling.h"

/* Interrupts of one source, and the time between them. */
#define INTERRUPTS	2000
#define PERIOD_NS	200000

FIXTURE(kapi) {
	int session;
	int test;
	int fd;			/* -1, or the end of make_end() */
	struct mbuf_query q;
	struct snapshot before;
};

FIXTURE_SETUP(kapi)
{
	self->fd = -1;
	self->test = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);
	if (self->test < 0 && errno == ENOENT)
		SKIP(return, "no %s: load mbuf_test.ko", TEST_DEVICE);
	ASSERT_GE(self->test, 0) {
		TH_LOG("cannot open %s: %s", TEST_DEVICE, strerror(errno));
	}
	self->session = fixture_begin(_metadata, &self->q, &self->before);
}

FIXTURE_TEARDOWN(kapi)
{
	EXPECT_RECEIVER_SANE(self->test);
	close_fd(&self->fd);
	fixture_end(_metadata, self->session, &self->before);
	close(self->test);
}

#define make_end(flags, end_flags) do {					\
	self->fd = drv_open(self->test, flags, end_flags);		\
	ASSERT_GE(self->fd, 0) {					\
		TH_LOG("OPEN: %s", mbuf_strerror(self->fd));		\
	}								\
} while (0)

/* Closes both ends, so that another can be made. */
#define unmake_end() do {						\
	close_fd(&self->fd);						\
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CLOSE, 0));		\
} while (0)

/*
 * Making
 */
TEST_F(kapi, create)
{
	struct mbuf_test_open o = {};
	struct mbuf_channel_info info;
	struct mbuf_test_peer peer;
	struct mbuf_query q;

	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_OPEN, &o));
	self->fd = o.fd;
	EXPECT_EQ(FD_CLOEXEC, fcntl(o.fd, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(o.fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));

	info = ch_info(o.fd);
	EXPECT_EQ(o.id, info.id);
	EXPECT_NE(0, info.peer_id);
	EXPECT_NE(info.id, info.peer_id);
	EXPECT_EQ(MBUF_END_DETACHED, info.flags);
	EXPECT_EQ(0, info.state);
	EXPECT_EQ(0, info.seq);
	EXPECT_EQ(MBUF_PEER_KNOWN | MBUF_PEER_KERNEL, info.peer.flags);
	EXPECT_EQ(0, info.peer.pid);
	EXPECT_EQ(0, info.peer.uid);
	EXPECT_EQ(0, info.peer.gid);
	EXPECT_EQ(0, info.peer.start);
	EXPECT_EQ(POLLOUT, readiness(o.fd));

	/* The process pays for its end, and for nothing else. */
	ASSERT_EQ(0, mbuf_query(self->session, &q));
	EXPECT_EQ(self->before.objects.used + 1, q.objects.used);
	EXPECT_LT(self->before.memory.used, q.memory.used);
	EXPECT_GT(self->before.memory.used + 512, q.memory.used);

	/* It is in no set, and can be put into one. */
	EXPECT_EQ(-ENOENT, ch_detach(self->session, o.fd));
	EXPECT_EQ(0, ch_attach(self->session, o.fd, 5));

	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_PEER, &peer));
	EXPECT_EQ(0, peer.kernel);
	EXPECT_EQ(getpid(), peer.pid);
	EXPECT_EQ(geteuid(), peer.uid);
	EXPECT_EQ(getegid(), peer.gid);
	EXPECT_NE(0, peer.start);

	EXPECT_EQ(-EBUSY, drv_open(self->test, 0, 0));
}

TEST_F(kapi, flags)
{
	const struct mbuf_slot_map *map;
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		uint32_t flag = 1u << bit;

		if (flag & (MBUF_END_NONBLOCK | MBUF_END_MAP | MBUF_END_THREAD))
			continue;
		EXPECT_EQ(-EINVAL, drv_open(self->test, 0, flag));
	}
	make_end(0, MBUF_END_NONBLOCK | MBUF_END_MAP);
	EXPECT_EQ(-EAGAIN, ch_wait(self->fd, MBUF_FOREVER));
	map = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, map->seq);
	ASSERT_EQ(0, drv_send(self->test, MBUF_TEST_HARD_IRQ, 77));
	EXPECT_EQ(1, map->seq);
	EXPECT_EQ(1, map->signals);
	EXPECT_EQ(77, value_num(map->data));
	ASSERT_EQ(0, drv_op(self->test, MBUF_TEST_HARD_IRQ, MBUF_TEST_OP_WRITE,
			    78));
	EXPECT_EQ(2, map->seq);
	EXPECT_EQ(1, map->signals);
	EXPECT_EQ(78, value_num(map->data));
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CLOSE, 0));
	EXPECT_EQ(MBUF_END_CLOSED, map->state);
	EXPECT_EQ(78, value_num(map->data));
	munmap((void *)map, page_size());
}

/* A result that cannot be told: nothing has happened. */
TEST_F(kapi, abort)
{
	struct mbuf_test_open *o = map_pages(page_size(),
					     PROT_READ | PROT_WRITE);
	int i;

	ASSERT_NE(NULL, o);
	o->flags = MBUF_TEST_RECEIVE | MBUF_TEST_ECHO;
	o->end_flags = MBUF_END_MAP;
	ASSERT_EQ(0, mprotect(o, page_size(), PROT_READ));
	for (i = 0; i < 100; i++)
		ASSERT_EQ(-EFAULT, xioctl(self->test, MBUF_TEST_OPEN, o));
	munmap(o, page_size());
	make_end(0, 0);
}

/* Whom a process's limits keep from getting an end. */
static int no_room_child(void *arg)
{
	const int *test = arg;

	CHECK_EQ(-EDQUOT, drv_open(*test, 0, 0));
	CHECK_EQ(-EDQUOT, drv_open(*test, MBUF_TEST_RECEIVE, MBUF_END_MAP));
	return 0;
}

TEST_F(kapi, no_room)
{
	static const char param[] = "/sys/module/mbuf/parameters/objects_limit";
	char was[32];
	int ret;

	NEED_ROOT();
	ASSERT_TRUE(read_file(param, was, sizeof(was)));
	ASSERT_TRUE(write_file(param, "0"));
	ret = run_as(TEST_UID, no_room_child, &self->test);
	EXPECT_TRUE(write_file(param, "%s", was));
	EXPECT_EQ(0, ret);
}

/*
 * Sending, wherever one is
 */
TEST_F(kapi, wakes_waiter)
{
	enum mbuf_test_context context;
	uint64_t num = 0;
	struct waiter w;
	enum how way;

	make_end(0, 0);
	FOR_EACH_CONTEXT(context) {
		FOR_EACH_WAY(way) {
			num++;
			ASSERT_TRUE(waiter_start(&w, way, self->session,
						 self->fd));
			ASSERT_ASLEEP(self->fd);
			EXPECT_EQ(0, drv_send(self->test, context, num));
			ASSERT_EQ(way_success(way), waiter_join(&w)) {
				TH_LOG("%s, %s", way_name(way),
				       context_name(context));
			}
			EXPECT_EQ(1, waiter_signals(&w));
			if (way != WAY_WAIT)
				EXPECT_EQ(num, waiter_num(&w));
		}
	}
	EXPECT_EQ(-EAGAIN, ch_wait(self->fd, MBUF_NOW));
}

TEST_F(kapi, wakes_poller)
{
	enum mbuf_test_context context;
	struct poller p;
	enum poll_by by;
	int session;

	make_end(0, 0);
	ASSERT_EQ(0, ch_attach(self->session, self->fd, 5));
	FOR_EACH_CONTEXT(context) {
		/* The endpoint, and the session. */
		for (session = 0; session < 2; session++) {
			for (by = 0; by < NR_BY; by++) {
				ASSERT_TRUE(poller_start(&p, by, session ?
							 self->session :
							 self->fd, POLLIN));
				EXPECT_EQ(0, drv_op(self->test, context,
						    MBUF_TEST_OP_SIGNAL, 0));
				ASSERT_EQ(POLLIN, poller_join(&p)) {
					TH_LOG("%d, %s", by,
					       context_name(context));
				}
				/* Who polls has taken nothing. */
				EXPECT_EQ(1, ch_wait(self->fd, MBUF_NOW));
			}
		}
	}
}

struct all {
	int session;
	struct mbuf_event ev[4];
	long ret;
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *all_main(void *arg)
{
	struct all *a = arg;

	atomic_store(&a->tid, (pid_t)syscall(SYS_gettid));
	a->ret = ch_poll_all(a->session, a->ev, ARRAY_SIZE(a->ev),
			     MBUF_FOREVER);
	atomic_store(&a->done, true);
	return NULL;
}

/* Starts POLL_ALL in a thread, and waits until it is asleep. */
static bool all_start(struct all *a, int session)
{
	memset(a, 0, sizeof(*a));
	a->session = session;
	return !pthread_create(&a->thread, NULL, all_main, a) &&
	       EVENTUALLY(a->done ||
			  sleeps_in_ioctl(a->tid, MBUF_IOC_POLL_ALL));
}

static long all_join(struct all *a)
{
	if (!EVENTUALLY(a->done)) {
		fprintf(stderr, "# POLL_ALL does not end\n");
		return -ETIME;
	}
	pthread_join(a->thread, NULL);
	return a->ret;
}

TEST_F(kapi, wakes_poll_all)
{
	enum mbuf_test_context context;
	struct all a;

	make_end(0, 0);
	ASSERT_EQ(0, ch_attach(self->session, self->fd, 5));
	FOR_EACH_CONTEXT(context) {
		ASSERT_TRUE(all_start(&a, self->session));
		EXPECT_EQ(0, drv_send(self->test, context, 9));
		ASSERT_EQ(1, all_join(&a)) {
			TH_LOG("%s", context_name(context));
		}
		EXPECT_EQ(5, a.ev[0].cookie);
		EXPECT_EQ(MBUF_EVENT_IN, a.ev[0].events);
		EXPECT_EQ(9, ch_take(self->fd, MBUF_NOW));
	}
}

/* Two sources, and a thread for which one of them is none of its business. */
TEST_F(kapi, wakes_any)
{
	int other = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);
	struct mbuf_ref refs[2];
	enum mbuf_test_context context;
	struct mbuf_wait_any a;
	int fds[2], i;

	ASSERT_GE(other, 0);
	make_end(0, 0);
	fds[0] = self->fd;
	fds[1] = drv_open(other, 0, 0);
	ASSERT_GE(fds[1], 0);
	refs_of(refs, fds, 2);
	FOR_EACH_CONTEXT(context) {
		for (i = 0; i < 2; i++) {
			EXPECT_EQ(0, drv_send(i ? other : self->test, context,
					      100 + i));
			a = any_of(refs, 2, MBUF_FOREVER);
			ASSERT_EQ(0, ch_any(self->session, &a));
			EXPECT_EQ(i, a.index);
			EXPECT_EQ(1, a.signals);
			EXPECT_EQ(100 + i, value_num(a.data));
		}
	}
	EXPECT_EQ(0, drv_stats(other).not_hard);
	close(fds[1]);
	close(other);
}

/* An edge-triggered poller gets an event after every signal. */
TEST_F(kapi, edge_triggered)
{
	enum mbuf_test_context context;
	struct edge e, s;
	uint32_t i;

	make_end(0, 0);
	ASSERT_EQ(0, ch_attach(self->session, self->fd, 5));
	ASSERT_TRUE(edge_add(&e, self->fd, EPOLLIN | EPOLLET));
	ASSERT_TRUE(edge_add(&s, self->session, EPOLLIN | EPOLLET));
	EXPECT_EQ(0, edge_get(&e));
	FOR_EACH_CONTEXT(context) {
		for (i = 0; i < 20; i++) {
			ASSERT_EQ(0, drv_op(self->test, context,
					    MBUF_TEST_OP_SIGNAL, 0));
			ASSERT_TRUE(EVENTUALLY(edge_get(&e) == EPOLLIN)) {
				TH_LOG("signal %u, %s", i,
				       context_name(context));
			}
			EXPECT_EQ(0, edge_get(&e));
		}
		EXPECT_TRUE(EVENTUALLY(edge_get(&s) == EPOLLIN));
		EXPECT_EQ(20, ch_wait(self->fd, MBUF_NOW));
		EXPECT_EQ(0, poll_now(self->session, POLLIN));
	}
	close(e.ep);
	close(s.ep);
}

/* All functions give what they say, everywhere. */
TEST_F(kapi, calls)
{
	enum mbuf_test_context context;
	struct mbuf_test_call c;
	uint64_t seq = 0;

	make_end(0, 0);
	FOR_EACH_CONTEXT(context) {
		/* There to here. */
		EXPECT_EQ(0, drv_op(self->test, context, MBUF_TEST_OP_WRITE,
				    11));
		EXPECT_EQ(-EAGAIN, ch_wait(self->fd, MBUF_NOW));
		EXPECT_EQ(11, ch_look(self->fd));
		EXPECT_EQ(0, drv_op(self->test, context, MBUF_TEST_OP_SIGNAL,
				    0));
		EXPECT_EQ(0, drv_op(self->test, context, MBUF_TEST_OP_SEND,
				    12));
		EXPECT_EQ(2, ch_info(self->fd).signals);
		EXPECT_EQ(12, ch_take(self->fd, MBUF_NOW));

		/* Here to there. */
		c = (struct mbuf_test_call){ .op = MBUF_TEST_OP_TAKE };
		EXPECT_EQ(-EAGAIN, drv_call(self->test, context, &c));
		EXPECT_EQ(0, ch_write(self->fd, 21));
		c.op = MBUF_TEST_OP_READ;
		EXPECT_EQ(0, drv_call(self->test, context, &c));
		EXPECT_EQ(21, value_num(&c.value));
		EXPECT_EQ(++seq, c.seq);
		EXPECT_EQ(0, c.signals);
		EXPECT_EQ(0, ch_put(self->fd, 22));
		EXPECT_EQ(0, ch_signal(self->fd));
		EXPECT_EQ(0, drv_call(self->test, context, &c));
		EXPECT_EQ(22, value_num(&c.value));
		EXPECT_EQ(++seq, c.seq);
		EXPECT_EQ(2, c.signals);
		c.op = MBUF_TEST_OP_TAKE;
		EXPECT_EQ(0, drv_call(self->test, context, &c));
		EXPECT_EQ(22, value_num(&c.value));
		EXPECT_EQ(2, c.signals);
		EXPECT_EQ(0, c.closed);
		EXPECT_EQ(-EAGAIN, drv_call(self->test, context, &c));
		EXPECT_EQ(0, ch_info(self->fd).peer_signals);
	}
}

/*
 * The interrupt source
 */

/* What a consumer has got from one source. */
struct tally {
	uint64_t signals, seq;
	int64_t last;
	bool bad;
};

static void tally_add(struct tally *t, uint64_t signals, uint64_t seq,
		      const void *data)
{
	int64_t num = value_num(data);

	/* Values are the numbers of writes; none is older than the last. */
	if (num < t->last || seq < t->seq || (uint64_t)num != seq)
		t->bad = true;
	t->signals += signals;
	t->seq = seq;
	t->last = num;
}

#define EXPECT_TALLY(n, t) do {						\
	EXPECT_EQ(n, (t)->signals);					\
	EXPECT_EQ(n, (t)->seq);						\
	EXPECT_EQ(n, (t)->last);					\
	EXPECT_FALSE((t)->bad);						\
} while (0)

static int tally_take(struct tally *t, int fd, uint64_t deadline)
{
	struct mbuf_exchange x = xchg_of(STEPS_TAKE, 0, deadline);
	int ret = ch_xchg(fd, &x);

	if (!ret)
		tally_add(t, x.signals, x.seq, x.data);
	return ret;
}

TEST_F(kapi, every_interrupt)
{
	uint64_t end = now_ns() + PATIENCE_NS;
	struct tally t = {};

	make_end(0, 0);
	ASSERT_EQ(0, drv_timer(self->test, PERIOD_NS, INTERRUPTS, 0));
	while (t.signals < INTERRUPTS)
		ASSERT_EQ(0, tally_take(&t, self->fd, end));
	EXPECT_TALLY(INTERRUPTS, &t);
	/* The last one counts itself after it has woken us. */
	EXPECT_TRUE(EVENTUALLY(drv_stats(self->test).fired == INTERRUPTS));
	EXPECT_EQ(-EAGAIN, ch_wait(self->fd, MBUF_NOW));
}

/* As a program does that has an event loop. */
TEST_F(kapi, every_interrupt_epoll)
{
	struct tally t = {};
	struct epoll_event ev;
	struct edge e;
	int ret;

	make_end(0, MBUF_END_NONBLOCK);
	ASSERT_TRUE(edge_add(&e, self->fd, EPOLLIN | EPOLLET));
	ASSERT_EQ(0, drv_timer(self->test, PERIOD_NS, INTERRUPTS, 0));
	while (t.signals < INTERRUPTS) {
		ASSERT_EQ(1, epoll_wait(e.ep, &ev, 1,
					(int)(PATIENCE_NS / NS_PER_MS))) {
			TH_LOG("%llu signals seen, %d pending",
			       (unsigned long long)t.signals,
			       ch_info(self->fd).signals);
		}
		do {
			ret = tally_take(&t, self->fd, MBUF_NOW);
		} while (!ret);
		ASSERT_EQ(-EAGAIN, ret);
	}
	EXPECT_TALLY(INTERRUPTS, &t);
	close(e.ep);
}

#define SOURCES	4

/* Several sources, waited for in three ways at the same time of all. */
struct sources {
	int test[SOURCES], fd[SOURCES];
	struct tally tally[SOURCES];
};

static int sources_open(struct sources *s, int session)
{
	int i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < SOURCES; i++) {
		s->test[i] = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);
		if (s->test[i] < 0)
			return -errno;
		s->fd[i] = drv_open(s->test[i], 0, 0);
		if (s->fd[i] < 0)
			return s->fd[i];
		if (ch_attach(session, s->fd[i], (uint64_t)i))
			return -EPROTO;
	}
	for (i = 0; i < SOURCES; i++) {
		uint64_t period = PERIOD_NS + 1000 * (uint64_t)i;
		int ret = drv_timer(s->test[i], period, INTERRUPTS / SOURCES,
				    0);

		if (ret)
			return ret;
	}
	return 0;
}

static bool sources_done(const struct sources *s)
{
	int i;

	for (i = 0; i < SOURCES; i++)
		if (s->tally[i].signals < INTERRUPTS / SOURCES)
			return false;
	return true;
}

#define EXPECT_SOURCES(s) do {						\
	int __i;							\
									\
	for (__i = 0; __i < SOURCES; __i++) {				\
		EXPECT_TALLY(INTERRUPTS / SOURCES, &(s)->tally[__i]);	\
		EXPECT_EQ(0, drv_stats((s)->test[__i]).not_hard);	\
		close((s)->fd[__i]);					\
		close((s)->test[__i]);					\
	}								\
} while (0)

TEST_F(kapi, every_interrupt_poll_all)
{
	struct mbuf_event ev[SOURCES];
	struct sources s;
	int i, nr;

	ASSERT_EQ(0, sources_open(&s, self->session));
	while (!sources_done(&s)) {
		nr = ch_poll_all(self->session, ev, SOURCES,
				 now_ns() + PATIENCE_NS);
		ASSERT_GE(nr, 1);
		for (i = 0; i < nr; i++) {
			ASSERT_LT(ev[i].cookie, SOURCES);
			ASSERT_EQ(0, tally_take(&s.tally[ev[i].cookie],
						s.fd[ev[i].cookie], MBUF_NOW));
		}
	}
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, ev, SOURCES, MBUF_NOW));
	EXPECT_SOURCES(&s);
}

TEST_F(kapi, every_interrupt_any)
{
	struct mbuf_ref refs[SOURCES];
	struct mbuf_wait_any a;
	struct sources s;

	ASSERT_EQ(0, sources_open(&s, self->session));
	refs_of(refs, s.fd, SOURCES);
	while (!sources_done(&s)) {
		a = any_of(refs, SOURCES, now_ns() + PATIENCE_NS);
		ASSERT_EQ(0, ch_any(self->session, &a));
		tally_add(&s.tally[a.index], a.signals, a.seq, a.data);
	}
	EXPECT_SOURCES(&s);
}

TEST_F(kapi, every_interrupt_session_epoll)
{
	struct mbuf_event ev[SOURCES];
	struct epoll_event e;
	struct sources s;
	struct edge edge;
	int i, nr;

	ASSERT_EQ(0, sources_open(&s, self->session));
	ASSERT_TRUE(edge_add(&edge, self->session, EPOLLIN | EPOLLET));
	while (!sources_done(&s)) {
		ASSERT_EQ(1, epoll_wait(edge.ep, &e, 1,
					(int)(PATIENCE_NS / NS_PER_MS)));
		while ((nr = ch_poll_all(self->session, ev, SOURCES,
					 MBUF_NOW)) > 0) {
			for (i = 0; i < nr; i++)
				ASSERT_EQ(0, tally_take(&s.tally[ev[i].cookie],
							s.fd[ev[i].cookie],
							MBUF_NOW));
		}
		ASSERT_EQ(-EAGAIN, nr);
	}
	close(edge.ep);
	EXPECT_SOURCES(&s);
}

/* Read without calls, while interrupts write. */
TEST_F(kapi, mapped)
{
	const struct mbuf_slot_map *map;
	uint64_t seen = 0, last = 0;
	uint32_t version;
	struct value v;
	uint64_t seq;

	make_end(0, MBUF_END_MAP);
	map = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, drv_timer(self->test, PERIOD_NS, INTERRUPTS, 0));
	while (last < INTERRUPTS) {
		version = __atomic_load_n(&map->version, __ATOMIC_ACQUIRE);
		if (version & 1)
			continue;
		seq = __atomic_load_n(&map->seq, __ATOMIC_RELAXED);
		memcpy(&v, (const void *)map->data, sizeof(v));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&map->version, __ATOMIC_RELAXED) != version)
			continue;
		ASSERT_EQ((int64_t)seq, value_num(&v));
		ASSERT_GE(seq, last);
		seen += seq != last;
		last = seq;
	}
	EXPECT_GT(seen, 1);
	EXPECT_EQ(INTERRUPTS, ch_wait(self->fd, MBUF_NOW));
	munmap((void *)map, page_size());
}

/*
 * Receiving
 */
struct sender {
	int fd;
	unsigned int nr;
	int ret;
	pthread_t thread;
};

static void *sender_main(void *arg)
{
	struct sender *s = arg;
	unsigned int i;

	for (i = 1; i <= s->nr && !s->ret; i++)
		s->ret = ch_put(s->fd, i);
	return NULL;
}

/* Every signal is told once, and the receiver is never called twice at a time. */
TEST_F(kapi, receive)
{
	struct sender s[4] = {};
	struct mbuf_test_stats st;
	unsigned int i, nr = 3000;

	make_end(MBUF_TEST_RECEIVE, 0);
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		s[i].fd = self->fd;
		s[i].nr = nr;
		ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, sender_main,
					    &s[i]));
	}
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		pthread_join(s[i].thread, NULL);
		EXPECT_EQ(0, s[i].ret);
	}
	nr *= ARRAY_SIZE(s);
	EXPECT_TRUE(EVENTUALLY(drv_stats(self->test).signals == nr));
	EXPECT_TRUE(EVENTUALLY(!drv_stats(self->test).nested &&
			       drv_stats(self->test).seq == nr));
	st = drv_stats(self->test);
	EXPECT_EQ(nr, st.signals);
	EXPECT_LE(st.received, nr);
	EXPECT_EQ(0, st.closed);
	EXPECT_EQ(0, ch_info(self->fd).peer_signals);

	/* What is only written is not told, but there. */
	ASSERT_EQ(0, ch_write(self->fd, 5));
	EXPECT_EQ(5, drv_get(self->test, MBUF_TEST_OP_READ, NULL, NULL));
	EXPECT_EQ(-EAGAIN, drv_get(self->test, MBUF_TEST_OP_TAKE, NULL, NULL));
	EXPECT_EQ(nr, drv_stats(self->test).signals);
}

TEST_F(kapi, request_and_reply)
{
	uint64_t i;

	make_end(MBUF_TEST_RECEIVE | MBUF_TEST_ECHO, 0);
	for (i = 1; i <= 500; i++) {
		struct mbuf_exchange x = xchg_of(STEPS_ALL, i,
						 now_ns() + PATIENCE_NS);

		ASSERT_EQ(0, ch_xchg(self->fd, &x));
		ASSERT_EQ(1, x.signals);
		ASSERT_EQ(i, value_num(x.data));
	}
	EXPECT_TRUE(EVENTUALLY(drv_stats(self->test).received == 500));
}

/*
 * Closing
 */

/* The driver is told once, with all that there was. */
TEST_F(kapi, process_closes)
{
	struct mbuf_test_stats st;
	bool closed = false;
	uint32_t signals;

	make_end(MBUF_TEST_RECEIVE, 0);
	ASSERT_EQ(0, ch_write(self->fd, 31));
	close_fd(&self->fd);
	ASSERT_TRUE(EVENTUALLY(drv_stats(self->test).received == 1));
	st = drv_stats(self->test);
	EXPECT_EQ(1, st.closed);
	EXPECT_EQ(0, st.signals);
	EXPECT_EQ(1, st.seq);
	EXPECT_EQ(31, st.last);

	EXPECT_EQ(-EPIPE, drv_send(self->test, MBUF_TEST_HARD_IRQ, 1));
	EXPECT_EQ(-EPIPE, drv_op(self->test, MBUF_TEST_HARD_IRQ,
				 MBUF_TEST_OP_WRITE, 1));
	EXPECT_EQ(-EPIPE, drv_op(self->test, MBUF_TEST_PROCESS,
				 MBUF_TEST_OP_SIGNAL, 1));
	EXPECT_EQ(31, drv_get(self->test, MBUF_TEST_OP_READ, NULL, &closed));
	EXPECT_TRUE(closed);
	EXPECT_EQ(-EPIPE, drv_get(self->test, MBUF_TEST_OP_TAKE, NULL, NULL));
	EXPECT_EQ(1, drv_stats(self->test).received);
	unmake_end();

	/* Without a receiver: what was written last can be taken once. */
	make_end(0, 0);
	ASSERT_EQ(0, ch_put(self->fd, 32));
	ASSERT_EQ(0, ch_put(self->fd, 33));
	close_fd(&self->fd);
	EXPECT_EQ(33, drv_get(self->test, MBUF_TEST_OP_TAKE, &signals,
			      &closed));
	EXPECT_EQ(2, signals);
	EXPECT_TRUE(closed);
	EXPECT_EQ(-EPIPE, drv_get(self->test, MBUF_TEST_OP_TAKE, NULL, NULL));
}

/* A killed process is no different. */
static int killed_child(void *arg)
{
	const int *test = arg;
	int fd = drv_open(*test, MBUF_TEST_RECEIVE, 0);

	CHECK(fd >= 0);
	CHECK_EQ(0, ch_put(fd, 41));
	pause();
	return 0;
}

TEST_F(kapi, process_dies)
{
	pid_t pid = spawn(killed_child, &self->test);

	ASSERT_TRUE(EVENTUALLY(drv_stats(self->test).signals == 1));
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	EXPECT_TRUE(EVENTUALLY(drv_stats(self->test).closed == 1));
	EXPECT_EQ(41, drv_stats(self->test).last);
	EXPECT_EQ(-EPIPE, drv_send(self->test, MBUF_TEST_HARD_IRQ, 1));
}

static void *thread_opens(void *arg)
{
	const int *test = arg;

	return (void *)(intptr_t)drv_open(*test, MBUF_TEST_RECEIVE,
					  MBUF_END_THREAD);
}

TEST_F(kapi, thread_ends)
{
	pthread_t thread;
	void *ret;

	if (!(self->q.features & MBUF_FEATURE_THREAD))
		SKIP(return, "this kernel cannot bind endpoints to threads");
	ASSERT_EQ(0, pthread_create(&thread, NULL, thread_opens, &self->test));
	pthread_join(thread, &ret);
	self->fd = (int)(intptr_t)ret;
	ASSERT_GE(self->fd, 0);
	EXPECT_TRUE(EVENTUALLY(drv_stats(self->test).closed == 1));
	EXPECT_EQ(-EPERM, ch_put(self->fd, 1));
	EXPECT_EQ(-EPIPE, drv_send(self->test, MBUF_TEST_HARD_IRQ, 1));
}

TEST_F(kapi, driver_closes)
{
	struct mbuf_event ev;
	struct poller p;
	struct waiter w;
	enum poll_by by;
	enum how way;
	struct all a;

	FOR_EACH_WAY(way) {
		make_end(0, 0);
		ASSERT_TRUE(waiter_start(&w, way, self->session, self->fd));
		ASSERT_ASLEEP(self->fd);
		ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CLOSE, 0));
		ASSERT_EQ(way_end(way), waiter_join(&w)) {
			TH_LOG("%s", way_name(way));
		}
		if (way == WAY_ANY)
			EXPECT_EQ(MBUF_END_CLOSED, w.any.state);
		unmake_end();
	}
	for (by = 0; by < NR_BY; by++) {
		make_end(0, 0);
		ASSERT_TRUE(poller_start(&p, by, self->fd, POLLIN));
		ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CLOSE, 0));
		EXPECT_EQ(by == BY_SELECT ? POLLIN : POLLHUP, poller_join(&p));
		unmake_end();
	}
	make_end(0, 0);
	ASSERT_EQ(0, ch_attach(self->session, self->fd, 5));
	ASSERT_TRUE(all_start(&a, self->session));
	/* A value that nobody was told of is told at the end. */
	ASSERT_EQ(0, drv_op(self->test, MBUF_TEST_HARD_IRQ, MBUF_TEST_OP_WRITE,
			    51));
	EXPECT_FALSE(a.done);
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CLOSE, 0));
	EXPECT_EQ(1, all_join(&a));
	EXPECT_EQ(MBUF_EVENT_HUP | MBUF_EVENT_IN, a.ev[0].events);
	EXPECT_EQ(51, ch_take(self->fd, MBUF_NOW));
	EXPECT_EQ(-EPIPE, ch_take(self->fd, MBUF_NOW));
	EXPECT_EQ(1, ch_poll_all(self->session, &ev, 1, MBUF_NOW));
	EXPECT_EQ(MBUF_EVENT_HUP, ev.events);
	EXPECT_EQ(-EPIPE, ch_put(self->fd, 1));
	EXPECT_EQ(MBUF_PEER_KNOWN | MBUF_PEER_KERNEL,
		  ch_info(self->fd).peer.flags);
	EXPECT_EQ(-ENXIO, drv_send(self->test, MBUF_TEST_HARD_IRQ, 1));
}

/* The driver goes without a word: its file is closed, for one. */
TEST_F(kapi, driver_dies)
{
	int test = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);

	ASSERT_GE(test, 0);
	self->fd = drv_open(test, MBUF_TEST_RECEIVE, 0);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, drv_timer(test, PERIOD_NS, 0, 0));
	ASSERT_LT(0, ch_take(self->fd, MBUF_FOREVER));
	close(test);
	while (ch_wait(self->fd, MBUF_NOW) > 0)
		;
	EXPECT_EQ(-EPIPE, ch_wait(self->fd, MBUF_FOREVER));
}

struct closer {
	int test;
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *closer_main(void *arg)
{
	struct closer *c = arg;

	atomic_store(&c->tid, (pid_t)syscall(SYS_gettid));
	xioctl(c->test, MBUF_TEST_CLOSE, 0);
	atomic_store(&c->done, true);
	return NULL;
}

/* Closing waits for the receiver, and nothing is told afterwards. */
TEST_F(kapi, close_waits)
{
	struct closer c = { .test = self->test };
	struct mbuf_test_stats st;

	make_end(MBUF_TEST_RECEIVE, 0);
	ASSERT_EQ(0, ch_put(self->fd, MBUF_TEST_CMD_BLOCK));
	ASSERT_TRUE(EVENTUALLY(drv_stats(self->test).blocked));
	/* Comes while it runs: would be another call. */
	ASSERT_EQ(0, ch_put(self->fd, 61));
	ASSERT_EQ(0, pthread_create(&c.thread, NULL, closer_main, &c));
	/* The peer is told at once, and the driver waits. */
	ASSERT_TRUE(EVENTUALLY(poll_now(self->fd, 0) == POLLHUP));
	ASSERT_TRUE(EVENTUALLY(c.tid && task_state(c.tid) == 'D'));
	EXPECT_FALSE(c.done);
	EXPECT_EQ(1, drv_stats(self->test).blocked);
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_RELEASE, 0));
	ASSERT_TRUE(EVENTUALLY(c.done));
	pthread_join(c.thread, NULL);
	st = drv_stats(self->test);
	EXPECT_EQ(1, st.received);
	EXPECT_EQ(1, st.signals);
	EXPECT_EQ(0, st.after);
}

/* The receiver closes its own endpoint. */
TEST_F(kapi, close_self)
{
	int i;

	for (i = 1; i <= 200; i++) {
		make_end(MBUF_TEST_RECEIVE, 0);
		ASSERT_EQ(0, ch_put(self->fd, MBUF_TEST_CMD_CLOSE));
		/* May come too late. */
		ch_put(self->fd, MBUF_TEST_CMD_CLOSE);
		ASSERT_TRUE(EVENTUALLY(poll_now(self->fd, 0) == POLLHUP));
		ASSERT_EQ(i, drv_stats(self->test).received);
		close_fd(&self->fd);
	}
}

/*
 * Races
 */
static void spin(unsigned int n)
{
	volatile unsigned int i = n;

	while (i)
		i--;
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* A process closes its end while interrupts write to it. */
TEST_F(kapi, race_process_closes)
{
	struct race r = race_begin();
	unsigned int seed = 1;
	struct mbuf_test_stats st;

	for (; race_goes_on(&r); r.round++) {
		/* The interrupts come where they were asked for. */
		on_cpu(r.round & 1);
		make_end(r.round & 2 ? MBUF_TEST_RECEIVE : 0, 0);
		ASSERT_EQ(0, drv_timer(self->test, 20000, 0,
				       (uint64_t)rand_r(&seed) % 20000));
		on_cpu(~r.round & 1);
		spin((unsigned int)rand_r(&seed) % 5000);
		if (r.round & 4)
			ch_put(self->fd, r.round);
		close_fd(&self->fd);
		ASSERT_EQ(0, drv_timer(self->test, 0, 0, 0));
		unmake_end();
	}
	st = drv_stats(self->test);
	EXPECT_GT(st.fired, 0);
	EXPECT_GT(st.refused, 0);
	TH_LOG("%u rounds, %llu sent, %llu refused", r.round,
	       (unsigned long long)st.fired, (unsigned long long)st.refused);
}

/* The driver closes its end while its own interrupts write. */
TEST_F(kapi, race_driver_closes)
{
	struct race r = race_begin();
	unsigned int seed = 2;
	struct mbuf_test_stats st;

	for (; race_goes_on(&r); r.round++) {
		on_cpu(r.round & 1);
		make_end(r.round & 2 ? MBUF_TEST_RECEIVE : 0, 0);
		ASSERT_EQ(0, drv_timer(self->test, 20000, 0,
				       10000 + (uint64_t)rand_r(&seed) % 20000));
		on_cpu(~r.round & 1);
		spin((unsigned int)rand_r(&seed) % 5000);
		if (r.round & 4)
			ch_put(self->fd, r.round);
		ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CLOSE, 0));
		ASSERT_EQ(0, drv_timer(self->test, 0, 0, 0));
		unmake_end();
	}
	st = drv_stats(self->test);
	EXPECT_GT(st.fired, 0);
	TH_LOG("%u rounds, %llu sent, %llu found it being closed", r.round,
	       (unsigned long long)st.fired, (unsigned long long)st.late);
}

/* The driver closes its end while a process waits for it in some way. */
enum { WAITS_POLL = NR_WAYS, WAITS_EPOLL, WAITS_ALL, WAITS_SESSION, NR_WAITS };

struct victim {
	int way, session, fd;
	long ret;
	_Atomic bool done;
	pthread_t thread;
};

static void *victim_main(void *arg)
{
	struct victim *v = arg;
	struct pollfd p = { .fd = v->fd, .events = POLLIN };
	struct epoll_event e = { .events = EPOLLIN };
	struct mbuf_event ev;
	struct waiter w;
	int ep;

	switch (v->way) {
	case WAITS_POLL:
		do {
			v->ret = poll(&p, 1, -1);
			if (p.revents & POLLIN)
				ch_wait(v->fd, MBUF_NOW);
		} while (v->ret == 1 && !(p.revents & POLLHUP));
		break;
	case WAITS_EPOLL:
		ep = epoll_create1(EPOLL_CLOEXEC);
		epoll_ctl(ep, EPOLL_CTL_ADD, v->fd, &e);
		do {
			v->ret = epoll_wait(ep, &e, 1, -1);
			if (e.events & EPOLLIN)
				ch_wait(v->fd, MBUF_NOW);
		} while (v->ret == 1 && !(e.events & EPOLLHUP));
		close(ep);
		break;
	case WAITS_SESSION:
	case WAITS_ALL:
		p.fd = v->session;
		do {
			if (v->way == WAITS_SESSION)
				poll(&p, 1, -1);
			v->ret = ch_poll_all(v->session, &ev, 1, MBUF_FOREVER);
			if (v->ret == 1 && ev.events & MBUF_EVENT_IN)
				ch_wait(v->fd, MBUF_NOW);
		} while (v->ret == 1 && !(ev.events & MBUF_EVENT_HUP));
		break;
	default:
		do {
			waiter_init(&w, (enum how)v->way, v->fd, MBUF_FOREVER);
			w.session = v->session;
			v->ret = waiter_again(&w);
		} while (v->ret == way_success(w.way) &&
			 !(w.way == WAY_ANY && w.any.state & MBUF_END_CLOSED));
		v->ret = v->ret == way_end(w.way) ? 1 : v->ret;
	}
	atomic_store(&v->done, true);
	return NULL;
}

TEST_F(kapi, race_driver_closes_on_waiter)
{
	struct race r = race_begin();
	unsigned int seed = 3;

	for (; race_goes_on(&r); r.round++) {
		struct victim v = {
			.way = (int)(r.round % NR_WAITS),
			.session = self->session,
		};

		on_cpu(r.round & 1);
		make_end(0, 0);
		v.fd = self->fd;
		ASSERT_EQ(0, ch_attach(self->session, self->fd, 5));
		if (r.round & 1)
			ASSERT_EQ(0, drv_timer(self->test, 30000, 0, 0));
		on_cpu(~r.round & 1);
		ASSERT_EQ(0, pthread_create(&v.thread, NULL, victim_main, &v));
		spin((unsigned int)rand_r(&seed) % 40000);
		ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CLOSE, 0));
		ASSERT_TRUE(EVENTUALLY(v.done)) {
			TH_LOG("round %u, way %d: not woken", r.round, v.way);
		}
		pthread_join(v.thread, NULL);
		ASSERT_EQ(1, v.ret) {
			TH_LOG("round %u, way %d", r.round, v.way);
		}
		ASSERT_EQ(0, drv_timer(self->test, 0, 0, 0));
		unmake_end();
	}
	TH_LOG("%u rounds", r.round);
}

/* Sessions that poll and go, while interrupts tell them. */
TEST_F(kapi, race_session_closes)
{
	struct race r = race_begin();
	unsigned int seed = 4;
	struct epoll_event ev;
	int session;

	make_end(0, 0);
	ASSERT_EQ(0, drv_timer(self->test, 50000, 0, 0));
	for (; race_goes_on(&r); r.round++) {
		struct epoll_event e = { .events = EPOLLIN };
		int ep;

		session = mbuf_open();
		ASSERT_GE(session, 0);
		ep = epoll_create1(EPOLL_CLOEXEC);
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, session, &e));
		ASSERT_EQ(0, ch_attach_flags(session, self->fd, 5,
					     MBUF_ATTACH_MOVE));
		if (r.round & 1) {
			ch_wait(self->fd, MBUF_NOW);
			ASSERT_EQ(1, epoll_wait(ep, &ev, 1, 60000));
		}
		spin((unsigned int)rand_r(&seed) % 5000);
		if (r.round & 2)
			close(ep);
		close(session);
		if (!(r.round & 2))
			close(ep);
	}
	ASSERT_EQ(0, drv_timer(self->test, 0, 0, 0));
	TH_LOG("%u rounds", r.round);
}

/* Both ends are drivers', and are closed while all are at work. */
TEST_F(kapi, race_drivers)
{
	struct race time = race_begin();
	struct mbuf_test_race r = { .rounds = 100 }, sum = {};

	for (; race_goes_on(&time); time.round += r.rounds) {
		r.seed = time.round;
		ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_RACE, &r));
		sum.sent += r.sent;
		sum.received += r.received;
		sum.late += r.late;
		sum.self += r.self;
		ASSERT_EQ(0, r.wrong);
	}
	EXPECT_GT(sum.sent, 0);
	EXPECT_GT(sum.received, 0);
	EXPECT_GT(sum.self, 0);
	TH_LOG("%u rounds, %llu sent, %llu received, %llu found it being closed",
	       time.round, (unsigned long long)sum.sent,
	       (unsigned long long)sum.received, (unsigned long long)sum.late);
}

/*
 * Drivers among themselves
 */

/* Some 600 bytes each, and more that belongs to the driver. */
#define KEPT	10000

struct memcg_arg {
	struct cgroup cg;
	int test;
};

static int memcg_child(void *arg)
{
	struct memcg_arg *a = arg;
	uint64_t before;
	uint32_t nr = KEPT;

	join_cgroup(&a->cg);
	before = cgroup_current(&a->cg);
	CHECK_EQ(0, xioctl(a->test, MBUF_TEST_KEEP, &nr));
	CHECK(cgroup_current(&a->cg) <= before + CG_SLACK);
	return 0;
}

/* Channels between drivers: nobody pays, whoever happened to call. */
TEST_F(kapi, drivers_are_free)
{
	struct memcg_arg a = { .test = self->test };
	struct snapshot now;
	const char *why;

	NEED_ROOT();
	why = cgroup_make(&a.cg);
	if (why) {
		cgroup_remove(&a.cg);
		SKIP(return, "%s", why);
	}
	EXPECT_EQ(0, reap(spawn(memcg_child, &a)));
	EXPECT_TRUE(same_usage(self->session, &self->before, &now));
	cgroup_remove(&a.cg);
}

TEST_F(kapi, drivers_pass_pages)
{
	struct mbuf_test_drivers d = { .rounds = 1000 };

	d.context = MBUF_TEST_PROCESS;
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_DRIVERS, &d));
	EXPECT_EQ(2 * d.rounds, d.verified);
	EXPECT_EQ(0, d.wrong);
	d.context = MBUF_TEST_HARD_IRQ;
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_DRIVERS, &d));
	EXPECT_EQ(2 * d.rounds, d.verified);
	EXPECT_EQ(0, d.wrong);
}

/* A driver that uses mbuf keeps it loaded. */
TEST_F(kapi, module_is_pinned)
{
	NEED_ROOT();
	if (module_users() < 0)
		SKIP(return, "mbuf is built in");
	EXPECT_EQ(0, access("/sys/module/mbuf/holders/mbuf_test", F_OK));
	EXPECT_EQ(-EWOULDBLOCK, sys_result(syscall(SYS_delete_module, "mbuf",
						   O_NONBLOCK)));
}

TEST_HARNESS_MAIN
