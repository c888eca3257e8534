/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the proving tests share, besides what all tests do.
 */
#ifndef MBUF_SELFTESTS_PROVING_H
#define MBUF_SELFTESTS_PROVING_H

#if __has_include("cpuid.h")
#include <cpuid.h>
#endif

#include "../util.h"

/* An emulated guest with KASAN is some thirty times slower than a machine. */
#define LONG_TIMEOUT	1800

/* A line for who reads the output; TAP has it as a comment. */
#define diag(fmt, ...) fprintf(stderr, "# " fmt "\n", ##__VA_ARGS__)

/* A number from the environment. */
static inline uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	uint64_t n;

	if (!text || !*text)
		return otherwise;
	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || *end) {
		diag("%s=%s is no number", name, text);
		exit(1);
	}
	return n;
}

/* Is the machine that this runs on emulated, so that all takes its time? */
static inline bool emulated(void)
{
#ifdef __cpuid
	unsigned int a, b, c, d;
	char vendor[13] = "";

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 31))
		return false;
	__cpuid(0x40000000, a, b, c, d);
	memcpy(vendor, &b, 4);
	memcpy(vendor + 4, &c, 4);
	memcpy(vendor + 8, &d, 4);
	return !strcmp(vendor, "TCGTCGTCGTCG");
#else
	return false;
#endif
}

/* Random numbers that are the same for the same seed. */
struct rng {
	uint64_t state;
};

/* Different streams from one seed, for different parties. */
static inline struct rng rng_of(uint64_t seed, uint64_t stream)
{
	struct rng r = {
		.state = seed * 0x9e3779b97f4a7c15ull +
			 (stream + 1) * 0xd1b54a32d192ed03ull,
	};

	return r;
}

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* 0 to n - 1 */
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

/*
 * What must hold in a queue at any moment, whoever is killed: its counters
 * match what is in it, and nobody waits for what is there. NULL, or what is
 * wrong. Not for a queue whose receivers are gone.
 */
static inline const char *info_wrong(const struct mbuf_queue_info *i)
{
	if (i->sent - i->received - i->dropped != i->depth)
		return "depth is not what was sent and not taken";
	if (i->recv_waiters && i->depth)
		return "a receiver waits and there is a message";
	if (i->send_waiters && i->depth < i->slots)
		return "a sender waits and there is room";
	if (i->depth > i->high_water)
		return "high_water is below depth";
	if (i->depth && !i->next_len && !(i->flags & MBUF_QUEUE_EMPTY))
		return "there is a message, but it has no length";
	if (!i->depth && i->next_len)
		return "there is no message, but it has a length";
	return NULL;
}

static inline void info_print(const char *what, const struct mbuf_queue_info *i)
{
	diag("%s: depth %u/%u, high water %u, rights %u+%u, waiting %u+%u, next %u bytes",
	     what, i->depth, i->slots, i->high_water, i->senders, i->receivers,
	     i->send_waiters, i->recv_waiters, i->next_len);
	diag("%s: sent %llu, received %llu, dropped %llu, refused %llu, blocked %llu+%llu",
	     what, (unsigned long long)i->sent, (unsigned long long)i->received,
	     (unsigned long long)i->dropped, (unsigned long long)i->refused,
	     (unsigned long long)i->send_blocked,
	     (unsigned long long)i->recv_blocked);
}

/* The number that the next descriptor will have; also if one is reserved. */
static inline int lowest_fd(void)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd;
}

#endif /* MBUF_SELFTESTS_PROVING_H */
