// SPDX-License-Identifier: GPL-2.0
/* CONNECT and ACCEPT: how a channel gets its two ends. */
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "listener_priv.h"

/* Sizes of the first version of each struct. */
#define CONNECT_SIZE_V0	120
#define ACCEPT_SIZE_V0	96

/**
 * mbuf_name_get() - copy in a name
 * @name: where to; room for MBUF_NAME_MAX
 * @from: address, as the caller gave it
 * @len: length
 *
 * Context: process context, may sleep.
 * Return: 0, -EINVAL if it is empty, -ENAMETOOLONG, -EFAULT.
 */
int mbuf_name_get(u8 *name, u64 from, u32 len)
{
	if (!len)
		return -EINVAL;
	if (len > MBUF_NAME_MAX)
		return -ENAMETOOLONG;
	if ((uintptr_t)from != from ||
	    copy_from_user(name, u64_to_user_ptr(from), len))
		return -EFAULT;
	return 0;
}

/* Make the channel, queue it, and wait until somebody has accepted it. */
static int connect_to(struct mbuf_listener *l, const struct mbuf_wish *wish,
		      const struct mbuf_patron *patron,
		      const struct mbuf_deadline *deadline,
		      struct mbuf_connect *a, void __user *arg, size_t size)
{
	struct mbuf_end_prep prep;
	struct mbuf_channel *c;
	int err;

	/* Before others notice: can the result be told? */
	err = mbuf_ioctl_put(arg, size, a, sizeof(*a));
	if (err)
		return err;
	c = mbuf_channel_new(true);
	if (!c)
		return -ENOMEM;
	err = mbuf_end_pay(c, MBUF_SIDE_ACCEPT, patron->payer, 0);
	if (err)
		goto put;
	err = mbuf_end_prepare(&prep, c, MBUF_SIDE_CONNECT, patron->payer,
			       patron->set, &a->end);
	if (err)
		goto put;
	if (a->flags & MBUF_CONNECT_HELLO)
		mbuf_channel_hello(c, a->data);
	mbuf_end_commit(&prep);

	err = mbuf_listener_queue(l, c, wish);
	/* Who does not want to wait has found somebody who did. */
	if (!err && !(a->flags & MBUF_CONNECT_ASYNC) && !wish->now)
		err = mbuf_channel_connect_wait(c, deadline);
	if (!err)
		err = mbuf_ioctl_put(arg, size, a, sizeof(*a));
	if (err)
		mbuf_end_retract(&prep);
	else
		mbuf_end_publish(&prep);
put:
	mbuf_channel_put(c);
	return err;
}

/**
 * mbuf_connect() - MBUF_IOC_CONNECT
 * @patron: the session
 * @arg: argument of the ioctl
 * @size: its size
 *
 * Context: process context, may sleep.
 * Return: as that.
 */
long mbuf_connect(const struct mbuf_patron *patron, void __user *arg,
		  size_t size)
{
	struct mbuf_deadline deadline;
	struct mbuf_listener *l;
	struct mbuf_connect a;
	struct mbuf_wish wish;
	u8 name[MBUF_NAME_MAX];
	int err;

	BUILD_BUG_ON(sizeof(a) != CONNECT_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), CONNECT_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.flags & ~(MBUF_CONNECT_ASYNC | MBUF_CONNECT_UID |
			MBUF_CONNECT_HELLO) || a.resv)
		return -EINVAL;
	if (!(a.flags & MBUF_CONNECT_UID) && a.uid)
		return -EINVAL;
	if (!(a.flags & MBUF_CONNECT_HELLO) &&
	    memchr_inv(a.data, 0, sizeof(a.data)))
		return -EINVAL;
	err = mbuf_deadline_parse(&deadline, &a.wait) ?:
	      mbuf_end_check(&a.end) ?:
	      mbuf_name_get(name, a.name, a.name_len);
	if (err)
		return err;

	wish.net = patron->net;
	wish.name = name;
	wish.len = a.name_len;
	wish.maker = INVALID_UID;
	if (a.flags & MBUF_CONNECT_UID) {
		wish.maker = make_kuid(current_user_ns(), a.uid);
		if (!uid_valid(wish.maker))
			return -EINVAL;
	}
	wish.now = !(a.flags & MBUF_CONNECT_ASYNC) &&
		   (patron->nonblock || deadline.mode == MBUF_WAIT_NOW);
	wish.driver = false;
	l = mbuf_listener_find(&wish);
	if (IS_ERR(l))
		return PTR_ERR(l);
	err = connect_to(l, &wish, patron, &deadline, &a, arg, size);
	mbuf_listener_put(l);
	return err;
}

/* Give a connection to the caller. -ECONNABORTED if it has been withdrawn. */
static int accept_deliver(struct mbuf_acceptor *q, struct mbuf_pending *p,
			  struct mbuf_accept *a, void __user *arg, size_t size)
{
	struct mbuf_channel *c = mbuf_pending_channel(p);
	struct mbuf_listener *l = q->listener;
	struct mbuf_end_prep prep;
	struct mbuf_set *set;
	int err;

	err = -ERESTARTSYS;
	/* Who is being killed will not look at it. */
	if (fatal_signal_pending(current))
		goto back;

	set = mbuf_acceptor_set(q);
	err = mbuf_end_prepare(&prep, c, MBUF_SIDE_ACCEPT, l->payer, set,
			       &a->end);
	if (set)
		mbuf_set_put(set);
	if (err)
		goto back;
	mbuf_channel_tell(c, MBUF_SIDE_CONNECT, &a->peer);
	err = mbuf_ioctl_put(arg, size, a, sizeof(*a));
	if (err) {
		mbuf_end_abort(&prep);
		goto back;
	}
	mbuf_end_commit(&prep);
	err = mbuf_channel_accepted(c, a->flags & MBUF_ACCEPT_ASK);
	if (err) {
		this_cpu_inc(l->stats->withdrawn);
		mbuf_end_retract(&prep);
	} else {
		this_cpu_inc(l->stats->accepted);
		mbuf_end_publish(&prep);
	}
	mbuf_pending_done(p);
	return err;

back:
	mbuf_acceptor_put_back(q, p);
	return err;
}

/**
 * mbuf_accept() - MBUF_IOC_ACCEPT
 * @file: a listener or accept queue
 * @arg: argument of the ioctl
 * @size: its size
 *
 * Context: process context, may sleep.
 * Return: as that.
 */
long mbuf_accept(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_acceptor *q = file->private_data;
	struct mbuf_deadline deadline;
	struct mbuf_accept a, given;
	struct mbuf_pending *p;
	bool again = false;
	int err;

	BUILD_BUG_ON(sizeof(a) != ACCEPT_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), ACCEPT_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.flags & ~MBUF_ACCEPT_ASK || a.resv || !READ_ONCE(q->backlog))
		return -EINVAL;
	err = mbuf_deadline_parse(&deadline, &a.wait) ?:
	      mbuf_end_check(&a.end);
	if (err)
		return err;
	if (file->f_flags & O_NONBLOCK)
		deadline.mode = MBUF_WAIT_NOW;

	given = a;
	for (;;) {
		p = mbuf_acceptor_take(q, &deadline, again);
		if (IS_ERR(p)) {
			err = PTR_ERR(p);
			break;
		}
		err = accept_deliver(q, p, &a, arg, size);
		if (err != -ECONNABORTED)
			break;
		again = true;
	}
	/* Nobody shall find what one that was withdrawn has left. */
	if (err && again && err != -EFAULT &&
	    mbuf_ioctl_put(arg, size, &given, sizeof(given)))
		err = -EFAULT;
	return err;
}
