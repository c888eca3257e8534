// SPDX-License-Identifier: LGPL-2.1-or-later
/* Channels: connections of two endpoints, 32 bytes and a signal each way. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define ALL_STEPS	(MBUF_STEP_WRITE | MBUF_STEP_SIGNAL | \
			 MBUF_STEP_WAIT | MBUF_STEP_READ)

int mbuf_channel_create(int session, uint32_t flags, int fds[2])
{
	struct mbuf_channel_create create = {
		.end[0].flags = flags | MBUF_END_DETACHED,
		.end[1].flags = flags | MBUF_END_DETACHED,
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_CHANNEL_CREATE, &create);

	if (ret >= 0) {
		fds[0] = create.end[0].ref.fd;
		fds[1] = create.end[1].ref.fd;
	}
	return ret;
}

int mbuf_channel_create_args(int session, struct mbuf_channel_create *args)
{
	return libmbuf_ioctl(session, MBUF_IOC_CHANNEL_CREATE, args);
}

/*
 * Here the caller's own struct goes to the kernel, as it has to come back with
 * what was done: a copy would be lost with the first interruption. A call that
 * succeeds sets done to 0.
 */
int mbuf_exchange(int fd, struct mbuf_exchange *x)
{
	return libmbuf_ioctl(fd, MBUF_IOC_EXCHANGE, x);
}

static int libmbuf_exchange(int fd, struct mbuf_exchange *x, uint64_t deadline)
{
	x->target = 0;
	x->wait = libmbuf_wait(deadline);
	return libmbuf_ioctl(fd, MBUF_IOC_EXCHANGE, x);
}

int mbuf_call(int fd, struct mbuf_exchange *x, uint64_t deadline)
{
	x->steps = ALL_STEPS;
	return libmbuf_exchange(fd, x, deadline);
}

int mbuf_serve(int fd, struct mbuf_exchange *x, uint64_t deadline)
{
	int ret;

	/* A server has nothing to reply to before its first request. */
	if (!x->steps)
		x->steps = MBUF_STEP_WAIT | MBUF_STEP_READ;
	ret = libmbuf_exchange(fd, x, deadline);
	if (ret >= 0)
		x->steps = ALL_STEPS;
	return ret;
}

/*
 * The calls below do without the caller's struct: either they do not wait, or
 * waiting is the first that they do, so that an interrupted one has done
 * nothing. A call that the kernel restarts passes the same struct again.
 */
static int libmbuf_write(int fd, uint32_t steps, const void *data)
{
	struct mbuf_exchange x = { .steps = steps };

	memcpy(x.data, data, sizeof(x.data));
	return libmbuf_ioctl(fd, MBUF_IOC_EXCHANGE, &x);
}

int mbuf_channel_write(int fd, const void *data)
{
	return libmbuf_write(fd, MBUF_STEP_WRITE, data);
}

int mbuf_channel_post(int fd, const void *data)
{
	return libmbuf_write(fd, MBUF_STEP_WRITE | MBUF_STEP_SIGNAL, data);
}

int mbuf_channel_signal(int fd)
{
	struct mbuf_exchange x = { .steps = MBUF_STEP_SIGNAL };

	return libmbuf_ioctl(fd, MBUF_IOC_EXCHANGE, &x);
}

int mbuf_channel_wait(int fd, void *data, uint64_t *signals, uint64_t deadline)
{
	struct mbuf_exchange x = {
		.wait = libmbuf_wait(deadline),
		.steps = MBUF_STEP_WAIT | (data ? MBUF_STEP_READ : 0),
	};
	int ret = libmbuf_ioctl(fd, MBUF_IOC_EXCHANGE, &x);

	if (ret < 0)
		return ret;
	if (data)
		memcpy(data, x.data, sizeof(x.data));
	if (signals)
		*signals = x.signals;
	return ret;
}

int mbuf_channel_read(int fd, void *data, uint64_t *seq)
{
	struct mbuf_exchange x = { .steps = MBUF_STEP_READ };
	int ret = libmbuf_ioctl(fd, MBUF_IOC_EXCHANGE, &x);

	if (ret < 0)
		return ret;
	memcpy(data, x.data, sizeof(x.data));
	if (seq)
		*seq = x.seq;
	return ret;
}

int mbuf_channel_info(int fd, struct mbuf_channel_info *out)
{
	struct mbuf_channel_info info = { 0 };
	int ret = libmbuf_ioctl(fd, MBUF_IOC_CHANNEL_INFO, &info);

	if (ret >= 0)
		*out = info;
	return ret;
}

int mbuf_approve(int fd, int verdict)
{
	struct mbuf_approve approve = { .verdict = (uint32_t)verdict };

	return libmbuf_ioctl(fd, MBUF_IOC_APPROVE, &approve);
}

int mbuf_channel_map(int fd, const struct mbuf_slot_map **map)
{
	void *p = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ,
		       MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*map = p;
	return 0;
}

int mbuf_channel_unmap(const struct mbuf_slot_map *map)
{
	/* To munmap() nothing is constant. */
	return munmap((void *)(uintptr_t)map,
		      (size_t)sysconf(_SC_PAGESIZE)) ? -errno : 0;
}
