// SPDX-License-Identifier: GPL-2.0
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/hash.h>
#include <linux/nsproxy.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include "bind.h"
#include "caps.h"
#include "channel.h"
#include "key.h"
#include "listener.h"
#include "message.h"
#include "object.h"
#include "paged.h"
#include "payload.h"
#include "provide.h"
#include "queue.h"
#include "quota.h"
#include "region.h"
#include "registry.h"
#include "session.h"
#include "set.h"
#include "table.h"

/* Sizes of the first version of each struct. */
#define QUERY_SIZE_V0	88
#define CREATE_SIZE_V0	64
#define CHANNEL_SIZE_V0	96
#define ATTACH_SIZE_V0	40
#define POLL_SIZE_V0	48
#define ANY_SIZE_V0	104
#define EVENT_SIZE_V0	16
#define REF_SIZE_V0	16
#define GRANT_SIZE_V0	48

#define STRIDE_MAX	256

/* Events that are told without going back for more. */
#define EVENTS_CHUNK	32

/**
 * struct mbuf_session - an open /dev/mbuf
 * @set: what POLL_ALL asks
 * @payer: who pays for it and for what it makes; holds a reference
 * @net: where names of listeners belong; holds a reference
 * @table: the root table
 * @id: identity
 * @turn: where WAIT_ANY looks first; need not be exact
 * @node: its place in the registry
 * @rcu: who wakes pollers of @set does so under RCU
 */
struct mbuf_session {
	struct mbuf_set set;
	struct mbuf_account *payer;
	struct net *net;
	struct mbuf_table *table;
	u64 id;
	unsigned int turn;
	struct mbuf_node node;
	struct rcu_head rcu;
};

static void session_free(struct mbuf_set *set)
{
	kfree_rcu(container_of(set, struct mbuf_session, set), rcu);
}

static const struct mbuf_charge session_charge = {
	.n = {
		[MBUF_RES_OBJECTS] = 1,
		[MBUF_RES_MEMORY] = sizeof(struct mbuf_session),
	},
};

static u64 session_id(const struct mbuf_node *node)
{
	return container_of(node, struct mbuf_session, node)->id;
}

static int session_describe(void *object, struct sk_buff *skb,
			    const struct mbuf_reader *reader)
{
	const struct mbuf_session *s = container_of(object, struct mbuf_session,
						    node);

	/* Its table ends after it can no longer be seen. */
	if (nla_put_u64_64bit(skb, MBUF_A_SESSION_TABLE_ID,
			      mbuf_table_id(s->table), MBUF_A_SESSION_PAD) ||
	    nla_put_u32(skb, MBUF_A_SESSION_HANDLES,
			mbuf_table_handles(s->table)))
		return -EMSGSIZE;
	return 0;
}

static struct mbuf_table *session_table(void *object)
{
	return container_of(object, struct mbuf_session, node)->table;
}

static const struct mbuf_kind session_kind = {
	.type		= MBUF_OBJECT_TYPE_SESSION,
	.attr		= MBUF_A_OBJECT_SESSION,
	.id		= session_id,
	.describe	= session_describe,
	.table		= session_table,
};

static int session_open(struct inode *inode, struct file *file)
{
	struct mbuf_session *s;
	int err;

	s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return -ENOMEM;
	err = -ENOMEM;
	s->payer = mbuf_account_get(file->f_cred);
	if (!s->payer)
		goto free;
	err = mbuf_charge(s->payer, &session_charge);
	if (err)
		goto put;
	s->table = mbuf_table_new(s->payer, true);
	err = PTR_ERR_OR_ZERO(s->table);
	if (err)
		goto uncharge;
	s->net = get_net(current->nsproxy->net_ns);
	s->id = mbuf_object_id();
	mbuf_set_init(&s->set, session_free);

	mbuf_node_link(&s->node, &session_kind, s->payer, s->net);

	file->private_data = s;
	return stream_open(inode, file);

uncharge:
	mbuf_uncharge(s->payer, &session_charge);
put:
	mbuf_account_put(s->payer);
free:
	kfree(s);
	return err;
}

static int session_release(struct inode *inode, struct file *file)
{
	struct mbuf_session *s = file->private_data;

	mbuf_node_unlink(&s->node);
	mbuf_set_kill(&s->set);
	mbuf_table_end(s->table);
	mbuf_table_put(s->table);
	put_net(s->net);
	mbuf_uncharge(s->payer, &session_charge);
	mbuf_account_put(s->payer);
	mbuf_set_put(&s->set);
	return 0;
}

static void usage_get(struct mbuf_usage *u, const struct mbuf_account *acct,
		      enum mbuf_resource res)
{
	u->used = mbuf_account_used(acct, res);
	u->limit = mbuf_account_limit(acct, res);
}

static long session_query(struct mbuf_session *s, void __user *arg, size_t size)
{
	struct mbuf_account *caller;
	struct mbuf_query q;
	int err;

	BUILD_BUG_ON(sizeof(q) != QUERY_SIZE_V0 + 56);

	err = mbuf_ioctl_get(&q, sizeof(q), QUERY_SIZE_V0, arg, size);
	if (err)
		return err;
	if (q.target)
		return -EOPNOTSUPP;
	caller = mbuf_account_get(current_cred());
	if (!caller)
		return -ENOMEM;

	memset(&q, 0, sizeof(q));
	q.features = MBUF_FEATURE_QUEUE | MBUF_FEATURE_CHANNEL |
		     MBUF_FEATURE_LISTENER | MBUF_FEATURE_REGION |
		     MBUF_FEATURE_PROVIDE | MBUF_FEATURE_PAGED |
		     MBUF_FEATURE_CAPS | MBUF_FEATURE_MESSAGE |
		     MBUF_FEATURE_SEAL;
	if (mbuf_bind_supported())
		q.features |= MBUF_FEATURE_THREAD;
	q.slots_max = MBUF_SLOTS_MAX;
	q.msg_max = MBUF_MSG_MAX;
	q.inline_max = MBUF_INLINE_MAX;
	q.batch_max = MBUF_BATCH_MAX;
	q.prio_max = MBUF_PRIO_MAX;
	q.name_max = MBUF_NAME_MAX;
	q.wait_any_max = MBUF_WAIT_ANY_MAX;
	q.backlog_max = MBUF_BACKLOG_MAX;
	q.acl_max = MBUF_ACL_MAX;
	q.caps_max = MBUF_CAPS_MAX;
	q.path_max = MBUF_PATH_MAX;
	usage_get(&q.objects, s->payer, MBUF_RES_OBJECTS);
	usage_get(&q.memory, s->payer, MBUF_RES_MEMORY);
	usage_get(&q.inflight, caller, MBUF_RES_INFLIGHT);
	usage_get(&q.handles, s->payer, MBUF_RES_HANDLES);
	usage_get(&q.caps, caller, MBUF_RES_CAPS);
	mbuf_account_put(caller);
	return mbuf_ioctl_put(arg, size, &q, sizeof(q));
}

/* A queue whose receive right becomes a handle. */
static long session_queue_create_handle(struct mbuf_session *s,
					struct mbuf_queue_create *c,
					const struct mbuf_queue_spec *spec,
					void __user *arg, size_t size)
{
	struct file *recv, *file;
	struct mbuf_right *right;
	struct mbuf_fd send;
	int err;

	recv = mbuf_queue_new(s->payer, spec);
	if (IS_ERR(recv))
		return PTR_ERR(recv);
	file = mbuf_queue_new_sender(recv);
	err = PTR_ERR_OR_ZERO(file);
	if (err)
		goto put_recv;
	err = -ENOMEM;
	right = mbuf_right_new(&mbuf_receiver_type, recv,
			       mbuf_receiver_type.all);
	if (!right)
		goto put_send;
	send.file = file;
	send.fd = get_unused_fd_flags(O_CLOEXEC);
	if (send.fd < 0) {
		mbuf_right_kill(right);
		fput(file);
		return send.fd;
	}
	c->recv.fd = -1;
	c->recv.flags = MBUF_REF_HANDLE;
	c->send.fd = send.fd;
	c->id = mbuf_queue_id(recv);
	err = mbuf_handle_new(s->table, 0, &c->recv.handle, right, arg, size, c,
			      sizeof(*c));
	if (err)
		mbuf_fd_abort(&send);
	else
		mbuf_fd_install(&send);
	return err;

put_send:
	fput(file);
put_recv:
	fput(recv);
	return err;
}

static long session_queue_create(struct mbuf_session *s, void __user *arg,
				 size_t size)
{
	struct mbuf_queue_create c;
	struct mbuf_queue_spec spec;
	struct mbuf_fd recv, send;
	int err;

	BUILD_BUG_ON(sizeof(c) != CREATE_SIZE_V0);

	err = mbuf_ioctl_get(&c, sizeof(c), CREATE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (c.target)
		return -EOPNOTSUPP;
	if (c.recv.flags || c.recv.handle || c.send.flags || c.send.handle)
		return -EINVAL;

	spec.slots = c.slots;
	spec.max_msg = c.max_msg;
	spec.flags = c.flags & ~MBUF_QUEUE_HANDLE;
	spec.max_caps = c.max_caps;
	if (c.flags & MBUF_QUEUE_HANDLE)
		return session_queue_create_handle(s, &c, &spec, arg, size);
	err = mbuf_queue_create(s->payer, &spec, &recv, &send, &c.id);
	if (err)
		return err;
	c.recv.fd = recv.fd;
	c.send.fd = send.fd;
	err = mbuf_ioctl_put(arg, size, &c, sizeof(c));
	if (err) {
		mbuf_fd_abort(&recv);
		mbuf_fd_abort(&send);
		return err;
	}
	mbuf_fd_install(&recv);
	mbuf_fd_install(&send);
	return 0;
}

static long session_channel_create(struct mbuf_session *s, void __user *arg,
				   size_t size)
{
	struct mbuf_channel_create c;
	struct mbuf_end_prep prep[2];
	struct mbuf_channel *channel;
	int err;

	BUILD_BUG_ON(sizeof(c) != CHANNEL_SIZE_V0);

	err = mbuf_ioctl_get(&c, sizeof(c), CHANNEL_SIZE_V0, arg, size);
	if (err)
		return err;
	if (c.target)
		return -EOPNOTSUPP;
	if (c.flags || c.resv)
		return -EINVAL;
	err = mbuf_end_check(&c.end[0]) ?: mbuf_end_check(&c.end[1]);
	if (err)
		return err;

	channel = mbuf_channel_new(false);
	if (!channel)
		return -ENOMEM;
	err = mbuf_end_prepare(&prep[0], channel, 0, s->payer, &s->set,
			       &c.end[0]);
	if (err)
		goto put;
	err = mbuf_end_prepare(&prep[1], channel, 1, s->payer, &s->set,
			       &c.end[1]);
	if (err)
		goto abort_first;
	err = mbuf_ioctl_put(arg, size, &c, sizeof(c));
	if (err)
		goto abort_both;

	mbuf_end_commit(&prep[0]);
	mbuf_end_commit(&prep[1]);
	mbuf_end_publish(&prep[0]);
	mbuf_end_publish(&prep[1]);
	mbuf_channel_put(channel);
	return 0;

abort_both:
	mbuf_end_abort(&prep[1]);
abort_first:
	mbuf_end_abort(&prep[0]);
put:
	mbuf_channel_put(channel);
	return err;
}

static long session_attach(struct mbuf_session *s, void __user *arg,
			   size_t size, bool attach)
{
	struct mbuf_attach a;
	struct file *file;
	int err;

	BUILD_BUG_ON(sizeof(a) != ATTACH_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), ATTACH_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.resv || a.ref.flags || a.ref.handle)
		return -EINVAL;
	if (attach ? a.flags & ~MBUF_ATTACH_MOVE : a.flags || a.cookie)
		return -EINVAL;

	file = fget(a.ref.fd);
	if (!file)
		return -EBADF;
	if (mbuf_channel_is(file))
		err = attach ? mbuf_channel_attach(file, &s->set, a.cookie,
						   a.flags & MBUF_ATTACH_MOVE) :
			       mbuf_channel_detach(file, &s->set);
	else if (mbuf_listener_is(file))
		err = attach ? mbuf_listener_attach(file, &s->set, a.cookie,
						    a.flags & MBUF_ATTACH_MOVE) :
			       mbuf_listener_detach(file, &s->set);
	else
		err = -ENOTTY;
	fput(file);
	return err;
}

static int session_wait_parse(struct mbuf_deadline *deadline,
			      const struct file *file,
			      const struct mbuf_wait *wait)
{
	int err = mbuf_deadline_parse(deadline, wait);

	if (file->f_flags & O_NONBLOCK)
		deadline->mode = MBUF_WAIT_NOW;
	return err;
}

static int events_put(void __user *to, u32 stride,
		      const struct mbuf_event *events, unsigned int nr)
{
	unsigned int i;

	if (stride == sizeof(*events))
		return copy_to_user(to, events, nr * sizeof(*events)) ?
		       -EFAULT : 0;
	for (i = 0; i < nr; i++) {
		if (copy_to_user(to + i * stride, &events[i],
				 sizeof(events[i])))
			return -EFAULT;
	}
	return 0;
}

static long session_poll_all(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_session *s = file->private_data;
	struct mbuf_event events[EVENTS_CHUNK];
	struct mbuf_deadline deadline;
	struct mbuf_poll_all p;
	unsigned int done = 0;
	void __user *to;
	int err, nr;

	BUILD_BUG_ON(sizeof(p) != POLL_SIZE_V0);
	BUILD_BUG_ON(sizeof(events[0]) != EVENT_SIZE_V0);

	err = mbuf_ioctl_get(&p, sizeof(p), POLL_SIZE_V0, arg, size);
	if (err)
		return err;
	if (p.target)
		return -EOPNOTSUPP;
	if (p.flags || p.resv || !p.nr || p.nr > MBUF_BATCH_MAX ||
	    p.stride < EVENT_SIZE_V0 || p.stride > STRIDE_MAX || p.stride % 8)
		return -EINVAL;
	err = session_wait_parse(&deadline, file, &p.wait);
	if (err)
		return err;
	to = u64_to_user_ptr(p.events);
	if ((uintptr_t)p.events != p.events ||
	    !access_ok(to, (size_t)p.nr * p.stride))
		return -EFAULT;

	if (p.nr <= EVENTS_CHUNK) {
		nr = mbuf_set_wait(&s->set, events, p.nr, &deadline);
		if (nr < 0)
			return nr;
		err = events_put(to, p.stride, events, nr);
		done = nr;
	} else {
		struct mbuf_event *many;

		/* All at once: what has been told goes to the end of the line. */
		many = kmalloc_array(p.nr, sizeof(*many), GFP_KERNEL_ACCOUNT);
		if (!many)
			return -ENOMEM;
		nr = mbuf_set_wait(&s->set, many, p.nr, &deadline);
		if (nr > 0) {
			err = events_put(to, p.stride, many, nr);
			done = nr;
		}
		kfree(many);
		if (nr < 0)
			return nr;
	}
	if (err) {
		/* Who was woken for it cannot tell: let somebody else. */
		mbuf_set_pass_on(&s->set);
		return err;
	}
	return done;
}

static long session_wait_any(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_session *s = file->private_data;
	struct file *ends[MBUF_WAIT_ANY_MAX];
	struct mbuf_deadline deadline;
	struct mbuf_taken undo;
	struct mbuf_wait_any w;
	unsigned int nr, turn;
	void __user *from;
	int err;

	BUILD_BUG_ON(sizeof(w) != ANY_SIZE_V0);

	err = mbuf_ioctl_get(&w, sizeof(w), ANY_SIZE_V0, arg, size);
	if (err)
		return err;
	if (w.target)
		return -EOPNOTSUPP;
	if (w.flags || w.resv || !w.nr || w.nr > MBUF_WAIT_ANY_MAX ||
	    w.stride < REF_SIZE_V0 || w.stride > STRIDE_MAX || w.stride % 8)
		return -EINVAL;
	err = session_wait_parse(&deadline, file, &w.wait);
	if (err)
		return err;
	from = u64_to_user_ptr(w.ends);
	if ((uintptr_t)w.ends != w.ends)
		return -EFAULT;

	for (nr = 0; nr < w.nr; nr++) {
		struct mbuf_ref ref;

		err = mbuf_ioctl_get(&ref, sizeof(ref), REF_SIZE_V0,
				     from + nr * w.stride, w.stride);
		if (err)
			goto put;
		err = -EINVAL;
		if (ref.flags || ref.handle)
			goto put;
		err = -EBADF;
		ends[nr] = fget(ref.fd);
		if (!ends[nr])
			goto put;
		err = -ENOTTY;
		if (!mbuf_channel_is(ends[nr])) {
			fput(ends[nr]);
			goto put;
		}
	}
	/* Scattered, as calls for several sets can take turns. */
	turn = READ_ONCE(s->turn);
	WRITE_ONCE(s->turn, turn + 1);
	err = mbuf_wait_any(ends, nr, hash_32(turn, 16) % nr, &deadline, &w,
			    &undo);
	if (!err) {
		err = mbuf_ioctl_put(arg, size, &w, sizeof(w));
		if (err)
			mbuf_wait_any_undo(ends[w.index], &undo);
	}
put:
	while (nr--)
		fput(ends[nr]);
	return err;
}

static long session_grant(struct mbuf_session *s, void __user *arg, size_t size)
{
	struct mbuf_grant g;
	struct mbuf_fd fd;
	struct file *from;
	int err;

	BUILD_BUG_ON(sizeof(g) != GRANT_SIZE_V0);

	err = mbuf_ioctl_get(&g, sizeof(g), GRANT_SIZE_V0, arg, size);
	if (err)
		return err;
	if (g.target)
		return -EOPNOTSUPP;
	if (g.flags || g.from.flags || g.from.handle || g.region.flags ||
	    g.region.handle || !(g.rights & MBUF_REGION_READ) ||
	    g.rights & ~MBUF_REGION_RIGHTS)
		return -EINVAL;
	from = fget(g.from.fd);
	if (!from)
		return -EBADF;
	err = mbuf_region_grant(&fd, from, g.rights, s->payer);
	fput(from);
	if (err)
		return err;
	g.region.fd = fd.fd;
	err = mbuf_ioctl_put(arg, size, &g, sizeof(g));
	if (err) {
		mbuf_fd_abort(&fd);
		return err;
	}
	mbuf_fd_install(&fd);
	return 0;
}

/* Those who make listeners and connections have to know this of a session. */
static struct mbuf_patron session_patron(const struct file *file)
{
	struct mbuf_session *s = file->private_data;

	return (struct mbuf_patron) {
		.payer = s->payer,
		.set = &s->set,
		.net = s->net,
		.nonblock = file->f_flags & O_NONBLOCK,
	};
}

/**
 * mbuf_session_is() - is this file a session?
 * @file: the file
 */
bool mbuf_session_is(const struct file *file)
{
	return file->f_op == &mbuf_session_fops;
}

/**
 * mbuf_session_table() - a session's root table
 * @file: the session
 *
 * Return: the table; the session has the reference.
 */
struct mbuf_table *mbuf_session_table(const struct file *file)
{
	const struct mbuf_session *s = file->private_data;

	return s->table;
}

/* A command of queues, for what a handle is. */
static long session_queue_ioctl(struct mbuf_session *s, unsigned int cmd,
				void __user *arg)
{
	u64 target;

	if (_IOC_NR(cmd) > _IOC_NR(MBUF_IOC_RECV_CAPS))
		return -ENOTTY;
	if (_IOC_SIZE(cmd) < sizeof(target))
		return -EINVAL;
	if (get_user(target, (u64 __user *)arg))
		return -EFAULT;
	/* The session itself is no queue. */
	if (!target)
		return -ENOTTY;
	return mbuf_message_queue_ioctl(s->table, cmd, arg, target);
}

static __poll_t session_poll(struct file *file, poll_table *wait)
{
	struct mbuf_session *s = file->private_data;

	poll_wait(file, &s->set.poll, wait);
	return mbuf_set_ready(&s->set) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* What a session does itself. */
static noinline long session_own_ioctl(struct file *file, unsigned int cmd,
				       void __user *uarg)
{
	struct mbuf_session *s = file->private_data;
	size_t size = _IOC_SIZE(cmd);
	struct mbuf_patron patron;

	switch (_IOC_NR(cmd)) {
	case _IOC_NR(MBUF_IOC_QUERY):
		return session_query(s, uarg, size);
	case _IOC_NR(MBUF_IOC_QUEUE_CREATE):
		return session_queue_create(s, uarg, size);
	case _IOC_NR(MBUF_IOC_CHANNEL_CREATE):
		return session_channel_create(s, uarg, size);
	case _IOC_NR(MBUF_IOC_LISTEN):
		patron = session_patron(file);
		return mbuf_listen(&patron, uarg, size);
	case _IOC_NR(MBUF_IOC_CONNECT):
		patron = session_patron(file);
		return mbuf_connect(&patron, uarg, size);
	case _IOC_NR(MBUF_IOC_ATTACH):
		return session_attach(s, uarg, size, true);
	case _IOC_NR(MBUF_IOC_DETACH):
		return session_attach(s, uarg, size, false);
	case _IOC_NR(MBUF_IOC_POLL_ALL):
		return session_poll_all(file, uarg, size);
	case _IOC_NR(MBUF_IOC_WAIT_ANY):
		return session_wait_any(file, uarg, size);
	case _IOC_NR(MBUF_IOC_GRANT):
		return session_grant(s, uarg, size);
	case _IOC_NR(MBUF_IOC_PAGED_CREATE):
		return mbuf_paged_create(s->payer, uarg, size);
	case _IOC_NR(MBUF_IOC_PROVIDE):
		return mbuf_provide(uarg, size);
	default:
		return -ENOTTY;
	}
}

static long session_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	struct mbuf_session *s = file->private_data;
	void __user *uarg = (void __user *)arg;
	unsigned int nr = _IOC_NR(cmd);
	size_t size = _IOC_SIZE(cmd);

	if (!mbuf_ioctl_known(cmd))
		return -ENOTTY;
	/* Messages first, as they are what is sent often. */
	if (nr >> 4 == _IOC_NR(MBUF_IOC_MESSAGE_CREATE) >> 4)
		return mbuf_message_ioctl(s->table, nr, uarg, size);
	switch (nr >> 4) {
	case _IOC_NR(MBUF_IOC_SEND) >> 4:
		return session_queue_ioctl(s, cmd, uarg);
	case _IOC_NR(MBUF_IOC_TABLE_CREATE) >> 4:
		return mbuf_table_ioctl(s->table, nr, uarg, size);
	case _IOC_NR(MBUF_IOC_KEY_CREATE) >> 4:
		return mbuf_key_ioctl(s->table, nr, uarg, size);
	default:
		return session_own_ioctl(file, cmd, uarg);
	}
}

static void session_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct mbuf_session *s = file->private_data;

	seq_puts(m, "mbuf-type:\tsession\n");
	seq_printf(m, "mbuf-id:\t%016llx\n", s->id);
	seq_printf(m, "mbuf-user-objects:\t%lu\n",
		   mbuf_account_used(s->payer, MBUF_RES_OBJECTS));
	seq_printf(m, "mbuf-user-memory:\t%lu\n",
		   mbuf_account_used(s->payer, MBUF_RES_MEMORY));
	seq_printf(m, "mbuf-user-inflight:\t%lu\n",
		   mbuf_account_used(s->payer, MBUF_RES_INFLIGHT));
	seq_printf(m, "mbuf-user-handles:\t%lu\n",
		   mbuf_account_used(s->payer, MBUF_RES_HANDLES));
	seq_printf(m, "mbuf-user-caps:\t%lu\n",
		   mbuf_account_used(s->payer, MBUF_RES_CAPS));
	seq_printf(m, "mbuf-table-id:\t%016llx\n", mbuf_table_id(s->table));
	seq_printf(m, "mbuf-handles:\t%lu\n",
		   mbuf_table_handles(s->table));
}

const struct file_operations mbuf_session_fops = {
	.owner		= THIS_MODULE,
	.open		= session_open,
	.release	= session_release,
	.poll		= session_poll,
	.unlocked_ioctl	= session_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= session_show_fdinfo,
};
