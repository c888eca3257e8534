/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What server and client agree about. */
#ifndef _MBUF_SERVER_H
#define _MBUF_SERVER_H

/* The name that the server listens under. */
#define SERVER_NAME	"mbuf example: server"

/*
 * A request is up to 31 bytes of text and a NUL, in MBUF_SLOT_SIZE bytes. The
 * reply is the same in capitals.
 */

#endif /* _MBUF_SERVER_H */
