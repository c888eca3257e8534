// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What programs need that were linked with an older libmbuf.so. Only the shared
 * library has it: who links statically has compiled with the header of today.
 *
 * A struct that grows gets a new version of each function that fills one in, as
 * the program has no more room than there was when it was compiled.
 */
#include <string.h>

#include "internal.h"

/* struct mbuf_query as it was in LIBMBUF_0.1. */
#define QUERY_0_1_SIZE	88

MBUF_EXPORT int libmbuf_query_0_1(int session, struct mbuf_query *out);

int libmbuf_query_0_1(int session, struct mbuf_query *out)
{
	struct mbuf_query query;
	int ret = mbuf_query(session, &query);

	if (ret >= 0)
		memcpy(out, &query, QUERY_0_1_SIZE);
	return ret;
}

__asm__(".symver libmbuf_query_0_1, mbuf_query@LIBMBUF_0.1");
