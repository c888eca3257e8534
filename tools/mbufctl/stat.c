// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl stat: sums of all that can be seen. */
#include <stdlib.h>
#include <json-c/json.h>
#include "ctl.h"

struct sums {
	uint64_t objects[OBJECT_TYPES];
	uint64_t messages, sent, received, dropped, refused, send_waiters,
		 recv_waiters, signals, pending, shared, parked, handles,
		 resident, faulting;
};

static void sum(const struct objects *list, struct sums *s)
{
	size_t i;

	for (i = 0; i < list->nr; i++) {
		const struct object *o = &list->o[i];

		if (o->type < OBJECT_TYPES)
			s->objects[o->type]++;
		switch (o->type) {
		case MBUF_OBJECT_TYPE_QUEUE:
			s->messages += o->n[MBUF_A_QUEUE_DEPTH];
			s->sent += o->n[MBUF_A_QUEUE_SENT];
			s->received += o->n[MBUF_A_QUEUE_RECEIVED];
			s->dropped += o->n[MBUF_A_QUEUE_DROPPED];
			s->refused += o->n[MBUF_A_QUEUE_REFUSED];
			s->send_waiters += o->n[MBUF_A_QUEUE_SEND_WAITERS];
			s->recv_waiters += o->n[MBUF_A_QUEUE_RECV_WAITERS];
			break;
		case MBUF_OBJECT_TYPE_ENDPOINT:
			s->signals += o->n[MBUF_A_ENDPOINT_SIGNALS];
			break;
		case MBUF_OBJECT_TYPE_LISTENER:
		case MBUF_OBJECT_TYPE_ACCEPT_QUEUE:
			s->pending += o->n[MBUF_A_LISTENER_PENDING];
			break;
		case MBUF_OBJECT_TYPE_REGION:
			s->shared += o->n[MBUF_A_REGION_SIZE];
			break;
		case MBUF_OBJECT_TYPE_SESSION:
			s->handles += o->n[MBUF_A_SESSION_HANDLES];
			break;
		case MBUF_OBJECT_TYPE_TABLE:
			s->handles += o->n[MBUF_A_TABLE_HANDLES];
			break;
		case MBUF_OBJECT_TYPE_MESSAGE:
			s->parked += o->n[MBUF_A_MESSAGE_STATE] ==
				     MBUF_MESSAGE_PARKED;
			break;
		case MBUF_OBJECT_TYPE_PAGED:
			s->resident += o->n[MBUF_A_PAGED_RESIDENT];
			s->faulting += o->n[MBUF_A_PAGED_WAITING];
			break;
		}
	}
}

static void put(struct json_object *json, const char *name, uint64_t n)
{
	if (json)
		json_number(json, name, n);
	else
		printf("%-16s %llu\n", name, (unsigned long long)n);
}

/* How long messages took, of each queue where that is measured. */
static int stat_latency(void)
{
	struct objects list = {};
	bool any = false;
	size_t i;
	int ret;

	opt.type = MBUF_OBJECT_TYPE_QUEUE;
	ret = nl_objects(&list);
	if (ret)
		return ret;
	for (i = 0; i < list.nr; i++) {
		if (!list.o[i].measured)
			continue;
		if (opt.json)
			json_line(latency_json(&list.o[i]));
		else
			latency_show(&list.o[i]);
		any = true;
	}
	free(list.o);
	if (any || opt.json)
		return EXIT_OK;
	complain("no queue is measured; begin with: mbufctl measure ID");
	return EXIT_NOT_FOUND;
}

int cmd_stat(int argc, char **argv)
{
	struct json_object *json;
	struct objects list = {};
	struct sums s = {};
	uint32_t type;
	int ret;

	(void)argv;
	if (argc) {
		complain("stat takes no arguments");
		return EXIT_USAGE;
	}
	if (opt.latency)
		return stat_latency();
	ret = nl_objects(&list);
	if (ret)
		return ret;
	sum(&list, &s);
	json = opt.json ? json_object_new_object() : NULL;
	for (type = 1; type < OBJECT_TYPES; type++)
		put(json, type_name(type), s.objects[type]);
	put(json, "messages", s.messages);
	put(json, "sent", s.sent);
	put(json, "received", s.received);
	put(json, "dropped", s.dropped);
	put(json, "refused", s.refused);
	put(json, "send-waiters", s.send_waiters);
	put(json, "recv-waiters", s.recv_waiters);
	put(json, "signals", s.signals);
	put(json, "pending", s.pending);
	put(json, "region-bytes", s.shared);
	put(json, "handles", s.handles);
	put(json, "parked", s.parked);
	put(json, "paged-pages", s.resident);
	put(json, "fault-waiters", s.faulting);
	if (json)
		json_line(json);
	free(list.o);
	return EXIT_OK;
}
