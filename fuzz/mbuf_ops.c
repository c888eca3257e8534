// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls of mbuf's own: opening sessions, and all ioctls, each with every field
 * of its struct as an argument. A new object adds its ioctls here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/mbuf.h>
#include "fuzz.h"

/* A 32-bit program's call from a 64-bit one. */
#define COMPAT_IOCTL	54

static long compat_ioctl(int fd, unsigned int cmd, uint32_t ptr)
{
	long ret = COMPAT_IOCTL;

	__asm__ volatile("int $0x80" : "+a"(ret)
			 : "b"((long)fd), "c"((long)cmd), "d"((long)ptr)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

static long do_ioctl(int fd, unsigned int cmd, uint64_t ptr, bool compat)
{
	if (compat)
		return compat_ioctl(fd, cmd, ptr);
	return ret_of(syscall(SYS_ioctl, fd, cmd, ptr));
}

/* The first arguments, as of all ioctls; but @resv has a meaning of its own. */
enum { I_ON = IOCTL_ON, I_TARGET = IOCTL_TARGET, I_SIZE = IOCTL_SIZE,
	I_TAIL = IOCTL_TAIL, I_AT = IOCTL_AT, I_COMPAT = IOCTL_COMPAT, I_NR };

const uint64_t ioctl_sizes[48] = {
	8, 16, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 65, 68, 71, 72, 73,
	76, 79, 80, 84, 87, 88, 89, 92, 95, 96, 97, 100, 104, 108, 111, 112,
	113, 119, 120, 121, 124, 128, 136, 144, 152, 168, 200, 256, 4096, 16383,
};

const uint64_t ioctl_targets[2] = { 1, 0xffffffffffffffff };
const uint64_t bit_vals[2] = { 0, 1 };
const uint64_t true_vals[1] = { 1 };

#define size_vals	ioctl_sizes
#define target_vals	ioctl_targets
#define tail_vals	bit_vals
#define bool_vals	true_vals

#define IOCTL_ARGS(_kinds)						\
	[I_ON] = { .name = "on", .type = A_FD, .kinds = (_kinds) },	\
	[I_TARGET] = { .name = "target", .type = A_NUM, .rare = 1,	\
		       VALS(target_vals) },				\
	[I_SIZE] = { .name = "size", .type = A_NUM, .rare = 4,		\
		     VALS(size_vals) },					\
	[I_TAIL] = { .name = "tail", .type = A_NUM, .rare = 10,		\
		     VALS(tail_vals) },					\
	[I_AT] = { .name = "at", .type = A_PTR, .rare = 5 },		\
	[I_COMPAT] = { .name = "compat", .type = A_NUM, .rare = 10,	\
		       VALS(bool_vals) }

long mbuf_ioctl(struct ctx *c, const struct value *arg, unsigned int nr,
		void *st, size_t native)
{
	size_t size = arg[I_SIZE].n & _IOC_SIZEMASK;
	uint64_t at = value_of(&arg[I_AT]);
	uint8_t *buf = c->args;
	size_t whole;
	long ret;

	if (!size)
		size = native;
	whole = size > native ? size : native;
	memset(buf, 0, whole);
	if (size > native)
		buf[size - 1] = arg[I_TAIL].n;
	memcpy(buf, st, native);
	*(uint64_t *)buf = arg[I_TARGET].n;
	if (at) {
		mem_write(at, buf, whole);
		/* Others may change what is there. */
		c->res->ends_by = 0;
	}
	fail_arm(c);
	ret = do_ioctl(slot_fd(arg[I_ON].n),
		       _IOC(_IOC_READ | _IOC_WRITE, MBUF_IOC_TYPE, nr, size),
		       at ? at : (uintptr_t)buf, arg[I_COMPAT].n);
	fail_disarm(c);
	if (at)
		mem_read(buf, at, native);
	memcpy(st, buf, native);
	return ret;
}

/* What a call that is timed says about when it has to end. */
static void ends_as_told(struct ctx *c, const struct value *arg)
{
	const struct value *mode = NULL, *at = NULL;
	unsigned int i;

	for (i = 0; i < c->op->nr_args; i++) {
		if (!strcmp(c->op->args[i].name, "mode"))
			mode = &arg[i];
		else if (c->op->args[i].type == A_TIME)
			at = &arg[i];
	}
	if (!mode || !at)
		return;
	if (mode->n == MBUF_WAIT_NOW)
		ends_within(c, 0);
	else if (mode->n == MBUF_WAIT_UNTIL && at->kind == V_SOON)
		ends_within(c, at->n * NS_PER_US);
}

long run_ioctl(struct ctx *c, const struct value *arg)
{
	const struct op *op = c->op;
	size_t native = _IOC_SIZE(op->cmd);
	uint64_t st[64] = { 0 }, word;
	uint8_t *bytes = (uint8_t *)st;
	unsigned int i;
	int32_t fd;
	long ret;

	for (i = 0; i < op->nr_args; i++) {
		const struct arg_spec *s = &op->args[i];

		if (!s->width || s->type == A_OUT)
			continue;
		word = s->type == A_FD ? (uint32_t)slot_fd(arg[i].n) :
					 value_of(&arg[i]);
		memcpy(bytes + s->at, &word, s->width);
	}
	if (op->flags & OP_TIMED)
		ends_as_told(c, arg);
	if (op->fill)
		op->fill(c, arg, st);
	if (arg[IOCTL_RESV].n && arg[IOCTL_RESV].n <= native / 4) {
		bytes[(arg[IOCTL_RESV].n - 1) * 4] ^= 1;
		/* It may have been what says how long. */
		c->res->ends_by = 0;
	}
	ret = mbuf_ioctl(c, arg, _IOC_NR(op->cmd), st, native);
	for (i = 0; ret >= 0 && i < op->nr_args; i++) {
		const struct arg_spec *s = &op->args[i];

		if (s->type != A_OUT || !s->width)
			continue;
		memcpy(&fd, bytes + s->at, sizeof(fd));
		if (fd >= 0)
			slot_set(arg[i].n, fd);
	}
	/* What is where others may write need not be what was told. */
	if (op->check && !arg[IOCTL_AT].n && !arg[IOCTL_RESV].n &&
	    !arg[IOCTL_SIZE].n)
		op->check(c, arg, st, ret);
	return ret;
}

/* Sessions ---------------------------------------------------------------- */

static const uint64_t open_flags[] = {
	O_RDWR, O_RDWR, O_RDWR | O_CLOEXEC, O_RDONLY, O_WRONLY, O_PATH,
	O_RDWR | O_NONBLOCK, O_RDWR | O_DIRECT, O_RDWR | O_APPEND | O_TRUNC,
};

static const struct arg_spec session_open_args[] = {
	{ .name = "out", .type = A_OUT, .kinds = K_SESSION },
	{ .name = "flags", .type = A_FLAGS, .def = { 0, O_RDWR },
	  VALS(open_flags), .rare = 10 },
};

static long op_session_open(struct ctx *c, const struct value *arg)
{
	long fd;

	(void)c;
	/* Nothing else is opened, so nothing can be created. */
	fd = ret_of(open("/dev/mbuf", arg[1].n & ~(O_CREAT | __O_TMPFILE)));
	if (fd >= 0)
		slot_set(arg[0].n, fd);
	return fd;
}

static const int open_errors[] = { EINVAL, EMFILE, ENFILE, ENOMEM, EDQUOT,
				   ENOTDIR, EPERM, EACCES, EINTR, 0 };

static const struct arg_spec query_args[] = { IOCTL_ARGS(K_SESSION) };

static long op_query(struct ctx *c, const struct value *arg)
{
	struct mbuf_query q = { 0 };
	long ret = mbuf_ioctl(c, arg, _IOC_NR(MBUF_IOC_QUERY), &q, sizeof(q));

	if (!ret && !arg[I_AT].n && q.resv)
		complain("QUERY: resv is %u", q.resv);
	return ret;
}

static const int no_errors[] = { 0 };

static const uint64_t slots_vals[] = {
	1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 4, 4, 5, 8, 8, 16, 17, 33,
	64, 300, 65536, 65537, 0,
};

static const uint64_t max_msg_vals[] = {
	64, 64, 64, 64, 64, 64, 8, 1, 256, 257, 300, 300, 1000, 4095, 4096,
	4096, 4096, 4096, 4097, 8192, 8192, 65536, 65536, 1 << 20, 16 << 20,
	(16 << 20) + 1, 0,
};

static const uint64_t queue_flags[] = {
	MBUF_QUEUE_PRIO, MBUF_QUEUE_OVERWRITE, MBUF_QUEUE_CREDS,
	MBUF_QUEUE_EMPTY, MBUF_QUEUE_NONBLOCK, MBUF_QUEUE_CAPS, MBUF_QUEUE_CAPS,
	MBUF_QUEUE_CAPS, MBUF_QUEUE_HANDLE, 0, 0,
};

enum { C_RECV = I_NR, C_SEND, C_SLOTS, C_MAX_MSG, C_FLAGS, C_RESV,
	C_MAX_CAPS };

static const struct arg_spec queue_create_args[] = {
	IOCTL_ARGS(K_SESSION),
	[C_RECV] = { .name = "recv", .type = A_OUT, .kinds = K_RECV },
	[C_SEND] = { .name = "send", .type = A_OUT, .kinds = K_SEND },
	[C_SLOTS] = { .name = "slots", .type = A_NUM, VALS(slots_vals),
		      .max = 20 },
	[C_MAX_MSG] = { .name = "max_msg", .type = A_NUM, VALS(max_msg_vals),
			.max = 9000 },
	[C_FLAGS] = { .name = "flags", .type = A_FLAGS, VALS(queue_flags),
		      .max = 0x7f },
	/* 2-6: which field that has to be zero is not */
	[C_RESV] = { .name = "resv", .type = A_NUM, .max = 6, .rare = 3 },
	/* 0: 2 if the flags say that there are any */
	[C_MAX_CAPS] = { .name = "max_caps", .type = A_NUM, .max = 65,
			 .rare = 10 },
};

static long op_queue_create(struct ctx *c, const struct value *arg)
{
	struct mbuf_queue_create q = {
		.slots = arg[C_SLOTS].n,
		.max_msg = arg[C_MAX_MSG].n,
		.flags = arg[C_FLAGS].n,
		.max_caps = arg[C_MAX_CAPS].n,
		.recv = { .fd = arg[C_RESV].n == 6, .flags = arg[C_RESV].n == 2,
			  .handle = arg[C_RESV].n == 3 },
		.send = { .fd = -1, .flags = arg[C_RESV].n == 4,
			  .handle = arg[C_RESV].n == 5 },
	};
	long ret;

	if (q.flags & MBUF_QUEUE_CAPS && !q.max_caps)
		q.max_caps = 2;
	ret = mbuf_ioctl(c, arg, _IOC_NR(MBUF_IOC_QUEUE_CREATE), &q, sizeof(q));
	if (ret)
		return ret;
	if (!(q.recv.flags & MBUF_REF_HANDLE))
		slot_set(arg[C_RECV].n, q.recv.fd);
	slot_set(arg[C_SEND].n, q.send.fd);
	return 0;
}

static const int create_errors[] = { EDQUOT, EMFILE, ENFILE, ENOSPC, 0 };

/* Queues ------------------------------------------------------------------ */

static const char *const mode_names[] = { "forever", "now", "until", NULL };
static const uint64_t mode_vals[] = { 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2 };

#define MODE_ARG { .name = "mode", .type = A_NAME, .names = mode_names, \
		   VALS(mode_vals) }
/* Only sensible with mode=until; gen.c sees to it. */
#define TIME_ARG { .name = "time", .type = A_TIME, .rare = 1 }

static const uint64_t len_vals[] = {
	1, 2, 3, 7, 8, 8, 8, 8, 8, 8, 9, 16, 32, 60, 63, 64, 64, 64, 64, 64, 65,
	255, 256, 257, 300, 1000, 4095, 4096, 4096, 4096, 4097, 4097, 8192,
	8192, 65536, 1 << 20, 16 << 20, 0, 0, 0,
};

static const uint64_t prio_vals[] = { 0, 1, 1, 2, 2, 3, 31, 62, 63, 63, 64 };
static const uint64_t one_vals[] = { 1, 0x100, 0x300, 0x80000000 };

static void wait_fill(struct ctx *c, struct mbuf_wait *w,
		      const struct value *mode, const struct value *at,
		      const struct value *clock)
{
	w->mode = mode->n;
	w->deadline = value_of(at);
	w->clock = clock->n;
	if (w->mode == MBUF_WAIT_NOW)
		ends_within(c, 0);
	else if (w->mode == MBUF_WAIT_UNTIL && at->kind == V_SOON)
		ends_within(c, at->n * NS_PER_US);
}

enum { X_BUF = I_NR, X_LEN, X_MODE, X_TIME, X_PRIO, X_MSG_FLAGS, X_CLOCK,
	X_FLAGS, X_RESV };

#define XFER_ARGS(_kinds)						\
	[X_BUF] = { .name = "buf", .type = A_PTR },			\
	[X_LEN] = { .name = "len", .type = A_NUM, VALS(len_vals),	\
		    .max = 300 },					\
	[X_MODE] = MODE_ARG,						\
	[X_TIME] = TIME_ARG,						\
	[X_PRIO] = { .name = "prio", .type = A_NUM, .rare = 20,		\
		     VALS(prio_vals) },				\
	[X_MSG_FLAGS] = { .name = "msg_flags", .type = A_NUM, .rare = 2, \
			  VALS(one_vals) },				\
	[X_CLOCK] = { .name = "clock", .type = A_NUM, .rare = 1,	\
		      VALS(one_vals) },					\
	[X_FLAGS] = { .name = "flags", .type = A_NUM, .rare = 1,	\
		      VALS(one_vals) },					\
	[X_RESV] = { .name = "resv", .type = A_NUM, .rare = 1, VALS(one_vals) }, \
	IOCTL_ARGS(_kinds)

static const struct arg_spec send_args[] = { XFER_ARGS(K_SEND) };
static const struct arg_spec recv_args[] = { XFER_ARGS(K_RECV) };

static long xfer(struct ctx *c, const struct value *arg, bool send,
		 struct mbuf_xfer *x)
{
	*x = (struct mbuf_xfer){
		.flags = arg[X_FLAGS].n,
		.resv = arg[X_RESV].n,
		.msg = { .buf = value_of(&arg[X_BUF]), .len = arg[X_LEN].n,
			 .flags = arg[X_MSG_FLAGS].n, .prio = arg[X_PRIO].n },
	};
	wait_fill(c, &x->wait, &arg[X_MODE], &arg[X_TIME], &arg[X_CLOCK]);
	may_wait(c, arg[I_ON].n, send ? WAIT_SEND : WAIT_RECV);
	return mbuf_ioctl(c, arg, send ? _IOC_NR(MBUF_IOC_SEND) :
			  _IOC_NR(MBUF_IOC_RECV), x, sizeof(*x));
}

static long op_send(struct ctx *c, const struct value *arg)
{
	struct mbuf_xfer x;
	long ret = xfer(c, arg, true, &x);

	if (ret > 0)
		complain("SEND returned %ld", ret);
	if (!ret && !arg[I_AT].n && !x.msg.seq)
		complain("SEND: seq is 0");
	return ret;
}

static long op_recv(struct ctx *c, const struct value *arg)
{
	struct mbuf_xfer x;
	long ret = xfer(c, arg, false, &x);
	uint32_t room = arg[X_LEN].n;

	if (ret > 0)
		complain("RECV returned %ld", ret);
	if (ret || arg[I_AT].n)
		return ret;
	if (!x.msg.seq)
		complain("RECV: seq is 0");
	if (x.msg.len > room)
		complain("RECV: %u bytes in room for %u", x.msg.len, room);
	if (!x.msg.len != !!(x.msg.flags & MBUF_MSG_EMPTY) ||
	    x.msg.flags & ~(MBUF_MSG_EMPTY | MBUF_MSG_CREDS))
		complain("RECV: %u bytes and flags 0x%x", x.msg.len,
			 x.msg.flags);
	feature(mix(x.msg.flags << 8 | (x.msg.len > 4096) << 1 |
		    (x.msg.prio > 0)));
	return 0;
}

static const int send_errors[] = {
	EMSGSIZE, EPIPE, EAGAIN, ETIMEDOUT, EINTR, ENOBUFS, EDQUOT, 0
};

static const int recv_errors[] = {
	EMSGSIZE, EBADMSG, EPIPE, EAGAIN, ETIMEDOUT, EINTR, 0
};

static const uint64_t nr_vals[] = {
	1, 1, 2, 2, 2, 3, 3, 4, 4, 8, 15, 16, 17, 17, 33, 100, 1024, 1025,
};

static const uint64_t stride_vals[] = {
	48, 48, 48, 48, 56, 56, 128, 248, 256, 256, 264, 0, 32, 44, 0x80000000,
};

static const uint64_t min_vals[] = { 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4, 16 };
static const uint64_t step_vals[] = { 0, 64, 256, 4096, 8 };
static const uint64_t len_step_vals[] = { 0, 0, 1, 8, 512, 0xffffffff };

enum { B_MSGS = I_NR, B_NR, B_STRIDE, B_MIN, B_BUF, B_STEP, B_LEN, B_LEN_STEP,
	B_MODE, B_TIME, B_PRIO, B_PRIO_STEP, B_BAD, B_CLOCK, B_FLAGS };

#define BATCH_ARGS(_kinds)						\
	[B_MSGS] = { .name = "msgs", .type = A_PTR },			\
	[B_NR] = { .name = "nr", .type = A_NUM, VALS(nr_vals) },	\
	[B_STRIDE] = { .name = "stride", .type = A_NUM,			\
		       .def = { V_NUM, 40 }, VALS(stride_vals), .rare = 15 }, \
	[B_MIN] = { .name = "min", .type = A_NUM, VALS(min_vals) },	\
	[B_BUF] = { .name = "buf", .type = A_PTR },			\
	[B_STEP] = { .name = "step", .type = A_NUM, VALS(step_vals) },	\
	[B_LEN] = { .name = "len", .type = A_NUM, VALS(len_vals),	\
		    .max = 300 },					\
	[B_LEN_STEP] = { .name = "len_step", .type = A_NUM,		\
			 VALS(len_step_vals), .rare = 30 },		\
	[B_MODE] = MODE_ARG,						\
	[B_TIME] = TIME_ARG,						\
	[B_PRIO] = { .name = "prio", .type = A_NUM, VALS(prio_vals),	\
		     .rare = 20 },					\
	[B_PRIO_STEP] = { .name = "prio_step", .type = A_NUM,		\
			  VALS(tail_vals), .max = 63, .rare = 10 },	\
	/* 4 * element + what is wrong with it: 1 flags, 2 buf, 3 tail */ \
	[B_BAD] = { .name = "bad", .type = A_NUM, .max = 80, .rare = 8 }, \
	[B_CLOCK] = { .name = "clock", .type = A_NUM, .rare = 1,	\
		      VALS(one_vals) },					\
	[B_FLAGS] = { .name = "flags", .type = A_NUM, .rare = 1,	\
		      VALS(one_vals) },					\
	IOCTL_ARGS(_kinds)

static const struct arg_spec send_batch_args[] = { BATCH_ARGS(K_SEND) };
static const struct arg_spec recv_batch_args[] = { BATCH_ARGS(K_RECV) };

/* Writes the elements where they belong, as far as that is possible. */
static void elements_write(struct ctx *c, const struct value *arg)
{
	size_t stride = arg[B_STRIDE].n, nr = arg[B_NR].n, i;
	/* Behind the room for the struct itself. */
	uint8_t *buf = (uint8_t *)c->args + 0x4000;
	const size_t room = ARGS_SIZE - 0x4000;
	uint64_t addr = value_of(&arg[B_BUF]);

	if (stride < sizeof(struct mbuf_msg) || stride > 256)
		stride = sizeof(struct mbuf_msg);
	if (nr > room / stride)
		nr = room / stride;
	memset(buf, 0, nr * stride);
	for (i = 0; i < nr; i++) {
		struct mbuf_msg *m = (void *)(buf + i * stride);

		m->buf = addr + i * (uint32_t)arg[B_STEP].n;
		m->len = arg[B_LEN].n + i * arg[B_LEN_STEP].n;
		m->prio = arg[B_PRIO].n + i * arg[B_PRIO_STEP].n;
		if (arg[B_PRIO_STEP].n)
			m->prio %= 64;
		if (arg[B_BAD].n >> 2 != i)
			continue;
		switch (arg[B_BAD].n & 3) {
		case 1:
			m->flags = 4;
			break;
		case 2:
			m->buf = 16;
			break;
		case 3:
			buf[(i + 1) * stride - 1] = 1;
			break;
		}
	}
	mem_write(value_of(&arg[B_MSGS]), buf, nr * stride);
}

static long batch(struct ctx *c, const struct value *arg, bool send)
{
	struct mbuf_batch b = {
		.msgs = value_of(&arg[B_MSGS]),
		.nr = arg[B_NR].n,
		.stride = arg[B_STRIDE].n,
		.min = arg[B_MIN].n,
		.flags = arg[B_FLAGS].n,
	};
	long ret;

	elements_write(c, arg);
	wait_fill(c, &b.wait, &arg[B_MODE], &arg[B_TIME], &arg[B_CLOCK]);
	may_wait(c, arg[I_ON].n, send ? WAIT_SEND : WAIT_RECV);
	ret = mbuf_ioctl(c, arg, send ? _IOC_NR(MBUF_IOC_SEND_BATCH) :
			 _IOC_NR(MBUF_IOC_RECV_BATCH), &b, sizeof(b));
	if (!ret || ret > (long)(uint32_t)arg[B_NR].n)
		complain("a batch of %u returned %ld", (uint32_t)arg[B_NR].n,
			 ret);
	return ret;
}

static long op_send_batch(struct ctx *c, const struct value *arg)
{
	return batch(c, arg, true);
}

static long op_recv_batch(struct ctx *c, const struct value *arg)
{
	return batch(c, arg, false);
}

static const struct arg_spec queue_info_args[] = { IOCTL_ARGS(K_QUEUE) };

static const char *info_check(const struct mbuf_queue_info *i)
{
	if (!i->id)
		return "no id";
	if (i->next_caps && !(i->flags & MBUF_QUEUE_CAPS))
		return "next_caps, but not of such a queue";
	if (i->rights != MBUF_RIGHT_RECV && i->rights != MBUF_RIGHT_SEND)
		return "rights are neither";
	if (i->rights == MBUF_RIGHT_RECV && !i->receivers)
		return "a receive right, but no receivers";
	if (i->rights == MBUF_RIGHT_SEND && !i->senders)
		return "a send right, but no senders";
	if (i->depth > i->high_water)
		return "depth is above high_water";
	if (i->next_len > i->max_msg)
		return "next_len is above max_msg";
	if (!i->receivers)
		return i->depth || i->next_len ? "dead, but not empty" : NULL;
	if (i->sent != i->received + i->dropped + i->depth)
		return "messages were lost or doubled";
	if (i->recv_waiters && i->depth)
		return "receivers wait though there are messages";
	if (i->send_waiters && i->depth < i->slots)
		return "senders wait though there is room";
	if (!i->depth && i->next_len)
		return "next_len without a message";
	return NULL;
}

/**
 * info_wrong() - is what a queue says of itself a contradiction?
 * @i: what it says
 * @text: what is wrong, if so
 * @len: room for that
 */
bool info_wrong(const struct mbuf_queue_info *i, char *text, size_t len)
{
	const char *wrong = info_check(i);

	if (wrong)
		snprintf(text, len,
			 "queue: %s (depth %u/%u, high %u, in %llu, out %llu - %llu, waiting %u - %u)",
			 wrong, i->depth, i->slots, i->high_water,
			 (unsigned long long)i->sent,
			 (unsigned long long)i->received,
			 (unsigned long long)i->dropped, i->send_waiters,
			 i->recv_waiters);
	return wrong;
}

static unsigned int few(uint64_t n)
{
	return n > 2 ? 3 : n;
}

static long op_queue_info(struct ctx *c, const struct value *arg)
{
	struct mbuf_queue_info i = { 0 };
	long ret = mbuf_ioctl(c, arg, _IOC_NR(MBUF_IOC_QUEUE_INFO), &i,
			      sizeof(i));
	char text[300];

	if (ret || arg[I_AT].n)
		return ret;
	if (info_wrong(&i, text, sizeof(text)))
		complain("%s", text);
	/* States of a queue are worth as much as code. */
	feature(mix(1ULL << 60 | i.flags << 16 | (i.depth >= i.slots) << 15 |
		    (i.depth > i.slots) << 14 | few(i.depth) << 12 |
		    few(i.send_waiters) << 10 | few(i.recv_waiters) << 8 |
		    !i.senders << 7 | !i.receivers << 6 | !!i.dropped << 5 |
		    !!i.refused << 4 | !!i.send_blocked << 3 |
		    !!i.recv_blocked << 2));
	return 0;
}

/* Anything ---------------------------------------------------------------- */

static const uint64_t ioc_type_vals[] = {
	MBUF_IOC_TYPE, MBUF_IOC_TYPE, MBUF_IOC_TYPE, MBUF_IOC_TYPE, 'T', 0,
};

static const uint64_t ioc_nr_vals[] = {
	0x00, 0x01, 0x02, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0xff,
};

static const uint64_t dir_vals[] = { 3, 3, 3, 0, 1, 2 };

static const struct arg_spec ioctl_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_MBUF },
	{ .name = "type", .type = A_NUM, .def = { V_NUM, MBUF_IOC_TYPE },
	  VALS(ioc_type_vals), .max = 255 },
	{ .name = "nr", .type = A_NUM, VALS(ioc_nr_vals), .max = 255 },
	{ .name = "dir", .type = A_NUM, .def = { V_NUM, 3 }, VALS(dir_vals) },
	{ .name = "size", .type = A_NUM, VALS(size_vals) },
	{ .name = "ptr", .type = A_PTR },
	{ .name = "compat", .type = A_NUM, .rare = 10, VALS(bool_vals) },
};

/* The struct is whatever is in memory there. */
static long op_ioctl(struct ctx *c, const struct value *arg)
{
	(void)c;
	return do_ioctl(slot_fd(arg[0].n), _IOC(arg[3].n & 3, arg[1].n & 0xff,
						arg[2].n & 0xff,
						arg[4].n & _IOC_SIZEMASK),
			value_of(&arg[5]), arg[6].n);
}

static const uint64_t cmd_vals[] = {
	FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, FIONCLEX, FIOQSIZE, 0x5401, 2,
	0x40086602, 0xc0046686, 0xffffffff,
};

static const struct arg_spec ioctl_generic_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_MBUF },
	{ .name = "cmd", .type = A_NUM, VALS(cmd_vals) },
	{ .name = "ptr", .type = A_PTR },
	{ .name = "compat", .type = A_NUM, .rare = 10, VALS(bool_vals) },
};

/* Commands that the kernel knows for any file. */
static long op_ioctl_generic(struct ctx *c, const struct value *arg)
{
	(void)c;
	return do_ioctl(slot_fd(arg[0].n), arg[1].n, value_of(&arg[2]),
			arg[3].n);
}

#define OP_IOCTL_ALL	(OP_ERRORS | OP_IOCTL | OP_ARMS)

const struct op mbuf_ops[] = {
	OP(session_open, 4, OP_SETUP | OP_ERRORS, session_open_args,
	   .errors = open_errors),
	OP(query, 3, OP_SETUP | OP_IOCTL_ALL, query_args,
	   .errors = no_errors),
	OP(queue_create, 12, OP_SETUP | OP_MAKES | OP_IOCTL_ALL, queue_create_args,
	   .errors = create_errors),
	OP(send, 60, OP_TIMED | OP_IOCTL_ALL, send_args,
	   .errors = send_errors),
	OP(recv, 50, OP_TIMED | OP_IOCTL_ALL, recv_args,
	   .errors = recv_errors),
	OP(send_batch, 25, OP_TIMED | OP_IOCTL_ALL, send_batch_args,
	   .errors = send_errors),
	OP(recv_batch, 25, OP_TIMED | OP_IOCTL_ALL, recv_batch_args,
	   .errors = recv_errors),
	OP(queue_info, 20, OP_SETUP | OP_IOCTL_ALL, queue_info_args,
	   .errors = no_errors),
	OP(ioctl, 8, 0, ioctl_args),
	OP(ioctl_generic, 2, 0, ioctl_generic_args),
	{ .name = NULL },
};
