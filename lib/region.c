// SPDX-License-Identifier: LGPL-2.1-or-later
/* Regions: memory that two sides of a channel agree on. */
#include "internal.h"

int mbuf_offer(int fd, struct mbuf_offer *args)
{
	return libmbuf_ioctl(fd, MBUF_IOC_OFFER, args);
}

int mbuf_offered(int fd, struct mbuf_offered *out, uint64_t deadline)
{
	struct mbuf_offered offered = { .wait = libmbuf_wait(deadline) };
	int ret = libmbuf_ioctl(fd, MBUF_IOC_OFFERED, &offered);

	if (ret >= 0)
		*out = offered;
	return ret;
}

int mbuf_take(int fd, struct mbuf_take *args)
{
	return libmbuf_ioctl(fd, MBUF_IOC_TAKE, args);
}

int mbuf_counter(int fd, const struct mbuf_counter *args)
{
	struct mbuf_counter copy = *args;

	return libmbuf_ioctl(fd, MBUF_IOC_COUNTER, &copy);
}

int mbuf_reject(int fd, uint64_t id, uint32_t reason)
{
	struct mbuf_counter reject = {
		.id = id,
		.reason = reason,
	};

	return libmbuf_ioctl(fd, MBUF_IOC_REJECT, &reject);
}

int mbuf_answer(int fd, uint64_t id, struct mbuf_answer *out,
		uint64_t deadline)
{
	struct mbuf_answer answer = {
		.wait = libmbuf_wait(deadline),
		.id = id,
	};
	int ret = libmbuf_ioctl(fd, MBUF_IOC_ANSWER, &answer);

	if (ret >= 0)
		*out = answer;
	return ret;
}

int mbuf_withdraw(int fd, uint64_t id)
{
	struct mbuf_withdraw withdraw = { .id = id };

	return libmbuf_ioctl(fd, MBUF_IOC_WITHDRAW, &withdraw);
}

int mbuf_grant(int session, int region, uint32_t rights)
{
	struct mbuf_grant grant = {
		.from.fd = region,
		.rights = rights,
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_GRANT, &grant);

	return ret < 0 ? ret : grant.region.fd;
}

int mbuf_region_info(int fd, struct mbuf_region_info *out)
{
	struct mbuf_region_info info = { 0 };
	int ret = libmbuf_ioctl(fd, MBUF_IOC_REGION_INFO, &info);

	if (ret >= 0)
		*out = info;
	return ret;
}

int mbuf_region_offer(int fd, uint64_t size, uint32_t rights,
		      uint64_t deadline)
{
	struct mbuf_offer offer = {
		.min = size,
		.wanted = size,
		.max = size,
		.rights = rights,
	};
	struct mbuf_answer answer;
	int ret = mbuf_offer(fd, &offer);

	if (ret < 0)
		return ret;
	ret = mbuf_answer(fd, offer.id, &answer, deadline);
	/* Taken at the last moment: then there is an answer. */
	if (ret < 0 && mbuf_withdraw(fd, offer.id) == -EALREADY)
		ret = mbuf_answer(fd, offer.id, &answer, MBUF_NOW);
	if (ret < 0)
		return ret;
	return answer.outcome == MBUF_OUTCOME_TAKEN ? answer.region.fd :
						      -ECONNREFUSED;
}

int mbuf_consent(int fd, struct mbuf_consent *args)
{
	int ret = libmbuf_ioctl(fd, MBUF_IOC_CONSENT, args);

	return ret < 0 ? ret : args->consent.fd;
}

int mbuf_revoke(int fd, uint64_t id)
{
	struct mbuf_revoke revoke = { .id = id };

	return libmbuf_ioctl(fd, MBUF_IOC_REVOKE, &revoke);
}

int mbuf_claim(int fd, uint64_t offer, struct mbuf_claim *out,
	       uint64_t deadline)
{
	struct mbuf_claim claim = {
		.wait = libmbuf_wait(deadline),
		.id = offer,
	};
	int ret = libmbuf_ioctl(fd, MBUF_IOC_CLAIM, &claim);

	if (ret < 0)
		return ret;
	if (out)
		*out = claim;
	return claim.region.fd;
}

int mbuf_consent_info(int fd, struct mbuf_consent_info *out)
{
	struct mbuf_consent_info info = { 0 };
	int ret = libmbuf_ioctl(fd, MBUF_IOC_CONSENT_INFO, &info);

	if (ret >= 0)
		*out = info;
	return ret;
}

int mbuf_provide(int session, struct mbuf_provide *args)
{
	return libmbuf_ioctl(session, MBUF_IOC_PROVIDE, args);
}

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
	if (value < min)
		return min;
	return value > max ? max : value;
}

int mbuf_region_take(int fd, uint64_t min, uint64_t max, uint32_t rights,
		     uint64_t *size, uint64_t deadline)
{
	struct mbuf_take take = { .rights = rights };
	struct mbuf_offered offered;
	int ret;

	ret = mbuf_offered(fd, &offered, deadline);
	if (ret < 0)
		return ret;
	if (offered.max < min || offered.min > max ||
	    (offered.rights & rights) != rights) {
		ret = mbuf_reject(fd, offered.id, 0);
		return ret < 0 ? ret : -EMSGSIZE;
	}
	take.id = offered.id;
	/* Within what both want; each end is a multiple of the page size. */
	take.size = clamp(offered.wanted,
			  min > offered.min ? min : offered.min,
			  max < offered.max ? max : offered.max);
	ret = mbuf_take(fd, &take);
	if (ret < 0)
		return ret;
	if (size)
		*size = take.size;
	return take.region.fd;
}
