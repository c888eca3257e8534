/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of negotiations share; see offer.h and provide.h. */
#ifndef _MBUF_OFFER_PRIV_H
#define _MBUF_OFFER_PRIV_H

#include <linux/refcount.h>
#include "channel_priv.h"
#include "offer.h"

struct mem_cgroup;

enum bid_state {
	BID_OPEN,
	BID_TAKING,
	BID_TAKEN,
	BID_COUNTERED,
	BID_REJECTED,
	BID_OVER,
};

/* The two parties of a bid. */
enum bid_party {
	BID_MAKER,
	BID_TAKER,
	BID_PARTIES
};

/* What is offered, or would be wanted. */
struct terms {
	u64 min;
	u64 wanted;
	u64 max;
	u32 rights;
	u32 options;
};

/**
 * struct mbuf_bid - an offer, and what has come of it
 * @ref: references
 * @state: enum bid_state
 * @id: identity; constant
 * @terms: what is offered; constant
 * @answer: BID_COUNTERED: what would be wanted; BID_TAKEN: what was taken
 * @outcome: enum mbuf_outcome, once it is known
 * @reason: BID_COUNTERED, BID_REJECTED: as the peer says
 * @rights: BID_TAKEN: those of the offering side
 * @consent: identity of the consent that each party has given last, or 0
 * @memcg: who pays for the memory; holds a reference; constant
 * @payer: who pays for this, and for the offering side's region; constant
 * @brought: the memory, if the offering side has brought it; constant
 * @memory: BID_TAKEN: the memory, or a region of ours that a provider has given
 */
struct mbuf_bid {
	refcount_t ref;
	enum bid_state state;
	u64 id;
	struct terms terms;
	struct terms answer;
	u32 outcome;
	u32 reason;
	u32 rights;
	u64 consent[BID_PARTIES];
	struct mem_cgroup *memcg;
	struct mbuf_account *payer;
	struct file *brought;
	struct file *memory;
};

int mbuf_offer_check(struct mbuf_channel *c, struct mbuf_endpoint *end);
void mbuf_offer_changed(struct mbuf_endpoint *end);
void mbuf_offer_tell(struct mbuf_endpoint *end, struct mbuf_kick *kick);
int mbuf_offer_wait(struct mbuf_endpoint *end,
		    const struct mbuf_deadline *deadline,
		    int (*ready)(struct mbuf_endpoint *end, void *arg),
		    void *arg);
int mbuf_offer_wait_parse(struct mbuf_deadline *deadline, struct file *file,
			  const struct mbuf_wait *wait);

/* Has somebody at @taker reason to wait in CLAIM for @bid? Under the lock. */
static inline void mbuf_offer_tell_claimer(const struct mbuf_bid *bid,
					   struct mbuf_endpoint *taker,
					   struct mbuf_kick *kick)
{
	if (bid->consent[BID_TAKER])
		mbuf_end_tell(taker, EPOLLPRI, kick);
}

#endif /* _MBUF_OFFER_PRIV_H */
