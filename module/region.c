// SPDX-License-Identifier: GPL-2.0
#include <linux/file.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include <uapi/linux/fcntl.h>
#include "compat.h"
#include "paged.h"
#include "region.h"
#include "registry.h"

/* Size of the first version of the struct. */
#define INFO_SIZE_V0	32

#define SEALS_SIZE	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

/**
 * struct mbuf_memory - what regions refer to
 * @file: the memory
 * @id: identity
 * @ref: one for each region
 */
struct mbuf_memory {
	struct file *file;
	u64 id;
	refcount_t ref;
};

/**
 * struct mbuf_region - a right to memory, other than having its file
 * @memory: the memory; holds a reference
 * @payer: who is charged for this; holds a reference
 * @rights: MBUF_REGION_*
 * @solid: pages cannot be given back
 * @node: its place in the registry
 */
struct mbuf_region {
	struct mbuf_memory *memory;
	struct mbuf_account *payer;
	u32 rights;
	bool solid;
	struct mbuf_node node;
};

static const struct mbuf_charge region_charge = {
	.n = {
		[MBUF_RES_OBJECTS] = 1,
		[MBUF_RES_MEMORY] = sizeof(struct mbuf_region) +
				    sizeof(struct mbuf_memory),
	},
};

static const struct file_operations region_fops;

/* Memory */

static void memory_seal(struct inode *inode, unsigned int seals)
{
	inode_lock(inode);
	SHMEM_I(inode)->seals = seals;
	inode_unlock(inode);
}

/**
 * mbuf_memory_new() - allocate memory
 * @size: bytes, a multiple of the page size
 * @solid: pages cannot be given back
 * @memcg: who pays; NULL if that is not known
 *
 * All of it is allocated here, so that nobody who uses it can be told that
 * there is none, or has to pay for it. Failing is preferred to killing
 * somebody.
 *
 * Context: process context, may sleep.
 * Return: a file of shmem, or an error pointer: -ENOMEM, -ERESTARTSYS.
 */
struct file *mbuf_memory_new(u64 size, bool solid, struct mem_cgroup *memcg)
{
	struct mem_cgroup *before;
	struct inode *inode;
	struct file *file;
	int err;

	file = shmem_file_setup("mbuf", size, MBUF_NO_VMA_FLAGS);
	if (IS_ERR(file))
		return ERR_PTR(-ENOMEM);
	inode = file_inode(file);
	/* What memfd_create() gives. */
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	file->f_flags |= O_LARGEFILE;
	mapping_set_gfp_mask(inode->i_mapping,
			     mapping_gfp_mask(inode->i_mapping) |
			     __GFP_RETRY_MAYFAIL);

	before = set_active_memcg(memcg);
	err = vfs_fallocate(file, 0, 0, size);
	set_active_memcg(before);
	if (err) {
		fput(file);
		return ERR_PTR(err == -EINTR ? -ERESTARTSYS : -ENOMEM);
	}
	memory_seal(inode, SEALS_SIZE | (solid ? F_SEAL_FUTURE_WRITE : 0));
	return file;
}

static bool memory_is_huge(const struct file *file)
{
	return IS_ENABLED(CONFIG_HUGETLBFS) &&
	       file_inode(file)->i_sb->s_magic == HUGETLBFS_MAGIC;
}

static unsigned int memory_seals(struct inode *inode, bool huge)
{
#ifdef CONFIG_HUGETLBFS
	if (huge)
		return HUGETLBFS_I(inode)->seals;
#endif
	return SHMEM_I(inode)->seals;
}

/**
 * mbuf_memory_check() - is a file memory that can be shared?
 * @file: the file, of anybody
 * @has: rights that it has to have itself
 * @gives: rights that somebody shall get
 * @size: its size
 *
 * Memory of huge pages can only be shared as the memfd that it is: for a
 * mapping of it the kernel looks at the file before anybody can exchange it.
 *
 * A paged region is memory, too.
 *
 * Context: process context, may sleep.
 * Return: 0; -ENOTTY if it is no memfd; -EPERM if it can change its size, is
 * not open for what it has to have, could lose that, or cannot give that.
 */
int mbuf_memory_check(struct file *file, u32 has, u32 gives, u64 *size)
{
	struct inode *inode = file_inode(file);
	bool huge = memory_is_huge(file);
	unsigned int seals;

	if (mbuf_paged_is(file)) {
		*size = mbuf_paged_size(file);
		return (has | gives) & ~mbuf_paged_rights(file) ? -EPERM : 0;
	}
	if (!huge && !shmem_file(file))
		return -ENOTTY;
	if ((huge && !(gives & MBUF_REGION_WRITE)) ||
	    !(file->f_mode & FMODE_READ))
		return -EPERM;
	/* Once there, a seal stays: but wait for who is about to set it. */
	inode_lock(inode);
	seals = memory_seals(inode, huge);
	*size = i_size_read(inode);
	inode_unlock(inode);
	if (~seals & (F_SEAL_SHRINK | F_SEAL_GROW))
		return -EPERM;
	if (has & MBUF_REGION_WRITE &&
	    (!(seals & F_SEAL_SEAL) || !(file->f_mode & FMODE_WRITE) ||
	     seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return -EPERM;
	return 0;
}

static void memory_put(struct mbuf_memory *m)
{
	if (refcount_dec_and_test(&m->ref)) {
		fput(m->file);
		kfree(m);
	}
}

/* As they are seen from outside */

static struct mbuf_region *region_of_node(const struct mbuf_node *node)
{
	return container_of(node, struct mbuf_region, node);
}

static u64 region_id(const struct mbuf_node *node)
{
	return region_of_node(node)->memory->id;
}

static int region_describe(void *object, struct sk_buff *skb,
			   const struct mbuf_reader *reader)
{
	struct mbuf_region *r = region_of_node(object);

	if (nla_put_u64_64bit(skb, MBUF_A_REGION_SIZE,
			      i_size_read(file_inode(r->memory->file)),
			      MBUF_A_REGION_PAD) ||
	    nla_put_u32(skb, MBUF_A_REGION_RIGHTS, r->rights) ||
	    nla_put_u32(skb, MBUF_A_REGION_OPTIONS,
			r->solid ? MBUF_OFFER_SOLID : 0))
		return -EMSGSIZE;
	return 0;
}

static const struct mbuf_kind region_kind = {
	.type		= MBUF_OBJECT_TYPE_REGION,
	.attr		= MBUF_A_OBJECT_REGION,
	.id		= region_id,
	.describe	= region_describe,
};

/* Regions */

static int region_prepare(struct mbuf_fd *fd, struct mbuf_memory *m, bool solid,
			  u32 rights, struct mbuf_account *payer)
{
	struct mbuf_region *r;
	int err;

	err = mbuf_charge(payer, &region_charge);
	if (err)
		return err;
	err = -ENOMEM;
	r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		goto uncharge;
	err = mbuf_fd_prepare(fd, "[mbuf-region]", &region_fops, r,
			      rights & MBUF_REGION_WRITE ? O_RDWR : O_RDONLY);
	if (err)
		goto free;
	refcount_inc(&m->ref);
	mbuf_account_hold(payer);
	r->memory = m;
	r->payer = payer;
	r->rights = rights;
	r->solid = solid;
	mbuf_node_link(&r->node, &region_kind, payer, NULL);
	return 0;

free:
	kfree(r);
uncharge:
	mbuf_uncharge(payer, &region_charge);
	return err;
}

/**
 * mbuf_region_prepare() - prepare a descriptor for memory
 * @fd: the descriptor, to be installed or aborted
 * @memory: the memory, or a right to a paged region
 * @solid: it was made so
 * @rights: MBUF_REGION_READ, or with MBUF_REGION_WRITE
 * @payer: who is charged, unless it is a memfd
 *
 * Context: process context, may sleep.
 * Return: 0, -EDQUOT, -ENOMEM, -EMFILE, -ENFILE.
 */
int mbuf_region_prepare(struct mbuf_fd *fd, struct file *memory, bool solid,
			u32 rights, struct mbuf_account *payer)
{
	struct mbuf_memory *m;
	struct file *file;
	int err;

	if (mbuf_paged_is(memory))
		return mbuf_paged_grant(fd, memory, rights, payer);
	if (rights & MBUF_REGION_WRITE && !solid) {
		/* A file of its own: the other side has another position. */
		fd->fd = get_unused_fd_flags(O_CLOEXEC);
		if (fd->fd < 0)
			return fd->fd;
		file = dentry_open(&memory->f_path, O_RDWR | O_LARGEFILE,
				   current_cred());
		if (IS_ERR(file)) {
			put_unused_fd(fd->fd);
			return PTR_ERR(file);
		}
		fd->file = file;
		return 0;
	}

	m = kmalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
	if (!m)
		return -ENOMEM;
	m->file = get_file(memory);
	m->id = mbuf_object_id();
	refcount_set(&m->ref, 1);
	err = region_prepare(fd, m, solid, rights, payer);
	memory_put(m);
	return err;
}

/**
 * mbuf_region_is() - is this file a region?
 * @file: the file
 */
bool mbuf_region_is(const struct file *file)
{
	return file->f_op == &region_fops;
}

/**
 * mbuf_region_id() - the identity of a region
 * @file: it
 */
u64 mbuf_region_id(const struct file *file)
{
	const struct mbuf_region *r = file->private_data;

	return r->memory->id;
}

/**
 * mbuf_region_grant() - derive a descriptor with other rights
 * @fd: the descriptor, to be installed or aborted
 * @from: a region or a memfd that the caller has
 * @rights: MBUF_REGION_READ, or with MBUF_REGION_WRITE
 * @payer: who is charged
 *
 * Context: process context, may sleep.
 * Return: 0, -EPERM, -ENOTTY, -EDQUOT, -ENOMEM, -EMFILE, -ENFILE.
 */
int mbuf_region_grant(struct mbuf_fd *fd, struct file *from, u32 rights,
		      struct mbuf_account *payer)
{
	struct mbuf_region *r;
	u64 size;
	int err;

	if (mbuf_region_is(from)) {
		r = from->private_data;
		if (rights & ~r->rights)
			return -EPERM;
		return region_prepare(fd, r->memory, r->solid, rights, payer);
	}
	if (mbuf_paged_is(from))
		return mbuf_paged_grant(fd, from, rights, payer);
	if (rights & MBUF_REGION_WRITE)
		return -EPERM;
	err = mbuf_memory_check(from, rights, rights, &size);
	if (err)
		return err;
	return mbuf_region_prepare(fd, from, false, rights, payer);
}

/**
 * mbuf_region_check() - can somebody else's memory be shared like this?
 * @file: a region or a memfd that the caller has
 * @rights: what each of two others shall get
 * @solid: pages must not be given back
 * @size: its size
 *
 * Context: process context, may sleep.
 * Return: 0, -EPERM, or -ENOTTY if it is neither.
 */
int mbuf_region_check(struct file *file, const u32 rights[2], bool solid,
		      u64 *size)
{
	u32 all = rights[0] | rights[1];

	if (mbuf_region_is(file)) {
		struct mbuf_region *r = file->private_data;

		if (all & ~r->rights || (solid && !r->solid))
			return -EPERM;
		*size = i_size_read(file_inode(r->memory->file));
		return 0;
	}
	return mbuf_memory_check(file, all, rights[0], size) ?:
	       mbuf_memory_check(file, all, rights[1], size) ?:
	       solid ? -EPERM : 0;
}

/**
 * mbuf_region_derive() - prepare a descriptor for what somebody has given
 * @fd: the descriptor, to be installed or aborted
 * @from: a region, or the memory
 * @solid: of memory: it was made so
 * @rights: MBUF_REGION_READ, or with MBUF_REGION_WRITE
 * @payer: who is charged, unless it is a memfd
 *
 * Context: process context, may sleep.
 * Return: as mbuf_region_prepare().
 */
int mbuf_region_derive(struct mbuf_fd *fd, struct file *from, bool solid,
		       u32 rights, struct mbuf_account *payer)
{
	return mbuf_region_is(from) ?
	       mbuf_region_grant(fd, from, rights, payer) :
	       mbuf_region_prepare(fd, from, solid, rights, payer);
}

static int region_release(struct inode *inode, struct file *file)
{
	struct mbuf_region *r = file->private_data;

	mbuf_node_unlink(&r->node);
	memory_put(r->memory);
	mbuf_uncharge(r->payer, &region_charge);
	mbuf_account_put(r->payer);
	kfree(r);
	return 0;
}

/*
 * The mapping becomes one of the memory's file. What it may become, writable
 * or not, has been decided by how our file was opened.
 */
static int region_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mbuf_region *r = file->private_data;
	struct file *memory = r->memory->file;
	const unsigned long write = VM_WRITE | VM_MAYWRITE;
	unsigned long had;
	int err;

	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	mbuf_vm_flags_mod(vma, 0, VM_MAYEXEC);
	had = vma->vm_flags & write;
	vma_set_file(vma, memory);
	/*
	 * A solid region's memory is sealed against future writing, so that
	 * nobody can punch holes. Only this mapping may write nevertheless.
	 */
	if (r->solid && vma->vm_flags & VM_SHARED)
		mbuf_vm_flags_mod(vma, 0, VM_WRITE);
	err = mbuf_vfs_mmap(memory, vma);
	if (!err && r->solid && vma->vm_flags & VM_SHARED)
		mbuf_vm_flags_mod(vma, had, 0);
	return err;
}

static unsigned long region_get_unmapped_area(struct file *file,
					      unsigned long addr,
					      unsigned long len,
					      unsigned long pgoff,
					      unsigned long flags)
{
	struct mbuf_region *r = file->private_data;
	struct file *memory = r->memory->file;

	/* It knows how to align what may become huge pages. */
	return memory->f_op->get_unmapped_area(memory, addr, len, pgoff, flags);
}

static long region_ioctl(struct file *file, unsigned int cmd,
			 unsigned long arg)
{
	struct mbuf_region *r = file->private_data;
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
	info.id = r->memory->id;
	info.size = i_size_read(file_inode(r->memory->file));
	info.rights = r->rights;
	info.options = r->solid ? MBUF_OFFER_SOLID : 0;
	return mbuf_ioctl_put((void __user *)arg, size, &info, sizeof(info));
}

static void region_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct mbuf_region *r = file->private_data;

	seq_puts(m, "mbuf-type:\tregion\n");
	seq_printf(m, "mbuf-id:\t%016llx\n", r->memory->id);
	seq_printf(m, "mbuf-size:\t%llu\n",
		   i_size_read(file_inode(r->memory->file)));
	seq_printf(m, "mbuf-rights:\t%x\n", r->rights);
	seq_printf(m, "mbuf-solid:\t%d\n", r->solid);
	/* What a mapping of it shows, too. */
	seq_puts(m, "mbuf-name:\t");
	seq_file_path(m, r->memory->file, "\n");
	seq_putc(m, '\n');
}

static const struct file_operations region_fops = {
	.owner			= THIS_MODULE,
	.release		= region_release,
	.mmap			= region_mmap,
	.get_unmapped_area	= region_get_unmapped_area,
	.unlocked_ioctl		= region_ioctl,
	.compat_ioctl		= compat_ptr_ioctl,
	.show_fdinfo		= region_show_fdinfo,
};
