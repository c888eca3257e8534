// SPDX-License-Identifier: GPL-2.0
/* What can be done with an endpoint. */
#include <linux/pid.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/user_namespace.h>
#include <net/netlink.h>
#include "channel_priv.h"
#include "compat.h"
#include "offer.h"

/* Sizes of the first version of each struct. */
#define EXCHANGE_SIZE_V0	88
#define INFO_SIZE_V0		88
#define APPROVE_SIZE_V0		16

#define STEPS	(MBUF_STEP_WRITE | MBUF_STEP_SIGNAL | MBUF_STEP_WAIT | \
		 MBUF_STEP_READ)

static int gone_error(const struct mbuf_channel *c)
{
	return c->status & STATUS_REFUSED ? -ECONNREFUSED : -EPIPE;
}

/**
 * mbuf_end_check_steps() - not all can be done: can this?
 * @c: the channel, which is not live
 * @end: the endpoint
 * @steps: MBUF_STEP_*
 *
 * Context: under the lock.
 * Return: 0, or the error.
 */
int mbuf_end_check_steps(struct mbuf_channel *c, struct mbuf_endpoint *end,
			 unsigned int steps)
{
	u32 status = c->status;

	if (!(status & STATUS_OPEN(end->side)))
		return status & STATUS_REFUSED ? -EPIPE : -EPERM;
	if (status & STATUS_ASKING && end->side == MBUF_SIDE_ACCEPT &&
	    steps & ~MBUF_STEP_READ)
		return -ENOTCONN;
	if (!(status & STATUS_OPEN(!end->side))) {
		if (steps & (MBUF_STEP_WRITE | MBUF_STEP_SIGNAL))
			return gone_error(c);
		if (steps & MBUF_STEP_WAIT && !mbuf_end_ready(c, end))
			return gone_error(c);
	}
	if (status & STATUS_FRESH && end->side == MBUF_SIDE_CONNECT)
		WRITE_ONCE(c->status, status & ~STATUS_FRESH);
	return 0;
}

/*
 * Whether these are called is known at run time only, both or none: sparse is
 * told that each of them changes nothing.
 */
static __always_inline void end_kick_begin(struct mbuf_kick *kick)
{
	mbuf_kick_begin(kick);
	__release(RCU);
}

static __always_inline void end_kick_end(const struct mbuf_kick *kick)
{
	__acquire(RCU);
	mbuf_kick_end(kick);
}

/**
 * end_do() - the steps of an exchange
 * @end: the endpoint
 * @steps: which
 * @data: with MBUF_STEP_WRITE: what to write
 * @deadline: with MBUF_STEP_WAIT: how long to wait
 * @w: result: what was taken, or looked at
 * @done: result: which steps were done
 *
 * Context: process context, may sleep.
 * Return: 0, or the errors of EXCHANGE but -EFAULT; -ERESTARTSYS for a signal.
 */
static __always_inline int end_do(struct mbuf_endpoint *end, unsigned int steps,
				  const u64 *data,
				  const struct mbuf_deadline *deadline,
				  struct mbuf_end_waiter *w, u32 *done)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_endpoint *peer = mbuf_end_peer(end);
	struct mbuf_kick kick mbuf_uninit;
	struct task_struct *wake = NULL;
	bool kicks = false, sleeps = false;
	int err = 0;

	if (unlikely(end->bond) && !mbuf_bond_mine(end->bond))
		return -EPERM;

	raw_spin_lock_irq(&c->lock);
	if (unlikely(c->status != STATUS_LIVE)) {
		err = mbuf_end_check_steps(c, end, steps);
		if (err)
			goto unlock;
	}
	if (steps & MBUF_STEP_WAIT && unlikely(end->waiter)) {
		err = -EBUSY;
		goto unlock;
	}

	if (steps & MBUF_STEP_WRITE)
		mbuf_end_write(peer, data);
	if (steps & MBUF_STEP_SIGNAL) {
		struct mbuf_end_waiter *other = peer->waiter;

		mbuf_trace(signal, peer->id, end->id, peer->seq);
		if (likely(other && !other->any && !peer->signals)) {
			WRITE_ONCE(peer->signals, 1);
			wake = mbuf_end_give(c, peer, other);
		} else if (other || !mbuf_end_count(peer)) {
			end_kick_begin(&kick);
			kicks = true;
			mbuf_end_signal(c, peer, &kick);
		}
	} else if (steps & MBUF_STEP_WRITE) {
		mbuf_end_changed(peer);
	}

	if (!(steps & MBUF_STEP_WAIT)) {
		if (steps & MBUF_STEP_READ) {
			mbuf_end_look(c, end, &w->got);
		} else {
			w->got.seq = end->seq;
			w->got.signals = end->signals;
			w->got.state = mbuf_end_state(c, end->side);
		}
	} else if (mbuf_end_ready(c, end)) {
		mbuf_end_take(c, end, &w->got);
		mbuf_end_changed(end);
	} else if (deadline->mode == MBUF_WAIT_NOW) {
		err = -EAGAIN;
	} else {
		w->state = MBUF_WAITING;
		w->any = false;
		w->connect = false;
		w->task = current;
		end->waiter = w;
		mbuf_trace(block, end->id, MBUF_TRACE_SIGNAL);
		sleeps = true;
	}
unlock:
	if (unlikely(kicks)) {
		raw_spin_unlock_irq(&c->lock);
		end_kick_end(&kick);
	} else {
		/* Until interrupts are on again, RCU keeps who is woken. */
		raw_spin_unlock(&c->lock);
		if (wake)
			mbuf_kick_task(wake);
		local_irq_enable();
	}
	if (sleeps) {
		err = __mbuf_sleep(&w->state, deadline);
		if (unlikely(err)) {
			/* What has been decided meanwhile counts. */
			mbuf_end_unwait(end, w);
			if (w->state == MBUF_DONE)
				err = 0;
		}
		if (unlikely(w->state == MBUF_GONE))
			err = gone_error(c);
	}
	if (unlikely(err)) {
		if (err == -EAGAIN || err == -ETIMEDOUT ||
		    err == -ERESTARTSYS)
			*done = steps & (MBUF_STEP_WRITE | MBUF_STEP_SIGNAL);
	}
	return err;
}

/* read, write, poll */

static bool iocb_nowait(const struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_NOWAIT ||
	       iocb->ki_filp->f_flags & O_NONBLOCK;
}

static ssize_t end_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct mbuf_endpoint *end = iocb->ki_filp->private_data;
	struct mbuf_end_waiter w;
	u64 data[SLOT_WORDS];
	u32 done;
	int err;

	if (!iov_iter_count(from))
		return -EINVAL;
	if (iov_iter_count(from) != MBUF_SLOT_SIZE)
		return -EMSGSIZE;
	if (!copy_from_iter_full(data, MBUF_SLOT_SIZE, from))
		return -EFAULT;
	err = end_do(end, MBUF_STEP_WRITE | MBUF_STEP_SIGNAL, data, NULL, &w,
		     &done);
	return err ?: MBUF_SLOT_SIZE;
}

static ssize_t end_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	const struct mbuf_deadline deadline = {
		.mode = iocb_nowait(iocb) ? MBUF_WAIT_NOW : MBUF_WAIT_FOREVER,
	};
	struct mbuf_endpoint *end = iocb->ki_filp->private_data;
	struct mbuf_end_waiter w;
	size_t copied;
	u32 done;
	int err;

	if (!iov_iter_count(to))
		return -EINVAL;
	if (iov_iter_count(to) < MBUF_SLOT_SIZE)
		return -EMSGSIZE;
	err = end_do(end, MBUF_STEP_WAIT | MBUF_STEP_READ, NULL, &deadline, &w,
		     &done);
	if (err)
		return err == -EPIPE ? 0 : err;
	copied = copy_to_iter(w.got.slot, MBUF_SLOT_SIZE, to);
	if (copied == MBUF_SLOT_SIZE)
		return MBUF_SLOT_SIZE;
	iov_iter_revert(to, copied);
	mbuf_end_undo(end, &w.got);
	return -EFAULT;
}

static __poll_t end_poll(struct file *file, poll_table *wait)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_channel *c = mbuf_end_channel(end);
	__poll_t events = 0;
	u32 status;

	poll_wait(file, &end->poll, wait);
	raw_spin_lock_irq(&c->lock);
	status = c->status;
	if (mbuf_end_ready(c, end))
		events |= EPOLLIN | EPOLLRDNORM;
	if (mbuf_offer_turn(end))
		events |= EPOLLPRI;
	if (!(status & STATUS_OPEN(!end->side)))
		events |= EPOLLHUP;
	else if (!(status & (STATUS_PENDING | STATUS_ASKING)))
		events |= EPOLLOUT | EPOLLWRNORM;
	if (!(status & STATUS_OPEN(end->side)))
		events = EPOLLHUP;
	else if (status & STATUS_ASKING && end->side == MBUF_SIDE_ACCEPT)
		events &= EPOLLHUP;
	raw_spin_unlock_irq(&c->lock);
	return events;
}

/* ioctls */

/* Word by word: a bulk copy costs more than all else that is done here. */
static __always_inline int exchange_get(struct mbuf_exchange *x, u64 *data,
					const struct mbuf_exchange __user *u)
{
	const u64 __user *words = (const u64 __user *)u->data;

	if (!user_access_begin(u, sizeof(*u)))
		return -EFAULT;
	unsafe_get_user(x->target, &u->target, fault);
	unsafe_get_user(x->wait.deadline, &u->wait.deadline, fault);
	unsafe_get_user(x->wait.mode, &u->wait.mode, fault);
	unsafe_get_user(x->wait.clock, &u->wait.clock, fault);
	unsafe_get_user(x->steps, &u->steps, fault);
	unsafe_get_user(x->done, &u->done, fault);
	unsafe_get_user(x->resv, &u->resv, fault);
	if (x->steps & MBUF_STEP_WRITE) {
		unsafe_get_user(data[0], &words[0], fault);
		unsafe_get_user(data[1], &words[1], fault);
		unsafe_get_user(data[2], &words[2], fault);
		unsafe_get_user(data[3], &words[3], fault);
	}
	user_access_end();
	return 0;
fault:
	user_access_end();
	return -EFAULT;
}

static __always_inline int exchange_put(struct mbuf_exchange __user *u,
					const struct mbuf_taken *got,
					bool read, bool again)
{
	u64 __user *words = (u64 __user *)u->data;

	if (!user_access_begin(u, sizeof(*u)))
		return -EFAULT;
	/* The same struct may be used for the next call. */
	if (unlikely(again))
		unsafe_put_user(0, &u->done, fault);
	unsafe_put_user(got->state, &u->state, fault);
	unsafe_put_user((u64)got->signals, &u->signals, fault);
	unsafe_put_user(got->seq, &u->seq, fault);
	if (read) {
		unsafe_put_user(got->slot[0], &words[0], fault);
		unsafe_put_user(got->slot[1], &words[1], fault);
		unsafe_put_user(got->slot[2], &words[2], fault);
		unsafe_put_user(got->slot[3], &words[3], fault);
	}
	user_access_end();
	return 0;
fault:
	user_access_end();
	return -EFAULT;
}

/* Do @steps, @before having been done, and report at @u. */
static __always_inline long exchange_do(struct file *file,
					struct mbuf_exchange __user *u,
					unsigned int steps, u32 before,
					const u64 *data,
					const struct mbuf_deadline *deadline)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_end_waiter w mbuf_uninit;
	u32 done = 0;
	int err;

	err = end_do(end, steps, data, deadline, &w, &done);
	if (unlikely(err)) {
		/*
		 * A restart must not do the first steps again, and must not
		 * happen if that cannot be said.
		 */
		if (done && put_user(before | done, &u->done))
			return -EFAULT;
		return err;
	}
	err = exchange_put(u, &w.got, steps & MBUF_STEP_READ, before);
	if (unlikely(err)) {
		if (!(steps & MBUF_STEP_WAIT))
			w.got.signals = 0;
		if (steps & (MBUF_STEP_WAIT | MBUF_STEP_READ))
			mbuf_end_undo(end, &w.got);
	}
	return err;
}

/* @x and @data are what is at @u. */
static __always_inline long exchange_check_and_do(struct file *file,
						  struct mbuf_exchange __user *u,
						  const struct mbuf_exchange *x,
						  const u64 *data)
{
	struct mbuf_deadline deadline mbuf_uninit;
	unsigned int steps;
	int err;

	if (unlikely(x->target))
		return -EOPNOTSUPP;
	if (unlikely(!x->steps || x->steps & ~STEPS || x->resv ||
		     x->done & ~(x->steps &
				 (MBUF_STEP_WRITE | MBUF_STEP_SIGNAL))))
		return -EINVAL;
	err = mbuf_deadline_get(&deadline, &x->wait);
	if (unlikely(err))
		return err;
	if (unlikely(file->f_flags & O_NONBLOCK))
		deadline.mode = MBUF_WAIT_NOW;

	steps = x->steps & ~x->done;
	if (unlikely(!steps))
		return -EINVAL;
	return exchange_do(file, u, steps, x->done, data, &deadline);
}

/* A struct of another version's size, or at an odd address. */
static noinline long end_exchange_any(struct file *file, void __user *arg,
				      size_t size)
{
	struct mbuf_exchange x;
	u64 data[SLOT_WORDS];
	int err;

	BUILD_BUG_ON(sizeof(x) != EXCHANGE_SIZE_V0);

	err = mbuf_ioctl_get(&x, sizeof(x), EXCHANGE_SIZE_V0, arg, size);
	if (err)
		return err;
	memcpy(data, x.data, sizeof(data));
	return exchange_check_and_do(file, arg, &x, data);
}

static long end_exchange(struct file *file, void __user *arg)
{
	const struct mbuf_deadline forever = { .mode = MBUF_WAIT_FOREVER };
	struct mbuf_exchange x mbuf_uninit;
	u64 data[SLOT_WORDS] mbuf_uninit;
	int err;

	BUILD_BUG_ON(MBUF_WAIT_FOREVER | MBUF_CLOCK_MONOTONIC);

	err = exchange_get(&x, data, arg);
	if (unlikely(err))
		return err;
	/* A request and its reply: all steps, and the rest is 0. */
	if (likely(x.steps == STEPS && !(file->f_flags & O_NONBLOCK) &&
		   !(x.target | x.wait.deadline) &&
		   !(x.wait.mode | x.wait.clock | x.done | x.resv)))
		return exchange_do(file, arg, STEPS, 0, data, &forever);
	return exchange_check_and_do(file, arg, &x, data);
}

static long end_approve(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_approve a;
	struct mbuf_kick kick;
	int err;

	BUILD_BUG_ON(sizeof(a) != APPROVE_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), APPROVE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.resv || a.verdict > 1)
		return -EINVAL;
	if (end->bond && !mbuf_bond_mine(end->bond))
		return -EPERM;

	mbuf_kick_begin(&kick);
	raw_spin_lock_irq(&c->lock);
	if (end->side != MBUF_SIDE_ACCEPT || !(c->status & STATUS_ASKING))
		err = -EINVAL;
	else if (!(c->status & STATUS_OPEN(MBUF_SIDE_CONNECT)))
		err = -EPIPE;
	else if (a.verdict)
		err = mbuf_channel_advance(c, STATUS_ASKING, false, &kick);
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&kick);

	if (err)
		return err;
	/* What is left of a refused one is a descriptor of nothing. */
	if (a.verdict)
		mbuf_channel_approved(c);
	else
		mbuf_end_close(c, MBUF_SIDE_ACCEPT);
	return 0;
}

static void end_snapshot(struct mbuf_endpoint *end,
			 struct mbuf_channel_info *info)
{
	struct mbuf_endpoint *peer = mbuf_end_peer(end);
	struct mbuf_channel *c = mbuf_end_channel(end);

	info->id = end->id;
	info->peer_id = peer->id;
	raw_spin_lock_irq(&c->lock);
	info->flags = end->flags;
	info->state = mbuf_end_state(c, end->side);
	info->seq = end->seq;
	info->peer_seq = peer->seq;
	info->signals = end->signals;
	info->peer_signals = peer->signals;
	info->waiters = !!end->waiter;
	raw_spin_unlock_irq(&c->lock);
}

/**
 * mbuf_end_who() - who has an endpoint?
 * @end: the endpoint
 * @who: result: the process; nobody yet, if that has no process id. Valid for
 *	as long as the channel, no reference is taken
 *
 * Context: process context.
 * Return: true if it is a driver.
 */
bool mbuf_end_who(struct mbuf_endpoint *end, struct mbuf_identity *who)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	bool kernel;

	memset(who, 0, sizeof(*who));
	raw_spin_lock_irq(&c->lock);
	kernel = end->kernel;
	/* While nobody has accepted it is about to be written. */
	if (!(c->status & STATUS_PENDING) || end->side == MBUF_SIDE_CONNECT)
		*who = end->who;
	raw_spin_unlock_irq(&c->lock);
	return kernel;
}

/**
 * mbuf_channel_tell() - who has an endpoint?
 * @c: the channel
 * @side: which endpoint
 * @p: result: nobody yet, a driver, or a process
 *
 * Context: process context.
 */
void mbuf_channel_tell(struct mbuf_channel *c, unsigned int side,
		       struct mbuf_peer *p)
{
	struct mbuf_identity who;
	bool kernel = mbuf_end_who(&c->end[side], &who);

	mbuf_identity_tell(&who, p);
	if (kernel)
		p->flags = MBUF_PEER_KNOWN | MBUF_PEER_KERNEL;
}

/* As it is seen from outside */

static int end_describe_peer(struct mbuf_endpoint *end, struct sk_buff *skb,
			     const struct mbuf_reader *reader)
{
	struct mbuf_identity who;

	if (mbuf_end_who(mbuf_end_peer(end), &who))
		return nla_put_flag(skb, MBUF_A_ENDPOINT_PEER_KERNEL);
	if (!who.pid)
		return 0;
	return nla_put_u32(skb, MBUF_A_ENDPOINT_PEER_UID,
			   from_kuid_munged(reader->user_ns, who.uid)) ?:
	       nla_put_u32(skb, MBUF_A_ENDPOINT_PEER_PID,
			   pid_nr_ns(who.pid, reader->pid_ns));
}

static int end_describe(void *object, struct sk_buff *skb,
			const struct mbuf_reader *reader)
{
	struct mbuf_endpoint *end = object;
	struct mbuf_channel_info info = { };

	end_snapshot(end, &info);
	if (nla_put_u64_64bit(skb, MBUF_A_ENDPOINT_PEER_ID, info.peer_id,
			      MBUF_A_ENDPOINT_PAD) ||
	    nla_put_u32(skb, MBUF_A_ENDPOINT_FLAGS, info.flags) ||
	    nla_put_u32(skb, MBUF_A_ENDPOINT_STATE, info.state) ||
	    nla_put_u64_64bit(skb, MBUF_A_ENDPOINT_SEQ, info.seq,
			      MBUF_A_ENDPOINT_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_ENDPOINT_PEER_SEQ, info.peer_seq,
			      MBUF_A_ENDPOINT_PAD) ||
	    nla_put_u32(skb, MBUF_A_ENDPOINT_SIGNALS, info.signals) ||
	    nla_put_u32(skb, MBUF_A_ENDPOINT_PEER_SIGNALS,
			info.peer_signals) ||
	    nla_put_u32(skb, MBUF_A_ENDPOINT_WAITERS, info.waiters))
		return -EMSGSIZE;
	return end_describe_peer(end, skb, reader);
}

const struct mbuf_kind mbuf_end_kind = {
	.type		= MBUF_OBJECT_TYPE_ENDPOINT,
	.attr		= MBUF_A_OBJECT_ENDPOINT,
	.describe	= end_describe,
};

static long end_info(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_channel_info info;
	int err;

	BUILD_BUG_ON(sizeof(info) != INFO_SIZE_V0);

	err = mbuf_ioctl_get(&info, sizeof(info), INFO_SIZE_V0, arg, size);
	if (err)
		return err;
	if (info.target)
		return -EOPNOTSUPP;
	memset(&info, 0, sizeof(info));
	end_snapshot(end, &info);
	mbuf_channel_tell(mbuf_end_channel(end), !end->side, &info.peer);
	return mbuf_ioctl_put(arg, size, &info, sizeof(info));
}

static noinline long end_ioctl_any(struct file *file, unsigned int cmd,
				   unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	size_t size = _IOC_SIZE(cmd);

	if (!mbuf_ioctl_known(cmd))
		return -ENOTTY;
	switch (_IOC_NR(cmd)) {
	case _IOC_NR(MBUF_IOC_EXCHANGE):
		return end_exchange_any(file, uarg, size);
	case _IOC_NR(MBUF_IOC_APPROVE):
		return end_approve(file, uarg, size);
	case _IOC_NR(MBUF_IOC_CHANNEL_INFO):
		return end_info(file, uarg, size);
	case _IOC_NR(MBUF_IOC_GIVE):
		return mbuf_end_give_right(file->private_data, uarg, size);
	case _IOC_NR(MBUF_IOC_GIVEN):
		return mbuf_end_given(file->private_data, uarg, size);
	default:
		return mbuf_offer_ioctl(file, cmd, uarg, size);
	}
}

static long end_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	/* Nearly all there is, so it does not pay for the rest. */
	if (likely(cmd == MBUF_IOC_EXCHANGE && IS_ALIGNED(arg, 8)))
		return end_exchange(file, (void __user *)arg);
	return end_ioctl_any(file, cmd, arg);
}

static int end_release(struct inode *inode, struct file *file)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_channel *c;

	/* See mbuf_end_abort(). */
	if (!end)
		return 0;
	c = mbuf_end_channel(end);
	mbuf_end_close(c, end->side);
	if (end->bond)
		mbuf_unbind(end->bond);
	mbuf_channel_put(c);
	return 0;
}

static void end_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_channel_info info = { };

	end_snapshot(end, &info);
	mbuf_channel_tell(mbuf_end_channel(end), !end->side, &info.peer);
	seq_puts(m, "mbuf-type:\tchannel\n");
	seq_printf(m, "mbuf-id:\t%016llx\n", info.id);
	seq_printf(m, "mbuf-peer-id:\t%016llx\n", info.peer_id);
	seq_printf(m, "mbuf-flags:\t%x\n", info.flags);
	seq_printf(m, "mbuf-state:\t%x\n", info.state);
	seq_printf(m, "mbuf-seq:\t%llu\n", info.seq);
	seq_printf(m, "mbuf-peer-seq:\t%llu\n", info.peer_seq);
	seq_printf(m, "mbuf-signals:\t%u\n", info.signals);
	seq_printf(m, "mbuf-peer-signals:\t%u\n", info.peer_signals);
	seq_printf(m, "mbuf-waiters:\t%u\n", info.waiters);
	seq_printf(m, "mbuf-offer-turn:\t%d\n", mbuf_offer_turn(end));
	if (info.peer.flags & MBUF_PEER_KERNEL) {
		seq_puts(m, "mbuf-peer-kernel:\t1\n");
	} else if (info.peer.flags & MBUF_PEER_KNOWN) {
		seq_printf(m, "mbuf-peer-pid:\t%u\n", info.peer.pid);
		seq_printf(m, "mbuf-peer-uid:\t%u\n", info.peer.uid);
		seq_printf(m, "mbuf-peer-gid:\t%u\n", info.peer.gid);
	}
}

const struct file_operations mbuf_end_fops = {
	.owner		= THIS_MODULE,
	.release	= end_release,
	.read_iter	= end_read_iter,
	.write_iter	= end_write_iter,
	.poll		= end_poll,
	.mmap		= mbuf_end_mmap,
	.unlocked_ioctl	= end_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= end_show_fdinfo,
};
