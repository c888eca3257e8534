// SPDX-License-Identifier: LGPL-2.1-or-later
/* Handles: who holds which right, as mbufctl ls handles and others show it. */
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include "ctl.h"

#define NR(array)	(sizeof(array) / sizeof((array)[0]))

static const char *const caps[] = {
	[MBUF_CAP_NONE] = "revoked",
	[MBUF_CAP_FILE] = "file",
	[MBUF_CAP_RECEIVER] = "receiver",
	[MBUF_CAP_TABLE] = "table",
	[MBUF_CAP_TABLE_REF] = "table-ref",
	[MBUF_CAP_MESSAGE] = "message",
	[MBUF_CAP_REPLY] = "reply",
	[MBUF_CAP_KEY] = "key",
	[MBUF_CAP_SEALED] = "sealed",
};

static const struct {
	uint32_t bit;
	const char *name;
} rights[] = {
	{ MBUF_RIGHT_SEND, "send" },
	{ MBUF_RIGHT_RECV, "recv" },
	{ MBUF_RIGHT_COPY, "copy" },
	{ MBUF_RIGHT_PASS, "pass" },
	{ MBUF_RIGHT_OPEN, "open" },
	{ MBUF_RIGHT_LOOKUP, "lookup" },
	{ MBUF_RIGHT_MODIFY, "modify" },
	{ MBUF_RIGHT_SEAL, "seal" },
	{ MBUF_RIGHT_UNSEAL, "unseal" },
};

static const char *cap_name(uint32_t type)
{
	return type < NR(caps) ? caps[type] : "unknown";
}

/* "send,copy"; what has no name is a number. */
static const char *rights_text(uint32_t set, char *text, size_t size)
{
	size_t i, at = 0;

	snprintf(text, size, "-");
	for (i = 0; i < NR(rights); i++) {
		if (!(set & rights[i].bit))
			continue;
		at += (size_t)snprintf(text + at, size - at, "%s%s",
				       at ? "," : "", rights[i].name);
		set &= ~rights[i].bit;
	}
	if (set)
		snprintf(text + at, size - at, "%s%#x", at ? "," : "", set);
	return text;
}

void handle_parse(const struct nlmsghdr *h, struct handle *handle)
{
	const struct nlattr *a;

	memset(handle, 0, sizeof(*handle));
	mnl_attr_for_each(a, h, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(a)) {
		case MBUF_A_HANDLE_HOLDER_TYPE:
			handle->holder_type = mnl_attr_get_u32(a);
			break;
		case MBUF_A_HANDLE_HOLDER_ID:
			handle->holder = mnl_attr_get_u64(a);
			break;
		case MBUF_A_HANDLE_TABLE_ID:
			handle->table = mnl_attr_get_u64(a);
			break;
		case MBUF_A_HANDLE_INDEX:
			handle->index = mnl_attr_get_u32(a);
			break;
		case MBUF_A_HANDLE_TYPE:
			handle->type = mnl_attr_get_u32(a);
			break;
		case MBUF_A_HANDLE_RIGHTS:
			handle->rights = mnl_attr_get_u32(a);
			break;
		case MBUF_A_HANDLE_OBJECT_ID:
			handle->object = mnl_attr_get_u64(a);
			break;
		case MBUF_A_HANDLE_UID:
			handle->uid = mnl_attr_get_u32(a);
			break;
		case MBUF_A_HANDLE_PID:
			handle->pid = mnl_attr_get_u32(a);
			break;
		case MBUF_A_HANDLE_NETNS:
			handle->netns = mnl_attr_get_u32(a);
			break;
		}
	}
}

struct json_object *handle_json(const struct handle *h)
{
	struct json_object *json = json_object_new_object();
	struct json_object *list = json_object_new_array();
	const char *holder = type_name(h->holder_type);
	size_t i;

	json_object_object_add(json, "holder-type",
			       json_object_new_string(holder));
	json_id(json, "holder-id", h->holder);
	json_id(json, "table-id", h->table);
	json_number(json, "uid", h->uid);
	json_number(json, "pid", h->pid);
	json_number(json, "netns", h->netns);
	json_number(json, "index", h->index);
	json_object_object_add(json, "type",
			       json_object_new_string(cap_name(h->type)));
	for (i = 0; i < NR(rights); i++) {
		const char *name = rights[i].name;

		if (h->rights & rights[i].bit)
			json_object_array_add(list,
					      json_object_new_string(name));
	}
	json_object_object_add(json, "rights", list);
	if (h->object)
		json_id(json, "object-id", h->object);
	return json;
}

/* For show: one that has it by handle. */
void handle_held(const struct handle *h)
{
	char text[128];

	printf("%-16s %s %016llx (process %u, handle %u), %s: %s\n", "held by",
	       type_name(h->holder_type), (unsigned long long)h->holder,
	       h->pid, h->index, cap_name(h->type),
	       rights_text(h->rights, text, sizeof(text)));
}

int ls_handles(void)
{
	static const struct column columns[] = {
		{ "HOLDER", false }, { "ID", false }, { "UID", true },
		{ "PID", true }, { "HANDLE", true }, { "IS", false },
		{ "OBJECT", false }, { "RIGHTS", false },
	};
	struct handles list = {};
	char text[128];
	size_t i;
	int ret;

	ret = nl_handles(&list);
	if (ret)
		return ret;
	if (opt.count && list.nr > (size_t)opt.count)
		list.nr = (size_t)opt.count;
	if (!opt.json)
		table_begin(columns, NR(columns));
	for (i = 0; i < list.nr; i++) {
		const struct handle *h = &list.h[i];

		if (opt.json) {
			json_line(handle_json(h));
			continue;
		}
		table_cell("%s", type_name(h->holder_type));
		table_cell("%016llx", (unsigned long long)h->holder);
		table_cell("%u", h->uid);
		table_cell("%u", h->pid);
		table_cell("%u", h->index);
		table_cell("%s", cap_name(h->type));
		if (h->object)
			table_cell("%016llx", (unsigned long long)h->object);
		else
			table_cell("-");
		table_cell("%s", rights_text(h->rights, text, sizeof(text)));
	}
	if (!opt.json)
		table_end();
	free(list.h);
	return EXIT_OK;
}

/* Does one own what it refers to, so that the object itself says where it is? */
static bool owns(const struct handle *h)
{
	return h->type == MBUF_CAP_RECEIVER || h->type == MBUF_CAP_TABLE ||
	       h->type == MBUF_CAP_MESSAGE;
}

static int by_ends(const void *a, const void *b)
{
	const struct handle *x = a, *y = b;

	if (x->holder != y->holder)
		return x->holder < y->holder ? -1 : 1;
	if (x->object != y->object)
		return x->object < y->object ? -1 : 1;
	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return 0;
}

static bool listed(const struct objects *list, uint64_t id)
{
	size_t i;

	for (i = 0; i < list->nr; i++)
		if (list->o[i].id == id)
			return true;
	return false;
}

/* For graph: who has rights to what by handle, each once. */
int handles_graph(const struct objects *objects)
{
	struct handles list = {};
	size_t i;
	int ret;

	ret = nl_handles(&list);
	if (ret)
		return ret;
	qsort(list.h, list.nr, sizeof(*list.h), by_ends);
	for (i = 0; i < list.nr; i++) {
		const struct handle *h = &list.h[i];

		if (!h->object || owns(h) ||
		    (i && !by_ends(h, h - 1)) ||
		    !listed(objects, h->holder) || !listed(objects, h->object))
			continue;
		printf("\to%016llx -> o%016llx [style=dashed, label=\"%s\"];\n",
		       (unsigned long long)h->holder,
		       (unsigned long long)h->object, cap_name(h->type));
	}
	free(list.h);
	return EXIT_OK;
}
