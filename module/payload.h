/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages in the kernel: how payload is copied, and where it is kept.
 *
 * Copying. A user page may have to be faulted in, and user space decides how
 * long that takes (userfaultfd, FUSE): for ever, if it likes. So payload is
 * never copied with page faults enabled while anybody else could be kept
 * waiting. mbuf_uaddr_get() and mbuf_uaddr_put() copy under an object's lock
 * with page faults disabled; if a page is missing they fail, the caller drops
 * the lock, faults the page in, and starts again from the beginning. That can
 * repeat, but it costs only the caller, who can be killed.
 *
 * Keeping. A message is a struct mbuf_item and its payload. Small ones live in
 * slots, which an object allocates when it is made, so that nothing
 * has to be allocated to send them. Others are allocated by their sender,
 * outside of locks, and are charged to it until they are freed.
 *
 * Slots have a fixed number for the messages in the queue, and some more for
 * those that have left it and that a receiver has not copied out yet: see
 * mbuf_slots_take_spare().
 *
 * Locking: a struct mbuf_slots and the messages in an object are protected by
 * the object's lock; an item that is in nobody's list belongs to who holds it.
 */
#ifndef _MBUF_PAYLOAD_H
#define _MBUF_PAYLOAD_H

#include <linux/pid.h>
#include <linux/types.h>
#include <linux/uaccess.h>
#include <linux/uidgid.h>
#include <linux/uio.h>
#include "quota.h"

struct mbuf_caps;

/* Messages up to this size live in slots. */
#define MBUF_INLINE_MAX	4096

/*
 * How often a page may be found missing again right after it was faulted in.
 * There are architectures and stable kernels on which faulting in reports
 * success for memory that cannot be copied to; then this ends it.
 */
#define MBUF_FAULTS_MAX	64

/**
 * struct mbuf_uaddr - where payload comes from or goes to in user space
 * @ptr: the address, if @iter is NULL
 * @iter: or an iterator
 * @len: bytes
 */
struct mbuf_uaddr {
	void __user *ptr;
	struct iov_iter *iter;
	size_t len;
};

/* Where an item's memory comes from. */
enum mbuf_item_kind {
	MBUF_ITEM_SLOT,		/* part of a chunk of slots */
	MBUF_ITEM_SPARE,	/* a slot allocated by itself */
	MBUF_ITEM_OWN,		/* not a slot: sized for its message */
};

/* What is noted of a message's sender; bits of mbuf_item.noted. */
#define MBUF_NOTED_CREDS	0x01	/* who it was */
#define MBUF_NOTED_TIME		0x02	/* when that was */
#define MBUF_NOTED_ALL		0x03

/**
 * struct mbuf_item - a message
 * @next: next in its list
 * @payer: MBUF_ITEM_OWN: who is charged; holds a reference
 * @seq: sequence number
 * @len: bytes of payload
 * @prio: priority
 * @kind: enum mbuf_item_kind
 * @noted: MBUF_NOTED_*; beside @kind, so that both are looked at in one
 * @pid: MBUF_NOTED_CREDS: sender's process; holds a reference
 * @uid: MBUF_NOTED_CREDS: sender's effective user id
 * @gid: MBUF_NOTED_CREDS: sender's effective group id
 * @data: the payload, behind the item or allocated by itself
 * @caps: MBUF_ITEM_OWN: capabilities, or NULL
 * @room: MBUF_ITEM_OWN: the largest @len that there is memory for
 * @at: MBUF_NOTED_TIME: when it was sent, in nanoseconds
 */
struct mbuf_item {
	struct mbuf_item *next;
	struct mbuf_account *payer;
	u64 seq;
	u32 len;
	u8 prio;
	u8 kind;
	u8 noted;
	struct pid *pid;
	kuid_t uid;
	kgid_t gid;
	void *data;
	struct mbuf_caps *caps;
	u32 room;
	u64 at;
};

/**
 * struct mbuf_fifo - messages in order
 * @head: the first, or NULL
 * @tail: the last; meaningless if @head is NULL
 */
struct mbuf_fifo {
	struct mbuf_item *head;
	struct mbuf_item *tail;
};

/**
 * struct mbuf_slots - memory for small messages
 * @free: free slots, the one used last first, as it is in the cache
 * @nr_free: how many
 * @nr_keep: how many of them the object may need for messages in it; what is
 *	beyond can be lent to receivers
 * @size: bytes of payload that a slot holds
 * @nr_chunks: length of @chunks
 * @chunks: the memory
 */
struct mbuf_slots {
	struct mbuf_item *free;
	unsigned int nr_free;
	unsigned int nr_keep;
	unsigned int size;
	unsigned int nr_chunks;
	void **chunks;
};

int mbuf_uaddr_fault_in(const struct mbuf_uaddr *u, size_t n, bool write);
bool mbuf_uaddr_get_iter(const struct mbuf_uaddr *u, void *dst, size_t n);
bool mbuf_uaddr_put_iter(const struct mbuf_uaddr *u, const void *src, size_t n);

struct mbuf_item *mbuf_item_new(size_t len);
int mbuf_item_load(struct mbuf_item *item, const struct mbuf_uaddr *u);
void mbuf_item_stamp(struct mbuf_item *item, unsigned int note);
void mbuf_item_free(struct mbuf_item *item);
void mbuf_item_free_all(struct mbuf_item *list);

u64 mbuf_slots_bytes(unsigned int nr, unsigned int size);
int mbuf_slots_init(struct mbuf_slots *s, unsigned int nr, unsigned int size);
void mbuf_slots_destroy(struct mbuf_slots *s);
struct mbuf_item *mbuf_slots_new_spare(const struct mbuf_slots *s);
struct mbuf_item *mbuf_slots_give_slow(struct mbuf_slots *s,
				       struct mbuf_item *item);

/*
 * Below this size a loop over words is cheaper than setting up a bulk copy and
 * having hardened usercopy look up the kernel object, of which the size is
 * known here anyway.
 */
#define MBUF_COPY_SMALL	256

/* Can words be read and written at any address of user space? */
static __always_inline bool mbuf_unaligned_ok(const void __user *ptr)
{
	return IS_ENABLED(CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS) ||
	       IS_ALIGNED((unsigned long)ptr, sizeof(u64));
}

/**
 * mbuf_get_small() - copy a few bytes from user space
 * @dst: to where, aligned to 8
 * @src: from where
 * @n: bytes, at most MBUF_COPY_SMALL
 *
 * Context: any; under a lock with page faults disabled.
 * Return: true if all was copied; if not, @dst is undefined.
 */
static __always_inline bool mbuf_get_small(void *dst, const void __user *src,
					   size_t n)
{
	/* An address that is not used need not be one. */
	if (!user_read_access_begin(src, n))
		return !n;
	for (; n >= 4 * sizeof(u64); n -= 4 * sizeof(u64)) {
		unsafe_get_user(((u64 *)dst)[0], (u64 __user *)src, fault);
		unsafe_get_user(((u64 *)dst)[1], (u64 __user *)src + 1, fault);
		unsafe_get_user(((u64 *)dst)[2], (u64 __user *)src + 2, fault);
		unsafe_get_user(((u64 *)dst)[3], (u64 __user *)src + 3, fault);
		dst += 4 * sizeof(u64);
		src += 4 * sizeof(u64);
	}
	if (likely(!n))
		goto done;
	for (; n >= sizeof(u64); n -= sizeof(u64)) {
		unsafe_get_user(*(u64 *)dst, (u64 __user *)src, fault);
		dst += sizeof(u64);
		src += sizeof(u64);
	}
	if (n & 4) {
		unsafe_get_user(*(u32 *)dst, (u32 __user *)src, fault);
		dst += 4;
		src += 4;
	}
	if (n & 2) {
		unsafe_get_user(*(u16 *)dst, (u16 __user *)src, fault);
		dst += 2;
		src += 2;
	}
	if (n & 1)
		unsafe_get_user(*(u8 *)dst, (u8 __user *)src, fault);
done:
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}

/**
 * mbuf_put_small() - copy a few bytes to user space
 * @dst: to where
 * @src: from where, aligned to 8
 * @n: bytes, at most MBUF_COPY_SMALL
 *
 * Context: any; under a lock with page faults disabled.
 * Return: true if all was copied.
 */
static __always_inline bool mbuf_put_small(void __user *dst, const void *src,
					   size_t n)
{
	if (!user_write_access_begin(dst, n))
		return !n;
	for (; n >= 4 * sizeof(u64); n -= 4 * sizeof(u64)) {
		unsafe_put_user(((u64 *)src)[0], (u64 __user *)dst, fault);
		unsafe_put_user(((u64 *)src)[1], (u64 __user *)dst + 1, fault);
		unsafe_put_user(((u64 *)src)[2], (u64 __user *)dst + 2, fault);
		unsafe_put_user(((u64 *)src)[3], (u64 __user *)dst + 3, fault);
		dst += 4 * sizeof(u64);
		src += 4 * sizeof(u64);
	}
	if (likely(!n))
		goto done;
	for (; n >= sizeof(u64); n -= sizeof(u64)) {
		unsafe_put_user(*(u64 *)src, (u64 __user *)dst, fault);
		dst += sizeof(u64);
		src += sizeof(u64);
	}
	if (n & 4) {
		unsafe_put_user(*(u32 *)src, (u32 __user *)dst, fault);
		dst += 4;
		src += 4;
	}
	if (n & 2) {
		unsafe_put_user(*(u16 *)src, (u16 __user *)dst, fault);
		dst += 2;
		src += 2;
	}
	if (n & 1)
		unsafe_put_user(*(u8 *)src, (u8 __user *)dst, fault);
done:
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
}

/**
 * mbuf_uaddr_get() - copy payload from user space without faulting
 * @u: from where; at least @n bytes
 * @dst: to where, aligned to 8
 * @n: bytes
 *
 * Context: any; under an object's lock with page faults disabled.
 * Return: true if all was copied; if not, @u is as it was and @dst undefined.
 */
static __always_inline bool mbuf_uaddr_get(const struct mbuf_uaddr *u,
					   void *dst, size_t n)
{
	if (unlikely(u->iter))
		return mbuf_uaddr_get_iter(u, dst, n);
	if (n <= MBUF_COPY_SMALL && mbuf_unaligned_ok(u->ptr))
		return mbuf_get_small(dst, u->ptr, n);
	if (unlikely(!access_ok(u->ptr, n)))
		return !n;
	return !__copy_from_user_inatomic(dst, u->ptr, n);
}

/**
 * mbuf_uaddr_put() - copy payload to user space without faulting
 * @u: to where; at least @n bytes
 * @src: from where, aligned to 8
 * @n: bytes
 *
 * Context: any; under an object's lock with page faults disabled.
 * Return: true if all was copied; if not, @u is as it was.
 */
static __always_inline bool mbuf_uaddr_put(const struct mbuf_uaddr *u,
					   const void *src, size_t n)
{
	if (unlikely(u->iter))
		return mbuf_uaddr_put_iter(u, src, n);
	if (n <= MBUF_COPY_SMALL && mbuf_unaligned_ok(u->ptr))
		return mbuf_put_small(u->ptr, src, n);
	if (unlikely(!access_ok(u->ptr, n)))
		return !n;
	return !__copy_to_user_inatomic(u->ptr, src, n);
}

/**
 * mbuf_fifo_append() - add a message at the end
 * @f: the list
 * @item: the message
 */
static inline void mbuf_fifo_append(struct mbuf_fifo *f, struct mbuf_item *item)
{
	item->next = NULL;
	if (f->head)
		f->tail->next = item;
	else
		f->head = item;
	f->tail = item;
}

/**
 * mbuf_fifo_insert() - put a message back where its sequence number belongs
 * @f: the list, in order of sequence numbers
 * @item: the message
 *
 * That is at the front but for others that were put back.
 */
static inline void mbuf_fifo_insert(struct mbuf_fifo *f, struct mbuf_item *item)
{
	struct mbuf_item **at = &f->head;

	while (*at && (*at)->seq < item->seq)
		at = &(*at)->next;
	item->next = *at;
	if (!*at)
		f->tail = item;
	*at = item;
}

/**
 * mbuf_fifo_pop() - take the first message out
 * @f: the list, which is not empty
 *
 * Return: the message.
 */
static inline struct mbuf_item *mbuf_fifo_pop(struct mbuf_fifo *f)
{
	struct mbuf_item *item = f->head;

	f->head = item->next;
	return item;
}

/**
 * mbuf_slots_peek() - the slot that mbuf_slots_take() will take
 * @s: the slots, of which one is free
 *
 * Return: the slot.
 */
static inline struct mbuf_item *mbuf_slots_peek(const struct mbuf_slots *s)
{
	return s->free;
}

/**
 * mbuf_slots_take() - take a slot
 * @s: the slots, of which one is free
 *
 * Return: the slot.
 */
static inline struct mbuf_item *mbuf_slots_take(struct mbuf_slots *s)
{
	struct mbuf_item *item = s->free;

	s->free = item->next;
	s->nr_free--;
	return item;
}

/**
 * mbuf_slots_take_spare() - take a slot for a receiver that will wait
 * @s: the slots of an object that has no message
 *
 * A message that is handed to a waiting receiver has left the object, and the
 * receiver may take its time to copy it out. If it kept one of the object's
 * slots so long, a sender could find the object empty and yet have no room.
 * So each receiver that waits brings a slot of its own.
 *
 * Return: the slot, or NULL if there is none to spare.
 */
static inline struct mbuf_item *mbuf_slots_take_spare(struct mbuf_slots *s)
{
	return s->nr_free > s->nr_keep ? mbuf_slots_take(s) : NULL;
}

/**
 * mbuf_item_forget() - forget what was noted of the sender
 * @item: the message
 */
static inline void mbuf_item_forget(struct mbuf_item *item)
{
	if (unlikely(item->noted & MBUF_NOTED_CREDS))
		put_pid(item->pid);
	item->noted = 0;
}

/* Is it a slot like any other, with a message of which nothing is noted? */
static inline bool mbuf_item_plain(const struct mbuf_item *item)
{
	return likely(item->kind == MBUF_ITEM_SLOT && !item->noted);
}

/**
 * mbuf_slots_give() - a message is no longer needed: put back its slot
 * @s: the slots
 * @item: the message
 *
 * Context: under the object's lock.
 * Return: NULL, or @item if it is no slot, or there are enough already:
 * mbuf_item_free() it after unlocking.
 */
static inline struct mbuf_item *mbuf_slots_give(struct mbuf_slots *s,
						struct mbuf_item *item)
{
	if (!mbuf_item_plain(item))
		return mbuf_slots_give_slow(s, item);
	item->next = s->free;
	s->free = item;
	s->nr_free++;
	return NULL;
}

#endif /* _MBUF_PAYLOAD_H */
