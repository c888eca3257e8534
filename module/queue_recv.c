// SPDX-License-Identifier: GPL-2.0
#include <linux/highuid.h>
#include <linux/pagemap.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/user_namespace.h>
#include "queue_priv.h"

static noinline void recv_creds(const struct mbuf_item *item,
				struct mbuf_msg *msg)
{
	msg->flags |= MBUF_MSG_CREDS;
	msg->pid = pid_vnr(item->pid);
	msg->uid = from_kuid_munged(current_user_ns(), item->uid);
	msg->gid = from_kgid_munged(current_user_ns(), item->gid);
}

/* Write all of a message but buf and the payload. */
static __always_inline bool recv_put_msg(const struct mbuf_item *item,
					 struct mbuf_msg __user *to)
{
	struct mbuf_msg msg;

	msg.flags = item->len ? 0 : MBUF_MSG_EMPTY;
	msg.pid = 0;
	msg.uid = overflowuid;
	msg.gid = overflowgid;
	if (unlikely(item->pid))
		recv_creds(item, &msg);

	if (unlikely(!user_write_access_begin(to, sizeof(*to))))
		return false;
	unsafe_put_user(item->len, &to->len, fault);
	unsafe_put_user(msg.flags, &to->flags, fault);
	unsafe_put_user(item->seq, &to->seq, fault);
	unsafe_put_user((u32)item->prio, &to->prio, fault);
	unsafe_put_user(msg.pid, &to->pid, fault);
	unsafe_put_user(msg.uid, &to->uid, fault);
	unsafe_put_user(msg.gid, &to->gid, fault);
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
}

/* Copy out @item. Under the lock with page faults disabled. */
static __always_inline bool recv_put(const struct mbuf_item *item,
				     const struct mbuf_uaddr *u,
				     const struct mbuf_recv_how *how)
{
	/* An iterator moves on success, so the payload comes last. */
	if (how->msg && unlikely(!recv_put_msg(item, how->msg)))
		return false;
	return mbuf_uaddr_put(u, item->data, item->len);
}

/* After recv_put() has failed for a message of @len bytes. No locks held. */
static int recv_fault_in(const struct mbuf_uaddr *u,
			 const struct mbuf_recv_how *how, u32 len)
{
	if (how->msg) {
		struct mbuf_uaddr out = {
			.ptr = how->msg,
		};
		int err = mbuf_uaddr_fault_in(&out, sizeof(*how->msg), true);

		if (err)
			return err;
	}
	return mbuf_uaddr_fault_in(u, len, true);
}

/* Can a message of @len bytes be received? 0, -EMSGSIZE, or -EBADMSG. */
static inline int recv_check(u32 len, const struct mbuf_uaddr *u,
			     const struct mbuf_recv_how *how)
{
	if (unlikely(len > u->len))
		return -EMSGSIZE;
	/* To read() it would look like the end. */
	if (unlikely(!len && !how->msg))
		return -EBADMSG;
	return 0;
}

/* Say how much room the next message needs. EMSGSIZE stands if that fails. */
static void recv_say_len(const struct mbuf_recv_how *how, u32 len)
{
	if (how->msg)
		put_user(len, &how->msg->len);
}

/* A message has left the queue: the next that is parked can enter. */
static void queue_admit(struct mbuf_queue *q, struct mbuf_effects *fx)
{
	unsigned int prio = fls64(q->parked_map) - 1;
	struct mbuf_level *level = &q->level[prio];
	struct mbuf_waiter *w;

	/* A message that came back may have left the queue over-full. */
	if (!queue_has_room(q))
		return;

	w = list_first_entry(&level->parked, struct mbuf_waiter, link);
	w->seq = ++q->sent;
	w->item->seq = w->seq;
	queue_link(q, w->item, prio);
	q->nr_parked--;
	fx->poll_in = queue_polled(&q->poll_in);
	fx->wake = mbuf_waiter_finish(w, MBUF_DONE);
	if (list_empty(&level->parked))
		q->parked_map &= ~(1ULL << prio);
}

/* Take out the next message, which is in level @prio. */
static inline struct mbuf_item *queue_take(struct mbuf_queue *q,
					   unsigned int prio,
					   struct mbuf_effects *fx)
{
	bool full = !queue_has_room(q);
	struct mbuf_item *item = queue_unlink(q, prio);

	q->received++;
	if (unlikely(full)) {
		if (q->parked_map)
			queue_admit(q, fx);
		if (queue_has_room(q))
			fx->poll_out = queue_polled(&q->poll_out);
	}
	return item;
}

/* Put back a message that the caller took and could not deliver. */
static void queue_put_back(struct mbuf_queue *q, struct mbuf_item *item)
{
	struct mbuf_effects fx = { };

	spin_lock(&q->lock);
	q->received--;
	if (!list_empty(&q->receivers)) {
		queue_hand_over(q, item, &fx);
	} else {
		mbuf_fifo_prepend(&q->level[item->prio].queued, item);
		q->queued_map |= 1ULL << item->prio;
		q->depth++;
		fx.poll_in = queue_polled(&q->poll_in);
	}
	spin_unlock(&q->lock);
	mbuf_effects(q, &fx);
}

/* Slots that a receiver brought or emptied go back; either may be NULL. */
static void queue_give_slots(struct mbuf_queue *q, struct mbuf_item *a,
			     struct mbuf_item *b)
{
	if (!a && !b)
		return;
	spin_lock(&q->lock);
	if (a)
		a = mbuf_slots_give(&q->mem, a);
	if (b)
		b = mbuf_slots_give(&q->mem, b);
	spin_unlock(&q->lock);
	mbuf_item_free(a);
	mbuf_item_free(b);
}

/*
 * Copy out a message that has left the queue, with page faults, and free it or
 * put it back. @spare is a slot to be given back besides; it may be @item.
 */
static ssize_t queue_deliver(struct mbuf_queue *q, struct mbuf_item *item,
			     struct mbuf_item *spare,
			     const struct mbuf_uaddr *u,
			     const struct mbuf_recv_how *how)
{
	ssize_t ret;

	if (item == spare)
		spare = NULL;

	ret = recv_check(item->len, u, how);
	if (ret == -EMSGSIZE)
		recv_say_len(how, item->len);
	/* Who is being killed will not look at it. */
	if (fatal_signal_pending(current))
		ret = -ERESTARTSYS;
	if (!ret && !recv_put(item, u, how))
		ret = signal_pending(current) ? -ERESTARTSYS : -EFAULT;
	if (unlikely(ret)) {
		queue_put_back(q, item);
		queue_give_slots(q, spare, NULL);
		return ret;
	}

	ret = item->len;
	if (item->kind == MBUF_ITEM_OWN) {
		mbuf_item_free(item);
		item = NULL;
	}
	queue_give_slots(q, item, spare);
	return ret;
}

/*
 * Wait in line for a message. On entry the lock is held and the queue is
 * empty; on return it is not held. Consumes @spare.
 */
static ssize_t queue_wait(struct mbuf_queue *q, struct mbuf_item *spare,
			  const struct mbuf_uaddr *u,
			  const struct mbuf_recv_how *how)
	__releases(&q->lock)
{
	struct mbuf_waiter w;
	int err;

	mbuf_waiter_init(&w);
	w.spare = spare;
	list_add_tail(&w.link, &q->receivers);
	q->nr_waiting++;
	q->recv_blocked++;
	spin_unlock(&q->lock);

	err = mbuf_waiter_sleep(&w, how->deadline);
	if (err) {
		spin_lock(&q->lock);
		if (mbuf_waiter_state(&w) == MBUF_WAITING) {
			list_del(&w.link);
			q->nr_waiting--;
			spin_unlock(&q->lock);
			queue_give_slots(q, spare, NULL);
			return err;
		}
		/* Too late: what was decided meanwhile counts. */
		spin_unlock(&q->lock);
	}

	if (mbuf_waiter_state(&w) == MBUF_DONE)
		return queue_deliver(q, w.item, spare, u, how);
	queue_give_slots(q, spare, NULL);
	return -EPIPE;
}

/*
 * Receive the next message into @u, under the lock and with page faults
 * disabled.
 *
 * Return: 0, and @len is its length; -EAGAIN if there is none; -EMSGSIZE,
 * -EBADMSG, and @len is its length; -EFAULT if a page is missing, likewise;
 * -EFBIG if it is too large to be copied under the lock: it is not touched.
 */
static __always_inline int queue_try_recv(struct mbuf_queue *q,
					  const struct mbuf_uaddr *u,
					  const struct mbuf_recv_how *how,
					  u32 *len, struct mbuf_effects *fx)
{
	struct mbuf_item *item;
	unsigned int prio;
	int err;

	if (unlikely(!q->queued_map))
		return -EAGAIN;
	prio = fls64(q->queued_map) - 1;
	item = q->level[prio].queued.head;
	*len = item->len;
	err = recv_check(item->len, u, how);
	if (unlikely(err))
		return err;
	if (unlikely(item->len > MBUF_INLINE_MAX))
		return -EFBIG;
	if (unlikely(!recv_put(item, u, how)))
		return -EFAULT;

	queue_take(q, prio, fx);
	fx->garbage = mbuf_slots_give(&q->mem, item);
	return 0;
}

/* The queue is empty, or its next message is large. Takes the lock. */
static ssize_t queue_recv_slow(struct mbuf_queue *q, const struct mbuf_uaddr *u,
			       const struct mbuf_recv_how *how)
{
	struct mbuf_item *item, *spare = NULL;
	struct mbuf_effects fx = { };
	unsigned int prio;
	ssize_t ret;

again:
	spin_lock(&q->lock);
	if (q->queued_map) {
		prio = fls64(q->queued_map) - 1;
		item = queue_take(q, prio, &fx);
		spin_unlock(&q->lock);
		mbuf_effects(q, &fx);
		return queue_deliver(q, item, spare, u, how);
	}
	ret = -EPIPE;
	if (!q->nr_send)
		goto unlock;
	ret = -EAGAIN;
	if (how->deadline->mode == MBUF_WAIT_NOW)
		goto unlock;
	if (!spare)
		spare = mbuf_slots_take_spare(&q->mem);
	if (spare)
		return queue_wait(q, spare, u, how);
	spin_unlock(&q->lock);
	spare = mbuf_slots_new_spare(&q->mem);
	if (!spare)
		return -ENOMEM;
	goto again;

unlock:
	spin_unlock(&q->lock);
	queue_give_slots(q, spare, NULL);
	return ret;
}

/**
 * mbuf_queue_recv() - receive one message
 * @q: the queue; the caller has a receive right
 * @u: room for the payload
 * @how: deadline, and where the rest goes
 *
 * Context: process context, no locks held; may sleep.
 * Return: bytes of payload, or -EPIPE at the end, -EMSGSIZE, -EBADMSG,
 * -EAGAIN, -ETIMEDOUT, -ERESTARTSYS, -EFAULT, -ENOMEM; then the message, if
 * there is one, is still the first in the queue.
 */
ssize_t mbuf_queue_recv(struct mbuf_queue *q, const struct mbuf_uaddr *u,
			const struct mbuf_recv_how *how)
{
	int err;

	do {
		struct mbuf_effects fx = { };
		u32 len;

		spin_lock(&q->lock);
		pagefault_disable();
		err = queue_try_recv(q, u, how, &len, &fx);
		pagefault_enable();
		spin_unlock(&q->lock);
		if (likely(!err)) {
			mbuf_effects(q, &fx);
			return len;
		}
		if (err == -EAGAIN || err == -EFBIG)
			return queue_recv_slow(q, u, how);
		if (err != -EFAULT) {
			if (err == -EMSGSIZE)
				recv_say_len(how, len);
			return err;
		}
		err = recv_fault_in(u, how, len);
	} while (!err);
	return err;
}

/**
 * mbuf_queue_recv_burst() - receive as many messages as go easily
 * @q: the queue; the caller has a receive right
 * @elem: array of messages, checked with access_ok()
 * @nr: how many
 *
 * Takes the lock once for all. Stops at the first message for which there is
 * anything to be said or to be waited for; mbuf_queue_recv() deals with it.
 *
 * Context: process context, no locks held; does not sleep.
 * Return: how many were received.
 */
u32 mbuf_queue_recv_burst(struct mbuf_queue *q, struct mbuf_msg __user *elem,
			  u32 nr)
{
	struct mbuf_effects fx = { };
	struct mbuf_recv_how how = { };
	struct mbuf_uaddr u = { };
	struct mbuf_msg msg;
	u32 done, len;

	spin_lock(&q->lock);
	pagefault_disable();
	for (done = 0; done < nr && !fx.wake && !fx.garbage; done++, elem++) {
		/* All that counts on input are the first two fields. */
		if (!mbuf_get_small(&msg, elem, offsetof(struct mbuf_msg, flags)) ||
		    mbuf_msg_uaddr(&u, &msg))
			break;
		how.msg = elem;
		if (queue_try_recv(q, &u, &how, &len, &fx))
			break;
	}
	pagefault_enable();
	spin_unlock(&q->lock);

	mbuf_effects(q, &fx);
	return done;
}
