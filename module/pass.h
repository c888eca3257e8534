/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Passing capabilities: from what a sender names to what goes with a message,
 * and from there to what a receiver gets.
 *
 * What may be passed. A file in a queue lives as long as the queue, and a queue
 * as long as its receive right. So that no file can keep itself alive, those
 * are refused that could lead, by other files that they hold, to the receive
 * right of a queue or to a session, in whose tables there may be one: see
 * mbuf_pass_check(). The receive right itself can be passed as a handle, which
 * has one place at a time, so that a loop is found by looking.
 *
 * Sending. mbuf_pass_load() resolves everything before anything is sent: files
 * are looked up, rights derived, or taken out of their tables, in which their
 * places stay reserved. Then the message is sent; mbuf_pass_commit() releases
 * the places, mbuf_pass_abort() puts back what was taken.
 *
 * Receiving. mbuf_pass_install() first makes sure that there is room for all,
 * in the table, among the descriptors, and in user memory, and only then
 * installs one after the other, as what is installed cannot be taken back.
 */
#ifndef _MBUF_PASS_H
#define _MBUF_PASS_H

#include <linux/fs.h>
#include <linux/types.h>
#include "caps.h"
#include "registry.h"
#include "table.h"

/**
 * struct mbuf_pass - what a sender names, or where a receiver wants them
 * @caps: the array
 * @nr: its length
 * @stride: bytes from one element to the next
 * @flags: receiving: MBUF_RECV_*
 * @root: table of handles; may be NULL
 * @node: of the object to which they go, or from which they come; may be NULL
 * @say_nr: receiving: where to write how many there are, or NULL
 * @said_nr: it has been written
 */
struct mbuf_pass {
	struct mbuf_cap __user *caps;
	u32 nr;
	u32 stride;
	u32 flags;
	struct mbuf_table *root;
	struct mbuf_node *node;
	u32 __user *say_nr;
	bool said_nr;
};

/**
 * struct mbuf_move - where a right was that has been taken out of a table
 * @place: where
 * @slot: what was taken
 * @had: the rights that it had there
 */
struct mbuf_move {
	struct mbuf_place place;
	struct mbuf_cap_slot *slot;
	u32 had;
};

/**
 * struct mbuf_moves - what mbuf_pass_load() has taken out of tables
 * @nr: how many
 * @move: which; NULL: none
 */
struct mbuf_moves {
	u32 nr;
	struct mbuf_move *move;
};

int mbuf_pass_init(struct mbuf_pass *pass, u64 caps, u32 nr, u32 stride);
struct mbuf_caps *mbuf_pass_load(const struct mbuf_pass *pass,
				 struct mbuf_moves *moves);
void mbuf_pass_commit(struct mbuf_moves *moves);
void mbuf_pass_abort(struct mbuf_caps *caps, struct mbuf_moves *moves);
int mbuf_pass_room(const struct mbuf_pass *pass, const struct mbuf_caps *caps);
int mbuf_pass_look(struct mbuf_pass *pass, const struct mbuf_caps *caps);
int mbuf_pass_install(struct mbuf_pass *pass, struct mbuf_caps *caps);

int mbuf_pass_check(struct file *file);
int mbuf_pass_to_fd(struct file *file);

extern const struct mbuf_right_type mbuf_file_type;

#endif /* _MBUF_PASS_H */
