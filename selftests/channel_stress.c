// SPDX-License-Identifier: GPL-2.0
/*
 * Many threads and processes, all kinds of calls on the same endpoints, with
 * handlers and deaths in between: every signal is taken once, or pending; every
 * value is whole; nothing is left.
 *
 * What a party is about to do and has done is in shared memory, so that it can
 * be seen when it has been killed:
 *
 *  - Each call that waits has an argument of its own there, which is not used
 *    again. How many signals it took the kernel writes into that.
 *  - A party counts what it is going to signal before it does (attempted), and
 *    what it has signalled after it (completed).
 *
 * So for each endpoint, completed <= taken + pending <= attempted, and all are
 * equal if nobody was killed.
 *
 * The environment can change how long it takes:
 *	MBUF_STRESS_SECONDS	for all tests together, 80 by default
 *	MBUF_STRESS_SEED	for the random choices
 */
#include "channel.h"

#define CHANNELS	5
#define ENDS		(2 * CHANNELS)	/* i and i ^ 1 are peers */
#define CALLS		6000		/* of a party */
#define PARTIES		9
#define LOGS		60		/* the respawned ones included */
#define SET		4		/* of WAIT_ANY */

enum kind { NOTHING, TOOK, TOOK_ANY };

struct call {
	uint32_t kind;
	uint8_t end[SET];
	union {
		struct mbuf_exchange x;
		struct mbuf_wait_any any;
	};
};

struct log {
	_Atomic uint32_t calls;
	_Atomic uint64_t attempted[ENDS], completed[ENDS];
	struct call call[CALLS];
};

struct shared {
	_Atomic bool stop, full;
	_Atomic uint32_t errors;
	_Atomic uint64_t progress, busy, again, interrupted;
	struct log log[LOGS];
};

struct player {
	unsigned int id;
	int session;
	int *end;
	bool process;
	unsigned int seed;
	struct shared *sh;
	pthread_t thread;
	pid_t pid;
	_Atomic bool alive;
};

static unsigned int rnd(struct player *p, unsigned int n)
{
	return (unsigned int)rand_r(&p->seed) / 7 % n;
}

static void complain(struct player *p, const char *what, long ret)
{
	if (atomic_fetch_add(&p->sh->errors, 1) < 20)
		fprintf(stderr, "# party %u: %s: %ld\n", p->id, what, ret);
}

static uint64_t soon(struct player *p)
{
	switch (rnd(p, 4)) {
	case 0:
		return MBUF_NOW;
	case 1:
		return 1;
	default:
		return now_ns() + rnd(p, 2000) * 1000;
	}
}

static struct call *next_call(struct player *p)
{
	struct log *l = &p->sh->log[p->id];
	uint32_t n = atomic_load(&l->calls);

	if (n == CALLS) {
		p->sh->full = true;
		return NULL;
	}
	atomic_store(&l->calls, n + 1);
	return &l->call[n];
}

/* The value that it writes: whose, and which. */
static uint64_t stamp(struct player *p)
{
	return (uint64_t)(p->id + 1) << 32 |
	       (atomic_load(&p->sh->log[p->id].calls) + 1);
}

static void check_value(struct player *p, const void *data)
{
	int64_t num = value_num(data);

	if (num < 0 || num >> 32 > LOGS)
		complain(p, "no value", (long)num);
}

static bool exchange(struct player *p, unsigned int e, uint32_t steps)
{
	struct log *l = &p->sh->log[p->id];
	struct call *c = next_call(p);
	bool signals = steps & MBUF_STEP_SIGNAL;
	int ret, tries;

	if (!c)
		return false;
	c->x = xchg_of(steps, stamp(p), soon(p));
	c->x.signals = 0;
	c->end[0] = (uint8_t)e;
	if (steps & MBUF_STEP_WAIT)
		c->kind = TOOK;
	if (signals)
		atomic_fetch_add(&l->attempted[e ^ 1], 1);
	for (tries = 0;; tries++) {
		ret = ch_xchg(p->end[e], &c->x);
		if (signals && (!ret || c->x.done & MBUF_STEP_SIGNAL)) {
			atomic_fetch_add(&l->completed[e ^ 1], 1);
			signals = false;
		}
		if (ret != -EAGAIN && ret != -ETIMEDOUT && ret != -EINTR)
			break;
		if (ret == -EINTR)
			atomic_fetch_add(&p->sh->interrupted, 1);
		/* Give up, or go on where it ended. */
		if (tries == 3 || rnd(p, 2) || p->sh->stop)
			break;
		atomic_fetch_add(&p->sh->again, 1);
		c->x.wait = wait_of(soon(p));
	}
	/* It has not been done, and will not be. */
	if (signals)
		atomic_fetch_sub(&l->attempted[e ^ 1], 1);
	if (ret == -EBUSY)
		atomic_fetch_add(&p->sh->busy, 1);
	else if (ret && ret != -EAGAIN && ret != -ETIMEDOUT && ret != -EINTR)
		complain(p, "EXCHANGE", ret);
	if (!ret && steps & MBUF_STEP_READ)
		check_value(p, c->x.data);
	if (!ret && steps & MBUF_STEP_WAIT && !c->x.signals)
		complain(p, "WAIT without a signal", 0);
	return true;
}

static bool any(struct player *p)
{
	struct mbuf_ref refs[SET];
	struct call *c = next_call(p);
	unsigned int nr = 1 + rnd(p, SET), i, first = rnd(p, ENDS);
	unsigned int step = rnd(p, 2) ? 1 : ENDS - 1;
	int ret;

	if (!c)
		return false;
	for (i = 0; i < nr; i++) {
		c->end[i] = (uint8_t)((first + i * step) % ENDS);
		refs[i] = (struct mbuf_ref){ .fd = p->end[c->end[i]] };
	}
	c->any = any_of(refs, nr, soon(p));
	c->any.signals = 0;
	c->kind = TOOK_ANY;
	ret = ch_any(p->session, &c->any);
	if (ret == -EBUSY)
		atomic_fetch_add(&p->sh->busy, 1);
	else if (ret == -EINTR)
		atomic_fetch_add(&p->sh->interrupted, 1);
	else if (ret && ret != -EAGAIN && ret != -ETIMEDOUT)
		complain(p, "WAIT_ANY", ret);
	if (ret)
		return true;
	check_value(p, c->any.data);
	if (c->any.index >= nr || !c->any.signals || c->any.state)
		complain(p, "WAIT_ANY: wrong result", c->any.index);
	return true;
}

static bool serve(struct player *p)
{
	struct mbuf_event ev[3];
	int n, i;

	n = ch_poll_all(p->session, ev, 1 + rnd(p, 3), soon(p));
	if (n < 0) {
		if (n == -EINTR)
			atomic_fetch_add(&p->sh->interrupted, 1);
		else if (n != -EAGAIN && n != -ETIMEDOUT)
			complain(p, "POLL_ALL", n);
		return true;
	}
	for (i = 0; i < n; i++) {
		if (ev[i].cookie >= ENDS || ev[i].events != MBUF_EVENT_IN)
			complain(p, "POLL_ALL: wrong event", ev[i].events);
		else if (!exchange(p, (unsigned int)ev[i].cookie, STEPS_TAKE))
			return false;
	}
	return true;
}

static bool plain_write(struct player *p, unsigned int e)
{
	struct log *l = &p->sh->log[p->id];
	int ret;

	atomic_fetch_add(&l->attempted[e ^ 1], 1);
	ret = fd_put(p->end[e], stamp(p));
	if (ret)
		complain(p, "write", ret);
	else
		atomic_fetch_add(&l->completed[e ^ 1], 1);
	return true;
}

static void play(struct player *p)
{
	bool more = true;

	while (more && !p->sh->stop) {
		unsigned int e = rnd(p, ENDS), what = rnd(p, 100);

		if (what < 30)
			more = exchange(p, e, STEPS_ALL);
		else if (what < 55)
			more = exchange(p, e, 1 + rnd(p, STEPS_ALL));
		else if (what < 75)
			more = any(p);
		else if (what < 85)
			more = serve(p);
		else if (what < 95)
			more = plain_write(p, e);
		else if (poll_now(p->end[e], POLL_ALL) & ~(POLLIN | POLLOUT))
			complain(p, "poll", e);
		atomic_fetch_add(&p->sh->progress, 1);
	}
}

static void *play_thread(void *arg)
{
	struct player *p = arg;

	play(p);
	atomic_store(&p->alive, false);
	return NULL;
}

static int play_process(void *arg)
{
	struct player *p = arg;

	CHECK_EQ(0, catch_signal(SIGUSR1, p->id % 2 ? SA_RESTART : 0));
	play(p);
	return 0;
}

static bool party_begin(struct player *p)
{
	p->alive = true;
	if (!p->process)
		return !pthread_create(&p->thread, NULL, play_thread, p);
	p->pid = spawn(play_process, p);
	return p->pid > 0;
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

#define TESTS	5

static uint64_t test_time(void)
{
	return env_number("MBUF_STRESS_SECONDS", 80) * NS_PER_SEC / TESTS;
}

static unsigned int seed(void)
{
	return (unsigned int)env_number("MBUF_STRESS_SEED", 1);
}

/* Does it all add up? */
static int check_sums(struct shared *sh, const int *end, bool exact)
{
	uint64_t attempted[ENDS] = {}, completed[ENDS] = {}, taken[ENDS] = {};
	uint64_t all = 0;
	int wrong = 0;
	uint32_t i, k;

	for (i = 0; i < LOGS; i++) {
		struct log *l = &sh->log[i];

		for (k = 0; k < ENDS; k++) {
			attempted[k] += l->attempted[k];
			completed[k] += l->completed[k];
		}
		for (k = 0; k < l->calls; k++) {
			struct call *c = &l->call[k];

			if (c->kind == TOOK)
				taken[c->end[0]] += c->x.signals;
			else if (c->kind == TOOK_ANY && c->any.signals)
				taken[c->end[c->any.index % SET]] +=
					c->any.signals;
		}
	}
	for (k = 0; k < ENDS; k++) {
		struct mbuf_channel_info info = ch_info(end[k]);
		uint64_t have = taken[k] + info.signals;

		all += have;
		if (have < completed[k] || have > attempted[k] ||
		    (exact && completed[k] != attempted[k]) || info.waiters) {
			fprintf(stderr,
				"# endpoint %u: %llu taken and %u pending of %llu to %llu, %u waiters\n",
				k, (unsigned long long)taken[k], info.signals,
				(unsigned long long)completed[k],
				(unsigned long long)attempted[k],
				info.waiters);
			wrong++;
		}
	}
	fprintf(stderr,
		"# %llu calls, %llu signals, %llu times busy, %llu interrupted, %llu called again\n",
		(unsigned long long)sh->progress, (unsigned long long)all,
		(unsigned long long)sh->busy,
		(unsigned long long)sh->interrupted,
		(unsigned long long)sh->again);
	return wrong;
}

enum trouble { NONE, HANDLERS, KILLS };

/* Until somebody's log is full, or the time is over. */
static void one_round(struct __test_metadata *_metadata,
		      struct _test_data_channel *self, enum trouble trouble,
		      unsigned int processes, unsigned int round,
		      uint64_t until)
{
	struct shared *sh = map_shared(sizeof(*sh));
	struct player me = { .seed = seed() + round };
	struct player party[PARTIES] = {};
	unsigned int i, logs = 0, killed = 0;
	uint64_t was = 0, heard;
	int end[ENDS];

	ASSERT_NE(NULL, sh);
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	for (i = 0; i < CHANNELS; i++) {
		struct mbuf_channel_create c = create_of(0, 0);

		c.end[0].cookie = 2 * i;
		c.end[1].cookie = 2 * i + 1;
		ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CHANNEL_CREATE,
				    &c));
		end[2 * i] = c.end[0].ref.fd;
		end[2 * i + 1] = c.end[1].ref.fd;
	}
	for (i = 0; i < PARTIES; i++) {
		party[i] = (struct player){
			.id = logs++,
			.session = self->session,
			.end = end,
			.process = i < processes,
			.seed = seed() * 1000 + round * PARTIES + i + 1,
			.sh = sh,
		};
		ASSERT_TRUE(party_begin(&party[i]));
	}
	heard = now_ns();
	while (now_ns() < until && !sh->full) {
		struct player *p = &party[rnd(&me, PARTIES)];

		nap();
		if (sh->progress != was) {
			was = sh->progress;
			heard = now_ns();
		}
		/* Every wait has a deadline: none of them can be stuck. */
		ASSERT_GT(heard + PATIENCE_NS, now_ns());
		if (trouble == HANDLERS && p->alive) {
			if (p->process)
				kill(p->pid, SIGUSR1);
			else
				pthread_kill(p->thread, SIGUSR1);
		}
		if (trouble == KILLS && p->process && logs < LOGS &&
		    !rnd(&me, 20)) {
			int ret = kill_and_reap(p->pid);

			/* It may have come to its end by itself. */
			ASSERT_TRUE(ret == 128 + SIGKILL || !ret);
			killed++;
			p->id = logs++;
			ASSERT_TRUE(party_begin(p));
		}
	}
	sh->stop = true;
	for (i = 0; i < PARTIES; i++) {
		if (!party[i].process) {
			pthread_join(party[i].thread, NULL);
			continue;
		}
		EXPECT_EQ(0, reap(party[i].pid));
	}
	EXPECT_EQ(0, sh->errors);
	EXPECT_EQ(0, check_sums(sh, end, trouble != KILLS));
	if (trouble == KILLS)
		TH_LOG("%u killed", killed);
	for (i = 0; i < ENDS; i++)
		close(end[i]);
	munmap(sh, sizeof(*sh));
}

static void stress(struct __test_metadata *_metadata,
		   struct _test_data_channel *self, enum trouble trouble,
		   unsigned int processes)
{
	uint64_t until = now_ns() + test_time();
	unsigned int round;

	for (round = 0; now_ns() < until; round++)
		one_round(_metadata, self, trouble, processes, round, until);
}

/* That nothing is stuck is seen earlier. */
#define STRESS_TIMEOUT	36000

TEST_F_TIMEOUT(channel, threads, STRESS_TIMEOUT)
{
	stress(_metadata, self, NONE, 0);
}

TEST_F_TIMEOUT(channel, threads_and_processes_with_handlers, STRESS_TIMEOUT)
{
	stress(_metadata, self, HANDLERS, PARTIES / 2);
}

TEST_F_TIMEOUT(channel, processes_are_killed, STRESS_TIMEOUT)
{
	stress(_metadata, self, KILLS, PARTIES - 2);
}

/*
 * Requests and replies, as many pairs as there are, some of which end
 * themselves, and some of which are killed
 */
#define PAIRS	6

struct pair {
	int end[2];
	bool killed;
	_Atomic uint64_t asked, served, replied;
	_Atomic bool *stop;
	pid_t client, server;
};

static int pair_server(void *arg)
{
	struct pair *p = arg;
	struct mbuf_exchange x = xchg_of(STEPS_TAKE, 0, MBUF_FOREVER);
	int ret;

	close(p->end[0]);
	while (!(ret = ch_xchg(p->end[1], &x))) {
		int64_t num = value_num(x.data);
		struct value v;

		CHECK(num > 0);
		CHECK_EQ(1, x.signals);
		CHECK_EQ(p->served + 1, num);
		atomic_fetch_add(&p->served, 1);
		v = value_of((uint64_t)num * 2);
		memcpy(x.data, &v, sizeof(v));
		x.steps = STEPS_ALL;
	}
	CHECK_EQ(-EPIPE, ret);
	return 0;
}

static int pair_client(void *arg)
{
	struct pair *p = arg;
	struct mbuf_exchange x = xchg_of(STEPS_ALL, 0, MBUF_FOREVER);
	int ret;

	close(p->end[1]);
	while (!*p->stop) {
		struct value v = value_of(p->asked + 1);

		memcpy(x.data, &v, sizeof(v));
		atomic_fetch_add(&p->asked, 1);
		ret = ch_xchg(p->end[0], &x);
		if (ret == -EPIPE && p->killed)
			break;
		CHECK_EQ(0, ret);
		CHECK_EQ(1, x.signals);
		CHECK_EQ((int64_t)p->asked * 2, value_num(x.data));
		atomic_fetch_add(&p->replied, 1);
	}
	return 0;
}

TEST_F_TIMEOUT(channel, pairs, STRESS_TIMEOUT)
{
	_Atomic bool *stop = map_shared(sizeof(*stop));
	struct pair *p = map_shared(PAIRS * sizeof(*p));
	uint64_t until = now_ns() + test_time(), round = 0, all = 0;
	unsigned int i;

	ASSERT_NE(NULL, stop);
	ASSERT_NE(NULL, p);
	for (; now_ns() < until; round++) {
		*stop = false;
		memset(p, 0, PAIRS * sizeof(*p));
		for (i = 0; i < PAIRS; i++) {
			p[i].stop = stop;
			p[i].killed = i & 1;
			ASSERT_EQ(0, ch_create(self->session, 0, p[i].end));
			p[i].server = spawn(pair_server, &p[i]);
			ASSERT_LT(0, p[i].server);
			p[i].client = spawn(pair_client, &p[i]);
			ASSERT_LT(0, p[i].client);
			close(p[i].end[0]);
			close(p[i].end[1]);
		}
		for (i = 0; i < PAIRS; i++) {
			ASSERT_TRUE(EVENTUALLY(p[i].replied > 50));
			/* In the middle of it: the other one is told. */
			if (p[i].killed)
				kill(i & 2 ? p[i].client : p[i].server,
				     SIGKILL);
		}
		*stop = true;
		for (i = 0; i < PAIRS; i++) {
			int c = reap(p[i].client), s = reap(p[i].server);

			EXPECT_EQ(p[i].killed && i & 2 ? 128 + SIGKILL : 0, c);
			EXPECT_EQ(p[i].killed && !(i & 2) ? 128 + SIGKILL : 0,
				  s);
			if (!p[i].killed)
				EXPECT_EQ(p[i].asked, p[i].replied);
			EXPECT_LE(p[i].replied, p[i].served);
			EXPECT_LE(p[i].served, p[i].asked);
			EXPECT_LE(p[i].asked, p[i].replied + 1);
			all += p[i].replied;
		}
	}
	TH_LOG("%llu rounds of %d pairs, %llu replies",
	       (unsigned long long)round, PAIRS, (unsigned long long)all);
	munmap(p, PAIRS * sizeof(*p));
	munmap((void *)stop, sizeof(*stop));
}

/*
 * Channels are made, used, moved, mapped and closed by everybody at once. The
 * numbers of descriptors mean what they mean at the moment: any error is
 * fine, but not to be stuck, nor to leave anything.
 */
#define CHURNERS	6
#define NUMBERS		24

struct churn {
	unsigned int id, seed;
	int session[2];
	int base;		/* of the NUMBERS descriptors */
	uint32_t flags;		/* MBUF_END_* that may be used */
	_Atomic bool *stop;
	uint64_t calls;
	pthread_t thread;
};

static void churn_once(struct churn *c, unsigned int what, unsigned int with)
{
	int fd = c->base + (int)(with % NUMBERS);
	int session = c->session[with / NUMBERS % 2];
	struct mbuf_channel_info info;
	struct mbuf_channel_create cr;
	struct mbuf_event ev[4];
	struct mbuf_exchange x;
	struct mbuf_ref refs[3];
	struct mbuf_wait_any a;
	int i;

	switch (what) {
	case 0:
	case 1:
		cr = create_of(with & c->flags, (with >> 4) & c->flags);
		if (xioctl(session, MBUF_IOC_CHANNEL_CREATE, &cr))
			break;
		/* Over whatever was there, which is closed by that. */
		for (i = 0; i < 2; i++) {
			dup3(cr.end[i].ref.fd, c->base +
			     (int)((with / 3 + (unsigned int)i * 7) % NUMBERS),
			     O_CLOEXEC);
			close(cr.end[i].ref.fd);
		}
		break;
	case 2:
		dup3(0, fd, O_CLOEXEC);
		break;
	case 3:
		ch_attach_flags(session, fd, with, MBUF_ATTACH_MOVE);
		break;
	case 4:
		ch_detach(session, fd);
		break;
	case 5:
		ch_poll_all(session, ev, 1 + with % 4, now_ns() + 20000);
		break;
	case 6:
		for (i = 0; i < 3; i++)
			refs[i] = (struct mbuf_ref){
				.fd = c->base + (int)((with +
				      (unsigned int)i) % NUMBERS) };
		a = any_of(refs, 1 + with % 3, now_ns() + 20000);
		ch_any(session, &a);
		break;
	case 7:
		ch_try_info(fd, &info);
		break;
	case 8:
		poll_now(fd, POLL_ALL);
		poll_now(session, POLL_ALL);
		break;
	case 9: {
		void *p = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, fd, 0);
		struct mbuf_slot_map m;

		if (p == MAP_FAILED)
			break;
		memcpy(&m, p, sizeof(m));
		munmap(p, page_size());
		break;
	}
	default:
		x = xchg_of(1 + with % STEPS_ALL, with, now_ns() + 20000);
		ch_xchg(fd, &x);
		break;
	}
}

static void *churn(void *arg)
{
	struct churn *c = arg;

	for (c->calls = 0; !*c->stop; c->calls++) {
		unsigned int with = (unsigned int)rand_r(&c->seed) / 7;
		unsigned int what = (unsigned int)rand_r(&c->seed) / 7 % 15;

		churn_once(c, what, with);
	}
	return NULL;
}

TEST_F_TIMEOUT(channel, churn, STRESS_TIMEOUT)
{
	uint64_t until = now_ns() + test_time(), calls = 0, round;
	struct churn c[CHURNERS];
	_Atomic bool stop;
	int session, i;

	session = mbuf_open();
	ASSERT_LE(0, session);
	for (round = 0; now_ns() < until; round++) {
		stop = false;
		for (i = 0; i < NUMBERS; i++)
			ASSERT_EQ(100 + i, dup3(0, 100 + i, O_CLOEXEC));
		for (i = 0; i < CHURNERS; i++) {
			c[i] = (struct churn){
				.id = (unsigned int)i,
				.seed = seed() * 100 + (unsigned int)i +
					(unsigned int)round,
				.session = { self->session, session },
				.base = 100,
				.flags = MBUF_END_DETACHED | MBUF_END_MAP |
					 (self->q.features &
					  MBUF_FEATURE_THREAD ?
					  MBUF_END_THREAD : 0),
				.stop = &stop,
			};
			ASSERT_EQ(0, pthread_create(&c[i].thread, NULL, churn,
						    &c[i]));
		}
		/* Threads end now and then, with what belongs to them. */
		while (now_ns() < until &&
		       now_ns() % NS_PER_SEC > NS_PER_SEC / 50)
			nap();
		stop = true;
		for (i = 0; i < CHURNERS; i++) {
			pthread_join(c[i].thread, NULL);
			calls += c[i].calls;
		}
		for (i = 0; i < NUMBERS; i++)
			close(100 + i);
	}
	TH_LOG("%llu calls in %llu rounds", (unsigned long long)calls,
	       (unsigned long long)round);
	close(session);
}

TEST_HARNESS_MAIN
