// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sessions: an open /dev/mbuf, which creates everything else. */
#include <fcntl.h>

#include "internal.h"

int mbuf_open(void)
{
	int fd = open("/dev/mbuf", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int mbuf_query(int session, struct mbuf_query *out)
{
	struct mbuf_query query = { 0 };
	int ret = libmbuf_ioctl(session, MBUF_IOC_QUERY, &query);

	if (ret >= 0)
		*out = query;
	return ret;
}
