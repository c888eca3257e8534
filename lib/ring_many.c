// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Rings with several producers; see <mbuf_ring_many.h>.
 *
 * The lock is a robust mutex of the C library: the kernel gives it to the next
 * one if its owner dies. All that producers have to know of each other is how
 * far the ring is used, which is in the shared page; who gets the lock of one
 * that has died looks for the end of what was committed instead, as any producer
 * does that takes over a ring.
 *
 * The producers' word for the consumer never says CALM: who would have to make
 * sure that it is seen before it sleeps may be another process by then.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <time.h>

#include <mbuf_ring_many.h>

#include "internal.h"

/* A different one for each kind of lock. */
#define MADE	(0x6d624d00u | (uint32_t)sizeof(pthread_mutex_t))

static struct mbuf_ring_many_page *page_of(const struct mbuf_ring_map *map)
{
	return (struct mbuf_ring_many_page *)map->tx;
}

int mbuf_ring_many_make(const struct mbuf_ring_map *map)
{
	struct mbuf_ring_many_page *page = page_of(map);
	pthread_mutexattr_t attr;
	int ret;

	if (!page || (uintptr_t)page % sizeof(uint64_t))
		return -EINVAL;
	if (__atomic_load_n(&page->made, __ATOMIC_ACQUIRE))
		return -EEXIST;
	ret = pthread_mutexattr_init(&attr);
	if (ret)
		return -ret;
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	ret = pthread_mutex_init(&page->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	if (ret)
		return -ret;
	page->count = __atomic_load_n(&map->rx->tail, __ATOMIC_RELAXED);
	page->error = 0;
	__atomic_store_n(&page->made, MADE, __ATOMIC_RELEASE);
	return 0;
}

static void leave(struct mbuf_ring_many *many)
{
	many->has_lock = 0;
	pthread_mutex_unlock(&many->page->lock);
}

/* Get the lock. 1: its owner has died. */
static int take_lock(struct mbuf_ring_many *many, uint64_t deadline)
{
	pthread_mutex_t *lock = &many->page->lock;
	struct timespec ts;
	int ret;

	ret = pthread_mutex_trylock(lock);
	if (ret == EBUSY && deadline != MBUF_NOW) {
		if (deadline == MBUF_FOREVER) {
			ret = pthread_mutex_lock(lock);
		} else {
			ts.tv_sec = (time_t)(deadline / 1000000000u);
			ts.tv_nsec = (long)(deadline % 1000000000u);
			ret = pthread_mutex_clocklock(lock, CLOCK_MONOTONIC,
						      &ts);
		}
	}
	if (ret == EBUSY)
		return -EAGAIN;
	if (ret && ret != EOWNERDEAD)
		return -ret;
	many->has_lock = 1;
	if (!ret)
		return 0;
	pthread_mutex_consistent(lock);
	return 1;
}

/* Look for the end of what there is. Under the lock. */
static int begin(struct mbuf_ring_many *many, const struct mbuf_ring_map *map,
		 const struct mbuf_ring_bell *bell)
{
	uint32_t spin = many->tx.side.spin;
	int ret;

	ret = mbuf_ring_tx_init(&many->tx, map, bell);
	if (ret)
		return ret;
	many->tx.side.can_calm = 0;
	if (spin)
		many->tx.side.spin = spin;
	many->page->count = libmbuf_ring_tx_count(&many->tx);
	return 0;
}

/* After the death of whoever had the lock. */
static int recover(struct mbuf_ring_many *many)
{
	const struct mbuf_ring_map map = {
		.tx = many->tx.own,
		.rx = (struct mbuf_ring_rx_page *)many->tx.page,
		.data = many->tx.data,
		.size = many->tx.size,
	};

	return begin(many, &map, many->tx.side.bell);
}

/* It is this one's turn. */
static int enter(struct mbuf_ring_many *many, uint64_t deadline)
{
	struct mbuf_ring_many_page *page = many->page;
	int ret;

	if (many->has_lock)
		return -EINVAL;
	ret = take_lock(many, deadline);
	if (ret < 0)
		return ret;
	if (page->error)
		ret = page->error;
	else if (ret)
		ret = recover(many);
	else
		ret = libmbuf_ring_tx_adopt(&many->tx, page->count);
	if (ret) {
		/* It is the same memory for all. */
		if (ret == -EPROTO)
			page->error = ret;
		leave(many);
	}
	return ret;
}

static void done(struct mbuf_ring_many *many)
{
	many->page->count = libmbuf_ring_tx_count(&many->tx);
	if (many->tx.side.error == -EPROTO)
		many->page->error = -EPROTO;
	leave(many);
}

int mbuf_ring_many_init(struct mbuf_ring_many *many,
			const struct mbuf_ring_map *map,
			const struct mbuf_ring_bell *bell, uint64_t deadline)
{
	int ret;

	memset(many, 0, sizeof(*many));
	many->page = page_of(map);
	if (!bell || !many->page || (uintptr_t)many->page % sizeof(uint64_t))
		return -EINVAL;
	if (__atomic_load_n(&many->page->made, __ATOMIC_ACQUIRE) != MADE)
		return -EPROTO;
	/* Somebody who waits for room must not be disturbed. */
	ret = take_lock(many, deadline);
	if (ret < 0)
		return ret;
	ret = many->page->error;
	if (!ret)
		ret = begin(many, map, bell);
	leave(many);
	return ret;
}

int mbuf_ring_many_push(struct mbuf_ring_many *many, const void *buf,
			size_t len, uint64_t deadline)
{
	int ret = enter(many, deadline);

	if (ret)
		return ret;
	ret = mbuf_ring_push(&many->tx, buf, len, deadline);
	done(many);
	return ret;
}

ssize_t mbuf_ring_many_push_batch(struct mbuf_ring_many *many,
				  const struct mbuf_ring_rec *recs, size_t nr,
				  uint64_t deadline)
{
	ssize_t ret = enter(many, deadline);

	if (ret)
		return ret;
	ret = mbuf_ring_push_batch(&many->tx, recs, nr, deadline);
	done(many);
	return ret;
}

int mbuf_ring_many_loan(struct mbuf_ring_many *many, size_t len, void **data,
			uint64_t deadline)
{
	int ret = enter(many, deadline);

	if (ret)
		return ret;
	ret = mbuf_ring_loan(&many->tx, len, data, deadline);
	if (ret)
		done(many);
	return ret;
}

int mbuf_ring_many_commit(struct mbuf_ring_many *many, size_t len,
			  uint32_t tag)
{
	int ret;

	if (!many->has_lock)
		return -EINVAL;
	ret = mbuf_ring_commit(&many->tx, len, tag);
	if (ret != -EINVAL)
		done(many);
	return ret;
}

void mbuf_ring_many_cancel(struct mbuf_ring_many *many)
{
	if (many->has_lock)
		done(many);
}

int mbuf_ring_many_end(struct mbuf_ring_many *many, uint64_t deadline)
{
	int ret = enter(many, deadline);

	if (ret)
		return ret;
	mbuf_ring_tx_end(&many->tx);
	many->page->error = -EPIPE;
	done(many);
	return 0;
}
