// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A ring with several producers: threads, processes that are killed at any
 * moment, and what ends a call early. Says nothing if all is well; what gets
 * stuck ends by SIGALRM.
 *
 * Usage: many TEST [THOUSANDS OF RECORDS, OR DEATHS]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <mbuf_ring_many.h>

#include "check-ring.h"

#define PRODUCERS	4
#define PAYLOAD_MAX	200
#define MAX_LIVES	1000

struct many {
	struct memory mem;
	struct mbuf_ring_bell tx_bell, rx_bell;
	struct mbuf_ring_rx rx;
};

static void many_make(struct many *m, size_t size, uint32_t count)
{
	memory_make(&m->mem, size);
	memory_used(&m->mem, count);
	bell_pair(&m->tx_bell, &m->rx_bell);
	MUST(!mbuf_ring_many_make(&m->mem.tx));
	MUST(mbuf_ring_many_make(&m->mem.tx) == -EEXIST);
	MUST(!mbuf_ring_rx_init(&m->rx, &m->mem.rx, &m->rx_bell));
}

static void many_free(struct many *m)
{
	close(m->tx_bell.fd);
	close(m->rx_bell.fd);
	memory_free(&m->mem);
}

/* What a record says: who has sent it, which of its records it is. */
struct head {
	uint32_t who;
	uint32_t len;
	uint64_t number;
};

static size_t record_make(void *buf, uint32_t who, uint64_t number)
{
	struct head h = { .who = who, .number = number };

	h.len = (uint32_t)(sizeof(h) + number * 13 % PAYLOAD_MAX);
	memcpy(buf, &h, sizeof(h));
	fill((char *)buf + sizeof(h), h.len - sizeof(h), number + who);
	return h.len;
}

static struct head record_check(const void *buf, size_t len)
{
	struct head h;

	MUST(len >= sizeof(h));
	memcpy(&h, buf, sizeof(h));
	MUST(h.who < PRODUCERS && h.len == len);
	MUST(is_filled((const char *)buf + sizeof(h), len - sizeof(h),
		       h.number + h.who));
	return h;
}

/* Sends one record or several, in one of all ways. How many; 0: not now. */
static int send_some(struct mbuf_ring_many *many, uint32_t who, uint64_t number,
		     uint64_t *seed)
{
	unsigned char buf[4][sizeof(struct head) + PAYLOAD_MAX];
	uint64_t x = rnd(seed), deadline = MBUF_FOREVER;
	struct mbuf_ring_rec recs[4];
	ssize_t ret;
	size_t len, i;
	void *data;

	if (x % 8 < 2)
		deadline = MBUF_NOW;
	else if (x % 8 < 4)
		deadline = mbuf_deadline((x >> 8) % 100000);
	switch ((x >> 4) % 4) {
	case 0:
		for (i = 0; i < 4; i++) {
			recs[i].data = buf[i];
			recs[i].tag = who;
			recs[i].len = (uint32_t)record_make(buf[i], who,
							    number + i);
		}
		ret = mbuf_ring_many_push_batch(many, recs, 1 + (x >> 40) % 4,
						deadline);
		break;
	case 1:
		len = record_make(buf[0], who, number);
		ret = mbuf_ring_many_loan(many, len + (x >> 40) % 8, &data,
					  deadline);
		if (ret)
			break;
		memcpy(data, buf[0], len);
		if ((x >> 50) % 8 == 0) {
			mbuf_ring_many_cancel(many);
			return 0;
		}
		ret = mbuf_ring_many_commit(many, len, who);
		ret = ret ? ret : 1;
		break;
	default:
		len = record_make(buf[0], who, number);
		ret = mbuf_ring_many_push(many, buf[0], len, deadline);
		ret = ret ? ret : 1;
		break;
	}
	MUST(ret > 0 || (ret == -EAGAIN && deadline == MBUF_NOW) ||
	     (ret == -ETIMEDOUT && deadline != MBUF_NOW &&
	      deadline != MBUF_FOREVER));
	return ret > 0 ? (int)ret : 0;
}

/* ---- threads ---------------------------------------------------------------- */

struct sender {
	struct many *m;
	uint32_t who;
	uint64_t records;
};

static void *sender_run(void *arg)
{
	struct sender *s = arg;
	uint64_t seed = s->who * 0x9e3779b97f4a7c15 + 1, number = 0;
	struct mbuf_ring_many many;

	MUST(!mbuf_ring_many_init(&many, &s->m->mem.tx, &s->m->tx_bell,
				  MBUF_FOREVER));
	while (number < s->records)
		number += (uint64_t)send_some(&many, s->who, number, &seed);
	return NULL;
}

static void test_threads(long thousands)
{
	uint64_t next[PRODUCERS] = { 0 }, left = PRODUCERS, records;
	struct sender sender[PRODUCERS];
	pthread_t thread[PRODUCERS];
	unsigned char buf[4096];
	struct many m;
	uint32_t i;

	records = (uint64_t)thousands * 1000 / PRODUCERS;
	many_make(&m, 1024, 0xffffffff - 1024 * 3 + 1);
	for (i = 0; i < PRODUCERS; i++) {
		sender[i] = (struct sender){ &m, i, records };
		MUST(!pthread_create(&thread[i], NULL, sender_run, &sender[i]));
	}
	while (left) {
		ssize_t len = mbuf_ring_pop(&m.rx, buf, sizeof(buf),
					    MBUF_FOREVER);
		struct head h;

		MUST(len >= 0);
		h = record_check(buf, (size_t)len);
		MUST(h.number == next[h.who]);
		next[h.who]++;
		/* A batch may go beyond, by three. */
		left -= next[h.who] == records;
	}
	for (i = 0; i < PRODUCERS; i++) {
		while (mbuf_ring_pop(&m.rx, buf, sizeof(buf), 1) >= 0)
			;
		pthread_join(thread[i], NULL);
	}
	many_free(&m);
}

/* ---- processes that are killed ------------------------------------------------ */

/* What a producer notes, which outlives it. */
struct note {
	uint64_t begun;		/* numbers below this may have been sent */
	uint64_t done;		/* and those below this were, in this life */
	uint32_t nr_lives;
	uint64_t life[MAX_LIVES];	/* with which number each began */
};

static pid_t start_producer(struct many *m, struct note *note, uint32_t who,
			    uint64_t seed)
{
	struct mbuf_ring_many many;
	uint64_t number;
	pid_t pid;
	int n;

	MUST(note[who].nr_lives < MAX_LIVES);
	note[who].life[note[who].nr_lives++] = note[who].begun;
	note[who].done = 0;
	pid = fork();
	MUST(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(m->rx_bell.fd);
	MUST(!mbuf_ring_many_init(&many, &m->mem.tx, &m->tx_bell, MBUF_FOREVER));
	/* What the predecessor had begun may be there or not: leave it out. */
	number = note[who].begun;
	for (;;) {
		__atomic_store_n(&note[who].begun, number + 4,
				 __ATOMIC_SEQ_CST);
		n = send_some(&many, who, number, &seed);
		number += (uint64_t)n;
		if (n)
			__atomic_store_n(&note[who].done, number,
					 __ATOMIC_SEQ_CST);
	}
}

/*
 * In order, none twice, none missing: numbers are left out only where a life
 * begins.
 */
static void must_follow(const struct note *note, struct head h, uint64_t *next)
{
	uint32_t i;

	MUST(h.number >= *next);
	MUST(h.number < __atomic_load_n(&note->begun, __ATOMIC_SEQ_CST));
	for (i = note->nr_lives; i && h.number != *next; i--)
		if (note->life[i - 1] == h.number)
			break;
	MUST(i);
	*next = h.number + 1;
}

static void test_killed(long deaths)
{
	uint64_t next[PRODUCERS] = { 0 }, seed = 99, came = 0;
	unsigned char buf[4096];
	struct note *note;
	pid_t pid[PRODUCERS];
	struct many m;
	uint32_t i;
	long n;

	many_make(&m, 2048, 0);
	note = mmap(NULL, PRODUCERS * sizeof(*note), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(note != MAP_FAILED);
	for (i = 0; i < PRODUCERS; i++)
		pid[i] = start_producer(&m, note, i, i + 1);
	for (n = 0; n < deaths; n++) {
		uint64_t until = came + 1 + rnd(&seed) % 300, done = 0;
		uint32_t who = rnd(&seed) % PRODUCERS;
		bool killed = false;

		alarm(60);
		for (;;) {
			ssize_t len;
			struct head h;

			if (!killed && came >= until) {
				kill(pid[who], SIGKILL);
				MUST(waitpid(pid[who], NULL, 0) == pid[who]);
				done = note[who].done;
				killed = true;
			}
			len = mbuf_ring_pop(&m.rx, buf, sizeof(buf),
					    mbuf_deadline(50000000));
			if (len == -ETIMEDOUT)
				break;
			MUST(len >= 0);
			h = record_check(buf, (size_t)len);
			came++;
			must_follow(&note[h.who], h, &next[h.who]);
			if (killed && came > until + 200)
				break;
		}
		/* It may have come to the end of the time without a death. */
		if (!killed) {
			kill(pid[who], SIGKILL);
			MUST(waitpid(pid[who], NULL, 0) == pid[who]);
			done = note[who].done;
		}
		/* All that it was told is sent arrives. */
		while (next[who] < done) {
			ssize_t len = mbuf_ring_pop(&m.rx, buf, sizeof(buf),
						    MBUF_FOREVER);
			struct head h;

			MUST(len >= 0);
			h = record_check(buf, (size_t)len);
			came++;
			must_follow(&note[h.who], h, &next[h.who]);
		}
		pid[who] = start_producer(&m, note, who, rnd(&seed));
	}
	for (i = 0; i < PRODUCERS; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	many_free(&m);
}

/* ---- one at a time ------------------------------------------------------------ */

static void in_child(struct many *m, bool commit)
{
	struct mbuf_ring_many many;
	pid_t pid = fork();
	void *data;

	MUST(pid >= 0);
	if (pid) {
		MUST(waitpid(pid, NULL, 0) == pid);
		return;
	}
	MUST(!mbuf_ring_many_init(&many, &m->mem.tx, &m->tx_bell, MBUF_NOW));
	MUST(!mbuf_ring_many_push(&many, "first", 5, MBUF_NOW));
	MUST(!mbuf_ring_many_loan(&many, 100, &data, MBUF_NOW));
	memset(data, 1, 100);
	if (commit)
		mbuf_ring_many_commit(&many, 100, 1);
	kill(getpid(), SIGKILL);
}

/* Only what was not committed goes with who dies. */
static void test_loan(void)
{
	struct mbuf_ring_many many;
	unsigned char buf[256];
	struct many m;
	int i;

	many_make(&m, 1024, 0);
	MUST(!mbuf_ring_many_init(&many, &m.mem.tx, &m.tx_bell, MBUF_NOW));
	for (i = 0; i < 100; i++) {
		in_child(&m, i % 2);
		MUST(!mbuf_ring_many_push(&many, "second", 6, MBUF_NOW));
		MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_NOW) == 5);
		if (i % 2)
			MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_NOW) == 100);
		MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_NOW) == 6);
		MUST(!memcmp(buf, "second", 6));
		MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_NOW) == -EAGAIN);
	}
	many_free(&m);
}

static int die_ringing(const struct mbuf_ring_bell *bell)
{
	(void)bell;
	return kill(getpid(), SIGKILL);
}

/* It has sent, and has not got any further: what it has sent is there. */
static void test_died_ringing(void)
{
	struct mbuf_ring_many many;
	struct mbuf_ring_bell bell;
	unsigned char buf[256];
	struct many m;
	int i, status;
	pid_t pid;

	many_make(&m, 1024, 0);
	MUST(!mbuf_ring_many_init(&many, &m.mem.tx, &m.tx_bell, MBUF_NOW));
	for (i = 0; i < 100; i++) {
		pid = fork();
		MUST(pid >= 0);
		if (!pid) {
			bell = m.tx_bell;
			MUST(!mbuf_ring_many_init(&many, &m.mem.tx, &bell,
						  MBUF_NOW));
			bell.ring = die_ringing;
			MUST(mbuf_ring_rx_arm(&m.rx) == 0);
			mbuf_ring_many_push(&many, "first", 5, MBUF_NOW);
			_exit(1);
		}
		MUST(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
		MUST(!mbuf_ring_many_push(&many, "second", 6, MBUF_NOW));
		/* Who came next has rung for it. */
		MUST(!mbuf_ring_rx_disarm(&m.rx));
		MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_NOW) == 5);
		MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_NOW) == 6);
		MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_NOW) == -EAGAIN);
	}
	many_free(&m);
}

struct other {
	struct mbuf_ring_many *many;
	uint64_t deadline;
	int ret;
};

static void *other_push(void *arg)
{
	struct other *o = arg;

	o->ret = mbuf_ring_many_push(o->many, "x", 1, o->deadline);
	return NULL;
}

/* Another thread's push, with what it says. */
static int push_there(struct mbuf_ring_many *many, uint64_t deadline)
{
	struct other o = { many, deadline, 0 };
	pthread_t thread;

	MUST(!pthread_create(&thread, NULL, other_push, &o));
	pthread_join(thread, NULL);
	return o.ret;
}

static void test_calls(void)
{
	struct mbuf_ring_many a, b, c;
	struct mbuf_ring_map none = { 0 };
	unsigned char buf[256];
	struct memory mem;
	struct many m;
	void *data;
	int i;

	/* What is no such ring. */
	many_make(&m, 256, 0);
	memory_make(&mem, 256);
	MUST(mbuf_ring_many_make(&none) == -EINVAL);
	MUST(mbuf_ring_many_init(&a, &mem.tx, &m.tx_bell, MBUF_NOW) == -EPROTO);
	MUST(mbuf_ring_many_init(&a, &m.mem.tx, NULL, MBUF_NOW) == -EINVAL);
	memory_free(&mem);

	MUST(!mbuf_ring_many_init(&a, &m.mem.tx, &m.tx_bell, MBUF_NOW));
	MUST(!mbuf_ring_many_init(&b, &m.mem.tx, &m.tx_bell, MBUF_NOW));
	/* One at a time. */
	MUST(mbuf_ring_many_commit(&a, 0, 0) == -EINVAL);
	MUST(!mbuf_ring_many_loan(&a, 16, &data, MBUF_NOW));
	MUST((uintptr_t)data % 16 == 0);
	MUST(mbuf_ring_many_loan(&a, 16, &data, MBUF_NOW) == -EINVAL);
	MUST(mbuf_ring_many_push(&a, "x", 1, MBUF_NOW) == -EINVAL);
	MUST(mbuf_ring_many_end(&a, MBUF_NOW) == -EINVAL);
	MUST(push_there(&b, MBUF_NOW) == -EAGAIN);
	MUST(push_there(&b, 1) == -ETIMEDOUT);
	MUST(push_there(&b, mbuf_deadline(2000000)) == -ETIMEDOUT);
	MUST(mbuf_ring_many_commit(&a, 17, 5) == -EINVAL);
	MUST(!mbuf_ring_many_commit(&a, 16, 5));
	MUST(mbuf_ring_many_commit(&a, 16, 5) == -EINVAL);
	MUST(!push_there(&b, MBUF_NOW));
	MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_NOW) == 16);
	MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_NOW) == 1);
	MUST(!mbuf_ring_many_loan(&a, 16, &data, MBUF_NOW));
	mbuf_ring_many_cancel(&a);
	mbuf_ring_many_cancel(&a);
	MUST(mbuf_ring_many_push(&a, buf, 200, MBUF_NOW) == -EMSGSIZE);

	/* Full. What one has sent the other knows of. */
	for (i = 0; !mbuf_ring_many_push(i % 2 ? &a : &b, buf, 8, MBUF_NOW); i++)
		;
	MUST(i > 8);
	MUST(mbuf_ring_many_push(&a, buf, 8, MBUF_NOW) == -EAGAIN);
	MUST(mbuf_ring_many_push(&b, buf, 8, mbuf_deadline(2000000)) ==
	     -ETIMEDOUT);
	while (i--)
		MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_NOW) == 8);

	/* Who sleeps next is not the one who has been busy: nobody is CALM. */
	for (i = 0; i < 5000; i++) {
		MUST(!mbuf_ring_many_push(&a, buf, 8, MBUF_NOW));
		MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_NOW) == 8);
		MUST(m.mem.tx.tx->wait == MBUF_RING_AWAKE);
	}

	/* The end is everybody's. */
	MUST(!mbuf_ring_many_push(&a, buf, 8, MBUF_NOW));
	MUST(!mbuf_ring_many_end(&b, MBUF_NOW));
	MUST(mbuf_ring_many_end(&b, MBUF_NOW) == -EPIPE);
	MUST(mbuf_ring_many_push(&a, buf, 8, MBUF_NOW) == -EPIPE);
	MUST(mbuf_ring_many_init(&c, &m.mem.tx, &m.tx_bell, MBUF_NOW) == -EPIPE);
	MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_FOREVER) == 8);
	MUST(mbuf_ring_pop(&m.rx, buf, 256, MBUF_FOREVER) == -EPIPE);
	many_free(&m);

	/* The consumer leaves; another one can come, for new producers. */
	many_make(&m, 256, 0);
	MUST(!mbuf_ring_many_init(&a, &m.mem.tx, &m.tx_bell, MBUF_NOW));
	MUST(!mbuf_ring_many_init(&b, &m.mem.tx, &m.tx_bell, MBUF_NOW));
	mbuf_ring_rx_end(&m.rx);
	MUST(mbuf_ring_many_push(&a, buf, 8, MBUF_NOW) == -EPIPE);
	MUST(mbuf_ring_many_push(&a, buf, 8, MBUF_NOW) == -EPIPE);
	MUST(!mbuf_ring_rx_init(&m.rx, &m.mem.rx, &m.rx_bell));
	MUST(!mbuf_ring_many_push(&b, buf, 8, MBUF_NOW));
	MUST(!mbuf_ring_many_init(&a, &m.mem.tx, &m.tx_bell, MBUF_NOW));
	MUST(!mbuf_ring_many_push(&a, buf, 8, MBUF_NOW));

	/* A consumer that breaks the rules breaks it for all. */
	m.mem.rx.rx->tail = 8;
	while (!mbuf_ring_many_push(&a, buf, 8, MBUF_NOW))
		;
	MUST(mbuf_ring_many_push(&a, buf, 8, MBUF_NOW) == -EPROTO);
	m.mem.rx.rx->tail = 0;
	MUST(mbuf_ring_many_push(&b, buf, 8, MBUF_NOW) == -EPROTO);
	many_free(&m);
}

int main(int argc, char **argv)
{
	const char *test = argc > 1 ? argv[1] : "calls";
	long n = argc > 2 ? atol(argv[2]) : 100;

	alarm(300);
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(test, "threads"))
		test_threads(n);
	else if (!strcmp(test, "killed"))
		test_killed(n);
	else if (!strcmp(test, "loan"))
		test_loan();
	else if (!strcmp(test, "ringing"))
		test_died_ringing();
	else if (!strcmp(test, "calls"))
		test_calls();
	else
		return 2;
	return 0;
}
