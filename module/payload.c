// SPDX-License-Identifier: GPL-2.0
#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "caps.h"
#include "payload.h"

/* Slots are allocated in pieces of this size; order 3 is not costly. */
#define CHUNK_BYTES	(8 * PAGE_SIZE)

/*
 * User-sized requests: fail instead of calling the OOM killer or filling the
 * log, and charge the memory cgroup.
 */
#define GFP_PAYLOAD	(GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_RETRY_MAYFAIL)

bool mbuf_uaddr_get_iter(const struct mbuf_uaddr *u, void *dst, size_t n)
{
	size_t done = copy_from_iter(dst, n, u->iter);

	if (done == n)
		return true;
	iov_iter_revert(u->iter, done);
	return false;
}

bool mbuf_uaddr_put_iter(const struct mbuf_uaddr *u, const void *src, size_t n)
{
	size_t done = copy_to_iter(src, n, u->iter);

	if (done == n)
		return true;
	iov_iter_revert(u->iter, done);
	return false;
}

/**
 * mbuf_uaddr_fault_in() - make pages present after a copy has failed
 * @u: the memory
 * @n: bytes that matter
 * @write: they are going to be written to
 *
 * The content is not changed. There is no promise that the next copy will not
 * fault again.
 *
 * Context: no locks held; sleeps for as long as user space likes, until killed.
 * Return: 0, -EFAULT if there is no such memory, -ERESTARTSYS for a signal.
 */
int mbuf_uaddr_fault_in(const struct mbuf_uaddr *u, size_t n, bool write)
{
	size_t left;

	if (fatal_signal_pending(current))
		return -ERESTARTSYS;

	if (u->iter)
		left = write ? fault_in_iov_iter_writeable(u->iter, n) :
			       fault_in_iov_iter_readable(u->iter, n);
	else
		left = write ? fault_in_safe_writeable(u->ptr, n) :
			       fault_in_readable(u->ptr, n);
	if (left) {
		/* A signal ends the wait for a page as if it did not exist. */
		return signal_pending(current) ? -ERESTARTSYS : -EFAULT;
	}
	cond_resched();
	return 0;
}

static size_t item_bytes(size_t len)
{
	return sizeof(struct mbuf_item) + len;
}

/* What is charged for a message of its own: about what allocating it takes. */
static size_t item_charge(size_t len)
{
	if (len <= MBUF_INLINE_MAX)
		return roundup_pow_of_two(item_bytes(len));
	return sizeof(struct mbuf_item) + PAGE_ALIGN(len);
}

/* Large payload has its own pages, or the item in front would spill it. */
static struct mbuf_item *item_alloc(size_t len)
{
	struct mbuf_item *item;

	if (len <= MBUF_INLINE_MAX) {
		item = kmalloc(item_bytes(len), GFP_PAYLOAD);
		if (item)
			item->data = item + 1;
		return item;
	}

	item = kmalloc(sizeof(*item), GFP_PAYLOAD);
	if (!item)
		return NULL;
	/* Contiguous if that is easy; no compacting of memory for a message. */
	item->data = kmalloc(len, GFP_KERNEL_ACCOUNT | __GFP_NOWARN |
				  __GFP_NORETRY);
	if (!item->data)
		item->data = kvmalloc(len, GFP_PAYLOAD);
	if (!item->data) {
		kfree(item);
		return NULL;
	}
	return item;
}

/**
 * mbuf_item_new() - allocate a message of its own
 * @len: bytes of payload
 *
 * Charged to the current user and memory cgroup.
 *
 * Context: may sleep.
 * Return: the message, or an error pointer: -ENOMEM, -EDQUOT.
 */
struct mbuf_item *mbuf_item_new(size_t len)
{
	struct mbuf_charge charge = { };
	struct mbuf_account *payer;
	struct mbuf_item *item;
	int err;

	payer = mbuf_account_get(current_cred());
	if (!payer)
		return ERR_PTR(-ENOMEM);

	charge.n[MBUF_RES_INFLIGHT] = item_charge(len);
	err = mbuf_charge(payer, &charge);
	if (err)
		goto put;

	err = -ENOMEM;
	item = item_alloc(len);
	if (!item)
		goto uncharge;

	item->payer = payer;
	item->len = len;
	item->room = len;
	item->prio = 0;
	item->kind = MBUF_ITEM_OWN;
	item->noted = 0;
	item->caps = NULL;
	return item;

uncharge:
	mbuf_uncharge(payer, &charge);
put:
	mbuf_account_put(payer);
	return ERR_PTR(err);
}

/**
 * mbuf_item_load() - copy payload into a message that nobody else sees
 * @item: the message; @item->len bytes are copied
 * @u: from where
 *
 * Context: no locks held.
 * Return: 0, -EFAULT, or -ERESTARTSYS for a signal.
 */
int mbuf_item_load(struct mbuf_item *item, const struct mbuf_uaddr *u)
{
	if (likely(mbuf_uaddr_get(u, item->data, item->len)))
		return 0;
	/* A signal ends the wait for a page as if it did not exist. */
	return signal_pending(current) ? -ERESTARTSYS : -EFAULT;
}

/**
 * mbuf_item_stamp() - note who sends a message, or when that is
 * @item: the message, of which that is not noted yet; the sender is the
 *	current task
 * @note: MBUF_NOTED_*
 */
void mbuf_item_stamp(struct mbuf_item *item, unsigned int note)
{
	if (note & MBUF_NOTED_CREDS) {
		item->pid = get_pid(task_tgid(current));
		current_euid_egid(&item->uid, &item->gid);
	}
	if (note & MBUF_NOTED_TIME)
		item->at = ktime_get_ns();
	item->noted |= note;
}

/**
 * mbuf_item_free() - free a message
 * @item: the message, in no list; may be NULL. If it is part of a chunk of
 *	slots, that stays, and only what the message refers to goes
 *
 * Context: may sleep.
 */
void mbuf_item_free(struct mbuf_item *item)
{
	if (!item)
		return;
	mbuf_item_forget(item);
	if (item->kind == MBUF_ITEM_SLOT)
		return;
	if (item->kind == MBUF_ITEM_OWN) {
		struct mbuf_charge charge = { };

		charge.n[MBUF_RES_INFLIGHT] = item_charge(item->room);
		mbuf_uncharge(item->payer, &charge);
		mbuf_account_put(item->payer);
		if (item->caps)
			mbuf_caps_drop(item->caps);
		if (item->room > MBUF_INLINE_MAX)
			kvfree(item->data);
	}
	kfree(item);
}

/**
 * mbuf_item_free_all() - free messages
 * @list: the first, linked through next; may be NULL
 *
 * Context: may sleep.
 */
void mbuf_item_free_all(struct mbuf_item *list)
{
	while (list) {
		struct mbuf_item *item = list;

		list = item->next;
		mbuf_item_free(item);
		cond_resched();
	}
}

static unsigned int slot_bytes(unsigned int size)
{
	return ALIGN(item_bytes(size), 64);
}

static unsigned int slots_per_chunk(unsigned int size)
{
	return max_t(unsigned int, 1, CHUNK_BYTES / slot_bytes(size));
}

/* Memory that a chunk of @n slots takes; the allocator rounds. */
static size_t chunk_bytes(unsigned int n, unsigned int size)
{
	return roundup_pow_of_two(n * slot_bytes(size));
}

/**
 * mbuf_slots_bytes() - memory that slots take
 * @nr: how many messages the object holds
 * @size: bytes of payload of each
 *
 * Return: bytes, including the bookkeeping.
 */
u64 mbuf_slots_bytes(unsigned int nr, unsigned int size)
{
	unsigned int per_chunk = slots_per_chunk(size), slots = nr + 1;
	u64 bytes = DIV_ROUND_UP(slots, per_chunk) * sizeof(void *);

	bytes += (u64)(slots / per_chunk) * chunk_bytes(per_chunk, size);
	if (slots % per_chunk)
		bytes += chunk_bytes(slots % per_chunk, size);
	return bytes;
}

/**
 * mbuf_slots_init() - allocate slots
 * @s: result
 * @nr: how many messages the object holds; there is one spare besides
 * @size: bytes of payload of each
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int mbuf_slots_init(struct mbuf_slots *s, unsigned int nr, unsigned int size)
{
	unsigned int per_chunk = slots_per_chunk(size), left = nr + 1;

	s->free = NULL;
	s->nr_free = 0;
	s->nr_keep = nr;
	s->size = size;
	s->nr_chunks = 0;
	s->chunks = kvcalloc(DIV_ROUND_UP(left, per_chunk), sizeof(*s->chunks),
			     GFP_PAYLOAD);
	if (!s->chunks)
		return -ENOMEM;

	while (left) {
		unsigned int i, n = min(left, per_chunk);
		void *chunk = kmalloc(n * slot_bytes(size), GFP_PAYLOAD);

		if (!chunk) {
			mbuf_slots_destroy(s);
			return -ENOMEM;
		}
		s->chunks[s->nr_chunks++] = chunk;
		/* The lowest address ends up first in the list. */
		for (i = n; i--; ) {
			struct mbuf_item *item = chunk + i * slot_bytes(size);

			item->kind = MBUF_ITEM_SLOT;
			item->noted = 0;
			item->caps = NULL;
			item->data = item + 1;
			item->next = s->free;
			s->free = item;
		}
		s->nr_free += n;
		left -= n;
		cond_resched();
	}
	return 0;
}

/**
 * mbuf_slots_destroy() - free all slots
 * @s: the slots, none of which is in use
 *
 * Context: may sleep.
 */
void mbuf_slots_destroy(struct mbuf_slots *s)
{
	struct mbuf_item *item, *next;

	for (item = s->free; item; item = next) {
		next = item->next;
		if (item->kind == MBUF_ITEM_SPARE)
			kfree(item);
		cond_resched();
	}
	s->free = NULL;
	while (s->nr_chunks) {
		kfree(s->chunks[--s->nr_chunks]);
		cond_resched();
	}
	kvfree(s->chunks);
	s->chunks = NULL;
}

/**
 * mbuf_slots_new_spare() - allocate a slot by itself
 * @s: the slots it has to fit
 *
 * Context: may sleep.
 * Return: the slot, or NULL.
 */
struct mbuf_item *mbuf_slots_new_spare(const struct mbuf_slots *s)
{
	struct mbuf_item *item = kmalloc(slot_bytes(s->size), GFP_PAYLOAD);

	if (item) {
		item->kind = MBUF_ITEM_SPARE;
		item->noted = 0;
		item->caps = NULL;
		item->data = item + 1;
	}
	return item;
}

/* The less usual part of mbuf_slots_give(). */
struct mbuf_item *mbuf_slots_give_slow(struct mbuf_slots *s,
				       struct mbuf_item *item)
{
	if (item->kind == MBUF_ITEM_OWN)
		return item;
	mbuf_item_forget(item);
	/* What is kept has been charged: no more than there was at first. */
	if (item->kind == MBUF_ITEM_SPARE && s->nr_free > s->nr_keep)
		return item;
	item->next = s->free;
	s->free = item;
	s->nr_free++;
	return NULL;
}
