/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Keys and sealed messages.
 *
 * A key is nothing but an identity. A sealed message has payload and
 * capabilities, none of which is unique, and refers to the key that it was
 * sealed with. It never changes: there is nothing that a holder could do with
 * it but to hold it. Unsealing compares keys, and gives out copies.
 *
 * Lifetime. Both are reference counted; who seals pays until the last reference
 * to the sealed message has gone. As what is in a sealed message was there
 * before it, none can be in itself.
 *
 * Locking: none, as nothing changes.
 */
#ifndef _MBUF_KEY_H
#define _MBUF_KEY_H

#include <linux/types.h>
#include "table.h"

long mbuf_key_ioctl(struct mbuf_table *root, unsigned int nr, void __user *arg,
		    size_t size);

#endif /* _MBUF_KEY_H */
