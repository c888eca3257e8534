// SPDX-License-Identifier: GPL-2.0
/*
 * Limits: what a user may have, who is charged, that it is given back, and
 * that the memory cgroup sees it.
 *
 * The limits are the module's parameters. They are lowered here, so that
 * nothing else should use mbuf as TEST_UID meanwhile.
 */
#include <sys/resource.h>
#include "cgroup.h"

#define PARAMS	"/sys/module/mbuf/parameters/"

enum limit { OBJECTS, MEMORY, INFLIGHT, NR_LIMITS };

static const char *const params[NR_LIMITS] = {
	[OBJECTS] = PARAMS "objects_limit",
	[MEMORY] = PARAMS "memory_limit",
	[INFLIGHT] = PARAMS "inflight_limit",
};

FIXTURE(quota) {
	FIXTURE_DATA(queue) base;
	char was[NR_LIMITS][32];
};

FIXTURE_SETUP(quota)
{
	int i;

	queue_setup(_metadata, &self->base, NULL);
	for (i = 0; i < NR_LIMITS; i++)
		ASSERT_TRUE(read_file(params[i], self->was[i],
				      sizeof(self->was[i]))) {
			TH_LOG("cannot read %s", params[i]);
		}
}

FIXTURE_TEARDOWN(quota)
{
	int i;

	if (!geteuid())
		for (i = 0; i < NR_LIMITS; i++)
			EXPECT_TRUE(write_file(params[i], "%s", self->was[i]));
	queue_teardown(_metadata, &self->base, NULL);
}

#define SET_LIMIT(which, value) \
	ASSERT_TRUE(write_file(params[which], "%lu\n", (unsigned long)(value)))

static struct mbuf_query query(int session)
{
	struct mbuf_query q;

	CHECK_EQ(0, mbuf_query(session, &q));
	return q;
}

/* Opens a session as the test's user, who must not have anything else. */
static int fresh_session(void)
{
	int session = mbuf_open();

	CHECK(session >= 0);
	CHECK_EQ(1, query(session).objects.used);
	CHECK_EQ(0, query(session).inflight.used);
	return session;
}

/* Run as the test's user: has it got nothing left? */
static int nothing_left(void *arg)
{
	int session = mbuf_open();
	struct mbuf_query q;

	(void)arg;
	CHECK(session >= 0);
	CHECK(EVENTUALLY((q = query(session)).objects.used == 1 &&
			 !q.inflight.used));
	return 0;
}

#define EXPECT_NOTHING_LEFT() \
	EXPECT_EQ(0, run_as(TEST_UID, nothing_left, NULL))

static int objects_child(void *arg)
{
	int session = fresh_session(), r[8], s[8], i;
	uint64_t memory;

	(void)arg;
	CHECK_EQ(8, query(session).objects.limit);
	for (i = 0; i < 7; i++) {
		CHECK_EQ(0, mbuf_queue_create(session, 2, 16, 0, &r[i], &s[i]));
		CHECK_EQ(i + 2, query(session).objects.used);
	}
	memory = query(session).memory.used;
	for (i = 0; i < 3; i++) {
		r[7] = -77;
		s[7] = -77;
		CHECK_EQ(-EDQUOT, mbuf_queue_create(session, 2, 16, 0, &r[7],
						    &s[7]));
		CHECK_EQ(-77, r[7]);
		CHECK_EQ(-77, s[7]);
		CHECK_EQ(-EDQUOT, mbuf_open());
	}
	CHECK_EQ(8, query(session).objects.used);
	CHECK_EQ(memory, query(session).memory.used);
	/* One goes, one may come. */
	close(r[3]);
	close(s[3]);
	CHECK_EQ(7, query(session).objects.used);
	CHECK_EQ(0, mbuf_queue_create(session, 2, 16, 0, &r[3], &s[3]));
	CHECK_EQ(-EDQUOT, mbuf_open());
	/* A session counts like a queue. */
	close(r[3]);
	close(s[3]);
	i = mbuf_open();
	CHECK(i >= 0);
	CHECK_EQ(-EDQUOT, mbuf_queue_create(session, 2, 16, 0, &r[3], &s[3]));
	return 0;
}

TEST_F(quota, objects)
{
	NEED_ROOT();
	SET_LIMIT(OBJECTS, 8);
	EXPECT_EQ(0, run_as(TEST_UID, objects_child, NULL));
	EXPECT_NOTHING_LEFT();
}

static int memory_child(void *arg)
{
	int session = fresh_session(), r, s, n, fds[200][2];
	uint64_t was, limit = *(uint64_t *)arg;

	CHECK_EQ(limit, query(session).memory.limit);
	was = query(session).memory.used;
	/* At one stroke: whatever the product, it must not be small. */
	CHECK_EQ(-EDQUOT, mbuf_queue_create(session, 1000, 1024, 0, &r, &s));
	CHECK_EQ(-EDQUOT, mbuf_queue_create(session, 65536, 4096, 0, &r, &s));
	CHECK_EQ(was, query(session).memory.used);
	CHECK_EQ(1, query(session).objects.used);
	/* Bit by bit. */
	for (n = 0; n < 200; n++) {
		int ret = mbuf_queue_create(session, 10, 512, 0, &fds[n][0],
					    &fds[n][1]);

		CHECK(query(session).memory.used <= limit);
		if (ret) {
			CHECK_EQ(-EDQUOT, ret);
			break;
		}
		CHECK(query(session).memory.used >= was + 10 * 512);
		was = query(session).memory.used;
	}
	CHECK(n > 2 && n < (int)(limit / 5120));
	/* Smaller ones may fit, and what is given back counts. */
	close(fds[0][0]);
	close(fds[0][1]);
	CHECK_EQ(0, mbuf_queue_create(session, 10, 512, 0, &fds[0][0],
				      &fds[0][1]));
	CHECK_EQ(was, query(session).memory.used);
	return 0;
}

TEST_F(quota, memory)
{
	uint64_t limit = 256 << 10;

	NEED_ROOT();
	SET_LIMIT(MEMORY, limit);
	EXPECT_EQ(0, run_as(TEST_UID, memory_child, &limit));
	EXPECT_NOTHING_LEFT();
}

struct inflight_arg {
	uint64_t limit;
	uint32_t large;
};

static int inflight_child(void *arg)
{
	struct inflight_arg *a = arg;
	int session = fresh_session(), r, s, n;
	struct mbuf_queue_info info;
	struct mbuf_msg m[64];
	uint64_t used = 0;
	uint8_t *buf;

	buf = calloc(1, a->large);
	CHECK(buf);
	CHECK_EQ(a->limit, query(session).inflight.limit);
	CHECK_EQ(0, mbuf_queue_create(session, 64, a->large, 0, &r, &s));
	for (n = 0; n < 64; n++) {
		int ret = n % 2 ? (int)xwrite(s, buf, a->large) :
				  mbuf_send(s, buf, a->large, MBUF_FOREVER);

		if (ret < 0) {
			CHECK_EQ(-EDQUOT, ret);
			break;
		}
		CHECK(query(session).inflight.used >= used + a->large);
		used = query(session).inflight.used;
		CHECK(used <= a->limit);
	}
	CHECK(n > 1 && n < 64);
	/* Refused, again and again, by every way, without any trace. */
	for (n = 0; n < 64; n++)
		m[n] = msg_of(buf, a->large);
	CHECK_EQ(-EDQUOT, mbuf_send_batch(s, m, 64, 64, MBUF_FOREVER));
	CHECK_EQ(-EDQUOT, mbuf_send(s, buf, a->large, MBUF_NOW));
	CHECK_EQ(-EDQUOT, xwrite(s, buf, a->large));
	CHECK_EQ(used, query(session).inflight.used);
	info = get_info(s);
	CHECK_EQ(info.sent, info.depth);
	CHECK_EQ(0, info.send_blocked);

	/* What lives in slots was paid for long ago. */
	while (!mbuf_send(s, buf, 100, MBUF_NOW))
		;
	CHECK_EQ(64, get_info(s).depth);
	CHECK_EQ(used, query(session).inflight.used);
	CHECK_EQ(-EAGAIN, mbuf_send(s, buf, 100, MBUF_NOW));

	/* A batch of large ones goes as far as it may. */
	while (mbuf_recv(r, buf, a->large, MBUF_NOW) >= 0)
		;
	CHECK_EQ(0, query(session).inflight.used);
	n = mbuf_send_batch(s, m, 64, 64, MBUF_FOREVER);
	CHECK_EQ(used, query(session).inflight.used);
	CHECK_EQ(n, get_info(s).depth);
	CHECK_EQ(-EDQUOT, mbuf_send_batch(s, m, 64, 64, MBUF_FOREVER));

	/* A small one that had to wait, and gave up, is not charged any more. */
	while (!mbuf_send(s, buf, 100, MBUF_NOW))
		;
	CHECK(used + 1000 <= a->limit);
	CHECK_EQ(-ETIMEDOUT, mbuf_send(s, buf, 100, in_ms(10)));
	CHECK_EQ(used, query(session).inflight.used);
	CHECK_EQ(0, get_info(s).send_waiters);
	return 0;
}

TEST_F(quota, inflight)
{
	struct inflight_arg a = { .large = self->base.q.inline_max + 1000 };

	NEED_ROOT();
	a.limit = 10 * a.large;
	SET_LIMIT(INFLIGHT, a.limit);
	EXPECT_EQ(0, run_as(TEST_UID, inflight_child, &a));
	EXPECT_NOTHING_LEFT();
}

/* A small message that would have to be parked, and no bytes left for it. */
static int parked_child(void *arg)
{
	int session = fresh_session(), r, s;
	char buf[100] = {};

	(void)arg;
	CHECK_EQ(0, mbuf_queue_create(session, 1, sizeof(buf), 0, &r, &s));
	CHECK_EQ(0, mbuf_send(s, buf, sizeof(buf), MBUF_FOREVER));
	CHECK_EQ(-EDQUOT, mbuf_send(s, buf, sizeof(buf), MBUF_FOREVER));
	CHECK_EQ(-EDQUOT, mbuf_send(s, buf, sizeof(buf), in_ms(1000)));
	CHECK_EQ(-EDQUOT, xwrite(s, buf, sizeof(buf)));
	CHECK_EQ(-EAGAIN, mbuf_send(s, buf, sizeof(buf), MBUF_NOW));
	CHECK_EQ(0, get_info(s).send_blocked);
	CHECK_EQ(1, get_info(s).depth);
	CHECK_EQ(0, query(session).inflight.used);
	return 0;
}

TEST_F(quota, parked_messages_count)
{
	NEED_ROOT();
	SET_LIMIT(INFLIGHT, 50);
	EXPECT_EQ(0, run_as(TEST_UID, parked_child, NULL));
	EXPECT_NOTHING_LEFT();
}

/* And while it is parked it is charged, until it enters the queue. */
TEST_F(quota, parked_messages_are_charged)
{
	struct party p = { .op = OP_SEND, .deadline = MBUF_FOREVER };
	struct mbuf_query q;
	int r, s, session = self->base.session;
	char buf[100] = {};

	ASSERT_EQ(0, mbuf_queue_create(session, 1, sizeof(buf), 0, &r, &s));
	ASSERT_EQ(0, send_num(s, 1, MBUF_NOW));
	p.fd = s;
	p.buf = buf;
	p.len = sizeof(buf);
	ASSERT_TRUE(party_start(&p));
	ASSERT_SLEEPERS(r, 0, 1);
	ASSERT_EQ(0, mbuf_query(session, &q));
	EXPECT_LE(self->base.q.inflight.used + sizeof(buf), q.inflight.used);
	EXPECT_EQ(1, recv_num(r, MBUF_NOW));
	EXPECT_EQ(0, party_join(&p));
	EXPECT_EQ(100, mbuf_recv(r, buf, sizeof(buf), MBUF_NOW));
	ASSERT_EQ(0, mbuf_query(session, &q));
	EXPECT_EQ(self->base.q.inflight.used, q.inflight.used);
	close(r);
	close(s);
}

TEST_F(quota, root_may_exceed)
{
	uint32_t large = self->base.q.inline_max + 1;
	int r, s, session, i;
	struct mbuf_query q;
	uint8_t *buf;

	NEED_ROOT();
	buf = calloc(1, large);
	ASSERT_NE(NULL, buf);
	SET_LIMIT(OBJECTS, 1);
	SET_LIMIT(MEMORY, 1);
	SET_LIMIT(INFLIGHT, 1);
	session = mbuf_open();
	ASSERT_LE(0, session);
	ASSERT_EQ(0, mbuf_queue_create(session, 8, large, 0, &r, &s));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(0, mbuf_send(s, buf, large, MBUF_NOW));
	/* It is charged all the same, and sees by how much. */
	ASSERT_EQ(0, mbuf_query(session, &q));
	EXPECT_EQ(1, q.objects.limit);
	EXPECT_EQ(self->base.q.objects.used + 2, q.objects.used);
	EXPECT_LE(self->base.q.inflight.used + 8 * large, q.inflight.used);
	close(r);
	close(s);
	close(session);
	free(buf);
}

/* A limit that is lowered takes nothing away, and lets nothing new in. */
static int lowered_child(void *arg)
{
	int *go = arg, session = fresh_session(), r[4], s[4], i;
	char c;

	for (i = 0; i < 3; i++)
		CHECK_EQ(0, mbuf_queue_create(session, 2, 16, 0, &r[i], &s[i]));
	CHECK_EQ(1, xwrite(go[1], "x", 1));
	CHECK_EQ(1, xread(go[2], &c, 1));
	CHECK_EQ(4, query(session).objects.used);
	CHECK_EQ(2, query(session).objects.limit);
	CHECK_EQ(-EDQUOT, mbuf_queue_create(session, 2, 16, 0, &r[3], &s[3]));
	CHECK_EQ(0, mbuf_send(s[0], "x", 1, MBUF_NOW));
	CHECK_EQ(1, mbuf_recv(r[0], &c, 1, MBUF_NOW));
	for (i = 0; i < 3; i++) {
		close(r[i]);
		close(s[i]);
	}
	CHECK_EQ(1, query(session).objects.used);
	CHECK_EQ(0, mbuf_queue_create(session, 2, 16, 0, &r[3], &s[3]));
	return 0;
}

TEST_F(quota, lowered_limit)
{
	int a[2], b[2], go[3];
	pid_t pid;
	char c;

	NEED_ROOT();
	ASSERT_EQ(0, pipe2(a, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(b, O_CLOEXEC));
	go[1] = a[1];
	go[2] = b[0];
	pid = spawn_as(TEST_UID, lowered_child, go);
	ASSERT_LT(0, pid);
	close(a[1]);
	ASSERT_EQ(1, xread(a[0], &c, 1));
	SET_LIMIT(OBJECTS, 2);
	ASSERT_EQ(1, xwrite(b[1], "x", 1));
	EXPECT_EQ(0, reap(pid));
	close(a[0]);
	close(b[0]);
	close(b[1]);
	EXPECT_NOTHING_LEFT();
}

/* Makes sessions until there is no more; how many. */
static int grab(int max)
{
	int n, fd = 0;

	for (n = 0; n < max; n++) {
		fd = mbuf_open();
		if (fd < 0)
			break;
	}
	if (fd < 0)
		CHECK_EQ(-EDQUOT, fd);
	return n;
}

/*
 * User namespaces: whoever is root in one is nobody special outside, and the
 * owner of a namespace pays for all in it.
 */
static int in_userns(void *arg)
{
	(void)arg;
	if (unshare(CLONE_NEWUSER))
		return 77;
	CHECK(write_file("/proc/self/setgroups", "deny"));
	CHECK(write_file("/proc/self/uid_map", "0 %u 1\n", TEST_UID));
	CHECK(write_file("/proc/self/gid_map", "0 %u 1\n", TEST_UID));
	CHECK_EQ(0, geteuid());
	/* Of eight, three are taken. */
	CHECK_EQ(5, grab(20));
	return 0;
}

static int userns_child(void *arg)
{
	int ret;

	(void)arg;
	fresh_session();
	CHECK_EQ(2, grab(2));
	ret = reap(spawn(in_userns, NULL));
	if (ret)
		return ret;
	/* Theirs have gone, and so have the charges for them. */
	ret = reap(spawn(in_userns, NULL));
	if (ret)
		return ret;
	CHECK_EQ(5, grab(20));
	return 0;
}

TEST_F(quota, user_namespaces)
{
	int ret;

	NEED_ROOT();
	SET_LIMIT(OBJECTS, 8);
	ret = run_as(TEST_UID, userns_child, NULL);
	if (ret == 77)
		SKIP(return, "unprivileged users may not make user namespaces");
	EXPECT_EQ(0, ret);
	EXPECT_NOTHING_LEFT();
}

/* With many ids to be had inside: each of them is paid for by the owner. */
static int subuid_child(void *arg)
{
	int *p = arg, i, nr = 0;
	char c;

	if (unshare(CLONE_NEWUSER))
		return 77;
	CHECK_EQ(1, xwrite(p[1], "x", 1));
	CHECK_EQ(1, xread(p[2], &c, 1));
	for (i = 0; i < 4; i++) {
		CHECK_EQ(0, setresuid((uid_t)i, (uid_t)i, 0));
		nr += grab(3);
		CHECK_EQ(0, setresuid(0, 0, 0));
	}
	CHECK_EQ(8, nr);
	return 0;
}

TEST_F(quota, subordinate_ids)
{
	int a[2], b[2], p[3], ret;
	char path[64], c;
	pid_t pid;

	NEED_ROOT();
	SET_LIMIT(OBJECTS, 8);
	ASSERT_EQ(0, pipe2(a, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(b, O_CLOEXEC));
	p[1] = a[1];
	p[2] = b[0];
	pid = spawn_as(TEST_UID, subuid_child, p);
	ASSERT_LT(0, pid);
	close(a[1]);
	if (xread(a[0], &c, 1) != 1) {
		ret = reap(pid);
		close(a[0]);
		close(b[0]);
		close(b[1]);
		ASSERT_EQ(77, ret);
		SKIP(return, "unprivileged users may not make user namespaces");
	}
	/* As newuidmap would do it. */
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	ASSERT_TRUE(write_file(path, "0 %u 1\n1 %u 10\n", TEST_UID,
			       TEST_UID + 1000));
	ASSERT_EQ(1, xwrite(b[1], "x", 1));
	EXPECT_EQ(0, reap(pid));
	close(a[0]);
	close(b[0]);
	close(b[1]);
	EXPECT_NOTHING_LEFT();
}

/* Many at the same time: never more than the limit, and no charge is lost. */
struct race_arg {
	_Atomic int go, total, ready;
	_Atomic int leave;
};

static int race_child(void *arg)
{
	struct race_arg *a = arg;
	int i, n = 0, fds[64];

	/* Up and down, then as many as can be had. */
	atomic_fetch_add(&a->ready, 1);
	while (!atomic_load(&a->go))
		sched_yield();
	for (i = 0; i < 200; i++) {
		while (n < 64 && (fds[n] = mbuf_open()) >= 0)
			n++;
		if (n < 64)
			CHECK_EQ(-EDQUOT, fds[n]);
		while (n > i % 3)
			close(fds[--n]);
	}
	while (n < 64 && (fds[n] = mbuf_open()) >= 0)
		n++;
	atomic_fetch_add(&a->total, n);
	atomic_fetch_sub(&a->ready, 1);
	while (!atomic_load(&a->leave))
		sched_yield();
	return 0;
}

static int rest_child(void *arg)
{
	struct race_arg *a = arg;

	/* What a race has left, and not one more. */
	CHECK(a->total <= 20);
	CHECK_EQ(20 - a->total, grab(64));
	return 0;
}

TEST_F(quota, concurrent)
{
	struct race_arg *a;
	pid_t pids[4];
	int i;

	NEED_ROOT();
	a = map_shared(sizeof(*a));
	ASSERT_NE(NULL, a);
	SET_LIMIT(OBJECTS, 20);
	for (i = 0; i < 4; i++) {
		pids[i] = spawn_as(TEST_UID, race_child, a);
		ASSERT_LT(0, pids[i]);
	}
	ASSERT_TRUE(EVENTUALLY(a->ready == 4));
	a->go = 1;
	ASSERT_TRUE(EVENTUALLY(a->ready == 0));
	EXPECT_EQ(0, run_as(TEST_UID, rest_child, a));
	a->leave = 1;
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, reap(pids[i]));
	munmap(a, page_size());
	EXPECT_NOTHING_LEFT();
}

/*
 * Who pays
 */
struct pay_arg {
	int sfd, session, ready, go;
	uint32_t large;
};

/* Sends into somebody else's queue, and pays for it until it is received. */
static int paying_child(void *arg)
{
	struct pay_arg *a = arg;
	int session = fresh_session();
	uint8_t *buf = calloc(1, a->large);
	uint64_t used;
	char c;

	CHECK(buf);
	CHECK_EQ(0, mbuf_send(a->sfd, buf, a->large, MBUF_NOW));
	CHECK_EQ(0, mbuf_send(a->sfd, buf, a->large, MBUF_NOW));
	used = query(session).inflight.used;
	CHECK(used >= 2 * a->large);
	CHECK_EQ(1, query(session).objects.used);
	CHECK_EQ(1, xwrite(a->ready, "x", 1));
	CHECK_EQ(1, xread(a->go, &c, 1));
	/* One has been received. */
	CHECK_EQ(used / 2, query(session).inflight.used);
	return 0;
}

static int still_pays(void *arg)
{
	int session = mbuf_open();

	(void)arg;
	CHECK(session >= 0);
	CHECK(query(session).inflight.used > 0);
	return 0;
}

TEST_F(quota, senders_pay)
{
	struct pay_arg a = { .large = self->base.q.inline_max + 1 };
	int p[2], g[2], r, s, session = self->base.session;
	struct mbuf_query q;
	uint8_t *buf;
	pid_t pid;

	NEED_ROOT();
	buf = malloc(a.large);
	ASSERT_NE(NULL, buf);
	ASSERT_EQ(0, mbuf_queue_create(session, 8, a.large, 0, &r, &s));
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(g, O_CLOEXEC));
	a.sfd = s;
	a.ready = p[1];
	a.go = g[0];
	pid = spawn_as(TEST_UID, paying_child, &a);
	ASSERT_LT(0, pid);
	close(p[1]);
	ASSERT_EQ(1, xread(p[0], buf, 1));
	ASSERT_EQ(0, mbuf_query(session, &q));
	EXPECT_EQ(self->base.q.inflight.used, q.inflight.used);
	ASSERT_EQ(a.large, mbuf_recv(r, buf, a.large, MBUF_NOW));
	ASSERT_EQ(1, xwrite(g[1], "x", 1));
	EXPECT_EQ(0, reap(pid));
	/* The other is paid for even by the dead. */
	EXPECT_EQ(0, run_as(TEST_UID, still_pays, NULL));
	close(r);
	close(s);
	EXPECT_NOTHING_LEFT();
	close(p[0]);
	close(g[0]);
	close(g[1]);
	free(buf);
}

/* What is made through a session is charged to who opened it. */
static int borrowing_child(void *arg)
{
	struct pay_arg *a = arg;
	int own = fresh_session(), r, s;
	uint64_t was = query(a->session).objects.used;

	CHECK_EQ(0, mbuf_queue_create(a->session, 8, 64, 0, &r, &s));
	CHECK_EQ(was + 1, query(a->session).objects.used);
	CHECK_EQ(1, query(own).objects.used);
	close(r);
	close(s);
	CHECK_EQ(was, query(a->session).objects.used);
	return 0;
}

TEST_F(quota, openers_pay)
{
	struct pay_arg a = { .session = self->base.session };

	NEED_ROOT();
	EXPECT_EQ(0, run_as(TEST_UID, borrowing_child, &a));
	EXPECT_NOTHING_LEFT();
}

/*
 * All comes back
 */
static int doomed_child(void *arg)
{
	struct pay_arg *a = arg;
	int session = fresh_session(), r, s, i, full_r, full_s;
	uint8_t *buf = calloc(1, a->large);
	struct party p = { .op = OP_SEND, .deadline = MBUF_FOREVER };

	CHECK(buf);
	for (i = 0; i < 20; i++) {
		CHECK_EQ(0, mbuf_queue_create(session, 8, a->large, 0, &r, &s));
		CHECK_EQ(0, mbuf_send(s, buf, a->large, MBUF_NOW));
	}
	CHECK_EQ(0, mbuf_queue_create(session, 1, a->large, 0, &full_r,
				      &full_s));
	CHECK_EQ(0, mbuf_send(full_s, buf, 1, MBUF_NOW));
	p.fd = full_s;
	p.buf = buf;
	p.len = a->large;
	CHECK(party_start(&p));
	CHECK_EQ(0, wait_sleepers(full_r, 0, 1));
	CHECK_EQ(1, xwrite(a->ready, "x", 1));
	for (;;)
		pause();
	return 0;
}

TEST_F(quota, nothing_is_left_by_the_dead)
{
	struct pay_arg a = { .large = self->base.q.inline_max + 1 };
	int p[2], i;
	pid_t pid;
	char c;

	NEED_ROOT();
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	a.ready = p[1];
	for (i = 0; i < 3; i++) {
		pid = spawn_as(TEST_UID, doomed_child, &a);
		ASSERT_LT(0, pid);
		ASSERT_EQ(1, xread(p[0], &c, 1));
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
		EXPECT_NOTHING_LEFT();
	}
	close(p[0]);
	close(p[1]);
}

static int emfile_child(void *arg)
{
	int session = fresh_session(), r, s, i, fds = count_fds();
	struct mbuf_query before = query(session), now;
	struct rlimit lim;

	(void)arg;
	for (i = 0; i < 2; i++) {
		/* None is free, and then one. */
		int next = dup(session);

		CHECK(next >= 0);
		close(next);
		CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &lim));
		lim.rlim_cur = (rlim_t)next + (rlim_t)i;
		CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
		r = -77;
		s = -77;
		CHECK_EQ(-EMFILE, mbuf_queue_create(session, 64, 4096, 0, &r,
						    &s));
		CHECK_EQ(-77, r);
		CHECK_EQ(-77, s);
		now = query(session);
		CHECK(!memcmp(&before, &now, sizeof(now)));
		lim.rlim_cur = lim.rlim_max;
		CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
		CHECK_EQ(fds, count_fds());
	}
	return 0;
}

TEST_F(quota, no_descriptor_left)
{
	NEED_ROOT();
	EXPECT_EQ(0, run_as(TEST_UID, emfile_child, NULL));
	EXPECT_NOTHING_LEFT();
}

/* The same when the whole system has no file left. */
#define FILE_MAX	"/proc/sys/fs/file-max"

static int enfile_child(void *arg)
{
	struct pay_arg *a = arg;
	int session = fresh_session(), r = -77, s = -77;
	struct mbuf_query before = query(session), now;
	char c;

	CHECK_EQ(1, xwrite(a->ready, "x", 1));
	CHECK_EQ(1, xread(a->go, &c, 1));
	CHECK_EQ(-ENFILE, mbuf_queue_create(session, 64, 4096, 0, &r, &s));
	CHECK_EQ(-77, r);
	CHECK_EQ(-77, s);
	CHECK_EQ(-ENFILE, mbuf_open());
	now = query(session);
	CHECK(!memcmp(&before, &now, sizeof(now)));
	return 0;
}

TEST_F(quota, no_file_left)
{
	int p[2], g[2], ret;
	struct pay_arg a;
	char was[32], c;
	pid_t pid;

	NEED_ROOT();
	ASSERT_TRUE(read_file(FILE_MAX, was, sizeof(was)));
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(g, O_CLOEXEC));
	a.ready = p[1];
	a.go = g[0];
	pid = spawn_as(TEST_UID, enfile_child, &a);
	ASSERT_LT(0, pid);
	ASSERT_EQ(1, xread(p[0], &c, 1));
	/* Root is not bound by it: we shall be able to set it back. */
	ASSERT_TRUE(write_file(FILE_MAX, "0\n"));
	xwrite(g[1], "x", 1);
	ret = reap(pid);
	ASSERT_TRUE(write_file(FILE_MAX, "%s", was));
	EXPECT_EQ(0, ret);
	close(p[0]);
	close(p[1]);
	close(g[0]);
	close(g[1]);
	EXPECT_NOTHING_LEFT();
}

/*
 * Memory cgroup
 */
struct memcg_arg {
	struct cgroup cg;
	uint32_t inline_max;
};

static int memcg_child(void *arg)
{
	struct memcg_arg *a = arg;
	uint64_t before, with, large = 1 << 20;
	int session, r, s, i;
	uint8_t *buf;

	join_cgroup(&a->cg);
	session = mbuf_open();
	CHECK(session >= 0);
	buf = malloc(large);
	CHECK(buf);
	memset(buf, 1, large);
	before = cgroup_current(&a->cg);
	/* 16 MiB of slots. */
	CHECK_EQ(0, mbuf_queue_create(session, (16 << 20) / a->inline_max,
				      (uint32_t)large, 0, &r, &s));
	with = cgroup_current(&a->cg);
	CHECK(with + CG_SLACK >= before + (16 << 20));
	/* And 16 MiB of messages. */
	for (i = 0; i < 16; i++)
		CHECK_EQ(0, mbuf_send(s, buf, large, MBUF_NOW));
	with = cgroup_current(&a->cg);
	CHECK(with + CG_SLACK >= before + (32 << 20));
	close(r);
	close(s);
	CHECK(EVENTUALLY(cgroup_current(&a->cg) <= before + CG_SLACK));
	return 0;
}

TEST_F(quota, memory_cgroup)
{
	struct memcg_arg a = { .inline_max = self->base.q.inline_max };
	const char *why;

	NEED_ROOT();
	why = cgroup_make(&a.cg);
	if (why) {
		cgroup_remove(&a.cg);
		SKIP(return, "%s", why);
	}
	EXPECT_EQ(0, reap(spawn(memcg_child, &a)));
	cgroup_remove(&a.cg);
}

/* Over the cgroup's limit: ENOMEM, not a killed process. */
static int memcg_limit_child(void *arg)
{
	struct memcg_arg *a = arg;
	uint32_t large = 8 << 20;
	int session, r, s, i, ret = 0;
	struct mbuf_query q;
	char path[160];
	uint8_t *buf;

	join_cgroup(&a->cg);
	snprintf(path, sizeof(path), "%s/memory.max", a->cg.path);
	CHECK(write_file(path, "%u", 32 << 20));
	session = mbuf_open();
	CHECK(session >= 0);
	q = query(session);
	for (i = 0; i < 5; i++) {
		r = -77;
		CHECK_EQ(-ENOMEM, mbuf_queue_create(session,
						    (128 << 20) /
						    a->inline_max,
						    a->inline_max, 0, &r, &s));
		CHECK_EQ(-77, r);
	}
	CHECK_EQ(q.objects.used, query(session).objects.used);
	CHECK_EQ(q.memory.used, query(session).memory.used);

	CHECK_EQ(0, mbuf_queue_create(session, 8, large, 0, &r, &s));
	buf = malloc(large);
	CHECK(buf);
	memset(buf, 1, large);
	for (i = 0; i < 8 && !ret; i++)
		ret = mbuf_send(s, buf, large, MBUF_FOREVER);
	CHECK_EQ(-ENOMEM, ret);
	CHECK_EQ(i - 1, get_info(s).depth);
	/* Small ones have their place. */
	CHECK_EQ(0, mbuf_send(s, buf, 1, MBUF_NOW));
	while (mbuf_recv(r, buf, large, MBUF_NOW) >= 0)
		;
	CHECK_EQ(0, mbuf_send(s, buf, large, MBUF_FOREVER));
	return 0;
}

TEST_F(quota, memory_cgroup_limit)
{
	struct memcg_arg a = { .inline_max = self->base.q.inline_max };
	const char *why;

	NEED_ROOT();
	why = cgroup_make(&a.cg);
	if (why) {
		cgroup_remove(&a.cg);
		SKIP(return, "%s", why);
	}
	EXPECT_EQ(0, reap(spawn(memcg_limit_child, &a)));
	cgroup_remove(&a.cg);
}

TEST_HARNESS_MAIN
