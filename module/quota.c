// SPDX-License-Identifier: GPL-2.0
#include <linux/atomic.h>
#include <linux/capability.h>
#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/siphash.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>
#include "quota.h"
#include "registry.h"

/**
 * struct mbuf_account - what one user in one user namespace has
 * @node: in the table; changed under accounts_lock, read under RCU
 * @rcu: to be freed
 * @ref: references
 * @ns: the user namespace; holds a reference
 * @uid: the user
 * @parent: the account above, NULL in the initial namespace; holds a reference
 * @used: what is charged, including what accounts below are charged
 * @limit: what it may have; 0: as much as others
 * @kept: a reference is held so that limits stay; accounts_keep
 * @refused: how often a charge was refused
 * @told: when that was last told, in jiffies
 * @changes: counts objects that it pays for and that come and go
 * @place: among all accounts; accounts_lock
 * @chores: what is to be done in @work
 * @work: does it; holds a reference while it is queued
 */
struct mbuf_account {
	struct hlist_node node;
	struct rcu_head rcu;
	refcount_t ref;
	struct user_namespace *ns;
	kuid_t uid;
	struct mbuf_account *parent;
	atomic_long_t used[MBUF_RES_NR];
	unsigned long limit[MBUF_RES_NR];
	bool kept;
	atomic_long_t refused;
	unsigned long told;
	atomic_t changes;
	struct mbuf_numbered place;
	struct llist_head chores;
	struct work_struct work;
};

/* Accounts that are looked at without letting go of the lock. */
#define VISIT_MANY	64

static struct workqueue_struct *chores_wq;

static DEFINE_SPINLOCK(accounts_lock);
static DEFINE_HASHTABLE(accounts, 7);
static DEFINE_MUTEX(accounts_keep);	/* who changes an account's own limits */
static struct mbuf_numbers accounts_all = { .root = RB_ROOT };
static atomic_t accounts_changed = ATOMIC_INIT(1);
static siphash_key_t accounts_key __ro_after_init;

static unsigned long limits[MBUF_RES_NR] = {
	[MBUF_RES_OBJECTS] = 16384,
	[MBUF_RES_MEMORY] = SZ_64M,
	[MBUF_RES_INFLIGHT] = SZ_64M,
	[MBUF_RES_HANDLES] = SZ_64K,
	[MBUF_RES_CAPS] = SZ_4K,
};

module_param_named(objects_limit, limits[MBUF_RES_OBJECTS], ulong, 0644);
MODULE_PARM_DESC(objects_limit, "Objects that a user may have");
module_param_named(memory_limit, limits[MBUF_RES_MEMORY], ulong, 0644);
MODULE_PARM_DESC(memory_limit, "Bytes that a user's objects may take");
module_param_named(inflight_limit, limits[MBUF_RES_INFLIGHT], ulong, 0644);
MODULE_PARM_DESC(inflight_limit,
		 "Bytes of large and waiting messages that a user may have in flight");

module_param_named(handles_limit, limits[MBUF_RES_HANDLES], ulong, 0644);
MODULE_PARM_DESC(handles_limit, "Handles that a user's tables may have");
module_param_named(caps_limit, limits[MBUF_RES_CAPS], ulong, 0644);
MODULE_PARM_DESC(caps_limit,
		 "Capabilities that a user may have in flight");

/* Users choose their namespaces and ids, but not the chain they end up in. */
static u32 account_hash(const struct user_namespace *ns, kuid_t uid)
{
	return siphash_2u64((unsigned long)ns, __kuid_val(uid), &accounts_key);
}

/* An account whose last reference has gone is in the table for a moment. */
static struct mbuf_account *account_find(const struct user_namespace *ns,
					 kuid_t uid, u32 hash)
{
	struct mbuf_account *acct;

	rcu_read_lock();
	hash_for_each_possible_rcu(accounts, acct, node, hash)
		if (acct->ns == ns && uid_eq(acct->uid, uid) &&
		    refcount_inc_not_zero(&acct->ref))
			break;
	rcu_read_unlock();
	return acct;
}

static void chores_do(struct work_struct *work)
{
	struct mbuf_account *acct = container_of(work, struct mbuf_account,
						 work);
	struct mbuf_chore *chore, *next;
	struct llist_node *list;

	list = llist_reverse_order(llist_del_all(&acct->chores));
	llist_for_each_entry_safe(chore, next, list, next) {
		chore->fn(chore);
		cond_resched();
	}
	mbuf_account_put(acct);
}

/**
 * mbuf_account_chore() - have something done on behalf of an account
 * @acct: the account, which the caller has a reference to
 * @chore: what; not touched any more when its function has been called
 *
 * Those of one account are done one after the other.
 *
 * Context: any but under a lock of a workqueue.
 */
void mbuf_account_chore(struct mbuf_account *acct, struct mbuf_chore *chore)
{
	llist_add(&chore->next, &acct->chores);
	mbuf_account_hold(acct);
	/* If it is queued already, it has not taken its list yet. */
	if (!queue_work(chores_wq, &acct->work))
		mbuf_account_put(acct);
}

/* One level; consumes the reference to @parent, also on failure. */
static struct mbuf_account *account_get_one(struct user_namespace *ns,
					    kuid_t uid,
					    struct mbuf_account *parent)
{
	u32 hash = account_hash(ns, uid);
	struct mbuf_account *acct, *fresh;

	acct = account_find(ns, uid, hash);
	if (acct)
		goto found;

	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	if (!fresh) {
		mbuf_account_put(parent);
		return NULL;
	}
	refcount_set(&fresh->ref, 1);
	fresh->ns = get_user_ns(ns);
	fresh->uid = uid;
	fresh->parent = parent;
	init_llist_head(&fresh->chores);
	INIT_WORK(&fresh->work, chores_do);
	fresh->told = jiffies - HZ;
	atomic_set(&fresh->changes, 1);

	spin_lock(&accounts_lock);
	acct = account_find(ns, uid, hash);
	if (!acct) {
		hash_add_rcu(accounts, &fresh->node, hash);
		mbuf_numbered_enter(&accounts_all, &fresh->place);
		atomic_inc(&accounts_changed);
	}
	spin_unlock(&accounts_lock);
	if (!acct)
		return fresh;

	put_user_ns(fresh->ns);
	kfree(fresh);
found:
	/* It has a reference to the same parent already. */
	mbuf_account_put(parent);
	return acct;
}

/*
 * From the initial namespace down, as an account needs its parent. Depth is
 * bounded by the kernel's limit on nesting user namespaces, 32.
 */
static struct mbuf_account *account_get_ns(struct user_namespace *ns,
					   kuid_t uid)
{
	struct mbuf_account *parent = NULL;

	if (ns->parent) {
		parent = account_get_ns(ns->parent, ns->owner);
		if (!parent)
			return NULL;
	}
	return account_get_one(ns, uid, parent);
}

/**
 * mbuf_account_get() - the account of a user
 * @cred: whose real user id and user namespace count
 *
 * Context: may sleep.
 * Return: a reference, or NULL if memory is short.
 */
struct mbuf_account *mbuf_account_get(const struct cred *cred)
{
	struct user_namespace *ns = cred->user_ns;
	struct mbuf_account *acct;

	/* Nearly always it is there; then its parents are, too. */
	acct = account_find(ns, cred->uid, account_hash(ns, cred->uid));
	return acct ?: account_get_ns(ns, cred->uid);
}

/**
 * mbuf_account_hold() - take another reference
 * @acct: the account, which the caller has a reference to, or NULL
 */
void mbuf_account_hold(struct mbuf_account *acct)
{
	if (acct)
		refcount_inc(&acct->ref);
}

/**
 * mbuf_account_put() - drop a reference
 * @acct: the account, may be NULL
 */
void mbuf_account_put(struct mbuf_account *acct)
{
	while (acct && refcount_dec_and_test(&acct->ref)) {
		struct mbuf_account *parent = acct->parent;
		int res;

		spin_lock(&accounts_lock);
		hash_del_rcu(&acct->node);
		mbuf_numbered_leave(&accounts_all, &acct->place);
		atomic_inc(&accounts_changed);
		spin_unlock(&accounts_lock);
		for (res = 0; res < MBUF_RES_NR; res++)
			WARN_ON_ONCE(atomic_long_read(&acct->used[res]));
		put_user_ns(acct->ns);
		kfree_rcu(acct, rcu);
		acct = parent;
	}
}

static void uncharge_level(struct mbuf_account *acct,
			   const struct mbuf_charge *c, int nr)
{
	while (nr--)
		if (c->n[nr])
			atomic_long_sub(c->n[nr], &acct->used[nr]);
}

static unsigned long account_limit(const struct mbuf_account *acct,
				   enum mbuf_resource res)
{
	return READ_ONCE(acct->limit[res]) ?: READ_ONCE(limits[res]);
}

static void account_refused(struct mbuf_account *acct, enum mbuf_resource res)
{
	unsigned long told = READ_ONCE(acct->told);

	atomic_long_inc(&acct->refused);
	/* Who tries again and again is not news. */
	if (time_before(jiffies, told + HZ))
		return;
	WRITE_ONCE(acct->told, jiffies);
	mbuf_quota_notice(acct, res);
}

static int charge_one(struct mbuf_account *acct, enum mbuf_resource res,
		      unsigned long n)
{
	long used = atomic_long_read(&acct->used[res]);

	/* Never above the limit for a moment: others would be refused. */
	do {
		if (used + n > account_limit(acct, res) &&
		    !ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE))
			return -EDQUOT;
	} while (!atomic_long_try_cmpxchg(&acct->used[res], &used, used + n));
	return 0;
}

/* Charges everything or nothing. */
static int charge_level(struct mbuf_account *acct, const struct mbuf_charge *c)
{
	int res;

	for (res = 0; res < MBUF_RES_NR; res++) {
		int err = c->n[res] ? charge_one(acct, res, c->n[res]) : 0;

		if (err) {
			uncharge_level(acct, c, res);
			account_refused(acct, res);
			return err;
		}
	}
	return 0;
}

/**
 * mbuf_charge() - charge an account and all above it
 * @acct: the account; NULL: nobody, what belongs to a driver
 * @c: how much
 *
 * Context: not under a spinlock, as it may ask a security module.
 * Return: 0, or -EDQUOT and nothing is charged.
 */
int mbuf_charge(struct mbuf_account *acct, const struct mbuf_charge *c)
{
	struct mbuf_account *level, *undo;

	for (level = acct; level; level = level->parent) {
		int err = charge_level(level, c);

		if (!err)
			continue;
		for (undo = acct; undo != level; undo = undo->parent)
			uncharge_level(undo, c, MBUF_RES_NR);
		return err;
	}
	return 0;
}

/**
 * mbuf_uncharge() - give back what mbuf_charge() charged
 * @acct: the account, or NULL
 * @c: how much
 *
 * Context: any.
 */
void mbuf_uncharge(struct mbuf_account *acct, const struct mbuf_charge *c)
{
	for (; acct; acct = acct->parent)
		uncharge_level(acct, c, MBUF_RES_NR);
}

/**
 * mbuf_account_used() - what is charged to an account
 * @acct: the account
 * @res: of what
 *
 * Return: the amount at this moment.
 */
unsigned long mbuf_account_used(const struct mbuf_account *acct,
				enum mbuf_resource res)
{
	return atomic_long_read(&acct->used[res]);
}

/**
 * mbuf_account_limit() - what an account may have
 * @acct: the account
 * @res: of what
 *
 * Return: the limit at this moment.
 */
unsigned long mbuf_account_limit(const struct mbuf_account *acct,
				 enum mbuf_resource res)
{
	return account_limit(acct, res);
}

/**
 * mbuf_account_tell() - all that is known of an account
 * @acct: the account
 * @info: result
 */
void mbuf_account_tell(const struct mbuf_account *acct,
		       struct mbuf_account_info *info)
{
	int res;

	info->ns = acct->ns;
	info->uid = acct->uid;
	info->refused = atomic_long_read(&acct->refused);
	info->own_limits = false;
	for (res = 0; res < MBUF_RES_NR; res++) {
		info->used[res] = mbuf_account_used(acct, res);
		info->limit[res] = account_limit(acct, res);
		info->own_limits |= READ_ONCE(acct->limit[res]);
	}
}

/**
 * mbuf_account_changed() - an object has come or gone
 * @acct: who pays for it, or NULL
 */
void mbuf_account_changed(struct mbuf_account *acct)
{
	if (acct)
		atomic_inc(&acct->changes);
}

/**
 * mbuf_account_changes() - counts objects that come and go
 * @acct: who pays for them
 *
 * Return: the count.
 */
unsigned int mbuf_account_changes(const struct mbuf_account *acct)
{
	return atomic_read(&acct->changes);
}

/**
 * mbuf_accounts_changes() - counts accounts that come and go
 *
 * Return: the count.
 */
unsigned int mbuf_accounts_changes(void)
{
	return atomic_read(&accounts_changed);
}

/**
 * mbuf_accounts_visit() - look at accounts, oldest first
 * @from: where to begin, 0 in the beginning; where to go on
 * @visit: called for each with accounts_lock held; must not sleep. What it
 *	returns other than 0 ends the visit, and the next one begins with the
 *	same account
 * @arg: for @visit
 *
 * Context: process context, may sleep.
 * Return: what @visit returned, 0 if there are no more accounts.
 */
int mbuf_accounts_visit(u64 *from,
			int (*visit)(const struct mbuf_account *acct,
				     void *arg),
			void *arg)
{
	struct mbuf_numbered *place;
	unsigned int i;
	int ret = 0;

	do {
		spin_lock(&accounts_lock);
		place = mbuf_numbered_from(&accounts_all, *from);
		for (i = 0; place && i < VISIT_MANY; i++) {
			*from = place->number;
			ret = visit(container_of(place, struct mbuf_account,
						 place), arg);
			if (ret)
				break;
			++*from;
			place = mbuf_numbered_next(place);
		}
		spin_unlock(&accounts_lock);
		cond_resched();
	} while (place && !ret);
	return ret;
}

/**
 * mbuf_limit_set() - change what everybody may have
 * @res: of what
 * @limit: how much
 */
void mbuf_limit_set(enum mbuf_resource res, unsigned long limit)
{
	WRITE_ONCE(limits[res], limit);
}

/*
 * Keep an account that has limits of its own, so that they do not go with its
 * last object. Only in the initial namespace: others must not be kept from going.
 */
static void account_keep(struct mbuf_account *acct)
{
	bool keep = false;
	int res;

	if (acct->ns != &init_user_ns)
		return;
	for (res = 0; res < MBUF_RES_NR; res++)
		keep |= acct->limit[res];
	if (keep && !acct->kept)
		mbuf_account_hold(acct);
	else if (!keep && acct->kept)
		mbuf_account_put(acct);
	acct->kept = keep;
}

/**
 * mbuf_account_limit_set() - change what one user may have
 * @ns: the user namespace
 * @uid: the user
 * @set: which resources, a bit each
 * @limit: how much of each; 0: as much as others
 *
 * In the initial user namespace limits stay until they are set to 0. In others
 * they stay for as long as the user has anything.
 *
 * Context: process context, may sleep.
 * Return: 0; -ESRCH if the user has nothing, in another user namespace than the
 * initial one; -ENOMEM.
 */
int mbuf_account_limit_set(struct user_namespace *ns, kuid_t uid,
			   unsigned int set, const unsigned long *limit)
{
	struct mbuf_account *acct;
	int res;

	acct = account_find(ns, uid, account_hash(ns, uid));
	if (!acct && ns == &init_user_ns) {
		acct = account_get_ns(ns, uid);
		if (!acct)
			return -ENOMEM;
	}
	if (!acct)
		return -ESRCH;
	mutex_lock(&accounts_keep);
	for (res = 0; res < MBUF_RES_NR; res++) {
		if (set & BIT(res))
			WRITE_ONCE(acct->limit[res], limit[res]);
	}
	account_keep(acct);
	mutex_unlock(&accounts_keep);
	mbuf_account_put(acct);
	return 0;
}

/**
 * mbuf_quota_init() - prepare for all of the above
 *
 * Return: 0 or -ENOMEM.
 */
int __init mbuf_quota_init(void)
{
	get_random_bytes(&accounts_key, sizeof(accounts_key));
	chores_wq = alloc_workqueue("mbuf", WQ_UNBOUND, WQ_MAX_ACTIVE);
	return chores_wq ? 0 : -ENOMEM;
}

/**
 * mbuf_quota_exit() - undo mbuf_quota_init(), once all chores are done
 */
void mbuf_quota_exit(void)
{
	struct mbuf_numbered *place;
	u64 from = 0;

	destroy_workqueue(chores_wq);
	/* Nobody else is here any more: those that are left were kept. */
	while ((place = mbuf_numbered_from(&accounts_all, from))) {
		struct mbuf_account *acct =
			container_of(place, struct mbuf_account, place);

		from = place->number + 1;
		if (acct->kept)
			mbuf_account_put(acct);
	}
}
