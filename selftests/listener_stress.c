// SPDX-License-Identifier: GPL-2.0
/*
 * Many who connect, many who accept, and everything else at the same time.
 * What is known at the end: connections that both sides have agreed on, that
 * every side heard of its end, and that nothing is left.
 */
#include "listener.h"

#define SECONDS		6
/* More than there is room for. */
#define ACCEPTERS	3
#define CONNECTORS	8

/*
 * Threads, deadlines and signals: CONNECT succeeds exactly as often as ACCEPT
 * does, and both are of the same connection.
 */
struct field {
	int session, lfd, queue[ACCEPTERS];
	_Atomic bool stop;
	_Atomic long connected, accepted, matched, timed_out, interrupted;
	_Atomic long full, refused, odd;
	_Atomic unsigned int seed;
	bool signals, deadlines;
};

static unsigned int field_seed(struct field *f)
{
	return atomic_fetch_add(&f->seed, 7919);
}

static uint64_t some_deadline(struct field *f, unsigned int *seed)
{
	if (!f->deadlines)
		return MBUF_FOREVER;
	return now_ns() + (unsigned int)rand_r(seed) % 2000000;
}

static void count_failure(struct field *f, int ret)
{
	_Atomic long *n = ret == -ETIMEDOUT ? &f->timed_out :
			  ret == -EINTR ? &f->interrupted :
			  ret == -EAGAIN ? &f->full :
			  ret == -ECONNREFUSED ? &f->refused : &f->odd;

	if (atomic_fetch_add(n, 1) == 0 && n == &f->odd)
		fprintf(stderr, "# unexpected: %s\n", mbuf_strerror(ret));
}

/* Says a number, and expects it back. */
static void *connector_main(void *arg)
{
	struct field *f = arg;
	unsigned int seed = field_seed(f);
	uint64_t num = (uint64_t)seed << 32;

	while (!atomic_load(&f->stop)) {
		int fd = ls_connect(f->session, 0, some_deadline(f, &seed));
		int64_t back;

		if (fd < 0) {
			count_failure(f, fd);
			if (fd == -EAGAIN)
				nap();
			continue;
		}
		atomic_fetch_add(&f->connected, 1);
		num++;
		if (ch_put(fd, num)) {
			close(fd);
			continue;
		}
		do {
			back = ch_take(fd, MBUF_FOREVER);
		} while (back == -EINTR);
		if (back == (int64_t)num)
			atomic_fetch_add(&f->matched, 1);
		close(fd);
	}
	return NULL;
}

struct accepter {
	struct field *f;
	int fd;
};

static void *accepter_main(void *arg)
{
	struct accepter *a = arg;
	struct field *f = a->f;
	unsigned int seed = field_seed(f);

	for (;;) {
		int fd = ls_accept(a->fd, 0, f->deadlines ?
				   some_deadline(f, &seed) : in_ms(20));
		int64_t num;

		if (fd < 0) {
			if (fd == -ETIMEDOUT && atomic_load(&f->stop))
				break;
			if (fd != -ETIMEDOUT && fd != -EINTR)
				count_failure(f, fd);
			continue;
		}
		atomic_fetch_add(&f->accepted, 1);
		do {
			num = ch_take(fd, MBUF_FOREVER);
		} while (num == -EINTR);
		if (num > 0)
			ch_put(fd, (uint64_t)num);
		/* Not before it has been read, or it might be lost. */
		while (ch_wait(fd, MBUF_FOREVER) == -EINTR)
			;
		close(fd);
	}
	return NULL;
}

static void run_field(struct __test_metadata *_metadata,
		      struct _test_data_listener *self, bool deadlines,
		      bool signals)
{
	struct field f = {
		.session = self->session,
		.seed = 1,
		.signals = signals,
		.deadlines = deadlines,
	};
	pthread_t con[CONNECTORS], acc[ACCEPTERS];
	struct accepter a[ACCEPTERS];
	struct mbuf_listener_info info;
	uint64_t end;
	int i;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_listener(0200, 1);
	f.lfd = self->lfd;
	for (i = 0; i < ACCEPTERS; i++) {
		f.queue[i] = i ? ls_queue(self->lfd, 1) :
				 dup(self->lfd);
		ASSERT_GE(f.queue[i], 0);
		a[i].f = &f;
		a[i].fd = f.queue[i];
		ASSERT_EQ(0, pthread_create(&acc[i], NULL, accepter_main,
					    &a[i]));
	}
	for (i = 0; i < CONNECTORS; i++)
		ASSERT_EQ(0, pthread_create(&con[i], NULL, connector_main, &f));
	end = now_ns() + SECONDS * NS_PER_SEC;
	for (i = 0; now_ns() < end; i++) {
		if (signals) {
			pthread_kill(con[i % CONNECTORS], SIGUSR1);
			pthread_kill(acc[i % ACCEPTERS], SIGUSR1);
		}
		nap();
	}
	atomic_store(&f.stop, true);
	for (i = 0; i < CONNECTORS; i++)
		pthread_join(con[i], NULL);
	for (i = 0; i < ACCEPTERS; i++)
		pthread_join(acc[i], NULL);

	info = ls_info(self->lfd);
	TH_LOG("%ld connected, %ld timed out, %ld interrupted, %ld without room",
	       atomic_load(&f.connected), atomic_load(&f.timed_out),
	       atomic_load(&f.interrupted), atomic_load(&f.full));
	EXPECT_LT(0, atomic_load(&f.connected));
	EXPECT_EQ(atomic_load(&f.connected), atomic_load(&f.accepted));
	EXPECT_EQ(atomic_load(&f.connected), atomic_load(&f.matched));
	EXPECT_EQ(0, atomic_load(&f.refused));
	EXPECT_EQ(0, atomic_load(&f.odd));
	/* And the counters agree. */
	EXPECT_EQ(atomic_load(&f.accepted), (long)info.accepted);
	EXPECT_EQ(atomic_load(&f.timed_out) + atomic_load(&f.interrupted),
		  (long)info.withdrawn);
	EXPECT_EQ(atomic_load(&f.full), (long)info.overflowed);
	for (i = 0; i < ACCEPTERS; i++) {
		EXPECT_EQ(0, ls_info(f.queue[i]).pending);
		EXPECT_EQ(0, ls_info(f.queue[i]).waiters);
		close(f.queue[i]);
	}
}

TEST_F(listener, plain)
{
	run_field(_metadata, self, false, false);
}

TEST_F(listener, deadlines)
{
	run_field(_metadata, self, true, false);
}

TEST_F(listener, signals)
{
	run_field(_metadata, self, true, true);
}

/*
 * Queues that come and go, a list of users that changes, listeners that end:
 * everybody who connects hears of it.
 */
static void *queue_changer(void *arg)
{
	struct field *f = arg;
	unsigned int seed = field_seed(f);

	while (!atomic_load(&f->stop)) {
		int q = ls_queue(f->lfd, 1 + (uint32_t)rand_r(&seed) % 8), fd;

		if (q < 0) {
			count_failure(f, q);
			continue;
		}
		fd = ls_accept(q, (uint32_t)rand_r(&seed) % 2,
			       rand_r(&seed) % 2 ? MBUF_NOW :
			       now_ns() + (unsigned int)rand_r(&seed) % 500000);
		if (fd >= 0) {
			if (rand_r(&seed) % 2)
				ls_approve(fd, (uint32_t)rand_r(&seed) % 2);
			close(fd);
		}
		close(q);
	}
	return NULL;
}

static void *list_changer(void *arg)
{
	struct field *f = arg;
	unsigned int seed = field_seed(f);

	while (!atomic_load(&f->stop)) {
		uint32_t uid = (uint32_t)rand_r(&seed) % 20;

		ls_acl(f->lfd, uid, (uint32_t)rand_r(&seed) % 3);
		if (rand_r(&seed) % 8 == 0)
			ls_set_mode(f->lfd, rand_r(&seed) % 4 ? 0222 : 0);
		if (rand_r(&seed) % 8 == 0)
			ls_set_backlog(f->lfd, 1 + (uint32_t)rand_r(&seed) % 9);
		sched_yield();
	}
	return NULL;
}

static void *any_connector(void *arg)
{
	struct field *f = arg;
	unsigned int seed = field_seed(f);

	while (!atomic_load(&f->stop)) {
		struct mbuf_connect c = connect_of(NAME, NAME_LEN, 0,
						   in_ms(100));
		int ret;

		if (rand_r(&seed) % 2)
			c.flags |= MBUF_CONNECT_ASYNC;
		if (rand_r(&seed) % 2)
			c.end.flags &= ~MBUF_END_DETACHED;
		if (rand_r(&seed) % 8 == 0)
			c.end.flags |= MBUF_END_THREAD;
		if (!geteuid() || rand_r(&seed) % 2)
			be_euid((uid_t)rand_r(&seed) % 20);
		ret = (int)xioctl(f->session, MBUF_IOC_CONNECT, &c);
		be_euid(0);
		switch (ret) {
		case 0:
			ch_put(c.end.ref.fd, 1);
			if (rand_r(&seed) % 2)
				ch_take(c.end.ref.fd, now_ns() + 100000);
			close(c.end.ref.fd);
			atomic_fetch_add(&f->connected, 1);
			break;
		case -EACCES:
		case -ECONNREFUSED:
		case -EAGAIN:
		case -ETIMEDOUT:
		case -EINTR:
			atomic_fetch_add(&f->refused, 1);
			break;
		default:
			count_failure(f, ret);
		}
	}
	return NULL;
}

static void *poll_all_main(void *arg)
{
	struct field *f = arg;
	struct mbuf_event ev[16];

	while (!atomic_load(&f->stop)) {
		int ret = ch_poll_all(f->session, ev, 16, in_ms(10));

		if (ret < 0 && ret != -ETIMEDOUT)
			count_failure(f, ret);
	}
	return NULL;
}

TEST_F(listener, everything_changes)
{
	struct field f = { .session = self->session, .seed = 5 };
	const struct {
		void *(*fn)(void *arg);
	} what[] = {
		{ any_connector }, { any_connector }, { any_connector },
		{ queue_changer }, { queue_changer }, { list_changer },
		{ poll_all_main },
	};
	pthread_t thread[ARRAY_SIZE(what)];
	struct mbuf_listener_info info;
	unsigned int i;
	uint64_t end;

	NEED_ROOT();
	make_listener(0222, 2);
	ASSERT_EQ(0, ch_attach(self->session, self->lfd, 1));
	f.lfd = self->lfd;
	for (i = 0; i < ARRAY_SIZE(what); i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, what[i].fn, &f));
	end = now_ns() + SECONDS * NS_PER_SEC;
	while (now_ns() < end) {
		int fd = ls_accept(self->lfd, 0, in_ms(5));

		if (fd >= 0)
			close(fd);
	}
	atomic_store(&f.stop, true);
	for (i = 0; i < ARRAY_SIZE(what); i++)
		pthread_join(thread[i], NULL);
	info = ls_info(self->lfd);
	TH_LOG("%ld connected; accepted %llu, denied %llu, overflowed %llu, withdrawn %llu",
	       atomic_load(&f.connected), info.accepted, info.denied,
	       info.overflowed, info.withdrawn);
	EXPECT_EQ(0, atomic_load(&f.odd));
	EXPECT_LT(0, atomic_load(&f.connected));
	EXPECT_LT(0, (long)info.accepted);
	EXPECT_EQ(0, info.pending);
	EXPECT_EQ(1, info.queues);
}

/*
 * Processes that are killed at any time, in all roles.
 */
#define ROLES	8

struct storm {
	int session;		/* shared, or each its own */
	int lfd;
	unsigned int seed;
	struct stage *stage;
};

static int storm_client(void *arg)
{
	struct storm *s = arg;
	int own = rand_r(&s->seed) % 2 ? mbuf_open() : s->session;

	/* Until it is killed. */
	while (!atomic_load(&s->stage->step)) {
		int fd = ls_connect(own, rand_r(&s->seed) % 2 ?
				    MBUF_CONNECT_ASYNC : 0, in_ms(50));

		if (fd < 0)
			continue;
		ch_put(fd, 1);
		ch_take(fd, in_ms(5));
		if (rand_r(&s->seed) % 4)
			close(fd);
	}
	return 0;
}

static int storm_server(void *arg)
{
	struct storm *s = arg;
	int q = rand_r(&s->seed) % 2 ? s->lfd : ls_queue(s->lfd, 4);

	while (!atomic_load(&s->stage->step)) {
		int fd = ls_accept(q, (uint32_t)rand_r(&s->seed) % 2, in_ms(50));

		if (fd < 0)
			continue;
		ls_approve(fd, (uint32_t)rand_r(&s->seed) % 2);
		ch_put(fd, 2);
		atomic_fetch_add(&s->stage->value[0], 1);
		if (rand_r(&s->seed) % 4)
			close(fd);
	}
	return 0;
}

/* A listener of its own, whose name others connect to. */
static int storm_listener(void *arg)
{
	struct storm *s = arg;
	int own = mbuf_open();

	while (!atomic_load(&s->stage->step)) {
		int lfd = ls_listen_name(own, "storm", 5, 0222, 2), fd;

		if (lfd < 0)
			continue;
		atomic_fetch_add(&s->stage->value[1], 1);
		fd = ls_accept(lfd, 0, in_ms(2));
		if (fd >= 0 && rand_r(&s->seed) % 2)
			close(fd);
		close(lfd);
	}
	return 0;
}

static int storm_caller(void *arg)
{
	struct storm *s = arg;

	while (!atomic_load(&s->stage->step)) {
		int fd = ls_connect_name(s->session, "storm", 5,
					 rand_r(&s->seed) % 2 ?
					 MBUF_CONNECT_ASYNC : 0, in_ms(20));

		if (fd < 0)
			continue;
		ch_put(fd, 1);
		close(fd);
	}
	return 0;
}

TEST_F(listener, kills)
{
	int (*const role[ROLES])(void *) = {
		storm_client, storm_client, storm_client, storm_server,
		storm_server, storm_listener, storm_listener, storm_caller,
	};
	struct stage *stage = map_shared(sizeof(*stage));
	struct storm s = { .session = self->session, .stage = stage };
	unsigned int seed = 3, i, killed = 0;
	pid_t pid[ROLES] = {};
	uint64_t end;

	ASSERT_NE(NULL, stage);
	make_listener(0222, 2);
	s.lfd = self->lfd;
	end = now_ns() + SECONDS * NS_PER_SEC;
	while (now_ns() < end) {
		i = (unsigned int)rand_r(&seed) % ROLES;
		if (pid[i]) {
			ASSERT_EQ(128 + SIGKILL, kill_and_reap(pid[i]));
			killed++;
		}
		s.seed = (unsigned int)rand_r(&seed);
		pid[i] = spawn(role[i], &s);
		ASSERT_LT(0, pid[i]);
		while (rand_r(&seed) % 8)
			nap();
	}
	for (i = 0; i < ROLES; i++)
		if (pid[i])
			ASSERT_EQ(128 + SIGKILL, kill_and_reap(pid[i]));
	TH_LOG("killed %u, accepted %ld, %ld listeners", killed,
	       atomic_load(&stage->value[0]), atomic_load(&stage->value[1]));
	EXPECT_LT(0, atomic_load(&stage->value[0]));
	EXPECT_LT(0, atomic_load(&stage->value[1]));
	ASSERT_PENDING(self->lfd, 0);
	EXPECT_EQ(0, ls_info(self->lfd).waiters);
	EXPECT_EQ(1, ls_info(self->lfd).queues);
	/* It is as good as new. */
	self->con = ls_hello(self->session, 1);
	EXPECT_GE(self->con, 0);
	EXPECT_EQ(1, ls_accept_num(self->lfd, MBUF_NOW));
	i = (unsigned int)ls_listen_name(self->session, "storm", 5, 0222, 1);
	EXPECT_LE(0, (int)i);
	close((int)i);
	munmap(stage, sizeof(*stage));
}

TEST_HARNESS_MAIN
