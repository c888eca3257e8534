// SPDX-License-Identifier: LGPL-2.1-or-later
/* Objects, users and notices, out of messages; what things are called. */
#include <ctype.h>
#include <string.h>
#include <unistd.h>
#include <json-c/json.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include "ctl.h"

#define NR(array)	(sizeof(array) / sizeof((array)[0]))

static const char *const types[] = {
	[MBUF_OBJECT_TYPE_SESSION] = "session",
	[MBUF_OBJECT_TYPE_QUEUE] = "queue",
	[MBUF_OBJECT_TYPE_ENDPOINT] = "endpoint",
	[MBUF_OBJECT_TYPE_LISTENER] = "listener",
	[MBUF_OBJECT_TYPE_ACCEPT_QUEUE] = "accept-queue",
	[MBUF_OBJECT_TYPE_REGION] = "region",
	[MBUF_OBJECT_TYPE_TABLE] = "table",
	[MBUF_OBJECT_TYPE_MESSAGE] = "message",
	[MBUF_OBJECT_TYPE_KEY] = "key",
	[MBUF_OBJECT_TYPE_CONSENT] = "consent",
	[MBUF_OBJECT_TYPE_PAGED] = "paged",
};

static const char *const notices[] = {
	[MBUF_NOTICE_CREATED] = "created",
	[MBUF_NOTICE_DELETED] = "deleted",
	[MBUF_NOTICE_CONNECTED] = "connected",
	[MBUF_NOTICE_PEER_DIED] = "peer-died",
	[MBUF_NOTICE_FULL] = "full",
	[MBUF_NOTICE_DRAINED] = "drained",
	[MBUF_NOTICE_QUOTA_REFUSED] = "quota-refused",
	[MBUF_NOTICE_CAP_REFUSED] = "cap-refused",
	[MBUF_NOTICE_PAGER_SLOW] = "pager-slow",
};

static const char *const queue_fields[NUMBERS] = {
	[MBUF_A_QUEUE_SLOTS] = "slots",
	[MBUF_A_QUEUE_MAX_MSG] = "max-msg",
	[MBUF_A_QUEUE_FLAGS] = "flags",
	[MBUF_A_QUEUE_DEPTH] = "depth",
	[MBUF_A_QUEUE_HIGH_WATER] = "high-water",
	[MBUF_A_QUEUE_SENDERS] = "senders",
	[MBUF_A_QUEUE_RECEIVERS] = "receivers",
	[MBUF_A_QUEUE_SEND_WAITERS] = "send-waiters",
	[MBUF_A_QUEUE_RECV_WAITERS] = "recv-waiters",
	[MBUF_A_QUEUE_SENT] = "sent",
	[MBUF_A_QUEUE_RECEIVED] = "received",
	[MBUF_A_QUEUE_DROPPED] = "dropped",
	[MBUF_A_QUEUE_REFUSED] = "refused",
	[MBUF_A_QUEUE_SEND_BLOCKED] = "send-blocked",
	[MBUF_A_QUEUE_RECV_BLOCKED] = "recv-blocked",
	[MBUF_A_QUEUE_MAX_CAPS] = "max-caps",
	[MBUF_A_QUEUE_PARENT_ID] = "parent-id",
};

static const char *const endpoint_fields[NUMBERS] = {
	[MBUF_A_ENDPOINT_PEER_ID] = "peer-id",
	[MBUF_A_ENDPOINT_FLAGS] = "flags",
	[MBUF_A_ENDPOINT_STATE] = "state",
	[MBUF_A_ENDPOINT_SEQ] = "seq",
	[MBUF_A_ENDPOINT_PEER_SEQ] = "peer-seq",
	[MBUF_A_ENDPOINT_SIGNALS] = "signals",
	[MBUF_A_ENDPOINT_PEER_SIGNALS] = "peer-signals",
	[MBUF_A_ENDPOINT_WAITERS] = "waiters",
	[MBUF_A_ENDPOINT_PEER_UID] = "peer-uid",
	[MBUF_A_ENDPOINT_PEER_PID] = "peer-pid",
	[MBUF_A_ENDPOINT_PEER_KERNEL] = "peer-kernel",
};

static const char *const listener_fields[NUMBERS] = {
	[MBUF_A_LISTENER_LISTENER_ID] = "listener-id",
	[MBUF_A_LISTENER_MODE] = "mode",
	[MBUF_A_LISTENER_UID] = "owner",
	[MBUF_A_LISTENER_GID] = "group",
	[MBUF_A_LISTENER_BACKLOG] = "backlog",
	[MBUF_A_LISTENER_PENDING] = "pending",
	[MBUF_A_LISTENER_WAITERS] = "waiters",
	[MBUF_A_LISTENER_QUEUES] = "queues",
	[MBUF_A_LISTENER_ACL] = "acl",
	[MBUF_A_LISTENER_ACCEPTED] = "accepted",
	[MBUF_A_LISTENER_DENIED] = "denied",
	[MBUF_A_LISTENER_OVERFLOWED] = "overflowed",
	[MBUF_A_LISTENER_WITHDRAWN] = "withdrawn",
};

static const char *const region_fields[NUMBERS] = {
	[MBUF_A_REGION_SIZE] = "size",
	[MBUF_A_REGION_RIGHTS] = "rights",
	[MBUF_A_REGION_OPTIONS] = "options",
};

static const char *const session_fields[NUMBERS] = {
	[MBUF_A_SESSION_TABLE_ID] = "table-id",
	[MBUF_A_SESSION_HANDLES] = "handles",
};

static const char *const table_fields[NUMBERS] = {
	[MBUF_A_TABLE_HANDLES] = "handles",
	[MBUF_A_TABLE_PARENT_ID] = "parent-id",
};

static const char *const message_fields[NUMBERS] = {
	[MBUF_A_MESSAGE_STATE] = "state",
	[MBUF_A_MESSAGE_ERROR] = "error",
	[MBUF_A_MESSAGE_MAX_MSG] = "max-msg",
	[MBUF_A_MESSAGE_MAX_CAPS] = "max-caps",
	[MBUF_A_MESSAGE_LEN] = "len",
	[MBUF_A_MESSAGE_CAPS] = "caps",
	[MBUF_A_MESSAGE_DELIVERED] = "delivered",
	[MBUF_A_MESSAGE_DEST_ID] = "dest-id",
	[MBUF_A_MESSAGE_INBOX_ID] = "inbox-id",
	[MBUF_A_MESSAGE_PARENT_ID] = "parent-id",
};

static const char *const key_fields[NUMBERS] = {
	[MBUF_A_KEY_RIGHTS] = "rights",
	[MBUF_A_KEY_SEALED] = "sealed",
};

static const char *const consent_fields[NUMBERS] = {
	[MBUF_A_CONSENT_END_ID] = "end-id",
	[MBUF_A_CONSENT_PEER_ID] = "peer-id",
	[MBUF_A_CONSENT_OFFER_ID] = "offer-id",
	[MBUF_A_CONSENT_PARTY] = "party",
	[MBUF_A_CONSENT_FLAGS] = "flags",
	[MBUF_A_CONSENT_RIGHTS] = "rights",
	[MBUF_A_CONSENT_MIN_SIZE] = "min-size",
	[MBUF_A_CONSENT_MAX_SIZE] = "max-size",
	[MBUF_A_CONSENT_LEFT] = "left-ns",
	[MBUF_A_CONSENT_ERROR] = "error",
};

static const char *const paged_fields[NUMBERS] = {
	[MBUF_A_PAGED_SIZE] = "size",
	[MBUF_A_PAGED_RESIDENT] = "resident",
	[MBUF_A_PAGED_WAITING] = "waiting",
	[MBUF_A_PAGED_FAULTS] = "faults",
	[MBUF_A_PAGED_SUPPLIED] = "supplied",
	[MBUF_A_PAGED_EVICTED] = "evicted",
	[MBUF_A_PAGED_REFUSED] = "refused",
	[MBUF_A_PAGED_CLIENTS] = "clients",
	[MBUF_A_PAGED_ORPHAN] = "orphan",
	[MBUF_A_PAGED_SLOW] = "slow",
};

/* What an object has of its own: the nest, and the names in it. */
static const struct kind {
	int nest;
	const char *const *fields;
} kinds[] = {
	[MBUF_OBJECT_TYPE_SESSION] = { MBUF_A_OBJECT_SESSION, session_fields },
	[MBUF_OBJECT_TYPE_QUEUE] = { MBUF_A_OBJECT_QUEUE, queue_fields },
	[MBUF_OBJECT_TYPE_ENDPOINT] = { MBUF_A_OBJECT_ENDPOINT,
					endpoint_fields },
	[MBUF_OBJECT_TYPE_LISTENER] = { MBUF_A_OBJECT_LISTENER,
					listener_fields },
	[MBUF_OBJECT_TYPE_ACCEPT_QUEUE] = { MBUF_A_OBJECT_LISTENER,
					    listener_fields },
	[MBUF_OBJECT_TYPE_REGION] = { MBUF_A_OBJECT_REGION, region_fields },
	[MBUF_OBJECT_TYPE_TABLE] = { MBUF_A_OBJECT_TABLE, table_fields },
	[MBUF_OBJECT_TYPE_MESSAGE] = { MBUF_A_OBJECT_MESSAGE, message_fields },
	[MBUF_OBJECT_TYPE_KEY] = { MBUF_A_OBJECT_KEY, key_fields },
	[MBUF_OBJECT_TYPE_CONSENT] = { MBUF_A_OBJECT_CONSENT, consent_fields },
	[MBUF_OBJECT_TYPE_PAGED] = { MBUF_A_OBJECT_PAGED, paged_fields },
};

const char *type_name(uint32_t type)
{
	return type < NR(types) && types[type] ? types[type] : "unknown";
}

uint32_t type_of_name(const char *name)
{
	uint32_t i;

	for (i = 1; i < NR(types); i++)
		if (!strcmp(types[i], name))
			return i;
	return 0;
}

const char *notice_name(uint32_t what)
{
	return what < NR(notices) && notices[what] ? notices[what] : "unknown";
}

const char *resource_name(uint64_t resource)
{
	return resource >= 1 && resource <= LIMITS ?
	       limit_names[resource - 1] : "unknown";
}

const char *field_name(uint32_t type, int field)
{
	return type < NR(kinds) && kinds[type].fields ?
	       kinds[type].fields[field] : NULL;
}

bool field_is_id(const char *name)
{
	size_t len = strlen(name);

	return len > 3 && !strcmp(name + len - 3, "-id");
}

/* What a number means, where it is not just a number; NULL: it is. */
const char *field_word(uint32_t type, int field, uint64_t n)
{
	static const char *const states[] = {
		[MBUF_MESSAGE_EMPTY] = "empty",
		[MBUF_MESSAGE_LOADED] = "loaded",
		[MBUF_MESSAGE_PARKED] = "parked",
	};

	if (type == MBUF_OBJECT_TYPE_MESSAGE &&
	    field == MBUF_A_MESSAGE_STATE && n < NR(states))
		return states[n];
	if (type == MBUF_OBJECT_TYPE_CONSENT &&
	    field == MBUF_A_CONSENT_PARTY)
		return n == MBUF_PARTY_MAKER ? "maker" : "taker";
	if (((type == MBUF_OBJECT_TYPE_MESSAGE &&
	      field == MBUF_A_MESSAGE_ERROR) ||
	     (type == MBUF_OBJECT_TYPE_CONSENT &&
	      field == MBUF_A_CONSENT_ERROR)) && n)
		return strerror((int)n);
	return NULL;
}

/* How full it is, of what. */
uint64_t object_load(const struct object *o, uint64_t *max)
{
	switch (o->type) {
	case MBUF_OBJECT_TYPE_QUEUE:
		*max = o->n[MBUF_A_QUEUE_SLOTS];
		return o->n[MBUF_A_QUEUE_DEPTH];
	case MBUF_OBJECT_TYPE_LISTENER:
	case MBUF_OBJECT_TYPE_ACCEPT_QUEUE:
		*max = o->n[MBUF_A_LISTENER_BACKLOG];
		return o->n[MBUF_A_LISTENER_PENDING];
	case MBUF_OBJECT_TYPE_PAGED:
		*max = o->n[MBUF_A_PAGED_SIZE] / (uint64_t)getpagesize();
		return o->n[MBUF_A_PAGED_RESIDENT];
	default:
		*max = 0;
		return 0;
	}
}

static uint64_t number(const struct nlattr *a)
{
	switch (mnl_attr_get_payload_len(a)) {
	case 0:
		return 1;
	case 4:
		return mnl_attr_get_u32(a);
	case 8:
		return mnl_attr_get_u64(a);
	default:
		return MISSING;
	}
}

/* Bytes of any value as text, one word. */
static void name_text(const struct nlattr *a, char *text)
{
	const unsigned char *p = mnl_attr_get_payload(a);
	unsigned int len = mnl_attr_get_payload_len(a), i;

	for (i = 0; i < len && i < 256; i++)
		text += isgraph(p[i]) && p[i] < 127 && p[i] != '\\' ?
			sprintf(text, "%c", p[i]) :
			sprintf(text, "\\x%02x", p[i]);
	*text = '\0';
}

static void latency_parse(const struct nlattr *nest, struct object *o)
{
	const struct nlattr *a;

	o->measured = true;
	mnl_attr_for_each_nested(a, nest) {
		size_t len = mnl_attr_get_payload_len(a);

		switch (mnl_attr_get_type(a)) {
		case MBUF_A_LATENCY_BUCKETS:
			if (len > sizeof(o->latency.bucket))
				len = sizeof(o->latency.bucket);
			memcpy(o->latency.bucket, mnl_attr_get_payload(a),
			       len);
			break;
		case MBUF_A_LATENCY_TOTAL:
			o->latency.total = mnl_attr_get_u64(a);
			break;
		case MBUF_A_LATENCY_LONGEST:
			o->latency.longest = mnl_attr_get_u64(a);
			break;
		}
	}
}

static void nest_parse(const struct nlattr *nest, struct object *o,
		       bool listener)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, nest) {
		uint16_t type = mnl_attr_get_type(a);

		if (listener && type == MBUF_A_LISTENER_NAME)
			name_text(a, o->name);
		else if (o->type == MBUF_OBJECT_TYPE_QUEUE &&
			 type == MBUF_A_QUEUE_LATENCY)
			latency_parse(a, o);
		else if (type < NUMBERS)
			o->n[type] = number(a);
	}
}

void object_parse(const struct nlmsghdr *h, struct object *o)
{
	const struct nlattr *a;

	memset(o, 0, sizeof(*o));
	memset(o->n, 0xff, sizeof(o->n));
	o->uid = -1;
	o->pid = -1;
	mnl_attr_for_each(a, h, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(a)) {
		case MBUF_A_OBJECT_TYPE:
			o->type = mnl_attr_get_u32(a);
			break;
		case MBUF_A_OBJECT_ID:
			o->id = mnl_attr_get_u64(a);
			break;
		case MBUF_A_OBJECT_UID:
			o->uid = mnl_attr_get_u32(a);
			break;
		case MBUF_A_OBJECT_PID:
			o->pid = mnl_attr_get_u32(a);
			break;
		case MBUF_A_OBJECT_NETNS:
			o->netns = mnl_attr_get_u32(a);
			break;
		default:
			if (o->type < NR(kinds) && kinds[o->type].nest &&
			    kinds[o->type].nest == mnl_attr_get_type(a))
				nest_parse(a, o, mnl_attr_get_type(a) ==
						 MBUF_A_OBJECT_LISTENER);
			break;
		}
	}
}

void user_parse(const struct nlmsghdr *h, struct user *u)
{
	const struct nlattr *a;

	memset(u, 0, sizeof(*u));
	mnl_attr_for_each(a, h, sizeof(struct genlmsghdr)) {
		uint16_t type = mnl_attr_get_type(a);

		if (type == MBUF_A_USER_UID)
			u->uid = mnl_attr_get_u32(a);
		else if (type == MBUF_A_USER_USERNS)
			u->userns = mnl_attr_get_u32(a);
		else if (type == MBUF_A_USER_OWN_LIMITS)
			u->own_limits = true;
		else if (type < NUMBERS)
			u->n[type] = number(a);
	}
}

void notice_parse(const struct nlmsghdr *h, struct notice *n)
{
	const struct nlattr *a;

	memset(n, 0, sizeof(*n));
	n->uid = -1;
	mnl_attr_for_each(a, h, sizeof(struct genlmsghdr)) {
		uint64_t v = number(a);

		switch (mnl_attr_get_type(a)) {
		case MBUF_A_NOTICE_NOTICE:
			n->what = (uint32_t)v;
			break;
		case MBUF_A_NOTICE_NUMBER:
			n->number = v;
			break;
		case MBUF_A_NOTICE_TYPE:
			n->type = (uint32_t)v;
			break;
		case MBUF_A_NOTICE_ID:
			n->id = v;
			break;
		case MBUF_A_NOTICE_PEER_ID:
			n->peer_id = v;
			break;
		case MBUF_A_NOTICE_UID:
			n->uid = (int64_t)v;
			break;
		case MBUF_A_NOTICE_RESOURCE:
			n->resource = v;
			break;
		case MBUF_A_NOTICE_ERROR:
			n->error = v;
			break;
		}
	}
}

struct json_object *object_json(const struct object *o)
{
	struct json_object *json = json_object_new_object();
	const char *name, *word;
	int i;

	json_object_object_add(json, "type",
			       json_object_new_string(type_name(o->type)));
	json_id(json, "id", o->id);
	if (o->uid >= 0) {
		json_number(json, "uid", (uint64_t)o->uid);
		json_number(json, "pid", (uint64_t)o->pid);
	}
	json_number(json, "netns", o->netns);
	if (o->name[0])
		json_object_object_add(json, "name",
				       json_object_new_string(o->name));
	for (i = 0; i < NUMBERS; i++) {
		name = field_name(o->type, i);
		if (!name || o->n[i] == MISSING)
			continue;
		word = field_word(o->type, i, o->n[i]);
		if (field_is_id(name))
			json_id(json, name, o->n[i]);
		else if (word)
			json_object_object_add(json, name,
					       json_object_new_string(word));
		else
			json_number(json, name, o->n[i]);
	}
	return json;
}
