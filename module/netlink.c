// SPDX-License-Identifier: GPL-2.0
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include "compat.h"
#include "netlink.h"
#include "quota.h"
#include "registry.h"
#include "table.h"

/* Handles that are looked at before others get the CPU. */
#define HANDLES_CHUNK	32

static struct genl_family mbuf_family;

static const struct nla_policy object_policy[MBUF_A_OBJECT_ALL + 1] = {
	[MBUF_A_OBJECT_TYPE]	= NLA_POLICY_MIN(NLA_U32, 1),
	[MBUF_A_OBJECT_ID]	= { .type = NLA_U64 },
	[MBUF_A_OBJECT_UID]	= { .type = NLA_U32 },
	[MBUF_A_OBJECT_PID]	= NLA_POLICY_MIN(NLA_U32, 1),
	[MBUF_A_OBJECT_ALL]	= { .type = NLA_FLAG },
};

static const struct nla_policy handle_policy[MBUF_A_HANDLE_ALL + 1] = {
	[MBUF_A_HANDLE_HOLDER_ID]	= { .type = NLA_U64 },
	[MBUF_A_HANDLE_OBJECT_ID]	= { .type = NLA_U64 },
	[MBUF_A_HANDLE_UID]		= { .type = NLA_U32 },
	[MBUF_A_HANDLE_PID]		= NLA_POLICY_MIN(NLA_U32, 1),
	[MBUF_A_HANDLE_ALL]		= { .type = NLA_FLAG },
};

static const struct nla_policy user_policy[MBUF_A_USER_UID + 1] = {
	[MBUF_A_USER_UID]	= { .type = NLA_U32 },
};

static const struct nla_policy limit_policy[MBUF_A_USER_CAPS_LIMIT + 1] = {
	[MBUF_A_USER_UID]		= { .type = NLA_U32 },
	[MBUF_A_USER_OBJECTS_LIMIT]	= { .type = NLA_U64 },
	[MBUF_A_USER_MEMORY_LIMIT]	= { .type = NLA_U64 },
	[MBUF_A_USER_INFLIGHT_LIMIT]	= { .type = NLA_U64 },
	[MBUF_A_USER_HANDLES_LIMIT]	= { .type = NLA_U64 },
	[MBUF_A_USER_CAPS_LIMIT]	= { .type = NLA_U64 },
};

/* How much of each resource there is, and may be. */
static const int user_attr[MBUF_RES_NR][2] = {
	[MBUF_RES_OBJECTS] = { MBUF_A_USER_OBJECTS,
			       MBUF_A_USER_OBJECTS_LIMIT },
	[MBUF_RES_MEMORY] = { MBUF_A_USER_MEMORY, MBUF_A_USER_MEMORY_LIMIT },
	[MBUF_RES_INFLIGHT] = { MBUF_A_USER_INFLIGHT,
				MBUF_A_USER_INFLIGHT_LIMIT },
	[MBUF_RES_HANDLES] = { MBUF_A_USER_HANDLES,
			       MBUF_A_USER_HANDLES_LIMIT },
	[MBUF_RES_CAPS] = { MBUF_A_USER_CAPS, MBUF_A_USER_CAPS_LIMIT },
};

static const struct nla_policy flush_policy[MBUF_A_OBJECT_ID + 1] = {
	[MBUF_A_OBJECT_ID]	= { .type = NLA_U64 },
};

static const struct nla_policy latency_policy[MBUF_A_OBJECT_MEASURE + 1] = {
	[MBUF_A_OBJECT_ID]	= { .type = NLA_U64 },
	[MBUF_A_OBJECT_MEASURE]	= { .type = NLA_FLAG },
};

/* Who asks, and what may it see? */

/**
 * struct holder - whose handles are being told
 * @table: the table; holds a reference
 * @type: MBUF_OBJECT_TYPE_* of the session or table
 * @id: its identity
 * @uid: who pays for it, as the reader knows that user
 * @pid: who made it, likewise
 * @netns: number of its network namespace
 */
struct holder {
	struct mbuf_table *table;
	u32 type;
	u64 id;
	u32 uid;
	u32 pid;
	u32 netns;
};

/**
 * struct request - who asks for what
 * @reader: for whom ids are translated; holds references
 * @own: the account of who asks, if there is one; holds a reference
 * @netns: where it asks; holds a reference
 * @admin: it may see all that belongs to @netns
 * @all: it wants to see, and may, what belongs to any
 * @ns: the user namespace of the network namespace; holds a reference
 * @type: MBUF_OBJECT_TYPE_*, or 0
 * @id: an identity, or 0
 * @uid: a user, or INVALID_UID
 * @pid: a process, or NULL; holds a reference
 * @nobody: no process or user is what was asked for
 * @holder_id: handles: identity of a session or table, or 0
 * @object_id: handles: identity of what they refer to, or 0
 * @at: objects, handles: where to go on
 * @from: users: likewise
 * @begun: handles: @changes is known
 * @changes: handles: of all tables that are of interest, when the dump began
 * @holder: handles: the number of the node at which @at is
 * @index: handles: where to go on in the table of that node
 * @skb: where to put what is seen
 * @portid: for the header of messages
 * @seq: likewise
 * @cb: dumps: that
 */
struct request {
	struct mbuf_reader reader;
	struct mbuf_account *own;
	struct mbuf_netns *netns;
	bool admin;
	bool all;
	struct user_namespace *ns;
	u32 type;
	u64 id;
	kuid_t uid;
	struct pid *pid;
	bool nobody;
	u64 holder_id;
	u64 object_id;
	struct mbuf_visit at;
	u64 from;
	bool begun;
	u64 changes;
	u64 holder;
	u32 index;
	struct sk_buff *skb;
	u32 portid;
	u32 seq;
	struct netlink_callback *cb;
};

/*
 * The user is who has opened the socket, as it is who gets the answer: somebody
 * with more privileges may be made to write a request to the socket of another.
 * That also holds for the capability, which the sender needs as well.
 */
static int request_begin(struct request *r, struct sk_buff *skb,
			 const struct nlattr *all,
			 struct netlink_ext_ack *extack)
{
	struct sock *sk = NETLINK_CB(skb).sk;
	const struct cred *cred = sk->sk_socket->file->f_cred;
	struct net *net = sock_net(sk);

	memset(r, 0, sizeof(*r));
	r->uid = INVALID_UID;
	r->admin = netlink_ns_capable(skb, net->user_ns, CAP_NET_ADMIN);
	if (all) {
		if (!netlink_capable(skb, CAP_NET_ADMIN)) {
			NL_SET_ERR_MSG_ATTR(extack, all,
					    "needs CAP_NET_ADMIN in the initial user namespace");
			return -EPERM;
		}
		r->all = true;
	}
	r->own = mbuf_account_get(cred);
	if (!r->own)
		return -ENOMEM;
	r->netns = mbuf_netns_of(net);
	refcount_inc(&r->netns->ref);
	r->ns = get_user_ns(net->user_ns);
	r->reader.user_ns = get_user_ns(current_user_ns());
	r->reader.pid_ns = get_pid_ns(task_active_pid_ns(current));
	return 0;
}

static void request_end(struct request *r)
{
	put_pid(r->pid);
	put_pid_ns(r->reader.pid_ns);
	put_user_ns(r->reader.user_ns);
	put_user_ns(r->ns);
	mbuf_netns_put(r->netns);
	mbuf_account_put(r->own);
}

static void request_uid(struct request *r, const struct nlattr *attr)
{
	if (!attr)
		return;
	r->uid = make_kuid(r->reader.user_ns, nla_get_u32(attr));
	r->nobody |= !uid_valid(r->uid);
}

static void request_pid(struct request *r, const struct nlattr *attr)
{
	if (!attr)
		return;
	r->pid = find_get_pid(nla_get_u32(attr));
	r->nobody |= !r->pid;
}

/* 0 is nobody's identity. */
static void request_id(struct request *r, const struct nlattr *attr, u64 *id)
{
	if (!attr)
		return;
	*id = nla_get_u64(attr);
	r->nobody |= !*id;
}

static void request_filter(struct request *r, struct nlattr **attrs)
{
	if (attrs[MBUF_A_OBJECT_TYPE])
		r->type = nla_get_u32(attrs[MBUF_A_OBJECT_TYPE]);
	request_id(r, attrs[MBUF_A_OBJECT_ID], &r->id);
	request_uid(r, attrs[MBUF_A_OBJECT_UID]);
	request_pid(r, attrs[MBUF_A_OBJECT_PID]);
}

/* May it see this object? Under registry_lock. */
static bool request_sees(const struct request *r, const struct mbuf_view *v)
{
	if (r->all)
		return true;
	return v->netns == r->netns && (r->admin || v->owner == r->own);
}

/* Does it want to? Likewise. */
static bool request_wants(const struct request *r, const struct mbuf_view *v)
{
	struct mbuf_account_info info;

	if (r->nobody || (r->type && r->type != v->kind->type) ||
	    (r->id && r->id != v->id) || (r->pid && r->pid != v->pid))
		return false;
	if (!uid_valid(r->uid))
		return true;
	if (!v->owner)
		return false;
	mbuf_account_tell(v->owner, &info);
	return uid_eq(info.uid, r->uid);
}

/* What counts as a change of what it sees. */
static unsigned int request_changes(const struct request *r)
{
	if (r->all)
		return mbuf_registry_changes();
	if (r->admin)
		return atomic_read(&r->netns->changes);
	return mbuf_account_changes(r->own);
}

/* 0 would mean that it is not known. */
static void request_mark(const struct request *r, unsigned int changes)
{
	r->cb->seq = changes ?: 1;
}

/* Objects */

static int object_attrs(const struct request *r, const struct mbuf_view *v)
{
	const struct mbuf_kind *kind = v->kind;
	struct sk_buff *skb = r->skb;
	struct nlattr *nest;
	int err;

	if (nla_put_u32(skb, MBUF_A_OBJECT_TYPE, kind->type) ||
	    nla_put_u64_64bit(skb, MBUF_A_OBJECT_ID, v->id,
			      MBUF_A_OBJECT_PAD) ||
	    nla_put_u32(skb, MBUF_A_OBJECT_NETNS, v->netns->inum))
		return -EMSGSIZE;
	if (v->owner) {
		struct mbuf_account_info info;

		mbuf_account_tell(v->owner, &info);
		if (nla_put_u32(skb, MBUF_A_OBJECT_UID,
				from_kuid_munged(r->reader.user_ns,
						 info.uid)) ||
		    nla_put_u32(skb, MBUF_A_OBJECT_PID,
				pid_nr_ns(v->pid, r->reader.pid_ns)))
			return -EMSGSIZE;
	} else if (nla_put_flag(skb, MBUF_A_OBJECT_KERNEL)) {
		return -EMSGSIZE;
	}
	if (!kind->attr)
		return 0;
	nest = nla_nest_start(skb, kind->attr);
	if (!nest)
		return -EMSGSIZE;
	err = kind->describe(v->object, skb, &r->reader);
	if (err)
		return err;
	nla_nest_end(skb, nest);
	return 0;
}

static int object_put(const struct request *r, const struct mbuf_view *v)
{
	void *msg;
	int err;

	msg = genlmsg_put(r->skb, r->portid, r->seq, &mbuf_family,
			  r->cb ? NLM_F_MULTI : 0, MBUF_CMD_OBJECT_GET);
	if (!msg)
		return -EMSGSIZE;
	if (r->cb)
		genl_dump_check_consistent(r->cb, msg);
	err = object_attrs(r, v);
	if (err) {
		genlmsg_cancel(r->skb, msg);
		return err;
	}
	genlmsg_end(r->skb, msg);
	return 0;
}

static int object_dump_one(const struct mbuf_view *v, void *arg)
{
	struct request *r = arg;

	if (!request_sees(r, v) || !request_wants(r, v))
		return 0;
	return object_put(r, v);
}

/* @all: the attribute that says so, or NULL. The request is in @cb then. */
static int dump_start(struct netlink_callback *cb, const struct nlattr *all)
{
	struct request *r;
	int err;

	r = kmalloc(sizeof(*r), GFP_KERNEL);
	if (!r)
		return -ENOMEM;
	err = request_begin(r, cb->skb, all, cb->extack);
	if (err) {
		kfree(r);
		return err;
	}
	r->portid = NETLINK_CB(cb->skb).portid;
	r->seq = cb->nlh->nlmsg_seq;
	cb->args[0] = (long)r;
	return 0;
}

static int dump_done(struct netlink_callback *cb)
{
	struct request *r = (struct request *)cb->args[0];

	request_end(r);
	kfree(r);
	return 0;
}

/* What comes of a piece of a dump: how long it is, 0 if that was all. */
static int dump_piece(struct request *r, int err)
{
	/* What does not fit goes into the next piece. */
	if (err == -EMSGSIZE && r->skb->len)
		err = 0;
	return err ?: r->skb->len;
}

static int object_dump_start(struct netlink_callback *cb)
{
	struct nlattr **attrs = mbuf_genl_dump_attrs(cb);
	int err = dump_start(cb, attrs ? attrs[MBUF_A_OBJECT_ALL] : NULL);

	if (!err && attrs)
		request_filter((struct request *)cb->args[0], attrs);
	return err;
}

static int object_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct request *r = (struct request *)cb->args[0];
	int err;

	r->skb = skb;
	r->cb = cb;
	request_mark(r, request_changes(r));
	err = mbuf_registry_visit(&r->at, object_dump_one, r);
	/* The message at the end says so if something has changed just now. */
	request_mark(r, request_changes(r));
	return dump_piece(r, err);
}

/* To be found is not an error, but the end of a visit. */
#define FOUND	1

struct object_search {
	struct request *r;
	const struct mbuf_kind *kind;
	void *object;
	int err;
};

static int object_get_one(const struct mbuf_view *v, void *arg)
{
	struct object_search *s = arg;

	if (!request_sees(s->r, v) || !request_wants(s->r, v))
		return 0;
	s->err = object_put(s->r, v);
	return FOUND;
}

static int object_get(struct sk_buff *skb, struct genl_info *info)
{
	struct object_search s = { };
	struct request r;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, MBUF_A_OBJECT_ID))
		return -EINVAL;
	err = request_begin(&r, skb, info->attrs[MBUF_A_OBJECT_ALL],
			    info->extack);
	if (err)
		return err;
	request_filter(&r, info->attrs);
	r.portid = info->snd_portid;
	r.seq = info->snd_seq;
	err = -ENOMEM;
	r.skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!r.skb)
		goto end;
	s.r = &r;
	if (mbuf_registry_visit(&r.at, object_get_one, &s) == FOUND) {
		err = s.err;
	} else {
		NL_SET_ERR_MSG(info->extack, "no such object");
		err = -ENOENT;
	}
	if (err)
		nlmsg_free(r.skb);
	else
		err = genlmsg_reply(r.skb, info);
end:
	request_end(&r);
	return err;
}

static int queue_find(const struct mbuf_view *v, void *arg)
{
	struct object_search *s = arg;

	if (!request_sees(s->r, v) || !request_wants(s->r, v))
		return 0;
	s->err = -EOPNOTSUPP;
	if (v->kind->flush) {
		s->err = -ENOENT;
		if (v->kind->get(v->object)) {
			s->kind = v->kind;
			s->object = v->object;
			s->err = 0;
		}
	}
	return FOUND;
}

/* The queue that a request names: in @s, with a reference, on success only. */
static int queue_get(struct object_search *s, struct sk_buff *skb,
		     struct genl_info *info)
{
	struct request r;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, MBUF_A_OBJECT_ID))
		return -EINVAL;
	err = request_begin(&r, skb, NULL, info->extack);
	if (err)
		return err;
	request_id(&r, info->attrs[MBUF_A_OBJECT_ID], &r.id);
	s->r = &r;
	s->err = -ENOENT;
	mbuf_registry_visit(&r.at, queue_find, s);
	request_end(&r);
	if (s->err == -ENOENT)
		NL_SET_ERR_MSG(info->extack, "no such object");
	else if (s->err)
		NL_SET_ERR_MSG(info->extack, "not a queue");
	return s->err;
}

static int queue_flush(struct sk_buff *skb, struct genl_info *info)
{
	struct object_search s;
	int err = queue_get(&s, skb, info);

	if (!err)
		err = s.kind->flush(s.object);
	return min(err, 0);
}

static int queue_latency(struct sk_buff *skb, struct genl_info *info)
{
	struct object_search s;
	int err = queue_get(&s, skb, info);

	return err ?: s.kind->measure(s.object,
				      info->attrs[MBUF_A_OBJECT_MEASURE]);
}

/* Handles */

static int handle_dump_start(struct netlink_callback *cb)
{
	struct nlattr **attrs = mbuf_genl_dump_attrs(cb);
	int err = dump_start(cb, attrs ? attrs[MBUF_A_HANDLE_ALL] : NULL);
	struct request *r = (struct request *)cb->args[0];

	if (err || !attrs)
		return err;
	request_id(r, attrs[MBUF_A_HANDLE_HOLDER_ID], &r->holder_id);
	request_id(r, attrs[MBUF_A_HANDLE_OBJECT_ID], &r->object_id);
	request_uid(r, attrs[MBUF_A_HANDLE_UID]);
	request_pid(r, attrs[MBUF_A_HANDLE_PID]);
	return 0;
}

/* The table of what holds handles that are asked for, or NULL. */
static struct mbuf_table *holder_table(const struct request *r,
				       const struct mbuf_view *v)
{
	struct mbuf_table *t;

	if (!v->kind->table || !request_sees(r, v) || !request_wants(r, v))
		return NULL;
	t = v->kind->table(v->object);
	if (r->holder_id && r->holder_id != v->id &&
	    r->holder_id != mbuf_table_id(t))
		return NULL;
	return t;
}

struct holder_search {
	struct request *r;
	struct holder *holder;
	struct mbuf_visit at;
	u64 changes;
};

static int holder_changes(const struct mbuf_view *v, void *arg)
{
	struct holder_search *s = arg;
	const struct mbuf_table *t;

	/* They are none of them, nor is what follows. */
	if (s->at.pairs)
		return FOUND;
	t = holder_table(s->r, v);
	if (t)
		s->changes += mbuf_table_changes(t);
	return 0;
}

/*
 * What counts as a change of handles, beside that tables come and go. Only what
 * it sees is counted, as in request_changes(), and nothing that all who change
 * tables would have to write to.
 */
static u64 handle_changes(struct request *r)
{
	struct holder_search s = { .r = r };

	/* What was looked at before was so before; see table_changed(). */
	smp_rmb();
	mbuf_registry_visit(&s.at, holder_changes, &s);
	return s.changes;
}

static int holder_find(const struct mbuf_view *v, void *arg)
{
	struct holder_search *s = arg;
	const struct mbuf_reader *reader = &s->r->reader;
	struct holder *holder = s->holder;
	struct mbuf_account_info info;

	if (s->r->at.pairs)
		return FOUND;
	holder->table = holder_table(s->r, v);
	if (!holder->table)
		return 0;
	/* It is linked, so that whoever owns the table has not let go of it. */
	mbuf_table_get(holder->table);
	holder->type = v->kind->type;
	holder->id = v->id;
	/* No driver has a session. */
	mbuf_account_tell(v->owner, &info);
	holder->uid = from_kuid_munged(reader->user_ns, info.uid);
	holder->pid = pid_nr_ns(v->pid, reader->pid_ns);
	holder->netns = v->netns->inum;
	return FOUND;
}

static int handle_attrs(struct sk_buff *skb, const struct holder *holder,
			u32 index, const struct mbuf_right_told *told)
{
	if (nla_put_u32(skb, MBUF_A_HANDLE_HOLDER_TYPE, holder->type) ||
	    nla_put_u64_64bit(skb, MBUF_A_HANDLE_HOLDER_ID, holder->id,
			      MBUF_A_HANDLE_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_HANDLE_TABLE_ID,
			      mbuf_table_id(holder->table),
			      MBUF_A_HANDLE_PAD) ||
	    nla_put_u32(skb, MBUF_A_HANDLE_INDEX, index) ||
	    nla_put_u32(skb, MBUF_A_HANDLE_TYPE, told->type) ||
	    nla_put_u32(skb, MBUF_A_HANDLE_RIGHTS, told->rights) ||
	    nla_put_u64_64bit(skb, MBUF_A_HANDLE_OBJECT_ID, told->id,
			      MBUF_A_HANDLE_PAD) ||
	    nla_put_u32(skb, MBUF_A_HANDLE_UID, holder->uid) ||
	    nla_put_u32(skb, MBUF_A_HANDLE_PID, holder->pid) ||
	    nla_put_u32(skb, MBUF_A_HANDLE_NETNS, holder->netns))
		return -EMSGSIZE;
	return 0;
}

static int handle_put(const struct request *r, const struct holder *holder,
		      u32 index, const struct mbuf_right_told *told)
{
	void *msg;
	int err;

	msg = genlmsg_put(r->skb, r->portid, r->seq, &mbuf_family, NLM_F_MULTI,
			  MBUF_CMD_HANDLE_GET);
	if (!msg)
		return -EMSGSIZE;
	genl_dump_check_consistent(r->cb, msg);
	err = handle_attrs(r->skb, holder, index, told);
	if (err) {
		genlmsg_cancel(r->skb, msg);
		return err;
	}
	genlmsg_end(r->skb, msg);
	return 0;
}

/* All that is in a table, from @r->index on; or -EMSGSIZE, -EINTR. */
static int handles_put(struct request *r, const struct holder *holder)
{
	struct mbuf_right_told told;
	unsigned int nr = 0;
	u32 index;
	int err;

	while (mbuf_table_tell(holder->table, r->index, &index, &told)) {
		if (!r->object_id || told.id == r->object_id) {
			err = handle_put(r, holder, index, &told);
			if (err)
				return err;
		}
		r->index = index + 1;
		if (++nr % HANDLES_CHUNK)
			continue;
		/* Of millions of which none is asked for nothing is put. */
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* The next table, or what is left of one; FOUND if there is none. */
static int holder_next(struct request *r)
{
	struct holder holder = { };
	struct holder_search s = {
		.r = r,
		.holder = &holder,
	};
	int err;

	mbuf_registry_visit(&r->at, holder_find, &s);
	if (!holder.table)
		return FOUND;
	/* The one in which the last piece ended can have gone. */
	if (r->holder != r->at.from) {
		r->holder = r->at.from;
		r->index = 1;
	}
	err = handles_put(r, &holder);
	mbuf_table_put(holder.table);
	if (!err)
		r->at.from++;
	return err;
}

/*
 * Of each piece of a dump nothing is left but a place: the number of a node, and
 * an index. So a dump that nobody goes on with keeps no table.
 */
static int handle_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct request *r = (struct request *)cb->args[0];
	bool changed = false;
	int err;

	r->skb = skb;
	r->cb = cb;
	request_mark(r, request_changes(r));
	if (!r->begun) {
		r->begun = true;
		r->changes = handle_changes(r);
		/* Also for a dump that has nothing but an end. */
		cb->prev_seq = cb->seq;
	}
	do {
		err = holder_next(r);
	} while (!err);
	if (err == FOUND) {
		err = 0;
		/* Looking at all tables once more takes long: at the end. */
		changed = !skb->len && handle_changes(r) != r->changes;
	}
	request_mark(r, request_changes(r) + changed);
	return dump_piece(r, err);
}

/* Users */

static bool below(const struct user_namespace *ns,
		  const struct user_namespace *above)
{
	while (ns->level > above->level)
		ns = ns->parent;
	return ns == above;
}

static int user_attrs(const struct request *r,
		      const struct mbuf_account_info *info)
{
	struct sk_buff *skb = r->skb;
	int res;

	if (nla_put_u32(skb, MBUF_A_USER_UID,
			from_kuid_munged(r->reader.user_ns, info->uid)) ||
	    nla_put_u32(skb, MBUF_A_USER_USERNS, info->ns->ns.inum) ||
	    nla_put_u64_64bit(skb, MBUF_A_USER_REFUSED, info->refused,
			      MBUF_A_USER_PAD) ||
	    (info->own_limits && nla_put_flag(skb, MBUF_A_USER_OWN_LIMITS)))
		return -EMSGSIZE;
	for (res = 0; res < MBUF_RES_NR; res++) {
		if (nla_put_u64_64bit(skb, user_attr[res][0], info->used[res],
				      MBUF_A_USER_PAD) ||
		    nla_put_u64_64bit(skb, user_attr[res][1],
				      info->limit[res], MBUF_A_USER_PAD))
			return -EMSGSIZE;
	}
	return 0;
}

static int user_dump_one(const struct mbuf_account *acct, void *arg)
{
	struct request *r = arg;
	struct mbuf_account_info info;
	void *msg;
	int err;

	mbuf_account_tell(acct, &info);
	if (acct != r->own && !(r->admin && below(info.ns, r->ns)))
		return 0;
	if (r->nobody || (uid_valid(r->uid) && !uid_eq(r->uid, info.uid)))
		return 0;
	msg = genlmsg_put(r->skb, r->portid, r->seq, &mbuf_family, NLM_F_MULTI,
			  MBUF_CMD_USER_GET);
	if (!msg)
		return -EMSGSIZE;
	genl_dump_check_consistent(r->cb, msg);
	err = user_attrs(r, &info);
	if (err) {
		genlmsg_cancel(r->skb, msg);
		return err;
	}
	genlmsg_end(r->skb, msg);
	return 0;
}

static int user_dump_start(struct netlink_callback *cb)
{
	struct nlattr **attrs = mbuf_genl_dump_attrs(cb);
	int err = dump_start(cb, NULL);

	if (!err && attrs)
		request_uid((struct request *)cb->args[0],
			    attrs[MBUF_A_USER_UID]);
	return err;
}

static int user_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct request *r = (struct request *)cb->args[0];
	int err;

	r->skb = skb;
	r->cb = cb;
	/* Its own account is there as long as it asks. */
	request_mark(r, r->admin ? mbuf_accounts_changes() : 1);
	err = mbuf_accounts_visit(&r->from, user_dump_one, r);
	request_mark(r, r->admin ? mbuf_accounts_changes() : 1);
	return dump_piece(r, err);
}

static int limit_set(struct sk_buff *skb, struct genl_info *info)
{
	struct user_namespace *ns = genl_info_net(info)->user_ns;
	const struct nlattr *uid = info->attrs[MBUF_A_USER_UID];
	unsigned long limit[MBUF_RES_NR] = { };
	unsigned int set = 0;
	kuid_t who;
	int err, res;

	for (res = 0; res < MBUF_RES_NR; res++) {
		const struct nlattr *a = info->attrs[user_attr[res][1]];

		if (!a)
			continue;
		set |= BIT(res);
		limit[res] = min_t(u64, nla_get_u64(a), LONG_MAX);
	}
	if (!set) {
		NL_SET_ERR_MSG(info->extack, "no limit is given");
		return -EINVAL;
	}

	if (!uid) {
		/* They are everybody's, in all namespaces. */
		if (!netlink_capable(skb, CAP_NET_ADMIN))
			return -EPERM;
		for (res = 0; res < MBUF_RES_NR; res++) {
			if (set & BIT(res))
				mbuf_limit_set(res, limit[res]);
		}
		return 0;
	}

	if (!netlink_ns_capable(skb, ns, CAP_NET_ADMIN))
		return -EPERM;
	who = make_kuid(ns, nla_get_u32(uid));
	err = -EINVAL;
	if (uid_valid(who))
		err = mbuf_account_limit_set(ns, who, set, limit);
	if (err == -EINVAL)
		NL_SET_ERR_MSG_ATTR(info->extack, uid,
				    "no such user in this namespace");
	else if (err == -ESRCH)
		NL_SET_ERR_MSG_ATTR(info->extack, uid,
				    "the user has no objects");
	return err;
}

/* Notices */

static bool notices_wanted(void)
{
	/* It is the same set for all network namespaces. */
	return genl_has_listeners(&mbuf_family, &init_net, 0);
}

static int notice_attrs(struct sk_buff *skb, const struct mbuf_news *news,
			u64 number, struct user_namespace *ns)
{
	if (nla_put_u32(skb, MBUF_A_NOTICE_NOTICE, news->what) ||
	    nla_put_u64_64bit(skb, MBUF_A_NOTICE_NUMBER, number,
			      MBUF_A_NOTICE_PAD))
		return -EMSGSIZE;
	if (news->type &&
	    (nla_put_u32(skb, MBUF_A_NOTICE_TYPE, news->type) ||
	     nla_put_u64_64bit(skb, MBUF_A_NOTICE_ID, news->id,
			       MBUF_A_NOTICE_PAD)))
		return -EMSGSIZE;
	if (news->peer_id &&
	    nla_put_u64_64bit(skb, MBUF_A_NOTICE_PEER_ID, news->peer_id,
			      MBUF_A_NOTICE_PAD))
		return -EMSGSIZE;
	if (news->resource &&
	    nla_put_u32(skb, MBUF_A_NOTICE_RESOURCE, news->resource))
		return -EMSGSIZE;
	if (news->error &&
	    nla_put_u32(skb, MBUF_A_NOTICE_ERROR, news->error))
		return -EMSGSIZE;
	if (news->owner) {
		struct mbuf_account_info info;

		mbuf_account_tell(news->owner, &info);
		if (nla_put_u32(skb, MBUF_A_NOTICE_UID,
				from_kuid_munged(ns, info.uid)))
			return -EMSGSIZE;
	}
	return 0;
}

/*
 * There is one message for all who listen. So it has user ids of the user
 * namespace that the network namespace belongs to, and no process ids.
 */
static void notice_tell(const struct mbuf_news *news)
{
	struct mbuf_netns *netns = news->netns;
	struct sk_buff *skb;
	void *msg = NULL;
	u64 number;

	skb = genlmsg_new(256, GFP_KERNEL);
	/* In the order of their numbers, and what is lost has one as well. */
	spin_lock(&netns->lock);
	number = ++netns->notices;
	if (skb && netns->net)
		msg = genlmsg_put(skb, 0, 0, &mbuf_family, 0, MBUF_CMD_NOTICE);
	if (msg && !notice_attrs(skb, news, number, netns->net->user_ns)) {
		genlmsg_end(skb, msg);
		genlmsg_multicast_netns(&mbuf_family, netns->net, skb, 0, 0,
					GFP_ATOMIC);
		skb = NULL;
	}
	spin_unlock(&netns->lock);
	nlmsg_free(skb);
}

static const struct mbuf_watcher watcher = {
	.wanted	= notices_wanted,
	.tell	= notice_tell,
};

/* The family */

static const struct genl_ops mbuf_ops[] = {
	{
		.cmd		= MBUF_CMD_OBJECT_GET,
		.doit		= object_get,
		.start		= object_dump_start,
		.dumpit		= object_dump,
		.done		= dump_done,
		.policy		= object_policy,
		.maxattr	= ARRAY_SIZE(object_policy) - 1,
	}, {
		.cmd		= MBUF_CMD_USER_GET,
		.start		= user_dump_start,
		.dumpit		= user_dump,
		.done		= dump_done,
		.policy		= user_policy,
		.maxattr	= ARRAY_SIZE(user_policy) - 1,
	}, {
		.cmd		= MBUF_CMD_LIMIT_SET,
		.doit		= limit_set,
		.policy		= limit_policy,
		.maxattr	= ARRAY_SIZE(limit_policy) - 1,
		.flags		= GENL_UNS_ADMIN_PERM,
	}, {
		.cmd		= MBUF_CMD_QUEUE_FLUSH,
		.doit		= queue_flush,
		.policy		= flush_policy,
		.maxattr	= ARRAY_SIZE(flush_policy) - 1,
	}, {
		.cmd		= MBUF_CMD_QUEUE_LATENCY,
		.doit		= queue_latency,
		.policy		= latency_policy,
		.maxattr	= ARRAY_SIZE(latency_policy) - 1,
	}, {
		.cmd		= MBUF_CMD_HANDLE_GET,
		.start		= handle_dump_start,
		.dumpit		= handle_dump,
		.done		= dump_done,
		.policy		= handle_policy,
		.maxattr	= ARRAY_SIZE(handle_policy) - 1,
	},
};

static const struct genl_multicast_group mbuf_groups[] = {
	{ .name = MBUF_MCGRP_NOTICES, .flags = MBUF_GENL_MCAST_NET_ADMIN },
};

static struct genl_family mbuf_family __ro_after_init = {
	.name		= MBUF_FAMILY_NAME,
	.version	= MBUF_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.ops		= mbuf_ops,
	.n_ops		= ARRAY_SIZE(mbuf_ops),
	.mcgrps		= mbuf_groups,
	.n_mcgrps	= ARRAY_SIZE(mbuf_groups),
};

/**
 * mbuf_netlink_init() - from now on, answer
 *
 * Return: 0 or an error.
 */
int __init mbuf_netlink_init(void)
{
	int err = genl_register_family(&mbuf_family);

	if (!err)
		mbuf_watch(&watcher);
	return err;
}

/**
 * mbuf_netlink_exit() - the opposite; there are no objects left
 */
void mbuf_netlink_exit(void)
{
	mbuf_watch(NULL);
	genl_unregister_family(&mbuf_family);
}

MODULE_ALIAS_GENL_FAMILY(MBUF_FAMILY_NAME);
