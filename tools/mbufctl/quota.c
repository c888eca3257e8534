// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl quota: what users have and may have; mbufctl flush. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>
#include "ctl.h"

static const int used_attrs[LIMITS] = {
	MBUF_A_USER_OBJECTS, MBUF_A_USER_MEMORY, MBUF_A_USER_INFLIGHT,
	MBUF_A_USER_HANDLES, MBUF_A_USER_CAPS,
};

static struct json_object *user_json(const struct user *u)
{
	struct json_object *json = json_object_new_object();
	struct json_object *own = json_object_new_boolean(u->own_limits);

	json_number(json, "uid", u->uid);
	json_number(json, "userns", u->userns);
	json_number(json, "refused", u->n[MBUF_A_USER_REFUSED]);
	json_object_object_add(json, "own-limits", own);
	return json;
}

static int quota_show(void)
{
	static const struct column columns[] = {
		{ "UID", true }, { "USERNS", true }, { "WHAT", false },
		{ "USED", true }, { "LIMIT", true }, { "FILLED", false },
		{ "REFUSED", true },
	};
	struct users list = {};
	char text[24];
	int ret, what;
	size_t i;

	ret = nl_users(&list);
	if (ret)
		return ret;
	if (!opt.json)
		table_begin(columns, 7);
	for (i = 0; i < list.nr; i++) {
		const struct user *u = &list.u[i];
		struct json_object *json = NULL;

		if (opt.json)
			json = user_json(u);
		for (what = 0; what < LIMITS; what++) {
			uint64_t used = u->n[used_attrs[what]];
			uint64_t limit = u->n[used_attrs[what] + 1];

			if (json) {
				snprintf(text, sizeof(text), "%s-limit",
					 limit_names[what]);
				json_number(json, limit_names[what], used);
				json_number(json, text, limit);
				continue;
			}
			table_cell("%u", u->uid);
			table_cell("%u", u->userns);
			table_cell("%s", limit_names[what]);
			table_cell("%llu", (unsigned long long)used);
			table_cell("%llu", (unsigned long long)limit);
			table_cell("%s", bar(used, limit, 10, text));
			if (what)
				table_cell("%s", "");
			else
				table_cell("%llu", (unsigned long long)
					   u->n[MBUF_A_USER_REFUSED]);
		}
		if (json)
			json_line(json);
	}
	if (!opt.json)
		table_end();
	free(list.u);
	return EXIT_OK;
}

/* "memory=64M" */
static bool limit_parse(const char *text, uint64_t *limit, unsigned int *set)
{
	static const char units[] = "KMGT";
	unsigned long long n;
	const char *unit;
	size_t len;
	char *end;
	int i;

	for (i = 0; i < LIMITS; i++) {
		len = strlen(limit_names[i]);
		if (!strncmp(text, limit_names[i], len) && text[len] == '=')
			break;
	}
	if (i == LIMITS)
		return false;
	text += strlen(limit_names[i]) + 1;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *text == '-')
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (*end && (!unit || end[1] ||
		     n > UINT64_MAX >> (10 * (unit - units + 1))))
		return false;
	if (unit)
		n <<= 10 * (unit - units + 1);
	limit[i] = n;
	*set |= 1u << i;
	return true;
}

int cmd_quota(int argc, char **argv)
{
	uint64_t limit[LIMITS] = {};
	unsigned int set = 0;
	int i;

	if (!argc)
		return quota_show();
	if (!strcmp(argv[0], "set")) {
		for (i = 1; i < argc; i++)
			if (!limit_parse(argv[i], limit, &set))
				break;
		if (set && i == argc)
			return nl_limits(opt.uid, limit, set);
	}
	complain("quota takes nothing, or: set WHAT=NUMBER[KMGT]...; see mbufctl(8)");
	return EXIT_USAGE;
}

int cmd_flush(int argc, char **argv)
{
	uint64_t id;

	if (argc != 1 || !parse_id(argv[0], &id)) {
		complain("flush takes the id of a queue, as ls shows it");
		return EXIT_USAGE;
	}
	return nl_flush(id);
}
