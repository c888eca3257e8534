// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The ring, one thread at a time: what fits and what does not, all sizes at all
 * places, sides that are replaced, doorbells, and long random runs beside a
 * model. Says nothing if all is well.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>

#include "check-ring.h"

/* Both sides of a ring, and what they share. */
struct ring {
	struct memory mem;
	struct mbuf_ring_bell tx_bell, rx_bell;
	struct mbuf_ring_tx tx;
	struct mbuf_ring_rx rx;
};

static void ring_make(struct ring *r, size_t size, uint32_t count)
{
	memory_make(&r->mem, size);
	memory_used(&r->mem, count);
	bell_pair(&r->tx_bell, &r->rx_bell);
	MUST(!mbuf_ring_tx_init(&r->tx, &r->mem.tx, &r->tx_bell));
	MUST(!mbuf_ring_rx_init(&r->rx, &r->mem.rx, &r->rx_bell));
}

static void ring_free(struct ring *r)
{
	close(r->tx_bell.fd);
	close(r->rx_bell.fd);
	memory_free(&r->mem);
}

/* ---- setting up ------------------------------------------------------------ */

static void test_map(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes;
	unsigned char *p = mmap(NULL, 64 * page, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct mbuf_ring_map map, bad;
	struct mbuf_ring_tx tx;
	struct mbuf_ring_rx rx;

	MUST(p != MAP_FAILED);
	MUST(mbuf_ring_area(0) == 2 * page + 64);
	MUST(mbuf_ring_area(64) == 2 * page + 64);
	MUST(mbuf_ring_area(65) == 2 * page + 128);
	MUST(mbuf_ring_area(MBUF_RING_SIZE_MAX) ==
	     2 * page + MBUF_RING_SIZE_MAX);
	MUST(mbuf_ring_area((size_t)MBUF_RING_SIZE_MAX + 1) == 0);
	MUST(mbuf_ring_area(SIZE_MAX) == 0);

	MUST(mbuf_ring_map(&map, p, 2 * page + 63, p) == -EINVAL);
	MUST(mbuf_ring_map(&map, p, 0, p) == -EINVAL);
	MUST(mbuf_ring_map(&map, p + 64, 8 * page, p) == -EINVAL);
	MUST(mbuf_ring_map(&map, p, 8 * page, p + 8) == -EINVAL);
	MUST(mbuf_ring_map(&map, NULL, 8 * page, p) == -EINVAL);
	MUST(mbuf_ring_map(&map, p, 8 * page, NULL) == -EINVAL);
	for (bytes = 2 * page + 64; bytes <= 64 * page; bytes += 64) {
		MUST(!mbuf_ring_map(&map, p, bytes, p));
		MUST(map.size <= bytes - 2 * page &&
		     map.size > (bytes - 2 * page) / 2);
		MUST((map.size & (map.size - 1)) == 0);
		/* Nothing but the first head is in another's page. */
		MUST((unsigned char *)map.rx == p);
		MUST((unsigned char *)map.tx == p + page);
		MUST(map.data == p + 2 * page - MBUF_RING_HEAD);
		MUST(map.data + map.size <= p + bytes);
	}
	MUST(!mbuf_ring_map(&map, p, (size_t)2 * MBUF_RING_SIZE_MAX, p));
	MUST(map.size == MBUF_RING_SIZE_MAX);

	MUST(!mbuf_ring_map(&map, p, 3 * page, p));
#define BAD(member, value) do {						\
	bad = map;							\
	bad.member = (value);						\
	MUST(mbuf_ring_tx_init(&tx, &bad, NULL) == -EINVAL);		\
	MUST(mbuf_ring_rx_init(&rx, &bad, NULL) == -EINVAL);		\
} while (0)
	BAD(size, 0);
	BAD(size, 32);
	BAD(size, 96);
	BAD(size, MBUF_RING_SIZE_MAX * 2);
	BAD(data, NULL);
	BAD(data, map.data + 8);
	BAD(data, map.data + 1);
	BAD(tx, NULL);
	BAD(rx, NULL);
	/* A count that no ring has. */
	map.rx->tail = 8;
	MUST(mbuf_ring_tx_init(&tx, &map, NULL) == -EPROTO);
	MUST(mbuf_ring_rx_init(&rx, &map, NULL) == -EPROTO);
	munmap(p, 64 * page);
}

/* ---- sizes and places ------------------------------------------------------ */

/* Every length at every place, by copy and by loan, in rings of @size. */
static void test_lengths(size_t size, uint32_t count)
{
	uint32_t max = mbuf_ring_max((uint32_t)size), len, at;
	static unsigned char in[8192], out[8192];
	struct mbuf_ring_rec rec;
	struct ring r;
	uint64_t number = 0;
	void *data;

	MUST(max <= sizeof(in));
	for (at = 0; at < size; at += MBUF_RING_ALIGN) {
		ring_make(&r, size, count + at);
		for (len = 0; len <= max; len++) {
			fill(in, len, ++number);
			MUST(!mbuf_ring_push(&r.tx, in, len, MBUF_NOW));
			memset(out, 0, len);
			MUST(mbuf_ring_pop(&r.rx, out, len, MBUF_NOW) ==
			     (ssize_t)len);
			MUST(is_filled(out, len, number));
			mbuf_ring_release(&r.rx);

			MUST(!mbuf_ring_loan(&r.tx, max, &data, MBUF_NOW));
			MUST((uintptr_t)data % MBUF_RING_ALIGN == 0);
			fill(data, max, ++number);
			MUST(!mbuf_ring_commit(&r.tx, len, len * 3));
			MUST(!mbuf_ring_peek(&r.rx, &rec, MBUF_NOW));
			MUST(rec.len == len && rec.tag == len * 3);
			MUST((uintptr_t)rec.data % MBUF_RING_ALIGN == 0);
			MUST(is_filled(rec.data, len, number));
			MUST(mbuf_ring_peek(&r.rx, &rec, MBUF_NOW) == -EAGAIN);
			mbuf_ring_release(&r.rx);
		}
		MUST(mbuf_ring_push(&r.tx, in, max + 1, MBUF_NOW) == -EMSGSIZE);
		MUST(mbuf_ring_push(&r.tx, in, SIZE_MAX, MBUF_NOW) ==
		     -EMSGSIZE);
		MUST(mbuf_ring_push(&r.tx, in, UINT32_MAX - 7, MBUF_NOW) ==
		     -EMSGSIZE);
		MUST(mbuf_ring_loan(&r.tx, max + 1, &data, MBUF_FOREVER) ==
		     -EMSGSIZE);
		MUST(mbuf_ring_pop(&r.rx, out, sizeof(out), MBUF_NOW) ==
		     -EAGAIN);
		ring_free(&r);
	}
}

/* How much fits, wherever it begins, and that what was refused has no effect. */
static void test_full(size_t size)
{
	static unsigned char in[4096], out[4096];
	uint32_t at, len, max = mbuf_ring_max((uint32_t)size);
	struct ring r;

	for (at = 0; at < size; at += MBUF_RING_ALIGN)
		for (len = 0; len <= max; len = len * 2 + 1) {
			uint32_t need = MBUF_RING_NEED(len), n, i, fits;
			uint32_t first = ((uint32_t)size - at) / need;

			ring_make(&r, size, at);
			/* Before the end, then from the start, less a head. */
			fits = first + (at < MBUF_RING_ALIGN ? 0 :
					(at - MBUF_RING_ALIGN) / need);
			if (at < MBUF_RING_ALIGN &&
			    (size - MBUF_RING_ALIGN) / need < first)
				fits = ((uint32_t)size - MBUF_RING_ALIGN) /
				       need;
			for (n = 0; ; n++) {
				fill(in, len, n);
				if (mbuf_ring_push(&r.tx, in, len, MBUF_NOW))
					break;
			}
			MUST(n == fits);
			MUST(mbuf_ring_push(&r.tx, in, len, MBUF_NOW) ==
			     -EAGAIN);
			MUST(mbuf_ring_room(&r.tx, len) == -EAGAIN);
			MUST(mbuf_ring_room(&r.tx, max + 1) == -EMSGSIZE);
			for (i = 0; i < n; i++) {
				/* Too little room: it stays. */
				if (len)
					MUST(mbuf_ring_pop(&r.rx, out, len - 1,
							   MBUF_NOW) ==
					     -EMSGSIZE);
				MUST(mbuf_ring_pop(&r.rx, out, sizeof(out),
						   MBUF_NOW) == (ssize_t)len);
				MUST(is_filled(out, len, i));
			}
			MUST(mbuf_ring_pop(&r.rx, out, sizeof(out), MBUF_NOW) ==
			     -EAGAIN);
			/* The longest one fits into an empty ring. */
			MUST(!mbuf_ring_room(&r.tx, max));
			MUST(!mbuf_ring_push(&r.tx, in, max, MBUF_NOW));
			ring_free(&r);
		}
}

/* What is released can be used at once. */
static void test_release(void)
{
	unsigned char in[1024] = { 0 }, out[1024];
	struct mbuf_ring_rec rec;
	struct ring r;
	int i, n;

	ring_make(&r, 4096, 0);
	for (n = 0; !mbuf_ring_push(&r.tx, in, 1000, MBUF_NOW); n++)
		;
	MUST(n == 4);
	/* A quarter and more: given back by itself. */
	MUST(mbuf_ring_pop(&r.rx, out, sizeof(out), MBUF_NOW) == 1000);
	MUST(mbuf_ring_pop(&r.rx, out, sizeof(out), MBUF_NOW) == 1000);
	MUST(mbuf_ring_pop(&r.rx, out, sizeof(out), MBUF_NOW) == 1000);
	MUST(!mbuf_ring_push(&r.tx, in, 1000, MBUF_NOW));
	while (mbuf_ring_pop(&r.rx, out, sizeof(out), MBUF_NOW) == 1000)
		;
	for (n = 0; !mbuf_ring_push(&r.tx, in, 8, MBUF_NOW); n++)
		;
	/* Little: when asked. */
	MUST(mbuf_ring_pop(&r.rx, out, sizeof(out), MBUF_NOW) == 8);
	mbuf_ring_release(&r.rx);
	MUST(!mbuf_ring_push(&r.tx, in, 8, MBUF_NOW));
	MUST(mbuf_ring_push(&r.tx, in, 8, MBUF_NOW) == -EAGAIN);
	/* Peeking alone gives nothing back, release all of it. */
	for (i = 0; i < n; i++) {
		MUST(!mbuf_ring_peek(&r.rx, &rec, MBUF_NOW));
		if (i < n - 1)
			MUST(mbuf_ring_push(&r.tx, in, 8, MBUF_NOW) == -EAGAIN);
	}
	mbuf_ring_release(&r.rx);
	MUST(!mbuf_ring_room(&r.tx, mbuf_ring_max(4096)));
	ring_free(&r);
}

/* ---- loans and stages ------------------------------------------------------ */

static void test_loan(void)
{
	struct mbuf_ring_rec rec;
	unsigned char out[64];
	struct ring r;
	void *a, *b;
	int i;

	ring_make(&r, 256, 0);
	MUST(mbuf_ring_commit(&r.tx, 0, 0) == -EINVAL);
	MUST(mbuf_ring_stage(&r.tx, 0, 0) == -EINVAL);
	MUST(!mbuf_ring_loan(&r.tx, 16, &a, MBUF_NOW));
	MUST(mbuf_ring_commit(&r.tx, 17, 0) == -EINVAL);
	MUST(!mbuf_ring_loan(&r.tx, 32, &b, MBUF_NOW));
	MUST(a == b);
	MUST(!mbuf_ring_commit(&r.tx, 3, 7));
	MUST(mbuf_ring_commit(&r.tx, 3, 7) == -EINVAL);
	/* A loan, something else, and then it is used all the same. */
	for (i = 0; i < 100; i++) {
		MUST(!mbuf_ring_loan(&r.tx, 100, &a, MBUF_NOW));
		MUST(!mbuf_ring_push(&r.tx, "x", 1, MBUF_NOW));
		if (mbuf_ring_commit(&r.tx, 100, 0))
			MUST(!mbuf_ring_push(&r.tx, "y", 1, MBUF_NOW));
		while (mbuf_ring_pop(&r.rx, out, 0, MBUF_NOW) != -EAGAIN)
			MUST(!mbuf_ring_peek(&r.rx, &rec, MBUF_NOW));
		mbuf_ring_release(&r.rx);
	}
	/* Tags do not stay behind. */
	MUST(!mbuf_ring_push(&r.tx, "z", 1, MBUF_NOW));
	MUST(!mbuf_ring_peek(&r.rx, &rec, MBUF_NOW) && rec.tag == 0);
	ring_free(&r);
}

static void test_stage(void)
{
	struct mbuf_ring_rec rec, recs[8];
	unsigned char buf[8][16], out[64];
	struct ring r;
	void *data;
	int i, round;

	ring_make(&r, 512, 0);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < 5; i++) {
			MUST(!mbuf_ring_loan(&r.tx, 16, &data, MBUF_NOW));
			fill(data, 16, (uint64_t)i);
			MUST(!mbuf_ring_stage(&r.tx, 16, (uint32_t)i));
			MUST(mbuf_ring_peek(&r.rx, &rec, MBUF_NOW) == -EAGAIN);
		}
		/* What is sent now comes after what is held back. */
		MUST(!mbuf_ring_push(&r.tx, "abc", 3, MBUF_NOW));
		MUST(mbuf_ring_peek(&r.rx, &rec, MBUF_NOW) == -EAGAIN);
		MUST(!mbuf_ring_flush(&r.tx));
		MUST(!mbuf_ring_flush(&r.tx));
		for (i = 0; i < 5; i++) {
			MUST(!mbuf_ring_peek(&r.rx, &rec, MBUF_NOW));
			MUST(rec.tag == (uint32_t)i && rec.len == 16);
			MUST(is_filled(rec.data, 16, (uint64_t)i));
		}
		MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == 3);
		mbuf_ring_release(&r.rx);
	}
	for (round = 0; round < 100; round++) {
		size_t nr = (size_t)round % 9;

		for (i = 0; i < 8; i++) {
			fill(buf[i], 16, (uint64_t)round + (uint64_t)i);
			recs[i].data = buf[i];
			recs[i].len = 16;
			recs[i].tag = (uint32_t)(round * 8 + i);
		}
		MUST(mbuf_ring_push_batch(&r.tx, recs, nr, MBUF_NOW) ==
		     (ssize_t)nr);
		for (i = 0; i < (int)nr; i++) {
			MUST(!mbuf_ring_peek(&r.rx, &rec, MBUF_NOW));
			MUST(is_filled(rec.data, 16, (uint64_t)(round + i)));
			MUST(rec.tag == (uint32_t)(round * 8 + i));
		}
		mbuf_ring_release(&r.rx);
	}
	/* As many as there is room for; then none; and a bad one stops it. */
	for (i = 0; i < 8; i++)
		recs[i].len = 16;
	for (i = 0; ; ) {
		ssize_t n = mbuf_ring_push_batch(&r.tx, recs, 8, MBUF_NOW);

		if (n == -EAGAIN)
			break;
		MUST(n > 0 && n <= 8);
		i += (int)n;
	}
	MUST(i == 512 / 32 - 1 || i == 512 / 32);
	while (i--)
		MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == 16);
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == -EAGAIN);
	recs[2].len = 5000;
	MUST(mbuf_ring_push_batch(&r.tx, recs, 8, MBUF_NOW) == 2);
	recs[0].len = 5000;
	MUST(mbuf_ring_push_batch(&r.tx, recs, 8, MBUF_NOW) == -EMSGSIZE);
	ring_free(&r);
}

/* ---- a long run beside a model --------------------------------------------- */

/*
 * What should be in the ring. Records are known by their numbers; @committed of
 * them can be seen, and the consumer has peeked at @peeked of those.
 */
#define MODEL_MAX	65536
static struct model {
	uint64_t first;		/* number of the oldest that is not given back */
	uint64_t next;		/* number of the next one to be sent */
	uint64_t visible;	/* numbers below it can be received */
	uint64_t cursor;	/* number of the next to be received */
	bool held;		/* the consumer has peeked since its release */
	uint32_t len[MODEL_MAX];
	uint32_t tag[MODEL_MAX];
} model;

static void model_check(const struct mbuf_ring_rec *rec)
{
	uint64_t i = model.cursor % MODEL_MAX;

	MUST(model.cursor < model.visible);
	MUST(rec->len == model.len[i] && rec->tag == model.tag[i]);
	MUST(is_filled(rec->data, rec->len, model.cursor));
	model.cursor++;
}

static void model_add(uint32_t len, uint32_t tag)
{
	model.len[model.next % MODEL_MAX] = len;
	model.tag[model.next % MODEL_MAX] = tag;
	model.next++;
	MUST(model.next - model.first < MODEL_MAX);
}

/* What the consumer has told: nothing while there is something to look at. */
static void model_given(struct ring *r, uint32_t *told)
{
	uint32_t tail = r->mem.rx.rx->tail;

	/* It goes on record by record; padding is not in the model. */
	if (tail != *told) {
		MUST(!model.held);
		*told = tail;
		model.first = model.cursor;
	}
}

static void test_random(size_t size, uint32_t count, uint64_t seed, long steps,
			bool replace)
{
	static unsigned char buf[65536];
	uint32_t max = mbuf_ring_max((uint32_t)size), told = count, len, tag;
	bool staged = false;
	struct mbuf_ring_rec rec;
	struct ring r;
	ssize_t ret;
	void *data;

	MUST(max <= sizeof(buf));
	ring_make(&r, size, count);
	memset(&model, 0, sizeof(model));
	while (steps--) {
		uint64_t x = rnd(&seed);

		len = (uint32_t)(x >> 32) % (max + 1);
		if (x & 0x100)	/* mostly small ones */
			len %= 40;
		tag = (uint32_t)(x >> 13);
		switch (x % (replace ? 16 : 14)) {
		case 0:
		case 1:
		case 2:
		case 3:
			fill(buf, len, model.next);
			ret = mbuf_ring_push(&r.tx, buf, len, MBUF_NOW);
			MUST(ret == 0 || ret == -EAGAIN);
			if (!ret) {
				model_add(len, 0);
				if (!staged)
					model.visible = model.next;
			}
			break;
		case 4:
		case 5:
		case 6:
			ret = mbuf_ring_loan(&r.tx, max - len / 2, &data,
					     MBUF_NOW);
			MUST(ret == 0 || ret == -EAGAIN);
			if (ret || (x & 0x600) == 0)
				break;	/* not wanted after all */
			if (len > max - len / 2)
				len = max - len / 2;
			fill(data, len, model.next);
			if (x & 0x1000) {
				MUST(!mbuf_ring_stage(&r.tx, len, tag));
				staged = true;
			} else {
				MUST(!mbuf_ring_commit(&r.tx, len, tag));
			}
			model_add(len, tag);
			if (!staged)
				model.visible = model.next;
			break;
		case 7:
			MUST(!mbuf_ring_flush(&r.tx));
			staged = false;
			model.visible = model.next;
			break;
		case 8:
		case 9:
			ret = mbuf_ring_pop(&r.rx, buf, sizeof(buf), MBUF_NOW);
			if (ret == -EAGAIN) {
				MUST(model.cursor == model.visible);
			} else {
				MUST(ret >= 0);
				rec.data = buf;
				rec.len = (uint32_t)ret;
				rec.tag = model.tag[model.cursor % MODEL_MAX];
				model_check(&rec);
			}
			model_given(&r, &told);
			break;
		case 10:
			/* Room that is too small now and then. */
			ret = mbuf_ring_pop(&r.rx, buf, len, MBUF_NOW);
			if (ret == -EAGAIN) {
				MUST(model.cursor == model.visible);
			} else if (ret == -EMSGSIZE) {
				MUST(model.len[model.cursor % MODEL_MAX] > len);
			} else {
				MUST(ret >= 0);
				rec.data = buf;
				rec.len = (uint32_t)ret;
				rec.tag = model.tag[model.cursor % MODEL_MAX];
				model_check(&rec);
			}
			model_given(&r, &told);
			break;
		case 11:
		case 12:
			ret = mbuf_ring_peek(&r.rx, &rec, MBUF_NOW);
			if (ret == -EAGAIN)
				MUST(model.cursor == model.visible);
			else
				model_check(&rec);
			model.held |= !ret;
			model_given(&r, &told);
			break;
		case 13:
			mbuf_ring_release(&r.rx);
			model.held = false;
			model_given(&r, &told);
			break;
		case 14:
			/* A new producer: what was staged is lost. */
			if (x & 0xf000)
				break;
			model.next = model.visible;
			staged = false;
			MUST(!mbuf_ring_tx_init(&r.tx, &r.mem.tx, &r.tx_bell));
			break;
		case 15:
			/* A new consumer: what was not given back comes again. */
			if (x & 0xf000)
				break;
			MUST(!mbuf_ring_rx_init(&r.rx, &r.mem.rx, &r.rx_bell));
			model.cursor = model.first;
			model.held = false;
			break;
		}
	}
	/* And empty it. */
	MUST(!mbuf_ring_flush(&r.tx));
	model.visible = model.next;
	while (!mbuf_ring_peek(&r.rx, &rec, MBUF_NOW))
		model_check(&rec);
	MUST(model.cursor == model.next);
	ring_free(&r);
}

/* ---- the end --------------------------------------------------------------- */

static void test_end(void)
{
	unsigned char out[64];
	struct mbuf_ring_rec rec;
	struct ring r;
	void *data;

	ring_make(&r, 256, 0);
	MUST(!mbuf_ring_push(&r.tx, "1", 1, MBUF_NOW));
	MUST(!mbuf_ring_loan(&r.tx, 1, &data, MBUF_NOW));
	MUST(!mbuf_ring_stage(&r.tx, 1, 0));
	mbuf_ring_tx_end(&r.tx);
	mbuf_ring_tx_end(&r.tx);
	MUST(mbuf_ring_push(&r.tx, "3", 1, MBUF_FOREVER) == -EPIPE);
	MUST(mbuf_ring_loan(&r.tx, 1, &data, MBUF_FOREVER) == -EPIPE);
	MUST(mbuf_ring_commit(&r.tx, 0, 0) == -EPIPE);
	MUST(mbuf_ring_stage(&r.tx, 0, 0) == -EPIPE);
	MUST(mbuf_ring_flush(&r.tx) == -EPIPE);
	MUST(mbuf_ring_room(&r.tx, 1) == -EPIPE);
	MUST(mbuf_ring_tx_arm(&r.tx, 1) == -EPIPE);
	/* Drained first. */
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == 1);
	MUST(mbuf_ring_rx_arm(&r.rx) == 1);
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == 1);
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == -EPIPE);
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == -EPIPE);
	MUST(mbuf_ring_peek(&r.rx, &rec, MBUF_FOREVER) == -EPIPE);
	MUST(mbuf_ring_rx_arm(&r.rx) == -EPIPE);
	/* Somebody else goes on. */
	MUST(!mbuf_ring_tx_init(&r.tx, &r.mem.tx, &r.tx_bell));
	MUST(!mbuf_ring_push(&r.tx, "4", 1, MBUF_NOW));
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == 1);

	mbuf_ring_rx_end(&r.rx);
	mbuf_ring_rx_end(&r.rx);
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == -EPIPE);
	MUST(mbuf_ring_peek(&r.rx, &rec, MBUF_NOW) == -EPIPE);
	mbuf_ring_release(&r.rx);
	MUST(mbuf_ring_rx_arm(&r.rx) == -EPIPE);
	MUST(mbuf_ring_push(&r.tx, "5", 1, MBUF_NOW) == -EPIPE);
	MUST(mbuf_ring_push(&r.tx, "5", 1, MBUF_NOW) == -EPIPE);
	ring_free(&r);

	/* A full ring whose consumer ends it. */
	ring_make(&r, 256, 0);
	while (!mbuf_ring_push(&r.tx, out, 32, MBUF_NOW))
		;
	mbuf_ring_rx_end(&r.rx);
	MUST(mbuf_ring_push(&r.tx, out, 32, MBUF_FOREVER) == -EPIPE);
	ring_free(&r);
}

/* ---- doorbells ------------------------------------------------------------- */

static struct mbuf_ring_stats stats(const struct mbuf_ring_side *side)
{
	struct mbuf_ring_stats s;

	mbuf_ring_get_stats(side, &s);
	return s;
}

static void test_bell(void)
{
	struct mbuf_ring_rec rec;
	unsigned char out[64];
	struct ring r;
	uint64_t end;
	int i, n;

	ring_make(&r, 256, 0);
	mbuf_ring_set_spin(&r.tx.side, 0);
	mbuf_ring_set_spin(&r.rx.side, 0);
	/* Nobody waits: nobody rings. */
	for (i = 0; i < 1000; i++) {
		MUST(!mbuf_ring_push(&r.tx, "abc", 3, MBUF_NOW));
		MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == 3);
	}
	MUST(stats(&r.tx.side).rings == 0 && stats(&r.rx.side).rings == 0);
	MUST(stats(&r.tx.side).sleeps == 0 && stats(&r.rx.side).sleeps == 0);

	/* Deadlines. */
	MUST(mbuf_ring_pop(&r.rx, out, 64, 1) == -ETIMEDOUT);
	end = mbuf_deadline(2000000);
	MUST(mbuf_ring_peek(&r.rx, &rec, end) == -ETIMEDOUT);
	MUST(mbuf_deadline(0) >= end);
	while (!mbuf_ring_push(&r.tx, "abc", 3, MBUF_NOW))
		;
	MUST(mbuf_ring_push(&r.tx, "abc", 3, 1) == -ETIMEDOUT);
	MUST(mbuf_ring_push(&r.tx, "abc", 3, mbuf_deadline(2000000)) ==
	     -ETIMEDOUT);
	while (mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == 3)
		;
	/* A deadline that has passed does not matter to what can be done. */
	MUST(!mbuf_ring_push(&r.tx, "abc", 3, 1));
	MUST(mbuf_ring_pop(&r.rx, out, 64, 1) == 3);

	/* Armed: one ring, however much comes. */
	for (i = 0; i < 3; i++) {
		struct pollfd pfd = { .fd = r.rx_bell.fd, .events = POLLIN };
		uint64_t rings = stats(&r.tx.side).rings;

		MUST(mbuf_ring_rx_arm(&r.rx) == 0);
		MUST(poll(&pfd, 1, 0) == 0);
		for (n = 0; n < 5; n++)
			MUST(!mbuf_ring_push(&r.tx, "abc", 3, MBUF_NOW));
		MUST(stats(&r.tx.side).rings == rings + 1);
		MUST(poll(&pfd, 1, 0) == 1);
		MUST(!mbuf_ring_rx_disarm(&r.rx));
		MUST(poll(&pfd, 1, 0) == 0);
		for (n = 0; n < 5; n++)
			MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == 3);
		/* Armed for nothing. */
		MUST(mbuf_ring_rx_arm(&r.rx) == 0);
		MUST(!mbuf_ring_rx_disarm(&r.rx));
		MUST(!mbuf_ring_push(&r.tx, "abc", 3, MBUF_NOW));
		MUST(stats(&r.tx.side).rings == rings + 1);
		MUST(mbuf_ring_rx_arm(&r.rx) == 1);
		MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == 3);
	}

	/* The producer, who wants room for something long. */
	for (n = 0; !mbuf_ring_push(&r.tx, out, 8, MBUF_NOW); n++)
		;
	for (i = 0; i < 3; i++) {
		struct pollfd pfd = { .fd = r.tx_bell.fd, .events = POLLIN };
		uint64_t rings = stats(&r.rx.side).rings;
		uint32_t want;
		int k;

		MUST(mbuf_ring_tx_arm(&r.tx, 120) == 0);
		MUST(mbuf_ring_rx_arm(&r.rx) == 1);
		want = r.mem.tx.tx->want;
		for (k = 0; k < n; k++) {
			uint32_t tail = r.mem.rx.rx->tail;

			MUST(poll(&pfd, 1, 0) == ((int32_t)(tail - want) >= 0));
			MUST((mbuf_ring_room(&r.tx, 120) == 0) ==
			     ((int32_t)(tail - want) >= 0));
			MUST(mbuf_ring_pop(&r.rx, out, 8, MBUF_NOW) == 8);
			mbuf_ring_release(&r.rx);
		}
		MUST(stats(&r.rx.side).rings == rings + 1);
		MUST(!mbuf_ring_tx_disarm(&r.tx));
		MUST(poll(&pfd, 1, 0) == 0);
		MUST(!mbuf_ring_room(&r.tx, 120));
		MUST(mbuf_ring_tx_arm(&r.tx, 120) == 1);
		for (n = 0; !mbuf_ring_push(&r.tx, out, 8, MBUF_NOW); n++)
			;
	}
	ring_free(&r);

	/* The peer's death. */
	ring_make(&r, 256, 0);
	MUST(!mbuf_ring_push(&r.tx, "abc", 3, MBUF_NOW));
	close(r.tx_bell.fd);
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == 3);
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == -EPIPE);
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == -EAGAIN);
	MUST(mbuf_ring_rx_arm(&r.rx) == 0);
	MUST(mbuf_ring_rx_disarm(&r.rx) == -EPIPE);
	r.tx_bell.fd = -1;
	ring_free(&r);
	ring_make(&r, 256, 0);
	close(r.rx_bell.fd);
	while (!mbuf_ring_push(&r.tx, out, 32, MBUF_NOW))
		;
	MUST(mbuf_ring_push(&r.tx, out, 32, MBUF_FOREVER) == -EPIPE);
	MUST(mbuf_ring_push(&r.tx, out, 32, MBUF_NOW) == -EPIPE);
	r.rx_bell.fd = -1;
	ring_free(&r);
	/* Found out by ringing. */
	ring_make(&r, 256, 0);
	MUST(mbuf_ring_rx_arm(&r.rx) == 0);
	close(r.rx_bell.fd);
	MUST(mbuf_ring_push(&r.tx, out, 32, MBUF_NOW) == -EPIPE);
	r.rx_bell.fd = -1;
	ring_free(&r);
}

/*
 * A side that is replaced while the other one sleeps, or believes that it has
 * rung already.
 */
static void test_replaced(void)
{
	unsigned char out[64];
	struct ring r;
	int i;

	ring_make(&r, 256, 0);
	for (i = 0; i < 5; i++) {
		struct pollfd pfd = { .fd = r.rx_bell.fd, .events = POLLIN };

		MUST(mbuf_ring_rx_arm(&r.rx) == 0);
		MUST(!mbuf_ring_push(&r.tx, "a", 1, MBUF_NOW));
		MUST(poll(&pfd, 1, 0) == 1);
		/* The consumer dies, another one comes. */
		MUST(!mbuf_ring_rx_init(&r.rx, &r.mem.rx, &r.rx_bell));
		MUST(!r.rx_bell.wait(&r.rx_bell, 0, MBUF_NOW));
		MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == 1);
		MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == -EAGAIN);
		MUST(mbuf_ring_rx_arm(&r.rx) == 0);
		MUST(!mbuf_ring_push(&r.tx, "b", 1, MBUF_NOW));
		MUST(poll(&pfd, 1, 0) == 1);
		MUST(!mbuf_ring_rx_disarm(&r.rx));
		MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == 1);
		/* The producer dies. */
		MUST(mbuf_ring_rx_arm(&r.rx) == 0);
		MUST(!mbuf_ring_tx_init(&r.tx, &r.mem.tx, &r.tx_bell));
		MUST(!mbuf_ring_push(&r.tx, "c", 1, MBUF_NOW));
		MUST(poll(&pfd, 1, 0) == 1);
		MUST(!mbuf_ring_rx_disarm(&r.rx));
		MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == 1);
	}
	ring_free(&r);
}

/*
 * A side that died when it had published something and was about to ring: one
 * without a doorbell, as far as the other side can tell. Whoever comes after it
 * rings.
 */
static void test_died_before_ringing(void)
{
	struct mbuf_ring_tx tx;
	struct mbuf_ring_rx rx;
	struct pollfd pfd = { .events = POLLIN };
	unsigned char out[64];
	struct ring r;

	ring_make(&r, 256, 0);
	pfd.fd = r.rx_bell.fd;
	MUST(mbuf_ring_rx_arm(&r.rx) == 0);
	MUST(!mbuf_ring_tx_init(&tx, &r.mem.tx, NULL));
	MUST(!mbuf_ring_push(&tx, "a", 1, MBUF_NOW));
	MUST(poll(&pfd, 1, 0) == 0);
	MUST(!mbuf_ring_tx_init(&r.tx, &r.mem.tx, &r.tx_bell));
	MUST(poll(&pfd, 1, 0) == 1);
	MUST(!mbuf_ring_rx_disarm(&r.rx));
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == 1);

	pfd.fd = r.tx_bell.fd;
	while (!mbuf_ring_push(&r.tx, out, 8, MBUF_NOW))
		;
	MUST(mbuf_ring_tx_arm(&r.tx, 8) == 0);
	MUST(!mbuf_ring_rx_init(&rx, &r.mem.rx, NULL));
	while (mbuf_ring_pop(&rx, out, 64, MBUF_NOW) == 8)
		;
	mbuf_ring_release(&rx);
	MUST(poll(&pfd, 1, 0) == 0);
	MUST(!mbuf_ring_rx_init(&r.rx, &r.mem.rx, &r.rx_bell));
	MUST(poll(&pfd, 1, 0) == 1);
	MUST(!mbuf_ring_tx_disarm(&r.tx));
	MUST(!mbuf_ring_room(&r.tx, 8));
	ring_free(&r);
}

/* Without a doorbell, waiting is polling. */
static void test_no_bell(void)
{
	unsigned char out[64];
	struct ring r;
	int i;

	ring_make(&r, 256, 0);
	MUST(!mbuf_ring_tx_init(&r.tx, &r.mem.tx, NULL));
	MUST(!mbuf_ring_rx_init(&r.rx, &r.mem.rx, NULL));
	for (i = 0; i < 100; i++) {
		MUST(!mbuf_ring_push(&r.tx, "abc", 3, MBUF_FOREVER));
		MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == 3);
	}
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == -EAGAIN);
	MUST(mbuf_ring_pop(&r.rx, out, 64, mbuf_deadline(1000000)) ==
	     -ETIMEDOUT);
	while (!mbuf_ring_push(&r.tx, "abc", 3, MBUF_NOW))
		;
	MUST(mbuf_ring_push(&r.tx, "abc", 3, mbuf_deadline(1000000)) ==
	     -ETIMEDOUT);
	MUST(mbuf_ring_rx_arm(&r.rx) == -EINVAL);
	MUST(mbuf_ring_tx_arm(&r.tx, 1) == -EINVAL);
	MUST(mbuf_ring_rx_disarm(&r.rx) == 0);
	/* Only one of them has none: the other one is not rung for. */
	MUST(!mbuf_ring_rx_init(&r.rx, &r.mem.rx, &r.rx_bell));
	while (mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == 3)
		;
	MUST(mbuf_ring_rx_arm(&r.rx) == 0);
	MUST(!mbuf_ring_push(&r.tx, "abc", 3, MBUF_NOW));
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == 3);
	ring_free(&r);
}

static void on_signal(int number)
{
	(void)number;
}

/* EINTR, and that nothing has happened then. */
static void test_signal(void)
{
	struct sigaction act = { .sa_handler = on_signal };
	struct itimerspec soon = { .it_value.tv_nsec = 1000000,
				   .it_interval.tv_nsec = 1000000 };
	unsigned char out[64];
	struct ring r;
	timer_t timer;

	MUST(!sigaction(SIGALRM, &act, NULL));
	MUST(!timer_create(CLOCK_MONOTONIC, NULL, &timer));
	MUST(!timer_settime(timer, 0, &soon, NULL));
	ring_make(&r, 256, 0);
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_FOREVER) == -EINTR);
	while (!mbuf_ring_push(&r.tx, out, 32, MBUF_NOW))
		;
	MUST(mbuf_ring_push(&r.tx, out, 32, MBUF_FOREVER) == -EINTR);
	MUST(!timer_delete(timer));
	while (mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == 32)
		;
	MUST(!mbuf_ring_push(&r.tx, out, 31, MBUF_NOW));
	MUST(mbuf_ring_pop(&r.rx, out, 64, MBUF_NOW) == 31);
	ring_free(&r);
}

/* ---- a request and its reply, in one thread -------------------------------- */

static void test_call(void)
{
	struct memory there, back;
	struct mbuf_ring_bell a, b;
	struct mbuf_ring_tx ask, reply;
	struct mbuf_ring_rx asked, answer;
	unsigned char out[64];
	int sent, i;

	memory_make(&there, 256);
	memory_make(&back, 256);
	bell_pair(&a, &b);
	MUST(!mbuf_ring_tx_init(&ask, &there.tx, &a));
	MUST(!mbuf_ring_rx_init(&asked, &there.rx, &b));
	MUST(!mbuf_ring_tx_init(&reply, &back.tx, &b));
	MUST(!mbuf_ring_rx_init(&answer, &back.rx, &a));
	for (i = 0; i < 100; i++) {
		mbuf_ring_set_spin(&answer.side, i % 2 ? 0 : 10);
		/* The server waits; the request is one call, with no reply. */
		MUST(mbuf_ring_rx_arm(&asked) == 0);
		sent = 7;
		MUST(mbuf_ring_call(&ask, "request", 7, &answer, out, 64,
				    mbuf_deadline(1000), &sent) == -ETIMEDOUT);
		MUST(sent == 1);
		MUST(!mbuf_ring_rx_disarm(&asked));
		MUST(mbuf_ring_pop(&asked, out, 64, MBUF_NOW) == 7);
		MUST(mbuf_ring_push(&reply, "ok", 2, MBUF_NOW) == 0);
		MUST(mbuf_ring_pop(&answer, out, 64, MBUF_FOREVER) == 2);
		/* The reply is there before it is asked for. */
		MUST(mbuf_ring_push(&reply, "ok", 2, MBUF_NOW) == 0);
		MUST(mbuf_ring_call(&ask, "request", 7, &answer, out, 64,
				    MBUF_FOREVER, &sent) == 2 && sent == 1);
		MUST(mbuf_ring_pop(&asked, out, 64, MBUF_NOW) == 7);
		MUST(mbuf_ring_pop(&asked, out, 64, MBUF_NOW) == -EAGAIN);
	}
	MUST(stats(&ask.side).rings == 100);
	MUST(mbuf_ring_call(&ask, out, 5000, &answer, out, 64, MBUF_FOREVER,
			    &sent) == -EMSGSIZE && sent == 0);
	close(b.fd);
	MUST(mbuf_ring_call(&ask, "request", 7, &answer, out, 64, MBUF_FOREVER,
			    &sent) == -EPIPE);
	close(a.fd);
	memory_free(&there);
	memory_free(&back);
}

/* ---- one area, one page less ----------------------------------------------- */

/* All in one mapping, and two areas for a ring each way. */
static void test_areas(void)
{
	size_t bytes = mbuf_ring_area(4096);
	struct mbuf_ring_map ab, ba;
	struct mbuf_ring_tx tx, tx2;
	struct mbuf_ring_rx rx, rx2;
	unsigned char *a, *b, out[64];
	int i;

	a = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	b = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(a != MAP_FAILED && b != MAP_FAILED);
	MUST(!mbuf_ring_map(&ab, a, bytes, b));
	MUST(!mbuf_ring_map(&ba, b, bytes, a));
	MUST(!mbuf_ring_tx_init(&tx, &ab, NULL));
	MUST(!mbuf_ring_rx_init(&rx, &ab, NULL));
	MUST(!mbuf_ring_tx_init(&tx2, &ba, NULL));
	MUST(!mbuf_ring_rx_init(&rx2, &ba, NULL));
	for (i = 0; i < 1000; i++) {
		MUST(!mbuf_ring_push(&tx, &i, sizeof(i), MBUF_NOW));
		MUST(!mbuf_ring_push(&tx2, "back", 4, MBUF_NOW));
		MUST(mbuf_ring_pop(&rx, out, 64, MBUF_NOW) == sizeof(i));
		MUST(!memcmp(out, &i, sizeof(i)));
		MUST(mbuf_ring_pop(&rx2, out, 64, MBUF_NOW) == 4);
		MUST(!memcmp(out, "back", 4));
	}
	munmap(a, bytes);
	munmap(b, bytes);
}

int main(int argc, char **argv)
{
	long steps = argc > 1 ? atol(argv[1]) : 300000;
	uint64_t seed;
	size_t size;

	test_map();
	for (size = 64; size <= 512; size *= 2) {
		test_lengths(size, 0);
		test_lengths(size, (uint32_t)-(int32_t)size);
		test_full(size);
	}
	test_full(2048);
	test_release();
	test_loan();
	test_stage();
	test_end();
	test_bell();
	test_replaced();
	test_died_before_ringing();
	test_no_bell();
	test_signal();
	test_call();
	test_areas();
	for (seed = 1; seed <= 8; seed++)
		for (size = 64; size <= 16384; size *= 4) {
			test_random(size, 0, seed * 0x9e3779b97f4a7c15, steps / 8,
				    false);
			/* Around the end of the count. */
			test_random(size, 0xffffffff - (uint32_t)size * 8 + 1,
				    seed * 0x9e3779b97f4a7c15, steps / 8, true);
		}
	return 0;
}
