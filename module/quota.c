// SPDX-License-Identifier: GPL-2.0
#include <linux/atomic.h>
#include <linux/capability.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/siphash.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>
#include "quota.h"

/**
 * struct mbuf_account - what one user in one user namespace has
 * @node: in the table; changed under accounts_lock, read under RCU
 * @rcu: to be freed
 * @ref: references
 * @ns: the user namespace; holds a reference
 * @uid: the user
 * @parent: the account above, NULL in the initial namespace; holds a reference
 * @used: what is charged, including what accounts below are charged
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
	struct llist_head chores;
	struct work_struct work;
};

static struct workqueue_struct *chores_wq;

static DEFINE_SPINLOCK(accounts_lock);
static DEFINE_HASHTABLE(accounts, 7);
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

	spin_lock(&accounts_lock);
	acct = account_find(ns, uid, hash);
	if (!acct)
		hash_add_rcu(accounts, &fresh->node, hash);
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

static int charge_one(struct mbuf_account *acct, enum mbuf_resource res,
		      unsigned long n)
{
	long used = atomic_long_read(&acct->used[res]);

	/* Never above the limit for a moment: others would be refused. */
	do {
		if (used + n > READ_ONCE(limits[res]) &&
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
 * @res: of what
 *
 * Return: the limit at this moment.
 */
unsigned long mbuf_account_limit(enum mbuf_resource res)
{
	return READ_ONCE(limits[res]);
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
	destroy_workqueue(chores_wq);
}
