/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libmbuf: the C interface to /dev/mbuf.
 *
 * Every function is one system call (mbuf_deadline() and mbuf_strerror() are
 * none), and these rules hold for all of them:
 *
 *  - A result of 0 or more is success, a negative one is an errno value with
 *    its sign changed, for example -EPIPE. errno itself has no meaning after a
 *    call. mbuf_strerror() gives a line of text.
 *  - A call that fails has had no effect, except as stated with it.
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
 * Descriptors of a queue also work with read(2), write(2), readv(2),
 * writev(2), poll(2), epoll(7), io_uring(7), dup(2), fcntl(2) with O_NONBLOCK,
 * and SCM_RIGHTS. <linux/mbuf.h> says what they do, and describes the structs.
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
 * received. A call that did not have to sleep never reports -EINTR.
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
 * close(2) as soon as nothing more is to be created.
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
