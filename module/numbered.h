/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Things in the order in which they came, for who looks at them piece by piece.
 *
 * A number is given when a thing enters and is never given again, so "what has
 * a number from N on" is a place that stays where it is whatever comes and goes.
 * A tree instead of a list, as that finds such a place without having to keep
 * anything there; and it is part of the things, so that entering cannot fail.
 *
 * Locking: the user's.
 */
#ifndef _MBUF_NUMBERED_H
#define _MBUF_NUMBERED_H

#include <linux/rbtree.h>
#include <linux/types.h>

/**
 * struct mbuf_numbered - a thing's place
 * @rb: in the tree
 * @number: by which the tree is sorted; not 0 once it has entered
 */
struct mbuf_numbered {
	struct rb_node rb;
	u64 number;
};

/**
 * struct mbuf_numbers - all things of a kind
 * @root: the tree
 * @last: the last number that was given
 */
struct mbuf_numbers {
	struct rb_root root;
	u64 last;
};

/**
 * mbuf_numbered_enter() - give a thing the next number
 * @all: where it enters
 * @place: its place
 */
static inline void mbuf_numbered_enter(struct mbuf_numbers *all,
				       struct mbuf_numbered *place)
{
	struct rb_node **link = &all->root.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = &parent->rb_right;
	}
	place->number = ++all->last;
	rb_link_node(&place->rb, parent, link);
	rb_insert_color(&place->rb, &all->root);
}

/**
 * mbuf_numbered_leave() - the opposite
 * @all: where it is
 * @place: its place
 */
static inline void mbuf_numbered_leave(struct mbuf_numbers *all,
				       struct mbuf_numbered *place)
{
	rb_erase(&place->rb, &all->root);
}

/**
 * mbuf_numbered_from() - the first thing from a number on
 * @all: all things
 * @number: the number
 *
 * Return: its place, or NULL.
 */
static inline struct mbuf_numbered *
mbuf_numbered_from(const struct mbuf_numbers *all, u64 number)
{
	struct rb_node *rb = all->root.rb_node;
	struct mbuf_numbered *place, *found = NULL;

	while (rb) {
		place = rb_entry(rb, struct mbuf_numbered, rb);
		if (place->number >= number) {
			found = place;
			rb = rb->rb_left;
		} else {
			rb = rb->rb_right;
		}
	}
	return found;
}

/**
 * mbuf_numbered_next() - the thing that came after
 * @place: a place
 *
 * Return: the next, or NULL.
 */
static inline struct mbuf_numbered *
mbuf_numbered_next(const struct mbuf_numbered *place)
{
	struct rb_node *rb = rb_next(&place->rb);

	return rb ? rb_entry(rb, struct mbuf_numbered, rb) : NULL;
}

#endif /* _MBUF_NUMBERED_H */
