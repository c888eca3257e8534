// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls on channels, sets of endpoints, listeners and regions. All are ioctls
 * of which each argument is a field of the struct: a table of fields for each,
 * and a row in the table at the end. What cannot be said so is done by fill()
 * before the call and check() after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/mbuf.h>
#include "fields.h"
#include "fuzz.h"

static const uint64_t cookie_vals[] = { 0, 1, 2, 7 };
static const uint64_t stride_vals[] = { 16, 16, 16, 24, 64, 256, 264, 8, 0 };

/* Follow IOCTL_FIELDS wherever there is a struct mbuf_wait. */
#define WAIT_FIELDS(_struct)						\
	[IOCTL_NR] = { .name = "mode", .type = A_NAME,			\
		       .names = mode_names, VALS(mode_vals),		\
		       FIELD(_struct, wait.mode) },			\
	{ .name = "time", .type = A_TIME, .rare = 1,			\
	  FIELD(_struct, wait.deadline) },				\
	NUM("clock", _struct, wait.clock, .rare = 1, VALS(one_vals))

/* Endpoints --------------------------------------------------------------- */

static const uint64_t end_flags[] = {
	0, 0, 0, MBUF_END_NONBLOCK, MBUF_END_DETACHED, MBUF_END_DETACHED,
	MBUF_END_MAP, MBUF_END_MAP, MBUF_END_THREAD,
};

/* From argument @_at on. */
#define END_FIELDS(_at, _struct, _end, _out, _flags, _cookie)		\
	[_at] = OUT(_out, _struct, _end.ref.fd, K_END),			\
	FLAGS(_flags, _struct, _end.flags, end_flags, .max = 15),	\
	NUM(_cookie, _struct, _end.cookie, .rare = 30, VALS(cookie_vals))

static const struct arg_spec channel_create_args[] = {
	IOCTL_FIELDS(K_SESSION),
	END_FIELDS(IOCTL_NR, mbuf_channel_create, end[0], "a", "a_flags", "a_cookie"),
	END_FIELDS(IOCTL_NR + 3, mbuf_channel_create, end[1], "b", "b_flags", "b_cookie"),
	NUM("flags", mbuf_channel_create, flags, .rare = 1, VALS(one_vals)),
};

static const int create_errors[] = { EDQUOT, EMFILE, ENFILE, 0 };

static const uint64_t step_vals[] = {
	MBUF_STEP_WRITE, MBUF_STEP_SIGNAL, MBUF_STEP_WAIT, MBUF_STEP_READ,
	MBUF_STEP_WRITE | MBUF_STEP_SIGNAL, MBUF_STEP_WRITE | MBUF_STEP_SIGNAL,
	MBUF_STEP_WAIT | MBUF_STEP_READ, MBUF_STEP_WAIT | MBUF_STEP_READ, 15,
	15,
};

enum { E_MODE = IOCTL_NR, E_TIME, E_CLOCK, E_STEPS, E_DONE, E_DATA };

static const struct arg_spec exchange_args[] = {
	IOCTL_FIELDS(K_END),
	WAIT_FIELDS(mbuf_exchange),
	FLAGS("steps", mbuf_exchange, steps, step_vals, .max = 15),
	FLAGS("done", mbuf_exchange, done, step_vals, .max = 15, .rare = 5),
	/* all bytes of it */
	{ .name = "data", .type = A_NUM, .max = 255 },
};

static void exchange_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_exchange *x = st;

	memset(x->data, (int)arg[E_DATA].n, sizeof(x->data));
	if (x->steps & ~x->done & MBUF_STEP_WAIT)
		may_wait(c, arg[IOCTL_ON].n, WAIT_END);
	else
		ends_within(c, 0);
}

static void exchange_check(struct ctx *c, const struct value *arg,
			   const void *st, long ret)
{
	const struct mbuf_exchange *x = st;
	uint32_t asked = arg[E_STEPS].n;
	unsigned int i;

	(void)c;
	if (ret == -EAGAIN || ret == -ETIMEDOUT || ret == -EINTR) {
		if (x->done & ~(asked | arg[E_DONE].n) ||
		    x->done & MBUF_STEP_WAIT)
			complain("EXCHANGE 0x%x gave up and did 0x%x", asked,
				 x->done);
		return;
	}
	if (ret > 0)
		complain("EXCHANGE returned %ld", ret);
	if (ret)
		return;
	if (x->done || x->resv)
		complain("EXCHANGE: done is 0x%x, resv is %u", x->done,
			 x->resv);
	if (x->signals > UINT32_MAX)
		complain("EXCHANGE: %llu signals",
			 (unsigned long long)x->signals);
	if (asked & ~arg[E_DONE].n & MBUF_STEP_WAIT && !x->signals &&
	    !(x->state & MBUF_END_CLOSED))
		complain("EXCHANGE: has waited for 0 signals");
	for (i = 0; asked & MBUF_STEP_READ && !x->seq && i < sizeof(x->data);
	     i++)
		if (x->data[i])
			complain("EXCHANGE: never written, and not zero");
	feature(mix(9ULL << 60 | asked << 8 | x->state << 16 |
		    (x->signals > 1) << 1 | (x->signals > 0)));
}

static const int exchange_errors[] = {
	EPIPE, ECONNREFUSED, EBUSY, EPERM, ENOTCONN, EAGAIN, ETIMEDOUT, EINTR, 0
};

static const struct arg_spec channel_info_args[] = { IOCTL_FIELDS(K_END) };

static const char *info_check(const struct mbuf_channel_info *i)
{
	if (!i->id || !i->peer_id || i->id == i->peer_id)
		return "identities";
	if (i->resv)
		return "resv is not 0";
	if (i->waiters > 1)
		return "more than one waiter";
	if (i->waiters && i->signals)
		return "somebody waits though there are signals";
	if (i->waiters && i->state & (MBUF_END_CLOSED | MBUF_END_REFUSED |
				      MBUF_END_DEAD))
		return "somebody waits though the peer is gone";
	return NULL;
}

/**
 * end_wrong() - is what an endpoint says of itself a contradiction?
 * @i: what it says
 * @text: what is wrong, if so
 * @len: room for that
 */
bool end_wrong(const struct mbuf_channel_info *i, char *text, size_t len)
{
	const char *wrong = info_check(i);

	if (wrong)
		snprintf(text, len,
			 "endpoint: %s (state 0x%x, seq %llu, signals %u, peer %llu, %u, waiting %u)",
			 wrong, i->state, (unsigned long long)i->seq,
			 i->signals, (unsigned long long)i->peer_seq,
			 i->peer_signals, i->waiters);
	return wrong;
}

static void channel_info_check(struct ctx *c, const struct value *arg,
			       const void *st, long ret)
{
	const struct mbuf_channel_info *i = st;
	char text[300];

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (end_wrong(i, text, sizeof(text)))
		complain("%s", text);
	feature(mix(10ULL << 60 | i->flags << 16 | i->state << 8 |
		    (i->signals > 0) << 4 | (i->peer_signals > 0) << 3 |
		    i->waiters << 2 | (i->seq > 0) << 1 | (i->peer_seq > 0)));
}

static const int no_errors[] = { 0 };

static const uint64_t verdict_vals[] = { 0, 1, 1, 1, 2 };

static const struct arg_spec approve_args[] = {
	IOCTL_FIELDS(K_END),
	NUM("verdict", mbuf_approve, verdict, VALS(verdict_vals)),
};

static const int approve_errors[] = { EPIPE, EPERM, 0 };

/* A send right, left at the peer's end. */
static const struct arg_spec give_args[] = {
	IOCTL_FIELDS(K_END),
	IN("ref", mbuf_give, ref.fd, K_SEND),
	NUM("flags", mbuf_give, flags, .rare = 1, VALS(one_vals)),
};

static const int give_errors[] = { EBADF, EBUSY, EOPNOTSUPP, EPIPE,
				   ECONNREFUSED, ENOTCONN, EPERM, 0 };

static const struct arg_spec given_args[] = {
	IOCTL_FIELDS(K_END),
	OUT("ref", mbuf_give, ref.fd, K_SEND),
	NUM("flags", mbuf_give, flags, .rare = 1, VALS(one_vals)),
};

static const int given_errors[] = { EAGAIN, EPIPE, EPERM, EMFILE, ENFILE, 0 };

/* Sets -------------------------------------------------------------------- */

static const uint64_t attach_flags[] = { MBUF_ATTACH_MOVE };

static const struct arg_spec attach_args[] = {
	IOCTL_FIELDS(K_SESSION),
	IN("ref", mbuf_attach, ref.fd, K_END | K_LISTENER | K_ACCEPT),
	NUM("cookie", mbuf_attach, cookie, VALS(cookie_vals)),
	FLAGS("flags", mbuf_attach, flags, attach_flags, .max = 1, .rare = 30),
};

static const struct arg_spec detach_args[] = {
	IOCTL_FIELDS(K_SESSION),
	IN("ref", mbuf_attach, ref.fd, K_END | K_LISTENER | K_ACCEPT),
	NUM("cookie", mbuf_attach, cookie, VALS(cookie_vals), .rare = 1),
	FLAGS("flags", mbuf_attach, flags, attach_flags, .max = 1, .rare = 1),
};

static const int attach_errors[] = { EBUSY, EPERM, EPIPE, 0 };
static const int detach_errors[] = { EBUSY, EPERM, EPIPE, ENOENT, 0 };

static const uint64_t few_vals[] = { 1, 1, 2, 2, 3, 4, 4, 16, 64, 65, 1024,
				     1025, 0 };

enum { P_MODE = IOCTL_NR, P_TIME, P_CLOCK, P_EVENTS, P_NR, P_STRIDE };

static const struct arg_spec poll_all_args[] = {
	IOCTL_FIELDS(K_SESSION),
	WAIT_FIELDS(mbuf_poll_all),
	PTR("events", mbuf_poll_all, events),
	NUM("nr", mbuf_poll_all, nr, VALS(few_vals)),
	NUM("stride", mbuf_poll_all, stride, .def = { V_NUM, 16 },
	    VALS(stride_vals), .rare = 15),
	NUM("flags", mbuf_poll_all, flags, .rare = 1, VALS(one_vals)),
};

static void poll_all_fill(struct ctx *c, const struct value *arg, void *st)
{
	(void)st;
	may_wait(c, arg[IOCTL_ON].n, WAIT_SET);
}

static void poll_all_check(struct ctx *c, const struct value *arg,
			   const void *st, long ret)
{
	const uint32_t known = MBUF_EVENT_IN | MBUF_EVENT_OFFER |
			       MBUF_EVENT_OUT | MBUF_EVENT_HUP;
	const struct mbuf_poll_all *p = st;
	struct mbuf_event ev;

	(void)c;
	if (!ret || ret > (long)(uint32_t)arg[P_NR].n)
		complain("POLL_ALL with room for %u returned %ld",
			 (uint32_t)arg[P_NR].n, ret);
	/* If nobody else writes there. */
	if (ret <= 0 || shm->prog.nr_workers > 1 ||
	    !mem_read(&ev, p->events, sizeof(ev)))
		return;
	if (!ev.events || ev.events & ~known || ev.resv)
		complain("POLL_ALL told events 0x%x, resv %u", ev.events,
			 ev.resv);
	feature(mix(11ULL << 60 | ev.events << 8 | (ret > 1)));
}

static const int poll_all_errors[] = { EAGAIN, ETIMEDOUT, EINTR, 0 };

enum { W_MODE = IOCTL_NR, W_TIME, W_CLOCK, W_ENDS, W_NR, W_STRIDE, W_FLAGS,
	W_END };

#define WAIT_ANY_ENDS	4

static const uint64_t any_vals[] = { 1, 2, 2, 2, 3, 3, 4, 4, 64, 65, 0 };

static const struct arg_spec wait_any_args[] = {
	IOCTL_FIELDS(K_SESSION),
	WAIT_FIELDS(mbuf_wait_any),
	PTR("ends", mbuf_wait_any, ends),
	NUM("nr", mbuf_wait_any, nr, VALS(any_vals)),
	NUM("stride", mbuf_wait_any, stride, .def = { V_NUM, 16 },
	    VALS(stride_vals), .rare = 15),
	NUM("flags", mbuf_wait_any, flags, .rare = 1, VALS(one_vals)),
	{ .name = "e0", .type = A_FD, .kinds = K_END },
	{ .name = "e1", .type = A_FD, .kinds = K_END },
	{ .name = "e2", .type = A_FD, .kinds = K_END },
	{ .name = "e3", .type = A_FD, .kinds = K_END },
};

static void wait_any_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_wait_any *w = st;
	unsigned int i;

	for (i = 0; i < WAIT_ANY_ENDS && i < w->nr; i++) {
		struct mbuf_ref ref = { .fd = slot_fd(arg[W_END + i].n) };

		mem_write(w->ends + (uint64_t)i * w->stride, &ref, sizeof(ref));
		may_wait(c, arg[W_END + i].n, WAIT_END);
	}
}

static void wait_any_check(struct ctx *c, const struct value *arg,
			   const void *st, long ret)
{
	const struct mbuf_wait_any *w = st;

	(void)c;
	if (ret > 0)
		complain("WAIT_ANY returned %ld", ret);
	if (ret)
		return;
	if (w->index >= (uint32_t)arg[W_NR].n || w->resv)
		complain("WAIT_ANY of %u: index %u, resv %u",
			 (uint32_t)arg[W_NR].n, w->index, w->resv);
	if (!w->signals && !(w->state & MBUF_END_CLOSED))
		complain("WAIT_ANY: has waited for 0 signals");
	feature(mix(12ULL << 60 | w->index << 16 | w->state << 8 |
		    (w->signals > 0)));
}

static const int wait_any_errors[] = {
	EBUSY, EPERM, ENOTCONN, EAGAIN, ETIMEDOUT, EINTR, 0
};

/* Listeners --------------------------------------------------------------- */

static const uint64_t name_lens[] = { 1, 1, 4, 4, 8, 8, 108, 256, 4096, 0 };
static const uint64_t text_vals[] = { 0, 0, 0, 1, 1, 2 };
static const uint64_t perm_vals[] = { 0666, 0666, 0222, 0600, 0, 0777, 01000 };
static const uint64_t backlog_vals[] = { 1, 1, 2, 4, 128, 0, 1 << 20 };
static const uint64_t uid_vals[] = { 0, 65534, 65534, 1000, 0xffffffff };
static const uint64_t listen_flags[] = {
	0, 0, 0, MBUF_LISTEN_NONBLOCK, MBUF_LISTEN_DETACHED,
	MBUF_LISTEN_OWNER, MBUF_LISTEN_GROUP,
};

/* Names that programs use are a byte, repeated. */
static void name_fill(uint64_t at, uint32_t len, uint64_t text)
{
	uint8_t name[256];

	memset(name, 'a' + text % 4, sizeof(name));
	mem_write(at, name, len < sizeof(name) ? len : sizeof(name));
}

enum { L_NAME = IOCTL_NR, L_LEN, L_TEXT };

static const struct arg_spec listen_args[] = {
	IOCTL_FIELDS(K_SESSION),
	PTR("name", mbuf_listen, name),
	NUM("name_len", mbuf_listen, name_len, VALS(name_lens)),
	{ .name = "text", .type = A_NUM, VALS(text_vals) },
	FLAGS("flags", mbuf_listen, flags, listen_flags, .max = 63),
	NUM("mode", mbuf_listen, mode, VALS(perm_vals), .max = 0777),
	NUM("backlog", mbuf_listen, backlog, VALS(backlog_vals)),
	NUM("uid", mbuf_listen, uid, .rare = 10, VALS(uid_vals)),
	NUM("gid", mbuf_listen, gid, .rare = 10, VALS(uid_vals)),
	NUM("cookie", mbuf_listen, cookie, .rare = 30, VALS(cookie_vals)),
	OUT("listener", mbuf_listen, listener.fd, K_LISTENER),
};

static void listen_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_listen *l = st;

	(void)c;
	name_fill(l->name, l->name_len, arg[L_TEXT].n);
}

static const int listen_errors[] = {
	ENAMETOOLONG, EADDRINUSE, EPERM, EDQUOT, EMFILE, ENFILE, 0
};

static const uint64_t set_flags[] = {
	MBUF_LISTEN_OWNER, MBUF_LISTEN_GROUP, MBUF_LISTEN_MODE,
	MBUF_LISTEN_MODE, MBUF_LISTEN_BACKLOG, MBUF_LISTEN_BACKLOG,
};

static const struct arg_spec listener_set_args[] = {
	IOCTL_FIELDS(K_LISTENER),
	FLAGS("flags", mbuf_listener_set, flags, set_flags, .max = 63),
	NUM("mode", mbuf_listener_set, mode, VALS(perm_vals), .rare = 50),
	NUM("backlog", mbuf_listener_set, backlog, VALS(backlog_vals),
	    .rare = 50),
	NUM("uid", mbuf_listener_set, uid, VALS(uid_vals), .rare = 30),
	NUM("gid", mbuf_listener_set, gid, VALS(uid_vals), .rare = 30),
};

static const int set_errors[] = { EPERM, 0 };

static const uint64_t acl_vals[] = { 0, 1, 1, 2, 2, 3 };

static const struct arg_spec listener_acl_args[] = {
	IOCTL_FIELDS(K_LISTENER),
	NUM("uid", mbuf_listener_acl, uid, VALS(uid_vals), .max = 300),
	NUM("op", mbuf_listener_acl, op, VALS(acl_vals)),
};

static const int acl_errors[] = { ENOSPC, EDQUOT, 0 };

static const struct arg_spec listener_info_args[] = {
	IOCTL_FIELDS(K_LISTENER | K_ACCEPT),
	PTR("name", mbuf_listener_info, name),
	NUM("name_len", mbuf_listener_info, name_len, VALS(name_lens)),
};

static void listener_info_check(struct ctx *c, const struct value *arg,
				const void *st, long ret)
{
	const struct mbuf_listener_info *i = st;

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (!i->id || !i->listener_id || i->resv)
		complain("LISTENER_INFO: id %llu of %llu, resv %u",
			 (unsigned long long)i->id,
			 (unsigned long long)i->listener_id, i->resv);
	if (i->waiters && i->pending)
		complain("LISTENER_INFO: %u wait though there are %u connections",
			 i->waiters, i->pending);
	feature(mix(13ULL << 60 | (i->pending > 0) << 8 |
		    (i->waiters > 0) << 7 | (i->queues > 1) << 6 |
		    (i->acl_nr > 0) << 5 | (i->accepted > 0) << 4 |
		    (i->denied > 0) << 3 | (i->overflowed > 0) << 2 |
		    (i->withdrawn > 0) << 1));
}

static const int info_errors[] = { EMSGSIZE, 0 };

static const uint64_t queue_flags[] = {
	0, 0, MBUF_LISTEN_NONBLOCK, MBUF_LISTEN_DETACHED,
};

static const struct arg_spec accept_queue_args[] = {
	IOCTL_FIELDS(K_LISTENER),
	NUM("backlog", mbuf_accept_queue, backlog, VALS(backlog_vals)),
	FLAGS("flags", mbuf_accept_queue, flags, queue_flags, .max = 3),
	NUM("cookie", mbuf_accept_queue, cookie, .rare = 30,
	    VALS(cookie_vals)),
	OUT("queue", mbuf_accept_queue, queue.fd, K_ACCEPT),
};

static const int accept_queue_errors[] = { ENOSPC, EDQUOT, EMFILE, ENFILE, 0 };

static const uint64_t connect_flags[] = {
	0, 0, MBUF_CONNECT_ASYNC, MBUF_CONNECT_ASYNC, MBUF_CONNECT_UID,
	MBUF_CONNECT_HELLO,
};

enum { C_MODE = IOCTL_NR, C_TIME, C_CLOCK, C_NAME, C_LEN, C_TEXT, C_FLAGS,
	C_UID, C_END, C_END_FLAGS, C_COOKIE, C_DATA };

static const struct arg_spec connect_args[] = {
	IOCTL_FIELDS(K_SESSION),
	WAIT_FIELDS(mbuf_connect),
	PTR("name", mbuf_connect, name),
	NUM("name_len", mbuf_connect, name_len, VALS(name_lens)),
	{ .name = "text", .type = A_NUM, VALS(text_vals) },
	FLAGS("flags", mbuf_connect, flags, connect_flags, .max = 7),
	NUM("uid", mbuf_connect, uid, .rare = 15, VALS(uid_vals)),
	END_FIELDS(C_END, mbuf_connect, end, "end", "end_flags", "cookie"),
	/* with the flag, all bytes of it */
	{ .name = "data", .type = A_NUM, .max = 255, .rare = 30 },
};

static void connect_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_connect *n = st;

	(void)c;
	name_fill(n->name, n->name_len, arg[C_TEXT].n);
	memset(n->data, (int)arg[C_DATA].n, sizeof(n->data));
}

static const int connect_errors[] = {
	ENAMETOOLONG, ECONNREFUSED, EACCES, EAGAIN, ETIMEDOUT, EINTR, EDQUOT,
	EMFILE, ENFILE, 0
};

static const uint64_t accept_flags[] = { 0, 0, MBUF_ACCEPT_ASK };

static const struct arg_spec accept_args[] = {
	IOCTL_FIELDS(K_LISTENER | K_ACCEPT),
	WAIT_FIELDS(mbuf_accept),
	FLAGS("flags", mbuf_accept, flags, accept_flags, .max = 1),
	END_FIELDS(IOCTL_NR + 4, mbuf_accept, end, "end", "end_flags", "cookie"),
};

static const int accept_errors[] = {
	EAGAIN, ETIMEDOUT, EINTR, EPIPE, EDQUOT, EMFILE, ENFILE, 0
};

/* Regions ----------------------------------------------------------------- */

static const uint64_t size_vals[] = {
	PAGE, PAGE, PAGE, 2 * PAGE, 2 * PAGE, 4 * PAGE, 64 * PAGE, 1 << 21,
	1 << 30, 1ULL << 46, 100, 0,
};

static const uint64_t rights_vals[] = {
	MBUF_REGION_READ, MBUF_REGION_READ | MBUF_REGION_WRITE,
	MBUF_REGION_READ | MBUF_REGION_WRITE, MBUF_REGION_WRITE,
};

static const uint64_t option_vals[] = { 0, 0, 0, MBUF_OFFER_SOLID,
					MBUF_OFFER_MEMFD,
					MBUF_OFFER_PROVIDED };

/* Offers that calls have made or seen, by a number that programs know. */
static const uint64_t id_vals[] = { 0, 0, 0, 1, 1, 2 };

static uint64_t *offer_id(uint64_t n)
{
	return &shm->offers[n % NELEMS(shm->offers)];
}

/* In all structs that name one it is behind the target or the wait. */
static void id_fill(const struct value *id, __u64 *field)
{
	/* Sometimes a number that is none. */
	*field = id->n < NELEMS(shm->offers) ? *offer_id(id->n) : id->n;
}

enum { O_MIN = IOCTL_NR, O_WANTED, O_MAX, O_RIGHTS, O_OPTIONS, O_MEMORY, O_AS };

/* From argument @_at on. */
#define SIZE_FIELDS(_at, _struct, _rare)				\
	[_at] = NUM("min", _struct, min, VALS(size_vals), .rare = (_rare)), \
	NUM("wanted", _struct, wanted, VALS(size_vals), .rare = (_rare)), \
	NUM("max", _struct, max, VALS(size_vals), .rare = (_rare)),	\
	FLAGS("rights", _struct, rights, rights_vals, .rare = (_rare),	\
	      .max = 3),						\
	FLAGS("options", _struct, options, option_vals, .rare = (_rare), \
	      .max = 7)

static const struct arg_spec offer_args[] = {
	IOCTL_FIELDS(K_END),
	SIZE_FIELDS(O_MIN, mbuf_offer, 0),
	/* only with the option */
	{ .name = "memory", .type = A_FD, .kinds = K_MEMFD },
	{ .name = "as", .type = A_NUM, VALS(id_vals) },
};

/* Three sizes drawn at random are seldom in order. */
static void sizes_sort(__u64 *min, __u64 *wanted, __u64 *max)
{
	uint64_t tmp;

	if (*min > *wanted) {
		tmp = *min;
		*min = *wanted;
		*wanted = tmp;
	}
	if (*wanted > *max) {
		tmp = *wanted;
		*wanted = *max;
		*max = tmp;
	}
}

static void offer_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_offer *o = st;

	/* As given, if the smallest is 100 or none. */
	if (o->min && o->min % PAGE == 0)
		sizes_sort(&o->min, &o->wanted, &o->max);
	if (o->options & MBUF_OFFER_MEMFD) {
		o->memory.fd = slot_fd(arg[O_MEMORY].n);
		o->wanted = o->min;
		o->max = o->min;
	}
	ends_within(c, 0);
}

static void offer_check(struct ctx *c, const struct value *arg, const void *st,
			long ret)
{
	const struct mbuf_offer *o = st;

	(void)c;
	if (ret)
		return;
	if (!o->id)
		complain("OFFER: id is 0");
	*offer_id(arg[O_AS].n) = o->id;
}

/* ECONNREFUSED wherever EPIPE is: see CONNECT. */
static const int offer_errors[] = {
	EBUSY, EPIPE, ECONNREFUSED, ENOTCONN, EPERM, EDQUOT, 0
};

enum { D_MODE = IOCTL_NR, D_TIME, D_CLOCK, D_FLAGS, D_AS };

static const struct arg_spec offered_args[] = {
	IOCTL_FIELDS(K_END),
	WAIT_FIELDS(mbuf_offered),
	NUM("flags", mbuf_offered, flags, .rare = 1, VALS(one_vals)),
	{ .name = "as", .type = A_NUM, VALS(id_vals) },
};

static void offered_fill(struct ctx *c, const struct value *arg, void *st)
{
	(void)st;
	may_wait(c, arg[IOCTL_ON].n, WAIT_OFFER);
}

static void offered_check(struct ctx *c, const struct value *arg,
			  const void *st, long ret)
{
	const struct mbuf_offered *o = st;

	(void)c;
	if (ret)
		return;
	if (!o->id || !o->min || o->min > o->wanted || o->wanted > o->max ||
	    !(o->rights & MBUF_REGION_READ))
		complain("OFFERED: sizes %llu, %llu, %llu, rights 0x%x",
			 (unsigned long long)o->min,
			 (unsigned long long)o->wanted,
			 (unsigned long long)o->max, o->rights);
	*offer_id(arg[D_AS].n) = o->id;
}

static const int offered_errors[] = {
	EAGAIN, ETIMEDOUT, EINTR, EPIPE, ECONNREFUSED, ENOTCONN, EPERM, 0
};

enum { T_ID = IOCTL_NR };

static const struct arg_spec take_args[] = {
	IOCTL_FIELDS(K_END),
	{ .name = "id", .type = A_NUM, VALS(id_vals) },
	NUM("bytes", mbuf_take, size, VALS(size_vals), .rare = 30),
	FLAGS("rights", mbuf_take, rights, rights_vals, .max = 3, .rare = 30),
	OUT("region", mbuf_take, region.fd, K_REGION),
};

static void take_fill(struct ctx *c, const struct value *arg, void *st)
{
	(void)c;
	id_fill(&arg[T_ID], &((struct mbuf_take *)st)->id);
}

static const int take_errors[] = {
	ENOENT, EBUSY, EPIPE, ECONNREFUSED, EINTR, EDQUOT, EMFILE, ENFILE,
	ENOTCONN, EPERM, 0
};

static const struct arg_spec counter_args[] = {
	IOCTL_FIELDS(K_END),
	{ .name = "id", .type = A_NUM, VALS(id_vals) },
	SIZE_FIELDS(T_ID + 1, mbuf_counter, 0),
	NUM("reason", mbuf_counter, reason, .max = 5, .rare = 30),
};

static const struct arg_spec reject_args[] = {
	IOCTL_FIELDS(K_END),
	{ .name = "id", .type = A_NUM, VALS(id_vals) },
	SIZE_FIELDS(T_ID + 1, mbuf_counter, 1),
	NUM("reason", mbuf_counter, reason, .max = 5, .rare = 30),
};

static void counter_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_counter *o = st;

	id_fill(&arg[T_ID], &o->id);
	if (o->min && o->min % PAGE == 0)
		sizes_sort(&o->min, &o->wanted, &o->max);
	ends_within(c, 0);
}

static void reject_fill(struct ctx *c, const struct value *arg, void *st)
{
	id_fill(&arg[T_ID], &((struct mbuf_counter *)st)->id);
	ends_within(c, 0);
}

static const int counter_errors[] = {
	ENOENT, EBUSY, EPIPE, ECONNREFUSED, ENOTCONN, EPERM, 0
};

enum { A_MODE = IOCTL_NR, A_WHEN, A_CLOCK, A_ID, A_REGION };

static const struct arg_spec answer_args[] = {
	IOCTL_FIELDS(K_END),
	WAIT_FIELDS(mbuf_answer),
	{ .name = "id", .type = A_NUM, VALS(id_vals) },
	OUT("region", mbuf_answer, region.fd, K_REGION),
};

static void answer_fill(struct ctx *c, const struct value *arg, void *st)
{
	id_fill(&arg[A_ID], &((struct mbuf_answer *)st)->id);
	may_wait(c, arg[IOCTL_ON].n, WAIT_OFFER);
}

static void answer_check(struct ctx *c, const struct value *arg, const void *st,
			 long ret)
{
	const struct mbuf_answer *a = st;

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (a->outcome < MBUF_OUTCOME_TAKEN ||
	    a->outcome > MBUF_OUTCOME_REJECTED ||
	    (a->outcome == MBUF_OUTCOME_TAKEN && a->region.fd < 0) ||
	    (a->outcome != MBUF_OUTCOME_TAKEN && a->region.fd >= 0))
		complain("ANSWER: outcome %u, region %d", a->outcome,
			 a->region.fd);
	feature(mix(14ULL << 60 | a->outcome));
}

static const int answer_errors[] = {
	ENOENT, EAGAIN, ETIMEDOUT, EINTR, EPIPE, ECONNREFUSED, EMFILE, ENFILE,
	EDQUOT, EPERM, 0
};

static const struct arg_spec withdraw_args[] = {
	IOCTL_FIELDS(K_END),
	{ .name = "id", .type = A_NUM, VALS(id_vals) },
};

static void withdraw_fill(struct ctx *c, const struct value *arg, void *st)
{
	id_fill(&arg[T_ID], &((struct mbuf_withdraw *)st)->id);
	ends_within(c, 0);
}

static const int withdraw_errors[] = { ENOENT, EALREADY, EPERM, 0 };

static const struct arg_spec grant_args[] = {
	IOCTL_FIELDS(K_SESSION),
	IN("from", mbuf_grant, from.fd, K_REGION | K_MEMFD),
	FLAGS("rights", mbuf_grant, rights, rights_vals, .max = 3),
	NUM("flags", mbuf_grant, flags, .rare = 1, VALS(one_vals)),
	OUT("region", mbuf_grant, region.fd, K_REGION),
};

static const int grant_errors[] = { EPERM, EDQUOT, EMFILE, ENFILE, 0 };

static const struct arg_spec region_info_args[] = { IOCTL_FIELDS(K_REGION) };

static void region_info_check(struct ctx *c, const struct value *arg,
			      const void *st, long ret)
{
	const struct mbuf_region_info *i = st;

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (!i->id || !i->size || i->size % PAGE ||
	    !(i->rights & MBUF_REGION_READ))
		complain("REGION_INFO: id %llu, %llu bytes, rights 0x%x",
			 (unsigned long long)i->id,
			 (unsigned long long)i->size, i->rights);
	feature(mix(15ULL << 60 | i->rights << 4 | i->options));
}

/* Paged regions ----------------------------------------------------------- */

/* The kinds of calls that name a part of a region. */
static const uint64_t part_vals[] = {
	PAGE, PAGE, PAGE, 2 * PAGE, 4 * PAGE, 16 * PAGE, 64 * PAGE, 100, 0,
	1ULL << 63,
};

static const uint64_t part_at_vals[] = {
	0, 0, 0, PAGE, PAGE, 2 * PAGE, 3 * PAGE, 15 * PAGE, 100, 1ULL << 46,
	~0ULL << 12,
};

static const uint64_t supply_vals[] = {
	MBUF_SUPPLY_ZERO, MBUF_SUPPLY_ZERO, MBUF_SUPPLY_PROTECT, 0,
};

static const uint64_t evict_vals[] = { MBUF_EVICT_DROP, 0 };

static const uint64_t protect_vals[] = {
	MBUF_PROTECT_CLEAN, MBUF_PROTECT_ASK, MBUF_PROTECT_UNMAP, 0,
};

static const uint64_t again_vals[] = { MBUF_FAULTS_AGAIN };

#define PART_FIELDS(_struct)						\
	NUM("offset", _struct, offset, VALS(part_at_vals)),		\
	NUM("bytes", _struct, size, VALS(part_vals))

static const struct arg_spec paged_create_args[] = {
	IOCTL_FIELDS(K_SESSION),
	NUM("bytes", mbuf_paged_create, size, VALS(size_vals)),
	OUT("pager", mbuf_paged_create, pager.fd, K_PAGER),
	OUT("region", mbuf_paged_create, region.fd, K_REGION),
	NUM("flags", mbuf_paged_create, flags, .rare = 1, VALS(one_vals)),
};

static const int paged_create_errors[] = { EDQUOT, EMFILE, ENFILE, 0 };

static const struct arg_spec faults_args[] = {
	IOCTL_FIELDS(K_PAGER),
	WAIT_FIELDS(mbuf_faults),
	PTR("faults", mbuf_faults, faults),
	NUM("nr", mbuf_faults, nr, VALS(few_vals)),
	NUM("stride", mbuf_faults, stride, VALS(stride_vals)),
	FLAGS("flags", mbuf_faults, flags, again_vals, .max = 1, .rare = 20),
};

static void faults_fill(struct ctx *c, const struct value *arg, void *st)
{
	(void)st;
	may_wait(c, arg[IOCTL_ON].n, WAIT_FAULTS);
}

static const int faults_errors[] = { EAGAIN, ETIMEDOUT, EINTR, EPIPE, 0 };

static const struct arg_spec supply_args[] = {
	IOCTL_FIELDS(K_PAGER),
	PART_FIELDS(mbuf_supply),
	PTR("data", mbuf_supply, data),
	FLAGS("flags", mbuf_supply, flags, supply_vals, .max = 3),
};

/* What the call would not take with the flag. */
static void supply_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_supply *s = st;

	(void)c;
	(void)arg;
	if (s->flags == MBUF_SUPPLY_ZERO)
		s->data = 0;
}

static void supply_check(struct ctx *c, const struct value *arg, const void *st,
			 long ret)
{
	const struct mbuf_supply *s = st;

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (!s->done || s->done > s->size || s->done % PAGE ||
	    s->supplied > s->done / PAGE)
		complain("SUPPLY: %llu of %llu bytes, %llu pages",
			 (unsigned long long)s->done,
			 (unsigned long long)s->size,
			 (unsigned long long)s->supplied);
	feature(mix(13ULL << 60 | s->flags << 2 | !!s->supplied << 1 |
		    (s->done == s->size)));
}

static const int supply_errors[] = { EDQUOT, EINTR, 0 };

static const struct arg_spec refuse_args[] = {
	IOCTL_FIELDS(K_PAGER),
	NUM("id", mbuf_refuse, id, VALS(id_vals)),
	NUM("offset", mbuf_refuse, offset, VALS(part_at_vals)),
};

static const int refuse_errors[] = { ENOENT, 0 };

static const struct arg_spec evict_args[] = {
	IOCTL_FIELDS(K_PAGER),
	PART_FIELDS(mbuf_evict),
	PTR("data", mbuf_evict, data),
	PTR("states", mbuf_evict, states),
	FLAGS("flags", mbuf_evict, flags, evict_vals, .max = 1),
};

static void evict_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_evict *e = st;

	(void)c;
	(void)arg;
	if (e->flags == MBUF_EVICT_DROP)
		e->data = 0;
}

static void evict_check(struct ctx *c, const struct value *arg, const void *st,
			long ret)
{
	const struct mbuf_evict *e = st;

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (!e->done || e->done > e->size || e->done % PAGE ||
	    e->evicted + e->busy > e->done / PAGE || e->dirty > e->evicted)
		complain("EVICT: %llu of %llu bytes, %llu pages, %llu dirty, %llu busy",
			 (unsigned long long)e->done,
			 (unsigned long long)e->size,
			 (unsigned long long)e->evicted,
			 (unsigned long long)e->dirty,
			 (unsigned long long)e->busy);
	feature(mix(13ULL << 60 | 1 << 8 | !!e->evicted << 2 | !!e->dirty << 1 |
		    !!e->busy));
}

static const int evict_errors[] = { EBUSY, EINTR, 0 };

static const struct arg_spec protect_args[] = {
	IOCTL_FIELDS(K_PAGER),
	PART_FIELDS(mbuf_protect),
	FLAGS("flags", mbuf_protect, flags, protect_vals, .max = 7),
};

static const int protect_errors[] = { EINTR, 0 };

static const struct arg_spec pages_args[] = {
	IOCTL_FIELDS(K_PAGER),
	PART_FIELDS(mbuf_pages),
	PTR("states", mbuf_pages, states),
	NUM("flags", mbuf_pages, flags, .rare = 1, VALS(one_vals)),
};

static const struct arg_spec paged_info_args[] = { IOCTL_FIELDS(K_PAGER) };

static void paged_info_check(struct ctx *c, const struct value *arg,
			     const void *st, long ret)
{
	const struct mbuf_paged_info *i = st;

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (!i->id || !i->size || i->size % PAGE || i->resv ||
	    i->resident > i->size / PAGE ||
	    i->resident + i->evicted != i->supplied || i->refused > i->faults)
		complain("PAGED_INFO: %llu bytes, %llu pages of %llu, %llu evicted",
			 (unsigned long long)i->size,
			 (unsigned long long)i->resident,
			 (unsigned long long)i->supplied,
			 (unsigned long long)i->evicted);
	feature(mix(13ULL << 60 | 2 << 8 | !!i->resident << 1 | !!i->clients));
}

/* Providing ---------------------------------------------------------------- */

static const uint64_t consent_flags[] = {
	0, 0, 0, MBUF_CONSENT_UID, MBUF_CONSENT_FRESH, MBUF_CONSENT_PAGED,
	MBUF_CONSENT_PAGED,
};

/* The identity of the last consent to an offer that calls know. */
static uint64_t *consent_id(uint64_t n)
{
	return &shm->consents[n % NELEMS(shm->consents)];
}

enum { N_OFFER = IOCTL_NR, N_MIN, N_MAX, N_EXPIRES, N_RIGHTS, N_FLAGS, N_UID,
	N_CONSENT };

static const struct arg_spec consent_args[] = {
	IOCTL_FIELDS(K_END),
	{ .name = "offer", .type = A_NUM, VALS(id_vals) },
	NUM("min", mbuf_consent, min, VALS(size_vals), .rare = 10),
	NUM("max", mbuf_consent, max, VALS(size_vals), .rare = 10),
	{ .name = "expires", .type = A_TIME, .rare = 10,
	  FIELD(mbuf_consent, expires) },
	FLAGS("rights", mbuf_consent, rights, rights_vals, .max = 3,
	      .rare = 30),
	FLAGS("flags", mbuf_consent, flags, consent_flags, .max = 7,
	      .rare = 30),
	NUM("uid", mbuf_consent, uid, .max = 2, .rare = 10),
	OUT("consent", mbuf_consent, consent.fd, K_CONSENT),
};

static void consent_fill(struct ctx *c, const struct value *arg, void *st)
{
	id_fill(&arg[N_OFFER], &((struct mbuf_consent *)st)->offer);
	ends_within(c, 0);
}

static void consent_check(struct ctx *c, const struct value *arg,
			  const void *st, long ret)
{
	const struct mbuf_consent *n = st;

	(void)c;
	if (ret)
		return;
	if (!n->id)
		complain("CONSENT: id is 0");
	*consent_id(arg[N_OFFER].n) = n->id;
}

static const int consent_errors[] = {
	ENOENT, EBUSY, EPIPE, ECONNREFUSED, ENOTCONN, EPERM, EDQUOT, EMFILE,
	ENFILE, 0
};

static const struct arg_spec revoke_args[] = {
	IOCTL_FIELDS(K_END),
	{ .name = "id", .type = A_NUM, VALS(id_vals) },
};

static void revoke_fill(struct ctx *c, const struct value *arg, void *st)
{
	const struct value *id = &arg[T_ID];

	((struct mbuf_revoke *)st)->id = id->n < NELEMS(shm->consents) ?
					 *consent_id(id->n) : id->n;
	ends_within(c, 0);
}

static const int revoke_errors[] = { ENOENT, EALREADY, EPERM, 0 };

static const struct arg_spec claim_args[] = {
	IOCTL_FIELDS(K_END),
	WAIT_FIELDS(mbuf_claim),
	{ .name = "id", .type = A_NUM, VALS(id_vals) },
	OUT("region", mbuf_claim, region.fd, K_REGION),
};

static void claim_fill(struct ctx *c, const struct value *arg, void *st)
{
	id_fill(&arg[A_ID], &((struct mbuf_claim *)st)->id);
	may_wait(c, arg[IOCTL_ON].n, WAIT_OFFER);
}

static void claim_check(struct ctx *c, const struct value *arg, const void *st,
			long ret)
{
	const struct mbuf_claim *m = st;

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (!m->size || m->size % PAGE || !(m->rights & MBUF_REGION_READ) ||
	    !(m->options & MBUF_OFFER_PROVIDED) || m->region.fd < 0)
		complain("CLAIM: %llu bytes, rights 0x%x, options 0x%x",
			 (unsigned long long)m->size, m->rights, m->options);
	feature(mix(16ULL << 60 | m->rights << 4 | m->options));
}

static const int claim_errors[] = {
	ENOENT, EAGAIN, ETIMEDOUT, EINTR, EPIPE, EMFILE, ENFILE, EDQUOT, EPERM,
	0
};

static const struct arg_spec consent_info_args[] = { IOCTL_FIELDS(K_CONSENT) };

static void consent_info_check(struct ctx *c, const struct value *arg,
			       const void *st, long ret)
{
	const struct mbuf_consent_info *i = st;

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (!i->id || !i->offer || !i->end || !i->peer || i->end == i->peer ||
	    i->min > i->max || i->resv ||
	    (i->party != MBUF_PARTY_MAKER && i->party != MBUF_PARTY_TAKER))
		complain("CONSENT_INFO: sizes %llu, %llu, party %u, error %u",
			 (unsigned long long)i->min,
			 (unsigned long long)i->max, i->party, i->error);
	feature(mix(17ULL << 60 | i->error << 4 | i->party));
}

static const uint64_t provide_flags[] = {
	0, 0, 0, MBUF_PROVIDE_ALLOCATE, MBUF_PROVIDE_ALLOCATE,
	MBUF_PROVIDE_CHECK,
};

enum { P_CONSENT = IOCTL_NR, P_OTHER, P_MEMORY, P_SIZE, P_RIGHTS, P_OTHERS,
	P_FLAGS };

static const struct arg_spec provide_args[] = {
	IOCTL_FIELDS(K_SESSION),
	IN("consent", mbuf_provide, consent[0].fd, K_CONSENT),
	IN("other", mbuf_provide, consent[1].fd, K_CONSENT),
	/* only without flags */
	{ .name = "memory", .type = A_FD, .kinds = K_MEMFD | K_REGION },
	NUM("bytes", mbuf_provide, size, VALS(size_vals), .rare = 30),
	FLAGS("rights", mbuf_provide, rights[0], rights_vals, .max = 3,
	      .rare = 30),
	FLAGS("others", mbuf_provide, rights[1], rights_vals, .max = 3,
	      .rare = 30),
	FLAGS("flags", mbuf_provide, flags, provide_flags, .max = 3),
};

static void provide_fill(struct ctx *c, const struct value *arg, void *st)
{
	struct mbuf_provide *p = st;

	(void)c;
	if (!p->flags)
		p->memory.fd = slot_fd(arg[P_MEMORY].n);
}

static void provide_check(struct ctx *c, const struct value *arg,
			  const void *st, long ret)
{
	const struct mbuf_provide *p = st;

	(void)c;
	(void)arg;
	if (ret)
		return;
	if (!p->offer || !p->size || p->size % PAGE)
		complain("PROVIDE: %llu bytes", (unsigned long long)p->size);
	feature(mix(18ULL << 60 | p->flags));
}

static const int provide_errors[] = {
	EXDEV, ESTALE, EPIPE, ETIMEDOUT, EBUSY, EACCES, EPERM, EMSGSIZE, EINTR,
	0
};

static const uint64_t page_vals[] = { 1, 1, 1, 2, 4, 64 };
static const uint64_t seal_vals[] = {
	F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW,
	F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW,
	F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_WRITE, 0,
};

static const struct arg_spec memfd_args[] = {
	{ .name = "out", .type = A_OUT, .kinds = K_MEMFD },
	{ .name = "pages", .type = A_NUM, VALS(page_vals) },
	{ .name = "seals", .type = A_FLAGS, VALS(seal_vals) },
};

static long op_memfd(struct ctx *c, const struct value *arg)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)c;
	if (fd < 0)
		return ret_of(-1);
	if (ftruncate(fd, arg[1].n % 256 * PAGE) ||
	    fcntl(fd, F_ADD_SEALS, arg[2].n & 31)) {
		long ret = ret_of(-1);

		close(fd);
		return ret;
	}
	slot_set(arg[0].n, fd);
	return fd;
}

static const uint64_t prot_vals[] = {
	PROT_READ, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
};

static const char *const then_names[] = {
	"unmap", "keep", "write", "protect", "advise", NULL
};

static const struct arg_spec map_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_END | K_REGION },
	{ .name = "prot", .type = A_FLAGS, VALS(prot_vals), .max = 7 },
	{ .name = "pages", .type = A_NUM, VALS(page_vals) },
	{ .name = "page", .type = A_NUM, .max = 2, .rare = 10 },
	{ .name = "private", .type = A_NUM, .max = 1, .rare = 10 },
	{ .name = "then", .type = A_NAME, .names = then_names, .max = 4 },
};

/* What is there is touched by way of the file: it may be none. */
static long op_map(struct ctx *c, const struct value *arg)
{
	size_t len = (arg[2].n % 256) * PAGE;
	uint64_t word = 0x6662;
	void *map;
	long ret;

	(void)c;
	map = mmap(NULL, len, arg[1].n & 7, arg[4].n % 2 ? MAP_PRIVATE :
		   MAP_SHARED, slot_fd(arg[0].n), arg[3].n % 4 * PAGE);
	if (map == MAP_FAILED)
		return ret_of(-1);
	ret = mem_read(&word, (uintptr_t)map, sizeof(word));
	switch (arg[5].n) {
	case 1:
		return ret;
	case 2:
		mem_write((uintptr_t)map, &word, sizeof(word));
		break;
	case 3:
		mprotect(map, len, PROT_READ | PROT_WRITE);
		mem_write((uintptr_t)map, &word, sizeof(word));
		break;
	case 4:
		madvise(map, len, MADV_REMOVE);
		mem_read(&word, (uintptr_t)map, sizeof(word));
		break;
	}
	munmap(map, len);
	return ret;
}

const struct op channel_ops[] = {
	CALL(channel_create, CHANNEL_CREATE, 12, OP_SETUP | OP_MAKES,
	     .errors = create_errors),
	CALL(exchange, EXCHANGE, 60, OP_TIMED,
	     .fill = exchange_fill, .check = exchange_check,
	     .errors = exchange_errors),
	CALL(channel_info, CHANNEL_INFO, 12, OP_SETUP,
	     .check = channel_info_check, .errors = no_errors),
	CALL(approve, APPROVE, 3, 0, .errors = approve_errors),
	CALL(give, GIVE, 4, 0, .errors = give_errors),
	CALL(given, GIVEN, 4, OP_MAKES, .errors = given_errors),
	CALL(attach, ATTACH, 8, OP_SETUP,
	     .errors = attach_errors),
	CALL(detach, DETACH, 6, 0, .errors = detach_errors),
	CALL(poll_all, POLL_ALL, 16, OP_TIMED,
	     .fill = poll_all_fill, .check = poll_all_check,
	     .errors = poll_all_errors),
	CALL(wait_any, WAIT_ANY, 16, OP_TIMED,
	     .fill = wait_any_fill, .check = wait_any_check,
	     .errors = wait_any_errors),
	CALL(listen, LISTEN, 8, OP_SETUP | OP_MAKES, .fill = listen_fill,
	     .errors = listen_errors),
	CALL(listener_set, LISTENER_SET, 4, 0,
	     .errors = set_errors),
	CALL(listener_acl, LISTENER_ACL, 4, OP_SETUP,
	     .errors = acl_errors),
	CALL(listener_info, LISTENER_INFO, 5, 0,
	     .check = listener_info_check, .errors = info_errors),
	CALL(accept_queue, ACCEPT_QUEUE, 4, OP_SETUP,
	     .errors = accept_queue_errors),
	CALL(connect, CONNECT, 12, OP_TIMED,
	     .fill = connect_fill, .errors = connect_errors),
	CALL(accept, ACCEPT, 12, OP_TIMED,
	     .errors = accept_errors),
	CALL(offer, OFFER, 12, 0, .fill = offer_fill,
	     .check = offer_check, .errors = offer_errors),
	CALL(offered, OFFERED, 8, OP_TIMED, .fill = offered_fill,
	     .check = offered_check, .errors = offered_errors),
	CALL(take, TAKE, 12, 0, .fill = take_fill,
	     .errors = take_errors),
	CALL(counter, COUNTER, 4, 0, .fill = counter_fill,
	     .errors = counter_errors),
	CALL(reject, REJECT, 4, 0, .fill = reject_fill,
	     .errors = counter_errors),
	CALL(answer, ANSWER, 10, OP_TIMED, .fill = answer_fill,
	     .check = answer_check, .errors = answer_errors),
	CALL(withdraw, WITHDRAW, 4, 0, .fill = withdraw_fill,
	     .errors = withdraw_errors),
	CALL(grant, GRANT, 6, 0, .errors = grant_errors),
	CALL(region_info, REGION_INFO, 4, 0,
	     .check = region_info_check, .errors = no_errors),
	CALL(paged_create, PAGED_CREATE, 10, OP_SETUP | OP_MAKES,
	     .errors = paged_create_errors),
	CALL(faults, FAULTS, 6, OP_TIMED, .fill = faults_fill,
	     .errors = faults_errors),
	CALL(supply, SUPPLY, 14, OP_SETUP, .fill = supply_fill,
	     .check = supply_check, .errors = supply_errors),
	CALL(refuse, REFUSE, 3, 0, .errors = refuse_errors),
	CALL(evict, EVICT, 12, 0, .fill = evict_fill,
	     .check = evict_check, .errors = evict_errors),
	CALL(protect, PROTECT, 8, 0, .errors = protect_errors),
	CALL(pages, PAGES, 4, 0, .errors = protect_errors),
	CALL(paged_info, PAGED_INFO, 4, 0,
	     .check = paged_info_check, .errors = no_errors),
	CALL(consent, CONSENT, 12, 0, .fill = consent_fill,
	     .check = consent_check, .errors = consent_errors),
	CALL(revoke, REVOKE, 4, 0, .fill = revoke_fill,
	     .errors = revoke_errors),
	CALL(claim, CLAIM, 8, OP_TIMED, .fill = claim_fill,
	     .check = claim_check, .errors = claim_errors),
	CALL(consent_info, CONSENT_INFO, 5, 0,
	     .check = consent_info_check, .errors = no_errors),
	CALL(provide, PROVIDE, 12, 0, .fill = provide_fill,
	     .check = provide_check, .errors = provide_errors),
	OP(memfd, 3, OP_SETUP, memfd_args),
	OP(map, 8, 0, map_args),
	{ .name = NULL },
};
