/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Capabilities in messages: what is with a message while it is on its way.
 *
 * Each is a file, that of a descriptor, or a right, that of a handle. They are
 * charged to the sender until they have been installed at a receiver or have
 * been dropped.
 *
 * What nobody received is dropped by a worker: closing a file can take as long
 * as its owner likes, and neither a receiver nor whoever closes a queue shall
 * wait for that.
 *
 * Locking: none. They belong to a message, and that to who holds it.
 */
#ifndef _MBUF_CAPS_H
#define _MBUF_CAPS_H

#include <linux/file.h>
#include <linux/types.h>
#include "quota.h"
#include "right.h"

/* The most that one message can carry. */
#define MBUF_CAPS_MAX	64

/**
 * struct mbuf_cap_slot - one of them; either @file or @right, or nothing
 * @file: that of a descriptor; holds a reference
 * @right: that of a handle
 */
struct mbuf_cap_slot {
	struct file *file;
	struct mbuf_right *right;
};

/**
 * struct mbuf_caps - those of one message
 * @chore: to be dropped
 * @payer: who is charged; holds a reference
 * @nr: how many
 * @slot: which
 */
struct mbuf_caps {
	struct mbuf_chore chore;
	struct mbuf_account *payer;
	u32 nr;
	struct mbuf_cap_slot slot[];
};

struct mbuf_caps *mbuf_caps_new(u32 nr);
void mbuf_caps_free(struct mbuf_caps *caps);
void mbuf_caps_drop(struct mbuf_caps *caps);
int mbuf_caps_nest(struct mbuf_caps *caps, struct mbuf_nest *parent);
void mbuf_caps_nest_back(struct mbuf_caps *caps, struct mbuf_nest *parent);
struct mbuf_caps *mbuf_caps_clone(const struct mbuf_caps *from);

void mbuf_file_put(struct file *file);

#endif /* _MBUF_CAPS_H */
