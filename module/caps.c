// SPDX-License-Identifier: GPL-2.0
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "caps.h"

static struct mbuf_charge caps_charge(u32 nr)
{
	struct mbuf_charge charge = { };

	charge.n[MBUF_RES_CAPS] = nr;
	return charge;
}

/**
 * mbuf_caps_new() - make room for the capabilities of a message
 * @nr: how many, at most MBUF_CAPS_MAX
 *
 * Charged to the current user and memory cgroup.
 *
 * Context: may sleep.
 * Return: room in which there is nothing yet, or an error pointer: -ENOMEM,
 * -EDQUOT.
 */
struct mbuf_caps *mbuf_caps_new(u32 nr)
{
	const struct mbuf_charge charge = caps_charge(nr);
	struct mbuf_caps *caps;
	int err;

	caps = kzalloc(struct_size(caps, slot, nr), GFP_KERNEL_ACCOUNT);
	if (!caps)
		return ERR_PTR(-ENOMEM);
	caps->nr = nr;
	err = -ENOMEM;
	caps->payer = mbuf_account_get(current_cred());
	if (!caps->payer)
		goto free;
	err = mbuf_charge(caps->payer, &charge);
	if (err)
		goto put;
	return caps;

put:
	mbuf_account_put(caps->payer);
free:
	kfree(caps);
	return ERR_PTR(err);
}

/**
 * mbuf_caps_free() - close what there is, and free it
 * @caps: which
 *
 * Context: may sleep, for as long as the owner of a file likes: in the worker,
 * or in the process that has made it.
 */
void mbuf_caps_free(struct mbuf_caps *caps)
{
	const struct mbuf_charge charge = caps_charge(caps->nr);
	u32 i;

	for (i = 0; i < caps->nr; i++) {
		struct mbuf_cap_slot *slot = &caps->slot[i];

		if (slot->file)
			mbuf_file_put(slot->file);
		if (slot->right)
			mbuf_right_kill(slot->right);
	}
	mbuf_uncharge(caps->payer, &charge);
	mbuf_account_put(caps->payer);
	kfree(caps);
}

static void caps_chore(struct mbuf_chore *chore)
{
	mbuf_caps_free(container_of(chore, struct mbuf_caps, chore));
}

/**
 * mbuf_caps_drop() - have a worker close what there is, and free it
 * @caps: which
 *
 * Context: may sleep, but not for long.
 */
void mbuf_caps_drop(struct mbuf_caps *caps)
{
	/* Where they were may be gone before they are. */
	mbuf_caps_nest_back(caps, NULL);
	caps->chore.fn = caps_chore;
	mbuf_account_chore(caps->payer, &caps->chore);
}

static struct mbuf_nest *slot_nest(const struct mbuf_cap_slot *slot)
{
	const struct mbuf_right_type *type;

	if (!slot->right)
		return NULL;
	/* What is unique is not derived, so it is not revoked. */
	type = slot->right->type;
	return type && type->nest ? type->nest(slot->right->obj) : NULL;
}

/**
 * mbuf_caps_nest() - they are moved to where they have another owner
 * @caps: which
 * @parent: the owner, or NULL
 *
 * Context: may sleep.
 * Return: 0, or -ELOOP if one of them owns @parent, or at too many removes;
 * then nothing has changed.
 */
int mbuf_caps_nest(struct mbuf_caps *caps, struct mbuf_nest *parent)
{
	bool owner = false;
	int err = 0;
	u32 i;

	for (i = 0; i < caps->nr && !owner; i++)
		owner = slot_nest(&caps->slot[i]);
	if (likely(!owner))
		return 0;

	mutex_lock(&mbuf_nest_mutex);
	for (i = 0; i < caps->nr && !err; i++) {
		struct mbuf_nest *nest = slot_nest(&caps->slot[i]);

		if (nest)
			err = mbuf_nest_check(nest, parent);
	}
	for (i = 0; i < caps->nr && !err; i++) {
		struct mbuf_nest *nest = slot_nest(&caps->slot[i]);

		if (nest)
			mbuf_nest_set(nest, parent);
	}
	mutex_unlock(&mbuf_nest_mutex);
	return err;
}

/**
 * mbuf_caps_nest_back() - they are where they have been before, or nowhere
 * @caps: which
 * @parent: their owner, or NULL
 *
 * Context: may sleep.
 */
void mbuf_caps_nest_back(struct mbuf_caps *caps, struct mbuf_nest *parent)
{
	u32 i;

	for (i = 0; i < caps->nr; i++) {
		struct mbuf_nest *nest = slot_nest(&caps->slot[i]);

		if (nest)
			mbuf_nest_move(nest, parent);
	}
}

/**
 * mbuf_caps_clone() - the same once more
 * @from: which; none of them is unique
 *
 * Context: may sleep.
 * Return: capabilities that were derived from those; or an error pointer:
 * -EKEYREVOKED, -ENOMEM, -EDQUOT.
 */
struct mbuf_caps *mbuf_caps_clone(const struct mbuf_caps *from)
{
	struct mbuf_caps *caps = mbuf_caps_new(from->nr);
	u32 i;

	if (IS_ERR(caps))
		return caps;
	for (i = 0; i < from->nr; i++) {
		const struct mbuf_cap_slot *old = &from->slot[i];
		struct mbuf_right *fresh;
		int err;

		if (old->file) {
			caps->slot[i].file = get_file(old->file);
			continue;
		}
		fresh = mbuf_right_alloc();
		err = fresh ? mbuf_right_clone(fresh, old->right) : -ENOMEM;
		if (err) {
			mbuf_right_free(fresh);
			mbuf_caps_free(caps);
			return ERR_PTR(err);
		}
		caps->slot[i].right = fresh;
	}
	return caps;
}

/**
 * mbuf_file_put() - drop a reference to a file
 * @file: the file
 *
 * A worker closes it right here, so that it is the one that waits for it, and
 * not the one that all workers' files are left to. A process does so on its way
 * back to user space.
 *
 * Context: may sleep.
 */
void mbuf_file_put(struct file *file)
{
	if (current->flags & PF_KTHREAD)
		__fput_sync(file);
	else
		fput(file);
}
