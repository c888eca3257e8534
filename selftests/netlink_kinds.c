// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink: objects that are no descriptors, or that belong to others: tables,
 * message objects, keys, consents, paged regions.
 */
#include "cap.h"
#include "channel.h"
#include "netlink.h"
#include "paged.h"
#include "provide.h"

FIXTURE(kinds) {
	FIXTURE_DATA(queue) base;
	struct nl nl;
};

FIXTURE_SETUP(kinds)
{
	queue_setup(_metadata, &self->base, NULL);
	ASSERT_EQ(0, nl_open(&self->nl));
}

FIXTURE_TEARDOWN(kinds)
{
	nl_close(&self->nl);
	queue_teardown(_metadata, &self->base, NULL);
}

/* What a handle is; 0: the root table. */
static uint64_t handle_id(int session, uint64_t handle)
{
	struct mbuf_handle_info info = {};

	return mbuf_handle_info(session, handle, &info) ? 0 : info.id;
}

/* The session's identity: no ioctl tells that. */
static uint64_t session_id(int session)
{
	char path[64], text[1024];
	const char *id;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", session);
	if (!read_file(path, text, sizeof(text)))
		return 0;
	id = strstr(text, "mbuf-id:");
	return id ? strtoull(id + strlen("mbuf-id:"), NULL, 16) : 0;
}

/* Has fdinfo a line with this? */
static bool fdinfo_has(int fd, const char *line)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (!read_file(path, text, sizeof(text)))
		return false;
	if (strstr(text, line))
		return true;
	fprintf(stderr, "# no %s in:\n%s", line, text);
	return false;
}

TEST_F(kinds, tables)
{
	const int s = self->base.session;
	uint64_t outer = 0, inner = 0, ref = 0, id, inner_id, root;
	struct nl_object o;
	char line[64];

	root = handle_id(s, 0);
	ASSERT_EQ(0, nl_get(&self->nl, session_id(s), &o));
	EXPECT_EQ(MBUF_OBJECT_TYPE_SESSION, o.type);
	EXPECT_EQ(root, nl_num(&o.more, MBUF_A_SESSION_TABLE_ID));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_SESSION_HANDLES));
	snprintf(line, sizeof(line), "mbuf-table-id:\t%016llx\n",
		 (unsigned long long)root);
	EXPECT_TRUE(fdinfo_has(s, line));
	/* A root table is part of its session. */
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, root, NULL));

	ASSERT_EQ(0, mbuf_table_create(s, 0, &outer));
	ASSERT_EQ(0, mbuf_table_create(s, outer, &inner));
	id = handle_id(s, outer);
	inner_id = handle_id(s, PATH(outer, inner));
	ASSERT_EQ(0, nl_get(&self->nl, id, &o));
	EXPECT_EQ(MBUF_OBJECT_TYPE_TABLE, o.type);
	EXPECT_EQ(getuid(), o.uid);
	EXPECT_EQ(getpid(), o.pid);
	EXPECT_EQ(1, nl_num(&o.more, MBUF_A_TABLE_HANDLES));
	EXPECT_EQ(root, nl_num(&o.more, MBUF_A_TABLE_PARENT_ID));
	ASSERT_EQ(0, nl_get(&self->nl, inner_id, &o));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_TABLE_HANDLES));
	EXPECT_EQ(id, nl_num(&o.more, MBUF_A_TABLE_PARENT_ID));

	/* It moves; and ends with its owner, whoever refers to it. */
	ASSERT_EQ(0, mbuf_handle_copy(s, PATH(outer, inner), 0, 0, &ref));
	inner = 0;
	ASSERT_EQ(0, mbuf_handle_move(s, PATH(outer, 1), 0, 0, &inner));
	ASSERT_EQ(0, nl_get(&self->nl, inner_id, &o));
	EXPECT_EQ(root, nl_num(&o.more, MBUF_A_TABLE_PARENT_ID));
	ASSERT_EQ(0, nl_get(&self->nl, session_id(s), &o));
	EXPECT_EQ(3, nl_num(&o.more, MBUF_A_SESSION_HANDLES));
	ASSERT_EQ(0, mbuf_handle_delete(s, inner));
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, inner_id, NULL));
	ASSERT_EQ(0, mbuf_handle_delete(s, outer));
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, id, NULL));
	ASSERT_EQ(0, mbuf_handle_delete(s, ref));
}

/* A table in a table ends with it, and nobody can see it any more. */
TEST_F(kinds, tables_in_tables_end_with_them)
{
	const int s = self->base.session;
	uint64_t outer = 0, at = 0, id[3];
	int i;

	ASSERT_EQ(0, mbuf_table_create(s, 0, &outer));
	for (i = 0; i < 3; i++) {
		at = 0;
		ASSERT_EQ(0, mbuf_table_create(s, outer, &at));
		id[i] = handle_id(s, PATH(outer, at));
		EXPECT_EQ(1, nl_dump_has(&self->nl, id[i]));
	}
	ASSERT_EQ(0, mbuf_handle_delete(s, outer));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, nl_dump_has(&self->nl, id[i]));
}

/* The receive right that owns a queue says where it is. */
TEST_F(kinds, a_queue_in_a_table)
{
	const int s = self->base.session;
	uint64_t recv = 0, id;
	struct nl_object o;
	int sfd;

	ASSERT_EQ(0, cap_queue_handle(s, 2, 2, &recv, &sfd));
	id = handle_id(s, recv);
	ASSERT_EQ(0, nl_get(&self->nl, id, &o));
	EXPECT_EQ(handle_id(s, 0), nl_num(&o.more, MBUF_A_QUEUE_PARENT_ID));
	EXPECT_EQ(2, nl_num(&o.more, MBUF_A_QUEUE_MAX_CAPS));
	EXPECT_TRUE(fdinfo_has(sfd, "mbuf-max-caps:\t2\n"));
	ASSERT_EQ(0, mbuf_handle_delete(s, recv));
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, id, NULL));
	close(sfd);
}

TEST_F(kinds, a_message_object)
{
	const int s = self->base.session;
	struct mbuf_message_create c = {
		.max_msg = 16, .max_caps = 2, .inbox_msg = 8,
		.sent.fd = -1, .arrived.fd = -1,
	};
	uint64_t queue, inbox;
	struct mbuf_message_info info = {};
	struct nl_object o;
	uint32_t num = 7;
	struct mbuf_cap cap;

	ASSERT_EQ(0, cap_queue(s, 1, 2, &self->base.rfd, &self->base.sfd));
	queue = get_info(self->base.rfd).id;
	ASSERT_EQ(0, mbuf_message_create(s, &c));
	ASSERT_EQ(0, mbuf_message_info(s, c.handle, &info));
	inbox = info.inbox;
	ASSERT_EQ(0, nl_get(&self->nl, c.id, &o));
	EXPECT_EQ(MBUF_OBJECT_TYPE_MESSAGE, o.type);
	EXPECT_EQ(MBUF_MESSAGE_EMPTY, nl_num(&o.more, MBUF_A_MESSAGE_STATE));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_MESSAGE_ERROR));
	EXPECT_EQ(16, nl_num(&o.more, MBUF_A_MESSAGE_MAX_MSG));
	EXPECT_EQ(2, nl_num(&o.more, MBUF_A_MESSAGE_MAX_CAPS));
	EXPECT_EQ(NULL, o.more.a[MBUF_A_MESSAGE_LEN]);
	EXPECT_EQ(NULL, o.more.a[MBUF_A_MESSAGE_DEST_ID]);
	EXPECT_EQ(inbox, nl_num(&o.more, MBUF_A_MESSAGE_INBOX_ID));
	EXPECT_EQ(handle_id(s, 0), nl_num(&o.more, MBUF_A_MESSAGE_PARENT_ID));
	/* The inbox is a queue that it owns. */
	ASSERT_EQ(0, nl_get(&self->nl, inbox, &o));
	EXPECT_EQ(MBUF_OBJECT_TYPE_QUEUE, o.type);
	EXPECT_EQ(c.id, nl_num(&o.more, MBUF_A_QUEUE_PARENT_ID));

	cap = mbuf_cap_fd(self->base.sfd);
	ASSERT_EQ(0, mbuf_message_load(s, c.handle, &num, sizeof(num), &cap,
				       1));
	ASSERT_EQ(0, nl_get(&self->nl, c.id, &o));
	EXPECT_EQ(MBUF_MESSAGE_LOADED, nl_num(&o.more, MBUF_A_MESSAGE_STATE));
	EXPECT_EQ(4, nl_num(&o.more, MBUF_A_MESSAGE_LEN));
	EXPECT_EQ(1, nl_num(&o.more, MBUF_A_MESSAGE_CAPS));

	ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	ASSERT_EQ(1, mbuf_message_enqueue(s, c.handle, self->base.sfd));
	ASSERT_EQ(0, nl_get(&self->nl, c.id, &o));
	EXPECT_EQ(MBUF_MESSAGE_PARKED, nl_num(&o.more, MBUF_A_MESSAGE_STATE));
	EXPECT_EQ(queue, nl_num(&o.more, MBUF_A_MESSAGE_DEST_ID));
	EXPECT_EQ(4, nl_num(&o.more, MBUF_A_MESSAGE_LEN));
	ASSERT_EQ(0, mbuf_message_cancel(s, c.handle));
	ASSERT_EQ(0, nl_get(&self->nl, c.id, &o));
	EXPECT_EQ(MBUF_MESSAGE_LOADED, nl_num(&o.more, MBUF_A_MESSAGE_STATE));
	EXPECT_EQ(NULL, o.more.a[MBUF_A_MESSAGE_DEST_ID]);

	/* It enters, and nobody has worked on it since. */
	ASSERT_EQ(1, mbuf_message_enqueue(s, c.handle, self->base.sfd));
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	ASSERT_EQ(0, nl_get(&self->nl, c.id, &o));
	EXPECT_EQ(MBUF_MESSAGE_EMPTY, nl_num(&o.more, MBUF_A_MESSAGE_STATE));
	EXPECT_EQ(NULL, o.more.a[MBUF_A_MESSAGE_DEST_ID]);
	ASSERT_EQ(0, mbuf_message_info(s, c.handle, &info));
	ASSERT_EQ(0, nl_get(&self->nl, c.id, &o));
	EXPECT_EQ(1, nl_num(&o.more, MBUF_A_MESSAGE_DELIVERED));

	/* The queue dies while it stands in line. */
	ASSERT_EQ(0, mbuf_message_load(s, c.handle, &num, sizeof(num), NULL,
				       0));
	ASSERT_EQ(1, mbuf_message_enqueue(s, c.handle, self->base.sfd));
	close_fd(&self->base.rfd);
	ASSERT_EQ(0, nl_get(&self->nl, c.id, &o));
	EXPECT_EQ(MBUF_MESSAGE_LOADED, nl_num(&o.more, MBUF_A_MESSAGE_STATE));
	EXPECT_EQ(EPIPE, nl_num(&o.more, MBUF_A_MESSAGE_ERROR));

	ASSERT_EQ(0, mbuf_handle_delete(s, c.handle));
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, c.id, NULL));
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, inbox, NULL));
}

/* To look at it keeps nobody from working on it. */
struct worker {
	int session;
	uint64_t handle;
	_Atomic bool stop;
	_Atomic int ret;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	uint32_t num = 1;
	int ret = 0;

	while (!w->stop && !ret)
		ret = mbuf_message_load(w->session, w->handle, &num,
					sizeof(num), NULL, 0);
	w->ret = ret;
	return NULL;
}

TEST_F(kinds, looking_at_message_objects_disturbs_nobody)
{
	struct mbuf_message_create c = {
		.max_msg = 16, .sent.fd = -1, .arrived.fd = -1,
	};
	struct worker w = { .session = self->base.session };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, mbuf_message_create(w.session, &c));
	w.handle = c.handle;
	ASSERT_EQ(0, pthread_create(&thread, NULL, work, &w));
	for (i = 0; i < 200; i++)
		EXPECT_EQ(0, nl_get(&self->nl, c.id, NULL));
	w.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, w.ret);
	ASSERT_EQ(0, mbuf_handle_delete(w.session, c.handle));
}

TEST_F(kinds, keys)
{
	const int s = self->base.session;
	uint64_t key = 0, copy = 0, id;
	struct mbuf_seal seal = { .len = 4 };
	struct nl_object o;
	uint32_t num = 7;

	ASSERT_EQ(0, mbuf_key_create(s, 0, &key));
	id = handle_id(s, key);
	ASSERT_EQ(0, nl_get(&self->nl, id, &o));
	EXPECT_EQ(MBUF_OBJECT_TYPE_KEY, o.type);
	EXPECT_EQ(getuid(), o.uid);
	EXPECT_EQ(1, nl_num(&o.more, MBUF_A_KEY_RIGHTS));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_KEY_SEALED));
	ASSERT_EQ(0, mbuf_handle_copy(s, key, 0, 0, &copy));
	seal.target = key;
	seal.buf = (uintptr_t)&num;
	ASSERT_EQ(0, mbuf_seal(s, &seal));
	ASSERT_EQ(0, nl_get(&self->nl, id, &o));
	EXPECT_EQ(2, nl_num(&o.more, MBUF_A_KEY_RIGHTS));
	EXPECT_EQ(1, nl_num(&o.more, MBUF_A_KEY_SEALED));
	/* It lives as long as anything refers to it. */
	ASSERT_EQ(0, mbuf_handle_delete(s, key));
	ASSERT_EQ(0, mbuf_handle_delete(s, copy));
	ASSERT_EQ(0, nl_get(&self->nl, id, &o));
	EXPECT_EQ(0, nl_num(&o.more, MBUF_A_KEY_RIGHTS));
	EXPECT_EQ(1, nl_num(&o.more, MBUF_A_KEY_SEALED));
	ASSERT_EQ(0, mbuf_handle_delete(s, seal.handle));
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, id, NULL));
}

TEST_F(kinds, consents)
{
	struct mbuf_offer o = offer_of(2, RIGHTS_RW, MBUF_OFFER_PROVIDED);
	struct mbuf_consent_info info;
	struct mbuf_consent c = {};
	struct nl_object seen;
	char line[64];
	int end[2], fd, late;

	ASSERT_EQ(0, ch_create(self->base.session, 0, end));
	ASSERT_EQ(0, rg_offer(end[0], &o));
	fd = pv_consent(end[1], o.id);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pv_info(fd, &info));
	ASSERT_EQ(0, nl_get(&self->nl, info.id, &seen));
	EXPECT_EQ(MBUF_OBJECT_TYPE_CONSENT, seen.type);
	EXPECT_EQ(getpid(), seen.pid);
	EXPECT_EQ(info.end, nl_num(&seen.more, MBUF_A_CONSENT_END_ID));
	EXPECT_EQ(info.peer, nl_num(&seen.more, MBUF_A_CONSENT_PEER_ID));
	EXPECT_EQ(o.id, nl_num(&seen.more, MBUF_A_CONSENT_OFFER_ID));
	EXPECT_EQ(MBUF_PARTY_TAKER,
		  nl_num(&seen.more, MBUF_A_CONSENT_PARTY));
	EXPECT_EQ(RIGHTS_RW, nl_num(&seen.more, MBUF_A_CONSENT_RIGHTS));
	EXPECT_EQ(info.min, nl_num(&seen.more, MBUF_A_CONSENT_MIN_SIZE));
	EXPECT_EQ(info.max, nl_num(&seen.more, MBUF_A_CONSENT_MAX_SIZE));
	EXPECT_EQ(NULL, seen.more.a[MBUF_A_CONSENT_LEFT]);
	EXPECT_EQ(0, nl_num(&seen.more, MBUF_A_CONSENT_ERROR));
	snprintf(line, sizeof(line), "mbuf-peer:\t%016llx\n",
		 (unsigned long long)info.peer);
	EXPECT_TRUE(fdinfo_has(fd, line));
	EXPECT_TRUE(fdinfo_has(fd, "mbuf-party:\ttaker\n"));
	EXPECT_TRUE(fdinfo_has(fd, "mbuf-error:\t0\n"));

	/* Another takes its place, and expires. */
	c.offer = o.id;
	c.expires = in_ms(60000);
	late = pv_consent_some(end[1], &c);
	ASSERT_LE(0, late);
	ASSERT_EQ(0, nl_get(&self->nl, info.id, &seen));
	EXPECT_EQ(ESTALE, nl_num(&seen.more, MBUF_A_CONSENT_ERROR));
	EXPECT_TRUE(fdinfo_has(fd, "mbuf-error:\t116\n"));
	ASSERT_EQ(0, nl_get(&self->nl, c.id, &seen));
	EXPECT_EQ(0, nl_num(&seen.more, MBUF_A_CONSENT_ERROR));
	EXPECT_GT(60000000000ull, nl_num(&seen.more, MBUF_A_CONSENT_LEFT));

	/* It can be looked at when the channel has gone. */
	close(end[0]);
	close(end[1]);
	ASSERT_EQ(0, nl_get(&self->nl, c.id, &seen));
	EXPECT_EQ(EPIPE, nl_num(&seen.more, MBUF_A_CONSENT_ERROR));
	close(fd);
	close(late);
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, info.id, NULL));
	EXPECT_EQ(-ENOENT, nl_get(&self->nl, c.id, NULL));
}

struct see_paged {
	uint64_t id;
	unsigned int regions;
	struct nl_attrs paged, region;
};

static void see_paged(const struct nlmsghdr *h, const struct nl_attrs *attrs,
		      void *arg)
{
	struct see_paged *s = arg;

	(void)h;
	if (nl_num(attrs, MBUF_A_OBJECT_TYPE) == MBUF_OBJECT_TYPE_PAGED) {
		s->paged = nl_nest(attrs, MBUF_A_OBJECT_PAGED);
	} else {
		s->region = nl_nest(attrs, MBUF_A_OBJECT_REGION);
		s->regions++;
	}
}

/* The region, and each right to it: they share an identity. */
static struct see_paged get_paged(struct nl *nl, uint64_t id)
{
	struct see_paged s = { .id = id };

	nl_begin(nl, MBUF_CMD_OBJECT_GET, NLM_F_DUMP);
	nl_put_u64(nl, MBUF_A_OBJECT_ID, id);
	nl_ask(nl, see_paged, &s);
	return s;
}

TEST_F(kinds, a_paged_region)
{
	const size_t size = 4 * page_size();
	int pager, region, granted;
	struct mbuf_fault f = {};
	struct see_paged s;
	struct toucher t;
	uint64_t id;
	uint8_t *p;

	touch_init();
	ASSERT_EQ(0, pg_create(self->base.session, size, &pager, &region,
			       &id));
	granted = rg_grant(self->base.session, region, RIGHTS_R);
	ASSERT_LE(0, granted);
	ASSERT_EQ(2, pg_zero(pager, 0, 2 * page_size()));
	s = get_paged(&self->nl, id);
	EXPECT_EQ(2, s.regions);
	EXPECT_EQ(size, nl_num(&s.paged, MBUF_A_PAGED_SIZE));
	EXPECT_EQ(2, nl_num(&s.paged, MBUF_A_PAGED_RESIDENT));
	EXPECT_EQ(2, nl_num(&s.paged, MBUF_A_PAGED_SUPPLIED));
	EXPECT_EQ(0, nl_num(&s.paged, MBUF_A_PAGED_WAITING));
	EXPECT_EQ(2, nl_num(&s.paged, MBUF_A_PAGED_CLIENTS));
	EXPECT_EQ(NULL, s.paged.a[MBUF_A_PAGED_ORPHAN]);
	EXPECT_EQ(size, nl_num(&s.region, MBUF_A_REGION_SIZE));
	EXPECT_EQ(MBUF_REGION_PAGED, nl_num(&s.region, MBUF_A_REGION_OPTIONS));
	EXPECT_TRUE(fdinfo_has(region, "mbuf-orphan:\t0\n"));

	p = mmap(NULL, size, PROT_READ, MAP_SHARED, granted, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(toucher_start(&t, p + 2 * page_size(), -1));
	ASSERT_EQ(1, pg_fault(pager, &f));
	s = get_paged(&self->nl, id);
	EXPECT_EQ(1, nl_num(&s.paged, MBUF_A_PAGED_WAITING));
	EXPECT_EQ(1, nl_num(&s.paged, MBUF_A_PAGED_FAULTS));
	ASSERT_EQ(0, pg_refuse(pager, &f));
	EXPECT_EQ(-SIGBUS, toucher_join(&t));
	ASSERT_EQ(1, pg_evict(pager, 0, NULL, page_size()));
	s = get_paged(&self->nl, id);
	EXPECT_EQ(0, nl_num(&s.paged, MBUF_A_PAGED_WAITING));
	EXPECT_EQ(1, nl_num(&s.paged, MBUF_A_PAGED_REFUSED));
	EXPECT_EQ(1, nl_num(&s.paged, MBUF_A_PAGED_EVICTED));
	EXPECT_EQ(1, nl_num(&s.paged, MBUF_A_PAGED_RESIDENT));

	close(pager);
	s = get_paged(&self->nl, id);
	EXPECT_NE(NULL, s.paged.a[MBUF_A_PAGED_ORPHAN]);
	EXPECT_TRUE(fdinfo_has(region, "mbuf-orphan:\t1\n"));
	close(region);
	close(granted);
	/* A mapping is a right as well. */
	EXPECT_EQ(1, get_paged(&self->nl, id).regions);
	munmap(p, size);
	EXPECT_EQ(0, nl_dump_has(&self->nl, id));
}

static uint64_t slow_faults(struct nl *nl, uint64_t id)
{
	struct see_paged s = get_paged(nl, id);

	return nl_num(&s.paged, MBUF_A_PAGED_SLOW);
}

/* Counted for who looks, though nobody has listened when it began. */
TEST_F(kinds, a_pager_that_is_slow)
{
	const size_t page = page_size();
	struct mbuf_fault f = {};
	struct toucher t[2];
	int pager, region;
	uint64_t id;
	uint8_t *p;

	touch_init();
	ASSERT_EQ(0, pg_create(self->base.session, 2 * page, &pager, &region,
			       &id));
	p = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_TRUE(toucher_start(&t[0], p, -1));
	ASSERT_EQ(1, pg_fault(pager, &f));
	EXPECT_TRUE(EVENTUALLY(slow_faults(&self->nl, id) == 1));
	/* It is one when it has been answered as well. */
	ASSERT_EQ(1, pg_zero(pager, 0, page));
	EXPECT_EQ(0, toucher_join(&t[0]));
	EXPECT_EQ(1, slow_faults(&self->nl, id));
	/* And if it is given up. */
	ASSERT_TRUE(toucher_start(&t[1], p + page, -1));
	ASSERT_EQ(1, pg_fault(pager, &f));
	EXPECT_TRUE(EVENTUALLY(slow_faults(&self->nl, id) == 2));
	close(pager);
	EXPECT_EQ(-SIGBUS, toucher_join(&t[1]));
	EXPECT_EQ(2, slow_faults(&self->nl, id));
	munmap(p, 2 * page);
	close(region);
}

TEST_HARNESS_MAIN
