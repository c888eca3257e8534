// SPDX-License-Identifier: GPL-2.0
/* Messages that carry descriptors. */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include "cap.h"
#include "uring.h"

/* A descriptor arrives as the same open file, and is closed on exec. */
TEST_F(queue, one_descriptor)
{
	struct mbuf_cap caps[64], cap;
	int fd = eventfd(7, 0);
	uint64_t value;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, cap_queue(self->session, 4, 4, &self->rfd, &self->sfd));
	cap = mbuf_cap_fd(fd);
	ASSERT_EQ(0, send_caps(self->sfd, -1, "hello", &cap, 1));
	ASSERT_EQ(1, recv_caps(self->rfd, -1, "hello", caps, 0));
	EXPECT_EQ(0, caps[0].error);
	EXPECT_EQ(MBUF_CAP_FILE, caps[0].type);
	EXPECT_EQ(0, caps[0].ref.flags);
	ASSERT_GE(caps[0].ref.fd, 0);
	EXPECT_NE(fd, caps[0].ref.fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(caps[0].ref.fd, F_GETFD));
	EXPECT_EQ(8, read(caps[0].ref.fd, &value, 8));
	EXPECT_EQ(7, value);
	close(caps[0].ref.fd);
	close(fd);
}

/* As many as a message can carry, in order; and one that has none. */
TEST_F(queue, as_many_as_there_can_be)
{
	struct mbuf_cap caps[64];
	int fds[64], i;

	ASSERT_EQ(64, self->q.caps_max);
	ASSERT_EQ(0, cap_queue(self->session, 2, 64, &self->rfd, &self->sfd));
	for (i = 0; i < 64; i++) {
		fds[i] = eventfd((unsigned int)i, EFD_NONBLOCK);
		ASSERT_GE(fds[i], 0);
		caps[i] = mbuf_cap_fd(fds[i]);
	}
	ASSERT_EQ(0, send_caps(self->sfd, -1, "many", caps, 64));
	ASSERT_EQ(0, send_caps(self->sfd, -1, "none", NULL, 0));
	for (i = 0; i < 64; i++)
		close(fds[i]);
	ASSERT_EQ(64, recv_caps(self->rfd, -1, "many", caps, 0));
	for (i = 0; i < 64; i++) {
		uint64_t value = 0;

		EXPECT_EQ(0, caps[i].error);
		if (i)
			EXPECT_EQ(8, read(caps[i].ref.fd, &value, 8));
		EXPECT_EQ(i, value);
		close(caps[i].ref.fd);
	}
	EXPECT_EQ(0, recv_caps(self->rfd, -1, "none", caps, 0));
}

/* The same one a hundred times is a hundred; 65 are too many. */
TEST_F(queue, the_same_one_again)
{
	struct mbuf_cap caps[100];
	int i;

	ASSERT_EQ(0, cap_queue(self->session, 2, 64, &self->rfd, &self->sfd));
	for (i = 0; i < 100; i++)
		caps[i] = mbuf_cap_fd(self->sfd);
	EXPECT_EQ(-EMSGSIZE, send_caps(self->sfd, -1, "x", caps, 100));
	EXPECT_EQ(-EMSGSIZE, send_caps(self->sfd, -1, "x", caps, 65));
	EXPECT_EQ(0, send_caps(self->sfd, -1, "x", caps, 64));
	ASSERT_EQ(64, recv_caps(self->rfd, -1, "x", caps, 0));
	for (i = 0; i < 64; i++) {
		EXPECT_TRUE(same_file(self->sfd, caps[i].ref.fd));
		close(caps[i].ref.fd);
	}
}

/* Only a queue that was made for it takes any, and only so many. */
TEST_F(queue, opt_in)
{
	struct mbuf_queue_create c = {
		.slots = 1, .max_msg = 8, .flags = MBUF_QUEUE_CAPS,
	};
	struct mbuf_cap caps[3] = { mbuf_cap_fd(0), mbuf_cap_fd(0),
				    mbuf_cap_fd(0) };
	int rfd, sfd, i;

	make_queue(1, 16, 0);
	EXPECT_EQ(-EPERM, send_caps(self->sfd, -1, "x", caps, 1));
	EXPECT_EQ(0, send_caps(self->sfd, -1, "x", NULL, 0));
	EXPECT_EQ(0, recv_caps(self->rfd, -1, "x", caps, 0));

	EXPECT_EQ(-EINVAL, mbuf_queue_create_args(self->session, &c));
	c.max_caps = 65;
	EXPECT_EQ(-EINVAL, mbuf_queue_create_args(self->session, &c));
	c.max_caps = 1;
	c.flags = 0;
	EXPECT_EQ(-EINVAL, mbuf_queue_create_args(self->session, &c));
	c.flags = MBUF_QUEUE_CAPS | MBUF_QUEUE_OVERWRITE;
	EXPECT_EQ(-EINVAL, mbuf_queue_create_args(self->session, &c));

	for (i = 0; i < 3; i++)
		caps[i] = mbuf_cap_fd(self->sfd);
	ASSERT_EQ(0, cap_queue(self->session, 1, 2, &rfd, &sfd));
	EXPECT_EQ(-EMSGSIZE, send_caps(sfd, -1, "x", caps, 3));
	EXPECT_EQ(0, send_caps(sfd, -1, "x", caps, 2));
	close(rfd);
	close(sfd);
}

/* What does not ask for capabilities leaves the message where it is. */
TEST_F(queue, who_does_not_look_for_them)
{
	struct mbuf_cap caps[64], cap;
	struct mbuf_queue_info info;
	struct mbuf_msg msg;
	char buf[16];

	ASSERT_EQ(0, cap_queue(self->session, 2, 1, &self->rfd, &self->sfd));
	cap = mbuf_cap_fd(self->sfd);
	ASSERT_EQ(0, send_caps(self->sfd, -1, "x", &cap, 1));
	EXPECT_EQ(-EBADMSG, xread(self->rfd, buf, sizeof(buf)));
	EXPECT_EQ(-EBADMSG, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));
	msg = (struct mbuf_msg) { .buf = (uintptr_t)buf, .len = sizeof(buf) };
	EXPECT_EQ(-EBADMSG, mbuf_recv_batch(self->rfd, &msg, 1, 0, MBUF_NOW));
	ASSERT_EQ(0, mbuf_queue_info(self->rfd, &info));
	EXPECT_EQ(1, info.depth);
	EXPECT_EQ(1, info.next_caps);
	EXPECT_EQ(1, info.next_len);
	ASSERT_EQ(1, recv_caps(self->rfd, -1, "x", caps, 0));
	close(caps[0].ref.fd);
}

/* Looking describes, takes nothing, and can be done again. */
TEST_F(queue, look_first)
{
	struct mbuf_cap caps[64], cap[2];
	int fds, i;

	ASSERT_EQ(0, cap_queue(self->session, 3, 2, &self->rfd, &self->sfd));
	cap[0] = mbuf_cap_fd(self->sfd);
	cap[1] = mbuf_cap_fd(self->session);
	cap[1] = mbuf_cap_fd(self->sfd);
	ASSERT_EQ(0, send_caps(self->sfd, -1, "first", cap, 2));
	ASSERT_EQ(0, send_caps(self->sfd, -1, "second", NULL, 0));
	fds = count_fds();
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(2, recv_caps(self->rfd, -1, "first", caps,
				       MBUF_RECV_LOOK));
		EXPECT_EQ(-1, caps[0].ref.fd);
		EXPECT_EQ(MBUF_CAP_FILE, caps[1].type);
		EXPECT_NE(0, caps[1].id);
		EXPECT_EQ(fds, count_fds());
	}
	ASSERT_EQ(2, recv_caps(self->rfd, -1, "first", caps, 0));
	close(caps[0].ref.fd);
	close(caps[1].ref.fd);
	EXPECT_EQ(0, recv_caps(self->rfd, -1, "second", caps, MBUF_RECV_LOOK));
	EXPECT_EQ(0, recv_caps(self->rfd, -1, "second", caps, 0));
	EXPECT_EQ(-EAGAIN, recv_caps(self->rfd, -1, "", caps, MBUF_RECV_LOOK));
}

/* Too little room says how much is needed, or the rest is dropped. */
TEST_F(queue, too_little_room)
{
	struct mbuf_cap caps[64], cap[3];
	unsigned int nr = 1;
	char buf[16];
	struct mbuf_msg msg = { .buf = (uintptr_t)buf, .len = sizeof(buf) };
	int fds = count_fds();

	ASSERT_EQ(0, cap_queue(self->session, 3, 3, &self->rfd, &self->sfd));
	cap[0] = mbuf_cap_fd(self->sfd);
	cap[1] = cap[0];
	cap[2] = cap[0];
	ASSERT_EQ(0, send_caps(self->sfd, -1, "abc", cap, 3));
	EXPECT_EQ(-EMSGSIZE, mbuf_recv_caps(self->rfd, &msg, caps, &nr, 0, -1,
					    MBUF_NOW));
	EXPECT_EQ(3, nr);
	EXPECT_EQ(3, msg.len);
	nr = 2;
	msg.len = sizeof(buf);
	EXPECT_EQ(0, mbuf_recv_caps(self->rfd, &msg, caps, &nr, MBUF_RECV_DROP,
				    -1, MBUF_NOW));
	EXPECT_EQ(3, nr);
	EXPECT_EQ(fds + 4, count_fds());
	close(caps[0].ref.fd);
	close(caps[1].ref.fd);
}

/* Descriptors are installed all or none. */
TEST_F(queue, no_descriptor_is_free)
{
	struct rlimit old, low;
	struct mbuf_cap caps[64], cap[3];
	int free_fd;

	ASSERT_EQ(0, cap_queue(self->session, 3, 3, &self->rfd, &self->sfd));
	cap[0] = mbuf_cap_fd(self->sfd);
	cap[1] = cap[0];
	cap[2] = cap[0];
	ASSERT_EQ(0, send_caps(self->sfd, -1, "three", cap, 3));
	ASSERT_EQ(0, send_caps(self->sfd, -1, "one", cap, 1));
	free_fd = dup(0);
	close(free_fd);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	low = old;
	for (low.rlim_cur = (rlim_t)free_fd;
	     low.rlim_cur < (rlim_t)free_fd + 3; low.rlim_cur++) {
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
		EXPECT_EQ(-EMFILE, recv_caps(self->rfd, -1, "three", caps, 0));
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
	ASSERT_EQ(3, recv_caps(self->rfd, -1, "three", caps, 0));
	EXPECT_EQ(-EMFILE, recv_caps(self->rfd, -1, "one", caps + 3, 0));
	close(caps[0].ref.fd);
	close(caps[1].ref.fd);
	close(caps[2].ref.fd);
	EXPECT_EQ(1, recv_caps(self->rfd, -1, "one", caps, 0));
	close(caps[0].ref.fd);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
}

/* A sender whose message cannot be sent has sent nothing. */
TEST_F(queue, all_or_nothing)
{
	struct mbuf_cap caps[64], cap[3];
	struct mbuf_queue_info info;
	int opath = open("/", O_PATH | O_CLOEXEC);

	ASSERT_GE(opath, 0);
	ASSERT_EQ(0, cap_queue(self->session, 1, 3, &self->rfd, &self->sfd));
	cap[0] = mbuf_cap_fd(self->sfd);
	cap[1] = cap[0];
	cap[2] = mbuf_cap_fd(opath);
	EXPECT_EQ(-EBADF, send_caps(self->sfd, -1, "x", cap, 3));
	cap[2] = mbuf_cap_fd(-1);
	EXPECT_EQ(-EBADF, send_caps(self->sfd, -1, "x", cap, 3));
	cap[2] = mbuf_cap_handle(1);
	EXPECT_EQ(-EBADF, send_caps(self->sfd, -1, "x", cap, 3));
	EXPECT_EQ(-EBADF, send_caps(self->sfd, self->sfd, "x", cap, 3));
	EXPECT_EQ(-ENOENT, send_caps(self->sfd, self->session, "x", cap, 3));
	cap[2] = mbuf_cap_fd(self->rfd);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, "x", cap, 3));
	cap[2] = mbuf_cap_fd(self->sfd);
	cap[2].type = 1;
	EXPECT_EQ(-EINVAL, send_caps(self->sfd, -1, "x", cap, 3));
	cap[2] = mbuf_cap_fd(self->sfd);
	cap[2].rights = MBUF_RIGHT_COPY;
	EXPECT_EQ(-EINVAL, send_caps(self->sfd, -1, "x", cap, 3));
	cap[2] = mbuf_cap_fd(self->sfd);
	cap[2].flags = MBUF_CAP_MOVE;
	EXPECT_EQ(-EINVAL, send_caps(self->sfd, -1, "x", cap, 3));
	ASSERT_EQ(0, mbuf_queue_info(self->rfd, &info));
	EXPECT_EQ(0, info.depth);
	EXPECT_EQ(1, info.senders);

	ASSERT_EQ(0, send_caps(self->sfd, -1, "full", cap, 2));
	EXPECT_EQ(-EAGAIN, send_caps(self->sfd, -1, "x", cap, 2));
	ASSERT_EQ(2, recv_caps(self->rfd, -1, "full", caps, 0));
	close(caps[0].ref.fd);
	close(caps[1].ref.fd);
	close(opath);
}

/* What could own itself by way of the message is refused. */
TEST_F(queue, what_cannot_be_sent)
{
	struct mbuf_cap caps[64], cap;
	int sv[2], fd, a, b;
	struct ring ring;

	ASSERT_EQ(0, cap_queue(self->session, 4, 1, &self->rfd, &self->sfd));
	cap = mbuf_cap_fd(self->rfd);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, "x", &cap, 1));
	cap = mbuf_cap_fd(self->session);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, "x", &cap, 1));

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	cap = mbuf_cap_fd(sv[0]);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, "x", &cap, 1));
	close(sv[0]);
	close(sv[1]);

	fd = ring_open(&ring);
	ASSERT_EQ(0, fd);
	cap = mbuf_cap_fd(ring.fd);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, "x", &cap, 1));
	ring_close(&ring);

	/* The loop device's control is a character device of a driver. */
	fd = open("/dev/mbuf", O_RDWR | O_CLOEXEC);
	cap = mbuf_cap_fd(fd);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, "x", &cap, 1));
	close(fd);

	/* These can. */
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	cap = mbuf_cap_fd(fd);
	EXPECT_EQ(0, send_caps(self->sfd, -1, "x", &cap, 1));
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		cap = mbuf_cap_fd(fd);
		EXPECT_EQ(0, send_caps(self->sfd, -1, "x", &cap, 1));
		close(fd);
		EXPECT_EQ(1, recv_caps(self->rfd, -1, "x", caps, 0));
		close(caps[0].ref.fd);
	}
	EXPECT_EQ(1, recv_caps(self->rfd, -1, "x", caps, 0));
	close(caps[0].ref.fd);
	ASSERT_EQ(0, mbuf_channel_create(self->session, MBUF_END_DETACHED,
					 sv));
	a = sv[0];
	b = sv[1];
	cap = mbuf_cap_fd(a);
	EXPECT_EQ(0, send_caps(self->sfd, -1, "x", &cap, 1));
	close(a);
	/* On its way it is alive. */
	EXPECT_EQ(0, mbuf_channel_signal(b));
	EXPECT_EQ(1, recv_caps(self->rfd, -1, "x", caps, 0));
	close(caps[0].ref.fd);
	EXPECT_EQ(-EPIPE, mbuf_channel_signal(b));
	close(b);
	ASSERT_EQ(0, mbuf_channel_create(self->session, MBUF_END_DETACHED |
					 MBUF_END_THREAD, sv));
	a = sv[0];
	b = sv[1];
	cap = mbuf_cap_fd(a);
	EXPECT_EQ(-EPERM, send_caps(self->sfd, -1, "x", &cap, 1));
	close(a);
	close(b);
}

/* What was sent and never received is closed, and no longer charged. */
TEST_F(queue, never_received)
{
	struct mbuf_cap caps[4];
	struct mbuf_query q;
	int p[2], i;
	char c;

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	ASSERT_EQ(0, cap_queue(self->session, 8, 4, &self->rfd, &self->sfd));
	for (i = 0; i < 4; i++)
		caps[i] = mbuf_cap_fd(p[1]);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, send_caps(self->sfd, -1, "x", caps, 4));
	close(p[1]);
	ASSERT_EQ(0, mbuf_query(self->session, &q));
	EXPECT_EQ(self->before.caps.used + 32, q.caps.used);
	close_fd(&self->rfd);
	/* The end of the pipe is seen once the last one is closed. */
	EXPECT_EQ(0, read(p[0], &c, 1));
	close(p[0]);
}

/* A send right in its own queue is one until it is received, or goes with it. */
TEST_F(queue, its_own_send_right)
{
	struct mbuf_cap caps[64], cap;
	struct mbuf_queue_info info;
	char buf[8];

	ASSERT_EQ(0, cap_queue(self->session, 2, 1, &self->rfd, &self->sfd));
	cap = mbuf_cap_fd(self->sfd);
	ASSERT_EQ(0, send_caps(self->sfd, -1, "me", &cap, 1));
	close_fd(&self->sfd);
	ASSERT_EQ(0, mbuf_queue_info(self->rfd, &info));
	EXPECT_EQ(1, info.senders);
	ASSERT_EQ(1, recv_caps(self->rfd, -1, "me", caps, 0));
	ASSERT_EQ(0, send_caps(caps[0].ref.fd, -1, "more", NULL, 0));
	cap = mbuf_cap_fd(caps[0].ref.fd);
	ASSERT_EQ(0, send_caps(caps[0].ref.fd, -1, "me", &cap, 1));
	close(caps[0].ref.fd);
	EXPECT_EQ(4, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));
	/* The teardown finds that it all goes with the receive right. */
}

/* Over the limit of what a user may have in flight. */
TEST_F(queue, too_many_in_flight)
{
	const char *limit = "/sys/module/mbuf/parameters/caps_limit";
	struct mbuf_cap cap[64];
	char old[32];
	pid_t pid;
	int i;

	NEED_ROOT();
	ASSERT_TRUE(read_file(limit, old, sizeof(old)));
	ASSERT_EQ(0, cap_queue(self->session, 4, 64, &self->rfd, &self->sfd));
	for (i = 0; i < 64; i++)
		cap[i] = mbuf_cap_fd(self->sfd);
	ASSERT_TRUE(write_file(limit, "100"));
	pid = fork();
	if (!pid) {
		/* Root may exceed it. */
		CHECK_EQ(0, send_caps(self->sfd, -1, "root", cap, 64));
		CHECK_EQ(0, become(TEST_UID, TEST_UID));
		CHECK_EQ(0, send_caps(self->sfd, -1, "x", cap, 64));
		CHECK_EQ(-EDQUOT, send_caps(self->sfd, -1, "x", cap, 37));
		CHECK_EQ(0, send_caps(self->sfd, -1, "x", cap, 36));
		_exit(0);
	}
	EXPECT_EQ(0, reap(pid));
	EXPECT_TRUE(write_file(limit, "%s", old));
}

/* A blocked sender's capabilities are in flight, and its death ends that. */
static int blocked_sender(void *arg)
{
	int *fds = arg;
	struct mbuf_cap cap = mbuf_cap_fd(fds[1]);
	struct mbuf_msg msg = { .buf = (uintptr_t)"x", .len = 1 };

	return mbuf_send_caps(fds[0], &msg, &cap, 1, -1, MBUF_FOREVER);
}

TEST_F(queue, killed_while_it_waits)
{
	struct mbuf_cap caps[64], cap;
	struct mbuf_queue_info info;
	int fds[2];
	pid_t pid;

	ASSERT_EQ(0, cap_queue(self->session, 1, 1, &self->rfd, &self->sfd));
	cap = mbuf_cap_fd(self->sfd);
	ASSERT_EQ(0, send_caps(self->sfd, -1, "full", &cap, 1));
	fds[0] = self->sfd;
	fds[1] = self->sfd;
	pid = spawn(blocked_sender, fds);
	ASSERT_GT(pid, 0);
	ASSERT_TRUE(EVENTUALLY(!mbuf_queue_info(self->rfd, &info) &&
			       info.send_waiters == 1));
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	ASSERT_EQ(1, recv_caps(self->rfd, -1, "full", caps, 0));
	close(caps[0].ref.fd);
	EXPECT_EQ(-EAGAIN, recv_caps(self->rfd, -1, "x", caps, 0));

	/* And one that gets its turn. */
	ASSERT_EQ(0, send_caps(self->sfd, -1, "full", &cap, 1));
	pid = spawn(blocked_sender, fds);
	ASSERT_GT(pid, 0);
	ASSERT_TRUE(EVENTUALLY(!mbuf_queue_info(self->rfd, &info) &&
			       info.send_waiters == 1));
	ASSERT_EQ(1, recv_caps(self->rfd, -1, "full", caps, 0));
	close(caps[0].ref.fd);
	EXPECT_EQ(0, reap(pid));
	ASSERT_EQ(1, recv_caps(self->rfd, -1, "x", caps, 0));
	EXPECT_TRUE(same_file(self->sfd, caps[0].ref.fd));
	close(caps[0].ref.fd);
}

/* Arguments that are no memory have no effect on either side. */
TEST_F(queue, bad_memory)
{
	struct mbuf_xfer_caps x = {
		.table.fd = -1,
		.wait.mode = MBUF_WAIT_NOW,
		.nr_caps = 1,
		.stride = sizeof(struct mbuf_cap),
	};
	struct mbuf_cap caps[64], cap;
	struct guarded g;
	char buf[16];
	int fds;

	ASSERT_TRUE(guarded_alloc(&g, sizeof(cap) - 1));
	ASSERT_EQ(0, cap_queue(self->session, 2, 1, &self->rfd, &self->sfd));
	x.msg.buf = (uintptr_t)"x";
	x.msg.len = 1;
	x.caps = (uintptr_t)g.p;
	EXPECT_EQ(-EFAULT, xioctl(self->sfd, MBUF_IOC_SEND_CAPS, &x));
	cap = mbuf_cap_fd(self->sfd);
	ASSERT_EQ(0, send_caps(self->sfd, -1, "x", &cap, 1));
	fds = count_fds();
	x.msg.buf = (uintptr_t)buf;
	x.msg.len = sizeof(buf);
	EXPECT_EQ(-EFAULT, xioctl(self->rfd, MBUF_IOC_RECV_CAPS, &x));
	EXPECT_EQ(fds, count_fds());
	x.caps = (uintptr_t)caps;
	x.msg.buf = (uintptr_t)g.p + g.len;
	EXPECT_EQ(-EFAULT, xioctl(self->rfd, MBUF_IOC_RECV_CAPS, &x));
	EXPECT_EQ(fds, count_fds());
	ASSERT_EQ(1, recv_caps(self->rfd, -1, "x", caps, 0));
	close(caps[0].ref.fd);
	guarded_free(&g);
}

TEST_HARNESS_MAIN
