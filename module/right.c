// SPDX-License-Identifier: GPL-2.0
#include <linux/hash.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include "right.h"

#define LOCK_BITS	6

/* How many rights are dealt with before others get the lock. */
#define TURN		32

static spinlock_t locks[1 << LOCK_BITS] = {
	[0 ... (1 << LOCK_BITS) - 1] = __SPIN_LOCK_UNLOCKED(locks),
};

/* @right->obj never changes, and who derives shares it. */
static spinlock_t *right_lock(const struct mbuf_right *right)
{
	return &locks[hash_ptr(right->obj, LOCK_BITS)];
}

/**
 * mbuf_right_alloc() - allocate a right, for mbuf_right_derive()
 *
 * Context: may sleep.
 * Return: one that refers to nothing yet, or NULL.
 */
struct mbuf_right *mbuf_right_alloc(void)
{
	return kmalloc(sizeof(struct mbuf_right), GFP_KERNEL_ACCOUNT);
}

/**
 * mbuf_right_free() - free one that has come to nothing
 * @blank: from mbuf_right_alloc()
 */
void mbuf_right_free(struct mbuf_right *blank)
{
	kfree(blank);
}

/**
 * mbuf_right_init() - make a right of one that was allocated
 * @right: from mbuf_right_alloc()
 * @type: what it is
 * @obj: the object; consumes a reference
 * @rights: MBUF_RIGHT_*
 */
void mbuf_right_init(struct mbuf_right *right,
		     const struct mbuf_right_type *type, void *obj, u32 rights)
{
	right->type = type;
	right->obj = obj;
	right->rights = rights & type->all;
	right->parent = NULL;
	INIT_LIST_HEAD(&right->children);
	INIT_LIST_HEAD(&right->sibling);
}

/**
 * mbuf_right_new() - make a right that is derived from nothing
 * @type: what it is
 * @obj: the object; consumes a reference on success only
 * @rights: MBUF_RIGHT_*
 *
 * Context: may sleep.
 * Return: the right, or NULL if memory is short.
 */
struct mbuf_right *mbuf_right_new(const struct mbuf_right_type *type, void *obj,
				  u32 rights)
{
	struct mbuf_right *right = mbuf_right_alloc();

	if (right)
		mbuf_right_init(right, type, obj, rights);
	return right;
}

/* Under the lock; @from is alive and not unique. */
static void right_derive(struct mbuf_right *right, struct mbuf_right *from,
			 u32 rights)
{
	const struct mbuf_right_type *type = from->type;

	mbuf_right_init(right, type->derived, from->obj, rights);
	type->get(from->obj);
	right->parent = from;
	list_add_tail(&right->sibling, &from->children);
}

/**
 * mbuf_right_derive() - derive a right
 * @right: the new one, from mbuf_right_alloc()
 * @from: from which; the caller is under RCU, or its holder
 * @rights: MBUF_RIGHT_* that it shall have of those there are; 0: all
 *
 * Context: does not sleep.
 * Return: 0, or -EKEYREVOKED, -EACCES: may not be copied; -EOPNOTSUPP: cannot
 * be; -EINVAL: rights that @from does not have.
 */
int mbuf_right_derive(struct mbuf_right *right, struct mbuf_right *from,
		      u32 rights)
{
	int err = 0;

	spin_lock(right_lock(from));
	if (!from->type)
		err = -EKEYREVOKED;
	else if (!from->type->derived)
		err = -EOPNOTSUPP;
	else if (!(from->rights & MBUF_RIGHT_COPY))
		err = -EACCES;
	else if (rights & ~from->rights)
		err = -EINVAL;
	else
		right_derive(right, from, rights ?: from->rights);
	spin_unlock(right_lock(from));
	return err;
}

/**
 * mbuf_right_clone() - derive a right with the same rights, come what may
 * @right: the new one, from mbuf_right_alloc()
 * @from: from which; the caller is its holder
 *
 * For holders that give out what they hold without losing it, and for which it
 * was copied already.
 *
 * Context: does not sleep.
 * Return: 0 or -EKEYREVOKED.
 */
int mbuf_right_clone(struct mbuf_right *right, struct mbuf_right *from)
{
	int err = -EKEYREVOKED;

	spin_lock(right_lock(from));
	if (from->type && !WARN_ON_ONCE(!from->type->derived)) {
		right_derive(right, from, from->rights);
		err = 0;
	}
	spin_unlock(right_lock(from));
	return err;
}

/**
 * mbuf_right_use() - use a right
 * @right: which; the caller is under RCU, or its holder
 * @use: result, for mbuf_use_end(); on success only
 *
 * Context: does not sleep.
 * Return: 0 or -EKEYREVOKED.
 */
int mbuf_right_use(struct mbuf_right *right, struct mbuf_use *use)
{
	int err = -EKEYREVOKED;

	spin_lock(right_lock(right));
	if (likely(right->type)) {
		use->type = right->type;
		use->obj = right->obj;
		use->rights = right->rights;
		use->type->get(use->obj);
		err = 0;
	}
	spin_unlock(right_lock(right));
	return err;
}

/**
 * mbuf_use_end() - it is no longer used
 * @use: what
 *
 * Context: may sleep.
 */
void mbuf_use_end(struct mbuf_use *use)
{
	use->type->put(use->obj);
}

/**
 * mbuf_right_tell() - say what a right is, without using it
 * @right: which; the caller is under RCU, or its holder
 * @told: result
 *
 * The object is neither kept nor let go: who looks on is not the one with whom
 * it ends.
 *
 * Context: does not sleep.
 */
void mbuf_right_tell(struct mbuf_right *right, struct mbuf_right_told *told)
{
	*told = (struct mbuf_right_told) { .type = MBUF_CAP_NONE };
	spin_lock(right_lock(right));
	if (right->type) {
		told->type = right->type->nr;
		told->rights = right->rights;
		told->id = right->type->id(right->obj);
	}
	spin_unlock(right_lock(right));
}

/* Make up to TURN children of @right @to's, or nobody's. Under the lock. */
static void right_move_children(struct mbuf_right *right, struct mbuf_right *to)
{
	struct mbuf_right *child;
	unsigned int turn = TURN;

	while (turn-- && !list_empty(&right->children)) {
		child = list_first_entry(&right->children, struct mbuf_right,
					 sibling);
		child->parent = to;
		if (to)
			list_move_tail(&child->sibling, &to->children);
		else
			list_del_init(&child->sibling);
	}
}

/**
 * mbuf_right_detach() - take what a right refers to, and free the right
 * @right: which; its holder is the caller, and has made it unreachable
 * @type: what it was; NULL if it had been revoked
 *
 * What was derived from it counts as derived from its parent from now on.
 *
 * Context: may sleep.
 * Return: the object, with a reference for the caller if @type.
 */
void *mbuf_right_detach(struct mbuf_right *right,
			const struct mbuf_right_type **type)
{
	spinlock_t *lock = right_lock(right);
	void *obj = right->obj;

	spin_lock(lock);
	*type = right->type;
	right->type = NULL;
	for (;;) {
		right_move_children(right, right->parent);
		if (list_empty(&right->children))
			break;
		spin_unlock(lock);
		cond_resched();
		spin_lock(lock);
	}
	list_del(&right->sibling);
	spin_unlock(lock);
	kfree_rcu(right, rcu);
	return obj;
}

/**
 * mbuf_right_kill() - end a right
 * @right: which; its holder is the caller, and has made it unreachable
 *
 * Context: may sleep.
 */
void mbuf_right_kill(struct mbuf_right *right)
{
	const struct mbuf_right_type *type;
	void *obj = mbuf_right_detach(right, &type);

	if (!type)
		return;
	if (type->nest)
		mbuf_nest_move(type->nest(obj), NULL);
	if (type->end)
		type->end(obj);
	type->put(obj);
}

/**
 * mbuf_right_revoke() - end all that was derived from a right
 * @right: which; the caller keeps its holder from ending it
 *
 * Context: may sleep.
 * Return: how many it were.
 */
unsigned long mbuf_right_revoke(struct mbuf_right *right)
{
	spinlock_t *lock = right_lock(right);
	unsigned long nr = 0;

	for (;;) {
		const struct mbuf_right_type *type = NULL;
		struct mbuf_right *child;

		spin_lock(lock);
		child = list_first_entry_or_null(&right->children,
						 struct mbuf_right, sibling);
		if (!child) {
			spin_unlock(lock);
			return nr;
		}
		/* What is not alive cannot be derived from. */
		swap(type, child->type);
		right_move_children(child, right);
		if (list_empty(&child->children)) {
			child->parent = NULL;
			list_del_init(&child->sibling);
		}
		spin_unlock(lock);
		if (type) {
			type->put(right->obj);
			nr++;
		}
		cond_resched();
	}
}

/**
 * mbuf_right_reduce() - take some rights away
 * @right: which; nobody else can find it any more, but who just has may look
 * @rights: MBUF_RIGHT_* that it shall keep; 0: all
 *
 * Return: 0, or -EINVAL: more than it has.
 */
int mbuf_right_reduce(struct mbuf_right *right, u32 rights)
{
	if (rights & ~right->rights)
		return -EINVAL;
	spin_lock(right_lock(right));
	if (rights)
		right->rights = rights;
	spin_unlock(right_lock(right));
	return 0;
}

/*
 * Who owns whom. Changed only when something that owns is moved, so one lock
 * for all does no harm, and makes looking and moving one step.
 */
DEFINE_MUTEX(mbuf_nest_mutex);

/**
 * mbuf_nest_check() - may one object be contained in another?
 * @child: the one
 * @parent: the other
 *
 * Context: with mbuf_nest_mutex held.
 * Return: 0, or -ELOOP if @parent is contained in @child, or in too many.
 */
int mbuf_nest_check(const struct mbuf_nest *child,
		    const struct mbuf_nest *parent)
{
	unsigned int depth;

	for (depth = 0; parent; parent = parent->parent, depth++)
		if (parent == child || depth == MBUF_NEST_MAX)
			return -ELOOP;
	return 0;
}

/**
 * mbuf_nest_set() - one object is contained in another
 * @child: the one
 * @parent: the other, or NULL; lives at least as long as this is so
 *
 * Context: with mbuf_nest_mutex held.
 */
void mbuf_nest_set(struct mbuf_nest *child, struct mbuf_nest *parent)
{
	child->parent = parent;
	atomic64_set(&child->parent_id, parent ? parent->id : 0);
}

/**
 * mbuf_nest_move() - mbuf_nest_set() by itself
 * @child: as there
 * @parent: as there; known to make no loop
 *
 * Context: may sleep.
 */
void mbuf_nest_move(struct mbuf_nest *child, struct mbuf_nest *parent)
{
	mutex_lock(&mbuf_nest_mutex);
	mbuf_nest_set(child, parent);
	mutex_unlock(&mbuf_nest_mutex);
}
