/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Endpoints that drivers have: the kernel's side of include/linux/mbuf_kernel.h.
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
 * Nobody is charged for the driver's part. If both endpoints are drivers',
 * no memory cgroup is either.
 */
#ifndef _MBUF_KAPI_H
#define _MBUF_KAPI_H

int mbuf_kernel_init(void);
void mbuf_kernel_exit(void);

#endif /* _MBUF_KAPI_H */
