// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Running one program, and looking from outside whether all is well afterwards.
 *
 *	mbuf-fuzz	decides whose turn it is, watches, kills, counts
 *	  worker 0	makes the calls of the set-up, then the other workers
 *	    worker	a process, or a thread of one
 *
 * In programs whose calls take turns, a call is made as soon as the one before
 * it has returned or has gone to sleep. A worker that is asleep in a call makes
 * its next one, late, when it wakes up.
 *
 * When nothing moves any more all are killed. What must hold then: those still
 * asleep were in line where they said they were; all end; what was charged to
 * the user is back to what it was; the kernel's log is silent.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/mbuf.h>
#include "fuzz.h"

#define NOBODY		65534

/* How long a call may look busy before it is the next one's turn. */
#define TURN_NS		(2 * NS_PER_S)
/* How long a program may go on after its last call was made. */
#define END_NS		(1 * NS_PER_S)
/* How much later than its deadline a call may return on a slow machine. */
#define LATE_NS		(20 * NS_PER_S)

struct shared *shm;

static struct exec_options options;
static int kmsg_fd, kmsg_out = -1;
/* Sessions of the users that programs run as, to look at what they use. */
static int usage_fd[2];
static unsigned int limits_now = ~0U;

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* For operations ---------------------------------------------------------- */

static int table[NR_SLOTS];
static int mailboxes[MAX_WORKERS][2];
static int mem_fd = -1;

int slot_fd(uint64_t slot)
{
	return __atomic_load_n(&table[slot % NR_SLOTS], __ATOMIC_RELAXED);
}

int slot_take(uint64_t slot)
{
	return __atomic_exchange_n(&table[slot % NR_SLOTS], -1,
				   __ATOMIC_RELAXED);
}

void slot_set(uint64_t slot, int fd)
{
	int old = __atomic_exchange_n(&table[slot % NR_SLOTS], fd,
				      __ATOMIC_RELAXED);

	if (old >= 0 && old != fd)
		close(old);
}

int mailbox(unsigned int worker, bool receiving)
{
	return mailboxes[worker % MAX_WORKERS][!receiving];
}

long ret_of(long ret)
{
	return ret < 0 ? -errno : ret;
}

uint64_t value_of(const struct value *v)
{
	switch (v->kind) {
	case V_ARENA:
		return ARENA_BASE + v->n;
	case V_SOON:
		return now_ns() + v->n * NS_PER_US;
	default:
		return v->n;
	}
}

/* By the one clock that is the same in all time namespaces. */
static uint64_t now_for_all(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

void ends_within(struct ctx *c, uint64_t ns)
{
	c->res->ends_by = now_for_all() + ns;
}

void may_wait(struct ctx *c, uint64_t slot, unsigned int how)
{
	if (c->res->nr_fds < WAIT_MAX)
		c->res->fds[c->res->nr_fds++] = slot_fd(slot);
	c->res->wait = how;
}

void complain(const char *fmt, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&shm->complained, 1, __ATOMIC_RELAXED))
		return;
	va_start(ap, fmt);
	vsnprintf(shm->complaint, sizeof(shm->complaint), fmt, ap);
	va_end(ap);
}

/*
 * By way of the file, as an access may fail without a signal, and may write to
 * what is read-only for its owner.
 */
static int own_mem(void)
{
	if (mem_fd < 0)
		mem_fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	return mem_fd;
}

bool mem_write(uint64_t to, const void *from, size_t n)
{
	return to <= INT64_MAX &&
	       pwrite(own_mem(), from, n, to) == (ssize_t)n;
}

bool mem_read(void *to, uint64_t from, size_t n)
{
	return from <= INT64_MAX &&
	       pread(own_mem(), to, n, from) == (ssize_t)n;
}

/* Workers ----------------------------------------------------------------- */

static void futex_wait(uint32_t *word, uint32_t seen, uint64_t ns)
{
	struct timespec ts = { ns / NS_PER_S, ns % NS_PER_S };

	syscall(SYS_futex, word, FUTEX_WAIT, seen, ns ? &ts : NULL, NULL, 0);
}

static void futex_wake(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void event(void)
{
	__atomic_fetch_add(&shm->events, 1, __ATOMIC_SEQ_CST);
	futex_wake(&shm->events);
}

static unsigned int party(unsigned int worker)
{
	return worker == SETUP ? 0 : worker;
}

void fail_arm(struct ctx *c)
{
	char text[8];
	int len;

	if (!c->fail)
		return;
	if (c->fail_fd < 0)
		c->fail_fd = open("/proc/thread-self/fail-nth",
				  O_RDWR | O_CLOEXEC);
	len = snprintf(text, sizeof(text), "%u", c->fail);
	c->armed = pwrite(c->fail_fd, text, len, 0) == len;
}

void fail_disarm(struct ctx *c)
{
	char text[16] = "";
	ssize_t n;
	int tries;

	if (!c->armed)
		return;
	c->armed = false;
	n = pread(c->fail_fd, text, sizeof(text) - 1, 0);
	c->res->faulted = n <= 0 || atoi(text) == 0;
	/* Even this may be what fails. */
	for (tries = 0; tries < 3 && pwrite(c->fail_fd, "0", 1, 0) != 1; tries++)
		;
}

static void make_call(struct ctx *c, unsigned int idx)
{
	const struct call *call = &shm->prog.call[idx];
	const struct op *op = op_get(call->op);
	struct result *res = &shm->result[idx];
	long ret;

	c->res = res;
	c->op = op;
	c->fail = call->fail;
	res->ends_by = 0;
	res->wait = WAIT_NOT;
	res->nr_fds = 0;
	__atomic_store_n(&res->state, CALL_RUNNING, __ATOMIC_RELEASE);
	cover_call_begin(party(c->worker));
	if (!(op->flags & OP_ARMS))
		fail_arm(c);
	ret = op->run(c, call->arg);
	fail_disarm(c);
	cover_collect(party(c->worker));
	res->ret = ret;
	res->err = ret < 0 ? -ret : 0;
	__atomic_store_n(&res->state, CALL_DONE, __ATOMIC_RELEASE);
	__atomic_fetch_add(&shm->calls, 1, __ATOMIC_RELAXED);
	event();
}

static void make_calls(unsigned int worker)
{
	struct ctx c = {
		.worker = worker,
		.fail_fd = -1,
		.args = (void *)(uintptr_t)(ARGS_BASE +
					    party(worker) * ARGS_SIZE),
	};
	struct worker_state *w = &shm->worker[worker % MAX_WORKERS];
	unsigned int i, repeat = 1;

	/* Worker 0 has made those of the set-up already. */
	if (worker)
		cover_start(party(worker));
	if (worker != SETUP && head_of(&shm->prog, HEAD_ORDER) == ORDER_FREE)
		repeat = head_of(&shm->prog, HEAD_REPEAT) % 64;
	if (worker != SETUP) {
		w->tid = syscall(SYS_gettid);
		__atomic_store_n(&w->pid, getpid(), __ATOMIC_RELEASE);
		__atomic_fetch_add(&shm->ready, 1, __ATOMIC_SEQ_CST);
		event();
	}
again:
	for (i = 0; i < shm->prog.nr; i++) {
		uint32_t cursor;

		if (shm->prog.call[i].worker != worker)
			continue;
		while (worker != SETUP) {
			cursor = __atomic_load_n(&shm->cursor, __ATOMIC_ACQUIRE);
			if (cursor > i)
				break;
			futex_wait(&shm->cursor, cursor, 0);
		}
		if (worker != SETUP)
			__atomic_store_n(&w->cur, i + 1, __ATOMIC_RELEASE);
		make_call(&c, i);
	}
	if (repeat-- > 1)
		goto again;
	if (worker != SETUP) {
		__atomic_store_n(&w->ended, 1, __ATOMIC_RELEASE);
		event();
	}
}

static void *thread_main(void *arg)
{
	make_calls((uintptr_t)arg);
	return NULL;
}

static void worker_process(unsigned int worker)
{
	const struct program *p = &shm->prog;
	pthread_t thread[MAX_WORKERS];
	unsigned int i, n = 0;
	uint64_t drop = p->worker[worker].arg[WORKER_DROP].n;

	if (worker)
		mem_fd = -1;
	for (i = 0; i < NR_SLOTS; i++) {
		int fd = drop & 1ULL << i ? slot_take(i) : -1;

		if (fd >= 0)
			close(fd);
	}
	for (i = worker + 1; i < p->nr_workers && is_thread(p, i); i++) {
		if (pthread_create(&thread[n], NULL, thread_main,
				   (void *)(uintptr_t)i))
			_exit(3);
		n++;
	}
	make_calls(worker);
	while (n--)
		pthread_join(thread[n], NULL);
	_exit(0);
}

static void on_signal(int sig)
{
	(void)sig;
}

/* What is not there on every kernel is done without. */
static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	n = write(fd, text, strlen(text));
	(void)n;
	close(fd);
}

static void enter_userns(const char *map)
{
	if (unshare(CLONE_NEWUSER)) {
		feature(mix(errno) | 6ULL << 60);
		return;
	}
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/uid_map", map);
	write_file("/proc/self/gid_map", map);
}

/* Become who the program is to be run as. */
static void become(const struct program *p)
{
	write_file("/proc/self/oom_score_adj", "1000");
	if (head_of(p, HEAD_USER) == USER_ROOT &&
	    head_of(p, HEAD_CLOCK) != CLOCK_HOST && !unshare(CLONE_NEWTIME))
		write_file("/proc/self/timens_offsets",
			   head_of(p, HEAD_CLOCK) == CLOCK_AHEAD ?
			   "monotonic 1000000 0" : "monotonic -1 0");
	if (head_of(p, HEAD_USER) == USER_ROOT)
		return;
	if (setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		_exit(3);
	/* Otherwise what is in /proc/self would be root's. */
	prctl(PR_SET_DUMPABLE, 1);
	if (head_of(p, HEAD_USER) >= USER_NS)
		enter_userns("0 65534 1");
	if (head_of(p, HEAD_USER) == USER_NS2)
		enter_userns("0 0 1");
	if (head_of(p, HEAD_USER) >= USER_NS &&
	    head_of(p, HEAD_CLOCK) != CLOCK_HOST && !unshare(CLONE_NEWTIME))
		write_file("/proc/self/timens_offsets",
			   head_of(p, HEAD_CLOCK) == CLOCK_AHEAD ?
			   "monotonic 1000000 0" : "monotonic -1 0");
}

static void first_worker(void)
{
	const struct program *p = &shm->prog;
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t none;
	unsigned int i;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGALRM, &sa, NULL);
	close(usage_fd[0]);
	close(usage_fd[1]);
	close(kmsg_fd);
	close(kmsg_out);
	mem_fd = -1;
	for (i = 0; i < NR_SLOTS; i++)
		table[i] = -1;
	for (i = 0; i < p->nr_workers; i++)
		if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0,
			       mailboxes[i]))
			_exit(3);
	become(p);
	make_calls(SETUP);
	for (i = 1; i < p->nr_workers; i++) {
		pid_t pid;

		if (is_thread(p, i))
			continue;
		pid = fork();
		if (pid < 0)
			_exit(3);
		if (!pid)
			worker_process(i);
	}
	worker_process(0);
}

/* Watching ---------------------------------------------------------------- */

/* As /proc shows it: R, S, D, T, Z; 0 if it is gone. */
static char task_state(pid_t tid)
{
	char path[40], buf[256], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	buf[n] = 0;
	p = strrchr(buf, ')');
	return p && p[1] ? p[2] : 0;
}

static bool is_gone(char state)
{
	return !state || state == 'Z' || state == 'X';
}

/* Index of the call that a worker is in, or -1. */
static int call_of(unsigned int worker)
{
	uint32_t cur = __atomic_load_n(&shm->worker[worker].cur,
				       __ATOMIC_ACQUIRE);

	if (!cur || __atomic_load_n(&shm->result[cur - 1].state,
				    __ATOMIC_ACQUIRE) != CALL_RUNNING)
		return -1;
	return cur - 1;
}

/* Let call @idx be made; returns once the next one may. */
static void take_turn(unsigned int idx)
{
	unsigned int worker = shm->prog.call[idx].worker;
	struct worker_state *w = &shm->worker[worker];
	struct result *res = &shm->result[idx];
	bool busy = call_of(worker) >= 0;
	uint64_t start = now_ns();

	__atomic_store_n(&shm->cursor, idx + 1, __ATOMIC_RELEASE);
	futex_wake(&shm->cursor);
	if (busy)
		return;
	for (;;) {
		uint32_t seen = __atomic_load_n(&shm->events, __ATOMIC_SEQ_CST);
		uint32_t state = __atomic_load_n(&res->state, __ATOMIC_ACQUIRE);
		char task;

		if (state == CALL_DONE ||
		    __atomic_load_n(&w->ended, __ATOMIC_ACQUIRE))
			return;
		futex_wait(&shm->events, seen, 2 * NS_PER_MS);
		if (__atomic_load_n(&shm->events, __ATOMIC_SEQ_CST) != seen)
			continue;
		task = task_state(w->tid);
		if (is_gone(task))
			return;
		if (__atomic_load_n(&res->state, __ATOMIC_ACQUIRE) ==
		    CALL_RUNNING && task != 'R')
			return;
		if (now_ns() - start > TURN_NS)
			return;
	}
}

/* A worker may rightly be later than its deadline. */
static bool is_excused(const struct program *p)
{
	unsigned int i;

	for (i = 0; i < p->nr; i++) {
		const struct op *op = op_get(p->call[i].op);

		if (!(op->flags & OP_EXCUSE))
			continue;
		/* Of the signals only the one that stops. */
		if (strcmp(op->name, "kill") || p->call[i].arg[1].n == 1)
			return true;
	}
	return false;
}

enum rest { ALL_ENDED, ALL_ASLEEP, TIME_OUT, TOO_LATE };

/* Wait until nothing moves any more. */
static enum rest wait_for_rest(const struct program *p, int *late)
{
	bool excused = is_excused(p);
	uint64_t start = now_ns();
	unsigned int calm = 0, w;
	uint32_t seen = shm->events;

	for (;;) {
		bool ended = true, asleep = true, pending = false;

		for (w = 0; w < p->nr_workers; w++) {
			struct worker_state *ws = &shm->worker[w];
			int call = call_of(w);
			char task;

			if (__atomic_load_n(&ws->ended, __ATOMIC_ACQUIRE))
				continue;
			task = task_state(ws->tid);
			if (is_gone(task))
				continue;
			ended = false;
			if (call < 0 || task == 'R')
				asleep = false;
			if (call >= 0 && shm->result[call].ends_by &&
			    !excused) {
				pending = true;
				if (task != 'R' && now_for_all() > LATE_NS +
				    shm->result[call].ends_by) {
					*late = call;
					return TOO_LATE;
				}
			}
		}
		if (ended)
			return ALL_ENDED;
		calm = asleep && !pending && seen == shm->events ? calm + 1 : 0;
		if (calm >= 2)
			return ALL_ASLEEP;
		if (!pending && now_ns() - start > END_NS)
			return TIME_OUT;
		seen = shm->events;
		futex_wait(&shm->events, seen, 2 * NS_PER_MS);
	}
}

/* A copy of another process's descriptor, or -1. */
static int copy_fd(pid_t pid, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int copy = -1;

	if (pidfd >= 0 && fd >= 0)
		copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (pidfd >= 0)
		close(pidfd);
	return copy;
}

/* Is it wrong that a worker sleeps in a call that waits at an endpoint? */
static bool end_sleeper_wrong(int copy, bool offer, char *what, size_t len)
{
	struct mbuf_channel_info i = { 0 };
	char text[200];

	if (ioctl(copy, MBUF_IOC_CHANNEL_INFO, &i))
		return false;
	if (offer) {
		if (!(i.state & MBUF_END_CLOSED))
			return false;
	} else if (i.waiters && !end_wrong(&i, text, sizeof(text))) {
		return false;
	}
	snprintf(what, len,
		 "lost wake-up: asleep at an endpoint: %u in line, state 0x%x, %u signals",
		 i.waiters, i.state, i.signals);
	return true;
}

/* Likewise in POLL_ALL, alone: then what is ready has to wake it. */
static bool set_sleeper_wrong(int copy, char *what, size_t len)
{
	struct pollfd p = { .fd = copy, .events = POLLIN };

	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLIN))
		return false;
	snprintf(what, len,
		 "lost wake-up: asleep in POLL_ALL, but the session is ready");
	return true;
}

/*
 * Nobody leaves a message for long, as no fault of a program waits for one but
 * those of children, which are killed soon. That no right is left is for all.
 */
static bool pager_sleeper_wrong(int copy, char *what, size_t len)
{
	struct pollfd p = { .fd = copy, .events = POLLIN };

	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLHUP))
		return false;
	snprintf(what, len,
		 "lost wake-up: asleep in FAULTS, but no right is left");
	return true;
}

/* What is known of a queue that a worker sleeps at; false if it is none. */
static bool info_of(int copy, struct mbuf_queue_info *info)
{
	memset(info, 0, sizeof(*info));
	return copy >= 0 && !ioctl(copy, MBUF_IOC_QUEUE_INFO, info);
}

static bool has_threads(const struct program *p, unsigned int w)
{
	return is_thread(p, w) || (w + 1 < p->nr_workers && is_thread(p, w + 1));
}

/* Is anybody asleep for nothing? */
static bool sleepers_wrong(const struct program *p, char *what, size_t len)
{
	struct mbuf_queue_info info[MAX_WORKERS];
	unsigned int w, v, dir[MAX_WORKERS] = { 0 }, sets = 0;
	const struct result *res;
	bool wrong = false;

	for (w = 0; w < p->nr_workers; w++) {
		int call = call_of(w);

		sets += call >= 0 && shm->result[call].wait == WAIT_SET;
	}
	for (w = 0; w < p->nr_workers; w++) {
		struct worker_state *ws = &shm->worker[w];
		int call = call_of(w);

		/*
		 * Where threads share descriptors nobody knows what the number
		 * means now.
		 */
		if (call < 0 || ws->ended || has_threads(p, w) ||
		    !shm->result[call].wait || task_state(ws->tid) != 'S')
			continue;
		res = &shm->result[call];
		for (v = 0; v < res->nr_fds; v++) {
			int copy = copy_fd(ws->pid, res->fds[v]);

			if (copy < 0)
				continue;
			if (res->wait == WAIT_SET)
				wrong = sets == 1 &&
					set_sleeper_wrong(copy, what, len);
			else if (res->wait == WAIT_FAULTS)
				wrong = pager_sleeper_wrong(copy, what, len);
			else if (info_of(copy, &info[w]))
				dir[w] = res->wait;
			else
				wrong = end_sleeper_wrong(copy, res->wait ==
							  WAIT_OFFER, what,
							  len);
			close(copy);
			if (wrong)
				return true;
		}
	}
	for (w = 0; w < p->nr_workers; w++) {
		struct mbuf_queue_info *i = &info[w];
		unsigned int asleep = 0, in_line;

		if (!dir[w])
			continue;
		if (info_wrong(i, what, len))
			return true;
		for (v = 0; v < p->nr_workers; v++)
			if (dir[v] == dir[w] && info[v].id == i->id)
				asleep++;
		in_line = dir[w] == WAIT_SEND ? i->send_waiters :
						i->recv_waiters;
		if (asleep > in_line || (dir[w] == WAIT_SEND && !i->receivers) ||
		    (dir[w] == WAIT_RECV && !i->senders)) {
			snprintf(what, len,
				 "lost wake-up: %u sleep in a %s, %u are in line (%u senders, %u receivers)",
				 asleep,
				 dir[w] == WAIT_SEND ? "send" : "receive",
				 in_line, i->senders, i->receivers);
			return true;
		}
	}
	return false;
}

/* What is between two states for a moment is not wrong. */
static bool check_sleepers(const struct program *p, char *what, size_t len)
{
	uint64_t start = now_ns();

	if (is_excused(p))
		return false;
	while (sleepers_wrong(p, what, len)) {
		if (now_ns() - start > 2 * NS_PER_S)
			return true;
		futex_wait(&shm->events, shm->events, 5 * NS_PER_MS);
	}
	return false;
}

static void show_task(pid_t tid)
{
	static const char *const files[] = { "status", "wchan", "stack" };
	char path[64], line[256];
	unsigned int i;

	for (i = 0; i < NELEMS(files); i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/%s", tid, files[i]);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f))
			if (i || !strncmp(line, "State", 5))
				printf("# task %d %s: %s\n", tid, files[i],
				       strtok(line, "\n"));
		if (f)
			fclose(f);
	}
}

/* Where all that have not ended are. */
static void show_workers(void)
{
	unsigned int w;

	for (w = 0; w < shm->prog.nr_workers; w++)
		if (shm->worker[w].tid && !shm->worker[w].ended)
			show_task(shm->worker[w].tid);
}

/* Kill everybody and wait for them. False if someone does not die. */
static bool reap(pid_t root)
{
	uint64_t start = now_ns();
	sigset_t chld;
	int status;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	for (;;) {
		struct timespec ts = { 0, 100 * NS_PER_MS };
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0 && WIFSIGNALED(status) &&
		    WTERMSIG(status) != SIGKILL)
			shm->died = WTERMSIG(status);
		if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 3)
			shm->died = 1000;
		if (pid > 0)
			continue;
		if (pid < 0 && errno == ECHILD)
			return true;
		/* Children that were made meanwhile are in the group, too. */
		kill(-root, SIGKILL);
		if (now_ns() - start > options.stuck_s * NS_PER_S)
			break;
		sigtimedwait(&chld, NULL, &ts);
	}
	show_workers();
	write_file("/proc/sysrq-trigger", "w");
	return false;
}

/* Accounts ---------------------------------------------------------------- */

struct usage {
	unsigned long objects, memory, inflight;
};

static bool usage_read(unsigned int user, struct usage *u)
{
	static const char format[] =
		"mbuf-user-objects: %lu mbuf-user-memory: %lu mbuf-user-inflight: %lu";
	char path[40], buf[1024], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", usage_fd[user]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return false;
	buf[n] = 0;
	p = strstr(buf, "mbuf-user-objects:");
	return p && sscanf(p, format, &u->objects, &u->memory,
			   &u->inflight) == 3;
}

static struct usage baseline[2];

/* Files may be on their way out for a while after their owner has gone. */
static bool check_usage(const struct program *p, char *what, size_t len)
{
	unsigned int user = head_of(p, HEAD_USER) == USER_ROOT;
	uint64_t start = now_ns();
	struct usage u;

	for (;;) {
		if (!usage_read(user, &u)) {
			snprintf(what, len, "usage: cannot read fdinfo");
			return false;
		}
		if (!memcmp(&u, &baseline[user], sizeof(u)))
			return true;
		if (now_ns() - start > 5 * NS_PER_S)
			break;
		futex_wait(&shm->events, shm->events, NS_PER_MS);
	}
	snprintf(what, len,
		 "usage: with all closed objects %+ld, memory %+ld, inflight %+ld",
		 (long)(u.objects - baseline[user].objects),
		 (long)(u.memory - baseline[user].memory),
		 (long)(u.inflight - baseline[user].inflight));
	baseline[user] = u;
	return false;
}

static void set_limits(unsigned int limits)
{
	static const char *const name[] = {
		"objects", "memory", "inflight", "handles", "caps"
	};
	static const char *const low[] = { "7", "300000", "70000", NULL, NULL };
	static char normal[NELEMS(name)][32];
	unsigned int i;

	if (limits == limits_now)
		return;
	for (i = 0; i < NELEMS(name); i++) {
		char path[80];

		snprintf(path, sizeof(path),
			 "/sys/module/mbuf/parameters/%s_limit", name[i]);
		if (!normal[i][0]) {
			FILE *f = fopen(path, "r");

			if (f && !fgets(normal[i], sizeof(*normal), f))
				normal[i][0] = 0;
			if (f)
				fclose(f);
		}
		write_file(path, limits == LIMITS_LOW && low[i] ? low[i] :
			   normal[i]);
	}
	limits_now = limits;
}

/* The kernel's log -------------------------------------------------------- */

/* Lines that have one of these mean trouble; vm/run knows more of them. */
static const char *const trouble[] = {
	"WARNING: ", "BUG: ", "KASAN: ", "UBSAN: ", "KCSAN: ", "kernel BUG at",
	"Oops", "general protection fault", "refcount_t: ", "ODEBUG: ",
	"blocked for more than", "list_add corruption", "list_del corruption",
	"DEBUG_LOCKS_WARN_ON", "page allocation failure", "rcu: INFO: ",
	"INFO: trying to register non-static key",
};

/* A line may not be longer. */
#define LOG_MAX		900

/**
 * exec_log() - say something that must not get lost if the kernel crashes next
 * @tag: what it is
 * @text: the text, no capitals, any length
 *
 * The kernel writes its log to the console before write() returns. A terminal
 * would take ten times as long.
 */
void exec_log(const char *tag, const char *text)
{
	char line[LOG_MAX + 40];
	bool first = true;

	do {
		int n = snprintf(line, sizeof(line), "fuzz%s%s %.*s",
				 first ? ":" : "+", first ? tag : "", LOG_MAX,
				 text);
		ssize_t ret = write(kmsg_out, line, n);

		(void)ret;
		text += strnlen(text, LOG_MAX);
		first = false;
	} while (*text);
}

static bool log_trouble(char *what, size_t len)
{
	char rec[8192];
	bool found = false;

	for (;;) {
		ssize_t n = read(kmsg_fd, rec, sizeof(rec) - 1);
		unsigned int i;
		char *text;

		if (n < 0 && errno == EPIPE)
			continue;	/* records were overwritten */
		if (n <= 0)
			return found;
		rec[n] = 0;
		text = strchr(rec, ';');
		/* Not what programs write there: facility 0 is the kernel. */
		if (!text || found || strtoul(rec, NULL, 10) >> 3)
			continue;
		text++;
		text[strcspn(text, "\n")] = 0;
		for (i = 0; i < NELEMS(trouble); i++) {
			if (!strstr(text, trouble[i]))
				continue;
			snprintf(what, len, "kernel log: %.300s", text);
			found = true;
			break;
		}
	}
}

/* The whole --------------------------------------------------------------- */

static int open_as(uid_t uid)
{
	int fd;

	if (setresuid(uid, uid, 0))
		return -1;
	fd = open("/dev/mbuf", O_RDWR | O_CLOEXEC);
	if (setresuid(0, 0, 0))
		return -1;
	return fd;
}

static void die(const char *why)
{
	fprintf(stderr, "mbuf-fuzz: %s: %s\n", why, strerror(errno));
	exit(2);
}

static void map_at(uint64_t at, size_t size, int prot)
{
	void *want = (void *)(uintptr_t)at;

	if (mmap(want, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
		 MAP_FIXED_NOREPLACE, -1, 0) != want)
		die("the arena cannot be mapped");
}

void exec_init(const struct exec_options *opt)
{
	static const char *const faults[] = {
		"failslab", "fail_page_alloc", "fail_usercopy"
	};
	sigset_t chld;
	unsigned int i;

	options = *opt;
	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	shm = mmap(NULL, sizeof(*shm), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shm == MAP_FAILED)
		die("shared memory");
	map_at(ARENA_BASE, ARENA_RO, PROT_READ | PROT_WRITE);
	map_at(ARENA_BASE + ARENA_RO, ARENA_NONE - ARENA_RO, PROT_READ);
	map_at(ARENA_BASE + ARENA_NONE, ARENA_HOLE - ARENA_NONE, PROT_NONE);
	map_at(ARENA_BASE + ARENA_SPARE, ARENA_SMALL - ARENA_SPARE,
	       PROT_READ | PROT_WRITE);
	map_at(ARENA_BASE + ARENA_BIG, ARENA_END - ARENA_BIG,
	       PROT_READ | PROT_WRITE);
	map_at(ARGS_BASE, MAX_WORKERS * ARGS_SIZE,
	       PROT_READ | PROT_WRITE);

	/* Whoever loses its parent becomes a child of this process. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);

	usage_fd[0] = open_as(NOBODY);
	usage_fd[1] = open_as(0);
	if (usage_fd[0] < 0 || usage_fd[1] < 0)
		die("/dev/mbuf (mbuf-fuzz has to be root, with the module loaded)");
	if (!usage_read(0, &baseline[0]) || !usage_read(1, &baseline[1]))
		die("fdinfo of a session does not show what the user has");
	netlink_init();
	kmsg_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg_fd < 0)
		die("/dev/kmsg");
	lseek(kmsg_fd, 0, SEEK_END);
	/* No matter how much is written. */
	write_file("/proc/sys/kernel/printk_devkmsg", "on\n");
	kmsg_out = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	/* Not everywhere, and then not needed. */
	chmod("/dev/mbuf-test", 0666);
	write_file("/proc/sys/vm/unprivileged_userfaultfd", "1");
	write_file("/proc/sys/kernel/unprivileged_userns_clone", "1");
	for (i = 0; i < NELEMS(faults); i++) {
		char path[80];

		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/verbose",
			 faults[i]);
		write_file(path, "0");
		snprintf(path, sizeof(path),
			 "/sys/kernel/debug/%s/ignore-gfp-wait", faults[i]);
		write_file(path, "N");
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s/min-order",
			 faults[i]);
		write_file(path, "0");
	}
}

/*
 * Errors that any ioctl of mbuf may report; EPERM where the descriptor turns out
 * to be the endpoint of another thread.
 */
static const int any_ioctl[] = {
	EBADF, ENOTTY, EFAULT, EINVAL, E2BIG, EOPNOTSUPP, ENOMEM, EPERM, 0
};

static bool is_in(const int *list, int err)
{
	while (*list && *list != err)
		list++;
	return *list;
}

/* Results that the contract does not know are wrong, too. */
static void check_results(const struct program *p)
{
	unsigned int i;

	for (i = 0; i < p->nr; i++) {
		const struct result *res = &shm->result[i];
		const struct op *op = op_get(p->call[i].op);

		if (res->state != CALL_DONE)
			continue;
		feature(mix(7ULL << 60 | (uint64_t)p->call[i].op << 32 |
			    (res->err ? res->err : res->ret > 0) << 1 |
			    !!res->faulted));
		if (!res->err || !(op->flags & OP_ERRORS))
			continue;
		/* What the kernel around the module makes of it. */
		if (res->faulted && (res->err == ENOMEM || res->err == EFAULT))
			continue;
		if (op->flags & OP_IOCTL && is_in(any_ioctl, res->err))
			continue;
		if (!is_in(op->errors, res->err))
			complain("call %u, %s: error %d, which is not documented",
				 i, op->name, res->err);
	}
}

/* With these even a signal's frame may fail to be written. */
static bool has_faults(const struct program *p)
{
	unsigned int i;

	for (i = 0; i < p->nr; i++)
		if (p->call[i].fail)
			return true;
	return false;
}

/**
 * exec_program() - run a program
 * @p: the program
 * @what: what was found, if anything
 * @len: room for that
 *
 * Afterwards shm has the results and what was reached. If a process cannot be
 * killed the caller should not go on.
 */
enum outcome exec_program(const struct program *p, char *what, size_t len)
{
	bool free_order = head_of(p, HEAD_ORDER) == ORDER_FREE;
	enum rest rest = ALL_ENDED;
	uint64_t start;
	unsigned int i;
	int late = -1;
	pid_t root;

	what[0] = 0;
	shm->prog = *p;
	memset(shm->result, 0, sizeof(shm->result));
	memset(shm->worker, 0, sizeof(shm->worker));
	memset(shm->map, 0, sizeof(shm->map));
	memset(shm->offers, 0, sizeof(shm->offers));
	shm->cursor = 0;
	shm->ready = 0;
	shm->died = 0;
	shm->complained = 0;
	set_limits(head_of(p, HEAD_LIMITS));

	fflush(stdout);
	root = fork();
	if (root < 0)
		die("fork");
	if (!root)
		first_worker();
	setpgid(root, root);

	start = now_ns();
	while (__atomic_load_n(&shm->ready, __ATOMIC_SEQ_CST) < p->nr_workers) {
		uint32_t seen = shm->events;

		futex_wait(&shm->events, seen, 10 * NS_PER_MS);
		if (now_ns() - start > 10 * NS_PER_S ||
		    is_gone(task_state(root)))
			break;
	}
	if (shm->ready == p->nr_workers) {
		if (free_order) {
			__atomic_store_n(&shm->cursor, MAX_CALLS,
					 __ATOMIC_RELEASE);
			futex_wake(&shm->cursor);
		}
		for (i = 0; i < p->nr && !free_order; i++)
			if (p->call[i].worker != SETUP)
				take_turn(i);
		rest = wait_for_rest(p, &late);
		if (rest == TOO_LATE)
			snprintf(what, len, "call %d, %s, has not ended long after its deadline",
				 late, op_get(p->call[late].op)->name);
		if (rest == ALL_ASLEEP && !check_sleepers(p, what, len))
			what[0] = 0;
		if (what[0])
			show_workers();
	}
	kill(-root, SIGKILL);
	if (!reap(root)) {
		snprintf(what, len, "stuck: a process does not end %u s after SIGKILL",
			 options.stuck_s);
		return RAN_FOUND;
	}
	/* What those did who were killed in a call. */
	for (i = 0; i < MAX_WORKERS; i++)
		cover_collect(i);
	cover_collect_children();
	check_results(p);

	if (log_trouble(what, len))
		return RAN_FOUND;
	if (what[0])
		return RAN_FOUND;
	if (shm->complained) {
		snprintf(what, len, "%s", shm->complaint);
		return RAN_FOUND;
	}
	if (shm->died == 1000) {
		feature(8ULL << 60);	/* out of something at its beginning */
	} else if (shm->died && !has_faults(p)) {
		snprintf(what, len, "a worker died of signal %u", shm->died);
		return RAN_FOUND;
	}
	if (!check_usage(p, what, len))
		return RAN_FOUND;
	if (netlink_restore(p))
		limits_now = ~0U;
	return RAN_WELL;
}

/* What each call of the last program returned. */
void exec_print_results(FILE *f)
{
	const struct program *p = &shm->prog;
	unsigned int i;

	for (i = 0; i < p->nr; i++) {
		const struct result *res = &shm->result[i];

		fprintf(f, "%2u: ", i);
		if (res->state == CALL_NOT_YET)
			fprintf(f, "%-24s", "not made");
		else if (res->state == CALL_RUNNING)
			fprintf(f, "%-24s", "did not return");
		else if (res->err)
			fprintf(f, "%-24s", strerrorname_np(res->err));
		else
			fprintf(f, "%-24lld", (long long)res->ret);
		fputs(res->faulted ? " [failed on demand] " : " ", f);
		call_print(f, &p->call[i]);
	}
}
