// SPDX-License-Identifier: GPL-2.0
#include <linux/export.h>
#include <linux/file.h>
#include <linux/slab.h>
#include "kapi.h"

/* What a driver may ask for in the name of who gets the other endpoint. */
#define USER_FLAGS	(MBUF_END_NONBLOCK | MBUF_END_MAP | MBUF_END_THREAD)

struct workqueue_struct *mbuf_kernel_wq;

/* Receiving */

static bool kernel_gone(const struct mbuf_kernel_end *ke)
{
	return !(ke->channel->status & STATUS_OPEN(!ke->end->side));
}

/* Has the driver closed it? Under the lock. */
static bool kernel_closed(const struct mbuf_kernel_end *ke)
{
	return !(ke->channel->status & STATUS_OPEN(ke->end->side));
}

/**
 * mbuf_kernel_msg() - what a driver gets of what there was
 * @msg: result
 * @t: what there was
 */
void mbuf_kernel_msg(struct mbuf_kernel_msg *msg, const struct mbuf_taken *t)
{
	BUILD_BUG_ON(sizeof(msg->data) != sizeof(t->slot));

	memcpy(msg->data, t->slot, sizeof(msg->data));
	msg->seq = t->seq;
	msg->signals = t->signals;
	msg->closed = t->state & MBUF_END_CLOSED;
}

/* Under the lock of the channel. */
static void kernel_notify(struct mbuf_end_driver *driver)
{
	struct mbuf_kernel_end *ke =
		container_of(driver, struct mbuf_kernel_end, driver);

	if (ke->receiver.receive)
		queue_work(mbuf_kernel_wq, &ke->work);
}

static void kernel_receive(struct work_struct *work)
{
	struct mbuf_kernel_end *ke =
		container_of(work, struct mbuf_kernel_end, work);
	struct mbuf_channel *c = ke->channel;
	struct mbuf_kernel_msg msg;
	struct mbuf_taken got;
	bool call = false;

	raw_spin_lock_irq(&c->lock);
	if (!kernel_closed(ke) && (ke->end->signals || ke->fresh ||
				   (kernel_gone(ke) && !ke->told))) {
		mbuf_end_take(c, ke->end, &got);
		ke->fresh = false;
		ke->told = kernel_gone(ke);
		call = true;
	}
	raw_spin_unlock_irq(&c->lock);
	if (!call)
		return;
	mbuf_kernel_msg(&msg, &got);
	ke->receiver.receive(ke, &msg, ke->receiver.priv);
	/* It may have closed the endpoint: @ke may be gone. */
}

/* Sending */

static void kernel_wake_pollers(struct irq_work *work)
{
	struct mbuf_kernel_end *ke =
		container_of(work, struct mbuf_kernel_end, pollers);
	struct mbuf_channel *c = ke->channel;
	struct mbuf_kick kick;
	unsigned long flags;

	mbuf_kick_begin(&kick);
	raw_spin_lock_irqsave(&c->lock, flags);
	mbuf_end_pollers(mbuf_end_peer(ke->end), &kick);
	raw_spin_unlock_irqrestore(&c->lock, flags);
	mbuf_kick_end(&kick);
}

/* Not all can be done: can @steps? Under the lock. */
static int kernel_check(struct mbuf_kernel_end *ke, unsigned int steps)
{
	if (kernel_closed(ke))
		return -ESHUTDOWN;
	/* Who connects waits for something else yet. */
	if (ke->channel->status & (STATUS_PENDING | STATUS_ASKING) &&
	    ke->end->side == MBUF_SIDE_ACCEPT)
		return -ENOTCONN;
	return mbuf_end_check_steps(ke->channel, ke->end, steps);
}

static int kernel_do(struct mbuf_kernel_end *ke, const void *data,
		     unsigned int steps)
{
	struct mbuf_endpoint *peer = mbuf_end_peer(ke->end);
	struct mbuf_channel *c = ke->channel;
	u64 slot[SLOT_WORDS];
	struct mbuf_kick kick;
	unsigned long flags;
	int err = 0;

	if (steps & MBUF_STEP_WRITE)
		memcpy(slot, data, sizeof(slot));

	mbuf_kick_begin(&kick);
	raw_spin_lock_irqsave(&c->lock, flags);
	if (unlikely(c->status != STATUS_LIVE)) {
		err = kernel_check(ke, steps);
		if (err)
			goto unlock;
	}
	if (steps & MBUF_STEP_WRITE)
		mbuf_end_write(peer, slot);
	if (steps & MBUF_STEP_SIGNAL) {
		mbuf_trace(signal, peer->id, ke->end->id, peer->seq);
		mbuf_end_signal(c, peer, &kick);
	} else {
		mbuf_end_changed(peer);
	}
	/* Under the lock, so that closing sees it: see kapi.h. */
	if (kick.poll[0] || kick.poll[1])
		irq_work_queue(&ke->pollers);
unlock:
	raw_spin_unlock_irqrestore(&c->lock, flags);
	mbuf_kick_end_tasks(&kick);
	return err;
}

/**
 * mbuf_kernel_write() - write to the peer's slot
 * @ke: the endpoint
 * @data: %MBUF_SLOT_SIZE bytes
 *
 * The peer is not told. Who reads its slot finds the value, whole.
 *
 * Context: any but NMI.
 * Return: 0; -EPIPE if the peer is gone; -ECONNREFUSED if it never was there;
 * -ENOTCONN while the driver is asked whether it accepts the connection;
 * -ESHUTDOWN if the driver has closed the endpoint.
 */
int mbuf_kernel_write(struct mbuf_kernel_end *ke, const void *data)
{
	return kernel_do(ke, data, MBUF_STEP_WRITE);
}
EXPORT_SYMBOL_GPL(mbuf_kernel_write);

/**
 * mbuf_kernel_signal() - signal the peer
 * @ke: the endpoint
 *
 * A thread that waits is woken, and gets the value that is in its slot. If none
 * does, the signal is counted.
 *
 * Context: any but NMI.
 * Return: as mbuf_kernel_write().
 */
int mbuf_kernel_signal(struct mbuf_kernel_end *ke)
{
	return kernel_do(ke, NULL, MBUF_STEP_SIGNAL);
}
EXPORT_SYMBOL_GPL(mbuf_kernel_signal);

/**
 * mbuf_kernel_send() - write to the peer's slot and signal it, in one step
 * @ke: the endpoint
 * @data: %MBUF_SLOT_SIZE bytes
 *
 * Context: any but NMI.
 * Return: as mbuf_kernel_write().
 */
int mbuf_kernel_send(struct mbuf_kernel_end *ke, const void *data)
{
	return kernel_do(ke, data, MBUF_STEP_WRITE | MBUF_STEP_SIGNAL);
}
EXPORT_SYMBOL_GPL(mbuf_kernel_send);

static int kernel_look(struct mbuf_kernel_end *ke, struct mbuf_kernel_msg *msg,
		       bool take)
{
	struct mbuf_channel *c = ke->channel;
	struct mbuf_taken got;
	unsigned long flags;
	int err = 0;

	raw_spin_lock_irqsave(&c->lock, flags);
	if (kernel_closed(ke))
		err = -ESHUTDOWN;
	else if (!take)
		mbuf_end_look(c, ke->end, &got);
	else if (mbuf_end_ready(c, ke->end))
		mbuf_end_take(c, ke->end, &got);
	else
		err = kernel_gone(ke) ? -EPIPE : -EAGAIN;
	raw_spin_unlock_irqrestore(&c->lock, flags);
	if (!err)
		mbuf_kernel_msg(msg, &got);
	return err;
}

/**
 * mbuf_kernel_read() - look at the own slot
 * @ke: the endpoint
 * @msg: result. Signals stay pending
 *
 * Context: any but NMI.
 * Return: 0, also if the peer is gone; -ESHUTDOWN if the driver has closed the
 * endpoint.
 */
int mbuf_kernel_read(struct mbuf_kernel_end *ke, struct mbuf_kernel_msg *msg)
{
	return kernel_look(ke, msg, false);
}
EXPORT_SYMBOL_GPL(mbuf_kernel_read);

/**
 * mbuf_kernel_take() - take the signals that are pending, and the value
 * @ke: the endpoint
 * @msg: result
 *
 * For drivers without a receiver, which look when it suits them. What is taken
 * a receiver is not told.
 *
 * Context: any but NMI.
 * Return: 0; -EAGAIN if no signal is pending; -EPIPE if besides the peer is gone
 * and the last value has been seen; -ESHUTDOWN if the driver has closed the
 * endpoint.
 */
int mbuf_kernel_take(struct mbuf_kernel_end *ke, struct mbuf_kernel_msg *msg)
{
	return kernel_look(ke, msg, true);
}
EXPORT_SYMBOL_GPL(mbuf_kernel_take);

/**
 * mbuf_kernel_peer() - who is at the other end?
 * @ke: the endpoint, not closed
 * @peer: result
 *
 * Context: process context.
 */
void mbuf_kernel_peer(struct mbuf_kernel_end *ke,
		      struct mbuf_kernel_peer *peer)
{
	struct mbuf_identity who = { };

	memset(peer, 0, sizeof(*peer));
	peer->kernel = mbuf_end_who(mbuf_end_peer(ke->end), &who);
	if (peer->kernel)
		return;
	peer->pid = who.pid;
	peer->uid = who.uid;
	peer->gid = who.gid;
	peer->start = who.start;
}
EXPORT_SYMBOL_GPL(mbuf_kernel_peer);

/* Birth and death */

/**
 * mbuf_kernel_put() - drop a reference
 * @ke: the endpoint
 *
 * Context: process context.
 */
void mbuf_kernel_put(struct mbuf_kernel_end *ke)
{
	if (!refcount_dec_and_test(&ke->ref))
		return;
	mbuf_channel_put(ke->channel);
	kfree(ke);
}

static void kernel_free(struct work_struct *work)
{
	mbuf_kernel_put(container_of(to_rcu_work(work), struct mbuf_kernel_end,
				     free));
}

/**
 * mbuf_kernel_alloc() - prepare an endpoint for a driver
 * @receiver: whom to call, or NULL
 * @c: the channel
 * @side: which endpoint; no file stands for it, and none will. That it is a
 *	driver's is not known before mbuf_end_adopt()
 *
 * Context: process context, may sleep.
 * Return: the endpoint, with the driver's reference; NULL if there is no memory.
 */
struct mbuf_kernel_end *
mbuf_kernel_alloc(const struct mbuf_kernel_receiver *receiver,
		  struct mbuf_channel *c, unsigned int side)
{
	struct mbuf_kernel_end *ke = kzalloc(sizeof(*ke), GFP_KERNEL);

	if (!ke)
		return NULL;
	ke->driver.notify = kernel_notify;
	if (receiver)
		ke->receiver = *receiver;
	mbuf_channel_get(c);
	ke->channel = c;
	ke->end = &c->end[side];
	refcount_set(&ke->ref, 1);
	INIT_WORK(&ke->work, kernel_receive);
	init_irq_work(&ke->pollers, kernel_wake_pollers);
	INIT_RCU_WORK(&ke->free, kernel_free);
	return ke;
}

/**
 * mbuf_kernel_create() - make a channel to a process
 * @receiver: who is told of what comes from there; copied. NULL: nobody
 * @flags: of the process's endpoint: %MBUF_END_NONBLOCK, %MBUF_END_MAP,
 *	%MBUF_END_THREAD (it belongs to the current thread)
 * @user: result: the process's endpoint
 *
 * The process is charged for its endpoint. It is attached to no session; the
 * process can do that. After this either mbuf_kernel_fd_install() or
 * mbuf_kernel_fd_abort() has to be called: a driver copies the number of the
 * descriptor to the process in between.
 *
 * The receiver may be called before this returns.
 *
 * Context: that of the process, may sleep.
 * Return: the driver's endpoint, or an error pointer: -EINVAL for @flags,
 * -EOPNOTSUPP for %MBUF_END_THREAD if this kernel cannot do it, -EDQUOT if the
 * user has too much, -EMFILE, -ENFILE, -ENOMEM.
 */
struct mbuf_kernel_end *
mbuf_kernel_create(const struct mbuf_kernel_receiver *receiver, u32 flags,
		   struct mbuf_kernel_fd *user)
{
	struct mbuf_end u = { .flags = flags | MBUF_END_DETACHED };
	struct mbuf_account *payer;
	struct mbuf_kernel_end *ke;
	struct mbuf_end_prep prep;
	struct mbuf_channel *c;
	int err;

	err = flags & ~USER_FLAGS ? -EINVAL : mbuf_end_check(&u);
	if (err)
		return ERR_PTR(err);
	c = mbuf_channel_new(false);
	if (!c)
		return ERR_PTR(-ENOMEM);
	err = -ENOMEM;
	ke = mbuf_kernel_alloc(receiver, c, 0);
	if (!ke)
		goto put_channel;
	payer = mbuf_account_get(current_cred());
	if (!payer)
		goto put;
	err = mbuf_end_prepare(&prep, c, 1, payer, NULL, &u);
	mbuf_account_put(payer);
	if (err)
		goto put;

	mbuf_end_commit(&prep);
	mbuf_end_adopt(c, 0, &ke->driver, false);
	mbuf_channel_put(c);
	user->file = prep.fd.file;
	user->fd = prep.fd.fd;
	user->id = u.id;
	return ke;

put:
	mbuf_kernel_put(ke);
put_channel:
	mbuf_channel_put(c);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(mbuf_kernel_create);

/**
 * mbuf_kernel_fd_install() - hand out a descriptor
 * @user: from mbuf_kernel_create(). From here on the process may use and close
 *	it
 *
 * Context: that of the process.
 */
void mbuf_kernel_fd_install(struct mbuf_kernel_fd *user)
{
	struct mbuf_fd p = { .file = user->file, .fd = user->fd };

	mbuf_fd_install(&p);
}
EXPORT_SYMBOL_GPL(mbuf_kernel_fd_install);

/**
 * mbuf_kernel_fd_abort() - do not hand out a descriptor after all
 * @user: from mbuf_kernel_create(). Its endpoint is closed
 *
 * The driver's endpoint has yet to be closed.
 *
 * Context: that of the process, may sleep.
 */
void mbuf_kernel_fd_abort(struct mbuf_kernel_fd *user)
{
	struct mbuf_fd p = { .file = user->file, .fd = user->fd };

	mbuf_fd_abort(&p);
}
EXPORT_SYMBOL_GPL(mbuf_kernel_fd_abort);

/**
 * mbuf_kernel_pair() - make a channel between drivers
 * @first: who is told of what comes to the first endpoint; copied, may be NULL
 * @second: likewise for the second
 * @ends: result: the endpoints
 *
 * Each is closed by its own driver. Nobody is charged.
 *
 * Context: process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int mbuf_kernel_pair(const struct mbuf_kernel_receiver *first,
		     const struct mbuf_kernel_receiver *second,
		     struct mbuf_kernel_end *ends[2])
{
	struct mbuf_channel *c = mbuf_channel_new_unpaid(false);

	if (!c)
		return -ENOMEM;
	ends[0] = mbuf_kernel_alloc(first, c, 0);
	if (!ends[0])
		goto put_channel;
	ends[1] = mbuf_kernel_alloc(second, c, 1);
	if (!ends[1])
		goto put;
	mbuf_end_adopt(c, 0, &ends[0]->driver, false);
	mbuf_end_adopt(c, 1, &ends[1]->driver, false);
	mbuf_channel_put(c);
	return 0;

put:
	mbuf_kernel_put(ends[0]);
put_channel:
	mbuf_channel_put(c);
	return -ENOMEM;
}
EXPORT_SYMBOL_GPL(mbuf_kernel_pair);

/**
 * mbuf_kernel_close() - close an endpoint
 * @ke: the endpoint, or NULL
 *
 * The peer is told. When this returns the receiver is not running, and will not
 * be called any more.
 *
 * The endpoint must not be used afterwards. Interrupt handlers, and others in a
 * read-side critical section of RCU, that began before may still do it: they get
 * -ESHUTDOWN. A driver that lets them find the endpoint by rcu_dereference(),
 * and takes the pointer away before it calls this, needs nothing else.
 *
 * The receiver itself may call this for its own endpoint. Then it is its last
 * call, and it is not waited for: see mbuf_kernel_flush(). It must not close other
 * endpoints, whose receivers could be closing this one.
 *
 * Context: process context, may sleep.
 */
void mbuf_kernel_close(struct mbuf_kernel_end *ke)
{
	might_sleep();
	if (!ke)
		return;
	mbuf_end_close(ke->channel, ke->end->side);
	/* Nothing is queued from here on. */
	if (current_work() == &ke->work)
		cancel_work(&ke->work);
	else
		cancel_work_sync(&ke->work);
	irq_work_sync(&ke->pollers);
	queue_rcu_work(mbuf_kernel_wq, &ke->free);
}
EXPORT_SYMBOL_GPL(mbuf_kernel_close);

/**
 * mbuf_kernel_flush() - wait until receivers that run have returned
 *
 * For a driver whose receiver closes its own endpoint, before it is unloaded: its
 * code may still be running. Must not be called by a receiver.
 *
 * Context: process context, may sleep.
 */
void mbuf_kernel_flush(void)
{
	flush_workqueue(mbuf_kernel_wq);
}
EXPORT_SYMBOL_GPL(mbuf_kernel_flush);

/**
 * mbuf_kernel_init() - prepare for endpoints of drivers
 *
 * Return: 0 or -ENOMEM.
 */
int __init mbuf_kernel_init(void)
{
	mbuf_kernel_wq = alloc_workqueue("mbuf_kernel", WQ_UNBOUND, 0);
	return mbuf_kernel_wq ? 0 : -ENOMEM;
}

/**
 * mbuf_kernel_exit() - the opposite; all endpoints are closed
 */
void mbuf_kernel_exit(void)
{
	/* What waits for a grace period is queued at its end. */
	rcu_barrier();
	destroy_workqueue(mbuf_kernel_wq);
}
