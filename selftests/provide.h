/* SPDX-License-Identifier: GPL-2.0 */
/* What tests of provided regions share; the ioctls are called directly. */
#ifndef MBUF_SELFTESTS_PROVIDE_H
#define MBUF_SELFTESTS_PROVIDE_H

#include "region.h"

/* A consent to all that is offered: its descriptor, or -errno. */
static inline int pv_consent_some(int fd, struct mbuf_consent *c)
{
	int ret;

	c->consent = (struct mbuf_ref){ .fd = -77 };
	ret = (int)xioctl(fd, MBUF_IOC_CONSENT, c);
	return ret ? ret : c->consent.fd;
}

static inline int pv_consent(int fd, uint64_t offer)
{
	struct mbuf_consent c = { .offer = offer };

	return pv_consent_some(fd, &c);
}

static inline int pv_revoke(int fd, uint64_t id)
{
	struct mbuf_revoke r = { .id = id };

	return (int)xioctl(fd, MBUF_IOC_REVOKE, &r);
}

static inline int pv_info(int fd, struct mbuf_consent_info *i)
{
	poison(i, sizeof(*i));
	i->target = 0;
	return (int)xioctl(fd, MBUF_IOC_CONSENT_INFO, i);
}

/* The error that a consent would give, negative; or that of asking. */
static inline int pv_state(int fd)
{
	struct mbuf_consent_info i;
	int ret = pv_info(fd, &i);

	return ret ? ret : -(int)i.error;
}

static inline int pv_claim_some(int fd, uint64_t offer, struct mbuf_claim *m,
				uint64_t deadline)
{
	poison(m, sizeof(*m));
	m->target = 0;
	m->id = offer;
	m->wait = wait_of(deadline);
	m->region = (struct mbuf_ref){ .fd = -77 };
	return (int)xioctl(fd, MBUF_IOC_CLAIM, m);
}

/* What was provided: the region's descriptor, or -errno. */
static inline int pv_claim(int fd, uint64_t offer)
{
	struct mbuf_claim m;
	int ret = pv_claim_some(fd, offer, &m, MBUF_NOW);

	return ret ? ret : m.region.fd;
}

static inline int pv_provide(int session, int x, int y, int memory)
{
	struct mbuf_provide p = {
		.consent = { { .fd = x }, { .fd = y } },
		.memory.fd = memory,
	};

	return (int)xioctl(session, MBUF_IOC_PROVIDE, &p);
}

static inline int pv_flags(int session, int x, int y, uint32_t flags)
{
	struct mbuf_provide p = {
		.consent = { { .fd = x }, { .fd = y } },
		.flags = flags,
	};

	return (int)xioctl(session, MBUF_IOC_PROVIDE, &p);
}

static inline int pv_allocate(int session, int x, int y)
{
	return pv_flags(session, x, y, MBUF_PROVIDE_ALLOCATE);
}

static inline int pv_check(int session, int x, int y)
{
	return pv_flags(session, x, y, MBUF_PROVIDE_CHECK);
}

#endif /* MBUF_SELFTESTS_PROVIDE_H */
