/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libmbuf: rings with several producers.
 *
 * The ring is that of <mbuf_ring.h>, with the consumer as it is there. Threads
 * and processes that share the producer's memory take turns: what each of them
 * does is done under a lock in the producer's page. Records appear whole, and
 * those of one producer in its order.
 *
 * Producers trust each other, as all of them write to the same memory. They need
 * not trust the consumer as long as it can only read that; a consumer that can
 * write to it could keep them waiting for ever.
 *
 * A producer that dies loses the record that it was about to send, and nothing
 * else, wherever it was killed: the next one who wants the lock gets it, and
 * finds the end of what was committed. One that is stopped keeps others waiting
 * for as long as it has the lock, which is while it writes a record, between
 * mbuf_ring_many_loan() and mbuf_ring_many_commit(), and while it waits for room.
 *
 * Rules for callers
 * =================
 *
 *  - Each thread has a struct mbuf_ring_many of its own.
 *  - All producers have the same doorbell: they share an endpoint. It serves no
 *    other ring, as who waits at it takes its rings.
 *  - All producers are programs of one kind: the lock of 32-bit programs is not
 *    that of 64-bit programs. The consumer can be of any.
 *  - Deadlines also limit waiting for the other producers. With MBUF_NOW, -EAGAIN
 *    means that there is no room, or that another producer is at it. A signal
 *    handler does not end waiting for others, only for room.
 *  - Results and errors are otherwise those of <mbuf_ring.h>.
 */
#ifndef _MBUF_RING_MANY_H
#define _MBUF_RING_MANY_H

#include <pthread.h>
#include <mbuf_ring.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct mbuf_ring_many_page - what producers tell the consumer and each other
 * @tx:		for the consumer
 * @made:	which kind of program made it; 0: nobody yet
 * @count:	bytes ever used, modulo 2^32; for who has the lock
 * @error:	-errno that all producers get from now on, or 0; likewise
 * @resv:	0
 * @lock:	whose turn it is
 *
 * It takes the place of struct mbuf_ring_tx_page; mbuf_ring_map() leaves room
 * for it.
 */
struct mbuf_ring_many_page {
	struct mbuf_ring_tx_page tx;
	uint32_t made;
	uint32_t count;
	int32_t error;
	uint32_t resv;
	pthread_mutex_t lock;
};

static_assert(sizeof(struct mbuf_ring_many_page) <= 4096,
	      "it has to fit into the smallest page");

/* A producer's side. All members are the library's. */
struct mbuf_ring_many {
	struct mbuf_ring_tx tx;
	struct mbuf_ring_many_page *page;
	int has_lock;
};

/**
 * mbuf_ring_many_make() - make a ring one of several producers
 * @map: where it is: memory of zeroes, which has been no ring yet
 *
 * For whoever sets up the memory, once, before there are producers.
 *
 * Return: 0, or -errno: -EINVAL (@map), -EEXIST (it has been done), -ENOMEM.
 */
MBUF_EXPORT int mbuf_ring_many_make(const struct mbuf_ring_map *map);

/**
 * mbuf_ring_many_init() - become one of the producers
 * @many: filled in
 * @map: where the ring is; all but the consumer's page must be writable
 * @bell: the doorbell, which stays the caller's; not NULL
 * @deadline: how long to wait for other producers
 *
 * A producer that does not want to send any more need not say so.
 *
 * Return: 0, or -errno: -EINVAL (@map, @bell), -EPROTO (this is no ring, or has
 * not been made one of several producers by a program like this), -EAGAIN,
 * -ETIMEDOUT, -EPIPE (it has ended).
 */
MBUF_EXPORT int mbuf_ring_many_init(struct mbuf_ring_many *many,
				    const struct mbuf_ring_map *map,
				    const struct mbuf_ring_bell *bell,
				    uint64_t deadline);

/**
 * mbuf_ring_many_push() - send a record
 * @many: the producer; it must have no loan
 * @buf: the payload
 * @len: bytes of it, at most mbuf_ring_max()
 * @deadline: how long to wait for the others and for room
 *
 * Return: 0, or -errno as mbuf_ring_push(), and -EINVAL (there is a loan).
 */
MBUF_EXPORT int mbuf_ring_many_push(struct mbuf_ring_many *many,
				    const void *buf, size_t len,
				    uint64_t deadline);

/**
 * mbuf_ring_many_push_batch() - send several records, one behind the other
 * @many: the producer; it must have no loan
 * @recs: the records
 * @nr: how many
 * @deadline: how long to wait for the others, and for room for the first
 *
 * No record of another producer comes in between. They appear at the same time.
 *
 * Return: how many were sent, at least 1 if @nr is not 0; or -errno as
 * mbuf_ring_many_push().
 */
MBUF_EXPORT ssize_t mbuf_ring_many_push_batch(struct mbuf_ring_many *many,
					      const struct mbuf_ring_rec *recs,
					      size_t nr, uint64_t deadline);

/**
 * mbuf_ring_many_loan() - get room for a record in the ring itself
 * @many: the producer; it must have no loan
 * @len: bytes of payload
 * @data: set to the room, at a multiple of 16
 * @deadline: how long to wait for the others and for room
 *
 * The other producers wait until mbuf_ring_many_commit() or
 * mbuf_ring_many_cancel(), which the same thread has to call.
 *
 * Return: 0, or -errno as mbuf_ring_many_push().
 */
MBUF_EXPORT int mbuf_ring_many_loan(struct mbuf_ring_many *many, size_t len,
				    void **data, uint64_t deadline);

/**
 * mbuf_ring_many_commit() - send what was written to a loan
 * @many: the producer
 * @len: bytes, at most those of the loan
 * @tag: what the consumer finds in the record's tag
 *
 * Return: 0, or -errno: -EINVAL (@len, and the loan stays; or there is none),
 * -EPIPE.
 */
MBUF_EXPORT int mbuf_ring_many_commit(struct mbuf_ring_many *many, size_t len,
				      uint32_t tag);

/**
 * mbuf_ring_many_cancel() - send nothing of a loan
 * @many: the producer; nothing happens if it has no loan
 */
MBUF_EXPORT void mbuf_ring_many_cancel(struct mbuf_ring_many *many);

/**
 * mbuf_ring_many_end() - tell the consumer that nothing more will come
 * @many: one of the producers; it must have no loan
 * @deadline: how long to wait for the others
 *
 * From now on all producers get -EPIPE. The consumer gets all that is in the
 * ring, and then -EPIPE.
 *
 * Return: 0, or -errno: -EAGAIN, -ETIMEDOUT, -EINVAL (there is a loan), -EPIPE
 * (it has ended already).
 */
MBUF_EXPORT int mbuf_ring_many_end(struct mbuf_ring_many *many,
				   uint64_t deadline);

#ifdef __cplusplus
}
#endif

#endif /* _MBUF_RING_MANY_H */
