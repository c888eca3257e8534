// SPDX-License-Identifier: GPL-2.0
/* Birth and death of channels, and who is told what. */
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include "channel_priv.h"
#include "listener.h"
#include "offer.h"
#include "provide.h"

static struct kmem_cache *channel_cache;

/* As it is seen from outside */

static u64 channel_key(const struct mbuf_pair *pair)
{
	return container_of(pair, struct mbuf_channel, pair)->end[0].id;
}

static bool channel_view(struct mbuf_pair *pair, unsigned int side,
			 struct mbuf_view *v)
{
	struct mbuf_channel *c = container_of(pair, struct mbuf_channel, pair);
	struct mbuf_endpoint *end = &c->end[side];
	bool open;

	v->kind = &mbuf_end_kind;
	v->object = end;
	v->id = end->id;
	raw_spin_lock_irq(&c->lock);
	open = c->status & STATUS_OPEN(side);
	v->owner = end->payer;
	v->pid = end->who.pid;
	raw_spin_unlock_irq(&c->lock);
	return open;
}

static const struct mbuf_pair_ops channel_pair_ops = {
	.key	= channel_key,
	.view	= channel_view,
};

/* As a source in a set */

static struct mbuf_endpoint *end_of_source(const struct mbuf_source *src)
{
	return container_of(src, struct mbuf_endpoint, source);
}

static u32 end_events(const struct mbuf_source *src)
{
	struct mbuf_endpoint *end = end_of_source(src);
	u32 status = READ_ONCE(mbuf_end_channel(end)->status);
	u32 events = READ_ONCE(end->signals) ? MBUF_EVENT_IN : 0;

	if (unlikely(mbuf_offer_turn(end)))
		events |= MBUF_EVENT_OFFER;

	if (likely(status == STATUS_LIVE))
		return events;
	if (!(status & STATUS_OPEN(!end->side))) {
		events |= MBUF_EVENT_HUP;
		if (READ_ONCE(end->seen) != READ_ONCE(end->seq))
			events |= MBUF_EVENT_IN;
	}
	if (status & STATUS_FRESH && end->side == MBUF_SIDE_CONNECT)
		events |= MBUF_EVENT_OUT;
	/* Nothing to wait for before it approves: see mbuf_channel_approved(). */
	if (status & STATUS_ASKING && end->side == MBUF_SIDE_ACCEPT)
		events &= MBUF_EVENT_HUP;
	return events;
}

static bool end_source_get(struct mbuf_source *src)
{
	struct mbuf_endpoint *end = end_of_source(src);

	return refcount_inc_not_zero(&mbuf_end_channel(end)->ref);
}

/**
 * mbuf_end_detach() - take an endpoint out of a set
 * @end: the endpoint
 * @set: the set
 *
 * Context: process context.
 * Return: 0, or -ENOENT if it is not in that.
 */
int mbuf_end_detach(struct mbuf_endpoint *end, struct mbuf_set *set)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_room *room = NULL;

	raw_spin_lock_irq(&c->lock);
	if (end->source.room && end->source.room->set == set)
		room = mbuf_set_detach(&end->source);
	raw_spin_unlock_irq(&c->lock);
	mbuf_set_room_put(room);
	return room ? 0 : -ENOENT;
}

static void end_source_detach(struct mbuf_source *src, struct mbuf_set *set)
{
	struct mbuf_endpoint *end = end_of_source(src);

	mbuf_end_detach(end, set);
	mbuf_channel_put(mbuf_end_channel(end));
}

static const struct mbuf_source_ops end_source_ops = {
	.events	= end_events,
	.get	= end_source_get,
	.detach	= end_source_detach,
};

/* As what belongs to a thread */

static bool end_bond_get(void *owner)
{
	return refcount_inc_not_zero(&mbuf_end_channel(owner)->ref);
}

static void end_thread_ended(void *owner)
{
	struct mbuf_endpoint *end = owner;
	struct mbuf_channel *c = mbuf_end_channel(end);

	mbuf_end_close(c, end->side);
	mbuf_channel_put(c);
}

static const struct mbuf_bond_ops end_bond_ops = {
	.get	= end_bond_get,
	.ended	= end_thread_ended,
};

/* Who is told */

static void end_poll_kick(struct mbuf_endpoint *end, __poll_t events,
			  struct mbuf_kick *kick)
{
	/* See channel.h for why no barrier is needed. */
	if (waitqueue_active(&end->poll)) {
		kick->poll[0] = &end->poll;
		kick->events[0] = events;
	}
}

/**
 * mbuf_end_tell() - something has happened that is no signal
 * @end: whom to tell
 * @events: what to tell pollers
 * @kick: whom to wake later
 *
 * Context: under the lock.
 */
void mbuf_end_tell(struct mbuf_endpoint *end, __poll_t events,
		   struct mbuf_kick *kick)
{
	end_poll_kick(end, events, kick);
	mbuf_source_ready(&end->source, kick);
}

/**
 * mbuf_end_pollers() - who would be told of a signal, but those who wait
 * @end: whose
 * @kick: whom to wake later
 *
 * Context: under the lock, or in an interrupt.
 */
void mbuf_end_pollers(struct mbuf_endpoint *end, struct mbuf_kick *kick)
{
	end_poll_kick(end, EPOLLIN | EPOLLRDNORM, kick);
	mbuf_source_pollers(&end->source, kick);
}

/**
 * __mbuf_end_signal() - add signals that nobody waits for
 * @end: whose
 * @n: how many
 * @kick: whom to wake later
 *
 * Context: under the lock.
 */
void __mbuf_end_signal(struct mbuf_endpoint *end, u32 n,
		       struct mbuf_kick *kick)
{
	u32 before = end->signals;
	u32 sum;

	if (check_add_overflow(before, n, &sum))
		sum = U32_MAX;
	WRITE_ONCE(end->signals, sum);
	mbuf_end_changed(end);
	/* A driver that is connecting sleeps like anybody else. */
	if (end->kernel && end->driver) {
		end->driver->notify(end->driver);
		return;
	}
	end_poll_kick(end, EPOLLIN | EPOLLRDNORM, kick);
	/* If it was ready before, the set knows. */
	if (!before)
		mbuf_source_ready(&end->source, kick);
}

/* The peer of @end has changed its state. Under the lock. */
static void end_state_changed(struct mbuf_channel *c, struct mbuf_endpoint *end,
			      struct mbuf_kick *kick)
{
	struct mbuf_end_waiter *w = end->waiter;
	bool gone = !(c->status & STATUS_OPEN(!end->side));
	__poll_t events;

	mbuf_end_changed(end);
	if (!(c->status & STATUS_OPEN(end->side)))
		return;
	/* A driver that is connecting sleeps like anybody else. */
	if (end->kernel && end->driver) {
		end->driver->notify(end->driver);
		return;
	}
	if (w && gone) {
		/* Several: that one has gone is told like a signal. */
		if (w->any || mbuf_end_unseen(end)) {
			mbuf_end_hand_over(c, end, w, kick);
		} else {
			end->waiter = NULL;
			kick->task[0] = w->task;
			/* Pairs with the acquire in mbuf_sleep(). */
			smp_store_release(&w->state, MBUF_GONE);
		}
	}
	/* io_uring believes what it is told here, without looking. */
	events = gone ? EPOLLHUP : EPOLLOUT | EPOLLWRNORM;
	if (mbuf_end_ready(c, end))
		events |= EPOLLIN | EPOLLRDNORM;
	end_poll_kick(end, events, kick);
	mbuf_source_ready(&end->source, kick);
}

/* Who pays */

static void end_charge(struct mbuf_charge *charge, u32 flags)
{
	memset(charge, 0, sizeof(*charge));
	charge->n[MBUF_RES_OBJECTS] = 1;
	charge->n[MBUF_RES_MEMORY] = sizeof(struct mbuf_channel) / 2;
	if (flags & MBUF_END_MAP)
		charge->n[MBUF_RES_MEMORY] += PAGE_SIZE;
}

static void end_uncharge(struct mbuf_account *payer, u32 flags)
{
	struct mbuf_charge charge;

	if (!payer)
		return;
	end_charge(&charge, flags);
	mbuf_uncharge(payer, &charge);
	mbuf_account_put(payer);
}

/* Birth */

static void end_init(struct mbuf_endpoint *end, unsigned int side)
{
	end->side = side;
	init_waitqueue_head(&end->poll);
	mbuf_source_init(&end->source, &end_source_ops);
	end->id = mbuf_object_id();
}

static struct mbuf_channel *channel_new(bool pending, gfp_t gfp)
{
	struct mbuf_channel *c;

	c = kmem_cache_zalloc(channel_cache, gfp);
	if (!c)
		return NULL;
	raw_spin_lock_init(&c->lock);
	c->status = STATUS_LIVE | (pending ? STATUS_PENDING : 0);
	refcount_set(&c->ref, 1);
	INIT_LIST_HEAD(&c->pending.link);
	end_init(&c->end[0], 0);
	end_init(&c->end[1], 1);
	return c;
}

/**
 * mbuf_channel_new() - make a channel
 * @pending: whether it waits to be accepted; otherwise it is live
 *
 * Both endpoints are open, though nobody has got them yet.
 *
 * Context: process context, may sleep.
 * Return: the channel, with one reference; NULL if there is no memory.
 */
struct mbuf_channel *mbuf_channel_new(bool pending)
{
	return channel_new(pending, GFP_KERNEL_ACCOUNT);
}

/**
 * mbuf_channel_new_unpaid() - make a channel that is no user's
 * @pending: as mbuf_channel_new()
 *
 * Context, return: as mbuf_channel_new(). No memory cgroup is charged.
 */
struct mbuf_channel *mbuf_channel_new_unpaid(bool pending)
{
	return channel_new(pending, GFP_KERNEL);
}

/**
 * mbuf_end_adopt() - give an endpoint to a driver
 * @c: the channel
 * @side: which endpoint; no file stands for it
 * @driver: whom to tell from now on; NULL: nobody yet. Not touched if the
 *	endpoint is closed
 * @tell: tell it even if nothing has happened yet
 *
 * Context: process context. The caller's reference keeps the channel.
 */
void mbuf_end_adopt(struct mbuf_channel *c, unsigned int side,
		    struct mbuf_end_driver *driver, bool tell)
{
	struct mbuf_endpoint *end = &c->end[side];

	raw_spin_lock_irq(&c->lock);
	end->kernel = true;
	if (driver && c->status & STATUS_OPEN(side)) {
		end->driver = driver;
		if (tell || end->signals || !(c->status & STATUS_OPEN(!side)))
			driver->notify(driver);
	}
	raw_spin_unlock_irq(&c->lock);
	/* Not if it is closed by now: that has unlinked it. */
	mbuf_pair_link(&c->pair, side, NULL, NULL);
}

/**
 * mbuf_channel_get() - take a reference
 * @c: the channel
 */
void mbuf_channel_get(struct mbuf_channel *c)
{
	refcount_inc(&c->ref);
}

/**
 * mbuf_channel_put() - drop a reference
 * @c: the channel
 *
 * Context: process context.
 */
void mbuf_channel_put(struct mbuf_channel *c)
{
	unsigned int i;

	if (!refcount_dec_and_test(&c->ref))
		return;
	mbuf_pair_forget(&c->pair);
	for (i = 0; i < ARRAY_SIZE(c->end); i++) {
		/* One that never got a file is paid for until now. */
		end_uncharge(c->end[i].payer, c->end[i].flags);
		mbuf_identity_put(&c->end[i].who);
	}
	kmem_cache_free(channel_cache, c);
}

/**
 * mbuf_end_payer_get() - who pays for an endpoint?
 * @end: the endpoint
 *
 * Return: the account, with a reference; NULL if it is closed.
 */
struct mbuf_account *mbuf_end_payer_get(struct mbuf_endpoint *end)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_account *payer;

	raw_spin_lock_irq(&c->lock);
	payer = end->payer;
	if (payer)
		mbuf_account_hold(payer);
	raw_spin_unlock_irq(&c->lock);
	return payer;
}

/**
 * mbuf_end_pay() - charge an endpoint
 * @c: the channel
 * @side: which endpoint
 * @payer: who pays from now on; NULL: nobody
 * @flags: MBUF_END_*
 *
 * Who paid until now is uncharged. Only who makes the endpoint calls this.
 *
 * Context: process context.
 * Return: 0 or -EDQUOT.
 */
int mbuf_end_pay(struct mbuf_channel *c, unsigned int side,
		 struct mbuf_account *payer, u32 flags)
{
	struct mbuf_endpoint *end = &c->end[side];
	struct mbuf_account *before;
	struct mbuf_charge charge;
	u32 flags_before;
	bool open;
	int err;

	end_charge(&charge, flags);
	err = mbuf_charge(payer, &charge);
	if (err)
		return err;
	mbuf_account_hold(payer);

	raw_spin_lock_irq(&c->lock);
	open = c->status & STATUS_OPEN(side);
	before = payer;
	flags_before = flags;
	if (open) {
		before = end->payer;
		flags_before = end->flags;
		end->payer = payer;
		end->flags = flags;
	}
	raw_spin_unlock_irq(&c->lock);
	end_uncharge(before, flags_before);
	return 0;
}

/**
 * mbuf_end_check() - is what the user says of an endpoint valid?
 * @u: what it says
 *
 * Return: 0, -EINVAL, or -EOPNOTSUPP for what this kernel cannot do.
 */
int mbuf_end_check(const struct mbuf_end *u)
{
	if (u->flags & ~MBUF_END_FLAGS || u->resv || u->ref.flags ||
	    u->ref.handle || (u->flags & MBUF_END_DETACHED && u->cookie))
		return -EINVAL;
	if (u->flags & MBUF_END_THREAD && !mbuf_bind_supported())
		return -EOPNOTSUPP;
	return 0;
}

/* Undo all of mbuf_end_prepare() but the file. */
static void end_unprepare(struct mbuf_end_prep *p)
{
	struct mbuf_charge charge;

	mbuf_identity_put(&p->who);
	mbuf_set_room_put(p->room);
	if (p->bond)
		mbuf_unbind(p->bond);
	if (p->map)
		put_page(p->map);
	end_charge(&charge, p->flags);
	mbuf_uncharge(p->payer, &charge);
	mbuf_account_put(p->payer);
	mbuf_channel_put(p->channel);
}

/**
 * mbuf_end_prepare() - prepare a file for an endpoint that has none
 * @p: result
 * @c: the channel
 * @side: which endpoint
 * @payer: who will pay for it
 * @set: what to attach it to, or NULL
 * @u: how the user wants it, checked by mbuf_end_check(); the descriptor and
 *	id are filled in
 *
 * Does all that can fail. The endpoint is not changed yet. Its identity will be
 * the current process, and the thread that it belongs to, if any, the current
 * thread.
 *
 * Context: process context, may sleep.
 * Return: 0, or -EDQUOT, -ENOMEM, -EMFILE, -ENFILE. After 0 either
 * mbuf_end_abort() or mbuf_end_commit() has to be called.
 */
int mbuf_end_prepare(struct mbuf_end_prep *p, struct mbuf_channel *c,
		     unsigned int side, struct mbuf_account *payer,
		     struct mbuf_set *set, struct mbuf_end *u)
{
	struct mbuf_endpoint *end = &c->end[side];
	const struct mbuf_thread *thread = NULL;
	struct mbuf_charge charge;
	struct mbuf_bond *bond;
	int err;

	memset(p, 0, sizeof(*p));
	end_charge(&charge, u->flags);
	err = mbuf_charge(payer, &charge);
	if (err)
		return err;
	mbuf_account_hold(payer);
	mbuf_channel_get(c);
	p->channel = c;
	p->side = side;
	p->payer = payer;
	p->flags = u->flags;
	p->cookie = u->cookie;
	mbuf_identity_take(&p->who);

	err = -ENOMEM;
	if (u->flags & MBUF_END_MAP) {
		p->map = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!p->map)
			goto undo;
	}
	if (u->flags & MBUF_END_THREAD) {
		bond = mbuf_bind(&end_bond_ops, end);
		if (IS_ERR(bond)) {
			err = PTR_ERR(bond);
			goto undo;
		}
		p->bond = bond;
		thread = bond->thread;
	}
	if (set && !(u->flags & MBUF_END_DETACHED)) {
		p->room = mbuf_set_room(set, thread);
		if (!p->room)
			goto undo;
	}
	err = mbuf_fd_prepare(&p->fd, "[mbuf-channel]", &mbuf_end_fops, NULL,
			      O_RDWR | (u->flags & MBUF_END_NONBLOCK ?
					O_NONBLOCK : 0));
	if (err)
		goto undo;
	u->ref.fd = p->fd.fd;
	u->id = end->id;
	return 0;

undo:
	end_unprepare(p);
	return err;
}

/**
 * mbuf_end_abort() - undo mbuf_end_prepare()
 * @p: what was prepared
 */
void mbuf_end_abort(struct mbuf_end_prep *p)
{
	/* Its release does nothing without an endpoint. */
	mbuf_fd_abort(&p->fd);
	end_unprepare(p);
}

/**
 * mbuf_end_commit() - give the endpoint to its file
 * @p: what was prepared
 *
 * Neither the descriptor nor the set tell of it before mbuf_end_publish().
 * mbuf_end_retract() instead closes the endpoint.
 *
 * Context: process context.
 */
void mbuf_end_commit(struct mbuf_end_prep *p)
{
	struct mbuf_channel *c = p->channel;
	struct mbuf_endpoint *end = &c->end[p->side];
	struct mbuf_account *payer;
	u32 flags;

	raw_spin_lock_irq(&c->lock);
	payer = end->payer;
	flags = end->flags;
	end->payer = p->payer;
	end->flags = p->flags;
	end->map = p->map;
	end->bond = p->bond;
	end->who = p->who;
	mbuf_end_changed(end);
	raw_spin_unlock_irq(&c->lock);

	p->fd.file->private_data = end;
	end_uncharge(payer, flags);
	/* Not if its thread has ended by now: that has unlinked it. */
	mbuf_pair_link(&c->pair, p->side, p->payer, NULL);
}

/**
 * mbuf_end_publish() - attach the endpoint and install its descriptor
 * @p: what was committed
 *
 * Context: process context.
 */
void mbuf_end_publish(struct mbuf_end_prep *p)
{
	struct mbuf_channel *c = p->channel;
	struct mbuf_endpoint *end = &c->end[p->side];
	struct mbuf_kick kick;

	if (p->room) {
		mbuf_kick_begin(&kick);
		raw_spin_lock_irq(&c->lock);
		/* Not if it is closed already: its thread may be ending. */
		if (c->status & STATUS_OPEN(p->side) &&
		    mbuf_set_attach(&end->source, p->room, p->cookie, &kick))
			p->room = NULL;
		raw_spin_unlock_irq(&c->lock);
		mbuf_kick_end(&kick);
		mbuf_set_room_put(p->room);
	}
	mbuf_fd_install(&p->fd);
}

/**
 * mbuf_end_retract() - close the endpoint instead of publishing it
 * @p: what was committed
 *
 * Context: process context.
 */
void mbuf_end_retract(struct mbuf_end_prep *p)
{
	mbuf_set_room_put(p->room);
	mbuf_fd_abort(&p->fd);
}

/* Death */

/**
 * struct end_remains - what is left of an endpoint that was closed
 * @payer: who was charged
 * @room: where it was attached
 * @map: the page that showed it
 * @bid: what it had offered
 * @due: what it had not claimed
 * @given: a send right that it had not taken
 * @closed: there was something to be closed
 * @orphan: the peer is left alone
 * @withdrawn: a connection that nobody has accepted yet
 */
struct end_remains {
	struct mbuf_account *payer;
	struct mbuf_room *room;
	struct page *map;
	struct mbuf_bid *bid;
	struct mbuf_bid *due;
	struct mbuf_gift *given;
	bool closed;
	bool orphan;
	bool withdrawn;
};

/* Close an endpoint, unless it is already. Under the lock. */
static void end_shut(struct mbuf_channel *c, unsigned int side,
		     struct end_remains *r, struct mbuf_kick *kick)
{
	struct mbuf_endpoint *end = &c->end[side];
	u32 status = c->status;

	memset(r, 0, sizeof(*r));
	if (!(status & STATUS_OPEN(side)))
		return;
	r->closed = true;
	r->orphan = status & STATUS_OPEN(!side) &&
		    !(status & (STATUS_PENDING | STATUS_ASKING));
	status &= ~(STATUS_OPEN(side) | STATUS_FRESH);
	if (status & (STATUS_PENDING | STATUS_ASKING)) {
		if (side == MBUF_SIDE_ACCEPT) {
			status &= ~(STATUS_PENDING | STATUS_ASKING);
			status |= STATUS_REFUSED;
		} else {
			r->withdrawn = true;
		}
	}
	WRITE_ONCE(c->status, status);
	r->room = mbuf_set_detach(&end->source);
	mbuf_end_changed(end);
	r->map = end->map;
	end->map = NULL;
	r->payer = end->payer;
	end->payer = NULL;
	if (end->kernel)
		end->driver = NULL;
	r->given = mbuf_end_drop_given(c, side);
	r->due = mbuf_provide_drop(end);
	r->bid = mbuf_offer_drop(end);
	end_state_changed(c, &c->end[!side], kick);
}

static void end_bury(struct mbuf_channel *c, unsigned int side,
		     const struct end_remains *r)
{
	/* Before who pays is let go. */
	if (r->closed)
		mbuf_pair_unlink(&c->pair, side, r->payer);
	if (r->orphan)
		mbuf_pair_notice(&c->pair, !side, MBUF_NOTICE_PEER_DIED,
				 c->end[side].id);
	/* Who polls what its thread has left behind. */
	wake_up_poll(&c->end[side].poll, EPOLLHUP);
	mbuf_set_room_put(r->room);
	if (r->map)
		put_page(r->map);
	mbuf_bid_put(r->bid);
	mbuf_bid_put(r->due);
	mbuf_gift_free(r->given);
	end_uncharge(r->payer, c->end[side].flags);
	if (r->withdrawn)
		mbuf_listener_withdraw(c);
}

/**
 * mbuf_end_close() - close an endpoint
 * @c: the channel
 * @side: which endpoint; it may be closed already
 *
 * Nobody waits at it: neither does anybody have its file, nor does the thread
 * exist that it belonged to. Its peer is told. A driver that has it is not
 * notified any more.
 *
 * Context: process context, may sleep.
 */
void mbuf_end_close(struct mbuf_channel *c, unsigned int side)
{
	struct end_remains r;
	struct mbuf_kick kick;

	mbuf_kick_begin(&kick);
	raw_spin_lock_irq(&c->lock);
	end_shut(c, side, &r, &kick);
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&kick);
	end_bury(c, side, &r);
}

/* Phases */

/**
 * mbuf_channel_hello() - write and signal before it is queued
 * @c: the channel, pending, that nobody else knows yet
 * @data: the value
 */
void mbuf_channel_hello(struct mbuf_channel *c, const u8 *data)
{
	struct mbuf_endpoint *end = &c->end[MBUF_SIDE_ACCEPT];

	memcpy(end->slot, data, MBUF_SLOT_SIZE);
	end->seq = 1;
	end->signals = 1;
}

/**
 * mbuf_channel_advance() - go to the next phase
 * @c: the channel
 * @from: the phase that it has to be in
 * @ask: whether the next one is ASKING, or else LIVE
 * @kick: whom to wake later
 *
 * Context: under the lock.
 * Return: 0, -EINVAL if it is in another phase, -EPIPE if who wanted to
 * connect has gone.
 */
int mbuf_channel_advance(struct mbuf_channel *c, u32 from, bool ask,
			 struct mbuf_kick *kick)
{
	struct mbuf_endpoint *end = &c->end[MBUF_SIDE_CONNECT];
	struct mbuf_end_waiter *w = end->waiter;
	u32 status = c->status;

	if (!(status & from))
		return -EINVAL;
	if (!(status & STATUS_OPEN(MBUF_SIDE_CONNECT)))
		return -EPIPE;
	status &= ~from;
	if (ask) {
		WRITE_ONCE(c->status, status | STATUS_ASKING);
		mbuf_end_changed(&c->end[MBUF_SIDE_ACCEPT]);
		return 0;
	}
	if (w && w->connect) {
		/* It waits for just this; see mbuf_channel_connect_wait(). */
		mbuf_trace(wake, end->id, w->task->pid);
		WRITE_ONCE(c->status, status);
		mbuf_end_changed(end);
		end->waiter = NULL;
		kick->task[0] = w->task;
		/* Pairs with the acquire in mbuf_sleep(). */
		smp_store_release(&w->state, MBUF_DONE);
	} else {
		WRITE_ONCE(c->status, status | STATUS_FRESH);
		end_state_changed(c, end, kick);
	}
	mbuf_end_changed(&c->end[MBUF_SIDE_ACCEPT]);
	return 0;
}

/* It has become live: let it be known. */
static void channel_connected(struct mbuf_channel *c)
{
	mbuf_pair_notice(&c->pair, MBUF_SIDE_CONNECT, MBUF_NOTICE_CONNECTED,
			 c->end[MBUF_SIDE_ACCEPT].id);
}

/**
 * mbuf_channel_approved() - who accepts can wait now for what was signalled
 * @c: the channel, which mbuf_channel_advance() has made live
 *
 * Context: process context.
 */
void mbuf_channel_approved(struct mbuf_channel *c)
{
	struct mbuf_endpoint *end = &c->end[MBUF_SIDE_ACCEPT];
	struct mbuf_kick kick;

	mbuf_kick_begin(&kick);
	raw_spin_lock_irq(&c->lock);
	end_poll_kick(end, mbuf_end_ready(c, end) ?
			   EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM :
			   EPOLLOUT | EPOLLWRNORM, &kick);
	if (mbuf_end_ready(c, end))
		mbuf_source_ready(&end->source, &kick);
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&kick);
	channel_connected(c);
}

/**
 * mbuf_channel_accepted() - the accepting side has a file now
 * @c: the channel, pending
 * @ask: whether it has yet to approve
 *
 * Context: process context.
 * Return: 0, or -ECONNABORTED if who wanted to connect has gone.
 */
int mbuf_channel_accepted(struct mbuf_channel *c, bool ask)
{
	struct mbuf_kick kick;
	int err;

	mbuf_kick_begin(&kick);
	raw_spin_lock_irq(&c->lock);
	err = mbuf_channel_advance(c, STATUS_PENDING, ask, &kick);
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&kick);
	if (!err && !ask)
		channel_connected(c);
	return err == -EPIPE ? -ECONNABORTED : err;
}

/**
 * mbuf_channel_connect_wait() - wait until a connection is accepted
 * @c: the channel; only the caller knows its first endpoint
 * @deadline: how long to wait; not MBUF_WAIT_NOW
 *
 * If it fails, nobody will accept the connection any more: the endpoint is
 * closed.
 *
 * Context: process context, may sleep.
 * Return: 0, -ECONNREFUSED, -ETIMEDOUT, -ERESTARTSYS.
 */
int mbuf_channel_connect_wait(struct mbuf_channel *c,
			      const struct mbuf_deadline *deadline)
{
	struct mbuf_endpoint *end = &c->end[MBUF_SIDE_CONNECT];
	struct mbuf_end_waiter w = {
		.state = MBUF_WAITING,
		.connect = true,
		.task = current,
	};
	struct end_remains r = { };
	struct mbuf_kick kick;
	int err;

	raw_spin_lock_irq(&c->lock);
	if (c->status & STATUS_REFUSED)
		w.state = MBUF_GONE;
	else if (!(c->status & (STATUS_PENDING | STATUS_ASKING)))
		w.state = MBUF_DONE;
	else
		end->waiter = &w;
	/* It is used from now on. */
	WRITE_ONCE(c->status, c->status & ~STATUS_FRESH);
	if (w.state == MBUF_WAITING)
		trace_mbuf_block(end->id, MBUF_TRACE_CONNECT);
	raw_spin_unlock_irq(&c->lock);

	err = mbuf_sleep(&w.state, deadline);
	if (err) {
		mbuf_kick_begin(&kick);
		raw_spin_lock_irq(&c->lock);
		/* What has been decided meanwhile counts. */
		if (end->waiter == &w) {
			end->waiter = NULL;
			end_shut(c, MBUF_SIDE_CONNECT, &r, &kick);
		}
		raw_spin_unlock_irq(&c->lock);
		mbuf_kick_end(&kick);
		end_bury(c, MBUF_SIDE_CONNECT, &r);
	}
	switch (w.state) {
	case MBUF_DONE:
		return 0;
	case MBUF_GONE:
		return -ECONNREFUSED;
	default:
		return err;
	}
}

/**
 * mbuf_channel_pending() - its place among those that wait to be accepted
 * @c: the channel
 *
 * Return: the place, for the listener to use.
 */
struct mbuf_pending *mbuf_channel_pending(struct mbuf_channel *c)
{
	return &c->pending;
}

/**
 * mbuf_pending_channel() - the opposite
 * @p: the place
 *
 * Return: the channel.
 */
struct mbuf_channel *mbuf_pending_channel(struct mbuf_pending *p)
{
	return container_of(p, struct mbuf_channel, pending);
}

/**
 * mbuf_channel_connector() - who wants to connect?
 * @c: the channel
 *
 * Return: the identity, which does not change any more.
 */
const struct mbuf_identity *
mbuf_channel_connector(const struct mbuf_channel *c)
{
	return &c->end[MBUF_SIDE_CONNECT].who;
}

/**
 * mbuf_channel_connector_id() - the identity of the end that connects
 * @c: the channel
 */
u64 mbuf_channel_connector_id(const struct mbuf_channel *c)
{
	return c->end[MBUF_SIDE_CONNECT].id;
}

/**
 * mbuf_channel_withdrawn() - has who wants to connect gone?
 * @c: the channel
 *
 * Return: true if so, and then for ever.
 */
bool mbuf_channel_withdrawn(const struct mbuf_channel *c)
{
	return !(READ_ONCE(c->status) & STATUS_OPEN(MBUF_SIDE_CONNECT));
}

/**
 * mbuf_end_unwait() - do not wait any more
 * @end: the endpoint
 * @w: the caller's waiter; its state does not change any more afterwards
 */
void mbuf_end_unwait(struct mbuf_endpoint *end, struct mbuf_end_waiter *w)
{
	struct mbuf_channel *c = mbuf_end_channel(end);

	raw_spin_lock_irq(&c->lock);
	if (end->waiter == w)
		end->waiter = NULL;
	raw_spin_unlock_irq(&c->lock);
}

/**
 * mbuf_end_undo() - put back what could not be told
 * @end: where it was taken from
 * @got: what was taken
 */
void mbuf_end_undo(struct mbuf_endpoint *end, const struct mbuf_taken *got)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_kick kick;

	mbuf_kick_begin(&kick);
	raw_spin_lock_irq(&c->lock);
	/* What was written meanwhile has not been seen either. */
	if (end->seen == got->seq)
		WRITE_ONCE(end->seen, got->seen);
	if (got->signals) {
		struct mbuf_end_waiter *w = end->waiter;

		__mbuf_end_signal(end, got->signals, &kick);
		if (w)
			mbuf_end_hand_over(c, end, w, &kick);
	}
	mbuf_end_changed(end);
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&kick);
}

/**
 * mbuf_channel_init() - prepare for channels
 *
 * Return: 0 or -ENOMEM.
 */
int __init mbuf_channel_init(void)
{
	/* Who allocates says whether a memory cgroup pays. */
	channel_cache = KMEM_CACHE(mbuf_channel, 0);
	mbuf_registry_pairs(&channel_pair_ops);
	return channel_cache ? 0 : -ENOMEM;
}

/**
 * mbuf_channel_exit() - the opposite; there are no channels left
 */
void mbuf_channel_exit(void)
{
	kmem_cache_destroy(channel_cache);
}
