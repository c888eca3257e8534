// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A client of the memory daemon: gets memory, fills it, and looks again and
 * again, in no particular order, whether it is what it should be.
 *
 * usage: memory-client PAGES [ROUNDS]
 *
 * Exit status: 0 if all was as it should be; 1 if not; 2 for wrong usage; 3 if
 * the daemon was gone, or refused a page.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../example.h"
#include "memory.h"

#define PATIENCE_NS	30000000000ull

static void no_page(int sig)
{
	static const char text[] =
		"memory-client: no page: the daemon is gone, or has refused it\n";

	(void)sig;
	if (write(1, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(3);
}

/* Every word of every page is different, and in every round. */
static uint64_t word(size_t page, size_t at, unsigned int round)
{
	uint64_t x = (uint64_t)page << 32 ^ (uint64_t)at << 8 ^ round;

	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

static void fill(uint64_t *p, size_t words, size_t page, unsigned int round)
{
	size_t i;

	for (i = 0; i < words; i++)
		p[i] = word(page, i, round);
}

static int check(const uint64_t *p, size_t words, size_t page,
		 unsigned int round)
{
	size_t i;

	for (i = 0; i < words; i++) {
		if (p[i] != word(page, i, round)) {
			fprintf(stderr,
				"memory-client: page %zu, word %zu: wrong\n",
				page, i);
			return -1;
		}
	}
	return 0;
}

static void *get_memory(size_t size)
{
	struct memory_request request = { .size = size };
	int session = example_open(), end, fd;
	struct mbuf_connect args = {
		.name = (uintptr_t)MEMORY_NAME,
		.name_len = strlen(MEMORY_NAME),
		.flags = MBUF_CONNECT_HELLO,
	};
	uint64_t got;
	void *p;

	if (session < 0)
		return NULL;
	memcpy(args.data, &request, sizeof(request));
	end = mbuf_connect_args(session, &args, mbuf_deadline(PATIENCE_NS));
	if (end >= 0)
		end = args.end.ref.fd;
	fd = end < 0 ? end :
	     mbuf_region_take(end, size, size,
			      MBUF_REGION_READ | MBUF_REGION_WRITE, &got,
			      mbuf_deadline(PATIENCE_NS));
	if (fd < 0) {
		fprintf(stderr, "memory-client: no memory: %s\n",
			mbuf_strerror(fd));
		return NULL;
	}
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	close(end);
	close(session);
	return p == MAP_FAILED ? NULL : p;
}

int main(int argc, char **argv)
{
	size_t nr = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, i;
	unsigned int rounds = argc > 2 ? (unsigned int)atoi(argv[2]) : 3;
	size_t size = (size_t)sysconf(_SC_PAGESIZE), words;
	unsigned int round, *of, seed = 1;
	uint64_t *p;

	if (!nr || argc > 3) {
		fprintf(stderr, "usage: memory-client PAGES [ROUNDS]\n");
		return 2;
	}
	if (memory_be_nobody()) {
		perror("memory-client: cannot give up privileges");
		return 1;
	}
	signal(SIGBUS, no_page);
	words = size / sizeof(*p);
	of = calloc(nr, sizeof(*of));
	p = get_memory(nr * size);
	if (!p || !of)
		return 1;
	for (i = 0; i < nr; i++)
		fill(p + i * words, words, i, 0);
	example_ready("memory-client");
	for (round = 1; round <= rounds; round++) {
		for (i = 0; i < nr; i++) {
			size_t page = (size_t)rand_r(&seed) % nr;

			if (check(p + page * words, words, page, of[page]))
				return 1;
			if (rand_r(&seed) % 2)
				continue;
			of[page] = round;
			fill(p + page * words, words, page, round);
		}
	}
	for (i = 0; i < nr; i++) {
		if (check(p + i * words, words, i, of[i]))
			return 1;
	}
	printf("memory-client: %zu pages, all as they should be\n", nr);
	return 0;
}
