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
 * What a client says as it connects. The daemon offers it that much, which the
 * client takes; then neither needs the connection any more.
 */
struct memory_request {
	uint64_t size;			/* in bytes, whole pages */
	uint8_t resv[MBUF_SLOT_SIZE - sizeof(uint64_t)];
};

/* Nothing here takes a privilege: who is started with them gives them up. */
static inline int memory_be_nobody(void)
{
	return geteuid() ? 0 : setgroups(0, NULL) || setgid(65534) ||
			       setuid(65534) ? -1 : 0;
}

#endif /* _MBUF_MEMORY_H */
