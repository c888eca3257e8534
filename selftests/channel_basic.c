// SPDX-License-Identifier: GPL-2.0
/*
 * Channels: making them, WRITE, READ and SIGNAL, read() and write(), what is
 * seen from outside, what they cost and who pays. Waiting is in channel_wait.
 */
#include <sys/resource.h>
#include "channel.h"

TEST_F(channel, query)
{
	/* Other features have tests of their own. */
	EXPECT_EQ(MBUF_FEATURE_CHANNEL, self->q.features & MBUF_FEATURE_CHANNEL);
	EXPECT_EQ(ANY_MAX, self->q.wait_any_max);
}

TEST_F(channel, create)
{
	struct mbuf_channel_create c = create_of(0, 0);
	struct mbuf_channel_info info;
	int i;

	c.end[0].id = 0;
	c.end[1].id = 1ull << 63;	/* is not looked at */
	ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CHANNEL_CREATE, &c));
	self->a = c.end[0].ref.fd;
	self->b = c.end[1].ref.fd;
	EXPECT_LE(0, self->a);
	EXPECT_LE(0, self->b);
	EXPECT_NE(self->a, self->b);
	EXPECT_NE(0, c.end[0].id);
	EXPECT_NE(0, c.end[1].id);
	EXPECT_NE(c.end[0].id, c.end[1].id);
	EXPECT_EQ(0, c.target);
	EXPECT_EQ(0, c.flags);
	EXPECT_EQ(0, c.resv);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, c.end[i].ref.flags);
		EXPECT_EQ(0, c.end[i].ref.handle);
		EXPECT_EQ(100 + i, c.end[i].cookie);
		EXPECT_EQ(0, c.end[i].flags);
		EXPECT_EQ(0, c.end[i].resv);
		EXPECT_EQ(O_RDWR, fcntl(c.end[i].ref.fd, F_GETFL));
		EXPECT_EQ(FD_CLOEXEC, fcntl(c.end[i].ref.fd, F_GETFD));
		info = ch_info(c.end[i].ref.fd);
		EXPECT_EQ(c.end[i].id, info.id);
		EXPECT_EQ(c.end[!i].id, info.peer_id);
	}
}

TEST_F(channel, create_flags)
{
	uint32_t flags[2], known = MBUF_END_NONBLOCK | MBUF_END_DETACHED |
				   MBUF_END_MAP;
	struct mbuf_channel_create c;
	int i;

	if (self->q.features & MBUF_FEATURE_THREAD)
		known |= MBUF_END_THREAD;
	/* All combinations of both ends. */
	for (flags[0] = 0; flags[0] <= known; flags[0]++) {
		if (flags[0] & ~known)
			continue;
		for (flags[1] = 0; flags[1] <= known; flags[1]++) {
			if (flags[1] & ~known)
				continue;
			c = create_of(flags[0], flags[1]);
			ASSERT_EQ(0, xioctl(self->session,
					    MBUF_IOC_CHANNEL_CREATE, &c)) {
				TH_LOG("flags %#x and %#x", flags[0], flags[1]);
			}
			for (i = 0; i < 2; i++) {
				int fd = c.end[i].ref.fd;

				ASSERT_EQ(flags[i], ch_info(fd).flags);
				ASSERT_EQ(flags[i] & MBUF_END_NONBLOCK ?
					  O_RDWR | O_NONBLOCK : O_RDWR,
					  fcntl(fd, F_GETFL));
				ASSERT_EQ(flags[i], c.end[i].flags);
			}
			close(c.end[0].ref.fd);
			close(c.end[1].ref.fd);
		}
	}
}

/* A cookie is any number, and need not be the only one of its kind. */
TEST_F(channel, cookies)
{
	const uint64_t cookies[] = { 0, 1, UINT64_MAX, 1ull << 63 };
	struct mbuf_channel_create c;
	struct mbuf_event ev[2];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cookies); i++) {
		c = create_of(0, 0);
		c.end[0].cookie = cookies[i];
		c.end[1].cookie = cookies[i];
		ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CHANNEL_CREATE,
				    &c));
		ASSERT_EQ(0, ch_signal(c.end[0].ref.fd));
		ASSERT_EQ(1, ch_poll_all(self->session, ev, 2, MBUF_NOW));
		EXPECT_EQ(cookies[i], ev[0].cookie);
		EXPECT_EQ(MBUF_EVENT_IN, ev[0].events);
		EXPECT_EQ(0, ev[0].resv);
		close(c.end[0].ref.fd);
		close(c.end[1].ref.fd);
	}
}

TEST_F(channel, identity)
{
	uint64_t ids[400];
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(ids); i += 2) {
		struct mbuf_channel_create c = create_of(0, 0);

		ASSERT_EQ(0, xioctl(self->session, MBUF_IOC_CHANNEL_CREATE,
				    &c));
		ids[i] = c.end[0].id;
		ids[i + 1] = c.end[1].id;
		close(c.end[0].ref.fd);
		close(c.end[1].ref.fd);
	}
	for (i = 0; i < ARRAY_SIZE(ids); i++)
		for (j = 0; j < i; j++)
			ASSERT_NE(ids[i], ids[j]);
}

TEST_F(channel, nothing_there_yet)
{
	struct mbuf_exchange x;
	struct value zero = {};
	int i, fds[2];

	make_channel(0);
	fds[0] = self->a;
	fds[1] = self->b;
	for (i = 0; i < 2; i++) {
		x = xchg_of(MBUF_STEP_READ, 0, MBUF_FOREVER);
		ASSERT_EQ(0, ch_xchg(fds[i], &x));
		EXPECT_EQ(0, memcmp(x.data, &zero, sizeof(zero)));
		EXPECT_EQ(0, x.seq);
		EXPECT_EQ(0, x.signals);
		EXPECT_EQ(0, x.state);
		EXPECT_EQ(0, x.done);
		EXPECT_EQ(0, x.resv);
		EXPECT_EQ(-EAGAIN, ch_wait(fds[i], MBUF_NOW));
		EXPECT_EQ(-ETIMEDOUT, ch_wait(fds[i], 1));
		ASSERT_EQ(0, set_nonblock(fds[i], true));
		EXPECT_EQ(-EAGAIN, fd_take(fds[i]));
		EXPECT_EQ(-EAGAIN, ch_wait(fds[i], MBUF_FOREVER));
		EXPECT_EQ(-EAGAIN, ch_take(fds[i], in_ms(100000)));
	}
}

TEST_F(channel, write_and_read)
{
	uint64_t i;

	make_channel(0);
	for (i = 1; i <= 50; i++) {
		ASSERT_EQ(0, ch_write(self->a, i));
		/* It is there, as often as one looks, and only there. */
		EXPECT_EQ((int64_t)i, ch_look(self->b));
		EXPECT_EQ((int64_t)i, ch_look(self->b));
		EXPECT_EQ(i, ch_info(self->b).seq);
		EXPECT_EQ(i, ch_info(self->a).peer_seq);
		EXPECT_EQ((int64_t)(i - 1) * 1000, ch_look(self->a));
		EXPECT_EQ(i - 1, ch_info(self->a).seq);
		ASSERT_EQ(0, ch_write(self->b, i * 1000));
		EXPECT_EQ((int64_t)i * 1000, ch_look(self->a));
		EXPECT_EQ((int64_t)i, ch_look(self->b));
	}
	/* Without a signal nobody is told. */
	EXPECT_EQ(-EAGAIN, ch_wait(self->a, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, ch_wait(self->b, MBUF_NOW));
}

/* Every bit of the slot. */
TEST_F(channel, any_bytes)
{
	struct mbuf_exchange w, r;
	unsigned int i;

	make_channel(0);
	for (i = 0; i < 8 * MBUF_SLOT_SIZE + 2; i++) {
		w = xchg_of(STEPS_PUT, 0, MBUF_NOW);
		memset(w.data, i == 8 * MBUF_SLOT_SIZE ? 0xff : 0,
		       sizeof(w.data));
		if (i < 8 * MBUF_SLOT_SIZE)
			w.data[i / 8] = (uint8_t)(1 << i % 8);
		ASSERT_EQ(0, ch_xchg(self->a, &w));
		r = xchg_of(STEPS_TAKE, 0, MBUF_NOW);
		ASSERT_EQ(0, ch_xchg(self->b, &r));
		ASSERT_EQ(0, memcmp(r.data, w.data, sizeof(r.data)));
	}
}

TEST_F(channel, signals_add_up)
{
	struct mbuf_exchange x;
	uint64_t n, i;

	make_channel(0);
	for (n = 1; n < 2000; n = n * 3 + 1) {
		for (i = 0; i < n; i++)
			ASSERT_EQ(0, i % 2 ? ch_put(self->a, n) :
				     ch_signal(self->a));
		EXPECT_EQ(n, ch_info(self->b).signals);
		EXPECT_EQ(n, ch_info(self->a).peer_signals);
		EXPECT_EQ(0, ch_info(self->a).signals);
		/* Looking takes none. */
		x = xchg_of(MBUF_STEP_READ, 0, MBUF_NOW);
		ASSERT_EQ(0, ch_xchg(self->b, &x));
		EXPECT_EQ(n, x.signals);
		/* Waiting takes all. */
		EXPECT_EQ((int64_t)n, ch_wait(self->b, MBUF_FOREVER));
		EXPECT_EQ(0, ch_info(self->b).signals);
		EXPECT_EQ(-EAGAIN, ch_wait(self->b, MBUF_NOW));
	}
	/* A signal without a value is one. */
	EXPECT_EQ(0, ch_look(self->a));
	ASSERT_EQ(0, ch_signal(self->b));
	EXPECT_EQ(0, ch_take(self->a, MBUF_FOREVER));
	EXPECT_EQ(0, ch_info(self->a).seq);
}

/* As many as can be had in a test; 2^32 cannot. */
TEST_F(channel, many_signals)
{
	const int64_t n = 70000;	/* more than 16 bits */
	int64_t i;

	make_channel(0);
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, ch_signal(self->a));
	EXPECT_EQ(n, ch_info(self->b).signals);
	EXPECT_EQ(n, ch_wait(self->b, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, ch_wait(self->b, MBUF_NOW));
	for (i = 0; i < n; i++)
		ASSERT_EQ(0, ch_write(self->a, (uint64_t)i));
	EXPECT_EQ(n, (int64_t)ch_info(self->b).seq);
	EXPECT_EQ(-EAGAIN, ch_wait(self->b, MBUF_NOW));
}

/*
 * All sets of steps, with and without a value and signals of the peer's: what
 * each does, and what it sets and leaves alone.
 */
TEST_F(channel, every_set_of_steps)
{
	uint32_t steps;
	int pending;

	for (steps = 1; steps <= STEPS_ALL; steps++) {
		for (pending = 0; pending <= 2; pending++) {
			bool wait = steps & MBUF_STEP_WAIT, ok;
			struct mbuf_exchange x, was;
			struct value v;
			int i;

			make_channel(0);
			ASSERT_EQ(0, ch_write(self->b, 5));
			ASSERT_EQ(0, ch_write(self->b, 6));
			for (i = 0; i < pending; i++)
				ASSERT_EQ(0, ch_signal(self->b));

			x = xchg_of(steps, 7, MBUF_NOW);
			was = x;
			ok = !wait || pending;
			EXPECT_EQ(ok ? 0 : -EAGAIN, ch_xchg(self->a, &x)) {
				TH_LOG("steps %#x, %d pending", steps, pending);
			}
			if (ok) {
				EXPECT_EQ(0, x.done);
				EXPECT_EQ(0, x.state);
				EXPECT_EQ(pending, x.signals);
				EXPECT_EQ(2, x.seq);
			} else {
				EXPECT_EQ(steps & STEPS_PUT, x.done);
			}
			v = value_of(6);
			if (ok && steps & MBUF_STEP_READ) {
				EXPECT_EQ(0, memcmp(x.data, &v, sizeof(v)));
			} else {
				EXPECT_EQ(0, memcmp(x.data, was.data,
						    sizeof(x.data)));
			}
			EXPECT_EQ(0, memcmp(&x.wait, &was.wait,
					    sizeof(x.wait)));
			EXPECT_EQ(steps, x.steps);
			EXPECT_EQ(0, x.target);
			EXPECT_EQ(0, x.resv);

			/* What it did here and there. */
			EXPECT_EQ(wait ? 0 : pending, ch_info(self->a).signals);
			EXPECT_EQ(2, ch_info(self->a).seq);
			EXPECT_EQ(!!(steps & MBUF_STEP_SIGNAL),
				  ch_info(self->b).signals);
			EXPECT_EQ(!!(steps & MBUF_STEP_WRITE),
				  ch_info(self->b).seq);
			EXPECT_EQ(steps & MBUF_STEP_WRITE ? 7 : 0,
				  ch_look(self->b));
			close_channel();
		}
	}
}

/* WRITE comes before READ also where both are one thread's. */
TEST_F(channel, ends_are_not_mixed_up)
{
	struct mbuf_exchange x;

	make_channel(0);
	ASSERT_EQ(0, ch_write(self->b, 1));
	x = xchg_of(MBUF_STEP_WRITE | MBUF_STEP_READ, 2, MBUF_NOW);
	ASSERT_EQ(0, ch_xchg(self->a, &x));
	EXPECT_EQ(1, value_num(x.data));
	x = xchg_of(MBUF_STEP_WRITE | MBUF_STEP_READ, 3, MBUF_NOW);
	ASSERT_EQ(0, ch_xchg(self->b, &x));
	EXPECT_EQ(2, value_num(x.data));
	EXPECT_EQ(3, ch_look(self->a));
}

/*
 * read() and write()
 */
TEST_F(channel, read_and_write_sizes)
{
	const size_t sizes[] = { 33, 40, 64, 4096 };
	uint8_t buf[4096];
	struct value v;
	size_t i;

	make_channel(MBUF_END_NONBLOCK);
	/* Nothing else than 32 bytes is written. */
	memset(buf, 1, sizeof(buf));
	EXPECT_EQ(-EINVAL, xwrite(self->a, buf, 0));
	EXPECT_EQ(-EINVAL, xread(self->b, buf, 0));
	for (i = 1; i < MBUF_SLOT_SIZE; i++)
		EXPECT_EQ(-EMSGSIZE, xwrite(self->a, buf, i));
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		EXPECT_EQ(-EMSGSIZE, xwrite(self->a, buf, sizes[i]));
	EXPECT_EQ(0, ch_info(self->b).seq);
	EXPECT_EQ(0, ch_info(self->b).signals);

	/* Too little room takes nothing. */
	ASSERT_EQ(0, fd_put(self->a, 9));
	EXPECT_EQ(1, ch_info(self->b).seq);
	EXPECT_EQ(1, ch_info(self->b).signals);
	poison(buf, sizeof(buf));
	EXPECT_EQ(-EINVAL, xread(self->b, buf, 0));
	for (i = 1; i < MBUF_SLOT_SIZE; i++)
		EXPECT_EQ(-EMSGSIZE, xread(self->b, buf, i));
	EXPECT_TRUE(is_poison(buf, sizeof(buf)));
	EXPECT_EQ(1, ch_info(self->b).signals);

	/* More is not touched. */
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		poison(buf, sizeof(buf));
		EXPECT_EQ(MBUF_SLOT_SIZE, xread(self->b, buf, sizes[i]));
		EXPECT_EQ(9 + (int)i, value_num(buf));
		EXPECT_TRUE(is_poison(buf + MBUF_SLOT_SIZE,
				      sizeof(buf) - MBUF_SLOT_SIZE));
		EXPECT_EQ(-EAGAIN, xread(self->b, buf, sizes[i]));
		ASSERT_EQ(0, fd_put(self->a, 10 + i));
	}
	EXPECT_EQ(MBUF_SLOT_SIZE, xread(self->b, &v, sizeof(v)));
	EXPECT_EQ(9 + (int)i, value_num(&v));
}

TEST_F(channel, vectors)
{
	struct value v = value_of(3), got;
	struct iovec iov[33];
	size_t cut, i;

	make_channel(MBUF_END_NONBLOCK);
	for (cut = 0; cut <= sizeof(v); cut++) {
		iov[0] = (struct iovec){ &v, cut };
		iov[1] = (struct iovec){ (char *)&v + cut, sizeof(v) - cut };
		EXPECT_EQ(sizeof(v), (size_t)writev(self->a, iov, 2));
		poison(&got, sizeof(got));
		iov[0] = (struct iovec){ &got, cut };
		iov[1] = (struct iovec){ (char *)&got + cut,
					 sizeof(v) - cut };
		EXPECT_EQ(sizeof(v), (size_t)readv(self->b, iov, 2));
		EXPECT_EQ(3, value_num(&got));
	}
	/* One byte each, and one of nothing. */
	iov[32] = (struct iovec){ NULL, 0 };
	for (i = 0; i < sizeof(v); i++)
		iov[i] = (struct iovec){ (char *)&v + i, 1 };
	EXPECT_EQ(sizeof(v), (size_t)writev(self->a, iov, 33));
	poison(&got, sizeof(got));
	for (i = 0; i < sizeof(v); i++)
		iov[i] = (struct iovec){ (char *)&got + i, 1 };
	EXPECT_EQ(sizeof(v), (size_t)readv(self->b, iov, 33));
	EXPECT_EQ(3, value_num(&got));

	/* The sum counts. */
	iov[0] = (struct iovec){ &v, 16 };
	iov[1] = (struct iovec){ (char *)&v + 16, 15 };
	EXPECT_EQ(-EMSGSIZE, sys_result(writev(self->a, iov, 2)));
	EXPECT_EQ(-EMSGSIZE, sys_result(readv(self->b, iov, 2)));
	/* Of nothing the kernel does not even ask us. */
	iov[1].iov_len = 0;
	iov[0].iov_len = 0;
	EXPECT_EQ(0, sys_result(writev(self->a, iov, 2)));
	EXPECT_EQ(0, sys_result(readv(self->b, iov, 2)));
	EXPECT_EQ(34, ch_info(self->b).seq);
	EXPECT_EQ(0, ch_info(self->b).signals);
}

TEST_F(channel, read_waits_and_reads)
{
	make_channel(MBUF_END_NONBLOCK);
	/* A value without a signal is not for read(). */
	ASSERT_EQ(0, ch_write(self->a, 1));
	EXPECT_EQ(-EAGAIN, fd_take(self->b));
	EXPECT_EQ(1, ch_look(self->b));
	/* It takes all signals, and gets the newest value. */
	ASSERT_EQ(0, fd_put(self->a, 2));
	ASSERT_EQ(0, fd_put(self->a, 3));
	ASSERT_EQ(0, ch_signal(self->a));
	EXPECT_EQ(3, ch_info(self->b).signals);
	EXPECT_EQ(3, fd_take(self->b));
	EXPECT_EQ(0, ch_info(self->b).signals);
	EXPECT_EQ(-EAGAIN, fd_take(self->b));
	/* A signal for what was read already, or for nothing. */
	ASSERT_EQ(0, ch_signal(self->a));
	EXPECT_EQ(3, fd_take(self->b));
	ASSERT_EQ(0, ch_signal(self->b));
	EXPECT_EQ(0, fd_take(self->a));
}

TEST_F(channel, rwf_nowait)
{
	struct value v = value_of(5);
	struct iovec iov = { &v, sizeof(v) };

	make_channel(0);
	EXPECT_EQ(-EAGAIN,
		  sys_result(preadv2(self->b, &iov, 1, -1, RWF_NOWAIT)));
	EXPECT_EQ(32, sys_result(pwritev2(self->a, &iov, 1, -1, RWF_NOWAIT)));
	EXPECT_EQ(32, sys_result(preadv2(self->b, &iov, 1, -1, RWF_NOWAIT)));
	EXPECT_EQ(5, value_num(&v));
	EXPECT_EQ(-EAGAIN,
		  sys_result(preadv2(self->b, &iov, 1, -1, RWF_NOWAIT)));
}

TEST_F(channel, no_file_position)
{
	struct value v = value_of(5);
	struct iovec iov = { &v, sizeof(v) };
	int fds[2], i;

	make_channel(0);
	ASSERT_EQ(0, ch_put(self->a, 1));
	ASSERT_EQ(0, ch_put(self->b, 1));
	fds[0] = self->a;
	fds[1] = self->b;
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-ESPIPE, sys_result(lseek(fds[i], 0, SEEK_CUR)));
		EXPECT_EQ(-ESPIPE, sys_result(lseek(fds[i], 0, SEEK_END)));
		EXPECT_EQ(-EINVAL, sys_result(ftruncate(fds[i], 0)));
		EXPECT_EQ(-EINVAL, sys_result(fsync(fds[i])));
		EXPECT_EQ(-ESPIPE, sys_result(pread(fds[i], &v, 32, 0)));
		EXPECT_EQ(-ESPIPE, sys_result(preadv(fds[i], &iov, 1, 0)));
		EXPECT_EQ(-ESPIPE, sys_result(pwrite(fds[i], &v, 32, 0)));
		EXPECT_EQ(-ESPIPE, sys_result(pwritev(fds[i], &iov, 1, 0)));
		EXPECT_EQ(1, ch_info(fds[i]).signals);
		EXPECT_EQ(1, ch_info(fds[i]).seq);
	}
}

/* Memory that is none. */
TEST_F(channel, faults)
{
	struct mbuf_exchange *x;
	void *none, *volatile null = NULL;
	struct guarded g;
	unsigned int fit;

	make_channel(MBUF_END_NONBLOCK);
	none = map_pages(page_size(), PROT_NONE);
	ASSERT_NE(NULL, none);
	EXPECT_EQ(-EFAULT, xwrite(self->a, none, 32));
	EXPECT_EQ(-EFAULT, xwrite(self->a, null, 32));
	for (fit = 1; fit < 32; fit++) {
		ASSERT_TRUE(guarded_alloc(&g, fit));
		EXPECT_EQ(-EFAULT, xwrite(self->a, g.p, 32));
		guarded_free(&g);
	}
	EXPECT_EQ(0, ch_info(self->b).seq);
	EXPECT_EQ(0, ch_info(self->b).signals);

	/* Signals that could not be reported are pending again. */
	ASSERT_EQ(0, ch_put(self->a, 4));
	ASSERT_EQ(0, ch_put(self->a, 5));
	EXPECT_EQ(-EFAULT, xread(self->b, none, 32));
	EXPECT_EQ(-EFAULT, xread(self->b, null, 32));
	for (fit = 1; fit < 32; fit++) {
		ASSERT_TRUE(guarded_alloc(&g, fit));
		EXPECT_EQ(-EFAULT, xread(self->b, g.p, 32));
		EXPECT_EQ(2, ch_info(self->b).signals);
		guarded_free(&g);
	}
	x = map_pages(sizeof(*x), PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, x);
	*x = xchg_of(STEPS_ALL, 1, MBUF_NOW);
	ASSERT_EQ(0, mprotect(x, page_size(), PROT_READ));
	EXPECT_EQ(-EFAULT, ch_xchg(self->b, x));
	EXPECT_EQ(2, ch_info(self->b).signals);
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(self->b, POLLIN | POLLOUT));
	/* What was signalled stays so. */
	EXPECT_EQ(1, ch_info(self->a).signals);
	EXPECT_EQ(1, ch_look(self->a));
	EXPECT_EQ(5, fd_take(self->b));
	munmap(x, sizeof(*x));
	munmap(none, page_size());
}

/*
 * Files
 */
TEST_F(channel, dup_is_the_same_end)
{
	int d[3], i;

	make_channel(0);
	for (i = 0; i < 3; i++) {
		d[i] = dup(self->a);
		ASSERT_LE(0, d[i]);
		EXPECT_EQ(ch_info(self->a).id, ch_info(d[i]).id);
	}
	close_fd(&self->a);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(POLLOUT, poll_now(self->b, POLL_ALL));
		EXPECT_EQ(0, ch_put(d[i], (uint64_t)i));
		EXPECT_EQ(i, ch_take(self->b, MBUF_NOW));
		EXPECT_EQ(0, ch_put(self->b, (uint64_t)i));
		EXPECT_EQ(i, fd_take(d[i]));
		close(d[i]);
	}
	EXPECT_EQ(POLLHUP, poll_now(self->b, POLL_ALL));
	EXPECT_EQ(-EPIPE, ch_wait(self->b, MBUF_FOREVER));
}

struct child_arg {
	int a, b, go;
};

static int holding_child(void *arg)
{
	struct child_arg *c = arg;
	char byte;

	close(c->b);
	CHECK_EQ(0, ch_put(c->a, 77));
	CHECK_EQ(1, xread(c->go, &byte, 1));
	return 0;
}

TEST_F(channel, ends_are_inherited)
{
	struct child_arg c;
	int p[2];
	pid_t pid;

	make_channel(0);
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	c = (struct child_arg){ .a = self->a, .b = self->b, .go = p[0] };
	pid = spawn(holding_child, &c);
	ASSERT_LT(0, pid);
	close_fd(&self->a);
	EXPECT_EQ(77, ch_take(self->b, MBUF_FOREVER));
	EXPECT_EQ(POLLOUT, poll_now(self->b, POLL_ALL));
	ASSERT_EQ(1, xwrite(p[1], "x", 1));
	EXPECT_EQ(-EPIPE, ch_take(self->b, MBUF_FOREVER));
	EXPECT_EQ(0, reap(pid));
	close(p[0]);
	close(p[1]);
}

#define EXEC_ENV	"MBUF_SELFTEST_EXEC"

/* The program that exec_child() runs: this one, with EXEC_ENV set. */
__attribute__((constructor)) static void exec_helper(void)
{
	const char *env = getenv(EXEC_ENV);
	int kept, gone;
	char *rest;

	if (!env)
		return;
	kept = (int)strtol(env, &rest, 10);
	gone = (int)strtol(rest + 1, NULL, 10);
	CHECK_EQ(-1, fcntl(gone, F_GETFD));
	CHECK_EQ(5, ch_take(kept, MBUF_FOREVER));
	CHECK_EQ(-EPIPE, ch_take(kept, MBUF_FOREVER));
	_exit(42);
}

static int exec_child(void *arg)
{
	struct child_arg *c = arg;
	char value[32];

	snprintf(value, sizeof(value), "%d,%d", c->b, c->a);
	CHECK_EQ(0, setenv(EXEC_ENV, value, 1));
	CHECK_EQ(0, fcntl(c->b, F_SETFD, 0));
	execl("/proc/self/exe", "exec-helper", NULL);
	return 98;
}

TEST_F(channel, exec_keeps_and_closes)
{
	struct child_arg c;
	pid_t pid;

	make_channel(0);
	c = (struct child_arg){ .a = self->a, .b = self->b };
	pid = spawn(exec_child, &c);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, ch_put(self->a, 5));
	close_fd(&self->a);
	EXPECT_EQ(42, reap(pid));
}

TEST_F(channel, ends_are_passed)
{
	int sv[2], fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	make_channel(0);
	ASSERT_EQ(1, pass_fd(sv[0], self->a));
	close_fd(&self->a);
	/* In flight it is alive: what is written to it waits there. */
	EXPECT_EQ(POLLOUT, poll_now(self->b, POLL_ALL));
	ASSERT_EQ(0, ch_put(self->b, 8));
	fd = take_fd(sv[1]);
	ASSERT_LE(0, fd);
	EXPECT_EQ(8, ch_take(fd, MBUF_NOW));
	EXPECT_EQ(0, ch_put(fd, 9));
	EXPECT_EQ(9, ch_take(self->b, MBUF_NOW));

	/* One that is never taken goes when its socket goes. */
	ASSERT_EQ(1, pass_fd(sv[0], fd));
	close(fd);
	close(sv[0]);
	close(sv[1]);
	EXPECT_TRUE(EVENTUALLY(ch_put(self->b, 1) == -EPIPE));
}

TEST_F(channel, outlives_its_session)
{
	int session, end[2];

	session = mbuf_open();
	ASSERT_LE(0, session);
	ASSERT_EQ(0, ch_create(session, 0, end));
	ASSERT_EQ(0, ch_put(end[0], 1));
	close(session);
	EXPECT_EQ(1, ch_take(end[1], MBUF_NOW));
	EXPECT_EQ(0, ch_put(end[1], 2));
	EXPECT_EQ(2, ch_take(end[0], MBUF_NOW));
	close(end[0]);
	close(end[1]);
}

TEST_F(channel, no_reopening)
{
	int modes[] = { O_RDONLY, O_WRONLY, O_RDWR }, fds[2], i, j;
	char path[64];

	make_channel(0);
	fds[0] = self->a;
	fds[1] = self->b;
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
		for (j = 0; j < 3; j++) {
			EXPECT_EQ(-1, open(path, modes[j] | O_CLOEXEC));
			EXPECT_EQ(ENXIO, errno);
		}
	}
}

TEST_F(channel, pins_the_module)
{
	long before = module_users();

	if (before < 0)
		SKIP(return, "no " MODULE_REFCNT ": mbuf is built in");
	make_channel(0);
	EXPECT_EQ(before + 2, module_users());
	close_fd(&self->a);
	EXPECT_EQ(before + 1, module_users());
	close_fd(&self->b);
	EXPECT_EQ(before, module_users());
}

/*
 * What is seen from outside
 */
TEST_F(channel, info)
{
	struct mbuf_channel_info i;

	make_channel(MBUF_END_MAP);
	poison(&i, sizeof(i));
	i.target = 0;
	i.resv = 0;
	ASSERT_EQ(0, xioctl(self->a, MBUF_IOC_CHANNEL_INFO, &i));
	EXPECT_EQ(0, i.target);
	EXPECT_EQ(MBUF_END_MAP, i.flags);
	EXPECT_EQ(0, i.state);
	EXPECT_EQ(0, i.seq);
	EXPECT_EQ(0, i.peer_seq);
	EXPECT_EQ(0, i.signals);
	EXPECT_EQ(0, i.peer_signals);
	EXPECT_EQ(0, i.waiters);
	EXPECT_EQ(0, i.resv);

	ASSERT_EQ(0, ch_write(self->a, 1));
	ASSERT_EQ(0, ch_write(self->a, 1));
	ASSERT_EQ(0, ch_write(self->a, 1));
	ASSERT_EQ(0, ch_write(self->b, 1));
	ASSERT_EQ(0, ch_signal(self->a));
	ASSERT_EQ(0, ch_signal(self->b));
	ASSERT_EQ(0, ch_signal(self->b));
	i = ch_info(self->a);
	EXPECT_EQ(1, i.seq);
	EXPECT_EQ(3, i.peer_seq);
	EXPECT_EQ(2, i.signals);
	EXPECT_EQ(1, i.peer_signals);
	i = ch_info(self->b);
	EXPECT_EQ(3, i.seq);
	EXPECT_EQ(1, i.peer_seq);
	EXPECT_EQ(1, i.signals);
	EXPECT_EQ(2, i.peer_signals);

	/* It changes nothing, and goes on when the peer is gone. */
	EXPECT_EQ(2, ch_wait(self->a, MBUF_NOW));
	ASSERT_EQ(0, ch_signal(self->b));
	close_fd(&self->b);
	i = ch_info(self->a);
	EXPECT_EQ(MBUF_END_CLOSED, i.state);
	EXPECT_EQ(1, i.seq);
	EXPECT_EQ(1, i.signals);
	EXPECT_EQ(0, i.waiters);
}

TEST_F(channel, fdinfo)
{
	struct mbuf_channel_info info;
	char path[64], text[2048];
	int fds[2], n;

	make_channel(MBUF_END_MAP);
	ASSERT_EQ(0, ch_put(self->a, 1));
	ASSERT_EQ(0, ch_put(self->a, 1));
	ASSERT_EQ(0, ch_write(self->b, 1));
	fds[0] = self->a;
	fds[1] = self->b;
	for (n = 0; n < 2; n++) {
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fds[n]);
		ASSERT_TRUE(read_file(path, text, sizeof(text)));
		info = ch_info(fds[n]);
		EXPECT_STREQ("channel", fdinfo_value(text, "mbuf-type"));
		EXPECT_EQ(info.id, strtoull(fdinfo_value(text, "mbuf-id"), NULL,
					    16));
		EXPECT_EQ(info.peer_id,
			  strtoull(fdinfo_value(text, "mbuf-peer-id"), NULL,
				   16));
		EXPECT_FDINFO(info.flags, text, "mbuf-flags");
		EXPECT_FDINFO(info.state, text, "mbuf-state");
		EXPECT_FDINFO(n ? 2 : 1, text, "mbuf-seq");
		EXPECT_FDINFO(n ? 2 : 0, text, "mbuf-signals");
		EXPECT_FDINFO(0, text, "mbuf-waiters");
	}
}

/* What ls -l /proc/PID/fd shows. */
TEST_F(channel, link_names)
{
	char path[64], name[64];
	ssize_t len;

	make_channel(0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->a);
	len = readlink(path, name, sizeof(name) - 1);
	ASSERT_LT(0, len);
	name[len] = '\0';
	EXPECT_NE(NULL, strstr(name, "mbuf"));
	EXPECT_NE(NULL, strstr(name, "channel"));
}

/*
 * Values are whole
 */
struct traffic {
	int fd;
	uint64_t nr, seen;
	bool by_write;		/* write() instead of WRITE */
	_Atomic bool *stop;
	const char *wrong;
	pthread_t thread;
};

/* Numbers from 1 on. If there is only one writer they are the seq, too. */
static void *writing(void *arg)
{
	struct traffic *t = arg;
	uint64_t i;
	int ret;

	for (i = 1; i <= t->nr; i++) {
		ret = t->by_write ? fd_put(t->fd, i) : ch_write(t->fd, i);
		if (ret) {
			t->wrong = "cannot write";
			break;
		}
		t->seen = i;
	}
	return NULL;
}

static void *reading(void *arg)
{
	struct traffic *t = arg;
	uint64_t last = 0;
	bool stop;

	do {
		struct mbuf_exchange x = xchg_of(MBUF_STEP_READ, 0, MBUF_NOW);
		int64_t num;

		stop = atomic_load(t->stop);
		if (ch_xchg(t->fd, &x)) {
			t->wrong = "cannot read";
			break;
		}
		num = value_num(x.data);
		if (num < 0)
			t->wrong = "the value is torn";
		else if (!t->by_write && (uint64_t)num != x.seq)
			t->wrong = "the value is not that of its number";
		else if (x.seq < last)
			t->wrong = "an older value";
		last = x.seq;
		t->seen++;
	} while (!stop && !t->wrong);
	return NULL;
}

#define EXPECT_OK(what) do {						\
	const char *__wrong = (what);					\
									\
	EXPECT_EQ(NULL, __wrong) {					\
		TH_LOG("%s", __wrong);					\
	}								\
} while (0)

TEST_F(channel, never_torn)
{
	struct traffic w = { .nr = 60000 }, r[2] = {};
	_Atomic bool stop = false;
	int i;

	make_channel(0);
	w.fd = self->a;
	for (i = 0; i < 2; i++) {
		r[i].fd = self->b;
		r[i].stop = &stop;
		ASSERT_EQ(0, pthread_create(&r[i].thread, NULL, reading,
					    &r[i]));
	}
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, writing, &w));
	pthread_join(w.thread, NULL);
	stop = true;
	for (i = 0; i < 2; i++) {
		pthread_join(r[i].thread, NULL);
		EXPECT_OK(r[i].wrong);
		EXPECT_LT(0, r[i].seen);
	}
	EXPECT_OK(w.wrong);
	EXPECT_EQ((int64_t)w.nr, ch_look(self->b));
	EXPECT_EQ(w.nr, ch_info(self->b).seq);
	EXPECT_EQ(0, ch_info(self->b).signals);
}

/* Several write to one slot, by different means; all is counted. */
TEST_F(channel, many_writers)
{
	struct traffic w[4] = {}, r = {};
	_Atomic bool stop = false;
	int i;

	make_channel(0);
	r.fd = self->b;
	r.by_write = true;
	r.stop = &stop;
	ASSERT_EQ(0, pthread_create(&r.thread, NULL, reading, &r));
	for (i = 0; i < 4; i++) {
		w[i].fd = self->a;
		w[i].nr = 10000;
		w[i].by_write = i % 2;
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, writing,
					    &w[i]));
	}
	for (i = 0; i < 4; i++) {
		pthread_join(w[i].thread, NULL);
		EXPECT_OK(w[i].wrong);
	}
	stop = true;
	pthread_join(r.thread, NULL);
	EXPECT_OK(r.wrong);
	EXPECT_EQ(40000, ch_info(self->b).seq);
	EXPECT_EQ(20000, ch_info(self->b).signals);
	EXPECT_EQ(20000, ch_wait(self->b, MBUF_NOW));
}

/* A slot has no trace of other channels'. */
TEST_F(channel, no_stale_values)
{
	struct value zero = {};
	struct mbuf_exchange x;
	int i, j, end[2];

	for (i = 0; i < 300; i++) {
		ASSERT_EQ(0, ch_create(self->session, i % 2 ? MBUF_END_MAP : 0,
				       end));
		for (j = 0; j < 2; j++) {
			x = xchg_of(MBUF_STEP_READ, 0, MBUF_NOW);
			ASSERT_EQ(0, ch_xchg(end[j], &x));
			ASSERT_EQ(0, memcmp(x.data, &zero, sizeof(zero)));
			ASSERT_EQ(0, x.seq);
			ASSERT_EQ(0, x.signals);
		}
		ASSERT_EQ(0, ch_put(end[0], UINT64_MAX));
		ASSERT_EQ(0, ch_put(end[1], UINT64_MAX));
		close(end[0]);
		close(end[1]);
	}
}

/*
 * Who pays
 */
static struct mbuf_query query_of(int session)
{
	struct mbuf_query q = {};

	mbuf_query(session, &q);
	return q;
}

TEST_F(channel, each_end_is_charged)
{
	uint64_t objects = self->q.objects.used, memory = self->q.memory.used;
	uint64_t plain, mapped;

	make_channel(0);
	plain = query_of(self->session).memory.used - memory;
	EXPECT_EQ(objects + 2, query_of(self->session).objects.used);
	EXPECT_LT(2 * MBUF_SLOT_SIZE, plain);
	/* Where locks are debugged they are larger than what they protect. */
	if (access("/proc/lockdep_stats", F_OK))
		EXPECT_GE(2 * 256, plain);
	/* Traffic costs nothing. */
	ASSERT_EQ(0, ch_put(self->a, 1));
	ASSERT_EQ(0, ch_put(self->b, 1));
	EXPECT_EQ(memory + plain, query_of(self->session).memory.used);
	EXPECT_EQ(self->q.inflight.used, query_of(self->session).inflight.used);

	close_fd(&self->a);
	EXPECT_EQ(objects + 1, query_of(self->session).objects.used);
	close_fd(&self->b);
	EXPECT_EQ(objects, query_of(self->session).objects.used);
	EXPECT_EQ(memory, query_of(self->session).memory.used);

	/* An end that can be mapped has a page of its own. */
	make_channel(MBUF_END_MAP);
	mapped = query_of(self->session).memory.used - memory;
	EXPECT_LE(plain + 2 * page_size() - 2 * MBUF_SLOT_SIZE, mapped);
	EXPECT_GE(plain + 2 * page_size(), mapped);
	close_channel();
}

#define PARAM_OBJECTS	"/sys/module/mbuf/parameters/objects_limit"
#define PARAM_MEMORY	"/sys/module/mbuf/parameters/memory_limit"

struct limits {
	uint64_t objects, memory;
};

/* As a user with few objects, then with little memory. */
static int limited_child(void *arg)
{
	struct mbuf_channel_create c = create_of(0, 0);
	int session = mbuf_open(), end[3][2], i, fds;
	bool by_memory = *(bool *)arg;
	struct mbuf_query q;

	CHECK(session >= 0);
	fds = count_fds();
	CHECK_EQ(1, query_of(session).objects.used);
	for (i = 0; i < 2; i++)
		CHECK_EQ(0, ch_create(session, by_memory ? MBUF_END_MAP : 0,
				      end[i]));
	q = query_of(session);
	CHECK_EQ(5, q.objects.used);
	/* There is room for one end, but not for two. */
	for (i = 0; i < 3; i++) {
		c = create_of(by_memory ? MBUF_END_MAP : 0,
			      by_memory ? MBUF_END_MAP : 0);
		CHECK_EQ(-EDQUOT, xioctl(session, MBUF_IOC_CHANNEL_CREATE, &c));
		CHECK_EQ(-77, c.end[0].ref.fd);
		CHECK_EQ(-77, c.end[1].ref.fd);
		CHECK_EQ(q.objects.used, query_of(session).objects.used);
		CHECK_EQ(q.memory.used, query_of(session).memory.used);
	}
	CHECK_EQ(fds + 4, count_fds());
	/* When one is gone altogether there is room for another. */
	close(end[0][0]);
	close(end[0][1]);
	CHECK_EQ(0, ch_create(session, by_memory ? MBUF_END_MAP : 0, end[2]));
	CHECK_EQ(q.objects.used, query_of(session).objects.used);
	CHECK_EQ(q.memory.used, query_of(session).memory.used);
	return 0;
}

TEST_F(channel, limits)
{
	char objects[32], memory[32];
	uint64_t was, session, channel;
	bool by_memory = false;

	NEED_ROOT();
	ASSERT_TRUE(read_file(PARAM_OBJECTS, objects, sizeof(objects)));
	ASSERT_TRUE(read_file(PARAM_MEMORY, memory, sizeof(memory)));
	was = query_of(self->session).memory.used;
	ASSERT_TRUE(write_file(PARAM_OBJECTS, "6"));
	EXPECT_EQ(0, run_as(TEST_UID, limited_child, &by_memory));
	ASSERT_TRUE(write_file(PARAM_OBJECTS, "%s", objects));

	/* What a session and a channel that can be mapped cost. */
	self->a = mbuf_open();
	ASSERT_LE(0, self->a);
	session = query_of(self->session).memory.used - was;
	close_fd(&self->a);
	make_channel(MBUF_END_MAP);
	channel = query_of(self->session).memory.used - was;
	close_channel();
	by_memory = true;
	ASSERT_TRUE(write_file(PARAM_MEMORY, "%llu", (unsigned long long)
			       (session + 2 * channel + channel / 2)));
	EXPECT_EQ(0, run_as(TEST_UID, limited_child, &by_memory));
	ASSERT_TRUE(write_file(PARAM_MEMORY, "%s", memory));
}

TEST_F(channel, no_descriptor_left)
{
	struct mbuf_channel_create c;
	struct mbuf_query before, now;
	struct rlimit was, lim;
	int i, fd;

	before = query_of(self->session);
	fd = dup(self->session);
	ASSERT_LE(0, fd);
	close(fd);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &was));
	/* None is free, and then one. */
	for (i = 0; i < 2; i++) {
		lim = was;
		lim.rlim_cur = (rlim_t)fd + (rlim_t)i;
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
		c = create_of(0, 0);
		EXPECT_EQ(-EMFILE,
			  xioctl(self->session, MBUF_IOC_CHANNEL_CREATE, &c));
		EXPECT_EQ(-77, c.end[0].ref.fd);
		EXPECT_EQ(-77, c.end[1].ref.fd);
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &was));
		now = query_of(self->session);
		EXPECT_EQ(0, memcmp(&before, &now, sizeof(now)));
	}
	EXPECT_EQ(self->before.fds, count_fds());
}

/* The argument cannot be written: no descriptor may be left open. */
TEST_F(channel, create_and_fault)
{
	struct mbuf_channel_create *c;
	struct mbuf_query before, now;
	struct mbuf_event ev;

	c = map_pages(sizeof(*c), PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, c);
	*c = create_of(0, 0);
	ASSERT_EQ(0, mprotect(c, page_size(), PROT_READ));
	before = query_of(self->session);
	EXPECT_EQ(-EFAULT, xioctl(self->session, MBUF_IOC_CHANNEL_CREATE, c));
	EXPECT_EQ(self->before.fds, count_fds());
	EXPECT_TRUE(EVENTUALLY((now = query_of(self->session)).objects.used ==
			       before.objects.used));
	EXPECT_EQ(0, memcmp(&before, &now, sizeof(now)));
	EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, &ev, 1, MBUF_NOW));
	munmap(c, sizeof(*c));
}

/*
 * What the kernel has allocated for an endpoint beside its file, as its
 * allocator tells. Objects of the same size share a cache, under any name: what
 * belongs to files of all kinds is found by opening others.
 */
#define SLAB_ENDS	8000

struct slabs {
	unsigned int nr;
	struct slab {
		char name[64];
		uint64_t objects, size;
	} slab[512];
};

static int read_slabs(struct slabs *s)
{
	FILE *f = fopen("/proc/slabinfo", "r");
	unsigned long long active, total, size;
	char line[512];

	s->nr = 0;
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f) && s->nr < ARRAY_SIZE(s->slab)) {
		struct slab *l = &s->slab[s->nr];

		if (sscanf(line, "%63s %llu %llu %llu", l->name, &active,
			   &total, &size) != 4)
			continue;
		l->objects = active;
		l->size = size;
		s->nr++;
	}
	fclose(f);
	return 0;
}

/* How many of a cache there are. */
static uint64_t slab_objects(const struct slabs *s, const char *name)
{
	unsigned int i;

	for (i = 0; i < s->nr; i++)
		if (!strcmp(s->slab[i].name, name))
			return s->slab[i].objects;
	return 0;
}

TEST_F(channel, slab_per_endpoint)
{
	static struct slabs none, files, before, after;
	int (*end)[2] = calloc(SLAB_ENDS / 2, sizeof(*end));
	uint64_t charged, bytes = 0, more;
	struct rlimit lim = { SLAB_ENDS + 100, SLAB_ENDS + 100 };
	unsigned int i;

	NEED_ROOT();
	ASSERT_NE(NULL, end);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	if (read_slabs(&none))
		SKIP(return, "no /proc/slabinfo (CONFIG_SLUB_DEBUG)");
	for (i = 0; i < none.nr; i++)
		if (!strcmp(none.slab[i].name, "kmalloc-64") &&
		    none.slab[i].size != 64)
			SKIP(return, "objects are larger for debugging");
	/* This also gives the table of descriptors its size. */
	for (i = 0; i < SLAB_ENDS; i++) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		ASSERT_LE(0, fd);
		end[i / 2][i % 2] = fd;
	}
	ASSERT_EQ(0, read_slabs(&files));
	for (i = 0; i < SLAB_ENDS; i++)
		close(end[i / 2][i % 2]);

	/* Files are freed after a grace period of RCU. */
	EXPECT_TRUE(EVENTUALLY(!read_slabs(&before) &&
			       slab_objects(&before, "filp") <
			       slab_objects(&none, "filp") + SLAB_ENDS / 8));
	charged = query_of(self->session).memory.used;
	for (i = 0; i < SLAB_ENDS / 2; i++)
		ASSERT_EQ(0, ch_create(self->session, 0, end[i]));
	ASSERT_EQ(0, read_slabs(&after));
	charged = query_of(self->session).memory.used - charged;
	for (i = 0; i < after.nr; i++) {
		struct slab *s = &after.slab[i];

		/* Noise is what is less than one for four endpoints. */
		more = slab_objects(&files, s->name);
		if (more > slab_objects(&none, s->name) + SLAB_ENDS / 4)
			continue;
		/* What anonymous files have in place of a path. */
		if (!strcmp(s->name, "dentry"))
			continue;
		more = s->objects - slab_objects(&before, s->name);
		if ((int64_t)more < SLAB_ENDS / 4)
			continue;
		TH_LOG("%llu of %s, %llu bytes each", (unsigned long long)more,
		       s->name, (unsigned long long)s->size);
		bytes += more * s->size;
	}
	TH_LOG("%llu bytes of slab for an endpoint beside its file, %llu charged",
	       (unsigned long long)(bytes / SLAB_ENDS),
	       (unsigned long long)(charged / SLAB_ENDS));
	/* Where locks are debugged they are larger than what they protect. */
	if (access("/proc/lockdep_stats", F_OK))
		EXPECT_GE(256, bytes / SLAB_ENDS);
	EXPECT_LT(0, bytes);
	/* What is charged is what it takes, up to the allocator's rounding. */
	EXPECT_LE(charged / SLAB_ENDS, bytes / SLAB_ENDS + 8);
	for (i = 0; i < SLAB_ENDS / 2; i++) {
		close(end[i][0]);
		close(end[i][1]);
	}
	free(end);
}

TEST_HARNESS_MAIN
