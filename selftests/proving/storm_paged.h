/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What victims of the storm do with paged regions, as clients and as pagers, and
 * the survivor that is a pager for them. A part of storm.c.
 *
 * Every word of a region is 0 or says where it is, whoever wrote it. In the
 * region that the survivor serves, each victim has a word that nobody else
 * writes to, which must stay what it is while its page comes and goes.
 */
#ifndef MBUF_SELFTESTS_STORM_PAGED_H
#define MBUF_SELFTESTS_STORM_PAGED_H

#include <sys/uio.h>

#define PG_NR		16	/* pages of a region */
#define PG_BUDGET	6	/* of the survivor's, in memory */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif

/**
 * struct memory - a paged region
 * @pager: the pager's descriptor
 * @region: a right
 * @kept: served by the survivor; others by nobody or by any victim
 */
struct memory {
	int pager;
	int region;
	bool kept;
};

static struct memory kept = { -1, -1, true }, wild = { -1, -1, false };

static size_t pg_words(void)
{
	return PG_NR * page_size() / sizeof(uint64_t);
}

static uint64_t pg_word(size_t at, uint32_t tag)
{
	return (((uint64_t)at + 1) * 0x9e3779b97f4a7c15ull & ~0xffffull) |
	       (tag & 0xffff);
}

static void pg_check(size_t at, uint64_t word)
{
	if (word && (word ^ pg_word(at, 0)) & ~0xffffull)
		wrong("word %zu of a paged region is %llx", at,
		      (unsigned long long)word);
}

/* What these calls may say besides what all may. */
static bool pager_may_fail(long ret)
{
	return channel_may_fail(ret) || ret == -EMSGSIZE || ret == -EFAULT;
}

#define PAGER_CALL(call) ({						\
	long __ret = (call);						\
									\
	atomic_fetch_add(&sh->calls, 1);				\
	if (__ret < 0 && !pager_may_fail(__ret))			\
		wrong("%s: %s", #call, strerror((int)-__ret));		\
	__ret;								\
})

/*
 * The survivor
 */
struct keeper {
	uint8_t *store, *page;
	bool there[PG_NR];
	unsigned int nr;
};

static void keeper_evict(struct keeper *k, unsigned int i)
{
	const size_t page = page_size();
	struct mbuf_evict e = {
		.offset = i * page,
		.size = page,
		.data = (uintptr_t)k->page,
	};
	int ret = (int)xioctl(kept.pager, MBUF_IOC_EVICT, &e);

	/* process_vm_readv() of a victim, say. */
	if (ret == -EBUSY)
		return;
	CHECK_EQ(0, ret);
	CHECK_EQ(1, e.evicted);
	if (e.dirty)
		memcpy(k->store + i * page, k->page, page);
	else if (memcmp(k->store + i * page, k->page, page))
		wrong("page %u was written to, and is not dirty", i);
	k->there[i] = false;
	k->nr--;
}

static void keeper_serve(struct keeper *k, struct rng *r,
			 const struct mbuf_fault *f)
{
	const size_t page = page_size();
	const unsigned int i = (unsigned int)(f->offset / page);
	unsigned int try;
	long ret;

	if (!rng_below(r, 32)) {
		ret = pg_refuse(kept.pager, f);
		CHECK(!ret || ret == -ENOENT);
		return;
	}
	if (f->access & MBUF_FAULT_PROTECTED) {
		CHECK_EQ(0, pg_protect(kept.pager, f->offset, page, 0));
		return;
	}
	for (try = 0; k->nr >= PG_BUDGET && try < 4 * PG_NR; try++) {
		unsigned int other = rng_below(r, PG_NR);

		if (k->there[other])
			keeper_evict(k, other);
	}
	if (!rng_below(r, 8))
		pg_protect(kept.pager, 0, PG_NR * page,
			   rng_below(r, 2) ? MBUF_PROTECT_UNMAP :
			   MBUF_PROTECT_UNMAP | MBUF_PROTECT_ASK);
	ret = pg_supply(kept.pager, f->offset, k->store + f->offset, page,
			rng_below(r, 4) ? 0 : MBUF_SUPPLY_PROTECT);
	CHECK_EQ(k->there[i] ? 0 : 1, ret);
	if (ret) {
		k->there[i] = true;
		k->nr++;
	}
	atomic_fetch_add(&sh->paged, 1);
}

/* Serves all, until nobody has the region any more. */
static int keeper(void *arg)
{
	struct rng r = rng_of((uintptr_t)arg, 0x9a9e);
	struct mbuf_fault f[4];
	struct keeper k = {};
	int nr, i;

	keep_only(-1, -1);
	for (i = 0; i < NR_CHANNELS; i++)
		close(ask[i]);
	close(listener);
	close(kept.region);
	close(wild.region);
	close(wild.pager);
	k.store = map_pages(PG_NR * page_size(), PROT_READ | PROT_WRITE);
	k.page = map_pages(page_size(), PROT_READ | PROT_WRITE);
	CHECK(k.store && k.page);
	while ((nr = pg_faults(kept.pager, f, 4, MBUF_FOREVER)) > 0)
		for (i = 0; i < nr; i++)
			keeper_serve(&k, &r, &f[i]);
	return nr == -EPIPE ? 0 : 1;
}

/*
 * Victims: clients
 */

/* 0, or the signal that it gave. */
static int word_get(const volatile uint64_t *w, uint64_t *value)
{
	struct jump jump;
	int sig = sigsetjmp(jump.buf, 1);

	if (!sig) {
		touch_jump = &jump;
		*value = *w;
	}
	touch_jump = NULL;
	return sig;
}

static int word_set(volatile uint64_t *w, uint64_t value)
{
	struct jump jump;
	int sig = sigsetjmp(jump.buf, 1);

	if (!sig) {
		touch_jump = &jump;
		*w = value;
	}
	touch_jump = NULL;
	return sig;
}

/**
 * struct user - who uses a paged region
 * @m: the region
 * @map: a mapping of it
 * @own: the word that only this one writes to
 * @tag: what it wrote there; 0: nothing yet
 */
struct user {
	const struct memory *m;
	uint64_t *map;
	size_t own;
	uint32_t tag;
};

/* By a call: what it could have has to be what it is. */
static void user_calls(struct user *u, struct rng *r, int zero)
{
	const size_t at = rng_below(r, (uint32_t)pg_words());
	size_t nr = 1 + rng_below(r, 1024), i;
	uint64_t room[1024];
	struct iovec to = { room, nr * 8 };
	struct iovec from = { u->map + at, nr * 8 };
	long ret;

	if (nr > pg_words() - at)
		nr = pg_words() - at;
	to.iov_len = nr * 8;
	from.iov_len = nr * 8;
	if (!u->m->kept && rng_below(r, 2)) {
		ret = sys_result(read(zero, u->map + at, nr * 8));
		if (ret < 0 && ret != -EFAULT)
			wrong("read into a region: %s", strerror((int)-ret));
		return;
	}
	ret = sys_result(process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	if (ret < 0 && ret != -EFAULT)
		wrong("process_vm_readv: %s", strerror((int)-ret));
	for (i = 0; ret > 0 && i < (size_t)ret / 8; i++)
		pg_check(at + i, room[i]);
}

/* A mapping comes and goes, moves, and is advised about. */
static void user_maps(struct user *u, struct rng *r)
{
	const size_t size = PG_NR * page_size();
	uint8_t *part = (uint8_t *)u->map + rng_below(r, PG_NR) * page_size();
	void *p;

	switch (rng_below(r, 5)) {
	case 0:
		munmap(u->map, size);
		u->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			      u->m->region, 0);
		break;
	case 1:
		p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
		if (p != MAP_FAILED)
			u->map = mremap(u->map, size, size,
					MREMAP_MAYMOVE | MREMAP_FIXED, p);
		break;
	case 2:
		madvise(part, page_size(), MADV_DONTNEED);
		break;
	case 3:
		madvise(part, page_size(), rng_below(r, 2) ?
			MADV_POPULATE_READ : MADV_POPULATE_WRITE);
		break;
	default:
		/* One more, private, which stays until it dies. */
		if (rng_below(r, 8))
			break;
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			 u->m->region, 0);
		if (p != MAP_FAILED)
			word_set(p, 1);
		break;
	}
	if (u->map == MAP_FAILED)
		_exit(2);
}

static void user_touches(struct user *u, struct rng *r)
{
	size_t at = rng_below(r, (uint32_t)pg_words());
	uint32_t tag = 1 + rng_below(r, 0xffff);
	uint64_t word = 0;
	int sig;

	switch (rng_below(r, 4)) {
	case 0:
		sig = word_get(&u->map[at], &word);
		pg_check(at, word);
		break;
	case 1:
		if (u->m->kept)
			at = u->own;
		sig = word_set(&u->map[at], pg_word(at, tag));
		if (!sig && u->m->kept)
			u->tag = tag;
		break;
	default:
		sig = word_get(&u->map[u->own], &word);
		pg_check(u->own, word);
		if (!sig && u->tag && word != pg_word(u->own, u->tag))
			wrong("word %zu was %llx, and is %llx", u->own,
			      (unsigned long long)pg_word(u->own, u->tag),
			      (unsigned long long)word);
		break;
	}
	if (sig && sig != SIGBUS)
		wrong("signal %d for a paged region", sig);
}

static void use_memory(const struct memory *m, struct rng r)
{
	uint32_t id = new_id(NR_QUEUES);
	struct party_rec *rec = &sh->rec[id];
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), children = 0;
	struct user u = { .m = m, .own = id % pg_words() };

	touch_init();
	u.map = mmap(NULL, PG_NR * page_size(), PROT_READ | PROT_WRITE,
		     MAP_SHARED, m->region, 0);
	if (u.map == MAP_FAILED || zero < 0)
		_exit(2);
	for (;;) {
		atomic_store(&rec->at, AT_FAULT);
		switch (rng_below(&r, 16)) {
		case 0:
			user_maps(&u, &r);
			break;
		case 1:
			user_calls(&u, &r, zero);
			break;
		case 2:
			/* A child has all that is mapped, and a word of its own. */
			if (children == 2 || rng_below(&r, 8))
				break;
			children++;
			if (fork())
				break;
			children = 2;
			r = rng_of(rng_next(&r), 99);
			die_at_random(&r, life_ns);
			id = new_id(NR_QUEUES);
			rec = &sh->rec[id];
			u.own = id % pg_words();
			u.tag = 0;
			break;
		default:
			user_touches(&u, &r);
			atomic_fetch_add(&sh->calls, 1);
		}
		atomic_store(&rec->at, AT_OTHER);
	}
}

static void toucher(struct rng r)
{
	use_memory(rng_below(&r, 2) ? &kept : &wild, r);
}

/*
 * Victims: pagers
 */
static void pager_serves(int pager, struct rng *r)
{
	const size_t page = page_size();
	struct mbuf_fault f[4];
	long nr, i;

	nr = PAGER_CALL(pg_faults_flags(pager, f, 1 + rng_below(r, 4),
					mbuf_deadline(rng_below(r, 1000000)),
					rng_below(r, 8) ? 0 :
					MBUF_FAULTS_AGAIN));
	for (i = 0; i < nr; i++) {
		/* Some it forgets. */
		if (!rng_below(r, 16))
			continue;
		if (!rng_below(r, 16))
			PAGER_CALL(pg_refuse(pager, &f[i]));
		else if (f[i].access & MBUF_FAULT_PROTECTED)
			PAGER_CALL(pg_protect(pager, f[i].offset, page, 0));
		else
			PAGER_CALL(pg_zero(pager, f[i].offset, page));
	}
}

/* Any of the calls, whether or not it makes sense. */
static void pager_plays(int pager, void *map, struct rng *r, uint8_t *room)
{
	const size_t page = page_size();
	const uint32_t first = rng_below(r, PG_NR);
	const size_t at = first * page;
	const size_t size = (1 + rng_below(r, PG_NR - first)) * page;
	uint8_t states[PG_NR];
	struct mbuf_fault f;

	switch (rng_below(r, 12)) {
	case 0:
		if (PAGER_CALL(pg_evict(pager, at, room, page)) == 1)
			PAGER_CALL(pg_supply(pager, at, room, page,
					     rng_below(r, 2) ?
					     MBUF_SUPPLY_PROTECT : 0));
		break;
	case 1:
		PAGER_CALL(pg_evict(pager, at, NULL, size));
		break;
	case 2:
		PAGER_CALL(pg_protect(pager, at, size, rng_below(r, 8)));
		break;
	case 3:
		PAGER_CALL(pg_pages(pager, at, size, states));
		break;
	case 4:
		PAGER_CALL(pg_zero(pager, at, size));
		break;
	case 5:
		f = (struct mbuf_fault){
			.id = rng_below(r, 1000),
			.offset = at,
		};
		PAGER_CALL(pg_refuse(pager, &f));
		break;
	case 6:
		/* Of its own pages, for which it may have to wait for itself. */
		if (map && !rng_below(r, 8))
			PAGER_CALL(pg_supply(pager, at, (uint8_t *)map + at,
					     page, 0));
		break;
	case 7:
		if (map && !rng_below(r, 8))
			PAGER_CALL(pg_evict(pager, at, (uint8_t *)map + at,
					    page));
		break;
	default:
		pager_serves(pager, r);
	}
}

/* One of several pagers of a region that others use. */
static void wild_pager(struct rng r)
{
	struct party_rec *rec = &sh->rec[new_id(NR_QUEUES)];
	const size_t size = PG_NR * page_size();
	uint8_t *room = map_pages(size, PROT_READ | PROT_WRITE);
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 wild.region, 0);

	if (!room || map == MAP_FAILED)
		_exit(2);
	touch_init();
	atomic_store(&rec->at, AT_PAGER);
	for (;;)
		pager_plays(wild.pager, map, &r, room);
}

/* Regions of its own, with clients that it makes. */
static void pager_owner(struct rng r)
{
	struct party_rec *rec = &sh->rec[new_id(NR_QUEUES)];
	uint8_t *room = map_pages(page_size(), PROT_READ | PROT_WRITE);
	struct memory m = { -1, -1, false };
	int session = -1, children = 0;

	if (!room)
		_exit(2);
	touch_init();
	for (;;) {
		atomic_store(&rec->at, AT_CREATE);
		if (session < 0)
			session = (int)CALL(mbuf_open());
		if (m.pager < 0 &&
		    CALL(pg_create(session, PG_NR * page_size(), &m.pager,
				   &m.region, NULL)))
			continue;
		if (children < 4 && m.region >= 0 && !rng_below(&r, 4)) {
			children++;
			if (!fork()) {
				close(m.pager);
				r = rng_of(rng_next(&r), 55);
				die_at_random(&r, life_ns);
				use_memory(&m, r);
			}
		}
		atomic_store(&rec->at, AT_PAGER);
		pager_plays(m.pager, NULL, &r, room);
		atomic_store(&rec->at, AT_CLOSE);
		switch (rng_below(&r, 64)) {
		case 0:
			close_fd(&m.pager);
			close_fd(&m.region);
			break;
		case 1:
			close_fd(&m.region);
			break;
		case 2:
			close_fd(&session);
			break;
		}
	}
}

/*
 * Checks
 */
static bool memory_idle(const struct memory *m)
{
	struct mbuf_paged_info info = pg_info(m->pager);

	return !info.waiting && info.clients == 1 && info.resident <= PG_NR;
}

static bool paged_back(void)
{
	return memory_idle(&kept) && memory_idle(&wild);
}

/* How many wait for a pager. */
static uint64_t paged_blocked(void)
{
	return pg_info(kept.pager).waiting + pg_info(wild.pager).waiting;
}

/* What the dead have left can be taken out, all of it, and is whole. */
static void paged_work(void)
{
	const size_t size = PG_NR * page_size();
	uint64_t *room = map_pages(size, PROT_READ | PROT_WRITE);
	long ret = pg_zero(wild.pager, 0, size);
	size_t i;

	if (!room || ret < 0)
		wrong("the region of the dead: %s", strerror((int)-ret));
	ret = pg_evict(wild.pager, 0, room, size);
	if (ret != PG_NR)
		wrong("%ld pages were evicted", ret);
	for (i = 0; room && i < pg_words(); i++)
		pg_check(i, room[i]);
	munmap(room, size);
}

#endif /* MBUF_SELFTESTS_STORM_PAGED_H */
