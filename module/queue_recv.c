// SPDX-License-Identifier: GPL-2.0
#include <linux/highuid.h>
#include <linux/pagemap.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/user_namespace.h>
#include "queue_priv.h"

/* Write all of a message but buf and the payload. */
static __always_inline bool __recv_put_msg(const struct mbuf_item *item,
					   struct mbuf_msg __user *to,
					   u32 flags, pid_t pid, uid_t uid,
					   gid_t gid)
{
	if (unlikely(!user_write_access_begin(to, sizeof(*to))))
		return false;
	unsafe_put_user(flags | (item->len ? 0 : MBUF_MSG_EMPTY), &to->flags,
			fault);
	unsafe_put_user(item->seq, &to->seq, fault);
	unsafe_put_user((u32)item->prio, &to->prio, fault);
	unsafe_put_user(pid, &to->pid, fault);
	unsafe_put_user(uid, &to->uid, fault);
	unsafe_put_user(gid, &to->gid, fault);
	/* Last, as it is an input too, and read again by who tries again. */
	unsafe_put_user(item->len, &to->len, fault);
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
}

static noinline bool recv_put_creds(const struct mbuf_item *item,
				    struct mbuf_msg __user *to)
{
	return __recv_put_msg(item, to, MBUF_MSG_CREDS, pid_vnr(item->pid),
			      from_kuid_munged(current_user_ns(), item->uid),
			      from_kgid_munged(current_user_ns(), item->gid));
}

static __always_inline bool recv_put_msg(const struct mbuf_item *item,
					 struct mbuf_msg __user *to)
{
	if (unlikely(item->noted & MBUF_NOTED_CREDS))
		return recv_put_creds(item, to);
	return __recv_put_msg(item, to, 0, 0, overflowuid, overflowgid);
}

/* Copy out @item. Under the lock with page faults disabled. */
static __always_inline bool recv_put(const struct mbuf_item *item,
				     const struct mbuf_uaddr *u,
				     const struct mbuf_recv_how *how)
{
	/* No iterator has moved if this fails: they come without @how->msg. */
	if (unlikely(!mbuf_uaddr_put(u, item->data, item->len)))
		return false;
	return !how->msg || likely(recv_put_msg(item, how->msg));
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

/* Can a message be received? 0, -EMSGSIZE, or -EBADMSG. */
static inline int recv_check(const struct mbuf_item *item,
			     const struct mbuf_uaddr *u,
			     const struct mbuf_recv_how *how)
{
	if (unlikely(item->len > u->len))
		return -EMSGSIZE;
	/* To read() it would look like the end. */
	if (unlikely(!item->len && !how->msg))
		return -EBADMSG;
	if (unlikely(item->caps))
		return how->pass ? mbuf_pass_room(how->pass, item->caps) :
				   -EBADMSG;
	return 0;
}

/* Does more have to be done than to copy a message out? */
static inline bool recv_is_long(const struct mbuf_item *item,
				const struct mbuf_recv_how *how)
{
	return unlikely(item->len > MBUF_INLINE_MAX) ||
	       unlikely(how->pass &&
			(item->caps || how->pass->flags & MBUF_RECV_LOOK));
}

/* Say how much room a message needs. EMSGSIZE stands if that fails. */
static void recv_say_len(const struct mbuf_recv_how *how, u32 len, u32 nr_caps)
{
	if (how->say_len)
		put_user(len, &how->msg->len);
	if (how->pass)
		put_user(nr_caps, how->pass->say_nr);
}

static u32 item_nr_caps(const struct mbuf_item *item)
{
	return item->caps ? item->caps->nr : 0;
}

/*
 * A receiver has got a message of which it is known when it was sent. Under the
 * lock.
 */
static noinline void queue_timed(struct mbuf_queue *q,
				 const struct mbuf_item *item)
{
	struct mbuf_latency *l = q->latency;
	u64 ns;

	/* Nobody wants to know any more, or it was noted for who asked before. */
	if (!l || item->at < l->since)
		return;
	ns = ktime_get_ns() - item->at;
	l->bucket[clamp(fls64(ns) - 1, 0, MBUF_LATENCY_BUCKETS - 1)]++;
	l->total += ns;
	l->longest = max(l->longest, ns);
}

/* A message has left the queue: the next that is parked can enter. */
static void queue_admit(struct mbuf_queue *q, struct mbuf_effects *fx)
{
	unsigned long prio = queue_top(q->parked_map);
	struct mbuf_level *level = &q->level[prio];
	struct mbuf_waiter *w;

	/* A message that came back may have left the queue over-full. */
	if (!queue_has_room(q))
		return;

	w = list_first_entry(&level->parked, struct mbuf_waiter, link);
	w->seq = ++q->sent;
	w->item->seq = w->seq;
	queue_link(q, w->item, prio);
	queue_trace_send(q, w->item);
	mbuf_trace(wake, q->id, mbuf_waiter_pid(w));
	q->nr_parked--;
	/*
	 * A message object was a send right as long as it stood in line. That
	 * it was the last is nothing to tell receivers, as there is a message;
	 * but some poll for that.
	 */
	if (unlikely(!w->task)) {
		trace_mbuf_enqueue(w->id, q->id, MBUF_TRACE_ENQUEUE_DELIVERED);
		if (!--q->nr_send)
			fx->more = EPOLLHUP | EPOLLRDHUP;
	}
	fx->poll_in = queue_polled(&q->poll_in);
	fx->wake = mbuf_waiter_finish(w, MBUF_DONE);
	if (list_empty(&level->parked))
		q->parked_map &= ~(1ULL << prio);
}

/* A message has left a queue that was full. */
static noinline void queue_not_full(struct mbuf_queue *q,
				    struct mbuf_effects *fx)
{
	if (q->parked_map)
		queue_admit(q, fx);
	if (queue_has_room(q))
		fx->poll_out = queue_polled(&q->poll_out);
}

/* Take out the next message, which is in level @prio. */
static inline struct mbuf_item *queue_take(struct mbuf_queue *q,
					   unsigned long prio,
					   struct mbuf_effects *fx)
{
	bool full = !queue_has_room(q);
	struct mbuf_item *item = queue_unlink(q, prio);

	q->received++;
	queue_trace_receive(q, item);
	if (unlikely(full))
		queue_not_full(q, fx);
	return item;
}

/* Drop the next message, if there is one. */
static bool queue_drop_next(struct mbuf_queue *q)
{
	struct mbuf_effects fx = { };
	bool full;

	spin_lock(&q->lock);
	if (!q->nr_recv || !q->queued_map) {
		spin_unlock(&q->lock);
		return false;
	}
	full = !queue_has_room(q);
	q->dropped++;
	queue_discard(q, queue_unlink(q, queue_top(q->queued_map)), &fx);
	if (full)
		queue_not_full(q, &fx);
	spin_unlock(&q->lock);
	mbuf_effects(q, &fx);
	return true;
}

/**
 * mbuf_queue_drop_all() - drop all messages
 * @q: the queue, which may be dead; the caller has a reference
 *
 * Those whose senders wait are dropped as well, and their senders go on as if
 * they had been received. What is sent meanwhile may stay.
 *
 * Context: process context, may sleep.
 * Return: how many were dropped.
 */
u32 mbuf_queue_drop_all(struct mbuf_queue *q)
{
	u32 nr, done = 0;

	spin_lock(&q->lock);
	nr = q->depth + q->nr_parked;
	spin_unlock(&q->lock);

	/* One at a time: there may be many, and each can wake a sender. */
	while (done < nr && queue_drop_next(q)) {
		done++;
		cond_resched();
	}
	if (done)
		trace_mbuf_drop(q->id, done, MBUF_TRACE_FLUSHED);
	return done;
}

/*
 * Put back a message that the caller took and could not deliver. It may be
 * above @slots then, which senders that wait or are refused do not notice; but
 * where senders overwrite, it is subject to that, as if it had never left.
 */
static void queue_put_back(struct mbuf_queue *q, struct mbuf_item *item)
{
	struct mbuf_effects fx = { };

	spin_lock(&q->lock);
	q->received--;
	if (!list_empty(&q->receivers)) {
		queue_hand_over(q, item, &fx);
	} else {
		queue_link_back(q, item);
		if (q->depth > q->slots && q->flags & MBUF_QUEUE_OVERWRITE)
			mbuf_queue_overwrite(q, &fx);
		fx.poll_in = queue_polled(&q->poll_in);
		fx.more = MBUF_POLL_AGAIN;
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
	bool look = how->pass && how->pass->flags & MBUF_RECV_LOOK;
	ssize_t ret;

	if (item == spare)
		spare = NULL;

	ret = recv_check(item, u, how);
	if (ret == -EMSGSIZE)
		recv_say_len(how, item->len, item_nr_caps(item));
	/* Who is being killed will not look at it. */
	if (fatal_signal_pending(current))
		ret = -ERESTARTSYS;
	if (!ret && !recv_put(item, u, how))
		ret = signal_pending(current) ? -ERESTARTSYS : -EFAULT;
	if (!ret && look) {
		ret = mbuf_pass_look(how->pass, item->caps) ?: item->len;
	} else if (!ret && item->caps) {
		ret = mbuf_pass_install(how->pass, item->caps);
		if (!ret)
			item->caps = NULL;
	}
	if (unlikely(ret || look)) {
		queue_put_back(q, item);
		queue_give_slots(q, spare, NULL);
		return ret;
	}

	ret = item->len;
	if (unlikely(item->noted & MBUF_NOTED_TIME)) {
		spin_lock(&q->lock);
		queue_timed(q, item);
		spin_unlock(&q->lock);
	}
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
	mbuf_trace(block, q->id, MBUF_TRACE_RECEIVE);
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
 * -EFBIG if it is too large to be copied under the lock, or has capabilities:
 * it is not touched.
 */
static __always_inline int queue_try_recv(struct mbuf_queue *q,
					  const struct mbuf_uaddr *u,
					  const struct mbuf_recv_how *how,
					  u32 *len, u32 *nr_caps,
					  struct mbuf_effects *fx)
{
	struct mbuf_item *item;
	unsigned long prio;
	int err;

	if (unlikely(!q->queued_map))
		return -EAGAIN;
	prio = queue_top(q->queued_map);
	item = q->level[prio].queued.head;
	*len = item->len;
	err = recv_check(item, u, how);
	if (unlikely(err)) {
		if (err == -EMSGSIZE && how->pass)
			*nr_caps = item_nr_caps(item);
		return err;
	}
	if (recv_is_long(item, how))
		return -EFBIG;
	if (unlikely(!recv_put(item, u, how)))
		return -EFAULT;

	queue_take(q, prio, fx);
	if (!mbuf_item_plain(item) && item->noted & MBUF_NOTED_TIME)
		queue_timed(q, item);
	queue_discard(q, item, fx);
	return 0;
}

/*
 * The queue is empty, or its next message is large. On entry the lock is held;
 * on return it is not. Consumes @spare, unless it returns -ENOBUFS: then a
 * spare has to be brought.
 */
static noinline ssize_t queue_recv_slow(struct mbuf_queue *q,
					const struct mbuf_uaddr *u,
					const struct mbuf_recv_how *how,
					struct mbuf_item *spare)
	__releases(&q->lock)
{
	ssize_t ret = -EAGAIN;

	if (q->queued_map) {
		struct mbuf_effects fx = { };
		struct mbuf_item *item;

		item = queue_take(q, queue_top(q->queued_map), &fx);
		spin_unlock(&q->lock);
		mbuf_effects(q, &fx);
		return queue_deliver(q, item, spare, u, how);
	}

	if (!q->nr_send) {
		ret = -EPIPE;
	} else if (how->deadline->mode != MBUF_WAIT_NOW) {
		if (!spare)
			spare = mbuf_slots_take_spare(&q->mem);
		if (spare)
			return queue_wait(q, spare, u, how);
		ret = -ENOBUFS;
	}
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
	struct mbuf_item *spare = NULL;
	unsigned int faults = 0;
	ssize_t ret;

	for (;;) {
		struct mbuf_effects fx = { };
		u32 len, nr_caps = 0;
		int err;

		spin_lock(&q->lock);
		pagefault_disable();
		err = queue_try_recv(q, u, how, &len, &nr_caps, &fx);
		pagefault_enable();
		if (unlikely(err == -EAGAIN && q->full_told)) {
			WRITE_ONCE(q->full_told, false);
			spin_unlock(&q->lock);
			mbuf_node_notice(&q->node, MBUF_NOTICE_DRAINED, 0);
			/* There may be a message by now, in a slot. */
			continue;
		}
		if (unlikely(err == -EAGAIN || err == -EFBIG)) {
			ret = queue_recv_slow(q, u, how, spare);
			if (ret != -ENOBUFS)
				return ret;
			spare = mbuf_slots_new_spare(&q->mem);
			if (!spare)
				return -ENOMEM;
			continue;
		}
		spin_unlock(&q->lock);

		if (likely(!err)) {
			mbuf_effects(q, &fx);
			ret = len;
			break;
		}
		ret = err;
		if (err == -EMSGSIZE)
			recv_say_len(how, len, nr_caps);
		if (err != -EFAULT || ++faults > MBUF_FAULTS_MAX)
			break;
		ret = recv_fault_in(u, how, len);
		if (ret)
			break;
	}
	if (unlikely(spare))
		queue_give_slots(q, spare, NULL);
	return ret;
}

/* Fetch where the room for a message is. With page faults disabled. */
static __always_inline bool recv_get_room(struct mbuf_uaddr *u,
					  const struct mbuf_msg __user *from)
{
	u64 buf;
	u32 len;

	if (!user_read_access_begin(from, sizeof(*from)))
		return false;
	unsafe_get_user(buf, &from->buf, fault);
	unsafe_get_user(len, &from->len, fault);
	user_read_access_end();
	return !mbuf_uaddr_set(u, buf, len);
fault:
	user_read_access_end();
	return false;
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
	struct mbuf_uaddr u;
	u32 done, len, nr_caps, bytes = 0;

	spin_lock(&q->lock);
	pagefault_disable();
	for (done = 0; done < nr; done++, elem++, bytes += len) {
		if (unlikely(fx.wake || bytes > MBUF_BURST_BYTES))
			break;
		if (unlikely(!recv_get_room(&u, elem)))
			break;
		how.msg = elem;
		if (queue_try_recv(q, &u, &how, &len, &nr_caps, &fx))
			break;
	}
	pagefault_enable();
	spin_unlock(&q->lock);

	mbuf_effects(q, &fx);
	return done;
}
