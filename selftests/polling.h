/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Polling for tests: at once, by a thread that sleeps in poll, select or epoll,
 * and by an epoll that is looked at.
 */
#ifndef MBUF_SELFTESTS_POLLING_H
#define MBUF_SELFTESTS_POLLING_H

#include <sys/epoll.h>
#include <sys/select.h>
#include "util.h"

/* What poll, select and epoll say at once, which must be the same. */
static inline int readiness(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLPRI };
	struct timeval zero = {};
	fd_set rd, wr, ex;
	int ep, n, by_poll, by_epoll = 0, sel_rd, sel_wr;

	by_poll = poll_now(fd, POLLIN | POLLOUT | POLLPRI);

	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	n = epoll_wait(ep, &ev, 1, 0);
	if (n > 0)
		by_epoll = (int)ev.events;
	close(ep);
	if (by_epoll != by_poll)
		return -EPROTO;

	FD_ZERO(&rd);
	FD_ZERO(&wr);
	FD_ZERO(&ex);
	FD_SET(fd, &rd);
	FD_SET(fd, &wr);
	FD_SET(fd, &ex);
	if (select(fd + 1, &rd, &wr, &ex, &zero) < 0)
		return -errno;
	/* select shows an end as readable, and an error as both. */
	sel_rd = by_poll & (POLLIN | POLLHUP | POLLERR);
	sel_wr = by_poll & (POLLOUT | POLLERR);
	if (!FD_ISSET(fd, &rd) != !sel_rd || !FD_ISSET(fd, &wr) != !sel_wr ||
	    FD_ISSET(fd, &ex))
		return -EPROTO;
	return by_poll;
}

/*
 * Sleeping in poll, until something happens
 */
enum poll_by { BY_POLL, BY_SELECT, BY_EPOLL, NR_BY };

struct poller {
	pthread_t thread;
	enum poll_by how;
	int fd;
	short events;
	int ret;
	_Atomic pid_t tid;
	_Atomic bool done;
};

static inline void *poller_main(void *arg)
{
	struct poller *p = arg;
	struct pollfd pfd = { .fd = p->fd, .events = p->events };
	struct epoll_event ev = { .events = (uint32_t)p->events };
	fd_set set, ex;
	int ep;

	atomic_store(&p->tid, (pid_t)syscall(SYS_gettid));
	switch (p->how) {
	case BY_POLL:
		p->ret = poll(&pfd, 1, -1) == 1 ? pfd.revents : -errno;
		break;
	case BY_SELECT:
		FD_ZERO(&set);
		FD_SET(p->fd, &set);
		ex = set;
		p->ret = select(p->fd + 1, p->events & POLLIN ? &set : NULL,
				p->events & POLLOUT ? &set : NULL, &ex, NULL)
			 == 1 ? p->events : -errno;
		break;
	default:
		ep = epoll_create1(EPOLL_CLOEXEC);
		epoll_ctl(ep, EPOLL_CTL_ADD, p->fd, &ev);
		p->ret = epoll_wait(ep, &ev, 1, -1) == 1 ? (int)ev.events :
							   -errno;
		close(ep);
		break;
	}
	atomic_store(&p->done, true);
	return NULL;
}

/* Starts it, and waits until it has ended or is asleep, as far as can be seen. */
static inline bool poller_start(struct poller *p, enum poll_by how, int fd,
				short events)
{
	memset(p, 0, sizeof(*p));
	p->how = how;
	p->fd = fd;
	p->events = events;
	return !pthread_create(&p->thread, NULL, poller_main, p) &&
	       EVENTUALLY(p->done || (p->tid && task_state(p->tid) == 'S'));
}

static inline int poller_join(struct poller *p)
{
	if (!EVENTUALLY(p->done)) {
		fprintf(stderr, "# poller %d does not end\n", p->tid);
		return -ETIME;
	}
	pthread_join(p->thread, NULL);
	return p->ret;
}

/*
 * epoll
 */
struct edge {
	int ep;
};

static inline bool edge_add(struct edge *e, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	e->ep = epoll_create1(EPOLL_CLOEXEC);
	return e->ep >= 0 && !epoll_ctl(e->ep, EPOLL_CTL_ADD, fd, &ev);
}

/* The events since the last look, 0 if there were none. */
static inline uint32_t edge_get(struct edge *e)
{
	struct epoll_event ev = {};

	return epoll_wait(e->ep, &ev, 1, 0) == 1 ? ev.events : 0;
}

#endif /* MBUF_SELFTESTS_POLLING_H */
