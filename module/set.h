/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sets: which of many are ready?
 *
 * A session has a set. What can be waited for together with others (endpoints,
 * accept queues) embeds a struct mbuf_source, which is in one set at most. When
 * a source becomes ready, its object puts it on a list of ready ones. Asking
 * the set looks only at that list.
 *
 * The list may have sources on it that are not ready any more: an object says
 * when it becomes ready, not when that ends. Whoever looks asks the source
 * itself and drops it if it is not. An object reports each change from not
 * ready to ready, after making the change and under its own lock. So either
 * the change is seen by who is about to drop the source, or the source is put
 * back on the list afterwards. Nothing that is ready is ever not on the list.
 *
 * A source can belong to a thread (see bind.h). Such ones are on a list of
 * their own, so that others do not have to step over them: a struct mbuf_room
 * for each thread.
 *
 * Locking: the set's raw spinlock protects lists, sleepers and rooms. It is a
 * leaf: it is taken below the lock of an object, with interrupts disabled, and
 * nothing is taken below it. A source's place in a set, @room, changes under
 * both locks. Who wakes pollers of a set does so under RCU, after dropping all
 * locks; the set's memory is freed after a grace period.
 *
 * Lifetime: a set is alive as long as its session. Its memory stays for as long
 * as anybody holds a reference, which rooms do that are in use.
 */
#ifndef _MBUF_SET_H
#define _MBUF_SET_H

#include <linux/list.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <uapi/linux/mbuf.h>
#include "wait.h"

struct mbuf_set;
struct mbuf_source;
struct mbuf_thread;
struct mbuf_kick;

/**
 * struct mbuf_source_ops - what a set has to know of a kind of object
 * @events: MBUF_EVENT_* that are ready now. Called under the set's lock, may
 *	take none
 * @get: take a reference to the object, so that @detach can be called. Called
 *	under the set's lock, with the source in the set; false if the object is
 *	about to leave the set by itself
 * @detach: take the source out of @set, if it is still in that, and drop the
 *	reference. Called without locks when the set dies
 */
struct mbuf_source_ops {
	u32 (*events)(const struct mbuf_source *src);
	bool (*get)(struct mbuf_source *src);
	void (*detach)(struct mbuf_source *src, struct mbuf_set *set);
};

/**
 * struct mbuf_room - the ready ones of a set that belong together
 * @set: the set
 * @owner: the thread that they belong to, NULL if to all
 * @ready: sources that are ready, or were
 * @nr_ready: how many
 * @users: sources attached here; the room of a thread goes with the last
 * @turn: of a thread: this room is looked at first, not the common one
 * @link: among the rooms of threads of the set
 */
struct mbuf_room {
	struct mbuf_set *set;
	const struct mbuf_thread *owner;
	struct list_head ready;
	unsigned int nr_ready;
	unsigned int users;
	bool turn;
	struct list_head link;
};

/**
 * struct mbuf_source - something that can be in a set
 * @ops: its kind; constant
 * @room: where it is attached, NULL if nowhere
 * @cookie: what its user calls it
 * @member: among all of the set
 * @ready: among the ready ones; empty if not there
 */
struct mbuf_source {
	const struct mbuf_source_ops *ops;
	struct mbuf_room *room;
	u64 cookie;
	struct list_head member;
	struct list_head ready;
};

/**
 * struct mbuf_set - sources, and who waits for any of them
 * @lock: protects all else
 * @dead: nothing can be attached any more
 * @ref: references to the memory
 * @free: frees it, after a grace period of RCU
 * @members: all sources
 * @sleepers: who waits, in order
 * @common: the room of sources that belong to no thread
 * @rooms: rooms of threads
 * @poll: who polls the session
 */
struct mbuf_set {
	raw_spinlock_t lock;
	bool dead;
	refcount_t ref;
	void (*free)(struct mbuf_set *set);
	struct list_head members;
	struct list_head sleepers;
	struct mbuf_room common;
	struct list_head rooms;
	wait_queue_head_t poll;
};

void mbuf_source_init(struct mbuf_source *src,
		      const struct mbuf_source_ops *ops);
void mbuf_set_init(struct mbuf_set *set, void (*free)(struct mbuf_set *set));
void mbuf_set_kill(struct mbuf_set *set);
void mbuf_set_put(struct mbuf_set *set);

struct mbuf_room *mbuf_set_room(struct mbuf_set *set,
				const struct mbuf_thread *owner);
void mbuf_set_room_put(struct mbuf_room *room);
bool mbuf_set_attach(struct mbuf_source *src, struct mbuf_room *room,
		     u64 cookie, struct mbuf_kick *kick);
struct mbuf_room *mbuf_set_detach(struct mbuf_source *src);
void __mbuf_source_ready(struct mbuf_source *src, struct mbuf_kick *kick);

int mbuf_set_wait(struct mbuf_set *set, struct mbuf_event *events,
		  unsigned int nr, const struct mbuf_deadline *deadline);
bool mbuf_set_ready(struct mbuf_set *set);
void mbuf_set_pass_on(struct mbuf_set *set);

/**
 * mbuf_set_get() - take a reference to the memory of a set
 * @set: the set
 */
static inline void mbuf_set_get(struct mbuf_set *set)
{
	refcount_inc(&set->ref);
}

/**
 * mbuf_source_ready() - a source may have become ready
 * @src: the source
 * @kick: whom to wake later
 *
 * Context: under the object's lock, interrupts disabled.
 */
static inline void mbuf_source_ready(struct mbuf_source *src,
				     struct mbuf_kick *kick)
{
	if (src->room)
		__mbuf_source_ready(src, kick);
}

/**
 * mbuf_source_pollers() - who polls the set that a source is in
 * @src: the source
 * @kick: whom to wake later
 *
 * Context: under the object's lock.
 */
static inline void mbuf_source_pollers(struct mbuf_source *src,
				       struct mbuf_kick *kick)
{
	/* The room changes under the object's lock, too. */
	if (src->room && waitqueue_active(&src->room->set->poll)) {
		kick->poll[1] = &src->room->set->poll;
		kick->events[1] = EPOLLIN | EPOLLRDNORM;
	}
}

#endif /* _MBUF_SET_H */
