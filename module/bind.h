/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What belongs to a thread, and ends with it.
 *
 * An object that belongs to a thread has a struct mbuf_bond. All bonds of a
 * thread hang on one struct mbuf_thread, which is found by the task_struct.
 * Process ids would not do: exec by a thread other than the first one swaps
 * them. A thread that executes a program counts as ended, as the program knows
 * nothing of what the thread had.
 *
 * Modules are told of the end of a thread by the tracepoints sched_process_exit
 * and sched_process_exec, in the context of the thread, with preemption
 * disabled. There the thread is only marked as ended, so that from then on
 * nobody is it, and work is queued that calls the bonds' owners. A task_struct
 * that is used again therefore never finds what another one left.
 *
 * The probes are registered from the first bond on until some time after the
 * last has gone: nobody else's exit shall cost anything for this.
 *
 * Locking: threads_lock (raw) protects the table of threads and the lists of
 * bonds; the table is searched under RCU by the probes. It is a leaf.
 */
#ifndef _MBUF_BIND_H
#define _MBUF_BIND_H

#include <linux/list.h>
#include <linux/sched.h>
#include <linux/types.h>

struct mbuf_thread;
struct mbuf_bond;

/**
 * struct mbuf_bond_ops - what has to be known of an owner
 * @get: take a reference to it. Called under threads_lock; false if the owner
 *	is about to call mbuf_unbind() by itself
 * @ended: the thread has ended. Drops the reference. Process context, no locks
 */
struct mbuf_bond_ops {
	bool (*get)(void *owner);
	void (*ended)(void *owner);
};

/**
 * struct mbuf_bond - that something belongs to a thread
 * @thread: the thread
 * @link: among those of the thread; empty after it has ended
 * @ops: of the owner
 * @owner: what belongs to it
 */
struct mbuf_bond {
	struct mbuf_thread *thread;
	struct list_head link;
	const struct mbuf_bond_ops *ops;
	void *owner;
};

struct mbuf_bond *mbuf_bind(const struct mbuf_bond_ops *ops, void *owner);
void mbuf_unbind(struct mbuf_bond *bond);
bool mbuf_bond_mine(const struct mbuf_bond *bond);
const struct mbuf_thread *mbuf_bind_current(void);
bool mbuf_bind_supported(void);

int mbuf_bind_init(void);
void mbuf_bind_exit(void);

#endif /* _MBUF_BIND_H */
