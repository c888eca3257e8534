// SPDX-License-Identifier: GPL-2.0
/* Names, and what waits to be accepted. */
#include <linux/hashtable.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include "listener_priv.h"
#include "trace.h"

/* Names */

static DEFINE_SPINLOCK(names_lock);
static DEFINE_HASHTABLE(names, 10);
static siphash_key_t names_key __ro_after_init;

/* Users choose names, but not the chain they end up in. */
static u32 name_hash(const u8 *name, size_t len)
{
	return siphash(name, len, &names_key);
}

/* Under RCU, or names_lock. */
static struct mbuf_listener *name_find(const struct net *net, const u8 *name,
				       size_t len, u32 hash)
{
	struct mbuf_listener *l;

	hash_for_each_possible_rcu(names, l, node, hash,
				   lockdep_is_held(&names_lock)) {
		if (l->hash == hash && l->len == len &&
		    net_eq(l->net, net) && !memcmp(l->name, name, len) &&
		    READ_ONCE(l->state) != LISTENER_DEAD)
			return l;
	}
	return NULL;
}

/**
 * mbuf_name_insert() - give a new listener its name
 * @l: the listener
 *
 * Return: 0, or -EADDRINUSE.
 */
int mbuf_name_insert(struct mbuf_listener *l)
{
	int err = 0;

	spin_lock(&names_lock);
	if (name_find(l->net, l->name, l->len, l->hash))
		err = -EADDRINUSE;
	else
		hash_add_rcu(names, &l->node, l->hash);
	spin_unlock(&names_lock);
	return err;
}

static void name_remove(struct mbuf_listener *l)
{
	spin_lock(&names_lock);
	hash_del_rcu(&l->node);
	spin_unlock(&names_lock);
}

/* Queues. All of these are called under the listener's lock. */

static bool acceptor_has_room(const struct mbuf_acceptor *q)
{
	return q->open && q->nr_pending < q->backlog;
}

/* After a change to whether there is room. */
static void acceptor_recount(struct mbuf_acceptor *q, bool had_room)
{
	struct mbuf_listener *l = q->listener;
	bool has_room = acceptor_has_room(q);

	if (has_room && !had_room)
		WRITE_ONCE(l->nr_free, l->nr_free + 1);
	else if (!has_room && had_room)
		WRITE_ONCE(l->nr_free, l->nr_free - 1);
}

static void acceptor_tell(struct mbuf_acceptor *q, __poll_t events,
			  struct mbuf_kick *kick)
{
	unsigned long flags;

	if (q->driver) {
		q->driver->notify(q->driver);
		return;
	}
	/* No barrier: who polls enters before it takes the lock to look. */
	if (waitqueue_active(&q->poll)) {
		kick->poll[0] = &q->poll;
		kick->events[0] = events;
	}
	local_irq_save(flags);
	mbuf_source_ready(&q->source, kick);
	local_irq_restore(flags);
}

static struct mbuf_room *acceptor_detach(struct mbuf_acceptor *q)
{
	struct mbuf_room *room;
	unsigned long flags;

	local_irq_save(flags);
	room = mbuf_set_detach(&q->source);
	local_irq_restore(flags);
	return room;
}

static void pending_enter(struct mbuf_pending *p, struct mbuf_acceptor *q,
			  bool first, struct mbuf_kick *kick)
{
	bool had_room = acceptor_has_room(q);

	if (first)
		list_add(&p->link, &q->pending);
	else
		list_add_tail(&p->link, &q->pending);
	p->queue = q;
	WRITE_ONCE(q->nr_pending, q->nr_pending + 1);
	acceptor_recount(q, had_room);
	/* One for each connection: they are for several threads to take. */
	acceptor_tell(q, EPOLLIN | EPOLLRDNORM, kick);
}

static void pending_leave(struct mbuf_pending *p)
{
	struct mbuf_acceptor *q = p->queue;
	bool had_room = acceptor_has_room(q);

	list_del_init(&p->link);
	p->queue = NULL;
	WRITE_ONCE(q->nr_pending, q->nr_pending - 1);
	acceptor_recount(q, had_room);
}

static struct mbuf_pending *acceptor_first(struct mbuf_acceptor *q)
{
	return list_first_entry_or_null(&q->pending, struct mbuf_pending,
					link);
}

/* Waiters. Likewise. */

/**
 * struct mbuf_accept_waiter - who waits for a connection
 * @turn: among all who wait at the listener
 * @place: among those at the queue
 * @queue: the queue
 * @task: who
 * @state: MBUF_WAITING, MBUF_DONE, MBUF_GONE
 * @got: with MBUF_DONE: the connection
 */
struct mbuf_accept_waiter {
	struct list_head turn;
	struct list_head place;
	struct mbuf_acceptor *queue;
	struct task_struct *task;
	int state;
	struct mbuf_pending *got;
};

/* Who was handed one that turned out to be none has waited before. */
static void waiter_add(struct mbuf_accept_waiter *w, bool again)
{
	struct mbuf_acceptor *q = w->queue;
	struct mbuf_listener *l = q->listener;

	if (again) {
		list_add(&w->turn, &l->waiters);
		list_add(&w->place, &q->waiters);
	} else {
		list_add_tail(&w->turn, &l->waiters);
		list_add_tail(&w->place, &q->waiters);
	}
	q->nr_waiters++;
	WRITE_ONCE(l->nr_waiters, l->nr_waiters + 1);
}

static void waiter_del(struct mbuf_accept_waiter *w)
{
	struct mbuf_acceptor *q = w->queue;
	struct mbuf_listener *l = q->listener;

	list_del(&w->turn);
	list_del(&w->place);
	q->nr_waiters--;
	WRITE_ONCE(l->nr_waiters, l->nr_waiters - 1);
}

static void waiter_finish(struct mbuf_accept_waiter *w, int state,
			  struct mbuf_pending *p, struct mbuf_kick *kick)
{
	waiter_del(w);
	trace_mbuf_wake(w->queue->id, w->task->pid);
	w->got = p;
	kick->task[0] = w->task;
	/*
	 * From here on @w may be gone. Pairs with the acquire in mbuf_sleep();
	 * RCU keeps the task.
	 */
	smp_store_release(&w->state, state);
}

/* Who has waited longest for a connection, at any queue. */
static struct mbuf_accept_waiter *listener_waiter(struct mbuf_listener *l)
{
	return list_first_entry_or_null(&l->waiters, struct mbuf_accept_waiter,
					turn);
}

/* Who has waited longest at one queue. */
static struct mbuf_accept_waiter *acceptor_waiter(struct mbuf_acceptor *q)
{
	return list_first_entry_or_null(&q->waiters, struct mbuf_accept_waiter,
					place);
}

/* Placing. Likewise. */

static struct mbuf_acceptor *listener_choose(struct mbuf_listener *l)
{
	struct mbuf_acceptor *q, *best = NULL;

	list_for_each_entry(q, &l->queues, link) {
		if (!acceptor_has_room(q) ||
		    (best && q->nr_pending >= best->nr_pending))
			continue;
		best = q;
		if (!q->nr_pending)
			break;
	}
	/* Of those that have equally few, another one the next time. */
	if (best)
		list_move_tail(&best->link, &l->queues);
	return best;
}

static int listener_place(struct mbuf_listener *l, struct mbuf_pending *p,
			  struct mbuf_kick *kick)
{
	struct mbuf_accept_waiter *w = listener_waiter(l);
	struct mbuf_acceptor *q;

	if (w) {
		waiter_finish(w, MBUF_DONE, p, kick);
		return 0;
	}
	q = listener_choose(l);
	if (!q)
		return -EAGAIN;
	pending_enter(p, q, false, kick);
	return 0;
}

/* Is a connection that is in none of the queues still to be accepted? */
static int pending_recheck(struct mbuf_listener *l, struct mbuf_pending *p)
{
	struct mbuf_channel *c = mbuf_pending_channel(p);
	const struct mbuf_identity *who = mbuf_channel_connector(c);

	if (l->state != LISTENER_OPEN)
		return -ECONNREFUSED;
	/*
	 * Who closed it before we had the lock found it in no queue; who does
	 * so later will find it where it is about to be put.
	 */
	if (mbuf_channel_withdrawn(c))
		return -ECONNABORTED;
	/* Drivers are nobody. */
	if (who->pid && mbuf_policy_denies(rcu_dereference(l->policy),
					   who->uid))
		return -EACCES;
	return 0;
}

/* What becomes of connections, without locks */

/**
 * mbuf_pending_done() - drop the references of one that is in no queue
 * @p: its place, of which it is no longer known that it exists
 *
 * Context: process context, may sleep.
 */
void mbuf_pending_done(struct mbuf_pending *p)
{
	struct mbuf_listener *l = rcu_dereference_protected(p->listener, true);

	/* Before the reference goes: see mbuf_listener_withdraw(). */
	RCU_INIT_POINTER(p->listener, NULL);
	mbuf_channel_put(mbuf_pending_channel(p));
	mbuf_listener_put(l);
}

/* @why: what was decided under the lock. */
static void pending_refuse(struct mbuf_listener *l, struct mbuf_pending *p,
			   int why)
{
	switch (why) {
	case -EACCES:
		this_cpu_inc(l->stats->denied);
		break;
	case -EAGAIN:
		this_cpu_inc(l->stats->overflowed);
		break;
	case -ECONNABORTED:
		this_cpu_inc(l->stats->withdrawn);
		break;
	}
	mbuf_end_close(mbuf_pending_channel(p), MBUF_SIDE_ACCEPT);
	mbuf_pending_done(p);
}

/**
 * mbuf_listener_withdraw() - a connection ends before it was accepted
 * @c: the channel, pending or asking, whose connecting end has been closed
 *
 * Context: process context, may sleep.
 */
void mbuf_listener_withdraw(struct mbuf_channel *c)
{
	struct mbuf_pending *p = mbuf_channel_pending(c);
	struct mbuf_listener *l;
	bool queued;

	rcu_read_lock();
	l = rcu_dereference(p->listener);
	if (l && !refcount_inc_not_zero(&l->ref))
		l = NULL;
	rcu_read_unlock();
	if (!l)
		return;

	spin_lock(&l->lock);
	queued = p->queue;
	if (queued)
		pending_leave(p);
	spin_unlock(&l->lock);
	if (queued) {
		this_cpu_inc(l->stats->withdrawn);
		/* Nobody will have that end: what it has been given goes. */
		mbuf_end_close(c, MBUF_SIDE_ACCEPT);
		mbuf_pending_done(p);
	}
	mbuf_listener_put(l);
}

/**
 * mbuf_listener_sweep() - refuse all connections of a user
 * @l: the listener, whose policy denies the user already, so that nothing can
 *	enter any more
 * @uid: the user
 *
 * Context: process context, may sleep; under the mutex for changes.
 */
void mbuf_listener_sweep(struct mbuf_listener *l, kuid_t uid)
{
	struct mbuf_acceptor *q;
	u32 sweep;

	spin_lock(&l->lock);
	sweep = ++l->sweep;
	spin_unlock(&l->lock);
	do {
		struct mbuf_pending *p, *next;
		LIST_HEAD(denied);

		spin_lock(&l->lock);
		/* The order changes whenever the lock is free. */
		list_for_each_entry(q, &l->queues, link) {
			if (q->swept != sweep)
				break;
		}
		if (list_entry_is_head(q, &l->queues, link)) {
			q = NULL;
		} else {
			q->swept = sweep;
			list_for_each_entry_safe(p, next, &q->pending, link) {
				const struct mbuf_identity *who;

				who = mbuf_channel_connector(mbuf_pending_channel(p));
				if (!who->pid || !uid_eq(who->uid, uid))
					continue;
				pending_leave(p);
				list_add_tail(&p->link, &denied);
			}
		}
		spin_unlock(&l->lock);

		list_for_each_entry_safe(p, next, &denied, link) {
			list_del_init(&p->link);
			pending_refuse(l, p, -EACCES);
			cond_resched();
		}
	} while (q);
}

/* Connecting */

/* Under RCU, or under the lock to be sure. */
static int listener_check(struct mbuf_listener *l,
			  const struct mbuf_wish *wish)
{
	bool waited_for;

	if (READ_ONCE(l->state) != LISTENER_OPEN)
		return -ECONNREFUSED;
	/* First, so that who is not meant does not even hear of it. */
	if (uid_valid(wish->maker) && !uid_eq(wish->maker, l->maker))
		return -EACCES;
	if (!wish->driver && mbuf_policy_check(rcu_dereference(l->policy))) {
		this_cpu_inc(l->stats->denied);
		return -EACCES;
	}
	waited_for = READ_ONCE(l->nr_waiters);
	if (!waited_for && !READ_ONCE(l->nr_free)) {
		this_cpu_inc(l->stats->overflowed);
		return -EAGAIN;
	}
	/* A driver is always waiting. */
	if (READ_ONCE(l->own.driver))
		waited_for = true;
	return wish->now && !waited_for ? -EAGAIN : 0;
}

/**
 * mbuf_listener_find() - find a listener that would take a connection
 * @wish: which one
 *
 * Takes no lock, allocates nothing and wakes nobody.
 *
 * Context: process context.
 * Return: the listener, with a reference, or an error pointer: -ECONNREFUSED,
 * -EACCES, -EAGAIN.
 */
struct mbuf_listener *mbuf_listener_find(const struct mbuf_wish *wish)
{
	u32 hash = name_hash(wish->name, wish->len);
	struct mbuf_listener *l;
	int err = -ECONNREFUSED;

	rcu_read_lock();
	l = name_find(wish->net, wish->name, wish->len, hash);
	if (l)
		err = listener_check(l, wish);
	if (!err && !refcount_inc_not_zero(&l->ref))
		err = -ECONNREFUSED;
	rcu_read_unlock();
	return err ? ERR_PTR(err) : l;
}

/**
 * mbuf_listener_queue() - let a channel wait to be accepted
 * @l: the listener
 * @c: the channel, pending, whose connecting end knows who it is
 * @wish: as it was found
 *
 * Context: process context, may sleep.
 * Return: 0, or the errors of mbuf_listener_find().
 */
int mbuf_listener_queue(struct mbuf_listener *l, struct mbuf_channel *c,
			const struct mbuf_wish *wish)
{
	struct mbuf_pending *p = mbuf_channel_pending(c);
	struct mbuf_kick kick;
	int err;

	mbuf_channel_get(c);
	refcount_inc(&l->ref);
	RCU_INIT_POINTER(p->listener, l);

	mbuf_kick_begin(&kick);
	spin_lock(&l->lock);
	err = listener_check(l, wish) ?: listener_place(l, p, &kick);
	spin_unlock(&l->lock);
	mbuf_kick_end(&kick);
	trace_mbuf_connect(mbuf_channel_connector_id(c), l->id, err);
	if (err)
		mbuf_pending_done(p);
	return err;
}

/* Accepting */

/**
 * mbuf_acceptor_take() - take a connection out of a queue
 * @q: the queue, whose file the caller has
 * @deadline: how long to wait for one
 * @again: the caller has been waiting until now, for one that was withdrawn
 *
 * Context: process context, may sleep.
 * Return: the connection, in no queue, or an error pointer: -EPIPE if the
 * listener is gone, -EAGAIN, -ETIMEDOUT, -ERESTARTSYS.
 */
struct mbuf_pending *mbuf_acceptor_take(struct mbuf_acceptor *q,
					const struct mbuf_deadline *deadline,
					bool again)
{
	struct mbuf_accept_waiter w = {
		.queue = q,
		.task = current,
		.state = MBUF_WAITING,
	};
	struct mbuf_listener *l = q->listener;
	struct mbuf_pending *p;
	int err = 0;

	spin_lock(&l->lock);
	p = acceptor_first(q);
	if (p)
		pending_leave(p);
	else if (l->state != LISTENER_OPEN)
		err = -EPIPE;
	else if (deadline->mode == MBUF_WAIT_NOW)
		err = -EAGAIN;
	else
		waiter_add(&w, again);
	spin_unlock(&l->lock);
	if (!p && !err)
		trace_mbuf_block(q->id, MBUF_TRACE_ACCEPT);
	if (p)
		return p;
	if (err)
		return ERR_PTR(err);

	err = mbuf_sleep(&w.state, deadline);
	if (err) {
		spin_lock(&l->lock);
		/* What has been decided meanwhile counts. */
		if (w.state == MBUF_WAITING)
			waiter_del(&w);
		else
			err = 0;
		spin_unlock(&l->lock);
	}
	if (err)
		return ERR_PTR(err);
	return w.state == MBUF_DONE ? w.got : ERR_PTR(-EPIPE);
}

/**
 * mbuf_acceptor_put_back() - a connection could not be accepted
 * @q: where it was taken from; the caller has its file
 * @p: the connection
 *
 * Context: process context, may sleep.
 */
void mbuf_acceptor_put_back(struct mbuf_acceptor *q, struct mbuf_pending *p)
{
	struct mbuf_listener *l = q->listener;
	struct mbuf_accept_waiter *w;
	struct mbuf_kick kick;
	int err;

	mbuf_kick_begin(&kick);
	spin_lock(&l->lock);
	err = pending_recheck(l, p);
	w = acceptor_waiter(q);
	if (!err && w)
		waiter_finish(w, MBUF_DONE, p, &kick);
	else if (!err)
		pending_enter(p, q, true, &kick);
	spin_unlock(&l->lock);
	mbuf_kick_end(&kick);
	if (err)
		pending_refuse(l, p, err);
}

/* Birth and death of queues */

static const struct mbuf_charge acceptor_charge = {
	.n = {
		[MBUF_RES_OBJECTS] = 1,
		[MBUF_RES_MEMORY] = sizeof(struct mbuf_acceptor),
	},
};

/**
 * mbuf_acceptor_put() - drop a reference
 * @q: the queue
 *
 * Context: process context, may sleep.
 */
void mbuf_acceptor_put(struct mbuf_acceptor *q)
{
	struct mbuf_listener *l = q->listener;

	if (!refcount_dec_and_test(&q->ref))
		return;
	if (q != &l->own) {
		mbuf_uncharge(l->payer, &acceptor_charge);
		kfree_rcu(q, rcu);
	}
	mbuf_listener_put(l);
}

static u32 acceptor_events(const struct mbuf_source *src)
{
	const struct mbuf_acceptor *q =
		container_of(src, struct mbuf_acceptor, source);
	u32 events = READ_ONCE(q->nr_pending) ? MBUF_EVENT_IN : 0;

	if (READ_ONCE(q->listener->state) == LISTENER_DEAD)
		events |= MBUF_EVENT_HUP;
	return events;
}

static bool acceptor_source_get(struct mbuf_source *src)
{
	return refcount_inc_not_zero(&container_of(src, struct mbuf_acceptor,
						   source)->ref);
}

static void acceptor_source_detach(struct mbuf_source *src,
				   struct mbuf_set *set)
{
	struct mbuf_acceptor *q = container_of(src, struct mbuf_acceptor,
					       source);

	mbuf_acceptor_detach(q, set);
	mbuf_acceptor_put(q);
}

static const struct mbuf_source_ops acceptor_source_ops = {
	.events	= acceptor_events,
	.get	= acceptor_source_get,
	.detach	= acceptor_source_detach,
};

/**
 * mbuf_acceptor_drive() - give a queue to a driver, or take it away
 * @q: the queue
 * @driver: whom to tell from now on; NULL: nobody any more
 *
 * Context: process context.
 */
void mbuf_acceptor_drive(struct mbuf_acceptor *q,
			 struct mbuf_accept_driver *driver)
{
	struct mbuf_listener *l = q->listener;

	spin_lock(&l->lock);
	WRITE_ONCE(q->driver, driver);
	spin_unlock(&l->lock);
}

/**
 * mbuf_acceptor_attach() - put a queue into a set
 * @q: the queue, whose file the caller has
 * @set: the set
 * @cookie: what POLL_ALL shall call it
 * @move: take it out of the set it is in
 *
 * Context: process context, may sleep.
 * Return: 0, -EBUSY, -ENOMEM.
 */
int mbuf_acceptor_attach(struct mbuf_acceptor *q, struct mbuf_set *set,
			 u64 cookie, bool move)
{
	struct mbuf_listener *l = q->listener;
	struct mbuf_room *room, *unused;
	struct mbuf_kick kick;
	unsigned long flags;
	int err = 0;

	room = mbuf_set_room(set, NULL);
	if (!room)
		return -ENOMEM;
	unused = room;

	mbuf_kick_begin(&kick);
	spin_lock(&l->lock);
	if (q->source.room && !move) {
		err = -EBUSY;
	} else {
		unused = acceptor_detach(q);
		local_irq_save(flags);
		/* A set that has died meanwhile is as good as none. */
		if (!mbuf_set_attach(&q->source, room, cookie, &kick))
			unused = room;
		local_irq_restore(flags);
	}
	spin_unlock(&l->lock);
	mbuf_kick_end(&kick);
	mbuf_set_room_put(unused);
	return err;
}

/**
 * mbuf_acceptor_detach() - take a queue out of a set
 * @q: the queue
 * @set: the set
 *
 * Context: process context, may sleep.
 * Return: 0, or -ENOENT if it is not in that.
 */
int mbuf_acceptor_detach(struct mbuf_acceptor *q, struct mbuf_set *set)
{
	struct mbuf_listener *l = q->listener;
	struct mbuf_room *room = NULL;

	spin_lock(&l->lock);
	if (q->source.room && q->source.room->set == set)
		room = acceptor_detach(q);
	spin_unlock(&l->lock);
	mbuf_set_room_put(room);
	return room ? 0 : -ENOENT;
}

/**
 * mbuf_acceptor_set() - the set that a queue is attached to
 * @q: the queue
 *
 * Context: process context.
 * Return: a reference to it, or NULL.
 */
struct mbuf_set *mbuf_acceptor_set(struct mbuf_acceptor *q)
{
	struct mbuf_listener *l = q->listener;
	struct mbuf_set *set = NULL;

	spin_lock(&l->lock);
	if (q->source.room) {
		/* Attached, so it is alive, and a source of it. */
		set = q->source.room->set;
		mbuf_set_get(set);
	}
	spin_unlock(&l->lock);
	return set;
}

static void acceptor_init(struct mbuf_acceptor *q, struct mbuf_listener *l,
			  u32 backlog)
{
	q->listener = l;
	INIT_LIST_HEAD(&q->link);
	INIT_LIST_HEAD(&q->pending);
	INIT_LIST_HEAD(&q->waiters);
	q->backlog = backlog;
	init_waitqueue_head(&q->poll);
	mbuf_source_init(&q->source, &acceptor_source_ops);
	q->id = mbuf_object_id();
	refcount_set(&q->ref, 1);
}

/**
 * mbuf_acceptor_new() - make another queue of a listener
 * @l: the listener, whose file the caller has
 * @backlog: how many connections it keeps
 *
 * Nothing enters before mbuf_acceptor_open().
 *
 * Context: process context, may sleep.
 * Return: the queue, to be given to mbuf_acceptor_close(), or an error pointer:
 * -ENOSPC, -EDQUOT, -ENOMEM.
 */
struct mbuf_acceptor *mbuf_acceptor_new(struct mbuf_listener *l, u32 backlog)
{
	struct mbuf_acceptor *q;
	bool full;
	int err;

	err = mbuf_charge(l->payer, &acceptor_charge);
	if (err)
		return ERR_PTR(err);
	q = kzalloc(sizeof(*q), GFP_KERNEL_ACCOUNT);
	err = -ENOMEM;
	if (!q)
		goto uncharge;

	spin_lock(&l->lock);
	full = l->nr_queues >= MBUF_QUEUES_MAX;
	l->nr_queues += !full;
	spin_unlock(&l->lock);
	err = -ENOSPC;
	if (full)
		goto free;
	refcount_inc(&l->ref);
	acceptor_init(q, l, backlog);
	return q;

free:
	kfree(q);
uncharge:
	mbuf_uncharge(l->payer, &acceptor_charge);
	return ERR_PTR(err);
}

/* Under the lock. */
static void acceptor_open(struct mbuf_acceptor *q)
{
	struct mbuf_listener *l = q->listener;
	bool had_room = acceptor_has_room(q);

	q->open = true;
	/* What entered elsewhere before is no business of this queue. */
	q->swept = l->sweep;
	list_add(&q->link, &l->queues);
	acceptor_recount(q, had_room);
}

/**
 * mbuf_acceptor_open() - let connections enter
 * @q: the queue, new, of a listener whose file the caller has
 *
 * Context: process context.
 */
void mbuf_acceptor_open(struct mbuf_acceptor *q)
{
	struct mbuf_listener *l = q->listener;

	spin_lock(&l->lock);
	acceptor_open(q);
	spin_unlock(&l->lock);
}

/**
 * mbuf_acceptor_close() - the end of a queue
 * @q: the queue, not the listener's own; its reference is dropped. Nobody waits
 *
 * Context: process context, may sleep.
 */
void mbuf_acceptor_close(struct mbuf_acceptor *q)
{
	struct mbuf_listener *l = q->listener;
	struct mbuf_pending *p;
	struct mbuf_room *room;
	struct mbuf_kick kick;
	bool had_room;
	int err;

	mbuf_node_unlink(&q->node);
	spin_lock(&l->lock);
	had_room = acceptor_has_room(q);
	q->open = false;
	acceptor_recount(q, had_room);
	l->nr_queues--;
	room = acceptor_detach(q);
	spin_unlock(&l->lock);
	mbuf_set_room_put(room);

	/* One by one: there may be thousands, and others want the lock. */
	do {
		mbuf_kick_begin(&kick);
		spin_lock(&l->lock);
		err = 0;
		p = acceptor_first(q);
		if (p) {
			pending_leave(p);
			err = pending_recheck(l, p) ?:
			      listener_place(l, p, &kick);
		} else {
			list_del_init(&q->link);
		}
		spin_unlock(&l->lock);
		mbuf_kick_end(&kick);
		if (err)
			pending_refuse(l, p, err);
		cond_resched();
	} while (p);
	mbuf_acceptor_put(q);
}

/**
 * mbuf_acceptor_set_backlog() - change how many connections a queue keeps
 * @q: the queue, which has a backlog
 * @backlog: how many may enter; not 0
 *
 * Context: process context.
 */
void mbuf_acceptor_set_backlog(struct mbuf_acceptor *q, u32 backlog)
{
	struct mbuf_listener *l = q->listener;
	bool had_room;

	spin_lock(&l->lock);
	had_room = acceptor_has_room(q);
	WRITE_ONCE(q->backlog, backlog);
	acceptor_recount(q, had_room);
	spin_unlock(&l->lock);
}

/* Birth and death of listeners */

static void listener_charge(struct mbuf_charge *charge, u32 len, u32 users)
{
	memset(charge, 0, sizeof(*charge));
	charge->n[MBUF_RES_OBJECTS] = 1;
	charge->n[MBUF_RES_MEMORY] =
		sizeof(struct mbuf_listener) + len +
		num_possible_cpus() * sizeof(struct mbuf_listener_stats) +
		sizeof(struct mbuf_policy) +
		users * sizeof(struct mbuf_acl_user);
}

static void listener_free(struct rcu_head *rcu)
{
	struct mbuf_listener *l = container_of(rcu, struct mbuf_listener, rcu);

	free_percpu(l->stats);
	kvfree(rcu_dereference_protected(l->policy, true));
	kfree(l);
}

/**
 * mbuf_listener_put() - drop a reference
 * @l: the listener
 *
 * Context: process context, may sleep.
 */
void mbuf_listener_put(struct mbuf_listener *l)
{
	struct mbuf_charge charge;

	if (!refcount_dec_and_test(&l->ref))
		return;
	listener_charge(&charge, l->len,
			rcu_dereference_protected(l->policy, true)->nr);
	mbuf_uncharge(l->payer, &charge);
	mbuf_account_put(l->payer);
	call_rcu(&l->rcu, listener_free);
}

/**
 * mbuf_listener_new() - make a listener
 * @patron: for whom
 * @name: its name
 * @len: length of that
 * @backlog: of its own queue; 0: it has none
 * @perms: owner, group and mode
 *
 * It has not got the name yet.
 *
 * Context: process context, may sleep.
 * Return: the listener, to be given to mbuf_listener_close(), or an error
 * pointer: -EDQUOT, -ENOMEM.
 */
struct mbuf_listener *mbuf_listener_new(const struct mbuf_patron *patron,
					const u8 *name, u32 len, u32 backlog,
					const struct mbuf_policy *perms)
{
	gfp_t gfp = patron->payer ? GFP_KERNEL_ACCOUNT : GFP_KERNEL;
	struct mbuf_policy *policy;
	struct mbuf_listener *l;
	struct mbuf_charge charge;
	int err;

	listener_charge(&charge, len, 0);
	err = mbuf_charge(patron->payer, &charge);
	if (err)
		return ERR_PTR(err);
	l = kzalloc(struct_size(l, name, len), gfp);
	if (!l)
		goto uncharge;
	l->stats = alloc_percpu_gfp(struct mbuf_listener_stats, gfp);
	if (!l->stats)
		goto free;
	policy = mbuf_policy_new(perms, 0, gfp);
	if (!policy)
		goto free_stats;

	RCU_INIT_POINTER(l->policy, policy);
	mutex_init(&l->change);
	spin_lock_init(&l->lock);
	INIT_HLIST_NODE(&l->node);
	INIT_LIST_HEAD(&l->queues);
	INIT_LIST_HEAD(&l->waiters);
	memcpy(l->name, name, len);
	l->len = len;
	l->hash = name_hash(name, len);
	l->maker = patron->payer ? current_euid() : GLOBAL_ROOT_UID;
	l->net = get_net(patron->net);
	l->payer = patron->payer;
	mbuf_account_hold(l->payer);
	refcount_set(&l->ref, 1);
	acceptor_init(&l->own, l, backlog);
	l->id = l->own.id;
	return l;

free_stats:
	free_percpu(l->stats);
free:
	kfree(l);
uncharge:
	mbuf_uncharge(patron->payer, &charge);
	return ERR_PTR(-ENOMEM);
}

/**
 * mbuf_listener_open() - let others connect
 * @l: the listener, new
 *
 * Context: process context.
 */
void mbuf_listener_open(struct mbuf_listener *l)
{
	spin_lock(&l->lock);
	if (l->own.backlog) {
		l->nr_queues = 1;
		acceptor_open(&l->own);
	}
	WRITE_ONCE(l->state, LISTENER_OPEN);
	spin_unlock(&l->lock);
}

/**
 * mbuf_listener_close() - the end of a listener
 * @l: the listener, new or open; its reference is dropped
 *
 * Context: process context, may sleep.
 */
void mbuf_listener_close(struct mbuf_listener *l)
{
	struct mbuf_acceptor *q;
	struct mbuf_room *room;
	struct mbuf_kick kick;

	mbuf_node_unlink(&l->own.node);
	name_remove(l);
	spin_lock(&l->lock);
	WRITE_ONCE(l->state, LISTENER_DEAD);
	room = acceptor_detach(&l->own);
	spin_unlock(&l->lock);
	put_net(l->net);
	mbuf_set_room_put(room);

	/* One step at a time: from now on nothing enters. */
	do {
		struct mbuf_accept_waiter *w;
		struct mbuf_pending *p = NULL;

		mbuf_kick_begin(&kick);
		spin_lock(&l->lock);
		q = list_first_entry_or_null(&l->queues, struct mbuf_acceptor,
					     link);
		if (q) {
			p = acceptor_first(q);
			w = acceptor_waiter(q);
			if (p) {
				pending_leave(p);
			} else if (w) {
				waiter_finish(w, MBUF_GONE, NULL, &kick);
			} else {
				list_del_init(&q->link);
				acceptor_tell(q, EPOLLHUP, &kick);
			}
		}
		spin_unlock(&l->lock);
		mbuf_kick_end(&kick);
		if (p)
			pending_refuse(l, p, -ECONNREFUSED);
		cond_resched();
	} while (q);
	mbuf_acceptor_put(&l->own);
}

/**
 * mbuf_listener_init() - prepare for listeners
 */
void __init mbuf_listener_init(void)
{
	get_random_bytes(&names_key, sizeof(names_key));
}

/**
 * mbuf_listener_exit() - the opposite; there are no listeners left
 */
void mbuf_listener_exit(void)
{
	/* For listener_free(). */
	rcu_barrier();
}
