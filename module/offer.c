// SPDX-License-Identifier: GPL-2.0
#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "offer_priv.h"
#include "provide.h"
#include "region.h"

/* Sizes of the first version of each struct. */
#define OFFER_SIZE_V0		64
#define OFFERED_SIZE_V0		72
#define TAKE_SIZE_V0		48
#define COUNTER_SIZE_V0		56
#define ANSWER_SIZE_V0		88
#define WITHDRAW_SIZE_V0	16

#define OFFER_OPTIONS	(MBUF_OFFER_SOLID | MBUF_OFFER_MEMFD | \
			 MBUF_OFFER_PROVIDED)

static const struct mbuf_charge bid_charge = {
	.n = { [MBUF_RES_MEMORY] = sizeof(struct mbuf_bid) },
};

/**
 * mbuf_bid_put() - drop a reference
 * @bid: the bid, or NULL
 *
 * Context: process context, no locks held.
 */
void mbuf_bid_put(struct mbuf_bid *bid)
{
	if (!bid || !refcount_dec_and_test(&bid->ref))
		return;
	if (bid->memory)
		fput(bid->memory);
	if (bid->brought)
		fput(bid->brought);
	mem_cgroup_put(bid->memcg);
	mbuf_uncharge(bid->payer, &bid_charge);
	mbuf_account_put(bid->payer);
	kfree(bid);
}

/**
 * mbuf_offer_turn() - is there a step for this endpoint to take?
 * @end: the endpoint
 *
 * Context: under the lock, or a guess.
 * Return: true if OFFERED or ANSWER would not wait.
 */
bool mbuf_offer_turn(const struct mbuf_endpoint *end)
{
	return READ_ONCE(end->turn);
}

/**
 * mbuf_offer_changed() - whose turn is it?
 * @end: the endpoint
 *
 * Context: under the lock, after each change.
 */
void mbuf_offer_changed(struct mbuf_endpoint *end)
{
	const struct mbuf_endpoint *peer = mbuf_end_peer(end);
	const struct mbuf_bid *own = end->bid, *other = peer->bid;

	WRITE_ONCE(end->turn,
		   (other && other->state == BID_OPEN &&
		    !other->consent[BID_TAKER]) ||
		   (own && own->state >= BID_TAKEN) || end->due);
}

/**
 * mbuf_offer_tell() - an endpoint has something to do
 * @end: the endpoint
 * @kick: whom to wake later
 *
 * Context: under the lock.
 */
void mbuf_offer_tell(struct mbuf_endpoint *end, struct mbuf_kick *kick)
{
	mbuf_offer_changed(end);
	mbuf_offer_changed(mbuf_end_peer(end));
	if (mbuf_offer_turn(end))
		mbuf_end_tell(end, EPOLLPRI, kick);
}

/* Take @end's bid away from it. Under the lock; the caller gets the reference. */
static struct mbuf_bid *offer_take_away(struct mbuf_endpoint *end)
{
	struct mbuf_bid *bid = end->bid;

	if (bid) {
		bid->state = BID_OVER;
		end->bid = NULL;
		mbuf_offer_changed(end);
		mbuf_offer_changed(mbuf_end_peer(end));
	}
	return bid;
}

/**
 * mbuf_offer_drop() - an endpoint closes: its offer is over
 * @end: the endpoint
 *
 * Context: under the lock.
 * Return: what has to be given to mbuf_bid_put(), or NULL.
 */
struct mbuf_bid *mbuf_offer_drop(struct mbuf_endpoint *end)
{
	return offer_take_away(end);
}

static bool terms_ok(const struct terms *t)
{
	return t->min && t->min <= t->wanted && t->wanted <= t->max &&
	       t->max <= MAX_LFS_FILESIZE &&
	       !((t->min | t->wanted | t->max) & ~PAGE_MASK) &&
	       t->rights & MBUF_REGION_READ &&
	       !(t->rights & ~MBUF_REGION_RIGHTS) &&
	       !(t->options & ~OFFER_OPTIONS);
}

/**
 * mbuf_offer_check() - may anything be negotiated?
 * @c: the channel
 * @end: who asks
 *
 * Context: under the lock.
 * Return: 0, or the error.
 */
int mbuf_offer_check(struct mbuf_channel *c, struct mbuf_endpoint *end)
{
	u32 status = c->status;

	if (likely(status == STATUS_LIVE))
		return 0;
	if (!(status & STATUS_OPEN(end->side)))
		return status & STATUS_REFUSED ? -EPIPE : -EPERM;
	if (!(status & STATUS_OPEN(!end->side)))
		return status & STATUS_REFUSED ? -ECONNREFUSED : -EPIPE;
	if (status & (STATUS_PENDING | STATUS_ASKING))
		return -ENOTCONN;
	return 0;
}

/* The offering side */

static struct mbuf_bid *bid_new(struct mbuf_account *payer,
				const struct terms *terms)
{
	struct mbuf_bid *bid;
	int err;

	err = mbuf_charge(payer, &bid_charge);
	if (err)
		return ERR_PTR(err);
	bid = kzalloc(sizeof(*bid), GFP_KERNEL_ACCOUNT);
	if (!bid) {
		mbuf_uncharge(payer, &bid_charge);
		return ERR_PTR(-ENOMEM);
	}
	refcount_set(&bid->ref, 1);
	bid->id = mbuf_object_id();
	bid->terms = *terms;
	bid->payer = payer;
	mbuf_account_hold(payer);
	bid->memcg = get_mem_cgroup_from_mm(current->mm);
	return bid;
}

/* The memory that the offering side has brought. */
static int bid_bring(struct mbuf_bid *bid, int fd)
{
	u64 size;
	int err;

	bid->brought = fget(fd);
	if (!bid->brought)
		return -EBADF;
	err = mbuf_memory_check(bid->brought, MBUF_REGION_RIGHTS,
				bid->terms.rights, &size);
	if (err)
		return err == -ENOTTY ? -EPERM : err;
	if (bid->terms.min != size || bid->terms.max != size)
		return -EINVAL;
	return 0;
}

/* Can @end make an offer? Under the lock. */
static int offer_possible(struct mbuf_channel *c, struct mbuf_endpoint *end)
{
	int err = mbuf_offer_check(c, end);

	if (err)
		return err;
	/* A driver has no descriptors to get. */
	if (mbuf_end_peer(end)->kernel)
		return -EOPNOTSUPP;
	if (end->bid && end->bid->state <= BID_TAKEN)
		return -EBUSY;
	return 0;
}

static long offer_make(struct mbuf_endpoint *end, void __user *arg, size_t size)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_bid *bid, *old = NULL;
	struct mbuf_account *payer;
	struct mbuf_kick kick;
	struct mbuf_offer o;
	struct terms terms;
	int err;

	BUILD_BUG_ON(sizeof(o) != OFFER_SIZE_V0);

	err = mbuf_ioctl_get(&o, sizeof(o), OFFER_SIZE_V0, arg, size);
	if (err)
		return err;
	if (o.target)
		return -EOPNOTSUPP;
	terms = (struct terms){ o.min, o.wanted, o.max, o.rights, o.options };
	if (!terms_ok(&terms) || o.memory.flags || o.memory.handle)
		return -EINVAL;
	if (!(o.options & MBUF_OFFER_MEMFD) ? o.memory.fd :
	    o.options & (MBUF_OFFER_SOLID | MBUF_OFFER_PROVIDED))
		return -EINVAL;

	payer = mbuf_end_payer_get(end);
	if (!payer)
		return -EPIPE;
	bid = bid_new(payer, &terms);
	mbuf_account_put(payer);
	if (IS_ERR(bid))
		return PTR_ERR(bid);
	if (o.options & MBUF_OFFER_MEMFD) {
		err = bid_bring(bid, o.memory.fd);
		if (err)
			goto put;
	}
	o.id = bid->id;

	/* Whether it can be made is known before it is said that it was. */
	raw_spin_lock_irq(&c->lock);
	err = offer_possible(c, end);
	raw_spin_unlock_irq(&c->lock);
	if (err)
		goto put;
	err = mbuf_ioctl_put(arg, size, &o, sizeof(o));
	if (err)
		goto put;

	mbuf_kick_begin(&kick);
	raw_spin_lock_irq(&c->lock);
	err = offer_possible(c, end);
	if (!err) {
		old = offer_take_away(end);
		end->bid = bid;
		trace_mbuf_negotiate(end->id, bid->id, MBUF_TRACE_OFFERED,
				     terms.wanted);
		mbuf_offer_tell(mbuf_end_peer(end), &kick);
		bid = NULL;
	}
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&kick);
	mbuf_bid_put(old);
put:
	mbuf_bid_put(bid);
	return err;
}

static long offer_withdraw(struct mbuf_endpoint *end, void __user *arg,
			   size_t size)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_kick kick, claimer;
	struct mbuf_bid *bid = NULL;
	struct mbuf_withdraw w;
	int err;

	BUILD_BUG_ON(sizeof(w) != WITHDRAW_SIZE_V0);

	err = mbuf_ioctl_get(&w, sizeof(w), WITHDRAW_SIZE_V0, arg, size);
	if (err)
		return err;
	if (w.target)
		return -EOPNOTSUPP;

	mbuf_kick_begin(&kick);
	mbuf_kick_begin(&claimer);
	raw_spin_lock_irq(&c->lock);
	if (!end->bid || end->bid->id != w.id) {
		err = -ENOENT;
	} else if (end->bid->state == BID_TAKEN) {
		err = -EALREADY;
	} else {
		bid = offer_take_away(end);
		trace_mbuf_negotiate(end->id, w.id, MBUF_TRACE_WITHDRAWN, 0);
		/* Who waits for its outcome, in another thread. */
		mbuf_end_tell(end, EPOLLPRI, &kick);
		mbuf_offer_tell_claimer(bid, mbuf_end_peer(end), &claimer);
	}
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&claimer);
	mbuf_kick_end(&kick);
	mbuf_bid_put(bid);
	return err;
}

/* Waiting for a step */

/**
 * mbuf_offer_wait() - wait until there is something, or there never will be
 * @end: at which endpoint
 * @deadline: how long
 * @ready: called under the lock: 0, or an error; -EAGAIN for not yet
 * @arg: for it
 *
 * Whoever tells of a step wakes pollers, so a poller is what the caller
 * becomes.
 *
 * Context: process context, may sleep.
 * Return: as @ready, -EAGAIN, -ETIMEDOUT, -ERESTARTSYS.
 */
int mbuf_offer_wait(struct mbuf_endpoint *end,
		    const struct mbuf_deadline *deadline,
		    int (*ready)(struct mbuf_endpoint *end, void *arg),
		    void *arg)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	ktime_t at = deadline->mode == MBUF_WAIT_UNTIL ? deadline->at : 0;
	bool expired = false;
	DEFINE_WAIT(wait);
	int err;

	for (;;) {
		prepare_to_wait(&end->poll, &wait, TASK_INTERRUPTIBLE);
		raw_spin_lock_irq(&c->lock);
		err = ready(end, arg);
		raw_spin_unlock_irq(&c->lock);
		if (err != -EAGAIN || deadline->mode == MBUF_WAIT_NOW)
			break;
		if (expired) {
			err = -ETIMEDOUT;
			break;
		}
		if (signal_pending(current)) {
			err = -ERESTARTSYS;
			break;
		}
		trace_mbuf_block(end->id, MBUF_TRACE_OFFER);
		if (deadline->mode == MBUF_WAIT_FOREVER)
			schedule();
		else
			expired = !schedule_hrtimeout_range(&at,
						current->timer_slack_ns,
						HRTIMER_MODE_ABS);
	}
	finish_wait(&end->poll, &wait);
	return err;
}

/**
 * mbuf_offer_wait_parse() - how long to wait at an endpoint
 * @deadline: result
 * @file: the endpoint's
 * @wait: as the user says
 *
 * Return: 0 or -EINVAL.
 */
int mbuf_offer_wait_parse(struct mbuf_deadline *deadline, struct file *file,
			  const struct mbuf_wait *wait)
{
	int err = mbuf_deadline_parse(deadline, wait);

	if (file->f_flags & O_NONBLOCK)
		deadline->mode = MBUF_WAIT_NOW;
	return err;
}

/* The answering side */

static int offered_ready(struct mbuf_endpoint *end, void *arg)
{
	struct mbuf_bid *bid = mbuf_end_peer(end)->bid;
	struct mbuf_offered *o = arg;
	int err;

	err = mbuf_offer_check(mbuf_end_channel(end), end);
	/* It may be accepted yet. */
	if (err)
		return err == -ENOTCONN && end->side == MBUF_SIDE_CONNECT ?
		       -EAGAIN : err;
	if (!bid || bid->state != BID_OPEN)
		return -EAGAIN;
	o->id = bid->id;
	o->min = bid->terms.min;
	o->wanted = bid->terms.wanted;
	o->max = bid->terms.max;
	o->rights = bid->terms.rights;
	o->options = bid->terms.options;
	return 0;
}

static long offer_look(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_deadline deadline;
	struct mbuf_offered o;
	int err;

	BUILD_BUG_ON(sizeof(o) != OFFERED_SIZE_V0);

	err = mbuf_ioctl_get(&o, sizeof(o), OFFERED_SIZE_V0, arg, size);
	if (err)
		return err;
	if (o.target)
		return -EOPNOTSUPP;
	if (o.flags || o.resv)
		return -EINVAL;
	err = mbuf_offer_wait_parse(&deadline, file, &o.wait);
	if (err)
		return err;
	err = mbuf_offer_wait(end, &deadline, offered_ready, &o);
	return err ?: mbuf_ioctl_put(arg, size, &o, sizeof(o));
}

/* The peer's bid, if it is @id and open. Under the lock. */
static struct mbuf_bid *bid_find(struct mbuf_endpoint *end, u64 id, int *err)
{
	struct mbuf_bid *bid = mbuf_end_peer(end)->bid;

	*err = mbuf_offer_check(mbuf_end_channel(end), end);
	if (*err)
		return NULL;
	if (!bid || bid->id != id || bid->state > BID_TAKING) {
		*err = -ENOENT;
		return NULL;
	}
	if (bid->state == BID_TAKING) {
		*err = -EBUSY;
		return NULL;
	}
	return bid;
}

static int take_check(struct mbuf_take *t, const struct terms *terms)
{
	if (!t->size)
		t->size = terms->wanted;
	if (!t->rights)
		t->rights = terms->rights;
	if (t->size < terms->min || t->size > terms->max ||
	    t->size & ~PAGE_MASK || t->rights & ~terms->rights ||
	    !(t->rights & MBUF_REGION_READ))
		return -EINVAL;
	return 0;
}

static long offer_accept(struct mbuf_endpoint *end, void __user *arg,
			 size_t size)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_account *payer;
	struct mbuf_kick kick, claimer;
	struct file *memory = NULL;
	struct mbuf_bid *bid;
	struct mbuf_take t;
	struct mbuf_fd fd;
	bool solid;
	u64 check;
	int err;

	BUILD_BUG_ON(sizeof(t) != TAKE_SIZE_V0);

	err = mbuf_ioctl_get(&t, sizeof(t), TAKE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (t.target)
		return -EOPNOTSUPP;
	if (t.resv || t.region.flags || t.region.handle)
		return -EINVAL;

	raw_spin_lock_irq(&c->lock);
	bid = bid_find(end, t.id, &err);
	if (bid)
		err = bid->terms.options & MBUF_OFFER_PROVIDED ? -EOPNOTSUPP :
		      take_check(&t, &bid->terms);
	if (!err) {
		bid->state = BID_TAKING;
		refcount_inc(&bid->ref);
		mbuf_offer_changed(end);
	}
	raw_spin_unlock_irq(&c->lock);
	if (err)
		return err;

	/* Nobody else works on it now; only its end can come. */
	solid = bid->terms.options & MBUF_OFFER_SOLID;
	if (bid->brought) {
		err = mbuf_memory_check(bid->brought, MBUF_REGION_RIGHTS,
					t.rights, &check);
		if (err)
			goto back;
		memory = get_file(bid->brought);
	} else {
		memory = mbuf_memory_new(t.size, solid, bid->memcg);
		if (IS_ERR(memory)) {
			err = PTR_ERR(memory);
			memory = NULL;
			goto back;
		}
	}
	payer = mbuf_end_payer_get(end);
	err = -EPIPE;
	if (payer) {
		err = mbuf_region_prepare(&fd, memory, solid, t.rights, payer);
		mbuf_account_put(payer);
	}
	if (err)
		goto back;
	t.region.fd = fd.fd;
	err = mbuf_ioctl_put(arg, size, &t, sizeof(t));
	if (err) {
		mbuf_fd_abort(&fd);
		goto back;
	}

	mbuf_kick_begin(&kick);
	mbuf_kick_begin(&claimer);
	raw_spin_lock_irq(&c->lock);
	if (bid->state == BID_TAKING) {
		bid->state = BID_TAKEN;
		bid->outcome = MBUF_OUTCOME_TAKEN;
		bid->answer.min = t.size;
		bid->answer.wanted = t.size;
		bid->answer.max = t.size;
		bid->answer.rights = t.rights;
		bid->answer.options = bid->terms.options;
		bid->rights = MBUF_REGION_RIGHTS;
		trace_mbuf_negotiate(end->id, bid->id, MBUF_TRACE_TAKEN,
				     t.size);
		bid->memory = memory;
		memory = NULL;
		mbuf_offer_tell(mbuf_end_peer(end), &kick);
		mbuf_offer_tell_claimer(bid, end, &claimer);
	} else {
		err = mbuf_offer_check(c, end) ?: -ENOENT;
	}
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&claimer);
	mbuf_kick_end(&kick);
	if (err)
		mbuf_fd_abort(&fd);
	else
		mbuf_fd_install(&fd);
	goto put;

back:
	mbuf_kick_begin(&kick);
	raw_spin_lock_irq(&c->lock);
	if (bid->state == BID_TAKING) {
		bid->state = BID_OPEN;
		mbuf_offer_tell(end, &kick);
	}
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&kick);
put:
	if (memory)
		fput(memory);
	mbuf_bid_put(bid);
	return err;
}

static long offer_decline(struct mbuf_endpoint *end, void __user *arg,
			  size_t size, bool counter)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_kick kick, claimer;
	struct mbuf_counter n;
	struct mbuf_bid *bid;
	struct terms terms;
	int err;

	BUILD_BUG_ON(sizeof(n) != COUNTER_SIZE_V0);

	err = mbuf_ioctl_get(&n, sizeof(n), COUNTER_SIZE_V0, arg, size);
	if (err)
		return err;
	if (n.target)
		return -EOPNOTSUPP;
	terms = (struct terms){ n.min, n.wanted, n.max, n.rights, n.options };
	if (n.resv || (counter ? !terms_ok(&terms) :
		       n.min || n.wanted || n.max || n.rights || n.options))
		return -EINVAL;

	mbuf_kick_begin(&kick);
	mbuf_kick_begin(&claimer);
	raw_spin_lock_irq(&c->lock);
	bid = bid_find(end, n.id, &err);
	if (bid) {
		bid->state = counter ? BID_COUNTERED : BID_REJECTED;
		bid->outcome = counter ? MBUF_OUTCOME_COUNTERED :
					 MBUF_OUTCOME_REJECTED;
		bid->answer = terms;
		bid->reason = n.reason;
		trace_mbuf_negotiate(end->id, bid->id,
				     counter ? MBUF_TRACE_COUNTERED :
					       MBUF_TRACE_REJECTED, n.wanted);
		mbuf_offer_tell(mbuf_end_peer(end), &kick);
		mbuf_offer_tell_claimer(bid, end, &claimer);
	}
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&claimer);
	mbuf_kick_end(&kick);
	return err;
}

/* What came of an offer */

struct answer_wait {
	u64 id;
	struct mbuf_bid *bid;
};

static int answer_ready(struct mbuf_endpoint *end, void *arg)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_bid *bid = end->bid;
	struct answer_wait *a = arg;

	if (!(c->status & STATUS_OPEN(end->side)))
		return -EPERM;
	if (!bid || bid->id != a->id)
		return -ENOENT;
	if (bid->state < BID_TAKEN)
		return c->status & STATUS_OPEN(!end->side) ? -EAGAIN : -EPIPE;
	refcount_inc(&bid->ref);
	a->bid = bid;
	return 0;
}

static long offer_answer(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_bid *bid, *mine = NULL;
	struct mbuf_deadline deadline;
	struct answer_wait wait = { };
	struct mbuf_answer a;
	bool taken, solid;
	struct mbuf_fd fd;
	int err;

	BUILD_BUG_ON(sizeof(a) != ANSWER_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), ANSWER_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.region.flags || a.region.handle)
		return -EINVAL;
	err = mbuf_offer_wait_parse(&deadline, file, &a.wait);
	if (err)
		return err;
	wait.id = a.id;
	err = mbuf_offer_wait(end, &deadline, answer_ready, &wait);
	if (err)
		return err;

	/* It has been answered: nothing of it changes any more. */
	bid = wait.bid;
	taken = bid->memory;
	solid = bid->terms.options & MBUF_OFFER_SOLID;
	a.outcome = bid->outcome;
	a.reason = bid->reason;
	a.min = bid->answer.min;
	a.wanted = bid->answer.wanted;
	a.max = bid->answer.max;
	a.rights = bid->answer.rights;
	a.options = bid->answer.options;
	a.region.fd = -1;
	if (taken) {
		err = mbuf_region_derive(&fd, bid->memory, solid, bid->rights,
					 bid->payer);
		if (err)
			goto put;
		a.region.fd = fd.fd;
	}
	err = mbuf_ioctl_put(arg, size, &a, sizeof(a));
	if (!err) {
		/* Told once, to one. */
		raw_spin_lock_irq(&c->lock);
		if (end->bid == bid) {
			mine = offer_take_away(end);
			trace_mbuf_negotiate(end->id, a.id,
					     MBUF_TRACE_ANSWERED, a.wanted);
		} else {
			err = -ENOENT;
		}
		raw_spin_unlock_irq(&c->lock);
	}
	if (taken) {
		if (err)
			mbuf_fd_abort(&fd);
		else
			mbuf_fd_install(&fd);
	}
	mbuf_bid_put(mine);
put:
	mbuf_bid_put(bid);
	return err;
}

/**
 * mbuf_offer_ioctl() - the calls of a negotiation
 * @file: an endpoint
 * @cmd: the command
 * @arg: its argument
 * @size: and the size of that
 *
 * Return: 0 or an error, -ENOTTY if it is none of them.
 */
long mbuf_offer_ioctl(struct file *file, unsigned int cmd, void __user *arg,
		      size_t size)
{
	struct mbuf_endpoint *end = file->private_data;

	if (end->bond && !mbuf_bond_mine(end->bond))
		return -EPERM;
	switch (_IOC_NR(cmd)) {
	case _IOC_NR(MBUF_IOC_OFFER):
		return offer_make(end, arg, size);
	case _IOC_NR(MBUF_IOC_OFFERED):
		return offer_look(file, arg, size);
	case _IOC_NR(MBUF_IOC_TAKE):
		return offer_accept(end, arg, size);
	case _IOC_NR(MBUF_IOC_COUNTER):
		return offer_decline(end, arg, size, true);
	case _IOC_NR(MBUF_IOC_REJECT):
		return offer_decline(end, arg, size, false);
	case _IOC_NR(MBUF_IOC_ANSWER):
		return offer_answer(file, arg, size);
	case _IOC_NR(MBUF_IOC_WITHDRAW):
		return offer_withdraw(end, arg, size);
	default:
		return mbuf_provide_ioctl(file, cmd, arg, size);
	}
}
