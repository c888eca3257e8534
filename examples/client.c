// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The client of server.c: asks for each of its arguments, and prints the
 * replies.
 *
 * usage: client TEXT...
 *
 * Exit status: 0 if there was a reply to each, 1 if not, 2 for wrong usage.
 */
#include <err.h>

#include "example.h"
#include "server.h"

#define PATIENCE_NS	10000000000ull

int main(int argc, char **argv)
{
	struct mbuf_exchange x = { 0 };
	int session, server, i, ret;

	if (argc < 2) {
		fprintf(stderr, "usage: client TEXT...\n");
		return 2;
	}
	session = example_open();
	if (session < 0)
		return 1;
	server = mbuf_connect(session, SERVER_NAME, strlen(SERVER_NAME),
			      mbuf_deadline(PATIENCE_NS));
	if (server < 0)
		errx(1, "cannot connect to a server: %s",
		     mbuf_strerror(server));

	for (i = 1; i < argc; i++) {
		uint64_t deadline = mbuf_deadline(PATIENCE_NS);
		size_t len = strlen(argv[i]);

		if (len >= MBUF_SLOT_SIZE)
			errx(2, "'%s' is longer than %d bytes", argv[i],
			     MBUF_SLOT_SIZE - 1);
		memset(x.data, 0, sizeof(x.data));
		memcpy(x.data, argv[i], len);
		/* Interrupted or not, the request is sent once: x knows. */
		do
			ret = mbuf_call(server, &x, deadline);
		while (ret == -EINTR);
		if (ret < 0)
			errx(1, "no reply: %s", mbuf_strerror(ret));
		printf("%.*s\n", MBUF_SLOT_SIZE - 1, (const char *)x.data);
	}
	/* A result that could not be written is none. */
	if (fflush(stdout) || ferror(stdout))
		err(1, "cannot write the result");
	return 0;
}
