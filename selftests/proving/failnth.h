/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every allocation and every copy from and to user space fails, one at a time.
 *
 * An operation is made again and again: in the first round the first thing in
 * it fails that can, in the second round the second, until it succeeds and
 * nothing has failed (/proc/thread-self/fail-nth). After each round all must
 * be as if the call had not been made, or as if nothing had failed: errno, the
 * queue's counters and messages, what the user is charged, the descriptors.
 * And the queue must still work.
 *
 * Then all slab allocations of the task fail, and all page allocations, as
 * what has a fallback never fails otherwise.
 *
 * Whether a user's account was released cannot be read from counters. But a
 * user without one needs a new one for QUERY, and that takes memory: see
 * account_is_gone().
 *
 * Needs a kernel with CONFIG_FAULT_INJECTION, FAILSLAB, FAIL_PAGE_ALLOC,
 * FAULT_INJECTION_USERCOPY and FAULT_INJECTION_DEBUG_FS.
 *
 * MBUF_FAILNTH_TRIES=N	how often each place fails in the rounds that count
 *			pages as well (2)
 *
 * To add an operation: fill in a struct action, of which prepare() brings about
 * what the call needs, call() makes it and nothing else, and settle() looks at
 * what has come of it; give it to drive(). Compare CHANNEL_INFO in
 * failnth_channel.c for the simplest, SEND in failnth.c for one of many forms,
 * recv_waiting there for one that sleeps.
 * To add a kind of object: a program like failnth_channel.c, in it a struct
 * subject; a member of union info for what it says of itself, and descriptors of
 * it in struct scene.
 */
#ifndef MBUF_SELFTESTS_FAILNTH_H
#define MBUF_SELFTESTS_FAILNTH_H

#include "proving.h"

/*
 * Injecting
 */
#define DEBUGFS	"/sys/kernel/debug/"

static int nth_fd = -1, make_fd = -1;

static const char *const capabilities[] = {
	"failslab", "fail_page_alloc", "fail_usercopy",
};

static bool set_attr(const char *capability, const char *attr,
		     const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), DEBUGFS "%s/%s", capability, attr);
	return write_file(path, "%s", value);
}

/*
 * Opens what injects into the calling thread, and nothing else: without a
 * number in fail-nth, and outside of all_fail(), nothing fails. NULL, or what
 * is missing.
 */
static const char *inject_open(void)
{
	static char why[128];
	unsigned int i;

	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	make_fd = open("/proc/thread-self/make-it-fail", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0 || make_fd < 0)
		return "this kernel cannot inject faults (CONFIG_FAULT_INJECTION)";
	for (i = 0; i < ARRAY_SIZE(capabilities); i++) {
		const char *c = capabilities[i];

		if (set_attr(c, "probability", "0") &&
		    set_attr(c, "task-filter", "Y") &&
		    set_attr(c, "interval", "1") &&
		    set_attr(c, "space", "0") &&
		    set_attr(c, "verbose", "0") &&
		    /* Older kernels take no negative numbers. */
		    (set_attr(c, "times", "-1") ||
		     set_attr(c, "times", "4294967295")))
			continue;
		snprintf(why, sizeof(why),
			 "cannot set up " DEBUGFS "%s: not in the kernel, or not mounted",
			 c);
		return why;
	}
	if (!set_attr("failslab", "ignore-gfp-wait", "N") ||
	    !set_attr("failslab", "cache-filter", "N") ||
	    !set_attr("fail_page_alloc", "ignore-gfp-wait", "N") ||
	    !set_attr("fail_page_alloc", "ignore-gfp-highmem", "N") ||
	    !set_attr("fail_page_alloc", "min-order", "0"))
		return "cannot set up which allocations fail in " DEBUGFS;
	return NULL;
}

/* From here on the calling thread's nth try fails. Touches no new memory. */
static void arm(unsigned int nth)
{
	static char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(nth_fd, text, (size_t)len, 0) != len) {
		diag("cannot write fail-nth: %s", strerror(errno));
		abort();
	}
}

/*
 * Nothing fails any more. Has anything failed? Reading says how much is left
 * until it does; that this is the very copy that fails is possible.
 */
static bool disarm(void)
{
	static char left[16];
	bool failed;

	failed = pread(nth_fd, left, sizeof(left) - 1, 0) > 0 && left[0] == '0';
	while (pwrite(nth_fd, "0", 1, 0) != 1)
		;
	return failed;
}

enum all { ALL_SLAB, ALL_PAGES, NR_ALL };

static const char *const all_names[NR_ALL] = {
	"all slab allocations", "all page allocations",
};

/* From here on all allocations of a kind fail, or none do. */
static void all_fail(enum all what, bool on)
{
	if (!on && pwrite(make_fd, "0", 1, 0) != 1)
		abort();
	if (!set_attr(what == ALL_SLAB ? "failslab" : "fail_page_alloc",
		      "probability", on ? "100" : "0"))
		abort();
	if (on && pwrite(make_fd, "1", 1, 0) != 1)
		abort();
}

/*
 * The caller's payer becomes another user, who has nothing and no account yet.
 * Its rights and whose /proc files are whose do not change with the real id.
 * For this thread only.
 */
static void pay_as(uid_t uid)
{
	if (syscall(NR_SETRESUID, uid, -1, -1))
		abort();
}

/*
 * Has the module forgotten TEST_UID? Only then does QUERY need memory for a
 * new account, so that it can fail for the lack of it.
 */
static bool account_is_gone(int session)
{
	struct mbuf_query q;
	unsigned int nth, denied = 0;
	bool failed;
	int ret;

	pay_as(TEST_UID);
	for (nth = 1; nth < 1000; nth++) {
		memset(&q, 0, sizeof(q));
		arm(nth);
		ret = ioctl(session, MBUF_IOC_QUERY, &q) ? -errno : 0;
		failed = disarm();
		if (ret == -ENOMEM)
			denied++;
		if (!failed)
			break;
	}
	pay_as(0);
	return denied > 0;
}

/*
 * The scene of an operation
 */
#define ROOM_MAX	800000		/* of each room */
#define NR_EXPECT	64
#define BATCH_NR	8

struct expected {
	uint32_t len, seed, prio;
};

struct scene {
	struct __test_metadata *meta;
	int session, rfd, sfd, end[2];

	/* What must come out of the queue, the next one first. */
	struct expected expect[NR_EXPECT];
	unsigned int nr_expect;
	uint32_t seed;		/* a new one for each message */

	uint8_t *in, *out;	/* room for messages, ROOM_MAX */
	struct mbuf_msg msgs[BATCH_NR + 1];
	struct mbuf_xfer xfer;
	struct iovec iov[16];

	/* Does in the middle of a call what ends its wait. */
	pthread_t thread;
	_Atomic int peer_state;
	unsigned int peer_acts;	/* how often it had to */
	const char *peer_wrong;
};

enum { PEER_IDLE, PEER_WATCH, PEER_STOP, PEER_EXIT };

/* What objects say of themselves, one member for each kind. */
union info {
	struct mbuf_queue_info queue;
	struct mbuf_channel_info ends[2];
};

struct state {
	union info info;
	struct mbuf_query q;
	int fds, lowest;
};

/* A kind of object, as it is looked at before and after a call. */
struct subject {
	void (*look)(struct scene *s, union info *info);
	/* What has not happened but for want of luck is as @is says. */
	void (*forgive)(union info *want, const union info *is);
	/* NULL, or what can never be. */
	const char *(*wrong)(const union info *info);
	void (*print)(const char *what, const union info *info);
	/* Does the object, which is empty, still do what it does? */
	bool (*works)(struct scene *s);
};

struct action {
	char name[96];
	/* What it is about; NULL: descriptors and usage say all. */
	const struct subject *subject;
	/* Brings about what the call needs; from an empty queue. */
	void (*prepare)(struct scene *s, const struct action *op);
	/* Is made with things failing: nothing but the calls in question. */
	long (*call)(struct scene *s, const struct action *op);
	/* What has come of it, and back to an empty queue. */
	bool (*settle)(struct scene *s, const struct action *op, long ret);
	/* What of the counters a call changes with this result. */
	void (*change)(union info *info, const struct scene *s,
		       const struct action *op, long ret);
	void (*peer)(struct scene *s, const struct action *op);

	/* Which errors it may give besides ENOMEM and EFAULT. */
	int other_error;
	/* How often it must have failed for want of memory, or to copy. */
	unsigned int need_slab, need_fault;
	bool need_pages;	/* it needs memory from beyond slabs */
	bool other_user;	/* is made by TEST_UID */

	/* For the functions above. */
	int way;
	uint32_t len, slots, max_msg, flags;
	int fill;		/* messages that are there beforehand */
};

#define SCENE_FAIL(s, fmt, ...) do {					\
	struct __test_metadata *_metadata = (s)->meta;			\
									\
	EXPECT_TRUE(false) TH_LOG(fmt, ##__VA_ARGS__);			\
} while (0)

static void take_state(struct scene *s, const struct action *op, struct state *st)
{
	memset(st, 0, sizeof(*st));
	if (op->subject)
		op->subject->look(s, &st->info);
	/* What is in flight is that of who asks. */
	if (op->other_user)
		pay_as(TEST_UID);
	if (mbuf_query(s->session, &st->q))
		SCENE_FAIL(s, "QUERY fails");
	if (op->other_user)
		pay_as(0);
	st->fds = count_fds();
	st->lowest = lowest_fd();
}

static bool same_usage_of(const struct state *a, const struct state *b)
{
	return a->q.objects.used == b->q.objects.used &&
	       a->q.memory.used == b->q.memory.used &&
	       a->q.inflight.used == b->q.inflight.used &&
	       a->q.handles.used == b->q.handles.used &&
	       a->q.caps.used == b->q.caps.used &&
	       a->fds == b->fds && a->lowest == b->lowest;
}

static void print_usage(const char *what, const struct state *st)
{
	diag("%s: %llu objects, %llu bytes, %llu in flight, %llu handles, %llu caps, %d fds, %d",
	     what, (unsigned long long)st->q.objects.used,
	     (unsigned long long)st->q.memory.used,
	     (unsigned long long)st->q.inflight.used,
	     (unsigned long long)st->q.handles.used,
	     (unsigned long long)st->q.caps.used, st->fds, st->lowest);
}

/*
 * The peer: a thread that ends waits. It looks until somebody waits in the
 * queue, or the call has come back without.
 */
struct peer_arg {
	struct scene *s;
	const struct action *op;
};

static void *peer_main(void *arg)
{
	struct peer_arg *p = arg;
	struct scene *s = p->s;
	int state;

	while ((state = atomic_load(&s->peer_state)) != PEER_EXIT) {
		if (state == PEER_WATCH)
			p->op->peer(s, p->op);
		if (state == PEER_STOP)
			atomic_compare_exchange_strong(&s->peer_state, &state,
						       PEER_IDLE);
		nap();
	}
	return NULL;
}

static void peer_watch(struct scene *s, const struct action *op)
{
	s->peer_acts = 0;
	if (op->peer)
		atomic_store(&s->peer_state, PEER_WATCH);
}

/* The call is over; whatever the peer has begun it ends first. */
static void peer_stop(struct scene *s, const struct action *op)
{
	if (!op->peer)
		return;
	atomic_store(&s->peer_state, PEER_STOP);
	if (!EVENTUALLY(atomic_load(&s->peer_state) == PEER_IDLE))
		SCENE_FAIL(s, "the peer is stuck");
	if (s->peer_wrong)
		SCENE_FAIL(s, "peer: %s", s->peer_wrong);
	s->peer_wrong = NULL;
}

/*
 * Rounds
 */
struct tally {
	unsigned int points, nomem, fault, unnoticed;
	bool wrong;
};

/*
 * What fails in the first round, the second, and so on. Whether a slab needs a
 * new page now is a matter of chance, so that counting pages makes the same
 * number mean another place each time: first without them, then with them and
 * more than once.
 */
enum pass { PASS_SLAB, PASS_PAGES, NR_PASSES };

#define SLAB_TRIES	3

static void set_pass(enum pass pass)
{
	if (!set_attr("fail_page_alloc", "min-order",
		      pass == PASS_SLAB ? "100" : "0"))
		abort();
}

/* One call in which the nth thing fails, or all of a kind. Has it failed? */
static bool round_of(struct scene *s, const struct action *op, unsigned int nth,
		     int all, struct tally *t)
{
	const struct subject *subject = op->subject;
	struct state before, after, end;
	bool failed = false, fine = true;
	union info want;
	long ret;

	if (op->prepare)
		op->prepare(s, op);
	take_state(s, op, &before);
	peer_watch(s, op);
	if (op->other_user)
		pay_as(TEST_UID);
	if (all >= 0)
		all_fail((enum all)all, true);
	else if (nth)
		arm(nth);
	ret = op->call(s, op);
	if (all >= 0)
		all_fail((enum all)all, false);
	else if (nth)
		failed = disarm();
	if (op->other_user)
		pay_as(0);
	peer_stop(s, op);

	if (all < 0)
		t->points += failed;
	if (ret == -ENOMEM)
		t->nomem++;
	else if (ret == -EFAULT)
		t->fault++;
	else if (ret >= 0)
		t->unnoticed += failed;
	if (ret < 0 && !failed && all < 0) {
		SCENE_FAIL(s, "%ld (%s), although nothing failed", ret,
			   strerror((int)-ret));
		fine = false;
	}
	if (ret < 0 && ret != -ENOMEM && ret != -EFAULT &&
	    ret != -op->other_error) {
		SCENE_FAIL(s, "%ld (%s), which this call does not give", ret,
			   strerror((int)-ret));
		fine = false;
	}

	take_state(s, op, &after);
	if (subject) {
		want = before.info;
		if (op->change)
			op->change(&want, s, op, ret);
		subject->forgive(&want, &after.info);
		if (memcmp(&want, &after.info, sizeof(want))) {
			SCENE_FAIL(s, "the object is not as it has to be after %ld",
				   ret);
			subject->print("before", &before.info);
			subject->print("should be", &want);
			subject->print("is", &after.info);
			fine = false;
		}
		if (subject->wrong(&after.info)) {
			SCENE_FAIL(s, "%s", subject->wrong(&after.info));
			fine = false;
		}
	}
	/* A call that has failed has changed nothing; see below. */
	if (ret < 0 && !op->peer && !same_usage_of(&before, &after)) {
		SCENE_FAIL(s, "something is left of a call that failed");
		print_usage("before", &before);
		print_usage("after", &after);
		fine = false;
	}

	fine = op->settle(s, op, ret) && fine;
	if (subject)
		fine = subject->works(s) && fine;
	if (op->prepare)
		op->prepare(s, op);
	take_state(s, op, &end);
	if (!same_usage_of(&before, &end)) {
		SCENE_FAIL(s, "usage or descriptors are not what they were before");
		print_usage("before", &before);
		print_usage("after", &end);
		fine = false;
	}
	/* Back to an empty queue, as for a call that has failed. */
	fine = op->settle(s, op, -ECANCELED) && fine;
	if (!fine && all < 0)
		diag("that was %s, with number %u failing", op->name, nth);
	else if (!fine)
		diag("that was %s, with %s failing", op->name, all_names[all]);
	if (!fine)
		t->wrong = true;
	return failed;
}

static void drive(struct scene *s, const struct action *op)
{
	struct __test_metadata *_metadata = s->meta;
	struct peer_arg arg = { s, op };
	const unsigned int tries = (unsigned int)env_number("MBUF_FAILNTH_TRIES",
							    2);
	struct tally warm = {}, t[NR_PASSES] = {}, all = {};
	const struct tally *t0 = &t[PASS_SLAB], *t1 = &t[PASS_PAGES];
	uint64_t start = now_ns();
	unsigned int nth, i;
	bool more;

	s->nr_expect = 0;
	s->seed = 0;
	if (op->peer) {
		atomic_store(&s->peer_state, PEER_IDLE);
		ASSERT_EQ(0, pthread_create(&s->thread, NULL, peer_main, &arg));
	}
	/* So that all memory is there, and all that is kept is filled. */
	for (i = 0; i < 2; i++)
		round_of(s, op, 0, -1, &warm);

	/*
	 * What the kernel allocates besides now and then, as for a fault, is one
	 * more place, so that another one was left out: then once more.
	 */
	set_pass(PASS_SLAB);
	for (i = 0; i < SLAB_TRIES; i++) {
		memset(&t[PASS_SLAB], 0, sizeof(t[PASS_SLAB]));
		for (nth = 1; nth < 20000 && !t[PASS_SLAB].wrong; nth++)
			if (!round_of(s, op, nth, -1, &t[PASS_SLAB]))
				break;
		if (t0->wrong || (t0->nomem >= op->need_slab &&
				  t0->fault >= op->need_fault))
			break;
	}
	set_pass(PASS_PAGES);
	for (nth = 1, more = true; nth < 20000 && more; nth++) {
		more = false;
		for (i = 0; i < tries && !t[PASS_PAGES].wrong; i++)
			more |= round_of(s, op, nth, -1, &t[PASS_PAGES]);
	}
	for (i = 0; i < NR_ALL && !all.wrong; i++)
		round_of(s, op, 0, (int)i, &all);

	if (op->peer) {
		atomic_store(&s->peer_state, PEER_EXIT);
		pthread_join(s->thread, NULL);
	}

	/* Points; of these ENOMEM, EFAULT, unnoticed; the same with pages. */
	diag("points: %-50s %3u: %u %u %u; pages %u: %u %u %u; all: %u; %llu ms",
	     op->name, t0->points, t0->nomem, t0->fault, t0->unnoticed,
	     t1->points, t1->nomem, t1->fault, t1->unnoticed, all.nomem,
	     (unsigned long long)((now_ns() - start) / NS_PER_MS));
	if (warm.wrong || t0->wrong || t1->wrong || all.wrong)
		return;
	EXPECT_LE(op->need_slab, t0->nomem) {
		TH_LOG("%s: too few allocations were made to fail", op->name);
	}
	EXPECT_LE(op->need_fault, t0->fault) {
		TH_LOG("%s: too few copies were made to fail", op->name);
	}
	if (op->need_slab)
		EXPECT_NE(0, all.nomem);
	if (op->need_pages)
		EXPECT_LT(t0->nomem, t1->nomem);
	if (op->other_user) {
		EXPECT_TRUE(account_is_gone(s->session)) {
			TH_LOG("%s: the user's account is still there",
			       op->name);
		}
	}
}

FIXTURE(failnth) {
	struct scene s;
	struct snapshot before;
};

FIXTURE_SETUP(failnth)
{
	struct scene *s = &self->s;

	s->meta = _metadata;
	s->rfd = -1;
	s->sfd = -1;
	s->end[0] = -1;
	s->end[1] = -1;
	s->session = mbuf_open();
	ASSERT_GE(s->session, 0) {
		TH_LOG("cannot open /dev/mbuf: %s; load the module first",
		       mbuf_strerror(s->session));
	}
	ASSERT_EQ(0, take_snapshot(s->session, &self->before));
	s->in = map_shared(ROOM_MAX);
	s->out = map_shared(ROOM_MAX);
	ASSERT_NE(NULL, s->in);
	ASSERT_NE(NULL, s->out);
	/* The pages must be there: else they would be the ones that fail. */
	poison(s->in, ROOM_MAX);
	poison(s->out, ROOM_MAX);
}

FIXTURE_TEARDOWN(failnth)
{
	struct snapshot now = {};

	close_fd(&self->s.rfd);
	close_fd(&self->s.sfd);
	close_fd(&self->s.end[0]);
	close_fd(&self->s.end[1]);
	close_fd(&nth_fd);
	close_fd(&make_fd);
	if (_metadata->aborted)
		return;
	EXPECT_TRUE(EVENTUALLY(same_usage(self->s.session, &self->before,
					  &now)));
	EXPECT_EQ(self->before.fds, now.fds);
	close(self->s.session);
}

#define NEED_INJECTION() do {						\
	const char *__why;						\
									\
	NEED_ROOT();							\
	__why = inject_open();						\
	if (__why)							\
		SKIP(return, "%s", __why);				\
} while (0)

#endif /* MBUF_SELFTESTS_FAILNTH_H */
