/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the echo server and its clients agree about. */
#ifndef _MBUF_ECHO_H
#define _MBUF_ECHO_H

/* The name that the server listens under. */
#define ECHO_NAME	"mbuf example: echo"

/* The longest message. */
#define ECHO_MAX	1024

#endif /* _MBUF_ECHO_H */
