// SPDX-License-Identifier: LGPL-2.1-or-later
/* Deadlines. */
#include <time.h>

#include "internal.h"

uint64_t mbuf_deadline(uint64_t ns_from_now)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;

	/*
	 * The kernel counts time in signed 64 bits: what lies beyond can never
	 * come.
	 */
	if (ns_from_now > (uint64_t)INT64_MAX - now)
		return MBUF_FOREVER;
	now += ns_from_now;

	/* The clock can stand at 0 in a new time namespace. */
	return now == MBUF_NOW ? 1 : now;
}
