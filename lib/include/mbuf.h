/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libmbuf: the C interface to /dev/mbuf.
 *
 * Every function is one system call, if nothing else is said with it
 * (mbuf_deadline(), mbuf_slot_read() and mbuf_strerror() are none), and these
 * rules hold for all of them:
 *
 *  - A result of 0 or more is success, a negative one is an errno value with
 *    its sign changed, for example -EPIPE. errno itself has no meaning after a
 *    call. mbuf_strerror() gives a line of text.
 *  - A call that fails has had no effect, except as stated with it.
 *  - The simple form of a function has the arguments that most programs need.
 *    One whose name ends in _args takes the struct of the system call, which
 *    <linux/mbuf.h> describes, with all that there is to say; begin with one
 *    that is all zeroes.
 *  - The library has no state, allocates no memory, starts no threads and
 *    installs no signal handlers. All functions may be called from any number
 *    of threads at the same time, also with the same descriptor, and from a
 *    child after fork(). They may be called from a signal handler if it
 *    preserves errno.
 *  - Descriptors that a function returns belong to the caller, have FD_CLOEXEC
 *    set, and are given back with close(2). Memory that is passed in belongs to
 *    the caller, and is not used any more once the call has returned.
 *  - The errors listed with a function are those that it is expected to meet.
 *    Each of them can also give: -EBADF (the descriptor is not open, was opened
 *    with O_PATH, or lacks the right that the call needs), -ENOTTY (the
 *    descriptor is no mbuf object, or one of another type), -EFAULT (an address
 *    is not accessible), -ENOMEM. -E2BIG cannot happen unless the library is
 *    newer than the module, and more was asked for than the module knows.
 *
 * Structs may grow in later versions. A program keeps the size of those it was
 * compiled with: that is what the versions of the symbols are for.
 *
 * Descriptors of a queue also work with read(2), write(2), readv(2),
 * writev(2), poll(2), epoll(7), io_uring(7), dup(2), fcntl(2) with O_NONBLOCK,
 * and SCM_RIGHTS. So do endpoints of channels, and listeners where it makes
 * sense. <linux/mbuf.h> says what they do, and describes the structs.
 */
#ifndef _MBUF_H
#define _MBUF_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/mbuf.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Marks what the shared library exports; all else in it is hidden. */
#ifndef MBUF_EXPORT
#define MBUF_EXPORT	__attribute__((__visibility__("default")))
#endif

/*
 * Deadlines
 * =========
 *
 * A deadline is a time of CLOCK_MONOTONIC in nanoseconds, or one of the two
 * values below. It is absolute, so that a call that is made again after a
 * signal does not wait anew:
 *
 *	uint64_t end = mbuf_deadline(2 * 1000000000ull);
 *
 *	do
 *		ret = mbuf_send(fd, buf, len, end);
 *	while (ret == -EINTR);
 *
 * A call whose deadline has passed tries once, and then reports -ETIMEDOUT.
 *
 * Signals: a call that sleeps is interrupted by a signal that has a handler.
 * If the handler was installed with SA_RESTART the call goes on afterwards,
 * with the same deadline; otherwise it reports -EINTR, and nothing was sent or
 * received. A call that did not have to sleep never reports -EINTR. The loop
 * above is right for every function here; for mbuf_call() and mbuf_serve(),
 * which do something before they wait, because their struct keeps what was
 * done.
 *
 * A descriptor with O_NONBLOCK set never sleeps, whatever the deadline: -EAGAIN.
 */

/** MBUF_NOW - deadline: do not sleep; what cannot be done at once is -EAGAIN */
#define MBUF_NOW	UINT64_C(0)

/** MBUF_FOREVER - deadline: sleep for as long as it takes */
#define MBUF_FOREVER	UINT64_MAX

/**
 * mbuf_deadline() - a deadline that lies in the future
 * @ns_from_now: nanoseconds from now; 0 is a deadline that has passed by the
 *	time it is used, so that a call tries once and reports -ETIMEDOUT
 *
 * Return: the time of CLOCK_MONOTONIC in @ns_from_now nanoseconds, never
 * MBUF_NOW; MBUF_FOREVER if it is later than the kernel can count (some 292
 * years after the system was started). Cannot fail.
 */
MBUF_EXPORT uint64_t mbuf_deadline(uint64_t ns_from_now);

/**
 * mbuf_open() - open a session
 *
 * Opens /dev/mbuf for reading and writing. A session creates objects; what it
 * creates is charged to the user who opened it, and outlives it. Close it with
 * close(2) as soon as nothing more is to be created, unless it is the set that
 * mbuf_poll_all() looks at.
 *
 * Return: the session's descriptor, or -errno: -ENOENT, -ENXIO or -ENODEV if
 * the module is not loaded, -EACCES if the device's mode does not let the
 * caller in, -EDQUOT if the user has too many objects, -EMFILE, -ENFILE,
 * -ENOMEM.
 */
MBUF_EXPORT int mbuf_open(void);

/**
 * mbuf_query() - what the module can do, and how much the user has
 * @session: a session
 * @out: filled in; see struct mbuf_query. @out->features has a bit for every
 *	feature: test for a feature, not for a version of the module
 *
 * Return: 0, or -errno: the common ones only.
 */
MBUF_EXPORT int mbuf_query(int session, struct mbuf_query *out);

/**
 * mbuf_queue_create() - make a queue
 * @session: a session
 * @slots: how many messages the queue holds, from 1 to slots_max of
 *	mbuf_query()
 * @max_msg: the largest message in bytes, from 1 to msg_max of mbuf_query()
 * @flags: 0, or MBUF_QUEUE_* of <linux/mbuf.h>: PRIO, OVERWRITE, CREDS, EMPTY,
 *	NONBLOCK
 * @recv_fd: set to the receive right, which is open for reading only; must not
 *	be NULL
 * @send_fd: set to the send right, which is open for writing only; must not be
 *	NULL
 *
 * Either right can be duplicated, inherited and passed on by SCM_RIGHTS, and
 * the queue has as many senders and receivers as there are holders of it.
 * Processes that have a right they do not need should close it: the end of a
 * stream is seen when the *last* send right is closed.
 *
 * The memory for messages of up to inline_max bytes (see mbuf_query()) is
 * allocated and charged here, for all slots.
 *
 * Return: 0, or -errno, and then neither descriptor is set: -EINVAL (@slots,
 * @max_msg or @flags), -EDQUOT (over the user's limit of objects or memory),
 * -EMFILE, -ENFILE, -ENOMEM.
 */
MBUF_EXPORT int mbuf_queue_create(int session, uint32_t slots, uint32_t max_msg,
				  uint32_t flags, int *recv_fd, int *send_fd);

/**
 * mbuf_queue_info() - the state of a queue, and its counters
 * @fd: either right of a queue
 * @out: filled in, all values of one moment; see struct mbuf_queue_info
 *
 * Return: 0, or -errno: the common ones only.
 */
MBUF_EXPORT int mbuf_queue_info(int fd, struct mbuf_queue_info *out);

/**
 * mbuf_send() - send one message
 * @fd: a send right
 * @buf: the payload
 * @len: bytes of payload, from 1 (0 with MBUF_QUEUE_EMPTY) to the queue's
 *	max_msg
 * @deadline: how long to wait while the queue is full
 *
 * The message enters the queue whole, or not at all. Senders that wait are
 * served in the order in which they came, and with MBUF_NOW one does not
 * overtake them: -EAGAIN also means that others are waiting already.
 *
 * Return: 0, or -errno: -EPIPE (no receive right is left; there is no SIGPIPE),
 * -EMSGSIZE (longer than max_msg), -EINVAL (@len is 0 and the queue is without
 * MBUF_QUEUE_EMPTY), -EAGAIN, -ETIMEDOUT, -EINTR (full, see "Deadlines"),
 * -ENOBUFS (MBUF_QUEUE_OVERWRITE with MBUF_QUEUE_PRIO: all that is in the full
 * queue is of higher priority), -EDQUOT (the message has to be kept outside of
 * the slots, and the calling user has too much in flight), -EFAULT (@buf).
 */
MBUF_EXPORT int mbuf_send(int fd, const void *buf, size_t len,
			  uint64_t deadline);

/**
 * mbuf_recv() - receive one message
 * @fd: a receive right
 * @buf: room for the payload
 * @size: bytes of room
 * @deadline: how long to wait while the queue is empty
 *
 * Receivers that wait are served in the order in which they came.
 *
 * Return: the length of the message, which is 0 only for an empty message
 * (possible with MBUF_QUEUE_EMPTY), or -errno: -EPIPE (end of file: the queue
 * is empty, and no send right is left), -EMSGSIZE (the next message is longer
 * than @size; it stays next, and next_len of mbuf_queue_info() says how long it
 * is, as does mbuf_recv_msg()), -EAGAIN, -ETIMEDOUT, -EINTR (empty, see
 * "Deadlines"), -EFAULT (@buf; the message stays next).
 */
MBUF_EXPORT ssize_t mbuf_recv(int fd, void *buf, size_t size,
			      uint64_t deadline);

/**
 * mbuf_send_msg() - send one message, with a priority, and learn its number
 * @fd: a send right
 * @msg: in: buf (an address cast to uintptr_t), len, and prio from 0 to
 *	prio_max of mbuf_query() in a queue with MBUF_QUEUE_PRIO, otherwise 0;
 *	flags must be 0. Out: seq, the number of the message in the queue,
 *	counted from 1. All other members are ignored, and left alone
 * @deadline: how long to wait while the queue is full
 *
 * Return: as mbuf_send(), and also -EINVAL for prio and flags. After an error
 * @msg is as it was.
 */
MBUF_EXPORT int mbuf_send_msg(int fd, struct mbuf_msg *msg, uint64_t deadline);

/**
 * mbuf_recv_msg() - receive one message, and all that is known about it
 * @fd: a receive right
 * @msg: in: buf (an address cast to uintptr_t) and len, the bytes of room.
 *	Out: len, the length of the message, and flags, seq, prio, pid, uid and
 *	gid; see struct mbuf_msg. pid, uid and gid are those of the sender if
 *	flags has MBUF_MSG_CREDS
 * @deadline: how long to wait while the queue is empty
 *
 * Return: 0, or -errno as mbuf_recv(). With -EMSGSIZE, len has become the bytes
 * of room that are needed; after any other error @msg is as it was.
 */
MBUF_EXPORT int mbuf_recv_msg(int fd, struct mbuf_msg *msg, uint64_t deadline);

/**
 * mbuf_send_batch() - send many messages with one call
 * @fd: a send right
 * @msgs: an array of messages as for mbuf_send_msg(); seq is not set
 * @nr: how many, from 1 to batch_max of mbuf_query()
 * @min: wait for room until so many were sent; 0: do not wait at all; at most
 *	@nr
 * @deadline: how long to wait while fewer than @min were sent
 *
 * The messages are sent in order, and the call stops at the first one that
 * cannot be sent. Messages of other senders may come in between.
 *
 * Return: how many were sent, counted from the first, which may be fewer than
 * @min when a deadline, a signal or an error came in between; or -errno if not
 * even the first was sent: as mbuf_send_msg(), and -EINVAL for @nr and @min.
 * To learn why a batch stopped, call again with the rest.
 */
MBUF_EXPORT int mbuf_send_batch(int fd, struct mbuf_msg *msgs, unsigned int nr,
				unsigned int min, uint64_t deadline);

/**
 * mbuf_recv_batch() - receive many messages with one call
 * @fd: a receive right
 * @msgs: an array of messages as for mbuf_recv_msg(), each with its own room.
 *	Every one that was received has its results; the others are as they were
 * @nr: how many at most, from 1 to batch_max of mbuf_query()
 * @min: wait until so many were received; 0: take only what is there; at most
 *	@nr
 * @deadline: how long to wait while fewer than @min were received
 *
 * Return: how many were received, counted from the first, which may be fewer
 * than @min when a deadline, a signal, an error or the end of file came in
 * between; or -errno if there was not even one: as mbuf_recv_msg() (with
 * -EMSGSIZE, len of the first element says what is needed), and -EINVAL for @nr
 * and @min. Set len anew before an array is used again: it is a result as well.
 */
MBUF_EXPORT int mbuf_recv_batch(int fd, struct mbuf_msg *msgs, unsigned int nr,
				unsigned int min, uint64_t deadline);

/*
 * Channels
 * ========
 *
 * A channel connects two endpoints. Each writes 32 bytes (MBUF_SLOT_SIZE) into
 * the other's slot and signals the other; nothing of that ever blocks. A new
 * value replaces the old one, and signals are counted. Only one thread at a
 * time may wait on an endpoint.
 *
 * Endpoints also work with read(2), which waits and reads, write(2), which
 * writes and signals, poll(2), epoll(7) and io_uring(7).
 */

/**
 * mbuf_channel_create() - make a channel
 * @session: a session
 * @flags: 0, or MBUF_END_* of <linux/mbuf.h>, for both endpoints: NONBLOCK,
 *	MAP, THREAD
 * @fds: set to the two endpoints, which are alike
 *
 * The endpoints are not attached to the session: see mbuf_attach().
 *
 * Return: 0, or -errno, and then @fds is as it was: -EINVAL (@flags), -EDQUOT
 * (over the user's limit), -EMFILE, -ENFILE, -ENOMEM, -EOPNOTSUPP
 * (MBUF_END_THREAD on a kernel that cannot do it).
 */
MBUF_EXPORT int mbuf_channel_create(int session, uint32_t flags, int fds[2]);

/**
 * mbuf_channel_create_args() - make a channel of two endpoints that differ
 * @session: a session
 * @args: see struct mbuf_channel_create. Unless an endpoint has
 *	MBUF_END_DETACHED it is attached to the session, with its cookie
 *
 * Return: as mbuf_channel_create().
 */
MBUF_EXPORT int mbuf_channel_create_args(int session,
					 struct mbuf_channel_create *args);

/**
 * mbuf_call() - send a request and wait for the reply
 * @fd: an endpoint
 * @x: in: data is the request. Out: data is the reply, signals and seq are as
 *	struct mbuf_exchange has them. It must be all zeroes when it is used for
 *	the first time; do not touch anything but data from then on
 * @deadline: how long to wait for the reply
 *
 * Writes into the peer's slot, signals the peer, waits for its signal and reads
 * the own slot, all with one system call.
 *
 * After -EAGAIN, -EINTR or -ETIMEDOUT the request has been delivered, and @x
 * knows: the next call with the same @x only waits for the reply, and ignores
 * data. A call that has succeeded leaves @x ready for a new request. After any
 * other error clear @x before it is used for a new one.
 *
 * Return: 0, or -errno: -EAGAIN, -ETIMEDOUT, -EINTR (no reply yet), -EPIPE (the
 * peer is gone), -ECONNREFUSED (it never was there), -EBUSY (somebody else
 * waits on this endpoint), -EPERM (it belongs to another thread), -ENOTCONN
 * (not approved yet), -EFAULT.
 */
MBUF_EXPORT int mbuf_call(int fd, struct mbuf_exchange *x, uint64_t deadline);

/**
 * mbuf_serve() - send the reply to the last request, and wait for the next
 * @fd: an endpoint
 * @x: in: data is the reply. Out: data is the request, signals and seq are as
 *	struct mbuf_exchange has them. It must be all zeroes when it is used for
 *	the first time: that call only waits. Do not touch anything but data
 *	from then on
 * @deadline: how long to wait for a request
 *
 * The other side of mbuf_call(), also with one system call:
 *
 *	struct mbuf_exchange x = { 0 };
 *
 *	while (mbuf_serve(fd, &x, MBUF_FOREVER) >= 0)
 *		answer(x.data);
 *
 * After -EAGAIN, -EINTR or -ETIMEDOUT the reply has been delivered, and @x
 * knows: the next call with the same @x only waits, and ignores data.
 *
 * Return: 0, or -errno as mbuf_call(). -EPIPE: the client has gone.
 */
MBUF_EXPORT int mbuf_serve(int fd, struct mbuf_exchange *x, uint64_t deadline);

/**
 * mbuf_exchange() - any of the steps write, signal, wait and read
 * @fd: an endpoint
 * @x: see struct mbuf_exchange, all of it. done must be 0 in a new call; when
 *	the call ends without a signal it says which steps were done, and they
 *	are not done again if @x is passed as it is. A program that makes a copy
 *	of @x for the call has to keep done
 *
 * Return: 0, or -errno as mbuf_call(), and -EINVAL.
 */
MBUF_EXPORT int mbuf_exchange(int fd, struct mbuf_exchange *x);

/**
 * mbuf_channel_write() - replace what is in the peer's slot
 * @fd: an endpoint
 * @data: MBUF_SLOT_SIZE bytes
 *
 * Wakes nobody.
 *
 * Return: 0, or -errno: -EPIPE (the peer is gone; there is no SIGPIPE),
 * -ECONNREFUSED, -EPERM, -ENOTCONN as mbuf_call().
 */
MBUF_EXPORT int mbuf_channel_write(int fd, const void *data);

/**
 * mbuf_channel_signal() - signal the peer
 * @fd: an endpoint
 *
 * Return: as mbuf_channel_write().
 */
MBUF_EXPORT int mbuf_channel_signal(int fd);

/**
 * mbuf_channel_post() - write and signal; does not wait for anything
 * @fd: an endpoint
 * @data: MBUF_SLOT_SIZE bytes
 *
 * Return: as mbuf_channel_write().
 */
MBUF_EXPORT int mbuf_channel_post(int fd, const void *data);

/**
 * mbuf_channel_wait() - wait for a signal, and read the slot
 * @fd: an endpoint
 * @data: room for MBUF_SLOT_SIZE bytes, or NULL: do not read
 * @signals: set to how many signals have come since the last wait, or NULL. 0
 *	if the peer has gone and left a value that was not read yet
 * @deadline: how long to wait
 *
 * Takes all signals at once. What is read is the value that the last of them
 * came with.
 *
 * Return: 0, or -errno: -EAGAIN, -ETIMEDOUT, -EINTR (no signal), -EPIPE (the
 * peer is gone, and all was read), -ECONNREFUSED, -EBUSY, -EPERM, -ENOTCONN as
 * mbuf_call().
 */
MBUF_EXPORT int mbuf_channel_wait(int fd, void *data, uint64_t *signals,
				  uint64_t deadline);

/**
 * mbuf_channel_read() - read the slot as it is now
 * @fd: an endpoint
 * @data: room for MBUF_SLOT_SIZE bytes; zeroes if nothing was ever written
 * @seq: set to how often the slot was written, or NULL
 *
 * Takes no signals. Works also when the peer is gone, and before the connection
 * is approved.
 *
 * Return: 0, or -errno: -EPERM (the endpoint belongs to another thread).
 */
MBUF_EXPORT int mbuf_channel_read(int fd, void *data, uint64_t *seq);

/**
 * mbuf_channel_info() - the state of an endpoint, and who is its peer
 * @fd: an endpoint
 * @out: filled in; see struct mbuf_channel_info
 *
 * Return: 0, or -errno: the common ones only.
 */
MBUF_EXPORT int mbuf_channel_info(int fd, struct mbuf_channel_info *out);

/**
 * mbuf_approve() - decide about a connection that waits for that
 * @fd: an endpoint from mbuf_accept_args() with MBUF_ACCEPT_ASK
 * @verdict: 1: the connection is approved; 0: it is refused
 *
 * Return: 0, or -errno: -EINVAL (@verdict, or it has been decided already),
 * -EPIPE (who asked has gone), -EPERM (the endpoint belongs to another thread).
 */
MBUF_EXPORT int mbuf_approve(int fd, int verdict);

/**
 * mbuf_channel_map() - map the own slot, to read it without a system call
 * @fd: an endpoint that was made with MBUF_END_MAP
 * @map: set to the slot, for mbuf_slot_read(); give it back with
 *	mbuf_channel_unmap(). It can be used for as long as it is mapped, also
 *	after @fd is closed; closing is not held up by it
 *
 * Return: 0, or -errno: -ENODEV (no MBUF_END_MAP), -EPERM (the endpoint belongs
 * to another thread), -ENOMEM.
 */
MBUF_EXPORT int mbuf_channel_map(int fd, const struct mbuf_slot_map **map);

/**
 * mbuf_channel_unmap() - give back what mbuf_channel_map() has mapped
 * @map: from mbuf_channel_map()
 *
 * Return: 0, or -EINVAL if @map cannot be that.
 */
MBUF_EXPORT int mbuf_channel_unmap(const struct mbuf_slot_map *map);

/* Words of memory of any type. */
typedef unsigned long __attribute__((__may_alias__)) mbuf_slot_word;

/**
 * mbuf_slot_read() - a consistent copy of a mapped slot, without a system call
 * @map: from mbuf_channel_map()
 * @out: set to all that was there at one moment. seq tells whether the value is
 *	a new one
 *
 * Looks again if the slot was being written meanwhile, which takes the kernel
 * some nanoseconds. Takes no signals. What was done before the write is seen
 * after the read, as with any message.
 */
static inline void mbuf_slot_read(const struct mbuf_slot_map *map,
				  struct mbuf_slot_map *out)
{
	union {
		const struct mbuf_slot_map *map;
		const mbuf_slot_word *word;
	} from;
	union {
		struct mbuf_slot_map *map;
		mbuf_slot_word *word;
	} to;
	unsigned int i;
	__u32 version;

	/*
	 * The atomics of C11 and C++11 by their common names: neither
	 * <stdatomic.h> nor <atomic> is there for both languages.
	 */
	from.map = map;
	to.map = out;
	for (;;) {
		version = __atomic_load_n(&map->version, __ATOMIC_ACQUIRE);
		if (version & 1)
			continue;
		for (i = 0; i < sizeof(*map) / sizeof(*from.word); i++)
			to.word[i] = __atomic_load_n(&from.word[i],
						     __ATOMIC_RELAXED);
		/* What was copied was copied before this. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&map->version, __ATOMIC_RELAXED) ==
		    version)
			return;
	}
}

/*
 * Sets of endpoints
 * =================
 *
 * A session is the set of the endpoints, listeners and accept queues that are
 * attached to it. Closing one of them, or the session, detaches.
 */

/**
 * mbuf_attach() - put something into a session's set
 * @session: a session
 * @fd: an endpoint, listener or accept queue. A descriptor as such does not
 *	matter: it stays attached when this one is closed and a duplicate is not
 * @cookie: what mbuf_poll_all() shall call it
 * @flags: 0, or MBUF_ATTACH_MOVE: take it from the session it is attached to
 *
 * Return: 0, or -errno: -EBUSY (it is attached to a session, this one or
 * another), -EPERM (it belongs to another thread, which may have ended), -EPIPE
 * (its connection was refused), -EINVAL (@flags).
 */
MBUF_EXPORT int mbuf_attach(int session, int fd, uint64_t cookie,
			    uint32_t flags);

/**
 * mbuf_detach() - take something out of a session's set
 * @session: a session
 * @fd: what is attached to it
 *
 * Return: 0, or -errno: -ENOENT (it is not attached to this session).
 */
MBUF_EXPORT int mbuf_detach(int session, int fd);

/**
 * mbuf_poll_all() - what is ready of all that is attached to a session
 * @session: a session
 * @events: room for @nr elements: a cookie and MBUF_EVENT_* each
 * @nr: how many at most, from 1 to batch_max of mbuf_query()
 * @deadline: how long to wait if nothing is ready
 *
 * Takes nothing: what is ready is told again until it is dealt with. The cost
 * does not depend on how many are attached.
 *
 * Return: how many elements were filled in, at least 1, or -errno: -EAGAIN,
 * -ETIMEDOUT, -EINTR (nothing is ready), -EINVAL (@nr), -EFAULT.
 */
MBUF_EXPORT int mbuf_poll_all(int session, struct mbuf_event *events,
			      unsigned int nr, uint64_t deadline);

/**
 * mbuf_wait_any() - wait on several endpoints, and read the slot of one
 * @session: a session, to which the endpoints need not be attached
 * @ends: @nr elements, of which fd is an endpoint and the rest is 0
 * @nr: how many, from 1 to wait_any_max of mbuf_query()
 * @out: set to the result: index, state, signals, seq and data of the endpoint
 *	that got a signal
 * @deadline: how long to wait
 *
 * mbuf_channel_wait() on the first of several to get a signal; the calling
 * thread is the one that waits on each of them meanwhile. state has
 * MBUF_END_CLOSED, and signals is 0, if that endpoint's peer is gone and has
 * left no signal.
 *
 * Return: the index of the endpoint in @ends, or -errno, and then @out is as it
 * was: -EAGAIN, -ETIMEDOUT, -EINTR (no signal), -EBUSY (somebody else waits on
 * one of them), -EPERM (one belongs to another thread), -ENOTCONN (one is not
 * approved yet), -EINVAL (@nr, or an endpoint is named twice).
 */
MBUF_EXPORT int mbuf_wait_any(int session, const struct mbuf_ref *ends,
			      unsigned int nr, struct mbuf_wait_any *out,
			      uint64_t deadline);

/*
 * Listeners
 * =========
 *
 * A listener has a name, in the network namespace of who opened the session. A
 * name is bytes: it need not end with a NUL, and if one is counted in its
 * length it is part of it.
 */

/**
 * mbuf_listen() - listen under a name
 * @session: a session, whose user pays
 * @name: the name
 * @len: its length in bytes, from 1 to name_max of mbuf_query()
 * @mode: who may connect: the write bits (0222) for the user and group of this
 *	process, and for others
 * @backlog: how many connections may wait to be accepted, at most backlog_max
 *	of mbuf_query(); 0: only in queues of mbuf_accept_queue()
 *
 * The name is free again when the last descriptor of the listener is closed.
 * The listener is not attached to the session: see mbuf_attach().
 *
 * Return: the listener's descriptor, or -errno: -EADDRINUSE, -ENAMETOOLONG,
 * -EINVAL, -EDQUOT, -EMFILE, -ENFILE, -ENOMEM.
 */
MBUF_EXPORT int mbuf_listen(int session, const void *name, size_t len,
			    uint32_t mode, uint32_t backlog);

/**
 * mbuf_listen_args() - listen with another owner or group, or attached
 * @session: a session
 * @args: see struct mbuf_listen
 *
 * Return: 0, or -errno as mbuf_listen(), and -EPERM (an owner or group that the
 * caller may not give it).
 */
MBUF_EXPORT int mbuf_listen_args(int session, struct mbuf_listen *args);

/**
 * mbuf_listener_set() - change who owns a listener, its mode or its backlog
 * @fd: a listener
 * @set: see struct mbuf_listener_set; its flags say what is to be changed
 *
 * Return: 0, or -errno: -EINVAL, -EPERM.
 */
MBUF_EXPORT int mbuf_listener_set(int fd, const struct mbuf_listener_set *set);

/**
 * mbuf_listener_allow() - let a user connect, whatever the mode says
 * @fd: a listener
 * @uid: the user
 *
 * In force for whoever begins to connect from now on, as with the next two.
 *
 * Return: 0, or -errno: -EINVAL (there is no such user in the caller's user
 * namespace), -ENOSPC (acl_max users are in the list), -EDQUOT, -ENOMEM.
 */
MBUF_EXPORT int mbuf_listener_allow(int fd, uint32_t uid);

/**
 * mbuf_listener_deny() - do not let a user connect
 * @fd: a listener
 * @uid: the user
 *
 * Refuses connections of the user that nobody has accepted yet, as well. What
 * the user tries from now on wakes nobody and costs the listener nothing.
 *
 * Return: as mbuf_listener_allow().
 */
MBUF_EXPORT int mbuf_listener_deny(int fd, uint32_t uid);

/**
 * mbuf_listener_forget() - let the mode decide about a user
 * @fd: a listener
 * @uid: the user; need not be in the list
 *
 * Return: as mbuf_listener_allow().
 */
MBUF_EXPORT int mbuf_listener_forget(int fd, uint32_t uid);

/**
 * mbuf_listener_info() - the state of a listener or accept queue, and counters
 * @fd: a listener or accept queue
 * @name: room for the name, or NULL
 * @size: bytes of room
 * @out: filled in; see struct mbuf_listener_info. name_len is the length of
 *	the name, which has no NUL behind it
 *
 * Return: 0, or -errno: -EMSGSIZE (the name is longer than @size; only name_len
 * of @out is set, to its length).
 */
MBUF_EXPORT int mbuf_listener_info(int fd, void *name, size_t size,
				   struct mbuf_listener_info *out);

/**
 * mbuf_accept_queue() - make another queue of a listener's connections
 * @fd: a listener
 * @backlog: how many connections may wait in it, from 1 to backlog_max of
 *	mbuf_query()
 *
 * So that each thread can accept from its own. Not attached to a session.
 *
 * Return: the accept queue's descriptor, or -errno: -EINVAL, -ENOSPC (the
 * listener has too many), -EDQUOT, -EMFILE, -ENFILE, -ENOMEM.
 */
MBUF_EXPORT int mbuf_accept_queue(int fd, uint32_t backlog);

/**
 * mbuf_accept_queue_args() - make an accept queue, attached
 * @fd: a listener
 * @args: see struct mbuf_accept_queue
 *
 * Return: 0, or -errno as mbuf_accept_queue().
 */
MBUF_EXPORT int mbuf_accept_queue_args(int fd, struct mbuf_accept_queue *args);

/**
 * mbuf_connect() - connect to a name
 * @session: a session, whose user pays for this side
 * @name: the listener's name
 * @len: its length in bytes
 * @deadline: how long to wait until somebody accepts
 *
 * Return: the endpoint's descriptor, not attached to the session, or -errno:
 * -ECONNREFUSED (there is no such listener, or it did not approve), -EACCES (it
 * does not want this user), -EAGAIN (too many wait already; with MBUF_NOW, or
 * O_NONBLOCK on the session: nobody waits to accept right now), -ETIMEDOUT,
 * -EINTR (nobody has accepted, and the connection was withdrawn),
 * -ENAMETOOLONG, -EINVAL, -EDQUOT, -EMFILE, -ENFILE, -ENOMEM.
 */
MBUF_EXPORT int mbuf_connect(int session, const void *name, size_t len,
			     uint64_t deadline);

/**
 * mbuf_connect_args() - connect, with all that can be said about it
 * @session: a session
 * @args: see struct mbuf_connect; wait is set from @deadline
 * @deadline: how long to wait until somebody accepts
 *
 * Return: 0, or -errno as mbuf_connect().
 */
MBUF_EXPORT int mbuf_connect_args(int session, struct mbuf_connect *args,
				  uint64_t deadline);

/**
 * mbuf_accept() - accept a connection
 * @fd: a listener with a backlog, or an accept queue
 * @peer: set to who has connected, or NULL
 * @deadline: how long to wait for a connection
 *
 * Return: the endpoint's descriptor, not attached to a session, or -errno:
 * -EAGAIN, -ETIMEDOUT, -EINTR (no connection), -EPIPE (an accept queue whose
 * listener is gone), -EINVAL (a listener without a backlog), -EDQUOT, -EMFILE,
 * -ENFILE, -ENOMEM (with any of these the connection still waits).
 */
MBUF_EXPORT int mbuf_accept(int fd, struct mbuf_peer *peer, uint64_t deadline);

/**
 * mbuf_accept_args() - accept a connection, perhaps on approval
 * @fd: a listener with a backlog, or an accept queue
 * @args: see struct mbuf_accept; wait is set from @deadline
 * @deadline: how long to wait for a connection
 *
 * Return: 0, or -errno as mbuf_accept().
 */
MBUF_EXPORT int mbuf_accept_args(int fd, struct mbuf_accept *args,
				 uint64_t deadline);

/*
 * Regions: memory that the two sides of a channel agree on. One side offers,
 * the other takes the offer, and each gets a descriptor to map. See "Regions" in
 * <linux/mbuf.h>.
 */

/**
 * mbuf_region_offer() - offer memory to the peer, and wait until it takes it
 * @fd: an endpoint
 * @size: bytes, a multiple of the page size
 * @rights: what the peer gets: MBUF_REGION_READ, or with MBUF_REGION_WRITE
 * @deadline: how long to wait; afterwards the offer is withdrawn
 *
 * Several system calls: mbuf_offer(), mbuf_answer(), mbuf_withdraw().
 *
 * Return: the region's descriptor, a memfd, or -errno: -ECONNREFUSED (the peer
 * does not want it so), -EAGAIN, -ETIMEDOUT, -EINTR (no answer), -EBUSY (there
 * is another offer), -EPIPE, -ENOTCONN, -EINVAL, -EDQUOT, -EMFILE, -ENFILE.
 */
MBUF_EXPORT int mbuf_region_offer(int fd, uint64_t size, uint32_t rights,
				  uint64_t deadline);

/**
 * mbuf_region_take() - wait for an offer of the peer and take it
 * @fd: an endpoint
 * @min: the smallest size that will do, a multiple of the page size
 * @max: the largest size that will do, likewise
 * @rights: what is needed; more is not taken
 * @size: set to the size, or NULL
 * @deadline: how long to wait for an offer
 *
 * An offer that is not what is needed is rejected, with reason 0. Several
 * system calls: mbuf_offered(), mbuf_take() or mbuf_reject().
 *
 * Return: the region's descriptor, or -errno: -EMSGSIZE (not what is needed),
 * -EAGAIN, -ETIMEDOUT, -EINTR (no offer), -ENOENT (it was withdrawn), -EBUSY
 * (another thread takes it), -EPIPE, -ENOTCONN, -ENOMEM, -EDQUOT, -EMFILE,
 * -ENFILE.
 */
MBUF_EXPORT int mbuf_region_take(int fd, uint64_t min, uint64_t max,
				 uint32_t rights, uint64_t *size,
				 uint64_t deadline);

/**
 * mbuf_offer() - offer memory to the peer
 * @fd: an endpoint
 * @args: see struct mbuf_offer; id is set
 *
 * Return: 0, or -errno: -EINVAL, -EBUSY (there is one without an answer),
 * -EPIPE, -ECONNREFUSED (the connection was refused), -ENOTCONN, -EOPNOTSUPP
 * (the peer is a driver), -EPERM (not such memory), -EDQUOT.
 */
MBUF_EXPORT int mbuf_offer(int fd, struct mbuf_offer *args);

/**
 * mbuf_offered() - what the peer offers
 * @fd: an endpoint
 * @out: filled in; see struct mbuf_offered
 * @deadline: how long to wait for an offer
 *
 * Return: 0, or -errno: -EAGAIN, -ETIMEDOUT, -EINTR (nothing), -EPIPE,
 * -ECONNREFUSED (the connection was refused), -ENOTCONN.
 */
MBUF_EXPORT int mbuf_offered(int fd, struct mbuf_offered *out,
			     uint64_t deadline);

/**
 * mbuf_take() - take what the peer offers
 * @fd: an endpoint
 * @args: see struct mbuf_take; size, rights and region are set
 *
 * Return: 0, or -errno: -EINVAL (not within the offer), -ENOENT (no such offer
 * any more), -EBUSY (another thread takes it), -EOPNOTSUPP (only a provider can
 * supply it), -ENOMEM, -EINTR (it is still offered), -EPIPE, -ECONNREFUSED (the
 * connection was refused), -ENOTCONN, -EDQUOT, -EMFILE, -ENFILE.
 */
MBUF_EXPORT int mbuf_take(int fd, struct mbuf_take *args);

/**
 * mbuf_counter() - say what would be wanted instead of what the peer offers
 * @fd: an endpoint
 * @args: see struct mbuf_counter
 *
 * Return: 0, or -errno: -EINVAL, -ENOENT (no such offer any more), -EBUSY (it is
 * being taken), -EPIPE, -ECONNREFUSED (the connection was refused), -ENOTCONN.
 */
MBUF_EXPORT int mbuf_counter(int fd, const struct mbuf_counter *args);

/**
 * mbuf_reject() - do not want what the peer offers
 * @fd: an endpoint
 * @id: the offer
 * @reason: any number, for the peer
 *
 * Return: 0, or -errno as mbuf_counter().
 */
MBUF_EXPORT int mbuf_reject(int fd, uint64_t id, uint32_t reason);

/**
 * mbuf_answer() - what came of an offer
 * @fd: an endpoint
 * @id: the offer
 * @out: filled in; see struct mbuf_answer
 * @deadline: how long to wait for an answer
 *
 * Return: 0, or -errno: -ENOENT (no such offer, or that was told), -EAGAIN,
 * -ETIMEDOUT, -EINTR (no answer), -EPIPE, -EDQUOT, -EMFILE, -ENFILE.
 */
MBUF_EXPORT int mbuf_answer(int fd, uint64_t id, struct mbuf_answer *out,
			    uint64_t deadline);

/**
 * mbuf_withdraw() - take back an offer
 * @fd: an endpoint
 * @id: the offer
 *
 * Return: 0, or -errno: -ENOENT (no such offer, or it is over), -EALREADY (it
 * was taken: mbuf_answer() has the region).
 */
MBUF_EXPORT int mbuf_withdraw(int fd, uint64_t id);

/**
 * mbuf_grant() - derive a descriptor of a region that may do less
 * @session: a session, whose user pays for the descriptor
 * @region: a region, or a memfd sealed against any change of its size
 * @rights: MBUF_REGION_READ; or with MBUF_REGION_WRITE, of a region made with
 *	MBUF_OFFER_SOLID
 *
 * Return: the descriptor, or -errno: -EPERM (@region does not have the rights,
 * or is a memfd that can change its size), -EINVAL, -EDQUOT, -EMFILE, -ENFILE.
 */
MBUF_EXPORT int mbuf_grant(int session, int region, uint32_t rights);

/**
 * mbuf_region_info() - what a region is
 * @fd: a region that is no memfd
 * @out: filled in; see struct mbuf_region_info
 *
 * Return: 0, or -errno: the common ones only.
 */
MBUF_EXPORT int mbuf_region_info(int fd, struct mbuf_region_info *out);

/*
 * Paged regions: see the header of the kernel for what a pager does.
 */

/**
 * mbuf_paged_create() - make a region that has a pager
 * @session: a session, whose user pays
 * @size: bytes, a multiple of the page size
 * @pager: set to the pager's descriptor
 * @region: set to a right to read and write the region, to be mapped, granted,
 *	offered and passed on
 *
 * Return: 0, or -errno: -EINVAL, -EDQUOT, -EMFILE, -ENFILE, -ENOMEM.
 */
MBUF_EXPORT int mbuf_paged_create(int session, uint64_t size, int *pager,
				  int *region);

/**
 * mbuf_faults() - take messages about those who wait for pages
 * @pager: a pager's descriptor
 * @out: array, to be filled in
 * @nr: its length, 1 to mbuf_query.batch_max
 * @deadline: how long to wait for the first
 *
 * Return: how many, or -errno: -EAGAIN, -ETIMEDOUT, -EINTR (none), -EPIPE (and
 * there will be none: no right and no mapping is left), -EINVAL.
 */
MBUF_EXPORT int mbuf_faults(int pager, struct mbuf_fault *out, unsigned int nr,
			    uint64_t deadline);

/**
 * mbuf_supply() - give pages that are not there
 * @pager: a pager's descriptor
 * @args: in and out; see struct mbuf_supply. Less than all may be done
 *
 * Return: 0, or -errno and nothing was done: -EINVAL, -EDQUOT, -ENOMEM, -EINTR,
 * -EFAULT.
 */
MBUF_EXPORT int mbuf_supply(int pager, struct mbuf_supply *args);

/**
 * mbuf_refuse() - let an access fail
 * @pager: a pager's descriptor
 * @fault: as mbuf_faults() has it
 *
 * Return: 0, or -ENOENT: nobody waits for it any more.
 */
MBUF_EXPORT int mbuf_refuse(int pager, const struct mbuf_fault *fault);

/**
 * mbuf_evict() - take pages back
 * @pager: a pager's descriptor
 * @args: in and out; see struct mbuf_evict. Less than all may be done
 *
 * Return: 0, or -errno and nothing was done: -EBUSY (all that are there are in
 * use), -EINVAL, -EINTR, -EFAULT.
 */
MBUF_EXPORT int mbuf_evict(int pager, struct mbuf_evict *args);

/**
 * mbuf_protect() - who writes is noted, or has to ask
 * @pager: a pager's descriptor
 * @args: in and out; see struct mbuf_protect
 *
 * Return: 0, or -EINVAL.
 */
MBUF_EXPORT int mbuf_protect(int pager, struct mbuf_protect *args);

/**
 * mbuf_pages() - how pages are
 * @pager: a pager's descriptor
 * @offset: in bytes, a multiple of the page size
 * @size: likewise
 * @states: array of one byte for each page: MBUF_PAGE_*
 *
 * Return: 0, or -errno: -EINVAL, -EFAULT.
 */
MBUF_EXPORT int mbuf_pages(int pager, uint64_t offset, uint64_t size,
			   uint8_t *states);

/**
 * mbuf_paged_info() - what a pager's region is, and what has been going on
 * @pager: a pager's descriptor
 * @out: filled in; see struct mbuf_paged_info
 *
 * Return: 0, or -errno: the common ones only.
 */
MBUF_EXPORT int mbuf_paged_info(int pager, struct mbuf_paged_info *out);

/*
 * Providing: a third party supplies the memory for an offer, and first makes
 * sure that the two hold the ends of one channel and that both want it. See
 * "Providing" in <linux/mbuf.h>.
 */

/**
 * mbuf_consent() - take memory from whoever has what this returns
 * @fd: an endpoint
 * @args: see struct mbuf_consent; offer has to be set. consent and id are set
 *
 * Return: the consent, a descriptor to pass on to the provider, or -errno:
 * -EINVAL, -ENOENT (no such offer any more), -EBUSY (it is being taken or
 * provided; or something has to be claimed first), -EPIPE, -ECONNREFUSED (the
 * connection was refused), -ENOTCONN, -EDQUOT, -EMFILE, -ENFILE, -ENOMEM.
 */
MBUF_EXPORT int mbuf_consent(int fd, struct mbuf_consent *args);

/**
 * mbuf_revoke() - take back a consent
 * @fd: the endpoint that has given it
 * @id: the consent's
 *
 * Return: 0, or -errno: -ENOENT (it does not hold any more), -EALREADY (it has
 * been used: mbuf_answer(), or mbuf_claim(), has the region).
 */
MBUF_EXPORT int mbuf_revoke(int fd, uint64_t id);

/**
 * mbuf_claim() - get what was provided, on the side that has not offered
 * @fd: an endpoint
 * @offer: the peer's offer, to which this side has consented
 * @out: filled in, or NULL; see struct mbuf_claim
 * @deadline: how long to wait until it is provided
 *
 * The side that has offered gets it from mbuf_answer().
 *
 * Return: the region's descriptor, or -errno: -ENOENT (no such offer any more,
 * or no consent), -EAGAIN, -ETIMEDOUT, -EINTR (nothing yet), -EPIPE, -EDQUOT,
 * -EMFILE, -ENFILE, -ENOMEM.
 */
MBUF_EXPORT int mbuf_claim(int fd, uint64_t offer, struct mbuf_claim *out,
			   uint64_t deadline);

/**
 * mbuf_consent_info() - who has consented to what
 * @fd: a consent
 * @out: filled in; see struct mbuf_consent_info
 *
 * Return: 0, or -errno: the common ones only.
 */
MBUF_EXPORT int mbuf_consent_info(int fd, struct mbuf_consent_info *out);

/**
 * mbuf_provide() - supply the memory that two have consented to
 * @session: a session
 * @args: see struct mbuf_provide; size and offer are set
 *
 * Return: 0, or -errno: -EXDEV (not the ends of one channel), -ESTALE (a consent
 * does not hold any more), -EPIPE (an end is closed), -ETIMEDOUT (a consent has
 * expired), -EBUSY (somebody takes or provides it right now), -EACCES (another
 * user shall provide), -EPERM (not such memory), -EMSGSIZE (not such a size),
 * -EINVAL, -ENOTTY, -ENOMEM, -EINTR.
 */
MBUF_EXPORT int mbuf_provide(int session, struct mbuf_provide *args);

/*
 * Capabilities
 * ============
 *
 * <linux/mbuf.h> says what capabilities, tables, message objects and sealed
 * messages are. A handle is a number in a table of a session. Where a function
 * makes one, *@handle is the index that it shall have, or 0 for any, and
 * is set to it; @table is the handle of a table, or 0 for the session's root
 * table.
 *
 * Errors about handles, which are listed with none of the functions below:
 * -ENOENT (there is none), -ENOTDIR (a path leads through what is no table),
 * -EACCES (a right is missing), -EKEYREVOKED, -EBUSY (another call is moving
 * it); and about making them: -EEXIST, -EDQUOT.
 */

/**
 * mbuf_cap_fd() - a descriptor, to be sent
 * @fd: the descriptor, which stays with the sender
 */
static inline struct mbuf_cap mbuf_cap_fd(int fd)
{
	struct mbuf_cap cap;

	cap.ref.fd = fd;
	cap.ref.flags = 0;
	cap.ref.handle = 0;
	cap.rights = 0;
	cap.type = 0;
	cap.flags = 0;
	cap.error = 0;
	cap.id = 0;
	return cap;
}

/**
 * mbuf_cap_handle() - a handle, to be sent
 * @handle: the handle; the receiver gets one that is derived from it
 */
static inline struct mbuf_cap mbuf_cap_handle(uint64_t handle)
{
	struct mbuf_cap cap = mbuf_cap_fd(-1);

	cap.ref.flags = MBUF_REF_HANDLE;
	cap.ref.handle = handle;
	return cap;
}

/**
 * mbuf_cap_move() - a handle, to be sent and gone
 * @handle: the handle; it is the sender's no more when the message is sent
 */
static inline struct mbuf_cap mbuf_cap_move(uint64_t handle)
{
	struct mbuf_cap cap = mbuf_cap_handle(handle);

	cap.flags = MBUF_CAP_MOVE;
	return cap;
}

/**
 * mbuf_queue_create_args() - make a queue, with all that there is to say
 * @session: a session
 * @args: see struct mbuf_queue_create: @args->max_caps with MBUF_QUEUE_CAPS,
 *	and @args->recv.handle with MBUF_QUEUE_HANDLE
 *
 * Return: 0, or -errno as mbuf_queue_create().
 */
MBUF_EXPORT int mbuf_queue_create_args(int session,
				       struct mbuf_queue_create *args);

/**
 * mbuf_send_caps() - send one message with capabilities
 * @fd: a send right of a queue with MBUF_QUEUE_CAPS
 * @msg: buf, len and prio; seq is set
 * @caps: what it carries; see mbuf_cap_fd(), mbuf_cap_handle(), mbuf_cap_move()
 * @nr: how many
 * @session: the session in whose tables handles are; -1 if there are none
 * @deadline: how long to wait while the queue is full
 *
 * All of them are sent, or none is.
 *
 * Return: 0, or -errno: those of mbuf_send(), and -EPERM (the queue takes no
 * capabilities, or an endpoint belongs to a thread), -EMSGSIZE (more than it
 * takes), -EBADF (a descriptor, or @session), -EOPNOTSUPP (one that cannot be
 * sent), -ELOOP (it would own the queue it is sent to), -EDQUOT.
 */
MBUF_EXPORT int mbuf_send_caps(int fd, struct mbuf_msg *msg,
			       const struct mbuf_cap *caps, unsigned int nr,
			       int session, uint64_t deadline);

/**
 * mbuf_recv_caps() - receive one message with capabilities
 * @fd: a receive right
 * @msg: buf and len say where the room for the payload is; the rest is set. With
 *	-EMSGSIZE, len is what is needed
 * @caps: room for capabilities, which are set
 * @nr: how much room; set to how many there are. Likewise with -EMSGSIZE
 * @flags: MBUF_RECV_*
 * @session: whose root table handles are put into; -1 if none are expected
 * @deadline: how long to wait while the queue is empty
 *
 * Return: 0, or -errno, and then the message stays: those of mbuf_recv(), and
 * -EMSGSIZE (@nr), -EBADF (there are handles, and no @session), -EMFILE,
 * -ENFILE, -EDQUOT.
 */
MBUF_EXPORT int mbuf_recv_caps(int fd, struct mbuf_msg *msg,
			       struct mbuf_cap *caps, unsigned int *nr,
			       uint32_t flags, int session, uint64_t deadline);

/**
 * mbuf_give() - give the peer of a channel a queue's send right
 * @end: an endpoint
 * @send_fd: a send right, which stays
 *
 * The peer has to be told by a signal.
 *
 * Return: 0, or -errno: -EBUSY (it has not taken the last one), -EOPNOTSUPP (no
 * send right of a queue, or the peer is a driver), -EPIPE, -ECONNREFUSED (the
 * connection was refused), -ENOTCONN, -EPERM (the endpoint is another thread's).
 */
MBUF_EXPORT int mbuf_give(int end, int send_fd);

/**
 * mbuf_given() - take the send right that the peer has given
 * @end: an endpoint
 *
 * Return: the send right, or -errno: -EAGAIN (there is none), -EPIPE (nor will
 * there be one), -EPERM, -EMFILE, -ENFILE.
 */
MBUF_EXPORT int mbuf_given(int end);

/**
 * mbuf_table_create() - make a table
 * @session: a session
 * @table: where its handle will be
 * @handle: its handle
 *
 * Return: 0, or -errno: -ELOOP (too many tables in tables).
 */
MBUF_EXPORT int mbuf_table_create(int session, uint64_t table,
				  uint64_t *handle);

/**
 * mbuf_table_list() - what is in a table?
 * @session: a session
 * @table: the table
 * @start: the lowest index to tell; set to where to go on
 * @entries: room, which is set
 * @nr: how much, from 1 to batch_max of mbuf_query()
 *
 * Return: how many there are in @entries, fewer than @nr at the end, or -errno.
 */
MBUF_EXPORT int mbuf_table_list(int session, uint64_t table, uint64_t *start,
				struct mbuf_handle_entry *entries,
				unsigned int nr);

/**
 * mbuf_handle_put() - make a handle of a descriptor
 * @session: a session
 * @fd: the descriptor, which stays
 * @table: where the handle will be
 * @rights: MBUF_RIGHT_* that it shall have; 0: all that it can
 * @handle: the handle
 *
 * Return: 0, or -errno: -EOPNOTSUPP (not of this one), -EPERM (an endpoint that
 * belongs to a thread), -EINVAL (@rights).
 */
MBUF_EXPORT int mbuf_handle_put(int session, int fd, uint64_t table,
				uint32_t rights, uint64_t *handle);

/**
 * mbuf_handle_open() - make a descriptor of a handle
 * @session: a session
 * @handle: one of type MBUF_CAP_FILE, or of MBUF_CAP_RECEIVER, which is gone
 *	then
 *
 * Return: the descriptor, or -errno: -EOPNOTSUPP (another type), -EMFILE,
 * -ENFILE, or what a security module says.
 */
MBUF_EXPORT int mbuf_handle_open(int session, uint64_t handle);

/**
 * mbuf_handle_copy() - derive a handle from another
 * @session: a session
 * @from: the other
 * @table: where it will be
 * @rights: MBUF_RIGHT_* that it shall have; 0: the same
 * @handle: the new handle
 *
 * Return: 0, or -errno: -EOPNOTSUPP (it can only be moved), -EINVAL (a right
 * that @from has not).
 */
MBUF_EXPORT int mbuf_handle_copy(int session, uint64_t from, uint64_t table,
				 uint32_t rights, uint64_t *handle);

/**
 * mbuf_handle_move() - give a handle another place
 * @session: a session
 * @from: where it is
 * @table: where it will be
 * @rights: MBUF_RIGHT_* that it shall keep; 0: all
 * @handle: what it is then
 *
 * Return: 0, or -errno: -ELOOP (a table into itself), -EINVAL (@rights).
 */
MBUF_EXPORT int mbuf_handle_move(int session, uint64_t from, uint64_t table,
				 uint32_t rights, uint64_t *handle);

/**
 * mbuf_handle_delete() - delete a handle
 * @session: a session
 * @handle: the handle; what it owns goes with it
 *
 * Return: 0, or -errno.
 */
MBUF_EXPORT int mbuf_handle_delete(int session, uint64_t handle);

/**
 * mbuf_handle_revoke() - end all that was derived from a handle
 * @session: a session
 * @handle: the handle, which stays
 *
 * Return: how many handles it has ended, or -errno.
 */
MBUF_EXPORT int mbuf_handle_revoke(int session, uint64_t handle);

/**
 * mbuf_handle_info() - what is a handle?
 * @session: a session
 * @handle: the handle; 0: the root table
 * @out: filled in
 *
 * Return: 0, or -errno. One that was revoked is of type MBUF_CAP_NONE.
 */
MBUF_EXPORT int mbuf_handle_info(int session, uint64_t handle,
				 struct mbuf_handle_info *out);

/**
 * mbuf_handle_queue_info() - mbuf_queue_info() by handle
 * @session: a session
 * @handle: a right to a queue, or a message object with an inbox
 * @out: filled in
 *
 * Return: 0, or -errno: -ENOTTY (neither).
 */
MBUF_EXPORT int mbuf_handle_queue_info(int session, uint64_t handle,
				       struct mbuf_queue_info *out);

/**
 * mbuf_handle_send() - mbuf_send_caps() by handle
 * @session: a session
 * @handle: a send right, or a reply right, which is gone then
 * @msg: as for mbuf_send_caps()
 * @caps: likewise; may be NULL if @nr is 0
 * @nr: how many
 * @deadline: how long to wait while the queue is full
 *
 * Return: 0, or -errno as mbuf_send_caps(), and -ENOTTY.
 */
MBUF_EXPORT int mbuf_handle_send(int session, uint64_t handle,
				 struct mbuf_msg *msg,
				 const struct mbuf_cap *caps, unsigned int nr,
				 uint64_t deadline);

/**
 * mbuf_handle_recv() - mbuf_recv_caps() by handle
 * @session: a session
 * @handle: a receive right, or a message object with an inbox
 * @msg: as for mbuf_recv_caps()
 * @caps: likewise; may be NULL if @nr is
 * @nr: likewise; NULL: no room
 * @flags: MBUF_RECV_*
 * @deadline: how long to wait while the queue is empty
 *
 * Return: 0, or -errno as mbuf_recv_caps(), and -ENOTTY.
 */
MBUF_EXPORT int mbuf_handle_recv(int session, uint64_t handle,
				 struct mbuf_msg *msg, struct mbuf_cap *caps,
				 unsigned int *nr, uint32_t flags,
				 uint64_t deadline);

/**
 * mbuf_message_create() - make a message object
 * @session: a session
 * @args: see struct mbuf_message_create; @args->sent.fd and @args->arrived.fd
 *	are -1 if nothing is to be told. @args->handle and @args->id are set
 *
 * Return: 0, or -errno: -EINVAL, -EBADF, -ENOTTY (a target that is neither an
 * eventfd nor an endpoint).
 */
MBUF_EXPORT int mbuf_message_create(int session,
				    struct mbuf_message_create *args);

/**
 * mbuf_message_load() - load a message object
 * @session: a session
 * @message: its handle
 * @buf: the payload
 * @len: bytes of it
 * @caps: what it carries, as for mbuf_send_caps()
 * @nr: how many
 *
 * Return: 0, or -errno: -EBUSY (it stands in line), -EMSGSIZE (more than it was
 * made for), and those of mbuf_send_caps() about capabilities.
 */
MBUF_EXPORT int mbuf_message_load(int session, uint64_t message,
				  const void *buf, size_t len,
				  const struct mbuf_cap *caps, unsigned int nr);

/**
 * mbuf_message_load_args() - mbuf_message_load(), with all that there is to say
 * @session: a session
 * @args: see struct mbuf_message_load
 *
 * Return: as mbuf_message_load().
 */
MBUF_EXPORT int mbuf_message_load_args(int session,
				       struct mbuf_message_load *args);

/**
 * mbuf_message_enqueue() - send what is loaded, now or when there is room
 * @session: a session
 * @message: the message object
 * @fd: a send right
 *
 * Never sleeps, and allocates nothing.
 *
 * Return: 0 if the message has entered the queue, 1 if it stands in line, or
 * -errno, and it stays loaded: -EBUSY (it is in line already), -ENODATA (it is
 * not loaded), -EPIPE, -EMSGSIZE, -EPERM, -EINVAL, -ENOBUFS, -ELOOP.
 */
MBUF_EXPORT int mbuf_message_enqueue(int session, uint64_t message, int fd);

/**
 * mbuf_message_enqueue_handle() - mbuf_message_enqueue() by handle
 * @session: a session
 * @message: the message object
 * @handle: a send right, or a reply right, which is gone then
 *
 * Return: as mbuf_message_enqueue(), and -ENOTTY.
 */
MBUF_EXPORT int mbuf_message_enqueue_handle(int session, uint64_t message,
					    uint64_t handle);

/**
 * mbuf_message_cancel() - take a message object out of line
 * @session: a session
 * @message: the message object, which stays loaded
 *
 * Return: 0, or -errno: -EALREADY (it does not stand in line: the message has
 * entered, or never was enqueued).
 */
MBUF_EXPORT int mbuf_message_cancel(int session, uint64_t message);

/**
 * mbuf_message_info() - the state of a message object
 * @session: a session
 * @message: the message object
 * @out: filled in
 *
 * Return: 0, or -errno.
 */
MBUF_EXPORT int mbuf_message_info(int session, uint64_t message,
				  struct mbuf_message_info *out);

/**
 * mbuf_message_grant() - make a right to send to a message object's inbox
 * @session: a session
 * @message: the message object
 * @table: where the handle will be
 * @flags: MBUF_GRANT_ONCE, or 0
 * @handle: the handle
 *
 * Return: 0, or -errno: -ENOTTY (it has no inbox), -ENFILE.
 */
MBUF_EXPORT int mbuf_message_grant(int session, uint64_t message,
				   uint64_t table, uint32_t flags,
				   uint64_t *handle);

/**
 * mbuf_key_create() - make a key
 * @session: a session
 * @table: where its handle will be
 * @handle: its handle, with the rights to seal and to unseal
 *
 * Return: 0, or -errno.
 */
MBUF_EXPORT int mbuf_key_create(int session, uint64_t table, uint64_t *handle);

/**
 * mbuf_seal() - seal a message
 * @session: a session
 * @args: see struct mbuf_seal; @args->handle and @args->id are set
 *
 * Return: 0, or -errno: -EACCES (the key may not), -ENOTTY (no key), -EMSGSIZE,
 * -EINVAL, -ELOOP (sealed too often), and those of mbuf_send_caps() about
 * capabilities.
 */
MBUF_EXPORT int mbuf_seal(int session, struct mbuf_seal *args);

/**
 * mbuf_unseal() - unseal a message
 * @session: a session
 * @args: see struct mbuf_unseal; @args->len and @args->nr_caps are set
 *
 * Return: 0, or -errno: -EKEYREJECTED (another key), -EACCES (the key may not),
 * -ENOTTY (no key, or no sealed message), -EMSGSIZE, -EMFILE, -ENFILE.
 */
MBUF_EXPORT int mbuf_unseal(int session, struct mbuf_unseal *args);

/**
 * mbuf_strerror() - what an error means when it comes from mbuf
 * @err: an errno value, or one with its sign changed as the functions here
 *	return it
 *
 * Return: one line of English without a newline, which is constant and must not
 * be freed. Never NULL: "unknown error" for a value that mbuf does not use.
 */
MBUF_EXPORT const char *mbuf_strerror(int err);

#ifdef __cplusplus
}
#endif

#endif /* _MBUF_H */
