// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The ring, one instruction at a time. A process does an operation and is
 * stopped after each of its instructions: what is in the shared memory then is
 * what its death leaves. A copy of it has to be a ring that works, with all that
 * was there before and nothing that is half. In a second run it is really killed
 * there, and the other side goes on with the ring itself.
 *
 * Usage: step [EVERY]		kill after each EVERY'th instruction
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "check-ring.h"

#define SIZE	512
#define MAX	(SIZE / 2 - MBUF_RING_HEAD)

/* What a scene begins with, and what happens in it. */
struct scene {
	const char *name;
	uint32_t count;		/* bytes used before */
	int before;		/* records that are there, numbers from 0 */
	uint32_t len;		/* of each record that was or is sent */
	bool producer;		/* who does it */
	void (*act)(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
		    const struct scene *scene);
	int after;		/* most records that it can add */
	int taken;		/* most records that it can give back */
};

static struct memory mem;
static struct mbuf_ring_bell tx_bell, rx_bell;
static volatile int *done;

static void record(void *data, uint32_t len, int number)
{
	fill(data, len, (uint64_t)number);
}

static void act_push(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
		     const struct scene *scene)
{
	unsigned char buf[MAX];

	(void)rx;
	record(buf, scene->len, scene->before);
	(void)mbuf_ring_push(tx, buf, scene->len, MBUF_NOW);
}

static void act_commit(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
		       const struct scene *scene)
{
	void *data;

	(void)rx;
	if (mbuf_ring_loan(tx, MAX, &data, MBUF_NOW))
		return;
	record(data, scene->len, scene->before);
	(void)mbuf_ring_commit(tx, scene->len, 0);
}

static void act_stage(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
		      const struct scene *scene)
{
	void *data;
	int i;

	(void)rx;
	for (i = 0; i < 3; i++) {
		if (mbuf_ring_loan(tx, scene->len, &data, MBUF_NOW))
			break;
		record(data, scene->len, scene->before + i);
		(void)mbuf_ring_stage(tx, scene->len, 0);
	}
	(void)mbuf_ring_flush(tx);
}

static void act_batch(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
		      const struct scene *scene)
{
	unsigned char buf[3][MAX];
	struct mbuf_ring_rec recs[3];
	int i;

	(void)rx;
	for (i = 0; i < 3; i++) {
		record(buf[i], scene->len, scene->before + i);
		recs[i].data = buf[i];
		recs[i].len = scene->len;
		recs[i].tag = 0;
	}
	(void)mbuf_ring_push_batch(tx, recs, 3, MBUF_NOW);
}

/* With the consumer armed, so that it rings. */
static void act_ring(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
		     const struct scene *scene)
{
	rx->side.is_armed = 0;
	__atomic_store_n(&mem.rx.rx->wait, MBUF_RING_ARMED | 99 << 2,
			 __ATOMIC_SEQ_CST);
	act_push(tx, rx, scene);
}

/* Full: arm, look again, time out. */
static void act_wait_room(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
			  const struct scene *scene)
{
	unsigned char buf[MAX];

	(void)rx;
	record(buf, scene->len, scene->before);
	(void)mbuf_ring_push(tx, buf, scene->len, 1);
}

static void act_tx_init(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
			const struct scene *scene)
{
	(void)rx;
	(void)scene;
	(void)mbuf_ring_tx_init(tx, &mem.tx, &tx_bell);
}

static void act_tx_end(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
		       const struct scene *scene)
{
	(void)rx;
	(void)scene;
	mbuf_ring_tx_end(tx);
}

static void act_pop(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
		    const struct scene *scene)
{
	unsigned char buf[MAX];
	int i;

	(void)tx;
	for (i = 0; i < scene->taken + 1; i++)
		(void)mbuf_ring_pop(rx, buf, sizeof(buf), MBUF_NOW);
}

static void act_peek(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
		     const struct scene *scene)
{
	struct mbuf_ring_rec rec;
	int i;

	(void)tx;
	for (i = 0; i < scene->taken; i++)
		(void)mbuf_ring_peek(rx, &rec, MBUF_NOW);
	mbuf_ring_release(rx);
}

static void act_wait_record(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
			    const struct scene *scene)
{
	unsigned char buf[MAX];

	(void)tx;
	(void)scene;
	(void)mbuf_ring_pop(rx, buf, sizeof(buf), 1);
}

static void act_rx_init(struct mbuf_ring_tx *tx, struct mbuf_ring_rx *rx,
			const struct scene *scene)
{
	(void)tx;
	(void)scene;
	(void)mbuf_ring_rx_init(rx, &mem.rx, &rx_bell);
}

static const struct scene scenes[] = {
	{ "push", 0, 2, 40, true, act_push, 1, 0 },
	{ "push, empty record", 0, 2, 0, true, act_push, 1, 0 },
	{ "push to the very end", SIZE - 144, 2, 40, true, act_push, 1, 0 },
	{ "push beyond the end", SIZE - 112, 1, 50, true, act_push, 1, 0 },
	{ "push where the count ends", 0u - 48, 0, 40, true, act_push, 1, 0 },
	{ "push, full", 64, 2, 152, true, act_push, 0, 0 },
	{ "commit", 0, 2, 40, true, act_commit, 1, 0 },
	{ "commit beyond the end", SIZE - 112, 1, 50, true, act_commit, 1, 0 },
	{ "stage and flush", 0, 1, 40, true, act_stage, 3, 0 },
	{ "stage beyond the end", SIZE - 160, 1, 40, true, act_stage, 3, 0 },
	{ "batch", SIZE - 160, 1, 24, true, act_batch, 3, 0 },
	{ "push and ring", 0, 1, 40, true, act_ring, 1, 0 },
	{ "wait for room", 64, 2, 152, true, act_wait_room, 0, 0 },
	{ "become the producer", SIZE - 160, 4, 40, true, act_tx_init, 0, 0 },
	{ "producer's end", 0, 2, 40, true, act_tx_end, 0, 0 },
	{ "pop", 0, 3, 40, false, act_pop, 0, 3 },
	{ "pop beyond the end", SIZE - 112, 4, 40, false, act_pop, 0, 4 },
	{ "peek and release", SIZE - 112, 4, 40, false, act_peek, 0, 3 },
	{ "wait for a record", 64, 0, 40, false, act_wait_record, 0, 0 },
	{ "become the consumer", 64, 3, 40, false, act_rx_init, 0, 0 },
};

/* ---- is it a ring that works? ---------------------------------------------- */

/*
 * Sides that come anew find the records from @from to @to. How many of them may
 * be missing at either end depends on the scene.
 */
static void verify(const struct scene *scene, const struct mbuf_ring_map *map)
{
	struct mbuf_ring_rec rec;
	struct mbuf_ring_tx tx;
	struct mbuf_ring_rx rx;
	unsigned char buf[MAX];
	int first = -1, next = -1, number, i, n;

	MUST(!mbuf_ring_rx_init(&rx, map, NULL));
	MUST(!mbuf_ring_tx_init(&tx, map, NULL));
	while (!mbuf_ring_peek(&rx, &rec, MBUF_NOW)) {
		MUST(rec.len == scene->len && rec.tag == 0);
		for (number = 0; number < 16; number++)
			if (is_filled(rec.data, rec.len, (uint64_t)number))
				break;
		if (!scene->len)	/* they all look the same */
			number = next < 0 ? 0 : next;
		MUST(number < 16);
		if (first < 0)
			first = number;
		MUST(next < 0 || number == next);
		next = number + 1;
	}
	if (first < 0) {
		MUST(scene->taken >= scene->before);
	} else {
		MUST(first <= scene->taken);
		MUST(next >= scene->before);
		MUST(next <= scene->before + scene->after);
	}
	mbuf_ring_release(&rx);
	/* And go on with it, a few times around. */
	for (i = 0; i < 40; i++) {
		for (n = 0; n < 3; n++) {
			record(buf, (uint32_t)(i + n), i + n);
			MUST(!mbuf_ring_push(&tx, buf, (size_t)(i + n), 0));
		}
		for (n = 0; n < 3; n++) {
			MUST(mbuf_ring_pop(&rx, buf, MAX, MBUF_NOW) == i + n);
			MUST(is_filled(buf, (size_t)(i + n),
				       (uint64_t)(i + n)));
		}
		MUST(mbuf_ring_pop(&rx, buf, MAX, MBUF_NOW) == -EAGAIN);
	}
}

/* On a copy, in this process's own memory. */
static void verify_copy(const struct scene *scene, unsigned char *copy)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct mbuf_ring_map map;

	memcpy(copy, mem.rx_own, page);
	memcpy(copy + page, mem.tx_own + page, mem.bytes - page);
	MUST(!mbuf_ring_map(&map, copy, mem.bytes, copy));
	verify(scene, &map);
}

/* ---- the stage ------------------------------------------------------------- */

/*
 * As if it had been used for long: wherever a head could be there is one that
 * looks right, and a side that believes one finds a record that nobody sent.
 */
static void leave_heads(uint32_t count)
{
	uint32_t head = MBUF_RING_READY | 8, none = 0, at;

	for (at = 0; at < SIZE; at += MBUF_RING_ALIGN)
		memcpy(mem.tx.data + at, &head, sizeof(head));
	memcpy(mem.tx.data + count % SIZE, &none, sizeof(none));
}

/* Starts a process that stops before it begins with the scene. */
static pid_t begin(const struct scene *scene, struct mbuf_ring_tx *tx,
		   struct mbuf_ring_rx *rx)
{
	unsigned char buf[MAX];
	int i, status;
	pid_t pid;

	memory_make(&mem, SIZE);
	memory_used(&mem, scene->count);
	leave_heads(scene->count);
	bell_pair(&tx_bell, &rx_bell);
	MUST(!mbuf_ring_tx_init(tx, &mem.tx, &tx_bell));
	MUST(!mbuf_ring_rx_init(rx, &mem.rx, &rx_bell));
	mbuf_ring_set_spin(&tx->side, 0);
	mbuf_ring_set_spin(&rx->side, 0);
	tx->side.pauses = 1;
	rx->side.pauses = 1;
	for (i = 0; i < scene->before; i++) {
		record(buf, scene->len, i);
		MUST(!mbuf_ring_push(tx, buf, scene->len, MBUF_NOW));
	}
	*done = 0;
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		MUST(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		MUST(!ptrace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGSTOP);
		scene->act(tx, rx, scene);
		*done = 1;
		for (;;)
			pause();
	}
	MUST(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) == pid)
		;
	close(tx_bell.fd);
	close(rx_bell.fd);
}

/* One instruction. Returns false if the scene is over. */
static bool step(pid_t pid)
{
	int status;

	MUST(!ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
	MUST(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	MUST(WSTOPSIG(status) == SIGTRAP);
	return !*done;
}

int main(int argc, char **argv)
{
	int every = argc > 1 ? atoi(argv[1]) : 64;
	unsigned char *copy;
	struct mbuf_ring_tx tx;
	struct mbuf_ring_rx rx;
	long total = 0, killed = 0;
	size_t i;

	done = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	copy = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(done != MAP_FAILED && copy != MAP_FAILED);
	for (i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		const struct scene *scene = &scenes[i];
		pid_t pid = begin(scene, &tx, &rx);
		long steps = 0, at;

		alarm(600);
		/* So that a failure says where. */
		printf("%s\r", scene->name);
		verify_copy(scene, copy);
		while (step(pid)) {
			verify_copy(scene, copy);
			steps++;
		}
		verify_copy(scene, copy);
		end(pid);
		memory_free(&mem);
		MUST(steps > 50);
		for (at = 1; at < steps; at += every) {
			long n = at;

			pid = begin(scene, &tx, &rx);
			while (n-- && step(pid))
				;
			end(pid);
			verify_copy(scene, copy);
			memory_free(&mem);
			killed++;
		}
		total += steps;
	}
	printf("%-30s\r", "");
	MUST(total > 5000 && killed > 100);
	return 0;
}
