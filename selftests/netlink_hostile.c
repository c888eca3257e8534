// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink: dumps while objects come and go, messages that are none, and readers
 * that never read.
 */
#include <sys/resource.h>
#include "netlink.h"

/* How many objects there are, and how many come and go meanwhile. */
#define MANY	10000

FIXTURE(hostile) {
	FIXTURE_DATA(queue) base;
	struct nl nl;
};

FIXTURE_SETUP(hostile)
{
	struct rlimit files = { 20100, 20100 };

	queue_setup(_metadata, &self->base, NULL);
	ASSERT_EQ(0, nl_open(&self->nl));
	/* Where it is needed is where it takes root. */
	ASSERT_EQ(0, geteuid() ? 0 : setrlimit(RLIMIT_NOFILE, &files));
}

FIXTURE_TEARDOWN(hostile)
{
	nl_close(&self->nl);
	queue_teardown(_metadata, &self->base, NULL);
}

/* Which of those that stay have been seen, and how often. */
struct roll {
	uint64_t *id;		/* sorted */
	uint8_t *seen;
	unsigned int nr, strangers;
	atomic_ulong *rounds;	/* of those who come and go */
	unsigned int called;
	unsigned long begin;	/* rounds by then */
	bool changed;
};

static int id_cmp(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void call_roll(const struct nlmsghdr *h, const struct nl_attrs *attrs,
		      void *arg)
{
	uint64_t id = nl_num(attrs, MBUF_A_OBJECT_ID), *at;
	struct roll *roll = arg;

	(void)h;
	if (roll->rounds && !roll->called++)
		roll->begin = atomic_load(roll->rounds);
	/* Whole rounds, while it is far from its end. */
	if (roll->rounds && roll->called == roll->nr / 2)
		roll->changed = EVENTUALLY(atomic_load(roll->rounds) >
					   roll->begin + 1);
	at = bsearch(&id, roll->id, roll->nr, sizeof(id), id_cmp);
	if (at)
		roll->seen[at - roll->id]++;
	else
		roll->strangers++;
}

struct churn {
	int session;
	atomic_bool stop;
	atomic_ulong rounds;
};

/* Makes objects and closes them again, some in another order. */
static void *churn_main(void *arg)
{
	struct churn *c = arg;
	int fd[64], i, n;

	while (!atomic_load(&c->stop)) {
		for (n = 0; n < 64; n += 2)
			if (ch_create(c->session, MBUF_END_DETACHED, fd + n))
				break;
		for (i = 0; i < n; i++)
			close(fd[i * 7 % n]);
		atomic_fetch_add(&c->rounds, 1);
	}
	return NULL;
}

/* 1 if a dump was consistent, 0 if it says that it was not; -errno. */
static int dump_roll(struct nl *nl, struct roll *roll)
{
	unsigned int i;
	int ret;

	memset(roll->seen, 0, roll->nr);
	roll->strangers = 0;
	roll->called = 0;
	roll->changed = false;
	nl_begin(nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(nl, MBUF_A_OBJECT_TYPE, MBUF_OBJECT_TYPE_ENDPOINT);
	ret = nl_ask(nl, call_roll, roll);
	if (ret < 0)
		return ret;
	for (i = 0; i < roll->nr; i++)
		if (roll->seen[i] != 1)
			return -EPROTO;
	return !nl->intr;
}

TEST_F(hostile, dumps_while_objects_come_and_go)
{
	struct churn c = { .session = self->base.session };
	struct mbuf_channel_info info = {};
	unsigned int i, nr = MANY;
	struct roll roll = {};
	pthread_t thread;
	int *fd;

	if (geteuid())
		SKIP(return, "needs root, for so many descriptors");
	fd = calloc(nr, sizeof(*fd));
	roll.id = calloc(nr, sizeof(*roll.id));
	roll.seen = calloc(nr, 1);
	ASSERT_TRUE(fd && roll.id && roll.seen);
	for (i = 0; i < nr; i += 2) {
		ASSERT_EQ(0, ch_create(self->base.session, MBUF_END_DETACHED,
				       fd + i));
		ASSERT_EQ(0, mbuf_channel_info(fd[i], &info));
		roll.id[i] = info.id;
		roll.id[i + 1] = info.peer_id;
	}
	roll.nr = nr;
	qsort(roll.id, nr, sizeof(*roll.id), id_cmp);

	/* In peace it is consistent. */
	ASSERT_EQ(1, dump_roll(&self->nl, &roll));
	EXPECT_EQ(0, roll.strangers);

	/* While others come and go, each that stays is there, once. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn_main, &c));
	ASSERT_TRUE(EVENTUALLY(atomic_load(&c.rounds) > 2));
	roll.rounds = &c.rounds;
	for (i = 0; i < 3; i++) {
		/* And the dump says that it is of no one moment. */
		ASSERT_EQ(0, dump_roll(&self->nl, &roll));
		ASSERT_TRUE(roll.changed);
	}
	roll.rounds = NULL;
	atomic_store(&c.stop, true);
	pthread_join(thread, NULL);
	EXPECT_TRUE(EVENTUALLY(dump_roll(&self->nl, &roll) == 1));

	for (i = 0; i < nr; i++)
		close(fd[i]);
	free(roll.seen);
	free(roll.id);
	free(fd);
}

/* What somebody else does is no news to who may not see it. */
static int dump_in_peace(void *arg)
{
	int session, rfd[200], sfd[200], i;
	struct churn *c = arg;
	unsigned long before;
	struct nl nl;

	CHECK_EQ(0, nl_open(&nl));
	session = mbuf_open();
	CHECK(session >= 0);
	/* More than goes into one piece. */
	for (i = 0; i < 200; i++)
		CHECK_EQ(0, mbuf_queue_create(session, 1, 1, 0, rfd + i,
					      sfd + i));
	before = atomic_load(&c->rounds);
	for (i = 0; i < 20; i++) {
		nl_begin(&nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
		CHECK_EQ(201, nl_ask(&nl, NULL, NULL));
		CHECK(!nl.intr);
	}
	CHECK(EVENTUALLY(atomic_load(&c->rounds) > before + 1));
	return 0;
}

TEST_F(hostile, changes_of_others_do_not_show)
{
	struct churn *c = map_shared(sizeof(*c));
	pthread_t thread;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_NE(NULL, c);
	c->session = self->base.session;
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn_main, c));
	EXPECT_EQ(0, run_as(TEST_UID, dump_in_peace, c));
	atomic_store(&c->stop, true);
	pthread_join(thread, NULL);
	munmap(c, sizeof(*c));
}

/* A reader that never reads keeps nobody from anything. */
TEST_F(hostile, readers_that_never_read)
{
	int rfd[100], sfd[100], i;
	struct nl lazy[8];

	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, mbuf_queue_create(self->base.session, 1, 1, 0,
					       rfd + i, sfd + i));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, nl_open(&lazy[i]));
		nl_begin(&lazy[i], i % 2 ? MBUF_CMD_OBJECT_GET :
					   MBUF_CMD_USER_GET, NLM_F_DUMP);
		ASSERT_EQ(0, nl_send(&lazy[i]));
	}
	/* What they were about to be told goes away. */
	for (i = 0; i < 100; i++) {
		close(rfd[i]);
		close(sfd[i]);
	}
	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(&self->nl, MBUF_A_OBJECT_TYPE, MBUF_OBJECT_TYPE_QUEUE);
	EXPECT_EQ(0, nl_ask(&self->nl, NULL, NULL));
	/* Two find the rest when they read after all; others just go. */
	EXPECT_LT(0, nl_answer(&lazy[0], NULL, NULL));
	EXPECT_LT(0, nl_answer(&lazy[1], NULL, NULL));
	for (i = 0; i < 8; i++)
		nl_close(&lazy[i]);
}

/* Malformed messages */

TEST_F(hostile, what_is_wrong_is_refused)
{
	struct nl *nl = &self->nl;
	uint16_t half = 1;

	/* A number that is too short, or too long. */
	nl_begin(nl, MBUF_CMD_OBJECT_GET, NLM_F_ACK);
	nl_put(nl, MBUF_A_OBJECT_ID, &half, sizeof(half));
	EXPECT_GT(0, nl_ask(nl, NULL, NULL));
	nl_begin(nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u64(nl, MBUF_A_OBJECT_TYPE, 1);
	EXPECT_GT(0, nl_ask(nl, NULL, NULL));
	/* What is only ever said by the kernel, and what nobody knows. */
	nl_begin(nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(nl, MBUF_A_OBJECT_NETNS, 1);
	EXPECT_EQ(-EINVAL, nl_ask(nl, NULL, NULL));
	nl_begin(nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(nl, 63, 1);
	EXPECT_EQ(-EINVAL, nl_ask(nl, NULL, NULL));
	nl_begin(nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(nl, MBUF_A_OBJECT_TYPE, 0);
	EXPECT_GT(0, nl_ask(nl, NULL, NULL));
	nl_begin(nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(nl, MBUF_A_OBJECT_PID, 0);
	EXPECT_GT(0, nl_ask(nl, NULL, NULL));
	nl_begin(nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(nl, MBUF_A_OBJECT_ALL, 1);
	EXPECT_GT(0, nl_ask(nl, NULL, NULL));
	/* No such command, not as a dump, or not but as one. */
	nl_begin(nl, MBUF_CMD_MAX + 1, NLM_F_ACK);
	EXPECT_EQ(-EOPNOTSUPP, nl_ask(nl, NULL, NULL));
	nl_begin(nl, MBUF_CMD_NOTICE, NLM_F_ACK);
	EXPECT_EQ(-EOPNOTSUPP, nl_ask(nl, NULL, NULL));
	nl_begin(nl, MBUF_CMD_USER_GET, NLM_F_ACK);
	EXPECT_EQ(-EOPNOTSUPP, nl_ask(nl, NULL, NULL));
	nl_begin(nl, MBUF_CMD_QUEUE_FLUSH, NLM_F_ACK | NLM_F_DUMP);
	EXPECT_EQ(-EOPNOTSUPP, nl_ask(nl, NULL, NULL));
	nl_begin(nl, MBUF_CMD_QUEUE_FLUSH, NLM_F_ACK);
	EXPECT_EQ(-EINVAL, nl_ask(nl, NULL, NULL));
}

/* Messages by chance, most of them nearly right, from nobody in particular. */
static int send_nonsense(void *arg)
{
	struct timeval soon = { .tv_usec = 1000 };
	uint64_t end = now_ns() + 5 * NS_PER_SEC;
	unsigned int seed = *(unsigned int *)arg, i, j;
	struct nl nl;

	CHECK_EQ(0, nl_open(&nl));
	setsockopt(nl.fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	for (i = 0; i < 20000 && now_ns() < end; i++) {
		unsigned int len;

		nl_begin(&nl, rand_r(&seed) % (MBUF_CMD_MAX + 2),
			 rand_r(&seed) % 2 ? NLM_F_DUMP : NLM_F_ACK);
		for (j = rand_r(&seed) % 4; j; j--) {
			uint64_t v[4] = { rand_r(&seed), rand_r(&seed) };

			nl_put(&nl, rand_r(&seed) % 16, v,
			       (size_t[]){ 0, 4, 8, 8, 4, 16, 3, 32 }
			       [rand_r(&seed) % 8]);
		}
		len = nl.h.nlmsg_len;
		/* Bits that are not as they were, and lengths. */
		if (rand_r(&seed) % 3 == 0)
			nl.out[16 + rand_r(&seed) % (len - 15)] ^=
				(char)(1 << rand_r(&seed) % 8);
		if (rand_r(&seed) % 7 == 0)
			nl.h.nlmsg_len = 16 + rand_r(&seed) % len;
		if (send(nl.fd, nl.out, nl.h.nlmsg_len, 0) < 0)
			CHECK(errno == ENOBUFS || errno == EAGAIN);
		/* Some answers are never read. */
		if (rand_r(&seed) % 4)
			while (recv(nl.fd, nl.in, sizeof(nl.in),
				    MSG_DONTWAIT) > 0)
				;
		if (rand_r(&seed) % 50 == 0) {
			nl_close(&nl);
			CHECK_EQ(0, nl_open(&nl));
		}
	}
	return 0;
}

TEST_F(hostile, nonsense_from_anybody)
{
	unsigned int seed[2] = { 1, 2 };
	pid_t pid[2];

	if (geteuid())
		SKIP(return, "needs root");
	pid[0] = spawn_as(TEST_UID, send_nonsense, &seed[0]);
	pid[1] = spawn_as(TEST_UID + 1, send_nonsense, &seed[1]);
	EXPECT_EQ(0, reap(pid[0]));
	EXPECT_EQ(0, reap(pid[1]));
}

TEST_HARNESS_MAIN
