/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of regions share; the ioctls are called directly. */
#ifndef MBUF_SELFTESTS_REGION_H
#define MBUF_SELFTESTS_REGION_H

#include <sys/mman.h>

#include "channel.h"

#define RIGHTS_R	MBUF_REGION_READ
#define RIGHTS_RW	(MBUF_REGION_READ | MBUF_REGION_WRITE)

#define SEALS_SIZE	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW)

static inline struct mbuf_offer offer_of(size_t pages, uint32_t rights,
					 uint32_t options)
{
	struct mbuf_offer o = {
		.min = pages * page_size(),
		.wanted = pages * page_size(),
		.max = pages * page_size(),
		.rights = rights,
		.options = options,
	};

	return o;
}

static inline int rg_offer(int fd, struct mbuf_offer *o)
{
	return (int)xioctl(fd, MBUF_IOC_OFFER, o);
}

static inline int rg_offered(int fd, struct mbuf_offered *o, uint64_t deadline)
{
	poison(o, sizeof(*o));
	o->target = 0;
	o->flags = 0;
	o->resv = 0;
	o->wait = wait_of(deadline);
	return (int)xioctl(fd, MBUF_IOC_OFFERED, o);
}

static inline int rg_take_some(int fd, uint64_t id, size_t size,
			       uint32_t rights, struct mbuf_take *t)
{
	*t = (struct mbuf_take){
		.id = id,
		.size = size,
		.rights = rights,
		.region.fd = -77,
	};
	return (int)xioctl(fd, MBUF_IOC_TAKE, t);
}

/* All that is offered: the region's descriptor, or -errno. */
static inline int rg_take(int fd, uint64_t id)
{
	struct mbuf_take t;
	int ret = rg_take_some(fd, id, 0, 0, &t);

	return ret ? ret : t.region.fd;
}

static inline int rg_reject(int fd, uint64_t id, uint32_t reason)
{
	struct mbuf_counter c = { .id = id, .reason = reason };

	return (int)xioctl(fd, MBUF_IOC_REJECT, &c);
}

static inline int rg_counter(int fd, uint64_t id, size_t pages,
			     uint32_t rights, uint32_t reason)
{
	struct mbuf_counter c = {
		.id = id,
		.min = pages * page_size(),
		.wanted = pages * page_size(),
		.max = pages * page_size(),
		.rights = rights,
		.reason = reason,
	};

	return (int)xioctl(fd, MBUF_IOC_COUNTER, &c);
}

static inline int rg_answer(int fd, uint64_t id, struct mbuf_answer *a,
			    uint64_t deadline)
{
	poison(a, sizeof(*a));
	a->target = 0;
	a->id = id;
	a->wait = wait_of(deadline);
	a->region = (struct mbuf_ref){ .fd = -77 };
	return (int)xioctl(fd, MBUF_IOC_ANSWER, a);
}

static inline int rg_withdraw(int fd, uint64_t id)
{
	struct mbuf_withdraw w = { .id = id };

	return (int)xioctl(fd, MBUF_IOC_WITHDRAW, &w);
}

static inline int rg_grant(int session, int from, uint32_t rights)
{
	struct mbuf_grant g = {
		.from.fd = from,
		.rights = rights,
		.region.fd = -77,
	};
	int ret = (int)xioctl(session, MBUF_IOC_GRANT, &g);

	return ret ? ret : g.region.fd;
}

static inline int rg_info(int fd, struct mbuf_region_info *info)
{
	memset(info, 0, sizeof(*info));
	return (int)xioctl(fd, MBUF_IOC_REGION_INFO, info);
}

/* A memfd of fixed size. */
static inline int sealed_memfd(size_t size, unsigned int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) ||
	    (seals && fcntl(fd, F_ADD_SEALS, seals)))
		return -1;
	return fd;
}

/*
 * Two ends of a channel and a region between them: @mine is the offering
 * side's descriptor, @theirs the other's.
 */
FIXTURE(region) {
	int session;
	int a, b;
	int mine, theirs;
	size_t size;
	struct mbuf_query q;
	struct snapshot before;
};

FIXTURE_SETUP(region)
{
	int end[2];

	self->mine = -1;
	self->theirs = -1;
	self->size = 4 * page_size();
	self->session = fixture_begin(_metadata, &self->q, &self->before);
	ASSERT_NE(0, self->q.features & MBUF_FEATURE_REGION);
	ASSERT_EQ(0, ch_create(self->session, 0, end));
	self->a = end[0];
	self->b = end[1];
}

FIXTURE_TEARDOWN(region)
{
	close_fd(&self->a);
	close_fd(&self->b);
	close_fd(&self->mine);
	close_fd(&self->theirs);
	fixture_end(_metadata, self->session, &self->before);
}

/* From an offer to both descriptors. */
static inline int rg_agree(int a, int b, struct mbuf_offer *o, uint32_t rights,
			   int *mine, int *theirs)
{
	struct mbuf_answer answer;
	struct mbuf_take take;
	int ret;

	ret = rg_offer(a, o);
	if (ret)
		return ret;
	ret = rg_take_some(b, o->id, 0, rights, &take);
	if (ret)
		return ret;
	*theirs = take.region.fd;
	ret = rg_answer(a, o->id, &answer, MBUF_NOW);
	if (ret)
		return ret;
	*mine = answer.region.fd;
	return 0;
}

#define agree(rights_, options) do {					\
	struct mbuf_offer o_ = offer_of(self->size / page_size(),	\
					rights_, options);		\
	ASSERT_EQ(0, rg_agree(self->a, self->b, &o_, rights_,		\
			      &self->mine, &self->theirs));		\
} while (0)

#endif /* MBUF_SELFTESTS_REGION_H */
