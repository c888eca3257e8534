// SPDX-License-Identifier: GPL-2.0
/*
 * Channels, sets of endpoints, regions and listeners, step by step; see step.h.
 *
 * The one that dies has end[1] and the others have end[0]; these have copies of
 * all that it has, so that its death closes nothing of these.
 */
#include "../channel.h"
#include "step.h"

#define PAGE	4096
#define NAME	"step"

/*
 * Channels: what others see of an exchange is what it put, and how many signals
 * it left for who waits next.
 */
static struct value *own_value(struct scene *s)
{
	return (struct value *)s->buf;
}

static bool channel_prepare(struct scene *s, const struct job *job)
{
	unsigned int i;

	*own_value(s) = value_of(M_CHILD);
	if (ch_create(s->session, 0, s->end))
		return false;
	for (i = 0; i < job->base; i++)
		if (ch_put(s->end[0], M_BASE))
			return false;
	return true;
}

static bool channel_asleep(struct scene *s)
{
	return ch_info(s->end[1]).waiters;
}

static bool channel_help(struct scene *s, const struct job *job,
			 struct seen *seen)
{
	(void)job;
	seen->helped = true;
	return !ch_put(s->end[0], M_HELP);
}

static bool channel_use(struct scene *s, const struct job *job,
			struct seen *seen)
{
	(void)job;
	(void)seen;
	return ch_look(s->end[0]) >= 0 && !ch_put(s->end[0], M_OTHER);
}

static enum verdict channel_judge(struct scene *s, const struct job *job,
				  struct seen *seen)
{
	const uint32_t puts = job->steps & STEPS_PUT;
	struct mbuf_channel_info a = ch_info(s->end[0]), b = ch_info(s->end[1]);
	bool put = a.seq || a.signals, took;
	uint32_t left = job->base + seen->helped;

	/* One more came while it was stopped. */
	took = left && b.signals == 1;
	if (b.waiters || (b.signals != 1 && b.signals != left + 1) ||
	    b.seq != left + 1 || ch_look(s->end[1]) != M_OTHER)
		goto wrong;
	if (a.waiters || a.state || b.state || (put && !puts))
		goto wrong;
	/* In one step: all of it, or nothing. */
	if (put && (a.seq != !!(puts & MBUF_STEP_WRITE) ||
		    a.signals != !!(puts & MBUF_STEP_SIGNAL)))
		goto wrong;
	if (ch_look(s->end[0]) != (a.seq ? M_CHILD : 0))
		goto wrong;
	/* What comes first was done first. */
	if (took && puts && !put)
		goto wrong;
	if (ch_put(s->end[1], M_AFTER) ||
	    ch_take(s->end[0], MBUF_NOW) != M_AFTER ||
	    ch_take(s->end[1], MBUF_NOW) != M_OTHER)
		goto wrong;
	return (puts ? put : took) ? MADE : NOT_MADE;
wrong:
	diag("it put %llu values and %u signals; %u signals are left of %u",
	     (unsigned long long)a.seq, a.signals, b.signals, left + 1);
	diag("the state is 0x%x and 0x%x", a.state, b.state);
	return WRONG;
}

static void channel_end(struct scene *s)
{
	close_fd(&s->end[0]);
	close_fd(&s->end[1]);
	close_fd(&s->fd);
}

static const struct kind a_channel = {
	.prepare = channel_prepare,
	.asleep = channel_asleep,
	.help = channel_help,
	.use = channel_use,
	.judge = channel_judge,
	.end = channel_end,
};

static long do_write(struct scene *s, const struct job *job)
{
	(void)job;
	return mbuf_channel_write(s->end[1], s->buf);
}

static long do_signal(struct scene *s, const struct job *job)
{
	(void)job;
	return mbuf_channel_signal(s->end[1]);
}

static long do_post(struct scene *s, const struct job *job)
{
	(void)job;
	return mbuf_channel_post(s->end[1], s->buf);
}

static long do_fd_write(struct scene *s, const struct job *job)
{
	(void)job;
	return xwrite(s->end[1], s->buf, MBUF_SLOT_SIZE);
}

static long do_wait(struct scene *s, const struct job *job)
{
	uint64_t signals;

	(void)job;
	return mbuf_channel_wait(s->end[1], s->buf, &signals, MBUF_FOREVER);
}

static long do_fd_read(struct scene *s, const struct job *job)
{
	(void)job;
	return xread(s->end[1], s->buf, MBUF_SLOT_SIZE);
}

static long do_call(struct scene *s, const struct job *job)
{
	struct mbuf_exchange x = {};

	(void)job;
	memcpy(x.data, s->buf, sizeof(x.data));
	return mbuf_call(s->end[1], &x, MBUF_FOREVER);
}

static long do_wait_any(struct scene *s, const struct job *job)
{
	const struct mbuf_ref refs[1] = { { .fd = s->end[1] } };
	struct mbuf_wait_any any = {};

	(void)job;
	return mbuf_wait_any(s->session, refs, 1, &any, MBUF_FOREVER);
}

static const struct job posts[] = {
	{ .name = "mbuf_channel_write", .call = do_write, .kind = &a_channel,
	  .steps = MBUF_STEP_WRITE },
	{ .name = "mbuf_channel_signal", .call = do_signal, .kind = &a_channel,
	  .steps = MBUF_STEP_SIGNAL },
	{ .name = "mbuf_channel_post", .call = do_post, .kind = &a_channel,
	  .steps = STEPS_PUT },
	{ .name = "write to an endpoint", .call = do_fd_write,
	  .kind = &a_channel, .steps = STEPS_PUT },
};

static const struct job receives[] = {
	{ .name = "mbuf_channel_wait", .call = do_wait, .kind = &a_channel,
	  .base = 1, .steps = STEPS_TAKE },
	{ .name = "read of an endpoint", .call = do_fd_read, .kind = &a_channel,
	  .base = 1, .steps = STEPS_TAKE },
	{ .name = "mbuf_call, answered before", .call = do_call,
	  .kind = &a_channel, .base = 1, .steps = STEPS_ALL },
	{ .name = "mbuf_wait_any", .call = do_wait_any, .kind = &a_channel,
	  .base = 1, .steps = STEPS_TAKE },
};

static const struct job sleepers[] = {
	{ .name = "mbuf_channel_wait, waiting", .call = do_wait,
	  .kind = &a_channel, .steps = STEPS_TAKE, .waits = true },
	{ .name = "read of an endpoint, waiting", .call = do_fd_read,
	  .kind = &a_channel, .steps = STEPS_TAKE, .waits = true },
	{ .name = "mbuf_call", .call = do_call, .kind = &a_channel,
	  .steps = STEPS_ALL, .waits = true, .acts_first = true },
	{ .name = "mbuf_wait_any, waiting", .call = do_wait_any,
	  .kind = &a_channel, .steps = STEPS_TAKE, .waits = true },
};

#define NEED_FEATURE(feature) do {					\
	struct mbuf_query __q = {};					\
									\
	mbuf_query(self->s.session, &__q);				\
	if (!(__q.features & (feature)))				\
		SKIP(return, "this module has no such objects");	\
} while (0)

TEST_F_TIMEOUT(step, channel_put, LONG_TIMEOUT)
{
	NEED_FEATURE(MBUF_FEATURE_CHANNEL);
	DRIVE_ALL(posts);
}

TEST_F_TIMEOUT(step, channel_take, LONG_TIMEOUT)
{
	NEED_FEATURE(MBUF_FEATURE_CHANNEL);
	DRIVE_ALL(receives);
}

TEST_F_TIMEOUT(step, channel_wait, LONG_TIMEOUT)
{
	NEED_FEATURE(MBUF_FEATURE_CHANNEL);
	DRIVE_ALL(sleepers);
}

/*
 * Regions: a negotiation is where it was, or one step further. Signals go both
 * ways meanwhile.
 */
static bool make_offer(int fd, uint64_t *id)
{
	struct mbuf_offer o = {
		.min = PAGE,
		.wanted = PAGE,
		.max = 2 * PAGE,
		.rights = MBUF_REGION_READ | MBUF_REGION_WRITE,
	};
	long ret = xioctl(fd, MBUF_IOC_OFFER, &o);

	*id = o.id;
	return !ret;
}

static uint64_t look_offer(int fd)
{
	struct mbuf_offered o = { .wait = wait_of(MBUF_NOW) };

	return xioctl(fd, MBUF_IOC_OFFERED, &o) ? 0 : o.id;
}

/* -errno, or the outcome; what it gives is closed. */
static long get_answer(int fd, uint64_t id)
{
	struct mbuf_answer a = { .wait = wait_of(MBUF_NOW), .id = id };
	long ret = xioctl(fd, MBUF_IOC_ANSWER, &a);

	if (!ret && a.region.fd >= 0)
		close(a.region.fd);
	return ret ? ret : a.outcome;
}

static bool offer_prepare(struct scene *s, const struct job *job)
{
	(void)job;
	return !ch_create(s->session, 0, s->end);
}

/* Offered to the one that dies. */
static bool take_prepare(struct scene *s, const struct job *job)
{
	return offer_prepare(s, job) && make_offer(s->end[0], &s->offer);
}

/* Offered by it. */
static bool withdraw_prepare(struct scene *s, const struct job *job)
{
	return offer_prepare(s, job) && make_offer(s->end[1], &s->offer);
}

/* And taken. */
static bool answer_prepare(struct scene *s, const struct job *job)
{
	struct mbuf_take t = {};

	if (!withdraw_prepare(s, job))
		return false;
	t.id = s->offer;
	if (xioctl(s->end[0], MBUF_IOC_TAKE, &t))
		return false;
	s->fd = t.region.fd;
	return true;
}

static bool region_use(struct scene *s, const struct job *job,
		       struct seen *seen)
{
	(void)job;
	(void)seen;
	return !ch_put(s->end[0], M_OTHER) && !ch_put(s->end[1], M_AFTER) &&
	       ch_take(s->end[0], MBUF_NOW) == M_AFTER &&
	       ch_take(s->end[1], MBUF_NOW) == M_OTHER;
}

static enum verdict offer_judge(struct scene *s, const struct job *job,
				struct seen *seen)
{
	uint64_t other;

	(void)job;
	(void)seen;
	if (look_offer(s->end[0]))
		return MADE;
	return make_offer(s->end[1], &other) ? NOT_MADE : WRONG;
}

static enum verdict take_judge(struct scene *s, const struct job *job,
			       struct seen *seen)
{
	struct mbuf_withdraw w = { .id = s->offer };
	long ret = xioctl(s->end[0], MBUF_IOC_WITHDRAW, &w);

	(void)job;
	(void)seen;
	if (!ret)
		return NOT_MADE;
	if (ret == -EALREADY &&
	    get_answer(s->end[0], s->offer) == MBUF_OUTCOME_TAKEN)
		return MADE;
	diag("WITHDRAW gives %ld", ret);
	return WRONG;
}

static enum verdict withdraw_judge(struct scene *s, const struct job *job,
				   struct seen *seen)
{
	(void)job;
	(void)seen;
	return look_offer(s->end[0]) == s->offer ? NOT_MADE : MADE;
}

static enum verdict reject_judge(struct scene *s, const struct job *job,
				 struct seen *seen)
{
	long ret = get_answer(s->end[0], s->offer);

	(void)job;
	(void)seen;
	if (ret == -EAGAIN)
		return NOT_MADE;
	return ret == MBUF_OUTCOME_REJECTED ? MADE : WRONG;
}

static enum verdict answer_judge(struct scene *s, const struct job *job,
				 struct seen *seen)
{
	long ret = get_answer(s->end[1], s->offer);

	(void)job;
	(void)seen;
	if (ret == -ENOENT)
		return MADE;
	return ret == MBUF_OUTCOME_TAKEN ? NOT_MADE : WRONG;
}

static const struct kind offering = {
	.prepare = offer_prepare, .use = region_use, .judge = offer_judge,
	.end = channel_end,
};

static const struct kind taking = {
	.prepare = take_prepare, .use = region_use, .judge = take_judge,
	.end = channel_end,
};

static const struct kind withdrawing = {
	.prepare = withdraw_prepare, .use = region_use,
	.judge = withdraw_judge, .end = channel_end,
};

static const struct kind rejecting = {
	.prepare = take_prepare, .use = region_use, .judge = reject_judge,
	.end = channel_end,
};

static const struct kind answering = {
	.prepare = answer_prepare, .use = region_use, .judge = answer_judge,
	.end = channel_end,
};

static long do_offer(struct scene *s, const struct job *job)
{
	uint64_t id;

	(void)job;
	return make_offer(s->end[1], &id) ? 0 : -EINVAL;
}

static long do_take(struct scene *s, const struct job *job)
{
	struct mbuf_take t = { .id = s->offer };

	(void)job;
	return xioctl(s->end[1], MBUF_IOC_TAKE, &t);
}

static long do_withdraw(struct scene *s, const struct job *job)
{
	struct mbuf_withdraw w = { .id = s->offer };

	(void)job;
	return xioctl(s->end[1], MBUF_IOC_WITHDRAW, &w);
}

static long do_reject(struct scene *s, const struct job *job)
{
	struct mbuf_counter c = { .id = s->offer };

	(void)job;
	return xioctl(s->end[1], MBUF_IOC_REJECT, &c);
}

static long do_answer(struct scene *s, const struct job *job)
{
	struct mbuf_answer a = { .wait = wait_of(MBUF_NOW), .id = s->offer };

	(void)job;
	return xioctl(s->end[1], MBUF_IOC_ANSWER, &a);
}

static const struct job regions[] = {
	{ .name = "OFFER", .call = do_offer, .kind = &offering },
	{ .name = "TAKE", .call = do_take, .kind = &taking },
	{ .name = "WITHDRAW", .call = do_withdraw, .kind = &withdrawing },
	{ .name = "REJECT", .call = do_reject, .kind = &rejecting },
	{ .name = "ANSWER", .call = do_answer, .kind = &answering },
};

TEST_F_TIMEOUT(step, region, LONG_TIMEOUT)
{
	NEED_FEATURE(MBUF_FEATURE_REGION);
	DRIVE_ALL(regions);
}

/*
 * Providing: the one that dies has the other end, or both consents.
 */
static int consents[2] = { -1, -1 };
static uint64_t consent;

static int consent_to(int end, uint64_t id)
{
	struct mbuf_consent c = { .offer = id };

	if (xioctl(end, MBUF_IOC_CONSENT, &c))
		return -1;
	consent = c.id;
	return c.consent.fd;
}

static long provide(struct scene *s)
{
	struct mbuf_provide p = {
		.consent = { { .fd = consents[0] }, { .fd = consents[1] } },
		.flags = MBUF_PROVIDE_ALLOCATE,
	};

	return xioctl(s->session, MBUF_IOC_PROVIDE, &p);
}

/* -errno, or 0; what it gives is closed. */
static long get_claim(int fd, uint64_t id)
{
	struct mbuf_claim m = { .wait = wait_of(MBUF_NOW), .id = id };
	long ret = xioctl(fd, MBUF_IOC_CLAIM, &m);

	if (!ret)
		close(m.region.fd);
	return ret;
}

static bool provide_prepare(struct scene *s, const struct job *job)
{
	if (!take_prepare(s, job))
		return false;
	consents[0] = consent_to(s->end[0], s->offer);
	consents[1] = consent_to(s->end[1], s->offer);
	return consents[0] >= 0 && consents[1] >= 0;
}

static bool claim_prepare(struct scene *s, const struct job *job)
{
	return provide_prepare(s, job) && !provide(s);
}

static void provide_end(struct scene *s)
{
	close_fd(&consents[0]);
	close_fd(&consents[1]);
	channel_end(s);
}

/* Only who has consented can wait for it. */
static enum verdict consent_judge(struct scene *s, const struct job *job,
				  struct seen *seen)
{
	long ret = get_claim(s->end[1], s->offer);

	(void)job;
	(void)seen;
	if (ret == -ENOENT && look_offer(s->end[1]) == s->offer)
		return NOT_MADE;
	return ret == -EAGAIN ? MADE : WRONG;
}

static enum verdict revoke_judge(struct scene *s, const struct job *job,
				 struct seen *seen)
{
	switch (consent_judge(s, job, seen)) {
	case MADE:
		return NOT_MADE;
	case NOT_MADE:
		return MADE;
	default:
		return WRONG;
	}
}

/* Both get it, or neither, and then it can still be done. */
static enum verdict provide_judge(struct scene *s, const struct job *job,
				  struct seen *seen)
{
	long ret = get_claim(s->end[1], s->offer);
	enum verdict v = MADE;

	(void)job;
	(void)seen;
	if (ret == -EAGAIN) {
		v = NOT_MADE;
		ret = provide(s) ?: get_claim(s->end[1], s->offer);
	}
	if (ret || get_answer(s->end[0], s->offer) != MBUF_OUTCOME_TAKEN) {
		diag("CLAIM gives %ld", ret);
		return WRONG;
	}
	return v;
}

static enum verdict claim_judge(struct scene *s, const struct job *job,
				struct seen *seen)
{
	long ret = get_claim(s->end[1], s->offer);

	(void)job;
	(void)seen;
	if (get_answer(s->end[0], s->offer) != MBUF_OUTCOME_TAKEN)
		return WRONG;
	if (ret == -ENOENT)
		return MADE;
	return ret ? WRONG : NOT_MADE;
}

static const struct kind consenting = {
	.prepare = take_prepare, .use = region_use, .judge = consent_judge,
	.end = provide_end,
};

static const struct kind revoking = {
	.prepare = provide_prepare, .use = region_use, .judge = revoke_judge,
	.end = provide_end,
};

static const struct kind providing = {
	.prepare = provide_prepare, .use = region_use, .judge = provide_judge,
	.end = provide_end,
};

static const struct kind claiming = {
	.prepare = claim_prepare, .use = region_use, .judge = claim_judge,
	.end = provide_end,
};

static long do_consent(struct scene *s, const struct job *job)
{
	(void)job;
	return consent_to(s->end[1], s->offer) < 0 ? -EINVAL : 0;
}

static long do_revoke(struct scene *s, const struct job *job)
{
	struct mbuf_revoke r = { .id = consent };

	(void)job;
	return xioctl(s->end[1], MBUF_IOC_REVOKE, &r);
}

static long do_provide(struct scene *s, const struct job *job)
{
	(void)job;
	return provide(s);
}

static long do_claim(struct scene *s, const struct job *job)
{
	struct mbuf_claim m = { .wait = wait_of(MBUF_NOW), .id = s->offer };

	(void)job;
	return xioctl(s->end[1], MBUF_IOC_CLAIM, &m);
}

static const struct job provisions[] = {
	{ .name = "CONSENT", .call = do_consent, .kind = &consenting },
	{ .name = "REVOKE", .call = do_revoke, .kind = &revoking },
	{ .name = "PROVIDE", .call = do_provide, .kind = &providing },
	{ .name = "CLAIM", .call = do_claim, .kind = &claiming },
};

TEST_F_TIMEOUT(step, provide, LONG_TIMEOUT)
{
	NEED_FEATURE(MBUF_FEATURE_PROVIDE);
	DRIVE_ALL(provisions);
}

/*
 * What others cannot see: nothing may be left of it
 */
static long do_create(struct scene *s, const struct job *job)
{
	int fds[2];

	(void)job;
	return mbuf_channel_create(s->session, MBUF_END_MAP, fds);
}

/* A whole life with all objects, of which every entry to the kernel counts. */
static long do_all(struct scene *s, const struct job *job)
{
	const struct mbuf_slot_map *map;
	struct mbuf_event ev[4];
	int session = mbuf_open(), l, c, a, fds[2];
	struct mbuf_connect n = {
		.name = (uintptr_t)NAME,
		.name_len = strlen(NAME),
		.flags = MBUF_CONNECT_ASYNC,
		.end.flags = MBUF_END_DETACHED,
	};
	struct mbuf_take t = {};
	uint64_t id;

	(void)job;
	if (session < 0 ||
	    mbuf_channel_create(session, MBUF_END_MAP, fds) ||
	    mbuf_attach(session, fds[1], 1, 0) ||
	    mbuf_channel_map(fds[1], &map) ||
	    mbuf_channel_post(fds[0], s->buf) ||
	    mbuf_poll_all(session, ev, 4, MBUF_NOW) != 1 ||
	    mbuf_channel_wait(fds[1], s->buf, NULL, MBUF_FOREVER) ||
	    mbuf_channel_unmap(map))
		return -1;
	if (!make_offer(fds[0], &id))
		return -2;
	t.id = id;
	if (xioctl(fds[1], MBUF_IOC_TAKE, &t) ||
	    get_answer(fds[0], id) != MBUF_OUTCOME_TAKEN)
		return -3;
	close(t.region.fd);
	l = mbuf_listen(session, NAME, strlen(NAME), 0600, 4);
	c = (int)xioctl(session, MBUF_IOC_CONNECT, &n);
	if (l < 0 || c)
		return -4;
	a = mbuf_accept(l, NULL, MBUF_FOREVER);
	if (a < 0 || mbuf_channel_post(n.end.ref.fd, s->buf) ||
	    mbuf_channel_wait(a, s->buf, NULL, MBUF_FOREVER))
		return -5;
	close(fds[0]);
	close(a);
	close(l);
	close(n.end.ref.fd);
	close(session);
	close(fds[1]);
	return 0;
}

static const struct job lives[] = {
	{ .name = "mbuf_channel_create", .call = do_create },
	{ .name = "a whole life", .call = do_all },
};

TEST_F_TIMEOUT(step, life, LONG_TIMEOUT)
{
	NEED_FEATURE(MBUF_FEATURE_CHANNEL);
	DRIVE_ALL(lives);
}

TEST_HARNESS_MAIN
