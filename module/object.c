// SPDX-License-Identifier: GPL-2.0
#include <linux/anon_inodes.h>
#include <linux/atomic.h>
#include <linux/file.h>
#include <linux/siphash.h>
#include "object.h"

/**
 * mbuf_file_new() - make a file for an object
 * @name: what /proc shows
 * @fops: the object's operations; their owner pins the module
 * @priv: the file's private_data. The caller's reference to it passes to the
 *	file, whose ->release will drop it, on success only
 * @flags: access mode and O_NONBLOCK
 *
 * Context: process context, may sleep.
 * Return: the file, or an error pointer: -ENFILE, -ENOMEM.
 */
struct file *mbuf_file_new(const char *name, const struct file_operations *fops,
			   void *priv, unsigned int flags)
{
	struct file *file = anon_inode_getfile(name, fops, priv, flags);

	if (IS_ERR(file))
		return file;
	/* No position: no lseek() and no pread(). Never fails. */
	stream_open(file_inode(file), file);
	/* io_uring: try without sleeping first, then poll. */
	file->f_mode |= FMODE_NOWAIT;
	return file;
}

/**
 * mbuf_fd_prepare() - reserve a descriptor for an object
 * @p: what is reserved
 * @name: what /proc shows
 * @fops: the object's operations; their owner pins the module
 * @priv: the file's private_data. The caller's reference to it passes to the
 *	file, whose ->release will drop it, on success only
 * @flags: access mode and O_NONBLOCK; O_CLOEXEC is implied
 *
 * Context: process context, may sleep.
 * Return: 0, or -EMFILE, -ENFILE, -ENOMEM.
 */
int mbuf_fd_prepare(struct mbuf_fd *p, const char *name,
		    const struct file_operations *fops, void *priv,
		    unsigned int flags)
{
	p->fd = get_unused_fd_flags(O_CLOEXEC);
	if (p->fd < 0)
		return p->fd;

	p->file = mbuf_file_new(name, fops, priv, flags);
	if (IS_ERR(p->file)) {
		put_unused_fd(p->fd);
		return PTR_ERR(p->file);
	}
	return 0;
}

/**
 * mbuf_fd_abort() - undo mbuf_fd_prepare()
 * @p: what was reserved. Its file's ->release drops the object
 */
void mbuf_fd_abort(struct mbuf_fd *p)
{
	put_unused_fd(p->fd);
	fput(p->file);
}

/**
 * mbuf_fd_install() - make a reserved descriptor visible
 * @p: what was reserved; from here on user space may close it
 */
void mbuf_fd_install(struct mbuf_fd *p)
{
	fd_install(p->fd, p->file);
}

static siphash_key_t id_key __ro_after_init;
static atomic64_t id_last;

/*
 * A plain counter would tell anybody how many objects others make. Four
 * Feistel rounds over it keep what a counter is good for, as they map no two
 * values to the same one.
 */
static u64 id_scramble(u64 n)
{
	u32 left = n >> 32, right = n;
	u32 round;

	for (round = 0; round < 4; round++) {
		u32 next = left ^ (u32)siphash_2u32(right, round, &id_key);

		left = right;
		right = next;
	}
	return ((u64)left << 32) | right;
}

/**
 * mbuf_object_id() - a new identity
 *
 * Return: a number that is not 0 and was not returned before.
 */
u64 mbuf_object_id(void)
{
	u64 id;

	do {
		id = id_scramble(atomic64_inc_return(&id_last));
	} while (!id);
	return id;
}

/**
 * mbuf_object_init() - prepare for mbuf_object_id()
 */
void __init mbuf_object_init(void)
{
	get_random_bytes(&id_key, sizeof(id_key));
}
