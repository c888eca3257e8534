// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is printed: tables for people, lines of JSON, errors; and what is read. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <json-c/json.h>
#include "ctl.h"

#define CELL	128

void complain(const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("mbufctl: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* Columns of the terminal; no limit where there is none. */
int screen_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize ws;

	if (isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) &&
	    ws.ws_col)
		return ws.ws_col;
	if (isatty(STDOUT_FILENO) && columns && atoi(columns) > 0)
		return atoi(columns);
	return 100000;
}

static struct {
	const struct column *columns;
	int nr;
	char (*cells)[CELL];
	size_t used;
} table;

void table_begin(const struct column *columns, int nr)
{
	table.columns = columns;
	table.nr = nr;
	table.used = 0;
}

void table_cell(const char *format, ...)
{
	va_list ap;

	if (!(table.used & (table.used - 1))) {
		table.cells = realloc(table.cells,
				      (table.used ? table.used * 2 : 1) *
				      sizeof(*table.cells));
		if (!table.cells) {
			complain("no memory");
			exit(EXIT_FAILED);
		}
	}
	va_start(ap, format);
	vsnprintf(table.cells[table.used++], CELL, format, ap);
	va_end(ap);
}

/* A line, no wider than the screen. */
static void table_line(const char *(*text)(int row, int col), int row,
		       const int *width, int screen)
{
	char line[4096] = "";
	size_t at = 0;
	int i;

	for (i = 0; i < table.nr && at < sizeof(line) - CELL - 4; i++)
		at += (size_t)snprintf(line + at, sizeof(line) - at,
				       table.columns[i].right ? "%s%*s" :
								"%s%-*s",
				       i ? "  " : "", width[i], text(row, i));
	while (at && line[at - 1] == ' ')
		at--;
	if (at > (size_t)screen)
		at = (size_t)screen;
	if (row < 0 && opt.color)
		printf("\033[1m%.*s\033[0m\n", (int)at, line);
	else
		printf("%.*s\n", (int)at, line);
}

static const char *cell_text(int row, int col)
{
	return row < 0 ? table.columns[col].title :
			 table.cells[row * table.nr + col];
}

void table_end(void)
{
	int width[32], rows = (int)table.used / table.nr, i, row;
	int screen = screen_width();

	for (i = 0; i < table.nr; i++) {
		width[i] = (int)strlen(table.columns[i].title);
		for (row = 0; row < rows; row++) {
			int len = (int)strlen(cell_text(row, i));

			if (len > width[i])
				width[i] = len;
		}
	}
	for (row = -1; row < rows; row++)
		table_line(cell_text, row, width, screen);
	free(table.cells);
	table.cells = NULL;
	table.used = 0;
}

void json_line(struct json_object *json)
{
	puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
	fflush(stdout);
	json_object_put(json);
}

/* As text: many readers of JSON have no integers of 64 bits. */
void json_id(struct json_object *json, const char *key, uint64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)id);
	json_object_object_add(json, key, json_object_new_string(text));
}

void json_number(struct json_object *json, const char *key, uint64_t n)
{
	json_object_object_add(json, key, json_object_new_uint64(n));
}

/* @text has room for @width and the end. */
const char *bar(uint64_t part, uint64_t whole, int width, char *text)
{
	int full = whole ? (int)(part * (uint64_t)width / whole) : 0, i;

	if (part && !full)
		full = 1;
	if (full > width)
		full = width;
	for (i = 0; i < width; i++)
		text[i] = i < full ? '#' : '.';
	text[width] = '\0';
	return text;
}

bool parse_id(const char *text, uint64_t *id)
{
	char *end;

	errno = 0;
	*id = strtoull(text, &end, 16);
	return !errno && *id && end != text && !*end && *text != '-';
}

/* "500ms", "2s", "3min"; a number alone is seconds. */
bool parse_time(const char *text, int64_t *ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {
		{ "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 },
		{ "", 1e9 }, { "min", 60e9 }, { "h", 3600e9 },
	};
	double value;
	size_t i;
	char *end;

	errno = 0;
	value = strtod(text, &end);
	if (errno || end == text || !(value >= 0) || value > 1e9)
		return false;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit))
			continue;
		*ns = (int64_t)(value * units[i].ns);
		return value * units[i].ns < 9e18;
	}
	return false;
}

uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}
