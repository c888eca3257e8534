// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl measure, and what comes of it: how long messages take in a queue. */
#include <string.h>
#include <json-c/json.h>
#include "ctl.h"

/* Characters of the longest bar. */
#define BAR	40

static const struct {
	const char *name;
	unsigned int of_1000;
} percentiles[] = {
	{ "p50", 500 }, { "p90", 900 }, { "p99", 990 }, { "p99.9", 999 },
};

#define NR_PERCENTILES	(sizeof(percentiles) / sizeof(percentiles[0]))

static uint64_t count(const struct latency *l)
{
	uint64_t nr = 0;
	int i;

	for (i = 0; i < MBUF_LATENCY_BUCKETS; i++)
		nr += l->bucket[i];
	return nr;
}

/*
 * At least so many of 1000 took no longer than this. Within a bucket nothing is
 * known, so it is its end, or the longest time that there was.
 */
static uint64_t percentile(const struct latency *l, unsigned int of_1000)
{
	uint64_t nr = count(l), seen = 0;
	int i;

	for (i = 0; i < MBUF_LATENCY_BUCKETS - 1; i++) {
		seen += l->bucket[i];
		if (seen * 1000 >= nr * of_1000)
			break;
	}
	if (i == MBUF_LATENCY_BUCKETS - 1 || l->longest < 2ull << i)
		return l->longest;
	return 2ull << i;
}

/* @text has room for 16. */
static const char *time_text(uint64_t ns, char *text)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {
		{ "s", 1000000000 }, { "ms", 1000000 }, { "us", 1000 },
	};
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (ns < units[i].ns)
			continue;
		snprintf(text, 16, "%.*f%s", ns < 10 * units[i].ns ? 1 : 0,
			 (double)ns / (double)units[i].ns, units[i].unit);
		return text;
	}
	snprintf(text, 16, "%uns", (unsigned int)ns);
	return text;
}

void latency_show(const struct object *o)
{
	const struct latency *l = &o->latency;
	uint64_t nr = count(l), most = 0;
	int first = MBUF_LATENCY_BUCKETS, last = 0, i, width;
	char a[16], b[16], text[BAR + 1];
	size_t p;

	printf("queue %016llx, %llu messages", (unsigned long long)o->id,
	       (unsigned long long)nr);
	if (!nr) {
		putchar('\n');
		return;
	}
	printf(", mean %s", time_text(l->total / nr, a));
	for (p = 0; p < NR_PERCENTILES; p++)
		printf(", %s %s", percentiles[p].name,
		       time_text(percentile(l, percentiles[p].of_1000), a));
	printf(", longest %s\n", time_text(l->longest, a));
	for (i = 0; i < MBUF_LATENCY_BUCKETS; i++) {
		if (!l->bucket[i])
			continue;
		if (l->bucket[i] > most)
			most = l->bucket[i];
		if (i < first)
			first = i;
		last = i;
	}
	/* What comes before the bar takes 31. */
	width = screen_width() - 31;
	if (width > BAR)
		width = BAR;
	for (i = first; i <= last; i++) {
		printf("  %6s - %-6s %12llu", time_text(i ? 1ull << i : 0, a),
		       i == MBUF_LATENCY_BUCKETS - 1 ? "" :
		       time_text(2ull << i, b),
		       (unsigned long long)l->bucket[i]);
		if (width > 0 && l->bucket[i])
			printf("  %s", bar(l->bucket[i], most, width, text));
		putchar('\n');
	}
}

struct json_object *latency_json(const struct object *o)
{
	struct json_object *json = json_object_new_object();
	struct json_object *buckets = json_object_new_array();
	const struct latency *l = &o->latency;
	uint64_t nr = count(l);
	char name[16];
	size_t p;
	int i;

	json_id(json, "id", o->id);
	json_number(json, "messages", nr);
	json_number(json, "total-ns", l->total);
	json_number(json, "longest-ns", l->longest);
	for (p = 0; p < NR_PERCENTILES && nr; p++) {
		snprintf(name, sizeof(name), "%s-ns", percentiles[p].name);
		json_number(json, name, percentile(l, percentiles[p].of_1000));
	}
	/* By where they begin. */
	for (i = 0; i < MBUF_LATENCY_BUCKETS; i++) {
		struct json_object *one;

		if (!l->bucket[i])
			continue;
		one = json_object_new_object();
		json_number(one, "from-ns", i ? 1ull << i : 0);
		json_number(one, "messages", l->bucket[i]);
		json_object_array_add(buckets, one);
	}
	json_object_object_add(json, "buckets", buckets);
	return json;
}

int cmd_measure(int argc, char **argv)
{
	bool off = argc == 2 && !strcmp(argv[1], "off");
	uint64_t id;

	if (argc < 1 || argc > 2 || (argc == 2 && !off) ||
	    !parse_id(argv[0], &id)) {
		complain("measure takes the id of a queue, and off to end it");
		return EXIT_USAGE;
	}
	return nl_measure(id, !off);
}
