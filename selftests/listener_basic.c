// SPDX-License-Identifier: GPL-2.0
/*
 * Listeners: names, connecting, accepting, and how each of it ends.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include "listener.h"

/* The whole way, with a value in each direction. */
TEST_F(listener, one)
{
	struct mbuf_channel_info con, acc;
	struct caller c;

	make_listener(0200, 1);
	ASSERT_TRUE(accept_start(&c, self->lfd, 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(self->lfd, 1);
	self->con = ls_connect(self->session, 0, MBUF_FOREVER);
	ASSERT_GE(self->con, 0);
	self->acc = caller_join(&c);
	ASSERT_GE(self->acc, 0);
	EXPECT_NE(self->con, self->acc);

	ASSERT_EQ(0, ch_put(self->con, 1));
	ASSERT_EQ(1, ch_take(self->acc, MBUF_NOW));
	ASSERT_EQ(0, ch_put(self->acc, 2));
	ASSERT_EQ(2, ch_take(self->con, MBUF_NOW));

	con = ch_info(self->con);
	acc = ch_info(self->acc);
	EXPECT_EQ(con.id, acc.peer_id);
	EXPECT_EQ(acc.id, con.peer_id);
	EXPECT_EQ(acc.id, c.accept.end.id);
	EXPECT_EQ(0, con.state);
	EXPECT_EQ(0, acc.state);
	/* It lives on without the listener, and without the session. */
	close_fd(&self->lfd);
	ASSERT_EQ(0, ch_put(self->con, 3));
	ASSERT_EQ(3, ch_take(self->acc, MBUF_NOW));
	EXPECT_EQ(POLLOUT, poll_now(self->con, POLLIN | POLLOUT));
}

TEST_F(listener, descriptors)
{
	struct mbuf_listen l = listen_of(NAME, NAME_LEN, 0600, 2);
	struct mbuf_accept_queue q = {
		.backlog = 1,
		.flags = MBUF_LISTEN_DETACHED | MBUF_LISTEN_NONBLOCK,
	};
	struct mbuf_connect c = connect_of(NAME, NAME_LEN, MBUF_CONNECT_ASYNC,
					   MBUF_FOREVER);
	struct mbuf_accept a = accept_of(0, MBUF_FOREVER);

	l.flags |= MBUF_LISTEN_NONBLOCK;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_LISTEN, &l));
	self->lfd = l.listener.fd;
	EXPECT_NE(0, l.id);
	EXPECT_EQ(O_RDWR | O_NONBLOCK, fcntl(self->lfd, F_GETFL) &
				       (O_ACCMODE | O_NONBLOCK));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->lfd, F_GETFD));
	EXPECT_EQ(l.id, ls_info(self->lfd).id);
	/* That it does not block counts for ACCEPT. */
	EXPECT_EQ(-EAGAIN, ls_accept(self->lfd, 0, MBUF_FOREVER));
	EXPECT_EQ(-EAGAIN, ls_accept(self->lfd, 0, in_ms(10000)));

	ASSERT_EQ(0, xioctl(self->lfd, MBUF_IOC_ACCEPT_QUEUE, &q));
	EXPECT_EQ(O_RDONLY | O_NONBLOCK, fcntl(q.queue.fd, F_GETFL) &
					 (O_ACCMODE | O_NONBLOCK));
	EXPECT_EQ(FD_CLOEXEC, fcntl(q.queue.fd, F_GETFD));
	EXPECT_NE(0, q.id);
	EXPECT_NE(l.id, q.id);
	EXPECT_EQ(q.id, ls_info(q.queue.fd).id);
	EXPECT_EQ(l.id, ls_info(q.queue.fd).listener_id);
	EXPECT_EQ(-EAGAIN, ls_accept(q.queue.fd, 0, MBUF_FOREVER));
	close(q.queue.fd);

	c.end.flags |= MBUF_END_NONBLOCK;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CONNECT, &c));
	self->con = c.end.ref.fd;
	EXPECT_EQ(O_RDWR | O_NONBLOCK, fcntl(self->con, F_GETFL) &
				       (O_ACCMODE | O_NONBLOCK));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->con, F_GETFD));
	EXPECT_EQ(c.end.id, ch_info(self->con).id);

	a.end.flags |= MBUF_END_NONBLOCK;
	ASSERT_EQ(0, xioctl(self->lfd, MBUF_IOC_ACCEPT, &a));
	self->acc = a.end.ref.fd;
	EXPECT_EQ(O_RDWR | O_NONBLOCK, fcntl(self->acc, F_GETFL) &
				       (O_ACCMODE | O_NONBLOCK));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->acc, F_GETFD));
	EXPECT_EQ(-EAGAIN, ch_take(self->acc, MBUF_FOREVER));

	/* There is nothing to read, to write, or to seek. */
	EXPECT_EQ(-EINVAL, xread(self->lfd, &l, sizeof(l)));
	EXPECT_EQ(-EINVAL, xwrite(self->lfd, &l, sizeof(l)));
	EXPECT_EQ(-1, lseek(self->lfd, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
}

TEST_F(listener, query)
{
	EXPECT_EQ(255, self->q.name_max);
	EXPECT_EQ(4096, self->q.backlog_max);
	EXPECT_EQ(4096, self->q.acl_max);
}

/*
 * Names
 */
static const struct {
	const char *bytes;
	size_t len;
} names[] = {
	{ "a", 1 },
	{ "b", 1 },
	{ "A", 1 },
	{ "a\0", 2 },
	{ "a\0b", 3 },
	{ "a\0c", 3 },
	{ "\0", 1 },
	{ "\0\0", 2 },
	{ "\0a", 2 },
	{ "ab", 2 },
	{ "a/b", 3 },
	{ " a", 2 },
	{ "a ", 2 },
	{ "a\n", 2 },
	{ "\xc3\xa9", 2 },		/* e with acute, composed */
	{ "e\xcc\x81", 3 },		/* and decomposed */
	{ "\xff\xfe", 2 },		/* no UTF-8 at all */
	{ "\xc3", 1 },
	{ "\xed\xa0\x80", 3 },		/* half of a surrogate pair */
	{ "\xe2\x80\xae", 3 },		/* right to left from here */
};

TEST_F(listener, names_are_bytes)
{
	int lfd[ARRAY_SIZE(names)];
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_EQ(-ECONNREFUSED,
			  ls_connect_name(self->session, names[i].bytes,
					  names[i].len, 0, MBUF_NOW));
		lfd[i] = ls_listen_name(self->session, names[i].bytes,
					names[i].len, 0200, 1);
		ASSERT_GE(lfd[i], 0) {
			TH_LOG("name %u", i);
		}
	}
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		struct mbuf_listener_info info;
		char back[300];

		EXPECT_EQ(-EADDRINUSE,
			  ls_listen_name(self->session, names[i].bytes,
					 names[i].len, 0200, 1));
		self->con = ls_connect_name(self->session, names[i].bytes,
					    names[i].len, MBUF_CONNECT_ASYNC,
					    MBUF_FOREVER);
		ASSERT_GE(self->con, 0);
		for (j = 0; j < ARRAY_SIZE(names); j++)
			EXPECT_EQ(j == i, ls_info(lfd[j]).pending);
		close_fd(&self->con);

		poison(back, sizeof(back));
		memset(&info, 0, sizeof(info));
		info.name = (uintptr_t)back;
		info.name_len = sizeof(back);
		ASSERT_EQ(0, xioctl(lfd[i], MBUF_IOC_LISTENER_INFO, &info));
		EXPECT_EQ(names[i].len, info.name_len);
		EXPECT_EQ(0, memcmp(back, names[i].bytes, names[i].len));
		EXPECT_TRUE(is_poison(back + names[i].len,
				      sizeof(back) - names[i].len));
	}
	for (i = 0; i < ARRAY_SIZE(names); i++)
		close(lfd[i]);
}

TEST_F(listener, name_lengths)
{
	struct guarded g;
	size_t len;

	for (len = 1; len <= self->q.name_max; len++) {
		ASSERT_TRUE(guarded_alloc(&g, len));
		memset(g.p, 'n', len);
		self->lfd = ls_listen_name(self->session, g.p, len, 0200, 1);
		ASSERT_GE(self->lfd, 0);
		/* Neither longer nor shorter. */
		EXPECT_EQ(len < self->q.name_max ? -EFAULT : -ENAMETOOLONG,
			  ls_connect_name(self->session, g.p, len + 1, 0,
					  MBUF_NOW));
		if (len > 1)
			EXPECT_EQ(-ECONNREFUSED,
				  ls_connect_name(self->session, g.p, len - 1,
						  0, MBUF_NOW));
		self->con = ls_connect_name(self->session, g.p, len,
					    MBUF_CONNECT_ASYNC, MBUF_FOREVER);
		EXPECT_GE(self->con, 0);
		close_fd(&self->con);
		close_fd(&self->lfd);
		guarded_free(&g);
	}
	ASSERT_TRUE(guarded_alloc(&g, len));
	memset(g.p, 'n', len);
	EXPECT_EQ(-ENAMETOOLONG, ls_listen_name(self->session, g.p, len, 0200,
						1));
	EXPECT_EQ(-ENAMETOOLONG, ls_connect_name(self->session, g.p, len, 0,
						 MBUF_NOW));
	EXPECT_EQ(-EINVAL, ls_listen_name(self->session, g.p, 0, 0200, 1));
	EXPECT_EQ(-EINVAL, ls_connect_name(self->session, g.p, 0, 0, MBUF_NOW));
	EXPECT_EQ(-ENAMETOOLONG, ls_listen_name(self->session, g.p, UINT32_MAX,
						0200, 1));
	guarded_free(&g);
}

/* The name of which a part is no memory is no name. */
TEST_F(listener, name_addresses)
{
	const uint64_t wild[] = { 0, 1, 4096, 0x800000000000ull,
				  0xffff888000000000ull, (uint64_t)-1 };
	struct mbuf_listen l;
	struct mbuf_connect c;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wild); i++) {
		l = listen_of(NULL, 5, 0200, 1);
		l.name = wild[i];
		EXPECT_EQ(-EFAULT, xioctl(self->session, MBUF_IOC_LISTEN, &l));
		c = connect_of(NULL, 5, 0, MBUF_NOW);
		c.name = wild[i];
		EXPECT_EQ(-EFAULT, xioctl(self->session, MBUF_IOC_CONNECT,
					  &c));
	}
}

/* As many as one may have, of which many are in one chain of the table. */
TEST_F(listener, many_names)
{
	enum { NR = 3000 };
	char name[32];
	int *fd, i, len;

	fd = calloc(NR, sizeof(*fd));
	ASSERT_NE(NULL, fd);
	{
		struct rlimit rl = { NR + 100, NR + 100 };

		if (setrlimit(RLIMIT_NOFILE, &rl))
			SKIP(goto out, "needs %d descriptors", NR);
	}
	for (i = 0; i < NR; i++) {
		len = snprintf(name, sizeof(name), "many/%d", i);
		fd[i] = ls_listen_name(self->session, name, (size_t)len, 0200,
				       1);
		ASSERT_GE(fd[i], 0);
	}
	for (i = 0; i < NR; i++) {
		len = snprintf(name, sizeof(name), "many/%d", i);
		self->con = ls_connect_name(self->session, name, (size_t)len,
					    MBUF_CONNECT_ASYNC, MBUF_FOREVER);
		ASSERT_GE(self->con, 0);
		ASSERT_EQ(1, ls_info(fd[i]).pending);
		close_fd(&self->con);
		close(fd[i]);
		ASSERT_EQ(-ECONNREFUSED,
			  ls_connect_name(self->session, name, (size_t)len, 0,
					  MBUF_NOW));
	}
out:
	free(fd);
}

/* A name is free as soon as the last descriptor is closed. */
TEST_F(listener, name_is_free_again)
{
	int i, fd;

	for (i = 0; i < 200; i++) {
		make_listener(0200, 1);
		EXPECT_EQ(-EADDRINUSE, ls_listen(self->session, 0200, 1));
		fd = dup(self->lfd);
		close_fd(&self->lfd);
		EXPECT_EQ(-EADDRINUSE, ls_listen(self->session, 0200, 1));
		close(fd);
	}
	/* What it leaves behind does not keep the name. */
	make_listener(0200, 1);
	fd = ls_queue(self->lfd, 1);
	ASSERT_GE(fd, 0);
	self->con = ls_connect(self->session, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	ASSERT_GE(self->con, 0);
	close_fd(&self->lfd);
	make_listener(0200, 1);
	EXPECT_EQ(0, ls_info(self->lfd).pending);
	EXPECT_NE(ls_info(self->lfd).id, ls_info(fd).listener_id);
	close(fd);
}

struct holder {
	int session;
	struct stage *stage;
};

static int hold_name(void *arg)
{
	struct holder *h = arg;
	int fd = ls_listen(h->session, 0200, 1);

	CHECK(fd >= 0);
	stage_go(h->stage, 1);
	for (;;)
		ls_accept(fd, 0, MBUF_FOREVER);
}

/* Also if the holder is killed, asleep in the kernel or not. */
TEST_F(listener, name_is_free_after_sigkill)
{
	struct stage *stage = map_shared(sizeof(*stage));
	struct holder h = { self->session, stage };
	pid_t pid;
	int i;

	ASSERT_NE(NULL, stage);
	for (i = 0; i < 50; i++) {
		atomic_store(&stage->step, 0);
		pid = spawn(hold_name, &h);
		ASSERT_TRUE(stage_wait(stage, 1));
		EXPECT_EQ(-EADDRINUSE, ls_listen(self->session, 0200, 1));
		ASSERT_EQ(128 + SIGKILL, kill_and_reap(pid));
		self->lfd = ls_listen(self->session, 0200, 1);
		ASSERT_GE(self->lfd, 0) {
			TH_LOG("round %d", i);
		}
		close_fd(&self->lfd);
	}
	munmap(stage, sizeof(*stage));
}

/* Of many who want one name, one gets it. */
struct rush {
	int session;
	int *got;
	pthread_barrier_t barrier;
};

static void *rush_main(void *arg)
{
	struct rush *r = arg;
	int fd;

	pthread_barrier_wait(&r->barrier);
	fd = ls_listen(r->session, 0200, 1);
	pthread_barrier_wait(&r->barrier);
	return (void *)(long)fd;
}

TEST_F(listener, one_of_many_gets_the_name)
{
	enum { NR = 8 };
	pthread_t thread[NR];
	struct rush r = { .session = self->session };
	int round, i, got, used;
	void *ret;

	pthread_barrier_init(&r.barrier, NULL, NR);
	for (round = 0; round < 50; round++) {
		for (i = 0; i < NR; i++)
			ASSERT_EQ(0, pthread_create(&thread[i], NULL, rush_main,
						    &r));
		got = 0;
		used = 0;
		for (i = 0; i < NR; i++) {
			pthread_join(thread[i], &ret);
			if ((long)ret >= 0) {
				got++;
				close((int)(long)ret);
			} else if ((long)ret == -EADDRINUSE) {
				used++;
			}
		}
		ASSERT_EQ(1, got);
		ASSERT_EQ(NR - 1, used);
	}
	pthread_barrier_destroy(&r.barrier);
}

/*
 * Network namespaces: that of who opened the session, for good.
 */
TEST_F(listener, names_belong_to_network_namespaces)
{
	int here, there, s_there, l_there, s;

	NEED_ROOT();
	here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(here, 0);
	make_listener(0200, 4);
	if (unshare(CLONE_NEWNET)) {
		close(here);
		SKIP(return, "no network namespaces: %s", strerror(errno));
	}
	there = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(there, 0);

	/* The old session still is where it was opened. */
	self->con = ls_connect(self->session, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	EXPECT_GE(self->con, 0);
	EXPECT_EQ(1, ls_info(self->lfd).pending);
	EXPECT_EQ(-EADDRINUSE, ls_listen(self->session, 0200, 1));

	/* A new one is not. */
	s_there = mbuf_open();
	ASSERT_GE(s_there, 0);
	EXPECT_EQ(-ECONNREFUSED, ls_connect(s_there, 0, MBUF_NOW));
	l_there = ls_listen(s_there, 0200, 4);
	ASSERT_GE(l_there, 0);
	self->acc = ls_connect(s_there, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	ASSERT_GE(self->acc, 0);
	EXPECT_EQ(1, ls_info(l_there).pending);
	EXPECT_EQ(1, ls_info(self->lfd).pending);
	close_pair();

	/* The listener keeps the namespace, and its name, without a session. */
	close(s_there);
	ASSERT_EQ(0, setns(here, CLONE_NEWNET));
	s = mbuf_open();
	ASSERT_GE(s, 0);
	self->con = ls_connect(s, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	ASSERT_GE(self->con, 0);
	EXPECT_EQ(1, ls_info(self->lfd).pending);
	EXPECT_EQ(0, ls_info(l_there).pending);
	close(s);
	ASSERT_EQ(0, setns(there, CLONE_NEWNET));
	s = mbuf_open();
	ASSERT_GE(s, 0);
	self->acc = ls_connect(s, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	ASSERT_GE(self->acc, 0);
	EXPECT_EQ(1, ls_info(l_there).pending);
	close(s);

	ASSERT_EQ(0, setns(here, CLONE_NEWNET));
	close(l_there);
	EXPECT_EQ(-ECONNREFUSED, ch_put(self->acc, 1));
	close(there);
	close(here);
}

/*
 * Backlog
 */
TEST_F(listener, backlog)
{
	const uint32_t sizes[] = { 1, 2, 7, 64 };
	int con[64];
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		make_listener(0200, sizes[i]);
		EXPECT_EQ(sizes[i], ls_info(self->lfd).backlog);
		for (n = 0; n < sizes[i]; n++) {
			con[n] = ls_hello(self->session, n);
			ASSERT_GE(con[n], 0);
			ASSERT_EQ(n + 1, ls_info(self->lfd).pending);
		}
		/* In all ways. */
		EXPECT_EQ(-EAGAIN, ls_hello(self->session, n));
		EXPECT_EQ(-EAGAIN, ls_connect(self->session, 0, MBUF_FOREVER));
		EXPECT_EQ(-EAGAIN, ls_connect(self->session, 0, in_ms(9999)));
		EXPECT_EQ(-EAGAIN, ls_connect(self->session, 0, MBUF_NOW));
		EXPECT_EQ(4, ls_info(self->lfd).overflowed);
		EXPECT_EQ(sizes[i], ls_info(self->lfd).pending);

		/* One in, one out, in order. */
		EXPECT_EQ(0, ls_accept_num(self->lfd, MBUF_NOW));
		self->con = ls_hello(self->session, n);
		EXPECT_GE(self->con, 0);
		EXPECT_EQ(-EAGAIN, ls_hello(self->session, n));
		for (n = 1; n <= sizes[i]; n++)
			EXPECT_EQ(n, ls_accept_num(self->lfd, MBUF_NOW));
		EXPECT_EQ(-EAGAIN, ls_accept_num(self->lfd, MBUF_NOW));
		EXPECT_EQ(sizes[i] + 1, ls_info(self->lfd).accepted);
		for (n = 0; n < sizes[i]; n++)
			close(con[n]);
		close_fd(&self->con);
		close_fd(&self->lfd);
	}
}

TEST_F(listener, backlog_changes)
{
	int con[8], n;

	make_listener(0200, 4);
	for (n = 0; n < 4; n++) {
		con[n] = ls_hello(self->session, (uint64_t)n);
		ASSERT_GE(con[n], 0);
	}
	/* What waits stays. */
	ASSERT_EQ(0, ls_set_backlog(self->lfd, 2));
	EXPECT_EQ(2, ls_info(self->lfd).backlog);
	EXPECT_EQ(4, ls_info(self->lfd).pending);
	EXPECT_EQ(-EAGAIN, ls_hello(self->session, 4));
	EXPECT_EQ(0, ls_accept_num(self->lfd, MBUF_NOW));
	EXPECT_EQ(1, ls_accept_num(self->lfd, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, ls_hello(self->session, 4));
	EXPECT_EQ(2, ls_accept_num(self->lfd, MBUF_NOW));
	con[4] = ls_hello(self->session, 4);
	EXPECT_GE(con[4], 0);
	EXPECT_EQ(-EAGAIN, ls_hello(self->session, 5));
	/* And there is room at once. */
	ASSERT_EQ(0, ls_set_backlog(self->lfd, 3));
	con[5] = ls_hello(self->session, 5);
	EXPECT_GE(con[5], 0);
	EXPECT_EQ(-EAGAIN, ls_hello(self->session, 6));
	for (n = 3; n < 6; n++)
		EXPECT_EQ(n, ls_accept_num(self->lfd, MBUF_NOW));
	for (n = 0; n < 6; n++)
		close(con[n]);

	EXPECT_EQ(-EINVAL, ls_set_backlog(self->lfd, 0));
	EXPECT_EQ(-EINVAL, ls_set_backlog(self->lfd, 4097));
	EXPECT_EQ(0, ls_set_backlog(self->lfd, 4096));
}

/* Without a queue of its own. */
TEST_F(listener, no_backlog)
{
	int q;

	make_listener(0200, 0);
	EXPECT_EQ(0, ls_info(self->lfd).backlog);
	EXPECT_EQ(0, ls_info(self->lfd).queues);
	EXPECT_EQ(-EINVAL, ls_accept(self->lfd, 0, MBUF_NOW));
	EXPECT_EQ(-EINVAL, ls_set_backlog(self->lfd, 1));
	EXPECT_EQ(-EAGAIN, ls_hello(self->session, 1));
	EXPECT_EQ(0, poll_now(self->lfd, POLLIN));

	q = ls_queue(self->lfd, 1);
	ASSERT_GE(q, 0);
	EXPECT_EQ(1, ls_info(self->lfd).queues);
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	EXPECT_EQ(0, poll_now(self->lfd, POLLIN));
	EXPECT_EQ(POLLIN, poll_now(q, POLLIN));
	EXPECT_EQ(1, ls_accept_num(q, MBUF_NOW));
	close(q);
	EXPECT_EQ(0, ls_info(self->lfd).queues);
	EXPECT_EQ(-EAGAIN, ls_hello(self->session, 1));
}

/*
 * CONNECT that does not wait
 */
TEST_F(listener, now)
{
	struct caller c;
	int i;

	make_listener(0200, 4);
	/* Nobody waits: the same for a session that does not block. */
	EXPECT_EQ(-EAGAIN, ls_connect(self->session, 0, MBUF_NOW));
	ASSERT_EQ(0, set_nonblock(self->session, true));
	EXPECT_EQ(-EAGAIN, ls_connect(self->session, 0, MBUF_FOREVER));
	EXPECT_EQ(-EAGAIN, ls_connect(self->session, 0, in_ms(10000)));
	EXPECT_EQ(0, ls_info(self->lfd).pending);
	/* There is room, so it is none that found none. */
	EXPECT_EQ(0, ls_info(self->lfd).overflowed);
	/* Not waiting for who accepts is another thing. */
	self->con = ls_connect(self->session, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	EXPECT_GE(self->con, 0);
	close_fd(&self->con);

	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(accept_start(&c, self->lfd, 0, MBUF_FOREVER));
		ASSERT_ACCEPTERS(self->lfd, 1);
		self->con = ls_connect(self->session, 0,
				       i ? MBUF_FOREVER : MBUF_NOW);
		EXPECT_GE(self->con, 0);
		self->acc = caller_join(&c);
		EXPECT_GE(self->acc, 0);
		EXPECT_EQ(0, ch_put(self->con, 7));
		EXPECT_EQ(7, ch_take(self->acc, MBUF_NOW));
		close_pair();
		EXPECT_EQ(-EAGAIN, ls_connect(self->session, 0, MBUF_NOW));
	}
	ASSERT_EQ(0, set_nonblock(self->session, false));
}

/*
 * CONNECT that does not wait until it is accepted
 */
TEST_F(listener, async_until_accepted)
{
	struct mbuf_channel_info info;
	int i;

	make_listener(0200, 1);
	self->con = ls_connect(self->session, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	ASSERT_GE(self->con, 0);
	info = ch_info(self->con);
	EXPECT_EQ(MBUF_END_PENDING, info.state);
	EXPECT_EQ(0, info.peer.flags);
	EXPECT_EQ(0, info.peer.pid);
	EXPECT_EQ(0, poll_now(self->con, POLLIN | POLLOUT));
	EXPECT_EQ(-EAGAIN, ch_take(self->con, MBUF_NOW));

	/* It can be used at once. */
	for (i = 1; i <= 3; i++)
		ASSERT_EQ(0, ch_put(self->con, (uint64_t)i));
	self->acc = ls_accept(self->lfd, 0, MBUF_NOW);
	ASSERT_GE(self->acc, 0);
	EXPECT_EQ(POLLOUT, poll_now(self->con, POLLIN | POLLOUT));
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(self->acc, POLLIN | POLLOUT));
	EXPECT_EQ(0, ch_info(self->con).state);
	EXPECT_EQ((uint32_t)getpid(), ch_info(self->con).peer.pid);
	EXPECT_EQ(3, ch_info(self->acc).seq);
	EXPECT_EQ(3, ch_wait(self->acc, MBUF_NOW));
	EXPECT_EQ(3, ch_look(self->acc));
}

TEST_F(listener, async_refused)
{
	make_listener(0200, 1);
	self->con = ls_hello(self->session, 1);
	ASSERT_GE(self->con, 0);
	close_fd(&self->lfd);
	EXPECT_EQ(POLLHUP, poll_now(self->con, POLLIN | POLLOUT));
	EXPECT_EQ(MBUF_END_CLOSED | MBUF_END_REFUSED, ch_info(self->con).state);
	EXPECT_EQ(-ECONNREFUSED, ch_put(self->con, 1));
	EXPECT_EQ(-ECONNREFUSED, ch_signal(self->con));
	EXPECT_EQ(-ECONNREFUSED, ch_wait(self->con, MBUF_FOREVER));
	EXPECT_EQ(-ECONNREFUSED, ch_wait(self->con, MBUF_NOW));
	EXPECT_EQ(0, ch_look(self->con));
	EXPECT_EQ(-ECONNREFUSED, fd_put(self->con, 1));
	EXPECT_EQ(-ECONNREFUSED, fd_take(self->con));
}

/* Somebody waits at the endpoint while it is decided. */
TEST_F(listener, async_waiter)
{
	struct waiter w;
	int how;

	for (how = 0; how < 3; how++) {
		make_listener(0200, 1);
		self->con = ls_hello(self->session, 1);
		ASSERT_GE(self->con, 0);
		ASSERT_TRUE(waiter_start(&w, WAY_TAKE, self->session,
					 self->con));
		ASSERT_ASLEEP(self->con);
		if (how == 0) {
			/* That it is accepted is no signal. */
			self->acc = ls_accept(self->lfd, 0, MBUF_NOW);
			ASSERT_GE(self->acc, 0);
			EXPECT_EQ(1, ch_info(self->con).waiters);
			ASSERT_EQ(0, ch_put(self->acc, 8));
			EXPECT_EQ(0, waiter_join(&w));
			EXPECT_EQ(8, waiter_num(&w));
		} else if (how == 1) {
			close_fd(&self->lfd);
			EXPECT_EQ(-ECONNREFUSED, waiter_join(&w));
		} else {
			self->acc = ls_accept(self->lfd, MBUF_ACCEPT_ASK,
					      MBUF_NOW);
			ASSERT_GE(self->acc, 0);
			EXPECT_EQ(0, ls_approve(self->acc, 0));
			EXPECT_EQ(-ECONNREFUSED, waiter_join(&w));
		}
		close_pair();
		close_fd(&self->lfd);
	}
}

/*
 * How CONNECT ends without a connection
 */
TEST_F(listener, nobody_listens)
{
	struct caller c;

	EXPECT_EQ(-ECONNREFUSED, ls_connect(self->session, 0, MBUF_FOREVER));
	EXPECT_EQ(-ECONNREFUSED, ls_connect(self->session, 0, in_ms(9999)));
	EXPECT_EQ(-ECONNREFUSED, ls_connect(self->session, 0, MBUF_NOW));
	EXPECT_EQ(-ECONNREFUSED, ls_connect(self->session, MBUF_CONNECT_ASYNC,
					    MBUF_FOREVER));

	/* Or not any more. */
	make_listener(0200, 1);
	ASSERT_TRUE(connect_start(&c, self->session, 0, MBUF_FOREVER));
	ASSERT_PENDING(self->lfd, 1);
	ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(c.tid, MBUF_IOC_CONNECT)));
	close_fd(&self->lfd);
	EXPECT_EQ(-ECONNREFUSED, caller_join(&c));
	/* Nothing was written. */
	EXPECT_EQ(-77, c.conn.end.ref.fd);
	EXPECT_EQ(0, c.conn.end.id);
}

TEST_F(listener, connect_deadline)
{
	uint64_t end;

	make_listener(0200, 1);
	end = in_ms(50);
	EXPECT_EQ(-ETIMEDOUT, ls_connect(self->session, 0, end));
	EXPECT_GE(now_ns(), end);
	EXPECT_EQ(0, ls_info(self->lfd).pending);
	EXPECT_EQ(1, ls_info(self->lfd).withdrawn);
	/* One that has passed. */
	EXPECT_EQ(-ETIMEDOUT, ls_connect(self->session, 0, 1));
	EXPECT_EQ(0, ls_info(self->lfd).pending);
	EXPECT_EQ(2, ls_info(self->lfd).withdrawn);
	EXPECT_EQ(-EAGAIN, ls_accept(self->lfd, 0, MBUF_NOW));
	EXPECT_EQ(0, ls_info(self->lfd).accepted);
}

TEST_F(listener, connect_signal)
{
	struct caller c;

	/* Without SA_RESTART it ends. */
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_listener(0200, 1);
	ASSERT_TRUE(connect_start(&c, self->session, 0, MBUF_FOREVER));
	ASSERT_PENDING(self->lfd, 1);
	ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(c.tid, MBUF_IOC_CONNECT)));
	pthread_kill(c.thread, SIGUSR1);
	EXPECT_EQ(-EINTR, caller_join(&c));
	EXPECT_EQ(0, ls_info(self->lfd).pending);
	EXPECT_EQ(1, ls_info(self->lfd).withdrawn);
	EXPECT_EQ(-77, c.conn.end.ref.fd);

	/* With it, it begins again: as another one. */
	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	ASSERT_TRUE(connect_start(&c, self->session, 0, MBUF_FOREVER));
	ASSERT_PENDING(self->lfd, 1);
	ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(c.tid, MBUF_IOC_CONNECT)));
	pthread_kill(c.thread, SIGUSR1);
	ASSERT_TRUE(EVENTUALLY(ls_info(self->lfd).withdrawn == 2 &&
			       ls_info(self->lfd).pending == 1));
	EXPECT_EQ(1, signals_seen);
	self->acc = ls_accept(self->lfd, 0, MBUF_NOW);
	ASSERT_GE(self->acc, 0);
	self->con = caller_join(&c);
	ASSERT_GE(self->con, 0);
	EXPECT_EQ(0, ch_put(self->con, 3));
	EXPECT_EQ(3, ch_take(self->acc, MBUF_NOW));
}

struct client {
	int session;
	uint64_t deadline;
	uint32_t flags;
};

static int client_main(void *arg)
{
	struct client *cl = arg;
	int fd = ls_connect(cl->session, cl->flags, cl->deadline);

	if (fd < 0)
		return -fd;
	/* Until it is killed. */
	for (;;)
		pause();
}

TEST_F(listener, connector_is_killed)
{
	struct client cl = { self->session, MBUF_FOREVER, 0 };
	pid_t pid;
	int i;

	make_listener(0200, 4);
	for (i = 0; i < 2; i++) {
		cl.flags = i ? MBUF_CONNECT_ASYNC : 0;
		pid = spawn(client_main, &cl);
		ASSERT_PENDING(self->lfd, 1);
		EXPECT_EQ(POLLIN, poll_now(self->lfd, POLLIN));
		ASSERT_EQ(128 + SIGKILL, kill_and_reap(pid));
		EXPECT_EQ(0, ls_info(self->lfd).pending);
		EXPECT_EQ(0, poll_now(self->lfd, POLLIN));
		EXPECT_EQ(i + 1, ls_info(self->lfd).withdrawn);
		EXPECT_EQ(-EAGAIN, ls_accept(self->lfd, 0, MBUF_NOW));
	}
}

/* In the middle of others, which stay in order. */
TEST_F(listener, withdrawn_from_the_middle)
{
	int con[5], i;

	make_listener(0200, 5);
	for (i = 0; i < 5; i++) {
		con[i] = ls_hello(self->session, (uint64_t)i + 1);
		ASSERT_GE(con[i], 0);
	}
	close(con[2]);
	EXPECT_EQ(4, ls_info(self->lfd).pending);
	close(con[0]);
	close(con[4]);
	EXPECT_EQ(2, ls_info(self->lfd).pending);
	EXPECT_EQ(3, ls_info(self->lfd).withdrawn);
	EXPECT_EQ(2, ls_accept_num(self->lfd, MBUF_NOW));
	EXPECT_EQ(4, ls_accept_num(self->lfd, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, ls_accept_num(self->lfd, MBUF_NOW));
	close(con[1]);
	close(con[3]);
}

/* Results that cannot be written are found before anybody hears of it. */
TEST_F(listener, connect_read_only)
{
	struct mbuf_connect *c = map_pages(page_size(), PROT_READ | PROT_WRITE);
	struct caller a;

	ASSERT_NE(NULL, c);
	make_listener(0200, 1);
	*c = connect_of(NAME, NAME_LEN, 0, MBUF_FOREVER);
	ASSERT_EQ(0, mprotect(c, page_size(), PROT_READ));
	EXPECT_EQ(-EFAULT, xioctl(self->session, MBUF_IOC_CONNECT, c));
	ASSERT_TRUE(accept_start(&a, self->lfd, 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(self->lfd, 1);
	EXPECT_EQ(-EFAULT, xioctl(self->session, MBUF_IOC_CONNECT, c));
	EXPECT_EQ(1, ls_info(self->lfd).waiters);
	EXPECT_EQ(0, ls_info(self->lfd).withdrawn);
	munmap(c, page_size());

	self->con = ls_connect(self->session, 0, MBUF_FOREVER);
	EXPECT_GE(self->con, 0);
	self->acc = caller_join(&a);
	EXPECT_GE(self->acc, 0);
}

/*
 * How listeners end
 */
TEST_F(listener, listener_ends)
{
	struct caller a[2], c[2];
	int q[2], i, con[2];

	make_listener(0200, 1);
	for (i = 0; i < 2; i++) {
		q[i] = ls_queue(self->lfd, 1);
		ASSERT_GE(q[i], 0);
	}
	/* One waits for a connection, two for being accepted, two do not. */
	ASSERT_TRUE(accept_start(&a[0], q[0], 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(q[0], 1);
	self->con = ls_connect(self->session, 0, MBUF_NOW);
	ASSERT_GE(self->con, 0);
	self->acc = caller_join(&a[0]);
	ASSERT_GE(self->acc, 0);
	for (i = 0; i < 2; i++) {
		con[i] = ls_hello(self->session, 1);
		ASSERT_GE(con[i], 0);
	}
	ASSERT_TRUE(connect_start(&c[0], self->session, 0, MBUF_FOREVER));
	ASSERT_TRUE(EVENTUALLY(ls_info(self->lfd).pending +
			       ls_info(q[0]).pending +
			       ls_info(q[1]).pending == 3));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(POLLIN, poll_now(q[i], POLLIN));

	close_fd(&self->lfd);
	EXPECT_EQ(-ECONNREFUSED, caller_join(&c[0]));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-ECONNREFUSED, ch_put(con[i], 1));
		close(con[i]);
		EXPECT_EQ(POLLHUP, poll_now(q[i], POLLIN));
		EXPECT_EQ(-EPIPE, ls_accept(q[i], 0, MBUF_FOREVER));
		EXPECT_EQ(-EPIPE, ls_accept(q[i], 0, MBUF_NOW));
		EXPECT_EQ(0, ls_info(q[i]).pending);
		EXPECT_EQ(0, ls_info(q[i]).withdrawn);
		close(q[i]);
	}
	/* What was accepted is not concerned. */
	EXPECT_EQ(0, ch_put(self->con, 1));
	EXPECT_EQ(1, ch_take(self->acc, MBUF_NOW));
}

/* Who waits in ACCEPT hears of the end, all of them. */
TEST_F(listener, accepters_hear_of_the_end)
{
	enum { NR = 6 };
	struct caller a[NR];
	int q[2], i;

	make_listener(0200, 0);
	for (i = 0; i < 2; i++) {
		q[i] = ls_queue(self->lfd, 1);
		ASSERT_GE(q[i], 0);
	}
	for (i = 0; i < NR; i++)
		ASSERT_TRUE(accept_start(&a[i], q[i % 2], 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(q[0], NR / 2);
	ASSERT_ACCEPTERS(q[1], NR / 2);
	close_fd(&self->lfd);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(-EPIPE, caller_join(&a[i]));
	EXPECT_EQ(0, ls_info(q[0]).waiters);
	close(q[0]);
	close(q[1]);
}

/* Closing in another thread does not disturb ACCEPT, as with pipes. */
TEST_F(listener, close_while_accepting)
{
	struct caller a;
	int q;

	make_listener(0200, 0);
	q = ls_queue(self->lfd, 1);
	ASSERT_GE(q, 0);
	ASSERT_TRUE(accept_start(&a, q, 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(q, 1);
	close(q);
	self->con = ls_connect(self->session, 0, MBUF_FOREVER);
	ASSERT_GE(self->con, 0);
	self->acc = caller_join(&a);
	EXPECT_GE(self->acc, 0);
	EXPECT_EQ(-EAGAIN, ls_hello(self->session, 1));
}

/*
 * Looking at it
 */
TEST_F(listener, info)
{
	struct mbuf_listener_info info;
	char room[NAME_LEN + 1];
	int q, fd;

	make_listener(0640, 3);
	q = ls_queue(self->lfd, 5);
	ASSERT_GE(q, 0);
	ASSERT_EQ(0, ls_acl(self->lfd, UID_A, MBUF_ACL_ALLOW));
	fd = ls_hello(self->session, 1);
	ASSERT_GE(fd, 0);

	info = ls_info(self->lfd);
	EXPECT_EQ(info.listener_id, info.id);
	EXPECT_EQ(NAME_LEN, info.name_len);
	EXPECT_EQ(0640, info.mode);
	EXPECT_EQ(geteuid(), info.uid);
	EXPECT_EQ(getegid(), info.gid);
	EXPECT_EQ(3, info.backlog);
	EXPECT_EQ(2, info.queues);
	EXPECT_EQ(1, info.acl_nr);
	EXPECT_EQ(0, info.resv);
	EXPECT_EQ(0, info.waiters);
	EXPECT_EQ(1, info.pending + ls_info(q).pending);
	EXPECT_EQ(0, info.accepted + info.denied + info.overflowed +
		     info.withdrawn);
	EXPECT_EQ(5, ls_info(q).backlog);
	EXPECT_EQ(info.id, ls_info(q).listener_id);
	EXPECT_NE(info.id, ls_info(q).id);
	EXPECT_EQ(0640, ls_info(q).mode);
	close(fd);
	EXPECT_EQ(1, ls_info(q).withdrawn);

	/* The name only if there is room for all of it. */
	poison(&info, sizeof(info));
	poison(room, sizeof(room));
	info.target = 0;
	info.name = (uintptr_t)room;
	info.name_len = NAME_LEN - 1;
	EXPECT_EQ(-EMSGSIZE, xioctl(q, MBUF_IOC_LISTENER_INFO, &info));
	EXPECT_EQ(NAME_LEN, info.name_len);
	EXPECT_TRUE(is_poison(room, sizeof(room)));
	EXPECT_TRUE(is_poison(&info.id, 16));
	EXPECT_TRUE(is_poison(&info.mode, sizeof(info) -
			      offsetof(struct mbuf_listener_info, mode)));
	info.name_len = NAME_LEN;
	EXPECT_EQ(0, xioctl(q, MBUF_IOC_LISTENER_INFO, &info));
	EXPECT_EQ(0, memcmp(room, NAME, NAME_LEN));
	EXPECT_TRUE(is_poison(room + NAME_LEN, 1));
	EXPECT_EQ((uintptr_t)room, info.name);
	info.name = 8;
	EXPECT_EQ(-EFAULT, xioctl(q, MBUF_IOC_LISTENER_INFO, &info));
	close(q);
}

TEST_F(listener, fdinfo)
{
	char path[64], text[2000];
	int fd[2], i;

	self->lfd = ls_listen_name(self->session, "a\\b\0\xc3\xa9 z", 8, 0620,
				   7);
	ASSERT_GE(self->lfd, 0);
	fd[0] = self->lfd;
	fd[1] = ls_queue(self->lfd, 9);
	ASSERT_GE(fd[1], 0);
	ASSERT_EQ(0, ls_acl(self->lfd, UID_A, MBUF_ACL_DENY));
	for (i = 0; i < 2; i++) {
		struct mbuf_listener_info info = ls_info(fd[i]);
		char id[32];

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd[i]);
		ASSERT_TRUE(read_file(path, text, sizeof(text)));
		EXPECT_STREQ(i ? "accept-queue" : "listener",
			     fdinfo_value(text, "mbuf-type"));
		snprintf(id, sizeof(id), "%016llx", info.id);
		EXPECT_STREQ(id, fdinfo_value(text, "mbuf-id"));
		snprintf(id, sizeof(id), "%016llx", info.listener_id);
		EXPECT_STREQ(id, fdinfo_value(text, "mbuf-listener-id"));
		EXPECT_STREQ("a\\x5cb\\x00\\xc3\\xa9 z",
			     fdinfo_value(text, "mbuf-name"));
		EXPECT_STREQ("0620", fdinfo_value(text, "mbuf-mode"));
		EXPECT_FDINFO(geteuid(), text, "mbuf-uid");
		EXPECT_FDINFO(getegid(), text, "mbuf-gid");
		EXPECT_FDINFO(i ? 9 : 7, text, "mbuf-backlog");
		EXPECT_FDINFO(0, text, "mbuf-pending");
		EXPECT_FDINFO(0, text, "mbuf-waiters");
		EXPECT_FDINFO(2, text, "mbuf-queues");
		EXPECT_FDINFO(1, text, "mbuf-acl");
		EXPECT_FDINFO(0, text, "mbuf-accepted");
		EXPECT_FDINFO(0, text, "mbuf-denied");
		EXPECT_FDINFO(0, text, "mbuf-overflowed");
		EXPECT_FDINFO(0, text, "mbuf-withdrawn");
	}
	close(fd[1]);
}

/*
 * poll and epoll
 */
TEST_F(listener, poll)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep, con[3], i;

	make_listener(0200, 3);
	ep = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_GE(ep, 0);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->lfd, &ev));
	EXPECT_EQ(0, poll_now(self->lfd, POLL_ALL));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	for (i = 0; i < 3; i++) {
		con[i] = ls_hello(self->session, 1);
		ASSERT_GE(con[i], 0);
		EXPECT_EQ(POLLIN, poll_now(self->lfd, POLLIN | POLLOUT));
		/* An edge for each: they are for several threads. */
		EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 0));
		EXPECT_EQ(EPOLLIN, ev.events);
		EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	}
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(POLLIN, poll_now(self->lfd, POLLIN));
		close(con[i]);
	}
	EXPECT_EQ(0, poll_now(self->lfd, POLLIN));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	close(ep);
}

/* Who waits in ACCEPT is handed it: who polls is not woken in vain. */
TEST_F(listener, poll_beside_accept)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	struct caller a;
	int ep;

	make_listener(0200, 3);
	ep = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_GE(ep, 0);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->lfd, &ev));
	ASSERT_TRUE(accept_start(&a, self->lfd, 0, MBUF_FOREVER));
	ASSERT_ACCEPTERS(self->lfd, 1);
	self->con = ls_connect(self->session, 0, MBUF_FOREVER);
	ASSERT_GE(self->con, 0);
	self->acc = caller_join(&a);
	ASSERT_GE(self->acc, 0);
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	close(ep);
}

/*
 * Sets
 */
TEST_F(listener, attached_by_default)
{
	struct mbuf_listen l = listen_of(NAME, NAME_LEN, 0200, 2);
	struct mbuf_accept_queue q = { .backlog = 1, .cookie = 12 };
	struct mbuf_connect c = connect_of(NAME, NAME_LEN, MBUF_CONNECT_ASYNC,
					   MBUF_FOREVER);
	struct mbuf_accept a = accept_of(0, MBUF_NOW);
	struct mbuf_event ev[8];

	l.flags = 0;
	l.cookie = 11;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_LISTEN, &l));
	self->lfd = l.listener.fd;
	ASSERT_EQ(0, xioctl(self->lfd, MBUF_IOC_ACCEPT_QUEUE, &q));
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, ev, 8, MBUF_NOW));

	/* Three: both queues have something. */
	c.end.flags = 0;
	c.end.cookie = 13;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CONNECT, &c));
	self->con = c.end.ref.fd;
	ASSERT_EQ(1, ch_poll_all(self->session, ev, 8, MBUF_NOW));
	EXPECT_EQ(MBUF_EVENT_IN, ev[0].events);
	EXPECT_TRUE(ev[0].cookie == 11 || ev[0].cookie == 12);
	self->acc = ls_hello(self->session, 1);
	ASSERT_GE(self->acc, 0);
	ASSERT_EQ(2, ch_poll_all(self->session, ev, 8, MBUF_NOW));
	EXPECT_EQ(MBUF_EVENT_IN, ev[0].events);
	EXPECT_EQ(MBUF_EVENT_IN, ev[1].events);
	EXPECT_EQ(11 + 12, ev[0].cookie + ev[1].cookie);
	close_fd(&self->acc);
	ASSERT_EQ(1, ch_poll_all(self->session, ev, 8, MBUF_NOW));

	/* What is accepted is attached there, too; that it was is told. */
	a.end.flags = 0;
	a.end.cookie = 14;
	ASSERT_EQ(0, xioctl(ev[0].cookie == 11 ? self->lfd : q.queue.fd,
			    MBUF_IOC_ACCEPT, &a));
	self->acc = a.end.ref.fd;
	ASSERT_EQ(1, ch_poll_all(self->session, ev, 8, MBUF_NOW));
	EXPECT_EQ(13, ev[0].cookie);
	EXPECT_EQ(MBUF_EVENT_OUT, ev[0].events);
	ASSERT_EQ(0, ch_put(self->con, 1));
	ASSERT_EQ(1, ch_poll_all(self->session, ev, 8, MBUF_NOW));
	EXPECT_EQ(14, ev[0].cookie);
	EXPECT_EQ(MBUF_EVENT_IN, ev[0].events);
	ASSERT_EQ(1, ch_take(self->acc, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, ev, 8, MBUF_NOW));

	/* The end of the listener is told of the queue. */
	close_fd(&self->lfd);
	ASSERT_EQ(1, ch_poll_all(self->session, ev, 8, MBUF_NOW));
	EXPECT_EQ(12, ev[0].cookie);
	EXPECT_EQ(MBUF_EVENT_HUP, ev[0].events);
	close(q.queue.fd);
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, ev, 8, MBUF_NOW));
}

TEST_F(listener, attach_and_detach)
{
	int other = mbuf_open(), q, i, fd[2];
	struct mbuf_event ev;

	ASSERT_GE(other, 0);
	make_listener(0200, 2);
	q = ls_queue(self->lfd, 2);
	ASSERT_GE(q, 0);
	fd[0] = self->lfd;
	fd[1] = q;
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-ENOENT, ch_detach(self->session, fd[i]));
		EXPECT_EQ(0, ch_attach(self->session, fd[i], 5));
		EXPECT_EQ(-EBUSY, ch_attach(self->session, fd[i], 6));
		EXPECT_EQ(-EBUSY, ch_attach(other, fd[i], 6));
		EXPECT_EQ(-ENOENT, ch_detach(other, fd[i]));
		EXPECT_EQ(0, ch_attach_flags(other, fd[i], 7,
					     MBUF_ATTACH_MOVE));
		EXPECT_EQ(-ENOENT, ch_detach(self->session, fd[i]));
		EXPECT_EQ(0, ch_detach(other, fd[i]));
		EXPECT_EQ(0, ch_attach(self->session, fd[i], 8));
		EXPECT_EQ(0, ch_attach_flags(self->session, fd[i], 9,
					     MBUF_ATTACH_MOVE));
		EXPECT_EQ(0, ch_detach(self->session, fd[i]));
	}
	/* What is ready already is told. */
	self->con = ls_hello(self->session, 1);
	self->acc = ls_hello(self->session, 1);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-EAGAIN, ch_poll_all(other, &ev, 1, MBUF_NOW));
		EXPECT_EQ(0, ch_attach(other, fd[i], 20));
		EXPECT_EQ(1, ch_poll_all(other, &ev, 1, MBUF_NOW));
		EXPECT_EQ(20, ev.cookie);
		EXPECT_EQ(MBUF_EVENT_IN, ev.events);
		EXPECT_EQ(0, ch_detach(other, fd[i]));
	}
	/* The end of the session detaches. */
	EXPECT_EQ(0, ch_attach(other, q, 21));
	EXPECT_EQ(0, ch_attach(other, self->lfd, 22));
	close(other);
	EXPECT_EQ(0, ch_attach(self->session, self->lfd, 23));
	EXPECT_EQ(0, ch_attach(self->session, q, 24));
	close(q);
}

/* A call of POLL_ALL for each connection, as for each signal. */
struct all {
	int session;
	struct mbuf_event ev;
	int ret;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *all_main(void *arg)
{
	struct all *a = arg;

	atomic_store(&a->tid, (pid_t)syscall(SYS_gettid));
	a->ret = ch_poll_all(a->session, &a->ev, 1, MBUF_FOREVER);
	return NULL;
}

TEST_F(listener, poll_all_sleeps)
{
	struct all a[2];
	int i, con[2];

	make_listener(0200, 4);
	ASSERT_EQ(0, ch_attach(self->session, self->lfd, 5));
	for (i = 0; i < 2; i++) {
		memset(&a[i], 0, sizeof(a[i]));
		a[i].session = self->session;
		ASSERT_EQ(0, pthread_create(&a[i].thread, NULL, all_main,
					    &a[i]));
		ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(a[i].tid,
						       MBUF_IOC_POLL_ALL)));
	}
	for (i = 0; i < 2; i++) {
		con[i] = ls_hello(self->session, 1);
		ASSERT_GE(con[i], 0);
	}
	for (i = 0; i < 2; i++) {
		pthread_join(a[i].thread, NULL);
		EXPECT_EQ(1, a[i].ret);
		EXPECT_EQ(5, a[i].ev.cookie);
		EXPECT_EQ(MBUF_EVENT_IN, a[i].ev.events);
		close(con[i]);
	}
}

/* A connection that never was is not told of. */
TEST_F(listener, refused_is_no_event)
{
	struct mbuf_connect conn = connect_of(NAME, NAME_LEN, 0, MBUF_FOREVER);
	struct all all = { .session = self->session };
	struct caller c = { .fd = self->session, .connect = true };
	int end[2];

	make_listener(0200, 1);
	ASSERT_EQ(0, ch_create(self->session, MBUF_END_DETACHED, end));
	ASSERT_EQ(0, ch_attach(self->session, end[0], 77));
	ASSERT_EQ(0, pthread_create(&all.thread, NULL, all_main, &all));
	ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(all.tid, MBUF_IOC_POLL_ALL)));
	conn.end.flags = 0;
	conn.end.cookie = 66;
	c.conn = conn;
	ASSERT_TRUE(caller_go(&c));
	ASSERT_PENDING(self->lfd, 1);
	ASSERT_TRUE(EVENTUALLY(sleeps_in_ioctl(c.tid, MBUF_IOC_CONNECT)));
	close_fd(&self->lfd);
	EXPECT_EQ(-ECONNREFUSED, caller_join(&c));
	/* It would have been told before this. */
	ASSERT_EQ(0, ch_signal(end[1]));
	pthread_join(all.thread, NULL);
	EXPECT_EQ(1, all.ret);
	EXPECT_EQ(77, all.ev.cookie);
	close(end[0]);
	close(end[1]);
}

/* An asynchronous one that is refused is. */
TEST_F(listener, async_refused_is_an_event)
{
	struct mbuf_connect c = connect_of(NAME, NAME_LEN, MBUF_CONNECT_ASYNC,
					   MBUF_FOREVER);
	struct mbuf_event ev;

	make_listener(0200, 1);
	c.end.flags = 0;
	c.end.cookie = 66;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CONNECT, &c));
	self->con = c.end.ref.fd;
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, &ev, 1, MBUF_NOW));
	close_fd(&self->lfd);
	ASSERT_EQ(1, ch_poll_all(self->session, &ev, 1, MBUF_NOW));
	EXPECT_EQ(66, ev.cookie);
	EXPECT_EQ(MBUF_EVENT_HUP, ev.events);
}

/* A session may be closed while what it has made goes on. */
TEST_F(listener, without_the_session)
{
	int s = mbuf_open();

	ASSERT_GE(s, 0);
	self->lfd = ls_listen(s, 0200, 1);
	ASSERT_GE(self->lfd, 0);
	self->con = ls_hello(s, 4);
	ASSERT_GE(self->con, 0);
	close(s);
	self->acc = ls_accept(self->lfd, 0, MBUF_NOW);
	ASSERT_GE(self->acc, 0);
	EXPECT_EQ(4, ch_take(self->acc, MBUF_NOW));
	EXPECT_EQ(-EADDRINUSE, ls_listen(self->session, 0200, 1));
}

TEST_HARNESS_MAIN
