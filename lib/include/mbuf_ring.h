/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libmbuf: rings of records in memory that two processes share.
 *
 * A ring goes one way, from one producer to one consumer, and carries records
 * of any length. What is usual is inline and makes no system call: neither
 * side enters the kernel while both of them run. A side that has nothing to do
 * says so in shared memory and sleeps at its doorbell, which is an endpoint of
 * a channel; the other side rings it then, and only then.
 *
 * Neither side has to trust the other. Each keeps its own position in private
 * memory and only tells it; every word that the other side may write is copied
 * once, and the copy is checked. A peer that breaks the rules costs -EPROTO,
 * from then on for every call, and nothing else. What it cannot be kept from is
 * to say nothing, to send rubbish that is well formed, and to change a record
 * while mbuf_ring_peek() shows it: mbuf_ring_pop() copies, and then checks
 * should be made on the copy.
 *
 * The shared memory
 * =================
 *
 * Three pieces, of which only one side ever writes each: a page of the
 * producer's (struct mbuf_ring_tx_page), a page of the consumer's (struct
 * mbuf_ring_rx_page), and the data, which the producer writes. The other side
 * can, and should, map them read-only. Memory of zeroes is an empty ring that
 * nobody has used yet.
 *
 * mbuf_ring_map() finds them in areas of this form:
 *
 *	first page	of the consumer
 *	second page	of the producer
 *	then		data
 *
 * If both sides may write all of it, one area is enough for one ring. If not,
 * each side has an area of its own, which the other one maps read-only: it is
 * the producer there of a ring whose consumer's page is in the other area, and
 * two such areas make a ring each way.
 *
 * The data is a sequence of records, each of them contiguous: one that does not
 * fit before the end goes to the start, and padding fills the rest. A record is
 * a head of 8 bytes and the payload, filled up to a multiple of 16.
 *
 *	u32 head	0: nothing here yet; MBUF_RING_READY | length: a
 *			record; MBUF_RING_PAD: go on at the start
 *	u32 tag		what the producer wants to say about it
 *
 * The head is stored last, so a record appears whole. The head that follows a
 * record is set to 0 before that, so the consumer always finds the end of what
 * there is. Where the producer is stands nowhere else.
 *
 * The consumer tells how many bytes it has given back since the ring was new,
 * modulo 2^32. The producer keeps 16 bytes free, for the head that is 0.
 *
 * Either side has a word @wait that tells the other how to deal with it: see
 * MBUF_RING_AWAKE and the others.
 *
 * A side that dies
 * ================
 *
 * What was committed stays in the ring, and the consumer gets it. A record that
 * was loaned and not committed is lost, nothing else. A new process can take
 * over either side at any time after the old one has gone, wherever it was
 * killed: mbuf_ring_tx_init() finds the end of what was committed, and
 * mbuf_ring_rx_init() goes on with the first record that was not given back, so
 * a record whose consumer died before it gave it back is seen again.
 *
 * Rules for callers
 * =================
 *
 *  - One thread uses a struct mbuf_ring_tx or mbuf_ring_rx at a time.
 *  - Rings that share a doorbell share its rings: a call that waits takes one
 *    that was meant for another ring. Before a call waits on one of them, the
 *    others are to be disarmed, and armed again before the event loop goes on.
 *  - A result of 0 or more is success, a negative one is an errno value with
 *    its sign changed, as with all of libmbuf. A call that fails has had no
 *    effect.
 *  - Deadlines are those of <mbuf.h>: MBUF_NOW reports -EAGAIN instead of
 *    waiting, MBUF_FOREVER waits for as long as it takes, and a time of
 *    mbuf_deadline() ends in -ETIMEDOUT. What the doorbell reports while one
 *    waits is passed on: -EINTR after a signal, -EBUSY if somebody else waits at
 *    it, -EPIPE if the peer has closed it and the ring has nothing more to give.
 *  - These errors stay: -EPROTO, and -EPIPE for the producer.
 */
#ifndef _MBUF_RING_H
#define _MBUF_RING_H

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <mbuf.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MBUF_RING_CAST(type, x)	((type)(x))
#define MBUF_RING_PTR(type, x)	((type)(x))

#define MBUF_RING_LIKELY(x)	__builtin_expect(!!(x), 1)

/*
 * What the two sides agree on
 * ---------------------------
 */

/*
 * Words that different sides write, or that are read at different times, are so
 * far apart. Processors that fetch lines in pairs are the reason that it is not
 * 64.
 */
#define MBUF_RING_LINE		128

/* Bytes in front of each payload. */
#define MBUF_RING_HEAD		8

/*
 * Records are so far apart or multiples of it, and their payloads are at
 * multiples of it: what the largest types of C want, and what is fastest, as
 * copies do not straddle cache lines. Heads are therefore 8 bytes before them,
 * the first one in the last 8 bytes of the producer's page.
 */
#define MBUF_RING_ALIGN		16

/* Bytes of data: a power of two from MIN to MAX. */
#define MBUF_RING_SIZE_MIN	64u
#define MBUF_RING_SIZE_MAX	(1u << 30)

/* Values of a head; the length is in the bits below. */
#define MBUF_RING_READY		0x40000000u
#define MBUF_RING_PAD		0x20000000u

/* Bytes of ring that a record with a payload of @len bytes takes. */
#define MBUF_RING_NEED(len)						\
	((MBUF_RING_CAST(size_t, len) + MBUF_RING_HEAD +		\
	  MBUF_RING_ALIGN - 1) & ~MBUF_RING_CAST(size_t, MBUF_RING_ALIGN - 1))

/*
 * The states of a side: the low two bits of @wait. The bits above are 0 but in
 * ARMED, where they count how often it was entered, so that the peer knows
 * whether it has rung already.
 *
 * Whoever has published something looks at the other side's word. If it reads
 * CALM, that is all. Otherwise it makes a full memory barrier and looks again,
 * and if the word says ARMED it rings. Who wants to sleep stores ARMED, makes a
 * full memory barrier, and looks once more whether there is something: one of
 * the two has to see what the other one stored.
 *
 * A side that is CALM must not get from there to ARMED with its own barrier
 * only, as the other side makes none. It has to call membarrier() with
 * MEMBARRIER_CMD_GLOBAL_EXPEDITED in between. And a process that takes CALM for
 * an answer must have registered for that: one that has not registered must
 * treat CALM like AWAKE.
 */
#define MBUF_RING_AWAKE		0u	/* running; make a barrier */
#define MBUF_RING_CALM		1u	/* running; no barrier needed */
#define MBUF_RING_ARMED		2u	/* about to sleep, or asleep */
#define MBUF_RING_END		3u	/* has left for good */
#define MBUF_RING_STATE		3u	/* mask */

/**
 * struct mbuf_ring_tx_page - what the producer tells
 * @resv0:	0
 * @wait:	state of the producer. It waits for room
 * @want:	if it is ARMED: the count of bytes given back at which it wants
 *		to be woken
 * @armed:	how often it was ARMED, for a successor to go on with
 * @resv1:	0
 */
struct mbuf_ring_tx_page {
	uint32_t resv0[MBUF_RING_LINE / 4];
	uint32_t wait;
	uint32_t want;
	uint32_t armed;
	uint32_t resv1[MBUF_RING_LINE / 4 - 3];
};

/**
 * struct mbuf_ring_rx_page - what the consumer tells
 * @resv0:	0
 * @tail:	bytes given back since the ring was new, modulo 2^32
 * @resv1:	0
 * @wait:	state of the consumer. It waits for records
 * @armed:	how often it was ARMED, for a successor to go on with
 * @resv2:	0
 */
struct mbuf_ring_rx_page {
	uint32_t resv0[MBUF_RING_LINE / 4];
	uint32_t tail;
	uint32_t resv1[MBUF_RING_LINE / 4 - 1];
	uint32_t wait;
	uint32_t armed;
	uint32_t resv2[MBUF_RING_LINE / 4 - 2];
};

static_assert(sizeof(struct mbuf_ring_tx_page) == 2 * MBUF_RING_LINE,
	      "the layout is part of the contract");
static_assert(offsetof(struct mbuf_ring_tx_page, wait) == MBUF_RING_LINE,
	      "the layout is part of the contract");
static_assert(offsetof(struct mbuf_ring_tx_page, want) == MBUF_RING_LINE + 4,
	      "the layout is part of the contract");
static_assert(sizeof(struct mbuf_ring_rx_page) == 3 * MBUF_RING_LINE,
	      "the layout is part of the contract");
static_assert(offsetof(struct mbuf_ring_rx_page, tail) == MBUF_RING_LINE,
	      "the layout is part of the contract");
static_assert(offsetof(struct mbuf_ring_rx_page, wait) == 2 * MBUF_RING_LINE,
	      "the layout is part of the contract");

/*
 * Doorbells
 * ---------
 */

/**
 * struct mbuf_ring_bell - where a side sleeps, and how it wakes the other one
 * @ring:	wake the peer, which waits, or is about to. Must not be lost if
 *		the peer comes to wait later. Returns 0 or -errno; -EPIPE: the
 *		peer is gone
 * @wait:	sleep until the peer has rung since the last call, and forget
 *		that it has. With @ring it rings first, if that can be done in
 *		one go; returns as the ring would if that fails. Returns 0, or
 *		-errno: -EAGAIN (@deadline is MBUF_NOW), -ETIMEDOUT, -EINTR,
 *		-EBUSY, -EPIPE (the peer is gone, nothing is left). -EBUSY means
 *		that it has not rung either
 * @fd:		what poll() shows as readable when @wait would not sleep; -1 if
 *		there is no such thing
 *
 * One doorbell can serve a ring each way. The functions get the doorbell, so
 * that it can be a part of something larger. It has to stay where it is for as
 * long as a ring uses it.
 */
struct mbuf_ring_bell {
	int (*ring)(const struct mbuf_ring_bell *bell);
	int (*wait)(const struct mbuf_ring_bell *bell, int ring,
		    uint64_t deadline);
	int fd;
};

/**
 * mbuf_ring_bell_channel() - make a channel a doorbell
 * @bell: filled in
 * @fd: an endpoint; it stays the caller's, who closes it after the last use
 *
 * Its signals are then the doorbell's; the 32 bytes of the channel stay free
 * for other uses. Closing the endpoint, or dying, tells the peer: whoever waits
 * at the other end is woken with -EPIPE.
 */
MBUF_EXPORT void mbuf_ring_bell_channel(struct mbuf_ring_bell *bell, int fd);

/*
 * Setting up
 * ----------
 */

/**
 * struct mbuf_ring_map - where the pieces of a ring are
 * @tx:		the producer's page
 * @rx:		the consumer's page
 * @data:	the place of the first head, 8 bytes before a multiple of 16
 * @size:	bytes of data
 */
struct mbuf_ring_map {
	struct mbuf_ring_tx_page *tx;
	struct mbuf_ring_rx_page *rx;
	unsigned char *data;
	uint32_t size;
};

/**
 * mbuf_ring_area() - how large an area has to be
 * @size: wanted bytes of data
 *
 * Return: bytes of an area whose ring has @size bytes of data, rounded up to
 * what is possible; 0 if there is no ring that large.
 */
MBUF_EXPORT size_t mbuf_ring_area(size_t size);

/**
 * mbuf_ring_map() - find the pieces of a ring
 * @map: filled in
 * @tx_area: the area that the producer writes, at a page's boundary
 * @tx_bytes: bytes of it; the data is the largest power of two that fits
 * @rx_area: the area that the consumer writes; may be @tx_area
 *
 * Nothing is read or written. @tx_bytes must be what both sides know to be
 * true, not what one of them claims.
 *
 * Return: 0, or -EINVAL: too small, or not at a page's boundary.
 */
MBUF_EXPORT int mbuf_ring_map(struct mbuf_ring_map *map, void *tx_area,
			      size_t tx_bytes, void *rx_area);

/**
 * mbuf_ring_max() - the longest record
 * @size: bytes of data of the ring
 *
 * A record of half the ring can always be sent, wherever the last one ended.
 *
 * Return: bytes of payload.
 */
static inline uint32_t mbuf_ring_max(uint32_t size)
{
	return size / 2 - MBUF_RING_HEAD;
}

/*
 * What both sides keep to themselves for the slow paths. @wait is the own word,
 * @peer the other side's.
 */
struct mbuf_ring_side {
	uint32_t *wait;
	uint32_t *armed;
	const uint32_t *peer;
	const struct mbuf_ring_bell *bell;
	uint32_t rung;			/* the ARMED that was rung for */
	uint32_t spin;			/* how often to look before sleeping */
	uint32_t pauses;		/* of the processor in 1 us */
	uint32_t slept;			/* count when it last slept */
	int32_t error;			/* what stays */
	uint8_t can_calm;		/* this process may be CALM */
	uint8_t calm;			/* and is */
	uint8_t is_armed;
	uint8_t doubt;			/* could not make sure: sleep briefly */
	uint8_t hold;			/* do not ring, set due */
	uint8_t due;			/* has to ring yet */
	uint8_t resv[2];
	uint64_t rings;			/* statistics: see mbuf_ring_stats */
	uint64_t sleeps;
	uint64_t barriers;
};

/**
 * struct mbuf_ring_stats - what a side has cost
 * @rings:	calls of the doorbell's ring
 * @sleeps:	calls of the doorbell's wait
 * @barriers:	calls of membarrier()
 */
struct mbuf_ring_stats {
	uint64_t rings;
	uint64_t sleeps;
	uint64_t barriers;
};

/* The producer's side. All members are the library's. */
struct mbuf_ring_tx {
	unsigned char *pos;		/* the next head goes here */
	unsigned char *limit;		/* and the one after it up to here */
	const uint32_t *look;		/* the peer's word, or a constant */
	unsigned char *first;		/* the first staged record */
	uint32_t first_head;		/* and its head */
	uint32_t loan;			/* bytes on loan and 1, or 0 */

	uintptr_t bias;			/* @pos and this are bytes ever used */
	unsigned char *data;
	uint32_t size;
	uint32_t tail;			/* as last read */
	struct mbuf_ring_tx_page *own;
	const struct mbuf_ring_rx_page *page;
	struct mbuf_ring_side side;
};

/* The consumer's side. All members are the library's. */
struct mbuf_ring_rx {
	const unsigned char *pos;	/* the next record to look at */
	const unsigned char *stop;	/* give back before going past that */
	const unsigned char *last;	/* the last place for a head */
	uint32_t held;			/* something was peeked at */
	uint32_t told;			/* the count as last told */
	uint32_t *tail;			/* the word to tell it */
	uintptr_t bias;			/* @pos and this are the count */
	const uint32_t *look;		/* the peer's word, or a constant */

	const unsigned char *data;
	uint32_t size;
	uint32_t seen;			/* and when it was empty last */
	const unsigned char *was;	/* where that was */
	const struct mbuf_ring_tx_page *page;
	struct mbuf_ring_side side;
};

/**
 * mbuf_ring_tx_init() - become the producer of a ring
 * @tx: filled in
 * @map: where it is; all but the consumer's page must be writable
 * @bell: the doorbell, which stays the caller's. NULL: this side never sleeps,
 *	and never wakes anybody, so that waiting is polling
 *
 * The ring is taken over as it is: new, or as another producer left it. The
 * other side may be running already; if it sleeps it is woken, in case that a
 * producer before this one died when it was about to. Registers the process for
 * membarrier(), once, if there is a doorbell.
 *
 * Return: 0, or -errno: -EINVAL (@map), -EPROTO (this is no ring).
 */
MBUF_EXPORT int mbuf_ring_tx_init(struct mbuf_ring_tx *tx,
				  const struct mbuf_ring_map *map,
				  const struct mbuf_ring_bell *bell);

/**
 * mbuf_ring_rx_init() - become the consumer of a ring
 * @rx: filled in
 * @map: where it is; only the consumer's page must be writable
 * @bell: as with mbuf_ring_tx_init()
 *
 * Return: 0, or -errno: -EINVAL (@map), -EPROTO (this is no ring).
 */
MBUF_EXPORT int mbuf_ring_rx_init(struct mbuf_ring_rx *rx,
				  const struct mbuf_ring_map *map,
				  const struct mbuf_ring_bell *bell);

/**
 * mbuf_ring_tx_end() - tell the consumer that nothing more will come
 * @tx: the producer's side; it only reports -EPIPE from now on
 *
 * What was staged is sent. The consumer gets all that is in the ring, and then
 * -EPIPE. Memory and doorbell stay the caller's.
 */
MBUF_EXPORT void mbuf_ring_tx_end(struct mbuf_ring_tx *tx);

/**
 * mbuf_ring_rx_end() - tell the producer that nobody will read any more
 * @rx: the consumer's side; it only reports -EPIPE from now on
 */
MBUF_EXPORT void mbuf_ring_rx_end(struct mbuf_ring_rx *rx);

/**
 * mbuf_ring_set_spin() - how long to look before sleeping
 * @side: the member side of a struct mbuf_ring_tx or mbuf_ring_rx
 * @looks: how often, with a pause of the processor in between
 *
 * At first it is 0 where the process can run on one CPU only, and otherwise
 * what takes some 5 microseconds.
 */
static inline void mbuf_ring_set_spin(struct mbuf_ring_side *side,
				      uint32_t looks)
{
	side->spin = looks;
}

/**
 * mbuf_ring_get_stats() - what a side has cost
 * @side: the member side of a struct mbuf_ring_tx or mbuf_ring_rx
 * @out: filled in
 */
static inline void mbuf_ring_get_stats(const struct mbuf_ring_side *side,
				       struct mbuf_ring_stats *out)
{
	out->rings = side->rings;
	out->sleeps = side->sleeps;
	out->barriers = side->barriers;
}

/**
 * struct mbuf_ring_rec - a record, or a place for one
 * @data:	the payload
 * @len:	bytes of it
 * @tag:	what the producer says about it; 0 from mbuf_ring_push()
 */
struct mbuf_ring_rec {
	const void *data;
	uint32_t len;
	uint32_t tag;
};

/*
 * Does a record at @pos end at @limit or before? @pos may be past @limit: then
 * it does not. There is no end of the address space near where addresses have
 * 64 bits. Where they have 32, a length that the peer made up may lead beyond
 * it; @pos and @limit are equal modulo 16, so nothing has to be rounded up.
 */
static inline int mbuf_ring_reaches(const unsigned char *pos, size_t len,
				    const unsigned char *limit)
{
#if UINTPTR_MAX > UINT32_MAX
	return MBUF_RING_PTR(uintptr_t, pos) + MBUF_RING_NEED(len) <=
	       MBUF_RING_PTR(uintptr_t, limit);
#else
	uint64_t end = MBUF_RING_CAST(uint64_t, MBUF_RING_PTR(uintptr_t, pos)) +
		       len + MBUF_RING_HEAD;

	return end <= MBUF_RING_PTR(uintptr_t, limit);
#endif
}

/* memcpy(), which may be called with no address for no bytes. */
static inline void mbuf_ring_copy(void *dst, const void *src, size_t len)
{
	if (len)
		memcpy(dst, src, len);
}

/* The slow paths, which are not for callers. */
MBUF_EXPORT int mbuf_ring_push_slow(struct mbuf_ring_tx *tx, const void *buf,
				    size_t len, uint64_t deadline);
MBUF_EXPORT int mbuf_ring_loan_slow(struct mbuf_ring_tx *tx, size_t len,
				    void **data, uint64_t deadline);
MBUF_EXPORT int mbuf_ring_commit_slow(struct mbuf_ring_tx *tx, size_t len,
				      uint32_t tag, int stage);
MBUF_EXPORT int mbuf_ring_tx_wake(struct mbuf_ring_tx *tx);
MBUF_EXPORT int mbuf_ring_peek_slow(struct mbuf_ring_rx *rx,
				    struct mbuf_ring_rec *rec,
				    uint64_t deadline);
MBUF_EXPORT ssize_t mbuf_ring_pop_slow(struct mbuf_ring_rx *rx, void *buf,
				       size_t size, uint64_t deadline);
MBUF_EXPORT void mbuf_ring_rx_wake(struct mbuf_ring_rx *rx);

/*
 * The producer
 * ------------
 */

/* Does a record of @len bytes fit without a look at anything shared? */
static inline int mbuf_ring_tx_fits(const struct mbuf_ring_tx *tx, size_t len)
{
	/* The first comparison is for lengths that would overflow. */
	return MBUF_RING_LIKELY(len < MBUF_RING_READY &&
				mbuf_ring_reaches(tx->pos, len, tx->limit));
}

/*
 * The head of a record becomes visible last, after the head of the one to come
 * has been cleared.
 */
static inline int mbuf_ring_tx_publish(struct mbuf_ring_tx *tx,
				       unsigned char *pos, size_t len)
{
	unsigned char *next = pos + MBUF_RING_NEED(len);

	memset(next, 0, MBUF_RING_HEAD);
	__atomic_store_n(MBUF_RING_PTR(uint32_t *, pos),
			 MBUF_RING_READY | MBUF_RING_CAST(uint32_t, len),
			 __ATOMIC_RELEASE);
	tx->pos = next;
	/* The processor may turn these two around, the compiler must not. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (MBUF_RING_LIKELY(__atomic_load_n(tx->look, __ATOMIC_RELAXED) ==
			     MBUF_RING_CALM))
		return 0;
	return mbuf_ring_tx_wake(tx);
}

/**
 * mbuf_ring_push() - send a record
 * @tx: the producer's side
 * @buf: the payload
 * @len: bytes of it, from 0 to mbuf_ring_max()
 * @deadline: how long to wait for room
 *
 * Return: 0, or -errno: -EMSGSIZE (longer than mbuf_ring_max()), -EAGAIN,
 * -ETIMEDOUT, -EINTR, -EBUSY (no room), -EPIPE (the consumer is gone), -EPROTO
 * (it broke the rules).
 */
static inline int mbuf_ring_push(struct mbuf_ring_tx *tx, const void *buf,
				 size_t len, uint64_t deadline)
{
	unsigned char *pos = tx->pos;

	if (!mbuf_ring_tx_fits(tx, len))
		return mbuf_ring_push_slow(tx, buf, len, deadline);
	mbuf_ring_copy(pos + MBUF_RING_HEAD, buf, len);
	return mbuf_ring_tx_publish(tx, pos, len);
}

/**
 * mbuf_ring_loan() - get room for a record in the ring itself
 * @tx: the producer's side
 * @len: bytes, from 0 to mbuf_ring_max()
 * @data: set to the room, at a multiple of 16
 * @deadline: how long to wait for room
 *
 * The room is the caller's until mbuf_ring_commit() or mbuf_ring_stage(). There
 * is one loan at a time: the next call gives the same room again, so a loan
 * that is not wanted needs no call.
 *
 * Return: 0, or -errno as mbuf_ring_push().
 */
static inline int mbuf_ring_loan(struct mbuf_ring_tx *tx, size_t len,
				 void **data, uint64_t deadline)
{
	if (!mbuf_ring_tx_fits(tx, len))
		return mbuf_ring_loan_slow(tx, len, data, deadline);
	tx->loan = MBUF_RING_CAST(uint32_t, len) + 1;
	*data = tx->pos + MBUF_RING_HEAD;
	return 0;
}

/**
 * mbuf_ring_commit() - send what was written to a loan
 * @tx: the producer's side
 * @len: bytes, at most those of the loan
 * @tag: given to the consumer beside the record
 *
 * Return: 0, or -errno: -EINVAL (@len, or there is no loan), -EPIPE (the
 * consumer is gone).
 */
static inline int mbuf_ring_commit(struct mbuf_ring_tx *tx, size_t len,
				   uint32_t tag)
{
	unsigned char *pos = tx->pos;

	if (!MBUF_RING_LIKELY(len < tx->loan && mbuf_ring_tx_fits(tx, len)))
		return mbuf_ring_commit_slow(tx, len, tag, 0);
	tx->loan = 0;
	memcpy(pos + MBUF_RING_HEAD / 2, &tag, sizeof(tag));
	return mbuf_ring_tx_publish(tx, pos, len);
}

/**
 * mbuf_ring_stage() - like mbuf_ring_commit(), but do not send it yet
 * @tx: the producer's side
 * @len: bytes, at most those of the loan
 * @tag: given to the consumer beside the record
 *
 * The record, and all that follow, are held back until mbuf_ring_flush(), and
 * then appear at once. If the producer dies before, none of them do. A call
 * that has to wait for room flushes first.
 *
 * Return: 0, or -EINVAL (@len, or there is no loan).
 */
static inline int mbuf_ring_stage(struct mbuf_ring_tx *tx, size_t len,
				  uint32_t tag)
{
	uint32_t head = MBUF_RING_READY | MBUF_RING_CAST(uint32_t, len);
	unsigned char *next = tx->pos + MBUF_RING_NEED(len);

	if (!MBUF_RING_LIKELY(len < tx->loan && mbuf_ring_tx_fits(tx, len)))
		return mbuf_ring_commit_slow(tx, len, tag, 1);
	tx->loan = 0;
	memcpy(tx->pos + MBUF_RING_HEAD / 2, &tag, sizeof(tag));
	memset(next, 0, MBUF_RING_HEAD);
	if (tx->first) {
		__atomic_store_n(MBUF_RING_PTR(uint32_t *, tx->pos), head,
				 __ATOMIC_RELEASE);
	} else {
		tx->first = tx->pos;
		tx->first_head = head;
	}
	tx->pos = next;
	return 0;
}

/**
 * mbuf_ring_flush() - send what is staged
 * @tx: the producer's side
 *
 * Return: 0, or -EPIPE (the consumer is gone).
 */
static inline int mbuf_ring_flush(struct mbuf_ring_tx *tx)
{
	if (!tx->first)
		return tx->side.error;
	__atomic_store_n(MBUF_RING_PTR(uint32_t *, tx->first), tx->first_head,
			 __ATOMIC_RELEASE);
	tx->first = NULL;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (MBUF_RING_LIKELY(__atomic_load_n(tx->look, __ATOMIC_RELAXED) ==
			     MBUF_RING_CALM))
		return 0;
	return mbuf_ring_tx_wake(tx);
}

/**
 * mbuf_ring_push_batch() - send many records
 * @tx: the producer's side
 * @recs: the records
 * @nr: how many
 * @deadline: how long to wait for room for the first one
 *
 * They appear at once. Stops at the first one for which there is no room, or
 * that is too long.
 *
 * Return: how many were sent, or -errno as mbuf_ring_push() if it is none.
 */
MBUF_EXPORT ssize_t mbuf_ring_push_batch(struct mbuf_ring_tx *tx,
					 const struct mbuf_ring_rec *recs,
					 size_t nr, uint64_t deadline);

/**
 * mbuf_ring_room() - could a record be sent without waiting?
 * @tx: the producer's side
 * @len: bytes of payload
 *
 * Return: 0 if it could, or -errno as mbuf_ring_push().
 */
MBUF_EXPORT int mbuf_ring_room(struct mbuf_ring_tx *tx, size_t len);

/**
 * mbuf_ring_tx_arm() - be woken when there is room, for an event loop
 * @tx: the producer's side
 * @len: bytes of payload for which there shall be room
 *
 * If it returns 0, the doorbell's descriptor becomes readable once there is
 * room; call mbuf_ring_tx_disarm() then, and before anything else is done with
 * this side. Being readable is a hint: the doorbell may have rung for something
 * else.
 *
 * Return: 0: armed; 1: there is room already, and it is not armed; or -errno as
 * mbuf_ring_push(), and -EINVAL if there is no doorbell.
 */
MBUF_EXPORT int mbuf_ring_tx_arm(struct mbuf_ring_tx *tx, size_t len);

/**
 * mbuf_ring_tx_disarm() - undo mbuf_ring_tx_arm()
 * @tx: the producer's side
 *
 * Takes the rings of the doorbell, so that its descriptor is no longer
 * readable. If the doorbell serves another ring that is armed, that one has to
 * be looked at as well.
 *
 * Return: 0, or -EPIPE if the doorbell says that the peer is gone.
 */
MBUF_EXPORT int mbuf_ring_tx_disarm(struct mbuf_ring_tx *tx);

/*
 * The consumer
 * ------------
 */

/**
 * mbuf_ring_peek() - look at the next record where it is
 * @rx: the consumer's side
 * @rec: set to the record
 * @deadline: how long to wait for one
 *
 * The record stays in the ring until mbuf_ring_release(), and so does all that
 * comes after it. Another call shows the next one: a batch is several of these
 * and one release.
 * What is shown can be changed by a hostile producer at any time.
 *
 * Return: 0, or -errno: -EAGAIN, -ETIMEDOUT, -EINTR, -EBUSY (there is none),
 * -EPIPE (and none will come), -EPROTO (the producer broke the rules).
 */
static inline int mbuf_ring_peek(struct mbuf_ring_rx *rx,
				 struct mbuf_ring_rec *rec, uint64_t deadline)
{
	const unsigned char *pos = rx->pos;
	uint32_t head = __atomic_load_n(MBUF_RING_PTR(const uint32_t *, pos),
					__ATOMIC_ACQUIRE);
	uint32_t len = head - MBUF_RING_READY;

	/*
	 * One comparison for all that is unusual: nothing there, padding,
	 * rubbish, or a record that reaches the end of the data or beyond.
	 */
	if (!MBUF_RING_LIKELY(mbuf_ring_reaches(pos, len, rx->last)))
		return mbuf_ring_peek_slow(rx, rec, deadline);
	rec->data = pos + MBUF_RING_HEAD;
	rec->len = len;
	rec->tag = __atomic_load_n(MBUF_RING_PTR(const uint32_t *, pos) + 1,
				   __ATOMIC_RELAXED);
	rx->pos = pos + MBUF_RING_NEED(len);
	rx->held = 1;
	return 0;
}

/**
 * mbuf_ring_release() - give back all that was received or peeked at
 * @rx: the consumer's side
 */
static inline void mbuf_ring_release(struct mbuf_ring_rx *rx)
{
	uintptr_t tail = MBUF_RING_PTR(uintptr_t, rx->pos) + rx->bias;

	rx->held = 0;
	rx->told = MBUF_RING_CAST(uint32_t, tail);
	__atomic_store_n(rx->tail, rx->told, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (!MBUF_RING_LIKELY(__atomic_load_n(rx->look, __ATOMIC_RELAXED) ==
			      MBUF_RING_CALM))
		mbuf_ring_rx_wake(rx);
}

/**
 * mbuf_ring_pop() - receive a record
 * @rx: the consumer's side
 * @buf: room for the payload
 * @size: bytes of room
 * @deadline: how long to wait for a record
 *
 * The room in the ring is given back in portions: at the latest when the ring
 * is found to be empty, or when what was received since fills a quarter of it,
 * or 8 KiB. A consumer that stops in between, and wants the producer to have
 * the room, calls mbuf_ring_release().
 *
 * Return: bytes of payload, or -errno as mbuf_ring_peek(), and -EMSGSIZE: the
 * record is longer than @size; it stays, and mbuf_ring_peek() shows it.
 */
static inline ssize_t mbuf_ring_pop(struct mbuf_ring_rx *rx, void *buf,
				    size_t size, uint64_t deadline)
{
	const unsigned char *pos = rx->pos;
	uint32_t head = __atomic_load_n(MBUF_RING_PTR(const uint32_t *, pos),
					__ATOMIC_ACQUIRE);
	uint32_t len = head - MBUF_RING_READY;

	/* Where the size is known, so is the record: a copy without a call. */
	if (__builtin_constant_p(size) && size <= 256 &&
	    MBUF_RING_LIKELY(head == (MBUF_RING_READY | size) &&
			     mbuf_ring_reaches(pos, size, rx->stop))) {
		mbuf_ring_copy(buf, pos + MBUF_RING_HEAD, size);
		rx->pos = pos + MBUF_RING_NEED(size);
		return MBUF_RING_CAST(ssize_t, size);
	}
	if (!MBUF_RING_LIKELY(len <= size &&
			      mbuf_ring_reaches(pos, len, rx->stop)))
		return mbuf_ring_pop_slow(rx, buf, size, deadline);
	mbuf_ring_copy(buf, pos + MBUF_RING_HEAD, len);
	rx->pos = pos + MBUF_RING_NEED(len);
	return MBUF_RING_CAST(ssize_t, len);
}

/**
 * mbuf_ring_rx_arm() - be woken when there is a record, for an event loop
 * @rx: the consumer's side
 *
 * If it returns 0, the doorbell's descriptor becomes readable once there is
 * one, or the peer is gone; call mbuf_ring_rx_disarm() then, and before
 * anything else is done with this side.
 *
 * Return: 0: armed; 1: there is a record already, and it is not armed; or
 * -errno as mbuf_ring_peek(), and -EINVAL if there is no doorbell.
 */
MBUF_EXPORT int mbuf_ring_rx_arm(struct mbuf_ring_rx *rx);

/**
 * mbuf_ring_rx_disarm() - undo mbuf_ring_rx_arm()
 * @rx: the consumer's side
 *
 * See mbuf_ring_tx_disarm(). Records may be there even if it says -EPIPE.
 *
 * Return: 0, or -EPIPE if the doorbell says that the peer is gone.
 */
MBUF_EXPORT int mbuf_ring_rx_disarm(struct mbuf_ring_rx *rx);

/**
 * mbuf_ring_call() - send a record, and receive one from the ring the other way
 * @tx: the producer's side of one ring
 * @buf: the payload
 * @len: bytes of it
 * @rx: the consumer's side of another one, with the same doorbell
 * @out: room for what is received
 * @size: bytes of room
 * @deadline: how long to wait, for both
 * @sent: set to whether the record was sent
 *
 * Does what mbuf_ring_push() and mbuf_ring_pop() do, but waking the peer and
 * waiting for it is one system call. A client calls it with a request, a server
 * with a reply.
 *
 * Return: bytes of payload received, or -errno. With an error of
 * mbuf_ring_pop() the record was sent, and mbuf_ring_pop() can be called to go
 * on waiting.
 */
MBUF_EXPORT ssize_t mbuf_ring_call(struct mbuf_ring_tx *tx, const void *buf,
				   size_t len, struct mbuf_ring_rx *rx,
				   void *out, size_t size, uint64_t deadline,
				   int *sent);

#ifdef __cplusplus
}
#endif

#endif /* _MBUF_RING_H */
