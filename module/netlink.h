/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Netlink: objects, users and limits as seen from outside. What there is and who
 * sees what is described in the header for programs, uapi/linux/mbuf_netlink.h.
 *
 * Requests run in parallel. A dump keeps a number as its place and no locks
 * between its pieces, so who never reads what it has asked for keeps nothing but
 * that (and the module, which cannot be unloaded meanwhile).
 */
#ifndef _MBUF_NETLINK_H
#define _MBUF_NETLINK_H

int mbuf_netlink_init(void);
void mbuf_netlink_exit(void);

#endif /* _MBUF_NETLINK_H */
