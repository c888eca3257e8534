// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The ring between two threads and between two processes: streams that are
 * checked to the byte, sleeping and waking, sides that are killed at any moment,
 * and no system call while both run. Says nothing if all is well; what gets
 * stuck ends by SIGALRM.
 *
 * Usage: two TEST [THOUSANDS OF RECORDS]
 *	  two mixed THOUSANDS PROGRAM	PROGRAM is the same for another machine
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check-ring.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH	59
#define PR_SYS_DISPATCH_OFF		0
#define PR_SYS_DISPATCH_ON		1
#endif

static long thousands = 1000;

static struct mbuf_ring_stats stats(const struct mbuf_ring_side *side)
{
	struct mbuf_ring_stats s;

	mbuf_ring_get_stats(side, &s);
	return s;
}

/* ---- a stream -------------------------------------------------------------- */

struct stream {
	struct memory mem;
	struct mbuf_ring_bell tx_bell, rx_bell;
	long records;
	int style;		/* 0: as fast as it goes; 1: in bursts */
	uint32_t spin;
	struct mbuf_ring_stats tx_stats, rx_stats;
};

static uint32_t stream_len(uint64_t number, uint32_t max)
{
	uint64_t x = number * 0x9e3779b97f4a7c15;

	/* Mostly small; the number is in front. */
	return 8 + (uint32_t)(x >> 40) % (x >> 63 || max < 200 ? max - 7 : 100);
}

static void *stream_send(void *arg)
{
	struct stream *s = arg;
	uint32_t max = mbuf_ring_max(s->mem.tx.size), len;
	static unsigned char buf[1 << 16];
	struct mbuf_ring_tx tx;
	uint64_t seed = 99, i;
	void *data;

	MUST(!mbuf_ring_tx_init(&tx, &s->mem.tx, &s->tx_bell));
	if (s->spin != UINT32_MAX)
		mbuf_ring_set_spin(&tx.side, s->spin);
	for (i = 0; i < (uint64_t)s->records; i++) {
		uint64_t x = rnd(&seed);

		len = stream_len(i, max);
		if (x & 1) {
			fill(buf, len, i);
			memcpy(buf, &i, 8);
			MUST(!mbuf_ring_push(&tx, buf, len, MBUF_FOREVER));
		} else {
			MUST(!mbuf_ring_loan(&tx, len, &data, MBUF_FOREVER));
			fill(data, len, i);
			memcpy(data, &i, 8);
			if (x & 6)
				MUST(!mbuf_ring_commit(&tx, len, (uint32_t)i));
			else
				MUST(!mbuf_ring_stage(&tx, len, (uint32_t)i));
		}
		/* The other side falls asleep. */
		if (s->style == 1 && x >> 32 < 1u << 19) {
			MUST(!mbuf_ring_flush(&tx));
			usleep((unsigned int)(x >> 8) % 200);
		}
	}
	mbuf_ring_tx_end(&tx);
	s->tx_stats = stats(&tx.side);
	return NULL;
}

static void *stream_recv(void *arg)
{
	struct stream *s = arg;
	uint32_t max = mbuf_ring_max(s->mem.rx.size), len;
	static unsigned char buf[1 << 16];
	struct mbuf_ring_rec rec;
	struct mbuf_ring_rx rx;
	uint64_t seed = 77, i, number;

	MUST(!mbuf_ring_rx_init(&rx, &s->mem.rx, &s->rx_bell));
	if (s->spin != UINT32_MAX)
		mbuf_ring_set_spin(&rx.side, s->spin);
	for (i = 0; i < (uint64_t)s->records; i++) {
		uint64_t x = rnd(&seed);
		const unsigned char *data = buf;

		if (x & 1) {
			ssize_t ret = mbuf_ring_pop(&rx, buf, sizeof(buf),
						    MBUF_FOREVER);

			MUST(ret > 0);
			len = (uint32_t)ret;
		} else {
			MUST(!mbuf_ring_peek(&rx, &rec, MBUF_FOREVER));
			MUST(rec.tag == 0 || rec.tag == (uint32_t)i);
			data = rec.data;
			len = rec.len;
		}
		MUST(len == stream_len(i, max));
		memcpy(&number, data, 8);
		MUST(number == i);
		/* The first 8 bytes are the number. */
		fill(buf + sizeof(buf) - 8, 8, i);
		if (len > 8) {
			unsigned char *want = buf + sizeof(buf) / 2;

			fill(want, len, i);
			MUST(!memcmp(want + 8, data + 8, len - 8));
		}
		if (!(x & 1))
			mbuf_ring_release(&rx);
		if (s->style == 1 && x >> 32 < 1u << 19)
			usleep((unsigned int)(x >> 8) % 200);
	}
	MUST(mbuf_ring_pop(&rx, buf, sizeof(buf), MBUF_FOREVER) == -EPIPE);
	s->rx_stats = stats(&rx.side);
	return NULL;
}

static void stream_make(struct stream *s, size_t size, int style, uint32_t spin)
{
	memset(s, 0, sizeof(*s));
	memory_make(&s->mem, size);
	/* Around the end of the count. */
	memory_used(&s->mem, 0xffff0000);
	bell_pair(&s->tx_bell, &s->rx_bell);
	s->records = thousands * 1000;
	s->style = style;
	s->spin = spin;
}

static void stream_free(struct stream *s)
{
	close(s->tx_bell.fd);
	close(s->rx_bell.fd);
	memory_free(&s->mem);
}

static void test_threads(void)
{
	static const uint32_t sizes[] = { 256, 4096, 65536 };
	struct mbuf_ring_stats tx = { 0 }, rx = { 0 };
	struct stream s;
	pthread_t a, b;
	int i;

	for (i = 0; i < 6; i++) {
		stream_make(&s, sizes[i / 2], i % 2, i == 4 ? UINT32_MAX : 0);
		s.records /= 6;
		MUST(!pthread_create(&a, NULL, stream_send, &s));
		MUST(!pthread_create(&b, NULL, stream_recv, &s));
		MUST(!pthread_join(a, NULL) && !pthread_join(b, NULL));
		tx.rings += s.tx_stats.rings;
		tx.sleeps += s.tx_stats.sleeps;
		tx.barriers += s.tx_stats.barriers;
		rx.rings += s.rx_stats.rings;
		rx.sleeps += s.rx_stats.sleeps;
		rx.barriers += s.rx_stats.barriers;
		stream_free(&s);
	}
	/* All of the paths were taken. */
	MUST(tx.rings && tx.sleeps && rx.rings && rx.sleeps);
	if (thousands >= 100)
		MUST(tx.barriers && rx.barriers);
}

/* fork(), but the child does not outlive this process. */
static pid_t fork_child(void)
{
	pid_t pid = fork();

	MUST(pid >= 0);
	if (!pid)
		MUST(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	return pid;
}

static void must_exit_0(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0) == pid);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void must_be_killed(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0) == pid);
	MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_processes(void)
{
	static const uint32_t sizes[] = { 256, 4096, 65536 };
	struct stream s;
	int i;

	for (i = 0; i < 6; i++) {
		pid_t a, b;

		stream_make(&s, sizes[i / 2], i % 2, i == 4 ? UINT32_MAX : 0);
		s.records /= 6;
		a = fork_child();
		if (!a) {
			close(s.rx_bell.fd);
			stream_send(&s);
			_exit(0);
		}
		b = fork_child();
		if (!b) {
			close(s.tx_bell.fd);
			stream_recv(&s);
			_exit(0);
		}
		must_exit_0(a);
		must_exit_0(b);
		stream_free(&s);
	}
}

/* ---- a stream between programs of different word sizes -------------------- */

static const struct {
	const char *name;
	void *(*run)(void *stream);
} sides[] = {
	{ "side-tx", stream_send }, { "side-rx", stream_recv },
};

/* What exec_side() executes. */
static void test_side(unsigned int side, char **arg)
{
	struct stream s = { 0 };
	size_t size = strtoul(arg[0], NULL, 10);

	memory_open(&s.mem, size, atoi(arg[1]), atoi(arg[2]));
	s.tx_bell.ring = bell_ring;
	s.tx_bell.wait = bell_wait;
	s.tx_bell.fd = atoi(arg[3]);
	s.rx_bell = s.tx_bell;
	s.records = atol(arg[4]);
	s.style = atoi(arg[5]);
	s.spin = (uint32_t)strtoul(arg[6], NULL, 10);
	sides[side].run(&s);
}

/* Executes one side. What it inherits is its own, nothing else of the ring. */
static pid_t exec_side(const char *program, unsigned int side, size_t size,
		       const int *file, int bell, const struct stream *s)
{
	char arg[7][16];
	pid_t pid = fork_child();
	int i;

	if (pid)
		return pid;
	snprintf(arg[0], sizeof(arg[0]), "%zu", size);
	for (i = 0; i < 3; i++) {
		int fd = dup(i < 2 ? file[i] : bell);	/* not O_CLOEXEC */

		MUST(fd >= 0);
		snprintf(arg[1 + i], sizeof(arg[1 + i]), "%d", fd);
	}
	snprintf(arg[4], sizeof(arg[4]), "%ld", s->records);
	snprintf(arg[5], sizeof(arg[5]), "%d", s->style);
	snprintf(arg[6], sizeof(arg[6]), "%u", s->spin);
	execl(program, program, sides[side].name, arg[0], arg[1], arg[2],
	      arg[3], arg[4], arg[5], arg[6], NULL);
	MUST(!"the other program can be executed");
	_exit(1);
}

/*
 * One side is this program, the other one another program that was made from
 * the same source by another compiler.
 */
static void test_mixed(const char *other)
{
	static const uint32_t sizes[] = { 256, 4096, 65536 };
	int i;

	for (i = 0; i < 12; i++) {
		const char *program[2] = { "/proc/self/exe", "/proc/self/exe" };
		uint32_t size = sizes[i / 4];
		struct stream s = { 0 };
		int file[2];
		pid_t a, b;

		memory_files(size, &file[0], &file[1]);
		memory_open(&s.mem, size, file[0], file[1]);
		memory_used(&s.mem, 0xffff0000);
		bell_pair(&s.tx_bell, &s.rx_bell);
		s.records = thousands * 1000 / 12;
		s.style = i % 2;
		s.spin = i & 8 ? UINT32_MAX : 0;
		program[i / 2 % 2] = other;
		a = exec_side(program[0], 0, size, file, s.tx_bell.fd, &s);
		b = exec_side(program[1], 1, size, file, s.rx_bell.fd, &s);
		must_exit_0(a);
		must_exit_0(b);
		close(file[0]);
		close(file[1]);
		stream_free(&s);
	}
}

/* ---- requests and replies -------------------------------------------------- */

struct pair {
	struct memory there, back;
	struct mbuf_ring_bell a, b;
	long rounds;
	uint32_t spin;
	bool call;
};

static void *pair_server(void *arg)
{
	struct pair *p = arg;
	struct mbuf_ring_tx tx;
	struct mbuf_ring_rx rx;
	uint64_t value;
	ssize_t ret;
	int sent;

	MUST(!mbuf_ring_rx_init(&rx, &p->there.rx, &p->b));
	MUST(!mbuf_ring_tx_init(&tx, &p->back.tx, &p->b));
	mbuf_ring_set_spin(&rx.side, p->spin);
	ret = mbuf_ring_pop(&rx, &value, sizeof(value), MBUF_FOREVER);
	while (ret == sizeof(value)) {
		value = value * 3 + 1;
		if (p->call) {
			ret = mbuf_ring_call(&tx, &value, sizeof(value), &rx,
					     &value, sizeof(value),
					     MBUF_FOREVER, &sent);
			MUST(sent);
		} else {
			MUST(!mbuf_ring_push(&tx, &value, sizeof(value),
					     MBUF_FOREVER));
			ret = mbuf_ring_pop(&rx, &value, sizeof(value),
					    MBUF_FOREVER);
		}
	}
	MUST(ret == -EPIPE);
	return NULL;
}

static void pair_client(struct pair *p)
{
	struct mbuf_ring_tx tx;
	struct mbuf_ring_rx rx;
	uint64_t value, i;
	int sent;

	MUST(!mbuf_ring_tx_init(&tx, &p->there.tx, &p->a));
	MUST(!mbuf_ring_rx_init(&rx, &p->back.rx, &p->a));
	mbuf_ring_set_spin(&rx.side, p->spin);
	for (i = 0; i < (uint64_t)p->rounds; i++) {
		if (p->call) {
			MUST(mbuf_ring_call(&tx, &i, sizeof(i), &rx, &value,
					    sizeof(value), MBUF_FOREVER,
					    &sent) == sizeof(value));
		} else {
			MUST(!mbuf_ring_push(&tx, &i, sizeof(i), MBUF_FOREVER));
			MUST(mbuf_ring_pop(&rx, &value, sizeof(value),
					   MBUF_FOREVER) == sizeof(value));
		}
		MUST(value == i * 3 + 1);
	}
	mbuf_ring_tx_end(&tx);
}

static void test_pingpong(void)
{
	struct pair p;
	pthread_t thread;
	int i;

	for (i = 0; i < 4; i++) {
		memset(&p, 0, sizeof(p));
		memory_make(&p.there, 4096);
		memory_make(&p.back, 4096);
		bell_pair(&p.a, &p.b);
		p.rounds = thousands * 5;
		p.spin = i & 1 ? 20 : 0;
		p.call = i & 2;
		MUST(!pthread_create(&thread, NULL, pair_server, &p));
		pair_client(&p);
		MUST(!pthread_join(thread, NULL));
		close(p.a.fd);
		close(p.b.fd);
		memory_free(&p.there);
		memory_free(&p.back);
	}
}

/* ---- an event loop --------------------------------------------------------- */

/* Both sides wait with epoll only, the producer for room as well. */
static void *epoll_send(void *arg)
{
	struct stream *s = arg;
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct mbuf_ring_tx tx;
	uint64_t i;
	int ret;

	MUST(ep >= 0 && !epoll_ctl(ep, EPOLL_CTL_ADD, s->tx_bell.fd, &ev));
	MUST(!mbuf_ring_tx_init(&tx, &s->mem.tx, &s->tx_bell));
	for (i = 0; i < (uint64_t)s->records; i++) {
		while ((ret = mbuf_ring_push(&tx, &i, sizeof(i), MBUF_NOW))) {
			MUST(ret == -EAGAIN);
			ret = mbuf_ring_tx_arm(&tx, sizeof(i));
			MUST(ret >= 0);
			if (ret)
				continue;
			MUST(epoll_wait(ep, &ev, 1, -1) == 1);
			MUST(!mbuf_ring_tx_disarm(&tx));
		}
	}
	mbuf_ring_tx_end(&tx);
	close(ep);
	return NULL;
}

static void test_epoll(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC), ret;
	uint64_t i = 0, value;
	struct mbuf_ring_rx rx;
	struct stream s;
	pthread_t thread;

	stream_make(&s, 1024, 0, 0);
	MUST(ep >= 0 && !epoll_ctl(ep, EPOLL_CTL_ADD, s.rx_bell.fd, &ev));
	MUST(!mbuf_ring_rx_init(&rx, &s.mem.rx, &s.rx_bell));
	MUST(!pthread_create(&thread, NULL, epoll_send, &s));
	for (;;) {
		ssize_t n = mbuf_ring_pop(&rx, &value, sizeof(value), MBUF_NOW);

		if (n == -EPIPE)
			break;
		if (n == sizeof(value)) {
			MUST(value == i++);
			continue;
		}
		MUST(n == -EAGAIN);
		ret = mbuf_ring_rx_arm(&rx);
		if (ret == -EPIPE)
			break;
		MUST(ret >= 0);
		if (ret)
			continue;
		MUST(epoll_wait(ep, &ev, 1, -1) == 1);
		MUST(!mbuf_ring_rx_disarm(&rx));
	}
	MUST(i == (uint64_t)s.records);
	MUST(!pthread_join(thread, NULL));
	close(ep);
	stream_free(&s);
}

/* ---- sides that are killed ------------------------------------------------- */

/*
 * Producers are killed at any moment and replaced. Each sends records with its
 * generation and a number. What the consumer gets from each of them is a
 * sequence without a gap, and every record is whole.
 */
struct mark {
	uint64_t generation;
	uint64_t number;
	uint64_t len;
	uint64_t sum;
};

static void kill_producer(struct stream *s, uint64_t generation)
{
	uint32_t max = mbuf_ring_max(s->mem.tx.size);
	uint64_t seed = generation * 0x9e3779b97f4a7c15 + 1, number;
	struct mbuf_ring_tx tx;

	MUST(!mbuf_ring_tx_init(&tx, &s->mem.tx, &s->tx_bell));
	mbuf_ring_set_spin(&tx.side, 0);
	for (number = 0; ; number++) {
		uint64_t x = rnd(&seed);
		size_t len = sizeof(struct mark) +
			     (x >> 32) % (max - sizeof(struct mark) + 1);
		struct mark mark = { generation, number, len,
				     generation * 7 + number * 3 + len };
		void *data;

		if (x & 8)
			len = sizeof(struct mark);
		mark.len = len;
		mark.sum = generation * 7 + number * 3 + len;
		MUST(!mbuf_ring_loan(&tx, len, &data, MBUF_FOREVER));
		memcpy(data, &mark, sizeof(mark));
		fill((unsigned char *)data + sizeof(mark), len - sizeof(mark),
		     number);
		if (x & 3)
			MUST(!mbuf_ring_commit(&tx, len, 1));
		else
			MUST(!mbuf_ring_stage(&tx, len, 1));
	}
}

static void test_kill_producer(void)
{
	uint64_t generation, got = 0, next = 0, current = 0, seed = 5;
	struct mbuf_ring_rec rec;
	struct mbuf_ring_rx rx;
	struct stream s;
	struct mark mark;
	int ret;

	stream_make(&s, 2048, 0, 0);
	MUST(!mbuf_ring_rx_init(&rx, &s.mem.rx, &s.rx_bell));
	mbuf_ring_set_spin(&rx.side, 0);
	for (generation = 1; generation <= (uint64_t)thousands; generation++) {
		long lives = (long)(rnd(&seed) % 400);
		pid_t pid;

		/* Its death is seen at the doorbell, so each has its own. */
		close(s.tx_bell.fd);
		close(s.rx_bell.fd);
		bell_pair(&s.tx_bell, &s.rx_bell);
		pid = fork_child();
		if (!pid) {
			close(s.rx_bell.fd);
			kill_producer(&s, generation);
			_exit(1);
		}
		close(s.tx_bell.fd);
		for (;;) {
			ret = mbuf_ring_peek(&rx, &rec, MBUF_FOREVER);
			if (ret == -EPIPE)
				break;
			MUST(ret == 0);
			MUST(rec.len >= sizeof(mark));
			memcpy(&mark, rec.data, sizeof(mark));
			MUST(mark.len == rec.len);
			MUST(mark.sum == mark.generation * 7 +
					 mark.number * 3 + mark.len);
			MUST(is_filled((const unsigned char *)rec.data +
				       sizeof(mark), rec.len - sizeof(mark),
				       mark.number));
			if (mark.generation != current) {
				MUST(mark.generation > current);
				current = mark.generation;
				next = 0;
			}
			MUST(mark.number == next++);
			mbuf_ring_release(&rx);
			got++;
			if (lives-- == 0)
				kill(pid, SIGKILL);
		}
		must_be_killed(pid);
	}
	MUST(got > (uint64_t)thousands * 50);
	stream_free(&s);
}

/* Consumers are killed, and others go on where they had given back. */
static void kill_consumer(struct stream *s, volatile uint64_t *seen)
{
	unsigned char out[64];
	struct mbuf_ring_rec rec;
	struct mbuf_ring_rx rx;
	uint64_t value, next = 0, seed = 9;
	bool first = true;

	MUST(!mbuf_ring_rx_init(&rx, &s->mem.rx, &s->rx_bell));
	mbuf_ring_set_spin(&rx.side, 0);
	for (;;) {
		if (rnd(&seed) & 3) {
			MUST(!mbuf_ring_peek(&rx, &rec, MBUF_FOREVER));
			MUST(rec.len >= 8);
			memcpy(&value, rec.data, 8);
		} else {
			MUST(mbuf_ring_pop(&rx, out, sizeof(out),
					   MBUF_FOREVER) >= 8);
			memcpy(&value, out, 8);
		}
		/*
		 * Again from some point on, but without a gap. The last one may
		 * have died after it gave a record back, before it said so.
		 */
		MUST(first ? value <= *seen + 2 : value == next);
		first = false;
		next = value + 1;
		if (value > *seen)
			*seen = value;
		if (value % 7 == 0)
			mbuf_ring_release(&rx);
	}
}

static void test_kill_consumer(void)
{
	volatile uint64_t *seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t number = 0, seed = 3;
	unsigned char buf[64] = { 0 };
	struct stream s;
	long generation;

	MUST(seen != MAP_FAILED);
	stream_make(&s, 2048, 0, 0);
	for (generation = 0; generation < thousands; generation++) {
		long lives = (long)(rnd(&seed) % 400);
		struct mbuf_ring_tx tx;
		pid_t pid;
		int ret;

		close(s.tx_bell.fd);
		close(s.rx_bell.fd);
		bell_pair(&s.tx_bell, &s.rx_bell);
		pid = fork_child();
		if (!pid) {
			close(s.tx_bell.fd);
			kill_consumer(&s, seen);
			_exit(1);
		}
		close(s.rx_bell.fd);
		MUST(!mbuf_ring_tx_init(&tx, &s.mem.tx, &s.tx_bell));
		mbuf_ring_set_spin(&tx.side, 0);
		for (;;) {
			uint64_t value = number + 1;

			memcpy(buf, &value, 8);
			ret = mbuf_ring_push(&tx, buf, 8 + value % 50,
					     MBUF_FOREVER);
			if (ret == -EPIPE)
				break;
			MUST(!ret);
			number++;
			if (lives-- == 0)
				kill(pid, SIGKILL);
		}
		must_be_killed(pid);
		/* The one that failed may have got in. */
		{
			struct mbuf_ring_rec rec;
			struct mbuf_ring_rx rx;
			uint64_t last = number;

			MUST(!mbuf_ring_rx_init(&rx, &s.mem.rx, NULL));
			while (!mbuf_ring_peek(&rx, &rec, MBUF_NOW))
				memcpy(&last, rec.data, 8);
			MUST(last == number || last == number + 1);
			number = last;
		}
	}
	stream_free(&s);
}

/* ---- no system call while both run ----------------------------------------- */

static volatile char dispatch;	/* 0: SYSCALL_DISPATCH_FILTER_ALLOW */
static volatile sig_atomic_t syscalls;

static void on_sigsys(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	dispatch = 0;
	syscalls++;
}

struct quiet {
	struct memory mem;
	struct mbuf_ring_bell tx_bell, rx_bell;
	unsigned int ready;
	long records;
};

static void quiet_meet(struct quiet *q)
{
	__atomic_add_fetch(&q->ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&q->ready, __ATOMIC_SEQ_CST) % 2)
		sched_yield();
}

/* Any system call from here on is refused with a signal. */
static bool quiet_begin(void)
{
	struct sigaction act = { .sa_sigaction = on_sigsys,
				 .sa_flags = SA_SIGINFO };

	MUST(!sigaction(SIGSYS, &act, NULL));
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0,
		  &dispatch))
		return false;
	dispatch = 1;	/* SYSCALL_DISPATCH_FILTER_BLOCK */
	return true;
}

static void quiet_end(void)
{
	dispatch = 0;
	MUST(!prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0,
		    0));
	MUST(syscalls == 0);
}

static void quiet_send(struct quiet *q)
{
	struct mbuf_ring_tx tx;
	uint64_t i;

	MUST(!mbuf_ring_tx_init(&tx, &q->mem.tx, &q->tx_bell));
	quiet_meet(q);
	MUST(quiet_begin());
	for (i = 0; i < (uint64_t)q->records; i++)
		while (mbuf_ring_push(&tx, &i, sizeof(i), MBUF_NOW))
			;
	quiet_end();
	MUST(stats(&tx.side).rings == 0);
}

static int test_quiet(void)
{
	struct quiet *q = mmap(NULL, sizeof(*q), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct mbuf_ring_rx rx;
	uint64_t i, value = 0;
	pid_t pid;

	MUST(q != MAP_FAILED);
	memory_make(&q->mem, 4096);
	bell_pair(&q->tx_bell, &q->rx_bell);
	q->records = thousands * 1000;
	/* It has to notice one, or it shows nothing. */
	if (!quiet_begin()) {
		printf("the kernel cannot refuse system calls for a test\n");
		return 77;
	}
	(void)syscall(SYS_getppid);
	MUST(syscalls == 1);
	syscalls = 0;
	quiet_end();
	pid = fork_child();
	if (!pid) {
		quiet_send(q);
		_exit(0);
	}
	MUST(!mbuf_ring_rx_init(&rx, &q->mem.rx, &q->rx_bell));
	quiet_meet(q);
	MUST(quiet_begin());
	for (i = 0; i < (uint64_t)q->records; i++) {
		while (mbuf_ring_pop(&rx, &value, sizeof(value), MBUF_NOW) < 0)
			;
		if (value != i)
			break;
	}
	quiet_end();
	MUST(i == (uint64_t)q->records);
	MUST(stats(&rx.side).rings == 0);
	must_exit_0(pid);
	return 0;
}

int main(int argc, char **argv)
{
	const char *test = argc > 1 ? argv[1] : "";
	unsigned int i;
	int ret = 0;

	alarm(240);
	for (i = 0; i < 2; i++) {
		if (argc == 9 && !strcmp(test, sides[i].name)) {
			test_side(i, argv + 2);
			return 0;
		}
	}
	if (argc > 2)
		thousands = atol(argv[2]);
	if (!strcmp(test, "threads"))
		test_threads();
	else if (!strcmp(test, "processes"))
		test_processes();
	else if (!strcmp(test, "mixed") && argc == 4)
		test_mixed(argv[3]);
	else if (!strcmp(test, "pingpong"))
		test_pingpong();
	else if (!strcmp(test, "epoll"))
		test_epoll();
	else if (!strcmp(test, "kill-producer"))
		test_kill_producer();
	else if (!strcmp(test, "kill-consumer"))
		test_kill_consumer();
	else if (!strcmp(test, "quiet"))
		ret = test_quiet();
	else
		MUST(!"there is such a test");
	return ret;
}
