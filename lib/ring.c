// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Rings: what is not inline. <mbuf_ring.h> says how a ring is laid out, and
 * what the two sides promise each other.
 */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <mbuf_ring.h>

#include "internal.h"

/*
 * A side that has moved so much without sleeping becomes CALM: the peer has
 * made a few hundred barriers by then, and one call of membarrier() costs as
 * much.
 */
#define RING_CALM_BYTES		16384

/* How long to look before sleeping, where there is another CPU: 5 us. */
#define RING_SPIN_US		5

/* How often to try how long a pause of the processor is, and with how many. */
#define RING_TRIES		3
#define RING_PAUSES		16

/* What was received is given back when it is so much, or a quarter. */
#define RING_PORTION		8192

/* How long to sleep at most when a wake-up might be missed: 1 ms. */
#define RING_DOUBT_NS		1000000

/*
 * What a side looks at instead of its peer: a peer that always has to be asked
 * with a barrier, one that never has to be asked, and an empty ring.
 */
static const uint32_t ring_awake = MBUF_RING_AWAKE;
static const uint32_t ring_calm = MBUF_RING_CALM;
static const uint64_t ring_nothing[2];

static int ring_membarrier(int cmd)
{
	return (int)syscall(SYS_membarrier, cmd, 0, 0);
}

/* What processors want in a loop that waits, as far as compilers know it. */
static void ring_pause(void)
{
#ifdef __has_builtin
#if __has_builtin(__builtin_ia32_pause)
	__builtin_ia32_pause();
#elif __has_builtin(__builtin_arm_yield)
	__builtin_arm_yield();
#endif
#endif
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static uint64_t ring_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/*
 * How many pauses make a microsecond: from 10 to 1000, depending on the
 * processor.
 */
static uint32_t ring_pauses(void)
{
	uint64_t best = UINT64_MAX;
	int i, j;

	for (i = 0; i < RING_TRIES; i++) {
		uint64_t ns = ring_now();

		for (j = 0; j < RING_PAUSES; j++)
			ring_pause();
		ns = ring_now() - ns;
		if (ns < best)
			best = ns;
	}
	return (uint32_t)(1000 * RING_PAUSES / (best < RING_PAUSES ?
						RING_PAUSES : best)) + 1;
}

static uint32_t ring_load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void ring_store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static void ring_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* ---- what both sides have -------------------------------------------------- */

/* Returns what the other side's word is to be looked for at. */
static const uint32_t *side_init(struct mbuf_ring_side *side, uint32_t *wait,
				 uint32_t *armed, const uint32_t *peer,
				 const struct mbuf_ring_bell *bell)
{
	cpu_set_t cpus;
	int can;

	memset(side, 0, sizeof(*side));
	side->wait = wait;
	side->armed = armed;
	side->peer = peer;
	side->bell = bell;
	side->pauses = ring_pauses();
	if (!bell) {
		/* It never sleeps, so nobody has to make sure. */
		ring_store(wait, MBUF_RING_CALM);
		return &ring_calm;
	}
	ring_store(wait, MBUF_RING_AWAKE);
	/* A set of CPUs larger than that has more than one. */
	if (sched_getaffinity(0, sizeof(cpus), &cpus) || CPU_COUNT(&cpus) > 1)
		side->spin = RING_SPIN_US * side->pauses;
	can = ring_membarrier(MEMBARRIER_CMD_QUERY);
	side->can_calm = can > 0 && (can & MEMBARRIER_CMD_GLOBAL_EXPEDITED);
	if (side->can_calm &&
	    !ring_membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED))
		return peer;
	return &ring_awake;
}

/* @count: bytes that this side has moved since the ring was new. */
static void side_moved(struct mbuf_ring_side *side, uint32_t count)
{
	if (side->calm || !side->can_calm || side->is_armed ||
	    count - side->slept < RING_CALM_BYTES)
		return;
	side->calm = 1;
	ring_store(side->wait, MBUF_RING_CALM);
}

/*
 * From here on the peer rings if it finds that it has something for this side.
 * What the caller looks at afterwards is what the peer had not yet published
 * when it saw that this side was not armed.
 */
static void side_arm(struct mbuf_ring_side *side)
{
	uint32_t armed = __atomic_load_n(side->armed, __ATOMIC_RELAXED) + 1;

	side->is_armed = 1;
	__atomic_store_n(side->armed, armed, __ATOMIC_RELAXED);
	ring_store(side->wait, MBUF_RING_ARMED | armed << 2);
	if (side->calm) {
		side->calm = 0;
		side->barriers++;
		if (ring_membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED)) {
			/*
			 * It worked once; a sandbox, presumably. The peer sees
			 * the word soon, but nobody can say when.
			 */
			side->can_calm = 0;
			side->doubt = 1;
		}
	}
	ring_fence();
}

static void side_awake(struct mbuf_ring_side *side, uint32_t count)
{
	side->slept = count;
	side->is_armed = 0;
	ring_store(side->wait, MBUF_RING_AWAKE);
}

/*
 * Wake the peer, if it sleeps and this has not been done already. For whoever
 * has published something, and seen that the peer is not CALM. @wanted: is what
 * was published what it waits for? Returns the peer's word.
 */
static uint32_t side_word(struct mbuf_ring_side *side)
{
	ring_fence();
	return ring_load(side->peer);
}

static int side_ring(struct mbuf_ring_side *side, uint32_t word)
{
	if ((word & MBUF_RING_STATE) != MBUF_RING_ARMED || word == side->rung ||
	    !side->bell)
		return 0;
	side->rung = word;
	if (side->hold) {
		side->due = 1;
		return 0;
	}
	side->rings++;
	return side->bell->ring(side->bell);
}

/*
 * A predecessor may have died after it had published something, and before it
 * rang: whoever takes over a side rings for it. If the peer is gone, that is
 * found out by what comes next.
 */
static void side_take_over(struct mbuf_ring_side *side)
{
	side_ring(side, side_word(side));
}

/*
 * Sleep, or poll if there is no doorbell. @due: a side of another ring that has
 * to ring the same doorbell, or NULL. Returns 0 if it is worth to look again.
 */
static int side_sleep(struct mbuf_ring_side *side, struct mbuf_ring_side *due,
		      uint64_t deadline)
{
	uint64_t until = deadline;
	bool ring = due && due->due;
	int ret;

	if (side->doubt && deadline > mbuf_deadline(RING_DOUBT_NS))
		until = mbuf_deadline(RING_DOUBT_NS);
	side->sleeps++;
	ret = side->bell->wait(side->bell, ring, until);
	if (ring) {
		due->due = 0;
		due->rings++;
		if (ret == -EBUSY)
			due->bell->ring(due->bell);
	}
	if (ret == -ETIMEDOUT && until != deadline)
		return 0;
	return ret;
}

/* Without a doorbell. Returns 0 at once, so that the caller looks again. */
static int side_poll(uint64_t deadline)
{
	ring_pause();
	if (deadline != MBUF_FOREVER && ring_now() >= deadline)
		return -ETIMEDOUT;
	return 0;
}

/* ---- setting up ------------------------------------------------------------ */

static size_t ring_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

size_t mbuf_ring_area(size_t size)
{
	size_t real = MBUF_RING_SIZE_MIN;

	if (size > MBUF_RING_SIZE_MAX)
		return 0;
	while (real < size)
		real *= 2;
	return 2 * ring_page() + real;
}

int mbuf_ring_map(struct mbuf_ring_map *map, void *tx_area, size_t tx_bytes,
		  void *rx_area)
{
	size_t page = ring_page(), room;
	uint32_t size = MBUF_RING_SIZE_MIN;

	if (!tx_area || !rx_area || (uintptr_t)tx_area % page ||
	    (uintptr_t)rx_area % page || tx_bytes < 2 * page + size)
		return -EINVAL;
	room = tx_bytes - 2 * page;
	while (size < MBUF_RING_SIZE_MAX && size <= room / 2)
		size *= 2;
	map->rx = rx_area;
	map->tx = (void *)((unsigned char *)tx_area + page);
	map->data = (unsigned char *)tx_area + 2 * page - MBUF_RING_HEAD;
	map->size = size;
	return 0;
}

static bool ring_map_is_good(const struct mbuf_ring_map *map)
{
	return map->tx && map->rx && map->data &&
	       (uintptr_t)map->tx % sizeof(uint32_t) == 0 &&
	       (uintptr_t)map->rx % sizeof(uint32_t) == 0 &&
	       ((uintptr_t)map->data + MBUF_RING_HEAD) % MBUF_RING_ALIGN == 0 &&
	       map->size >= MBUF_RING_SIZE_MIN &&
	       map->size <= MBUF_RING_SIZE_MAX &&
	       (map->size & (map->size - 1)) == 0;
}

/* ---- the producer ---------------------------------------------------------- */

static uint32_t tx_count(const struct mbuf_ring_tx *tx)
{
	return (uint32_t)((uintptr_t)tx->pos + tx->bias);
}

/* Bytes that are not in use, as far as is known. */
static uint32_t tx_free(const struct mbuf_ring_tx *tx)
{
	return tx->size - (tx_count(tx) - tx->tail);
}

static int tx_fail(struct mbuf_ring_tx *tx, int error)
{
	tx->side.error = error;
	/* Nothing fits any more, so that all calls end in a slow path. */
	tx->limit = tx->pos;
	tx->first = NULL;
	tx->loan = 0;
	return error;
}

/* From one place for a head to the next one of this lap that may be used. */
static void tx_set_limit(struct mbuf_ring_tx *tx)
{
	size_t lap = (size_t)(tx->data + tx->size - tx->pos) - MBUF_RING_ALIGN;
	size_t room = tx_free(tx) - MBUF_RING_ALIGN;

	tx->limit = tx->pos + (room < lap ? room : lap);
	side_moved(&tx->side, tx_count(tx));
}

static void tx_lap(struct mbuf_ring_tx *tx)
{
	tx->pos = tx->data;
	tx->bias += tx->size;
}

/* Learn what the consumer has given back. */
static int tx_refresh(struct mbuf_ring_tx *tx)
{
	uint32_t tail = ring_load(&tx->page->tail);

	/* It can only go on, and not further than the producer. */
	if (tail % MBUF_RING_ALIGN ||
	    tail - tx->tail > tx_count(tx) - tx->tail)
		return tx_fail(tx, -EPROTO);
	tx->tail = tail;
	return 0;
}

/*
 * Make room for a record, by going to the start of the data if need be. With
 * -EAGAIN, @want is what the consumer's count has to be.
 */
static int tx_room(struct mbuf_ring_tx *tx, size_t len, uint32_t *want)
{
	size_t lap = (size_t)(tx->data + tx->size - tx->pos), need;
	int ret;

	if (tx->side.error)
		return tx->side.error;
	if (len > mbuf_ring_max(tx->size))
		return -EMSGSIZE;
	need = MBUF_RING_NEED(len) + MBUF_RING_ALIGN;
	if (need - MBUF_RING_ALIGN > lap)
		need += lap;
	if (need > tx_free(tx)) {
		ret = tx_refresh(tx);
		if (ret)
			return ret;
		if (need > tx_free(tx)) {
			uint32_t word = ring_load(tx->side.peer);

			if ((word & MBUF_RING_STATE) == MBUF_RING_END)
				return tx_fail(tx, -EPIPE);
			*want = tx_count(tx) + (uint32_t)need - tx->size;
			return -EAGAIN;
		}
	}
	if (MBUF_RING_NEED(len) > lap) {
		memset(tx->data, 0, MBUF_RING_HEAD);
		ring_store((uint32_t *)tx->pos, MBUF_RING_PAD);
		tx_lap(tx);
	}
	tx_set_limit(tx);
	return 0;
}

static int tx_await(struct mbuf_ring_tx *tx, size_t len, uint64_t deadline)
{
	struct mbuf_ring_side *side = &tx->side;
	uint32_t want, i;
	int ret, slept;

	ret = tx_room(tx, len, &want);
	if (ret != -EAGAIN || deadline == MBUF_NOW)
		return ret;
	/* What the consumer does not see it will never give back. */
	ret = mbuf_ring_flush(tx);
	if (ret)
		return ret;
	for (;;) {
		if (side->due) {
			side->due = 0;
			side->rings++;
			/* It is due only if there is one: see @hold. */
			/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
			ret = side->bell->ring(side->bell);
			if (ret == -EPIPE)
				return tx_fail(tx, ret);
		}
		for (i = 0; i < side->spin; i++) {
			if (ring_load(&tx->page->tail) != tx->tail)
				break;
			ring_pause();
		}
		if (side->bell) {
			__atomic_store_n(&tx->own->want, want, __ATOMIC_RELAXED);
			side_arm(side);
		}
		ret = tx_room(tx, len, &want);
		if (ret != -EAGAIN)
			break;
		slept = side->bell ? side_sleep(side, NULL, deadline) :
				     side_poll(deadline);
		ret = tx_room(tx, len, &want);
		if (ret != -EAGAIN)
			break;
		if (slept) {
			ret = slept == -EPIPE ? tx_fail(tx, slept) : slept;
			break;
		}
	}
	if (side->bell)
		side_awake(side, tx_count(tx));
	return ret;
}

int mbuf_ring_tx_wake(struct mbuf_ring_tx *tx)
{
	struct mbuf_ring_side *side = &tx->side;
	uint32_t word = side_word(side);
	int ret;

	if ((word & MBUF_RING_STATE) == MBUF_RING_END)
		return tx_fail(tx, -EPIPE);
	ret = side_ring(side, word);
	return ret == -EPIPE ? tx_fail(tx, ret) : ret;
}

/* Send, or stage, a record for which tx_room() has found room. */
static int tx_finish(struct mbuf_ring_tx *tx, size_t len, bool stage)
{
	uint32_t head = MBUF_RING_READY | (uint32_t)len;
	unsigned char *pos = tx->pos, *next = pos + MBUF_RING_NEED(len);
	bool lap = next == tx->data + tx->size;

	if (lap)
		next = tx->data;
	memset(next, 0, MBUF_RING_HEAD);
	if (stage && !tx->first) {
		tx->first = pos;
		tx->first_head = head;
	} else {
		ring_store((uint32_t *)pos, head);
	}
	tx->pos = next;
	tx->loan = 0;
	if (lap)
		tx_lap(tx);
	tx_set_limit(tx);
	return stage ? 0 : mbuf_ring_tx_wake(tx);
}

int mbuf_ring_push_slow(struct mbuf_ring_tx *tx, const void *buf, size_t len,
			uint64_t deadline)
{
	int ret = tx_await(tx, len, deadline);

	if (ret)
		return ret;
	if (len)
		memcpy(tx->pos + MBUF_RING_HEAD, buf, len);
	return tx_finish(tx, len, false);
}

int mbuf_ring_loan_slow(struct mbuf_ring_tx *tx, size_t len, void **data,
			uint64_t deadline)
{
	int ret = tx_await(tx, len, deadline);

	if (ret)
		return ret;
	tx->loan = (uint32_t)len + 1;
	*data = tx->pos + MBUF_RING_HEAD;
	return 0;
}

int mbuf_ring_commit_slow(struct mbuf_ring_tx *tx, size_t len, uint32_t tag,
			  int stage)
{
	size_t lap = (size_t)(tx->data + tx->size - tx->pos);

	if (tx->side.error)
		return tx->side.error;
	/* Something else may have been sent since the loan. */
	if (len >= tx->loan || MBUF_RING_NEED(len) > lap ||
	    MBUF_RING_NEED(len) + MBUF_RING_ALIGN > tx_free(tx))
		return -EINVAL;
	memcpy(tx->pos + MBUF_RING_HEAD / 2, &tag, sizeof(tag));
	return tx_finish(tx, len, stage);
}

ssize_t mbuf_ring_push_batch(struct mbuf_ring_tx *tx,
			     const struct mbuf_ring_rec *recs, size_t nr,
			     uint64_t deadline)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < nr; i++) {
		void *data;

		ret = mbuf_ring_loan(tx, recs[i].len, &data,
				     i ? MBUF_NOW : deadline);
		if (ret)
			break;
		if (recs[i].len)
			memcpy(data, recs[i].data, recs[i].len);
		mbuf_ring_stage(tx, recs[i].len, recs[i].tag);
	}
	if (i) {
		ret = mbuf_ring_flush(tx);
		if (!ret)
			return (ssize_t)i;
	}
	return ret;
}

int mbuf_ring_room(struct mbuf_ring_tx *tx, size_t len)
{
	uint32_t want;

	return mbuf_ring_tx_fits(tx, len) ? 0 : tx_room(tx, len, &want);
}

int mbuf_ring_tx_arm(struct mbuf_ring_tx *tx, size_t len)
{
	uint32_t want;
	int ret;

	if (!tx->side.bell)
		return -EINVAL;
	ret = mbuf_ring_flush(tx);
	if (!ret)
		ret = tx_room(tx, len, &want);
	if (ret != -EAGAIN)
		return ret ? ret : 1;
	__atomic_store_n(&tx->own->want, want, __ATOMIC_RELAXED);
	side_arm(&tx->side);
	ret = tx_room(tx, len, &want);
	if (ret == -EAGAIN)
		return 0;
	side_awake(&tx->side, tx_count(tx));
	return ret ? ret : 1;
}

static int side_disarm(struct mbuf_ring_side *side, uint32_t count)
{
	int ret;

	if (!side->bell || side->error)
		return side->error;
	side_awake(side, count);
	ret = side->bell->wait(side->bell, 0, MBUF_NOW);
	return ret == -EPIPE ? ret : 0;
}

int mbuf_ring_tx_disarm(struct mbuf_ring_tx *tx)
{
	int ret = side_disarm(&tx->side, tx_count(tx));

	return ret == -EPIPE ? tx_fail(tx, ret) : ret;
}

int mbuf_ring_tx_init(struct mbuf_ring_tx *tx, const struct mbuf_ring_map *map,
		      const struct mbuf_ring_bell *bell)
{
	unsigned char *pos;
	uint32_t tail, used = 0;

	if (!ring_map_is_good(map))
		return -EINVAL;
	/* Go through what a predecessor has left, to its end. */
	tail = ring_load(&map->rx->tail);
	if (tail % MBUF_RING_ALIGN)
		return -EPROTO;
	pos = map->data + (tail & (map->size - 1));
	for (;;) {
		uint32_t head = ring_load((uint32_t *)pos);
		size_t lap = (size_t)(map->data + map->size - pos), step;

		if (!head)
			break;
		step = lap;
		if (head != MBUF_RING_PAD) {
			head -= MBUF_RING_READY;
			if (head > lap - MBUF_RING_HEAD)
				return -EPROTO;
			step = MBUF_RING_NEED(head);
		}
		used += (uint32_t)step;
		if (used > map->size - MBUF_RING_ALIGN)
			return -EPROTO;
		pos = step == lap ? map->data : pos + step;
	}
	/* It may have left a tag. */
	memset(pos, 0, MBUF_RING_HEAD);

	memset(tx, 0, sizeof(*tx));
	tx->pos = pos;
	tx->data = map->data;
	tx->size = map->size;
	tx->tail = tail;
	tx->bias = (uintptr_t)tail + used - (uintptr_t)pos;
	tx->own = map->tx;
	tx->page = map->rx;
	tx->limit = pos;
	tx->look = side_init(&tx->side, &map->tx->wait, &map->tx->armed,
			     &map->rx->wait, bell);
	tx->side.slept = tail + used;
	side_take_over(&tx->side);
	return 0;
}

uint32_t libmbuf_ring_tx_count(const struct mbuf_ring_tx *tx)
{
	return tx_count(tx);
}

int libmbuf_ring_tx_adopt(struct mbuf_ring_tx *tx, uint32_t count)
{
	uint32_t tail;

	if (tx->side.error || count == tx_count(tx))
		return tx->side.error;
	tail = ring_load(&tx->page->tail);
	if (tail % MBUF_RING_ALIGN || count - tail > tx->size - MBUF_RING_ALIGN)
		return tx_fail(tx, -EPROTO);
	tx->tail = tail;
	tx->pos = tx->data + (count & (tx->size - 1));
	tx->bias = (uintptr_t)count - (uintptr_t)tx->pos;
	tx->loan = 0;
	tx_set_limit(tx);
	return 0;
}

void mbuf_ring_tx_end(struct mbuf_ring_tx *tx)
{
	struct mbuf_ring_side *side = &tx->side;

	if (side->error)
		return;
	mbuf_ring_flush(tx);
	ring_store(side->wait, MBUF_RING_END);
	side_ring(side, side_word(side));
	side->error = -EPIPE;
	tx->limit = tx->pos;
	tx->loan = 0;
}

/* ---- the consumer ---------------------------------------------------------- */

static uint32_t rx_count(const struct mbuf_ring_rx *rx)
{
	return (uint32_t)((uintptr_t)rx->pos + rx->bias);
}

static int rx_fail(struct mbuf_ring_rx *rx, int error)
{
	const unsigned char *nothing = (const unsigned char *)ring_nothing;

	rx->side.error = error;
	/* The ring is empty for ever; what was peeked at can be released. */
	rx->bias += (uintptr_t)rx->pos - (uintptr_t)nothing;
	rx->pos = nothing;
	rx->last = nothing;
	rx->stop = nothing;
	return error;
}

static void rx_lap(struct mbuf_ring_rx *rx)
{
	rx->pos = rx->data;
	rx->bias += rx->size;
	side_moved(&rx->side, rx_count(rx));
}

/*
 * Give back what was received, and begin the next portion. What was peeked at
 * may still be looked at.
 */
static void rx_tell(struct mbuf_ring_rx *rx)
{
	size_t lap = (size_t)(rx->last - rx->pos);
	size_t portion = rx->size / 4;

	if (portion > RING_PORTION)
		portion = RING_PORTION;
	rx->stop = rx->pos + (portion < lap ? portion : lap);
	if (rx->held || rx->told == rx_count(rx))
		return;
	side_moved(&rx->side, rx_count(rx));
	mbuf_ring_release(rx);
}

/* Look for a record at rx->pos, and do not go past it. */
static int rx_find(struct mbuf_ring_rx *rx, struct mbuf_ring_rec *rec)
{
	const uint32_t *pos = (const uint32_t *)rx->pos;
	uint32_t head;
	size_t lap;

	if (rx->side.error)
		return rx->side.error;
	head = ring_load(pos);
	if (!head) {
		uint32_t word = ring_load(rx->side.peer);

		if ((word & MBUF_RING_STATE) != MBUF_RING_END)
			return -EAGAIN;
		/* What came before the end has to be seen now. */
		head = ring_load(pos);
		if (!head)
			return -EPIPE;
	}
	if (head == MBUF_RING_PAD) {
		/* There is no padding at the start, or it would never end. */
		if (rx->pos == rx->data)
			return rx_fail(rx, -EPROTO);
		rx_lap(rx);
		return rx_find(rx, rec);
	}
	lap = (size_t)(rx->last + MBUF_RING_ALIGN - rx->pos);
	head -= MBUF_RING_READY;
	if (head > lap - MBUF_RING_HEAD)
		return rx_fail(rx, -EPROTO);
	rec->data = rx->pos + MBUF_RING_HEAD;
	rec->len = head;
	rec->tag = __atomic_load_n(pos + 1, __ATOMIC_RELAXED);
	return 0;
}

/* Go past what rx_find() has found. */
static void rx_next(struct mbuf_ring_rx *rx, uint32_t len)
{
	rx->pos += MBUF_RING_NEED(len);
	if (rx->pos == rx->last + MBUF_RING_ALIGN)
		rx_lap(rx);
}

/*
 * The ring is empty. If several records came since it was the last time, they
 * come in a stream, and this side is the faster one. Would it look right away,
 * it would take the cache line from the producer, who is about to write to it,
 * and so on for each line. So it keeps away for a moment, and finds many. If it
 * was one record, it may be waiting for a reply.
 */
static bool rx_slip(struct mbuf_ring_rx *rx)
{
	uint32_t bytes = rx_count(rx) - rx->seen, len;
	const unsigned char *was = rx->was;
	uint32_t i;

	rx->seen = rx_count(rx);
	rx->was = rx->pos;
	if (!bytes)
		return false;
	len = ring_load((const uint32_t *)was) - MBUF_RING_READY;
	if (bytes == MBUF_RING_NEED(len))
		return false;
	for (i = 0; i < rx->side.pauses; i++)
		ring_pause();
	return true;
}

static int rx_await(struct mbuf_ring_rx *rx, struct mbuf_ring_rec *rec,
		    uint64_t deadline, struct mbuf_ring_side *due)
{
	struct mbuf_ring_side *side = &rx->side;
	uint32_t i;
	int ret, slept;

	ret = rx_find(rx, rec);
	if (ret != -EAGAIN)
		return ret;
	rx_tell(rx);
	if (rx_slip(rx)) {
		ret = rx_find(rx, rec);
		if (ret != -EAGAIN)
			return ret;
	}
	if (deadline == MBUF_NOW)
		return ret;
	for (;;) {
		for (i = 0; i < side->spin; i++) {
			if (ring_load((const uint32_t *)rx->pos))
				break;
			ring_pause();
		}
		if (side->bell)
			side_arm(side);
		ret = rx_find(rx, rec);
		if (ret != -EAGAIN)
			break;
		slept = side->bell ? side_sleep(side, due, deadline) :
				     side_poll(deadline);
		ret = rx_find(rx, rec);
		if (ret != -EAGAIN)
			break;
		if (slept) {
			ret = slept;
			break;
		}
	}
	if (side->bell)
		side_awake(side, rx_count(rx));
	return ret;
}

int mbuf_ring_peek_slow(struct mbuf_ring_rx *rx, struct mbuf_ring_rec *rec,
			uint64_t deadline)
{
	int ret = rx_await(rx, rec, deadline, NULL);

	if (!ret) {
		rx_next(rx, rec->len);
		rx->held = 1;
	}
	return ret;
}

static ssize_t rx_take(struct mbuf_ring_rx *rx, const struct mbuf_ring_rec *rec,
		       void *buf, size_t size)
{
	if (rec->len > size)
		return -EMSGSIZE;
	if (rec->len)
		memcpy(buf, rec->data, rec->len);
	rx_next(rx, rec->len);
	rx_tell(rx);
	return (ssize_t)rec->len;
}

ssize_t mbuf_ring_pop_slow(struct mbuf_ring_rx *rx, void *buf, size_t size,
			   uint64_t deadline)
{
	const unsigned char *pos = rx->pos;
	struct mbuf_ring_rec rec;
	int ret;

	/* The usual reason to come here is the end of a portion. */
	rec.len = ring_load((const uint32_t *)pos) - MBUF_RING_READY;
	if (rec.len <= size && mbuf_ring_reaches(pos, rec.len, rx->last)) {
		memcpy(buf, pos + MBUF_RING_HEAD, rec.len);
		rx->pos = pos + MBUF_RING_NEED(rec.len);
		rx_tell(rx);
		return (ssize_t)rec.len;
	}
	ret = rx_await(rx, &rec, deadline, NULL);
	return ret ? ret : rx_take(rx, &rec, buf, size);
}

void mbuf_ring_rx_wake(struct mbuf_ring_rx *rx)
{
	struct mbuf_ring_side *side = &rx->side;
	uint32_t word = side_word(side), tail, want;

	if ((word & MBUF_RING_STATE) != MBUF_RING_ARMED)
		return;
	/*
	 * If @want is newer than @word, the producer looks at the tail after
	 * having stored it, and sees what was given back here.
	 */
	want = __atomic_load_n(&rx->page->want, __ATOMIC_RELAXED);
	tail = rx_count(rx);
	if ((int32_t)(tail - want) >= 0)
		side_ring(side, word);
}

int mbuf_ring_rx_arm(struct mbuf_ring_rx *rx)
{
	struct mbuf_ring_rec rec;
	int ret;

	if (!rx->side.bell)
		return -EINVAL;
	ret = rx_find(rx, &rec);
	if (ret != -EAGAIN)
		return ret ? ret : 1;
	rx_tell(rx);
	side_arm(&rx->side);
	ret = rx_find(rx, &rec);
	if (ret == -EAGAIN)
		return 0;
	side_awake(&rx->side, rx_count(rx));
	return ret ? ret : 1;
}

int mbuf_ring_rx_disarm(struct mbuf_ring_rx *rx)
{
	return side_disarm(&rx->side, rx_count(rx));
}

int mbuf_ring_rx_init(struct mbuf_ring_rx *rx, const struct mbuf_ring_map *map,
		      const struct mbuf_ring_bell *bell)
{
	uint32_t tail;

	if (!ring_map_is_good(map))
		return -EINVAL;
	tail = ring_load(&map->rx->tail);
	if (tail % MBUF_RING_ALIGN)
		return -EPROTO;

	memset(rx, 0, sizeof(*rx));
	rx->data = map->data;
	rx->size = map->size;
	rx->told = tail;
	rx->seen = tail;
	rx->pos = map->data + (tail & (map->size - 1));
	rx->stop = rx->pos;
	rx->was = rx->pos;
	rx->last = map->data + map->size - MBUF_RING_ALIGN;
	rx->tail = &map->rx->tail;
	rx->bias = (uintptr_t)tail - (uintptr_t)rx->pos;
	rx->page = map->tx;
	rx->look = side_init(&rx->side, &map->rx->wait, &map->rx->armed,
			     &map->tx->wait, bell);
	rx->side.slept = tail;
	side_take_over(&rx->side);
	return 0;
}

void mbuf_ring_rx_end(struct mbuf_ring_rx *rx)
{
	struct mbuf_ring_side *side = &rx->side;

	if (side->error)
		return;
	ring_store(side->wait, MBUF_RING_END);
	side_ring(side, side_word(side));
	rx_fail(rx, -EPIPE);
}

/* ---- both ------------------------------------------------------------------ */

ssize_t mbuf_ring_call(struct mbuf_ring_tx *tx, const void *buf, size_t len,
		       struct mbuf_ring_rx *rx, void *out, size_t size,
		       uint64_t deadline, int *sent)
{
	struct mbuf_ring_side *side = &tx->side;
	struct mbuf_ring_rec rec;
	int ret;

	/* Who looks for a while before it sleeps had better ring before. */
	side->hold = side->bell && side->bell == rx->side.bell &&
		     !rx->side.spin;
	ret = mbuf_ring_push(tx, buf, len, deadline);
	side->hold = 0;
	*sent = !ret;
	if (!ret)
		ret = rx_await(rx, &rec, deadline, side);
	if (side->due) {
		side->due = 0;
		side->rings++;
		/* As above. */
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		side->bell->ring(side->bell);
	}
	return ret ? ret : rx_take(rx, &rec, out, size);
}

/* ---- channels as doorbells ------------------------------------------------- */

static int channel_ring(const struct mbuf_ring_bell *bell)
{
	struct mbuf_exchange call = { .steps = MBUF_STEP_SIGNAL };
	int ret = libmbuf_ioctl(bell->fd, MBUF_IOC_EXCHANGE, &call);

	return ret < 0 ? ret : 0;
}

static int channel_wait(const struct mbuf_ring_bell *bell, int ring,
			uint64_t deadline)
{
	struct mbuf_exchange call = {
		.wait = libmbuf_wait(deadline),
		.steps = MBUF_STEP_WAIT | (ring ? MBUF_STEP_SIGNAL : 0),
	};
	int ret = libmbuf_ioctl(bell->fd, MBUF_IOC_EXCHANGE, &call);

	return ret < 0 ? ret : 0;
}

void mbuf_ring_bell_channel(struct mbuf_ring_bell *bell, int fd)
{
	bell->ring = channel_ring;
	bell->wait = channel_wait;
	bell->fd = fd;
}
