/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Step by step: a process makes one call of the library, is stopped after so
 * many instructions, or so many entries to the kernel and exits from it, and
 * killed there; for each number until the call is over. While it is stopped
 * others send and receive without delay, and after it is dead they see its
 * call as made, or as not made.
 *
 * The point between what another party does to a sleeper and the sleeper's
 * next instruction cannot be reached by stepping. There the sleeper is kept
 * from running by a real-time process on its processor.
 *
 * MBUF_STEP_MAX=N	how many instructions all processes make for one
 *			operation at most; if that is not enough for all of it,
 *			some stops are left out, but not those around the one
 *			with the effect
 *
 * To add an operation: a function that makes it, and a row with it in a table of
 * jobs (step.c for queues, step_channel.c for all else), which says what the call
 * does if it is made.
 * To add a kind of object: a struct kind, which knows what others do with it
 * meanwhile and how to see from outside whether a call was made. A job without
 * one has no effect that others can see, and may leave nothing behind.
 */
#ifndef MBUF_SELFTESTS_STEP_H
#define MBUF_SELFTESTS_STEP_H

#include <sys/ptrace.h>

#include "proving.h"

#define MAX_MSG		70000
#define NR_BATCH	5
#define MAX_STEPS	100000

/*
 * Messages: each is a pattern of its own.
 */
enum {
	M_BASE = 1,		/* there beforehand: M_BASE, M_BASE + 1 */
	M_OTHER = 10,		/* sent by another one while it is stopped */
	M_AFTER = 11,		/* and after it is dead */
	M_CHILD = 20,		/* sent by the one that dies, up to NR_BATCH */
	M_HELP = 30,		/* sent to it */
};

struct scene {
	int session, rfd, sfd, end[2], fd;
	uint64_t offer;
	uint8_t *buf;		/* shared with the child: NR_BATCH * MAX_MSG */
	uint8_t *room;		/* of the parent */
	struct mbuf_msg msgs[NR_BATCH];
	struct child_view {
		long ret;
		_Atomic int returned;
	} *view;
};

struct job;

/* What others have seen of a job. */
#define MAX_GOT	32

struct seen {
	long got[MAX_GOT];	/* numbers of messages, or -errno, in order */
	unsigned int n;
	bool helped;		/* somebody did what the child waited for */
};

enum verdict { NOT_MADE, MADE, WRONG };

/* A kind of object that jobs are about. */
struct kind {
	/* Makes it, as it is before the call. */
	bool (*prepare)(struct scene *s, const struct job *job);
	/* Has somebody gone to sleep in it? */
	bool (*asleep)(struct scene *s);
	/* Does what somebody waits for who is asleep in it. */
	bool (*help)(struct scene *s, const struct job *job, struct seen *seen);
	/* Uses it while the child is stopped: must not have to wait. */
	bool (*use)(struct scene *s, const struct job *job, struct seen *seen);
	/* The child is dead: has its call been made? Says what is wrong. */
	enum verdict (*judge)(struct scene *s, const struct job *job,
			      struct seen *seen);
	void (*end)(struct scene *s);
};

struct job {
	const char *name;
	long (*call)(struct scene *s, const struct job *job);
	/* What it is about; NULL: nothing that others can see. */
	const struct kind *kind;
	/* The queue beforehand. */
	uint32_t slots, flags;
	unsigned int base;	/* messages in it */
	uint32_t len;		/* of the call's messages */
	/* What it does to the queue if it is made. */
	unsigned int sends, receives;
	/* Steps of an exchange, and what it is to be done with an offer. */
	uint32_t steps;
	/* What others do when it sleeps, so that it goes on. */
	bool parks, waits;
	/* What it does before it sleeps is done. */
	bool acts_first;
};

/*
 * The child
 */
struct child_arg {
	struct scene *s;
	const struct job *job;
};

static int child_main(void *arg)
{
	struct child_arg *a = arg;
	struct scene *s = a->s;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		return 1;
	/* From here on it is stepped. */
	syscall(SYS_kill, getpid(), SIGSTOP);
	s->view->ret = a->job->call(s, a->job);
	atomic_store(&s->view->returned, 1);
	while (pause())
		;
	return 0;
}

static pid_t child_start(struct scene *s, const struct job *job)
{
	struct child_arg a = { s, job };
	int status;
	pid_t pid;

	s->view->ret = 0x7777;
	atomic_store(&s->view->returned, 0);
	pid = spawn(child_main, &a);
	if (pid < 0)
		return -errno;
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -ECHILD;
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL,
		   (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)))
		return -errno;
	return pid;
}

/*
 * One step. If the child falls asleep in the object on the way, says so instead
 * of waiting: 1. Otherwise 0, or -errno if it has ended or was stopped by
 * something else.
 */
static int child_step(struct scene *s, const struct job *job, pid_t pid,
		      bool by_syscall)
{
	uint64_t end = now_ns() + PATIENCE_NS;
	int status, sig;
	pid_t got;

	if (ptrace(by_syscall ? PTRACE_SYSCALL : PTRACE_SINGLESTEP, pid, NULL,
		   NULL))
		return -errno;
	for (;;) {
		/* Only what may sleep has to be watched. */
		got = waitpid(pid, &status,
			      job->parks || job->waits ? WNOHANG : 0);
		if (got)
			break;
		if (job->kind->asleep(s))
			return 1;
		if (now_ns() > end)
			return -ETIMEDOUT;
		sched_yield();
	}
	if (got != pid || !WIFSTOPPED(status))
		return -ECHILD;
	sig = WSTOPSIG(status);
	return sig == SIGTRAP || sig == (SIGTRAP | 0x80) ? 0 : -EINTR;
}

/* After it was asleep: the step that is under way comes to its end. */
static int child_arrives(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -ECHILD;
	return 0;
}

/*
 * One life
 */
struct life {
	bool ended;		/* the call was over before so many steps */
	bool slept;		/* it was asleep at this point */
	bool made;		/* the call has had its effect */
};

/*
 * Lets a child make so many steps, and kills it. With kill_asleep, where it
 * falls asleep it is not helped on.
 */
static struct life live(struct __test_metadata *_metadata, struct scene *s,
			const struct job *job, unsigned int steps,
			bool by_syscall, bool kill_asleep)
{
	const struct kind *kind = job->kind;
	enum verdict verdict = NOT_MADE;
	struct snapshot before, after;
	struct seen seen = {};
	struct life life = {};
	unsigned int i;
	int ret = 0;
	pid_t pid;

	ASSERT_EQ(0, take_snapshot(s->session, &before));
	if (kind)
		ASSERT_TRUE(kind->prepare(s, job));
	pid = child_start(s, job);
	ASSERT_LT(0, pid);
	for (i = 0; i < steps && !life.slept; i++) {
		ret = child_step(s, job, pid, by_syscall);
		if (ret < 0 || atomic_load(&s->view->returned))
			break;
		if (ret && kill_asleep) {
			life.slept = true;
		} else if (ret) {
			ASSERT_TRUE(kind->help(s, job, &seen));
			ret = child_arrives(pid);
			ASSERT_EQ(0, ret);
		}
	}
	life.ended = atomic_load(&s->view->returned);
	ASSERT_LE(0, ret) {
		TH_LOG("%s: step %u: %s", job->name, i, strerror(-ret));
	}

	/* As long as it is asleep it is in line, and what others do is for it. */
	if (life.slept)
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));
	/* That it is stopped keeps nobody waiting. */
	if (kind)
		EXPECT_TRUE(kind->use(s, job, &seen));
	if (!life.slept)
		EXPECT_EQ(128 + SIGKILL, kill_and_reap(pid));

	if (kind)
		verdict = kind->judge(s, job, &seen);
	else if (life.ended)
		verdict = MADE;
	life.made = verdict == MADE;
	/* A call that has returned has been made, and one that sleeps not. */
	if (verdict == WRONG || (life.ended && !life.made) ||
	    (life.slept && life.made && !job->acts_first) ||
	    (life.ended && s->view->ret < 0)) {
		EXPECT_TRUE(false) {
			TH_LOG("%s: killed at %s %u%s: others see something else",
			       job->name, by_syscall ? "entry" : "instruction",
			       i, life.slept ? ", asleep" : "");
		}
		diag("the call gave %ld", s->view->ret);
	}
	if (kind)
		kind->end(s);
	EXPECT_TRUE(EVENTUALLY(same_usage(s->session, &before, &after))) {
		TH_LOG("%s: killed at step %u: something is left", job->name, i);
	}
	return life;
}

/* How many steps the whole call takes. */
static unsigned int count_steps(struct __test_metadata *_metadata,
				struct scene *s, const struct job *job,
				bool by_syscall)
{
	struct seen seen = {};
	unsigned int n;
	pid_t pid;
	int ret;

	if (job->kind)
		ASSERT_TRUE(job->kind->prepare(s, job));
	pid = child_start(s, job);
	ASSERT_LT(0, pid);
	for (n = 0; n < MAX_STEPS && !atomic_load(&s->view->returned); n++) {
		ret = child_step(s, job, pid, by_syscall);
		if (ret == 1) {
			ASSERT_TRUE(job->kind->help(s, job, &seen));
			ret = child_arrives(pid);
		}
		ASSERT_EQ(0, ret);
	}
	ASSERT_LT(n, MAX_STEPS);
	kill_and_reap(pid);
	if (job->kind)
		job->kind->end(s);
	return n;
}

static void drive(struct __test_metadata *_metadata, struct scene *s,
		  const struct job *job)
{
	const uint64_t most = env_number("MBUF_STEP_MAX",
					 emulated() ? 6000 : 1000000);
	unsigned int mode, kills = 0, total[2], turn[2] = {};
	uint64_t start = now_ns();

	for (mode = 0; mode < 2; mode++) {
		unsigned int n = count_steps(_metadata, s, job, mode), i, stride;
		unsigned int before = 0, after = n;
		struct life life;

		total[mode] = n;
		ASSERT_LT(0, n);
		/* The one that is killed at i makes i steps. */
		stride = 1;
		while ((uint64_t)n * (n / stride) / 2 > most)
			stride++;
		/* Made once and for all at one point. */
		for (i = 0; i < n && _metadata->passed; i += stride) {
			life = live(_metadata, s, job, i, mode, false);
			kills++;
			if (life.made) {
				after = after < i ? after : i;
			} else {
				EXPECT_LT(i, after) {
					TH_LOG("%s: made at step %u, and not at %u",
					       job->name, after, i);
				}
				before = i;
			}
		}
		life = live(_metadata, s, job, n, mode, false);
		kills++;
		EXPECT_TRUE(life.made);
		/* What was left out around it. */
		for (i = before + 1; i < after && _metadata->passed; i++) {
			life = live(_metadata, s, job, i, mode, false);
			kills++;
			if (life.made)
				after = i;
			else
				before = i;
		}
		turn[mode] = after;
		if (job->parks || job->waits) {
			life = live(_metadata, s, job, MAX_STEPS, mode, true);
			kills++;
			EXPECT_TRUE(life.slept);
		}
		EXPECT_LT(before, after);
	}
	/* Instructions, the one that counts; entries and exits, likewise. */
	diag("steps: %-34s %3u, %3u; %2u, %2u; %u killed, %llu ms",
	     job->name, total[0], turn[0], total[1], turn[1], kills,
	     (unsigned long long)((now_ns() - start) / NS_PER_MS));
}

/* From here on this process and its children run on one processor. */
static void stay_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

FIXTURE(step) {
	struct scene s;
	struct snapshot before;
};

FIXTURE_SETUP(step)
{
	struct scene *s = &self->s;

	/* Handing over between processors would take most of the time. */
	stay_here();
	s->rfd = -1;
	s->sfd = -1;
	s->end[0] = -1;
	s->end[1] = -1;
	s->fd = -1;
	s->session = mbuf_open();
	ASSERT_GE(s->session, 0) {
		TH_LOG("cannot open /dev/mbuf: %s; load the module first",
		       mbuf_strerror(s->session));
	}
	ASSERT_EQ(0, take_snapshot(s->session, &self->before));
	s->buf = map_shared(NR_BATCH * MAX_MSG);
	s->room = malloc(MAX_MSG);
	s->view = map_shared(sizeof(*s->view));
	ASSERT_NE(NULL, s->buf);
	ASSERT_NE(NULL, s->room);
	ASSERT_NE(NULL, s->view);
}

FIXTURE_TEARDOWN(step)
{
	struct snapshot now = {};

	close_fd(&self->s.rfd);
	close_fd(&self->s.sfd);
	close_fd(&self->s.end[0]);
	close_fd(&self->s.end[1]);
	close_fd(&self->s.fd);
	if (_metadata->aborted)
		return;
	EXPECT_TRUE(EVENTUALLY(same_usage(self->s.session, &self->before,
					  &now)));
	EXPECT_EQ(self->before.fds, now.fds);
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG));
	close(self->s.session);
}

/* Some sandboxes forbid it. */
#define NEED_PTRACE() do {						\
	if (!may_trace())						\
		SKIP(return, "processes cannot be traced here");	\
} while (0)

static int traced(void *arg)
{
	(void)arg;
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? 1 : 0;
}

static bool may_trace(void)
{
	return reap(spawn(traced, NULL)) == 0;
}

#define DRIVE_ALL(jobs) do {						\
	unsigned int __i;						\
									\
	NEED_PTRACE();							\
	for (__i = 0; __i < ARRAY_SIZE(jobs); __i++)			\
		drive(_metadata, &self->s, &(jobs)[__i]);		\
} while (0)

#endif /* MBUF_SELFTESTS_STEP_H */
