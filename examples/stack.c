// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stacks that are shared: a thread lets another process look at its stack, which
 * maps it at the same address, so that pointers into it mean the same there, and
 * watches a local variable change. Once with mbuf_share_stack(), which gives a
 * descriptor that can only be read; once by plain POSIX calls, with a name.
 *
 * And stacks that are kept apart: of two threads, one can reach the other's
 * only after that has allowed it, where the CPU has protection keys.
 *
 * usage: stack
 *
 * Exit status: 0 if all was as it should be, 1 if not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mbuf_stack.h>

#include "example.h"

#define SIZE		((size_t)256 << 10)
#define TIMES		5
#define PATIENCE_NS	30000000000ull

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE	0x100000
#endif

/* What the other process is told about a stack; with a descriptor, or a name. */
struct notice {
	uint64_t stack;
	uint64_t size;
	uint64_t local;
	char name[40];
};

/* What is said over the channel each time that the variable has changed. */
struct step {
	uint64_t value;		/* what it is now; 0: that was all */
	uint64_t seen;		/* the reply */
	uint8_t resv[MBUF_SLOT_SIZE - 2 * sizeof(uint64_t)];
};

/**
 * struct watched - a thread whose stack is looked at
 * @session: a session
 * @queue: to who looks, for notices; it takes a descriptor each
 * @end: of a channel to it
 * @stack: the stack; NULL if it is one by POSIX calls
 * @notice: what is told
 * @ret: 0, or what went wrong
 */
struct watched {
	int session;
	int queue;
	int end;
	struct mbuf_stack *stack;
	struct notice notice;
	int ret;
};

static uint64_t soon(void)
{
	return mbuf_deadline(PATIENCE_NS);
}

static int failed(const char *what, int err)
{
	fprintf(stderr, "stack: %s: %s\n", what, mbuf_strerror(err));
	return err;
}

/* ---- the process that looks ----------------------------------------------- */

/* Maps the stack where it is in the other process, for reading. */
static int look_at(const struct notice *n, int fd)
{
	void *at = (void *)(uintptr_t)n->stack;
	struct mbuf_stack_view view;
	int ret;

	if (fd >= 0) {
		ret = mbuf_stack_is(fd);
		if (ret != 1)
			return ret < 0 ? ret : -EPROTO;
		/* It was given for reading, and leads to no more. */
		ret = mbuf_map_stack(fd, NULL,
				     MBUF_REGION_READ | MBUF_REGION_WRITE,
				     &view);
		if (ret >= 0)
			return -EPROTO;
		return mbuf_map_stack(fd, at, MBUF_REGION_READ, &view);
	}
	fd = shm_open(n->name, O_RDONLY, 0);
	if (fd < 0)
		return -errno;
	at = mmap(at, n->size, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd,
		  0);
	ret = at == MAP_FAILED ? -errno : 0;
	close(fd);
	return ret;
}

/* Sees what the variable is each time that it is told that it has changed. */
static int watch(const struct notice *n, int end)
{
	const volatile uint64_t *local =
		(const volatile uint64_t *)(uintptr_t)n->local;
	struct mbuf_exchange x = { 0 };
	struct step step;
	int ret;

	printf("stack: process %d has the stack of a thread of process %d, by %s, at %p\n",
	       (int)getpid(), (int)getppid(),
	       n->name[0] ? n->name : "a descriptor",
	       (void *)(uintptr_t)n->stack);
	printf("stack: the variable at %p is", (const void *)local);
	for (;;) {
		ret = mbuf_serve(end, &x, soon());
		if (ret < 0)
			return ret;
		memcpy(&step, x.data, sizeof(step));
		if (!step.value)
			break;
		step.seen = *local;
		printf(" %llu", (unsigned long long)step.seen);
		memcpy(x.data, &step, sizeof(step));
		if (step.seen != step.value)
			return -EPROTO;
	}
	printf("\n");
	fflush(stdout);
	/* That it has seen enough: the stack can go. */
	memcpy(x.data, &step, sizeof(step));
	return mbuf_channel_post(end, x.data);
}

static int looker(int queue, int end, int stacks)
{
	int ret = 0;

	while (!ret && stacks--) {
		struct notice notice = { .size = 0 };
		struct mbuf_msg msg = {
			.buf = (uintptr_t)&notice,
			.len = sizeof(notice),
		};
		struct mbuf_cap cap = { 0 };
		unsigned int nr = 1;

		ret = mbuf_recv_caps(queue, &msg, &cap, &nr, 0, -1, soon());
		if (ret >= 0 && nr && cap.error)
			ret = cap.error;
		if (ret >= 0)
			ret = look_at(&notice, nr ? cap.ref.fd : -1);
		if (ret >= 0)
			ret = watch(&notice, end);
		else
			failed("the other's stack cannot be mapped", ret);
		if (ret >= 0)
			munmap((void *)(uintptr_t)notice.stack, notice.size);
	}
	return ret < 0 ? 1 : 0;
}

/* ---- the threads that are looked at --------------------------------------- */

static int tell(struct watched *w, uint64_t value)
{
	struct mbuf_exchange x = { 0 };
	struct step step = { .value = value };
	int ret;

	memcpy(x.data, &step, sizeof(step));
	ret = mbuf_call(w->end, &x, soon());
	if (ret < 0)
		return ret;
	memcpy(&step, x.data, sizeof(step));
	return step.seen == value ? 0 : -EPROTO;
}

/* Runs on the stack that is shared. */
static void *work(void *arg)
{
	struct watched *w = arg;
	volatile uint64_t local = 0;
	struct mbuf_msg msg = {
		.buf = (uintptr_t)&w->notice,
		.len = sizeof(w->notice),
	};
	struct mbuf_cap cap;
	int fd = -1, i;

	w->notice.local = (uintptr_t)&local;
	if (w->stack) {
		fd = mbuf_share_stack(w->session, w->stack, MBUF_REGION_READ);
		w->ret = fd;
		if (fd < 0)
			return NULL;
		cap = mbuf_cap_fd(fd);
	}
	w->ret = mbuf_send_caps(w->queue, &msg, &cap, fd < 0 ? 0 : 1, -1,
				soon());
	if (fd >= 0)
		close(fd);
	for (i = 1; i <= TIMES && w->ret >= 0; i++) {
		local = local * 10 + (uint64_t)i;
		w->ret = tell(w, local);
	}
	if (w->ret >= 0)
		w->ret = tell(w, 0);
	return NULL;
}

static void *run_on_stack(void *arg)
{
	struct watched *w = arg;
	int ret = mbuf_stack_run(w->stack, work, w, NULL);

	if (ret < 0)
		w->ret = ret;
	return NULL;
}

static int run_thread(void *stack, size_t size, void *(*fn)(void *arg),
		      void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	ret = -pthread_attr_setstack(&attr, stack, size);
	if (!ret)
		ret = -pthread_create(&thread, &attr, fn, arg);
	if (!ret)
		ret = -pthread_join(thread, NULL);
	pthread_attr_destroy(&attr);
	return ret;
}

static int by_descriptor(struct watched *w)
{
	int ret = mbuf_stack_create("example", SIZE, 0, &w->stack);

	if (ret < 0)
		return ret;
	w->notice.stack = (uintptr_t)mbuf_stack_addr(w->stack);
	w->notice.size = SIZE;
	ret = run_thread(mbuf_stack_addr(w->stack), mbuf_stack_size(w->stack),
			 run_on_stack, w);
	if (ret >= 0)
		ret = w->ret;
	mbuf_stack_destroy(w->stack);
	w->stack = NULL;
	return ret;
}

/* The same for programs that do without the library. */
static int by_name(struct watched *w)
{
	void *stack;
	int fd, ret;

	snprintf(w->notice.name, sizeof(w->notice.name),
		 "/" MBUF_STACK_PREFIX "example-%d", (int)getpid());
	fd = shm_open(w->notice.name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return -errno;
	ret = ftruncate(fd, (off_t)SIZE) ? -errno : 0;
	stack = ret ? MAP_FAILED :
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!ret && stack == MAP_FAILED)
		ret = -errno;
	close(fd);
	if (!ret) {
		w->notice.stack = (uintptr_t)stack;
		w->notice.size = SIZE;
		ret = run_thread(stack, SIZE, work, w);
		if (ret >= 0)
			ret = w->ret;
		munmap(stack, SIZE);
	}
	shm_unlink(w->notice.name);
	return ret;
}

/* ---- kept apart ----------------------------------------------------------- */

/**
 * struct apart - two threads, of which one tries to reach the other's stack
 * @stack: theirs
 * @turn: they take turns
 * @pipe: the kernel reads and writes in the name of a thread
 * @local: a variable on the first one's stack
 * @ret: of each: 0, or what went wrong
 */
struct apart {
	struct mbuf_stack *stack[2];
	pthread_barrier_t turn;
	int pipe[2];
	volatile uint64_t *local;
	int ret[2];
};

static void *owner(void *arg)
{
	volatile uint64_t local = 4711;
	struct apart *a = arg;

	a->local = &local;
	pthread_barrier_wait(&a->turn);
	/* It tries, in vain. */
	pthread_barrier_wait(&a->turn);
	a->ret[0] = mbuf_stack_allow(a->stack[0], a->stack[1],
				     MBUF_REGION_READ);
	pthread_barrier_wait(&a->turn);
	/* It reads. */
	pthread_barrier_wait(&a->turn);
	if (local != 4711)
		a->ret[0] = -EPROTO;
	return NULL;
}

/* Can the variable be read, and be written? Both by the kernel, for a thread. */
static int reaches(const struct apart *a, bool *reads, bool *writes)
{
	const size_t len = sizeof(*a->local);
	ssize_t n = write(a->pipe[1], (const void *)a->local, len);

	*writes = false;
	*reads = n == (ssize_t)len;
	if (n < 0 && errno != EFAULT)
		return -errno;
	if (n < 0 && write(a->pipe[1], "anything", len) < 0)
		return -errno;
	n = read(a->pipe[0], (void *)a->local, len);
	*writes = n == (ssize_t)len;
	if (n < 0 && errno != EFAULT)
		return -errno;
	return 0;
}

static void *other(void *arg)
{
	struct apart *a = arg;
	bool reads, writes;
	int ret;

	pthread_barrier_wait(&a->turn);
	ret = reaches(a, &reads, &writes);
	if (!ret && (reads || writes))
		ret = -EPROTO;
	pthread_barrier_wait(&a->turn);
	/* It is allowed to. */
	pthread_barrier_wait(&a->turn);
	mbuf_reach_update();
	if (!ret)
		ret = reaches(a, &reads, &writes);
	if (!ret && (!reads || writes || *a->local != 4711))
		ret = -EPROTO;
	a->ret[1] = ret;
	pthread_barrier_wait(&a->turn);
	return NULL;
}

static void *owner_starts(void *arg)
{
	struct apart *a = arg;
	int ret = mbuf_stack_run(a->stack[0], owner, a, NULL);

	/* The other would wait for it. */
	if (ret < 0) {
		failed("a thread on a stack of its own", ret);
		exit(1);
	}
	return NULL;
}

static void *other_starts(void *arg)
{
	struct apart *a = arg;
	int ret = mbuf_stack_run(a->stack[1], other, a, NULL);

	/* The other would wait for it. */
	if (ret < 0) {
		failed("a thread on a stack of its own", ret);
		exit(1);
	}
	return NULL;
}

static int keep_apart(void)
{
	static void *(*const starts[2])(void *arg) = {
		owner_starts, other_starts,
	};
	struct apart a = { .ret = { 0, 0 } };
	pthread_attr_t attr;
	pthread_t thread[2];
	const char *why;
	int i, ret;

	if (mbuf_reach(&why) == -ENOTSUP) {
		printf("stack: threads are not kept apart here: %s\n", why);
		return 0;
	}
	/* The kernel must be refused the memory, and not find the pipe empty. */
	if (pipe(a.pipe))
		return -errno;
	pthread_barrier_init(&a.turn, NULL, 2);
	for (i = 0; i < 2; i++) {
		ret = mbuf_stack_create(i ? "other" : "owner", SIZE,
					MBUF_STACK_REACH, &a.stack[i]);
		if (ret < 0)
			return ret;
	}
	for (i = 0; i < 2; i++) {
		pthread_attr_init(&attr);
		pthread_attr_setstack(&attr, mbuf_stack_addr(a.stack[i]),
				      mbuf_stack_size(a.stack[i]));
		ret = -pthread_create(&thread[i], &attr, starts[i], &a);
		pthread_attr_destroy(&attr);
		if (ret < 0)
			return ret;
	}
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		mbuf_stack_destroy(a.stack[i]);
		if (a.ret[i] < 0)
			ret = a.ret[i];
	}
	if (ret >= 0)
		printf("stack: a thread reaches another's as allowed: not, then to read\n");
	return ret;
}

int main(void)
{
	struct mbuf_queue_create queue = {
		.slots = 1,
		.max_msg = sizeof(struct notice),
		.flags = MBUF_QUEUE_CAPS,
		.max_caps = 1,
	};
	struct watched w = { .session = example_open() };
	int ends[2], ret, status = 0;
	pid_t pid;

	if (w.session < 0)
		return 1;
	ret = mbuf_queue_create_args(w.session, &queue);
	if (ret >= 0)
		ret = mbuf_channel_create(w.session, MBUF_END_DETACHED, ends);
	if (ret < 0)
		return !!failed("cannot make a queue and a channel", ret);
	/* Before there are threads, and stacks, which it is to map itself. */
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return !!failed("cannot start a process", -errno);
	if (!pid) {
		close(queue.send.fd);
		close(ends[0]);
		exit(looker(queue.recv.fd, ends[1], 2));
	}
	w.queue = queue.send.fd;
	w.end = ends[0];
	close(queue.recv.fd);
	close(ends[1]);

	ret = by_descriptor(&w);
	if (ret < 0) {
		failed("a stack, by a descriptor", ret);
	} else {
		ret = by_name(&w);
		if (ret < 0)
			failed("a stack, by a name", ret);
	}
	/* If it waits yet, that ends with these. */
	close(w.queue);
	close(w.end);
	if (waitpid(pid, &status, 0) != pid || status)
		ret = -ECHILD;
	if (ret < 0)
		return 1;
	ret = keep_apart();
	if (ret < 0)
		return !!failed("two threads, kept apart", ret);
	printf("stack: all as it should be\n");
	return 0;
}
