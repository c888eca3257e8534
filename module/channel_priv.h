/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the channel share; see channel.h. */
#ifndef _MBUF_CHANNEL_PRIV_H
#define _MBUF_CHANNEL_PRIV_H

#include <linux/atomic.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include "bind.h"
#include "channel.h"
#include "registry.h"
#include "trace.h"

/*
 * Bits of struct mbuf_channel.status. A channel both ends of which can do
 * everything has STATUS_LIVE and nothing else.
 */
#define STATUS_OPEN(side)	(1U << (side))
#define STATUS_LIVE		(STATUS_OPEN(0) | STATUS_OPEN(1))
#define STATUS_PENDING		0x04	/* phase: not accepted */
#define STATUS_ASKING		0x08	/* phase: not approved */
#define STATUS_REFUSED		0x10	/* phase: refused */
#define STATUS_FRESH		0x20	/* accepted; who connected has not used it */

/* A waiter of several endpoints: somebody is handing something over. */
#define MBUF_CLAIMED		3

struct mbuf_bid;
struct mbuf_endpoint;

/**
 * struct mbuf_end_waiter - who waits at an endpoint, or at several
 * @state: MBUF_WAITING, MBUF_DONE, MBUF_GONE; or MBUF_CLAIMED
 * @any: at several: leaving MBUF_WAITING takes a cmpxchg
 * @connect: until the connection is accepted
 * @task: who
 * @end: which endpoint it was
 * @got: what it got, if MBUF_DONE
 */
struct mbuf_end_waiter {
	int state;
	bool any;
	bool connect;
	struct task_struct *task;
	struct mbuf_endpoint *end;
	struct mbuf_taken got;
};

/**
 * struct mbuf_end_driver - an endpoint that a driver has
 * @notify: a signal has come, or the peer has gone. Called under the lock of
 *	the channel, perhaps in a hard interrupt
 */
struct mbuf_end_driver {
	void (*notify)(struct mbuf_end_driver *driver);
};

/**
 * struct mbuf_endpoint - one end of a channel
 * @slot: what the peer wrote last
 * @seq: how often it wrote
 * @seen: @seq when the slot was last read, or waited for
 * @signals: signals since the last wait
 * @side: which of the two it is; constant
 * @flags: MBUF_END_*; constant once it is open
 * @waiter: who waits, or NULL
 * @bond: to the thread it belongs to, or NULL; constant while there is a file
 * @map: the page that shows it to user space, or NULL
 * @bid: what it has offered its peer, or NULL; see offer.h
 * @turn: a step of a negotiation is for it to take
 * @driver: with @kernel, in place of @bond: whom to tell instead of a waiter,
 *	while it is open
 * @kernel: a driver has, or had it
 * @poll: who polls
 * @source: its place in a set
 * @due: what a provider has given it, and it has not claimed; see provide.h
 * @payer: who is charged; holds a reference. NULL when closed
 * @who: who made it; constant once it is open, kept as long as the channel
 * @id: identity; constant
 */
struct mbuf_endpoint {
	u64 slot[SLOT_WORDS];
	u64 seq;
	u64 seen;
	u32 signals;
	u8 side;
	u8 flags;
	bool kernel;
	bool turn;
	struct mbuf_end_waiter *waiter;
	union {
		struct mbuf_bond *bond;
		struct mbuf_end_driver *driver;
	};
	struct page *map;
	struct mbuf_bid *bid;
	wait_queue_head_t poll;
	struct mbuf_source source;
	struct mbuf_bid *due;
	struct mbuf_account *payer;
	struct mbuf_identity who;
	u64 id;
};

/**
 * struct mbuf_channel - a channel
 * @lock: protects all that is not constant; see channel.h
 * @status: STATUS_*; read without the lock by sets
 * @ref: references
 * @given: each endpoint: there is a send right for it, see channel_give.c
 * @pending: while it waits to be accepted: the listener's
 * @pair: place of the endpoints in the registry, of each while somebody has it
 * @end: the endpoints
 */
struct mbuf_channel {
	raw_spinlock_t lock;
	u32 status;
	refcount_t ref;
	bool given[2];
	struct mbuf_pending pending;
	struct mbuf_pair pair;
	struct mbuf_endpoint end[2];
};

struct mbuf_gift;

extern const struct file_operations mbuf_end_fops;
extern const struct mbuf_kind mbuf_end_kind;

long mbuf_end_give_right(struct mbuf_endpoint *end, void __user *arg,
			 size_t size);
long mbuf_end_given(struct mbuf_endpoint *end, void __user *arg, size_t size);
struct mbuf_gift *mbuf_end_drop_given(struct mbuf_channel *c,
				      unsigned int side);
void mbuf_gift_free(struct mbuf_gift *gift);
struct mbuf_account *mbuf_end_payer_get(struct mbuf_endpoint *end);
void mbuf_end_tell(struct mbuf_endpoint *end, __poll_t events,
		   struct mbuf_kick *kick);
void mbuf_end_map_update(struct mbuf_endpoint *end);
int mbuf_end_mmap(struct file *file, struct vm_area_struct *vma);
int mbuf_channel_advance(struct mbuf_channel *c, u32 from, bool ask,
			 struct mbuf_kick *kick);
void mbuf_channel_approved(struct mbuf_channel *c);
int mbuf_end_detach(struct mbuf_endpoint *end, struct mbuf_set *set);
void __mbuf_end_signal(struct mbuf_endpoint *end, u32 n,
		       struct mbuf_kick *kick);
void mbuf_end_pollers(struct mbuf_endpoint *end, struct mbuf_kick *kick);
void mbuf_end_unwait(struct mbuf_endpoint *end, struct mbuf_end_waiter *w);
void mbuf_end_adopt(struct mbuf_channel *c, unsigned int side,
		    struct mbuf_end_driver *driver, bool tell);
int mbuf_end_check_steps(struct mbuf_channel *c, struct mbuf_endpoint *end,
			 unsigned int steps);
bool mbuf_end_who(struct mbuf_endpoint *end, struct mbuf_identity *who);
void mbuf_end_undo(struct mbuf_endpoint *end, const struct mbuf_taken *got);

static inline struct mbuf_channel *mbuf_end_channel(struct mbuf_endpoint *end)
{
	return end->side ? container_of(end, struct mbuf_channel, end[1]) :
			   container_of(end, struct mbuf_channel, end[0]);
}

static inline struct mbuf_endpoint *mbuf_end_peer(struct mbuf_endpoint *end)
{
	return end->side ? end - 1 : end + 1;
}

/* MBUF_END_* of an endpoint. Under the lock, or a guess. */
static inline u32 mbuf_end_state(const struct mbuf_channel *c,
				 unsigned int side)
{
	u32 status = READ_ONCE(c->status), state = 0;

	if (likely(status == STATUS_LIVE))
		return 0;
	if (!(status & STATUS_OPEN(!side)))
		state |= MBUF_END_CLOSED;
	if (!(status & STATUS_OPEN(side)))
		state |= MBUF_END_DEAD;
	if (status & (STATUS_PENDING | STATUS_ASKING) &&
	    side == MBUF_SIDE_CONNECT)
		state |= MBUF_END_PENDING;
	if (status & STATUS_ASKING && side == MBUF_SIDE_ACCEPT)
		state |= MBUF_END_ASKING;
	if (status & STATUS_REFUSED)
		state |= MBUF_END_REFUSED;
	return state;
}

/* The peer has gone: is there something left to be told? Under the lock. */
static inline bool mbuf_end_unseen(const struct mbuf_endpoint *end)
{
	return end->seen != end->seq;
}

/* Is there something that WAIT would return at once? Under the lock. */
static inline bool mbuf_end_ready(const struct mbuf_channel *c,
				  const struct mbuf_endpoint *end)
{
	return end->signals ||
	       (unlikely(!(c->status & STATUS_OPEN(!end->side))) &&
		mbuf_end_unseen(end));
}

/* After a change to @end. Under the lock. */
static __always_inline void mbuf_end_changed(struct mbuf_endpoint *end)
{
	if (unlikely(end->map))
		mbuf_end_map_update(end);
}

static __always_inline void mbuf_slot_copy(u64 *dst, const u64 *src)
{
	BUILD_BUG_ON(SLOT_WORDS != 4);
	dst[0] = src[0];
	dst[1] = src[1];
	dst[2] = src[2];
	dst[3] = src[3];
}

/* What READ gives, and leaves as if nobody had looked. Under the lock. */
static __always_inline void mbuf_end_peek(const struct mbuf_channel *c,
					  const struct mbuf_endpoint *end,
					  struct mbuf_taken *t)
{
	mbuf_slot_copy(t->slot, end->slot);
	t->seq = end->seq;
	t->seen = end->seen;
	t->signals = end->signals;
	t->state = unlikely(c->status != STATUS_LIVE) ?
		   mbuf_end_state(c, end->side) : 0;
}

/* What READ gives. Under the lock. */
static __always_inline void mbuf_end_look(const struct mbuf_channel *c,
					  struct mbuf_endpoint *end,
					  struct mbuf_taken *t)
{
	mbuf_end_peek(c, end, t);
	WRITE_ONCE(end->seen, end->seq);
}

/* What WAIT gives. Under the lock. */
static __always_inline void mbuf_end_take(const struct mbuf_channel *c,
					  struct mbuf_endpoint *end,
					  struct mbuf_taken *t)
{
	mbuf_end_look(c, end, t);
	WRITE_ONCE(end->signals, 0);
}

/*
 * Give what there is to @w, who waits at @end alone or is claimed. Under the
 * lock. Returns who is to be woken: @w may be gone from here on, but RCU keeps
 * the task.
 */
static __always_inline struct task_struct *
mbuf_end_give(const struct mbuf_channel *c, struct mbuf_endpoint *end,
	      struct mbuf_end_waiter *w)
{
	struct task_struct *task = w->task;

	mbuf_trace(wake, end->id, task->pid);
	mbuf_end_take(c, end, &w->got);
	mbuf_end_changed(end);
	w->end = end;
	end->waiter = NULL;
	/* Pairs with the acquire in mbuf_sleep(). */
	smp_store_release(&w->state, MBUF_DONE);
	return task;
}

/*
 * Give what there is to @w, who is woken by @kick. Under the lock. Returns
 * false if @w got something elsewhere meanwhile.
 */
static __always_inline bool mbuf_end_hand_over(const struct mbuf_channel *c,
					       struct mbuf_endpoint *end,
					       struct mbuf_end_waiter *w,
					       struct mbuf_kick *kick)
{
	if (unlikely(w->any) &&
	    cmpxchg(&w->state, MBUF_WAITING, MBUF_CLAIMED) != MBUF_WAITING)
		return false;
	kick->task[0] = mbuf_end_give(c, end, w);
	return true;
}

/* Write to the slot of @end, the peer's. Under the lock. */
static __always_inline void mbuf_end_write(struct mbuf_endpoint *end,
					   const u64 *data)
{
	mbuf_slot_copy(end->slot, data);
	WRITE_ONCE(end->seq, end->seq + 1);
}

/*
 * Signal @end, the peer, who does not wait, if all there is to do is to count:
 * there are signals already, so sets know, and nobody polls. Under the lock.
 */
static __always_inline bool mbuf_end_count(struct mbuf_endpoint *end)
{
	u32 signals = end->signals;

	if (unlikely(!signals || signals == U32_MAX || end->kernel))
		return false;
	/* See channel.h for why no barrier is needed. */
	if (unlikely(waitqueue_active(&end->poll)))
		return false;
	WRITE_ONCE(end->signals, signals + 1);
	mbuf_end_changed(end);
	return true;
}

/* Signal @end, the peer. Under the lock. */
static __always_inline void mbuf_end_signal(const struct mbuf_channel *c,
					    struct mbuf_endpoint *end,
					    struct mbuf_kick *kick)
{
	struct mbuf_end_waiter *w = end->waiter;

	if (likely(w && !end->signals)) {
		WRITE_ONCE(end->signals, 1);
		if (likely(mbuf_end_hand_over(c, end, w, kick)))
			return;
		WRITE_ONCE(end->signals, 0);
	}
	__mbuf_end_signal(end, 1, kick);
}

#endif /* _MBUF_CHANNEL_PRIV_H */
