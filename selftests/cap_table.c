// SPDX-License-Identifier: GPL-2.0
/* Tables and handles: rights, paths, derivation, revocation, limits, races. */
#include "cap.h"

#define INDEX_MAX	((uint64_t)MBUF_INDEX_MAX)
#define FILE_RIGHTS	(MBUF_RIGHT_COPY | MBUF_RIGHT_PASS | \
			 MBUF_RIGHT_OPEN | MBUF_RIGHT_SEND)
#define TABLE_RIGHTS	(MBUF_RIGHT_COPY | MBUF_RIGHT_PASS | \
			 MBUF_RIGHT_LOOKUP | MBUF_RIGHT_MODIFY)

/* These give the index, or an error; 0: any index, or all rights. */
static int64_t put_at(int s, int fd, uint64_t table, uint32_t rights,
		      uint64_t at)
{
	int ret = mbuf_handle_put(s, fd, table, rights, &at);

	return ret ? ret : (int64_t)at;
}

static int64_t put(int s, int fd)
{
	return put_at(s, fd, 0, 0, 0);
}

static int64_t copy_at(int s, uint64_t from, uint64_t table, uint32_t rights,
		       uint64_t at)
{
	int ret = mbuf_handle_copy(s, from, table, rights, &at);

	return ret ? ret : (int64_t)at;
}

static int64_t copy(int s, uint64_t from)
{
	return copy_at(s, from, 0, 0, 0);
}

static int64_t move_at(int s, uint64_t from, uint64_t table, uint32_t rights,
		       uint64_t at)
{
	int ret = mbuf_handle_move(s, from, table, rights, &at);

	return ret ? ret : (int64_t)at;
}

static int64_t table_at(int s, uint64_t table, uint64_t at)
{
	int ret = mbuf_table_create(s, table, &at);

	return ret ? ret : (int64_t)at;
}

/* MBUF_CAP_*, or an error. */
static int type_of(int s, uint64_t h)
{
	struct mbuf_handle_info info;
	int ret = mbuf_handle_info(s, h, &info);

	return ret ? ret : (int)info.type;
}

static int64_t rights_of(int s, uint64_t h)
{
	struct mbuf_handle_info info;
	int ret = mbuf_handle_info(s, h, &info);

	return ret ? ret : (int64_t)info.rights;
}

static int64_t size_of(int s, uint64_t h)
{
	struct mbuf_handle_info info;
	int ret = mbuf_handle_info(s, h, &info);

	return ret ? ret : (int64_t)info.size;
}

static uint64_t handles_used(int s)
{
	struct mbuf_query q = {};

	mbuf_query(s, &q);
	return q.handles.used;
}

/* A descriptor of a handle, which is closed again: 0 or an error. */
static int try_open(int s, uint64_t h)
{
	int fd = mbuf_handle_open(s, h);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

TEST_F(queue, a_handle)
{
	int s = mbuf_open(), fd = eventfd(3, EFD_NONBLOCK), got;
	struct mbuf_handle_info info;
	uint64_t value;
	int64_t h;

	h = put(s, fd);
	ASSERT_EQ(1, h);
	ASSERT_EQ(0, mbuf_handle_info(s, 1, &info));
	EXPECT_EQ(MBUF_CAP_FILE, info.type);
	EXPECT_EQ(FILE_RIGHTS, info.rights);
	EXPECT_EQ(0, info.id);
	EXPECT_EQ(0, info.size);
	got = mbuf_handle_open(s, 1);
	ASSERT_LE(0, got);
	EXPECT_TRUE(same_file(fd, got));
	EXPECT_EQ(FD_CLOEXEC, fcntl(got, F_GETFD));
	close(got);
	/* It keeps the file. */
	close(fd);
	got = mbuf_handle_open(s, 1);
	EXPECT_EQ(8, read(got, &value, 8));
	EXPECT_EQ(3, value);
	close(got);

	EXPECT_EQ(2, copy(s, 1));
	EXPECT_EQ(7, move_at(s, 1, 0, 0, 7));
	EXPECT_EQ(-ENOENT, type_of(s, 1));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, 7));
	/* The lowest index that is free. */
	EXPECT_EQ(1, copy(s, 7));
	EXPECT_EQ(0, mbuf_handle_delete(s, 1));
	EXPECT_EQ(-ENOENT, mbuf_handle_delete(s, 1));
	EXPECT_EQ(0, mbuf_handle_delete(s, 7));
	/* What was derived from it goes on. */
	EXPECT_EQ(0, try_open(s, 2));
	EXPECT_EQ(1, size_of(s, 0));
	EXPECT_EQ(MBUF_CAP_TABLE, type_of(s, 0));
	close(s);
}

TEST_F(queue, what_handles_can_be_made_of)
{
	struct mbuf_handle_info info;
	int s = mbuf_open(), sv[2], fd;
	uint64_t h;

	make_queue(1, 8, 0);
	EXPECT_EQ(-EBADF, put(s, -1));
	EXPECT_EQ(-EBADF, put(s, 9999));
	fd = open("/", O_PATH | O_CLOEXEC);
	EXPECT_EQ(-EBADF, put(s, fd));
	close(fd);
	EXPECT_EQ(-EOPNOTSUPP, put(s, s));
	EXPECT_EQ(-EOPNOTSUPP, put(s, self->session));
	EXPECT_EQ(-EOPNOTSUPP, put(s, self->rfd));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
	EXPECT_EQ(-EOPNOTSUPP, put(s, sv[0]));
	close(sv[0]);
	close(sv[1]);
	ASSERT_EQ(0, mbuf_channel_create(self->session, MBUF_END_DETACHED |
					 MBUF_END_THREAD, sv));
	EXPECT_EQ(-EPERM, put(s, sv[0]));
	close(sv[0]);
	close(sv[1]);
	h = 0;
	EXPECT_EQ(-EINVAL, mbuf_handle_put(s, self->sfd, 0, MBUF_RIGHT_RECV,
					   &h));
	EXPECT_EQ(-EINVAL, mbuf_handle_put(s, self->sfd, 0, MBUF_RIGHT_LOOKUP,
					   &h));
	EXPECT_EQ(-EINVAL, mbuf_handle_put(s, self->sfd, 0, 1u << 31, &h));
	EXPECT_EQ(0, size_of(s, 0));

	ASSERT_EQ(1, put(s, self->sfd));
	ASSERT_EQ(0, mbuf_handle_info(s, 1, &info));
	EXPECT_EQ(get_info(self->sfd).id, info.id);
	/* A send right that is a handle is one. */
	close_fd(&self->sfd);
	EXPECT_EQ(1, get_info(self->rfd).senders);
	EXPECT_EQ(0, mbuf_handle_delete(s, 1));
	EXPECT_TRUE(EVENTUALLY(!get_info(self->rfd).senders));
	close(s);
}

TEST_F(queue, chosen_indices)
{
	const uint64_t beyond[] = { INDEX_MAX + 1, 1ull << 32,
				    (1ull << 32) + 5, 1ull << 62, 1ull << 63,
				    UINT64_MAX - 1, UINT64_MAX };
	int s = mbuf_open();
	unsigned int i;
	uint64_t h;

	make_queue(1, 8, 0);
	EXPECT_EQ(5, put_at(s, self->sfd, 0, 0, 5));
	EXPECT_EQ(-EEXIST, put_at(s, self->sfd, 0, 0, 5));
	EXPECT_EQ(-EEXIST, copy_at(s, 5, 0, 0, 5));
	EXPECT_EQ(-EEXIST, move_at(s, 5, 0, 0, 5));
	EXPECT_EQ(-EEXIST, table_at(s, 0, 5));
	EXPECT_EQ(0, try_open(s, 5));
	EXPECT_EQ(1, size_of(s, 0));
	EXPECT_EQ((int64_t)INDEX_MAX, copy_at(s, 5, 0, 0, INDEX_MAX));
	EXPECT_EQ(1, copy(s, 5));

	for (i = 0; i < ARRAY_SIZE(beyond); i++) {
		h = beyond[i];
		EXPECT_EQ(-EINVAL, put_at(s, self->sfd, 0, 0, h));
		EXPECT_EQ(-EINVAL, copy_at(s, 5, 0, 0, h));
		EXPECT_EQ(-EINVAL, move_at(s, 5, 0, 0, h));
		EXPECT_EQ(-EINVAL, table_at(s, 0, h));
		/* As a path that is at an odd place. */
		EXPECT_EQ(h >> 63 ? -EFAULT : -ENOENT, type_of(s, h)) {
			TH_LOG("%#llx", (unsigned long long)h);
		}
		EXPECT_EQ(h >> 63 ? -EFAULT : -ENOENT, try_open(s, h));
		EXPECT_EQ(h >> 63 ? -EFAULT : -ENOENT, copy(s, h));
		EXPECT_EQ(h >> 63 ? -EFAULT : -ENOENT,
			  move_at(s, h, 0, 0, 0));
		EXPECT_EQ(h >> 63 ? -EFAULT : -ENOENT,
			  mbuf_handle_delete(s, h));
		EXPECT_EQ(h >> 63 ? -EFAULT : -ENOENT,
			  mbuf_handle_revoke(s, h));
		EXPECT_EQ(h >> 63 ? -EFAULT : -ENOENT, table_at(s, h, 0));
	}
	/* The root table is no handle. */
	EXPECT_EQ(-ENOENT, try_open(s, 0));
	EXPECT_EQ(-ENOENT, copy(s, 0));
	EXPECT_EQ(-ENOENT, move_at(s, 0, 0, 0, 0));
	EXPECT_EQ(-ENOENT, mbuf_handle_delete(s, 0));
	EXPECT_EQ(-ENOENT, mbuf_handle_revoke(s, 0));
	EXPECT_EQ(3, size_of(s, 0));
	close(s);
}

/* Every right that a handle can lack, by COPY and by MOVE. */
TEST_F(queue, missing_rights)
{
	const uint32_t rights[] = { MBUF_RIGHT_COPY, MBUF_RIGHT_PASS,
				    MBUF_RIGHT_OPEN, MBUF_RIGHT_SEND };
	int s = mbuf_open(), rfd, sfd;
	struct mbuf_cap caps[64], cap;
	unsigned int i, how;
	struct mbuf_msg msg;
	int64_t h, all;
	uint32_t flags;

	ASSERT_EQ(0, cap_queue(s, 4, 4, &rfd, &sfd));
	make_queue(4, 8, 0);
	all = put(s, self->sfd);
	for (i = 0; i < ARRAY_SIZE(rights); i++) {
		uint32_t no = rights[i];

		for (how = 0; how < 3; how++) {
			if (how == 0)
				h = copy_at(s, all, 0, FILE_RIGHTS & ~no, 0);
			else if (how == 1)
				h = put_at(s, self->sfd, 0, FILE_RIGHTS & ~no,
					   0);
			else
				h = move_at(s, copy(s, all), 0,
					    FILE_RIGHTS & ~no, 0);
			ASSERT_LT(0, h);
			EXPECT_EQ(FILE_RIGHTS & ~no, rights_of(s, h));
			EXPECT_EQ(no == MBUF_RIGHT_OPEN ? -EACCES : 0,
				  try_open(s, h));
			EXPECT_EQ(no == MBUF_RIGHT_COPY ? -EACCES : 30,
				  copy_at(s, h, 0, 0, 30));
			mbuf_handle_delete(s, 30);
			/* It has it no more, and cannot get it back. */
			EXPECT_EQ(no == MBUF_RIGHT_COPY ? -EACCES : -EINVAL,
				  copy_at(s, h, 0, FILE_RIGHTS, 0));
			EXPECT_EQ(-EINVAL, move_at(s, h, 0, no, 0));
			EXPECT_EQ(-EINVAL, move_at(s, h, 0, FILE_RIGHTS, 0));
			EXPECT_EQ(FILE_RIGHTS & ~no, rights_of(s, h));
			msg = msg_of("x", 1);
			EXPECT_EQ(no == MBUF_RIGHT_SEND ? -EACCES : 0,
				  mbuf_handle_send(s, h, &msg, NULL, 0,
						   MBUF_NOW));
			if (no != MBUF_RIGHT_SEND)
				EXPECT_EQ(1, mbuf_recv(self->rfd, &msg, 8,
						       MBUF_NOW));
			/* Passing a copy needs both, moving it does not. */
			cap = mbuf_cap_handle(h);
			EXPECT_EQ(no == MBUF_RIGHT_COPY ||
				  no == MBUF_RIGHT_PASS ? -EACCES : 0,
				  send_caps(sfd, s, "copy", &cap, 1));
			cap = mbuf_cap_move(h);
			cap.rights = FILE_RIGHTS;
			EXPECT_EQ(no == MBUF_RIGHT_PASS ? -EACCES : -EINVAL,
				  send_caps(sfd, s, "x", &cap, 1));
			EXPECT_EQ(FILE_RIGHTS & ~no, rights_of(s, h));
			cap.rights = 0;
			EXPECT_EQ(no == MBUF_RIGHT_PASS ? -EACCES : 0,
				  send_caps(sfd, s, "move", &cap, 1));
			if (no != MBUF_RIGHT_PASS) {
				EXPECT_EQ(-ENOENT, type_of(s, h));
				flags = MBUF_RECV_HANDLES;
				if (no != MBUF_RIGHT_COPY)
					EXPECT_EQ(1, recv_caps(rfd, s, "copy",
							       caps, flags));
				mbuf_handle_delete(s, caps[0].ref.handle);
				/* Without OPEN it cannot be a descriptor. */
				if (no == MBUF_RIGHT_OPEN)
					flags = 0;
				EXPECT_EQ(1, recv_caps(rfd, s, "move", caps,
						       flags));
				EXPECT_EQ(MBUF_REF_HANDLE, caps[0].ref.flags);
				EXPECT_EQ(-1, caps[0].ref.fd);
				EXPECT_EQ(FILE_RIGHTS & ~no, caps[0].rights);
				h = (int64_t)caps[0].ref.handle;
				EXPECT_EQ(FILE_RIGHTS & ~no, rights_of(s, h));
			}
			EXPECT_EQ(0, mbuf_handle_delete(s, h));
		}
	}
	EXPECT_EQ(0, mbuf_handle_delete(s, all));
	EXPECT_EQ(0, size_of(s, 0));
	close(rfd);
	close(sfd);
	close(s);
}

/* A right that no handle can have, or no right at all. */
TEST_F(queue, rights_that_there_are_not)
{
	int s = mbuf_open(), bit;
	int64_t h;

	make_queue(1, 8, 0);
	h = put(s, self->sfd);
	for (bit = 0; bit < 32; bit++) {
		if (FILE_RIGHTS & (1u << bit))
			continue;
		EXPECT_EQ(-EINVAL, copy_at(s, h, 0, 1u << bit, 0));
		EXPECT_EQ(-EINVAL, move_at(s, h, 0, 1u << bit, 0));
		EXPECT_EQ(-EINVAL, put_at(s, self->sfd, 0, 1u << bit, 0));
	}
	EXPECT_EQ(1, size_of(s, 0));
	close(s);
}

TEST_F(queue, tables_without_rights)
{
	uint64_t start, look, modify, none, t;
	struct mbuf_handle_entry e[4];
	int s = mbuf_open();

	make_queue(1, 8, 0);
	t = (uint64_t)table_at(s, 0, 1);
	ASSERT_EQ(1, put_at(s, self->sfd, t, 0, 1));
	EXPECT_EQ(TABLE_RIGHTS, rights_of(s, t));
	look = (uint64_t)copy_at(s, t, 0, MBUF_RIGHT_LOOKUP, 2);
	modify = (uint64_t)copy_at(s, t, 0, MBUF_RIGHT_MODIFY, 3);
	none = (uint64_t)copy_at(s, t, 0, MBUF_RIGHT_COPY, 4);
	ASSERT_EQ(2, look);
	ASSERT_EQ(3, modify);
	ASSERT_EQ(4, none);
	EXPECT_EQ(MBUF_CAP_TABLE_REF, type_of(s, look));

	/* Only looking. */
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, PATH(look, 1)));
	EXPECT_EQ(0, try_open(s, PATH(look, 1)));
	EXPECT_EQ(10, copy_at(s, PATH(look, 1), 0, 0, 10));
	EXPECT_EQ(-EACCES, put_at(s, self->sfd, look, 0, 0));
	EXPECT_EQ(-EACCES, table_at(s, look, 0));
	EXPECT_EQ(-EACCES, copy_at(s, 10, look, 0, 0));
	EXPECT_EQ(-EACCES, move_at(s, 10, look, 0, 0));
	EXPECT_EQ(-EACCES, move_at(s, PATH(look, 1), 0, 0, 0));
	EXPECT_EQ(-EACCES, mbuf_handle_delete(s, PATH(look, 1)));
	/* Ending what others have derived is a change, too. */
	EXPECT_EQ(-EACCES, mbuf_handle_revoke(s, PATH(look, 1)));
	EXPECT_EQ(0, try_open(s, 10));
	start = 0;
	EXPECT_EQ(1, mbuf_table_list(s, look, &start, e, 4));

	/* Not even that. */
	EXPECT_EQ(-EACCES, type_of(s, PATH(modify, 1)));
	EXPECT_EQ(-EACCES, try_open(s, PATH(modify, 1)));
	EXPECT_EQ(-EACCES, copy(s, PATH(modify, 1)));
	EXPECT_EQ(-EACCES, put_at(s, self->sfd, modify, 0, 0));
	EXPECT_EQ(-EACCES, mbuf_handle_delete(s, PATH(modify, 1)));
	EXPECT_EQ(-EACCES, mbuf_table_list(s, modify, &start, e, 4));
	EXPECT_EQ(-EACCES, mbuf_table_list(s, none, &start, e, 4));
	EXPECT_EQ(-EACCES, type_of(s, PATH(none, 1)));

	/* A reference that is derived has no more. */
	EXPECT_EQ(-EACCES, copy_at(s, look, 0, MBUF_RIGHT_LOOKUP, 0));
	EXPECT_EQ(-EINVAL, copy_at(s, none, 0, MBUF_RIGHT_LOOKUP, 0));
	EXPECT_EQ(-EINVAL, move_at(s, look, 0, TABLE_RIGHTS, 0));
	EXPECT_EQ(MBUF_RIGHT_LOOKUP, rights_of(s, look));

	/* The owner itself, once it has given that up. */
	EXPECT_EQ(20, move_at(s, t, 0, MBUF_RIGHT_LOOKUP, 20));
	EXPECT_EQ(MBUF_CAP_TABLE, type_of(s, 20));
	EXPECT_EQ(-EACCES, put_at(s, self->sfd, 20, 0, 0));
	EXPECT_EQ(-EACCES, copy(s, 20));
	EXPECT_EQ(-EOPNOTSUPP, try_open(s, 20));
	EXPECT_EQ(0, mbuf_handle_delete(s, 20));
	EXPECT_EQ(-ENOENT, type_of(s, PATH(look, 1)));
	close(s);
}

TEST_F(queue, paths)
{
	struct {
		struct mbuf_path p;
		uint64_t index[20];
	} path = {};
	int s = mbuf_open(), depth, i;
	struct guarded g;
	uint64_t h;

	make_queue(1, 8, 0);
	ASSERT_EQ(16, self->q.path_max);
	for (i = 0; i < 20; i++)
		path.index[i] = 1;
	h = MBUF_HANDLE_PATH | (uintptr_t)&path.p;

	/* A file at 2 of each table, and the next table at 1. */
	for (depth = 1; depth <= 16; depth++) {
		path.p.nr = (uint32_t)depth - 1;
		ASSERT_EQ(2, put_at(s, self->sfd, depth == 1 ? 0 : h, 0, 2));
		if (depth < 16)
			ASSERT_EQ(1, table_at(s, depth == 1 ? 0 : h, 1)) {
				TH_LOG("depth %d", depth);
			}
		path.p.nr = (uint32_t)depth;
		path.index[depth - 1] = 2;
		EXPECT_EQ(MBUF_CAP_FILE, type_of(s, h));
		EXPECT_EQ(0, try_open(s, h));
		/* Nothing is behind a file. */
		if (depth < 16) {
			path.p.nr++;
			EXPECT_EQ(-ENOTDIR, type_of(s, h));
			EXPECT_EQ(-ENOTDIR, mbuf_handle_delete(s, h));
			path.p.nr--;
			EXPECT_EQ(-ENOTDIR, put_at(s, self->sfd, h, 0, 0));
		}
		path.index[depth - 1] = 3;
		EXPECT_EQ(-ENOENT, type_of(s, h));
		path.index[depth - 1] = 0;
		EXPECT_EQ(-ENOENT, type_of(s, h));
		path.index[depth - 1] = INDEX_MAX + 1;
		EXPECT_EQ(-ENOENT, type_of(s, h));
		path.index[depth - 1] = (1ull << 32) + 2;
		EXPECT_EQ(-ENOENT, type_of(s, h));
		/* No paths in paths. */
		path.index[depth - 1] = h;
		EXPECT_EQ(-ENOENT, type_of(s, h));
		path.index[depth - 1] = 1;
	}

	path.p.nr = 0;
	EXPECT_EQ(-EINVAL, type_of(s, h));
	path.p.nr = 17;
	EXPECT_EQ(-EINVAL, type_of(s, h));
	path.p.nr = UINT32_MAX;
	EXPECT_EQ(-EINVAL, type_of(s, h));
	path.p.nr = 1;
	path.p.resv = 1;
	EXPECT_EQ(-EINVAL, type_of(s, h));
	path.p.resv = 1u << 31;
	EXPECT_EQ(-EINVAL, type_of(s, h));
	path.p.resv = 0;
	EXPECT_EQ(MBUF_CAP_TABLE, type_of(s, h));

	/* As much of it is memory as is needed. */
	ASSERT_TRUE(guarded_alloc(&g, 8 + 2 * 8));
	path.p.nr = 2;
	memcpy(g.p, &path, 24);
	EXPECT_EQ(MBUF_CAP_TABLE, type_of(s, MBUF_HANDLE_PATH |
					     (uintptr_t)g.p));
	path.p.nr = 3;
	memcpy(g.p, &path, 24);
	EXPECT_EQ(-EFAULT, type_of(s, MBUF_HANDLE_PATH | (uintptr_t)g.p));
	EXPECT_EQ(-EFAULT, type_of(s, MBUF_HANDLE_PATH |
				      (uintptr_t)(g.p + 20)));
	/* What is missing before is told first. */
	path.index[0] = 9;
	memcpy(g.p, &path, 24);
	EXPECT_EQ(-ENOENT, type_of(s, MBUF_HANDLE_PATH | (uintptr_t)g.p));
	guarded_free(&g);
	EXPECT_EQ(-EFAULT, type_of(s, MBUF_HANDLE_PATH));
	EXPECT_EQ(-EFAULT, type_of(s, MBUF_HANDLE_PATH | 8));
	EXPECT_EQ(-EFAULT, type_of(s, MBUF_HANDLE_PATH | 0x7ffffffffff8));
	EXPECT_EQ(-EFAULT, type_of(s, ~0ull));
	close(s);
}

/* Paths wherever there are handles: of messages, and to be sent. */
TEST_F(queue, paths_everywhere)
{
	int s = mbuf_open(), rfd, sfd;
	struct mbuf_cap caps[64], cap;
	struct mbuf_queue_info info;
	struct mbuf_msg msg;
	char buf[8];

	ASSERT_EQ(0, cap_queue(s, 2, 2, &rfd, &sfd));
	ASSERT_EQ(1, table_at(s, 0, 1));
	ASSERT_EQ(1, table_at(s, 1, 1));
	ASSERT_EQ(7, put_at(s, sfd, PATH(1, 1), 0, 7));
	EXPECT_EQ(8, copy_at(s, PATH(1, 1, 7), PATH(1, 1), 0, 8));
	EXPECT_EQ(9, move_at(s, PATH(1, 1, 8), PATH(1), 0, 9));
	msg = msg_of("hi", 2);
	EXPECT_EQ(0, mbuf_handle_send(s, PATH(1, 1, 7), &msg, NULL, 0,
				      MBUF_NOW));
	EXPECT_EQ(2, mbuf_recv(rfd, buf, 8, MBUF_NOW));
	EXPECT_EQ(0, mbuf_handle_queue_info(s, PATH(1, 9), &info));
	cap = mbuf_cap_move(PATH(1, 9));
	EXPECT_EQ(0, send_caps(sfd, s, "x", &cap, 1));
	EXPECT_EQ(-ENOENT, type_of(s, PATH(1, 9)));
	EXPECT_EQ(1, recv_caps(rfd, s, "x", caps, MBUF_RECV_HANDLES));
	EXPECT_EQ(2, size_of(s, 0));
	EXPECT_EQ(1, mbuf_handle_revoke(s, PATH(1, 1, 7)));
	EXPECT_EQ(MBUF_CAP_NONE, type_of(s, caps[0].ref.handle));
	close(rfd);
	close(sfd);
	close(s);
}

TEST_F(queue, listing)
{
	struct {
		struct mbuf_handle_entry e;
		uint64_t more;
	} wide[4];
	struct mbuf_table_list l = {};
	struct mbuf_handle_entry e[8];
	int s = mbuf_open(), i;
	uint64_t start = 0;

	make_queue(1, 8, 0);
	EXPECT_EQ(0, mbuf_table_list(s, 0, &start, e, 8));
	for (i = 1; i <= 5; i++)
		ASSERT_EQ(i * 10, put_at(s, self->sfd, 0, 0,
					 (uint64_t)i * 10));
	ASSERT_EQ(INDEX_MAX, table_at(s, 0, INDEX_MAX));
	ASSERT_EQ(1, copy(s, 20));
	EXPECT_EQ(1, mbuf_handle_revoke(s, 20));

	start = 0;
	ASSERT_EQ(3, mbuf_table_list(s, 0, &start, e, 3));
	EXPECT_EQ(1, e[0].handle);
	EXPECT_EQ(MBUF_CAP_NONE, e[0].type);
	EXPECT_EQ(0, e[0].rights);
	EXPECT_EQ(0, e[0].id);
	EXPECT_EQ(10, e[1].handle);
	EXPECT_EQ(MBUF_CAP_FILE, e[1].type);
	EXPECT_EQ(FILE_RIGHTS, e[1].rights);
	EXPECT_EQ(get_info(self->rfd).id, e[1].id);
	EXPECT_EQ(20, e[2].handle);
	EXPECT_EQ(21, start);
	ASSERT_EQ(4, mbuf_table_list(s, 0, &start, e, 8));
	EXPECT_EQ(30, e[0].handle);
	EXPECT_EQ(INDEX_MAX, e[3].handle);
	EXPECT_EQ(MBUF_CAP_TABLE, e[3].type);
	EXPECT_EQ(0, mbuf_table_list(s, 0, &start, e, 8));
	start = UINT64_MAX;
	EXPECT_EQ(0, mbuf_table_list(s, 0, &start, e, 8));
	start = 1ull << 32;
	EXPECT_EQ(0, mbuf_table_list(s, 0, &start, e, 8));
	start = 0;
	EXPECT_EQ(-ENOTDIR, mbuf_table_list(s, 10, &start, e, 8));
	EXPECT_EQ(-EKEYREVOKED, mbuf_table_list(s, 1, &start, e, 8));
	EXPECT_EQ(-ENOENT, mbuf_table_list(s, 2, &start, e, 8));
	EXPECT_EQ(-EINVAL, mbuf_table_list(s, 0, &start, e, 0));
	EXPECT_EQ(-EINVAL, mbuf_table_list(s, 0, &start, e,
					   self->q.batch_max + 1));
	EXPECT_EQ(-EFAULT, mbuf_table_list(s, 0, &start, (void *)8, 8));

	poison(wide, sizeof(wide));
	l.start = 50;
	l.entries = (uintptr_t)wide;
	l.nr = 4;
	l.stride = sizeof(wide[0]);
	ASSERT_EQ(2, xioctl(s, MBUF_IOC_TABLE_LIST, &l));
	EXPECT_EQ(INDEX_MAX, wide[1].e.handle);
	EXPECT_EQ(INDEX_MAX + 1, l.start);
	EXPECT_TRUE(is_poison(&wide[0].more, 8));
	EXPECT_TRUE(is_poison(&wide[2], sizeof(wide[2])));
	close(s);
}

/* What is in a table goes with its owner; a reference keeps nothing of it. */
TEST_F(queue, death_of_a_table)
{
	int s = mbuf_open(), p[2];
	uint64_t used, start = 0;
	struct mbuf_handle_entry e[4];
	struct mbuf_handle_info info;
	char c;

	used = handles_used(s);
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC | O_NONBLOCK));
	ASSERT_EQ(1, table_at(s, 0, 1));
	ASSERT_EQ(1, table_at(s, 1, 1));
	ASSERT_EQ(1, table_at(s, PATH(1, 1), 1));
	ASSERT_EQ(2, put_at(s, p[1], PATH(1, 1, 1), 0, 2));
	ASSERT_EQ(5, copy_at(s, PATH(1, 1), 0, 0, 5));
	ASSERT_EQ(6, copy_at(s, PATH(1, 1, 1), 0, 0, 6));
	close(p[1]);
	EXPECT_EQ(-EAGAIN, xread(p[0], &c, 1));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, PATH(5, 1, 2)));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, PATH(6, 2)));
	EXPECT_EQ(used + 6, handles_used(s));

	EXPECT_EQ(0, mbuf_handle_delete(s, 1));
	EXPECT_TRUE(EVENTUALLY(xread(p[0], &c, 1) == 0));
	EXPECT_EQ(used + 2, handles_used(s));
	EXPECT_EQ(MBUF_CAP_TABLE_REF, type_of(s, 5));
	ASSERT_EQ(0, mbuf_handle_info(s, 6, &info));
	EXPECT_EQ(0, info.size);
	EXPECT_NE(0, info.id);
	EXPECT_EQ(-ENOENT, type_of(s, PATH(5, 1)));
	EXPECT_EQ(-ENOENT, type_of(s, PATH(5, 1, 2)));
	EXPECT_EQ(-ENOENT, mbuf_handle_delete(s, PATH(6, 2)));
	EXPECT_EQ(-ENOENT, put_at(s, p[0], 6, 0, 0));
	EXPECT_EQ(-ENOENT, put_at(s, p[0], 6, 0, 2));
	EXPECT_EQ(-ENOENT, table_at(s, 5, 0));
	EXPECT_EQ(-ENOENT, copy_at(s, 5, 5, 0, 0));
	EXPECT_EQ(-ENOENT, move_at(s, 5, 5, 0, 0));
	EXPECT_EQ(0, mbuf_table_list(s, 6, &start, e, 4));
	/* A failed move has changed nothing, and the header can be copied. */
	EXPECT_EQ(MBUF_CAP_TABLE_REF, type_of(s, 5));
	EXPECT_EQ(7, copy_at(s, 5, 0, 0, 7));
	EXPECT_EQ(used + 3, handles_used(s));
	close(p[0]);
	close(s);
}

TEST_F(queue, tables_into_themselves)
{
	int s = mbuf_open();
	uint64_t used;

	ASSERT_EQ(1, table_at(s, 0, 1));
	ASSERT_EQ(2, table_at(s, 0, 2));
	ASSERT_EQ(3, table_at(s, 0, 3));
	ASSERT_EQ(4, table_at(s, 0, 4));
	used = handles_used(s);

	/* Into itself; also by way of a reference. */
	EXPECT_EQ(-ELOOP, move_at(s, 1, 1, 0, 0));
	EXPECT_EQ(-ELOOP, move_at(s, 1, 1, 0, 9));
	EXPECT_EQ(9, copy_at(s, 1, 0, 0, 9));
	EXPECT_EQ(-ELOOP, move_at(s, 1, 9, 0, 0));
	/* Through two, three, and a path. */
	EXPECT_EQ(2, move_at(s, 2, 1, 0, 2));
	EXPECT_EQ(-ELOOP, move_at(s, 1, PATH(1, 2), 0, 0));
	EXPECT_EQ(3, move_at(s, 3, PATH(1, 2), 0, 3));
	EXPECT_EQ(-ELOOP, move_at(s, 1, PATH(1, 2, 3), 0, 0));
	EXPECT_EQ(-ELOOP, move_at(s, 1, PATH(9, 2, 3), 0, 0));
	EXPECT_EQ(-ELOOP, move_at(s, PATH(1, 2), PATH(1, 2, 3), 0, 0));
	EXPECT_EQ(-ELOOP, move_at(s, PATH(9, 2), PATH(1, 2, 3), 0, 0));
	EXPECT_EQ(10, copy_at(s, PATH(1, 2, 3), 0, 0, 10));
	EXPECT_EQ(-ELOOP, move_at(s, 1, 10, 0, 0));
	/* None of that has changed anything. */
	EXPECT_EQ(used + 2, handles_used(s));
	EXPECT_EQ(MBUF_CAP_TABLE, type_of(s, 1));
	EXPECT_EQ(MBUF_CAP_TABLE, type_of(s, PATH(1, 2, 3)));
	EXPECT_EQ(0, size_of(s, 10));
	/* Out of the middle it can be turned round. */
	EXPECT_EQ(2, move_at(s, PATH(1, 2), 0, 0, 2));
	EXPECT_EQ(1, move_at(s, 1, PATH(2, 3), 0, 1));
	EXPECT_EQ(MBUF_CAP_TABLE, type_of(s, PATH(2, 3, 1)));
	EXPECT_EQ(-ELOOP, move_at(s, 2, 9, 0, 0));
	/* References are not owners: they may be anywhere. */
	EXPECT_EQ(1, copy_at(s, 9, 9, 0, 1));
	EXPECT_EQ(MBUF_CAP_TABLE_REF, type_of(s, PATH(9, 1, 1, 1, 1, 1)));
	EXPECT_EQ(2, copy_at(s, 2, 9, 0, 2));
	EXPECT_EQ(MBUF_CAP_TABLE_REF, type_of(s, PATH(2, 3, 1, 2, 3, 1, 2)));
	close(s);
	/* The teardown sees that all of it has gone. */
}

/* More than 16 in each other: from above, and by moving what is full. */
TEST_F(queue, deep_tables)
{
	int s = mbuf_open(), depth;
	uint64_t at, used;
	int64_t ret;

	/* Each is made in the last one, which has a reference at hand. */
	ASSERT_EQ(100, table_at(s, 0, 100));
	at = 100;
	used = handles_used(s);
	for (depth = 1; depth < 40; depth++) {
		ret = table_at(s, at, 1);
		if (ret < 0)
			break;
		at = (uint64_t)copy_at(s, PATH(at, 1), 0, 0,
				       100 + (uint64_t)depth);
		ASSERT_EQ(100 + depth, at);
	}
	EXPECT_EQ(-ELOOP, ret);
	EXPECT_EQ(16, depth);
	EXPECT_EQ(used + 30, handles_used(s));
	ASSERT_EQ(50, table_at(s, 0, 50));
	EXPECT_EQ(-ELOOP, move_at(s, 50, at, 0, 0));
	EXPECT_EQ(-ELOOP, move_at(s, 50, at, 0, 5));
	EXPECT_EQ(MBUF_CAP_TABLE, type_of(s, 50));
	EXPECT_EQ(0, size_of(s, at));

	/* All that there was room for goes with the first one. */
	EXPECT_EQ(0, mbuf_handle_delete(s, 100));
	EXPECT_EQ(-ENOENT, table_at(s, at, 0));
	close(s);

	/* From below there is no end to it; but it goes all the same. */
	s = mbuf_open();
	ASSERT_EQ(1, table_at(s, 0, 1));
	for (depth = 0; depth < 5000; depth++) {
		ASSERT_EQ(2, table_at(s, 0, 2));
		ASSERT_EQ(1, move_at(s, 1, 2, 0, 1));
		ASSERT_EQ(1, move_at(s, 2, 0, 0, 1));
	}
	EXPECT_EQ(-ELOOP, move_at(s, 1, PATH(1, 1, 1, 1, 1, 1, 1, 1), 0, 0));
	EXPECT_EQ(0, mbuf_handle_delete(s, 1));
	EXPECT_EQ(0, size_of(s, 0));
	close(s);
}

/* A handle is a number in one session. */
TEST_F(queue, of_another_session)
{
	int a = mbuf_open(), b = mbuf_open(), rfd, sfd;
	struct mbuf_cap caps[64], cap;

	ASSERT_EQ(0, cap_queue(a, 4, 4, &rfd, &sfd));
	ASSERT_EQ(5, put_at(a, sfd, 0, 0, 5));
	ASSERT_EQ(6, table_at(a, 0, 6));
	EXPECT_EQ(-ENOENT, type_of(b, 5));
	EXPECT_EQ(-ENOENT, try_open(b, 5));
	EXPECT_EQ(-ENOENT, copy(b, 5));
	EXPECT_EQ(-ENOENT, mbuf_handle_delete(b, 5));
	EXPECT_EQ(-ENOENT, mbuf_handle_revoke(b, 5));
	EXPECT_EQ(-ENOENT, table_at(b, 6, 0));
	cap = mbuf_cap_handle(5);
	EXPECT_EQ(-ENOENT, send_caps(sfd, b, "x", &cap, 1));
	EXPECT_EQ(-EBADF, send_caps(sfd, -1, "x", &cap, 1));
	EXPECT_EQ(-EBADF, send_caps(sfd, sfd, "x", &cap, 1));

	/* A table that was passed is used by both, with what it allows. */
	cap = mbuf_cap_handle(6);
	cap.rights = MBUF_RIGHT_LOOKUP | MBUF_RIGHT_MODIFY;
	EXPECT_EQ(0, send_caps(sfd, a, "table", &cap, 1));
	cap = mbuf_cap_move(6);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(sfd, a, "owner", &cap, 1));
	EXPECT_EQ(-EBADF, recv_caps(rfd, -1, "table", caps, 0));
	ASSERT_EQ(1, recv_caps(rfd, b, "table", caps, 0));
	EXPECT_EQ(MBUF_CAP_TABLE_REF, caps[0].type);
	EXPECT_EQ(1, caps[0].ref.handle);
	EXPECT_EQ(9, put_at(b, sfd, 1, 0, 9));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(a, PATH(6, 9)));
	EXPECT_EQ(0, mbuf_handle_delete(a, PATH(6, 9)));
	EXPECT_EQ(-ENOENT, type_of(b, PATH(1, 9)));
	/* An owner moved there goes with the other's session. */
	EXPECT_EQ(4, table_at(b, 0, 4));
	EXPECT_EQ(4, move_at(b, 4, 1, 0, 4));
	EXPECT_EQ(MBUF_CAP_TABLE, type_of(a, PATH(6, 4)));
	close(a);
	EXPECT_EQ(-ENOENT, put_at(b, sfd, 1, 0, 0));
	EXPECT_EQ(-ENOENT, type_of(b, PATH(1, 4)));
	EXPECT_EQ(MBUF_CAP_TABLE_REF, type_of(b, 1));
	close(rfd);
	close(sfd);
	close(b);
}

/* Revoked: all below it, by whatever way it came there, and nothing else. */
TEST_F(queue, revoked_trees)
{
	int s = mbuf_open(), t = mbuf_open(), rfd, sfd;
	struct mbuf_cap caps[64], cap[2];
	struct mbuf_msg msg = msg_of("x", 1);
	uint64_t h;

	ASSERT_EQ(0, cap_queue(s, 4, 4, &rfd, &sfd));
	make_queue(1, 8, 0);
	/* 1: 2: 3, 4; 2: 5 in a table; 1: 6. 7 has nothing to do with it. */
	ASSERT_EQ(1, put_at(s, self->sfd, 0, 0, 1));
	ASSERT_EQ(2, copy_at(s, 1, 0, 0, 2));
	ASSERT_EQ(3, copy_at(s, 2, 0, 0, 3));
	ASSERT_EQ(4, copy_at(s, 3, 0, 0, 4));
	ASSERT_EQ(9, table_at(s, 0, 9));
	ASSERT_EQ(5, copy_at(s, 2, 9, 0, 5));
	ASSERT_EQ(6, copy_at(s, 1, 0, 0, 6));
	ASSERT_EQ(7, put_at(s, self->sfd, 0, 0, 7));
	/* One that is elsewhere, with a child there. */
	cap[0] = mbuf_cap_handle(4);
	ASSERT_EQ(0, send_caps(sfd, s, "x", cap, 1));
	ASSERT_EQ(1, recv_caps(rfd, t, "x", caps, MBUF_RECV_HANDLES));
	ASSERT_EQ(2, copy_at(t, caps[0].ref.handle, 0, 0, 2));
	/* One that was moved, twice. */
	ASSERT_EQ(8, copy_at(s, 3, 0, 0, 8));
	ASSERT_EQ(18, move_at(s, 8, 0, 0, 18));
	ASSERT_EQ(8, move_at(s, 18, 9, 0, 8));
	/* And two on their way. */
	cap[0] = mbuf_cap_handle(3);
	cap[1] = mbuf_cap_handle(7);
	ASSERT_EQ(0, send_caps(sfd, s, "way", cap, 2));
	EXPECT_EQ(1, get_info(self->rfd).senders);

	/* 3, 4, 5, 8, t: 1, 2, and the one on its way. */
	EXPECT_EQ(7, mbuf_handle_revoke(s, 2));
	EXPECT_EQ(0, mbuf_handle_revoke(s, 2));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, 1));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, 2));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, 6));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, 7));
	h = 3;
	EXPECT_EQ(MBUF_CAP_NONE, type_of(s, h));
	EXPECT_EQ(0, rights_of(s, h));
	EXPECT_EQ(-EKEYREVOKED, try_open(s, h));
	EXPECT_EQ(-EKEYREVOKED, copy(s, h));
	EXPECT_EQ(-EKEYREVOKED, move_at(s, h, 0, 0, 0));
	EXPECT_EQ(-EKEYREVOKED, move_at(s, h, 9, 0, 77));
	EXPECT_EQ(-EKEYREVOKED, mbuf_handle_send(s, h, &msg, NULL, 0,
						 MBUF_NOW));
	cap[0] = mbuf_cap_handle(h);
	EXPECT_EQ(-EKEYREVOKED, send_caps(sfd, s, "x", cap, 1));
	cap[0] = mbuf_cap_move(h);
	EXPECT_EQ(-EKEYREVOKED, send_caps(sfd, s, "x", cap, 1));
	EXPECT_EQ(-EKEYREVOKED, table_at(s, h, 0));
	EXPECT_EQ(-EEXIST, copy_at(s, 1, 0, 0, h));
	EXPECT_EQ(0, mbuf_handle_revoke(s, h));
	EXPECT_EQ(MBUF_CAP_NONE, type_of(s, h));
	EXPECT_EQ(MBUF_CAP_NONE, type_of(s, 4));
	EXPECT_EQ(MBUF_CAP_NONE, type_of(s, PATH(9, 5)));
	EXPECT_EQ(MBUF_CAP_NONE, type_of(s, PATH(9, 8)));
	EXPECT_EQ(MBUF_CAP_NONE, type_of(t, 1));
	EXPECT_EQ(MBUF_CAP_NONE, type_of(t, 2));
	ASSERT_EQ(2, recv_caps(rfd, t, "way", caps, MBUF_RECV_LOOK));
	EXPECT_EQ(-EKEYREVOKED, caps[0].error);
	EXPECT_EQ(0, caps[1].error);
	ASSERT_EQ(2, recv_caps(rfd, t, "way", caps, MBUF_RECV_HANDLES));
	EXPECT_EQ(-EKEYREVOKED, caps[0].error);
	EXPECT_EQ(MBUF_CAP_NONE, caps[0].type);
	EXPECT_EQ(-1, caps[0].ref.fd);
	EXPECT_EQ(0, caps[0].ref.flags);
	EXPECT_EQ(0, caps[0].ref.handle);
	EXPECT_EQ(0, caps[1].error);
	EXPECT_EQ(MBUF_REF_HANDLE, caps[1].ref.flags);
	EXPECT_EQ(MBUF_CAP_FILE, type_of(t, caps[1].ref.handle));

	/* A place is free when it was deleted. */
	EXPECT_EQ(0, mbuf_handle_delete(s, h));
	EXPECT_EQ(3, copy_at(s, 2, 0, 0, 3));
	EXPECT_EQ(0, mbuf_handle_delete(t, 1));
	EXPECT_EQ(0, mbuf_handle_delete(t, 2));
	EXPECT_EQ(3, mbuf_handle_revoke(s, 1));
	EXPECT_EQ(MBUF_CAP_NONE, type_of(s, 2));
	EXPECT_EQ(MBUF_CAP_NONE, type_of(s, 6));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, 7));
	close(rfd);
	close(sfd);
	close(s);
	close(t);
}

/* What was derived from one that is deleted is derived from its parent. */
TEST_F(queue, deleted_in_the_middle)
{
	int s = mbuf_open(), i;

	make_queue(1, 8, 0);
	ASSERT_EQ(1, put_at(s, self->sfd, 0, 0, 1));
	ASSERT_EQ(2, copy_at(s, 1, 0, 0, 2));
	ASSERT_EQ(3, copy_at(s, 2, 0, 0, 3));
	/* More than are dealt with at once. */
	for (i = 100; i < 200; i++)
		ASSERT_EQ(i, copy_at(s, 3, 0, 0, (uint64_t)i));
	EXPECT_EQ(0, mbuf_handle_delete(s, 3));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, 100));
	EXPECT_EQ(100, mbuf_handle_revoke(s, 2));
	EXPECT_EQ(MBUF_CAP_NONE, type_of(s, 199));

	/* Twice, up to the first one; then there is no parent any more. */
	for (i = 100; i < 200; i++) {
		ASSERT_EQ(0, mbuf_handle_delete(s, (uint64_t)i));
		ASSERT_EQ(i, copy_at(s, 2, 0, 0, (uint64_t)i));
	}
	EXPECT_EQ(0, mbuf_handle_delete(s, 2));
	EXPECT_EQ(0, mbuf_handle_delete(s, 1));
	for (i = 100; i < 200; i++)
		EXPECT_EQ(0, mbuf_handle_revoke(s, (uint64_t)i));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, 150));
	/* They are nobody's children, so not each other's either. */
	EXPECT_EQ(1, copy_at(s, 150, 0, 0, 1));
	EXPECT_EQ(1, mbuf_handle_revoke(s, 150));

	/* One that is revoked, in the middle, with one that is not. */
	ASSERT_EQ(0, mbuf_handle_delete(s, 1));
	ASSERT_EQ(1, copy_at(s, 150, 0, 0, 1));
	ASSERT_EQ(2, copy_at(s, 1, 0, 0, 2));
	EXPECT_EQ(1, mbuf_handle_revoke(s, 1));
	EXPECT_EQ(0, mbuf_handle_delete(s, 1));
	EXPECT_EQ(0, mbuf_handle_revoke(s, 150));
	EXPECT_EQ(-EKEYREVOKED, try_open(s, 2));
	close(s);
}

/* Another process holds what was derived, in a chain of processes. */
struct holder {
	int rfd, sfd, ready[2], go[2];
	unsigned int depth;
};

static int hold(void *arg)
{
	struct holder *h = arg;
	struct mbuf_cap caps[64], cap;
	int s = mbuf_open(), fd;
	char c;

	CHECK(s >= 0);
	CHECK_EQ(1, recv_caps(h->rfd, s, "chain", caps, MBUF_RECV_HANDLES));
	CHECK_EQ(0, caps[0].error);
	fd = mbuf_handle_open(s, 1);
	CHECK(fd >= 0);
	if (--h->depth) {
		pid_t pid;

		cap = mbuf_cap_handle(1);
		CHECK_EQ(0, send_caps(h->sfd, s, "chain", &cap, 1));
		pid = spawn(hold, h);
		CHECK_EQ(0, reap(pid));
	} else {
		CHECK_EQ(1, write(h->ready[1], "x", 1));
		CHECK_EQ(1, read(h->go[0], &c, 1));
	}
	CHECK_EQ(MBUF_CAP_NONE, type_of(s, 1));
	CHECK_EQ(-EKEYREVOKED, try_open(s, 1));
	/* A descriptor is not taken back. */
	CHECK_EQ(0, mbuf_send(fd, "x", 1, MBUF_NOW));
	return 0;
}

TEST_F(queue, revoked_in_other_processes)
{
	struct holder h = { .depth = 5 };
	int s = mbuf_open();
	struct mbuf_cap cap;
	pid_t pid;
	char c;

	make_queue(8, 8, 0);
	ASSERT_EQ(0, cap_queue(s, 2, 2, &h.rfd, &h.sfd));
	ASSERT_EQ(0, pipe2(h.ready, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(h.go, O_CLOEXEC));
	ASSERT_EQ(1, put(s, self->sfd));
	cap = mbuf_cap_handle(1);
	ASSERT_EQ(0, send_caps(h.sfd, s, "chain", &cap, 1));
	pid = spawn(hold, &h);
	ASSERT_EQ(1, read(h.ready[0], &c, 1));
	EXPECT_EQ(5, mbuf_handle_revoke(s, 1));
	ASSERT_EQ(1, write(h.go[1], "x", 1));
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(5, get_info(self->rfd).depth);
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, 1));
	close(h.ready[0]);
	close(h.ready[1]);
	close(h.go[0]);
	close(h.go[1]);
	close(h.rfd);
	close(h.sfd);
	close(s);
}

/* Very many, which take no descriptors; and nobody waits when they go. */
TEST_F_TIMEOUT(queue, a_million, 600)
{
	const unsigned int want = 1000000, least = 100000;
	uint64_t end = now_ns() + 30 * NS_PER_SEC, start;
	int s = mbuf_open(), fds = count_fds();
	unsigned int nr;
	int64_t ret;

	NEED_ROOT();
	make_queue(1, 8, 0);
	fds += 2;
	start = now_ns();
	ASSERT_EQ(1, put(s, self->sfd));
	for (nr = 1; nr < want; nr++) {
		if (nr >= least && now_ns() > end)
			break;
		/* Half of them derived from the first, half not. */
		ret = nr % 2 ? copy(s, 1) : put(s, self->sfd);
		ASSERT_LT(0, ret);
	}
	TH_LOG("%u handles in %llu ms", nr,
	       (unsigned long long)((now_ns() - start) / NS_PER_MS));
	EXPECT_EQ(nr, size_of(s, 0));
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(self->before.handles.used + nr, handles_used(s));
	EXPECT_EQ(1, get_info(self->rfd).senders);

	start = now_ns();
	EXPECT_EQ(nr / 2, mbuf_handle_revoke(s, 1));
	TH_LOG("revoked in %llu ms",
	       (unsigned long long)((now_ns() - start) / NS_PER_MS));
	EXPECT_EQ(MBUF_CAP_NONE, type_of(s, 2));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, 3));
	start = now_ns();
	close(s);
	TH_LOG("closed in %llu ms",
	       (unsigned long long)((now_ns() - start) / NS_PER_MS));
	EXPECT_EQ(self->before.handles.used, handles_used(self->session));
}

/* One that has very many children goes, alone. */
TEST_F_TIMEOUT(queue, parent_of_many, 600)
{
	const int want = 100000;
	int s = mbuf_open(), nr;

	NEED_ROOT();
	make_queue(1, 8, 0);
	ASSERT_EQ(1, put(s, self->sfd));
	ASSERT_EQ(2, copy(s, 1));
	for (nr = 0; nr < want; nr++)
		ASSERT_LT(0, copy(s, 2));
	EXPECT_EQ(0, mbuf_handle_delete(s, 2));
	EXPECT_EQ(MBUF_CAP_FILE, type_of(s, 3));
	EXPECT_EQ(want, mbuf_handle_revoke(s, 1));
	close(s);

	/* And a chain, each derived from the last. */
	s = mbuf_open();
	ASSERT_EQ(1, put(s, self->sfd));
	for (nr = 1; nr < want; nr++)
		ASSERT_EQ(nr + 1, copy(s, (uint64_t)nr));
	EXPECT_EQ(want - 1, mbuf_handle_revoke(s, 1));
	close(s);
}

/* As many as a user may have, whoever makes them; root may exceed it. */
#define HANDLES_LIMIT	"/sys/module/mbuf/parameters/handles_limit"

static int too_many(void *arg)
{
	int fd = *(int *)arg, s = mbuf_open(), rfd, sfd, i;
	struct mbuf_cap caps[64], cap[2];
	struct mbuf_query q;
	uint64_t start = 0;
	struct mbuf_handle_entry e[64];

	CHECK(s >= 0);
	CHECK_EQ(0, mbuf_query(s, &q));
	CHECK_EQ(0, q.handles.used);
	CHECK_EQ(50, q.handles.limit);
	CHECK_EQ(1, table_at(s, 0, 1));
	for (i = 1; i < 50; i++)
		CHECK_EQ(i, put_at(s, fd, 1, 0, 0));
	CHECK_EQ(-EDQUOT, put_at(s, fd, 1, 0, 0));
	CHECK_EQ(-EDQUOT, put_at(s, fd, 0, 0, 0));
	CHECK_EQ(-EDQUOT, copy(s, PATH(1, 1)));
	CHECK_EQ(-EDQUOT, table_at(s, 0, 0));
	/* Another session of the same user's does not help. */
	CHECK_EQ(-EDQUOT, put(mbuf_open(), fd));
	/* Moving needs a place before there is one to spare. */
	CHECK_EQ(-EDQUOT, move_at(s, PATH(1, 1), 0, 0, 0));
	CHECK_EQ(MBUF_CAP_FILE, type_of(s, PATH(1, 1)));
	CHECK_EQ(49, mbuf_table_list(s, 1, &start, e, 64));

	/* What is received as handles is, too; then the message stays. */
	CHECK_EQ(0, cap_queue(s, 2, 2, &rfd, &sfd));
	cap[0] = mbuf_cap_fd(fd);
	cap[1] = mbuf_cap_fd(fd);
	CHECK_EQ(0, send_caps(sfd, -1, "x", cap, 2));
	CHECK_EQ(-EDQUOT, recv_caps(rfd, s, "x", caps, MBUF_RECV_HANDLES));
	CHECK_EQ(0, mbuf_handle_delete(s, PATH(1, 1)));
	CHECK_EQ(-EDQUOT, recv_caps(rfd, s, "x", caps, MBUF_RECV_HANDLES));
	CHECK_EQ(49, handles_used(s));
	CHECK_EQ(0, mbuf_handle_delete(s, PATH(1, 2)));
	CHECK_EQ(2, recv_caps(rfd, s, "x", caps, MBUF_RECV_HANDLES));
	CHECK_EQ(50, handles_used(s));
	/* Revoked ones count until they are deleted. */
	CHECK_EQ(0, mbuf_handle_delete(s, 2));
	CHECK_EQ(2, copy(s, 3));
	CHECK_EQ(1, mbuf_handle_revoke(s, 3));
	CHECK_EQ(-EDQUOT, copy(s, 3));
	CHECK_EQ(0, mbuf_handle_delete(s, 1));
	CHECK_EQ(2, handles_used(s));
	return 0;
}

TEST_F(queue, too_many_handles)
{
	char old[32];
	int s, i;

	NEED_ROOT();
	make_queue(1, 8, 0);
	ASSERT_TRUE(read_file(HANDLES_LIMIT, old, sizeof(old)));
	ASSERT_TRUE(write_file(HANDLES_LIMIT, "50"));
	EXPECT_EQ(0, run_as(TEST_UID, too_many, &self->sfd));
	/* Nothing of it is left, so it can be done again. */
	EXPECT_EQ(0, run_as(TEST_UID, too_many, &self->sfd));
	s = mbuf_open();
	for (i = 1; i < 100; i++)
		EXPECT_EQ(i, put(s, self->sfd));
	close(s);
	EXPECT_TRUE(write_file(HANDLES_LIMIT, "%s", old));
}

/* A call that moves a handle while it waits in line. */
struct mover {
	int sfd, session;
	uint64_t handle, deadline;
	_Atomic int ret;
	pthread_t thread;
};

static int move_blocked(void *arg)
{
	struct mover *m = arg;
	struct mbuf_cap cap = mbuf_cap_move(m->handle);
	struct mbuf_msg msg = msg_of("x", 1);

	cap.rights = MBUF_RIGHT_PASS | MBUF_RIGHT_COPY;
	m->ret = mbuf_send_caps(m->sfd, &msg, &cap, 1, m->session,
				m->deadline);
	return m->ret ? 1 : 0;
}

static void *move_thread(void *arg)
{
	move_blocked(arg);
	return NULL;
}

/* All that others can try with it meanwhile. */
#define EXPECT_BUSY(s, h) do {						\
	struct mbuf_cap __cap = mbuf_cap_move(h);			\
									\
	EXPECT_EQ(-EBUSY, move_at(s, h, 0, 0, 0));			\
	EXPECT_EQ(-EBUSY, mbuf_handle_delete(s, h));			\
	EXPECT_EQ(-EBUSY, mbuf_handle_revoke(s, h));			\
	EXPECT_EQ(-EBUSY, send_caps(sfd, s, "x", &__cap, 1));		\
	EXPECT_EQ(-EEXIST, put_at(s, self->sfd, 0, 0, h));		\
	/* It is not there at the moment. */				\
	EXPECT_EQ(-ENOENT, type_of(s, h));				\
	EXPECT_EQ(-ENOENT, try_open(s, h));				\
	EXPECT_EQ(-ENOENT, copy(s, h));					\
} while (0)

TEST_F(queue, moved_by_who_waits)
{
	struct mbuf_handle_entry e[4];
	int s = mbuf_open(), rfd, sfd;
	struct mbuf_cap caps[64];
	uint64_t start = 0;
	struct mover m;
	pid_t pid;
	char c[4];

	ASSERT_EQ(0, cap_queue(s, 1, 1, &rfd, &sfd));
	make_queue(1, 8, 0);
	ASSERT_EQ(5, put_at(s, self->sfd, 0, 0, 5));
	ASSERT_EQ(6, copy_at(s, 5, 0, 0, 6));
	m = (struct mover){ .sfd = sfd, .session = s, .handle = 5,
			    .deadline = MBUF_FOREVER };
	/* It is not moved if nobody waits. */
	ASSERT_EQ(0, mbuf_send(sfd, "full", 4, MBUF_NOW));
	caps[0] = mbuf_cap_move(5);
	EXPECT_EQ(-EAGAIN, send_caps(sfd, s, "x", caps, 1));
	EXPECT_EQ(FILE_RIGHTS, rights_of(s, 5));

	/* The sender is killed. */
	pid = spawn(move_blocked, &m);
	ASSERT_SLEEPERS(rfd, 0, 1);
	EXPECT_BUSY(s, 5);
	EXPECT_EQ(1, mbuf_table_list(s, 0, &start, e, 4));
	EXPECT_EQ(6, e[0].handle);
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	EXPECT_EQ(FILE_RIGHTS, rights_of(s, 5));
	EXPECT_EQ(0, try_open(s, 5));

	/* It gives up. */
	m.deadline = in_ms(100);
	EXPECT_EQ(1, reap(spawn(move_blocked, &m)));
	EXPECT_EQ(FILE_RIGHTS, rights_of(s, 5));

	/* What it is derived from is revoked: it comes back revoked. */
	m.deadline = MBUF_FOREVER;
	m.handle = 6;
	pid = spawn(move_blocked, &m);
	ASSERT_SLEEPERS(rfd, 0, 1);
	EXPECT_BUSY(s, 6);
	EXPECT_EQ(1, mbuf_handle_revoke(s, 5));
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	EXPECT_EQ(-EKEYREVOKED, try_open(s, 6));
	EXPECT_EQ(0, mbuf_handle_delete(s, 6));

	/* It gets there, with fewer rights. */
	ASSERT_EQ(6, copy_at(s, 5, 0, 0, 6));
	pid = spawn(move_blocked, &m);
	ASSERT_SLEEPERS(rfd, 0, 1);
	EXPECT_EQ(4, mbuf_recv(rfd, c, 4, MBUF_NOW));
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(-ENOENT, type_of(s, 6));
	EXPECT_EQ(-ENOENT, mbuf_handle_delete(s, 6));
	ASSERT_EQ(1, recv_caps(rfd, s, "x", caps, 0));
	EXPECT_EQ(1, caps[0].ref.handle);
	EXPECT_EQ(MBUF_RIGHT_PASS | MBUF_RIGHT_COPY, caps[0].rights);
	EXPECT_EQ(1, mbuf_handle_revoke(s, 5));

	/* The queue dies. */
	ASSERT_EQ(0, mbuf_send(sfd, "full", 4, MBUF_NOW));
	m.handle = 5;
	ASSERT_EQ(0, pthread_create(&m.thread, NULL, move_thread, &m));
	ASSERT_SLEEPERS(rfd, 0, 1);
	EXPECT_BUSY(s, 5);
	close(rfd);
	pthread_join(m.thread, NULL);
	EXPECT_EQ(-EPIPE, m.ret);
	EXPECT_EQ(FILE_RIGHTS, rights_of(s, 5));
	EXPECT_EQ(0, try_open(s, 5));
	close(sfd);
	close(s);
}

/* The session that it was in is closed, before it is sent or comes back. */
TEST_F(queue, session_closed_meanwhile)
{
	int s, rfd, sfd, rfd2 = -1, round;
	struct mbuf_cap caps[64];
	struct mover m;
	char c[4];

	for (round = 0; round < 4; round++) {
		s = mbuf_open();
		ASSERT_EQ(0, cap_queue(self->session, 1, 1, &rfd, &sfd));
		make_queue(1, 8, 0);
		ASSERT_EQ(0, mbuf_send(sfd, "full", 4, MBUF_NOW));
		m = (struct mover){ .sfd = sfd, .session = s,
				    .deadline = MBUF_FOREVER };
		/* In the root table, or in one that is deleted. */
		if (round % 2)
			ASSERT_EQ(9, table_at(s, 0, 9));
		m.handle = round % 2 ? PATH(9, 5) : 5;
		ASSERT_EQ(5, put_at(s, self->sfd, round % 2 ? 9 : 0, 0, 5));
		close_fd(&self->sfd);
		ASSERT_EQ(0, pthread_create(&m.thread, NULL, move_thread, &m));
		ASSERT_SLEEPERS(rfd, 0, 1);
		EXPECT_EQ(0, round % 2 ? mbuf_handle_delete(s, 9) : close(s));
		EXPECT_EQ(1, get_info(self->rfd).senders);
		if (round < 2) {
			/* There is no place for it to come back to. */
			close(rfd);
			pthread_join(m.thread, NULL);
			EXPECT_EQ(-EPIPE, m.ret);
			EXPECT_TRUE(EVENTUALLY(!get_info(self->rfd).senders));
		} else {
			EXPECT_EQ(4, mbuf_recv(rfd, c, 4, MBUF_NOW));
			pthread_join(m.thread, NULL);
			EXPECT_EQ(0, m.ret);
			rfd2 = mbuf_open();
			ASSERT_EQ(1, recv_caps(rfd, rfd2, "x", caps, 0));
			EXPECT_EQ(0, caps[0].error);
			EXPECT_EQ(1, caps[0].ref.handle);
			EXPECT_EQ(1, get_info(self->rfd).senders);
			close(rfd2);
			EXPECT_TRUE(EVENTUALLY(!get_info(self->rfd).senders));
			close(rfd);
		}
		if (round % 2)
			close(s);
		close(sfd);
		close_fd(&self->rfd);
	}
}

/*
 * Everything at once, on few places, so that all meet: what is found is
 * whatever it is, but it is sound, and nothing is left.
 */
#define CHAOS_PLACES	6
#define CHAOS_THREADS	4

struct chaos {
	int s, other, fd, rfd, sfd;
	unsigned int seed;
	uint64_t end;
	unsigned long done, failed;
	int bad;
	pthread_t thread;
};

static bool chaos_ok(int64_t ret)
{
	switch (ret < 0 ? -ret : 0) {
	case 0:
	case ENOENT:
	case EEXIST:
	case EBUSY:
	case EKEYREVOKED:
	case ENOTDIR:
	case ELOOP:
	case EACCES:
	case EOPNOTSUPP:
	case EAGAIN:
	case EPIPE:
	case EBADF:
		return true;
	default:
		return false;
	}
}

static void *chaos_main(void *arg)
{
	struct chaos *c = arg;
	struct mbuf_cap caps[64], cap;
	int64_t ret = 0;

#define RND(n)		((unsigned int)rand_r(&c->seed) % (n))
#define PLACE()		(1 + RND(CHAOS_PLACES))
#define HANDLE()	(RND(2) ? PLACE() : RND(2) ? PATH(PLACE(), PLACE()) : \
			 PATH(PLACE(), PLACE(), PLACE()))
	while (now_ns() < c->end && ret != -EBADF) {
		uint64_t from = HANDLE();
		uint64_t to = RND(2) ? 0 : HANDLE();

		switch (RND(12)) {
		case 0:
			ret = put_at(c->s, c->fd, to, 0, PLACE());
			break;
		case 1:
		case 2:
			ret = table_at(c->s, to, PLACE());
			break;
		case 3:
		case 4:
			ret = copy_at(c->s, from, to, 0, PLACE());
			break;
		case 5:
		case 6:
			ret = move_at(c->s, from, to, 0, PLACE());
			break;
		case 7:
			ret = mbuf_handle_revoke(c->s, from);
			break;
		case 8:
			ret = type_of(c->s, from);
			break;
		case 9:
			cap = RND(2) ? mbuf_cap_move(from) :
				       mbuf_cap_handle(from);
			ret = send_caps(c->sfd, c->s, "x", &cap, 1);
			break;
		case 10:
			ret = recv_caps(c->rfd, c->other, "x", caps,
					MBUF_RECV_HANDLES);
			if (ret == 1 && !caps[0].error)
				ret = mbuf_handle_delete(c->other,
							 caps[0].ref.handle);
			break;
		default:
			ret = mbuf_handle_delete(c->s, from);
			break;
		}
		if (!chaos_ok(ret)) {
			c->bad = (int)ret;
			break;
		}
		if (ret < 0)
			c->failed++;
		c->done++;
	}
#undef RND
#undef PLACE
#undef HANDLE
	return NULL;
}

TEST_F(queue, all_at_once)
{
	int s, other, rfd, sfd, round, i;
	struct chaos c[CHAOS_THREADS];
	unsigned long done = 0, failed = 0;

	make_queue(1, 8, 0);
	for (round = 0; round < 40; round++) {
		s = mbuf_open();
		other = mbuf_open();
		ASSERT_EQ(0, cap_queue(self->session, 4, 1, &rfd, &sfd));
		for (i = 0; i < CHAOS_THREADS; i++) {
			c[i] = (struct chaos){
				.s = s, .other = other, .fd = self->sfd,
				.rfd = rfd, .sfd = sfd,
				.seed = (unsigned int)(round * 100 + i),
				.end = now_ns() + 200 * NS_PER_MS,
			};
			ASSERT_EQ(0, pthread_create(&c[i].thread, NULL,
						    chaos_main, &c[i]));
		}
		/* Every second time the session is closed while they do. */
		if (round % 2) {
			while (now_ns() < c[0].end - 100 * NS_PER_MS)
				nap();
			close(s);
		}
		for (i = 0; i < CHAOS_THREADS; i++) {
			pthread_join(c[i].thread, NULL);
			EXPECT_EQ(0, c[i].bad);
			done += c[i].done;
			failed += c[i].failed;
		}
		if (!(round % 2))
			close(s);
		close(other);
		close(rfd);
		close(sfd);
		EXPECT_TRUE(EVENTUALLY(get_info(self->rfd).senders == 1));
	}
	TH_LOG("%lu calls, of which %lu failed", done, failed);
	/* Some of each. */
	EXPECT_LT(1000, done - failed);
	EXPECT_LT(1000, failed);
}

/*
 * A table is deleted while others work in it: what they take out is theirs, or
 * has gone with it, but not both.
 */
#define IN_TABLE	100

struct in_table {
	int s;
	_Atomic bool stop;
	_Atomic unsigned long hits;
	int bad;
	pthread_t thread;
};

static void *work_in_table(void *arg)
{
	struct in_table *w = arg;
	unsigned int i = 0;
	int64_t ret;

	/* Downwards, while the table is emptied upwards: they meet. */
	while (!atomic_load(&w->stop)) {
		uint64_t at = IN_TABLE - i++ % IN_TABLE;

		ret = i % 3 ? mbuf_handle_delete(w->s, PATH(1, at)) :
			      move_at(w->s, PATH(1, at), 2, 0, 0);
		if (ret >= 0)
			w->hits++;
		else if (!chaos_ok(ret))
			w->bad = (int)ret;
	}
	return NULL;
}

TEST_F(queue, table_deleted_meanwhile)
{
	struct in_table w = {};
	uint64_t end = now_ns() + 8 * NS_PER_SEC;
	int i, round;

	make_queue(1, 8, 0);
	w.s = mbuf_open();
	for (round = 0; round < 1000 && now_ns() < end; round++) {
		ASSERT_EQ(2, table_at(w.s, 0, 2));
		ASSERT_EQ(3, table_at(w.s, 0, 3));
		for (i = 1; i <= IN_TABLE; i++)
			ASSERT_EQ(i, put_at(w.s, self->sfd, 3, 0,
					    (uint64_t)i));
		if (!round)
			ASSERT_EQ(0, pthread_create(&w.thread, NULL,
						    work_in_table, &w));
		/* It appears, with all that is in it, and goes. */
		ASSERT_EQ(1, move_at(w.s, 3, 0, 0, 1));
		ASSERT_EQ(0, mbuf_handle_delete(w.s, 1));
		ASSERT_EQ(0, mbuf_handle_delete(w.s, 2));
	}
	w.stop = true;
	pthread_join(w.thread, NULL);
	EXPECT_EQ(0, w.bad);
	TH_LOG("%lu handles got out of it", w.hits);
	EXPECT_EQ(0, size_of(w.s, 0));
	close(w.s);
	EXPECT_TRUE(EVENTUALLY(get_info(self->rfd).senders == 1));
}

TEST_HARNESS_MAIN
