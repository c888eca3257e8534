// SPDX-License-Identifier: GPL-2.0
/* Keys and sealed messages: what a holder can do with and without the key. */
#include <sys/resource.h>
#include "cap.h"

#define LARGE	(1 << 20)

/* Seals text and capabilities. Returns the handle, or -errno. */
static int64_t seal(int session, uint64_t key, const void *buf, size_t len,
		    const struct mbuf_cap *caps, unsigned int nr, uint32_t pad)
{
	struct mbuf_seal s = {
		.target = key,
		.pad = pad,
		.nr_caps = nr,
		.buf = (uintptr_t)buf,
		.len = (uint32_t)len,
		.caps = nr ? (uintptr_t)caps : 0,
		.stride = nr ? sizeof(*caps) : 0,
	};
	int ret = mbuf_seal(session, &s);

	return ret ? ret : (int64_t)s.handle;
}

struct opened {
	uint8_t *buf;
	uint32_t len;
	struct mbuf_cap *caps;
	uint32_t nr;
	uint32_t flags;
};

static int unseal(int session, uint64_t key, uint64_t sealed, struct opened *o)
{
	struct mbuf_unseal u = {
		.target = key,
		.sealed = sealed,
		.flags = o->flags,
		.nr_caps = o->nr,
		.buf = (uintptr_t)o->buf,
		.len = o->len,
		.caps = o->nr ? (uintptr_t)o->caps : 0,
		.stride = o->nr ? sizeof(*o->caps) : 0,
	};
	int ret = mbuf_unseal(session, &u);

	o->len = u.len;
	o->nr = u.nr_caps;
	return ret;
}

/* Only whether it can be done; the payload must be @text. */
static int opens_to(int session, uint64_t key, uint64_t sealed,
		    const char *text)
{
	uint8_t buf[64];
	struct opened o = { .buf = buf, .len = sizeof(buf) };
	int ret = unseal(session, key, sealed, &o);

	if (ret)
		return ret;
	return o.len != strlen(text) || memcmp(buf, text, o.len) || o.nr ?
	       -EILSEQ : 0;
}

static uint64_t key_new(int session)
{
	uint64_t key = 0;

	return mbuf_key_create(session, 0, &key) ? 0 : key;
}

/* Is a receive right still good? */
static int handle_works(int session, uint64_t recv, int sfd)
{
	uint32_t num = 0;
	struct mbuf_msg msg = msg_of(&num, sizeof(num));
	int ret = send_num(sfd, 5, MBUF_NOW);

	ret = ret ? ret : mbuf_handle_recv(session, recv, &msg, NULL, NULL, 0,
					   MBUF_NOW);
	return ret ? ret : num == 5 ? 0 : -EILSEQ;
}

/* As often as wanted; the sealed message stays. */
TEST_F(queue, sizes)
{
	static const uint32_t sizes[] = { 0, 1, 4095, 4096, 4097, LARGE };
	uint8_t *in = malloc(LARGE), *out = malloc(LARGE);
	struct mbuf_handle_info info;
	int s = mbuf_open();
	unsigned int i, j;
	int64_t sealed;
	uint64_t key;

	ASSERT_NE(NULL, in);
	ASSERT_NE(NULL, out);
	key = key_new(s);
	ASSERT_NE(0, key);
	ASSERT_EQ(0, mbuf_handle_info(s, key, &info));
	EXPECT_EQ(MBUF_CAP_KEY, info.type);
	EXPECT_EQ(MBUF_RIGHT_COPY | MBUF_RIGHT_PASS | MBUF_RIGHT_SEAL |
		  MBUF_RIGHT_UNSEAL, info.rights);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fill_pattern(in, sizes[i], i);
		sealed = seal(s, key, in, sizes[i], NULL, 0, 0);
		ASSERT_LT(0, sealed);
		memset(in, 0, sizes[i]);
		ASSERT_EQ(0, mbuf_handle_info(s, (uint64_t)sealed, &info));
		EXPECT_EQ(MBUF_CAP_SEALED, info.type);
		EXPECT_EQ(sizes[i], info.size);
		EXPECT_EQ(MBUF_RIGHT_COPY | MBUF_RIGHT_PASS, info.rights);
		for (j = 0; j < 3; j++) {
			struct opened o = { .buf = out, .len = LARGE };

			poison(out, LARGE);
			ASSERT_EQ(0, unseal(s, key, (uint64_t)sealed, &o));
			ASSERT_EQ(sizes[i], o.len);
			EXPECT_EQ(0, o.nr);
			EXPECT_TRUE(is_pattern(out, sizes[i], i));
			EXPECT_TRUE(is_poison(out + sizes[i],
					      LARGE - sizes[i]));
		}
		if (sizes[i]) {
			struct opened o = { .buf = out, .len = sizes[i] - 1 };

			poison(out, LARGE);
			EXPECT_EQ(-EMSGSIZE, unseal(s, key, (uint64_t)sealed,
						    &o));
			EXPECT_EQ(sizes[i], o.len);
			EXPECT_TRUE(is_poison(out, LARGE));
		}
		ASSERT_EQ(0, mbuf_handle_delete(s, (uint64_t)sealed));
	}
	EXPECT_EQ(-EMSGSIZE, seal(s, key, in, self->q.msg_max + 1, NULL, 0, 0));
	close(s);
	free(in);
	free(out);
}

/* Others are shown a length that says no more than it has to. */
TEST_F(queue, padded)
{
	static const struct {
		uint32_t len, pad, shown;
	} rows[] = {
		{ 0, 64, 0 }, { 1, 64, 64 }, { 64, 64, 64 }, { 65, 64, 128 },
		{ 10, 1, 10 }, { 10, 7, 14 }, { 3, 1 << 24, 1 << 24 },
	};
	struct mbuf_handle_info info;
	static uint8_t text[128];
	int s = mbuf_open();
	uint64_t key = key_new(s);
	unsigned int i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct opened o = { .buf = text, .len = sizeof(text) };
		int64_t h = seal(s, key, text, rows[i].len, NULL, 0,
				 rows[i].pad);

		ASSERT_LT(0, h);
		ASSERT_EQ(0, mbuf_handle_info(s, (uint64_t)h, &info));
		EXPECT_EQ(rows[i].shown, info.size);
		ASSERT_EQ(0, unseal(s, key, (uint64_t)h, &o));
		EXPECT_EQ(rows[i].len, o.len);
	}
	EXPECT_EQ(-EINVAL, seal(s, key, text, 1, NULL, 0, (1 << 24) + 1));
	close(s);
}

/* A key that can only seal, one that can only unseal, and one that is another. */
TEST_F(queue, rights_of_a_key)
{
	int s = mbuf_open();
	uint64_t key = key_new(s), other = key_new(s), in = 0, out = 0, again = 0;
	uint64_t none = 0;
	int64_t sealed;

	ASSERT_EQ(0, mbuf_handle_copy(s, key, 0, MBUF_RIGHT_SEAL |
				      MBUF_RIGHT_COPY, &in));
	ASSERT_EQ(0, mbuf_handle_copy(s, key, 0, MBUF_RIGHT_UNSEAL |
				      MBUF_RIGHT_COPY, &out));
	ASSERT_EQ(0, mbuf_handle_copy(s, key, 0, MBUF_RIGHT_COPY, &none));
	EXPECT_EQ(-EACCES, seal(s, out, "text", 4, NULL, 0, 0));
	EXPECT_EQ(-EACCES, seal(s, none, "text", 4, NULL, 0, 0));
	sealed = seal(s, in, "text", 4, NULL, 0, 0);
	ASSERT_LT(0, sealed);
	EXPECT_EQ(-EACCES, opens_to(s, in, (uint64_t)sealed, "text"));
	EXPECT_EQ(-EACCES, opens_to(s, none, (uint64_t)sealed, "text"));
	EXPECT_EQ(-EKEYREJECTED, opens_to(s, other, (uint64_t)sealed, "text"));
	EXPECT_EQ(0, opens_to(s, out, (uint64_t)sealed, "text"));
	EXPECT_EQ(0, opens_to(s, key, (uint64_t)sealed, "text"));
	/* What a copy lacks no copy of it gets back. */
	EXPECT_EQ(-EINVAL, mbuf_handle_copy(s, in, 0, MBUF_RIGHT_UNSEAL,
					    &again));
	EXPECT_EQ(-EINVAL, mbuf_handle_move(s, in, 0, MBUF_RIGHT_UNSEAL,
					    &again));
	ASSERT_EQ(0, mbuf_handle_copy(s, in, 0, 0, &again));
	EXPECT_EQ(-EACCES, opens_to(s, again, (uint64_t)sealed, "text"));
	/* No key, and no sealed message. */
	EXPECT_EQ(-ENOTTY, opens_to(s, (uint64_t)sealed, (uint64_t)sealed,
				    "text"));
	EXPECT_EQ(-ENOTTY, opens_to(s, key, other, "text"));
	EXPECT_EQ(-ENOTTY, seal(s, (uint64_t)sealed, "x", 1, NULL, 0, 0));
	EXPECT_EQ(-ENOENT, seal(s, 1000, "x", 1, NULL, 0, 0));
	EXPECT_EQ(-ENOENT, opens_to(s, key, 1000, "text"));
	/* Revoked keys; the sealed message is still there for the first. */
	EXPECT_EQ(4, mbuf_handle_revoke(s, key));
	EXPECT_EQ(-EKEYREVOKED, opens_to(s, out, (uint64_t)sealed, "text"));
	EXPECT_EQ(-EKEYREVOKED, seal(s, in, "x", 1, NULL, 0, 0));
	EXPECT_EQ(0, opens_to(s, key, (uint64_t)sealed, "text"));
	/* A sealed message keeps its key, whose last handle may go. */
	ASSERT_EQ(0, mbuf_handle_delete(s, key));
	EXPECT_EQ(-EKEYREJECTED, opens_to(s, other, (uint64_t)sealed, "text"));
	close(s);
}

/* Through queues, into tables, copied, and dropped one by one. */
TEST_F(queue, passed_on)
{
	int s = mbuf_open(), t = mbuf_open(), i;
	uint64_t key = key_new(s), table = 0, key_copy = 0, sealed, h;
	struct mbuf_cap caps[64], cap;
	struct mbuf_handle_info info;
	int64_t ret;

	ASSERT_EQ(0, cap_queue(s, 4, 2, &self->rfd, &self->sfd));
	ret = seal(s, key, "secret", 6, NULL, 0, 16);
	ASSERT_LT(0, ret);
	sealed = (uint64_t)ret;
	ASSERT_EQ(0, mbuf_table_create(s, 0, &table));
	for (i = 0; i < 5; i++) {
		h = 0;
		ASSERT_EQ(0, mbuf_handle_copy(s, sealed, table, 0, &h));
	}
	EXPECT_EQ(0, opens_to(s, key, PATH(table, 3), "secret"));
	/* To another session, whose holder has no key. */
	cap = mbuf_cap_handle(sealed);
	ASSERT_EQ(0, send_caps(self->sfd, s, "x", &cap, 1));
	ASSERT_EQ(1, recv_caps(self->rfd, t, "x", caps, MBUF_RECV_LOOK));
	EXPECT_EQ(MBUF_CAP_SEALED, caps[0].type);
	ASSERT_EQ(1, recv_caps(self->rfd, t, "x", caps, 0));
	EXPECT_EQ(MBUF_CAP_SEALED, caps[0].type);
	EXPECT_EQ(MBUF_REF_HANDLE, caps[0].ref.flags);
	h = caps[0].ref.handle;
	ASSERT_EQ(0, mbuf_handle_info(t, h, &info));
	EXPECT_EQ(16, info.size);
	EXPECT_EQ(-EKEYREJECTED, opens_to(t, key_new(t), h, "secret"));
	/* Then with it: once the key has come as well. */
	ASSERT_EQ(0, mbuf_handle_copy(s, key, 0, MBUF_RIGHT_UNSEAL |
				      MBUF_RIGHT_PASS, &key_copy));
	cap = mbuf_cap_move(key_copy);
	ASSERT_EQ(0, send_caps(self->sfd, s, "x", &cap, 1));
	ASSERT_EQ(1, recv_caps(self->rfd, t, "x", caps, 0));
	EXPECT_EQ(0, opens_to(t, caps[0].ref.handle, h, "secret"));
	EXPECT_EQ(-EACCES, seal(t, caps[0].ref.handle, "x", 1, NULL, 0, 0));
	/* The first goes; copies are as good, until they are revoked. */
	ASSERT_EQ(0, mbuf_handle_delete(s, table));
	EXPECT_EQ(0, opens_to(t, caps[0].ref.handle, h, "secret"));
	EXPECT_EQ(1, mbuf_handle_revoke(s, sealed));
	EXPECT_EQ(-EKEYREVOKED, opens_to(t, caps[0].ref.handle, h, "secret"));
	EXPECT_EQ(0, opens_to(s, key, sealed, "secret"));
	close(t);
	close(s);
}

/* Capabilities are given out as often as it is unsealed, and closed in the end. */
TEST_F(queue, with_capabilities)
{
	struct mbuf_cap cap[3], out[4];
	int s = mbuf_open(), p[2], i, fds;
	uint64_t key = key_new(s), h = 0, copy = 0;
	uint8_t buf[16];
	struct opened o;
	struct mbuf_query q;
	int64_t sealed;
	char c;

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	ASSERT_EQ(0, mbuf_handle_put(s, p[1], 0, 0, &h));
	cap[0] = mbuf_cap_fd(p[1]);
	cap[1] = mbuf_cap_handle(h);
	cap[2] = mbuf_cap_handle(key);
	sealed = seal(s, key, "abc", 3, cap, 3, 0);
	ASSERT_LT(0, sealed);
	ASSERT_EQ(0, mbuf_query(s, &q));
	EXPECT_EQ(self->before.caps.used + 3, q.caps.used);
	close(p[1]);
	fds = count_fds();
	for (i = 0; i < 3; i++) {
		o = (struct opened){ .buf = buf, .len = sizeof(buf),
				     .caps = out, .nr = 4,
				     .flags = i == 2 ? MBUF_RECV_HANDLES : 0 };
		ASSERT_EQ(0, unseal(s, key, (uint64_t)sealed, &o));
		EXPECT_EQ(3, o.nr);
		EXPECT_EQ(3, o.len);
		EXPECT_EQ(0, out[0].error);
		EXPECT_EQ(MBUF_CAP_FILE, out[0].type);
		EXPECT_EQ(MBUF_CAP_KEY, out[2].type);
		EXPECT_EQ(MBUF_REF_HANDLE, out[2].ref.flags);
		EXPECT_EQ(0, mbuf_handle_delete(s, out[2].ref.handle));
		EXPECT_EQ(fds + (i < 2 ? 2 : 0), count_fds());
		if (i < 2) {
			EXPECT_EQ(1, write(out[0].ref.fd, "x", 1));
			EXPECT_TRUE(same_file(out[0].ref.fd, out[1].ref.fd));
			EXPECT_EQ(FD_CLOEXEC, fcntl(out[1].ref.fd, F_GETFD));
			close(out[0].ref.fd);
			close(out[1].ref.fd);
			EXPECT_EQ(1, read(p[0], &c, 1));
		} else {
			ASSERT_EQ(0, mbuf_handle_delete(s, out[0].ref.handle));
			ASSERT_EQ(0, mbuf_handle_delete(s, out[1].ref.handle));
		}
	}
	/* Too little room: nothing is given out, and it says how much. */
	o = (struct opened){ .buf = buf, .len = sizeof(buf), .caps = out,
			     .nr = 2 };
	EXPECT_EQ(-EMSGSIZE, unseal(s, key, (uint64_t)sealed, &o));
	EXPECT_EQ(3, o.nr);
	EXPECT_EQ(3, o.len);
	o = (struct opened){ .buf = buf, .len = sizeof(buf) };
	EXPECT_EQ(-EMSGSIZE, unseal(s, key, (uint64_t)sealed, &o));
	EXPECT_EQ(3, o.nr);
	EXPECT_EQ(fds, count_fds());
	/* As long as one handle is left. */
	ASSERT_EQ(0, mbuf_handle_delete(s, h));
	ASSERT_EQ(0, mbuf_handle_copy(s, (uint64_t)sealed, 0, 0, &copy));
	ASSERT_EQ(0, mbuf_handle_delete(s, (uint64_t)sealed));
	ASSERT_EQ(0, fcntl(p[0], F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, xread(p[0], &c, 1));
	ASSERT_EQ(0, fcntl(p[0], F_SETFL, 0));
	ASSERT_EQ(0, mbuf_handle_delete(s, copy));
	EXPECT_EQ(0, read(p[0], &c, 1));
	close(p[0]);
	close(s);
}

/* All capabilities, or none. */
TEST_F(queue, no_descriptor_is_free)
{
	struct mbuf_cap cap[3], out[3];
	int s = mbuf_open(), fds, free_fd;
	uint64_t key = key_new(s);
	struct rlimit old, low;
	struct mbuf_handle_info before, after;
	uint8_t buf[8];
	struct opened o;
	int64_t sealed, one;

	cap[1] = mbuf_cap_handle(key);
	make_queue(1, 16, 0);
	cap[0] = mbuf_cap_fd(self->sfd);
	cap[2] = mbuf_cap_fd(self->sfd);
	sealed = seal(s, key, "abc", 3, cap, 3, 0);
	ASSERT_LT(0, sealed);
	one = seal(s, key, "abc", 3, cap, 1, 0);
	ASSERT_LT(0, one);
	ASSERT_EQ(0, mbuf_handle_info(s, 0, &before));
	fds = count_fds();
	free_fd = dup(s);
	close(free_fd);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	low = old;
	for (low.rlim_cur = (rlim_t)free_fd;
	     low.rlim_cur < (rlim_t)free_fd + 2; low.rlim_cur++) {
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
		o = (struct opened){ .buf = buf, .len = sizeof(buf),
				     .caps = out, .nr = 3 };
		EXPECT_EQ(-EMFILE, unseal(s, key, (uint64_t)sealed, &o));
		if (low.rlim_cur > (rlim_t)free_fd)
			continue;
		o = (struct opened){ .buf = buf, .len = sizeof(buf),
				     .caps = out, .nr = 3 };
		EXPECT_EQ(-EMFILE, unseal(s, key, (uint64_t)one, &o));
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(fds, count_fds());
	ASSERT_EQ(0, mbuf_handle_info(s, 0, &after));
	EXPECT_EQ(before.size, after.size);
	o = (struct opened){ .buf = buf, .len = sizeof(buf), .caps = out,
			     .nr = 3 };
	ASSERT_EQ(0, unseal(s, key, (uint64_t)sealed, &o));
	close(out[0].ref.fd);
	close(out[2].ref.fd);
	close(s);
}

/* What was revoked meanwhile cannot be given out, and so nothing is. */
TEST_F(queue, revoked_inside)
{
	struct mbuf_cap cap[2], out[2];
	int s = mbuf_open(), fds;
	uint64_t key = key_new(s), h = 0;
	uint8_t buf[8];
	struct opened o = { .buf = buf, .len = sizeof(buf), .caps = out,
			    .nr = 2 };
	int64_t sealed;

	make_queue(1, 16, 0);
	ASSERT_EQ(0, mbuf_handle_put(s, self->sfd, 0, 0, &h));
	cap[0] = mbuf_cap_fd(self->sfd);
	cap[1] = mbuf_cap_handle(h);
	sealed = seal(s, key, "abc", 3, cap, 2, 0);
	ASSERT_LT(0, sealed);
	fds = count_fds();
	ASSERT_EQ(0, unseal(s, key, (uint64_t)sealed, &o));
	close(out[0].ref.fd);
	close(out[1].ref.fd);
	EXPECT_EQ(1, mbuf_handle_revoke(s, h));
	o.len = sizeof(buf);
	o.nr = 2;
	EXPECT_EQ(-EKEYREVOKED, unseal(s, key, (uint64_t)sealed, &o));
	EXPECT_EQ(fds, count_fds());
	close(s);
}

/* Sealed in sealed, so often and not more. */
TEST_F(queue, nested)
{
	int s = mbuf_open(), p[2], i;
	uint64_t key = key_new(s), inner = 0;
	struct mbuf_cap cap, out;
	uint8_t buf[8];
	int64_t h;
	char c;

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	cap = mbuf_cap_fd(p[1]);
	for (i = 1; i <= 16; i++) {
		h = seal(s, key, "x", 1, &cap, 1, 0);
		ASSERT_LT(0, h) {
			TH_LOG("level %d", i);
		}
		if (inner)
			ASSERT_EQ(0, mbuf_handle_delete(s, inner));
		inner = (uint64_t)h;
		cap = mbuf_cap_handle(inner);
	}
	close(p[1]);
	EXPECT_EQ(-ELOOP, seal(s, key, "x", 1, &cap, 1, 0));
	/* And out again. */
	for (i = 16; i >= 1; i--) {
		struct opened o = { .buf = buf, .len = 8, .caps = &out,
				    .nr = 1 };

		ASSERT_EQ(0, unseal(s, key, inner, &o));
		ASSERT_EQ(1, o.nr);
		ASSERT_EQ(0, mbuf_handle_delete(s, inner));
		if (i > 1)
			inner = out.ref.handle;
	}
	ASSERT_GE(out.ref.fd, 0);
	close(out.ref.fd);
	EXPECT_EQ(0, read(p[0], &c, 1));
	close(p[0]);

	/* All that is in it goes with the outermost. */
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	cap = mbuf_cap_fd(p[1]);
	for (i = 1; i <= 16; i++) {
		h = seal(s, key, "x", 1, &cap, 1, 0);
		ASSERT_LT(0, h);
		if (i > 1)
			ASSERT_EQ(0, mbuf_handle_delete(s, inner));
		inner = (uint64_t)h;
		cap = mbuf_cap_handle(inner);
	}
	close(p[1]);
	close(s);
	EXPECT_EQ(0, read(p[0], &c, 1));
	close(p[0]);
}

/* What has one holder cannot be sealed, and stays where it is. */
TEST_F(queue, what_cannot_be_sealed)
{
	struct mbuf_message_create m = {
		.inbox_msg = 8, .sent.fd = -1, .arrived.fd = -1,
	};
	int s = mbuf_open(), sfd;
	uint64_t key = key_new(s), recv = 0, table = 0, reply = 0, h = 0;
	struct mbuf_handle_info before, after;
	struct mbuf_cap cap;

	ASSERT_EQ(0, cap_queue_handle(s, 1, 1, &recv, &sfd));
	ASSERT_EQ(0, mbuf_table_create(s, 0, &table));
	ASSERT_EQ(0, mbuf_message_create(s, &m));
	ASSERT_EQ(0, mbuf_message_grant(s, m.handle, 0, MBUF_GRANT_ONCE,
					&reply));
	ASSERT_EQ(0, mbuf_handle_put(s, sfd, 0, MBUF_RIGHT_SEND |
				     MBUF_RIGHT_COPY, &h));
	ASSERT_EQ(0, mbuf_handle_info(s, 0, &before));
	cap = mbuf_cap_handle(recv);
	EXPECT_EQ(-EOPNOTSUPP, seal(s, key, "x", 1, &cap, 1, 0));
	cap = mbuf_cap_move(recv);
	EXPECT_EQ(-EINVAL, seal(s, key, "x", 1, &cap, 1, 0));
	cap = mbuf_cap_move(key);
	EXPECT_EQ(-EINVAL, seal(s, key, "x", 1, &cap, 1, 0));
	cap = mbuf_cap_move(reply);
	EXPECT_EQ(-EINVAL, seal(s, key, "x", 1, &cap, 1, 0));
	cap = mbuf_cap_handle(reply);
	EXPECT_EQ(-EOPNOTSUPP, seal(s, key, "x", 1, &cap, 1, 0));
	cap = mbuf_cap_handle(m.handle);
	EXPECT_EQ(-EOPNOTSUPP, seal(s, key, "x", 1, &cap, 1, 0));
	cap = mbuf_cap_handle(h);
	EXPECT_EQ(-EACCES, seal(s, key, "x", 1, &cap, 1, 0));
	cap = mbuf_cap_handle(1000);
	EXPECT_EQ(-ENOENT, seal(s, key, "x", 1, &cap, 1, 0));
	cap = mbuf_cap_fd(s);
	EXPECT_EQ(-EOPNOTSUPP, seal(s, key, "x", 1, &cap, 1, 0));
	cap = mbuf_cap_fd(-1);
	EXPECT_EQ(-EBADF, seal(s, key, "x", 1, &cap, 1, 0));
	EXPECT_EQ(-EFAULT, seal(s, key, (void *)8, 1, NULL, 0, 0));
	ASSERT_EQ(0, mbuf_handle_info(s, 0, &after));
	EXPECT_EQ(before.size, after.size);
	EXPECT_EQ(0, handle_works(s, recv, sfd));
	close(sfd);
	close(s);
}

/* Without the key nothing can be done but to hold it: every call is tried. */
TEST_F(queue, holder_without_the_key)
{
	static const unsigned long cmds[] = {
		MBUF_IOC_SEND, MBUF_IOC_RECV, MBUF_IOC_SEND_BATCH,
		MBUF_IOC_RECV_BATCH, MBUF_IOC_QUEUE_INFO, MBUF_IOC_SEND_CAPS,
		MBUF_IOC_RECV_CAPS, MBUF_IOC_HANDLE_OPEN,
		MBUF_IOC_MESSAGE_LOAD, MBUF_IOC_MESSAGE_ENQUEUE,
		MBUF_IOC_MESSAGE_CANCEL, MBUF_IOC_MESSAGE_INFO,
		MBUF_IOC_MESSAGE_GRANT, MBUF_IOC_SEAL, MBUF_IOC_UNSEAL,
		MBUF_IOC_TABLE_CREATE, MBUF_IOC_TABLE_LIST,
	};
	int s = mbuf_open(), t = mbuf_open();
	uint64_t key = key_new(s), other = key_new(t), h;
	struct mbuf_handle_info info;
	struct mbuf_cap cap, caps[64];
	unsigned int i, j;
	int64_t sealed;
	char c;
	int p[2];

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	ASSERT_EQ(0, cap_queue(s, 1, 1, &self->rfd, &self->sfd));
	cap = mbuf_cap_fd(p[1]);
	sealed = seal(s, key, "secret", 6, &cap, 1, 0);
	ASSERT_LT(0, sealed);
	close(p[1]);
	cap = mbuf_cap_handle((uint64_t)sealed);
	ASSERT_EQ(0, send_caps(self->sfd, s, "x", &cap, 1));
	ASSERT_EQ(1, recv_caps(self->rfd, t, "x", caps, 0));
	h = caps[0].ref.handle;

	for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		/* With whatever else may be in the struct, too. */
		for (j = 0; j < 4; j++) {
			uint64_t arg[64] = { h };
			uint8_t room[512];
			long ret;

			poison(room, sizeof(room));
			if (j == 1)
				memset(arg + 1, 0xff, sizeof(arg) - 8);
			if (j >= 2) {
				unsigned int k;

				for (k = 1; k < _IOC_SIZE(cmds[i]) / 8; k++)
					arg[k] = j == 2 ? (uintptr_t)room : h;
			}
			ret = xioctl(t, cmds[i], arg);
			EXPECT_GT(0, ret) {
				TH_LOG("command 0x%lx, way %u", cmds[i], j);
			}
			EXPECT_TRUE(is_poison(room, sizeof(room)));
		}
	}
	/* As a struct that is right but for the key. */
	{
		uint8_t buf[16];
		struct opened o = { .buf = buf, .len = sizeof(buf),
				    .caps = caps, .nr = 4 };
		struct mbuf_msg msg = msg_of(buf, sizeof(buf));
		struct mbuf_message_info minfo;
		struct mbuf_queue_info qinfo;

		poison(buf, sizeof(buf));
		EXPECT_EQ(-EKEYREJECTED, unseal(t, other, h, &o));
		EXPECT_EQ(-ENOTTY, unseal(t, h, h, &o));
		EXPECT_EQ(-ENOENT, unseal(t, 500, h, &o));
		EXPECT_EQ(-EOPNOTSUPP, mbuf_handle_open(t, h));
		EXPECT_EQ(-ENOTTY, mbuf_handle_recv(t, h, &msg, NULL, NULL, 0,
						    MBUF_NOW));
		EXPECT_EQ(-ENOTTY, mbuf_handle_recv(t, h, &msg, NULL, NULL,
						    MBUF_RECV_LOOK, MBUF_NOW));
		EXPECT_EQ(-ENOTTY, mbuf_handle_send(t, h, &msg, NULL, 0,
						    MBUF_NOW));
		EXPECT_EQ(-ENOTTY, mbuf_message_load(t, h, "y", 1, NULL, 0));
		EXPECT_EQ(-ENOTTY, mbuf_message_enqueue(t, h, self->sfd));
		EXPECT_EQ(-ENOTTY, mbuf_message_info(t, h, &minfo));
		EXPECT_EQ(-ENOTTY, mbuf_handle_queue_info(t, h, &qinfo));
		EXPECT_TRUE(is_poison(buf, sizeof(buf)));
	}
	/* Not even as an owner of more rights. */
	{
		uint64_t moved = 0;

		EXPECT_EQ(-EINVAL, mbuf_handle_move(t, h, 0, MBUF_RIGHT_UNSEAL,
						    &moved));
		EXPECT_EQ(-EINVAL, mbuf_handle_copy(t, h, 0, MBUF_RIGHT_OPEN,
						    &moved));
	}
	/* What is known of it is what it may know; it is unchanged. */
	ASSERT_EQ(0, mbuf_handle_info(t, h, &info));
	EXPECT_EQ(MBUF_CAP_SEALED, info.type);
	EXPECT_EQ(6, info.size);
	{
		uint8_t buf[16];
		struct opened o = { .buf = buf, .len = sizeof(buf),
				    .caps = caps, .nr = 4 };

		ASSERT_EQ(0, unseal(s, key, (uint64_t)sealed, &o));
		EXPECT_EQ(6, o.len);
		EXPECT_EQ(0, memcmp(buf, "secret", 6));
		EXPECT_EQ(1, o.nr);
		close(caps[0].ref.fd);
	}
	/* The last handle goes with the other session. */
	close(s);
	ASSERT_EQ(0, fcntl(p[0], F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, xread(p[0], &c, 1));
	ASSERT_EQ(0, fcntl(p[0], F_SETFL, 0));
	close(t);
	EXPECT_EQ(0, read(p[0], &c, 1));
	close(p[0]);
}

/* In flight and never received, or revoked there. */
TEST_F(queue, dropped_on_the_way)
{
	int s = mbuf_open(), p[2], way;
	struct mbuf_cap cap, caps[64];
	uint64_t key = key_new(s);
	int64_t sealed;
	char c;

	for (way = 0; way < 2; way++) {
		ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
		ASSERT_EQ(0, cap_queue(s, 1, 1, &self->rfd, &self->sfd));
		cap = mbuf_cap_fd(p[1]);
		sealed = seal(s, key, "x", 1, &cap, 1, 0);
		ASSERT_LT(0, sealed);
		close(p[1]);
		if (way) {
			cap = mbuf_cap_handle((uint64_t)sealed);
			ASSERT_EQ(0, send_caps(self->sfd, s, "x", &cap, 1));
			EXPECT_EQ(1, mbuf_handle_revoke(s, (uint64_t)sealed));
			ASSERT_EQ(1, recv_caps(self->rfd, s, "x", caps, 0));
			EXPECT_EQ(-EKEYREVOKED, caps[0].error);
			EXPECT_EQ(-1, caps[0].ref.fd);
			ASSERT_EQ(0, mbuf_handle_delete(s, (uint64_t)sealed));
		} else {
			cap = mbuf_cap_move((uint64_t)sealed);
			ASSERT_EQ(0, send_caps(self->sfd, s, "x", &cap, 1));
		}
		close_fd(&self->rfd);
		EXPECT_EQ(0, read(p[0], &c, 1));
		close_fd(&self->sfd);
		close(p[0]);
	}
	close(s);
}

TEST_HARNESS_MAIN
