// SPDX-License-Identifier: GPL-2.0
/*
 * Names and drivers: drivers that connect to listeners, and drivers that
 * listen.
 */
#include "kapi.h"

#define NAME	"mbuf-selftest-kapi"

/*
 * The driver
 */
#define NO_DEADLINE	(~0ull)

static struct mbuf_test_connect dial_of(const char *name, uint64_t wait)
{
	struct mbuf_test_connect c = {
		.name = (uintptr_t)name,
		.len = (uint32_t)strlen(name),
		.maker = -1,
		.wait = wait,
	};

	return c;
}

static int drv_dial(int test, const char *name, uint32_t flags, uint64_t wait)
{
	struct mbuf_test_connect c = dial_of(name, wait);

	c.flags = flags;
	return (int)xioctl(test, MBUF_TEST_CONNECT, &c);
}

/*
 * The process
 */
static struct mbuf_connect connect_of(const char *name, uint64_t deadline)
{
	struct mbuf_connect c = {
		.wait = wait_of(deadline),
		.name = (uintptr_t)name,
		.name_len = (uint32_t)strlen(name),
		.end.flags = MBUF_END_DETACHED,
	};

	return c;
}

/* The endpoint, or -errno. */
static int dial(int session, const char *name, uint64_t deadline)
{
	struct mbuf_connect c = connect_of(name, deadline);
	int ret = (int)xioctl(session, MBUF_IOC_CONNECT, &c);

	return ret ? ret : c.end.ref.fd;
}

static int dial_async(int session, const char *name)
{
	struct mbuf_connect c = connect_of(name, MBUF_FOREVER);
	int ret;

	c.flags = MBUF_CONNECT_ASYNC;
	ret = (int)xioctl(session, MBUF_IOC_CONNECT, &c);
	return ret ? ret : c.end.ref.fd;
}

/* The listener, or -errno. */
static int make_listener(int session, const char *name, uint32_t backlog)
{
	struct mbuf_listen l = {
		.name = (uintptr_t)name,
		.name_len = (uint32_t)strlen(name),
		.flags = MBUF_LISTEN_DETACHED,
		.mode = 0600,
		.backlog = backlog,
	};
	int ret = (int)xioctl(session, MBUF_IOC_LISTEN, &l);

	return ret ? ret : l.listener.fd;
}

static struct mbuf_accept accept_of(uint32_t flags, uint64_t deadline)
{
	struct mbuf_accept a = {
		.wait = wait_of(deadline),
		.flags = flags,
		.end.flags = MBUF_END_DETACHED,
	};

	return a;
}

FIXTURE(names) {
	int session;
	int test;
	int fd;
	int listener;
	struct mbuf_query q;
	struct snapshot before;
};

FIXTURE_SETUP(names)
{
	self->fd = -1;
	self->listener = -1;
	self->test = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);
	if (self->test < 0 && errno == ENOENT)
		SKIP(return, "no %s: load mbuf_test.ko", TEST_DEVICE);
	ASSERT_GE(self->test, 0) {
		TH_LOG("cannot open %s: %s", TEST_DEVICE, strerror(errno));
	}
	self->session = fixture_begin(_metadata, &self->q, &self->before);
	ASSERT_NE(0, self->q.features & MBUF_FEATURE_LISTENER) {
		TH_LOG("this module has no listeners");
	}
}

FIXTURE_TEARDOWN(names)
{
	EXPECT_RECEIVER_SANE(self->test);
	EXPECT_EQ(0, drv_accepts(self->test).wrong);
	close_fd(&self->fd);
	close_fd(&self->listener);
	fixture_end(_metadata, self->session, &self->before);
	close(self->test);
}

/*
 * A driver listens
 */
TEST_F(names, listen)
{
	struct mbuf_connect c = connect_of(NAME, MBUF_FOREVER);
	struct mbuf_channel_info info;
	struct mbuf_test_accepts a;
	struct value v = value_of(11);
	struct mbuf_query q;

	ASSERT_EQ(0, drv_listen(self->test, NAME, 0600, 8,
				MBUF_TEST_RECEIVE | MBUF_TEST_ECHO));
	memcpy(c.data, &v, sizeof(v));
	c.flags = MBUF_CONNECT_HELLO;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CONNECT, &c));
	self->fd = c.end.ref.fd;
	a = drv_accepts(self->test);
	EXPECT_EQ(1, a.asked);
	EXPECT_EQ(0, a.refused);
	EXPECT_EQ(0, a.drivers);
	EXPECT_EQ(1, a.open);
	EXPECT_EQ(11, a.hello);
	EXPECT_EQ(getpid(), a.peer.pid);
	EXPECT_EQ(geteuid(), a.peer.uid);
	EXPECT_EQ(getegid(), a.peer.gid);
	EXPECT_EQ(0, a.peer.kernel);
	EXPECT_NE(0, a.peer.start);

	info = ch_info(self->fd);
	EXPECT_EQ(MBUF_PEER_KNOWN | MBUF_PEER_KERNEL, info.peer.flags);
	EXPECT_EQ(0, info.state);
	/* The hello has come to the receiver, as what follows does. */
	EXPECT_EQ(11, ch_take(self->fd, MBUF_FOREVER));
	ASSERT_EQ(0, ch_put(self->fd, 12));
	EXPECT_EQ(12, ch_take(self->fd, MBUF_FOREVER));

	/* The process pays for its own end only. */
	ASSERT_EQ(0, mbuf_query(self->session, &q));
	EXPECT_EQ(self->before.objects.used + 1, q.objects.used);

	close_fd(&self->fd);
	EXPECT_TRUE(EVENTUALLY(drv_accepts(self->test).open == 0));
}

/* Who the peer is can be seen as soon as there is one. */
TEST_F(names, peer_is_known_at_once)
{
	struct mbuf_channel_info info;
	int i;

	ASSERT_EQ(0, drv_listen(self->test, NAME, 0600, 8, MBUF_TEST_RECEIVE));
	for (i = 0; i < 1000; i++) {
		struct mbuf_connect c = connect_of(NAME, MBUF_FOREVER);

		ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CONNECT, &c));
		self->fd = c.end.ref.fd;
		info = ch_info(self->fd);
		ASSERT_EQ(MBUF_PEER_KNOWN | MBUF_PEER_KERNEL, info.peer.flags) {
			TH_LOG("after %d connections", i);
		}
		close_fd(&self->fd);
	}
	EXPECT_TRUE(EVENTUALLY(drv_accepts(self->test).open == 0));
}

/* The receiver is called once at the beginning, even if nothing has come. */
TEST_F(names, greeting)
{
	ASSERT_EQ(0, drv_listen(self->test, NAME, 0600, 8,
				MBUF_TEST_RECEIVE | MBUF_TEST_GREET));
	self->fd = dial(self->session, NAME, MBUF_FOREVER);
	ASSERT_GE(self->fd, 0);
	EXPECT_EQ(MBUF_TEST_GREETING, ch_take(self->fd, MBUF_FOREVER));
	close_fd(&self->fd);
	EXPECT_TRUE(EVENTUALLY(drv_accepts(self->test).open == 0));

	/* A driver waits for connections, always. */
	self->fd = dial(self->session, NAME, MBUF_NOW);
	ASSERT_GE(self->fd, 0);
	EXPECT_EQ(MBUF_TEST_GREETING, ch_take(self->fd, MBUF_FOREVER));
	close_fd(&self->fd);
	self->fd = dial_async(self->session, NAME);
	ASSERT_GE(self->fd, 0);
	EXPECT_EQ(MBUF_TEST_GREETING, ch_take(self->fd, MBUF_FOREVER));
}

/* It may say no after seeing who asks. */
TEST_F(names, refuse)
{
	struct mbuf_test_listen l = listen_of(NAME, 0666, 8, 0);

	l.refuse = (int32_t)geteuid();
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_LISTEN, &l));
	EXPECT_EQ(-ECONNREFUSED, dial(self->session, NAME, MBUF_FOREVER));
	EXPECT_EQ(1, drv_accepts(self->test).refused);
	self->fd = dial_async(self->session, NAME);
	ASSERT_GE(self->fd, 0);
	EXPECT_EQ(-ECONNREFUSED, ch_take(self->fd, MBUF_FOREVER));
	EXPECT_EQ(MBUF_END_CLOSED | MBUF_END_REFUSED, ch_info(self->fd).state);
	EXPECT_EQ(2, drv_accepts(self->test).refused);
	EXPECT_EQ(0, drv_accepts(self->test).open);
}

static int dial_child(void *arg)
{
	int session = mbuf_open(), fd;

	CHECK(session >= 0);
	fd = dial(session, arg, MBUF_FOREVER);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : -fd;
}

TEST_F(names, modes)
{
	char name[] = NAME;

	NEED_ROOT();
	ASSERT_EQ(0, drv_listen(self->test, NAME, 0660, 8, 0));
	EXPECT_EQ(EACCES, run_as(TEST_UID, dial_child, name));
	EXPECT_EQ(0, run_as(0, dial_child, name));
	EXPECT_EQ(1, drv_accepts(self->test).asked);
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_UNLISTEN, 0));
	ASSERT_EQ(0, drv_listen(self->test, NAME, 0002, 8, 0));
	EXPECT_EQ(0, run_as(TEST_UID, dial_child, name));
	EXPECT_EQ(TEST_UID, drv_accepts(self->test).peer.uid);
	EXPECT_EQ(EACCES, run_as(0, dial_child, name));
}

TEST_F(names, arguments)
{
	char name[256];
	struct mbuf_test_listen l;
	struct mbuf_test_connect c;
	unsigned int len;

	memset(name, 'x', sizeof(name));
	EXPECT_EQ(-EINVAL, drv_listen(self->test, NAME, 01000, 8, 0));
	EXPECT_EQ(-EINVAL, drv_listen(self->test, NAME, 0600, 0, 0));
	EXPECT_EQ(-EINVAL, drv_listen(self->test, NAME, 0600,
				      self->q.backlog_max + 1, 0));
	EXPECT_EQ(-EINVAL, drv_listen(self->test, "", 0600, 1, 0));
	EXPECT_EQ(-EINVAL, drv_dial(self->test, "", 0, 0));
	for (len = self->q.name_max; len <= self->q.name_max + 1; len++) {
		int want = len > self->q.name_max ? -ENAMETOOLONG : 0;

		l = listen_of("", 0600, self->q.backlog_max, 0);
		l.name = (uintptr_t)name;
		l.len = len;
		EXPECT_EQ(want, xioctl(self->test, MBUF_TEST_LISTEN, &l));
		c = dial_of("", NO_DEADLINE);
		c.name = (uintptr_t)name;
		c.len = len;
		EXPECT_EQ(want, xioctl(self->test, MBUF_TEST_CONNECT, &c));
		xioctl(self->test, MBUF_TEST_UNLISTEN, 0);
		xioctl(self->test, MBUF_TEST_CLOSE, 0);
	}

	/* Bytes, of which a NUL is one. */
	l = listen_of("a", 0600, 1, 0);
	l.name = (uintptr_t)"a\0b";
	l.len = 3;
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_LISTEN, &l));
	EXPECT_EQ(-ECONNREFUSED, dial(self->session, "a", MBUF_FOREVER));
}

/* One name space, and a name is free again at once. */
TEST_F(names, taken)
{
	struct mbuf_connect c = connect_of(NAME, MBUF_FOREVER);
	int i, other = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);

	ASSERT_GE(other, 0);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, drv_listen(self->test, NAME, 0600, 8, 0));
		EXPECT_EQ(-EADDRINUSE, make_listener(self->session, NAME, 8));
		EXPECT_EQ(-EADDRINUSE, drv_listen(other, NAME, 0600, 8, 0));
		ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_UNLISTEN, 0));
		EXPECT_EQ(-ECONNREFUSED, dial(self->session, NAME,
					      MBUF_FOREVER));
		self->listener = make_listener(self->session, NAME, 8);
		ASSERT_GE(self->listener, 0);
		EXPECT_EQ(-EADDRINUSE, drv_listen(other, NAME, 0600, 8, 0));
		close_fd(&self->listener);
	}
	/* A driver's name goes with the driver. */
	ASSERT_EQ(0, drv_listen(other, NAME, 0600, 8, 0));
	close(other);
	EXPECT_EQ(-ECONNREFUSED, dial(self->session, NAME, MBUF_FOREVER));

	/* Drivers count as root. */
	ASSERT_EQ(0, drv_listen(self->test, NAME, 0600, 8, 0));
	c.flags = MBUF_CONNECT_UID;
	c.uid = TEST_UID;
	EXPECT_EQ(-EACCES, xioctl(self->session, MBUF_IOC_CONNECT, &c));
	c.uid = 0;
	EXPECT_EQ(0, xioctl(self->session, MBUF_IOC_CONNECT, &c));
	close(c.end.ref.fd);
}

static int elsewhere_child(void *arg)
{
	int session;

	(void)arg;
	CHECK(!unshare(CLONE_NEWNET));
	session = mbuf_open();
	CHECK(session >= 0);
	CHECK_EQ(-ECONNREFUSED, dial(session, NAME, MBUF_FOREVER));
	CHECK(make_listener(session, NAME, 8) >= 0);
	return 0;
}

TEST_F(names, namespaces)
{
	NEED_ROOT();
	ASSERT_EQ(0, drv_listen(self->test, NAME, 0600, 8, 0));
	EXPECT_EQ(0, reap(spawn(elsewhere_child, NULL)));
}

/* What a driver listens to is gone: connections stay. */
TEST_F(names, unlisten)
{
	ASSERT_EQ(0, drv_listen(self->test, NAME, 0600, 8,
				MBUF_TEST_RECEIVE | MBUF_TEST_ECHO));
	self->fd = dial(self->session, NAME, MBUF_FOREVER);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_UNLISTEN, 0));
	ASSERT_EQ(0, ch_put(self->fd, 3));
	EXPECT_EQ(3, ch_take(self->fd, MBUF_FOREVER));
	/* Until the driver goes. */
	close(self->test);
	EXPECT_EQ(-EPIPE, ch_take(self->fd, MBUF_FOREVER));
	self->test = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);
}

/*
 * A driver connects
 */
struct server {
	int listener;
	struct mbuf_accept a;
	int ret;
	pthread_t thread;
};

static void *server_main(void *arg)
{
	struct server *s = arg;

	s->ret = (int)xioctl(s->listener, MBUF_IOC_ACCEPT, &s->a);
	return NULL;
}

#define serve(s, flags) do {						\
	(s)->listener = self->listener;					\
	(s)->a = accept_of(flags, now_ns() + PATIENCE_NS);		\
	ASSERT_EQ(0, pthread_create(&(s)->thread, NULL, server_main, s)); \
} while (0)

static int waiters_of(int listener)
{
	struct mbuf_listener_info info = {};
	char name[256];
	int ret;

	info.name = (uintptr_t)name;
	info.name_len = sizeof(name);
	ret = (int)xioctl(listener, MBUF_IOC_LISTENER_INFO, &info);
	return ret ? ret : (int)info.waiters;
}

TEST_F(names, connect)
{
	struct mbuf_test_connect c = dial_of(NAME, NO_DEADLINE);
	struct mbuf_test_peer peer;
	struct server s;

	self->listener = make_listener(self->session, NAME, 8);
	ASSERT_GE(self->listener, 0);
	serve(&s, 0);
	c.flags = MBUF_TEST_RECEIVE | MBUF_TEST_ECHO;
	c.greet = 1;
	c.hello = 21;
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CONNECT, &c));
	pthread_join(s.thread, NULL);
	ASSERT_EQ(0, s.ret);
	self->fd = s.a.end.ref.fd;
	EXPECT_EQ(MBUF_PEER_KNOWN | MBUF_PEER_KERNEL, s.a.peer.flags);
	EXPECT_EQ(0, s.a.peer.pid);
	EXPECT_EQ(MBUF_PEER_KNOWN | MBUF_PEER_KERNEL,
		  ch_info(self->fd).peer.flags);
	EXPECT_EQ(21, ch_take(self->fd, MBUF_NOW));
	ASSERT_EQ(0, ch_put(self->fd, 22));
	EXPECT_EQ(22, ch_take(self->fd, MBUF_FOREVER));
	EXPECT_EQ(0, drv_send(self->test, MBUF_TEST_HARD_IRQ, 23));
	EXPECT_EQ(23, ch_take(self->fd, MBUF_FOREVER));
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_PEER, &peer));
	EXPECT_EQ(getpid(), peer.pid);
	EXPECT_EQ(0, peer.kernel);
	close_fd(&self->fd);
	EXPECT_TRUE(EVENTUALLY(drv_stats(self->test).closed == 1));
}

TEST_F(names, connect_fails)
{
	struct mbuf_test_connect c = dial_of(NAME, NO_DEADLINE);
	struct mbuf_accept a;
	struct server s;

	EXPECT_EQ(-ECONNREFUSED, drv_dial(self->test, NAME, 0, NO_DEADLINE));
	self->listener = make_listener(self->session, NAME, 2);
	ASSERT_GE(self->listener, 0);
	/* Nobody waits. */
	EXPECT_EQ(-EAGAIN, drv_dial(self->test, NAME, 0, 0));
	/* Nobody comes. */
	EXPECT_EQ(-ETIMEDOUT, drv_dial(self->test, NAME, 0, 20 * NS_PER_MS));
	a = accept_of(0, MBUF_NOW);
	EXPECT_EQ(-EAGAIN, xioctl(self->listener, MBUF_IOC_ACCEPT, &a));
	/* Not whom it wanted. */
	c.maker = TEST_UID;
	EXPECT_EQ(-EACCES, xioctl(self->test, MBUF_TEST_CONNECT, &c));
	/* Refused by who was asked. */
	serve(&s, MBUF_ACCEPT_ASK);
	ASSERT_TRUE(EVENTUALLY(waiters_of(self->listener) == 1));
	c = dial_of(NAME, 0);
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CONNECT, &c));
	pthread_join(s.thread, NULL);
	ASSERT_EQ(0, s.ret);
	close(s.a.end.ref.fd);
	EXPECT_EQ(-ECONNREFUSED, drv_send(self->test, MBUF_TEST_HARD_IRQ, 1));
}

struct dialer {
	int test;
	int ret;
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *dialer_main(void *arg)
{
	struct dialer *d = arg;

	atomic_store(&d->tid, (pid_t)syscall(SYS_gettid));
	d->ret = drv_dial(d->test, NAME, 0, NO_DEADLINE);
	atomic_store(&d->done, true);
	return NULL;
}

TEST_F(names, connect_waits)
{
	struct dialer d = { .test = self->test };
	struct mbuf_accept a;

	self->listener = make_listener(self->session, NAME, 2);
	ASSERT_GE(self->listener, 0);
	/* Until somebody accepts and approves. */
	ASSERT_EQ(0, pthread_create(&d.thread, NULL, dialer_main, &d));
	a = accept_of(MBUF_ACCEPT_ASK, now_ns() + PATIENCE_NS);
	ASSERT_EQ(0, xioctl(self->listener, MBUF_IOC_ACCEPT, &a));
	self->fd = a.end.ref.fd;
	ASSERT_TRUE(EVENTUALLY(task_state(d.tid) == 'S'));
	EXPECT_FALSE(d.done);
	ASSERT_EQ(0, xioctl(self->fd, MBUF_IOC_APPROVE,
			    (&(struct mbuf_approve){ .verdict = 1 })));
	ASSERT_TRUE(EVENTUALLY(d.done));
	pthread_join(d.thread, NULL);
	EXPECT_EQ(0, d.ret);
	EXPECT_EQ(0, drv_send(self->test, MBUF_TEST_HARD_IRQ, 31));
	EXPECT_EQ(31, ch_take(self->fd, MBUF_FOREVER));
	close_fd(&self->fd);
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CLOSE, 0));

	/* Or the listener goes. */
	d.done = false;
	ASSERT_EQ(0, pthread_create(&d.thread, NULL, dialer_main, &d));
	ASSERT_TRUE(EVENTUALLY(poll_now(self->listener, POLLIN) == POLLIN));
	close_fd(&self->listener);
	ASSERT_TRUE(EVENTUALLY(d.done));
	pthread_join(d.thread, NULL);
	EXPECT_EQ(-ECONNREFUSED, d.ret);

	/* Or a signal comes. */
	self->listener = make_listener(self->session, NAME, 2);
	ASSERT_GE(self->listener, 0);
	d.done = false;
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_EQ(0, pthread_create(&d.thread, NULL, dialer_main, &d));
	ASSERT_TRUE(EVENTUALLY(poll_now(self->listener, POLLIN) == POLLIN));
	ASSERT_TRUE(EVENTUALLY(task_state(d.tid) == 'S'));
	pthread_kill(d.thread, SIGUSR1);
	ASSERT_TRUE(EVENTUALLY(d.done));
	pthread_join(d.thread, NULL);
	EXPECT_EQ(-EINTR, d.ret);
	a = accept_of(0, MBUF_NOW);
	EXPECT_EQ(-EAGAIN, xioctl(self->listener, MBUF_IOC_ACCEPT, &a));
}

/* A driver connects to another one. */
TEST_F(names, drivers)
{
	struct mbuf_test_connect c = dial_of(NAME, NO_DEADLINE);
	int other = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);
	struct mbuf_test_accepts a;
	struct mbuf_test_peer peer;

	ASSERT_GE(other, 0);
	ASSERT_EQ(0, drv_listen(other, NAME, 0, 8,
				MBUF_TEST_RECEIVE | MBUF_TEST_ECHO));
	c.flags = MBUF_TEST_RECEIVE;
	c.maker = 0;
	c.greet = 1;
	c.hello = 41;
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CONNECT, &c));
	EXPECT_TRUE(EVENTUALLY(drv_stats(self->test).signals == 1));
	EXPECT_EQ(41, drv_stats(self->test).last);
	EXPECT_EQ(0, drv_send(self->test, MBUF_TEST_HARD_IRQ, 42));
	EXPECT_TRUE(EVENTUALLY(drv_stats(self->test).signals == 2));
	EXPECT_EQ(42, drv_stats(self->test).last);
	a = drv_accepts(other);
	EXPECT_EQ(1, a.drivers);
	EXPECT_EQ(1, a.peer.kernel);
	EXPECT_EQ(0, a.peer.pid);
	ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_PEER, &peer));
	EXPECT_EQ(1, peer.kernel);
	/* Nobody pays. */
	EXPECT_TRUE(same_usage(self->session, &self->before,
			       &(struct snapshot){}));
	close(other);
	EXPECT_TRUE(EVENTUALLY(drv_stats(self->test).closed == 1));
}

/*
 * Races
 */
struct crowd {
	int session;
	_Atomic bool stop;
	unsigned int connected, refused, odd;
	unsigned int seed;
	pthread_t thread;
};

/* Connects in all ways, and closes at once or after a word. */
static void *crowd_main(void *arg)
{
	struct crowd *m = arg;

	while (!atomic_load(&m->stop)) {
		unsigned int dice = (unsigned int)rand_r(&m->seed);
		int fd;

		if (dice & 1)
			fd = dial_async(m->session, NAME);
		else
			fd = dial(m->session, NAME, dice & 2 ? MBUF_NOW :
				  now_ns() + dice % 4096 * 1000);
		if (fd >= 0) {
			m->connected++;
			if (dice & 4)
				ch_put(fd, dice);
			if (dice & 8)
				ch_take(fd, now_ns() + NS_PER_MS);
			close(fd);
		} else if (fd == -ECONNREFUSED || fd == -EAGAIN ||
			   fd == -ETIMEDOUT) {
			m->refused++;
		} else {
			fprintf(stderr, "# CONNECT: %s\n", mbuf_strerror(fd));
			m->odd++;
		}
	}
	return NULL;
}

/* A driver that listens goes and comes, with a crowd at its door. */
TEST_F(names, race_unlisten)
{
	struct crowd m[2] = {};
	struct race r = race_begin();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(m); i++) {
		m[i].session = self->session;
		m[i].seed = i;
		ASSERT_EQ(0, pthread_create(&m[i].thread, NULL, crowd_main,
					    &m[i]));
	}
	for (; race_goes_on(&r); r.round++) {
		uint32_t flags = r.round & 1 ? MBUF_TEST_RECEIVE |
				 MBUF_TEST_ECHO | MBUF_TEST_GREET : 0;
		int test = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);
		struct mbuf_test_listen l = listen_of(NAME, 0600,
						      1 + r.round % 4, flags);

		ASSERT_GE(test, 0);
		if (r.round % 4 == 3)
			l.refuse = (int32_t)geteuid();
		ASSERT_EQ(0, xioctl(test, MBUF_TEST_LISTEN, &l));
		EVENTUALLY(drv_accepts(test).asked > r.round % 8);
		if (r.round & 2)
			ASSERT_EQ(0, xioctl(test, MBUF_TEST_UNLISTEN, 0));
		ASSERT_EQ(0, drv_accepts(test).wrong);
		close(test);
	}
	for (i = 0; i < ARRAY_SIZE(m); i++) {
		atomic_store(&m[i].stop, true);
		pthread_join(m[i].thread, NULL);
		EXPECT_EQ(0, m[i].odd);
		EXPECT_GT(m[i].connected, 0);
		EXPECT_GT(m[i].refused, 0);
	}
	TH_LOG("%u rounds, %u connected, %u not", r.round,
	       m[0].connected + m[1].connected, m[0].refused + m[1].refused);
}

struct acceptors {
	int listener;
	_Atomic bool stop;
	unsigned int accepted;
	unsigned int seed;
	pthread_t thread;
};

static void *acceptors_main(void *arg)
{
	struct acceptors *s = arg;

	while (!atomic_load(&s->stop)) {
		unsigned int dice = (unsigned int)rand_r(&s->seed);
		struct mbuf_accept a = accept_of(dice & 1 ? MBUF_ACCEPT_ASK : 0,
						 now_ns() + 10 * NS_PER_MS);
		struct mbuf_approve yes = { .verdict = 1 };

		if (xioctl(s->listener, MBUF_IOC_ACCEPT, &a))
			continue;
		s->accepted++;
		if (dice & 2)
			xioctl(a.end.ref.fd, MBUF_IOC_APPROVE, &yes);
		if (dice & 4)
			ch_put(a.end.ref.fd, dice);
		close(a.end.ref.fd);
	}
	return NULL;
}

/* A driver connects and closes, sends from interrupts or gives up. */
TEST_F(names, race_connect)
{
	struct acceptors s = { .seed = 1 };
	struct race r = race_begin();
	unsigned int done = 0, seed = 7;

	self->listener = make_listener(self->session, NAME, 2);
	ASSERT_GE(self->listener, 0);
	s.listener = self->listener;
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, acceptors_main, &s));
	ASSERT_EQ(0, drv_timer(self->test, 50000, 0, 0));
	for (; race_goes_on(&r); r.round++) {
		unsigned int dice = (unsigned int)rand_r(&seed);
		int ret = drv_dial(self->test, NAME,
				   dice & 1 ? MBUF_TEST_RECEIVE : 0,
				   dice & 2 ? dice % 2000 * 1000 :
					      60 * NS_PER_SEC);

		if (!ret) {
			done++;
			ASSERT_EQ(0, xioctl(self->test, MBUF_TEST_CLOSE, 0));
			continue;
		}
		ASSERT_TRUE(ret == -ECONNREFUSED || ret == -EAGAIN ||
			    ret == -ETIMEDOUT) {
			TH_LOG("CONNECT: %s", mbuf_strerror(ret));
		}
	}
	ASSERT_EQ(0, drv_timer(self->test, 0, 0, 0));
	atomic_store(&s.stop, true);
	pthread_join(s.thread, NULL);
	EXPECT_GT(done, 0);
	EXPECT_GT(s.accepted, 0);
	TH_LOG("%u rounds, %u connected, %u accepted", r.round, done, s.accepted);
}

TEST_HARNESS_MAIN
