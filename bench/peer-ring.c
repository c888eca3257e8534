// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Rings of libmbuf in shared memory. Whoever has to sleep does so at a channel,
 * which is the doorbell of a ring each way; a round trip is one call on each
 * side. Like the ring with a futex it does not spin before it sleeps, which on
 * one CPU is its own choice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mbuf_ring.h>

#include "bench.h"

/* One way: an area that only its producer would have to write to. */
struct way {
	void *area;
	size_t bytes;
	struct mbuf_ring_map map;
	struct mbuf_ring_tx tx;
	struct mbuf_ring_rx rx;
	struct mbuf_ring_bell send_bell, recv_bell;
};

static int bell_open(int fds[2])
{
	int session = mbuf_open(), ret;

	if (session < 0)
		return session;
	ret = mbuf_channel_create(session, 0, fds);
	close(session);
	return ret < 0 ? ret : 0;
}

/* Room for @depth messages of @size. */
static int way_map(struct way *way, size_t size, unsigned int depth)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	/* The longest record is a part of a ring. */
	way->bytes = mbuf_ring_area(2 * (size + 16) * depth);
	way->bytes = (way->bytes + page - 1) / page * page;
	way->area = mmap(NULL, way->bytes, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (way->area == MAP_FAILED) {
		way->area = NULL;
		return -errno;
	}
	return mbuf_ring_map(&way->map, way->area, way->bytes, way->area);
}

static void way_unmap(struct way *way)
{
	if (way->area)
		munmap(way->area, way->bytes);
}

/* ---- one way: both sides in one process, with an end of the bell each ------ */

static int ring_open(struct chan *chan)
{
	struct way *way = calloc(1, sizeof(*way));
	int fds[2], ret;

	if (!way)
		return -ENOMEM;
	chan->priv = way;
	ret = way_map(way, chan->size, chan->depth);
	if (!ret)
		ret = bell_open(fds);
	if (ret)
		return ret;
	chan->send_fd = fds[0];
	chan->recv_fd = fds[1];
	mbuf_ring_bell_channel(&way->send_bell, fds[0]);
	mbuf_ring_bell_channel(&way->recv_bell, fds[1]);
	ret = mbuf_ring_tx_init(&way->tx, &way->map, &way->send_bell);
	if (!ret)
		ret = mbuf_ring_rx_init(&way->rx, &way->map, &way->recv_bell);
	return ret;
}

static int ring_send(struct chan *chan, const void *buf)
{
	struct way *way = chan->priv;

	return mbuf_ring_push(&way->tx, buf, chan->size, MBUF_FOREVER);
}

static int ring_recv(struct chan *chan, void *buf)
{
	struct way *way = chan->priv;
	ssize_t ret = mbuf_ring_pop(&way->rx, buf, chan->size, MBUF_FOREVER);

	return ret < 0 ? (int)ret : 0;
}

static void ring_close(struct chan *chan)
{
	struct way *way = chan->priv;

	if (way)
		way_unmap(way);
	free(way);
	chan->priv = NULL;
	close_fd(&chan->send_fd);
	close_fd(&chan->recv_fd);
}

static const struct chan_ops ring_chan = {
	.open = ring_open,
	.send = ring_send,
	.recv = ring_recv,
	.close = ring_close,
};

/* ---- round trips: a ring each way, and one doorbell ------------------------- */

struct both {
	struct way way[2];
	int fds[2];
	struct mbuf_ring_bell bell;
	bool begun;
};

static int both_setup(struct row *row)
{
	struct both *both = calloc(1, sizeof(*both));
	int ret;

	if (!both)
		return -ENOMEM;
	row->priv = both;
	both->fds[0] = -1;
	both->fds[1] = -1;
	ret = way_map(&both->way[0], row->size, row->work->depth);
	if (!ret)
		ret = way_map(&both->way[1], row->size, row->work->depth);
	return ret ? ret : bell_open(both->fds);
}

/* In the process that has it. */
static int both_begin(struct both *both, unsigned int side)
{
	struct way *to = &both->way[side], *from = &both->way[!side];
	int ret;

	mbuf_ring_bell_channel(&both->bell, both->fds[side]);
	ret = mbuf_ring_tx_init(&to->tx, &to->map, &both->bell);
	return ret ? ret : mbuf_ring_rx_init(&from->rx, &from->map,
					     &both->bell);
}

static int both_serve(struct row *row)
{
	struct both *both = row->priv;
	ssize_t ret;
	int sent;

	ret = both_begin(both, 1);
	if (!ret)
		ret = mbuf_ring_pop(&both->way[0].rx, row->in, row->size,
				    MBUF_FOREVER);
	while (ret >= 0)
		ret = mbuf_ring_call(&both->way[1].tx, row->in, row->size,
				     &both->way[0].rx, row->in, row->size,
				     MBUF_FOREVER, &sent);
	return (int)ret;
}

static int both_run(struct row *row, unsigned int iters)
{
	struct both *both = row->priv;
	ssize_t ret;
	int sent;

	if (!both->begun) {
		ret = both_begin(both, 0);
		if (ret)
			return (int)ret;
		both->begun = true;
	}
	while (iters--) {
		ret = mbuf_ring_call(&both->way[0].tx, row->out, row->size,
				     &both->way[1].rx, row->in, row->size,
				     MBUF_FOREVER, &sent);
		if (ret < 0)
			return (int)ret;
	}
	return 0;
}

static void both_teardown(struct row *row)
{
	struct both *both = row->priv;

	if (!both)
		return;
	way_unmap(&both->way[0]);
	way_unmap(&both->way[1]);
	close_fd(&both->fds[0]);
	close_fd(&both->fds[1]);
	free(both);
}

static const struct ops ring_pingpong = {
	.setup = both_setup,
	.serve = both_serve,
	.run = both_run,
	.teardown = both_teardown,
};

/* ---- much at once: written where it stays, and read there ------------------- */

static int bulk_setup(struct row *row)
{
	row->chan[0] = (struct chan) {
		.send_fd = -1,
		.recv_fd = -1,
		.size = row->size,
		.depth = 2,
	};
	return ring_open(&row->chan[0]);
}

static void bulk_teardown(struct row *row)
{
	ring_close(&row->chan[0]);
}

static int bulk(struct row *row, unsigned int iters, bool copy)
{
	struct way *way = row->chan[0].priv;
	struct mbuf_ring_rec rec;
	void *data;
	int ret;

	while (iters--) {
		ret = mbuf_ring_loan(&way->tx, row->size, &data, MBUF_FOREVER);
		if (ret)
			return ret;
		if (copy)
			memcpy(data, row->out, row->size);
		ret = mbuf_ring_commit(&way->tx, row->size, 0);
		if (!ret)
			ret = mbuf_ring_peek(&way->rx, &rec, MBUF_FOREVER);
		if (ret)
			return ret;
		if (rec.len != row->size)
			return -EPROTO;
		/* It stays there for as long as nothing else is sent. */
		row->got = rec.data;
		mbuf_ring_release(&way->rx);
	}
	return 0;
}

static int bulk_run(struct row *row, unsigned int iters)
{
	return bulk(row, iters, true);
}

static int loan_run(struct row *row, unsigned int iters)
{
	return bulk(row, iters, false);
}

static const struct ops ring_bulk = {
	.setup = bulk_setup,
	.run = bulk_run,
	.teardown = bulk_teardown,
};

static const struct ops ring_loan = {
	.setup = bulk_setup,
	.run = loan_run,
	.teardown = bulk_teardown,
	.no_data = true,
};

const struct peer peer_ring = {
	.name = "mbuf-ring",
	.chan = &ring_chan,
	.own = {
		[WORK_PINGPONG] = &ring_pingpong,
		[WORK_BULK] = &ring_bulk,
	},
};

const struct peer peer_ring_loan = {
	.name = "mbuf-loan",
	.own = {
		[WORK_BULK] = &ring_loan,
	},
};
