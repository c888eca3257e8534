// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Queues of mbuf, in two ways: "mbuf" uses read() and write() on the
 * descriptors and the batch calls, "mbuf-ioctl" the SEND and RECV calls of
 * libmbuf.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <mbuf.h>

#include "bench.h"

static int queue_open(struct chan *chan)
{
	int session, ret;

	session = mbuf_open();
	if (session < 0)
		return session;
	ret = mbuf_queue_create(session, chan->depth, (uint32_t)chan->size, 0,
				&chan->recv_fd, &chan->send_fd);
	/* The descriptors do not need the session that made them. */
	close(session);
	return ret < 0 ? ret : 0;
}

static void queue_close(struct chan *chan)
{
	close_fd(&chan->send_fd);
	close_fd(&chan->recv_fd);
}

static int rw_send(struct chan *chan, const void *buf)
{
	ssize_t n = write(chan->send_fd, buf, chan->size);

	if (n == (ssize_t)chan->size)
		return 0;
	return n < 0 ? -errno : -EIO;
}

static int rw_recv(struct chan *chan, void *buf)
{
	ssize_t n = read(chan->recv_fd, buf, chan->size);

	if (n == (ssize_t)chan->size)
		return 0;
	return n < 0 ? -errno : -EIO;
}

static int ioctl_send(struct chan *chan, const void *buf)
{
	return mbuf_send(chan->send_fd, buf, chan->size, MBUF_FOREVER);
}

static int ioctl_recv(struct chan *chan, void *buf)
{
	ssize_t n = mbuf_recv(chan->recv_fd, buf, chan->size, MBUF_FOREVER);

	if (n == (ssize_t)chan->size)
		return 0;
	return n < 0 ? (int)n : -EIO;
}

/* Filled in anew for each batch, as a program with new messages has to. */
static void fill(struct mbuf_msg *msgs, const struct chan *chan,
		 const char *bufs, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		msgs[i] = (struct mbuf_msg) {
			.buf = (uintptr_t)(bufs + i * chan->size),
			.len = (uint32_t)chan->size,
		};
	}
}

static int batch_send(struct chan *chan, const void *bufs, unsigned int nr)
{
	struct mbuf_msg msgs[BATCH_NR];
	int n;

	fill(msgs, chan, bufs, nr);
	n = mbuf_send_batch(chan->send_fd, msgs, nr, nr, MBUF_FOREVER);
	if (n == (int)nr)
		return 0;
	return n < 0 ? n : -EIO;
}

static int batch_recv(struct chan *chan, void *bufs, unsigned int nr)
{
	struct mbuf_msg msgs[BATCH_NR];
	int n;

	fill(msgs, chan, bufs, nr);
	n = mbuf_recv_batch(chan->recv_fd, msgs, nr, nr, MBUF_FOREVER);
	if (n == (int)nr)
		return 0;
	return n < 0 ? n : -EIO;
}

static const char *no_mbuf(void)
{
	int session = mbuf_open();

	if (session < 0)
		return "/dev/mbuf cannot be opened: load the module";
	close(session);
	return NULL;
}

static const struct chan_ops rw_chan = {
	.open = queue_open,
	.send = rw_send,
	.recv = rw_recv,
	.send_n = batch_send,
	.recv_n = batch_recv,
	.close = queue_close,
};

static const struct chan_ops ioctl_chan = {
	.open = queue_open,
	.send = ioctl_send,
	.recv = ioctl_recv,
	.close = queue_close,
};

const struct peer peer_mbuf = {
	.name = "mbuf",
	.chan = &rw_chan,
	.unavailable = no_mbuf,
};

const struct peer peer_mbuf_ioctl = {
	.name = "mbuf-ioctl",
	.chan = &ioctl_chan,
	.unavailable = no_mbuf,
};
