// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is not there, or not yet, or never. Who brings it may suffer,
 * nobody else: nothing half is sent, nothing is lost, and nobody has to wait
 * for a page of somebody else's.
 */
#include "util.h"

/* All ways to send len bytes at p; 0 or -errno. */
enum way { BY_SEND, BY_WRITE, BY_WRITEV, BY_BATCH, NR_WAYS };

static const char *const way_names[NR_WAYS] = {
	"SEND or RECV", "write or read", "writev or readv", "batch",
};

static long send_by(enum way way, int fd, const void *p, size_t len,
		    uint64_t deadline)
{
	struct iovec iov[2];
	struct mbuf_msg m;
	long ret;

	switch (way) {
	case BY_SEND:
		return mbuf_send(fd, p, len, deadline);
	case BY_WRITE:
		ret = xwrite(fd, p, len);
		break;
	case BY_WRITEV:
		iov[0].iov_base = (void *)(uintptr_t)p;
		iov[0].iov_len = len / 2;
		iov[1].iov_base = (char *)(uintptr_t)p + len / 2;
		iov[1].iov_len = len - len / 2;
		ret = sys_result(writev(fd, iov, 2));
		break;
	default:
		m = msg_of(p, len);
		ret = mbuf_send_batch(fd, &m, 1, 1, deadline);
		break;
	}
	return ret < 0 ? ret : 0;
}

/* And to receive: the length or -errno. */
static long recv_by(enum way way, int fd, void *p, size_t len,
		    uint64_t deadline)
{
	struct iovec iov[2];
	struct mbuf_msg m;
	int ret;

	switch (way) {
	case BY_SEND:
		return mbuf_recv(fd, p, len, deadline);
	case BY_WRITE:
		return xread(fd, p, len);
	case BY_WRITEV:
		iov[0].iov_base = p;
		iov[0].iov_len = len / 2;
		iov[1].iov_base = (char *)p + len / 2;
		iov[1].iov_len = len - len / 2;
		return sys_result(readv(fd, iov, 2));
	default:
		m = msg_of(p, len);
		ret = mbuf_recv_batch(fd, &m, 1, 1, deadline);
		return ret < 0 ? ret : (long)m.len;
	}
}

#define FAULT_SIZES { 2, 3, 16, 100, 4095, 4096, 4097, 8192,		\
		      self->q.inline_max - 1, self->q.inline_max,	\
		      self->q.inline_max + 1, 3 * self->q.inline_max, 70000 }

/* The payload ends too early, by one byte or by nearly all. */
TEST_F(queue, sending_past_the_end)
{
	const uint32_t sizes[] = FAULT_SIZES;
	struct snapshot now;
	struct guarded g;
	unsigned int i;
	uint8_t *in;
	enum way w;

	in = malloc(70000);
	ASSERT_NE(NULL, in);
	make_queue(4, 70000, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, "first", 5, MBUF_NOW));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t len = sizes[i], there[] = { len - 1, len / 2, 1 }, j;

		for (j = 0; j < 3; j++) {
			ASSERT_TRUE(guarded_alloc(&g, there[j]));
			fill_pattern(g.p, there[j], i);
			for (w = 0; w < NR_WAYS; w++) {
				EXPECT_EQ(-EFAULT,
					  send_by(w, self->sfd, g.p, len,
						  MBUF_FOREVER)) {
					TH_LOG("%s of %u bytes, %u there",
					       way_names[w], len, there[j]);
				}
			}
			guarded_free(&g);
		}
	}
	EXPECT_EQ(1, get_info(self->sfd).sent);
	EXPECT_EQ(1, get_info(self->sfd).depth);
	ASSERT_EQ(0, take_snapshot(self->session, &now));
	EXPECT_EQ(self->before.inflight.used, now.inflight.used);
	EXPECT_EQ(5, mbuf_recv(self->rfd, in, 70000, MBUF_NOW));
	free(in);
}

/* A page of a file that has become shorter: there is a mapping, but no page. */
TEST_F(queue, sending_past_the_end_of_a_file)
{
	size_t page = page_size();
	uint8_t *map, in[16];
	int fd;
	enum way w;

	fd = memfd_create("selftest", MFD_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 2 * (off_t)page));
	map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	memset(map, 'x', 2 * page);
	ASSERT_EQ(0, ftruncate(fd, (off_t)page));
	make_queue(4, 70000, 0);
	for (w = 0; w < NR_WAYS; w++) {
		EXPECT_EQ(-EFAULT, send_by(w, self->sfd, map + page - 4, 8,
					   MBUF_FOREVER));
		EXPECT_EQ(-EFAULT, send_by(w, self->sfd, map, 2 * page,
					   MBUF_FOREVER));
		EXPECT_EQ(0, send_by(w, self->sfd, map + page - 8, 8,
				     MBUF_FOREVER));
		EXPECT_EQ(-EFAULT, recv_by(w, self->rfd, map + page - 4, 8,
					   MBUF_FOREVER));
		EXPECT_EQ(8, recv_by(w, self->rfd, in, 8, MBUF_FOREVER));
	}
	EXPECT_EQ(NR_WAYS, get_info(self->sfd).sent);
	munmap(map, 2 * page);
	close(fd);
}

/* A full queue does not make a sender wait with a payload that is no good. */
TEST_F(queue, sending_to_a_full_queue)
{
	struct guarded g;
	enum way w;

	make_queue(1, 70000, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	ASSERT_TRUE(guarded_alloc(&g, 10));
	for (w = 0; w < NR_WAYS; w++) {
		EXPECT_EQ(-EFAULT, send_by(w, self->sfd, g.p, 20,
					   MBUF_FOREVER));
		EXPECT_EQ(-EFAULT, send_by(w, self->sfd, g.p, 60000,
					   MBUF_FOREVER));
	}
	EXPECT_EQ(0, get_info(self->sfd).send_waiters);
	EXPECT_EQ(0, get_info(self->sfd).send_blocked);
	EXPECT_EQ(1, get_info(self->sfd).sent);
	guarded_free(&g);
}

/* Nor does one that is not there yet get into the way of a real message. */
TEST_F(queue, pages_not_touched_yet)
{
	const uint32_t sizes[] = FAULT_SIZES;
	unsigned int i, w;
	uint8_t *p, *in;

	make_queue(4, 70000, 0);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (w = 0; w < NR_WAYS; w++) {
			/* Fresh pages, read as zeroes, and fresh room. */
			p = map_pages(80000, PROT_READ);
			in = map_pages(80000, PROT_READ | PROT_WRITE);
			ASSERT_NE(NULL, p);
			ASSERT_NE(NULL, in);
			ASSERT_EQ(0, send_by(w, self->sfd, p + 1000, sizes[i],
					     MBUF_NOW));
			ASSERT_EQ((long)sizes[i],
				  recv_by(w, self->rfd, in + 3000, sizes[i],
					  MBUF_NOW));
			munmap(p, 80000);
			munmap(in, 80000);
		}
	}
}

/* The room ends too early: the message stays, and stays first. */
TEST_F(queue, receiving_past_the_end)
{
	const uint32_t sizes[] = FAULT_SIZES;
	struct guarded g;
	unsigned int i;
	uint8_t *buf;
	enum way w;

	buf = malloc(70000);
	ASSERT_NE(NULL, buf);
	make_queue(4, 70000, 0);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t len = sizes[i], there[] = { len - 1, len / 2, 1 }, j;
		struct mbuf_msg m, was;

		fill_pattern(buf, len, i);
		ASSERT_EQ(0, mbuf_send(self->sfd, buf, len, MBUF_NOW));
		ASSERT_EQ(0, mbuf_send(self->sfd, "second", 6, MBUF_NOW));
		for (j = 0; j < 3; j++) {
			ASSERT_TRUE(guarded_alloc(&g, there[j]));
			for (w = 0; w < NR_WAYS; w++) {
				EXPECT_EQ(-EFAULT,
					  recv_by(w, self->rfd, g.p, len,
						  MBUF_FOREVER)) {
					TH_LOG("%s of %u bytes, room for %u",
					       way_names[w], len, there[j]);
				}
			}
			/* Nothing is said of a message that was not taken. */
			poison(&m, sizeof(m));
			m.buf = (uintptr_t)g.p;
			m.len = len;
			was = m;
			EXPECT_EQ(-EFAULT,
				  mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
			EXPECT_EQ(0, memcmp(&m, &was, sizeof(m))) {
				TH_LOG("RECV of %u bytes, room for %u", len,
				       there[j]);
			}
			guarded_free(&g);
		}
		EXPECT_EQ(2, get_info(self->rfd).depth);
		EXPECT_EQ(len, get_info(self->rfd).next_len);
		EXPECT_EQ(2 * i, get_info(self->rfd).received);
		memset(buf, 0, len);
		m = msg_of(buf, 70000);
		ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
		EXPECT_EQ(len, m.len);
		EXPECT_EQ(2 * i + 1, m.seq);
		EXPECT_TRUE(is_pattern(buf, len, i));
		ASSERT_EQ(6, mbuf_recv(self->rfd, buf, 70000, MBUF_NOW));
	}
	free(buf);
}

/* Room that may be read but not written. */
TEST_F(queue, receiving_into_read_only_room)
{
	uint8_t *ro, in[16];
	enum way w;

	ro = map_pages(2 * page_size(), PROT_READ);
	ASSERT_NE(NULL, ro);
	make_queue(4, 70000, 0);
	for (w = 0; w < NR_WAYS; w++) {
		ASSERT_EQ(0, mbuf_send(self->sfd, "hello", 5, MBUF_NOW));
		EXPECT_EQ(-EFAULT, recv_by(w, self->rfd, ro, 16, MBUF_NOW));
		EXPECT_EQ(1, get_info(self->rfd).depth);
		EXPECT_EQ(5, recv_by(w, self->rfd, in, 16, MBUF_NOW));
	}
	munmap(ro, 2 * page_size());
}

/* The same with priorities: back to the head of its own priority. */
TEST_F(queue, back_to_its_priority)
{
	uint32_t large = self->q.inline_max + 1, i;
	struct mbuf_msg m;
	uint8_t *buf;

	buf = calloc(1, large);
	ASSERT_NE(NULL, buf);
	make_queue(8, large, MBUF_QUEUE_PRIO);
	for (i = 0; i < 6; i++) {
		m = msg_of(buf, i % 2 ? large : 4);
		m.prio = i / 2;
		ASSERT_EQ(0, mbuf_send_msg(self->sfd, &m, MBUF_NOW));
	}
	for (i = 6; i-- > 0; ) {
		EXPECT_EQ(-EFAULT, mbuf_recv(self->rfd, (void *)8, large,
					     MBUF_NOW));
		m = msg_of(buf, large);
		ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW));
		EXPECT_EQ(i / 2, m.prio);
		/* 4 before 5, 2 before 3, 0 before 1. */
		EXPECT_EQ((i ^ 1) + 1, m.seq);
	}
	free(buf);
}

/*
 * While a message was out of the queue, the first sender in line took its place,
 * and it comes back. The queue has one too many then, and the next sender in
 * line is let in only when there is room again.
 */
TEST_F(queue, back_before_the_next_sender)
{
	uint32_t large = self->q.inline_max + 1, i;
	struct party send[2] = { };
	uint8_t *buf;

	buf = calloc(1, large);
	ASSERT_NE(NULL, buf);
	make_queue(1, large, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, buf, large, MBUF_NOW));
	for (i = 0; i < 2; i++) {
		send[i].op = OP_SEND;
		send[i].fd = self->sfd;
		send[i].buf = buf;
		send[i].len = i + 1;
		send[i].deadline = MBUF_FOREVER;
		ASSERT_TRUE(party_start(&send[i]));
		ASSERT_SLEEPERS(self->rfd, 0, i + 1);
	}
	EXPECT_EQ(-EFAULT, mbuf_recv(self->rfd, (void *)8, large, MBUF_NOW));
	EXPECT_EQ(0, party_join(&send[0]));
	EXPECT_EQ(2, get_info(self->rfd).depth);
	EXPECT_EQ(1, get_info(self->rfd).send_waiters);

	EXPECT_EQ((long)large, mbuf_recv(self->rfd, buf, large, MBUF_NOW));
	EXPECT_EQ(1, get_info(self->rfd).depth);
	EXPECT_EQ(1, get_info(self->rfd).send_waiters);
	EXPECT_EQ(1, mbuf_recv(self->rfd, buf, large, MBUF_NOW));
	EXPECT_EQ(0, party_join(&send[1]));
	EXPECT_EQ(1, get_info(self->rfd).depth);
	EXPECT_EQ(2, mbuf_recv(self->rfd, buf, large, MBUF_NOW));
	EXPECT_EQ(0, get_info(self->rfd).depth);
	free(buf);
}

/*
 * A message is handed to a receiver that sleeps, and it turns out to have no
 * memory for it. It is not lost: the next in line gets it.
 */
TEST_F(queue, handed_to_a_bad_receiver)
{
	uint32_t large = self->q.inline_max + 100;
	uint32_t lens[] = { 8, self->q.inline_max, large };
	struct party bad[3] = {}, good = {};
	uint8_t *in, *out, *hole;
	unsigned int i, j;

	in = malloc(large);
	out = malloc(large);
	hole = map_pages(2 * large, PROT_NONE);
	ASSERT_NE(NULL, in);
	ASSERT_NE(NULL, out);
	ASSERT_NE(NULL, hole);
	make_queue(2, large, 0);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		for (j = 0; j < 3; j++) {
			bad[j].op = j == 0 ? OP_RECV : j == 1 ? OP_READ :
							       OP_READV;
			bad[j].fd = self->rfd;
			bad[j].buf = hole;
			bad[j].len = large;
			bad[j].deadline = MBUF_FOREVER;
			ASSERT_TRUE(party_start(&bad[j]));
			ASSERT_SLEEPERS(self->rfd, j + 1, 0);
		}
		good.op = OP_RECV;
		good.fd = self->rfd;
		good.buf = in;
		good.len = large;
		good.deadline = MBUF_FOREVER;
		ASSERT_TRUE(party_start(&good));
		ASSERT_SLEEPERS(self->rfd, 4, 0);

		fill_pattern(out, lens[i], i);
		ASSERT_EQ(0, mbuf_send(self->sfd, out, lens[i], MBUF_NOW));
		for (j = 0; j < 3; j++)
			EXPECT_EQ(-EFAULT, party_join(&bad[j]));
		EXPECT_EQ((long)lens[i], party_join(&good));
		EXPECT_EQ(i + 1, good.msg.seq);
		EXPECT_TRUE(is_pattern(in, lens[i], i));
		EXPECT_EQ(i + 1, get_info(self->rfd).received);
		EXPECT_EQ(0, get_info(self->rfd).depth);
	}
	/* Nobody else waits: it is the first, ahead of what came later. */
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		ASSERT_TRUE(party_start(&bad[0]));
		ASSERT_SLEEPERS(self->rfd, 1, 0);
		fill_pattern(out, lens[i], i);
		ASSERT_EQ(0, mbuf_send(self->sfd, out, lens[i], MBUF_NOW));
		ASSERT_EQ(0, mbuf_send(self->sfd, "second", 6, MBUF_NOW));
		EXPECT_EQ(-EFAULT, party_join(&bad[0]));
		EXPECT_EQ(POLLIN, poll_now(self->rfd, POLLIN));
		EXPECT_EQ(2, get_info(self->rfd).depth);
		EXPECT_EQ((long)lens[i], mbuf_recv(self->rfd, in, large,
						   MBUF_NOW));
		EXPECT_TRUE(is_pattern(in, lens[i], i));
		EXPECT_EQ(6, mbuf_recv(self->rfd, in, large, MBUF_NOW));
	}
	munmap(hole, 2 * large);
	free(in);
	free(out);
}

/*
 * Pages that do not come
 */
#define STUCK_OR_SKIP(s, len) do {					\
	int __ret = stuck_alloc(s, len);				\
									\
	if (__ret == -ENOSYS)						\
		SKIP(return, "no userfaultfd (CONFIG_USERFAULTFD)");	\
	if (__ret == -EPERM)						\
		SKIP(return, "userfaultfd for kernel faults needs CAP_SYS_PTRACE"); \
	ASSERT_EQ(0, __ret);						\
} while (0)

/* A thread that sends from, or receives into, stuck pages. */
struct stuck_party {
	struct party p;
	struct stuck s;
};

static bool stuck_start(struct stuck_party *t, enum op op, int fd, size_t len)
{
	struct stuck s = t->s;

	memset(t, 0, sizeof(*t));
	t->s = s;
	t->p.op = op;
	t->p.fd = fd;
	t->p.buf = s.p;
	t->p.len = len;
	t->p.nr = 1;
	t->p.min = 1;
	t->p.deadline = MBUF_FOREVER;
	return party_start(&t->p);
}

/* While somebody is stuck: can others send, receive, look, wait, be woken? */
static int others_go_on(int rfd, int sfd, uint32_t base)
{
	struct party r = { .op = OP_RECV, .deadline = MBUF_FOREVER };
	uint32_t num = 0, i;
	int64_t got;

	for (i = 0; i < 4; i++) {
		if (send_num(sfd, base + i, in_ms(20000)))
			return -1;
		if (poll_now(rfd, POLLIN) != POLLIN)
			return -2;
		got = recv_num(rfd, in_ms(20000));
		if (got != base + i)
			return -3;
		if (get_info(rfd).depth)
			return -4;
	}
	r.fd = rfd;
	r.buf = &num;
	r.len = sizeof(num);
	if (!party_start(&r) || wait_sleepers(rfd, 1, 0))
		return -5;
	if (send_num(sfd, base + 9, in_ms(20000)))
		return -6;
	if (party_join(&r) != 4 || num != base + 9)
		return -7;
	return 0;
}

TEST_F(queue, stuck_sender)
{
	const enum op ops[] = { OP_SEND, OP_WRITE, OP_WRITEV, OP_SEND_BATCH };
	uint32_t lens[] = { 8, self->q.inline_max, 3 * self->q.inline_max };
	struct stuck_party t;
	uint32_t in[4096];
	unsigned int i, j;
	uint64_t page;

	make_queue(2, 3 * self->q.inline_max, 0);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		for (j = 0; j < ARRAY_SIZE(lens); j++) {
			uint32_t n = 0;

			STUCK_OR_SKIP(&t.s, lens[j]);
			ASSERT_TRUE(stuck_start(&t, ops[i], self->sfd,
						lens[j]));
			page = stuck_wait(&t.s);
			ASSERT_NE(0, page);
			EXPECT_EQ(0, others_go_on(self->rfd, self->sfd, 100)) {
				TH_LOG("op %d of %u bytes", ops[i], lens[j]);
			}
			EXPECT_FALSE(t.p.done);
			/* Its pages come at last, and so does its message. */
			while (page) {
				ASSERT_EQ(0, stuck_resolve(&t.s, page, "page",
							   4));
				n++;
				page = t.p.len > n * page_size() ?
				       stuck_wait(&t.s) : 0;
			}
			EXPECT_LE(0, party_join(&t.p));
			ASSERT_EQ((long)lens[j],
				  mbuf_recv(self->rfd, in, sizeof(in),
					    MBUF_NOW));
			EXPECT_EQ(0, memcmp(in, "page", 4));
			party_free(&t.p);
			stuck_free(&t.s);
		}
	}
}

/* The pages never come, but go: an error like any other. */
TEST_F(queue, stuck_sender_fails)
{
	uint32_t lens[] = { 8, 3 * self->q.inline_max };
	struct stuck_party t;
	unsigned int i;

	make_queue(2, 3 * self->q.inline_max, 0);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		STUCK_OR_SKIP(&t.s, lens[i]);
		ASSERT_TRUE(stuck_start(&t, OP_SEND, self->sfd, lens[i]));
		ASSERT_NE(0, stuck_wait(&t.s));
		ASSERT_EQ(0, stuck_break(&t.s));
		EXPECT_EQ(-EFAULT, party_join(&t.p));
		EXPECT_EQ(0, get_info(self->rfd).depth);
		EXPECT_EQ(0, get_info(self->rfd).sent);
		stuck_free(&t.s);
	}
}

/* The queue ends while somebody is stuck on its way into it. */
TEST_F(queue, stuck_sender_and_no_receiver)
{
	struct stuck_party t;
	uint64_t page;

	make_queue(2, 64, 0);
	STUCK_OR_SKIP(&t.s, 8);
	ASSERT_TRUE(stuck_start(&t, OP_SEND, self->sfd, 8));
	page = stuck_wait(&t.s);
	ASSERT_NE(0, page);
	close_fd(&self->rfd);
	EXPECT_EQ(-EPIPE, send_num(self->sfd, 1, MBUF_NOW));
	ASSERT_EQ(0, stuck_resolve(&t.s, page, "page", 4));
	EXPECT_EQ(-EPIPE, party_join(&t.p));
	stuck_free(&t.s);
}

TEST_F(queue, stuck_receiver)
{
	const enum op ops[] = { OP_RECV, OP_READ, OP_READV, OP_RECV_BATCH };
	uint32_t lens[] = { 8, self->q.inline_max, 3 * self->q.inline_max };
	unsigned int i, j, waits;
	struct stuck_party t;
	uint64_t page;
	uint8_t *out;

	out = malloc(lens[2]);
	ASSERT_NE(NULL, out);
	make_queue(2, lens[2], 0);
	for (i = 0; i < ARRAY_SIZE(ops) * 2; i++) {
		/* With the message there, or handed over later. */
		waits = i / ARRAY_SIZE(ops);
		for (j = 0; j < ARRAY_SIZE(lens); j++) {
			enum op op = ops[i % ARRAY_SIZE(ops)];
			uint32_t n = 0, len;
			long want;

			STUCK_OR_SKIP(&t.s, lens[j]);
			fill_pattern(out, lens[j], j);
			/* Not all of the room, if the room is in one page. */
			len = lens[j] <= page_size() ? lens[j] / 2 : lens[j];
			if (!waits)
				ASSERT_EQ(0, mbuf_send(self->sfd, out, len,
						       MBUF_NOW));
			ASSERT_TRUE(stuck_start(&t, op, self->rfd, lens[j]));
			if (waits) {
				ASSERT_SLEEPERS(self->rfd, 1, 0);
				ASSERT_EQ(0, mbuf_send(self->sfd, out, len,
						       MBUF_NOW));
			}
			page = stuck_wait(&t.s);
			ASSERT_NE(0, page);
			/*
			 * A message that is still in the queue is anybody's:
			 * take it, as a peer could. Then there is a longer one,
			 * for which there is room, too.
			 */
			if (get_info(self->rfd).depth) {
				uint8_t *in = malloc(lens[2]);

				ASSERT_NE(NULL, in);
				ASSERT_EQ((long)len,
					  mbuf_recv(self->rfd, in, lens[2],
						    MBUF_NOW));
				EXPECT_TRUE(is_pattern(in, len, j));
				free(in);
				EXPECT_EQ(0, others_go_on(self->rfd, self->sfd,
							  200));
				len = lens[j];
				ASSERT_EQ(0, mbuf_send(self->sfd, out, len,
						       MBUF_NOW));
			} else {
				EXPECT_EQ(0, others_go_on(self->rfd, self->sfd,
							  200)) {
					TH_LOG("op %d of %u bytes", op, len);
				}
			}
			EXPECT_FALSE(t.p.done);
			while (page) {
				ASSERT_EQ(0, stuck_resolve(&t.s, page, "", 0));
				n++;
				page = t.p.len > n * page_size() ?
				       stuck_wait(&t.s) : 0;
			}
			want = op == OP_RECV_BATCH ? 1 : (long)len;
			EXPECT_EQ(want, party_join(&t.p)) {
				TH_LOG("op %d of %u bytes", op, len);
			}
			EXPECT_TRUE(is_pattern(t.s.p, len, j));
			EXPECT_EQ(0, get_info(self->rfd).depth);
			party_free(&t.p);
			stuck_free(&t.s);
		}
	}
	free(out);
}

/*
 * A receiver that is stuck with its message fails in the end. Meanwhile others
 * have filled the queue. It is put back all the same, ahead of all.
 */
TEST_F(queue, stuck_receiver_fails)
{
	uint32_t lens[] = { 8, self->q.inline_max, 3 * self->q.inline_max };
	unsigned int j, waits, i, slots = 2;
	struct stuck_party t;
	uint8_t *buf;

	buf = malloc(lens[2]);
	ASSERT_NE(NULL, buf);
	make_queue(slots, lens[2], 0);
	for (waits = 0; waits < 2; waits++) {
		for (j = 0; j < ARRAY_SIZE(lens); j++) {
			uint64_t received = get_info(self->rfd).received;
			uint32_t put = 0;

			STUCK_OR_SKIP(&t.s, lens[j]);
			fill_pattern(buf, lens[j], j);
			if (!waits)
				ASSERT_EQ(0, mbuf_send(self->sfd, buf, lens[j],
						       MBUF_NOW));
			ASSERT_TRUE(stuck_start(&t, OP_RECV, self->rfd,
						lens[j]));
			if (waits) {
				ASSERT_SLEEPERS(self->rfd, 1, 0);
				ASSERT_EQ(0, mbuf_send(self->sfd, buf, lens[j],
						       MBUF_NOW));
			}
			ASSERT_NE(0, stuck_wait(&t.s));
			while (!send_num(self->sfd, put, MBUF_NOW))
				put++;
			EXPECT_LE(slots - 1, put);
			EXPECT_GE(slots, put);
			EXPECT_EQ(0, poll_now(self->sfd, POLLOUT));
			ASSERT_EQ(0, stuck_break(&t.s));
			EXPECT_EQ(-EFAULT, party_join(&t.p));
			EXPECT_EQ(put + 1, get_info(self->rfd).depth);
			EXPECT_EQ(-EAGAIN, send_num(self->sfd, 0, MBUF_NOW));
			EXPECT_EQ(received, get_info(self->rfd).received);

			memset(buf, 0, lens[2]);
			EXPECT_EQ((long)lens[j],
				  mbuf_recv(self->rfd, buf, lens[2],
					    MBUF_NOW));
			EXPECT_TRUE(is_pattern(buf, lens[j], j));
			for (i = 0; i < put; i++)
				EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
			EXPECT_EQ(POLLOUT, poll_now(self->sfd, POLLOUT));
			stuck_free(&t.s);
		}
	}
	free(buf);
}

/* And more than one of them at the same time. */
TEST_F(queue, stuck_receivers_fail)
{
	struct stuck_party t[4];
	uint32_t i, nr = 0, put = 0;
	bool seen[8] = {};
	int64_t num;

	make_queue(2, 64, 0);
	for (i = 0; i < 4; i++) {
		STUCK_OR_SKIP(&t[i].s, 8);
		ASSERT_TRUE(stuck_start(&t[i], OP_RECV, self->rfd, 8));
		ASSERT_SLEEPERS(self->rfd, i + 1, 0);
	}
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		ASSERT_NE(0, stuck_wait(&t[i].s));
	}
	while (!send_num(self->sfd, 4 + put, MBUF_NOW))
		put++;
	EXPECT_EQ(2, put);
	/* In the order in which they got them, the last first. */
	for (i = 4; i-- > 0; ) {
		ASSERT_EQ(0, stuck_break(&t[i].s));
		EXPECT_EQ(-EFAULT, party_join(&t[i].p));
		stuck_free(&t[i].s);
	}
	EXPECT_EQ(6, get_info(self->rfd).depth);
	EXPECT_EQ(-EAGAIN, send_num(self->sfd, 99, MBUF_NOW));
	while ((num = recv_num(self->rfd, MBUF_NOW)) >= 0) {
		ASSERT_EQ(nr, num);
		seen[num] = true;
		nr++;
	}
	EXPECT_EQ(6, nr);
	for (i = 0; i < 6; i++)
		EXPECT_TRUE(seen[i]);
	/* It is a queue of two again. */
	EXPECT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	EXPECT_EQ(0, send_num(self->sfd, 2, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, send_num(self->sfd, 3, MBUF_NOW));
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(2, recv_num(self->rfd, MBUF_NOW));
}

/*
 * An overwriting queue: what comes back is where it would be if it had never
 * been taken. If newer messages have filled the queue meanwhile, that is
 * nowhere.
 */
TEST_F(queue, stuck_receiver_of_an_overwriting_queue)
{
	struct stuck_party t;
	uint32_t i, more;

	for (more = 0; more < 5; more++) {
		make_queue(3, 64, MBUF_QUEUE_OVERWRITE);
		STUCK_OR_SKIP(&t.s, 8);
		ASSERT_TRUE(stuck_start(&t, OP_RECV, self->rfd, 8));
		ASSERT_SLEEPERS(self->rfd, 1, 0);
		for (i = 0; i <= more; i++)
			ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		ASSERT_NE(0, stuck_wait(&t.s));
		ASSERT_EQ(0, stuck_break(&t.s));
		EXPECT_EQ(-EFAULT, party_join(&t.p));
		stuck_free(&t.s);
		EXPECT_EQ(more < 3 ? more + 1 : 3, get_info(self->rfd).depth);
		EXPECT_EQ(more < 3 ? 0 : more - 2,
			  get_info(self->rfd).dropped);
		for (i = more < 3 ? 0 : more - 2; i <= more; i++)
			EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
		/* And it works as before. */
		for (i = 10; i < 20; i++)
			ASSERT_EQ(0, send_num(self->sfd, i, MBUF_NOW));
		for (i = 17; i < 20; i++)
			EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
		close_fd(&self->rfd);
		close_fd(&self->sfd);
	}
}

/* Stuck in the argument itself, or in the elements of a batch. */
struct stuck_ioctl {
	int fd;
	unsigned long cmd;
	void *arg;
	long ret;
};

static void *stuck_ioctl_main(void *arg)
{
	struct stuck_ioctl *s = arg;

	s->ret = xioctl(s->fd, s->cmd, s->arg);
	return NULL;
}

TEST_F(queue, stuck_arguments)
{
	const unsigned long cmds[] = {
		MBUF_IOC_SEND, MBUF_IOC_RECV, MBUF_IOC_SEND_BATCH,
		MBUF_IOC_RECV_BATCH, MBUF_IOC_QUEUE_INFO,
	};
	struct mbuf_batch b = {};
	struct stuck_ioctl t;
	pthread_t thread;
	struct stuck s;
	unsigned int i;
	uint64_t page;

	make_queue(2, 64, 0);
	for (i = 0; i < ARRAY_SIZE(cmds) + 2; i++) {
		bool elements = i >= ARRAY_SIZE(cmds);

		STUCK_OR_SKIP(&s, page_size());
		t.cmd = elements ? cmds[i - ARRAY_SIZE(cmds) + 2] : cmds[i];
		t.fd = t.cmd == MBUF_IOC_SEND || t.cmd == MBUF_IOC_SEND_BATCH ?
		       self->sfd : self->rfd;
		t.arg = s.p;
		if (elements) {
			b.msgs = (uintptr_t)s.p;
			b.nr = 1;
			b.stride = sizeof(struct mbuf_msg);
			b.wait.mode = MBUF_WAIT_NOW;
			t.arg = &b;
		}
		ASSERT_EQ(0, pthread_create(&thread, NULL, stuck_ioctl_main,
					    &t));
		page = stuck_wait(&s);
		ASSERT_NE(0, page);
		EXPECT_EQ(0, others_go_on(self->rfd, self->sfd, 300)) {
			TH_LOG("call %u", i);
		}
		ASSERT_EQ(0, stuck_break(&s));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(-EFAULT, t.ret) {
			TH_LOG("call %u", i);
		}
		EXPECT_EQ(0, get_info(self->rfd).depth);
		stuck_free(&s);
	}
}

/*
 * Stuck for ever, and then killed. The child creates its own pages; a second
 * thread of it tells when the first one is stuck.
 */
struct stuck_child {
	int fd;
	enum op op;
	size_t len;
	_Atomic int *state;	/* shared: 1 it is stuck, -errno it cannot be */
	struct stuck s;
};

static void *stuck_watch(void *arg)
{
	struct stuck_child *c = arg;

	atomic_store(c->state, stuck_wait(&c->s) ? 1 : -ETIMEDOUT);
	for (;;)
		pause();
	return NULL;
}

static int stuck_child_main(void *arg)
{
	struct stuck_child *c = arg;
	struct party p = { .op = c->op, .fd = c->fd, .len = c->len,
			   .deadline = MBUF_FOREVER };
	pthread_t thread;
	int ret;

	ret = stuck_alloc(&c->s, c->len);
	if (ret) {
		atomic_store(c->state, ret);
		return 77;
	}
	CHECK(!pthread_create(&thread, NULL, stuck_watch, c));
	p.buf = c->s.p;
	party_call(&p);
	return 1;
}

TEST_F(queue, stuck_and_killed)
{
	uint32_t lens[] = { 8, self->q.inline_max, 3 * self->q.inline_max };
	struct stuck_child c;
	unsigned int i, j;
	uint8_t *buf;
	pid_t pid;

	buf = malloc(lens[2]);
	c.state = map_shared(sizeof(*c.state));
	ASSERT_NE(NULL, buf);
	ASSERT_NE(NULL, c.state);
	make_queue(2, lens[2], 0);
	for (i = 0; i < 4; i++) {
		for (j = 0; j < ARRAY_SIZE(lens); j++) {
			const enum op ops[] = { OP_SEND, OP_WRITE, OP_RECV,
						OP_READ };
			bool sends = i < 2;

			c.op = ops[i];
			c.fd = sends ? self->sfd : self->rfd;
			c.len = lens[j];
			*c.state = 0;
			fill_pattern(buf, lens[j], j);
			pid = spawn(stuck_child_main, &c);
			ASSERT_LT(0, pid);
			if (!sends) {
				ASSERT_TRUE(EVENTUALLY(*c.state < 0 ||
						       get_info(self->rfd)
						       .recv_waiters == 1));
				if (*c.state >= 0)
					ASSERT_EQ(0, mbuf_send(self->sfd, buf,
							       lens[j],
							       MBUF_NOW));
			}
			ASSERT_TRUE(EVENTUALLY(*c.state));
			if (*c.state == -EPERM || *c.state == -ENOSYS) {
				reap(pid);
				SKIP(return, "no userfaultfd for kernel faults");
			}
			ASSERT_EQ(1, *c.state);
			EXPECT_EQ(0, others_go_on(self->rfd, self->sfd, 400));
			/* If it could not be killed this would not return. */
			EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
			if (sends) {
				EXPECT_EQ(0, get_info(self->rfd).depth);
				continue;
			}
			/* What it was about to get is there for others. */
			EXPECT_EQ((long)lens[j], mbuf_recv(self->rfd, buf,
							   lens[2], MBUF_NOW));
			EXPECT_TRUE(is_pattern(buf, lens[j], j));
			EXPECT_EQ(0, get_info(self->rfd).depth);
		}
	}
	munmap((void *)c.state, page_size());
	free(buf);
}

/*
 * Somebody else sleeps in line behind a receiver that is stuck and killed: it
 * gets the message, although it was asleep before.
 */
TEST_F(queue, killed_receiver_passes_it_on)
{
	struct party good = { .op = OP_RECV, .deadline = MBUF_FOREVER };
	struct stuck_child c = { .op = OP_RECV, .len = 8 };
	uint32_t num = 0;
	pid_t pid;

	c.state = map_shared(sizeof(*c.state));
	ASSERT_NE(NULL, c.state);
	make_queue(2, 64, 0);
	c.fd = self->rfd;
	pid = spawn(stuck_child_main, &c);
	ASSERT_LT(0, pid);
	ASSERT_TRUE(EVENTUALLY(*c.state < 0 ||
			       get_info(self->rfd).recv_waiters == 1));
	if (*c.state < 0) {
		reap(pid);
		SKIP(return, "no userfaultfd for kernel faults");
	}
	ASSERT_EQ(0, send_num(self->sfd, 5, MBUF_NOW));
	ASSERT_TRUE(EVENTUALLY(*c.state == 1));
	good.fd = self->rfd;
	good.buf = &num;
	good.len = sizeof(num);
	ASSERT_TRUE(party_start(&good));
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	EXPECT_EQ(4, party_join(&good));
	EXPECT_EQ(5, num);
	EXPECT_EQ(1, get_info(self->rfd).received);
	munmap((void *)c.state, page_size());
}

TEST_HARNESS_MAIN
