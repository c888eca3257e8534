// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * DPDK's ring of elements of any size, one producer and one consumer. All of it
 * is in headers but rte_ring_init(), which would need the rest of DPDK, and
 * does no more than what is done here.
 */
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <string.h>

#include "bench.h"

static struct rte_ring *rings[2];

static int ring_open(int i, void *mem, size_t size)
{
	struct rte_ring *ring = mem;

	(void)size;
	rings[i] = ring;
	memset(ring, 0, sizeof(*ring));
	ring->flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
	ring->prod.sync_type = RTE_RING_SYNC_ST;
	ring->cons.sync_type = RTE_RING_SYNC_ST;
	ring->size = RING_SLOTS;
	ring->mask = RING_SLOTS - 1;
	ring->capacity = RING_SLOTS - 1;
	return 0;
}

#define PUSH(i, type, p) \
	(rte_ring_sp_enqueue_elem(rings[i], (p), sizeof(struct type)) == 0)
#define POP(i, type, p) \
	(rte_ring_sc_dequeue_elem(rings[i], (p), sizeof(struct type)) == 0)

DEFINE_LOOPS(32)
DEFINE_LOOPS(256)

const struct peer peer_rte = { "rte_ring", ring_open, LOOPS(32), LOOPS(256) };
