// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The works, and how a peer that moves messages through a channel does them.
 */
#include "bench.h"

static int open_chan(struct row *row, unsigned int i)
{
	struct chan *chan = &row->chan[i];

	*chan = (struct chan) {
		.send_fd = -1,
		.recv_fd = -1,
		.size = row->size,
		.depth = row->work->depth,
	};
	return row->peer->chan->open(chan);
}

/* One channel: the process sends to itself. */
static int one_setup(struct row *row)
{
	return open_chan(row, 0);
}

static void one_teardown(struct row *row)
{
	row->peer->chan->close(&row->chan[0]);
}

static int sendrecv_run(struct row *row, unsigned int iters)
{
	const struct chan_ops *ops = row->peer->chan;
	struct chan *chan = &row->chan[0];
	int ret;

	while (iters--) {
		ret = ops->send(chan, row->out);
		if (ret)
			return ret;
		ret = ops->recv(chan, row->in);
		if (ret)
			return ret;
	}
	return 0;
}

static const struct ops sendrecv_ops = {
	.setup = one_setup,
	.run = sendrecv_run,
	.teardown = one_teardown,
};

/* All messages go in before the first one comes out, batched or not. */
static int batch_run(struct row *row, unsigned int iters)
{
	const struct chan_ops *ops = row->peer->chan;
	struct chan *chan = &row->chan[0];
	const unsigned int nr = row->work->nr;
	unsigned int i;
	int ret;

	while (iters--) {
		if (ops->send_n) {
			ret = ops->send_n(chan, row->out, nr);
			if (ret)
				return ret;
		} else {
			for (i = 0; i < nr; i++) {
				ret = ops->send(chan, row->out + i * row->size);
				if (ret)
					return ret;
			}
		}
		if (ops->recv_n) {
			ret = ops->recv_n(chan, row->in, nr);
			if (ret)
				return ret;
		} else {
			for (i = 0; i < nr; i++) {
				ret = ops->recv(chan, row->in + i * row->size);
				if (ret)
					return ret;
			}
		}
	}
	return 0;
}

static const struct ops batch_ops = {
	.setup = one_setup,
	.run = batch_run,
	.teardown = one_teardown,
};

/* Two channels, one for each direction. */
static void two_teardown(struct row *row)
{
	row->peer->chan->close(&row->chan[1]);
	row->peer->chan->close(&row->chan[0]);
}

static int two_setup(struct row *row)
{
	int ret;

	ret = open_chan(row, 0);
	if (ret)
		return ret;
	ret = open_chan(row, 1);
	if (ret)
		row->peer->chan->close(&row->chan[0]);
	return ret;
}

static int pingpong_serve(struct row *row)
{
	const struct chan_ops *ops = row->peer->chan;
	int ret;

	for (;;) {
		ret = ops->recv(&row->chan[0], row->in);
		if (ret)
			return ret;
		ret = ops->send(&row->chan[1], row->in);
		if (ret)
			return ret;
	}
}

static int pingpong_run(struct row *row, unsigned int iters)
{
	const struct chan_ops *ops = row->peer->chan;
	int ret;

	while (iters--) {
		ret = ops->send(&row->chan[0], row->out);
		if (ret)
			return ret;
		ret = ops->recv(&row->chan[1], row->in);
		if (ret)
			return ret;
	}
	return 0;
}

static const struct ops pingpong_ops = {
	.setup = two_setup,
	.serve = pingpong_serve,
	.run = pingpong_run,
	.teardown = two_teardown,
};

const struct work works[NR_WORKS] = {
	[WORK_SENDRECV] = {
		.name = "sendrecv",
		.chan = &sendrecv_ops,
		.depth = 4,
		.nr = 1,
		.sizes = {
			{ 32, 400 }, { 256, 400 }, { 4096, 200 }, { 65536, 20 },
		},
	},
	[WORK_PINGPONG] = {
		.name = "pingpong",
		.chan = &pingpong_ops,
		.depth = 4,
		.nr = 1,
		.sizes = {
			{ 32, 100 }, { 256, 100 }, { 4096, 80 }, { 65536, 10 },
		},
	},
	[WORK_BATCH64] = {
		.name = "batch64",
		.chan = &batch_ops,
		.depth = BATCH_NR,
		.nr = BATCH_NR,
		/* 64 messages of 64 KiB measure nothing but copying 4 MiB. */
		.sizes = {
			{ 32, 8 }, { 256, 8 }, { 4096, 4 },
		},
	},
	[WORK_BULK] = {
		/* Made elsewhere, and looked at where it arrives. */
		.name = "bulk",
		.nr = 1,
		.sizes = {
			{ 4096, 400 }, { 65536, 40 }, { 1048576, 20 },
		},
	},
	[WORK_IOCTL] = {
		/* The cheapest system call with a descriptor: a floor. */
		.name = "ioctl",
		.nr = 1,
		.sizes = {
			{ 1, 2000 },
		},
	},
	[WORK_SIGNAL] = {
		/* What a peer that is busy is told; it looks later. */
		.name = "signal",
		.nr = 1,
		.sizes = {
			{ 32, 1000 },
		},
	},
	[WORK_POLLALL] = {
		/* Asking which of so many are ready; one is. */
		.name = "pollall",
		.nr = 1,
		.things = true,
		.sizes = {
			{ 10, 1000 }, { 10000, 1000 },
		},
	},
	[WORK_CONNECT_DENIED] = {
		/* Somebody asks who is not wanted. */
		.name = "connect-denied",
		.nr = 1,
		.things = true,
		.sizes = {
			{ 1, 200 },
		},
	},
	[WORK_FAULT] = {
		/* From touching a page that is not there to having it. */
		.name = "fault",
		.nr = 1,
		.sizes = {
			{ 4096, 100 },
		},
	},
	[WORK_READPAGES] = {
		/* One page of many that are read in order. */
		.name = "readpages",
		.nr = 1,
		.sizes = {
			{ 4096, 256 },
		},
	},
	[WORK_PASS] = {
		/* A message with a descriptor, which is closed again. */
		.name = "pass",
		.nr = 1,
		.sizes = {
			{ 32, 200 },
		},
	},
	[WORK_MESSAGE] = {
		/* A message that sends itself, beside one that is sent. */
		.name = "message",
		.nr = 1,
		.sizes = {
			{ 32, 300 }, { 4096, 150 },
		},
	},
	[WORK_HANDOFF] = {
		/* The same to a receiver that sleeps, and its answer. */
		.name = "handoff",
		.nr = 1,
		.sizes = {
			{ 32, 100 }, { 4096, 80 },
		},
	},
	[WORK_SEAL] = {
		/* Sealed, unsealed, forgotten; beside sent and received. */
		.name = "seal",
		.nr = 1,
		.sizes = {
			{ 32, 200 }, { 4096, 100 },
		},
	},
	[WORK_LOOKUP] = {
		/* A handle in so many nested tables. */
		.name = "lookup",
		.nr = 1,
		.things = true,
		.sizes = {
			{ 1, 500 }, { 8, 500 },
		},
	},
};
