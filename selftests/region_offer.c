// SPDX-License-Identifier: GPL-2.0
/*
 * Negotiating a region: offers, answers, and what is left when one side goes,
 * whatever step they are at.
 */
#include <sys/resource.h>

#include "region.h"

TEST_F(region, offered_taken_shared)
{
	struct mbuf_offer o = offer_of(4, RIGHTS_RW, 0);
	struct mbuf_offered seen;
	struct mbuf_answer answer;
	struct mbuf_take take;
	char *x, *y;

	o.min = page_size();
	o.max = 16 * page_size();
	EXPECT_EQ(-EAGAIN, rg_offered(self->b, &seen, MBUF_NOW));
	ASSERT_EQ(0, rg_offer(self->a, &o));
	EXPECT_NE(0, o.id);
	EXPECT_EQ(-EAGAIN, rg_answer(self->a, o.id, &answer, MBUF_NOW));

	ASSERT_EQ(0, rg_offered(self->b, &seen, MBUF_NOW));
	EXPECT_EQ(o.id, seen.id);
	EXPECT_EQ(o.min, seen.min);
	EXPECT_EQ(o.wanted, seen.wanted);
	EXPECT_EQ(o.max, seen.max);
	EXPECT_EQ(RIGHTS_RW, seen.rights);
	EXPECT_EQ(0, seen.options);
	/* Looking changes nothing. */
	ASSERT_EQ(0, rg_offered(self->b, &seen, MBUF_NOW));

	/* Nobody has got anything before it is taken. */
	ASSERT_EQ(0, rg_take_some(self->b, o.id, 8 * page_size(), RIGHTS_R,
				  &take));
	self->theirs = take.region.fd;
	EXPECT_EQ(8 * page_size(), take.size);
	EXPECT_EQ(RIGHTS_R, take.rights);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->theirs, F_GETFD));

	ASSERT_EQ(0, rg_answer(self->a, o.id, &answer, MBUF_NOW));
	self->mine = answer.region.fd;
	EXPECT_EQ(MBUF_OUTCOME_TAKEN, answer.outcome);
	EXPECT_EQ(8 * page_size(), answer.min);
	EXPECT_EQ(RIGHTS_R, answer.rights);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->mine, F_GETFD));
	/* Told once. */
	EXPECT_EQ(-ENOENT, rg_answer(self->a, o.id, &answer, MBUF_NOW));
	EXPECT_EQ(-ENOENT, rg_take(self->b, o.id));

	x = mmap(NULL, 8 * page_size(), PROT_READ | PROT_WRITE, MAP_SHARED,
		 self->mine, 0);
	ASSERT_NE(MAP_FAILED, x);
	y = mmap(NULL, 8 * page_size(), PROT_READ, MAP_SHARED, self->theirs, 0);
	ASSERT_NE(MAP_FAILED, y);
	EXPECT_EQ(0, y[0]);
	fill_pattern(x, 8 * page_size(), 1);
	EXPECT_TRUE(is_pattern(y, 8 * page_size(), 1));
	/* The memory lives as long as anybody maps it. */
	close_fd(&self->mine);
	close_fd(&self->theirs);
	close_fd(&self->a);
	fill_pattern(x, 8 * page_size(), 2);
	EXPECT_TRUE(is_pattern(y, 8 * page_size(), 2));
	munmap(x, 8 * page_size());
	munmap(y, 8 * page_size());
}

/* Both directions at the same time, and neither disturbs who waits. */
TEST_F(region, both_directions)
{
	struct mbuf_offer x = offer_of(1, RIGHTS_RW, 0);
	struct mbuf_offer y = offer_of(2, RIGHTS_RW, 0);
	struct mbuf_answer answer;
	struct waiter w;
	int fd;

	ASSERT_TRUE(waiter_start(&w, WAY_TAKE, self->session, self->b));
	ASSERT_ASLEEP(self->b);
	ASSERT_EQ(0, rg_offer(self->a, &x));
	ASSERT_EQ(0, rg_offer(self->b, &y));
	EXPECT_NE(x.id, y.id);
	/* Each is the other's. */
	EXPECT_EQ(-ENOENT, rg_take(self->a, x.id));
	EXPECT_EQ(-ENOENT, rg_reject(self->b, y.id, 0));
	fd = rg_take(self->a, y.id);
	ASSERT_GE(fd, 0);
	close(fd);
	fd = rg_take(self->b, x.id);
	ASSERT_GE(fd, 0);
	close(fd);
	ASSERT_EQ(0, rg_answer(self->a, x.id, &answer, MBUF_NOW));
	EXPECT_EQ(page_size(), answer.min);
	close(answer.region.fd);
	ASSERT_EQ(0, rg_answer(self->b, y.id, &answer, MBUF_NOW));
	EXPECT_EQ(2 * page_size(), answer.min);
	close(answer.region.fd);

	EXPECT_EQ(1, ch_info(self->b).waiters);
	ASSERT_EQ(0, ch_put(self->a, 5));
	EXPECT_EQ(0, waiter_join(&w));
	EXPECT_EQ(5, value_num(w.x.data));
}

TEST_F(region, countered_and_offered_again)
{
	struct mbuf_offer o = offer_of(4, RIGHTS_R, 0);
	struct mbuf_answer answer;
	uint64_t first;
	int fd;

	ASSERT_EQ(0, rg_offer(self->a, &o));
	first = o.id;
	ASSERT_EQ(0, rg_counter(self->b, first, 9, RIGHTS_RW, 42));
	/* It is over for the side that has answered. */
	EXPECT_EQ(-ENOENT, rg_take(self->b, first));
	EXPECT_EQ(-ENOENT, rg_counter(self->b, first, 9, RIGHTS_RW, 42));
	EXPECT_EQ(-ENOENT, rg_reject(self->b, first, 0));

	ASSERT_EQ(0, rg_answer(self->a, first, &answer, MBUF_NOW));
	EXPECT_EQ(MBUF_OUTCOME_COUNTERED, answer.outcome);
	EXPECT_EQ(42, answer.reason);
	EXPECT_EQ(9 * page_size(), answer.min);
	EXPECT_EQ(9 * page_size(), answer.wanted);
	EXPECT_EQ(9 * page_size(), answer.max);
	EXPECT_EQ(RIGHTS_RW, answer.rights);
	EXPECT_EQ(-1, answer.region.fd);

	o = offer_of(9, RIGHTS_RW, 0);
	ASSERT_EQ(0, rg_offer(self->a, &o));
	EXPECT_NE(first, o.id);
	fd = rg_take(self->b, o.id);
	ASSERT_GE(fd, 0);
	close(fd);
	/* Taken and not told: it stays until it is. */
	EXPECT_EQ(-EBUSY, rg_offer(self->a, &o));
	ASSERT_EQ(0, rg_answer(self->a, o.id, &answer, MBUF_NOW));
	close(answer.region.fd);
	EXPECT_EQ(0, rg_offer(self->a, &o));
}

TEST_F(region, rejected_with_a_reason)
{
	struct mbuf_offer o = offer_of(1, RIGHTS_R, 0);
	struct mbuf_answer answer;

	ASSERT_EQ(0, rg_offer(self->a, &o));
	ASSERT_EQ(0, rg_reject(self->b, o.id, 7));
	ASSERT_EQ(0, rg_answer(self->a, o.id, &answer, MBUF_NOW));
	EXPECT_EQ(MBUF_OUTCOME_REJECTED, answer.outcome);
	EXPECT_EQ(7, answer.reason);
	EXPECT_EQ(0, answer.min);
	EXPECT_EQ(-1, answer.region.fd);
	/* An answer nobody looked at does not keep from offering anew. */
	ASSERT_EQ(0, rg_offer(self->a, &o));
	ASSERT_EQ(0, rg_reject(self->b, o.id, 7));
	EXPECT_EQ(0, rg_offer(self->a, &o));
}

TEST_F(region, withdrawn)
{
	struct mbuf_offer o = offer_of(1, RIGHTS_R, 0);
	struct mbuf_answer answer;
	struct mbuf_offered seen;
	int fd;

	EXPECT_EQ(-ENOENT, rg_withdraw(self->a, 1));
	ASSERT_EQ(0, rg_offer(self->a, &o));
	EXPECT_EQ(-ENOENT, rg_withdraw(self->a, o.id + 1));
	EXPECT_EQ(-ENOENT, rg_withdraw(self->b, o.id));
	EXPECT_EQ(0, rg_withdraw(self->a, o.id));
	EXPECT_EQ(-ENOENT, rg_withdraw(self->a, o.id));
	EXPECT_EQ(-EAGAIN, rg_offered(self->b, &seen, MBUF_NOW));
	EXPECT_EQ(-ENOENT, rg_take(self->b, o.id));
	EXPECT_EQ(-ENOENT, rg_answer(self->a, o.id, &answer, MBUF_NOW));

	ASSERT_EQ(0, rg_offer(self->a, &o));
	fd = rg_take(self->b, o.id);
	ASSERT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(-EALREADY, rg_withdraw(self->a, o.id));
	ASSERT_EQ(0, rg_answer(self->a, o.id, &answer, MBUF_NOW));
	close(answer.region.fd);
}

static short pri(int fd)
{
	return poll_now(fd, POLLPRI) & POLLPRI;
}

/* Each step is an event for whose turn it is, and for nobody else. */
TEST_F(region, poll_tells_whose_turn_it_is)
{
	struct mbuf_offer o = offer_of(1, RIGHTS_R, 0);
	struct mbuf_answer answer;
	struct mbuf_event ev[4];
	int fd;

	EXPECT_EQ(0, pri(self->a));
	EXPECT_EQ(0, pri(self->b));
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, ev, 4, MBUF_NOW));

	ASSERT_EQ(0, rg_offer(self->a, &o));
	EXPECT_EQ(0, pri(self->a));
	EXPECT_EQ(POLLPRI, pri(self->b));
	ASSERT_EQ(1, ch_poll_all(self->session, ev, 4, MBUF_NOW));
	EXPECT_EQ(101, ev[0].cookie);
	EXPECT_EQ(MBUF_EVENT_OFFER, ev[0].events);

	ASSERT_EQ(0, rg_counter(self->b, o.id, 1, RIGHTS_R, 0));
	EXPECT_EQ(POLLPRI, pri(self->a));
	EXPECT_EQ(0, pri(self->b));
	ASSERT_EQ(1, ch_poll_all(self->session, ev, 4, MBUF_NOW));
	EXPECT_EQ(100, ev[0].cookie);
	ASSERT_EQ(0, rg_answer(self->a, o.id, &answer, MBUF_NOW));
	EXPECT_EQ(0, pri(self->a));

	ASSERT_EQ(0, rg_offer(self->a, &o));
	EXPECT_EQ(POLLPRI, pri(self->b));
	ASSERT_EQ(0, rg_withdraw(self->a, o.id));
	EXPECT_EQ(0, pri(self->b));

	ASSERT_EQ(0, rg_offer(self->a, &o));
	fd = rg_take(self->b, o.id);
	ASSERT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(POLLPRI, pri(self->a));
	EXPECT_EQ(0, pri(self->b));
	ASSERT_EQ(0, rg_answer(self->a, o.id, &answer, MBUF_NOW));
	close(answer.region.fd);
	EXPECT_EQ(0, pri(self->a));
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, ev, 4, MBUF_NOW));
}

struct call {
	int fd;
	uint64_t id;
	uint64_t deadline;
	int ret;
	struct mbuf_offered offered;
	struct mbuf_answer answer;
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static void *wait_offered(void *arg)
{
	struct call *c = arg;

	atomic_store(&c->tid, (pid_t)syscall(SYS_gettid));
	c->ret = rg_offered(c->fd, &c->offered, c->deadline);
	atomic_store(&c->done, true);
	return NULL;
}

static void *wait_answer(void *arg)
{
	struct call *c = arg;

	atomic_store(&c->tid, (pid_t)syscall(SYS_gettid));
	c->ret = rg_answer(c->fd, c->id, &c->answer, c->deadline);
	atomic_store(&c->done, true);
	return NULL;
}

static bool call_asleep(struct call *c, unsigned long cmd)
{
	return EVENTUALLY(atomic_load(&c->tid) &&
			  sleeps_in_ioctl(atomic_load(&c->tid), cmd));
}

static int call_join(struct call *c)
{
	if (!EVENTUALLY(atomic_load(&c->done)))
		return -ETIME;
	pthread_join(c->thread, NULL);
	return c->ret;
}

TEST_F(region, both_sides_can_wait)
{
	struct mbuf_offer o = offer_of(2, RIGHTS_RW, 0);
	struct call look = { .fd = self->b, .deadline = MBUF_FOREVER };
	struct call answer = { .fd = self->a, .deadline = MBUF_FOREVER };

	ASSERT_EQ(0, pthread_create(&look.thread, NULL, wait_offered, &look));
	ASSERT_TRUE(call_asleep(&look, MBUF_IOC_OFFERED));
	ASSERT_EQ(0, rg_offer(self->a, &o));
	EXPECT_EQ(0, call_join(&look));
	EXPECT_EQ(o.id, look.offered.id);

	answer.id = o.id;
	ASSERT_EQ(0, pthread_create(&answer.thread, NULL, wait_answer,
				    &answer));
	ASSERT_TRUE(call_asleep(&answer, MBUF_IOC_ANSWER));
	self->theirs = rg_take(self->b, o.id);
	ASSERT_GE(self->theirs, 0);
	EXPECT_EQ(0, call_join(&answer));
	self->mine = answer.answer.region.fd;
	EXPECT_EQ(MBUF_OUTCOME_TAKEN, answer.answer.outcome);
}

TEST_F(region, waits_end)
{
	struct mbuf_offer o = offer_of(2, RIGHTS_RW, 0);
	struct call look = { .fd = self->b, .deadline = MBUF_FOREVER };
	struct call answer = { .fd = self->a, .deadline = MBUF_FOREVER };
	struct mbuf_offered seen;
	struct mbuf_answer a;

	/* At the deadline. */
	EXPECT_EQ(-ETIMEDOUT, rg_offered(self->b, &seen, in_ms(20)));
	ASSERT_EQ(0, rg_offer(self->a, &o));
	EXPECT_EQ(-ETIMEDOUT, rg_answer(self->a, o.id, &a, in_ms(20)));
	/* With a signal. */
	answer.id = o.id;
	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	ASSERT_EQ(0, pthread_create(&answer.thread, NULL, wait_answer,
				    &answer));
	ASSERT_TRUE(call_asleep(&answer, MBUF_IOC_ANSWER));
	ASSERT_EQ(0, pthread_kill(answer.thread, SIGUSR1));
	EXPECT_EQ(-EINTR, call_join(&answer));
	/* When it is withdrawn by another thread. */
	answer.done = false;
	answer.tid = 0;
	ASSERT_EQ(0, pthread_create(&answer.thread, NULL, wait_answer,
				    &answer));
	ASSERT_TRUE(call_asleep(&answer, MBUF_IOC_ANSWER));
	ASSERT_EQ(0, rg_withdraw(self->a, o.id));
	EXPECT_EQ(-ENOENT, call_join(&answer));
	/* When the peer goes. */
	ASSERT_EQ(0, pthread_create(&look.thread, NULL, wait_offered, &look));
	ASSERT_TRUE(call_asleep(&look, MBUF_IOC_OFFERED));
	close_fd(&self->a);
	EXPECT_EQ(-EPIPE, call_join(&look));
	EXPECT_EQ(-EPIPE, rg_offer(self->b, &o));
}

TEST_F(region, peer_goes_without_an_answer)
{
	struct mbuf_offer o = offer_of(2, RIGHTS_RW, 0);
	struct call answer = { .fd = self->a, .deadline = MBUF_FOREVER };
	struct mbuf_answer a;

	ASSERT_EQ(0, rg_offer(self->a, &o));
	answer.id = o.id;
	ASSERT_EQ(0, pthread_create(&answer.thread, NULL, wait_answer,
				    &answer));
	ASSERT_TRUE(call_asleep(&answer, MBUF_IOC_ANSWER));
	close_fd(&self->b);
	EXPECT_EQ(-EPIPE, call_join(&answer));
	EXPECT_EQ(-EPIPE, rg_answer(self->a, o.id, &a, MBUF_NOW));
	EXPECT_EQ(0, rg_withdraw(self->a, o.id));
}

/* What was agreed on stays so. */
TEST_F(region, peer_goes_after_it_took)
{
	struct mbuf_offer o = offer_of(2, RIGHTS_RW, 0);
	struct mbuf_answer a;

	ASSERT_EQ(0, rg_offer(self->a, &o));
	self->theirs = rg_take(self->b, o.id);
	ASSERT_GE(self->theirs, 0);
	close_fd(&self->b);
	ASSERT_EQ(0, rg_answer(self->a, o.id, &a, MBUF_NOW));
	self->mine = a.region.fd;
	EXPECT_EQ(1, pwrite(self->mine, "x", 1, 0));
}

/* The offering side goes at each step: the fixture sees what is left. */
TEST_F(region, offering_side_goes)
{
	struct mbuf_offer o = offer_of(2, RIGHTS_RW, 0);

	ASSERT_EQ(0, rg_offer(self->a, &o));
	close_fd(&self->a);
	EXPECT_EQ(-EPIPE, rg_take(self->b, o.id));
	EXPECT_EQ(-EPIPE, rg_reject(self->b, o.id, 0));
}

TEST_F(region, offering_side_goes_before_it_is_told)
{
	struct mbuf_offer o = offer_of(2, RIGHTS_RW, MBUF_OFFER_SOLID);

	ASSERT_EQ(0, rg_offer(self->a, &o));
	self->theirs = rg_take(self->b, o.id);
	ASSERT_GE(self->theirs, 0);
	close_fd(&self->a);
}

struct killed {
	int a, b;
	int step;
};

/* Does not end by itself. */
static int __attribute__((noreturn)) killed_main(void *arg)
{
	struct killed *k = arg;
	struct mbuf_offer o = offer_of(64, RIGHTS_RW, 0);
	struct mbuf_offered seen;
	struct mbuf_answer a;
	struct mbuf_take t;

	for (;;) {
		if (rg_offer(k->a, &o) && !rg_offered(k->b, &seen, MBUF_NOW))
			o.id = seen.id;
		if (k->step > 0)
			rg_offered(k->b, &seen, MBUF_NOW);
		if (k->step > 1 && !rg_take_some(k->b, o.id, 0, 0, &t))
			close(t.region.fd);
		if (k->step > 2 && !rg_answer(k->a, o.id, &a, MBUF_NOW))
			close(a.region.fd);
	}
}

/* A process that has both ends is killed somewhere: nothing is left. */
TEST_F(region, killed_anywhere)
{
	struct handicap h = {};
	int i;

	for (i = 0; i < 60; i++) {
		struct killed k = { .step = i % 4 };
		int end[2];
		pid_t pid;

		ASSERT_EQ(0, ch_create(self->session, 0, end));
		k.a = end[0];
		k.b = end[1];
		pid = spawn(killed_main, &k);
		ASSERT_GT(pid, 0);
		close(end[0]);
		close(end[1]);
		h.time = 100u << (i % 16);
		handicap_spin(&h);
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	}
}

TEST_F(region, refused_offers)
{
	struct mbuf_offer good = offer_of(4, RIGHTS_RW, 0), o;
	size_t page = page_size();
	unsigned int i;
	const struct {
		uint64_t min, wanted, max;
		uint32_t rights, options;
	} bad[] = {
		{ 0, page, page, RIGHTS_R, 0 },
		{ page, 2 * page, page, RIGHTS_R, 0 },
		{ 2 * page, page, 3 * page, RIGHTS_R, 0 },
		{ page, page, page + 1, RIGHTS_R, 0 },
		{ page, page + 8, 2 * page, RIGHTS_R, 0 },
		{ page, page, 1ull << 63, RIGHTS_R, 0 },
		{ page, page, page, 0, 0 },
		{ page, page, page, MBUF_REGION_WRITE, 0 },
		{ page, page, page, 4 | RIGHTS_R, 0 },
		{ page, page, page, RIGHTS_R, 8 },
		{ page, page, page, RIGHTS_R,
		  MBUF_OFFER_MEMFD | MBUF_OFFER_SOLID },
		{ page, page, page, RIGHTS_R,
		  MBUF_OFFER_MEMFD | MBUF_OFFER_PROVIDED },
	};

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		o = good;
		o.min = bad[i].min;
		o.wanted = bad[i].wanted;
		o.max = bad[i].max;
		o.rights = bad[i].rights;
		o.options = bad[i].options;
		EXPECT_EQ(-EINVAL, rg_offer(self->a, &o)) {
			TH_LOG("offer %u", i);
		}
	}
	o = good;
	o.memory.fd = 1;
	EXPECT_EQ(-EINVAL, rg_offer(self->a, &o));
	o = good;
	o.target = 1;
	EXPECT_EQ(-EOPNOTSUPP, rg_offer(self->a, &o));
	EXPECT_EQ(0, poll_now(self->b, POLLPRI));
}

TEST_F(region, refused_takes)
{
	struct mbuf_offer o = offer_of(4, RIGHTS_R, 0);
	size_t page = page_size();
	struct mbuf_counter c;
	struct mbuf_take t;

	o.min = 2 * page;
	o.max = 8 * page;
	ASSERT_EQ(0, rg_offer(self->a, &o));
	EXPECT_EQ(-EINVAL, rg_take_some(self->b, o.id, page, 0, &t));
	EXPECT_EQ(-EINVAL, rg_take_some(self->b, o.id, 9 * page, 0, &t));
	EXPECT_EQ(-EINVAL, rg_take_some(self->b, o.id, 4 * page + 1, 0, &t));
	EXPECT_EQ(-EINVAL, rg_take_some(self->b, o.id, 0, RIGHTS_RW, &t));
	EXPECT_EQ(-EINVAL, rg_take_some(self->b, o.id, 0, MBUF_REGION_WRITE,
					&t));
	EXPECT_EQ(-ENOENT, rg_take(self->b, o.id ^ 1));
	EXPECT_EQ(-77, t.region.fd);
	c = (struct mbuf_counter){ .id = o.id, .min = page };
	EXPECT_EQ(-EINVAL, xioctl(self->b, MBUF_IOC_COUNTER, &c));
	EXPECT_EQ(-EINVAL, xioctl(self->b, MBUF_IOC_REJECT, &c));
	/* Still there. */
	self->theirs = rg_take(self->b, o.id);
	EXPECT_GE(self->theirs, 0);
}

/* What cannot be delivered leaves the offer, or the answer, as it was. */
TEST_F(region, undeliverable)
{
	struct mbuf_offer o = offer_of(1, RIGHTS_RW, 0);
	struct mbuf_answer a;
	struct mbuf_take *ro = map_pages(page_size(), PROT_READ | PROT_WRITE);
	struct rlimit old, none;
	int fd;

	ASSERT_NE(MAP_FAILED, ro);
	ASSERT_EQ(0, rg_offer(self->a, &o));
	*ro = (struct mbuf_take){ .id = o.id };
	ASSERT_EQ(0, mprotect(ro, page_size(), PROT_READ));
	EXPECT_EQ(-EFAULT, xioctl(self->b, MBUF_IOC_TAKE, ro));
	munmap(ro, page_size());

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = 0;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	fd = rg_take(self->b, o.id);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(-EMFILE, fd);
	self->theirs = rg_take(self->b, o.id);
	ASSERT_GE(self->theirs, 0);

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	fd = rg_answer(self->a, o.id, &a, MBUF_NOW);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(-EMFILE, fd);
	ASSERT_EQ(0, rg_answer(self->a, o.id, &a, MBUF_NOW));
	self->mine = a.region.fd;
}

TEST_F(region, of_another_thread)
{
	struct mbuf_offer o = offer_of(1, RIGHTS_RW, 0);
	struct mbuf_offered seen;
	struct call look = { .deadline = MBUF_NOW };
	int end[2];

	if (!(self->q.features & MBUF_FEATURE_THREAD))
		SKIP(return, "this kernel cannot bind endpoints to threads");
	ASSERT_EQ(0, ch_create(self->session, MBUF_END_THREAD, end));
	ASSERT_EQ(0, rg_offer(end[0], &o));
	look.fd = end[1];
	ASSERT_EQ(0, pthread_create(&look.thread, NULL, wait_offered, &look));
	EXPECT_EQ(-EPERM, call_join(&look));
	EXPECT_EQ(0, rg_offered(end[1], &seen, MBUF_NOW));
	close(end[0]);
	close(end[1]);
}

TEST_HARNESS_MAIN
