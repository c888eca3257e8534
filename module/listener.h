/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MBUF_LISTENER_H
#define _MBUF_LISTENER_H

struct mbuf_channel;

void mbuf_listener_withdraw(struct mbuf_channel *c);

#endif /* _MBUF_LISTENER_H */
