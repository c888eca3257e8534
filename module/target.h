/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Activation targets: whom a message object tells. An eventfd, or an endpoint,
 * which signals its peer.
 *
 * A target keeps neither the file nor the endpoint open: what is closed is told
 * nothing. It has no lock.
 */
#ifndef _MBUF_TARGET_H
#define _MBUF_TARGET_H

#include "wait.h"

struct mbuf_target *mbuf_target_new(int fd);

#endif /* _MBUF_TARGET_H */
