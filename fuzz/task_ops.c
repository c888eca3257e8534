// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What happens to tasks and their memory meanwhile: signals, timers, children,
 * death, limits; payload that is unmapped, protected or thrown away; pages that
 * children wait for.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "fuzz.h"

static const uint64_t us_vals[] = { 0, 10, 100, 500, 1000, 3000, 10000 };

/* No more than 20 ms of anything. */
static unsigned int few_us(uint64_t n)
{
	return n % 20001;
}

static void sleep_us(unsigned int us)
{
	struct timespec ts = { .tv_nsec = us * 1000L };

	nanosleep(&ts, NULL);
}

static const struct arg_spec nap_args[] = {
	{ .name = "us", .type = A_NUM, VALS(us_vals) },
};

static long op_nap(struct ctx *c, const struct value *arg)
{
	ends_within(c, few_us(arg[0].n) * NS_PER_US);
	sleep_us(few_us(arg[0].n));
	return 0;
}

static const uint64_t exec_vals[] = { 1 };

static const struct arg_spec fork_args[] = {
	{ .name = "us", .type = A_NUM, VALS(us_vals) },
	{ .name = "exec", .type = A_NUM, VALS(exec_vals), .rare = 20 },
};

/* A child that has copies of all descriptors for a while. */
static long op_fork(struct ctx *c, const struct value *arg)
{
	static char *const argv[] = { "mbuf-fuzz", "--nothing", NULL };
	pid_t pid = syscall(SYS_fork);

	(void)c;
	if (pid < 0)
		return ret_of(-1);
	if (!pid) {
		sleep_us(few_us(arg[0].n));
		if (arg[1].n)
			execve("/proc/self/exe", argv, argv + 2);
		_exit(0);
	}
	return 0;
}

static void on_signal(int sig)
{
	(void)sig;
}

static const uint64_t life_vals[] = { 100, 3000, 20000, 50000, 100000 };

static const uint64_t few_vals[] = { 1, 1, 2, 4, 16 };

static const char *const touch_names[] = {
	"load", "store", "call", "lock", "child", NULL
};

static const struct arg_spec touch_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_REGION },
	{ .name = "us", .type = A_NUM, VALS(life_vals) },
	{ .name = "page", .type = A_NUM, .max = 3, .rare = 40 },
	{ .name = "pages", .type = A_NUM, VALS(few_vals) },
	{ .name = "how", .type = A_NAME, .names = touch_names, .max = 4 },
	{ .name = "private", .type = A_NUM, .max = 1, .rare = 10 },
	{ .name = "signals", .type = A_NUM, .max = 1, .rare = 30 },
};

static void on_refusal(int sig)
{
	(void)sig;
	_exit(0);
}

/* Killed after 100 ms at most; with @signals, interrupted before. */
static bool live_for(uint64_t us, bool signals)
{
	struct sigevent ev = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGKILL,
	};
	struct itimerspec when = {
		.it_value.tv_nsec = us % 100001 * 1000L + 1,
	};
	const struct itimerval it = { { 0, 300 }, { 0, 300 } };
	timer_t timer;

	signal(SIGALRM, on_signal);
	signal(SIGBUS, on_refusal);
	signal(SIGSEGV, on_refusal);
	return !timer_create(CLOCK_MONOTONIC, &ev, &timer) &&
	       !timer_settime(timer, 0, &when, NULL) &&
	       (!signals || !setitimer(ITIMER_REAL, &it, NULL));
}

static void touch_pages(volatile uint64_t *p, const struct value *arg)
{
	size_t size = (arg[3].n % 64) * PAGE, i;
	struct iovec local, remote;
	uint64_t room[2];

	if (arg[4].n % 5 == 3)
		syscall(SYS_mlockall, MCL_CURRENT);
	/* Timers are not inherited. */
	if (arg[4].n % 5 == 4 && !syscall(SYS_fork) && !live_for(arg[1].n, false))
		return;
	for (i = 0; i < size / sizeof(*p); i += PAGE / sizeof(*p)) {
		switch (arg[4].n % 5) {
		case 1:
			p[i] = i;
			break;
		case 2:
			local.iov_base = room;
			local.iov_len = sizeof(room);
			remote.iov_base = (void *)(uintptr_t)&p[i];
			remote.iov_len = sizeof(room);
			syscall(SYS_process_vm_readv, getpid(), &local, 1L,
				&remote, 1L, 0L);
			break;
		default:
			room[0] = p[i];
		}
	}
}

/*
 * A child touches a region, which may have a pager, and then sleeps in a fault
 * until it is served, refused, or killed.
 */
static long op_touch(struct ctx *c, const struct value *arg)
{
	const size_t size = (arg[3].n % 64) * PAGE;
	pid_t pid;
	void *p;

	(void)c;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, arg[5].n % 2 ?
		 MAP_PRIVATE : MAP_SHARED, slot_fd(arg[0].n),
		 (off_t)(arg[2].n % 64 * PAGE));
	if (p == MAP_FAILED)
		return ret_of(-1);
	pid = syscall(SYS_fork);
	if (!pid) {
		cover_child();
		if (live_for(arg[1].n, arg[6].n % 2))
			touch_pages(p, arg);
		_exit(0);
	}
	munmap(p, size);
	return pid < 0 ? ret_of(-1) : 0;
}

static const struct arg_spec exit_args[] = {
	{ .name = "status", .type = A_NUM, .max = 1, .rare = 1 },
};

static long op_exit(struct ctx *c, const struct value *arg)
{
	(void)c;
	(void)arg;
	_exit(0);
}

static const char *const signal_names[] = {
	"usr1", "stop", "cont", "kill", "alarm", NULL
};

static const uint64_t signal_vals[] = { 0, 0, 0, 1, 2, 2, 3, 4 };

static const struct arg_spec kill_args[] = {
	{ .name = "whom", .type = A_WORKER },
	{ .name = "signal", .type = A_NAME, .names = signal_names,
	  VALS(signal_vals) },
};

static long op_kill(struct ctx *c, const struct value *arg)
{
	static const int signals[] = {
		SIGUSR1, SIGSTOP, SIGCONT, SIGKILL, SIGALRM
	};
	struct worker_state *w = &shm->worker[arg[0].n % MAX_WORKERS];
	pid_t pid = __atomic_load_n(&w->pid, __ATOMIC_ACQUIRE);

	(void)c;
	if (!pid)
		return -ESRCH;
	return ret_of(syscall(SYS_tgkill, pid, w->tid,
			      signals[arg[1].n % NELEMS(signals)]));
}

static const struct arg_spec timer_args[] = {
	{ .name = "us", .type = A_NUM, VALS(us_vals) },
	{ .name = "every", .type = A_NUM, VALS(us_vals), .rare = 40 },
	{ .name = "restart", .type = A_NUM, .max = 1 },
};

static long op_timer(struct ctx *c, const struct value *arg)
{
	struct sigaction sa = {
		.sa_handler = on_signal,
		.sa_flags = arg[2].n ? SA_RESTART : 0,
	};
	struct itimerval it = {
		.it_value = { 0, few_us(arg[0].n) },
		.it_interval = { 0, arg[1].n ? few_us(arg[1].n) + 200 : 0 },
	};

	(void)c;
	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	return ret_of(setitimer(ITIMER_REAL, &it, NULL));
}

static const uint64_t nofile_vals[] = { 3, 8, 12, 16, 18, 20, 64, 64 };

static const struct arg_spec nofile_args[] = {
	{ .name = "max", .type = A_NUM, VALS(nofile_vals), .max = 40 },
};

static long op_nofile(struct ctx *c, const struct value *arg)
{
	struct rlimit lim;

	(void)c;
	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = arg[0].n < lim.rlim_max ? arg[0].n : lim.rlim_max;
	return ret_of(setrlimit(RLIMIT_NOFILE, &lim));
}

/* Memory ------------------------------------------------------------------ */

static const uint64_t page_vals[] = { 1, 1, 2, 16, 128 };

static const char *const memory_names[] = {
	"dontneed", "free", "cold", "pageout", "unmap", "none", "read", "write",
	"new", "hugepage", "dontfork", NULL
};

static const struct arg_spec memory_args[] = {
	{ .name = "ptr", .type = A_PTR },
	{ .name = "pages", .type = A_NUM, VALS(page_vals) },
	{ .name = "what", .type = A_NAME, .names = memory_names, .max = 10 },
};

static long op_memory(struct ctx *c, const struct value *arg)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT
	};
	uint64_t at = value_of(&arg[0]) & ~(PAGE - 1);
	size_t size = (arg[1].n % 256 + 1) * PAGE;
	void *p = (void *)(uintptr_t)at;

	(void)c;
	/* Nothing but the arena. */
	if (at < ARENA_BASE || at + size > ARENA_BASE + ARENA_END)
		return -EINVAL;
	switch (arg[2].n % 11) {
	case 4:
		return ret_of(munmap(p, size));
	case 5:
		return ret_of(mprotect(p, size, PROT_NONE));
	case 6:
		return ret_of(mprotect(p, size, PROT_READ));
	case 7:
		return ret_of(mprotect(p, size, PROT_READ | PROT_WRITE));
	case 8:
		p = mmap(p, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
			 MAP_NORESERVE, -1, 0);
		return p == MAP_FAILED ? ret_of(-1) : 0;
	case 9:
		return ret_of(madvise(p, size, MADV_HUGEPAGE));
	case 10:
		return ret_of(madvise(p, size, MADV_DONTFORK));
	default:
		return ret_of(madvise(p, size, advice[arg[2].n % 11]));
	}
}

static const uint64_t poke_vals[] = {
	0, 1, 8, 40, 64, 0x4000000040, ARENA_BASE, ARENA_BASE + PAGE,
	0x100000001, 0x200000001, 0x2800000004, 0xffffffffffffffff,
};

static const uint64_t off_vals[] = { 0, 8, 16, 24, 32, 40, 48, 56, 64, 72 };

static const struct arg_spec poke_args[] = {
	{ .name = "ptr", .type = A_PTR },
	{ .name = "off", .type = A_NUM, VALS(off_vals) },
	{ .name = "value", .type = A_NUM, VALS(poke_vals) },
	{ .name = "nr", .type = A_NUM, .def = { V_NUM, 1 }, .max = 32,
	  .rare = 30 },
};

static long op_poke(struct ctx *c, const struct value *arg)
{
	uint64_t at = value_of(&arg[0]) + arg[1].n, i;

	(void)c;
	for (i = 0; i < arg[3].n % 64; i++)
		if (!mem_write(at + 8 * i, &arg[2].n, 8))
			return -EFAULT;
	return 0;
}

const struct op task_ops[] = {
	OP(nap, 5, 0, nap_args),
	OP(fork, 5, 0, fork_args),
	OP(touch, 12, 0, touch_args),
	OP(exit, 2, OP_CLOSES, exit_args),
	OP(kill, 8, OP_EXCUSE, kill_args),
	OP(timer, 6, 0, timer_args),
	OP(nofile, 2, OP_SETUP, nofile_args),
	OP(memory, 8, OP_SETUP, memory_args),
	OP(poke, 4, OP_SETUP, poke_args),
	{ .name = NULL },
};
