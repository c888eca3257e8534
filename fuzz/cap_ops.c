// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls on tables, handles, messages with capabilities, message objects and
 * keys. Handles are small numbers that programs choose, so that they meet, or
 * paths of two: see handle_vals.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/mbuf.h>
#include "fields.h"
#include "fuzz.h"

/* Where each call writes the path that handles may be: into table 2. */
#define PATH_AT		(ARENA_BASE + 120 * PAGE)
#define PATH		(MBUF_HANDLE_PATH | PATH_AT)

static const uint64_t handle_vals[] = {
	1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, PATH, PATH,
	MBUF_INDEX_MAX, MBUF_INDEX_MAX + 1,
};

static const uint64_t table_vals[] = { 0, 0, 0, 0, 0, 2, 2, 2, 3, PATH };
static const uint64_t index_vals[] = {
	0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, MBUF_INDEX_MAX,
	MBUF_INDEX_MAX + 1,
};

/* On a queue's own descriptor there is no target. */
static const uint64_t target_vals[] = { 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, PATH };

#define FIELDS(_kinds, _targets)					\
	[IOCTL_ON] = { .name = "on", .type = A_FD, .kinds = (_kinds) },	\
	{ .name = "target", .type = A_NUM, VALS(_targets) },		\
	{ .name = "size", .type = A_NUM, .rare = 3, VALS(ioctl_sizes) }, \
	{ .name = "tail", .type = A_NUM, .rare = 8, VALS(bit_vals) },	\
	{ .name = "at", .type = A_PTR, .rare = 5 },			\
	{ .name = "compat", .type = A_NUM, .rare = 8, VALS(true_vals) }, \
	{ .name = "resv", .type = A_NUM, .rare = 3, .max = 40 }

static void path_fill(struct ctx *c, const struct value *arg, void *st)
{
	const uint64_t path[] = { 2, 2, 1 };

	(void)c;
	(void)arg;
	(void)st;
	mem_write(PATH_AT, path, sizeof(path));
}

/*
 * Capabilities: two of them, each a descriptor, or a handle if there is a
 * number, which is moved if it is above 8.
 */
static const uint64_t cap_vals[] = {
	0, 0, 0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14,
};

static const uint64_t nr_vals[] = { 0, 0, 1, 1, 1, 2, 2, 2, 3, 64, 65 };
static const uint64_t room_vals[] = { 0, 1, 2, 2, 2, 4, 4, 64, 1024, 1025 };
static const uint64_t stride_vals[] = { 40, 40, 48, 256, 264, 32, 0 };
static const uint64_t len_vals[] = { 1, 8, 8, 8, 8, 64, 64, 4096, 4097, 65536,
				     0 };
static const uint64_t prio_vals[] = { 0, 0, 1, 63, 64 };

#define K_CAP		(K_SEND | K_RECV | K_END | K_REGION | K_SESSION |	\
			 K_EPOLL | K_MEMFD | K_LISTENER)

#define CAP_ARGS							\
	{ .name = "f0", .type = A_FD, .kinds = K_CAP },			\
	{ .name = "h0", .type = A_NUM, VALS(cap_vals) },		\
	{ .name = "f1", .type = A_FD, .kinds = K_CAP },			\
	{ .name = "h1", .type = A_NUM, VALS(cap_vals) }

static void caps_write(const struct value *arg, uint64_t at, uint32_t *nr,
		       uint32_t *stride)
{
	unsigned int i;

	/* As it is for none. */
	if (!*nr)
		*stride = 0;
	for (i = 0; i < *nr && i < 4; i++) {
		uint64_t h = arg[i % 2 * 2 + 1].n;
		struct mbuf_cap cap = {
			.ref.fd = slot_fd(arg[i % 2 * 2].n),
		};

		if (h) {
			cap.ref = (struct mbuf_ref){
				.fd = -1, .flags = MBUF_REF_HANDLE,
				.handle = h > 8 ? h - 8 : h,
			};
			cap.flags = h > 8 ? MBUF_CAP_MOVE : 0;
		}
		mem_write(at + (uint64_t)i * *stride, &cap, sizeof(cap));
	}
}

/* What has come: the first descriptor is kept, others stay open. */
static void caps_read(const char *name, uint64_t at, uint32_t nr,
		      uint32_t stride, uint64_t slot)
{
	bool kept = false;
	unsigned int i;

	for (i = 0; i < nr && i < 4; i++) {
		struct mbuf_cap cap;

		if (!mem_read(&cap, at + (uint64_t)i * stride, sizeof(cap)))
			return;
		feature(mix(16ULL << 60 | (uint64_t)cap.type << 16 |
			    (cap.ref.flags & 1) << 1 | !cap.error));
		if (cap.error > 0 || cap.type > MBUF_CAP_SEALED)
			complain("%s: error %d, type %u", name, cap.error,
				 cap.type);
		if (cap.ref.fd < 0 || cap.ref.flags || cap.error || kept)
			continue;
		slot_set(slot, cap.ref.fd);
		kept = true;
	}
}

enum { X_MODE = IOCTL_NR, X_TIME, X_CLOCK, X_FLAGS, X_NR, X_CAPS, X_STRIDE,
	X_BUF, X_LEN, X_PRIO, X_MSG_FLAGS, X_TABLE, X_MORE };

#define XFER_ARGS(_kinds, _flags, _nrs)					\
	FIELDS(_kinds, target_vals),					\
	[X_MODE] = { .name = "mode", .type = A_NAME, .names = mode_names, \
		     VALS(mode_vals), FIELD(mbuf_xfer_caps, wait.mode) }, \
	{ .name = "time", .type = A_TIME, .rare = 1,			\
	  FIELD(mbuf_xfer_caps, wait.deadline) },			\
	NUM("clock", mbuf_xfer_caps, wait.clock, .rare = 1, VALS(one_vals)), \
	FLAGS("flags", mbuf_xfer_caps, flags, _flags, .max = 7),	\
	NUM("nr_caps", mbuf_xfer_caps, nr_caps, VALS(_nrs)),		\
	PTR("caps", mbuf_xfer_caps, caps),				\
	NUM("stride", mbuf_xfer_caps, stride, .def = { V_NUM, 40 },	\
	    .rare = 10, VALS(stride_vals)),				\
	PTR("buf", mbuf_xfer_caps, msg.buf),				\
	NUM("len", mbuf_xfer_caps, msg.len, VALS(len_vals)),		\
	NUM("prio", mbuf_xfer_caps, msg.prio, .rare = 10, VALS(prio_vals)), \
	NUM("msg_flags", mbuf_xfer_caps, msg.flags, .rare = 2,		\
	    VALS(one_vals)),						\
	IN("table", mbuf_xfer_caps, table.fd, K_SESSION)

static const uint64_t no_flags[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
static const uint64_t recv_flags[] = {
	0, 0, 0, MBUF_RECV_LOOK, MBUF_RECV_HANDLES, MBUF_RECV_DROP,
};

static const struct arg_spec send_caps_args[] = {
	XFER_ARGS(K_SEND | K_SESSION, no_flags, nr_vals), CAP_ARGS,
};

static const struct arg_spec recv_caps_args[] = {
	XFER_ARGS(K_RECV | K_SESSION, recv_flags, room_vals),
	{ .name = "out", .type = A_OUT, .kinds = K_SEND },
};

static void send_caps_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_xfer_caps *x = st;

	path_fill(c, arg, st);
	caps_write(&arg[X_MORE], x->caps, &x->nr_caps, &x->stride);
	if (!x->nr_caps)
		x->caps = 0;
	if (!arg[IOCTL_TARGET].n)
		may_wait(c, arg[IOCTL_ON].n, WAIT_SEND);
}

static void recv_caps_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_xfer_caps *x = st;

	path_fill(c, arg, st);
	if (!x->nr_caps) {
		x->caps = 0;
		x->stride = 0;
	}
	if (!arg[IOCTL_TARGET].n)
		may_wait(c, arg[IOCTL_ON].n, WAIT_RECV);
}

static void recv_caps_check(struct ctx *c, const struct value *arg,
			    const void *st, long ret)
{
	const struct mbuf_xfer_caps *x = st;
	uint32_t asked = arg[X_NR].n;

	(void)c;
	if (ret)
		return;
	if (x->nr_caps > asked && !(arg[X_FLAGS].n & MBUF_RECV_DROP))
		complain("RECV_CAPS: %u in room for %u", x->nr_caps, asked);
	if (shm->prog.nr_workers == 1 && x->stride >= sizeof(struct mbuf_cap))
		caps_read("RECV_CAPS", x->caps, x->nr_caps < asked ?
			  x->nr_caps : asked, x->stride, arg[X_MORE].n);
}

#define HANDLE_ERRORS	ENOENT, ENOTDIR, EACCES, EKEYREVOKED, EBUSY, ENOTTY
#define NEW_ERRORS	HANDLE_ERRORS, EEXIST, EDQUOT, ELOOP, ENOSPC
#define CAPS_ERRORS	EPERM, EMSGSIZE, ELOOP, EDQUOT

static const int send_errors[] = {
	HANDLE_ERRORS, CAPS_ERRORS, EPIPE, EAGAIN, ETIMEDOUT, EINTR, ENOBUFS, 0
};

static const int recv_errors[] = {
	NEW_ERRORS, EMSGSIZE, EPIPE, EAGAIN, ETIMEDOUT, EINTR, EMFILE, ENFILE, 0
};

static const int new_errors[] = { NEW_ERRORS, EPERM, 0 };
static const int handle_errors[] = { HANDLE_ERRORS, 0 };
static const int open_errors[] = { HANDLE_ERRORS, EMFILE, ENFILE, 0 };

/* Tables ------------------------------------------------------------------ */

#define INDEX(_struct)	NUM("index", _struct, handle, VALS(index_vals))
#define NO_FLAGS(_struct) \
	NUM("flags", _struct, flags, .rare = 1, VALS(one_vals))

static const uint64_t rights_vals[] = {
	0, 0, 0, MBUF_RIGHT_COPY, MBUF_RIGHT_PASS, MBUF_RIGHT_OPEN,
	MBUF_RIGHT_SEND, MBUF_RIGHT_RECV, MBUF_RIGHT_LOOKUP, MBUF_RIGHT_MODIFY,
	MBUF_RIGHT_SEAL, MBUF_RIGHT_UNSEAL,
};

static const struct arg_spec table_create_args[] = {
	FIELDS(K_SESSION, table_vals), INDEX(mbuf_table_create),
	NO_FLAGS(mbuf_table_create),
};

static const struct arg_spec handle_put_args[] = {
	FIELDS(K_SESSION, table_vals), IN("ref", mbuf_handle_put, ref.fd, K_CAP),
	INDEX(mbuf_handle_put),
	FLAGS("rights", mbuf_handle_put, rights, rights_vals, .rare = 30),
};

static const struct arg_spec handle_open_args[] = {
	FIELDS(K_SESSION, handle_vals),
	OUT("ref", mbuf_handle_open, ref.fd, K_SEND), NO_FLAGS(mbuf_handle_open),
};

#define COPY_ARGS							\
	FIELDS(K_SESSION, table_vals),					\
	NUM("from", mbuf_handle_copy, from, VALS(handle_vals)),		\
	INDEX(mbuf_handle_copy),					\
	FLAGS("rights", mbuf_handle_copy, rights, rights_vals, .rare = 30)

static const struct arg_spec handle_copy_args[] = { COPY_ARGS };
static const struct arg_spec handle_move_args[] = { COPY_ARGS };

#define HANDLE_ARGS	FIELDS(K_SESSION, handle_vals), NO_FLAGS(mbuf_handle)

static const struct arg_spec handle_delete_args[] = { HANDLE_ARGS };
static const struct arg_spec handle_revoke_args[] = { HANDLE_ARGS };
static const struct arg_spec message_cancel_args[] = { HANDLE_ARGS };

static const uint64_t info_vals[] = { 0, 1, 2, 3, 4, 5, 6, PATH };

static const struct arg_spec handle_info_args[] = {
	FIELDS(K_SESSION, info_vals),
};

static void handle_info_check(struct ctx *c, const struct value *arg,
			      const void *st, long ret)
{
	const struct mbuf_handle_info *i = st;

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (i->type > MBUF_CAP_SEALED || i->resv ||
	    (i->type == MBUF_CAP_NONE && (i->id || i->rights || i->size)))
		complain("HANDLE_INFO: type %u, rights 0x%x, size %llu",
			 i->type, i->rights, (unsigned long long)i->size);
	feature(mix(17ULL << 60 | (uint64_t)i->type << 16 | i->rights));
}

static const uint64_t list_vals[] = { 1, 1, 2, 4, 16, 1024, 1025, 0 };
static const uint64_t entry_vals[] = { 24, 24, 32, 256, 264, 16 };

static const struct arg_spec table_list_args[] = {
	FIELDS(K_SESSION, table_vals),
	NUM("start", mbuf_table_list, start, VALS(index_vals)),
	PTR("entries", mbuf_table_list, entries),
	NUM("nr", mbuf_table_list, nr, VALS(list_vals)),
	NUM("stride", mbuf_table_list, stride, .def = { V_NUM, 24 }, .rare = 10,
	    VALS(entry_vals)),
};

/* Message objects --------------------------------------------------------- */

static const uint64_t max_vals[] = { 0, 8, 64, 64, 64, 4096, 4097, 65536,
				     (16 << 20) + 1 };
static const uint64_t few_vals[] = { 0, 0, 1, 2, 2, 64, 65 };

static const struct arg_spec message_create_args[] = {
	FIELDS(K_SESSION, table_vals), INDEX(mbuf_message_create),
	NUM("max_msg", mbuf_message_create, max_msg, VALS(max_vals)),
	NUM("max_caps", mbuf_message_create, max_caps, VALS(few_vals)),
	NUM("inbox_msg", mbuf_message_create, inbox_msg, VALS(max_vals)),
	NUM("inbox_caps", mbuf_message_create, inbox_caps, VALS(few_vals)),
	NO_FLAGS(mbuf_message_create),
	IN("sent", mbuf_message_create, sent.fd, K_END),
	IN("arrived", mbuf_message_create, arrived.fd, K_END),
	/* not told: 1 when sent, 2 when arrived; 4 and 8: an eventfd instead */
	{ .name = "nobody", .type = A_NUM, .max = 15 },
};

enum { C_NOBODY = IOCTL_NR + 8 };

static int event_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return fd;
}

static void message_create_fill(struct ctx *c, const struct value *arg,
				void *st)
{
	struct mbuf_message_create *m = st;
	unsigned int nobody = arg[C_NOBODY].n;

	path_fill(c, arg, st);
	/* Programs of one process: a descriptor that others do not know. */
	if (nobody & 4)
		m->sent.fd = event_fd();
	if (nobody & 8)
		m->arrived.fd = event_fd();
	if (nobody & 1)
		m->sent.fd = -1;
	if (nobody & 2 || !m->inbox_msg)
		m->arrived.fd = -1;
	if (!m->inbox_msg)
		m->inbox_caps = 0;
}

static const int message_create_errors[] = { NEW_ERRORS, EPERM, EMFILE,
					     ENFILE, 0 };

enum { L_FLAGS = IOCTL_NR, L_NR, L_CAPS, L_STRIDE, L_BUF, L_LEN, L_PRIO,
	L_MSG_FLAGS, L_MORE };

static const struct arg_spec message_load_args[] = {
	FIELDS(K_SESSION, handle_vals),
	[L_FLAGS] = NO_FLAGS(mbuf_message_load),
	NUM("nr_caps", mbuf_message_load, nr_caps, VALS(nr_vals)),
	PTR("caps", mbuf_message_load, caps),
	NUM("stride", mbuf_message_load, stride, .def = { V_NUM, 40 },
	    .rare = 10, VALS(stride_vals)),
	PTR("buf", mbuf_message_load, msg.buf),
	NUM("len", mbuf_message_load, msg.len, VALS(len_vals)),
	NUM("prio", mbuf_message_load, msg.prio, .rare = 10, VALS(prio_vals)),
	NUM("msg_flags", mbuf_message_load, msg.flags, .rare = 2,
	    VALS(one_vals)),
	CAP_ARGS,
};

static void message_load_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_message_load *l = st;

	path_fill(c, arg, st);
	caps_write(&arg[L_MORE], l->caps, &l->nr_caps, &l->stride);
	if (!l->nr_caps)
		l->caps = 0;
}

static const int message_load_errors[] = { HANDLE_ERRORS, CAPS_ERRORS, EINTR,
					   0 };

static const uint64_t by_handle[] = { 0, 0, 0, 1, 2, 3, 4, 5, PATH };

enum { Q_DEST = IOCTL_NR, Q_BY };

static const struct arg_spec message_enqueue_args[] = {
	FIELDS(K_SESSION, handle_vals),
	IN("dest", mbuf_message_enqueue, dest.fd, K_SEND),
	/* or a handle */
	{ .name = "by", .type = A_NUM, VALS(by_handle) },
	NO_FLAGS(mbuf_message_enqueue),
};

static void message_enqueue_fill(struct ctx *c, const struct value *arg,
				 void *st)
{
	struct mbuf_message_enqueue *q = st;

	path_fill(c, arg, st);
	if (arg[Q_BY].n)
		q->dest = (struct mbuf_ref){
			.fd = -1, .flags = MBUF_REF_HANDLE,
			.handle = arg[Q_BY].n,
		};
	ends_within(c, 0);
}

static void message_enqueue_check(struct ctx *c, const struct value *arg,
				  const void *st, long ret)
{
	(void)c;
	(void)arg;
	(void)st;
	if (ret > 1)
		complain("MESSAGE_ENQUEUE returned %ld", ret);
	if (ret >= 0)
		feature(mix(18ULL << 60 | (uint64_t)ret));
}

static const int message_enqueue_errors[] = {
	HANDLE_ERRORS, ENODATA, EPIPE, EMSGSIZE, EPERM, ENOBUFS, ELOOP, 0
};

static const int message_cancel_errors[] = { HANDLE_ERRORS, EALREADY, 0 };

static const struct arg_spec message_info_args[] = {
	FIELDS(K_SESSION, handle_vals),
};

static void message_info_check(struct ctx *c, const struct value *arg,
			       const void *st, long ret)
{
	const struct mbuf_message_info *i = st;
	const bool parked = i->state == MBUF_MESSAGE_PARKED;

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (!i->id || i->state > MBUF_MESSAGE_PARKED ||
	    (i->error && i->error != -EPIPE) ||
	    parked != !!i->dest ||
	    i->len > i->max_msg || i->nr_caps > i->max_caps ||
	    (i->state != MBUF_MESSAGE_LOADED && (i->len || i->error)))
		complain("MESSAGE_INFO: state %u, error %d, %u bytes, %u caps, in line at %llu",
			 i->state, i->error, i->len, i->nr_caps,
			 (unsigned long long)i->dest);
	feature(mix(19ULL << 60 | i->state << 8 | !!i->error << 7 |
		    !!i->inbox << 6 | !!i->nr_caps << 5 | !!i->delivered));
}

static const uint64_t grant_flags[] = { 0, MBUF_GRANT_ONCE };

static const struct arg_spec message_grant_args[] = {
	FIELDS(K_SESSION, handle_vals),
	NUM("table", mbuf_message_grant, table, VALS(table_vals)),
	INDEX(mbuf_message_grant),
	FLAGS("flags", mbuf_message_grant, flags, grant_flags, .max = 1),
};

static const int message_grant_errors[] = { NEW_ERRORS, ENFILE, 0 };

/* Keys -------------------------------------------------------------------- */

static const struct arg_spec key_create_args[] = {
	FIELDS(K_SESSION, table_vals), INDEX(mbuf_key_create),
	NO_FLAGS(mbuf_key_create),
};

enum { S_TABLE = IOCTL_NR, S_INDEX, S_PAD, S_NR, S_CAPS, S_STRIDE, S_BUF,
	S_LEN, S_FLAGS, S_MORE };

static const uint64_t pad_vals[] = { 0, 0, 1, 64, 4096, 1 << 24,
				     (1 << 24) + 1 };

static const struct arg_spec seal_args[] = {
	FIELDS(K_SESSION, handle_vals),
	[S_TABLE] = NUM("table", mbuf_seal, table, VALS(table_vals)),
	INDEX(mbuf_seal),
	NUM("pad", mbuf_seal, pad, .rare = 20, VALS(pad_vals)),
	NUM("nr_caps", mbuf_seal, nr_caps, VALS(nr_vals)),
	PTR("caps", mbuf_seal, caps),
	NUM("stride", mbuf_seal, stride, .def = { V_NUM, 40 }, .rare = 10,
	    VALS(stride_vals)),
	PTR("buf", mbuf_seal, buf),
	NUM("len", mbuf_seal, len, VALS(len_vals)),
	NO_FLAGS(mbuf_seal),
	CAP_ARGS,
};

static void seal_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_seal *s = st;

	path_fill(c, arg, st);
	caps_write(&arg[S_MORE], s->caps, &s->nr_caps, &s->stride);
	if (!s->nr_caps)
		s->caps = 0;
}

static const int seal_errors[] = { NEW_ERRORS, EPERM, EMSGSIZE, EINTR, 0 };

enum { U_SEALED = IOCTL_NR, U_FLAGS, U_NR, U_CAPS, U_STRIDE, U_BUF, U_LEN,
	U_OUT };

static const uint64_t unseal_flags[] = { 0, 0, MBUF_RECV_HANDLES };

static const struct arg_spec unseal_args[] = {
	FIELDS(K_SESSION, handle_vals),
	[U_SEALED] = NUM("sealed", mbuf_unseal, sealed, VALS(handle_vals)),
	FLAGS("flags", mbuf_unseal, flags, unseal_flags, .max = 3),
	NUM("nr_caps", mbuf_unseal, nr_caps, VALS(room_vals)),
	PTR("caps", mbuf_unseal, caps),
	NUM("stride", mbuf_unseal, stride, .def = { V_NUM, 40 }, .rare = 10,
	    VALS(stride_vals)),
	PTR("buf", mbuf_unseal, buf),
	NUM("len", mbuf_unseal, len, VALS(len_vals)),
	{ .name = "out", .type = A_OUT, .kinds = K_SEND },
};

static void unseal_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_unseal *u = st;

	path_fill(c, arg, st);
	if (!u->nr_caps) {
		u->caps = 0;
		u->stride = 0;
	}
}

static void unseal_check(struct ctx *c, const struct value *arg,
			 const void *st, long ret)
{
	const struct mbuf_unseal *u = st;

	(void)c;
	if (ret)
		return;
	if (u->len > (uint32_t)arg[U_LEN].n ||
	    u->nr_caps > (uint32_t)arg[U_NR].n)
		complain("UNSEAL: %u bytes, %u capabilities", u->len,
			 u->nr_caps);
	if (shm->prog.nr_workers == 1 && u->stride >= sizeof(struct mbuf_cap))
		caps_read("UNSEAL", u->caps, u->nr_caps, u->stride,
			  arg[U_OUT].n);
}

static const int unseal_errors[] = {
	NEW_ERRORS, EKEYREJECTED, EMSGSIZE, EMFILE, ENFILE, EINTR, 0
};

const struct op cap_ops[] = {
	CALL(send_caps, SEND_CAPS, 20, OP_TIMED, .fill = send_caps_fill,
	     .errors = send_errors),
	CALL(recv_caps, RECV_CAPS, 20, OP_TIMED, .fill = recv_caps_fill,
	     .check = recv_caps_check, .errors = recv_errors),
	CALL(table_create, TABLE_CREATE, 8, OP_SETUP, .fill = path_fill,
	     .errors = new_errors),
	CALL(handle_put, HANDLE_PUT, 10, OP_SETUP, .fill = path_fill,
	     .errors = new_errors),
	CALL(handle_open, HANDLE_OPEN, 6, 0, .fill = path_fill,
	     .errors = open_errors),
	CALL(handle_copy, HANDLE_COPY, 10, OP_SETUP, .fill = path_fill,
	     .errors = new_errors),
	CALL(handle_move, HANDLE_MOVE, 10, 0, .fill = path_fill,
	     .errors = new_errors),
	CALL(handle_delete, HANDLE_DELETE, 8, 0, .fill = path_fill,
	     .errors = handle_errors),
	CALL(handle_revoke, HANDLE_REVOKE, 6, 0, .fill = path_fill,
	     .errors = handle_errors),
	CALL(handle_info, HANDLE_INFO, 6, OP_SETUP, .fill = path_fill,
	     .check = handle_info_check, .errors = handle_errors),
	CALL(table_list, TABLE_LIST, 4, 0, .fill = path_fill,
	     .errors = handle_errors),
	CALL(message_create, MESSAGE_CREATE, 10, OP_SETUP,
	     .fill = message_create_fill, .errors = message_create_errors),
	CALL(message_load, MESSAGE_LOAD, 14, OP_SETUP,
	     .fill = message_load_fill, .errors = message_load_errors),
	CALL(message_enqueue, MESSAGE_ENQUEUE, 20, OP_SETUP,
	     .fill = message_enqueue_fill, .check = message_enqueue_check,
	     .errors = message_enqueue_errors),
	CALL(message_cancel, MESSAGE_CANCEL, 8, 0, .fill = path_fill,
	     .errors = message_cancel_errors),
	CALL(message_info, MESSAGE_INFO, 8, OP_SETUP, .fill = path_fill,
	     .check = message_info_check, .errors = handle_errors),
	CALL(message_grant, MESSAGE_GRANT, 8, OP_SETUP, .fill = path_fill,
	     .errors = message_grant_errors),
	CALL(key_create, KEY_CREATE, 6, OP_SETUP, .fill = path_fill,
	     .errors = new_errors),
	CALL(seal, SEAL, 10, OP_SETUP, .fill = seal_fill,
	     .errors = seal_errors),
	CALL(unseal, UNSEAL, 10, 0, .fill = unseal_fill,
	     .check = unseal_check, .errors = unseal_errors),
	{ .name = NULL },
};
