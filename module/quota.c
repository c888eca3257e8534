// SPDX-License-Identifier: GPL-2.0
#include <linux/atomic.h>
#include <linux/capability.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/refcount.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include "quota.h"

/**
 * struct mbuf_account - what one user in one user namespace has
 * @node: in the table; accounts_lock
 * @ref: references; drops to zero only under accounts_lock
 * @ns: the user namespace; holds a reference
 * @uid: the user
 * @parent: the account above, NULL in the initial namespace; holds a reference
 * @used: what is charged, including what accounts below are charged
 */
struct mbuf_account {
	struct hlist_node node;
	refcount_t ref;
	struct user_namespace *ns;
	kuid_t uid;
	struct mbuf_account *parent;
	atomic_long_t used[MBUF_RES_NR];
};

static DEFINE_SPINLOCK(accounts_lock);
static DEFINE_HASHTABLE(accounts, 7);

static unsigned long limits[MBUF_RES_NR] = {
	[MBUF_RES_OBJECTS] = 16384,
	[MBUF_RES_MEMORY] = SZ_64M,
	[MBUF_RES_INFLIGHT] = SZ_64M,
};

module_param_named(objects_limit, limits[MBUF_RES_OBJECTS], ulong, 0644);
MODULE_PARM_DESC(objects_limit, "Objects that a user may have");
module_param_named(memory_limit, limits[MBUF_RES_MEMORY], ulong, 0644);
MODULE_PARM_DESC(memory_limit, "Bytes that a user's objects may take");
module_param_named(inflight_limit, limits[MBUF_RES_INFLIGHT], ulong, 0644);
MODULE_PARM_DESC(inflight_limit,
		 "Bytes of large and waiting messages that a user may have in flight");

static struct mbuf_account *account_find(struct user_namespace *ns, kuid_t uid,
					 unsigned long key)
{
	struct mbuf_account *acct;

	lockdep_assert_held(&accounts_lock);

	hash_for_each_possible(accounts, acct, node, key) {
		if (acct->ns == ns && uid_eq(acct->uid, uid)) {
			refcount_inc(&acct->ref);
			return acct;
		}
	}
	return NULL;
}

/* One level; consumes the reference to @parent, also on failure. */
static struct mbuf_account *account_get_one(struct user_namespace *ns,
					    kuid_t uid,
					    struct mbuf_account *parent)
{
	unsigned long key = (unsigned long)ns + __kuid_val(uid);
	struct mbuf_account *acct, *fresh;

	spin_lock(&accounts_lock);
	acct = account_find(ns, uid, key);
	spin_unlock(&accounts_lock);
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

	spin_lock(&accounts_lock);
	acct = account_find(ns, uid, key);
	if (!acct)
		hash_add(accounts, &fresh->node, key);
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
	struct mbuf_account *acct;

	/* Nearly always it is there; then its parents are, too. */
	spin_lock(&accounts_lock);
	acct = account_find(cred->user_ns, cred->uid,
			    (unsigned long)cred->user_ns +
			    __kuid_val(cred->uid));
	spin_unlock(&accounts_lock);
	if (acct)
		return acct;
	return account_get_ns(cred->user_ns, cred->uid);
}

/**
 * mbuf_account_hold() - take another reference
 * @acct: the account, which the caller has a reference to
 */
void mbuf_account_hold(struct mbuf_account *acct)
{
	refcount_inc(&acct->ref);
}

/**
 * mbuf_account_put() - drop a reference
 * @acct: the account, may be NULL
 */
void mbuf_account_put(struct mbuf_account *acct)
{
	while (acct) {
		struct mbuf_account *parent = acct->parent;
		int res;

		/* As refcount_dec_and_lock(), which sparse does not follow. */
		if (refcount_dec_not_one(&acct->ref))
			return;
		spin_lock(&accounts_lock);
		if (!refcount_dec_and_test(&acct->ref)) {
			spin_unlock(&accounts_lock);
			return;
		}
		hash_del(&acct->node);
		spin_unlock(&accounts_lock);
		for (res = 0; res < MBUF_RES_NR; res++)
			WARN_ON_ONCE(atomic_long_read(&acct->used[res]));
		put_user_ns(acct->ns);
		kfree(acct);
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

/* Charges everything or nothing. */
static int charge_level(struct mbuf_account *acct, const struct mbuf_charge *c)
{
	int res;

	for (res = 0; res < MBUF_RES_NR; res++) {
		long used;

		if (!c->n[res])
			continue;
		used = atomic_long_add_return(c->n[res], &acct->used[res]);
		if (used > READ_ONCE(limits[res]) &&
		    !capable(CAP_SYS_RESOURCE)) {
			uncharge_level(acct, c, res + 1);
			return -EDQUOT;
		}
	}
	return 0;
}

/**
 * mbuf_charge() - charge an account and all above it
 * @acct: the account
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
 * @acct: the account
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
