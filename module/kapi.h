/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoints and listeners that drivers have: include/linux/mbuf_kernel.h.
 *
 * An endpoint of a driver is a struct mbuf_kernel_end, which is attached to the
 * endpoint as its struct mbuf_end_driver. Instead of a waiter, the endpoint
 * then has a work item: a signal queues it, and it takes what there is and
 * calls the driver. A workqueue never runs one work item twice at a time, so
 * neither does it the callback.
 *
 * Who signals from a driver may be in an interrupt. A thread that waits is woken
 * at once, for which raw locks are enough. Pollers are in waitqueues, whose locks
 * are not raw, and wake functions can do anything. So an irq_work wakes them. It
 * does not know whom, but looks again: what it would have to remember, a set,
 * could be gone by then.
 *
 * Lifetime. Closing the endpoint, under the channel's lock, is what makes
 * everybody stop: nobody queues the work or the irq_work afterwards. Then both
 * are waited for. The memory, and the reference to the channel, stay for a grace
 * period of RCU, so that an interrupt handler that has just looked up the
 * endpoint may still call, and gets an error.
 *
 * A listener of a driver is one whose own accept queue has a struct
 * mbuf_accept_driver. Instead of a thread in ACCEPT there is a work item, which
 * takes connections out and asks the driver about each.
 *
 * Nobody is charged for the driver's part. If both endpoints are drivers',
 * no memory cgroup is either.
 */
#ifndef _MBUF_KAPI_H
#define _MBUF_KAPI_H

#include <linux/irq_work.h>
#include <linux/mbuf_kernel.h>
#include <linux/refcount.h>
#include <linux/workqueue.h>
#include "channel_priv.h"

/**
 * struct mbuf_kernel_end - an endpoint that a driver has
 * @driver: what the channel knows of it
 * @channel: the channel; holds a reference
 * @end: the endpoint, of @channel
 * @receiver: whom to call; constant once @driver is attached
 * @fresh: the receiver has yet to be told that there is a connection; the
 *	channel's lock
 * @told: the receiver knows that the peer has gone; the channel's lock
 * @ref: the driver's, and that of who is about to give it to the driver
 * @work: calls the receiver
 * @pollers: wakes who polls the peer
 * @free: drops the driver's reference
 */
struct mbuf_kernel_end {
	struct mbuf_end_driver driver;
	struct mbuf_channel *channel;
	struct mbuf_endpoint *end;
	struct mbuf_kernel_receiver receiver;
	bool fresh;
	bool told;
	refcount_t ref;
	struct work_struct work;
	struct irq_work pollers;
	struct rcu_work free;
};

extern struct workqueue_struct *mbuf_kernel_wq;

struct mbuf_kernel_end *
mbuf_kernel_alloc(const struct mbuf_kernel_receiver *receiver,
		  struct mbuf_channel *c, unsigned int side);
void mbuf_kernel_put(struct mbuf_kernel_end *ke);
void mbuf_kernel_msg(struct mbuf_kernel_msg *msg, const struct mbuf_taken *t);

int mbuf_kernel_init(void);
void mbuf_kernel_exit(void);

#endif /* _MBUF_KAPI_H */
