// SPDX-License-Identifier: GPL-2.0
/* Message objects: what stands in line, their inboxes, and who is told. */
#include "cap.h"

#define LARGE	(1 << 20)

static uint64_t msg_new(int session, uint32_t max_msg, uint32_t max_caps,
			int sent)
{
	struct mbuf_message_create c = {
		.max_msg = max_msg,
		.max_caps = max_caps,
		.sent.fd = sent,
		.arrived.fd = -1,
	};

	return mbuf_message_create(session, &c) ? 0 : c.handle;
}

static uint64_t inbox_new(int session, uint32_t max_msg, uint32_t inbox_msg,
			  uint32_t inbox_caps, int arrived)
{
	struct mbuf_message_create c = {
		.max_msg = max_msg,
		.max_caps = inbox_caps,
		.inbox_msg = inbox_msg,
		.inbox_caps = inbox_caps,
		.sent.fd = -1,
		.arrived.fd = arrived,
	};

	return mbuf_message_create(session, &c) ? 0 : c.handle;
}

static int load_num(int session, uint64_t m, uint32_t num)
{
	return mbuf_message_load(session, m, &num, sizeof(num), NULL, 0);
}

/* A message object that has been loaded with a number. */
static uint64_t num_new(int session, uint32_t num, int sent)
{
	uint64_t m = msg_new(session, sizeof(num), 0, sent);

	return m && !load_num(session, m, num) ? m : 0;
}

static struct mbuf_message_info m_info(int session, uint64_t m)
{
	struct mbuf_message_info info = {};
	int ret = mbuf_message_info(session, m, &info);

	if (ret) {
		fprintf(stderr, "# MESSAGE_INFO: %s\n", mbuf_strerror(ret));
		memset(&info, 0xff, sizeof(info));
	}
	return info;
}

/* How often an eventfd was told since the last time. */
static uint64_t told(int efd)
{
	uint64_t n = 0;

	return read(efd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/* A number from a queue that a handle names, or -errno. */
static int64_t handle_num(int session, uint64_t handle, uint64_t deadline)
{
	uint32_t num = 0xdeadbeef;
	struct mbuf_msg msg = msg_of(&num, sizeof(num));
	int ret = mbuf_handle_recv(session, handle, &msg, NULL, NULL, 0,
				   deadline);

	if (ret < 0)
		return ret;
	return msg.len == sizeof(num) ? (int64_t)num : -EPROTO;
}

static int handle_send_num(int session, uint64_t handle, uint32_t num)
{
	struct mbuf_msg msg = msg_of(&num, sizeof(num));

	return mbuf_handle_send(session, handle, &msg, NULL, 0, MBUF_NOW);
}

/* Created, loaded, sent, and again. */
TEST_F(queue, again_and_again)
{
	struct mbuf_message_create c = {
		.max_msg = 16, .max_caps = 2, .sent.fd = -1, .arrived.fd = -1,
		.handle = 7,
	};
	struct mbuf_message_info info;
	int s = mbuf_open();
	uint32_t i;

	ASSERT_GE(s, 0);
	make_queue(2, 16, 0);
	ASSERT_EQ(0, mbuf_message_create(s, &c));
	EXPECT_EQ(7, c.handle);
	EXPECT_NE(0, c.id);
	info = m_info(s, 7);
	EXPECT_EQ(c.id, info.id);
	EXPECT_EQ(MBUF_MESSAGE_EMPTY, info.state);
	EXPECT_EQ(16, info.max_msg);
	EXPECT_EQ(2, info.max_caps);
	EXPECT_EQ(0, info.inbox);
	EXPECT_EQ(-ENODATA, mbuf_message_enqueue(s, 7, self->sfd));
	for (i = 1; i <= 20; i++) {
		ASSERT_EQ(0, load_num(s, 7, 77));
		/* What is loaded last counts. */
		ASSERT_EQ(0, load_num(s, 7, i));
		info = m_info(s, 7);
		EXPECT_EQ(MBUF_MESSAGE_LOADED, info.state);
		EXPECT_EQ(4, info.len);
		ASSERT_EQ(0, mbuf_message_enqueue(s, 7, self->sfd));
		info = m_info(s, 7);
		EXPECT_EQ(MBUF_MESSAGE_EMPTY, info.state);
		EXPECT_EQ(0, info.len);
		EXPECT_EQ(i, info.delivered);
		EXPECT_EQ(-ENODATA, mbuf_message_enqueue(s, 7, self->sfd));
		EXPECT_EQ(-EALREADY, mbuf_message_cancel(s, 7));
		EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
	}
	EXPECT_EQ(0, mbuf_handle_delete(s, 7));
	EXPECT_EQ(-ENOENT, mbuf_message_info(s, 7, &info));
	close(s);
}

/* Who waits for a message gets it at once, and nobody is told. */
TEST_F(queue, receiver_waits)
{
	int s = mbuf_open(), efd = eventfd(0, EFD_NONBLOCK);
	uint32_t num = 0;
	struct party p = {
		.op = OP_RECV, .buf = &num, .len = sizeof(num),
		.deadline = MBUF_FOREVER,
	};
	uint64_t m;

	make_queue(1, 16, 0);
	m = num_new(s, 11, efd);
	ASSERT_NE(0, m);
	p.fd = self->rfd;
	ASSERT_TRUE(party_start(&p));
	ASSERT_SLEEPERS(self->sfd, 1, 0);
	EXPECT_EQ(0, mbuf_message_enqueue(s, m, self->sfd));
	EXPECT_EQ(4, party_join(&p));
	EXPECT_EQ(11, num);
	EXPECT_EQ(0, told(efd));
	close(efd);
	close(s);
}

/* It stands in line where there is no room, and enters when there is. */
TEST_F(queue, parked)
{
	int s = mbuf_open(), efd = eventfd(0, EFD_NONBLOCK);
	struct mbuf_message_info info;
	struct mbuf_queue_info q;
	uint64_t m;
	int i;

	make_queue(1, 16, 0);
	m = msg_new(s, 16, 0, efd);
	ASSERT_NE(0, m);
	for (i = 1; i <= 5; i++) {
		ASSERT_EQ(0, load_num(s, m, 2));
		ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
		ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
		q = get_info(self->rfd);
		EXPECT_EQ(1, q.send_waiters);
		EXPECT_EQ(2, q.senders);
		info = m_info(s, m);
		EXPECT_EQ(MBUF_MESSAGE_PARKED, info.state);
		EXPECT_EQ(q.id, info.dest);
		EXPECT_EQ(-EBUSY, mbuf_message_enqueue(s, m, self->sfd));
		EXPECT_EQ(-EBUSY, load_num(s, m, 3));
		EXPECT_EQ(0, told(efd));
		EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(1, told(efd));
		EXPECT_EQ(0, told(efd));
		EXPECT_EQ(1, get_info(self->rfd).senders);
		info = m_info(s, m);
		EXPECT_EQ(MBUF_MESSAGE_EMPTY, info.state);
		EXPECT_EQ(0, info.dest);
		EXPECT_EQ(i, (int)info.delivered);
		EXPECT_EQ(-EALREADY, mbuf_message_cancel(s, m));
		EXPECT_EQ(2, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
	}
	close(efd);
	close(s);
}

/* An endpoint that is told signals its peer: once for each. */
TEST_F(queue, an_endpoint_is_told)
{
	int s = mbuf_open(), end[2];
	struct mbuf_channel_info info = {};
	uint64_t m;

	make_queue(1, 16, 0);
	ASSERT_EQ(0, mbuf_channel_create(s, MBUF_END_DETACHED, end));
	m = num_new(s, 2, end[0]);
	ASSERT_NE(0, m);
	ASSERT_EQ(0, mbuf_message_enqueue(s, m, self->sfd));
	ASSERT_EQ(0, mbuf_channel_info(end[1], &info));
	EXPECT_EQ(0, info.signals);
	ASSERT_EQ(0, load_num(s, m, 3));
	ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
	EXPECT_EQ(2, recv_num(self->rfd, MBUF_NOW));
	ASSERT_EQ(0, mbuf_channel_info(end[1], &info));
	EXPECT_EQ(1, info.signals);
	/* When the endpoint is gone nobody is told, and no harm is done. */
	close(end[0]);
	ASSERT_EQ(0, load_num(s, m, 4));
	ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
	EXPECT_EQ(3, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(4, recv_num(self->rfd, MBUF_NOW));
	close(end[1]);
	close(s);
}

/* In the line of those who sleep, each in its turn. */
TEST_F(queue, in_order_of_arrival)
{
	struct party p[8] = {};
	uint32_t num[8];
	int s = mbuf_open();
	unsigned int i;

	make_queue(1, 16, 0);
	ASSERT_EQ(0, send_num(self->sfd, 100, MBUF_NOW));
	for (i = 0; i < 8; i++) {
		if (i % 3 == 1) {
			uint64_t m = num_new(s, i, -1);

			ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
		} else {
			num[i] = i;
			p[i] = (struct party){
				.op = OP_SEND, .fd = self->sfd, .buf = &num[i],
				.len = 4, .deadline = MBUF_FOREVER,
			};
			ASSERT_TRUE(party_start(&p[i]));
		}
		ASSERT_SLEEPERS(self->rfd, 0, i + 1);
	}
	EXPECT_EQ(100, recv_num(self->rfd, MBUF_NOW));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(i, recv_num(self->rfd, MBUF_NOW));
	for (i = 0; i < 8; i++)
		if (p[i].fd)
			EXPECT_EQ(0, party_join(&p[i]));
	close(s);
}

/* The highest priority first, and in order within one. */
TEST_F(queue, priorities)
{
	static const struct {
		uint32_t prio, num;
		bool object;
	} line[] = {
		{ 1, 10, true }, { 5, 50, false }, { 0, 0, true },
		{ 5, 51, true }, { 1, 11, false }, { 63, 90, true },
		{ 5, 52, false }, { 1, 12, true },
	};
	static const uint32_t want[] = { 90, 50, 51, 52, 10, 11, 12, 0 };
	struct party p[8] = {};
	int s = mbuf_open();
	unsigned int i;

	make_queue(1, 16, MBUF_QUEUE_PRIO);
	ASSERT_EQ(0, send_num(self->sfd, 100, MBUF_NOW));
	for (i = 0; i < 8; i++) {
		if (line[i].object) {
			struct mbuf_message_load l = {
				.target = msg_new(s, 4, 0, -1),
				.msg = msg_of(&line[i].num, 4),
			};

			l.msg.prio = line[i].prio;
			ASSERT_EQ(0, mbuf_message_load_args(s, &l));
			ASSERT_EQ(1, mbuf_message_enqueue(s, l.target,
							  self->sfd));
		} else {
			p[i] = (struct party){
				.op = OP_SEND, .fd = self->sfd,
				.buf = (void *)(uintptr_t)&line[i].num,
				.len = 4, .prio = line[i].prio,
				.deadline = MBUF_FOREVER,
			};
			ASSERT_TRUE(party_start(&p[i]));
		}
		ASSERT_SLEEPERS(self->rfd, 0, i + 1);
	}
	EXPECT_EQ(100, recv_num(self->rfd, MBUF_NOW));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(want[i], recv_num(self->rfd, MBUF_NOW));
	for (i = 0; i < 8; i++)
		if (p[i].fd)
			EXPECT_EQ(0, party_join(&p[i]));
	close(s);
}

/* Who is taken out of line keeps the message, and starts at the end again. */
TEST_F(queue, cancel)
{
	int s = mbuf_open(), efd = eventfd(0, EFD_NONBLOCK);
	struct mbuf_message_info info;
	uint64_t m[3];
	uint32_t i;

	make_queue(1, 16, 0);
	for (i = 0; i < 3; i++)
		m[i] = num_new(s, i, efd);
	EXPECT_EQ(-EALREADY, mbuf_message_cancel(s, m[0]));
	ASSERT_EQ(0, send_num(self->sfd, 100, MBUF_NOW));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(1, mbuf_message_enqueue(s, m[i], self->sfd));
	ASSERT_EQ(0, mbuf_message_cancel(s, m[1]));
	EXPECT_EQ(-EALREADY, mbuf_message_cancel(s, m[1]));
	info = m_info(s, m[1]);
	EXPECT_EQ(MBUF_MESSAGE_LOADED, info.state);
	EXPECT_EQ(0, info.error);
	EXPECT_EQ(2, get_info(self->rfd).send_waiters);
	EXPECT_EQ(3, get_info(self->rfd).senders);
	ASSERT_EQ(1, mbuf_message_enqueue(s, m[1], self->sfd));
	EXPECT_EQ(0, told(efd));
	EXPECT_EQ(100, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(0, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(2, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(3, told(efd));
	close(efd);
	close(s);
}

/* Cancelling and delivering at once: one wins, and nothing is lost or doubled. */
struct racer {
	int rfd;
	struct handicap h;
	_Atomic unsigned int go, done;
};

static void *racer_main(void *arg)
{
	struct racer *r = arg;
	unsigned int round;

	for (round = 1; ; round++) {
		unsigned int go;

		while ((go = atomic_load(&r->go)) < round)
			;
		if (go == UINT_MAX)
			return NULL;
		handicap_spin(&r->h);
		if (recv_num(r->rfd, MBUF_NOW) != 1)
			return (void *)1;
		atomic_store(&r->done, round);
	}
}

TEST_F(queue, cancel_and_delivery)
{
	const unsigned int rounds = 5000;
	struct racer r = { .h = { .time = 500, .seed = 1 } };
	unsigned int round, cancelled = 0, delivered = 0;
	int s = mbuf_open(), efd = eventfd(0, EFD_NONBLOCK);
	struct handicap mine = { .time = 100, .seed = 2 };
	pthread_t thread;
	void *wrong;
	uint64_t m;

	make_queue(1, 16, 0);
	r.rfd = self->rfd;
	m = msg_new(s, 8192, 0, efd);
	ASSERT_NE(0, m);
	ASSERT_EQ(0, pthread_create(&thread, NULL, racer_main, &r));
	for (round = 1; round <= rounds; round++) {
		int ret;

		ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
		ASSERT_EQ(0, load_num(s, m, round));
		ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
		atomic_store(&r.go, round);
		handicap_spin(&mine);
		ret = mbuf_message_cancel(s, m);
		ASSERT_TRUE(EVENTUALLY(atomic_load(&r.done) == round));
		if (ret) {
			ASSERT_EQ(-EALREADY, ret);
			ASSERT_EQ(round, recv_num(self->rfd, MBUF_NOW));
			delivered++;
			ASSERT_EQ(1, told(efd));
			ASSERT_EQ(MBUF_MESSAGE_EMPTY, m_info(s, m).state);
		} else {
			cancelled++;
			ASSERT_EQ(0, told(efd));
			ASSERT_EQ(MBUF_MESSAGE_LOADED, m_info(s, m).state);
		}
		ASSERT_EQ(delivered, m_info(s, m).delivered);
		ASSERT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
		ASSERT_EQ(1, get_info(self->rfd).senders);
		/* Whoever was first will be later. */
		handicap_adapt(&r.h, ret != 0);
		handicap_adapt(&mine, ret == 0);
	}
	atomic_store(&r.go, UINT_MAX);
	pthread_join(thread, &wrong);
	EXPECT_EQ(NULL, wrong);
	TH_LOG("%u cancelled, %u delivered", cancelled, delivered);
	EXPECT_LT(rounds / 500, cancelled);
	EXPECT_LT(rounds / 500, delivered);
	close(efd);
	close(s);
}

/* The owner goes while it is in line: the message does, too. */
TEST_F(queue, owner_goes)
{
	int s = mbuf_open(), efd = eventfd(0, EFD_NONBLOCK), way;
	static uint8_t text[8192];

	make_queue(1, sizeof(text), 0);
	for (way = 0; way < 3; way++) {
		uint64_t m, table = 0;

		ASSERT_EQ(0, mbuf_table_create(s, 0, &table));
		m = msg_new(s, sizeof(text), 0, efd);
		ASSERT_EQ(0, mbuf_message_load(s, m, text, sizeof(text), NULL,
					       0));
		ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
		ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
		if (way == 0) {
			EXPECT_EQ(0, mbuf_handle_delete(s, m));
		} else if (way == 1) {
			uint64_t moved = 5;

			ASSERT_EQ(0, mbuf_handle_move(s, m, table, 0, &moved));
			EXPECT_EQ(0, mbuf_handle_delete(s, table));
		} else {
			close(s);
		}
		EXPECT_TRUE(EVENTUALLY(!get_info(self->rfd).send_waiters));
		EXPECT_EQ(1, get_info(self->rfd).senders);
		EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
		EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
		/* It is no delivery, nor did it fail. */
		EXPECT_EQ(0, told(efd));
	}
	close(efd);
}

/* The same when a process is killed. */
static int park_and_pause(void *arg)
{
	const int *sfd = arg;
	int s = mbuf_open();
	uint64_t m = num_new(s, 2, -1);

	CHECK(m);
	CHECK_EQ(1, mbuf_message_enqueue(s, m, *sfd));
	for (;;)
		pause();
}

TEST_F(queue, owner_is_killed)
{
	pid_t pid;

	make_queue(1, 16, 0);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	pid = spawn(park_and_pause, &self->sfd);
	ASSERT_GT(pid, 0);
	ASSERT_SLEEPERS(self->rfd, 0, 1);
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	ASSERT_SLEEPERS(self->rfd, 0, 0);
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	EXPECT_EQ(-EAGAIN, recv_num(self->rfd, MBUF_NOW));
}

/* The destination goes: the message stays, and the target is told. */
TEST_F(queue, destination_goes)
{
	int s = mbuf_open(), efd = eventfd(0, EFD_NONBLOCK), rfd, sfd;
	static uint8_t text[8192], out[8192];
	struct mbuf_message_info info;
	uint64_t m;

	make_queue(1, sizeof(text), MBUF_QUEUE_CREDS);
	fill_pattern(text, sizeof(text), 1);
	m = msg_new(s, sizeof(text), 0, efd);
	ASSERT_EQ(0, mbuf_message_load(s, m, text, sizeof(text), NULL, 0));
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
	close_fd(&self->rfd);
	EXPECT_EQ(1, told(efd));
	info = m_info(s, m);
	EXPECT_EQ(MBUF_MESSAGE_LOADED, info.state);
	EXPECT_EQ(-EPIPE, info.error);
	EXPECT_EQ(0, info.dest);
	EXPECT_EQ(sizeof(text), info.len);
	EXPECT_EQ(0, info.delivered);
	EXPECT_EQ(-EALREADY, mbuf_message_cancel(s, m));
	EXPECT_EQ(-EPIPE, mbuf_message_enqueue(s, m, self->sfd));
	EXPECT_EQ(0, told(efd));
	EXPECT_EQ(MBUF_MESSAGE_LOADED, m_info(s, m).state);
	/* To another it can be sent. */
	ASSERT_EQ(0, mbuf_queue_create(s, 1, sizeof(text), 0, &rfd, &sfd));
	EXPECT_EQ(0, mbuf_message_enqueue(s, m, sfd));
	EXPECT_EQ(0, m_info(s, m).error);
	EXPECT_EQ((ssize_t)sizeof(text), mbuf_recv(rfd, out, sizeof(out),
						   MBUF_NOW));
	EXPECT_TRUE(is_pattern(out, sizeof(out), 1));
	close(rfd);
	close(sfd);
	close(efd);
	close(s);
}

/* Who sends is who enqueues it, where a queue tells, and nobody elsewhere. */
TEST_F(queue, sender)
{
	int s = mbuf_open(), rfd, sfd;
	static uint8_t text[8192];
	struct mbuf_msg msg;
	uint64_t m;

	make_queue(1, sizeof(text), MBUF_QUEUE_CREDS);
	m = msg_new(s, sizeof(text), 0, -1);
	ASSERT_EQ(0, mbuf_message_load(s, m, text, sizeof(text), NULL, 0));
	/* One that fails leaves nothing of who has tried. */
	close_fd(&self->rfd);
	EXPECT_EQ(-EPIPE, mbuf_message_enqueue(s, m, self->sfd));
	ASSERT_EQ(0, mbuf_queue_create(s, 1, sizeof(text), 0, &rfd, &sfd));
	EXPECT_EQ(0, mbuf_message_enqueue(s, m, sfd));
	msg = msg_of(text, sizeof(text));
	ASSERT_EQ(0, mbuf_recv_msg(rfd, &msg, MBUF_NOW));
	EXPECT_EQ(0, msg.flags);
	EXPECT_EQ(0, msg.pid);
	/* Neither does one that is taken out of line. */
	close_fd(&self->sfd);
	make_queue(1, sizeof(text), MBUF_QUEUE_CREDS);
	ASSERT_EQ(0, mbuf_message_load(s, m, text, sizeof(text), NULL, 0));
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
	ASSERT_EQ(0, mbuf_message_cancel(s, m));
	EXPECT_EQ(0, mbuf_message_enqueue(s, m, sfd));
	msg = msg_of(text, sizeof(text));
	ASSERT_EQ(0, mbuf_recv_msg(rfd, &msg, MBUF_NOW));
	EXPECT_EQ(0, msg.flags);
	/* And small ones and large ones alike where it is told. */
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_NOW));
	ASSERT_EQ(0, load_num(s, m, 5));
	ASSERT_EQ(0, mbuf_message_enqueue(s, m, self->sfd));
	ASSERT_EQ(0, mbuf_message_load(s, m, text, sizeof(text), NULL, 0));
	ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
	msg = msg_of(text, sizeof(text));
	ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &msg, MBUF_NOW));
	EXPECT_EQ(getpid(), (pid_t)msg.pid);
	msg = msg_of(text, sizeof(text));
	ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &msg, MBUF_NOW));
	EXPECT_EQ(getpid(), (pid_t)msg.pid);
	EXPECT_EQ(MBUF_MSG_CREDS, msg.flags);
	close(rfd);
	close(sfd);
	close(s);
}

/* What is in line is a send right until it has entered, and not longer. */
TEST_F(queue, a_send_right)
{
	int s = mbuf_open();
	uint64_t m;

	make_queue(1, 16, 0);
	m = num_new(s, 2, -1);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
	close_fd(&self->sfd);
	EXPECT_EQ(0, poll_now(self->rfd, 0));
	EXPECT_EQ(1, get_info(self->rfd).senders);
	EXPECT_EQ(1, recv_num(self->rfd, MBUF_FOREVER));
	EXPECT_EQ(2, recv_num(self->rfd, MBUF_FOREVER));
	EXPECT_EQ(-EPIPE, recv_num(self->rfd, MBUF_FOREVER));
	EXPECT_EQ(POLLHUP, poll_now(self->rfd, 0));
	close(s);
}

/* Who polls for the end and nothing else hears of it, whatever brings it. */
struct end_watch {
	int rfd;
	_Atomic pid_t tid;
	short revents;
};

static void *end_watch(void *arg)
{
	struct end_watch *w = arg;
	struct pollfd p = { .fd = w->rfd, .events = 0 };
	uint64_t end = now_ns() + PATIENCE_NS;

	atomic_store(&w->tid, (pid_t)syscall(SYS_gettid));
	/* When its time is over poll() looks once more: too late. */
	if (poll(&p, 1, (int)(PATIENCE_NS / NS_PER_MS)) == 1 && now_ns() < end)
		w->revents = p.revents;
	return NULL;
}

TEST_F(queue, the_end_is_polled_for)
{
	int s = mbuf_open(), way;

	for (way = 0; way < 3; way++) {
		struct end_watch w = {};
		pthread_t thread;
		uint64_t m;

		make_queue(1, 16, 0);
		w.rfd = self->rfd;
		m = num_new(s, 2, -1);
		ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
		ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
		close_fd(&self->sfd);
		ASSERT_EQ(0, pthread_create(&thread, NULL, end_watch, &w));
		ASSERT_TRUE(EVENTUALLY(w.tid && task_state(w.tid) == 'S'));
		EXPECT_EQ(way ? 0 : 1,
			  way == 0 ? recv_num(self->rfd, MBUF_NOW) :
			  way == 1 ? mbuf_message_cancel(s, m) :
				     mbuf_handle_delete(s, m));
		pthread_join(thread, NULL);
		EXPECT_EQ(POLLHUP, w.revents) {
			TH_LOG("way %d", way);
		}
		close_fd(&self->rfd);
	}
	close(s);
}

/* All sizes, through a slot, by itself, and in line. */
TEST_F(queue, sizes)
{
	static const uint32_t sizes[] = { 1, 4095, 4096, 4097, 65536, LARGE };
	uint8_t *in = malloc(LARGE), *out = malloc(LARGE);
	struct mbuf_query q;
	int s = mbuf_open();
	unsigned int i, way;
	uint64_t m;

	ASSERT_NE(NULL, in);
	ASSERT_NE(NULL, out);
	make_queue(1, LARGE, 0);
	m = msg_new(s, LARGE, 0, -1);
	ASSERT_NE(0, m);
	ASSERT_EQ(0, mbuf_query(s, &q));
	EXPECT_LE(self->before.inflight.used + LARGE, q.inflight.used);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (way = 0; way < 2; way++) {
			fill_pattern(in, sizes[i], i + way * 10);
			if (way)
				ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
			ASSERT_EQ(0, mbuf_message_load(s, m, in, sizes[i], NULL,
						       0));
			EXPECT_EQ(sizes[i], m_info(s, m).len);
			ASSERT_EQ((int)way, mbuf_message_enqueue(s, m,
								 self->sfd));
			/* What was loaded is not the caller's memory. */
			memset(in, 0, sizes[i]);
			if (way)
				ASSERT_EQ(1, recv_num(self->rfd, MBUF_NOW));
			ASSERT_EQ((ssize_t)sizes[i],
				  mbuf_recv(self->rfd, out, LARGE, MBUF_NOW));
			EXPECT_TRUE(is_pattern(out, sizes[i], i + way * 10));
		}
	}
	EXPECT_EQ(-EMSGSIZE, mbuf_message_load(s, m, in, LARGE + 1, NULL, 0));
	close(s);
	EXPECT_TRUE(EVENTUALLY(!mbuf_query(self->session, &q) &&
			       q.inflight.used == self->before.inflight.used));
	free(in);
	free(out);
}

/* Descriptors and handles go with it, however it is sent. */
TEST_F(queue, with_capabilities)
{
	struct mbuf_cap caps[64], cap[2];
	int s = mbuf_open(), p[2], way;
	struct mbuf_query q;
	uint64_t m, h;
	char c;

	ASSERT_EQ(0, cap_queue(s, 1, 2, &self->rfd, &self->sfd));
	m = msg_new(s, 16, 2, -1);
	ASSERT_NE(0, m);
	for (way = 0; way < 4; way++) {
		ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
		h = 9;
		ASSERT_EQ(0, mbuf_handle_put(s, p[1], 0, 0, &h));
		cap[0] = mbuf_cap_fd(p[1]);
		cap[1] = mbuf_cap_move(h);
		ASSERT_EQ(0, mbuf_message_load(s, m, "x", 1, cap, 2));
		close(p[1]);
		EXPECT_EQ(-ENOENT, mbuf_handle_delete(s, h));
		EXPECT_EQ(2, m_info(s, m).nr_caps);
		ASSERT_EQ(0, mbuf_query(s, &q));
		EXPECT_EQ(self->before.caps.used + 2, q.caps.used);
		if (way == 1 || way == 2)
			ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
		if (way < 3)
			ASSERT_EQ(way > 0, mbuf_message_enqueue(s, m,
								self->sfd));
		if (way == 1)
			ASSERT_EQ(1, recv_num(self->rfd, MBUF_NOW));
		if (way == 2)
			ASSERT_EQ(0, mbuf_message_cancel(s, m));
		if (way < 2) {
			ASSERT_EQ(2, recv_caps(self->rfd, s, "x", caps, 0));
			EXPECT_EQ(1, write(caps[0].ref.fd, "y", 1));
			close(caps[0].ref.fd);
			close(caps[1].ref.fd);
			EXPECT_EQ(1, read(p[0], &c, 1));
		} else {
			/* What else is loaded takes its place. */
			EXPECT_EQ(2, m_info(s, m).nr_caps);
			ASSERT_EQ(0, mbuf_message_load(s, m, "z", 1, NULL, 0));
		}
		/* All are closed: the end of the pipe is seen. */
		EXPECT_EQ(0, read(p[0], &c, 1));
		if (way == 2)
			ASSERT_EQ(1, recv_num(self->rfd, MBUF_NOW));
		close(p[0]);
	}
	/* And when the object is deleted in line. */
	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	cap[0] = mbuf_cap_fd(p[1]);
	ASSERT_EQ(0, mbuf_message_load(s, m, "x", 1, cap, 1));
	close(p[1]);
	ASSERT_EQ(0, send_num(self->sfd, 1, MBUF_NOW));
	ASSERT_EQ(1, mbuf_message_enqueue(s, m, self->sfd));
	EXPECT_EQ(0, mbuf_handle_delete(s, m));
	EXPECT_EQ(0, read(p[0], &c, 1));
	close(p[0]);
	close(s);
}

/* What cannot be sent, or not be loaded, stays as it is. */
TEST_F(queue, no_effect)
{
	int s = mbuf_open(), rfd, sfd, efd = eventfd(0, EFD_NONBLOCK);
	struct mbuf_cap cap = mbuf_cap_fd(efd), bad = mbuf_cap_fd(-1);
	static uint8_t text[64];
	struct mbuf_message_load l = { .msg = msg_of(text, 8) };
	struct mbuf_message_create c;
	uint64_t m, key = 0, h;
	struct mbuf_queue_info info;

	make_queue(4, 16, 0);
	m = msg_new(s, 64, 2, -1);
	ASSERT_NE(0, m);
	ASSERT_EQ(0, mbuf_key_create(s, 0, &key));

	/* Sending */
	ASSERT_EQ(0, mbuf_message_load(s, m, text, 17, NULL, 0));
	EXPECT_EQ(-EMSGSIZE, mbuf_message_enqueue(s, m, self->sfd));
	EXPECT_EQ(-EBADF, mbuf_message_enqueue(s, m, -1));
	EXPECT_EQ(-EBADF, mbuf_message_enqueue(s, m, self->rfd));
	EXPECT_EQ(-ENOTTY, mbuf_message_enqueue(s, m, efd));
	EXPECT_EQ(-ENOTTY, mbuf_message_enqueue(s, m, s));
	EXPECT_EQ(-ENOENT, mbuf_message_enqueue_handle(s, m, 1000));
	EXPECT_EQ(-ENOTTY, mbuf_message_enqueue_handle(s, m, key));
	EXPECT_EQ(-ENOTTY, mbuf_message_enqueue_handle(s, m, m));
	EXPECT_EQ(-ENOTTY, mbuf_message_enqueue(s, key, self->sfd));
	EXPECT_EQ(-ENOENT, mbuf_message_enqueue(s, 1000, self->sfd));
	h = 0;
	ASSERT_EQ(0, mbuf_handle_put(s, self->sfd, 0, MBUF_RIGHT_COPY, &h));
	EXPECT_EQ(-EACCES, mbuf_message_enqueue_handle(s, m, h));
	ASSERT_EQ(0, mbuf_handle_delete(s, h));
	EXPECT_EQ(17, m_info(s, m).len);
	ASSERT_EQ(0, mbuf_message_load(s, m, text, 8, &cap, 1));
	EXPECT_EQ(-EPERM, mbuf_message_enqueue(s, m, self->sfd));
	ASSERT_EQ(0, cap_queue(s, 4, 1, &rfd, &sfd));
	cap = mbuf_cap_fd(efd);
	ASSERT_EQ(0, mbuf_message_load(s, m, text, 8,
				       (struct mbuf_cap[]){ cap, cap }, 2));
	EXPECT_EQ(-EMSGSIZE, mbuf_message_enqueue(s, m, sfd));
	EXPECT_EQ(2, m_info(s, m).nr_caps);
	ASSERT_EQ(0, mbuf_message_load(s, m, text, 8, &cap, 1));
	close(rfd);
	EXPECT_EQ(-EPIPE, mbuf_message_enqueue(s, m, sfd));
	close(sfd);
	ASSERT_EQ(0, mbuf_message_load(s, m, text, 0, NULL, 0));
	EXPECT_EQ(-EINVAL, mbuf_message_enqueue(s, m, self->sfd));
	l.target = m;
	l.msg.prio = 1;
	ASSERT_EQ(0, mbuf_message_load_args(s, &l));
	EXPECT_EQ(-EINVAL, mbuf_message_enqueue(s, m, self->sfd));
	EXPECT_EQ(MBUF_MESSAGE_LOADED, m_info(s, m).state);
	info = get_info(self->rfd);
	EXPECT_EQ(0, info.sent);
	EXPECT_EQ(1, info.senders);
	EXPECT_EQ(0, m_info(s, m).delivered);

	/* Loading */
	l.msg.prio = 0;
	ASSERT_EQ(0, mbuf_message_load_args(s, &l));
	l.msg.prio = 64;
	EXPECT_EQ(-EINVAL, mbuf_message_load_args(s, &l));
	l.msg.prio = 0;
	l.flags = 1;
	EXPECT_EQ(-EINVAL, mbuf_message_load_args(s, &l));
	l.flags = 0;
	l.resv = 1;
	EXPECT_EQ(-EINVAL, mbuf_message_load_args(s, &l));
	l.resv = 0;
	l.msg.flags = 1;
	EXPECT_EQ(-EINVAL, mbuf_message_load_args(s, &l));
	l.msg.flags = 0;
	EXPECT_EQ(-EMSGSIZE, mbuf_message_load(s, m, text, 65, NULL, 0));
	EXPECT_EQ(-EMSGSIZE, mbuf_message_load(s, m, text, 8,
					       (struct mbuf_cap[]){ cap, cap,
					       cap }, 3));
	EXPECT_EQ(-ENOTTY, mbuf_message_load(s, key, text, 8, NULL, 0));
	EXPECT_EQ(-ENOENT, mbuf_message_load(s, 1000, text, 8, NULL, 0));
	EXPECT_EQ(8, m_info(s, m).len);
	EXPECT_EQ(MBUF_MESSAGE_LOADED, m_info(s, m).state);
	EXPECT_EQ(-EBADF, mbuf_message_load(s, m, text, 7, &bad, 1));
	EXPECT_EQ(8, m_info(s, m).len);
	EXPECT_EQ(MBUF_MESSAGE_LOADED, m_info(s, m).state);
	/* What was to be moved is where it was. */
	h = 0;
	ASSERT_EQ(0, mbuf_handle_put(s, efd, 0, 0, &h));
	EXPECT_EQ(-EBADF, mbuf_message_load(s, m, text, 8, (struct mbuf_cap[]){
					    mbuf_cap_move(h), bad }, 2));
	EXPECT_EQ(0, mbuf_handle_delete(s, h));
	bad = mbuf_cap_fd(s);
	EXPECT_EQ(-EOPNOTSUPP, mbuf_message_load(s, m, text, 8, &bad, 1));
	EXPECT_EQ(-EFAULT, mbuf_message_load(s, m, (void *)8, 8, NULL, 0));
	EXPECT_EQ(-ENODATA, mbuf_message_enqueue(s, m, self->sfd));

	/* Creating */
#define BAD_CREATE(err, ...) do {					\
	c = (struct mbuf_message_create){ .max_msg = 8, .sent.fd = -1,	\
					  .arrived.fd = -1, __VA_ARGS__ }; \
	EXPECT_EQ(err, mbuf_message_create(s, &c));			\
} while (0)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
	BAD_CREATE(-EINVAL, .max_msg = 0);
	BAD_CREATE(-EINVAL, .max_msg = self->q.msg_max + 1);
	BAD_CREATE(-EINVAL, .max_caps = self->q.caps_max + 1);
	BAD_CREATE(-EINVAL, .inbox_msg = self->q.msg_max + 1);
	BAD_CREATE(-EINVAL, .inbox_msg = 1,
		   .inbox_caps = self->q.caps_max + 1);
	BAD_CREATE(-EINVAL, .inbox_caps = 1);
	BAD_CREATE(-EINVAL, .arrived.fd = efd);
	BAD_CREATE(-EINVAL, .flags = 1);
	BAD_CREATE(-EINVAL, .resv = 1);
	BAD_CREATE(-EINVAL, .sent.flags = MBUF_REF_HANDLE);
	BAD_CREATE(-EBADF, .sent.fd = 1000);
	BAD_CREATE(-ENOTTY, .sent.fd = s);
	BAD_CREATE(-ENOTTY, .inbox_msg = 8, .arrived.fd = self->rfd);
	BAD_CREATE(-EEXIST, .handle = m);
	BAD_CREATE(-ENOENT, .target = 1000);
	BAD_CREATE(-ENOTDIR, .target = m);
#pragma GCC diagnostic pop
	close(efd);
	close(s);
}

/* A message that owns where it goes. */
TEST_F(queue, into_itself)
{
	int s = mbuf_open(), sfd;
	struct mbuf_cap cap;
	uint64_t m, recv = 0, h;

	ASSERT_EQ(0, cap_queue_handle(s, 1, 1, &recv, &sfd));
	m = msg_new(s, 8, 1, -1);
	cap = mbuf_cap_move(recv);
	ASSERT_EQ(0, mbuf_message_load(s, m, "x", 1, &cap, 1));
	EXPECT_EQ(-ELOOP, mbuf_message_enqueue(s, m, sfd));
	EXPECT_EQ(MBUF_MESSAGE_LOADED, m_info(s, m).state);
	EXPECT_EQ(1, m_info(s, m).nr_caps);
	/* The object's own handle cannot be carried at all. */
	h = msg_new(s, 8, 1, -1);
	cap = mbuf_cap_move(h);
	EXPECT_EQ(-EOPNOTSUPP, mbuf_message_load(s, h, "x", 1, &cap, 1));
	cap = mbuf_cap_handle(h);
	EXPECT_EQ(-EOPNOTSUPP, mbuf_message_load(s, h, "x", 1, &cap, 1));
	/* It goes with the message. */
	EXPECT_EQ(0, mbuf_handle_delete(s, m));
	EXPECT_TRUE(EVENTUALLY(poll_now(sfd, POLLOUT) == POLLERR));
	close(sfd);
	close(s);
}

/* Inboxes */

struct waiter {
	int session;
	uint64_t handle, deadline;
	int64_t ret;
	_Atomic bool done;
};

static void *waiter_main(void *arg)
{
	struct waiter *w = arg;

	w->ret = handle_num(w->session, w->handle, w->deadline);
	atomic_store(&w->done, true);
	return NULL;
}

static bool inbox_waiters(int session, uint64_t m, uint32_t nr)
{
	struct mbuf_queue_info info = {};

	return !mbuf_handle_queue_info(session, m, &info) &&
	       info.recv_waiters == nr;
}

TEST_F(queue, inbox)
{
	int s = mbuf_open(), efd = eventfd(0, EFD_NONBLOCK);
	struct waiter w = { .session = s, .deadline = MBUF_FOREVER };
	struct mbuf_queue_info info;
	uint64_t m, plain, right = 0;
	pthread_t thread;

	plain = msg_new(s, 8, 0, -1);
	EXPECT_EQ(-ENOTTY, handle_num(s, plain, MBUF_NOW));
	EXPECT_EQ(-ENOTTY, mbuf_message_grant(s, plain, 0, 0, &right));
	EXPECT_EQ(-ENOTTY, mbuf_handle_queue_info(s, plain, &info));
	m = inbox_new(s, 8, 8, 0, efd);
	ASSERT_NE(0, m);
	/* Nobody could send anything. */
	EXPECT_EQ(-EPIPE, handle_num(s, m, MBUF_FOREVER));
	ASSERT_EQ(0, mbuf_message_grant(s, m, 0, 0, &right));
	EXPECT_EQ(-EAGAIN, handle_num(s, m, MBUF_NOW));
	EXPECT_EQ(-ETIMEDOUT, handle_num(s, m, in_ms(5)));
	ASSERT_EQ(0, handle_send_num(s, right, 5));
	EXPECT_EQ(1, told(efd));
	EXPECT_EQ(-EAGAIN, handle_send_num(s, right, 6));
	ASSERT_EQ(0, mbuf_handle_queue_info(s, m, &info));
	EXPECT_EQ(m_info(s, m).inbox, info.id);
	EXPECT_EQ(1, info.depth);
	EXPECT_EQ(1, info.slots);
	EXPECT_EQ(5, handle_num(s, m, MBUF_NOW));
	/* An object's message goes to its own inbox as well. */
	ASSERT_EQ(0, load_num(s, m, 7));
	ASSERT_EQ(0, mbuf_message_enqueue_handle(s, m, right));
	ASSERT_EQ(0, load_num(s, m, 8));
	ASSERT_EQ(1, mbuf_message_enqueue_handle(s, m, right));
	EXPECT_EQ(1, told(efd));
	EXPECT_EQ(7, handle_num(s, m, MBUF_NOW));
	EXPECT_EQ(8, handle_num(s, m, MBUF_NOW));
	EXPECT_EQ(1, told(efd));
	/* Asleep. */
	w.handle = m;
	ASSERT_EQ(0, pthread_create(&thread, NULL, waiter_main, &w));
	ASSERT_TRUE(EVENTUALLY(inbox_waiters(s, m, 1)));
	ASSERT_EQ(0, handle_send_num(s, right, 9));
	pthread_join(thread, NULL);
	EXPECT_EQ(9, w.ret);
	/* And to the end. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, waiter_main, &w));
	ASSERT_TRUE(EVENTUALLY(inbox_waiters(s, m, 1)));
	ASSERT_EQ(0, mbuf_handle_delete(s, right));
	pthread_join(thread, NULL);
	EXPECT_EQ(-EPIPE, w.ret);
	/* In line at its own inbox when it goes. */
	right = 0;
	ASSERT_EQ(0, mbuf_message_grant(s, m, 0, 0, &right));
	ASSERT_EQ(0, handle_send_num(s, right, 1));
	ASSERT_EQ(0, load_num(s, m, 2));
	ASSERT_EQ(1, mbuf_message_enqueue_handle(s, m, right));
	EXPECT_EQ(0, mbuf_handle_delete(s, m));
	EXPECT_EQ(-EPIPE, handle_send_num(s, right, 3));
	close(efd);
	close(s);
}

/* A right to one message. */
TEST_F(queue, reply_right)
{
	int s = mbuf_open();
	struct waiter w = { .session = s, .deadline = MBUF_FOREVER };
	struct mbuf_handle_info info;
	uint64_t m, r = 4, right = 0, copy = 0, answer;
	static uint8_t text[16];
	struct mbuf_msg msg = msg_of(text, 9);
	pthread_t thread;

	m = inbox_new(s, 0, 8, 0, -1);
	answer = msg_new(s, 16, 0, -1);
	ASSERT_EQ(0, mbuf_message_grant(s, m, 0, MBUF_GRANT_ONCE, &r));
	ASSERT_EQ(0, mbuf_handle_info(s, r, &info));
	EXPECT_EQ(MBUF_CAP_REPLY, info.type);
	EXPECT_EQ(-EOPNOTSUPP, mbuf_handle_copy(s, r, 0, 0, &copy));
	EXPECT_EQ(-EOPNOTSUPP, mbuf_handle_open(s, r));
	EXPECT_EQ(-ENOTTY, handle_num(s, r, MBUF_NOW));
	/* A message that fails does not count. */
	EXPECT_EQ(-EMSGSIZE, mbuf_handle_send(s, r, &msg, NULL, 0, MBUF_NOW));
	ASSERT_EQ(0, mbuf_message_load(s, answer, text, 9, NULL, 0));
	EXPECT_EQ(-EMSGSIZE, mbuf_message_enqueue_handle(s, answer, r));
	EXPECT_EQ(0, mbuf_handle_info(s, r, &info));
	EXPECT_EQ(-EAGAIN, handle_num(s, m, MBUF_NOW));
	EXPECT_EQ(0, handle_send_num(s, r, 3));
	EXPECT_EQ(-ENOENT, mbuf_handle_info(s, r, &info));
	EXPECT_EQ(-ENOENT, handle_send_num(s, r, 3));
	EXPECT_EQ(3, handle_num(s, m, MBUF_FOREVER));
	EXPECT_EQ(-EPIPE, handle_num(s, m, MBUF_FOREVER));

	/* While the inbox is full it fails, or stands in line and is gone. */
	ASSERT_EQ(0, mbuf_message_grant(s, m, 0, 0, &right));
	ASSERT_EQ(0, handle_send_num(s, right, 1));
	ASSERT_EQ(0, mbuf_handle_delete(s, right));
	ASSERT_EQ(0, mbuf_message_grant(s, m, 0, MBUF_GRANT_ONCE, &r));
	EXPECT_EQ(-EAGAIN, handle_send_num(s, r, 2));
	ASSERT_EQ(0, load_num(s, answer, 2));
	EXPECT_EQ(1, mbuf_message_enqueue_handle(s, answer, r));
	EXPECT_EQ(-ENOENT, mbuf_handle_info(s, r, &info));
	EXPECT_EQ(1, handle_num(s, m, MBUF_FOREVER));
	EXPECT_EQ(2, handle_num(s, m, MBUF_FOREVER));
	EXPECT_EQ(-EPIPE, handle_num(s, m, MBUF_FOREVER));

	/* One that is dropped ends the wait. */
	ASSERT_EQ(0, mbuf_message_grant(s, m, 0, MBUF_GRANT_ONCE, &r));
	w.handle = m;
	ASSERT_EQ(0, pthread_create(&thread, NULL, waiter_main, &w));
	ASSERT_TRUE(EVENTUALLY(inbox_waiters(s, m, 1)));
	ASSERT_EQ(0, mbuf_handle_delete(s, r));
	pthread_join(thread, NULL);
	EXPECT_EQ(-EPIPE, w.ret);

	/* So does one that was in a message which nobody receives. */
	ASSERT_EQ(0, mbuf_message_grant(s, m, 0, MBUF_GRANT_ONCE, &r));
	ASSERT_EQ(0, cap_queue(s, 1, 1, &self->rfd, &self->sfd));
	{
		struct mbuf_cap cap = mbuf_cap_handle(r);

		EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, s, "x", &cap, 1));
		cap = mbuf_cap_move(r);
		ASSERT_EQ(0, send_caps(self->sfd, s, "x", &cap, 1));
	}
	w.done = false;
	ASSERT_EQ(0, pthread_create(&thread, NULL, waiter_main, &w));
	ASSERT_TRUE(EVENTUALLY(inbox_waiters(s, m, 1)));
	close_fd(&self->rfd);
	pthread_join(thread, NULL);
	EXPECT_EQ(-EPIPE, w.ret);

	/* The receiver is gone: that fails, and the right stays. */
	ASSERT_EQ(0, mbuf_message_grant(s, m, 0, MBUF_GRANT_ONCE, &r));
	ASSERT_EQ(0, mbuf_handle_delete(s, m));
	ASSERT_EQ(0, load_num(s, answer, 2));
	EXPECT_EQ(-EPIPE, mbuf_message_enqueue_handle(s, answer, r));
	EXPECT_EQ(-EPIPE, handle_send_num(s, r, 2));
	EXPECT_EQ(0, mbuf_handle_info(s, r, &info));
	close(s);
}

/* Looking at what is in an inbox is no arrival: who is told would never rest. */
TEST_F(queue, looking_is_no_arrival)
{
	int s = mbuf_open(), efd = eventfd(0, EFD_NONBLOCK), i;
	uint64_t m, right = 0;
	uint32_t num = 0;
	struct mbuf_msg msg;

	m = inbox_new(s, 0, 8, 0, efd);
	ASSERT_EQ(0, mbuf_message_grant(s, m, 0, 0, &right));
	ASSERT_EQ(0, handle_send_num(s, right, 1));
	EXPECT_EQ(1, told(efd));
	for (i = 0; i < 3; i++) {
		msg = msg_of(&num, sizeof(num));
		ASSERT_EQ(0, mbuf_handle_recv(s, m, &msg, NULL, NULL,
					      MBUF_RECV_LOOK, MBUF_NOW));
		EXPECT_EQ(1, num);
		EXPECT_EQ(0, told(efd));
	}
	EXPECT_EQ(1, handle_num(s, m, MBUF_NOW));
	EXPECT_EQ(0, told(efd));
	ASSERT_EQ(0, handle_send_num(s, right, 2));
	EXPECT_EQ(1, told(efd));
	close(efd);
	close(s);
}

/* What is done with the object itself does not disturb who uses its inbox. */
struct stuck_load {
	int session;
	uint64_t m;
	void *buf;
	int ret;
};

static void *stuck_load(void *arg)
{
	struct stuck_load *l = arg;

	l->ret = mbuf_message_load(l->session, l->m, l->buf, 8, NULL, 0);
	return NULL;
}

TEST_F(queue, inbox_while_it_is_loaded)
{
	struct mbuf_queue_info info;
	int s = mbuf_open(), ret;
	struct stuck_load l = { .session = s };
	struct stuck stuck;
	uint64_t m, right = 0, other = 0, page;
	pthread_t thread;

	ret = stuck_alloc(&stuck, 8);
	if (ret) {
		close(s);
		SKIP(return, "no userfaultfd: %s", strerror(-ret));
	}
	m = inbox_new(s, 8, 8, 0, -1);
	ASSERT_EQ(0, mbuf_message_grant(s, m, 0, 0, &right));
	l.m = m;
	l.buf = stuck.p;
	ASSERT_EQ(0, pthread_create(&thread, NULL, stuck_load, &l));
	page = stuck_wait(&stuck);
	ASSERT_NE(0, page);
	EXPECT_EQ(-EAGAIN, handle_num(s, m, MBUF_NOW));
	EXPECT_EQ(0, handle_send_num(s, right, 4));
	EXPECT_EQ(4, handle_num(s, m, MBUF_NOW));
	EXPECT_EQ(0, mbuf_handle_queue_info(s, m, &info));
	EXPECT_EQ(0, mbuf_message_grant(s, m, 0, 0, &other));
	/* But the object is busy. */
	EXPECT_EQ(-EBUSY, mbuf_message_enqueue_handle(s, m, right));
	EXPECT_EQ(-EBUSY, mbuf_message_cancel(s, m));
	EXPECT_EQ(-EBUSY, mbuf_message_load(s, m, "x", 1, NULL, 0));
	/* And can be deleted, which is done when that has ended. */
	EXPECT_EQ(0, mbuf_handle_delete(s, m));
	EXPECT_EQ(-ENOENT, handle_num(s, m, MBUF_NOW));
	EXPECT_EQ(0, stuck_resolve(&stuck, page, "12345678", 8));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, l.ret);
	EXPECT_EQ(-EPIPE, handle_send_num(s, right, 5));
	stuck_free(&stuck);
	close(s);
}

/* One thread has many requests at once, and answers them in any order. */
#define REQUESTS	10000

struct request {
	uint64_t handle;	/* at the server: the reply right */
	uint32_t num;
};

static uint64_t server_error;

static void *server_main(void *arg)
{
	static struct request req[REQUESTS];
	const int *fds = arg;
	int s = mbuf_open();
	uint64_t answer = msg_new(s, 4, 0, -1);
	unsigned int i, seed = 7;

	for (i = 0; i < REQUESTS; i++) {
		struct mbuf_msg msg = msg_of(&req[i].num, 4);
		struct mbuf_cap cap = {};
		unsigned int nr = 1;
		int ret = mbuf_recv_caps(fds[0], &msg, &cap, &nr, 0, s,
					 MBUF_FOREVER);

		if (ret || nr != 1 || cap.error || cap.type != MBUF_CAP_REPLY ||
		    msg.len != 4) {
			server_error = 1000000 + i;
			goto out;
		}
		req[i].handle = cap.ref.handle;
	}
	/* All are outstanding. */
	for (i = REQUESTS; i; i--) {
		unsigned int at = (unsigned int)rand_r(&seed) % i;
		int ret = load_num(s, answer, req[at].num + 1);

		ret = ret ? ret : mbuf_message_enqueue_handle(s, answer,
							       req[at].handle);
		if (ret) {
			fprintf(stderr, "# answer: %d\n", ret);
			server_error = 2000000 + i;
			goto out;
		}
		req[at] = req[i - 1];
	}
out:
	close(s);
	return NULL;
}

TEST_F(queue, many_requests)
{
	static uint64_t m[REQUESTS];
	int s = mbuf_open();
	pthread_t server;
	uint32_t i, wrong = 0;

	/* It is above the limits, which do not hold for root. */
	NEED_ROOT();
	ASSERT_EQ(0, cap_queue(s, 64, 1, &self->rfd, &self->sfd));
	server_error = 0;
	ASSERT_EQ(0, pthread_create(&server, NULL, server_main, &self->rfd));
	for (i = 0; i < REQUESTS; i++) {
		struct mbuf_msg msg = msg_of(&i, 4);
		struct mbuf_cap cap;
		uint64_t reply = 0;

		m[i] = inbox_new(s, 0, 4, 0, -1);
		ASSERT_NE(0, m[i]) {
			TH_LOG("no message object %u", i);
		}
		ASSERT_EQ(0, mbuf_message_grant(s, m[i], 0, MBUF_GRANT_ONCE,
						&reply));
		cap = mbuf_cap_move(reply);
		ASSERT_EQ(0, mbuf_send_caps(self->sfd, &msg, &cap, 1, s,
					    MBUF_FOREVER));
	}
	for (i = 0; i < REQUESTS; i++)
		wrong += handle_num(s, m[i], MBUF_FOREVER) != i + 1;
	EXPECT_EQ(0, wrong);
	for (i = 0; i < REQUESTS; i += 997)
		EXPECT_EQ(-EPIPE, handle_num(s, m[i], MBUF_FOREVER));
	pthread_join(server, NULL);
	EXPECT_EQ(0, server_error);
	close(s);
}

TEST_HARNESS_MAIN
