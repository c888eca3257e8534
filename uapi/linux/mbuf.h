/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * mbuf: message buffers as kernel objects.
 *
 * This header is the whole contract between the kernel module and user space.
 *
 * Opening /dev/mbuf gives a *session*. A session creates objects, each of
 * which is handed out as descriptors; the access mode of a descriptor is the
 * right it carries. Descriptors outlive the session that made them.
 *
 * Rules that hold for every ioctl
 * -------------------------------
 *  - One argument, a pointer to one struct of fixed-width fields that has the
 *    same layout for 32-bit and 64-bit programs. User pointers are __u64.
 *  - The size of the struct is part of the command number. A program built
 *    against an older header passes a shorter struct, and what is missing
 *    counts as zero. A program built against a newer header may pass a longer
 *    one if the part this kernel does not know is zero, otherwise E2BIG. A
 *    struct shorter than the first version of it is EINVAL.
 *  - Arrays carry the size of an element (stride), with the same rules.
 *  - Unknown flags and reserved fields that are not zero are EINVAL.
 *  - An unknown command, or one that the object has no use for, is ENOTTY.
 *  - A call that fails has had no effect, and writes nothing but what the
 *    error's description names.
 *  - Every struct starts with @target: 0 means the object behind the
 *    descriptor. Anything else is a handle in the table behind the descriptor
 *    (see Capabilities), EOPNOTSUPP on an object that has no table, and in a
 *    call that is about the object behind the descriptor.
 *
 * Errors that any of them can give
 * --------------------------------
 *  EBADF       not an open descriptor, one opened with O_PATH, or one that
 *              lacks the right the call needs (a SEND on a receive right)
 *  ENOTTY      the descriptor is no mbuf object, or the command is not for it
 *  EFAULT      the argument cannot be read, or a result cannot be written;
 *              what the call would have written to may have been written to.
 *              If it could be written at first, and then no more, a
 *              descriptor may have been made that nobody was told of
 *  EINVAL      an argument out of its range (see each call), unknown flags
 *  E2BIG       the struct or an array element is longer than this kernel
 *              knows, and the part it does not know is not zero
 *  EOPNOTSUPP  @target is not zero, and the object has no table, or the call
 *              takes no handle there
 *  ENOMEM      no memory, or the memory cgroup's limit was met
 */
#ifndef _UAPI_LINUX_MBUF_H
#define _UAPI_LINUX_MBUF_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The type letter of every mbuf ioctl. */
#define MBUF_IOC_TYPE		0xD6

/* A flag of struct mbuf_ref: it is @handle that counts. */
#define MBUF_REF_HANDLE		0x1

/**
 * struct mbuf_ref - names an object, wherever one struct has to name another
 * @fd:		a descriptor; ignored where @flags says that @handle counts
 * @flags:	0: @fd counts. %MBUF_REF_HANDLE, only where the call says that
 *		it takes handles: @handle counts
 * @handle:	a handle in the table that the call is about; must be 0 while
 *		@flags is 0
 */
struct mbuf_ref {
	__s32 fd;
	__u32 flags;
	__u64 handle;
};

/**
 * enum mbuf_wait_mode - what a call does that cannot be done at once
 * @MBUF_WAIT_FOREVER:	sleep until it can be done
 * @MBUF_WAIT_NOW:	do not sleep: EAGAIN
 * @MBUF_WAIT_UNTIL:	sleep until the deadline at most: ETIMEDOUT
 *
 * A descriptor with O_NONBLOCK set never sleeps, whatever the mode: EAGAIN.
 */
enum mbuf_wait_mode {
	MBUF_WAIT_FOREVER = 0,
	MBUF_WAIT_NOW = 1,
	MBUF_WAIT_UNTIL = 2,
};

/* The only clock that deadlines can be given in: CLOCK_MONOTONIC. */
#define MBUF_CLOCK_MONOTONIC	0

/**
 * struct mbuf_wait - how long a call may sleep
 * @deadline:	for %MBUF_WAIT_UNTIL: absolute time in nanoseconds of
 *		CLOCK_MONOTONIC as the caller sees it (time namespaces are
 *		respected). One that has passed already makes a call try once
 *		and then report ETIMEDOUT. Otherwise must be 0
 * @mode:	one of enum mbuf_wait_mode
 * @clock:	%MBUF_CLOCK_MONOTONIC
 *
 * As the deadline is absolute, a call restarted after a signal handler
 * (SA_RESTART) does not wait anew. Without SA_RESTART it reports EINTR, and
 * has had no effect.
 */
struct mbuf_wait {
	__u64 deadline;
	__u32 mode;
	__u32 clock;
};

/**
 * struct mbuf_usage - how much of something a user has, and may have
 * @used:	what is charged to the user at the moment
 * @limit:	what the user may have; a process with CAP_SYS_RESOURCE may
 *		exceed it
 */
struct mbuf_usage {
	__u64 used;
	__u64 limit;
};

/* What the module can do: bits of struct mbuf_query.features. */
#define MBUF_FEATURE_QUEUE	0x1ULL	/* queues */
#define MBUF_FEATURE_CHANNEL	0x2ULL	/* channels, WAIT_ANY, POLL_ALL */
#define MBUF_FEATURE_LISTENER	0x4ULL	/* listeners */
#define MBUF_FEATURE_THREAD	0x8ULL	/* MBUF_END_THREAD */
#define MBUF_FEATURE_REGION	0x10ULL	/* regions */
#define MBUF_FEATURE_PAGED	0x40ULL	/* paged regions */
#define MBUF_FEATURE_PROVIDE	0x20ULL	/* CONSENT, PROVIDE */
#define MBUF_FEATURE_CAPS	0x100ULL /* MBUF_QUEUE_CAPS, tables, handles */
#define MBUF_FEATURE_MESSAGE	0x200ULL /* message objects */
#define MBUF_FEATURE_SEAL	0x400ULL /* keys and sealed messages */

/**
 * struct mbuf_query - argument of MBUF_IOC_QUERY
 * @target:	must be 0
 * @features:	out: MBUF_FEATURE_*
 * @slots_max:	out: the most slots a queue can have
 * @msg_max:	out: the largest max_msg a queue can have, in bytes
 * @inline_max:	out: messages up to this many bytes live in slots that were
 *		allocated when the queue was made; larger ones are allocated
 *		as they are sent, and charged to their sender
 * @batch_max:	out: the most messages that one batch can have
 * @prio_max:	out: the highest priority a message can have
 * @resv:	out: 0
 * @objects:	out: objects of the user who opened the session (sessions,
 *		queues, endpoints, listeners, accept queues, regions that are no
 *		memfds, consents, tables, message objects, keys and sealed
 *		messages)
 * @memory:	out: bytes allocated for those objects
 * @inflight:	out: bytes of messages that the *caller* has in flight and
 *		that are not in preallocated slots
 * @name_max:	out: the longest name of a listener, in bytes
 * @wait_any_max: out: the most endpoints that one WAIT_ANY can name
 * @backlog_max: out: the most connections that one accept queue can keep
 * @acl_max:	out: the most users that a listener's list can have
 * @handles:	out: handles in the tables of the user who opened the session
 * @caps:	out: capabilities that the *caller* has in flight
 * @caps_max:	out: the most capabilities that one message can carry
 * @path_max:	out: the most indices that a path can have
 *
 * On a session. Errors: only the common ones.
 */
struct mbuf_query {
	__u64 target;
	__u64 features;
	__u32 slots_max;
	__u32 msg_max;
	__u32 inline_max;
	__u32 batch_max;
	__u32 prio_max;
	__u32 resv;
	struct mbuf_usage objects;
	struct mbuf_usage memory;
	struct mbuf_usage inflight;
	__u32 name_max;
	__u32 wait_any_max;
	__u32 backlog_max;
	__u32 acl_max;
	struct mbuf_usage handles;
	struct mbuf_usage caps;
	__u32 caps_max;
	__u32 path_max;
};

/*
 * Queues
 * ======
 *
 * A queue holds up to @slots messages of up to @max_msg bytes. It comes as two
 * descriptors, a receive right (O_RDONLY) and a send right (O_WRONLY), each of
 * which can be duplicated, inherited and passed on. Any number of processes
 * may send and receive.
 *
 * Messages leave in the order in which they entered: always whole, never
 * twice. A sender that finds the queue full waits in line with its message,
 * and a receiver that finds it empty waits in line for one; both lines are
 * served in order, and who does not want to wait never overtakes who does.
 *
 * read(2) receives and write(2) sends one message a call, as do readv, writev
 * and their io_uring forms. read() of a message larger than the buffer is
 * EMSGSIZE, and the message stays; write() of more than max_msg is EMSGSIZE.
 * With a size of 0 read() and write() are EINVAL.
 *
 * When the last send right is closed, receivers get what is left and then
 * end-of-file: read() returns 0, RECV reports EPIPE. When the last receive
 * right is closed, the queue and all in it are gone at once and senders get
 * EPIPE, without a SIGPIPE. close() in another thread does not wake a call
 * that is asleep, as with pipes.
 *
 * A receiver that is killed before it has got its message, or whose buffer
 * turns out to be no memory or too small, puts it back where it was. Another
 * one can be told meanwhile that the queue is empty, or at its end.
 *
 * poll() of a receive right: POLLIN if there is a message; POLLHUP if no send
 * right is left (together with POLLIN until the last message is taken). Of a
 * send right: POLLOUT if a message would be taken at once; POLLERR if no
 * receive right is left. An edge-triggered receiver gets an event whenever
 * messages enter, not only when the queue was empty; an edge-triggered sender
 * whenever the queue changes from full to not full.
 */

/* Flags of struct mbuf_queue_create. */
/* Messages have priorities: the highest first, in order within one. */
#define MBUF_QUEUE_PRIO		0x01
/*
 * A full queue drops its oldest message instead of making a sender wait. With
 * %MBUF_QUEUE_PRIO it drops the oldest of the lowest priority present, and a
 * message of lower priority than that is refused with ENOBUFS.
 */
#define MBUF_QUEUE_OVERWRITE	0x02
/*
 * SEND stamps each message with its sender's process id and effective user and
 * group id. write() does not stamp: a descriptor's writer need not know what
 * it writes to, and its opener need not be who writes.
 */
#define MBUF_QUEUE_CREDS	0x04
/*
 * Messages of length 0 are allowed. RECV delivers them marked
 * %MBUF_MSG_EMPTY; read() cannot tell them from end-of-file, so it leaves them
 * where they are and reports EBADMSG.
 */
#define MBUF_QUEUE_EMPTY	0x08
/* Both descriptors start out with O_NONBLOCK. */
#define MBUF_QUEUE_NONBLOCK	0x10
/*
 * Messages can carry capabilities: see MBUF_IOC_SEND_CAPS. Not together with
 * %MBUF_QUEUE_OVERWRITE, which would make a sender close what others sent.
 */
#define MBUF_QUEUE_CAPS		0x20
/*
 * The receive right becomes a handle in the session's root table instead of a
 * descriptor. It owns the queue and can be moved into tables and messages,
 * which that of a descriptor cannot.
 */
#define MBUF_QUEUE_HANDLE	0x40

/**
 * struct mbuf_queue_create - argument of MBUF_IOC_QUEUE_CREATE
 * @target:	must be 0
 * @slots:	how many messages it holds, from 1 to mbuf_query.slots_max
 * @max_msg:	the largest message in bytes, from 1 to mbuf_query.msg_max
 * @flags:	MBUF_QUEUE_*
 * @max_caps:	the most capabilities that a message carries, from 1 to
 *		mbuf_query.caps_max with %MBUF_QUEUE_CAPS; otherwise 0
 * @recv:	in: flags and handle must be 0; out: fd is the receive right, or
 *		with %MBUF_QUEUE_HANDLE handle is, flags is %MBUF_REF_HANDLE,
 *		and fd is -1
 * @send:	in: flags and handle must be 0; out: fd is the send right
 * @id:		out: the queue's identity, never used again for another object
 *
 * On a session. Both descriptors are created with O_CLOEXEC. All memory that
 * small messages need is allocated and charged to the session's user here.
 *
 * Errors: EINVAL: @slots, @max_msg, @max_caps or @flags. EDQUOT: over the
 * user's limit of objects, memory or handles. EMFILE, ENFILE: no descriptor is
 * free. ENOMEM.
 */
struct mbuf_queue_create {
	__u64 target;
	__u32 slots;
	__u32 max_msg;
	__u32 flags;
	__u32 max_caps;
	struct mbuf_ref recv;
	struct mbuf_ref send;
	__u64 id;
};

/* Rights that a descriptor carries: struct mbuf_queue_info.rights. */
#define MBUF_RIGHT_RECV		0x01
#define MBUF_RIGHT_SEND		0x02

/**
 * struct mbuf_queue_info - argument of MBUF_IOC_QUEUE_INFO
 * @target:		0, or on a session a handle: see struct mbuf_xfer
 * @id:			out: the queue's identity
 * @slots:		out: as created
 * @max_msg:		out: as created
 * @flags:		out: as created
 * @rights:		out: MBUF_RIGHT_*: what this descriptor may do
 * @depth:		out: messages in the queue
 * @high_water:		out: the most messages there ever were in the queue
 * @senders:		out: send rights that are alive
 * @receivers:		out: receive rights that are alive
 * @send_waiters:	out: senders asleep, each with its message
 * @recv_waiters:	out: receivers asleep
 * @next_len:		out: bytes of the message that is next, 0 if none
 * @next_caps:		out: capabilities that it carries
 * @sent:		out: messages that ever entered; the sequence number of
 *			the last one
 * @received:		out: messages that receivers took
 * @dropped:		out: messages overwritten by newer ones
 * @refused:		out: messages refused with ENOBUFS
 * @send_blocked:	out: how often a sender had to wait
 * @recv_blocked:	out: how often a receiver had to wait
 *
 * On either right of a queue. All values are of one moment. Errors: only the
 * common ones, and those of a handle: see struct mbuf_xfer.
 */
struct mbuf_queue_info {
	__u64 target;
	__u64 id;
	__u32 slots;
	__u32 max_msg;
	__u32 flags;
	__u32 rights;
	__u32 depth;
	__u32 high_water;
	__u32 senders;
	__u32 receivers;
	__u32 send_waiters;
	__u32 recv_waiters;
	__u32 next_len;
	__u32 next_caps;
	__u64 sent;
	__u64 received;
	__u64 dropped;
	__u64 refused;
	__u64 send_blocked;
	__u64 recv_blocked;
};

/* Bits of struct mbuf_msg.flags as RECV sets them. */
#define MBUF_MSG_EMPTY		0x01	/* a message of length 0 */
#define MBUF_MSG_CREDS		0x02	/* pid, uid and gid are known */

/**
 * struct mbuf_msg - a message, as sent or as received
 * @buf:	address of the payload, or of the room for it
 * @len:	SEND: bytes of payload. RECV: in: bytes of room; out: bytes of
 *		payload. With EMSGSIZE, RECV sets it to the bytes of room that
 *		are needed
 * @flags:	SEND: must be 0. RECV: out: MBUF_MSG_*; ignored on input
 * @seq:	out: sequence number, counted from 1 as messages enter the
 *		queue, so that a gap shows what was dropped. Not set by a batch
 *		that sends
 * @prio:	SEND: 0 to mbuf_query.prio_max in a queue with
 *		%MBUF_QUEUE_PRIO, otherwise 0. RECV: out
 * @pid:	RECV: out: the sender's process id as seen from the receiver's
 *		pid namespace, 0 if it has none there or is not known
 * @uid:	RECV: out: the sender's effective user id at the time of SEND,
 *		as seen from the receiver's user namespace; the overflow id if
 *		it has none there or is not known
 * @gid:	RECV: out: likewise the effective group id
 */
struct mbuf_msg {
	__u64 buf;
	__u32 len;
	__u32 flags;
	__u64 seq;
	__u32 prio;
	__u32 pid;
	__u32 uid;
	__u32 gid;
};

/**
 * struct mbuf_xfer - argument of MBUF_IOC_SEND and MBUF_IOC_RECV
 * @target:	0, or on a session a handle: a right to a queue, for SEND also a
 *		%MBUF_CAP_REPLY, or a message object, whose inbox is meant
 * @wait:	how long to wait for room, or for a message
 * @flags:	must be 0. (Bits 8 and 9 are kept for priority donation: the
 *		sender gives, the receiver applies.)
 * @resv:	must be 0
 * @msg:	the message; last, so that it can grow
 *
 * SEND, on a send right. Sets msg.seq, if it can be written: the message is
 * sent by then, so that it cannot be written is no failure. Errors: EMSGSIZE:
 * longer than the queue's max_msg. EINVAL: msg.flags, msg.prio, or a length of
 * 0 without %MBUF_QUEUE_EMPTY. EPIPE: no receive right is left. EAGAIN,
 * ETIMEDOUT, EINTR: full, as @wait says. ENOBUFS: see %MBUF_QUEUE_OVERWRITE.
 * EDQUOT: the message has to be kept outside of the slots (it is larger than
 * mbuf_query.inline_max, or the queue is full and the sender waits), and the
 * sender has too much in flight. EFAULT: the payload cannot be read.
 *
 * RECV, on a receive right. Sets all of msg but buf. Errors: EMSGSIZE: the
 * next message is longer than the room; it stays, and msg.len says how long it
 * is. EPIPE: empty and no send right is left. EAGAIN, ETIMEDOUT, EINTR: empty,
 * as @wait says. EFAULT: the payload or the result cannot be written; the
 * message stays first in the queue. EBADMSG: it carries capabilities, and
 * stays: MBUF_IOC_RECV_CAPS takes it. read() and RECV_BATCH do the same.
 *
 * With a handle, all calls of queues: ENOENT, ENOTDIR, EACCES, EKEYREVOKED: as
 * with all handles (see Capabilities). ENOTTY: it is nothing of the kind, or a
 * message object that has no inbox. EBUSY: a %MBUF_CAP_REPLY that another call
 * is using.
 */
struct mbuf_xfer {
	__u64 target;
	struct mbuf_wait wait;
	__u32 flags;
	__u32 resv;
	struct mbuf_msg msg;
};

/**
 * struct mbuf_batch - argument of MBUF_IOC_SEND_BATCH and MBUF_IOC_RECV_BATCH
 * @target:	0, or on a session a handle, which is no %MBUF_CAP_REPLY
 * @wait:	how long to wait, while fewer than @min messages have moved
 * @msgs:	address of the first of @nr struct mbuf_msg
 * @nr:		how many, from 1 to mbuf_query.batch_max
 * @stride:	bytes from one element to the next: sizeof(struct mbuf_msg) or
 *		more, a multiple of 8, at most 256
 * @min:	once so many have moved the call does not wait for more. 0: it
 *		never waits; at most @nr
 * @flags:	must be 0 (see struct mbuf_xfer)
 *
 * Returns how many messages moved, counted from the first element. The call
 * stops at the first one that cannot be moved; if that is the very first one,
 * it reports why (the errors of SEND and RECV; RECV_BATCH sets its len with
 * EMSGSIZE). A deadline or a signal after the first one returns the count as
 * well. Elements that did not move are not touched otherwise. EINVAL: also
 * @nr, @stride or @min.
 */
struct mbuf_batch {
	__u64 target;
	struct mbuf_wait wait;
	__u64 msgs;
	__u32 nr;
	__u32 stride;
	__u32 min;
	__u32 flags;
};

/*
 * Channels
 * ========
 *
 * A channel is a connection of two endpoints. Each endpoint has an inbound
 * slot of 32 bytes that only the peer writes, a sequence number that counts
 * what was written to it, and a count of the signals that came since the last
 * wait. A write replaces what is in the slot, whole: a reader gets what one
 * write put there, never a mixture. Signals that nobody waits for are counted,
 * up to 2^32 - 1. Nothing is allocated for either, so neither ever blocks.
 *
 * EXCHANGE does up to four steps in this order: WRITE to the peer's slot,
 * SIGNAL the peer, WAIT for a signal, READ the own slot. A client does all
 * four for a request and its reply; a server begins with WAIT and READ and
 * then does all four for a reply and the next request.
 *
 * An endpoint has one waiter at most. A WAIT while somebody else waits is
 * EBUSY, and the first one is not disturbed. poll() is not waiting: it
 * consumes nothing, and any number may do it.
 *
 * read(2) is WAIT and READ, write(2) is WRITE and SIGNAL, of exactly 32 bytes:
 * a shorter buffer is EMSGSIZE for read(), any other size is EMSGSIZE for
 * write(), and 0 is EINVAL for both.
 *
 * When an endpoint is closed, its peer can still READ. A WAIT succeeds while
 * signals are pending, and once more, with 0 signals, if the last value was
 * neither waited for nor read; after that it is EPIPE, and read() returns 0.
 * WRITE and SIGNAL are EPIPE at once, without a SIGPIPE.
 *
 * poll(): POLLIN if a WAIT would succeed at once; POLLOUT while the peer is
 * there (and has accepted, see CONNECT); POLLPRI if OFFERED or ANSWER would
 * (see Regions); POLLHUP when the peer is gone. An edge-triggered poller gets
 * an event for every signal that nobody waited for.
 *
 * Endpoints that a session makes, by CHANNEL_CREATE, CONNECT or from its
 * listeners by ACCEPT, are attached to it unless %MBUF_END_DETACHED is given:
 * POLL_ALL on the session tells which of them are ready. Closing the endpoint
 * or the session detaches.
 */

/* Bytes in a slot. */
#define MBUF_SLOT_SIZE		32

/* Flags of struct mbuf_end. */
/* The descriptor starts out with O_NONBLOCK. */
#define MBUF_END_NONBLOCK	0x01
/* Do not attach the endpoint to the session. */
#define MBUF_END_DETACHED	0x02
/* The inbound slot can be mapped: see struct mbuf_slot_map. */
#define MBUF_END_MAP		0x04
/*
 * The endpoint belongs to the calling thread. Any other thread gets EPERM from
 * all but close(), poll() and CHANNEL_INFO; those of other processes and kernel
 * threads that work for io_uring count as others. When the thread ends or
 * executes a program, the endpoint is closed, whoever has a descriptor of it:
 * the peer is told, and what is left reports POLLHUP and EPERM. POLL_ALL tells
 * of it only if this thread asks.
 */
#define MBUF_END_THREAD		0x08

/**
 * struct mbuf_end - an endpoint that is about to be made
 * @ref:	in: flags and handle must be 0; out: fd is the endpoint, opened
 *		with O_RDWR and O_CLOEXEC
 * @cookie:	in: what POLL_ALL shall call it; 0 with %MBUF_END_DETACHED
 * @id:		out: its identity, never used again for another object
 * @flags:	in: MBUF_END_*
 * @resv:	must be 0
 */
struct mbuf_end {
	struct mbuf_ref ref;
	__u64 cookie;
	__u64 id;
	__u32 flags;
	__u32 resv;
};

/**
 * struct mbuf_channel_create - argument of MBUF_IOC_CHANNEL_CREATE
 * @target:	must be 0
 * @flags:	must be 0
 * @resv:	must be 0
 * @end:	the two endpoints
 *
 * On a session, whose user is charged. Errors: EINVAL. EDQUOT. EMFILE, ENFILE.
 * ENOMEM. EOPNOTSUPP: %MBUF_END_THREAD, and this kernel cannot do it (see
 * %MBUF_FEATURE_THREAD).
 */
struct mbuf_channel_create {
	__u64 target;
	__u32 flags;
	__u32 resv;
	struct mbuf_end end[2];
};

/* Steps of an EXCHANGE: struct mbuf_exchange.steps. */
#define MBUF_STEP_WRITE		0x01
#define MBUF_STEP_SIGNAL		0x02
#define MBUF_STEP_WAIT		0x04
#define MBUF_STEP_READ		0x08

/* What is known of an endpoint: state of mbuf_exchange and others. */
#define MBUF_END_CLOSED		0x01	/* the peer is gone */
#define MBUF_END_PENDING	0x02	/* connecting, not accepted yet */
#define MBUF_END_ASKING		0x04	/* accepted, not approved yet */
#define MBUF_END_REFUSED	0x08	/* gone before it was accepted */
#define MBUF_END_DEAD		0x10	/* its thread has ended */

/**
 * struct mbuf_exchange - argument of MBUF_IOC_EXCHANGE
 * @target:	must be 0
 * @wait:	how long WAIT may take; ignored without it, but must be valid
 * @steps:	MBUF_STEP_*, one or more
 * @done:	must be 0 in a new call. A call that ends in WAIT without a
 *		signal (EAGAIN, EINTR, ETIMEDOUT) sets it to the steps that
 *		were done, which are not done again if the same struct is
 *		passed again, be it by a restart of the call or by the program.
 *		A call that succeeds sets it to 0
 * @state:	out: MBUF_END_*
 * @resv:	must be 0
 * @signals:	out: with WAIT: signals since the last wait, otherwise those
 *		that are pending. All are taken at once
 * @seq:	out: how often the own slot was written: the number of the value
 *		that is in @data with READ
 * @data:	in: with WRITE: what to write; out: with READ: what was read,
 *		zeroes if nothing was ever written
 *
 * On an endpoint. All is done in one step as seen by the peer, so a signal is
 * never seen before what was written with it. A signal wakes the waiter and
 * hands it the value that is in the slot at that moment.
 *
 * Errors: EINVAL: @steps or @done. EPIPE: the peer is gone, perhaps while the
 * call waited: then what it wrote is lost; ECONNREFUSED: it never was there, as
 * the connection was refused. EBUSY: somebody else waits;
 * nothing was done. EPERM: it belongs to another thread. ENOTCONN: not
 * approved yet. EAGAIN, ETIMEDOUT, EINTR: no signal, as @wait says; @done says
 * what was done. EFAULT: a result cannot be written; signals that had been
 * taken are pending again, but what was signalled stays so.
 */
struct mbuf_exchange {
	__u64 target;
	struct mbuf_wait wait;
	__u32 steps;
	__u32 done;
	__u32 state;
	__u32 resv;
	__u64 signals;
	__u64 seq;
	__u8 data[MBUF_SLOT_SIZE];
};

/**
 * struct mbuf_slot_map - what mmap() of an endpoint shows
 * @version:	odd while the rest is being changed
 * @state:	MBUF_END_*
 * @seq:	as struct mbuf_exchange.seq
 * @signals:	signals that are pending
 * @resv:	0
 * @data:	the slot
 *
 * An endpoint made with %MBUF_END_MAP can be mapped: one page, offset 0,
 * MAP_SHARED, PROT_READ (anything else is EPERM or EINVAL, ENODEV without the
 * flag). To read, load @version until it is even, copy what is wanted with
 * loads that the compiler may not merge, and start again if @version has
 * changed meanwhile. The kernel changes it with interrupts disabled, so it is
 * odd for some nanoseconds only. A mapping does not keep the endpoint open, and
 * stays valid, with %MBUF_END_CLOSED set in @state, for as long as it exists.
 */
struct mbuf_slot_map {
	__u32 version;
	__u32 state;
	__u64 seq;
	__u64 signals;
	__u64 resv;
	__u8 data[MBUF_SLOT_SIZE];
};

/* Who is at the other end: struct mbuf_peer.flags. */
#define MBUF_PEER_KNOWN		0x01	/* there is, or was, one */
#define MBUF_PEER_KERNEL	0x02	/* a driver; the rest is 0 */

/**
 * struct mbuf_peer - a process, as of the time when it connected or accepted
 * @pid:	process id as seen from the caller's pid namespace, 0 if it has
 *		none there
 * @uid:	effective user id as seen from the caller's user namespace, the
 *		overflow id if it has none there
 * @gid:	effective group id, likewise
 * @flags:	MBUF_PEER_*
 * @start:	when the process was started: nanoseconds since boot, as the
 *		caller sees them (field 22 of /proc/PID/stat has the same in
 *		clock ticks). Process ids are used again; together with this
 *		they are not
 */
struct mbuf_peer {
	__u32 pid;
	__u32 uid;
	__u32 gid;
	__u32 flags;
	__u64 start;
};

/**
 * struct mbuf_channel_info - argument of MBUF_IOC_CHANNEL_INFO
 * @target:	must be 0
 * @id:		out: the endpoint's identity
 * @peer_id:	out: that of the other endpoint
 * @flags:	out: MBUF_END_* as given when it was made
 * @state:	out: MBUF_END_*
 * @seq:	out: how often the own slot was written
 * @peer_seq:	out: how often the peer's was
 * @signals:	out: signals pending
 * @peer_signals: out: signals pending at the peer
 * @waiters:	out: 1 if somebody waits
 * @resv:	out: 0
 * @peer:	out: who is at the other end
 *
 * On an endpoint, by anybody who has it. Errors: only the common ones.
 */
struct mbuf_channel_info {
	__u64 target;
	__u64 id;
	__u64 peer_id;
	__u32 flags;
	__u32 state;
	__u64 seq;
	__u64 peer_seq;
	__u32 signals;
	__u32 peer_signals;
	__u32 waiters;
	__u32 resv;
	struct mbuf_peer peer;
};

/**
 * struct mbuf_approve - argument of MBUF_IOC_APPROVE
 * @target:	must be 0
 * @verdict:	1: the connection is approved; 0: it is refused
 * @resv:	must be 0
 *
 * On an endpoint from ACCEPT with %MBUF_ACCEPT_ASK. Until then it can be
 * looked at with CHANNEL_INFO and READ, and closing it refuses the connection.
 * Errors: EINVAL: @verdict, or it has been approved or refused already.
 * EPIPE: who asked has gone. EPERM: it belongs to another thread.
 */
struct mbuf_approve {
	__u64 target;
	__u32 verdict;
	__u32 resv;
};

/*
 * Sets of endpoints
 * =================
 */

/**
 * struct mbuf_attach - argument of MBUF_IOC_ATTACH and MBUF_IOC_DETACH
 * @target:	must be 0
 * @ref:	an endpoint, listener or accept queue
 * @cookie:	ATTACH: what POLL_ALL shall call it; DETACH: must be 0
 * @flags:	ATTACH: 0 or %MBUF_ATTACH_MOVE; DETACH: must be 0
 * @resv:	must be 0
 *
 * On a session. Errors: EBADF: @ref is no descriptor. ENOTTY: it is none that
 * can be attached. EBUSY: it is attached to a session already, which may be
 * this one. EPERM: it belongs to another thread, which may have ended. EPIPE:
 * its connection was refused. DETACH: ENOENT: it is not attached to this
 * session.
 */
struct mbuf_attach {
	__u64 target;
	struct mbuf_ref ref;
	__u64 cookie;
	__u32 flags;
	__u32 resv;
};

/* Detach it from the session that it is attached to first. */
#define MBUF_ATTACH_MOVE	0x01

/* What POLL_ALL tells: struct mbuf_event.events. The values of poll(2). */
#define MBUF_EVENT_IN		0x0001	/* a WAIT or ACCEPT would succeed */
#define MBUF_EVENT_OFFER	0x0002	/* a step of a negotiation, see OFFER */
#define MBUF_EVENT_OUT		0x0004	/* accepted, and not used since */
#define MBUF_EVENT_HUP		0x0010	/* the peer, or the listener, is gone */

/**
 * struct mbuf_event - something that is ready
 * @cookie:	as attached
 * @events:	MBUF_EVENT_*
 * @resv:	0
 */
struct mbuf_event {
	__u64 cookie;
	__u32 events;
	__u32 resv;
};

/**
 * struct mbuf_poll_all - argument of MBUF_IOC_POLL_ALL
 * @target:	must be 0
 * @wait:	how long to wait, if nothing is ready
 * @events:	address of room for @nr struct mbuf_event
 * @nr:		how many, from 1 to mbuf_query.batch_max
 * @stride:	bytes from one element to the next: 16 or more, a multiple of 8,
 *		at most 256
 * @flags:	must be 0
 * @resv:	must be 0
 *
 * On a session. Returns how many elements were filled in. What is attached and
 * ready is told each time, until it is no longer ready (level-triggered), in
 * turn if there is more than @nr. What it costs depends on what is ready, not
 * on what is attached. The session is ready for poll() when POLL_ALL would not
 * wait in the thread that asks. Any number of threads may wait; what becomes
 * ready wakes one of them.
 *
 * Errors: EINVAL: @nr, @stride, @flags. EAGAIN, ETIMEDOUT, EINTR: nothing is
 * ready, as @wait says. EFAULT: an element cannot be written.
 */
struct mbuf_poll_all {
	__u64 target;
	struct mbuf_wait wait;
	__u64 events;
	__u32 nr;
	__u32 stride;
	__u32 flags;
	__u32 resv;
};

/**
 * struct mbuf_wait_any - argument of MBUF_IOC_WAIT_ANY
 * @target:	must be 0
 * @wait:	how long to wait
 * @ends:	address of @nr struct mbuf_ref, each an endpoint
 * @nr:		how many, from 1 to mbuf_query.wait_any_max
 * @stride:	bytes from one element to the next: 16 or more, a multiple of 8,
 *		at most 256
 * @flags:	must be 0
 * @index:	out: which of them, counted from 0
 * @state:	out: MBUF_END_* of that endpoint
 * @resv:	must be 0
 * @signals:	out: signals taken, as EXCHANGE
 * @seq:	out: number of the value
 * @data:	out: the value
 *
 * On a session, though the endpoints need not be attached to it. WAIT and READ
 * on the first of several endpoints to get a signal. The call is the one
 * waiter of all of them while it lasts. If several are ready, the call takes
 * the first at or after one that changes from call to call, so that none is
 * starved. An endpoint whose peer is gone and that has nothing left is ready
 * with %MBUF_END_CLOSED and 0 signals; whether the value is a new one is seen
 * from @seq. O_NONBLOCK counts if the session has it.
 *
 * Errors: EINVAL: @nr, @stride, @flags, or an endpoint is named twice. EBADF:
 * a reference is no descriptor. ENOTTY: it is no endpoint. EBUSY: somebody
 * waits for one of them. Of two calls for overlapping sets, one succeeds.
 * EPERM: one belongs to another thread. ENOTCONN: one is not approved yet.
 * EAGAIN, ETIMEDOUT, EINTR: no signal, as @wait says. EFAULT: as EXCHANGE.
 */
struct mbuf_wait_any {
	__u64 target;
	struct mbuf_wait wait;
	__u64 ends;
	__u32 nr;
	__u32 stride;
	__u32 flags;
	__u32 index;
	__u32 state;
	__u32 resv;
	__u64 signals;
	__u64 seq;
	__u8 data[MBUF_SLOT_SIZE];
};

/*
 * Listeners
 * =========
 *
 * A listener has a name by which others can connect. A name is 1 to
 * mbuf_query.name_max bytes of any value, compared as bytes: a NUL in it is a
 * byte like others and ends nothing, and there is no normalization. Names
 * belong to the network namespace in which the process was that opened the
 * session, as abstract names of AF_UNIX do. A name is free again as soon as
 * the last descriptor of the listener is closed.
 *
 * Who may connect is decided at CONNECT. If the user is in the listener's list,
 * that says yes or no. Otherwise the write permission that @mode grants to the
 * owner, the group or others decides, as for a file, but with the effective ids
 * and without exceptions for capabilities. A CONNECT that is refused so, or
 * finds no room, allocates nothing and wakes nobody.
 *
 * A connection that is not accepted yet is in an accept queue. A listener has
 * one, unless its backlog is 0, and ACCEPT_QUEUE makes more, each with a
 * descriptor of its own, so that each thread can serve its own. A new
 * connection goes to the queue in which somebody has waited longest in ACCEPT,
 * or else to the one that has the fewest, in turn. When an accept queue is
 * closed, its connections move to others; those that find no room are refused.
 * Who has only an accept queue can accept, but not change the listener.
 *
 * poll() of a listener or accept queue: POLLIN if ACCEPT would succeed.
 * POLLHUP, of an accept queue, when the listener is gone.
 */

/* Flags of struct mbuf_listen and struct mbuf_listener_set. */
#define MBUF_LISTEN_NONBLOCK	0x01	/* starts out with O_NONBLOCK */
#define MBUF_LISTEN_DETACHED	0x02	/* do not attach to the session */
#define MBUF_LISTEN_OWNER	0x04	/* uid counts */
#define MBUF_LISTEN_GROUP	0x08	/* gid counts */
#define MBUF_LISTEN_MODE	0x10	/* SET: mode counts */
#define MBUF_LISTEN_BACKLOG	0x20	/* SET: backlog counts */

/**
 * struct mbuf_listen - argument of MBUF_IOC_LISTEN
 * @target:	must be 0
 * @name:	address of the name
 * @name_len:	its length in bytes
 * @flags:	MBUF_LISTEN_* up to GROUP
 * @mode:	permissions, of which the write bits (0222) count; at most 0777
 * @backlog:	how many connections the listener's own accept queue keeps, at
 *		most mbuf_query.backlog_max; 0: it has none
 * @uid:	with %MBUF_LISTEN_OWNER: the owner; otherwise must be 0, and the
 *		owner is the effective user id of the caller
 * @gid:	with %MBUF_LISTEN_GROUP: the group; otherwise must be 0, and the
 *		group is the effective group id of the caller
 * @cookie:	what POLL_ALL shall call it; 0 with %MBUF_LISTEN_DETACHED
 * @listener:	in: flags and handle must be 0; out: fd is the listener, opened
 *		with O_RDWR and O_CLOEXEC
 * @id:		out: its identity
 *
 * On a session, whose user is charged. Errors: EINVAL: an argument, or an id
 * that the caller's user namespace does not have. ENAMETOOLONG. EADDRINUSE:
 * there is a listener of that name. EPERM: an owner other than the caller, or
 * a group that it is not in, without CAP_CHOWN in its user namespace. EDQUOT.
 * EMFILE, ENFILE. ENOMEM.
 */
struct mbuf_listen {
	__u64 target;
	__u64 name;
	__u32 name_len;
	__u32 flags;
	__u32 mode;
	__u32 backlog;
	__u32 uid;
	__u32 gid;
	__u64 cookie;
	struct mbuf_ref listener;
	__u64 id;
};

/**
 * struct mbuf_listener_set - argument of MBUF_IOC_LISTENER_SET
 * @target:	must be 0
 * @flags:	what to change: %MBUF_LISTEN_OWNER, GROUP, MODE, BACKLOG
 * @mode:	as struct mbuf_listen; 0 if not to be changed
 * @backlog:	what waits already stays. A backlog of 0 cannot be changed, and
 *		nothing can be changed to it
 * @uid:	the new owner; 0 if not to be changed
 * @gid:	the new group; likewise
 * @resv:	must be 0
 *
 * On a listener. The errors of LISTEN about an owner and a group, as seen from
 * who calls. Errors: EINVAL. EPERM. ENOMEM.
 */
struct mbuf_listener_set {
	__u64 target;
	__u32 flags;
	__u32 mode;
	__u32 backlog;
	__u32 uid;
	__u32 gid;
	__u32 resv;
};

/**
 * enum mbuf_acl_op - what to do with a user in a listener's list
 * @MBUF_ACL_FORGET:	not in the list
 * @MBUF_ACL_ALLOW:	may connect, whatever the mode
 * @MBUF_ACL_DENY:	may not
 */
enum mbuf_acl_op {
	MBUF_ACL_FORGET = 0,
	MBUF_ACL_ALLOW = 1,
	MBUF_ACL_DENY = 2,
};

/**
 * struct mbuf_listener_acl - argument of MBUF_IOC_LISTENER_ACL
 * @target:	must be 0
 * @uid:	whom, as seen from the caller's user namespace
 * @op:		enum mbuf_acl_op
 *
 * On a listener. In force for every CONNECT that begins after it returns; with
 * %MBUF_ACL_DENY connections of the user that nobody has accepted yet are
 * refused, too. Errors: EINVAL: @op, or no such user in the namespace. ENOSPC:
 * the list has mbuf_query.acl_max users. EDQUOT. ENOMEM.
 */
struct mbuf_listener_acl {
	__u64 target;
	__u32 uid;
	__u32 op;
};

/**
 * struct mbuf_listener_info - argument of MBUF_IOC_LISTENER_INFO
 * @target:	must be 0
 * @id:		out: the identity of the listener, or of the accept queue
 * @listener_id: out: that of the listener
 * @name:	in: address of room for the name, or 0
 * @name_len:	in: bytes of room; out: length of the name
 * @mode:	out: as set, as are uid and gid
 * @uid:	out
 * @gid:	out
 * @backlog:	out: of this accept queue
 * @pending:	out: connections in this accept queue
 * @waiters:	out: threads asleep in ACCEPT on it
 * @queues:	out: accept queues of the listener
 * @acl_nr:	out: users in the list
 * @resv:	out: 0
 * @accepted:	out: connections that were accepted from any of its queues
 * @denied:	out: that were refused for who asked; not for who was asked,
 *		see %MBUF_CONNECT_UID
 * @overflowed:	out: that were refused as there was no room
 * @withdrawn:	out: that who asked ended before somebody accepted
 *
 * On a listener or accept queue. Errors: EMSGSIZE: the name is longer than
 * @name_len, which says how long; nothing else is written.
 */
struct mbuf_listener_info {
	__u64 target;
	__u64 id;
	__u64 listener_id;
	__u64 name;
	__u32 name_len;
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 backlog;
	__u32 pending;
	__u32 waiters;
	__u32 queues;
	__u32 acl_nr;
	__u32 resv;
	__u64 accepted;
	__u64 denied;
	__u64 overflowed;
	__u64 withdrawn;
};

/**
 * struct mbuf_accept_queue - argument of MBUF_IOC_ACCEPT_QUEUE
 * @target:	must be 0
 * @backlog:	how many connections it keeps, 1 to mbuf_query.backlog_max
 * @flags:	%MBUF_LISTEN_NONBLOCK, %MBUF_LISTEN_DETACHED
 * @cookie:	what POLL_ALL shall call it; 0 if detached
 * @queue:	in: flags and handle must be 0; out: fd is the accept queue,
 *		opened with O_RDONLY and O_CLOEXEC
 * @id:		out: its identity
 *
 * On a listener. It is attached to the session that the listener is attached
 * to, and charged to who pays for the listener, which it keeps charged, too,
 * until it is closed. Errors: EINVAL. ENOSPC: a listener has 256 at most, with
 * its own. EDQUOT. EMFILE, ENFILE. ENOMEM.
 */
struct mbuf_accept_queue {
	__u64 target;
	__u32 backlog;
	__u32 flags;
	__u64 cookie;
	struct mbuf_ref queue;
	__u64 id;
};

/* Flags of struct mbuf_connect. */
#define MBUF_CONNECT_ASYNC	0x01	/* do not wait until it is accepted */
#define MBUF_CONNECT_UID	0x02	/* uid counts */
#define MBUF_CONNECT_HELLO	0x04	/* data is written, with a signal */

/**
 * struct mbuf_connect - argument of MBUF_IOC_CONNECT
 * @target:	must be 0
 * @wait:	how long to wait until it is accepted
 * @name:	address of the listener's name
 * @name_len:	its length in bytes
 * @flags:	MBUF_CONNECT_*
 * @uid:	with %MBUF_CONNECT_UID: the effective user id that the process
 *		must have had that made the listener; otherwise 0
 * @resv:	must be 0
 * @end:	the endpoint
 * @data:	with %MBUF_CONNECT_HELLO: the first value for the peer's slot,
 *		which it can read before it approves; otherwise zeroes
 *
 * On a session, whose user is charged until the connection is accepted for
 * both endpoints, then for this one. The identity that the peer sees is that
 * of the calling process at this moment.
 *
 * With %MBUF_CONNECT_ASYNC it returns as soon as the connection is in an
 * accept queue, whatever @wait says. The endpoint can be used at once; what is
 * written is found when it is accepted, and poll() gives POLLOUT from then on.
 * If it is refused that looks as if the peer had gone, with ECONNREFUSED
 * instead of EPIPE. It is the same with %MBUF_WAIT_NOW or O_NONBLOCK of the
 * session, but only if somebody waits in ACCEPT, who is given the connection.
 *
 * A call that is restarted after a signal handler is a new connection.
 *
 * Errors: EINVAL. ENAMETOOLONG. ECONNREFUSED: there is no such listener, it
 * did not approve, or it is gone. EACCES: it does not want this user, or it was
 * not made by @uid. EAGAIN: there is no room in its accept queues; or with
 * %MBUF_WAIT_NOW or O_NONBLOCK, and not ASYNC: nobody waits in ACCEPT.
 * ETIMEDOUT, EINTR: not accepted, as @wait says, and withdrawn. EDQUOT. EMFILE,
 * ENFILE. ENOMEM. EOPNOTSUPP: as CHANNEL_CREATE.
 */
struct mbuf_connect {
	__u64 target;
	struct mbuf_wait wait;
	__u64 name;
	__u32 name_len;
	__u32 flags;
	__u32 uid;
	__u32 resv;
	struct mbuf_end end;
	__u8 data[MBUF_SLOT_SIZE];
};

/* Flags of struct mbuf_accept. */
#define MBUF_ACCEPT_ASK		0x01	/* who asks waits for APPROVE */

/**
 * struct mbuf_accept - argument of MBUF_IOC_ACCEPT
 * @target:	must be 0
 * @wait:	how long to wait for a connection
 * @flags:	MBUF_ACCEPT_*
 * @resv:	must be 0
 * @end:	the endpoint. It is attached to the session that the accept
 *		queue is attached to, if any, and charged to who pays for the
 *		accept queue
 * @peer:	out: who connected
 *
 * On a listener or an accept queue. Errors: EINVAL: also a listener with a
 * backlog of 0. EAGAIN, ETIMEDOUT, EINTR: no connection, as @wait says. EPIPE:
 * an accept queue whose listener is gone. EDQUOT. EMFILE, ENFILE. ENOMEM.
 * EOPNOTSUPP: as CHANNEL_CREATE. With all of them the connection stays in the
 * queue.
 */
struct mbuf_accept {
	__u64 target;
	struct mbuf_wait wait;
	__u32 flags;
	__u32 resv;
	struct mbuf_end end;
	struct mbuf_peer peer;
};

/*
 * Regions
 * =======
 *
 * A region is memory that the two sides of a channel have agreed on. One side
 * makes an offer, the other looks at it and takes it, rejects it, or says what
 * it would like instead. When it takes it, the memory is allocated, and each
 * side gets a descriptor; before that neither has anything. Each direction of
 * a channel has one negotiation at a time. poll() gives POLLPRI to the side
 * whose turn it is.
 *
 *	offering side			other side
 *	OFFER		------------->	OFFERED
 *	ANSWER		<-------------	TAKE		both have the region
 *			<-------------	COUNTER		the offer is over; the
 *							first side may OFFER
 *							something else
 *			<-------------	REJECT		the offer is over
 *	WITHDRAW	------------->			the offer is over
 *
 * A region's size is fixed. Who may read and write it gets a memfd, sealed
 * against any change of size: all that takes a memfd takes it. Who may only
 * read it gets a descriptor that can be mapped, and that no route leads from to
 * writing: neither mprotect(), nor opening it again, nor passing it on. Either
 * can be inherited and passed on like other descriptors.
 *
 * The memory is allocated when the offer is taken, charged to the memory cgroup
 * of the offering process: a lack of it is ENOMEM of TAKE. But a memfd's holder
 * can give pages back (FALLOC_FL_PUNCH_HOLE, MADV_REMOVE), and then who touches
 * them next has to pay, or gets SIGBUS if it cannot. To be safe from that takes
 * a region without a memfd: with %MBUF_OFFER_SOLID both sides get a descriptor that can be
 * mapped, and through which nothing can be given back.
 */

/* Rights to a region. */
#define MBUF_REGION_READ	0x01
#define MBUF_REGION_WRITE	0x02

/* Options of an offer. */
#define MBUF_OFFER_SOLID	0x01	/* pages cannot be given back */
#define MBUF_OFFER_MEMFD	0x02	/* the offering side brings the memory */
#define MBUF_OFFER_PROVIDED	0x04	/* only a provider can supply it */

/**
 * struct mbuf_offer - argument of MBUF_IOC_OFFER
 * @target:	must be 0
 * @min:	the smallest size in bytes, a multiple of the page size, not 0
 * @wanted:	the size that would be best, likewise, from @min to @max
 * @max:	the largest size, likewise
 * @rights:	what the peer may get: %MBUF_REGION_READ, or with
 *		%MBUF_REGION_WRITE
 * @options:	MBUF_OFFER_*
 * @memory:	with %MBUF_OFFER_MEMFD: a memfd that can be read and written and
 *		is sealed against any change of size (F_SEAL_SHRINK,
 *		F_SEAL_GROW, F_SEAL_SEAL) and not against writing; @min, @wanted
 *		and @max must all be its size. May be of huge pages, if @rights
 *		has %MBUF_REGION_WRITE. Or a paged region, likewise, that can be
 *		read and written. Otherwise must be zero
 * @id:		out: the offer's identity, never used again for another one
 *
 * On an endpoint. Does not wait. An offer that was answered, be it by COUNTER
 * or REJECT, is replaced; so is one that was taken, if ANSWER has told.
 *
 * Errors: EINVAL: an argument. EBUSY: there is one that has not been answered,
 * or that was taken, and ANSWER has not told. EPIPE: the peer is gone;
 * ECONNREFUSED: the connection was refused. ENOTCONN: not accepted, or not
 * approved yet. EOPNOTSUPP: the peer is a driver.
 * EPERM: the endpoint belongs to another thread; the memfd is not as described.
 * EBADF: @memory is no descriptor. EDQUOT. ENOMEM.
 */
struct mbuf_offer {
	__u64 target;
	__u64 min;
	__u64 wanted;
	__u64 max;
	__u32 rights;
	__u32 options;
	struct mbuf_ref memory;
	__u64 id;
};

/**
 * struct mbuf_offered - argument of MBUF_IOC_OFFERED
 * @target:	must be 0
 * @wait:	how long to wait for an offer
 * @flags:	must be 0
 * @resv:	must be 0
 * @id:		out: the offer's identity
 * @min:	out: as offered, as are the others
 * @wanted:	out
 * @max:	out
 * @rights:	out
 * @options:	out
 *
 * On an endpoint: what the peer offers. Changes nothing. Errors: EAGAIN,
 * ETIMEDOUT, EINTR: nothing, as @wait says. EPIPE: the peer is gone.
 * ECONNREFUSED: the connection was refused. ENOTCONN: not approved yet, by this
 * side. EPERM.
 */
struct mbuf_offered {
	__u64 target;
	struct mbuf_wait wait;
	__u32 flags;
	__u32 resv;
	__u64 id;
	__u64 min;
	__u64 wanted;
	__u64 max;
	__u32 rights;
	__u32 options;
};

/**
 * struct mbuf_take - argument of MBUF_IOC_TAKE
 * @target:	must be 0
 * @id:		the offer
 * @size:	in: a size within the offer, or 0 for the wanted one; out: the
 *		size
 * @rights:	in: rights within the offer, or 0 for all; out: the rights
 * @resv:	must be 0
 * @region:	in: flags and handle must be 0; out: fd is the region, with
 *		O_CLOEXEC
 *
 * On an endpoint: takes the peer's offer. May sleep while memory is allocated,
 * and can then be interrupted. Errors: EINVAL: @size or @rights is not within
 * the offer. ENOENT: there is no such offer, any more. EBUSY: it is being taken
 * already. EOPNOTSUPP: it is one of %MBUF_OFFER_PROVIDED. EPIPE: the peer is
 * gone. ECONNREFUSED: the connection was refused. ENOMEM: not so much memory, or
 * the memory cgroup of who offers has not; the offer stays. EINTR. EDQUOT.
 * EMFILE, ENFILE. ENOTCONN. EPERM.
 */
struct mbuf_take {
	__u64 target;
	__u64 id;
	__u64 size;
	__u32 rights;
	__u32 resv;
	struct mbuf_ref region;
};

/**
 * struct mbuf_counter - argument of MBUF_IOC_COUNTER and MBUF_IOC_REJECT
 * @target:	must be 0
 * @id:		the offer
 * @min:	COUNTER: what would be wanted, as struct mbuf_offer; REJECT: all
 *		of these must be 0
 * @wanted:	likewise
 * @max:	likewise
 * @rights:	likewise
 * @options:	likewise
 * @reason:	REJECT: any number, which the other side gets; COUNTER: likewise
 * @resv:	must be 0
 *
 * On an endpoint: ends the peer's offer. Errors: EINVAL. ENOENT: there is no
 * such offer, any more. EBUSY: it is being taken. EPIPE. ECONNREFUSED.
 * ENOTCONN. EPERM.
 */
struct mbuf_counter {
	__u64 target;
	__u64 id;
	__u64 min;
	__u64 wanted;
	__u64 max;
	__u32 rights;
	__u32 options;
	__u32 reason;
	__u32 resv;
};

/**
 * enum mbuf_outcome - what came of an offer
 * @MBUF_OUTCOME_TAKEN:		the peer has taken it
 * @MBUF_OUTCOME_COUNTERED:	the peer would like something else
 * @MBUF_OUTCOME_REJECTED:	the peer does not want it
 */
enum mbuf_outcome {
	MBUF_OUTCOME_TAKEN = 1,
	MBUF_OUTCOME_COUNTERED = 2,
	MBUF_OUTCOME_REJECTED = 3,
};

/**
 * struct mbuf_answer - argument of MBUF_IOC_ANSWER
 * @target:	must be 0
 * @wait:	how long to wait for an answer
 * @id:		the offer
 * @outcome:	out: enum mbuf_outcome
 * @reason:	out: of COUNTER or REJECT
 * @min:	out: of COUNTER, as are the next two; with TAKEN the size
 * @wanted:	out
 * @max:	out
 * @rights:	out: of COUNTER; with TAKEN those of the peer
 * @options:	out: of COUNTER; with TAKEN as offered
 * @region:	in: flags and handle must be 0; out: with TAKEN, fd is the
 *		region, which this side can read and write; otherwise -1
 *
 * On an endpoint: what came of its offer. Once told it is over. Errors: ENOENT:
 * no such offer, or it is over. EAGAIN, ETIMEDOUT, EINTR: no answer, as @wait
 * says. EPIPE: the peer went without an answer. EMFILE, ENFILE, EDQUOT, ENOMEM,
 * EFAULT: the answer is kept. EPERM.
 */
struct mbuf_answer {
	__u64 target;
	struct mbuf_wait wait;
	__u64 id;
	__u32 outcome;
	__u32 reason;
	__u64 min;
	__u64 wanted;
	__u64 max;
	__u32 rights;
	__u32 options;
	struct mbuf_ref region;
};

/**
 * struct mbuf_withdraw - argument of MBUF_IOC_WITHDRAW
 * @target:	must be 0
 * @id:		the offer
 *
 * On an endpoint: takes back its offer, also while it is being taken. Errors:
 * ENOENT: no such offer, or it is over. EALREADY: it has been taken: ANSWER
 * has the region. EPERM.
 */
struct mbuf_withdraw {
	__u64 target;
	__u64 id;
};

/**
 * struct mbuf_grant - argument of MBUF_IOC_GRANT
 * @target:	must be 0
 * @from:	a region; or any memfd, not of huge pages, that can be read and is
 *		sealed with F_SEAL_SHRINK and F_SEAL_GROW
 * @rights:	%MBUF_REGION_READ; with %MBUF_REGION_WRITE only for a region of
 *		%MBUF_OFFER_SOLID, or a paged one, of which memfds are not made
 * @flags:	must be 0
 * @region:	in: flags and handle must be 0; out: fd is a new descriptor of
 *		the same memory with these rights
 *
 * On a session, whose user is charged for the descriptor. Errors: EINVAL.
 * EBADF: @from is no descriptor. ENOTTY: it is neither a region nor a memfd.
 * EPERM: it does not have the rights, or it is a memfd that is not as
 * described. EDQUOT. EMFILE, ENFILE. ENOMEM.
 */
struct mbuf_grant {
	__u64 target;
	struct mbuf_ref from;
	__u32 rights;
	__u32 flags;
	struct mbuf_ref region;
};

/**
 * struct mbuf_region_info - argument of MBUF_IOC_REGION_INFO
 * @target:	must be 0
 * @id:		out: identity of the memory, the same for what was granted from
 *		this descriptor
 * @size:	out: bytes
 * @rights:	out: MBUF_REGION_* that this descriptor has
 * @options:	out: %MBUF_OFFER_SOLID if pages cannot be given back through it;
 *		%MBUF_REGION_PAGED if it has a pager
 *
 * On a region that is not a memfd. Errors: only the common ones.
 */
struct mbuf_region_info {
	__u64 target;
	__u64 id;
	__u64 size;
	__u32 rights;
	__u32 options;
};

/*
 * Paged regions
 * =============
 *
 * The pages of a paged region come from its pager, a program that holds the
 * pager's descriptor, and go back to it when it wants them back. Who touches a
 * page that is not there waits, and a message goes to the pager: FAULTS takes
 * it. The pager answers with SUPPLY, or with REFUSE, which gives that access
 * SIGBUS, or EFAULT if a system call made it, and no other. A later one faults
 * anew; so may a system call, when it tries which bytes it can have. EVICT
 * takes pages back, and the next access faults again.
 *
 * Clients have rights to the region, which are descriptors that can be mapped,
 * inherited, passed on, granted with fewer rights (GRANT) and offered over a
 * channel (OFFER with %MBUF_OFFER_MEMFD). They are no memfds: they can be
 * mapped, and nothing else. Mappings can be shared or private; what was written
 * to a private one is a copy, which the pager has nothing to do with.
 *
 * Several tasks that wait for one page share a message. Who waits can be
 * killed, and where the access was made in user mode, signals are handled;
 * afterwards it is made again, and the pager may be told again. Nobody else has
 * to wait: who looks at another process's memory (ptrace(), /proc/PID/mem) gets
 * EIO for a page that is not there; process_vm_readv() and O_DIRECT wait, as
 * they are made for their caller.
 *
 * The pager may be several threads or processes with the same descriptor, or
 * with duplicates of it. poll() gives POLLIN if there are messages, and POLLHUP
 * once no right and no mapping is left. When the pager's last descriptor is
 * closed, all who wait for it and all later accesses to pages that are not
 * there get SIGBUS; those that are there stay. A pager that maps the region
 * itself must not touch what is not there, unless it has a thread that does not.
 *
 * A page that is there is *dirty* if it was written to since it was supplied, or
 * since PROTECT has said that it is clean. It is *protected* if SUPPLY or
 * PROTECT said so; then who wants to write waits, the pager gets a message with
 * %MBUF_FAULT_PROTECTED, and answers with PROTECT or REFUSE. It is *mapped* if it
 * was touched since it was supplied, or PROTECT has unmapped it; some pages are
 * mapped along with one that is read, but none that PROTECT has unmapped.
 *
 * What happens to a mapping:
 *
 *  fork()		the child has it, too
 *  mremap()		moves it, makes it smaller; EFAULT if it would grow
 *  mprotect()		within the rights; PROT_EXEC is EACCES
 *  mlock()		brings the pages in, and then does not keep them
 *  msync()		0: there is nothing to do
 *  madvise()		MADV_DONTNEED only unmaps; MADV_POPULATE_* bring the
 *			pages in; MADV_REMOVE and MADV_FREE fail; what is only
 *			a hint does nothing
 *  ftruncate(), fallocate(), read(), write() on the descriptor: fail
 *  userfaultfd()	cannot register it: EINVAL
 *  a core dump		does not have it
 *  futexes		work
 *
 * Pages that are there cannot be swapped: that is the pager's work. They are
 * charged, as objects' memory, to the user who made the region, and to the
 * memory cgroup of who calls SUPPLY.
 */

/* What struct mbuf_region_info says besides MBUF_OFFER_*. */
#define MBUF_REGION_PAGED	0x04

/**
 * struct mbuf_paged_create - argument of MBUF_IOC_PAGED_CREATE
 * @target:	must be 0
 * @size:	bytes, a multiple of the page size, not 0
 * @flags:	must be 0
 * @resv:	must be 0
 * @pager:	in: flags and handle must be 0; out: fd is the pager's
 *		descriptor, with O_CLOEXEC
 * @region:	likewise; out: fd is a right to read and write it
 * @id:		out: the region's identity
 *
 * On a session, whose user is charged. Errors: EINVAL. EDQUOT. EMFILE, ENFILE.
 * ENOMEM.
 */
struct mbuf_paged_create {
	__u64 target;
	__u64 size;
	__u32 flags;
	__u32 resv;
	struct mbuf_ref pager;
	struct mbuf_ref region;
	__u64 id;
};

/* Bits of struct mbuf_fault.access. */
#define MBUF_FAULT_READ		0x01	/* to read, or to execute */
#define MBUF_FAULT_WRITE	0x02	/* to write */
#define MBUF_FAULT_PROTECTED	0x04	/* the page is there, but protected */

/**
 * struct mbuf_fault - somebody waits for a page
 * @id:		identity of the fault, within its region
 * @region:	identity of the region
 * @offset:	of the page within the region, in bytes
 * @access:	MBUF_FAULT_*: the first access that led to this message
 * @pid:	the process that made it, as the caller of FAULTS sees it; 0 if
 *		it cannot
 * @tid:	the thread, likewise
 * @resv:	0
 */
struct mbuf_fault {
	__u64 id;
	__u64 region;
	__u64 offset;
	__u32 access;
	__s32 pid;
	__s32 tid;
	__u32 resv;
};

/* Flags of FAULTS. */
#define MBUF_FAULTS_AGAIN	0x01	/* also those taken before */

/**
 * struct mbuf_faults - argument of MBUF_IOC_FAULTS
 * @target:	must be 0
 * @wait:	how long to wait for the first
 * @faults:	array of struct mbuf_fault, to be written
 * @nr:		its length, 1 to mbuf_query.batch_max
 * @stride:	bytes from one element to the next: sizeof(struct mbuf_fault) or
 *		more, a multiple of 8, at most 256
 * @flags:	%MBUF_FAULTS_AGAIN: first forget that those which wait have been
 *		told of, as when a pager takes over from another
 * @resv:	must be 0
 *
 * On a pager's descriptor. Takes messages, each of which is taken once, but see
 * @flags. A fault that was taken may end by itself: its task is killed, say.
 *
 * Return: how many, at least one. Errors: EINVAL. EAGAIN, ETIMEDOUT, EINTR:
 * none, as @wait says. EPIPE: none, and no right to the region is left.
 */
struct mbuf_faults {
	__u64 target;
	struct mbuf_wait wait;
	__u64 faults;
	__u32 nr;
	__u32 stride;
	__u32 flags;
	__u32 resv;
};

/* Flags of SUPPLY. */
#define MBUF_SUPPLY_ZERO	0x01	/* zeroes, not @data */
#define MBUF_SUPPLY_PROTECT	0x02	/* protected */

/**
 * struct mbuf_supply - argument of MBUF_IOC_SUPPLY
 * @target:	must be 0
 * @offset:	in bytes, a multiple of the page size
 * @size:	likewise, not 0: may be more than was asked for
 * @data:	the content; 0 with %MBUF_SUPPLY_ZERO
 * @flags:	MBUF_SUPPLY_*
 * @resv:	must be 0
 * @done:	out: bytes from @offset on that have been gone through
 * @supplied:	out: pages supplied; others among them were there already, and
 *		are as they were
 *
 * On a pager's descriptor. Less than all may be done if there was an error, or a
 * signal; at least one page is, otherwise the error is what the call gives.
 *
 * Errors: EINVAL: an argument, or beyond the region's end. EDQUOT: too much
 * memory for the region's user: EVICT something. ENOMEM. EINTR.
 */
struct mbuf_supply {
	__u64 target;
	__u64 offset;
	__u64 size;
	__u64 data;
	__u32 flags;
	__u32 resv;
	__u64 done;
	__u64 supplied;
};

/**
 * struct mbuf_refuse - argument of MBUF_IOC_REFUSE
 * @target:	must be 0
 * @id:		of the fault
 * @offset:	of the fault
 *
 * On a pager's descriptor: those who wait for this get SIGBUS. Errors: ENOENT:
 * nobody waits for it any more.
 */
struct mbuf_refuse {
	__u64 target;
	__u64 id;
	__u64 offset;
};

/* States of a page, one byte each. */
#define MBUF_PAGE_RESIDENT	0x01	/* it is there */
#define MBUF_PAGE_DIRTY		0x02	/* it was written to */
#define MBUF_PAGE_PROTECTED	0x04	/* writers have to ask */
#define MBUF_PAGE_EVICTED	0x08	/* EVICT: it was there and is not now */
#define MBUF_PAGE_BUSY		0x10	/* it is used, or being evicted */
#define MBUF_PAGE_MAPPED	0x20	/* touched since supplied or unmapped */

/* Flags of EVICT. */
#define MBUF_EVICT_DROP		0x01	/* the content is not wanted */

/**
 * struct mbuf_evict - argument of MBUF_IOC_EVICT
 * @target:	must be 0
 * @offset:	in bytes, a multiple of the page size
 * @size:	likewise, not 0
 * @data:	to where the content goes, page by page as in the region; what
 *		is for pages that are not evicted is left as it is. 0 with
 *		%MBUF_EVICT_DROP
 * @states:	an array of one byte for each page, where MBUF_PAGE_* is written:
 *		what it was. May be 0
 * @flags:	MBUF_EVICT_*
 * @resv:	must be 0
 * @done:	out: bytes from @offset on that have been gone through
 * @evicted:	out: pages evicted
 * @dirty:	out: how many of them were dirty
 * @busy:	out: pages that cannot be evicted now: some I/O uses their
 *		memory (O_DIRECT, vmsplice(), a registered buffer), or another
 *		EVICT is at it
 *
 * On a pager's descriptor. While a page is taken out, who touches it waits; what
 * comes out is all that was ever written to it. Less than all may be done, as
 * with SUPPLY. Errors: EINVAL: an argument, or beyond the region's end. EBUSY:
 * no page was evicted, and some were busy. EINTR.
 */
struct mbuf_evict {
	__u64 target;
	__u64 offset;
	__u64 size;
	__u64 data;
	__u64 states;
	__u32 flags;
	__u32 resv;
	__u64 done;
	__u64 evicted;
	__u64 dirty;
	__u64 busy;
};

/* Flags of PROTECT. */
#define MBUF_PROTECT_CLEAN	0x01	/* no longer dirty */
#define MBUF_PROTECT_ASK	0x02	/* protected; without this: not */
#define MBUF_PROTECT_UNMAP	0x04	/* not mapped until it is touched again */

/**
 * struct mbuf_protect - argument of MBUF_IOC_PROTECT
 * @target:	must be 0
 * @offset:	in bytes, a multiple of the page size
 * @size:	likewise, not 0
 * @flags:	MBUF_PROTECT_*
 * @resv:	must be 0
 * @busy:	out: pages of which %MBUF_PROTECT_CLEAN was not true, as some
 *		I/O uses their memory: they are still dirty
 *
 * On a pager's descriptor: for pages that are there. Without %MBUF_PROTECT_ASK,
 * those who wait to write may do so. After %MBUF_PROTECT_CLEAN a page that is not
 * dirty is as it was when the call returned. With any flag pages are unmapped:
 * who touches one next finds it again, without the pager, and then PAGES says
 * %MBUF_PAGE_MAPPED. So a pager sees which pages are in use. Errors: EINVAL.
 * With EFAULT some of it, or all, may have been done: to do it again does no
 * harm.
 */
struct mbuf_protect {
	__u64 target;
	__u64 offset;
	__u64 size;
	__u32 flags;
	__u32 resv;
	__u64 busy;
};

/**
 * struct mbuf_pages - argument of MBUF_IOC_PAGES
 * @target:	must be 0
 * @offset:	in bytes, a multiple of the page size
 * @size:	likewise, not 0
 * @states:	an array of one byte for each page, where MBUF_PAGE_* is written
 * @flags:	must be 0
 * @resv:	must be 0
 *
 * On a pager's descriptor: how pages are. Errors: EINVAL.
 */
struct mbuf_pages {
	__u64 target;
	__u64 offset;
	__u64 size;
	__u64 states;
	__u32 flags;
	__u32 resv;
};

/**
 * struct mbuf_paged_info - argument of MBUF_IOC_PAGED_INFO
 * @target:	must be 0
 * @id:		out: the region's identity
 * @size:	out: bytes
 * @resident:	out: pages that are there
 * @waiting:	out: tasks that wait for the pager
 * @faults:	out: faults for which there was a message, since the beginning
 * @supplied:	out: pages supplied, likewise
 * @evicted:	out: pages evicted, likewise
 * @refused:	out: faults refused, likewise
 * @clients:	out: rights to the region, a mapping counting as part of that
 *		which it was made of
 * @resv:	out: 0
 *
 * On a pager's descriptor. Errors: only the common ones.
 */
struct mbuf_paged_info {
	__u64 target;
	__u64 id;
	__u64 size;
	__u64 resident;
	__u64 waiting;
	__u64 faults;
	__u64 supplied;
	__u64 evicted;
	__u64 refused;
	__u32 clients;
	__u32 resv;
};

/*
 * Providing
 * =========
 *
 * The memory of a region can come from a third party, the *provider*. Each side
 * makes a consent at its own end of the channel, for one offer, and passes it to
 * the provider by whatever connects the two: SCM_RIGHTS, say. A consent cannot
 * be made up: only the descriptor of an end leads to one. Who has one can look
 * at it (CONSENT_INFO): which end of which channel, by whom, for what. Who has
 * those of both sides can PROVIDE, and thereby knows that the two hold the two
 * ends of one channel, and both want it.
 *
 *	offering side		other side		provider
 *	OFFER			OFFERED
 *	CONSENT	------------------------------------->	CONSENT_INFO
 *				CONSENT	------------->	CONSENT_INFO
 *							PROVIDE
 *	ANSWER			CLAIM			both have the region
 *
 * A consent is good for one PROVIDE, and only as long as the offer is open, both
 * ends are, and the same side has not given another one, revoked it (REVOKE),
 * or set a time that is over. Closing the consent's descriptor does not revoke
 * it: the provider has a copy. It is a bearer's: whoever has it can use it, or,
 * with %MBUF_CONSENT_UID, whoever of that user. A consent keeps neither end
 * open, and cannot be polled.
 *
 * Until it is provided, the other side can still TAKE (unless the offer is one
 * of %MBUF_OFFER_PROVIDED), COUNTER or REJECT, and the first one WITHDRAW:
 * consents are then worth nothing. After CONSENT it is not the other side's turn
 * (POLLPRI), until there is something to CLAIM, or its consent is revoked.
 *
 * What the provider can do with the memory: what it brings, it may have kept
 * open or mapped. It then can read it and write it, whatever rights the two got,
 * and, unless the offer is one of %MBUF_OFFER_SOLID, give pages of it back. Its
 * size it cannot change. So the two have to trust it. What it has the kernel
 * allocate (%MBUF_PROVIDE_ALLOCATE) it never gets to see; %MBUF_CONSENT_FRESH
 * insists on that. A paged region, in which an access can wait for its pager, or
 * be refused (SIGBUS), is provided only if both consents have
 * %MBUF_CONSENT_PAGED. Both are told which it was: %MBUF_OFFER_MEMFD in the options
 * that ANSWER and CLAIM report means that the provider brought it.
 */

/* Flags of a consent. */
#define MBUF_CONSENT_UID	0x01	/* only this user may provide */
#define MBUF_CONSENT_FRESH	0x02	/* only what the kernel allocates */
#define MBUF_CONSENT_PAGED	0x04	/* also a paged region */

/**
 * struct mbuf_consent - argument of MBUF_IOC_CONSENT
 * @target:	must be 0
 * @offer:	an open offer of this end, or of its peer
 * @min:	the smallest size, within the offer; 0: that of the offer
 * @max:	the largest size, within the offer; 0: that of the offer
 * @expires:	when it does not hold any more, in nanoseconds of
 *		CLOCK_MONOTONIC as the caller sees it; 0: never
 * @rights:	what this side has to get: %MBUF_REGION_READ, or with
 *		%MBUF_REGION_WRITE; the peer's within the offer. 0: all
 * @flags:	MBUF_CONSENT_*
 * @uid:	with %MBUF_CONSENT_UID: the effective user id of who provides.
 *		Otherwise must be 0
 * @resv:	must be 0
 * @consent:	in: flags and handle must be 0; out: fd is the consent, with
 *		O_CLOEXEC
 * @id:		out: the consent's identity, never used again for another one
 *
 * On an endpoint. Replaces the consent that this side has given to the offer.
 * Errors: EINVAL: an argument, or an offer of %MBUF_OFFER_MEMFD. ENOENT: there
 * is no such offer, any more. EBUSY: it is being taken or provided; or there is
 * something that this side has not claimed. EPIPE: the peer is gone.
 * ECONNREFUSED: the connection was refused. ENOTCONN. EPERM. EDQUOT. EMFILE,
 * ENFILE. ENOMEM.
 */
struct mbuf_consent {
	__u64 target;
	__u64 offer;
	__u64 min;
	__u64 max;
	__u64 expires;
	__u32 rights;
	__u32 flags;
	__u32 uid;
	__u32 resv;
	struct mbuf_ref consent;
	__u64 id;
};

/**
 * struct mbuf_revoke - argument of MBUF_IOC_REVOKE
 * @target:	must be 0
 * @id:		the consent
 *
 * On the endpoint that has given it. Also while somebody is about to provide:
 * after success nobody will, by this consent. Errors: ENOENT: no such consent
 * holds, any more. EALREADY: it has been used: ANSWER, or CLAIM, has the region.
 * EPERM.
 */
struct mbuf_revoke {
	__u64 target;
	__u64 id;
};

/**
 * struct mbuf_claim - argument of MBUF_IOC_CLAIM
 * @target:	must be 0
 * @wait:	how long to wait until it is provided
 * @id:		the offer
 * @size:	out: bytes
 * @rights:	out: what this side got
 * @options:	out: as offered, with %MBUF_OFFER_PROVIDED, and with
 *		%MBUF_OFFER_MEMFD if the provider has brought the memory
 * @region:	in: flags and handle must be 0; out: fd is the region, with
 *		O_CLOEXEC
 *
 * On the endpoint to which it was offered. Once claimed it is over. Errors:
 * ENOENT: there is no such offer, any more; or this side has given no consent.
 * EAGAIN, ETIMEDOUT, EINTR: nothing, as @wait says. EPIPE: the peer went, and
 * nothing was provided. EMFILE, ENFILE, EDQUOT, ENOMEM, EFAULT: it is kept.
 * EPERM.
 */
struct mbuf_claim {
	__u64 target;
	struct mbuf_wait wait;
	__u64 id;
	__u64 size;
	__u32 rights;
	__u32 options;
	struct mbuf_ref region;
};

/**
 * enum mbuf_party - what an end is in a negotiation
 * @MBUF_PARTY_MAKER:	it has made the offer
 * @MBUF_PARTY_TAKER:	the offer was made to it
 */
enum mbuf_party {
	MBUF_PARTY_MAKER = 1,
	MBUF_PARTY_TAKER = 2,
};

/**
 * struct mbuf_consent_info - argument of MBUF_IOC_CONSENT_INFO
 * @target:	must be 0
 * @id:		out: the consent's identity
 * @offer:	out: that of the offer, the same in the other side's consent
 * @end:	out: that of the end, as CHANNEL_INFO has it; @peer in the other
 *		side's consent
 * @peer:	out: that of the channel's other end
 * @min:	out: sizes that it consents to
 * @max:	out
 * @left:	out: nanoseconds until it expires; 0 if it does not, 1 if it has
 * @rights:	out: what the side has to get
 * @flags:	out: MBUF_CONSENT_*
 * @party:	out: enum mbuf_party
 * @error:	out: 0 if it holds, for the caller; otherwise the error that
 *		PROVIDE would report because of it: EPIPE, ESTALE, ETIMEDOUT,
 *		EBUSY, EACCES
 * @options:	out: MBUF_OFFER_* of the offer; 0 if that is over
 * @resv:	out: 0
 * @by:		out: who has given the consent
 * @holder:	out: who got the end when the channel was made; the end may
 *		have been passed on
 *
 * On a consent. Errors: only the common ones.
 */
struct mbuf_consent_info {
	__u64 target;
	__u64 id;
	__u64 offer;
	__u64 end;
	__u64 peer;
	__u64 min;
	__u64 max;
	__u64 left;
	__u32 rights;
	__u32 flags;
	__u32 party;
	__u32 error;
	__u32 options;
	__u32 resv;
	struct mbuf_peer by;
	struct mbuf_peer holder;
};

/* Flags of PROVIDE. */
#define MBUF_PROVIDE_ALLOCATE	0x01	/* the kernel allocates the memory */
#define MBUF_PROVIDE_CHECK	0x02	/* only see whether it could be done */

/**
 * struct mbuf_provide - argument of MBUF_IOC_PROVIDE
 * @target:	must be 0
 * @consent:	the consents of both sides, in any order
 * @memory:	without flags: a memfd, sealed against any change of its size
 *		(F_SEAL_SHRINK, F_SEAL_GROW; and F_SEAL_SEAL if it is to be
 *		written), or a region, paged or not, that has all rights that
 *		the two get.
 *		For an offer of %MBUF_OFFER_SOLID: a region that is one, too.
 *		Otherwise must be zero
 * @size:	in: with %MBUF_PROVIDE_ALLOCATE a size that both take, or 0 for
 *		the one nearest to what was wanted; without flags 0, or the
 *		memory's; with %MBUF_PROVIDE_CHECK 0. out: the size; with
 *		%MBUF_PROVIDE_CHECK the one nearest to what was wanted
 * @rights:	what the side gets whose consent has the same index, not less
 *		than it has to, and the peer not more than was offered; 0: what
 *		it has to
 * @flags:	MBUF_PROVIDE_*, one of them at most
 * @resv:	must be 0
 * @offer:	out: the offer
 *
 * On a session. Does not wait, but with %MBUF_PROVIDE_ALLOCATE it may sleep
 * while memory is allocated, and can then be interrupted. That memory is
 * charged to the memory cgroup of the caller. A process that has called this
 * with success need do nothing else: it may end.
 *
 * Errors: ENOTTY: a consent is none; @memory is neither memfd nor region.
 * EXDEV: the consents are not of the two ends of one channel. ESTALE: they
 * are not of one offer; or one of them has been used, replaced or revoked, or
 * the offer is over. EPIPE: an end is closed. ETIMEDOUT: one has expired.
 * EBUSY: the offer is being taken or provided. EACCES: only another user may
 * provide. EPERM: @memory is not as described; or a side insists on what the
 * kernel allocates, or does not take a paged region. EMSGSIZE: @size, or that
 * of @memory, is not what both take;
 * or they take none in common. EINVAL: @rights; other arguments. EBADF: no
 * descriptor. ENOMEM: the offer stays open, and consents hold. EINTR.
 */
struct mbuf_provide {
	__u64 target;
	struct mbuf_ref consent[2];
	struct mbuf_ref memory;
	__u64 size;
	__u32 rights[2];
	__u32 flags;
	__u32 resv;
	__u64 offer;
};

/*
 * Capabilities
 * ============
 *
 * A capability is a reference to an object together with rights to it. A
 * process holds it as a descriptor or as a handle, a number in a table.
 * Descriptors are for what is polled, mapped, or passed to other calls;
 * handles are for the many: they take no entry among the open files.
 *
 * Every session has a root table, which goes with the session. Tables can be
 * put into tables. A handle is an index, from 1 on, that the caller chooses or
 * leaves to the kernel; or it is a path, %MBUF_HANDLE_PATH | address of a
 * struct mbuf_path: a row of indices of which all but the last name tables.
 * Wherever a call on a session takes a handle it takes a path. Where @target is
 * a table, 0 is the root table.
 *
 * COPY derives one handle from another, with the same rights or fewer. REVOKE
 * ends all that was derived from a handle, also what others hold and what is in
 * flight, and what was derived from that; the handle itself stays. A revoked
 * handle keeps its place until it is deleted, and is EKEYREVOKED. A call that
 * is under way with it is not disturbed, and a descriptor that was made from
 * it cannot be taken back.
 *
 * Some capabilities own what they refer to: it goes when they go. They have one
 * holder at a time, and can be moved but not copied:
 *
 *	%MBUF_CAP_RECEIVER	a queue's receive right, made with
 *				%MBUF_QUEUE_HANDLE. Moved into tables and
 *				messages
 *	%MBUF_CAP_TABLE		a table. Moved into tables
 *	%MBUF_CAP_MESSAGE	a message object. Moved into tables
 *	%MBUF_CAP_REPLY		a right to send one message
 *
 * So objects that own each other cannot form a ring, and nothing has to be
 * collected: what would make one is ELOOP, as is putting something where it is
 * owned at more than 16 removes.
 *
 * Messages carry capabilities in queues made with %MBUF_QUEUE_CAPS. Not all
 * descriptors may be carried, or be made handles: not what could own itself by
 * way of the message. EOPNOTSUPP: a session; a queue's receive right (move a
 * handle instead); sockets of AF_UNIX; io_uring; and character devices other
 * than memory (null, zero, random...), terminals, input, sound, video and
 * graphics. An endpoint that belongs to a thread: EPERM.
 *
 * What is in a message is charged to its sender until it is received, or has
 * been closed: mbuf_query.caps. Descriptors that were never received are closed
 * in nobody's context: one whose closing takes long delays only others of the
 * same sender.
 */

/* In a handle: the rest is the address of a struct mbuf_path. */
#define MBUF_HANDLE_PATH	0x8000000000000000ULL
/* The highest index of a table. */
#define MBUF_INDEX_MAX		0xffffffU

/**
 * struct mbuf_path - names an object in nested tables
 * @nr:		how many indices, from 1 to mbuf_query.path_max
 * @resv:	must be 0
 *
 * The indices follow, each a __u64, that in the root table first.
 */
struct mbuf_path {
	__u32 nr;
	__u32 resv;
};

/**
 * enum mbuf_cap_type - what a capability is
 * @MBUF_CAP_NONE:	nothing (any more): it has been revoked
 * @MBUF_CAP_FILE:	what a descriptor is, too: any file, or an mbuf object
 * @MBUF_CAP_RECEIVER:	the receive right that owns a queue
 * @MBUF_CAP_TABLE:	a table, as its owner
 * @MBUF_CAP_TABLE_REF:	a table that somebody else owns
 * @MBUF_CAP_MESSAGE:	a message object
 * @MBUF_CAP_REPLY:	a right to send one message; gone when it is used
 * @MBUF_CAP_KEY:	a key
 * @MBUF_CAP_SEALED:	a sealed message
 */
enum mbuf_cap_type {
	MBUF_CAP_NONE = 0,
	MBUF_CAP_FILE = 1,
	MBUF_CAP_RECEIVER = 2,
	MBUF_CAP_TABLE = 3,
	MBUF_CAP_TABLE_REF = 4,
	MBUF_CAP_MESSAGE = 5,
	MBUF_CAP_REPLY = 6,
	MBUF_CAP_KEY = 7,
	MBUF_CAP_SEALED = 8,
};

/* Rights of a handle. EACCES: it lacks one that the call needs. */
/* MBUF_RIGHT_RECV and MBUF_RIGHT_SEND: of a queue, or a message's inbox. */
#define MBUF_RIGHT_COPY		0x0010	/* others can be derived from it */
#define MBUF_RIGHT_PASS		0x0020	/* messages can carry it */
#define MBUF_RIGHT_OPEN		0x0040	/* it can be made a descriptor */
#define MBUF_RIGHT_LOOKUP	0x0100	/* table: paths lead through it */
#define MBUF_RIGHT_MODIFY	0x0200	/* table: put in, take out */
#define MBUF_RIGHT_SEAL		0x0400	/* key */
#define MBUF_RIGHT_UNSEAL	0x0800	/* key */

/* Flags of struct mbuf_cap. */
/* SEND: the handle is moved; without, a copy is derived from it. */
#define MBUF_CAP_MOVE		0x1

/**
 * struct mbuf_cap - a capability in a message
 * @ref:	SEND: a descriptor, or with %MBUF_REF_HANDLE a handle. RECV: out:
 *		what it has become: a descriptor (O_CLOEXEC), or with
 *		%MBUF_REF_HANDLE a handle, and then fd is -1
 * @rights:	SEND: the rights that a handle keeps, 0: all. Must be 0 for a
 *		descriptor. RECV: out: its rights
 * @type:	SEND: must be 0. RECV: out: enum mbuf_cap_type
 * @flags:	SEND: MBUF_CAP_*. RECV: out: 0
 * @error:	SEND: must be 0. RECV: out: 0, or a negative errno: why it has
 *		not become anything, and was dropped: -EKEYREVOKED, or what a
 *		security module says
 * @id:		SEND: must be 0. RECV: out: identity of the mbuf object, 0 if it
 *		is none
 */
struct mbuf_cap {
	struct mbuf_ref ref;
	__u32 rights;
	__u32 type;
	__u32 flags;
	__s32 error;
	__u64 id;
};

/* Flags of struct mbuf_xfer_caps for RECV_CAPS. */
/*
 * Only look: the message stays, and its capabilities are described but not
 * installed (fd is -1, handle is 0).
 */
#define MBUF_RECV_LOOK		0x1
/* All capabilities become handles, also those that could be descriptors. */
#define MBUF_RECV_HANDLES	0x2
/* Capabilities for which there is no room are dropped. */
#define MBUF_RECV_DROP		0x4

/**
 * struct mbuf_xfer_caps - argument of MBUF_IOC_SEND_CAPS and MBUF_IOC_RECV_CAPS
 * @target:	0, or on a session a handle
 * @wait:	how long to wait for room, or for a message
 * @flags:	SEND: must be 0. RECV: MBUF_RECV_*
 * @nr_caps:	SEND: how many capabilities. RECV: in: room for how many; out: how
 *		many there are. With EMSGSIZE, RECV sets it to what is needed
 * @msg:	the message, as in struct mbuf_xfer
 * @caps:	address of an array of struct mbuf_cap; ignored if @nr_caps is 0
 * @stride:	bytes from one element to the next: sizeof(struct mbuf_cap) or
 *		more, a multiple of 8, at most 256; may be 0 if @nr_caps is
 * @resv:	must be 0
 * @table:	the session in whose tables handles are: its descriptor; fd -1:
 *		that on which the call is made, or none. flags and handle must
 *		be 0. RECV puts handles into its root table
 *
 * SEND_CAPS, on a send right. All or nothing: if any capability cannot be sent,
 * or the message cannot, none is, and what was to be moved has not been.
 * The errors of SEND, and: EPERM: the queue was made without %MBUF_QUEUE_CAPS,
 * or an endpoint belongs to a thread. EMSGSIZE: more than the queue's max_caps.
 * EBADF: no such descriptor; @table is no session; or there are handles, and no
 * @table. ENOENT: no such handle. ENOTDIR: a path leads through what is no table.
 * EACCES: it may not be passed, or not be copied. EKEYREVOKED.
 * EOPNOTSUPP: a descriptor that cannot be carried; a handle that can only be
 * moved, or neither. EBUSY: a handle that another call is moving. ELOOP: it
 * would own the queue that it is sent to. EDQUOT: too many in flight.
 *
 * RECV_CAPS, on a receive right. Descriptors and handles are installed all or
 * none: EMFILE, ENFILE: too few descriptors are free; EDQUOT, ENOMEM: for
 * handles; ENOSPC: the root table is full; then the message stays. One that a
 * security module keeps from the receiver, or that was revoked meanwhile, is
 * reported in its element. The errors of RECV, and: EMSGSIZE: less room than
 * capabilities, see @nr_caps. EBADF: @table is no session; or it has handles, and
 * there is no @table.
 */
struct mbuf_xfer_caps {
	__u64 target;
	struct mbuf_wait wait;
	__u32 flags;
	__u32 nr_caps;
	struct mbuf_msg msg;
	__u64 caps;
	__u32 stride;
	__u32 resv;
	struct mbuf_ref table;
};

/**
 * struct mbuf_give - argument of MBUF_IOC_GIVE and MBUF_IOC_GIVEN
 * @target:	must be 0
 * @ref:	GIVE: a queue's send right. GIVEN: in: flags and handle must be 0;
 *		out: fd is the send right
 * @flags:	must be 0
 * @resv:	must be 0
 *
 * On an endpoint: how those who have nothing but a channel come to have a queue
 * between them. GIVE leaves the right at the peer's end, where there can be one
 * at a time, until the peer takes it with GIVEN or closes its end; it does not
 * signal. Whoever wants to be sent something makes a queue with
 * %MBUF_QUEUE_CAPS and gives the send right; all else can be passed over that.
 *
 * GIVE: EBUSY: there is one. EOPNOTSUPP: no send right of a queue, or the peer
 * is a driver. EPIPE, ECONNREFUSED, ENOTCONN: as WRITE.
 *
 * GIVEN: EAGAIN: there is none, or another call is taking it. EPIPE: there is
 * none, and the peer is gone. EMFILE, ENFILE, what a security module says, and
 * EFAULT if the result could not be written from the beginning: it stays.
 *
 * Both: EPERM: the endpoint belongs to another thread.
 */
struct mbuf_give {
	__u64 target;
	struct mbuf_ref ref;
	__u32 flags;
	__u32 resv;
};

/**
 * struct mbuf_table_create - argument of MBUF_IOC_TABLE_CREATE
 * @target:	the table in which the handle will be
 * @handle:	in: the index it shall have, 0: any; out: the index
 * @flags:	must be 0
 * @resv:	must be 0
 * @id:		out: the table's identity
 *
 * On a session, whose user is charged for it and for the handles in it. Errors:
 * EDQUOT: objects or handles. EEXIST: @handle is taken. EINVAL: it is more than
 * %MBUF_INDEX_MAX. ENOSPC: the table is full. ENOENT, ENOTDIR, EACCES,
 * EKEYREVOKED, ELOOP: @target.
 */
struct mbuf_table_create {
	__u64 target;
	__u64 handle;
	__u32 flags;
	__u32 resv;
	__u64 id;
};

/**
 * struct mbuf_handle_put - argument of MBUF_IOC_HANDLE_PUT
 * @target:	the table
 * @ref:	a descriptor
 * @handle:	in: the index it shall have, 0: any; out: the index
 * @rights:	those of MBUF_RIGHT_COPY, _PASS, _OPEN, _SEND that it shall have,
 *		0: all
 * @resv:	must be 0
 *
 * On a session: makes a handle of a descriptor, which stays. Errors: EBADF.
 * EINVAL: @rights. EOPNOTSUPP: of this one no handle can be made. EPERM: nor of
 * an endpoint that belongs to a thread. Those of TABLE_CREATE.
 */
struct mbuf_handle_put {
	__u64 target;
	struct mbuf_ref ref;
	__u64 handle;
	__u32 rights;
	__u32 resv;
};

/**
 * struct mbuf_handle_open - argument of MBUF_IOC_HANDLE_OPEN
 * @target:	the handle
 * @ref:	in: flags and handle must be 0; out: fd is the descriptor
 * @flags:	must be 0
 * @resv:	must be 0
 *
 * On a session: makes a descriptor of a handle of type %MBUF_CAP_FILE, which
 * stays, or %MBUF_CAP_RECEIVER, which is gone then: the descriptor is what owns
 * the queue, and cannot become a handle again. Errors: ENOENT (also while another
 * call is moving it), EACCES, EKEYREVOKED, ENOTDIR. EBUSY: another call has just
 * begun to move it. EOPNOTSUPP: another type. EMFILE, ENFILE; what a security
 * module says.
 */
struct mbuf_handle_open {
	__u64 target;
	struct mbuf_ref ref;
	__u32 flags;
	__u32 resv;
};

/**
 * struct mbuf_handle_copy - argument of MBUF_IOC_HANDLE_COPY and _MOVE
 * @target:	the table to put it into
 * @from:	the handle
 * @handle:	in: the index it shall have, 0: any; out: the index
 * @rights:	the rights that it shall have of those that there are, 0: all
 * @resv:	must be 0
 *
 * On a session. COPY derives a handle, which REVOKE of @from ends; a copy of a
 * %MBUF_CAP_TABLE is a %MBUF_CAP_TABLE_REF. Errors: ENOENT, EACCES,
 * EKEYREVOKED, ENOTDIR. EOPNOTSUPP: it can only be moved.
 *
 * MOVE gives it another place, and what was derived from it stays so. Errors:
 * also EBUSY: another call is moving it. ELOOP: a table into itself.
 *
 * Both: EEXIST, EDQUOT, ENOSPC: as TABLE_CREATE. EINVAL: a right that @from does
 * not have, or @handle is too large.
 */
struct mbuf_handle_copy {
	__u64 target;
	__u64 from;
	__u64 handle;
	__u32 rights;
	__u32 resv;
};

/**
 * struct mbuf_handle - argument of MBUF_IOC_HANDLE_DELETE, HANDLE_REVOKE and
 *	MESSAGE_CANCEL
 * @target:	the handle
 * @flags:	must be 0
 * @resv:	must be 0
 *
 * On a session. DELETE: what was derived from it counts as derived from what it
 * was derived from. An owner takes with it what it owns. REVOKE returns how
 * many handles it has ended. CANCEL takes a message object out of line:
 * EALREADY: it is in none; ENOTTY: it is no message object; EBUSY: as in LOAD.
 * Errors: ENOENT, ENOTDIR; EACCES: the table (DELETE and REVOKE need
 * %MBUF_RIGHT_MODIFY of it); EBUSY: another call is moving it.
 */
struct mbuf_handle {
	__u64 target;
	__u32 flags;
	__u32 resv;
};

/**
 * struct mbuf_handle_info - argument of MBUF_IOC_HANDLE_INFO
 * @target:	the handle; 0: the root table
 * @id:		out: identity of the mbuf object, 0 if it is none
 * @type:	out: enum mbuf_cap_type
 * @rights:	out: MBUF_RIGHT_*
 * @size:	out: table: handles in it. Sealed message: its length, padded.
 *		Otherwise 0
 * @resv:	out: 0
 *
 * On a session. A revoked one is %MBUF_CAP_NONE. Errors: ENOENT, ENOTDIR,
 * EACCES. EKEYREVOKED: a table on the path.
 */
struct mbuf_handle_info {
	__u64 target;
	__u64 id;
	__u32 type;
	__u32 rights;
	__u64 size;
	__u64 resv;
};

/**
 * struct mbuf_handle_entry - a handle in a table, as TABLE_LIST tells
 * @handle:	the index
 * @id:		as in struct mbuf_handle_info
 * @type:	likewise
 * @rights:	likewise
 */
struct mbuf_handle_entry {
	__u64 handle;
	__u64 id;
	__u32 type;
	__u32 rights;
};

/**
 * struct mbuf_table_list - argument of MBUF_IOC_TABLE_LIST
 * @target:	the table
 * @start:	in: the lowest index to tell; out: where to go on
 * @entries:	address of an array of struct mbuf_handle_entry
 * @nr:		how many, from 1 to mbuf_query.batch_max
 * @stride:	bytes from one element to the next: sizeof(struct
 *		mbuf_handle_entry) or more, a multiple of 8, at most 256
 *
 * On a session. Returns how many were told; fewer than @nr: that was all.
 * Errors: ENOENT, ENOTDIR, EKEYREVOKED; EACCES: it needs %MBUF_RIGHT_LOOKUP.
 */
struct mbuf_table_list {
	__u64 target;
	__u64 start;
	__u64 entries;
	__u32 nr;
	__u32 stride;
};

/*
 * Message objects
 * ===============
 *
 * A message as an object, so that a thread can leave sending it to the kernel:
 * it is loaded with payload and capabilities, and then enqueued on a queue or
 * on the inbox of another message object. ENQUEUE never waits and never
 * allocates: if the destination is full, the message object itself stands in
 * line, among senders that wait there, and the message enters when it is its
 * turn. Then the object's activation target is told. CANCEL takes it out of the
 * line. When the message has entered, the object can be loaded again.
 *
 * An inbox is a queue of one message that belongs to the message object.
 * GRANT makes rights to send to it, for ever or for one message: the latter is
 * what a request carries for its reply. The message object's handle is
 * the receive right: RECV and RECV_CAPS with @target take what is in the inbox.
 * It is EPIPE if the inbox is empty and nobody has a right to send to it.
 *
 * An activation target is an eventfd, to which 1 is added, or an endpoint, which
 * signals its peer. The message object does not keep it alive.
 *
 * If the destination's last receive right goes while a message object is in
 * line there, the message stays loaded, @error in MESSAGE_INFO is -EPIPE, and
 * the target is told, too.
 */

/**
 * struct mbuf_message_create - argument of MBUF_IOC_MESSAGE_CREATE
 * @target:	the table in which the handle will be
 * @handle:	in: the index it shall have, 0: any; out: the index
 * @max_msg:	the most payload it can be loaded with, in bytes, up to
 *		mbuf_query.msg_max
 * @max_caps:	the most capabilities that it can be loaded with, up to
 *		mbuf_query.caps_max
 * @inbox_msg:	the largest message that the inbox takes, in bytes; 0: no inbox
 * @inbox_caps:	the most capabilities that such a message carries; 0 if there is
 *		no inbox
 * @flags:	must be 0
 * @resv:	must be 0
 * @sent:	what to tell when the message has entered its destination, or
 *		cannot any more: a descriptor; fd -1: nothing
 * @arrived:	what to tell when a message has come to the inbox and nobody waits
 *		for it there, or when none can come any more; likewise. fd must
 *		be -1 if there is no inbox
 * @id:		out: identity
 *
 * On a session. Room for @max_msg bytes is allocated and charged now. Errors:
 * EINVAL: a size, all of them are 0, or no inbox and something for it. EBADF,
 * ENOTTY, EPERM: @sent, @arrived: no descriptor, neither an eventfd nor an
 * endpoint, or an endpoint that belongs to a thread. EDQUOT, EEXIST, ENOENT,
 * ENOTDIR, EACCES.
 */
struct mbuf_message_create {
	__u64 target;
	__u64 handle;
	__u32 max_msg;
	__u32 max_caps;
	__u32 inbox_msg;
	__u32 inbox_caps;
	__u32 flags;
	__u32 resv;
	struct mbuf_ref sent;
	struct mbuf_ref arrived;
	__u64 id;
};

/**
 * struct mbuf_message_load - argument of MBUF_IOC_MESSAGE_LOAD
 * @target:	the message object
 * @flags:	must be 0
 * @nr_caps:	how many capabilities
 * @msg:	buf, len and prio count; the rest must be 0
 * @caps:	address of an array of struct mbuf_cap, as for SEND_CAPS; handles
 *		are of this session
 * @stride:	as in struct mbuf_xfer_caps
 * @resv:	must be 0
 *
 * On a session. What was loaded before is dropped, also if this fails with
 * EFAULT of @msg, or ENOMEM. Errors: EBUSY: it is in line, or another call is
 * loading or sending it. EMSGSIZE: more than it was made for. Those of SEND_CAPS
 * that are about capabilities. EFAULT. EDQUOT.
 */
struct mbuf_message_load {
	__u64 target;
	__u32 flags;
	__u32 nr_caps;
	struct mbuf_msg msg;
	__u64 caps;
	__u32 stride;
	__u32 resv;
};

/**
 * struct mbuf_message_enqueue - argument of MBUF_IOC_MESSAGE_ENQUEUE
 * @target:	the message object, which is loaded
 * @dest:	a send right: a descriptor, or with %MBUF_REF_HANDLE a handle of
 *		this session. A %MBUF_CAP_REPLY is gone afterwards
 * @flags:	must be 0
 * @resv:	must be 0
 *
 * On a session. Returns 0 if the message has entered (and the target is not
 * told), or 1 if it stands in line.
 *
 * Errors: EBUSY: it is in line already, or in use, as in LOAD. ENODATA: nothing
 * is loaded. EPIPE: no
 * receive right is left. EMSGSIZE: longer than max_msg, or more than max_caps.
 * EPERM: it has capabilities and the queue was made without %MBUF_QUEUE_CAPS.
 * EINVAL: a priority, or a length of 0, that the queue does not have. ENOBUFS:
 * see %MBUF_QUEUE_OVERWRITE. ELOOP: it carries what owns @dest. EBADF, ENOENT,
 * ENOTTY, EACCES, EKEYREVOKED: @dest. The message stays loaded.
 */
struct mbuf_message_enqueue {
	__u64 target;
	struct mbuf_ref dest;
	__u32 flags;
	__u32 resv;
};

/* States of a message object. */
#define MBUF_MESSAGE_EMPTY	0	/* can be loaded */
#define MBUF_MESSAGE_LOADED	1	/* can be enqueued, or loaded again */
#define MBUF_MESSAGE_PARKED	2	/* stands in line */

/**
 * struct mbuf_message_info - argument of MBUF_IOC_MESSAGE_INFO
 * @target:	the message object
 * @id:		out: identity
 * @state:	out: MBUF_MESSAGE_*
 * @error:	out: 0, or why the last ENQUEUE that had returned 1 failed:
 *		-EPIPE
 * @max_msg:	out: as created
 * @max_caps:	out: as created
 * @len:	out: bytes that are loaded
 * @nr_caps:	out: capabilities that are loaded
 * @delivered:	out: messages that entered their destinations
 * @dest:	out: identity of the queue in whose line it is, or 0
 * @inbox:	out: identity of the inbox, or 0. QUEUE_INFO with @target tells
 *		more
 *
 * On a session. Errors: ENOENT, ENOTDIR, EACCES; ENOTTY: it is none; EBUSY: it is
 * in use, as in LOAD.
 */
struct mbuf_message_info {
	__u64 target;
	__u64 id;
	__u32 state;
	__s32 error;
	__u32 max_msg;
	__u32 max_caps;
	__u32 len;
	__u32 nr_caps;
	__u64 delivered;
	__u64 dest;
	__u64 inbox;
};

/* Flags of struct mbuf_message_grant. */
/* A %MBUF_CAP_REPLY: for one message, then it is gone. Without: a send right. */
#define MBUF_GRANT_ONCE		0x1

/**
 * struct mbuf_message_grant - argument of MBUF_IOC_MESSAGE_GRANT
 * @target:	the message object, which has an inbox
 * @table:	the table in which the handle will be; 0: the root table
 * @handle:	in: the index it shall have, 0: any; out: the index
 * @flags:	MBUF_GRANT_*
 * @resv:	must be 0
 *
 * On a session. Errors: ENOTTY: it has no inbox. ENOENT, ENOTDIR, EACCES,
 * EKEYREVOKED, EEXIST, EDQUOT, ENFILE.
 */
struct mbuf_message_grant {
	__u64 target;
	__u64 table;
	__u64 handle;
	__u32 flags;
	__u32 resv;
};

/*
 * Sealed messages
 * ===============
 *
 * SEAL makes of payload and capabilities an object that anybody can hold, copy,
 * pass on in messages and drop, and that nobody can look into, change, or make,
 * without the key. UNSEAL with the same key gives them back, as often as it is
 * done. What a key may do depends on the rights of its handle:
 * %MBUF_RIGHT_SEAL, %MBUF_RIGHT_UNSEAL, or both; a copy can have one of them.
 *
 * What can only be moved cannot be sealed. A sealed message can be sealed, up
 * to 16 times.
 */

/**
 * struct mbuf_key_create - argument of MBUF_IOC_KEY_CREATE
 * @target:	the table in which the handle will be
 * @handle:	in: the index it shall have, 0: any; out: the index
 * @flags:	must be 0
 * @resv:	must be 0
 * @id:		out: identity
 *
 * On a session. Errors: EDQUOT, EEXIST, ENOENT, ENOTDIR, EACCES, EKEYREVOKED.
 */
struct mbuf_key_create {
	__u64 target;
	__u64 handle;
	__u32 flags;
	__u32 resv;
	__u64 id;
};

/**
 * struct mbuf_seal - argument of MBUF_IOC_SEAL
 * @target:	the key
 * @table:	the table in which the sealed message will be; 0: the root table
 * @handle:	in: the index it shall have, 0: any; out: the index
 * @pad:	others are shown a length that is a multiple of this; 0: as it is
 * @nr_caps:	how many capabilities
 * @buf:	address of the payload
 * @len:	bytes, up to mbuf_query.msg_max
 * @flags:	must be 0
 * @caps:	address of an array of struct mbuf_cap, as for SEND_CAPS; handles
 *		are of this session, and are copied
 * @stride:	as in struct mbuf_xfer_caps
 * @resv:	must be 0
 * @id:		out: identity
 *
 * On a session. Charged to the caller until the last handle of it goes. Errors:
 * EACCES: the key may not seal. ENOTTY: it is no key. EMSGSIZE: @len or
 * @nr_caps. EINVAL: @pad, or %MBUF_CAP_MOVE. ELOOP: sealed too often. Those of
 * SEND_CAPS that are about capabilities. EFAULT, EDQUOT, EEXIST, ENOENT,
 * ENOTDIR, EKEYREVOKED.
 */
struct mbuf_seal {
	__u64 target;
	__u64 table;
	__u64 handle;
	__u32 pad;
	__u32 nr_caps;
	__u64 buf;
	__u32 len;
	__u32 flags;
	__u64 caps;
	__u32 stride;
	__u32 resv;
	__u64 id;
};

/**
 * struct mbuf_unseal - argument of MBUF_IOC_UNSEAL
 * @target:	the key
 * @sealed:	the sealed message, which stays
 * @flags:	0 or %MBUF_RECV_HANDLES
 * @nr_caps:	in: room for how many capabilities; out: how many there are
 * @buf:	address of room for the payload
 * @len:	in: bytes of room; out: bytes of payload
 * @resv:	must be 0
 * @caps:	address of an array of struct mbuf_cap, filled in as by RECV_CAPS
 * @stride:	as in struct mbuf_xfer_caps
 * @resv2:	must be 0
 *
 * On a session. All capabilities are installed or none is. Errors:
 * EKEYREJECTED: it was sealed with another key. EACCES: the key may not unseal.
 * ENOTTY: no key, or no sealed message. EMSGSIZE: too little room; @len and
 * @nr_caps say how much is needed. EMFILE, ENFILE, EDQUOT, ENOMEM, EFAULT,
 * ENOENT, ENOTDIR, EKEYREVOKED (the key, the sealed message, or anything in
 * it).
 */
struct mbuf_unseal {
	__u64 target;
	__u64 sealed;
	__u32 flags;
	__u32 nr_caps;
	__u64 buf;
	__u32 len;
	__u32 resv;
	__u64 caps;
	__u32 stride;
	__u32 resv2;
};

/*
 * Numbers are never reused. 0x00-0x0f: session; 0x10-0x1f: queue; 0x20-0x2f:
 * endpoint (0x2d: a consent of one); 0x30-0x3f: listener and accept queue;
 * 0x40-0x4f: region; 0x50-0x5f: tables; 0x60-0x6f: message objects; 0x70-0x7f:
 * keys. From 0x50 on they are for sessions, which take those of queues, too,
 * with @target.
 */
#define MBUF_IOC_QUERY		_IOWR(MBUF_IOC_TYPE, 0x00, struct mbuf_query)
#define MBUF_IOC_QUEUE_CREATE	_IOWR(MBUF_IOC_TYPE, 0x01, \
				      struct mbuf_queue_create)
#define MBUF_IOC_CHANNEL_CREATE	_IOWR(MBUF_IOC_TYPE, 0x02, \
				      struct mbuf_channel_create)
#define MBUF_IOC_LISTEN		_IOWR(MBUF_IOC_TYPE, 0x03, struct mbuf_listen)
#define MBUF_IOC_CONNECT	_IOWR(MBUF_IOC_TYPE, 0x04, struct mbuf_connect)
#define MBUF_IOC_ATTACH		_IOWR(MBUF_IOC_TYPE, 0x05, struct mbuf_attach)
#define MBUF_IOC_DETACH		_IOWR(MBUF_IOC_TYPE, 0x06, struct mbuf_attach)
#define MBUF_IOC_POLL_ALL	_IOWR(MBUF_IOC_TYPE, 0x07, struct mbuf_poll_all)
#define MBUF_IOC_WAIT_ANY	_IOWR(MBUF_IOC_TYPE, 0x08, struct mbuf_wait_any)
#define MBUF_IOC_GRANT		_IOWR(MBUF_IOC_TYPE, 0x09, struct mbuf_grant)
#define MBUF_IOC_PROVIDE	_IOWR(MBUF_IOC_TYPE, 0x0a, struct mbuf_provide)

#define MBUF_IOC_SEND		_IOWR(MBUF_IOC_TYPE, 0x10, struct mbuf_xfer)
#define MBUF_IOC_RECV		_IOWR(MBUF_IOC_TYPE, 0x11, struct mbuf_xfer)
#define MBUF_IOC_SEND_BATCH	_IOWR(MBUF_IOC_TYPE, 0x12, struct mbuf_batch)
#define MBUF_IOC_RECV_BATCH	_IOWR(MBUF_IOC_TYPE, 0x13, struct mbuf_batch)
#define MBUF_IOC_QUEUE_INFO	_IOWR(MBUF_IOC_TYPE, 0x14, \
				      struct mbuf_queue_info)
#define MBUF_IOC_SEND_CAPS	_IOWR(MBUF_IOC_TYPE, 0x15, \
				      struct mbuf_xfer_caps)
#define MBUF_IOC_RECV_CAPS	_IOWR(MBUF_IOC_TYPE, 0x16, \
				      struct mbuf_xfer_caps)

#define MBUF_IOC_EXCHANGE	_IOWR(MBUF_IOC_TYPE, 0x20, \
				      struct mbuf_exchange)
#define MBUF_IOC_APPROVE	_IOWR(MBUF_IOC_TYPE, 0x21, struct mbuf_approve)
#define MBUF_IOC_CHANNEL_INFO	_IOWR(MBUF_IOC_TYPE, 0x22, \
				      struct mbuf_channel_info)

#define MBUF_IOC_OFFER		_IOWR(MBUF_IOC_TYPE, 0x23, struct mbuf_offer)
#define MBUF_IOC_OFFERED	_IOWR(MBUF_IOC_TYPE, 0x24, struct mbuf_offered)
#define MBUF_IOC_TAKE		_IOWR(MBUF_IOC_TYPE, 0x25, struct mbuf_take)
#define MBUF_IOC_COUNTER	_IOWR(MBUF_IOC_TYPE, 0x26, struct mbuf_counter)
#define MBUF_IOC_REJECT		_IOWR(MBUF_IOC_TYPE, 0x27, struct mbuf_counter)
#define MBUF_IOC_ANSWER		_IOWR(MBUF_IOC_TYPE, 0x28, struct mbuf_answer)
#define MBUF_IOC_WITHDRAW	_IOWR(MBUF_IOC_TYPE, 0x29, struct mbuf_withdraw)
#define MBUF_IOC_CONSENT	_IOWR(MBUF_IOC_TYPE, 0x2a, struct mbuf_consent)
#define MBUF_IOC_REVOKE		_IOWR(MBUF_IOC_TYPE, 0x2b, struct mbuf_revoke)
#define MBUF_IOC_CLAIM		_IOWR(MBUF_IOC_TYPE, 0x2c, struct mbuf_claim)
#define MBUF_IOC_CONSENT_INFO	_IOWR(MBUF_IOC_TYPE, 0x2d, \
				      struct mbuf_consent_info)

#define MBUF_IOC_GIVE		_IOWR(MBUF_IOC_TYPE, 0x2e, struct mbuf_give)
#define MBUF_IOC_GIVEN		_IOWR(MBUF_IOC_TYPE, 0x2f, struct mbuf_give)

#define MBUF_IOC_ACCEPT		_IOWR(MBUF_IOC_TYPE, 0x30, struct mbuf_accept)
#define MBUF_IOC_ACCEPT_QUEUE	_IOWR(MBUF_IOC_TYPE, 0x31, \
				      struct mbuf_accept_queue)
#define MBUF_IOC_LISTENER_SET	_IOWR(MBUF_IOC_TYPE, 0x32, \
				      struct mbuf_listener_set)
#define MBUF_IOC_LISTENER_ACL	_IOWR(MBUF_IOC_TYPE, 0x33, \
				      struct mbuf_listener_acl)
#define MBUF_IOC_LISTENER_INFO	_IOWR(MBUF_IOC_TYPE, 0x34, \
				      struct mbuf_listener_info)

#define MBUF_IOC_REGION_INFO	_IOWR(MBUF_IOC_TYPE, 0x40, \
				      struct mbuf_region_info)

#define MBUF_IOC_PAGED_CREATE	_IOWR(MBUF_IOC_TYPE, 0x43, \
				      struct mbuf_paged_create)
#define MBUF_IOC_FAULTS		_IOWR(MBUF_IOC_TYPE, 0x44, struct mbuf_faults)
#define MBUF_IOC_SUPPLY		_IOWR(MBUF_IOC_TYPE, 0x45, struct mbuf_supply)
#define MBUF_IOC_REFUSE		_IOWR(MBUF_IOC_TYPE, 0x46, struct mbuf_refuse)
#define MBUF_IOC_EVICT		_IOWR(MBUF_IOC_TYPE, 0x47, struct mbuf_evict)
#define MBUF_IOC_PROTECT	_IOWR(MBUF_IOC_TYPE, 0x48, struct mbuf_protect)
#define MBUF_IOC_PAGES		_IOWR(MBUF_IOC_TYPE, 0x49, struct mbuf_pages)
#define MBUF_IOC_PAGED_INFO	_IOWR(MBUF_IOC_TYPE, 0x4a, \
				      struct mbuf_paged_info)

#define MBUF_IOC_TABLE_CREATE	_IOWR(MBUF_IOC_TYPE, 0x50, \
				      struct mbuf_table_create)
#define MBUF_IOC_HANDLE_PUT	_IOWR(MBUF_IOC_TYPE, 0x51, \
				      struct mbuf_handle_put)
#define MBUF_IOC_HANDLE_OPEN	_IOWR(MBUF_IOC_TYPE, 0x52, \
				      struct mbuf_handle_open)
#define MBUF_IOC_HANDLE_COPY	_IOWR(MBUF_IOC_TYPE, 0x53, \
				      struct mbuf_handle_copy)
#define MBUF_IOC_HANDLE_MOVE	_IOWR(MBUF_IOC_TYPE, 0x54, \
				      struct mbuf_handle_copy)
#define MBUF_IOC_HANDLE_DELETE	_IOWR(MBUF_IOC_TYPE, 0x55, struct mbuf_handle)
#define MBUF_IOC_HANDLE_REVOKE	_IOWR(MBUF_IOC_TYPE, 0x56, struct mbuf_handle)
#define MBUF_IOC_HANDLE_INFO	_IOWR(MBUF_IOC_TYPE, 0x57, \
				      struct mbuf_handle_info)
#define MBUF_IOC_TABLE_LIST	_IOWR(MBUF_IOC_TYPE, 0x58, \
				      struct mbuf_table_list)

#define MBUF_IOC_MESSAGE_CREATE	_IOWR(MBUF_IOC_TYPE, 0x60, \
				      struct mbuf_message_create)
#define MBUF_IOC_MESSAGE_LOAD	_IOWR(MBUF_IOC_TYPE, 0x61, \
				      struct mbuf_message_load)
#define MBUF_IOC_MESSAGE_ENQUEUE _IOWR(MBUF_IOC_TYPE, 0x62, \
				      struct mbuf_message_enqueue)
#define MBUF_IOC_MESSAGE_CANCEL	_IOWR(MBUF_IOC_TYPE, 0x63, struct mbuf_handle)
#define MBUF_IOC_MESSAGE_INFO	_IOWR(MBUF_IOC_TYPE, 0x64, \
				      struct mbuf_message_info)
#define MBUF_IOC_MESSAGE_GRANT	_IOWR(MBUF_IOC_TYPE, 0x65, \
				      struct mbuf_message_grant)

#define MBUF_IOC_KEY_CREATE	_IOWR(MBUF_IOC_TYPE, 0x70, \
				      struct mbuf_key_create)
#define MBUF_IOC_SEAL		_IOWR(MBUF_IOC_TYPE, 0x71, struct mbuf_seal)
#define MBUF_IOC_UNSEAL		_IOWR(MBUF_IOC_TYPE, 0x72, struct mbuf_unseal)

#endif /* _UAPI_LINUX_MBUF_H */
