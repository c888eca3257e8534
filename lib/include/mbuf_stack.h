/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libmbuf: the stacks of threads, shared and kept apart.
 *
 * Two things that belong together. A stack that the program has allocated itself
 * can be *shared*: other threads, and other processes, map it where they want,
 * with the rights that they were given. And inside one process stacks can be
 * *kept apart*: each thread reaches its own stack, what is no stack, and what
 * was granted to it, and nothing else.
 *
 *	the thread's creator			the thread
 *	mbuf_stack_create()
 *	pthread_attr_setstack()
 *	pthread_create()			mbuf_stack_run()
 *	pthread_join()
 *	mbuf_stack_destroy()
 *
 *	who shares				who maps
 *	mbuf_share_stack()	-- fd -->	mbuf_map_stack()
 *
 * Sharing
 * =======
 *
 * A stack's memory is a memfd of fixed size. mbuf_share_stack() makes a
 * descriptor of it that can do as much as it says, or less than the owner: one
 * for reading is a grant of the module (GRANT in <linux/mbuf.h>), which cannot
 * be raised by any route. It goes to another process over a socket.
 *
 * The plain sequence of POSIX calls works as well, for programs that do without
 * this library, with names of the same pattern:
 *
 *	fd = shm_open("/" MBUF_STACK_PREFIX "name", O_RDWR | O_CREAT | O_EXCL,
 *		      0600);
 *	ftruncate(fd, size);
 *	stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
 *	pthread_attr_setstack(&attr, stack, size);
 *	...
 *	fd = shm_open("/" MBUF_STACK_PREFIX "name", O_RDONLY, 0);
 *	mmap(where, size, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
 *
 * What it cannot assure: a process of the same user can open the object for
 * writing instead, and can cut it short, so that the thread on that stack gets
 * SIGBUS. Rights are those of the object's mode, and hold between users only. And
 * while a thread runs on such memory no other one of its process may fork(), as
 * the C library has lists in it, which parent and child then share.
 *
 * Names
 * =====
 *
 * Every such memory has a name that begins with MBUF_STACK_PREFIX, in /dev/shm
 * and in /proc/PID/maps ("/memfd:taskfs-..."), so that a stack which is shared
 * is told from other mappings. mbuf_stack_is() looks. It is a convention:
 * anybody can name memory so.
 *
 * Keeping apart
 * =============
 *
 * With MBUF_STACK_REACH a stack has a protection key of the CPU, and each
 * thread a register that says which keys it may use, and how. The kernel
 * switches it with the thread, and honours it in the thread's system calls: a
 * buffer that it cannot reach is -EFAULT. Any other access is SIGSEGV with
 * si_code SEGV_PKUERR. What a thread in mbuf_stack_run() maps by
 * mbuf_map_stack() only it can reach, too.
 *
 * mbuf_stack_allow() grants another thread's stack access to one's own. The
 * other one picks it up by mbuf_reach_update(), as only a thread can write its
 * own register; what was taken back ends with the next mbuf_reach_update() of
 * the other, or when that thread ends.
 *
 * This contains faults. It is no boundary against code that means harm: any
 * thread can write its register, map the memory anew, or have the kernel write
 * for it (process_vm_writev(), /proc/self/mem, io_uring with fixed buffers).
 *
 * Rules:
 *
 *  - Above what is shared a stack has 64 KiB more, which are private to the
 *    process and stay within everybody's reach: the C library has its own data
 *    on the thread there, which pthread_join() and others use. What calls
 *    mbuf_stack_run() runs there, too.
 *  - The CPU has 15 keys, for all purposes of the process: beyond that
 *    mbuf_stack_create() is -ENOSPC, and a stack without a key is the choice. A
 *    key is used again only when no thread can have access by it any more.
 *  - Signal handlers run with a register of their own that allows no keys. On a
 *    stack that has one they would fault at once, so they have to be installed
 *    with SA_ONSTACK: mbuf_stack_run() provides an alternate stack. Handlers
 *    cannot reach any such stack, and must return: siglongjmp() out of one
 *    would leave the thread without its own stack. What the C library does by
 *    signals without SA_ONSTACK is out: pthread_cancel(), and setuid() and the
 *    like while such threads run.
 *  - A new thread has the register of who created it until it calls
 *    mbuf_stack_run(). One that never does is not kept from what its creator
 *    could reach, nor from what gets such a key later.
 *  - The memory is shared with whoever has it, so that two processes must not
 *    run on it: it is not there in the child of a fork(). fork() in
 *    mbuf_stack_run() gives a child that dies of SIGSEGV at once; posix_spawn()
 *    and vfork() work. In the child of another thread's fork() none of these
 *    functions may be called.
 */
#ifndef _MBUF_STACK_H
#define _MBUF_STACK_H

#include <stddef.h>
#include <stdint.h>
#include <mbuf.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the names of all shared stacks begin with. */
#define MBUF_STACK_PREFIX	"taskfs-"

/* The longest name without that, in bytes. */
#define MBUF_STACK_NAME_MAX	64

/* Other threads cannot reach it, unless they are allowed to. */
#define MBUF_STACK_REACH	0x01U

struct mbuf_stack;

/**
 * struct mbuf_stack_view - a stack, mapped
 * @addr: where
 * @size: bytes
 * @priv: the library's
 */
struct mbuf_stack_view {
	void *addr;
	size_t size;
	struct mbuf_stack *priv;
};

/**
 * mbuf_reach() - can stacks be kept apart?
 * @why: if not NULL, set to a line of English that says why not; "" if so
 *
 * Return: 0, or -ENOTSUP: the CPU has no protection keys, or the kernel does
 * not use them.
 */
MBUF_EXPORT int mbuf_reach(const char **why);

/**
 * mbuf_stack_create() - allocate a stack that can be shared
 * @name: what it is called, behind MBUF_STACK_PREFIX; without '/'
 * @size: bytes that are shared, a multiple of the page size, as much as threads
 *	need at least
 * @flags: 0 or MBUF_STACK_REACH
 * @stack: set to the stack
 *
 * There is a page below it that cannot be touched.
 *
 * Return: 0, or -errno: -EINVAL, -ENOTSUP (MBUF_STACK_REACH: see
 * mbuf_reach()), -ENOSPC (no key is free), -ENOMEM, -EMFILE, -ENFILE.
 */
MBUF_EXPORT int mbuf_stack_create(const char *name, size_t size,
				  uint32_t flags, struct mbuf_stack **stack);

/**
 * mbuf_stack_destroy() - free a stack
 * @stack: the stack; its thread has ended, and was joined
 *
 * What others have mapped stays until they unmap it.
 *
 * Return: 0, or -errno: -EBUSY (the caller runs on it; or the views that its
 * thread has mapped are still there).
 */
MBUF_EXPORT int mbuf_stack_destroy(struct mbuf_stack *stack);

/**
 * mbuf_stack_addr() - where it is, for pthread_attr_setstack()
 * @stack: the stack
 *
 * Return: its lowest address.
 */
MBUF_EXPORT void *mbuf_stack_addr(const struct mbuf_stack *stack);

/**
 * mbuf_stack_size() - how large it is, for pthread_attr_setstack()
 * @stack: the stack
 *
 * Return: its size in bytes, which is more than what is shared.
 */
MBUF_EXPORT size_t mbuf_stack_size(const struct mbuf_stack *stack);

/**
 * mbuf_stack_run() - what a thread on such a stack does
 * @stack: the stack that the caller runs on
 * @fn: called with @arg; all of its stack is kept apart, if that was asked for
 * @arg: for @fn
 * @result: set to what @fn returns, unless NULL
 *
 * Called once by each thread, first of all. From here on the thread reaches its
 * own stack, what it is allowed to, and no other stacks; that does not end when
 * @fn returns.
 *
 * Return: 0, or -errno, and @fn was not called: -EINVAL (the caller does not run
 * on @stack), -EBUSY (it was called already), -ENOMEM (also: there is not enough
 * left above what is shared).
 */
MBUF_EXPORT int mbuf_stack_run(struct mbuf_stack *stack, void *(*fn)(void *arg),
			       void *arg, void **result);

/**
 * mbuf_stack_allow() - let another thread reach a stack, or not any more
 * @stack: the stack: that of the caller, or one that nobody runs on yet
 * @to: the other thread's
 * @rights: MBUF_REGION_READ, or with MBUF_REGION_WRITE; 0: nothing any more
 *
 * Both have been made with MBUF_STACK_REACH. See mbuf_reach_update() for when
 * it takes effect.
 *
 * Return: 0, or -errno: -EINVAL, -EPERM (it is another thread's to allow).
 */
MBUF_EXPORT int mbuf_stack_allow(struct mbuf_stack *stack,
				 struct mbuf_stack *to, uint32_t rights);

/**
 * mbuf_reach_update() - what the caller is allowed to takes effect
 *
 * No system call. Does nothing for a thread that is not in mbuf_stack_run(), or
 * whose stack was made without MBUF_STACK_REACH.
 */
MBUF_EXPORT void mbuf_reach_update(void);

/**
 * mbuf_share_stack() - make a descriptor of a stack for others
 * @session: a session, whose user pays; only for less than all rights
 * @stack: the stack
 * @rights: MBUF_REGION_READ, or with MBUF_REGION_WRITE
 *
 * It can be passed on, and mapped by mbuf_map_stack() or mmap(). One for reading
 * leads to writing by no route.
 *
 * Return: the descriptor, or -errno: -EINVAL, or that of mbuf_grant().
 */
MBUF_EXPORT int mbuf_share_stack(int session, const struct mbuf_stack *stack,
				 uint32_t rights);

/**
 * mbuf_map_stack() - map a stack that somebody shares
 * @fd: what mbuf_share_stack() has made, or any such memory
 * @addr: where, or NULL for anywhere. Nothing may be mapped there
 * @rights: MBUF_REGION_READ, or with MBUF_REGION_WRITE
 * @view: filled in
 *
 * In a thread that is in mbuf_stack_run() on a stack of MBUF_STACK_REACH, only
 * that thread can reach the view, and who can reach its stack.
 *
 * Return: 0, or -errno: -EACCES (@fd does not have the rights), -EEXIST
 * (something is mapped there), -EINVAL, -ENODEV, -ENOMEM.
 */
MBUF_EXPORT int mbuf_map_stack(int fd, void *addr, uint32_t rights,
			       struct mbuf_stack_view *view);

/**
 * mbuf_unmap_stack() - undo mbuf_map_stack()
 * @view: the view
 *
 * Return: 0, or -errno.
 */
MBUF_EXPORT int mbuf_unmap_stack(struct mbuf_stack_view *view);

/**
 * mbuf_stack_is() - is a descriptor a shared stack, by its name?
 * @fd: a memfd, an object of shm_open(), or a grant of the module
 *
 * Return: 1 if its name begins with MBUF_STACK_PREFIX, 0 if not, or -errno.
 */
MBUF_EXPORT int mbuf_stack_is(int fd);

#ifdef __cplusplus
}
#endif

#endif /* _MBUF_STACK_H */
