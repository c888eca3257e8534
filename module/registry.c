// SPDX-License-Identifier: GPL-2.0
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include "registry.h"

/* Objects that are looked at without letting go of the lock. */
#define VISIT_MANY	16

static DEFINE_SPINLOCK(registry_lock);
static struct mbuf_numbers nodes = { .root = RB_ROOT };
static struct rb_root pairs = RB_ROOT;
static const struct mbuf_pair_ops *pair_ops;
static atomic_t changes = ATOMIC_INIT(1);
static const struct mbuf_watcher *watcher;
static unsigned int netns_id __read_mostly;
/* Namespaces by their handles. */
static DEFINE_XARRAY_ALLOC1(netns_all);

/* Network namespaces */

/**
 * struct netns_slot - what we have of each network namespace
 * @ns: holds a reference
 */
struct netns_slot {
	struct mbuf_netns *ns;
};

/**
 * mbuf_netns_of() - what stands for a network namespace
 * @net: the namespace, alive
 *
 * Return: that, as long as @net is alive.
 */
struct mbuf_netns *mbuf_netns_of(struct net *net)
{
	const struct netns_slot *slot = net_generic(net, netns_id);

	return slot->ns;
}

/**
 * mbuf_netns_put() - drop a reference
 * @ns: what stands for a network namespace
 */
void mbuf_netns_put(struct mbuf_netns *ns)
{
	if (refcount_dec_and_test(&ns->ref)) {
		xa_erase(&netns_all, ns->handle);
		kfree(ns);
	}
}

static int __net_init netns_init(struct net *net)
{
	struct netns_slot *slot = net_generic(net, netns_id);
	struct mbuf_netns *ns = kzalloc(sizeof(*ns), GFP_KERNEL_ACCOUNT);
	int err;

	if (!ns)
		return -ENOMEM;
	err = xa_alloc(&netns_all, &ns->handle, ns,
		       XA_LIMIT(1, MBUF_PAIR_DEAD - 1), GFP_KERNEL_ACCOUNT);
	if (err) {
		kfree(ns);
		return err;
	}
	refcount_set(&ns->ref, 1);
	ns->inum = net->ns.inum;
	atomic_set(&ns->changes, 1);
	spin_lock_init(&ns->lock);
	ns->net = net;
	slot->ns = ns;
	return 0;
}

static void __net_exit netns_exit(struct net *net)
{
	struct mbuf_netns *ns = mbuf_netns_of(net);

	spin_lock(&ns->lock);
	ns->net = NULL;
	spin_unlock(&ns->lock);
	mbuf_netns_put(ns);
}

static struct pernet_operations netns_ops = {
	.init	= netns_init,
	.exit	= netns_exit,
	.id	= &netns_id,
	.size	= sizeof(struct netns_slot),
};

static struct net *current_net(void)
{
	/* A task that is about to end has none. */
	return current->nsproxy ? current->nsproxy->net_ns : &init_net;
}

/* Notices */

/* Who passes them on, if somebody listens. */
static const struct mbuf_watcher *watched(void)
{
	/* Pairs with the release in mbuf_watch(). */
	const struct mbuf_watcher *w = smp_load_acquire(&watcher);

	return w && w->wanted() ? w : NULL;
}

/**
 * mbuf_notices_wanted() - does anybody listen to notices?
 *
 * Context: any.
 */
bool mbuf_notices_wanted(void)
{
	return watched();
}

/**
 * mbuf_watch() - from now on, pass on what happens
 * @w: who does so; NULL: nobody. There must be no objects then
 */
void mbuf_watch(const struct mbuf_watcher *w)
{
	/* Pairs with the acquire in watched(). */
	smp_store_release(&watcher, w);
}

/* Fill in what is linked. Under registry_lock. */
static bool node_view(struct mbuf_node *node, struct mbuf_view *v)
{
	if (!mbuf_node_linked(node))
		return false;
	v->kind = node->kind;
	v->object = node;
	v->id = node->kind->id(node);
	v->owner = node->owner;
	v->netns = node->netns;
	v->pid = node->pid;
	return true;
}

static bool pair_view(struct mbuf_pair *pair, unsigned int side,
		      struct mbuf_view *v)
{
	u32 handle = pair->netns[side];

	if (!handle || handle == MBUF_PAIR_DEAD ||
	    !pair_ops->view(pair, side, v))
		return false;
	/* The pair has a reference. */
	v->netns = xa_load(&netns_all, handle);
	return true;
}

/* Keep what is said of an object while it is told. Under registry_lock. */
static void news_take(struct mbuf_news *news, const struct mbuf_view *v)
{
	news->type = v->kind->type;
	news->id = v->id;
	news->netns = v->netns;
	refcount_inc(&news->netns->ref);
	news->owner = v->owner;
	mbuf_account_hold(v->owner);
}

static void news_tell(const struct mbuf_watcher *w, struct mbuf_news *news)
{
	w->tell(news);
	mbuf_account_put(news->owner);
	mbuf_netns_put(news->netns);
}

/* @news says all but what @node is. */
static void node_news(const struct mbuf_watcher *w, struct mbuf_node *node,
		      struct mbuf_news *news)
{
	struct mbuf_view v;
	bool seen;

	/* Once it is not linked any more nothing is known of it. */
	spin_lock(&registry_lock);
	seen = node_view(node, &v);
	if (seen)
		news_take(news, &v);
	spin_unlock(&registry_lock);
	if (seen)
		news_tell(w, news);
}

/**
 * mbuf_node_notice() - something has happened to an object
 * @node: its node; the caller keeps the object, which may have ended
 * @what: MBUF_NOTICE_*
 * @peer_id: the other one's identity, if it is about two, or 0
 *
 * Context: process context, no locks held.
 */
void mbuf_node_notice(struct mbuf_node *node, u32 what, u64 peer_id)
{
	const struct mbuf_watcher *w = watched();
	struct mbuf_news news = {
		.what = what,
		.peer_id = peer_id,
	};

	if (unlikely(w))
		node_news(w, node, &news);
}

/**
 * mbuf_node_cap_refused() - a capability could not be passed
 * @node: of the object where it was to go, or was; as mbuf_node_notice(). NULL:
 *	none
 * @id: identity of the capability, or 0
 * @err: why not; nothing is told of what is no refusal, but another error
 *
 * Context: process context, no locks held.
 */
void mbuf_node_cap_refused(struct mbuf_node *node, u64 id, int err)
{
	const struct mbuf_watcher *w = watched();
	struct mbuf_news news = {
		.what = MBUF_NOTICE_CAP_REFUSED,
		.peer_id = id,
		.error = -err,
	};

	if (unlikely(w) && node &&
	    (err == -EOPNOTSUPP || err == -EPERM || err == -EACCES ||
	     err == -ELOOP))
		node_news(w, node, &news);
}

/**
 * mbuf_pair_notice() - something has happened to one of a pair
 * @pair: the pair, which the caller keeps
 * @side: which one
 * @what: MBUF_NOTICE_*
 * @peer_id: as mbuf_node_notice()
 *
 * Context: process context, no locks held.
 */
void mbuf_pair_notice(struct mbuf_pair *pair, unsigned int side, u32 what,
		      u64 peer_id)
{
	const struct mbuf_watcher *w = watched();
	struct mbuf_news news = {
		.what = what,
		.peer_id = peer_id,
	};
	struct mbuf_view v;
	bool seen;

	if (likely(!w))
		return;
	spin_lock(&registry_lock);
	seen = pair_view(pair, side, &v);
	if (seen)
		news_take(&news, &v);
	spin_unlock(&registry_lock);
	if (seen)
		news_tell(w, &news);
}

/**
 * mbuf_quota_notice() - a user was refused for its limit
 * @acct: whose limit it was
 * @res: of what
 *
 * Context: process context, no spinlocks held.
 */
void mbuf_quota_notice(struct mbuf_account *acct,
		       enum mbuf_resource res)
{
	const struct mbuf_watcher *w = watched();
	struct mbuf_news news = {
		.what = MBUF_NOTICE_QUOTA_REFUSED,
		.resource = MBUF_RESOURCE_TYPE_OBJECTS + res,
		.owner = acct,
	};

	if (!w)
		return;
	news.netns = mbuf_netns_of(current_net());
	w->tell(&news);
}

/* Nodes */

static void node_changed(struct mbuf_account *owner, struct mbuf_netns *ns)
{
	atomic_inc(&changes);
	atomic_inc(&ns->changes);
	mbuf_account_changed(owner);
}

/**
 * mbuf_node_link() - an object is there to be seen
 * @node: its node
 * @kind: what it is
 * @owner: who pays for it; NULL: nobody, a driver has it
 * @net: to which network namespace it belongs; NULL: that of the current
 *	process
 *
 * Can be called when it is linked already, or when it has been unlinked: then
 * it does nothing.
 *
 * Context: process context, no locks held. The object is complete and can be
 * described from here on; the caller keeps it.
 */
void mbuf_node_link(struct mbuf_node *node, const struct mbuf_kind *kind,
		    struct mbuf_account *owner, struct net *net)
{
	struct mbuf_netns *ns = mbuf_netns_of(net ?: current_net());
	struct pid *pid = get_pid(task_tgid(current));
	bool link;

	mbuf_account_hold(owner);
	refcount_inc(&ns->ref);

	spin_lock(&registry_lock);
	link = !node->place.number;
	if (link) {
		node->kind = kind;
		node->owner = owner;
		node->netns = ns;
		node->pid = pid;
		mbuf_numbered_enter(&nodes, &node->place);
		node_changed(owner, ns);
	}
	spin_unlock(&registry_lock);

	if (link) {
		mbuf_node_notice(node, MBUF_NOTICE_CREATED, 0);
	} else {
		put_pid(pid);
		mbuf_account_put(owner);
		mbuf_netns_put(ns);
	}
}

/**
 * mbuf_node_unlink() - an object ends, and is seen no more
 * @node: its node, linked or not; it cannot be linked again
 *
 * Context: process context, no locks held.
 */
void mbuf_node_unlink(struct mbuf_node *node)
{
	const struct mbuf_watcher *w;
	bool linked;

	spin_lock(&registry_lock);
	linked = mbuf_node_linked(node);
	if (linked) {
		mbuf_numbered_leave(&nodes, &node->place);
		node_changed(node->owner, node->netns);
	}
	node->place.number = MBUF_NODE_DEAD;
	spin_unlock(&registry_lock);
	if (!linked)
		return;

	/* From here on nobody but the caller has an eye on it. */
	w = watched();
	if (unlikely(w)) {
		const struct mbuf_news news = {
			.what = MBUF_NOTICE_DELETED,
			.type = node->kind->type,
			.id = node->kind->id(node),
			.owner = node->owner,
			.netns = node->netns,
		};

		w->tell(&news);
	}
	put_pid(node->pid);
	mbuf_account_put(node->owner);
	mbuf_netns_put(node->netns);
}

/**
 * mbuf_registry_changes() - counts objects that come and go
 *
 * Return: the count, of all.
 */
unsigned int mbuf_registry_changes(void)
{
	return atomic_read(&changes);
}

/* Pairs */

static struct mbuf_pair *pair_of(struct rb_node *rb)
{
	return rb ? rb_entry(rb, struct mbuf_pair, rb) : NULL;
}

/* The first pair whose key is not below. */
static struct mbuf_pair *pair_from(u64 key)
{
	struct rb_node *rb = pairs.rb_node;
	struct mbuf_pair *found = NULL;

	while (rb) {
		if (pair_ops->key(pair_of(rb)) >= key) {
			found = pair_of(rb);
			rb = rb->rb_left;
		} else {
			rb = rb->rb_right;
		}
	}
	return found;
}

static void pair_enter(struct mbuf_pair *pair)
{
	struct rb_node **link = &pairs.rb_node, *parent = NULL;
	u64 key = pair_ops->key(pair);

	while (*link) {
		parent = *link;
		link = key < pair_ops->key(pair_of(parent)) ?
		       &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&pair->rb, parent, link);
	rb_insert_color(&pair->rb, &pairs);
}

/* Under registry_lock: while it is in, it changes as others come and go. */
static bool pair_entered(const struct mbuf_pair *pair)
{
	/* A node without a parent is black, which is not 0. */
	return pair->rb.__rb_parent_color;
}

/**
 * mbuf_registry_pairs() - there will be pairs
 * @ops: what has to be known of them
 */
void mbuf_registry_pairs(const struct mbuf_pair_ops *ops)
{
	pair_ops = ops;
}

/**
 * mbuf_pair_link() - one of a pair is there to be seen
 * @pair: the pair, all zeroes before the first of them is linked
 * @side: which one
 * @owner: who pays for it; NULL: nobody, a driver has it
 * @net: as mbuf_node_link()
 *
 * Does nothing if it is linked already, or was.
 *
 * Context: as mbuf_node_link().
 */
void mbuf_pair_link(struct mbuf_pair *pair, unsigned int side,
		    struct mbuf_account *owner, struct net *net)
{
	struct mbuf_netns *ns = mbuf_netns_of(net ?: current_net());
	bool link;

	refcount_inc(&ns->ref);
	spin_lock(&registry_lock);
	link = !pair->netns[side];
	if (link) {
		pair->netns[side] = ns->handle;
		if (!pair_entered(pair))
			pair_enter(pair);
		node_changed(owner, ns);
	}
	spin_unlock(&registry_lock);
	if (link)
		mbuf_pair_notice(pair, side, MBUF_NOTICE_CREATED, 0);
	else
		mbuf_netns_put(ns);
}

/**
 * mbuf_pair_unlink() - one of a pair ends, and is seen no more
 * @pair: the pair
 * @side: which one; linked or not, it cannot be linked again
 * @owner: who has paid for it
 *
 * Context: process context, no locks held.
 */
void mbuf_pair_unlink(struct mbuf_pair *pair, unsigned int side,
		      struct mbuf_account *owner)
{
	const struct mbuf_watcher *w;
	struct mbuf_netns *ns = NULL;
	struct mbuf_view v;

	spin_lock(&registry_lock);
	if (pair->netns[side] && pair->netns[side] != MBUF_PAIR_DEAD) {
		ns = xa_load(&netns_all, pair->netns[side]);
		node_changed(owner, ns);
		/* It has ended, so this says only what it was. */
		pair_ops->view(pair, side, &v);
	}
	pair->netns[side] = MBUF_PAIR_DEAD;
	spin_unlock(&registry_lock);
	if (!ns)
		return;

	w = watched();
	if (unlikely(w)) {
		const struct mbuf_news news = {
			.what = MBUF_NOTICE_DELETED,
			.type = v.kind->type,
			.id = v.id,
			.owner = owner,
			.netns = ns,
		};

		w->tell(&news);
	}
	mbuf_netns_put(ns);
}

/**
 * mbuf_pair_forget() - both of a pair have ended, and it goes
 * @pair: the pair; may never have been linked
 *
 * Context: process context, no locks held.
 */
void mbuf_pair_forget(struct mbuf_pair *pair)
{
	spin_lock(&registry_lock);
	if (pair_entered(pair))
		rb_erase(&pair->rb, &pairs);
	spin_unlock(&registry_lock);
}

/* Looking at all of them */

/* One step of a visit of nodes, under the lock. Returns false at the end. */
static bool visit_node(struct mbuf_visit *at, struct mbuf_numbered **place,
		       int (*visit)(const struct mbuf_view *view, void *arg),
		       void *arg, int *ret)
{
	struct mbuf_view v;

	if (!*place)
		return false;
	at->from = (*place)->number;
	node_view(container_of(*place, struct mbuf_node, place), &v);
	*ret = visit(&v, arg);
	if (*ret)
		return true;
	at->from++;
	*place = mbuf_numbered_next(*place);
	return true;
}

static bool visit_pair(struct mbuf_visit *at, struct mbuf_pair **pair,
		       int (*visit)(const struct mbuf_view *view, void *arg),
		       void *arg, int *ret)
{
	struct mbuf_view v;
	u64 key;

	if (!*pair)
		return false;
	key = pair_ops->key(*pair);
	/* The other one of the last pair: not of the one after that. */
	if (key != at->from)
		at->side = 0;
	at->from = key;
	for (; at->side < 2; at->side++) {
		if (!pair_view(*pair, at->side, &v))
			continue;
		*ret = visit(&v, arg);
		if (*ret)
			return true;
	}
	at->side = 0;
	at->from++;
	*pair = pair_of(rb_next(&(*pair)->rb));
	return true;
}

/**
 * mbuf_registry_visit() - look at objects
 * @at: where to go on
 * @visit: called for each with registry_lock held; must not sleep. What it
 *	returns other than 0 ends the visit, and the next one begins with the
 *	same object
 * @arg: for @visit
 *
 * Nodes are visited oldest first, then pairs by their keys.
 *
 * Context: process context, may sleep.
 * Return: what @visit returned, 0 if there are no more objects.
 */
int mbuf_registry_visit(struct mbuf_visit *at,
			int (*visit)(const struct mbuf_view *view, void *arg),
			void *arg)
{
	struct mbuf_numbered *place;
	struct mbuf_pair *pair;
	unsigned int i;
	bool more;
	int ret = 0;

	do {
		more = true;
		spin_lock(&registry_lock);
		if (!at->pairs) {
			place = mbuf_numbered_from(&nodes, at->from);
			for (i = 0; i < VISIT_MANY && more && !ret; i++)
				more = visit_node(at, &place, visit, arg, &ret);
		} else {
			pair = pair_from(at->from);
			for (i = 0; i < VISIT_MANY && more && !ret; i++)
				more = visit_pair(at, &pair, visit, arg, &ret);
		}
		if (!more && !at->pairs) {
			at->pairs = true;
			at->from = 1;
			more = true;
		}
		spin_unlock(&registry_lock);
		cond_resched();
	} while (more && !ret);
	return ret;
}

/**
 * mbuf_registry_init() - prepare for objects
 *
 * Return: 0 or -ENOMEM.
 */
int __init mbuf_registry_init(void)
{
	return register_pernet_subsys(&netns_ops);
}

/**
 * mbuf_registry_exit() - the opposite; there are no objects left
 */
void mbuf_registry_exit(void)
{
	unregister_pernet_subsys(&netns_ops);
	xa_destroy(&netns_all);
}
