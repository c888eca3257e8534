// SPDX-License-Identifier: GPL-2.0
/*
 * io_uring on both rights of a queue.
 */
#include "uring.h"

TEST_F(queue, read_and_write)
{
	uint32_t big = 3 * self->q.inline_max;
	uint8_t *out, *in;
	uint32_t lens[] = { 1, 100, self->q.inline_max, big };
	struct iovec iov[2];
	struct ring r;
	unsigned int i, async;

	OPEN_RING(&r);
	out = malloc(big);
	in = malloc(big);
	ASSERT_NE(NULL, out);
	ASSERT_NE(NULL, in);
	make_queue(4, big, 0);
	for (async = 0; async < 2; async++) {
		for (i = 0; i < ARRAY_SIZE(lens); i++) {
			uint32_t len = lens[i];
			uint8_t flags = async ? IOSQE_ASYNC : 0;

			fill_pattern(out, len, i);
			ring_prep(&r, IORING_OP_WRITE, self->sfd, out, len, 1)
				->flags = flags;
			ASSERT_EQ(1, ring_submit(&r));
			EXPECT_CQE(&r, 1, (int)len);
			poison(in, big);
			ring_prep(&r, IORING_OP_READ, self->rfd, in, big, 2)
				->flags = flags;
			ASSERT_EQ(1, ring_submit(&r));
			EXPECT_CQE(&r, 2, (int)len);
			EXPECT_TRUE(is_pattern(in, len, i));
			EXPECT_TRUE(is_poison(in + len, big - len));

			iov[0] = (struct iovec){ out, len / 2 };
			iov[1] = (struct iovec){ out + len / 2, len - len / 2 };
			ring_prep(&r, IORING_OP_WRITEV, self->sfd, iov, 2, 3)
				->flags = flags;
			ASSERT_EQ(1, ring_submit(&r));
			EXPECT_CQE(&r, 3, (int)len);
			poison(in, big);
			iov[0] = (struct iovec){ in, len / 3 };
			iov[1] = (struct iovec){ in + len / 3, big - len / 3 };
			ring_prep(&r, IORING_OP_READV, self->rfd, iov, 2, 4)
				->flags = flags;
			ASSERT_EQ(1, ring_submit(&r));
			EXPECT_CQE(&r, 4, (int)len);
			EXPECT_TRUE(is_pattern(in, len, i));
			EXPECT_TRUE(is_poison(in + len, big - len));
		}
	}
	free(out);
	free(in);
	ring_close(&r);
}

/* A larger buffer yields one message, not as many as fit. */
TEST_F(queue, messages_are_not_glued)
{
	struct ring r;
	uint8_t in[256];
	int async;

	OPEN_RING(&r);
	make_queue(4, 64, 0);
	for (async = 0; async < 2; async++) {
		ASSERT_EQ(0, mbuf_send(self->sfd, "first", 5, MBUF_NOW));
		ASSERT_EQ(0, mbuf_send(self->sfd, "second", 6, MBUF_NOW));
		poison(in, sizeof(in));
		ring_prep(&r, IORING_OP_READ, self->rfd, in, sizeof(in), 1)
			->flags = async ? IOSQE_ASYNC : 0;
		ASSERT_EQ(1, ring_submit(&r));
		EXPECT_CQE(&r, 1, 5);
		EXPECT_EQ(0, memcmp(in, "first", 5));
		EXPECT_TRUE(is_poison(in + 5, sizeof(in) - 5));
		EXPECT_EQ(1, get_info(self->rfd).depth);
		ASSERT_EQ(6, mbuf_recv(self->rfd, in, sizeof(in), MBUF_NOW));
		EXPECT_TRUE(ring_idle(&r));

		/* Also if it had to wait for them, and two came at once. */
		poison(in, sizeof(in));
		ring_prep(&r, IORING_OP_READ, self->rfd, in, sizeof(in), 2)
			->flags = async ? IOSQE_ASYNC : 0;
		ASSERT_EQ(1, ring_submit(&r));
		EXPECT_TRUE(ring_idle(&r));
		ASSERT_EQ(0, mbuf_send(self->sfd, "first", 5, MBUF_NOW));
		ASSERT_EQ(0, mbuf_send(self->sfd, "second", 6, MBUF_NOW));
		EXPECT_CQE(&r, 2, 5);
		EXPECT_EQ(0, memcmp(in, "first", 5));
		EXPECT_TRUE(is_poison(in + 5, sizeof(in) - 5));
		EXPECT_EQ(6, mbuf_recv(self->rfd, in, sizeof(in), MBUF_NOW));
	}
	ring_close(&r);
}

TEST_F(queue, errors)
{
	uint8_t buf[32] = {};
	struct ring r;

	OPEN_RING(&r);
	make_queue(4, 16, MBUF_QUEUE_EMPTY);
#define EXPECT_RESULT(result, op, fd, buf, len) do {			\
	ring_prep(&r, IORING_OP_##op, fd, buf, len, 1);			\
	ASSERT_EQ(1, ring_submit(&r));					\
	EXPECT_CQE(&r, 1, result);					\
} while (0)
	EXPECT_RESULT(-EMSGSIZE, WRITE, self->sfd, buf, 17);
	EXPECT_RESULT(-EINVAL, WRITE, self->sfd, buf, 0);
	EXPECT_RESULT(-EFAULT, WRITE, self->sfd, NULL, 8);
	EXPECT_RESULT(-EBADF, WRITE, self->rfd, buf, 8);
	EXPECT_RESULT(-EBADF, READ, self->sfd, buf, 8);
	EXPECT_EQ(0, get_info(self->rfd).sent);

	ASSERT_EQ(0, mbuf_send(self->sfd, "0123456789", 10, MBUF_NOW));
	EXPECT_RESULT(-EMSGSIZE, READ, self->rfd, buf, 9);
	EXPECT_RESULT(-EFAULT, READ, self->rfd, NULL, 10);
	EXPECT_EQ(1, get_info(self->rfd).depth);
	ASSERT_EQ(10, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));

	ASSERT_EQ(0, mbuf_send(self->sfd, NULL, 0, MBUF_NOW));
	EXPECT_RESULT(-EBADMSG, READ, self->rfd, buf, sizeof(buf));
	ASSERT_EQ(0, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));

	/* A call that may not wait has an answer at once. */
	ring_prep(&r, IORING_OP_READ, self->rfd, buf, sizeof(buf), 2)
		->rw_flags = RWF_NOWAIT;
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_CQE(&r, 2, -EAGAIN);
#undef EXPECT_RESULT
	ring_close(&r);
}

TEST_F(queue, read_waits)
{
	uint8_t in[64];
	struct ring r;
	int i;

	OPEN_RING(&r);
	make_queue(4, 64, 0);
	for (i = 0; i < 4; i++) {
		ring_prep(&r, IORING_OP_READ, self->rfd, in, sizeof(in), 1)
			->flags = i % 2 ? IOSQE_ASYNC : 0;
		ASSERT_EQ(1, ring_submit(&r));
		EXPECT_TRUE(ring_idle(&r));
		ASSERT_EQ(0, mbuf_send(self->sfd, "hello", 5, MBUF_NOW));
		EXPECT_CQE(&r, 1, 5);
		EXPECT_EQ(0, memcmp(in, "hello", 5));
	}
	/* O_NONBLOCK is about calls: a request waits all the same. */
	ASSERT_EQ(0, set_nonblock(self->rfd, true));
	ring_prep(&r, IORING_OP_READ, self->rfd, in, sizeof(in), 1);
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_TRUE(ring_idle(&r));
	ASSERT_EQ(0, mbuf_send(self->sfd, "hello", 5, MBUF_NOW));
	EXPECT_CQE(&r, 1, 5);
	/* The end comes as 0. */
	ring_prep(&r, IORING_OP_READ, self->rfd, in, sizeof(in), 2);
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_TRUE(ring_idle(&r));
	close_fd(&self->sfd);
	EXPECT_CQE(&r, 2, 0);
	ring_close(&r);
}

TEST_F(queue, write_waits)
{
	struct ring r;
	int i;

	OPEN_RING(&r);
	make_queue(1, 64, 0);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
		ring_prep(&r, IORING_OP_WRITE, self->sfd, &i, sizeof(i), 1)
			->flags = i % 2 ? IOSQE_ASYNC : 0;
		ASSERT_EQ(1, ring_submit(&r));
		EXPECT_TRUE(ring_idle(&r));
		EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
		EXPECT_CQE(&r, 1, (int)sizeof(i));
		EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
	}
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	ring_prep(&r, IORING_OP_WRITE, self->sfd, &i, sizeof(i), 2);
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_TRUE(ring_idle(&r));
	close_fd(&self->rfd);
	EXPECT_CQE(&r, 2, -EPIPE);
	ring_close(&r);
}

/* Several reads are pending: each message goes to one of them. */
TEST_F(queue, many_reads_wait)
{
	uint32_t nums[8], seen = 0, i;
	struct io_uring_cqe cqe;
	struct ring r;

	OPEN_RING(&r);
	make_queue(4, 64, 0);
	for (i = 0; i < 8; i++)
		ring_prep(&r, IORING_OP_READ, self->rfd, &nums[i],
			  sizeof(nums[i]), i);
	ASSERT_EQ(8, ring_submit(&r));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_FOREVER));
	for (i = 0; i < 8; i++) {
		ASSERT_TRUE(ring_wait(&r, &cqe));
		EXPECT_EQ(sizeof(uint32_t), (size_t)cqe.res);
		ASSERT_LT(cqe.user_data, 8);
		ASSERT_LT(nums[cqe.user_data], 8);
		seen |= 1u << nums[cqe.user_data];
	}
	EXPECT_EQ(0xff, seen);
	EXPECT_TRUE(ring_idle(&r));
	ring_close(&r);
}

/* Linked requests are done one after the other. */
TEST_F(queue, links)
{
	uint32_t nums[4], i;
	struct ring r;

	OPEN_RING(&r);
	make_queue(8, 64, 0);
	for (i = 0; i < 4; i++) {
		nums[i] = i;
		ring_prep(&r, IORING_OP_WRITE, self->sfd, &nums[i],
			  sizeof(nums[i]), i)->flags = i < 3 ? IOSQE_IO_LINK : 0;
	}
	ASSERT_EQ(4, ring_submit(&r));
	for (i = 0; i < 4; i++)
		EXPECT_CQE(&r, i, (int)sizeof(uint32_t));
	poison(nums, sizeof(nums));
	for (i = 0; i < 4; i++)
		ring_prep(&r, IORING_OP_READ, self->rfd, &nums[i],
			  sizeof(nums[i]), i)->flags = i < 3 ? IOSQE_IO_LINK : 0;
	ASSERT_EQ(4, ring_submit(&r));
	for (i = 0; i < 4; i++) {
		EXPECT_CQE(&r, i, (int)sizeof(uint32_t));
		EXPECT_EQ(i, nums[i]);
	}

	/* A chain that has to wait in the middle. */
	poison(nums, sizeof(nums));
	for (i = 0; i < 4; i++)
		ring_prep(&r, IORING_OP_READ, self->rfd, &nums[i],
			  sizeof(nums[i]), i)->flags = i < 3 ? IOSQE_IO_LINK : 0;
	ASSERT_EQ(4, ring_submit(&r));
	for (i = 0; i < 4; i++) {
		EXPECT_TRUE(ring_idle(&r));
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		EXPECT_CQE(&r, i, (int)sizeof(uint32_t));
		EXPECT_EQ(i, nums[i]);
	}
	ring_close(&r);
}

TEST_F(queue, cancel)
{
	uint8_t in[64];
	struct ring r;
	int i, res = 0;

	OPEN_RING(&r);
	make_queue(1, 64, 0);
	for (i = 0; i < 4; i++) {
		ring_prep(&r, IORING_OP_READ, self->rfd, in, sizeof(in), 1)
			->flags = i % 2 ? IOSQE_ASYNC : 0;
		ASSERT_EQ(1, ring_submit(&r));
		EXPECT_TRUE(ring_idle(&r));
		ASSERT_TRUE(ring_cancel(&r, 1, &res));
		EXPECT_TRUE(res == -ECANCELED || res == -EINTR) {
			TH_LOG("result %d", res);
		}
		/* What comes now is not for the dead. */
		poison(in, sizeof(in));
		ASSERT_EQ(0, mbuf_send(self->sfd, "hello", 5, MBUF_NOW));
		EXPECT_TRUE(ring_idle(&r));
		EXPECT_TRUE(is_poison(in, sizeof(in)));
		EXPECT_EQ(1, get_info(self->rfd).depth);
		EXPECT_EQ(5, mbuf_recv(self->rfd, in, sizeof(in), MBUF_NOW));
	}
	/* A write that waits for room leaves nothing behind. */
	ASSERT_EQ(0, mbuf_send(self->sfd, "first", 5, MBUF_NOW));
	ring_prep(&r, IORING_OP_WRITE, self->sfd, "second", 6, 1);
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_TRUE(ring_idle(&r));
	ASSERT_TRUE(ring_cancel(&r, 1, &res));
	EXPECT_EQ(-ECANCELED, res);
	EXPECT_EQ(5, mbuf_recv(self->rfd, in, sizeof(in), MBUF_NOW));
	EXPECT_EQ(-EAGAIN, mbuf_recv(self->rfd, in, sizeof(in), MBUF_NOW));
	EXPECT_TRUE(ring_idle(&r));
	ring_close(&r);
}

struct sender {
	int fd;
	_Atomic uint32_t go;
	_Atomic uint32_t done;
	uint32_t nr;
};

static void *sender_main(void *arg)
{
	struct sender *s = arg;
	uint32_t i;

	for (i = 1; i <= s->nr; i++) {
		while (atomic_load(&s->go) < i)
			sched_yield();
		if (send_num(s->fd, i, MBUF_NOW))
			return (void *)1;
		atomic_store(&s->done, i);
	}
	return NULL;
}

/* The message is with the read or still in the queue, whoever was first. */
TEST_F(queue, cancel_races_with_message)
{
	struct sender s = { .nr = 300 };
	struct handicap h = { .seed = 1 };
	unsigned int i, j, read = 0, canceled = 0;
	struct io_uring_cqe cqe;
	pthread_t thread;
	struct ring r;
	uint32_t num;
	void *ret;
	int res = 0;

	OPEN_RING(&r);
	make_queue(4, 64, 0);
	s.fd = self->sfd;
	ASSERT_EQ(0, pthread_create(&thread, NULL, sender_main, &s));
	for (i = 1; i <= s.nr; i++) {
		num = 0;
		ring_prep(&r, IORING_OP_READ, self->rfd, &num, sizeof(num), 1)
			->flags = i % 2 ? IOSQE_ASYNC : 0;
		ASSERT_EQ(1, ring_submit(&r));
		atomic_store(&s.go, i);
		handicap_spin(&h);
		ring_prep(&r, IORING_OP_ASYNC_CANCEL, -1, (void *)1, 0, 2);
		ASSERT_EQ(1, ring_submit(&r));
		for (j = 0; j < 2; j++) {
			ASSERT_TRUE(ring_wait(&r, &cqe));
			if (cqe.user_data == 1)
				res = cqe.res;
		}
		ASSERT_TRUE(EVENTUALLY(s.done == i));
		if (res == sizeof(num)) {
			read++;
			ASSERT_EQ(i, num);
		} else {
			canceled++;
			ASSERT_TRUE(res == -ECANCELED || res == -EINTR);
			ASSERT_EQ(i, recv_num(self->rfd, MBUF_NOW));
		}
		ASSERT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
		handicap_adapt(&h, res != sizeof(num));
	}
	pthread_join(thread, &ret);
	EXPECT_EQ(NULL, ret);
	TH_LOG("%u read, %u canceled", read, canceled);
	ring_close(&r);
}

/* A ring that is closed takes its pending requests with it, no messages. */
TEST_F(queue, close_the_ring)
{
	uint8_t in[64];
	struct ring r;
	int i;

	OPEN_RING(&r);
	make_queue(4, 64, 0);
	for (i = 0; i < 4; i++)
		ring_prep(&r, IORING_OP_READ, self->rfd, in, sizeof(in), 1)
			->flags = i % 2 ? IOSQE_ASYNC : 0;
	ASSERT_EQ(4, ring_submit(&r));
	EXPECT_TRUE(ring_idle(&r));
	ring_close(&r);
	/*
	 * It goes in the background, and until it has gone its reads may take
	 * messages. Once the right has lost all its users it has.
	 */
	close_fd(&self->rfd);
	EXPECT_TRUE(EVENTUALLY(!get_info(self->sfd).receivers));
	EXPECT_EQ(-EPIPE, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
}

/* A process dies with requests pending. */
static int pending_child(void *arg)
{
	struct ring *r = arg;
	int *fds = (int *)(r + 1);
	uint8_t in[64];
	int i;

	close(fds[1]);
	if (ring_open(r))
		return 77;
	for (i = 0; i < 4; i++)
		ring_prep(r, IORING_OP_READ, fds[0], in, sizeof(in), 1)
			->flags = i % 2 ? IOSQE_ASYNC : 0;
	CHECK_EQ(4, ring_submit(r));
	close(fds[0]);
	CHECK_EQ(1, xwrite(fds[2], "x", 1));
	for (;;)
		pause();
	return 0;
}

TEST_F(queue, kill_the_owner)
{
	struct {
		struct ring r;
		int fds[3];
	} arg;
	char buf[16];
	int p[2];
	pid_t pid;

	make_queue(4, 64, 0);
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	arg.fds[0] = self->rfd;
	arg.fds[1] = self->sfd;
	arg.fds[2] = p[1];
	pid = spawn(pending_child, &arg);
	ASSERT_LT(0, pid);
	close(p[1]);
	if (xread(p[0], buf, 1) != 1) {
		close(p[0]);
		EXPECT_EQ(77, reap(pid));
		SKIP(return, "no io_uring here, or it is forbidden");
	}
	close(p[0]);
	close_fd(&self->rfd);
	/* Only the ring in the child holds the right now. */
	EXPECT_EQ(1, get_info(self->sfd).receivers);
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	EXPECT_TRUE(EVENTUALLY(!get_info(self->sfd).receivers));
	EXPECT_EQ(-EPIPE, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
}

TEST_F(queue, poll_requests)
{
	struct io_uring_sqe *sqe;
	struct ring r;
	int i;

	OPEN_RING(&r);
	make_queue(8, 64, 0);
	/* Once. */
	sqe = ring_prep(&r, IORING_OP_POLL_ADD, self->rfd, NULL, 0, 1);
	sqe->poll32_events = POLLIN;
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_TRUE(ring_idle(&r));
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	EXPECT_CQE(&r, 1, POLLIN);

	/* Again and again: for each message that comes. */
	sqe = ring_prep(&r, IORING_OP_POLL_ADD, self->rfd, NULL,
			IORING_POLL_ADD_MULTI, 2);
	sqe->poll32_events = POLLIN;
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_CQE(&r, 2, POLLIN);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
		EXPECT_CQE(&r, 2, POLLIN);
	}
	EXPECT_TRUE(ring_idle(&r));
	ring_close(&r);
}

/* Producer and consumer, both by io_uring, with several requests in flight. */
TEST_F(queue, stream)
{
	uint32_t in[4], out[4], sent = 0, got = 0, nr = 500, i;
	struct io_uring_cqe cqe;
	struct ring r;

	OPEN_RING(&r);
	make_queue(2, 16, 0);
	/* One read at a time keeps the order; writes are linked by number. */
	out[0] = sent;
	ring_prep(&r, IORING_OP_WRITE, self->sfd, &out[0], 4, 100);
	ring_prep(&r, IORING_OP_READ, self->rfd, &in[0], 4, 200);
	while (got < nr) {
		ASSERT_LE(0, ring_submit(&r));
		ASSERT_TRUE(ring_wait(&r, &cqe));
		ASSERT_EQ(4, cqe.res);
		if (cqe.user_data == 100) {
			i = ++sent % 4;
			out[i] = sent;
			ring_prep(&r, IORING_OP_WRITE, self->sfd, &out[i], 4,
				  100);
		} else {
			ASSERT_EQ(got, in[got % 4]);
			i = ++got % 4;
			ring_prep(&r, IORING_OP_READ, self->rfd, &in[i], 4,
				  200);
		}
	}
	ring_close(&r);
	/* The last requests go with the ring. */
	close_fd(&self->rfd);
	close_fd(&self->sfd);
}

TEST_HARNESS_MAIN
