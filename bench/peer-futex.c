// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a program builds that does without the kernel: a bounded ring of slots
 * in shared memory for one sender and one receiver, and a futex for whoever
 * has to sleep. It does not spin before it sleeps.
 *
 * Nothing protects either side from the other, which is what it buys its speed
 * with: no system call unless somebody sleeps.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

/* What one side writes, the other does not find in a cache line of its own. */
struct ring {
	_Atomic uint32_t head;	/* messages ever sent */
	_Atomic uint32_t send_sleeps;
	char pad1[56];
	_Atomic uint32_t tail;	/* messages ever received */
	_Atomic uint32_t recv_sleeps;
	char pad2[56];
	char slots[];
};

static size_t ring_bytes(const struct chan *chan)
{
	return sizeof(struct ring) + chan->size * chan->depth;
}

static int ring_open(struct chan *chan)
{
	void *p = mmap(NULL, ring_bytes(chan), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	chan->priv = p;
	return 0;
}

static void ring_close(struct chan *chan)
{
	if (chan->priv)
		munmap(chan->priv, ring_bytes(chan));
	chan->priv = NULL;
}

/* Sleeps unless @word has moved on from @seen. */
static int ring_sleep(_Atomic uint32_t *word, uint32_t seen,
		      _Atomic uint32_t *sleeps)
{
	int ret = 0;

	atomic_store(sleeps, 1);
	/* The other side moves the word, then looks whether we sleep. */
	if (atomic_load(word) == seen &&
	    syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0) &&
	    errno != EAGAIN && errno != EINTR)
		ret = -errno;
	atomic_store(sleeps, 0);
	return ret;
}

static int ring_wake(_Atomic uint32_t *word, _Atomic uint32_t *sleeps)
{
	if (!atomic_load(sleeps))
		return 0;
	return syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0) < 0 ?
		-errno : 0;
}

static int ring_send(struct chan *chan, const void *buf)
{
	struct ring *ring = chan->priv;
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint32_t tail;
	int ret;

	for (;;) {
		tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
		if (head - tail < chan->depth)
			break;
		ret = ring_sleep(&ring->tail, tail, &ring->send_sleeps);
		if (ret)
			return ret;
	}
	/* depth is a power of two. */
	memcpy(ring->slots + (head & (chan->depth - 1)) * chan->size, buf,
	       chan->size);
	atomic_store(&ring->head, head + 1);
	return ring_wake(&ring->head, &ring->recv_sleeps);
}

static int ring_recv(struct chan *chan, void *buf)
{
	struct ring *ring = chan->priv;
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	int ret;

	while (atomic_load_explicit(&ring->head, memory_order_acquire) ==
	       tail) {
		ret = ring_sleep(&ring->head, tail, &ring->recv_sleeps);
		if (ret)
			return ret;
	}
	memcpy(buf, ring->slots + (tail & (chan->depth - 1)) * chan->size,
	       chan->size);
	atomic_store(&ring->tail, tail + 1);
	return ring_wake(&ring->tail, &ring->send_sleeps);
}

static const struct chan_ops ring_chan = {
	.open = ring_open,
	.send = ring_send,
	.recv = ring_recv,
	.close = ring_close,
};

const struct peer peer_futex = {
	.name = "futex",
	.chan = &ring_chan,
};
