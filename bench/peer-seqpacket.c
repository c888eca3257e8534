// SPDX-License-Identifier: LGPL-2.1-or-later
/* A pair of AF_UNIX sockets of type SOCK_SEQPACKET; sendmmsg for batches. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"

struct seq {
	struct mmsghdr hdrs[BATCH_NR];
	struct iovec iovs[BATCH_NR];
};

static int seq_open(struct chan *chan)
{
	/* What a message costs besides its payload, on the safe side. */
	int room = (int)((chan->size + 4096) * chan->depth * 2);
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	chan->recv_fd = fds[0];
	chan->send_fd = fds[1];
	/* FORCE: not bounded by net.core.wmem_max, root may do that. */
	if (setsockopt(fds[1], SOL_SOCKET, SO_SNDBUFFORCE, &room,
		       sizeof(room)) &&
	    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)))
		return -errno;
	chan->priv = calloc(1, sizeof(struct seq));
	return chan->priv ? 0 : -ENOMEM;
}

static int seq_send(struct chan *chan, const void *buf)
{
	ssize_t n = send(chan->send_fd, buf, chan->size, 0);

	if (n == (ssize_t)chan->size)
		return 0;
	return n < 0 ? -errno : -EIO;
}

static int seq_recv(struct chan *chan, void *buf)
{
	ssize_t n = recv(chan->recv_fd, buf, chan->size, 0);

	if (n == (ssize_t)chan->size)
		return 0;
	return n < 0 ? -errno : -EIO;
}

/* Filled in anew for each batch, as a program with new messages has to. */
static struct mmsghdr *seq_headers(struct chan *chan, char *bufs,
				   unsigned int nr)
{
	struct seq *seq = chan->priv;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		seq->iovs[i] = (struct iovec) {
			.iov_base = bufs + i * chan->size,
			.iov_len = chan->size,
		};
		seq->hdrs[i].msg_hdr = (struct msghdr) {
			.msg_iov = &seq->iovs[i],
			.msg_iovlen = 1,
		};
	}
	return seq->hdrs;
}

static int seq_send_n(struct chan *chan, const void *bufs, unsigned int nr)
{
	int n = sendmmsg(chan->send_fd, seq_headers(chan, (char *)bufs, nr),
			 nr, 0);

	if (n == (int)nr)
		return 0;
	return n < 0 ? -errno : -EIO;
}

static int seq_recv_n(struct chan *chan, void *bufs, unsigned int nr)
{
	int n = recvmmsg(chan->recv_fd, seq_headers(chan, bufs, nr), nr, 0,
			 NULL);

	if (n == (int)nr)
		return 0;
	return n < 0 ? -errno : -EIO;
}

static void seq_close(struct chan *chan)
{
	free(chan->priv);
	chan->priv = NULL;
	close_fd(&chan->send_fd);
	close_fd(&chan->recv_fd);
}

static const struct chan_ops seq_chan = {
	.open = seq_open,
	.send = seq_send,
	.recv = seq_recv,
	.send_n = seq_send_n,
	.recv_n = seq_recv_n,
	.close = seq_close,
};

/*
 * Somebody who is not wanted: the kernel lets everybody in who may write to the
 * name, so the listener takes each connection, looks who it is, and closes it.
 */
#define FLOOD	100000

static const struct sockaddr_un denied_name = {
	.sun_family = AF_UNIX,
	/* An abstract name. */
	.sun_path = "\0mbuf-bench",
};

static int denied_setup(struct row *row)
{
	struct chan *chan = &row->chan[0];

	*chan = (struct chan) { .send_fd = -1, .recv_fd = -1 };
	chan->recv_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (chan->recv_fd < 0 ||
	    bind(chan->recv_fd, (const struct sockaddr *)&denied_name,
		 sizeof(denied_name)) ||
	    listen(chan->recv_fd, 16))
		return -errno;
	return 0;
}

static int denied_serve(struct row *row)
{
	struct ucred peer;
	socklen_t len;
	int fd;

	for (;;) {
		fd = accept4(row->chan[0].recv_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			return -errno;
		len = sizeof(peer);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
			return -errno;
		if (peer.uid != geteuid())
			return -EPROTO;
		close(fd);
	}
}

static int denied_run(struct row *row, unsigned int iters)
{
	ssize_t n;
	char c;
	int fd;

	(void)row;
	while (iters--) {
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		if (fd < 0 || connect(fd, (const struct sockaddr *)&denied_name,
				      sizeof(denied_name)))
			return -errno;
		/* Refused is what it is when the other side has closed. */
		n = recv(fd, &c, 1, 0);
		if (n)
			return n < 0 ? -errno : -EPROTO;
		close(fd);
	}
	return 0;
}

static int denied_figures(struct row *row, unsigned int divide)
{
	return flood(row, FLOOD / divide, denied_run);
}

static void denied_teardown(struct row *row)
{
	close_fd(&row->chan[0].recv_fd);
}

static const struct ops seq_denied = {
	.setup = denied_setup,
	.serve = denied_serve,
	.run = denied_run,
	.figures = denied_figures,
	.teardown = denied_teardown,
	.no_data = true,
};

const struct peer peer_seqpacket = {
	.name = "seqpacket",
	.chan = &seq_chan,
	.own = { [WORK_CONNECT_DENIED] = &seq_denied },
};
