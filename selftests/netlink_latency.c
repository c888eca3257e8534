// SPDX-License-Identifier: GPL-2.0
/* Netlink: how long messages take in a queue, for who asks for that. */
#include "cap.h"
#include "channel.h"
#include "netlink.h"

#define LARGE	(1 << 16)

FIXTURE(latency) {
	FIXTURE_DATA(queue) base;
	struct nl nl;
	uint64_t id;
};

FIXTURE_SETUP(latency)
{
	queue_setup(_metadata, &self->base, NULL);
	ASSERT_EQ(0, nl_open(&self->nl));
}

FIXTURE_TEARDOWN(latency)
{
	nl_close(&self->nl);
	queue_teardown(_metadata, &self->base, NULL);
}

static int measure(struct nl *nl, uint64_t id, bool on)
{
	nl_begin(nl, MBUF_CMD_QUEUE_LATENCY, NLM_F_ACK);
	nl_put_u64(nl, MBUF_A_OBJECT_ID, id);
	if (on)
		nl_put(nl, MBUF_A_OBJECT_MEASURE, NULL, 0);
	return nl_ask(nl, NULL, NULL);
}

struct measured {
	uint64_t bucket[MBUF_LATENCY_BUCKETS];
	uint64_t nr, total, longest;
};

/* 0, -ENODATA if it is not measured, or what netlink says. */
static int measured(struct nl *nl, uint64_t id, struct measured *m)
{
	struct nl_object o;
	struct nl_attrs l;
	int ret, i;

	memset(m, 0, sizeof(*m));
	ret = nl_get(nl, id, &o);
	if (ret)
		return ret;
	if (!o.more.a[MBUF_A_QUEUE_LATENCY])
		return -ENODATA;
	l = nl_nest(&o.more, MBUF_A_QUEUE_LATENCY);
	if (!l.a[MBUF_A_LATENCY_BUCKETS] ||
	    nl_len(l.a[MBUF_A_LATENCY_BUCKETS]) != sizeof(m->bucket))
		return -EPROTO;
	memcpy(m->bucket, nl_data(l.a[MBUF_A_LATENCY_BUCKETS]),
	       sizeof(m->bucket));
	for (i = 0; i < MBUF_LATENCY_BUCKETS; i++)
		m->nr += m->bucket[i];
	m->total = nl_num(&l, MBUF_A_LATENCY_TOTAL);
	m->longest = nl_num(&l, MBUF_A_LATENCY_LONGEST);
	return 0;
}

#define EXPECT_MEASURED(want, m) do {					\
	ASSERT_EQ(0, measured(&self->nl, self->id, m));			\
	EXPECT_EQ(want, (m)->nr);					\
} while (0)

#define make(slots, max_msg, flags) do {				\
	NL_QUEUE(slots, max_msg, flags);				\
	self->id = get_info(self->base.rfd).id;				\
	ASSERT_EQ(0, measure(&self->nl, self->id, true));		\
} while (0)

/* For as long as somebody else would have been busy. */
static void spend(uint64_t ns)
{
	uint64_t end = now_ns() + ns;

	while (now_ns() < end)
		;
}

TEST_F(latency, nobody_measures_unasked)
{
	struct measured m;
	uint64_t flags;

	NL_QUEUE(4, 16, 0);
	self->id = get_info(self->base.rfd).id;
	ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_EQ(-ENODATA, measured(&self->nl, self->id, &m));
	/* One that is there already is not measured. */
	ASSERT_EQ(0, send_num(self->base.sfd, 2, MBUF_NOW));
	ASSERT_EQ(0, measure(&self->nl, self->id, true));
	ASSERT_EQ(2, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(0, &m);
	ASSERT_EQ(0, send_num(self->base.sfd, 3, MBUF_NOW));
	ASSERT_EQ(3, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(1, &m);
	/* Nor is one that is received when nobody wants to know any more. */
	flags = get_info(self->base.rfd).flags;
	EXPECT_EQ(0, flags);
	ASSERT_EQ(0, send_num(self->base.sfd, 4, MBUF_NOW));
	ASSERT_EQ(0, measure(&self->nl, self->id, false));
	ASSERT_EQ(4, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_EQ(-ENODATA, measured(&self->nl, self->id, &m));
	/* And its slot carries others, which are not measured either. */
	ASSERT_EQ(0, send_num(self->base.sfd, 5, MBUF_NOW));
	ASSERT_EQ(0, measure(&self->nl, self->id, true));
	ASSERT_EQ(5, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(0, &m);
	/* Nor what was sent for who wanted to know before. */
	ASSERT_EQ(0, send_num(self->base.sfd, 7, MBUF_NOW));
	ASSERT_EQ(0, measure(&self->nl, self->id, false));
	ASSERT_EQ(0, measure(&self->nl, self->id, true));
	ASSERT_EQ(7, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(0, &m);
	/* To begin is to begin anew. */
	ASSERT_EQ(0, send_num(self->base.sfd, 6, MBUF_NOW));
	ASSERT_EQ(6, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(1, &m);
	ASSERT_EQ(0, measure(&self->nl, self->id, true));
	EXPECT_MEASURED(0, &m);
	EXPECT_EQ(0, m.total);
	EXPECT_EQ(0, m.longest);
}

/* Each way in and out. */
TEST_F(latency, all_ways_are_measured)
{
	const int s = self->base.session;
	struct mbuf_message_create c = {
		.max_msg = 4, .sent.fd = -1, .arrived.fd = -1,
	};
	char *large = map_pages(LARGE, PROT_READ | PROT_WRITE);
	struct mbuf_msg msgs[3];
	struct measured m;
	uint32_t num[3] = { 1, 2, 3 };
	struct mbuf_cap cap;
	int i;

	ASSERT_NE(NULL, large);
	make(3, LARGE, 0);
	/* By ioctl, by write() and read(), and one by the other. */
	ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(1, &m);
	ASSERT_EQ(4, write(self->base.sfd, num, 4));
	ASSERT_EQ(4, read(self->base.rfd, num, 4));
	EXPECT_MEASURED(2, &m);
	/* Several at once. */
	for (i = 0; i < 3; i++)
		msgs[i] = msg_of(&num[i], sizeof(num[i]));
	ASSERT_EQ(3, mbuf_send_batch(self->base.sfd, msgs, 3, 3, MBUF_NOW));
	ASSERT_EQ(3, mbuf_recv_batch(self->base.rfd, msgs, 3, 3, MBUF_NOW));
	EXPECT_MEASURED(5, &m);
	/* A large one. */
	ASSERT_EQ(LARGE, write(self->base.sfd, large, LARGE));
	ASSERT_EQ(LARGE, read(self->base.rfd, large, LARGE));
	EXPECT_MEASURED(6, &m);
	/* One that a message object has sent, at once and from the line. */
	ASSERT_EQ(0, mbuf_message_create(s, &c));
	ASSERT_EQ(0, mbuf_message_load(s, c.handle, num, 4, NULL, 0));
	ASSERT_EQ(0, mbuf_message_enqueue(s, c.handle, self->base.sfd));
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(7, &m);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	ASSERT_EQ(0, mbuf_message_load(s, c.handle, num, 4, NULL, 0));
	ASSERT_EQ(1, mbuf_message_enqueue(s, c.handle, self->base.sfd));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(11, &m);
	ASSERT_EQ(0, mbuf_handle_delete(s, c.handle));
	close_fd(&self->base.rfd);
	close_fd(&self->base.sfd);

	/* With a capability. */
	ASSERT_EQ(0, cap_queue(s, 2, 2, &self->base.rfd, &self->base.sfd));
	self->id = get_info(self->base.rfd).id;
	ASSERT_EQ(0, measure(&self->nl, self->id, true));
	cap = mbuf_cap_fd(self->base.sfd);
	ASSERT_EQ(0, send_caps(self->base.sfd, -1, "x", &cap, 1));
	/* To look at it is not to receive it. */
	ASSERT_EQ(1, recv_caps(self->base.rfd, -1, "x", &cap, MBUF_RECV_LOOK));
	EXPECT_MEASURED(0, &m);
	ASSERT_EQ(1, recv_caps(self->base.rfd, -1, "x", &cap, 0));
	EXPECT_MEASURED(1, &m);
	close(cap.ref.fd);
	munmap(large, LARGE);
}

TEST_F(latency, times_are_about_right)
{
	const uint64_t long_ns = 20000000;
	struct measured m;
	int i, low;

	make(4, 16, 0);
	ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	spend(long_ns);
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(1, &m);
	EXPECT_LE(long_ns, m.longest);
	EXPECT_GT(1000 * long_ns, m.longest);
	EXPECT_EQ(m.total, m.longest);
	for (i = 0, low = 0; i < MBUF_LATENCY_BUCKETS; i++)
		if (m.bucket[i])
			low = i;
	EXPECT_LE(1ull << low, m.longest);
	EXPECT_GT(2ull << low, m.longest);
}

/* A sender that waits for room is measured from when it began to. */
TEST_F(latency, waiting_counts)
{
	const uint64_t long_ns = 20000000;
	uint32_t num = 2;
	struct party p = {
		.op = OP_SEND,
		.buf = &num,
		.len = sizeof(num),
		.deadline = MBUF_FOREVER,
	};
	struct measured m;

	make(1, 16, 0);
	ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	p.fd = self->base.sfd;
	ASSERT_TRUE(party_start(&p));
	ASSERT_SLEEPERS(self->base.rfd, 0, 1);
	spend(long_ns);
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	ASSERT_EQ(0, party_join(&p));
	ASSERT_EQ(0, measure(&self->nl, self->id, true));
	ASSERT_EQ(2, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(1, &m);
	EXPECT_LE(long_ns, m.longest);

	/* And who waits for a message gets it measured. */
	p.op = OP_RECV;
	p.fd = self->base.rfd;
	ASSERT_TRUE(party_start(&p));
	ASSERT_SLEEPERS(self->base.rfd, 1, 0);
	ASSERT_EQ(0, send_num(self->base.sfd, 3, MBUF_NOW));
	ASSERT_EQ(4, party_join(&p));
	EXPECT_MEASURED(2, &m);
}

/* A slot's time is that of its message, not of another that was there before. */
TEST_F(latency, slots_are_used_again)
{
	struct mbuf_msg msgs[2];
	uint32_t room[2];
	struct measured m;
	int i;

	make(2, 16, 0);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	ASSERT_EQ(0, measure(&self->nl, self->id, false));
	for (i = 0; i < 2; i++)
		msgs[i] = (struct mbuf_msg){ .buf = (uintptr_t)&room[i],
					     .len = sizeof(room[i]) };
	ASSERT_EQ(2, mbuf_recv_batch(self->base.rfd, msgs, 2, 2, MBUF_NOW));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, send_num(self->base.sfd, 2, MBUF_NOW));
	ASSERT_EQ(0, measure(&self->nl, self->id, true));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(2, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(0, &m);
}

/* What nobody receives took no time. */
TEST_F(latency, dropped_messages_do_not_count)
{
	struct measured m;
	int i;

	make(2, 16, MBUF_QUEUE_OVERWRITE);
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	nl_begin(&self->nl, MBUF_CMD_QUEUE_FLUSH, NLM_F_ACK);
	nl_put_u64(&self->nl, MBUF_A_OBJECT_ID, self->id);
	ASSERT_EQ(0, nl_ask(&self->nl, NULL, NULL));
	EXPECT_MEASURED(0, &m);
	/* Their slots are used by what is not measured. */
	ASSERT_EQ(0, measure(&self->nl, self->id, false));
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	ASSERT_EQ(0, measure(&self->nl, self->id, true));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_MEASURED(0, &m);
}

/* Who may, of what. */
static int measure_others(void *arg)
{
	const uint64_t *theirs = arg;
	int session = mbuf_open(), rfd, sfd;
	struct measured m;
	struct nl nl;

	CHECK(session >= 0);
	CHECK_EQ(0, nl_open(&nl));
	CHECK_EQ(-ENOENT, measure(&nl, *theirs, true));
	CHECK_EQ(0, mbuf_queue_create(session, 1, 8, 0, &rfd, &sfd));
	CHECK_EQ(0, measure(&nl, get_info(rfd).id, true));
	CHECK_EQ(0, send_num(sfd, 1, MBUF_NOW));
	CHECK_EQ(1, recv_num(rfd, MBUF_NOW));
	CHECK_EQ(0, measured(&nl, get_info(rfd).id, &m));
	CHECK_EQ(1, m.nr);
	return 0;
}

TEST_F(latency, by_who_sees_the_queue)
{
	struct mbuf_channel_info info = {};
	struct measured m;
	int end[2];

	NL_QUEUE(1, 16, 0);
	self->id = get_info(self->base.rfd).id;
	if (!geteuid())
		EXPECT_EQ(0, run_as(TEST_UID, measure_others, &self->id));
	EXPECT_EQ(-ENODATA, measured(&self->nl, self->id, &m));
	EXPECT_EQ(-ENOENT, measure(&self->nl, 0, true));
	ASSERT_EQ(0, ch_create(self->base.session, 0, end));
	ASSERT_EQ(0, mbuf_channel_info(end[0], &info));
	EXPECT_EQ(-EOPNOTSUPP, measure(&self->nl, info.id, true));
	EXPECT_STREQ("not a queue", self->nl.errmsg);
	close(end[0]);
	close(end[1]);
}

struct storm {
	int sfd, rfd;
	_Atomic bool stop;
};

static void *send_and_receive(void *arg)
{
	struct storm *s = arg;

	while (!s->stop) {
		send_num(s->sfd, 1, MBUF_NOW);
		recv_num(s->rfd, MBUF_NOW);
	}
	return NULL;
}

/* To begin and to end while messages are on their way. */
TEST_F(latency, while_messages_come_and_go)
{
	struct storm s = {};
	pthread_t thread[2];
	struct measured m;
	int i, ret;

	NL_QUEUE(4, 16, 0);
	self->id = get_info(self->base.rfd).id;
	s.sfd = self->base.sfd;
	s.rfd = self->base.rfd;
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, send_and_receive,
					    &s));
	for (i = 0; i < 300; i++) {
		EXPECT_EQ(0, measure(&self->nl, self->id, i % 3));
		ret = measured(&self->nl, self->id, &m);
		EXPECT_EQ(i % 3 ? 0 : -ENODATA, ret);
		/* Of one moment, and of this measurement. */
		EXPECT_LE(m.longest, m.total);
		EXPECT_TRUE(m.nr || !m.total);
	}
	s.stop = true;
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

TEST_HARNESS_MAIN
