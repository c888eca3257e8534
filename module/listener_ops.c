// SPDX-License-Identifier: GPL-2.0
/* What can be done with a listener and with an accept queue; LISTEN. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <net/netlink.h>
#include "listener_priv.h"

/* Sizes of the first version of each struct. */
#define LISTEN_SIZE_V0	72
#define SET_SIZE_V0	32
#define ACL_SIZE_V0	16
#define INFO_SIZE_V0	104
#define QUEUE_SIZE_V0	48

/* Which of owner, group and mode. */
#define PERMS	(MBUF_LISTEN_OWNER | MBUF_LISTEN_GROUP | MBUF_LISTEN_MODE)

static const struct file_operations mbuf_listener_fops;
static const struct file_operations mbuf_acceptor_fops;

/*
 * Take over owner, group and mode as far as @what says. Who may give what to
 * whom is as for files.
 */
static int perms_get(struct mbuf_policy *perms, u32 what, u32 uid, u32 gid,
		     u32 mode)
{
	struct user_namespace *ns = current_user_ns();

	if ((!(what & MBUF_LISTEN_OWNER) && uid) ||
	    (!(what & MBUF_LISTEN_GROUP) && gid) ||
	    (what & MBUF_LISTEN_MODE ? mode & ~0777U : mode))
		return -EINVAL;
	current_euid_egid(&perms->owner, &perms->group);
	perms->mode = mode;

	if (what & MBUF_LISTEN_OWNER) {
		perms->owner = make_kuid(ns, uid);
		if (!uid_valid(perms->owner))
			return -EINVAL;
	}
	if (what & MBUF_LISTEN_GROUP) {
		perms->group = make_kgid(ns, gid);
		if (!gid_valid(perms->group))
			return -EINVAL;
	}
	if (!uid_eq(perms->owner, current_euid()) && !ns_capable(ns, CAP_CHOWN))
		return -EPERM;
	if (!in_egroup_p(perms->group) && !ns_capable(ns, CAP_CHOWN))
		return -EPERM;
	return 0;
}

/* LISTEN */

/**
 * mbuf_listen() - MBUF_IOC_LISTEN
 * @patron: the session
 * @arg: argument of the ioctl
 * @size: its size
 *
 * Context: process context, may sleep.
 * Return: as that.
 */
long mbuf_listen(const struct mbuf_patron *patron, void __user *arg,
		 size_t size)
{
	struct mbuf_policy perms;
	struct mbuf_listener *l;
	u8 name[MBUF_NAME_MAX];
	struct mbuf_listen a;
	struct mbuf_fd fd;
	int err;

	BUILD_BUG_ON(sizeof(a) != LISTEN_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), LISTEN_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.flags & ~(MBUF_LISTEN_NONBLOCK | MBUF_LISTEN_DETACHED |
			MBUF_LISTEN_OWNER | MBUF_LISTEN_GROUP) ||
	    a.backlog > MBUF_BACKLOG_MAX || a.listener.flags ||
	    a.listener.handle ||
	    (a.flags & MBUF_LISTEN_DETACHED && a.cookie))
		return -EINVAL;
	err = perms_get(&perms, a.flags | MBUF_LISTEN_MODE, a.uid, a.gid,
			a.mode) ?:
	      mbuf_name_get(name, a.name, a.name_len);
	if (err)
		return err;

	l = mbuf_listener_new(patron, name, a.name_len, a.backlog, &perms);
	if (IS_ERR(l))
		return PTR_ERR(l);
	err = mbuf_fd_prepare(&fd, "[mbuf-listener]", &mbuf_listener_fops,
			      &l->own,
			      O_RDWR | (a.flags & MBUF_LISTEN_NONBLOCK ?
					O_NONBLOCK : 0));
	if (err) {
		mbuf_listener_close(l);
		return err;
	}
	/* From here on the name is taken, but nobody can connect yet. */
	err = mbuf_name_insert(l);
	if (err)
		goto abort;
	if (!(a.flags & MBUF_LISTEN_DETACHED)) {
		err = mbuf_acceptor_attach(&l->own, patron->set, a.cookie,
					   false);
		if (err)
			goto abort;
	}
	a.listener.fd = fd.fd;
	a.id = l->id;
	err = mbuf_ioctl_put(arg, size, &a, sizeof(a));
	if (err)
		goto abort;
	mbuf_listener_open(l);
	mbuf_acceptor_show(&l->own, patron->net);
	mbuf_fd_install(&fd);
	return 0;

abort:
	mbuf_fd_abort(&fd);
	return err;
}

/* ioctls */

static long listener_accept_queue(struct mbuf_listener *l, void __user *arg,
				  size_t size)
{
	struct mbuf_accept_queue a;
	struct mbuf_acceptor *q;
	struct mbuf_fd fd;
	int err;

	BUILD_BUG_ON(sizeof(a) != QUEUE_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), QUEUE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.flags & ~(MBUF_LISTEN_NONBLOCK | MBUF_LISTEN_DETACHED) ||
	    !a.backlog || a.backlog > MBUF_BACKLOG_MAX || a.queue.flags ||
	    a.queue.handle || (a.flags & MBUF_LISTEN_DETACHED && a.cookie))
		return -EINVAL;

	q = mbuf_acceptor_new(l, a.backlog);
	if (IS_ERR(q))
		return PTR_ERR(q);
	err = mbuf_fd_prepare(&fd, "[mbuf-accept]", &mbuf_acceptor_fops, q,
			      O_RDONLY | (a.flags & MBUF_LISTEN_NONBLOCK ?
					  O_NONBLOCK : 0));
	if (err) {
		mbuf_acceptor_close(q);
		return err;
	}
	if (!(a.flags & MBUF_LISTEN_DETACHED)) {
		struct mbuf_set *set = mbuf_acceptor_set(&l->own);

		if (set) {
			err = mbuf_acceptor_attach(q, set, a.cookie, false);
			mbuf_set_put(set);
		}
		if (err)
			goto abort;
	}
	a.queue.fd = fd.fd;
	a.id = q->id;
	err = mbuf_ioctl_put(arg, size, &a, sizeof(a));
	if (err)
		goto abort;
	mbuf_acceptor_open(q);
	mbuf_acceptor_show(q, NULL);
	mbuf_fd_install(&fd);
	return 0;

abort:
	mbuf_fd_abort(&fd);
	return err;
}

static long listener_set(struct mbuf_listener *l, void __user *arg,
			 size_t size)
{
	struct mbuf_listener_set a;
	struct mbuf_policy perms;
	int err;

	BUILD_BUG_ON(sizeof(a) != SET_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), SET_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.flags & ~(PERMS | MBUF_LISTEN_BACKLOG) || a.resv)
		return -EINVAL;
	if (a.flags & MBUF_LISTEN_BACKLOG ?
	    !a.backlog || a.backlog > MBUF_BACKLOG_MAX ||
	    !READ_ONCE(l->own.backlog) : a.backlog)
		return -EINVAL;
	err = perms_get(&perms, a.flags, a.uid, a.gid, a.mode);
	if (err)
		return err;

	if (a.flags & PERMS)
		err = mbuf_policy_perms(l, &perms, a.flags);
	if (!err && a.flags & MBUF_LISTEN_BACKLOG)
		mbuf_acceptor_set_backlog(&l->own, a.backlog);
	return err;
}

static long listener_acl(struct mbuf_listener *l, void __user *arg,
			 size_t size)
{
	struct mbuf_listener_acl a;
	kuid_t uid;
	int err;

	BUILD_BUG_ON(sizeof(a) != ACL_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), ACL_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.op > MBUF_ACL_DENY)
		return -EINVAL;
	uid = make_kuid(current_user_ns(), a.uid);
	if (!uid_valid(uid))
		return -EINVAL;
	return mbuf_policy_user(l, uid, a.op);
}

static void acceptor_snapshot(struct mbuf_acceptor *q,
			      struct user_namespace *ns,
			      struct mbuf_listener_info *info)
{
	struct mbuf_listener *l = q->listener;
	const struct mbuf_policy *policy;
	int cpu;

	memset(info, 0, sizeof(*info));
	info->id = q->id;
	info->listener_id = l->id;
	info->name_len = l->len;
	rcu_read_lock();
	policy = rcu_dereference(l->policy);
	info->mode = policy->mode;
	info->uid = from_kuid_munged(ns, policy->owner);
	info->gid = from_kgid_munged(ns, policy->group);
	info->acl_nr = policy->nr;
	rcu_read_unlock();

	spin_lock(&l->lock);
	info->backlog = q->backlog;
	info->pending = q->nr_pending;
	info->waiters = q->nr_waiters;
	info->queues = l->nr_queues;
	spin_unlock(&l->lock);

	for_each_possible_cpu(cpu) {
		const struct mbuf_listener_stats *stats =
			per_cpu_ptr(l->stats, cpu);

		info->accepted += READ_ONCE(stats->accepted);
		info->denied += READ_ONCE(stats->denied);
		info->overflowed += READ_ONCE(stats->overflowed);
		info->withdrawn += READ_ONCE(stats->withdrawn);
	}
}

static long acceptor_info(struct mbuf_acceptor *q, void __user *arg,
			  size_t size)
{
	struct mbuf_listener_info __user *u = arg;
	struct mbuf_listener *l = q->listener;
	struct mbuf_listener_info info;
	u64 name;
	u32 room;
	int err;

	BUILD_BUG_ON(sizeof(info) != INFO_SIZE_V0);

	err = mbuf_ioctl_get(&info, sizeof(info), INFO_SIZE_V0, arg, size);
	if (err)
		return err;
	if (info.target)
		return -EOPNOTSUPP;
	name = info.name;
	room = info.name_len;
	if (name && room < l->len)
		return put_user(l->len, &u->name_len) ? -EFAULT : -EMSGSIZE;
	acceptor_snapshot(q, current_user_ns(), &info);
	info.name = name;
	if (name && ((uintptr_t)name != name ||
		     copy_to_user(u64_to_user_ptr(name), l->name, l->len)))
		return -EFAULT;
	return mbuf_ioctl_put(arg, size, &info, sizeof(info));
}

static long acceptor_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	size_t size = _IOC_SIZE(cmd);

	if (!mbuf_ioctl_known(cmd))
		return -ENOTTY;
	switch (_IOC_NR(cmd)) {
	case _IOC_NR(MBUF_IOC_ACCEPT):
		return mbuf_accept(file, uarg, size);
	case _IOC_NR(MBUF_IOC_LISTENER_INFO):
		return acceptor_info(file->private_data, uarg, size);
	default:
		return -ENOTTY;
	}
}

static long listener_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	struct mbuf_acceptor *q = file->private_data;
	void __user *uarg = (void __user *)arg;
	size_t size = _IOC_SIZE(cmd);

	if (!mbuf_ioctl_known(cmd))
		return -ENOTTY;
	switch (_IOC_NR(cmd)) {
	case _IOC_NR(MBUF_IOC_ACCEPT_QUEUE):
		return listener_accept_queue(q->listener, uarg, size);
	case _IOC_NR(MBUF_IOC_LISTENER_SET):
		return listener_set(q->listener, uarg, size);
	case _IOC_NR(MBUF_IOC_LISTENER_ACL):
		return listener_acl(q->listener, uarg, size);
	default:
		return acceptor_ioctl(file, cmd, arg);
	}
}

/* As they are seen from outside */

static struct mbuf_acceptor *acceptor_of_node(const struct mbuf_node *node)
{
	return container_of(node, struct mbuf_acceptor, node);
}

static u64 acceptor_id(const struct mbuf_node *node)
{
	return acceptor_of_node(node)->id;
}

static int acceptor_describe(void *object, struct sk_buff *skb,
			     const struct mbuf_reader *reader)
{
	struct mbuf_acceptor *q = acceptor_of_node(object);
	const struct mbuf_listener *l = q->listener;
	struct mbuf_listener_info info;

	acceptor_snapshot(q, reader->user_ns, &info);
	if (nla_put_u64_64bit(skb, MBUF_A_LISTENER_LISTENER_ID,
			      info.listener_id, MBUF_A_LISTENER_PAD) ||
	    nla_put(skb, MBUF_A_LISTENER_NAME, l->len, l->name) ||
	    nla_put_u32(skb, MBUF_A_LISTENER_MODE, info.mode) ||
	    nla_put_u32(skb, MBUF_A_LISTENER_UID, info.uid) ||
	    nla_put_u32(skb, MBUF_A_LISTENER_GID, info.gid) ||
	    nla_put_u32(skb, MBUF_A_LISTENER_BACKLOG, info.backlog) ||
	    nla_put_u32(skb, MBUF_A_LISTENER_PENDING, info.pending) ||
	    nla_put_u32(skb, MBUF_A_LISTENER_WAITERS, info.waiters) ||
	    nla_put_u32(skb, MBUF_A_LISTENER_QUEUES, info.queues) ||
	    nla_put_u32(skb, MBUF_A_LISTENER_ACL, info.acl_nr) ||
	    nla_put_u64_64bit(skb, MBUF_A_LISTENER_ACCEPTED, info.accepted,
			      MBUF_A_LISTENER_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_LISTENER_DENIED, info.denied,
			      MBUF_A_LISTENER_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_LISTENER_OVERFLOWED,
			      info.overflowed, MBUF_A_LISTENER_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_LISTENER_WITHDRAWN, info.withdrawn,
			      MBUF_A_LISTENER_PAD))
		return -EMSGSIZE;
	return 0;
}

static const struct mbuf_kind listener_kind = {
	.type		= MBUF_OBJECT_TYPE_LISTENER,
	.attr		= MBUF_A_OBJECT_LISTENER,
	.id		= acceptor_id,
	.describe	= acceptor_describe,
};

static const struct mbuf_kind acceptor_kind = {
	.type		= MBUF_OBJECT_TYPE_ACCEPT_QUEUE,
	.attr		= MBUF_A_OBJECT_LISTENER,
	.id		= acceptor_id,
	.describe	= acceptor_describe,
};

/**
 * mbuf_acceptor_show() - a queue is there to be seen
 * @q: the queue, or the listener's own for the listener; not closed
 * @net: where the name is; NULL: where the current process is
 *
 * Context: process context.
 */
void mbuf_acceptor_show(struct mbuf_acceptor *q, struct net *net)
{
	struct mbuf_listener *l = q->listener;

	mbuf_node_link(&q->node,
		       q == &l->own ? &listener_kind : &acceptor_kind,
		       l->payer, net);
}

/* The rest */

static __poll_t acceptor_poll(struct file *file, poll_table *wait)
{
	struct mbuf_acceptor *q = file->private_data;
	struct mbuf_listener *l = q->listener;
	__poll_t events = 0;

	poll_wait(file, &q->poll, wait);
	spin_lock(&l->lock);
	if (q->nr_pending)
		events |= EPOLLIN | EPOLLRDNORM;
	if (l->state == LISTENER_DEAD)
		events |= EPOLLHUP;
	spin_unlock(&l->lock);
	return events;
}

static int acceptor_release(struct inode *inode, struct file *file)
{
	mbuf_acceptor_close(file->private_data);
	return 0;
}

static int listener_release(struct inode *inode, struct file *file)
{
	struct mbuf_acceptor *q = file->private_data;

	mbuf_listener_close(q->listener);
	return 0;
}

/* Bytes of any value on one line of text. */
static void show_name(struct seq_file *m, const struct mbuf_listener *l)
{
	u32 i;

	seq_puts(m, "mbuf-name:\t");
	for (i = 0; i < l->len; i++) {
		if (isascii(l->name[i]) && isprint(l->name[i]) &&
		    l->name[i] != '\\')
			seq_putc(m, l->name[i]);
		else
			seq_printf(m, "\\x%02x", l->name[i]);
	}
	seq_putc(m, '\n');
}

static void acceptor_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct mbuf_acceptor *q = file->private_data;
	struct mbuf_listener *l = q->listener;
	struct mbuf_listener_info info;

	acceptor_snapshot(q, current_user_ns(), &info);
	seq_printf(m, "mbuf-type:\t%s\n",
		   q == &l->own ? "listener" : "accept-queue");
	seq_printf(m, "mbuf-id:\t%016llx\n", info.id);
	seq_printf(m, "mbuf-listener-id:\t%016llx\n", info.listener_id);
	show_name(m, l);
	seq_printf(m, "mbuf-mode:\t%04o\n", info.mode);
	seq_printf(m, "mbuf-uid:\t%u\n", info.uid);
	seq_printf(m, "mbuf-gid:\t%u\n", info.gid);
	seq_printf(m, "mbuf-backlog:\t%u\n", info.backlog);
	seq_printf(m, "mbuf-pending:\t%u\n", info.pending);
	seq_printf(m, "mbuf-waiters:\t%u\n", info.waiters);
	seq_printf(m, "mbuf-queues:\t%u\n", info.queues);
	seq_printf(m, "mbuf-acl:\t%u\n", info.acl_nr);
	seq_printf(m, "mbuf-accepted:\t%llu\n", info.accepted);
	seq_printf(m, "mbuf-denied:\t%llu\n", info.denied);
	seq_printf(m, "mbuf-overflowed:\t%llu\n", info.overflowed);
	seq_printf(m, "mbuf-withdrawn:\t%llu\n", info.withdrawn);
}

static const struct file_operations mbuf_listener_fops = {
	.owner		= THIS_MODULE,
	.release	= listener_release,
	.poll		= acceptor_poll,
	.unlocked_ioctl	= listener_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= acceptor_show_fdinfo,
};

static const struct file_operations mbuf_acceptor_fops = {
	.owner		= THIS_MODULE,
	.release	= acceptor_release,
	.poll		= acceptor_poll,
	.unlocked_ioctl	= acceptor_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= acceptor_show_fdinfo,
};

/**
 * mbuf_listener_is() - is this file a listener or an accept queue?
 * @file: the file
 */
bool mbuf_listener_is(const struct file *file)
{
	return file->f_op == &mbuf_listener_fops ||
	       file->f_op == &mbuf_acceptor_fops;
}

/**
 * mbuf_listener_id() - the identity of a listener or an accept queue
 * @file: it
 */
u64 mbuf_listener_id(const struct file *file)
{
	const struct mbuf_acceptor *q = file->private_data;

	return q->id;
}

/**
 * mbuf_listener_attach() - put a listener or an accept queue into a set
 * @file: the file
 * @set: the set, of a session that the caller has
 * @cookie: what POLL_ALL shall call it
 * @move: take it out of the set it is in
 *
 * Context: process context, may sleep.
 * Return: 0, -EBUSY, -ENOMEM.
 */
int mbuf_listener_attach(struct file *file, struct mbuf_set *set, u64 cookie,
			 bool move)
{
	return mbuf_acceptor_attach(file->private_data, set, cookie, move);
}

/**
 * mbuf_listener_detach() - take a listener or an accept queue out of a set
 * @file: the file
 * @set: the set
 *
 * Context: process context, may sleep.
 * Return: 0, or -ENOENT if it is not in that.
 */
int mbuf_listener_detach(struct file *file, struct mbuf_set *set)
{
	return mbuf_acceptor_detach(file->private_data, set);
}
