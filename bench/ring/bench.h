/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rings, side by side. A peer is a ring that lives in memory which it is given;
 * all of them carry messages of one size, and none of them sleeps.
 */
#ifndef MBUF_BENCH_RING_H
#define MBUF_BENCH_RING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct msg32 {
	uint64_t word[4];
};

struct msg256 {
	uint64_t word[32];
};

/* Messages that a ring holds, or some more. Rings of messages waste one. */
#define RING_SLOTS	1024

/* Room for any of the rings, and there are two of them. */
#define RING_BYTES	((size_t)1 << 20)

static inline void ring_pause(void)
{
#ifdef __has_builtin
#if __has_builtin(__builtin_ia32_pause)
	__builtin_ia32_pause();
#elif __has_builtin(__builtin_arm_yield)
	__builtin_arm_yield();
#endif
#endif
}

/*
 * struct loops - what is measured, for one size of message
 * @pair:	push one, pop one, @n times; returns the sum of the first words
 * @send:	push @n; polls while it is full
 * @recv:	pop @n; polls while it is empty; returns the sum
 * @ask:	push to the first ring, pop from the second, @n times; polls;
 *		returns the sum
 * @answer:	the other way round, with what was received
 */
struct loops {
	uint64_t (*pair)(long n);
	void (*send)(long n);
	uint64_t (*recv)(long n);
	uint64_t (*ask)(long n);
	void (*answer)(long n);
};

/*
 * struct peer - a ring
 * @open:	set up ring @i, 0 or 1, in RING_BYTES of zeroes at @mem, which
 *		is shared with whoever is forked later, for messages of @size
 *		bytes. 0 or -1
 */
struct peer {
	const char *name;
	int (*open)(int i, void *mem, size_t size);
	struct loops size32;
	struct loops size256;
};

/* The functions of a size. */
#define LOOPS(size)							\
	{ pair_##size, send_##size, recv_##size, ask_##size, answer_##size }

/*
 * Messages that were made long ago: what was just written in pieces is slow to
 * copy in larger ones, which would measure the compiler's choice of pieces.
 */
#define RING_SOURCE	16
extern struct msg32 source_msg32[RING_SOURCE];
extern struct msg256 source_msg256[RING_SOURCE];

/* Compilers leave out what nobody looks at. */
#define RING_USE(p)	__asm__ volatile("" : : "r"(p) : "memory")

/*
 * The loops of a peer, from two expressions: PUSH(i, type, message)
 * and POP(i, type, message), which are true if it could be done at once.
 */
#define DEFINE_LOOPS(size)						\
static uint64_t __attribute__((__noinline__)) pair_##size(long n)	\
{									\
	struct msg##size out;						\
	uint64_t sum = 0;						\
	long i;								\
									\
	for (i = 0; i < n; i++) {					\
		if (!PUSH(0, msg##size,					\
			  &source_msg##size[i % RING_SOURCE]) ||	\
		    !POP(0, msg##size, &out))				\
			return 0;					\
		RING_USE(&out);						\
		sum += out.word[0];					\
	}								\
	return sum;							\
}									\
									\
static void __attribute__((__noinline__)) send_##size(long n)		\
{									\
	long i;								\
									\
	for (i = 0; i < n; i++)						\
		while (!PUSH(0, msg##size,				\
			     &source_msg##size[i % RING_SOURCE]))	\
			ring_pause();					\
}									\
									\
static uint64_t __attribute__((__noinline__)) recv_##size(long n)	\
{									\
	struct msg##size out;						\
	uint64_t sum = 0;						\
	long i;								\
									\
	for (i = 0; i < n; i++) {					\
		while (!POP(0, msg##size, &out))				\
			ring_pause();					\
		RING_USE(&out);						\
		sum += out.word[0];					\
	}								\
	return sum;							\
}									\
									\
static uint64_t __attribute__((__noinline__)) ask_##size(long n)	\
{									\
	struct msg##size out;						\
	uint64_t sum = 0;						\
	long i;								\
									\
	for (i = 0; i < n; i++) {					\
		while (!PUSH(0, msg##size,				\
			     &source_msg##size[i % RING_SOURCE]))	\
			ring_pause();					\
		while (!POP(1, msg##size, &out))			\
			ring_pause();					\
		RING_USE(&out);						\
		sum += out.word[0];					\
	}								\
	return sum;							\
}									\
									\
static void __attribute__((__noinline__)) answer_##size(long n)	\
{									\
	struct msg##size out;						\
	long i;								\
									\
	for (i = 0; i < n; i++) {					\
		while (!POP(0, msg##size, &out))			\
			ring_pause();					\
		while (!PUSH(1, msg##size, &out))			\
			ring_pause();					\
	}								\
}

extern const struct peer peer_mbuf;
extern const struct peer peer_ck;
extern const struct peer peer_rte;
extern const struct peer peer_boost;

#ifdef __cplusplus
}
#endif

#endif /* MBUF_BENCH_RING_H */
