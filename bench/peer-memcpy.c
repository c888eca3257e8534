// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * No mechanism at all: the message is copied into a buffer and out of it. What
 * copies a message twice cannot be cheaper.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static int copy_open(struct chan *chan)
{
	chan->priv = malloc(chan->size);
	return chan->priv ? 0 : -ENOMEM;
}

static int copy_send(struct chan *chan, const void *buf)
{
	memcpy(chan->priv, buf, chan->size);
	return 0;
}

static int copy_recv(struct chan *chan, void *buf)
{
	memcpy(buf, chan->priv, chan->size);
	return 0;
}

static void copy_close(struct chan *chan)
{
	free(chan->priv);
	chan->priv = NULL;
}

static const struct chan_ops copy_chan = {
	.open = copy_open,
	.send = copy_send,
	.recv = copy_recv,
	.close = copy_close,
};

/* ---- copied once, to where it is looked at ---------------------------------- */

static int once_setup(struct row *row)
{
	row->priv = malloc(row->size);
	row->got = row->priv;
	return row->priv ? 0 : -ENOMEM;
}

static int once_run(struct row *row, unsigned int iters)
{
	while (iters--) {
		memcpy(row->priv, row->out, row->size);
		/* Or else compilers would find that once is enough. */
		__asm__ volatile("" : : "r"(row->priv) : "memory");
	}
	return 0;
}

static void once_teardown(struct row *row)
{
	free(row->priv);
}

static const struct ops copy_once = {
	.setup = once_setup,
	.run = once_run,
	.teardown = once_teardown,
};

const struct peer peer_memcpy = {
	.name = "memcpy",
	.chan = &copy_chan,
	.own = {
		[WORK_BULK] = &copy_once,
	},
	/* It holds one message, and nobody can wait for it. */
	.not = 1U << WORK_PINGPONG | 1U << WORK_BATCH64,
};
