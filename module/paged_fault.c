// SPDX-License-Identifier: GPL-2.0
/*
 * Paged regions: the side that touches pages.
 */
#include <linux/file.h>
#include <linux/pagemap.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include "compat.h"
#include "paged_priv.h"

/* Pages that are mapped together with one that is touched, at most. */
#define AROUND	31

/* Who waits */

/* Under the region's lock. */
static void fault_finish(struct mbuf_paged *p, struct paged_fault *f, int state)
{
	struct task_struct *task = f->task;

	p->waiting--;
	/* Once it has seen this, it is gone, and its task may be. */
	rcu_read_lock();
	/* Pairs with the acquire in fault_sleep(). */
	smp_store_release(&f->state, state);
	wake_up_process(task);
	rcu_read_unlock();
}

/*
 * Has the pager left it unanswered for too long, which nobody has noticed yet?
 * Who waits for an EVICT waits for no answer. Under the region's lock.
 */
static bool fault_is_slow(const struct paged_fault *f)
{
	return f->id && !f->slow &&
	       time_after_eq(jiffies, f->began +
				      msecs_to_jiffies(MBUF_PAGER_SLOW_MS));
}

static void fault_count_slow(struct mbuf_paged *p, struct paged_fault *f)
{
	if (unlikely(fault_is_slow(f))) {
		f->slow = true;
		p->nr_slow++;
	}
}

/**
 * mbuf_paged_slow() - how many faults did the pager not answer in time?
 * @p: the region
 *
 * Nobody is woken to count them, so those that wait are looked at.
 *
 * Context: under the region's lock.
 */
u64 mbuf_paged_slow(const struct mbuf_paged *p)
{
	struct rb_node *node;
	u64 nr = p->nr_slow;

	for (node = rb_first(&p->faults); node; node = rb_next(node))
		nr += fault_is_slow(rb_entry(node, struct paged_fault, node));
	return nr;
}

/**
 * mbuf_paged_find() - who leads those that wait for a page
 * @p: the region
 * @index: the page
 *
 * Context: under the region's lock.
 * Return: the fault, or NULL.
 */
struct paged_fault *mbuf_paged_find(struct mbuf_paged *p, pgoff_t index)
{
	struct rb_node *node = p->faults.rb_node;

	while (node) {
		struct paged_fault *f = rb_entry(node, struct paged_fault,
						 node);

		if (index == f->index)
			return f;
		node = index < f->index ? node->rb_left : node->rb_right;
	}
	return NULL;
}

/**
 * mbuf_paged_end() - end a fault, for all who wait for it
 * @p: the region
 * @f: who leads; not to be touched afterwards
 * @state: for that one: PAGED_AGAIN or PAGED_REFUSED
 * @rest: for the others
 * @why: MBUF_TRACE_FAULT_*
 *
 * Context: under the region's lock.
 */
void mbuf_paged_end(struct mbuf_paged *p, struct paged_fault *f, int state,
		    int rest, u32 why)
{
	struct paged_fault *other, *next;

	paged_trace(p, f, why);
	fault_count_slow(p, f);
	rb_erase(&f->node, &p->faults);
	list_del_init(&f->fresh);
	list_for_each_entry_safe(other, next, &f->others, link) {
		list_del_init(&other->link);
		fault_finish(p, other, rest);
	}
	fault_finish(p, f, state);
}

/**
 * mbuf_paged_end_all() - the pager is gone: let all look again
 * @p: the region
 *
 * Context: under the region's lock, which is dropped now and then; nobody new
 * waits.
 */
void mbuf_paged_end_all(struct mbuf_paged *p)
{
	struct rb_node *node;

	while ((node = rb_first(&p->faults))) {
		mbuf_paged_end(p, rb_entry(node, struct paged_fault, node),
			       PAGED_AGAIN, PAGED_AGAIN,
			       MBUF_TRACE_FAULT_GONE);
		cond_resched_lock(&p->pages.xa_lock);
	}
}

/**
 * mbuf_paged_wake() - let those who wait for a page look again
 * @p: the region
 * @index: the page
 * @why: MBUF_TRACE_FAULT_*
 *
 * Context: under the region's lock.
 */
void mbuf_paged_wake(struct mbuf_paged *p, pgoff_t index, u32 why)
{
	struct paged_fault *f = mbuf_paged_find(p, index);

	if (f)
		mbuf_paged_end(p, f, PAGED_AGAIN, PAGED_AGAIN, why);
}

/*
 * Get in line for a page; first in it if there is none. Under the region's lock.
 * Returns true if there is something for the pager to do.
 */
static bool fault_link(struct mbuf_paged *p, struct paged_fault *f, bool tell)
{
	struct rb_node **link = &p->faults.rb_node, *parent = NULL;

	f->state = PAGED_WAITING;
	f->task = current;
	INIT_LIST_HEAD(&f->fresh);
	INIT_LIST_HEAD(&f->others);
	INIT_LIST_HEAD(&f->link);
	p->waiting++;

	while (*link) {
		struct paged_fault *other;

		parent = *link;
		other = rb_entry(parent, struct paged_fault, node);
		if (f->index == other->index) {
			f->leads = false;
			list_add_tail(&f->link, &other->others);
			return false;
		}
		link = f->index < other->index ? &parent->rb_left :
						 &parent->rb_right;
	}
	f->leads = true;
	rb_link_node(&f->node, parent, link);
	rb_insert_color(&f->node, &p->faults);
	if (!tell)
		return false;
	f->id = ++p->last_id;
	f->began = jiffies;
	p->nr_faults++;
	list_add_tail(&f->fresh, &p->fresh);
	paged_trace(p, f, MBUF_TRACE_FAULT_RAISED);
	return true;
}

/* Leave the line before its end. Under the region's lock. */
static void fault_withdraw(struct mbuf_paged *p, struct paged_fault *f)
{
	struct paged_fault *heir;

	p->waiting--;
	if (!f->leads) {
		list_del(&f->link);
		return;
	}
	heir = list_first_entry_or_null(&f->others, struct paged_fault, link);
	if (!heir) {
		paged_trace(p, f, MBUF_TRACE_FAULT_LEFT);
		fault_count_slow(p, f);
		rb_erase(&f->node, &p->faults);
		list_del(&f->fresh);
		return;
	}
	/* What the pager knows, or will be told, is about that one now. */
	heir->id = f->id;
	heir->began = f->began;
	heir->access = f->access;
	heir->slow = f->slow;
	heir->leads = true;
	list_del_init(&heir->link);
	list_splice_init(&f->others, &heir->others);
	rb_replace_node(&f->node, &heir->node, &p->faults);
	if (!list_empty(&f->fresh))
		list_replace_init(&f->fresh, &heir->fresh);
}

/* It has waited for MBUF_PAGER_SLOW_MS, and somebody listens. No locks held. */
static void fault_slow(struct mbuf_paged *p, struct paged_fault *f)
{
	unsigned long now = jiffies ?: 1;
	bool tell = false;

	xa_lock(&p->pages);
	/* Once for a page. */
	if (f->state == PAGED_WAITING && f->leads && f->id && !f->slow) {
		f->slow = true;
		p->nr_slow++;
		tell = !p->slow_told || time_after_eq(now, p->slow_told + HZ);
		if (tell)
			p->slow_told = now;
	}
	xa_unlock(&p->pages);
	if (tell)
		mbuf_node_notice(&p->node, MBUF_NOTICE_PAGER_SLOW, 0);
}

/* Returns the state; PAGED_WAITING if a signal has ended the wait. */
static int fault_sleep(struct mbuf_paged *p, struct paged_fault *f,
		       unsigned int mode)
{
	/* A timer costs more than all else here: only for who listens. */
	long left = mbuf_notices_wanted() ?
		    msecs_to_jiffies(MBUF_PAGER_SLOW_MS) : MAX_SCHEDULE_TIMEOUT;
	int state;

	for (;;) {
		set_current_state(mode);
		/* Pairs with the release in fault_finish(). */
		if (smp_load_acquire(&f->state) != PAGED_WAITING ||
		    signal_pending_state(mode, current))
			break;
		left = schedule_timeout(left);
		if (left)
			continue;
		fault_slow(p, f);
		left = MAX_SCHEDULE_TIMEOUT;
	}
	__set_current_state(TASK_RUNNING);
	/* Pairs with the release in fault_finish(). */
	state = smp_load_acquire(&f->state);
	if (state != PAGED_WAITING)
		return state;
	xa_lock(&p->pages);
	state = f->state;
	if (state == PAGED_WAITING)
		fault_withdraw(p, f);
	xa_unlock(&p->pages);
	return state;
}

/*
 * Who was refused
 *
 * A fault that has given up its lock has nothing to say but that it has to be
 * made again: its caller may go on with a mapping that is not there any more
 * otherwise, as mlockall() does. So it is noted down for the next time.
 */

static void refusal_note(struct mbuf_paged *p, pgoff_t index)
{
	struct paged_refusal *r;

	xa_lock(&p->pages);
	p->last_refusal = (p->last_refusal + 1) % PAGED_REFUSALS;
	r = &p->refusals[p->last_refusal];
	/* The oldest is forgotten: that one will ask again. */
	if (!r->start)
		WRITE_ONCE(p->nr_refusals, p->nr_refusals + 1);
	r->task = current;
	r->start = current->start_boottime;
	r->index = index;
	xa_unlock(&p->pages);
}

/*
 * Was the current task refused this page, when it tried the same access before?
 * It will not be told again. An access in user mode that is not a further try is
 * another one: a signal was handled before it came to that. page_mkwrite() is
 * not told, and takes all for one.
 */
static bool refusal_take(struct mbuf_paged *p, const struct vm_fault *vmf)
{
	bool found = false;
	unsigned int i;

	/* What it has noted itself it sees. */
	if (likely(!READ_ONCE(p->nr_refusals)))
		return false;
	xa_lock(&p->pages);
	for (i = 0; i < PAGED_REFUSALS; i++) {
		struct paged_refusal *r = &p->refusals[i];

		if (!r->start || r->task != current ||
		    r->start != current->start_boottime ||
		    r->index != vmf->pgoff)
			continue;
		r->start = 0;
		WRITE_ONCE(p->nr_refusals, p->nr_refusals - 1);
		found = true;
	}
	xa_unlock(&p->pages);
	return found && (vmf->flags & FAULT_FLAG_TRIED ||
			 !(vmf->flags & FAULT_FLAG_USER));
}

/* Pages that are there */

/* A page that may be mapped. Under the region's lock. */
static struct folio *page_there(struct mbuf_paged *p, pgoff_t index, bool write)
{
	struct folio *folio = xa_load(&p->pages, index);

	if (!folio || xa_get_mark(&p->pages, index, PAGED_BUSY) ||
	    (write && xa_get_mark(&p->pages, index, PAGED_ASK)))
		return NULL;
	return folio;
}

/* The same, locked and with a reference. */
static struct folio *page_get_locked(struct mbuf_paged *p, pgoff_t index,
				     bool write)
{
	struct folio *folio;

	xa_lock(&p->pages);
	folio = page_there(p, index, write);
	if (!folio)
		goto out;
	if (folio_trylock(folio)) {
		folio_get(folio);
		goto out;
	}
	/* Somebody else is mapping it, or takes it out. */
	paged_hold(folio);
	xa_unlock(&p->pages);
	folio_lock(folio);
	xa_lock(&p->pages);
	paged_release(folio);
	if (page_there(p, index, write) != folio) {
		folio_unlock(folio);
		folio_put(folio);
		folio = NULL;
	}
out:
	xa_unlock(&p->pages);
	return folio;
}

/*
 * Wait for the pager. Returns 0 if there is nothing to wait for, otherwise what
 * the fault is to return.
 */
static vm_fault_t paged_wait(struct vm_fault *vmf, struct mbuf_paged *p,
			     bool write)
{
	unsigned int mode = TASK_KILLABLE;
	struct paged_fault f = {
		.index = vmf->pgoff,
		.access = write ? MBUF_FAULT_WRITE : MBUF_FAULT_READ,
	};
	struct file *file;
	vm_fault_t ret;
	bool busy, tell;
	int state;

	xa_lock(&p->pages);
	ret = 0;
	if (page_there(p, f.index, write))
		goto unlock;
	/*
	 * Who cannot wait is told so: a debugger, for one, gets EIO. Nor does
	 * who is about to end, and can no longer be killed.
	 */
	ret = VM_FAULT_SIGBUS;
	if (p->dead || !(vmf->flags & FAULT_FLAG_ALLOW_RETRY) ||
	    current->flags & (PF_EXITING | PF_DUMPCORE))
		goto unlock;
	ret = VM_FAULT_RETRY;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		goto unlock;
	if (mbuf_fault_locks_vma(vmf)) {
		/* Come again with a lock that can be taken again below. */
		xa_unlock(&p->pages);
		mbuf_fault_unlock(vmf);
		return VM_FAULT_RETRY;
	}
	busy = xa_get_mark(&p->pages, f.index, PAGED_BUSY);
	if (!busy && xa_load(&p->pages, f.index))
		f.access |= MBUF_FAULT_PROTECTED;
	/* Of what is being taken out the pager will be told once it is. */
	tell = fault_link(p, &f, !busy);
	xa_unlock(&p->pages);

	/*
	 * The mapping may go away now, but not the region and the module: the
	 * file is put by fput(), which does that after we have returned.
	 */
	file = get_file(vmf->vma->vm_file);
	mbuf_fault_unlock(vmf);
	if (tell)
		wake_up_interruptible_poll(&p->bell, EPOLLIN | EPOLLRDNORM);

	/*
	 * A signal can be handled before the access is tried again only where
	 * that was made in user mode.
	 */
	if (vmf->flags & FAULT_FLAG_USER &&
	    vmf->flags & FAULT_FLAG_INTERRUPTIBLE)
		mode = TASK_INTERRUPTIBLE;
	state = fault_sleep(p, &f, mode);
	if (state == PAGED_REFUSED)
		refusal_note(p, f.index);
	fput(file);
	return ret;

unlock:
	xa_unlock(&p->pages);
	return ret;
}

/*
 * Who reads a page is likely to read those that follow. Map some that are there,
 * as the core does with files. They are locked meanwhile, so that this is like a
 * fault of each. If it does not work out they will have one.
 */
static void map_around(struct vm_fault *vmf, struct mbuf_paged *p)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long addr = (vmf->address & PAGE_MASK) + PAGE_SIZE;
	unsigned long max = min_t(unsigned long, AROUND,
				  (vma->vm_end - addr) >> PAGE_SHIFT);
	struct page *pages[AROUND];
	unsigned long nr = 0, left;

	xa_lock(&p->pages);
	for (; nr < max; nr++) {
		struct folio *folio = page_there(p, vmf->pgoff + 1 + nr, false);

		if (!folio || paged_private(folio) & PAGED_ALONE ||
		    !folio_trylock(folio))
			break;
		folio_get(folio);
		pages[nr] = folio_page(folio, 0);
	}
	xa_unlock(&p->pages);
	if (!nr)
		return;
	left = nr;
	vm_insert_pages(vma, addr, pages, &left);
	while (nr--) {
		struct folio *folio = page_folio(pages[nr]);

		folio_unlock(folio);
		folio_put(folio);
	}
}

static vm_fault_t paged_fault(struct vm_fault *vmf)
{
	struct mbuf_paged *p = mbuf_paged_of(vmf->vma->vm_file);
	bool write = vmf->flags & FAULT_FLAG_WRITE &&
		     vmf->vma->vm_flags & VM_SHARED;
	struct folio *folio;
	vm_fault_t ret;

	if (vmf->pgoff >= p->nr || refusal_take(p, vmf))
		return VM_FAULT_SIGBUS;
	do {
		folio = page_get_locked(p, vmf->pgoff, write);
		if (folio) {
			if (!(vmf->flags & FAULT_FLAG_WRITE) &&
			    vmf->vma->vm_flags & VM_MAYSHARE)
				map_around(vmf, p);
			vmf->page = folio_page(folio, 0);
			return VM_FAULT_LOCKED;
		}
		ret = paged_wait(vmf, p, write);
	} while (!ret);
	return ret;
}

/*
 * A page that is there becomes writable. Nobody may wait here, as the caller
 * would not know that it has no lock any more. So where somebody has to, the
 * page is unmapped, and the access, which is made again, faults.
 */
static vm_fault_t paged_mkwrite(struct vm_fault *vmf)
{
	struct mbuf_paged *p = mbuf_paged_of(vmf->vma->vm_file);
	struct folio *folio = page_folio(vmf->page);
	pgoff_t index = vmf->pgoff;
	bool may;

	/* While it waited to write, somebody has mapped the page to read it. */
	if (refusal_take(p, vmf))
		return VM_FAULT_SIGBUS;
	folio_lock(folio);
	xa_lock(&p->pages);
	may = page_there(p, index, true) == folio;
	if (may)
		__xa_set_mark(&p->pages, index, PAGED_DIRTY);
	xa_unlock(&p->pages);
	if (may)
		return VM_FAULT_LOCKED;
	folio_unlock(folio);
	unmap_mapping_pages(p->inode->i_mapping, index, 1, false);
	return VM_FAULT_NOPAGE;
}

/* The core's map_pages knows only the page cache: see map_around(). */
const struct vm_operations_struct mbuf_paged_vm_ops = {
	.fault		= paged_fault,
	.page_mkwrite	= paged_mkwrite,
};
