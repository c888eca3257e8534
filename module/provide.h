/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Providing: a third party supplies the memory that two endpoints agree on.
 *
 * Each side makes a *consent* at its own endpoint: a file that says that this
 * endpoint, in this negotiation, takes memory from whoever shows the file. It
 * cannot be made up, as only the endpoint's descriptor leads to it, and it can
 * be passed on like any other file. Who has the consents of both sides can look
 * at who gave them, and can PROVIDE, once.
 *
 * A struct consent is constant. Whether it still holds is decided by the
 * offer: it names the consent that each party has given last, and it is open.
 * So there is nothing to be kept in step: an offer that is over, taken, or
 * replaced, and an endpoint that is closed, make all consents to it worthless at
 * once, and so does another consent of the same party. Identities of offers and
 * consents are never used again.
 *
 * PROVIDE goes through the states that TAKE goes through: BID_TAKING while the
 * memory is got, without locks; then all that makes a consent hold is looked at
 * again, and the offer becomes BID_TAKEN. The offering side finds it by ANSWER,
 * as ever. The other one has it in @due of its endpoint, until CLAIM.
 *
 * Lifetime: a consent holds a reference to the channel, and is charged for all
 * of it, as the endpoints may be closed. It keeps neither endpoint open.
 *
 * Locking: that of the channel.
 */
#ifndef _MBUF_PROVIDE_H
#define _MBUF_PROVIDE_H

#include <linux/types.h>

struct file;
struct mbuf_bid;
struct mbuf_endpoint;

long mbuf_provide_ioctl(struct file *file, unsigned int cmd, void __user *arg,
			size_t size);
long mbuf_provide(void __user *arg, size_t size);
struct mbuf_bid *mbuf_provide_drop(struct mbuf_endpoint *end);
u64 mbuf_consent_id(const struct file *file);

#endif /* _MBUF_PROVIDE_H */
