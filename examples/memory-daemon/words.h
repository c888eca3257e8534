/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What clients of the memory daemon write, to see whether it is kept. */
#ifndef _MBUF_WORDS_H
#define _MBUF_WORDS_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static inline void words_no_page(int sig)
{
	static const char text[] =
		"no page: the memory daemon is gone, or has refused it\n";

	(void)sig;
	if (write(1, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(3);
}

/* A page that does not come ends the program, with exit status 3. */
static inline void words_expect_loss(void)
{
	signal(SIGBUS, words_no_page);
}

/* Every word of every page is different, and in every round. */
static inline uint64_t words_word(size_t page, size_t at, unsigned int round)
{
	uint64_t x = (uint64_t)page << 32 ^ (uint64_t)at << 8 ^ round;

	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

static inline void words_fill(uint64_t *p, size_t words, size_t page,
			      unsigned int round)
{
	size_t i;

	for (i = 0; i < words; i++)
		p[i] = words_word(page, i, round);
}

/* Is each word that of one of two rounds? */
static inline int words_check_either(const uint64_t *p, size_t words,
				     size_t page, unsigned int round,
				     unsigned int other)
{
	size_t i;

	for (i = 0; i < words; i++) {
		if (p[i] != words_word(page, i, round) &&
		    p[i] != words_word(page, i, other)) {
			fprintf(stderr, "page %zu, word %zu: wrong\n", page, i);
			return -1;
		}
	}
	return 0;
}

static inline int words_check(const uint64_t *p, size_t words, size_t page,
			      unsigned int round)
{
	return words_check_either(p, words, page, round, round);
}

#endif /* _MBUF_WORDS_H */
