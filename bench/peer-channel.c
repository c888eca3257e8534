// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Channels of mbuf: 32 bytes and a signal. A round trip is one call on each
 * side; a set of endpoints and a listener that does not want somebody are works
 * of their own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mbuf.h>

#include "bench.h"

static int channel_open(struct chan *chan)
{
	int session, fds[2], ret;

	session = mbuf_open();
	if (session < 0)
		return session;
	ret = mbuf_channel_create(session, 0, fds);
	close(session);
	if (ret < 0)
		return ret;
	chan->send_fd = fds[0];
	chan->recv_fd = fds[1];
	return 0;
}

static int channel_send(struct chan *chan, const void *buf)
{
	return mbuf_channel_post(chan->send_fd, buf);
}

static int channel_recv(struct chan *chan, void *buf)
{
	return mbuf_channel_wait(chan->recv_fd, buf, NULL, MBUF_FOREVER);
}

static void channel_close(struct chan *chan)
{
	close_fd(&chan->send_fd);
	close_fd(&chan->recv_fd);
}

/* ---- round trips: one channel, and EXCHANGE on both sides ------------------ */

static int one_setup(struct row *row)
{
	row->chan[0] = (struct chan) { .send_fd = -1, .recv_fd = -1 };
	return channel_open(&row->chan[0]);
}

static void one_teardown(struct row *row)
{
	channel_close(&row->chan[0]);
}

static int exchange_serve(struct row *row)
{
	struct mbuf_exchange x = { 0 };
	int ret;

	/* The reply is the request, which is where the reply has to be. */
	do {
		ret = mbuf_serve(row->chan[0].recv_fd, &x, MBUF_FOREVER);
	} while (ret >= 0);
	return ret;
}

static int exchange_run(struct row *row, unsigned int iters)
{
	struct mbuf_exchange x = { 0 };
	int ret;

	while (iters--) {
		memcpy(x.data, row->out, sizeof(x.data));
		ret = mbuf_call(row->chan[0].send_fd, &x, MBUF_FOREVER);
		if (ret < 0)
			return ret;
	}
	memcpy(row->in, x.data, sizeof(x.data));
	return 0;
}

static const struct ops exchange_pingpong = {
	.setup = one_setup,
	.serve = exchange_serve,
	.run = exchange_run,
	.teardown = one_teardown,
};

/* ---- write and signal, and nobody waits ------------------------------------ */

static int signal_run(struct row *row, unsigned int iters)
{
	int ret;

	while (iters--) {
		ret = mbuf_channel_post(row->chan[0].send_fd, row->out);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int signal_fetch(struct row *row)
{
	return mbuf_channel_read(row->chan[0].recv_fd, row->in, NULL);
}

static const struct ops channel_signal = {
	.setup = one_setup,
	.run = signal_run,
	.fetch = signal_fetch,
	.teardown = one_teardown,
};

/* ---- one endpoint of many is ready ------------------------------------------ */

#define READY_COOKIE	UINT64_MAX

struct set {
	int session;
	int ready[2];
	unsigned int nr;
	double slab_bytes;
	double charged_bytes;
	int ends[];
};

static int charged(int session, double *bytes)
{
	struct mbuf_query query;
	int ret = mbuf_query(session, &query);

	if (ret >= 0)
		*bytes = (double)query.memory.used;
	return ret;
}

/* Both ends of each idle channel are in the set. */
static int set_fill(struct set *set, unsigned int idle)
{
	struct mbuf_channel_create create;
	int ret;

	while (set->nr < idle) {
		create = (struct mbuf_channel_create) {
			.end[0].cookie = set->nr,
			.end[1].cookie = set->nr + 1,
		};
		ret = mbuf_channel_create_args(set->session, &create);
		if (ret < 0)
			return ret;
		set->ends[set->nr++] = create.end[0].ref.fd;
		set->ends[set->nr++] = create.end[1].ref.fd;
	}
	return 0;
}

static void set_teardown(struct row *row)
{
	struct set *set = row->priv;

	while (set->nr)
		close(set->ends[--set->nr]);
	close_fd(&set->ready[0]);
	close_fd(&set->ready[1]);
	close_fd(&set->session);
	free(set);
}

static int set_setup(struct row *row)
{
	unsigned int idle = (unsigned int)row->size;
	double slab_before = 0, slab_after = 0, before = 0, after = 0;
	size_t size;
	struct set *set;
	char data[MBUF_SLOT_SIZE] = "ready";
	int ret;

	size = sizeof(*set) + idle * sizeof(set->ends[0]);
	set = calloc(1, size);
	if (!set)
		return -ENOMEM;
	/* Touched now, so that what follows is all the kernel's own. */
	memset(set, 0, size);
	row->priv = set;
	set->ready[0] = -1;
	set->ready[1] = -1;
	set->session = mbuf_open();
	if (set->session < 0)
		return set->session;
	ret = room_for_fds(idle);
	if (!ret)
		ret = mbuf_channel_create(set->session, 0, set->ready);
	if (!ret)
		ret = mbuf_attach(set->session, set->ready[0], READY_COOKIE, 0);
	if (!ret)
		ret = mbuf_channel_post(set->ready[1], data);
	if (!ret)
		ret = charged(set->session, &before);
	if (!ret)
		ret = slab_bytes(false, &slab_before);
	if (!ret)
		ret = set_fill(set, idle);
	if (!ret)
		ret = slab_bytes(false, &slab_after);
	if (!ret)
		ret = charged(set->session, &after);
	if (ret < 0)
		return ret;
	set->slab_bytes = (slab_after - slab_before) / idle;
	set->charged_bytes = (after - before) / idle;
	return 0;
}

static int set_run(struct row *row, unsigned int iters)
{
	struct set *set = row->priv;
	struct mbuf_event events[16];
	int ret;

	while (iters--) {
		ret = mbuf_poll_all(set->session, events, 16, MBUF_FOREVER);
		if (ret < 0)
			return ret;
		if (ret != 1 || events[0].cookie != READY_COOKIE ||
		    events[0].events != MBUF_EVENT_IN)
			return -EPROTO;
	}
	return 0;
}

static int set_figures(struct row *row, unsigned int divide)
{
	struct set *set = row->priv;

	(void)divide;
	/* A few are drowned by what else the kernel has allocated. */
	if (row->size >= 1000)
		figure(row, row->size, "slab-bytes-each", set->slab_bytes);
	figure(row, row->size, "charged-bytes-each", set->charged_bytes);
	return 0;
}

static const struct ops channel_pollall = {
	.setup = set_setup,
	.run = set_run,
	.figures = set_figures,
	.teardown = set_teardown,
	.no_data = true,
};

/* ---- connections from somebody who is not wanted ---------------------------- */

static const char name[] = "mbuf-bench";

#define FLOOD	100000

struct denied {
	int session;
	int listener;
};

static int denied_setup(struct row *row)
{
	struct denied *denied = calloc(1, sizeof(*denied));

	if (!denied)
		return -ENOMEM;
	row->priv = denied;
	denied->listener = -1;
	denied->session = mbuf_open();
	if (denied->session < 0)
		return denied->session;
	denied->listener = mbuf_listen(denied->session, name, sizeof(name) - 1,
				       0666, 16);
	if (denied->listener < 0)
		return denied->listener;
	return mbuf_listener_deny(denied->listener, geteuid());
}

static int denied_serve(struct row *row)
{
	struct denied *denied = row->priv;
	int fd = mbuf_accept(denied->listener, NULL, MBUF_FOREVER);

	/* There is nobody else who could have connected. */
	return fd < 0 ? fd : -EPROTO;
}

static int denied_run(struct row *row, unsigned int iters)
{
	struct denied *denied = row->priv;
	int ret;

	while (iters--) {
		ret = mbuf_connect(denied->session, name, sizeof(name) - 1,
				   MBUF_FOREVER);
		if (ret != -EACCES)
			return ret < 0 ? ret : -EPROTO;
	}
	return 0;
}

static int denied_figures(struct row *row, unsigned int divide)
{
	const unsigned int nr = FLOOD / divide;
	struct denied *denied = row->priv;
	struct mbuf_listener_info info;
	uint64_t before;
	int ret;

	do {
		ret = mbuf_listener_info(denied->listener, NULL, 0, &info);
		if (ret < 0)
			return ret;
	} while (!info.waiters);
	before = info.denied;
	ret = flood(row, nr, denied_run);
	if (!ret)
		ret = mbuf_listener_info(denied->listener, NULL, 0, &info);
	if (!ret && (info.denied - before < nr || info.waiters != 1))
		ret = -EPROTO;
	return ret;
}

static void denied_teardown(struct row *row)
{
	struct denied *denied = row->priv;

	close_fd(&denied->listener);
	close_fd(&denied->session);
	free(denied);
}

static const struct ops channel_denied = {
	.setup = denied_setup,
	.serve = denied_serve,
	.run = denied_run,
	.figures = denied_figures,
	.teardown = denied_teardown,
	.no_data = true,
};

static const char *no_channels(void)
{
	const uint64_t need = MBUF_FEATURE_CHANNEL | MBUF_FEATURE_LISTENER;
	struct mbuf_query query;
	int session = mbuf_open(), ret;

	if (session < 0)
		return "/dev/mbuf cannot be opened: load the module";
	ret = mbuf_query(session, &query);
	close(session);
	if (ret < 0 || (query.features & need) != need)
		return "the module is too old to have channels and listeners";
	return NULL;
}

static const struct chan_ops channel_chan = {
	.open = channel_open,
	.send = channel_send,
	.recv = channel_recv,
	.close = channel_close,
};

const struct peer peer_channel = {
	.name = "mbuf-channel",
	.chan = &channel_chan,
	.own = {
		[WORK_PINGPONG] = &exchange_pingpong,
		[WORK_SIGNAL] = &channel_signal,
		[WORK_POLLALL] = &channel_pollall,
		[WORK_CONNECT_DENIED] = &channel_denied,
	},
	/* A second value replaces the first. */
	.not = 1U << WORK_BATCH64,
	.size = MBUF_SLOT_SIZE,
	.unavailable = no_channels,
};
