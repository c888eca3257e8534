// SPDX-License-Identifier: GPL-2.0
/*
 * Giving a queue's send right over a channel: how strangers come to have a queue
 * between them, over which everything else can be passed.
 *
 * Few endpoints are ever given one, so it is not in the endpoint but in a table
 * of all of them. Its lock is a leaf, below that of the channel.
 *
 * A send right does not own its queue. So an endpoint that has been given one
 * owns nothing by it, and can be passed in messages like any other.
 */
#include <linux/file.h>
#include <linux/hash.h>
#include <linux/list.h>
#include <linux/slab.h>
#include "channel_priv.h"
#include "pass.h"
#include "queue.h"

/* Size of the first version of the struct. */
#define GIVE_SIZE_V0	32

static int give_get(struct mbuf_give *g, const struct mbuf_endpoint *end,
		    const void __user *arg, size_t size)
{
	int err;

	BUILD_BUG_ON(sizeof(*g) != GIVE_SIZE_V0);

	err = mbuf_ioctl_get(g, sizeof(*g), GIVE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (g->target)
		return -EOPNOTSUPP;
	if (g->flags || g->resv || g->ref.flags || g->ref.handle)
		return -EINVAL;
	if (end->bond && !mbuf_bond_mine(end->bond))
		return -EPERM;
	return 0;
}

/**
 * struct mbuf_gift - a send right that has been given
 * @node: in the table
 * @end: to which endpoint
 * @file: the right; holds a reference
 */
struct mbuf_gift {
	struct hlist_node node;
	const struct mbuf_endpoint *end;
	struct file *file;
};

#define GIFT_BITS	6

static struct hlist_head gifts[1 << GIFT_BITS];
static DEFINE_RAW_SPINLOCK(gifts_lock);

static struct hlist_head *gift_head(const struct mbuf_endpoint *end)
{
	return &gifts[hash_ptr(end, GIFT_BITS)];
}

/* Under the channel's lock; there is none for @end. */
static void gift_put(struct mbuf_endpoint *end, struct mbuf_gift *gift)
{
	gift->end = end;
	raw_spin_lock(&gifts_lock);
	hlist_add_head(&gift->node, gift_head(end));
	raw_spin_unlock(&gifts_lock);
	mbuf_end_channel(end)->given[end->side] = true;
}

/*
 * Under the channel's lock. The end stays marked, so that nobody gives another
 * before it is known whether this one was taken. NULL if there is none, or
 * somebody else is taking it.
 */
static struct mbuf_gift *gift_take(struct mbuf_endpoint *end)
{
	struct mbuf_gift *gift;

	if (likely(!mbuf_end_channel(end)->given[end->side]))
		return NULL;
	raw_spin_lock(&gifts_lock);
	hlist_for_each_entry(gift, gift_head(end), node) {
		if (gift->end == end) {
			hlist_del(&gift->node);
			break;
		}
	}
	raw_spin_unlock(&gifts_lock);
	return gift;
}

/* It has been taken out, or was never in. No locks held. */
static void gift_free(struct mbuf_gift *gift)
{
	if (!gift)
		return;
	mbuf_file_put(gift->file);
	kfree(gift);
}

/**
 * mbuf_end_drop_given() - an endpoint is closed: what of that it has not taken?
 * @c: the channel
 * @side: the endpoint
 *
 * Context: under the lock of the channel.
 * Return: what mbuf_gift_free() has to be called for, or NULL.
 */
struct mbuf_gift *mbuf_end_drop_given(struct mbuf_channel *c, unsigned int side)
{
	struct mbuf_gift *gift = gift_take(&c->end[side]);

	c->given[side] = false;
	return gift;
}

/**
 * mbuf_gift_free() - drop a send right that nobody has taken
 * @gift: from mbuf_end_drop_given()
 *
 * Context: may sleep.
 */
void mbuf_gift_free(struct mbuf_gift *gift)
{
	gift_free(gift);
}

/**
 * mbuf_end_give_right() - GIVE
 * @end: the endpoint
 * @arg: its argument
 * @size: size of that
 *
 * Context: process context, may sleep.
 * Return: result of the ioctl.
 */
long mbuf_end_give_right(struct mbuf_endpoint *end, void __user *arg,
			 size_t size)
{
	struct mbuf_endpoint *peer = mbuf_end_peer(end);
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_gift *gift;
	struct mbuf_give g;
	struct file *file;
	int err;

	err = give_get(&g, end, arg, size);
	if (err)
		return err;
	file = fget(g.ref.fd);
	if (!file)
		return -EBADF;
	if (!mbuf_queue_is(file) || !(file->f_mode & FMODE_WRITE)) {
		fput(file);
		return -EOPNOTSUPP;
	}
	gift = kmalloc(sizeof(*gift), GFP_KERNEL_ACCOUNT);
	if (!gift) {
		fput(file);
		return -ENOMEM;
	}
	gift->file = file;

	raw_spin_lock_irq(&c->lock);
	if (c->status != STATUS_LIVE)
		err = mbuf_end_check_steps(c, end, MBUF_STEP_WRITE);
	if (!err && peer->kernel)
		err = -EOPNOTSUPP;
	if (!err && c->given[peer->side])
		err = -EBUSY;
	if (!err)
		gift_put(peer, gift);
	raw_spin_unlock_irq(&c->lock);
	if (err)
		gift_free(gift);
	return err;
}

/* It was taken, or could not be and stays, unless the end is closed. */
static void given_end(struct mbuf_channel *c, struct mbuf_endpoint *end,
		      struct mbuf_gift *gift, bool taken)
{
	raw_spin_lock_irq(&c->lock);
	c->given[end->side] = false;
	if (!taken && c->status & STATUS_OPEN(end->side)) {
		gift_put(end, gift);
		gift = NULL;
	}
	raw_spin_unlock_irq(&c->lock);
	gift_free(gift);
}

/**
 * mbuf_end_given() - GIVEN
 * @end: the endpoint
 * @arg: its argument
 * @size: size of that
 *
 * Context: process context, may sleep.
 * Return: result of the ioctl.
 */
long mbuf_end_given(struct mbuf_endpoint *end, void __user *arg, size_t size)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_gift *gift;
	struct mbuf_give g;
	int err, fd;

	err = give_get(&g, end, arg, size);
	if (err)
		return err;
	raw_spin_lock_irq(&c->lock);
	gift = gift_take(end);
	/* One that another thread is taking may come back. */
	err = c->given[end->side] || c->status & STATUS_OPEN(!end->side) ?
	      -EAGAIN : -EPIPE;
	raw_spin_unlock_irq(&c->lock);
	if (!gift)
		return err;

	/* What is installed cannot be taken back: see first. */
	err = mbuf_ioctl_put(arg, size, &g, sizeof(g));
	if (err)
		goto back;
	fd = mbuf_pass_to_fd(gift->file);
	err = fd;
	if (fd < 0)
		goto back;
	given_end(c, end, gift, true);
	g.ref.fd = fd;
	return mbuf_ioctl_put(arg, size, &g, sizeof(g));

back:
	given_end(c, end, gift, false);
	return err;
}
