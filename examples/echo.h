/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the echo server and its clients agree about. */
#ifndef _MBUF_ECHO_H
#define _MBUF_ECHO_H

#include <err.h>
#include <sys/epoll.h>

#include <mbuf_stream.h>

/* The name that the server listens under. */
#define ECHO_NAME	"mbuf example: echo"

/* The longest message. */
#define ECHO_MAX	1024

/* Have an event loop say when @fd is readable, with @ptr. */
static inline void echo_watch(int ep, int fd, void *ptr)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = ptr };

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event))
		err(1, "cannot watch descriptor %d", fd);
}

#endif /* _MBUF_ECHO_H */
