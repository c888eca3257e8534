// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink: which objects are seen, by whom, and in whose terms; users, their
 * limits, and flushing a queue.
 */
#include "listener.h"
#include "mbuf_test/mbuf_test.h"
#include "netlink.h"
#include "region.h"

FIXTURE(objects) {
	FIXTURE_DATA(queue) base;
	struct nl nl;
};

FIXTURE_SETUP(objects)
{
	queue_setup(_metadata, &self->base, NULL);
	ASSERT_EQ(0, nl_open(&self->nl));
}

FIXTURE_TEARDOWN(objects)
{
	nl_close(&self->nl);
	queue_teardown(_metadata, &self->base, NULL);
}

static uint32_t netns_inum(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) ? 0 : (uint32_t)st.st_ino;
}

/* What they are */

TEST_F(objects, a_queue_says_what_info_says)
{
	struct mbuf_queue_info info;
	struct nl_object o;
	char room[16];

	NL_QUEUE(3, 16, MBUF_QUEUE_PRIO);
	ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	ASSERT_EQ(0, send_num(self->base.sfd, 2, MBUF_NOW));
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	info = get_info(self->base.rfd);

	ASSERT_EQ(0, nl_get(&self->nl, info.id, &o));
	EXPECT_EQ(MBUF_OBJECT_TYPE_QUEUE, o.type);
	EXPECT_EQ(getuid(), o.uid);
	EXPECT_EQ(getpid(), o.pid);
	EXPECT_EQ(netns_inum(), o.netns);
	EXPECT_FALSE(o.kernel);
	EXPECT_EQ(3, nl_num(&o.more, MBUF_A_QUEUE_SLOTS));
	EXPECT_EQ(16, nl_num(&o.more, MBUF_A_QUEUE_MAX_MSG));
	EXPECT_EQ(MBUF_QUEUE_PRIO, nl_num(&o.more, MBUF_A_QUEUE_FLAGS));
	EXPECT_EQ(1, nl_num(&o.more, MBUF_A_QUEUE_DEPTH));
	EXPECT_EQ(2, nl_num(&o.more, MBUF_A_QUEUE_HIGH_WATER));
	EXPECT_EQ(1, nl_num(&o.more, MBUF_A_QUEUE_SENDERS));
	EXPECT_EQ(1, nl_num(&o.more, MBUF_A_QUEUE_RECEIVERS));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_QUEUE_SEND_WAITERS));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_QUEUE_RECV_WAITERS));
	EXPECT_EQ(2, nl_num(&o.more, MBUF_A_QUEUE_SENT));
	EXPECT_EQ(1, nl_num(&o.more, MBUF_A_QUEUE_RECEIVED));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_QUEUE_DROPPED));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_QUEUE_REFUSED));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_QUEUE_SEND_BLOCKED));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_QUEUE_RECV_BLOCKED));

	/* It ends with its last receive right, whoever can still send. */
	close_fd(&self->base.rfd);
	EXPECT_EQ(-EPIPE, mbuf_send(self->base.sfd, room, 4, MBUF_NOW));
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, info.id, NULL));
	EXPECT_STREQ("no such object", self->nl.errmsg);
	EXPECT_EQ(0, nl_dump_has(&self->nl, info.id));
}

TEST_F(objects, endpoints_know_each_other)
{
	struct mbuf_channel_info a = {}, b = {};
	struct nl_object o;
	int end[2];

	ASSERT_EQ(0, ch_create(self->base.session, MBUF_END_MAP, end));
	ASSERT_EQ(0, mbuf_channel_info(end[0], &a));
	ASSERT_EQ(0, mbuf_channel_info(end[1], &b));
	ASSERT_EQ(0, ch_steps(end[0], STEPS_PUT, 1));
	ASSERT_EQ(0, ch_steps(end[0], STEPS_PUT, 2));

	ASSERT_EQ(0, nl_get(&self->nl, b.id, &o));
	EXPECT_EQ(MBUF_OBJECT_TYPE_ENDPOINT, o.type);
	EXPECT_EQ(getpid(), o.pid);
	EXPECT_EQ(a.id, nl_num(&o.more, MBUF_A_ENDPOINT_PEER_ID));
	EXPECT_EQ(MBUF_END_MAP, nl_num(&o.more, MBUF_A_ENDPOINT_FLAGS));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_ENDPOINT_STATE));
	EXPECT_EQ(2, nl_num(&o.more, MBUF_A_ENDPOINT_SEQ));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_ENDPOINT_PEER_SEQ));
	EXPECT_EQ(2, nl_num(&o.more, MBUF_A_ENDPOINT_SIGNALS));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_ENDPOINT_WAITERS));
	EXPECT_EQ(geteuid(), nl_num(&o.more, MBUF_A_ENDPOINT_PEER_UID));
	EXPECT_EQ(getpid(), nl_num(&o.more, MBUF_A_ENDPOINT_PEER_PID));

	close(end[0]);
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, a.id, NULL));
	ASSERT_EQ(0, nl_get(&self->nl, b.id, &o));
	EXPECT_EQ(MBUF_END_CLOSED, nl_num(&o.more, MBUF_A_ENDPOINT_STATE));
	close(end[1]);
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, b.id, NULL));
}

TEST_F(objects, a_listener_and_its_queues)
{
	struct mbuf_listener_info info = {}, more = {};
	struct nl_object o;
	int lfd, qfd;

	lfd = ls_listen(self->base.session, 0720, 5);
	ASSERT_LE(0, lfd);
	qfd = ls_queue(lfd, 7);
	ASSERT_LE(0, qfd);
	ASSERT_EQ(0, xioctl(lfd, MBUF_IOC_LISTENER_INFO, &info));
	ASSERT_EQ(0, xioctl(qfd, MBUF_IOC_LISTENER_INFO, &more));

	ASSERT_EQ(0, nl_get(&self->nl, info.id, &o));
	EXPECT_EQ(MBUF_OBJECT_TYPE_LISTENER, o.type);
	EXPECT_EQ(info.id, nl_num(&o.more, MBUF_A_LISTENER_LISTENER_ID));
	ASSERT_NE(NULL, o.more.a[MBUF_A_LISTENER_NAME]);
	EXPECT_EQ(NAME_LEN, nl_len(o.more.a[MBUF_A_LISTENER_NAME]));
	EXPECT_EQ(0, memcmp(NAME, nl_data(o.more.a[MBUF_A_LISTENER_NAME]),
			    NAME_LEN));
	EXPECT_EQ(0720, nl_num(&o.more, MBUF_A_LISTENER_MODE));
	EXPECT_EQ(geteuid(), nl_num(&o.more, MBUF_A_LISTENER_UID));
	EXPECT_EQ(getegid(), nl_num(&o.more, MBUF_A_LISTENER_GID));
	EXPECT_EQ(5, nl_num(&o.more, MBUF_A_LISTENER_BACKLOG));
	EXPECT_EQ(2, nl_num(&o.more, MBUF_A_LISTENER_QUEUES));

	ASSERT_EQ(0, nl_get(&self->nl, more.id, &o));
	EXPECT_EQ(MBUF_OBJECT_TYPE_ACCEPT_QUEUE, o.type);
	EXPECT_EQ(info.id, nl_num(&o.more, MBUF_A_LISTENER_LISTENER_ID));
	EXPECT_EQ(7, nl_num(&o.more, MBUF_A_LISTENER_BACKLOG));

	close(lfd);
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, info.id, NULL));
	close(qfd);
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, more.id, NULL));
}

static void count_type(const struct nlmsghdr *h, const struct nl_attrs *attrs,
		       void *arg)
{
	unsigned int *nr = arg;
	uint64_t type = nl_num(attrs, MBUF_A_OBJECT_TYPE);

	(void)h;
	if (type <= MBUF_OBJECT_TYPE_PAGED)
		nr[type]++;
}

/* Two descriptors of the same memory are two regions with one identity. */
TEST_F(objects, regions_of_the_same_memory)
{
	struct mbuf_region_info info = {};
	struct mbuf_grant a = {}, b = {};
	unsigned int nr[16] = {};
	int memfd;

	memfd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	ASSERT_LE(0, memfd);
	ASSERT_EQ(0, ftruncate(memfd, (off_t)page_size()));
	ASSERT_EQ(0, fcntl(memfd, F_ADD_SEALS, SEALS_SIZE));
	a.from.fd = memfd;
	a.rights = RIGHTS_R;
	ASSERT_EQ(0, xioctl(self->base.session, MBUF_IOC_GRANT, &a));
	b.from.fd = a.region.fd;
	b.rights = RIGHTS_R;
	ASSERT_EQ(0, xioctl(self->base.session, MBUF_IOC_GRANT, &b));
	ASSERT_EQ(0, xioctl(b.region.fd, MBUF_IOC_REGION_INFO, &info));

	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u64(&self->nl, MBUF_A_OBJECT_ID, info.id);
	EXPECT_EQ(2, nl_ask(&self->nl, count_type, nr));
	EXPECT_EQ(2, nr[MBUF_OBJECT_TYPE_REGION]);

	close(a.region.fd);
	EXPECT_EQ(1, nl_dump_has(&self->nl, info.id));
	close(b.region.fd);
	EXPECT_EQ(0, nl_dump_has(&self->nl, info.id));
	close(memfd);
}

TEST_F(objects, what_a_driver_has)
{
	int test = open("/dev/mbuf-test", O_RDWR | O_CLOEXEC), fd;
	struct mbuf_channel_info info = {};
	struct mbuf_test_open end = {};
	struct nl_object o;

	if (test < 0)
		SKIP(return, "mbuf_test.ko is not loaded");
	ASSERT_EQ(0, xioctl(test, MBUF_TEST_OPEN, &end));
	fd = end.fd;
	ASSERT_EQ(0, mbuf_channel_info(fd, &info));
	ASSERT_EQ(0, nl_get(&self->nl, info.id, &o));
	EXPECT_NE(NULL, o.more.a[MBUF_A_ENDPOINT_PEER_KERNEL]);
	EXPECT_EQ(NULL, o.more.a[MBUF_A_ENDPOINT_PEER_PID]);
	ASSERT_EQ(0, nl_get(&self->nl, info.peer_id, &o));
	EXPECT_TRUE(o.kernel);
	EXPECT_EQ(~0u, o.uid);
	EXPECT_EQ(getpid(), nl_num(&o.more, MBUF_A_ENDPOINT_PEER_PID));
	close(fd);
	close(test);
	EXPECT_TRUE(EVENTUALLY(nl_get(&self->nl, info.peer_id, NULL) ==
			       -ENOENT));
}

/* Filters */

TEST_F(objects, filters)
{
	unsigned int nr[16] = {};
	uint64_t id;

	NL_QUEUE(3, 16, 0);
	id = get_info(self->base.rfd).id;

	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(&self->nl, MBUF_A_OBJECT_TYPE, MBUF_OBJECT_TYPE_QUEUE);
	nl_put_u32(&self->nl, MBUF_A_OBJECT_PID, (uint32_t)getpid());
	EXPECT_EQ(1, nl_ask(&self->nl, count_type, nr));
	EXPECT_EQ(1, nr[MBUF_OBJECT_TYPE_QUEUE]);

	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(&self->nl, MBUF_A_OBJECT_UID, getuid());
	nl_put_u64(&self->nl, MBUF_A_OBJECT_ID, id);
	EXPECT_EQ(1, nl_ask(&self->nl, NULL, NULL));

	/* Each of these finds nothing. */
	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(&self->nl, MBUF_A_OBJECT_TYPE, MBUF_OBJECT_TYPE_REGION);
	nl_put_u64(&self->nl, MBUF_A_OBJECT_ID, id);
	EXPECT_EQ(0, nl_ask(&self->nl, NULL, NULL));
	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(&self->nl, MBUF_A_OBJECT_UID, TEST_UID);
	EXPECT_EQ(0, nl_ask(&self->nl, NULL, NULL));
	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(&self->nl, MBUF_A_OBJECT_UID, UINT32_MAX);
	EXPECT_EQ(0, nl_ask(&self->nl, NULL, NULL));
	/* The test's own parent has made nothing. */
	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u32(&self->nl, MBUF_A_OBJECT_PID, (uint32_t)getppid());
	EXPECT_EQ(0, nl_ask(&self->nl, NULL, NULL));
	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u64(&self->nl, MBUF_A_OBJECT_ID, 0);
	EXPECT_EQ(0, nl_ask(&self->nl, NULL, NULL));
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, 0, NULL));
	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_ACK);
	EXPECT_EQ(-EINVAL, nl_ask(&self->nl, NULL, NULL));
}

/* Who sees what */

/* Something for others to look for, in memory that they share. */
struct theirs {
	uint64_t session, queue;
	uint64_t root;		/* what the test itself has */
	int go;
};

/* Its own queue, and what is root's not; in a process of another user. */
static int see_own(void *arg)
{
	struct theirs *t = arg;
	int session = mbuf_open(), rfd, sfd;
	struct nl nl;

	CHECK(session >= 0);
	CHECK_EQ(0, mbuf_queue_create(session, 2, 8, 0, &rfd, &sfd));
	t->queue = get_info(rfd).id;
	CHECK_EQ(0, nl_open(&nl));
	CHECK_EQ(1, nl_dump_has(&nl, t->queue));
	CHECK_EQ(0, nl_get(&nl, t->queue, NULL));
	CHECK_EQ(0, nl_dump_has(&nl, t->root));
	CHECK_EQ(-ENOENT, nl_get(&nl, t->root, NULL));
	nl_begin(&nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	CHECK_EQ(2, nl_ask(&nl, NULL, NULL));
	nl_begin(&nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put(&nl, MBUF_A_OBJECT_ALL, NULL, 0);
	CHECK_EQ(-EPERM, nl_ask(&nl, NULL, NULL));
	nl_begin(&nl, MBUF_CMD_QUEUE_FLUSH, NLM_F_ACK);
	nl_put_u64(&nl, MBUF_A_OBJECT_ID, t->root);
	CHECK_EQ(-ENOENT, nl_ask(&nl, NULL, NULL));
	nl_begin(&nl, MBUF_CMD_USER_GET, NLM_F_DUMP);
	CHECK_EQ(1, nl_ask(&nl, NULL, NULL));
	nl_begin(&nl, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	nl_put_u64(&nl, MBUF_A_USER_OBJECTS_LIMIT, 1);
	CHECK_EQ(-EPERM, nl_ask(&nl, NULL, NULL));
	CHECK_EQ(-EPERM, nl_join(&nl));
	__atomic_store_n(&t->go, 1, __ATOMIC_RELEASE);
	CHECK(EVENTUALLY(__atomic_load_n(&t->go, __ATOMIC_ACQUIRE) == 2));
	return 0;
}

TEST_F(objects, users_see_their_own_and_root_all)
{
	struct theirs *t = map_shared(sizeof(*t));
	struct nl_object o;
	pid_t pid;

	if (geteuid())
		SKIP(return, "needs root");
	ASSERT_NE(NULL, t);
	NL_QUEUE(3, 16, 0);
	t->root = get_info(self->base.rfd).id;
	pid = spawn_as(TEST_UID, see_own, t);
	EXPECT_TRUE(EVENTUALLY(__atomic_load_n(&t->go, __ATOMIC_ACQUIRE)));
	EXPECT_EQ(0, nl_get(&self->nl, t->queue, &o));
	EXPECT_EQ(TEST_UID, o.uid);
	EXPECT_EQ(pid, o.pid);
	EXPECT_EQ(1, nl_dump_has(&self->nl, t->queue));
	__atomic_store_n(&t->go, 2, __ATOMIC_RELEASE);
	EXPECT_EQ(0, reap(pid));
	EXPECT_TRUE(EVENTUALLY(nl_get(&self->nl, t->queue, NULL) == -ENOENT));
	munmap(t, sizeof(*t));
}

/* Root who writes to the socket of another user gets nothing for that one. */
static int open_socket(void *arg)
{
	int sock = *(int *)arg;
	struct nl nl;

	CHECK_EQ(0, nl_open(&nl));
	CHECK_EQ(1, pass_fd(sock, nl.fd));
	return 0;
}

TEST_F(objects, the_socket_says_who_asks)
{
	struct mbuf_queue_info info;
	int sock[2], fd;

	if (geteuid())
		SKIP(return, "needs root");
	NL_QUEUE(3, 16, 0);
	info = get_info(self->base.rfd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	ASSERT_EQ(0, run_as(TEST_UID, open_socket, &sock[1]));
	fd = take_fd(sock[0]);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, nl_dump_has(&self->nl, info.id));
	ASSERT_LE(0, dup3(fd, self->nl.fd, O_CLOEXEC));
	close(fd);
	self->nl.seq = 1000;
	EXPECT_EQ(0, nl_dump_has(&self->nl, info.id));
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, info.id, NULL));
	nl_begin(&self->nl, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	nl_put_u64(&self->nl, MBUF_A_USER_OBJECTS_LIMIT, 1);
	EXPECT_EQ(-EPERM, nl_ask(&self->nl, NULL, NULL));
	close(sock[0]);
	close(sock[1]);
}

/* Another network namespace has other objects. */
static int see_elsewhere(void *arg)
{
	struct theirs *t = arg;
	int session, rfd, sfd;
	uint64_t mine;
	struct nl nl;

	CHECK_EQ(0, unshare(CLONE_NEWNET));
	CHECK_EQ(0, nl_open(&nl));
	CHECK_EQ(0, nl_dump_has(&nl, t->root));
	CHECK_EQ(-ENOENT, nl_get(&nl, t->root, NULL));
	session = mbuf_open();
	CHECK(session >= 0);
	CHECK_EQ(0, mbuf_queue_create(session, 2, 8, 0, &rfd, &sfd));
	mine = get_info(rfd).id;
	CHECK_EQ(1, nl_dump_has(&nl, mine));
	nl_begin(&nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	CHECK_EQ(2, nl_ask(&nl, NULL, NULL));
	nl_begin(&nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put(&nl, MBUF_A_OBJECT_ALL, NULL, 0);
	nl_put_u64(&nl, MBUF_A_OBJECT_ID, t->root);
	CHECK_EQ(1, nl_ask(&nl, NULL, NULL));
	/* It goes away with this process while the queue lives on. */
	nl_close(&nl);
	CHECK_EQ(1, pass_fd(t->go, rfd));
	return 0;
}

TEST_F(objects, network_namespaces_are_apart)
{
	struct theirs t = {};
	uint64_t id;
	int sock[2], fd;

	if (geteuid())
		SKIP(return, "needs root");
	NL_QUEUE(3, 16, 0);
	t.root = get_info(self->base.rfd).id;
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	t.go = sock[1];
	ASSERT_EQ(0, reap(spawn(see_elsewhere, &t)));
	fd = take_fd(sock[0]);
	ASSERT_LE(0, fd);
	id = get_info(fd).id;
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, id, NULL));
	nl_begin(&self->nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put(&self->nl, MBUF_A_OBJECT_ALL, NULL, 0);
	nl_put_u64(&self->nl, MBUF_A_OBJECT_ID, id);
	EXPECT_EQ(1, nl_ask(&self->nl, NULL, NULL));
	close(fd);
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, id, NULL));
	close(sock[0]);
	close(sock[1]);
}

/*
 * Namespaces that anybody can make: all capabilities in there are of no use for
 * what is outside, and ids are those of the inside.
 */
static int see_inside(void *arg)
{
	struct theirs *t = arg;
	int session, rfd, sfd;
	struct nl_object o;
	struct nl nl;

	CHECK_EQ(1, getpid());
	CHECK_EQ(0, nl_open(&nl));
	CHECK_EQ(0, nl_dump_has(&nl, t->root));
	nl_begin(&nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put(&nl, MBUF_A_OBJECT_ALL, NULL, 0);
	CHECK_EQ(-EPERM, nl_ask(&nl, NULL, NULL));
	session = mbuf_open();
	CHECK(session >= 0);
	CHECK_EQ(0, mbuf_queue_create(session, 2, 8, 0, &rfd, &sfd));
	CHECK_EQ(0, nl_get(&nl, get_info(rfd).id, &o));
	CHECK_EQ(0, o.uid);
	CHECK_EQ(1, o.pid);
	/* Its own user namespace, and none above. */
	nl_begin(&nl, MBUF_CMD_USER_GET, NLM_F_DUMP);
	CHECK_EQ(1, nl_ask(&nl, NULL, NULL));
	nl_begin(&nl, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	nl_put_u64(&nl, MBUF_A_USER_OBJECTS_LIMIT, 1);
	CHECK_EQ(-EPERM, nl_ask(&nl, NULL, NULL));
	nl_begin(&nl, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	nl_put_u32(&nl, MBUF_A_USER_UID, 1);
	nl_put_u64(&nl, MBUF_A_USER_OBJECTS_LIMIT, 1);
	CHECK_EQ(-EINVAL, nl_ask(&nl, NULL, NULL));
	nl_begin(&nl, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	nl_put_u32(&nl, MBUF_A_USER_UID, 0);
	nl_put_u64(&nl, MBUF_A_USER_OBJECTS_LIMIT, 2);
	CHECK_EQ(0, nl_ask(&nl, NULL, NULL));
	CHECK_EQ(-EDQUOT, mbuf_queue_create(session, 2, 8, 0, &rfd, &sfd));
	CHECK_EQ(0, nl_join(&nl));
	return 0;
}

static int go_inside(void *arg)
{
	return in_own_namespaces(see_inside, arg);
}

TEST_F(objects, a_namespace_of_ones_own_shows_nothing_else)
{
	struct theirs t = {};

	if (geteuid())
		SKIP(return, "needs root");
	if (access("/proc/self/ns/user", F_OK))
		SKIP(return, "no user namespaces");
	NL_QUEUE(3, 16, 0);
	t.root = get_info(self->base.rfd).id;
	ASSERT_EQ(0, run_as(TEST_UID, go_inside, &t));
}

/* Users and limits */

struct user {
	uint32_t uid;
	uint64_t n[MBUF_A_USER_MAX + 1];
	unsigned int nr;
	bool own;
};

static void see_user(const struct nlmsghdr *h, const struct nl_attrs *attrs,
		     void *arg)
{
	struct user *u = arg;
	int i;

	(void)h;
	if (nl_num(attrs, MBUF_A_USER_UID) != u->uid)
		return;
	u->nr++;
	u->own = attrs->a[MBUF_A_USER_OWN_LIMITS];
	for (i = MBUF_A_USER_OBJECTS; i <= MBUF_A_USER_REFUSED; i++)
		u->n[i] = nl_num(attrs, i);
}

static struct user get_user(struct nl *nl, uint32_t uid)
{
	struct user u = { .uid = uid };

	nl_begin(nl, MBUF_CMD_USER_GET, NLM_F_DUMP);
	nl_put_u32(nl, MBUF_A_USER_UID, uid);
	nl_ask(nl, see_user, &u);
	return u;
}

static int set_limit(struct nl *nl, uint32_t uid, int attr, uint64_t limit)
{
	nl_begin(nl, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	nl_put_u32(nl, MBUF_A_USER_UID, uid);
	nl_put_u64(nl, attr, limit);
	return nl_ask(nl, NULL, NULL);
}

TEST_F(objects, a_user_has_what_query_says)
{
	struct mbuf_query q = {};
	struct user u;

	NL_QUEUE(3, 16, 0);
	ASSERT_EQ(0, mbuf_query(self->base.session, &q));
	u = get_user(&self->nl, getuid());
	EXPECT_EQ(1, u.nr);
	EXPECT_FALSE(u.own);
	EXPECT_EQ(q.objects.used, u.n[MBUF_A_USER_OBJECTS]);
	EXPECT_EQ(q.objects.limit, u.n[MBUF_A_USER_OBJECTS_LIMIT]);
	EXPECT_EQ(q.memory.used, u.n[MBUF_A_USER_MEMORY]);
	EXPECT_EQ(q.memory.limit, u.n[MBUF_A_USER_MEMORY_LIMIT]);
	EXPECT_EQ(q.inflight.used, u.n[MBUF_A_USER_INFLIGHT]);
	EXPECT_EQ(q.inflight.limit, u.n[MBUF_A_USER_INFLIGHT_LIMIT]);
}

/* How many queues can the test's user make? */
static int make_queues(void *arg)
{
	int session = mbuf_open(), rfd, sfd, nr = 0, ret;

	(void)arg;
	if (session < 0)
		return -session;
	while (!(ret = mbuf_queue_create(session, 1, 8, 0, &rfd, &sfd)) &&
	       nr < 10)
		nr++;
	CHECK(nr == 10 || ret == -EDQUOT);
	return nr;
}

TEST_F(objects, limits_of_one_user)
{
	struct user u;

	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(10, run_as(TEST_UID, make_queues, NULL));
	EXPECT_EQ(0, get_user(&self->nl, TEST_UID).nr);
	/* Also of one who has nothing yet: it stays until it is taken away. */
	ASSERT_EQ(0, set_limit(&self->nl, TEST_UID, MBUF_A_USER_OBJECTS_LIMIT,
			       4));
	EXPECT_EQ(3, run_as(TEST_UID, make_queues, NULL));
	u = get_user(&self->nl, TEST_UID);
	EXPECT_EQ(1, u.nr);
	EXPECT_TRUE(u.own);
	EXPECT_EQ(4, u.n[MBUF_A_USER_OBJECTS_LIMIT]);
	EXPECT_EQ(1, u.n[MBUF_A_USER_REFUSED]);
	/* Others have what they had. */
	EXPECT_EQ(self->base.q.objects.limit,
		  get_user(&self->nl, 0).n[MBUF_A_USER_OBJECTS_LIMIT]);
	ASSERT_EQ(0, set_limit(&self->nl, TEST_UID, MBUF_A_USER_MEMORY_LIMIT,
			       1));
	EXPECT_EQ(EDQUOT, run_as(TEST_UID, make_queues, NULL));
	ASSERT_EQ(0, set_limit(&self->nl, TEST_UID, MBUF_A_USER_OBJECTS_LIMIT,
			       0));
	ASSERT_EQ(0, set_limit(&self->nl, TEST_UID, MBUF_A_USER_MEMORY_LIMIT,
			       0));
	EXPECT_TRUE(EVENTUALLY(get_user(&self->nl, TEST_UID).nr == 0));
	EXPECT_EQ(10, run_as(TEST_UID, make_queues, NULL));
}

TEST_F(objects, limits_of_all)
{
	const uint64_t limit = self->base.q.objects.limit;
	struct mbuf_query q = {};

	if (geteuid())
		SKIP(return, "needs root");
	nl_begin(&self->nl, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	nl_put_u64(&self->nl, MBUF_A_USER_OBJECTS_LIMIT, limit + 1);
	ASSERT_EQ(0, nl_ask(&self->nl, NULL, NULL));
	ASSERT_EQ(0, mbuf_query(self->base.session, &q));
	EXPECT_EQ(limit + 1, q.objects.limit);
	nl_begin(&self->nl, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	nl_put_u64(&self->nl, MBUF_A_USER_OBJECTS_LIMIT, limit);
	ASSERT_EQ(0, nl_ask(&self->nl, NULL, NULL));
	nl_begin(&self->nl, MBUF_CMD_LIMIT_SET, NLM_F_ACK);
	EXPECT_EQ(-EINVAL, nl_ask(&self->nl, NULL, NULL));
	EXPECT_STREQ("no limit is given", self->nl.errmsg);
}

/* Flushing */

static int flush(struct nl *nl, uint64_t id)
{
	nl_begin(nl, MBUF_CMD_QUEUE_FLUSH, NLM_F_ACK);
	nl_put_u64(nl, MBUF_A_OBJECT_ID, id);
	return nl_ask(nl, NULL, NULL);
}

TEST_F(objects, flush_drops_all_and_lets_senders_go_on)
{
	uint32_t num = 3;
	struct party p = {
		.op = OP_SEND,
		.buf = &num,
		.len = sizeof(num),
		.deadline = MBUF_FOREVER,
	};
	struct mbuf_queue_info info;
	struct mbuf_msg msg;
	char room[16];

	NL_QUEUE(2, 16, MBUF_QUEUE_CREDS);
	ASSERT_EQ(0, flush(&self->nl, get_info(self->base.rfd).id));
	ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	ASSERT_EQ(0, send_num(self->base.sfd, 2, MBUF_NOW));
	p.fd = self->base.sfd;
	ASSERT_TRUE(party_start(&p));
	ASSERT_SLEEPERS(self->base.rfd, 0, 1);

	ASSERT_EQ(0, flush(&self->nl, get_info(self->base.rfd).id));
	EXPECT_EQ(0, party_join(&p));
	info = get_info(self->base.rfd);
	EXPECT_EQ(0, info.depth);
	EXPECT_EQ(0, info.send_waiters);
	EXPECT_EQ(3, info.sent);
	EXPECT_EQ(0, info.received);
	EXPECT_EQ(3, info.dropped);
	EXPECT_EQ(-EAGAIN, recv_num(self->base.rfd, MBUF_NOW));

	/* All is as before, but for the gap in the numbers. */
	ASSERT_EQ(0, send_num(self->base.sfd, 4, MBUF_NOW));
	msg = msg_of(room, sizeof(room));
	ASSERT_EQ(0, mbuf_recv_msg(self->base.rfd, &msg, MBUF_NOW));
	EXPECT_EQ(4, msg.seq);
	EXPECT_EQ(getpid(), msg.pid);

	ASSERT_EQ(0, mbuf_query(self->base.session, &self->base.q));
	EXPECT_EQ(0, self->base.q.inflight.used);
}

TEST_F(objects, flush_takes_queues_only)
{
	struct mbuf_channel_info info = {};
	int end[2];

	ASSERT_EQ(0, ch_create(self->base.session, 0, end));
	ASSERT_EQ(0, mbuf_channel_info(end[0], &info));
	EXPECT_EQ(-EOPNOTSUPP, flush(&self->nl, info.id));
	EXPECT_STREQ("not a queue", self->nl.errmsg);
	EXPECT_EQ(-ENOENT, flush(&self->nl, 0));
	close(end[0]);
	close(end[1]);
}

TEST_HARNESS_MAIN
