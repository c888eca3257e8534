// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl bench: what a message costs here, roughly. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <json-c/json.h>
#include <mbuf.h>
#include "ctl.h"

#define ROUNDS	20000

static void said(const char *what, uint64_t ns, long rounds)
{
	struct json_object *json;

	if (!opt.json) {
		printf("%-40s %8llu ns\n", what,
		       (unsigned long long)(ns / (uint64_t)rounds));
		return;
	}
	json = json_object_new_object();
	json_object_object_add(json, "what", json_object_new_string(what));
	json_number(json, "ns", ns / (uint64_t)rounds);
	json_line(json);
}

static int failed(int err)
{
	complain("%s", mbuf_strerror(err));
	return EXIT_FAILED;
}

static int bench_queue(int session, long rounds)
{
	int rfd, sfd, ret;
	char data[32] = "";
	uint64_t start;
	long i;

	ret = mbuf_queue_create(session, 4, sizeof(data), 0, &rfd, &sfd);
	if (ret)
		return failed(ret);
	start = now();
	for (i = 0; i < rounds; i++) {
		mbuf_send(sfd, data, sizeof(data), MBUF_NOW);
		mbuf_recv(rfd, data, sizeof(data), MBUF_NOW);
	}
	said("send and receive 32 bytes, one process", now() - start, rounds);
	close(rfd);
	close(sfd);
	return EXIT_OK;
}

static int bench_channel(int session, long rounds)
{
	struct mbuf_exchange x = {};
	int end[2], ret, status;
	uint64_t start;
	pid_t pid;
	long i;

	ret = mbuf_channel_create(session, 0, end);
	if (ret)
		return failed(ret);
	pid = fork();
	if (pid < 0) {
		complain("cannot fork");
		return EXIT_FAILED;
	}
	if (!pid) {
		close(end[0]);
		while (mbuf_serve(end[1], &x, MBUF_FOREVER) >= 0)
			;
		_exit(0);
	}
	close(end[1]);
	start = now();
	for (i = 0; i < rounds && !ret; i++)
		ret = mbuf_call(end[0], &x, MBUF_FOREVER);
	start = now() - start;
	close(end[0]);
	waitpid(pid, &status, 0);
	if (ret)
		return failed(ret);
	said("request and reply, two processes", start, rounds);
	return EXIT_OK;
}

int cmd_bench(int argc, char **argv)
{
	long rounds = opt.count ? opt.count : ROUNDS;
	int session, ret;

	(void)argv;
	if (argc) {
		complain("bench takes no arguments; -n says how many rounds");
		return EXIT_USAGE;
	}
	session = mbuf_open();
	if (session < 0) {
		complain("cannot open /dev/mbuf: %s", mbuf_strerror(session));
		return EXIT_NO_MODULE;
	}
	ret = bench_queue(session, rounds);
	if (!ret)
		ret = bench_channel(session, rounds);
	close(session);
	return ret;
}
