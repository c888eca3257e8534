// SPDX-License-Identifier: GPL-2.0
/*
 * An endpoint's slot as seen by user space without a call: one page, which the
 * kernel writes and user space maps read-only.
 *
 * The page is no part of the endpoint: a mapping would keep the endpoint's file
 * open, and the peer would never hear of its end. So mmap() gives the mapping
 * a file of its own, which has nothing but a reference to the page.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/mm.h>
#include "channel_priv.h"
#include "compat.h"

/**
 * mbuf_end_map_update() - show what there is now
 * @end: an endpoint with a page
 *
 * Context: under the lock, so there is one writer at a time, and it is not
 * interrupted.
 */
void mbuf_end_map_update(struct mbuf_endpoint *end)
{
	struct mbuf_slot_map *map = page_address(end->map);
	u32 state = mbuf_end_state(mbuf_end_channel(end), end->side);
	u32 version = map->version;

	BUILD_BUG_ON(sizeof(*map) != 64);

	/* Odd. Readers have the page read-only: it can be believed. */
	WRITE_ONCE(map->version, version + 1);
	smp_wmb();	/* before what it is about */
	/* The mapping may be all that is left. */
	if (state & MBUF_END_DEAD)
		state |= MBUF_END_CLOSED;
	WRITE_ONCE(map->state, state);
	WRITE_ONCE(map->seq, end->seq);
	WRITE_ONCE(map->signals, end->signals);
	mbuf_slot_copy((u64 *)map->data, end->slot);
	smp_wmb();	/* after it */
	WRITE_ONCE(map->version, version + 2);
}

static int map_release(struct inode *inode, struct file *file)
{
	put_page(file->private_data);
	return 0;
}

static const struct file_operations map_fops = {
	.owner		= THIS_MODULE,
	.release	= map_release,
};

static vm_fault_t map_fault(struct vm_fault *vmf)
{
	struct page *page = vmf->vma->vm_file->private_data;

	if (vmf->pgoff)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct map_vm_ops = {
	.fault = map_fault,
};

/**
 * mbuf_end_mmap() - map the slot of an endpoint
 * @file: the endpoint
 * @vma: where to
 *
 * Return: 0, -ENODEV if it was made without a page or is closed, -EINVAL,
 * -EPERM, -ENOMEM, -ENFILE.
 */
int mbuf_end_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct file *inert;
	struct page *page;

	if (end->bond && !mbuf_bond_mine(end->bond))
		return -EPERM;
	if (!(end->flags & MBUF_END_MAP))
		return -ENODEV;
	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EPERM;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff ||
	    vma->vm_end - vma->vm_start != PAGE_SIZE)
		return -EINVAL;

	raw_spin_lock_irq(&c->lock);
	page = end->map;
	if (page)
		get_page(page);
	raw_spin_unlock_irq(&c->lock);
	if (!page)
		return -ENODEV;
	inert = anon_inode_getfile("[mbuf-slot]", &map_fops, page, O_RDONLY);
	if (IS_ERR(inert)) {
		put_page(page);
		return PTR_ERR(inert);
	}
	vma_set_file(vma, inert);
	fput(inert);
	mbuf_vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP,
			  VM_MAYWRITE | VM_MAYEXEC);
	vma->vm_ops = &map_vm_ops;
	return 0;
}
