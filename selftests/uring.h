/* SPDX-License-Identifier: GPL-2.0 */
/*
 * io_uring for tests. The few calls that this needs are made directly, so that
 * nothing but a kernel header is needed to build it.
 */
#ifndef MBUF_SELFTESTS_URING_H
#define MBUF_SELFTESTS_URING_H

#include <linux/io_uring.h>
#include "util.h"

struct ring {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array, *sq_flags;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_cqe *cqes;
	struct io_uring_sqe *sqes;
	unsigned int pending;	/* filled in, not submitted yet */
	void *rings;
	size_t rings_len, sqes_len;
};

/*
 * 0, or -errno where there is no io_uring or it is not allowed. Flags are
 * IORING_SETUP_*.
 */
static inline int ring_setup(struct ring *r, uint32_t flags)
{
	struct io_uring_params p = { .flags = flags };
	size_t sq_len, cq_len;
	char *base;

	memset(r, 0, sizeof(*r));
	r->fd = (int)syscall(__NR_io_uring_setup, 64, &p);
	if (r->fd < 0)
		return -errno;
	if (!(p.features & IORING_FEAT_SINGLE_MMAP) ||
	    !(p.features & IORING_FEAT_EXT_ARG)) {
		close(r->fd);
		return -ENOSYS;
	}
	sq_len = p.sq_off.array + p.sq_entries * sizeof(unsigned int);
	cq_len = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	r->rings_len = sq_len > cq_len ? sq_len : cq_len;
	r->sqes_len = p.sq_entries * sizeof(struct io_uring_sqe);
	r->rings = mmap(NULL, r->rings_len, PROT_READ | PROT_WRITE, MAP_SHARED,
			r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, r->sqes_len, PROT_READ | PROT_WRITE, MAP_SHARED,
		       r->fd, IORING_OFF_SQES);
	if (r->rings == MAP_FAILED || r->sqes == MAP_FAILED)
		return -errno;
	base = r->rings;
	r->sq_tail = (void *)(base + p.sq_off.tail);
	r->sq_mask = (void *)(base + p.sq_off.ring_mask);
	r->sq_array = (void *)(base + p.sq_off.array);
	r->sq_flags = (void *)(base + p.sq_off.flags);
	r->cq_head = (void *)(base + p.cq_off.head);
	r->cq_tail = (void *)(base + p.cq_off.tail);
	r->cq_mask = (void *)(base + p.cq_off.ring_mask);
	r->cqes = (void *)(base + p.cq_off.cqes);
	return 0;
}

static inline int ring_open(struct ring *r)
{
	return ring_setup(r, 0);
}

static inline void ring_close(struct ring *r)
{
	munmap(r->rings, r->rings_len);
	munmap(r->sqes, r->sqes_len);
	close(r->fd);
}

/* Prepares a request; tag comes back with its completion. */
static inline struct io_uring_sqe *ring_prep(struct ring *r, int op, int fd,
					     const void *addr, size_t len,
					     uint64_t tag)
{
	unsigned int tail = *r->sq_tail, i = tail & *r->sq_mask;
	struct io_uring_sqe *sqe = &r->sqes[i];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = (uint8_t)op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)addr;
	sqe->len = (uint32_t)len;
	sqe->off = op == IORING_OP_POLL_ADD || op == IORING_OP_ASYNC_CANCEL ?
		   0 : (uint64_t)-1;
	sqe->user_data = tag;
	r->sq_array[i] = i;
	__atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
	r->pending++;
	return sqe;
}

static inline int ring_submit(struct ring *r)
{
	long ret = syscall(__NR_io_uring_enter, r->fd, r->pending, 0, 0, NULL,
			   0);

	if (ret < 0)
		return -errno;
	r->pending -= (unsigned int)ret;
	return (int)ret;
}

/* The same for a ring with IORING_SETUP_SQPOLL, whose thread may sleep. */
static inline int ring_submit_polled(struct ring *r)
{
	long ret = 0;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(r->sq_flags, __ATOMIC_RELAXED) &
	    IORING_SQ_NEED_WAKEUP)
		ret = syscall(__NR_io_uring_enter, r->fd, r->pending, 0,
			      IORING_ENTER_SQ_WAKEUP, NULL, 0);
	r->pending = 0;
	return ret < 0 ? -errno : 0;
}

/* A completion that is there already. */
static inline bool ring_peek(struct ring *r, struct io_uring_cqe *out)
{
	unsigned int head = *r->cq_head;

	if (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE))
		return false;
	*out = r->cqes[head & *r->cq_mask];
	__atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}

/* The next completion; false if there is none for very long. */
static inline bool ring_wait(struct ring *r, struct io_uring_cqe *out)
{
	struct __kernel_timespec ts = { .tv_sec = PATIENCE_NS / NS_PER_SEC };
	struct io_uring_getevents_arg arg = { .ts = (uintptr_t)&ts };

	while (!ring_peek(r, out)) {
		if (syscall(__NR_io_uring_enter, r->fd, 0, 1,
			    IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
			    &arg, sizeof(arg)) < 0 && errno != EINTR)
			return false;
	}
	return true;
}

/*
 * Cancels the request @tag and takes the completions of both, that of the
 * request to *@res; false if one of them does not come. A worker of io_uring
 * that has the request in hand is told at most (-EALREADY), and while it is just
 * taking it, it is not even found (-ENOENT): then it is asked again.
 */
static inline bool ring_cancel(struct ring *r, uint64_t tag, int *res)
{
	bool over = false, asking = false, told = false;
	struct io_uring_cqe cqe;

	do {
		if (!asking && !told) {
			ring_prep(r, IORING_OP_ASYNC_CANCEL, -1,
				  (void *)(uintptr_t)tag, 0, ~tag);
			if (ring_submit(r) != 1)
				return false;
			asking = true;
		}
		if (!ring_wait(r, &cqe))
			return false;
		if (cqe.user_data == tag) {
			*res = cqe.res;
			over = true;
		} else {
			asking = false;
			told = cqe.res != -EALREADY && cqe.res != -ENOENT;
		}
	} while (!over || asking);
	return true;
}

/* Runs what completes by task work, without waiting. */
static inline bool ring_idle(struct ring *r)
{
	struct io_uring_cqe cqe;

	syscall(__NR_io_uring_enter, r->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL,
		0);
	return !ring_peek(r, &cqe);
}

#define OPEN_RING(r) do {						\
	int __ret = ring_open(r);					\
									\
	if (__ret == -ENOSYS)						\
		SKIP(return, "no io_uring here (CONFIG_IO_URING)");	\
	if (__ret == -EPERM)						\
		SKIP(return, "io_uring is forbidden (kernel.io_uring_disabled)"); \
	ASSERT_EQ(0, __ret);						\
} while (0)

/* A completion with this tag and result. */
#define EXPECT_CQE(r, tag, result) do {					\
	struct io_uring_cqe __cqe = {};					\
									\
	ASSERT_TRUE(ring_wait(r, &__cqe));				\
	EXPECT_EQ((uint64_t)(tag), __cqe.user_data);			\
	EXPECT_EQ(result, __cqe.res);					\
} while (0)

#endif /* MBUF_SELFTESTS_URING_H */
