// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Second-chance replacement: a hand goes round the pages in memory. One that was
 * touched since the hand came by is unmapped, so that it can be seen whether it
 * is touched again, and stays; the first that was not is replaced.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mbuf.h>

#include "pages.h"

/* Messages that are taken at once. */
#define BATCH	16

int pages_init(struct pages *p, size_t budget)
{
	*p = (struct pages){
		.nr = budget,
		.page = (size_t)sysconf(_SC_PAGESIZE),
		.frames = calloc(budget, sizeof(*p->frames)),
	};
	if (!p->frames ||
	    posix_memalign(&p->buffer, p->page, p->page))
		return -ENOMEM;
	return 0;
}

/* A file without a name. */
static int file_new(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/memory-XXXXXX", dir) >=
	    (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

struct space *space_new(int pager, size_t nr, const char *dir)
{
	struct space *s = malloc(sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct space){
		.pager = pager,
		.nr = nr,
		.stored = calloc(nr, sizeof(*s->stored)),
		.file = file_new(dir),
	};
	if (s->stored && s->file >= 0)
		return s;
	if (s->file >= 0)
		close(s->file);
	free(s->stored);
	free(s);
	return NULL;
}

/* The pages go with the pager's descriptor, which is the caller's to close. */
void space_free(struct pages *p, struct space *s)
{
	size_t i;

	for (i = 0; i < p->nr; i++) {
		if (p->frames[i].space == s) {
			p->frames[i].space = NULL;
			p->used--;
		}
	}
	close(s->file);
	free(s->stored);
	free(s);
}

static int supply(struct pages *p, struct space *s, size_t index, bool zeroes)
{
	struct mbuf_supply args = {
		.offset = index * p->page,
		.size = p->page,
		.data = zeroes ? 0 : (uintptr_t)p->buffer,
		.flags = zeroes ? MBUF_SUPPLY_ZERO : 0,
	};

	return mbuf_supply(s->pager, &args);
}

/* Was it touched? Then it gets another chance. */
static bool touched(struct pages *p, const struct frame *f)
{
	struct mbuf_protect unmap = {
		.offset = f->index * p->page,
		.size = p->page,
		.flags = MBUF_PROTECT_UNMAP,
	};
	uint8_t state = 0;

	return !mbuf_pages(f->space->pager, unmap.offset, p->page, &state) &&
	       state & MBUF_PAGE_MAPPED &&
	       !mbuf_protect(f->space->pager, &unmap);
}

/* To its file. 0 if its frame is free now. */
static int evict(struct pages *p, struct frame *f)
{
	off_t at = (off_t)(f->index * p->page);
	struct mbuf_evict args = {
		.offset = f->index * p->page,
		.size = p->page,
		.data = (uintptr_t)p->buffer,
	};
	struct space *s = f->space;
	int ret;

	ret = mbuf_evict(s->pager, &args);
	if (ret < 0)
		return ret;
	if (args.dirty) {
		if (pwrite(s->file, p->buffer, p->page, at) !=
		    (ssize_t)p->page) {
			/* Nowhere to keep it but where it was. */
			ret = supply(p, s, f->index, false);
			return ret < 0 ? ret : -ENOSPC;
		}
		s->stored[f->index] = true;
		p->written++;
	}
	f->space = NULL;
	p->used--;
	p->evictions++;
	return 0;
}

/* A free frame, or NULL if all pages are in use by somebody's I/O. */
static struct frame *frame_get(struct pages *p)
{
	size_t looked;

	/* Once to unmap them all, once to find one that was not touched since. */
	for (looked = 0; looked < 3 * p->nr; looked++) {
		struct frame *f = &p->frames[p->hand];

		p->hand = (p->hand + 1) % p->nr;
		if (!f->space)
			return f;
		if (p->used < p->nr)
			continue;
		if (looked < 2 * p->nr && touched(p, f))
			p->hits++;
		else if (!evict(p, f))
			return f;
	}
	return NULL;
}

static int serve_one(struct pages *p, struct space *s,
		     const struct mbuf_fault *fault)
{
	size_t index = fault->offset / p->page;
	struct frame *f = frame_get(p);
	bool stored = s->stored[index];

	p->faults++;
	if (!f || (stored && pread(s->file, p->buffer, p->page,
				   (off_t)fault->offset) != (ssize_t)p->page))
		return mbuf_refuse(s->pager, fault);
	if (supply(p, s, index, !stored) < 0)
		return mbuf_refuse(s->pager, fault);
	f->space = s;
	f->index = index;
	p->used++;
	return 0;
}

/* Answers those who wait. -EPIPE: nobody is left who could. */
int space_serve(struct pages *p, struct space *s)
{
	struct mbuf_fault faults[BATCH];
	int nr, i;

	nr = mbuf_faults(s->pager, faults, BATCH, MBUF_NOW);
	for (i = 0; i < nr; i++)
		serve_one(p, s, &faults[i]);
	return nr == -EAGAIN || nr > 0 ? 0 : nr;
}
