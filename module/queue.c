// SPDX-License-Identifier: GPL-2.0
#include <linux/file.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include "queue_priv.h"
#include "session.h"

/* Sizes of the first version of each struct. */
#define XFER_SIZE_V0	72
#define BATCH_SIZE_V0	48
#define INFO_SIZE_V0	112
#define MSG_SIZE_V0	40
#define CAPS_SIZE_V0	104

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

static struct mbuf_queue *queue_alloc(const struct mbuf_queue_spec *spec)
{
	unsigned int i, levels = queue_levels(spec->flags);
	struct mbuf_queue *q;

	q = kzalloc(struct_size(q, level, levels), GFP_KERNEL_ACCOUNT);
	if (!q)
		return NULL;
	if (mbuf_slots_init(&q->mem, queue_slots(spec->slots, spec->flags),
			    min_t(u32, spec->max_msg, MBUF_INLINE_MAX))) {
		kfree(q);
		return NULL;
	}

	spin_lock_init(&q->lock);
	q->slots = spec->slots;
	q->max_msg = spec->max_msg;
	q->max_caps = spec->max_caps;
	q->flags = spec->flags;
	q->stamp = spec->flags & MBUF_QUEUE_CREDS ? MBUF_NOTED_CREDS : 0;
	q->nr_recv = 1;
	INIT_LIST_HEAD(&q->receivers);
	init_waitqueue_head(&q->poll_in);
	init_waitqueue_head(&q->poll_out);
	refcount_set(&q->ref, 1);
	q->id = mbuf_object_id();
	q->nest.id = q->id;
	for (i = 0; i < levels; i++)
		INIT_LIST_HEAD(&q->level[i].parked);
	return q;
}

static void queue_put(struct mbuf_queue *q)
{
	if (!refcount_dec_and_test(&q->ref))
		return;
	kfree(q->latency);
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
	struct mbuf_waiter *w;
	unsigned long wake;

	do {
		wake = 0;
		spin_lock(&q->lock);
		w = list_first_entry_or_null(line, struct mbuf_waiter, link);
		if (w) {
			if (!w->task)
				trace_mbuf_enqueue(w->id, q->id,
						   MBUF_TRACE_ENQUEUE_LOST);
			wake = mbuf_waiter_finish(w, MBUF_GONE);
			--*nr;
		}
		spin_unlock(&q->lock);
		mbuf_wake(wake);
		cond_resched();
	} while (w);
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

	mbuf_node_unlink(&q->node);
	spin_lock(&q->lock);
	if (q->depth)
		trace_mbuf_drop(q->id, q->depth, MBUF_TRACE_DEAD);
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

/**
 * mbuf_queue_settle() - a message object has been in line
 * @q: where; the reference from mbuf_queue_enqueue() is dropped
 * @w: what was in line
 *
 * Context: process context, may sleep.
 */
void mbuf_queue_settle(struct mbuf_queue *q, const struct mbuf_waiter *w)
{
	/* If it has entered, it has not been a send right since. */
	if (mbuf_waiter_state(w) == MBUF_DONE)
		queue_put(q);
	else
		queue_drop_send(q);
}

/**
 * mbuf_queue_line_id() - the identity of a queue
 * @q: the queue, from mbuf_queue_enqueue()
 */
u64 mbuf_queue_line_id(const struct mbuf_queue *q)
{
	return q->id;
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

/* A queue with one receive right, for which there is no file yet. */
static struct mbuf_queue *queue_make(struct mbuf_account *payer,
				     const struct mbuf_queue_spec *spec)
{
	struct mbuf_charge charge = { };
	struct mbuf_queue *q;
	int err;

	if (spec->flags & ~MBUF_QUEUE_FLAGS || !spec->slots ||
	    spec->slots > MBUF_SLOTS_MAX || !spec->max_msg ||
	    spec->max_msg > MBUF_MSG_MAX || spec->max_caps > MBUF_CAPS_MAX ||
	    !spec->max_caps != !(spec->flags & MBUF_QUEUE_CAPS) ||
	    (spec->max_caps && spec->flags & MBUF_QUEUE_OVERWRITE))
		return ERR_PTR(-EINVAL);

	/* Charge first: nothing is allocated for who may not have it. */
	charge.n[MBUF_RES_OBJECTS] = 1;
	charge.n[MBUF_RES_MEMORY] =
		struct_size(q, level, queue_levels(spec->flags)) +
		mbuf_slots_bytes(queue_slots(spec->slots, spec->flags),
				 min_t(u32, spec->max_msg, MBUF_INLINE_MAX));
	err = mbuf_charge(payer, &charge);
	if (err)
		return ERR_PTR(err);

	q = queue_alloc(spec);
	if (!q) {
		mbuf_uncharge(payer, &charge);
		return ERR_PTR(-ENOMEM);
	}
	q->charge = charge;
	q->payer = payer;
	mbuf_account_hold(payer);
	return q;
}

/* There is one more send right. */
static void queue_add_send(struct mbuf_queue *q)
{
	refcount_inc(&q->ref);
	spin_lock(&q->lock);
	q->nr_send++;
	spin_unlock(&q->lock);
}

/* As it is seen from outside */

static void queue_snapshot(struct mbuf_queue *q, struct mbuf_queue_info *info)
{
	const struct mbuf_item *next = NULL;

	info->id = q->id;
	info->slots = q->slots;
	info->max_msg = q->max_msg;
	info->flags = q->flags;

	spin_lock(&q->lock);
	if (q->queued_map)
		next = q->level[queue_top(q->queued_map)].queued.head;
	info->depth = q->depth;
	info->high_water = q->high_water;
	info->senders = q->nr_send;
	info->receivers = q->nr_recv;
	info->send_waiters = q->nr_parked;
	info->recv_waiters = q->nr_waiting;
	info->next_len = next ? next->len : 0;
	info->next_caps = next && next->caps ? next->caps->nr : 0;
	info->sent = q->sent;
	info->received = q->received;
	info->dropped = q->dropped;
	info->refused = q->refused;
	info->send_blocked = q->send_blocked;
	info->recv_blocked = q->recv_blocked;
	spin_unlock(&q->lock);
}

static struct mbuf_queue *queue_of_node(const struct mbuf_node *node)
{
	return container_of(node, struct mbuf_queue, node);
}

static u64 queue_id(const struct mbuf_node *node)
{
	return queue_of_node(node)->id;
}

static int latency_describe(const struct mbuf_latency *l, struct sk_buff *skb)
{
	struct nlattr *nest = nla_nest_start(skb, MBUF_A_QUEUE_LATENCY);

	if (!nest || nla_put(skb, MBUF_A_LATENCY_BUCKETS, sizeof(l->bucket),
			     l->bucket) ||
	    nla_put_u64_64bit(skb, MBUF_A_LATENCY_TOTAL, l->total,
			      MBUF_A_LATENCY_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_LATENCY_LONGEST, l->longest,
			      MBUF_A_LATENCY_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int queue_describe(void *object, struct sk_buff *skb,
			  const struct mbuf_reader *reader)
{
	struct mbuf_queue *q = queue_of_node(object);
	u64 parent = mbuf_nest_parent_id(&q->nest);
	struct mbuf_queue_info info = { };
	int err = 0;

	queue_snapshot(q, &info);
	if (nla_put_u32(skb, MBUF_A_QUEUE_SLOTS, info.slots) ||
	    nla_put_u32(skb, MBUF_A_QUEUE_MAX_MSG, info.max_msg) ||
	    nla_put_u32(skb, MBUF_A_QUEUE_FLAGS, info.flags) ||
	    nla_put_u32(skb, MBUF_A_QUEUE_DEPTH, info.depth) ||
	    nla_put_u32(skb, MBUF_A_QUEUE_HIGH_WATER, info.high_water) ||
	    nla_put_u32(skb, MBUF_A_QUEUE_SENDERS, info.senders) ||
	    nla_put_u32(skb, MBUF_A_QUEUE_RECEIVERS, info.receivers) ||
	    nla_put_u32(skb, MBUF_A_QUEUE_SEND_WAITERS, info.send_waiters) ||
	    nla_put_u32(skb, MBUF_A_QUEUE_RECV_WAITERS, info.recv_waiters) ||
	    nla_put_u64_64bit(skb, MBUF_A_QUEUE_SENT, info.sent,
			      MBUF_A_QUEUE_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_QUEUE_RECEIVED, info.received,
			      MBUF_A_QUEUE_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_QUEUE_DROPPED, info.dropped,
			      MBUF_A_QUEUE_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_QUEUE_REFUSED, info.refused,
			      MBUF_A_QUEUE_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_QUEUE_SEND_BLOCKED,
			      info.send_blocked, MBUF_A_QUEUE_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_QUEUE_RECV_BLOCKED,
			      info.recv_blocked, MBUF_A_QUEUE_PAD) ||
	    nla_put_u32(skb, MBUF_A_QUEUE_MAX_CAPS, q->max_caps) ||
	    (parent && nla_put_u64_64bit(skb, MBUF_A_QUEUE_PARENT_ID, parent,
					 MBUF_A_QUEUE_PAD)))
		return -EMSGSIZE;
	spin_lock(&q->lock);
	if (q->latency)
		err = latency_describe(q->latency, skb);
	spin_unlock(&q->lock);
	return err;
}

static bool queue_get(void *object)
{
	return refcount_inc_not_zero(&queue_of_node(object)->ref);
}

static int queue_flush(void *object)
{
	struct mbuf_queue *q = queue_of_node(object);
	u32 nr = mbuf_queue_drop_all(q);

	queue_put(q);
	return nr;
}

static int queue_measure(void *object, bool on)
{
	struct mbuf_queue *q = queue_of_node(object);
	struct mbuf_latency *latency = NULL;

	if (on) {
		latency = kzalloc(sizeof(*latency), GFP_KERNEL_ACCOUNT);
		if (!latency) {
			queue_put(q);
			return -ENOMEM;
		}
	}
	spin_lock(&q->lock);
	/* What is in the queue counts if that was noted all the time. */
	if (latency)
		latency->since = q->latency ? q->latency->since :
				 ktime_get_ns();
	swap(q->latency, latency);
	WRITE_ONCE(q->stamp, (q->stamp & ~MBUF_NOTED_TIME) |
			     (on ? MBUF_NOTED_TIME : 0));
	spin_unlock(&q->lock);
	kfree(latency);
	queue_put(q);
	return 0;
}

static const struct mbuf_kind queue_kind = {
	.type		= MBUF_OBJECT_TYPE_QUEUE,
	.attr		= MBUF_A_OBJECT_QUEUE,
	.id		= queue_id,
	.describe	= queue_describe,
	.get		= queue_get,
	.flush		= queue_flush,
	.measure	= queue_measure,
};

/**
 * mbuf_queue_create() - make a queue and descriptors for both rights
 * @payer: who pays for it
 * @spec: what it shall be like
 * @recv: receive right, to be installed or aborted
 * @send: send right, likewise
 * @id: identity
 *
 * Context: process context, may sleep.
 * Return: 0, or -EINVAL, -EDQUOT, -ENOMEM, -EMFILE, -ENFILE.
 */
int mbuf_queue_create(struct mbuf_account *payer,
		      const struct mbuf_queue_spec *spec, struct mbuf_fd *recv,
		      struct mbuf_fd *send, u64 *id)
{
	unsigned int nonblock = spec->flags & MBUF_QUEUE_NONBLOCK ?
				O_NONBLOCK : 0;
	struct mbuf_queue *q = queue_make(payer, spec);
	int err;

	if (IS_ERR(q))
		return PTR_ERR(q);
	queue_add_send(q);
	err = mbuf_fd_prepare(recv, "[mbuf-queue]", &queue_fops, q,
			      O_RDONLY | nonblock);
	if (err)
		goto drop_both;
	err = mbuf_fd_prepare(send, "[mbuf-queue]", &queue_fops, q,
			      O_WRONLY | nonblock);
	if (err)
		goto drop_send;

	*id = q->id;
	mbuf_node_link(&q->node, &queue_kind, payer, NULL);
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

/**
 * mbuf_queue_new() - make a queue, and a file for the receive right
 * @payer: who pays for it
 * @spec: what it shall be like
 *
 * Context: process context, may sleep.
 * Return: the file, or an error pointer: -EINVAL, -EDQUOT, -ENOMEM, -ENFILE.
 */
struct file *mbuf_queue_new(struct mbuf_account *payer,
			    const struct mbuf_queue_spec *spec)
{
	struct mbuf_queue *q = queue_make(payer, spec);
	struct file *file;

	if (IS_ERR(q))
		return ERR_CAST(q);
	file = mbuf_file_new("[mbuf-queue]", &queue_fops, q, O_RDONLY |
			     (spec->flags & MBUF_QUEUE_NONBLOCK ?
			      O_NONBLOCK : 0));
	if (IS_ERR(file))
		queue_drop_recv(q);
	else
		mbuf_node_link(&q->node, &queue_kind, payer, NULL);
	return file;
}

/**
 * mbuf_queue_new_sender() - make another send right
 * @recv: a receive right
 *
 * Context: process context, may sleep.
 * Return: its file, or an error pointer: -ENOMEM, -ENFILE.
 */
struct file *mbuf_queue_new_sender(struct file *recv)
{
	struct mbuf_queue *q = recv->private_data;
	struct file *file;

	queue_add_send(q);
	file = mbuf_file_new("[mbuf-queue]", &queue_fops, q, O_WRONLY |
			     (q->flags & MBUF_QUEUE_NONBLOCK ?
			      O_NONBLOCK : 0));
	if (IS_ERR(file))
		queue_drop_send(q);
	return file;
}

/**
 * mbuf_queue_is() - is this file a right to a queue?
 * @file: the file
 */
bool mbuf_queue_is(const struct file *file)
{
	return file->f_op == &queue_fops;
}

/**
 * mbuf_queue_id() - a queue's identity
 * @file: a right to it
 */
u64 mbuf_queue_id(const struct file *file)
{
	const struct mbuf_queue *q = file->private_data;

	return q->id;
}

/**
 * mbuf_queue_nest() - where a queue is in who owns whom
 * @file: a right to it
 */
struct mbuf_nest *mbuf_queue_nest(const struct file *file)
{
	struct mbuf_queue *q = file->private_data;

	return &q->nest;
}

/**
 * mbuf_queue_arrivals() - what is woken when a message comes for nobody
 * @file: a right to the queue
 */
wait_queue_head_t *mbuf_queue_arrivals(const struct file *file)
{
	struct mbuf_queue *q = file->private_data;

	return &q->poll_in;
}

static void receiver_get(void *obj)
{
	get_file(obj);
}

static void receiver_put(void *obj)
{
	mbuf_file_put(obj);
}

static u64 receiver_id(void *obj)
{
	return mbuf_queue_id(obj);
}

static struct mbuf_nest *receiver_nest(void *obj)
{
	return mbuf_queue_nest(obj);
}

const struct mbuf_right_type mbuf_receiver_type = {
	.nr = MBUF_CAP_RECEIVER,
	.all = MBUF_RIGHT_PASS | MBUF_RIGHT_OPEN | MBUF_RIGHT_RECV,
	.get = receiver_get,
	.put = receiver_put,
	.id = receiver_id,
	.nest = receiver_nest,
};

/* read, write, poll */

static void deadline_of_file(struct mbuf_deadline *d, bool nowait)
{
	d->mode = nowait ? MBUF_WAIT_NOW : MBUF_WAIT_FOREVER;
}

static ssize_t queue_write_uaddr(struct mbuf_queue *q,
				 const struct mbuf_uaddr *u, bool nowait)
{
	struct mbuf_deadline deadline;
	const struct mbuf_send_how how = {
		.deadline = &deadline,
		/* Who it is that writes is not noted. */
		.stamp = MBUF_NOTED_TIME,
	};
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
					   EPOLLIN | EPOLLRDNORM | fx->more);
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
		.stamp = MBUF_NOTED_ALL,
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
			  const struct mbuf_deadline *deadline, bool say_len,
			  struct mbuf_pass *pass)
{
	const struct mbuf_recv_how how = {
		.deadline = deadline,
		.msg = out,
		.say_len = say_len,
		.pass = pass,
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
		    size_t size, u64 target)
{
	int err = mbuf_ioctl_get(x, sizeof(*x), XFER_SIZE_V0, arg, size);

	if (err)
		return err;
	if (unlikely(x->target != target))
		return -EOPNOTSUPP;
	if (unlikely(x->flags | x->resv))
		return -EINVAL;
	return wait_parse(deadline, file, &x->wait);
}

static __always_inline long queue_ioctl_send(struct file *file,
					     void __user *arg, size_t size,
					     u64 target)
{
	struct mbuf_xfer __user *uarg = arg;
	struct mbuf_deadline deadline;
	struct mbuf_xfer x;
	u64 seq;
	int err;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	err = xfer_get(&x, &deadline, file, arg, size, target);
	if (err)
		return err;
	err = queue_send_msg(file->private_data, &x.msg, &deadline, &seq);
	if (err)
		return err;
	/* It is sent, whether or not that can be said. */
	put_user(seq, &uarg->msg.seq);
	return 0;
}

static __always_inline long queue_ioctl_recv(struct file *file,
					     void __user *arg, size_t size,
					     u64 target)
{
	struct mbuf_xfer __user *uarg = arg;
	struct mbuf_deadline deadline;
	struct mbuf_xfer x;
	int err;

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	err = xfer_get(&x, &deadline, file, arg, size, target);
	if (err)
		return err;
	return queue_recv_msg(file->private_data, &x.msg, &uarg->msg,
			      &deadline, true, NULL);
}

static int caps_get(struct mbuf_xfer_caps *x, struct mbuf_deadline *deadline,
		    struct mbuf_pass *pass, const struct file *file,
		    const void __user *arg, size_t size, u64 target,
		    u32 flags)
{
	int err = mbuf_ioctl_get(x, sizeof(*x), CAPS_SIZE_V0, arg, size);

	if (err)
		return err;
	if (x->target != target)
		return -EOPNOTSUPP;
	if (x->flags & ~flags || x->resv || x->table.flags || x->table.handle)
		return -EINVAL;
	err = mbuf_pass_init(pass, x->caps, x->nr_caps, x->stride);
	if (err)
		return err;
	pass->flags = x->flags;
	return wait_parse(deadline, file, &x->wait);
}

/*
 * The table that handles are in: that of the session which @fd says, or @root,
 * that on which the call is made. To be put.
 */
static int caps_root(int fd, struct mbuf_table *root,
		     struct mbuf_table **result)
{
	struct file *session;
	int err = 0;

	*result = NULL;
	if (fd < 0) {
		if (root)
			mbuf_table_get(root);
		*result = root;
		return 0;
	}
	session = fget(fd);
	if (!session)
		return -EBADF;
	if (mbuf_session_is(session)) {
		*result = mbuf_session_table(session);
		mbuf_table_get(*result);
	} else {
		err = -EBADF;
	}
	fput(session);
	return err;
}

static int queue_send_caps(struct mbuf_queue *q, const struct mbuf_msg *msg,
			   const struct mbuf_deadline *deadline,
			   struct mbuf_caps *caps, u64 *seq)
{
	const struct mbuf_send_how how = {
		.deadline = deadline,
		.prio = msg->prio,
		.stamp = MBUF_NOTED_ALL,
	};
	struct mbuf_uaddr u;
	int err;

	err = mbuf_msg_check(q, msg);
	if (err)
		return err;
	err = mbuf_uaddr_set(&u, msg->buf, msg->len);
	return err ?: mbuf_queue_send_caps(q, &u, &how, caps, seq);
}

static long queue_ioctl_send_caps(struct file *file, void __user *arg,
				  size_t size, u64 target,
				  struct mbuf_table *root)
{
	struct mbuf_xfer_caps __user *uarg = arg;
	struct mbuf_queue *q = file->private_data;
	struct mbuf_deadline deadline;
	struct mbuf_xfer_caps x;
	struct mbuf_moves moves = { };
	struct mbuf_caps *caps;
	struct mbuf_pass pass;
	u64 seq;
	int err;

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	err = caps_get(&x, &deadline, &pass, file, arg, size, target, 0);
	if (err)
		return err;
	err = caps_root(x.table.fd, root, &pass.root);
	if (err)
		return err;
	if (!pass.nr) {
		err = queue_send_msg(q, &x.msg, &deadline, &seq);
		goto put;
	}
	err = -EPERM;
	if (!q->max_caps)
		goto refused;
	pass.node = &q->node;
	caps = mbuf_pass_load(&pass, &moves);
	err = PTR_ERR_OR_ZERO(caps);
	if (err)
		goto put;
	err = queue_send_caps(q, &x.msg, &deadline, caps, &seq);
	if (!err) {
		mbuf_pass_commit(&moves);
		goto put;
	}
	mbuf_pass_abort(caps, &moves);
refused:
	mbuf_node_cap_refused(&q->node, 0, err);
put:
	mbuf_table_put(pass.root);
	if (err)
		return err;
	put_user(seq, &uarg->msg.seq);
	return 0;
}

static long queue_ioctl_recv_caps(struct file *file, void __user *arg,
				  size_t size, u64 target,
				  struct mbuf_table *root)
{
	struct mbuf_xfer_caps __user *uarg = arg;
	struct mbuf_queue *q = file->private_data;
	struct mbuf_deadline deadline;
	struct mbuf_xfer_caps x;
	struct mbuf_pass pass;
	int err;

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	err = caps_get(&x, &deadline, &pass, file, arg, size, target,
		       MBUF_RECV_LOOK | MBUF_RECV_HANDLES | MBUF_RECV_DROP);
	if (err)
		return err;
	err = caps_root(x.table.fd, root, &pass.root);
	if (err)
		return err;
	pass.say_nr = &uarg->nr_caps;
	pass.node = &q->node;
	err = queue_recv_msg(q, &x.msg, &uarg->msg, &deadline,
			     true, &pass);
	mbuf_table_put(pass.root);
	/* It had none. That it cannot be said is the same as above. */
	if (!err && !pass.said_nr)
		put_user(0, &uarg->nr_caps);
	return err;
}

static __always_inline long queue_ioctl_batch(struct file *file,
					      void __user *arg, size_t size,
					      bool send, u64 target)
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
	if (b.target != target)
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
			err = queue_recv_msg(q, &msg, elem, &deadline, !done,
					     NULL);
		if (err)
			break;
		done++;
		elem += b.stride;
		cond_resched();
	}
	return done ? (long)done : err;
}

static u32 queue_rights(const struct file *file)
{
	return file->f_mode & FMODE_READ ? MBUF_RIGHT_RECV : MBUF_RIGHT_SEND;
}

static long queue_ioctl_info(struct file *file, void __user *arg, size_t size,
			     u64 target)
{
	struct mbuf_queue_info info;
	int err;

	err = mbuf_ioctl_get(&info, sizeof(info), INFO_SIZE_V0, arg, size);
	if (err)
		return err;
	if (info.target != target)
		return -EOPNOTSUPP;
	memset(&info, 0, sizeof(info));
	info.target = target;
	queue_snapshot(file->private_data, &info);
	info.rights = queue_rights(file);
	return mbuf_ioctl_put(arg, size, &info, sizeof(info));
}

static __always_inline long queue_do_ioctl(struct file *file, unsigned int cmd,
					   void __user *uarg, u64 target,
					   struct mbuf_table *root)
{
	size_t size = _IOC_SIZE(cmd);

	BUILD_BUG_ON(sizeof(struct mbuf_xfer) != XFER_SIZE_V0);
	BUILD_BUG_ON(sizeof(struct mbuf_batch) != BATCH_SIZE_V0);
	BUILD_BUG_ON(sizeof(struct mbuf_queue_info) != INFO_SIZE_V0);
	BUILD_BUG_ON(sizeof(struct mbuf_msg) != MSG_SIZE_V0);
	BUILD_BUG_ON(sizeof(struct mbuf_xfer_caps) != CAPS_SIZE_V0);

	switch (_IOC_NR(cmd)) {
	case _IOC_NR(MBUF_IOC_SEND):
		return queue_ioctl_send(file, uarg, size, target);
	case _IOC_NR(MBUF_IOC_RECV):
		return queue_ioctl_recv(file, uarg, size, target);
	case _IOC_NR(MBUF_IOC_SEND_BATCH):
		return queue_ioctl_batch(file, uarg, size, true, target);
	case _IOC_NR(MBUF_IOC_RECV_BATCH):
		return queue_ioctl_batch(file, uarg, size, false, target);
	case _IOC_NR(MBUF_IOC_QUEUE_INFO):
		return queue_ioctl_info(file, uarg, size, target);
	case _IOC_NR(MBUF_IOC_SEND_CAPS):
		return queue_ioctl_send_caps(file, uarg, size, target, root);
	case _IOC_NR(MBUF_IOC_RECV_CAPS):
		return queue_ioctl_recv_caps(file, uarg, size, target, root);
	default:
		return -ENOTTY;
	}
}

static long queue_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (!mbuf_ioctl_known(cmd))
		return -ENOTTY;
	return queue_do_ioctl(file, cmd, (void __user *)arg, 0, NULL);
}

/**
 * mbuf_queue_ioctl() - do what a session was asked to do with a handle
 * @file: a right to a queue
 * @cmd: the command, which mbuf_ioctl_known()
 * @arg: its argument
 * @target: the handle
 * @root: the session's root table
 *
 * Context: process context, may sleep.
 * Return: as the ioctl of a queue.
 */
long mbuf_queue_ioctl(struct file *file, unsigned int cmd, void __user *arg,
		      u64 target, struct mbuf_table *root)
{
	return queue_do_ioctl(file, cmd, arg, target, root);
}

static void queue_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct mbuf_queue *q = file->private_data;
	struct mbuf_queue_info info = { };

	queue_snapshot(q, &info);
	seq_puts(m, "mbuf-type:\tqueue\n");
	seq_printf(m, "mbuf-id:\t%016llx\n", info.id);
	seq_printf(m, "mbuf-right:\t%s\n",
		   queue_rights(file) & MBUF_RIGHT_RECV ? "recv" : "send");
	seq_printf(m, "mbuf-slots:\t%u\n", info.slots);
	seq_printf(m, "mbuf-max-msg:\t%u\n", info.max_msg);
	seq_printf(m, "mbuf-max-caps:\t%u\n", q->max_caps);
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
	seq_printf(m, "mbuf-measured:\t%d\n",
		   !!(READ_ONCE(q->stamp) & MBUF_NOTED_TIME));
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
