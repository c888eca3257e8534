/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Registry: which objects there are, and who is to be told of them.
 *
 * Each object that can be seen from outside has a struct mbuf_node. It is linked
 * when the object is made and unlinked when the object ends, and in between
 * nothing is done for it: what there is to know is asked of the object when
 * somebody wants to know it, by its struct mbuf_kind. To be seen, an object of a
 * new kind needs a node, a kind, and these two calls.
 *
 * The two ends of a channel share a struct mbuf_pair instead, as there are many
 * of them and each byte counts: what a node has besides, the channel knows.
 *
 * An object belongs to an account, which is who pays for it, and to a network
 * namespace, which is that of the process that makes it. A node refers to
 * namespaces by a struct mbuf_netns that outlives them: objects must not keep
 * namespaces alive, and a new one at the same address is another.
 *
 * Whether something has changed while somebody was looking is known by counters:
 * of all, of a network namespace, of an account. Each is for those who can see
 * just that, so that nobody hears by it of what it cannot see.
 *
 * Notices go to whoever has set a struct mbuf_watcher, netlink.c. None is made,
 * and nothing else is done, before that says that somebody listens. Paths that
 * are counted in instructions give none.
 *
 * Locking: registry_lock protects the tree of nodes. It is taken with none of
 * the objects' locks held, and they are taken below it by ->describe, which must
 * not sleep. What is linked is alive as long as the lock is held, as who frees it
 * unlinks it first. struct mbuf_netns.lock orders notices, and keeps the
 * namespace from going while one is sent; nothing of ours is taken below it.
 */
#ifndef _MBUF_REGISTRY_H
#define _MBUF_REGISTRY_H

#include <linux/atomic.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <uapi/linux/mbuf_netlink.h>
#include "numbered.h"
#include "quota.h"

struct mbuf_node;
struct mbuf_table;
struct net;
struct pid;
struct pid_namespace;
struct sk_buff;
struct user_namespace;

/**
 * struct mbuf_netns - a network namespace, or what it was
 * @ref: references
 * @inum: its number, as /proc shows it; constant
 * @handle: a number for it of our own, for where a pointer is too long; constant
 * @changes: counts objects that come and go
 * @lock: protects the rest
 * @net: the namespace, NULL once it is gone
 * @notices: how many were sent
 */
struct mbuf_netns {
	refcount_t ref;
	unsigned int inum;
	u32 handle;
	atomic_t changes;
	spinlock_t lock;	/* @net, and the order of notices */
	struct net *net;
	u64 notices;
};

/**
 * struct mbuf_reader - for whom something is described
 * @user_ns: whose user ids
 * @pid_ns: whose process ids
 */
struct mbuf_reader {
	struct user_namespace *user_ns;
	struct pid_namespace *pid_ns;
};

/**
 * struct mbuf_kind - a kind of objects
 * @type: MBUF_OBJECT_TYPE_*
 * @attr: MBUF_A_OBJECT_*: in which @describe puts what it says; 0: it has
 *	nothing to say
 * @id: identity of the object; NULL if it has no node
 * @describe: put attributes into a message. Under registry_lock, may take the
 *	object's spinlocks, must not sleep. 0, or -EMSGSIZE if there is no room
 * @get: take a reference to a linked object, so that @flush or @measure can be
 *	called. Under registry_lock. false if it is about to end. NULL if there
 *	are none
 * @flush: drop what the object holds for others, and the reference. Process
 *	context, may sleep. How much was dropped, or an error
 * @measure: measure how long things take, or do not; and drop the reference.
 *	Process context, may sleep. 0 or an error
 * @table: the table whose handles it holds: its own, or itself. Under
 *	registry_lock, as long as which it is alive. NULL: it has none
 *
 * They get the object's node; of a kind that has none, what its view says.
 */
struct mbuf_kind {
	u32 type;
	int attr;
	u64 (*id)(const struct mbuf_node *node);
	int (*describe)(void *object, struct sk_buff *skb,
			const struct mbuf_reader *reader);
	bool (*get)(void *object);
	int (*flush)(void *object);
	int (*measure)(void *object, bool on);
	struct mbuf_table *(*table)(void *object);
};

/**
 * struct mbuf_view - an object that somebody looks at, under registry_lock
 * @kind: what it is
 * @object: for the calls of @kind
 * @id: identity
 * @owner: who pays; NULL: it is a driver's
 * @netns: where it belongs
 * @pid: which process made it
 */
struct mbuf_view {
	const struct mbuf_kind *kind;
	void *object;
	u64 id;
	struct mbuf_account *owner;
	struct mbuf_netns *netns;
	struct pid *pid;
};

/**
 * struct mbuf_node - an object's place in the registry
 * @place: in the tree; its number is 0 if the node was not linked yet, and
 *	MBUF_NODE_DEAD if it never will be again
 * @kind: what it is
 * @owner: who pays; NULL: it is a driver's. Holds a reference while linked
 * @netns: where it belongs; likewise
 * @pid: which process made it; likewise
 *
 * All zeroes is a node that was not linked yet.
 */
struct mbuf_node {
	struct mbuf_numbered place;
	const struct mbuf_kind *kind;
	struct mbuf_account *owner;
	struct mbuf_netns *netns;
	struct pid *pid;
};

#define MBUF_NODE_DEAD	(~0ULL)

/**
 * struct mbuf_pair - the place in the registry of two objects that are one
 * @rb: in the tree of pairs, from the first that is linked until
 *	mbuf_pair_forget()
 * @netns: where each belongs, by its handle; 0 if it was not linked yet, and
 *	MBUF_PAIR_DEAD if it never will be again. Holds a reference
 */
struct mbuf_pair {
	struct rb_node rb;
	u32 netns[2];
};

#define MBUF_PAIR_DEAD	(~0U)

/**
 * struct mbuf_pair_ops - what the registry has to know of pairs
 * @key: a number that only this pair has, and always; not 0
 * @view: fill in all but &mbuf_view.netns. Under registry_lock, may take
 *	spinlocks. false if it has ended. Who paid is let go only after
 *	mbuf_pair_unlink()
 */
struct mbuf_pair_ops {
	u64 (*key)(const struct mbuf_pair *pair);
	bool (*view)(struct mbuf_pair *pair, unsigned int side,
		     struct mbuf_view *view);
};

/**
 * struct mbuf_news - what has happened
 * @what: MBUF_NOTICE_*
 * @type: MBUF_OBJECT_TYPE_*, 0: it is about no object
 * @id: which object
 * @peer_id: the other one, if it is about two
 * @resource: of which there was too much, if it is about that
 * @error: with which errno something was refused, or 0
 * @owner: whom it is about, or NULL
 * @netns: who is to be told
 */
struct mbuf_news {
	u32 what;
	u32 type;
	u64 id;
	u64 peer_id;
	u32 resource;
	u32 error;
	struct mbuf_account *owner;
	struct mbuf_netns *netns;
};

/**
 * struct mbuf_watcher - who passes on what has happened
 * @wanted: does anybody listen? Any context
 * @tell: pass it on. Process context, may not sleep
 */
struct mbuf_watcher {
	bool (*wanted)(void);
	void (*tell)(const struct mbuf_news *news);
};

/**
 * struct mbuf_visit - how far a visit has come
 * @pairs: all nodes have been visited
 * @side: of the next pair, where to begin
 * @from: number of the next node, or key of the next pair
 *
 * All zeroes in the beginning.
 */
struct mbuf_visit {
	bool pairs;
	u8 side;
	u64 from;
};

/**
 * mbuf_node_linked() - can it be seen?
 * @node: a node
 *
 * Context: under registry_lock, or by who makes or ends the object.
 */
static inline bool mbuf_node_linked(const struct mbuf_node *node)
{
	return node->place.number && node->place.number != MBUF_NODE_DEAD;
}

void mbuf_node_link(struct mbuf_node *node, const struct mbuf_kind *kind,
		    struct mbuf_account *owner, struct net *net);
void mbuf_node_unlink(struct mbuf_node *node);
void mbuf_node_notice(struct mbuf_node *node, u32 what, u64 peer_id);
void mbuf_node_cap_refused(struct mbuf_node *node, u64 id, int err);
void mbuf_quota_notice(struct mbuf_account *acct,
		       enum mbuf_resource res);

void mbuf_pair_link(struct mbuf_pair *pair, unsigned int side,
		    struct mbuf_account *owner, struct net *net);
void mbuf_pair_unlink(struct mbuf_pair *pair, unsigned int side,
		      struct mbuf_account *owner);
void mbuf_pair_forget(struct mbuf_pair *pair);
void mbuf_pair_notice(struct mbuf_pair *pair, unsigned int side, u32 what,
		      u64 peer_id);
void mbuf_registry_pairs(const struct mbuf_pair_ops *ops);

int mbuf_registry_visit(struct mbuf_visit *at,
			int (*visit)(const struct mbuf_view *view, void *arg),
			void *arg);
unsigned int mbuf_registry_changes(void);
struct mbuf_netns *mbuf_netns_of(struct net *net);
void mbuf_netns_put(struct mbuf_netns *ns);
void mbuf_watch(const struct mbuf_watcher *watcher);
bool mbuf_notices_wanted(void);

int mbuf_registry_init(void);
void mbuf_registry_exit(void);

#endif /* _MBUF_REGISTRY_H */
