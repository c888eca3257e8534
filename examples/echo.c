// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An echo server for any number of clients, in one thread: an event loop of
 * streams. A client that does not read its replies only stops its own: a message
 * is received when there is room for its reply, and right there. The server says
 * when it is ready, and runs until it is killed.
 */
#include "echo.h"
#include "example.h"

/* Echoes what it can. False if the client is done, or else it is armed. */
static int serve(struct mbuf_stream *s)
{
	int ret, wanted;
	uint64_t len;
	void *room;

	do {
		ret = mbuf_stream_next(s, &len, MBUF_NOW);
		wanted = ret ? MBUF_STREAM_RECV : MBUF_STREAM_SEND;
		if (!ret)
			ret = mbuf_stream_loan(s, len, &room, MBUF_NOW);
		if (!ret && mbuf_stream_recv(s, room, len, MBUF_NOW) >= 0)
			ret = mbuf_stream_commit(s, len);
		if (ret == -EAGAIN)
			ret = !mbuf_stream_arm(s, wanted);
	} while (!ret);
	return ret > 0;
}

int main(void)
{
	int session = example_open(), ep = epoll_create1(EPOLL_CLOEXEC);
	struct mbuf_stream_listener *listener;
	struct epoll_event event;
	struct mbuf_stream *s;

	if (session < 0 || mbuf_stream_listen(session, ECHO_NAME, strlen(ECHO_NAME),
					      0600, 16, NULL, &listener))
		errx(1, "cannot listen under the name '%s'", ECHO_NAME);
	echo_watch(ep, mbuf_stream_listener_fd(listener), NULL);
	example_ready("echo");
	while (epoll_wait(ep, &event, 1, -1) > 0) {
		s = event.data.ptr;	/* NULL: it is the listener */
		if (!s && !mbuf_stream_accept(listener, MBUF_NOW, &s))
			echo_watch(ep, mbuf_stream_fd(s), s);
		if (s && !serve(s))
			mbuf_stream_close(s);
	}
	err(1, "epoll");
}
