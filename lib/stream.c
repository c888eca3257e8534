// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Streams: a channel, a region from each side, and a ring in each region.
 *
 * How two sides set up a stream. Both say hello in the other's slot: who
 * connects with the connection, who accepts before it offers anything. Then both
 * do the same, in whatever order it comes:
 *
 *	OFFER		an area for a ring to send through, which the peer may
 *			read; no pages of it can be given back
 *	TAKE		the peer's, if it is that, and map it for reading
 *	ANSWER		the own one, and map it
 *
 * Who has done all three can send. As the other side has taken the own area by
 * then, it has all that it needs as well.
 *
 * An area is what <mbuf_ring.h> says: the first page has what this side tells as
 * a consumer, the second what it tells as a producer, and then comes the data.
 *
 * A message is one record with the tag TAG_WHOLE, if it fits, or else a record
 * with the tag TAG_LONG that says how long it is, in 8 bytes, and as many with
 * the tag TAG_FRAGMENT as it takes, none of them empty.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <mbuf_ring.h>
#include <mbuf_stream.h>

#include "internal.h"

#define TAG_WHOLE	0u
#define TAG_LONG	1u
#define TAG_FRAGMENT	2u

/* The length of a message must be one that can be told as a ssize_t. */
#define LEN_MAX		((uint64_t)INT64_MAX)

/*
 * A fragment ends where the data does, rather than that less than this is left
 * over there for the next one.
 */
#define FRAGMENT_MIN	256
/* The reader begins when a fragment is there, so it is not longer than this. */
#define FRAGMENT_MAX	(1u << 20)

/* How many connections can be set up at the same time. */
#define PENDING_MAX	256
/* How many steps to take before a call looks at the time. */
#define STEPS_MAX	64

/*
 * Who only polls is not told by the channel that the peer is gone: it asks each
 * time that it has found nothing so often.
 */
#define IDLE_MAX	256

/* What is in the slots of both sides. */
struct hello {
	char magic[16];
	uint32_t version;
	uint32_t resv[3];
};

static_assert(sizeof(struct hello) == MBUF_SLOT_SIZE, "it fills a slot");

static const struct hello hello = {
	.magic = "mbuf stream",
	.version = 1,
};

/* What both directions know of the doorbell, each its own. */
struct stream_wait {
	uint32_t seen;		/* the turn as of the last wait */
	bool due;		/* to be rung with the next wait */
};

struct stream_bell {
	struct mbuf_ring_bell bell;
	struct mbuf_stream *stream;
	struct stream_wait *wait;
};

/*
 * Members of the sending side and of the receiving side are far apart, as
 * different threads may use them.
 */
struct mbuf_stream {
	int fd;			/* the channel */
	bool taken;		/* setting up: the peer's area is mapped */
	bool answered;		/* the own one is */
	uint64_t offer;
	uint64_t peer_area;	/* bytes at most */
	unsigned char *own;
	size_t own_bytes;
	unsigned char *theirs;
	size_t theirs_bytes;
	struct mbuf_peer peer;
	struct mbuf_stream *next;	/* in the listener's list */
	struct mbuf_stream *prev;
	uint64_t expires;

	/* The turn at the channel: see door_wait(). */
	uint32_t turn __attribute__((aligned(MBUF_RING_LINE)));
	uint32_t sleepers;

	/* The sending side. */
	struct mbuf_ring_tx tx __attribute__((aligned(MBUF_RING_LINE)));
	struct stream_bell tx_bell;
	struct stream_wait tx_wait;
	uint32_t tx_idle;
	uint32_t tx_want;	/* what there was no room for */
	uint64_t long_len;	/* a message that was sent in part, or 0 */
	uint64_t long_done;
	uint64_t sent;
	uint64_t sent_bytes;

	/* The receiving side. */
	struct mbuf_ring_rx rx __attribute__((aligned(MBUF_RING_LINE)));
	struct stream_bell rx_bell;
	struct stream_wait rx_wait;
	uint32_t rx_idle;
	int rx_error;
	bool rx_gone;		/* the channel says that the peer is gone */
	uint64_t left;		/* of a long message, or 0 */
	uint64_t got;		/* of it, in the caller's buffer */
	uint64_t received;
	uint64_t received_bytes;
};

struct mbuf_stream_listener {
	int fd;			/* the listener, or accept queue */
	int ep;			/* it, and what is being set up */
	bool gone;		/* the listener of the accept queue is */
	struct mbuf_stream_options options;
	struct mbuf_stream *first;	/* the oldest */
	struct mbuf_stream *last;
	struct mbuf_stream_listener_stats stats;
};

static size_t stream_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- the doorbell ---------------------------------------------------------- */

static int door_ring(const struct mbuf_ring_bell *bell)
{
	int ret = mbuf_channel_signal(bell->fd);

	return ret < 0 ? ret : 0;
}

/* Sleep while *@word is @value. */
static int door_sleep(uint32_t *word, uint32_t value, uint64_t deadline)
{
	/* What SYS_futex takes; its name depends on the machine. */
	struct {
		long sec;
		long nsec;
	} at = { 0 };
	long ret;

	if (deadline != MBUF_FOREVER) {
		uint64_t sec = deadline / 1000000000;

		at.sec = sec > LONG_MAX ? LONG_MAX : (long)sec;
		at.nsec = (long)(deadline % 1000000000);
	}
	ret = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
		      value, deadline == MBUF_FOREVER ? NULL : &at, NULL,
		      FUTEX_BITSET_MATCH_ANY);
	return ret && errno != EAGAIN ? -errno : 0;
}

/*
 * Only one thread can wait at an endpoint, but two may want to, one for each
 * ring. One of them does, whose turn it is, and the other sleeps until that one
 * comes back, for whatever reason: then there may be something for it, as a
 * signal does not say what it is for, or it is its own turn.
 *
 * The turn is a count and, in the lowest bit, whether somebody has it. The count
 * goes on when the turn ends. So a thread that finds it as it was when it last
 * came back has missed nothing, and it can have the turn, or sleep, for as long
 * as that is so: one word says both.
 */
static int door_wait(const struct mbuf_ring_bell *bell, int ring,
		     uint64_t deadline)
{
	const struct stream_bell *b = (const struct stream_bell *)bell;
	struct mbuf_exchange call = {
		.wait = libmbuf_wait(deadline),
		.steps = MBUF_STEP_WAIT,
	};
	struct stream_wait *own = b->wait;
	struct mbuf_stream *s = b->stream;
	bool missed = false;
	uint32_t turn;
	int ret;

	if (ring)
		own->due = true;
	for (;;) {
		turn = __atomic_load_n(&s->turn, __ATOMIC_ACQUIRE);
		if (turn >> 1 != own->seen) {
			own->seen = turn >> 1;
			/* Who does not wait wants to know what is new, too. */
			if (deadline != MBUF_NOW)
				return 0;
			missed = true;
		}
		if (turn % 2 == 0) {
			if (__atomic_compare_exchange_n(&s->turn, &turn,
							turn + 1, false,
							__ATOMIC_ACQ_REL,
							__ATOMIC_RELAXED))
				break;
			continue;
		}
		if (own->due) {
			own->due = false;
			ret = door_ring(bell);
			if (ret)
				return ret;
		}
		if (deadline == MBUF_NOW)
			return missed ? 0 : -EAGAIN;
		/* Either the turn ends after this, or it has ended already. */
		__atomic_add_fetch(&s->sleepers, 1, __ATOMIC_SEQ_CST);
		ret = door_sleep(&s->turn, turn, deadline);
		__atomic_sub_fetch(&s->sleepers, 1, __ATOMIC_SEQ_CST);
		if (ret)
			return ret;
	}
	if (own->due)
		call.steps |= MBUF_STEP_SIGNAL;
	ret = libmbuf_ioctl(bell->fd, MBUF_IOC_EXCHANGE, &call);
	if (ret != -EBUSY)
		own->due = false;
	turn = __atomic_add_fetch(&s->turn, 1, __ATOMIC_SEQ_CST);
	own->seen = turn >> 1;
	if (__atomic_load_n(&s->sleepers, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &s->turn, FUTEX_WAKE | FUTEX_PRIVATE_FLAG,
			INT_MAX, NULL, NULL, 0);
	if (ret == -EAGAIN && missed)
		return 0;
	return ret < 0 ? ret : 0;
}

static void door_init(struct stream_bell *bell, struct mbuf_stream *s,
		      struct stream_wait *wait)
{
	bell->bell.ring = door_ring;
	bell->bell.wait = door_wait;
	bell->bell.fd = s->fd;
	bell->stream = s;
	bell->wait = wait;
}

/* ---- setting up ------------------------------------------------------------ */

static int options_get(struct mbuf_stream_options *out,
		       const struct mbuf_stream_options *options,
		       uint32_t flags)
{
	size_t i;

	memset(out, 0, sizeof(*out));
	if (options)
		*out = *options;
	if ((out->flags & ~flags) ||
	    (out->uid && !(out->flags & MBUF_STREAM_UID)))
		return -EINVAL;
	for (i = 0; i < sizeof(out->resv) / sizeof(out->resv[0]); i++)
		if (out->resv[i])
			return -EINVAL;
	if (!out->size)
		out->size = MBUF_STREAM_SIZE;
	if (!out->peer_size)
		out->peer_size = MBUF_STREAM_PEER_SIZE;
	if (!out->setup_ns)
		out->setup_ns = MBUF_STREAM_SETUP_NS;
	if (out->size > MBUF_RING_SIZE_MAX ||
	    out->peer_size > MBUF_RING_SIZE_MAX)
		return -EINVAL;
	/* An area is whole pages. */
	if (out->size < stream_page())
		out->size = stream_page();
	if (out->peer_size < stream_page())
		out->peer_size = stream_page();
	return 0;
}

/* Free it, and leave it to the kernel to tell the peer. */
void mbuf_stream_drop(struct mbuf_stream *s)
{
	if (!s)
		return;
	if (s->own)
		munmap(s->own, s->own_bytes);
	if (s->theirs)
		munmap(s->theirs, s->theirs_bytes);
	close(s->fd);
	free(s);
}

/* A stream that is to be set up with @fd, which becomes its own. */
static struct mbuf_stream *stream_new(int fd,
				      const struct mbuf_stream_options *options)
{
	void *p;

	if (posix_memalign(&p, MBUF_RING_LINE, sizeof(struct mbuf_stream))) {
		close(fd);
		return NULL;
	}
	memset(p, 0, sizeof(struct mbuf_stream));
	((struct mbuf_stream *)p)->fd = fd;
	((struct mbuf_stream *)p)->peer_area =
		mbuf_ring_area((size_t)options->peer_size);
	return p;
}

static int stream_offer(struct mbuf_stream *s,
			const struct mbuf_stream_options *options)
{
	uint64_t area = mbuf_ring_area((size_t)options->size);
	struct mbuf_offer offer = {
		.min = mbuf_ring_area(stream_page()),
		.wanted = area,
		.max = area,
		.rights = MBUF_REGION_READ,
		.options = MBUF_OFFER_SOLID,
	};
	int ret = mbuf_offer(s->fd, &offer);

	if (ret < 0)
		return ret;
	s->offer = offer.id;
	return 0;
}

/* Map a region, whose descriptor is not needed any more. */
static int stream_map(unsigned char **area, size_t *bytes, int fd,
		      uint64_t size, int prot)
{
	void *p = mmap(NULL, (size_t)size, prot, MAP_SHARED, fd, 0);
	int ret = p == MAP_FAILED ? -errno : 0;

	close(fd);
	if (ret)
		return ret;
	*area = p;
	*bytes = (size_t)size;
	return 0;
}

/* Over a limit of this process or user, which is not the peer's fault. */
static bool is_ours(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -EDQUOT;
}

/* Reasons to reject an offer are errors, as the peer shall report them. */
static int reason_error(uint32_t reason)
{
	switch (reason) {
	case ENOMEM:
	case EMSGSIZE:
	case EPROTO:
		return -(int)reason;
	default:
		return -ECONNREFUSED;
	}
}

static int stream_refuse(struct mbuf_stream *s, uint64_t id, int err)
{
	/* If that cannot be told any more, nobody is there to be told. */
	mbuf_reject(s->fd, id, (uint32_t)-err);
	return err;
}

/* Is what the peer offers an area for a ring? */
static int offered_check(struct mbuf_stream *s,
			 const struct mbuf_offered *offered)
{
	struct hello said;
	int ret;

	/* It has said hello before it offered. */
	ret = mbuf_channel_read(s->fd, &said, NULL);
	if (ret < 0)
		return ret;
	if (memcmp(&said, &hello, sizeof(hello)) ||
	    offered->options != MBUF_OFFER_SOLID)
		return -EPROTO;
	if (offered->min > s->peer_area ||
	    offered->max < mbuf_ring_area(stream_page()))
		return -EMSGSIZE;
	return 0;
}

static int stream_take(struct mbuf_stream *s, uint64_t deadline)
{
	struct mbuf_take take = { .rights = MBUF_REGION_READ };
	uint64_t least = mbuf_ring_area(stream_page());
	struct mbuf_offered offered;
	int ret;

	ret = mbuf_offered(s->fd, &offered, deadline);
	if (ret < 0)
		return ret;
	ret = offered_check(s, &offered);
	if (ret)
		return stream_refuse(s, offered.id, ret);
	take.id = offered.id;
	take.size = offered.wanted;
	if (take.size > s->peer_area)
		take.size = s->peer_area;
	if (take.size < least)
		take.size = least;
	ret = mbuf_take(s->fd, &take);
	/* It was withdrawn: there may be another one. */
	if (ret == -ENOENT)
		return -EAGAIN;
	if (ret == -EINTR || is_ours(ret))
		return ret;
	if (ret < 0)
		return stream_refuse(s, offered.id, ret);
	ret = stream_map(&s->theirs, &s->theirs_bytes, take.region.fd,
			 take.size, PROT_READ);
	s->taken = !ret;
	return ret;
}

static int stream_answer(struct mbuf_stream *s, uint64_t deadline)
{
	struct mbuf_answer answer;
	int ret = mbuf_answer(s->fd, s->offer, &answer, deadline);

	if (ret < 0)
		return ret;
	if (answer.outcome != MBUF_OUTCOME_TAKEN)
		return answer.outcome == MBUF_OUTCOME_REJECTED ?
		       reason_error(answer.reason) : -EPROTO;
	ret = stream_map(&s->own, &s->own_bytes, answer.region.fd, answer.min,
			 PROT_READ | PROT_WRITE);
	s->answered = !ret;
	return ret;
}

/*
 * Do what can be done, and with another deadline than MBUF_NOW wait for all of
 * it. Returns 0 if it is set up, -EAGAIN if that is still to come.
 */
static int stream_step(struct mbuf_stream *s, uint64_t deadline)
{
	int ret;

	while (!s->taken) {
		ret = stream_take(s, deadline);
		if (ret == -EAGAIN && deadline == MBUF_NOW)
			break;
		if (ret && ret != -EAGAIN)
			return ret;
	}
	if (!s->answered) {
		ret = stream_answer(s, deadline);
		if (ret)
			return ret;
	}
	return s->taken ? 0 : -EAGAIN;
}

/* Both areas are there. */
static int stream_start(struct mbuf_stream *s)
{
	struct mbuf_ring_map map;
	int ret;

	door_init(&s->tx_bell, s, &s->tx_wait);
	door_init(&s->rx_bell, s, &s->rx_wait);
	ret = mbuf_ring_map(&map, s->own, s->own_bytes, s->theirs);
	if (!ret)
		ret = mbuf_ring_tx_init(&s->tx, &map, &s->tx_bell.bell);
	if (!ret)
		ret = mbuf_ring_map(&map, s->theirs, s->theirs_bytes, s->own);
	if (!ret)
		ret = mbuf_ring_rx_init(&s->rx, &map, &s->rx_bell.bell);
	return ret;
}

int mbuf_stream_connect(int session, const void *name, size_t len,
			const struct mbuf_stream_options *options,
			uint64_t deadline, struct mbuf_stream **stream)
{
	struct mbuf_connect connect = {
		.name = libmbuf_addr(name),
		.name_len = len < UINT32_MAX ? (uint32_t)len : UINT32_MAX,
		.flags = MBUF_CONNECT_HELLO,
		.end.flags = MBUF_END_DETACHED,
	};
	struct mbuf_channel_info info;
	struct mbuf_stream_options o;
	struct mbuf_stream *s;
	int ret;

	ret = options_get(&o, options, MBUF_STREAM_UID);
	if (ret)
		return ret;
	if (o.flags & MBUF_STREAM_UID) {
		connect.flags |= MBUF_CONNECT_UID;
		connect.uid = o.uid;
	}
	memcpy(connect.data, &hello, sizeof(hello));
	ret = mbuf_connect_args(session, &connect, deadline);
	if (ret < 0)
		return ret;
	s = stream_new(connect.end.ref.fd, &o);
	if (!s)
		return -ENOMEM;
	ret = mbuf_channel_info(s->fd, &info);
	if (!ret) {
		s->peer = info.peer;
		ret = stream_offer(s, &o);
	}
	if (!ret)
		ret = stream_step(s, deadline);
	if (!ret)
		ret = stream_start(s);
	if (ret) {
		mbuf_stream_drop(s);
		return ret == -EPIPE ? -ECONNREFUSED : ret;
	}
	*stream = s;
	return 0;
}

/* ---- listening ------------------------------------------------------------- */

int mbuf_stream_listen_fd(int fd, const struct mbuf_stream_options *options,
			  struct mbuf_stream_listener **listener)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct mbuf_listener_info info;
	struct mbuf_stream_listener *l;
	struct mbuf_stream_options o;
	int ret;

	ret = options_get(&o, options, 0);
	if (ret)
		return ret;
	ret = mbuf_listener_info(fd, NULL, 0, &info);
	if (ret < 0 && ret != -EMSGSIZE)
		return ret;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->fd = fd;
	l->options = o;
	l->ep = epoll_create1(EPOLL_CLOEXEC);
	if (l->ep < 0 || epoll_ctl(l->ep, EPOLL_CTL_ADD, fd, &event)) {
		ret = -errno;
		if (l->ep >= 0)
			close(l->ep);
		free(l);
		return ret;
	}
	*listener = l;
	return 0;
}

int mbuf_stream_listen(int session, const void *name, size_t len, uint32_t mode,
		       uint32_t backlog,
		       const struct mbuf_stream_options *options,
		       struct mbuf_stream_listener **listener)
{
	int fd, ret;

	/* That nobody could accept from. */
	if (!backlog)
		return -EINVAL;
	fd = mbuf_listen(session, name, len, mode, backlog);
	if (fd < 0)
		return fd;
	ret = mbuf_stream_listen_fd(fd, options, listener);
	if (ret)
		close(fd);
	return ret;
}

/* Take what is being set up out of the listener's list. */
static void pending_remove(struct mbuf_stream_listener *l,
			   struct mbuf_stream *s)
{
	epoll_ctl(l->ep, EPOLL_CTL_DEL, s->fd, NULL);
	if (s == l->first)
		l->first = s->next;
	else
		s->prev->next = s->next;
	if (s == l->last)
		l->last = s->prev;
	else
		s->next->prev = s->prev;
	s->next = NULL;
	s->prev = NULL;
	l->stats.pending--;
}

static void pending_drop(struct mbuf_stream_listener *l, struct mbuf_stream *s,
			 uint64_t *count)
{
	pending_remove(l, s);
	mbuf_stream_drop(s);
	++*count;
}

static int pending_add(struct mbuf_stream_listener *l, struct mbuf_stream *s)
{
	struct epoll_event event = { .events = EPOLLPRI, .data.ptr = s };

	if (epoll_ctl(l->ep, EPOLL_CTL_ADD, s->fd, &event))
		return -errno;
	s->expires = mbuf_deadline(l->options.setup_ns);
	s->prev = l->last;
	if (l->last)
		l->last->next = s;
	else
		l->first = s;
	l->last = s;
	l->stats.pending++;
	return 0;
}

/* Begin to set up the next connection, if there is one. */
static int listener_begin(struct mbuf_stream_listener *l)
{
	struct mbuf_stream *s;
	struct mbuf_peer peer;
	int fd, ret;

	fd = mbuf_accept(l->fd, &peer, MBUF_NOW);
	if (fd == -EPIPE) {
		/* What is being set up goes on. */
		l->gone = true;
		epoll_ctl(l->ep, EPOLL_CTL_DEL, l->fd, NULL);
		return 0;
	}
	if (fd < 0)
		return fd == -EAGAIN ? 0 : fd;
	s = stream_new(fd, &l->options);
	if (!s)
		return -ENOMEM;
	s->peer = peer;
	ret = mbuf_channel_write(s->fd, &hello);
	if (ret >= 0)
		ret = stream_offer(s, &l->options);
	if (ret < 0) {
		mbuf_stream_drop(s);
		/* -EPIPE: it has gone again. */
		if (ret != -EPIPE)
			return ret;
		l->stats.failed++;
		return 0;
	}
	if (l->first && l->stats.pending >= PENDING_MAX)
		pending_drop(l, l->first, &l->stats.expired);
	ret = pending_add(l, s);
	if (ret)
		mbuf_stream_drop(s);
	return ret;
}

/* Returns 1 if it is set up, 0 if not, or an error that is not the client's. */
static int listener_step(struct mbuf_stream_listener *l, struct mbuf_stream *s)
{
	int ret = stream_step(s, MBUF_NOW);

	if (ret == -EAGAIN)
		return 0;
	if (ret == -EINTR || is_ours(ret))
		return ret;
	if (!ret)
		ret = stream_start(s);
	if (ret) {
		pending_drop(l, s, &l->stats.failed);
		return 0;
	}
	pending_remove(l, s);
	l->stats.accepted++;
	return 1;
}

/* Wait for something to do, until the deadline or until something expires. */
static int listener_wait(struct mbuf_stream_listener *l, uint64_t deadline)
{
	struct pollfd pfd = { .fd = l->ep, .events = POLLIN };
	uint64_t until = deadline, now = mbuf_deadline(0);
	struct timespec ts;

	if (l->first && l->first->expires < until)
		until = l->first->expires;
	until = until > now ? until - now : 0;
	ts.tv_sec = (time_t)(until / 1000000000);
	ts.tv_nsec = (long)(until % 1000000000);
	return ppoll(&pfd, 1, deadline == MBUF_FOREVER && !l->first ? NULL :
		     &ts, NULL) < 0 ? -errno : 0;
}

int mbuf_stream_accept(struct mbuf_stream_listener *l, uint64_t deadline,
		       struct mbuf_stream **stream)
{
	struct epoll_event event;
	struct mbuf_stream *s;
	int ret, steps = 0;

	for (;;) {
		while (l->first && l->first->expires <= mbuf_deadline(0))
			pending_drop(l, l->first, &l->stats.expired);
		/* One at a time: the next call finds what is left. */
		ret = epoll_wait(l->ep, &event, 1, 0);
		if (ret < 0)
			return -errno;
		if (ret) {
			s = event.data.ptr;
			ret = s ? listener_step(l, s) : listener_begin(l);
			if (ret < 0)
				return ret;
			if (ret) {
				*stream = s;
				return 0;
			}
			if (++steps < STEPS_MAX)
				continue;
			steps = 0;
		} else if (l->gone && !l->first) {
			return -EPIPE;
		}
		if (deadline == MBUF_NOW)
			return -EAGAIN;
		if (deadline != MBUF_FOREVER && deadline <= mbuf_deadline(0))
			return -ETIMEDOUT;
		ret = listener_wait(l, deadline);
		if (ret)
			return ret;
	}
}

int mbuf_stream_listener_fd(const struct mbuf_stream_listener *l)
{
	return l->ep;
}

int mbuf_stream_listener_raw(const struct mbuf_stream_listener *l)
{
	return l->fd;
}

void mbuf_stream_listener_stats(const struct mbuf_stream_listener *l,
				struct mbuf_stream_listener_stats *out)
{
	*out = l->stats;
}

void mbuf_stream_listener_close(struct mbuf_stream_listener *l)
{
	if (!l)
		return;
	while (l->first)
		pending_drop(l, l->first, &l->stats.failed);
	close(l->ep);
	close(l->fd);
	free(l);
}

void mbuf_stream_peer(const struct mbuf_stream *s, struct mbuf_peer *peer)
{
	*peer = s->peer;
}

/* ---- sending --------------------------------------------------------------- */

size_t mbuf_stream_max(const struct mbuf_stream *s)
{
	return mbuf_ring_max(s->tx.size);
}

/* Before each use of the ring. */
static void tx_begin(struct mbuf_stream *s)
{
	/* If it says that the peer is gone, so does what comes next. */
	if (s->tx.side.is_armed)
		mbuf_ring_tx_disarm(&s->tx);
}

/* There was no room for @len, or it was an error. */
static int tx_failed(struct mbuf_stream *s, size_t len, int ret)
{
	s->tx_want = (uint32_t)len;
	/* It asks the channel, and remembers. */
	if (ret == -EAGAIN && ++s->tx_idle % IDLE_MAX == 0 &&
	    mbuf_ring_tx_disarm(&s->tx) == -EPIPE)
		return -EPIPE;
	return ret;
}

/* Bytes of the next fragment, of @left. */
static size_t tx_fragment(const struct mbuf_ring_tx *tx, uint64_t left)
{
	size_t lap = (size_t)(tx->data + tx->size - tx->pos) - MBUF_RING_HEAD;
	size_t len = tx->size / 4 - MBUF_RING_HEAD;

	if (len > FRAGMENT_MAX)
		len = FRAGMENT_MAX;
	if (lap >= FRAGMENT_MIN && lap < len + FRAGMENT_MIN)
		len = lap;
	return left < len ? (size_t)left : len;
}

static int tx_long(struct mbuf_stream *s, const unsigned char *buf,
		   uint64_t deadline)
{
	size_t len;
	void *data;
	int ret;

	while (s->long_done < s->long_len) {
		len = tx_fragment(&s->tx, s->long_len - s->long_done);
		ret = mbuf_ring_loan(&s->tx, len, &data, deadline);
		if (ret) {
			mbuf_ring_flush(&s->tx);
			return tx_failed(s, len, ret);
		}
		memcpy(data, buf + s->long_done, len);
		mbuf_ring_stage(&s->tx, len, TAG_FRAGMENT);
		s->long_done += len;
		ret = mbuf_ring_flush(&s->tx);
		if (ret)
			return ret;
	}
	s->sent++;
	s->sent_bytes += s->long_len;
	s->long_len = 0;
	return 0;
}

int mbuf_stream_send(struct mbuf_stream *s, const void *buf, size_t len,
		     uint64_t deadline)
{
	uint64_t total = len;
	void *data;
	int ret;

	tx_begin(s);
	if (s->long_len) {
		if (len != s->long_len)
			return -EINVAL;
		return tx_long(s, buf, deadline);
	}
	if (len <= mbuf_ring_max(s->tx.size)) {
		ret = mbuf_ring_push(&s->tx, buf, len, deadline);
		if (ret)
			return tx_failed(s, len, ret);
		s->sent++;
		s->sent_bytes += len;
		return 0;
	}
	if (total > LEN_MAX)
		return -EMSGSIZE;
	ret = mbuf_ring_loan(&s->tx, sizeof(total), &data, deadline);
	if (ret)
		return tx_failed(s, sizeof(total), ret);
	memcpy(data, &total, sizeof(total));
	/* Comes into sight with the first fragment. */
	mbuf_ring_stage(&s->tx, sizeof(total), TAG_LONG);
	s->long_len = total;
	s->long_done = 0;
	return tx_long(s, buf, deadline);
}

int mbuf_stream_loan(struct mbuf_stream *s, size_t len, void **data,
		     uint64_t deadline)
{
	int ret;

	if (s->long_len)
		return -EINVAL;
	tx_begin(s);
	ret = mbuf_ring_loan(&s->tx, len, data, deadline);
	return ret ? tx_failed(s, len, ret) : 0;
}

int mbuf_stream_commit(struct mbuf_stream *s, size_t len)
{
	int ret;

	ret = mbuf_ring_commit(&s->tx, len, TAG_WHOLE);
	if (ret)
		return ret;
	s->sent++;
	s->sent_bytes += len;
	return 0;
}

void mbuf_stream_shutdown(struct mbuf_stream *s)
{
	mbuf_ring_tx_end(&s->tx);
}

/* ---- receiving ------------------------------------------------------------- */

static int rx_broken(struct mbuf_stream *s)
{
	mbuf_ring_rx_end(&s->rx);
	s->rx_error = -EPROTO;
	return -EPROTO;
}

/* There is nothing more, as the peer has said, or because it is gone. */
static int rx_ended(struct mbuf_stream *s)
{
	uint32_t word = __atomic_load_n(s->rx.side.peer, __ATOMIC_ACQUIRE);

	s->rx_error = (word & MBUF_RING_STATE) == MBUF_RING_END && !s->left ?
		      -EPIPE : -ECONNRESET;
	return s->rx_error;
}

/* The next record, or why there is none. */
static int rx_record(struct mbuf_stream *s, struct mbuf_ring_rec *rec,
		     uint64_t deadline)
{
	int ret;

	if (s->rx_error)
		return s->rx_error;
	if (s->rx.side.is_armed && mbuf_ring_rx_disarm(&s->rx) == -EPIPE)
		s->rx_gone = true;
	ret = mbuf_ring_peek(&s->rx, rec, s->rx_gone ? MBUF_NOW : deadline);
	if (!ret)
		return 0;
	if (ret == -EAGAIN) {
		if (!s->rx_gone && (++s->rx_idle % IDLE_MAX ||
				    mbuf_ring_rx_disarm(&s->rx) != -EPIPE))
			return ret;
		/* What it has sent before it went is seen now. */
		s->rx_gone = true;
		ret = mbuf_ring_peek(&s->rx, rec, MBUF_NOW);
		if (ret == -EAGAIN)
			ret = -EPIPE;
	}
	if (ret == -EPIPE)
		return rx_ended(s);
	return ret == -EPROTO ? rx_broken(s) : ret;
}

/* Where the receiving side was, for going back. */
struct rx_mark {
	const unsigned char *pos;
	uintptr_t bias;
	uint32_t held;
};

static void rx_go_back(struct mbuf_stream *s, const struct rx_mark *mark)
{
	s->rx.pos = mark->pos;
	s->rx.bias = mark->bias;
	s->rx.held = mark->held;
}

/*
 * Look for the next message. Returns 0 if @rec is all of it; @mark is where it
 * begins. Returns 1 if it is a long one, of which s->left bytes are to come.
 */
static int rx_message(struct mbuf_stream *s, struct mbuf_ring_rec *rec,
		      struct rx_mark *mark, uint64_t deadline)
{
	uint64_t total;
	int ret;

	if (s->left)
		return 1;
	if (s->rx.side.is_armed && mbuf_ring_rx_disarm(&s->rx) == -EPIPE)
		s->rx_gone = true;
	mark->pos = s->rx.pos;
	mark->bias = s->rx.bias;
	mark->held = s->rx.held;
	ret = rx_record(s, rec, deadline);
	if (ret || rec->tag == TAG_WHOLE)
		return ret;
	if (rec->tag != TAG_LONG || rec->len != sizeof(total))
		return rx_broken(s);
	memcpy(&total, rec->data, sizeof(total));
	if (!total || total > LEN_MAX)
		return rx_broken(s);
	s->left = total;
	s->got = 0;
	return 1;
}

/* The next fragment of a long message. */
static int rx_fragment(struct mbuf_stream *s, struct mbuf_ring_rec *rec,
		       uint64_t deadline)
{
	int ret = rx_record(s, rec, deadline);

	if (ret)
		return ret;
	if (rec->tag != TAG_FRAGMENT || !rec->len || rec->len > s->left)
		return rx_broken(s);
	s->left -= rec->len;
	s->received_bytes += rec->len;
	if (!s->left)
		s->received++;
	return 0;
}

ssize_t mbuf_stream_recv(struct mbuf_stream *s, void *buf, size_t size,
			 uint64_t deadline)
{
	struct mbuf_ring_rec rec;
	struct rx_mark mark;
	uint64_t got;
	int ret;

	ret = rx_message(s, &rec, &mark, deadline);
	if (ret < 0)
		return ret;
	if (!ret) {
		if (rec.len > size) {
			rx_go_back(s, &mark);
			return -EMSGSIZE;
		}
		mbuf_ring_copy(buf, rec.data, rec.len);
		mbuf_ring_release(&s->rx);
		s->received++;
		s->received_bytes += rec.len;
		return (ssize_t)rec.len;
	}
	/* No buffer is larger than what can be returned. */
	if (s->got + s->left > size || s->got + s->left > PTRDIFF_MAX)
		return -EMSGSIZE;
	while (s->left) {
		ret = rx_fragment(s, &rec, deadline);
		if (ret)
			return ret;
		memcpy((unsigned char *)buf + s->got, rec.data, rec.len);
		s->got += rec.len;
		mbuf_ring_release(&s->rx);
	}
	got = s->got;
	s->got = 0;
	return (ssize_t)got;
}

int mbuf_stream_next(struct mbuf_stream *s, uint64_t *len, uint64_t deadline)
{
	struct mbuf_ring_rec rec;
	struct rx_mark mark;
	int ret;

	ret = rx_message(s, &rec, &mark, deadline);
	if (ret < 0)
		return ret;
	if (ret) {
		*len = s->got + s->left;
		return 0;
	}
	*len = rec.len;
	rx_go_back(s, &mark);
	return 0;
}

int mbuf_stream_peek(struct mbuf_stream *s, struct mbuf_stream_piece *piece,
		     uint64_t deadline)
{
	struct mbuf_ring_rec rec;
	struct rx_mark mark;
	int ret;

	ret = rx_message(s, &rec, &mark, deadline);
	if (ret < 0)
		return ret;
	if (ret) {
		ret = rx_fragment(s, &rec, deadline);
		if (ret)
			return ret;
		s->got = 0;
	} else {
		s->received++;
		s->received_bytes += rec.len;
	}
	piece->data = rec.data;
	piece->len = rec.len;
	piece->left = s->left;
	return 0;
}

void mbuf_stream_release(struct mbuf_stream *s)
{
	mbuf_ring_release(&s->rx);
}

/* ---- both ------------------------------------------------------------------ */

ssize_t mbuf_stream_call(struct mbuf_stream *s, const void *buf, size_t len,
			 void *out, size_t size, uint64_t deadline, int *sent)
{
	ssize_t got = 0;
	int ret;

	/* Who looks for a while before it sleeps had better ring before. */
	s->tx.side.hold = !s->rx.side.spin;
	ret = mbuf_stream_send(s, buf, len, deadline);
	s->tx.side.hold = 0;
	*sent = !ret;
	if (s->tx.side.due) {
		s->tx.side.due = 0;
		s->tx.side.rings++;
		s->rx_wait.due = true;
	}
	if (!ret)
		got = mbuf_stream_recv(s, out, size, deadline);
	if (s->rx_wait.due) {
		s->rx_wait.due = false;
		door_ring(&s->rx_bell.bell);
	}
	return ret ? ret : got;
}

int mbuf_stream_fd(const struct mbuf_stream *s)
{
	return s->fd;
}

int mbuf_stream_arm(struct mbuf_stream *s, unsigned int events)
{
	int ready = 0;

	if (!events || events & ~(MBUF_STREAM_RECV | MBUF_STREAM_SEND))
		return -EINVAL;
	if (events & MBUF_STREAM_RECV) {
		if (s->rx.side.is_armed &&
		    mbuf_ring_rx_disarm(&s->rx) == -EPIPE)
			s->rx_gone = true;
		if (s->rx_error || s->rx_gone || mbuf_ring_rx_arm(&s->rx))
			ready |= MBUF_STREAM_RECV;
	}
	if (events & MBUF_STREAM_SEND) {
		tx_begin(s);
		if (mbuf_ring_tx_arm(&s->tx, s->tx_want))
			ready |= MBUF_STREAM_SEND;
	}
	return ready;
}

void mbuf_stream_stats(const struct mbuf_stream *s,
		       struct mbuf_stream_stats *out)
{
	struct mbuf_ring_stats tx, rx;

	mbuf_ring_get_stats(&s->tx.side, &tx);
	mbuf_ring_get_stats(&s->rx.side, &rx);
	out->sent = s->sent;
	out->sent_bytes = s->sent_bytes;
	out->received = s->received;
	out->received_bytes = s->received_bytes;
	out->rings = tx.rings + rx.rings;
	out->sleeps = tx.sleeps + rx.sleeps;
	out->barriers = tx.barriers + rx.barriers;
}

void mbuf_stream_close(struct mbuf_stream *s)
{
	if (!s)
		return;
	mbuf_ring_tx_end(&s->tx);
	mbuf_ring_rx_end(&s->rx);
	mbuf_stream_drop(s);
}
