// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An echo server for any number of clients, in one thread: an event loop of
 * streams. A client that does not read its replies only stops its own: a message
 * is received when there is room for its reply, and right there. The server says
 * when it is ready, and runs until it is killed.
 */
#include <err.h>
#include <sys/epoll.h>
#include <mbuf_stream.h>

#include "echo.h"
#include "example.h"

/* Echoes what it can. 0: the stream is armed; an error: it has ended. */
static int serve(struct mbuf_stream *s)
{
	unsigned int wanted;
	uint64_t len;
	void *room;
	int ret;

	for (;;) {
		ret = mbuf_stream_next(s, &len, MBUF_NOW);
		wanted = ret ? MBUF_STREAM_RECV : MBUF_STREAM_SEND;
		if (!ret)
			ret = mbuf_stream_loan(s, len, &room, MBUF_NOW);
		if (ret == -EAGAIN) {
			ret = mbuf_stream_arm(s, wanted);
			if (ret <= 0)
				return ret;
		} else if (ret || mbuf_stream_recv(s, room, len, MBUF_NOW) < 0 ||
			   mbuf_stream_commit(s, len)) {
			return -EPIPE;
		}
	}
}

int main(void)
{
	int session = example_open(), ep = epoll_create1(EPOLL_CLOEXEC), ret;
	struct epoll_event event = { .events = EPOLLIN };
	struct mbuf_stream_listener *listener;

	if (session < 0)
		return 1;
	ret = mbuf_stream_listen(session, ECHO_NAME, strlen(ECHO_NAME), 0600, 16, NULL, &listener);
	if (ret)
		errx(1, "cannot listen: %s", mbuf_strerror(ret));
	epoll_ctl(ep, EPOLL_CTL_ADD, mbuf_stream_listener_fd(listener), &event);
	puts("echo: ready");
	fflush(stdout);
	while ((ret = epoll_wait(ep, &event, 1, -1)) > 0) {
		struct mbuf_stream *s = event.data.ptr;

		if (!s) {	/* it is the listener */
			ret = mbuf_stream_accept(listener, MBUF_NOW, &s);
			if (ret == -EAGAIN)
				continue;
			if (ret)
				errx(1, "cannot accept: %s", mbuf_strerror(ret));
			event = (struct epoll_event){ .events = EPOLLIN, .data.ptr = s };
			epoll_ctl(ep, EPOLL_CTL_ADD, mbuf_stream_fd(s), &event);
		}
		if (serve(s))
			mbuf_stream_close(s);
	}
	err(1, "cannot wait");
}
