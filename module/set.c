// SPDX-License-Identifier: GPL-2.0
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "bind.h"
#include "set.h"

/* Sources that are looked at without letting interrupts in. */
#define LOOK_MAX	64

/**
 * struct mbuf_sleeper - who waits for any source of a set
 * @link: among the sleepers of the set; empty once chosen
 * @task: who
 * @owner: what that is to rooms of threads, NULL if nothing
 * @state: MBUF_WAITING, or MBUF_DONE once chosen
 */
struct mbuf_sleeper {
	struct list_head link;
	struct task_struct *task;
	const struct mbuf_thread *owner;
	int state;
};

/**
 * mbuf_source_init() - prepare a source that is in no set
 * @src: the source
 * @ops: its kind
 */
void mbuf_source_init(struct mbuf_source *src,
		      const struct mbuf_source_ops *ops)
{
	src->ops = ops;
	src->room = NULL;
	src->cookie = 0;
	INIT_LIST_HEAD(&src->member);
	INIT_LIST_HEAD(&src->ready);
}

static void room_init(struct mbuf_room *room, struct mbuf_set *set,
		      const struct mbuf_thread *owner)
{
	room->set = set;
	room->owner = owner;
	INIT_LIST_HEAD(&room->ready);
	room->nr_ready = 0;
	room->users = 0;
	room->turn = false;
	INIT_LIST_HEAD(&room->link);
}

/**
 * mbuf_set_init() - prepare a set
 * @set: the set; the caller has the first reference
 * @free: frees its memory, after a grace period of RCU. Called without locks,
 *	but perhaps with preemption disabled
 */
void mbuf_set_init(struct mbuf_set *set, void (*free)(struct mbuf_set *set))
{
	raw_spin_lock_init(&set->lock);
	set->dead = false;
	refcount_set(&set->ref, 1);
	set->free = free;
	INIT_LIST_HEAD(&set->members);
	INIT_LIST_HEAD(&set->sleepers);
	room_init(&set->common, set, NULL);
	INIT_LIST_HEAD(&set->rooms);
	init_waitqueue_head(&set->poll);
}

/**
 * mbuf_set_kill() - detach all, for ever
 * @set: the set, in which nobody sleeps
 *
 * Context: process context, may sleep. The caller still has its reference.
 */
void mbuf_set_kill(struct mbuf_set *set)
{
	struct mbuf_source *src;
	bool got;

	for (;;) {
		raw_spin_lock_irq(&set->lock);
		set->dead = true;
		src = list_first_entry_or_null(&set->members,
					       struct mbuf_source, member);
		got = src && src->ops->get(src);
		raw_spin_unlock_irq(&set->lock);
		if (!src)
			break;
		if (got)
			src->ops->detach(src, set);
		cond_resched();
	}
}

/**
 * mbuf_set_put() - drop a reference to the memory of a set
 * @set: the set
 */
void mbuf_set_put(struct mbuf_set *set)
{
	if (refcount_dec_and_test(&set->ref))
		set->free(set);
}

static struct mbuf_room *room_find(struct mbuf_set *set,
				   const struct mbuf_thread *owner)
{
	struct mbuf_room *room;

	list_for_each_entry(room, &set->rooms, link) {
		if (room->owner == owner)
			return room;
	}
	return NULL;
}

/**
 * mbuf_set_room() - where to attach a source
 * @set: the set
 * @owner: the thread that the source belongs to, NULL if to all. The source
 *	has a bond to it for as long as it is attached
 *
 * Context: process context, may sleep.
 * Return: the room, which mbuf_set_room_put() has to be called for if nothing
 * was attached, or when it has been detached; NULL if there is no memory.
 */
struct mbuf_room *mbuf_set_room(struct mbuf_set *set,
				const struct mbuf_thread *owner)
{
	struct mbuf_room *room, *new = NULL;

	if (owner) {
		new = kmalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
		if (!new)
			return NULL;
		room_init(new, set, owner);
	}
	raw_spin_lock_irq(&set->lock);
	room = owner ? room_find(set, owner) : &set->common;
	if (!room) {
		list_add(&new->link, &set->rooms);
		room = new;
		new = NULL;
	}
	room->users++;
	mbuf_set_get(set);
	raw_spin_unlock_irq(&set->lock);
	kfree(new);
	return room;
}

/**
 * mbuf_set_room_put() - the opposite of mbuf_set_room()
 * @room: the room, or NULL
 *
 * Context: process context, no locks held.
 */
void mbuf_set_room_put(struct mbuf_room *room)
{
	struct mbuf_set *set;
	bool last;

	if (!room)
		return;
	set = room->set;
	raw_spin_lock_irq(&set->lock);
	last = !--room->users && room->owner;
	if (last)
		list_del(&room->link);
	raw_spin_unlock_irq(&set->lock);
	if (last)
		kfree(room);
	mbuf_set_put(set);
}

/* Under the set's lock. */
static void source_unready(struct mbuf_source *src)
{
	if (!list_empty(&src->ready)) {
		list_del_init(&src->ready);
		src->room->nr_ready--;
	}
}

/**
 * mbuf_set_attach() - put a source into a set
 * @src: the source, in no set
 * @room: where to
 * @cookie: what its user calls it
 * @kick: whom to wake later
 *
 * Context: under the object's lock, interrupts disabled.
 * Return: false if the set is dead.
 */
bool mbuf_set_attach(struct mbuf_source *src, struct mbuf_room *room,
		     u64 cookie, struct mbuf_kick *kick)
{
	struct mbuf_set *set = room->set;
	bool ok;

	raw_spin_lock(&set->lock);
	ok = !set->dead;
	if (ok) {
		src->room = room;
		src->cookie = cookie;
		list_add_tail(&src->member, &set->members);
	}
	raw_spin_unlock(&set->lock);
	if (ok && src->ops->events(src))
		__mbuf_source_ready(src, kick);
	return ok;
}

/**
 * mbuf_set_detach() - take a source out of its set
 * @src: the source
 *
 * Context: under the object's lock, interrupts disabled.
 * Return: the room it was in, to be given to mbuf_set_room_put(); NULL if it
 * was in no set.
 */
struct mbuf_room *mbuf_set_detach(struct mbuf_source *src)
{
	struct mbuf_room *room = src->room;

	if (!room)
		return NULL;
	raw_spin_lock(&room->set->lock);
	source_unready(src);
	list_del_init(&src->member);
	src->room = NULL;
	raw_spin_unlock(&room->set->lock);
	return room;
}

/*
 * Choose one who sleeps, for what is in @room. Under the set's lock. Returns
 * the task to be woken.
 */
static struct task_struct *set_choose(struct mbuf_set *set,
				      const struct mbuf_room *room)
{
	struct mbuf_sleeper *s;

	list_for_each_entry(s, &set->sleepers, link) {
		struct task_struct *task = s->task;

		if (room->owner && room->owner != s->owner)
			continue;
		list_del_init(&s->link);
		/* Pairs with the acquire in mbuf_sleep(). */
		smp_store_release(&s->state, MBUF_DONE);
		return task;
	}
	return NULL;
}

/**
 * __mbuf_source_ready() - a source in a set has become ready
 * @src: the source
 * @kick: whom to wake later
 *
 * Context: under the object's lock, interrupts disabled.
 */
void __mbuf_source_ready(struct mbuf_source *src, struct mbuf_kick *kick)
{
	struct mbuf_room *room = src->room;
	struct mbuf_set *set = room->set;

	raw_spin_lock(&set->lock);
	if (list_empty(&src->ready)) {
		list_add_tail(&src->ready, &room->ready);
		room->nr_ready++;
	}
	kick->task[1] = set_choose(set, room);
	/*
	 * A poller enters the waitqueue before it takes the lock to look, so
	 * it is seen here or sees what is ready.
	 */
	if (waitqueue_active(&set->poll)) {
		kick->poll[1] = &set->poll;
		kick->events[1] = EPOLLIN | EPOLLRDNORM;
	}
	raw_spin_unlock(&set->lock);
}

/*
 * Move what is ready in @room to @events, in turn, and drop what is not ready.
 * Looks at LOOK_MAX at most, and at *@left at most. Under the set's lock.
 */
static unsigned int room_collect(struct mbuf_room *room,
				 struct mbuf_event *events, unsigned int nr,
				 unsigned int *left)
{
	unsigned int found = 0, looked = 0;

	while (found < nr && *left && looked++ < LOOK_MAX &&
	       !list_empty(&room->ready)) {
		struct mbuf_source *src =
			list_first_entry(&room->ready, struct mbuf_source,
					 ready);
		u32 now = src->ops->events(src);

		--*left;
		if (!now) {
			source_unready(src);
			continue;
		}
		list_move_tail(&src->ready, &room->ready);
		events[found].cookie = src->cookie;
		events[found].events = now;
		events[found].resv = 0;
		found++;
	}
	return found;
}

/*
 * Is anything in @room ready? Drops what is not. Under the set's lock, which
 * it may let go for a moment.
 */
static bool room_ready(struct mbuf_room *room)
{
	unsigned int looked = 0;

	while (!list_empty(&room->ready)) {
		struct mbuf_source *src =
			list_first_entry(&room->ready, struct mbuf_source,
					 ready);

		if (src->ops->events(src))
			return true;
		source_unready(src);
		if (++looked >= LOOK_MAX)
			break;
	}
	/* What has not been looked at yet is said to be ready: look again. */
	return !list_empty(&room->ready);
}

/* What of the set is for the current task. Under the set's lock. */
static struct mbuf_room *set_own_room(struct mbuf_set *set)
{
	const struct mbuf_thread *me;

	if (list_empty(&set->rooms))
		return NULL;
	me = mbuf_bind_current();
	return me ? room_find(set, me) : NULL;
}

/*
 * What is the thread's own and what is everybody's take turns, for each thread
 * on its own. Is it the turn of the former?
 */
static bool set_turn(struct mbuf_set *set)
{
	struct mbuf_room *own;
	bool first = false;

	/* Without the lock: a room that comes now can have its turn next time. */
	if (list_empty(&set->rooms))
		return false;
	raw_spin_lock_irq(&set->lock);
	own = set_own_room(set);
	if (own) {
		first = own->turn;
		own->turn = !first;
	}
	raw_spin_unlock_irq(&set->lock);
	return first;
}

static unsigned int set_collect(struct mbuf_set *set, bool own,
				struct mbuf_event *events, unsigned int nr)
{
	unsigned int found = 0, left = UINT_MAX;

	while (left && found < nr) {
		struct mbuf_room *room = &set->common;
		unsigned int got = 0;

		raw_spin_lock_irq(&set->lock);
		/* It can go, with its last source, whenever the lock is free. */
		if (own)
			room = set_own_room(set);
		if (!room || list_empty(&room->ready)) {
			left = 0;
		} else {
			left = min(left, room->nr_ready);
			got = room_collect(room, events + found, nr - found,
					   &left);
		}
		raw_spin_unlock_irq(&set->lock);
		found += got;
	}
	return found;
}

/**
 * mbuf_set_pass_on() - let somebody else who sleeps have a look
 * @set: the set
 *
 * For who was told what is ready, but cannot make use of it.
 *
 * Context: process context.
 */
void mbuf_set_pass_on(struct mbuf_set *set)
{
	struct mbuf_kick kick;

	mbuf_kick_begin(&kick);
	raw_spin_lock_irq(&set->lock);
	if (!list_empty(&set->sleepers) && room_ready(&set->common))
		kick.task[0] = set_choose(set, &set->common);
	raw_spin_unlock_irq(&set->lock);
	mbuf_kick_end(&kick);
}

/**
 * mbuf_set_ready() - would mbuf_set_wait() not have to wait?
 * @set: the set
 *
 * Context: process context.
 * Return: true if something is ready for the current task.
 */
bool mbuf_set_ready(struct mbuf_set *set)
{
	struct mbuf_room *own;
	bool ready;

	raw_spin_lock_irq(&set->lock);
	own = set_own_room(set);
	ready = room_ready(&set->common) || (own && room_ready(own));
	raw_spin_unlock_irq(&set->lock);
	return ready;
}

/**
 * mbuf_set_wait() - wait until something is ready
 * @set: the set
 * @events: what is ready
 * @nr: room in @events
 * @deadline: how long to wait
 *
 * Context: process context, may sleep.
 * Return: how many, at least 1; -EAGAIN, -ETIMEDOUT, -ERESTARTSYS.
 */
int mbuf_set_wait(struct mbuf_set *set, struct mbuf_event *events,
		  unsigned int nr, const struct mbuf_deadline *deadline)
{
	struct mbuf_sleeper me = {
		.task = current,
		.owner = mbuf_bind_current(),
	};
	struct mbuf_room *own;
	unsigned int found;
	bool ready, chosen, own_first;
	int err = 0;

	for (;;) {
		own_first = set_turn(set);
		found = set_collect(set, own_first, events, nr);
		found += set_collect(set, !own_first, events + found,
				     nr - found);
		if (found) {
			/* There may be work for others, too. */
			if (found == nr || fatal_signal_pending(current))
				mbuf_set_pass_on(set);
			return found;
		}
		if (err)
			return err;
		if (deadline->mode == MBUF_WAIT_NOW)
			return -EAGAIN;

		raw_spin_lock_irq(&set->lock);
		own = set_own_room(set);
		ready = room_ready(&set->common) || (own && room_ready(own));
		if (!ready) {
			me.state = MBUF_WAITING;
			list_add_tail(&me.link, &set->sleepers);
		}
		raw_spin_unlock_irq(&set->lock);
		if (ready) {
			cond_resched();
			if (fatal_signal_pending(current))
				return -ERESTARTSYS;
			continue;
		}

		err = mbuf_sleep(&me.state, deadline);

		raw_spin_lock_irq(&set->lock);
		chosen = me.state != MBUF_WAITING;
		if (!chosen)
			list_del(&me.link);
		raw_spin_unlock_irq(&set->lock);
		/*
		 * Who was chosen and leaves without looking would let the
		 * others sleep on.
		 */
		if (chosen)
			err = 0;
	}
}
