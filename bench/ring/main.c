// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * mbuf-bench-ring: measures rings in turns, and prints lines for a program:
 *
 *	mbuf-bench-ring time ROUNDS [CPU CPU]
 *		"work,peer,size,metric,value" for every work and peer; metric is
 *		ns for the median of so many rounds, ns-min for the best. With two CPUs, the
 *		producer and the consumer of the work "stream" are bound to them
 *	mbuf-bench-ring count PEER SIZE N
 *		does push and pop N times, for something that counts
 */
#define _GNU_SOURCE
#include <err.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static const struct peer *const peers[] = {
	&peer_mbuf,
#ifdef HAVE_CK
	&peer_ck,
#endif
#ifdef HAVE_RTE
	&peer_rte,
#endif
#ifdef HAVE_BOOST
	&peer_boost,
#endif
};

#define NR_PEERS	(sizeof(peers) / sizeof(peers[0]))
#define MAX_ROUNDS	1000

/* In one measurement. */
#define PAIRS		20000L
#define STREAM		(10L * RING_SLOTS)
#define RTT		2048L

/* Before it: several times around. A multiple of RING_SOURCE. */
#define WARM		(4L * RING_SLOTS)

static int cpus[2] = { -1, -1 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static const struct loops *loops_of(const struct peer *peer, size_t size)
{
	return size == 32 ? &peer->size32 : &peer->size256;
}

static void bind_to(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "cannot run on CPU %d", cpu);
}

static void open_ring(const struct peer *peer, void *mem, size_t size)
{
	int i;

	memset(mem, 0, 2 * RING_BYTES);
	for (i = 0; i < 2; i++)
		if (peer->open(i, (char *)mem + (size_t)i * RING_BYTES, size))
			errx(1, "%s: cannot be set up", peer->name);
}

struct msg32 source_msg32[RING_SOURCE];
struct msg256 source_msg256[RING_SOURCE];

static void make_sources(void)
{
	size_t i, j;

	for (i = 0; i < RING_SOURCE; i++) {
		for (j = 0; j < 4; j++)
			source_msg32[i].word[j] = i + 1;
		for (j = 0; j < 32; j++)
			source_msg256[i].word[j] = i + 1;
	}
}

/* Of the first words of @n messages, which begin with 1, 2, ... */
static uint64_t sum_of(long n)
{
	uint64_t all = RING_SOURCE * (RING_SOURCE + 1) / 2;
	uint64_t rest = (uint64_t)n % RING_SOURCE;

	return (uint64_t)n / RING_SOURCE * all + rest * (rest + 1) / 2;
}

static long preempted(int who)
{
	struct rusage usage;

	if (getrusage(who, &usage))
		err(1, "getrusage");
	return usage.ru_nivcsw;
}

static double time_pair(const struct peer *peer, void *mem, size_t size)
{
	const struct loops *loops = loops_of(peer, size);
	double start;
	uint64_t sum;

	open_ring(peer, mem, size);
	/* Several times around, so that all of it has been used. */
	loops->pair(WARM);
	start = now();
	sum = loops->pair(PAIRS);
	start = now() - start;
	if (sum != sum_of(PAIRS))
		errx(1, "%s: what was popped is not what was pushed",
		     peer->name);
	return start / PAIRS;
}

/*
 * Two processes. The time starts when the ring has been around several times.
 * Negative if one of them was preempted: they have to run at the same time.
 */
static double try_two(const struct peer *peer, void *mem, size_t size, bool rtt)
{
	const struct loops *loops = loops_of(peer, size);
	long before = preempted(RUSAGE_SELF), n = rtt ? RTT : STREAM;
	struct rusage usage;
	double start;
	uint64_t sum;
	int status;
	pid_t pid;

	open_ring(peer, mem, size);
	/* Before fork(): both on one CPU would have to wait for each other. */
	bind_to(cpus[0]);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		if (rtt)
			loops->answer(WARM + n);
		else
			loops->send(WARM + n);
		_exit(0);
	}
	bind_to(cpus[1]);
	sum = rtt ? loops->ask(WARM) : loops->recv(WARM);
	start = now();
	sum += rtt ? loops->ask(n) : loops->recv(n);
	start = now() - start;
	before = preempted(RUSAGE_SELF) - before;
	if (wait4(pid, &status, 0, &usage) != pid || status)
		errx(1, "%s: the other process failed", peer->name);
	if (sum != sum_of(WARM) + sum_of(n))
		errx(1, "%s: what was popped is not what was pushed",
		     peer->name);
	return before || usage.ru_nivcsw ? -1 : start / (double)n;
}

static double time_two(const struct peer *peer, void *mem, size_t size,
		       bool rtt)
{
	double ns;
	int i;

	for (i = 0; i < 200; i++) {
		ns = try_two(peer, mem, size, rtt);
		if (ns >= 0)
			return ns;
	}
	errx(1, "CPUs %d and %d are too busy to measure anything", cpus[0],
	     cpus[1]);
}

static double time_stream(const struct peer *peer, void *mem, size_t size)
{
	return time_two(peer, mem, size, false);
}

static double time_rtt(const struct peer *peer, void *mem, size_t size)
{
	return time_two(peer, mem, size, true);
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void measure(const char *work, size_t size, int rounds, void *mem,
		    double (*fn)(const struct peer *, void *, size_t))
{
	static double value[NR_PEERS][MAX_ROUNDS];
	size_t i;
	int round;

	for (round = -1; round < rounds; round++)
		for (i = 0; i < NR_PEERS; i++) {
			double ns = fn(peers[i], mem, size);

			/* The first round warms up. */
			if (round >= 0)
				value[i][round] = ns;
		}
	for (i = 0; i < NR_PEERS; i++) {
		qsort(value[i], (size_t)rounds, sizeof(double), compare);
		printf("%s,%s,%zu,ns,%.2f\n", work, peers[i]->name, size,
		       value[i][rounds / 2]);
		printf("%s,%s,%zu,ns-min,%.2f\n", work, peers[i]->name, size,
		       value[i][0]);
	}
}

static int count(const char *name, size_t size, long n, void *mem)
{
	size_t i;

	for (i = 0; i < NR_PEERS; i++)
		if (!strcmp(peers[i]->name, name)) {
			open_ring(peers[i], mem, size);
			if (loops_of(peers[i], size)->pair(n) != sum_of(n))
				errx(1, "%s: a wrong sum", name);
			return 0;
		}
	errx(2, "there is no ring called %s in this program", name);
}

int main(int argc, char **argv)
{
	void *mem = mmap(NULL, 2 * RING_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int rounds;

	if (mem == MAP_FAILED)
		err(1, "mmap");
	make_sources();
	if (argc == 5 && !strcmp(argv[1], "count"))
		return count(argv[2], (size_t)atol(argv[3]), atol(argv[4]),
			     mem);
	if ((argc != 3 && argc != 5) || strcmp(argv[1], "time"))
		errx(2, "usage: %s time ROUNDS [CPU CPU] | count PEER SIZE N",
		     argv[0]);
	rounds = atoi(argv[2]);
	if (rounds < 1 || rounds > MAX_ROUNDS)
		errx(2, "ROUNDS is from 1 to %d", MAX_ROUNDS);
	if (argc == 5) {
		cpus[0] = atoi(argv[3]);
		cpus[1] = atoi(argv[4]);
		bind_to(cpus[1]);
	}
	measure("pair", 32, rounds, mem, time_pair);
	measure("pair", 256, rounds, mem, time_pair);
	if (argc == 5) {
		measure("stream", 32, rounds, mem, time_stream);
		measure("stream", 256, rounds, mem, time_stream);
		measure("rtt", 32, rounds, mem, time_rtt);
	}
	return 0;
}
