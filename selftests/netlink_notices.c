// SPDX-License-Identifier: GPL-2.0
/* Netlink: what is told as it happens, to whom, and that loss shows. */
#include "cap.h"
#include "listener.h"
#include "netlink.h"
#include "paged.h"

FIXTURE(notices) {
	FIXTURE_DATA(queue) base;
	struct nl nl;
	uint64_t number;	/* of the last notice */
};

FIXTURE_SETUP(notices)
{
	queue_setup(_metadata, &self->base, NULL);
	ASSERT_EQ(0, nl_open(&self->nl));
	ASSERT_EQ(0, nl_join(&self->nl)) {
		TH_LOG("this needs root");
	}
}

FIXTURE_TEARDOWN(notices)
{
	nl_close(&self->nl);
	queue_teardown(_metadata, &self->base, NULL);
}

#define EXPECT_NOTICE(want, want_type, want_id, n) do {			\
	EXPECT_EQ(0, nl_next_notice(&self->nl, n));			\
	EXPECT_EQ(want, (n)->what);					\
	EXPECT_EQ(want_type, (n)->type);				\
	EXPECT_EQ(want_id, (n)->id);					\
	EXPECT_EQ(getuid(), (n)->uid);					\
	EXPECT_TRUE(!self->number || self->number + 1 == (n)->number);	\
	self->number = (n)->number;					\
} while (0)

#define EXPECT_NO_NOTICE(n) EXPECT_EQ(-EAGAIN, nl_next_notice(&self->nl, n))

TEST_F(notices, a_queue_lives_fills_drains_and_ends)
{
	struct mbuf_queue_info info;
	struct nl_notice n;
	int i;

	NL_QUEUE(2, 8, 0);
	info = get_info(self->base.rfd);
	EXPECT_NOTICE(MBUF_NOTICE_CREATED, MBUF_OBJECT_TYPE_QUEUE, info.id, &n);
	EXPECT_EQ(~0ull, n.peer_id);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	EXPECT_NO_NOTICE(&n);
	/* Once, however often it is found so, and until it was empty. */
	for (i = 0; i < 3; i++)
		ASSERT_EQ(-EAGAIN, send_num(self->base.sfd, 1, MBUF_NOW));
	EXPECT_NOTICE(MBUF_NOTICE_FULL, MBUF_OBJECT_TYPE_QUEUE, info.id, &n);
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	ASSERT_EQ(-ETIMEDOUT, send_num(self->base.sfd, 1, in_ms(1)));
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_NO_NOTICE(&n);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(-EAGAIN, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_NOTICE(MBUF_NOTICE_DRAINED, MBUF_OBJECT_TYPE_QUEUE, info.id, &n);
	/* And again, for who waits, by write and with a large message too. */
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	ASSERT_EQ(-ETIMEDOUT, send_num(self->base.sfd, 1, in_ms(1)));
	EXPECT_NOTICE(MBUF_NOTICE_FULL, MBUF_OBJECT_TYPE_QUEUE, info.id, &n);
	close_fd(&self->base.sfd);
	EXPECT_NO_NOTICE(&n);
	close_fd(&self->base.rfd);
	EXPECT_NOTICE(MBUF_NOTICE_DELETED, MBUF_OBJECT_TYPE_QUEUE, info.id, &n);
	EXPECT_NO_NOTICE(&n);
}

TEST_F(notices, a_connection)
{
	struct mbuf_channel_info a = {}, b = {};
	struct mbuf_listener_info info = {};
	struct mbuf_connect c;
	struct mbuf_accept acc = {
		.wait.mode = MBUF_WAIT_NOW,
		.end = { .flags = MBUF_END_DETACHED },
	};
	struct nl_notice n;
	int lfd;

	lfd = ls_listen(self->base.session, 0777, 4);
	ASSERT_LE(0, lfd);
	ASSERT_EQ(0, xioctl(lfd, MBUF_IOC_LISTENER_INFO, &info));
	EXPECT_NOTICE(MBUF_NOTICE_CREATED, MBUF_OBJECT_TYPE_LISTENER, info.id,
		      &n);
	c = connect_of(NAME, NAME_LEN, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	ASSERT_EQ(0, xioctl(self->base.session, MBUF_IOC_CONNECT, &c));
	ASSERT_EQ(0, mbuf_channel_info(c.end.ref.fd, &a));
	EXPECT_NOTICE(MBUF_NOTICE_CREATED, MBUF_OBJECT_TYPE_ENDPOINT, a.id, &n);
	ASSERT_EQ(0, xioctl(lfd, MBUF_IOC_ACCEPT, &acc));
	ASSERT_EQ(0, mbuf_channel_info(acc.end.ref.fd, &b));
	EXPECT_NOTICE(MBUF_NOTICE_CREATED, MBUF_OBJECT_TYPE_ENDPOINT, b.id, &n);
	EXPECT_NOTICE(MBUF_NOTICE_CONNECTED, MBUF_OBJECT_TYPE_ENDPOINT, a.id,
		      &n);
	EXPECT_EQ(b.id, n.peer_id);

	close(c.end.ref.fd);
	EXPECT_NOTICE(MBUF_NOTICE_DELETED, MBUF_OBJECT_TYPE_ENDPOINT, a.id, &n);
	EXPECT_NOTICE(MBUF_NOTICE_PEER_DIED, MBUF_OBJECT_TYPE_ENDPOINT, b.id,
		      &n);
	EXPECT_EQ(a.id, n.peer_id);
	close(acc.end.ref.fd);
	EXPECT_NOTICE(MBUF_NOTICE_DELETED, MBUF_OBJECT_TYPE_ENDPOINT, b.id, &n);

	/* One that is refused has had no peer. */
	c = connect_of(NAME, NAME_LEN, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	ASSERT_EQ(0, xioctl(self->base.session, MBUF_IOC_CONNECT, &c));
	EXPECT_EQ(0, nl_next_notice(&self->nl, &n));
	close(lfd);
	EXPECT_EQ(0, nl_next_notice(&self->nl, &n));
	EXPECT_EQ(MBUF_NOTICE_DELETED, n.what);
	EXPECT_EQ(info.id, n.id);
	EXPECT_NO_NOTICE(&n);
	close(c.end.ref.fd);
}

static int be_refused(void *arg)
{
	int session = mbuf_open(), rfd, sfd, i;

	(void)arg;
	CHECK(session >= 0);
	for (i = 0; i < 20; i++)
		CHECK_EQ(-EDQUOT, mbuf_queue_create(session, 100, 100, 0, &rfd,
						    &sfd));
	return 0;
}

TEST_F(notices, a_quota)
{
	struct nl ask;
	struct nl_notice n;
	int nr = 0;

	ASSERT_EQ(0, nl_open(&ask));
	nl_begin(&ask, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	nl_put_u32(&ask, MBUF_A_USER_UID, TEST_UID);
	nl_put_u64(&ask, MBUF_A_USER_MEMORY_LIMIT, 4096);
	ASSERT_EQ(0, nl_ask(&ask, NULL, NULL));
	ASSERT_EQ(0, run_as(TEST_UID, be_refused, NULL));
	while (!nl_next_notice(&self->nl, &n)) {
		EXPECT_EQ(TEST_UID, n.uid);
		if (n.what != MBUF_NOTICE_QUOTA_REFUSED)
			continue;
		EXPECT_EQ(MBUF_RESOURCE_TYPE_MEMORY, n.resource);
		EXPECT_EQ(~0ull, n.id);
		nr++;
	}
	/* Not each of the 20. */
	EXPECT_LE(1, nr);
	EXPECT_GT(20, nr);
	nl_begin(&ask, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	nl_put_u32(&ask, MBUF_A_USER_UID, TEST_UID);
	nl_put_u64(&ask, MBUF_A_USER_MEMORY_LIMIT, 0);
	ASSERT_EQ(0, nl_ask(&ask, NULL, NULL));
	nl_close(&ask);
}

/* All that have come are of no interest. */
static void skip_notices(struct nl *nl)
{
	struct nl_notice n;

	while (!nl_next_notice(nl, &n))
		;
}

/* The next one says that a capability was refused by @id. */
#define EXPECT_REFUSED(want_type, want_id, want_error, want_peer) do {	\
	struct nl_notice __n;						\
									\
	ASSERT_EQ(0, nl_next_notice(&self->nl, &__n));			\
	EXPECT_EQ(MBUF_NOTICE_CAP_REFUSED, __n.what);			\
	EXPECT_EQ(want_type, __n.type);					\
	EXPECT_EQ(want_id, __n.id);					\
	EXPECT_EQ(want_error, __n.error);				\
	EXPECT_EQ(want_peer, __n.peer_id);				\
	EXPECT_NO_NOTICE(&__n);						\
} while (0)

TEST_F(notices, capabilities_that_are_refused)
{
	const int s = self->base.session;
	struct mbuf_message_create c = {
		.max_msg = 8, .max_caps = 2, .sent.fd = -1, .arrived.fd = -1,
	};
	uint64_t id, plain_id, key = 0, recv = 0, handle = 0, full_id;
	struct mbuf_channel_info bound = {};
	struct mbuf_handle_info info = {};
	struct mbuf_seal seal = { .len = 4 };
	int sock[2], end[2], rfd, sfd, full;
	uint32_t num = 1;
	struct mbuf_cap cap;
	struct nl_notice n;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	ASSERT_EQ(0, ch_create(s, MBUF_END_THREAD, end));
	ASSERT_EQ(0, mbuf_channel_info(end[0], &bound));
	ASSERT_EQ(0, cap_queue(s, 2, 2, &self->base.rfd, &self->base.sfd));
	ASSERT_EQ(0, mbuf_queue_create(s, 2, 8, 0, &rfd, &sfd));
	id = get_info(self->base.rfd).id;
	plain_id = get_info(rfd).id;
	skip_notices(&self->nl);

	/* What could keep itself alive, and what belongs to a thread. */
	cap = mbuf_cap_fd(sock[0]);
	ASSERT_EQ(-EOPNOTSUPP, send_caps(self->base.sfd, s, "x", &cap, 1));
	EXPECT_REFUSED(MBUF_OBJECT_TYPE_QUEUE, id, EOPNOTSUPP, ~0ull);
	cap = mbuf_cap_fd(end[0]);
	ASSERT_EQ(-EPERM, send_caps(self->base.sfd, s, "x", &cap, 1));
	EXPECT_REFUSED(MBUF_OBJECT_TYPE_QUEUE, id, EPERM, bound.id);
	/* A queue that takes none; and errors that are no refusals. */
	cap = mbuf_cap_fd(self->base.sfd);
	ASSERT_EQ(-EPERM, send_caps(sfd, s, "x", &cap, 1));
	EXPECT_REFUSED(MBUF_OBJECT_TYPE_QUEUE, plain_id, EPERM, ~0ull);
	cap = mbuf_cap_fd(-1);
	ASSERT_EQ(-EBADF, send_caps(self->base.sfd, s, "x", &cap, 1));
	cap = mbuf_cap_fd(rfd);
	cap.type = 1;
	ASSERT_EQ(-EINVAL, send_caps(self->base.sfd, s, "x", &cap, 1));
	EXPECT_NO_NOTICE(&n);
	/* A handle that may not be passed. */
	ASSERT_EQ(0, mbuf_handle_put(s, sfd, 0, MBUF_RIGHT_SEND, &handle));
	cap = mbuf_cap_handle(handle);
	ASSERT_GT(0, send_caps(self->base.sfd, s, "x", &cap, 1));
	ASSERT_EQ(0, nl_next_notice(&self->nl, &n));
	EXPECT_EQ(MBUF_NOTICE_CAP_REFUSED, n.what);
	EXPECT_EQ(id, n.id);
	/* What would own itself. */
	ASSERT_EQ(0, cap_queue_handle(s, 2, 2, &recv, &full));
	ASSERT_EQ(0, mbuf_handle_info(s, recv, &info));
	full_id = info.id;
	skip_notices(&self->nl);
	cap = mbuf_cap_move(recv);
	ASSERT_EQ(-ELOOP, send_caps(full, s, "x", &cap, 1));
	EXPECT_REFUSED(MBUF_OBJECT_TYPE_QUEUE, full_id, ELOOP, ~0ull);

	/* Into a message object, from there into a queue, and sealed. */
	ASSERT_EQ(0, mbuf_message_create(s, &c));
	skip_notices(&self->nl);
	cap = mbuf_cap_fd(sock[0]);
	ASSERT_EQ(-EOPNOTSUPP, mbuf_message_load(s, c.handle, &num, 4, &cap,
						 1));
	EXPECT_REFUSED(MBUF_OBJECT_TYPE_MESSAGE, c.id, EOPNOTSUPP, ~0ull);
	cap = mbuf_cap_fd(sfd);
	ASSERT_EQ(0, mbuf_message_load(s, c.handle, &num, 4, &cap, 1));
	ASSERT_EQ(-EPERM, mbuf_message_enqueue(s, c.handle, sfd));
	EXPECT_REFUSED(MBUF_OBJECT_TYPE_QUEUE, plain_id, EPERM, ~0ull);
	ASSERT_EQ(0, mbuf_key_create(s, 0, &key));
	ASSERT_EQ(0, mbuf_handle_info(s, key, &info));
	skip_notices(&self->nl);
	cap = mbuf_cap_fd(sock[0]);
	seal.target = key;
	seal.buf = (uintptr_t)&num;
	seal.caps = (uintptr_t)&cap;
	seal.nr_caps = 1;
	seal.stride = sizeof(cap);
	ASSERT_EQ(-EOPNOTSUPP, mbuf_seal(s, &seal));
	EXPECT_REFUSED(MBUF_OBJECT_TYPE_KEY, info.id, EOPNOTSUPP, ~0ull);

	ASSERT_EQ(0, mbuf_handle_delete(s, c.handle));
	ASSERT_EQ(0, mbuf_handle_delete(s, key));
	ASSERT_EQ(0, mbuf_handle_delete(s, recv));
	ASSERT_EQ(0, mbuf_handle_delete(s, handle));
	close(full);
	close(sock[0]);
	close(sock[1]);
	close(end[0]);
	close(end[1]);
	close(rfd);
	close(sfd);
}

/* The next notice with this, others skipped, once it has come. */
static bool notice_comes(struct nl *nl, uint32_t what, struct nl_notice *n)
{
	while (!nl_next_notice(nl, n))
		if (n->what == what)
			return true;
	return false;
}

/* Faults that its pager was slow to answer. */
static uint64_t paged_slow(uint64_t id)
{
	struct nl_search s = { .id = id };
	uint64_t slow = ~0ull;
	struct nl nl;

	if (nl_open(&nl))
		return slow;
	nl_begin(&nl, MBUF_CMD_OBJECT_GET, NLM_F_ACK);
	nl_put_u64(&nl, MBUF_A_OBJECT_ID, id);
	nl_put_u32(&nl, MBUF_A_OBJECT_TYPE, MBUF_OBJECT_TYPE_PAGED);
	if (nl_ask(&nl, nl_see_object, &s) == 1)
		slow = nl_num(&s.found.more, MBUF_A_PAGED_SLOW);
	nl_close(&nl);
	return slow;
}

TEST_F(notices, a_pager_that_is_slow)
{
	const size_t page = page_size();
	struct toucher t[3];
	struct mbuf_fault f = {};
	int pager, region, i;
	struct nl_notice n;
	uint64_t id;
	uint8_t *p;

	touch_init();
	ASSERT_EQ(0, pg_create(self->base.session, 3 * page, &pager, &region,
			       &id));
	p = mmap(NULL, 3 * page, PROT_READ, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, p);
	/* Two threads at one page are one fault; and one whom nobody told. */
	for (i = 0; i < 3; i++)
		ASSERT_TRUE(toucher_start(&t[i], p + (i ? page : 0), -1));
	ASSERT_TRUE(EVENTUALLY(pg_info(pager).waiting == 3));
	EXPECT_TRUE(EVENTUALLY(paged_slow(id) == 2));
	ASSERT_TRUE(EVENTUALLY(notice_comes(&self->nl,
					    MBUF_NOTICE_PAGER_SLOW, &n)));
	EXPECT_EQ(MBUF_OBJECT_TYPE_PAGED, n.type);
	EXPECT_EQ(id, n.id);
	EXPECT_EQ(getuid(), n.uid);
	/* It is told late, and answers. */
	ASSERT_EQ(1, pg_fault(pager, &f));
	ASSERT_EQ(2, pg_zero(pager, 0, 2 * page));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, toucher_join(&t[i]));
	EXPECT_EQ(2, paged_slow(id));
	munmap(p, 3 * page);
	close(pager);
	close(region);
}

/* Who does not read loses some, is told so, and can tell how many. */
TEST_F(notices, loss_shows)
{
	int small = 4096, rfd, sfd, i;
	uint64_t first, last;
	bool told = false;
	struct nl_notice n;

	ASSERT_EQ(0, setsockopt(self->nl.fd, SOL_SOCKET, SO_RCVBUF, &small,
				sizeof(small)));
	for (i = 0; i < 500; i++) {
		ASSERT_EQ(0, mbuf_queue_create(self->base.session, 1, 1, 0,
					       &rfd, &sfd));
		close(rfd);
		close(sfd);
	}
	for (i = 0, first = 0, last = 0; i < 1000; i++) {
		int ret = nl_next_notice(&self->nl, &n);

		if (ret == -ENOBUFS) {
			told = true;
			continue;
		}
		if (ret == -EAGAIN)
			break;
		ASSERT_EQ(0, ret);
		EXPECT_TRUE(!last || n.number == last + 1);
		if (!last)
			first = n.number;
		last = n.number;
	}
	EXPECT_TRUE(told);
	ASSERT_LT(0, last);
	ASSERT_GT(first + 999, last);
	/* The next one says how many are missing. */
	ASSERT_EQ(0, mbuf_queue_create(self->base.session, 1, 1, 0, &rfd,
				       &sfd));
	ASSERT_EQ(0, nl_next_notice(&self->nl, &n));
	EXPECT_EQ(first + 1000, n.number);
	close(rfd);
	close(sfd);
}

/* Other network namespaces hear nothing of it, and have numbers of their own. */
static int listen_elsewhere(void *arg)
{
	int *sock = arg, session, rfd, sfd;
	struct nl_notice n;
	struct nl nl;
	char c;

	CHECK_EQ(0, unshare(CLONE_NEWNET));
	CHECK_EQ(0, nl_open(&nl));
	CHECK_EQ(0, nl_join(&nl));
	CHECK_EQ(1, write(sock[1], "x", 1));
	CHECK_EQ(1, read(sock[1], &c, 1));
	CHECK_EQ(-EAGAIN, nl_next_notice(&nl, &n));
	session = mbuf_open();
	CHECK(session >= 0);
	CHECK_EQ(0, nl_next_notice(&nl, &n));
	CHECK_EQ(1, n.number);
	CHECK_EQ(MBUF_NOTICE_CREATED, n.what);
	CHECK_EQ(MBUF_OBJECT_TYPE_SESSION, n.type);
	CHECK_EQ(0, mbuf_queue_create(session, 1, 1, 0, &rfd, &sfd));
	CHECK_EQ(0, nl_next_notice(&nl, &n));
	CHECK_EQ(2, n.number);
	return 0;
}

TEST_F(notices, network_namespaces_are_apart)
{
	struct nl_notice n;
	int sock[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	pid = spawn(listen_elsewhere, sock);
	ASSERT_EQ(1, read(sock[0], &c, 1));
	NL_QUEUE(1, 1, 0);
	ASSERT_EQ(0, nl_next_notice(&self->nl, &n));
	ASSERT_EQ(1, write(sock[0], "x", 1));
	EXPECT_EQ(0, reap(pid));
	EXPECT_NO_NOTICE(&n);
	close(sock[0]);
	close(sock[1]);
}

TEST_HARNESS_MAIN
