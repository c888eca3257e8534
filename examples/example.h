/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the examples share. */
#ifndef _MBUF_EXAMPLE_H
#define _MBUF_EXAMPLE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mbuf.h>

/* A session, or -1 after one line that says what is wrong and what to do. */
static inline int example_open(void)
{
	int session = mbuf_open();

	if (session >= 0)
		return session;
	switch (session) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		fprintf(stderr,
			"mbuf: cannot open /dev/mbuf: %s; load the module: modprobe mbuf\n",
			strerror(-session));
		break;
	default:
		fprintf(stderr, "mbuf: cannot open /dev/mbuf: %s\n",
			strerror(-session));
	}
	return -1;
}

/* Tell whoever has started this program that others can come now. */
static inline void example_ready(const char *name)
{
	printf("%s: ready\n", name);
	fflush(stdout);
}

#endif /* _MBUF_EXAMPLE_H */
