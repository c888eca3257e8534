/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the listener share; see listener.h. */
#ifndef _MBUF_LISTENER_PRIV_H
#define _MBUF_LISTENER_PRIV_H

#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include "channel.h"
#include "listener.h"
#include "object.h"
#include "quota.h"
#include "registry.h"
#include "set.h"
#include "wait.h"

/**
 * struct mbuf_acl_user - a user in a listener's list
 * @uid: who
 * @allow: may connect, or else may not
 */
struct mbuf_acl_user {
	kuid_t uid;
	bool allow;
};

/**
 * struct mbuf_policy - who may connect
 * @rcu: to be freed
 * @owner: whom the first write bit of @mode is for
 * @group: whom the second is for
 * @mode: permissions
 * @nr: users in the list
 * @user: the list, sorted by user id
 *
 * Never changed, but replaced.
 */
struct mbuf_policy {
	struct rcu_head rcu;
	kuid_t owner;
	kgid_t group;
	u32 mode;
	u32 nr;
	struct mbuf_acl_user user[];
};

/**
 * struct mbuf_listener_stats - what became of connections
 * @accepted: somebody accepted them
 * @denied: refused for who asked
 * @overflowed: refused as there was no room
 * @withdrawn: ended before somebody accepted
 */
struct mbuf_listener_stats {
	unsigned long accepted;
	unsigned long denied;
	unsigned long overflowed;
	unsigned long withdrawn;
};

/**
 * struct mbuf_accept_driver - an accept queue that a driver has
 * @notify: a connection has entered. Called under the listener's lock
 */
struct mbuf_accept_driver {
	void (*notify)(struct mbuf_accept_driver *driver);
};

/**
 * struct mbuf_acceptor - an accept queue
 * @listener: whose; constant, holds a reference
 * @link: among the queues of the listener
 * @pending: connections, by struct mbuf_pending
 * @waiters: who waits in ACCEPT, by struct mbuf_accept_waiter.place
 * @nr_pending: connections; read without the lock by sets
 * @nr_waiters: who waits
 * @backlog: how many connections may enter; 0: it is none. Not changed from or
 *	to 0
 * @swept: the listener's @sweep when it was last looked through
 * @open: connections may enter
 * @driver: whom to tell, if a driver has it; read without the lock
 * @poll: who polls
 * @source: its place in a set
 * @id: identity
 * @node: its place in the registry, while somebody has its file
 * @ref: references
 * @rcu: who wakes pollers does so under RCU
 */
struct mbuf_acceptor {
	struct mbuf_listener *listener;
	struct list_head link;
	struct list_head pending;
	struct list_head waiters;
	u32 nr_pending;
	u32 nr_waiters;
	u32 backlog;
	u32 swept;
	bool open;
	struct mbuf_accept_driver *driver;
	wait_queue_head_t poll;
	struct mbuf_source source;
	u64 id;
	struct mbuf_node node;
	refcount_t ref;
	struct rcu_head rcu;
};

/* States of a listener. */
#define LISTENER_NEW	0
#define LISTENER_OPEN	1
#define LISTENER_DEAD	2

/**
 * struct mbuf_listener - a listener
 * @node: in the table of names; names_lock
 * @hash: of the name; constant, as are @net, @maker, @payer, @id and @name
 * @state: LISTENER_*; read without the lock
 * @net: where the name is. Holds a reference until dead, and is only compared
 *	by others
 * @maker: effective user id of who made it
 * @policy: who may connect; replaced under @change
 * @change: protects changes of the policy
 * @stats: counters of each CPU
 * @lock: protects all that follows
 * @queues: accept queues; where a connection enters goes to the end
 * @waiters: who waits in ACCEPT at any of them, by struct
 *	mbuf_accept_waiter.turn
 * @nr_queues: queues that are open
 * @nr_waiters: who waits; read without the lock
 * @nr_free: queues that are open and have room; read without the lock
 * @sweep: how often the queues were looked through
 * @own: the queue that it comes with, if that has a backlog
 * @ref: references
 * @rcu: who searches the table does so under RCU
 * @payer: who pays; holds a reference. NULL: a driver has it
 * @id: identity
 * @len: length of the name
 * @name: the name
 */
struct mbuf_listener {
	struct hlist_node node;
	u32 hash;
	int state;
	struct net *net;
	kuid_t maker;
	struct mbuf_policy __rcu *policy;
	struct mutex change;	/* of the policy */
	struct mbuf_listener_stats __percpu *stats;

	spinlock_t lock;	/* queues, and what is in them */
	struct list_head queues;
	struct list_head waiters;
	u32 nr_queues;
	u32 nr_waiters;
	u32 nr_free;
	u32 sweep;
	struct mbuf_acceptor own;

	refcount_t ref;
	struct rcu_head rcu;
	struct mbuf_account *payer;
	u64 id;
	u32 len;
	u8 name[];
};

/* listener.c */
int mbuf_name_insert(struct mbuf_listener *l);
struct mbuf_listener *mbuf_listener_new(const struct mbuf_patron *patron,
					const u8 *name, u32 len, u32 backlog,
					const struct mbuf_policy *perms);
void mbuf_listener_open(struct mbuf_listener *l);
void mbuf_listener_close(struct mbuf_listener *l);
void mbuf_listener_sweep(struct mbuf_listener *l, kuid_t uid);

struct mbuf_acceptor *mbuf_acceptor_new(struct mbuf_listener *l, u32 backlog);
void mbuf_acceptor_open(struct mbuf_acceptor *q);
void mbuf_acceptor_show(struct mbuf_acceptor *q, struct net *net);
void mbuf_acceptor_close(struct mbuf_acceptor *q);
void mbuf_acceptor_put(struct mbuf_acceptor *q);
void mbuf_acceptor_set_backlog(struct mbuf_acceptor *q, u32 backlog);
void mbuf_acceptor_drive(struct mbuf_acceptor *q,
			 struct mbuf_accept_driver *driver);
int mbuf_acceptor_attach(struct mbuf_acceptor *q, struct mbuf_set *set,
			 u64 cookie, bool move);
int mbuf_acceptor_detach(struct mbuf_acceptor *q, struct mbuf_set *set);
struct mbuf_set *mbuf_acceptor_set(struct mbuf_acceptor *q);

struct mbuf_pending *mbuf_acceptor_take(struct mbuf_acceptor *q,
					const struct mbuf_deadline *deadline,
					bool again);
void mbuf_acceptor_put_back(struct mbuf_acceptor *q, struct mbuf_pending *p);
void mbuf_pending_done(struct mbuf_pending *p);

/* listener_acl.c */
struct mbuf_policy *mbuf_policy_new(const struct mbuf_policy *perms, u32 nr,
				    gfp_t gfp);
int mbuf_policy_check(const struct mbuf_policy *policy);
bool mbuf_policy_denies(const struct mbuf_policy *policy, kuid_t uid);
int mbuf_policy_user(struct mbuf_listener *l, kuid_t uid, u32 op);
int mbuf_policy_perms(struct mbuf_listener *l, const struct mbuf_policy *perms,
		      u32 what);

/* listener_connect.c */
int mbuf_name_get(u8 *name, u64 from, u32 len);
long mbuf_accept(struct file *file, void __user *arg, size_t size);

#endif /* _MBUF_LISTENER_PRIV_H */
