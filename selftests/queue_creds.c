// SPDX-License-Identifier: GPL-2.0
/*
 * Who sent a message, and who that is for its receiver.
 */
#include "util.h"

/* A message of one byte with all that is known about it. */
static int recv_creds(int fd, struct mbuf_msg *m)
{
	char c;

	*m = msg_of(&c, 1);
	return mbuf_recv_msg(fd, m, MBUF_FOREVER);
}

static uint32_t sysctl_id(const char *path)
{
	char text[32];

	return read_file(path, text, sizeof(text)) ?
	       (uint32_t)strtoul(text, NULL, 10) : 65534;
}

static uint32_t overflow_uid(void)
{
	return sysctl_id("/proc/sys/kernel/overflowuid");
}

static uint32_t overflow_gid(void)
{
	return sysctl_id("/proc/sys/kernel/overflowgid");
}

#define EXPECT_CREDS(m, p, u, g) do {					\
	EXPECT_EQ(MBUF_MSG_CREDS, (m).flags);				\
	EXPECT_EQ((uint32_t)(p), (m).pid);				\
	EXPECT_EQ((uint32_t)(u), (m).uid);				\
	EXPECT_EQ((uint32_t)(g), (m).gid);				\
} while (0)

#define EXPECT_NO_CREDS(m) do {						\
	EXPECT_EQ(0, (m).flags);					\
	EXPECT_EQ(0, (m).pid);						\
	EXPECT_EQ(overflow_uid(), (m).uid);				\
	EXPECT_EQ(overflow_gid(), (m).gid);				\
} while (0)

TEST_F(queue, own)
{
	struct mbuf_msg m, ms[3];
	char buf[3];
	int i;

	make_queue(8, 16, MBUF_QUEUE_CREDS);
	ASSERT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	ASSERT_EQ(0, recv_creds(self->rfd, &m));
	EXPECT_CREDS(m, getpid(), geteuid(), getegid());

	for (i = 0; i < 3; i++)
		ms[i] = msg_of("x", 1);
	ASSERT_EQ(3, mbuf_send_batch(self->sfd, ms, 3, 0, MBUF_NOW));
	for (i = 0; i < 3; i++)
		ms[i] = msg_of(&buf[i], 1);
	ASSERT_EQ(3, mbuf_recv_batch(self->rfd, ms, 3, 0, MBUF_NOW));
	for (i = 0; i < 3; i++)
		EXPECT_CREDS(ms[i], getpid(), geteuid(), getegid());
}

TEST_F(queue, not_asked_for)
{
	struct mbuf_msg m;

	make_queue(8, 16, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	ASSERT_EQ(0, recv_creds(self->rfd, &m));
	EXPECT_NO_CREDS(m);
}

/* write() does not tell: who writes need not know what to. */
TEST_F(queue, write_stamps_nothing)
{
	struct iovec iov = { "x", 1 };
	struct mbuf_msg m;
	int i;

	make_queue(8, 16, MBUF_QUEUE_CREDS);
	ASSERT_EQ(1, xwrite(self->sfd, "x", 1));
	ASSERT_EQ(1, sys_result(writev(self->sfd, &iov, 1)));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, recv_creds(self->rfd, &m));
		EXPECT_NO_CREDS(m);
	}
	/* Slots are used again: what was in them is not. */
	for (i = 0; i < 40; i++) {
		if (i % 2) {
			ASSERT_EQ(1, xwrite(self->sfd, "x", 1));
			ASSERT_EQ(0, recv_creds(self->rfd, &m));
			EXPECT_NO_CREDS(m);
		} else {
			ASSERT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
			ASSERT_EQ(0, recv_creds(self->rfd, &m));
			EXPECT_CREDS(m, getpid(), geteuid(), getegid());
		}
	}
}

/* Flags add up. */
TEST_F(queue, with_empty_messages)
{
	struct mbuf_msg m;

	make_queue(8, 16, MBUF_QUEUE_CREDS | MBUF_QUEUE_EMPTY);
	ASSERT_EQ(0, mbuf_send(self->sfd, NULL, 0, MBUF_NOW));
	ASSERT_EQ(0, recv_creds(self->rfd, &m));
	EXPECT_EQ(MBUF_MSG_CREDS | MBUF_MSG_EMPTY, m.flags);
	EXPECT_EQ((uint32_t)getpid(), m.pid);
}

/* All ways a message can take: large, parked, handed over. */
TEST_F(queue, every_path)
{
	struct party s = { .op = OP_SEND, .len = 1, .deadline = MBUF_FOREVER };
	struct party r = { .op = OP_RECV, .len = 1, .deadline = MBUF_FOREVER };
	uint32_t large = self->q.inline_max + 1;
	struct mbuf_msg m;
	uint8_t *buf;
	char c;

	buf = calloc(1, large);
	ASSERT_NE(NULL, buf);
	make_queue(1, large, MBUF_QUEUE_CREDS);
	s.fd = self->sfd;
	s.buf = buf;
	r.fd = self->rfd;
	r.buf = &c;

	ASSERT_EQ(0, mbuf_send(self->sfd, buf, large, MBUF_NOW));
	m = msg_of(buf, large);
	ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
	EXPECT_CREDS(m, getpid(), geteuid(), getegid());

	ASSERT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	ASSERT_TRUE(party_start(&s));
	ASSERT_SLEEPERS(self->rfd, 0, 1);
	ASSERT_EQ(0, recv_creds(self->rfd, &m));
	ASSERT_EQ(0, recv_creds(self->rfd, &m));
	/* The process, not the thread. */
	EXPECT_CREDS(m, getpid(), geteuid(), getegid());
	EXPECT_EQ(0, party_join(&s));
	EXPECT_NE(getpid(), s.tid);

	ASSERT_TRUE(party_start(&r));
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	EXPECT_EQ(1, party_join(&r));
	EXPECT_CREDS(r.msg, getpid(), geteuid(), getegid());
	free(buf);
}

static int send_child(void *arg)
{
	CHECK_EQ(0, mbuf_send(*(int *)arg, "x", 1, MBUF_FOREVER));
	return 0;
}

/* A sender that has gone was somebody all the same. */
TEST_F(queue, dead_sender)
{
	struct mbuf_msg m;
	pid_t pid;

	make_queue(8, 16, MBUF_QUEUE_CREDS);
	pid = spawn(send_child, &self->sfd);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, reap(pid));
	ASSERT_EQ(0, recv_creds(self->rfd, &m));
	EXPECT_CREDS(m, pid, geteuid(), getegid());
}

/* The effective ids at the time of SEND, not those of the right's maker. */
static int change_ids_child(void *arg)
{
	int fd = *(int *)arg;

	CHECK_EQ(0, mbuf_send(fd, "x", 1, MBUF_NOW));
	CHECK_EQ(0, setgroups(0, NULL));
	CHECK_EQ(0, setresgid(101, 102, 103));
	CHECK_EQ(0, setresuid(201, 202, 0));
	CHECK_EQ(0, mbuf_send(fd, "x", 1, MBUF_NOW));
	CHECK_EQ(1, xwrite(fd, "x", 1));
	CHECK_EQ(0, setresuid(0, 0, 0));
	CHECK_EQ(0, setresgid(7, 7, 7));
	CHECK_EQ(0, setresuid(8, 8, 8));
	CHECK_EQ(0, mbuf_send(fd, "x", 1, MBUF_NOW));
	return 0;
}

TEST_F(queue, changing_ids)
{
	struct mbuf_msg m;
	pid_t pid;

	NEED_ROOT();
	make_queue(8, 16, MBUF_QUEUE_CREDS);
	pid = spawn(change_ids_child, &self->sfd);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, reap(pid));
	ASSERT_EQ(0, recv_creds(self->rfd, &m));
	EXPECT_CREDS(m, pid, 0, 0);
	ASSERT_EQ(0, recv_creds(self->rfd, &m));
	EXPECT_CREDS(m, pid, 202, 102);
	ASSERT_EQ(0, recv_creds(self->rfd, &m));
	EXPECT_NO_CREDS(m);
	ASSERT_EQ(0, recv_creds(self->rfd, &m));
	EXPECT_CREDS(m, pid, 8, 7);
}

/*
 * Process id namespaces
 */
struct ns_arg {
	int rfd, sfd;
	uid_t uid;
};

static int in_pidns_child(void *arg)
{
	struct ns_arg *a = arg;
	struct mbuf_msg m;

	CHECK_EQ(1, getpid());
	CHECK_EQ(0, mbuf_send(a->sfd, "x", 1, MBUF_NOW));
	/* Its own message, in its own terms ... */
	CHECK_EQ(0, recv_creds(a->rfd, &m));
	CHECK_EQ(MBUF_MSG_CREDS, m.flags);
	CHECK_EQ(1, m.pid);
	/* ... and one from outside, which has no number here. */
	CHECK_EQ(0, recv_creds(a->rfd, &m));
	CHECK_EQ(MBUF_MSG_CREDS, m.flags);
	CHECK_EQ(0, m.pid);
	CHECK_EQ(0, m.uid);
	CHECK_EQ(0, mbuf_send(a->sfd, "x", 1, MBUF_NOW));
	return 0;
}

static int pidns_child(void *arg)
{
	struct ns_arg *a = arg;
	struct mbuf_msg m;
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		return 77;
	CHECK_EQ(0, mbuf_send(a->sfd, "x", 1, MBUF_NOW));
	CHECK_EQ(0, recv_creds(a->rfd, &m));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(in_pidns_child(arg));
	}
	CHECK(pid > 0);
	/* The second message it receives: sent by this process. */
	CHECK(EVENTUALLY(get_info(a->rfd).recv_waiters == 1));
	CHECK_EQ(0, mbuf_send(a->sfd, "x", 1, MBUF_NOW));
	CHECK_EQ(0, reap(pid));
	/* Its last one, seen from here: not 1. */
	CHECK_EQ(0, recv_creds(a->rfd, &m));
	CHECK_EQ(MBUF_MSG_CREDS, m.flags);
	CHECK_EQ(pid, m.pid);
	return 0;
}

TEST_F(queue, pid_namespaces)
{
	struct ns_arg a;
	int ret;

	NEED_ROOT();
	make_queue(8, 16, MBUF_QUEUE_CREDS);
	a.rfd = self->rfd;
	a.sfd = self->sfd;
	ret = reap(spawn(pidns_child, &a));
	if (ret == 77)
		SKIP(return, "no process id namespaces (CONFIG_PID_NS)");
	EXPECT_EQ(0, ret);
}

/*
 * User namespaces
 */
static bool map_ids(pid_t pid, uid_t inside, uid_t outside, unsigned int nr)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	if (!write_file(path, "%u %u %u\n", inside, outside, nr))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	return write_file(path, "%u %u %u\n", inside, outside, nr);
}

/* Two messages are there: of uid 0 and of uid 1000 outside. */
static int userns_receiver(void *arg)
{
	struct ns_arg *a = arg;
	struct mbuf_msg m;
	char c;

	if (unshare(CLONE_NEWUSER))
		return 77;
	/* Nothing is mapped yet. */
	CHECK_EQ(0, recv_creds(a->rfd, &m));
	CHECK_EQ(overflow_uid(), m.uid);
	CHECK_EQ(overflow_gid(), m.gid);
	CHECK_EQ(MBUF_MSG_CREDS, m.flags);
	/* Ask the parent for 0 to be 1000, and go on when it is. */
	CHECK_EQ(1, xwrite(a->sfd, "m", 1));
	CHECK_EQ(1, mbuf_recv(a->rfd, &c, 1, MBUF_FOREVER));
	CHECK_EQ('g', c);
	CHECK_EQ(0, recv_creds(a->rfd, &m));
	CHECK_EQ(0, m.uid);
	CHECK_EQ(0, m.gid);
	CHECK_EQ(0, recv_creds(a->rfd, &m));
	CHECK_EQ(overflow_uid(), m.uid);
	CHECK_EQ(overflow_gid(), m.gid);
	return 0;
}

TEST_F(queue, user_namespaces_of_receivers)
{
	int back_r, back_s;
	struct ns_arg a;
	pid_t pid;
	char c;
	int ret;

	NEED_ROOT();
	make_queue(8, 16, MBUF_QUEUE_CREDS);
	ASSERT_EQ(0, mbuf_queue_create(self->session, 4, 1, 0, &back_r,
				       &back_s));
	ASSERT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	a.rfd = self->rfd;
	a.sfd = back_s;
	pid = spawn(userns_receiver, &a);
	ASSERT_LT(0, pid);
	close(back_s);
	ret = (int)mbuf_recv(back_r, &c, 1, MBUF_FOREVER);
	if (ret == -EPIPE) {
		close(back_r);
		ret = reap(pid);
		if (ret == 77)
			SKIP(return, "no user namespaces (CONFIG_USER_NS)");
		ASSERT_EQ(0, ret);
	}
	ASSERT_EQ(1, ret);
	ASSERT_TRUE(map_ids(pid, 0, 1000, 1));
	ASSERT_EQ(1, xwrite(self->sfd, "g", 1));
	ASSERT_EQ(0, run_as(1000, send_child, &self->sfd));
	ASSERT_EQ(0, run_as(1001, send_child, &self->sfd));
	EXPECT_EQ(0, reap(pid));
	close(back_r);
}

/* The sender is in one: outside it is who it is outside. */
static int userns_sender(void *arg)
{
	struct ns_arg *a = arg;
	uid_t uid = geteuid();

	if (unshare(CLONE_NEWUSER))
		return 77;
	CHECK(write_file("/proc/self/setgroups", "deny"));
	CHECK(map_ids(getpid(), 0, uid, 1));
	CHECK_EQ(0, geteuid());
	CHECK_EQ(0, mbuf_send(a->sfd, "x", 1, MBUF_NOW));
	return 0;
}

TEST_F(queue, user_namespaces_of_senders)
{
	struct mbuf_msg m;
	struct ns_arg a;
	pid_t pid;
	int ret;

	NEED_ROOT();
	make_queue(8, 16, MBUF_QUEUE_CREDS);
	a.sfd = self->sfd;
	pid = spawn_as(TEST_UID, userns_sender, &a);
	ASSERT_LT(0, pid);
	ret = reap(pid);
	if (ret == 77)
		SKIP(return, "unprivileged users may not make user namespaces");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, recv_creds(self->rfd, &m));
	EXPECT_CREDS(m, pid, TEST_UID, TEST_UID);
}

TEST_HARNESS_MAIN
