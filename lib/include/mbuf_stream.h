/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libmbuf: streams of messages between two processes, by name.
 *
 * One side listens under a name, the other connects to it, and each gets a
 * struct mbuf_stream, by which both can send and receive messages of any length.
 * What carries them is a ring of shared memory each way (<mbuf_ring.h>), and a
 * channel (<mbuf.h>) at which a side sleeps: while both sides run, neither
 * enters the kernel.
 *
 *	server					client
 *	mbuf_stream_listen()
 *	mbuf_stream_accept()			mbuf_stream_connect()
 *	mbuf_stream_recv()			mbuf_stream_send()
 *	mbuf_stream_send()			mbuf_stream_recv()
 *	mbuf_stream_close()			mbuf_stream_close()
 *
 * Messages
 * ========
 *
 * A message arrives whole and once, in the order in which it was sent, or not
 * at all: what one call sends, one call receives. It may be longer than the
 * ring; then it goes through in fragments, which neither side has to know of.
 *
 * Each side has a ring of its own to send through, which is charged to its own
 * memory control group, and which the other side can only read. Nobody can give
 * pages of it back, so there is no SIGBUS. Neither side has to trust the other:
 * a peer that breaks the rules costs -EPROTO, and nothing else. Only
 * mbuf_stream_peek() shows memory that the peer can still write: copy, then
 * check, or use mbuf_stream_recv().
 *
 * The end
 * =======
 *
 * mbuf_stream_shutdown() says that nothing more will be sent, and
 * mbuf_stream_close() says that and that nothing more will be received. The peer
 * gets all that was sent before, and then -EPIPE. If a side dies instead,
 * however that is, the peer gets all that was sent, and then -ECONNRESET: it
 * knows that there might have been more.
 *
 * Rules for callers
 * =================
 *
 *  - A result of 0 or more is success, a negative one is an errno value with its
 *    sign changed. Deadlines are those of <mbuf.h>: MBUF_NOW reports -EAGAIN
 *    instead of waiting, a time of mbuf_deadline() ends in -ETIMEDOUT,
 *    MBUF_FOREVER waits for as long as it takes. A signal handler ends waiting
 *    with -EINTR, unless it was installed with SA_RESTART and the system call
 *    that waits is one that goes on.
 *  - A call that fails has had no effect, with one exception, which only
 *    messages longer than mbuf_stream_max() know: see mbuf_stream_send() and
 *    mbuf_stream_recv().
 *  - One thread may send and another one receive at the same time; what says so
 *    belongs to the sending or the receiving side. All else must be alone, as
 *    must two threads that send, or two that receive. Two threads that wait
 *    share one channel, at which one of them waits for both.
 *  - mbuf_stream_arm() is for event loops, and belongs to neither side: with it,
 *    one thread at a time uses the stream.
 *  - After fork() either process may use a stream, but only one of them. The
 *    other calls mbuf_stream_drop(). No other thread may be in a call of the
 *    stream during fork(). Memory and descriptors are given up by execve().
 *  - A stream has one descriptor, with O_CLOEXEC, and two mappings.
 */
#ifndef _MBUF_STREAM_H
#define _MBUF_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <mbuf.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What it is if it is not said: bytes of a ring, and of the peer's at most. */
#define MBUF_STREAM_SIZE	(64u << 10)
#define MBUF_STREAM_PEER_SIZE	(16u << 20)

/* How long a listener gives a client to set up the stream: 10 s. */
#define MBUF_STREAM_SETUP_NS	10000000000ull

/* Flags of struct mbuf_stream_options. */
#define MBUF_STREAM_UID		0x01	/* uid counts */

/**
 * struct mbuf_stream_options - what need not be as it usually is
 * @size:	bytes of the ring that this side sends through, rounded up to a
 *		power of two of at least a page, at most 1 GiB; 0:
 *		MBUF_STREAM_SIZE. It may get smaller, as the peer likes
 * @peer_size:	the largest ring that the peer may have, likewise; 0:
 *		MBUF_STREAM_PEER_SIZE. This side pays for its mapping only
 * @setup_ns:	listener: how long a connection may take until it is set up, in
 *		nanoseconds; 0: MBUF_STREAM_SETUP_NS
 * @flags:	MBUF_STREAM_*
 * @uid:	connect, with MBUF_STREAM_UID: the effective user id that the
 *		process must have had that made the listener; otherwise 0
 * @resv:	must be 0
 *
 * All zeroes, like no options at all, is what is usual.
 */
struct mbuf_stream_options {
	uint64_t size;
	uint64_t peer_size;
	uint64_t setup_ns;
	uint32_t flags;
	uint32_t uid;
	uint64_t resv[4];
};

struct mbuf_stream;
struct mbuf_stream_listener;

/*
 * Setting up
 * ----------
 */

/**
 * mbuf_stream_connect() - connect to a name
 * @session: a session, whose user pays for this side
 * @name: the listener's name
 * @len: its length in bytes
 * @options: or NULL
 * @deadline: how long all of it may take. As both sides have steps to take,
 *	MBUF_NOW is always -EAGAIN
 * @stream: set to the stream
 *
 * If it fails nothing is left on either side.
 *
 * Return: 0, or -errno as mbuf_connect(): -ECONNREFUSED (there is no such
 * listener, or it has gone or given up meanwhile), -EACCES, -EAGAIN (too many
 * wait already), -ETIMEDOUT, -EINTR, -ENAMETOOLONG, -EINVAL (also @options),
 * -EDQUOT, -EMFILE, -ENFILE, -ENOMEM (also: the peer could not have the memory);
 * and -EPROTO (who listens there does not speak this), -EMSGSIZE (the sizes do
 * not go together).
 */
MBUF_EXPORT int mbuf_stream_connect(int session, const void *name, size_t len,
				    const struct mbuf_stream_options *options,
				    uint64_t deadline,
				    struct mbuf_stream **stream);

/**
 * mbuf_stream_listen() - listen under a name
 * @session: a session, whose user pays
 * @name: the name
 * @len: its length in bytes
 * @mode: who may connect, as with mbuf_listen()
 * @backlog: how many connections may wait, likewise; not 0
 * @options: for all streams that come from it, or NULL
 * @listener: set to the listener
 *
 * Return: 0, or -errno as mbuf_listen(), and -EINVAL (@options).
 */
MBUF_EXPORT int mbuf_stream_listen(int session, const void *name, size_t len,
				   uint32_t mode, uint32_t backlog,
				   const struct mbuf_stream_options *options,
				   struct mbuf_stream_listener **listener);

/**
 * mbuf_stream_listen_fd() - take streams from a listener that there is
 * @fd: from mbuf_listen(), mbuf_listen_args() or mbuf_accept_queue(), not
 *	attached to a session. Becomes the new listener's, unless the call fails
 * @options: as with mbuf_stream_listen()
 * @listener: set to the listener
 *
 * So that several threads or processes can serve one name, each with an accept
 * queue of its own, and for other owners and groups.
 *
 * Return: 0, or -errno: -EINVAL, -ENOTTY (@fd is none of these), -EMFILE,
 * -ENFILE, -ENOMEM.
 */
MBUF_EXPORT int mbuf_stream_listen_fd(int fd,
				      const struct mbuf_stream_options *options,
				      struct mbuf_stream_listener **listener);

/**
 * mbuf_stream_accept() - get the next stream that is set up
 * @listener: the listener; one thread at a time
 * @deadline: how long to wait for one
 * @stream: set to the stream
 *
 * Connections are set up side by side, a step at a time, whenever this is
 * called: one that stalls keeps nobody waiting, and is dropped when its time is
 * over, or when 256 are being set up and another one comes. One that fails by
 * its own fault is dropped as well; mbuf_stream_listener_stats() counts these.
 *
 * Return: 0, or -errno: -EAGAIN, -ETIMEDOUT, -EINTR (none; a signal handler
 * always ends it), -EDQUOT, -EMFILE, -ENFILE (over a limit of this side; the
 * connections wait), -ENOMEM.
 */
MBUF_EXPORT int mbuf_stream_accept(struct mbuf_stream_listener *listener,
				   uint64_t deadline,
				   struct mbuf_stream **stream);

/**
 * mbuf_stream_listener_fd() - what to put into an event loop
 * @listener: the listener
 *
 * Return: a descriptor, which stays the listener's. It is readable when
 * mbuf_stream_accept() has something to do, so then call that with MBUF_NOW
 * until it says -EAGAIN. Being readable is a hint.
 */
MBUF_EXPORT int
mbuf_stream_listener_fd(const struct mbuf_stream_listener *listener);

/**
 * mbuf_stream_listener_raw() - the listener of <mbuf.h>, or accept queue
 * @listener: the listener
 *
 * Return: its descriptor, which stays the listener's: for mbuf_listener_allow(),
 * mbuf_listener_set(), mbuf_accept_queue() and others. Nobody else may accept
 * from it.
 */
MBUF_EXPORT int
mbuf_stream_listener_raw(const struct mbuf_stream_listener *listener);

/**
 * struct mbuf_stream_listener_stats - what became of connections
 * @accepted:	mbuf_stream_accept() has given
 * @failed:	the client has gone, or did not do as it must, before that
 * @expired:	they took too long, or had to make room for others
 * @pending:	are being set up now
 */
struct mbuf_stream_listener_stats {
	uint64_t accepted;
	uint64_t failed;
	uint64_t expired;
	uint64_t pending;
};

/**
 * mbuf_stream_listener_stats() - what became of connections
 * @listener: the listener
 * @out: filled in
 */
MBUF_EXPORT void
mbuf_stream_listener_stats(const struct mbuf_stream_listener *listener,
			   struct mbuf_stream_listener_stats *out);

/**
 * mbuf_stream_listener_close() - stop listening
 * @listener: the listener, or NULL. Its streams stay; what is not set up yet is
 *	refused
 */
MBUF_EXPORT void
mbuf_stream_listener_close(struct mbuf_stream_listener *listener);

/**
 * mbuf_stream_peer() - who is at the other end
 * @stream: the stream
 * @peer: set to the process that connected or accepted, as it was then
 */
MBUF_EXPORT void mbuf_stream_peer(const struct mbuf_stream *stream,
				  struct mbuf_peer *peer);

/*
 * Sending
 * -------
 */

/**
 * mbuf_stream_max() - the longest message that goes through in one piece
 * @stream: the stream
 *
 * Return: bytes; somewhat less than half the ring. Longer messages can be sent,
 * too.
 */
MBUF_EXPORT size_t mbuf_stream_max(const struct mbuf_stream *stream);

/**
 * mbuf_stream_send() - send a message
 * @stream: the stream; the sending side
 * @buf: the message
 * @len: bytes of it, 0 or more
 * @deadline: how long to wait for room
 *
 * Up to mbuf_stream_max() bytes are sent at once or not at all. Of a longer
 * message a part may have been sent when the call ends with -EAGAIN,
 * -ETIMEDOUT or -EINTR. It has to be called again then, with the same message:
 * another length is -EINVAL.
 *
 * Return: 0, or -errno: -EAGAIN, -ETIMEDOUT, -EINTR (no room), -EPIPE (the peer
 * does not receive any more, or is gone), -EMSGSIZE (2^63 bytes or more),
 * -EINVAL, -EPROTO (the peer broke the rules).
 */
MBUF_EXPORT int mbuf_stream_send(struct mbuf_stream *stream, const void *buf,
				 size_t len, uint64_t deadline);

/**
 * mbuf_stream_loan() - get room for a message in the ring itself
 * @stream: the stream; the sending side
 * @len: bytes, at most mbuf_stream_max()
 * @data: set to the room, at a multiple of 16
 * @deadline: how long to wait for room
 *
 * The room is the caller's until mbuf_stream_commit(). A loan that is not wanted
 * needs no call: the next one, or a message that is sent, gets the same room.
 *
 * Return: 0, or -errno as mbuf_stream_send(); -EMSGSIZE: longer than
 * mbuf_stream_max(); -EINVAL: a longer message has been sent in part.
 */
MBUF_EXPORT int mbuf_stream_loan(struct mbuf_stream *stream, size_t len,
				 void **data, uint64_t deadline);

/**
 * mbuf_stream_commit() - send what was written to a loan
 * @stream: the stream; the sending side
 * @len: bytes, at most those of the loan
 *
 * Return: 0, or -errno: -EINVAL (@len, or there is no loan), -EPIPE.
 */
MBUF_EXPORT int mbuf_stream_commit(struct mbuf_stream *stream, size_t len);

/**
 * mbuf_stream_shutdown() - nothing more will be sent
 * @stream: the stream; the sending side
 *
 * The peer gets all that was sent, and then -EPIPE (-ECONNRESET if a message was
 * sent in part only). It can still send.
 */
MBUF_EXPORT void mbuf_stream_shutdown(struct mbuf_stream *stream);

/*
 * Receiving
 * ---------
 */

/**
 * mbuf_stream_recv() - receive a message
 * @stream: the stream; the receiving side
 * @buf: room for the message
 * @size: bytes of room
 * @deadline: how long to wait for one
 *
 * If a message is longer than the peer's ring, a part of it may have been
 * received when the call ends with -EAGAIN, -ETIMEDOUT or -EINTR. It is in @buf
 * then, and the call has to be made again with the same buffer (or one with the
 * same in it), which gets the rest.
 *
 * Gives back what mbuf_stream_peek() has shown.
 *
 * Return: bytes of the message, or -errno: -EAGAIN, -ETIMEDOUT, -EINTR (there
 * is none), -EMSGSIZE (it is longer than @size: nothing is lost,
 * mbuf_stream_next() says how long), -EPIPE (the peer has said that nothing more
 * will come), -ECONNRESET (the peer is gone without having said so), -EPROTO (it
 * broke the rules).
 */
MBUF_EXPORT ssize_t mbuf_stream_recv(struct mbuf_stream *stream, void *buf,
				     size_t size, uint64_t deadline);

/**
 * mbuf_stream_next() - how long is the next message?
 * @stream: the stream; the receiving side
 * @len: set to its bytes; of one that was received in pieces, what is left
 * @deadline: how long to wait for one
 *
 * Return: 0, or -errno as mbuf_stream_recv().
 */
MBUF_EXPORT int mbuf_stream_next(struct mbuf_stream *stream, uint64_t *len,
				 uint64_t deadline);

/**
 * struct mbuf_stream_piece - a message, or a piece of one, where it is
 * @data:	the bytes, at a multiple of 16
 * @len:	how many
 * @left:	bytes of the same message that come after these
 */
struct mbuf_stream_piece {
	const void *data;
	size_t len;
	uint64_t left;
};

/**
 * mbuf_stream_peek() - look at the next message where it is, without a copy
 * @stream: the stream; the receiving side
 * @piece: set to the message if it came in one piece, or to the next piece of a
 *	longer one
 * @deadline: how long to wait for it
 *
 * It stays where it is until mbuf_stream_release(). Another call shows what
 * comes next: a batch is several of these and one release. A hostile peer can
 * change what is shown at any time.
 *
 * mbuf_stream_recv() after some pieces of a message gets the rest of it.
 *
 * Return: 0, or -errno as mbuf_stream_recv().
 */
MBUF_EXPORT int mbuf_stream_peek(struct mbuf_stream *stream,
				 struct mbuf_stream_piece *piece,
				 uint64_t deadline);

/**
 * mbuf_stream_release() - give back all that was peeked at
 * @stream: the stream; the receiving side
 */
MBUF_EXPORT void mbuf_stream_release(struct mbuf_stream *stream);

/*
 * Both
 * ----
 */

/**
 * mbuf_stream_call() - send a message, and receive one
 * @stream: the stream; both sides of it
 * @buf: the message
 * @len: bytes of it
 * @out: room for what is received
 * @size: bytes of room
 * @deadline: how long to wait, for both
 * @sent: set to whether the message was sent
 *
 * What mbuf_stream_send() and mbuf_stream_recv() do, but waking the peer and
 * waiting for it is one system call where nobody polls. A client calls it with a
 * request, a server with a reply.
 *
 * Return: bytes received, or -errno. If the message was sent it is an error of
 * mbuf_stream_recv(), which can be called to go on waiting; otherwise one of
 * mbuf_stream_send().
 */
MBUF_EXPORT ssize_t mbuf_stream_call(struct mbuf_stream *stream,
				     const void *buf, size_t len, void *out,
				     size_t size, uint64_t deadline, int *sent);

/*
 * Event loops
 * -----------
 *
 * A stream has one descriptor, and says whether it is readable only when it was
 * armed. The protocol is:
 *
 *	for (;;) {
 *		while (mbuf_stream_recv(..., MBUF_NOW) and others make progress)
 *			...;
 *		if (mbuf_stream_arm(stream, MBUF_STREAM_RECV) == 0)
 *			wait until mbuf_stream_fd(stream) has POLLIN or POLLHUP;
 *	}
 *
 * Each call of the sending or receiving side undoes the arming of its side, so
 * arm again after any other call and before waiting: nothing is lost then, also
 * if a call has waited by itself meanwhile. Level-triggered polling is meant.
 *
 * Being readable is a hint, and no more: a message may not be there, for example
 * if it was the other direction that became ready. When the peer is gone there is
 * POLLHUP, which nobody has to ask for, until the stream is closed. What there is
 * to receive is still received, and then comes an error.
 */

/* Bits for mbuf_stream_arm(). */
#define MBUF_STREAM_RECV	0x01	/* a message, or the end */
#define MBUF_STREAM_SEND	0x02	/* room */

/**
 * mbuf_stream_fd() - what to put into an event loop
 * @stream: the stream
 *
 * Return: a descriptor, which stays the stream's. Only poll it.
 */
MBUF_EXPORT int mbuf_stream_fd(const struct mbuf_stream *stream);

/**
 * mbuf_stream_arm() - make the descriptor readable when there is something
 * @stream: the stream; both sides of it
 * @events: MBUF_STREAM_*: what is waited for. SEND is room for what
 *	mbuf_stream_send() or mbuf_stream_loan() had none for when it was called
 *	last
 *
 * Return: 0: armed; or MBUF_STREAM_*: what of @events need not be waited for,
 * which includes errors, as the next call reports them; or -EINVAL (@events).
 */
MBUF_EXPORT int mbuf_stream_arm(struct mbuf_stream *stream,
				unsigned int events);

/**
 * struct mbuf_stream_stats - what was done
 * @sent:		messages sent
 * @sent_bytes:		bytes of them
 * @received:		messages received, of those that were peeked at the ones
 *			that were seen to their end
 * @received_bytes:	bytes of them
 * @rings:		system calls that woke the peer
 * @sleeps:		system calls that waited
 * @barriers:		calls of membarrier()
 */
struct mbuf_stream_stats {
	uint64_t sent;
	uint64_t sent_bytes;
	uint64_t received;
	uint64_t received_bytes;
	uint64_t rings;
	uint64_t sleeps;
	uint64_t barriers;
};

/**
 * mbuf_stream_stats() - what was done
 * @stream: the stream; both sides of it
 * @out: filled in
 */
MBUF_EXPORT void mbuf_stream_stats(const struct mbuf_stream *stream,
				   struct mbuf_stream_stats *out);

/**
 * mbuf_stream_close() - neither send nor receive any more
 * @stream: the stream, which is freed; or NULL
 *
 * The peer still gets all that was sent. Does not wait for that.
 */
MBUF_EXPORT void mbuf_stream_close(struct mbuf_stream *stream);

/**
 * mbuf_stream_drop() - free a stream without a word to the peer
 * @stream: the stream, which is freed; or NULL
 *
 * For a process that leaves the stream to another one, after fork(). If no other
 * process has it, that looks to the peer as if this one had died.
 */
MBUF_EXPORT void mbuf_stream_drop(struct mbuf_stream *stream);

#ifdef __cplusplus
}
#endif

#endif /* _MBUF_STREAM_H */
