/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rights: what handles and messages hold.
 *
 * A struct mbuf_right is a reference to an object, the rights that come with
 * it, and its place in a tree: it was derived from its parent, and others were
 * derived from it. It belongs to one holder, a table or a message on its way,
 * and moves between these as a pointer.
 *
 * States. A right is alive until it is revoked or killed. One that is revoked
 * refers to nothing any more, but stays with its holder, so that whoever uses
 * it is told. One that is killed is no longer with its holder, and is freed
 * after a grace period.
 *
 * Revoking a right revokes all below it. They are first made its own children,
 * one at a time, and then revoked one at a time: so no step takes long, however
 * many there are, and each is moved once. What is revoked cannot be copied, so
 * this ends even while holders go on copying: each copy costs them a handle,
 * which is charged until they delete it.
 *
 * Some types of rights are unique: they own their object (it has another end
 * than its last reference), and are moved but never derived from.
 *
 * Locking. All rights to one object are protected by one spinlock, out of a few
 * that all objects share. Below it are no others; references to objects are
 * taken under it, and dropped outside of it. Who looks up a right in a table
 * does so under RCU.
 */
#ifndef _MBUF_RIGHT_H
#define _MBUF_RIGHT_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <uapi/linux/mbuf.h>

struct mbuf_nest;

/**
 * struct mbuf_right_type - what a right refers to
 * @nr: enum mbuf_cap_type
 * @all: MBUF_RIGHT_* that there can be
 * @get: take a reference to the object, from one that is held. In any context
 * @put: drop one; may sleep
 * @id: the object's identity. In any context, also with a spinlock held
 * @derived: what a right is that is derived; NULL: unique, it cannot be
 * @end: unique: the owner goes; called before @put. May be NULL; may sleep
 * @info: fill in what HANDLE_INFO tells besides, or NULL
 * @nest: unique: where the object is in who owns whom; NULL: nowhere
 */
struct mbuf_right_type {
	u32 nr;
	u32 all;
	void (*get)(void *obj);
	void (*put)(void *obj);
	u64 (*id)(void *obj);
	const struct mbuf_right_type *derived;
	void (*end)(void *obj);
	void (*info)(void *obj, struct mbuf_handle_info *info);
	struct mbuf_nest *(*nest)(void *obj);
};

/**
 * struct mbuf_right - a right
 * @type: what it is; NULL: revoked, or killed
 * @obj: the object; holds a reference while @type
 * @rights: MBUF_RIGHT_*; constant while anybody can find it
 * @parent: what it was derived from, or NULL
 * @children: what was derived from it
 * @sibling: in @parent's children
 * @rcu: to be freed
 */
struct mbuf_right {
	const struct mbuf_right_type *type;
	void *obj;
	u32 rights;
	struct mbuf_right *parent;
	struct list_head children;
	union {
		struct list_head sibling;
		struct rcu_head rcu;
	};
};

/**
 * struct mbuf_use - a right that is being used
 * @type: what it is
 * @obj: the object; holds a reference
 * @rights: MBUF_RIGHT_*
 */
struct mbuf_use {
	const struct mbuf_right_type *type;
	void *obj;
	u32 rights;
};

/**
 * struct mbuf_right_told - what there is to say of a right
 * @type: enum mbuf_cap_type
 * @rights: MBUF_RIGHT_*; 0 if it has been revoked
 * @id: the object's identity; 0 if it has none, or the right has been revoked
 */
struct mbuf_right_told {
	u32 type;
	u32 rights;
	u64 id;
};

void mbuf_right_init(struct mbuf_right *right,
		     const struct mbuf_right_type *type, void *obj, u32 rights);
struct mbuf_right *mbuf_right_new(const struct mbuf_right_type *type, void *obj,
				  u32 rights);
struct mbuf_right *mbuf_right_alloc(void);
void mbuf_right_free(struct mbuf_right *blank);
int mbuf_right_derive(struct mbuf_right *right, struct mbuf_right *from,
		      u32 rights);
int mbuf_right_clone(struct mbuf_right *right, struct mbuf_right *from);
int mbuf_right_use(struct mbuf_right *right, struct mbuf_use *use);
void mbuf_use_end(struct mbuf_use *use);
void mbuf_right_tell(struct mbuf_right *right, struct mbuf_right_told *told);
void mbuf_right_kill(struct mbuf_right *right);
void *mbuf_right_detach(struct mbuf_right *right,
			const struct mbuf_right_type **type);
unsigned long mbuf_right_revoke(struct mbuf_right *right);
int mbuf_right_reduce(struct mbuf_right *right, u32 rights);

/**
 * struct mbuf_nest - an object that owns others, or is owned
 * @parent: what contains the right that owns this; NULL if it is contained in
 *	nothing, but held by a process
 * @id: the object's identity; constant
 * @parent_id: that of @parent, or 0; for who looks on without the lock
 */
struct mbuf_nest {
	struct mbuf_nest *parent;
	u64 id;
	atomic64_t parent_id;
};

#define MBUF_NEST_MAX	16

/* Held to look at who owns whom, and to change it. */
extern struct mutex mbuf_nest_mutex;

/**
 * mbuf_nest_parent_id() - what contains an object?
 * @nest: the object's, alive
 *
 * Context: any.
 * Return: the identity, or 0: nothing.
 */
static inline u64 mbuf_nest_parent_id(const struct mbuf_nest *nest)
{
	return atomic64_read(&nest->parent_id);
}

int mbuf_nest_check(const struct mbuf_nest *child,
		    const struct mbuf_nest *parent);
void mbuf_nest_set(struct mbuf_nest *child, struct mbuf_nest *parent);
void mbuf_nest_move(struct mbuf_nest *child, struct mbuf_nest *parent);

#endif /* _MBUF_RIGHT_H */
