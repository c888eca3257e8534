// SPDX-License-Identifier: GPL-2.0
/*
 * Kill storm: processes that use queues in every way there is are killed at
 * random points, in waves, and those that survive must not notice: no message
 * is half, none comes twice, those of one sender come in its order, and what a
 * sender was told is sent arrives. In the end nobody is charged for anything.
 *
 * MBUF_STORM=N		how many processes are killed
 * MBUF_STORM_SECONDS=N	or for how long at most (150)
 * MBUF_SEED=N		which random numbers; when somebody dies is up to the
 *			scheduler as well
 *
 * To add an operation or an object: a function that does it in a loop for ever,
 * in any order and with any arguments, and a row for it in roles[]. It takes a
 * party's record (new_id()) and notes where it is (enum at). What it says must
 * not happen it tells by wrong(). If there are objects that outlive victims,
 * rights_back() has to know what they look like when all victims are gone; what
 * users are charged is looked at in any case.
 */
#include <sys/epoll.h>

#include "../cap.h"
#include "../kapi.h"
#include "../netlink.h"
#include "../paged.h"
#include "proving.h"

#define MAX_MSG		50000
#define MAX_FEED	(1 << 20)	/* messages that the feeder sends */
#define MAX_BATCH	4
#define WAVE		10		/* victims at a time */
#define TREE_MAX	16		/* processes and threads of one victim */
#define NR_UIDS		4

static const uid_t uids[NR_UIDS] = {
	TEST_UID, TEST_UID + 1, TEST_UID + 2, TEST_UID + 3,
};

/*
 * Messages
 */
#define MAGIC	0x6d627566u

struct head {
	uint32_t magic, id;
	uint64_t nr;
	uint32_t len, sum;
};

/* Fast, as tens of kilobytes are filled and checked all the time. */
static uint64_t word_of(const struct head *h, size_t i)
{
	return (h->nr + 1) * 0x9e3779b97f4a7c15ull +
	       (h->id + i) * 0xd1b54a32d192ed03ull;
}

static uint32_t sum_of(const struct head *h)
{
	return (uint32_t)(h->magic ^ h->id * 31 ^ h->nr * 0x9e3779b9u ^
			  h->len * 131);
}

static void msg_fill(void *p, uint32_t id, uint64_t nr, uint32_t len)
{
	struct head h = { .magic = MAGIC, .id = id, .nr = nr, .len = len };
	uint8_t *b = p;
	size_t at;

	h.sum = sum_of(&h);
	memcpy(b, &h, sizeof(h));
	for (at = sizeof(h); at < len; at += 8) {
		uint64_t w = word_of(&h, at);

		memcpy(b + at, &w, len - at < 8 ? len - at : 8);
	}
}

/* NULL if the message is whole, or what is wrong with it. */
static const char *msg_wrong(const void *p, size_t len, struct head *h)
{
	const uint8_t *b = p;
	size_t at;

	if (len < sizeof(*h))
		return "a message is too short";
	memcpy(h, b, sizeof(*h));
	if (h->magic != MAGIC || h->sum != sum_of(h))
		return "a message's head is garbage";
	if (h->len != len)
		return "a message has not the length that it was sent with";
	for (at = sizeof(*h); at < len; at += 8) {
		uint64_t w = word_of(h, at);

		if (memcmp(b + at, &w, len - at < 8 ? len - at : 8))
			return "a message's payload is garbage";
	}
	return NULL;
}

/*
 * What all share
 */
enum queue_nr {
	Q_FIFO,		/* victims send, a survivor receives */
	Q_PRIO,		/* likewise, with priorities and credentials */
	Q_OVER,		/* likewise, overwriting */
	Q_FEED,		/* a survivor sends, victims receive */
	Q_BOTH,		/* victims only */
	NR_QUEUES
};

static const struct {
	uint32_t slots, flags;
} queue_kinds[NR_QUEUES] = {
	[Q_FIFO] = { 4, MBUF_QUEUE_CREDS },
	[Q_PRIO] = { 6, MBUF_QUEUE_PRIO | MBUF_QUEUE_CREDS },
	[Q_OVER] = { 8, MBUF_QUEUE_OVERWRITE },
	[Q_FEED] = { 4, 0 },
	[Q_BOTH] = { 3, MBUF_QUEUE_PRIO | MBUF_QUEUE_CREDS },
};

#define ROLES_MAX	32

/* Where a party was when it died; for the report. */
enum at {
	AT_OTHER, AT_SEND, AT_RECV, AT_CREATE, AT_CLOSE, AT_POLL, AT_PASS,
	AT_EXCHANGE, AT_REGION, AT_CONNECT, AT_FAULT, AT_PAGER, AT_CAPS,
	AT_NETLINK, NR_AT
};

static const char *const at_names[NR_AT] = {
	"elsewhere", "sending", "receiving", "creating", "closing", "polling",
	"passing rights", "exchanging", "negotiating", "connecting",
	"touching pages", "paging", "with capabilities", "looking on",
};

/* One sender or receiver: a process, or one of its threads. */
struct party_rec {
	/* Messages that were sent for sure, and those under way. */
	_Atomic uint64_t done;
	_Atomic uint32_t trying;
	_Atomic uint32_t at;
	uint32_t pid, uid, queue;
	uint64_t last;		/* the newest one that arrived */
};

struct shared {
	_Atomic uint32_t next_id;
	_Atomic uint64_t calls, blocked_killed;
	_Atomic bool stop;
	_Atomic uint32_t wrong;
	char why[200];
	_Atomic uint64_t fed;		/* by the feeder */
	_Atomic uint8_t got[MAX_FEED];	/* by whoever received it */
	_Atomic uint64_t collected[NR_QUEUES];
	_Atomic uint64_t served, accepted, paged, noticed;	/* by survivors */
	_Atomic uint64_t paging_killed;
	uint32_t max_ids;
	struct party_rec rec[];
};

static struct shared *sh;
static int rfd[NR_QUEUES], sfd[NR_QUEUES];
static uid_t my_uid;		/* outside of user namespaces */
static uint64_t life_ns;	/* of a victim at most, if it has a timer */

/* Says once what has gone wrong, whoever finds it. */
#define wrong(fmt, ...) do {						\
	if (!atomic_fetch_add(&sh->wrong, 1))				\
		snprintf(sh->why, sizeof(sh->why), fmt, ##__VA_ARGS__);	\
} while (0)

static uint32_t new_id(uint32_t queue)
{
	uint32_t id = atomic_fetch_add(&sh->next_id, 1);

	if (id >= sh->max_ids) {
		wrong("more parties than expected");
		for (;;)
			pause();
	}
	sh->rec[id].pid = (uint32_t)getpid();
	sh->rec[id].uid = my_uid;
	sh->rec[id].queue = queue;
	return id;
}

static uint32_t random_len(struct rng *r)
{
	static const uint32_t lens[] = {
		sizeof(struct head), 32, 64, 100, 200, 256, 257, 1000, 4095,
		4096, 4097, 9000, MAX_MSG,
	};

	/* Mostly small ones, and any in between. */
	if (!rng_below(r, 4))
		return (uint32_t)sizeof(struct head) + rng_below(r, 5000);
	return lens[rng_below(r, ARRAY_SIZE(lens))];
}

static uint64_t random_deadline(struct rng *r)
{
	switch (rng_below(r, 4)) {
	case 0:
		return MBUF_NOW;
	case 1:
		return mbuf_deadline(rng_below(r, 3000000));
	default:
		return MBUF_FOREVER;
	}
}

/* What a call may say in a storm without being wrong. */
static bool may_fail(long ret)
{
	return ret == -EAGAIN || ret == -ETIMEDOUT || ret == -EDQUOT ||
	       ret == -ENOMEM || ret == -ENOBUFS;
}

/*
 * Victims. None of them ever returns.
 */
struct room {
	uint8_t data[MAX_BATCH][MAX_MSG];
};

/* Fresh memory now and then, so that pages are missing in the kernel. */
static struct room *refresh(struct room *room, struct rng *r)
{
	if (room && rng_below(r, 16))
		return room;
	if (room)
		munmap(room, sizeof(*room));
	room = map_pages(sizeof(*room), PROT_READ | PROT_WRITE);
	if (!room)
		_exit(2);
	return room;
}

/* Sends one message or a batch; how many have gone, or -errno. */
static long send_some(int fd, struct rng *r, struct room *room, uint32_t id,
		      uint64_t nr, uint32_t *n, uint32_t prio)
{
	struct mbuf_msg msgs[MAX_BATCH];
	uint32_t i, way = rng_below(r, 5), len = 0;
	struct iovec iov[2];
	long ret;

	/* write() has neither priorities nor a deadline. */
	if (prio && (way == 1 || way == 2))
		way = 0;
	*n = way >= 3 ? 1 + rng_below(r, MAX_BATCH) : 1;
	for (i = 0; i < *n; i++) {
		len = random_len(r);
		msg_fill(room->data[i], id, nr + i, len);
		msgs[i] = msg_of(room->data[i], len);
		msgs[i].prio = prio;
	}
	atomic_store(&sh->rec[id].trying, *n);
	atomic_store(&sh->rec[id].at, AT_SEND);
	atomic_fetch_add(&sh->calls, 1);
	switch (way) {
	case 0:
		ret = mbuf_send_msg(fd, msgs, random_deadline(r));
		ret = ret ? ret : 1;
		break;
	case 1:
		ret = xwrite(fd, room->data[0], len);
		ret = ret > 0 ? 1 : ret;
		break;
	case 2:
		iov[0].iov_base = room->data[0];
		iov[0].iov_len = 10;
		iov[1].iov_base = room->data[0] + 10;
		iov[1].iov_len = len - 10;
		ret = sys_result(writev(fd, iov, 2));
		ret = ret > 0 ? 1 : ret;
		break;
	default:
		ret = mbuf_send_batch(fd, msgs, *n, rng_below(r, *n + 1),
				      random_deadline(r));
		break;
	}
	return ret;
}

static void sender(uint32_t queue, int fd, struct rng r)
{
	uint32_t id = new_id(queue), n, prio;
	struct party_rec *rec = &sh->rec[id];
	struct room *room = NULL;
	long ret;

	/* One sender, one priority: so its own messages keep their order. */
	prio = queue == Q_PRIO ? rng_below(&r, 3) * 31 : 0;
	for (;;) {
		room = refresh(room, &r);
		ret = send_some(fd, &r, room, id, atomic_load(&rec->done) + 1,
				&n, prio);
		if (ret > 0)
			atomic_fetch_add(&rec->done, (uint64_t)ret);
		else if (!may_fail(ret))
			wrong("sender %u: %s", id, strerror((int)-ret));
		atomic_store(&rec->trying, 0);
		atomic_store(&rec->at, AT_OTHER);
	}
}

/* Receives one message or a batch; how many have come, or -errno. */
static long recv_some(int fd, struct rng *r, struct room *room, uint32_t id,
		      struct mbuf_msg *msgs)
{
	uint32_t i, way = rng_below(r, 5), n;
	struct iovec iov[2];
	long ret;

	n = way >= 3 ? 1 + rng_below(r, MAX_BATCH) : 1;
	for (i = 0; i < n; i++)
		msgs[i] = msg_of(room->data[i], MAX_MSG);
	atomic_store(&sh->rec[id].trying, n);
	atomic_store(&sh->rec[id].at, AT_RECV);
	atomic_fetch_add(&sh->calls, 1);
	switch (way) {
	case 0:
		ret = mbuf_recv_msg(fd, msgs, random_deadline(r));
		return ret ? ret : 1;
	case 1:
		ret = xread(fd, room->data[0], MAX_MSG);
		break;
	case 2:
		iov[0].iov_base = room->data[0];
		iov[0].iov_len = 50;
		iov[1].iov_base = room->data[0] + 50;
		iov[1].iov_len = MAX_MSG - 50;
		ret = sys_result(readv(fd, iov, 2));
		break;
	default:
		return mbuf_recv_batch(fd, msgs, n, rng_below(r, n + 1),
				       random_deadline(r));
	}
	if (ret <= 0)
		return ret ? ret : -EPIPE;
	msgs[0].len = (uint32_t)ret;
	return 1;
}

static void note_received(const void *p, size_t len)
{
	const char *why;
	struct head h;

	why = msg_wrong(p, len, &h);
	if (why)
		wrong("receiver: %s (%zu bytes)", why, len);
	else if (h.id)
		wrong("receiver: message of party %u is in the wrong queue",
		      h.id);
	else if (h.nr >= MAX_FEED)
		wrong("receiver: message %llu was never sent",
		      (unsigned long long)h.nr);
	else if (atomic_fetch_add(&sh->got[h.nr], 1))
		wrong("message %llu was received twice",
		      (unsigned long long)h.nr);
}

static void receiver(int fd, struct rng r)
{
	uint32_t id = new_id(Q_FEED), i;
	struct mbuf_msg msgs[MAX_BATCH];
	struct room *room = NULL;
	long ret;

	for (;;) {
		room = refresh(room, &r);
		ret = recv_some(fd, &r, room, id, msgs);
		for (i = 0; ret > 0 && i < (uint32_t)ret; i++)
			note_received(room->data[i], msgs[i].len);
		if (ret <= 0 && !may_fail(ret))
			wrong("receiver %u: %s", id, strerror((int)-ret));
		atomic_store(&sh->rec[id].trying, 0);
		atomic_store(&sh->rec[id].at, AT_OTHER);
	}
}

/* Sends to and receives from a queue whose other parties die, too. */
static void both_ends(int recv_fd, int send_fd, struct rng r)
{
	uint32_t id = new_id(Q_BOTH), n, i;
	struct mbuf_msg msgs[MAX_BATCH];
	struct room *room = NULL;
	struct head h;
	long ret;

	for (;;) {
		room = refresh(room, &r);
		if (rng_below(&r, 2)) {
			ret = send_some(send_fd, &r, room, id, 1, &n,
					rng_below(&r, 64));
		} else {
			ret = recv_some(recv_fd, &r, room, id, msgs);
			for (i = 0; ret > 0 && i < (uint32_t)ret; i++) {
				const char *why = msg_wrong(room->data[i],
							    msgs[i].len, &h);

				if (why)
					wrong("both: %s", why);
			}
		}
		if (ret <= 0 && !may_fail(ret))
			wrong("both %u: %s", id, strerror((int)-ret));
		atomic_store(&sh->rec[id].at, AT_OTHER);
	}
}

static void random_queue(int session, struct rng *r, int *recv_fd, int *send_fd)
{
	int ret;

	*recv_fd = -1;
	*send_fd = -1;
	atomic_fetch_add(&sh->calls, 1);
	ret = mbuf_queue_create(session, 1 + rng_below(r, 64),
				1 + rng_below(r, MAX_MSG),
				rng_below(r, 0x20) | MBUF_QUEUE_NONBLOCK,
				recv_fd, send_fd);
	if (ret && !may_fail(ret))
		wrong("QUEUE_CREATE: %s", strerror(-ret));
}

/* Makes queues, puts things in, takes some out, closes some. */
static void creator(struct rng r)
{
	struct party_rec *rec = &sh->rec[new_id(NR_QUEUES)];
	int fds[8][2], session = -1;
	struct room *room = NULL;
	unsigned int i, n;

	memset(fds, 0xff, sizeof(fds));
	for (;;) {
		room = refresh(room, &r);
		i = rng_below(&r, ARRAY_SIZE(fds));
		atomic_store(&rec->at, AT_CLOSE);
		n = rng_below(&r, 2);
		close_fd(&fds[i][n]);
		close_fd(&fds[i][!n]);
		if (!rng_below(&r, 4))
			close_fd(&session);
		atomic_store(&rec->at, AT_CREATE);
		if (session < 0)
			session = mbuf_open();
		if (session < 0) {
			if (!may_fail(session))
				wrong("open: %s", strerror(-session));
			continue;
		}
		random_queue(session, &r, &fds[i][0], &fds[i][1]);
		if (fds[i][0] < 0)
			continue;
		atomic_store(&rec->at, AT_SEND);
		for (n = rng_below(&r, 10); n; n--)
			mbuf_send(fds[i][1], room, random_len(&r), MBUF_NOW);
		atomic_store(&rec->at, AT_RECV);
		for (n = rng_below(&r, 5); n; n--)
			mbuf_recv(fds[i][0], room, MAX_MSG, MBUF_NOW);
		atomic_fetch_add(&sh->calls, 15);
	}
}

static void poller(struct rng r)
{
	struct party_rec *rec = &sh->rec[new_id(NR_QUEUES)];
	struct epoll_event ev[4];
	struct pollfd p[2 * NR_QUEUES];
	int i, ep, timeout;

	atomic_store(&rec->at, AT_POLL);
	for (;;) {
		for (i = 0; i < NR_QUEUES; i++) {
			p[2 * i].fd = rfd[i];
			p[2 * i].events = rng_below(&r, 2) ? POLLIN : 0;
			p[2 * i + 1].fd = sfd[i];
			p[2 * i + 1].events = rng_below(&r, 2) ? POLLOUT : 0;
		}
		timeout = rng_below(&r, 3) ? (int)rng_below(&r, 3) : -1;
		atomic_fetch_add(&sh->calls, 1);
		if (poll(p, ARRAY_SIZE(p), timeout) < 0)
			wrong("poll: %s", strerror(errno));
		ep = epoll_create1(EPOLL_CLOEXEC);
		if (ep < 0)
			continue;
		for (i = 0; i < NR_QUEUES; i++) {
			ev[0].events = EPOLLIN | (rng_below(&r, 2) ? EPOLLET : 0);
			epoll_ctl(ep, EPOLL_CTL_ADD, rfd[i], ev);
			ev[0].events = EPOLLOUT |
				       (rng_below(&r, 2) ? EPOLLONESHOT : 0);
			epoll_ctl(ep, EPOLL_CTL_ADD, sfd[i], ev);
		}
		atomic_fetch_add(&sh->calls, 2 * NR_QUEUES);
		for (i = 0; i < 3; i++)
			epoll_wait(ep, ev, ARRAY_SIZE(ev),
				   rng_below(&r, 3) ? 1 : -1);
		close(ep);
	}
}

static int send_rights(int sock, const int *fds, size_t nr)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = "", byte = 'r';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(nr * sizeof(int)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nr * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nr * sizeof(int));
	return (int)sys_result(sendmsg(sock, &m, MSG_DONTWAIT));
}

/* Receives what comes along, uses and closes it. */
static void take_rights(int sock, struct room *room, uint32_t id)
{
	char control[CMSG_SPACE(4 * sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return;
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		size_t nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int), i;

		for (i = 0; i < nr; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int),
			       sizeof(int));
			msg_fill(room, id, 1, 30);
			mbuf_send(fd, room, 30, MBUF_NOW);
			mbuf_recv(fd, room, MAX_MSG, MBUF_NOW);
			close(fd);
		}
	}
}

/*
 * Leaves rights on their way between processes, also in sockets that only
 * messages in themselves refer to, which takes a garbage collector.
 */
static void passer(struct rng r)
{
	uint32_t id = new_id(NR_QUEUES);
	struct party_rec *rec = &sh->rec[id];
	int sock[2], fds[4], session;
	struct room *room = NULL;
	unsigned int i;

	atomic_store(&rec->at, AT_PASS);
	for (;;) {
		room = refresh(room, &r);
		if (socketpair(AF_UNIX, rng_below(&r, 2) ? SOCK_DGRAM :
			       SOCK_STREAM, 0, sock))
			_exit(2);
		session = mbuf_open();
		for (i = 0; i < 4; i++) {
			if (session < 0)
				break;
			random_queue(session, &r, &fds[0], &fds[1]);
			if (fds[0] < 0)
				break;
			mbuf_send(fds[1], room, random_len(&r), MBUF_NOW);
			fds[2] = rng_below(&r, 2) ? rfd[Q_BOTH] : sock[0];
			fds[3] = rng_below(&r, 2) ? sfd[Q_BOTH] : session;
			send_rights(sock[1], fds, 2 + rng_below(&r, 3));
			close(fds[0]);
			close(fds[1]);
			if (rng_below(&r, 2))
				take_rights(sock[0], room, id);
			atomic_fetch_add(&sh->calls, 8);
		}
		close_fd(&session);
		close(sock[0]);
		close(sock[1]);
	}
}

static void send_fifo(struct rng r)
{
	sender(Q_FIFO, sfd[Q_FIFO], r);
}

static void send_prio(struct rng r)
{
	sender(Q_PRIO, sfd[Q_PRIO], r);
}

static void send_over(struct rng r)
{
	sender(Q_OVER, sfd[Q_OVER], r);
}

static void receive(struct rng r)
{
	receiver(rfd[Q_FEED], r);
}

static void both(struct rng r)
{
	both_ends(rfd[Q_BOTH], sfd[Q_BOTH], r);
}

static void die_at_random(struct rng *r, uint64_t within_ns);

/* For survivors: of the queues it keeps no more than these rights. */
static void keep_only(int r, int s)
{
	int i;

	for (i = 0; i < NR_QUEUES; i++) {
		if (rfd[i] != r)
			close(rfd[i]);
		if (sfd[i] != s)
			close(sfd[i]);
	}
}

#include "storm_channel.h"
#include "storm_paged.h"
#include "storm_caps.h"

struct thread_arg {
	void (*play)(struct rng r);
	struct rng r;
};

static void *thread_main(void *arg)
{
	struct thread_arg *t = arg;

	t->play(t->r);
	return NULL;
}

/* Some in several threads, all of which die at once. */
static void threads(struct rng r)
{
	static void (*const plays[])(struct rng r) = {
		send_fifo, receive, both, send_over, poller, caller,
	};
	static struct thread_arg args[4];
	pthread_t thread;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(args); i++) {
		args[i].play = plays[rng_below(&r, ARRAY_SIZE(plays))];
		args[i].r = rng_of(rng_next(&r), i);
		pthread_create(&thread, NULL, thread_main, &args[i]);
	}
	for (;;)
		pause();
}

/*
 * A queue that nobody has but a tree of processes. Some of them die when their
 * parent does, others when the group does.
 */
static void tree(struct rng r)
{
	unsigned int i, depth, kids;
	int session, recv_fd, send_fd;

	session = mbuf_open();
	if (session < 0)
		_exit(2);
	while (mbuf_queue_create(session, 1 + rng_below(&r, 4), MAX_MSG,
				 MBUF_QUEUE_PRIO, &recv_fd, &send_fd))
		;
	close(session);
	/* Each process comes by here at every depth below its own. */
	for (depth = 0; depth < 2; depth++) {
		kids = 1 + rng_below(&r, 2);
		for (i = 0; i < kids; i++) {
			struct rng kid = rng_of(rng_next(&r), i);

			if (fork())
				continue;
			r = kid;
			if (rng_below(&r, 2))
				prctl(PR_SET_PDEATHSIG, SIGKILL);
			die_at_random(&r, life_ns);
			break;
		}
	}
	if (rng_below(&r, 3))
		both_ends(recv_fd, send_fd, r);
	sender(Q_FIFO, sfd[Q_FIFO], r);
}

static void namespace(struct rng r)
{
	/* Where it may not have one, it does without. */
	if (unshare(CLONE_NEWUSER) && errno != ENOSPC && errno != EPERM)
		wrong("unshare: %s", strerror(errno));
	if (rng_below(&r, 2))
		creator(r);
	sender(Q_FIFO, sfd[Q_FIFO], r);
}

/*
 * What victims do. None of these ever returns.
 */
static const struct role {
	const char *name;
	void (*play)(struct rng r);
	unsigned int weight;	/* how often, relative to others */
	bool makes_others;	/* and so gets more time */
} roles[] = {
	{ "sender", send_fifo, 11, false },
	{ "sender with priority", send_prio, 11, false },
	{ "overwriting sender", send_over, 11, false },
	{ "receiver", receive, 11, false },
	{ "both", both, 11, false },
	{ "creator", creator, 5, false },
	{ "poller", poller, 5, false },
	{ "passer of rights", passer, 5, false },
	{ "tree", tree, 5, true },
	{ "threads", threads, 5, true },
	{ "namespace", namespace, 5, false },
	{ "caller", caller, 11, false },
	{ "owner of sets", setter, 8, false },
	{ "negotiator", negotiator, 8, true },
	{ "connector", connector, 8, false },
	{ "owner of threads' endpoints", owners, 5, true },
	{ "user of drivers", driver_user, 8, false },
	{ "toucher of pages", toucher, 11, true },
	{ "pager", wild_pager, 8, false },
	{ "owner of paged regions", pager_owner, 8, true },
	{ "holder of capabilities", holder, 16, false },
	{ "onlooker", onlooker, 8, false },
};

#define NR_ROLES	ARRAY_SIZE(roles)
_Static_assert(NR_ROLES <= ROLES_MAX, "ROLES_MAX");

static unsigned int random_role(struct rng *r)
{
	unsigned int i, sum = 0;
	uint32_t n;

	for (i = 0; i < NR_ROLES; i++)
		sum += roles[i].weight;
	n = rng_below(r, sum);
	for (i = 0; n >= roles[i].weight; i++)
		n -= roles[i].weight;
	return i;
}

/*
 * A timer that kills its process: unlike another process's kill() it comes at
 * any instruction, in the kernel as well.
 */
static void die_at_random(struct rng *r, uint64_t within_ns)
{
	uint64_t ns = 1000 + rng_next(r) % within_ns;
	struct sigevent ev = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGKILL,
	};
	struct itimerspec when = {
		.it_value.tv_sec = (time_t)(ns / NS_PER_SEC),
		.it_value.tv_nsec = (long)(ns % NS_PER_SEC),
	};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &ev, &timer) ||
	    timer_settime(timer, 0, &when, NULL))
		_exit(2);
}

struct victim_arg {
	const struct role *role;
	struct rng r;
	uid_t uid;
	bool timer;
};

static int victim(void *arg)
{
	struct victim_arg *v = arg;

	setpgid(0, 0);
	my_uid = v->uid;
	if (become(v->uid, v->uid))
		return 2;
	if (v->timer)
		die_at_random(&v->r, v->role->makes_others ? 4 * life_ns :
			      life_ns);
	v->role->play(v->r);
	return 3;
}

/*
 * Survivors
 */
/* Receives all there is, until no sender is left. */
static int collector(void *arg)
{
	const enum queue_nr q = (enum queue_nr)(uintptr_t)arg;
	struct mbuf_msg m;
	uint64_t n = 0, seq = 0;
	const char *why;
	struct head h;
	uint8_t *room = malloc(MAX_MSG);
	int ret;

	keep_only(rfd[q], -1);
	for (;;) {
		struct party_rec *rec;

		m = msg_of(room, MAX_MSG);
		ret = mbuf_recv_msg(rfd[q], &m, MBUF_FOREVER);
		if (ret == -EPIPE)
			return 0;
		CHECK_EQ(0, ret);
		why = msg_wrong(room, m.len, &h);
		if (why) {
			wrong("queue %d: %s (%u bytes, number %llu)", q, why,
			      m.len, (unsigned long long)m.seq);
			continue;
		}
		CHECK(h.id && h.id < atomic_load(&sh->next_id));
		rec = &sh->rec[h.id];
		if (q == Q_OVER ? h.nr <= rec->last : h.nr != rec->last + 1)
			wrong("queue %d: party %u's message %llu follows %llu",
			      q, h.id, (unsigned long long)h.nr,
			      (unsigned long long)rec->last);
		rec->last = h.nr;
		if (q == Q_FIFO && m.seq != seq + 1)
			wrong("queue %d: number %llu follows %llu", q,
			      (unsigned long long)m.seq,
			      (unsigned long long)seq);
		if (q == Q_OVER && m.seq <= seq)
			wrong("queue %d: number %llu follows %llu", q,
			      (unsigned long long)m.seq,
			      (unsigned long long)seq);
		seq = m.seq;
		if (m.flags & MBUF_MSG_CREDS &&
		    (m.pid != rec->pid || m.uid != rec->uid))
			wrong("queue %d: a message of process %u, user %u says %u, %u",
			      q, rec->pid, rec->uid, m.pid, m.uid);
		atomic_store(&sh->collected[q], ++n);
		/* Now and then others have to wait. */
		if (!(n % 32))
			nap();
	}
}

static int feeder(void *arg)
{
	uint8_t *room = malloc(MAX_MSG);
	struct rng r = rng_of((uintptr_t)arg, 0xfeed);
	uint64_t nr = 0;
	uint32_t len;
	int ret;

	keep_only(-1, sfd[Q_FEED]);
	while (!atomic_load(&sh->stop) && nr < MAX_FEED) {
		len = random_len(&r);
		msg_fill(room, 0, nr, len);
		do
			ret = mbuf_send(sfd[Q_FEED], room, len, in_ms(100));
		while (ret == -ETIMEDOUT && !atomic_load(&sh->stop));
		if (ret == -ETIMEDOUT)
			break;
		CHECK_EQ(0, ret);
		atomic_store(&sh->fed, ++nr);
		if (!(nr % 32))
			nap();
	}
	return 0;
}

/*
 * Checks
 */

/* Is nobody charged for anything but the session that asks? */
static bool all_paid(uint64_t session_bytes, bool say)
{
	bool paid = true;
	unsigned int i;

	for (i = 0; i < NR_UIDS; i++) {
		struct mbuf_query q = {};
		int session;

		/* The real user id is who pays; /dev/mbuf is open to all. */
		if (syscall(NR_SETRESUID, uids[i], -1, -1))
			return false;
		session = mbuf_open();
		if (session < 0 || mbuf_query(session, &q))
			paid = false;
		close(session);
		if (q.objects.used != 1 || q.memory.used != session_bytes ||
		    q.inflight.used || q.handles.used || q.caps.used) {
			paid = false;
			if (say) {
				diag("user %u: %llu objects, %llu bytes", uids[i],
				     (unsigned long long)q.objects.used,
				     (unsigned long long)q.memory.used);
				diag("%llu bytes in flight, %llu handles, %llu caps",
				     (unsigned long long)q.inflight.used,
				     (unsigned long long)q.handles.used,
				     (unsigned long long)q.caps.used);
			}
		}
		if (syscall(NR_SETRESUID, 0, -1, -1))
			abort();
	}
	return paid;
}

/* What only a garbage collector frees, closing a socket starts it. */
static bool rights_back(void)
{
	int i, sock[2];

	if (!socketpair(AF_UNIX, SOCK_DGRAM, 0, sock)) {
		close(sock[0]);
		close(sock[1]);
	}
	for (i = 0; i < NR_QUEUES; i++) {
		struct mbuf_queue_info info = get_info(rfd[i]);

		/* Only survivors wait. */
		if (info.senders != 1 || info.receivers != 1 ||
		    (info.send_waiters && i != Q_FEED) ||
		    (info.recv_waiters && i > Q_OVER))
			return false;
	}
	return true;
}

static int try_namespace(void *arg)
{
	(void)arg;
	return unshare(CLONE_NEWUSER) ? errno : 0;
}

#define NS_LIMIT "/proc/sys/user/max_user_namespaces"

/*
 * An account that was not released holds its user namespace, which counts
 * against a limit: of none left, one can be made.
 */
static bool namespaces_gone(void)
{
	char limit[32];
	unsigned int i;
	bool fine = true;

	if (run_as(TEST_UID, try_namespace, NULL) ||
	    !read_file(NS_LIMIT, limit, sizeof(limit))) {
		diag("user namespaces cannot be made here: not tested with");
		return true;
	}
	if (!write_file(NS_LIMIT, "1"))
		return false;
	for (i = 0; i < NR_UIDS; i++)
		fine = EVENTUALLY(!run_as(uids[i], try_namespace, NULL)) && fine;
	write_file(NS_LIMIT, "%s", limit);
	return fine;
}

/*
 * The storm
 */
struct death {
	uint64_t by_timer, by_kill, at_once, at[NR_AT], role[ROLES_MAX];
};

/* Blocked parties of the queues that all victims have. */
static uint64_t blocked(void)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < NR_QUEUES; i++) {
		struct mbuf_queue_info info = get_info(rfd[i]);

		if (info_wrong(&info)) {
			info_print("wrong", &info);
			wrong("queue %d: %s", i, info_wrong(&info));
		}
		/* Survivors do not count. */
		if (i != Q_FEED)
			n += info.send_waiters;
		if (i > Q_OVER)
			n += info.recv_waiters;
	}
	return n;
}

/* Ends a group for good, with all that has come of it. */
static void end_group(pid_t leader)
{
	int status;
	pid_t pid;

	/* Until it is reaped, nobody else gets its number. */
	kill(-leader, SIGKILL);
	kill(leader, SIGKILL);
	while ((pid = waitpid(-leader, &status, 0)) > 0 ||
	       (pid < 0 && errno == EINTR))
		if (pid > 0 && !(WIFSIGNALED(status) &&
				 WTERMSIG(status) == SIGKILL))
			wrong("process %d ended by itself, status 0x%x", pid,
			      status);
}

static void wave(struct rng *r, unsigned int size, struct death *d)
{
	struct victim_arg v[WAVE];
	uint32_t first = atomic_load(&sh->next_id), id;
	unsigned int i, left = size;
	uint64_t end = now_ns() + 4 * life_ns;
	bool killed[WAVE] = {};
	pid_t pid[WAVE];

	for (i = 0; i < size; i++) {
		unsigned int role = random_role(r);

		v[i].role = &roles[role];
		v[i].r = rng_of(rng_next(r), i);
		v[i].uid = uids[rng_below(r, NR_UIDS)];
		v[i].timer = rng_below(r, 2);
		pid[i] = spawn(victim, &v[i]);
		if (pid[i] < 0) {
			wrong("fork: %s", strerror(errno));
			size = i;
			break;
		}
		setpgid(pid[i], pid[i]);
		d->role[role]++;
	}
	while (left && now_ns() < end) {
		struct timespec ts = {
			.tv_nsec = (long)(rng_next(r) %
					  (life_ns / WAVE + 1)),
		};

		nanosleep(&ts, NULL);
		i = rng_below(r, size);
		/* The leader only; its children go on for a while. */
		if (!v[i].timer && !killed[i] && rng_below(r, 2)) {
			kill(pid[i], SIGKILL);
			killed[i] = true;
			d->by_kill++;
		}
		left = 0;
		for (i = 0; i < size; i++)
			left += task_state(pid[i]) != 'Z';
	}
	/* All that is left at once. */
	for (i = 0; i < size; i++)
		if (!killed[i] && task_state(pid[i]) == 'Z')
			d->by_timer++;
		else if (!killed[i])
			d->at_once++;
	atomic_fetch_add(&sh->blocked_killed, blocked());
	atomic_fetch_add(&sh->paging_killed, paged_blocked());
	for (i = 0; i < size; i++)
		kill(-pid[i], SIGKILL);
	for (i = 0; i < size; i++)
		end_group(pid[i]);
	for (id = first; id < atomic_load(&sh->next_id); id++)
		d->at[atomic_load(&sh->rec[id].at)]++;
}

/* How long a victim should live so that it gets somewhere. */
static int nothing(void *arg)
{
	(void)arg;
	return become(TEST_UID, TEST_UID);
}

static uint64_t measure_life(void)
{
	uint64_t start = now_ns();
	int i;

	for (i = 0; i < 8; i++)
		reap(spawn(nothing, NULL));
	/* Eight times what it takes to start one. */
	return now_ns() - start + NS_PER_MS;
}

static uint64_t own_session_bytes(void)
{
	struct mbuf_query q = {};
	int session;

	/* Of a user who has nothing. */
	if (syscall(NR_SETRESUID, TEST_UID + 99, -1, -1))
		return 0;
	session = mbuf_open();
	if (session >= 0)
		mbuf_query(session, &q);
	close(session);
	if (syscall(NR_SETRESUID, 0, -1, -1))
		abort();
	return q.memory.used;
}

/* Takes out what the dead have left to each other: whole, and all there is. */
static void empty_both(void)
{
	uint32_t depth = get_info(rfd[Q_BOTH]).depth;
	static uint8_t room[MAX_MSG];
	const char *why;
	struct head h;
	ssize_t ret;

	while ((ret = mbuf_recv(rfd[Q_BOTH], room, MAX_MSG, MBUF_NOW)) > 0) {
		why = msg_wrong(room, (size_t)ret, &h);
		if (why)
			wrong("left by the dead: %s", why);
		depth--;
	}
	if (ret != -EAGAIN || depth)
		wrong("the dead have left %u messages too many, and %zd", depth,
		      ret);
	if (mbuf_send(sfd[Q_BOTH], "works", 5, MBUF_NOW) ||
	    mbuf_recv(rfd[Q_BOTH], room, MAX_MSG, MBUF_NOW) != 5)
		wrong("the queue of the dead does not work");
}

TEST_F_TIMEOUT(queue, storm, 2 * LONG_TIMEOUT)
{
	const uint64_t seed = env_number("MBUF_SEED", 1);
	const uint64_t total = env_number("MBUF_STORM",
					  emulated() ? 2000 : 5000);
	const uint64_t seconds = env_number("MBUF_STORM_SECONDS", 150);
	const uint64_t session_bytes = own_session_bytes();
	uint64_t n, killed = 0, missing = 0, open_end = 0, i;
	struct rng r = rng_of(seed, 0);
	struct death d = {};
	pid_t collectors[3], feed, serves, accepts, pages, notices;
	uint64_t start = now_ns();
	uint8_t *room;
	ssize_t ret;
	int q;

	NEED_ROOT();
	ASSERT_LT(0, total);
	ASSERT_LT(0, session_bytes);
	n = total * TREE_MAX + 1;
	sh = map_shared(sizeof(*sh) + n * sizeof(sh->rec[0]));
	ASSERT_NE(NULL, sh);
	sh->max_ids = (uint32_t)n;
	sh->next_id = 1;	/* 0 is the feeder */
	room = malloc(MAX_MSG);
	ASSERT_NE(NULL, room);
	/* What children leave behind comes to us. */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (q = 0; q < NR_QUEUES; q++)
		ASSERT_EQ(0, mbuf_queue_create(self->session,
					       queue_kinds[q].slots, MAX_MSG,
					       queue_kinds[q].flags, &rfd[q],
					       &sfd[q]));
	for (q = 0; q <= Q_OVER; q++)
		collectors[q] = spawn(collector, (void *)(uintptr_t)q);
	feed = spawn(feeder, (void *)(uintptr_t)seed);
	for (q = 0; q < NR_CHANNELS; q++) {
		int end[2];

		ASSERT_EQ(0, ch_create(self->session, MBUF_END_DETACHED, end));
		ask[q] = end[0];
		serve[q] = end[1];
	}
	listener = mbuf_listen(self->session, SERVED, strlen(SERVED), 0666, 16);
	ASSERT_GE(listener, 0);
	serves = spawn(server, (void *)(uintptr_t)self->session);
	accepts = spawn(acceptor, (void *)(uintptr_t)seed);
	for (q = 0; q < NR_CHANNELS; q++)
		close_fd(&serve[q]);
	ASSERT_EQ(0, pg_create(self->session, PG_NR * page_size(), &kept.pager,
			       &kept.region, NULL));
	ASSERT_EQ(0, pg_create(self->session, PG_NR * page_size(), &wild.pager,
			       &wild.region, NULL));
	pages = spawn(keeper, (void *)(uintptr_t)seed);
	notices = spawn(notice_reader, NULL);
	ASSERT_EQ(0, cap_queue(self->session, 4, CAPS_MAX, &caps_rfd,
			       &caps_sfd));
	drivers = !chmod(TEST_DEVICE, 0666);
	if (!drivers)
		diag("no %s: load mbuf_test.ko for victims that use drivers",
		     TEST_DEVICE);
	life_ns = measure_life();
	diag("seed %llu, %llu processes, of which each lives %llu us at most",
	     (unsigned long long)seed, (unsigned long long)total,
	     (unsigned long long)(life_ns / 1000));

	while (killed < total && now_ns() - start < seconds * NS_PER_SEC) {
		n = total - killed < WAVE ? total - killed : WAVE;
		wave(&r, (unsigned int)n, &d);
		killed += n;
		/* Nothing that the dead had may be left, whatever it was. */
		EXPECT_TRUE(EVENTUALLY(rights_back()));
		EXPECT_TRUE(EVENTUALLY(channels_back()));
		EXPECT_TRUE(EVENTUALLY(paged_back()));
		EXPECT_TRUE(EVENTUALLY(caps_back()));
		empty_both();
		channels_work();
		paged_work();
		EXPECT_TRUE(EVENTUALLY(all_paid(session_bytes, false)));
		if (atomic_load(&sh->wrong) || !_metadata->passed) {
			diag("that was after %llu processes",
			     (unsigned long long)killed);
			for (q = 0; q < NR_QUEUES; q++) {
				struct mbuf_queue_info info = get_info(rfd[q]);

				info_print("queue", &info);
			}
			all_paid(session_bytes, true);
			break;
		}
	}

	/* What a sender was told is sent arrives, and nothing besides. */
	for (q = 0; q <= Q_OVER; q++) {
		close(sfd[q]);
		EXPECT_EQ(0, reap(collectors[q]));
	}
	for (i = 1; i < atomic_load(&sh->next_id); i++) {
		struct party_rec *rec = &sh->rec[i];
		uint64_t done = atomic_load(&rec->done);
		uint32_t trying = atomic_load(&rec->trying);

		if (rec->queue > Q_OVER)
			continue;
		if (rec->last > done + trying ||
		    (rec->last < done && rec->queue != Q_OVER))
			wrong("party %llu has sent %llu for sure and tried %u more; %llu arrived",
			      (unsigned long long)i, (unsigned long long)done,
			      trying, (unsigned long long)rec->last);
	}
	for (q = 0; q <= Q_OVER; q++) {
		struct mbuf_queue_info info = get_info(rfd[q]);

		EXPECT_EQ(0, info.depth);
		EXPECT_EQ(info.sent, info.received + info.dropped);
		EXPECT_EQ(info.received, atomic_load(&sh->collected[q]));
		EXPECT_EQ(0, info.senders);
	}

	/* What was fed was received once, or is lost with who received it. */
	atomic_store(&sh->stop, true);
	EXPECT_EQ(0, reap(feed));
	for (q = 0; q < NR_CHANNELS; q++)
		close_fd(&ask[q]);
	EXPECT_EQ(0, reap(serves));
	EXPECT_EQ(0, reap(accepts));
	close_fd(&listener);
	close_fd(&kept.region);
	EXPECT_EQ(0, reap(pages));
	EXPECT_EQ(0, reap(notices));
	close_fd(&caps_rfd);
	close_fd(&caps_sfd);
	close_fd(&kept.pager);
	close_fd(&wild.region);
	close_fd(&wild.pager);
	close(sfd[Q_FEED]);
	while ((ret = mbuf_recv(rfd[Q_FEED], room, MAX_MSG, MBUF_NOW)) > 0)
		note_received(room, (size_t)ret);
	EXPECT_EQ(-EPIPE, ret);
	for (i = 0; i < atomic_load(&sh->fed); i++)
		missing += !atomic_load(&sh->got[i]);
	for (i = 1; i < atomic_load(&sh->next_id); i++)
		if (sh->rec[i].queue == Q_FEED)
			open_end += atomic_load(&sh->rec[i].trying);
	EXPECT_GE(open_end, missing);
	EXPECT_EQ(atomic_load(&sh->fed), get_info(rfd[Q_FEED]).received);

	EXPECT_EQ(0, atomic_load(&sh->wrong)) {
		TH_LOG("%s", sh->why);
	}
	EXPECT_TRUE(namespaces_gone());
	for (q = 0; q < NR_QUEUES; q++) {
		struct mbuf_queue_info info = get_info(rfd[q]);

		info_print("queue", &info);
		close(rfd[q]);
	}
	close(sfd[Q_BOTH]);
	EXPECT_TRUE(EVENTUALLY(all_paid(session_bytes, false)));

	if (killed < total)
		diag("time was up: %llu of %llu processes were killed",
		     (unsigned long long)killed, (unsigned long long)total);
	for (i = 0; i < NR_ROLES; i++)
		diag("victims: %llu x %s", (unsigned long long)d.role[i],
		     roles[i].name);
	for (i = 0; i < NR_AT; i++)
		diag("died %s: %llu", at_names[i],
		     (unsigned long long)d.at[i]);
	diag("killed by a timer: %llu, one by one: %llu, all at once: %llu, of which asleep: %llu",
	     (unsigned long long)d.by_timer, (unsigned long long)d.by_kill,
	     (unsigned long long)d.at_once,
	     (unsigned long long)sh->blocked_killed);
	diag("%u parties made %llu calls in %llu ms; collected: %llu + %llu + %llu",
	     sh->next_id - 1, (unsigned long long)sh->calls,
	     (unsigned long long)((now_ns() - start) / NS_PER_MS),
	     (unsigned long long)sh->collected[Q_FIFO],
	     (unsigned long long)sh->collected[Q_PRIO],
	     (unsigned long long)sh->collected[Q_OVER]);
	diag("fed: %llu, of which %llu were lost with who received them",
	     (unsigned long long)sh->fed, (unsigned long long)missing);
	diag("served: %llu calls, %llu connections, %llu pages, %llu notices",
	     (unsigned long long)sh->served, (unsigned long long)sh->accepted,
	     (unsigned long long)sh->paged, (unsigned long long)sh->noticed);
	diag("killed all at once while they waited for a page: %llu",
	     (unsigned long long)sh->paging_killed);
	/* A storm in which nobody got anywhere proves nothing. */
	if (killed >= 100) {
		EXPECT_LT(killed, atomic_load(&sh->calls));
		EXPECT_LT(0, atomic_load(&sh->blocked_killed));
		EXPECT_LT(0, d.by_timer);
		EXPECT_LT(0, d.by_kill);
		EXPECT_LT(0, d.at_once);
		EXPECT_LT(0, d.at[AT_SEND]);
		EXPECT_LT(0, d.at[AT_RECV]);
		EXPECT_LT(0, d.at[AT_EXCHANGE]);
		EXPECT_LT(0, d.at[AT_REGION]);
		EXPECT_LT(0, d.at[AT_CONNECT]);
		EXPECT_LT(0, sh->served);
		EXPECT_LT(0, sh->accepted);
		EXPECT_LT(0, d.at[AT_FAULT]);
		EXPECT_LT(0, d.at[AT_PAGER]);
		EXPECT_LT(0, sh->paged);
		EXPECT_LT(0, sh->paging_killed);
		EXPECT_LT(0, d.at[AT_CAPS]);
		EXPECT_LT(0, d.at[AT_NETLINK]);
		EXPECT_LT(0, sh->noticed);
	}
	free(room);
	munmap(sh, sizeof(*sh) + (total * TREE_MAX + 1) * sizeof(sh->rec[0]));
}

/*
 * Lines with gaps: many wait in line, some are killed all over it, and those
 * that are left are served in their order.
 */
#define LINE	48

struct in_line {
	int fd;
	uint32_t nr, len;
	_Atomic uint32_t *turn;
};

static int sends_in_line(void *arg)
{
	struct in_line *a = arg;
	uint8_t *p = malloc(MAX_MSG);

	msg_fill(p, a->nr, a->nr, a->len);
	return mbuf_send(a->fd, p, a->len, MBUF_FOREVER) ? 1 : 0;
}

static int receives_in_line(void *arg)
{
	struct in_line *a = arg;
	uint8_t *p = malloc(MAX_MSG);
	struct head h;
	ssize_t ret;

	ret = mbuf_recv(a->fd, p, MAX_MSG, MBUF_FOREVER);
	if (ret < 0 || msg_wrong(p, (size_t)ret, &h))
		return 1;
	atomic_store(&a->turn[a->nr], (uint32_t)h.nr);
	return 0;
}

TEST_F_TIMEOUT(queue, senders_killed_in_line, LONG_TIMEOUT)
{
	const uint64_t seed = env_number("MBUF_SEED", 1);
	struct rng r = rng_of(seed, 1);
	uint8_t *room = malloc(MAX_MSG);
	struct in_line a;
	unsigned int i, alive = LINE, round;
	pid_t pid[LINE];
	struct head h;
	ssize_t ret;

	diag("seed %llu", (unsigned long long)seed);
	for (round = 0; round < 2; round++) {
		make_queue(2, MAX_MSG, round ? MBUF_QUEUE_PRIO : 0);
		for (i = 0; i < 2; i++) {
			msg_fill(room, 1000, i, 40);
			ASSERT_EQ(0, mbuf_send(self->sfd, room, 40, MBUF_NOW));
		}
		for (i = 0; i < LINE; i++) {
			a = (struct in_line) {
				.fd = self->sfd,
				.nr = i,
				.len = random_len(&r),
			};
			pid[i] = spawn(sends_in_line, &a);
			ASSERT_SLEEPERS(self->sfd, 0, i + 1);
		}
		alive = LINE;
		for (i = 0; i < LINE; i++) {
			/* The first and the last one for sure. */
			if (i && i != LINE - 1 && rng_below(&r, 2))
				continue;
			EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid[i]));
			pid[i] = 0;
			alive--;
		}
		EXPECT_EQ(alive, get_info(self->sfd).send_waiters);
		EXPECT_EQ(2, get_info(self->sfd).sent);
		for (i = 0; i < 2; i++) {
			ret = mbuf_recv(self->rfd, room, MAX_MSG, MBUF_NOW);
			ASSERT_EQ(40, ret);
			ASSERT_EQ(NULL, msg_wrong(room, (size_t)ret, &h));
			EXPECT_EQ(i, h.nr);
		}
		for (i = 0; i < LINE; i++) {
			if (!pid[i])
				continue;
			ret = mbuf_recv(self->rfd, room, MAX_MSG, MBUF_NOW);
			ASSERT_LT(0, ret);
			ASSERT_EQ(NULL, msg_wrong(room, (size_t)ret, &h));
			EXPECT_EQ(i, h.nr);
			EXPECT_EQ(0, reap(pid[i]));
		}
		EXPECT_EQ(-EAGAIN, mbuf_recv(self->rfd, room, MAX_MSG,
					     MBUF_NOW));
		EXPECT_EQ(2 + alive, get_info(self->sfd).received);
		close_fd(&self->rfd);
		close_fd(&self->sfd);
	}
	free(room);
}

TEST_F_TIMEOUT(queue, receivers_killed_in_line, LONG_TIMEOUT)
{
	const uint64_t seed = env_number("MBUF_SEED", 1);
	struct rng r = rng_of(seed, 2);
	uint8_t *room = malloc(MAX_MSG);
	struct in_line a;
	unsigned int i, alive = LINE, nr = 0;
	pid_t pid[LINE];

	diag("seed %llu", (unsigned long long)seed);
	make_queue(2, MAX_MSG, 0);
	a = (struct in_line) {
		.fd = self->rfd,
		.turn = map_shared(LINE * sizeof(a.turn[0])),
	};
	ASSERT_NE(NULL, a.turn);
	for (i = 0; i < LINE; i++) {
		a.nr = i;
		pid[i] = spawn(receives_in_line, &a);
		ASSERT_SLEEPERS(self->sfd, i + 1, 0);
	}
	for (i = 0; i < LINE; i++) {
		if (i && i != LINE - 1 && rng_below(&r, 2))
			continue;
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid[i]));
		pid[i] = 0;
		alive--;
	}
	EXPECT_EQ(alive, get_info(self->sfd).recv_waiters);
	/* Faster than they can take them, so that some are in the queue. */
	for (i = 0; i < alive + 2; i++) {
		uint32_t len = random_len(&r);

		msg_fill(room, 1, i, len);
		ASSERT_EQ(0, mbuf_send(self->sfd, room, len, MBUF_NOW));
	}
	for (i = 0; i < LINE; i++) {
		if (!pid[i])
			continue;
		EXPECT_EQ(0, reap(pid[i]));
		EXPECT_EQ(nr, atomic_load(&a.turn[i]));
		nr++;
	}
	EXPECT_EQ(2, get_info(self->sfd).depth);
	EXPECT_EQ(alive, get_info(self->sfd).received);
	munmap(a.turn, LINE * sizeof(a.turn[0]));
	free(room);
}

TEST_HARNESS_MAIN
