/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * mbuf: the generic netlink family, through which objects are seen from outside.
 *
 * Documentation/netlink/mbuf.yaml describes it; the names here are those that
 * it gives, and a test holds the one against the other and against the kernel.
 *
 * Who sees what. An object belongs to who opened the session that made it, and
 * to the network namespace of the process that made it (a session and a
 * listener: to that in which the session was opened). A request sees objects of
 * the network namespace of its socket: those that belong to the user who opened
 * the socket; all, drivers' included, if that user and the sender have
 * CAP_NET_ADMIN there. With %MBUF_A_OBJECT_ALL and CAP_NET_ADMIN in the initial
 * user namespace it sees those of all network namespaces. What may not be seen
 * is answered as if it did not exist.
 *
 * User ids are those of the user namespace, and process ids those of the pid
 * namespace of who sends the request.
 *
 * Dumps. What exists while a dump lasts is in it exactly once. What has come or
 * gone meanwhile may be in it or not; then NLM_F_DUMP_INTR is set in what
 * follows, at the latest in the message that ends the dump. Values within one
 * object are of one moment, but for message objects, which are not stopped to be
 * looked at; those of several objects are not.
 *
 * Handles are told by who holds them: a session, whose root table they are in, or
 * a table. A request sees those in tables of sessions and in tables that it
 * sees; what a handle refers to is told whoever it belongs to. A handle that
 * another call is just moving is in no table, and what is in a message, in line
 * or in a message object or sealed, is held by none. That handles come and go is
 * a change like that of objects; that they are revoked is not, as they stay.
 *
 * Notices are sent to the group "notices" of the network namespace that the
 * object belongs to; joining takes CAP_NET_ADMIN there. Each has a number, which
 * counts those of the namespace while anybody listens anywhere: a gap shows what
 * a reader has lost, beside ENOBUFS on its socket.
 */
#ifndef _UAPI_LINUX_MBUF_NETLINK_H
#define _UAPI_LINUX_MBUF_NETLINK_H

#define MBUF_FAMILY_NAME	"mbuf"
#define MBUF_FAMILY_VERSION	1

#define MBUF_MCGRP_NOTICES	"notices"

/**
 * enum mbuf_object_type - what an object is
 * @MBUF_OBJECT_TYPE_SESSION:	an open /dev/mbuf
 * @MBUF_OBJECT_TYPE_QUEUE:	a queue
 * @MBUF_OBJECT_TYPE_ENDPOINT:	one end of a channel
 * @MBUF_OBJECT_TYPE_LISTENER:	a listener, with its own accept queue
 * @MBUF_OBJECT_TYPE_ACCEPT_QUEUE: another accept queue of a listener
 * @MBUF_OBJECT_TYPE_REGION:	a region that is no memfd; a right to a paged one
 * @MBUF_OBJECT_TYPE_TABLE:	a table, other than the root table of a session
 * @MBUF_OBJECT_TYPE_MESSAGE:	a message object
 * @MBUF_OBJECT_TYPE_KEY:	a key
 * @MBUF_OBJECT_TYPE_CONSENT:	a consent
 * @MBUF_OBJECT_TYPE_PAGED:	a paged region, whoever has rights to it
 *
 * Numbers are never reused; readers skip what they do not know.
 */
enum mbuf_object_type {
	MBUF_OBJECT_TYPE_SESSION = 1,
	MBUF_OBJECT_TYPE_QUEUE,
	MBUF_OBJECT_TYPE_ENDPOINT,
	MBUF_OBJECT_TYPE_LISTENER,
	MBUF_OBJECT_TYPE_ACCEPT_QUEUE,
	MBUF_OBJECT_TYPE_REGION,
	MBUF_OBJECT_TYPE_TABLE,
	MBUF_OBJECT_TYPE_MESSAGE,
	MBUF_OBJECT_TYPE_KEY,
	MBUF_OBJECT_TYPE_CONSENT,
	MBUF_OBJECT_TYPE_PAGED,
};

/**
 * enum mbuf_notice - what has happened
 * @MBUF_NOTICE_CREATED:	an object was made
 * @MBUF_NOTICE_DELETED:	an object has gone
 * @MBUF_NOTICE_CONNECTED:	a connection was accepted, and approved; the
 *				object is the end that has connected
 * @MBUF_NOTICE_PEER_DIED:	the peer of an endpoint has gone
 * @MBUF_NOTICE_FULL:		a sender has found a queue full. Not told again
 *				before %MBUF_NOTICE_DRAINED
 * @MBUF_NOTICE_DRAINED:	a receiver has found a queue empty that was full
 * @MBUF_NOTICE_QUOTA_REFUSED:	a user was refused for its limit; at most one a
 *				second for each user
 * @MBUF_NOTICE_CAP_REFUSED:	a capability was refused for what it is, not for
 *				how it was named: with EOPNOTSUPP, EPERM,
 *				EACCES or ELOOP, or by a security module at the
 *				receiver. The object is where it was to go, or
 *				was: a queue, a message object, a key
 * @MBUF_NOTICE_PAGER_SLOW:	the pager of a paged region has not answered a
 *				fault for %MBUF_PAGER_SLOW_MS; at most one a
 *				second for each region, and only for faults that
 *				began while somebody listened
 */
enum mbuf_notice {
	MBUF_NOTICE_CREATED = 1,
	MBUF_NOTICE_DELETED,
	MBUF_NOTICE_CONNECTED,
	MBUF_NOTICE_PEER_DIED,
	MBUF_NOTICE_FULL,
	MBUF_NOTICE_DRAINED,
	MBUF_NOTICE_QUOTA_REFUSED,
	MBUF_NOTICE_CAP_REFUSED,
	MBUF_NOTICE_PAGER_SLOW,
};

/* After how long a pager is slow. */
#define MBUF_PAGER_SLOW_MS	1000

/* Buckets of a queue's latency: those of 2^i to 2^(i+1) - 1 nanoseconds. */
#define MBUF_LATENCY_BUCKETS	40

/**
 * enum mbuf_resource_type - what a user can have too much of
 * @MBUF_RESOURCE_TYPE_OBJECTS:	objects
 * @MBUF_RESOURCE_TYPE_MEMORY:	bytes that belong to objects
 * @MBUF_RESOURCE_TYPE_INFLIGHT: bytes of messages outside of those
 * @MBUF_RESOURCE_TYPE_HANDLES:	handles in tables
 * @MBUF_RESOURCE_TYPE_CAPS:	capabilities in flight
 */
enum mbuf_resource_type {
	MBUF_RESOURCE_TYPE_OBJECTS = 1,
	MBUF_RESOURCE_TYPE_MEMORY,
	MBUF_RESOURCE_TYPE_INFLIGHT,
	MBUF_RESOURCE_TYPE_HANDLES,
	MBUF_RESOURCE_TYPE_CAPS,
};

/* Attributes of an object; see the specification for what each of them says. */
enum {
	MBUF_A_OBJECT_PAD = 1,
	MBUF_A_OBJECT_TYPE,
	MBUF_A_OBJECT_ID,
	MBUF_A_OBJECT_UID,
	MBUF_A_OBJECT_PID,
	MBUF_A_OBJECT_NETNS,
	MBUF_A_OBJECT_ALL,
	MBUF_A_OBJECT_KERNEL,
	MBUF_A_OBJECT_QUEUE,
	MBUF_A_OBJECT_ENDPOINT,
	MBUF_A_OBJECT_LISTENER,
	MBUF_A_OBJECT_REGION,
	MBUF_A_OBJECT_SESSION,
	MBUF_A_OBJECT_TABLE,
	MBUF_A_OBJECT_MESSAGE,
	MBUF_A_OBJECT_KEY,
	MBUF_A_OBJECT_CONSENT,
	MBUF_A_OBJECT_PAGED,
	MBUF_A_OBJECT_MEASURE,

	__MBUF_A_OBJECT_MAX,
	MBUF_A_OBJECT_MAX = (__MBUF_A_OBJECT_MAX - 1)
};

/* In %MBUF_A_OBJECT_QUEUE: as struct mbuf_queue_info. */
enum {
	MBUF_A_QUEUE_PAD = 1,
	MBUF_A_QUEUE_SLOTS,
	MBUF_A_QUEUE_MAX_MSG,
	MBUF_A_QUEUE_FLAGS,
	MBUF_A_QUEUE_DEPTH,
	MBUF_A_QUEUE_HIGH_WATER,
	MBUF_A_QUEUE_SENDERS,
	MBUF_A_QUEUE_RECEIVERS,
	MBUF_A_QUEUE_SEND_WAITERS,
	MBUF_A_QUEUE_RECV_WAITERS,
	MBUF_A_QUEUE_SENT,
	MBUF_A_QUEUE_RECEIVED,
	MBUF_A_QUEUE_DROPPED,
	MBUF_A_QUEUE_REFUSED,
	MBUF_A_QUEUE_SEND_BLOCKED,
	MBUF_A_QUEUE_RECV_BLOCKED,
	MBUF_A_QUEUE_MAX_CAPS,
	MBUF_A_QUEUE_PARENT_ID,
	MBUF_A_QUEUE_LATENCY,

	__MBUF_A_QUEUE_MAX,
	MBUF_A_QUEUE_MAX = (__MBUF_A_QUEUE_MAX - 1)
};

/* In %MBUF_A_QUEUE_LATENCY. */
enum {
	MBUF_A_LATENCY_PAD = 1,
	MBUF_A_LATENCY_BUCKETS,
	MBUF_A_LATENCY_TOTAL,
	MBUF_A_LATENCY_LONGEST,

	__MBUF_A_LATENCY_MAX,
	MBUF_A_LATENCY_MAX = (__MBUF_A_LATENCY_MAX - 1)
};

/* In %MBUF_A_OBJECT_ENDPOINT: as struct mbuf_channel_info. */
enum {
	MBUF_A_ENDPOINT_PAD = 1,
	MBUF_A_ENDPOINT_PEER_ID,
	MBUF_A_ENDPOINT_FLAGS,
	MBUF_A_ENDPOINT_STATE,
	MBUF_A_ENDPOINT_SEQ,
	MBUF_A_ENDPOINT_PEER_SEQ,
	MBUF_A_ENDPOINT_SIGNALS,
	MBUF_A_ENDPOINT_PEER_SIGNALS,
	MBUF_A_ENDPOINT_WAITERS,
	MBUF_A_ENDPOINT_PEER_UID,
	MBUF_A_ENDPOINT_PEER_PID,
	MBUF_A_ENDPOINT_PEER_KERNEL,

	__MBUF_A_ENDPOINT_MAX,
	MBUF_A_ENDPOINT_MAX = (__MBUF_A_ENDPOINT_MAX - 1)
};

/* In %MBUF_A_OBJECT_LISTENER: as struct mbuf_listener_info. */
enum {
	MBUF_A_LISTENER_PAD = 1,
	MBUF_A_LISTENER_LISTENER_ID,
	MBUF_A_LISTENER_NAME,
	MBUF_A_LISTENER_MODE,
	MBUF_A_LISTENER_UID,
	MBUF_A_LISTENER_GID,
	MBUF_A_LISTENER_BACKLOG,
	MBUF_A_LISTENER_PENDING,
	MBUF_A_LISTENER_WAITERS,
	MBUF_A_LISTENER_QUEUES,
	MBUF_A_LISTENER_ACL,
	MBUF_A_LISTENER_ACCEPTED,
	MBUF_A_LISTENER_DENIED,
	MBUF_A_LISTENER_OVERFLOWED,
	MBUF_A_LISTENER_WITHDRAWN,

	__MBUF_A_LISTENER_MAX,
	MBUF_A_LISTENER_MAX = (__MBUF_A_LISTENER_MAX - 1)
};

/* In %MBUF_A_OBJECT_REGION: as struct mbuf_region_info. */
enum {
	MBUF_A_REGION_PAD = 1,
	MBUF_A_REGION_SIZE,
	MBUF_A_REGION_RIGHTS,
	MBUF_A_REGION_OPTIONS,

	__MBUF_A_REGION_MAX,
	MBUF_A_REGION_MAX = (__MBUF_A_REGION_MAX - 1)
};

/* In %MBUF_A_OBJECT_SESSION. */
enum {
	MBUF_A_SESSION_PAD = 1,
	MBUF_A_SESSION_TABLE_ID,
	MBUF_A_SESSION_HANDLES,

	__MBUF_A_SESSION_MAX,
	MBUF_A_SESSION_MAX = (__MBUF_A_SESSION_MAX - 1)
};

/* In %MBUF_A_OBJECT_TABLE. */
enum {
	MBUF_A_TABLE_PAD = 1,
	MBUF_A_TABLE_HANDLES,
	MBUF_A_TABLE_PARENT_ID,

	__MBUF_A_TABLE_MAX,
	MBUF_A_TABLE_MAX = (__MBUF_A_TABLE_MAX - 1)
};

/* In %MBUF_A_OBJECT_MESSAGE: as struct mbuf_message_info. */
enum {
	MBUF_A_MESSAGE_PAD = 1,
	MBUF_A_MESSAGE_STATE,
	MBUF_A_MESSAGE_ERROR,
	MBUF_A_MESSAGE_MAX_MSG,
	MBUF_A_MESSAGE_MAX_CAPS,
	MBUF_A_MESSAGE_LEN,
	MBUF_A_MESSAGE_CAPS,
	MBUF_A_MESSAGE_DELIVERED,
	MBUF_A_MESSAGE_DEST_ID,
	MBUF_A_MESSAGE_INBOX_ID,
	MBUF_A_MESSAGE_PARENT_ID,

	__MBUF_A_MESSAGE_MAX,
	MBUF_A_MESSAGE_MAX = (__MBUF_A_MESSAGE_MAX - 1)
};

/* In %MBUF_A_OBJECT_KEY. */
enum {
	MBUF_A_KEY_PAD = 1,
	MBUF_A_KEY_RIGHTS,
	MBUF_A_KEY_SEALED,

	__MBUF_A_KEY_MAX,
	MBUF_A_KEY_MAX = (__MBUF_A_KEY_MAX - 1)
};

/* In %MBUF_A_OBJECT_CONSENT: as struct mbuf_consent_info. */
enum {
	MBUF_A_CONSENT_PAD = 1,
	MBUF_A_CONSENT_END_ID,
	MBUF_A_CONSENT_PEER_ID,
	MBUF_A_CONSENT_OFFER_ID,
	MBUF_A_CONSENT_PARTY,
	MBUF_A_CONSENT_FLAGS,
	MBUF_A_CONSENT_RIGHTS,
	MBUF_A_CONSENT_MIN_SIZE,
	MBUF_A_CONSENT_MAX_SIZE,
	MBUF_A_CONSENT_LEFT,
	MBUF_A_CONSENT_ERROR,

	__MBUF_A_CONSENT_MAX,
	MBUF_A_CONSENT_MAX = (__MBUF_A_CONSENT_MAX - 1)
};

/* In %MBUF_A_OBJECT_PAGED: as struct mbuf_paged_info. */
enum {
	MBUF_A_PAGED_PAD = 1,
	MBUF_A_PAGED_SIZE,
	MBUF_A_PAGED_RESIDENT,
	MBUF_A_PAGED_WAITING,
	MBUF_A_PAGED_FAULTS,
	MBUF_A_PAGED_SUPPLIED,
	MBUF_A_PAGED_EVICTED,
	MBUF_A_PAGED_REFUSED,
	MBUF_A_PAGED_CLIENTS,
	MBUF_A_PAGED_ORPHAN,
	MBUF_A_PAGED_SLOW,

	__MBUF_A_PAGED_MAX,
	MBUF_A_PAGED_MAX = (__MBUF_A_PAGED_MAX - 1)
};

/* What a user has and may have. */
enum {
	MBUF_A_USER_PAD = 1,
	MBUF_A_USER_UID,
	MBUF_A_USER_USERNS,
	MBUF_A_USER_OBJECTS,
	MBUF_A_USER_OBJECTS_LIMIT,
	MBUF_A_USER_MEMORY,
	MBUF_A_USER_MEMORY_LIMIT,
	MBUF_A_USER_INFLIGHT,
	MBUF_A_USER_INFLIGHT_LIMIT,
	MBUF_A_USER_HANDLES,
	MBUF_A_USER_HANDLES_LIMIT,
	MBUF_A_USER_CAPS,
	MBUF_A_USER_CAPS_LIMIT,
	MBUF_A_USER_REFUSED,
	MBUF_A_USER_OWN_LIMITS,

	__MBUF_A_USER_MAX,
	MBUF_A_USER_MAX = (__MBUF_A_USER_MAX - 1)
};

/* A handle. */
enum {
	MBUF_A_HANDLE_PAD = 1,
	MBUF_A_HANDLE_HOLDER_TYPE,
	MBUF_A_HANDLE_HOLDER_ID,
	MBUF_A_HANDLE_TABLE_ID,
	MBUF_A_HANDLE_INDEX,
	MBUF_A_HANDLE_TYPE,
	MBUF_A_HANDLE_RIGHTS,
	MBUF_A_HANDLE_OBJECT_ID,
	MBUF_A_HANDLE_UID,
	MBUF_A_HANDLE_PID,
	MBUF_A_HANDLE_NETNS,
	MBUF_A_HANDLE_ALL,

	__MBUF_A_HANDLE_MAX,
	MBUF_A_HANDLE_MAX = (__MBUF_A_HANDLE_MAX - 1)
};

/* A notice. */
enum {
	MBUF_A_NOTICE_PAD = 1,
	MBUF_A_NOTICE_NOTICE,
	MBUF_A_NOTICE_NUMBER,
	MBUF_A_NOTICE_TYPE,
	MBUF_A_NOTICE_ID,
	MBUF_A_NOTICE_PEER_ID,
	MBUF_A_NOTICE_UID,
	MBUF_A_NOTICE_RESOURCE,
	MBUF_A_NOTICE_ERROR,

	__MBUF_A_NOTICE_MAX,
	MBUF_A_NOTICE_MAX = (__MBUF_A_NOTICE_MAX - 1)
};

/* Commands. */
enum {
	MBUF_CMD_OBJECT_GET = 1,
	MBUF_CMD_USER_GET,
	MBUF_CMD_LIMIT_SET,
	MBUF_CMD_QUEUE_FLUSH,
	MBUF_CMD_NOTICE,
	MBUF_CMD_QUEUE_LATENCY,
	MBUF_CMD_HANDLE_GET,

	__MBUF_CMD_MAX,
	MBUF_CMD_MAX = (__MBUF_CMD_MAX - 1)
};

#endif /* _UAPI_LINUX_MBUF_NETLINK_H */
