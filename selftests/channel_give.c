// SPDX-License-Identifier: GPL-2.0
/*
 * GIVE and GIVEN: a queue's send right, handed over a channel. Which arguments
 * they refuse is in uapi_calls.c.
 */
#include <sys/eventfd.h>
#include <sys/resource.h>
#include "cap.h"
#include "kapi.h"

static int give(int end, int fd)
{
	struct mbuf_give g = { .ref.fd = fd };

	return (int)xioctl(end, MBUF_IOC_GIVE, &g);
}

/* The descriptor, or -errno. */
static int given(int end)
{
	struct mbuf_give g = { .ref.fd = -77 };
	int ret = (int)xioctl(end, MBUF_IOC_GIVEN, &g);

	return ret ? ret : g.ref.fd;
}

/*
 * A channel, and two queues: @rfd and @sfd take capabilities
 */
FIXTURE(give) {
	int session;
	int a, b;
	int rfd, sfd;
	int other_rfd, other_sfd;
	struct mbuf_query q;
	struct snapshot before;
};

FIXTURE_SETUP(give)
{
	int end[2];

	self->session = fixture_begin(_metadata, &self->q, &self->before);
	ASSERT_EQ(0, ch_create(self->session, MBUF_END_DETACHED, end));
	self->a = end[0];
	self->b = end[1];
	ASSERT_EQ(0, cap_queue(self->session, 4, 4, &self->rfd, &self->sfd));
	ASSERT_EQ(0, mbuf_queue_create(self->session, 1, 16, 0,
				       &self->other_rfd, &self->other_sfd));
}

FIXTURE_TEARDOWN(give)
{
	close_fd(&self->a);
	close_fd(&self->b);
	close_fd(&self->rfd);
	close_fd(&self->sfd);
	close_fd(&self->other_rfd);
	close_fd(&self->other_sfd);
	fixture_end(_metadata, self->session, &self->before);
}

#define EXPECT_SENDERS(n)	EXPECT_EQ(n, get_info(self->rfd).senders)

/* It is the same right, and it sends. Without a signal, and to one side only. */
TEST_F(give, arrives)
{
	struct mbuf_give g = { .ref.fd = self->sfd };
	struct mbuf_cap caps[64], cap;
	struct mbuf_give was = g;
	int fd;

	ASSERT_EQ(0, xioctl(self->a, MBUF_IOC_GIVE, &g));
	EXPECT_EQ(0, memcmp(&was, &g, sizeof(g)));
	EXPECT_EQ(0, ch_info(self->b).signals);
	EXPECT_EQ(0, ch_info(self->a).signals);
	EXPECT_EQ(-EAGAIN, ch_wait(self->b, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, given(self->a));

	fd = given(self->b);
	ASSERT_GE(fd, 0);
	EXPECT_NE(self->sfd, fd);
	EXPECT_TRUE(same_file(self->sfd, fd));
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(O_WRONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	/* All else can be passed over that. */
	cap = mbuf_cap_fd(self->a);
	EXPECT_EQ(0, send_caps(fd, -1, "here", &cap, 1));
	EXPECT_EQ(1, recv_caps(self->rfd, -1, "here", caps, 0));
	EXPECT_TRUE(same_file(self->a, caps[0].ref.fd));
	close(caps[0].ref.fd);
	close(fd);
}

TEST_F(give, one_at_a_time)
{
	int fd;

	EXPECT_EQ(-EAGAIN, given(self->a));
	EXPECT_EQ(-EAGAIN, given(self->b));
	ASSERT_EQ(0, give(self->a, self->sfd));
	EXPECT_EQ(-EBUSY, give(self->a, self->other_sfd));
	EXPECT_EQ(-EBUSY, give(self->a, self->sfd));
	/* Each end has its own. */
	ASSERT_EQ(0, give(self->b, self->other_sfd));
	EXPECT_EQ(-EBUSY, give(self->b, self->other_sfd));
	fd = given(self->b);
	EXPECT_TRUE(same_file(self->sfd, fd));
	close(fd);
	EXPECT_EQ(-EAGAIN, given(self->b));
	fd = given(self->a);
	EXPECT_TRUE(same_file(self->other_sfd, fd));
	close(fd);
	/* And then again. */
	ASSERT_EQ(0, give(self->a, self->other_sfd));
	fd = given(self->b);
	EXPECT_TRUE(same_file(self->other_sfd, fd));
	close(fd);
}

/* It is a reference to the right: the queue has its sender all the time. */
TEST_F(give, is_a_sender)
{
	char buf[16];
	int fd;

	ASSERT_EQ(0, give(self->a, self->sfd));
	close_fd(&self->sfd);
	EXPECT_SENDERS(1);
	EXPECT_EQ(-EAGAIN, mbuf_recv(self->rfd, buf, 16, MBUF_NOW));
	fd = given(self->b);
	ASSERT_GE(fd, 0);
	EXPECT_SENDERS(1);
	EXPECT_EQ(0, mbuf_send(fd, "x", 1, MBUF_NOW));
	EXPECT_EQ(1, mbuf_recv(self->rfd, buf, 16, MBUF_NOW));
	close(fd);
	EXPECT_SENDERS(0);
	EXPECT_EQ(-EPIPE, mbuf_recv(self->rfd, buf, 16, MBUF_NOW));
}

/* Who closes without having taken it drops it, and the queue sees its end. */
TEST_F(give, taker_closes)
{
	char buf[16];

	ASSERT_EQ(0, give(self->a, self->sfd));
	close_fd(&self->sfd);
	EXPECT_SENDERS(1);
	close_fd(&self->b);
	EXPECT_SENDERS(0);
	EXPECT_EQ(-EPIPE, mbuf_recv(self->rfd, buf, 16, MBUF_NOW));
	EXPECT_EQ(-EPIPE, give(self->a, self->other_sfd));
	EXPECT_EQ(-EPIPE, ch_write(self->a, 1));
	EXPECT_EQ(-EPIPE, given(self->a));
	EXPECT_EQ(1, get_info(self->other_rfd).senders);
}

/* What was given is there also when the giver is not. */
TEST_F(give, giver_closes)
{
	char buf[16];
	int fd;

	ASSERT_EQ(0, give(self->a, self->sfd));
	close_fd(&self->a);
	close_fd(&self->sfd);
	EXPECT_SENDERS(1);
	fd = given(self->b);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, mbuf_send(fd, "x", 1, MBUF_NOW));
	EXPECT_EQ(1, mbuf_recv(self->rfd, buf, 16, MBUF_NOW));
	close(fd);
	EXPECT_EQ(-EPIPE, mbuf_recv(self->rfd, buf, 16, MBUF_NOW));
	EXPECT_EQ(-EPIPE, given(self->b));
	EXPECT_EQ(-EPIPE, give(self->b, self->other_sfd));
}

/* Both ends go, with one at each. */
TEST_F(give, nobody_takes_it)
{
	ASSERT_EQ(0, give(self->a, self->sfd));
	ASSERT_EQ(0, give(self->b, self->sfd));
	close_fd(&self->sfd);
	EXPECT_SENDERS(1);
	close_fd(&self->a);
	EXPECT_SENDERS(1);
	close_fd(&self->b);
	EXPECT_SENDERS(0);
}

/* Without a descriptor, or memory to be told, it stays. */
TEST_F(give, cannot_be_taken)
{
	struct rlimit old, low;
	struct mbuf_give *ro;
	int fd;

	ASSERT_EQ(0, give(self->a, self->sfd));
	close_fd(&self->sfd);
	ro = map_pages(sizeof(*ro), PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, ro);
	ro->ref.fd = -77;
	ASSERT_EQ(0, mprotect(ro, page_size(), PROT_READ));
	EXPECT_EQ(-EFAULT, xioctl(self->b, MBUF_IOC_GIVEN, ro));
	EXPECT_EQ(-77, ro->ref.fd);
	munmap(ro, page_size());
	EXPECT_SENDERS(1);
	EXPECT_EQ(-EBUSY, give(self->a, self->other_sfd));

	fd = dup(0);
	ASSERT_GE(fd, 0);
	close(fd);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	low = old;
	low.rlim_cur = (rlim_t)fd;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
	EXPECT_EQ(-EMFILE, given(self->b));
	EXPECT_EQ(-EMFILE, given(self->b));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_SENDERS(1);
	EXPECT_EQ(-EBUSY, give(self->a, self->other_sfd));

	/* Also when the giver has gone meanwhile: its number is free, too. */
	close_fd(&self->a);
	self->a = dup(0);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
	EXPECT_EQ(-EMFILE, given(self->b));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	fd = given(self->b);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, mbuf_send(fd, "x", 1, MBUF_NOW));
	close(fd);
	EXPECT_EQ(-EPIPE, given(self->b));
}

struct dying {
	int end, fd, ready, go;
};

static int give_and_wait(void *arg)
{
	struct dying *d = arg;
	char c;

	CHECK_EQ(0, give(d->end, d->fd));
	CHECK_EQ(1, xwrite(d->ready, "x", 1));
	xread(d->go, &c, 1);
	return 1;
}

/* A process gives, and is killed. */
TEST_F(give, killed)
{
	struct dying d;
	int ready[2], go[2], fd;
	char buf[16];
	pid_t pid;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	d = (struct dying){ self->a, self->sfd, ready[1], go[0] };
	pid = spawn(give_and_wait, &d);
	close_fd(&self->a);
	close_fd(&self->sfd);
	ASSERT_EQ(1, xread(ready[0], buf, 1));
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	/* The channel's end and the right were that process's alone. */
	EXPECT_SENDERS(1);
	EXPECT_EQ(MBUF_END_CLOSED, ch_info(self->b).state & MBUF_END_CLOSED);
	fd = given(self->b);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, mbuf_send(fd, "x", 1, MBUF_NOW));
	EXPECT_EQ(1, mbuf_recv(self->rfd, buf, 16, MBUF_NOW));

	close(fd);
	EXPECT_EQ(-EPIPE, mbuf_recv(self->rfd, buf, 16, MBUF_NOW));
	for (fd = 0; fd < 2; fd++) {
		close(ready[fd]);
		close(go[fd]);
	}
}

static int take_and_die(void *arg)
{
	struct dying *d = arg;
	struct mbuf_give *ro = map_pages(sizeof(*ro), PROT_READ);

	CHECK(ro);
	CHECK_EQ(-EFAULT, xioctl(d->end, MBUF_IOC_GIVEN, ro));
	raise(SIGKILL);
	return 1;
}

/* A process is killed with one at its end that it has not taken. */
TEST_F(give, taker_is_killed)
{
	struct dying d = { .end = self->b };
	pid_t pid;

	ASSERT_EQ(0, give(self->a, self->sfd));
	close_fd(&self->sfd);
	pid = spawn(take_and_die, &d);
	close_fd(&self->b);
	EXPECT_EQ(128 + SIGKILL, reap(pid));
	EXPECT_SENDERS(0);
	EXPECT_EQ(-EPIPE, give(self->a, self->other_sfd));
}

/* Only a queue's send right; and a refusal leaves nothing behind. */
TEST_F(give, other_descriptors)
{
	struct mbuf_paged_create pc = { .size = page_size() };
	struct mbuf_listen l = {
		.name = (uintptr_t)"give",
		.name_len = 4,
		.flags = MBUF_LISTEN_DETACHED,
		.mode = 0600,
		.backlog = 1,
	};
	int others[13], pipes[2], nr = 0, first, closed, i;
	char name[64];

	others[nr++] = self->session;
	others[nr++] = self->rfd;
	others[nr++] = self->other_rfd;
	others[nr++] = self->a;
	others[nr++] = self->b;
	first = nr;
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	others[nr++] = pipes[0];
	others[nr++] = pipes[1];
	others[nr++] = eventfd(0, EFD_CLOEXEC);
	others[nr++] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	others[nr++] = memfd_create("give", MFD_CLOEXEC);
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_PAGED_CREATE, &pc));
	others[nr++] = pc.pager.fd;
	others[nr++] = pc.region.fd;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_LISTEN, &l));
	others[nr++] = l.listener.fd;
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(-EOPNOTSUPP, give(self->a, others[i])) {
			TH_LOG("descriptor %d", i);
		}
	}
	closed = dup(self->sfd);
	close(closed);
	EXPECT_EQ(-EBADF, give(self->a, closed));
	EXPECT_EQ(-EBADF, give(self->a, -1));
	EXPECT_EQ(-EBADF, give(self->a, INT_MAX));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", self->sfd);
	i = open(name, O_PATH | O_CLOEXEC);
	ASSERT_GE(i, 0);
	EXPECT_EQ(-EBADF, give(self->a, i));
	close(i);
	EXPECT_EQ(-EAGAIN, given(self->b));
	EXPECT_SENDERS(1);

	/* Nor are these what it can be asked of. */
	for (i = 0; i < nr; i++) {
		if (others[i] == self->a || others[i] == self->b)
			continue;
		EXPECT_EQ(-ENOTTY, give(others[i], self->sfd)) {
			TH_LOG("descriptor %d", i);
		}
		EXPECT_EQ(-ENOTTY, given(others[i])) {
			TH_LOG("descriptor %d", i);
		}
	}
	EXPECT_EQ(-ENOTTY, give(self->sfd, self->sfd));
	while (nr > first)
		close(others[--nr]);
	EXPECT_EQ(0, give(self->a, self->sfd));
}

/* The inbox of a message object is a queue, and its send right one as well. */
TEST_F(give, inbox)
{
	struct mbuf_message_create c = {
		.inbox_msg = 16,
		.sent.fd = -1,
		.arrived.fd = -1,
	};
	struct mbuf_message_grant g = {};
	struct mbuf_handle_open o = {};
	struct mbuf_handle h = {};
	char buf[16] = "";
	struct mbuf_xfer x = {
		.wait.mode = MBUF_WAIT_NOW,
		.msg = { .buf = (uintptr_t)buf, .len = sizeof(buf) },
	};
	int fd;

	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_MESSAGE_CREATE, &c));
	g.target = c.handle;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_MESSAGE_GRANT, &g));
	o.target = g.handle;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_HANDLE_OPEN, &o));
	ASSERT_EQ(0, give(self->a, o.ref.fd));
	close(o.ref.fd);
	h.target = g.handle;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_HANDLE_DELETE, &h));
	fd = given(self->b);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, mbuf_send(fd, "to inbox", 8, MBUF_NOW));
	x.target = c.handle;
	EXPECT_EQ(0, xioctl(self->session, MBUF_IOC_RECV, &x));
	EXPECT_EQ(8, x.msg.len);
	/* The object goes while the right waits to be taken: it is no owner. */
	ASSERT_EQ(0, give(self->a, fd));
	h.target = c.handle;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_HANDLE_DELETE, &h));
	EXPECT_EQ(-EPIPE, mbuf_send(fd, "x", 1, MBUF_NOW));
	close(fd);
	fd = given(self->b);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EPIPE, mbuf_send(fd, "x", 1, MBUF_NOW));
	close(fd);
}

/* Before the connection is there, and when it never will be: as WRITE. */
TEST_F(give, connecting)
{
	struct mbuf_listen l = {
		.name = (uintptr_t)"give",
		.name_len = 4,
		.flags = MBUF_LISTEN_DETACHED,
		.mode = 0600,
		.backlog = 2,
	};
	struct mbuf_connect c = {
		.name = (uintptr_t)"give",
		.name_len = 4,
		.flags = MBUF_CONNECT_ASYNC,
		.end.flags = MBUF_END_DETACHED,
	};
	struct mbuf_accept a = {
		.wait.mode = MBUF_WAIT_NOW,
		.flags = MBUF_ACCEPT_ASK,
		.end.flags = MBUF_END_DETACHED,
	};
	struct mbuf_approve ok = { .verdict = 1 }, no = { .verdict = 0 };
	int x, y, fd, sfd;

	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_LISTEN, &l));
	/* Who connects may give at once; who accepts, once it has approved. */
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CONNECT, &c));
	x = c.end.ref.fd;
	EXPECT_EQ(0, ch_write(x, 1));
	EXPECT_EQ(0, give(x, self->sfd));
	EXPECT_EQ(-EBUSY, give(x, self->other_sfd));
	EXPECT_EQ(-EAGAIN, given(x));
	ASSERT_EQ(0, xioctl(l.listener.fd, MBUF_IOC_ACCEPT, &a));
	y = a.end.ref.fd;
	EXPECT_EQ(-ENOTCONN, ch_write(y, 1));
	EXPECT_EQ(-ENOTCONN, give(y, self->sfd));
	EXPECT_EQ(-EAGAIN, given(x));
	fd = given(y);
	EXPECT_TRUE(same_file(self->sfd, fd));
	close(fd);
	EXPECT_EQ(-EAGAIN, given(y));
	ASSERT_EQ(0, xioctl(y, MBUF_IOC_APPROVE, &ok));
	EXPECT_EQ(0, give(x, self->sfd));
	EXPECT_EQ(0, give(y, self->sfd));
	fd = given(y);
	EXPECT_TRUE(same_file(self->sfd, fd));
	close(fd);
	close(x);
	close(y);

	/* From here on each loses what was given: none may be left. */
	sfd = fcntl(self->other_sfd, F_DUPFD_CLOEXEC, 0);
	ASSERT_GE(sfd, 0);
	close_fd(&self->other_sfd);
	/* Refused. */
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CONNECT, &c));
	x = c.end.ref.fd;
	EXPECT_EQ(0, give(x, sfd));
	ASSERT_EQ(0, xioctl(l.listener.fd, MBUF_IOC_ACCEPT, &a));
	y = a.end.ref.fd;
	ASSERT_EQ(0, xioctl(y, MBUF_IOC_APPROVE, &no));
	EXPECT_EQ(-ECONNREFUSED, ch_write(x, 1));
	EXPECT_EQ(-ECONNREFUSED, give(x, sfd));
	EXPECT_EQ(ch_write(y, 1), give(y, sfd));
	close(x);
	close(y);
	/* Given up before anybody has accepted. */
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CONNECT, &c));
	x = c.end.ref.fd;
	EXPECT_EQ(0, give(x, sfd));
	close(x);
	EXPECT_EQ(-EAGAIN, xioctl(l.listener.fd, MBUF_IOC_ACCEPT, &a));
	/* And nobody ever will accept. */
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CONNECT, &c));
	x = c.end.ref.fd;
	EXPECT_EQ(0, give(x, sfd));
	close(l.listener.fd);
	close(sfd);
	EXPECT_EQ(-ECONNREFUSED, ch_write(x, 1));
	EXPECT_EQ(-ECONNREFUSED, give(x, self->sfd));
	EXPECT_EQ(0, get_info(self->other_rfd).senders);
	close(x);
	EXPECT_SENDERS(1);
}

/* A driver has no descriptors to get, nor to give. */
TEST_F(give, to_a_driver)
{
	int test = open(TEST_DEVICE, O_RDWR | O_CLOEXEC), fd;

	if (test < 0 && errno == ENOENT)
		SKIP(return, "no %s: load mbuf_test.ko", TEST_DEVICE);
	ASSERT_GE(test, 0);
	fd = drv_open(test, 0, 0);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EOPNOTSUPP, give(fd, self->sfd));
	EXPECT_EQ(-EAGAIN, given(fd));
	EXPECT_EQ(0, ch_write(fd, 1));
	ASSERT_EQ(0, xioctl(test, MBUF_TEST_CLOSE, 0));
	EXPECT_EQ(-EPIPE, give(fd, self->sfd));
	EXPECT_EQ(-EPIPE, given(fd));
	EXPECT_SENDERS(1);
	close(fd);
	close(test);
}

struct thread_end {
	int session, sfd, fd, peer, ret;
};

static void *thread_end_main(void *arg)
{
	struct mbuf_channel_create c = create_of(MBUF_END_THREAD,
						 MBUF_END_DETACHED);
	struct thread_end *t = arg;

	t->ret = (int)xioctl(t->session, MBUF_IOC_CHANNEL_CREATE, &c);
	if (t->ret)
		return NULL;
	t->fd = c.end[0].ref.fd;
	t->peer = c.end[1].ref.fd;
	t->ret = give(t->fd, t->sfd) ?: give(t->peer, t->sfd);
	return NULL;
}

/* An endpoint of a thread: only that one; and what it has not taken is dropped. */
TEST_F(give, of_a_thread)
{
	struct mbuf_channel_create c = create_of(MBUF_END_THREAD,
						 MBUF_END_DETACHED);
	struct thread_end t = { self->session, self->sfd, -1, -1, 0 };
	pthread_t thread;
	int fd;

	if (!(self->q.features & MBUF_FEATURE_THREAD))
		SKIP(return, "no MBUF_END_THREAD here (CONFIG_TRACEPOINTS)");
	ASSERT_EQ(0, pthread_create(&thread, NULL, thread_end_main, &t));
	pthread_join(thread, NULL);
	ASSERT_EQ(0, t.ret);
	/* The thread has ended, and its end with it. */
	EXPECT_TRUE(EVENTUALLY(ch_info(t.peer).state & MBUF_END_CLOSED));
	EXPECT_EQ(-EPERM, give(t.fd, self->sfd));
	EXPECT_EQ(-EPERM, given(t.fd));
	fd = given(t.peer);
	EXPECT_TRUE(same_file(self->sfd, fd));
	close(fd);
	EXPECT_EQ(-EPIPE, given(t.peer));
	EXPECT_EQ(-EPIPE, give(t.peer, self->sfd));
	/* One that was given to the thread's end, and this, are gone. */
	close_fd(&self->sfd);
	EXPECT_TRUE(EVENTUALLY(get_info(self->rfd).senders == 0));
	close(t.fd);
	close(t.peer);

	/* Its own thread may. */
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CHANNEL_CREATE, &c));
	EXPECT_EQ(0, give(c.end[0].ref.fd, self->other_sfd));
	EXPECT_EQ(0, give(c.end[1].ref.fd, self->other_sfd));
	fd = given(c.end[0].ref.fd);
	EXPECT_TRUE(same_file(self->other_sfd, fd));
	close(fd);
	close(c.end[0].ref.fd);
	close(c.end[1].ref.fd);
}

/*
 * An endpoint has been given the right to a queue, and stands in that queue
 * itself: nobody else has the endpoint, nor a right to send.
 */
TEST_F(give, in_its_own_queue)
{
	struct mbuf_cap caps[64], cap = mbuf_cap_fd(self->b);
	int fd;

	ASSERT_EQ(0, give(self->a, self->sfd));
	ASSERT_EQ(0, send_caps(self->sfd, -1, "x", &cap, 1));
	close_fd(&self->sfd);
	close_fd(&self->b);
	close_fd(&self->a);
	/* It holds itself open, for its receiver. */
	EXPECT_SENDERS(1);
	ASSERT_EQ(1, recv_caps(self->rfd, -1, "x", caps, 0));
	self->b = caps[0].ref.fd;
	fd = given(self->b);
	ASSERT_GE(fd, 0);

	/* Once more, and this time nobody receives it. */
	cap = mbuf_cap_fd(self->b);
	ASSERT_EQ(0, send_caps(fd, -1, "x", &cap, 1));
	close(fd);
	close_fd(&self->b);
	EXPECT_SENDERS(0);
	ASSERT_EQ(1, recv_caps(self->rfd, -1, "x", caps, 0));
	close(caps[0].ref.fd);
	EXPECT_EQ(-EPIPE, recv_caps(self->rfd, -1, "", caps, 0));
}

/* The same, and the queue goes: it takes the endpoint and the right along. */
TEST_F(give, in_its_own_queue_that_goes)
{
	struct mbuf_queue_create c = {
		.slots = 2, .max_msg = 16, .max_caps = 2,
		.flags = MBUF_QUEUE_CAPS | MBUF_QUEUE_HANDLE,
	};
	struct mbuf_cap caps[2];
	struct mbuf_handle h = {};
	uint64_t objects;
	int i, end[2];

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ch_create(self->session, MBUF_END_DETACHED, end));
		ASSERT_EQ(0, mbuf_queue_create_args(self->session, &c));
		ASSERT_EQ(0, give(end[0], c.send.fd));
		ASSERT_EQ(0, give(end[1], c.send.fd));
		caps[0] = mbuf_cap_fd(end[0]);
		caps[1] = mbuf_cap_fd(end[1]);
		ASSERT_EQ(0, send_caps(c.send.fd, -1, "x", caps, 2));
		close(end[0]);
		close(end[1]);
		if (i == 1) {
			/* By way of another queue, which owns it. */
			caps[0] = mbuf_cap_handle(c.recv.handle);
			caps[0].flags = MBUF_CAP_MOVE;
			ASSERT_EQ(0, send_caps(self->sfd, self->session, "y",
					       caps, 1));
		}
		close(c.send.fd);
		if (i == 1) {
			close_fd(&self->rfd);
			close_fd(&self->sfd);
			ASSERT_EQ(0, cap_queue(self->session, 4, 4, &self->rfd,
					       &self->sfd));
		} else {
			h.target = c.recv.handle;
			ASSERT_EQ(0, xioctl(self->session,
					    MBUF_IOC_HANDLE_DELETE, &h));
		}
		c.recv = (struct mbuf_ref){};
		c.send = (struct mbuf_ref){};
	}
	/* The session, two queues and a channel of two ends are left. */
	objects = self->before.objects.used;
	EXPECT_TRUE(EVENTUALLY(!mbuf_query(self->session, &self->q) &&
			       self->q.objects.used == objects + 4));
	EXPECT_EQ(objects + 4, self->q.objects.used);
}

/*
 * Some give and some take, one of them to where nothing can be written. What
 * was given is taken, or still there: nothing is lost.
 */
struct racer {
	int end, fd;
	void *to;		/* where the result goes */
	_Atomic bool *stop;
	_Atomic long *done, *failed;
	pthread_t thread;
};

static void *giver_main(void *arg)
{
	struct racer *r = arg;
	int ret;

	while (!atomic_load(r->stop)) {
		ret = give(r->end, r->fd);
		if (!ret)
			++*r->done;
		else if (ret != -EBUSY)
			++*r->failed;
	}
	return NULL;
}

static void *taker_main(void *arg)
{
	struct racer *r = arg;
	long ret;

	while (!atomic_load(r->stop)) {
		if (r->to) {
			ret = xioctl(r->end, MBUF_IOC_GIVEN, r->to);
			if (ret != -EFAULT && ret != -EAGAIN)
				++*r->failed;
			continue;
		}
		ret = given(r->end);
		if (ret >= 0) {
			close((int)ret);
			++*r->done;
		} else if (ret != -EAGAIN) {
			++*r->failed;
		}
	}
	return NULL;
}

TEST_F(give, race)
{
	_Atomic long gave = 0, took = 0, failed = 0;
	struct race race = race_begin();
	_Atomic bool stop = false;
	struct racer r[5] = {
		{ self->a, self->sfd, NULL, &stop, &gave, &failed, 0 },
		{ self->a, self->sfd, NULL, &stop, &gave, &failed, 0 },
		{ self->b, -1, NULL, &stop, &took, &failed, 0 },
		{ self->b, -1, NULL, &stop, &took, &failed, 0 },
		{ self->b, -1, NULL, &stop, &took, &failed, 0 },
	};
	unsigned int i;
	int fd;

	r[4].to = map_pages(page_size(), PROT_READ);
	ASSERT_NE(NULL, r[4].to);
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, pthread_create(&r[i].thread, NULL,
					    i < 2 ? giver_main : taker_main,
					    &r[i]));
	EXPECT_TRUE(EVENTUALLY(took >= 20000 || failed ||
			       (took && now_ns() > race.end)));
	stop = true;
	for (i = 0; i < 5; i++)
		pthread_join(r[i].thread, NULL);
	fd = given(self->b);
	if (fd >= 0) {
		took++;
		close(fd);
	}
	EXPECT_EQ(0, failed);
	EXPECT_EQ(gave, took);
	EXPECT_EQ(-EAGAIN, given(self->b));
	munmap(r[4].to, page_size());
}

/* The end is closed while others give to it, and take. */
TEST_F(give, race_with_close)
{
	_Atomic long gave, took, failed;
	_Atomic bool stop;
	struct race race;
	int end[2], i;

	for (race = race_begin(); race_goes_on(&race); race.round++) {
		struct racer r[2];

		ASSERT_EQ(0, ch_create(self->session, MBUF_END_DETACHED, end));
		gave = 0;
		took = 0;
		failed = 0;
		stop = false;
		for (i = 0; i < 2; i++) {
			r[i] = (struct racer){ end[i], self->sfd, NULL, &stop,
					       i ? &took : &gave, &failed, 0 };
			ASSERT_EQ(0, pthread_create(&r[i].thread, NULL,
						    i ? taker_main : giver_main,
						    &r[i]));
		}
		while (!gave)
			;
		/* To the end of the channel, with one given or without. */
		close(end[race.round % 2]);
		stop = true;
		for (i = 0; i < 2; i++)
			pthread_join(r[i].thread, NULL);
		close(end[!(race.round % 2)]);
		/* Nothing but errors of what has been closed. */
		EXPECT_LE(took, gave);
		EXPECT_SENDERS(1);
	}
	/* All of them were the same right, of which this is the last. */
	close_fd(&self->sfd);
	EXPECT_SENDERS(0);
}

TEST_HARNESS_MAIN
