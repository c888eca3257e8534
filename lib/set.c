// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sets of endpoints: those of a session, or any that are named. */
#include "internal.h"

int mbuf_attach(int session, int fd, uint64_t cookie, uint32_t flags)
{
	struct mbuf_attach attach = {
		.ref.fd = fd,
		.cookie = cookie,
		.flags = flags,
	};

	return libmbuf_ioctl(session, MBUF_IOC_ATTACH, &attach);
}

int mbuf_detach(int session, int fd)
{
	struct mbuf_attach detach = { .ref.fd = fd };

	return libmbuf_ioctl(session, MBUF_IOC_DETACH, &detach);
}

int mbuf_poll_all(int session, struct mbuf_event *events, unsigned int nr,
		  uint64_t deadline)
{
	struct mbuf_poll_all poll = {
		.wait = libmbuf_wait(deadline),
		.events = libmbuf_addr(events),
		.nr = nr,
		.stride = sizeof(*events),
	};

	return libmbuf_ioctl(session, MBUF_IOC_POLL_ALL, &poll);
}

int mbuf_wait_any(int session, const struct mbuf_ref *ends, unsigned int nr,
		  struct mbuf_wait_any *out, uint64_t deadline)
{
	struct mbuf_wait_any any = {
		.wait = libmbuf_wait(deadline),
		.ends = libmbuf_addr(ends),
		.nr = nr,
		.stride = sizeof(*ends),
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_WAIT_ANY, &any);

	if (ret < 0)
		return ret;
	*out = any;
	/* There are never so many of them that this is negative. */
	return (int)any.index;
}
