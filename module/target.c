// SPDX-License-Identifier: GPL-2.0
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/slab.h>
#include "channel.h"
#include "compat.h"
#include "target.h"

/**
 * struct target_event - an eventfd
 * @target: what others see of it
 * @ctx: the eventfd; holds a reference
 */
struct target_event {
	struct mbuf_target target;
	struct eventfd_ctx *ctx;
};

/**
 * struct target_end - an endpoint
 * @target: what others see of it
 * @channel: its channel; holds a reference
 * @side: which of the two
 */
struct target_end {
	struct mbuf_target target;
	struct mbuf_channel *channel;
	unsigned int side;
};

static void event_tell(struct mbuf_target *t)
{
	mbuf_eventfd_signal(container_of(t, struct target_event, target)->ctx);
}

static void event_free(struct mbuf_target *t)
{
	struct target_event *e = container_of(t, struct target_event, target);

	eventfd_ctx_put(e->ctx);
	kfree(e);
}

static const struct mbuf_target_ops event_ops = {
	.tell	= event_tell,
	.free	= event_free,
};

static void end_tell(struct mbuf_target *t)
{
	struct target_end *e = container_of(t, struct target_end, target);

	mbuf_channel_signal(e->channel, e->side);
}

static void end_free(struct mbuf_target *t)
{
	struct target_end *e = container_of(t, struct target_end, target);

	mbuf_channel_put(e->channel);
	kfree(e);
}

static const struct mbuf_target_ops end_ops = {
	.tell	= end_tell,
	.free	= end_free,
};

static struct mbuf_target *target_of_end(struct file *file)
{
	struct target_end *e;

	if (mbuf_channel_bound(file))
		return ERR_PTR(-EPERM);
	e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (!e)
		return ERR_PTR(-ENOMEM);
	e->target.ops = &end_ops;
	refcount_set(&e->target.ref, 1);
	e->channel = mbuf_channel_of(file, &e->side);
	return &e->target;
}

static struct mbuf_target *target_of_event(struct file *file)
{
	struct target_event *e;
	struct eventfd_ctx *ctx;

	ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(ctx))
		return ERR_PTR(-ENOTTY);
	e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (!e) {
		eventfd_ctx_put(ctx);
		return ERR_PTR(-ENOMEM);
	}
	e->target.ops = &event_ops;
	refcount_set(&e->target.ref, 1);
	e->ctx = ctx;
	return &e->target;
}

/**
 * mbuf_target_new() - make a target
 * @fd: a descriptor of the current process
 *
 * Context: may sleep.
 * Return: the target, for mbuf_target_put(); or an error pointer: -EBADF,
 * -ENOTTY: neither an eventfd nor an endpoint; -EPERM: an endpoint of a thread;
 * -ENOMEM.
 */
struct mbuf_target *mbuf_target_new(int fd)
{
	struct file *file = fget(fd);
	struct mbuf_target *t;

	if (!file)
		return ERR_PTR(-EBADF);
	t = mbuf_channel_is(file) ? target_of_end(file) : target_of_event(file);
	fput(file);
	return t;
}
