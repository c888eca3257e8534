// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever can fail in calls on tables, messages with capabilities, message
 * objects and keys does; see failnth.h.
 *
 * Each round has a session of its own, with all that calls need in it: what is
 * left of a call is seen when it is closed. A call that has failed is made
 * again, and has to succeed then. ENQUEUE must not fail for want of memory.
 */
#include "../cap.h"
#include "failnth.h"

#define LARGE	8192

/* Handles in a round's session. */
enum {
	H_FILE = 1, H_TABLE, H_RECV, H_KEY, H_SEALED, H_MESSAGE, H_LARGE,
	H_PARKED, H_INBOX, H_RIGHT, H_REPLY, H_MOVED, H_FRESH = 50,
};

/* A round's session, queue and the queue that is full. */
static int cs = -1, rfd = -1, sfd = -1, own_sfd = -1, full_rfd = -1;
static int full_sfd = -1, efd = -1, first_free;
static uint64_t caps_before, caps_ready;

static struct mbuf_cap caps[4];
static char text[LARGE], room[LARGE];

/* Room for any struct. */
static union {
	struct mbuf_queue_create queue;
	struct mbuf_xfer xfer;
	struct mbuf_xfer_caps xcaps;
	struct mbuf_table_create table;
	struct mbuf_handle_put put;
	struct mbuf_handle_open open;
	struct mbuf_handle_copy copy;
	struct mbuf_handle handle;
	struct mbuf_handle_info info;
	struct mbuf_table_list list;
	struct mbuf_message_create message;
	struct mbuf_message_load load;
	struct mbuf_message_enqueue enqueue;
	struct mbuf_message_info minfo;
	struct mbuf_message_grant grant;
	struct mbuf_key_create key;
	struct mbuf_seal seal;
	struct mbuf_unseal unseal;
} arg;

/* What a message carries: two descriptors, and a handle that is (re)moved. */
static void three_caps(void)
{
	caps[0] = mbuf_cap_fd(efd);
	caps[1] = mbuf_cap_handle(H_FILE);
	caps[2] = mbuf_cap_move(H_MOVED);
}

static void no_caps(void)
{
	memset(caps, 0, sizeof(caps));
}

#define CAPS_ARRAY(_nr)							\
	.nr_caps = (_nr), .caps = (uintptr_t)caps, .stride = sizeof(caps[0])

static void fill_queue(void)
{
	arg.queue = (struct mbuf_queue_create){
		.slots = 2, .max_msg = 64, .max_caps = 2,
		.flags = MBUF_QUEUE_CAPS | MBUF_QUEUE_HANDLE,
	};
}

static void fill_send_caps(void)
{
	three_caps();
	arg.xcaps = (struct mbuf_xfer_caps){
		.wait.mode = MBUF_WAIT_NOW, CAPS_ARRAY(3), .table.fd = cs,
		.msg = { .buf = (uintptr_t)text, .len = 8 },
	};
}

static void fill_recv_caps(void)
{
	struct mbuf_msg msg = { .buf = (uintptr_t)text, .len = 8 };

	three_caps();
	mbuf_send_caps(sfd, &msg, caps, 3, cs, MBUF_NOW);
	no_caps();
	arg.xcaps = (struct mbuf_xfer_caps){
		.wait.mode = MBUF_WAIT_NOW, CAPS_ARRAY(4), .table.fd = cs,
		.msg = { .buf = (uintptr_t)room, .len = sizeof(room) },
	};
}

static void fill_recv_handles(void)
{
	fill_recv_caps();
	arg.xcaps.flags = MBUF_RECV_HANDLES;
}

static void fill_look(void)
{
	fill_recv_caps();
	arg.xcaps.flags = MBUF_RECV_LOOK;
}

static void fill_table(void)
{
	arg.table = (struct mbuf_table_create){ .target = H_TABLE };
}

static void fill_put(void)
{
	arg.put = (struct mbuf_handle_put){ .target = H_TABLE, .ref.fd = efd };
}

static void fill_put_far(void)
{
	fill_put();
	arg.put.handle = MBUF_INDEX_MAX;
}

static void fill_open(void)
{
	arg.open = (struct mbuf_handle_open){ .target = H_FILE };
}

static void fill_open_recv(void)
{
	arg.open = (struct mbuf_handle_open){ .target = H_RECV };
}

static void fill_copy(void)
{
	arg.copy = (struct mbuf_handle_copy){ .target = H_TABLE,
					      .from = H_FILE };
}

static void fill_move(void)
{
	arg.copy = (struct mbuf_handle_copy){ .target = H_TABLE,
					      .from = H_RECV };
}

static void fill_delete(void)
{
	arg.handle = (struct mbuf_handle){ .target = H_INBOX };
}

static void fill_revoke(void)
{
	arg.handle = (struct mbuf_handle){ .target = H_FILE };
}

static void fill_info(void)
{
	arg.info = (struct mbuf_handle_info){ .target = H_SEALED };
}

static void fill_list(void)
{
	arg.list = (struct mbuf_table_list){
		.entries = (uintptr_t)room, .nr = 16,
		.stride = sizeof(struct mbuf_handle_entry),
	};
}

static void fill_message(void)
{
	arg.message = (struct mbuf_message_create){
		.max_msg = LARGE, .max_caps = 2, .inbox_msg = 64,
		.inbox_caps = 1, .sent.fd = efd, .arrived.fd = efd,
	};
}

static void fill_load(void)
{
	three_caps();
	arg.load = (struct mbuf_message_load){
		.target = H_LARGE, CAPS_ARRAY(3),
		.msg = { .buf = (uintptr_t)text, .len = sizeof(text) },
	};
}

static void fill_enqueue(void)
{
	arg.enqueue = (struct mbuf_message_enqueue){
		.target = H_MESSAGE, .dest.fd = sfd,
	};
}

static void fill_enqueue_large(void)
{
	arg.enqueue = (struct mbuf_message_enqueue){
		.target = H_LARGE, .dest.fd = sfd,
	};
}

static void fill_enqueue_parked(void)
{
	arg.enqueue = (struct mbuf_message_enqueue){
		.target = H_LARGE, .dest.fd = full_sfd,
	};
}

static void fill_enqueue_reply(void)
{
	arg.enqueue = (struct mbuf_message_enqueue){
		.target = H_MESSAGE, .dest.fd = -1,
		.dest.flags = MBUF_REF_HANDLE, .dest.handle = H_REPLY,
	};
}

static void fill_cancel(void)
{
	arg.handle = (struct mbuf_handle){ .target = H_PARKED };
}

static void fill_minfo(void)
{
	arg.minfo = (struct mbuf_message_info){ .target = H_PARKED };
}

static void fill_grant(void)
{
	arg.grant = (struct mbuf_message_grant){ .target = H_INBOX };
}

static void fill_grant_once(void)
{
	arg.grant = (struct mbuf_message_grant){ .target = H_INBOX,
						 .flags = MBUF_GRANT_ONCE };
}

static void fill_reply(void)
{
	arg.xfer = (struct mbuf_xfer){
		.target = H_REPLY, .wait.mode = MBUF_WAIT_NOW,
		.msg = { .buf = (uintptr_t)text, .len = 8 },
	};
}

static void fill_recv_inbox(void)
{
	struct mbuf_msg msg = { .buf = (uintptr_t)text, .len = 8 };

	mbuf_handle_send(cs, H_RIGHT, &msg, NULL, 0, MBUF_NOW);
	arg.xfer = (struct mbuf_xfer){
		.target = H_INBOX, .wait.mode = MBUF_WAIT_NOW,
		.msg = { .buf = (uintptr_t)room, .len = sizeof(room) },
	};
}

static void fill_key(void)
{
	arg.key = (struct mbuf_key_create){ .target = H_TABLE };
}

static void fill_seal(void)
{
	three_caps();
	arg.seal = (struct mbuf_seal){
		.target = H_KEY, .table = H_TABLE, CAPS_ARRAY(2),
		.buf = (uintptr_t)text, .len = sizeof(text),
	};
}

static void fill_unseal(void)
{
	no_caps();
	arg.unseal = (struct mbuf_unseal){
		.target = H_KEY, .sealed = H_SEALED, CAPS_ARRAY(4),
		.buf = (uintptr_t)room, .len = sizeof(room),
	};
}

static void fill_unseal_handles(void)
{
	fill_unseal();
	arg.unseal.flags = MBUF_RECV_HANDLES;
}

/* Results */

static bool gone(uint64_t handle)
{
	struct mbuf_handle_info info;

	return mbuf_handle_info(cs, handle, &info) == -ENOENT;
}

static bool in_table(unsigned int nr)
{
	struct mbuf_handle_info info = {};

	return !mbuf_handle_info(cs, H_TABLE, &info) && info.size == nr;
}

static bool one_more(void)
{
	return in_table(1);
}

static bool sent_caps(void)
{
	return gone(H_MOVED) && get_info(rfd).next_caps == 3;
}

static bool taken(void)
{
	return !get_info(rfd).depth;
}

static bool still_there(void)
{
	return get_info(rfd).depth == 1;
}

static bool recv_moved(void)
{
	return gone(H_RECV) && in_table(1);
}

static bool recv_opened(void)
{
	return gone(H_RECV) && get_info(own_sfd).receivers == 1;
}

static bool inbox_gone(void)
{
	return gone(H_INBOX);
}

static bool loaded(void)
{
	struct mbuf_message_info info = {};

	return !mbuf_message_info(cs, H_LARGE, &info) && info.nr_caps == 3 &&
	       info.state == MBUF_MESSAGE_LOADED && gone(H_MOVED);
}

static bool delivered(void)
{
	return get_info(rfd).depth == 1;
}

static bool in_line(void)
{
	struct mbuf_message_info info = {};

	return !mbuf_message_info(cs, H_LARGE, &info) &&
	       info.state == MBUF_MESSAGE_PARKED &&
	       get_info(full_rfd).send_waiters == 2 &&
	       recv_num(full_rfd, MBUF_NOW) == 1 &&
	       get_info(full_rfd).send_waiters == 1;
}

static bool cancelled(void)
{
	return !get_info(full_rfd).send_waiters;
}

static bool reply_used(void)
{
	struct mbuf_queue_info info = {};

	return gone(H_REPLY) && !mbuf_handle_queue_info(cs, H_INBOX, &info) &&
	       info.depth == 1;
}

static bool inbox_empty(void)
{
	struct mbuf_queue_info info = {};

	return !mbuf_handle_queue_info(cs, H_INBOX, &info) && !info.depth;
}

static bool fine(void)
{
	return true;
}

enum on { ON_SESSION, ON_SEND, ON_RECV };

static const struct row {
	const char *name;
	unsigned long cmd;
	void (*fill)(void);
	bool (*check)(void);
	enum on on;
	long want;
	unsigned int slab, fault;
	/* Must not fail for want of memory. */
	bool no_memory;
	/* An error leaves a descriptor of which the caller was not told. */
	bool untold;
} rows[] = {
	{ "QUEUE_CREATE, a handle", MBUF_IOC_QUEUE_CREATE, fill_queue, fine,
	  .slab = 5, .fault = 2 },
	{ "SEND_CAPS", MBUF_IOC_SEND_CAPS, fill_send_caps, sent_caps, ON_SEND,
	  .slab = 4, .fault = 4 },
	{ "RECV_CAPS", MBUF_IOC_RECV_CAPS, fill_recv_caps, taken, ON_RECV,
	  .slab = 1, .fault = 1 },
	{ "RECV_CAPS, as handles", MBUF_IOC_RECV_CAPS, fill_recv_handles, taken,
	  ON_RECV, .slab = 2, .fault = 1 },
	{ "RECV_CAPS, only to look", MBUF_IOC_RECV_CAPS, fill_look, still_there,
	  ON_RECV, .fault = 1, .no_memory = true },
	{ "TABLE_CREATE", MBUF_IOC_TABLE_CREATE, fill_table, one_more,
	  .slab = 2, .fault = 2 },
	{ "HANDLE_PUT", MBUF_IOC_HANDLE_PUT, fill_put, one_more, .slab = 1,
	  .fault = 2 },
	{ "HANDLE_PUT, the last index", MBUF_IOC_HANDLE_PUT, fill_put_far,
	  one_more, .slab = 1, .fault = 2 },
	{ "HANDLE_OPEN", MBUF_IOC_HANDLE_OPEN, fill_open, fine, .fault = 2,
	  .untold = true },
	{ "HANDLE_OPEN, a receive right", MBUF_IOC_HANDLE_OPEN, fill_open_recv,
	  recv_opened, .fault = 2, .untold = true },
	{ "HANDLE_COPY", MBUF_IOC_HANDLE_COPY, fill_copy, one_more, .slab = 1,
	  .fault = 2 },
	{ "HANDLE_MOVE", MBUF_IOC_HANDLE_MOVE, fill_move, recv_moved,
	  .fault = 2 },
	{ "HANDLE_DELETE", MBUF_IOC_HANDLE_DELETE, fill_delete, inbox_gone,
	  .fault = 1, .no_memory = true },
	{ "HANDLE_REVOKE", MBUF_IOC_HANDLE_REVOKE, fill_revoke, fine,
	  .want = 1, .fault = 1, .no_memory = true },
	{ "HANDLE_INFO", MBUF_IOC_HANDLE_INFO, fill_info, fine, .fault = 2,
	  .no_memory = true },
	{ "TABLE_LIST", MBUF_IOC_TABLE_LIST, fill_list, fine, .want = 12,
	  .fault = 3, .no_memory = true },
	{ "MESSAGE_CREATE", MBUF_IOC_MESSAGE_CREATE, fill_message, fine,
	  .slab = 7, .fault = 2 },
	{ "MESSAGE_LOAD", MBUF_IOC_MESSAGE_LOAD, fill_load, loaded,
	  .slab = 3, .fault = 4 },
	{ "MESSAGE_ENQUEUE", MBUF_IOC_MESSAGE_ENQUEUE, fill_enqueue, delivered,
	  .fault = 1, .no_memory = true },
	{ "MESSAGE_ENQUEUE, large", MBUF_IOC_MESSAGE_ENQUEUE,
	  fill_enqueue_large, delivered, .fault = 1, .no_memory = true },
	{ "MESSAGE_ENQUEUE, parked", MBUF_IOC_MESSAGE_ENQUEUE,
	  fill_enqueue_parked, in_line, .want = 1, .fault = 1,
	  .no_memory = true },
	{ "MESSAGE_ENQUEUE, a reply", MBUF_IOC_MESSAGE_ENQUEUE,
	  fill_enqueue_reply, reply_used, .fault = 1, .no_memory = true },
	{ "MESSAGE_CANCEL", MBUF_IOC_MESSAGE_CANCEL, fill_cancel, cancelled,
	  .fault = 1, .no_memory = true },
	{ "MESSAGE_INFO", MBUF_IOC_MESSAGE_INFO, fill_minfo, fine, .fault = 2,
	  .no_memory = true },
	{ "MESSAGE_GRANT", MBUF_IOC_MESSAGE_GRANT, fill_grant, fine, .slab = 3,
	  .fault = 2 },
	{ "MESSAGE_GRANT, once", MBUF_IOC_MESSAGE_GRANT, fill_grant_once, fine,
	  .slab = 3, .fault = 2 },
	{ "SEND, a reply", MBUF_IOC_SEND, fill_reply, reply_used, .fault = 1,
	  .no_memory = true },
	{ "RECV, from an inbox", MBUF_IOC_RECV, fill_recv_inbox, inbox_empty,
	  .fault = 1, .no_memory = true },
	{ "KEY_CREATE", MBUF_IOC_KEY_CREATE, fill_key, one_more, .slab = 2,
	  .fault = 2 },
	{ "SEAL", MBUF_IOC_SEAL, fill_seal, one_more, .slab = 5, .fault = 4 },
	{ "UNSEAL", MBUF_IOC_UNSEAL, fill_unseal, fine, .slab = 3,
	  .fault = 2 },
	{ "UNSEAL, as handles", MBUF_IOC_UNSEAL, fill_unseal_handles, fine,
	  .slab = 4, .fault = 2 },
};

static uint64_t caps_used(struct scene *s)
{
	struct mbuf_query q = {};

	mbuf_query(s->session, &q);
	return q.caps.used;
}

static uint64_t objects_used(struct scene *s)
{
	struct mbuf_query q = {};

	mbuf_query(s->session, &q);
	return q.objects.used;
}

static uint64_t objects_before;

/* Everything that any of the rows needs. */
static int make_all(void)
{
	struct mbuf_message_create c;
	struct mbuf_queue_create q;
	struct mbuf_seal seal;
	uint64_t h;
	int ret = 0;

	efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cs = mbuf_open();
	q = (struct mbuf_queue_create){
		.slots = 2, .max_msg = LARGE, .flags = MBUF_QUEUE_CAPS,
		.max_caps = 4,
	};
	ret |= mbuf_queue_create_args(cs, &q);
	rfd = q.recv.fd;
	sfd = q.send.fd;
	ret |= mbuf_queue_create(cs, 1, LARGE, 0, &full_rfd, &full_sfd);
	ret |= send_num(full_sfd, 1, MBUF_NOW);
#define AT(_index)	(h = (_index), &h)
	ret |= mbuf_handle_put(cs, efd, 0, 0, AT(H_FILE));
	ret |= mbuf_table_create(cs, 0, AT(H_TABLE));
	q = (struct mbuf_queue_create){
		.slots = 1, .max_msg = 64, .max_caps = 1,
		.flags = MBUF_QUEUE_CAPS | MBUF_QUEUE_HANDLE,
	};
	q.recv.handle = 0;
	ret |= mbuf_queue_create_args(cs, &q);
	own_sfd = q.send.fd;
	if (q.recv.handle != H_RECV)
		return -EPROTO;
	ret |= mbuf_key_create(cs, 0, AT(H_KEY));
	caps[0] = mbuf_cap_fd(efd);
	caps[1] = mbuf_cap_handle(H_KEY);
	caps[2] = mbuf_cap_fd(sfd);
	seal = (struct mbuf_seal){
		.target = H_KEY, .handle = H_SEALED, CAPS_ARRAY(3),
		.buf = (uintptr_t)text, .len = sizeof(text),
	};
	ret |= mbuf_seal(cs, &seal);
#define MESSAGE(_handle, ...) do {					\
	c = (struct mbuf_message_create){ .handle = (_handle), __VA_ARGS__ }; \
	c.sent.fd = (_handle) == H_LARGE ? efd : -1;			\
	c.arrived.fd = -1;						\
	ret |= mbuf_message_create(cs, &c);				\
} while (0)
	MESSAGE(H_MESSAGE, .max_msg = 64);
	ret |= mbuf_message_load(cs, H_MESSAGE, text, 8, NULL, 0);
	MESSAGE(H_LARGE, .max_msg = LARGE, .max_caps = 4);
	ret |= mbuf_message_load(cs, H_LARGE, text, LARGE, NULL, 0);
	MESSAGE(H_PARKED, .max_msg = 64);
	ret |= mbuf_message_load(cs, H_PARKED, text, 8, NULL, 0);
	if (mbuf_message_enqueue(cs, H_PARKED, full_sfd) != 1)
		return -EPROTO;
	MESSAGE(H_INBOX, .inbox_msg = 64);
	ret |= mbuf_message_grant(cs, H_INBOX, 0, 0, AT(H_RIGHT));
	ret |= mbuf_message_grant(cs, H_INBOX, 0, MBUF_GRANT_ONCE,
				  AT(H_REPLY));
	ret |= mbuf_handle_copy(cs, H_FILE, 0, 0, AT(H_MOVED));
	return ret;
}

static void close_all(void)
{
	close_fd(&own_sfd);
	close_fd(&rfd);
	close_fd(&sfd);
	close_fd(&full_rfd);
	close_fd(&full_sfd);
	close_fd(&cs);
	close_fd(&efd);
}

static void prepare_caps(struct scene *s, const struct action *op)
{
	int ret;

	caps_before = caps_used(s);
	objects_before = objects_used(s);
	ret = make_all();
	if (ret)
		SCENE_FAIL(s, "cannot prepare: %d", ret);
	first_free = lowest_fd();
	rows[op->way].fill();
	caps_ready = caps_used(s);
}

/* What the call may have made: those of the round are all below. */
static void close_made(void)
{
	syscall(SYS_close_range, first_free, ~0U, 0);
}

static long call_caps(struct scene *s, const struct action *op)
{
	const struct row *row = &rows[op->way];
	int on = row->on == ON_SEND ? sfd : row->on == ON_RECV ? rfd : cs;

	(void)s;
	return xioctl(on, row->cmd, &arg);
}

static long call_row(struct scene *s, const struct action *op)
{
	long ret = call_caps(s, op);

	if (ret == -EFAULT && rows[op->way].untold)
		close_made();
	/* What has come to nothing is closed by a worker. */
	if (ret < 0 && !EVENTUALLY(caps_used(s) == caps_ready))
		SCENE_FAIL(s, "capabilities are left");
	return ret;
}

static bool settle_caps(struct scene *s, const struct action *op, long ret)
{
	const struct row *row = &rows[op->way];
	bool ok = true;

	if (ret == -ENOMEM && row->no_memory) {
		SCENE_FAIL(s, "%s needs memory", row->name);
		ok = false;
	}
	if (ret != -ECANCELED) {
		if (ret < 0) {
			close_made();
			ret = call_caps(s, op);
		}
		if (ret != row->want || !row->check()) {
			SCENE_FAIL(s, "%s gives %ld, and it is not done",
				   row->name, ret);
			ok = false;
		}
	}
	close_made();
	close_all();
	/* What was never received is closed by a worker. */
	if (!EVENTUALLY(caps_used(s) == caps_before &&
			objects_used(s) == objects_before)) {
		SCENE_FAIL(s, "capabilities or objects are left");
		ok = false;
	}
	return ok;
}

TEST_F_TIMEOUT(failnth, caps, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.prepare = prepare_caps,
		.call = call_row,
		.settle = settle_caps,
	};
	unsigned int i;

	NEED_INJECTION();
	fill_pattern(text, sizeof(text), 1);
	poison(room, sizeof(room));
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		op.way = (int)i;
		snprintf(op.name, sizeof(op.name), "%s", rows[i].name);
		op.need_slab = rows[i].slab;
		op.need_fault = rows[i].fault;
		drive(s, &op);
	}
}

TEST_HARNESS_MAIN
