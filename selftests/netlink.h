/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of netlink share. Messages are put together here and taken
 * apart here, so that the kernel is tested and no library.
 */
#ifndef MBUF_SELFTESTS_NETLINK_H
#define MBUF_SELFTESTS_NETLINK_H

#include "channel.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/mbuf_netlink.h>

#define NL_ATTRS	64

/* Attributes of a message or of a nest, by number. */
struct nl_attrs {
	const struct nlattr *a[NL_ATTRS];
};

struct nl {
	int fd;
	uint16_t family;
	uint32_t group;		/* of notices */
	uint32_t seq;
	bool intr;		/* a dump was not consistent */
	char errmsg[128];	/* what the kernel said of the last error */
	union {
		struct nlmsghdr h;
		char out[4096];
	};
	char in[65536];
};

static inline void *nl_data(const struct nlattr *a)
{
	return (char *)(uintptr_t)a + NLA_HDRLEN;
}

static inline size_t nl_len(const struct nlattr *a)
{
	return a->nla_len - NLA_HDRLEN;
}

static inline struct nl_attrs nl_parse(const void *data, size_t len)
{
	struct nl_attrs attrs = {};
	const char *p = data;

	while (len >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)p;
		size_t step = NLA_ALIGN(a->nla_len);
		unsigned int type = a->nla_type & NLA_TYPE_MASK;

		if (a->nla_len < NLA_HDRLEN || a->nla_len > len)
			break;
		if (type < NL_ATTRS)
			attrs.a[type] = a;
		p += step;
		len -= step < len ? step : len;
	}
	return attrs;
}

static inline struct nl_attrs nl_nest(const struct nl_attrs *attrs, int type)
{
	const struct nlattr *a = attrs->a[type];

	return a ? nl_parse(nl_data(a), nl_len(a)) : (struct nl_attrs){};
}

/* What is missing is ~0. */
static inline uint64_t nl_num(const struct nl_attrs *attrs, int type)
{
	const struct nlattr *a = attrs->a[type];
	uint64_t v = 0;

	if (!a || nl_len(a) > sizeof(v))
		return ~0ull;
	memcpy(&v, nl_data(a), nl_len(a));
	return v;
}

static inline void nl_begin_family(struct nl *nl, uint16_t family, int cmd,
				   int flags)
{
	struct genlmsghdr *g = (void *)(nl->out + NLMSG_HDRLEN);

	memset(nl->out, 0, sizeof(nl->out));
	nl->h.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN;
	nl->h.nlmsg_type = family;
	nl->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	nl->h.nlmsg_seq = ++nl->seq;
	g->cmd = (uint8_t)cmd;
	g->version = 1;
}

static inline void nl_begin(struct nl *nl, int cmd, int flags)
{
	nl_begin_family(nl, nl->family, cmd, flags);
}

static inline void nl_put(struct nl *nl, int type, const void *data,
			  size_t len)
{
	struct nlattr *a = (void *)(nl->out + NLMSG_ALIGN(nl->h.nlmsg_len));

	a->nla_type = (uint16_t)type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + len);
	if (len)
		memcpy(nl_data(a), data, len);
	nl->h.nlmsg_len = NLMSG_ALIGN(nl->h.nlmsg_len) +
			  (uint32_t)NLA_ALIGN(a->nla_len);
}

static inline void nl_put_u32(struct nl *nl, int type, uint32_t v)
{
	nl_put(nl, type, &v, sizeof(v));
}

static inline void nl_put_u64(struct nl *nl, int type, uint64_t v)
{
	nl_put(nl, type, &v, sizeof(v));
}

static inline int nl_send(struct nl *nl)
{
	ssize_t ret = send(nl->fd, nl->out, nl->h.nlmsg_len, 0);

	return ret < 0 ? -errno : 0;
}

/* The error in an ACK or at the end of a dump, and the text that explains it. */
static inline int nl_error(struct nl *nl, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);
	size_t skip = sizeof(*e);
	struct nl_attrs attrs;

	nl->errmsg[0] = '\0';
	if (h->nlmsg_type == NLMSG_DONE)
		skip = sizeof(int);
	else if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - sizeof(e->msg);
	if (h->nlmsg_flags & NLM_F_ACK_TLVS &&
	    h->nlmsg_len > NLMSG_HDRLEN + skip) {
		attrs = nl_parse((const char *)e + NLMSG_ALIGN(skip),
				 h->nlmsg_len - NLMSG_HDRLEN -
				 NLMSG_ALIGN(skip));
		if (attrs.a[NLMSGERR_ATTR_MSG])
			snprintf(nl->errmsg, sizeof(nl->errmsg), "%s",
				 (char *)nl_data(attrs.a[NLMSGERR_ATTR_MSG]));
	}
	return e->error;
}

typedef void nl_see(const struct nlmsghdr *h, const struct nl_attrs *attrs,
		    void *arg);

/*
 * Receives until the request is answered: by an ACK, or by the end of a dump.
 * How many messages there were, or -errno.
 */
static inline int nl_answer(struct nl *nl, nl_see *see, void *arg)
{
	int nr = 0;

	nl->intr = false;
	for (;;) {
		ssize_t len = recv(nl->fd, nl->in, sizeof(nl->in), 0);
		struct nlmsghdr *h = (void *)nl->in;

		if (len < 0)
			return -errno;
		for (; NLMSG_OK(h, (size_t)len); h = NLMSG_NEXT(h, len)) {
			struct nl_attrs attrs;
			int err;

			/* Of a group. */
			if (!h->nlmsg_seq)
				continue;
			if (h->nlmsg_seq != nl->seq)
				return -EPROTO;
			if (h->nlmsg_flags & NLM_F_DUMP_INTR)
				nl->intr = true;
			if (h->nlmsg_type == NLMSG_ERROR ||
			    h->nlmsg_type == NLMSG_DONE) {
				err = nl_error(nl, h);
				return err ? err : nr;
			}
			attrs = nl_parse((char *)NLMSG_DATA(h) + GENL_HDRLEN,
					 h->nlmsg_len - NLMSG_HDRLEN -
					 GENL_HDRLEN);
			nr++;
			if (see)
				see(h, &attrs, arg);
		}
	}
}

static inline int nl_ask(struct nl *nl, nl_see *see, void *arg)
{
	int ret = nl_send(nl);

	return ret ? ret : nl_answer(nl, see, arg);
}

static inline void nl_see_family(const struct nlmsghdr *h,
				 const struct nl_attrs *attrs, void *arg)
{
	struct nl *nl = arg;
	struct nl_attrs groups = nl_nest(attrs, CTRL_ATTR_MCAST_GROUPS);
	struct nl_attrs group = nl_nest(&groups, 1);

	(void)h;
	nl->family = (uint16_t)nl_num(attrs, CTRL_ATTR_FAMILY_ID);
	nl->group = (uint32_t)nl_num(&group, CTRL_ATTR_MCAST_GRP_ID);
}

/* A socket of its own; 0, or -errno. */
static inline int nl_open(struct nl *nl)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	struct timeval patience = { .tv_sec = 60 };
	int one = 1, ret;

	memset(nl, 0, sizeof(*nl));
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (nl->fd < 0)
		return -errno;
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(nl->fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		   sizeof(patience));
	if (bind(nl->fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	nl_begin_family(nl, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	nl_put(nl, CTRL_ATTR_FAMILY_NAME, MBUF_FAMILY_NAME,
	       sizeof(MBUF_FAMILY_NAME));
	ret = nl_ask(nl, nl_see_family, nl);
	if (ret < 0)
		return ret;
	return nl->family ? 0 : -ENOENT;
}

static inline void nl_close(struct nl *nl)
{
	close_fd(&nl->fd);
}

static inline int nl_join(struct nl *nl)
{
	return setsockopt(nl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
			  &nl->group, sizeof(nl->group)) ? -errno : 0;
}

/*
 * Objects
 */

/* What a dump has said of one of them. */
struct nl_object {
	uint32_t seen;		/* how often */
	uint32_t type, uid, pid, netns;
	bool kernel;
	uint64_t id;
	struct nl_attrs more;	/* valid until the next request */
};

struct nl_search {
	uint64_t id;
	struct nl_object found;
};

static inline void nl_see_object(const struct nlmsghdr *h,
				 const struct nl_attrs *attrs, void *arg)
{
	struct nl_search *s = arg;
	struct nl_object *o = &s->found;
	int nest;

	(void)h;
	if (nl_num(attrs, MBUF_A_OBJECT_ID) != s->id)
		return;
	o->seen++;
	o->id = s->id;
	o->type = (uint32_t)nl_num(attrs, MBUF_A_OBJECT_TYPE);
	o->uid = (uint32_t)nl_num(attrs, MBUF_A_OBJECT_UID);
	o->pid = (uint32_t)nl_num(attrs, MBUF_A_OBJECT_PID);
	o->netns = (uint32_t)nl_num(attrs, MBUF_A_OBJECT_NETNS);
	o->kernel = attrs->a[MBUF_A_OBJECT_KERNEL];
	for (nest = MBUF_A_OBJECT_QUEUE; nest <= MBUF_A_OBJECT_MAX; nest++)
		if (attrs->a[nest])
			o->more = nl_nest(attrs, nest);
}

/* Asks for one object by its identity; -errno. */
static inline int nl_get(struct nl *nl, uint64_t id, struct nl_object *o)
{
	struct nl_search s = { .id = id };
	int ret;

	nl_begin(nl, MBUF_CMD_OBJECT_GET, NLM_F_ACK);
	nl_put_u64(nl, MBUF_A_OBJECT_ID, id);
	ret = nl_ask(nl, nl_see_object, &s);
	if (o)
		*o = s.found;
	return ret < 0 ? ret : s.found.seen == 1 ? 0 : -EPROTO;
}

/* Dumps all, and says how often an object was in it; -errno. */
static inline int nl_dump_has(struct nl *nl, uint64_t id)
{
	struct nl_search s = { .id = id };
	int ret;

	nl_begin(nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	ret = nl_ask(nl, nl_see_object, &s);
	return ret < 0 ? ret : (int)s.found.seen;
}

/*
 * Notices
 */

struct nl_notice {
	uint32_t what, type, uid, resource, error;
	uint64_t number, id, peer_id;
};

/* The next one that has come already; -EAGAIN if there is none. */
static inline int nl_next_notice(struct nl *nl, struct nl_notice *n)
{
	struct nlmsghdr *h = (void *)nl->in;
	struct nl_attrs attrs;
	ssize_t len;

	len = recv(nl->fd, nl->in, sizeof(nl->in), MSG_DONTWAIT);
	if (len < 0)
		return -errno;
	if (!NLMSG_OK(h, (size_t)len) || h->nlmsg_type != nl->family ||
	    h->nlmsg_seq)
		return -EPROTO;
	attrs = nl_parse((char *)NLMSG_DATA(h) + GENL_HDRLEN,
			 h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN);
	n->what = (uint32_t)nl_num(&attrs, MBUF_A_NOTICE_NOTICE);
	n->number = nl_num(&attrs, MBUF_A_NOTICE_NUMBER);
	n->type = (uint32_t)nl_num(&attrs, MBUF_A_NOTICE_TYPE);
	n->id = nl_num(&attrs, MBUF_A_NOTICE_ID);
	n->peer_id = nl_num(&attrs, MBUF_A_NOTICE_PEER_ID);
	n->uid = (uint32_t)nl_num(&attrs, MBUF_A_NOTICE_UID);
	n->resource = (uint32_t)nl_num(&attrs, MBUF_A_NOTICE_RESOURCE);
	n->error = (uint32_t)nl_num(&attrs, MBUF_A_NOTICE_ERROR);
	return 0;
}

/*
 * In a child: what @fn returns in namespaces that anybody can make, in which it
 * is user 0 and process 1.
 */
static inline int in_own_namespaces(int (*fn)(void *arg), void *arg)
{
	uid_t uid = geteuid();

	CHECK_EQ(0, unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID));
	write_file("/proc/self/setgroups", "deny");
	CHECK(write_file("/proc/self/uid_map", "0 %u 1", uid));
	return reap(spawn(fn, arg));
}

/* In a fixture that has that of queues as its base. */
#define NL_QUEUE(slots, max_msg, flags) \
	ASSERT_EQ(0, mbuf_queue_create(self->base.session, slots, max_msg, \
				       flags, &self->base.rfd, \
				       &self->base.sfd))

#endif /* MBUF_SELFTESTS_NETLINK_H */
