// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever can fail in calls on paged regions does; see failnth.h. A pager must
 * never lose a page to a call that says that it has failed.
 */
#include "../paged.h"
#include "failnth.h"

#define PAGES	3

enum paged_way {
	WAY_PAGED_CREATE, WAY_SUPPLY, WAY_SUPPLY_ZERO, WAY_EVICT, WAY_PROTECT,
	WAY_PAGES, WAY_PAGED_INFO, WAY_FAULTS, WAY_REFUSE, WAY_MAP, NR_PAGED_WAYS
};

static const struct {
	const char *name;
	unsigned int slab, fault;
	bool pages;
} ways[NR_PAGED_WAYS] = {
	[WAY_PAGED_CREATE] = { "PAGED_CREATE", 5, 2, false },
	[WAY_SUPPLY] = { "SUPPLY", 0, 3, true },
	[WAY_SUPPLY_ZERO] = { "SUPPLY, zeroes", 0, 2, true },
	[WAY_EVICT] = { "EVICT", 0, 3, false },
	[WAY_PROTECT] = { "PROTECT", 0, 2, false },
	[WAY_PAGES] = { "PAGES", 0, 2, false },
	[WAY_PAGED_INFO] = { "PAGED_INFO", 0, 2, false },
	[WAY_FAULTS] = { "FAULTS", 0, 2, false },
	[WAY_REFUSE] = { "REFUSE", 0, 1, false },
	[WAY_MAP] = { "mmap of a paged region", 2, 0, false },
};

static int pager = -1, region = -1;
static uint8_t *map, *other;
static struct toucher toucher;
static bool touching;

static union {
	struct mbuf_paged_create create;
	struct mbuf_supply supply;
	struct mbuf_evict evict;
	struct mbuf_protect protect;
	struct mbuf_pages pages;
	struct mbuf_paged_info info;
	struct mbuf_faults faults;
	struct mbuf_refuse refuse;
} a;
static struct mbuf_fault fault;
static uint8_t states[PAGES];

static void touch(struct scene *s)
{
	if (!toucher_start(&toucher, map, -1) ||
	    !EVENTUALLY(pg_info(pager).waiting == 1))
		SCENE_FAIL(s, "nobody waits");
	touching = true;
}

static void prepare_paged(struct scene *s, const struct action *op)
{
	const size_t size = PAGES * page_size();

	memset(&a, 0, sizeof(a));
	memset(states, POISON, sizeof(states));
	fill_pattern(s->in, size, ++s->seed);
	poison(s->out, size);
	switch (op->way) {
	case WAY_PAGED_CREATE:
		a.create.size = size;
		a.create.pager.fd = -1;
		a.create.region.fd = -1;
		break;
	case WAY_SUPPLY_ZERO:
		a.supply.flags = MBUF_SUPPLY_ZERO;
		a.supply.size = page_size();
		break;
	case WAY_SUPPLY:
		a.supply.data = (uintptr_t)s->in;
		a.supply.size = page_size();
		break;
	case WAY_EVICT:
		a.evict.size = page_size();
		a.evict.data = (uintptr_t)s->out;
		a.evict.states = (uintptr_t)states;
		break;
	case WAY_PROTECT:
		a.protect.size = size;
		a.protect.flags = MBUF_PROTECT_CLEAN | MBUF_PROTECT_ASK;
		break;
	case WAY_PAGES:
		a.pages.size = size;
		a.pages.states = (uintptr_t)states;
		break;
	case WAY_FAULTS:
		a.faults.faults = (uintptr_t)&fault;
		a.faults.nr = 1;
		a.faults.stride = sizeof(fault);
		memset(&fault, 0, sizeof(fault));
		touch(s);
		break;
	case WAY_REFUSE:
		touch(s);
		if (pg_fault(pager, &fault) != 1)
			SCENE_FAIL(s, "no message");
		a.refuse.id = fault.id;
		a.refuse.offset = fault.offset;
		break;
	}
	if (op->way == WAY_EVICT || op->way == WAY_PROTECT ||
	    op->way == WAY_PAGES) {
		if (pg_supply(pager, 0, s->in, size, 0) != PAGES)
			SCENE_FAIL(s, "SUPPLY fails");
		/* Mapped, and written to. */
		map[1] = s->in[1];
	}
}

static long call_paged(struct scene *s, const struct action *op)
{
	switch (op->way) {
	case WAY_PAGED_CREATE:
		return xioctl(s->session, MBUF_IOC_PAGED_CREATE, &a.create);
	case WAY_SUPPLY:
	case WAY_SUPPLY_ZERO:
		return xioctl(pager, MBUF_IOC_SUPPLY, &a.supply);
	case WAY_EVICT:
		return xioctl(pager, MBUF_IOC_EVICT, &a.evict);
	case WAY_PROTECT:
		return xioctl(pager, MBUF_IOC_PROTECT, &a.protect);
	case WAY_PAGES:
		return xioctl(pager, MBUF_IOC_PAGES, &a.pages);
	case WAY_PAGED_INFO:
		return xioctl(pager, MBUF_IOC_PAGED_INFO, &a.info);
	case WAY_FAULTS:
		return xioctl(pager, MBUF_IOC_FAULTS, &a.faults);
	case WAY_REFUSE:
		return xioctl(pager, MBUF_IOC_REFUSE, &a.refuse);
	default:
		other = mmap(NULL, PAGES * page_size(), PROT_READ, MAP_SHARED,
			     region, 0);
		return other == MAP_FAILED ? -errno : 0;
	}
}

/* Of a call that has succeeded: has it done what it has to do? */
static bool paged_right(struct scene *s, const struct action *op)
{
	switch (op->way) {
	case WAY_PAGED_CREATE:
		return pg_zero(a.create.pager.fd, 0, page_size()) == 1;
	case WAY_SUPPLY:
		return a.supply.done == page_size() &&
		       a.supply.supplied == 1 &&
		       !memcmp(map, s->in, page_size());
	case WAY_SUPPLY_ZERO:
		return a.supply.supplied == 1 && !map[0];
	case WAY_EVICT:
		return a.evict.done == page_size() && a.evict.evicted == 1 &&
		       a.evict.dirty == 1 &&
		       states[0] == (MBUF_PAGE_EVICTED | MBUF_PAGE_DIRTY) &&
		       !memcmp(s->out, s->in, page_size());
	case WAY_PROTECT:
		return pg_state(pager, 0) ==
		       (MBUF_PAGE_RESIDENT | MBUF_PAGE_PROTECTED);
	case WAY_PAGES:
		return states[0] & MBUF_PAGE_DIRTY &&
		       states[2] & MBUF_PAGE_RESIDENT;
	case WAY_PAGED_INFO:
		return a.info.size == PAGES * page_size();
	case WAY_FAULTS:
		return fault.id && fault.tid == toucher.tid;
	default:
		return true;
	}
}

/* And of one that has failed: is all as it was? */
static bool paged_still(struct scene *s, const struct action *op)
{
	switch (op->way) {
	case WAY_SUPPLY:
	case WAY_SUPPLY_ZERO:
		return pg_state(pager, 0) == 0;
	case WAY_EVICT:
		return pg_state(pager, 0) ==
		       (MBUF_PAGE_RESIDENT | MBUF_PAGE_DIRTY) &&
		       !memcmp(map, s->in, page_size());
	case WAY_FAULTS:
		return poll_now(pager, POLLIN) == POLLIN;
	case WAY_REFUSE:
		return pg_info(pager).waiting == 1;
	default:
		return true;
	}
}

static bool settle_paged(struct scene *s, const struct action *op, long ret)
{
	bool fine = true;

	if (ret >= 0)
		fine = paged_right(s, op);
	else if (ret != -ECANCELED)
		fine = paged_still(s, op);
	if (!fine)
		SCENE_FAIL(s, "%s gives %ld, and that is not so", op->name,
			   ret);
	if (op->way == WAY_PAGED_CREATE) {
		if (ret >= 0) {
			close(a.create.pager.fd);
			close(a.create.region.fd);
		}
		return fine;
	}
	if (op->way == WAY_MAP) {
		if (ret >= 0)
			munmap(other, PAGES * page_size());
		return fine;
	}
	if (touching) {
		int want = op->way == WAY_REFUSE && ret >= 0 ? -SIGBUS : 0;

		if (!want && pg_zero(pager, 0, page_size()) != 1)
			SCENE_FAIL(s, "SUPPLY fails");
		if (toucher_join(&toucher) != want) {
			SCENE_FAIL(s, "who waited got %d", toucher.ret);
			fine = false;
		}
		touching = false;
	}
	if (pg_evict(pager, 0, NULL, PAGES * page_size()) < 0 ||
	    pg_info(pager).resident) {
		SCENE_FAIL(s, "pages cannot be evicted");
		fine = false;
	}
	return fine;
}

TEST_F_TIMEOUT(failnth, paged, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.prepare = prepare_paged,
		.call = call_paged,
		.settle = settle_paged,
	};
	struct mbuf_query q = {};

	NEED_INJECTION();
	mbuf_query(s->session, &q);
	if (!(q.features & MBUF_FEATURE_PAGED))
		SKIP(return, "this module has no such objects");
	touch_init();
	ASSERT_EQ(0, pg_create(s->session, PAGES * page_size(), &pager,
			       &region, NULL));
	map = mmap(NULL, PAGES * page_size(), PROT_READ | PROT_WRITE,
		   MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, map);
	for (op.way = 0; op.way < NR_PAGED_WAYS; op.way++) {
		snprintf(op.name, sizeof(op.name), "%s", ways[op.way].name);
		op.need_slab = ways[op.way].slab;
		op.need_fault = ways[op.way].fault;
		op.need_pages = ways[op.way].pages;
		drive(s, &op);
	}
	munmap(map, PAGES * page_size());
	close_fd(&region);
	close_fd(&pager);
}

TEST_HARNESS_MAIN
