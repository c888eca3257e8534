// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * mbuf-bench: measures each work with each peer and each size, and prints one
 * line a row for the program that collects them:
 *
 *   cpu,WHAT THE CPU IS MADE OF
 *   row,WORK,PEER,SIZE,MEDIAN,MIN,MAX
 *   figure,WORK,PEER,SIZE,METRIC,VALUE
 *   leftout,PEER,REASON
 *   end,NUMBER OF ROWS
 *
 * Values are guest instructions with --icount, else nanoseconds, per work done
 * (a message, a round trip, a batch).
 */
#include <cpuid.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

extern const struct peer peer_paged, peer_uffd, peer_file;
extern const struct peer peer_mbuf, peer_mbuf_ioctl, peer_channel, peer_ring,
	peer_ring_loan, peer_pipe, peer_eventfd, peer_epoll, peer_seqpacket,
	peer_mqueue, peer_futex, peer_binder, peer_memcpy, peer_kernel,
	peer_pipe_control, peer_caps, peer_caps_load, peer_caps_plain, peer_scm;

/* In the order in which they take turns. */
const struct peer *const peers[] = {
	&peer_mbuf,
	&peer_mbuf_ioctl,
	&peer_channel,
	&peer_ring,
	&peer_ring_loan,
	&peer_pipe,
	&peer_eventfd,
	&peer_epoll,
	&peer_seqpacket,
	&peer_mqueue,
	&peer_futex,
	&peer_binder,
	&peer_memcpy,
	&peer_caps,
	&peer_caps_load,
	&peer_caps_plain,
	&peer_scm,
	&peer_kernel,
	&peer_paged,
	&peer_uffd,
	&peer_file,
	&peer_pipe_control,
	NULL,
};

#define NR_PEERS	(sizeof(peers) / sizeof(peers[0]) - 1)

/*
 * Nothing here takes that long. Under -icount time stands still while nobody
 * computes, or jumps, so a run in which everybody sleeps ends at once.
 */
#define HUNG_AFTER	300

static bool opt_icount;
static unsigned int opt_runs = 25;
static unsigned int opt_divide = 1;
static const char *opt_sizes;
static const char *opt_works;
static const char *opt_peers;
static unsigned int opt_mark;

static const char *doing = "starting";

static __attribute__((noreturn, format(printf, 1, 2)))
void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "mbuf-bench: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int read_full(int fd, void *buf, size_t size)
{
	size_t done = 0;
	ssize_t n;

	do {
		n = read(fd, (char *)buf + done, size - done);
		if (n <= 0)
			return n ? -errno : -EPIPE;
		done += (size_t)n;
	} while (done < size);
	return 0;
}

/*
 * Under -icount shift=0 the time stamp counter is the number of instructions
 * the guest has executed. It is exact where the clocks are scaled.
 */
static uint64_t stamp(void)
{
	struct timespec now;

	if (opt_icount)
		return __builtin_ia32_rdtsc();
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Counts a loop of a known number of instructions. */
static void check_counter(void)
{
	const uint32_t turns = 100000;
	uint64_t best = UINT64_MAX, took;
	uint32_t n;
	int i;

	for (i = 0; i < 5; i++) {
		n = turns;
		took = stamp();
		__asm__ volatile("1: dec %0; jnz 1b" : "+r" (n) : : "cc");
		took = stamp() - took;
		if (took < best)
			best = took;
	}
	if (best < 2 * turns || best > 2 * turns + turns / 100)
		die("%u instructions were counted as %llu: run under qemu -icount shift=0",
		    2 * turns, (unsigned long long)best);
}

/* An emulator's nanoseconds are not a machine's, so tell which it is. */
static void print_cpu(void)
{
	unsigned int eax, ebx, ecx, edx;
	char name[13] = "none";

	if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & 1U << 31) {
		__cpuid(0x40000000, eax, ebx, ecx, edx);
		memcpy(name, &ebx, 4);
		memcpy(name + 4, &ecx, 4);
		memcpy(name + 8, &edx, 4);
		name[12] = '\0';
	}
	printf("cpu,%s\n", name);
}

static void on_alarm(int sig)
{
	static const char text[] = "mbuf-bench: hung while ";

	(void)sig;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
	    write(STDERR_FILENO, doing, strlen(doing)) < 0 ||
	    write(STDERR_FILENO, "\n", 1) < 0)
		_exit(2);
	_exit(1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static bool in_list(const char *list, const char *name)
{
	size_t len = strlen(name);
	const char *at = list;

	if (!list)
		return true;
	while (at) {
		if (!strncmp(at, name, len) && (!at[len] || at[len] == ','))
			return true;
		at = strchr(at, ',');
		if (at)
			at++;
	}
	return false;
}

/* A name that is misspelt would only be missing in the results. */
static void check_list(const char *list, const char *what,
		       const char *(*name_of)(unsigned int i))
{
	const char *at = list, *name;
	unsigned int i;
	size_t len;

	while (at) {
		len = strcspn(at, ",");
		for (i = 0; (name = name_of(i)); i++)
			if (strlen(name) == len && !strncmp(name, at, len))
				break;
		if (!name)
			die("there is no %s '%.*s'", what, (int)len, at);
		at = at[len] ? at + len + 1 : NULL;
	}
}

static const char *work_name(unsigned int i)
{
	return i < NR_WORKS ? works[i].name : NULL;
}

static const char *peer_name(unsigned int i)
{
	return peers[i] ? peers[i]->name : NULL;
}

static const struct ops *ops_of(const struct work *work,
				const struct peer *peer)
{
	unsigned int id = (unsigned int)(work - works);

	if (peer->own[id])
		return peer->own[id];
	if (peer->chan && !(peer->not & 1U << id))
		return work->chan;
	return NULL;
}

static char *buffer(size_t size)
{
	/* Its own pages, all present, and none shared after fork() for long. */
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		die("no memory for a buffer of %zu bytes", size);
	return p;
}

static const char *row_name(const struct row *row)
{
	static char name[128];

	snprintf(name, sizeof(name), "%s of %zu bytes by %s", row->work->name,
		 row->size, row->peer->name);
	return name;
}

static void start(struct row *row)
{
	size_t bytes = row->size * row->work->nr;
	int ret;

	row->out = buffer(bytes);
	row->in = buffer(bytes);
	row->got = row->in;
	row->samples = calloc(opt_runs, sizeof(*row->samples));
	if (!row->samples)
		die("no memory for %u samples", opt_runs);
	doing = row_name(row);
	ret = row->ops->setup(row);
	if (ret)
		die("%s: cannot be set up: %s", row_name(row), strerror(-ret));
	if (!row->ops->serve)
		return;
	row->partner = fork();
	if (row->partner < 0)
		die("%s: fork: %s", row_name(row), strerror(errno));
	if (!row->partner) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ret = row->ops->serve(row);
		fprintf(stderr, "mbuf-bench: %s: the partner: %s\n",
			row_name(row), strerror(-ret));
		_exit(1);
	}
}

static void stop(struct row *row)
{
	size_t bytes = row->size * row->work->nr;

	if (row->partner > 0) {
		kill(row->partner, SIGKILL);
		waitpid(row->partner, NULL, 0);
	}
	row->ops->teardown(row);
	munmap(row->out, bytes);
	munmap(row->in, bytes);
	free(row->samples);
}

static void run(struct row *row, unsigned int iters)
{
	int ret = row->ops->run(row, iters);

	if (ret)
		die("%s: %s", row_name(row), strerror(-ret));
}

/* Does it do what is going to be measured? */
static void verify(struct row *row)
{
	size_t bytes = row->size * row->work->nr, i;
	static unsigned int seed;
	unsigned int x = ++seed;
	int ret;

	for (i = 0; i < bytes; i++) {
		x = x * 1103515245 + 12345;
		row->out[i] = (char)(x >> 16 & 0x7f);
	}
	memset(row->in, 0xff, bytes);
	run(row, 1);
	if (row->ops->fetch) {
		ret = row->ops->fetch(row);
		if (ret)
			die("%s: what was sent cannot be had: %s",
			    row_name(row), strerror(-ret));
	}
	if (!row->ops->no_data && memcmp(row->got, row->out, bytes))
		die("%s: what was received is not what was sent",
		    row_name(row));
}

/*
 * Marks for a profiler that looks at what the emulator executes: instructions
 * without effect that no compiler uses.
 */
static inline void mark_start(void)
{
	__asm__ volatile("xchg %%bx, %%bx" : : : "memory");
}

static inline void mark_end(void)
{
	__asm__ volatile("xchg %%bp, %%bp" : : : "memory");
}

static void marked(struct row *row)
{
	unsigned int n;

	run(row, opt_mark);	/* warm */
	for (n = 0; n < opt_runs; n++) {
		mark_start();
		run(row, opt_mark);
		mark_end();
	}
}

void figure(const struct row *row, size_t size, const char *metric,
	    double value)
{
	printf("figure,%s,%s,%zu,%s,%.1f\n", row->work->name, row->peer->name,
	       size, metric, value);
}

static void figures(struct row *row)
{
	int ret;

	doing = row_name(row);
	ret = row->ops->figures(row, opt_divide);
	if (ret)
		die("%s: figures: %s", row_name(row), strerror(-ret));
}

static unsigned int measure(const struct work *work, size_t size,
			    unsigned int iters, bool smallest, const bool *use)
{
	struct row rows[NR_PEERS] = { 0 };
	unsigned int nr = 0, i, n;
	uint64_t before, took;
	struct row *row;
	size_t only;

	for (i = 0; peers[i]; i++) {
		row = &rows[nr];
		row->work = work;
		row->peer = peers[i];
		row->ops = ops_of(work, peers[i]);
		only = work->things ? 0 : peers[i]->size;
		row->size = only ? only : size;
		if (!use[i] || !row->ops || (only && !smallest))
			continue;
		start(row);
		nr++;
	}
	/* What is left of the last work is gone before this one begins. */
	for (i = 0; i < nr; i++) {
		row = &rows[i];
		doing = row_name(row);
		verify(row);
		if (opt_mark)
			marked(row);
		else
			run(row, iters);
	}
	for (n = 0; !opt_mark && n < opt_runs; n++) {
		for (i = 0; i < nr; i++) {
			row = &rows[i];
			doing = row_name(row);
			before = stamp();
			run(row, iters);
			took = stamp() - before;
			row->samples[n] = (double)took / iters;
		}
	}
	for (i = 0; i < nr; i++) {
		row = &rows[i];
		verify(row);
		if (!opt_mark) {
			qsort(row->samples, opt_runs, sizeof(double), compare);
			printf("row,%s,%s,%zu,%.1f,%.1f,%.1f\n", work->name,
			       row->peer->name, row->size,
			       row->samples[opt_runs / 2], row->samples[0],
			       row->samples[opt_runs - 1]);
			if (row->ops->figures)
				figures(row);
		}
		stop(row);
	}
	return nr;
}

static unsigned int number(const char *text, const char *option)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!*text || *end || !n || n > 100000000)
		die("--%s: '%s' is not a number above 0", option, text);
	return (unsigned int)n;
}

static void usage(void)
{
	printf("usage: mbuf-bench [options]\n"
	       "  --icount          count instructions (qemu -icount shift=0)\n"
	       "  --runs N          measurements a row, the median counts (%u)\n"
	       "  --divide N        do each work N times less often (%u)\n"
	       "  --sizes N,N       only these sizes of message\n"
	       "  --works A,B       only these works\n"
	       "  --peers A,B       only these peers\n"
	       "  --mark N          do each work N times between two marks, for\n"
	       "                    a profiler, as often as --runs says, and\n"
	       "                    measure nothing\n",
	       opt_runs, opt_divide);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "icount", no_argument, NULL, 'i' },
		{ "runs", required_argument, NULL, 'r' },
		{ "divide", required_argument, NULL, 'd' },
		{ "sizes", required_argument, NULL, 's' },
		{ "works", required_argument, NULL, 'w' },
		{ "peers", required_argument, NULL, 'p' },
		{ "mark", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			opt_icount = true;
			break;
		case 'r':
			opt_runs = number(optarg, "runs");
			break;
		case 'd':
			opt_divide = number(optarg, "divide");
			break;
		case 's':
			opt_sizes = optarg;
			break;
		case 'w':
			opt_works = optarg;
			break;
		case 'p':
			opt_peers = optarg;
			break;
		case 'm':
			opt_mark = number(optarg, "mark");
			break;
		case 'h':
			usage();
			exit(0);
		default:
			exit(2);
		}
	}
	if (optind < argc)
		die("'%s' is no option (see --help)", argv[optind]);
	check_list(opt_works, "work", work_name);
	check_list(opt_peers, "peer", peer_name);
}

int main(int argc, char **argv)
{
	bool use[NR_PEERS] = { 0 };
	unsigned int i, w, s, iters, nr = 0;
	const char *why;
	char size[32];

	parse(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* A peer's end that is closed is an error of the row, not a death. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, on_alarm);
	alarm(HUNG_AFTER);
	if (opt_icount)
		check_counter();
	print_cpu();

	for (i = 0; peers[i]; i++) {
		if (!in_list(opt_peers, peers[i]->name))
			continue;
		why = peers[i]->unavailable ? peers[i]->unavailable() : NULL;
		if (why && !peers[i]->optional)
			die("%s: %s", peers[i]->name, why);
		if (why)
			printf("leftout,%s,%s\n", peers[i]->name, why);
		else
			use[i] = true;
	}
	for (w = 0; w < NR_WORKS; w++) {
		if (!in_list(opt_works, works[w].name))
			continue;
		for (s = 0; works[w].sizes[s].size; s++) {
			snprintf(size, sizeof(size), "%zu",
				 works[w].sizes[s].size);
			if (!in_list(opt_sizes, size))
				continue;
			iters = works[w].sizes[s].iters / opt_divide;
			nr += measure(&works[w], works[w].sizes[s].size,
				      iters ? iters : 1, s == 0, use);
		}
	}
	if (!nr)
		die("none of the peers does any of the works asked for");
	printf("end,%u\n", nr);
	return 0;
}
