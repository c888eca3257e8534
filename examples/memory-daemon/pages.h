/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory daemon's pages: so many in memory, for all clients together, and
 * the rest in files, one for each client.
 */
#ifndef _MBUF_PAGES_H
#define _MBUF_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct space - what one client has
 * @pager: of its region
 * @file: where its pages are that are not in memory
 * @nr: pages
 * @stored: for each: is it in the file? Others are zeroes
 */
struct space {
	int pager;
	int file;
	size_t nr;
	bool *stored;
};

/**
 * struct frame - a page in memory
 * @space: whose it is, or NULL
 * @index: which of its pages
 */
struct frame {
	struct space *space;
	size_t index;
};

/**
 * struct pages - all of them
 * @frames: the budget
 * @nr: how many
 * @used: of these
 * @hand: the one that is looked at next, to be replaced
 * @page: bytes in a page
 * @buffer: one page
 * @faults: pages that clients had to wait for
 * @hits: pages that were not replaced, as they had been used again
 * @evictions: pages that were
 * @written: of these, how many had to be written to a file
 */
struct pages {
	struct frame *frames;
	size_t nr;
	size_t used;
	size_t hand;
	size_t page;
	void *buffer;
	uint64_t faults;
	uint64_t hits;
	uint64_t evictions;
	uint64_t written;
};

int pages_init(struct pages *p, size_t budget);

struct space *space_new(int pager, size_t nr, const char *dir);
void space_free(struct pages *p, struct space *s);
int space_serve(struct pages *p, struct space *s);

#endif /* _MBUF_PAGES_H */
