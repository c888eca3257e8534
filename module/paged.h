/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Paged region: memory whose pages come from a pager in user space, when
 * somebody touches them, and go back to it when it wants them back.
 *
 * The pages are ours: allocated as they are supplied, on no list of the memory
 * management, and each linked to an inode that only the region has, so that
 * what maps them can be found and undone (unmap_mapping_pages()). They are not
 * in the page cache and not shmem's, for three reasons. A page of those is also
 * referred to by per-CPU lists that a module cannot drain, so that taking it
 * back could not tell them from somebody who does I/O to it. Their faults
 * allocate what is missing, while here what is missing is the pager's to give.
 * And they may be part of a huge page, of which one cannot be taken out. The
 * price is that the kernel cannot swap: the pager is who does that. So its
 * pages are charged to the user who made the region, and its memory cgroup.
 *
 * Descriptors: one for the pager, and rights for clients, which are like a
 * struct mbuf_region, and can be granted and offered likewise. A mapping's file
 * is the right itself. So mappings keep the region, and the module.
 *
 * Locking: the lock of @pages protects the region. It nests inside of a
 * folio's lock; what is locked under it is only tried.
 *
 * Whether a page may be mapped is decided with the folio locked, and the folio
 * stays locked until it is mapped. So who changes what decides, under the
 * region's lock, and then locks and unlocks the folio, knows that nobody maps
 * it on the ground of how it was before: then it unmaps.
 *
 * Waiting for the pager can take for ever. So nobody waits with a lock held:
 * not the one of the address space either, as others need that to look at it.
 * Who has given that up cannot fail, but has to try again, and is told then that
 * it was refused.
 */
#ifndef _MBUF_PAGED_H
#define _MBUF_PAGED_H

#include <linux/fs.h>
#include <linux/types.h>
#include "object.h"
#include "quota.h"

long mbuf_paged_create(struct mbuf_account *payer, void __user *arg,
		       size_t size);

bool mbuf_paged_is(const struct file *file);
u64 mbuf_paged_id(const struct file *file);
u32 mbuf_paged_rights(const struct file *file);
u64 mbuf_paged_size(const struct file *file);
int mbuf_paged_grant(struct mbuf_fd *fd, struct file *from, u32 rights,
		     struct mbuf_account *payer);

#endif /* _MBUF_PAGED_H */
