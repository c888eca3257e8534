// SPDX-License-Identifier: GPL-2.0
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "queue_priv.h"

#define QUEUE_FLAGS	(MBUF_QUEUE_PRIO | MBUF_QUEUE_OVERWRITE | \
			 MBUF_QUEUE_CREDS | MBUF_QUEUE_EMPTY | \
			 MBUF_QUEUE_NONBLOCK)

/* Sizes of the first version of each struct. */
#define XFER_SIZE_V0	72
#define BATCH_SIZE_V0	48
#define INFO_SIZE_V0	112
#define MSG_SIZE_V0	40

#define STRIDE_MAX	256

/* Messages of a batch that are moved without dropping the lock. */
#define BURST		16

static const struct file_operations queue_fops;

/* Birth and death */

static unsigned int queue_levels(u32 flags)
{
	return flags & MBUF_QUEUE_PRIO ? MBUF_PRIO_MAX + 1 : 1;
}

/* Slots for @slots messages; overwriting needs one to fill before dropping. */
static unsigned int queue_slots(u32 slots, u32 flags)
{
	return slots + !!(flags & MBUF_QUEUE_OVERWRITE);
}

static struct mbuf_queue *queue_alloc(u32 slots, u32 max_msg, u32 flags)
{
	unsigned int i, levels = queue_levels(flags);
	struct mbuf_queue *q;

	q = kzalloc(struct_size(q, level, levels), GFP_KERNEL_ACCOUNT);
	if (!q)
		return NULL;
	if (mbuf_slots_init(&q->mem, queue_slots(slots, flags),
			    min_t(u32, max_msg, MBUF_INLINE_MAX))) {
		kfree(q);
		return NULL;
	}

	spin_lock_init(&q->lock);
	q->slots = slots;
	q->max_msg = max_msg;
	q->flags = flags;
	q->nr_recv = 1;
	q->nr_send = 1;
	INIT_LIST_HEAD(&q->receivers);
	init_waitqueue_head(&q->poll_in);
	init_waitqueue_head(&q->poll_out);
	refcount_set(&q->ref, 2);
	q->id = mbuf_object_id();
	for (i = 0; i < levels; i++)
		INIT_LIST_HEAD(&q->level[i].parked);
	return q;
}

static void queue_put(struct mbuf_queue *q)
{
	if (refcount_dec_and_test(&q->ref))
		kfree(q);
}

static void poll_wake_all(wait_queue_head_t *wq, __poll_t events)
{
	__wake_up(wq, TASK_NORMAL, 0, poll_to_key(events));
}

/*
 * Tell all waiters in a line that their wait is in vain, one at a time, as
 * waking has to be done without the lock. Nobody joins the line meanwhile.
 * @nr counts who is in it.
 */
static void queue_dismiss(struct mbuf_queue *q, struct list_head *line,
			  u32 *nr)
{
	struct task_struct *task;
	struct mbuf_waiter *w;

	do {
		task = NULL;
		spin_lock(&q->lock);
		w = list_first_entry_or_null(line, struct mbuf_waiter, link);
		if (w) {
			task = mbuf_waiter_finish(w, MBUF_GONE);
			--*nr;
		}
		spin_unlock(&q->lock);
		mbuf_wake(task);
		cond_resched();
	} while (task);
}

/* Free all messages. Nobody else can reach them. */
static void queue_drain(struct mbuf_queue *q)
{
	unsigned int i;

	for (i = 0; i < queue_levels(q->flags); i++) {
		mbuf_item_free_all(q->level[i].queued.head);
		q->level[i].queued.head = NULL;
	}
}

/*
 * The last receive right has gone, so no receiver is anywhere in here. Senders
 * may be, but find the queue dead as soon as they get the lock.
 */
static void queue_die(struct mbuf_queue *q)
{
	unsigned int i;

	spin_lock(&q->lock);
	q->nr_recv = 0;
	q->depth = 0;
	q->queued_map = 0;
	q->parked_map = 0;
	spin_unlock(&q->lock);

	for (i = 0; i < queue_levels(q->flags); i++)
		queue_dismiss(q, &q->level[i].parked, &q->nr_parked);
	poll_wake_all(&q->poll_out, EPOLLERR | EPOLLOUT | EPOLLWRNORM);

	queue_drain(q);
	mbuf_slots_destroy(&q->mem);
	mbuf_uncharge(q->payer, &q->charge);
	mbuf_account_put(q->payer);
	q->payer = NULL;
}

static void queue_drop_recv(struct mbuf_queue *q)
{
	bool last;

	spin_lock(&q->lock);
	last = q->nr_recv == 1;
	if (!last)
		q->nr_recv--;
	spin_unlock(&q->lock);

	/* queue_die() sets it to 0, in one step with all else. */
	if (last)
		queue_die(q);
	queue_put(q);
}

static void queue_drop_send(struct mbuf_queue *q)
{
	bool last;

	spin_lock(&q->lock);
	last = !--q->nr_send;
	spin_unlock(&q->lock);

	if (last) {
		queue_dismiss(q, &q->receivers, &q->nr_waiting);
		poll_wake_all(&q->poll_in,
			      EPOLLHUP | EPOLLIN | EPOLLRDNORM | EPOLLRDHUP);
	}
	queue_put(q);
}

static int queue_release(struct inode *inode, struct file *file)
{
	struct mbuf_queue *q = file->private_data;

	if (file->f_mode & FMODE_READ)
		queue_drop_recv(q);
	else
		queue_drop_send(q);
	return 0;
}

/**
 * mbuf_queue_create() - make a queue and descriptors for both rights
 * @payer: who pays for it
 * @slots: how many messages it holds
 * @max_msg: the largest message
 * @flags: MBUF_QUEUE_*
 * @recv: receive right, to be installed or aborted
 * @send: send right, likewise
 * @id: identity
 *
 * Context: process context, may sleep.
 * Return: 0, or -EINVAL, -EDQUOT, -ENOMEM, -EMFILE, -ENFILE.
 */
int mbuf_queue_create(struct mbuf_account *payer, u32 slots, u32 max_msg,
		      u32 flags, struct mbuf_fd *recv, struct mbuf_fd *send,
		      u64 *id)
{
	unsigned int nonblock = flags & MBUF_QUEUE_NONBLOCK ? O_NONBLOCK : 0;
	struct mbuf_charge charge = { };
	struct mbuf_queue *q;
	int err;

	if (flags & ~QUEUE_FLAGS || !slots || slots > MBUF_SLOTS_MAX ||
	    !max_msg || max_msg > MBUF_MSG_MAX)
		return -EINVAL;

	/* Charge first: nothing is allocated for who may not have it. */
	charge.n[MBUF_RES_OBJECTS] = 1;
	charge.n[MBUF_RES_MEMORY] =
		struct_size(q, level, queue_levels(flags)) +
		mbuf_slots_bytes(queue_slots(slots, flags),
				 min_t(u32, max_msg, MBUF_INLINE_MAX));
	err = mbuf_charge(payer, &charge);
	if (err)
		return err;

	q = queue_alloc(slots, max_msg, flags);
	if (!q) {
		mbuf_uncharge(payer, &charge);
		return -ENOMEM;
	}
	q->charge = charge;
	q->payer = payer;
	mbuf_account_hold(payer);

	err = mbuf_fd_prepare(recv, "[mbuf-queue]", &queue_fops, q,
			      O_RDONLY | nonblock);
	if (err)
		goto drop_both;
	err = mbuf_fd_prepare(send, "[mbuf-queue]", &queue_fops, q,
			      O_WRONLY | nonblock);
	if (err)
		goto drop_send;

	*id = q->id;
	return 0;

drop_send:
	queue_drop_send(q);
	mbuf_fd_abort(recv);
	return err;
drop_both:
	queue_drop_send(q);
	queue_drop_recv(q);
	return err;
}

/* read, write, poll */

static void deadline_of_file(struct mbuf_deadline *d, bool nowait)
{
	d->mode = nowait ? MBUF_WAIT_NOW : MBUF_WAIT_FOREVER;
}

static ssize_t queue_write_uaddr(struct mbuf_queue *q,
				 const struct mbuf_uaddr *u, bool nowait)
{
	struct mbuf_deadline deadline;
	const struct mbuf_send_how how = { .deadline = &deadline };
	u64 seq;
	int err;

	if (unlikely(!u->len))
		return -EINVAL;
	deadline_of_file(&deadline, nowait);
	err = mbuf_queue_send(q, u, &how, &seq);
	return err ?: u->len;
}

static ssize_t queue_read_uaddr(struct mbuf_queue *q,
				const struct mbuf_uaddr *u, bool nowait)
{
	struct mbuf_deadline deadline;
	const struct mbuf_recv_how how = { .deadline = &deadline };
	ssize_t ret;

	if (unlikely(!u->len))
		return -EINVAL;
	deadline_of_file(&deadline, nowait);
	ret = mbuf_queue_recv(q, u, &how);
	return ret == -EPIPE ? 0 : ret;
}

/*
 * With ->read and ->write beside the iterator forms, plain read() and write()
 * are spared setting up and walking an iterator.
 */
static ssize_t queue_write(struct file *file, const char __user *buf,
			   size_t len, loff_t *pos)
{
	const struct mbuf_uaddr u = { .ptr = (void __user *)buf, .len = len };

	return queue_write_uaddr(file->private_data, &u,
				 file->f_flags & O_NONBLOCK);
}

static ssize_t queue_read(struct file *file, char __user *buf, size_t len,
			  loff_t *pos)
{
	const struct mbuf_uaddr u = { .ptr = buf, .len = len };

	return queue_read_uaddr(file->private_data, &u,
				file->f_flags & O_NONBLOCK);
}

static bool iocb_nowait(const struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_NOWAIT ||
	       iocb->ki_filp->f_flags & O_NONBLOCK;
}

static ssize_t queue_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	const struct mbuf_uaddr u = { .iter = from, .len = iov_iter_count(from) };

	return queue_write_uaddr(iocb->ki_filp->private_data, &u,
				 iocb_nowait(iocb));
}

static ssize_t queue_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	const struct mbuf_uaddr u = { .iter = to, .len = iov_iter_count(to) };

	return queue_read_uaddr(iocb->ki_filp->private_data, &u,
				iocb_nowait(iocb));
}

static __poll_t queue_poll(struct file *file, poll_table *wait)
{
	struct mbuf_queue *q = file->private_data;
	__poll_t events = 0;

	if (file->f_mode & FMODE_READ) {
		poll_wait(file, &q->poll_in, wait);
		spin_lock(&q->lock);
		if (q->depth)
			events |= EPOLLIN | EPOLLRDNORM;
		if (!q->nr_send)
			events |= EPOLLHUP;
		spin_unlock(&q->lock);
	} else {
		poll_wait(file, &q->poll_out, wait);
		spin_lock(&q->lock);
		if (!q->nr_recv)
			events |= EPOLLERR;
		else if (queue_has_room(q) || q->flags & MBUF_QUEUE_OVERWRITE)
			events |= EPOLLOUT | EPOLLWRNORM;
		spin_unlock(&q->lock);
	}
	return events;
}

void __mbuf_effects(struct mbuf_queue *q, struct mbuf_effects *fx)
{
	if (fx->poll_in)
		wake_up_interruptible_poll(&q->poll_in,
					   EPOLLIN | EPOLLRDNORM);
	if (fx->poll_out)
		wake_up_interruptible_poll(&q->poll_out,
					   EPOLLOUT | EPOLLWRNORM);
	mbuf_item_free_all(fx->garbage);
}

/* ioctls */

static int queue_send_msg(struct mbuf_queue *q, const struct mbuf_msg *msg,
			  const struct mbuf_deadline *deadline, u64 *seq)
{
	const struct mbuf_send_how how = {
		.deadline = deadline,
		.prio = msg->prio,
		.stamp = q->flags & MBUF_QUEUE_CREDS,
	};
	struct mbuf_uaddr u;
	int err;

	err = mbuf_msg_check(q, msg);
	if (err)
		return err;
	err = mbuf_uaddr_set(&u, msg->buf, msg->len);
	return err ?: mbuf_queue_send(q, &u, &how, seq);
}

static int queue_recv_msg(struct mbuf_queue *q, const struct mbuf_msg *msg,
			  struct mbuf_msg __user *out,
			  const struct mbuf_deadline *deadline, bool say_len)
{
	const struct mbuf_recv_how how = {
		.deadline = deadline,
		.msg = out,
		.say_len = say_len,
	};
	struct mbuf_uaddr u;
	ssize_t ret;
	int err;

	err = mbuf_uaddr_set(&u, msg->buf, msg->len);
	if (err)
		return err;
	ret = mbuf_queue_recv(q, &u, &how);
	return min_t(ssize_t, ret, 0);
}

/* What all calls that may wait have in common. */
static int wait_parse(struct mbuf_deadline *deadline, const struct file *file,
		      const struct mbuf_wait *wait)
{
	int err = mbuf_deadline_parse(deadline, wait);

	if (file->f_flags & O_NONBLOCK)
		deadline->mode = MBUF_WAIT_NOW;
	return err;
}

static int xfer_get(struct mbuf_xfer *x, struct mbuf_deadline *deadline,
		    const struct file *file, const void __user *arg,
		    size_t size)
{
	int err = mbuf_ioctl_get(x, sizeof(*x), XFER_SIZE_V0, arg, size);

	if (err)
		return err;
	if (unlikely(x->target))
		return -EOPNOTSUPP;
	if (unlikely(x->flags | x->resv))
		return -EINVAL;
	return wait_parse(deadline, file, &x->wait);
}

static long queue_ioctl_send(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_xfer __user *uarg = arg;
	struct mbuf_deadline deadline;
	struct mbuf_xfer x;
	u64 seq;
	int err;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	err = xfer_get(&x, &deadline, file, arg, size);
	if (err)
		return err;
	err = queue_send_msg(file->private_data, &x.msg, &deadline, &seq);
	if (err)
		return err;
	/* It is sent, whether or not that can be said. */
	put_user(seq, &uarg->msg.seq);
	return 0;
}

static long queue_ioctl_recv(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_xfer __user *uarg = arg;
	struct mbuf_deadline deadline;
	struct mbuf_xfer x;
	int err;

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	err = xfer_get(&x, &deadline, file, arg, size);
	if (err)
		return err;
	return queue_recv_msg(file->private_data, &x.msg, &uarg->msg,
			      &deadline, true);
}

static long queue_ioctl_batch(struct file *file, void __user *arg, size_t size,
			      bool send)
{
	struct mbuf_queue *q = file->private_data;
	struct mbuf_deadline deadline;
	struct mbuf_batch b;
	void __user *elem;
	u32 done;
	int err;

	if (!(file->f_mode & (send ? FMODE_WRITE : FMODE_READ)))
		return -EBADF;
	err = mbuf_ioctl_get(&b, sizeof(b), BATCH_SIZE_V0, arg, size);
	if (err)
		return err;
	if (b.target)
		return -EOPNOTSUPP;
	if (b.flags || !b.nr || b.nr > MBUF_BATCH_MAX || b.min > b.nr ||
	    b.stride < MSG_SIZE_V0 || b.stride > STRIDE_MAX || b.stride % 8)
		return -EINVAL;
	err = wait_parse(&deadline, file, &b.wait);
	if (err)
		return err;
	elem = u64_to_user_ptr(b.msgs);
	if ((uintptr_t)b.msgs != b.msgs ||
	    !access_ok(elem, (size_t)b.nr * b.stride))
		return -EFAULT;

	for (done = 0; done < b.nr; ) {
		struct mbuf_msg msg;
		u64 seq;

		if (b.stride == sizeof(msg)) {
			u32 nr = min_t(u32, b.nr - done, BURST);

			nr = send ? mbuf_queue_send_burst(q, elem, nr) :
				    mbuf_queue_recv_burst(q, elem, nr);
			done += nr;
			elem += nr * sizeof(msg);
			cond_resched();
			if (nr)
				continue;
		}

		/* One that needs more care, or says why it cannot be done. */
		if (done >= b.min)
			deadline.mode = MBUF_WAIT_NOW;
		err = mbuf_ioctl_get(&msg, sizeof(msg), MSG_SIZE_V0, elem,
				     b.stride);
		if (err)
			break;
		if (send)
			err = queue_send_msg(q, &msg, &deadline, &seq);
		else
			err = queue_recv_msg(q, &msg, elem, &deadline, !done);
		if (err)
			break;
		done++;
		elem += b.stride;
		cond_resched();
	}
	return done ? (long)done : err;
}

static void queue_snapshot(struct mbuf_queue *q, struct mbuf_queue_info *info)
{
	const struct mbuf_item *next = NULL;

	info->id = q->id;
	info->slots = q->slots;
	info->max_msg = q->max_msg;
	info->flags = q->flags;

	spin_lock(&q->lock);
	if (q->queued_map)
		next = q->level[fls64(q->queued_map) - 1].queued.head;
	info->depth = q->depth;
	info->high_water = q->high_water;
	info->senders = q->nr_send;
	info->receivers = q->nr_recv;
	info->send_waiters = q->nr_parked;
	info->recv_waiters = q->nr_waiting;
	info->next_len = next ? next->len : 0;
	info->sent = q->sent;
	info->received = q->received;
	info->dropped = q->dropped;
	info->refused = q->refused;
	info->send_blocked = q->send_blocked;
	info->recv_blocked = q->recv_blocked;
	spin_unlock(&q->lock);
}

static u32 queue_rights(const struct file *file)
{
	return file->f_mode & FMODE_READ ? MBUF_RIGHT_RECV : MBUF_RIGHT_SEND;
}

static long queue_ioctl_info(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_queue_info info;
	int err;

	err = mbuf_ioctl_get(&info, sizeof(info), INFO_SIZE_V0, arg, size);
	if (err)
		return err;
	if (info.target)
		return -EOPNOTSUPP;
	memset(&info, 0, sizeof(info));
	queue_snapshot(file->private_data, &info);
	info.rights = queue_rights(file);
	return mbuf_ioctl_put(arg, size, &info, sizeof(info));
}

static long queue_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	size_t size = _IOC_SIZE(cmd);

	BUILD_BUG_ON(sizeof(struct mbuf_xfer) != XFER_SIZE_V0);
	BUILD_BUG_ON(sizeof(struct mbuf_batch) != BATCH_SIZE_V0);
	BUILD_BUG_ON(sizeof(struct mbuf_queue_info) != INFO_SIZE_V0);
	BUILD_BUG_ON(sizeof(struct mbuf_msg) != MSG_SIZE_V0);

	if (!mbuf_ioctl_known(cmd))
		return -ENOTTY;
	switch (_IOC_NR(cmd)) {
	case _IOC_NR(MBUF_IOC_SEND):
		return queue_ioctl_send(file, uarg, size);
	case _IOC_NR(MBUF_IOC_RECV):
		return queue_ioctl_recv(file, uarg, size);
	case _IOC_NR(MBUF_IOC_SEND_BATCH):
		return queue_ioctl_batch(file, uarg, size, true);
	case _IOC_NR(MBUF_IOC_RECV_BATCH):
		return queue_ioctl_batch(file, uarg, size, false);
	case _IOC_NR(MBUF_IOC_QUEUE_INFO):
		return queue_ioctl_info(file, uarg, size);
	default:
		return -ENOTTY;
	}
}

static void queue_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct mbuf_queue_info info = { };

	queue_snapshot(file->private_data, &info);
	seq_puts(m, "mbuf-type:\tqueue\n");
	seq_printf(m, "mbuf-id:\t%016llx\n", info.id);
	seq_printf(m, "mbuf-right:\t%s\n",
		   queue_rights(file) & MBUF_RIGHT_RECV ? "recv" : "send");
	seq_printf(m, "mbuf-slots:\t%u\n", info.slots);
	seq_printf(m, "mbuf-max-msg:\t%u\n", info.max_msg);
	seq_printf(m, "mbuf-flags:\t0x%x\n", info.flags);
	seq_printf(m, "mbuf-depth:\t%u\n", info.depth);
	seq_printf(m, "mbuf-high-water:\t%u\n", info.high_water);
	seq_printf(m, "mbuf-senders:\t%u\n", info.senders);
	seq_printf(m, "mbuf-receivers:\t%u\n", info.receivers);
	seq_printf(m, "mbuf-send-waiters:\t%u\n", info.send_waiters);
	seq_printf(m, "mbuf-recv-waiters:\t%u\n", info.recv_waiters);
	seq_printf(m, "mbuf-sent:\t%llu\n", info.sent);
	seq_printf(m, "mbuf-received:\t%llu\n", info.received);
	seq_printf(m, "mbuf-dropped:\t%llu\n", info.dropped);
	seq_printf(m, "mbuf-refused:\t%llu\n", info.refused);
	seq_printf(m, "mbuf-send-blocked:\t%llu\n", info.send_blocked);
	seq_printf(m, "mbuf-recv-blocked:\t%llu\n", info.recv_blocked);
}

static const struct file_operations queue_fops = {
	.owner		= THIS_MODULE,
	.release	= queue_release,
	.read		= queue_read,
	.write		= queue_write,
	.read_iter	= queue_read_iter,
	.write_iter	= queue_write_iter,
	.poll		= queue_poll,
	.unlocked_ioctl	= queue_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= queue_show_fdinfo,
};
