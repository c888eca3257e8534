// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever can fail in calls on channels, sets of endpoints, listeners and
 * regions does; see failnth.h.
 *
 * Most of these are ioctls that are fully described by what the struct is filled
 * with, what has to be there beforehand, and what is there afterwards: a row in
 * rows[].
 */
#include <sys/epoll.h>

#include "../channel.h"
#include "failnth.h"

#define PAGE	4096
#define NAME	"failnth"

/*
 * What all operations work on: a channel, attached to the session, and a
 * listener. Between two rounds no signals are pending, nothing is offered and
 * nobody wants to connect.
 */
static int listener = -1;

/* Made by a call, or beforehand: closed when it is settled. */
static int made[4] = { -1, -1, -1, -1 };
/* The lowest descriptor that a call can make. */
static int first_free;
static uint64_t offer;

static void close_made(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(made); i++)
		close_fd(&made[i]);
}

static void channel_look(struct scene *s, union info *info)
{
	info->ends[0] = ch_info(s->end[0]);
	info->ends[1] = ch_info(s->end[1]);
}

static void channel_forgive(union info *want, const union info *is)
{
	(void)want;
	(void)is;
}

static const char *channel_wrong(const union info *info)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		const struct mbuf_channel_info *e = &info->ends[i];

		if (e->waiters && e->signals)
			return "somebody waits though there are signals";
		if (e->waiters > 1)
			return "there is more than one waiter";
		if (e->state)
			return "the state is not that of a live channel";
		if (e->peer_seq != info->ends[!i].seq ||
		    e->peer_signals != info->ends[!i].signals)
			return "the ends contradict each other";
	}
	return NULL;
}

static void channel_print(const char *what, const union info *info)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		diag("%s: end %u: state 0x%x, seq %llu, %u signals, waiting %u",
		     what, i, info->ends[i].state,
		     (unsigned long long)info->ends[i].seq,
		     info->ends[i].signals, info->ends[i].waiters);
}

/* A value each way, of which the session tells. */
static bool channel_works(struct scene *s)
{
	struct mbuf_event ev[4];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		int64_t got;
		int n;

		if (ch_put(s->end[i], ++s->seed)) {
			SCENE_FAIL(s, "end %u cannot be used", i);
			return false;
		}
		n = ch_poll_all(s->session, ev, 4, MBUF_NOW);
		if (n != 1 || ev[0].cookie != 100 + !i) {
			SCENE_FAIL(s, "POLL_ALL gives %d", n);
			return false;
		}
		got = ch_take(s->end[!i], MBUF_NOW);
		if (got != s->seed) {
			SCENE_FAIL(s, "got %lld instead of %u", (long long)got,
				   s->seed);
			return false;
		}
		n = ch_poll_all(s->session, ev, 4, MBUF_NOW);
		if (n != -EAGAIN) {
			SCENE_FAIL(s, "POLL_ALL gives %d, and nothing is ready",
				   n);
			return false;
		}
	}
	return true;
}

static const struct subject a_channel = {
	.look = channel_look,
	.forgive = channel_forgive,
	.wrong = channel_wrong,
	.print = channel_print,
	.works = channel_works,
};

/*
 * Rows
 */
enum on { ON_SESSION, ON_A, ON_B, ON_LISTENER, ON_MADE0, ON_MADE1 };

/* Room for any struct, and for what is longer than this header knows. */
union arg {
	struct mbuf_channel_create create;
	struct mbuf_exchange xchg;
	struct mbuf_channel_info info;
	struct mbuf_approve approve;
	struct mbuf_attach attach;
	struct mbuf_poll_all poll_all;
	struct mbuf_wait_any any;
	struct mbuf_listen listen;
	struct mbuf_listener_set set;
	struct mbuf_listener_acl acl;
	struct mbuf_listener_info linfo;
	struct mbuf_accept_queue queue;
	struct mbuf_connect connect;
	struct mbuf_accept accept;
	struct mbuf_offer offer;
	struct mbuf_offered offered;
	struct mbuf_take take;
	struct mbuf_counter counter;
	struct mbuf_answer answer;
	struct mbuf_withdraw withdraw;
	struct mbuf_grant grant;
	struct mbuf_region_info rinfo;
	struct mbuf_consent consent;
	struct mbuf_revoke revoke;
	struct mbuf_claim claim;
	struct mbuf_consent_info cinfo;
	struct mbuf_provide provide;
	struct mbuf_give give;
	uint8_t bytes[512];
};

struct row {
	const char *name;
	unsigned long cmd;
	enum on on;
	/* What has to be there; false if that cannot be had. */
	bool (*prepare)(struct scene *s);
	void (*fill)(struct scene *s, union arg *a);
	/* After success: is the result right? What was made goes to made[]. */
	bool (*check)(struct scene *s, union arg *a, long ret);
	/* After failure: is what was prepared still there? */
	bool (*still)(struct scene *s);
	/* Back to where nothing is under way. */
	void (*tidy)(struct scene *s);
	/* What the call changes of the channel. */
	void (*change)(struct mbuf_channel_info ends[2]);
	void (*peer)(struct scene *s, const struct action *op);
	/* How often it has to fail for want of memory, and to copy. */
	unsigned int slab, fault;
	uint32_t flags;
	bool needs_thread;
	/* What memory that is lost halfway leaves untold is there. */
	bool untold;
};

static const struct row *row;
static union arg arg, arg_in;

static struct mbuf_event events[4];
static struct mbuf_ref refs[2];

/* Channels */
static void fill_create(struct scene *s, union arg *a)
{
	(void)s;
	a->create = create_of(row->flags, row->flags);
}

static bool check_create(struct scene *s, union arg *a, long ret)
{
	made[0] = a->create.end[0].ref.fd;
	made[1] = a->create.end[1].ref.fd;
	return !ret && !ch_put(made[0], ++s->seed) &&
	       ch_take(made[1], MBUF_NOW) == s->seed;
}

static void fill_put(struct scene *s, union arg *a)
{
	a->xchg = xchg_of(STEPS_PUT, ++s->seed, MBUF_NOW);
}

static void change_put(struct mbuf_channel_info ends[2])
{
	ends[1].seq++;
	ends[1].signals++;
	ends[0].peer_seq++;
	ends[0].peer_signals++;
}

static void tidy_channel(struct scene *s)
{
	while (ch_wait(s->end[0], MBUF_NOW) >= 0)
		;
	while (ch_wait(s->end[1], MBUF_NOW) >= 0)
		;
}

static bool prepare_signal(struct scene *s)
{
	return !ch_put(s->end[0], ++s->seed);
}

static void fill_take(struct scene *s, union arg *a)
{
	(void)s;
	a->xchg = xchg_of(STEPS_TAKE, 0, MBUF_NOW);
}

static bool check_take(struct scene *s, union arg *a, long ret)
{
	return !ret && value_num(a->xchg.data) == s->seed &&
	       a->xchg.signals == 1;
}

/* A signal that was not delivered is pending again, and so is its value. */
static bool still_signal(struct scene *s)
{
	return ch_info(s->end[1]).signals == 1 && ch_look(s->end[1]) == s->seed;
}

static void change_take(struct mbuf_channel_info ends[2])
{
	ends[1].signals = 0;
	ends[0].peer_signals = 0;
}

static void fill_all(struct scene *s, union arg *a)
{
	a->xchg = xchg_of(STEPS_ALL, s->seed + 1000, MBUF_NOW);
}

static void change_all(struct mbuf_channel_info ends[2])
{
	change_take(ends);
	ends[0].seq++;
	ends[0].signals++;
	ends[1].peer_seq++;
	ends[1].peer_signals++;
}

static void fill_info(struct scene *s, union arg *a)
{
	(void)s;
	poison(a, sizeof(a->info));
	a->info.target = 0;
}

static bool check_info(struct scene *s, union arg *a, long ret)
{
	struct mbuf_channel_info is = ch_info(s->end[0]);

	return !ret && a->info.id == is.id && a->info.peer_id == is.peer_id;
}

/* Giving: a queue of which made[2] receives, and made[3] is given. */
static bool prepare_queue(struct scene *s)
{
	return !mbuf_queue_create(s->session, 1, 16, 0, &made[2], &made[3]);
}

static bool prepare_given(struct scene *s)
{
	return prepare_queue(s) && !mbuf_give(s->end[0], made[3]);
}

static void fill_give(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->give, 0, sizeof(a->give));
	a->give.ref.fd = made[3];
}

static void fill_given(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->give, 0, sizeof(a->give));
}

/* It is a right to send to the queue, and the other one has gone. */
static bool gift_fine(struct scene *s, int fd)
{
	bool fine = fd >= 0;

	close_fd(&made[3]);
	fine = fine && !send_num(fd, ++s->seed, MBUF_NOW) &&
	       recv_num(made[2], MBUF_NOW) == s->seed;
	close(fd);
	return fine && get_info(made[2]).senders == 0;
}

static bool check_give(struct scene *s, union arg *a, long ret)
{
	(void)a;
	return !ret && gift_fine(s, mbuf_given(s->end[1]));
}

static bool still_no_gift(struct scene *s)
{
	return mbuf_given(s->end[1]) == -EAGAIN;
}

static bool check_given(struct scene *s, union arg *a, long ret)
{
	return !ret && gift_fine(s, a->give.ref.fd);
}

/* It was taken, if that could not be told. */
static bool still_gift(struct scene *s)
{
	int fd = mbuf_given(s->end[1]);

	return fd == -EAGAIN ? get_info(made[2]).senders == 1 :
			       gift_fine(s, fd);
}

static void tidy_gift(struct scene *s)
{
	int fd = mbuf_given(s->end[1]);

	if (fd >= 0)
		close(fd);
}

/* Sets */
static bool prepare_detached(struct scene *s)
{
	return !ch_create(s->session, MBUF_END_DETACHED, made);
}

static void fill_attach(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->attach, 0, sizeof(a->attach));
	a->attach.ref.fd = made[0];
	a->attach.cookie = 7;
}

static bool check_attach(struct scene *s, union arg *a, long ret)
{
	(void)a;
	return !ret && !ch_put(made[1], 1) &&
	       ch_poll_all(s->session, events, 4, MBUF_NOW) == 1 &&
	       events[0].cookie == 7;
}

static bool still_detached(struct scene *s)
{
	return ch_detach(s->session, made[0]) == -ENOENT;
}

static bool prepare_attached(struct scene *s)
{
	return !ch_create(s->session, 0, made);
}

static void fill_detach(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->attach, 0, sizeof(a->attach));
	a->attach.ref.fd = made[0];
}

static bool check_detach(struct scene *s, union arg *a, long ret)
{
	(void)a;
	return !ret && still_detached(s);
}

static bool still_attached(struct scene *s)
{
	return ch_attach(s->session, made[0], 7) == -EBUSY;
}

static void fill_poll_all(struct scene *s, union arg *a)
{
	(void)s;
	poison(events, sizeof(events));
	memset(&a->poll_all, 0, sizeof(a->poll_all));
	a->poll_all.wait = wait_of(MBUF_NOW);
	a->poll_all.events = (uintptr_t)events;
	a->poll_all.nr = 4;
	a->poll_all.stride = sizeof(events[0]);
}

static bool check_poll_all(struct scene *s, union arg *a, long ret)
{
	(void)s;
	(void)a;
	return ret == 1 && events[0].cookie == 101 &&
	       events[0].events == MBUF_EVENT_IN;
}

static void fill_any(struct scene *s, union arg *a)
{
	const int fds[2] = { s->end[0], s->end[1] };

	refs_of(refs, fds, 2);
	a->any = any_of(refs, 2, MBUF_NOW);
}

static void fill_any_wait(struct scene *s, union arg *a)
{
	fill_any(s, a);
	a->any.wait = wait_of(MBUF_FOREVER);
}

static bool check_any(struct scene *s, union arg *a, long ret)
{
	return !ret && a->any.index == 1 && a->any.signals == 1 &&
	       value_num(a->any.data) == s->seed;
}

/* Somebody else signals an end at which somebody waits. */
static void peer_signals(struct scene *s, const struct action *op)
{
	(void)op;
	if (s->peer_acts || !ch_info(s->end[1]).waiters)
		return;
	s->peer_acts++;
	if (ch_put(s->end[0], ++s->seed))
		s->peer_wrong = "cannot signal who waits";
}

static void fill_take_wait(struct scene *s, union arg *a)
{
	(void)s;
	a->xchg = xchg_of(STEPS_TAKE, 0, MBUF_FOREVER);
}

/* Regions */
static bool prepare_offer(struct scene *s)
{
	struct mbuf_offer o = {
		.min = PAGE,
		.wanted = PAGE,
		.max = 4 * PAGE,
		.rights = MBUF_REGION_READ | MBUF_REGION_WRITE,
		.options = row->flags & MBUF_OFFER_SOLID,
	};

	if (xioctl(s->end[0], MBUF_IOC_OFFER, &o))
		return false;
	offer = o.id;
	return true;
}

static void fill_offer(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->offer, 0, sizeof(a->offer));
	a->offer.min = PAGE;
	a->offer.wanted = PAGE;
	a->offer.max = PAGE;
	a->offer.rights = MBUF_REGION_READ;
	a->offer.options = row->flags;
	if (row->flags & MBUF_OFFER_MEMFD)
		a->offer.memory.fd = made[0];
}

static bool prepare_memfd(struct scene *s)
{
	(void)s;
	made[0] = memfd_create("failnth", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return made[0] >= 0 && !ftruncate(made[0], PAGE) &&
	       !fcntl(made[0], F_ADD_SEALS,
		      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

static bool offered(struct scene *s, uint64_t id)
{
	struct mbuf_offered o = { .wait = wait_of(MBUF_NOW) };
	long ret = xioctl(s->end[1], MBUF_IOC_OFFERED, &o);

	return id ? !ret && o.id == id : ret == -EAGAIN;
}

static bool check_offer(struct scene *s, union arg *a, long ret)
{
	offer = a->offer.id;
	return !ret && offered(s, offer);
}

static bool still_no_offer(struct scene *s)
{
	return offered(s, 0);
}

static bool still_offer(struct scene *s)
{
	return offered(s, offer);
}

static void tidy_offer(struct scene *s)
{
	struct mbuf_withdraw w = { .id = offer };
	struct mbuf_answer a = { .wait = wait_of(MBUF_NOW), .id = offer };

	if (xioctl(s->end[0], MBUF_IOC_WITHDRAW, &w) != -ENOENT &&
	    !xioctl(s->end[0], MBUF_IOC_ANSWER, &a) && a.region.fd >= 0)
		close(a.region.fd);
}

static void fill_offered(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->offered, 0, sizeof(a->offered));
	a->offered.wait = wait_of(MBUF_NOW);
}

static bool check_offered(struct scene *s, union arg *a, long ret)
{
	(void)s;
	return !ret && a->offered.id == offer;
}

static void fill_take_offer(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->take, 0, sizeof(a->take));
	a->take.id = offer;
	/* 0x100: only to be read */
	if (row->flags & 0x100)
		a->take.rights = MBUF_REGION_READ;
}

static bool region_fine(int fd)
{
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	bool fine = p != MAP_FAILED && !*(volatile uint8_t *)p;

	if (p != MAP_FAILED)
		munmap(p, PAGE);
	return fine;
}

static bool check_taken(struct scene *s, union arg *a, long ret)
{
	(void)s;
	made[0] = a->take.region.fd;
	return !ret && region_fine(made[0]);
}

static bool prepare_taken(struct scene *s)
{
	struct mbuf_take t = {};

	if (!prepare_offer(s))
		return false;
	t.id = offer;
	if (row->flags & 0x100)
		t.rights = MBUF_REGION_READ;
	if (xioctl(s->end[1], MBUF_IOC_TAKE, &t))
		return false;
	made[0] = t.region.fd;
	return true;
}

static void fill_answer(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->answer, 0, sizeof(a->answer));
	a->answer.wait = wait_of(MBUF_NOW);
	a->answer.id = offer;
}

static bool check_answer(struct scene *s, union arg *a, long ret)
{
	(void)s;
	made[1] = a->answer.region.fd;
	return !ret && a->answer.outcome == MBUF_OUTCOME_TAKEN &&
	       region_fine(made[1]);
}

/* The answer is kept. */
static bool still_answer(struct scene *s)
{
	union arg again;

	fill_answer(s, &again);
	return check_answer(s, &again, xioctl(s->end[0], MBUF_IOC_ANSWER,
					      &again));
}

static void fill_reject(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->counter, 0, sizeof(a->counter));
	a->counter.id = offer;
	a->counter.reason = 5;
}

static bool check_no_offer(struct scene *s, union arg *a, long ret)
{
	(void)a;
	return !ret && offered(s, 0);
}

static void fill_counter(struct scene *s, union arg *a)
{
	fill_reject(s, a);
	a->counter.min = PAGE;
	a->counter.wanted = PAGE;
	a->counter.max = PAGE;
	a->counter.rights = MBUF_REGION_READ;
}

static void fill_withdraw(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->withdraw, 0, sizeof(a->withdraw));
	a->withdraw.id = offer;
}

static void fill_grant(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->grant, 0, sizeof(a->grant));
	a->grant.from.fd = made[0];
	a->grant.rights = MBUF_REGION_READ;
}

static bool check_grant(struct scene *s, union arg *a, long ret)
{
	(void)s;
	made[1] = a->grant.region.fd;
	return !ret && region_fine(made[1]);
}

static void fill_region_info(struct scene *s, union arg *a)
{
	(void)s;
	poison(a, sizeof(a->rinfo));
	a->rinfo.target = 0;
}

static bool check_region_info(struct scene *s, union arg *a, long ret)
{
	(void)s;
	return !ret && a->rinfo.size == PAGE &&
	       a->rinfo.rights == MBUF_REGION_READ;
}

/* Providing: what is made is in made[3], the consents in the first two. */
static uint64_t consent;

static int consent_to(int end)
{
	struct mbuf_consent c = { .offer = offer };

	if (xioctl(end, MBUF_IOC_CONSENT, &c))
		return -1;
	consent = c.id;
	return c.consent.fd;
}

static bool prepare_consents(struct scene *s)
{
	if (!prepare_offer(s))
		return false;
	made[0] = consent_to(s->end[0]);
	made[1] = consent_to(s->end[1]);
	return made[0] >= 0 && made[1] >= 0;
}

static bool prepare_consents_memfd(struct scene *s)
{
	int fd;

	if (!prepare_memfd(s))
		return false;
	fd = made[0];
	made[2] = fd;
	return prepare_consents(s);
}

static long provide(struct scene *s, uint32_t flags)
{
	struct mbuf_provide p = {
		.consent = { { .fd = made[0] }, { .fd = made[1] } },
		.flags = flags,
	};

	return xioctl(s->session, MBUF_IOC_PROVIDE, &p);
}

static bool prepare_provided(struct scene *s)
{
	return prepare_consents(s) && !provide(s, MBUF_PROVIDE_ALLOCATE);
}

static bool still_consents(struct scene *s)
{
	return !provide(s, MBUF_PROVIDE_CHECK);
}

static void fill_consent(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->consent, 0, sizeof(a->consent));
	a->consent.offer = offer;
}

static bool check_consent(struct scene *s, union arg *a, long ret)
{
	struct mbuf_consent_info i = {};

	(void)s;
	made[3] = a->consent.consent.fd;
	return !ret && !xioctl(made[3], MBUF_IOC_CONSENT_INFO, &i) &&
	       !i.error && i.id == a->consent.id;
}

static void fill_consent_info(struct scene *s, union arg *a)
{
	(void)s;
	poison(a, sizeof(a->cinfo));
	a->cinfo.target = 0;
}

static bool check_consent_info(struct scene *s, union arg *a, long ret)
{
	(void)s;
	return !ret && a->cinfo.offer == offer && !a->cinfo.error;
}

static void fill_revoke(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->revoke, 0, sizeof(a->revoke));
	a->revoke.id = consent;
}

static bool check_revoke(struct scene *s, union arg *a, long ret)
{
	(void)a;
	return !ret && provide(s, MBUF_PROVIDE_CHECK) == -ESTALE;
}

static void fill_provide(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->provide, 0, sizeof(a->provide));
	a->provide.consent[0].fd = made[0];
	a->provide.consent[1].fd = made[1];
	a->provide.flags = row->flags & 3;
	if (!a->provide.flags)
		a->provide.memory.fd = made[2];
}

static void fill_claim(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->claim, 0, sizeof(a->claim));
	a->claim.wait = wait_of(MBUF_NOW);
	a->claim.id = offer;
}

static bool check_claim(struct scene *s, union arg *a, long ret)
{
	(void)s;
	made[3] = a->claim.region.fd;
	return !ret && region_fine(made[3]);
}

static bool still_claim(struct scene *s)
{
	union arg again;

	fill_claim(s, &again);
	return check_claim(s, &again, xioctl(s->end[1], MBUF_IOC_CLAIM,
					     &again));
}

static bool check_provide(struct scene *s, union arg *a, long ret)
{
	return !ret && a->provide.offer == offer && a->provide.size == PAGE &&
	       (row->flags & MBUF_PROVIDE_CHECK ? still_consents(s) :
						  still_claim(s));
}

/* As check_answer(), where made[1] is a consent. */
static bool check_answered(struct scene *s, union arg *a, long ret)
{
	(void)s;
	made[3] = a->answer.region.fd;
	return !ret && a->answer.outcome == MBUF_OUTCOME_TAKEN &&
	       region_fine(made[3]);
}

static bool still_answered(struct scene *s)
{
	union arg again;

	fill_answer(s, &again);
	return check_answered(s, &again, xioctl(s->end[0], MBUF_IOC_ANSWER,
						&again));
}

static void tidy_provided(struct scene *s)
{
	union arg a;

	fill_claim(s, &a);
	if (!xioctl(s->end[1], MBUF_IOC_CLAIM, &a))
		close(a.claim.region.fd);
	tidy_offer(s);
}

/* Listeners */
static void fill_listen(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->listen, 0, sizeof(a->listen));
	a->listen.name = (uintptr_t)"other";
	a->listen.name_len = 5;
	a->listen.mode = 0600;
	a->listen.backlog = 4;
	a->listen.cookie = 9;
}

static struct mbuf_listener_info listener_is(int fd)
{
	struct mbuf_listener_info i = {};

	if (xioctl(fd, MBUF_IOC_LISTENER_INFO, &i))
		memset(&i, 0xff, sizeof(i));
	return i;
}

static bool check_listen(struct scene *s, union arg *a, long ret)
{
	(void)s;
	made[0] = a->listen.listener.fd;
	return !ret && listener_is(made[0]).queues == 1;
}

/* The name is free. */
static bool still_no_listener(struct scene *s)
{
	union arg again;

	fill_listen(s, &again);
	return check_listen(s, &again, xioctl(s->session, MBUF_IOC_LISTEN,
					      &again));
}

static void fill_acl(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->acl, 0, sizeof(a->acl));
	a->acl.uid = TEST_UID;
	a->acl.op = MBUF_ACL_DENY;
}

static bool check_acl(struct scene *s, union arg *a, long ret)
{
	(void)s;
	(void)a;
	return !ret && listener_is(listener).acl_nr == 1;
}

static bool still_no_acl(struct scene *s)
{
	(void)s;
	return listener_is(listener).acl_nr == 0;
}

static void tidy_acl(struct scene *s)
{
	struct mbuf_listener_acl a = { .uid = TEST_UID };

	(void)s;
	xioctl(listener, MBUF_IOC_LISTENER_ACL, &a);
}

static void fill_set(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->set, 0, sizeof(a->set));
	a->set.flags = MBUF_LISTEN_MODE;
	a->set.mode = 0600;
}

static bool check_listener(struct scene *s, union arg *a, long ret)
{
	(void)s;
	(void)a;
	return !ret && listener_is(listener).queues == 1;
}

static char name_out[16];

static void fill_listener_info(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->linfo, 0, sizeof(a->linfo));
	memset(name_out, 0, sizeof(name_out));
	a->linfo.name = (uintptr_t)name_out;
	a->linfo.name_len = sizeof(name_out);
}

static bool check_listener_info(struct scene *s, union arg *a, long ret)
{
	(void)s;
	return !ret && a->linfo.name_len == strlen(NAME) &&
	       !strcmp(name_out, NAME);
}

static void fill_accept_queue(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->queue, 0, sizeof(a->queue));
	a->queue.backlog = 2;
	a->queue.cookie = 11;
}

static bool check_accept_queue(struct scene *s, union arg *a, long ret)
{
	(void)s;
	made[0] = a->queue.queue.fd;
	return !ret && listener_is(listener).queues == 2;
}

static bool still_one_queue(struct scene *s)
{
	(void)s;
	return listener_is(listener).queues == 1;
}

static void fill_connect(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->connect, 0, sizeof(a->connect));
	a->connect.name = (uintptr_t)NAME;
	a->connect.name_len = strlen(NAME);
	a->connect.flags = row->flags;
	a->connect.end.cookie = 12;
}

static int do_accept(uint32_t flags)
{
	struct mbuf_accept a = {
		.wait = wait_of(MBUF_NOW),
		.flags = flags,
		.end.cookie = 13,
	};
	int ret = (int)xioctl(listener, MBUF_IOC_ACCEPT, &a);

	return ret ? ret : a.end.ref.fd;
}

/* Connections that nobody else sees: a value goes through. */
static bool ends_fine(struct scene *s, int a, int b)
{
	return !ch_put(a, ++s->seed) && ch_take(b, MBUF_NOW) == s->seed;
}

static bool check_connect(struct scene *s, union arg *a, long ret)
{
	made[0] = a->connect.end.ref.fd;
	if (!ret && row->flags & MBUF_CONNECT_ASYNC)
		made[1] = do_accept(0);
	return !ret && ends_fine(s, made[0], made[1]);
}

static bool still_none_pending(struct scene *s)
{
	(void)s;
	return listener_is(listener).pending == 0;
}

/* Accepts what wants to be accepted. */
static void peer_accepts(struct scene *s, const struct action *op)
{
	int fd;

	(void)op;
	if (s->peer_acts || !listener_is(listener).pending)
		return;
	fd = do_accept(0);
	/* It may have gone meanwhile. */
	if (fd == -EAGAIN)
		return;
	s->peer_acts++;
	if (fd < 0)
		s->peer_wrong = "cannot accept";
	else
		made[1] = fd;
}

static bool prepare_pending(struct scene *s)
{
	union arg a;
	long ret;

	fill_connect(s, &a);
	a.connect.flags = MBUF_CONNECT_ASYNC;
	ret = xioctl(s->session, MBUF_IOC_CONNECT, &a);
	made[0] = a.connect.end.ref.fd;
	return !ret;
}

static void fill_accept(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->accept, 0, sizeof(a->accept));
	a->accept.wait = wait_of(MBUF_NOW);
	a->accept.flags = row->flags & MBUF_ACCEPT_ASK;
	a->accept.end.flags = row->flags & ~MBUF_ACCEPT_ASK;
	a->accept.end.cookie = 14;
}

static bool check_accept(struct scene *s, union arg *a, long ret)
{
	struct mbuf_approve p = { .verdict = 1 };

	made[1] = a->accept.end.ref.fd;
	if (!ret && row->flags & MBUF_ACCEPT_ASK)
		ret = xioctl(made[1], MBUF_IOC_APPROVE, &p);
	return !ret && ends_fine(s, made[1], made[0]);
}

static bool still_pending(struct scene *s)
{
	(void)s;
	return listener_is(listener).pending == 1;
}

static bool prepare_asking(struct scene *s)
{
	if (!prepare_pending(s))
		return false;
	made[1] = do_accept(MBUF_ACCEPT_ASK);
	return made[1] >= 0;
}

static void fill_approve(struct scene *s, union arg *a)
{
	(void)s;
	memset(&a->approve, 0, sizeof(a->approve));
	a->approve.verdict = 1;
}

static bool check_approve(struct scene *s, union arg *a, long ret)
{
	(void)a;
	return !ret && ends_fine(s, made[0], made[1]);
}

static bool still_asking(struct scene *s)
{
	(void)s;
	return ch_info(made[1]).state == MBUF_END_ASKING ||
	       ch_info(made[0]).state == MBUF_END_ASKING;
}

static const struct row channel_rows[] = {
	{ .name = "CHANNEL_CREATE", .cmd = MBUF_IOC_CHANNEL_CREATE,
	  .fill = fill_create, .check = check_create,
	  /* The channel; for each end a place in the set, a file, its name. */
	  .slab = 5, .fault = 2 },
	{ .name = "CHANNEL_CREATE, detached", .cmd = MBUF_IOC_CHANNEL_CREATE,
	  .fill = fill_create, .check = check_create, .slab = 5, .fault = 2,
	  .flags = MBUF_END_DETACHED },
	{ .name = "CHANNEL_CREATE, mapped", .cmd = MBUF_IOC_CHANNEL_CREATE,
	  .fill = fill_create, .check = check_create, .slab = 5, .fault = 2,
	  .flags = MBUF_END_MAP | MBUF_END_NONBLOCK },
	{ .name = "CHANNEL_CREATE, of a thread", .cmd = MBUF_IOC_CHANNEL_CREATE,
	  .fill = fill_create, .check = check_create, .slab = 5, .fault = 2,
	  .flags = MBUF_END_THREAD, .needs_thread = true },
	/* Words are copied one by one, which kernels do not make to fail. */
	{ .name = "EXCHANGE: WRITE, SIGNAL", .cmd = MBUF_IOC_EXCHANGE,
	  .on = ON_A, .fill = fill_put, .change = change_put,
	  .tidy = tidy_channel },
	{ .name = "EXCHANGE: WAIT, READ", .cmd = MBUF_IOC_EXCHANGE,
	  .on = ON_B, .prepare = prepare_signal, .fill = fill_take,
	  .check = check_take, .still = still_signal, .change = change_take,
	  .tidy = tidy_channel },
	{ .name = "EXCHANGE: all steps", .cmd = MBUF_IOC_EXCHANGE,
	  .on = ON_B, .prepare = prepare_signal, .fill = fill_all,
	  .check = check_take, .still = still_signal, .change = change_all,
	  .tidy = tidy_channel },
	{ .name = "EXCHANGE: WAIT, READ, waiting", .cmd = MBUF_IOC_EXCHANGE,
	  .on = ON_B, .fill = fill_take_wait, .check = check_take,
	  .peer = peer_signals, .tidy = tidy_channel },
	{ .name = "CHANNEL_INFO", .cmd = MBUF_IOC_CHANNEL_INFO, .on = ON_A,
	  .fill = fill_info, .check = check_info, .fault = 2 },
	{ .name = "GIVE", .cmd = MBUF_IOC_GIVE, .on = ON_A,
	  .prepare = prepare_queue, .fill = fill_give, .check = check_give,
	  .still = still_no_gift, .tidy = tidy_gift, .slab = 1, .fault = 1 },
	{ .name = "GIVEN", .cmd = MBUF_IOC_GIVEN, .on = ON_B,
	  .prepare = prepare_given, .fill = fill_given, .check = check_given,
	  .still = still_gift, .tidy = tidy_gift, .fault = 2, .untold = true },
};

static const struct row set_rows[] = {
	{ .name = "ATTACH", .cmd = MBUF_IOC_ATTACH,
	  .prepare = prepare_detached, .fill = fill_attach,
	  .check = check_attach, .still = still_detached, .fault = 1 },
	{ .name = "DETACH", .cmd = MBUF_IOC_DETACH,
	  .prepare = prepare_attached, .fill = fill_detach,
	  .check = check_detach, .still = still_attached, .fault = 1 },
	{ .name = "POLL_ALL", .cmd = MBUF_IOC_POLL_ALL,
	  .prepare = prepare_signal, .fill = fill_poll_all,
	  .check = check_poll_all, .still = still_signal,
	  .tidy = tidy_channel, .fault = 2 },
	{ .name = "WAIT_ANY", .cmd = MBUF_IOC_WAIT_ANY,
	  .prepare = prepare_signal, .fill = fill_any, .check = check_any,
	  .still = still_signal, .change = change_take,
	  .tidy = tidy_channel, .fault = 3 },
	{ .name = "WAIT_ANY, waiting", .cmd = MBUF_IOC_WAIT_ANY,
	  .fill = fill_any_wait, .check = check_any, .peer = peer_signals,
	  .tidy = tidy_channel, .fault = 3 },
};

static const struct row region_rows[] = {
	{ .name = "OFFER", .cmd = MBUF_IOC_OFFER, .on = ON_A,
	  .fill = fill_offer, .check = check_offer, .still = still_no_offer,
	  .tidy = tidy_offer, .slab = 1, .fault = 2 },
	{ .name = "OFFER of a memfd", .cmd = MBUF_IOC_OFFER, .on = ON_A,
	  .prepare = prepare_memfd, .fill = fill_offer, .check = check_offer,
	  .still = still_no_offer, .tidy = tidy_offer, .slab = 1, .fault = 2,
	  .flags = MBUF_OFFER_MEMFD },
	{ .name = "OFFERED", .cmd = MBUF_IOC_OFFERED, .on = ON_B,
	  .prepare = prepare_offer, .fill = fill_offered,
	  .check = check_offered, .still = still_offer, .tidy = tidy_offer,
	  .fault = 2 },
	{ .name = "TAKE", .cmd = MBUF_IOC_TAKE, .on = ON_B,
	  .prepare = prepare_offer, .fill = fill_take_offer,
	  .check = check_taken, .still = still_offer, .tidy = tidy_offer,
	  .slab = 2, .fault = 2 },
	{ .name = "TAKE, solid", .cmd = MBUF_IOC_TAKE, .on = ON_B,
	  .prepare = prepare_offer, .fill = fill_take_offer,
	  .check = check_taken, .still = still_offer, .tidy = tidy_offer,
	  .slab = 2, .fault = 2, .flags = MBUF_OFFER_SOLID },
	{ .name = "TAKE, to be read", .cmd = MBUF_IOC_TAKE, .on = ON_B,
	  .prepare = prepare_offer, .fill = fill_take_offer,
	  .check = check_taken, .still = still_offer, .tidy = tidy_offer,
	  .slab = 2, .fault = 2, .flags = 0x100 },
	{ .name = "ANSWER", .cmd = MBUF_IOC_ANSWER, .on = ON_A,
	  .prepare = prepare_taken, .fill = fill_answer,
	  .check = check_answer, .still = still_answer, .tidy = tidy_offer,
	  .slab = 1, .fault = 2 },
	{ .name = "ANSWER, solid", .cmd = MBUF_IOC_ANSWER, .on = ON_A,
	  .prepare = prepare_taken, .fill = fill_answer,
	  .check = check_answer, .still = still_answer, .tidy = tidy_offer,
	  .slab = 2, .fault = 2, .flags = MBUF_OFFER_SOLID },
	{ .name = "REJECT", .cmd = MBUF_IOC_REJECT, .on = ON_B,
	  .prepare = prepare_offer, .fill = fill_reject,
	  .check = check_no_offer, .still = still_offer, .tidy = tidy_offer,
	  .fault = 1 },
	{ .name = "COUNTER", .cmd = MBUF_IOC_COUNTER, .on = ON_B,
	  .prepare = prepare_offer, .fill = fill_counter,
	  .check = check_no_offer, .still = still_offer, .tidy = tidy_offer,
	  .fault = 1 },
	{ .name = "WITHDRAW", .cmd = MBUF_IOC_WITHDRAW, .on = ON_A,
	  .prepare = prepare_offer, .fill = fill_withdraw,
	  .check = check_no_offer, .still = still_offer, .tidy = tidy_offer,
	  .fault = 1 },
	{ .name = "GRANT", .cmd = MBUF_IOC_GRANT, .prepare = prepare_taken,
	  .fill = fill_grant, .check = check_grant, .tidy = tidy_offer,
	  .slab = 2, .fault = 2 },
	{ .name = "REGION_INFO", .cmd = MBUF_IOC_REGION_INFO, .on = ON_MADE0,
	  .prepare = prepare_taken, .fill = fill_region_info,
	  .check = check_region_info, .tidy = tidy_offer, .fault = 2,
	  .flags = 0x100 },
};

static const struct row provide_rows[] = {
	{ .name = "CONSENT of who offers", .cmd = MBUF_IOC_CONSENT, .on = ON_A,
	  .prepare = prepare_offer, .fill = fill_consent,
	  .check = check_consent, .still = still_offer, .tidy = tidy_offer,
	  .slab = 2, .fault = 2 },
	{ .name = "CONSENT of the other", .cmd = MBUF_IOC_CONSENT, .on = ON_B,
	  .prepare = prepare_consents, .fill = fill_consent,
	  .check = check_consent, .still = still_consents,
	  .tidy = tidy_offer, .slab = 2, .fault = 2 },
	{ .name = "CONSENT_INFO", .cmd = MBUF_IOC_CONSENT_INFO, .on = ON_MADE1,
	  .prepare = prepare_consents, .fill = fill_consent_info,
	  .check = check_consent_info, .still = still_consents,
	  .tidy = tidy_offer, .fault = 2 },
	{ .name = "REVOKE", .cmd = MBUF_IOC_REVOKE, .on = ON_B,
	  .prepare = prepare_consents, .fill = fill_revoke,
	  .check = check_revoke, .still = still_consents, .tidy = tidy_offer,
	  .fault = 1 },
	{ .name = "PROVIDE of a memfd", .cmd = MBUF_IOC_PROVIDE,
	  .prepare = prepare_consents_memfd, .fill = fill_provide,
	  .check = check_provide, .still = still_consents,
	  .tidy = tidy_provided, .fault = 2 },
	{ .name = "PROVIDE, allocated", .cmd = MBUF_IOC_PROVIDE,
	  .prepare = prepare_consents, .fill = fill_provide,
	  .check = check_provide, .still = still_consents,
	  .tidy = tidy_provided, .slab = 2, .fault = 2,
	  .flags = MBUF_PROVIDE_ALLOCATE },
	{ .name = "PROVIDE, looking only", .cmd = MBUF_IOC_PROVIDE,
	  .prepare = prepare_consents, .fill = fill_provide,
	  .check = check_provide, .still = still_consents,
	  .tidy = tidy_provided, .fault = 2, .flags = MBUF_PROVIDE_CHECK },
	{ .name = "CLAIM", .cmd = MBUF_IOC_CLAIM, .on = ON_B,
	  .prepare = prepare_provided, .fill = fill_claim,
	  .check = check_claim, .still = still_claim, .tidy = tidy_provided,
	  .slab = 1, .fault = 2 },
	{ .name = "ANSWER to what was provided", .cmd = MBUF_IOC_ANSWER,
	  .on = ON_A, .prepare = prepare_provided, .fill = fill_answer,
	  .check = check_answered, .still = still_answered,
	  .tidy = tidy_provided, .slab = 1, .fault = 2 },
};

static const struct row listener_rows[] = {
	{ .name = "LISTEN", .cmd = MBUF_IOC_LISTEN, .fill = fill_listen,
	  .check = check_listen, .still = still_no_listener, .slab = 3,
	  .fault = 3 },
	{ .name = "LISTENER_ACL", .cmd = MBUF_IOC_LISTENER_ACL,
	  .on = ON_LISTENER, .fill = fill_acl, .check = check_acl,
	  .still = still_no_acl, .tidy = tidy_acl, .slab = 1, .fault = 1 },
	{ .name = "LISTENER_SET", .cmd = MBUF_IOC_LISTENER_SET,
	  .on = ON_LISTENER, .fill = fill_set, .check = check_listener,
	  .fault = 1 },
	{ .name = "LISTENER_INFO", .cmd = MBUF_IOC_LISTENER_INFO,
	  .on = ON_LISTENER, .fill = fill_listener_info,
	  .check = check_listener_info, .fault = 3 },
	{ .name = "ACCEPT_QUEUE", .cmd = MBUF_IOC_ACCEPT_QUEUE,
	  .on = ON_LISTENER, .fill = fill_accept_queue,
	  .check = check_accept_queue, .still = still_one_queue, .slab = 3,
	  .fault = 2 },
	{ .name = "CONNECT, not waiting", .cmd = MBUF_IOC_CONNECT,
	  .fill = fill_connect, .check = check_connect,
	  .still = still_none_pending, .slab = 3, .fault = 2,
	  .flags = MBUF_CONNECT_ASYNC },
	{ .name = "CONNECT", .cmd = MBUF_IOC_CONNECT, .fill = fill_connect,
	  .check = check_connect, .still = still_none_pending,
	  .peer = peer_accepts, .slab = 3, .fault = 2 },
	{ .name = "ACCEPT", .cmd = MBUF_IOC_ACCEPT, .on = ON_LISTENER,
	  .prepare = prepare_pending, .fill = fill_accept,
	  .check = check_accept, .still = still_pending, .slab = 2,
	  .fault = 2 },
	{ .name = "ACCEPT, asking, mapped", .cmd = MBUF_IOC_ACCEPT,
	  .on = ON_LISTENER, .prepare = prepare_pending,
	  .fill = fill_accept, .check = check_accept,
	  .still = still_pending, .slab = 2, .fault = 2,
	  .flags = MBUF_ACCEPT_ASK | MBUF_END_MAP },
	{ .name = "APPROVE", .cmd = MBUF_IOC_APPROVE, .on = ON_MADE1,
	  .prepare = prepare_asking, .fill = fill_approve,
	  .check = check_approve, .still = still_asking, .fault = 1 },
};

/*
 * Driving them
 */
static int fd_of(const struct scene *s, enum on on)
{
	switch (on) {
	case ON_A:
	case ON_B:
		return s->end[on == ON_B];
	case ON_LISTENER:
		return listener;
	case ON_MADE0:
	case ON_MADE1:
		return made[on == ON_MADE1];
	default:
		return s->session;
	}
}

static void prepare_row(struct scene *s, const struct action *op)
{
	(void)op;
	if (row->prepare && !row->prepare(s))
		SCENE_FAIL(s, "%s: cannot be prepared", row->name);
	memset(&arg, 0, sizeof(arg));
	row->fill(s, &arg);
	arg_in = arg;
	first_free = lowest_fd();
}

static long call_row(struct scene *s, const struct action *op)
{
	long ret = xioctl(fd_of(s, row->on), row->cmd, &arg);

	(void)op;
	/* What the call may have made: those of the round are all below. */
	if (ret == -EFAULT && row->untold)
		syscall(SYS_close_range, first_free, ~0U, 0);
	return ret;
}

static bool settle_row(struct scene *s, const struct action *op, long ret)
{
	bool fine = true;

	(void)op;
	if (ret >= 0) {
		fine = !row->check || row->check(s, &arg, ret);
		if (!fine)
			SCENE_FAIL(s, "%s: the result is not right", row->name);
	} else if (ret != -ECANCELED) {
		fine = !row->still || row->still(s);
		if (!fine)
			SCENE_FAIL(s, "%s: failed with %ld, and did something",
				   row->name, ret);
	}
	/* What failed for want of memory has written nothing. */
	if (ret == -ENOMEM && memcmp(&arg, &arg_in, sizeof(arg))) {
		SCENE_FAIL(s, "%s: wrote, and failed", row->name);
		fine = false;
	}
	if (row->tidy)
		row->tidy(s);
	close_made();
	return fine;
}

static void change_row(union info *u, const struct scene *s,
		       const struct action *op, long ret)
{
	(void)op;
	if (ret >= 0 && row->change)
		row->change(u->ends);
	/* One has come for who waited, and was taken or is still there. */
	if (row->peer == peer_signals && s->peer_acts) {
		change_put(u->ends);
		if (ret >= 0)
			change_take(u->ends);
	}
}

static void drive_rows(struct __test_metadata *_metadata, struct scene *s,
		       const struct row *rows, unsigned int nr)
{
	struct mbuf_listen l = {
		.name = (uintptr_t)NAME,
		.name_len = strlen(NAME),
		.mode = 0600,
		.backlog = 4,
		.cookie = 10,
	};
	struct mbuf_query q = {};
	unsigned int i;

	ASSERT_EQ(0, mbuf_query(s->session, &q));
	ASSERT_EQ(0, ch_create(s->session, 0, s->end));
	if (rows == listener_rows) {
		ASSERT_EQ(0, xioctl(s->session, MBUF_IOC_LISTEN, &l));
		listener = l.listener.fd;
	}
	for (i = 0; i < nr; i++) {
		struct action op = {
			.subject = &a_channel,
			.prepare = prepare_row,
			.call = call_row,
			.settle = settle_row,
			.change = change_row,
			.peer = rows[i].peer,
			.need_slab = rows[i].slab,
			.need_fault = rows[i].fault,
		};

		row = &rows[i];
		if (row->needs_thread && !(q.features & MBUF_FEATURE_THREAD)) {
			diag("%s: not on this kernel", row->name);
			continue;
		}
		snprintf(op.name, sizeof(op.name), "%s", row->name);
		drive(s, &op);
	}
	close_fd(&listener);
}

#define DRIVE_ROWS(rows, feature) do {					\
	struct mbuf_query __q = {};					\
									\
	NEED_INJECTION();						\
	mbuf_query(self->s.session, &__q);				\
	if (!(__q.features & (feature)))				\
		SKIP(return, "this module has no such objects");	\
	drive_rows(_metadata, &self->s, rows, ARRAY_SIZE(rows));	\
} while (0)

TEST_F_TIMEOUT(failnth, channel, LONG_TIMEOUT)
{
	DRIVE_ROWS(channel_rows, MBUF_FEATURE_CHANNEL);
}

TEST_F_TIMEOUT(failnth, set, LONG_TIMEOUT)
{
	DRIVE_ROWS(set_rows, MBUF_FEATURE_CHANNEL);
}

TEST_F_TIMEOUT(failnth, region, LONG_TIMEOUT)
{
	DRIVE_ROWS(region_rows, MBUF_FEATURE_REGION);
}

TEST_F_TIMEOUT(failnth, provide, LONG_TIMEOUT)
{
	DRIVE_ROWS(provide_rows, MBUF_FEATURE_PROVIDE);
}

TEST_F_TIMEOUT(failnth, listener, LONG_TIMEOUT)
{
	DRIVE_ROWS(listener_rows, MBUF_FEATURE_LISTENER);
}

/*
 * Endpoints as files
 */
enum file_way { WAY_F_READ, WAY_F_READV, WAY_F_WRITE, WAY_F_WRITEV,
		WAY_F_MAP, WAY_F_CLOSE, NR_FILE_WAYS };

static const char *const file_names[NR_FILE_WAYS] = {
	"read of an endpoint", "readv of an endpoint",
	"write to an endpoint", "writev to an endpoint",
	"mmap of an endpoint", "close of an endpoint",
};

static struct value file_value;
static void *file_map;

static void prepare_file(struct scene *s, const struct action *op)
{
	poison(&file_value, sizeof(file_value));
	file_map = MAP_FAILED;
	if (op->way <= WAY_F_READV && !prepare_signal(s))
		SCENE_FAIL(s, "cannot signal");
	if (op->way == WAY_F_WRITE || op->way == WAY_F_WRITEV)
		file_value = value_of(++s->seed);
	if (op->way >= WAY_F_MAP && made[0] < 0 &&
	    ch_create(s->session, MBUF_END_MAP, made))
		SCENE_FAIL(s, "cannot make a channel");
}

static long call_file(struct scene *s, const struct action *op)
{
	struct iovec iov[2] = {
		{ &file_value, 12 },
		{ (char *)&file_value + 12, sizeof(file_value) - 12 },
	};
	long ret;

	switch (op->way) {
	case WAY_F_READ:
		return xread(s->end[1], &file_value, sizeof(file_value));
	case WAY_F_READV:
		return sys_result(readv(s->end[1], iov, 2));
	case WAY_F_WRITE:
		return xwrite(s->end[0], &file_value, sizeof(file_value));
	case WAY_F_WRITEV:
		return sys_result(writev(s->end[0], iov, 2));
	case WAY_F_MAP:
		file_map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, made[0], 0);
		return file_map == MAP_FAILED ? -errno : 0;
	default:
		ret = sys_result(close(made[0]));
		made[0] = -1;
		return ret;
	}
}

static bool settle_file(struct scene *s, const struct action *op, long ret)
{
	bool fine = true;

	if (op->way <= WAY_F_READV) {
		if (ret >= 0)
			fine = value_num(&file_value) == s->seed;
		else if (ret != -ECANCELED)
			fine = still_signal(s);
	} else if (op->way == WAY_F_CLOSE && ret != -ECANCELED) {
		fine = !ret && ch_put(made[1], 1) == -EPIPE;
	}
	if (file_map != MAP_FAILED)
		munmap(file_map, PAGE);
	file_map = MAP_FAILED;
	if (!fine)
		SCENE_FAIL(s, "%s gives %ld", op->name, ret);
	tidy_channel(s);
	close_made();
	return fine;
}

static void change_file(union info *u, const struct scene *s,
			const struct action *op, long ret)
{
	(void)s;
	if (ret < 0)
		return;
	if (op->way <= WAY_F_READV)
		change_take(u->ends);
	else if (op->way <= WAY_F_WRITEV)
		change_put(u->ends);
}

TEST_F_TIMEOUT(failnth, endpoint_file, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.subject = &a_channel,
		.prepare = prepare_file,
		.call = call_file,
		.settle = settle_file,
		.change = change_file,
	};

	NEED_INJECTION();
	ASSERT_EQ(0, ch_create(s->session, 0, s->end));
	for (op.way = 0; op.way < NR_FILE_WAYS; op.way++) {
		snprintf(op.name, sizeof(op.name), "%s", file_names[op.way]);
		op.need_fault = op.way < WAY_F_MAP;
		op.need_slab = op.way == WAY_F_MAP;
		drive(s, &op);
	}
}

TEST_HARNESS_MAIN
