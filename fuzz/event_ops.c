// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Waiting for events on descriptors, in every way the kernel has: poll, epoll,
 * asynchronous I/O old and new; and userfaultfd, by which payload can be
 * memory that takes its time to appear.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include "fuzz.h"

static const uint64_t event_vals[] = {
	POLLIN, POLLOUT, POLLIN | POLLOUT, POLLIN | POLLOUT, POLLPRI, POLLERR,
	0xffff,
};

static const uint64_t ms_vals[] = { 0, 0, 1, 3, 10 };

static const struct arg_spec poll_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_MBUF },
	{ .name = "and", .type = A_FD, .kinds = K_MBUF },
	{ .name = "events", .type = A_FLAGS, VALS(event_vals) },
	{ .name = "ms", .type = A_NUM, VALS(ms_vals) },
};

static int few_ms(uint64_t n)
{
	return n % 21;
}

static long op_poll(struct ctx *c, const struct value *arg)
{
	struct pollfd p[2] = {
		{ .fd = slot_fd(arg[0].n), .events = arg[2].n },
		{ .fd = slot_fd(arg[1].n), .events = arg[2].n },
	};
	long ret;

	ends_within(c, few_ms(arg[3].n) * NS_PER_MS);
	ret = ret_of(poll(p, 2, few_ms(arg[3].n)));
	if (ret > 0)
		feature(mix(2ULL << 60 | p[0].revents << 16 | p[1].revents));
	return ret;
}

static const struct arg_spec epoll_open_args[] = {
	{ .name = "out", .type = A_OUT, .kinds = K_EPOLL },
};

static long op_epoll_open(struct ctx *c, const struct value *arg)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	(void)c;
	if (fd < 0)
		return ret_of(-1);
	slot_set(arg[0].n, fd);
	return fd;
}

static const char *const ctl_names[] = { "add", "del", "mod", NULL };
static const uint64_t epoll_vals[] = {
	EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLET, EPOLLOUT | EPOLLET,
	EPOLLIN | EPOLLONESHOT, EPOLLIN | EPOLLEXCLUSIVE, EPOLLRDHUP,
	EPOLLPRI | EPOLLET,
};

static const struct arg_spec epoll_ctl_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_EPOLL },
	{ .name = "fd", .type = A_FD, .kinds = K_MBUF },
	{ .name = "what", .type = A_NAME, .names = ctl_names, .max = 2,
	  .rare = 30 },
	{ .name = "events", .type = A_FLAGS, VALS(epoll_vals) },
};

static long op_epoll_ctl(struct ctx *c, const struct value *arg)
{
	struct epoll_event ev = { .events = arg[3].n, .data.u64 = arg[1].n };

	(void)c;
	return ret_of(epoll_ctl(slot_fd(arg[0].n), 1 + arg[2].n % 3,
				slot_fd(arg[1].n), &ev));
}

static const struct arg_spec epoll_wait_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_EPOLL },
	{ .name = "ms", .type = A_NUM, VALS(ms_vals) },
};

static long op_epoll_wait(struct ctx *c, const struct value *arg)
{
	struct epoll_event ev[4];
	long ret;

	ends_within(c, few_ms(arg[1].n) * NS_PER_MS);
	ret = ret_of(epoll_wait(slot_fd(arg[0].n), ev, 4, few_ms(arg[1].n)));
	if (ret > 0)
		feature(mix(3ULL << 60 | ev[0].events));
	return ret;
}

/* io_uring ---------------------------------------------------------------- */

#define RING_ENTRIES	8

/* The memory of a ring, by the slot it was put into. */
static struct ring {
	uint8_t *rings;
	struct io_uring_sqe *sqes;
	struct io_uring_params p;
} rings[NR_SLOTS];

static const struct arg_spec uring_open_args[] = {
	{ .name = "out", .type = A_OUT, .kinds = K_URING },
};

static long op_uring_open(struct ctx *c, const struct value *arg)
{
	struct ring *ring = &rings[arg[0].n % NR_SLOTS];
	struct io_uring_params p = { 0 };
	size_t size;
	void *map, *sqes;
	int fd;

	(void)c;
	fd = syscall(SYS_io_uring_setup, RING_ENTRIES, &p);
	if (fd < 0)
		return ret_of(-1);
	size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   IORING_OFF_SQ_RING);
	sqes = mmap(NULL, p.sq_entries * sizeof(*ring->sqes),
		    PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (map == MAP_FAILED || sqes == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	ring->p = p;
	ring->rings = map;
	ring->sqes = sqes;
	slot_set(arg[0].n, fd);
	return fd;
}

static const char *const uring_names[] = {
	"read", "write", "poll", "poll-remove", "cancel", "readv", "close",
	"fsync", NULL
};

static const uint64_t sqe_flags[] = { 0, 0, 0, IOSQE_ASYNC, IOSQE_ASYNC,
				      IOSQE_IO_LINK };
static const uint64_t uring_lens[] = { 0, 1, 8, 64, 64, 4096, 8192, 1 << 20 };

static const struct arg_spec uring_do_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_URING },
	{ .name = "fd", .type = A_FD, .kinds = K_QUEUE | K_END },
	{ .name = "what", .type = A_NAME, .names = uring_names, .max = 7 },
	{ .name = "buf", .type = A_PTR },
	{ .name = "len", .type = A_NUM, VALS(uring_lens), .max = 300 },
	{ .name = "sqe", .type = A_FLAGS, VALS(sqe_flags) },
};

static long op_uring_do(struct ctx *c, const struct value *arg)
{
	static const uint8_t opcodes[] = {
		IORING_OP_READ, IORING_OP_WRITE, IORING_OP_POLL_ADD,
		IORING_OP_POLL_REMOVE, IORING_OP_ASYNC_CANCEL, IORING_OP_READV,
		IORING_OP_CLOSE, IORING_OP_FSYNC
	};
	struct ring *ring = &rings[arg[0].n % NR_SLOTS];
	unsigned int what = arg[2].n % NELEMS(opcodes), tail;
	struct io_uring_sqe *sqe;
	uint32_t *ptail, *array;

	if (!ring->rings)
		return -EBADF;
	ptail = (uint32_t *)(ring->rings + ring->p.sq_off.tail);
	array = (uint32_t *)(ring->rings + ring->p.sq_off.array);
	tail = __atomic_fetch_add(ptail, 1, __ATOMIC_ACQ_REL) &
	       (ring->p.sq_entries - 1);
	sqe = &ring->sqes[tail];
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = opcodes[what];
	sqe->flags = arg[5].n & (IOSQE_ASYNC | IOSQE_IO_LINK);
	sqe->fd = slot_fd(arg[1].n);
	sqe->user_data = 1;
	switch (opcodes[what]) {
	case IORING_OP_READ:
	case IORING_OP_WRITE:
	case IORING_OP_READV:
		sqe->addr = value_of(&arg[3]);
		sqe->len = arg[4].n;
		sqe->off = -1ULL;
		break;
	case IORING_OP_POLL_ADD:
		sqe->poll32_events = POLLIN | POLLOUT;
		sqe->len = arg[4].n & IORING_POLL_ADD_MULTI;
		break;
	case IORING_OP_POLL_REMOVE:
	case IORING_OP_ASYNC_CANCEL:
		sqe->addr = 1;
		sqe->fd = -1;
		break;
	case IORING_OP_CLOSE:
		sqe->fd = slot_take(arg[1].n);
		if (sqe->fd < 0)
			sqe->opcode = IORING_OP_NOP;
		break;
	}
	array[tail] = tail;
	(void)c;
	return ret_of(syscall(SYS_io_uring_enter, slot_fd(arg[0].n), 1, 0, 0,
			      NULL, 0));
}

static const struct arg_spec uring_wait_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_URING },
	{ .name = "ms", .type = A_NUM, VALS(ms_vals) },
};

static long op_uring_wait(struct ctx *c, const struct value *arg)
{
	struct ring *ring = &rings[arg[0].n % NR_SLOTS];
	struct __kernel_timespec ts = {
		.tv_nsec = few_ms(arg[1].n) * NS_PER_MS,
	};
	struct io_uring_getevents_arg ext = { .ts = (uintptr_t)&ts };
	uint32_t *head, *tail;
	long ret;

	(void)c;
	if (!ring->rings)
		return -EBADF;
	ret = ret_of(syscall(SYS_io_uring_enter, slot_fd(arg[0].n), 0, 1,
			     IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
			     &ext, sizeof(ext)));
	head = (uint32_t *)(ring->rings + ring->p.cq_off.head);
	tail = (uint32_t *)(ring->rings + ring->p.cq_off.tail);
	if (*head != __atomic_load_n(tail, __ATOMIC_ACQUIRE)) {
		struct io_uring_cqe *cqe =
			(void *)(ring->rings + ring->p.cq_off.cqes);

		cqe += *head & (ring->p.cq_entries - 1);
		feature(mix(4ULL << 60 | (cqe->res < 0 ? (uint32_t)cqe->res :
							 1)));
		__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	}
	return ret;
}

/* The older interface for asynchronous I/O. */

static aio_context_t aio_ctx;
static pid_t aio_pid;

static const char *const aio_names[] = {
	"pread", "pwrite", "fsync", "fdsync", "preadx", "poll", "noop",
	"preadv", "pwritev", NULL
};

static const uint64_t aio_vals[] = { 0, 0, 1, 1, 5, 5, 5, 2 };

static const struct arg_spec aio_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_QUEUE | K_END },
	{ .name = "what", .type = A_NAME, .names = aio_names,
	  VALS(aio_vals) },
	{ .name = "buf", .type = A_PTR },
	{ .name = "len", .type = A_NUM, VALS(uring_lens), .max = 300 },
	{ .name = "ms", .type = A_NUM, VALS(ms_vals) },
};

static long op_aio(struct ctx *c, const struct value *arg)
{
	struct timespec ts = { .tv_nsec = few_ms(arg[4].n) * NS_PER_MS };
	struct iocb *cb = c->args, *list[1] = { cb };
	struct io_event *ev = (void *)((uint8_t *)c->args + PAGE);
	long ret;

	if (aio_pid != getpid()) {
		aio_ctx = 0;
		if (syscall(SYS_io_setup, 16, &aio_ctx) < 0)
			return ret_of(-1);
		aio_pid = getpid();
	}
	memset(cb, 0, sizeof(*cb));
	cb->aio_fildes = slot_fd(arg[0].n);
	cb->aio_lio_opcode = arg[1].n;
	cb->aio_buf = arg[1].n == IOCB_CMD_POLL ? POLLIN | POLLOUT :
		      value_of(&arg[2]);
	cb->aio_nbytes = arg[1].n == IOCB_CMD_POLL ? 0 : arg[3].n;
	ret = ret_of(syscall(SYS_io_submit, aio_ctx, 1, list));
	if (ret != 1)
		return ret;
	ret = ret_of(syscall(SYS_io_getevents, aio_ctx, 0, 1, ev, &ts));
	if (ret == 1)
		feature(mix(5ULL << 60 | arg[1].n << 32 |
			    (ev->res < 0 ? (uint32_t)ev->res : 1)));
	else if (arg[4].n % 2)
		ret = ret_of(syscall(SYS_io_cancel, aio_ctx, cb, ev));
	return ret;
}

/* userfaultfd ------------------------------------------------------------- */

static const uint64_t page_vals[] = { 1, 1, 2, 4, 16 };

static const struct arg_spec uffd_open_args[] = {
	{ .name = "out", .type = A_OUT, .kinds = K_UFFD },
	{ .name = "ptr", .type = A_PTR },
	{ .name = "pages", .type = A_NUM, VALS(page_vals) },
};

static long op_uffd_open(struct ctx *c, const struct value *arg)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { value_of(&arg[1]) & ~(PAGE - 1),
			   (arg[2].n % 16 + 1) * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd;

	(void)c;
	if (reg.range.start < ARENA_BASE ||
	    reg.range.start + reg.range.len > ARENA_BASE + ARENA_END)
		return -EINVAL;
	fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return ret_of(-1);
	/* Untouched again: a page that is there is not missed. */
	madvise((void *)(uintptr_t)reg.range.start, reg.range.len,
		MADV_DONTNEED);
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg)) {
		long ret = ret_of(-1);

		close(fd);
		return ret;
	}
	slot_set(arg[0].n, fd);
	return fd;
}

static const struct arg_spec uffd_fill_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_UFFD },
	{ .name = "ptr", .type = A_PTR },
};

static long op_uffd_fill(struct ctx *c, const struct value *arg)
{
	struct uffdio_zeropage zero = {
		.range = { value_of(&arg[1]) & ~(PAGE - 1), PAGE },
	};

	(void)c;
	return ret_of(ioctl(slot_fd(arg[0].n), UFFDIO_ZEROPAGE, &zero));
}

const struct op event_ops[] = {
	OP(poll, 15, 0, poll_args),
	OP(epoll_open, 5, OP_SETUP, epoll_open_args),
	OP(epoll_ctl, 10, OP_SETUP, epoll_ctl_args),
	OP(epoll_wait, 8, 0, epoll_wait_args),
	OP(uring_open, 2, OP_SETUP, uring_open_args),
	OP(uring_do, 8, OP_CLOSES, uring_do_args),
	OP(uring_wait, 3, 0, uring_wait_args),
	OP(aio, 4, 0, aio_args),
	OP(uffd_open, 2, OP_EXCUSE, uffd_open_args),
	OP(uffd_fill, 3, 0, uffd_fill_args),
	{ .name = NULL },
};
