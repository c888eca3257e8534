// SPDX-License-Identifier: GPL-2.0
#include <linux/cred.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "object.h"
#include "payload.h"
#include "queue.h"
#include "quota.h"
#include "session.h"

/* Sizes of the first version of each struct. */
#define QUERY_SIZE_V0	88
#define CREATE_SIZE_V0	64

/**
 * struct mbuf_session - an open /dev/mbuf
 * @payer: who pays for it and for what it makes; holds a reference
 * @id: identity
 */
struct mbuf_session {
	struct mbuf_account *payer;
	u64 id;
};

static const struct mbuf_charge session_charge = {
	.n = {
		[MBUF_RES_OBJECTS] = 1,
		[MBUF_RES_MEMORY] = sizeof(struct mbuf_session),
	},
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
	s->id = mbuf_object_id();

	file->private_data = s;
	return stream_open(inode, file);

put:
	mbuf_account_put(s->payer);
free:
	kfree(s);
	return err;
}

static int session_release(struct inode *inode, struct file *file)
{
	struct mbuf_session *s = file->private_data;

	mbuf_uncharge(s->payer, &session_charge);
	mbuf_account_put(s->payer);
	kfree(s);
	return 0;
}

static void usage_get(struct mbuf_usage *u, const struct mbuf_account *acct,
		      enum mbuf_resource res)
{
	u->used = mbuf_account_used(acct, res);
	u->limit = mbuf_account_limit(res);
}

static long session_query(struct mbuf_session *s, void __user *arg, size_t size)
{
	struct mbuf_account *caller;
	struct mbuf_query q;
	int err;

	BUILD_BUG_ON(sizeof(q) != QUERY_SIZE_V0);

	err = mbuf_ioctl_get(&q, sizeof(q), QUERY_SIZE_V0, arg, size);
	if (err)
		return err;
	if (q.target)
		return -EOPNOTSUPP;
	caller = mbuf_account_get(current_cred());
	if (!caller)
		return -ENOMEM;

	memset(&q, 0, sizeof(q));
	q.features = MBUF_FEATURE_QUEUE;
	q.slots_max = MBUF_SLOTS_MAX;
	q.msg_max = MBUF_MSG_MAX;
	q.inline_max = MBUF_INLINE_MAX;
	q.batch_max = MBUF_BATCH_MAX;
	q.prio_max = MBUF_PRIO_MAX;
	usage_get(&q.objects, s->payer, MBUF_RES_OBJECTS);
	usage_get(&q.memory, s->payer, MBUF_RES_MEMORY);
	usage_get(&q.inflight, caller, MBUF_RES_INFLIGHT);
	mbuf_account_put(caller);
	return mbuf_ioctl_put(arg, size, &q, sizeof(q));
}

static long session_queue_create(struct mbuf_session *s, void __user *arg,
				 size_t size)
{
	struct mbuf_queue_create c;
	struct mbuf_fd recv, send;
	int err;

	BUILD_BUG_ON(sizeof(c) != CREATE_SIZE_V0);

	err = mbuf_ioctl_get(&c, sizeof(c), CREATE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (c.target)
		return -EOPNOTSUPP;
	if (c.resv || c.recv.flags || c.recv.handle || c.send.flags ||
	    c.send.handle)
		return -EINVAL;

	err = mbuf_queue_create(s->payer, c.slots, c.max_msg, c.flags, &recv,
				&send, &c.id);
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

static long session_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	struct mbuf_session *s = file->private_data;
	void __user *uarg = (void __user *)arg;
	size_t size = _IOC_SIZE(cmd);

	if (!mbuf_ioctl_known(cmd))
		return -ENOTTY;
	switch (_IOC_NR(cmd)) {
	case _IOC_NR(MBUF_IOC_QUERY):
		return session_query(s, uarg, size);
	case _IOC_NR(MBUF_IOC_QUEUE_CREATE):
		return session_queue_create(s, uarg, size);
	default:
		return -ENOTTY;
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
}

const struct file_operations mbuf_session_fops = {
	.owner		= THIS_MODULE,
	.open		= session_open,
	.release	= session_release,
	.unlocked_ioctl	= session_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= session_show_fdinfo,
};
