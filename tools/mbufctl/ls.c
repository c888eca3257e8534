// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl ls: what there is. Handles are in handles.c. */
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>
#include "ctl.h"

/* A line about what is peculiar to it. */
static void about(const struct object *o, char *text, size_t size)
{
	static const char *const states[] = { "empty", "loaded", "parked" };
	const uint64_t *n = o->n;

	int at;

	text[0] = '\0';
	switch (o->type) {
	case MBUF_OBJECT_TYPE_QUEUE:
		snprintf(text, size,
			 "%llu/%llu messages, %llu send, %llu receive, %llu+%llu wait",
			 (unsigned long long)n[MBUF_A_QUEUE_DEPTH],
			 (unsigned long long)n[MBUF_A_QUEUE_SLOTS],
			 (unsigned long long)n[MBUF_A_QUEUE_SENDERS],
			 (unsigned long long)n[MBUF_A_QUEUE_RECEIVERS],
			 (unsigned long long)n[MBUF_A_QUEUE_SEND_WAITERS],
			 (unsigned long long)n[MBUF_A_QUEUE_RECV_WAITERS]);
		break;
	case MBUF_OBJECT_TYPE_ENDPOINT:
		snprintf(text, size, "to %016llx, %llu signals%s%s",
			 (unsigned long long)n[MBUF_A_ENDPOINT_PEER_ID],
			 (unsigned long long)n[MBUF_A_ENDPOINT_SIGNALS],
			 n[MBUF_A_ENDPOINT_WAITERS] ? ", waits" : "",
			 n[MBUF_A_ENDPOINT_STATE] & MBUF_END_CLOSED ?
			 ", peer gone" : "");
		break;
	case MBUF_OBJECT_TYPE_LISTENER:
	case MBUF_OBJECT_TYPE_ACCEPT_QUEUE:
		snprintf(text, size, "%.96s, %llu/%llu pending", o->name,
			 (unsigned long long)n[MBUF_A_LISTENER_PENDING],
			 (unsigned long long)n[MBUF_A_LISTENER_BACKLOG]);
		break;
	case MBUF_OBJECT_TYPE_REGION:
		snprintf(text, size, "%llu bytes, %s%s",
			 (unsigned long long)n[MBUF_A_REGION_SIZE],
			 n[MBUF_A_REGION_RIGHTS] & MBUF_REGION_WRITE ?
			 "read and write" : "read only",
			 n[MBUF_A_REGION_OPTIONS] & MBUF_REGION_PAGED ?
			 ", paged" : "");
		break;
	case MBUF_OBJECT_TYPE_SESSION:
		snprintf(text, size, "%llu handles",
			 (unsigned long long)n[MBUF_A_SESSION_HANDLES]);
		break;
	case MBUF_OBJECT_TYPE_TABLE:
		at = snprintf(text, size, "%llu handles",
			      (unsigned long long)n[MBUF_A_TABLE_HANDLES]);
		if (n[MBUF_A_TABLE_PARENT_ID] != MISSING)
			snprintf(text + at, size - (size_t)at, ", in %016llx",
				 (unsigned long long)n[MBUF_A_TABLE_PARENT_ID]);
		break;
	case MBUF_OBJECT_TYPE_MESSAGE:
		at = snprintf(text, size, "%s, %llu delivered",
			      states[n[MBUF_A_MESSAGE_STATE] % 3],
			      (unsigned long long)n[MBUF_A_MESSAGE_DELIVERED]);
		if (n[MBUF_A_MESSAGE_DEST_ID] != MISSING)
			at += snprintf(text + at, size - (size_t)at,
				       ", at %016llx", (unsigned long long)
				       n[MBUF_A_MESSAGE_DEST_ID]);
		if (n[MBUF_A_MESSAGE_LEN] != MISSING)
			snprintf(text + at, size - (size_t)at,
				 ", %llu bytes, %llu capabilities",
				 (unsigned long long)n[MBUF_A_MESSAGE_LEN],
				 (unsigned long long)n[MBUF_A_MESSAGE_CAPS]);
		break;
	case MBUF_OBJECT_TYPE_KEY:
		snprintf(text, size, "%llu handles, %llu sealed with it",
			 (unsigned long long)n[MBUF_A_KEY_RIGHTS],
			 (unsigned long long)n[MBUF_A_KEY_SEALED]);
		break;
	case MBUF_OBJECT_TYPE_CONSENT:
		snprintf(text, size, "by %016llx, to %llu-%llu bytes%s",
			 (unsigned long long)n[MBUF_A_CONSENT_END_ID],
			 (unsigned long long)n[MBUF_A_CONSENT_MIN_SIZE],
			 (unsigned long long)n[MBUF_A_CONSENT_MAX_SIZE],
			 n[MBUF_A_CONSENT_ERROR] ? ", void" : "");
		break;
	case MBUF_OBJECT_TYPE_PAGED:
		snprintf(text, size,
			 "%llu bytes, %llu pages there, %llu wait, %llu clients%s",
			 (unsigned long long)n[MBUF_A_PAGED_SIZE],
			 (unsigned long long)n[MBUF_A_PAGED_RESIDENT],
			 (unsigned long long)n[MBUF_A_PAGED_WAITING],
			 (unsigned long long)n[MBUF_A_PAGED_CLIENTS],
			 n[MBUF_A_PAGED_ORPHAN] != MISSING ?
			 ", no pager" : "");
		break;
	}
}

int cmd_ls(int argc, char **argv)
{
	static const struct column columns[] = {
		{ "TYPE", false }, { "ID", false }, { "UID", true },
		{ "PID", true }, { "ABOUT", false },
	};
	struct objects list = {};
	char text[256];
	int ret;
	size_t i;

	if (argc == 1 && !strcmp(argv[0], "handles") && !opt.type)
		return ls_handles();
	if (argc || opt.holder) {
		complain("ls takes nothing or \"handles\"; that has --holder, and no --type");
		return EXIT_USAGE;
	}
	ret = nl_objects(&list);
	if (ret)
		return ret;
	if (opt.count && list.nr > (size_t)opt.count)
		list.nr = (size_t)opt.count;
	if (!opt.json)
		table_begin(columns, 5);
	for (i = 0; i < list.nr; i++) {
		const struct object *o = &list.o[i];

		if (opt.json) {
			json_line(object_json(o));
			continue;
		}
		about(o, text, sizeof(text));
		table_cell("%s", type_name(o->type));
		table_cell("%016llx", (unsigned long long)o->id);
		if (o->uid < 0) {
			table_cell("-");
			table_cell("kernel");
		} else {
			table_cell("%lld", (long long)o->uid);
			table_cell("%lld", (long long)o->pid);
		}
		table_cell("%s", text);
	}
	if (!opt.json)
		table_end();
	free(list.o);
	return EXIT_OK;
}
