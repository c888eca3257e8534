// SPDX-License-Identifier: LGPL-2.1-or-later
/* pipe(2). A stream: the reader must know how long a message is. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bench.h"

static int pipe_open(struct chan *chan)
{
	size_t want = chan->size * chan->depth;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	chan->recv_fd = fds[0];
	chan->send_fd = fds[1];
	/* 64 KiB is what it has anyway. */
	if (want > 65536 && fcntl(fds[1], F_SETPIPE_SZ, (int)want) < 0)
		return -errno;
	return 0;
}

static int pipe_send(struct chan *chan, const void *buf)
{
	ssize_t n = write(chan->send_fd, buf, chan->size);

	if (n == (ssize_t)chan->size)
		return 0;
	return n < 0 ? -errno : -EIO;
}

static int pipe_recv(struct chan *chan, void *buf)
{
	ssize_t n = read(chan->recv_fd, buf, chan->size);

	if (n == (ssize_t)chan->size)
		return 0;
	if (n <= 0)
		return n ? -errno : -EPIPE;
	/* A long message may come in parts. */
	return read_full(chan->recv_fd, (char *)buf + n,
			 chan->size - (size_t)n);
}

static void pipe_close(struct chan *chan)
{
	close_fd(&chan->send_fd);
	close_fd(&chan->recv_fd);
}

static const struct chan_ops pipe_chan = {
	.open = pipe_open,
	.send = pipe_send,
	.recv = pipe_recv,
	.close = pipe_close,
};

const struct peer peer_pipe = {
	.name = "pipe",
	.chan = &pipe_chan,
};

/*
 * The same once more: how far the two differ tells how far any two figures of
 * the run can be trusted.
 */
const struct peer peer_pipe_control = {
	.name = "pipe-control",
	.chan = &pipe_chan,
};
