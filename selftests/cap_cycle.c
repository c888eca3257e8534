// SPDX-License-Identifier: GPL-2.0
/*
 * Nothing can own itself, by whatever way it is tried. What each test has made
 * is closed at its end, and the fixture finds that all of it is gone. And what
 * can be owned: receive rights on their way.
 */
#include "cap.h"
#include "uring.h"

#define TEXT	"x"

/* A queue whose receive right is a handle of the session's. */
struct owned {
	uint64_t recv;
	int sfd;
};

static int owned_new(int s, struct owned *q)
{
	return cap_queue_handle(s, 4, 4, &q->recv, &q->sfd);
}

/* Sends the receive right of @q to another. */
static int give(int s, int sfd, uint64_t recv)
{
	struct mbuf_cap cap = mbuf_cap_move(recv);

	return send_caps(sfd, s, TEXT, &cap, 1);
}

static int type_of(int s, uint64_t h)
{
	struct mbuf_handle_info info;
	int ret = mbuf_handle_info(s, h, &info);

	return ret ? ret : (int)info.type;
}

static int send_one(int sfd)
{
	return mbuf_send(sfd, TEXT, 1, MBUF_NOW);
}

/* A receive right is there once: moved, never copied. */
TEST_F(queue, a_receive_right)
{
	struct mbuf_cap caps[64], cap;
	int s = mbuf_open(), rfd;
	struct mbuf_queue_info info;
	struct mbuf_msg msg;
	unsigned int nr = 0;
	struct owned q;
	uint64_t at = 0;
	char buf[8];

	ASSERT_EQ(0, cap_queue(s, 2, 2, &self->rfd, &self->sfd));
	ASSERT_EQ(0, owned_new(s, &q));
	EXPECT_EQ(MBUF_CAP_RECEIVER, type_of(s, q.recv));
	EXPECT_EQ(-EOPNOTSUPP, mbuf_handle_copy(s, q.recv, 0, 0, &at));
	cap = mbuf_cap_handle(q.recv);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, s, TEXT, &cap, 1));
	EXPECT_EQ(0, mbuf_handle_revoke(s, q.recv));
	ASSERT_EQ(0, send_one(q.sfd));
	msg = msg_of(buf, sizeof(buf));
	EXPECT_EQ(0, mbuf_handle_recv(s, q.recv, &msg, NULL, &nr, 0,
				      MBUF_NOW));
	EXPECT_EQ(1, msg.len);
	/* With all that is in it. */
	ASSERT_EQ(0, send_one(q.sfd));
	ASSERT_EQ(0, give(s, self->sfd, q.recv));
	EXPECT_EQ(-ENOENT, type_of(s, q.recv));
	ASSERT_EQ(0, mbuf_queue_info(q.sfd, &info));
	EXPECT_EQ(1, info.receivers);
	EXPECT_EQ(1, info.depth);
	ASSERT_EQ(1, recv_caps(self->rfd, s, TEXT, caps, 0));
	EXPECT_EQ(MBUF_CAP_RECEIVER, caps[0].type);
	EXPECT_EQ(info.id, caps[0].id);
	/* Twice in one message it cannot be: it is gone the second time. */
	q.recv = caps[0].ref.handle;
	caps[0] = mbuf_cap_move(q.recv);
	caps[1] = mbuf_cap_move(q.recv);
	EXPECT_EQ(-EBUSY, send_caps(self->sfd, s, TEXT, caps, 2));
	EXPECT_EQ(MBUF_CAP_RECEIVER, type_of(s, q.recv));

	/* Once it is a descriptor it is no handle, and cannot become one. */
	rfd = mbuf_handle_open(s, q.recv);
	ASSERT_LE(0, rfd);
	EXPECT_EQ(-ENOENT, type_of(s, q.recv));
	at = 0;
	EXPECT_EQ(-EOPNOTSUPP, mbuf_handle_put(s, rfd, 0, 0, &at));
	cap = mbuf_cap_fd(rfd);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, s, TEXT, &cap, 1));
	EXPECT_EQ(1, mbuf_recv(rfd, buf, sizeof(buf), MBUF_NOW));
	close(rfd);
	EXPECT_EQ(-EPIPE, send_one(q.sfd));
	close(q.sfd);
	close(s);
}

/* Without a table it becomes a descriptor, which owns the queue. */
TEST_F(queue, received_as_a_descriptor)
{
	int s = mbuf_open();
	struct mbuf_cap caps[64], cap;
	struct owned q;

	ASSERT_EQ(0, cap_queue(s, 2, 2, &self->rfd, &self->sfd));
	ASSERT_EQ(0, owned_new(s, &q));
	ASSERT_EQ(0, give(s, self->sfd, q.recv));
	ASSERT_EQ(1, recv_caps(self->rfd, -1, TEXT, caps, 0));
	EXPECT_EQ(0, caps[0].error);
	EXPECT_EQ(0, caps[0].ref.flags);
	ASSERT_LE(0, caps[0].ref.fd);
	EXPECT_EQ(0, send_one(q.sfd));
	cap = mbuf_cap_fd(caps[0].ref.fd);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, s, TEXT, &cap, 1));
	close(caps[0].ref.fd);
	EXPECT_EQ(-EPIPE, send_one(q.sfd));

	/* Without the right to be opened it needs a table. */
	close(q.sfd);
	ASSERT_EQ(0, owned_new(s, &q));
	cap = mbuf_cap_move(q.recv);
	cap.rights = MBUF_RIGHT_PASS | MBUF_RIGHT_RECV;
	ASSERT_EQ(0, send_caps(self->sfd, s, TEXT, &cap, 1));
	EXPECT_EQ(-EBADF, recv_caps(self->rfd, -1, TEXT, caps, 0));
	ASSERT_EQ(1, recv_caps(self->rfd, s, TEXT, caps, 0));
	EXPECT_EQ(-EACCES, mbuf_handle_open(s, caps[0].ref.handle));
	close(s);
	EXPECT_EQ(-EPIPE, send_one(q.sfd));
	close(q.sfd);
}

/* Another process blocks on it, and is woken. */
static int consumer(void *arg)
{
	int rfd = *(int *)arg, s = mbuf_open(), fd;
	struct mbuf_cap caps[64];
	unsigned int nr = 64;
	char buf[8];
	struct mbuf_msg msg = msg_of(buf, sizeof(buf));

	CHECK_EQ(0, mbuf_recv_caps(rfd, &msg, caps, &nr, 0, s, MBUF_FOREVER));
	CHECK_EQ(1, nr);
	CHECK_EQ(MBUF_CAP_RECEIVER, caps[0].type);
	msg = msg_of(buf, sizeof(buf));
	nr = 0;
	CHECK_EQ(0, mbuf_handle_recv(s, caps[0].ref.handle, &msg, NULL, &nr, 0,
				     MBUF_FOREVER));
	CHECK_EQ(5, msg.len);
	fd = mbuf_handle_open(s, caps[0].ref.handle);
	CHECK(fd >= 0);
	CHECK_EQ(6, mbuf_recv(fd, buf, sizeof(buf), MBUF_FOREVER));
	return 0;
}

TEST_F(queue, moved_to_another_process)
{
	int s = mbuf_open();
	struct owned q;
	pid_t pid;

	ASSERT_EQ(0, cap_queue(s, 2, 2, &self->rfd, &self->sfd));
	pid = spawn(consumer, &self->rfd);
	ASSERT_SLEEPERS(self->rfd, 1, 0);
	ASSERT_EQ(0, owned_new(s, &q));
	ASSERT_EQ(0, give(s, self->sfd, q.recv));
	EXPECT_EQ(-ENOENT, type_of(s, q.recv));
	ASSERT_SLEEPERS(q.sfd, 1, 0);
	ASSERT_EQ(0, mbuf_send(q.sfd, "first", 5, MBUF_NOW));
	ASSERT_EQ(0, mbuf_send(q.sfd, "second", 6, MBUF_NOW));
	EXPECT_EQ(0, reap(pid));
	/* It has gone with its holder. */
	EXPECT_TRUE(EVENTUALLY(send_one(q.sfd) == -EPIPE));
	close(q.sfd);
	close(s);
}

/* Nobody has received it: it goes with the queue that it is in. */
TEST_F(queue, owner_dropped_on_its_way)
{
	int s = mbuf_open();
	struct owned q, in;
	struct party p;

	ASSERT_EQ(0, cap_queue(s, 2, 2, &self->rfd, &self->sfd));
	ASSERT_EQ(0, owned_new(s, &q));
	ASSERT_EQ(0, owned_new(s, &in));
	/* One in the other, and that one in the third. */
	ASSERT_EQ(0, give(s, q.sfd, in.recv));
	ASSERT_EQ(0, give(s, self->sfd, q.recv));
	ASSERT_EQ(0, send_one(in.sfd));
	ASSERT_EQ(0, send_one(in.sfd));
	ASSERT_EQ(0, send_one(in.sfd));
	ASSERT_EQ(0, send_one(in.sfd));
	/* Somebody waits there. */
	p = (struct party){ .op = OP_SEND, .fd = in.sfd, .buf = TEXT, .len = 1,
			    .deadline = MBUF_FOREVER };
	ASSERT_TRUE(party_start(&p));
	ASSERT_SLEEPERS(in.sfd, 0, 1);
	close_fd(&self->rfd);
	EXPECT_EQ(-EPIPE, party_join(&p));
	EXPECT_TRUE(EVENTUALLY(send_one(q.sfd) == -EPIPE));
	EXPECT_EQ(-EPIPE, send_one(in.sfd));
	close(q.sfd);
	close(in.sfd);
	close(s);
}

/* A queue in itself, and rings of two and more. */
TEST_F(queue, rings)
{
	int s = mbuf_open(), n, i;
	struct mbuf_cap caps[64];
	struct owned q[8];

	for (n = 1; n <= 8; n++) {
		for (i = 0; i < n; i++)
			ASSERT_EQ(0, owned_new(s, &q[i]));
		for (i = 0; i + 1 < n; i++)
			ASSERT_EQ(0, give(s, q[i + 1].sfd, q[i].recv));
		/* The last is in none; the first is in all others. */
		EXPECT_EQ(-ELOOP, give(s, q[0].sfd, q[n - 1].recv)) {
			TH_LOG("a ring of %d", n);
		}
		/* Together with something that could be sent. */
		caps[0] = mbuf_cap_fd(q[0].sfd);
		caps[1] = mbuf_cap_move(q[n - 1].recv);
		EXPECT_EQ(-ELOOP, send_caps(q[0].sfd, s, TEXT, caps, 2));
		EXPECT_EQ(MBUF_CAP_RECEIVER, type_of(s, q[n - 1].recv));
		for (i = 0; i < n; i++)
			EXPECT_EQ(0, get_info(q[i].sfd).depth - !!i);
		/* Out of the last one, the other way round is none. */
		if (n > 1) {
			struct mbuf_msg msg;
			char buf[8];
			unsigned int nr = 64;

			msg = msg_of(buf, sizeof(buf));
			ASSERT_EQ(0, mbuf_handle_recv(s, q[n - 1].recv, &msg,
						      caps, &nr, 0, MBUF_NOW));
			ASSERT_EQ(1, nr);
			EXPECT_EQ(0, give(s, q[0].sfd, q[n - 1].recv));
			EXPECT_EQ(-ELOOP, give(s, q[n - 1].sfd,
					       caps[0].ref.handle));
			EXPECT_EQ(0, mbuf_handle_delete(s,
							caps[0].ref.handle));
		} else {
			EXPECT_EQ(0, mbuf_handle_delete(s, q[0].recv));
		}
		for (i = 0; i < n; i++) {
			EXPECT_TRUE(EVENTUALLY(send_one(q[i].sfd) == -EPIPE)) {
				TH_LOG("queue %d of %d lives", i, n);
			}
			close(q[i].sfd);
		}
	}
	close(s);
}

/* Two threads that try the two halves of a ring at once: one of them may. */
struct half {
	int s, sfd;
	uint64_t recv;
	pthread_barrier_t *barrier;
	int ret;
	pthread_t thread;
};

static void *half_main(void *arg)
{
	struct half *h = arg;

	pthread_barrier_wait(h->barrier);
	h->ret = give(h->s, h->sfd, h->recv);
	return NULL;
}

TEST_F(queue, two_halves_at_once)
{
	pthread_barrier_t barrier;
	int s = mbuf_open(), i, j;
	struct owned q[2];
	struct half h[2];

	ASSERT_EQ(0, pthread_barrier_init(&barrier, NULL, 2));
	for (i = 0; i < 300; i++) {
		for (j = 0; j < 2; j++)
			ASSERT_EQ(0, owned_new(s, &q[j]));
		for (j = 0; j < 2; j++) {
			h[j] = (struct half){ .s = s, .sfd = q[j].sfd,
					      .recv = q[!j].recv,
					      .barrier = &barrier };
			ASSERT_EQ(0, pthread_create(&h[j].thread, NULL,
						    half_main, &h[j]));
		}
		for (j = 0; j < 2; j++)
			pthread_join(h[j].thread, NULL);
		/* Who is second may find it gone, or in the way. */
		EXPECT_NE(!h[0].ret, !h[1].ret);
		EXPECT_EQ(-ELOOP, h[0].ret + h[1].ret);
		for (j = 0; j < 2; j++) {
			mbuf_handle_delete(s, q[j].recv);
			close(q[j].sfd);
		}
	}
	pthread_barrier_destroy(&barrier);
	close(s);
}

/* More than 16 in each other, from above. */
TEST_F(queue, chains)
{
	int s = mbuf_open(), n, i, ret = 0;
	struct owned q[40];

	ASSERT_EQ(0, owned_new(s, &q[0]));
	for (n = 1; n < 40; n++) {
		ASSERT_EQ(0, owned_new(s, &q[n]));
		ret = give(s, q[n - 1].sfd, q[n].recv);
		if (ret)
			break;
	}
	EXPECT_EQ(-ELOOP, ret);
	/* The root table is the first that owns. */
	EXPECT_EQ(16, n);
	EXPECT_EQ(MBUF_CAP_RECEIVER, type_of(s, q[n].recv));
	EXPECT_EQ(0, mbuf_handle_delete(s, q[0].recv));
	for (i = 0; i < n; i++) {
		EXPECT_TRUE(EVENTUALLY(send_one(q[i].sfd) == -EPIPE));
		close(q[i].sfd);
	}
	EXPECT_EQ(0, send_one(q[n].sfd));
	close(q[n].sfd);
	close(s);

	/* From below each can be put into the next; all go, without depth. */
	s = mbuf_open();
	ASSERT_EQ(0, owned_new(s, &q[0]));
	close(q[0].sfd);
	for (n = 0; n < 1000; n++) {
		ASSERT_EQ(0, owned_new(s, &q[1]));
		ASSERT_EQ(0, give(s, q[1].sfd, q[0].recv));
		close(q[1].sfd);
		q[0] = q[1];
	}
	close(s);
}

/* By way of message objects: what is loaded, and what is in their inboxes. */
static uint64_t message_new(int s)
{
	struct mbuf_message_create c = {
		.max_msg = 64, .max_caps = 4, .inbox_msg = 64, .inbox_caps = 4,
		.sent.fd = -1, .arrived.fd = -1,
	};

	return mbuf_message_create(s, &c) ? 0 : c.handle;
}

static int load(int s, uint64_t message, uint64_t recv)
{
	struct mbuf_cap cap = mbuf_cap_move(recv);

	return mbuf_message_load(s, message, TEXT, 1, &cap, 1);
}

TEST_F(queue, message_objects)
{
	int s = mbuf_open(), inbox, round;
	struct mbuf_cap cap;
	uint64_t m, n, grant;
	struct owned q, r;

	/* Loaded with the receive right of the queue that it is sent to. */
	m = message_new(s);
	ASSERT_NE(0, m);
	ASSERT_EQ(0, owned_new(s, &q));
	ASSERT_EQ(0, load(s, m, q.recv));
	EXPECT_EQ(-ENOENT, type_of(s, q.recv));
	EXPECT_EQ(-ELOOP, mbuf_message_enqueue(s, m, q.sfd));
	EXPECT_EQ(-ELOOP, mbuf_message_enqueue(s, m, q.sfd));
	/* That one into another, which it is loaded with, too. */
	ASSERT_EQ(0, owned_new(s, &r));
	EXPECT_EQ(0, give(s, q.sfd, r.recv));
	EXPECT_EQ(-ELOOP, mbuf_message_enqueue(s, m, r.sfd));
	/* A message object is in no message. */
	n = message_new(s);
	ASSERT_NE(0, n);
	cap = mbuf_cap_move(n);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(q.sfd, s, TEXT, &cap, 1));
	EXPECT_EQ(-EOPNOTSUPP, load(s, m, n));
	EXPECT_EQ(0, mbuf_handle_delete(s, m));
	EXPECT_TRUE(EVENTUALLY(send_one(q.sfd) == -EPIPE));
	EXPECT_TRUE(EVENTUALLY(send_one(r.sfd) == -EPIPE));
	close(q.sfd);
	close(r.sfd);

	/* To its own inbox: it goes with it. */
	for (round = 0; round < 3; round++) {
		grant = 0;
		ASSERT_EQ(0, mbuf_message_grant(s, n, 0, round == 1 ?
						MBUF_GRANT_ONCE : 0, &grant));
		ASSERT_EQ(0, owned_new(s, &q));
		ASSERT_EQ(0, load(s, n, q.recv));
		if (round == 2) {
			/* With a right to send there in what it sends. */
			inbox = mbuf_handle_open(s, grant);
			ASSERT_LE(0, inbox);
			cap = mbuf_cap_fd(inbox);
			ASSERT_EQ(0, send_caps(q.sfd, -1, TEXT, &cap, 1));
			ASSERT_EQ(0, mbuf_message_enqueue(s, n, inbox));
			close(inbox);
		} else {
			ASSERT_EQ(0, mbuf_message_enqueue_handle(s, n, grant));
		}
		EXPECT_EQ(round == 1 ? -ENOENT : 0,
			  mbuf_handle_delete(s, grant));
		EXPECT_EQ(0, send_one(q.sfd));
		EXPECT_EQ(0, mbuf_handle_delete(s, n));
		EXPECT_TRUE(EVENTUALLY(send_one(q.sfd) == -EPIPE));
		close(q.sfd);
		n = message_new(s);
	}

	/* In line at a queue, which has been put into what it carries. */
	ASSERT_EQ(0, owned_new(s, &q));
	ASSERT_EQ(0, cap_queue_handle(s, 1, 1, &r.recv, &r.sfd));
	ASSERT_EQ(0, send_one(r.sfd));
	ASSERT_EQ(0, load(s, n, q.recv));
	ASSERT_EQ(1, mbuf_message_enqueue(s, n, r.sfd));
	EXPECT_EQ(-ELOOP, give(s, q.sfd, r.recv));
	EXPECT_EQ(0, mbuf_message_cancel(s, n));
	/* Now it may; then it may not be sent there. */
	EXPECT_EQ(0, give(s, q.sfd, r.recv));
	EXPECT_EQ(-ELOOP, mbuf_message_enqueue(s, n, r.sfd));
	close(s);
	EXPECT_TRUE(EVENTUALLY(send_one(q.sfd) == -EPIPE));
	EXPECT_TRUE(EVENTUALLY(send_one(r.sfd) == -EPIPE));
	close(q.sfd);
	close(r.sfd);
}

/* A sender that waits with a receive right: it is where it waits already. */
struct waits {
	int s, sfd;
	uint64_t recv;
	int ret;
	pthread_t thread;
};

static void *waits_main(void *arg)
{
	struct waits *w = arg;
	struct mbuf_cap cap = mbuf_cap_move(w->recv);
	struct mbuf_msg msg = msg_of(TEXT, 1);

	w->ret = mbuf_send_caps(w->sfd, &msg, &cap, 1, w->s, MBUF_FOREVER);
	return NULL;
}

TEST_F(queue, rings_of_who_waits)
{
	int s = mbuf_open();
	struct mbuf_cap cap;
	struct mbuf_msg msg;
	struct owned q, r;
	struct waits w;

	ASSERT_EQ(0, cap_queue_handle(s, 1, 1, &q.recv, &q.sfd));
	ASSERT_EQ(0, owned_new(s, &r));
	ASSERT_EQ(0, send_one(q.sfd));
	/* r waits to get into q; q cannot get into r meanwhile. */
	w = (struct waits){ .s = s, .sfd = q.sfd, .recv = r.recv };
	ASSERT_EQ(0, pthread_create(&w.thread, NULL, waits_main, &w));
	ASSERT_SLEEPERS(q.sfd, 0, 1);
	EXPECT_EQ(-ELOOP, give(s, r.sfd, q.recv));
	/* Its own is found before anybody waits. */
	cap = mbuf_cap_move(q.recv);
	msg = msg_of(TEXT, 1);
	EXPECT_EQ(-ELOOP, mbuf_send_caps(q.sfd, &msg, &cap, 1, s,
					 MBUF_FOREVER));
	/* All goes with the session: what is in line as well. */
	close(s);
	pthread_join(w.thread, NULL);
	EXPECT_EQ(-EPIPE, w.ret);
	EXPECT_TRUE(EVENTUALLY(send_one(r.sfd) == -EPIPE));
	close(q.sfd);
	close(r.sfd);
}

/* By way of tables: none is in a message, but all is in tables. */
TEST_F(queue, tables)
{
	int s = mbuf_open();
	struct mbuf_cap cap;
	struct owned q, r;
	uint64_t t = 0, u = 0, at = 0;

	ASSERT_EQ(0, mbuf_table_create(s, 0, &t));
	ASSERT_EQ(0, mbuf_table_create(s, t, &u));
	ASSERT_EQ(0, owned_new(s, &q));
	ASSERT_EQ(0, mbuf_handle_move(s, q.recv, PATH(t, u), 0, &at));
	q.recv = at;
	cap = mbuf_cap_move(t);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(q.sfd, s, TEXT, &cap, 1));
	cap = mbuf_cap_move(PATH(t, u));
	EXPECT_EQ(-EOPNOTSUPP, send_caps(q.sfd, s, TEXT, &cap, 1));
	EXPECT_EQ(-ELOOP, give(s, q.sfd, PATH(t, u, q.recv)));
	EXPECT_EQ(MBUF_CAP_RECEIVER, type_of(s, PATH(t, u, q.recv)));
	/* A reference in its own message: it keeps nothing. */
	cap = mbuf_cap_handle(t);
	EXPECT_EQ(0, send_caps(q.sfd, s, TEXT, &cap, 1));
	cap = mbuf_cap_handle(PATH(t, u));
	EXPECT_EQ(0, send_caps(q.sfd, s, TEXT, &cap, 1));
	/* And one that is the only one, by which the rest is reached. */
	ASSERT_EQ(0, owned_new(s, &r));
	EXPECT_EQ(0, give(s, q.sfd, r.recv));
	EXPECT_EQ(-ELOOP, give(s, r.sfd, PATH(t, u, q.recv)));
	EXPECT_EQ(0, mbuf_handle_delete(s, t));
	EXPECT_TRUE(EVENTUALLY(send_one(q.sfd) == -EPIPE));
	EXPECT_TRUE(EVENTUALLY(send_one(r.sfd) == -EPIPE));
	close(q.sfd);
	close(r.sfd);
	close(s);
}

/*
 * A receive right that is a descriptor can be passed in other ways. What it is
 * passed in cannot be sent to it.
 */
TEST_F(queue, unix_sockets)
{
	int s = mbuf_open(), sv[2], rfd, i;
	struct mbuf_cap cap;
	uint64_t at = 0;
	int fds[2];

	ASSERT_EQ(0, cap_queue(s, 4, 4, &self->rfd, &self->sfd));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	fds[0] = self->rfd;
	fds[1] = s;
	for (i = 0; i < 2; i++)
		ASSERT_EQ(1, pass_fd(sv[0], fds[i]));
	for (i = 0; i < 2; i++) {
		cap = mbuf_cap_fd(sv[i]);
		EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, TEXT, &cap,
						 1));
		EXPECT_EQ(-EOPNOTSUPP, mbuf_handle_put(s, sv[i], 0, 0, &at));
	}
	/* As a duplicate it is the same. */
	i = fcntl(sv[1], F_DUPFD_CLOEXEC, 0);
	cap = mbuf_cap_fd(i);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, TEXT, &cap, 1));
	close(i);
	/* Passed and taken, it is what it was. */
	rfd = take_fd(sv[1]);
	ASSERT_LE(0, rfd);
	cap = mbuf_cap_fd(rfd);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, TEXT, &cap, 1));
	close(rfd);
	/* The socket keeps the session; closing the socket ends that. */
	cap = mbuf_cap_fd(self->sfd);
	EXPECT_EQ(0, send_caps(self->sfd, -1, TEXT, &cap, 1));
	close_fd(&self->rfd);
	close(s);
	close(sv[0]);
	close(sv[1]);
}

TEST_F(queue, io_uring)
{
	int s = mbuf_open(), fds[3];
	struct mbuf_cap cap;
	uint64_t at = 0;
	struct ring r;

	ASSERT_EQ(0, cap_queue(s, 4, 4, &self->rfd, &self->sfd));
	if (ring_open(&r)) {
		close(s);
		SKIP(return, "no io_uring here");
	}
	fds[0] = self->rfd;
	fds[1] = self->sfd;
	fds[2] = s;
	ASSERT_EQ(0, syscall(__NR_io_uring_register, r.fd,
			     IORING_REGISTER_FILES, fds, 3));
	cap = mbuf_cap_fd(r.fd);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, TEXT, &cap, 1));
	EXPECT_EQ(-EOPNOTSUPP, mbuf_handle_put(s, r.fd, 0, 0, &at));
	cap = mbuf_cap_fd(self->sfd);
	EXPECT_EQ(0, send_caps(self->sfd, -1, TEXT, &cap, 1));
	close_fd(&self->rfd);
	close(s);
	ring_close(&r);
}

/* What watches a file does not own it. */
TEST_F(queue, epoll)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int s = mbuf_open(), ep = epoll_create1(EPOLL_CLOEXEC);
	struct mbuf_cap cap;
	uint64_t at = 0;

	ASSERT_EQ(0, cap_queue(s, 4, 4, &self->rfd, &self->sfd));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->rfd, &ev));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->sfd, &ev));
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev));
	cap = mbuf_cap_fd(ep);
	EXPECT_EQ(0, send_caps(self->sfd, -1, TEXT, &cap, 1));
	EXPECT_EQ(0, mbuf_handle_put(s, ep, 0, 0, &at));
	close(ep);
	close(s);
	close_fd(&self->rfd);
	EXPECT_EQ(-EPIPE, send_one(self->sfd));
}

/* A process that holds it, taken from there, and sent there. */
TEST_F(queue, pidfds_and_duplicates)
{
	int s = mbuf_open(), pidfd, fd;
	struct mbuf_cap cap;
	uint64_t at = 0;

	ASSERT_EQ(0, cap_queue(s, 4, 4, &self->rfd, &self->sfd));
	pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	ASSERT_LE(0, pidfd);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, self->rfd, 0);
	ASSERT_LE(0, fd);
	cap = mbuf_cap_fd(fd);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, TEXT, &cap, 1));
	EXPECT_EQ(-EOPNOTSUPP, mbuf_handle_put(s, fd, 0, 0, &at));
	close(fd);
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, s, 0);
	ASSERT_LE(0, fd);
	cap = mbuf_cap_fd(fd);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, TEXT, &cap, 1));
	close(fd);
	/* The pidfd itself keeps no files. */
	cap = mbuf_cap_fd(pidfd);
	EXPECT_EQ(0, send_caps(self->sfd, -1, TEXT, &cap, 1));
	close(pidfd);
	fd = dup(self->rfd);
	cap = mbuf_cap_fd(fd);
	EXPECT_EQ(-EOPNOTSUPP, send_caps(self->sfd, -1, TEXT, &cap, 1));
	close_fd(&self->rfd);
	/* A duplicate holds it as well. */
	EXPECT_EQ(0, send_one(self->sfd));
	close(fd);
	EXPECT_EQ(-EPIPE, send_one(self->sfd));
	close(s);
}

/* An endpoint that is mapped, sent, and never received. */
TEST_F(queue, mappings)
{
	int s = mbuf_open(), end[2];
	struct mbuf_cap cap;
	void *p;

	ASSERT_EQ(0, cap_queue(s, 4, 4, &self->rfd, &self->sfd));
	/* Neither queues nor sessions can be mapped. */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), PROT_READ, MAP_SHARED,
				   self->rfd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page_size(), PROT_READ, MAP_SHARED,
				   s, 0));
	ASSERT_EQ(0, mbuf_channel_create(s, MBUF_END_DETACHED | MBUF_END_MAP,
					 end));
	p = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, end[0], 0);
	ASSERT_NE(MAP_FAILED, p);
	cap = mbuf_cap_fd(end[0]);
	EXPECT_EQ(0, send_caps(self->sfd, -1, TEXT, &cap, 1));
	close(end[0]);
	EXPECT_EQ(0, mbuf_channel_signal(end[1]));
	close_fd(&self->rfd);
	/* It goes though the page is mapped, and the page can be read. */
	EXPECT_TRUE(EVENTUALLY(mbuf_channel_signal(end[1]) == -EPIPE));
	EXPECT_LE(0, *(volatile char *)p);
	munmap(p, page_size());
	close(end[1]);
	close(s);
}

TEST_HARNESS_MAIN
