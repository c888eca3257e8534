// SPDX-License-Identifier: GPL-2.0
/*
 * Streams: messages of any length, the end of them, threads, event loops, and
 * what the limits do.
 */
#include <sys/epoll.h>
#include <sys/resource.h>

#include "stream.h"

/* The smallest rings. */
static const struct mbuf_stream_options tiny = { .size = 1, .peer_size = 1 };

/* ---- messages -------------------------------------------------------------- */

TEST_F(stream, there_and_back)
{
	static const size_t lens[] = { 0, 1, 8, 31, 4096, 32760, 32761, 65536,
				       1000001 };
	struct mbuf_stream_stats stats;
	struct mbuf_peer peer;
	uint64_t bytes = 0;
	char *buf, *out;
	size_t i;

	make_streams(NULL);
	ASSERT_EQ(65536 / 2 - 8, mbuf_stream_max(self->con));
	mbuf_stream_peer(self->con, &peer);
	EXPECT_EQ(getpid(), (pid_t)peer.pid);
	mbuf_stream_peer(self->acc, &peer);
	EXPECT_EQ(getpid(), (pid_t)peer.pid);
	EXPECT_EQ(geteuid(), peer.uid);
	EXPECT_NE(0, peer.start);

	buf = malloc(1 << 20);
	out = malloc(1 << 20);
	ASSERT_TRUE(buf && out);
	for (i = 0; i < ARRAY_SIZE(lens) - 2; i++) {
		fill_words(buf, lens[i], i);
		ASSERT_EQ(0, mbuf_stream_send(self->con, buf, lens[i],
					      MBUF_NOW));
		poison(out, 1 << 20);
		ASSERT_EQ((ssize_t)lens[i], mbuf_stream_recv(self->acc, out,
							     lens[i],
							     MBUF_NOW));
		EXPECT_TRUE(is_words(out, lens[i], i));
		EXPECT_TRUE(is_poison(out + lens[i], 1000));
		/* And back, when it was seen to be all. */
		EXPECT_EQ(-EAGAIN, mbuf_stream_recv(self->acc, out, 1,
						    MBUF_NOW));
		ASSERT_EQ(0, mbuf_stream_send(self->acc, buf, lens[i],
					      MBUF_NOW));
		poison(out, 1 << 20);
		ASSERT_EQ((ssize_t)lens[i], mbuf_stream_recv(self->con, out,
							     1 << 20,
							     MBUF_NOW));
		EXPECT_TRUE(is_words(out, lens[i], i));
		bytes += lens[i];
	}
	mbuf_stream_stats(self->con, &stats);
	EXPECT_EQ(ARRAY_SIZE(lens) - 2, stats.sent);
	EXPECT_EQ(bytes, stats.sent_bytes);
	EXPECT_EQ(ARRAY_SIZE(lens) - 2, stats.received);
	EXPECT_EQ(bytes, stats.received_bytes);
	EXPECT_EQ(0, stats.sleeps);
	free(buf);
	free(out);
}

/* A thread that sends, so that the test can receive. */
struct sender {
	struct mbuf_stream *s;
	uint64_t messages, max, seed;
	size_t len;		/* of all, unless 0 */
	int ret;
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static size_t some_len(const struct sender *t, uint64_t i)
{
	uint64_t x = mix(t->seed + 77 * i);

	if (t->len)
		return t->len;
	/* Mostly small. */
	return (size_t)(x >> 8) % (x & 7 ? 200 : t->max + 1);
}

static void *sender_main(void *arg)
{
	struct sender *t = arg;
	size_t max = t->len ? t->len : (size_t)t->max;
	char *buf = malloc(max + 8);
	uint64_t i;

	atomic_store(&t->tid, (pid_t)syscall(SYS_gettid));
	for (i = 0; i < t->messages && !t->ret; i++) {
		fill_words(buf, some_len(t, i), t->seed + i);
		t->ret = mbuf_stream_send(t->s, buf, some_len(t, i),
					  MBUF_FOREVER);
	}
	free(buf);
	atomic_store(&t->done, true);
	return NULL;
}

static bool sender_start(struct sender *t)
{
	return !pthread_create(&t->thread, NULL, sender_main, t);
}

static int sender_join(struct sender *t)
{
	if (!EVENTUALLY(atomic_load(&t->done)))
		return -ETIME;
	pthread_join(t->thread, NULL);
	return t->ret;
}

/* Receives what a sender sends: 0, or what went wrong. */
static int receive_all(const struct sender *t, struct mbuf_stream *s)
{
	size_t max = t->len ? t->len : (size_t)t->max;
	char *buf = malloc(max + 8);
	ssize_t ret = 0;
	uint64_t i;

	for (i = 0; i < t->messages; i++) {
		ret = mbuf_stream_recv(s, buf, max, SOON);
		if (ret < 0)
			break;
		if ((size_t)ret != some_len(t, i) ||
		    !is_words(buf, (size_t)ret, t->seed + i)) {
			ret = -EBADMSG;
			break;
		}
	}
	free(buf);
	return ret < 0 ? (int)ret : 0;
}

/* What one call sends, one call receives. */
TEST_F(stream, boundaries)
{
	struct sender t = { .messages = 12000, .max = 5000, .seed = 1 };

	make_streams(&tiny);
	t.s = self->con;
	ASSERT_TRUE(sender_start(&t));
	EXPECT_EQ(0, receive_all(&t, self->acc));
	EXPECT_EQ(0, sender_join(&t));
}

TEST_F(stream, much_through_little)
{
	struct mbuf_stream_options o = { .size = 16384 };
	struct sender t = { .messages = 1, .len = 64 << 20, .seed = 5 };
	struct mbuf_stream_stats stats;

	make_streams(&o);
	t.s = self->acc;
	ASSERT_TRUE(sender_start(&t));
	EXPECT_EQ(0, receive_all(&t, self->con));
	EXPECT_EQ(0, sender_join(&t));
	mbuf_stream_stats(self->con, &stats);
	EXPECT_EQ(1, stats.received);
	EXPECT_EQ(64 << 20, stats.received_bytes);
}

/* Nothing is lost, and it is said how long it is. */
TEST_F(stream, too_small_a_buffer)
{
	size_t lens[] = { 100, 3000 };	/* whole, and in fragments */
	struct mbuf_stream_piece piece;
	char buf[4000], out[4000];
	uint64_t len;
	size_t i;

	make_streams(&tiny);
	ASSERT_LT(mbuf_stream_max(self->con), 3000);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		/* One before, which is looked at and not given back. */
		fill_words(buf, 50, 9);
		ASSERT_EQ(0, mbuf_stream_send(self->con, buf, 50, MBUF_NOW));
		ASSERT_EQ(0, mbuf_stream_peek(self->acc, &piece, MBUF_NOW));
		fill_words(buf, lens[i], i);
		ASSERT_EQ(0, mbuf_stream_send(self->con, buf, lens[i],
					      MBUF_NOW));
		poison(out, sizeof(out));
		EXPECT_EQ(-EMSGSIZE, mbuf_stream_recv(self->acc, out,
						      lens[i] - 1, MBUF_NOW));
		EXPECT_EQ(-EMSGSIZE, mbuf_stream_recv(self->acc, out, 0,
						      MBUF_NOW));
		EXPECT_TRUE(is_poison(out, sizeof(out)));
		EXPECT_EQ(0, mbuf_stream_next(self->acc, &len, MBUF_NOW));
		EXPECT_EQ(lens[i], len);
		EXPECT_EQ(50, piece.len);
		EXPECT_TRUE(is_words(piece.data, 50, 9));
		ASSERT_EQ((ssize_t)lens[i], mbuf_stream_recv(self->acc, out,
							     lens[i],
							     MBUF_NOW));
		EXPECT_TRUE(is_words(out, lens[i], i));
		EXPECT_EQ(-EAGAIN, mbuf_stream_next(self->acc, &len, MBUF_NOW));
	}
}

/* Who has no room for it gets it in pieces, or what is left of it. */
TEST_F(stream, a_message_in_pieces)
{
	struct sender t = { .messages = 3, .len = 100000, .seed = 3 };
	char *want = malloc(100000), *got = malloc(100000);
	struct mbuf_stream_piece piece;
	uint64_t len, at = 0;

	ASSERT_TRUE(want && got);
	make_streams(&tiny);
	t.s = self->con;
	ASSERT_TRUE(sender_start(&t));
	fill_words(want, 100000, 3);
	do {
		ASSERT_EQ(0, mbuf_stream_peek(self->acc, &piece, SOON));
		ASSERT_LE(at + piece.len, 100000);
		ASSERT_EQ(100000 - at - piece.len, piece.left);
		EXPECT_EQ(0, (uintptr_t)piece.data % 16);
		EXPECT_EQ(0, memcmp(piece.data, want + at, piece.len));
		at += piece.len;
		mbuf_stream_release(self->acc);
	} while (piece.left);
	EXPECT_EQ(100000, at);
	/* Some, and then the rest. */
	ASSERT_EQ(0, mbuf_stream_peek(self->acc, &piece, SOON));
	at = piece.len;
	mbuf_stream_release(self->acc);
	ASSERT_EQ(0, mbuf_stream_next(self->acc, &len, SOON));
	EXPECT_EQ(100000 - at, len);
	EXPECT_EQ(-EMSGSIZE, mbuf_stream_recv(self->acc, got, len - 1, SOON));
	ASSERT_EQ((ssize_t)len, mbuf_stream_recv(self->acc, got, len, SOON));
	fill_words(want, 100000, 4);
	EXPECT_EQ(0, memcmp(got, want + at, len));
	/* The next one is whole again. */
	ASSERT_EQ(100000, mbuf_stream_recv(self->acc, got, 100000, SOON));
	EXPECT_TRUE(is_words(got, 100000, 5));
	EXPECT_EQ(0, sender_join(&t));
	free(want);
	free(got);
}

/* One thread does both, a bit at a time. */
TEST_F(stream, long_ones_without_waiting)
{
	char *buf = malloc(200000), *out = malloc(200000);
	unsigned int again = 0;
	bool sent = false;
	ssize_t ret = -1;
	int i;

	ASSERT_TRUE(buf && out);
	make_streams(&tiny);
	for (i = 0; i < 3; i++) {
		fill_words(buf, 200000, i);
		poison(out, 200000);
		sent = false;
		do {
			if (!sent) {
				ret = mbuf_stream_send(self->con, buf, 200000,
						       MBUF_NOW);
				sent = !ret;
				ASSERT_TRUE(!ret || ret == -EAGAIN);
				again += !!ret;
			}
			if (!sent)
				/* No other message can come in between. */
				EXPECT_EQ(-EINVAL,
					  mbuf_stream_send(self->con, buf, 8,
							   MBUF_NOW));
			ret = mbuf_stream_recv(self->acc, out, 200000,
					       MBUF_NOW);
			ASSERT_TRUE(ret == 200000 || ret == -EAGAIN);
		} while (ret < 0);
		EXPECT_TRUE(sent);
		EXPECT_TRUE(is_words(out, 200000, i));
	}
	EXPECT_GT(again, 3 * 200000 / 4096);
	free(buf);
	free(out);
}

TEST_F(stream, without_copies)
{
	struct mbuf_stream_piece piece[3];
	size_t max;
	void *data;
	int i;

	make_streams(&tiny);
	max = mbuf_stream_max(self->con);
	EXPECT_EQ(-EINVAL, mbuf_stream_commit(self->con, 0));
	EXPECT_EQ(-EMSGSIZE, mbuf_stream_loan(self->con, max + 1, &data,
					      MBUF_NOW));
	ASSERT_EQ(0, mbuf_stream_loan(self->con, max, &data, MBUF_NOW));
	EXPECT_EQ(0, (uintptr_t)data % 16);
	fill_words(data, max, 1);
	/* Not sent yet. */
	EXPECT_EQ(-EAGAIN, mbuf_stream_peek(self->acc, &piece[0], MBUF_NOW));
	EXPECT_EQ(-EINVAL, mbuf_stream_commit(self->con, max + 1));
	ASSERT_EQ(0, mbuf_stream_commit(self->con, max));
	ASSERT_EQ(0, mbuf_stream_peek(self->acc, &piece[0], MBUF_NOW));
	EXPECT_EQ(max, piece[0].len);
	EXPECT_EQ(0, piece[0].left);
	EXPECT_TRUE(is_words(piece[0].data, max, 1));
	mbuf_stream_release(self->acc);

	/* Less than was lent, and several at once. */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, mbuf_stream_loan(self->con, 100, &data, MBUF_NOW));
		fill_words(data, 100, i);
		ASSERT_EQ(0, mbuf_stream_commit(self->con, 64));
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, mbuf_stream_peek(self->acc, &piece[i], MBUF_NOW));
		EXPECT_EQ(64, piece[i].len);
	}
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(is_words(piece[i].data, 64, i));
	mbuf_stream_release(self->acc);
}

/* The peer's memory can only be read, and nobody can give pages of it back. */
TEST_F(stream, memory_is_safe)
{
	struct mbuf_stream_piece piece;
	void *page, *data;

	make_streams(NULL);
	ASSERT_EQ(0, mbuf_stream_loan(self->con, 100, &data, MBUF_NOW));
	page = (void *)((uintptr_t)data & ~(page_size() - 1));
	EXPECT_EQ(-1, madvise(page, page_size(), MADV_REMOVE));
	fill_words(data, 100, 1);
	ASSERT_EQ(0, mbuf_stream_commit(self->con, 100));
	ASSERT_EQ(0, mbuf_stream_peek(self->acc, &piece, MBUF_NOW));
	page = (void *)((uintptr_t)piece.data & ~(page_size() - 1));
	EXPECT_EQ(-1, mprotect(page, page_size(), PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, madvise(page, page_size(), MADV_REMOVE));
	EXPECT_TRUE(is_words(piece.data, 100, 1));
}

/* A request and its reply. */
static void *server_main(void *arg)
{
	struct mbuf_stream *s = arg;
	char buf[9000];
	ssize_t ret;
	int sent;

	ret = mbuf_stream_recv(s, buf, sizeof(buf), MBUF_FOREVER);
	while (ret >= 0)
		ret = mbuf_stream_call(s, buf, (size_t)ret, buf, sizeof(buf),
				       MBUF_FOREVER, &sent);
	return (void *)ret;
}

TEST_F(stream, calls)
{
	struct mbuf_stream_stats stats;
	char buf[9000], out[9000];
	pthread_t thread;
	void *ret;
	int i, sent;

	make_streams(&tiny);
	ASSERT_EQ(0, pthread_create(&thread, NULL, server_main, self->acc));
	for (i = 0; i < 2000; i++) {
		size_t len = i % 50 ? (size_t)i % 300 : sizeof(buf);

		fill_words(buf, len, i);
		sent = -1;
		ASSERT_EQ((ssize_t)len, mbuf_stream_call(self->con, buf, len,
							 out, sizeof(out),
							 SOON, &sent));
		EXPECT_EQ(1, sent);
		ASSERT_TRUE(is_words(out, len, i));
	}
	mbuf_stream_stats(self->con, &stats);
	TH_LOG("of 2000 calls %llu rang, and there were %llu sleeps",
	       (unsigned long long)stats.rings,
	       (unsigned long long)stats.sleeps);
	mbuf_stream_shutdown(self->con);
	pthread_join(thread, &ret);
	EXPECT_EQ(-EPIPE, (long)ret);
	/* Not sent; sent, and there will be no reply. */
	EXPECT_EQ(-EPIPE, mbuf_stream_call(self->con, buf, 1, out, 1, SOON,
					   &sent));
	EXPECT_EQ(0, sent);
	EXPECT_EQ(-EPIPE, mbuf_stream_call(self->acc, buf, 1, out, 1, SOON,
					   &sent));
	EXPECT_EQ(1, sent);
}

/* ---- the end --------------------------------------------------------------- */

TEST_F(stream, shutdown_is_one_way)
{
	char buf[8];

	make_streams(NULL);
	ASSERT_EQ(0, mbuf_stream_send(self->con, "last", 4, MBUF_NOW));
	mbuf_stream_shutdown(self->con);
	mbuf_stream_shutdown(self->con);
	EXPECT_EQ(-EPIPE, mbuf_stream_send(self->con, "x", 1, MBUF_NOW));
	EXPECT_EQ(4, mbuf_stream_recv(self->acc, buf, sizeof(buf), SOON));
	EXPECT_EQ(-EPIPE, mbuf_stream_recv(self->acc, buf, sizeof(buf), SOON));
	EXPECT_EQ(-EPIPE, mbuf_stream_recv(self->acc, buf, sizeof(buf),
					   MBUF_NOW));
	/* The other way nothing has changed. */
	ASSERT_EQ(0, mbuf_stream_send(self->acc, "reply", 5, MBUF_NOW));
	EXPECT_EQ(5, mbuf_stream_recv(self->con, buf, sizeof(buf), SOON));
	EXPECT_EQ(-EAGAIN, mbuf_stream_recv(self->con, buf, sizeof(buf),
					    MBUF_NOW));
}

TEST_F(stream, closed)
{
	char buf[8];
	int i;

	make_streams(NULL);
	ASSERT_EQ(0, mbuf_stream_send(self->con, "one", 3, MBUF_NOW));
	ASSERT_EQ(0, mbuf_stream_send(self->con, "two", 3, MBUF_NOW));
	mbuf_stream_close(self->con);
	self->con = NULL;
	EXPECT_EQ(-EPIPE, mbuf_stream_send(self->acc, "x", 1, SOON));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(3, mbuf_stream_recv(self->acc, buf, sizeof(buf),
					      i ? MBUF_NOW : SOON));
	EXPECT_EQ(-EPIPE, mbuf_stream_recv(self->acc, buf, sizeof(buf), SOON));
}

/* Whoever dies has not said that this was all. */
TEST_F(stream, died)
{
	char buf[8];
	int i;

	make_streams(NULL);
	ASSERT_EQ(0, mbuf_stream_send(self->con, "one", 3, MBUF_NOW));
	mbuf_stream_drop(self->con);
	self->con = NULL;
	EXPECT_EQ(3, mbuf_stream_recv(self->acc, buf, sizeof(buf), SOON));
	EXPECT_EQ(-ECONNRESET, mbuf_stream_recv(self->acc, buf, sizeof(buf),
						SOON));
	EXPECT_EQ(-ECONNRESET, mbuf_stream_recv(self->acc, buf, sizeof(buf),
						MBUF_NOW));
	/* There is room, so that is found out by looking. */
	for (i = 0; i < 65536 / 16 + 1000; i++)
		if (mbuf_stream_send(self->acc, "x", 1, MBUF_NOW) == -EPIPE)
			break;
	EXPECT_LT(i, 65536 / 16 + 1000);
}

/* Who only ever polls hears of it, too. */
TEST_F(stream, died_unheard)
{
	char buf[8];
	int i, ret = -EAGAIN;

	make_streams(NULL);
	EXPECT_EQ(-EAGAIN, mbuf_stream_recv(self->acc, buf, sizeof(buf),
					    MBUF_NOW));
	mbuf_stream_drop(self->con);
	self->con = NULL;
	for (i = 0; i < 1000 && ret == -EAGAIN; i++)
		ret = (int)mbuf_stream_recv(self->acc, buf, sizeof(buf),
					    MBUF_NOW);
	EXPECT_EQ(-ECONNRESET, ret);
}

TEST_F(stream, closed_in_the_middle)
{
	char *buf = calloc(1, 100000);

	ASSERT_TRUE(buf);
	make_streams(&tiny);
	EXPECT_EQ(-EAGAIN, mbuf_stream_send(self->con, buf, 100000, MBUF_NOW));
	mbuf_stream_close(self->con);
	self->con = NULL;
	EXPECT_EQ(-ECONNRESET, mbuf_stream_recv(self->acc, buf, 100000, SOON));
	free(buf);
}

struct killed {
	int session;
	_Atomic uint64_t sent;
};

static int sends_until_killed(void *arg)
{
	struct killed *k = arg;
	struct mbuf_stream *s;
	char buf[9000];
	uint64_t i;

	CHECK_EQ(0, st_connect(k->session, &tiny, SOON, &s));
	for (i = 0;; i++) {
		size_t len = 8 + (size_t)mix(i) % (mix(i) >> 60 ? 100 : 8000);

		fill_words(buf, len, i);
		memcpy(buf, &i, 8);
		CHECK_EQ(0, mbuf_stream_send(s, buf, len, MBUF_FOREVER));
		atomic_store(&k->sent, i + 1);
	}
}

/* All that it had sent arrives, and nothing else. */
TEST_F(stream, killed)
{
	struct killed *k = map_shared(sizeof(*k));
	char buf[9000], want[9000];
	uint64_t i, number, until;
	ssize_t ret;
	pid_t pid;
	int round;

	ASSERT_TRUE(k);
	make_stream_listener(&tiny);
	k->session = self->session;
	for (round = 0; round < 20; round++) {
		atomic_store(&k->sent, 0);
		pid = spawn(sends_until_killed, k);
		ASSERT_GT(pid, 0);
		ASSERT_EQ(0, mbuf_stream_accept(self->l, SOON, &self->acc));
		until = mix(round) % 2000;
		for (i = 0;; i++) {
			if (i == until)
				ASSERT_EQ(0, kill(pid, SIGKILL));
			ret = mbuf_stream_recv(self->acc, buf, sizeof(buf),
					       SOON);
			if (ret < 0)
				break;
			ASSERT_GE(ret, 8);
			memcpy(&number, buf, 8);
			ASSERT_EQ(i, number);
			fill_words(want, (size_t)ret, i);
			ASSERT_EQ(0, memcmp(buf + 8, want + 8,
					    (size_t)ret - 8));
		}
		EXPECT_EQ(-ECONNRESET, ret);
		EXPECT_EQ(128 + SIGKILL, reap(pid));
		EXPECT_GE(i, atomic_load(&k->sent));
		EXPECT_GE(i, until);
		mbuf_stream_close(self->acc);
		self->acc = NULL;
	}
	munmap(k, sizeof(*k));
}

/* ---- waiting --------------------------------------------------------------- */

TEST_F(stream, deadlines)
{
	struct mbuf_stream_piece piece;
	struct mbuf_stream *s;
	uint64_t begin, len;
	char buf[3000] = "";
	void *data;

	make_streams(&tiny);
	begin = now_ns();
	EXPECT_EQ(-ETIMEDOUT, mbuf_stream_recv(self->acc, buf, 8, in_ms(20)));
	EXPECT_EQ(-ETIMEDOUT, mbuf_stream_peek(self->acc, &piece, in_ms(20)));
	EXPECT_EQ(-ETIMEDOUT, mbuf_stream_next(self->acc, &len, in_ms(20)));
	EXPECT_EQ(-ETIMEDOUT, mbuf_stream_accept(self->l, in_ms(20), &s));
	EXPECT_GE(now_ns() - begin, 80 * NS_PER_MS);
	EXPECT_EQ(-EAGAIN, mbuf_stream_accept(self->l, MBUF_NOW, &s));
	EXPECT_EQ(-ETIMEDOUT, mbuf_stream_accept(self->l, 1, &s));
	while (!mbuf_stream_send(self->con, buf, 500, MBUF_NOW))
		;
	begin = now_ns();
	EXPECT_EQ(-ETIMEDOUT, mbuf_stream_send(self->con, buf, 1000,
					       in_ms(20)));
	EXPECT_EQ(-ETIMEDOUT, mbuf_stream_loan(self->con, 1000, &data,
					       in_ms(20)));
	EXPECT_EQ(-ETIMEDOUT, mbuf_stream_send(self->con, buf, 3000,
					       in_ms(20)));
	EXPECT_GE(now_ns() - begin, 60 * NS_PER_MS);
	/* Nobody accepts; the connection is withdrawn. */
	EXPECT_EQ(-EAGAIN, st_connect(self->session, NULL, MBUF_NOW, &s));
	EXPECT_EQ(-ETIMEDOUT, st_connect(self->session, NULL, in_ms(20), &s));
	EXPECT_EQ(0, ls_info(mbuf_stream_listener_raw(self->l)).pending);
	EXPECT_EQ(500, mbuf_stream_recv(self->acc, buf, 500, MBUF_NOW));
}

/*
 * Seven of these fill a ring of 4 KiB; whenever one of them has gone there is
 * room for one, wherever that was.
 */
#define FILLER	504

/* A call of any kind that waits, by a thread. */
struct waits {
	enum { W_RECV, W_SEND, W_ACCEPT, W_CONNECT, W_LONG } what;
	struct mbuf_stream *s;
	struct mbuf_stream_listener *l;
	int session;
	size_t len;
	uint64_t deadline;
	struct mbuf_stream *got;
	ssize_t ret;
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *waits_main(void *arg)
{
	struct waits *w = arg;
	static char zeroes[100000];
	char buf[4096];

	atomic_store(&w->tid, (pid_t)syscall(SYS_gettid));
	switch (w->what) {
	case W_RECV:
		w->ret = mbuf_stream_recv(w->s, buf, sizeof(buf), w->deadline);
		break;
	case W_SEND:
		w->ret = mbuf_stream_send(w->s, zeroes, FILLER, w->deadline);
		break;
	case W_LONG:
		w->ret = mbuf_stream_send(w->s, zeroes, sizeof(zeroes),
					  w->deadline);
		break;
	case W_ACCEPT:
		w->ret = mbuf_stream_accept(w->l, w->deadline, &w->got);
		break;
	case W_CONNECT:
		w->ret = st_connect(w->session, &tiny, w->deadline, &w->got);
		break;
	}
	atomic_store(&w->done, true);
	return NULL;
}

static bool waits_start(struct waits *w, uint64_t deadline)
{
	w->deadline = deadline;
	atomic_store(&w->done, false);
	atomic_store(&w->tid, 0);
	return !pthread_create(&w->thread, NULL, waits_main, w);
}

static ssize_t waits_join(struct waits *w)
{
	if (!EVENTUALLY(atomic_load(&w->done)))
		return -ETIME;
	pthread_join(w->thread, NULL);
	return w->ret;
}

/* In whatever system call. */
static bool waits_asleep(struct waits *w)
{
	char path[64], text[256];
	long nr = -1;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", w->tid);
	return w->tid && task_state(w->tid) == 'S' &&
	       read_file(path, text, sizeof(text)) &&
	       sscanf(text, "%ld", &nr) == 1 &&
	       (nr == SYS_ioctl || nr == SYS_futex || nr == SYS_ppoll);
}

TEST_F(stream, interrupted)
{
	struct waits w[] = {
		{ .what = W_RECV }, { .what = W_SEND }, { .what = W_LONG },
		{ .what = W_ACCEPT }, { .what = W_CONNECT },
	};
	char buf[1000] = "";
	size_t i;

	make_streams(&tiny);
	while (!mbuf_stream_send(self->con, buf, FILLER, MBUF_NOW))
		;
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	for (i = 0; i < ARRAY_SIZE(w); i++) {
		w[i].s = self->con;
		w[i].l = self->l;
		w[i].session = self->session;
		ASSERT_TRUE(waits_start(&w[i], i & 1 ? SOON : MBUF_FOREVER));
		ASSERT_TRUE(EVENTUALLY(waits_asleep(&w[i])));
		ASSERT_EQ(0, pthread_kill(w[i].thread, SIGUSR1));
		EXPECT_EQ(-EINTR, waits_join(&w[i])) {
			TH_LOG("call %zu", i);
		}
	}
	EXPECT_EQ(0, ls_info(mbuf_stream_listener_raw(self->l)).pending);
}

/* ---- two threads ----------------------------------------------------------- */

/*
 * Both wait: one at the channel, the other one until that comes back. Each is
 * woken by what it waits for, whichever of them it was that went first.
 */
TEST_F(stream, two_wait)
{
	struct waits recv = { .what = W_RECV }, send = { .what = W_SEND };
	char buf[FILLER] = "";
	int i;

	make_streams(&tiny);
	while (!mbuf_stream_send(self->con, buf, FILLER, MBUF_NOW))
		;
	recv.s = self->con;
	send.s = self->con;
	for (i = 0; i < 8; i++) {
		struct waits *first = i & 1 ? &recv : &send;
		struct waits *second = i & 1 ? &send : &recv;

		ASSERT_TRUE(waits_start(first, MBUF_FOREVER));
		ASSERT_TRUE(EVENTUALLY(waits_asleep(first)));
		ASSERT_TRUE(waits_start(second, MBUF_FOREVER));
		ASSERT_TRUE(EVENTUALLY(waits_asleep(second)));
		/* One of them gets what it wants, and then the other. */
		if (i & 2) {
			ASSERT_EQ(0, mbuf_stream_send(self->acc, buf, 9,
						      MBUF_NOW));
			ASSERT_EQ(9, waits_join(&recv));
			EXPECT_FALSE(send.done);
			ASSERT_TRUE(EVENTUALLY(waits_asleep(&send)));
			ASSERT_EQ(FILLER, mbuf_stream_recv(self->acc, buf,
							   FILLER, SOON));
			ASSERT_EQ(0, waits_join(&send));
		} else {
			ASSERT_EQ(FILLER, mbuf_stream_recv(self->acc, buf,
							   FILLER, SOON));
			ASSERT_EQ(0, waits_join(&send));
			EXPECT_FALSE(recv.done);
			ASSERT_TRUE(EVENTUALLY(waits_asleep(&recv)));
			ASSERT_EQ(0, mbuf_stream_send(self->acc, buf, 9,
						      MBUF_NOW));
			ASSERT_EQ(9, waits_join(&recv));
		}
	}
}

/* What the one that sleeps for both returns with is not the other one's. */
TEST_F(stream, two_wait_and_one_gives_up)
{
	struct waits recv = { .what = W_RECV }, send = { .what = W_SEND };
	char buf[FILLER] = "";
	int i;

	make_streams(&tiny);
	while (!mbuf_stream_send(self->con, buf, FILLER, MBUF_NOW))
		;
	recv.s = self->con;
	send.s = self->con;
	for (i = 0; i < 4; i++) {
		struct waits *first = i & 1 ? &recv : &send;
		struct waits *second = i & 1 ? &send : &recv;

		ASSERT_TRUE(waits_start(first, i & 2 ? in_ms(300) :
					MBUF_FOREVER));
		ASSERT_TRUE(EVENTUALLY(waits_asleep(first)));
		ASSERT_TRUE(waits_start(second, i & 2 ? MBUF_FOREVER :
					in_ms(300)));
		ASSERT_EQ(-ETIMEDOUT, waits_join(i & 2 ? first : second));
		EXPECT_FALSE((i & 2 ? second : first)->done);
		if ((i & 2 ? second : first) == &recv) {
			ASSERT_EQ(0, mbuf_stream_send(self->acc, buf, 7,
						      MBUF_NOW));
		} else {
			ASSERT_EQ(FILLER, mbuf_stream_recv(self->acc, buf,
							   FILLER, SOON));
		}
		EXPECT_EQ((i & 2 ? second : first) == &recv ? 7 : 0,
			  waits_join(i & 2 ? second : first));
	}
	/* And both hear of the end. */
	ASSERT_TRUE(waits_start(&recv, MBUF_FOREVER));
	ASSERT_TRUE(EVENTUALLY(waits_asleep(&recv)));
	ASSERT_TRUE(waits_start(&send, MBUF_FOREVER));
	ASSERT_TRUE(EVENTUALLY(waits_asleep(&send)));
	mbuf_stream_close(self->acc);
	self->acc = NULL;
	ASSERT_EQ(-EPIPE, waits_join(&recv));
	ASSERT_EQ(-EPIPE, waits_join(&send));
}

/* Two threads on each side, at full speed. */
static void *receiver_main(void *arg)
{
	struct sender *t = arg;

	t->ret = receive_all(t, t->s);
	atomic_store(&t->done, true);
	return NULL;
}

TEST_F(stream, full_duplex)
{
	struct sender t[4] = {
		{ .messages = 8000, .max = 3000, .seed = 1 },
		{ .messages = 8000, .max = 3000, .seed = 2 },
		{ .messages = 8000, .max = 3000, .seed = 1 },
		{ .messages = 8000, .max = 3000, .seed = 2 },
	};
	int i;

	make_streams(&tiny);
	t[0].s = self->con;
	t[1].s = self->acc;
	t[2].s = self->acc;
	t[3].s = self->con;
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&t[i].thread, NULL,
					    i < 2 ? sender_main :
						    receiver_main, &t[i]));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, sender_join(&t[i]));
}

/* ---- event loops ----------------------------------------------------------- */

TEST_F(stream, readable_when_armed)
{
	char buf[1000];
	int fd;

	make_streams(&tiny);
	fd = mbuf_stream_fd(self->acc);
	EXPECT_EQ(-EINVAL, mbuf_stream_arm(self->acc, 0));
	EXPECT_EQ(-EINVAL, mbuf_stream_arm(self->acc, 4));
	while (mbuf_stream_recv(self->acc, buf, sizeof(buf), MBUF_NOW) !=
	       -EAGAIN)
		;
	/* What set it up may have left a signal: it is taken. */
	if (poll_now(fd, POLLIN)) {
		ASSERT_EQ(0, mbuf_stream_arm(self->acc, MBUF_STREAM_RECV));
		EXPECT_EQ(-EAGAIN, mbuf_stream_recv(self->acc, buf, 1,
						    MBUF_NOW));
	}
	EXPECT_EQ(0, poll_now(fd, POLLIN));

	ASSERT_EQ(0, mbuf_stream_arm(self->acc, MBUF_STREAM_RECV));
	EXPECT_EQ(0, poll_now(fd, POLLIN));
	ASSERT_EQ(0, mbuf_stream_send(self->con, "x", 1, MBUF_NOW));
	EXPECT_EQ(POLLIN, poll_now(fd, POLLIN));
	/* It stays so until it is dealt with. */
	EXPECT_EQ(POLLIN, poll_now(fd, POLLIN));
	EXPECT_EQ(1, mbuf_stream_recv(self->acc, buf, 1, MBUF_NOW));
	EXPECT_EQ(0, poll_now(fd, POLLIN));
	/* Not armed: nothing is told, and arming says that there is one. */
	ASSERT_EQ(0, mbuf_stream_send(self->con, "y", 1, MBUF_NOW));
	EXPECT_EQ(0, poll_now(fd, POLLIN));
	EXPECT_EQ(MBUF_STREAM_RECV, mbuf_stream_arm(self->acc,
						    MBUF_STREAM_RECV));
	EXPECT_EQ(MBUF_STREAM_RECV | MBUF_STREAM_SEND,
		  mbuf_stream_arm(self->acc, MBUF_STREAM_RECV |
				  MBUF_STREAM_SEND));
	EXPECT_EQ(1, mbuf_stream_recv(self->acc, buf, 1, MBUF_NOW));

	/* Room. */
	fd = mbuf_stream_fd(self->con);
	while (!mbuf_stream_send(self->con, buf, 900, MBUF_NOW))
		;
	ASSERT_EQ(0, mbuf_stream_arm(self->con, MBUF_STREAM_SEND));
	EXPECT_EQ(0, poll_now(fd, POLLIN));
	EXPECT_EQ(900, mbuf_stream_recv(self->acc, buf, sizeof(buf),
					MBUF_NOW));
	EXPECT_EQ(POLLIN, poll_now(fd, POLLIN));
	EXPECT_EQ(0, mbuf_stream_send(self->con, buf, 900, MBUF_NOW));
	EXPECT_EQ(0, poll_now(fd, POLLIN));
	EXPECT_EQ(-EAGAIN, mbuf_stream_send(self->con, buf, 900, MBUF_NOW));

	/* Both, and each of them. */
	ASSERT_EQ(0, mbuf_stream_arm(self->con, MBUF_STREAM_SEND |
				     MBUF_STREAM_RECV));
	ASSERT_EQ(0, mbuf_stream_send(self->acc, "z", 1, MBUF_NOW));
	EXPECT_EQ(POLLIN, poll_now(fd, POLLIN));
	EXPECT_EQ(MBUF_STREAM_RECV, mbuf_stream_arm(self->con,
						    MBUF_STREAM_SEND |
						    MBUF_STREAM_RECV));
	EXPECT_EQ(1, mbuf_stream_recv(self->con, buf, 1, MBUF_NOW));
	EXPECT_EQ(0, poll_now(fd, POLLIN));

	/* A call that waits in between takes what was meant for the other. */
	ASSERT_EQ(0, mbuf_stream_arm(self->con, MBUF_STREAM_RECV));
	ASSERT_EQ(0, mbuf_stream_send(self->acc, "z", 1, MBUF_NOW));
	EXPECT_EQ(-ETIMEDOUT, mbuf_stream_send(self->con, buf, 900,
					       in_ms(20)));
	EXPECT_EQ(MBUF_STREAM_RECV, mbuf_stream_arm(self->con,
						    MBUF_STREAM_RECV));
	EXPECT_EQ(1, mbuf_stream_recv(self->con, buf, 1, MBUF_NOW));

	/* The end. */
	ASSERT_EQ(0, mbuf_stream_arm(self->con, MBUF_STREAM_RECV));
	mbuf_stream_drop(self->acc);
	self->acc = NULL;
	EXPECT_EQ(POLLHUP, poll_now(fd, POLLIN));
	EXPECT_EQ(-ECONNRESET, mbuf_stream_recv(self->con, buf, 1, MBUF_NOW));
	EXPECT_EQ(MBUF_STREAM_RECV, mbuf_stream_arm(self->con,
						    MBUF_STREAM_RECV));
	ASSERT_EQ(0, mbuf_stream_arm(self->con, MBUF_STREAM_SEND));
	EXPECT_EQ(POLLHUP, poll_now(fd, POLLIN));
	EXPECT_EQ(-EPIPE, mbuf_stream_send(self->con, buf, 900, MBUF_NOW));
	EXPECT_EQ(MBUF_STREAM_SEND, mbuf_stream_arm(self->con,
						    MBUF_STREAM_SEND));
}

/*
 * An event loop on each side, in threads: sends numbers and gets them back. All
 * of it must arrive, with the descriptor as the only reason to look.
 */
struct looper {
	struct mbuf_stream *s;
	bool echo;
	uint64_t messages, sent, received;
	uint64_t waits, idle;
	int ret;
	pthread_t thread;
};

/* 1: nothing to do, 0: something was done, or -errno. */
static int looper_step(struct looper *l, char *buf, size_t *have)
{
	ssize_t ret = -EAGAIN;
	int idle = 1;

	if (!*have) {
		if (!l->echo && l->sent < l->messages) {
			*have = 8 + mix(l->sent) % 2000;
			fill_words(buf, *have, l->sent);
		} else if (l->echo) {
			ret = mbuf_stream_recv(l->s, buf, 4096, MBUF_NOW);
			if (ret >= 0) {
				l->received++;
				*have = (size_t)ret;
			} else if (ret != -EAGAIN) {
				return (int)ret;
			}
		}
	}
	if (*have) {
		ret = mbuf_stream_send(l->s, buf, *have, MBUF_NOW);
		if (!ret) {
			*have = 0;
			l->sent++;
			idle = 0;
		} else if (ret != -EAGAIN) {
			return (int)ret;
		}
	}
	if (!l->echo) {
		char out[4096];

		ret = mbuf_stream_recv(l->s, out, sizeof(out), MBUF_NOW);
		if (ret >= 0) {
			if ((size_t)ret != 8 + mix(l->received) % 2000 ||
			    !is_words(out, (size_t)ret, l->received))
				return -EBADMSG;
			l->received++;
			idle = 0;
		} else if (ret != -EAGAIN) {
			return (int)ret;
		}
	}
	return idle;
}

static void *looper_main(void *arg)
{
	struct looper *l = arg;
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC), ret = -EIO;
	unsigned int want;
	size_t have = 0;
	char buf[4096];

	if (epoll_ctl(ep, EPOLL_CTL_ADD, mbuf_stream_fd(l->s), &ev))
		goto out;
	while (l->received < l->messages || l->sent < l->messages) {
		ret = looper_step(l, buf, &have);
		if (ret < 0)
			goto out;
		if (!ret)
			continue;
		want = have ? MBUF_STREAM_SEND : 0;
		/* An echo with something in hand does not want more. */
		if (!l->echo || !have)
			want |= MBUF_STREAM_RECV;
		ret = mbuf_stream_arm(l->s, want);
		if (ret < 0)
			goto out;
		if (ret)
			continue;
		l->waits++;
		ret = epoll_wait(ep, &ev, 1, (int)(PATIENCE_NS / NS_PER_MS));
		if (ret != 1) {
			ret = ret < 0 ? -errno : -ETIMEDOUT;
			goto out;
		}
	}
	ret = 0;
out:
	close(ep);
	l->ret = ret;
	return NULL;
}

TEST_F(stream, event_loops)
{
	struct looper l[2] = {
		{ .messages = 8000 },
		{ .messages = 8000, .echo = true },
	};
	int i;

	make_streams(&tiny);
	l[0].s = self->con;
	l[1].s = self->acc;
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&l[i].thread, NULL, looper_main,
					    &l[i]));
	for (i = 0; i < 2; i++) {
		pthread_join(l[i].thread, NULL);
		EXPECT_EQ(0, l[i].ret) {
			TH_LOG("side %d: %llu sent, %llu received, %llu waits",
			       i, (unsigned long long)l[i].sent,
			       (unsigned long long)l[i].received,
			       (unsigned long long)l[i].waits);
		}
		EXPECT_EQ(8000, l[i].sent);
		EXPECT_EQ(8000, l[i].received);
		EXPECT_GT(l[i].waits, 0);
	}
}

/* ---- many ------------------------------------------------------------------ */

#define CLIENTS	1000

/* How long to go on connecting: some kernels are very slow. */
#define MANY_NS	(60 * NS_PER_SEC)

struct many {
	int session;
	int rounds;
	_Atomic int clients;	/* how many there are, once it is known */
};

/* All clients in one process, each with some messages there and back. */
static int many_main(void *arg)
{
	struct many *m = arg;
	struct mbuf_stream **s = calloc(CLIENTS, sizeof(*s));
	uint64_t got, end = now_ns() + MANY_NS;
	int i, round, nr;

	CHECK(s);
	for (nr = 0; nr < CLIENTS && now_ns() < end; nr++)
		CHECK_EQ(0, st_connect(m->session, &tiny, SOON, &s[nr]));
	atomic_store(&m->clients, nr);
	for (round = 0; round < m->rounds; round++) {
		for (i = 0; i < nr; i++) {
			uint64_t x = mix((uint64_t)(i * 1000 + round));

			CHECK_EQ(0, mbuf_stream_send(s[i], &x, sizeof(x),
						     SOON));
		}
		for (i = 0; i < nr; i++) {
			CHECK_EQ(8, mbuf_stream_recv(s[i], &got, sizeof(got),
						     SOON));
			CHECK(got == mix((uint64_t)(i * 1000 + round)));
		}
	}
	/* Half of them say goodbye. */
	for (i = 0; i < nr; i += 2)
		mbuf_stream_close(s[i]);
	return 0;
}

struct client {
	struct mbuf_stream *s;
	unsigned int messages;
};

/* Echo what there is: 0, or why there is nothing more. */
static int echo(struct client *c)
{
	char buf[64];
	ssize_t ret;

	do {
		while ((ret = mbuf_stream_recv(c->s, buf, sizeof(buf),
					       MBUF_NOW)) >= 0) {
			c->messages++;
			ret = mbuf_stream_send(c->s, buf, (size_t)ret,
					       MBUF_NOW);
			if (ret)
				return (int)ret;
		}
		if (ret != -EAGAIN)
			return (int)ret;
		ret = mbuf_stream_arm(c->s, MBUF_STREAM_RECV);
	} while (ret > 0);
	return (int)ret;
}

TEST_F(stream, a_thousand_clients)
{
	struct many *m = map_shared(sizeof(*m));
	struct rlimit files = { 3000, 3000 }, old;
	struct client *c = calloc(CLIENTS, sizeof(*c));
	struct epoll_event ev = { .events = EPOLLIN };
	int ep, i, ret, nr = 0, ended = 0, orderly = 0;
	pid_t pid;

	ASSERT_TRUE(c && m);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	if (old.rlim_cur < files.rlim_cur &&
	    setrlimit(RLIMIT_NOFILE, &files)) {
		free(c);
		SKIP(return, "cannot have 3000 descriptors");
	}
	make_stream_listener(&tiny);
	m->session = self->session;
	m->rounds = 5;
	atomic_store(&m->clients, CLIENTS);
	pid = spawn(many_main, m);
	ASSERT_GT(pid, 0);
	ep = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD,
			       mbuf_stream_listener_fd(self->l), &ev));
	while (ended < atomic_load(&m->clients)) {
		ret = epoll_wait(ep, &ev, 1, (int)(PATIENCE_NS / NS_PER_MS));
		ASSERT_EQ(1, ret) {
			TH_LOG("%d clients, %d ended", nr, ended);
		}
		i = (int)ev.data.u32 - 1;
		if (i < 0) {
			ret = mbuf_stream_accept(self->l, MBUF_NOW, &c[nr].s);
			if (ret == -EAGAIN)
				continue;
			ASSERT_EQ(0, ret);
			ev.events = EPOLLIN;
			nr++;
			ev.data.u64 = (uint64_t)nr;
			ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD,
					       mbuf_stream_fd(c[nr - 1].s),
					       &ev));
			i = nr - 1;
		}
		ret = echo(&c[i]);
		if (!ret)
			continue;
		ASSERT_TRUE(ret == -EPIPE || ret == -ECONNRESET);
		EXPECT_EQ(5, c[i].messages);
		orderly += ret == -EPIPE;
		ended++;
		mbuf_stream_close(c[i].s);
	}
	EXPECT_GE(nr, 50);
	if (nr < CLIENTS)
		TH_LOG("%d clients, as there was no time for %d", nr, CLIENTS);
	EXPECT_EQ(atomic_load(&m->clients), nr);
	EXPECT_EQ((nr + 1) / 2, orderly);
	EXPECT_EQ(0, reap(pid));
	close(ep);
	munmap(m, sizeof(*m));
	free(c);
}

/* A process for each connection. */
static int serves(void *arg)
{
	struct mbuf_stream *s = arg;
	char buf[100];
	ssize_t ret;

	while ((ret = mbuf_stream_recv(s, buf, sizeof(buf), SOON)) >= 0)
		CHECK_EQ(0, mbuf_stream_send(s, buf, (size_t)ret, SOON));
	CHECK_EQ(-EPIPE, ret);
	mbuf_stream_close(s);
	return 0;
}

TEST_F(stream, forks)
{
	char buf[100];
	pid_t pid;
	int i;

	make_streams(NULL);
	/* Used before, too. */
	ASSERT_EQ(0, mbuf_stream_send(self->acc, "x", 1, MBUF_NOW));
	ASSERT_EQ(1, mbuf_stream_recv(self->con, buf, 1, MBUF_NOW));
	pid = spawn(serves, self->acc);
	ASSERT_GT(pid, 0);
	mbuf_stream_drop(self->acc);
	self->acc = NULL;
	for (i = 0; i < 1000; i++) {
		fill_words(buf, sizeof(buf), i);
		ASSERT_EQ(0, mbuf_stream_send(self->con, buf, sizeof(buf),
					      SOON));
		ASSERT_EQ(100, mbuf_stream_recv(self->con, buf, sizeof(buf),
						SOON));
		ASSERT_TRUE(is_words(buf, sizeof(buf), i));
	}
	mbuf_stream_shutdown(self->con);
	EXPECT_EQ(-EPIPE, mbuf_stream_recv(self->con, buf, sizeof(buf), SOON));
	EXPECT_EQ(0, reap(pid));
}

TEST_HARNESS_MAIN
