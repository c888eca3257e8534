/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queue: a bounded buffer of messages.
 *
 * A queue holds up to @slots messages of up to @max_msg bytes each. Two files
 * stand for it, a receive right and a send right. Each counts once, however
 * often it is duplicated.
 *
 * States. A queue is alive while a receive right exists. When the last one
 * goes, it is dead: all messages and all memory for them go at once, the payer
 * is uncharged, senders get EPIPE. What is left is the header, until the last
 * send right goes too. A queue without send rights is alive until drained and
 * closed: receivers get what is left, then end-of-file.
 *
 * A message is in one of four places:
 *
 *	with its sender		until it enters the queue
 *	parked			waiting for room: it is linked, in order of
 *				arrival within its priority, through the
 *				waiter of its sender, who is asleep
 *	in the queue		linked in the list of its priority; it has got
 *				a sequence number and counts against @slots
 *	with a receiver		who is copying it out, or is about to
 *
 * Invariants, whenever the lock is free:
 *
 *   I1	A receiver waits in line only if no message is in the queue.
 *   I2	A message is parked only if the queue is full (depth >= slots) or dead.
 *   I3	There is a free slot for each message that the queue could still take.
 *   I4	Nobody is in line in a dead queue.
 *
 * So whoever puts a message in looks for a waiting receiver first and hands
 * it over (I1), and whoever takes one out moves the head of the parked ones
 * in (I2). No party that has waited is ever asked to try again, so nobody can
 * overtake it; and whether a call would block follows from depth alone.
 *
 * A message handed to a waiting receiver has left the queue. If that receiver
 * then cannot take it (its buffer is too small or no memory, or it is killed),
 * the message goes back where it was in the queue, if need be above @slots, or
 * to the next receiver in line. Likewise for messages that are too large to be
 * copied under the lock. So order can bend among receivers that run while one
 * of them fails, and one of them may see the end before the message is back.
 *
 * A message that carries capabilities is never in a slot. When it can own other
 * queues (see right.h) it does so from before it enters the queue.
 *
 * Who parks need not be a sender that sleeps: it can be a message object, of
 * which the waiter is a part. Then there is no task to be woken but a target to
 * be told.
 *
 * Locking. One spinlock, below which only waitqueue locks of pollers would be
 * allowed; in fact those are taken after it is dropped. Payload is copied
 * under it with page faults disabled (see payload.h), at most MBUF_INLINE_MAX
 * bytes. Whether a poller has to be woken is decided under it: a poller
 * enters its waitqueue first and takes the lock to look second, so that either
 * it sees the change or it is seen.
 *
 * Lifetime. The header has one reference for each right. The waitqueues of
 * pollers are in the header, so they live as long as any file.
 */
#ifndef _MBUF_QUEUE_H
#define _MBUF_QUEUE_H

#include <linux/poll.h>
#include <linux/types.h>
#include <linux/wait.h>
#include "object.h"
#include "quota.h"
#include "right.h"

#define MBUF_SLOTS_MAX	65536
#define MBUF_MSG_MAX	(16U << 20)
#define MBUF_BATCH_MAX	1024
#define MBUF_PRIO_MAX	63

/* What a user may give. */
#define MBUF_QUEUE_FLAGS	(MBUF_QUEUE_PRIO | MBUF_QUEUE_OVERWRITE | \
				 MBUF_QUEUE_CREDS | MBUF_QUEUE_EMPTY | \
				 MBUF_QUEUE_NONBLOCK | MBUF_QUEUE_CAPS)

struct mbuf_item;
struct mbuf_queue;
struct mbuf_table;
struct mbuf_waiter;

/**
 * struct mbuf_queue_spec - what a queue shall be like
 * @slots: how many messages it holds
 * @max_msg: the largest message
 * @flags: MBUF_QUEUE_*
 * @max_caps: the most capabilities that a message carries
 */
struct mbuf_queue_spec {
	u32 slots;
	u32 max_msg;
	u32 flags;
	u32 max_caps;
};

int mbuf_queue_create(struct mbuf_account *payer,
		      const struct mbuf_queue_spec *spec, struct mbuf_fd *recv,
		      struct mbuf_fd *send, u64 *id);
struct file *mbuf_queue_new(struct mbuf_account *payer,
			    const struct mbuf_queue_spec *spec);
struct file *mbuf_queue_new_sender(struct file *recv);

bool mbuf_queue_is(const struct file *file);
u64 mbuf_queue_id(const struct file *file);
struct mbuf_nest *mbuf_queue_nest(const struct file *file);
/* In a wake-up of those: it has been there before. No poller asks for it. */
#define MBUF_POLL_AGAIN		EPOLLMSG

wait_queue_head_t *mbuf_queue_arrivals(const struct file *file);
long mbuf_queue_ioctl(struct file *file, unsigned int cmd, void __user *arg,
		      u64 target, struct mbuf_table *root);

/* For message objects. */
int mbuf_queue_enqueue(struct file *send, struct mbuf_item **item,
		       struct mbuf_waiter *w, struct mbuf_queue **line);
bool mbuf_queue_cancel(struct mbuf_queue *q, struct mbuf_waiter *w);
void mbuf_queue_settle(struct mbuf_queue *q, const struct mbuf_waiter *w);
u64 mbuf_queue_line_id(const struct mbuf_queue *q);

extern const struct mbuf_right_type mbuf_receiver_type;

#endif /* _MBUF_QUEUE_H */
