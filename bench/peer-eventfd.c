// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * eventfd(2): a number of 64 bits, hardly a message, but the cheapest way to
 * wake a process through a descriptor.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench.h"

static int eventfd_open(struct chan *chan)
{
	chan->recv_fd = eventfd(0, EFD_CLOEXEC);
	return chan->recv_fd < 0 ? -errno : 0;
}

static int eventfd_send(struct chan *chan, const void *buf)
{
	return write(chan->recv_fd, buf, 8) == 8 ? 0 : -errno;
}

static int eventfd_recv(struct chan *chan, void *buf)
{
	return read(chan->recv_fd, buf, 8) == 8 ? 0 : -errno;
}

static void eventfd_close(struct chan *chan)
{
	close_fd(&chan->recv_fd);
}

static const struct chan_ops eventfd_chan = {
	.open = eventfd_open,
	.send = eventfd_send,
	.recv = eventfd_recv,
	.close = eventfd_close,
};

/* Nobody reads while it is measured: the number grows. */
static int signal_setup(struct row *row)
{
	row->chan[0] = (struct chan) { .send_fd = -1, .recv_fd = -1 };
	return eventfd_open(&row->chan[0]);
}

static int signal_run(struct row *row, unsigned int iters)
{
	static const uint64_t one = 1;
	int ret;

	while (iters--) {
		ret = eventfd_send(&row->chan[0], &one);
		if (ret)
			return ret;
	}
	return 0;
}

static void signal_teardown(struct row *row)
{
	eventfd_close(&row->chan[0]);
}

static const struct ops eventfd_signal = {
	.setup = signal_setup,
	.run = signal_run,
	.teardown = signal_teardown,
	.no_data = true,
};

const struct peer peer_eventfd = {
	.name = "eventfd",
	.chan = &eventfd_chan,
	.own = { [WORK_SIGNAL] = &eventfd_signal },
	/* Written twice, it holds the sum: no place for a second message. */
	.not = 1U << WORK_BATCH64,
	.size = 8,
};
