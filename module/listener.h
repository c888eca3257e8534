/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Listener: a name by which others can connect, and where they wait.
 *
 * Names are in one hash table, by network namespace and bytes. CONNECT searches
 * it under RCU, and asks the listener's policy (owner, group, mode and a list
 * of users, which is replaced as a whole when it changes) and its numbers of
 * free places and of waiters without taking a lock. So one that is refused has
 * cost nothing but this, and nobody has noticed but a counter of this CPU.
 *
 * One that is not refused makes a channel, completely, and then queues it under
 * the listener's lock, where policy and places are asked again.
 *
 * A channel that waits to be accepted is linked into an accept queue by its
 * struct mbuf_pending. As long as that names a listener, there is a reference
 * to the listener and one to the channel. They belong to who takes it out:
 *
 *	ACCEPT		which gives it a file, or puts it back at the head
 *	withdrawal	who connects has closed its endpoint
 *	refusal		its user is denied, or there is no queue for it any more
 *
 * @queue says, under the lock, whether it still has to be taken out.
 *
 * Threads in ACCEPT wait in one line for each queue, and all of a listener in
 * another. Invariants, whenever the lock is free:
 *
 *   I1	Nobody waits at a queue that has a connection.
 *   I2	A queue of a listener that is dead has neither.
 *
 * So a new connection goes to the head of the listener's line, by direct
 * hand-over, or else into a queue. Who was handed one and cannot make use of it
 * (it is killed, has no free descriptor, the result cannot be written) puts it
 * back: to the next who waits at that queue, or to its head.
 *
 * States. A listener is new while it has its name but not yet a descriptor,
 * then open, and dead when its file is released. Then the name is free, all
 * that is in its queues is refused, and who waits there hears of the end. An
 * accept queue that is released closes first, so that nothing enters, and then
 * moves what it has elsewhere, one at a time.
 *
 * Lifetime. An accept queue has a reference for its file, and holds one to its
 * listener. The queue that a listener comes with is part of it, and its
 * reference stands for the listener's file. Memory is freed after a grace period
 * of RCU. The listener is paid for by who made it until nothing refers to it.
 *
 * Locking. The listener's spinlock protects its queues, too. It is taken in
 * process context only. Below it is only the lock of a set, a leaf; never that
 * of a channel: what becomes of a connection is decided under the listener's
 * lock, and done when that has been dropped. The policy is changed under a
 * mutex, outside of the spinlock. names_lock protects the table of names; it is
 * never held together with any of these.
 */
#ifndef _MBUF_LISTENER_H
#define _MBUF_LISTENER_H

#include <linux/fs.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#define MBUF_NAME_MAX		255
#define MBUF_BACKLOG_MAX	4096
#define MBUF_ACL_MAX		4096
#define MBUF_QUEUES_MAX		256

struct mbuf_account;
struct mbuf_channel;
struct mbuf_listener;
struct mbuf_set;
struct net;

/**
 * struct mbuf_patron - for whom something is made: what a session stands for
 * @payer: who pays; NULL: nobody, it is for a driver
 * @set: what it is attached to
 * @net: where names are looked up
 * @nonblock: no call may wait
 */
struct mbuf_patron {
	struct mbuf_account *payer;
	struct mbuf_set *set;
	struct net *net;
	bool nonblock;
};

/**
 * struct mbuf_wish - whom somebody would like to connect to
 * @net: where the name is looked up
 * @name: the name
 * @len: its length, 1 to MBUF_NAME_MAX
 * @maker: the user who must have made the listener, or INVALID_UID
 * @now: only if somebody waits in ACCEPT
 * @driver: who asks is no user, so that neither list nor mode applies
 */
struct mbuf_wish {
	struct net *net;
	const u8 *name;
	size_t len;
	kuid_t maker;
	bool now;
	bool driver;
};

/* Connecting. */
struct mbuf_listener *mbuf_listener_find(const struct mbuf_wish *wish);
int mbuf_listener_queue(struct mbuf_listener *l, struct mbuf_channel *c,
			const struct mbuf_wish *wish);
void mbuf_listener_put(struct mbuf_listener *l);

/* For the channel. */
void mbuf_listener_withdraw(struct mbuf_channel *c);

/* For the session. */
long mbuf_listen(const struct mbuf_patron *patron, void __user *arg,
		 size_t size);
long mbuf_connect(const struct mbuf_patron *patron, void __user *arg,
		  size_t size);
bool mbuf_listener_is(const struct file *file);
u64 mbuf_listener_id(const struct file *file);
int mbuf_listener_attach(struct file *file, struct mbuf_set *set, u64 cookie,
			 bool move);
int mbuf_listener_detach(struct file *file, struct mbuf_set *set);

void mbuf_listener_init(void);
void mbuf_listener_exit(void);

#endif /* _MBUF_LISTENER_H */
