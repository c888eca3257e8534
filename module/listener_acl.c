// SPDX-License-Identifier: GPL-2.0
/* Who may connect. */
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include "listener_priv.h"

/**
 * mbuf_policy_new() - make a policy
 * @perms: owner, group and mode
 * @nr: users in its list, which is left to the caller
 * @gfp: how to allocate it
 *
 * Context: process context, may sleep.
 * Return: the policy, to be freed by kvfree() or kvfree_rcu(); or NULL.
 */
struct mbuf_policy *mbuf_policy_new(const struct mbuf_policy *perms, u32 nr,
				    gfp_t gfp)
{
	struct mbuf_policy *policy;

	policy = kvmalloc(struct_size(policy, user, nr), gfp);
	if (!policy)
		return NULL;
	policy->owner = perms->owner;
	policy->group = perms->group;
	policy->mode = perms->mode;
	policy->nr = nr;
	return policy;
}

/* Where in the list a user is, or would be. */
static u32 policy_search(const struct mbuf_policy *policy, kuid_t uid,
			 bool *found)
{
	u32 from = 0, to = policy->nr;

	while (from < to) {
		u32 mid = from + (to - from) / 2;

		if (__kuid_val(policy->user[mid].uid) < __kuid_val(uid))
			from = mid + 1;
		else
			to = mid;
	}
	*found = from < policy->nr && uid_eq(policy->user[from].uid, uid);
	return from;
}

/**
 * mbuf_policy_denies() - does the list say no to a user?
 * @policy: the policy
 * @uid: the user
 *
 * Context: any.
 */
bool mbuf_policy_denies(const struct mbuf_policy *policy, kuid_t uid)
{
	bool found;
	u32 at = policy_search(policy, uid, &found);

	return found && !policy->user[at].allow;
}

/**
 * mbuf_policy_check() - may the current process connect?
 * @policy: the policy
 *
 * Context: process context.
 * Return: 0 or -EACCES.
 */
int mbuf_policy_check(const struct mbuf_policy *policy)
{
	kuid_t uid = current_euid();
	bool found;
	u32 at = policy_search(policy, uid, &found);
	u32 need;

	if (found)
		return policy->user[at].allow ? 0 : -EACCES;
	if (uid_eq(policy->owner, uid))
		need = 0200;
	else if (in_egroup_p(policy->group))
		need = 0020;
	else
		need = 0002;
	return policy->mode & need ? 0 : -EACCES;
}

static const struct mbuf_charge user_charge = {
	.n = {
		[MBUF_RES_MEMORY] = sizeof(struct mbuf_acl_user),
	},
};

static struct mbuf_policy *policy_get(struct mbuf_listener *l)
{
	return rcu_dereference_protected(l->policy,
					 lockdep_is_held(&l->change));
}

static void policy_replace(struct mbuf_listener *l, struct mbuf_policy *new)
{
	struct mbuf_policy *old = policy_get(l);

	rcu_assign_pointer(l->policy, new);
	kvfree_rcu(old, rcu);
}

/* The same list with @uid at @at, in place of who is there if @found. */
static int policy_put_user(struct mbuf_listener *l, u32 at, bool found,
			   kuid_t uid, bool allow)
{
	struct mbuf_policy *old = policy_get(l), *new;
	u32 rest = old->nr - at - found;
	int err;

	if (!found && old->nr >= MBUF_ACL_MAX)
		return -ENOSPC;
	err = found ? 0 : mbuf_charge(l->payer, &user_charge);
	if (err)
		return err;
	new = mbuf_policy_new(old, old->nr + !found, GFP_KERNEL_ACCOUNT);
	if (!new) {
		if (!found)
			mbuf_uncharge(l->payer, &user_charge);
		return -ENOMEM;
	}
	memcpy(new->user, old->user, at * sizeof(old->user[0]));
	new->user[at].uid = uid;
	new->user[at].allow = allow;
	memcpy(&new->user[at + 1], &old->user[at + found],
	       rest * sizeof(old->user[0]));
	policy_replace(l, new);
	return 0;
}

/* The same list without who is at @at. */
static int policy_del_user(struct mbuf_listener *l, u32 at)
{
	struct mbuf_policy *old = policy_get(l), *new;

	new = mbuf_policy_new(old, old->nr - 1, GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	memcpy(new->user, old->user, at * sizeof(old->user[0]));
	memcpy(&new->user[at], &old->user[at + 1],
	       (new->nr - at) * sizeof(old->user[0]));
	policy_replace(l, new);
	mbuf_uncharge(l->payer, &user_charge);
	return 0;
}

/**
 * mbuf_policy_user() - change what the list says of a user
 * @l: the listener, whose file the caller has
 * @uid: the user
 * @op: enum mbuf_acl_op
 *
 * Context: process context, may sleep.
 * Return: 0, -ENOSPC, -EDQUOT, -ENOMEM.
 */
int mbuf_policy_user(struct mbuf_listener *l, kuid_t uid, u32 op)
{
	bool found;
	int err = 0;
	u32 at;

	mutex_lock(&l->change);
	at = policy_search(policy_get(l), uid, &found);
	if (op != MBUF_ACL_FORGET)
		err = policy_put_user(l, at, found, uid, op == MBUF_ACL_ALLOW);
	else if (found)
		err = policy_del_user(l, at);
	if (!err && op == MBUF_ACL_DENY)
		mbuf_listener_sweep(l, uid);
	mutex_unlock(&l->change);
	return err;
}

/**
 * mbuf_policy_perms() - change owner, group or mode
 * @l: the listener, whose file the caller has
 * @perms: the new ones
 * @what: which of them, MBUF_LISTEN_*
 *
 * Context: process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int mbuf_policy_perms(struct mbuf_listener *l, const struct mbuf_policy *perms,
		      u32 what)
{
	struct mbuf_policy *old, *new;

	mutex_lock(&l->change);
	old = policy_get(l);
	new = mbuf_policy_new(old, old->nr, GFP_KERNEL_ACCOUNT);
	if (new) {
		memcpy(new->user, old->user, old->nr * sizeof(old->user[0]));
		if (what & MBUF_LISTEN_OWNER)
			new->owner = perms->owner;
		if (what & MBUF_LISTEN_GROUP)
			new->group = perms->group;
		if (what & MBUF_LISTEN_MODE)
			new->mode = perms->mode;
		policy_replace(l, new);
	}
	mutex_unlock(&l->change);
	return new ? 0 : -ENOMEM;
}
