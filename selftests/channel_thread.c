// SPDX-License-Identifier: GPL-2.0
/*
 * Endpoints that belong to a thread: nobody else can use them, and they end
 * with it, however it ends.
 */
#include <sys/resource.h>
#include "channel.h"
#include "polling.h"
#include "uring.h"

/* Own end and peer: a is bound, b is not. */
static int make_bound(int session, uint32_t flags, int *a, int *b)
{
	struct mbuf_channel_create c = create_of(MBUF_END_THREAD | flags,
						 MBUF_END_DETACHED);
	int ret = (int)xioctl(session, MBUF_IOC_CHANNEL_CREATE, &c);

	if (!ret) {
		*a = c.end[0].ref.fd;
		*b = c.end[1].ref.fd;
	}
	return ret;
}

#define NEED_THREADS() do {						\
	if (!(self->q.features & MBUF_FEATURE_THREAD))			\
		SKIP(return, "no MBUF_END_THREAD here (CONFIG_TRACEPOINTS)"); \
} while (0)

static uint64_t objects_used(int session)
{
	struct mbuf_query q = {};

	mbuf_query(session, &q);
	return q.objects.used;
}

/*
 * A thread that does what it is told, and ends when it is told
 */
enum leave { BY_RETURN, BY_PTHREAD_EXIT, BY_SYSCALL, NR_LEAVE };

struct agent {
	pthread_t thread;
	long (*fn)(void *arg);
	void *arg;
	long ret;
	enum leave leave;
	_Atomic unsigned int asked, done;
	_Atomic bool gone;
	_Atomic pid_t tid;
};

static void *agent_main(void *arg)
{
	struct agent *ag = arg;
	unsigned int n = 0;

	atomic_store(&ag->tid, (pid_t)syscall(SYS_gettid));
	for (;;) {
		while (atomic_load(&ag->asked) == n)
			nap();
		n++;
		if (!ag->fn)
			break;
		ag->ret = ag->fn(ag->arg);
		atomic_store(&ag->done, n);
	}
	atomic_store(&ag->gone, true);
	if (ag->leave == BY_PTHREAD_EXIT)
		pthread_exit(NULL);
	if (ag->leave == BY_SYSCALL)
		syscall(SYS_exit, 0);
	return NULL;
}

static bool agent_start(struct agent *ag)
{
	memset(ag, 0, sizeof(*ag));
	return !pthread_create(&ag->thread, NULL, agent_main, ag) &&
	       EVENTUALLY(ag->tid);
}

/* Begins a call in the thread. */
static void agent_ask(struct agent *ag, long (*fn)(void *), void *arg)
{
	ag->fn = fn;
	ag->arg = arg;
	atomic_fetch_add(&ag->asked, 1);
}

static long agent_result(struct agent *ag)
{
	if (!EVENTUALLY(ag->done == ag->asked))
		return -ETIME;
	return ag->ret;
}

static long agent_call(struct agent *ag, long (*fn)(void *), void *arg)
{
	agent_ask(ag, fn, arg);
	return agent_result(ag);
}

/* Lets it end; a thread that leaves by the system call cannot be joined. */
static void agent_end(struct agent *ag, enum leave leave)
{
	char path[64];

	ag->leave = leave;
	agent_ask(ag, NULL, NULL);
	if (leave == BY_SYSCALL) {
		snprintf(path, sizeof(path), "/proc/self/task/%d", ag->tid);
		EVENTUALLY(access(path, F_OK));
		pthread_detach(ag->thread);
	} else {
		pthread_join(ag->thread, NULL);
	}
}

/* Calls for it. */
struct job {
	int session, fd, peer;
	uint32_t flags;
	uint64_t num, deadline;
	int64_t got;
	struct mbuf_event ev[8];
	uint32_t nr;
	void *map;
};

static long job_make(void *arg)
{
	struct job *j = arg;

	return make_bound(j->session, j->flags, &j->fd, &j->peer);
}

static long job_take(void *arg)
{
	struct job *j = arg;

	return ch_take(j->fd, j->deadline);
}

static long job_put(void *arg)
{
	struct job *j = arg;

	return ch_put(j->fd, j->num);
}

static long job_read(void *arg)
{
	struct job *j = arg;

	return fd_take(j->fd);
}

static long job_write(void *arg)
{
	struct job *j = arg;

	return fd_put(j->fd, j->num);
}

static long job_poll_all(void *arg)
{
	struct job *j = arg;

	poison(j->ev, sizeof(j->ev));
	return ch_poll_all(j->session, j->ev, j->nr, j->deadline);
}

static long job_poll(void *arg)
{
	struct job *j = arg;

	return poll_now(j->session, POLLIN);
}

static long job_any(void *arg)
{
	struct job *j = arg;
	struct mbuf_ref ref = { .fd = j->fd };
	struct mbuf_wait_any a = any_of(&ref, 1, j->deadline);
	int ret = ch_any(j->session, &a);

	return ret ? ret : value_num(a.data);
}

static long job_attach(void *arg)
{
	struct job *j = arg;

	return ch_attach(j->session, j->fd, j->num);
}

static long job_detach(void *arg)
{
	struct job *j = arg;

	return ch_detach(j->session, j->fd);
}

static long job_map(void *arg)
{
	struct job *j = arg;
	void *p = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, j->fd, 0);

	j->map = p == MAP_FAILED ? NULL : p;
	return p == MAP_FAILED ? -errno : 0;
}

static long job_close(void *arg)
{
	struct job *j = arg;

	return close(j->fd);
}

/* A thread with an endpoint: job.fd is bound to it, job.peer is free. */
#define START_OWNER(ag, j, f) do {					\
	ASSERT_TRUE(agent_start(ag));					\
	memset(j, 0, sizeof(*(j)));					\
	(j)->session = self->session;					\
	(j)->flags = (f);						\
	(j)->deadline = MBUF_NOW;					\
	(j)->nr = 8;							\
	ASSERT_EQ(0, agent_call(ag, job_make, j));			\
} while (0)

#define CLOSE_JOB(j) do {						\
	close((j)->fd);							\
	close((j)->peer);						\
} while (0)

TEST_F(channel, its_thread_can_use_it)
{
	struct agent ag;
	struct job j;

	NEED_THREADS();
	START_OWNER(&ag, &j, MBUF_END_MAP);
	EXPECT_EQ(MBUF_END_THREAD | MBUF_END_MAP, ch_info(j.fd).flags);
	EXPECT_EQ(0, ch_info(j.fd).state);
	EXPECT_EQ(-EAGAIN, agent_call(&ag, job_take, &j));
	j.num = 1;
	EXPECT_EQ(0, agent_call(&ag, job_put, &j));
	EXPECT_EQ(1, ch_take(j.peer, MBUF_NOW));
	EXPECT_EQ(0, agent_call(&ag, job_write, &j));
	EXPECT_EQ(1, fd_take(j.peer));
	ASSERT_EQ(0, ch_put(j.peer, 2));
	EXPECT_EQ(2, agent_call(&ag, job_take, &j));
	ASSERT_EQ(0, ch_put(j.peer, 3));
	EXPECT_EQ(3, agent_call(&ag, job_read, &j));
	ASSERT_EQ(0, ch_put(j.peer, 4));
	EXPECT_EQ(4, agent_call(&ag, job_any, &j));
	EXPECT_EQ(0, agent_call(&ag, job_map, &j));
	munmap(j.map, page_size());
	EXPECT_EQ(0, agent_call(&ag, job_detach, &j));
	EXPECT_EQ(0, agent_call(&ag, job_attach, &j));
	/* It can sleep in it. */
	j.deadline = MBUF_FOREVER;
	agent_ask(&ag, job_take, &j);
	ASSERT_ASLEEP(j.fd);
	ASSERT_EQ(0, ch_put(j.peer, 5));
	EXPECT_EQ(5, agent_result(&ag));
	EXPECT_EQ(0, agent_call(&ag, job_close, &j));
	EXPECT_EQ(POLLHUP, poll_now(j.peer, POLL_ALL));
	agent_end(&ag, BY_RETURN);
	close(j.peer);
}

/* The calls that negotiate a region, with arguments that would be valid. */
static const char *try_offers(int session, int fd)
{
	struct mbuf_offer offer = {
		.min = page_size(),
		.wanted = page_size(),
		.max = page_size(),
		.rights = MBUF_REGION_READ,
	};
	struct mbuf_offered offered = { .wait.mode = MBUF_WAIT_NOW };
	struct mbuf_take take = { .id = 1 };
	struct mbuf_counter reject = { .id = 1 };
	struct mbuf_counter counter = {
		.id = 1,
		.min = page_size(),
		.wanted = page_size(),
		.max = page_size(),
		.rights = MBUF_REGION_READ,
	};
	struct mbuf_answer answer = { .id = 1, .wait.mode = MBUF_WAIT_NOW };
	struct mbuf_withdraw withdraw = { .id = 1 };
	struct mbuf_query q = {};

	mbuf_query(session, &q);
	if (!(q.features & MBUF_FEATURE_REGION))
		return NULL;
	if (xioctl(fd, MBUF_IOC_OFFER, &offer) != -EPERM)
		return "OFFER";
	if (xioctl(fd, MBUF_IOC_OFFERED, &offered) != -EPERM)
		return "OFFERED";
	if (xioctl(fd, MBUF_IOC_TAKE, &take) != -EPERM)
		return "TAKE";
	if (xioctl(fd, MBUF_IOC_COUNTER, &counter) != -EPERM)
		return "COUNTER";
	if (xioctl(fd, MBUF_IOC_REJECT, &reject) != -EPERM)
		return "REJECT";
	if (xioctl(fd, MBUF_IOC_ANSWER, &answer) != -EPERM)
		return "ANSWER";
	if (xioctl(fd, MBUF_IOC_WITHDRAW, &withdraw) != -EPERM)
		return "WITHDRAW";
	return NULL;
}

/*
 * All that another thread must not do. Returns what went wrong, or NULL. Used
 * in processes as well.
 */
static const char *try_all(int session, int fd)
{
	struct mbuf_approve ap = { .verdict = 1 };
	struct value v = value_of(66);
	struct iovec iov = { &v, sizeof(v) };
	struct mbuf_channel_info info;
	struct mbuf_ref ref = { .fd = fd };
	struct mbuf_wait_any a = any_of(&ref, 1, MBUF_NOW);
	struct mbuf_exchange x;
	const char *wrong;
	uint32_t steps;

	for (steps = 1; steps <= STEPS_ALL; steps++) {
		x = xchg_of(steps, 66, MBUF_NOW);
		if (ch_xchg(fd, &x) != -EPERM || x.done)
			return "EXCHANGE";
	}
	if (xread(fd, &v, sizeof(v)) != -EPERM)
		return "read";
	if (xwrite(fd, &v, sizeof(v)) != -EPERM)
		return "write";
	if (sys_result(readv(fd, &iov, 1)) != -EPERM)
		return "readv";
	if (sys_result(writev(fd, &iov, 1)) != -EPERM)
		return "writev";
	if (ch_any(session, &a) != -EPERM)
		return "WAIT_ANY";
	if (ch_detach(session, fd) != -EPERM)
		return "DETACH";
	if (ch_attach_flags(session, fd, 1, MBUF_ATTACH_MOVE) != -EPERM)
		return "ATTACH";
	if (mmap(NULL, page_size(), PROT_READ, MAP_SHARED, fd, 0) !=
	    MAP_FAILED || errno != EPERM)
		return "mmap";
	if (xioctl(fd, MBUF_IOC_APPROVE, &ap) != -EPERM)
		return "APPROVE";
	wrong = try_offers(session, fd);
	if (wrong)
		return wrong;
	/* What everybody may do. */
	if (ch_try_info(fd, &info))
		return "INFO";
	if (poll_now(fd, POLLIN) & POLLNVAL)
		return "poll";
	if (fcntl(fd, F_GETFL) < 0)
		return "fcntl";
	return NULL;
}

#define EXPECT_FOREIGN(fd) do {						\
	const char *__wrong = try_all(self->session, fd);		\
									\
	EXPECT_EQ(NULL, __wrong) {					\
		TH_LOG("not refused: %s", __wrong);			\
	}								\
} while (0)

TEST_F(channel, no_other_thread_can)
{
	struct mbuf_channel_info before, now;
	struct agent ag, other;
	struct job j;
	int fd;

	NEED_THREADS();
	START_OWNER(&ag, &j, MBUF_END_MAP);
	/* There is something to be taken. */
	ASSERT_EQ(0, ch_put(j.peer, 5));
	before = ch_info(j.fd);
	EXPECT_FOREIGN(j.fd);
	fd = dup(j.fd);
	ASSERT_LE(0, fd);
	EXPECT_FOREIGN(fd);
	/* Closing a duplicate closes nothing. */
	close(fd);
	ASSERT_TRUE(agent_start(&other));
	EXPECT_EQ(-EPERM, agent_call(&other, job_take, &j));
	EXPECT_EQ(-EPERM, agent_call(&other, job_write, &j));
	agent_end(&other, BY_RETURN);
	now = ch_info(j.fd);
	EXPECT_EQ(0, memcmp(&before, &now, sizeof(now)));
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(j.fd, POLL_ALL));
	EXPECT_EQ(POLLOUT, poll_now(j.peer, POLL_ALL));
	/* While it waits, too. */
	EXPECT_EQ(5, agent_call(&ag, job_take, &j));
	j.deadline = MBUF_FOREVER;
	agent_ask(&ag, job_take, &j);
	ASSERT_ASLEEP(j.fd);
	EXPECT_FOREIGN(j.fd);
	EXPECT_EQ(1, ch_info(j.fd).waiters);
	ASSERT_EQ(0, ch_put(j.peer, 6));
	EXPECT_EQ(6, agent_result(&ag));
	/* The one thing that others may do. */
	close(j.fd);
	EXPECT_EQ(POLLHUP, poll_now(j.peer, POLL_ALL));
	agent_end(&ag, BY_RETURN);
	close(j.peer);
}

/* Nor another process, whatever it has in common with this one. */
struct family {
	int session, fd;
};

static int foreign_child(void *arg)
{
	struct family *f = arg;
	const char *wrong = try_all(f->session, f->fd);

	if (wrong)
		fprintf(stderr, "# not refused: %s\n", wrong);
	return wrong ? 1 : 0;
}

TEST_F(channel, no_other_process_can)
{
	struct family f = { .session = self->session };
	int sv[2], fd, ret;
	pid_t pid;

	NEED_THREADS();
	ASSERT_EQ(0, make_bound(self->session, MBUF_END_MAP, &self->a,
				&self->b));
	f.fd = self->a;
	EXPECT_EQ(0, reap(spawn(foreign_child, &f)));
	/* A child's end is not ours. */
	EXPECT_EQ(0, ch_put(self->a, 1));
	EXPECT_EQ(1, ch_take(self->b, MBUF_NOW));
	EXPECT_EQ(0, ch_info(self->a).state);

	/* One that shares memory and descriptors, but is no thread. */
	pid = vfork();
	if (!pid) {
		ret = ch_put(f.fd, 2) == -EPERM &&
		      ch_wait(f.fd, MBUF_NOW) == -EPERM ? 0 : 1;
		_exit(ret);
	}
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(0, ch_put(self->a, 1));

	/* A descriptor that comes back is still its own. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	ASSERT_EQ(1, pass_fd(sv[0], self->a));
	close_fd(&self->a);
	EXPECT_EQ(POLLIN | POLLOUT, poll_now(self->b, POLL_ALL));
	fd = take_fd(sv[1]);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, ch_put(fd, 1));
	EXPECT_EQ(2, ch_wait(self->b, MBUF_NOW));
	close(fd);
	EXPECT_EQ(POLLHUP, poll_now(self->b, POLL_ALL));
	close(sv[0]);
	close(sv[1]);
}

/*
 * The end of the thread
 */

/*
 * What is left of an endpoint whose thread has ended. POLLHUP alone does not
 * tell: that is also what there is to see when the peer has ended first.
 */
#define EXPECT_DEAD(fd) do {						\
	EXPECT_TRUE(EVENTUALLY(ch_info(fd).state & MBUF_END_DEAD));	\
	EXPECT_EQ(POLLHUP, poll_now(fd, POLL_ALL));			\
	EXPECT_FOREIGN(fd);						\
	EXPECT_EQ(0, ch_info(fd).waiters);				\
} while (0)

/* Its peer: what was told last, then the end. */
#define EXPECT_ENDED(fd) do {						\
	EXPECT_TRUE(EVENTUALLY(poll_now(fd, POLLHUP) == POLLHUP));	\
	EXPECT_EQ(MBUF_END_CLOSED, ch_info(fd).state);			\
	EXPECT_EQ(-EPIPE, ch_put(fd, 1));				\
	EXPECT_EQ(-EPIPE, ch_wait(fd, MBUF_FOREVER));			\
} while (0)

TEST_F(channel, ends_with_its_thread)
{
	enum leave leave;
	struct agent ag;
	struct job j;

	NEED_THREADS();
	for (leave = 0; leave < NR_LEAVE; leave++) {
		START_OWNER(&ag, &j, MBUF_END_MAP);
		j.num = 7;
		EXPECT_EQ(0, agent_call(&ag, job_put, &j));
		ASSERT_EQ(0, ch_put(j.peer, 8));
		agent_end(&ag, leave);
		EXPECT_TRUE(EVENTUALLY(poll_now(j.peer, POLL_ALL) ==
				       (POLLIN | POLLHUP)));
		EXPECT_EQ(7, ch_take(j.peer, MBUF_FOREVER));
		EXPECT_ENDED(j.peer);
		EXPECT_DEAD(j.fd);
		/* It is not charged for any more. */
		EXPECT_TRUE(EVENTUALLY(objects_used(self->session) ==
				       self->q.objects.used + 1));
		CLOSE_JOB(&j);
	}
}

/* A thread of the same process that was not there any more: nobody is it. */
TEST_F(channel, ends_with_no_descriptor_left)
{
	struct agent ag;
	struct job j;
	int i;

	NEED_THREADS();
	for (i = 0; i < 50; i++) {
		START_OWNER(&ag, &j, 0);
		if (i & 1)
			close(j.fd);
		agent_end(&ag, i % NR_LEAVE);
		if (!(i & 1))
			close(j.fd);
		EXPECT_ENDED(j.peer);
		close(j.peer);
	}
}

TEST_F(channel, everybody_is_told_of_the_end)
{
	struct poller own[NR_BY], peer[NR_BY];
	struct waiter w;
	struct agent ag;
	enum poll_by h;
	struct job j;
	int how;

	NEED_THREADS();
	for (how = 0; how < 3; how++) {
		START_OWNER(&ag, &j, 0);
		if (how != 1)
			for (h = 0; h < NR_BY; h++)
				ASSERT_TRUE(poller_start(&own[h], h, j.fd,
							 POLLIN));
		if (how != 0)
			for (h = 0; h < NR_BY; h++)
				ASSERT_TRUE(poller_start(&peer[h], h, j.peer,
							 POLLIN));
		ASSERT_TRUE(waiter_start(&w, WAY_TAKE, -1, j.peer));
		ASSERT_ASLEEP(j.peer);
		agent_end(&ag, BY_RETURN);
		EXPECT_EQ(-EPIPE, waiter_join(&w));
		for (h = 0; h < NR_BY; h++) {
			short want = h == BY_SELECT ? POLLIN : POLLHUP;

			if (how != 1)
				EXPECT_EQ(want, poller_join(&own[h]));
			if (how != 0)
				EXPECT_EQ(want, poller_join(&peer[h]));
		}
		CLOSE_JOB(&j);
	}
}

/* Threads come and go; a new one is never taken for an old one. */
TEST_F(channel, nobody_is_a_thread_that_has_ended)
{
	struct job j[32], *k;
	unsigned int i;
	struct agent ag;

	NEED_THREADS();
	memset(j, 0, sizeof(j));
	for (i = 0; i < 300; i++) {
		k = &j[i % 32];
		if (i >= 32)
			CLOSE_JOB(k);
		ASSERT_TRUE(agent_start(&ag));
		memset(k, 0, sizeof(*k));
		k->session = self->session;
		k->deadline = MBUF_NOW;
		k->nr = 8;
		/* Whatever of its predecessors' it looks at. */
		if (i) {
			struct job *was = &j[(i - 1) % 32];

			EXPECT_EQ(-EPERM, agent_call(&ag, job_put, was));
			EXPECT_EQ(-EPERM, agent_call(&ag, job_take, was));
			EXPECT_EQ(-EAGAIN, agent_call(&ag, job_poll_all, k));
		}
		ASSERT_EQ(0, agent_call(&ag, job_make, k));
		/* Ready, so that it would be told of. */
		ASSERT_EQ(0, ch_put(k->peer, i));
		agent_end(&ag, i % NR_LEAVE);
	}
	for (i = 0; i < 32; i++)
		CLOSE_JOB(&j[i]);
}

/* The mapping of one that has ended. */
TEST_F(channel, mapping_outlives_the_thread)
{
	struct mbuf_slot_map *m;
	struct agent ag;
	struct job j;

	NEED_THREADS();
	START_OWNER(&ag, &j, MBUF_END_MAP);
	ASSERT_EQ(0, ch_put(j.peer, 8));
	ASSERT_EQ(0, agent_call(&ag, job_map, &j));
	m = j.map;
	EXPECT_EQ(8, value_num(m->data));
	agent_end(&ag, BY_RETURN);
	EXPECT_DEAD(j.fd);
	EXPECT_EQ(8, value_num(m->data));
	EXPECT_EQ(MBUF_END_CLOSED, *(volatile uint32_t *)&m->state &
				   MBUF_END_CLOSED);
	CLOSE_JOB(&j);
	EXPECT_EQ(8, value_num(m->data));
	munmap(m, page_size());
}

/* An unbound one of the same thread is nobody's in particular. */
TEST_F(channel, others_do_not_end)
{
	struct agent ag;
	struct job j;

	NEED_THREADS();
	START_OWNER(&ag, &j, 0);
	make_channel(0);
	agent_end(&ag, BY_RETURN);
	EXPECT_DEAD(j.fd);
	EXPECT_EQ(0, ch_put(self->a, 1));
	EXPECT_EQ(1, ch_take(self->b, MBUF_NOW));
	CLOSE_JOB(&j);
}

/* Both ends of a channel are one thread's. */
static long make_both(void *arg)
{
	struct mbuf_channel_create c = create_of(MBUF_END_THREAD,
						 MBUF_END_THREAD);
	struct job *j = arg;
	int ret = (int)xioctl(j->session, MBUF_IOC_CHANNEL_CREATE, &c);

	j->fd = c.end[0].ref.fd;
	j->peer = c.end[1].ref.fd;
	return ret ? ret : ch_put(j->fd, 1) ? 1 :
	       ch_take(j->peer, MBUF_NOW) != 1;
}

TEST_F(channel, both_ends_end)
{
	struct agent ag;
	struct job j = { .session = self->session };

	NEED_THREADS();
	ASSERT_TRUE(agent_start(&ag));
	ASSERT_EQ(0, agent_call(&ag, make_both, &j));
	EXPECT_FOREIGN(j.peer);
	agent_end(&ag, BY_RETURN);
	EXPECT_DEAD(j.fd);
	EXPECT_DEAD(j.peer);
	CLOSE_JOB(&j);
}

/*
 * POLL_ALL
 */
TEST_F(channel, told_to_its_thread_only)
{
	struct agent ag[3];
	struct job j[3];
	struct mbuf_event ev[4];
	unsigned int i, k;

	NEED_THREADS();
	for (i = 0; i < 3; i++) {
		START_OWNER(&ag[i], &j[i], 0);
		EXPECT_EQ(0, agent_call(&ag[i], job_detach, &j[i]));
		j[i].num = i;
		EXPECT_EQ(0, agent_call(&ag[i], job_attach, &j[i]));
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ch_put(j[i].peer, 1));
		EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, ev, 4,
					       MBUF_NOW));
		EXPECT_EQ(0, poll_now(self->session, POLLIN));
		for (k = 0; k < 3; k++) {
			if (k != i) {
				EXPECT_EQ(-EAGAIN, agent_call(&ag[k],
							      job_poll_all,
							      &j[k]));
				EXPECT_EQ(0, agent_call(&ag[k], job_poll,
							&j[k]));
				continue;
			}
			EXPECT_EQ(POLLIN, agent_call(&ag[k], job_poll, &j[k]));
			EXPECT_EQ(1, agent_call(&ag[k], job_poll_all, &j[k]));
			EXPECT_EQ(i, j[k].ev[0].cookie);
			EXPECT_EQ(MBUF_EVENT_IN, j[k].ev[0].events);
		}
		EXPECT_EQ(1, agent_call(&ag[i], job_take, &j[i]));
	}
	/* What is everybody's is told beside it. */
	make_channel(0);
	ASSERT_EQ(0, ch_put(self->a, 1));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ch_put(j[i].peer, 1));
		EXPECT_EQ(2, agent_call(&ag[i], job_poll_all, &j[i]));
		EXPECT_EQ(i + 101, j[i].ev[0].cookie + j[i].ev[1].cookie);
	}
	EXPECT_EQ(1, ch_poll_all(self->session, ev, 4, MBUF_NOW));
	EXPECT_EQ(101, ev[0].cookie);
	/* The dead are told to nobody. */
	EXPECT_EQ(1, ch_wait(self->b, MBUF_NOW));
	for (i = 0; i < 3; i++) {
		agent_end(&ag[i], BY_RETURN);
		EXPECT_DEAD(j[i].fd);
		EXPECT_EQ(-EAGAIN, ch_poll_all(self->session, ev, 4,
					       MBUF_NOW));
		EXPECT_EQ(0, poll_now(self->session, POLLIN));
		CLOSE_JOB(&j[i]);
	}
}

/* With room for one at a time neither kind keeps the other from being told. */
TEST_F(channel, own_and_common_in_turn)
{
	unsigned int i, k, own = 0, common = 0;
	struct agent ag;
	struct job j;

	NEED_THREADS();
	START_OWNER(&ag, &j, 0);
	make_channel(0);
	ASSERT_EQ(0, ch_put(self->a, 1));
	ASSERT_EQ(0, ch_put(j.peer, 1));
	j.nr = 1;
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(1, agent_call(&ag, job_poll_all, &j));
		if (j.ev[0].cookie == 100)
			own++;
		else
			common++;
	}
	TH_LOG("its own %u times, everybody's %u times", own, common);
	EXPECT_LE(10, own);
	EXPECT_LE(10, common);
	/* Whatever calls of others there are in between. */
	for (k = 1; k <= 3; k++) {
		own = 0;
		for (i = 0; i < 100; i++) {
			struct mbuf_event ev;
			unsigned int n;

			for (n = 0; n < k; n++)
				ASSERT_EQ(1, ch_poll_all(self->session, &ev, 1,
							 MBUF_NOW));
			ASSERT_EQ(1, agent_call(&ag, job_poll_all, &j));
			own += j.ev[0].cookie == 100;
		}
		TH_LOG("its own %u times of 100, beside %u calls", own, k);
		EXPECT_LE(10, own);
		EXPECT_GE(90, own);
	}
	agent_end(&ag, BY_RETURN);
	CLOSE_JOB(&j);
}

static bool agent_sleeps(struct agent *ag)
{
	return sleeps_in_ioctl(ag->tid, MBUF_IOC_POLL_ALL);
}

TEST_F(channel, its_thread_is_woken)
{
	struct agent ag[3];
	struct job j[3];
	unsigned int i, k;

	NEED_THREADS();
	for (i = 0; i < 3; i++) {
		START_OWNER(&ag[i], &j[i], 0);
		j[i].deadline = MBUF_FOREVER;
	}
	for (i = 0; i < 30; i++) {
		for (k = 0; k < 3; k++) {
			if (i && k != (i - 1) % 3)
				continue;
			agent_ask(&ag[k], job_poll_all, &j[k]);
			ASSERT_TRUE(EVENTUALLY(agent_sleeps(&ag[k])));
		}
		ASSERT_EQ(0, ch_put(j[i % 3].peer, i));
		EXPECT_EQ(1, agent_result(&ag[i % 3]));
		EXPECT_EQ(100, j[i % 3].ev[0].cookie);
		for (k = 0; k < 3; k++)
			if (k != i % 3)
				EXPECT_TRUE(agent_sleeps(&ag[k]));
		EXPECT_EQ(i, agent_call(&ag[i % 3], job_take, &j[i % 3]));
	}
	for (k = 0; k < 3; k++) {
		if (k != 29 % 3) {
			ASSERT_EQ(0, ch_put(j[k].peer, 1));
			EXPECT_EQ(1, agent_result(&ag[k]));
		}
		agent_end(&ag[k], BY_RETURN);
		CLOSE_JOB(&j[k]);
	}
}

/* A thread that sleeps for something of its own is not woken in vain. */
TEST_F(channel, bound_and_common_sleepers)
{
	struct agent ag;
	struct job j;
	unsigned int i;

	NEED_THREADS();
	make_channel(0);
	START_OWNER(&ag, &j, 0);
	j.deadline = MBUF_FOREVER;
	for (i = 0; i < 20; i++) {
		agent_ask(&ag, job_poll_all, &j);
		ASSERT_TRUE(EVENTUALLY(agent_sleeps(&ag)));
		/* It is the only one that sleeps, so it serves both. */
		if (i % 2) {
			ASSERT_EQ(0, ch_put(self->a, i));
			EXPECT_EQ(1, agent_result(&ag));
			EXPECT_EQ(101, j.ev[0].cookie);
			EXPECT_EQ(i, ch_take(self->b, MBUF_NOW));
		} else {
			ASSERT_EQ(0, ch_put(j.peer, i));
			EXPECT_EQ(1, agent_result(&ag));
			EXPECT_EQ(100, j.ev[0].cookie);
			EXPECT_EQ(i, agent_call(&ag, job_take, &j));
		}
	}
	agent_end(&ag, BY_RETURN);
	CLOSE_JOB(&j);
}

/*
 * exec. A child makes the endpoint in one thread and executes a program in the
 * same or another one; the endpoint's number stays open across it.
 */
#define EXEC_ENV	"MBUF_SELFTEST_EXEC"

__attribute__((constructor)) static void exec_helper(void)
{
	const char *env = getenv(EXEC_ENV), *wrong;
	int session, fd;
	char *rest;

	if (!env)
		return;
	session = (int)strtol(env, &rest, 10);
	fd = (int)strtol(rest + 1, NULL, 10);
	wrong = try_all(session, fd);
	if (wrong)
		fprintf(stderr, "# after exec, not refused: %s\n", wrong);
	CHECK(!wrong);
	CHECK(EVENTUALLY(poll_now(fd, POLL_ALL) == POLLHUP));
	CHECK_EQ(MBUF_END_DEAD, ch_info(fd).state & MBUF_END_DEAD);
	_exit(42);
}

enum who { LEADER, THREAD, ANOTHER };

struct exec_case {
	enum who owner, execs;
	int session, sock;
	int fd, peer;
	bool broken;	/* try something that is no program first */
	_Atomic bool made, go;
};

static void exec_make(struct exec_case *e)
{
	CHECK_EQ(0, make_bound(e->session, MBUF_END_MAP, &e->fd, &e->peer));
	CHECK_EQ(0, fcntl(e->fd, F_SETFD, 0));
	atomic_store(&e->made, true);
}

static void exec_now(struct exec_case *e)
{
	char *const argv[] = { "exec-helper", NULL };

	if (e->broken) {
		/* Fails: nothing has ended. */
		CHECK_EQ(-1, execv("/dev/null", argv));
		CHECK_EQ(-1, execv("/no/such/program", argv));
		if (e->owner == e->execs)
			CHECK_EQ(0, ch_put(e->fd, 2));
		CHECK_EQ(0, ch_info(e->fd).state);
	}
	execv("/proc/self/exe", argv);
	_exit(98);
}

static void *exec_owner(void *arg)
{
	struct exec_case *e = arg;

	exec_make(e);
	while (!e->go)
		nap();
	if (e->execs == THREAD)
		exec_now(e);
	for (;;)
		pause();
	return NULL;
}

static void *exec_another(void *arg)
{
	struct exec_case *e = arg;

	while (!e->go)
		nap();
	exec_now(e);
	return NULL;
}

static int exec_child(void *arg)
{
	struct exec_case *e = arg;
	pthread_t t1, t2;
	char value[32], byte;

	if (e->owner == LEADER)
		exec_make(e);
	else
		CHECK_EQ(0, pthread_create(&t1, NULL, exec_owner, e));
	if (e->execs == ANOTHER)
		CHECK_EQ(0, pthread_create(&t2, NULL, exec_another, e));
	CHECK(EVENTUALLY(e->made));
	CHECK_EQ(1, pass_fd(e->sock, e->peer));
	close(e->peer);
	CHECK_EQ(0, fcntl(e->session, F_SETFD, 0));
	snprintf(value, sizeof(value), "%d,%d", e->session, e->fd);
	CHECK_EQ(0, setenv(EXEC_ENV, value, 1));
	CHECK_EQ(1, xread(e->sock, &byte, 1));
	e->go = true;
	if (e->execs == LEADER)
		exec_now(e);
	for (;;)
		pause();
	return 97;
}

TEST_F(channel, ends_by_exec)
{
	const struct {
		enum who owner, execs;
	} t[] = {
		{ LEADER, LEADER },
		{ LEADER, ANOTHER },
		{ THREAD, LEADER },
		{ THREAD, THREAD },
		{ THREAD, ANOTHER },
	};
	unsigned int i;
	int sv[2], peer;

	NEED_THREADS();
	for (i = 0; i < 2 * ARRAY_SIZE(t); i++) {
		struct exec_case e = {
			.owner = t[i / 2].owner,
			.execs = t[i / 2].execs,
			.broken = i & 1,
			.session = self->session,
		};
		pid_t pid;

		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
					sv));
		e.sock = sv[1];
		pid = spawn(exec_child, &e);
		ASSERT_LT(0, pid);
		peer = take_fd(sv[0]);
		ASSERT_LE(0, peer);
		/* Alive until then. */
		EXPECT_EQ(POLLOUT, poll_now(peer, POLL_ALL));
		EXPECT_EQ(0, ch_put(peer, 1));
		ASSERT_EQ(1, xwrite(sv[0], "x", 1));
		if (e.broken && e.owner == e.execs)
			EXPECT_EQ(2, ch_take(peer, MBUF_FOREVER));
		EXPECT_EQ(-EPIPE, ch_wait(peer, MBUF_FOREVER)) {
			TH_LOG("owner %d, exec by %d", e.owner, e.execs);
		}
		EXPECT_EQ(42, reap(pid)) {
			TH_LOG("owner %d, exec by %d", e.owner, e.execs);
		}
		close(peer);
		close(sv[0]);
		close(sv[1]);
	}
}

/*
 * Death
 */
struct death {
	bool in_leader;
	bool waits;		/* asleep at the endpoint when it comes */
	int session, sock, fd, peer;
	_Atomic bool made;
};

static void *death_owner(void *arg)
{
	struct death *d = arg;

	CHECK_EQ(0, make_bound(d->session, 0, &d->fd, &d->peer));
	atomic_store(&d->made, true);
	for (;;) {
		if (d->waits)
			ch_wait(d->fd, MBUF_FOREVER);
		else
			pause();
	}
	return NULL;
}

static void *death_other(void *arg)
{
	struct death *d = arg;

	CHECK(EVENTUALLY(d->made));
	CHECK_EQ(1, pass_fd(d->sock, d->fd));
	CHECK_EQ(1, pass_fd(d->sock, d->peer));
	close(d->peer);
	for (;;)
		pause();
	return NULL;
}

static int death_child(void *arg)
{
	struct death *d = arg;
	pthread_t t;

	CHECK_EQ(0, pthread_create(&t, NULL, d->in_leader ? death_other :
				   death_owner, d));
	if (d->in_leader)
		death_owner(d);
	else
		death_other(d);
	return 0;
}

TEST_F(channel, ends_by_death)
{
	int sv[2], peer, fd, i;
	struct death d;
	pid_t pid;

	NEED_THREADS();
	for (i = 0; i < 8; i++) {
		d = (struct death){
			.in_leader = i & 1,
			.waits = i & 2,
			.session = self->session,
		};
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
					sv));
		d.sock = sv[1];
		pid = spawn(death_child, &d);
		ASSERT_LT(0, pid);
		/* We hold the endpoint itself; it must end all the same. */
		fd = take_fd(sv[0]);
		ASSERT_LE(0, fd);
		peer = take_fd(sv[0]);
		ASSERT_LE(0, peer);
		EXPECT_EQ(POLLOUT, poll_now(peer, POLL_ALL));
		EXPECT_FOREIGN(fd);
		if (d.waits)
			ASSERT_ASLEEP(fd);
		EXPECT_EQ(i & 4 ? 128 + SIGTERM : 128 + SIGKILL,
			  (kill(pid, i & 4 ? SIGTERM : SIGKILL), reap(pid)));
		EXPECT_ENDED(peer);
		EXPECT_DEAD(fd);
		close(fd);
		close(peer);
		close(sv[0]);
		close(sv[1]);
	}
}

/* The first thread of a process ends, and the process goes on. */
struct orphan {
	int session, sock, fd, peer;
};

static void *orphan_main(void *arg)
{
	struct orphan *o = arg;
	char byte;

	CHECK(EVENTUALLY(poll_now(o->peer, POLLHUP) == POLLHUP));
	CHECK_EQ(-EPERM, ch_put(o->fd, 1));
	CHECK_EQ(-EPIPE, ch_put(o->peer, 1));
	CHECK_EQ(1, xwrite(o->sock, "x", 1));
	CHECK_EQ(1, xread(o->sock, &byte, 1));
	_exit(43);
}

static int orphan_child(void *arg)
{
	static struct orphan o;
	pthread_t t;

	o = *(struct orphan *)arg;
	CHECK_EQ(0, make_bound(o.session, 0, &o.fd, &o.peer));
	CHECK_EQ(0, pthread_create(&t, NULL, orphan_main, &o));
	syscall(SYS_exit, 0);
	return 0;
}

TEST_F(channel, ends_with_the_first_thread)
{
	struct orphan o = { .session = self->session };
	int sv[2];
	char byte;
	pid_t pid;

	NEED_THREADS();
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	o.sock = sv[1];
	pid = spawn(orphan_child, &o);
	ASSERT_LT(0, pid);
	close(sv[1]);
	EXPECT_EQ(1, xread(sv[0], &byte, 1));
	EXPECT_EQ(1, xwrite(sv[0], "x", 1));
	EXPECT_EQ(43, reap(pid));
	close(sv[0]);
}

/*
 * io_uring: what the thread itself does is its own, what a worker does for it
 * is not.
 */
TEST_F(channel, uring)
{
	struct value v = value_of(3), in;
	struct ring r;
	int ret;

	NEED_THREADS();
	OPEN_RING(&r);
	ASSERT_EQ(0, make_bound(self->session, 0, &self->a, &self->b));
	ring_prep(&r, IORING_OP_WRITE, self->a, &v, 32, 1);
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_CQE(&r, 1, 32);
	EXPECT_EQ(3, ch_take(self->b, MBUF_NOW));
	/* By a worker. */
	ring_prep(&r, IORING_OP_WRITE, self->a, &v, 32, 2)
		->flags = IOSQE_ASYNC;
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_CQE(&r, 2, -EPERM);
	EXPECT_EQ(-EAGAIN, ch_wait(self->b, MBUF_NOW));
	ASSERT_EQ(0, ch_put(self->b, 4));
	ring_prep(&r, IORING_OP_READ, self->a, &in, 32, 3)
		->flags = IOSQE_ASYNC;
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_CQE(&r, 3, -EPERM);
	EXPECT_EQ(1, ch_info(self->a).signals);
	/* By us, at once and after waiting. */
	ring_prep(&r, IORING_OP_READ, self->a, &in, 32, 4);
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_CQE(&r, 4, 32);
	EXPECT_EQ(4, value_num(&in));
	ring_prep(&r, IORING_OP_READ, self->a, &in, 32, 5);
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_TRUE(ring_idle(&r));
	ASSERT_EQ(0, ch_put(self->b, 5));
	EXPECT_CQE(&r, 5, 32);
	EXPECT_EQ(5, value_num(&in));
	ring_close(&r);

	/* By the kernel's own thread. */
	ret = ring_setup(&r, IORING_SETUP_SQPOLL);
	if (ret == -EPERM)
		SKIP(return, "no SQPOLL for us");
	ASSERT_EQ(0, ret);
	ring_prep(&r, IORING_OP_WRITE, self->a, &v, 32, 6);
	ASSERT_EQ(0, ring_submit_polled(&r));
	EXPECT_CQE(&r, 6, -EPERM);
	ASSERT_EQ(0, ch_put(self->b, 6));
	ring_prep(&r, IORING_OP_READ, self->a, &in, 32, 7);
	ASSERT_EQ(0, ring_submit_polled(&r));
	EXPECT_CQE(&r, 7, -EPERM);
	EXPECT_EQ(6, ch_take(self->a, MBUF_NOW));
	/* Polling is for everybody. */
	ring_prep(&r, IORING_OP_POLL_ADD, self->a, NULL, 0, 8)
		->poll32_events = POLLOUT;
	ASSERT_EQ(0, ring_submit_polled(&r));
	EXPECT_CQE(&r, 8, POLLOUT);
	ring_close(&r);
}

/* A request of another thread's ring. */
TEST_F(channel, uring_of_another)
{
	struct value v = value_of(3);
	struct agent ag;
	struct ring r;
	struct job j;

	NEED_THREADS();
	OPEN_RING(&r);
	START_OWNER(&ag, &j, 0);
	ring_prep(&r, IORING_OP_WRITE, j.fd, &v, 32, 1);
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_CQE(&r, 1, -EPERM);
	/* It waits for the end, and is told. */
	ring_prep(&r, IORING_OP_POLL_ADD, j.fd, NULL, 0, 2)
		->poll32_events = POLLIN;
	ASSERT_EQ(1, ring_submit(&r));
	EXPECT_TRUE(ring_idle(&r));
	agent_end(&ag, BY_RETURN);
	EXPECT_CQE(&r, 2, POLLHUP);
	CLOSE_JOB(&j);
	ring_close(&r);
}

/*
 * Many
 */
#define MANY	2000

struct bundle {
	int session;
	int (*end)[2];
	unsigned int nr;
};

static long make_many(void *arg)
{
	struct bundle *b = arg;
	long ret = 0;
	unsigned int i;

	for (i = 0; i < b->nr && !ret; i++)
		ret = make_bound(b->session, 0, &b->end[i][0], &b->end[i][1]);
	return ret;
}

TEST_F(channel, many_end_at_once)
{
	struct rlimit lim = { 2 * MANY + 200, 2 * MANY + 200 };
	struct bundle b = { .session = self->session, .nr = MANY };
	struct agent ag;
	unsigned int i;

	NEED_THREADS();
	NEED_ROOT();
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	b.end = calloc(MANY, sizeof(*b.end));
	ASSERT_NE(NULL, b.end);
	ASSERT_TRUE(agent_start(&ag));
	ASSERT_EQ(0, agent_call(&ag, make_many, &b));
	for (i = 0; i < MANY; i += 3)
		ASSERT_EQ(0, ch_put(b.end[i][1], i));
	/* Some are closed by us, some at the same time, some later. */
	for (i = 0; i < MANY / 4; i++)
		close(b.end[i][0]);
	ag.leave = BY_RETURN;
	agent_ask(&ag, NULL, NULL);
	for (; i < MANY / 2; i++)
		close(b.end[i][0]);
	pthread_join(ag.thread, NULL);
	for (i = 0; i < MANY; i++) {
		ASSERT_TRUE(EVENTUALLY(poll_now(b.end[i][1], POLLHUP) ==
				       POLLHUP));
		ASSERT_EQ(-EPIPE, ch_put(b.end[i][1], 1));
	}
	EXPECT_TRUE(EVENTUALLY(objects_used(self->session) ==
			       self->q.objects.used + MANY));
	for (i = 0; i < MANY; i++) {
		if (i >= MANY / 2) {
			ASSERT_EQ(-EPERM, ch_put(b.end[i][0], 1));
			close(b.end[i][0]);
		}
		close(b.end[i][1]);
	}
	free(b.end);
}

/*
 * Threads end while others signal, wait, close and attach: each end is told
 * once, and what it was told before is not lost.
 */
#define CREW	6

struct sailor {
	int session, fd, peer;
	_Atomic bool made;
	uint64_t sent;
	unsigned int seed;
	pthread_t thread;
};

static void *sail(void *arg)
{
	struct sailor *s = arg;
	unsigned int i, n;

	if (make_bound(s->session, 0, &s->fd, &s->peer))
		return (void *)1;
	atomic_store(&s->made, true);
	n = (unsigned int)rand_r(&s->seed) / 7 % 40;
	for (i = 0; i < n; i++) {
		if (ch_put(s->fd, i))
			break;		/* the peer was closed */
		s->sent++;
		ch_wait(s->fd, i % 4 ? MBUF_NOW : now_ns() + 50000);
	}
	return NULL;
}

TEST_F(channel, threads_end_while_they_talk)
{
	struct sailor s[CREW];
	unsigned int round, i;
	void *ret;

	NEED_THREADS();
	for (round = 0; round < 80; round++) {
		for (i = 0; i < CREW; i++) {
			memset(&s[i], 0, sizeof(s[i]));
			s[i].session = self->session;
			s[i].seed = round * CREW + i + 1;
			ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, sail,
						    &s[i]));
		}
		/* From then on no number means something else. */
		for (i = 0; i < CREW; i++)
			ASSERT_TRUE(EVENTUALLY(s[i].made));
		for (i = 0; i < CREW; i++) {
			uint64_t got = 0;
			int64_t n;

			if (i == 0)
				close(s[i].fd);
			while ((n = ch_wait(s[i].peer, MBUF_FOREVER)) >= 0) {
				got += (uint64_t)n;
				ch_put(s[i].peer, got);
			}
			ASSERT_EQ(-EPIPE, n);
			pthread_join(s[i].thread, &ret);
			ASSERT_EQ(NULL, ret);
			/* Closed under its feet, it may not know. */
			ASSERT_LE(got, s[i].sent + !i);
			if (i)
				ASSERT_EQ(s[i].sent, got);
			close(s[i].peer);
			if (i)
				close(s[i].fd);
		}
	}
}

/* A descriptor is closed just as its thread ends. */
TEST_F(channel, close_races_with_the_end)
{
	struct handicap h = { .seed = 1, .time = 100 };
	struct agent ag;
	unsigned int i;
	struct job j;

	NEED_THREADS();
	for (i = 0; i < 150; i++) {
		START_OWNER(&ag, &j, i % 2 ? MBUF_END_MAP : 0);
		ag.leave = i % 3;
		agent_ask(&ag, NULL, NULL);
		while (!ag.gone)
			;
		handicap_spin(&h);
		close(j.fd);
		EXPECT_ENDED(j.peer);
		if (ag.leave == BY_SYSCALL) {
			char path[64];

			snprintf(path, sizeof(path), "/proc/self/task/%d",
				 ag.tid);
			EVENTUALLY(access(path, F_OK));
			pthread_detach(ag.thread);
		} else {
			pthread_join(ag.thread, NULL);
		}
		close(j.peer);
		h.time = h.time > 20000 ? 100 : h.time + h.time / 4;
	}
}

/* The session is gone when the thread ends, or goes at the same time. */
TEST_F(channel, session_closes_first)
{
	struct agent ag;
	struct job j;
	int i;

	NEED_THREADS();
	for (i = 0; i < 60; i++) {
		ASSERT_TRUE(agent_start(&ag));
		memset(&j, 0, sizeof(j));
		j.session = mbuf_open();
		ASSERT_LE(0, j.session);
		ASSERT_EQ(0, agent_call(&ag, job_make, &j));
		ASSERT_EQ(0, ch_put(j.peer, 1));
		if (i % 3 == 0)
			close(j.session);
		ag.leave = BY_RETURN;
		agent_ask(&ag, NULL, NULL);
		if (i % 3 == 1)
			close(j.session);
		pthread_join(ag.thread, NULL);
		EXPECT_ENDED(j.peer);
		if (i % 3 == 2)
			close(j.session);
		CLOSE_JOB(&j);
	}
}

TEST_HARNESS_MAIN
