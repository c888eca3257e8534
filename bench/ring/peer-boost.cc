// SPDX-License-Identifier: LGPL-2.1-or-later
/* Boost's queue for one producer and one consumer, its size known beforehand. */
#include <boost/lockfree/spsc_queue.hpp>
#include <new>

#include "bench.h"

using capacity = boost::lockfree::capacity<RING_SLOTS>;

static boost::lockfree::spsc_queue<msg32, capacity> *queue_msg32[2];
static boost::lockfree::spsc_queue<msg256, capacity> *queue_msg256[2];

static int ring_open(int i, void *mem, size_t size)
{
	if (size == sizeof(msg32))
		queue_msg32[i] = new (mem)
			boost::lockfree::spsc_queue<msg32, capacity>;
	else
		queue_msg256[i] = new (mem)
			boost::lockfree::spsc_queue<msg256, capacity>;
	return 0;
}

#define PUSH(i, type, p) queue_##type[i]->push(*(p))
#define POP(i, type, p) queue_##type[i]->pop(*(p))

DEFINE_LOOPS(32)
DEFINE_LOOPS(256)

const struct peer peer_boost = { "boost", ring_open, LOOPS(32), LOOPS(256) };
