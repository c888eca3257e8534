// SPDX-License-Identifier: GPL-2.0
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include "compat.h"
#include "peer.h"

/**
 * mbuf_identity_take() - note who the current process is
 * @id: result; mbuf_identity_put() gives back what it refers to
 *
 * Context: process context.
 */
void mbuf_identity_take(struct mbuf_identity *id)
{
	id->pid = get_pid(task_tgid(current));
	current_euid_egid(&id->uid, &id->gid);
	id->start = current->group_leader->start_boottime;
}

/**
 * mbuf_identity_put() - forget who it was
 * @id: identity, which may be all zeroes
 *
 * Context: any but hard interrupts.
 */
void mbuf_identity_put(struct mbuf_identity *id)
{
	put_pid(id->pid);
	id->pid = NULL;
}

/**
 * mbuf_identity_tell() - say who it was
 * @id: identity; nobody if @id->pid is NULL
 * @peer: as the current process sees it
 *
 * Context: process context.
 */
void mbuf_identity_tell(const struct mbuf_identity *id, struct mbuf_peer *peer)
{
	struct user_namespace *ns = current_user_ns();

	memset(peer, 0, sizeof(*peer));
	if (!id->pid)
		return;
	peer->flags = MBUF_PEER_KNOWN;
	peer->pid = pid_vnr(id->pid);
	peer->uid = from_kuid_munged(ns, id->uid);
	peer->gid = from_kgid_munged(ns, id->gid);
	peer->start = mbuf_boottime_to_caller(id->start);
}
