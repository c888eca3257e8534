// SPDX-License-Identifier: GPL-2.0
/*
 * Queues that nobody waits in: creation, rights, boundaries, lifetime, what
 * they tell about themselves.
 */
#include "util.h"

#define LIMIT_FLAGS	(MBUF_QUEUE_PRIO | MBUF_QUEUE_OVERWRITE | \
			 MBUF_QUEUE_CREDS | MBUF_QUEUE_EMPTY | \
			 MBUF_QUEUE_NONBLOCK)

static struct mbuf_queue_create create_arg(uint32_t slots, uint32_t max_msg,
					   uint32_t flags)
{
	struct mbuf_queue_create c = {
		.slots = slots,
		.max_msg = max_msg,
		.flags = flags,
	};

	/* What is only a result must not matter on the way in. */
	poison(&c.recv.fd, sizeof(c.recv.fd));
	poison(&c.send.fd, sizeof(c.send.fd));
	poison(&c.id, sizeof(c.id));
	return c;
}

/* Creates, and checks that a failure writes nothing. */
static int try_create(int session, struct mbuf_queue_create *c)
{
	struct mbuf_queue_create before = *c;
	long ret = xioctl(session, MBUF_IOC_QUEUE_CREATE, c);

	if (ret < 0 && memcmp(c, &before, sizeof(before)))
		return -EPROTO;
	if (ret > 0)
		return -EPROTO;
	return (int)ret;
}

static int try_queue(int session, uint32_t slots, uint32_t max_msg,
		     uint32_t flags)
{
	struct mbuf_queue_create c = create_arg(slots, max_msg, flags);
	struct mbuf_queue_info info;
	int ret = try_create(session, &c);

	if (ret)
		return ret;
	info = get_info(c.recv.fd);
	if (info.slots != slots || info.max_msg != max_msg ||
	    info.flags != flags || info.id != c.id)
		ret = -EPROTO;
	close(c.recv.fd);
	close(c.send.fd);
	return ret;
}

TEST_F(queue, query)
{
	struct mbuf_query q, *m = &self->q;

	EXPECT_TRUE(m->features & MBUF_FEATURE_QUEUE);
	EXPECT_LE(1, m->slots_max);
	EXPECT_LE(1, m->msg_max);
	EXPECT_LE(1, m->inline_max);
	EXPECT_LE(m->inline_max, m->msg_max);
	EXPECT_LE(1024, m->batch_max);
	EXPECT_LE(1, m->prio_max);
	EXPECT_EQ(0, m->resv);
	/* This session is one object of ours. */
	EXPECT_LE(1, m->objects.used);
	EXPECT_LT(0, m->memory.used);
	EXPECT_LT(0, m->objects.limit);
	EXPECT_LT(0, m->memory.limit);
	EXPECT_LT(0, m->inflight.limit);

	/* All of it is written. */
	poison(&q, sizeof(q));
	q.target = 0;
	q.resv = 0;
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_QUERY, &q));
	EXPECT_EQ(0, memcmp(&q, &self->q, sizeof(q)));
}

TEST_F(queue, query_counts_objects)
{
	struct mbuf_query q;
	int session;

	session = mbuf_open();
	ASSERT_LE(0, session);
	ASSERT_EQ(0, mbuf_query(session, &q));
	EXPECT_EQ(self->q.objects.used + 1, q.objects.used);

	make_queue(16, 64, 0);
	ASSERT_EQ(0, mbuf_query(session, &q));
	EXPECT_EQ(self->q.objects.used + 2, q.objects.used);
	EXPECT_LT(self->q.memory.used + 16 * 64, q.memory.used);

	close_fd(&self->rfd);
	close_fd(&self->sfd);
	ASSERT_EQ(0, mbuf_query(session, &q));
	EXPECT_EQ(self->q.objects.used + 1, q.objects.used);
	close(session);
}

TEST_F(queue, create_limits)
{
	uint32_t slots_max = self->q.slots_max, msg_max = self->q.msg_max;
	int s = self->session, ret;

	EXPECT_EQ(0, try_queue(s, 1, 1, 0));
	EXPECT_EQ(0, try_queue(s, 1, msg_max, 0));
	EXPECT_EQ(0, try_queue(s, slots_max, 1, 0));

	/* The largest of all: only memory may be in its way. */
	ret = try_queue(s, slots_max, msg_max, 0);
	if (ret != -ENOMEM && ret != -EDQUOT)
		EXPECT_EQ(0, ret);

	EXPECT_EQ(-EINVAL, try_queue(s, 0, 1, 0));
	EXPECT_EQ(-EINVAL, try_queue(s, 1, 0, 0));
	EXPECT_EQ(-EINVAL, try_queue(s, 0, 0, 0));
	EXPECT_EQ(-EINVAL, try_queue(s, slots_max + 1, 1, 0));
	EXPECT_EQ(-EINVAL, try_queue(s, 1, msg_max + 1, 0));
	EXPECT_EQ(-EINVAL, try_queue(s, UINT32_MAX, 1, 0));
	EXPECT_EQ(-EINVAL, try_queue(s, 1, UINT32_MAX, 0));
	EXPECT_EQ(-EINVAL, try_queue(s, INT32_MAX, INT32_MAX, 0));
	/* Products that wrap around to something small. */
	EXPECT_EQ(-EINVAL, try_queue(s, 1u << 31, 2, 0));
	EXPECT_EQ(-EINVAL, try_queue(s, 1u << 31, 1u << 31, 0));
	EXPECT_EQ(-EINVAL, try_queue(s, UINT32_MAX, UINT32_MAX, 0));
}

TEST_F(queue, create_flags)
{
	struct mbuf_queue_create c;
	uint32_t flags;
	int bit;

	for (flags = 0; flags <= LIMIT_FLAGS; flags++)
		EXPECT_EQ(0, try_queue(self->session, 2, 16, flags)) {
			TH_LOG("flags %#x", flags);
		}
	for (bit = 7; bit < 32; bit++)
		EXPECT_EQ(-EINVAL, try_queue(self->session, 2, 16, 1u << bit)) {
			TH_LOG("flag bit %d", bit);
		}
	EXPECT_EQ(-EINVAL, try_queue(self->session, 2, 16, UINT32_MAX));

	c = create_arg(2, 16, 0);
	c.max_caps = 1;
	EXPECT_EQ(-EINVAL, try_create(self->session, &c));
	c = create_arg(2, 16, 0);
	c.recv.flags = 1;
	EXPECT_EQ(-EINVAL, try_create(self->session, &c));
	c = create_arg(2, 16, 0);
	c.recv.handle = 1;
	EXPECT_EQ(-EINVAL, try_create(self->session, &c));
	c = create_arg(2, 16, 0);
	c.send.flags = 1u << 31;
	EXPECT_EQ(-EINVAL, try_create(self->session, &c));
	c = create_arg(2, 16, 0);
	c.send.handle = 1ull << 63;
	EXPECT_EQ(-EINVAL, try_create(self->session, &c));
	c = create_arg(2, 16, 0);
	c.target = 1;
	EXPECT_EQ(-EOPNOTSUPP, try_create(self->session, &c));
	c = create_arg(2, 16, 0);
	c.target = UINT64_MAX;
	EXPECT_EQ(-EOPNOTSUPP, try_create(self->session, &c));
}

TEST_F(queue, descriptor_flags)
{
	uint32_t flags;
	int nb;

	for (flags = 0; flags <= LIMIT_FLAGS; flags++) {
		nb = flags & MBUF_QUEUE_NONBLOCK ? O_NONBLOCK : 0;
		make_queue(2, 16, flags);
		EXPECT_EQ(FD_CLOEXEC, fcntl(self->rfd, F_GETFD));
		EXPECT_EQ(FD_CLOEXEC, fcntl(self->sfd, F_GETFD));
		EXPECT_EQ(O_RDONLY | nb, fcntl(self->rfd, F_GETFL) &
					 (O_ACCMODE | O_NONBLOCK));
		EXPECT_EQ(O_WRONLY | nb, fcntl(self->sfd, F_GETFL) &
					 (O_ACCMODE | O_NONBLOCK));
		close_fd(&self->rfd);
		close_fd(&self->sfd);
	}

	/* O_NONBLOCK is the property of one right, not of the queue. */
	make_queue(2, 16, 0);
	ASSERT_EQ(0, set_nonblock(self->sfd, true));
	EXPECT_EQ(0, fcntl(self->rfd, F_GETFL) & O_NONBLOCK);
}

TEST_F(queue, rights)
{
	struct mbuf_msg m, ms[2];
	char buf[16] = "x";

	make_queue(4, 16, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, "m", 1, MBUF_NOW));

	EXPECT_EQ(MBUF_RIGHT_RECV, get_info(self->rfd).rights);
	EXPECT_EQ(MBUF_RIGHT_SEND, get_info(self->sfd).rights);

	EXPECT_EQ(-EBADF, xread(self->sfd, buf, sizeof(buf)));
	EXPECT_EQ(-EBADF, xwrite(self->rfd, buf, 1));
	EXPECT_EQ(-EBADF, mbuf_recv(self->sfd, buf, sizeof(buf), MBUF_NOW));
	EXPECT_EQ(-EBADF, mbuf_send(self->rfd, buf, 1, MBUF_NOW));
	m = msg_of(buf, sizeof(buf));
	EXPECT_EQ(-EBADF, mbuf_recv_msg(self->sfd, &m, MBUF_FOREVER));
	m = msg_of(buf, 1);
	EXPECT_EQ(-EBADF, mbuf_send_msg(self->rfd, &m, MBUF_FOREVER));
	ms[0] = msg_of(buf, 1);
	ms[1] = ms[0];
	EXPECT_EQ(-EBADF, mbuf_recv_batch(self->sfd, ms, 2, 0, MBUF_NOW));
	EXPECT_EQ(-EBADF, mbuf_send_batch(self->rfd, ms, 2, 0, MBUF_NOW));

	/* None of that did anything. */
	EXPECT_EQ(1, get_info(self->rfd).depth);
	EXPECT_EQ(1, get_info(self->rfd).sent);
	EXPECT_EQ(0, get_info(self->rfd).received);
}

TEST_F(queue, wrong_object)
{
	struct mbuf_queue_info info;
	struct mbuf_query q;
	struct mbuf_msg m;
	int i, r, s, p[2], fds[4];
	char buf[16] = "x";

	make_queue(4, 16, 0);
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fds[0]);
	fds[1] = p[0];
	fds[2] = p[1];
	fds[3] = self->session;

	for (i = 0; i < 4; i++) {
		m = msg_of(buf, 1);
		EXPECT_EQ(-ENOTTY, mbuf_queue_info(fds[i], &info));
		EXPECT_EQ(-ENOTTY, mbuf_send(fds[i], buf, 1, MBUF_NOW));
		EXPECT_EQ(-ENOTTY, mbuf_recv(fds[i], buf, 16, MBUF_NOW));
		EXPECT_EQ(-ENOTTY, mbuf_send_batch(fds[i], &m, 1, 0, MBUF_NOW));
		EXPECT_EQ(-ENOTTY, mbuf_recv_batch(fds[i], &m, 1, 0, MBUF_NOW));
	}
	fds[3] = self->rfd;
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(-ENOTTY, mbuf_query(fds[i], &q));
		EXPECT_EQ(-ENOTTY, mbuf_queue_create(fds[i], 1, 1, 0, &r, &s));
	}
	EXPECT_EQ(-ENOTTY, mbuf_query(self->sfd, &q));
	EXPECT_EQ(-ENOTTY, mbuf_queue_create(self->sfd, 1, 1, 0, &r, &s));

	/* A session has nothing to read or write. */
	EXPECT_EQ(-EINVAL, xread(self->session, buf, sizeof(buf)));
	EXPECT_EQ(-EINVAL, xwrite(self->session, buf, 1));

	close(fds[0]);
	close(p[0]);
	close(p[1]);
}

TEST_F(queue, closed_and_path_descriptors)
{
	struct mbuf_queue_info info;
	struct mbuf_query q;
	char path[64], buf[16] = "x";
	int fds[6], i, r, s;
	struct mbuf_msg m;

	make_queue(4, 16, 0);
	fds[0] = -1;
	fds[1] = dup(self->rfd);
	close(fds[1]);
	fds[2] = INT_MAX;
	fds[3] = open("/dev/mbuf", O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fds[3]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->rfd);
	fds[4] = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fds[4]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->sfd);
	fds[5] = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fds[5]);

	for (i = 0; i < 6; i++) {
		m = msg_of(buf, 1);
		EXPECT_EQ(-EBADF, mbuf_query(fds[i], &q));
		EXPECT_EQ(-EBADF, mbuf_queue_create(fds[i], 1, 1, 0, &r, &s));
		EXPECT_EQ(-EBADF, mbuf_queue_info(fds[i], &info));
		EXPECT_EQ(-EBADF, mbuf_send(fds[i], buf, 1, MBUF_NOW));
		EXPECT_EQ(-EBADF, mbuf_recv(fds[i], buf, 16, MBUF_NOW));
		EXPECT_EQ(-EBADF, mbuf_send_batch(fds[i], &m, 1, 0, MBUF_NOW));
		EXPECT_EQ(-EBADF, mbuf_recv_batch(fds[i], &m, 1, 0, MBUF_NOW));
		EXPECT_EQ(-EBADF, xread(fds[i], buf, sizeof(buf)));
		EXPECT_EQ(-EBADF, xwrite(fds[i], buf, 1));
	}
	for (i = 3; i < 6; i++)
		close(fds[i]);
}

TEST_F(queue, order_and_numbers)
{
	uint8_t buf[64], in[64];
	uint32_t i, n = 100;
	struct mbuf_msg m;

	make_queue(n, sizeof(buf), 0);
	for (i = 0; i < n; i++) {
		size_t len = 1 + i % sizeof(buf);

		fill_pattern(buf, len, i);
		if (i % 3 == 0) {
			ASSERT_EQ((long)len, xwrite(self->sfd, buf, len));
			continue;
		}
		m = msg_of(buf, len);
		ASSERT_EQ(0, mbuf_send_msg(self->sfd, &m, MBUF_NOW));
		EXPECT_EQ(i + 1, m.seq);
	}
	for (i = 0; i < n; i++) {
		size_t len = 1 + i % sizeof(buf);

		poison(in, sizeof(in));
		if (i % 2 == 0) {
			ASSERT_EQ((long)len, xread(self->rfd, in, sizeof(in)));
		} else {
			m = msg_of(in, sizeof(in));
			ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
			ASSERT_EQ(len, m.len);
			EXPECT_EQ(i + 1, m.seq);
			EXPECT_EQ((uintptr_t)in, m.buf);
			EXPECT_EQ(0, m.flags);
			EXPECT_EQ(0, m.prio);
		}
		EXPECT_TRUE(is_pattern(in, len, i));
		EXPECT_TRUE(is_poison(in + len, sizeof(in) - len));
	}
	EXPECT_EQ(-EAGAIN, mbuf_recv(self->rfd, in, sizeof(in), MBUF_NOW));
}

/* Many times round, so that every slot is used again and again. */
TEST_F(queue, slots_are_reused)
{
	uint32_t i, in = 0, out = 0, slots = 7;

	make_queue(slots, 4, 0);
	for (i = 0; i < 2000; i++) {
		uint32_t n = 1 + (i * 5) % slots;

		while (in - out < n) {
			ASSERT_EQ(0, send_num(self->sfd, in, MBUF_NOW));
			in++;
		}
		if (n == slots)
			ASSERT_EQ(-EAGAIN, send_num(self->sfd, in, MBUF_NOW));
		while (in - out > n / 2) {
			ASSERT_EQ(out, recv_num(self->rfd, MBUF_NOW));
			out++;
		}
	}
	while (in != out) {
		ASSERT_EQ(out, recv_num(self->rfd, MBUF_NOW));
		out++;
	}
	EXPECT_EQ(in, get_info(self->rfd).sent);
	EXPECT_EQ(out, get_info(self->rfd).received);
}

/* Every size at which something changes inside. */
TEST_F(queue, sizes)
{
	uint32_t in_max = self->q.inline_max, max = self->q.msg_max;
	uint32_t sizes[] = {
		1, 2, 3, 7, 8, 9, 15, 16, 17, in_max - 1, in_max, in_max + 1,
		4095, 4096, 4097, 8192, 65535, 65536, max - 1, max,
	};
	uint8_t *buf, *in;
	struct mbuf_msg m;
	unsigned int i;

	make_queue(4, max, 0);
	buf = malloc(max);
	in = malloc(max);
	ASSERT_NE(NULL, buf);
	ASSERT_NE(NULL, in);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t len = sizes[i];

		if (!len || len > max)
			continue;
		fill_pattern(buf, len, i);
		ASSERT_EQ(0, mbuf_send(self->sfd, buf, len, MBUF_NOW));
		ASSERT_EQ((long)len, xwrite(self->sfd, buf, len));
		EXPECT_EQ(len, get_info(self->rfd).next_len);

		poison(in, max);
		m = msg_of(in, len);
		ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
		EXPECT_EQ(len, m.len);
		EXPECT_TRUE(is_pattern(in, len, i));
		EXPECT_TRUE(is_poison(in + len, max - len));

		poison(in, max);
		ASSERT_EQ((long)len, xread(self->rfd, in, max));
		EXPECT_TRUE(is_pattern(in, len, i));
		EXPECT_TRUE(is_poison(in + len, max - len));
	}
	free(buf);
	free(in);
}

TEST_F(queue, too_long)
{
	uint32_t maxes[] = { 1, 8, self->q.inline_max, self->q.inline_max + 1,
			     5000 };
	struct mbuf_msg m;
	unsigned int i;
	uint8_t *buf;

	buf = calloc(1, 8192);
	ASSERT_NE(NULL, buf);
	for (i = 0; i < ARRAY_SIZE(maxes); i++) {
		make_queue(2, maxes[i], MBUF_QUEUE_EMPTY);
		ASSERT_EQ(0, mbuf_send(self->sfd, buf, maxes[i], MBUF_NOW));
		EXPECT_EQ(-EMSGSIZE, mbuf_send(self->sfd, buf, maxes[i] + 1,
					       MBUF_NOW));
		EXPECT_EQ(-EMSGSIZE, xwrite(self->sfd, buf, maxes[i] + 1));
		/* A length alone is enough to be refused. */
		m = msg_of(NULL, UINT32_MAX);
		EXPECT_EQ(-EMSGSIZE, mbuf_send_msg(self->sfd, &m, MBUF_NOW));
		m = msg_of(buf, maxes[i] + 1);
		EXPECT_EQ(-EMSGSIZE,
			  mbuf_send_batch(self->sfd, &m, 1, 1, MBUF_NOW));
		EXPECT_EQ(1, get_info(self->sfd).sent);
		EXPECT_EQ(1, get_info(self->sfd).depth);
		EXPECT_EQ(0, get_info(self->sfd).send_blocked);
		/* Not only where there is room. */
		ASSERT_EQ(0, mbuf_send(self->sfd, buf, 1, MBUF_NOW));
		EXPECT_EQ(-EMSGSIZE, mbuf_send(self->sfd, buf, maxes[i] + 1,
					       MBUF_FOREVER));
		close_fd(&self->rfd);
		close_fd(&self->sfd);
	}
	free(buf);
}

TEST_F(queue, short_room)
{
	uint32_t lens[] = { 1, 10, self->q.inline_max, self->q.inline_max + 1,
			    4097 };
	struct mbuf_msg m, was;
	unsigned int i;
	uint8_t *buf;

	buf = malloc(8192);
	ASSERT_NE(NULL, buf);
	make_queue(2, 8192, MBUF_QUEUE_CREDS);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		uint32_t len = lens[i], room;

		fill_pattern(buf, len, i);
		ASSERT_EQ(0, mbuf_send(self->sfd, buf, len, MBUF_NOW));
		ASSERT_EQ(0, mbuf_send(self->sfd, "next", 4, MBUF_NOW));
		poison(buf, 8192);
		for (room = 0; room < len; room = room ? 2 * room + 1 : 1) {
			poison(&m, sizeof(m));
			m.buf = (uintptr_t)buf;
			m.len = room;
			was = m;
			ASSERT_EQ(-EMSGSIZE,
				  mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
			EXPECT_EQ(len, m.len);
			m.len = was.len;
			EXPECT_EQ(0, memcmp(&m, &was, sizeof(m)));
			/* Also when it could wait: there is a message. */
			EXPECT_EQ(-EMSGSIZE, mbuf_recv(self->rfd, buf, room,
						       MBUF_FOREVER));
			EXPECT_EQ(room ? -EMSGSIZE : -EINVAL,
				  xread(self->rfd, buf, room));
		}
		m = msg_of(buf, len - 1);
		EXPECT_EQ(-EMSGSIZE, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
		EXPECT_TRUE(is_poison(buf, 8192));
		EXPECT_EQ(2, get_info(self->rfd).depth);
		EXPECT_EQ(2 * i, get_info(self->rfd).received);

		/* What it said is enough. */
		ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
		EXPECT_EQ(len, m.len);
		EXPECT_EQ(2 * i + 1, m.seq);
		EXPECT_TRUE(is_pattern(buf, len, i));
		ASSERT_EQ(4, mbuf_recv(self->rfd, buf, 8192, MBUF_NOW));
		EXPECT_EQ(0, memcmp(buf, "next", 4));
	}
	free(buf);
}

TEST_F(queue, nothing_is_no_message)
{
	struct iovec iov[2] = { { NULL, 0 }, { NULL, 0 } };
	char buf[1];

	make_queue(2, 16, 0);
	/* Nor is there one that fits into nothing, message or not. */
	EXPECT_EQ(-EINVAL, xread(self->rfd, buf, 0));
	ASSERT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	EXPECT_EQ(-EINVAL, xread(self->rfd, buf, 0));
	EXPECT_GE(0, sys_result(readv(self->rfd, iov, 2)));
	ASSERT_EQ(1, mbuf_recv(self->rfd, buf, 1, MBUF_NOW));
	EXPECT_EQ(-EINVAL, mbuf_send(self->sfd, "", 0, MBUF_NOW));
	EXPECT_EQ(-EINVAL, mbuf_send(self->sfd, NULL, 0, MBUF_NOW));
	EXPECT_EQ(-EINVAL, xwrite(self->sfd, "", 0));
	/* The kernel may answer a writev() of nothing itself, with 0. */
	EXPECT_GE(0, sys_result(writev(self->sfd, iov, 2)));
	EXPECT_GE(0, sys_result(writev(self->sfd, iov, 0)));
	EXPECT_EQ(1, get_info(self->sfd).sent);
	close_fd(&self->sfd);
	EXPECT_EQ(-EINVAL, xread(self->rfd, buf, 0));
	EXPECT_EQ(0, xread(self->rfd, buf, 1));
}

TEST_F(queue, empty_messages)
{
	struct mbuf_msg m, ms[3];
	char buf[16];
	int i;

	make_queue(4, 16, MBUF_QUEUE_EMPTY);
	/* Only SEND can send one. */
	EXPECT_EQ(-EINVAL, xwrite(self->sfd, "", 0));
	EXPECT_EQ(0, get_info(self->sfd).sent);

	m = msg_of(NULL, 0);
	ASSERT_EQ(0, mbuf_send_msg(self->sfd, &m, MBUF_NOW));
	EXPECT_EQ(1, m.seq);
	ASSERT_EQ(0, mbuf_send(self->sfd, "ab", 2, MBUF_NOW));
	EXPECT_EQ(0, get_info(self->rfd).next_len);
	EXPECT_EQ(2, get_info(self->rfd).depth);
	EXPECT_EQ(POLLIN, poll_now(self->rfd, POLL_ALL));

	/* read() would show it as end-of-file: it stays. */
	EXPECT_EQ(-EBADMSG, xread(self->rfd, buf, sizeof(buf)));
	EXPECT_EQ(-EBADMSG, xread(self->rfd, buf, 1));
	EXPECT_EQ(2, get_info(self->rfd).depth);

	poison(&m, sizeof(m));
	m.buf = 0;
	m.len = 0;
	ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
	EXPECT_EQ(0, m.len);
	EXPECT_EQ(MBUF_MSG_EMPTY, m.flags);
	EXPECT_EQ(1, m.seq);

	m = msg_of(buf, sizeof(buf));
	ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
	EXPECT_EQ(2, m.len);
	EXPECT_EQ(0, m.flags);

	for (i = 0; i < 3; i++)
		ms[i] = msg_of("x", i == 1);
	ASSERT_EQ(3, mbuf_send_batch(self->sfd, ms, 3, 0, MBUF_NOW));
	for (i = 0; i < 3; i++)
		ms[i] = msg_of(buf + i, 1);
	ASSERT_EQ(3, mbuf_recv_batch(self->rfd, ms, 3, 0, MBUF_NOW));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(i == 1, ms[i].len);
		EXPECT_EQ(i == 1 ? 0 : MBUF_MSG_EMPTY, ms[i].flags);
	}

	/* At the end there is still an end-of-file to be told from it. */
	ASSERT_EQ(0, mbuf_send(self->sfd, NULL, 0, MBUF_NOW));
	close_fd(&self->sfd);
	EXPECT_EQ(-EBADMSG, xread(self->rfd, buf, sizeof(buf)));
	EXPECT_EQ(0, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));
	EXPECT_EQ(0, xread(self->rfd, buf, sizeof(buf)));
	EXPECT_EQ(-EPIPE, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));
}

TEST_F(queue, vectors)
{
	uint32_t len = 1 + 3 + 600 + 1;
	struct iovec iov[6], *many;
	uint8_t out[700], in[700];
	unsigned int i;

	make_queue(4, 5000, 0);
	fill_pattern(out, sizeof(out), 1);
	iov[0] = (struct iovec){ out, 1 };
	iov[1] = (struct iovec){ NULL, 0 };
	iov[2] = (struct iovec){ out + 1, 3 };
	iov[3] = (struct iovec){ out + 4, 600 };
	iov[4] = (struct iovec){ out, 0 };
	iov[5] = (struct iovec){ out + 604, 1 };
	ASSERT_EQ(len, sys_result(writev(self->sfd, iov, 6)));
	EXPECT_EQ(len, get_info(self->rfd).next_len);

	poison(in, sizeof(in));
	iov[0] = (struct iovec){ in, 300 };
	iov[1] = (struct iovec){ in + 300, 1 };
	iov[2] = (struct iovec){ NULL, 0 };
	iov[3] = (struct iovec){ in + 301, sizeof(in) - 301 };
	ASSERT_EQ(len, sys_result(readv(self->rfd, iov, 4)));
	EXPECT_TRUE(is_pattern(in, len, 1));
	EXPECT_TRUE(is_poison(in + len, sizeof(in) - len));

	/* As many pieces as there can be, of one byte each. */
	many = calloc(IOV_MAX, sizeof(*many));
	ASSERT_NE(NULL, many);
	for (i = 0; i < IOV_MAX; i++)
		many[i] = (struct iovec){ out + i % 700, 1 };
	ASSERT_EQ(IOV_MAX, sys_result(writev(self->sfd, many, IOV_MAX)));
	poison(in, sizeof(in));
	for (i = 0; i < IOV_MAX; i++)
		many[i] = (struct iovec){ in + i % 700, 1 };
	ASSERT_EQ(IOV_MAX, sys_result(readv(self->rfd, many, IOV_MAX)));
	for (i = 0; i < 700; i++)
		if (in[i] != out[i])
			break;
	EXPECT_EQ(700, i);
	free(many);
}

/* A bad piece spoils the whole message, wherever it is. */
TEST_F(queue, vectors_with_a_hole)
{
	uint32_t sizes[] = { 3, 60, self->q.inline_max + 30, 9000 };
	uint8_t *out, *in, *hole;
	struct iovec iov[3];
	unsigned int i, bad;

	make_queue(4, 16384, 0);
	out = malloc(16384);
	in = malloc(16384);
	hole = map_pages(page_size(), PROT_NONE);
	ASSERT_NE(NULL, out);
	ASSERT_NE(NULL, in);
	ASSERT_NE(NULL, hole);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t len = sizes[i], third = len / 3;
		uint64_t sent = get_info(self->sfd).sent;

		fill_pattern(out, len, i);
		for (bad = 0; bad < 3; bad++) {
			iov[0] = (struct iovec){ out, third };
			iov[1] = (struct iovec){ out + third, third };
			iov[2] = (struct iovec){ out + 2 * third,
						 len - 2 * third };
			iov[bad].iov_base = hole;
			EXPECT_EQ(-EFAULT,
				  sys_result(writev(self->sfd, iov, 3)));
		}
		EXPECT_EQ(sent, get_info(self->sfd).sent);
		EXPECT_EQ(0, get_info(self->sfd).depth);

		ASSERT_EQ((long)len, xwrite(self->sfd, out, len));
		for (bad = 0; bad < 3; bad++) {
			iov[0] = (struct iovec){ in, third };
			iov[1] = (struct iovec){ in + third, third };
			iov[2] = (struct iovec){ in + 2 * third,
						 len - 2 * third };
			iov[bad].iov_base = hole;
			EXPECT_EQ(-EFAULT,
				  sys_result(readv(self->rfd, iov, 3)));
		}
		EXPECT_EQ(1, get_info(self->sfd).depth);
		poison(in, 16384);
		ASSERT_EQ((long)len, xread(self->rfd, in, 16384));
		EXPECT_TRUE(is_pattern(in, len, i));
	}
	munmap(hole, page_size());
	free(out);
	free(in);
}

TEST_F(queue, end_of_file)
{
	struct mbuf_msg m;
	char buf[16];

	make_queue(4, 16, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, "one", 3, MBUF_NOW));
	ASSERT_EQ(0, mbuf_send(self->sfd, "three", 5, MBUF_NOW));
	EXPECT_EQ(POLLIN, poll_now(self->rfd, POLL_ALL));
	close_fd(&self->sfd);
	EXPECT_EQ(0, get_info(self->rfd).senders);

	EXPECT_EQ(POLLIN | POLLHUP, poll_now(self->rfd, POLL_ALL));
	EXPECT_EQ(3, xread(self->rfd, buf, sizeof(buf)));
	EXPECT_EQ(POLLIN | POLLHUP, poll_now(self->rfd, POLL_ALL));
	EXPECT_EQ(5, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_FOREVER));
	EXPECT_EQ(POLLHUP, poll_now(self->rfd, POLL_ALL));

	/* However one asks, and again and again. */
	EXPECT_EQ(0, xread(self->rfd, buf, sizeof(buf)));
	EXPECT_EQ(0, xread(self->rfd, buf, sizeof(buf)));
	EXPECT_EQ(-EPIPE, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));
	EXPECT_EQ(-EPIPE, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_FOREVER));
	EXPECT_EQ(-EPIPE, mbuf_recv(self->rfd, buf, sizeof(buf), 1));
	m = msg_of(buf, sizeof(buf));
	EXPECT_EQ(-EPIPE, mbuf_recv_batch(self->rfd, &m, 1, 1, MBUF_FOREVER));
	EXPECT_EQ(-EPIPE, mbuf_recv_batch(self->rfd, &m, 1, 0, MBUF_NOW));
	ASSERT_EQ(0, set_nonblock(self->rfd, true));
	EXPECT_EQ(0, xread(self->rfd, buf, sizeof(buf)));
	EXPECT_EQ(POLLHUP, poll_now(self->rfd, POLL_ALL));
}

TEST_F(queue, broken_pipe)
{
	uint8_t big[1000] = {};
	struct mbuf_query q;
	struct mbuf_msg m;
	short ev;

	ASSERT_EQ(0, catch_signal(SIGPIPE, 0));
	make_queue(4, sizeof(big), 0);
	EXPECT_EQ(POLLOUT, poll_now(self->sfd, POLL_ALL));
	ASSERT_EQ(0, mbuf_send(self->sfd, "one", 3, MBUF_NOW));
	ASSERT_EQ(0, mbuf_send(self->sfd, big, sizeof(big), MBUF_NOW));
	close_fd(&self->rfd);

	/* The queue and all that is in it are gone at once. */
	EXPECT_EQ(0, get_info(self->sfd).receivers);
	EXPECT_EQ(0, get_info(self->sfd).depth);
	EXPECT_EQ(0, get_info(self->sfd).next_len);
	EXPECT_EQ(0, get_info(self->sfd).received);
	EXPECT_TRUE(EVENTUALLY(!mbuf_query(self->session, &q) &&
			       q.inflight.used == self->q.inflight.used));

	ev = poll_now(self->sfd, POLL_ALL);
	EXPECT_EQ(POLLERR, ev);
	EXPECT_EQ(-EPIPE, xwrite(self->sfd, "x", 1));
	EXPECT_EQ(-EPIPE, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	EXPECT_EQ(-EPIPE, mbuf_send(self->sfd, "x", 1, MBUF_FOREVER));
	EXPECT_EQ(-EPIPE, mbuf_send(self->sfd, "x", 1, 1));
	EXPECT_EQ(-EPIPE, mbuf_send(self->sfd, big, sizeof(big), MBUF_NOW));
	m = msg_of("x", 1);
	EXPECT_EQ(-EPIPE, mbuf_send_batch(self->sfd, &m, 1, 1, MBUF_FOREVER));
	EXPECT_EQ(-EPIPE, mbuf_send_batch(self->sfd, &m, 1, 0, MBUF_NOW));
	ASSERT_EQ(0, set_nonblock(self->sfd, true));
	EXPECT_EQ(-EPIPE, xwrite(self->sfd, "x", 1));
	EXPECT_EQ(0, signals_seen);
	EXPECT_EQ(2, get_info(self->sfd).sent);
}

TEST_F(queue, dup_is_the_same_right)
{
	int dups[3], i;
	char buf[16];

	make_queue(4, 16, 0);
	for (i = 0; i < 3; i++) {
		dups[i] = dup(self->sfd);
		ASSERT_LE(0, dups[i]);
	}
	EXPECT_EQ(1, get_info(self->rfd).senders);
	EXPECT_EQ(1, get_info(self->rfd).receivers);
	close_fd(&self->sfd);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, poll_now(self->rfd, POLL_ALL));
		EXPECT_EQ(1, xwrite(dups[i], "x", 1));
		EXPECT_EQ(1, xread(self->rfd, buf, sizeof(buf)));
		EXPECT_EQ(1, get_info(self->rfd).senders);
		close(dups[i]);
	}
	EXPECT_EQ(0, get_info(self->rfd).senders);
	EXPECT_EQ(POLLHUP, poll_now(self->rfd, POLL_ALL));
	EXPECT_EQ(0, xread(self->rfd, buf, sizeof(buf)));

	close_fd(&self->rfd);
	make_queue(4, 16, 0);
	dups[0] = dup(self->rfd);
	ASSERT_LE(0, dups[0]);
	close_fd(&self->rfd);
	EXPECT_EQ(1, get_info(self->sfd).receivers);
	EXPECT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	EXPECT_EQ(1, mbuf_recv(dups[0], buf, sizeof(buf), MBUF_NOW));
	close(dups[0]);
	EXPECT_EQ(-EPIPE, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
}

struct child_arg {
	int rfd, sfd, go, session;
};

/* Holds what it inherited until it is told to go. */
static int holding_child(void *arg)
{
	struct child_arg *a = arg;
	char c;

	close(a->rfd);
	CHECK_EQ(5, xwrite(a->sfd, "child", 5));
	CHECK_EQ(1, xread(a->go, &c, 1));
	return 0;
}

TEST_F(queue, rights_are_inherited)
{
	struct child_arg a;
	char buf[16];
	int p[2];
	pid_t pid;

	make_queue(4, 16, 0);
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	a = (struct child_arg){ .rfd = self->rfd, .sfd = self->sfd,
				.go = p[0] };
	pid = spawn(holding_child, &a);
	ASSERT_LT(0, pid);
	close_fd(&self->sfd);
	EXPECT_EQ(5, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_FOREVER));
	/* The child's copy keeps the right alive ... */
	EXPECT_EQ(1, get_info(self->rfd).senders);
	EXPECT_EQ(0, poll_now(self->rfd, POLL_ALL));
	EXPECT_EQ(-EAGAIN, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));
	/* ... until it exits. */
	ASSERT_EQ(1, xwrite(p[1], "x", 1));
	EXPECT_EQ(-EPIPE, mbuf_recv(self->rfd, buf, sizeof(buf),
				    MBUF_FOREVER));
	EXPECT_EQ(0, reap(pid));
	close(p[0]);
	close(p[1]);
}

/*
 * exec: the program runs itself again with this in the environment, which says
 * what descriptor to read from until the end.
 */
#define EXEC_ENV	"MBUF_SELFTEST_EXEC"

__attribute__((constructor)) static void exec_helper(void)
{
	const char *env = getenv(EXEC_ENV);
	char buf[16], *rest;
	int kept, gone;

	if (!env)
		return;
	kept = strtol(env, &rest, 10);
	gone = strtol(rest + 1, NULL, 10);
	CHECK_EQ(-1, fcntl(gone, F_GETFD));
	CHECK_EQ(5, xread(kept, buf, sizeof(buf)));
	CHECK_EQ(0, memcmp(buf, "hello", 5));
	CHECK_EQ(0, xread(kept, buf, sizeof(buf)));
	_exit(42);
}

static int exec_child(void *arg)
{
	struct child_arg *a = arg;
	char value[32];

	snprintf(value, sizeof(value), "%d,%d", a->rfd, a->sfd);
	CHECK_EQ(0, setenv(EXEC_ENV, value, 1));
	CHECK_EQ(0, fcntl(a->rfd, F_SETFD, 0));
	execl("/proc/self/exe", "exec-helper", NULL);
	return 98;
}

TEST_F(queue, exec_keeps_and_closes)
{
	struct child_arg a;
	pid_t pid;

	make_queue(4, 16, 0);
	a = (struct child_arg){ .rfd = self->rfd, .sfd = self->sfd };
	pid = spawn(exec_child, &a);
	ASSERT_LT(0, pid);
	ASSERT_EQ(5, xwrite(self->sfd, "hello", 5));
	/* If exec had not closed the child's send right this would hang. */
	close_fd(&self->sfd);
	EXPECT_EQ(42, reap(pid));
}

TEST_F(queue, rights_are_passed)
{
	int sv[2], fd;
	char buf[16];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));

	/* In flight it is alive. */
	make_queue(4, 16, 0);
	ASSERT_EQ(1, pass_fd(sv[0], self->sfd));
	close_fd(&self->sfd);
	EXPECT_EQ(1, get_info(self->rfd).senders);
	EXPECT_EQ(0, poll_now(self->rfd, POLL_ALL));
	fd = take_fd(sv[1]);
	ASSERT_LE(0, fd);
	EXPECT_EQ(O_WRONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(MBUF_RIGHT_SEND, get_info(fd).rights);
	EXPECT_EQ(4, xwrite(fd, "sent", 4));
	EXPECT_EQ(-EBADF, xread(fd, buf, sizeof(buf)));
	close(fd);
	EXPECT_EQ(4, xread(self->rfd, buf, sizeof(buf)));
	EXPECT_EQ(0, xread(self->rfd, buf, sizeof(buf)));
	close_fd(&self->rfd);

	/* A receive right likewise. */
	make_queue(4, 16, 0);
	ASSERT_EQ(1, pass_fd(sv[0], self->rfd));
	close_fd(&self->rfd);
	ASSERT_EQ(0, mbuf_send(self->sfd, "hello", 5, MBUF_NOW));
	self->rfd = take_fd(sv[1]);
	ASSERT_LE(0, self->rfd);
	EXPECT_EQ(5, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));

	/* One that is never taken goes when its socket goes. */
	ASSERT_EQ(1, pass_fd(sv[0], self->rfd));
	close_fd(&self->rfd);
	EXPECT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	close(sv[0]);
	close(sv[1]);
	EXPECT_TRUE(EVENTUALLY(mbuf_send(self->sfd, "x", 1, MBUF_NOW) ==
			       -EPIPE));
}

TEST_F(queue, outlives_its_session)
{
	char buf[16];
	int session;

	session = mbuf_open();
	ASSERT_LE(0, session);
	ASSERT_EQ(0, mbuf_queue_create(session, 4, 16, 0, &self->rfd,
				       &self->sfd));
	close(session);
	EXPECT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	EXPECT_EQ(1, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));
}

/* A right cannot be opened anew, let alone with another mode. */
TEST_F(queue, no_reopening)
{
	int modes[] = { O_RDONLY, O_WRONLY, O_RDWR }, fds[2], i, j;
	char path[64];

	make_queue(4, 16, 0);
	fds[0] = self->rfd;
	fds[1] = self->sfd;
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
		for (j = 0; j < 3; j++) {
			EXPECT_EQ(-1, open(path, modes[j] | O_CLOEXEC));
			EXPECT_EQ(ENXIO, errno);
		}
	}
	/* A session can: it is a new one. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->session);
	i = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, i);
	EXPECT_EQ(0, close(i));
}

TEST_F(queue, no_file_position)
{
	struct iovec iov = { NULL, 0 };
	char buf[16] = "x";
	int fds[2], i;

	make_queue(4, 16, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	fds[0] = self->rfd;
	fds[1] = self->sfd;
	iov.iov_base = buf;
	iov.iov_len = 1;
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-ESPIPE, sys_result(lseek(fds[i], 0, SEEK_CUR)));
		EXPECT_EQ(-ESPIPE, sys_result(lseek(fds[i], 0, SEEK_END)));
		EXPECT_EQ(-EINVAL, sys_result(ftruncate(fds[i], 0)));
		EXPECT_EQ(-EINVAL, sys_result(fsync(fds[i])));
	}
	EXPECT_EQ(-ESPIPE, sys_result(pread(self->rfd, buf, 16, 0)));
	EXPECT_EQ(-ESPIPE, sys_result(preadv(self->rfd, &iov, 1, 0)));
	EXPECT_EQ(-ESPIPE, sys_result(pwrite(self->sfd, buf, 1, 0)));
	EXPECT_EQ(-ESPIPE, sys_result(pwritev(self->sfd, &iov, 1, 0)));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), PROT_READ, MAP_SHARED,
				   self->rfd, 0));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), PROT_READ, MAP_PRIVATE,
				   self->rfd, 0));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), PROT_WRITE, MAP_SHARED,
				   self->sfd, 0));
	/* An O_WRONLY file cannot be mapped whatever it is. */
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), PROT_READ, MAP_SHARED,
				   self->session, 0));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(1, get_info(self->rfd).depth);
	EXPECT_EQ(1, get_info(self->rfd).sent);
}

/* RWF_NOWAIT makes one call nonblocking. */
TEST_F(queue, rwf_nowait)
{
	char buf[16] = "abc";
	struct iovec iov = { buf, 3 };

	make_queue(1, 16, 0);
	EXPECT_EQ(-EAGAIN,
		  sys_result(preadv2(self->rfd, &iov, 1, -1, RWF_NOWAIT)));
	EXPECT_EQ(3, sys_result(pwritev2(self->sfd, &iov, 1, -1, RWF_NOWAIT)));
	EXPECT_EQ(-EAGAIN,
		  sys_result(pwritev2(self->sfd, &iov, 1, -1, RWF_NOWAIT)));
	EXPECT_EQ(3, sys_result(preadv2(self->rfd, &iov, 1, -1, RWF_NOWAIT)));
	EXPECT_EQ(0, get_info(self->rfd).send_blocked);
	EXPECT_EQ(0, get_info(self->rfd).recv_blocked);
}

TEST_F(queue, identity)
{
	uint64_t ids[200];
	unsigned int i, j;
	int r, s;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		struct mbuf_queue_create c = create_arg(1, 1, 0);

		ASSERT_EQ(0, try_create(self->session, &c));
		ids[i] = c.id;
		EXPECT_NE(0, c.id);
		EXPECT_EQ(c.id, get_info(c.recv.fd).id);
		EXPECT_EQ(c.id, get_info(c.send.fd).id);
		r = c.recv.fd;
		s = c.send.fd;
		close(r);
		close(s);
	}
	for (i = 0; i < ARRAY_SIZE(ids); i++)
		for (j = 0; j < i; j++)
			ASSERT_NE(ids[i], ids[j]);
}

TEST_F(queue, info_counts)
{
	struct mbuf_queue_info i;
	uint64_t id;
	char buf[64];

	make_queue(3, 64, 0);
	poison(&i, sizeof(i));
	i.target = 0;
	i.next_caps = 0;
	ASSERT_EQ(0, xioctl(self->rfd, MBUF_IOC_QUEUE_INFO, &i));
	id = i.id;
	EXPECT_EQ(0, i.target);
	EXPECT_EQ(3, i.slots);
	EXPECT_EQ(64, i.max_msg);
	EXPECT_EQ(0, i.flags);
	EXPECT_EQ(MBUF_RIGHT_RECV, i.rights);
	EXPECT_EQ(0, i.depth);
	EXPECT_EQ(0, i.high_water);
	EXPECT_EQ(1, i.senders);
	EXPECT_EQ(1, i.receivers);
	EXPECT_EQ(0, i.send_waiters);
	EXPECT_EQ(0, i.recv_waiters);
	EXPECT_EQ(0, i.next_len);
	EXPECT_EQ(0, i.next_caps);
	EXPECT_EQ(0, i.sent);
	EXPECT_EQ(0, i.received);
	EXPECT_EQ(0, i.dropped);
	EXPECT_EQ(0, i.refused);
	EXPECT_EQ(0, i.send_blocked);
	EXPECT_EQ(0, i.recv_blocked);

	ASSERT_EQ(0, mbuf_send(self->sfd, buf, 5, MBUF_NOW));
	ASSERT_EQ(0, mbuf_send(self->sfd, buf, 6, MBUF_NOW));
	i = get_info(self->sfd);
	EXPECT_EQ(id, i.id);
	EXPECT_EQ(MBUF_RIGHT_SEND, i.rights);
	EXPECT_EQ(2, i.depth);
	EXPECT_EQ(2, i.high_water);
	EXPECT_EQ(5, i.next_len);
	EXPECT_EQ(2, i.sent);

	ASSERT_EQ(5, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));
	i = get_info(self->rfd);
	EXPECT_EQ(1, i.depth);
	EXPECT_EQ(2, i.high_water);
	EXPECT_EQ(6, i.next_len);
	EXPECT_EQ(1, i.received);

	ASSERT_EQ(0, mbuf_send(self->sfd, buf, 7, MBUF_NOW));
	ASSERT_EQ(0, mbuf_send(self->sfd, buf, 8, MBUF_NOW));
	/* What failed at once, or was not to wait, is not counted. */
	EXPECT_EQ(-EAGAIN, mbuf_send(self->sfd, buf, 8, MBUF_NOW));
	EXPECT_EQ(-EMSGSIZE, mbuf_send(self->sfd, buf, 65, MBUF_NOW));
	i = get_info(self->rfd);
	EXPECT_EQ(3, i.depth);
	EXPECT_EQ(3, i.high_water);
	EXPECT_EQ(4, i.sent);
	EXPECT_EQ(0, i.send_blocked);

	while (mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW) >= 0)
		;
	i = get_info(self->rfd);
	EXPECT_EQ(0, i.depth);
	EXPECT_EQ(3, i.high_water);
	EXPECT_EQ(0, i.next_len);
	EXPECT_EQ(4, i.sent);
	EXPECT_EQ(4, i.received);
	EXPECT_EQ(0, i.recv_blocked);

	close_fd(&self->sfd);
	EXPECT_EQ(0, get_info(self->rfd).senders);
	EXPECT_EQ(1, get_info(self->rfd).receivers);
}

/* What a message outside of the slots costs is seen while it is in flight. */
TEST_F(queue, inflight_is_charged)
{
	uint32_t len = self->q.inline_max + 1;
	struct mbuf_query q;
	uint8_t *buf;
	int i;

	make_queue(8, 4 * len, 0);
	buf = calloc(4, len);
	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, mbuf_send(self->sfd, buf, len - 1, MBUF_NOW));
	ASSERT_EQ(0, mbuf_query(self->session, &q));
	EXPECT_EQ(self->q.inflight.used, q.inflight.used);
	for (i = 1; i <= 3; i++) {
		uint64_t was = q.inflight.used;

		ASSERT_EQ(0, mbuf_send(self->sfd, buf, len, MBUF_NOW));
		ASSERT_EQ(0, mbuf_query(self->session, &q));
		EXPECT_LE(was + len, q.inflight.used);
	}
	/* A failed one is not. */
	EXPECT_EQ(-EMSGSIZE, mbuf_send(self->sfd, buf, 4 * len + 1, MBUF_NOW));
	EXPECT_EQ(-EFAULT, mbuf_send(self->sfd, NULL, len, MBUF_NOW));
	for (i = 0; i < 4; i++) {
		uint64_t was = q.inflight.used;

		ASSERT_EQ(0, mbuf_query(self->session, &q));
		EXPECT_EQ(was, q.inflight.used);
		ASSERT_LT(0, mbuf_recv(self->rfd, buf, 4 * len, MBUF_NOW));
		ASSERT_EQ(0, mbuf_query(self->session, &q));
		if (i)
			EXPECT_GT(was, q.inflight.used);
	}
	EXPECT_EQ(self->q.inflight.used, q.inflight.used);
	free(buf);
}

/* Whatever is open keeps the module from being unloaded. */
TEST_F(queue, pins_the_module)
{
	long before = module_users();
	int session;

	if (before < 0)
		SKIP(return, "no " MODULE_REFCNT ": mbuf is built in");
	/* At least our session. */
	EXPECT_LE(1, before);
	session = mbuf_open();
	ASSERT_LE(0, session);
	EXPECT_EQ(before + 1, module_users());
	ASSERT_EQ(0, mbuf_queue_create(session, 4, 16, 0, &self->rfd,
				       &self->sfd));
	EXPECT_EQ(before + 3, module_users());
	close(session);
	EXPECT_EQ(before + 2, module_users());
	close_fd(&self->rfd);
	EXPECT_EQ(before + 1, module_users());
	close_fd(&self->sfd);
	EXPECT_EQ(before, module_users());
}

TEST_F(queue, fdinfo)
{
	char path[64], text[2048], buf[64];
	struct mbuf_queue_info i;
	int fds[2], n;

	make_queue(2, 64, MBUF_QUEUE_CREDS | MBUF_QUEUE_EMPTY);
	ASSERT_EQ(0, mbuf_send(self->sfd, "abc", 3, MBUF_NOW));
	ASSERT_EQ(0, mbuf_send(self->sfd, "d", 1, MBUF_NOW));
	ASSERT_EQ(3, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));
	fds[0] = self->rfd;
	fds[1] = self->sfd;
	for (n = 0; n < 2; n++) {
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fds[n]);
		ASSERT_TRUE(read_file(path, text, sizeof(text)));
		i = get_info(fds[n]);
		EXPECT_STREQ("queue", fdinfo_value(text, "mbuf-type"));
		EXPECT_STREQ(n ? "send" : "recv",
			     fdinfo_value(text, "mbuf-right"));
		EXPECT_EQ(i.id, strtoull(fdinfo_value(text, "mbuf-id"), NULL,
					 16));
		EXPECT_FDINFO(2, text, "mbuf-slots");
		EXPECT_FDINFO(64, text, "mbuf-max-msg");
		EXPECT_FDINFO(i.flags, text, "mbuf-flags");
		EXPECT_FDINFO(1, text, "mbuf-depth");
		EXPECT_FDINFO(2, text, "mbuf-high-water");
		EXPECT_FDINFO(1, text, "mbuf-senders");
		EXPECT_FDINFO(1, text, "mbuf-receivers");
		EXPECT_FDINFO(0, text, "mbuf-send-waiters");
		EXPECT_FDINFO(0, text, "mbuf-recv-waiters");
		EXPECT_FDINFO(2, text, "mbuf-sent");
		EXPECT_FDINFO(1, text, "mbuf-received");
		EXPECT_FDINFO(0, text, "mbuf-dropped");
		EXPECT_FDINFO(0, text, "mbuf-refused");
		EXPECT_FDINFO(0, text, "mbuf-send-blocked");
		EXPECT_FDINFO(0, text, "mbuf-recv-blocked");
	}

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->session);
	ASSERT_TRUE(read_file(path, text, sizeof(text)));
	EXPECT_STREQ("session", fdinfo_value(text, "mbuf-type"));
}

/* What ls -l /proc/PID/fd shows. */
TEST_F(queue, link_names)
{
	char path[64], name[64];
	ssize_t len;

	make_queue(2, 64, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->rfd);
	len = readlink(path, name, sizeof(name) - 1);
	ASSERT_LT(0, len);
	name[len] = '\0';
	EXPECT_NE(NULL, strstr(name, "mbuf"));
	EXPECT_NE(NULL, strstr(name, "queue"));
}

TEST_HARNESS_MAIN
