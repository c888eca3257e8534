// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages that another process supplies when somebody touches them: a paged region
 * of mbuf, and userfaultfd. Beside them, for reading all of it in order, a file
 * that is mapped, of which the cache has all pages.
 *
 * A page is touched for the first time once only: each measurement goes on where
 * the last one ended. How many there can be is RUNS_MAX; most of it is never
 * touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/userfaultfd.h>

#include <mbuf.h>

#include "bench.h"

#define PAGE		4096
#define RUNS_MAX	160
/* Pages that are supplied at once when somebody reads in order. */
#define AHEAD		64

/**
 * struct paging - what a row has
 * @fd: of the pager
 * @p: memory whose pages come from the partner
 * @size: of it
 * @at: first page that was not touched yet
 * @source: what the partner supplies: AHEAD pages, shared with it
 */
struct paging {
	int fd;
	char *p;
	size_t size;
	size_t at;
	char *source;
};

static void paging_free(struct row *row)
{
	struct paging *g = row->priv;

	if (!g)
		return;
	if (g->p)
		munmap(g->p, g->size);
	if (g->source)
		munmap(g->source, AHEAD * PAGE);
	close_fd(&g->fd);
	free(g);
	row->priv = NULL;
}

static struct paging *paging_new(struct row *row)
{
	struct paging *g = calloc(1, sizeof(*g));
	size_t i;

	row->priv = g;
	if (!g)
		return NULL;
	g->fd = -1;
	/* No measurement is longer than the one of the work. */
	g->size = (size_t)row->work->sizes[0].iters * PAGE * RUNS_MAX;
	g->source = mmap(NULL, AHEAD * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (g->source == MAP_FAILED) {
		g->source = NULL;
		return NULL;
	}
	for (i = 0; i < AHEAD * PAGE / sizeof(uint64_t); i++)
		((uint64_t *)g->source)[i] = i;
	return g;
}

/* ---- who touches ------------------------------------------------------------ */

static int fault_run(struct row *row, unsigned int iters)
{
	struct paging *g = row->priv;

	if ((g->at + iters) * PAGE > g->size)
		return -ENOSPC;
	memcpy(g->source, row->out, row->size);
	while (iters--)
		*(volatile char *)(g->p + g->at++ * PAGE);
	return 0;
}

static int fault_fetch(struct row *row)
{
	struct paging *g = row->priv;

	memcpy(row->in, g->p + (g->at - 1) * PAGE, row->size);
	return 0;
}

static uint64_t read_page(const void *page)
{
	const volatile uint64_t *p = page;
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < PAGE / sizeof(*p); i++)
		sum += p[i];
	return sum;
}

/* The sum of what has been read, as the source has it. */
static int sum_wrong(uint64_t sum, unsigned int pages)
{
	const uint64_t words = PAGE / sizeof(uint64_t);
	uint64_t want = 0;
	unsigned int i;

	for (i = 0; i < pages; i++) {
		uint64_t first = i % AHEAD * words;

		want += first * words + words * (words - 1) / 2;
	}
	return sum == want ? 0 : -EIO;
}

static int read_run(struct row *row, unsigned int iters)
{
	struct paging *g = row->priv;
	uint64_t sum = 0;
	unsigned int i;

	/* From a multiple of what is supplied at once. */
	g->at = (g->at + AHEAD - 1) / AHEAD * AHEAD;
	if ((g->at + iters) * PAGE > g->size)
		return -ENOSPC;
	for (i = 0; i < iters; i++)
		sum += read_page(g->p + g->at++ * PAGE);
	return sum_wrong(sum, iters);
}

/* ---- a paged region --------------------------------------------------------- */

static int paged_setup(struct row *row)
{
	struct paging *g = paging_new(row);
	int session, region, ret;

	if (!g)
		return -ENOMEM;
	session = mbuf_open();
	if (session < 0)
		return session;
	ret = mbuf_paged_create(session, g->size, &g->fd, &region);
	close(session);
	if (ret < 0)
		return ret;
	g->p = mmap(NULL, g->size, PROT_READ | PROT_WRITE, MAP_SHARED, region,
		    0);
	close(region);
	if (g->p != MAP_FAILED)
		return 0;
	g->p = NULL;
	return -errno;
}

static int paged_serve(struct row *row, size_t pages)
{
	struct paging *g = row->priv;
	struct mbuf_fault fault;
	int ret;

	while ((ret = mbuf_faults(g->fd, &fault, 1, MBUF_FOREVER)) > 0) {
		struct mbuf_supply supply = {
			.offset = fault.offset / (pages * PAGE) * pages * PAGE,
			.size = pages * PAGE,
			.data = (uintptr_t)g->source,
		};

		ret = mbuf_supply(g->fd, &supply);
		if (ret < 0)
			break;
	}
	return ret;
}

static int paged_fault_serve(struct row *row)
{
	return paged_serve(row, 1);
}

static int paged_read_serve(struct row *row)
{
	return paged_serve(row, AHEAD);
}

static const struct ops paged_fault = {
	.setup = paged_setup,
	.serve = paged_fault_serve,
	.run = fault_run,
	.fetch = fault_fetch,
	.teardown = paging_free,
};

static const struct ops paged_read = {
	.setup = paged_setup,
	.serve = paged_read_serve,
	.run = read_run,
	.teardown = paging_free,
	.no_data = true,
};

const struct peer peer_paged = {
	.name = "mbuf-paged",
	.own = {
		[WORK_FAULT] = &paged_fault,
		[WORK_READPAGES] = &paged_read,
	},
};

/* ---- userfaultfd ------------------------------------------------------------ */

static int uffd_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (!ioctl(fd, UFFDIO_API, &api))
		return fd;
	close(fd);
	return -EOPNOTSUPP;
}

static const char *uffd_unavailable(void)
{
	int fd = uffd_open();

	if (fd < 0)
		return "this kernel, or user, has no userfaultfd";
	close(fd);
	return NULL;
}

static int uffd_setup(struct row *row)
{
	struct paging *g = paging_new(row);
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (!g)
		return -ENOMEM;
	g->p = mmap(NULL, g->size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (g->p == MAP_FAILED) {
		g->p = NULL;
		return -errno;
	}
	g->fd = uffd_open();
	if (g->fd < 0)
		return g->fd;
	reg.range.start = (uintptr_t)g->p;
	reg.range.len = g->size;
	return ioctl(g->fd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

static int uffd_serve(struct row *row, size_t pages)
{
	struct paging *g = row->priv;
	struct uffd_msg msg;

	while (read(g->fd, &msg, sizeof(msg)) == sizeof(msg)) {
		size_t at = msg.arg.pagefault.address - (uintptr_t)g->p;
		struct uffdio_copy copy = {
			.src = (uintptr_t)g->source,
			.len = pages * PAGE,
		};

		copy.dst = (uintptr_t)g->p + at / copy.len * copy.len;
		if (ioctl(g->fd, UFFDIO_COPY, &copy))
			return -errno;
	}
	return -errno;
}

static int uffd_fault_serve(struct row *row)
{
	return uffd_serve(row, 1);
}

static int uffd_read_serve(struct row *row)
{
	return uffd_serve(row, AHEAD);
}

static const struct ops uffd_fault = {
	.setup = uffd_setup,
	.serve = uffd_fault_serve,
	.run = fault_run,
	.fetch = fault_fetch,
	.teardown = paging_free,
};

static const struct ops uffd_read = {
	.setup = uffd_setup,
	.serve = uffd_read_serve,
	.run = read_run,
	.teardown = paging_free,
	.no_data = true,
};

const struct peer peer_uffd = {
	.name = "userfaultfd",
	.optional = true,
	.unavailable = uffd_unavailable,
	.own = {
		[WORK_FAULT] = &uffd_fault,
		[WORK_READPAGES] = &uffd_read,
	},
};

/* ---- a file ----------------------------------------------------------------- */

/* As long as one measurement: it is mapped anew for each. */
static int file_setup(struct row *row)
{
	char path[] = "/tmp/mbuf-bench-XXXXXX";
	struct paging *g = paging_new(row);
	size_t i;

	if (!g)
		return -ENOMEM;
	mkdir("/tmp", 0777);
	g->size = (size_t)row->work->sizes[0].iters * PAGE;
	g->fd = mkostemp(path, O_CLOEXEC);
	if (g->fd < 0)
		return -errno;
	unlink(path);
	for (i = 0; i < g->size; i += AHEAD * PAGE) {
		if (write(g->fd, g->source, AHEAD * PAGE) != AHEAD * PAGE)
			return -EIO;
	}
	return 0;
}

static int file_run(struct row *row, unsigned int iters)
{
	struct paging *g = row->priv;
	uint64_t sum = 0;
	unsigned int i;
	char *p;

	p = mmap(NULL, g->size, PROT_READ, MAP_SHARED, g->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	for (i = 0; i < iters; i++)
		sum += read_page(p + i * PAGE);
	munmap(p, g->size);
	return sum_wrong(sum, iters);
}

static const struct ops file_read = {
	.setup = file_setup,
	.run = file_run,
	.teardown = paging_free,
	.no_data = true,
};

const struct peer peer_file = {
	.name = "file",
	.own = { [WORK_READPAGES] = &file_read },
};
