// SPDX-License-Identifier: GPL-2.0
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include <net/netlink.h>
#include "object.h"
#include "registry.h"
#include "table.h"

/**
 * struct mbuf_table - a table
 * @lock: held to change @slots or @dead
 * @slots: rights by index; an entry that is taken is reserved
 * @nr: entries
 * @dead: nothing can be put in any more
 * @root: it is a session's; constant
 * @changes: counts handles that come and go; also read without @lock
 * @nest: where it is in who owns whom
 * @ref: references
 * @id: identity
 * @payer: who pays; holds a reference
 * @doomed: next to be ended, see mbuf_table_end()
 * @node: its place in the registry, unless it is a root table, until it is dead
 * @rcu: who looks up paths does so under RCU
 */
struct mbuf_table {
	/* What is changed, how often, and that it is dead. */
	struct mutex lock;
	struct xarray slots;
	unsigned long nr;
	bool dead;
	bool root;
	unsigned int changes;
	struct mbuf_nest nest;
	refcount_t ref;
	u64 id;
	struct mbuf_account *payer;
	struct mbuf_table *doomed;
	struct mbuf_node node;
	struct rcu_head rcu;
};

/* The root table is part of the session. */
static struct mbuf_charge table_charge(bool root)
{
	return (struct mbuf_charge) {
		.n = {
			[MBUF_RES_OBJECTS] = !root,
			[MBUF_RES_MEMORY] = sizeof(struct mbuf_table),
		},
	};
}

static const struct mbuf_charge handle_charge = {
	.n = {
		[MBUF_RES_HANDLES] = 1,
	},
};

/**
 * mbuf_table_new() - make a table
 * @payer: who pays for it and for what is put in
 * @root: it is a session's
 *
 * Context: may sleep.
 * Return: the table, or an error pointer: -ENOMEM, -EDQUOT.
 */
struct mbuf_table *mbuf_table_new(struct mbuf_account *payer, bool root)
{
	const struct mbuf_charge charge = table_charge(root);
	struct mbuf_table *t;
	int err;

	err = mbuf_charge(payer, &charge);
	if (err)
		return ERR_PTR(err);
	t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	if (!t) {
		mbuf_uncharge(payer, &charge);
		return ERR_PTR(-ENOMEM);
	}
	mutex_init(&t->lock);
	xa_init_flags(&t->slots, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	refcount_set(&t->ref, 1);
	t->id = mbuf_object_id();
	t->nest.id = t->id;
	t->root = root;
	t->payer = payer;
	mbuf_account_hold(payer);
	return t;
}

/* As it is seen from outside */

static u64 table_id(const struct mbuf_node *node)
{
	return container_of(node, struct mbuf_table, node)->id;
}

static int table_describe(void *object, struct sk_buff *skb,
			  const struct mbuf_reader *reader)
{
	const struct mbuf_table *t = container_of(object, struct mbuf_table,
						  node);
	u64 parent = mbuf_nest_parent_id(&t->nest);

	if (nla_put_u32(skb, MBUF_A_TABLE_HANDLES, mbuf_table_handles(t)) ||
	    (parent && nla_put_u64_64bit(skb, MBUF_A_TABLE_PARENT_ID, parent,
					 MBUF_A_TABLE_PAD)))
		return -EMSGSIZE;
	return 0;
}

static struct mbuf_table *table_of_node(void *object)
{
	return container_of(object, struct mbuf_table, node);
}

static const struct mbuf_kind table_kind = {
	.type		= MBUF_OBJECT_TYPE_TABLE,
	.attr		= MBUF_A_OBJECT_TABLE,
	.id		= table_id,
	.describe	= table_describe,
	.table		= table_of_node,
};

/**
 * mbuf_table_show() - let others see a table
 * @t: the table, which is no root table
 *
 * Context: process context, no locks held.
 */
void mbuf_table_show(struct mbuf_table *t)
{
	mbuf_node_link(&t->node, &table_kind, t->payer, NULL);
}

/**
 * mbuf_table_get() - take another reference
 * @t: the table
 */
void mbuf_table_get(struct mbuf_table *t)
{
	refcount_inc(&t->ref);
}

/**
 * mbuf_table_put() - drop a reference
 * @t: the table; may be NULL
 *
 * Context: may sleep.
 */
void mbuf_table_put(struct mbuf_table *t)
{
	struct mbuf_charge charge;

	if (!t || !refcount_dec_and_test(&t->ref))
		return;
	WARN_ON_ONCE(t->nr);
	charge = table_charge(t->root);
	mbuf_uncharge(t->payer, &charge);
	mbuf_account_put(t->payer);
	mutex_destroy(&t->lock);
	kfree_rcu(t, rcu);
}

/* All that is in @t goes; the tables among it are put on @doomed. */
static void table_empty(struct mbuf_table *t, struct mbuf_table **doomed)
{
	struct mbuf_charge charge = { };
	struct mbuf_right *right;
	unsigned long index;

	mutex_lock(&t->lock);
	t->dead = true;
	mutex_unlock(&t->lock);
	mbuf_node_unlink(&t->node);

	/* Nobody else changes it any more. */
	xa_for_each(&t->slots, index, right) {
		const struct mbuf_right_type *type;

		xa_erase(&t->slots, index);
		if (READ_ONCE(right->type) == &mbuf_table_type) {
			struct mbuf_table *sub;

			sub = mbuf_right_detach(right, &type);
			mbuf_nest_move(&sub->nest, NULL);
			sub->doomed = *doomed;
			*doomed = sub;
		} else {
			mbuf_right_kill(right);
		}
		cond_resched();
	}
	/* What is taken is reserved still, and is never put back. */
	xa_destroy(&t->slots);
	charge.n[MBUF_RES_HANDLES] = t->nr;
	mbuf_uncharge(t->payer, &charge);
	t->nr = 0;
}

/**
 * mbuf_table_end() - a table's owner has gone
 * @t: the table; the caller has a reference
 *
 * Context: may sleep.
 */
void mbuf_table_end(struct mbuf_table *t)
{
	struct mbuf_table *doomed = NULL;

	table_empty(t, &doomed);
	while (doomed) {
		t = doomed;
		doomed = t->doomed;
		table_empty(t, &doomed);
		mbuf_table_put(t);
	}
}

/**
 * mbuf_table_id() - a table's identity
 * @t: the table
 *
 * Return: the identity.
 */
u64 mbuf_table_id(const struct mbuf_table *t)
{
	return t->id;
}

/**
 * mbuf_table_handles() - how many handles a table has
 * @t: the table
 *
 * Return: the number at this moment.
 */
unsigned long mbuf_table_handles(const struct mbuf_table *t)
{
	return READ_ONCE(t->nr);
}

/**
 * mbuf_table_changes() - counts the handles of a table that come and go
 * @t: the table
 *
 * What is counted can be seen by who looks at handles afterwards. Those that
 * are revoked stay, and those that go with the table are not counted.
 *
 * Return: the count.
 */
unsigned int mbuf_table_changes(const struct mbuf_table *t)
{
	/* Pairs with the release in table_changed(). */
	return smp_load_acquire(&t->changes);
}

/* After a handle has come or gone, under @t->lock. */
static void table_changed(struct mbuf_table *t)
{
	/* Pairs with the acquire in mbuf_table_changes(). */
	smp_store_release(&t->changes, t->changes + 1);
}

/**
 * mbuf_table_payer() - who pays for a table
 * @t: the table
 *
 * Return: the account; the table has the reference.
 */
struct mbuf_account *mbuf_table_payer(const struct mbuf_table *t)
{
	return t->payer;
}

/**
 * mbuf_table_nest() - where a table is in who owns whom
 * @t: the table
 *
 * Return: its place.
 */
struct mbuf_nest *mbuf_table_nest(struct mbuf_table *t)
{
	return &t->nest;
}

static void table_obj_get(void *obj)
{
	mbuf_table_get(obj);
}

static void table_obj_put(void *obj)
{
	mbuf_table_put(obj);
}

static u64 table_obj_id(void *obj)
{
	return mbuf_table_id(obj);
}

static void table_obj_end(void *obj)
{
	mbuf_table_end(obj);
}

static struct mbuf_nest *table_obj_nest(void *obj)
{
	return mbuf_table_nest(obj);
}

static void table_obj_info(void *obj, struct mbuf_handle_info *info)
{
	const struct mbuf_table *t = obj;

	info->size = READ_ONCE(t->nr);
}

const struct mbuf_right_type mbuf_table_ref_type = {
	.nr = MBUF_CAP_TABLE_REF,
	.all = MBUF_RIGHT_COPY | MBUF_RIGHT_PASS | MBUF_RIGHT_LOOKUP |
	       MBUF_RIGHT_MODIFY,
	.get = table_obj_get,
	.put = table_obj_put,
	.id = table_obj_id,
	.derived = &mbuf_table_ref_type,
	.info = table_obj_info,
};

const struct mbuf_right_type mbuf_table_type = {
	.nr = MBUF_CAP_TABLE,
	/* It can give what it cannot do itself. */
	.all = MBUF_RIGHT_COPY | MBUF_RIGHT_PASS | MBUF_RIGHT_LOOKUP |
	       MBUF_RIGHT_MODIFY,
	.get = table_obj_get,
	.put = table_obj_put,
	.id = table_obj_id,
	.derived = &mbuf_table_ref_type,
	.info = table_obj_info,
	.end = table_obj_end,
	.nest = table_obj_nest,
};

/* Finding */

/* What is at @index of @t; what there is, is in use then. */
static int table_use(struct mbuf_table *t, u64 index, struct mbuf_use *use)
{
	struct mbuf_right *right = NULL;
	int err = -ENOENT;

	rcu_read_lock();
	if (likely(index - 1 < MBUF_INDEX_MAX))
		right = xa_load(&t->slots, index);
	if (likely(right))
		err = mbuf_right_use(right, use);
	rcu_read_unlock();
	return err;
}

/* Go from @place->table to the table that is at @index of it. */
static int place_descend(struct mbuf_place *place, u64 index)
{
	struct mbuf_use use;
	int err = table_use(place->table, index, &use);

	if (err)
		return err;
	if (use.type != &mbuf_table_type && use.type != &mbuf_table_ref_type) {
		mbuf_use_end(&use);
		return -ENOTDIR;
	}
	if (!(use.rights & MBUF_RIGHT_LOOKUP)) {
		mbuf_use_end(&use);
		return -EACCES;
	}
	mbuf_table_put(place->table);
	place->table = use.obj;
	place->rights = use.rights & (MBUF_RIGHT_LOOKUP | MBUF_RIGHT_MODIFY);
	return 0;
}

static int place_index(struct mbuf_place *place, u64 index)
{
	if (!index || index > MBUF_INDEX_MAX)
		return -ENOENT;
	place->index = index;
	return 0;
}

static int place_walk(struct mbuf_place *place,
		      const struct mbuf_path __user *path)
{
	const u64 __user *indices = (const void __user *)(path + 1);
	struct mbuf_path head;
	unsigned int i;
	u64 index;
	int err;

	if (copy_from_user(&head, path, sizeof(head)))
		return -EFAULT;
	if (head.resv || !head.nr || head.nr > MBUF_PATH_MAX)
		return -EINVAL;
	for (i = 0; ; i++) {
		if (get_user(index, &indices[i]))
			return -EFAULT;
		if (i == head.nr - 1)
			return place_index(place, index);
		err = place_descend(place, index);
		if (err)
			return err;
	}
}

/**
 * mbuf_table_find() - find where a handle is
 * @root: the session's root table
 * @handle: index or path
 * @place: result, for mbuf_place_put(); on success only
 *
 * Whether there is anything is not looked at.
 *
 * Context: may sleep.
 * Return: 0, or -ENOENT, -ENOTDIR, -EACCES, -EKEYREVOKED, -EINVAL, -EFAULT.
 */
int mbuf_table_find(struct mbuf_table *root, u64 handle,
		    struct mbuf_place *place)
{
	const u64 addr = handle & ~MBUF_HANDLE_PATH;
	int err;

	place->table = root;
	place->rights = MBUF_RIGHT_LOOKUP | MBUF_RIGHT_MODIFY;
	mbuf_table_get(root);
	if (likely(addr == handle))
		err = place_index(place, handle);
	else if ((uintptr_t)addr != addr)
		err = -EFAULT;
	else
		err = place_walk(place, u64_to_user_ptr(addr));
	if (err)
		mbuf_table_put(place->table);
	return err;
}

/**
 * mbuf_table_find_table() - find a table
 * @root: the session's root table
 * @handle: index or path of a table, 0: @root
 * @need: MBUF_RIGHT_MODIFY if something shall be put into it, or 0
 * @index: where it shall be, 0: anywhere
 * @place: result, for mbuf_place_put(); on success only
 *
 * Context: may sleep.
 * Return: as mbuf_table_find(), and -EINVAL for @index.
 */
int mbuf_table_find_table(struct mbuf_table *root, u64 handle, u32 need,
			  u64 index, struct mbuf_place *place)
{
	int err;

	if (index > MBUF_INDEX_MAX)
		return -EINVAL;
	if (handle) {
		err = mbuf_table_find(root, handle, place);
		if (err)
			return err;
		err = place_descend(place, place->index);
		if (!err && need & ~place->rights)
			err = -EACCES;
		if (err) {
			mbuf_place_put(place);
			return err;
		}
	} else {
		mbuf_table_get(root);
		place->table = root;
		place->rights = MBUF_RIGHT_LOOKUP | MBUF_RIGHT_MODIFY;
	}
	place->index = index;
	return 0;
}

/**
 * mbuf_place_put() - a place is no longer needed
 * @place: which
 *
 * Context: may sleep.
 */
void mbuf_place_put(struct mbuf_place *place)
{
	mbuf_table_put(place->table);
}

/* Using */

/**
 * mbuf_place_use() - use what is at a place
 * @place: where
 * @use: result, for mbuf_use_end(); on success only
 *
 * Context: does not sleep.
 * Return: 0, or -ENOENT, -EKEYREVOKED.
 */
int mbuf_place_use(const struct mbuf_place *place, struct mbuf_use *use)
{
	return table_use(place->table, place->index, use);
}

/**
 * mbuf_table_use() - find a handle, and use what it is
 * @root: the session's root table
 * @handle: index or path
 * @use: result, for mbuf_use_end(); on success only
 *
 * Context: may sleep.
 * Return: 0, or as mbuf_table_find() and mbuf_place_use().
 */
int mbuf_table_use(struct mbuf_table *root, u64 handle, struct mbuf_use *use)
{
	struct mbuf_place place;
	int err;

	/* No need to hold the root table: the caller does. */
	if (likely(!(handle & MBUF_HANDLE_PATH)))
		return table_use(root, handle, use);
	err = mbuf_table_find(root, handle, &place);
	if (err)
		return err;
	err = mbuf_place_use(&place, use);
	mbuf_place_put(&place);
	return err;
}

/**
 * mbuf_place_derive() - derive a right from what is at a place
 * @place: where
 * @rights: as for mbuf_right_derive()
 * @need: rights that it has to have
 * @right: result
 *
 * Context: may sleep.
 * Return: 0, or -ENOENT, -ENOMEM, and as mbuf_right_derive().
 */
int mbuf_place_derive(const struct mbuf_place *place, u32 rights, u32 need,
		      struct mbuf_right **right)
{
	struct mbuf_right *fresh, *from;
	int err = -ENOENT;

	fresh = mbuf_right_alloc();
	if (!fresh)
		return -ENOMEM;
	rcu_read_lock();
	from = xa_load(&place->table->slots, place->index);
	if (from) {
		err = mbuf_right_derive(fresh, from, rights);
		if (!err && need & ~from->rights)
			err = 1;
	}
	rcu_read_unlock();
	if (err > 0) {
		mbuf_right_kill(fresh);
		return -EACCES;
	}
	if (err)
		mbuf_right_free(fresh);
	else
		*right = fresh;
	return err;
}

/* Changing */

/**
 * mbuf_place_reserve() - make an entry for what will be put there
 * @place: where; gets an index if it has none
 *
 * Context: may sleep.
 * Return: 0, or -EEXIST, -EDQUOT, -ENOMEM; -ENOSPC: all indices are taken;
 * -ENOENT: the table is dead.
 */
int mbuf_place_reserve(struct mbuf_place *place)
{
	struct mbuf_table *t = place->table;
	u32 index = place->index;
	int err;

	err = mbuf_charge(t->payer, &handle_charge);
	if (err)
		return err;
	mutex_lock(&t->lock);
	if (t->dead)
		err = -ENOENT;
	else if (index)
		err = xa_insert(&t->slots, index, NULL, GFP_KERNEL_ACCOUNT);
	else
		err = xa_alloc(&t->slots, &index, NULL,
			       XA_LIMIT(1, MBUF_INDEX_MAX), GFP_KERNEL_ACCOUNT);
	if (!err)
		t->nr++;
	mutex_unlock(&t->lock);
	if (err) {
		mbuf_uncharge(t->payer, &handle_charge);
		return err == -EBUSY ? index && place->index ? -EEXIST :
				       -ENOSPC : err;
	}
	place->index = index;
	return 0;
}

/**
 * mbuf_place_fill() - put a right into a reserved entry
 * @place: where
 * @right: the right; on success, the table's from here on
 *
 * Context: may sleep.
 * Return: 0, or -ENOENT: the table is dead.
 */
int mbuf_place_fill(const struct mbuf_place *place, struct mbuf_right *right)
{
	struct mbuf_table *t = place->table;
	int err = -ENOENT;

	mutex_lock(&t->lock);
	if (!t->dead) {
		/* There is a node for it already. */
		xa_store(&t->slots, place->index, right, GFP_KERNEL_ACCOUNT);
		table_changed(t);
		err = 0;
	}
	mutex_unlock(&t->lock);
	return err;
}

/**
 * mbuf_place_release() - a reserved entry is no longer needed
 * @place: where
 *
 * Context: may sleep.
 */
void mbuf_place_release(const struct mbuf_place *place)
{
	struct mbuf_table *t = place->table;
	bool gone = false;

	mutex_lock(&t->lock);
	if (!t->dead) {
		xa_erase(&t->slots, place->index);
		t->nr--;
		gone = true;
	}
	mutex_unlock(&t->lock);
	if (gone)
		mbuf_uncharge(t->payer, &handle_charge);
}

/* Has the right at @index been taken out, to be put back or not? */
static bool table_taken(struct mbuf_table *t, u32 index)
{
	XA_STATE(xas, &t->slots, index);
	void *entry;

	rcu_read_lock();
	entry = xas_load(&xas);
	rcu_read_unlock();
	return xa_is_zero(entry);
}

/**
 * mbuf_place_revoke() - end all that was derived from what is at a place
 * @place: where
 *
 * Context: may sleep.
 * Return: how many it were, or -ENOENT, -EBUSY; -EACCES: the path lacks
 * MBUF_RIGHT_MODIFY.
 */
long mbuf_place_revoke(const struct mbuf_place *place)
{
	struct mbuf_table *t = place->table;
	struct mbuf_right *right;
	long nr = -ENOENT;

	if (!(place->rights & MBUF_RIGHT_MODIFY))
		return -EACCES;
	/* So that nobody ends it meanwhile. */
	mutex_lock(&t->lock);
	right = t->dead ? NULL : xa_load(&t->slots, place->index);
	if (right)
		nr = min_t(unsigned long, mbuf_right_revoke(right), INT_MAX);
	else if (table_taken(t, place->index))
		nr = -EBUSY;
	mutex_unlock(&t->lock);
	return nr;
}

/**
 * mbuf_place_next() - use what is at the next index of a table
 * @place: the table
 * @start: the lowest index
 * @index: result
 * @use: result, for mbuf_use_end(); on success only
 *
 * Context: does not sleep.
 * Return: 0; -EKEYREVOKED, and *@index is set; -ENOENT: there is none.
 */
int mbuf_place_next(const struct mbuf_place *place, u64 start, u64 *index,
		    struct mbuf_use *use)
{
	unsigned long at = start;
	struct mbuf_right *right;
	int err = -ENOENT;

	rcu_read_lock();
	right = xa_find(&place->table->slots, &at, MBUF_INDEX_MAX, XA_PRESENT);
	if (right) {
		*index = at;
		err = mbuf_right_use(right, use);
	}
	rcu_read_unlock();
	return err;
}

/**
 * mbuf_table_tell() - say what is at the next index of a table
 * @t: the table, which may be dead
 * @start: the lowest index
 * @index: result
 * @told: result
 *
 * What somebody has taken out is not there.
 *
 * Context: does not sleep.
 * Return: true; false: there is none.
 */
bool mbuf_table_tell(struct mbuf_table *t, u32 start, u32 *index,
		     struct mbuf_right_told *told)
{
	unsigned long at = start;
	struct mbuf_right *right;

	rcu_read_lock();
	right = xa_find(&t->slots, &at, MBUF_INDEX_MAX, XA_PRESENT);
	if (right) {
		*index = at;
		mbuf_right_tell(right, told);
	}
	rcu_read_unlock();
	return right;
}

/**
 * mbuf_place_take() - take out what is at a place; the entry stays reserved
 * @place: where
 * @need: rights that it has to have
 *
 * Context: may sleep.
 * Return: the right, or an error pointer: -ENOENT, -EBUSY: somebody else has
 * taken it; -EACCES: @need, or the path lacks MBUF_RIGHT_MODIFY.
 */
struct mbuf_right *mbuf_place_take(const struct mbuf_place *place, u32 need)
{
	struct mbuf_table *t = place->table;
	struct mbuf_right *right;

	if (!(place->rights & MBUF_RIGHT_MODIFY))
		return ERR_PTR(-EACCES);
	mutex_lock(&t->lock);
	/* What is in a dead table is for who empties it. */
	right = t->dead ? NULL : xa_load(&t->slots, place->index);
	if (!right) {
		right = ERR_PTR(table_taken(t, place->index) ? -EBUSY :
							       -ENOENT);
	} else if (need & ~right->rights) {
		right = ERR_PTR(-EACCES);
	} else {
		xa_store(&t->slots, place->index, NULL, GFP_KERNEL_ACCOUNT);
		table_changed(t);
	}
	mutex_unlock(&t->lock);
	return right;
}
