// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl top: queues and endpoints, the busiest first, as they change. */
#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "ctl.h"

#define PERIOD_NS	1000000000ull

struct row {
	const struct object *o;
	double rate;
};

/* What has gone by: messages in and out, or writes to it. */
static uint64_t traffic(const struct object *o)
{
	if (o->type == MBUF_OBJECT_TYPE_QUEUE)
		return o->n[MBUF_A_QUEUE_SENT];
	if (o->type == MBUF_OBJECT_TYPE_ENDPOINT)
		return o->n[MBUF_A_ENDPOINT_SEQ];
	if (o->type == MBUF_OBJECT_TYPE_LISTENER)
		return o->n[MBUF_A_LISTENER_ACCEPTED];
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct object *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int by_rate(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->rate < y->rate || x->rate > y->rate)
		return x->rate < y->rate ? 1 : -1;
	return by_id(x->o, y->o);
}

static void draw_row(int y, const struct row *r, int width)
{
	uint64_t max, load = object_load(r->o, &max);
	char line[512], text[24], fill[24] = "";

	if (max)
		snprintf(fill, sizeof(fill), "%s", bar(load, max, 10, text));
	snprintf(line, sizeof(line), "%-10.10s %10.0f/s %10s %016llx %8lld %.64s",
		 type_name(r->o->type), r->rate, fill,
		 (unsigned long long)r->o->id, (long long)r->o->pid,
		 r->o->name);
	mvaddnstr(y, 0, line, width);
}

static void draw(const struct objects *list, const struct objects *before,
		 double seconds)
{
	struct row *rows = calloc(list->nr + 1, sizeof(*rows));
	size_t i, nr = 0;
	char line[256];
	int y;

	if (!rows)
		return;
	for (i = 0; i < list->nr; i++) {
		const struct object *o = &list->o[i], *old;

		if (o->type != MBUF_OBJECT_TYPE_QUEUE &&
		    o->type != MBUF_OBJECT_TYPE_ENDPOINT &&
		    o->type != MBUF_OBJECT_TYPE_LISTENER)
			continue;
		old = before->nr ? bsearch(o, before->o, before->nr,
					   sizeof(*o), by_id) : NULL;
		rows[nr].o = o;
		if (old && seconds > 0)
			rows[nr].rate = (double)(traffic(o) - traffic(old)) /
					seconds;
		nr++;
	}
	qsort(rows, nr, sizeof(*rows), by_rate);

	erase();
	snprintf(line, sizeof(line), "mbufctl top: %zu objects, %zu shown; q quits",
		 list->nr, nr);
	mvaddnstr(0, 0, line, COLS);
	snprintf(line, sizeof(line), "%-10s %12s %10s %-16s %8s %s", "TYPE",
		 "RATE", "FILLED", "ID", "PID", "NAME");
	if (opt.color)
		attron(A_REVERSE);
	mvaddnstr(1, 0, line, COLS);
	if (opt.color)
		attroff(A_REVERSE);
	for (y = 2, i = 0; i < nr && y < LINES; i++, y++)
		draw_row(y, &rows[i], COLS);
	refresh();
	free(rows);
}

/* true if the user wants to go. */
static bool wait_key(uint64_t until)
{
	for (;;) {
		uint64_t t = now();
		int key;

		if (t >= until)
			return false;
		timeout((int)((until - t) / 1000000 + 1));
		key = getch();
		if (key == 'q' || key == 'Q' || key == 3)
			return true;
		if (key == KEY_RESIZE)
			return false;
	}
}

int cmd_top(int argc, char **argv)
{
	struct objects list = {}, before = {}, swap;
	uint64_t start = now(), at, last = 0;
	long rounds = opt.count;
	int ret;

	(void)argv;
	if (argc || opt.json) {
		complain("top takes no arguments and has no JSON; see stat and ls");
		return EXIT_USAGE;
	}
	/* What is wrong is said before the screen is taken. */
	ret = nl_objects(&list);
	if (ret)
		return ret;
	if (!isatty(STDOUT_FILENO) || !initscr()) {
		complain("top needs a terminal; see ls");
		return EXIT_USAGE;
	}
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	for (;;) {
		at = now();
		qsort(list.o, list.nr, sizeof(*list.o), by_id);
		draw(&list, &before, last ? (double)(at - last) / 1e9 : 0);
		last = at;
		if ((rounds && !--rounds) ||
		    (opt.timeout >= 0 && at - start >= (uint64_t)opt.timeout) ||
		    wait_key(at + PERIOD_NS))
			break;
		swap = before;
		before = list;
		list = swap;
		ret = nl_objects(&list);
		if (ret)
			break;
	}
	endwin();
	free(list.o);
	free(before.o);
	return ret;
}
