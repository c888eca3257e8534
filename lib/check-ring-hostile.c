// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A ring whose other side is hostile: it writes anything to whatever it may
 * write, between two operations and, from another thread, during them. Meant to
 * be built with sanitizers. Says nothing if all is well; a call that does not
 * come back ends the program by SIGALRM.
 *
 * Usage: hostile [SECONDS [SEED]]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>

#include "check-ring.h"

/* What something that checks too little might take for good. */
static uint32_t nasty(uint64_t *seed, uint32_t size)
{
	uint64_t x = rnd(seed);
	uint32_t some = (uint32_t)(x >> 32);

	switch (x % 16) {
	case 0:
		return 0;
	case 1:
		return MBUF_RING_READY;
	case 2:
		return MBUF_RING_READY | some % size;
	case 3:
		return MBUF_RING_READY | mbuf_ring_max(size);
	case 4:
		return MBUF_RING_READY | (size - some % 40);
	case 5:
		return MBUF_RING_READY - 1 - some % 64;
	case 6:
		return MBUF_RING_PAD;
	case 7:
		return MBUF_RING_PAD | some % size;
	case 8:
		return MBUF_RING_ARMED | some << 2;
	case 9:
		return some % 4;
	case 10:
		return some % size & ~15u;
	case 11:
		return (uint32_t)-(int32_t)(some % size) & ~15u;
	case 12:
		return UINT32_MAX - some % 64;
	case 13:
		return 0x80000000u + some % 64;
	case 14:
		return some & ~15u;
	default:
		return some;
	}
}

static void scribble(volatile uint32_t *words, size_t nr, uint64_t *seed,
		     uint32_t size)
{
	uint64_t x = rnd(seed);

	words[x % nr] = nasty(seed, size);
}

/* ---- the victims ----------------------------------------------------------- */

struct stage {
	struct memory mem;
	struct mbuf_ring_bell tx_bell, rx_bell;
	uint32_t size;
	uint64_t errors, records;
};

static void stage_make(struct stage *s, uint32_t size)
{
	memset(s, 0, sizeof(*s));
	s->size = size;
	memory_make(&s->mem, size);
	bell_pair(&s->tx_bell, &s->rx_bell);
}

static void stage_free(struct stage *s)
{
	close(s->tx_bell.fd);
	close(s->rx_bell.fd);
	memory_free(&s->mem);
}

/* An operation of the consumer. Returns false if it has met its error. */
static bool consume(struct stage *s, struct mbuf_ring_rx *rx, uint64_t x)
{
	static unsigned char out[1 << 16];
	uint64_t deadline = x & 0x100 ? MBUF_NOW : 1;
	const unsigned char *low = s->mem.rx.data + MBUF_RING_HEAD;
	const unsigned char *high = s->mem.rx.data + s->size;
	struct mbuf_ring_rec rec;
	volatile unsigned char sum = 0;
	size_t room = x >> 32 & (sizeof(out) - 1);
	ssize_t ret = 0;

	switch (x % 8) {
	case 0:
	case 1:
	case 2:
		ret = mbuf_ring_pop(rx, out, sizeof(out), deadline);
		break;
	case 3:
		ret = mbuf_ring_pop(rx, out, room, deadline);
		break;
	case 4:
		/* A size that the compiler knows. */
		ret = mbuf_ring_pop(rx, out, 24, deadline);
		break;
	case 5:
		ret = mbuf_ring_peek(rx, &rec, deadline);
		if (ret)
			break;
		MUST((const unsigned char *)rec.data >= low);
		MUST(rec.len <= s->size);
		MUST((const unsigned char *)rec.data + rec.len <= high);
		/* Look at all of it. */
		for (room = 0; room < rec.len; room++)
			sum += ((const unsigned char *)rec.data)[room];
		s->records++;
		break;
	case 6:
		mbuf_ring_release(rx);
		break;
	case 7:
		ret = mbuf_ring_rx_arm(rx);
		if (ret >= 0) {
			ret = mbuf_ring_rx_disarm(rx);
			MUST(ret == 0);
		}
		break;
	}
	MUST(rx->side.error == 0 || rx->side.error == -EPROTO);
	if (ret >= 0 || ret == -EAGAIN || ret == -ETIMEDOUT ||
	    ret == -EMSGSIZE || ret == -EPIPE) {
		MUST(rx->side.error == 0 || x % 8 == 6);
		s->records += ret > 0;
		return true;
	}
	MUST(ret == -EPROTO);
	s->errors++;
	/* It stays. */
	MUST(mbuf_ring_pop(rx, out, sizeof(out), MBUF_FOREVER) == -EPROTO);
	MUST(mbuf_ring_peek(rx, &rec, MBUF_NOW) == -EPROTO);
	MUST(mbuf_ring_rx_arm(rx) == -EPROTO);
	mbuf_ring_release(rx);
	return false;
}

static bool produce(struct stage *s, struct mbuf_ring_tx *tx, uint64_t x)
{
	static unsigned char in[1 << 16];
	uint64_t deadline = x & 0x100 ? MBUF_NOW : 1;
	const unsigned char *low = s->mem.tx.data + MBUF_RING_HEAD;
	const unsigned char *high = s->mem.tx.data + s->size;
	uint32_t len = (uint32_t)(x >> 32) % (mbuf_ring_max(s->size) + 1);
	struct mbuf_ring_rec recs[4];
	ssize_t ret = 0;
	void *data;
	int i;

	switch (x % 8) {
	case 0:
	case 1:
		ret = mbuf_ring_push(tx, in, len, deadline);
		break;
	case 2:
		ret = mbuf_ring_push(tx, in, 24, deadline);
		break;
	case 3:
	case 4:
		ret = mbuf_ring_loan(tx, len, &data, deadline);
		if (ret)
			break;
		MUST((unsigned char *)data >= low);
		MUST((unsigned char *)data + len <= high);
		memset(data, 0x55, len);
		ret = x % 8 == 3 ? mbuf_ring_commit(tx, len / 2, 1) :
				   mbuf_ring_stage(tx, len / 2, 2);
		break;
	case 5:
		ret = mbuf_ring_flush(tx);
		break;
	case 6:
		for (i = 0; i < 4; i++) {
			recs[i].data = in;
			recs[i].len = len / 4;
			recs[i].tag = 0;
		}
		ret = mbuf_ring_push_batch(tx, recs, 4, deadline);
		break;
	case 7:
		ret = mbuf_ring_tx_arm(tx, len);
		if (ret >= 0) {
			ret = mbuf_ring_tx_disarm(tx);
			MUST(ret == 0);
		}
		break;
	}
	if (ret >= 0 || ret == -EAGAIN || ret == -ETIMEDOUT) {
		MUST(tx->side.error == 0);
		s->records += ret >= 0;
		return true;
	}
	MUST(ret == -EPROTO || ret == -EPIPE);
	MUST(tx->side.error == ret);
	s->errors++;
	MUST(mbuf_ring_push(tx, in, 1, MBUF_FOREVER) == ret);
	MUST(mbuf_ring_loan(tx, 1, &data, MBUF_NOW) == ret);
	MUST(mbuf_ring_commit(tx, 0, 0) == ret);
	MUST(mbuf_ring_flush(tx) == ret);
	MUST(mbuf_ring_tx_arm(tx, 1) == ret);
	return false;
}

/* Nothing outside of the data but the own words may ever be written. */
static void check_areas(struct stage *s)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), i;
	const unsigned char *tx = s->mem.tx_own;
	const unsigned char *end = s->mem.tx.data + s->size;

	for (i = 0; i < page; i++)
		MUST(tx[i] == 0);	/* the other ring's consumer's page */
	for (i = page; i < 2 * page - MBUF_RING_HEAD; i++)
		MUST(tx[i] == 0 || (i - page >= MBUF_RING_LINE &&
				    i - page < MBUF_RING_LINE + 12));
	for (; end < tx + s->mem.bytes; end++)
		MUST(*end == 0);
}

/* ---- between two operations ------------------------------------------------ */

/* What a consumer cannot have given back is believed by no producer. */
static void lies(uint32_t size)
{
	const uint32_t tails[] = { 8, 2 * size, (uint32_t)-16 };
	const unsigned char record[16] = { 1 };
	struct mbuf_ring_tx tx;
	struct stage s;
	size_t i;
	int ret;

	for (i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		stage_make(&s, size);
		MUST(!mbuf_ring_tx_init(&tx, &s.mem.tx, &s.tx_bell));
		do
			ret = mbuf_ring_push(&tx, record, sizeof(record),
					     MBUF_NOW);
		while (!ret);
		MUST(ret == -EAGAIN);
		s.mem.rx.rx->tail = tails[i];
		MUST(mbuf_ring_push(&tx, record, sizeof(record), MBUF_NOW) ==
		     -EPROTO);
		stage_free(&s);
	}
}

static void one_by_one(uint32_t size, uint64_t seed, long steps)
{
	struct mbuf_ring_tx tx, friend_tx;
	struct mbuf_ring_rx rx, friend_rx;
	struct stage s;
	long i, k;

	/* A hostile producer, who goes on like a good one in between. */
	stage_make(&s, size);
	memset(&friend_tx, 0, sizeof(friend_tx));
	for (i = 0; i < steps; i++) {
		size_t words = s.mem.bytes / 4;
		uint32_t *area = (uint32_t *)(void *)s.mem.tx_own;
		unsigned char byte = 1;

		/* A ring that is good at first. */
		memset(s.mem.tx_own, 0, s.mem.bytes);
		s.mem.rx.rx->tail = nasty(&seed, size) & ~15u;
		MUST(!mbuf_ring_tx_init(&friend_tx, &s.mem.tx, &s.tx_bell));
		MUST(!mbuf_ring_rx_init(&rx, &s.mem.rx, &s.rx_bell));
		mbuf_ring_set_spin(&rx.side, 0);
		alarm(20);
		for (k = 0; k < 50; k++) {
			uint64_t x = rnd(&seed);

			if (x & 1)
				(void)mbuf_ring_push(&friend_tx, &byte, x >> 8 &
						     1, MBUF_NOW);
			if (x & 2)
				scribble(area, words, &seed, size);
			if (x & 4)	/* where it looks next */
				*(volatile uint32_t *)(s.mem.tx.data +
						       (rx.side.error ? 0 :
							rx.pos - rx.data)) =
					nasty(&seed, size);
			if (x & 8)
				s.mem.tx.tx->wait = nasty(&seed, size);
			if (!consume(&s, &rx, rnd(&seed)))
				break;
		}
	}
	MUST(s.errors && s.records);
	stage_free(&s);

	/* A hostile consumer. */
	stage_make(&s, size);
	for (i = 0; i < steps; i++) {
		uint32_t *area = (uint32_t *)(void *)s.mem.rx_own;
		size_t words = sizeof(struct mbuf_ring_rx_page) / 4;
		int ret;

		memset(s.mem.rx_own, 0, sizeof(struct mbuf_ring_rx_page));
		s.mem.rx.rx->tail = nasty(&seed, size);
		/* Takes over what the last round has left, or finds rubbish. */
		ret = mbuf_ring_tx_init(&tx, &s.mem.tx, &s.tx_bell);
		if (ret) {
			MUST(ret == -EPROTO);
			s.mem.rx.rx->tail = 0;
			memset(s.mem.tx.data, 0, size);
			MUST(!mbuf_ring_tx_init(&tx, &s.mem.tx, &s.tx_bell));
		}
		MUST(!mbuf_ring_rx_init(&friend_rx, &s.mem.rx, NULL));
		mbuf_ring_set_spin(&tx.side, 0);
		alarm(20);
		for (k = 0; k < 50; k++) {
			uint64_t x = rnd(&seed);
			unsigned char out[24];

			if (x & 1)
				(void)mbuf_ring_pop(&friend_rx, out,
						    sizeof(out), MBUF_NOW);
			if ((x & 6) == 6)
				scribble(area, words, &seed, size);
			if ((x & 24) == 24)
				s.mem.rx.rx->tail += 16 * (uint32_t)(x >> 60);
			if ((x & 0x60) == 0x60)
				s.mem.rx.rx->wait = nasty(&seed, size);
			if (!produce(&s, &tx, rnd(&seed)))
				break;
		}
	}
	check_areas(&s);
	MUST(s.errors && s.records);
	stage_free(&s);
}

/* ---- during them ----------------------------------------------------------- */

struct enemy {
	struct stage *stage;
	bool is_producer;
	uint64_t seed;
	bool stop;
};

static void *enemy_run(void *arg)
{
	struct enemy *e = arg;
	struct stage *s = e->stage;
	char rings[64];

	while (!__atomic_load_n(&e->stop, __ATOMIC_RELAXED)) {
		uint64_t x = rnd(&e->seed);

		if (e->is_producer) {
			uint32_t *data = (uint32_t *)(void *)s->mem.tx.data;
			uint32_t at = s->mem.rx.rx->tail & (s->size - 1);

			/* Anywhere, or where the consumer looks next. */
			if (x & 2)
				scribble(data, s->size / 4, &e->seed, s->size);
			else if (x & 1 && at + 64 <= s->size)
				scribble(data + at / 4, 16, &e->seed, s->size);
			else
				scribble(&s->mem.tx.tx->wait, 3, &e->seed,
					 s->size);
			/* Mostly zeroes, or all would be broken at once. */
			if ((x & 0xf0) == 0)
				memset(s->mem.tx.data, 0, s->size);
			if ((x & 0xfff00) == 0)
				(void)bell_ring(&s->tx_bell);
			while (recv(s->tx_bell.fd, rings, sizeof(rings),
				    MSG_DONTWAIT) > 0)
				;
		} else {
			switch (x % 4) {
			case 0:
				s->mem.rx.rx->tail = nasty(&e->seed, s->size);
				break;
			case 1:
				s->mem.rx.rx->wait = nasty(&e->seed, s->size);
				break;
			default:
				/* As a good one would. */
				s->mem.rx.rx->tail += 16;
				break;
			}
			if ((x & 0xfff00) == 0)
				(void)bell_ring(&s->rx_bell);
			while (recv(s->rx_bell.fd, rings, sizeof(rings),
				    MSG_DONTWAIT) > 0)
				;
		}
	}
	return NULL;
}

static void at_once(uint32_t size, uint64_t seed, bool is_producer,
		    uint64_t until)
{
	struct enemy e = { .is_producer = is_producer, .seed = seed ^ 0x1234 };
	struct mbuf_ring_tx tx;
	struct mbuf_ring_rx rx;
	struct stage s;
	pthread_t thread;
	bool fresh = true;

	stage_make(&s, size);
	e.stage = &s;
	MUST(!pthread_create(&thread, NULL, enemy_run, &e));
	/* Where the two seldom run at the same time it takes longer. */
	while (mbuf_deadline(0) < until || !s.errors || !s.records) {
		int i, ret;

		MUST(mbuf_deadline(0) < until + 60000000000);

		alarm(20);
		for (i = 0; i < 100; i++) {
			if (fresh && is_producer) {
				ret = mbuf_ring_rx_init(&rx, &s.mem.rx,
							&s.rx_bell);
				MUST(!ret);
				mbuf_ring_set_spin(&rx.side, i % 3);
			} else if (fresh) {
				memset(s.mem.tx.data, 0, size);
				ret = mbuf_ring_tx_init(&tx, &s.mem.tx,
							&s.tx_bell);
				MUST(!ret || ret == -EPROTO);
				if (ret)
					continue;
				mbuf_ring_set_spin(&tx.side, i % 3);
			}
			fresh = is_producer ? !consume(&s, &rx, rnd(&seed)) :
					      !produce(&s, &tx, rnd(&seed));
		}
	}
	__atomic_store_n(&e.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	if (!is_producer)
		check_areas(&s);
	stage_free(&s);
}

int main(int argc, char **argv)
{
	uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 0) : 4;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	static const uint32_t sizes[] = { 64, 256, 4096, 65536 };
	unsigned int i;

	seed = seed * 0x9e3779b97f4a7c15 + 1;
	for (i = 0; i < 4; i++)
		lies(sizes[i]);
	for (i = 0; i < 4; i++)
		one_by_one(sizes[i], seed + i, sizes[i] > 4096 ? 300 : 3000);
	for (i = 0; i < 8; i++)
		at_once(sizes[i / 2], seed + i, i % 2,
			mbuf_deadline(seconds * 1000000000 / 8));
	return 0;
}
