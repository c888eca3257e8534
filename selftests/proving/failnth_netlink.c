// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever can fail in requests by netlink does, and in telling who listens; see
 * failnth.h. The answer to a request can be lost as well, so that who gets an
 * error knows nothing: but what was asked for has happened wholly or not at all,
 * and who asks again, on a new socket, gets it.
 */
#include "../cap.h"
#include "../netlink.h"
#include "failnth.h"

/* So many that dumps have several pieces. */
#define QUEUES	150
#define HANDLES	500
#define DEPTH	2

enum netlink_way {
	WAY_GET, WAY_DUMP, WAY_HANDLES, WAY_USERS, WAY_LIMIT, WAY_FLUSH,
	WAY_MEASURE, NR_NETLINK_WAYS
};

static const struct {
	const char *name;
	int cmd, flags;
	unsigned int slab, fault;
} ways[NR_NETLINK_WAYS] = {
	[WAY_GET] = { "OBJECT_GET", MBUF_CMD_OBJECT_GET, NLM_F_ACK, 4, 2 },
	[WAY_DUMP] = { "OBJECT_GET, all", MBUF_CMD_OBJECT_GET, NLM_F_DUMP,
		       5, 3 },
	[WAY_HANDLES] = { "HANDLE_GET", MBUF_CMD_HANDLE_GET, NLM_F_DUMP, 5, 3 },
	[WAY_USERS] = { "USER_GET", MBUF_CMD_USER_GET, NLM_F_DUMP, 5, 2 },
	[WAY_LIMIT] = { "LIMIT_SET", MBUF_CMD_LIMIT_SET, NLM_F_ACK, 2, 1 },
	[WAY_FLUSH] = { "QUEUE_FLUSH", MBUF_CMD_QUEUE_FLUSH, NLM_F_ACK, 2, 1 },
	[WAY_MEASURE] = { "QUEUE_LATENCY", MBUF_CMD_QUEUE_LATENCY, NLM_F_ACK,
			  3, 1 },
};

static struct nl nl, listener;
static uint64_t id, limit, old_limit;
static unsigned int seen, found;
static int other_rfd[QUEUES], other_sfd[QUEUES];

static void open_netlink(struct scene *s, struct nl *n)
{
	int ret = nl_open(n);

	if (ret)
		SCENE_FAIL(s, "no netlink: %d", ret);
}

/* Objects, handles or users: those that there must be, and all. */
static void see(const struct nlmsghdr *h, const struct nl_attrs *attrs,
		void *arg)
{
	const int way = *(int *)arg;

	(void)h;
	seen++;
	switch (way) {
	case WAY_GET:
	case WAY_DUMP:
		found += nl_num(attrs, MBUF_A_OBJECT_ID) == id;
		break;
	case WAY_HANDLES:
		found += nl_num(attrs, MBUF_A_HANDLE_OBJECT_ID) == id;
		break;
	case WAY_USERS:
		found += nl_num(attrs, MBUF_A_USER_UID) == 0;
		break;
	}
}

static void put_request(int way)
{
	nl_begin(&nl, ways[way].cmd, ways[way].flags);
	switch (way) {
	case WAY_GET:
	case WAY_FLUSH:
		nl_put_u64(&nl, MBUF_A_OBJECT_ID, id);
		break;
	case WAY_MEASURE:
		nl_put_u64(&nl, MBUF_A_OBJECT_ID, id);
		nl_put(&nl, MBUF_A_OBJECT_MEASURE, NULL, 0);
		break;
	case WAY_LIMIT:
		nl_put_u32(&nl, MBUF_A_USER_UID, 0);
		nl_put_u64(&nl, MBUF_A_USER_CAPS_LIMIT, limit);
		break;
	}
	seen = 0;
	found = 0;
}

static void prepare_netlink(struct scene *s, const struct action *op)
{
	struct mbuf_query q;

	open_netlink(s, &nl);
	if (mbuf_query(s->session, &q))
		SCENE_FAIL(s, "QUERY fails");
	old_limit = q.caps.limit;
	limit++;
	while (get_info(s->rfd).depth < DEPTH)
		if (send_num(s->sfd, 1, MBUF_NOW))
			SCENE_FAIL(s, "cannot send");
	put_request(op->way);
}

static long call_netlink(struct scene *s, const struct action *op)
{
	int way = op->way;
	int ret = nl_ask(&nl, see, &way);

	/* Of memory that is missing netlink says this, wherever it was. */
	if (ret == -ENOBUFS)
		ret = -ENOMEM;
	/* Only the answer was lost. */
	if (ret < 0 && way == WAY_FLUSH && !get_info(s->rfd).depth)
		ret = 0;
	return ret;
}

static bool measured(struct scene *s)
{
	struct nl_object o;

	if (nl_get(&nl, id, &o))
		SCENE_FAIL(s, "the queue cannot be seen");
	return o.more.a[MBUF_A_QUEUE_LATENCY];
}

static bool netlink_right(struct scene *s, const struct action *op)
{
	struct mbuf_query q;

	switch (op->way) {
	case WAY_GET:
		return seen == 1 && found == 1;
	case WAY_DUMP:
		/* And the sessions. */
		return seen >= QUEUES + 3 && found == 1;
	case WAY_HANDLES:
		return seen >= HANDLES && found == HANDLES;
	case WAY_USERS:
		return seen >= 1 && found == 1;
	case WAY_LIMIT:
		return !mbuf_query(s->session, &q) && q.caps.limit == limit;
	case WAY_FLUSH:
		return !get_info(s->rfd).depth;
	case WAY_MEASURE:
		return measured(s);
	}
	return false;
}

static bool netlink_again(struct scene *s, const struct action *op)
{
	long ret;

	nl_close(&nl);
	open_netlink(s, &nl);
	put_request(op->way);
	ret = call_netlink(s, op);
	if (ret < 0)
		SCENE_FAIL(s, "%s gives %ld, although nothing fails", op->name,
			   ret);
	return ret >= 0 && netlink_right(s, op);
}

static bool settle_netlink(struct scene *s, const struct action *op, long ret)
{
	struct mbuf_query q;
	bool fine = true;

	if (ret != -ECANCELED && op->way == WAY_LIMIT &&
	    (mbuf_query(s->session, &q) ||
	     (q.caps.limit != limit && q.caps.limit != old_limit))) {
		SCENE_FAIL(s, "it is neither the old limit nor the new one");
		fine = false;
	}
	if (ret >= 0)
		fine = netlink_right(s, op) && fine;
	else if (ret != -ECANCELED)
		fine = netlink_again(s, op) && fine;
	if (!fine)
		SCENE_FAIL(s, "%s gives %ld, with %u messages, %u that count",
			   op->name, ret, seen, found);
	/* Measured it is when that is asked for, and not before. */
	nl_begin(&nl, MBUF_CMD_QUEUE_LATENCY, NLM_F_ACK);
	nl_put_u64(&nl, MBUF_A_OBJECT_ID, id);
	if (nl_ask(&nl, NULL, NULL) || measured(s)) {
		SCENE_FAIL(s, "it is measured still");
		fine = false;
	}
	if (mbuf_recv(s->rfd, s->out, ROOM_MAX, MBUF_NOW) >= 0)
		mbuf_recv(s->rfd, s->out, ROOM_MAX, MBUF_NOW);
	nl_close(&nl);
	return fine;
}

TEST_F_TIMEOUT(failnth, netlink, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.prepare = prepare_netlink,
		.call = call_netlink,
		.settle = settle_netlink,
	};
	struct mbuf_query q;
	uint64_t handle = 0, copy;
	unsigned int i;
	int holder;

	NEED_INJECTION();
	ASSERT_EQ(0, mbuf_queue_create(s->session, DEPTH, 16, 0, &s->rfd,
				       &s->sfd));
	id = get_info(s->rfd).id;
	for (i = 0; i < QUEUES; i++)
		ASSERT_EQ(0, mbuf_queue_create(s->session, 1, 16, 0,
					       &other_rfd[i], &other_sfd[i]));
	holder = mbuf_open();
	ASSERT_LE(0, holder);
	ASSERT_EQ(0, mbuf_handle_put(holder, s->sfd, 0, 0, &handle));
	for (i = 1; i < HANDLES; i++) {
		copy = 0;
		ASSERT_EQ(0, mbuf_handle_copy(holder, handle, 0, 0, &copy));
	}
	/* One more each time. */
	ASSERT_EQ(0, mbuf_query(s->session, &q));
	limit = q.caps.limit;
	for (op.way = 0; op.way < NR_NETLINK_WAYS; op.way++) {
		snprintf(op.name, sizeof(op.name), "%s", ways[op.way].name);
		op.need_slab = ways[op.way].slab;
		op.need_fault = ways[op.way].fault;
		drive(s, &op);
	}
	for (i = 0; i < QUEUES; i++) {
		close(other_rfd[i]);
		close(other_sfd[i]);
	}
	close(holder);
	/* As it was for who comes next. */
	open_netlink(s, &nl);
	limit = q.caps.limit;
	put_request(WAY_LIMIT);
	EXPECT_EQ(0, nl_ask(&nl, NULL, NULL));
	nl_close(&nl);
}

/*
 * Somebody listens. What cannot be told is not done the less for it, and who
 * listens finds out: each notice has a number.
 */
static uint64_t last;
static int made_rfd, made_sfd;

/* All that was told; returns how many numbers there were. */
static uint64_t numbers(struct scene *s)
{
	uint64_t before = last;
	struct nl_notice n;
	int ret;

	while ((ret = nl_next_notice(&listener, &n)) != -EAGAIN) {
		/* Some do not arrive. */
		if (ret == -ENOBUFS)
			continue;
		if (ret || n.number <= last) {
			SCENE_FAIL(s, "a notice: %d, number %llu after %llu",
				   ret, (unsigned long long)n.number,
				   (unsigned long long)last);
			break;
		}
		last = n.number;
	}
	return last - before;
}

static void prepare_told(struct scene *s, const struct action *op)
{
	(void)op;
	numbers(s);
}

static long call_told(struct scene *s, const struct action *op)
{
	(void)op;
	return mbuf_queue_create(s->session, 1, 16, 0, &made_rfd, &made_sfd);
}

static bool settle_told(struct scene *s, const struct action *op, long ret)
{
	uint64_t want = 0, is;

	(void)op;
	if (ret >= 0) {
		close(made_rfd);
		close(made_sfd);
	}
	if (ret >= 0)
		want += 2;
	/* One more, of which all is told, so that what was not shows. */
	if (mbuf_queue_create(s->session, 1, 16, 0, &made_rfd, &made_sfd)) {
		SCENE_FAIL(s, "cannot make a queue");
	} else {
		close(made_rfd);
		close(made_sfd);
		want += 2;
	}
	is = numbers(s);
	/* One whose descriptors could not be told has been there, and gone. */
	if (is == want || (ret == -EFAULT && is == want + 2))
		return true;
	SCENE_FAIL(s, "after %ld there were %llu notices, not %llu", ret,
		   (unsigned long long)is, (unsigned long long)want);
	return false;
}

TEST_F_TIMEOUT(failnth, somebody_listens, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.name = "QUEUE_CREATE, told",
		.prepare = prepare_told,
		.call = call_told,
		.settle = settle_told,
		.need_slab = 5,
		.need_fault = 2,
	};

	NEED_INJECTION();
	open_netlink(s, &listener);
	ASSERT_EQ(0, nl_join(&listener));
	drive(s, &op);
	nl_close(&listener);
}

TEST_HARNESS_MAIN
