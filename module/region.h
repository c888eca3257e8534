/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Region: memory that is shared, and rights to it.
 *
 * The memory is a file of shmem, of fixed size: sealed before anybody else gets
 * to know it. Who may read and write it gets such a file itself, a memfd. Any
 * other right is a file of ours that refers to it, a struct mbuf_region, which
 * can do nothing but be mapped: its mapping gets the memory's file in place of
 * ours.
 *
 * Why not a memfd that is opened read-only: whoever has one can open it again
 * for writing by way of /proc, as the mode of its inode allows, and udmabuf asks
 * for no write permission at all. Our files cannot be opened again, are no
 * memfds, and as they are not open for writing a mapping of them never becomes
 * writable (VM_MAYWRITE). The memory's file is out of reach: a mapping shows
 * it only in /proc/PID/map_files, where it takes a privilege in the initial
 * namespace to open it.
 *
 * Why a solid region is no memfd for anybody: a memfd's holder can punch holes.
 * Through a mapping madvise(MADV_REMOVE) does the same, unless the file is sealed
 * against future writing. That seal does not stop mappings which are writable
 * already, and so not ours: see mbuf_region_mmap().
 *
 * Lifetime: a file of shmem lives by itself. A struct mbuf_region is part of
 * its file; it shares a struct mbuf_memory with those granted from it.
 */
#ifndef _MBUF_REGION_H
#define _MBUF_REGION_H

#include <linux/fs.h>
#include <linux/types.h>
#include "object.h"
#include "quota.h"

struct mem_cgroup;

#define MBUF_REGION_RIGHTS	(MBUF_REGION_READ | MBUF_REGION_WRITE)

struct file *mbuf_memory_new(u64 size, bool solid, struct mem_cgroup *memcg);
int mbuf_memory_check(struct file *file, u32 has, u32 gives, u64 *size);

int mbuf_region_prepare(struct mbuf_fd *fd, struct file *memory, bool solid,
			u32 rights, struct mbuf_account *payer);
bool mbuf_region_is(const struct file *file);
u64 mbuf_region_id(const struct file *file);
int mbuf_region_grant(struct mbuf_fd *fd, struct file *from, u32 rights,
		      struct mbuf_account *payer);
int mbuf_region_check(struct file *file, const u32 rights[2], bool solid,
		      u64 *size);
int mbuf_region_derive(struct mbuf_fd *fd, struct file *from, bool solid,
		       u32 rights, struct mbuf_account *payer);

#endif /* _MBUF_REGION_H */
