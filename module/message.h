/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Message object: a message that sends itself.
 *
 * It has room for a message, which its owner loads, and can stand in line at a
 * queue in place of a task that sleeps: see queue.h. When its turn comes, the
 * message enters the queue in the context of whoever made room, and the target
 * is told. Nothing of the message object is touched by then any more but its
 * waiter's state, so that it can be freed, or loaded again, at any time.
 *
 * It may have an inbox: a queue of one message, of which it owns the receive
 * right. Whoever has a handle of the message object can receive from it.
 *
 * States, as they are seen by who works on it:
 *
 *	EMPTY	-> LOADED	LOAD
 *	LOADED	-> EMPTY	ENQUEUE: the message has entered
 *	LOADED	-> PARKED	ENQUEUE: it stands in line
 *	PARKED	-> EMPTY	it has entered
 *	PARKED	-> LOADED	CANCEL, or the queue died
 *
 * The last two are noticed by who works on the object next.
 *
 * Locking. One bit says that a call works on it; others are told EBUSY meanwhile.
 * So nothing is held while payload is copied or a queue is locked. When the
 * owner goes while a call works on it, the call ends it when it is done.
 */
#ifndef _MBUF_MESSAGE_H
#define _MBUF_MESSAGE_H

#include <linux/types.h>
#include "table.h"

long mbuf_message_ioctl(struct mbuf_table *root, unsigned int nr,
			void __user *arg, size_t size);
long mbuf_message_queue_ioctl(struct mbuf_table *root, unsigned int cmd,
			      void __user *arg, u64 target);

#endif /* _MBUF_MESSAGE_H */
