/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of paged regions share: see paged.h.
 */
#ifndef _MBUF_PAGED_PRIV_H
#define _MBUF_PAGED_PRIV_H

#include <linux/list.h>
#include <linux/mm.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include "paged.h"
#include "registry.h"
#include "trace.h"

/* Marks of a page that is there. */
#define PAGED_BUSY	XA_MARK_0	/* being taken out: nobody may map it */
#define PAGED_DIRTY	XA_MARK_1	/* written to */
#define PAGED_ASK	XA_MARK_2	/* who wants to write has to ask */

/* More than that at the same moment, and the pager is asked once more. */
#define PAGED_REFUSALS	32

/**
 * struct paged_refusal - somebody who was refused, and does not know it yet
 * @task: who; only to be compared
 * @start: when it was started: @task may be another one by now. 0: nobody
 * @index: the page
 */
struct paged_refusal {
	const struct task_struct *task;
	u64 start;
	pgoff_t index;
};

/**
 * struct mbuf_paged - a paged region
 * @pages: folios by index; its lock protects the region
 * @inode: whose mapping knows the VMAs
 * @ref: one for each of its files
 * @payer: who is charged; holds a reference
 * @id: identity
 * @nr: size in pages
 * @faults: those who lead a wait, by index
 * @fresh: those of them that no pager has been told of
 * @bell: pagers that wait for @fresh, and pollers
 * @clients: rights that are left
 * @dead: the pager is gone
 * @refusals: those who have yet to be told
 * @nr_refusals: how many of these are in use; also read without the lock
 * @last_refusal: the newest of them
 * @last_id: of a fault
 * @waiting: tasks that wait
 * @resident: pages that are there
 * @nr_faults: faults that a pager was or will be told of
 * @nr_supplied: pages
 * @nr_evicted: pages
 * @nr_refused: faults
 * @nr_slow: faults that the pager did not answer for MBUF_PAGER_SLOW_MS, but
 *	for those that nobody has noticed yet: see mbuf_paged_slow()
 * @slow_told: when that was told last, in jiffies; 0: never
 * @node: its place in the registry
 */
struct mbuf_paged {
	struct xarray pages;
	struct inode *inode;
	refcount_t ref;
	struct mbuf_account *payer;
	u64 id;
	pgoff_t nr;

	struct rb_root faults;
	struct list_head fresh;
	wait_queue_head_t bell;
	unsigned int clients;
	bool dead;

	struct paged_refusal refusals[PAGED_REFUSALS];
	unsigned int nr_refusals;
	unsigned int last_refusal;

	u64 last_id;
	u64 waiting;
	u64 resident;
	u64 nr_faults;
	u64 nr_supplied;
	u64 nr_evicted;
	u64 nr_refused;
	u64 nr_slow;
	unsigned long slow_told;

	struct mbuf_node node;
};

/* States of who waits: left once, under the region's lock. */
enum paged_state {
	PAGED_WAITING,
	PAGED_AGAIN,		/* something has changed: look again */
	PAGED_REFUSED,
};

/**
 * struct paged_fault - somebody who waits for the pager, on its stack
 * @node: in the region's @faults, if @leads
 * @fresh: in the region's @fresh, or empty
 * @others: if @leads: those who wait for the same page
 * @link: in the leader's @others, if not
 * @index: the page
 * @id: what the message says
 * @began: when the pager could know of it, in jiffies
 * @access: MBUF_FAULT_*; likewise
 * @state: enum paged_state
 * @leads: the first for this page, whom the message is about
 * @slow: that the pager is slow has been noticed, and counted
 * @task: who waits
 */
struct paged_fault {
	struct rb_node node;
	struct list_head fresh;
	struct list_head others;
	struct list_head link;
	pgoff_t index;
	u64 id;
	unsigned long began;
	u32 access;
	int state;
	bool leads;
	bool slow;
	struct task_struct *task;
};

extern const struct vm_operations_struct mbuf_paged_vm_ops;
extern const struct file_operations mbuf_pager_fops;

struct mbuf_paged *mbuf_paged_of(const struct file *file);
void mbuf_paged_put(struct mbuf_paged *p);
void mbuf_paged_tell(struct mbuf_paged *p, struct mbuf_paged_info *info);

struct paged_fault *mbuf_paged_find(struct mbuf_paged *p, pgoff_t index);
void mbuf_paged_end(struct mbuf_paged *p, struct paged_fault *f, int state,
		    int rest, u32 why);
void mbuf_paged_end_all(struct mbuf_paged *p);
u64 mbuf_paged_slow(const struct mbuf_paged *p);
void mbuf_paged_wake(struct mbuf_paged *p, pgoff_t index, u32 why);

/* For tracing: what becomes of a fault, if a pager is to know of it. */
static inline void paged_trace(const struct mbuf_paged *p,
			       const struct paged_fault *f, u32 step)
{
	if (trace_mbuf_fault_enabled() && f->id)
		trace_mbuf_fault(p->id, f->id, (u64)f->index << PAGE_SHIFT,
				 f->access, step);
}

/*
 * What is in a folio's private: how many are about to use it, and whether only
 * who touches it may map it, as the pager wants to know. Under the region's lock.
 */
#define PAGED_ALONE	1UL
#define PAGED_HOLD	2UL

static inline unsigned long paged_private(const struct folio *folio)
{
	return (unsigned long)folio->private;
}

static inline void paged_private_set(struct folio *folio, unsigned long private)
{
	folio->private = (void *)private;
}

/*
 * Who is about to use a folio, and has a reference, but will look again once it
 * has it locked whether it may. Under the region's lock.
 */
static inline void paged_hold(struct folio *folio)
{
	folio_get(folio);
	paged_private_set(folio, paged_private(folio) + PAGED_HOLD);
}

/* The reference is the caller's to keep or to drop. */
static inline void paged_release(struct folio *folio)
{
	paged_private_set(folio, paged_private(folio) - PAGED_HOLD);
}

/* References that are nobody's use: the region's, and those of paged_hold(). */
static inline int paged_refs(const struct folio *folio)
{
	return 1 + paged_private(folio) / PAGED_HOLD;
}

/* In how many page tables is it? Exact while the folio is locked. */
static inline int paged_mapped(struct folio *folio)
{
	return atomic_read(&folio->_mapcount) + 1;
}

/*
 * Does anybody else use a page that is in no page table: for I/O, say? Under
 * the region's lock.
 */
static inline bool paged_in_use(struct folio *folio)
{
	return folio_ref_count(folio) > paged_refs(folio);
}

/* A folio leaves the region. */
static inline void paged_drop(struct folio *folio)
{
	folio_lock(folio);
	folio->mapping = NULL;
	folio_unlock(folio);
	folio_put(folio);
}

#endif /* _MBUF_PAGED_PRIV_H */
