// SPDX-License-Identifier: GPL-2.0
/*
 * Queues that drop their oldest message instead of making a sender wait.
 */
#include "util.h"

static int send_prio(int fd, uint32_t num, uint32_t prio)
{
	struct mbuf_msg m = msg_of(&num, sizeof(num));

	m.prio = prio;
	return mbuf_send_msg(fd, &m, MBUF_FOREVER);
}

TEST_F(queue, newest_are_kept)
{
	struct mbuf_msg m;
	uint32_t num, i;

	make_queue(4, 16, MBUF_QUEUE_OVERWRITE);
	for (i = 0; i < 10; i++) {
		m = msg_of(&i, sizeof(i));
		ASSERT_EQ(0, mbuf_send_msg(self->sfd, &m, MBUF_NOW));
		EXPECT_EQ(i + 1, m.seq);
		EXPECT_EQ(i < 4 ? i + 1 : 4, get_info(self->rfd).depth);
		EXPECT_EQ(i < 4 ? 0 : i - 3, get_info(self->rfd).dropped);
	}
	EXPECT_EQ(4, get_info(self->rfd).high_water);
	EXPECT_EQ(10, get_info(self->rfd).sent);
	EXPECT_EQ(0, get_info(self->rfd).refused);
	/* The numbers show how many are missing. */
	for (i = 6; i < 10; i++) {
		m = msg_of(&num, sizeof(num));
		ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
		EXPECT_EQ(i, num);
		EXPECT_EQ(i + 1, m.seq);
	}
	EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(6, get_info(self->rfd).dropped);
	EXPECT_EQ(4, get_info(self->rfd).received);
}

TEST_F(queue, one_slot_holds_the_latest)
{
	uint32_t i;

	make_queue(1, 16, MBUF_QUEUE_OVERWRITE);
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_FOREVER));
		if (i % 7 == 0)
			EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
	}
	EXPECT_EQ(99, recv_num(self->rfd, MBUF_NOW));
}

/* Whatever the deadline or the way to send. */
TEST_F(queue, never_waits)
{
	const uint64_t deadlines[] = { MBUF_NOW, MBUF_FOREVER, 1, in_ms(1000) };
	struct mbuf_msg m;
	unsigned int i;
	uint32_t num = 1;

	make_queue(2, 16, MBUF_QUEUE_OVERWRITE);
	for (i = 0; i < ARRAY_SIZE(deadlines); i++) {
		EXPECT_EQ(0, send_num(self->sfd, num, deadlines[i]));
		EXPECT_EQ(4, xwrite(self->sfd, &num, 4));
		m = msg_of(&num, 4);
		EXPECT_EQ(1, mbuf_send_batch(self->sfd, &m, 1, 1,
					     deadlines[i]));
	}
	EXPECT_EQ(0, get_info(self->rfd).send_blocked);
	EXPECT_EQ(12, get_info(self->rfd).sent);
	EXPECT_EQ(10, get_info(self->rfd).dropped);
}

/* A receiver that waits gets the message: nothing is dropped. */
TEST_F(queue, waiting_receivers)
{
	struct party r[3] = {};
	uint32_t nums[3], i;

	make_queue(1, 16, MBUF_QUEUE_OVERWRITE);
	for (i = 0; i < 3; i++) {
		r[i].op = OP_RECV;
		r[i].fd = self->rfd;
		r[i].buf = &nums[i];
		r[i].len = sizeof(nums[i]);
		r[i].deadline = MBUF_FOREVER;
		ASSERT_TRUE(party_start(&r[i]));
		ASSERT_SLEEPERS(self->rfd, i + 1, 0);
	}
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(4, party_join(&r[i]));
		EXPECT_EQ(i, nums[i]);
	}
	EXPECT_EQ(0, get_info(self->rfd).dropped);
}

/* A message that cannot be sent drops nothing. */
TEST_F(queue, failure_drops_nothing)
{
	uint32_t large = self->q.inline_max + 1;
	/* Not a constant, or the compiler knows better. */
	void *volatile nowhere = NULL;
	struct mbuf_msg m;
	uint8_t *buf;

	buf = map_pages(2 * large, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, buf);
	make_queue(2, large, MBUF_QUEUE_OVERWRITE);
	ASSERT_EQ(0, send_num(self->sfd, 0, MBUF_NOW));
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	EXPECT_EQ(-EFAULT, mbuf_send(self->sfd, NULL, 4, MBUF_NOW));
	EXPECT_EQ(-EFAULT, mbuf_send(self->sfd, NULL, large, MBUF_NOW));
	EXPECT_EQ(-EFAULT, xwrite(self->sfd, nowhere, 4));
	EXPECT_EQ(-EMSGSIZE, mbuf_send(self->sfd, buf, large + 1, MBUF_NOW));
	EXPECT_EQ(-EINVAL, mbuf_send(self->sfd, buf, 0, MBUF_NOW));
	m = msg_of(buf, 4);
	m.prio = 1;
	EXPECT_EQ(-EINVAL, mbuf_send_msg(self->sfd, &m, MBUF_NOW));
	EXPECT_EQ(0, get_info(self->rfd).dropped);
	EXPECT_EQ(2, get_info(self->rfd).sent);
	EXPECT_EQ(0, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	munmap(buf, 2 * large);
}

/* What is dropped is freed, and is no longer charged to its sender. */
TEST_F(queue, large_messages_are_freed)
{
	uint32_t len = self->q.inline_max + 1000, i;
	struct mbuf_query q;
	uint64_t one;
	uint8_t *buf;

	buf = malloc(len);
	ASSERT_NE(NULL, buf);
	make_queue(4, len, MBUF_QUEUE_OVERWRITE);
	fill_pattern(buf, len, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, buf, len, MBUF_NOW));
	ASSERT_EQ(0, mbuf_query(self->session, &q));
	one = q.inflight.used - self->q.inflight.used;
	EXPECT_LE(len, one);
	for (i = 1; i < 100; i++) {
		fill_pattern(buf, len, i);
		ASSERT_EQ(0, mbuf_send(self->sfd, buf, len, MBUF_NOW));
		ASSERT_EQ(0, mbuf_query(self->session, &q));
		EXPECT_EQ((i < 4 ? i + 1 : 4) * one,
			  q.inflight.used - self->q.inflight.used);
	}
	/* Small ones drop large ones, too. */
	ASSERT_EQ(0, send_num(self->sfd, 7, MBUF_NOW));
	ASSERT_EQ(0, mbuf_query(self->session, &q));
	EXPECT_EQ(3 * one, q.inflight.used - self->q.inflight.used);
	for (i = 97; i < 100; i++) {
		ASSERT_EQ((long)len, mbuf_recv(self->rfd, buf, len, MBUF_NOW));
		EXPECT_TRUE(is_pattern(buf, len, i));
	}
	EXPECT_EQ(7, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(97, get_info(self->rfd).dropped);
	free(buf);
}

/* The one who was charged is uncharged, not the one who overwrites. */
static int send_large_as_user(void *arg)
{
	int *fds = arg, session = mbuf_open();
	struct mbuf_query q;
	uint8_t *buf;

	CHECK(session >= 0);
	CHECK_EQ(0, mbuf_query(session, &q));
	CHECK_EQ(0, q.inflight.used);
	buf = calloc(1, q.inline_max + 1);
	CHECK(buf);
	CHECK_EQ(0, mbuf_send(fds[0], buf, q.inline_max + 1, MBUF_NOW));
	CHECK_EQ(0, mbuf_query(session, &q));
	CHECK(q.inflight.used > q.inline_max);
	/* Tell, and wait until somebody else has overwritten it. */
	CHECK_EQ(1, xwrite(fds[1], "x", 1));
	CHECK_EQ(1, xread(fds[2], buf, 1));
	CHECK_EQ(0, mbuf_query(session, &q));
	CHECK_EQ(0, q.inflight.used);
	return 0;
}

TEST_F(queue, overwriting_another_users)
{
	uint32_t len = self->q.inline_max + 1;
	int there[2], back[2], fds[3];
	struct mbuf_query q;
	uint8_t *buf;
	pid_t pid;

	NEED_ROOT();
	buf = calloc(1, len);
	ASSERT_NE(NULL, buf);
	make_queue(1, len, MBUF_QUEUE_OVERWRITE);
	ASSERT_EQ(0, pipe2(there, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(back, O_CLOEXEC));
	fds[0] = self->sfd;
	fds[1] = there[1];
	fds[2] = back[0];
	pid = spawn_as(TEST_UID, send_large_as_user, fds);
	close(there[1]);
	ASSERT_EQ(1, xread(there[0], buf, 1));
	ASSERT_EQ(0, mbuf_query(self->session, &q));
	EXPECT_EQ(self->q.inflight.used, q.inflight.used);
	ASSERT_EQ(0, mbuf_send(self->sfd, buf, len, MBUF_NOW));
	ASSERT_EQ(0, mbuf_query(self->session, &q));
	EXPECT_LT(self->q.inflight.used, q.inflight.used);
	ASSERT_EQ(1, xwrite(back[1], "x", 1));
	EXPECT_EQ(0, reap(pid));
	close(there[0]);
	close(back[0]);
	close(back[1]);
	free(buf);
}

/* With priorities: the oldest of the lowest goes; below that is refused. */
TEST_F(queue, priorities)
{
	make_queue(3, 16, MBUF_QUEUE_OVERWRITE | MBUF_QUEUE_PRIO);
	ASSERT_EQ(0, send_prio(self->sfd, 1, 5));
	ASSERT_EQ(0, send_prio(self->sfd, 2, 2));
	ASSERT_EQ(0, send_prio(self->sfd, 3, 2));

	/* Lower than all there is. */
	EXPECT_EQ(-ENOBUFS, send_prio(self->sfd, 4, 1));
	EXPECT_EQ(-ENOBUFS, send_prio(self->sfd, 4, 0));
	EXPECT_EQ(2, get_info(self->rfd).refused);
	EXPECT_EQ(0, get_info(self->rfd).dropped);
	EXPECT_EQ(3, get_info(self->rfd).sent);

	/* Equal to the lowest: the oldest of them. */
	EXPECT_EQ(0, send_prio(self->sfd, 5, 2));
	EXPECT_EQ(1, get_info(self->rfd).dropped);
	/* Higher: the same, so that 3 goes, not 1. */
	EXPECT_EQ(0, send_prio(self->sfd, 6, 9));
	EXPECT_EQ(2, get_info(self->rfd).dropped);
	/* 1 (5), 5 (2), 6 (9) are left. */
	EXPECT_EQ(6, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	/* There is room now: even the lowest is taken. */
	EXPECT_EQ(0, send_prio(self->sfd, 7, 0));
	EXPECT_EQ(5, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(7, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(2, get_info(self->rfd).refused);
	EXPECT_EQ(2, get_info(self->rfd).dropped);
}

/* What is refused must not have been looked at, let alone waited for. */
TEST_F(queue, refusing)
{
	uint32_t large = self->q.inline_max + 1, num = 4;
	struct mbuf_query q;
	struct mbuf_msg m;
	uint8_t *buf;

	buf = calloc(1, large);
	ASSERT_NE(NULL, buf);
	make_queue(1, large, MBUF_QUEUE_OVERWRITE | MBUF_QUEUE_PRIO);
	ASSERT_EQ(0, send_prio(self->sfd, 1, 1));
	/* By write(), which is of the lowest priority. */
	EXPECT_EQ(-ENOBUFS, xwrite(self->sfd, &num, sizeof(num)));
	EXPECT_EQ(1, get_info(self->rfd).refused);
	/* Large. */
	EXPECT_EQ(-ENOBUFS, mbuf_send(self->sfd, buf, large, MBUF_FOREVER));
	EXPECT_EQ(2, get_info(self->rfd).refused);
	ASSERT_EQ(0, mbuf_query(self->session, &q));
	EXPECT_EQ(self->q.inflight.used, q.inflight.used);
	/* In a batch. */
	m = msg_of(&num, sizeof(num));
	EXPECT_EQ(-ENOBUFS,
		  mbuf_send_batch(self->sfd, &m, 1, 1, MBUF_FOREVER));
	EXPECT_EQ(3, get_info(self->rfd).refused);
	EXPECT_EQ(POLLOUT, poll_now(self->sfd, POLLOUT));
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(0, get_info(self->rfd).dropped);
	free(buf);
}

TEST_F(queue, batch_stops_at_what_is_refused)
{
	uint32_t nums[4] = { 0, 1, 2, 3 };
	struct mbuf_msg m[4];
	int i;

	make_queue(2, 16, MBUF_QUEUE_OVERWRITE | MBUF_QUEUE_PRIO);
	for (i = 0; i < 4; i++) {
		m[i] = msg_of(&nums[i], sizeof(uint32_t));
		m[i].prio = 3;
	}
	m[2].prio = 1;
	EXPECT_EQ(2, mbuf_send_batch(self->sfd, m, 4, 4, MBUF_FOREVER));
	EXPECT_EQ(-ENOBUFS, mbuf_send_batch(self->sfd, m + 2, 2, 2,
					    MBUF_FOREVER));
	EXPECT_EQ(0, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(0, get_info(self->rfd).dropped);
}

/* Against a model, with and without priorities, small and large. */
#define MODEL	12

TEST_F(queue, model)
{
	struct {
		uint32_t num, prio;
	} held[MODEL];
	uint32_t large = self->q.inline_max + 8, levels, nr, next, step, i;
	uint64_t dropped, refused;
	unsigned int seed = 4711;
	struct mbuf_msg m;
	uint8_t *buf;
	int ret;

	buf = calloc(1, large);
	ASSERT_NE(NULL, buf);
	for (levels = 1; levels <= 4; levels += 3) {
		make_queue(MODEL, large, MBUF_QUEUE_OVERWRITE |
			   (levels > 1 ? MBUF_QUEUE_PRIO : 0));
		nr = 0;
		next = 0;
		dropped = 0;
		refused = 0;
		for (step = 0; step < 3000; step++) {
			uint32_t prio = (uint32_t)rand_r(&seed) % levels;
			uint32_t low = 0, best = 0;

			for (i = 1; i < nr; i++) {
				if (held[i].prio < held[low].prio)
					low = i;
				if (held[i].prio > held[best].prio)
					best = i;
			}
			if (rand_r(&seed) % 3) {
				memcpy(buf, &next, sizeof(next));
				m = msg_of(buf, next % 5 ? 4 : large);
				m.prio = prio;
				ret = mbuf_send_msg(self->sfd, &m,
						    MBUF_FOREVER);
				if (nr == MODEL && prio < held[low].prio) {
					ASSERT_EQ(-ENOBUFS, ret);
					refused++;
					continue;
				}
				ASSERT_EQ(0, ret);
				if (nr == MODEL) {
					dropped++;
					nr--;
					memmove(&held[low], &held[low + 1],
						(nr - low) * sizeof(held[0]));
				}
				held[nr].num = next++;
				held[nr++].prio = prio;
			} else {
				m = msg_of(buf, large);
				ret = mbuf_recv_msg(self->rfd, &m, MBUF_NOW);
				if (!nr) {
					ASSERT_EQ(-EAGAIN, ret);
					continue;
				}
				ASSERT_EQ(0, ret);
				ASSERT_EQ(0, memcmp(buf, &held[best].num, 4));
				ASSERT_EQ(held[best].num % 5 ? 4 : large,
					  m.len);
				ASSERT_EQ(held[best].prio, m.prio);
				ASSERT_EQ(held[best].num + 1, m.seq);
				nr--;
				memmove(&held[best], &held[best + 1],
					(nr - best) * sizeof(held[0]));
			}
			ASSERT_EQ(nr, get_info(self->rfd).depth);
		}
		EXPECT_EQ(dropped, get_info(self->rfd).dropped);
		EXPECT_EQ(refused, get_info(self->rfd).refused);
		EXPECT_LT(0, dropped);
		close_fd(&self->rfd);
		close_fd(&self->sfd);
	}
	free(buf);
}

/* A sender that never waits, a receiver that reads what it can. */
static int flood_child(void *arg)
{
	int fd = *(int *)arg;
	uint32_t i;

	for (i = 1; i <= 20000; i++)
		CHECK_EQ(0, send_num(fd, i, MBUF_FOREVER));
	return 0;
}

TEST_F(queue, concurrent)
{
	uint64_t got = 0, last = 0;
	struct mbuf_queue_info i;
	struct mbuf_msg m;
	uint32_t num;
	pid_t pid;
	int ret;

	make_queue(5, 16, MBUF_QUEUE_OVERWRITE);
	pid = spawn(flood_child, &self->sfd);
	ASSERT_LT(0, pid);
	close_fd(&self->sfd);
	for (;;) {
		m = msg_of(&num, sizeof(num));
		ret = mbuf_recv_msg(self->rfd, &m, MBUF_FOREVER);
		if (ret)
			break;
		ASSERT_EQ(num, m.seq);
		ASSERT_LT(last, m.seq);
		last = m.seq;
		got++;
	}
	EXPECT_EQ(-EPIPE, ret);
	EXPECT_EQ(20000, last);
	EXPECT_EQ(0, reap(pid));
	i = get_info(self->rfd);
	EXPECT_EQ(20000, i.sent);
	EXPECT_EQ(got, i.received);
	EXPECT_EQ(20000 - got, i.dropped);
	EXPECT_EQ(0, i.send_blocked);
}

TEST_HARNESS_MAIN
