/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Table: a space of handles, each of which is a right.
 *
 * Each session has a root table, which is in no other. Any other table has an
 * owner, a right of the type MBUF_CAP_TABLE, which is in a table; and there can
 * be references to it, rights of the type MBUF_CAP_TABLE_REF. When the owner
 * goes, the table is dead: all that is in it goes at once, and nothing can be
 * put in any more; a reference keeps only the header.
 *
 * An entry is a right, or it is taken: its right is being moved by somebody who
 * will either put it back or release the entry. So moving needs no memory when
 * it is too late to fail.
 *
 * Tables of tables are dead all at once, by a loop, however deep they are.
 *
 * Locking. A mutex, held by who changes the table, under which no other object's
 * lock is taken. Looking up is done under RCU alone.
 *
 * Lifetime. References: that of the owner, and one for each right that refers
 * to it and for who uses it at the moment.
 */
#ifndef _MBUF_TABLE_H
#define _MBUF_TABLE_H

#include <linux/fs.h>
#include <linux/types.h>
#include "quota.h"
#include "right.h"

/* The most indices in a path. */
#define MBUF_PATH_MAX	16

struct mbuf_table;

/**
 * struct mbuf_place - where a handle is, or shall be
 * @table: the table; holds a reference
 * @index: the index, 0: not chosen yet
 * @rights: what the path leaves of MBUF_RIGHT_LOOKUP and MBUF_RIGHT_MODIFY
 */
struct mbuf_place {
	struct mbuf_table *table;
	u32 index;
	u32 rights;
};

struct mbuf_table *mbuf_table_new(struct mbuf_account *payer, bool root);
void mbuf_table_show(struct mbuf_table *t);
void mbuf_table_get(struct mbuf_table *t);
void mbuf_table_put(struct mbuf_table *t);
void mbuf_table_end(struct mbuf_table *t);
unsigned long mbuf_table_handles(const struct mbuf_table *t);
unsigned int mbuf_table_changes(const struct mbuf_table *t);
u64 mbuf_table_id(const struct mbuf_table *t);
struct mbuf_account *mbuf_table_payer(const struct mbuf_table *t);
struct mbuf_nest *mbuf_table_nest(struct mbuf_table *t);

int mbuf_table_find(struct mbuf_table *root, u64 handle,
		    struct mbuf_place *place);
int mbuf_table_find_table(struct mbuf_table *root, u64 handle, u32 need,
			  u64 index, struct mbuf_place *place);
void mbuf_place_put(struct mbuf_place *place);

int mbuf_place_use(const struct mbuf_place *place, struct mbuf_use *use);
int mbuf_table_use(struct mbuf_table *root, u64 handle, struct mbuf_use *use);
int mbuf_place_derive(const struct mbuf_place *place, u32 rights, u32 need,
		      struct mbuf_right **right);

int mbuf_place_reserve(struct mbuf_place *place);
int mbuf_place_fill(const struct mbuf_place *place, struct mbuf_right *right);
void mbuf_place_release(const struct mbuf_place *place);
long mbuf_place_revoke(const struct mbuf_place *place);
int mbuf_place_next(const struct mbuf_place *place, u64 start, u64 *index,
		    struct mbuf_use *use);
bool mbuf_table_tell(struct mbuf_table *t, u32 start, u32 *index,
		     struct mbuf_right_told *told);
struct mbuf_right *mbuf_place_take(const struct mbuf_place *place, u32 need);

int mbuf_handle_new(struct mbuf_table *root, u64 table, u64 *index,
		    struct mbuf_right *right, void __user *arg, size_t size,
		    const void *k, size_t ksize);
long mbuf_table_ioctl(struct mbuf_table *root, unsigned int nr,
		      void __user *arg, size_t size);

extern const struct mbuf_right_type mbuf_table_type;
extern const struct mbuf_right_type mbuf_table_ref_type;

#endif /* _MBUF_TABLE_H */
