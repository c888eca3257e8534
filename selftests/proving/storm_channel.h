/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What victims of the storm do with channels, sets of endpoints, regions and
 * listeners, and the survivors that serve them. A part of storm.c.
 *
 * A request is an even number, the reply to it is odd. As victims share
 * channels and die while they wait, a reply may come to another one than who has
 * asked; but all values are whole, and what is odd comes from the server.
 */
#ifndef MBUF_SELFTESTS_STORM_CHANNEL_H
#define MBUF_SELFTESTS_STORM_CHANNEL_H

#define NR_CHANNELS	4
#define NR_NAMES	3
#define REGION_PAGE		4096
#define SERVED		"storm"

static bool drivers;
static int ask[NR_CHANNELS], serve[NR_CHANNELS], listener = -1;

/* What these calls may say besides what all may. */
static bool channel_may_fail(long ret)
{
	return may_fail(ret) || ret == -EBUSY || ret == -ECONNREFUSED ||
	       ret == -EPIPE || ret == -ENOTCONN || ret == -EADDRINUSE ||
	       ret == -ENOENT || ret == -EALREADY || ret == -EPERM ||
	       ret == -ESTALE;
}

#define CALL(call) ({							\
	long __ret = (call);						\
									\
	atomic_fetch_add(&sh->calls, 1);				\
	if (__ret < 0 && !channel_may_fail(__ret))			\
		wrong("%s: %s", #call, strerror((int)-__ret));		\
	__ret;								\
})

/*
 * Survivors
 */

/* Replies to all, until nobody can ask any more. */
static int server(void *arg)
{
	struct mbuf_ref refs[NR_CHANNELS];
	struct mbuf_wait_any any;
	unsigned int i, gone = 0;
	int64_t num;
	int ret;

	keep_only(-1, -1);
	close(listener);
	for (i = 0; i < NR_CHANNELS; i++)
		close(ask[i]);
	refs_of(refs, serve, NR_CHANNELS);
	while (gone < NR_CHANNELS) {
		any = any_of(refs, NR_CHANNELS - gone, MBUF_FOREVER);
		ret = ch_any((int)(uintptr_t)arg, &any);
		CHECK_EQ(0, ret);
		if (any.state & MBUF_END_CLOSED) {
			refs[any.index] = refs[NR_CHANNELS - ++gone];
			continue;
		}
		num = value_num(any.data);
		if (!any.signals || num < 0 || num % 2)
			wrong("server: %llu signals with value %lld",
			      (unsigned long long)any.signals, (long long)num);
		ret = ch_put(refs[any.index].fd, (uint64_t)num + 1);
		if (ret && ret != -EPIPE)
			wrong("server: %s", strerror(-ret));
		atomic_fetch_add(&sh->served, 1);
	}
	return 0;
}

/* Accepts who wants to connect, or not, and greets. */
static int acceptor(void *arg)
{
	struct rng r = rng_of((uintptr_t)arg, 0xacce);
	struct mbuf_accept a;
	int i, ret, fd;

	keep_only(-1, -1);
	for (i = 0; i < NR_CHANNELS; i++) {
		close(ask[i]);
		close(serve[i]);
	}
	while (!atomic_load(&sh->stop)) {
		memset(&a, 0, sizeof(a));
		a.flags = rng_below(&r, 3) ? 0 : MBUF_ACCEPT_ASK;
		ret = mbuf_accept_args(listener, &a, in_ms(50));
		if (ret == -ETIMEDOUT)
			continue;
		CHECK_EQ(0, ret);
		fd = a.end.ref.fd;
		if (a.flags)
			ret = mbuf_approve(fd, rng_below(&r, 2));
		if (ret && ret != -EPIPE)
			wrong("acceptor: %s", strerror(-ret));
		ch_put(fd, 1);
		close(fd);
		atomic_fetch_add(&sh->accepted, 1);
	}
	return 0;
}

/*
 * Victims
 */
static void caller(struct rng r)
{
	struct party_rec *rec = &sh->rec[new_id(NR_QUEUES)];
	struct mbuf_exchange x;
	uint64_t nr = 0;
	int64_t num;
	long ret;
	int fd;

	for (;;) {
		fd = ask[rng_below(&r, NR_CHANNELS)];
		atomic_store(&rec->at, AT_EXCHANGE);
		switch (rng_below(&r, 4)) {
		case 0:
			CALL(ch_put(fd, 2 * nr++));
			break;
		case 1:
			x = xchg_of(STEPS_TAKE, 0, random_deadline(&r));
			ret = CALL(ch_xchg(fd, &x));
			num = ret ? 1 : value_num(x.data);
			if (num < 0 || num % 2 != 1)
				wrong("caller got %lld", (long long)num);
			break;
		default:
			x = xchg_of(STEPS_ALL, 2 * nr++, random_deadline(&r));
			ret = CALL(ch_xchg(fd, &x));
			num = ret ? 1 : value_num(x.data);
			if (num < 0 || num % 2 != 1)
				wrong("caller got %lld for %llu",
				      (long long)num,
				      (unsigned long long)(2 * nr - 2));
			break;
		}
		atomic_store(&rec->at, AT_OTHER);
	}
}

/* Many endpoints of its own, in sets. */
static void setter(struct rng r)
{
	struct party_rec *rec = &sh->rec[new_id(NR_QUEUES)];
	int fds[6][2], sessions[2] = { -1, -1 };
	const struct mbuf_slot_map *map;
	struct mbuf_event ev[8];
	struct mbuf_ref refs[6];
	struct mbuf_wait_any any;
	unsigned int i, k;

	memset(fds, 0xff, sizeof(fds));
	for (;;) {
		atomic_store(&rec->at, AT_CLOSE);
		i = rng_below(&r, ARRAY_SIZE(fds));
		k = rng_below(&r, 2);
		close_fd(&fds[i][k]);
		if (rng_below(&r, 2))
			close_fd(&fds[i][!k]);
		if (!rng_below(&r, 8))
			close_fd(&sessions[rng_below(&r, 2)]);
		atomic_store(&rec->at, AT_CREATE);
		for (k = 0; k < 2; k++)
			if (sessions[k] < 0)
				sessions[k] = (int)CALL(mbuf_open());
		if (fds[i][0] < 0 && fds[i][1] < 0)
			CALL(ch_create(sessions[rng_below(&r, 2)],
				       rng_below(&r, 2) ? 0 :
				       rng_below(&r, 2) ? MBUF_END_MAP :
							  MBUF_END_DETACHED,
				       fds[i]));
		atomic_store(&rec->at, AT_EXCHANGE);
		for (i = 0; i < ARRAY_SIZE(fds); i++) {
			k = rng_below(&r, 2);
			if (fds[i][k] < 0)
				continue;
			CALL(ch_put(fds[i][k], 2));
			if (rng_below(&r, 4))
				continue;
			ch_attach_flags(sessions[rng_below(&r, 2)], fds[i][k],
					i, rng_below(&r, 2) ? MBUF_ATTACH_MOVE :
							      0);
			if (!mbuf_channel_map(fds[i][k], &map))
				mbuf_channel_unmap(map);
		}
		CALL(ch_poll_all(sessions[0], ev, 8,
				 rng_below(&r, 2) ? MBUF_NOW :
				 mbuf_deadline(rng_below(&r, 1000000))));
		for (i = 0, k = 0; i < ARRAY_SIZE(fds); i++)
			if (fds[i][0] >= 0)
				refs[k++] = (struct mbuf_ref){ .fd = fds[i][0] };
		if (!k)
			continue;
		any = any_of(refs, k, mbuf_deadline(rng_below(&r, 1000000)));
		CALL(ch_any(sessions[1], &any));
	}
}

static long offer_some(int fd, struct rng *r, uint64_t *id)
{
	struct mbuf_offer o = {
		.min = REGION_PAGE,
		.wanted = REGION_PAGE * (1 + rng_below(r, 3)),
		.max = 4 * REGION_PAGE,
		.rights = MBUF_REGION_READ |
			  (rng_below(r, 2) ? MBUF_REGION_WRITE : 0),
		.options = rng_below(r, 2) ? MBUF_OFFER_SOLID : 0,
	};
	long ret = xioctl(fd, MBUF_IOC_OFFER, &o);

	if (!ret)
		*id = o.id;
	return ret;
}

static long region_call(int fd, unsigned long cmd, void *arg)
{
	return xioctl(fd, cmd, arg);
}

/* Reads, and writes if it can. */
static void region_use(int fd, struct rng *r)
{
	uint8_t *p = mmap(NULL, REGION_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p != MAP_FAILED)
		memset(p, 1, REGION_PAGE);
	else
		p = mmap(NULL, REGION_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		wrong("a region cannot be mapped: %s", strerror(errno));
		return;
	}
	if (*(volatile uint8_t *)p > 1)
		wrong("a region is not what was written to it");
	/* Some are still mapped when it dies. */
	if (rng_below(r, 4))
		munmap(p, REGION_PAGE);
}

/* All three sides of a provision, of which others may do the same. */
static void provide_to(int session, const int end[2], struct rng *r,
		       uint64_t *id)
{
	struct mbuf_consent c[2] = {};
	struct mbuf_revoke v = {};
	struct mbuf_offered o = { .wait = wait_of(MBUF_NOW) };
	struct mbuf_claim m = {
		.wait = wait_of(mbuf_deadline(rng_below(r, 300000))),
	};
	struct mbuf_provide p = {
		.flags = rng_below(r, 4) ? MBUF_PROVIDE_ALLOCATE :
					   MBUF_PROVIDE_CHECK,
	};
	unsigned int i;

	if (CALL(region_call(end[1], MBUF_IOC_OFFERED, &o)) &&
	    CALL(offer_some(end[0], r, id)))
		return;
	if (o.id)
		*id = o.id;
	for (i = 0; i < 2; i++) {
		c[i].offer = *id;
		p.consent[i].fd = -1;
		if (!CALL(region_call(end[i], MBUF_IOC_CONSENT, &c[i])))
			p.consent[i].fd = c[i].consent.fd;
	}
	if (!rng_below(r, 8)) {
		i = rng_below(r, 2);
		v.id = c[i].id;
		CALL(region_call(end[i], MBUF_IOC_REVOKE, &v));
	}
	if (p.consent[0].fd >= 0 && p.consent[1].fd >= 0)
		CALL(region_call(session, MBUF_IOC_PROVIDE, &p));
	m.id = *id;
	if (!CALL(region_call(end[1], MBUF_IOC_CLAIM, &m))) {
		region_use(m.region.fd, r);
		close(m.region.fd);
	}
	for (i = 0; i < 2; i++)
		if (p.consent[i].fd >= 0)
			close(p.consent[i].fd);
}

/* Both sides of negotiations; each may die in any of them. */
static void negotiator(struct rng r)
{
	struct party_rec *rec = &sh->rec[new_id(NR_QUEUES)];
	struct mbuf_withdraw w = {};
	struct mbuf_counter c = {};
	struct mbuf_offered o;
	struct mbuf_answer a;
	struct mbuf_take t;
	int session = -1, end[2] = { -1, -1 }, n = 0;
	uint64_t id = 0;

	atomic_store(&rec->at, AT_REGION);
	for (;;) {
		if (session < 0)
			session = (int)CALL(mbuf_open());
		if (end[0] < 0 && CALL(ch_create(session, 0, end)))
			continue;
		/* Its child is the other side. */
		if (!n++ && rng_below(&r, 2) && !fork()) {
			r = rng_of(rng_next(&r), 77);
			die_at_random(&r, life_ns);
		}
		switch (rng_below(&r, 11)) {
		case 0:
		case 1:
			CALL(offer_some(end[0], &r, &id));
			break;
		case 8:
		case 9:
		case 10:
			provide_to(session, end, &r, &id);
			break;
		case 2:
		case 3:
			memset(&o, 0, sizeof(o));
			o.wait = wait_of(mbuf_deadline(rng_below(&r, 300000)));
			if (CALL(region_call(end[1], MBUF_IOC_OFFERED, &o)))
				break;
			memset(&t, 0, sizeof(t));
			t.id = o.id;
			if (CALL(region_call(end[1], MBUF_IOC_TAKE, &t)))
				break;
			region_use(t.region.fd, &r);
			close(t.region.fd);
			break;
		case 4:
		case 5:
			memset(&a, 0, sizeof(a));
			a.id = id;
			a.wait = wait_of(mbuf_deadline(rng_below(&r, 300000)));
			if (CALL(region_call(end[0], MBUF_IOC_ANSWER, &a)) ||
			    a.region.fd < 0)
				break;
			region_use(a.region.fd, &r);
			close(a.region.fd);
			break;
		case 6:
			c.id = id;
			CALL(region_call(end[1], MBUF_IOC_REJECT, &c));
			w.id = id;
			CALL(region_call(end[0], MBUF_IOC_WITHDRAW, &w));
			break;
		default:
			if (rng_below(&r, 8))
				break;
			close_fd(&end[rng_below(&r, 2)]);
			close_fd(&end[0]);
			close_fd(&end[1]);
		}
	}
}

/* Connects to who serves, and to other victims. */
static void connector(struct rng r)
{
	struct party_rec *rec = &sh->rec[new_id(NR_QUEUES)];
	int session = -1, own = -1, fd;
	struct mbuf_connect c;
	char name[16];
	long ret;

	atomic_store(&rec->at, AT_CONNECT);
	for (;;) {
		if (!rng_below(&r, 16))
			close_fd(&session);
		if (session < 0)
			session = (int)CALL(mbuf_open());
		snprintf(name, sizeof(name), "victim%u",
			 rng_below(&r, NR_NAMES));
		if (!rng_below(&r, 4))
			close_fd(&own);
		if (own < 0)
			own = (int)CALL(mbuf_listen(session, name, strlen(name),
						    0666, 3));
		memset(&c, 0, sizeof(c));
		c.name = (uintptr_t)(rng_below(&r, 2) ? SERVED : name);
		c.name_len = (uint32_t)strlen((char *)(uintptr_t)c.name);
		c.flags = rng_below(&r, 2) ? MBUF_CONNECT_ASYNC : 0;
		ret = CALL(mbuf_connect_args(session, &c,
					     mbuf_deadline(rng_below(&r,
								     3000000))));
		if (!ret) {
			CALL(ch_put(c.end.ref.fd, 2));
			ret = CALL(ch_take(c.end.ref.fd,
					   mbuf_deadline(rng_below(&r,
								   3000000))));
			if (ret > 2)
				wrong("connector got %ld", ret);
			close(c.end.ref.fd);
		}
		if (own < 0)
			continue;
		fd = (int)CALL(mbuf_accept(own, NULL, random_deadline(&r) ==
					   MBUF_NOW ? MBUF_NOW :
					   mbuf_deadline(rng_below(&r,
								   1000000))));
		if (fd >= 0) {
			ch_put(fd, 2);
			close(fd);
		}
	}
}

static void *thread_owner(void *arg)
{
	struct rng *r = arg;
	int session = mbuf_open(), fds[2], i;

	/* Some end with the thread, some with the process. */
	for (i = 0; session >= 0 && i < 3; i++) {
		if (ch_create(session, MBUF_END_THREAD, fds))
			break;
		CALL(ch_put(fds[0], 2));
		CALL(ch_take(fds[1], mbuf_deadline(rng_below(r, 300000))));
	}
	close(session);
	if (rng_below(r, 4) == 0)
		for (;;)
			CALL(ch_take(ask[0], MBUF_FOREVER));
	return NULL;
}

/* Threads come and go, with endpoints that belong to them. */
static void owners(struct rng r)
{
	struct party_rec *rec = &sh->rec[new_id(NR_QUEUES)];
	struct rng kid[3];
	pthread_t t[3];
	unsigned int i;

	atomic_store(&rec->at, AT_EXCHANGE);
	for (;;) {
		for (i = 0; i < ARRAY_SIZE(t); i++) {
			kid[i] = rng_of(rng_next(&r), i);
			if (pthread_create(&t[i], NULL, thread_owner, &kid[i]))
				t[i] = 0;
		}
		for (i = 0; i < ARRAY_SIZE(t); i++)
			if (t[i])
				pthread_join(t[i], NULL);
		close_range(64, ~0u, 0);
	}
}

/*
 * Channels whose other end is a driver's, which answers from a receiver and
 * sends from hard interrupts; and listeners that drivers have.
 */
static void driver_user(struct rng r)
{
	struct party_rec *rec = &sh->rec[new_id(NR_QUEUES)];
	int test = -1, session = -1, fd = -1;
	struct mbuf_test_listen l = {};
	struct mbuf_test_call call;
	struct mbuf_connect c;
	char name[16];
	uint32_t one = 1;
	uint64_t nr = 0;
	int64_t num;

	/* Without drivers there is enough else to do. */
	if (!drivers)
		caller(r);
	snprintf(name, sizeof(name), "driver%u", rng_below(&r, NR_NAMES));
	atomic_store(&rec->at, AT_EXCHANGE);
	for (;;) {
		if (!rng_below(&r, 16))
			close_fd(&test);
		if (!rng_below(&r, 16))
			close_fd(&session);
		if (test < 0) {
			test = (int)CALL(sys_result(open(TEST_DEVICE, O_RDWR)));
			close_fd(&fd);
		}
		if (session < 0)
			session = (int)CALL(mbuf_open());
		if (fd < 0)
			fd = (int)CALL(drv_open(test, MBUF_TEST_RECEIVE |
						MBUF_TEST_ECHO,
						rng_below(&r, 2) ?
						MBUF_END_THREAD : 0));
		if (test < 0 || session < 0 || fd < 0)
			continue;
		switch (rng_below(&r, 8)) {
		case 0:
			close_fd(&fd);
			break;
		case 1:
			CALL(drv_timer(test, rng_below(&r, 2) ? 100000 : 0, 50,
				       rng_below(&r, 20000)));
			break;
		case 2:
			CALL(xioctl(test, MBUF_TEST_KEEP, &one));
			break;
		case 3:
			call = (struct mbuf_test_call){
				.op = MBUF_TEST_OP_SEND,
				.value = mbuf_test_value(2 * nr++),
			};
			CALL(drv_call(test, MBUF_TEST_HARD_IRQ, &call));
			break;
		case 4:
			l.name = (uintptr_t)name;
			l.len = (uint32_t)strlen(name);
			l.mode = 0666;
			l.backlog = 3;
			l.flags = MBUF_TEST_RECEIVE | MBUF_TEST_ECHO;
			l.refuse = -1;
			if (CALL(xioctl(test, MBUF_TEST_LISTEN, &l)) &&
			    !rng_below(&r, 2))
				CALL(xioctl(test, MBUF_TEST_UNLISTEN, NULL));
			break;
		case 5:
			memset(&c, 0, sizeof(c));
			c.name = (uintptr_t)name;
			c.name_len = (uint32_t)strlen(name);
			if (CALL(mbuf_connect_args(session, &c, in_ms(3))))
				break;
			CALL(ch_put(c.end.ref.fd, 2));
			num = CALL(ch_take(c.end.ref.fd, in_ms(3)));
			if (num >= 0 && num != 2)
				wrong("a driver echoes %lld", (long long)num);
			close(c.end.ref.fd);
			break;
		default:
			CALL(ch_put(fd, 2 * nr++));
			CALL(ch_take(fd, mbuf_deadline(rng_below(&r,
								 300000))));
		}
	}
}

/*
 * Checks
 */

/* Nobody waits any more at what victims shared, and it works. */
static bool channels_back(void)
{
	struct mbuf_listener_info l;
	int i;

	for (i = 0; i < NR_CHANNELS; i++) {
		struct mbuf_channel_info info = ch_info(ask[i]);

		if (info.waiters || info.state)
			return false;
	}
	return !mbuf_listener_info(listener, NULL, 0, &l) && !l.pending;
}

static void channels_work(void)
{
	int i;

	for (i = 0; i < NR_CHANNELS; i++) {
		struct mbuf_exchange x = xchg_of(STEPS_ALL, 1000, in_ms(60000));
		int ret;

		while (ch_wait(ask[i], MBUF_NOW) >= 0)
			;
		ret = ch_xchg(ask[i], &x);
		if (ret || value_num(x.data) % 2 != 1)
			wrong("channel %d does not answer: %s", i,
			      strerror(-ret));
	}
}

#endif /* MBUF_SELFTESTS_STORM_CHANNEL_H */
