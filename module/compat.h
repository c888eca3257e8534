/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that mbuf supports, 6.1 to mainline, and
 * what mainline has but does not export to modules. No other file knows
 * kernel versions.
 */
#ifndef _MBUF_COMPAT_H
#define _MBUF_COMPAT_H

#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/time_namespace.h>
#include <linux/version.h>
#include <net/genetlink.h>
#ifdef CONFIG_TRACEPOINTS
#include <trace/events/sched.h>
#endif

/*
 * What is filled in before it is used: kernels that are built to clear all
 * local variables need not do so with this one. That is half of what a short
 * call does where there are large structs.
 */
#if __has_attribute(__uninitialized__)
#define mbuf_uninit	__attribute__((__uninitialized__))
#else
#define mbuf_uninit
#endif

/**
 * mbuf_ktime_to_host() - convert a caller's monotonic time to the host's
 * @t: time of CLOCK_MONOTONIC in the time namespace of the current task
 *
 * The kernel's own timens_ktime_to_host() calls a function that modules can
 * link against only in recent kernels.
 *
 * Return: the same instant in the initial time namespace, clamped to what
 * ktime_t can hold.
 */
static inline ktime_t mbuf_ktime_to_host(ktime_t t)
{
#ifdef CONFIG_TIME_NS
	/* Zero in the initial namespace, which modules cannot name. */
	ktime_t offset =
		timespec64_to_ktime(current->nsproxy->time_ns->offsets.monotonic);

	if (offset >= 0)
		return t < offset ? 0 : t - offset;
	/* A negative offset moves the instant later: beware of overflow. */
	if (t > KTIME_MAX + offset)
		return KTIME_MAX;
	return t - offset;
#else
	return t;
#endif
}

/**
 * mbuf_vm_flags_mod() - change the flags of a new mapping
 * @vma: the mapping, in ->mmap
 * @set: flags to set
 * @clear: flags to clear
 */
static inline void mbuf_vm_flags_mod(struct vm_area_struct *vma,
				     unsigned long set, unsigned long clear)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

/* Flags of no mapping: an integer before it became a type of its own. */
#ifdef EMPTY_VMA_FLAGS
#define MBUF_NO_VMA_FLAGS	EMPTY_VMA_FLAGS
#else
#define MBUF_NO_VMA_FLAGS	0
#endif

/**
 * mbuf_vfs_mmap() - let a file fill in a mapping
 * @file: the file
 * @vma: the mapping, of which @file has become the file
 *
 * Return: 0 or an error.
 */
static inline int mbuf_vfs_mmap(struct file *file, struct vm_area_struct *vma)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
	return vfs_mmap(file, vma);
#else
	return call_mmap(file, vma);
#endif
}

/**
 * mbuf_receive_fd() - make a descriptor of a file that came from elsewhere
 * @file: the file; takes a reference of its own
 * @flags: O_CLOEXEC
 *
 * Return: the descriptor, or an error.
 */
static inline int mbuf_receive_fd(struct file *file, unsigned int flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	return receive_fd(file, NULL, flags);
#else
	return receive_fd(file, flags);
#endif
}

/**
 * mbuf_eventfd_signal() - add 1 to an eventfd
 * @ctx: which
 */
static inline void mbuf_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/**
 * mbuf_fault_locks_vma() - does a page fault hold only the lock of its VMA?
 * @vmf: the fault
 */
static inline bool mbuf_fault_locks_vma(const struct vm_fault *vmf)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	return vmf->flags & FAULT_FLAG_VMA_LOCK;
#else
	return false;
#endif
}

/**
 * mbuf_fault_unlock() - drop the lock that a page fault holds
 * @vmf: the fault, which is then to return VM_FAULT_RETRY
 */
static inline void mbuf_fault_unlock(struct vm_fault *vmf)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	release_fault_lock(vmf);
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	if (mbuf_fault_locks_vma(vmf))
		vma_end_read(vmf->vma);
	else
		mmap_read_unlock(vmf->vma->vm_mm);
#else
	mmap_read_unlock(vmf->vma->vm_mm);
#endif
}

/**
 * mbuf_boottime_to_caller() - convert the host's boot time to a caller's
 * @ns: nanoseconds of CLOCK_BOOTTIME of the host
 *
 * Return: the same instant in the time namespace of the current task.
 */
static inline u64 mbuf_boottime_to_caller(u64 ns)
{
#ifdef CONFIG_TIME_NS
	return ns + timespec64_to_ns(&current->nsproxy->time_ns->offsets.boottime);
#else
	return ns;
#endif
}

/* Who joins a multicast group needs CAP_NET_ADMIN in the network namespace. */
#ifdef GENL_MCAST_CAP_NET_ADMIN
#define MBUF_GENL_MCAST_NET_ADMIN	GENL_MCAST_CAP_NET_ADMIN
#else
#define MBUF_GENL_MCAST_NET_ADMIN	GENL_UNS_ADMIN_PERM
#endif

/**
 * mbuf_genl_dump_attrs() - the attributes of a request for a dump
 * @cb: the dump
 *
 * Return: by number; NULL, or an array of NULLs, if there are none.
 */
static inline struct nlattr **
mbuf_genl_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	return genl_dumpit_info(cb)->info.attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

#ifdef CONFIG_TRACEPOINTS
/*
 * A probe of the wrong type is a crash where calls are checked (kCFI), so it is
 * chosen by the type that the tracepoint wants: recent kernels tell whether
 * the thread was the last of its process. Neither type is an error here, and
 * a compile-time one.
 */
typedef void mbuf_probe_task(void *data, struct task_struct *task);
typedef void mbuf_probe_task_group(void *data, struct task_struct *task,
				   bool group_dead);
typedef void mbuf_probe_exec(void *data, struct task_struct *task, pid_t pid,
			     struct linux_binprm *bprm);

#define mbuf_probe_wanted(tracepoint, type)				\
	__builtin_types_compatible_p(					\
		typeof(check_trace_callback_type_##tracepoint),		\
		void(type *))

/* The one of @task and @task_group that sched_process_exit wants. */
#define mbuf_exit_probe(task, task_group)				\
	__builtin_choose_expr(						\
		mbuf_probe_wanted(sched_process_exit, mbuf_probe_task),	\
		(void *)(task), (void *)(task_group))

static_assert(mbuf_probe_wanted(sched_process_exit, mbuf_probe_task) ||
	      mbuf_probe_wanted(sched_process_exit, mbuf_probe_task_group));
static_assert(mbuf_probe_wanted(sched_process_exec, mbuf_probe_exec));
#endif

#endif /* _MBUF_COMPAT_H */
