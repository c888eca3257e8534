// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What it costs a thread to change which stacks it reaches, beside the CPU's
 * instructions for that and what else there is. Nanoseconds of each, which are
 * instructions where time is made of them:
 *
 *	vm/run --icount --cpu qemu64,level=13,+pku,+xsave,+xsaveopt \
 *		--add build/bench/mbuf-reach:/t/reach -- /t/reach
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <mbuf_stack.h>

#define ROUNDS	100000

static struct mbuf_stack *own, *other;
static void *page;
static int key;

static void check(int ret, const char *what)
{
	if (ret < 0) {
		fprintf(stderr, "mbuf-reach: %s: %s\n", what,
			mbuf_strerror(ret));
		exit(1);
	}
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void nothing(unsigned int i)
{
	__asm__ volatile("" : : "r"(i) : "memory");
}

#if defined(__x86_64__) || defined(__i386__)

static void raw_write(unsigned int i)
{
	/* What was there: no key, or those that a thread starts with. */
	(void)i;
	__asm__ volatile("wrpkru" : : "a"(0x55555550), "c"(0), "d"(0)
			 : "memory");
}

static void raw_read_write(unsigned int i)
{
	unsigned int a, d;

	(void)i;
	__asm__ volatile("rdpkru" : "=a"(a), "=d"(d) : "c"(0));
	__asm__ volatile("wrpkru" : : "a"(a), "c"(0), "d"(0) : "memory");
}

#else

static void raw_write(unsigned int i)
{
	nothing(i);
}

static void raw_read_write(unsigned int i)
{
	nothing(i);
}

#endif

static void glibc_set(unsigned int i)
{
	pkey_set(key, i & 1 ? PKEY_DISABLE_ACCESS : PKEY_DISABLE_WRITE);
}

static void update_same(unsigned int i)
{
	(void)i;
	mbuf_reach_update();
}

static void allow(unsigned int i)
{
	mbuf_stack_allow(other, own, i & 1 ? MBUF_REGION_READ : 0);
}

static void allow_update(unsigned int i)
{
	allow(i);
	mbuf_reach_update();
}

static void protect(unsigned int i)
{
	mprotect(page, 4096, i & 1 ? PROT_READ : PROT_NONE);
}

static double measure(void (*fn)(unsigned int i))
{
	double start, best = 0;
	unsigned int i, n;

	for (n = 0; n < 3; n++) {
		start = now();
		for (i = 0; i < ROUNDS; i++) {
			/* Called, so that all are. */
			__asm__ volatile("" : "+r"(fn));
			fn(i);
		}
		start = (now() - start) / ROUNDS;
		if (!n || start < best)
			best = start;
	}
	return best;
}

static void *figures(void *arg)
{
	double loop = measure(nothing), allowed = measure(allow) - loop;

	(void)arg;
	printf("%-44s %8.1f\n", "WRPKRU", measure(raw_write) - loop);
	mbuf_reach_update();
	printf("%-44s %8.1f\n", "RDPKRU, WRPKRU",
	       measure(raw_read_write) - loop);
	printf("%-44s %8.1f\n", "pkey_set() of the C library",
	       measure(glibc_set) - loop);
	printf("%-44s %8.1f\n", "mbuf_reach_update(), nothing has changed",
	       measure(update_same) - loop);
	printf("%-44s %8.1f\n", "mbuf_reach_update(), something has",
	       measure(allow_update) - loop - allowed);
	printf("%-44s %8.1f\n", "mbuf_stack_allow()", allowed);
	printf("%-44s %8.1f\n", "mprotect() of a page",
	       measure(protect) - loop);
	return NULL;
}

static void *main_of_thread(void *arg)
{
	check(mbuf_stack_run(own, figures, arg, NULL), "mbuf_stack_run");
	return NULL;
}

int main(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	const char *why;
	int ret;

	if (mbuf_reach(&why)) {
		printf("mbuf-reach: left out: %s\n", why);
		return 0;
	}
	check(mbuf_stack_create("own", 1 << 18, MBUF_STACK_REACH, &own),
	      "mbuf_stack_create");
	check(mbuf_stack_create("other", 1 << 18, MBUF_STACK_REACH, &other),
	      "mbuf_stack_create");
	key = pkey_alloc(0, 0);
	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (key < 0 || page == MAP_FAILED) {
		perror("mbuf-reach");
		return 1;
	}
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, mbuf_stack_addr(own),
			      mbuf_stack_size(own));
	ret = pthread_create(&thread, &attr, main_of_thread, NULL);
	if (ret) {
		fprintf(stderr, "mbuf-reach: %s\n", strerror(ret));
		return 1;
	}
	pthread_join(thread, NULL);
	check(mbuf_stack_destroy(own), "mbuf_stack_destroy");
	check(mbuf_stack_destroy(other), "mbuf_stack_destroy");
	return 0;
}
