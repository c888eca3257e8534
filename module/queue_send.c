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
	trace_mbuf_drop(q->id, 1, MBUF_TRACE_OVERWRITTEN);
	queue_discard(q, queue_unlink(q, __ffs64(q->queued_map)), fx);
}

/* Under the lock. */
static void queue_refused(struct mbuf_queue *q)
{
	q->refused++;
	trace_mbuf_drop(q->id, 1, MBUF_TRACE_REFUSED);
}

static noinline void __queue_found_full(struct mbuf_queue *q)
{
	bool told;

	spin_lock(&q->lock);
	told = q->full_told;
	WRITE_ONCE(q->full_told, true);
	spin_unlock(&q->lock);
	if (!told)
		mbuf_node_notice(&q->node, MBUF_NOTICE_FULL, 0);
}

/* A sender has to wait, or would have to. Not under the lock. */
static inline void queue_found_full(struct mbuf_queue *q)
{
	if (unlikely(!READ_ONCE(q->full_told)))
		__queue_found_full(q);
}

static inline void queue_fill(struct mbuf_queue *q, struct mbuf_item *item,
			      const struct mbuf_send_how *how)
{
	item->prio = how->prio;
	/* Without a lock, perhaps: one message more or less is noted. */
	if (unlikely(data_race(q->stamp)))
		mbuf_item_stamp(item, READ_ONCE(q->stamp) & how->stamp);
}

/* @item enters the queue, which has room, or goes to a waiting receiver. */
static inline void queue_enter(struct mbuf_queue *q, struct mbuf_item *item,
			       struct mbuf_effects *fx)
{
	item->seq = ++q->sent;
	queue_trace_send(q, item);
	if (!list_empty(&q->receivers)) {
		queue_hand_over(q, item, fx);
	} else {
		queue_link(q, item, item->prio);
		fx->poll_in = queue_polled(&q->poll_in);
	}
}

/* Stand in line for room. Under the lock; the queue is full. */
static void queue_line_up(struct mbuf_queue *q, struct mbuf_waiter *w)
{
	u8 prio = w->item->prio;

	list_add_tail(&w->link, &q->level[prio].parked);
	q->parked_map |= 1ULL << prio;
	q->nr_parked++;
	q->send_blocked++;
}

/* Give up standing in line. Under the lock; @w is in it. */
static void queue_leave_line(struct mbuf_queue *q, struct mbuf_waiter *w)
{
	struct mbuf_level *level = &q->level[w->item->prio];

	list_del(&w->link);
	if (list_empty(&level->parked))
		q->parked_map &= ~(1ULL << w->item->prio);
	q->nr_parked--;
}

/*
 * Park a message and sleep until it has entered the queue. On entry the lock is
 * held and the queue is full; on return it is not held. If it fails the message
 * is the caller's again.
 */
static int queue_park(struct mbuf_queue *q, struct mbuf_item *item,
		      const struct mbuf_deadline *deadline, u64 *seq)
	__releases(&q->lock)
{
	struct mbuf_waiter w;
	int err;

	mbuf_waiter_init(&w);
	w.item = item;
	queue_line_up(q, &w);
	mbuf_trace(block, q->id, MBUF_TRACE_SEND);
	spin_unlock(&q->lock);
	queue_found_full(q);

	err = mbuf_waiter_sleep(&w, deadline);
	if (err) {
		spin_lock(&q->lock);
		if (mbuf_waiter_state(&w) == MBUF_WAITING) {
			queue_leave_line(q, &w);
			spin_unlock(&q->lock);
			return err;
		}
		/* Too late: what was decided meanwhile counts. */
		spin_unlock(&q->lock);
	}

	if (mbuf_waiter_state(&w) == MBUF_GONE)
		return -EPIPE;
	*seq = w.seq;
	return 0;
}

/*
 * A message of its own enters the queue, which was full when it did if there is
 * room made for it by overwriting. Under the lock. Returns 0, -EPIPE, -ENOBUFS,
 * or -EAGAIN if it has to wait.
 */
static int queue_enter_own(struct mbuf_queue *q, struct mbuf_item *item,
			   struct mbuf_effects *fx)
{
	if (!q->nr_recv)
		return -EPIPE;
	if (!queue_has_room(q)) {
		if (!(q->flags & MBUF_QUEUE_OVERWRITE))
			return -EAGAIN;
		if (queue_refuses(q, item->prio)) {
			queue_refused(q);
			return -ENOBUFS;
		}
		mbuf_queue_overwrite(q, fx);
	}
	queue_enter(q, item, fx);
	return 0;
}

/*
 * Send a message of its own. It is the queue's if that succeeds, and the
 * caller's if not.
 */
static int queue_send_item(struct mbuf_queue *q, struct mbuf_item *item,
			   const struct mbuf_deadline *deadline, u64 *seq)
{
	struct mbuf_effects fx = { };
	int err;

	spin_lock(&q->lock);
	err = queue_enter_own(q, item, &fx);
	if (err == -EAGAIN && deadline->mode != MBUF_WAIT_NOW)
		return queue_park(q, item, deadline, seq);
	if (!err)
		*seq = item->seq;
	spin_unlock(&q->lock);

	if (!err)
		mbuf_effects(q, &fx);
	else if (err == -EAGAIN)
		queue_found_full(q);
	return err;
}

/* With a message of its own: it is too large for a slot, or it has to wait. */
static int queue_send_own(struct mbuf_queue *q, const struct mbuf_uaddr *u,
			  const struct mbuf_send_how *how, u64 *seq)
{
	struct mbuf_item *item;
	int err;

	item = mbuf_item_new(u->len);
	if (IS_ERR(item))
		return PTR_ERR(item);
	err = mbuf_item_load(item, u);
	if (!err) {
		queue_fill(q, item, how);
		err = queue_send_item(q, item, how->deadline, seq);
	}
	if (err)
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
	if (err == -EAGAIN)
		queue_found_full(q);
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
		queue_trace_send(q, item);
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
	queue_trace_send(q, item);
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
		if (unlikely(err == -ENOBUFS))
			queue_refused(q);
		pagefault_enable();
		spin_unlock(&q->lock);
		if (likely(!err)) {
			mbuf_effects(q, &fx);
			return 0;
		}
		if (err == -EAGAIN && how->deadline->mode != MBUF_WAIT_NOW)
			return queue_send_own(q, u, how, seq);
		if (err == -EAGAIN)
			queue_found_full(q);
		if (err != -EFAULT || ++faults > MBUF_FAULTS_MAX)
			return err;
		err = mbuf_uaddr_fault_in(u, u->len, false);
	} while (!err);
	return err;
}

/**
 * mbuf_queue_send_caps() - send one message that carries capabilities
 * @q: the queue; the caller has a send right
 * @u: the payload; as for mbuf_queue_send()
 * @how: likewise
 * @caps: the capabilities; the queue's on success, else still the caller's
 * @seq: sequence number, set on success
 *
 * Context: process context, no locks held; may sleep.
 * Return: as mbuf_queue_send(), and -EPERM, -EMSGSIZE, -ELOOP.
 */
int mbuf_queue_send_caps(struct mbuf_queue *q, const struct mbuf_uaddr *u,
			 const struct mbuf_send_how *how,
			 struct mbuf_caps *caps, u64 *seq)
{
	struct mbuf_item *item;
	int err;

	if (!q->max_caps)
		return -EPERM;
	if (u->len > q->max_msg || caps->nr > q->max_caps)
		return -EMSGSIZE;
	err = queue_send_check(q, how);
	if (err)
		return err;
	item = mbuf_item_new(u->len);
	if (IS_ERR(item))
		return PTR_ERR(item);
	err = mbuf_item_load(item, u) ?: mbuf_caps_nest(caps, &q->nest);
	if (err)
		goto free;
	queue_fill(q, item, how);
	item->caps = caps;
	err = queue_send_item(q, item, how->deadline, seq);
	if (!err)
		return 0;
	item->caps = NULL;
free:
	mbuf_item_free(item);
	return err;
}

/* Can a message object's message be sent to this queue at all? */
static int queue_item_check(const struct mbuf_queue *q,
			    const struct mbuf_item *item)
{
	u32 nr_caps = item->caps ? item->caps->nr : 0;

	if (nr_caps && !q->max_caps)
		return -EPERM;
	if (item->len > q->max_msg || nr_caps > q->max_caps)
		return -EMSGSIZE;
	if ((item->prio && !(q->flags & MBUF_QUEUE_PRIO)) ||
	    (!item->len && !(q->flags & MBUF_QUEUE_EMPTY)))
		return -EINVAL;
	return 0;
}

/* Send a copy of @item, which is small, in a slot. Under the lock. */
static void queue_enter_copy(struct mbuf_queue *q, const struct mbuf_item *item,
			     struct mbuf_effects *fx)
{
	struct mbuf_item *slot;

	if (!list_empty(&q->receivers))
		slot = list_first_entry(&q->receivers, struct mbuf_waiter,
					link)->spare;
	else
		slot = mbuf_slots_take(&q->mem);
	memcpy(slot->data, item->data, item->len);
	slot->len = item->len;
	slot->prio = item->prio;
	if (unlikely(q->stamp))
		mbuf_item_stamp(slot, q->stamp);
	queue_enter(q, slot, fx);
}

/**
 * mbuf_queue_enqueue() - send a message object's message, or have it wait
 * @send: a send right
 * @item: the message. NULL afterwards if the queue has taken it; small ones
 *	without capabilities are copied
 * @w: where to stand in line if there is no room: the message is in @w->item
 *	then, and it counts as a send right. It is not touched otherwise
 * @line: result: where it stands
 *
 * Context: process context, no locks held. Allocates nothing.
 * Return: 0; 1 if it stands in line; or -EPIPE, -ENOBUFS, -EMSGSIZE, -EPERM,
 * -EINVAL, -ELOOP without any effect.
 */
int mbuf_queue_enqueue(struct file *send, struct mbuf_item **item,
		       struct mbuf_waiter *w, struct mbuf_queue **line)
{
	struct mbuf_queue *q = send->private_data;
	struct mbuf_effects fx = { };
	bool copy;
	int err;

	err = queue_item_check(q, *item);
	if (!err && (*item)->caps)
		err = mbuf_caps_nest((*item)->caps, &q->nest);
	if (err) {
		mbuf_node_cap_refused(&q->node, 0, err);
		return err;
	}

	copy = !(*item)->caps && (*item)->len <= q->mem.size;
	spin_lock(&q->lock);
	if (copy && q->nr_recv && queue_has_room(q)) {
		queue_enter_copy(q, *item, &fx);
	} else {
		if (unlikely(q->stamp))
			mbuf_item_stamp(*item, q->stamp & ~(*item)->noted);
		err = queue_enter_own(q, *item, &fx);
		if (err == -EAGAIN) {
			/* Others look at it, and at where it is. */
			WRITE_ONCE(w->state, MBUF_WAITING);
			w->task = NULL;
			w->item = *item;
			queue_line_up(q, w);
			q->nr_send++;
			refcount_inc(&q->ref);
			WRITE_ONCE(*line, q);
			err = 1;
		}
		if (err >= 0)
			*item = NULL;
	}
	if (err >= 0)
		mbuf_trace(enqueue, w->id, q->id, err ?
			   MBUF_TRACE_ENQUEUE_PARKED :
			   MBUF_TRACE_ENQUEUE_ENTERED);
	spin_unlock(&q->lock);
	mbuf_effects(q, &fx);
	return err;
}

/**
 * mbuf_queue_cancel() - give up standing in line
 * @q: the queue, from mbuf_queue_enqueue()
 * @w: what stands in line there, or has
 *
 * Context: process context.
 * Return: true if it did stand in line, and does no more: @w->item is the
 * caller's. If not, its state says why. mbuf_queue_settle() has to follow.
 */
bool mbuf_queue_cancel(struct mbuf_queue *q, struct mbuf_waiter *w)
{
	bool left = false;

	spin_lock(&q->lock);
	if (mbuf_waiter_state(w) == MBUF_WAITING) {
		queue_leave_line(q, w);
		trace_mbuf_enqueue(w->id, q->id, MBUF_TRACE_ENQUEUE_CANCELLED);
		left = true;
	}
	spin_unlock(&q->lock);
	return left;
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
	struct mbuf_send_how how = { .stamp = MBUF_NOTED_ALL };
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
