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
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../example.h"
#include "memory.h"
#include "words.h"

#define PATIENCE_NS	30000000000ull

static void *get_memory(size_t size)
{
	struct memory_request request = {
		.what = MEMORY_OWN,
		.size = size,
	};
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
	words_expect_loss();
	words = size / sizeof(*p);
	of = calloc(nr, sizeof(*of));
	p = get_memory(nr * size);
	if (!p || !of)
		return 1;
	for (i = 0; i < nr; i++)
		words_fill(p + i * words, words, i, 0);
	example_ready("memory-client");
	for (round = 1; round <= rounds; round++) {
		for (i = 0; i < nr; i++) {
			size_t page = (size_t)rand_r(&seed) % nr;

			if (words_check(p + page * words, words, page, of[page]))
				return 1;
			if (rand_r(&seed) % 2)
				continue;
			of[page] = round;
			words_fill(p + page * words, words, page, round);
		}
	}
	for (i = 0; i < nr; i++) {
		if (words_check(p + i * words, words, i, of[i]))
			return 1;
	}
	printf("memory-client: %zu pages, all as they should be\n", nr);
	return 0;
}
