// SPDX-License-Identifier: GPL-2.0
/*
 * Paged regions: the pager's descriptor.
 *
 * Its buffers may be missing pages themselves, for as long as somebody likes.
 * So nothing is copied under a lock. What it can keep waiting are its clients.
 */
#include <linux/pagemap.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include "paged_priv.h"
#include "queue.h"
#include "wait.h"

/* Sizes of the first version of each struct. */
#define FAULT_SIZE_V0	40
#define FAULTS_SIZE_V0	48
#define SUPPLY_SIZE_V0	56
#define REFUSE_SIZE_V0	24
#define EVICT_SIZE_V0	80
#define PROTECT_SIZE_V0	40
#define PAGES_SIZE_V0	40
#define INFO_SIZE_V0	80

#define STRIDE_MAX	256

/* What is done in one go. */
#define FAULTS_CHUNK	8
#define PAGES_CHUNK	32
#define STATES_CHUNK	256

/* Part of a region */

static int range_check(const struct mbuf_paged *p, u64 offset, u64 size)
{
	u64 all = (u64)p->nr << PAGE_SHIFT;

	if ((offset | size) & ~PAGE_MASK || !size || offset > all ||
	    size > all - offset)
		return -EINVAL;
	return 0;
}

static int range_ptr(u64 addr, u64 size, void __user **ptr)
{
	*ptr = u64_to_user_ptr(addr);
	if ((uintptr_t)addr != addr || (size_t)size != size ||
	    !access_ok(*ptr, size))
		return -EFAULT;
	return 0;
}

/* FAULTS */

/* Under the region's lock. */
static int faults_ready(struct mbuf_paged *p)
{
	if (!list_empty(&p->fresh))
		return 0;
	return p->clients ? -EAGAIN : -EPIPE;
}

/* Somebody else may have to take what is left. */
static void faults_pass_on(struct mbuf_paged *p)
{
	if (!list_empty_careful(&p->fresh))
		wake_up_interruptible_poll(&p->bell, EPOLLIN | EPOLLRDNORM);
}

static int faults_wait(struct mbuf_paged *p,
		       const struct mbuf_deadline *deadline)
{
	bool expired = false;
	DEFINE_WAIT(wait);
	int err;

	xa_lock(&p->pages);
	err = faults_ready(p);
	xa_unlock(&p->pages);
	if (err != -EAGAIN || deadline->mode == MBUF_WAIT_NOW)
		return err;

	for (;;) {
		prepare_to_wait_exclusive(&p->bell, &wait, TASK_INTERRUPTIBLE);
		xa_lock(&p->pages);
		err = faults_ready(p);
		xa_unlock(&p->pages);
		if (err != -EAGAIN)
			break;
		if (expired) {
			err = -ETIMEDOUT;
			break;
		}
		if (signal_pending(current)) {
			err = -ERESTARTSYS;
			break;
		}
		if (deadline->mode == MBUF_WAIT_FOREVER)
			schedule();
		else
			expired = !__mbuf_sleep_until(deadline->at);
	}
	finish_wait(&p->bell, &wait);
	/* Who was woken for a message, and leaves without it. */
	if (err)
		faults_pass_on(p);
	return err;
}

/* Forget that any were taken. */
static void faults_again(struct mbuf_paged *p)
{
	struct rb_node *node;

	xa_lock(&p->pages);
	for (node = rb_first(&p->faults); node; node = rb_next(node)) {
		struct paged_fault *f = rb_entry(node, struct paged_fault,
						 node);

		if (f->id && list_empty(&f->fresh))
			list_add_tail(&f->fresh, &p->fresh);
	}
	xa_unlock(&p->pages);
}

static unsigned int faults_take(struct mbuf_paged *p, struct mbuf_fault *to,
				unsigned int max)
{
	struct pid_namespace *ns = task_active_pid_ns(current);
	struct paged_fault *f, *next;
	unsigned int nr = 0;

	xa_lock(&p->pages);
	list_for_each_entry_safe(f, next, &p->fresh, fresh) {
		if (nr == max)
			break;
		list_del_init(&f->fresh);
		to[nr++] = (struct mbuf_fault) {
			.id = f->id,
			.region = p->id,
			.offset = (u64)f->index << PAGE_SHIFT,
			.access = f->access,
			.pid = task_tgid_nr_ns(f->task, ns),
			.tid = task_pid_nr_ns(f->task, ns),
		};
	}
	xa_unlock(&p->pages);
	return nr;
}

/* They could not be told: the last of them first. */
static void faults_put_back(struct mbuf_paged *p,
			    const struct mbuf_fault *from, unsigned int nr)
{
	xa_lock(&p->pages);
	while (nr--) {
		struct paged_fault *f;

		f = mbuf_paged_find(p, from[nr].offset >> PAGE_SHIFT);
		if (f && f->id == from[nr].id && list_empty(&f->fresh))
			list_add(&f->fresh, &p->fresh);
	}
	xa_unlock(&p->pages);
}

static long pager_faults(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_paged *p = file->private_data;
	struct mbuf_fault faults[FAULTS_CHUNK];
	unsigned int nr, i, done = 0;
	struct mbuf_deadline deadline;
	struct mbuf_faults a;
	void __user *to;
	int err;

	BUILD_BUG_ON(sizeof(a) != FAULTS_SIZE_V0);
	BUILD_BUG_ON(sizeof(faults[0]) != FAULT_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), FAULTS_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.flags & ~MBUF_FAULTS_AGAIN || a.resv || !a.nr ||
	    a.nr > MBUF_BATCH_MAX || a.stride < FAULT_SIZE_V0 ||
	    a.stride > STRIDE_MAX || a.stride % 8)
		return -EINVAL;
	err = mbuf_deadline_get(&deadline, &a.wait) ?:
	      range_ptr(a.faults, (u64)a.nr * a.stride, &to);
	if (err)
		return err;
	if (file->f_flags & O_NONBLOCK)
		deadline.mode = MBUF_WAIT_NOW;

	if (a.flags & MBUF_FAULTS_AGAIN)
		faults_again(p);
	do {
		err = faults_wait(p, &deadline);
		if (err)
			return err;
		/* Another thread may have been faster. */
		nr = faults_take(p, faults, min(a.nr, FAULTS_CHUNK));
	} while (!nr);
	while (nr) {
		for (i = 0; i < nr && !err; i++) {
			if (copy_to_user(to + (done + i) * a.stride, &faults[i],
					 sizeof(faults[i])))
				err = -EFAULT;
		}
		if (err) {
			i--;
			faults_put_back(p, faults + i, nr - i);
			done += i;
			break;
		}
		done += nr;
		if (done == a.nr || nr < FAULTS_CHUNK)
			break;
		nr = faults_take(p, faults, min(a.nr - done, FAULTS_CHUNK));
	}
	faults_pass_on(p);
	return done ?: err;
}

/* SUPPLY */

static struct folio *supply_alloc(const void __user *data, bool zero)
{
	gfp_t gfp = GFP_USER | __GFP_ACCOUNT | __GFP_RETRY_MAYFAIL |
		    __GFP_NOWARN;
	struct folio *folio;

	folio = folio_alloc(zero ? gfp | __GFP_ZERO : gfp, 0);
	if (!folio)
		return ERR_PTR(-ENOMEM);
	if (!zero && copy_from_user(folio_address(folio), data, PAGE_SIZE)) {
		folio_put(folio);
		return ERR_PTR(-EFAULT);
	}
	flush_dcache_folio(folio);
	folio->private = NULL;
	return folio;
}

/* Returns 1 if the page was supplied, 0 if it was there. */
static int supply_page(struct mbuf_paged *p, pgoff_t index,
		       const void __user *data, u32 flags)
{
	struct folio *folio;
	int err;

	folio = supply_alloc(data, flags & MBUF_SUPPLY_ZERO);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	folio->mapping = p->inode->i_mapping;
	folio->index = index;
	xa_lock(&p->pages);
	err = __xa_insert(&p->pages, index, folio, GFP_KERNEL);
	if (!err) {
		if (flags & MBUF_SUPPLY_PROTECT)
			__xa_set_mark(&p->pages, index, PAGED_ASK);
		p->resident++;
		p->nr_supplied++;
		if (!RB_EMPTY_ROOT(&p->faults))
			mbuf_paged_wake(p, index, MBUF_TRACE_FAULT_SUPPLIED);
	}
	xa_unlock(&p->pages);
	if (!err)
		return 1;
	paged_drop(folio);
	return err == -EBUSY ? 0 : err;
}

/* The next page that is there; a guess, as it can be evicted or supplied. */
static pgoff_t supply_next(struct mbuf_paged *p, pgoff_t from, pgoff_t end)
{
	unsigned long index = from;

	if (from >= end || !xa_find(&p->pages, &index, end - 1, XA_PRESENT))
		return end;
	return index;
}

static long pager_supply(struct mbuf_paged *p, void __user *arg, size_t size)
{
	struct mbuf_charge charge = {};
	struct mbuf_supply a;
	pgoff_t first, n, i, there;
	u64 supplied = 0;
	int err = 0, ret;
	void __user *data;

	BUILD_BUG_ON(sizeof(a) != SUPPLY_SIZE_V0);

	ret = mbuf_ioctl_get(&a, sizeof(a), SUPPLY_SIZE_V0, arg, size);
	if (ret)
		return ret;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.resv || a.flags & ~(MBUF_SUPPLY_ZERO | MBUF_SUPPLY_PROTECT) ||
	    (a.flags & MBUF_SUPPLY_ZERO && a.data))
		return -EINVAL;
	ret = range_check(p, a.offset, a.size) ?:
	      range_ptr(a.data, a.flags & MBUF_SUPPLY_ZERO ? 0 : a.size, &data);
	if (ret)
		return ret;
	first = a.offset >> PAGE_SHIFT;
	n = a.size >> PAGE_SHIFT;
	/*
	 * That one page was done is told before it is, as it cannot be undone.
	 * If more than that cannot be told in the end, to be supplied with what
	 * is there does no harm.
	 */
	a.done = PAGE_SIZE;
	a.supplied = 1;
	ret = mbuf_ioctl_put(arg, size, &a, sizeof(a));
	if (ret)
		return ret;

	there = supply_next(p, first, first + n);
	for (i = 0; i < n; i++) {
		pgoff_t chunk = min_t(pgoff_t, n - i, PAGES_CHUNK);

		/* For some at a time; what was too much goes back. */
		if (i % PAGES_CHUNK == 0) {
			charge.n[MBUF_RES_MEMORY] = chunk * PAGE_SIZE;
			err = mbuf_charge(p->payer, &charge);
			if (err) {
				charge.n[MBUF_RES_MEMORY] = 0;
				break;
			}
		}
		if (i && signal_pending(current))
			break;
		ret = 0;
		if (first + i != there)
			ret = supply_page(p, first + i, data + i * PAGE_SIZE,
					  a.flags);
		else
			there = supply_next(p, first + i + 1, first + n);
		if (ret < 0) {
			err = ret;
			break;
		}
		if (ret) {
			charge.n[MBUF_RES_MEMORY] -= PAGE_SIZE;
			supplied++;
		}
		if ((i + 1) % PAGES_CHUNK == 0 || i + 1 == n) {
			mbuf_uncharge(p->payer, &charge);
			charge.n[MBUF_RES_MEMORY] = 0;
			cond_resched();
		}
	}
	mbuf_uncharge(p->payer, &charge);
	if (!i)
		return err;
	a.done = (u64)i << PAGE_SHIFT;
	a.supplied = supplied;
	ret = mbuf_ioctl_put(arg, size, &a, sizeof(a));
	return supplied ? 0 : ret;
}

/* REFUSE */

static long pager_refuse(struct mbuf_paged *p, void __user *arg, size_t size)
{
	struct paged_fault *f;
	struct mbuf_refuse a;
	pgoff_t index;
	bool busy;
	int err;

	BUILD_BUG_ON(sizeof(a) != REFUSE_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), REFUSE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.offset >> PAGE_SHIFT >= p->nr || a.offset & ~PAGE_MASK)
		return -ENOENT;

	index = a.offset >> PAGE_SHIFT;
	err = -ENOENT;
	xa_lock(&p->pages);
	f = mbuf_paged_find(p, index);
	if (f && f->id && f->id == a.id) {
		p->nr_refused++;
		/* Others may wait for nothing but the end of an EVICT. */
		busy = xa_get_mark(&p->pages, index, PAGED_BUSY);
		mbuf_paged_end(p, f, PAGED_REFUSED,
			       busy ? PAGED_AGAIN : PAGED_REFUSED,
			       MBUF_TRACE_FAULT_REFUSED);
		err = 0;
	}
	xa_unlock(&p->pages);
	return err;
}

/* Pages that are there */

/* Under the region's lock. */
static u8 page_state(struct mbuf_paged *p, pgoff_t index)
{
	struct folio *folio = xa_load(&p->pages, index);
	u8 state = MBUF_PAGE_RESIDENT;

	if (!folio)
		return 0;
	if (paged_mapped(folio))
		state |= MBUF_PAGE_MAPPED;
	if (xa_get_mark(&p->pages, index, PAGED_DIRTY))
		state |= MBUF_PAGE_DIRTY;
	if (xa_get_mark(&p->pages, index, PAGED_ASK))
		state |= MBUF_PAGE_PROTECTED;
	if (xa_get_mark(&p->pages, index, PAGED_BUSY))
		state |= MBUF_PAGE_BUSY;
	return state;
}

/*
 * Nobody who has seen how it was before is mapping one of these any more: see
 * paged.h. So now all can be unmapped.
 */
static void pages_unmap(struct mbuf_paged *p, struct folio **folios,
			pgoff_t first, unsigned int nr)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!folios[i])
			continue;
		folio_lock(folios[i]);
		folio_unlock(folios[i]);
		any = true;
	}
	if (any)
		unmap_mapping_pages(p->inode->i_mapping, first, nr, false);
}

/* EVICT */

/**
 * struct evict - an EVICT under way
 * @p: the region
 * @drop: the content goes nowhere
 * @tell: there is an array for states
 * @data: where the content goes
 * @states: where states go
 * @arg: where the results go
 * @size: its size as the command says
 * @a: results so far
 */
struct evict {
	struct mbuf_paged *p;
	bool drop;
	bool tell;
	void __user *data;
	u8 __user *states;
	void __user *arg;
	size_t size;
	struct mbuf_evict a;
};

/* Let nobody map them. Those that can be evicted are in @folios. */
static void evict_begin(struct mbuf_paged *p, struct folio **folios, u8 *states,
			pgoff_t first, unsigned int nr)
{
	unsigned int i;

	xa_lock(&p->pages);
	for (i = 0; i < nr; i++) {
		folios[i] = NULL;
		states[i] = page_state(p, first + i);
		if (!states[i] || states[i] & MBUF_PAGE_BUSY)
			continue;
		__xa_set_mark(&p->pages, first + i, PAGED_BUSY);
		folios[i] = xa_load(&p->pages, first + i);
	}
	xa_unlock(&p->pages);
}

/* It stays. */
static void evict_cancel(struct mbuf_paged *p, pgoff_t index)
{
	xa_lock(&p->pages);
	__xa_clear_mark(&p->pages, index, PAGED_BUSY);
	mbuf_paged_wake(p, index, MBUF_TRACE_FAULT_AGAIN);
	xa_unlock(&p->pages);
}

static int evict_one(struct evict *e, struct folio *folio, u8 *state,
		     pgoff_t index, u64 nth)
{
	struct mbuf_paged *p = e->p;
	struct mbuf_evict a;
	bool in_use;

	xa_lock(&p->pages);
	in_use = paged_in_use(folio);
	/* It is in no page table: that is final now. */
	*state = page_state(p, index) & ~MBUF_PAGE_BUSY;
	xa_unlock(&p->pages);
	if (in_use) {
		*state |= MBUF_PAGE_BUSY;
		return 0;
	}
	if (!e->drop) {
		flush_dcache_folio(folio);
		if (copy_to_user(e->data + nth * PAGE_SIZE,
				 folio_address(folio), PAGE_SIZE))
			return -EFAULT;
	}
	*state = (*state & ~MBUF_PAGE_RESIDENT) | MBUF_PAGE_EVICTED;
	/* All is told before it is done, as it cannot be undone. */
	if (e->tell && put_user(*state, e->states + nth))
		return -EFAULT;
	a = e->a;
	a.done = (nth + 1) << PAGE_SHIFT;
	a.evicted++;
	if (*state & MBUF_PAGE_DIRTY)
		a.dirty++;
	if (mbuf_ioctl_put(e->arg, e->size, &a, sizeof(a)))
		return -EFAULT;
	e->a = a;

	xa_lock(&p->pages);
	__xa_erase(&p->pages, index);
	p->resident--;
	p->nr_evicted++;
	mbuf_paged_wake(p, index, MBUF_TRACE_FAULT_AGAIN);
	xa_unlock(&p->pages);
	paged_drop(folio);
	return 1;
}

/* Returns how many pages have been gone through; *@err if that is not all. */
static unsigned int evict_chunk(struct evict *e, pgoff_t first, unsigned int nr,
				u64 nth, int *err)
{
	struct folio *folios[PAGES_CHUNK];
	struct mbuf_charge charge = {};
	struct mbuf_paged *p = e->p;
	u8 states[PAGES_CHUNK];
	unsigned int i, done;
	int ret;

	evict_begin(p, folios, states, first, nr);
	pages_unmap(p, folios, first, nr);
	for (i = 0; i < nr; i++) {
		ret = 0;
		if (folios[i])
			ret = evict_one(e, folios[i], &states[i], first + i,
					nth + i);
		if (ret > 0) {
			folios[i] = NULL;
			charge.n[MBUF_RES_MEMORY] += PAGE_SIZE;
			continue;
		}
		if (!ret && e->tell &&
		    put_user(states[i], e->states + nth + i))
			ret = -EFAULT;
		if (ret) {
			*err = ret;
			break;
		}
		if (states[i] & MBUF_PAGE_BUSY)
			e->a.busy++;
	}
	done = i;
	/* Those that were not evicted. */
	for (i = 0; i < nr; i++) {
		if (folios[i])
			evict_cancel(p, first + i);
	}
	mbuf_uncharge(p->payer, &charge);
	return done;
}

static long pager_evict(struct mbuf_paged *p, void __user *arg, size_t size)
{
	struct evict e = { .p = p, .arg = arg, .size = size };
	struct mbuf_evict *a = &e.a;
	pgoff_t first, n, i = 0;
	void __user *states;
	int err;

	BUILD_BUG_ON(sizeof(*a) != EVICT_SIZE_V0);

	err = mbuf_ioctl_get(a, sizeof(*a), EVICT_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a->target)
		return -EOPNOTSUPP;
	if (a->resv || a->flags & ~MBUF_EVICT_DROP ||
	    (a->flags & MBUF_EVICT_DROP && a->data))
		return -EINVAL;
	err = range_check(p, a->offset, a->size);
	if (err)
		return err;
	first = a->offset >> PAGE_SHIFT;
	n = a->size >> PAGE_SHIFT;
	e.drop = a->flags & MBUF_EVICT_DROP;
	e.tell = a->states;
	err = range_ptr(a->data, e.drop ? 0 : a->size, &e.data) ?:
	      range_ptr(a->states, e.tell ? n : 0, &states);
	if (err)
		return err;
	e.states = states;
	a->evicted = 0;
	a->dirty = 0;
	a->busy = 0;

	while (i < n) {
		unsigned int nr = min_t(pgoff_t, n - i, PAGES_CHUNK);
		unsigned int done;

		if (i && signal_pending(current))
			break;
		done = evict_chunk(&e, first + i, nr, i, &err);
		i += done;
		if (done < nr)
			break;
		cond_resched();
	}
	if (!i)
		return err;
	if (!a->evicted && a->busy)
		return -EBUSY;
	a->done = (u64)i << PAGE_SHIFT;
	err = mbuf_ioctl_put(arg, size, a, sizeof(*a));
	return a->evicted ? 0 : err;
}

/* PROTECT */

static void protect_begin(struct mbuf_paged *p, struct folio **folios,
			  pgoff_t first, unsigned int nr, u32 flags)
{
	unsigned int i;

	xa_lock(&p->pages);
	for (i = 0; i < nr; i++) {
		pgoff_t index = first + i;
		u8 state = page_state(p, index);

		folios[i] = NULL;
		if (!state || state & MBUF_PAGE_BUSY)
			continue;
		folios[i] = xa_load(&p->pages, index);
		paged_hold(folios[i]);
		if (flags & MBUF_PROTECT_UNMAP)
			paged_private_set(folios[i], paged_private(folios[i]) |
						     PAGED_ALONE);
		if (flags & MBUF_PROTECT_CLEAN)
			__xa_clear_mark(&p->pages, index, PAGED_DIRTY);
		if (flags & MBUF_PROTECT_ASK) {
			__xa_set_mark(&p->pages, index, PAGED_ASK);
		} else if (state & MBUF_PAGE_PROTECTED) {
			__xa_clear_mark(&p->pages, index, PAGED_ASK);
			mbuf_paged_wake(p, index, MBUF_TRACE_FAULT_AGAIN);
		}
	}
	xa_unlock(&p->pages);
}

/* Is it used other than through page tables? Then it may be written to yet. */
static bool protect_end(struct mbuf_paged *p, struct folio *folio,
			pgoff_t index, u32 flags)
{
	bool busy = false;

	/* Nobody is about to map it. */
	folio_lock(folio);
	xa_lock(&p->pages);
	if (flags & MBUF_PROTECT_CLEAN && xa_load(&p->pages, index) == folio) {
		busy = folio_ref_count(folio) >
		       paged_refs(folio) + paged_mapped(folio);
		if (busy)
			__xa_set_mark(&p->pages, index, PAGED_DIRTY);
	}
	paged_release(folio);
	xa_unlock(&p->pages);
	folio_unlock(folio);
	folio_put(folio);
	return busy;
}

static long pager_protect(struct mbuf_paged *p, void __user *arg, size_t size)
{
	struct folio *folios[PAGES_CHUNK];
	struct mbuf_protect a;
	pgoff_t first, n, i;
	int err;

	BUILD_BUG_ON(sizeof(a) != PROTECT_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), PROTECT_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.resv || a.flags & ~(MBUF_PROTECT_CLEAN | MBUF_PROTECT_ASK |
				 MBUF_PROTECT_UNMAP))
		return -EINVAL;
	err = range_check(p, a.offset, a.size);
	if (err)
		return err;
	first = a.offset >> PAGE_SHIFT;
	n = a.size >> PAGE_SHIFT;

	a.busy = 0;
	for (i = 0; i < n; i += PAGES_CHUNK) {
		unsigned int nr = min_t(pgoff_t, n - i, PAGES_CHUNK), j;

		protect_begin(p, folios, first + i, nr, a.flags);
		if (a.flags)
			pages_unmap(p, folios, first + i, nr);
		for (j = 0; j < nr; j++) {
			if (folios[j] && protect_end(p, folios[j],
						     first + i + j, a.flags))
				a.busy++;
		}
		cond_resched();
		/* To be done once more from the beginning does no harm. */
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return mbuf_ioctl_put(arg, size, &a, sizeof(a));
}

/* PAGES */

static long pager_pages(struct mbuf_paged *p, void __user *arg, size_t size)
{
	u8 states[STATES_CHUNK];
	struct mbuf_pages a;
	pgoff_t first, n, i;
	void __user *to;
	int err;

	BUILD_BUG_ON(sizeof(a) != PAGES_SIZE_V0);

	err = mbuf_ioctl_get(&a, sizeof(a), PAGES_SIZE_V0, arg, size);
	if (err)
		return err;
	if (a.target)
		return -EOPNOTSUPP;
	if (a.flags || a.resv)
		return -EINVAL;
	err = range_check(p, a.offset, a.size);
	if (err)
		return err;
	first = a.offset >> PAGE_SHIFT;
	n = a.size >> PAGE_SHIFT;
	err = range_ptr(a.states, n, &to);
	if (err)
		return err;

	for (i = 0; i < n; i += STATES_CHUNK) {
		unsigned int nr = min_t(pgoff_t, n - i, STATES_CHUNK), j;

		xa_lock(&p->pages);
		for (j = 0; j < nr; j++)
			states[j] = page_state(p, first + i + j);
		xa_unlock(&p->pages);
		if (copy_to_user(to + i, states, nr))
			return -EFAULT;
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/* PAGED_INFO */

static long pager_info(struct mbuf_paged *p, void __user *arg, size_t size)
{
	struct mbuf_paged_info info;
	int err;

	BUILD_BUG_ON(sizeof(info) != INFO_SIZE_V0);

	err = mbuf_ioctl_get(&info, sizeof(info), INFO_SIZE_V0, arg, size);
	if (err)
		return err;
	if (info.target)
		return -EOPNOTSUPP;
	mbuf_paged_tell(p, &info);
	return mbuf_ioctl_put(arg, size, &info, sizeof(info));
}

/* The file */

static long pager_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct mbuf_paged *p = file->private_data;
	void __user *uarg = (void __user *)arg;
	size_t size = _IOC_SIZE(cmd);

	if (!mbuf_ioctl_known(cmd))
		return -ENOTTY;
	switch (_IOC_NR(cmd)) {
	case _IOC_NR(MBUF_IOC_FAULTS):
		return pager_faults(file, uarg, size);
	case _IOC_NR(MBUF_IOC_SUPPLY):
		return pager_supply(p, uarg, size);
	case _IOC_NR(MBUF_IOC_REFUSE):
		return pager_refuse(p, uarg, size);
	case _IOC_NR(MBUF_IOC_EVICT):
		return pager_evict(p, uarg, size);
	case _IOC_NR(MBUF_IOC_PROTECT):
		return pager_protect(p, uarg, size);
	case _IOC_NR(MBUF_IOC_PAGES):
		return pager_pages(p, uarg, size);
	case _IOC_NR(MBUF_IOC_PAGED_INFO):
		return pager_info(p, uarg, size);
	default:
		return -ENOTTY;
	}
}

static __poll_t pager_poll(struct file *file, poll_table *wait)
{
	struct mbuf_paged *p = file->private_data;
	__poll_t events = 0;

	poll_wait(file, &p->bell, wait);
	xa_lock(&p->pages);
	if (!list_empty(&p->fresh))
		events |= EPOLLIN | EPOLLRDNORM;
	if (!p->clients)
		events |= EPOLLHUP;
	xa_unlock(&p->pages);
	return events;
}

static int pager_release(struct inode *inode, struct file *file)
{
	struct mbuf_paged *p = file->private_data;

	xa_lock(&p->pages);
	WRITE_ONCE(p->dead, true);
	mbuf_paged_end_all(p);
	xa_unlock(&p->pages);
	mbuf_paged_put(p);
	return 0;
}

static void pager_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct mbuf_paged_info info;

	mbuf_paged_tell(file->private_data, &info);
	seq_puts(m, "mbuf-type:\tpager\n");
	seq_printf(m, "mbuf-id:\t%016llx\n", info.id);
	seq_printf(m, "mbuf-size:\t%llu\n", info.size);
	seq_printf(m, "mbuf-clients:\t%u\n", info.clients);
	seq_printf(m, "mbuf-resident:\t%llu\n", info.resident);
	seq_printf(m, "mbuf-waiting:\t%llu\n", info.waiting);
	seq_printf(m, "mbuf-faults:\t%llu\n", info.faults);
	seq_printf(m, "mbuf-supplied:\t%llu\n", info.supplied);
	seq_printf(m, "mbuf-evicted:\t%llu\n", info.evicted);
	seq_printf(m, "mbuf-refused:\t%llu\n", info.refused);
}

const struct file_operations mbuf_pager_fops = {
	.owner		= THIS_MODULE,
	.release	= pager_release,
	.poll		= pager_poll,
	.unlocked_ioctl	= pager_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= pager_show_fdinfo,
};
