// SPDX-License-Identifier: LGPL-2.1-or-later
/* epoll(7) with eventfds: the set that everybody has. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench.h"

#define READY_COOKIE	UINT64_MAX

struct set {
	int epoll;
	int ready;
	unsigned int nr;
	double slab_bytes;
	int fds[];
};

static int set_add(struct set *set, int *fd, uint64_t cookie)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = cookie };

	*fd = eventfd(0, EFD_CLOEXEC);
	if (*fd < 0 || epoll_ctl(set->epoll, EPOLL_CTL_ADD, *fd, &event))
		return -errno;
	return 0;
}

static int set_fill(struct set *set, unsigned int idle)
{
	int ret;

	while (set->nr < idle) {
		ret = set_add(set, &set->fds[set->nr], set->nr);
		set->nr++;
		if (ret)
			return ret;
	}
	return 0;
}

static int set_setup(struct row *row)
{
	unsigned int idle = (unsigned int)row->size;
	double before = 0, after = 0;
	size_t size;
	struct set *set;
	int ret;

	size = sizeof(*set) + idle * sizeof(set->fds[0]);
	set = calloc(1, size);
	if (!set)
		return -ENOMEM;
	memset(set, 0, size);
	row->priv = set;
	set->ready = -1;
	set->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (set->epoll < 0)
		return -errno;
	ret = room_for_fds(idle);
	if (!ret)
		ret = set_add(set, &set->ready, READY_COOKIE);
	if (!ret && eventfd_write(set->ready, 1))
		ret = -errno;
	if (!ret)
		ret = slab_bytes(false, &before);
	if (!ret)
		ret = set_fill(set, idle);
	if (!ret)
		ret = slab_bytes(false, &after);
	if (!ret)
		set->slab_bytes = (after - before) / idle;
	return ret;
}

static int set_run(struct row *row, unsigned int iters)
{
	struct set *set = row->priv;
	struct epoll_event events[16];

	while (iters--) {
		if (epoll_wait(set->epoll, events, 16, -1) != 1 ||
		    events[0].data.u64 != READY_COOKIE ||
		    events[0].events != EPOLLIN)
			return -EPROTO;
	}
	return 0;
}

static int set_figures(struct row *row, unsigned int divide)
{
	struct set *set = row->priv;

	(void)divide;
	if (row->size >= 1000)
		figure(row, row->size, "slab-bytes-each", set->slab_bytes);
	return 0;
}

static void set_teardown(struct row *row)
{
	struct set *set = row->priv;

	while (set->nr)
		close_fd(&set->fds[--set->nr]);
	close_fd(&set->ready);
	close_fd(&set->epoll);
	free(set);
}

static const struct ops epoll_pollall = {
	.setup = set_setup,
	.run = set_run,
	.figures = set_figures,
	.teardown = set_teardown,
	.no_data = true,
};

const struct peer peer_epoll = {
	.name = "epoll",
	.own = { [WORK_POLLALL] = &epoll_pollall },
};
