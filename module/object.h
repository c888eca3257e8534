/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Objects and the descriptors that stand for them.
 *
 * An object is reached through files, each of which is one right to it: the
 * access mode of the file (FMODE_READ, FMODE_WRITE) is the right. A file is a
 * right for as long as anything refers to it, so that duplicates made by
 * dup(), fork() or SCM_RIGHTS are the same right, and the object hears of its
 * end exactly once, from ->release.
 *
 * Handing out a descriptor takes two steps, so that nothing can fail after
 * user space has got one: mbuf_fd_prepare() does all that can fail, then
 * results are copied to the caller, then mbuf_fd_install() publishes.
 */
#ifndef _MBUF_OBJECT_H
#define _MBUF_OBJECT_H

#include <linux/fs.h>
#include <linux/types.h>
#include <linux/uaccess.h>
#include <uapi/linux/mbuf.h>

/**
 * struct mbuf_fd - a descriptor that is reserved but not yet visible
 * @file: the file
 * @fd: the number
 */
struct mbuf_fd {
	struct file *file;
	int fd;
};

struct file *mbuf_file_new(const char *name, const struct file_operations *fops,
			   void *priv, unsigned int flags);
int mbuf_fd_prepare(struct mbuf_fd *p, const char *name,
		    const struct file_operations *fops, void *priv,
		    unsigned int flags);
void mbuf_fd_abort(struct mbuf_fd *p);
void mbuf_fd_install(struct mbuf_fd *p);

u64 mbuf_object_id(void);
void mbuf_object_init(void);

/**
 * mbuf_ioctl_known() - is this a well-formed command of ours?
 * @cmd: the command
 *
 * All commands read and write their argument. The size is judged by
 * mbuf_ioctl_get().
 *
 * Return: true if type and direction are right.
 */
static inline bool mbuf_ioctl_known(unsigned int cmd)
{
	const unsigned int mask = (_IOC_TYPEMASK << _IOC_TYPESHIFT) |
				  (_IOC_DIRMASK << _IOC_DIRSHIFT);

	return (cmd & mask) == (_IOWR(MBUF_IOC_TYPE, 0, __u8) & mask);
}

/**
 * mbuf_ioctl_get() - copy in the argument of an ioctl
 * @dst: where to, @ksize bytes
 * @ksize: size of the struct as this kernel knows it; a constant
 * @min: size of the first version of the struct
 * @src: the argument
 * @usize: its size as the command says
 *
 * Context: may sleep.
 * Return: 0, -EINVAL if shorter than @min, -E2BIG if longer than @ksize and
 * what is beyond is not zero, -EFAULT.
 */
static __always_inline int mbuf_ioctl_get(void *dst, size_t ksize, size_t min,
					  const void __user *src, size_t usize)
{
	if (likely(usize == ksize))
		return copy_from_user(dst, src, ksize) ? -EFAULT : 0;
	if (usize < min)
		return -EINVAL;
	return copy_struct_from_user(dst, ksize, src, usize);
}

/**
 * mbuf_ioctl_put() - copy out the result of an ioctl
 * @dst: the argument
 * @usize: its size as the command says
 * @src: the struct as this kernel knows it
 * @ksize: size of that
 *
 * What the caller has beyond @ksize is zero, or mbuf_ioctl_get() would have
 * refused it, and stays so.
 *
 * Context: may sleep.
 * Return: 0 or -EFAULT.
 */
static inline int mbuf_ioctl_put(void __user *dst, size_t usize,
				 const void *src, size_t ksize)
{
	return copy_to_user(dst, src, min(usize, ksize)) ? -EFAULT : 0;
}

#endif /* _MBUF_OBJECT_H */
