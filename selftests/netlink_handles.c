// SPDX-License-Identifier: GPL-2.0
/* Netlink: who holds which right by handle. */
#include "cap.h"
#include "listener.h"
#include "netlink.h"
#include "paged.h"
#include "provide.h"

/* More than goes into one piece of a dump. */
#define MANY	20000
#define SOME	1000

FIXTURE(handles) {
	FIXTURE_DATA(queue) base;
	struct nl nl;
};

FIXTURE_SETUP(handles)
{
	queue_setup(_metadata, &self->base, NULL);
	ASSERT_NE(0, self->base.q.features & MBUF_FEATURE_CAPS);
	ASSERT_EQ(0, nl_open(&self->nl));
}

FIXTURE_TEARDOWN(handles)
{
	nl_close(&self->nl);
	queue_teardown(_metadata, &self->base, NULL);
}

/* A number of fdinfo, in hex. */
static uint64_t fd_id(int fd, const char *key)
{
	char path[64], text[2048];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return read_file(path, text, sizeof(text)) ?
	       strtoull(fdinfo_value(text, key), NULL, 16) : 0;
}

static uint64_t session_id(int session)
{
	return fd_id(session, "mbuf-id");
}

static uint64_t root_id(int session)
{
	return fd_id(session, "mbuf-table-id");
}

static uint32_t netns_inum(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) ? 0 : (uint32_t)st.st_ino;
}

static struct mbuf_handle_info info_of(int session, uint64_t handle)
{
	struct mbuf_handle_info info = {};

	if (mbuf_handle_info(session, handle, &info))
		memset(&info, 0xff, sizeof(info));
	return info;
}

static uint64_t put(int session, int fd, uint32_t rights)
{
	uint64_t h = 0;

	return mbuf_handle_put(session, fd, 0, rights, &h) ? 0 : h;
}

static uint64_t copy_to(int session, uint64_t from, uint64_t table,
			uint32_t rights)
{
	uint64_t h = 0;

	return mbuf_handle_copy(session, from, table, rights, &h) ? 0 : h;
}

/* What a dump says of one handle. */
struct handle {
	uint32_t holder_type, index, type, rights, uid, pid, netns;
	uint64_t holder, table, object;
};

struct list {
	unsigned int nr;
	struct handle h[64];
};

static struct handle handle_of(const struct nl_attrs *attrs)
{
	return (struct handle) {
		.holder_type =
			(uint32_t)nl_num(attrs, MBUF_A_HANDLE_HOLDER_TYPE),
		.index = (uint32_t)nl_num(attrs, MBUF_A_HANDLE_INDEX),
		.type = (uint32_t)nl_num(attrs, MBUF_A_HANDLE_TYPE),
		.rights = (uint32_t)nl_num(attrs, MBUF_A_HANDLE_RIGHTS),
		.uid = (uint32_t)nl_num(attrs, MBUF_A_HANDLE_UID),
		.pid = (uint32_t)nl_num(attrs, MBUF_A_HANDLE_PID),
		.netns = (uint32_t)nl_num(attrs, MBUF_A_HANDLE_NETNS),
		.holder = nl_num(attrs, MBUF_A_HANDLE_HOLDER_ID),
		.table = nl_num(attrs, MBUF_A_HANDLE_TABLE_ID),
		.object = nl_num(attrs, MBUF_A_HANDLE_OBJECT_ID),
	};
}

static void see_handle(const struct nlmsghdr *h, const struct nl_attrs *attrs,
		       void *arg)
{
	struct list *l = arg;

	(void)h;
	if (l->nr < ARRAY_SIZE(l->h))
		l->h[l->nr] = handle_of(attrs);
	l->nr++;
}

/* Handles that have an attribute of these in the request; 0: all. */
static int list_by(struct nl *nl, int attr, uint64_t value, struct list *l)
{
	struct list none;

	if (!l)
		l = &none;
	l->nr = 0;
	nl_begin(nl, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);
	if (attr == MBUF_A_HANDLE_UID || attr == MBUF_A_HANDLE_PID)
		nl_put_u32(nl, attr, (uint32_t)value);
	else if (attr)
		nl_put_u64(nl, attr, value);
	return nl_ask(nl, see_handle, l);
}

static int held_by(struct nl *nl, uint64_t holder, struct list *l)
{
	return list_by(nl, MBUF_A_HANDLE_HOLDER_ID, holder, l);
}

static int held_of(struct nl *nl, uint64_t object, struct list *l)
{
	return list_by(nl, MBUF_A_HANDLE_OBJECT_ID, object, l);
}

/* What they are */

/* Is the dump of a table what the session is told of it? */
static int same_as_list(struct nl *nl, int session, uint64_t table,
			uint64_t holder)
{
	struct mbuf_handle_entry e[64];
	uint64_t start = 0;
	struct list l;
	int nr = mbuf_table_list(session, table, &start, e, 64), i;

	if (held_by(nl, holder, &l) != nr || l.nr != (unsigned int)nr)
		return -ENOMSG;
	for (i = 0; i < nr; i++)
		if (l.h[i].index != e[i].handle || l.h[i].object != e[i].id ||
		    l.h[i].type != e[i].type || l.h[i].rights != e[i].rights)
			return -EILSEQ;
	return nr;
}

#define EXPECT_HANDLE(list, at, cap, may, id) do {			\
	struct handle *__h = NULL;					\
	unsigned int __i;						\
									\
	for (__i = 0; __i < (list)->nr; __i++)				\
		if ((list)->h[__i].index == (at))			\
			__h = &(list)->h[__i];				\
	ASSERT_NE(NULL, __h);						\
	EXPECT_EQ(cap, __h->type);					\
	EXPECT_EQ(may, __h->rights);					\
	EXPECT_EQ(id, __h->object);					\
} while (0)

TEST_F(handles, each_type)
{
	const int s = self->base.session, event = eventfd(0, EFD_CLOEXEC);
	struct mbuf_message_create m = {
		.max_msg = 8, .inbox_msg = 8, .sent.fd = -1, .arrived.fd = -1,
	};
	struct mbuf_channel_info end_info = {};
	struct mbuf_seal seal = { .buf = (uintptr_t)"hello", .len = 5 };
	uint64_t file, send, end, recv, table = 0, ref, reply = 0, key = 0;
	uint64_t queue, less, part, gone;
	int end_fd[2], sfd;
	struct list l;

	/* An empty table is not told of. */
	EXPECT_EQ(0, held_by(&self->nl, session_id(s), NULL));
	NL_QUEUE(2, 8, 0);
	file = put(s, event, 0);
	less = put(s, event, MBUF_RIGHT_OPEN);
	send = put(s, self->base.sfd, 0);
	ASSERT_EQ(0, ch_create(s, 0, end_fd));
	ASSERT_EQ(0, mbuf_channel_info(end_fd[0], &end_info));
	end = put(s, end_fd[0], 0);
	ASSERT_LE(0, cap_queue_handle(s, 2, 2, &recv, &sfd));
	queue = get_info(sfd).id;
	ASSERT_EQ(0, mbuf_table_create(s, 0, &table));
	ref = copy_to(s, table, 0, MBUF_RIGHT_LOOKUP);
	ASSERT_EQ(0, mbuf_message_create(s, &m));
	ASSERT_EQ(0, mbuf_message_grant(s, m.handle, 0, MBUF_GRANT_ONCE,
					&reply));
	ASSERT_EQ(0, mbuf_key_create(s, 0, &key));
	part = copy_to(s, key, 0, MBUF_RIGHT_UNSEAL);
	seal.target = key;
	ASSERT_EQ(0, mbuf_seal(s, &seal));
	gone = copy_to(s, send, 0, 0);
	ASSERT_EQ(1, mbuf_handle_revoke(s, send));

	ASSERT_EQ(13, held_by(&self->nl, session_id(s), &l));
	EXPECT_HANDLE(&l, file, MBUF_CAP_FILE, MBUF_RIGHT_COPY |
		      MBUF_RIGHT_PASS | MBUF_RIGHT_OPEN | MBUF_RIGHT_SEND, 0);
	EXPECT_HANDLE(&l, less, MBUF_CAP_FILE, MBUF_RIGHT_OPEN, 0);
	EXPECT_HANDLE(&l, send, MBUF_CAP_FILE, MBUF_RIGHT_COPY |
		      MBUF_RIGHT_PASS | MBUF_RIGHT_OPEN | MBUF_RIGHT_SEND,
		      get_info(self->base.sfd).id);
	EXPECT_HANDLE(&l, end, MBUF_CAP_FILE, MBUF_RIGHT_COPY |
		      MBUF_RIGHT_PASS | MBUF_RIGHT_OPEN | MBUF_RIGHT_SEND,
		      end_info.id);
	EXPECT_HANDLE(&l, recv, MBUF_CAP_RECEIVER, MBUF_RIGHT_PASS |
		      MBUF_RIGHT_OPEN | MBUF_RIGHT_RECV, queue);
	EXPECT_HANDLE(&l, table, MBUF_CAP_TABLE, MBUF_RIGHT_COPY |
		      MBUF_RIGHT_PASS | MBUF_RIGHT_LOOKUP | MBUF_RIGHT_MODIFY,
		      info_of(s, table).id);
	EXPECT_HANDLE(&l, ref, MBUF_CAP_TABLE_REF, MBUF_RIGHT_LOOKUP,
		      info_of(s, table).id);
	EXPECT_HANDLE(&l, m.handle, MBUF_CAP_MESSAGE, MBUF_RIGHT_RECV, m.id);
	EXPECT_HANDLE(&l, reply, MBUF_CAP_REPLY, MBUF_RIGHT_PASS |
		      MBUF_RIGHT_SEND, info_of(s, reply).id);
	EXPECT_HANDLE(&l, key, MBUF_CAP_KEY, MBUF_RIGHT_COPY |
		      MBUF_RIGHT_PASS | MBUF_RIGHT_SEAL | MBUF_RIGHT_UNSEAL,
		      info_of(s, key).id);
	EXPECT_HANDLE(&l, part, MBUF_CAP_KEY, MBUF_RIGHT_UNSEAL,
		      info_of(s, key).id);
	EXPECT_HANDLE(&l, seal.handle, MBUF_CAP_SEALED, MBUF_RIGHT_COPY |
		      MBUF_RIGHT_PASS, info_of(s, seal.handle).id);
	/* What has been revoked stays, and refers to nothing. */
	EXPECT_HANDLE(&l, gone, MBUF_CAP_NONE, 0, 0);
	EXPECT_EQ(13, same_as_list(&self->nl, s, 0, root_id(s)));

	EXPECT_EQ(MBUF_OBJECT_TYPE_SESSION, l.h[0].holder_type);
	EXPECT_EQ(session_id(s), l.h[0].holder);
	EXPECT_EQ(root_id(s), l.h[0].table);
	EXPECT_EQ(getuid(), l.h[0].uid);
	EXPECT_EQ(getpid(), l.h[0].pid);
	EXPECT_EQ(netns_inum(), l.h[0].netns);

	while (l.nr--)
		ASSERT_EQ(0, mbuf_handle_delete(s, l.h[l.nr].index));
	EXPECT_EQ(0, held_by(&self->nl, session_id(s), NULL));
	close(event);
	close(end_fd[0]);
	close(end_fd[1]);
	close(sfd);
}

/* Whatever there are descriptors of has an identity. */
TEST_F(handles, each_descriptor)
{
	struct mbuf_offer o = offer_of(2, RIGHTS_RW, MBUF_OFFER_PROVIDED);
	const int s = self->base.session;
	int end[2], fd[7], i, nr = 0;
	uint64_t id, h[7];
	struct list l;

	NL_QUEUE(2, 8, 0);
	ASSERT_EQ(0, ch_create(s, 0, end));
	ASSERT_EQ(0, rg_offer(end[0], &o));
	fd[nr++] = end[0];
	fd[nr++] = end[1];
	fd[nr++] = pv_consent(end[1], o.id);
	fd[nr] = ls_listen(s, 0700, 1);
	nr++;
	fd[nr] = ls_queue(fd[nr - 1], 1);
	nr++;
	ASSERT_EQ(0, pg_create(s, page_size(), &fd[nr], &fd[nr + 1], &id));
	nr += 2;
	ASSERT_EQ(nr, (int)ARRAY_SIZE(fd));
	for (i = 0; i < nr; i++) {
		ASSERT_LE(0, fd[i]);
		id = fd_id(fd[i], "mbuf-id");
		ASSERT_NE(0, id);
		h[i] = put(s, fd[i], 0);
		ASSERT_NE(0, h[i]);
		EXPECT_EQ(id, info_of(s, h[i]).id) {
			TH_LOG("descriptor %d", i);
		}
		/* The pager and the rights to its region are of one object. */
		ASSERT_EQ(i == nr - 1 ? 2 : 1, held_of(&self->nl, id, &l));
		EXPECT_EQ(h[i], l.h[i == nr - 1].index);
	}
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(0, mbuf_handle_delete(s, h[i]));
		close(fd[i]);
	}
}

/* Regions that are no more than views of the same memory are the same. */
TEST_F(handles, regions)
{
	const int s = self->base.session;
	int memfd, fd[3], i;
	uint64_t id, h[3];

	memfd = sealed_memfd(page_size(), SEALS_SIZE);
	ASSERT_LE(0, memfd);
	for (i = 0; i < 3; i++) {
		fd[i] = rg_grant(s, i ? fd[i - 1] : memfd, RIGHTS_R);
		ASSERT_LE(0, fd[i]);
	}
	id = fd_id(fd[0], "mbuf-id");
	ASSERT_NE(0, id);
	for (i = 0; i < 3; i++) {
		h[i] = put(s, fd[i], 0);
		EXPECT_EQ(id, info_of(s, h[i]).id);
	}
	EXPECT_EQ(3, held_of(&self->nl, id, NULL));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, mbuf_handle_delete(s, h[i]));
		close(fd[i]);
	}
	close(memfd);
}

TEST_F(handles, tables_in_tables)
{
	const int s = self->base.session;
	uint64_t outer = 0, inner = 0, file, at, outer_id, inner_id;
	struct list l;

	NL_QUEUE(2, 8, 0);
	file = put(s, self->base.sfd, 0);
	ASSERT_EQ(0, mbuf_table_create(s, 0, &outer));
	ASSERT_EQ(0, mbuf_table_create(s, outer, &inner));
	at = copy_to(s, file, PATH(outer, inner), MBUF_RIGHT_SEND);
	ASSERT_NE(0, at);
	outer_id = info_of(s, outer).id;
	inner_id = info_of(s, PATH(outer, inner)).id;

	ASSERT_EQ(1, held_by(&self->nl, outer_id, &l));
	EXPECT_HANDLE(&l, inner, MBUF_CAP_TABLE, MBUF_RIGHT_COPY |
		      MBUF_RIGHT_PASS | MBUF_RIGHT_LOOKUP | MBUF_RIGHT_MODIFY,
		      inner_id);
	ASSERT_EQ(1, held_by(&self->nl, inner_id, &l));
	EXPECT_HANDLE(&l, at, MBUF_CAP_FILE, MBUF_RIGHT_SEND,
		      get_info(self->base.sfd).id);
	EXPECT_EQ(MBUF_OBJECT_TYPE_TABLE, l.h[0].holder_type);
	EXPECT_EQ(inner_id, l.h[0].holder);
	EXPECT_EQ(inner_id, l.h[0].table);
	EXPECT_EQ(getuid(), l.h[0].uid);
	EXPECT_EQ(getpid(), l.h[0].pid);
	EXPECT_EQ(netns_inum(), l.h[0].netns);

	/* What was derived from it is not there any more when it is used. */
	ASSERT_EQ(1, mbuf_handle_revoke(s, file));
	ASSERT_EQ(1, held_by(&self->nl, inner_id, &l));
	EXPECT_HANDLE(&l, at, MBUF_CAP_NONE, 0, 0);

	/* All that is in it goes with it. */
	ASSERT_EQ(0, mbuf_handle_delete(s, outer));
	EXPECT_EQ(0, held_by(&self->nl, outer_id, NULL));
	EXPECT_EQ(0, held_by(&self->nl, inner_id, NULL));
	EXPECT_EQ(1, held_by(&self->nl, session_id(s), NULL));
	ASSERT_EQ(0, mbuf_handle_delete(s, file));
}

/* What is in a message is held by nobody; the message object is. */
TEST_F(handles, not_those_in_messages)
{
	const int s = self->base.session;
	struct mbuf_message_create m = {
		.max_msg = 8, .max_caps = 1, .sent.fd = -1, .arrived.fd = -1,
	};
	struct mbuf_cap cap;
	uint64_t key = 0, id;
	struct list l;

	ASSERT_EQ(0, mbuf_key_create(s, 0, &key));
	id = info_of(s, key).id;
	ASSERT_EQ(0, mbuf_message_create(s, &m));
	cap = mbuf_cap_move(key);
	ASSERT_EQ(1, held_of(&self->nl, id, NULL));
	ASSERT_EQ(0, mbuf_message_load(s, m.handle, "", 0, &cap, 1));
	EXPECT_EQ(0, held_of(&self->nl, id, NULL));
	ASSERT_EQ(1, held_by(&self->nl, session_id(s), &l));
	EXPECT_EQ(m.id, l.h[0].object);
	ASSERT_EQ(0, mbuf_handle_delete(s, m.handle));
}

/* Filters */

TEST_F(handles, filters)
{
	const int s = self->base.session, other = mbuf_open();
	uint64_t id, one, two, three, none;
	struct list l;

	ASSERT_LE(0, other);
	NL_QUEUE(2, 8, 0);
	id = get_info(self->base.rfd).id;
	one = put(s, self->base.sfd, 0);
	two = put(s, self->base.sfd, MBUF_RIGHT_SEND);
	/* Something that is none of ours. */
	none = put(s, self->nl.fd, 0);
	three = put(other, self->base.sfd, MBUF_RIGHT_SEND);

	/* Who has a right to the queue? */
	ASSERT_EQ(3, held_of(&self->nl, id, &l));
	EXPECT_EQ(one, l.h[0].index);
	EXPECT_EQ(two, l.h[1].index);
	EXPECT_EQ(session_id(s), l.h[1].holder);
	EXPECT_EQ(three, l.h[2].index);
	EXPECT_EQ(session_id(other), l.h[2].holder);
	EXPECT_EQ(MBUF_RIGHT_SEND, l.h[2].rights);

	EXPECT_EQ(3, held_by(&self->nl, session_id(s), NULL));
	EXPECT_EQ(3, held_by(&self->nl, root_id(s), NULL));
	EXPECT_EQ(1, held_by(&self->nl, session_id(other), NULL));
	EXPECT_EQ(4, list_by(&self->nl, MBUF_A_HANDLE_UID, getuid(), NULL));
	EXPECT_EQ(4, list_by(&self->nl, MBUF_A_HANDLE_PID, (uint64_t)getpid(),
			     NULL));
	EXPECT_EQ(4, list_by(&self->nl, 0, 0, NULL));
	nl_begin(&self->nl, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);
	nl_put_u64(&self->nl, MBUF_A_HANDLE_HOLDER_ID, session_id(s));
	nl_put_u64(&self->nl, MBUF_A_HANDLE_OBJECT_ID, id);
	nl_put_u32(&self->nl, MBUF_A_HANDLE_UID, getuid());
	nl_put_u32(&self->nl, MBUF_A_HANDLE_PID, (uint32_t)getpid());
	EXPECT_EQ(2, nl_ask(&self->nl, NULL, NULL));

	/* Each of these finds nothing. */
	EXPECT_EQ(0, held_by(&self->nl, id, NULL));
	EXPECT_EQ(0, held_of(&self->nl, session_id(s), NULL));
	EXPECT_EQ(0, held_by(&self->nl, 0, NULL));
	EXPECT_EQ(0, held_of(&self->nl, 0, NULL));
	EXPECT_EQ(0, list_by(&self->nl, MBUF_A_HANDLE_UID, TEST_UID, NULL));
	EXPECT_EQ(0, list_by(&self->nl, MBUF_A_HANDLE_UID, UINT32_MAX, NULL));
	EXPECT_EQ(0, list_by(&self->nl, MBUF_A_HANDLE_PID,
			     (uint64_t)getppid(), NULL));
	nl_begin(&self->nl, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);
	nl_put_u64(&self->nl, MBUF_A_HANDLE_HOLDER_ID, session_id(other));
	nl_put_u32(&self->nl, MBUF_A_HANDLE_PID, (uint32_t)getppid());
	EXPECT_EQ(0, nl_ask(&self->nl, NULL, NULL));

	close(other);
	EXPECT_EQ(2, held_of(&self->nl, id, NULL));
	ASSERT_EQ(0, mbuf_handle_delete(s, one));
	ASSERT_EQ(0, mbuf_handle_delete(s, two));
	ASSERT_EQ(0, mbuf_handle_delete(s, none));
}

/* Who sees what */

struct theirs {
	uint64_t session, queue;
	uint64_t root, root_queue;	/* what the test itself has */
	int go;
};

/* A session with two handles, one of them to what is shared by @sfd. */
static int two_handles(uint64_t *queue)
{
	int session = mbuf_open(), rfd, sfd;

	CHECK(session >= 0);
	CHECK_EQ(0, mbuf_queue_create(session, 2, 8, 0, &rfd, &sfd));
	*queue = get_info(rfd).id;
	CHECK(put(session, sfd, 0));
	CHECK(put(session, sfd, MBUF_RIGHT_SEND));
	return session;
}

static void refuse_all(struct nl *nl)
{
	nl_begin(nl, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);
	nl_put(nl, MBUF_A_HANDLE_ALL, NULL, 0);
	CHECK_EQ(-EPERM, nl_ask(nl, NULL, NULL));
}

static int see_own(void *arg)
{
	struct theirs *t = arg;
	struct nl nl;

	t->session = session_id(two_handles(&t->queue));
	CHECK_EQ(0, nl_open(&nl));
	CHECK_EQ(2, list_by(&nl, 0, 0, NULL));
	CHECK_EQ(2, held_by(&nl, t->session, NULL));
	CHECK_EQ(2, held_of(&nl, t->queue, NULL));
	CHECK_EQ(0, held_by(&nl, t->root, NULL));
	CHECK_EQ(0, held_of(&nl, t->root_queue, NULL));
	CHECK_EQ(0, list_by(&nl, MBUF_A_HANDLE_UID, 0, NULL));
	refuse_all(&nl);
	__atomic_store_n(&t->go, 1, __ATOMIC_RELEASE);
	CHECK(EVENTUALLY(__atomic_load_n(&t->go, __ATOMIC_ACQUIRE) == 2));
	return 0;
}

TEST_F(handles, users_see_their_own_and_root_all)
{
	const int s = self->base.session;
	struct theirs *t = map_shared(sizeof(*t));
	struct list l;
	uint64_t h;
	pid_t pid;

	NEED_ROOT();
	ASSERT_NE(NULL, t);
	NL_QUEUE(3, 16, 0);
	h = put(s, self->base.sfd, 0);
	t->root = session_id(s);
	t->root_queue = get_info(self->base.rfd).id;
	pid = spawn_as(TEST_UID, see_own, t);
	EXPECT_TRUE(EVENTUALLY(__atomic_load_n(&t->go, __ATOMIC_ACQUIRE)));
	ASSERT_EQ(2, held_by(&self->nl, t->session, &l));
	EXPECT_EQ(TEST_UID, l.h[0].uid);
	EXPECT_EQ(pid, l.h[0].pid);
	EXPECT_EQ(t->queue, l.h[1].object);
	EXPECT_EQ(MBUF_RIGHT_SEND, l.h[1].rights);
	EXPECT_EQ(2, list_by(&self->nl, MBUF_A_HANDLE_UID, TEST_UID, NULL));
	EXPECT_EQ(2, list_by(&self->nl, MBUF_A_HANDLE_PID, (uint64_t)pid,
			     NULL));
	EXPECT_EQ(3, list_by(&self->nl, 0, 0, NULL));
	__atomic_store_n(&t->go, 2, __ATOMIC_RELEASE);
	EXPECT_EQ(0, reap(pid));
	EXPECT_TRUE(EVENTUALLY(held_by(&self->nl, t->session, NULL) == 0));
	ASSERT_EQ(0, mbuf_handle_delete(s, h));
	munmap(t, sizeof(*t));
}

/* What a handle refers to is told, even if that itself could not be seen. */
static int hold_roots(void *arg)
{
	struct theirs *t = arg;
	int session = mbuf_open();
	struct nl_object o;
	struct list l;
	struct nl nl;

	CHECK(session >= 0);
	CHECK(put(session, t->go, 0));
	CHECK_EQ(0, nl_open(&nl));
	CHECK_EQ(-ENOENT, nl_get(&nl, t->root_queue, &o));
	CHECK_EQ(1, held_of(&nl, t->root_queue, &l));
	CHECK_EQ(t->root_queue, l.h[0].object);
	CHECK_EQ(TEST_UID, l.h[0].uid);
	return 0;
}

TEST_F(handles, a_right_to_what_is_somebody_elses)
{
	struct theirs t = {};

	NEED_ROOT();
	NL_QUEUE(3, 16, 0);
	t.root_queue = get_info(self->base.rfd).id;
	t.go = self->base.sfd;
	EXPECT_EQ(0, run_as(TEST_UID, hold_roots, &t));
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

TEST_F(handles, the_socket_says_who_asks)
{
	const int s = self->base.session;
	int sock[2], fd;
	uint64_t h;

	NEED_ROOT();
	NL_QUEUE(3, 16, 0);
	h = put(s, self->base.sfd, 0);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	ASSERT_EQ(0, run_as(TEST_UID, open_socket, &sock[1]));
	fd = take_fd(sock[0]);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, held_by(&self->nl, session_id(s), NULL));
	ASSERT_LE(0, dup3(fd, self->nl.fd, O_CLOEXEC));
	close(fd);
	self->nl.seq = 1000;
	EXPECT_EQ(0, held_by(&self->nl, session_id(s), NULL));
	ASSERT_EQ(0, mbuf_handle_delete(s, h));
	close(sock[0]);
	close(sock[1]);
}

/* Another network namespace has other handles; `all` shows all. */
static int see_elsewhere(void *arg)
{
	struct theirs *t = arg;
	int session, rfd, sfd;
	struct list l = {};
	struct nl nl;

	CHECK_EQ(0, unshare(CLONE_NEWNET));
	CHECK_EQ(0, nl_open(&nl));
	CHECK_EQ(0, held_by(&nl, t->root, NULL));
	CHECK_EQ(0, held_of(&nl, t->root_queue, NULL));
	session = mbuf_open();
	CHECK(session >= 0);
	CHECK_EQ(0, mbuf_queue_create(session, 2, 8, 0, &rfd, &sfd));
	CHECK(put(session, sfd, 0));
	CHECK_EQ(1, list_by(&nl, 0, 0, &l));
	CHECK_EQ(netns_inum(), l.h[0].netns);
	l.nr = 0;
	nl_begin(&nl, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);
	nl_put(&nl, MBUF_A_HANDLE_ALL, NULL, 0);
	nl_put_u64(&nl, MBUF_A_HANDLE_HOLDER_ID, t->root);
	CHECK_EQ(1, nl_ask(&nl, see_handle, &l));
	CHECK_EQ(t->root_queue, l.h[0].object);
	CHECK(l.h[0].netns != netns_inum());
	return 0;
}

TEST_F(handles, network_namespaces_are_apart)
{
	const int s = self->base.session;
	struct theirs t = {};
	uint64_t h;

	NEED_ROOT();
	NL_QUEUE(3, 16, 0);
	h = put(s, self->base.sfd, 0);
	t.root = session_id(s);
	t.root_queue = get_info(self->base.rfd).id;
	EXPECT_EQ(0, reap(spawn(see_elsewhere, &t)));
	ASSERT_EQ(0, mbuf_handle_delete(s, h));
}

/* All capabilities, in namespaces of one's own: ids are those of the inside. */
static int see_inside(void *arg)
{
	struct theirs *t = arg;
	struct list l = {};
	struct nl nl;
	int session;

	CHECK_EQ(1, getpid());
	CHECK_EQ(0, nl_open(&nl));
	CHECK_EQ(0, held_by(&nl, t->root, NULL));
	refuse_all(&nl);
	session = two_handles(&t->queue);
	CHECK_EQ(2, list_by(&nl, 0, 0, &l));
	CHECK_EQ(session_id(session), l.h[0].holder);
	CHECK_EQ(0, l.h[0].uid);
	CHECK_EQ(1, l.h[0].pid);
	CHECK_EQ(2, list_by(&nl, MBUF_A_HANDLE_UID, 0, NULL));
	CHECK_EQ(2, list_by(&nl, MBUF_A_HANDLE_PID, 1, NULL));
	return 0;
}

static int go_inside(void *arg)
{
	return in_own_namespaces(see_inside, arg);
}

TEST_F(handles, a_namespace_of_ones_own_shows_nothing_else)
{
	const int s = self->base.session;
	struct theirs t = {};
	uint64_t h;

	NEED_ROOT();
	if (access("/proc/self/ns/user", F_OK))
		SKIP(return, "no user namespaces");
	NL_QUEUE(3, 16, 0);
	h = put(s, self->base.sfd, 0);
	t.root = session_id(s);
	EXPECT_EQ(0, run_as(TEST_UID, go_inside, &t));
	ASSERT_EQ(0, mbuf_handle_delete(s, h));
}

/* Dumps in pieces, and changes meanwhile */

/* How often each index of a table was seen. */
struct roll {
	uint64_t table;
	unsigned int strangers;
	atomic_ulong *rounds;		/* of those who come and go */
	unsigned long begin;		/* rounds by the first */
	unsigned int called;
	bool changed;
	uint8_t seen[MANY + 2];
};

static void call_roll(const struct nlmsghdr *h, const struct nl_attrs *attrs,
		      void *arg)
{
	const struct handle got = handle_of(attrs);
	struct roll *roll = arg;

	(void)h;
	if (got.table != roll->table || got.index > MANY + 1) {
		roll->strangers++;
		return;
	}
	roll->seen[got.index]++;
	if (!roll->rounds)
		return;
	if (!roll->called++)
		roll->begin = atomic_load(roll->rounds);
	/* Whole rounds, while it is far from its end. */
	if (roll->called == MANY / 2)
		roll->changed = EVENTUALLY(atomic_load(roll->rounds) >
					   roll->begin + 1);
}

/* How many indices from @from to @to were seen once; -EPROTO if one was twice. */
static int seen_once(const struct roll *roll, unsigned int from,
		     unsigned int to)
{
	int nr = 0;

	for (; from <= to; from++) {
		if (roll->seen[from] > 1)
			return -EPROTO;
		nr += roll->seen[from];
	}
	return nr;
}

static struct roll *roll_new(int session)
{
	struct roll *roll = calloc(1, sizeof(*roll));

	if (roll)
		roll->table = root_id(session);
	return roll;
}

static void roll_begin(struct nl *nl, struct roll *roll)
{
	memset(roll->seen, 0, sizeof(roll->seen));
	roll->strangers = 0;
	roll->called = 0;
	roll->changed = false;
	nl_begin(nl, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);
}

/* Fills a table, from 1 on. */
static int fill(int session, int fd, unsigned int nr)
{
	uint64_t h = put(session, fd, 0);
	unsigned int i;

	if (h != 1)
		return -EEXIST;
	for (i = 2; i <= nr; i++) {
		h = 0;
		if (mbuf_handle_copy(session, 1, 0, 0, &h) || h != i)
			return -EIO;
	}
	return 0;
}

TEST_F(handles, many_in_pieces)
{
	const int s = mbuf_open();
	struct roll *roll;

	ASSERT_LE(0, s);
	NL_QUEUE(2, 8, 0);
	ASSERT_EQ(0, fill(s, self->base.sfd, MANY));
	roll = roll_new(s);
	ASSERT_NE(NULL, roll);

	roll_begin(&self->nl, roll);
	EXPECT_EQ(MANY, nl_ask(&self->nl, call_roll, roll));
	EXPECT_FALSE(self->nl.intr);
	EXPECT_EQ(MANY, seen_once(roll, 1, MANY));
	EXPECT_EQ(0, roll->strangers);
	/* All of them are of interest, and none. */
	ASSERT_EQ(0, mbuf_handle_delete(s, MANY / 2));
	EXPECT_EQ(MANY - 1, held_of(&self->nl, get_info(self->base.sfd).id,
				    NULL));
	EXPECT_EQ(0, held_of(&self->nl, session_id(s), NULL));
	free(roll);
	close(s);
}

/*
 * The first piece is made when the request is sent, and the next ones when it
 * is read: in between things change.
 */
TEST_F(handles, changes_between_pieces)
{
	const int s = mbuf_open();
	uint64_t at = 0, table = 0;
	struct roll *roll;
	struct nl *nl = &self->nl;

	ASSERT_LE(0, s);
	NL_QUEUE(2, 8, 0);
	ASSERT_EQ(0, fill(s, self->base.sfd, SOME));
	roll = roll_new(s);
	ASSERT_NE(NULL, roll);

	/* What has not been told goes. */
	roll_begin(nl, roll);
	ASSERT_EQ(0, nl_send(nl));
	ASSERT_EQ(0, mbuf_handle_delete(s, SOME));
	EXPECT_EQ(SOME - 1, nl_answer(nl, call_roll, roll));
	EXPECT_TRUE(nl->intr);
	EXPECT_EQ(SOME - 1, seen_once(roll, 1, SOME - 1));

	/* What has been told goes. */
	roll_begin(nl, roll);
	ASSERT_EQ(0, nl_send(nl));
	ASSERT_EQ(0, mbuf_handle_delete(s, 2));
	EXPECT_EQ(SOME - 1, nl_answer(nl, call_roll, roll));
	EXPECT_TRUE(nl->intr);
	EXPECT_EQ(SOME - 1, seen_once(roll, 1, SOME - 1));

	/* It comes where it would have been told. */
	roll_begin(nl, roll);
	ASSERT_EQ(0, nl_send(nl));
	ASSERT_EQ(0, mbuf_handle_copy(s, 1, 0, 0, &at));
	ASSERT_EQ(2, at);
	EXPECT_EQ(SOME - 2, nl_answer(nl, call_roll, roll));
	EXPECT_TRUE(nl->intr);

	/* From where it is not yet told to where it would have been. */
	ASSERT_EQ(0, mbuf_handle_delete(s, 2));
	roll_begin(nl, roll);
	ASSERT_EQ(0, nl_send(nl));
	ASSERT_EQ(0, mbuf_handle_move(s, SOME - 1, 0, 0, &at));
	EXPECT_EQ(SOME - 3, nl_answer(nl, call_roll, roll));
	EXPECT_TRUE(nl->intr);
	EXPECT_EQ(0, roll->seen[2] + roll->seen[SOME - 1]);

	/* The same, from another table that comes later. */
	ASSERT_EQ(0, mbuf_table_create(s, 0, &table));
	at = 1;
	ASSERT_EQ(0, mbuf_handle_move(s, 2, table, 0, &at));
	at = 2;
	roll_begin(nl, roll);
	ASSERT_EQ(0, nl_send(nl));
	ASSERT_EQ(0, mbuf_handle_move(s, PATH(table, 1), 0, 0, &at));
	EXPECT_EQ(SOME - 2, nl_answer(nl, call_roll, roll));
	EXPECT_TRUE(nl->intr);
	EXPECT_EQ(0, roll->strangers);

	/* A table goes that is still to come. */
	at = 1;
	ASSERT_EQ(0, mbuf_handle_copy(s, 1, table, 0, &at));
	roll_begin(nl, roll);
	EXPECT_EQ(SOME, nl_ask(nl, call_roll, roll));
	EXPECT_EQ(1, roll->strangers);
	EXPECT_FALSE(nl->intr);
	roll_begin(nl, roll);
	ASSERT_EQ(0, nl_send(nl));
	ASSERT_EQ(0, mbuf_handle_delete(s, table));
	EXPECT_EQ(SOME - 2, nl_answer(nl, call_roll, roll));
	EXPECT_TRUE(nl->intr);
	EXPECT_EQ(0, roll->strangers);

	/* A dump of what nobody holds, in peace. */
	nl_begin(nl, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);
	nl_put_u64(nl, MBUF_A_HANDLE_HOLDER_ID, session_id(self->base.session));
	EXPECT_EQ(0, nl_ask(nl, NULL, NULL));
	EXPECT_FALSE(nl->intr);

	/* That something was revoked is to be seen, but no change. */
	roll_begin(nl, roll);
	ASSERT_EQ(0, nl_send(nl));
	ASSERT_LT(0, mbuf_handle_revoke(s, 1));
	EXPECT_EQ(SOME - 2, nl_answer(nl, call_roll, roll));
	EXPECT_FALSE(nl->intr);

	free(roll);
	close(s);
}

/* A session ends in the middle of being told of. */
TEST_F(handles, the_holder_goes)
{
	const uint64_t used = self->base.q.handles.used;
	int s = mbuf_open(), later = mbuf_open();
	struct mbuf_query q = {};
	struct nl lazy;
	struct list l = {};

	ASSERT_LE(0, s);
	ASSERT_LE(0, later);
	NL_QUEUE(2, 8, 0);
	ASSERT_EQ(0, fill(s, self->base.sfd, SOME));
	ASSERT_EQ(0, fill(later, self->base.sfd, 3));
	ASSERT_EQ(0, nl_open(&lazy));
	nl_begin(&lazy, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);
	ASSERT_EQ(0, nl_send(&lazy));
	nl_begin(&self->nl, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);
	ASSERT_EQ(0, nl_send(&self->nl));

	/* Neither keeps it, nor the queue that it has rights to. */
	close(s);
	EXPECT_TRUE(EVENTUALLY(!mbuf_query(self->base.session, &q) &&
			       q.handles.used == used + 3));
	close_fd(&self->base.sfd);
	EXPECT_TRUE(EVENTUALLY(get_info(self->base.rfd).senders == 1));

	/* Who goes on finds what there is besides. */
	ASSERT_LT(3, nl_answer(&self->nl, see_handle, &l));
	EXPECT_TRUE(self->nl.intr);
	EXPECT_GT(SOME, l.nr);
	EXPECT_EQ(3, held_by(&self->nl, session_id(later), NULL));
	EXPECT_EQ(3, list_by(&self->nl, 0, 0, NULL));
	close(later);
	EXPECT_TRUE(EVENTUALLY(!mbuf_query(self->base.session, &q) &&
			       q.handles.used == used));
	nl_close(&lazy);
}

struct churn {
	int session;
	atomic_bool stop;
	atomic_ulong rounds;
};

/* Handles, and tables with handles, above those that stay and among them. */
static void *churn_main(void *arg)
{
	struct churn *c = arg;
	int i;

	while (!atomic_load(&c->stop)) {
		uint64_t table = 0, in = 0, at[32] = {};

		for (i = 0; i < 32; i++)
			mbuf_handle_copy(c->session, 1, 0, 0, &at[i]);
		if (!mbuf_table_create(c->session, 0, &table)) {
			mbuf_handle_copy(c->session, 1, table, 0, &in);
			mbuf_handle_delete(c->session, table);
		}
		for (i = 0; i < 32; i++)
			mbuf_handle_delete(c->session, at[i * 7 % 32]);
		atomic_fetch_add(&c->rounds, 1);
	}
	return NULL;
}

TEST_F(handles, dumps_while_handles_come_and_go)
{
	struct churn c = { .session = mbuf_open() };
	unsigned int i, stay = MANY;
	struct nl *nl = &self->nl;
	struct roll *roll;
	pthread_t thread;

	ASSERT_LE(0, c.session);
	NL_QUEUE(2, 8, 0);
	ASSERT_EQ(0, fill(c.session, self->base.sfd, MANY));
	/* Room for those who come and go, among those that stay. */
	for (i = 2; i < MANY; i += MANY / 16, stay--)
		ASSERT_EQ(0, mbuf_handle_delete(c.session, i));
	roll = roll_new(c.session);
	ASSERT_NE(NULL, roll);
	roll->rounds = &c.rounds;

	ASSERT_EQ(0, pthread_create(&thread, NULL, churn_main, &c));
	ASSERT_TRUE(EVENTUALLY(atomic_load(&c.rounds) > 2));
	for (i = 0; i < 3; i++) {
		unsigned int j, nr = 0;

		roll_begin(nl, roll);
		EXPECT_LE((int)stay, nl_ask(nl, call_roll, roll));
		for (j = 1; j <= MANY; j++) {
			if (j >= 2 && (j - 2) % (MANY / 16) == 0) {
				EXPECT_GE(1, roll->seen[j]);
				continue;
			}
			nr += roll->seen[j] == 1;
		}
		ASSERT_EQ(stay, nr);
		/* And the dump says that it is of no one moment. */
		ASSERT_TRUE(roll->changed);
		ASSERT_TRUE(nl->intr);
	}
	atomic_store(&c.stop, true);
	pthread_join(thread, NULL);
	roll_begin(nl, roll);
	EXPECT_EQ(stay, nl_ask(nl, call_roll, roll));
	EXPECT_FALSE(nl->intr);
	free(roll);
	close(c.session);
}

/* What somebody else does is no news to who may not see it. */
static int dump_in_peace(void *arg)
{
	int session = mbuf_open(), rfd, sfd, i;
	struct churn *c = arg;
	unsigned long before;
	struct nl nl;

	CHECK_EQ(0, nl_open(&nl));
	CHECK(session >= 0);
	CHECK_EQ(0, mbuf_queue_create(session, 1, 1, 0, &rfd, &sfd));
	CHECK_EQ(0, fill(session, sfd, SOME));
	before = atomic_load(&c->rounds);
	for (i = 0; i < 20; i++) {
		nl_begin(&nl, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);
		CHECK_EQ(SOME, nl_ask(&nl, NULL, NULL));
		CHECK(!nl.intr);
	}
	CHECK(EVENTUALLY(atomic_load(&c->rounds) > before + 1));
	return 0;
}

TEST_F(handles, changes_of_others_do_not_show)
{
	struct churn *c = map_shared(sizeof(*c));
	pthread_t thread;

	NEED_ROOT();
	ASSERT_NE(NULL, c);
	c->session = mbuf_open();
	ASSERT_LE(0, c->session);
	NL_QUEUE(2, 8, 0);
	ASSERT_EQ(1, put(c->session, self->base.sfd, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn_main, c));
	EXPECT_EQ(0, run_as(TEST_UID, dump_in_peace, c));
	atomic_store(&c->stop, true);
	pthread_join(thread, NULL);
	close(c->session);
	munmap(c, sizeof(*c));
}

/* Requests that are none */

TEST_F(handles, what_is_wrong_is_refused)
{
	struct nl *nl = &self->nl;
	uint16_t half = 1;

	/* Only as a dump. */
	nl_begin(nl, MBUF_CMD_HANDLE_GET, NLM_F_ACK);
	EXPECT_EQ(-EOPNOTSUPP, nl_ask(nl, NULL, NULL));
#define REFUSED(err, put) do {						\
	nl_begin(nl, MBUF_CMD_HANDLE_GET, NLM_F_DUMP);			\
	put;								\
	EXPECT_EQ(err, nl_ask(nl, NULL, NULL));				\
} while (0)
	/* A number that is too short, or too long. */
	REFUSED(-EINVAL, nl_put(nl, MBUF_A_HANDLE_HOLDER_ID, &half, 2));
	REFUSED(-EINVAL, nl_put_u32(nl, MBUF_A_HANDLE_OBJECT_ID, 1));
	REFUSED(-EINVAL, nl_put(nl, MBUF_A_HANDLE_UID, &half, 2));
	/* Too little. */
	REFUSED(-ERANGE, nl_put_u32(nl, MBUF_A_HANDLE_PID, 0));
	REFUSED(-ERANGE, nl_put_u32(nl, MBUF_A_HANDLE_ALL, 1));
	/* What only answers have, and what nobody knows. */
	REFUSED(-EINVAL, nl_put_u32(nl, MBUF_A_HANDLE_HOLDER_TYPE, 1));
	REFUSED(-EINVAL, nl_put_u64(nl, MBUF_A_HANDLE_TABLE_ID, 1));
	REFUSED(-EINVAL, nl_put_u32(nl, MBUF_A_HANDLE_INDEX, 1));
	REFUSED(-EINVAL, nl_put_u32(nl, MBUF_A_HANDLE_TYPE, 1));
	REFUSED(-EINVAL, nl_put_u32(nl, MBUF_A_HANDLE_RIGHTS, 1));
	REFUSED(-EINVAL, nl_put_u32(nl, MBUF_A_HANDLE_NETNS, 1));
	REFUSED(-EINVAL, nl_put_u32(nl, MBUF_A_HANDLE_MAX + 1, 1));
	REFUSED(-EINVAL, nl_put_u32(nl, MBUF_A_HANDLE_PAD, 1));
	/* What comes twice counts as it came last. */
	REFUSED(0, nl_put_u64(nl, MBUF_A_HANDLE_HOLDER_ID, 1);
		   nl_put_u64(nl, MBUF_A_HANDLE_HOLDER_ID, 2));
#undef REFUSED
}

TEST_HARNESS_MAIN
