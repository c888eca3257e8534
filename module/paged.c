// SPDX-License-Identifier: GPL-2.0
#include <linux/file.h>
#include <linux/fs_context.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include "compat.h"
#include "paged_priv.h"
#include "region.h"

/* Sizes of the first version of each struct. */
#define CREATE_SIZE_V0	64
#define INFO_SIZE_V0	32

/* Of the file system that the inodes belong to, which nobody sees. */
#define PAGED_MAGIC	0x6d627566

/**
 * struct paged_right - what a client's file refers to
 * @paged: the region; holds a reference
 * @payer: who is charged for this; holds a reference
 * @rights: MBUF_REGION_*
 * @node: its place in the registry
 */
struct paged_right {
	struct mbuf_paged *paged;
	struct mbuf_account *payer;
	u32 rights;
	struct mbuf_node node;
};

static const struct mbuf_charge right_charge = {
	.n = {
		[MBUF_RES_OBJECTS] = 1,
		[MBUF_RES_MEMORY] = sizeof(struct paged_right),
	},
};

static const struct mbuf_charge paged_charge = {
	.n = {
		[MBUF_RES_OBJECTS] = 1,
		[MBUF_RES_MEMORY] = sizeof(struct mbuf_paged),
	},
};

static const struct file_operations right_fops;

/* Inodes of our own, as DRM has them */

static int paged_fs_init(struct fs_context *fc)
{
	return init_pseudo(fc, PAGED_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type paged_fs = {
	.name			= "mbuf_paged",
	.owner			= THIS_MODULE,
	.init_fs_context	= paged_fs_init,
	.kill_sb		= kill_anon_super,
};

static struct vfsmount *paged_mount;
static int paged_mounted;

/* What is written to stays dirty until the pager says otherwise. */
static const struct address_space_operations paged_aops = {
	.dirty_folio	= noop_dirty_folio,
};

static struct inode *paged_inode_new(void)
{
	struct inode *inode;
	int err;

	err = simple_pin_fs(&paged_fs, &paged_mount, &paged_mounted);
	if (err)
		return ERR_PTR(err);
	inode = alloc_anon_inode(paged_mount->mnt_sb);
	if (IS_ERR(inode))
		simple_release_fs(&paged_mount, &paged_mounted);
	else
		inode->i_mapping->a_ops = &paged_aops;
	return inode;
}

static void paged_inode_put(struct inode *inode)
{
	iput(inode);
	simple_release_fs(&paged_mount, &paged_mounted);
}

/* As they are seen from outside */

/**
 * mbuf_paged_tell() - what PAGED_INFO tells of a region
 * @p: the region
 * @info: result; but for what depends on who asks
 *
 * Context: not under the region's lock.
 */
void mbuf_paged_tell(struct mbuf_paged *p, struct mbuf_paged_info *info)
{
	xa_lock(&p->pages);
	*info = (struct mbuf_paged_info) {
		.id = p->id,
		.size = (u64)p->nr << PAGE_SHIFT,
		.resident = p->resident,
		.waiting = p->waiting,
		.faults = p->nr_faults,
		.supplied = p->nr_supplied,
		.evicted = p->nr_evicted,
		.refused = p->nr_refused,
		.clients = p->clients,
	};
	xa_unlock(&p->pages);
}

static struct mbuf_paged *paged_of_node(const struct mbuf_node *node)
{
	return container_of(node, struct mbuf_paged, node);
}

static u64 paged_id(const struct mbuf_node *node)
{
	return paged_of_node(node)->id;
}

static int paged_describe(void *object, struct sk_buff *skb,
			  const struct mbuf_reader *reader)
{
	struct mbuf_paged *p = paged_of_node(object);
	struct mbuf_paged_info info;
	bool orphan;
	u64 slow;

	mbuf_paged_tell(p, &info);
	xa_lock(&p->pages);
	orphan = p->dead;
	slow = mbuf_paged_slow(p);
	xa_unlock(&p->pages);
	if (nla_put_u64_64bit(skb, MBUF_A_PAGED_SIZE, info.size,
			      MBUF_A_PAGED_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_PAGED_RESIDENT, info.resident,
			      MBUF_A_PAGED_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_PAGED_WAITING, info.waiting,
			      MBUF_A_PAGED_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_PAGED_FAULTS, info.faults,
			      MBUF_A_PAGED_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_PAGED_SUPPLIED, info.supplied,
			      MBUF_A_PAGED_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_PAGED_EVICTED, info.evicted,
			      MBUF_A_PAGED_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_PAGED_REFUSED, info.refused,
			      MBUF_A_PAGED_PAD) ||
	    nla_put_u32(skb, MBUF_A_PAGED_CLIENTS, info.clients) ||
	    (orphan && nla_put_flag(skb, MBUF_A_PAGED_ORPHAN)) ||
	    nla_put_u64_64bit(skb, MBUF_A_PAGED_SLOW, slow, MBUF_A_PAGED_PAD))
		return -EMSGSIZE;
	return 0;
}

static const struct mbuf_kind paged_kind = {
	.type		= MBUF_OBJECT_TYPE_PAGED,
	.attr		= MBUF_A_OBJECT_PAGED,
	.id		= paged_id,
	.describe	= paged_describe,
};

static struct paged_right *right_of_node(const struct mbuf_node *node)
{
	return container_of(node, struct paged_right, node);
}

static u64 right_id(const struct mbuf_node *node)
{
	return right_of_node(node)->paged->id;
}

static int right_describe(void *object, struct sk_buff *skb,
			  const struct mbuf_reader *reader)
{
	const struct paged_right *r = right_of_node(object);

	if (nla_put_u64_64bit(skb, MBUF_A_REGION_SIZE,
			      (u64)r->paged->nr << PAGE_SHIFT,
			      MBUF_A_REGION_PAD) ||
	    nla_put_u32(skb, MBUF_A_REGION_RIGHTS, r->rights) ||
	    nla_put_u32(skb, MBUF_A_REGION_OPTIONS, MBUF_REGION_PAGED))
		return -EMSGSIZE;
	return 0;
}

static const struct mbuf_kind right_kind = {
	.type		= MBUF_OBJECT_TYPE_REGION,
	.attr		= MBUF_A_OBJECT_REGION,
	.id		= right_id,
	.describe	= right_describe,
};

/* The region */

static struct mbuf_paged *paged_new(struct mbuf_account *payer, pgoff_t nr)
{
	struct mbuf_paged *p;
	int err;

	err = mbuf_charge(payer, &paged_charge);
	if (err)
		return ERR_PTR(err);
	err = -ENOMEM;
	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		goto uncharge;
	p->inode = paged_inode_new();
	if (IS_ERR(p->inode)) {
		err = PTR_ERR(p->inode);
		goto free;
	}
	xa_init_flags(&p->pages, XA_FLAGS_ACCOUNT);
	refcount_set(&p->ref, 1);
	mbuf_account_hold(payer);
	p->payer = payer;
	p->id = mbuf_object_id();
	p->nr = nr;
	p->faults = RB_ROOT;
	INIT_LIST_HEAD(&p->fresh);
	init_waitqueue_head(&p->bell);
	return p;

free:
	kfree(p);
uncharge:
	mbuf_uncharge(payer, &paged_charge);
	return ERR_PTR(err);
}

/**
 * mbuf_paged_put() - drop a reference
 * @p: the region
 *
 * Context: process context, no locks held.
 */
void mbuf_paged_put(struct mbuf_paged *p)
{
	struct mbuf_charge charge = paged_charge;
	unsigned long index;
	struct folio *folio;

	if (!refcount_dec_and_test(&p->ref))
		return;
	mbuf_node_unlink(&p->node);
	/* No mapping is left, but there may be I/O yet. */
	xa_for_each(&p->pages, index, folio) {
		paged_drop(folio);
		cond_resched();
	}
	xa_destroy(&p->pages);
	charge.n[MBUF_RES_MEMORY] += p->resident * PAGE_SIZE;
	mbuf_uncharge(p->payer, &charge);
	mbuf_account_put(p->payer);
	paged_inode_put(p->inode);
	kfree(p);
}

/* Rights to it */

/**
 * mbuf_paged_is() - is this file a right to a paged region?
 * @file: the file
 */
bool mbuf_paged_is(const struct file *file)
{
	return file->f_op == &right_fops;
}

/**
 * mbuf_paged_id() - the identity of a paged region
 * @file: any
 *
 * Return: that, if @file is a right to one or its pager; or 0.
 */
u64 mbuf_paged_id(const struct file *file)
{
	const struct mbuf_paged *pager = file->private_data;

	if (mbuf_paged_is(file))
		return mbuf_paged_of(file)->id;
	return file->f_op == &mbuf_pager_fops ? pager->id : 0;
}

/**
 * mbuf_paged_of() - the region
 * @file: a right to it
 */
struct mbuf_paged *mbuf_paged_of(const struct file *file)
{
	struct paged_right *r = file->private_data;

	return r->paged;
}

/**
 * mbuf_paged_rights() - what a right allows
 * @file: the right
 *
 * Return: MBUF_REGION_*.
 */
u32 mbuf_paged_rights(const struct file *file)
{
	struct paged_right *r = file->private_data;

	return r->rights;
}

/**
 * mbuf_paged_size() - the size of a paged region
 * @file: a right to it
 *
 * Return: bytes.
 */
u64 mbuf_paged_size(const struct file *file)
{
	return (u64)mbuf_paged_of(file)->nr << PAGE_SHIFT;
}

static int right_prepare(struct mbuf_fd *fd, struct mbuf_paged *p, u32 rights,
			 struct mbuf_account *payer)
{
	struct paged_right *r;
	int err;

	err = mbuf_charge(payer, &right_charge);
	if (err)
		return err;
	err = -ENOMEM;
	r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		goto uncharge;
	err = mbuf_fd_prepare(fd, "[mbuf-paged]", &right_fops, r,
			      rights & MBUF_REGION_WRITE ? O_RDWR : O_RDONLY);
	if (err)
		goto free;
	fd->file->f_mapping = p->inode->i_mapping;
	refcount_inc(&p->ref);
	mbuf_account_hold(payer);
	r->paged = p;
	r->payer = payer;
	r->rights = rights;
	xa_lock(&p->pages);
	p->clients++;
	xa_unlock(&p->pages);
	mbuf_node_link(&r->node, &right_kind, payer, NULL);
	return 0;

free:
	kfree(r);
uncharge:
	mbuf_uncharge(payer, &right_charge);
	return err;
}

/**
 * mbuf_paged_grant() - derive a right with other rights
 * @fd: the descriptor, to be installed or aborted
 * @from: a right to a paged region, that the caller has
 * @rights: MBUF_REGION_READ, or with MBUF_REGION_WRITE
 * @payer: who is charged
 *
 * Context: process context, may sleep.
 * Return: 0, -EPERM, -EDQUOT, -ENOMEM, -EMFILE, -ENFILE.
 */
int mbuf_paged_grant(struct mbuf_fd *fd, struct file *from, u32 rights,
		     struct mbuf_account *payer)
{
	if (rights & ~mbuf_paged_rights(from))
		return -EPERM;
	return right_prepare(fd, mbuf_paged_of(from), rights, payer);
}

static int right_release(struct inode *inode, struct file *file)
{
	struct paged_right *r = file->private_data;
	struct mbuf_paged *p = r->paged;
	bool last;

	mbuf_node_unlink(&r->node);
	xa_lock(&p->pages);
	last = !--p->clients;
	xa_unlock(&p->pages);
	if (last)
		wake_up_all(&p->bell);
	mbuf_paged_put(p);
	mbuf_uncharge(r->payer, &right_charge);
	mbuf_account_put(r->payer);
	kfree(r);
	return 0;
}

static int right_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	/*
	 * Not to grow: nor, as it is special then, to be locked, which would
	 * refer to pages in a way that we could not tell from I/O, nor to
	 * become huge pages. A dump would fetch all of it from the pager.
	 * Mixed, as vm_insert_pages() in a fault wants it; see map_around().
	 */
	mbuf_vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP | VM_MIXEDMAP,
			  VM_MAYEXEC);
	vma->vm_ops = &mbuf_paged_vm_ops;
	return 0;
}

static long right_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct mbuf_region_info info;
	size_t size = _IOC_SIZE(cmd);
	int err;

	BUILD_BUG_ON(sizeof(info) != INFO_SIZE_V0);

	if (!mbuf_ioctl_known(cmd) ||
	    _IOC_NR(cmd) != _IOC_NR(MBUF_IOC_REGION_INFO))
		return -ENOTTY;
	err = mbuf_ioctl_get(&info, sizeof(info), INFO_SIZE_V0,
			     (void __user *)arg, size);
	if (err)
		return err;
	if (info.target)
		return -EOPNOTSUPP;
	memset(&info, 0, sizeof(info));
	info.id = mbuf_paged_of(file)->id;
	info.size = mbuf_paged_size(file);
	info.rights = mbuf_paged_rights(file);
	info.options = MBUF_REGION_PAGED;
	return mbuf_ioctl_put((void __user *)arg, size, &info, sizeof(info));
}

static void right_show_fdinfo(struct seq_file *m, struct file *file)
{
	seq_puts(m, "mbuf-type:\tpaged\n");
	seq_printf(m, "mbuf-id:\t%016llx\n", mbuf_paged_of(file)->id);
	seq_printf(m, "mbuf-size:\t%llu\n", mbuf_paged_size(file));
	seq_printf(m, "mbuf-rights:\t%x\n", mbuf_paged_rights(file));
	seq_printf(m, "mbuf-orphan:\t%d\n",
		   READ_ONCE(mbuf_paged_of(file)->dead));
}

static const struct file_operations right_fops = {
	.owner			= THIS_MODULE,
	.release		= right_release,
	.mmap			= right_mmap,
	.unlocked_ioctl		= right_ioctl,
	.compat_ioctl		= compat_ptr_ioctl,
	/* What was written is there: msync() has nothing to do. */
	.fsync			= noop_fsync,
	.show_fdinfo		= right_show_fdinfo,
};

/**
 * mbuf_paged_create() - PAGED_CREATE
 * @payer: who is charged
 * @arg: struct mbuf_paged_create
 * @size: its size as the command says
 *
 * Context: process context, may sleep.
 * Return: 0 or an error.
 */
long mbuf_paged_create(struct mbuf_account *payer, void __user *arg,
		       size_t size)
{
	struct mbuf_fd pager, region;
	struct mbuf_paged_create c;
	struct mbuf_paged *p;
	int err;

	BUILD_BUG_ON(sizeof(c) != CREATE_SIZE_V0);

	err = mbuf_ioctl_get(&c, sizeof(c), CREATE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (c.target)
		return -EOPNOTSUPP;
	if (c.flags || c.resv || c.pager.flags || c.pager.handle ||
	    c.region.flags || c.region.handle || !c.size ||
	    c.size & ~PAGE_MASK || c.size > MAX_LFS_FILESIZE)
		return -EINVAL;

	p = paged_new(payer, c.size >> PAGE_SHIFT);
	if (IS_ERR(p))
		return PTR_ERR(p);
	err = mbuf_fd_prepare(&pager, "[mbuf-pager]", &mbuf_pager_fops, p,
			      O_RDWR);
	if (err) {
		mbuf_paged_put(p);
		return err;
	}
	/* From here on @pager has the reference. */
	mbuf_node_link(&p->node, &paged_kind, payer, NULL);
	err = right_prepare(&region, p, MBUF_REGION_RIGHTS, payer);
	if (err)
		goto abort_pager;
	c.pager.fd = pager.fd;
	c.region.fd = region.fd;
	c.id = p->id;
	err = mbuf_ioctl_put(arg, size, &c, sizeof(c));
	if (err)
		goto abort_region;
	mbuf_fd_install(&pager);
	mbuf_fd_install(&region);
	return 0;

abort_region:
	mbuf_fd_abort(&region);
abort_pager:
	mbuf_fd_abort(&pager);
	return err;
}
