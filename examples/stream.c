// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stream a file from one process to another through a queue.
 *
 * usage: stream [-s BYTES] [-n SLOTS] FILE
 *
 *	-s BYTES	bytes in a message (default 65536)
 *	-n SLOTS	messages that the queue holds (default 16)
 *
 * A producer process reads FILE and sends it, a consumer process receives it;
 * each holds only its own right to the queue. Both compute SHA-256 of what
 * they read or received, and this process compares the two at the end.
 * Progress goes to stderr: one line that is kept up to date on a terminal,
 * otherwise a line for every tenth of the file and side.
 *
 * The defaults: a message of 64 KiB makes the fixed costs of a message small
 * beside those of copying and hashing it, and 16 slots let either side be
 * away for a while without stopping the other, for 1 MiB of memory at most.
 *
 * Exit status: 0 if all of the file arrived unchanged, 1 if not or if
 * something failed, 2 for wrong usage.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "example.h"
#include "stream.h"

#define DEFAULT_BYTES	65536
#define DEFAULT_SLOTS	16
#define REPORT_SLOTS	64
#define NSEC_PER_SEC	1000000000ull

static const char *const side_name[STREAM_SIDES] = {
	[STREAM_PRODUCER] = "producer",
	[STREAM_CONSUMER] = "consumer",
};

/* ---- reports, in the two children ---------------------------------------- */

bool stream_progress(const struct stream *s,
		     const struct stream_report *report, uint64_t *next)
{
	if (report->bytes < *next)
		return true;
	*next = report->bytes + s->step;
	/* If the parent is behind it can do without this one. */
	return mbuf_send(s->reports, report, sizeof(*report), MBUF_NOW) !=
	       -EPIPE;
}

/* To be waited for; in vain only if the parent is gone. */
static int last_report(const struct stream *s, struct stream_report *report,
		       enum stream_state state)
{
	report->state = state;
	return mbuf_send(s->reports, report, sizeof(*report), MBUF_FOREVER) < 0 ||
	       state != STREAM_DONE;
}

int stream_done(const struct stream *s, struct stream_report *report,
		struct sha256_ctx *hash)
{
#if NETTLE_VERSION_MAJOR >= 4
	sha256_digest(hash, report->digest);
#else
	sha256_digest(hash, sizeof(report->digest), report->digest);
#endif
	return last_report(s, report, STREAM_DONE);
}

int stream_failed(const struct stream *s, struct stream_report *report,
		  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(report->error, sizeof(report->error), format, args);
	va_end(args);
	return last_report(s, report, STREAM_FAILED);
}

/* ---- progress, in the parent ---------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static unsigned int percent(uint64_t bytes, uint64_t total)
{
	if (bytes >= total)
		return 100;
	return (unsigned int)((double)bytes * 100 / (double)total);
}

struct progress {
	bool terminal;
	bool line_open;
	uint64_t total;
	uint64_t start;
	uint64_t next_line;
	unsigned int tenth[STREAM_SIDES];
};

static void close_line(struct progress *p)
{
	if (p->line_open)
		fputc('\n', stderr);
	p->line_open = false;
}

static void show_line(struct progress *p, const struct stream_report *last)
{
	double seconds = (double)(now_ns() - p->start) / NSEC_PER_SEC;
	int side;

	fputc('\r', stderr);
	for (side = 0; side < STREAM_SIDES; side++)
		fprintf(stderr, "%s %3u %% %9.1f MB   ", side_name[side],
			percent(last[side].bytes, p->total),
			(double)last[side].bytes / 1e6);
	if (seconds > 0)
		fprintf(stderr, "%8.1f MB/s",
			(double)last[STREAM_CONSUMER].bytes / 1e6 / seconds);
	fflush(stderr);
	p->line_open = true;
	p->next_line = now_ns() + NSEC_PER_SEC;
}

static void show_progress(struct progress *p, const struct stream_report *last,
			  enum stream_side side)
{
	unsigned int tenth;

	if (last[side].state == STREAM_FAILED) {
		close_line(p);
		fprintf(stderr, "%s: %s\n", side_name[side], last[side].error);
		return;
	}
	if (p->terminal) {
		if (now_ns() >= p->next_line)
			show_line(p, last);
		return;
	}
	tenth = percent(last[side].bytes, p->total) / 10;
	if (tenth > p->tenth[side]) {
		p->tenth[side] = tenth;
		fprintf(stderr, "%s: %3u %%  %.1f MB\n", side_name[side],
			tenth * 10, (double)last[side].bytes / 1e6);
	}
}

/* Receive reports until both children have closed their ends, or are dead. */
static int follow(int reports, struct progress *p, struct stream_report *last)
{
	for (;;) {
		struct stream_report report;
		ssize_t len = mbuf_recv(reports, &report, sizeof(report),
					mbuf_deadline(NSEC_PER_SEC));

		if (len == sizeof(report) && report.side < STREAM_SIDES) {
			last[report.side] = report;
			show_progress(p, last, report.side);
		} else if (len == -ETIMEDOUT) {
			/* So that one sees that it stands still, too. */
			if (p->terminal)
				show_line(p, last);
		} else if (len != -EINTR) {
			if (p->terminal)
				show_line(p, last);
			close_line(p);
			return len == -EPIPE ? 0 : (int)len;
		}
	}
}

/* ---- the two children ------------------------------------------------------ */

struct child {
	pid_t pid;
	enum stream_side side;
};

static int reap(const struct child *c)
{
	int status;

	while (waitpid(c->pid, &status, 0) < 0) {
		if (errno != EINTR) {
			fprintf(stderr, "stream: cannot wait for the %s: %s\n",
				side_name[c->side], strerror(errno));
			return 1;
		}
	}
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "stream: the %s was killed by signal %d (%s)\n",
			side_name[c->side], WTERMSIG(status),
			strsignal(WTERMSIG(status)));
		return 1;
	}
	/* It has reported why. */
	return WEXITSTATUS(status) != 0;
}

static void print_digest(const char *who, const uint8_t *digest)
{
	unsigned int i;

	printf("%s: SHA-256 ", who);
	for (i = 0; i < SHA256_DIGEST_SIZE; i++)
		printf("%02x", digest[i]);
	putchar('\n');
}

static int compare(const struct stream_report *last, uint64_t total,
		   double seconds)
{
	const struct stream_report *out = &last[STREAM_PRODUCER];
	const struct stream_report *in = &last[STREAM_CONSUMER];
	bool same;

	print_digest("producer", out->digest);
	print_digest("consumer", in->digest);
	printf("%llu messages, %llu bytes in %.2f s: %.1f MB/s (reading and hashing included)\n",
	       (unsigned long long)in->messages, (unsigned long long)in->bytes,
	       seconds, seconds > 0 ? (double)in->bytes / 1e6 / seconds : 0.0);
	printf("the producer had to wait %llu times, the consumer %llu times\n",
	       (unsigned long long)out->blocked,
	       (unsigned long long)in->blocked);

	same = out->messages == in->messages && out->bytes == in->bytes &&
	       !memcmp(out->digest, in->digest, sizeof(out->digest));
	if (!same) {
		printf("DIFFERENT: %llu messages, %llu bytes were sent\n",
		       (unsigned long long)out->messages,
		       (unsigned long long)out->bytes);
		return 1;
	}
	if (out->bytes != total) {
		printf("INCOMPLETE: the file had %llu bytes at the start, and changed meanwhile\n",
		       (unsigned long long)total);
		return 1;
	}
	printf("identical\n");
	return 0;
}

/* ---- main -------------------------------------------------------------------- */

static int usage(void)
{
	fprintf(stderr, "usage: stream [-s BYTES] [-n SLOTS] FILE\n");
	return 2;
}

/* The value of an option from 1 to @max, or 0 after a line that says so. */
static uint32_t number(char option, const char *text, uint32_t max)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (end == text || *end || *text == '-' || errno || !n || n > max) {
		fprintf(stderr, "stream: -%c takes a number from 1 to %u, not '%s'\n",
			option, max, text);
		return 0;
	}
	return (uint32_t)n;
}

int main(int argc, char **argv)
{
	const char *bytes_text = NULL, *slots_text = NULL;
	uint32_t bytes = DEFAULT_BYTES, slots = DEFAULT_SLOTS;
	struct child child[STREAM_SIDES] = {
		{ .side = STREAM_PRODUCER }, { .side = STREAM_CONSUMER },
	};
	struct stream_report last[STREAM_SIDES] = {};
	struct progress progress = { 0 };
	struct stream stream;
	struct mbuf_query query;
	struct stat st;
	int session, file, in, out, reports, err, side, status = 0;
	double seconds;

	while ((err = getopt(argc, argv, "s:n:")) != -1) {
		switch (err) {
		case 's':
			bytes_text = optarg;
			break;
		case 'n':
			slots_text = optarg;
			break;
		default:
			return usage();
		}
	}
	if (optind + 1 != argc)
		return usage();

	file = open(argv[optind], O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &st) < 0) {
		fprintf(stderr, "stream: cannot open %s: %s\n", argv[optind],
			strerror(errno));
		return 1;
	}
	if (!S_ISREG(st.st_mode)) {
		fprintf(stderr, "stream: %s is not a regular file\n",
			argv[optind]);
		return 1;
	}

	session = example_open();
	if (session < 0)
		return 1;
	err = mbuf_query(session, &query);
	if (err < 0) {
		fprintf(stderr, "stream: cannot ask about the module: %s\n",
			mbuf_strerror(err));
		return 1;
	}
	if (bytes_text)
		bytes = number('s', bytes_text, query.msg_max);
	if (slots_text)
		slots = number('n', slots_text, query.slots_max);
	if (!bytes || !slots)
		return 2;
	err = mbuf_queue_create(session, slots, bytes, 0, &in, &out);
	if (err < 0) {
		fprintf(stderr, "stream: cannot make a queue of %u messages of %u bytes: %s\n",
			slots, bytes, mbuf_strerror(err));
		return 1;
	}
	err = mbuf_queue_create(session, REPORT_SLOTS,
				sizeof(struct stream_report), 0, &reports,
				&stream.reports);
	if (err < 0) {
		fprintf(stderr, "stream: cannot make a queue for reports: %s\n",
			mbuf_strerror(err));
		return 1;
	}
	close(session);

	progress.total = (uint64_t)st.st_size;
	progress.terminal = isatty(STDERR_FILENO);
	progress.start = now_ns();
	stream.step = progress.total / 100;
	if (stream.step > 16u << 20)
		stream.step = 16u << 20;

	for (side = 0; side < STREAM_SIDES; side++) {
		child[side].pid = fork();
		if (child[side].pid < 0) {
			fprintf(stderr, "stream: cannot fork: %s\n",
				strerror(errno));
			/* A producer alone ends when the queue is gone. */
			return 1;
		}
		if (child[side].pid)
			continue;
		/*
		 * Each keeps its own right only. A right that is left open
		 * would keep the other side waiting for who never comes.
		 */
		close(reports);
		if (side == STREAM_PRODUCER) {
			close(in);
			_exit(stream_produce(out, file, &stream));
		}
		close(out);
		close(file);
		_exit(stream_consume(in, &stream));
	}
	close(file);
	close(in);
	close(out);
	close(stream.reports);

	err = follow(reports, &progress, last);
	seconds = (double)(now_ns() - progress.start) / NSEC_PER_SEC;
	if (err < 0) {
		fprintf(stderr, "stream: cannot receive reports: %s\n",
			mbuf_strerror(err));
		status = 1;
	}
	close(reports);
	for (side = 0; side < STREAM_SIDES; side++)
		status |= reap(&child[side]);
	if (!status && (last[STREAM_PRODUCER].state != STREAM_DONE ||
			last[STREAM_CONSUMER].state != STREAM_DONE)) {
		fprintf(stderr, "stream: a side ended without its last report\n");
		status = 1;
	}
	if (!status)
		status = compare(last, progress.total, seconds);
	/* A result that could not be written is none. */
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "stream: cannot write the result: %s\n",
			strerror(errno));
		status = 1;
	}
	return status;
}
