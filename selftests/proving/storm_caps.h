/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What victims of the storm do with capabilities, and by netlink, and a survivor
 * that listens. A part of storm.c.
 *
 * All victims have one queue that takes capabilities. Whatever they hold they send
 * there, and take from there what others have sent: rights to this very queue,
 * tables, keys, sealed messages, receive rights with all that is in them. What is
 * left in it when they have died is thrown away, and nobody is charged for it.
 */
#ifndef MBUF_SELFTESTS_STORM_CAPS_H
#define MBUF_SELFTESTS_STORM_CAPS_H

#define HELD		12	/* handles that a victim knows of */
#define CAPS_MAX	4
#define CAPS_MSG	256

static int caps_rfd = -1, caps_sfd = -1;

/* What these calls may say besides what all may. */
static bool caps_may_fail(long ret)
{
	switch (ret) {
	/* The handles are any, of any kind, and may have gone. */
	case -ENOENT:
	case -ENOTDIR:
	case -ENOTTY:
	case -EBADF:
	case -EACCES:
	case -EKEYREVOKED:
	case -EKEYREJECTED:
	case -EBUSY:
	case -EEXIST:
	case -EPERM:
	case -EOPNOTSUPP:
	case -ELOOP:
	case -EMFILE:
	case -ENFILE:
	case -EPIPE:
	case -EMSGSIZE:
	/* Of message objects. */
	case -EALREADY:
	case -ENODATA:
		return true;
	}
	return may_fail(ret);
}

#define CAPS_CALL(call) ({						\
	long __ret = (call);						\
									\
	atomic_fetch_add(&sh->calls, 1);				\
	if (__ret < 0 && !caps_may_fail(__ret))				\
		wrong("%s: %s", #call, strerror((int)-__ret));		\
	__ret;								\
})

struct holder {
	int session;
	uint64_t held[HELD];
	uint32_t id;
	uint64_t nr;
	struct rng r;
	uint8_t room[CAPS_MSG];
};

static uint64_t *any_place(struct holder *h)
{
	return &h->held[rng_below(&h->r, HELD)];
}

static uint64_t any_held(struct holder *h)
{
	return *any_place(h);
}

/* The root table or, sometimes, another. */
static uint64_t any_table(struct holder *h)
{
	return rng_below(&h->r, 4) ? 0 : any_held(h);
}

/* A handle the more. What was in its place is deleted, or forgotten. */
static void hold(struct holder *h, uint64_t handle)
{
	uint64_t *place = any_place(h);

	if (*place && rng_below(&h->r, 4))
		CAPS_CALL(mbuf_handle_delete(h->session, *place));
	*place = handle;
}

static uint32_t fill_caps_msg(struct holder *h)
{
	uint32_t len = (uint32_t)sizeof(struct head) +
		       rng_below(&h->r, CAPS_MSG - sizeof(struct head));

	msg_fill(h->room, h->id, ++h->nr, len);
	return len;
}

static void check_caps_msg(const uint8_t *room, size_t len)
{
	const char *why;
	struct head head;

	why = msg_wrong(room, len, &head);
	if (why)
		wrong("with capabilities: %s", why);
}

static uint32_t some_caps(struct holder *h, struct mbuf_cap *caps)
{
	uint32_t nr = rng_below(&h->r, CAPS_MAX + 1), i;

	for (i = 0; i < nr; i++) {
		switch (rng_below(&h->r, 4)) {
		case 0:
			caps[i] = mbuf_cap_fd(rng_below(&h->r, 2) ? caps_sfd :
					      caps_rfd);
			break;
		case 1:
			caps[i] = mbuf_cap_handle(any_held(h));
			break;
		default:
			caps[i] = mbuf_cap_move(any_held(h));
			break;
		}
	}
	return nr;
}

static void keep_caps(struct holder *h, const struct mbuf_cap *caps,
		      uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		if (caps[i].ref.flags & MBUF_REF_HANDLE)
			hold(h, caps[i].ref.handle);
		else if (caps[i].ref.fd >= 0)
			close(caps[i].ref.fd);
	}
}

/* By descriptor, or by whatever handle. */
static void send_some_caps(struct holder *h)
{
	const uint64_t deadline = random_deadline(&h->r);
	struct mbuf_cap caps[CAPS_MAX];
	uint32_t nr = some_caps(h, caps);
	struct mbuf_msg msg = msg_of(h->room, fill_caps_msg(h));

	if (rng_below(&h->r, 4))
		CAPS_CALL(mbuf_send_caps(caps_sfd, &msg, caps, nr, h->session,
					 deadline));
	else
		CAPS_CALL(mbuf_handle_send(h->session, any_held(h), &msg, caps,
					   nr, MBUF_NOW));
}

static void recv_some_caps(struct holder *h)
{
	const uint32_t flags = rng_below(&h->r, 2) ? MBUF_RECV_HANDLES : 0;
	const uint64_t deadline = random_deadline(&h->r);
	struct mbuf_msg msg = msg_of(h->room, sizeof(h->room));
	struct mbuf_cap caps[CAPS_MAX];
	unsigned int nr = CAPS_MAX;
	long ret;

	if (rng_below(&h->r, 4))
		ret = CAPS_CALL(mbuf_recv_caps(caps_rfd, &msg, caps, &nr, flags,
					       h->session, deadline));
	else
		ret = CAPS_CALL(mbuf_handle_recv(h->session, any_held(h), &msg,
						 caps, &nr, flags, MBUF_NOW));
	if (ret < 0)
		return;
	check_caps_msg(h->room, msg.len);
	keep_caps(h, caps, nr);
}

static void make_held(struct holder *h)
{
	struct mbuf_message_create m = {
		.max_msg = CAPS_MSG,
		.max_caps = CAPS_MAX,
		.inbox_msg = rng_below(&h->r, 2) ? CAPS_MSG : 0,
		.sent.fd = -1,
		.arrived.fd = -1,
	};
	uint64_t handle = 0;
	int sfd;

	switch (rng_below(&h->r, 5)) {
	case 0:
		if (!CAPS_CALL(mbuf_table_create(h->session, any_table(h),
						 &handle)))
			hold(h, handle);
		break;
	case 1:
		if (!CAPS_CALL(mbuf_key_create(h->session, 0, &handle)))
			hold(h, handle);
		break;
	case 2:
		m.inbox_caps = m.inbox_msg ? CAPS_MAX : 0;
		if (!CAPS_CALL(mbuf_message_create(h->session, &m)))
			hold(h, m.handle);
		break;
	case 3:
		if (CAPS_CALL(cap_queue_handle(h->session,
					       1 + rng_below(&h->r, 4),
					       CAPS_MAX, &handle, &sfd)))
			break;
		hold(h, handle);
		handle = 0;
		if (!CAPS_CALL(mbuf_handle_put(h->session, sfd, 0, 0, &handle)))
			hold(h, handle);
		close(sfd);
		break;
	case 4:
		if (!CAPS_CALL(mbuf_handle_put(h->session, caps_sfd,
					       any_table(h), 0, &handle)))
			hold(h, handle);
		break;
	}
}

static void change_held(struct holder *h)
{
	uint64_t *place = any_place(h), handle = 0;
	int fd;

	switch (rng_below(&h->r, 5)) {
	case 0:
		if (!CAPS_CALL(mbuf_handle_copy(h->session, *place, any_table(h),
						0, &handle)))
			hold(h, handle);
		break;
	case 1:
		if (!CAPS_CALL(mbuf_handle_move(h->session, *place, any_table(h),
						0, &handle)))
			*place = handle;
		break;
	case 2:
		CAPS_CALL(mbuf_handle_revoke(h->session, *place));
		break;
	case 3:
		CAPS_CALL(mbuf_handle_delete(h->session, *place));
		*place = 0;
		break;
	case 4:
		fd = (int)CAPS_CALL(mbuf_handle_open(h->session, *place));
		if (fd >= 0)
			close(fd);
		break;
	}
}

static void use_message(struct holder *h)
{
	const uint64_t message = any_held(h);
	struct mbuf_cap caps[CAPS_MAX];
	uint32_t nr = some_caps(h, caps);
	uint64_t handle = 0;

	switch (rng_below(&h->r, 4)) {
	case 0:
		if (!CAPS_CALL(mbuf_message_grant(h->session, message, 0,
						  rng_below(&h->r, 2) ?
						  MBUF_GRANT_ONCE : 0, &handle)))
			hold(h, handle);
		break;
	case 1:
		CAPS_CALL(mbuf_message_cancel(h->session, message));
		break;
	default:
		CAPS_CALL(mbuf_message_load(h->session, message, h->room,
					    fill_caps_msg(h), caps, nr));
		if (rng_below(&h->r, 2))
			CAPS_CALL(mbuf_message_enqueue(h->session, message,
						       caps_sfd));
		else
			CAPS_CALL(mbuf_message_enqueue_handle(h->session,
							      message,
							      any_held(h)));
		break;
	}
}

static void use_key(struct holder *h)
{
	struct mbuf_cap caps[CAPS_MAX];
	struct mbuf_seal seal = {
		.target = any_held(h),
		.nr_caps = some_caps(h, caps),
		.buf = (uintptr_t)h->room,
		.len = fill_caps_msg(h),
		.caps = (uintptr_t)caps,
		.stride = sizeof(caps[0]),
	};
	struct mbuf_unseal unseal = {
		.target = seal.target,
		.sealed = any_held(h),
		.flags = rng_below(&h->r, 2) ? MBUF_RECV_HANDLES : 0,
		.nr_caps = CAPS_MAX,
		.buf = (uintptr_t)h->room,
		.len = sizeof(h->room),
		.caps = (uintptr_t)caps,
		.stride = sizeof(caps[0]),
	};
	uint32_t i;

	/* What is sealed stays with who seals it. */
	for (i = 0; i < seal.nr_caps; i++)
		caps[i].flags = 0;
	if (!CAPS_CALL(mbuf_seal(h->session, &seal))) {
		hold(h, seal.handle);
		if (rng_below(&h->r, 2))
			unseal.sealed = seal.handle;
	}
	if (!CAPS_CALL(mbuf_unseal(h->session, &unseal))) {
		check_caps_msg(h->room, unseal.len);
		keep_caps(h, caps, unseal.nr_caps);
	}
}

/* A right to send to the common queue waits at an end, or is taken from there. */
static void use_gift(struct holder *h)
{
	int end[2], fd, i;

	if (CAPS_CALL(ch_create(h->session, MBUF_END_DETACHED, end)))
		return;
	CAPS_CALL(mbuf_give(end[0], caps_sfd));
	fd = (int)(rng_below(&h->r, 2) ? CAPS_CALL(mbuf_given(end[1])) : -1);
	i = (int)rng_below(&h->r, 2);
	close(end[i]);
	close(end[!i]);
	if (fd >= 0)
		close(fd);
}

static void holder(struct rng r)
{
	struct holder *h = map_pages(sizeof(*h), PROT_READ | PROT_WRITE);
	struct party_rec *rec;

	if (!h)
		_exit(2);
	h->id = new_id(NR_QUEUES);
	h->r = r;
	h->session = -1;
	rec = &sh->rec[h->id];
	for (;;) {
		/* With all that is in its tables, and what of it is in line. */
		if (!rng_below(&h->r, 32))
			close_fd(&h->session);
		if (h->session < 0) {
			memset(h->held, 0, sizeof(h->held));
			h->session = mbuf_open();
			continue;
		}
		atomic_store(&rec->at, AT_CAPS);
		switch (rng_below(&h->r, 9)) {
		case 0:
		case 1:
			make_held(h);
			break;
		case 2:
			change_held(h);
			break;
		case 3:
			use_message(h);
			break;
		case 4:
			use_key(h);
			break;
		case 5:
		case 6:
			send_some_caps(h);
			break;
		case 7:
			recv_some_caps(h);
			break;
		case 8:
			use_gift(h);
			break;
		}
	}
}

/* What the dead have sent each other goes, and then nobody has a right. */
static bool caps_back(void)
{
	int session = mbuf_open(), ret = -EBADF;
	struct mbuf_queue_info info;

	while (session >= 0) {
		uint8_t room[CAPS_MSG];
		struct mbuf_msg msg = msg_of(room, sizeof(room));
		struct mbuf_cap caps[CAPS_MAX];
		unsigned int nr = CAPS_MAX;

		ret = mbuf_recv_caps(caps_rfd, &msg, caps, &nr,
				     MBUF_RECV_HANDLES, session, MBUF_NOW);
		if (ret < 0)
			break;
		check_caps_msg(room, msg.len);
	}
	if (ret != -EAGAIN)
		wrong("the queue for capabilities: %s", strerror(-ret));
	close(session);
	info = get_info(caps_rfd);
	return info.senders == 1 && info.receivers == 1 && !info.depth &&
	       !info.send_waiters && !info.recv_waiters;
}

/*
 * By netlink
 */
static struct nl onlooking;

/* Asks what there is, and waits for all of the answer, or a part. */
static void onlooker(struct rng r)
{
	static const int commands[] = {
		MBUF_CMD_OBJECT_GET, MBUF_CMD_HANDLE_GET, MBUF_CMD_USER_GET,
	};
	struct party_rec *rec = &sh->rec[new_id(NR_QUEUES)];
	struct nl *nl = &onlooking;
	int ret;

	atomic_store(&rec->at, AT_NETLINK);
	for (;;) {
		ret = nl_open(nl);
		while (!ret) {
			atomic_fetch_add(&sh->calls, 1);
			nl_begin(nl, commands[rng_below(&r, 3)], NLM_F_DUMP);
			ret = nl_send(nl);
			if (!ret && rng_below(&r, 3))
				ret = nl_answer(nl, NULL, NULL);
			else if (!ret)
				break;
			if (ret > 0)
				ret = 0;
		}
		if (ret && !may_fail(ret))
			wrong("netlink: %s", strerror(-ret));
		nl_close(nl);
	}
}

/* A survivor that hears of all that happens, as far as it can. */
static int notice_reader(void *arg)
{
	struct nl *nl = &onlooking;
	struct nl_notice n = {};
	uint64_t last = 0;
	int ret;

	(void)arg;
	keep_only(-1, -1);
	CHECK_EQ(0, nl_open(nl));
	CHECK_EQ(0, nl_join(nl));
	while (!atomic_load(&sh->stop)) {
		struct pollfd p = { .fd = nl->fd, .events = POLLIN };

		poll(&p, 1, 50);
		while ((ret = nl_next_notice(nl, &n)) != -EAGAIN) {
			/* What is lost has a number, too. */
			if (ret == -ENOBUFS)
				continue;
			if (ret || n.number <= last)
				wrong("notice %llu after %llu: %s",
				      (unsigned long long)n.number,
				      (unsigned long long)last, strerror(-ret));
			last = n.number;
			atomic_fetch_add(&sh->noticed, 1);
		}
	}
	nl_close(nl);
	return 0;
}

#endif /* MBUF_SELFTESTS_STORM_CAPS_H */
