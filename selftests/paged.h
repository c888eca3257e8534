/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of paged regions share. */
#ifndef MBUF_SELFTESTS_PAGED_H
#define MBUF_SELFTESTS_PAGED_H

#include <setjmp.h>
#include <sys/mman.h>

#include "region.h"

static inline int pg_create(int session, size_t size, int *pager, int *region,
			    uint64_t *id)
{
	struct mbuf_paged_create c = {
		.size = size,
		.pager.fd = -77,
		.region.fd = -77,
	};
	int ret;

	/* Its identity the library does not tell. */
	if (!id)
		return mbuf_paged_create(session, size, pager, region);
	ret = (int)xioctl(session, MBUF_IOC_PAGED_CREATE, &c);
	if (!ret) {
		*pager = c.pager.fd;
		*region = c.region.fd;
		*id = c.id;
	}
	return ret;
}

static inline int pg_faults_flags(int pager, struct mbuf_fault *to,
				  unsigned int nr, uint64_t deadline,
				  uint32_t flags)
{
	struct mbuf_faults f = {
		.wait = wait_of(deadline),
		.faults = (uintptr_t)to,
		.nr = nr,
		.stride = sizeof(*to),
		.flags = flags,
	};

	return (int)xioctl(pager, MBUF_IOC_FAULTS, &f);
}

static inline int pg_faults(int pager, struct mbuf_fault *to, unsigned int nr,
			    uint64_t deadline)
{
	return mbuf_faults(pager, to, nr, deadline);
}

/* One message. */
static inline int pg_fault(int pager, struct mbuf_fault *to)
{
	return pg_faults(pager, to, 1, in_ms(60000));
}

/* Pages supplied, or -errno. */
static inline long pg_supply(int pager, size_t offset, const void *data,
			     size_t size, uint32_t flags)
{
	struct mbuf_supply s = {
		.offset = offset,
		.size = size,
		.data = (uintptr_t)data,
		.flags = flags,
	};
	int ret = mbuf_supply(pager, &s);

	return ret ? ret : s.done == size ? (long)s.supplied : -EMSGSIZE;
}

static inline long pg_zero(int pager, size_t offset, size_t size)
{
	return pg_supply(pager, offset, NULL, size, MBUF_SUPPLY_ZERO);
}

static inline int pg_refuse(int pager, const struct mbuf_fault *f)
{
	return mbuf_refuse(pager, f);
}

/* Pages evicted, or -errno. */
static inline long pg_evict(int pager, size_t offset, void *data, size_t size)
{
	struct mbuf_evict e = {
		.offset = offset,
		.size = size,
		.data = (uintptr_t)data,
		.flags = data ? 0 : MBUF_EVICT_DROP,
	};
	int ret = mbuf_evict(pager, &e);

	return ret ? ret : (long)e.evicted;
}

/* Pages that were busy, or -errno. */
static inline long pg_protect(int pager, size_t offset, size_t size,
			      uint32_t flags)
{
	struct mbuf_protect p = {
		.offset = offset,
		.size = size,
		.flags = flags,
	};
	int ret = mbuf_protect(pager, &p);

	return ret ? ret : (long)p.busy;
}

static inline int pg_pages(int pager, size_t offset, size_t size,
			   uint8_t *states)
{
	return mbuf_pages(pager, offset, size, states);
}

/* The state of one page but for being mapped, or -errno. */
static inline int pg_state(int pager, size_t offset)
{
	uint8_t state = POISON;
	int ret = pg_pages(pager, offset, page_size(), &state);

	return ret ? ret : state & ~MBUF_PAGE_MAPPED;
}

/* 1 or 0, or -errno. */
static inline int pg_mapped(int pager, size_t offset)
{
	uint8_t state = POISON;
	int ret = pg_pages(pager, offset, page_size(), &state);

	return ret ? ret : !!(state & MBUF_PAGE_MAPPED);
}

static inline struct mbuf_paged_info pg_info(int pager)
{
	struct mbuf_paged_info info = {};
	int ret = mbuf_paged_info(pager, &info);

	if (ret) {
		fprintf(stderr, "# PAGED_INFO of descriptor %d: %s\n", pager,
			mbuf_strerror(ret));
		memset(&info, 0xff, sizeof(info));
	}
	return info;
}

/*
 * Touching memory, and surviving it
 */
struct jump {
	sigjmp_buf buf;
};

/* Volatile: what comes between its assignments looks as if it did not use it. */
static __thread struct jump *volatile touch_jump;

static inline void touch_signal(int sig)
{
	if (touch_jump)
		siglongjmp(touch_jump->buf, sig);
	signal(sig, SIG_DFL);
	raise(sig);
}

static inline void touch_init(void)
{
	struct sigaction sa = { .sa_handler = touch_signal };

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

/* What is there, or minus the signal that this gave. */
static inline int peek(const volatile uint8_t *p)
{
	struct jump jump;
	int sig, ret;

	sig = sigsetjmp(jump.buf, 1);
	if (sig) {
		touch_jump = NULL;
		return -sig;
	}
	touch_jump = &jump;
	ret = *p;
	touch_jump = NULL;
	return ret;
}

/* 0, or minus the signal that this gave. */
static inline int poke(volatile uint8_t *p, uint8_t value)
{
	struct jump jump;
	int sig;

	sig = sigsetjmp(jump.buf, 1);
	if (sig) {
		touch_jump = NULL;
		return -sig;
	}
	touch_jump = &jump;
	*p = value;
	touch_jump = NULL;
	return 0;
}

/* A thread that touches a page. */
struct toucher {
	uint8_t *at;
	int value;		/* what to write; -1: read */
	int ret;		/* as of peek() or poke() */
	_Atomic pid_t tid;
	_Atomic bool done;
	pthread_t thread;
};

static inline void *toucher_main(void *arg)
{
	struct toucher *t = arg;

	atomic_store(&t->tid, (pid_t)syscall(SYS_gettid));
	t->ret = t->value < 0 ? peek(t->at) : poke(t->at, (uint8_t)t->value);
	atomic_store(&t->done, true);
	return NULL;
}

static inline bool toucher_start(struct toucher *t, uint8_t *at, int value)
{
	*t = (struct toucher){ .at = at, .value = value };
	return !pthread_create(&t->thread, NULL, toucher_main, t);
}

static inline int toucher_join(struct toucher *t)
{
	if (!EVENTUALLY(atomic_load(&t->done))) {
		fprintf(stderr, "# thread %d does not end\n", t->tid);
		return -ETIME;
	}
	pthread_join(t->thread, NULL);
	return t->ret;
}

/* A pager's thread that serves from a store, until nobody is left. */
struct server {
	int pager;
	uint8_t *store;		/* NULL: zeroes */
	size_t ahead;		/* pages to supply at once */
	size_t size;
	long ret;		/* 0, or what went wrong */
	_Atomic long served;
	pthread_t thread;
};

static inline void *server_main(void *arg)
{
	struct server *s = arg;
	struct mbuf_fault f[4];
	long ret;
	int nr, i;

	while ((nr = pg_faults(s->pager, f, 4, MBUF_FOREVER)) > 0) {
		for (i = 0; i < nr; i++) {
			size_t at = f[i].offset, size = s->ahead * page_size();

			if (size > s->size - at)
				size = s->size - at;
			if (f[i].access & MBUF_FAULT_PROTECTED)
				ret = pg_protect(s->pager, at, page_size(), 0);
			else if (s->store)
				ret = pg_supply(s->pager, at, s->store + at,
						size, 0);
			else
				ret = pg_zero(s->pager, at, size);
			if (ret < 0) {
				s->ret = ret;
				return NULL;
			}
			s->served++;
		}
	}
	s->ret = nr == -EPIPE ? 0 : nr;
	return NULL;
}

static inline bool server_start(struct server *s, int pager, uint8_t *store,
				size_t size)
{
	*s = (struct server){
		.pager = pager,
		.store = store,
		.ahead = 1,
		.size = size,
	};
	return !pthread_create(&s->thread, NULL, server_main, s);
}

/*
 * A region, its pager, and a mapping
 */
FIXTURE(paged) {
	int session;
	int pager, region;
	uint64_t id;
	size_t size, page;
	uint8_t *p;		/* the mapping */
	uint8_t *data;		/* as large, with a pattern in each page */
	struct mbuf_query q;
	struct snapshot before;
};

FIXTURE_SETUP(paged)
{
	size_t i;

	touch_init();
	self->page = page_size();
	self->size = 16 * self->page;
	self->session = fixture_begin(_metadata, &self->q, &self->before);
	ASSERT_NE(0, self->q.features & MBUF_FEATURE_PAGED);
	ASSERT_EQ(0, pg_create(self->session, self->size, &self->pager,
			       &self->region, &self->id));
	self->p = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       self->region, 0);
	ASSERT_NE(MAP_FAILED, self->p);
	self->data = map_pages(self->size, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, self->data);
	for (i = 0; i < self->size / self->page; i++)
		fill_pattern(self->data + i * self->page, self->page,
			     (uint32_t)i + 1);
}

FIXTURE_TEARDOWN(paged)
{
	if (self->p)
		munmap(self->p, self->size);
	munmap(self->data, self->size);
	close_fd(&self->region);
	close_fd(&self->pager);
	fixture_end(_metadata, self->session, &self->before);
}

#define PAGE(n)		((n) * self->page)

#define supply_pages(first, n)						\
	ASSERT_EQ((long)(n), pg_supply(self->pager, PAGE(first),	\
				       self->data + PAGE(first), PAGE(n), 0))

/* Page n, as it was supplied. */
#define EXPECT_PAGE(n)							\
	EXPECT_EQ(0, memcmp(self->p + PAGE(n), self->data + PAGE(n), self->page))

#endif /* MBUF_SELFTESTS_PAGED_H */
