// SPDX-License-Identifier: LGPL-2.1-or-later
/* Paged regions, and what a pager does. */
#include "internal.h"

int mbuf_paged_create(int session, uint64_t size, int *pager, int *region)
{
	struct mbuf_paged_create create = { .size = size };
	int ret = libmbuf_ioctl(session, MBUF_IOC_PAGED_CREATE, &create);

	if (ret < 0)
		return ret;
	*pager = create.pager.fd;
	*region = create.region.fd;
	return ret;
}

int mbuf_faults(int pager, struct mbuf_fault *out, unsigned int nr,
		uint64_t deadline)
{
	struct mbuf_faults faults = {
		.wait = libmbuf_wait(deadline),
		.faults = (uintptr_t)out,
		.nr = nr,
		.stride = sizeof(*out),
	};

	return libmbuf_ioctl(pager, MBUF_IOC_FAULTS, &faults);
}

int mbuf_supply(int pager, struct mbuf_supply *args)
{
	return libmbuf_ioctl(pager, MBUF_IOC_SUPPLY, args);
}

int mbuf_refuse(int pager, const struct mbuf_fault *fault)
{
	struct mbuf_refuse refuse = {
		.id = fault->id,
		.offset = fault->offset,
	};

	return libmbuf_ioctl(pager, MBUF_IOC_REFUSE, &refuse);
}

int mbuf_evict(int pager, struct mbuf_evict *args)
{
	return libmbuf_ioctl(pager, MBUF_IOC_EVICT, args);
}

int mbuf_protect(int pager, struct mbuf_protect *args)
{
	return libmbuf_ioctl(pager, MBUF_IOC_PROTECT, args);
}

int mbuf_pages(int pager, uint64_t offset, uint64_t size, uint8_t *states)
{
	struct mbuf_pages pages = {
		.offset = offset,
		.size = size,
		.states = (uintptr_t)states,
	};

	return libmbuf_ioctl(pager, MBUF_IOC_PAGES, &pages);
}

int mbuf_paged_info(int pager, struct mbuf_paged_info *out)
{
	struct mbuf_paged_info info = { 0 };
	int ret = libmbuf_ioctl(pager, MBUF_IOC_PAGED_INFO, &info);

	if (ret >= 0)
		*out = info;
	return ret;
}
