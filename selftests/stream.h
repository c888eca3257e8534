/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of streams share: pairs of streams, and sides that take the
 * steps of setting up one by hand, so that they can do them wrong.
 */
#ifndef MBUF_SELFTESTS_STREAM_H
#define MBUF_SELFTESTS_STREAM_H

#include <mbuf_ring.h>
#include <mbuf_stream.h>

#include "listener.h"
#include "region.h"

/* What lib/stream.c writes into slots. */
struct hello {
	char magic[16];
	uint32_t version;
	uint32_t resv[3];
};

static const struct hello good_hello = { "mbuf stream", 1, { 0 } };

/* A listener and two sides of a stream, which a test may make. */
FIXTURE(stream) {
	int session;
	struct mbuf_stream_listener *l;
	struct mbuf_stream *con, *acc;
	struct mbuf_query q;
	struct snapshot before;
};

FIXTURE_SETUP(stream)
{
	self->l = NULL;
	self->con = NULL;
	self->acc = NULL;
	self->session = fixture_begin(_metadata, &self->q, &self->before);
	ASSERT_NE(0, self->q.features & MBUF_FEATURE_REGION);
}

FIXTURE_TEARDOWN(stream)
{
	mbuf_stream_close(self->con);
	mbuf_stream_close(self->acc);
	mbuf_stream_listener_close(self->l);
	fixture_end(_metadata, self->session, &self->before);
}

/* mbuf_stream_connect() by a thread. */
struct conn {
	int session;
	const struct mbuf_stream_options *options;
	uint64_t deadline;
	struct mbuf_stream *stream;
	int ret;
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static inline int st_connect(int session,
			     const struct mbuf_stream_options *options,
			     uint64_t deadline, struct mbuf_stream **stream)
{
	return mbuf_stream_connect(session, NAME, NAME_LEN, options, deadline,
				   stream);
}

static inline void *conn_main(void *arg)
{
	struct conn *c = arg;

	atomic_store(&c->tid, (pid_t)syscall(SYS_gettid));
	c->ret = st_connect(c->session, c->options, c->deadline, &c->stream);
	atomic_store(&c->done, true);
	return NULL;
}

static inline bool conn_start(struct conn *c, int session,
			      const struct mbuf_stream_options *options,
			      uint64_t deadline)
{
	memset(c, 0, sizeof(*c));
	c->session = session;
	c->options = options;
	c->deadline = deadline;
	return !pthread_create(&c->thread, NULL, conn_main, c);
}

/* What the call gave; -ETIME, which no call gives, if it does not end. */
static inline int conn_join(struct conn *c)
{
	if (!EVENTUALLY(atomic_load(&c->done)))
		return -ETIME;
	pthread_join(c->thread, NULL);
	return c->ret;
}

#define make_stream_listener(options)					\
	ASSERT_EQ(0, mbuf_stream_listen(self->session, NAME, NAME_LEN, 0600, \
					16, options, &self->l))

/* Both sides of a stream, with these options each. */
static inline int st_pair(int session, struct mbuf_stream_listener *l,
			  const struct mbuf_stream_options *options,
			  struct mbuf_stream **con, struct mbuf_stream **acc)
{
	struct conn c;
	int ret, other;

	if (!conn_start(&c, session, options, in_ms(PATIENCE_NS / NS_PER_MS)))
		return -EAGAIN;
	ret = mbuf_stream_accept(l, in_ms(PATIENCE_NS / NS_PER_MS), acc);
	other = conn_join(&c);
	if (!other)
		*con = c.stream;
	return ret ? ret : other;
}

#define make_streams(options) do {					\
	make_stream_listener(options);					\
	ASSERT_EQ(0, st_pair(self->session, self->l, options, &self->con, \
			     &self->acc));				\
} while (0)

/* The deadline of what should not take long. */
#define SOON	in_ms(PATIENCE_NS / NS_PER_MS)

/* Fast, and different for each word. */
static inline uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

static inline void fill_words(void *p, size_t len, uint64_t seed)
{
	uint8_t *b = p;
	uint64_t w;
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		w = mix(seed + i);
		memcpy(b + i, &w, 8);
	}
	for (; i < len; i++)
		b[i] = (uint8_t)mix(seed + i);
}

static inline bool is_words(const void *p, size_t len, uint64_t seed)
{
	const uint8_t *b = p;
	uint64_t w;
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		w = mix(seed + i);
		if (memcmp(b + i, &w, 8))
			return false;
	}
	for (; i < len; i++)
		if (b[i] != (uint8_t)mix(seed + i))
			return false;
	return true;
}

/*
 * A side that takes the steps one by one. What it offers is as a stream's side
 * would, unless it is changed.
 */
struct raw {
	int fd;
	struct mbuf_offer offer;
	unsigned char *own, *theirs;
	size_t own_bytes, theirs_bytes;
};

static inline void raw_init(struct raw *r, int fd)
{
	memset(r, 0, sizeof(*r));
	r->fd = fd;
	r->offer = offer_of(3, RIGHTS_R, MBUF_OFFER_SOLID);
}

static inline void raw_free(struct raw *r)
{
	if (r->own)
		munmap(r->own, r->own_bytes);
	if (r->theirs)
		munmap(r->theirs, r->theirs_bytes);
	close_fd(&r->fd);
}

/* Connects without waiting to be accepted. */
static inline int raw_connect(int session, struct raw *r,
			      const struct hello *hello)
{
	struct mbuf_connect a = connect_of(NAME, NAME_LEN, MBUF_CONNECT_ASYNC,
					   MBUF_FOREVER);
	int ret;

	if (hello) {
		a.flags |= MBUF_CONNECT_HELLO;
		memcpy(a.data, hello, sizeof(*hello));
	}
	ret = (int)xioctl(session, MBUF_IOC_CONNECT, &a);
	if (!ret)
		raw_init(r, a.end.ref.fd);
	return ret;
}

static inline int raw_offer(struct raw *r)
{
	return rg_offer(r->fd, &r->offer);
}

static inline unsigned char *raw_map(int fd, size_t size, int prot)
{
	void *p = mmap(NULL, size, prot, MAP_SHARED, fd, 0);

	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static inline int raw_take(struct raw *r, uint64_t deadline)
{
	struct mbuf_offered offered;
	struct mbuf_take take;
	int ret;

	ret = rg_offered(r->fd, &offered, deadline);
	if (!ret)
		ret = rg_take_some(r->fd, offered.id, 0, 0, &take);
	if (ret)
		return ret;
	r->theirs_bytes = take.size;
	r->theirs = raw_map(take.region.fd, take.size, PROT_READ);
	return r->theirs ? 0 : -ENOMEM;
}

static inline int raw_answer(struct raw *r, uint64_t deadline)
{
	struct mbuf_answer answer;
	int ret = rg_answer(r->fd, r->offer.id, &answer, deadline);

	if (ret)
		return ret;
	if (answer.outcome != MBUF_OUTCOME_TAKEN)
		return -ECONNREFUSED;
	r->own_bytes = answer.min;
	r->own = raw_map(answer.region.fd, answer.min, PROT_READ | PROT_WRITE);
	return r->own ? 0 : -ENOMEM;
}

/* What the side that accepts tells the other one first. */
static inline int raw_say_hello(struct raw *r, const struct hello *hello)
{
	struct mbuf_exchange x = xchg_of(MBUF_STEP_WRITE, 0, MBUF_NOW);

	memcpy(x.data, hello, sizeof(*hello));
	return ch_xchg(r->fd, &x);
}

#endif /* MBUF_SELFTESTS_STREAM_H */
