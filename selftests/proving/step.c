// SPDX-License-Identifier: GPL-2.0
/*
 * Sessions and queues, step by step; see step.h.
 */
#include <sys/epoll.h>

#include "step.h"

static int send_number(struct scene *s, unsigned int nr, uint32_t len)
{
	fill_pattern(s->room, len, nr);
	return mbuf_send(s->sfd, s->room, len, MBUF_NOW);
}

/* The number of the next message, or -errno. */
static long recv_number(struct scene *s, const struct job *job)
{
	ssize_t ret = mbuf_recv(s->rfd, s->room, MAX_MSG, MBUF_NOW);
	unsigned int nr;

	if (ret < 0)
		return ret;
	for (nr = 1; nr < 40; nr++)
		if ((ret == 50 || ret == (ssize_t)job->len) &&
		    is_pattern(s->room, (size_t)ret, nr))
			return nr;
	return -EBADMSG;
}

/*
 * Queues
 */
static bool queue_prepare(struct scene *s, const struct job *job)
{
	unsigned int i;

	for (i = 0; i < NR_BATCH; i++) {
		s->msgs[i] = msg_of(s->buf + i * MAX_MSG, job->len);
		if (job->sends)
			fill_pattern(s->buf + i * MAX_MSG, job->len,
				     M_CHILD + i);
	}
	if (mbuf_queue_create(s->session, job->slots, MAX_MSG, job->flags,
			      &s->rfd, &s->sfd))
		return false;
	for (i = 0; i < job->base; i++)
		if (send_number(s, M_BASE + i, job->receives ? job->len : 50))
			return false;
	return true;
}

static bool queue_asleep(struct scene *s)
{
	struct mbuf_queue_info info = get_info(s->rfd);

	return info.send_waiters || info.recv_waiters;
}

/* Makes room for who waits, or sends to it. */
static bool queue_help(struct scene *s, const struct job *job,
		       struct seen *seen)
{
	seen->helped = true;
	if (!job->parks)
		return !send_number(s, M_HELP, job->len);
	seen->got[seen->n++] = recv_number(s, job);
	return true;
}

static bool queue_use(struct scene *s, const struct job *job,
		      struct seen *seen)
{
	if (job->base)
		seen->got[seen->n++] = recv_number(s, job);
	return !send_number(s, M_OTHER, 50);
}

/* Takes all out. */
static void take_all(struct scene *s, const struct job *job, struct seen *seen)
{
	long nr;

	while (seen->n < MAX_GOT && (nr = recv_number(s, job)) != -EAGAIN) {
		seen->got[seen->n++] = nr;
		if (nr < 0)
			break;
	}
}

/* What others must have received, if the call was made or was not. */
static unsigned int expected(const struct job *job, bool made, bool helped,
			     long *want)
{
	unsigned int n = 0, i;

	for (i = made ? job->receives : 0; i < job->base; i++)
		want[n++] = M_BASE + i;
	/* Sent for the child, which was not there any more. */
	if (job->waits && helped && !made)
		want[n++] = M_HELP;
	for (i = 0; made && i < job->sends; i++)
		want[n++] = M_CHILD + i;
	want[n++] = M_OTHER;
	want[n++] = M_AFTER;
	return n;
}

static bool same(const long *a, unsigned int n, const long *b, unsigned int m)
{
	return n == m && !memcmp(a, b, n * sizeof(*a));
}

static void print_numbers(const char *what, const long *p, unsigned int n)
{
	char text[200] = "";
	int at = 0;

	while (n-- && at < 180)
		at += snprintf(text + at, sizeof(text) - (size_t)at, " %ld",
			       *p++);
	diag("%s:%s", what, text);
}

static enum verdict queue_judge(struct scene *s, const struct job *job,
				struct seen *seen)
{
	enum verdict verdict = WRONG;
	struct mbuf_queue_info info;
	long want[MAX_GOT];
	unsigned int m, sent;
	int ret, made;

	take_all(s, job, seen);
	ret = send_number(s, M_AFTER, 50);
	take_all(s, job, seen);
	info = get_info(s->sfd);
	for (made = 0; made < 2 && verdict == WRONG; made++) {
		m = expected(job, made, seen->helped, want);
		if (same(seen->got, seen->n, want, m))
			verdict = made ? MADE : NOT_MADE;
	}
	/* All that was sent is known, and so is who has received it. */
	sent = job->base + 2 + (verdict == MADE ? job->sends : 0) +
	       (job->waits && seen->helped);
	if (verdict != WRONG && !ret && info.sent == sent &&
	    info.received == sent && !info.depth && !info.send_waiters &&
	    !info.recv_waiters && info.senders == 1 && info.receivers == 1 &&
	    !info_wrong(&info))
		return verdict;
	print_numbers("received", seen->got, seen->n);
	for (made = 0; made < 2; made++) {
		m = expected(job, made, seen->helped, want);
		print_numbers(made ? "if made" : "if not made", want, m);
	}
	info_print("queue", &info);
	return WRONG;
}

static void queue_end(struct scene *s)
{
	close_fd(&s->rfd);
	close_fd(&s->sfd);
}

static const struct kind a_queue = {
	.prepare = queue_prepare,
	.asleep = queue_asleep,
	.help = queue_help,
	.use = queue_use,
	.judge = queue_judge,
	.end = queue_end,
};

/*
 * Operations
 */
static long do_send(struct scene *s, const struct job *job)
{
	return mbuf_send(s->sfd, s->buf, job->len, MBUF_FOREVER);
}

static long do_write(struct scene *s, const struct job *job)
{
	return xwrite(s->sfd, s->buf, job->len);
}

static long do_send_msg(struct scene *s, const struct job *job)
{
	(void)job;
	return mbuf_send_msg(s->sfd, s->msgs, MBUF_FOREVER);
}

static long do_send_batch(struct scene *s, const struct job *job)
{
	return mbuf_send_batch(s->sfd, s->msgs, job->sends, job->sends,
			       MBUF_FOREVER);
}

static long do_recv(struct scene *s, const struct job *job)
{
	(void)job;
	return mbuf_recv(s->rfd, s->buf, MAX_MSG, MBUF_FOREVER);
}

static long do_read(struct scene *s, const struct job *job)
{
	(void)job;
	return xread(s->rfd, s->buf, MAX_MSG);
}

static long do_recv_msg(struct scene *s, const struct job *job)
{
	(void)job;
	return mbuf_recv_msg(s->rfd, s->msgs, MBUF_FOREVER);
}

static long do_recv_batch(struct scene *s, const struct job *job)
{
	return mbuf_recv_batch(s->rfd, s->msgs, job->receives, job->receives,
			       MBUF_FOREVER);
}

static const struct job sends[] = {
	{ .name = "mbuf_send, 50 bytes", .call = do_send, .kind = &a_queue,
	  .slots = 8, .base = 2, .len = 50, .sends = 1 },
	{ .name = "mbuf_send, 4000 bytes", .call = do_send, .kind = &a_queue,
	  .slots = 8, .base = 2, .len = 4000, .sends = 1 },
	{ .name = "mbuf_send, 20000 bytes", .call = do_send, .kind = &a_queue,
	  .slots = 8, .base = 2, .len = 20000, .sends = 1 },
	{ .name = "mbuf_send_msg, credentials", .call = do_send_msg,
	  .kind = &a_queue, .slots = 8, .base = 2, .len = 50, .sends = 1,
	  .flags = MBUF_QUEUE_CREDS },
	{ .name = "write, 50 bytes", .call = do_write, .kind = &a_queue,
	  .slots = 8, .base = 2, .len = 50, .sends = 1 },
};

static const struct job send_batches[] = {
	{ .name = "mbuf_send_batch, 5 x 50", .call = do_send_batch,
	  .kind = &a_queue, .slots = 16, .base = 2, .len = 50,
	  .sends = NR_BATCH },
	{ .name = "mbuf_send_batch, 5 x 20000", .call = do_send_batch,
	  .kind = &a_queue, .slots = 16, .base = 2, .len = 20000,
	  .sends = NR_BATCH },
};

static const struct job receives[] = {
	{ .name = "mbuf_recv, 50 bytes", .call = do_recv, .kind = &a_queue,
	  .slots = 8, .base = 2, .len = 50, .receives = 1 },
	{ .name = "mbuf_recv, 4000 bytes", .call = do_recv, .kind = &a_queue,
	  .slots = 8, .base = 2, .len = 4000, .receives = 1 },
	{ .name = "mbuf_recv, 20000 bytes", .call = do_recv, .kind = &a_queue,
	  .slots = 8, .base = 2, .len = 20000, .receives = 1 },
	{ .name = "mbuf_recv_msg, 50 bytes", .call = do_recv_msg,
	  .kind = &a_queue, .slots = 8, .base = 2, .len = 50, .receives = 1 },
	{ .name = "read, 50 bytes", .call = do_read, .kind = &a_queue,
	  .slots = 8, .base = 2, .len = 50, .receives = 1 },
};

static const struct job recv_batches[] = {
	{ .name = "mbuf_recv_batch, 3 x 50", .call = do_recv_batch,
	  .kind = &a_queue, .slots = 16, .base = 4, .len = 50, .receives = 3 },
	{ .name = "mbuf_recv_batch, 3 x 20000", .call = do_recv_batch,
	  .kind = &a_queue, .slots = 16, .base = 4, .len = 20000,
	  .receives = 3 },
};

static const struct job sleepers[] = {
	{ .name = "mbuf_send, 50 bytes, parked", .call = do_send,
	  .kind = &a_queue, .slots = 2, .base = 2, .len = 50, .sends = 1,
	  .parks = true },
	{ .name = "mbuf_send, 20000 bytes, parked", .call = do_send,
	  .kind = &a_queue, .slots = 2, .base = 2, .len = 20000, .sends = 1,
	  .parks = true },
	{ .name = "write, 50 bytes, parked", .call = do_write, .kind = &a_queue,
	  .slots = 2, .base = 2, .len = 50, .sends = 1, .parks = true },
	{ .name = "mbuf_recv, 50 bytes, waiting", .call = do_recv,
	  .kind = &a_queue, .slots = 2, .len = 50, .waits = true },
	{ .name = "mbuf_recv, 20000 bytes, waiting", .call = do_recv,
	  .kind = &a_queue, .slots = 2, .len = 20000, .waits = true },
	{ .name = "read, 50 bytes, waiting", .call = do_read, .kind = &a_queue,
	  .slots = 2, .len = 50, .waits = true },
};

TEST_F_TIMEOUT(step, send, LONG_TIMEOUT)
{
	DRIVE_ALL(sends);
}

TEST_F_TIMEOUT(step, send_batch, LONG_TIMEOUT)
{
	DRIVE_ALL(send_batches);
}

TEST_F_TIMEOUT(step, recv, LONG_TIMEOUT)
{
	DRIVE_ALL(receives);
}

TEST_F_TIMEOUT(step, recv_batch, LONG_TIMEOUT)
{
	DRIVE_ALL(recv_batches);
}

TEST_F_TIMEOUT(step, asleep, LONG_TIMEOUT)
{
	DRIVE_ALL(sleepers);
}

/*
 * What has no effect on a queue: nothing may be left of it
 */
static long do_open(struct scene *s, const struct job *job)
{
	(void)s;
	(void)job;
	return mbuf_open();
}

static long do_query(struct scene *s, const struct job *job)
{
	struct mbuf_query q;

	(void)job;
	return mbuf_query(s->session, &q);
}

static long do_create(struct scene *s, const struct job *job)
{
	int r, w;

	(void)job;
	return mbuf_queue_create(s->session, 16, 5000, MBUF_QUEUE_PRIO, &r, &w);
}

/* A whole life with a queue, of which every entry to the kernel counts. */
static long do_all(struct scene *s, const struct job *job)
{
	struct mbuf_queue_info info;
	struct epoll_event ev = { .events = EPOLLIN };
	struct pollfd p = { .events = POLLIN };
	int session = mbuf_open(), r, w, r2, ep;
	struct mbuf_query q;

	(void)job;
	if (session < 0 || mbuf_query(session, &q) ||
	    mbuf_queue_create(session, 4, MAX_MSG, MBUF_QUEUE_CREDS, &r, &w))
		return -1;
	close(session);
	p.fd = r;
	ep = epoll_create1(EPOLL_CLOEXEC);
	r2 = dup(r);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, r, &ev) || poll(&p, 1, 0) ||
	    mbuf_send(w, s->buf, 100, MBUF_FOREVER) ||
	    mbuf_send(w, s->buf, 20000, MBUF_FOREVER) ||
	    xwrite(w, s->buf, 3000) != 3000 || poll(&p, 1, -1) != 1 ||
	    epoll_wait(ep, &ev, 1, -1) != 1 || mbuf_queue_info(r, &info) ||
	    info.depth != 3 || mbuf_recv(r, s->buf, MAX_MSG, MBUF_NOW) != 100 ||
	    xread(r2, s->buf, MAX_MSG) != 20000)
		return -2;
	close(r);
	close(w);
	close(ep);
	close(r2);
	return 0;
}

static const struct job sessions[] = {
	{ .name = "mbuf_open", .call = do_open },
	{ .name = "mbuf_query", .call = do_query },
	{ .name = "mbuf_queue_create", .call = do_create },
	{ .name = "a whole life", .call = do_all },
};

TEST_F_TIMEOUT(step, session, LONG_TIMEOUT)
{
	DRIVE_ALL(sessions);
}

/*
 * Between what others do and the next instruction of who sleeps
 */

/* Nobody else runs on this processor from here on: no child, that is. */
static bool go_first(void)
{
	struct sched_param p = { .sched_priority = 10 };

	return !sched_setscheduler(0, SCHED_FIFO, &p);
}

static void go_on(void)
{
	struct sched_param p = { .sched_priority = 0 };

	sched_setscheduler(0, SCHED_OTHER, &p);
}

static int sleeper_main(void *arg)
{
	struct child_arg *a = arg;

	a->s->view->ret = a->job->call(a->s, a->job);
	atomic_store(&a->s->view->returned, 1);
	while (pause())
		;
	return 0;
}

enum fate { KILLED, STOPPED, KILLED_BEFORE, NR_FATES };

static const char *const fate_names[NR_FATES] = {
	"killed after", "stopped after", "killed before",
};

/*
 * A sleeper gets what it waits for and is killed, or stopped and continued,
 * before its next instruction; or it is killed first and gets it then.
 */
static void meet(struct __test_metadata *_metadata, struct scene *s,
		 const struct job *job, enum fate fate)
{
	struct child_arg a = { s, job };
	struct mbuf_queue_info info;
	struct seen seen = {};
	long want[MAX_GOT];
	unsigned int m = 0, i;
	bool ran;
	pid_t pid;

	ASSERT_TRUE(queue_prepare(s, job));
	for (i = 0; i < NR_BATCH; i++) {
		s->msgs[i] = msg_of(s->buf + i * MAX_MSG, job->len);
		if (job->sends)
			fill_pattern(s->buf + i * MAX_MSG, job->len,
				     M_CHILD + i);
	}
	s->view->ret = 0x7777;
	atomic_store(&s->view->returned, 0);
	pid = spawn(sleeper_main, &a);
	ASSERT_LT(0, pid);
	ASSERT_SLEEPERS(s->rfd, job->waits, job->parks);
	/* All that it touches is there before it matters. */
	fill_pattern(s->room, job->len, M_HELP);

	ASSERT_TRUE(go_first());
	if (fate == KILLED_BEFORE)
		kill(pid, SIGKILL);
	EXPECT_TRUE(queue_help(s, job, &seen));
	info = get_info(s->rfd);
	ran = atomic_load(&s->view->returned);
	if (fate != KILLED_BEFORE)
		kill(pid, fate == KILLED ? SIGKILL : SIGSTOP);
	go_on();

	/* It was served, and yet has done nothing. */
	EXPECT_EQ(0, info.recv_waiters);
	EXPECT_EQ(0, info.send_waiters);
	EXPECT_FALSE(ran);
	if (fate == STOPPED) {
		int status;

		ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
		EXPECT_TRUE(WIFSTOPPED(status));
		kill(pid, SIGCONT);
		EXPECT_TRUE(EVENTUALLY(atomic_load(&s->view->returned)));
		EXPECT_LE(0, s->view->ret);
		if (job->waits)
			EXPECT_TRUE(is_pattern(s->buf, job->len, M_HELP));
	}
	EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));

	/*
	 * A message that has entered is the queue's, whoever sent it; one that
	 * its receiver did not live to see is still there.
	 */
	for (i = 0; i < job->base; i++)
		want[m++] = M_BASE + i;
	if (job->parks)
		want[m++] = M_CHILD;
	if (job->waits && fate != STOPPED)
		want[m++] = M_HELP;
	take_all(s, job, &seen);
	info = get_info(s->rfd);
	if (!same(seen.got, seen.n, want, m) || info_wrong(&info) ||
	    info.sent != m + (job->waits && fate == STOPPED) ||
	    info.received != info.sent || info.depth) {
		EXPECT_TRUE(false) {
			TH_LOG("%s: %s it was served", job->name,
			       fate_names[fate]);
		}
		print_numbers("received", seen.got, seen.n);
		print_numbers("should be", want, m);
		info_print("queue", &info);
	}
	EXPECT_EQ(0, send_number(s, M_AFTER, 50));
	EXPECT_EQ(M_AFTER, recv_number(s, job));
	queue_end(s);
}

static bool may_go_first(void)
{
	bool may = go_first();

	go_on();
	return may;
}

#define NEED_PRIORITY() do {						\
	if (!may_go_first())						\
		SKIP(return, "cannot become a real-time process here");	\
} while (0)

TEST_F_TIMEOUT(step, served_and_killed, LONG_TIMEOUT)
{
	unsigned int i, round;
	enum fate fate;

	NEED_PRIORITY();
	for (i = 0; i < ARRAY_SIZE(sleepers); i++)
		for (fate = 0; fate < NR_FATES; fate++)
			for (round = 0; round < 3 && _metadata->passed; round++)
				meet(_metadata, &self->s, &sleepers[i], fate);
}

/*
 * The same with others behind: they get what the dead did not live to see, in
 * their order.
 */
struct behind {
	int fd;
	_Atomic long *got;
};

static int behind_main(void *arg)
{
	struct behind *b = arg;
	uint8_t *p = malloc(MAX_MSG);
	unsigned int nr;
	ssize_t ret = mbuf_recv(b->fd, p, MAX_MSG, MBUF_FOREVER);

	for (nr = 1; nr < 40; nr++)
		if (ret > 0 && is_pattern(p, (size_t)ret, nr))
			break;
	atomic_store(b->got, ret > 0 ? (long)nr : ret);
	return 0;
}

TEST_F_TIMEOUT(step, served_and_killed_others_behind, LONG_TIMEOUT)
{
	static const uint32_t lens[] = { 50, 4000, 20000 };
	struct scene *s = &self->s;
	_Atomic long *got = map_shared(2 * sizeof(*got));
	unsigned int i, k;

	NEED_PRIORITY();
	ASSERT_NE(NULL, got);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		const struct job job = {
			.name = "mbuf_recv", .call = do_recv, .slots = 4,
			.len = lens[i], .waits = true,
		};
		struct child_arg a = { s, &job };
		pid_t pid, other[2];

		ASSERT_TRUE(queue_prepare(s, &job));
		pid = spawn(sleeper_main, &a);
		ASSERT_SLEEPERS(s->rfd, 1, 0);
		for (k = 0; k < 2; k++) {
			struct behind b = { s->rfd, &got[k] };

			got[k] = 0;
			other[k] = spawn(behind_main, &b);
			ASSERT_SLEEPERS(s->rfd, k + 2, 0);
		}
		fill_pattern(s->room, lens[i], M_HELP);
		ASSERT_TRUE(go_first());
		EXPECT_EQ(0, send_number(s, M_HELP, lens[i]));
		kill(pid, SIGKILL);
		go_on();
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
		EXPECT_EQ(0, reap(other[0]));
		EXPECT_EQ(M_HELP, got[0]);
		EXPECT_EQ(0, got[1]);
		EXPECT_EQ(1, get_info(s->rfd).recv_waiters);
		EXPECT_EQ(1, get_info(s->rfd).received);
		EXPECT_EQ(0, send_number(s, M_AFTER, lens[i]));
		EXPECT_EQ(0, reap(other[1]));
		EXPECT_EQ(M_AFTER, got[1]);
		queue_end(s);
	}
	munmap((void *)got, 2 * sizeof(*got));
}

TEST_HARNESS_MAIN
