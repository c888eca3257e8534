/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Channel: two endpoints, 32 bytes each way, and signals.
 *
 * One allocation holds both endpoints. Each endpoint has an inbound slot that
 * the other side writes, a number that counts these writes, and a count of
 * signals that nobody has waited for yet. All of it exists from the beginning:
 * neither a write nor a signal ever waits for anything or allocates anything.
 *
 * Who waits at an endpoint is one: @waiter. A signal that finds it hands it
 * the value and the count and takes it off, all under the lock, so that it
 * needs no lock when it wakes up. Its outcome is decided when the lock is
 * dropped: a signal handler or a deadline that comes later does not change it.
 * A thread that waits at several endpoints (WAIT_ANY) is the waiter of all of
 * them, under different locks, so the first to hand something over has to win
 * its state by cmpxchg; the others leave their signals pending.
 *
 * States. An endpoint is open until its file is released, or until the thread
 * that it belongs to ends. A channel that comes from CONNECT has a phase besides:
 *
 *	PENDING -> [ASKING ->] LIVE
 *	       \______\_______-> REFUSED
 *
 * PENDING: the accepting side has no file yet. It is represented by who has
 * queued the channel for being accepted, and refuses it if that ends. ASKING:
 * it has one, but has not said yet whether it wants the connection.
 *
 * The connecting side may write and signal in all phases but REFUSED; what it
 * wrote is found by who accepts.
 *
 * Lifetime. A reference for each open endpoint, for the accept queue, and for
 * who works on it from outside (the end of a thread, the end of a session, a
 * driver). Each endpoint is charged for half of the memory, to who made it,
 * until it is closed: what remains after that is paid by the other.
 *
 * Locking. One raw spinlock for both endpoints, always taken with interrupts
 * disabled, as drivers signal from interrupts. Below it only leaf locks: that
 * of the set that an endpoint is attached to, and of a workqueue. Nobody is
 * woken, and nothing is freed, before it is dropped: struct mbuf_kick. A poller
 * enters the waitqueue first and takes the lock to look second, so either it
 * sees the change or it is seen.
 */
#ifndef _MBUF_CHANNEL_H
#define _MBUF_CHANNEL_H

#include <linux/types.h>
#include "object.h"
#include "peer.h"
#include "quota.h"
#include "set.h"
#include "wait.h"

struct mbuf_bond;
struct page;

#define MBUF_WAIT_ANY_MAX	64

struct mbuf_channel;
struct mbuf_acceptor;
struct mbuf_listener;

#define SLOT_WORDS	(MBUF_SLOT_SIZE / sizeof(u64))

/**
 * struct mbuf_taken - what was taken from an endpoint
 * @slot: the value
 * @seq: its number
 * @signals: how many
 * @seen: what mbuf_endpoint.seen was before
 * @state: MBUF_END_*
 */
struct mbuf_taken {
	u64 slot[SLOT_WORDS];
	u64 seq;
	u64 seen;
	u32 signals;
	u32 state;
};

/* MBUF_END_* that a user may give. */
#define MBUF_END_FLAGS	(MBUF_END_NONBLOCK | MBUF_END_DETACHED | \
			 MBUF_END_MAP | MBUF_END_THREAD)

/*
 * The two endpoints of a channel. That which connects is the first, that which
 * accepts is the second.
 */
#define MBUF_SIDE_CONNECT	0
#define MBUF_SIDE_ACCEPT	1

/**
 * struct mbuf_end_prep - a file for an endpoint, about to be made
 * @channel: the channel; holds a reference, which goes to the file
 * @side: which endpoint
 * @payer: who is charged; holds a reference
 * @flags: MBUF_END_*
 * @cookie: what POLL_ALL shall call it
 * @who: whose it is
 * @map: the page that shows it to user space, or NULL
 * @bond: to its thread, or NULL
 * @room: where it will be attached, or NULL
 * @fd: the descriptor, installed by mbuf_end_publish()
 */
struct mbuf_end_prep {
	struct mbuf_channel *channel;
	unsigned int side;
	struct mbuf_account *payer;
	u32 flags;
	u64 cookie;
	struct mbuf_identity who;
	struct page *map;
	struct mbuf_bond *bond;
	struct mbuf_room *room;
	struct mbuf_fd fd;
};

struct mbuf_channel *mbuf_channel_new(bool pending);
struct mbuf_channel *mbuf_channel_new_unpaid(bool pending);
void mbuf_channel_get(struct mbuf_channel *c);
void mbuf_channel_put(struct mbuf_channel *c);

int mbuf_end_check(const struct mbuf_end *u);
int mbuf_end_prepare(struct mbuf_end_prep *p, struct mbuf_channel *c,
		     unsigned int side, struct mbuf_account *payer,
		     struct mbuf_set *set, struct mbuf_end *u);
void mbuf_end_abort(struct mbuf_end_prep *p);
void mbuf_end_commit(struct mbuf_end_prep *p);
void mbuf_end_publish(struct mbuf_end_prep *p);
void mbuf_end_retract(struct mbuf_end_prep *p);
void mbuf_end_close(struct mbuf_channel *c, unsigned int side);

/**
 * struct mbuf_pending - a channel's place among those that wait to be accepted
 * @link: in an accept queue
 * @queue: which one, or NULL
 * @listener: whose, or NULL
 *
 * The listener's: see listener.h for the rules.
 */
struct mbuf_pending {
	struct list_head link;
	struct mbuf_acceptor *queue;
	struct mbuf_listener __rcu *listener;
};

/* For listeners. */
int mbuf_end_pay(struct mbuf_channel *c, unsigned int side,
		 struct mbuf_account *payer, u32 flags);
void mbuf_channel_hello(struct mbuf_channel *c, const u8 *data);
int mbuf_channel_accepted(struct mbuf_channel *c, bool ask);
int mbuf_channel_connect_wait(struct mbuf_channel *c,
			      const struct mbuf_deadline *deadline);
struct mbuf_pending *mbuf_channel_pending(struct mbuf_channel *c);
struct mbuf_channel *mbuf_pending_channel(struct mbuf_pending *p);
const struct mbuf_identity *mbuf_channel_connector(const struct mbuf_channel *c);
u64 mbuf_channel_connector_id(const struct mbuf_channel *c);
bool mbuf_channel_withdrawn(const struct mbuf_channel *c);
void mbuf_channel_tell(struct mbuf_channel *c, unsigned int side,
		       struct mbuf_peer *p);

/* For the session. */
bool mbuf_channel_is(const struct file *file);
u64 mbuf_channel_id(const struct file *file);
bool mbuf_channel_bound(const struct file *file);
struct mbuf_channel *mbuf_channel_of(const struct file *file,
				     unsigned int *side);
void mbuf_channel_signal(struct mbuf_channel *c, unsigned int side);
int mbuf_channel_attach(struct file *file, struct mbuf_set *set, u64 cookie,
			bool move);
int mbuf_channel_detach(struct file *file, struct mbuf_set *set);
int mbuf_wait_any(struct file **ends, unsigned int nr, unsigned int first,
		  const struct mbuf_deadline *deadline,
		  struct mbuf_wait_any *out, struct mbuf_taken *undo);
void mbuf_wait_any_undo(struct file *file, const struct mbuf_taken *undo);

int mbuf_channel_init(void);
void mbuf_channel_exit(void);

#endif /* _MBUF_CHANNEL_H */
