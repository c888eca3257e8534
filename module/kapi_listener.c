// SPDX-License-Identifier: GPL-2.0
/* Names: drivers that connect to listeners, and drivers that listen. */
#include <linux/export.h>
#include <linux/slab.h>
#include <net/net_namespace.h>
#include "kapi.h"
#include "listener_priv.h"

static int name_check(const struct mbuf_kernel_name *name)
{
	if (!name->len)
		return -EINVAL;
	return name->len > MBUF_NAME_MAX ? -ENAMETOOLONG : 0;
}

static struct net *name_net(const struct mbuf_kernel_name *name)
{
	return name->net ?: &init_net;
}

/* Connecting */

static int connect_wait(struct mbuf_channel *c, struct mbuf_listener *l,
			const struct mbuf_wish *wish, ktime_t deadline)
{
	struct mbuf_deadline d = {
		.mode = deadline == KTIME_MAX ? MBUF_WAIT_FOREVER :
						MBUF_WAIT_UNTIL,
		.at = deadline,
	};
	int err;

	err = mbuf_listener_queue(l, c, wish);
	/* Who does not want to wait has found somebody who did. */
	if (!err && !wish->now)
		err = mbuf_channel_connect_wait(c, &d);
	return err;
}

/**
 * mbuf_kernel_connect() - connect to a listener
 * @to: its name
 * @maker: the user who must have made it, so that nobody else can pretend to be
 *	it; drivers count as root. INVALID_UID: anybody
 * @hello: %MBUF_SLOT_SIZE bytes that are written and signalled, for who accepts
 *	to look at; or NULL
 * @deadline: CLOCK_MONOTONIC, by which it has to be accepted. KTIME_MAX: wait for
 *	ever. 0: do not wait; it is only queued if somebody waits for it
 * @receiver: as mbuf_kernel_create()
 *
 * The listener's mode and list of users do not apply to drivers.
 *
 * Context: process context, may sleep.
 * Return: the endpoint, or an error pointer: -EINVAL, -ENAMETOOLONG,
 * -ECONNREFUSED if there is no such listener, it does not want to, or is gone,
 * -EACCES if it was not made by @maker, -EAGAIN if it has no room or, with 0,
 * nobody waits, -ETIMEDOUT, -ERESTARTSYS, -ENOMEM.
 */
struct mbuf_kernel_end *
mbuf_kernel_connect(const struct mbuf_kernel_name *to, kuid_t maker,
		    const void *hello, ktime_t deadline,
		    const struct mbuf_kernel_receiver *receiver)
{
	const struct mbuf_wish wish = {
		.net = name_net(to),
		.name = to->name,
		.len = to->len,
		.maker = maker,
		.now = !deadline,
		.driver = true,
	};
	struct mbuf_kernel_end *ke;
	struct mbuf_listener *l;
	struct mbuf_channel *c;
	int err;

	might_sleep();
	err = name_check(to);
	if (err)
		return ERR_PTR(err);
	l = mbuf_listener_find(&wish);
	if (IS_ERR(l))
		return ERR_CAST(l);

	err = -ENOMEM;
	c = mbuf_channel_new_unpaid(true);
	if (!c)
		goto put_listener;
	ke = mbuf_kernel_alloc(receiver, c, MBUF_SIDE_CONNECT);
	if (!ke)
		goto put_channel;
	if (hello)
		mbuf_channel_hello(c, hello);
	/* Who accepts sees that it is a driver. It is told nothing yet. */
	mbuf_end_adopt(c, MBUF_SIDE_CONNECT, NULL, false);
	err = connect_wait(c, l, &wish, deadline);
	if (err) {
		mbuf_end_close(c, MBUF_SIDE_CONNECT);
		mbuf_kernel_put(ke);
	} else {
		mbuf_end_adopt(c, MBUF_SIDE_CONNECT, &ke->driver, false);
	}
put_channel:
	mbuf_channel_put(c);
put_listener:
	mbuf_listener_put(l);
	return err ? ERR_PTR(err) : ke;
}
EXPORT_SYMBOL_GPL(mbuf_kernel_connect);

/* Listening */

/**
 * struct mbuf_kernel_listener - a listener that a driver has
 * @driver: what its accept queue knows of it
 * @listener: the listener
 * @acceptor: whom to ask
 * @closing: take no more
 * @work: asks
 */
struct mbuf_kernel_listener {
	struct mbuf_accept_driver driver;
	struct mbuf_listener *listener;
	struct mbuf_kernel_acceptor acceptor;
	bool closing;
	struct work_struct work;
};

/* Under the listener's lock. */
static void listener_notify(struct mbuf_accept_driver *driver)
{
	struct mbuf_kernel_listener *kl =
		container_of(driver, struct mbuf_kernel_listener, driver);

	queue_work(mbuf_kernel_wq, &kl->work);
}

/* What the driver says to a connection. */
static int listener_ask(struct mbuf_kernel_listener *kl,
			struct mbuf_kernel_end *ke)
{
	struct mbuf_kernel_receiver receiver = { };
	struct mbuf_channel *c = ke->channel;
	struct mbuf_kernel_peer peer;
	struct mbuf_kernel_msg hello;
	struct mbuf_taken got;
	int err;

	mbuf_kernel_peer(ke, &peer);
	raw_spin_lock_irq(&c->lock);
	mbuf_end_peek(c, ke->end, &got);
	raw_spin_unlock_irq(&c->lock);
	mbuf_kernel_msg(&hello, &got);
	err = kl->acceptor.accept(ke, &peer, &hello, &receiver,
				  kl->acceptor.priv);
	/* Nobody reads it before mbuf_end_adopt(). */
	ke->receiver = receiver;
	ke->fresh = true;
	return err;
}

static void listener_take(struct mbuf_kernel_listener *kl,
			  struct mbuf_pending *p)
{
	struct mbuf_channel *c = mbuf_pending_channel(p);
	struct mbuf_listener *l = kl->listener;
	struct mbuf_kernel_end *ke;
	int err = -ENOMEM;

	ke = mbuf_kernel_alloc(NULL, c, MBUF_SIDE_ACCEPT);
	if (ke) {
		/* From then on the driver may close it, at any time. */
		refcount_inc(&ke->ref);
		err = listener_ask(kl, ke);
	}
	if (err) {
		this_cpu_inc(l->stats->denied);
		mbuf_end_close(c, MBUF_SIDE_ACCEPT);
		if (ke)
			mbuf_kernel_put(ke);
	} else {
		/* Who connects has paid for this end so far. */
		mbuf_end_pay(c, MBUF_SIDE_ACCEPT, NULL, 0);
		/* Who connects sees at once that it is a driver. */
		mbuf_end_adopt(c, MBUF_SIDE_ACCEPT, NULL, false);
		err = mbuf_channel_accepted(c, false);
		if (err)
			this_cpu_inc(l->stats->withdrawn);
		else
			this_cpu_inc(l->stats->accepted);
		mbuf_end_adopt(c, MBUF_SIDE_ACCEPT, &ke->driver, true);
	}
	if (ke)
		mbuf_kernel_put(ke);
	mbuf_pending_done(p);
}

static void listener_work(struct work_struct *work)
{
	struct mbuf_kernel_listener *kl =
		container_of(work, struct mbuf_kernel_listener, work);
	const struct mbuf_deadline now = { .mode = MBUF_WAIT_NOW };
	struct mbuf_pending *p;

	while (!READ_ONCE(kl->closing)) {
		p = mbuf_acceptor_take(&kl->listener->own, &now, false);
		if (IS_ERR(p))
			break;
		listener_take(kl, p);
		cond_resched();
	}
}

/**
 * mbuf_kernel_listen() - let others connect by a name
 * @name: the name
 * @mode: who may connect, besides drivers: 0200 root, 0020 group 0, 0002 all
 * @backlog: how many connections may wait to be asked about, 1 to 4096
 * @acceptor: who is asked; copied
 *
 * It may be asked before this returns. While the listener exists, so does the
 * network namespace.
 *
 * Context: process context, may sleep.
 * Return: the listener, or an error pointer: -EINVAL, -ENAMETOOLONG, -EADDRINUSE,
 * -ENOMEM.
 */
struct mbuf_kernel_listener *
mbuf_kernel_listen(const struct mbuf_kernel_name *name, umode_t mode,
		   u32 backlog, const struct mbuf_kernel_acceptor *acceptor)
{
	const struct mbuf_patron patron = { .net = name_net(name) };
	const struct mbuf_policy perms = {
		.owner = GLOBAL_ROOT_UID,
		.group = GLOBAL_ROOT_GID,
		.mode = mode,
	};
	struct mbuf_kernel_listener *kl;
	struct mbuf_listener *l;
	int err;

	might_sleep();
	err = name_check(name);
	if (err)
		return ERR_PTR(err);
	if (mode & ~0777 || !backlog || backlog > MBUF_BACKLOG_MAX)
		return ERR_PTR(-EINVAL);
	kl = kzalloc(sizeof(*kl), GFP_KERNEL);
	if (!kl)
		return ERR_PTR(-ENOMEM);
	l = mbuf_listener_new(&patron, name->name, name->len, backlog, &perms);
	if (IS_ERR(l)) {
		kfree(kl);
		return ERR_CAST(l);
	}
	kl->driver.notify = listener_notify;
	kl->listener = l;
	kl->acceptor = *acceptor;
	INIT_WORK(&kl->work, listener_work);
	err = mbuf_name_insert(l);
	if (err) {
		mbuf_listener_close(l);
		kfree(kl);
		return ERR_PTR(err);
	}
	mbuf_acceptor_drive(&l->own, &kl->driver);
	mbuf_listener_open(l);
	mbuf_acceptor_show(&l->own, patron.net);
	return kl;
}
EXPORT_SYMBOL_GPL(mbuf_kernel_listen);

/**
 * mbuf_kernel_unlisten() - the end of a listener
 * @kl: the listener, or NULL
 *
 * When this returns the acceptor is not running, and will not be called any
 * more. Connections about which it was not asked are refused. Those that it has
 * accepted stay.
 *
 * Context: process context, may sleep. Not in the acceptor.
 */
void mbuf_kernel_unlisten(struct mbuf_kernel_listener *kl)
{
	might_sleep();
	if (!kl)
		return;
	mbuf_acceptor_drive(&kl->listener->own, NULL);
	WRITE_ONCE(kl->closing, true);
	cancel_work_sync(&kl->work);
	mbuf_listener_close(kl->listener);
	kfree(kl);
}
EXPORT_SYMBOL_GPL(mbuf_kernel_unlisten);
