// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Many clients of echo.c, all in one process: each sends messages, all of them
 * in turn, and looks whether they come back as they were.
 *
 * usage: echo-clients [CLIENTS [ROUNDS]]		(1000, 10)
 *
 * Exit status: 0 if all came back, 1 if not, 2 for wrong usage.
 */
#include <err.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include <mbuf_stream.h>

#include "echo.h"
#include "example.h"

#define PATIENCE_NS	60000000000ull

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A message of some length that no other client sends, nor this one again. */
static size_t message(unsigned char *buf, unsigned int client,
		      unsigned int round)
{
	uint32_t x = client * 2654435761u + round * 40503u + 1;
	size_t len = x % (ECHO_MAX + 1), i;

	for (i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		buf[i] = (unsigned char)(x >> 24);
	}
	return len;
}

static unsigned int number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end || !n || n > 1000000)
		errx(2, "'%s' is no number from 1 to 1000000", text);
	return (unsigned int)n;
}

int main(int argc, char **argv)
{
	/* Rings of one page will do. */
	static const struct mbuf_stream_options small = {
		.size = 4096,
		.peer_size = 4096,
	};
	unsigned char want[ECHO_MAX], got[ECHO_MAX];
	unsigned int clients = 1000, rounds = 10, i, j;
	struct mbuf_stream **s;
	struct rlimit files;
	double begin, connected, end;
	unsigned long long bytes = 0;
	int session, ret;
	ssize_t len;

	if (argc > 3) {
		fprintf(stderr, "usage: echo-clients [CLIENTS [ROUNDS]]\n");
		return 2;
	}
	if (argc > 1)
		clients = number(argv[1]);
	if (argc > 2)
		rounds = number(argv[2]);
	session = example_open();
	if (session < 0)
		return 1;
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	s = calloc(clients, sizeof(*s));
	if (!s)
		err(1, "cannot have %u clients", clients);

	begin = now();
	for (i = 0; i < clients; i++) {
		ret = mbuf_stream_connect(session, ECHO_NAME, strlen(ECHO_NAME),
					  &small, mbuf_deadline(PATIENCE_NS),
					  &s[i]);
		if (ret)
			errx(1, "client %u cannot connect: %s", i,
			     mbuf_strerror(ret));
	}
	connected = now();
	for (j = 0; j < rounds; j++) {
		for (i = 0; i < clients; i++) {
			ret = mbuf_stream_send(s[i], want, message(want, i, j),
					       mbuf_deadline(PATIENCE_NS));
			if (ret)
				errx(1, "client %u cannot send: %s", i,
				     mbuf_strerror(ret));
		}
		for (i = 0; i < clients; i++) {
			len = mbuf_stream_recv(s[i], got, sizeof(got),
					       mbuf_deadline(PATIENCE_NS));
			if (len < 0)
				errx(1, "client %u: no reply: %s", i,
				     mbuf_strerror((int)len));
			if ((size_t)len != message(want, i, j) ||
			    memcmp(want, got, (size_t)len))
				errx(1, "client %u: not what it has sent", i);
			bytes += (size_t)len;
		}
	}
	end = now();
	for (i = 0; i < clients; i++)
		mbuf_stream_close(s[i]);
	free(s);
	printf("%u clients connected in %.2f s; %u messages, %llu bytes, came back in %.2f s\n",
	       clients, connected - begin, clients * rounds, bytes,
	       end - connected);
	/* A result that could not be written is none. */
	if (fflush(stdout) || ferror(stdout))
		err(1, "cannot write the result");
	return 0;
}
