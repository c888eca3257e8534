/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who pays.
 *
 * Every object and every byte that is kept for a user is charged to an
 * account, one per user and user namespace. An account has a parent: the
 * account of the owner of its user namespace in the namespace above. A charge
 * goes to the account and to all above it, so that a user who makes namespaces
 * and maps other ids into them does not multiply what it may have.
 *
 * An object is charged to who opened the session that made it, which is fixed
 * when the session is opened. Payload that is kept outside of an object's own
 * memory is charged to the sender.
 *
 * Memory is charged to the memory cgroup of the allocating task besides, by
 * GFP_KERNEL_ACCOUNT at the place where it is allocated.
 *
 * Limits are module parameters, and the same for every account but those for
 * which others were set (netlink.c). What is charged already stays when a limit
 * is lowered.
 *
 * Chores. What has to be closed for a user who is not there to do it is done
 * in workers: one for each account, so that what takes long, or for ever, keeps
 * nobody waiting but others of the same user, who is still charged for it.
 *
 * Locking: accounts_lock protects the table of accounts, which is searched
 * under RCU; the amounts are atomics. An account lives as long as anybody holds
 * a reference; each charge is made by a holder.
 */
#ifndef _MBUF_QUOTA_H
#define _MBUF_QUOTA_H

#include <linux/cred.h>
#include <linux/llist.h>
#include <linux/types.h>

/**
 * enum mbuf_resource - what is charged
 * @MBUF_RES_OBJECTS: number of objects
 * @MBUF_RES_MEMORY: bytes that belong to objects
 * @MBUF_RES_INFLIGHT: bytes of messages in flight outside of those
 * @MBUF_RES_HANDLES: handles in tables
 * @MBUF_RES_CAPS: capabilities in messages
 * @MBUF_RES_NR: how many there are
 */
enum mbuf_resource {
	MBUF_RES_OBJECTS,
	MBUF_RES_MEMORY,
	MBUF_RES_INFLIGHT,
	MBUF_RES_HANDLES,
	MBUF_RES_CAPS,
	MBUF_RES_NR
};

/**
 * struct mbuf_charge - amounts that are charged and uncharged together
 * @n: amount of each resource
 */
struct mbuf_charge {
	unsigned long n[MBUF_RES_NR];
};

/**
 * struct mbuf_account_info - what there is to know of an account
 * @ns: the user namespace; the account keeps it
 * @uid: the user
 * @used: what is charged
 * @limit: what it may have
 * @own_limits: of at least one resource, that is not what others may have
 * @refused: how often a charge was refused
 */
struct mbuf_account_info {
	struct user_namespace *ns;
	kuid_t uid;
	unsigned long used[MBUF_RES_NR];
	unsigned long limit[MBUF_RES_NR];
	bool own_limits;
	unsigned long refused;
};

struct mbuf_account;

/**
 * struct mbuf_chore - something to be done that may take long
 * @next: in its account's list
 * @fn: does it, and frees it; in a worker, without locks
 */
struct mbuf_chore {
	struct llist_node next;
	void (*fn)(struct mbuf_chore *chore);
};

struct mbuf_account *mbuf_account_get(const struct cred *cred);
void mbuf_account_hold(struct mbuf_account *acct);
void mbuf_account_put(struct mbuf_account *acct);
int mbuf_charge(struct mbuf_account *acct, const struct mbuf_charge *c);
void mbuf_uncharge(struct mbuf_account *acct, const struct mbuf_charge *c);
unsigned long mbuf_account_used(const struct mbuf_account *acct,
				enum mbuf_resource res);
unsigned long mbuf_account_limit(const struct mbuf_account *acct,
				 enum mbuf_resource res);

/* For who looks on from outside. */
void mbuf_account_tell(const struct mbuf_account *acct,
		       struct mbuf_account_info *info);
void mbuf_account_changed(struct mbuf_account *acct);
unsigned int mbuf_account_changes(const struct mbuf_account *acct);
unsigned int mbuf_accounts_changes(void);
int mbuf_accounts_visit(u64 *from,
			int (*visit)(const struct mbuf_account *acct,
				     void *arg),
			void *arg);
void mbuf_limit_set(enum mbuf_resource res, unsigned long limit);
int mbuf_account_limit_set(struct user_namespace *ns, kuid_t uid,
			   unsigned int set, const unsigned long *limit);

void mbuf_account_chore(struct mbuf_account *acct, struct mbuf_chore *chore);

int mbuf_quota_init(void);
void mbuf_quota_exit(void);

#endif /* _MBUF_QUOTA_H */
