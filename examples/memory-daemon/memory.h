/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the memory daemon and its clients agree about. */
#ifndef _MBUF_MEMORY_H
#define _MBUF_MEMORY_H

#include <grp.h>
#include <stdint.h>
#include <unistd.h>

#include <mbuf.h>

/* The name that the daemon listens under. */
#define MEMORY_NAME	"mbuf example: memory"

/*
 * What a client says as it connects.
 *
 * MEMORY_OWN: the daemon offers it that much, which the client takes; then
 * neither needs the connection any more.
 *
 * MEMORY_SHARED: it has agreed with another client on a size, over a channel of
 * theirs. The daemon gives it the send right of a queue (mbuf_given()), and
 * signals; the client sends its consent there. Once the daemon has the other
 * client's, too, it provides. Until then the client keeps the connection: the
 * daemon forgets the consent of who has none.
 */
enum memory_what {
	MEMORY_OWN,
	MEMORY_SHARED,
};

struct memory_request {
	uint64_t what;			/* enum memory_what */
	uint64_t size;			/* MEMORY_OWN: bytes, whole pages */
	uint8_t resv[MBUF_SLOT_SIZE - 2 * sizeof(uint64_t)];
};

/* Nothing here takes a privilege: who is started with them gives them up. */
static inline int memory_be_nobody(void)
{
	return geteuid() ? 0 : setgroups(0, NULL) || setgid(65534) ||
			       setuid(65534) ? -1 : 0;
}

#endif /* _MBUF_MEMORY_H */
