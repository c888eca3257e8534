// SPDX-License-Identifier: GPL-2.0
/*
 * Waiting: who sleeps, in what order sleepers are served, and all that can end
 * a sleep: the other side, a deadline, a signal, death, the peer's close.
 */
#include "util.h"

/* Calls that sleep, of all kinds. */
static const enum op recv_ops[] = { OP_RECV, OP_READ, OP_READV, OP_RECV_BATCH };
static const enum op send_ops[] = { OP_SEND, OP_WRITE, OP_WRITEV,
				    OP_SEND_BATCH };

static const char *op_name(enum op op)
{
	static const char *const names[] = {
		[OP_RECV] = "RECV",
		[OP_READ] = "read",
		[OP_READV] = "readv",
		[OP_RECV_BATCH] = "RECV_BATCH",
		[OP_SEND] = "SEND",
		[OP_WRITE] = "write",
		[OP_WRITEV] = "writev",
		[OP_SEND_BATCH] = "SEND_BATCH",
	};

	return names[op];
}

/* A party that sends or receives one number. */
struct num_party {
	struct party p;
	uint32_t num;
};

static bool num_start(struct num_party *n, enum op op, int fd, uint32_t num,
		      uint64_t deadline)
{
	memset(n, 0, sizeof(*n));
	n->num = num;
	n->p.op = op;
	n->p.fd = fd;
	n->p.buf = &n->num;
	n->p.len = sizeof(n->num);
	n->p.nr = 1;
	n->p.min = 1;
	n->p.deadline = deadline;
	return party_start(&n->p);
}

/* What the call gives when it has moved its number. */
static long num_success(const struct num_party *n)
{
	switch (n->p.op) {
	case OP_SEND:
		return 0;
	case OP_SEND_BATCH:
	case OP_RECV_BATCH:
		return 1;
	default:
		return sizeof(n->num);
	}
}

static long num_join(struct num_party *n)
{
	long ret = party_join(&n->p);

	party_free(&n->p);
	return ret;
}

/* Fills a queue with the numbers from 1000 on. */
static void fill(int fd, uint32_t slots)
{
	uint32_t i;

	for (i = 0; i < slots; i++)
		if (send_num(fd, 1000 + i, MBUF_NOW))
			fprintf(stderr, "# the queue was not empty\n");
}

TEST_F(queue, receiver_sleeps)
{
	struct num_party n;
	unsigned int i;

	make_queue(4, 16, 0);
	for (i = 0; i < ARRAY_SIZE(recv_ops); i++) {
		ASSERT_TRUE(num_start(&n, recv_ops[i], self->rfd, 0,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, 1, 0);
		EXPECT_TRUE(EVENTUALLY(task_state(n.p.tid) == 'S'));
		EXPECT_FALSE(n.p.done);
		ASSERT_EQ(0, send_num(self->sfd, 7 + i, MBUF_NOW));
		EXPECT_EQ(num_success(&n), num_join(&n)) {
			TH_LOG("%s", op_name(recv_ops[i]));
		}
		EXPECT_EQ(7 + i, n.num);
		EXPECT_EQ(0, get_info(self->rfd).depth);
		EXPECT_EQ(0, get_info(self->rfd).recv_waiters);
		EXPECT_EQ(i + 1, get_info(self->rfd).received);
		EXPECT_EQ(i + 1, get_info(self->rfd).recv_blocked);
	}
}

TEST_F(queue, sender_sleeps)
{
	struct num_party n;
	unsigned int i;

	make_queue(2, 16, 0);
	for (i = 0; i < ARRAY_SIZE(send_ops); i++) {
		fill(self->sfd, 2);
		ASSERT_TRUE(num_start(&n, send_ops[i], self->sfd, 7 + i,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, 0, 1);
		EXPECT_TRUE(EVENTUALLY(task_state(n.p.tid) == 'S'));
		EXPECT_FALSE(n.p.done);
		/* Parked is not in the queue: no number, no place. */
		EXPECT_EQ(2, get_info(self->rfd).depth);
		EXPECT_EQ(3 * i + 2, get_info(self->rfd).sent);
		ASSERT_EQ(1000, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(num_success(&n), num_join(&n)) {
			TH_LOG("%s", op_name(send_ops[i]));
		}
		if (send_ops[i] == OP_SEND)
			EXPECT_EQ(3 * i + 3, n.p.msg.seq);
		EXPECT_EQ(2, get_info(self->rfd).depth);
		EXPECT_EQ(3 * i + 3, get_info(self->rfd).sent);
		EXPECT_EQ(1001, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(7 + i, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(i + 1, get_info(self->rfd).send_blocked);
	}
}

/* Also larger messages than fit into slots, and processes. */
struct peer {
	int rfd, sfd;
	uint32_t nr, len;
};

static int stream_child(void *arg)
{
	struct peer *p = arg;
	uint8_t *buf = malloc(p->len);
	uint32_t i;

	CHECK(buf);
	close(p->rfd);
	for (i = 0; i < p->nr; i++) {
		fill_pattern(buf, 1 + (i * 7919) % p->len, i);
		CHECK_EQ(0, mbuf_send(p->sfd, buf, 1 + (i * 7919) % p->len,
				      MBUF_FOREVER));
	}
	return 0;
}

TEST_F(queue, stream_between_processes)
{
	struct peer p = { .nr = 300, .len = 3 * self->q.inline_max };
	uint32_t slots, i;
	uint8_t *buf;
	pid_t pid;

	buf = malloc(p.len);
	ASSERT_NE(NULL, buf);
	for (slots = 1; slots <= 8; slots += 7) {
		make_queue(slots, p.len, 0);
		p.rfd = self->rfd;
		p.sfd = self->sfd;
		pid = spawn(stream_child, &p);
		ASSERT_LT(0, pid);
		close_fd(&self->sfd);
		for (i = 0; i < p.nr; i++) {
			uint32_t len = 1 + (i * 7919) % p.len;

			ASSERT_EQ(len, mbuf_recv(self->rfd, buf, p.len,
						 MBUF_FOREVER));
			ASSERT_TRUE(is_pattern(buf, len, i));
		}
		EXPECT_EQ(-EPIPE, mbuf_recv(self->rfd, buf, p.len,
					    MBUF_FOREVER));
		EXPECT_EQ(0, reap(pid));
		close_fd(&self->rfd);
	}
	free(buf);
}

#define LINE	8

TEST_F(queue, receivers_are_served_in_order)
{
	struct num_party n[LINE];
	unsigned int round, i;

	make_queue(4, 16, 0);
	for (round = 0; round < 4; round++) {
		for (i = 0; i < LINE; i++) {
			ASSERT_TRUE(num_start(&n[i], recv_ops[(i + round) % 4],
					      self->rfd, 0, MBUF_FOREVER));
			ASSERT_SLEEPERS(self->rfd, i + 1, 0);
		}
		/* One at a time: who was woken, and nobody else. */
		for (i = 0; i < LINE / 2; i++) {
			ASSERT_EQ(0, send_num(self->sfd, 100 + i, MBUF_NOW));
			EXPECT_EQ(num_success(&n[i]), num_join(&n[i]));
			EXPECT_EQ(100 + i, n[i].num);
			EXPECT_EQ(LINE - 1 - i,
				  get_info(self->rfd).recv_waiters);
		}
		/* And all at once. */
		for (; i < LINE; i++)
			ASSERT_EQ(0, send_num(self->sfd, 100 + i, MBUF_NOW));
		for (i = LINE / 2; i < LINE; i++) {
			EXPECT_EQ(num_success(&n[i]), num_join(&n[i]));
			EXPECT_EQ(100 + i, n[i].num);
		}
		EXPECT_EQ(0, get_info(self->rfd).depth);
	}
}

TEST_F(queue, senders_are_served_in_order)
{
	struct num_party n[LINE];
	unsigned int round, i;
	uint32_t slots;

	for (slots = 1; slots <= 3; slots++) {
		make_queue(slots, 16, 0);
		for (round = 0; round < 4; round++) {
			fill(self->sfd, slots);
			for (i = 0; i < LINE; i++) {
				ASSERT_TRUE(num_start(&n[i],
						      send_ops[(i + round) % 4],
						      self->sfd, i,
						      MBUF_FOREVER));
				ASSERT_SLEEPERS(self->rfd, 0, i + 1);
			}
			EXPECT_EQ(slots, get_info(self->rfd).depth);
			for (i = 0; i < slots; i++) {
				EXPECT_EQ(1000 + i,
					  recv_num(self->rfd, MBUF_NOW));
				/* The first in line is in, and only it. */
				EXPECT_EQ(num_success(&n[i]), num_join(&n[i]));
				EXPECT_EQ(slots, get_info(self->rfd).depth);
				EXPECT_EQ(LINE - 1 - i,
					  get_info(self->rfd).send_waiters);
			}
			for (i = 0; i < LINE; i++)
				EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
			for (i = slots; i < LINE; i++)
				EXPECT_EQ(num_success(&n[i]), num_join(&n[i]));
			EXPECT_EQ(0, get_info(self->rfd).depth);
		}
		close_fd(&self->rfd);
		close_fd(&self->sfd);
	}
}

TEST_F(queue, nobody_overtakes_senders)
{
	struct num_party n[3];
	struct mbuf_msg m;
	unsigned int i;
	uint32_t num = 99;

	make_queue(1, 16, 0);
	fill(self->sfd, 1);
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(num_start(&n[i], OP_SEND, self->sfd, i,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, 0, i + 1);
	}
	/*
	 * Each time a slot is freed the next in line has it already: at no
	 * moment can somebody who does not wait put a message in.
	 */
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(i ? i - 1 : 1000, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(-EAGAIN, send_num(self->sfd, num, MBUF_NOW));
		EXPECT_EQ(-ETIMEDOUT, send_num(self->sfd, num, 1));
		m = msg_of(&num, sizeof(num));
		EXPECT_EQ(-EAGAIN,
			  mbuf_send_batch(self->sfd, &m, 1, 0, MBUF_FOREVER));
		EXPECT_EQ(0, poll_now(self->sfd, POLLOUT));
		ASSERT_EQ(0, set_nonblock(self->sfd, true));
		EXPECT_EQ(-EAGAIN, xwrite(self->sfd, &num, sizeof(num)));
		ASSERT_EQ(0, set_nonblock(self->sfd, false));
		EXPECT_EQ(1, get_info(self->rfd).depth);
		EXPECT_EQ(0, num_join(&n[i]));
	}
	EXPECT_EQ(2, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(POLLOUT, poll_now(self->sfd, POLLOUT));
	EXPECT_EQ(0, send_num(self->sfd, num, MBUF_NOW));
}

TEST_F(queue, nobody_overtakes_receivers)
{
	struct num_party n[3];
	struct mbuf_msg m;
	unsigned int i;
	uint32_t num;

	make_queue(4, 16, 0);
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(num_start(&n[i], OP_RECV, self->rfd, 0,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, i + 1, 0);
	}
	for (i = 0; i < 3; i++) {
		/* Handed over: it was never there for anybody else. */
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		EXPECT_EQ(0, poll_now(self->rfd, POLLIN));
		EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(-ETIMEDOUT, recv_num(self->rfd, 1));
		m = msg_of(&num, sizeof(num));
		EXPECT_EQ(-EAGAIN,
			  mbuf_recv_batch(self->rfd, &m, 1, 0, MBUF_FOREVER));
		EXPECT_EQ(0, get_info(self->rfd).depth);
		EXPECT_EQ(sizeof(uint32_t), num_join(&n[i]));
		EXPECT_EQ(i, n[i].num);
	}
	ASSERT_EQ(0, send_num(self->sfd, 9, MBUF_NOW));
	EXPECT_EQ(POLLIN, poll_now(self->rfd, POLLIN));
	EXPECT_EQ(9, recv_num(self->rfd, MBUF_NOW));
}

/* While a sender waits its buffer is its own: the message was copied. */
TEST_F(queue, parked_message_is_a_copy)
{
	uint32_t lens[] = { 16, self->q.inline_max, 3 * self->q.inline_max };
	struct party p = { .op = OP_SEND, .deadline = MBUF_FOREVER };
	uint8_t *out, *in;
	unsigned int i;

	out = malloc(lens[2]);
	in = malloc(lens[2]);
	ASSERT_NE(NULL, out);
	ASSERT_NE(NULL, in);
	make_queue(1, lens[2], 0);
	p.fd = self->sfd;
	p.buf = out;
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		p.len = lens[i];
		fill_pattern(out, p.len, i);
		fill(self->sfd, 1);
		ASSERT_TRUE(party_start(&p));
		ASSERT_SLEEPERS(self->rfd, 0, 1);
		poison(out, p.len);
		ASSERT_EQ(1000, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(0, party_join(&p));
		ASSERT_EQ((long)p.len, mbuf_recv(self->rfd, in, lens[2],
						 MBUF_NOW));
		EXPECT_TRUE(is_pattern(in, p.len, i));
	}
	free(out);
	free(in);
}

/*
 * Deadlines
 */
TEST_F(queue, deadline_passes)
{
	uint64_t start, deadline;
	struct num_party n;
	unsigned int i;
	const enum op ops[] = { OP_RECV, OP_RECV_BATCH, OP_SEND,
				OP_SEND_BATCH };

	make_queue(2, 16, 0);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		bool sends = op_sends(ops[i]);

		if (i == 2)
			fill(self->sfd, 2);
		start = now_ns();
		deadline = start + 200 * NS_PER_MS;
		ASSERT_TRUE(num_start(&n, ops[i], sends ? self->sfd : self->rfd,
				      77, deadline));
		EXPECT_EQ(-ETIMEDOUT, num_join(&n)) {
			TH_LOG("%s", op_name(ops[i]));
		}
		/* Never early; late by as much as the machine is loaded. */
		EXPECT_LE(deadline, now_ns());
		EXPECT_GT(deadline + 30 * NS_PER_SEC, now_ns());
		EXPECT_EQ(0, get_info(self->rfd).recv_waiters);
		EXPECT_EQ(0, get_info(self->rfd).send_waiters);
	}
	EXPECT_EQ(2, get_info(self->rfd).recv_blocked);
	EXPECT_EQ(2, get_info(self->rfd).send_blocked);
	/* What gave up has left nothing behind. */
	EXPECT_EQ(1000, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(1001, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(2, get_info(self->rfd).sent);
}

/* A deadline that has passed makes a call try once. */
TEST_F(queue, deadline_in_the_past)
{
	const uint64_t past[] = { 1, NS_PER_MS, now_ns() };
	struct mbuf_msg m;
	unsigned int i;
	uint32_t num = 5;

	make_queue(1, 16, 0);
	for (i = 0; i < ARRAY_SIZE(past); i++) {
		m = msg_of(&num, sizeof(num));
		EXPECT_EQ(-ETIMEDOUT, recv_num(self->rfd, past[i]));
		EXPECT_EQ(-ETIMEDOUT,
			  mbuf_recv_batch(self->rfd, &m, 1, 1, past[i]));
		EXPECT_EQ(0, send_num(self->sfd, 3, past[i]));
		EXPECT_EQ(-ETIMEDOUT, send_num(self->sfd, 4, past[i]));
		EXPECT_EQ(-ETIMEDOUT,
			  mbuf_send_batch(self->sfd, &m, 1, 1, past[i]));
		EXPECT_EQ(3, recv_num(self->rfd, past[i]));
	}
}

/* So far in the future that adding anything would wrap around. */
TEST_F(queue, deadline_far_away)
{
	const uint64_t far[] = {
		in_ms(1ull << 40), INT64_MAX - 1, INT64_MAX,
		1ull << 63, (1ull << 63) + 1, UINT64_MAX - 1, UINT64_MAX,
	};
	struct mbuf_xfer x;
	struct num_party n;
	unsigned int i;

	make_queue(1, 16, 0);
	for (i = 0; i < ARRAY_SIZE(far); i++) {
		ASSERT_TRUE(num_start(&n, OP_RECV, self->rfd, 0, far[i]));
		ASSERT_SLEEPERS(self->rfd, 1, 0);
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		EXPECT_EQ(sizeof(uint32_t), num_join(&n));
		EXPECT_EQ(i, n.num);

		fill(self->sfd, 1);
		ASSERT_TRUE(num_start(&n, OP_SEND, self->sfd, i, far[i]));
		ASSERT_SLEEPERS(self->rfd, 0, 1);
		ASSERT_EQ(1000, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(0, num_join(&n));
		EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
	}
	EXPECT_EQ(ARRAY_SIZE(far), get_info(self->rfd).recv_blocked);
	EXPECT_EQ(ARRAY_SIZE(far), get_info(self->rfd).send_blocked);

	/* The library knows UINT64_MAX as for ever; the ioctl as a time. */
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	memset(&x, 0, sizeof(x));
	x.wait.mode = MBUF_WAIT_UNTIL;
	x.wait.deadline = UINT64_MAX;
	x.msg = msg_of(&i, sizeof(i));
	EXPECT_EQ(0, xioctl(self->rfd, MBUF_IOC_RECV, &x));
}

static void *raw_recv(void *arg)
{
	struct mbuf_xfer *x = arg;
	int fd = (int)x->target;

	x->target = 0;
	return (void *)xioctl(fd, MBUF_IOC_RECV, x);
}

TEST_F(queue, deadline_at_the_end_of_time)
{
	struct mbuf_xfer x = {};
	pthread_t thread;
	uint32_t num;
	void *ret;

	make_queue(1, 16, 0);
	x.target = (uint64_t)self->rfd;
	x.wait.mode = MBUF_WAIT_UNTIL;
	x.wait.deadline = UINT64_MAX;
	x.msg = msg_of(&num, sizeof(num));
	ASSERT_EQ(0, pthread_create(&thread, NULL, raw_recv, &x));
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	ASSERT_EQ(0, send_num(self->sfd, 5, MBUF_NOW));
	ASSERT_EQ(0, pthread_join(thread, &ret));
	EXPECT_EQ(NULL, ret);
	EXPECT_EQ(5, num);
}

/* One whose deadline passes leaves the line; the others stay in order. */
TEST_F(queue, deadline_in_the_middle_of_the_line)
{
	struct num_party n[3];
	unsigned int i;

	make_queue(1, 16, 0);
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(num_start(&n[i], OP_RECV, self->rfd, 0,
				      i == 1 ? in_ms(500) : MBUF_FOREVER));
		ASSERT_TRUE(EVENTUALLY(get_info(self->rfd).recv_blocked ==
				       i + 1));
	}
	EXPECT_EQ(-ETIMEDOUT, num_join(&n[1]));
	ASSERT_SLEEPERS(self->rfd, 2, 0);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	ASSERT_EQ(0, send_num(self->sfd, 2, MBUF_NOW));
	EXPECT_EQ(sizeof(uint32_t), num_join(&n[0]));
	EXPECT_EQ(sizeof(uint32_t), num_join(&n[2]));
	EXPECT_EQ(1, n[0].num);
	EXPECT_EQ(2, n[2].num);

	fill(self->sfd, 1);
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(num_start(&n[i], OP_SEND, self->sfd, i,
				      i == 1 ? in_ms(500) : MBUF_FOREVER));
		ASSERT_TRUE(EVENTUALLY(get_info(self->rfd).send_blocked ==
				       i + 1));
	}
	EXPECT_EQ(-ETIMEDOUT, num_join(&n[1]));
	EXPECT_EQ(1000, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(0, recv_num(self->rfd, MBUF_FOREVER));
	EXPECT_EQ(2, recv_num(self->rfd, MBUF_FOREVER));
	EXPECT_EQ(0, num_join(&n[0]));
	EXPECT_EQ(0, num_join(&n[2]));
	EXPECT_EQ(0, get_info(self->rfd).depth);
}

/*
 * Time namespaces: a deadline is a time of the caller's clock.
 */
struct timens {
	int rfd;
	long offset;	/* seconds */
	long wait_ms;
};

static int timens_child(void *arg)
{
	struct timens *t = arg;
	uint64_t deadline = in_ms((uint64_t)t->wait_ms);

	/* If the offset were ignored this could take days. */
	alarm(60);
	CHECK_EQ(-ETIMEDOUT, recv_num(t->rfd, deadline));
	CHECK(now_ns() >= deadline);
	return 0;
}

static int timens_parent(void *arg)
{
	struct timens *t = arg;
	uint64_t before, after;
	pid_t pid;

	if (unshare(CLONE_NEWTIME))
		return 77;
	if (!write_file("/proc/self/timens_offsets", "monotonic %ld 0\n",
			t->offset))
		return 78;
	before = now_ns();
	pid = spawn(timens_child, t);
	CHECK(pid > 0);
	CHECK_EQ(0, reap(pid));
	after = now_ns();
	CHECK(after - before >= (uint64_t)t->wait_ms * NS_PER_MS);
	return 0;
}

TEST_F(queue, time_namespaces)
{
	struct timens t[] = {
		{ .offset = 1000000, .wait_ms = 300 },
		{ .offset = -2, .wait_ms = 1000 },
	};
	unsigned int i;
	int ret;

	NEED_ROOT();
	make_queue(1, 16, 0);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		t[i].rfd = self->rfd;
		ret = reap(spawn(timens_parent, &t[i]));
		if (ret == 77)
			SKIP(return, "no time namespaces (CONFIG_TIME_NS)");
		if (ret == 78)
			SKIP(return, "cannot set /proc/self/timens_offsets");
		EXPECT_EQ(0, ret) {
			TH_LOG("offset %ld s", t[i].offset);
		}
	}
}

/*
 * Signals
 */
TEST_F(queue, signal_without_restart)
{
	struct num_party n;
	unsigned int i;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_queue(1, 16, 0);
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(num_start(&n, recv_ops[i], self->rfd, 0xabc,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, 1, 0);
		ASSERT_EQ(0, pthread_kill(n.p.thread, SIGUSR1));
		EXPECT_EQ(-EINTR, num_join(&n)) {
			TH_LOG("%s", op_name(recv_ops[i]));
		}
		EXPECT_EQ(0xabc, n.num);
		ASSERT_SLEEPERS(self->rfd, 0, 0);
		/* The next message is nobody's. */
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		EXPECT_EQ(1, get_info(self->rfd).depth);
		EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
	}
	for (i = 0; i < 4; i++) {
		fill(self->sfd, 1);
		ASSERT_TRUE(num_start(&n, send_ops[i], self->sfd, 0xabc,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, 0, 1);
		ASSERT_EQ(0, pthread_kill(n.p.thread, SIGUSR1));
		EXPECT_EQ(-EINTR, num_join(&n)) {
			TH_LOG("%s", op_name(send_ops[i]));
		}
		ASSERT_SLEEPERS(self->rfd, 0, 0);
		EXPECT_EQ(1000, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(5 + i, get_info(self->rfd).sent);
	}
	EXPECT_EQ(8, signals_seen);
}

TEST_F(queue, signal_with_restart)
{
	struct num_party n;
	unsigned int i, s;

	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	make_queue(1, 16, 0);
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(num_start(&n, recv_ops[i], self->rfd, 0,
				      MBUF_FOREVER));
		for (s = 1; s <= 3; s++) {
			ASSERT_SLEEPERS(self->rfd, 1, 0);
			ASSERT_EQ(0, pthread_kill(n.p.thread, SIGUSR1));
			/* It left the line for its handler, and came back. */
			ASSERT_TRUE(EVENTUALLY(signals_seen == (int)(3 * i +
								     s)));
		}
		ASSERT_SLEEPERS(self->rfd, 1, 0);
		EXPECT_FALSE(n.p.done);
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		EXPECT_EQ(num_success(&n), num_join(&n)) {
			TH_LOG("%s", op_name(recv_ops[i]));
		}
		EXPECT_EQ(i, n.num);
		EXPECT_EQ(0, get_info(self->rfd).depth);
	}
	signals_seen = 0;
	for (i = 0; i < 4; i++) {
		fill(self->sfd, 1);
		ASSERT_TRUE(num_start(&n, send_ops[i], self->sfd, i,
				      MBUF_FOREVER));
		for (s = 1; s <= 3; s++) {
			ASSERT_SLEEPERS(self->rfd, 0, 1);
			ASSERT_EQ(0, pthread_kill(n.p.thread, SIGUSR1));
			ASSERT_TRUE(EVENTUALLY(signals_seen == (int)(3 * i +
								     s)));
		}
		ASSERT_SLEEPERS(self->rfd, 0, 1);
		EXPECT_FALSE(n.p.done);
		EXPECT_EQ(1000, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(num_success(&n), num_join(&n)) {
			TH_LOG("%s", op_name(send_ops[i]));
		}
		/* Once, not once for every restart. */
		EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
	}
}

/*
 * Signals come all the time, so that a wait that began anew after each would
 * never end.
 */
TEST_F(queue, restart_keeps_the_deadline)
{
	const enum op ops[] = { OP_RECV, OP_RECV_BATCH, OP_SEND,
				OP_SEND_BATCH };
	struct num_party n;
	uint64_t deadline;
	unsigned int i;
	bool ended;

	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	make_queue(1, 16, 0);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		bool sends = op_sends(ops[i]);
		uint64_t give_up;

		if (i == 2)
			fill(self->sfd, 1);
		signals_seen = 0;
		deadline = in_ms(500);
		give_up = deadline + 30 * NS_PER_SEC;
		ASSERT_TRUE(num_start(&n, ops[i], sends ? self->sfd : self->rfd,
				      0, deadline));
		while (!(ended = n.p.done) && now_ns() < give_up) {
			pthread_kill(n.p.thread, SIGUSR1);
			nap();
		}
		ASSERT_TRUE(ended) {
			TH_LOG("%s still waits 30 s after its deadline",
			       op_name(ops[i]));
		}
		EXPECT_EQ(-ETIMEDOUT, num_join(&n));
		EXPECT_LE(deadline, now_ns());
		EXPECT_LE(2, signals_seen);
	}
	EXPECT_EQ(1, get_info(self->rfd).depth);
}

/* A signal without a handler, or one that is blocked, disturbs nobody. */
TEST_F(queue, signals_that_do_nothing)
{
	struct num_party n;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &set, NULL));
	make_queue(1, 16, 0);
	ASSERT_TRUE(num_start(&n, OP_RECV, self->rfd, 0, MBUF_FOREVER));
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	ASSERT_EQ(0, pthread_kill(n.p.thread, SIGUSR2));
	ASSERT_EQ(0, pthread_kill(n.p.thread, SIGCHLD));
	ASSERT_EQ(0, pthread_kill(n.p.thread, SIGURG));
	EXPECT_EQ(1, get_info(self->rfd).recv_waiters);
	ASSERT_EQ(0, send_num(self->sfd, 3, MBUF_NOW));
	EXPECT_EQ(sizeof(uint32_t), num_join(&n));
	EXPECT_EQ(3, n.num);
	EXPECT_EQ(1, get_info(self->rfd).recv_blocked);
}

/* Does a thread's call as soon as both sides stand at the start. */
struct race {
	_Atomic unsigned int round;	/* the racer may start */
	_Atomic unsigned int ended;
	_Atomic bool stop;
	void (*fn)(struct race *r);
	int fd;
	pthread_t victim;
	uint32_t num;
	long ret;
};

static void *race_main(void *arg)
{
	struct race *r = arg;
	unsigned int round = 0, spin = 0;

	for (;;) {
		while (atomic_load(&r->round) == round) {
			if (atomic_load(&r->stop))
				return NULL;
			if (++spin % 64 == 0)
				sched_yield();
		}
		round++;
		r->fn(r);
		atomic_store(&r->ended, round);
	}
}

static void race_kill(struct race *r)
{
	pthread_kill(r->victim, SIGUSR1);
}

static void race_wait(struct race *r, unsigned int round)
{
	unsigned int spin = 0;

	while (atomic_load(&r->ended) != round)
		if (++spin % 64 == 0)
			sched_yield();
}

#define RACES	600

/*
 * A signal and a message reach a sleeping receiver at about the same time. It
 * has the message or EINTR, never both, never neither.
 */
TEST_F(queue, signal_races_with_message)
{
	unsigned int i, eintr = 0, got = 0;
	struct race r = { .fn = race_kill };
	struct handicap h = { .seed = 1 };
	struct num_party n;
	pthread_t racer;
	long ret;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_queue(2, 16, 0);
	ASSERT_EQ(0, pthread_create(&racer, NULL, race_main, &r));
	for (i = 0; i < RACES; i++) {
		ASSERT_TRUE(num_start(&n, recv_ops[i % 4], self->rfd, 0xabc,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, 1, 0);
		r.victim = n.p.thread;
		atomic_fetch_add(&r.round, 1);
		handicap_spin(&h);
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		race_wait(&r, i + 1);
		ret = num_join(&n);
		handicap_adapt(&h, ret != -EINTR);
		if (ret == -EINTR) {
			eintr++;
			ASSERT_EQ(0xabc, n.num);
			ASSERT_EQ(i, recv_num(self->rfd, MBUF_NOW));
		} else {
			got++;
			ASSERT_EQ(num_success(&n), ret);
			ASSERT_EQ(i, n.num);
		}
		ASSERT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
	}
	r.stop = true;
	pthread_join(racer, NULL);
	EXPECT_EQ(RACES, get_info(self->rfd).sent);
	EXPECT_EQ(RACES, get_info(self->rfd).received);
	TH_LOG("%u messages, %u EINTR", got, eintr);
	/* Otherwise nothing has raced. */
	EXPECT_LT(0, got);
}

/* Likewise a sender that waits for room. */
TEST_F(queue, signal_races_with_room)
{
	unsigned int i, eintr = 0, sent = 0;
	struct race r = { .fn = race_kill };
	struct handicap h = { .seed = 1 };
	struct num_party n;
	pthread_t racer;
	long ret;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_queue(1, 16, 0);
	ASSERT_EQ(0, pthread_create(&racer, NULL, race_main, &r));
	for (i = 0; i < RACES; i++) {
		fill(self->sfd, 1);
		ASSERT_TRUE(num_start(&n, send_ops[i % 4], self->sfd, i,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, 0, 1);
		r.victim = n.p.thread;
		atomic_fetch_add(&r.round, 1);
		handicap_spin(&h);
		ASSERT_EQ(1000, recv_num(self->rfd, MBUF_NOW));
		race_wait(&r, i + 1);
		ret = num_join(&n);
		handicap_adapt(&h, ret != -EINTR);
		if (ret == -EINTR) {
			eintr++;
		} else {
			sent++;
			ASSERT_EQ(num_success(&n), ret);
			ASSERT_EQ(i, recv_num(self->rfd, MBUF_NOW));
		}
		ASSERT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
	}
	r.stop = true;
	pthread_join(racer, NULL);
	EXPECT_EQ(RACES + sent, get_info(self->rfd).sent);
	TH_LOG("%u sent, %u EINTR", sent, eintr);
	EXPECT_LT(0, sent);
}

/* A deadline that passes just when the message comes. */
TEST_F(queue, deadline_races_with_message)
{
	unsigned int i, late = 0, got = 0;
	uint64_t deadline, at, offset = 0;
	const uint64_t step = 5000;
	struct num_party n;
	long ret;

	make_queue(2, 16, 0);
	for (i = 0; i < RACES; i++) {
		deadline = now_ns() + 10 * NS_PER_MS;
		ASSERT_TRUE(num_start(&n, i % 2 ? OP_RECV : OP_RECV_BATCH,
				      self->rfd, 0xabc, deadline));
		/* Around the time at which the last ones met. */
		at = deadline + offset + step * (i % 5) / 4;
		while (now_ns() < at)
			;
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		ret = num_join(&n);
		if (ret == -ETIMEDOUT) {
			late++;
			offset -= step;
			ASSERT_EQ(0xabc, n.num);
			ASSERT_EQ(i, recv_num(self->rfd, MBUF_NOW));
		} else {
			got++;
			offset += step;
			ASSERT_EQ(num_success(&n), ret);
			ASSERT_EQ(i, n.num);
		}
		ASSERT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
	}
	TH_LOG("%u messages, %u ETIMEDOUT", got, late);
}

/*
 * Death
 */
struct num_child {
	int fd;
	uint32_t num;
	_Atomic int64_t *result;	/* in shared memory */
};

static int send_child(void *arg)
{
	struct num_child *c = arg;

	CHECK_EQ(0, send_num(c->fd, c->num, MBUF_FOREVER));
	return 0;
}

static int recv_child(void *arg)
{
	struct num_child *c = arg;
	int64_t num = recv_num(c->fd, MBUF_FOREVER);

	atomic_store(c->result, num);
	return num < 0;
}

TEST_F(queue, killed_sender)
{
	struct num_child c;
	pid_t pids[3];
	uint32_t i;

	make_queue(1, 16, 0);
	fill(self->sfd, 1);
	c.fd = self->sfd;
	for (i = 0; i < 3; i++) {
		c.num = i;
		pids[i] = spawn(send_child, &c);
		ASSERT_SLEEPERS(self->rfd, 0, i + 1);
	}
	/* With the dead its message has gone, and the others move up. */
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pids[0]));
	EXPECT_EQ(2, get_info(self->rfd).send_waiters);
	EXPECT_EQ(1000, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(2, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(0, reap(pids[1]));
	EXPECT_EQ(0, reap(pids[2]));
}

TEST_F(queue, killed_receiver)
{
	_Atomic int64_t *results;
	struct num_child c;
	pid_t pids[3];
	uint32_t i;

	results = map_shared(3 * sizeof(*results));
	ASSERT_NE(NULL, results);
	make_queue(1, 16, 0);
	c.fd = self->rfd;
	for (i = 0; i < 3; i++) {
		c.result = &results[i];
		pids[i] = spawn(recv_child, &c);
		ASSERT_SLEEPERS(self->rfd, i + 1, 0);
	}
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pids[0]));
	EXPECT_EQ(2, get_info(self->rfd).recv_waiters);
	ASSERT_EQ(0, send_num(self->sfd, 7, MBUF_NOW));
	ASSERT_EQ(0, send_num(self->sfd, 8, MBUF_NOW));
	EXPECT_EQ(0, reap(pids[1]));
	EXPECT_EQ(0, reap(pids[2]));
	EXPECT_EQ(7, results[1]);
	EXPECT_EQ(8, results[2]);
	EXPECT_EQ(0, get_info(self->rfd).depth);
	munmap(results, page_size());
}

/*
 * Each message is handed to a receiver that is being killed. It may have taken
 * it, and then it is gone with it; but the kernel must not lose it: what the
 * dead has not got, in memory that outlives it, is still there.
 */
TEST_F(queue, kill_races_with_message)
{
	unsigned int i, taken = 0, back = 0;
	struct handicap h = { .seed = 1 };
	_Atomic uint32_t *room;
	int64_t num;
	pid_t pid;

	room = map_shared(sizeof(*room));
	ASSERT_NE(NULL, room);
	make_queue(2, 16, 0);
	for (i = 0; i < 200; i++) {
		atomic_store(room, UINT32_MAX);
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			mbuf_recv(self->rfd, (void *)room, sizeof(*room),
				  MBUF_FOREVER);
			for (;;)
				pause();
		}
		ASSERT_LT(0, pid);
		ASSERT_SLEEPERS(self->rfd, 1, 0);
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		handicap_spin(&h);
		kill(pid, SIGKILL);
		EXPECT_EQ(128 + SIGKILL, reap(pid));
		num = recv_num(self->rfd, MBUF_NOW);
		if (num == -EAGAIN) {
			taken++;
			ASSERT_EQ(i, atomic_load(room));
		} else {
			back++;
			ASSERT_EQ(i, num);
		}
		handicap_adapt(&h, num != -EAGAIN);
	}
	TH_LOG("%u taken, %u given back", taken, back);
	munmap((void *)room, page_size());
}

/* A stopped receiver is not in line, and takes nothing. */
TEST_F(queue, stopped_receiver)
{
	_Atomic int64_t *result;
	struct num_child c;
	int status;
	pid_t pid;

	result = map_shared(sizeof(*result));
	ASSERT_NE(NULL, result);
	make_queue(2, 16, 0);
	c.fd = self->rfd;
	c.result = result;
	pid = spawn(recv_child, &c);
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	ASSERT_EQ(0, kill(pid, SIGSTOP));
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(0, get_info(self->rfd).recv_waiters);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));

	/* It goes on waiting as if nothing had been. */
	ASSERT_EQ(0, kill(pid, SIGCONT));
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	ASSERT_EQ(0, send_num(self->sfd, 2, MBUF_NOW));
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(2, *result);
	munmap(result, page_size());
}

/*
 * Closing
 */

/* As with pipes: close() of the number does not end a call that uses it. */
TEST_F(queue, close_while_asleep)
{
	struct num_party n;
	unsigned int i;
	int fd;

	for (i = 0; i < 4; i++) {
		make_queue(1, 16, 0);
		ASSERT_TRUE(num_start(&n, recv_ops[i], self->rfd, 0,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->sfd, 1, 0);
		close_fd(&self->rfd);
		/* The right lives for as long as the call does. */
		EXPECT_EQ(1, get_info(self->sfd).receivers);
		EXPECT_EQ(1, get_info(self->sfd).recv_waiters);
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		EXPECT_EQ(num_success(&n), num_join(&n)) {
			TH_LOG("%s", op_name(recv_ops[i]));
		}
		EXPECT_EQ(i, n.num);
		EXPECT_TRUE(EVENTUALLY(!get_info(self->sfd).receivers));
		EXPECT_EQ(-EPIPE, send_num(self->sfd, i, MBUF_NOW));
		close_fd(&self->sfd);

		make_queue(1, 16, 0);
		fill(self->sfd, 1);
		ASSERT_TRUE(num_start(&n, send_ops[i], self->sfd, i,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, 0, 1);
		fd = self->sfd;
		close_fd(&self->sfd);
		EXPECT_EQ(-1, fcntl(fd, F_GETFD));
		EXPECT_EQ(1, get_info(self->rfd).senders);
		EXPECT_EQ(1, get_info(self->rfd).send_waiters);
		EXPECT_EQ(1000, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(num_success(&n), num_join(&n)) {
			TH_LOG("%s", op_name(send_ops[i]));
		}
		EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(-EPIPE, recv_num(self->rfd, MBUF_FOREVER));
		close_fd(&self->rfd);
	}
}

TEST_F(queue, last_sender_closes)
{
	struct num_party n[LINE];
	unsigned int i;

	make_queue(1, 16, 0);
	for (i = 0; i < LINE; i++) {
		ASSERT_TRUE(num_start(&n[i], recv_ops[i % 4], self->rfd, 0xabc,
				      i % 8 == 4 ? in_ms(3600000) :
						   MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, i + 1, 0);
	}
	close_fd(&self->sfd);
	for (i = 0; i < LINE; i++) {
		long want = -EPIPE;

		if (recv_ops[i % 4] == OP_READ || recv_ops[i % 4] == OP_READV)
			want = 0;
		EXPECT_EQ(want, num_join(&n[i])) {
			TH_LOG("%s", op_name(recv_ops[i % 4]));
		}
		EXPECT_EQ(0xabc, n[i].num);
	}
	EXPECT_EQ(0, get_info(self->rfd).recv_waiters);
}

TEST_F(queue, last_receiver_closes)
{
	struct num_party n[LINE];
	unsigned int i;

	ASSERT_EQ(0, catch_signal(SIGPIPE, 0));
	make_queue(1, 16, 0);
	fill(self->sfd, 1);
	for (i = 0; i < LINE; i++) {
		ASSERT_TRUE(num_start(&n[i], send_ops[i % 4], self->sfd, i,
				      i % 8 == 4 ? in_ms(3600000) :
						   MBUF_FOREVER));
		ASSERT_SLEEPERS(self->sfd, 0, i + 1);
	}
	close_fd(&self->rfd);
	for (i = 0; i < LINE; i++) {
		EXPECT_EQ(-EPIPE, num_join(&n[i])) {
			TH_LOG("%s", op_name(send_ops[i % 4]));
		}
	}
	EXPECT_EQ(0, get_info(self->sfd).send_waiters);
	EXPECT_EQ(0, signals_seen);
	EXPECT_EQ(1, get_info(self->sfd).sent);
}

/* The other side dies instead of closing. */
static int hold_child(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

TEST_F(queue, last_peer_is_killed)
{
	struct num_party n[2];
	pid_t pid;

	make_queue(1, 16, 0);
	pid = spawn(hold_child, NULL);
	ASSERT_LT(0, pid);
	close_fd(&self->sfd);
	ASSERT_TRUE(num_start(&n[0], OP_RECV, self->rfd, 0, MBUF_FOREVER));
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	EXPECT_EQ(-EPIPE, num_join(&n[0]));
	close_fd(&self->rfd);

	make_queue(1, 16, 0);
	pid = spawn(hold_child, NULL);
	ASSERT_LT(0, pid);
	close_fd(&self->rfd);
	fill(self->sfd, 1);
	ASSERT_TRUE(num_start(&n[1], OP_SEND, self->sfd, 0, MBUF_FOREVER));
	ASSERT_SLEEPERS(self->sfd, 0, 1);
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	EXPECT_EQ(-EPIPE, num_join(&n[1]));
}

/*
 * A message that a sleeping receiver cannot take is not lost: the next in line
 * gets it.
 */
TEST_F(queue, handed_to_one_with_too_little_room)
{
	struct party small[3] = {}, large = {};
	struct mbuf_msg *m = &small[0].msg;
	uint8_t room[64];
	uint32_t i;

	make_queue(4, 64, MBUF_QUEUE_EMPTY);
	for (i = 0; i < 3; i++) {
		small[i].op = i == 0 ? OP_RECV : i == 1 ? OP_READ : OP_READV;
		small[i].fd = self->rfd;
		small[i].buf = room;
		small[i].len = 4;
		small[i].deadline = MBUF_FOREVER;
		ASSERT_TRUE(party_start(&small[i]));
		ASSERT_SLEEPERS(self->rfd, i + 1, 0);
	}
	poison(room, sizeof(room));
	large.op = OP_RECV;
	large.fd = self->rfd;
	large.buf = room + 8;
	large.len = 32;
	large.deadline = MBUF_FOREVER;
	ASSERT_TRUE(party_start(&large));
	ASSERT_SLEEPERS(self->rfd, 4, 0);

	ASSERT_EQ(0, mbuf_send(self->sfd, "0123456789", 10, MBUF_NOW));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(-EMSGSIZE, party_join(&small[i]));
	EXPECT_EQ(10, m->len);
	EXPECT_EQ(10, party_join(&large));
	EXPECT_EQ(1, large.msg.seq);
	EXPECT_TRUE(is_poison(room, 8));
	EXPECT_EQ(0, memcmp(room + 8, "0123456789", 10));
	EXPECT_TRUE(is_poison(room + 18, sizeof(room) - 18));
	EXPECT_EQ(1, get_info(self->rfd).received);
	EXPECT_EQ(0, get_info(self->rfd).depth);

	/* Nobody else waits: it stays, and stays first. */
	ASSERT_TRUE(party_start(&small[0]));
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, "0123456789", 10, MBUF_NOW));
	ASSERT_EQ(0, mbuf_send(self->sfd, "ab", 2, MBUF_NOW));
	EXPECT_EQ(-EMSGSIZE, party_join(&small[0]));
	EXPECT_EQ(2, get_info(self->rfd).depth);
	EXPECT_EQ(10, get_info(self->rfd).next_len);
	EXPECT_EQ(POLLIN, poll_now(self->rfd, POLLIN));
	EXPECT_EQ(10, mbuf_recv(self->rfd, room, 64, MBUF_NOW));
	EXPECT_EQ(2, mbuf_recv(self->rfd, room, 64, MBUF_NOW));

	/* An empty message and a read(), which cannot tell it from the end. */
	ASSERT_TRUE(party_start(&small[1]));
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	ASSERT_TRUE(party_start(&large));
	ASSERT_SLEEPERS(self->rfd, 2, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, NULL, 0, MBUF_NOW));
	EXPECT_EQ(-EBADMSG, party_join(&small[1]));
	EXPECT_EQ(0, party_join(&large));
	EXPECT_EQ(MBUF_MSG_EMPTY, large.msg.flags);
}

/*
 * Batches
 */
#define BATCH	8

struct batch_party {
	struct party p;
	uint32_t nums[BATCH];
};

static bool batch_start(struct batch_party *b, enum op op, int fd,
			unsigned int nr, unsigned int min, uint64_t deadline)
{
	unsigned int i;

	memset(b, 0, sizeof(*b));
	for (i = 0; i < nr; i++)
		b->nums[i] = op_sends(op) ? i : 0xabc;
	b->p.op = op;
	b->p.fd = fd;
	b->p.buf = b->nums;
	b->p.len = sizeof(uint32_t);
	b->p.nr = nr;
	b->p.min = min;
	b->p.deadline = deadline;
	return party_start(&b->p);
}

static long batch_join(struct batch_party *b)
{
	long ret = party_join(&b->p);

	party_free(&b->p);
	return ret;
}

TEST_F(queue, receive_batch_waits_for_min)
{
	struct batch_party b;
	unsigned int i;

	make_queue(BATCH, 16, 0);
	/* Three of eight will do: sleeps twice after the first. */
	ASSERT_EQ(0, send_num(self->sfd, 0, MBUF_NOW));
	ASSERT_TRUE(batch_start(&b, OP_RECV_BATCH, self->rfd, BATCH, 3,
				MBUF_FOREVER));
	for (i = 1; i < 3; i++) {
		ASSERT_TRUE(EVENTUALLY(get_info(self->rfd).recv_blocked == i &&
				       get_info(self->rfd).recv_waiters == 1));
		EXPECT_FALSE(b.p.done);
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
	}
	EXPECT_EQ(3, batch_join(&b));
	for (i = 0; i < BATCH; i++)
		EXPECT_EQ(i < 3 ? i : 0xabc, b.nums[i]);

	/* More than min if there are more, without waiting. */
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
	ASSERT_TRUE(batch_start(&b, OP_RECV_BATCH, self->rfd, BATCH, 3,
				MBUF_FOREVER));
	EXPECT_EQ(5, batch_join(&b));
	EXPECT_EQ(4, b.nums[4]);
	EXPECT_EQ(2, get_info(self->rfd).recv_blocked);
}

TEST_F(queue, receive_batch_is_cut_short)
{
	struct batch_party b;
	uint64_t deadline;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_queue(BATCH, 16, 0);

	/* By its deadline: the count if there was any, else the error. */
	ASSERT_EQ(0, send_num(self->sfd, 0, MBUF_NOW));
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	deadline = in_ms(200);
	ASSERT_TRUE(batch_start(&b, OP_RECV_BATCH, self->rfd, BATCH, BATCH,
				deadline));
	EXPECT_EQ(2, batch_join(&b));
	EXPECT_LE(deadline, now_ns());
	ASSERT_TRUE(batch_start(&b, OP_RECV_BATCH, self->rfd, BATCH, BATCH,
				in_ms(50)));
	EXPECT_EQ(-ETIMEDOUT, batch_join(&b));

	/* By a signal. */
	ASSERT_EQ(0, send_num(self->sfd, 0, MBUF_NOW));
	ASSERT_TRUE(batch_start(&b, OP_RECV_BATCH, self->rfd, BATCH, BATCH,
				MBUF_FOREVER));
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	ASSERT_EQ(0, pthread_kill(b.p.thread, SIGUSR1));
	EXPECT_EQ(1, batch_join(&b));
	EXPECT_EQ(0, b.nums[0]);
	EXPECT_EQ(0xabc, b.nums[1]);

	/* Also by one with SA_RESTART: what has moved must be told. */
	ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
	ASSERT_EQ(0, send_num(self->sfd, 0, MBUF_NOW));
	ASSERT_TRUE(batch_start(&b, OP_RECV_BATCH, self->rfd, BATCH, BATCH,
				MBUF_FOREVER));
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	ASSERT_EQ(0, pthread_kill(b.p.thread, SIGUSR1));
	EXPECT_EQ(1, batch_join(&b));

	/* By the last sender. */
	ASSERT_EQ(0, send_num(self->sfd, 0, MBUF_NOW));
	ASSERT_TRUE(batch_start(&b, OP_RECV_BATCH, self->rfd, BATCH, BATCH,
				MBUF_FOREVER));
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	close_fd(&self->sfd);
	EXPECT_EQ(1, batch_join(&b));
	EXPECT_EQ(0, get_info(self->rfd).recv_waiters);
}

TEST_F(queue, send_batch_waits_for_min)
{
	struct batch_party b;
	unsigned int i;

	make_queue(2, 16, 0);
	ASSERT_TRUE(batch_start(&b, OP_SEND_BATCH, self->sfd, BATCH, BATCH,
				MBUF_FOREVER));
	for (i = 0; i < BATCH; i++) {
		if (i < BATCH - 2) {
			ASSERT_TRUE(EVENTUALLY(get_info(self->sfd).send_blocked
					       == i + 1 &&
					       get_info(self->sfd).send_waiters
					       == 1));
			EXPECT_FALSE(b.p.done);
		}
		EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
	}
	EXPECT_EQ(BATCH, batch_join(&b));
	EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));

	/* It does not wait beyond min, nor at all if min fits. */
	ASSERT_TRUE(batch_start(&b, OP_SEND_BATCH, self->sfd, BATCH, 2,
				MBUF_FOREVER));
	EXPECT_EQ(2, batch_join(&b));
	EXPECT_EQ(2, get_info(self->sfd).depth);
	EXPECT_EQ(BATCH - 2, get_info(self->sfd).send_blocked);
}

TEST_F(queue, send_batch_is_cut_short)
{
	struct batch_party b;
	unsigned int i;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_queue(2, 16, 0);

	for (i = 0; i < 3; i++) {
		uint64_t deadline = i ? MBUF_FOREVER : in_ms(200);

		if (i == 2)
			ASSERT_EQ(0, catch_signal(SIGUSR1, SA_RESTART));
		ASSERT_TRUE(batch_start(&b, OP_SEND_BATCH, self->sfd, BATCH,
					BATCH, deadline));
		if (i) {
			ASSERT_SLEEPERS(self->sfd, 0, 1);
			ASSERT_EQ(0, pthread_kill(b.p.thread, SIGUSR1));
		}
		EXPECT_EQ(2, batch_join(&b));
		/* The one that was parked has been taken back. */
		EXPECT_EQ(0, get_info(self->sfd).send_waiters);
		EXPECT_EQ(0, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
	}

	/* By the last receiver. */
	ASSERT_TRUE(batch_start(&b, OP_SEND_BATCH, self->sfd, BATCH, BATCH,
				MBUF_FOREVER));
	ASSERT_SLEEPERS(self->sfd, 0, 1);
	close_fd(&self->rfd);
	EXPECT_EQ(2, batch_join(&b));
	EXPECT_EQ(0, get_info(self->sfd).send_waiters);
}

/* One call of a batch serves all who wait, in order. */
TEST_F(queue, batches_serve_the_line)
{
	struct num_party n[4];
	struct mbuf_msg m[6];
	uint32_t nums[6], i;

	make_queue(2, 16, 0);
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(num_start(&n[i], OP_RECV, self->rfd, 0,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, i + 1, 0);
	}
	for (i = 0; i < 6; i++) {
		nums[i] = i;
		m[i] = msg_of(&nums[i], sizeof(uint32_t));
	}
	/* Four are handed over, two fit into the queue. */
	EXPECT_EQ(6, mbuf_send_batch(self->sfd, m, 6, 0, MBUF_NOW));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(sizeof(uint32_t), num_join(&n[i]));
		EXPECT_EQ(i, n[i].num);
	}
	EXPECT_EQ(2, get_info(self->rfd).depth);

	/* And out again: as room is made the parked ones come in. */
	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(num_start(&n[i], OP_SEND, self->sfd, 6 + i,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, 0, i + 1);
	}
	EXPECT_EQ(6, mbuf_recv_batch(self->rfd, m, 6, 0, MBUF_NOW));
	for (i = 0; i < 6; i++)
		EXPECT_EQ(4 + i, nums[i]);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, num_join(&n[i]));
}

/* Many, in order, and all of them when the other side goes. */
#define CROWD	200

TEST_F(queue, crowds)
{
	struct num_party *n = calloc(CROWD, sizeof(*n));
	uint32_t i;

	ASSERT_NE(NULL, n);
	make_queue(1, 16, 0);
	for (i = 0; i < CROWD; i++) {
		ASSERT_TRUE(num_start(&n[i], OP_RECV, self->rfd, 0,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->rfd, i + 1, 0);
	}
	for (i = 0; i < CROWD / 2; i++)
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
	for (i = 0; i < CROWD / 2; i++) {
		EXPECT_EQ(sizeof(uint32_t), num_join(&n[i]));
		EXPECT_EQ(i, n[i].num);
	}
	close_fd(&self->sfd);
	for (; i < CROWD; i++)
		EXPECT_EQ(-EPIPE, num_join(&n[i]));
	close_fd(&self->rfd);

	make_queue(1, 16, 0);
	fill(self->sfd, 1);
	for (i = 0; i < CROWD; i++) {
		ASSERT_TRUE(num_start(&n[i], OP_SEND, self->sfd, i,
				      MBUF_FOREVER));
		ASSERT_SLEEPERS(self->sfd, 0, i + 1);
	}
	EXPECT_EQ(1000, recv_num(self->rfd, MBUF_NOW));
	for (i = 0; i < CROWD / 2; i++)
		EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
	/* The next one is in the queue, and goes with it. */
	for (i = 0; i <= CROWD / 2; i++)
		EXPECT_EQ(0, num_join(&n[i]));
	close_fd(&self->rfd);
	for (; i < CROWD; i++)
		EXPECT_EQ(-EPIPE, num_join(&n[i]));
	free(n);
}

/* Asleep in many queues, and only one of them moves. */
TEST_F(queue, queues_do_not_disturb_each_other)
{
	int r[16], s[16], i;
	struct num_party n[16];

	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, mbuf_queue_create(self->session, 1, 16, 0, &r[i],
					       &s[i]));
		ASSERT_TRUE(num_start(&n[i], OP_RECV, r[i], 0, MBUF_FOREVER));
		ASSERT_SLEEPERS(r[i], 1, 0);
	}
	for (i = 15; i >= 0; i--) {
		int other = (i + 7) % 16;

		EXPECT_EQ(other < i, get_info(r[other]).recv_waiters);
		ASSERT_EQ(0, send_num(s[i], (uint32_t)i, MBUF_NOW));
		EXPECT_EQ(sizeof(uint32_t), num_join(&n[i]));
		EXPECT_EQ((uint32_t)i, n[i].num);
	}
	for (i = 0; i < 16; i++) {
		EXPECT_EQ(1, get_info(r[i]).received);
		close(r[i]);
		close(s[i]);
	}
}

TEST_HARNESS_MAIN
