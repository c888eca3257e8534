// SPDX-License-Identifier: GPL-2.0
/*
 * Setting up streams, with a peer that dies, stalls or lies at any step, and
 * rings that lie afterwards. Whatever it does, the other side gets an error or
 * nothing, serves others meanwhile, and nothing is left.
 */
#include <sys/resource.h>

#include "stream.h"

/* The smallest rings, and no long patience. */
static const struct mbuf_stream_options tiny = { .size = 1, .peer_size = 1 };
static const struct mbuf_stream_options hasty = {
	.size = 1,
	.peer_size = 1,
	.setup_ns = 300 * NS_PER_MS,
};

static struct mbuf_stream_listener_stats
listener_stats(const struct mbuf_stream_listener *l)
{
	struct mbuf_stream_listener_stats s;

	mbuf_stream_listener_stats(l, &s);
	return s;
}

/* Does all that can be done; there must be no stream. */
static int settle(struct mbuf_stream_listener *l)
{
	struct mbuf_stream *s;
	struct pollfd p = { .fd = mbuf_stream_listener_fd(l), .events = POLLIN };
	int ret, i;

	for (i = 0; i < 1000; i++) {
		ret = mbuf_stream_accept(l, MBUF_NOW, &s);
		if (!ret) {
			mbuf_stream_close(s);
			return -EEXIST;
		}
		if (ret != -EAGAIN)
			return ret;
		if (!poll(&p, 1, 0))
			return 0;
	}
	return -ELOOP;
}

/* Of what a peer that lies might never do. */
#define PERHAPS	in_ms(20000)

/* Another client is served as if nothing were. */
#define expect_service() do {						\
	char buf_[8];							\
									\
	ASSERT_EQ(0, st_pair(self->session, self->l, &tiny, &self->con,	\
			     &self->acc));				\
	EXPECT_EQ(0, mbuf_stream_send(self->con, "x", 1, MBUF_NOW));	\
	EXPECT_EQ(1, mbuf_stream_recv(self->acc, buf_, 8, MBUF_NOW));	\
	mbuf_stream_close(self->con);					\
	mbuf_stream_close(self->acc);					\
	self->con = NULL;						\
	self->acc = NULL;						\
} while (0)

/* ---- clients --------------------------------------------------------------- */

/* A client that has connected, and perhaps offered; the listener does its part. */
static int client_steps(int session, struct mbuf_stream_listener *l,
			struct raw *r, bool offers)
{
	int ret = raw_connect(session, r, &good_hello);

	if (!ret)
		ret = settle(l);
	if (!ret && offers) {
		ret = raw_offer(r);
		if (!ret)
			ret = settle(l);
	}
	return ret;
}

TEST_F(stream, client_dies)
{
	struct raw r;
	int steps;

	make_stream_listener(&tiny);
	/* Before it was accepted. */
	ASSERT_EQ(0, raw_connect(self->session, &r, &good_hello));
	raw_free(&r);
	EXPECT_EQ(0, settle(self->l));
	for (steps = 0; steps < 2; steps++) {
		ASSERT_EQ(0, client_steps(self->session, self->l, &r, steps));
		EXPECT_EQ(1, listener_stats(self->l).pending);
		raw_free(&r);
		EXPECT_EQ(0, settle(self->l));
		EXPECT_EQ(0, listener_stats(self->l).pending);
		EXPECT_EQ(steps + 1, listener_stats(self->l).failed);
		expect_service();
	}
	/* It has not offered anything, but taken what it was offered. */
	ASSERT_EQ(0, client_steps(self->session, self->l, &r, 0));
	ASSERT_EQ(0, raw_take(&r, SOON));
	EXPECT_EQ(0, settle(self->l));
	raw_free(&r);
	EXPECT_EQ(0, settle(self->l));
	EXPECT_EQ(3, listener_stats(self->l).failed);
	expect_service();
	EXPECT_EQ(0, listener_stats(self->l).expired);
}

/* It has all that it needs, and is gone before the listener looks. */
TEST_F(stream, client_dies_when_it_is_done)
{
	struct mbuf_ring_map map;
	struct mbuf_ring_tx tx;
	char buf[8];
	struct raw r;
	int said;

	make_stream_listener(&tiny);
	for (said = 0; said < 2; said++) {
		ASSERT_EQ(0, client_steps(self->session, self->l, &r, 0));
		ASSERT_EQ(0, raw_offer(&r));
		EXPECT_EQ(0, settle(self->l));
		ASSERT_EQ(0, raw_answer(&r, SOON));
		ASSERT_EQ(0, raw_take(&r, SOON));
		/* And has sent something. */
		ASSERT_EQ(0, mbuf_ring_map(&map, r.own, r.own_bytes, r.theirs));
		ASSERT_EQ(0, mbuf_ring_tx_init(&tx, &map, NULL));
		ASSERT_EQ(0, mbuf_ring_push(&tx, "hello", 5, MBUF_NOW));
		if (said)
			mbuf_ring_tx_end(&tx);
		raw_free(&r);
		ASSERT_EQ(0, mbuf_stream_accept(self->l, SOON, &self->acc));
		EXPECT_EQ(5, mbuf_stream_recv(self->acc, buf, 8, SOON));
		EXPECT_EQ(said ? -EPIPE : -ECONNRESET,
			  mbuf_stream_recv(self->acc, buf, 8, SOON));
		mbuf_stream_close(self->acc);
		self->acc = NULL;
	}
	expect_service();
}

TEST_F(stream, client_stalls)
{
	struct mbuf_stream *s;
	uint64_t begin;
	struct raw r;
	int steps;

	make_stream_listener(&hasty);
	for (steps = 0; steps < 3; steps++) {
		begin = now_ns();
		ASSERT_EQ(0, client_steps(self->session, self->l, &r,
					  steps & 1));
		if (steps == 2)
			ASSERT_EQ(0, raw_take(&r, SOON));
		/* Nobody has to wait for it. */
		expect_service();
		EXPECT_EQ(-ETIMEDOUT, mbuf_stream_accept(self->l, in_ms(600),
							 &s));
		EXPECT_GE(now_ns() - begin, 300 * NS_PER_MS);
		EXPECT_EQ(0, listener_stats(self->l).pending);
		EXPECT_EQ(steps + 1, listener_stats(self->l).expired);
		/* It is told. */
		EXPECT_EQ(-EPIPE, ch_signal(r.fd));
		raw_free(&r);
	}
	EXPECT_EQ(0, listener_stats(self->l).failed);
}

/* Also of more than a size_t can say. */
static struct mbuf_offer offer_of_any(uint64_t pages, uint32_t rights,
				      uint32_t options)
{
	struct mbuf_offer o = offer_of(1, rights, options);

	o.min *= pages;
	o.wanted *= pages;
	o.max *= pages;
	return o;
}

/* Each of these is told why, or nothing, and is rid of its connection. */
TEST_F(stream, client_lies)
{
	static const struct {
		const char *what;
		struct hello hello;
		bool mute;
		uint64_t pages;
		uint32_t rights, options;
		int reason;
	} lies[] = {
		{ "says no hello", { "", 0, { 0 } }, true, 6, RIGHTS_R,
		  MBUF_OFFER_SOLID, EPROTO },
		{ "another protocol", { "mbuf steam", 1, { 0 } }, false, 6,
		  RIGHTS_R, MBUF_OFFER_SOLID, EPROTO },
		{ "another version", { "mbuf stream", 2, { 0 } }, false, 6,
		  RIGHTS_R, MBUF_OFFER_SOLID, EPROTO },
		{ "not reserved", { "mbuf stream", 1, { 0, 0, 1 } }, false, 6,
		  RIGHTS_R, MBUF_OFFER_SOLID, EPROTO },
		{ "pages can be given back", { "mbuf stream", 1, { 0 } }, false,
		  6, RIGHTS_R, 0, EPROTO },
		{ "too small", { "mbuf stream", 1, { 0 } }, false, 2, RIGHTS_R,
		  MBUF_OFFER_SOLID, EMSGSIZE },
		{ "too large", { "mbuf stream", 1, { 0 } }, false, 5000,
		  RIGHTS_R, MBUF_OFFER_SOLID, EMSGSIZE },
		{ "larger than any memory", { "mbuf stream", 1, { 0 } }, false,
		  1ull << 50, RIGHTS_R, MBUF_OFFER_SOLID, EMSGSIZE },
	};
	struct mbuf_answer answer;
	struct raw r;
	size_t i;

	make_stream_listener(NULL);
	for (i = 0; i < ARRAY_SIZE(lies); i++) {
		ASSERT_EQ(0, raw_connect(self->session, &r, lies[i].mute ?
					 NULL : &lies[i].hello));
		EXPECT_EQ(0, settle(self->l));
		r.offer = offer_of_any(lies[i].pages, lies[i].rights,
				       lies[i].options);
		ASSERT_EQ(0, raw_offer(&r)) {
			TH_LOG("%s", lies[i].what);
		}
		EXPECT_EQ(0, settle(self->l));
		ASSERT_EQ(0, rg_answer(r.fd, r.offer.id, &answer, PERHAPS)) {
			TH_LOG("%s", lies[i].what);
		}
		EXPECT_EQ(MBUF_OUTCOME_REJECTED, answer.outcome);
		EXPECT_EQ(lies[i].reason, answer.reason) {
			TH_LOG("%s", lies[i].what);
		}
		EXPECT_EQ(-EPIPE, ch_signal(r.fd));
		EXPECT_EQ(i + 1, listener_stats(self->l).failed);
		raw_free(&r);
		expect_service();
	}
	EXPECT_EQ(0, listener_stats(self->l).pending);
}

/* It does not want what it is offered, or would like something else. */
TEST_F(stream, client_is_choosy)
{
	struct mbuf_offered offered;
	struct raw r;
	int i;

	make_stream_listener(&tiny);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, client_steps(self->session, self->l, &r, 1));
		ASSERT_EQ(0, rg_offered(r.fd, &offered, SOON));
		ASSERT_EQ(0, i ? rg_reject(r.fd, offered.id, 7) :
				 rg_counter(r.fd, offered.id, 9, RIGHTS_RW, 0));
		EXPECT_EQ(0, settle(self->l));
		EXPECT_EQ(-EPIPE, ch_signal(r.fd));
		EXPECT_EQ(i + 1, listener_stats(self->l).failed);
		raw_free(&r);
	}
	/* Withdraws what it has offered, and offers something else. */
	ASSERT_EQ(0, client_steps(self->session, self->l, &r, false));
	ASSERT_EQ(0, raw_offer(&r));
	ASSERT_EQ(0, rg_withdraw(r.fd, r.offer.id));
	EXPECT_EQ(0, settle(self->l));
	ASSERT_EQ(0, raw_offer(&r));
	EXPECT_EQ(0, settle(self->l));
	ASSERT_EQ(0, raw_take(&r, SOON));
	ASSERT_EQ(0, raw_answer(&r, SOON));
	ASSERT_EQ(0, mbuf_stream_accept(self->l, SOON, &self->acc));
	raw_free(&r);
}

/* The oldest have to make room. */
TEST_F(stream, many_clients_stall)
{
	struct rlimit files = { 3000, 3000 }, old;
	struct raw r[300];
	int i;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	if (old.rlim_cur < files.rlim_cur && setrlimit(RLIMIT_NOFILE, &files))
		SKIP(return, "cannot have 3000 descriptors");
	make_stream_listener(&tiny);
	for (i = 0; i < 300; i++) {
		ASSERT_EQ(0, raw_connect(self->session, &r[i], &good_hello));
		ASSERT_EQ(0, settle(self->l));
	}
	EXPECT_EQ(256, listener_stats(self->l).pending);
	EXPECT_EQ(44, listener_stats(self->l).expired);
	EXPECT_EQ(-EPIPE, ch_signal(r[43].fd));
	EXPECT_EQ(0, ch_signal(r[44].fd));
	expect_service();
	for (i = 0; i < 300; i++)
		raw_free(&r[i]);
	EXPECT_EQ(0, settle(self->l));
	EXPECT_EQ(0, listener_stats(self->l).pending);
	EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
}

/* ---- servers --------------------------------------------------------------- */

/* The server's steps by hand, while a thread connects. */
TEST_F(stream, server_dies_or_stalls)
{
	struct mbuf_exchange x;
	struct conn c;
	int lfd, steps, fd;
	struct raw r;
	bool stall;

	lfd = ls_listen(self->session, 0600, 4);
	ASSERT_GE(lfd, 0);
	for (steps = 0; steps < 10; steps++) {
		stall = steps & 1;
		ASSERT_TRUE(conn_start(&c, self->session, &tiny, stall ?
				       in_ms(400) : MBUF_FOREVER));
		fd = ls_accept(lfd, 0, SOON);
		ASSERT_GE(fd, 0);
		raw_init(&r, fd);
		r.offer = offer_of(3, RIGHTS_R, MBUF_OFFER_SOLID);
		x = xchg_of(STEPS_TAKE, 0, SOON);
		EXPECT_EQ(0, ch_xchg(fd, &x));
		EXPECT_EQ(0, memcmp(x.data, &good_hello, sizeof(good_hello)));
		if (steps / 2 > 0)
			ASSERT_EQ(0, raw_say_hello(&r, &good_hello));
		if (steps / 2 > 1)
			ASSERT_EQ(0, raw_offer(&r));
		/* What is left of a step is that the other side takes it. */
		if (steps / 2 > 2)
			ASSERT_EQ(0, raw_answer(&r, SOON));
		if (steps / 2 > 3)
			ASSERT_EQ(0, raw_take(&r, SOON));
		if (!stall)
			raw_free(&r);
		/* With the last one all is done. */
		EXPECT_EQ(steps / 2 == 4 ? 0 : stall ? -ETIMEDOUT :
			  -ECONNREFUSED, conn_join(&c)) {
			TH_LOG("steps: %d, %s", steps / 2,
			       stall ? "stalls" : "dies");
		}
		if (!c.ret)
			mbuf_stream_close(c.stream);
		if (stall) {
			EXPECT_EQ(-EPIPE, ch_signal(r.fd));
			raw_free(&r);
		}
	}
	close(lfd);
}

TEST_F(stream, server_lies)
{
	static const struct {
		struct hello hello;
		uint64_t pages;
		uint32_t options;
		int answers;	/* 0: takes what it is offered */
		int ret;
	} lies[] = {
		{ { "", 0, { 0 } }, 6, MBUF_OFFER_SOLID, 0, -EPROTO },
		{ { "mbuf stream", 3, { 0 } }, 6, MBUF_OFFER_SOLID, 0,
		  -EPROTO },
		{ { "mbuf stream", 1, { 0 } }, 6, 0, 0, -EPROTO },
		{ { "mbuf stream", 1, { 0 } }, 2, MBUF_OFFER_SOLID, 0,
		  -EMSGSIZE },
		{ { "mbuf stream", 1, { 0 } }, 1ull << 40, MBUF_OFFER_SOLID, 0,
		  -EMSGSIZE },
		{ { "mbuf stream", 1, { 0 } }, 6, MBUF_OFFER_SOLID, ENOMEM,
		  -ENOMEM },
		{ { "mbuf stream", 1, { 0 } }, 6, MBUF_OFFER_SOLID, EMSGSIZE,
		  -EMSGSIZE },
		/* A reason that is no error, or one of other calls. */
		{ { "mbuf stream", 1, { 0 } }, 6, MBUF_OFFER_SOLID, EAGAIN,
		  -ECONNREFUSED },
		{ { "mbuf stream", 1, { 0 } }, 6, MBUF_OFFER_SOLID, INT_MIN,
		  -ECONNREFUSED },
		/* Would like something else. */
		{ { "mbuf stream", 1, { 0 } }, 6, MBUF_OFFER_SOLID, -1,
		  -EPROTO },
	};
	struct mbuf_offered offered;
	int lfd, fd, ret;
	struct conn c;
	struct raw r;
	size_t i;

	lfd = ls_listen(self->session, 0600, 4);
	ASSERT_GE(lfd, 0);
	for (i = 0; i < ARRAY_SIZE(lies); i++) {
		ASSERT_TRUE(conn_start(&c, self->session, NULL, PERHAPS));
		fd = ls_accept(lfd, 0, SOON);
		ASSERT_GE(fd, 0);
		raw_init(&r, fd);
		r.offer = offer_of_any(lies[i].pages, RIGHTS_R,
				       lies[i].options);
		ASSERT_EQ(0, raw_say_hello(&r, &lies[i].hello));
		/* The client may be gone before this, but not early. */
		ASSERT_EQ(0, rg_offered(fd, &offered, SOON));
		ASSERT_EQ(0, raw_offer(&r));
		if (lies[i].answers == -1)
			ret = rg_counter(fd, offered.id, 9, RIGHTS_RW, 0);
		else if (lies[i].answers)
			ret = rg_reject(fd, offered.id,
					(uint32_t)lies[i].answers);
		else
			ret = raw_take(&r, SOON);
		EXPECT_TRUE(!ret || ret == -EPIPE);
		EXPECT_EQ(lies[i].ret, conn_join(&c)) {
			TH_LOG("lie %zu", i);
		}
		raw_free(&r);
	}
	close(lfd);
}

/* ---- rings that lie -------------------------------------------------------- */

/* A stream whose other side is @r. */
static int raw_stream(int session, struct mbuf_stream_listener *l,
		      struct raw *r, struct mbuf_stream **s)
{
	int ret = raw_connect(session, r, &good_hello);

	if (!ret)
		ret = settle(l);
	if (!ret)
		ret = raw_offer(r);
	if (!ret)
		ret = settle(l);
	if (!ret)
		ret = raw_take(r, SOON);
	if (!ret)
		ret = raw_answer(r, SOON);
	return ret ? ret : mbuf_stream_accept(l, SOON, s);
}

static uint32_t *raw_word(struct raw *r, size_t at)
{
	return (uint32_t *)(r->own + at);
}

TEST_F(stream, heads_lie)
{
	static const uint32_t heads[] = {
		0xffffffff, 1, MBUF_RING_PAD, MBUF_RING_PAD | 1,
		MBUF_RING_READY | 16384, MBUF_RING_READY | 0x1fffffff,
		MBUF_RING_READY | MBUF_RING_PAD | 8, 0x80000000u,
	};
	struct mbuf_stream_piece piece;
	char buf[64];
	struct raw r;
	size_t i;

	make_stream_listener(NULL);
	for (i = 0; i < ARRAY_SIZE(heads); i++) {
		ASSERT_EQ(0, raw_stream(self->session, self->l, &r,
					&self->acc));
		*raw_word(&r, 2 * page_size() - 8) = heads[i];
		EXPECT_EQ(-EPROTO, mbuf_stream_recv(self->acc, buf,
						    sizeof(buf), SOON)) {
			TH_LOG("head %08x", heads[i]);
		}
		/* That stays so, whatever it says later. */
		*raw_word(&r, 2 * page_size() - 8) = MBUF_RING_READY | 8;
		EXPECT_EQ(-EPROTO, mbuf_stream_recv(self->acc, buf,
						    sizeof(buf), MBUF_NOW));
		EXPECT_EQ(-EPROTO, mbuf_stream_peek(self->acc, &piece, SOON));
		mbuf_stream_release(self->acc);
		mbuf_stream_close(self->acc);
		self->acc = NULL;
		raw_free(&r);
	}
}

TEST_F(stream, counts_lie)
{
	static const uint32_t tails[] = { 1, 8, 0xfffffff0, 32768, 0x80000000 };
	int ret, n;
	struct raw r;
	size_t i;

	make_stream_listener(&tiny);
	for (i = 0; i < ARRAY_SIZE(tails); i++) {
		ASSERT_EQ(0, raw_stream(self->session, self->l, &r,
					&self->acc));
		*raw_word(&r, MBUF_RING_LINE) = tails[i];
		for (n = 0; n < 1000; n++) {
			ret = mbuf_stream_send(self->acc, "x", 1, MBUF_NOW);
			if (ret)
				break;
		}
		EXPECT_EQ(-EPROTO, ret) {
			TH_LOG("tail %08x", tails[i]);
		}
		mbuf_stream_close(self->acc);
		self->acc = NULL;
		raw_free(&r);
	}
}

/* Records that are well formed, and no messages. */
TEST_F(stream, messages_lie)
{
	static const struct {
		const char *what;
		struct {
			uint32_t tag, len;
			uint64_t total;
		} rec[3];
	} lies[] = {
		{ "a tag that there is not", { { 3, 8, 0 } } },
		{ "a fragment of nothing", { { 2, 8, 0 } } },
		{ "a length that is none", { { 1, 7, 100 } } },
		{ "more than a length", { { 1, 9, 100 } } },
		{ "long, and empty", { { 1, 8, 0 } } },
		{ "longer than there can be", { { 1, 8, 1ull << 63 } } },
		{ "an empty fragment", { { 1, 8, 100 }, { 2, 0, 0 } } },
		{ "more than was said", { { 1, 8, 100 }, { 2, 101, 0 } } },
		{ "more in the end", { { 1, 8, 100 }, { 2, 90, 0 },
				       { 2, 11, 0 } } },
		{ "another message in one", { { 1, 8, 100 }, { 0, 50, 0 } } },
		{ "a long one in one", { { 1, 8, 100 }, { 1, 8, 50 } } },
	};
	struct mbuf_stream_piece piece;
	struct mbuf_ring_map map;
	struct mbuf_ring_tx tx;
	char buf[200];
	struct raw r;
	size_t i, j;
	void *data;
	int how, ret;

	make_stream_listener(NULL);
	for (i = 0; i < 2 * ARRAY_SIZE(lies); i++) {
		how = i & 1;
		ASSERT_EQ(0, raw_stream(self->session, self->l, &r,
					&self->acc));
		ASSERT_EQ(0, mbuf_ring_map(&map, r.own, r.own_bytes, r.theirs));
		ASSERT_EQ(0, mbuf_ring_tx_init(&tx, &map, NULL));
		for (j = 0; j < 3; j++) {
			ASSERT_EQ(0, mbuf_ring_loan(&tx, 200, &data, MBUF_NOW));
			memcpy(data, &lies[i / 2].rec[j].total, 8);
			if (lies[i / 2].rec[j].tag || lies[i / 2].rec[j].len)
				ASSERT_EQ(0, mbuf_ring_commit(&tx,
							      lies[i / 2].rec[j].len,
							      lies[i / 2].rec[j].tag));
		}
		poison(buf, sizeof(buf));
		do {
			/* All is there: nobody waits. */
			ret = how ? mbuf_stream_peek(self->acc, &piece,
						     in_ms(2000)) :
				    (int)mbuf_stream_recv(self->acc, buf, 100,
							  in_ms(2000));
		} while (ret >= 0);
		EXPECT_EQ(-EPROTO, ret) {
			TH_LOG("%s", lies[i / 2].what);
		}
		EXPECT_TRUE(is_poison(buf + 100, 100));
		mbuf_stream_close(self->acc);
		self->acc = NULL;
		raw_free(&r);
	}
}

/* A head says something else each time that it is looked at. */
struct scribbler {
	struct raw r;
	uint64_t seed;
	_Atomic bool stop;
	_Atomic uint64_t writes;
	pthread_t thread;
};

static void *scribble(void *arg)
{
	static const uint32_t good[] = {
		MBUF_RING_READY, MBUF_RING_READY | 8, MBUF_RING_READY | 100,
		MBUF_RING_PAD, 0, 1, 2, MBUF_RING_ARMED | 4, MBUF_RING_END,
		MBUF_RING_CALM, 16, 4096,
	};
	struct scribbler *s = arg;
	size_t page = page_size();
	uint64_t x = s->seed;

	while (!atomic_load(&s->stop)) {
		uint32_t value;
		size_t at;

		x = mix(x + 1);
		/* Where it matters, and close to the start of the data. */
		switch (x & 7) {
		case 0:
			at = MBUF_RING_LINE;
			break;
		case 1:
			at = 2 * MBUF_RING_LINE;
			break;
		case 2:
			at = page + MBUF_RING_LINE + (x >> 8 & 4);
			break;
		case 3:
			at = (x >> 8) % s->r.own_bytes & ~3ul;
			break;
		default:
			at = 2 * page - 8 + 16 * (x >> 8 & 63) + (x >> 16 & 4);
		}
		value = x >> 20 & 7 ? good[(x >> 24) % ARRAY_SIZE(good)] :
				      (uint32_t)(x >> 32);
		__atomic_store_n(raw_word(&s->r, at), value, __ATOMIC_RELAXED);
		if (!(x >> 40 & 63))
			ch_signal(s->r.fd);
		s->writes++;
	}
	return NULL;
}

TEST_F(stream, scribbled_at_random)
{
	uint64_t end = now_ns() + 4 * NS_PER_SEC, rounds = 0, got = 0;
	unsigned int errors[256] = { 0 };
	static struct scribbler s;
	struct mbuf_stream_piece piece;
	char buf[5000], sum = 0;
	uint64_t len;
	ssize_t ret;
	int n, dead;
	size_t i;

	make_stream_listener(&tiny);
	while (now_ns() < end) {
		ASSERT_EQ(0, raw_stream(self->session, self->l, &s.r,
					&self->acc));
		s.stop = false;
		s.seed = mix(rounds++);
		ASSERT_EQ(0, pthread_create(&s.thread, NULL, scribble, &s));
		for (n = 0, dead = 0; n < 3000; n++) {
			switch (mix(n) & 3) {
			case 0:
				ret = mbuf_stream_send(self->acc, buf,
						       mix(n) >> 8 & 1 ? 20 :
						       mbuf_stream_max(self->acc),
						       MBUF_NOW);
				break;
			case 1:
				ret = mbuf_stream_peek(self->acc, &piece,
						       MBUF_NOW);
				for (i = 0; !ret && i < piece.len; i++)
					sum += ((const char *)piece.data)[i];
				mbuf_stream_release(self->acc);
				break;
			case 2:
				ret = mbuf_stream_next(self->acc, &len,
						       MBUF_NOW);
				if (!(n & 31))
					mbuf_stream_arm(self->acc, 3);
				break;
			default:
				ret = mbuf_stream_recv(self->acc, buf,
						       sizeof(buf), n & 7 ?
						       MBUF_NOW : in_ms(1));
			}
			if (ret < 0)
				errors[-ret & 255]++;
			else
				got++;
			/* Both directions have ended, presumably. */
			dead += ret == -EPROTO || ret == -EPIPE;
			if (dead > 20)
				break;
		}
		s.stop = true;
		pthread_join(s.thread, NULL);
		mbuf_stream_close(self->acc);
		self->acc = NULL;
		raw_free(&s.r);
	}
	TH_LOG("%llu rounds: %llu calls went well, %u EPROTO, %u EPIPE, %u ECONNRESET",
	       (unsigned long long)rounds, (unsigned long long)got,
	       errors[EPROTO], errors[EPIPE], errors[ECONNRESET]);
	/* It did get somewhere. */
	EXPECT_GT(rounds, 1);
	EXPECT_GT(got, 0);
	EXPECT_GT(errors[EPROTO], 0);
	for (i = 1; i < 256; i++)
		if (i != EAGAIN && i != EPROTO && i != EPIPE &&
		    i != ECONNRESET && i != EMSGSIZE && i != ETIMEDOUT)
			EXPECT_EQ(0, errors[i]) {
				TH_LOG("errno %zu", i);
			}
	/* So that it was read. */
	TH_LOG("sum %d", sum);
}

/* ---- agreements and limits ------------------------------------------------- */

TEST_F(stream, sizes_are_agreed_on)
{
	struct mbuf_stream_options a = { .size = 100000, .peer_size = 5000 };
	struct mbuf_stream_options b = { .size = 1 << 20, .peer_size = 70000 };
	struct conn c;

	make_stream_listener(&a);
	ASSERT_TRUE(conn_start(&c, self->session, &b, SOON));
	ASSERT_EQ(0, mbuf_stream_accept(self->l, SOON, &self->acc));
	ASSERT_EQ(0, conn_join(&c));
	self->con = c.stream;
	/* Each is rounded up, and the smaller one counts. */
	EXPECT_EQ(8192 / 2 - 8, mbuf_stream_max(self->con));
	EXPECT_EQ(131072 / 2 - 8, mbuf_stream_max(self->acc));
}

TEST_F(stream, bad_arguments)
{
	struct mbuf_stream_options bad[] = {
		{ .size = (1ull << 30) + 1 },
		{ .peer_size = UINT64_MAX },
		{ .flags = 2 },
		{ .uid = 1 },
		{ .resv = { 0, 0, 0, 1 } },
	};
	struct mbuf_stream_options uid = { .flags = MBUF_STREAM_UID };
	struct mbuf_stream_listener *l = (void *)77;
	struct mbuf_stream *s = (void *)77;
	char name[300] = "";
	int pair[2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, st_connect(self->session, &bad[i], SOON,
					      &s));
		EXPECT_EQ(-EINVAL, mbuf_stream_listen(self->session, NAME,
						      NAME_LEN, 0600, 1,
						      &bad[i], &l));
	}
	EXPECT_EQ(-EINVAL, mbuf_stream_listen(self->session, NAME, NAME_LEN,
					      0600, 1, &uid, &l));
	EXPECT_EQ(-EINVAL, mbuf_stream_listen(self->session, NAME, NAME_LEN,
					      0600, 0, NULL, &l));
	EXPECT_EQ(-ENAMETOOLONG, mbuf_stream_connect(self->session, name,
						     sizeof(name), NULL, SOON,
						     &s));
	EXPECT_EQ(-ENAMETOOLONG, mbuf_stream_connect(self->session, name,
						     SIZE_MAX, NULL, SOON,
						     &s));
	EXPECT_EQ(-EBADF, st_connect(-1, NULL, SOON, &s));
	EXPECT_EQ(-ECONNREFUSED, st_connect(self->session, NULL, SOON, &s));
	EXPECT_EQ(-EBADF, mbuf_stream_listen_fd(-1, NULL, &l));
	ASSERT_EQ(0, pipe(pair));
	EXPECT_EQ(-ENOTTY, mbuf_stream_listen_fd(pair[0], NULL, &l));
	close(pair[0]);
	close(pair[1]);
	EXPECT_EQ((void *)77, s);
	EXPECT_EQ((void *)77, l);
	mbuf_stream_close(NULL);
	mbuf_stream_drop(NULL);
	mbuf_stream_listener_close(NULL);

	make_stream_listener(NULL);
	EXPECT_EQ(-EADDRINUSE, mbuf_stream_listen(self->session, NAME, NAME_LEN,
						  0600, 1, NULL, &l));
	uid.uid = geteuid() + 1;
	EXPECT_EQ(-EACCES, st_connect(self->session, &uid, SOON, &s));
}

/* A listener's own lack of descriptors costs nobody the connection. */
static int connects(void *arg)
{
	struct mbuf_stream *s;
	char buf[8];

	CHECK_EQ(0, st_connect(*(int *)arg, &tiny, SOON, &s));
	CHECK_EQ(0, mbuf_stream_send(s, "x", 1, SOON));
	CHECK_EQ(-EPIPE, mbuf_stream_recv(s, buf, 8, SOON));
	mbuf_stream_close(s);
	return 0;
}

TEST_F(stream, no_more_descriptors)
{
	struct rlimit old, few;
	struct mbuf_stream *s;
	int ret, before = 0, within = 0;
	char buf[8];
	pid_t pid;

	make_stream_listener(&tiny);
	pid = spawn(connects, &self->session);
	ASSERT_GT(pid, 0);
	ASSERT_PENDING(mbuf_stream_listener_raw(self->l), 1);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	few = old;
	few.rlim_cur = 1;
	for (;;) {
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
		ret = mbuf_stream_accept(self->l, SOON, &s);
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
		if (ret != -EMFILE)
			break;
		if (listener_stats(self->l).pending)
			within++;
		else
			before++;
		few.rlim_cur++;
	}
	ASSERT_EQ(0, ret);
	self->acc = s;
	/* For accepting it, and then for what it has offered. */
	EXPECT_GT(before, 0);
	EXPECT_GT(within, 0);
	EXPECT_EQ(0, listener_stats(self->l).failed);
	EXPECT_EQ(1, mbuf_stream_recv(self->acc, buf, 8, SOON));
	mbuf_stream_close(self->acc);
	self->acc = NULL;
	EXPECT_EQ(0, reap(pid));
}

/* Several queues of one name, and the end of the listener. */
TEST_F(stream, accept_queues)
{
	struct mbuf_stream_listener *l;
	struct mbuf_stream *s;
	struct conn c;
	int lfd, qfd;

	lfd = ls_listen(self->session, 0600, 0);
	ASSERT_GE(lfd, 0);
	qfd = ls_queue(lfd, 4);
	ASSERT_GE(qfd, 0);
	ASSERT_EQ(0, mbuf_stream_listen_fd(qfd, &tiny, &l));
	EXPECT_EQ(qfd, mbuf_stream_listener_raw(l));
	ASSERT_TRUE(conn_start(&c, self->session, &tiny, SOON));
	ASSERT_EQ(0, mbuf_stream_accept(l, SOON, &self->acc));
	ASSERT_EQ(0, conn_join(&c));
	self->con = c.stream;
	EXPECT_EQ(-EAGAIN, mbuf_stream_accept(l, MBUF_NOW, &s));
	close(lfd);
	EXPECT_EQ(-EPIPE, mbuf_stream_accept(l, SOON, &s));
	EXPECT_EQ(-EPIPE, mbuf_stream_accept(l, MBUF_NOW, &s));
	mbuf_stream_listener_close(l);
	/* What there is stays. */
	EXPECT_EQ(0, mbuf_stream_send(self->con, "x", 1, MBUF_NOW));
}

/* The descriptor says when there is something to do, and only then. */
TEST_F(stream, listener_is_readable)
{
	struct mbuf_stream *s;
	struct raw r;
	int fd;

	make_stream_listener(&tiny);
	fd = mbuf_stream_listener_fd(self->l);
	EXPECT_EQ(0, poll_now(fd, POLLIN));
	ASSERT_EQ(0, raw_connect(self->session, &r, &good_hello));
	EXPECT_EQ(POLLIN, poll_now(fd, POLLIN));
	EXPECT_EQ(-EAGAIN, mbuf_stream_accept(self->l, MBUF_NOW, &s));
	EXPECT_EQ(0, poll_now(fd, POLLIN));
	ASSERT_EQ(0, raw_offer(&r));
	EXPECT_EQ(POLLIN, poll_now(fd, POLLIN));
	EXPECT_EQ(-EAGAIN, mbuf_stream_accept(self->l, MBUF_NOW, &s));
	EXPECT_EQ(0, poll_now(fd, POLLIN));
	ASSERT_EQ(0, raw_take(&r, SOON));
	EXPECT_EQ(POLLIN, poll_now(fd, POLLIN));
	ASSERT_EQ(0, mbuf_stream_accept(self->l, MBUF_NOW, &self->acc));
	EXPECT_EQ(0, poll_now(fd, POLLIN));
	raw_free(&r);
	/* The peer's end is the stream's matter by now. */
	EXPECT_EQ(0, poll_now(fd, POLLIN));
}

TEST_HARNESS_MAIN
