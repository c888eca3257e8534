// SPDX-License-Identifier: GPL-2.0
#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include "compat.h"
#include "offer_priv.h"
#include "paged.h"
#include "provide.h"
#include "region.h"
#include "registry.h"

/* Sizes of the first version of each struct. */
#define CONSENT_SIZE_V0	80
#define REVOKE_SIZE_V0	16
#define CLAIM_SIZE_V0	64
#define INFO_SIZE_V0	136
#define PROVIDE_SIZE_V0	88

#define CONSENT_FLAGS	(MBUF_CONSENT_UID | MBUF_CONSENT_FRESH | \
			 MBUF_CONSENT_PAGED)
#define PROVIDE_FLAGS	(MBUF_PROVIDE_ALLOCATE | MBUF_PROVIDE_CHECK)

/**
 * struct consent - that an endpoint takes memory from who has this
 * @channel: the endpoint's; holds a reference
 * @payer: who is charged; holds a reference
 * @end: the endpoint
 * @party: what it is in the negotiation
 * @flags: MBUF_CONSENT_*
 * @rights: what it must get
 * @offer: the offer's identity
 * @id: its own
 * @min: the smallest size
 * @max: the largest size
 * @expires: CLOCK_MONOTONIC of the host; KTIME_MAX: never
 * @uid: with MBUF_CONSENT_UID: who may provide
 * @by: who gave it
 * @node: its place in the registry
 *
 * All of it but @node is constant.
 */
struct consent {
	struct mbuf_channel *channel;
	struct mbuf_account *payer;
	struct mbuf_endpoint *end;
	enum bid_party party;
	u32 flags;
	u32 rights;
	u64 offer;
	u64 id;
	u64 min;
	u64 max;
	ktime_t expires;
	kuid_t uid;
	struct mbuf_identity by;
	struct mbuf_node node;
};

static const struct mbuf_charge consent_charge = {
	.n = {
		[MBUF_RES_OBJECTS] = 1,
		[MBUF_RES_MEMORY] = sizeof(struct consent) +
				    sizeof(struct mbuf_channel),
	},
};

static const struct file_operations consent_fops;

static struct mbuf_endpoint *consent_maker(const struct consent *n)
{
	return n->party == BID_MAKER ? n->end : mbuf_end_peer(n->end);
}

/*
 * Is it what is being negotiated? Under the lock. Returns 0, or the error of
 * PROVIDE. While somebody provides, @state is BID_TAKING for who does.
 */
static int consent_holds(const struct consent *n, enum bid_state state)
{
	struct mbuf_bid *bid = consent_maker(n)->bid;

	if (mbuf_offer_check(n->channel, n->end))
		return -EPIPE;
	if (!bid || bid->id != n->offer || bid->state > BID_TAKING ||
	    bid->consent[n->party] != n->id)
		return -ESTALE;
	if (ktime_compare(ktime_get(), n->expires) >= 0)
		return -ETIMEDOUT;
	return bid->state == state ? 0 : -EBUSY;
}

/* May the current process provide? */
static bool consent_for_me(const struct consent *n)
{
	return !(n->flags & MBUF_CONSENT_UID) ||
	       uid_eq(n->uid, current_euid());
}

/* 0, or the error of PROVIDE, for whoever it is; in @options those of the offer. */
static int consent_look(const struct consent *n, u32 *options)
{
	const struct mbuf_bid *bid;
	unsigned long flags;
	int err;

	raw_spin_lock_irqsave(&n->channel->lock, flags);
	err = consent_holds(n, BID_OPEN);
	bid = consent_maker(n)->bid;
	if (bid && bid->id == n->offer)
		*options = bid->terms.options;
	raw_spin_unlock_irqrestore(&n->channel->lock, flags);
	return err;
}

/* Nanoseconds until it expires, at least 1; 0: it does not. */
static u64 consent_left(const struct consent *n)
{
	s64 left = ktime_to_ns(ktime_sub(n->expires, ktime_get()));

	return n->expires == KTIME_MAX ? 0 : max_t(s64, left, 1);
}

static u32 consent_party(const struct consent *n)
{
	return n->party == BID_MAKER ? MBUF_PARTY_MAKER : MBUF_PARTY_TAKER;
}

/* As it is seen from outside */

static u64 consent_id(const struct mbuf_node *node)
{
	return container_of(node, struct consent, node)->id;
}

static int consent_describe(void *object, struct sk_buff *skb,
			    const struct mbuf_reader *reader)
{
	const struct consent *n = container_of(object, struct consent, node);
	u64 left = consent_left(n);
	u32 options;
	int err = consent_look(n, &options);

	if (nla_put_u64_64bit(skb, MBUF_A_CONSENT_END_ID, n->end->id,
			      MBUF_A_CONSENT_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_CONSENT_PEER_ID,
			      mbuf_end_peer(n->end)->id, MBUF_A_CONSENT_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_CONSENT_OFFER_ID, n->offer,
			      MBUF_A_CONSENT_PAD) ||
	    nla_put_u32(skb, MBUF_A_CONSENT_PARTY, consent_party(n)) ||
	    nla_put_u32(skb, MBUF_A_CONSENT_FLAGS, n->flags) ||
	    nla_put_u32(skb, MBUF_A_CONSENT_RIGHTS, n->rights) ||
	    nla_put_u64_64bit(skb, MBUF_A_CONSENT_MIN_SIZE, n->min,
			      MBUF_A_CONSENT_PAD) ||
	    nla_put_u64_64bit(skb, MBUF_A_CONSENT_MAX_SIZE, n->max,
			      MBUF_A_CONSENT_PAD) ||
	    (left && nla_put_u64_64bit(skb, MBUF_A_CONSENT_LEFT, left,
				       MBUF_A_CONSENT_PAD)) ||
	    nla_put_u32(skb, MBUF_A_CONSENT_ERROR, -err))
		return -EMSGSIZE;
	return 0;
}

static const struct mbuf_kind consent_kind = {
	.type		= MBUF_OBJECT_TYPE_CONSENT,
	.attr		= MBUF_A_OBJECT_CONSENT,
	.id		= consent_id,
	.describe	= consent_describe,
};

static void consent_free(struct consent *n)
{
	mbuf_node_unlink(&n->node);
	mbuf_identity_put(&n->by);
	mbuf_channel_put(n->channel);
	mbuf_uncharge(n->payer, &consent_charge);
	mbuf_account_put(n->payer);
	kfree(n);
}

static int consent_release(struct inode *inode, struct file *file)
{
	consent_free(file->private_data);
	return 0;
}

/* CONSENT */

static struct consent *consent_new(struct mbuf_endpoint *end)
{
	struct mbuf_account *payer;
	struct consent *n;
	int err;

	payer = mbuf_end_payer_get(end);
	if (!payer)
		return ERR_PTR(-EPIPE);
	err = mbuf_charge(payer, &consent_charge);
	if (err)
		goto put;
	err = -ENOMEM;
	n = kzalloc(sizeof(*n), GFP_KERNEL_ACCOUNT);
	if (!n)
		goto uncharge;
	n->payer = payer;
	n->end = end;
	n->channel = mbuf_end_channel(end);
	mbuf_channel_get(n->channel);
	n->id = mbuf_object_id();
	mbuf_identity_take(&n->by);
	return n;

uncharge:
	mbuf_uncharge(payer, &consent_charge);
put:
	mbuf_account_put(payer);
	return ERR_PTR(err);
}

/* What does @end consent to? Fills in what depends on it. Under the lock. */
static int consent_fits(struct consent *n, struct mbuf_bid **found)
{
	struct mbuf_endpoint *end = n->end, *peer = mbuf_end_peer(end);
	const struct terms *terms;
	struct mbuf_bid *bid;
	u32 may;
	int err;

	err = mbuf_offer_check(n->channel, end);
	if (err)
		return err;
	if (end->bid && end->bid->id == n->offer) {
		n->party = BID_MAKER;
		bid = end->bid;
	} else {
		n->party = BID_TAKER;
		bid = peer->bid;
	}
	if (!bid || bid->id != n->offer || bid->state > BID_TAKING)
		return -ENOENT;
	if (bid->state == BID_TAKING)
		return -EBUSY;
	terms = &bid->terms;
	if (terms->options & MBUF_OFFER_MEMFD)
		return -EINVAL;
	/* The last one has not been claimed. */
	if (n->party == BID_TAKER && end->due)
		return -EBUSY;
	may = n->party == BID_MAKER ? MBUF_REGION_RIGHTS : terms->rights;
	if (!n->min)
		n->min = terms->min;
	if (!n->max)
		n->max = terms->max;
	if (!n->rights)
		n->rights = may;
	if (n->rights & ~may || n->min > n->max || n->min < terms->min ||
	    n->max > terms->max)
		return -EINVAL;
	*found = bid;
	return 0;
}

static long consent_give(struct mbuf_endpoint *end, void __user *arg,
			 size_t size)
{
	struct mbuf_consent g;
	struct consent *n;
	struct mbuf_bid *bid;
	struct mbuf_fd fd;
	int err;

	BUILD_BUG_ON(sizeof(g) != CONSENT_SIZE_V0);

	err = mbuf_ioctl_get(&g, sizeof(g), CONSENT_SIZE_V0, arg, size);
	if (err)
		return err;
	if (g.target)
		return -EOPNOTSUPP;
	if (g.flags & ~CONSENT_FLAGS || g.resv || g.consent.flags ||
	    g.consent.handle || g.rights & ~MBUF_REGION_RIGHTS ||
	    (g.rights && !(g.rights & MBUF_REGION_READ)) ||
	    (g.min | g.max) & ~PAGE_MASK || g.expires > KTIME_MAX ||
	    (g.uid && !(g.flags & MBUF_CONSENT_UID)))
		return -EINVAL;

	n = consent_new(end);
	if (IS_ERR(n))
		return PTR_ERR(n);
	n->offer = g.offer;
	n->min = g.min;
	n->max = g.max;
	n->rights = g.rights;
	n->flags = g.flags;
	n->expires = g.expires ? mbuf_ktime_to_host(g.expires) : KTIME_MAX;
	n->uid = make_kuid(current_user_ns(), g.uid);
	err = -EINVAL;
	if (g.flags & MBUF_CONSENT_UID && !uid_valid(n->uid))
		goto free;

	raw_spin_lock_irq(&n->channel->lock);
	err = consent_fits(n, &bid);
	raw_spin_unlock_irq(&n->channel->lock);
	if (err)
		goto free;
	err = mbuf_fd_prepare(&fd, "[mbuf-consent]", &consent_fops, n,
			      O_RDONLY);
	if (err)
		goto free;
	/* From here on it is the file's. */
	g.consent.fd = fd.fd;
	g.id = n->id;
	err = mbuf_ioctl_put(arg, size, &g, sizeof(g));
	if (err)
		goto abort;

	raw_spin_lock_irq(&n->channel->lock);
	err = consent_fits(n, &bid);
	if (!err) {
		bid->consent[n->party] = n->id;
		/* If it was this side's turn, it is not any more. */
		mbuf_offer_changed(end);
	}
	raw_spin_unlock_irq(&n->channel->lock);
	if (err)
		goto abort;
	mbuf_node_link(&n->node, &consent_kind, n->payer, NULL);
	mbuf_fd_install(&fd);
	return 0;

abort:
	mbuf_fd_abort(&fd);
	return err;
free:
	consent_free(n);
	return err;
}

/* REVOKE */

static long consent_revoke(struct mbuf_endpoint *end, void __user *arg,
			   size_t size)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_endpoint *peer = mbuf_end_peer(end);
	struct mbuf_revoke r;
	struct mbuf_kick kick;
	int err;

	BUILD_BUG_ON(sizeof(r) != REVOKE_SIZE_V0);

	err = mbuf_ioctl_get(&r, sizeof(r), REVOKE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (r.target)
		return -EOPNOTSUPP;
	if (!r.id)
		return -ENOENT;

	mbuf_kick_begin(&kick);
	raw_spin_lock_irq(&c->lock);
	if (end->bid && end->bid->consent[BID_MAKER] == r.id) {
		if (end->bid->state == BID_TAKEN)
			err = -EALREADY;
		else
			end->bid->consent[BID_MAKER] = 0;
	} else if (end->due && end->due->consent[BID_TAKER] == r.id) {
		err = -EALREADY;
	} else if (peer->bid && peer->bid->consent[BID_TAKER] == r.id &&
		   peer->bid->state <= BID_TAKING) {
		peer->bid->consent[BID_TAKER] = 0;
		/* It is this side's turn again; and nobody need wait. */
		mbuf_offer_changed(end);
		mbuf_end_tell(end, EPOLLPRI, &kick);
	} else {
		err = -ENOENT;
	}
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&kick);
	return err;
}

/* CLAIM */

struct claim_wait {
	u64 id;
	struct mbuf_bid *bid;
};

static int claim_ready(struct mbuf_endpoint *end, void *arg)
{
	struct mbuf_channel *c = mbuf_end_channel(end);
	const struct mbuf_bid *bid = mbuf_end_peer(end)->bid;
	struct claim_wait *w = arg;

	if (!(c->status & STATUS_OPEN(end->side)))
		return -EPERM;
	if (end->due && end->due->id == w->id) {
		w->bid = end->due;
		refcount_inc(&w->bid->ref);
		return 0;
	}
	if (!(c->status & STATUS_OPEN(!end->side)))
		return -EPIPE;
	if (!bid || bid->id != w->id || bid->state > BID_TAKING ||
	    !bid->consent[BID_TAKER])
		return -ENOENT;
	return -EAGAIN;
}

/* Take from @end what it was given. Under the lock. */
static struct mbuf_bid *due_take_away(struct mbuf_endpoint *end)
{
	struct mbuf_bid *bid = end->due;

	if (bid) {
		end->due = NULL;
		mbuf_offer_changed(end);
	}
	return bid;
}

/**
 * mbuf_provide_drop() - an endpoint closes: it will not claim anything
 * @end: the endpoint
 *
 * Context: under the lock.
 * Return: what has to be given to mbuf_bid_put(), or NULL.
 */
struct mbuf_bid *mbuf_provide_drop(struct mbuf_endpoint *end)
{
	return due_take_away(end);
}

static long provide_claim(struct file *file, void __user *arg, size_t size)
{
	struct mbuf_endpoint *end = file->private_data;
	struct mbuf_channel *c = mbuf_end_channel(end);
	struct mbuf_bid *bid, *mine = NULL;
	struct mbuf_deadline deadline;
	struct claim_wait wait = { };
	struct mbuf_account *payer;
	struct mbuf_claim m;
	struct mbuf_fd fd;
	int err;

	BUILD_BUG_ON(sizeof(m) != CLAIM_SIZE_V0);

	err = mbuf_ioctl_get(&m, sizeof(m), CLAIM_SIZE_V0, arg, size);
	if (err)
		return err;
	if (m.target)
		return -EOPNOTSUPP;
	if (m.region.flags || m.region.handle)
		return -EINVAL;
	err = mbuf_offer_wait_parse(&deadline, file, &m.wait);
	if (err)
		return err;
	wait.id = m.id;
	err = mbuf_offer_wait(end, &deadline, claim_ready, &wait);
	if (err)
		return err;

	/* It has been provided: nothing of it changes any more. */
	bid = wait.bid;
	m.size = bid->answer.wanted;
	m.rights = bid->answer.rights;
	m.options = bid->answer.options;
	payer = mbuf_end_payer_get(end);
	err = -EPERM;
	if (!payer)
		goto put;
	err = mbuf_region_derive(&fd, bid->memory,
				 bid->terms.options & MBUF_OFFER_SOLID,
				 m.rights, payer);
	mbuf_account_put(payer);
	if (err)
		goto put;
	m.region.fd = fd.fd;
	err = mbuf_ioctl_put(arg, size, &m, sizeof(m));
	if (!err) {
		/* Given once, to one. */
		raw_spin_lock_irq(&c->lock);
		if (end->due == bid)
			mine = due_take_away(end);
		else
			err = -ENOENT;
		raw_spin_unlock_irq(&c->lock);
	}
	if (err)
		mbuf_fd_abort(&fd);
	else
		mbuf_fd_install(&fd);
	mbuf_bid_put(mine);
put:
	mbuf_bid_put(bid);
	return err;
}

/**
 * mbuf_provide_ioctl() - what an endpoint has to do with a provider
 * @file: an endpoint, which the caller may use
 * @cmd: the command
 * @arg: its argument
 * @size: and the size of that
 *
 * Return: 0 or an error, -ENOTTY if it is none of them.
 */
long mbuf_provide_ioctl(struct file *file, unsigned int cmd, void __user *arg,
			size_t size)
{
	struct mbuf_endpoint *end = file->private_data;

	switch (_IOC_NR(cmd)) {
	case _IOC_NR(MBUF_IOC_CONSENT):
		return consent_give(end, arg, size);
	case _IOC_NR(MBUF_IOC_REVOKE):
		return consent_revoke(end, arg, size);
	case _IOC_NR(MBUF_IOC_CLAIM):
		return provide_claim(file, arg, size);
	default:
		return -ENOTTY;
	}
}

/* What a consent says */

static long consent_info(const struct consent *n, void __user *arg,
			 size_t size)
{
	struct mbuf_consent_info i;
	int err;

	BUILD_BUG_ON(sizeof(i) != INFO_SIZE_V0);

	err = mbuf_ioctl_get(&i, sizeof(i), INFO_SIZE_V0, arg, size);
	if (err)
		return err;
	if (i.target)
		return -EOPNOTSUPP;
	memset(&i, 0, sizeof(i));
	i.id = n->id;
	i.offer = n->offer;
	i.end = n->end->id;
	i.peer = mbuf_end_peer(n->end)->id;
	i.min = n->min;
	i.max = n->max;
	i.left = consent_left(n);
	i.rights = n->rights;
	i.flags = n->flags;
	i.party = consent_party(n);
	err = consent_look(n, &i.options);
	if (!err && !consent_for_me(n))
		err = -EACCES;
	i.error = -err;
	mbuf_identity_tell(&n->by, &i.by);
	mbuf_channel_tell(n->channel, n->end->side, &i.holder);
	return mbuf_ioctl_put(arg, size, &i, sizeof(i));
}

static long consent_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	if (!mbuf_ioctl_known(cmd) ||
	    _IOC_NR(cmd) != _IOC_NR(MBUF_IOC_CONSENT_INFO))
		return -ENOTTY;
	return consent_info(file->private_data, (void __user *)arg,
			    _IOC_SIZE(cmd));
}

static void consent_show_fdinfo(struct seq_file *m, struct file *file)
{
	const struct consent *n = file->private_data;
	u32 options;

	seq_puts(m, "mbuf-type:\tconsent\n");
	seq_printf(m, "mbuf-id:\t%016llx\n", n->id);
	seq_printf(m, "mbuf-offer:\t%016llx\n", n->offer);
	seq_printf(m, "mbuf-end:\t%016llx\n", n->end->id);
	seq_printf(m, "mbuf-peer:\t%016llx\n", mbuf_end_peer(n->end)->id);
	seq_printf(m, "mbuf-party:\t%s\n",
		   n->party == BID_MAKER ? "maker" : "taker");
	seq_printf(m, "mbuf-flags:\t%x\n", n->flags);
	seq_printf(m, "mbuf-rights:\t%x\n", n->rights);
	seq_printf(m, "mbuf-min:\t%llu\n", n->min);
	seq_printf(m, "mbuf-max:\t%llu\n", n->max);
	if (n->expires != KTIME_MAX)
		seq_printf(m, "mbuf-left:\t%llu\n", consent_left(n));
	seq_printf(m, "mbuf-error:\t%d\n", -consent_look(n, &options));
}

static const struct file_operations consent_fops = {
	.owner		= THIS_MODULE,
	.release	= consent_release,
	.unlocked_ioctl	= consent_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= consent_show_fdinfo,
};

/**
 * mbuf_consent_id() - the identity of a consent
 * @file: any
 *
 * Return: that, or 0 if @file is none.
 */
u64 mbuf_consent_id(const struct file *file)
{
	const struct consent *n = file->private_data;

	return file->f_op == &consent_fops ? n->id : 0;
}

/* PROVIDE */

/**
 * struct provision - what is about to be provided
 * @consent: of both, the maker's first
 * @rights: what each gets
 * @min: the smallest size that both take
 * @max: the largest
 * @wanted: the best
 * @solid: pages must not be given back
 * @options: MBUF_OFFER_*, as both sides are told
 */
struct provision {
	const struct consent *consent[BID_PARTIES];
	u32 rights[BID_PARTIES];
	u64 min;
	u64 max;
	u64 wanted;
	bool solid;
	u32 options;
};

/* Do both hold? Under the lock. */
static int provision_holds(const struct provision *p, enum bid_state state)
{
	return consent_holds(p->consent[BID_MAKER], state) ?:
	       consent_holds(p->consent[BID_TAKER], state);
}

/* Both files, in any order, as consents of one negotiation. */
static int provision_find(struct provision *p, struct file *const *files,
			  const struct mbuf_provide *arg)
{
	const struct consent *n[2];
	unsigned int i, maker;

	for (i = 0; i < 2; i++) {
		if (files[i]->f_op != &consent_fops)
			return -ENOTTY;
		n[i] = files[i]->private_data;
	}
	/* Then they are of both ends, too: a party of an offer is one of them. */
	if (n[0]->channel != n[1]->channel || n[0]->end == n[1]->end)
		return -EXDEV;
	if (n[0]->offer != n[1]->offer)
		return -ESTALE;
	maker = n[0]->party == BID_MAKER ? 0 : 1;
	for (i = 0; i < 2; i++) {
		const struct consent *of = n[i ? !maker : maker];
		u32 rights = arg->rights[i ? !maker : maker];

		if (!consent_for_me(of))
			return -EACCES;
		if (of->flags & MBUF_CONSENT_FRESH &&
		    !(arg->flags & (MBUF_PROVIDE_ALLOCATE |
				    MBUF_PROVIDE_CHECK)))
			return -EPERM;
		p->consent[i] = of;
		p->rights[i] = rights ?: of->rights;
		if (of->rights & ~p->rights[i])
			return -EINVAL;
	}
	p->min = max(n[0]->min, n[1]->min);
	p->max = min(n[0]->max, n[1]->max);
	return p->min > p->max ? -EMSGSIZE : 0;
}

/* What depends on the offer itself. Under the lock, after it was found. */
static int provision_fits(struct provision *p, const struct mbuf_bid *bid)
{
	if (p->rights[BID_TAKER] & ~bid->terms.rights)
		return -EINVAL;
	p->wanted = clamp(bid->terms.wanted, p->min, p->max);
	p->solid = bid->terms.options & MBUF_OFFER_SOLID;
	p->options = bid->terms.options | MBUF_OFFER_PROVIDED;
	return 0;
}

/* The memory, and its size in @size; or an error pointer. */
static struct file *provision_memory(struct provision *p,
				     const struct mbuf_provide *arg, u64 *size)
{
	struct mem_cgroup *memcg;
	struct file *memory;
	u64 is;
	int err;

	if (arg->flags & MBUF_PROVIDE_ALLOCATE) {
		*size = arg->size ?: p->wanted;
		if (*size < p->min || *size > p->max)
			return ERR_PTR(-EMSGSIZE);
		/* Who provides pays, as for what it brings. */
		memcg = get_mem_cgroup_from_mm(current->mm);
		memory = mbuf_memory_new(*size, p->solid, memcg);
		mem_cgroup_put(memcg);
		return memory;
	}
	memory = fget(arg->memory.fd);
	if (!memory)
		return ERR_PTR(-EBADF);
	err = mbuf_region_check(memory, p->rights, p->solid, &is);
	/* A pager can make them wait, for as long as it likes. */
	if (!err && mbuf_paged_is(memory) &&
	    ~(p->consent[BID_MAKER]->flags & p->consent[BID_TAKER]->flags) &
	    MBUF_CONSENT_PAGED)
		err = -EPERM;
	if (!err && (is < p->min || is > p->max || is & ~PAGE_MASK ||
		     (arg->size && arg->size != is)))
		err = -EMSGSIZE;
	if (err) {
		fput(memory);
		return ERR_PTR(err);
	}
	*size = is;
	p->options |= MBUF_OFFER_MEMFD;
	return memory;
}

/* The offer has been found to hold, and is BID_TAKING: nobody else works on it. */
static int provision_make(struct provision *p, struct mbuf_bid *bid,
			  struct mbuf_provide *v, void __user *arg,
			  size_t usize)
{
	struct mbuf_endpoint *maker = p->consent[BID_MAKER]->end;
	struct mbuf_endpoint *taker = p->consent[BID_TAKER]->end;
	struct mbuf_channel *c = p->consent[BID_MAKER]->channel;
	struct mbuf_kick kick[BID_PARTIES];
	struct file *memory;
	u64 size;
	int err;

	memory = provision_memory(p, v, &size);
	if (IS_ERR(memory)) {
		err = PTR_ERR(memory);
		memory = NULL;
	} else {
		v->size = size;
		err = mbuf_ioctl_put(arg, usize, v, sizeof(*v));
	}

	mbuf_kick_begin(&kick[BID_MAKER]);
	mbuf_kick_begin(&kick[BID_TAKER]);
	raw_spin_lock_irq(&c->lock);
	if (!err)
		err = provision_holds(p, BID_TAKING);
	if (!err) {
		bid->state = BID_TAKEN;
		bid->outcome = MBUF_OUTCOME_TAKEN;
		bid->answer.min = size;
		bid->answer.wanted = size;
		bid->answer.max = size;
		bid->answer.rights = p->rights[BID_TAKER];
		bid->answer.options = p->options;
		bid->rights = p->rights[BID_MAKER];
		bid->memory = memory;
		memory = NULL;
		refcount_inc(&bid->ref);
		taker->due = bid;
		mbuf_offer_tell(maker, &kick[BID_MAKER]);
		mbuf_offer_tell(taker, &kick[BID_TAKER]);
	} else if (bid->state == BID_TAKING) {
		bid->state = BID_OPEN;
		mbuf_offer_tell(taker, &kick[BID_TAKER]);
	}
	raw_spin_unlock_irq(&c->lock);
	mbuf_kick_end(&kick[BID_TAKER]);
	mbuf_kick_end(&kick[BID_MAKER]);
	if (memory)
		fput(memory);
	return err;
}

static int provide(struct mbuf_provide *v, struct file *const *files,
		   void __user *arg, size_t usize)
{
	struct mbuf_bid *bid = NULL;
	struct provision p = { };
	struct mbuf_channel *c;
	int err;

	err = provision_find(&p, files, v);
	if (err)
		return err;
	v->offer = p.consent[BID_MAKER]->offer;

	c = p.consent[BID_MAKER]->channel;
	raw_spin_lock_irq(&c->lock);
	err = provision_holds(&p, BID_OPEN);
	if (!err) {
		bid = p.consent[BID_MAKER]->end->bid;
		err = provision_fits(&p, bid);
	}
	if (!err && !(v->flags & MBUF_PROVIDE_CHECK)) {
		bid->state = BID_TAKING;
		refcount_inc(&bid->ref);
		mbuf_offer_changed(p.consent[BID_TAKER]->end);
	}
	raw_spin_unlock_irq(&c->lock);
	if (err)
		return err;
	if (v->flags & MBUF_PROVIDE_CHECK) {
		v->size = p.wanted;
		return mbuf_ioctl_put(arg, usize, v, sizeof(*v));
	}
	err = provision_make(&p, bid, v, arg, usize);
	mbuf_bid_put(bid);
	return err;
}

/**
 * mbuf_provide() - PROVIDE
 * @arg: its argument
 * @size: and the size of that
 *
 * Context: process context, may sleep.
 * Return: 0 or an error.
 */
long mbuf_provide(void __user *arg, size_t size)
{
	struct file *files[2];
	struct mbuf_provide v;
	unsigned int i;
	int err;

	BUILD_BUG_ON(sizeof(v) != PROVIDE_SIZE_V0);

	err = mbuf_ioctl_get(&v, sizeof(v), PROVIDE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (v.target)
		return -EOPNOTSUPP;
	if (v.flags & ~PROVIDE_FLAGS || v.flags == PROVIDE_FLAGS || v.resv ||
	    v.memory.flags || v.memory.handle || (v.flags && v.memory.fd) ||
	    v.size & ~PAGE_MASK || (v.flags & MBUF_PROVIDE_CHECK && v.size))
		return -EINVAL;
	for (i = 0; i < 2; i++) {
		if (v.consent[i].flags || v.consent[i].handle ||
		    v.rights[i] & ~MBUF_REGION_RIGHTS ||
		    (v.rights[i] && !(v.rights[i] & MBUF_REGION_READ)))
			return -EINVAL;
	}

	for (i = 0; i < 2; i++) {
		files[i] = fget(v.consent[i].fd);
		err = -EBADF;
		if (!files[i])
			goto put;
	}
	err = provide(&v, files, arg, size);
put:
	while (i--)
		fput(files[i]);
	return err;
}
