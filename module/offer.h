/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Offers: how two endpoints agree on a region.
 *
 * An endpoint has at most one offer that it has made, a struct mbuf_bid. Its
 * state says whose turn it is:
 *
 *	OPEN		the peer's: it may take, reject, or counter it
 *	TAKING		the peer is allocating the memory, without locks
 *	TAKEN		the offering side's: its file is in @file
 *	COUNTERED	the offering side's
 *	REJECTED	the offering side's
 *	OVER		nobody's: withdrawn, told, replaced, or a side is gone
 *
 * A bid that is OVER is not reachable from the endpoint any more. Who is taking
 * it finds that out when it comes back with the memory, and drops that: until
 * then nobody has got anything, so there is nothing to take back.
 *
 * Memory is allocated while the taking side waits, but on behalf of the one
 * that offers: the bid carries its memory cgroup. How much it can be is bounded
 * by its own offer.
 *
 * Locking: that of the channel. Bids have references: the endpoint's, and that
 * of who works on it.
 */
#ifndef _MBUF_OFFER_H
#define _MBUF_OFFER_H

#include <linux/types.h>

struct file;
struct mbuf_bid;
struct mbuf_endpoint;

long mbuf_offer_ioctl(struct file *file, unsigned int cmd, void __user *arg,
		      size_t size);
bool mbuf_offer_turn(const struct mbuf_endpoint *end);
struct mbuf_bid *mbuf_offer_drop(struct mbuf_endpoint *end);
void mbuf_bid_put(struct mbuf_bid *bid);

#endif /* _MBUF_OFFER_H */
