// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The ring of libmbuf, as it is when both sides could go to sleep: with a
 * doorbell. Nobody does here, so that it never rings.
 */
#include <mbuf_ring.h>

#include "bench.h"

static struct mbuf_ring_tx tx[2];
static struct mbuf_ring_rx rx[2];

static int no_ring(const struct mbuf_ring_bell *bell)
{
	(void)bell;
	__builtin_trap();
}

static int no_wait(const struct mbuf_ring_bell *bell, int ring,
		   uint64_t deadline)
{
	(void)bell;
	(void)ring;
	(void)deadline;
	__builtin_trap();
}

static int ring_open(int i, void *mem, size_t size)
{
	static const struct mbuf_ring_bell bell = { no_ring, no_wait, -1 };
	struct mbuf_ring_map map;

	if (mbuf_ring_map(&map, mem, mbuf_ring_area(RING_SLOTS * size), mem) ||
	    mbuf_ring_tx_init(&tx[i], &map, &bell) ||
	    mbuf_ring_rx_init(&rx[i], &map, &bell))
		return -1;
	return 0;
}

#define PUSH(i, type, p) \
	(mbuf_ring_push(&tx[i], (p), sizeof(struct type), 0) == 0)
#define POP(i, type, p) \
	(mbuf_ring_pop(&rx[i], (p), sizeof(struct type), 0) == \
	 sizeof(struct type))

DEFINE_LOOPS(32)
DEFINE_LOOPS(256)

const struct peer peer_mbuf = { "mbuf", ring_open, LOOPS(32), LOOPS(256) };
