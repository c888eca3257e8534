/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the checks of the ring share: a doorbell that needs no module, rings in
 * memory with the rights that each side has, and a way to complain.
 */
#ifndef _CHECK_RING_H
#define _CHECK_RING_H

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <mbuf_ring.h>

#define MUST(cond) do {							\
	if (!(cond)) {							\
		printf("%s:%d: %s (errno %d)\n", __FILE__, __LINE__,	\
		       #cond, errno);					\
		fflush(stdout);						\
		abort();						\
	}								\
} while (0)

/* ---- random numbers, the same ones each time ------------------------------- */

static inline uint64_t rnd(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

/* ---- a doorbell ------------------------------------------------------------ */

/*
 * Two connected sockets: a byte is a ring, and the other end's being closed is
 * the peer's death, as with a channel.
 */
static inline int bell_ring(const struct mbuf_ring_bell *bell)
{
	if (send(bell->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ||
	    errno == EAGAIN)	/* it has rung often enough */
		return 0;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

static inline int bell_wait(const struct mbuf_ring_bell *bell, int ring,
			    uint64_t deadline)
{
	struct pollfd pfd = { .fd = bell->fd, .events = POLLIN };
	struct timespec ts = { 0 };
	char rings[256];
	ssize_t n;

	if (ring) {
		int ret = bell_ring(bell);

		if (ret)
			return ret;
	}
	for (;;) {
		n = recv(bell->fd, rings, sizeof(rings), MSG_DONTWAIT);
		if (n > 0)
			return 0;
		if (n == 0)
			return -EPIPE;
		if (errno != EAGAIN)
			return errno == ECONNRESET ? -EPIPE : -errno;
		if (deadline == MBUF_NOW)
			return -EAGAIN;
		if (deadline != MBUF_FOREVER) {
			uint64_t now = mbuf_deadline(0);

			if (now >= deadline)
				return -ETIMEDOUT;
			ts.tv_sec = (time_t)((deadline - now) / 1000000000);
			ts.tv_nsec = (long)((deadline - now) % 1000000000);
		}
		if (ppoll(&pfd, 1, deadline == MBUF_FOREVER ? NULL : &ts,
			  NULL) < 0)
			return -errno;
	}
}

static inline void bell_pair(struct mbuf_ring_bell *a, struct mbuf_ring_bell *b)
{
	int fd[2];

	MUST(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
	a->ring = bell_ring;
	a->wait = bell_wait;
	a->fd = fd[0];
	*b = *a;
	b->fd = fd[1];
}

/* ---- memory ---------------------------------------------------------------- */

/*
 * A ring as two processes have it: each page is mapped for the side that writes
 * it, and read-only for the other one. The thread sanitizer knows memory by its
 * address: for it both sides have the same mapping, or it would never see one
 * side read what the other has written.
 */
struct memory {
	size_t bytes;		/* of the producer's area */
	unsigned char *tx_own, *tx_peer;	/* its area: as it sees it, the other */
	unsigned char *rx_own, *rx_peer;	/* the consumer's */
	struct mbuf_ring_map tx, rx;
};

static inline unsigned char *memory_map(int fd, size_t bytes, int prot)
{
	/* A page that faults before and after. */
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *p = mmap(NULL, bytes + 2 * page, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	p += page;
	MUST(mmap(p, bytes, prot, MAP_SHARED | MAP_FIXED, fd, 0) == p);
	return p;
}

static inline bool memory_is_one(void)
{
#ifdef __SANITIZE_THREAD__
	return true;
#else
	return false;
#endif
}

/* The files of the two sides. */
static inline void memory_files(size_t size, int *tx, int *rx)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t file = (mbuf_ring_area(size) + page - 1) / page * page;

	*tx = memfd_create("tx", MFD_CLOEXEC);
	*rx = memfd_create("rx", MFD_CLOEXEC);
	MUST(*tx >= 0 && *rx >= 0 && !ftruncate(*tx, (off_t)file) &&
	     !ftruncate(*rx, (off_t)page));
}

static inline void memory_open(struct memory *m, size_t size, int tx, int rx)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), file;

	m->bytes = mbuf_ring_area(size);
	file = (m->bytes + page - 1) / page * page;
	m->tx_own = memory_map(tx, file, PROT_READ | PROT_WRITE);
	m->tx_peer = memory_is_one() ? m->tx_own :
				       memory_map(tx, file, PROT_READ);
	m->rx_own = memory_map(rx, page, PROT_READ | PROT_WRITE);
	m->rx_peer = memory_is_one() ? m->rx_own :
				       memory_map(rx, page, PROT_READ);
	MUST(!mbuf_ring_map(&m->tx, m->tx_own, m->bytes, m->rx_peer));
	MUST(!mbuf_ring_map(&m->rx, m->tx_peer, m->bytes, m->rx_own));
	MUST(m->tx.size == size && m->rx.size == size);
}

static inline void memory_make(struct memory *m, size_t size)
{
	int tx, rx;

	memory_files(size, &tx, &rx);
	memory_open(m, size, tx, rx);
	close(tx);
	close(rx);
}

static inline void memory_free(struct memory *m)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t file = (m->bytes + page - 1) / page * page;

	munmap(m->tx_own - page, file + 2 * page);
	munmap(m->rx_own - page, 3 * page);
	if (memory_is_one())
		return;
	munmap(m->tx_peer - page, file + 2 * page);
	munmap(m->rx_peer - page, 3 * page);
}

/* As if the ring had been used for so many bytes, none of which are left. */
static inline void memory_used(struct memory *m, uint32_t count)
{
	m->rx.rx->tail = count;
}

/* ---- payloads -------------------------------------------------------------- */

/* The content of a record follows from its number. */
static inline void fill(void *buf, size_t len, uint64_t number)
{
	unsigned char *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = (unsigned char)(number * 31 + i * 7 + (i >> 8));
}

static inline int is_filled(const void *buf, size_t len, uint64_t number)
{
	const unsigned char *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] != (unsigned char)(number * 31 + i * 7 + (i >> 8)))
			return 0;
	return 1;
}

#endif /* _CHECK_RING_H */
