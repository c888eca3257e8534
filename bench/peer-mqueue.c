// SPDX-License-Identifier: LGPL-2.1-or-later
/* POSIX message queues. All messages have the same priority. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"

static int mqueue_open(struct chan *chan)
{
	static unsigned int serial;
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct mq_attr attr = {
		.mq_maxmsg = chan->depth,
		.mq_msgsize = (long)chan->size,
	};
	char name[64];

	/*
	 * The usual limit is too low for all queues of a ping-pong of 64 KiB.
	 * Who may not raise it gets EMFILE from mq_open() where it matters.
	 */
	setrlimit(RLIMIT_MSGQUEUE, &unlimited);
	snprintf(name, sizeof(name), "/mbuf-bench-%d-%u", getpid(), serial++);
	chan->recv_fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
				0600, &attr);
	if (chan->recv_fd < 0)
		return -errno;
	mq_unlink(name);
	return 0;
}

static int mqueue_send(struct chan *chan, const void *buf)
{
	return mq_send(chan->recv_fd, buf, chan->size, 0) ? -errno : 0;
}

static int mqueue_recv(struct chan *chan, void *buf)
{
	ssize_t n = mq_receive(chan->recv_fd, buf, chan->size, NULL);

	if (n == (ssize_t)chan->size)
		return 0;
	return n < 0 ? -errno : -EIO;
}

static void mqueue_close(struct chan *chan)
{
	close_fd(&chan->recv_fd);
}

static const struct chan_ops mqueue_chan = {
	.open = mqueue_open,
	.send = mqueue_send,
	.recv = mqueue_recv,
	.close = mqueue_close,
};

const struct peer peer_mqueue = {
	.name = "mqueue",
	.chan = &mqueue_chan,
};
