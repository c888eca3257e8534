/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files that implement queues share. See queue.h for the whole.
 */
#ifndef _MBUF_QUEUE_PRIV_H
#define _MBUF_QUEUE_PRIV_H

#include <linux/bitops.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include "pass.h"
#include "payload.h"
#include "queue.h"
#include "registry.h"
#include "trace.h"
#include "wait.h"

/* Payload that a burst of a batch may copy before it lets go of the lock. */
#define MBUF_BURST_BYTES	4096

/**
 * struct mbuf_level - one priority of a queue
 * @queued: messages in the queue
 * @parked: waiters of senders whose messages are not
 */
struct mbuf_level {
	struct mbuf_fifo queued;
	struct list_head parked;
};

/**
 * struct mbuf_latency - how long messages took
 * @since: since when it is noted when messages are sent; what was sent earlier
 *	does not count
 * @bucket: how many took 2^i nanoseconds and more
 * @total: nanoseconds of all
 * @longest: of one
 */
struct mbuf_latency {
	u64 since;
	u64 bucket[MBUF_LATENCY_BUCKETS];
	u64 total;
	u64 longest;
};

/**
 * struct mbuf_queue - a queue
 * @lock: protects all but what is constant
 * @depth: messages in the queue
 * @slots: how many it holds; constant
 * @max_msg: the largest message in bytes; constant
 * @flags: MBUF_QUEUE_*; constant
 * @max_caps: the most capabilities that a message carries; constant
 * @stamp: what is noted of each message that is sent: MBUF_NOTED_*; may be
 *	read without the lock
 * @latency: how long messages took, if that is measured; its memory is that of
 *	who asked for it, and bounded by the number of queues
 * @nr_recv: receive rights; 0: dead
 * @nr_send: send rights
 * @queued_map: which levels have messages in the queue
 * @parked_map: which levels have parked messages
 * @receivers: waiters of receivers, served in order
 * @mem: slots; gone when dead
 * @sent: messages that entered; the last sequence number
 * @received: messages that left to a receiver
 * @dropped: messages overwritten
 * @refused: messages refused instead of overwriting one
 * @send_blocked: how often a sender went to sleep
 * @recv_blocked: how often a receiver went to sleep
 * @high_water: highest @depth
 * @nr_parked: parked messages
 * @nr_waiting: waiters in @receivers
 * @poll_in: who polls receive rights
 * @poll_out: who polls send rights
 * @ref: one for each right
 * @nest: where it is in who owns whom
 * @id: identity; constant
 * @payer: who is charged @charge; NULL when dead; holds a reference
 * @charge: what was charged
 * @full_told: a sender has found it full, and no receiver has found it empty
 *	since then
 * @node: its place in the registry, until it is dead
 * @level: 1 level, or MBUF_PRIO_MAX + 1 with MBUF_QUEUE_PRIO
 */
struct mbuf_queue {
	/* All that is not constant; see the top of queue.h. */
	spinlock_t lock;
	u32 depth;
	u32 slots;
	u32 max_msg;
	u32 flags;
	u32 nr_recv;
	u32 nr_send;
	u32 high_water;
	u64 queued_map;
	u64 parked_map;
	struct list_head receivers;
	struct mbuf_slots mem;
	u64 sent;
	u64 received;
	u64 dropped;
	u64 refused;
	u64 send_blocked;
	u64 recv_blocked;
	u32 nr_parked;
	u32 nr_waiting;
	u32 max_caps;
	u8 stamp;
	struct mbuf_latency *latency;
	wait_queue_head_t poll_in;
	wait_queue_head_t poll_out;
	refcount_t ref;
	struct mbuf_nest nest;
	u64 id;
	struct mbuf_account *payer;
	struct mbuf_charge charge;
	bool full_told;
	struct mbuf_node node;
	struct mbuf_level level[];
};

/**
 * struct mbuf_effects - what has to be done once the lock is dropped
 * @wake: whose wait has ended, from mbuf_waiter_finish()
 * @poll_in: pollers of receive rights have to look
 * @poll_out: pollers of send rights have to look
 * @more: what else pollers of receive rights are told if they have to look
 * @garbage: messages to be freed
 *
 * One call ends the wait of one task at most: a message in serves one
 * receiver, a message out lets one sender in.
 */
struct mbuf_effects {
	unsigned long wake;
	bool poll_in;
	bool poll_out;
	__poll_t more;
	struct mbuf_item *garbage;
};

/* How to send; the payload apart. */
struct mbuf_send_how {
	const struct mbuf_deadline *deadline;
	u8 prio;
	/* What may be noted of it, if the queue wants that: MBUF_NOTED_*. */
	u8 stamp;
};

/* How to receive; the payload apart. */
struct mbuf_recv_how {
	const struct mbuf_deadline *deadline;
	/* Where the rest of the message goes; NULL for read(). */
	struct mbuf_msg __user *msg;
	/* With EMSGSIZE, msg->len says how much room is needed. */
	bool say_len;
	/* Where capabilities go; NULL: a message with any stays. */
	struct mbuf_pass *pass;
};

int mbuf_queue_send_caps(struct mbuf_queue *q, const struct mbuf_uaddr *u,
			 const struct mbuf_send_how *how,
			 struct mbuf_caps *caps, u64 *seq);
u32 mbuf_queue_drop_all(struct mbuf_queue *q);
int mbuf_queue_send(struct mbuf_queue *q, const struct mbuf_uaddr *u,
		    const struct mbuf_send_how *how, u64 *seq);
ssize_t mbuf_queue_recv(struct mbuf_queue *q, const struct mbuf_uaddr *u,
			const struct mbuf_recv_how *how);
void mbuf_queue_overwrite(struct mbuf_queue *q, struct mbuf_effects *fx);
u32 mbuf_queue_send_burst(struct mbuf_queue *q,
			  const struct mbuf_msg __user *elem, u32 nr);
u32 mbuf_queue_recv_burst(struct mbuf_queue *q, struct mbuf_msg __user *elem,
			  u32 nr);
void __mbuf_effects(struct mbuf_queue *q, struct mbuf_effects *fx);

/**
 * mbuf_effects() - do what could not be done under the lock
 * @q: the queue, which the caller has a right to
 * @fx: what
 */
static inline void mbuf_effects(struct mbuf_queue *q, struct mbuf_effects *fx)
{
	mbuf_wake(fx->wake);
	if (unlikely(fx->poll_in || fx->poll_out || fx->garbage))
		__mbuf_effects(q, fx);
}

/**
 * mbuf_msg_check() - can a message be sent to a queue?
 * @q: the queue
 * @msg: the message
 *
 * Return: 0 or -EINVAL.
 */
static inline int mbuf_msg_check(const struct mbuf_queue *q,
				 const struct mbuf_msg *msg)
{
	if (unlikely(msg->flags ||
		     (msg->prio && (!(q->flags & MBUF_QUEUE_PRIO) ||
				    msg->prio > MBUF_PRIO_MAX)) ||
		     (!msg->len && !(q->flags & MBUF_QUEUE_EMPTY))))
		return -EINVAL;
	return 0;
}

/**
 * mbuf_uaddr_set() - where is the payload of a message, or the room for it?
 * @u: result
 * @buf: the address, as the caller gave it
 * @len: bytes
 *
 * Return: 0, or -EFAULT if that is no address. Whether it is one of user space
 * is found out when it is used.
 */
static inline int mbuf_uaddr_set(struct mbuf_uaddr *u, u64 buf, u32 len)
{
	u->ptr = u64_to_user_ptr(buf);
	u->iter = NULL;
	u->len = len;
	return unlikely((uintptr_t)buf != buf) ? -EFAULT : 0;
}

/* Under the lock: does anybody poll, so that it has to be woken? */
static inline bool queue_polled(wait_queue_head_t *wq)
{
	/*
	 * No barrier is needed: a poller enters @wq before it takes the lock
	 * to look. If it looked before us, it is seen here; if it looks after
	 * us, it sees what we changed.
	 */
	return waitqueue_active(wq);
}

/* For tracing: @item has entered. Under the lock. */
static inline void queue_trace_send(const struct mbuf_queue *q,
				    const struct mbuf_item *item)
{
	mbuf_trace(send, q->id, item->seq, item->len, item->prio, q->depth);
}

/* For tracing: @item has left to a receiver. Under the lock. */
static inline void queue_trace_receive(const struct mbuf_queue *q,
				       const struct mbuf_item *item)
{
	mbuf_trace(receive, q->id, item->seq, item->len, item->prio, q->depth);
}

/* The highest level in @map, which has one. */
static inline unsigned long queue_top(u64 map)
{
	return BITS_PER_LONG == 64 ? __fls(map) : fls64(map) - 1;
}

/* Is there room for one more message that is not overtaking? */
static inline bool queue_has_room(const struct mbuf_queue *q)
{
	return q->depth < q->slots;
}

static inline void queue_link(struct mbuf_queue *q, struct mbuf_item *item,
			      unsigned long prio)
{
	mbuf_fifo_append(&q->level[prio].queued, item);
	q->queued_map |= 1ULL << prio;
	if (++q->depth > q->high_water)
		q->high_water = q->depth;
}

/* Link a message that has been in the queue before, where it was. */
static inline void queue_link_back(struct mbuf_queue *q, struct mbuf_item *item)
{
	mbuf_fifo_insert(&q->level[item->prio].queued, item);
	q->queued_map |= 1ULL << item->prio;
	if (++q->depth > q->high_water)
		q->high_water = q->depth;
}

static inline struct mbuf_item *queue_unlink(struct mbuf_queue *q,
					     unsigned long prio)
{
	struct mbuf_fifo *f = &q->level[prio].queued;
	struct mbuf_item *item = mbuf_fifo_pop(f);

	if (!f->head)
		q->queued_map &= ~(1ULL << prio);
	q->depth--;
	return item;
}

/* @item, which is in no list, is no longer needed. */
static inline void queue_discard(struct mbuf_queue *q, struct mbuf_item *item,
				 struct mbuf_effects *fx)
{
	item = mbuf_slots_give(&q->mem, item);
	if (unlikely(item)) {
		item->next = fx->garbage;
		fx->garbage = item;
	}
}

/* Give @item, which is in no list, to the receiver that has waited longest. */
static inline void queue_hand_over(struct mbuf_queue *q, struct mbuf_item *item,
				   struct mbuf_effects *fx)
{
	struct mbuf_waiter *w = list_first_entry(&q->receivers,
						 struct mbuf_waiter, link);

	w->item = item;
	q->nr_waiting--;
	q->received++;
	queue_trace_receive(q, item);
	mbuf_trace(wake, q->id, mbuf_waiter_pid(w));
	fx->wake = mbuf_waiter_finish(w, MBUF_DONE);
}

#endif /* _MBUF_QUEUE_PRIV_H */
