// SPDX-License-Identifier: GPL-2.0
/*
 * Batches that do not have to wait: what is moved, what is reported, what is
 * touched. (queue_block has those that wait, uapi_abi the bad arguments.)
 */
#include "util.h"

#define MANY	1024

/* Messages of 1 to 64 bytes, each in its own room of 64. */
#define ROOM	64

struct bench {
	struct mbuf_msg m[MANY];
	uint8_t data[MANY][ROOM];
};

static uint32_t len_of(uint32_t i)
{
	return 1 + i * 13 % ROOM;
}

static void to_send(struct bench *b, uint32_t first, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		fill_pattern(b->data[i], len_of(first + i), first + i);
		b->m[i] = msg_of(b->data[i], len_of(first + i));
		poison(&b->m[i].seq, sizeof(b->m[i].seq));
	}
}

static void to_recv(struct bench *b, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		poison(b->data[i], ROOM);
		poison(&b->m[i], sizeof(b->m[i]));
		b->m[i].buf = (uintptr_t)b->data[i];
		b->m[i].len = ROOM;
	}
}

/* Are these nr messages the right ones, beginning with number first? */
static bool received(const struct bench *b, uint32_t first, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		uint32_t len = len_of(first + i);

		if (b->m[i].len != len || b->m[i].seq != first + i + 1 ||
		    b->m[i].flags || b->m[i].prio || b->m[i].pid ||
		    b->m[i].buf != (uintptr_t)b->data[i] ||
		    !is_pattern(b->data[i], len, first + i) ||
		    !is_poison(b->data[i] + len, ROOM - len)) {
			fprintf(stderr, "# message %u is wrong\n", first + i);
			return false;
		}
	}
	return true;
}

/* Is element i as to_recv() left it? */
static bool untouched(const struct bench *b, uint32_t i)
{
	struct mbuf_msg m;

	poison(&m, sizeof(m));
	m.buf = (uintptr_t)b->data[i];
	m.len = ROOM;
	return !memcmp(&m, &b->m[i], sizeof(m)) && is_poison(b->data[i], ROOM);
}

TEST_F(queue, all_sizes)
{
	const uint32_t nrs[] = { 1, 2, 3, 15, 16, 17, 63, 64, 65, 1000, MANY };
	struct bench *b = malloc(sizeof(*b));
	uint32_t i, first = 0;

	ASSERT_NE(NULL, b);
	make_queue(MANY, ROOM, 0);
	for (i = 0; i < ARRAY_SIZE(nrs); i++) {
		uint32_t nr = nrs[i], j;

		to_send(b, first, nr);
		ASSERT_EQ(nr, mbuf_send_batch(self->sfd, b->m, nr, 0,
					      MBUF_NOW));
		for (j = 0; j < nr; j++)
			ASSERT_TRUE(is_poison(&b->m[j].seq, 8));
		EXPECT_EQ(nr, get_info(self->rfd).depth);
		to_recv(b, nr);
		ASSERT_EQ(nr, mbuf_recv_batch(self->rfd, b->m, nr, 0,
					      MBUF_NOW));
		ASSERT_TRUE(received(b, first, nr));
		EXPECT_EQ(0, get_info(self->rfd).depth);
		first += nr;
	}
	free(b);
}

TEST_F(queue, largest)
{
	uint32_t max = self->q.batch_max, i;
	struct mbuf_msg *m;
	char c = 'x';

	m = calloc(max + 1, sizeof(*m));
	ASSERT_NE(NULL, m);
	for (i = 0; i <= max; i++)
		m[i] = msg_of(&c, 1);
	make_queue(max + 1, 16, 0);
	EXPECT_EQ(-EINVAL, mbuf_send_batch(self->sfd, m, max + 1, 0, MBUF_NOW));
	EXPECT_EQ(max, mbuf_send_batch(self->sfd, m, max, max, MBUF_FOREVER));
	EXPECT_EQ(1, mbuf_send_batch(self->sfd, m, 1, 1, MBUF_FOREVER));
	EXPECT_EQ(-EINVAL, mbuf_recv_batch(self->rfd, m, max + 1, 0, MBUF_NOW));
	EXPECT_EQ(max + 1, get_info(self->rfd).depth);
	EXPECT_EQ(max, mbuf_recv_batch(self->rfd, m, max, 0, MBUF_NOW));
	EXPECT_EQ(1, mbuf_recv_batch(self->rfd, m, max, 0, MBUF_NOW));
	free(m);
}

/* As much as fits, as much as there is. */
TEST_F(queue, partial)
{
	struct bench *b = malloc(sizeof(*b));
	uint32_t i;

	ASSERT_NE(NULL, b);
	make_queue(10, ROOM, 0);
	to_send(b, 0, 16);
	EXPECT_EQ(10, mbuf_send_batch(self->sfd, b->m, 16, 0, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, mbuf_send_batch(self->sfd, b->m, 16, 0, MBUF_NOW));
	/* min has been reached, or waiting is ruled out. */
	EXPECT_EQ(-EAGAIN, mbuf_send_batch(self->sfd, b->m, 16, 0,
					   MBUF_FOREVER));
	EXPECT_EQ(-EAGAIN, mbuf_send_batch(self->sfd, b->m, 16, 9, MBUF_NOW));
	EXPECT_EQ(-ETIMEDOUT, mbuf_send_batch(self->sfd, b->m, 16, 9, 1));

	to_recv(b, 16);
	EXPECT_EQ(10, mbuf_recv_batch(self->rfd, b->m, 16, 5, MBUF_FOREVER));
	EXPECT_TRUE(received(b, 0, 10));
	for (i = 10; i < 16; i++)
		EXPECT_TRUE(untouched(b, i));
	to_recv(b, 16);
	EXPECT_EQ(-EAGAIN, mbuf_recv_batch(self->rfd, b->m, 16, 0,
					   MBUF_FOREVER));
	EXPECT_EQ(-EAGAIN, mbuf_recv_batch(self->rfd, b->m, 16, 1, MBUF_NOW));
	EXPECT_EQ(-ETIMEDOUT, mbuf_recv_batch(self->rfd, b->m, 16, 1, 1));
	for (i = 0; i < 16; i++)
		EXPECT_TRUE(untouched(b, i));

	/* Cut short by O_NONBLOCK, too. */
	ASSERT_EQ(0, set_nonblock(self->sfd, true));
	ASSERT_EQ(0, set_nonblock(self->rfd, true));
	to_send(b, 10, 16);
	EXPECT_EQ(10, mbuf_send_batch(self->sfd, b->m, 16, 16, MBUF_FOREVER));
	to_recv(b, 16);
	EXPECT_EQ(10, mbuf_recv_batch(self->rfd, b->m, 16, 16, MBUF_FOREVER));
	EXPECT_TRUE(received(b, 10, 10));
	free(b);
}

/* Stops at the first that cannot be sent; the error comes the next time. */
TEST_F(queue, bad_element_when_sending)
{
	struct bench *b = malloc(sizeof(*b));
	uint32_t bad, kind;

	ASSERT_NE(NULL, b);
	make_queue(16, ROOM, 0);
	for (bad = 0; bad < 8; bad++) {
		for (kind = 0; kind < 5; kind++) {
			uint64_t sent = get_info(self->sfd).sent;
			int want;

			to_send(b, (uint32_t)sent, 8);
			switch (kind) {
			case 0:
				b->m[bad].len = ROOM + 1;
				want = -EMSGSIZE;
				break;
			case 1:
				b->m[bad].len = 0;
				want = -EINVAL;
				break;
			case 2:
				b->m[bad].flags = 1;
				want = -EINVAL;
				break;
			case 3:
				b->m[bad].prio = 1;
				want = -EINVAL;
				break;
			default:
				b->m[bad].buf = 8;
				want = -EFAULT;
				break;
			}
			EXPECT_EQ(bad ? (int)bad : want,
				  mbuf_send_batch(self->sfd, b->m, 8, 8,
						  MBUF_FOREVER)) {
				TH_LOG("element %u, kind %u", bad, kind);
			}
			EXPECT_EQ(sent + bad, get_info(self->sfd).sent);
			EXPECT_EQ(want, mbuf_send_batch(self->sfd, b->m + bad,
							8 - bad, 0, MBUF_NOW));
			to_recv(b, 8);
			if (bad)
				EXPECT_EQ(bad, mbuf_recv_batch(self->rfd, b->m,
							       8, 0, MBUF_NOW));
			EXPECT_TRUE(received(b, (uint32_t)sent, bad));
		}
	}
	free(b);
}

TEST_F(queue, bad_element_when_receiving)
{
	struct bench *b = malloc(sizeof(*b));
	uint32_t bad, first = 0, i;
	struct mbuf_msg was;

	ASSERT_NE(NULL, b);
	make_queue(16, ROOM, 0);
	for (bad = 0; bad < 8; bad++) {
		/* Too little room. */
		to_send(b, first, 8);
		ASSERT_EQ(8, mbuf_send_batch(self->sfd, b->m, 8, 0, MBUF_NOW));
		to_recv(b, 8);
		b->m[bad].len = len_of(first + bad) - 1;
		was = b->m[bad];
		EXPECT_EQ(bad ? (int)bad : -EMSGSIZE,
			  mbuf_recv_batch(self->rfd, b->m, 8, 8,
					  MBUF_FOREVER));
		EXPECT_TRUE(received(b, first, bad));
		/* The first says how much is needed; others are not reached. */
		if (!bad)
			was.len = len_of(first);
		EXPECT_EQ(0, memcmp(&was, &b->m[bad], sizeof(was))) {
			TH_LOG("element %u was touched", bad);
		}
		for (i = bad + 1; i < 8; i++)
			EXPECT_TRUE(untouched(b, i));
		EXPECT_EQ(8 - bad, get_info(self->rfd).depth);

		/* No room at all. */
		if (bad + 1 < 8) {
			to_recv(b, 8);
			b->m[1].buf = 8;
			EXPECT_EQ(1, mbuf_recv_batch(self->rfd, b->m, 8, 0,
						     MBUF_NOW));
			EXPECT_TRUE(received(b, first + bad, 1));
			EXPECT_EQ(-EFAULT, mbuf_recv_batch(self->rfd, b->m + 1,
							   7, 0, MBUF_NOW));
			EXPECT_EQ(7 - bad, get_info(self->rfd).depth);
		}
		to_recv(b, 8);
		EXPECT_LT(0, mbuf_recv_batch(self->rfd, b->m, 8, 0, MBUF_NOW));
		EXPECT_TRUE(received(b, first + (bad < 7 ? bad + 1 : bad),
				     bad < 7 ? 7 - bad : 1));
		first += 8;
	}
	free(b);
}

/* The room is fine, but what else is known cannot be told. */
TEST_F(queue, elements_that_cannot_be_written)
{
	struct bench *b = malloc(sizeof(*b));
	struct mbuf_msg *ro;

	ASSERT_NE(NULL, b);
	make_queue(16, ROOM, 0);
	ro = map_pages(2 * page_size(), PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, ro);
	to_send(b, 0, 4);
	ASSERT_EQ(4, mbuf_send_batch(self->sfd, b->m, 4, 0, MBUF_NOW));
	/* The first two elements end where memory becomes read-only. */
	to_recv(b, 4);
	ro = (struct mbuf_msg *)((char *)ro + page_size()) - 2;
	memcpy(ro, b->m, 4 * sizeof(*ro));
	ASSERT_EQ(0, mprotect(ro + 2, page_size(), PROT_READ));
	EXPECT_EQ(2, mbuf_recv_batch(self->rfd, ro, 4, 0, MBUF_NOW));
	memcpy(b->m, ro, 4 * sizeof(*ro));
	EXPECT_TRUE(received(b, 0, 2));
	EXPECT_EQ(-EFAULT, mbuf_recv_batch(self->rfd, ro + 2, 2, 0, MBUF_NOW));
	EXPECT_EQ(2, get_info(self->rfd).depth);

	/* Who sends does not mind. */
	memset(b->data, 'x', 4);
	ro[0] = msg_of(b->data[0], 1);
	ro[1] = ro[0];
	ASSERT_EQ(0, mprotect(ro + 2, page_size(), PROT_READ | PROT_WRITE));
	ro[2] = ro[0];
	ro[3] = ro[0];
	ASSERT_EQ(0, mprotect(ro + 2, page_size(), PROT_READ));
	EXPECT_EQ(4, mbuf_send_batch(self->sfd, ro, 4, 0, MBUF_NOW));
	munmap((char *)(ro + 2) - page_size(), 2 * page_size());
	free(b);
}

/* Small and large ones, and the sizes between, in any order. */
TEST_F(queue, mixed_sizes)
{
	uint32_t big = self->q.inline_max + 5000, nr = 64, i, round;
	struct mbuf_msg *m;
	uint8_t *data;

	m = calloc(nr, sizeof(*m));
	data = malloc((size_t)nr * big);
	ASSERT_NE(NULL, m);
	ASSERT_NE(NULL, data);
	make_queue(nr, big, MBUF_QUEUE_EMPTY);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < nr; i++) {
			uint32_t len = i * 7919 % (big + 1);

			if (i % 5 == 0)
				len = i / 5;
			m[i] = msg_of(data + (size_t)i * big, len);
			fill_pattern(data + (size_t)i * big, len, i + round);
		}
		ASSERT_EQ(nr, mbuf_send_batch(self->sfd, m, nr, nr,
					      MBUF_NOW));
		memset(data, 0, (size_t)nr * big);
		for (i = 0; i < nr; i++)
			m[i].len = big;
		ASSERT_EQ(nr, mbuf_recv_batch(self->rfd, m, nr, nr, MBUF_NOW));
		for (i = 0; i < nr; i++) {
			uint32_t len = i * 7919 % (big + 1);

			if (i % 5 == 0)
				len = i / 5;
			EXPECT_EQ(len, m[i].len);
			EXPECT_EQ(len ? 0 : MBUF_MSG_EMPTY, m[i].flags);
			EXPECT_TRUE(is_pattern(data + (size_t)i * big, len,
					       i + round));
		}
	}
	free(data);
	free(m);
}

/* All messages into the same room: the last one is in it. */
TEST_F(queue, shared_room)
{
	struct mbuf_msg m[4];
	uint32_t num, i;

	make_queue(4, 16, 0);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
	for (i = 0; i < 4; i++)
		m[i] = msg_of(&num, sizeof(num));
	EXPECT_EQ(4, mbuf_recv_batch(self->rfd, m, 4, 0, MBUF_NOW));
	EXPECT_EQ(3, num);
}

/* Singles and batches through the same queue. */
TEST_F(queue, mixed_with_singles)
{
	struct bench *b = malloc(sizeof(*b));
	uint32_t in = 0, out = 0, i;

	ASSERT_NE(NULL, b);
	make_queue(50, ROOM, 0);
	for (i = 0; i < 300; i++) {
		uint32_t nr = 1 + i * 7 % 20;
		int ret;

		to_send(b, in, nr);
		if (i % 3 == 0) {
			ret = mbuf_send(self->sfd, b->data[0], len_of(in),
					MBUF_NOW) ? 0 : 1;
		} else {
			ret = mbuf_send_batch(self->sfd, b->m, nr, 0, MBUF_NOW);
			ret = ret < 0 ? 0 : ret;
		}
		in += (uint32_t)ret;
		to_recv(b, nr);
		if (i % 4 == 0) {
			ret = mbuf_recv_msg(self->rfd, &b->m[0], MBUF_NOW) ?
			      0 : 1;
		} else {
			ret = mbuf_recv_batch(self->rfd, b->m, nr, 0, MBUF_NOW);
			ret = ret < 0 ? 0 : ret;
		}
		ASSERT_TRUE(received(b, out, (uint32_t)ret));
		out += (uint32_t)ret;
	}
	EXPECT_EQ(in - out, get_info(self->rfd).depth);
	EXPECT_EQ(in, get_info(self->rfd).sent);
	free(b);
}

TEST_F(queue, end)
{
	struct bench *b = malloc(sizeof(*b));

	ASSERT_NE(NULL, b);
	make_queue(16, ROOM, 0);
	to_send(b, 0, 3);
	ASSERT_EQ(3, mbuf_send_batch(self->sfd, b->m, 3, 3, MBUF_NOW));
	close_fd(&self->sfd);
	to_recv(b, 8);
	EXPECT_EQ(3, mbuf_recv_batch(self->rfd, b->m, 8, 8, MBUF_FOREVER));
	EXPECT_TRUE(received(b, 0, 3));
	EXPECT_EQ(-EPIPE, mbuf_recv_batch(self->rfd, b->m, 8, 8, MBUF_FOREVER));
	EXPECT_EQ(-EPIPE, mbuf_recv_batch(self->rfd, b->m, 8, 0, MBUF_NOW));
	free(b);
}

/* As much as a queue can hold, gone at once when its receiver goes. */
TEST_F(queue, full_to_the_brim)
{
	uint32_t slots = self->q.slots_max, nr = self->q.batch_max, i;
	struct mbuf_msg *m = calloc(nr, sizeof(*m));
	char c = 'x';

	ASSERT_NE(NULL, m);
	make_queue(slots, 16, 0);
	for (i = 0; i < nr; i++)
		m[i] = msg_of(&c, 1);
	for (i = 0; i < slots / nr; i++)
		ASSERT_EQ(nr, mbuf_send_batch(self->sfd, m, nr, nr, MBUF_NOW));
	while (!mbuf_send(self->sfd, &c, 1, MBUF_NOW))
		;
	EXPECT_EQ(slots, get_info(self->rfd).depth);
	EXPECT_EQ(slots, get_info(self->rfd).high_water);
	close_fd(&self->rfd);
	EXPECT_EQ(-EPIPE, mbuf_send(self->sfd, &c, 1, MBUF_NOW));
	free(m);
}

/* A queue that overwrites takes all of any batch. */
TEST_F(queue, overwriting)
{
	struct bench *b = malloc(sizeof(*b));

	ASSERT_NE(NULL, b);
	make_queue(10, ROOM, MBUF_QUEUE_OVERWRITE);
	to_send(b, 0, 100);
	EXPECT_EQ(100, mbuf_send_batch(self->sfd, b->m, 100, 100,
				       MBUF_FOREVER));
	EXPECT_EQ(90, get_info(self->rfd).dropped);
	EXPECT_EQ(0, get_info(self->rfd).send_blocked);
	to_recv(b, 100);
	EXPECT_EQ(10, mbuf_recv_batch(self->rfd, b->m, 100, 0, MBUF_NOW));
	EXPECT_TRUE(received(b, 90, 10));
	free(b);
}

/* Received by priority, sent in any. */
TEST_F(queue, priorities)
{
	struct mbuf_msg m[64];
	uint32_t nums[64], i, max = self->q.prio_max;

	make_queue(64, 16, MBUF_QUEUE_PRIO);
	for (i = 0; i < 64; i++) {
		nums[i] = i;
		m[i] = msg_of(&nums[i], sizeof(uint32_t));
		m[i].prio = i * 37 % 5 * max / 4;
	}
	ASSERT_EQ(64, mbuf_send_batch(self->sfd, m, 64, 0, MBUF_NOW));
	for (i = 0; i < 64; i++)
		m[i] = msg_of(&nums[i], sizeof(uint32_t));
	ASSERT_EQ(64, mbuf_recv_batch(self->rfd, m, 64, 0, MBUF_NOW));
	for (i = 0; i < 64; i++) {
		EXPECT_EQ(nums[i] * 37 % 5 * max / 4, m[i].prio);
		if (!i)
			continue;
		EXPECT_GE(m[i - 1].prio, m[i].prio);
		if (m[i - 1].prio == m[i].prio)
			EXPECT_LT(nums[i - 1], nums[i]);
	}
}

TEST_HARNESS_MAIN
