/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: what objects do, as it happens.
 *
 * Objects are told by their ids, which are those that programs, /proc and
 * netlink know, and never by addresses. A tracepoint that is off costs one
 * instruction that does nothing. Where that matters mbuf_trace() is to be used:
 * what a bare tracepoint would tell is read even so.
 *
 * To add one for a new object: an event of a class below if one fits, and a call
 * where it happens, after the change was made and under the object's lock if
 * order matters.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mbuf

#if !defined(_MBUF_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _MBUF_TRACE_H

#include <linux/tracepoint.h>
#include <linux/types.h>

#ifndef _MBUF_TRACE_TYPES
#define _MBUF_TRACE_TYPES
/* What somebody sleeps for: the number is what the event has. */
enum mbuf_trace_wait {
	MBUF_TRACE_SEND,
	MBUF_TRACE_RECEIVE,
	MBUF_TRACE_SIGNAL,
	MBUF_TRACE_SIGNALS,
	MBUF_TRACE_CONNECT,
	MBUF_TRACE_ACCEPT,
	MBUF_TRACE_OFFER,
};

/* Why a message is dropped. */
enum mbuf_trace_drop {
	MBUF_TRACE_OVERWRITTEN,
	MBUF_TRACE_REFUSED,
	MBUF_TRACE_FLUSHED,
	MBUF_TRACE_DEAD,
};

/* Steps of a negotiation. */
enum mbuf_trace_step {
	MBUF_TRACE_OFFERED,
	MBUF_TRACE_TAKEN,
	MBUF_TRACE_COUNTERED,
	MBUF_TRACE_REJECTED,
	MBUF_TRACE_ANSWERED,
	MBUF_TRACE_WITHDRAWN,
};

/* What becomes of a fault that a pager is told of. */
enum mbuf_trace_fault {
	MBUF_TRACE_FAULT_RAISED,
	MBUF_TRACE_FAULT_SUPPLIED,
	MBUF_TRACE_FAULT_REFUSED,
	MBUF_TRACE_FAULT_AGAIN,		/* something else has changed: look */
	MBUF_TRACE_FAULT_GONE,		/* there is no pager any more */
	MBUF_TRACE_FAULT_LEFT,		/* who waited does not any more */
};

/* What becomes of a message object's message. */
enum mbuf_trace_enqueue {
	MBUF_TRACE_ENQUEUE_ENTERED,
	MBUF_TRACE_ENQUEUE_PARKED,
	MBUF_TRACE_ENQUEUE_DELIVERED,	/* it was parked, and has entered */
	MBUF_TRACE_ENQUEUE_CANCELLED,
	MBUF_TRACE_ENQUEUE_LOST,	/* it was parked, and the queue died */
};
#endif

TRACE_DEFINE_ENUM(MBUF_TRACE_SEND);
TRACE_DEFINE_ENUM(MBUF_TRACE_RECEIVE);
TRACE_DEFINE_ENUM(MBUF_TRACE_SIGNAL);
TRACE_DEFINE_ENUM(MBUF_TRACE_SIGNALS);
TRACE_DEFINE_ENUM(MBUF_TRACE_CONNECT);
TRACE_DEFINE_ENUM(MBUF_TRACE_ACCEPT);
TRACE_DEFINE_ENUM(MBUF_TRACE_OFFER);
TRACE_DEFINE_ENUM(MBUF_TRACE_OVERWRITTEN);
TRACE_DEFINE_ENUM(MBUF_TRACE_REFUSED);
TRACE_DEFINE_ENUM(MBUF_TRACE_FLUSHED);
TRACE_DEFINE_ENUM(MBUF_TRACE_DEAD);
TRACE_DEFINE_ENUM(MBUF_TRACE_OFFERED);
TRACE_DEFINE_ENUM(MBUF_TRACE_TAKEN);
TRACE_DEFINE_ENUM(MBUF_TRACE_COUNTERED);
TRACE_DEFINE_ENUM(MBUF_TRACE_REJECTED);
TRACE_DEFINE_ENUM(MBUF_TRACE_ANSWERED);
TRACE_DEFINE_ENUM(MBUF_TRACE_WITHDRAWN);
TRACE_DEFINE_ENUM(MBUF_TRACE_FAULT_RAISED);
TRACE_DEFINE_ENUM(MBUF_TRACE_FAULT_SUPPLIED);
TRACE_DEFINE_ENUM(MBUF_TRACE_FAULT_REFUSED);
TRACE_DEFINE_ENUM(MBUF_TRACE_FAULT_AGAIN);
TRACE_DEFINE_ENUM(MBUF_TRACE_FAULT_GONE);
TRACE_DEFINE_ENUM(MBUF_TRACE_FAULT_LEFT);
TRACE_DEFINE_ENUM(MBUF_TRACE_ENQUEUE_ENTERED);
TRACE_DEFINE_ENUM(MBUF_TRACE_ENQUEUE_PARKED);
TRACE_DEFINE_ENUM(MBUF_TRACE_ENQUEUE_DELIVERED);
TRACE_DEFINE_ENUM(MBUF_TRACE_ENQUEUE_CANCELLED);
TRACE_DEFINE_ENUM(MBUF_TRACE_ENQUEUE_LOST);

#define mbuf_show_wait(what)						\
	__print_symbolic(what,						\
			 { MBUF_TRACE_SEND, "send" },			\
			 { MBUF_TRACE_RECEIVE, "receive" },		\
			 { MBUF_TRACE_SIGNAL, "signal" },		\
			 { MBUF_TRACE_SIGNALS, "signals" },		\
			 { MBUF_TRACE_CONNECT, "connect" },		\
			 { MBUF_TRACE_ACCEPT, "accept" },		\
			 { MBUF_TRACE_OFFER, "offer" })

#define mbuf_show_drop(why)						\
	__print_symbolic(why,						\
			 { MBUF_TRACE_OVERWRITTEN, "overwritten" },	\
			 { MBUF_TRACE_REFUSED, "refused" },		\
			 { MBUF_TRACE_FLUSHED, "flushed" },		\
			 { MBUF_TRACE_DEAD, "dead" })

#define mbuf_show_step(step)						\
	__print_symbolic(step,						\
			 { MBUF_TRACE_OFFERED, "offer" },		\
			 { MBUF_TRACE_TAKEN, "take" },			\
			 { MBUF_TRACE_COUNTERED, "counter" },		\
			 { MBUF_TRACE_REJECTED, "reject" },		\
			 { MBUF_TRACE_ANSWERED, "answer" },		\
			 { MBUF_TRACE_WITHDRAWN, "withdraw" })

#define mbuf_show_fault(step)						\
	__print_symbolic(step,						\
			 { MBUF_TRACE_FAULT_RAISED, "raised" },		\
			 { MBUF_TRACE_FAULT_SUPPLIED, "supplied" },	\
			 { MBUF_TRACE_FAULT_REFUSED, "refused" },	\
			 { MBUF_TRACE_FAULT_AGAIN, "again" },		\
			 { MBUF_TRACE_FAULT_GONE, "gone" },		\
			 { MBUF_TRACE_FAULT_LEFT, "left" })

#define mbuf_show_enqueue(step)						\
	__print_symbolic(step,						\
			 { MBUF_TRACE_ENQUEUE_ENTERED, "entered" },	\
			 { MBUF_TRACE_ENQUEUE_PARKED, "parked" },	\
			 { MBUF_TRACE_ENQUEUE_DELIVERED, "delivered" },	\
			 { MBUF_TRACE_ENQUEUE_CANCELLED, "cancelled" },	\
			 { MBUF_TRACE_ENQUEUE_LOST, "lost" })

DECLARE_EVENT_CLASS(mbuf_message,
	TP_PROTO(u64 id, u64 seq, u32 len, u32 prio, u32 depth),
	TP_ARGS(id, seq, len, prio, depth),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, seq)
		__field(u32, len)
		__field(u32, prio)
		__field(u32, depth)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->seq = seq;
		__entry->len = len;
		__entry->prio = prio;
		__entry->depth = depth;
	),
	TP_printk("id=%016llx seq=%llu len=%u prio=%u depth=%u",
		  __entry->id, __entry->seq, __entry->len, __entry->prio,
		  __entry->depth)
);

/* A message has entered a queue, or has gone straight to who waited for it. */
DEFINE_EVENT(mbuf_message, mbuf_send,
	TP_PROTO(u64 id, u64 seq, u32 len, u32 prio, u32 depth),
	TP_ARGS(id, seq, len, prio, depth)
);

/*
 * A message has left a queue. If who takes it cannot be given it, it goes back,
 * and leaves again later.
 */
DEFINE_EVENT(mbuf_message, mbuf_receive,
	TP_PROTO(u64 id, u64 seq, u32 len, u32 prio, u32 depth),
	TP_ARGS(id, seq, len, prio, depth)
);

/* Messages were dropped. */
TRACE_EVENT(mbuf_drop,
	TP_PROTO(u64 id, u32 nr, u32 why),
	TP_ARGS(id, nr, why),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, nr)
		__field(u32, why)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->nr = nr;
		__entry->why = why;
	),
	TP_printk("id=%016llx nr=%u why=%s", __entry->id, __entry->nr,
		  mbuf_show_drop(__entry->why))
);

/*
 * The current thread goes to sleep. Of those that wait at several endpoints,
 * with @id 0.
 */
TRACE_EVENT(mbuf_block,
	TP_PROTO(u64 id, u32 what),
	TP_ARGS(id, what),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, what)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->what = what;
	),
	TP_printk("id=%016llx for=%s", __entry->id,
		  mbuf_show_wait(__entry->what))
);

/* The current thread, or an interrupt, ends the wait of a thread. */
TRACE_EVENT(mbuf_wake,
	TP_PROTO(u64 id, pid_t pid),
	TP_ARGS(id, pid),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(pid_t, pid)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->pid = pid;
	),
	TP_printk("id=%016llx pid=%d", __entry->id, __entry->pid)
);

/* An endpoint was signalled by its peer, which has written @seq times. */
TRACE_EVENT(mbuf_signal,
	TP_PROTO(u64 id, u64 peer_id, u64 seq),
	TP_ARGS(id, peer_id, seq),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, peer_id)
		__field(u64, seq)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->peer_id = peer_id;
		__entry->seq = seq;
	),
	TP_printk("id=%016llx peer=%016llx seq=%llu", __entry->id,
		  __entry->peer_id, __entry->seq)
);

/* A connection to a listener: it is queued, or is refused at once. */
TRACE_EVENT(mbuf_connect,
	TP_PROTO(u64 id, u64 listener_id, int err),
	TP_ARGS(id, listener_id, err),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, listener_id)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->listener_id = listener_id;
		__entry->err = err;
	),
	TP_printk("id=%016llx listener=%016llx err=%d", __entry->id,
		  __entry->listener_id, __entry->err)
);

/* A step of a negotiation, taken by the endpoint. */
TRACE_EVENT(mbuf_negotiate,
	TP_PROTO(u64 id, u64 offer, u32 step, u64 size),
	TP_ARGS(id, offer, step, size),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offer)
		__field(u32, step)
		__field(u64, size)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->offer = offer;
		__entry->step = step;
		__entry->size = size;
	),
	TP_printk("id=%016llx offer=%016llx step=%s size=%llu", __entry->id,
		  __entry->offer, mbuf_show_step(__entry->step),
		  __entry->size)
);

/*
 * A page of a paged region is missing, and what becomes of that. @fault is what
 * FAULTS tells the pager.
 */
TRACE_EVENT(mbuf_fault,
	TP_PROTO(u64 id, u64 fault, u64 offset, u32 access, u32 step),
	TP_ARGS(id, fault, offset, access, step),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, fault)
		__field(u64, offset)
		__field(u32, access)
		__field(u32, step)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->fault = fault;
		__entry->offset = offset;
		__entry->access = access;
		__entry->step = step;
	),
	TP_printk("id=%016llx fault=%llu offset=%llu access=%x step=%s",
		  __entry->id, __entry->fault, __entry->offset,
		  __entry->access, mbuf_show_fault(__entry->step))
);

/* A message object's message: it has entered a queue, or stands in line, ... */
TRACE_EVENT(mbuf_enqueue,
	TP_PROTO(u64 id, u64 queue, u32 step),
	TP_ARGS(id, queue, step),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, queue)
		__field(u32, step)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->queue = queue;
		__entry->step = step;
	),
	TP_printk("id=%016llx queue=%016llx step=%s", __entry->id,
		  __entry->queue, mbuf_show_enqueue(__entry->step))
);

/* A message was sealed: @id is the sealed one. */
TRACE_EVENT(mbuf_seal,
	TP_PROTO(u64 id, u64 key, u32 len, u32 caps),
	TP_ARGS(id, key, len, caps),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, key)
		__field(u32, len)
		__field(u32, caps)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->key = key;
		__entry->len = len;
		__entry->caps = caps;
	),
	TP_printk("id=%016llx key=%016llx len=%u caps=%u", __entry->id,
		  __entry->key, __entry->len, __entry->caps)
);

/* Somebody has a sealed message and a key, and gets what is in it or an error. */
TRACE_EVENT(mbuf_unseal,
	TP_PROTO(u64 id, u64 key, int err),
	TP_ARGS(id, key, err),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, key)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->key = key;
		__entry->err = err;
	),
	TP_printk("id=%016llx key=%016llx err=%d", __entry->id, __entry->key,
		  __entry->err)
);

/**
 * mbuf_trace() - an event, of which nothing is even looked at if nobody listens
 * @event: what its name has after "mbuf_"
 * @...: its arguments
 *
 * Context: where @event may be.
 */
#define mbuf_trace(event, ...) do {					\
	if (trace_mbuf_##event##_enabled())				\
		trace_mbuf_##event(__VA_ARGS__);			\
} while (0)

#endif /* _MBUF_TRACE_H */

/* Kbuild adds this folder to where headers are looked for. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
