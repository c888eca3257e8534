// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making up programs, and changing them at random. All chance comes from one
 * generator, so that a seed gives the same programs as long as the same ones
 * turn out to be worth keeping.
 */
#include <string.h>
#include "fuzz.h"

/* Whether calls may be told to fail. */
bool gen_faults;

uint64_t rng_next(struct rng *r)
{
	/* splitmix64 */
	uint64_t x = r->s += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return n ? (rng_next(r) >> 32) % n : 0;
}

bool rng_percent(struct rng *r, unsigned int percent)
{
	return rng_below(r, 100) < percent;
}

/* Values ------------------------------------------------------------------ */

static const uint64_t ptr_arena[] = {
	0, 0, 8, 64, PAGE, 2 * PAGE, 8 * PAGE, 64 * PAGE,
	/* across a page, unaligned */
	PAGE - 8, PAGE - 1, 3, 2 * PAGE - 40,
	/* into and inside what cannot be written, or is not there */
	ARENA_RO - 8, ARENA_RO - 32, ARENA_RO, ARENA_RO + 64,
	ARENA_NONE - 8, ARENA_NONE, ARENA_HOLE - 8, ARENA_HOLE,
	ARENA_SPARE - 8, ARENA_SPARE, ARENA_SPARE, ARENA_SPARE + PAGE,
	ARENA_SPARE + PAGE - 16, ARENA_BIG, ARENA_BIG,
};

static const uint64_t ptr_other[] = {
	0, 1, 0x7fffffffe000, 0x7ffffffff000, 0x8000000000000000,
	0xffff888000000000, 0xffffffffffffffff, 0x100000000,
};

static void ptr_value(struct rng *r, struct value *v)
{
	v->kind = V_ARENA;
	if (rng_percent(r, 5)) {
		v->kind = V_NUM;
		v->n = ptr_other[rng_below(r, NELEMS(ptr_other))];
	} else if (rng_percent(r, 40)) {
		/* A page that is there soon: some things are only tried then. */
		v->n = rng_below(r, 4) * PAGE + rng_below(r, 64) * 8;
	} else if (rng_percent(r, 60)) {
		/* Some memory, untouched or not. */
		v->n = rng_below(r, 128) * PAGE + rng_below(r, 8) * 8;
	} else {
		v->n = ptr_arena[rng_below(r, NELEMS(ptr_arena))];
	}
}

static const uint64_t time_soon[] = { 0, 1, 50, 500, 1000, 3000, 8000, 20000 };
static const uint64_t time_other[] = {
	0, 1, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
};

static void time_value(struct rng *r, struct value *v)
{
	if (rng_percent(r, 90)) {
		v->kind = V_SOON;
		v->n = time_soon[rng_below(r, NELEMS(time_soon))];
	} else {
		v->kind = V_NUM;
		v->n = time_other[rng_below(r, NELEMS(time_other))];
	}
}

static uint64_t odd_number(struct rng *r)
{
	uint64_t n = 1ULL << rng_below(r, 64);

	switch (rng_below(r, 4)) {
	case 0:
		return n;
	case 1:
		return n - 1;
	case 2:
		return -n;
	default:
		return rng_next(r) >> rng_below(r, 64);
	}
}

static void number_value(struct rng *r, const struct arg_spec *s,
			 struct value *v)
{
	v->kind = V_NUM;
	if (s->nr_vals && rng_percent(r, s->max ? 70 : 97))
		v->n = s->vals[rng_below(r, s->nr_vals)];
	else if (s->max && rng_percent(r, 97))
		v->n = rng_next(r) % (s->max + 1);
	else
		v->n = odd_number(r);
}

static void flags_value(struct rng *r, const struct arg_spec *s,
			struct value *v)
{
	v->kind = V_NUM;
	v->n = 0;
	if (s->max && rng_percent(r, 30)) {
		v->n = rng_next(r) & s->max;
		return;
	}
	do {
		v->n |= s->vals[rng_below(r, s->nr_vals)];
	} while (rng_percent(r, 35));
	if (rng_percent(r, 2))
		v->n ^= 1ULL << rng_below(r, 32);
}

/* The process that a worker is, or is a thread of. */
static unsigned int process_of(const struct program *p, unsigned int worker)
{
	while (is_thread(p, worker))
		worker--;
	return worker;
}

/*
 * What is in each slot of @worker before call @upto, as far as can be foretold
 * if calls are made in order.
 */
static void slots_foretell(const struct program *p, unsigned int upto,
			   unsigned int worker, unsigned int kind[NR_SLOTS])
{
	unsigned int i, j, process = 0;
	uint64_t drop = 0;
	bool early = true;

	if (worker != SETUP) {
		process = process_of(p, worker);
		drop = p->worker[process].arg[WORKER_DROP].n;
	}
	memset(kind, 0, NR_SLOTS * sizeof(*kind));
	for (i = 0; i <= upto; i++) {
		const struct call *call = &p->call[i];
		const struct op *op;

		/* Behind the set-up processes part. */
		if (early && (i == upto || call->worker != SETUP)) {
			early = false;
			for (j = 0; j < NR_SLOTS; j++)
				if (drop & 1ULL << j)
					kind[j] = 0;
		}
		if (i == upto)
			break;
		if (call->worker != SETUP &&
		    (worker == SETUP || process_of(p, call->worker) != process))
			continue;
		op = op_get(call->op);
		if (!strcmp(op->name, "close"))
			kind[call->arg[0].n % NR_SLOTS] = 0;
		for (j = 0; j < op->nr_args; j++) {
			const struct arg_spec *s = &op->args[j];

			if (s->type != A_OUT)
				continue;
			kind[call->arg[j].n % NR_SLOTS] = s->kinds == K_SAME ?
				kind[call->arg[0].n % NR_SLOTS] : s->kinds;
		}
	}
}

static void fd_value(struct rng *r, const struct arg_spec *s, struct value *v,
		     const unsigned int kind[NR_SLOTS])
{
	unsigned int fits[NR_SLOTS], nr = 0, i;
	bool any = rng_percent(r, 7);

	for (i = 0; i < NR_SLOTS; i++)
		if (any ? kind[i] : kind[i] & s->kinds)
			fits[nr++] = i;
	v->kind = V_NUM;
	if (nr && !rng_percent(r, 2))
		v->n = fits[rng_below(r, nr)];
	else
		v->n = rng_below(r, NR_SLOTS);
}

static void out_value(struct rng *r, struct value *v,
		      const unsigned int kind[NR_SLOTS])
{
	unsigned int i;

	/* A free one usually, for else what is there is closed. */
	v->kind = V_NUM;
	for (i = 0; i < NR_SLOTS; i++) {
		if (!kind[i] && !rng_percent(r, 8)) {
			v->n = i;
			return;
		}
	}
	v->n = rng_below(r, NR_SLOTS);
}

static void value_draw(struct rng *r, const struct program *p,
		       const struct arg_spec *s, struct value *v,
		       unsigned int kind[NR_SLOTS], bool usual)
{
	if (usual && s->rare && !rng_percent(r, s->rare)) {
		*v = s->def;
		return;
	}
	switch (s->type) {
	case A_FD:
		fd_value(r, s, v, kind);
		break;
	case A_OUT:
		out_value(r, v, kind);
		/* Two results of one call do not belong into one slot. */
		kind[v->n] = s->kinds;
		break;
	case A_PTR:
		ptr_value(r, v);
		break;
	case A_TIME:
		time_value(r, v);
		break;
	case A_FLAGS:
		flags_value(r, s, v);
		break;
	case A_WORKER:
		v->kind = V_NUM;
		v->n = rng_below(r, p->nr_workers);
		break;
	case A_NAME:
	case A_NUM:
		number_value(r, s, v);
		break;
	}
}

static int arg_named(const struct op *op, const char *name)
{
	unsigned int i;

	for (i = 0; i < op->nr_args; i++)
		if (!strcmp(op->args[i].name, name))
			return i;
	return -1;
}

/* A deadline goes with one mode, and no other. */
static void wait_fix(struct rng *r, const struct op *op, struct call *call)
{
	struct value *mode = &call->arg[arg_named(op, "mode")];
	struct value *at = &call->arg[arg_named(op, "time")];

	if (rng_percent(r, 3))
		return;
	if (mode->n == 2)
		time_value(r, at);
	else
		*at = (struct value){ V_NUM, 0 };
}

/* Calls ------------------------------------------------------------------- */

/* One that has any of these flags, or just any if there are none. */
static unsigned int op_draw(struct rng *r, unsigned int flags)
{
	unsigned int i, total = 0, at;

	for (i = 0; i < op_count(); i++)
		if (!flags || op_get(i)->flags & flags)
			total += op_get(i)->weight;
	at = rng_below(r, total);
	for (i = 0; i < op_count(); i++) {
		const struct op *op = op_get(i);

		if (flags && !(op->flags & flags))
			continue;
		if (at < op->weight)
			return i;
		at -= op->weight;
	}
	return 0;
}

static void call_draw(struct rng *r, const struct program *p,
		      struct call *call, unsigned int op_nr,
		      unsigned int worker, unsigned int kind[NR_SLOTS])
{
	const struct op *op = op_get(op_nr);
	unsigned int i;

	memset(call, 0, sizeof(*call));
	call->op = op_nr;
	call->worker = worker;
	for (i = 0; i < op->nr_args; i++)
		value_draw(r, p, &op->args[i], &call->arg[i], kind, true);
	if (op->flags & OP_TIMED)
		wait_fix(r, op, call);
	if (gen_faults && rng_percent(r, 4))
		call->fail = 1 + rng_below(r, 12);
}

/* Is there a descriptor for each that a call wants? */
static bool op_fits(const struct op *op, const unsigned int kind[NR_SLOTS])
{
	unsigned int i, j;

	for (i = 0; i < op->nr_args; i++) {
		if (op->args[i].type != A_FD)
			continue;
		for (j = 0; j < NR_SLOTS; j++)
			if (kind[j] & op->args[i].kinds)
				break;
		if (j == NR_SLOTS)
			return false;
	}
	return true;
}

/* Puts a new call before call @at. */
static void call_insert(struct rng *r, struct program *p, unsigned int at,
			bool setup, int op_nr)
{
	unsigned int kind[NR_SLOTS], worker = SETUP, tries;
	struct call call;

	if (p->nr == MAX_CALLS)
		return;
	if (!setup)
		worker = rng_below(r, p->nr_workers);
	slots_foretell(p, at, worker, kind);
	for (tries = 5; op_nr < 0; tries--) {
		unsigned int nr = op_draw(r, setup ? OP_SETUP : 0);

		/* Calls that have nothing to work on are dull. */
		if (!tries || op_fits(op_get(nr), kind))
			op_nr = nr;
	}
	call_draw(r, p, &call, op_nr, worker, kind);
	memmove(&p->call[at + 1], &p->call[at],
		(p->nr - at) * sizeof(*p->call));
	p->call[at] = call;
	p->nr++;
}

void prog_drop_call(struct program *p, unsigned int i)
{
	p->nr--;
	memmove(&p->call[i], &p->call[i + 1], (p->nr - i) * sizeof(*p->call));
}

/* Drops a worker and its calls. */
void prog_drop_worker(struct program *p, unsigned int w)
{
	unsigned int i;

	for (i = p->nr; i--; ) {
		if (p->call[i].worker == w)
			prog_drop_call(p, i);
		else if (p->call[i].worker != SETUP && p->call[i].worker > w)
			p->call[i].worker--;
	}
	p->nr_workers--;
	memmove(&p->worker[w], &p->worker[w + 1],
		(p->nr_workers - w) * sizeof(*p->worker));
	prog_fix(p);
}

static unsigned int nr_setup(const struct program *p)
{
	unsigned int n = 0;

	while (n < p->nr && p->call[n].worker == SETUP)
		n++;
	return n;
}

static void line_draw(struct rng *r, const struct program *p,
		      const struct op *op, struct call *line)
{
	unsigned int kind[NR_SLOTS] = { 0 }, i;

	memset(line, 0, sizeof(*line));
	for (i = 0; i < op->nr_args; i++)
		value_draw(r, p, &op->args[i], &line->arg[i], kind, true);
}

/* Who may only send, or only receive, makes the other right end early. */
static void roles_draw(struct rng *r, struct program *p)
{
	unsigned int kind[NR_SLOTS], i, j;

	slots_foretell(p, p->nr, SETUP, kind);
	for (i = 0; i < p->nr_workers; i++) {
		unsigned int role = rng_below(r, 4), side = role;
		uint64_t *drop = &p->worker[i].arg[WORKER_DROP].n;

		for (j = 0; role < 2 && j < NR_SLOTS; j++)
			if (kind[j] == (role ? K_RECV : K_SEND) ||
			    /* of two endpoints, one */
			    (kind[j] == K_END && side++ % 2))
				*drop |= 1ULL << j;
	}
}

void prog_generate(struct rng *r, struct program *p)
{
	int open = op_find("session_open");
	unsigned int i, n;

	memset(p, 0, sizeof(*p));
	line_draw(r, p, &head_op, &p->head);
	p->nr_workers = 1 + rng_below(r, MAX_WORKERS);
	if (p->nr_workers == 1 && rng_percent(r, 50))
		p->nr_workers = 2;
	for (i = 0; i < p->nr_workers; i++)
		line_draw(r, p, &worker_op, &p->worker[i]);
	call_insert(r, p, 0, true, open);
	for (n = 1 + rng_percent(r, 30); n--; )
		call_insert(r, p, p->nr, true, op_draw(r, OP_MAKES));
	while (rng_percent(r, 25))
		call_insert(r, p, p->nr, true, -1);
	roles_draw(r, p);
	for (n = 3 + rng_below(r, 20); n--; )
		call_insert(r, p, p->nr, false, -1);
	prog_fix(p);
}

/* Changes --------------------------------------------------------------- */

static void arg_change(struct rng *r, struct program *p, unsigned int at)
{
	struct call *call = &p->call[at];
	const struct op *op = op_get(call->op);
	unsigned int kind[NR_SLOTS], i;
	struct value *v;

	if (!op->nr_args)
		return;
	i = rng_below(r, op->nr_args);
	v = &call->arg[i];
	/* Arguments that matter in rare cases only matter less. */
	if (op->args[i].rare && rng_percent(r, 60))
		v = &call->arg[i = rng_below(r, op->nr_args)];
	if (v->kind == V_NUM && op->args[i].type == A_NUM &&
	    rng_percent(r, 25)) {
		switch (rng_below(r, 4)) {
		case 0:
			v->n++;
			break;
		case 1:
			v->n--;
			break;
		case 2:
			v->n ^= 1ULL << rng_below(r, 32);
			break;
		default:
			v->n *= 2;
			break;
		}
		return;
	}
	slots_foretell(p, at, call->worker, kind);
	value_draw(r, p, &op->args[i], v, kind, rng_percent(r, 30));
	if (op->flags & OP_TIMED && rng_percent(r, 80))
		wait_fix(r, op, call);
}

/* Goes on with a part of another program. */
static void splice(struct rng *r, struct program *p,
		   const struct program *other)
{
	unsigned int cut, from, i;

	if (!other || !p->nr || !other->nr)
		return;
	cut = 1 + rng_below(r, p->nr);
	from = rng_below(r, other->nr);
	if (rng_percent(r, 50))
		p->nr = cut;
	for (i = from; i < other->nr && p->nr < MAX_CALLS; i++) {
		struct call *call = &p->call[p->nr++];

		*call = other->call[i];
		if (call->worker != SETUP)
			call->worker %= p->nr_workers;
	}
}

static void mutate_once(struct rng *r, struct program *p,
			const struct program *other)
{
	unsigned int dice = rng_below(r, 100), setup, at;
	struct call tmp;

	prog_fix(p);
	setup = nr_setup(p);
	at = rng_below(r, p->nr);
	if (dice < 30 || !p->nr) {
		bool early = rng_percent(r, 12);

		at = early ? setup : setup + rng_below(r, p->nr - setup + 1);
		call_insert(r, p, at, early, -1);
	} else if (dice < 42) {
		prog_drop_call(p, at);
	} else if (dice < 72) {
		arg_change(r, p, at);
	} else if (dice < 78) {
		if (p->nr < MAX_CALLS)
			p->call[p->nr++] = p->call[at];
	} else if (dice < 83) {
		unsigned int with = rng_below(r, p->nr);

		tmp = p->call[at];
		p->call[at] = p->call[with];
		p->call[with] = tmp;
	} else if (dice < 88) {
		if (p->call[at].worker != SETUP)
			p->call[at].worker = rng_below(r, p->nr_workers);
	} else if (dice < 92) {
		splice(r, p, other);
	} else if (dice < 94) {
		line_draw(r, p, &head_op, &p->head);
	} else if (dice < 96) {
		line_draw(r, p, &worker_op,
			  &p->worker[rng_below(r, p->nr_workers)]);
	} else if (dice < 97) {
		if (p->nr_workers < MAX_WORKERS)
			line_draw(r, p, &worker_op,
				  &p->worker[p->nr_workers++]);
	} else if (dice < 98) {
		if (p->nr_workers > 1)
			prog_drop_worker(p, rng_below(r, p->nr_workers));
	} else if (gen_faults) {
		if (p->call[at].fail)
			p->call[at].fail++;
		else
			p->call[at].fail = 1 + rng_below(r, 12);
	}
}

void prog_mutate(struct rng *r, struct program *p, const struct program *other)
{
	unsigned int n = 1;

	while (n < 8 && rng_percent(r, 50))
		n++;
	while (n--)
		mutate_once(r, p, other);
	prog_fix(p);
}
