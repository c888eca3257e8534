// SPDX-License-Identifier: GPL-2.0
/* Endpoints and sessions: attaching, and waiting for any of several. */
#include <linux/file.h>
#include <linux/sort.h>
#include "channel_priv.h"

/**
 * mbuf_channel_is() - is this file an endpoint?
 * @file: the file
 */
bool mbuf_channel_is(const struct file *file)
{
	return file->f_op == &mbuf_end_fops;
}

/**
 * mbuf_channel_id() - an endpoint's identity
 * @file: the endpoint
 */
u64 mbuf_channel_id(const struct file *file)
{
	const struct mbuf_endpoint *end = file->private_data;

	return end->id;
}

/**
 * mbuf_channel_bound() - does an endpoint belong to a thread?
 * @file: the endpoint
 */
bool mbuf_channel_bound(const struct file *file)
{
	const struct mbuf_endpoint *end = file->private_data;

	return end->bond;
}

/**
 * mbuf_channel_of() - the channel that an endpoint is part of
 * @file: the endpoint
 * @side: result: which of the two it is
 *
 * Return: the channel, with a reference for the caller.
 */
struct mbuf_channel *mbuf_channel_of(const struct file *file,
				     unsigned int *side)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_channel *c = mbuf_end_channel(end);

	mbuf_channel_get(c);
	*side = end->side;
	return c;
}

/**
 * mbuf_channel_signal() - signal the peer of an endpoint
 * @c: the channel
 * @side: the endpoint
 *
 * If either is closed, or the connection is not accepted yet, nothing happens.
 *
 * Context: process context, also under the lock of a waitqueue.
 */
void mbuf_channel_signal(struct mbuf_channel *c, unsigned int side)
{
	struct mbuf_kick kick;
	unsigned long flags;

	mbuf_kick_begin(&kick);
	raw_spin_lock_irqsave(&c->lock, flags);
	if (c->status == STATUS_LIVE)
		mbuf_end_signal(c, &c->end[!side], &kick);
	raw_spin_unlock_irqrestore(&c->lock, flags);
	mbuf_kick_end(&kick);
}

/**
 * mbuf_channel_attach() - put an endpoint into a set
 * @file: the endpoint
 * @set: the set, of a session that the caller has
 * @cookie: what POLL_ALL shall call it
 * @move: take it out of the set it is in
 *
 * Context: process context, may sleep.
 * Return: 0, -EBUSY, -EPERM, -EPIPE if it is dead, -ENOMEM.
 */
int mbuf_channel_attach(struct file *file, struct mbuf_set *set, u64 cookie,
			bool move)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_room *room, *unused;
	struct mbuf_kick kick;
	int err = 0;

	if (end->bond && !mbuf_bond_mine(end->bond))
		return -EPERM;
	room = mbuf_set_room(set, end->bond ? end->bond->thread : NULL);
	if (!room)
		return -ENOMEM;
	unused = room;

	mbuf_kick_begin(&kick);
	raw_spin_lock_irq(&c->lock);
	if (!(c->status & STATUS_OPEN(end->side))) {
		err = -EPIPE;
	} else if (end->source.room && !move) {
		err = -EBUSY;
	} else {
		unused = mbuf_set_detach(&end->source);
		/* The caller has the session: its set is alive. */
		mbuf_set_attach(&end->source, room, cookie, &kick);
	}
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&kick);
	mbuf_set_room_put(unused);
	return err;
}

/**
 * mbuf_channel_detach() - take an endpoint out of a set
 * @file: the endpoint
 * @set: the set
 *
 * Return: 0, -ENOENT if it is not in it, -EPERM.
 */
int mbuf_channel_detach(struct file *file, struct mbuf_set *set)
{
	struct mbuf_endpoint *end = file->private_data;

	if (end->bond && !mbuf_bond_mine(end->bond))
		return -EPERM;
	return mbuf_end_detach(end, set);
}

static int end_cmp(const void *a, const void *b)
{
	const struct mbuf_endpoint *x = *(struct mbuf_endpoint **)a;
	const struct mbuf_endpoint *y = *(struct mbuf_endpoint **)b;

	if (x->id == y->id)
		return 0;
	return x->id < y->id ? -1 : 1;
}

/* May the caller wait at @end? A guess where that changes. */
static int any_check(struct mbuf_endpoint *end)
{
	if (end->bond && !mbuf_bond_mine(end->bond))
		return -EPERM;
	if (mbuf_end_state(mbuf_end_channel(end), end->side) & MBUF_END_ASKING)
		return -ENOTCONN;
	return 0;
}

/* Become the waiter of @end, which may hand over something at once. */
static int any_claim(struct mbuf_endpoint *end, struct mbuf_end_waiter *w)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	int err = 0;

	raw_spin_lock_irq(&c->lock);
	if (end->waiter)
		err = -EBUSY;
	else
		end->waiter = w;
	raw_spin_unlock_irq(&c->lock);
	return err;
}

/*
 * Take what @end has had since before it was claimed. Returns true if the
 * outcome is decided, here or by somebody else.
 */
static bool any_try(struct mbuf_endpoint *end, struct mbuf_end_waiter *w)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_kick kick = { };
	bool decided;

	raw_spin_lock_irq(&c->lock);
	decided = end->waiter != w;
	if (!decided && (mbuf_end_ready(c, end) ||
			 !(c->status & STATUS_OPEN(!end->side)))) {
		mbuf_end_hand_over(c, end, w, &kick);
		decided = true;
	}
	raw_spin_unlock_irq(&c->lock);
	return decided;
}

/**
 * mbuf_wait_any() - wait at several endpoints
 * @ends: files of endpoints, no more than MBUF_WAIT_ANY_MAX
 * @nr: how many
 * @first: which of them to look at first
 * @deadline: how long to wait
 * @out: result: index and all that follows it
 * @undo: result, for mbuf_wait_any_undo()
 *
 * Endpoints are claimed in the order of their identities. So of two calls for
 * overlapping sets the one that claims the first common one goes on, and the
 * other gives back what it has and fails.
 *
 * Context: process context, may sleep.
 * Return: 0, -EINVAL if one is named twice, -EBUSY, -EPERM, -ENOTCONN,
 * -EAGAIN, -ETIMEDOUT, -ERESTARTSYS.
 */
int mbuf_wait_any(struct file **ends, unsigned int nr, unsigned int first,
		  const struct mbuf_deadline *deadline,
		  struct mbuf_wait_any *out, struct mbuf_taken *undo)
{
	struct mbuf_endpoint *sorted[MBUF_WAIT_ANY_MAX];
	struct mbuf_end_waiter w = {
		.state = MBUF_WAITING,
		.any = true,
		.task = current,
	};
	unsigned int i, claimed;
	int err = 0;

	for (i = 0; i < nr; i++) {
		sorted[i] = ends[i]->private_data;
		err = any_check(sorted[i]);
		if (err)
			return err;
	}
	sort(sorted, nr, sizeof(sorted[0]), end_cmp, NULL);
	for (i = 1; i < nr; i++) {
		if (sorted[i] == sorted[i - 1])
			return -EINVAL;
	}

	for (claimed = 0; claimed < nr && !err; claimed++)
		err = any_claim(sorted[claimed], &w);
	if (err) {
		claimed--;
		goto unclaim;
	}
	for (i = 0; i < nr; i++) {
		if (any_try(ends[(first + i) % nr]->private_data, &w))
			break;
	}
	if (i == nr) {
		if (deadline->mode == MBUF_WAIT_NOW) {
			err = -EAGAIN;
		} else {
			trace_mbuf_block(0, MBUF_TRACE_SIGNALS);
			err = mbuf_sleep(&w.state, deadline);
		}
	}

unclaim:
	for (i = 0; i < claimed; i++)
		mbuf_end_unwait(sorted[i], &w);
	/* Nobody else knows of it any more. What was decided counts. */
	if (w.state != MBUF_DONE)
		return err;
	if (err == -EBUSY) {
		mbuf_end_undo(w.end, &w.got);
		return err;
	}

	for (i = 0; i < nr && ends[i]->private_data != w.end; i++)
		;
	out->index = i;
	out->state = w.got.state;
	out->signals = w.got.signals;
	out->seq = w.got.seq;
	memcpy(out->data, w.got.slot, sizeof(out->data));
	*undo = w.got;
	return 0;
}

/**
 * mbuf_wait_any_undo() - the result could not be told
 * @file: the endpoint it came from
 * @undo: what mbuf_wait_any() said
 */
void mbuf_wait_any_undo(struct file *file, const struct mbuf_taken *undo)
{
	mbuf_end_undo(file->private_data, undo);
}
