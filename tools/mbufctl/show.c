// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl show: all that is known of one object, and who has it. */
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>
#include "ctl.h"

static int holder_print(const struct holder *h, void *arg)
{
	struct json_object *list = arg, *one;

	if (!list) {
		printf("%-16s %s (process %d, descriptor %d)%s%s\n", "held by",
		       h->comm, h->pid, h->fd, h->right[0] ? ", to " : "",
		       h->right);
		return 0;
	}
	one = json_object_new_object();
	json_number(one, "pid", (uint64_t)h->pid);
	json_number(one, "fd", (uint64_t)h->fd);
	json_object_object_add(one, "comm", json_object_new_string(h->comm));
	if (h->right[0])
		json_object_object_add(one, "right",
				       json_object_new_string(h->right));
	json_object_array_add(list, one);
	return 0;
}

static void show_text(const struct object *o, const struct handles *by_handle)
{
	const char *name, *word;
	int i, hidden;
	size_t at;

	printf("%-16s %s\n", "type", type_name(o->type));
	printf("%-16s %016llx\n", "id", (unsigned long long)o->id);
	if (o->uid >= 0)
		printf("%-16s user %lld, process %lld\n", "made by",
		       (long long)o->uid, (long long)o->pid);
	else
		printf("%-16s a driver\n", "made by");
	printf("%-16s %u\n", "netns", o->netns);
	if (o->name[0])
		printf("%-16s %s\n", "name", o->name);
	for (i = 0; i < NUMBERS; i++) {
		name = field_name(o->type, i);
		if (!name || o->n[i] == MISSING)
			continue;
		word = field_word(o->type, i, o->n[i]);
		if (word)
			printf("%-16s %s\n", name, word);
		else if (field_is_id(name))
			printf("%-16s %016llx\n", name,
			       (unsigned long long)o->n[i]);
		else if (!strcmp(name, "mode"))
			printf("%-16s %04llo\n", name,
			       (unsigned long long)o->n[i]);
		else
			printf("%-16s %llu\n", name,
			       (unsigned long long)o->n[i]);
	}
	for (at = 0; at < by_handle->nr; at++)
		handle_held(&by_handle->h[at]);
	hidden = holders(o->id, holder_print, NULL);
	if (hidden)
		printf("%-16s of %d processes it is not known what they hold\n",
		       "", hidden);
}

int cmd_show(int argc, char **argv)
{
	struct handles by_handle = {};
	struct objects list = {};
	int ret;
	size_t i, at;

	if (argc != 1 || !parse_id(argv[0], &opt.id)) {
		complain("show takes the id of an object, as ls shows it");
		return EXIT_USAGE;
	}
	ret = nl_objects(&list);
	if (ret)
		return ret;
	if (!list.nr) {
		complain("there is no object %s, or it is not for you to see",
			 argv[0]);
		return EXIT_NOT_FOUND;
	}
	/* The object may be one's own, and who has it is somebody else. */
	opt.uid = -1;
	opt.pid = -1;
	ret = nl_handles(&by_handle);
	if (ret)
		return ret;
	for (i = 0; i < list.nr; i++) {
		if (opt.json) {
			struct json_object *json = object_json(&list.o[i]);
			struct json_object *who = json_object_new_array();
			struct json_object *by = json_object_new_array();

			holders(list.o[i].id, holder_print, who);
			json_object_object_add(json, "holders", who);
			for (at = 0; at < by_handle.nr; at++) {
				struct handle *h = &by_handle.h[at];

				json_object_array_add(by, handle_json(h));
			}
			json_object_object_add(json, "handle-holders", by);
			json_line(json);
		} else {
			if (i)
				putchar('\n');
			show_text(&list.o[i], &by_handle);
		}
	}
	free(by_handle.h);
	free(list.o);
	return EXIT_OK;
}
