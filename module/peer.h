/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who was it?
 *
 * The identity of a process at the moment when it did something: its process,
 * and its effective user and group id. Kept in the kernel's terms, and
 * translated into the terms of who asks. A process id alone could be that of
 * another process later, so there is also the time when the process began.
 */
#ifndef _MBUF_PEER_H
#define _MBUF_PEER_H

#include <linux/types.h>
#include <linux/uidgid.h>
#include <uapi/linux/mbuf.h>

struct pid;

/**
 * struct mbuf_identity - a process
 * @pid: the process; holds a reference. NULL: not known, or a driver
 * @uid: effective user id
 * @gid: effective group id
 * @start: when it began: CLOCK_BOOTTIME of the host, in ns
 */
struct mbuf_identity {
	struct pid *pid;
	kuid_t uid;
	kgid_t gid;
	u64 start;
};

void mbuf_identity_take(struct mbuf_identity *id);
void mbuf_identity_put(struct mbuf_identity *id);
void mbuf_identity_tell(const struct mbuf_identity *id, struct mbuf_peer *peer);

#endif /* _MBUF_PEER_H */
