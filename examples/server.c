// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A server that many clients connect to by name: a thread for each, and one
 * system call for each request, which delivers the last reply as well. It says
 * when it is ready, and runs until it is killed.
 */
#include <ctype.h>
#include <err.h>
#include <pthread.h>
#include <unistd.h>

#include "example.h"
#include "server.h"

static void *serve(void *arg)
{
	struct mbuf_exchange x = { 0 };
	int client = (int)(intptr_t)arg, i;

	/* Until the client goes, for whatever reason. */
	while (mbuf_serve(client, &x, MBUF_FOREVER) >= 0)
		for (i = 0; i < MBUF_SLOT_SIZE; i++)
			x.data[i] = (unsigned char)toupper(x.data[i]);
	close(client);
	return NULL;
}

int main(void)
{
	int session = example_open(), listener, client;
	pthread_t thread;

	if (session < 0)
		return 1;
	listener = mbuf_listen(session, SERVER_NAME, strlen(SERVER_NAME), 0600, 16);
	if (listener < 0)
		errx(1, "cannot listen: %s", mbuf_strerror(listener));
	example_ready("server");
	while ((client = mbuf_accept(listener, NULL, MBUF_FOREVER)) >= 0) {
		if (!pthread_create(&thread, NULL, serve, (void *)(intptr_t)client))
			pthread_detach(thread);
		else
			close(client);
	}
	errx(1, "cannot accept: %s", mbuf_strerror(client));
}
