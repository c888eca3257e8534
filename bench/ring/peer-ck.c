// SPDX-License-Identifier: LGPL-2.1-or-later
/* Concurrency Kit's ring of typed messages, one producer and one consumer. */
#include <ck_ring.h>

#include "bench.h"

CK_RING_PROTOTYPE(msg32, msg32)
CK_RING_PROTOTYPE(msg256, msg256)

static ck_ring_t *ring[2];
static void *slots[2];

static int ring_open(int i, void *mem, size_t size)
{
	(void)size;
	ring[i] = mem;
	slots[i] = (char *)mem + 4096;
	ck_ring_init(ring[i], RING_SLOTS);
	return 0;
}

#define PUSH(i, type, p) \
	CK_RING_ENQUEUE_SPSC(type, ring[i], (struct type *)slots[i], p)
#define POP(i, type, p) \
	CK_RING_DEQUEUE_SPSC(type, ring[i], (struct type *)slots[i], p)

DEFINE_LOOPS(32)
DEFINE_LOOPS(256)

const struct peer peer_ck = { "ck_ring", ring_open, LOOPS(32), LOOPS(256) };
