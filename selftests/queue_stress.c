// SPDX-License-Identifier: GPL-2.0
/*
 * Many senders, many receivers, all ways to send and to receive, in any mix:
 * nothing may be lost, doubled, empty, torn or out of a sender's order. Then
 * the same while participants are killed.
 *
 * Every message carries its sender, its number and a checksum. All that is
 * known about it is kept in shared memory, so that it outlives who knew it:
 *
 *  - A sender notes how far it is going to get before each call (attempted),
 *    and how far it has got after it (completed). What a sender has sent is
 *    thus the numbers below some m, with completed <= m <= attempted.
 *  - A receiver has its room in shared memory. It cleans the room, makes its
 *    call, checks the message and enters it in the log, by one atomic exchange
 *    which shows if it was there before.
 *  - So of a receiver that was killed, what it had taken but not logged is in
 *    its room, whole. A message that is in no log and in no dead receiver's
 *    room was lost.
 *
 * In the end the messages of each sender must be 0 to m - 1 with such an m, and
 * the queue's own counters must agree with the number of them all.
 *
 * The environment can change how long it takes:
 *	MBUF_STRESS_SECONDS	for all tests together, 150 by default
 *	MBUF_STRESS_ALL		every mix in every mode, not only in two
 *	MBUF_STRESS_SEED	for the random choices
 */
#include "util.h"

#define MAX_SENDERS	400	/* the respawned ones included */
#define MAX_RECEIVERS	400
#define MAX_NUMBERS	16384	/* messages of a sender */
#define BATCH		8
#define MAGIC		0x6d627566u

#define SEQ_UNKNOWN	UINT32_MAX

struct header {
	uint32_t magic;
	uint32_t sender;
	uint32_t num;
	uint32_t len;		/* of the whole message */
	uint32_t sum;		/* of all but the header */
};

#define MIN_LEN		sizeof(struct header)
/* Some messages do not fit into a slot, whatever size that has. */
#define MAX_LEN		6400

struct sender_log {
	_Atomic uint32_t attempted, completed;
	/* Sequence numbers of what has been received, 0: not received. */
	_Atomic uint32_t seq[MAX_NUMBERS];
};

struct receiver_log {
	uint8_t room[BATCH][MAX_LEN];
};

struct shared {
	_Atomic bool stop;
	_Atomic uint32_t errors;
	_Atomic uint32_t progress;
	_Atomic uint32_t bent;		/* a sender's order, for a receiver */
	struct sender_log sender[MAX_SENDERS];
	struct receiver_log receiver[MAX_RECEIVERS];
};

enum kind { SENDER, RECEIVER };

struct part {
	enum kind kind;
	uint32_t id;
	int rfd, sfd;
	bool process;
	bool spins;	/* never sleeps */
	uint32_t prio;
	unsigned int seed;
	struct shared *sh;
	pthread_t thread;
	pid_t pid;
	bool alive;
	_Atomic bool done;
};

static unsigned int rnd(struct part *p, unsigned int n)
{
	return (unsigned int)rand_r(&p->seed) / 7 % n;
}

static void complain(struct part *p, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A few will do. */
	if (atomic_fetch_add(&p->sh->errors, 1) < 20)
		fprintf(stderr, "# %s %u: %s\n",
			p->kind == SENDER ? "sender" : "receiver", p->id, text);
}

static uint32_t checksum(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 2166136261u, word;

	for (; len >= 4; p += 4, len -= 4) {
		memcpy(&word, p, 4);
		sum = (sum ^ word) * 16777619u;
		sum = sum << 5 | sum >> 27;
	}
	while (len--)
		sum = (sum ^ *p++) * 16777619u;
	return sum;
}

/*
 * Senders
 */
static uint32_t make_message(struct part *p, uint8_t *buf, uint32_t num)
{
	struct header h = { .magic = MAGIC, .sender = p->id, .num = num };
	uint32_t kind = rnd(p, 100), i, x = p->id * 7919 + num;

	/* Most are small; some are near the slots' size, and above. */
	if (kind < 85)
		h.len = MIN_LEN + rnd(p, 200);
	else if (kind < 95)
		h.len = MIN_LEN + rnd(p, 3000);
	else
		h.len = 4080 + rnd(p, MAX_LEN - 4080);
	for (i = sizeof(h); i < h.len; i++) {
		x = x * 1664525 + 1013904223;
		buf[i] = (uint8_t)(x >> 24);
	}
	h.sum = checksum(buf + sizeof(h), h.len - (uint32_t)sizeof(h));
	memcpy(buf, &h, sizeof(h));
	return h.len;
}

static void wait_a_little(struct part *p, short events)
{
	struct pollfd pfd = {
		.fd = p->kind == SENDER ? p->sfd : p->rfd,
		.events = events,
	};

	if (!p->spins)
		poll(&pfd, 1, 20);
	else if (rnd(p, 8) == 0)
		sched_yield();
}

/* One call; how many of the nr messages went, or -errno. */
static int send_somehow(struct part *p, struct mbuf_msg *m, unsigned int nr)
{
	void *buf = (void *)(uintptr_t)m->buf;
	struct iovec iov = { buf, m->len };
	uint32_t how;
	long ret;

	if (nr > 1) {
		switch (p->spins ? 2 : rnd(p, 3)) {
		case 0:
			return mbuf_send_batch(p->sfd, m, nr, rnd(p, nr) + 1,
					       MBUF_FOREVER);
		case 1:
			return mbuf_send_batch(p->sfd, m, nr, nr,
					       in_ms(rnd(p, 5)));
		default:
			ret = mbuf_send_batch(p->sfd, m, nr, 0, MBUF_NOW);
			if (ret == -EAGAIN)
				wait_a_little(p, POLLOUT);
			return (int)ret;
		}
	}
	if (p->spins)
		how = m->prio || rnd(p, 2) ? 2 : 5;
	else
		how = rnd(p, m->prio ? 3 : 6);
	switch (how) {
	case 0:
		ret = mbuf_send_msg(p->sfd, m, MBUF_FOREVER);
		break;
	case 1:
		ret = mbuf_send_msg(p->sfd, m, in_ms(rnd(p, 5)));
		break;
	case 2:
		ret = mbuf_send_msg(p->sfd, m, MBUF_NOW);
		if (ret == -EAGAIN)
			wait_a_little(p, POLLOUT);
		break;
	case 3:
		ret = xwrite(p->sfd, buf, m->len);
		break;
	case 4:
		ret = sys_result(writev(p->sfd, &iov, 1));
		break;
	default:
		ret = sys_result(pwritev2(p->sfd, &iov, 1, -1, RWF_NOWAIT));
		if (ret == -EAGAIN)
			wait_a_little(p, POLLOUT);
		break;
	}
	if (ret > 0 && ret != (long)m->len)
		complain(p, "sent %ld of %u bytes", ret, m->len);
	return ret < 0 ? (int)ret : 1;
}

static void run_sender(struct part *p)
{
	struct sender_log *log = &p->sh->sender[p->id];
	uint8_t (*buf)[MAX_LEN] = malloc(BATCH * sizeof(*buf));
	uint32_t num = 0, made = 0, i, nr;
	struct mbuf_msg m[BATCH];
	int ret;

	if (!buf) {
		complain(p, "no memory");
		return;
	}
	while (!p->sh->stop && num < MAX_NUMBERS) {
		nr = rnd(p, 3) ? 1 : 1 + rnd(p, BATCH);
		if (nr > MAX_NUMBERS - num)
			nr = MAX_NUMBERS - num;
		/* A message that was made and not sent is sent as it is. */
		if (made < num)
			made = num;
		for (i = 0; i < nr; i++) {
			uint8_t *b = buf[(num + i) % BATCH];
			struct header h;

			if (num + i == made) {
				make_message(p, b, made);
				made++;
			}
			memcpy(&h, b, sizeof(h));
			m[i] = msg_of(b, h.len);
			m[i].prio = p->prio;
		}
		atomic_store(&log->attempted, num + nr);
		ret = send_somehow(p, m, nr);
		if (ret > 0) {
			num += (uint32_t)ret;
			atomic_store(&log->completed, num);
			atomic_fetch_add(&p->sh->progress, 1);
		} else if (ret != -EAGAIN && ret != -ETIMEDOUT &&
			   ret != -EINTR) {
			complain(p, "%s", mbuf_strerror(ret));
			break;
		}
	}
	/* It lives: what it attempts is known. */
	atomic_store(&log->attempted, num);
	free(buf);
}

/*
 * Receivers
 */

/* Is there a whole message in this room? Trusts nothing in it. */
static bool whole(const uint8_t *room, struct header *h)
{
	memcpy(h, room, sizeof(*h));
	return h->magic == MAGIC && h->sender < MAX_SENDERS &&
	       h->num < MAX_NUMBERS && h->len >= MIN_LEN && h->len <= MAX_LEN &&
	       h->sum == checksum(room + sizeof(*h),
				  h->len - (uint32_t)sizeof(*h));
}

static void take(struct part *p, const uint8_t *room, long len, uint32_t seq,
		 uint32_t *next)
{
	struct header h;

	if (!whole(room, &h) || len != (long)h.len) {
		complain(p, "got %ld bytes that are no message", len);
		return;
	}
	if (atomic_exchange(&p->sh->sender[h.sender].seq[h.num], seq))
		complain(p, "message %u of sender %u is here twice", h.num,
			 h.sender);
	if (h.num < next[h.sender])
		atomic_fetch_add(&p->sh->bent, 1);
	else
		next[h.sender] = h.num + 1;
	atomic_fetch_add(&p->sh->progress, 1);
}

static void run_receiver(struct part *p)
{
	struct receiver_log *log = &p->sh->receiver[p->id];
	uint32_t *next = calloc(MAX_SENDERS, sizeof(*next)), how, i, nr;
	struct mbuf_msg m[BATCH];
	struct iovec iov;
	long ret = 1;

	if (!next) {
		complain(p, "no memory");
		return;
	}
	for (;;) {
		how = p->spins ? 2 + 3 * rnd(p, 3) : rnd(p, 9);
		nr = how > 5 ? 1 + rnd(p, BATCH) : 1;
		for (i = 0; i < nr; i++) {
			memset(log->room[i], 0, sizeof(struct header));
			m[i] = msg_of(log->room[i], MAX_LEN);
		}
		/* Clean, before anything is put into it. */
		atomic_thread_fence(memory_order_seq_cst);
		iov.iov_base = log->room[0];
		iov.iov_len = MAX_LEN;
		switch (how) {
		case 0:
			ret = mbuf_recv_msg(p->rfd, m, MBUF_FOREVER);
			break;
		case 1:
			ret = mbuf_recv_msg(p->rfd, m, in_ms(rnd(p, 5)));
			break;
		case 2:
			ret = mbuf_recv_msg(p->rfd, m, MBUF_NOW);
			break;
		case 3:
			ret = xread(p->rfd, log->room[0], MAX_LEN);
			break;
		case 4:
			ret = sys_result(readv(p->rfd, &iov, 1));
			break;
		case 5:
			ret = sys_result(preadv2(p->rfd, &iov, 1, -1,
						 RWF_NOWAIT));
			break;
		case 6:
			ret = mbuf_recv_batch(p->rfd, m, nr, 1 + rnd(p, nr),
					      MBUF_FOREVER);
			break;
		case 7:
			ret = mbuf_recv_batch(p->rfd, m, nr, nr,
					      in_ms(rnd(p, 5)));
			break;
		default:
			ret = mbuf_recv_batch(p->rfd, m, nr, 0, MBUF_NOW);
			break;
		}
		if (ret == -EPIPE || (ret == 0 && how >= 3 && how <= 5))
			break;
		if (ret == -EAGAIN)
			wait_a_little(p, POLLIN);
		if (ret == -EAGAIN || ret == -ETIMEDOUT || ret == -EINTR)
			continue;
		if (ret < 0) {
			complain(p, "%s", mbuf_strerror((int)ret));
			break;
		}
		if (how >= 3 && how <= 5) {
			take(p, log->room[0], ret, SEQ_UNKNOWN, next);
			continue;
		}
		if (how < 3)
			ret = 1;
		for (i = 0; i < (uint32_t)ret; i++)
			take(p, log->room[i], m[i].len, (uint32_t)m[i].seq,
			     next);
	}
	free(next);
}

/*
 * Starting and ending them
 */
static int part_main(void *arg)
{
	struct part *p = arg;

	if (p->kind == SENDER)
		run_sender(p);
	else
		run_receiver(p);
	return 0;
}

static int part_process(void *arg)
{
	struct part *p = arg;

	/* Or there would never be an end of file. */
	close(p->kind == SENDER ? p->rfd : p->sfd);
	return part_main(p);
}

static void *part_thread(void *arg)
{
	struct part *p = arg;

	part_main(p);
	atomic_store(&p->done, true);
	return NULL;
}

static bool part_start(struct part *p)
{
	p->done = false;
	if (p->process) {
		p->pid = spawn(part_process, p);
		p->alive = p->pid > 0;
	} else {
		p->alive = !pthread_create(&p->thread, NULL, part_thread, p);
	}
	return p->alive;
}

/* Has it ended by itself? */
static bool part_ended(struct part *p)
{
	int status;

	if (!p->alive)
		return true;
	if (p->process) {
		if (waitpid(p->pid, &status, WNOHANG) != p->pid)
			return false;
		if (status)
			complain(p, "ended with status %#x", status);
	} else {
		if (!atomic_load(&p->done))
			return false;
		pthread_join(p->thread, NULL);
	}
	p->alive = false;
	return true;
}

/* Waits for all of one kind; false if nothing has moved for a long time. */
static bool parts_end(struct part *parts, uint32_t nr, enum kind kind,
		      struct shared *sh)
{
	uint32_t i, seen = sh->progress;
	uint64_t give_up = now_ns() + PATIENCE_NS;
	bool all;

	for (;;) {
		all = true;
		for (i = 0; i < nr; i++)
			if (parts[i].kind == kind && !part_ended(&parts[i]))
				all = false;
		if (all)
			return true;
		if (seen != sh->progress) {
			seen = sh->progress;
			give_up = now_ns() + PATIENCE_NS;
		}
		if (now_ns() > give_up)
			return false;
		nap();
	}
}

/*
 * One run
 */
enum mode { THREADS, PROCESSES, SPINNING, SIGNALS, KILL_SENDERS,
	    KILL_RECEIVERS, KILL_ANY };

struct run {
	enum mode mode;
	uint32_t senders, receivers;
	uint64_t ns;
	uint32_t killed_senders, killed_receivers;
	uint32_t nr_senders, nr_receivers;	/* ids used */
	uint64_t messages;
};

static bool verify(struct run *r, struct shared *sh, int rfd)
{
	struct mbuf_queue_info info = get_info(rfd);
	uint64_t total = 0, in_rooms = 0;
	uint32_t s, n, i, b;
	bool good = true;
	uint8_t *taken;	/* by the dead: bit per message */
	uint8_t *seqs;

#define WRONG(fmt, ...) do {						\
	fprintf(stderr, "# wrong: " fmt "\n", ##__VA_ARGS__);		\
	good = false;							\
} while (0)

	taken = calloc(r->nr_senders, MAX_NUMBERS);
	seqs = calloc(1, info.sent + 1);
	if (!taken || !seqs) {
		WRONG("no memory");
		goto out;
	}
	if (sh->errors)
		WRONG("%u errors", sh->errors);
	/* Whoever lived has logged all that it took: only then rooms count. */
	if (r->killed_receivers) {
		for (i = 0; i < r->nr_receivers; i++) {
			for (b = 0; b < BATCH; b++) {
				struct header h;

				if (whole(sh->receiver[i].room[b], &h) &&
				    h.sender < r->nr_senders)
					taken[h.sender * MAX_NUMBERS + h.num] =
						1;
			}
		}
	}
	for (s = 0; s < r->nr_senders; s++) {
		struct sender_log *log = &sh->sender[s];
		uint32_t m = 0, last = 0;

		for (n = 0; n < MAX_NUMBERS; n++) {
			uint32_t seq = log->seq[n];

			if (!seq && !taken[s * MAX_NUMBERS + n])
				continue;
			if (n != m) {
				WRONG("messages %u to %u of sender %u are lost",
				      m, n - 1, s);
				m = n;
			}
			m++;
			total++;
			in_rooms += !seq;
			if (!seq || seq == SEQ_UNKNOWN)
				continue;
			if (seq <= last)
				WRONG("message %u of sender %u has overtaken",
				      n, s);
			last = seq;
			if (seq > info.sent || seqs[seq])
				WRONG("sequence number %u is wrong", seq);
			else
				seqs[seq] = 1;
		}
		if (m < log->completed)
			WRONG("messages %u to %u of sender %u are lost", m,
			      log->completed - 1, s);
		if (m > log->attempted)
			WRONG("%u messages of sender %u, who sent %u", m, s,
			      log->attempted);
	}
	if (info.sent != total || info.received != total)
		WRONG("%llu messages, but the queue says %llu in and %llu out",
		      (unsigned long long)total, (unsigned long long)info.sent,
		      (unsigned long long)info.received);
	if (info.depth || info.send_waiters || info.recv_waiters ||
	    info.senders || info.dropped || info.refused)
		WRONG("the queue is not at rest");
	/* A receiver that dies gives back what it had not copied out yet. */
	if (sh->bent > r->killed_receivers * BATCH)
		WRONG("%u messages out of their sender's order", sh->bent);
	if (in_rooms > (uint64_t)r->killed_receivers * BATCH)
		WRONG("%llu messages taken by the dead",
		      (unsigned long long)in_rooms);
	if (!total)
		WRONG("no message at all");
	r->messages = total;
#undef WRONG
out:
	free(taken);
	free(seqs);
	return good;
}

static bool do_run(struct run *r, int session, unsigned int *seed)
{
	uint32_t nr = r->senders + r->receivers, i, flags = 0, slots;
	struct part *parts = calloc(nr, sizeof(*parts));
	struct shared *sh = map_shared(sizeof(*sh));
	bool good = false, process = r->mode != THREADS &&
				     r->mode != SPINNING && r->mode != SIGNALS;
	struct mbuf_queue_info info;
	int rfd = -1, sfd = -1;
	uint64_t end;

	if (!parts || !sh)
		return false;
	slots = rand_r(seed) % 2 ? 1 + (uint32_t)rand_r(seed) % 8 :
				   1 + (uint32_t)rand_r(seed) % 100;
	/* Few, so that those who do not sleep meet at both ends. */
	if (r->mode == SPINNING)
		slots = 1 + slots % 3;
	if (rand_r(seed) % 3 == 0)
		flags |= MBUF_QUEUE_PRIO;
	if (rand_r(seed) % 3 == 0)
		flags |= MBUF_QUEUE_CREDS;
	if (mbuf_queue_create(session, slots, MAX_LEN, flags, &rfd, &sfd))
		goto out;
	for (i = 0; i < nr; i++) {
		struct part *p = &parts[i];

		p->kind = i < r->senders ? SENDER : RECEIVER;
		p->id = p->kind == SENDER ? r->nr_senders++ :
					    r->nr_receivers++;
		p->rfd = rfd;
		p->sfd = sfd;
		p->process = process;
		p->spins = r->mode == SPINNING;
		/* The same for all of a sender's: they stay in order. */
		p->prio = p->kind == SENDER && flags & MBUF_QUEUE_PRIO ?
			  p->id % 4 : 0;
		p->seed = (unsigned int)rand_r(seed);
		p->sh = sh;
		if (!part_start(p))
			goto out;
	}

	end = now_ns() + r->ns;
	while (now_ns() < end) {
		const struct timespec ts = {
			.tv_nsec = 100000 + rand_r(seed) % 10000000,
		};
		struct part *p = &parts[(uint32_t)rand_r(seed) % nr];

		nanosleep(&ts, NULL);
		if (r->mode == SIGNALS) {
			for (i = 0; i < nr; i++)
				if (rand_r(seed) % 4 == 0)
					pthread_kill(parts[i].thread, SIGUSR1);
			continue;
		}
		if (r->mode < KILL_SENDERS ||
		    (r->mode == KILL_SENDERS && p->kind != SENDER) ||
		    (r->mode == KILL_RECEIVERS && p->kind != RECEIVER))
			continue;
		if (p->kind == SENDER ? r->nr_senders == MAX_SENDERS :
					r->nr_receivers == MAX_RECEIVERS)
			continue;
		/* A sender that has sent all it can has ended by itself. */
		if (!part_ended(p)) {
			int how = kill_and_reap(p->pid);

			p->alive = false;
			if (how == 128 + SIGKILL && p->kind == SENDER)
				r->killed_senders++;
			else if (how == 128 + SIGKILL)
				r->killed_receivers++;
			else if (how)
				complain(p, "ended with code %d", how);
		}
		p->id = p->kind == SENDER ? r->nr_senders++ :
					    r->nr_receivers++;
		p->seed = (unsigned int)rand_r(seed);
		if (p->prio)
			p->prio = 1 + p->id % 3;
		if (!part_start(p))
			goto out;
	}

	/* Senders stop, receivers go on to the end. */
	sh->stop = true;
	if (!parts_end(parts, nr, SENDER, sh)) {
		fprintf(stderr, "# senders do not come to an end\n");
		goto out;
	}
	close_fd(&sfd);
	if (!parts_end(parts, nr, RECEIVER, sh)) {
		fprintf(stderr, "# receivers do not come to an end\n");
		goto out;
	}
	good = verify(r, sh, rfd);
out:
	if (!good) {
		info = get_info(rfd);
		fprintf(stderr,
			"# mode %d, %u senders, %u receivers, %u slots, flags %#x: depth %u, asleep %u + %u, %llu in, %llu out\n",
			r->mode, r->senders, r->receivers, slots, flags,
			info.depth, info.send_waiters, info.recv_waiters,
			(unsigned long long)info.sent,
			(unsigned long long)info.received);
		/* Threads cannot be ended: leave all as it is, and fail. */
		if (!process)
			return false;
		for (i = 0; i < nr; i++)
			if (parts[i].alive)
				kill_and_reap(parts[i].pid);
	}
	close_fd(&sfd);
	close_fd(&rfd);
	munmap(sh, page_round(sizeof(*sh)));
	free(parts);
	return good;
}

/*
 * The tests: one for each number of senders
 */
static unsigned long env_number(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value && *value ? strtoul(value, NULL, 10) : otherwise;
}

FIXTURE(stress) {
	FIXTURE_DATA(queue) base;
	unsigned int seed, first_seed;
	uint64_t slice_ns;
};

FIXTURE_VARIANT(stress) {
	uint32_t senders;
};

FIXTURE_VARIANT_ADD(stress, senders_1) { .senders = 1 };
FIXTURE_VARIANT_ADD(stress, senders_2) { .senders = 2 };
FIXTURE_VARIANT_ADD(stress, senders_4) { .senders = 4 };
FIXTURE_VARIANT_ADD(stress, senders_8) { .senders = 8 };
FIXTURE_VARIANT_ADD(stress, senders_16) { .senders = 16 };

static const uint32_t receivers[] = { 1, 2, 4, 8, 16 };

/* How long a mode's runs are, in slices. */
static const uint32_t weight[] = {
	[THREADS] = 1,
	[PROCESSES] = 1,
	[SPINNING] = 2,
	[SIGNALS] = 2,
	[KILL_SENDERS] = 2,
	[KILL_RECEIVERS] = 2,
	[KILL_ANY] = 2,
};

/* Every mix, or one per number of senders? */
static bool every_mix(enum mode mode)
{
	return mode < SPINNING || env_number("MBUF_STRESS_ALL", 0);
}

FIXTURE_SETUP(stress)
{
	uint32_t slices = 0;
	enum mode mode;

	queue_setup(_metadata, &self->base, NULL);
	self->first_seed = (unsigned int)
		env_number("MBUF_STRESS_SEED", (unsigned long)now_ns());
	self->seed = self->first_seed;
	for (mode = THREADS; mode <= KILL_ANY; mode++)
		slices += weight[mode] * (every_mix(mode) ? 25 : 5);
	self->slice_ns = env_number("MBUF_STRESS_SECONDS", 150) * NS_PER_SEC /
			 slices;
}

FIXTURE_TEARDOWN(stress)
{
	queue_teardown(_metadata, &self->base, NULL);
}

/* Nothing hangs for long without being noticed: see parts_end(). */
#define STRESS_TIMEOUT	36000

static bool stress(struct _test_data_stress *self, enum mode mode, uint32_t senders)
{
	uint32_t i;

	if (mode == SIGNALS)
		catch_signal(SIGUSR1, 0);
	for (i = 0; i < ARRAY_SIZE(receivers); i++) {
		struct run r = {
			.mode = mode,
			.senders = senders,
			.receivers = receivers[i],
			.ns = self->slice_ns * weight[mode],
		};

		/* One: many senders with few receivers, and vice versa. */
		if (!every_mix(mode) && senders * receivers[i] != 16)
			continue;
		if (!do_run(&r, self->base.session, &self->seed)) {
			fprintf(stderr, "# seed %u\n", self->first_seed);
			return false;
		}
		if (mode >= KILL_SENDERS)
			fprintf(stderr,
				"# %u x %u: %llu messages, killed %u senders and %u receivers\n",
				senders, r.receivers,
				(unsigned long long)r.messages,
				r.killed_senders, r.killed_receivers);
		else
			fprintf(stderr, "# %u x %u: %llu messages\n", senders,
				r.receivers, (unsigned long long)r.messages);
		if (mode == SIGNALS)
			catch_signal(SIGUSR1, i % 2 ? SA_RESTART : 0);
	}
	return true;
}

TEST_F_TIMEOUT(stress, threads, STRESS_TIMEOUT)
{
	ASSERT_TRUE(stress(self, THREADS, variant->senders));
}

TEST_F_TIMEOUT(stress, processes, STRESS_TIMEOUT)
{
	ASSERT_TRUE(stress(self, PROCESSES, variant->senders));
}

/* Nobody sleeps: everybody tries again at once. */
TEST_F_TIMEOUT(stress, spinning, STRESS_TIMEOUT)
{
	ASSERT_TRUE(stress(self, SPINNING, variant->senders));
}

TEST_F_TIMEOUT(stress, signals, STRESS_TIMEOUT)
{
	ASSERT_TRUE(stress(self, SIGNALS, variant->senders));
}

TEST_F_TIMEOUT(stress, killed_senders, STRESS_TIMEOUT)
{
	ASSERT_TRUE(stress(self, KILL_SENDERS, variant->senders));
}

TEST_F_TIMEOUT(stress, killed_receivers, STRESS_TIMEOUT)
{
	ASSERT_TRUE(stress(self, KILL_RECEIVERS, variant->senders));
}

TEST_F_TIMEOUT(stress, killed_participants, STRESS_TIMEOUT)
{
	ASSERT_TRUE(stress(self, KILL_ANY, variant->senders));
}

TEST_HARNESS_MAIN
