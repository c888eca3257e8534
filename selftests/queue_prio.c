// SPDX-License-Identifier: GPL-2.0
/*
 * Queues with priorities: the highest first, in order within one.
 */
#include "util.h"

static int send_prio(int fd, uint32_t num, uint32_t prio, uint64_t deadline)
{
	struct mbuf_msg m = msg_of(&num, sizeof(num));

	m.prio = prio;
	return mbuf_send_msg(fd, &m, deadline);
}

/* Receives a number and its priority. */
static int64_t recv_prio(int fd, uint32_t *prio)
{
	uint32_t num = 0;
	struct mbuf_msg m = msg_of(&num, sizeof(num));
	int ret = mbuf_recv_msg(fd, &m, MBUF_NOW);

	*prio = m.prio;
	return ret ? ret : (int64_t)num;
}

TEST_F(queue, highest_first)
{
	uint32_t max = self->q.prio_max, prio, got, round;

	make_queue(2 * (max + 1), 16, MBUF_QUEUE_PRIO);
	for (round = 0; round < 2; round++)
		for (prio = 0; prio <= max; prio++)
			ASSERT_EQ(0, send_prio(self->sfd, 1000 * round + prio,
					       prio, MBUF_NOW));
	for (prio = max + 1; prio-- > 0; ) {
		for (round = 0; round < 2; round++) {
			EXPECT_EQ(1000 * round + prio,
				  recv_prio(self->rfd, &got));
			EXPECT_EQ(prio, got);
		}
	}
	EXPECT_EQ(-EAGAIN, recv_prio(self->rfd, &got));
}

TEST_F(queue, out_of_range)
{
	uint32_t max = self->q.prio_max;
	const uint32_t bad[] = { max + 1, 2 * max + 2, 1u << 8, 1u << 16,
				 1u << 31, UINT32_MAX };
	unsigned int i;

	make_queue(4, 16, MBUF_QUEUE_PRIO);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EINVAL, send_prio(self->sfd, 1, bad[i], MBUF_NOW));
	EXPECT_EQ(0, get_info(self->sfd).sent);
	EXPECT_EQ(0, send_prio(self->sfd, 1, max, MBUF_NOW));
	EXPECT_EQ(0, send_prio(self->sfd, 1, 0, MBUF_NOW));
	close_fd(&self->rfd);
	close_fd(&self->sfd);

	/* A queue without them has only 0. */
	make_queue(4, 16, 0);
	EXPECT_EQ(-EINVAL, send_prio(self->sfd, 1, 1, MBUF_NOW));
	EXPECT_EQ(-EINVAL, send_prio(self->sfd, 1, max, MBUF_NOW));
	EXPECT_EQ(0, get_info(self->sfd).sent);
	EXPECT_EQ(0, send_prio(self->sfd, 1, 0, MBUF_NOW));
}

/* write() sends at the lowest priority, read() takes the highest. */
TEST_F(queue, read_and_write)
{
	uint32_t num = 1, got;

	make_queue(4, 16, MBUF_QUEUE_PRIO);
	ASSERT_EQ(4, xwrite(self->sfd, &num, 4));
	ASSERT_EQ(0, send_prio(self->sfd, 2, 1, MBUF_NOW));
	num = 3;
	ASSERT_EQ(4, xwrite(self->sfd, &num, 4));
	EXPECT_EQ(4, xread(self->rfd, &num, 4));
	EXPECT_EQ(2, num);
	EXPECT_EQ(1, recv_prio(self->rfd, &got));
	EXPECT_EQ(0, got);
	EXPECT_EQ(4, xread(self->rfd, &num, 4));
	EXPECT_EQ(3, num);
}

/* What is next is what RECV would give. */
TEST_F(queue, next)
{
	uint8_t buf[64] = {};
	struct mbuf_msg m = msg_of(buf, 10);

	make_queue(4, 64, MBUF_QUEUE_PRIO);
	ASSERT_EQ(0, mbuf_send_msg(self->sfd, &m, MBUF_NOW));
	m = msg_of(buf, 20);
	m.prio = 1;
	ASSERT_EQ(0, mbuf_send_msg(self->sfd, &m, MBUF_NOW));
	EXPECT_EQ(20, get_info(self->rfd).next_len);
	/* It is that one whose size is reported as too large. */
	m = msg_of(buf, 10);
	EXPECT_EQ(-EMSGSIZE, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
	EXPECT_EQ(20, m.len);
	ASSERT_EQ(20, mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW));
	EXPECT_EQ(10, get_info(self->rfd).next_len);
}

/* Sequence numbers say in which order messages came, not in which they go. */
TEST_F(queue, numbers)
{
	uint32_t num;
	struct mbuf_msg m;
	int i;

	make_queue(4, 16, MBUF_QUEUE_PRIO);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, send_prio(self->sfd, 0, (uint32_t)i, MBUF_NOW));
	for (i = 4; i > 0; i--) {
		m = msg_of(&num, sizeof(num));
		ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
		EXPECT_EQ(i, m.seq);
	}
}

struct parked {
	struct party p;
	uint32_t num;
};

static bool park(struct parked *s, int fd, uint32_t num, uint32_t prio)
{
	memset(s, 0, sizeof(*s));
	s->num = num;
	s->p.op = OP_SEND;
	s->p.fd = fd;
	s->p.buf = &s->num;
	s->p.len = sizeof(s->num);
	s->p.prio = prio;
	s->p.deadline = MBUF_FOREVER;
	return party_start(&s->p);
}

/*
 * A parked message keeps its priority: when a place is free the most important
 * one gets it, not the one that came first.
 */
TEST_F(queue, parked)
{
	const struct {
		uint32_t num, prio;
	} late[] = { { 10, 1 }, { 11, 9 }, { 12, 9 }, { 13, 1 }, { 14, 5 } };
	/* 1 leaves and lets 11 in, 11 leaves and lets 12 in, ... */
	const uint32_t order[] = { 1, 11, 12, 2, 14, 10, 13 };
	struct parked s[ARRAY_SIZE(late)];
	uint32_t i, prio;

	make_queue(2, 16, MBUF_QUEUE_PRIO);
	ASSERT_EQ(0, send_prio(self->sfd, 1, 5, MBUF_NOW));
	ASSERT_EQ(0, send_prio(self->sfd, 2, 5, MBUF_NOW));
	for (i = 0; i < ARRAY_SIZE(late); i++) {
		ASSERT_TRUE(park(&s[i], self->sfd, late[i].num, late[i].prio));
		ASSERT_SLEEPERS(self->rfd, 0, i + 1);
	}
	/* No way past them, however important. */
	EXPECT_EQ(-EAGAIN, send_prio(self->sfd, 99, self->q.prio_max,
				     MBUF_NOW));
	for (i = 0; i < ARRAY_SIZE(order); i++)
		EXPECT_EQ(order[i], recv_prio(self->rfd, &prio));
	for (i = 0; i < ARRAY_SIZE(late); i++)
		EXPECT_EQ(0, party_join(&s[i].p));
	EXPECT_EQ(-EAGAIN, recv_prio(self->rfd, &prio));
}

/* A parked one that gives up leaves its priority as it should be. */
TEST_F(queue, parked_one_gives_up)
{
	struct parked s[2];
	uint32_t prio;

	make_queue(1, 16, MBUF_QUEUE_PRIO);
	ASSERT_EQ(0, send_prio(self->sfd, 1, 0, MBUF_NOW));
	ASSERT_TRUE(park(&s[0], self->sfd, 10, 3));
	ASSERT_SLEEPERS(self->rfd, 0, 1);
	EXPECT_EQ(-ETIMEDOUT, send_prio(self->sfd, 11, 7, in_ms(20)));
	EXPECT_EQ(-ETIMEDOUT, send_prio(self->sfd, 12, 3, in_ms(20)));
	ASSERT_TRUE(park(&s[1], self->sfd, 13, 7));
	ASSERT_SLEEPERS(self->rfd, 0, 2);
	EXPECT_EQ(1, recv_prio(self->rfd, &prio));
	EXPECT_EQ(13, recv_prio(self->rfd, &prio));
	EXPECT_EQ(10, recv_prio(self->rfd, &prio));
	EXPECT_EQ(0, party_join(&s[0].p));
	EXPECT_EQ(0, party_join(&s[1].p));
}

/* Receivers are served in order, whatever the priority of what comes. */
TEST_F(queue, waiting_receivers)
{
	struct party r[3] = {};
	uint32_t nums[3];
	uint32_t i;

	make_queue(4, 16, MBUF_QUEUE_PRIO);
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
		ASSERT_EQ(0, send_prio(self->sfd, i, 10 * i, MBUF_NOW));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(4, party_join(&r[i]));
		EXPECT_EQ(i, nums[i]);
		EXPECT_EQ(10 * i, r[i].msg.prio);
	}
}

/* All that happens, against a model that is too simple to be wrong. */
#define MODEL	40

TEST_F(queue, model)
{
	struct {
		uint32_t num, prio;
	} held[MODEL];
	uint32_t max = self->q.prio_max, nr = 0, next = 0, step, i, prio;
	unsigned int seed = 12345;
	int64_t num;

	make_queue(MODEL, 16, MBUF_QUEUE_PRIO);
	for (step = 0; step < 4000; step++) {
		/* Tides, so that it is full and empty now and then. */
		bool send = (unsigned int)rand_r(&seed) % 100 <
			    (step / 200 % 2 ? 35 : 65);

		if (send) {
			prio = (unsigned int)rand_r(&seed) %
			       (step / 500 % 2 ? 3 : max + 1);
			num = send_prio(self->sfd, next, prio, MBUF_NOW);
			if (nr == MODEL) {
				ASSERT_EQ(-EAGAIN, num);
				continue;
			}
			ASSERT_EQ(0, num);
			held[nr].num = next++;
			held[nr++].prio = prio;
		} else {
			uint32_t best = 0;

			num = recv_prio(self->rfd, &prio);
			if (!nr) {
				ASSERT_EQ(-EAGAIN, num);
				continue;
			}
			for (i = 1; i < nr; i++)
				if (held[i].prio > held[best].prio)
					best = i;
			ASSERT_EQ(held[best].num, num);
			ASSERT_EQ(held[best].prio, prio);
			nr--;
			memmove(&held[best], &held[best + 1],
				(nr - best) * sizeof(held[0]));
		}
		ASSERT_EQ(nr, get_info(self->rfd).depth);
	}
}

/* Messages too large for slots keep to the same order. */
TEST_F(queue, large_messages)
{
	uint32_t len = self->q.inline_max + 100, i;
	uint8_t *buf = malloc(len);
	struct mbuf_msg m;

	ASSERT_NE(NULL, buf);
	make_queue(16, len, MBUF_QUEUE_PRIO);
	for (i = 0; i < 16; i++) {
		m = msg_of(buf, i % 2 ? len : 8);
		m.prio = i % 4;
		fill_pattern(buf, m.len, i);
		ASSERT_EQ(0, mbuf_send_msg(self->sfd, &m, MBUF_NOW));
	}
	for (i = 0; i < 16; i++) {
		/* 3, 7, 11, 15, 2, 6, ... */
		uint32_t want = 3 - i / 4 + i % 4 * 4;

		m = msg_of(buf, len);
		ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
		EXPECT_EQ(want % 2 ? len : 8, m.len);
		EXPECT_EQ(want + 1, m.seq);
		EXPECT_TRUE(is_pattern(buf, m.len, want));
	}
	free(buf);
}

TEST_HARNESS_MAIN
