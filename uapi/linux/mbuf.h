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
 *    descriptor. Anything else is a handle in a table, EOPNOTSUPP on an
 *    object that has no table.
 *
 * Errors that any of them can give
 * --------------------------------
 *  EBADF       not an open descriptor, one opened with O_PATH, or one that
 *              lacks the right the call needs (a SEND on a receive right)
 *  ENOTTY      the descriptor is no mbuf object, or the command is not for it
 *  EFAULT      the argument cannot be read, or a result cannot be written;
 *              what the call would have written to may have been written to
 *  EINVAL      an argument out of its range (see each call), unknown flags
 *  E2BIG       the struct or an array element is longer than this kernel
 *              knows, and the part it does not know is not zero
 *  EOPNOTSUPP  @target is not zero, and the object has no table
 *  ENOMEM      no memory, or the memory cgroup's limit was met
 */
#ifndef _UAPI_LINUX_MBUF_H
#define _UAPI_LINUX_MBUF_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The type letter of every mbuf ioctl. */
#define MBUF_IOC_TYPE		0xD6

/**
 * struct mbuf_ref - names an object, wherever one struct has to name another
 * @fd:		a descriptor; ignored where @flags says that @handle counts
 * @flags:	0: @fd counts. No other value is known yet
 * @handle:	a handle in a table; must be 0 while @flags is 0
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
 * @objects:	out: objects of the user who opened the session (sessions and
 *		queues)
 * @memory:	out: bytes allocated for those objects
 * @inflight:	out: bytes of messages that the *caller* has in flight and
 *		that are not in preallocated slots
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

/**
 * struct mbuf_queue_create - argument of MBUF_IOC_QUEUE_CREATE
 * @target:	must be 0
 * @slots:	how many messages it holds, from 1 to mbuf_query.slots_max
 * @max_msg:	the largest message in bytes, from 1 to mbuf_query.msg_max
 * @flags:	MBUF_QUEUE_*
 * @resv:	must be 0
 * @recv:	in: flags and handle must be 0; out: fd is the receive right
 * @send:	in: flags and handle must be 0; out: fd is the send right
 * @id:		out: the queue's identity, never used again for another object
 *
 * On a session. Both descriptors are created with O_CLOEXEC. All memory that
 * small messages need is allocated and charged to the session's user here.
 *
 * Errors: EINVAL: @slots, @max_msg or @flags. EDQUOT: over the user's limit of
 * objects or memory. EMFILE, ENFILE: no descriptor is free. ENOMEM.
 */
struct mbuf_queue_create {
	__u64 target;
	__u32 slots;
	__u32 max_msg;
	__u32 flags;
	__u32 resv;
	struct mbuf_ref recv;
	struct mbuf_ref send;
	__u64 id;
};

/* Rights that a descriptor carries: struct mbuf_queue_info.rights. */
#define MBUF_RIGHT_RECV		0x01
#define MBUF_RIGHT_SEND		0x02

/**
 * struct mbuf_queue_info - argument of MBUF_IOC_QUEUE_INFO
 * @target:		must be 0
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
 * @resv:		out: 0
 * @sent:		out: messages that ever entered; the sequence number of
 *			the last one
 * @received:		out: messages that receivers took
 * @dropped:		out: messages overwritten by newer ones
 * @refused:		out: messages refused with ENOBUFS
 * @send_blocked:	out: how often a sender had to wait
 * @recv_blocked:	out: how often a receiver had to wait
 *
 * On either right of a queue. All values are of one moment. Errors: only the
 * common ones.
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
	__u32 resv;
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
 * @target:	must be 0
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
 * message stays first in the queue.
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
 * @target:	must be 0
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
 * well. Elements that did not move are not touched otherwise.
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

/* Numbers are never reused. 0x00-0x0f: session; 0x10-0x1f: queue. */
#define MBUF_IOC_QUERY		_IOWR(MBUF_IOC_TYPE, 0x00, struct mbuf_query)
#define MBUF_IOC_QUEUE_CREATE	_IOWR(MBUF_IOC_TYPE, 0x01, \
				      struct mbuf_queue_create)

#define MBUF_IOC_SEND		_IOWR(MBUF_IOC_TYPE, 0x10, struct mbuf_xfer)
#define MBUF_IOC_RECV		_IOWR(MBUF_IOC_TYPE, 0x11, struct mbuf_xfer)
#define MBUF_IOC_SEND_BATCH	_IOWR(MBUF_IOC_TYPE, 0x12, struct mbuf_batch)
#define MBUF_IOC_RECV_BATCH	_IOWR(MBUF_IOC_TYPE, 0x13, struct mbuf_batch)
#define MBUF_IOC_QUEUE_INFO	_IOWR(MBUF_IOC_TYPE, 0x14, \
				      struct mbuf_queue_info)

#endif /* _UAPI_LINUX_MBUF_H */
