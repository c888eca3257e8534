// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Generic netlink: requests, well-formed and not, and notices. One call sends a
 * request and takes all of its answer, which has to be what the specification
 * (Documentation/netlink/mbuf.yaml) says, and for who asks. What requests name
 * objects by is what the process was told of before.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/genetlink.h>
#include <linux/mbuf.h>
#include <linux/mbuf_netlink.h>
#include <linux/netlink.h>
#include "fuzz.h"

#define NOBODY		65534

/* What the kernel calls the family and its group; 0: there is none. */
static uint16_t family;
static uint32_t group;

/* Messages ---------------------------------------------------------------- */

#define OUT_MAX		1024

struct request {
	union {
		struct nlmsghdr h;
		uint8_t bytes[OUT_MAX];
	};
};

static void request_begin(struct request *r, unsigned int type,
			  unsigned int cmd, unsigned int flags)
{
	static uint32_t seq;
	struct genlmsghdr *g;

	memset(r, 0, sizeof(*r));
	r->h.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN;
	r->h.nlmsg_type = type;
	r->h.nlmsg_flags = NLM_F_REQUEST | flags;
	/* Of one process only; those that share a socket tell theirs by it. */
	r->h.nlmsg_seq = (uint32_t)getpid() << 12 |
			 (__atomic_add_fetch(&seq, 1, __ATOMIC_RELAXED) & 0xfff);
	g = NLMSG_DATA(&r->h);
	g->cmd = cmd;
	g->version = MBUF_FAMILY_VERSION;
}

static void request_attr(struct request *r, unsigned int type,
			 const void *data, size_t len)
{
	struct nlattr *a = (void *)(r->bytes + NLMSG_ALIGN(r->h.nlmsg_len));

	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	memcpy((uint8_t *)a + NLA_HDRLEN, data, len);
	r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + NLA_ALIGN(a->nla_len);
}

static void request_u32(struct request *r, unsigned int type, uint32_t value)
{
	request_attr(r, type, &value, sizeof(value));
}

static void request_u64(struct request *r, unsigned int type, uint64_t value)
{
	request_attr(r, type, &value, sizeof(value));
}

static size_t payload(const struct nlattr *a)
{
	return a->nla_len - NLA_HDRLEN;
}

static const void *data_of(const struct nlattr *a)
{
	return (const uint8_t *)a + NLA_HDRLEN;
}

static uint64_t number(const struct nlattr *a)
{
	uint64_t value = 0;

	if (a)
		memcpy(&value, data_of(a), payload(a) < sizeof(value) ?
		       payload(a) : sizeof(value));
	return value;
}

#define ATTRS_MAX	20

struct attrs {
	const struct nlattr *a[ATTRS_MAX];
};

/*
 * What attributes are, from 1 on: p padding, 4 or 8 bytes, 0 a flag, b bytes, n
 * a nest, x never in an answer.
 */
static bool attrs_parse(const char *name, const char *shape, const void *from,
			size_t len, struct attrs *attrs)
{
	const uint8_t *p = from;

	memset(attrs, 0, sizeof(*attrs));
	while (len) {
		const struct nlattr *a = (const void *)p;
		unsigned int type;
		size_t step;
		char want;

		if (len < NLA_HDRLEN || a->nla_len < NLA_HDRLEN ||
		    a->nla_len > len) {
			complain("netlink: %s: a broken attribute", name);
			return false;
		}
		type = a->nla_type & NLA_TYPE_MASK;
		want = type && type <= strlen(shape) ? shape[type - 1] : 'x';
		if (want == 'x' || (want == '4' && payload(a) != 4) ||
		    (want == '8' && payload(a) != 8) ||
		    (want == '0' && payload(a)) ||
		    (want != 'p' && attrs->a[type])) {
			complain("netlink: %s: attribute %u of %zu bytes", name,
				 type, payload(a));
			return false;
		}
		attrs->a[type] = a;
		step = NLA_ALIGN(a->nla_len);
		step = step < len ? step : len;
		p += step;
		len -= step;
	}
	return true;
}

/* Opening ----------------------------------------------------------------- */

static int open_socket(void)
{
	struct sockaddr_nl me = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (fd >= 0 && bind(fd, (void *)&me, sizeof(me))) {
		close(fd);
		return -1;
	}
	return fd;
}

static const struct nlattr *attr_in(const void *from, size_t len, int type)
{
	const uint8_t *p = from;

	while (len >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)p;
		size_t step = NLA_ALIGN(a->nla_len);

		if (a->nla_len < NLA_HDRLEN || a->nla_len > len)
			break;
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		step = step < len ? step : len;
		p += step;
		len -= step;
	}
	return NULL;
}

/* Before there are programs, so that all know. */
void netlink_init(void)
{
	uint8_t in[4096] __attribute__((aligned(8)));
	const struct nlmsghdr *h = (const void *)in;
	const struct nlattr *a;
	struct request r;
	ssize_t n = -1;
	int fd = open_socket();
	size_t len;

	if (fd < 0)
		return;
	request_begin(&r, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	request_attr(&r, CTRL_ATTR_FAMILY_NAME, MBUF_FAMILY_NAME,
		     sizeof(MBUF_FAMILY_NAME));
	if (send(fd, &r, r.h.nlmsg_len, 0) == (ssize_t)r.h.nlmsg_len)
		n = recv(fd, in, sizeof(in), MSG_DONTWAIT);
	close(fd);
	if (n < (ssize_t)(NLMSG_HDRLEN + GENL_HDRLEN) || h->nlmsg_len > n ||
	    h->nlmsg_type != GENL_ID_CTRL)
		return;
	len = h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
	a = attr_in(in + NLMSG_HDRLEN + GENL_HDRLEN, len, CTRL_ATTR_FAMILY_ID);
	if (!a)
		return;
	family = number(a);
	/* The only group, the first of those in the list. */
	a = attr_in(in + NLMSG_HDRLEN + GENL_HDRLEN, len,
		    CTRL_ATTR_MCAST_GROUPS);
	a = a ? attr_in(data_of(a), payload(a), 1) : NULL;
	a = a ? attr_in(data_of(a), payload(a), CTRL_ATTR_MCAST_GRP_ID) : NULL;
	group = number(a);
}

static const uint64_t bool_vals[] = { 0, 1 };

static const struct arg_spec netlink_open_args[] = {
	{ .name = "out", .type = A_OUT, .kinds = K_NETLINK },
	/* 1: go to a network namespace of its own before */
	{ .name = "netns", .type = A_NUM, .rare = 3, VALS(bool_vals) },
};

static long op_netlink_open(struct ctx *c, const struct value *arg)
{
	int fd;

	(void)c;
	if (!family)
		return -ENOENT;
	if (arg[1].n && unshare(CLONE_NEWNET))
		return ret_of(-1);
	fd = open_socket();
	if (fd < 0)
		return ret_of(-1);
	slot_set(arg[0].n, fd);
	return fd;
}

static const int netlink_open_errors[] = {
	ENOENT, EPERM, EMFILE, ENFILE, ENOMEM, ENOBUFS, ENOSPC, EAFNOSUPPORT,
	EPROTONOSUPPORT, EUSERS, EADDRINUSE, EINTR, 0
};

/* A socket of netlink; what else may be in the slot is left alone. */
static int netlink_fd(uint64_t slot)
{
	int fd = slot_fd(slot), domain = 0;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) ||
	    domain != AF_NETLINK)
		return -1;
	return fd;
}

/* Answers ----------------------------------------------------------------- */

/* Nests that objects have, by their attributes. */
static const struct {
	const char *name, *shape;
} nests[] = {
	[MBUF_A_OBJECT_QUEUE] = { "queue", "p44444444488888848" },
	[MBUF_A_OBJECT_ENDPOINT] = { "endpoint", "p84488444440" },
	[MBUF_A_OBJECT_LISTENER] = { "listener", "p8b444444448888" },
	[MBUF_A_OBJECT_REGION] = { "region", "p844" },
	[MBUF_A_OBJECT_SESSION] = { "session", "p84" },
	[MBUF_A_OBJECT_TABLE] = { "table", "p48" },
	[MBUF_A_OBJECT_MESSAGE] = { "message", "p4444448888" },
	[MBUF_A_OBJECT_KEY] = { "key", "p44" },
	[MBUF_A_OBJECT_CONSENT] = { "consent", "p8884448884" },
	[MBUF_A_OBJECT_PAGED] = { "paged", "p8888888408" },
};

/* Which of them an object of a type has. */
static const uint8_t nest_of[] = {
	[MBUF_OBJECT_TYPE_SESSION] = MBUF_A_OBJECT_SESSION,
	[MBUF_OBJECT_TYPE_QUEUE] = MBUF_A_OBJECT_QUEUE,
	[MBUF_OBJECT_TYPE_ENDPOINT] = MBUF_A_OBJECT_ENDPOINT,
	[MBUF_OBJECT_TYPE_LISTENER] = MBUF_A_OBJECT_LISTENER,
	[MBUF_OBJECT_TYPE_ACCEPT_QUEUE] = MBUF_A_OBJECT_LISTENER,
	[MBUF_OBJECT_TYPE_REGION] = MBUF_A_OBJECT_REGION,
	[MBUF_OBJECT_TYPE_TABLE] = MBUF_A_OBJECT_TABLE,
	[MBUF_OBJECT_TYPE_MESSAGE] = MBUF_A_OBJECT_MESSAGE,
	[MBUF_OBJECT_TYPE_KEY] = MBUF_A_OBJECT_KEY,
	[MBUF_OBJECT_TYPE_CONSENT] = MBUF_A_OBJECT_CONSENT,
	[MBUF_OBJECT_TYPE_PAGED] = MBUF_A_OBJECT_PAGED,
};

/* Identities that this process was told of last. */
static uint64_t known[16];
static uint32_t nr_known;

/**
 * struct asked - what an answer has to match
 * @type: of objects, or 0
 * @id: of one, or 0; of handles: to which
 * @holder: of handles: whose, or 0
 * @uid: whose, or -1
 */
struct asked {
	uint32_t type;
	uint64_t id;
	uint64_t holder;
	int64_t uid;
};

static void queue_answer(const struct attrs *q)
{
	const struct mbuf_queue_info i = {
		.slots = number(q->a[MBUF_A_QUEUE_SLOTS]),
		.max_msg = number(q->a[MBUF_A_QUEUE_MAX_MSG]),
		.flags = number(q->a[MBUF_A_QUEUE_FLAGS]),
		.depth = number(q->a[MBUF_A_QUEUE_DEPTH]),
		.high_water = number(q->a[MBUF_A_QUEUE_HIGH_WATER]),
		.senders = number(q->a[MBUF_A_QUEUE_SENDERS]),
		.receivers = number(q->a[MBUF_A_QUEUE_RECEIVERS]),
		.send_waiters = number(q->a[MBUF_A_QUEUE_SEND_WAITERS]),
		.recv_waiters = number(q->a[MBUF_A_QUEUE_RECV_WAITERS]),
		.sent = number(q->a[MBUF_A_QUEUE_SENT]),
		.received = number(q->a[MBUF_A_QUEUE_RECEIVED]),
		.dropped = number(q->a[MBUF_A_QUEUE_DROPPED]),
	};

	if (i.depth > i.slots || i.high_water < i.depth ||
	    i.sent != i.received + i.dropped + i.depth)
		complain("netlink: queue: depth %u/%u, high %u, in %llu, out %llu - %llu",
			 i.depth, i.slots, i.high_water,
			 (unsigned long long)i.sent,
			 (unsigned long long)i.received,
			 (unsigned long long)i.dropped);
}

/* Nobody is told of what belongs to somebody else. */
static void check_owner(const char *name, const struct nlattr *uid, bool kernel)
{
	if (head_of(&shm->prog, HEAD_USER) == USER_NOBODY &&
	    (kernel || !uid || number(uid) != NOBODY))
		complain("netlink: nobody sees a%s %s of %llu",
			 kernel ? " driver's" : "", name,
			 (unsigned long long)number(uid));
}

static void object_answer(const void *from, size_t len, const struct asked *q)
{
	struct attrs o, in;
	unsigned int type, i;
	uint64_t id;

	if (!attrs_parse("object", "p48444x0nnnnnnnnnn", from, len, &o))
		return;
	type = number(o.a[MBUF_A_OBJECT_TYPE]);
	id = number(o.a[MBUF_A_OBJECT_ID]);
	if (!type || type >= NELEMS(nest_of) || !id ||
	    (q->type && q->type != type) || (q->id && q->id != id) ||
	    (q->uid >= 0 && (!o.a[MBUF_A_OBJECT_UID] ||
			     number(o.a[MBUF_A_OBJECT_UID]) !=
			     (uint64_t)q->uid))) {
		complain("netlink: %llx of type %u, user %lld instead of %llx, %u, %lld",
			 (unsigned long long)id, type,
			 (long long)number(o.a[MBUF_A_OBJECT_UID]),
			 (unsigned long long)q->id, q->type,
			 (long long)q->uid);
		return;
	}
	if (!o.a[MBUF_A_OBJECT_NETNS] || !o.a[MBUF_A_OBJECT_KERNEL] !=
	    !!o.a[MBUF_A_OBJECT_UID] || !o.a[MBUF_A_OBJECT_UID] !=
	    !o.a[MBUF_A_OBJECT_PID])
		complain("netlink: an object of type %u lacks something", type);
	check_owner("object", o.a[MBUF_A_OBJECT_UID],
		    o.a[MBUF_A_OBJECT_KERNEL]);
	for (i = MBUF_A_OBJECT_QUEUE; i < NELEMS(nests); i++) {
		const bool wanted = nest_of[type] == i;

		if (!o.a[i] == wanted) {
			complain("netlink: an object of type %u has %s%s", type,
				 o.a[i] ? "a nest of " : "no nest of ",
				 nests[i].name);
			return;
		}
		if (!o.a[i])
			continue;
		if (!attrs_parse(nests[i].name, nests[i].shape,
				 data_of(o.a[i]), payload(o.a[i]), &in))
			return;
		if (i == MBUF_A_OBJECT_QUEUE)
			queue_answer(&in);
	}
	if (nr_known < NELEMS(known))
		known[nr_known++] = id;
	feature(mix(11ULL << 60 | type << 1 | !!o.a[MBUF_A_OBJECT_KERNEL]));
}

static void user_answer(const void *from, size_t len, const struct asked *q)
{
	struct attrs u;
	unsigned int i;

	if (!attrs_parse("user", "p44888888888880", from, len, &u))
		return;
	for (i = MBUF_A_USER_UID; i < MBUF_A_USER_OWN_LIMITS; i++)
		if (!u.a[i])
			complain("netlink: a user without attribute %u", i);
	if (q->uid >= 0 && number(u.a[MBUF_A_USER_UID]) != (uint64_t)q->uid)
		complain("netlink: user %llu, asked for %lld",
			 (unsigned long long)number(u.a[MBUF_A_USER_UID]),
			 (long long)q->uid);
	check_owner("user", u.a[MBUF_A_USER_UID], false);
	feature(mix(11ULL << 60 | 1 << 8 | !!u.a[MBUF_A_USER_OWN_LIMITS]));
}

static void handle_answer(const void *from, size_t len, const struct asked *q)
{
	uint64_t holder, table, object, type, index, rights;
	struct attrs h;
	bool session;
	unsigned int i;

	if (!attrs_parse("handle", "p4884448444x", from, len, &h))
		return;
	for (i = MBUF_A_HANDLE_HOLDER_TYPE; i < MBUF_A_HANDLE_ALL; i++) {
		if (!h.a[i]) {
			complain("netlink: a handle without attribute %u", i);
			return;
		}
	}
	holder = number(h.a[MBUF_A_HANDLE_HOLDER_ID]);
	table = number(h.a[MBUF_A_HANDLE_TABLE_ID]);
	object = number(h.a[MBUF_A_HANDLE_OBJECT_ID]);
	type = number(h.a[MBUF_A_HANDLE_TYPE]);
	index = number(h.a[MBUF_A_HANDLE_INDEX]);
	rights = number(h.a[MBUF_A_HANDLE_RIGHTS]);
	session = number(h.a[MBUF_A_HANDLE_HOLDER_TYPE]) ==
		  MBUF_OBJECT_TYPE_SESSION;
	if ((!session && number(h.a[MBUF_A_HANDLE_HOLDER_TYPE]) !=
	     MBUF_OBJECT_TYPE_TABLE) || session == !(holder ^ table) ||
	    !holder || !table || !index || index > MBUF_INDEX_MAX ||
	    type > MBUF_CAP_SEALED ||
	    (type == MBUF_CAP_NONE && (rights || object)) ||
	    (type > MBUF_CAP_FILE && !object))
		complain("netlink: handle %llu of %llx in %llx: %llu, rights %llx, to %llx",
			 (unsigned long long)index, (unsigned long long)holder,
			 (unsigned long long)table, (unsigned long long)type,
			 (unsigned long long)rights,
			 (unsigned long long)object);
	if ((q->id && q->id != object) ||
	    (q->holder && q->holder != holder && q->holder != table) ||
	    (q->uid >= 0 && number(h.a[MBUF_A_HANDLE_UID]) !=
			    (uint64_t)q->uid))
		complain("netlink: a handle of %llx to %llx instead of %llx, %llx",
			 (unsigned long long)holder,
			 (unsigned long long)object,
			 (unsigned long long)q->holder,
			 (unsigned long long)q->id);
	check_owner("handle", h.a[MBUF_A_HANDLE_UID], false);
	if (nr_known < NELEMS(known)) {
		known[nr_known] = nr_known % 2 && object ? object : holder;
		nr_known++;
	}
	feature(mix(11ULL << 60 | 3 << 8 | type << 1 | session));
}

static void notice_answer(const void *from, size_t len, uint64_t *last)
{
	struct attrs n;
	uint64_t what, count;
	bool quota;

	if (!attrs_parse("notice", "p48488444", from, len, &n))
		return;
	what = number(n.a[MBUF_A_NOTICE_NOTICE]);
	count = number(n.a[MBUF_A_NOTICE_NUMBER]);
	quota = what == MBUF_NOTICE_QUOTA_REFUSED;
	if (!what || what > MBUF_NOTICE_PAGER_SLOW || count <= *last ||
	    !n.a[MBUF_A_NOTICE_TYPE] != !n.a[MBUF_A_NOTICE_ID] ||
	    !n.a[MBUF_A_NOTICE_RESOURCE] == quota ||
	    number(n.a[MBUF_A_NOTICE_RESOURCE]) > MBUF_RESOURCE_TYPE_CAPS)
		complain("netlink: notice %llu, number %llu after %llu",
			 (unsigned long long)what, (unsigned long long)count,
			 (unsigned long long)*last);
	*last = count;
	feature(mix(11ULL << 60 | 2 << 8 | what << 4 |
		    number(n.a[MBUF_A_NOTICE_TYPE])));
}

enum { MORE, LAST, BROKEN };

/*
 * Look at one message. LAST: it ends the answer to @seq, with *@ret; without
 * that anything goes, as it may be of another's.
 */
static int look_at(const struct nlmsghdr *h, uint32_t seq,
		   const struct asked *asked, uint64_t *last, long *ret)
{
	static const struct asked anything = { .uid = -1 };
	const struct genlmsghdr *g = NLMSG_DATA(h);
	const struct asked *q = h->nlmsg_seq == seq ? asked : &anything;
	const size_t head = NLMSG_HDRLEN + GENL_HDRLEN;
	int32_t err;

	if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
		if (h->nlmsg_len < NLMSG_HDRLEN + sizeof(err))
			goto broken;
		memcpy(&err, NLMSG_DATA(h), sizeof(err));
		if (err > 0)
			goto broken;
		if (h->nlmsg_seq != seq)
			return MORE;
		if (err)
			*ret = err;
		return LAST;
	}
	if (h->nlmsg_type != family || h->nlmsg_len < head)
		goto broken;
	switch (g->cmd) {
	case MBUF_CMD_OBJECT_GET:
		object_answer((const uint8_t *)h + head, h->nlmsg_len - head, q);
		break;
	case MBUF_CMD_USER_GET:
		user_answer((const uint8_t *)h + head, h->nlmsg_len - head, q);
		break;
	case MBUF_CMD_HANDLE_GET:
		handle_answer((const uint8_t *)h + head, h->nlmsg_len - head, q);
		break;
	case MBUF_CMD_NOTICE:
		notice_answer((const uint8_t *)h + head, h->nlmsg_len - head,
			      last);
		return MORE;
	default:
		goto broken;
	}
	if (h->nlmsg_seq == seq)
		++*ret;
	return MORE;

broken:
	complain("netlink: a message of type %u and %u bytes", h->nlmsg_type,
		 h->nlmsg_len);
	return BROKEN;
}

/* All that has come, until what ends the answer to @seq. */
static long take_answer(int fd, uint32_t seq, size_t room,
			const struct asked *asked)
{
	static _Thread_local uint8_t in[65536] __attribute__((aligned(8)));
	uint64_t last = 0;
	long ret = 0;

	for (;;) {
		ssize_t n = recv(fd, in, room, MSG_DONTWAIT | MSG_TRUNC);
		const struct nlmsghdr *h = (const void *)in;

		if (n < 0)
			return errno == EAGAIN && !seq ? ret : -errno;
		/* Where there is no room what follows is lost. */
		if ((size_t)n > room)
			return -EMSGSIZE;
		while (n >= NLMSG_HDRLEN) {
			size_t step = NLMSG_ALIGN(h->nlmsg_len);
			int what;

			if (h->nlmsg_len < NLMSG_HDRLEN || h->nlmsg_len > n) {
				complain("netlink: a message of %u bytes in %zd",
					 h->nlmsg_len, n);
				return ret;
			}
			what = look_at(h, seq, asked, &last, &ret);
			if (what != MORE)
				return ret;
			if (!seq)
				ret++;
			n -= step < (size_t)n ? step : (size_t)n;
			h = (const void *)((const uint8_t *)h + step);
		}
	}
}

/* Requests ---------------------------------------------------------------- */

static const char *const cmd_names[] = {
	"none", "object", "user", "limit", "flush", "notice", "more",
	"handle", NULL
};

static const uint64_t cmd_vals[] = {
	1, 1, 1, 1, 1, 2, 2, 3, 4, 4, 0, 5, 6, 7, 7, 7
};

static const uint64_t uid_vals[] = { 1, 1, 2, 3, 4, 5 };
static const uint64_t nth_vals[] = { 1, 1, 2, 3, 4, 16, 17, 18 };
static const uint64_t limit_vals[] = { 0, 1, 7, 4096, 1 << 20, 1ULL << 63,
				       ~0ULL };

enum { N_ON, N_CMD, N_DUMP, N_TYPE, N_NTH, N_UID, N_PID, N_ALL, N_SET, N_LIMIT,
	N_BAD, N_ROOM };

static const uint64_t room_vals[] = { 16, 512, 4096, 16384 };

static const struct arg_spec netlink_ask_args[] = {
	[N_ON] = { .name = "on", .type = A_FD, .kinds = K_NETLINK },
	[N_CMD] = { .name = "cmd", .type = A_NAME, .names = cmd_names,
		    .def = { V_NUM, 1 }, VALS(cmd_vals) },
	[N_DUMP] = { .name = "dump", .type = A_NUM, VALS(bool_vals) },
	/* of objects; of handles: nth is who holds them, not what they are to */
	[N_TYPE] = { .name = "type", .type = A_NUM, .rare = 50, .max = 13 },
	/* n-th of what an answer has told of; 17: 0, 18: what there is not */
	[N_NTH] = { .name = "nth", .type = A_NUM, .rare = 50,
		    VALS(nth_vals) },
	/* 1: nobody, 2: root, 3: anyone, 4 and 5: what is none */
	[N_UID] = { .name = "uid", .type = A_NUM, .rare = 30,
		    VALS(uid_vals) },
	/* 1: this one, 2: none, 3: 0 */
	[N_PID] = { .name = "pid", .type = A_NUM, .rare = 20, .max = 3 },
	[N_ALL] = { .name = "all", .type = A_NUM, .rare = 10,
		    VALS(bool_vals) },
	/* limits, a bit each, and what they become */
	[N_SET] = { .name = "set", .type = A_NUM, .rare = 30, .max = 31 },
	[N_LIMIT] = { .name = "limit", .type = A_NUM, .rare = 50,
		      VALS(limit_vals) },
	/* what is wrong with the request: spoil() */
	[N_BAD] = { .name = "bad", .type = A_NUM, .rare = 15, .max = 12 },
	/* bytes for a piece of the answer; 0: enough */
	[N_ROOM] = { .name = "room", .type = A_NUM, .rare = 10,
		     VALS(room_vals) },
};

static const uint32_t uids[] = { 0, NOBODY, 0, 12345, 0xfffffffe, 0xffffffff };

/* Such a request is refused, whatever it is for. */
static bool is_refused(unsigned int bad)
{
	return bad >= 1 && bad <= 4;
}

static void spoil(struct request *r, unsigned int how)
{
	struct genlmsghdr *g = NLMSG_DATA(&r->h);
	struct nlattr *a = (void *)(r->bytes + NLMSG_ALIGN(r->h.nlmsg_len));

	switch (how) {
	case 1:		/* too short for what it is */
		request_attr(r, MBUF_A_OBJECT_TYPE, "x", 2);
		break;
	case 2:		/* longer than the message */
		request_u32(r, MBUF_A_OBJECT_TYPE, 1);
		a->nla_len = 400;
		break;
	case 3:		/* not even a header */
		request_u32(r, MBUF_A_OBJECT_TYPE, 1);
		a->nla_len = 2;
		break;
	case 4:		/* not known */
		request_u32(r, 200, 1);
		break;
	case 5:		/* what is no nest */
		request_u32(r, NLA_F_NESTED | MBUF_A_OBJECT_TYPE, 1);
		break;
	case 6:		/* twice */
		request_u32(r, MBUF_A_OBJECT_TYPE, 1);
		request_u32(r, MBUF_A_OBJECT_TYPE, 2);
		break;
	case 7:		/* less than there has to be */
		request_u32(r, MBUF_A_OBJECT_TYPE, 0);
		break;
	case 8:		/* something behind it */
		r->h.nlmsg_len += 3;
		break;
	case 9:		/* part of a header */
		r->h.nlmsg_len = NLMSG_HDRLEN + 1;
		break;
	case 10:
		g->version = 99;
		break;
	case 11:
		g->reserved = 1;
		break;
	case 12:	/* only in answers */
		request_u64(r, MBUF_A_OBJECT_QUEUE, 0);
		break;
	}
}

static void add_filter(struct request *r, const struct value *arg,
		       struct asked *q)
{
	const uint32_t pids[] = { 0, getpid(), 0x7ffffff0, 0 };
	unsigned int nth = arg[N_NTH].n;

	if (arg[N_TYPE].n) {
		q->type = arg[N_TYPE].n;
		request_u32(r, MBUF_A_OBJECT_TYPE, q->type);
	}
	if (nth) {
		q->id = nth == 17 ? 0 : nth > 17 ? 0xdead0001 :
			known[(nth - 1) % NELEMS(known)];
		request_u64(r, MBUF_A_OBJECT_ID, q->id);
	}
	if (arg[N_UID].n && arg[N_CMD].n != MBUF_CMD_QUEUE_FLUSH) {
		q->uid = uids[arg[N_UID].n % NELEMS(uids)];
		request_u32(r, MBUF_A_OBJECT_UID, q->uid);
	}
	if (arg[N_PID].n)
		request_u32(r, MBUF_A_OBJECT_PID,
			    pids[arg[N_PID].n % NELEMS(pids)]);
	if (arg[N_ALL].n)
		request_attr(r, MBUF_A_OBJECT_ALL, "", 0);
}

/* The same arguments, but other numbers of attributes. */
static void add_handle_filter(struct request *r, const struct value *arg,
			      struct asked *q)
{
	const uint32_t pids[] = { 0, getpid(), 0x7ffffff0, 0 };
	unsigned int nth = arg[N_NTH].n;
	uint64_t id;

	if (nth) {
		id = nth == 17 ? 0 : nth > 17 ? 0xdead0001 :
		     known[(nth - 1) % NELEMS(known)];
		if (arg[N_TYPE].n)
			q->holder = id;
		else
			q->id = id;
		request_u64(r, arg[N_TYPE].n ? MBUF_A_HANDLE_HOLDER_ID :
			    MBUF_A_HANDLE_OBJECT_ID, id);
	}
	if (arg[N_UID].n) {
		q->uid = uids[arg[N_UID].n % NELEMS(uids)];
		request_u32(r, MBUF_A_HANDLE_UID, q->uid);
	}
	if (arg[N_PID].n)
		request_u32(r, MBUF_A_HANDLE_PID,
			    pids[arg[N_PID].n % NELEMS(pids)]);
	if (arg[N_ALL].n)
		request_attr(r, MBUF_A_HANDLE_ALL, "", 0);
}

static void add_limits(struct request *r, const struct value *arg,
		       struct asked *q)
{
	static const int limits[] = {
		MBUF_A_USER_OBJECTS_LIMIT, MBUF_A_USER_MEMORY_LIMIT,
		MBUF_A_USER_INFLIGHT_LIMIT, MBUF_A_USER_HANDLES_LIMIT,
		MBUF_A_USER_CAPS_LIMIT,
	};
	unsigned int i;

	if (arg[N_UID].n) {
		q->uid = uids[arg[N_UID].n % NELEMS(uids)];
		request_u32(r, MBUF_A_USER_UID, q->uid);
	}
	for (i = 0; i < NELEMS(limits); i++)
		if (arg[N_SET].n & 1ULL << i)
			request_u64(r, limits[i], arg[N_LIMIT].n);
}

static long op_netlink_ask(struct ctx *c, const struct value *arg)
{
	const unsigned int bad = arg[N_BAD].n % 13;
	const bool dump = arg[N_DUMP].n;
	unsigned int cmd = arg[N_CMD].n;
	struct asked q = { .uid = -1 };
	int fd = netlink_fd(arg[N_ON].n);
	size_t room = arg[N_ROOM].n;
	struct request r;
	long ret;

	if (fd < 0)
		return -EBADF;
	request_begin(&r, family, cmd, dump ? NLM_F_DUMP : NLM_F_ACK);
	if (cmd == MBUF_CMD_USER_GET || cmd == MBUF_CMD_LIMIT_SET)
		add_limits(&r, arg, &q);
	else if (cmd == MBUF_CMD_HANDLE_GET)
		add_handle_filter(&r, arg, &q);
	else
		add_filter(&r, arg, &q);
	spoil(&r, bad);
	/* The filter may be what was changed. */
	if (bad)
		q = (struct asked){ .uid = -1 };
	if (!room || room > 65536)
		room = 65536;
	__atomic_store_n(&nr_known, 0, __ATOMIC_RELAXED);
	if (send(fd, &r, r.h.nlmsg_len, MSG_DONTWAIT) < 0)
		return ret_of(-1);
	ret = take_answer(fd, r.h.nlmsg_seq, room, &q);
	if (c->fail || shm->prog.nr_workers > 1)
		return ret;
	if (ret >= 0 && is_refused(bad))
		complain("netlink: command %u: a request with fault %u is not refused",
			 cmd, bad);
	if (ret == -EAGAIN && bad != 9)
		complain("netlink: command %u is not answered", cmd);
	return ret;
}

/*
 * EMSGSIZE: there was no room for the answer; ENOBUFS: nor for notices before
 * it; EBUSY: a dump that was not taken to its end.
 */
static const int netlink_ask_errors[] = {
	EBADF, EINVAL, ERANGE, ENOENT, EOPNOTSUPP, EPERM, ESRCH, ENOMEM,
	ENOBUFS, EMSGSIZE, EAGAIN, EBUSY, EINTR, EFAULT, 0
};

/* Notices ----------------------------------------------------------------- */

static const struct arg_spec netlink_join_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_NETLINK },
	{ .name = "leave", .type = A_NUM, .rare = 20, VALS(bool_vals) },
};

static long op_netlink_join(struct ctx *c, const struct value *arg)
{
	int fd = netlink_fd(arg[0].n);

	(void)c;
	if (fd < 0)
		return -EBADF;
	return ret_of(setsockopt(fd, SOL_NETLINK, arg[1].n ?
				 NETLINK_DROP_MEMBERSHIP :
				 NETLINK_ADD_MEMBERSHIP, &group,
				 sizeof(group)));
}

static const int netlink_join_errors[] = {
	EBADF, EPERM, EINVAL, ENOENT, ENOMEM, EFAULT, 0
};

static const struct arg_spec netlink_take_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_NETLINK },
};

static long op_netlink_take(struct ctx *c, const struct value *arg)
{
	const struct asked anything = { .uid = -1 };
	int fd = netlink_fd(arg[0].n);

	(void)c;
	return fd < 0 ? -EBADF : take_answer(fd, 0, 65536, &anything);
}

static const int netlink_take_errors[] = {
	EBADF, ENOBUFS, EAGAIN, EINTR, ENOMEM, EFAULT, EINVAL, EPERM, ENOENT,
	EOPNOTSUPP, ERANGE, ESRCH, EMSGSIZE, EBUSY, 0
};

bool netlink_restore(const struct program *p)
{
	bool asked = false;
	unsigned int i, j;
	int fd;

	for (i = 0; i < p->nr; i++)
		asked |= op_get(p->call[i].op)->run == op_netlink_ask &&
			 p->call[i].arg[N_CMD].n == MBUF_CMD_LIMIT_SET;
	if (!asked || !family)
		return false;
	fd = open_socket();
	if (fd < 0)
		return true;
	for (i = 1; i < 4; i++) {
		struct request r;

		request_begin(&r, family, MBUF_CMD_LIMIT_SET, 0);
		request_u32(&r, MBUF_A_USER_UID, uids[i]);
		for (j = MBUF_A_USER_OBJECTS_LIMIT; j <= MBUF_A_USER_CAPS_LIMIT;
		     j += 2)
			request_u64(&r, j, 0);
		if (send(fd, &r, r.h.nlmsg_len, 0) < 0)
			break;
	}
	close(fd);
	return true;
}

const struct op netlink_ops[] = {
	OP(netlink_open, 4, OP_SETUP | OP_ERRORS, netlink_open_args,
	   .errors = netlink_open_errors),
	OP(netlink_ask, 14, OP_ERRORS, netlink_ask_args,
	   .errors = netlink_ask_errors),
	OP(netlink_join, 4, OP_SETUP | OP_ERRORS, netlink_join_args,
	   .errors = netlink_join_errors),
	OP(netlink_take, 5, OP_ERRORS, netlink_take_args,
	   .errors = netlink_take_errors),
	{ .name = NULL },
};
