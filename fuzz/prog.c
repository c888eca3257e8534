// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Programs as text, for people and for the corpus, and as a line of base32,
 * for the log: what is about to be run has to be on its way out of the guest
 * before it may crash it, so it has to be short.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"

static const struct op *const tables[] = {
	mbuf_ops, channel_ops, file_ops, event_ops, task_ops,
	driver_ops, cap_ops, netlink_ops
};

unsigned int op_count(void)
{
	static unsigned int count;
	unsigned int i;

	if (!count) {
		for (i = 0; i < NELEMS(tables); i++) {
			const struct op *op;

			for (op = tables[i]; op->name; op++)
				count++;
		}
	}
	return count;
}

const struct op *op_get(unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < NELEMS(tables); i++) {
		const struct op *op;

		for (op = tables[i]; op->name; op++)
			if (!nr--)
				return op;
	}
	return NULL;
}

int op_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < op_count(); i++)
		if (!strcmp(op_get(i)->name, name))
			return i;
	return -1;
}

/* The first line of a program, and that of a worker, look like calls. */

static const char *const order_names[] = { "turns", "free", NULL };
static const char *const user_names[] = {
	"nobody", "root", "userns", "userns2", NULL
};

static const char *const limits_names[] = { "normal", "low", NULL };
static const char *const clock_names[] = { "host", "ahead", "behind", NULL };
static const char *const kind_names[] = { "process", "thread", NULL };

static const uint64_t repeat_vals[] = { 2, 4, 10, 30 };

static const struct arg_spec head_args[] = {
	/* turns: calls are made in the order of the text; free: all at once */
	[HEAD_ORDER] = { .name = "order", .type = A_NAME, .names = order_names,
			 .max = 1, .rare = 30 },
	[HEAD_USER] = { .name = "user", .type = A_NAME, .names = user_names,
			.max = 3, .rare = 30 },
	[HEAD_LIMITS] = { .name = "limits", .type = A_NAME,
			  .names = limits_names, .max = 1, .rare = 15 },
	[HEAD_CLOCK] = { .name = "clock", .type = A_NAME, .names = clock_names,
			 .max = 2, .rare = 8 },
	/* order=free: how often each worker makes all its calls */
	[HEAD_REPEAT] = { .name = "repeat", .type = A_NUM, .def = { V_NUM, 1 },
			  VALS(repeat_vals), .rare = 40 },
};

static const uint64_t drop_vals[] = { 0, 2, 4, 8, 16, 32, 64 };

static const struct arg_spec worker_args[] = {
	/* a thread is one of the last process before it */
	[WORKER_KIND] = { .name = "kind", .type = A_NAME, .names = kind_names,
			  .max = 1, .rare = 35 },
	/* slots of the set-up that a process closes first of all */
	[WORKER_DROP] = { .name = "drop", .type = A_FLAGS, VALS(drop_vals),
			  .rare = 50 },
};

const struct op head_op = {
	.name = "program", .nr_args = NELEMS(head_args), .args = head_args,
};

const struct op worker_op = {
	.name = "worker", .nr_args = NELEMS(worker_args), .args = worker_args,
};

/* Text -------------------------------------------------------------------- */

static bool is_default(const struct arg_spec *s, const struct value *v)
{
	if (s->type == A_FD || s->type == A_OUT || s->type == A_WORKER)
		return false;
	return v->kind == s->def.kind && v->n == s->def.n;
}

static unsigned int names_count(const struct arg_spec *s)
{
	unsigned int n = 0;

	while (s->names && s->names[n])
		n++;
	return n;
}

static void value_print(FILE *f, const struct arg_spec *s,
			const struct value *v)
{
	unsigned long long n = v->n;

	fprintf(f, " %s=", s->name);
	if (v->kind == V_ARENA)
		fprintf(f, "@0x%llx", n);
	else if (v->kind == V_SOON)
		fprintf(f, "+%llu", n);
	else if (s->type == A_FD || s->type == A_OUT)
		fprintf(f, "r%llu", n);
	else if (s->type == A_NAME && n < names_count(s))
		fputs(s->names[n], f);
	else if (s->type == A_FLAGS || n > 65536)
		fprintf(f, "0x%llx", n);
	else
		fprintf(f, "%llu", n);
}

static void args_print(FILE *f, const struct op *op, const struct call *call)
{
	unsigned int i;

	for (i = 0; i < op->nr_args; i++)
		/* What is usually given is told even if it is 0. */
		if (!op->args[i].rare ||
		    !is_default(&op->args[i], &call->arg[i]))
			value_print(f, &op->args[i], &call->arg[i]);
}

void call_print(FILE *f, const struct call *call)
{
	const struct op *op = op_get(call->op);

	if (call->worker == SETUP)
		fprintf(f, "setup %s", op->name);
	else
		fprintf(f, "%u %s", call->worker, op->name);
	args_print(f, op, call);
	if (call->fail)
		fprintf(f, " fail=%u", call->fail);
	fputc('\n', f);
}

void prog_print(FILE *f, const struct program *p)
{
	unsigned int i;

	fputs(head_op.name, f);
	args_print(f, &head_op, &p->head);
	fputc('\n', f);
	for (i = 0; i < p->nr_workers; i++) {
		fprintf(f, "%s %u", worker_op.name, i);
		args_print(f, &worker_op, &p->worker[i]);
		fputc('\n', f);
	}
	for (i = 0; i < p->nr; i++)
		call_print(f, &p->call[i]);
}

static void args_default(const struct op *op, struct call *call)
{
	unsigned int i;

	for (i = 0; i < op->nr_args; i++)
		call->arg[i] = op->args[i].def;
}

static bool number_read(const char *text, uint64_t *n)
{
	char *end;

	*n = strtoull(text, &end, 0);
	return end != text && !*end;
}

static bool value_read(const struct arg_spec *s, const char *text,
		       struct value *v)
{
	unsigned int i;

	v->kind = V_NUM;
	if (*text == '@') {
		v->kind = V_ARENA;
		return number_read(text + 1, &v->n);
	}
	if (*text == '+') {
		v->kind = V_SOON;
		return number_read(text + 1, &v->n);
	}
	if (*text == 'r' && (s->type == A_FD || s->type == A_OUT))
		return number_read(text + 1, &v->n);
	for (i = 0; s->names && s->names[i]; i++) {
		if (!strcmp(s->names[i], text)) {
			v->n = i;
			return true;
		}
	}
	return number_read(text, &v->n);
}

/* The rest of a line: NAME=VALUE... False if one is not known. */
static bool args_read(const struct op *op, struct call *call, char **save,
		      const char **what)
{
	char *word;
	unsigned int i;

	args_default(op, call);
	while ((word = strtok_r(NULL, " \t\n", save))) {
		char *value = strchr(word, '=');

		*what = word;
		if (!value)
			return false;
		*value++ = 0;
		if (!strcmp(word, "fail")) {
			uint64_t n;

			if (!number_read(value, &n) || n > 255)
				return false;
			call->fail = n;
			continue;
		}
		for (i = 0; i < op->nr_args; i++)
			if (!strcmp(word, op->args[i].name))
				break;
		if (i == op->nr_args ||
		    !value_read(&op->args[i], value, &call->arg[i]))
			return false;
	}
	return true;
}

/**
 * prog_read() - read the next program from a file
 * @f: the file; it may have several, and comments from # on
 * @p: result
 * @why: what is wrong
 * @len: room for that
 *
 * Return: 1, 0 at the end of the file, -1 with an error.
 */
int prog_read(FILE *f, struct program *p, char *why, size_t len)
{
	char line[4096], copy[4096];
	bool begun = false;
	long at = ftell(f);

	memset(p, 0, sizeof(*p));
	while (fgets(line, sizeof(line), f)) {
		const char *what = "";
		char *save, *word, *hash = strchr(line, '#');
		uint64_t n;
		int op;

		if (hash)
			*hash = 0;
		snprintf(copy, sizeof(copy), "%s", line);
		word = strtok_r(line, " \t\n", &save);
		if (!word) {
			at = ftell(f);
			continue;
		}
		if (!strcmp(word, head_op.name)) {
			if (begun) {
				fseek(f, at, SEEK_SET);
				break;
			}
			begun = true;
			if (!args_read(&head_op, &p->head, &save, &what))
				goto bad;
		} else if (!begun) {
			what = "a program begins with the line 'program'";
			goto bad;
		} else if (!strcmp(word, worker_op.name)) {
			word = strtok_r(NULL, " \t\n", &save);
			if (!word || !number_read(word, &n) ||
			    n != p->nr_workers || n >= MAX_WORKERS ||
			    !args_read(&worker_op, &p->worker[n], &save, &what))
				goto bad;
			p->nr_workers++;
		} else {
			struct call *call = &p->call[p->nr];

			if (p->nr == MAX_CALLS) {
				what = "too many calls";
				goto bad;
			}
			what = word;
			if (!strcmp(word, "setup"))
				n = SETUP;
			else if (!number_read(word, &n) || n >= p->nr_workers)
				goto bad;
			call->worker = n;
			word = strtok_r(NULL, " \t\n", &save);
			what = word ? word : "no call";
			op = word ? op_find(word) : -1;
			if (op < 0)
				goto bad;
			call->op = op;
			if (!args_read(op_get(op), call, &save, &what))
				goto bad;
			p->nr++;
		}
		at = ftell(f);
		continue;
bad:
		snprintf(why, len, "%.80s: %.200s", what, copy);
		return -1;
	}
	if (!begun)
		return 0;
	prog_fix(p);
	return 1;
}

/* Make sense of what chance has done to a program. */
void prog_fix(struct program *p)
{
	struct call sorted[MAX_CALLS];
	unsigned int i, j, n = 0, pass;

	if (!p->nr_workers)
		args_default(&worker_op, &p->worker[p->nr_workers++]);
	p->worker[0].arg[WORKER_KIND].n = WORKER_PROCESS;
	for (i = 0; i < p->nr; i++) {
		struct call *call = &p->call[i];
		const struct op *op = op_get(call->op);

		if (call->worker == SETUP && !(op->flags & OP_SETUP))
			call->worker = 0;
		if (call->worker != SETUP)
			call->worker %= p->nr_workers;
		for (j = 0; j < op->nr_args; j++) {
			const struct arg_spec *s = &op->args[j];

			if (s->type == A_FD || s->type == A_OUT)
				call->arg[j].n %= NR_SLOTS;
			else if (s->type == A_WORKER)
				call->arg[j].n %= p->nr_workers;
		}
	}
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < p->nr; i++) {
			bool setup = p->call[i].worker == SETUP;

			if (setup == !pass)
				sorted[n++] = p->call[i];
		}
	}
	/* All of them are filled, in one pass or the other. */
	/* cppcheck-suppress uninitvar */
	memcpy(p->call, sorted, n * sizeof(*sorted));
}

/* Bytes ------------------------------------------------------------------- */

struct bytes {
	uint8_t b[ENCODED_MAX / 2];
	size_t n;
	bool bad;
};

static void put(struct bytes *o, uint8_t b)
{
	if (o->n == sizeof(o->b))
		o->bad = true;
	else
		o->b[o->n++] = b;
}

static void put_number(struct bytes *o, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		put(o, n | 0x80);
	put(o, n);
}

static void put_args(struct bytes *o, const struct op *op,
		     const struct call *call)
{
	uint64_t given = 0;
	unsigned int i;

	for (i = 0; i < op->nr_args; i++)
		if (!is_default(&op->args[i], &call->arg[i]))
			given |= 1ULL << i;
	put_number(o, given);
	for (i = 0; i < op->nr_args; i++) {
		const struct value *v = &call->arg[i];

		if (!(given & (1ULL << i)))
			continue;
		/* Most are small numbers: one byte for both. */
		if (v->n < 61) {
			put(o, v->kind << 6 | v->n);
		} else {
			put(o, v->kind << 6 | 61);
			put_number(o, v->n);
		}
	}
}

/* No capitals: the log must not happen to say that something is wrong. */
static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

/* @text: ENCODED_MAX bytes. Returns how many were used. */
size_t prog_encode(const struct program *p, char *text)
{
	static struct bytes o;
	unsigned int i;
	size_t n = 0;

	o.n = 0;
	o.bad = false;
	put_args(&o, &head_op, &p->head);
	put(&o, p->nr_workers);
	for (i = 0; i < p->nr_workers; i++)
		put_args(&o, &worker_op, &p->worker[i]);
	put(&o, p->nr);
	for (i = 0; i < p->nr; i++) {
		put(&o, p->call[i].op);
		put(&o, p->call[i].worker);
		put(&o, p->call[i].fail);
		put_args(&o, op_get(p->call[i].op), &p->call[i]);
	}
	if (o.bad || o.n + 5 > sizeof(o.b))
		abort();
	while (o.n % 5)
		o.b[o.n++] = 0;
	for (i = 0; i < o.n; i += 5) {
		uint64_t v = 0;
		int j;

		for (j = 0; j < 5; j++)
			v = v << 8 | o.b[i + j];
		for (j = 35; j >= 0; j -= 5)
			text[n++] = digits[v >> j & 31];
	}
	text[n] = 0;
	return n;
}

static uint8_t take(struct bytes *o, size_t *at)
{
	if (*at == o->n) {
		o->bad = true;
		return 0;
	}
	return o->b[(*at)++];
}

static uint64_t take_number(struct bytes *o, size_t *at)
{
	uint64_t n = 0;
	unsigned int shift;

	for (shift = 0; shift < 64; shift += 7) {
		uint8_t b = take(o, at);

		n |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			break;
	}
	return n;
}

static void take_args(struct bytes *o, size_t *at, const struct op *op,
		      struct call *call)
{
	uint64_t given = take_number(o, at);
	unsigned int i;

	args_default(op, call);
	for (i = 0; i < op->nr_args; i++) {
		uint8_t b;

		if (!(given & (1ULL << i)))
			continue;
		b = take(o, at);
		call->arg[i].kind = b >> 6;
		call->arg[i].n = b & 63;
		if (call->arg[i].n == 61)
			call->arg[i].n = take_number(o, at);
	}
}

bool prog_decode(struct program *p, const char *text)
{
	static struct bytes o;
	uint64_t v = 0;
	unsigned int i, n = 0;
	size_t at = 0;
	int j;

	memset(p, 0, sizeof(*p));
	o.n = 0;
	o.bad = false;
	for (; *text && *text != '\n'; text++) {
		const char *d = strchr(digits, *text);

		if (!d)
			return false;
		v = v << 5 | (d - digits);
		if (++n % 8 == 0)
			for (j = 32; j >= 0; j -= 8)
				put(&o, v >> j);
	}
	take_args(&o, &at, &head_op, &p->head);
	p->nr_workers = take(&o, &at);
	if (!p->nr_workers || p->nr_workers > MAX_WORKERS)
		return false;
	for (i = 0; i < p->nr_workers; i++)
		take_args(&o, &at, &worker_op, &p->worker[i]);
	p->nr = take(&o, &at);
	if (p->nr > MAX_CALLS)
		return false;
	for (i = 0; i < p->nr; i++) {
		p->call[i].op = take(&o, &at);
		p->call[i].worker = take(&o, &at);
		p->call[i].fail = take(&o, &at);
		if (p->call[i].op >= op_count())
			return false;
		take_args(&o, &at, op_get(p->call[i].op), &p->call[i]);
	}
	if (o.bad || n % 8)
		return false;
	prog_fix(p);
	return true;
}

uint64_t prog_hash(const struct program *p)
{
	static char text[ENCODED_MAX];
	uint64_t h = 0xcbf29ce484222325ULL;
	size_t i, n = prog_encode(p, text);

	for (i = 0; i < n; i++)
		h = (h ^ (uint8_t)text[i]) * 0x100000001b3ULL;
	return h;
}
