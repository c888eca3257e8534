/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the mbuf selftests share.
 *
 * Rules that the tests keep to:
 *  - Every test runs in a fixture whose teardown proves that nothing is left:
 *    the user's objects, memory and bytes in flight, the files that pin the
 *    module, the open descriptors and the children must be what they were
 *    before.
 *  - No sleep stands for an event. Whether somebody is asleep in a queue is
 *    read from the queue (wait_sleepers()).
 *  - Assertions are for the process that runs the test. Children and threads
 *    hand back a result; children may use CHECK().
 */
#ifndef MBUF_SELFTESTS_UTIL_H
#define MBUF_SELFTESTS_UTIL_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/userfaultfd.h>

#include <linux/mbuf.h>
#include <mbuf.h>

#include "kselftest_harness.h"

/*
 * The guests that these tests run in are emulated, and may have a debug kernel
 * on top: 30 seconds for a test would be too short.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	240

#define NS_PER_MS	1000000ull
#define NS_PER_SEC	1000000000ull

/* How long to wait for what must happen before it counts as never. */
#define PATIENCE_NS	(60 * NS_PER_SEC)

#define POISON		0xcc
/* An unprivileged user that owns nothing else. */
#define TEST_UID	54321

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static inline uint64_t in_ms(uint64_t ms)
{
	return mbuf_deadline(ms * NS_PER_MS);
}

/* A moment's rest in a loop that polls for a condition. */
static inline void nap(void)
{
	const struct timespec ts = { .tv_nsec = 200000 };

	nanosleep(&ts, NULL);
}

/* Waits for a condition; false if it has not come true for a long time. */
#define EVENTUALLY(cond) ({						\
	uint64_t __end = now_ns() + PATIENCE_NS;			\
	bool __ok;							\
									\
	while (!(__ok = !!(cond)) && now_ns() < __end)			\
		nap();							\
	__ok;								\
})

/* For children: says what went wrong, and ends the child with a failure. */
#define CHECK(cond) do {						\
	if (!(cond)) {							\
		fprintf(stderr, "# %s:%d: child %d: failed: %s\n",	\
			__FILE__, __LINE__, getpid(), #cond);		\
		_exit(1);						\
	}								\
} while (0)

/* The same for a result that must have a certain value. */
#define CHECK_EQ(want, got) do {					\
	long long __want = (want), __got = (got);			\
									\
	if (__want != __got) {						\
		fprintf(stderr,						\
			"# %s:%d: child %d: %s is %lld, not %lld\n",	\
			__FILE__, __LINE__, getpid(), #got, __got,	\
			__want);					\
		_exit(1);						\
	}								\
} while (0)

/* System calls with the error in the result, as libmbuf has it. */
static inline long sys_result(long ret)
{
	return ret < 0 ? -errno : ret;
}

#define xioctl(fd, cmd, arg)	sys_result(ioctl(fd, cmd, arg))
#define xread(fd, buf, len)	sys_result(read(fd, buf, len))
#define xwrite(fd, buf, len)	sys_result(write(fd, buf, len))

/*
 * Memory
 */
static inline void poison(void *p, size_t len)
{
	memset(p, POISON, len);
}

static inline bool is_poison(const void *p, size_t len)
{
	const uint8_t *b = p;

	while (len--)
		if (*b++ != POISON)
			return false;
	return true;
}

static inline uint8_t pattern_byte(size_t at, uint32_t seed)
{
	return (uint8_t)((at * 167 + at / 251 + seed * 31 + 1) & 0xff);
}

/* A payload that is different for each seed, and at each place. */
static inline void fill_pattern(void *p, size_t len, uint32_t seed)
{
	uint8_t *b = p;
	size_t i;

	for (i = 0; i < len; i++)
		b[i] = pattern_byte(i, seed);
}

static inline bool is_pattern(const void *p, size_t len, uint32_t seed)
{
	const uint8_t *b = p;
	size_t i;

	for (i = 0; i < len; i++)
		if (b[i] != pattern_byte(i, seed))
			return false;
	return true;
}

static inline size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static inline size_t page_round(size_t len)
{
	return (len + page_size() - 1) & ~(page_size() - 1);
}

static inline void *map_pages(size_t len, int prot)
{
	void *p = mmap(NULL, page_round(len), prot,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static inline void *map_shared(size_t len)
{
	void *p = mmap(NULL, page_round(len), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Memory whose end is followed by a page that cannot be touched. */
struct guarded {
	uint8_t *p;		/* p[0] to p[len - 1] are accessible */
	size_t len;
	void *map;
	size_t map_len;
};

static inline bool guarded_alloc(struct guarded *g, size_t len)
{
	size_t body = page_round(len ? len : 1);

	g->p = NULL;
	g->len = len;
	g->map_len = body + page_size();
	g->map = map_pages(g->map_len, PROT_READ | PROT_WRITE);
	if (!g->map)
		return false;
	g->p = (uint8_t *)g->map + body - len;
	return !mprotect((uint8_t *)g->map + body, page_size(), PROT_NONE);
}

static inline void guarded_free(struct guarded *g)
{
	munmap(g->map, g->map_len);
}

/*
 * Processes
 */

/* Forks a child that runs fn(arg), and dies with the test. */
static inline pid_t spawn(int (*fn)(void *), void *arg)
{
	pid_t parent = getpid(), pid;

	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent && getppid() != 0)
		_exit(99);
	_exit(fn(arg));
}

/* Has a child ended, or is there none? */
static inline bool reap_try(pid_t pid, int *status, pid_t *ret)
{
	*ret = waitpid(pid, status, WNOHANG);
	return *ret;
}

/*
 * The exit code of a child, or 128 + the signal that ended it. One that does
 * not end is killed: then it is -ETIMEDOUT.
 */
static inline int reap(pid_t pid)
{
	pid_t ret = 0;
	int status;

	if (!EVENTUALLY(reap_try(pid, &status, &ret))) {
		fprintf(stderr, "# child %d does not end\n", pid);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return -ETIMEDOUT;
	}
	if (ret < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   128 + WTERMSIG(status);
}

static inline int kill_and_reap(pid_t pid)
{
	kill(pid, SIGKILL);
	return reap(pid);
}

/*
 * Gives up root for good. A change of ids clears PDEATHSIG, and makes the
 * process one whose /proc files are root's: undo both.
 */
static inline int become(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) ||
	    setresuid(uid, uid, uid))
		return -errno;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);
	return 0;
}

/*
 * The ids of this thread alone: the C library changes those of all threads. On
 * 32-bit x86 the calls by these names know ids of 16 bits only.
 */
#ifdef SYS_setresuid32
#define NR_SETRESUID	SYS_setresuid32
#define NR_SETRESGID	SYS_setresgid32
#define NR_SETGROUPS	SYS_setgroups32
#else
#define NR_SETRESUID	SYS_setresuid
#define NR_SETRESGID	SYS_setresgid
#define NR_SETGROUPS	SYS_setgroups
#endif

struct as_user {
	uid_t uid;
	int (*fn)(void *arg);
	void *arg;
};

static inline int as_user_main(void *arg)
{
	struct as_user *u = arg;

	CHECK_EQ(0, become(u->uid, u->uid));
	return u->fn(u->arg);
}

static inline pid_t spawn_as(uid_t uid, int (*fn)(void *), void *arg)
{
	/* The child has its own copy of this. */
	struct as_user u = { .uid = uid, .fn = fn, .arg = arg };

	return spawn(as_user_main, &u);
}

/* Runs fn(arg) as another user in a child, and returns its exit code. */
static inline int run_as(uid_t uid, int (*fn)(void *), void *arg)
{
	return reap(spawn_as(uid, fn, arg));
}

static inline bool write_file(const char *path, const char *fmt, ...)
{
	char text[256];
	ssize_t ret;
	va_list ap;
	int fd, len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ret = write(fd, text, (size_t)len);
	close(fd);
	return ret == len;
}

/* Reads a small file as text; false if there is none. */
static inline bool read_file(const char *path, char *text, size_t size)
{
	ssize_t len = 0, ret;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while ((ret = read(fd, text + len, size - 1 - (size_t)len)) > 0)
		len += ret;
	close(fd);
	text[len] = '\0';
	return ret == 0;
}

/* The state letter of a thread, as in /proc: 'S' once it is asleep. */
static inline char task_state(pid_t tid)
{
	char path[64], text[512], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	if (!read_file(path, text, sizeof(text)))
		return '?';
	p = strrchr(text, ')');
	return p && p[1] ? p[2] : '?';
}

/*
 * Is a thread asleep in this ioctl? In a state that a signal ends, so that it
 * is not merely waiting for a lock.
 */
static inline bool sleeps_in_ioctl(pid_t tid, unsigned long cmd)
{
	unsigned long long nr, fd, arg;
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	return tid && task_state(tid) == 'S' &&
	       read_file(path, text, sizeof(text)) &&
	       sscanf(text, "%llu %llx %llx", &nr, &fd, &arg) == 3 &&
	       nr == SYS_ioctl && arg == cmd;
}

/*
 * Descriptors
 */
static inline int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *d;
	int n = 0;

	if (!dir)
		return -1;
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.')
			n++;
	closedir(dir);
	return n;
}

static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline int set_nonblock(int fd, bool on)
{
	int fl = fcntl(fd, F_GETFL);

	return fcntl(fd, F_SETFL, on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK);
}

static inline short poll_now(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) < 0 ? POLLNVAL : p.revents;
}

/* Sends a descriptor over a socket; 1, or -errno. */
static inline int pass_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, c = 'x';
	struct iovec iov = { &c, 1 };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&mh);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	return (int)sys_result(sendmsg(sock, &mh, 0));
}

/* Receives one; -errno if there is none. */
static inline int take_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, c;
	struct iovec iov = { &c, 1 };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cm;
	int fd;

	if (recvmsg(sock, &mh, MSG_CMSG_CLOEXEC) != 1)
		return -EIO;
	cm = CMSG_FIRSTHDR(&mh);
	if (!cm || cm->cmsg_type != SCM_RIGHTS)
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	return fd;
}

/* What follows "key:\t" in a text, up to the end of the line. */
static inline const char *fdinfo_value(const char *text, const char *key)
{
	static char value[64];
	size_t len = strlen(key), n;
	const char *line;

	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) || strncmp(line + len, ":\t", 2))
			continue;
		n = strcspn(line + len + 2, "\n");
		if (n >= sizeof(value))
			return "(too long)";
		memcpy(value, line + len + 2, n);
		value[n] = '\0';
		return value;
	}
	return "(missing)";
}

static inline const char *fdinfo_number(const char *text, const char *key)
{
	static char norm[64];
	const char *value = fdinfo_value(text, key);
	char *end;
	unsigned long long n = strtoull(value, &end, 0);

	if (end == value || *end)
		return value;
	snprintf(norm, sizeof(norm), "%llu", n);
	return norm;
}

static inline const char *number(unsigned long long n)
{
	static char text[32];

	snprintf(text, sizeof(text), "%llu", n);
	return text;
}

#define EXPECT_FDINFO(n, text, key) \
	EXPECT_STREQ(number(n), fdinfo_number(text, key))

#define POLL_ALL	(POLLIN | POLLOUT | POLLPRI | POLLRDHUP)

/*
 * Queues
 */
static inline struct mbuf_queue_info get_info(int fd)
{
	struct mbuf_queue_info info = {};
	int ret = mbuf_queue_info(fd, &info);

	if (ret) {
		fprintf(stderr, "# QUEUE_INFO of descriptor %d: %s\n", fd,
			mbuf_strerror(ret));
		memset(&info, 0xff, sizeof(info));
	}
	return info;
}

/* Waits until so many receivers and senders are asleep in the queue. */
static inline int wait_sleepers(int fd, unsigned int recv, unsigned int send)
{
	uint64_t end = now_ns() + PATIENCE_NS;
	struct mbuf_queue_info info = {};

	do {
		int ret = mbuf_queue_info(fd, &info);

		if (ret)
			return ret;
		if (info.recv_waiters == recv && info.send_waiters == send)
			return 0;
		nap();
	} while (now_ns() < end);
	fprintf(stderr,
		"# waited for %u receivers and %u senders to sleep, there are %u and %u\n",
		recv, send, info.recv_waiters, info.send_waiters);
	return -ETIMEDOUT;
}

#define ASSERT_SLEEPERS(fd, recv, send) \
	ASSERT_EQ(0, wait_sleepers(fd, recv, send))

/* Sends a number, so that the order can be seen. */
static inline int send_num(int fd, uint32_t num, uint64_t deadline)
{
	return mbuf_send(fd, &num, sizeof(num), deadline);
}

/* Receives a number, or -errno; -EPROTO if it is not a number's size. */
static inline int64_t recv_num(int fd, uint64_t deadline)
{
	uint32_t num = 0xdeadbeef;
	ssize_t ret = mbuf_recv(fd, &num, sizeof(num), deadline);

	if (ret < 0)
		return ret;
	return ret == sizeof(num) ? (int64_t)num : -EPROTO;
}

static inline struct mbuf_msg msg_of(const void *buf, size_t len)
{
	struct mbuf_msg m = {
		.buf = (uintptr_t)buf,
		.len = (uint32_t)len,
	};

	return m;
}

/*
 * A call made by a thread, so that it can sleep
 */
enum op {
	OP_RECV, OP_READ, OP_READV, OP_RECV_BATCH,
	OP_SEND, OP_WRITE, OP_WRITEV, OP_SEND_BATCH,
};

static inline bool op_sends(enum op op)
{
	return op >= OP_SEND;
}

struct party {
	enum op op;
	int fd;
	void *buf;		/* batches: nr times len bytes */
	size_t len;
	uint64_t deadline;	/* MBUF_FOREVER for read and write */
	unsigned int nr, min;	/* batches */
	uint32_t prio;		/* SEND */

	long ret;		/* what the call gave, or -errno */
	struct mbuf_msg msg;	/* SEND and RECV: as it came back */
	struct mbuf_msg *msgs;	/* batches */
	_Atomic bool done;
	_Atomic pid_t tid;
	pthread_t thread;
};

static inline long party_call(struct party *p)
{
	struct iovec iov[2];
	unsigned int i;
	long ret;

	switch (p->op) {
	case OP_READ:
		return xread(p->fd, p->buf, p->len);
	case OP_WRITE:
		return xwrite(p->fd, p->buf, p->len);
	case OP_READV:
	case OP_WRITEV:
		iov[0].iov_base = p->buf;
		iov[0].iov_len = p->len / 2;
		iov[1].iov_base = (char *)p->buf + p->len / 2;
		iov[1].iov_len = p->len - p->len / 2;
		if (p->op == OP_READV)
			return sys_result(readv(p->fd, iov, 2));
		return sys_result(writev(p->fd, iov, 2));
	case OP_SEND:
		p->msg = msg_of(p->buf, p->len);
		p->msg.prio = p->prio;
		return mbuf_send_msg(p->fd, &p->msg, p->deadline);
	case OP_RECV:
		p->msg = msg_of(p->buf, p->len);
		ret = mbuf_recv_msg(p->fd, &p->msg, p->deadline);
		return ret < 0 ? ret : (long)p->msg.len;
	case OP_SEND_BATCH:
	case OP_RECV_BATCH:
		for (i = 0; i < p->nr; i++) {
			p->msgs[i] = msg_of((char *)p->buf + i * p->len,
					    p->len);
			p->msgs[i].prio = p->prio;
		}
		if (p->op == OP_SEND_BATCH)
			return mbuf_send_batch(p->fd, p->msgs, p->nr, p->min,
					       p->deadline);
		return mbuf_recv_batch(p->fd, p->msgs, p->nr, p->min,
				       p->deadline);
	}
	return -ENOSYS;
}

static inline void *party_main(void *arg)
{
	struct party *p = arg;

	atomic_store(&p->tid, (pid_t)syscall(SYS_gettid));
	p->ret = party_call(p);
	atomic_store(&p->done, true);
	return NULL;
}

static inline bool party_start(struct party *p)
{
	if (p->op == OP_SEND_BATCH || p->op == OP_RECV_BATCH) {
		p->msgs = calloc(p->nr, sizeof(*p->msgs));
		if (!p->msgs)
			return false;
	}
	atomic_store(&p->done, false);
	return !pthread_create(&p->thread, NULL, party_main, p);
}

/* What the call gave; -ETIME, which no call gives, if it does not end. */
static inline long party_join(struct party *p)
{
	if (!EVENTUALLY(atomic_load(&p->done))) {
		fprintf(stderr, "# thread %d does not end\n", p->tid);
		return -ETIME;
	}
	pthread_join(p->thread, NULL);
	return p->ret;
}

/* After party_join(), once the results of a batch were looked at. */
static inline void party_free(struct party *p)
{
	free(p->msgs);
	p->msgs = NULL;
}

/*
 * Signals
 */
static _Atomic int signals_seen;

static inline void count_signal(int sig)
{
	(void)sig;
	signals_seen++;
}

/* Counts a signal in signals_seen; flags is SA_RESTART or 0. */
static inline int catch_signal(int sig, int flags)
{
	struct sigaction sa = {
		.sa_handler = count_signal,
		.sa_flags = flags,
	};

	signals_seen = 0;
	return sigaction(sig, &sa, NULL);
}

/*
 * Races
 */

/*
 * The other side of a race waits a little, too, so that both outcomes are seen
 * and the two meet everywhere between: the time is adapted to who was first.
 */
struct handicap {
	unsigned int time, seed;
};

static inline void handicap_spin(struct handicap *h)
{
	volatile unsigned int n;

	/* A quarter more or less. */
	n = h->time - h->time / 4 +
	    (unsigned int)rand_r(&h->seed) % (h->time / 2 + 1);
	while (n)
		n--;
}

static inline void handicap_adapt(struct handicap *h, bool too_early)
{
	if (too_early && h->time < 20000000)
		h->time += h->time / 8 + 20;
	else if (!too_early)
		h->time -= h->time / 8;
}

/*
 * Pages whose faults nobody resolves, unless told to
 */
struct stuck {
	int fd;			/* the userfaultfd */
	uint8_t *p;
	size_t len;
};

/* 0, or -errno if this kernel or user cannot have such pages. */
static inline int stuck_alloc(struct stuck *s, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int ret;

	s->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (s->fd < 0)
		return -errno;
	s->len = page_round(len);
	s->p = map_pages(s->len, PROT_READ | PROT_WRITE);
	if (!s->p) {
		ret = -ENOMEM;
		goto fail;
	}
	reg.range.start = (uintptr_t)s->p;
	reg.range.len = s->len;
	if (ioctl(s->fd, UFFDIO_API, &api) ||
	    ioctl(s->fd, UFFDIO_REGISTER, &reg)) {
		ret = -errno;
		munmap(s->p, s->len);
		goto fail;
	}
	return 0;
fail:
	close(s->fd);
	return ret;
}

/* Waits until somebody is stuck; the address of the page, 0 if nobody is. */
static inline uint64_t stuck_wait(struct stuck *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&p, 1, (int)(PATIENCE_NS / NS_PER_MS)) != 1)
		return 0;
	if (read(s->fd, &msg, sizeof(msg)) != sizeof(msg) ||
	    msg.event != UFFD_EVENT_PAGEFAULT)
		return 0;
	return msg.arg.pagefault.address & ~(uint64_t)(page_size() - 1);
}

/* Lets who is stuck go on, with these bytes at the start of the page. */
static inline int stuck_resolve(struct stuck *s, uint64_t page,
				const void *data, size_t len)
{
	uint8_t *src = map_pages(page_size(), PROT_READ | PROT_WRITE);
	struct uffdio_copy copy = {
		.dst = page,
		.src = (uintptr_t)src,
		.len = page_size(),
	};
	int ret;

	if (!src)
		return -ENOMEM;
	memcpy(src, data, len);
	ret = ioctl(s->fd, UFFDIO_COPY, &copy) ? -errno : 0;
	munmap(src, page_size());
	return ret;
}

/* Makes the fault fail: the pages become inaccessible. */
static inline int stuck_break(struct stuck *s)
{
	struct uffdio_range range = {
		.start = (uintptr_t)s->p,
		.len = s->len,
	};

	if (mprotect(s->p, s->len, PROT_NONE) ||
	    ioctl(s->fd, UFFDIO_WAKE, &range))
		return -errno;
	return 0;
}

static inline void stuck_free(struct stuck *s)
{
	close(s->fd);
	munmap(s->p, s->len);
}

/*
 * The fixture that all programs use
 */
struct snapshot {
	struct mbuf_usage objects, memory, inflight, handles, caps;
	long module_users;
	int fds;
};

#define MODULE_REFCNT	"/sys/module/mbuf/refcnt"

/* How many open files keep the module loaded; -1 if it is built in. */
static inline long module_users(void)
{
	char text[32];

	return read_file(MODULE_REFCNT, text, sizeof(text)) ?
	       strtol(text, NULL, 10) : -1;
}

static inline int take_snapshot(int session, struct snapshot *s)
{
	struct mbuf_query q = {};
	int ret = mbuf_query(session, &q);

	s->objects = q.objects;
	s->memory = q.memory;
	s->inflight = q.inflight;
	s->handles = q.handles;
	s->caps = q.caps;
	s->module_users = module_users();
	s->fds = count_fds();
	return ret;
}

static inline bool same_usage(int session, const struct snapshot *want,
			      struct snapshot *got)
{
	return !take_snapshot(session, got) &&
	       got->objects.used == want->objects.used &&
	       got->memory.used == want->memory.used &&
	       got->inflight.used == want->inflight.used &&
	       got->handles.used == want->handles.used &&
	       got->caps.used == want->caps.used &&
	       got->module_users == want->module_users;
}

FIXTURE(queue) {
	int session;
	int rfd, sfd;		/* -1, or the queue of make_queue() */
	struct mbuf_query q;	/* the module's limits */
	struct snapshot before;
};

/*
 * What every fixture begins with: a session, the limits, and how it is before
 * the test. Returns the session.
 */
static inline int fixture_begin(struct __test_metadata *_metadata,
				struct mbuf_query *q, struct snapshot *before)
{
	int session = mbuf_open();

	ASSERT_GE(session, 0) {
		TH_LOG("cannot open /dev/mbuf: %s; load the module first",
		       mbuf_strerror(session));
	}
	ASSERT_EQ(0, mbuf_query(session, q));
	ASSERT_EQ(0, take_snapshot(session, before));
	ASSERT_GT(before->fds, 0);
	return session;
}

/*
 * And ends with, once the test's own descriptors are closed: all that a test
 * made must be gone. Some of it may be freed a little later (by a worker, or
 * when io_uring lets go of a file).
 */
static inline void fixture_end(struct __test_metadata *_metadata, int session,
			       const struct snapshot *before)
{
	struct snapshot now = {};

	/* A test that was cut short has not cleaned up; that is no news. */
	if (_metadata->aborted)
		return;
	if (!EVENTUALLY(same_usage(session, before, &now)))
		TH_LOG("left behind: usage does not return to what it was");
	EXPECT_EQ(before->objects.used, now.objects.used);
	EXPECT_EQ(before->memory.used, now.memory.used);
	EXPECT_EQ(before->inflight.used, now.inflight.used);
	EXPECT_EQ(before->handles.used, now.handles.used);
	EXPECT_EQ(before->caps.used, now.caps.used);
	/* Also of files that no descriptor stands for. */
	EXPECT_EQ(before->module_users, now.module_users);
	EXPECT_EQ(before->fds, now.fds);
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG));
	close(session);
}

FIXTURE_SETUP(queue)
{
	self->rfd = -1;
	self->sfd = -1;
	self->session = fixture_begin(_metadata, &self->q, &self->before);
}

FIXTURE_TEARDOWN(queue)
{
	close_fd(&self->rfd);
	close_fd(&self->sfd);
	fixture_end(_metadata, self->session, &self->before);
}

#define make_queue(slots, max_msg, flags) \
	ASSERT_EQ(0, mbuf_queue_create(self->session, slots, max_msg, flags, \
				       &self->rfd, &self->sfd))

/* Root is needed for what changes users, limits or namespaces. */
#define NEED_ROOT() do {						\
	if (geteuid())							\
		SKIP(return, "needs root");				\
} while (0)

#endif /* MBUF_SELFTESTS_UTIL_H */
