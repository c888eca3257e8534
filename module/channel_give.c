// SPDX-License-Identifier: GPL-2.0
/*
 * Giving a queue's send right over a channel: how strangers come to have a queue
 * between them, over which everything else can be passed.
 *
 * A send right does not own its queue. So an endpoint that has been given one
 * owns nothing by it, and can be passed in messages like any other.
 */
#include <linux/file.h>
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
	struct mbuf_give g;
	struct file *file;
	int err;

	err = give_get(&g, end, arg, size);
	if (err)
		return err;
	file = fget(g.ref.fd);
	if (!file)
		return -EBADF;
	err = -EOPNOTSUPP;
	if (!mbuf_queue_is(file) || !(file->f_mode & FMODE_WRITE))
		goto put;

	err = 0;
	raw_spin_lock_irq(&c->lock);
	if (c->status != STATUS_LIVE)
		err = mbuf_end_check_steps(c, end, MBUF_STEP_WRITE);
	if (!err && peer->driver)
		err = -EOPNOTSUPP;
	if (!err && peer->given)
		err = -EBUSY;
	if (!err)
		swap(peer->given, file);
	raw_spin_unlock_irq(&c->lock);
put:
	if (file)
		fput(file);
	return err;
}

/* It could not be taken: it stays, unless there is another, or nobody. */
static void given_back(struct mbuf_channel *c, struct mbuf_endpoint *end,
		       struct file *file)
{
	raw_spin_lock_irq(&c->lock);
	if (!end->given && c->status & STATUS_OPEN(end->side))
		swap(end->given, file);
	raw_spin_unlock_irq(&c->lock);
	if (file)
		fput(file);
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
	struct file *file = NULL;
	struct mbuf_give g;
	int err, fd;

	err = give_get(&g, end, arg, size);
	if (err)
		return err;
	raw_spin_lock_irq(&c->lock);
	swap(end->given, file);
	err = file || c->status & STATUS_OPEN(!end->side) ? 0 : -EPIPE;
	raw_spin_unlock_irq(&c->lock);
	if (!file)
		return err ?: -EAGAIN;

	/* What is installed cannot be taken back: see first. */
	g.ref.fd = -1;
	err = mbuf_ioctl_put(arg, size, &g, sizeof(g));
	if (err)
		goto back;
	fd = mbuf_pass_to_fd(file);
	err = fd;
	if (fd < 0)
		goto back;
	fput(file);
	g.ref.fd = fd;
	return mbuf_ioctl_put(arg, size, &g, sizeof(g));

back:
	given_back(c, end, file);
	return err;
}
