// SPDX-License-Identifier: LGPL-2.1-or-later
/* Queues: bounded buffers of messages. */
#include "internal.h"

/*
 * Lengths are 32 bits wide in the contract, and no queue takes a message that
 * long. So a longer length behaves as the longest one that can be passed: too
 * long to be sent, and room for anything.
 */
static uint32_t libmbuf_len(size_t len)
{
	return len < UINT32_MAX ? (uint32_t)len : UINT32_MAX;
}

int mbuf_queue_create(int session, uint32_t slots, uint32_t max_msg,
		      uint32_t flags, int *recv_fd, int *send_fd)
{
	struct mbuf_queue_create create = {
		.slots = slots,
		.max_msg = max_msg,
		.flags = flags,
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_QUEUE_CREATE, &create);

	if (ret >= 0) {
		*recv_fd = create.recv.fd;
		*send_fd = create.send.fd;
	}
	return ret;
}

int mbuf_queue_info(int fd, struct mbuf_queue_info *out)
{
	struct mbuf_queue_info info = { 0 };
	int ret = libmbuf_ioctl(fd, MBUF_IOC_QUEUE_INFO, &info);

	if (ret >= 0)
		*out = info;
	return ret;
}

int mbuf_send(int fd, const void *buf, size_t len, uint64_t deadline)
{
	struct mbuf_xfer xfer = {
		.wait = libmbuf_wait(deadline),
		.msg.buf = libmbuf_addr(buf),
		.msg.len = libmbuf_len(len),
	};

	return libmbuf_ioctl(fd, MBUF_IOC_SEND, &xfer);
}

ssize_t mbuf_recv(int fd, void *buf, size_t size, uint64_t deadline)
{
	struct mbuf_xfer xfer = {
		.wait = libmbuf_wait(deadline),
		.msg.buf = libmbuf_addr(buf),
		.msg.len = libmbuf_len(size),
	};
	int ret = libmbuf_ioctl(fd, MBUF_IOC_RECV, &xfer);

	return ret < 0 ? ret : (ssize_t)xfer.msg.len;
}

int mbuf_send_msg(int fd, struct mbuf_msg *msg, uint64_t deadline)
{
	struct mbuf_xfer xfer = {
		.wait = libmbuf_wait(deadline),
		.msg = *msg,
	};
	int ret = libmbuf_ioctl(fd, MBUF_IOC_SEND, &xfer);

	if (ret >= 0)
		msg->seq = xfer.msg.seq;
	return ret;
}

int mbuf_recv_msg(int fd, struct mbuf_msg *msg, uint64_t deadline)
{
	struct mbuf_xfer xfer = {
		.wait = libmbuf_wait(deadline),
		.msg = *msg,
	};
	int ret = libmbuf_ioctl(fd, MBUF_IOC_RECV, &xfer);

	if (ret >= 0)
		*msg = xfer.msg;
	else if (ret == -EMSGSIZE)
		msg->len = xfer.msg.len;
	return ret;
}

static int libmbuf_batch(int fd, unsigned long cmd, struct mbuf_msg *msgs,
			 unsigned int nr, unsigned int min, uint64_t deadline)
{
	struct mbuf_batch batch = {
		.wait = libmbuf_wait(deadline),
		.msgs = libmbuf_addr(msgs),
		.nr = nr,
		.stride = sizeof(*msgs),
		.min = min,
	};

	return libmbuf_ioctl(fd, cmd, &batch);
}

int mbuf_send_batch(int fd, struct mbuf_msg *msgs, unsigned int nr,
		    unsigned int min, uint64_t deadline)
{
	return libmbuf_batch(fd, MBUF_IOC_SEND_BATCH, msgs, nr, min, deadline);
}

int mbuf_recv_batch(int fd, struct mbuf_msg *msgs, unsigned int nr,
		    unsigned int min, uint64_t deadline)
{
	return libmbuf_batch(fd, MBUF_IOC_RECV_BATCH, msgs, nr, min, deadline);
}
