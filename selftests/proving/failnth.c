// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever can fail in calls on sessions and queues does; see failnth.h.
 */
#include <sys/epoll.h>

#include "failnth.h"

#define QUEUE_MAX	(ROOM_MAX / BATCH_NR)	/* max_msg of most queues */

/* A message that is expected to come out, in the order of priorities. */
static uint32_t expect_msg(struct scene *s, uint32_t len, uint32_t prio)
{
	struct expected e = { .len = len, .seed = ++s->seed, .prio = prio };
	unsigned int at = s->nr_expect;

	if (s->nr_expect == NR_EXPECT)
		abort();
	while (at && s->expect[at - 1].prio < prio) {
		s->expect[at] = s->expect[at - 1];
		at--;
	}
	s->expect[at] = e;
	s->nr_expect++;
	return e.seed;
}

static void expect_drop(struct scene *s, unsigned int at)
{
	s->nr_expect--;
	memmove(&s->expect[at], &s->expect[at + 1],
		(s->nr_expect - at) * sizeof(s->expect[0]));
}

/* The newest ones have not been sent. */
static void expect_unsent(struct scene *s, unsigned int nr)
{
	while (nr--) {
		unsigned int i, newest = 0;

		for (i = 1; i < s->nr_expect; i++)
			if (s->expect[i].seed > s->expect[newest].seed)
				newest = i;
		expect_drop(s, newest);
	}
}

/* Is this what had to come next? */
static bool as_expected(struct scene *s, const void *p, long len)
{
	struct expected e;

	if (!s->nr_expect) {
		SCENE_FAIL(s, "a message of %ld bytes that nobody has sent",
			   len);
		return false;
	}
	e = s->expect[0];
	expect_drop(s, 0);
	if (len == (long)e.len && is_pattern(p, e.len, e.seed))
		return true;
	SCENE_FAIL(s, "a message of %ld bytes, not number %u of %u bytes, or its bytes are wrong",
		   len, e.seed, e.len);
	return false;
}

/* Puts messages in, the plain way. */
static void put(struct scene *s, uint32_t len, uint32_t prio)
{
	struct mbuf_msg m = msg_of(s->in, len);
	int ret;

	m.prio = prio;
	fill_pattern(s->in, len, expect_msg(s, len, prio));
	ret = mbuf_send_msg(s->sfd, &m, MBUF_NOW);
	if (ret)
		SCENE_FAIL(s, "cannot send %u bytes: %s", len,
			   mbuf_strerror(ret));
}

/* Takes all out: what was expected, and no more. */
static bool drain(struct scene *s)
{
	bool fine = true;
	ssize_t ret;

	while ((ret = mbuf_recv(s->rfd, s->out, QUEUE_MAX, MBUF_NOW)) >= 0)
		fine = as_expected(s, s->out, ret) && fine;
	if (ret != -EAGAIN) {
		SCENE_FAIL(s, "cannot receive: %s", mbuf_strerror((int)ret));
		fine = false;
	}
	if (s->nr_expect) {
		SCENE_FAIL(s, "%u messages are lost, the first is number %u of %u bytes",
			   s->nr_expect, s->expect[0].seed, s->expect[0].len);
		s->nr_expect = 0;
		fine = false;
	}
	return fine;
}

static bool queue_works(struct scene *s)
{
	const uint32_t lens[] = { 1, 100, 4000, 6000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		put(s, lens[i], 0);
		if (!drain(s))
			return false;
	}
	return true;
}

static void queue_look(struct scene *s, union info *info)
{
	info->queue = get_info(s->sfd);
}

static void queue_forgive(union info *want, const union info *is)
{
	/* How many there ever were follows from the rest. */
	want->queue.high_water = is->queue.high_water;
	want->queue.next_len = is->queue.next_len;
}

static const char *queue_wrong(const union info *info)
{
	return info_wrong(&info->queue);
}

static void queue_print(const char *what, const union info *info)
{
	info_print(what, &info->queue);
}

static const struct subject a_queue = {
	.look = queue_look,
	.forgive = queue_forgive,
	.wrong = queue_wrong,
	.print = queue_print,
	.works = queue_works,
};

/* Takes one message out for each sender that sleeps. */
static void peer_receives(struct scene *s, const struct action *op)
{
	static uint8_t room[QUEUE_MAX];
	struct mbuf_queue_info info;
	ssize_t ret;

	(void)op;
	if (mbuf_queue_info(s->rfd, &info) || !info.send_waiters)
		return;
	ret = mbuf_recv(s->rfd, room, sizeof(room), MBUF_NOW);
	if (ret < 0 || (uint32_t)ret != s->expect[0].len ||
	    !is_pattern(room, (size_t)ret, s->expect[0].seed))
		s->peer_wrong = "did not get the message that was next";
	expect_drop(s, 0);
	s->peer_acts++;
}

/* Puts one message in for each receiver that sleeps. */
static void peer_sends(struct scene *s, const struct action *op)
{
	static uint8_t room[QUEUE_MAX];
	struct mbuf_queue_info info;

	if (mbuf_queue_info(s->rfd, &info) || !info.recv_waiters)
		return;
	fill_pattern(room, op->len, expect_msg(s, op->len, 0));
	s->peer_acts++;
	if (mbuf_send(s->sfd, room, op->len, MBUF_NOW))
		s->peer_wrong = "cannot send to a receiver that waits";
}

static void open_queue(struct scene *s, uint32_t slots, uint32_t max_msg,
		       uint32_t flags)
{
	struct __test_metadata *_metadata = s->meta;

	close_fd(&s->rfd);
	close_fd(&s->sfd);
	ASSERT_EQ(0, mbuf_queue_create(s->session, slots, max_msg, flags,
				       &s->rfd, &s->sfd));
}

/*
 * Sessions
 */
static long call_open(struct scene *s, const struct action *op)
{
	(void)s;
	(void)op;
	return sys_result(open("/dev/mbuf", O_RDWR | O_CLOEXEC));
}

static bool settle_fd(struct scene *s, const struct action *op, long ret)
{
	struct mbuf_query q = {};
	bool fine = true;

	(void)op;
	if (ret >= 0) {
		fine = !mbuf_query((int)ret, &q);
		if (!fine)
			SCENE_FAIL(s, "a new session does not answer");
		close((int)ret);
	}
	return fine;
}

TEST_F_TIMEOUT(failnth, open, LONG_TIMEOUT)
{
	struct action op = {
		.name = "open, user is known",
		.call = call_open,
		.settle = settle_fd,
		/* The name, the file, the session. */
		.need_slab = 3,
		.need_fault = 1,
	};

	NEED_INJECTION();
	drive(&self->s, &op);
	strcpy(op.name, "open, user is new");
	op.other_user = true;
	op.need_slab++;
	drive(&self->s, &op);
}

struct ns_result {
	struct tally t;
	bool skip, fine;
};

/* A user namespace has accounts of its own, and its owner another one. */
static int open_in_namespace(void *arg)
{
	struct ns_result *r = arg;
	unsigned int nth;

	if (inject_open())
		return 1;
	set_pass(PASS_SLAB);
	if (setresuid(TEST_UID, TEST_UID, 0) || unshare(CLONE_NEWUSER)) {
		r->skip = true;
		return 0;
	}
	r->fine = true;
	for (nth = 1; nth < 1000; nth++) {
		int before = count_fds(), lowest = lowest_fd();
		bool failed;
		long ret;

		arm(nth);
		ret = sys_result(open("/dev/mbuf", O_RDWR | O_CLOEXEC));
		failed = disarm();
		if (ret >= 0) {
			struct mbuf_query q;

			if (mbuf_query((int)ret, &q) || q.objects.used != 1 ||
			    q.inflight.used) {
				diag("a new user has %llu objects, %llu in flight",
				     (unsigned long long)q.objects.used,
				     (unsigned long long)q.inflight.used);
				r->fine = false;
			}
			close((int)ret);
		}
		r->t.points += failed;
		r->t.nomem += ret == -ENOMEM;
		r->t.fault += ret == -EFAULT;
		r->t.unnoticed += failed && ret >= 0;
		if (ret < 0 && ret != -ENOMEM && ret != -EFAULT) {
			diag("open: %s", strerror((int)-ret));
			r->fine = false;
		}
		if (count_fds() != before || lowest_fd() != lowest) {
			diag("descriptors are left");
			r->fine = false;
		}
		if (!failed)
			break;
	}
	return 0;
}

TEST_F_TIMEOUT(failnth, open_in_namespace, LONG_TIMEOUT)
{
	struct ns_result *r = map_shared(sizeof(*r));

	NEED_INJECTION();
	ASSERT_NE(NULL, r);
	ASSERT_EQ(0, reap(spawn(open_in_namespace, r)));
	if (r->skip)
		SKIP(return, "user namespaces cannot be made here");
	diag("points: %-50s %3u: %u %u %u",
	     "open in a new user namespace", r->t.points, r->t.nomem,
	     r->t.fault, r->t.unnoticed);
	EXPECT_TRUE(r->fine);
	/* As above, and two accounts. */
	EXPECT_LE(5, r->t.nomem);
	EXPECT_LE(1, r->t.fault);
	EXPECT_TRUE(EVENTUALLY(account_is_gone(self->s.session)));
}

static int closing;

static void prepare_close_session(struct scene *s, const struct action *op)
{
	(void)op;
	if (closing >= 0)
		return;
	pay_as(TEST_UID);
	closing = mbuf_open();
	pay_as(0);
	if (closing < 0)
		SCENE_FAIL(s, "cannot open a session");
}

static long call_close(struct scene *s, const struct action *op)
{
	long ret;

	(void)s;
	(void)op;
	ret = sys_result(close(closing));
	closing = -1;
	return ret;
}

static bool settle_close(struct scene *s, const struct action *op, long ret)
{
	(void)s;
	(void)op;
	if (ret == -ECANCELED && closing >= 0)
		close_fd(&closing);
	return ret == -ECANCELED || !ret;
}

TEST_F_TIMEOUT(failnth, close_session, LONG_TIMEOUT)
{
	struct action op = {
		.name = "close of a session",
		.prepare = prepare_close_session,
		.call = call_close,
		.settle = settle_close,
		/* Nothing in it may fail, whatever is short. */
		.other_error = ENOMEM,
	};

	NEED_INJECTION();
	closing = -1;
	drive(&self->s, &op);
	EXPECT_TRUE(account_is_gone(self->s.session));
}

static struct mbuf_query query;

static long call_query(struct scene *s, const struct action *op)
{
	(void)op;
	poison(&query, sizeof(query));
	query.target = 0;
	return xioctl(s->session, MBUF_IOC_QUERY, &query);
}

static bool settle_query(struct scene *s, const struct action *op, long ret)
{
	const uint8_t *p = (uint8_t *)&query;

	(void)op;
	if (ret >= 0 && !(query.features & MBUF_FEATURE_QUEUE)) {
		SCENE_FAIL(s, "QUERY says nothing");
		return false;
	}
	if (ret == -ENOMEM && !is_poison(p + 8, sizeof(query) - 8)) {
		SCENE_FAIL(s, "QUERY wrote, and failed");
		return false;
	}
	return true;
}

TEST_F_TIMEOUT(failnth, query, LONG_TIMEOUT)
{
	struct action op = {
		.name = "QUERY, user is known",
		.call = call_query,
		.settle = settle_query,
		.need_fault = 2,
	};

	NEED_INJECTION();
	drive(&self->s, &op);
	strcpy(op.name, "QUERY, user is new");
	op.other_user = true;
	op.need_slab = 1;
	drive(&self->s, &op);
}

/*
 * Making queues
 */
static struct mbuf_queue_create create, create_in;

static long call_create(struct scene *s, const struct action *op)
{
	memset(&create, 0, sizeof(create));
	create.slots = op->slots;
	create.max_msg = op->max_msg;
	create.flags = op->flags;
	create.recv.fd = -77;
	create.send.fd = -78;
	create.id = 79;
	create_in = create;
	return xioctl(s->session, MBUF_IOC_QUEUE_CREATE, &create);
}

static bool settle_create(struct scene *s, const struct action *op, long ret)
{
	struct mbuf_queue_info info;
	uint8_t byte = (uint8_t)ret, got = 0;
	bool fine = true;

	if (ret == -ECANCELED)
		return true;
	if (ret < 0) {
		if (ret == -ENOMEM &&
		    memcmp(&create, &create_in, sizeof(create))) {
			SCENE_FAIL(s, "QUEUE_CREATE wrote, and failed");
			fine = false;
		}
		return fine;
	}
	info = get_info(create.recv.fd);
	if (info.id != create.id || info.slots != op->slots ||
	    info.max_msg != op->max_msg || info.flags != op->flags ||
	    info.depth || info.sent) {
		SCENE_FAIL(s, "the queue is not what was asked for");
		fine = false;
	}
	if (mbuf_send(create.send.fd, &byte, 1, MBUF_NOW) ||
	    mbuf_recv(create.recv.fd, &got, 1, MBUF_NOW) != 1 || got != byte) {
		SCENE_FAIL(s, "the queue does not work");
		fine = false;
	}
	close(create.recv.fd);
	close(create.send.fd);
	return fine;
}

static void drive_create(struct scene *s, uint32_t slots, uint32_t max_msg,
			 uint32_t flags, bool large)
{
	struct action op = {
		.call = call_create,
		.settle = settle_create,
		.slots = slots,
		.max_msg = max_msg,
		.flags = flags,
		/*
		 * The queue, the list of chunks, a chunk, unless that takes
		 * pages; and a file and its name for each right.
		 */
		.need_slab = 2 + !large + 4,
		.need_pages = large,
		.need_fault = 2,
	};

	snprintf(op.name, sizeof(op.name),
		 "QUEUE_CREATE flags 0x%x, %u of %u bytes", flags, slots,
		 max_msg);
	drive(s, &op);
}

TEST_F_TIMEOUT(failnth, queue_create, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	uint32_t flags;

	NEED_INJECTION();
	for (flags = 0; flags < 0x20; flags = flags ? flags * 2 : 1)
		drive_create(s, 4, 64, flags, false);
	drive_create(s, 4, 64, 0x1f, false);
	drive_create(s, 1, 1, 0, false);
	/* Slots that take pages; several chunks of large ones, of small ones. */
	drive_create(s, 1, 16 << 20, MBUF_QUEUE_PRIO, true);
	drive_create(s, 40, 4096, 0, true);
	drive_create(s, 100, 100000, MBUF_QUEUE_OVERWRITE, true);
	drive_create(s, 2000, 1, 0, true);
}

/* The session of a user who has nothing else. */
TEST_F_TIMEOUT(failnth, queue_create_user, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	int root = s->session;

	NEED_INJECTION();
	pay_as(TEST_UID);
	s->session = mbuf_open();
	pay_as(0);
	ASSERT_GE(s->session, 0);
	drive_create(s, 4, 64, 0, false);
	close(s->session);
	s->session = root;
	EXPECT_TRUE(account_is_gone(root));
}

/*
 * Sending
 */
enum way { BY_CALL, BY_WRITE, BY_WRITEV, BY_LONG_WRITEV, BY_BATCH,
	   BY_WIDE_BATCH, NR_WAYS };

static const char *const send_names[NR_WAYS] = {
	"SEND", "write", "writev", "writev of 16", "SEND_BATCH",
	"SEND_BATCH, wide",
};

static const char *const recv_names[NR_WAYS] = {
	"RECV", "read", "readv", "readv of 16", "RECV_BATCH",
	"RECV_BATCH, wide",
};

static int split(struct scene *s, int way, void *p, size_t len)
{
	int i, nr = way == BY_WRITEV ? 2 : 16;
	size_t part = len / (size_t)nr;

	for (i = 0; i < nr; i++) {
		s->iov[i].iov_base = (char *)p + part * (size_t)i;
		s->iov[i].iov_len = i < nr - 1 ? part : len - part * (size_t)i;
	}
	return nr;
}

/* Messages further apart than they are long. */
static struct {
	struct mbuf_msg msg;
	uint64_t more;
} wide[BATCH_NR + 1];

static void make_batch(struct scene *s, struct mbuf_batch *b,
		       const struct action *op, uint8_t *at, unsigned int nr)
{
	unsigned int i;

	memset(b, 0, sizeof(*b));
	memset(wide, 0, sizeof(wide));
	for (i = 0; i < nr; i++) {
		s->msgs[i] = msg_of(at + i * QUEUE_MAX, op->len);
		wide[i].msg = s->msgs[i];
	}
	poison(&s->msgs[nr], sizeof(s->msgs[nr]));
	b->nr = nr;
	b->wait.mode = op->peer ? MBUF_WAIT_FOREVER : MBUF_WAIT_NOW;
	b->min = op->peer ? nr : 0;
	b->msgs = (uintptr_t)(op->way == BY_BATCH ? (void *)s->msgs : wide);
	b->stride = op->way == BY_BATCH ? sizeof(s->msgs[0]) : sizeof(wide[0]);
}

static unsigned int op_nr(const struct action *op)
{
	return op->way >= BY_BATCH ? BATCH_NR : 1;
}

static struct mbuf_batch batch;
static struct mbuf_xfer xfer_in;

/* All of the preparation that a call would otherwise do while things fail. */
static void prepare_send(struct scene *s, const struct action *op)
{
	unsigned int i;
	int n;

	for (n = 0; n < op->fill; n++)
		put(s, 100 + (uint32_t)n, 0);
	for (i = 0; i < op_nr(op); i++)
		fill_pattern(s->in + i * QUEUE_MAX, op->len,
			     expect_msg(s, op->len, 0));
	if (op->way >= BY_BATCH)
		make_batch(s, &batch, op, s->in, BATCH_NR);
	else if (op->way >= BY_WRITEV)
		split(s, op->way, s->in, op->len);
	set_nonblock(s->sfd, !op->peer);
	memset(&s->xfer, 0, sizeof(s->xfer));
	s->xfer.msg = msg_of(s->in, op->len);
	s->xfer.msg.seq = 12345;
	xfer_in = s->xfer;
}

static long call_send(struct scene *s, const struct action *op)
{
	long ret;

	switch (op->way) {
	case BY_CALL:
		return xioctl(s->sfd, MBUF_IOC_SEND, &s->xfer);
	case BY_WRITE:
		ret = xwrite(s->sfd, s->in, op->len);
		break;
	case BY_WRITEV:
	case BY_LONG_WRITEV:
		ret = sys_result(writev(s->sfd, s->iov,
					op->way == BY_WRITEV ? 2 : 16));
		break;
	default:
		return xioctl(s->sfd, MBUF_IOC_SEND_BATCH, &batch);
	}
	return ret == (long)op->len ? 0 : ret < 0 ? ret : -EPROTO;
}

/* How many messages a call has moved. */
static unsigned int moved(const struct action *op, long ret)
{
	if (ret < 0)
		return 0;
	return op->way >= BY_BATCH ? (unsigned int)ret : 1;
}

static void change_send(union info *u, const struct scene *s,
			const struct action *op, long ret)
{
	struct mbuf_queue_info *info = &u->queue;
	unsigned int n = moved(op, ret), room = info->slots - info->depth;

	info->sent += n;
	info->depth += n;
	/* The peer has let each in that had to wait. */
	info->received += s->peer_acts;
	info->depth -= s->peer_acts;
	info->send_blocked += s->peer_acts;
	if (op->flags & MBUF_QUEUE_OVERWRITE && n > room) {
		info->dropped += n - room;
		info->depth = info->slots;
	}
}

static bool settle_send(struct scene *s, const struct action *op, long ret)
{
	unsigned int n = moved(op, ret), i;
	bool fine = true;

	expect_unsent(s, op_nr(op) - n);
	if (op->flags & MBUF_QUEUE_OVERWRITE)
		while (s->nr_expect > op->slots)
			expect_drop(s, 0);
	if (op->way == BY_CALL && ret != -ECANCELED) {
		if (!ret && s->xfer.msg.seq != get_info(s->sfd).sent) {
			SCENE_FAIL(s, "the sequence number is wrong");
			fine = false;
		}
		xfer_in.msg.seq = ret ? xfer_in.msg.seq : s->xfer.msg.seq;
		if (memcmp(&s->xfer, &xfer_in, sizeof(xfer_in))) {
			SCENE_FAIL(s, "SEND wrote to its argument");
			fine = false;
		}
	}
	for (i = 0; op->way == BY_BATCH && i < BATCH_NR; i++) {
		struct mbuf_msg m = msg_of(s->in + i * QUEUE_MAX, op->len);

		if (memcmp(&m, &s->msgs[i], sizeof(m))) {
			SCENE_FAIL(s, "SEND_BATCH wrote to its elements");
			fine = false;
		}
	}
	return drain(s) && fine;
}

/*
 * Where a call with a message of this length must fail to copy. That a plain
 * address cannot be read kernels do not inject: queue_fault has that.
 */
static unsigned int faults_of(const struct action *op, uint32_t inline_max,
			      bool receives)
{
	unsigned int n = 0;

	/* The argument; a vector is read without injection by some kernels. */
	if (op->way == BY_CALL || op->way >= BY_BATCH)
		n++;
	/* Large payload is copied once, and if that fails that is it. */
	if (op->len > inline_max && (receives || op->way == BY_WRITEV ||
				     op->way == BY_LONG_WRITEV))
		n++;
	return n;
}

static void drive_send(struct scene *s, int way, uint32_t len, uint32_t slots,
		       uint32_t flags, int fill, bool parks)
{
	struct action op = {
		.subject = &a_queue,
		.prepare = prepare_send,
		.call = call_send,
		.settle = settle_send,
		.change = change_send,
		.peer = parks ? peer_receives : NULL,
		.way = way,
		.len = len,
		.slots = slots,
		.flags = flags,
		.fill = fill,
		.other_user = true,
	};
	struct mbuf_query q;

	if (mbuf_query(s->session, &q))
		abort();
	snprintf(op.name, sizeof(op.name), "%s of %u bytes%s%s%s",
		 send_names[way], len,
		 flags & MBUF_QUEUE_OVERWRITE ? ", overwriting" : "",
		 flags & MBUF_QUEUE_CREDS ? ", with credentials" : "",
		 parks ? ", parked" : "");
	op.need_fault = faults_of(&op, q.inline_max, false);
	/*
	 * The sender's account, the message, a long vector. Those behind the
	 * first of a batch end it early instead.
	 */
	if (len > q.inline_max || parks)
		op.need_slab = 2 + (way == BY_LONG_WRITEV);
	drive(s, &op);
}

TEST_F_TIMEOUT(failnth, send, LONG_TIMEOUT)
{
	const uint32_t lens[] = { 100, 3000, 4097, 20000 };
	struct scene *s = &self->s;
	unsigned int i;
	int way;

	NEED_INJECTION();
	open_queue(s, 16, QUEUE_MAX, 0);
	for (way = 0; way < NR_WAYS; way++)
		for (i = 0; i < ARRAY_SIZE(lens); i++)
			drive_send(s, way, lens[i], 16, 0, 0, false);
}

TEST_F_TIMEOUT(failnth, send_creds, LONG_TIMEOUT)
{
	const uint32_t flags = MBUF_QUEUE_CREDS | MBUF_QUEUE_PRIO;
	const uint32_t lens[] = { 100, 3000, 20000 };
	struct scene *s = &self->s;
	unsigned int i;

	NEED_INJECTION();
	open_queue(s, 16, QUEUE_MAX, flags);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		drive_send(s, BY_CALL, lens[i], 16, flags, 0, false);
		drive_send(s, BY_BATCH, lens[i], 16, flags, 0, false);
	}
}

TEST_F_TIMEOUT(failnth, send_overwrite, LONG_TIMEOUT)
{
	const uint32_t flags = MBUF_QUEUE_OVERWRITE;
	const uint32_t lens[] = { 100, 3000, 20000 };
	struct scene *s = &self->s;
	unsigned int i;
	int way;

	NEED_INJECTION();
	open_queue(s, 4, QUEUE_MAX, flags);
	for (way = 0; way < NR_WAYS; way++)
		for (i = 0; i < ARRAY_SIZE(lens); i++)
			drive_send(s, way, lens[i], 4, flags, 4, false);
}

TEST_F_TIMEOUT(failnth, send_parked, LONG_TIMEOUT)
{
	const uint32_t lens[] = { 100, 3000, 20000 };
	struct scene *s = &self->s;
	unsigned int i;
	int way;

	NEED_INJECTION();
	open_queue(s, 3, QUEUE_MAX, 0);
	for (way = 0; way < NR_WAYS; way++)
		for (i = 0; i < ARRAY_SIZE(lens); i++)
			drive_send(s, way, lens[i], 3, 0, 3, true);
	open_queue(s, 3, QUEUE_MAX, MBUF_QUEUE_CREDS | MBUF_QUEUE_PRIO);
	drive_send(s, BY_CALL, 100, 3, MBUF_QUEUE_CREDS | MBUF_QUEUE_PRIO, 3,
		   true);
}

/*
 * Receiving
 */
static void prepare_recv(struct scene *s, const struct action *op)
{
	int n;

	for (n = 0; n < op->fill; n++)
		put(s, op->len, 0);
	poison(s->out, BATCH_NR * QUEUE_MAX);
	if (op->way >= BY_BATCH)
		make_batch(s, &batch, op, s->out, BATCH_NR);
	else if (op->way >= BY_WRITEV)
		split(s, op->way, s->out, op->len);
	set_nonblock(s->rfd, !op->peer);
	memset(&s->xfer, 0, sizeof(s->xfer));
	s->xfer.msg = msg_of(s->out, op->len);
}

static long call_recv(struct scene *s, const struct action *op)
{
	long ret;

	switch (op->way) {
	case BY_CALL:
		return xioctl(s->rfd, MBUF_IOC_RECV, &s->xfer);
	case BY_WRITE:
		ret = xread(s->rfd, s->out, op->len);
		break;
	case BY_WRITEV:
	case BY_LONG_WRITEV:
		ret = sys_result(readv(s->rfd, s->iov,
				       op->way == BY_WRITEV ? 2 : 16));
		break;
	default:
		return xioctl(s->rfd, MBUF_IOC_RECV_BATCH, &batch);
	}
	return ret == (long)op->len ? 0 : ret < 0 ? ret : -EPROTO;
}

static void change_recv(union info *u, const struct scene *s,
			const struct action *op, long ret)
{
	struct mbuf_queue_info *info = &u->queue;
	unsigned int n = moved(op, ret);

	info->received += n;
	info->depth -= n;
	/* The peer has sent to each who had to wait. */
	info->sent += s->peer_acts;
	info->depth += s->peer_acts;
	info->recv_blocked += s->peer_acts;
}

/* Elements of a batch that have not moved are as they were. */
static bool rest_untouched(struct scene *s, const struct action *op,
			   unsigned int n, long ret)
{
	unsigned int i;

	if (!is_poison(&s->msgs[BATCH_NR], sizeof(s->msgs[0]))) {
		SCENE_FAIL(s, "wrote behind the batch");
		return false;
	}
	for (i = n; i < BATCH_NR; i++) {
		uint8_t *room = s->out + i * QUEUE_MAX;
		struct mbuf_msg m = msg_of(room, op->len), *is;

		/* The one that does not go may have been tried. */
		if (i > n && !is_poison(room, op->len)) {
			SCENE_FAIL(s, "%u have moved, and the room of element %u is touched",
				   n, i);
			return false;
		}
		is = op->way == BY_BATCH ? &s->msgs[i] : &wide[i].msg;
		if ((i > n || ret != -EFAULT) && memcmp(is, &m, sizeof(m))) {
			SCENE_FAIL(s, "%u have moved, and element %u is touched",
				   n, i);
			return false;
		}
	}
	return true;
}

static bool settle_recv(struct scene *s, const struct action *op, long ret)
{
	unsigned int n = moved(op, ret), i;
	bool fine = true;

	for (i = 0; i < n; i++) {
		const struct mbuf_msg *m = op->way == BY_BATCH ? &s->msgs[i] :
							 &wide[i].msg;

		if (op->way >= BY_BATCH && m->len != op->len) {
			SCENE_FAIL(s, "element %u has length %u", i, m->len);
			fine = false;
		}
		if (op->way == BY_CALL && s->xfer.msg.len != op->len) {
			SCENE_FAIL(s, "the length is %u", s->xfer.msg.len);
			fine = false;
		}
		fine = as_expected(s, s->out + i * QUEUE_MAX, op->len) && fine;
	}
	if (ret != -ECANCELED && op->way >= BY_BATCH)
		fine = rest_untouched(s, op, n, ret) && fine;
	if (ret == -ENOMEM && op->way < BY_BATCH &&
	    !is_poison(s->out, op->len)) {
		SCENE_FAIL(s, "wrote, and failed");
		fine = false;
	}
	return drain(s) && fine;
}

static void drive_recv(struct scene *s, int way, uint32_t len, bool waits)
{
	struct action op = {
		.subject = &a_queue,
		.prepare = prepare_recv,
		.call = call_recv,
		.settle = settle_recv,
		.change = change_recv,
		.peer = waits ? peer_sends : NULL,
		.way = way,
		.len = len,
		.fill = waits ? 0 : way >= BY_BATCH ? BATCH_NR : 3,
	};
	struct mbuf_query q;

	if (mbuf_query(s->session, &q))
		abort();
	snprintf(op.name, sizeof(op.name), "%s of %u bytes%s", recv_names[way],
		 len, waits ? ", waiting" : "");
	op.need_fault = faults_of(&op, q.inline_max, true);
	/*
	 * Who has waited copies without a second try. A few bytes are copied
	 * word by word, and a batch says how far it got; if that is nowhere,
	 * why.
	 */
	if (waits && op.len > 256 && op.len <= q.inline_max)
		op.need_fault++;
	drive(s, &op);
}

TEST_F_TIMEOUT(failnth, recv, LONG_TIMEOUT)
{
	const uint32_t lens[] = { 100, 3000, 4097, 20000 };
	struct scene *s = &self->s;
	unsigned int i;
	int way;

	NEED_INJECTION();
	open_queue(s, 16, QUEUE_MAX, MBUF_QUEUE_CREDS);
	for (way = 0; way < NR_WAYS; way++)
		for (i = 0; i < ARRAY_SIZE(lens); i++)
			drive_recv(s, way, lens[i], false);
}

TEST_F_TIMEOUT(failnth, recv_waiting, LONG_TIMEOUT)
{
	const uint32_t lens[] = { 100, 3000, 20000 };
	struct scene *s = &self->s;
	unsigned int i;
	int way;

	NEED_INJECTION();
	open_queue(s, 16, QUEUE_MAX, 0);
	for (way = 0; way < NR_WAYS; way++)
		for (i = 0; i < ARRAY_SIZE(lens); i++)
			drive_recv(s, way, lens[i], true);
}

/*
 * A second receiver that waits needs memory of its own for a message to land
 * in. The first one is a party of util.h.
 */
static struct party first;
static uint8_t first_room[QUEUE_MAX];

static void prepare_second(struct scene *s, const struct action *op)
{
	/* A queue keeps what it has allocated once. */
	open_queue(s, 4, QUEUE_MAX, 0);
	prepare_recv(s, op);
	first = (struct party) {
		.op = OP_RECV,
		.fd = s->rfd,
		.buf = first_room,
		.len = sizeof(first_room),
		.deadline = MBUF_FOREVER,
	};
	if (!party_start(&first) || wait_sleepers(s->rfd, 1, 0))
		SCENE_FAIL(s, "the first receiver does not wait");
}

/* Once two wait, a message for the first and one for the second. */
static void peer_serves_two(struct scene *s, const struct action *op)
{
	static uint8_t room[QUEUE_MAX];
	struct mbuf_queue_info info;
	int i;

	if (mbuf_queue_info(s->rfd, &info) || info.recv_waiters != 2)
		return;
	for (i = 0; i < 2; i++) {
		fill_pattern(room, op->len, expect_msg(s, op->len, 0));
		if (mbuf_send(s->sfd, room, op->len, MBUF_NOW))
			s->peer_wrong = "cannot send to receivers that wait";
	}
	s->peer_acts++;
}

static void change_second(union info *u, const struct scene *s,
			  const struct action *op, long ret)
{
	struct mbuf_queue_info *info = &u->queue;

	change_recv(u, s, op, ret);
	/* The first one waits still, or has got a message. */
	if (s->peer_acts) {
		info->sent++;
		info->received++;
		info->recv_waiters--;
	}
}

static bool settle_second(struct scene *s, const struct action *op, long ret)
{
	bool fine = true;

	if (!s->peer_acts) {
		fill_pattern(s->in, op->len, expect_msg(s, op->len, 0));
		if (mbuf_send(s->sfd, s->in, op->len, MBUF_NOW))
			SCENE_FAIL(s, "cannot send to the first receiver");
	}
	fine = party_join(&first) == (long)op->len;
	if (!fine)
		SCENE_FAIL(s, "the first receiver got %ld", first.ret);
	fine = as_expected(s, first_room, first.ret) && fine;
	s->peer_acts = 0;
	return settle_recv(s, op, ret) && fine;
}

static void drive_second(struct scene *s, int way, uint32_t len)
{
	struct action op = {
		.subject = &a_queue,
		.prepare = prepare_second,
		.call = call_recv,
		.settle = settle_second,
		.change = change_second,
		.peer = peer_serves_two,
		.way = way,
		.len = len,
		.need_slab = 1,
	};

	snprintf(op.name, sizeof(op.name), "%s of %u bytes, second in line",
		 recv_names[way], len);
	drive(s, &op);
}

TEST_F_TIMEOUT(failnth, recv_second_in_line, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	const uint32_t lens[] = { 100, 3000, 20000 };
	unsigned int i;

	NEED_INJECTION();
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		drive_second(s, BY_CALL, lens[i]);
		drive_second(s, BY_LONG_WRITEV, lens[i]);
	}
}

/*
 * A message that one receiver cannot take goes to the next in line.
 */
static void peer_makes_line(struct scene *s, const struct action *op)
{
	static uint8_t room[QUEUE_MAX];
	struct mbuf_queue_info info;

	/* Once the call sleeps, another receiver goes behind it. */
	if (mbuf_queue_info(s->rfd, &info) || info.recv_waiters != 1 ||
	    s->peer_acts)
		return;
	first = (struct party) {
		.op = OP_RECV,
		.fd = s->rfd,
		.buf = first_room,
		.len = sizeof(first_room),
		.deadline = MBUF_FOREVER,
	};
	if (!party_start(&first) || wait_sleepers(s->rfd, 2, 0))
		s->peer_wrong = "the second receiver does not wait";
	fill_pattern(room, op->len, expect_msg(s, op->len, 0));
	s->peer_acts = 1;
	if (mbuf_send(s->sfd, room, op->len, MBUF_NOW))
		s->peer_wrong = "cannot send to receivers that wait";
}

static void change_line(union info *u, const struct scene *s,
			const struct action *op, long ret)
{
	struct mbuf_queue_info *info = &u->queue;

	(void)op;
	if (!s->peer_acts)
		return;
	/* One message, which one of the two has got. */
	info->sent++;
	info->received++;
	info->recv_blocked += 2;
	info->recv_waiters = ret >= 0;
}

static bool settle_line(struct scene *s, const struct action *op, long ret)
{
	bool fine = true;

	if (ret >= 0)
		fine = as_expected(s, s->out, s->xfer.msg.len);
	if (s->peer_acts) {
		if (ret >= 0) {
			fill_pattern(s->in, op->len, expect_msg(s, op->len, 0));
			if (mbuf_send(s->sfd, s->in, op->len, MBUF_NOW))
				SCENE_FAIL(s, "cannot send to who is next");
		}
		if (party_join(&first) != (long)op->len) {
			SCENE_FAIL(s, "the next in line got %ld", first.ret);
			fine = false;
		}
		fine = as_expected(s, first_room, first.ret) && fine;
		s->peer_acts = 0;
	}
	return drain(s) && fine;
}

TEST_F_TIMEOUT(failnth, recv_failed_for_the_next, LONG_TIMEOUT)
{
	const uint32_t lens[] = { 3000, 20000 };
	struct scene *s = &self->s;
	struct action op = {
		.subject = &a_queue,
		.prepare = prepare_recv,
		.call = call_recv,
		.settle = settle_line,
		.change = change_line,
		.peer = peer_makes_line,
		.way = BY_CALL,
		/* The argument, and the payload. */
		.need_fault = 2,
	};
	unsigned int i;

	NEED_INJECTION();
	open_queue(s, 4, QUEUE_MAX, 0);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		op.len = lens[i];
		snprintf(op.name, sizeof(op.name),
			 "RECV of %u bytes, others behind it", lens[i]);
		drive(s, &op);
	}
}

/*
 * Large messages leave the queue before they are copied. If that fails while
 * senders are parked, one of them has entered meanwhile.
 */
static struct party sender;

static void prepare_full(struct scene *s, const struct action *op)
{
	prepare_recv(s, op);
	fill_pattern(s->in, op->len, expect_msg(s, op->len, 0));
	sender = (struct party) {
		.op = OP_SEND,
		.fd = s->sfd,
		.buf = s->in,
		.len = op->len,
		.deadline = MBUF_FOREVER,
	};
	set_nonblock(s->sfd, false);
	if (!party_start(&sender) || wait_sleepers(s->rfd, 0, 1))
		SCENE_FAIL(s, "the sender does not wait");
}

/*
 * Whether the sender was let in cannot be told from the result: EFAULT may
 * come from the argument. But what is in the queue and what was sent match.
 */
static struct mbuf_queue_info full_after;

static void change_full(union info *u, const struct scene *s,
			const struct action *op, long ret)
{
	struct mbuf_queue_info *info = &u->queue;

	full_after = get_info(s->sfd);
	change_recv(u, s, op, ret);
	if (full_after.sent == info->sent + 1) {
		info->sent++;
		info->depth++;
		info->send_waiters--;
	}
}

static bool settle_full(struct scene *s, const struct action *op, long ret)
{
	bool fine = settle_recv(s, op, ret);

	if (party_join(&sender)) {
		SCENE_FAIL(s, "the parked sender got %ld", sender.ret);
		fine = false;
	}
	return fine;
}

TEST_F_TIMEOUT(failnth, recv_from_full, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.subject = &a_queue,
		.prepare = prepare_full,
		.call = call_recv,
		.settle = settle_full,
		.change = change_full,
		.len = 20000,
		.fill = 2,
		.need_fault = 1,
	};

	NEED_INJECTION();
	open_queue(s, 2, QUEUE_MAX, 0);
	for (op.way = 0; op.way < BY_BATCH; op.way++) {
		snprintf(op.name, sizeof(op.name),
			 "%s of %u bytes, senders parked", recv_names[op.way],
			 op.len);
		drive(s, &op);
	}
}

/*
 * Asking
 */
static struct mbuf_queue_info info_out;

static void prepare_two(struct scene *s, const struct action *op)
{
	(void)op;
	put(s, 100, 0);
	put(s, 5000, 0);
}

static long call_info(struct scene *s, const struct action *op)
{
	(void)op;
	poison(&info_out, sizeof(info_out));
	info_out.target = 0;
	return xioctl(s->rfd, MBUF_IOC_QUEUE_INFO, &info_out);
}

static bool settle_info(struct scene *s, const struct action *op, long ret)
{
	(void)op;
	if (!ret && (info_out.depth != 2 || info_out.next_len != 100 ||
		     info_out.rights != MBUF_RIGHT_RECV)) {
		SCENE_FAIL(s, "QUEUE_INFO says something else");
		return false;
	}
	return drain(s);
}

TEST_F_TIMEOUT(failnth, queue_info, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.name = "QUEUE_INFO",
		.subject = &a_queue,
		.prepare = prepare_two,
		.call = call_info,
		.settle = settle_info,
		.need_fault = 2,
	};

	NEED_INJECTION();
	open_queue(s, 4, QUEUE_MAX, 0);
	drive(s, &op);
}

static char fdinfo_path[64], fdinfo_text[4096];

static long call_fdinfo(struct scene *s, const struct action *op)
{
	long ret;
	int fd;

	(void)s;
	(void)op;
	fd = open(fdinfo_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = xread(fd, fdinfo_text, sizeof(fdinfo_text) - 1);
	close(fd);
	if (ret >= 0)
		fdinfo_text[ret] = '\0';
	return ret;
}

static bool settle_fdinfo(struct scene *s, const struct action *op, long ret)
{
	if (ret >= 0 && !strstr(fdinfo_text, op->subject ? "mbuf-depth:\t2\n" :
				"mbuf-type:\tsession\n")) {
		SCENE_FAIL(s, "fdinfo says something else: %s", fdinfo_text);
		return false;
	}
	return !op->subject || drain(s);
}

TEST_F_TIMEOUT(failnth, fdinfo, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.name = "fdinfo of a session",
		.call = call_fdinfo,
		.settle = settle_fdinfo,
		/* procfs reports some failures as if there was no file. */
		.other_error = ENOENT,
		.need_slab = 2,
		.need_fault = 2,
	};

	NEED_INJECTION();
	snprintf(fdinfo_path, sizeof(fdinfo_path), "/proc/self/fdinfo/%d",
		 s->session);
	drive(s, &op);
	open_queue(s, 4, QUEUE_MAX, 0);
	snprintf(fdinfo_path, sizeof(fdinfo_path), "/proc/self/fdinfo/%d",
		 s->sfd);
	strcpy(op.name, "fdinfo of a right");
	op.subject = &a_queue;
	op.prepare = prepare_two;
	drive(s, &op);
}

/*
 * Polling
 */
#define NR_POLL	64

static struct pollfd pollfds[NR_POLL];

static long call_poll(struct scene *s, const struct action *op)
{
	int i;

	(void)op;
	for (i = 0; i < NR_POLL; i++) {
		pollfds[i].fd = i & 1 ? s->rfd : s->sfd;
		pollfds[i].events = i & 1 ? POLLIN : POLLERR;
		pollfds[i].revents = 0x7777;
	}
	return sys_result(poll(pollfds, NR_POLL, 1));
}

static bool settle_poll(struct scene *s, const struct action *op, long ret)
{
	bool fine = true;

	(void)op;
	if (ret > 0) {
		SCENE_FAIL(s, "poll finds events where there are none");
		fine = false;
	}
	return drain(s) && fine;
}

TEST_F_TIMEOUT(failnth, poll, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.name = "poll",
		.subject = &a_queue,
		.call = call_poll,
		.settle = settle_poll,
		/* The list, and the page that remembers where it waits. */
		.need_slab = 1,
		.need_pages = true,
		.need_fault = 1,
	};

	NEED_INJECTION();
	open_queue(s, 4, QUEUE_MAX, 0);
	drive(s, &op);
}

static int epoll_fd = -1, epoll_target = -1;

static long call_epoll(struct scene *s, const struct action *op)
{
	struct epoll_event ev = { .events = (uint32_t)op->way };

	(void)s;
	return sys_result(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, epoll_target, &ev));
}

/* Who was added is told of a message or of room, who was not is not. */
static bool settle_epoll(struct scene *s, const struct action *op, long ret)
{
	struct epoll_event ev = {};
	bool fine = true;
	int n;

	if (epoll_target == s->rfd)
		put(s, 10, 0);
	n = epoll_wait(epoll_fd, &ev, 1, 0);
	if (n != !ret) {
		SCENE_FAIL(s, "epoll_ctl gave %ld, and epoll_wait %d events",
			   ret, n);
		fine = false;
	}
	n = epoll_ctl(epoll_fd, EPOLL_CTL_DEL, epoll_target, &ev) ? -errno : 0;
	if (n != (ret ? -ENOENT : 0)) {
		SCENE_FAIL(s, "epoll_ctl gave %ld, and removing it %d", ret, n);
		fine = false;
	}
	(void)op;
	return drain(s) && fine;
}

TEST_F_TIMEOUT(failnth, epoll, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.subject = &a_queue,
		.call = call_epoll,
		.settle = settle_epoll,
		.need_slab = 1,
		.need_fault = 1,
	};

	NEED_INJECTION();
	open_queue(s, 4, QUEUE_MAX, 0);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_GE(epoll_fd, 0);
	strcpy(op.name, "epoll_ctl of a receive right");
	op.way = EPOLLIN;
	epoll_target = s->rfd;
	drive(s, &op);
	strcpy(op.name, "epoll_ctl of a send right");
	op.way = EPOLLOUT;
	epoll_target = s->sfd;
	drive(s, &op);
	close(epoll_fd);
}

/*
 * Closing: nothing in it may fail.
 */
static int other_end = -1;

/* A queue of TEST_UID's with messages of all kinds. */
static void prepare_closing(struct scene *s, const struct action *op)
{
	const uint32_t lens[] = { 10, 3000, 5000, 20000 };
	int rfd = -1, sfd = -1, ret, session;
	unsigned int i;

	if (closing >= 0)
		return;
	pay_as(TEST_UID);
	session = mbuf_open();
	ret = session < 0 ? session :
	      mbuf_queue_create(session, 8, QUEUE_MAX, MBUF_QUEUE_CREDS, &rfd,
				&sfd);
	for (i = 0; i < ARRAY_SIZE(lens) && !ret; i++)
		ret = mbuf_send(sfd, s->in, lens[i], MBUF_NOW);
	pay_as(0);
	if (ret)
		SCENE_FAIL(s, "cannot make a queue: %s", mbuf_strerror(ret));
	close(session);
	closing = op->way ? sfd : rfd;
	other_end = op->way ? rfd : sfd;
}

static bool settle_closing(struct scene *s, const struct action *op, long ret)
{
	bool fine = ret == -ECANCELED || !ret;
	unsigned int n = 0;
	ssize_t got;

	if (ret != -ECANCELED && !op->way) {
		got = mbuf_send(other_end, "x", 1, MBUF_NOW);
		fine = fine && got == -EPIPE;
	} else if (ret != -ECANCELED) {
		while ((got = mbuf_recv(other_end, s->out, QUEUE_MAX,
					MBUF_FOREVER)) > 0)
			n++;
		fine = fine && got == -EPIPE && n == 4;
	}
	if (!fine)
		SCENE_FAIL(s, "close gives %ld, and the other end sees %zd after %u messages",
			   ret, got, n);
	close_fd(&closing);
	close_fd(&other_end);
	return fine;
}

TEST_F_TIMEOUT(failnth, close_right, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.name = "close of the last receive right",
		.prepare = prepare_closing,
		.call = call_close,
		.settle = settle_closing,
		.other_user = true,
	};

	NEED_INJECTION();
	closing = -1;
	drive(s, &op);
	op.way = 1;
	strcpy(op.name, "close of the last send right");
	drive(s, &op);
}

TEST_HARNESS_MAIN
