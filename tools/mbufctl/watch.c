// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl watch: what happens, as it happens. */
#include <string.h>
#include <json-c/json.h>
#include "ctl.h"

struct watching {
	uint64_t last;
	long left;
};

static void text_add(struct json_object *json, const char *key,
		     const char *text)
{
	json_object_object_add(json, key, json_object_new_string(text));
}

static void told_json(const struct notice *n)
{
	struct json_object *json = json_object_new_object();

	json_number(json, "number", n->number);
	text_add(json, "notice", notice_name(n->what));
	if (n->type) {
		text_add(json, "type", type_name(n->type));
		json_id(json, "id", n->id);
	}
	if (n->peer_id)
		json_id(json, "peer-id", n->peer_id);
	if (n->uid >= 0)
		json_number(json, "uid", (uint64_t)n->uid);
	if (n->resource)
		text_add(json, "resource", resource_name(n->resource));
	if (n->error)
		text_add(json, "error", strerror((int)n->error));
	json_line(json);
}

static void told_text(const struct notice *n)
{
	printf("%s", notice_name(n->what));
	if (n->type)
		printf(" %s %016llx", type_name(n->type),
		       (unsigned long long)n->id);
	if (n->peer_id)
		printf(" peer %016llx", (unsigned long long)n->peer_id);
	if (n->resource)
		printf(" %s", resource_name(n->resource));
	if (n->uid >= 0)
		printf(" uid %lld", (long long)n->uid);
	if (n->error)
		printf(": %s", strerror((int)n->error));
	putchar('\n');
	fflush(stdout);
}

static int told(const struct notice *n, void *arg)
{
	struct watching *w = arg;

	if (opt.type && n->type != opt.type)
		return 0;
	if (opt.id && n->id != opt.id)
		return 0;
	if (opt.uid >= 0 && n->uid != opt.uid)
		return 0;
	if (w->last && n->number != w->last + 1)
		complain("%llu notices were lost",
			 (unsigned long long)(n->number - w->last - 1));
	/* With filters there are gaps that are no loss. */
	if (!opt.type && !opt.id && opt.uid < 0)
		w->last = n->number;
	if (opt.json)
		told_json(n);
	else
		told_text(n);
	return w->left && !--w->left;
}

int cmd_watch(int argc, char **argv)
{
	struct watching w = { .left = opt.count };

	(void)argv;
	if (argc) {
		complain("watch takes no arguments; filters are options");
		return EXIT_USAGE;
	}
	return nl_watch(told, &w);
}
