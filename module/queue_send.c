// SPDX-License-Identifier: GPL-2.0
#include <linux/sched/signal.h>
#include "queue_priv.h"

/* Is a message refused, as all that a full queue has are more important? */
static bool queue_refuses(const struct mbuf_queue *q, u8 prio)
{
	return prio < __ffs64(q->queued_map);
}

/**
 * mbuf_queue_overwrite() - drop the oldest message of the lowest priority
 * @q: the queue, which is not empty
 * @fx: effects
 *
 * Context: under the lock.
 */
void mbuf_queue_overwrite(struct mbuf_queue *q, struct mbuf_effects *fx)
{
	q->dropped++;
	queue_discard(q, queue_unlink(q, __ffs64(q->queued_map)), fx);
}

static inline void queue_fill(struct mbuf_queue *q, struct mbuf_item *item,
			      const struct mbuf_send_how *how)
{
	item->prio = how->prio;
	if (unlikely(how->stamp))
		mbuf_item_stamp(item);
}

/* @item enters the queue, which has room, or goes to a waiting receiver. */
static inline void queue_enter(struct mbuf_queue *q, struct mbuf_item *item,
			       struct mbuf_effects *fx)
{
	item->seq = ++q->sent;
	if (!list_empty(&q->receivers)) {
		queue_hand_over(q, item, fx);
	} else {
		queue_link(q, item, item->prio);
		fx->poll_in = queue_polled(&q->poll_in);
	}
}

/*
 * Park a message and sleep until it has entered the queue. Consumes @item. On
 * entry the lock is held and the queue is full; on return it is not held.
 */
static int queue_park(struct mbuf_queue *q, struct mbuf_item *item,
		      const struct mbuf_deadline *deadline, u64 *seq)
	__releases(&q->lock)
{
	struct mbuf_level *level = &q->level[item->prio];
	struct mbuf_waiter w;
	int err;

	mbuf_waiter_init(&w);
	w.item = item;
	list_add_tail(&w.link, &level->parked);
	q->parked_map |= 1ULL << item->prio;
	q->nr_parked++;
	q->send_blocked++;
	spin_unlock(&q->lock);

	err = mbuf_waiter_sleep(&w, deadline);
	if (err) {
		spin_lock(&q->lock);
		if (mbuf_waiter_state(&w) == MBUF_WAITING) {
			list_del(&w.link);
			if (list_empty(&level->parked))
				q->parked_map &= ~(1ULL << item->prio);
			q->nr_parked--;
			spin_unlock(&q->lock);
			mbuf_item_free(item);
			return err;
		}
		/* Too late: what was decided meanwhile counts. */
		spin_unlock(&q->lock);
	}

	if (mbuf_waiter_state(&w) == MBUF_GONE) {
		mbuf_item_free(item);
		return -EPIPE;
	}
	*seq = w.seq;
	return 0;
}

/* With a message of its own: it is too large for a slot, or it has to wait. */
static int queue_send_own(struct mbuf_queue *q, const struct mbuf_uaddr *u,
			  const struct mbuf_send_how *how, u64 *seq)
{
	struct mbuf_effects fx = { };
	struct mbuf_item *item;
	int err;

	item = mbuf_item_new(u->len);
	if (IS_ERR(item))
		return PTR_ERR(item);
	err = mbuf_item_load(item, u);
	if (err)
		goto free;
	queue_fill(q, item, how);

	spin_lock(&q->lock);
	err = -EPIPE;
	if (!q->nr_recv)
		goto unlock;
	if (!queue_has_room(q)) {
		if (q->flags & MBUF_QUEUE_OVERWRITE) {
			err = -ENOBUFS;
			if (queue_refuses(q, how->prio)) {
				q->refused++;
				goto unlock;
			}
			mbuf_queue_overwrite(q, &fx);
		} else {
			err = -EAGAIN;
			if (how->deadline->mode == MBUF_WAIT_NOW)
				goto unlock;
			return queue_park(q, item, how->deadline, seq);
		}
	}
	queue_enter(q, item, &fx);
	*seq = item->seq;
	spin_unlock(&q->lock);

	mbuf_effects(q, &fx);
	return 0;

unlock:
	spin_unlock(&q->lock);
free:
	mbuf_item_free(item);
	return err;
}

/* Would a message have to be refused or to wait now? Saves a large copy. */
static int queue_send_check(struct mbuf_queue *q,
			    const struct mbuf_send_how *how)
{
	int err = 0;

	spin_lock(&q->lock);
	if (!q->nr_recv)
		err = -EPIPE;
	else if (!queue_has_room(q) && !(q->flags & MBUF_QUEUE_OVERWRITE) &&
		 how->deadline->mode == MBUF_WAIT_NOW)
		err = -EAGAIN;
	spin_unlock(&q->lock);
	return err;
}

/*
 * Send a message that fits into a slot, under the lock and with page faults
 * disabled.
 *
 * Return: 0, -EPIPE, -ENOBUFS; -EAGAIN if it has to wait, -EFAULT if a page is
 * missing.
 */
static __always_inline int queue_try_send(struct mbuf_queue *q,
					  const struct mbuf_uaddr *u,
					  const struct mbuf_send_how *how,
					  struct mbuf_effects *fx)
{
	struct mbuf_item *item;

	if (unlikely(!q->nr_recv))
		return -EPIPE;

	if (unlikely(!list_empty(&q->receivers))) {
		/* Straight into the slot that the receiver has brought. */
		item = list_first_entry(&q->receivers, struct mbuf_waiter,
					link)->spare;
		if (unlikely(!mbuf_uaddr_get(u, item->data, u->len)))
			return -EFAULT;
		item->len = u->len;
		queue_fill(q, item, how);
		item->seq = ++q->sent;
		queue_hand_over(q, item, fx);
		return 0;
	}

	if (unlikely(!queue_has_room(q))) {
		if (!(q->flags & MBUF_QUEUE_OVERWRITE))
			return -EAGAIN;
		if (queue_refuses(q, how->prio))
			return -ENOBUFS;
		item = mbuf_slots_peek(&q->mem);
		if (!mbuf_uaddr_get(u, item->data, u->len))
			return -EFAULT;
		mbuf_slots_take(&q->mem);
		mbuf_queue_overwrite(q, fx);
	} else {
		item = mbuf_slots_peek(&q->mem);
		if (unlikely(!mbuf_uaddr_get(u, item->data, u->len)))
			return -EFAULT;
		mbuf_slots_take(&q->mem);
	}
	item->len = u->len;
	queue_fill(q, item, how);
	item->seq = ++q->sent;
	queue_link(q, item, how->prio);
	fx->poll_in = queue_polled(&q->poll_in);
	return 0;
}

/**
 * mbuf_queue_send() - send one message
 * @q: the queue; the caller has a send right
 * @u: the payload; its length has been checked not to be 0 without
 *	MBUF_QUEUE_EMPTY
 * @how: priority, checked, and so on
 * @seq: sequence number, set on success
 *
 * Context: process context, no locks held; may sleep.
 * Return: 0, or -EMSGSIZE, -EPIPE, -EAGAIN, -ETIMEDOUT, -ERESTARTSYS,
 * -ENOBUFS, -EDQUOT, -ENOMEM, -EFAULT without any effect.
 */
int mbuf_queue_send(struct mbuf_queue *q, const struct mbuf_uaddr *u,
		    const struct mbuf_send_how *how, u64 *seq)
{
	unsigned int faults = 0;
	int err;

	if (unlikely(u->len > q->max_msg))
		return -EMSGSIZE;
	if (unlikely(u->len > q->mem.size)) {
		err = queue_send_check(q, how);
		return err ?: queue_send_own(q, u, how, seq);
	}

	do {
		struct mbuf_effects fx = { };

		spin_lock(&q->lock);
		pagefault_disable();
		err = queue_try_send(q, u, how, &fx);
		*seq = q->sent;
		q->refused += err == -ENOBUFS;
		pagefault_enable();
		spin_unlock(&q->lock);
		if (likely(!err)) {
			mbuf_effects(q, &fx);
			return 0;
		}
		if (err == -EAGAIN && how->deadline->mode != MBUF_WAIT_NOW)
			return queue_send_own(q, u, how, seq);
		if (err != -EFAULT || ++faults > MBUF_FAULTS_MAX)
			return err;
		err = mbuf_uaddr_fault_in(u, u->len, false);
	} while (!err);
	return err;
}

/* Fetch what counts of a message to be sent. With page faults disabled. */
static __always_inline bool send_get_msg(struct mbuf_msg *msg,
					 const struct mbuf_msg __user *from)
{
	if (!user_read_access_begin(from, sizeof(*from)))
		return false;
	unsafe_get_user(msg->buf, &from->buf, fault);
	unsafe_get_user(msg->len, &from->len, fault);
	unsafe_get_user(msg->flags, &from->flags, fault);
	unsafe_get_user(msg->prio, &from->prio, fault);
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}

/**
 * mbuf_queue_send_burst() - send as many messages as go easily
 * @q: the queue; the caller has a send right
 * @elem: array of messages, checked with access_ok()
 * @nr: how many
 *
 * Takes the lock once for all. Stops at the first message for which there is
 * anything to be said or to be waited for; mbuf_queue_send() deals with it.
 *
 * Context: process context, no locks held; does not sleep.
 * Return: how many were sent.
 */
u32 mbuf_queue_send_burst(struct mbuf_queue *q,
			  const struct mbuf_msg __user *elem, u32 nr)
{
	struct mbuf_effects fx = { };
	struct mbuf_send_how how = { .stamp = q->flags & MBUF_QUEUE_CREDS };
	struct mbuf_uaddr u;
	struct mbuf_msg msg;
	u32 done, bytes = 0;

	spin_lock(&q->lock);
	pagefault_disable();
	for (done = 0; done < nr; done++, elem++, bytes += u.len) {
		if (unlikely(fx.wake || bytes > MBUF_BURST_BYTES))
			break;
		if (!send_get_msg(&msg, elem) ||
		    mbuf_msg_check(q, &msg) ||
		    mbuf_uaddr_set(&u, msg.buf, msg.len) ||
		    u.len > q->mem.size)
			break;
		how.prio = msg.prio;
		if (queue_try_send(q, &u, &how, &fx))
			break;
	}
	pagefault_enable();
	spin_unlock(&q->lock);

	mbuf_effects(q, &fx);
	return done;
}
