// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Bootstrapping: a queue has no name, so how does it get from the process that
 * makes it to the one that needs it?
 *
 * The consumer listens under a name and sleeps until a producer, of which it
 * knows nothing, connects. Over the channel it gives the producer the right to
 * send to a queue of its own, on which it sleeps. The producer makes the queue
 * that this is about, and moves its receive right into a message: it has it no
 * more, the consumer is woken at once, and from there on sleeps on that queue.
 *
 * usage: bootstrap consumer
 *        bootstrap producer [N]
 *
 * Start the consumer first, in another terminal. Exit status: 0 if all went
 * well, for the consumer also that the integers were in order; 1 if not, 2 for
 * wrong usage.
 */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "example.h"

#define NAME		"mbuf example: bootstrap"
#define SLOTS		4
#define PATIENCE_NS	10000000000ull

static int failed(const char *what, int err)
{
	fprintf(stderr, "bootstrap: %s: %s\n", what, mbuf_strerror(err));
	return 1;
}

/* A queue of which the receive right is a handle, so that it can be moved. */
static int make_queue(int session, uint64_t *recv, int *send)
{
	struct mbuf_queue_create create = {
		.slots = SLOTS,
		.max_msg = sizeof(int),
		.flags = MBUF_QUEUE_HANDLE,
	};
	int ret = mbuf_queue_create_args(session, &create);

	if (ret >= 0) {
		*recv = create.recv.handle;
		*send = create.send.fd;
	}
	return ret;
}

/* A queue on which others can be received. */
static int make_letterbox(int session, int *recv, int *send)
{
	struct mbuf_queue_create create = {
		.slots = 1,
		.max_msg = 16,
		.flags = MBUF_QUEUE_CAPS,
		.max_caps = 1,
	};
	int ret = mbuf_queue_create_args(session, &create);

	if (ret >= 0) {
		*recv = create.recv.fd;
		*send = create.send.fd;
	}
	return ret;
}

/* ---- the two sides ------------------------------------------------------------ */

/* Sleeps until somebody sends a queue, and returns its receive right. */
static int receive_queue(int letterbox)
{
	struct mbuf_cap cap;
	char room[16];
	struct mbuf_msg msg = { .buf = (uintptr_t)room, .len = sizeof(room) };
	unsigned int nr = 1;
	int ret = mbuf_recv_caps(letterbox, &msg, &cap, &nr, 0, -1,
				 MBUF_FOREVER);

	if (ret < 0)
		return ret;
	return nr == 1 && !cap.error ? cap.ref.fd : -EPROTO;
}

static int consume(int session)
{
	struct mbuf_peer producer;
	int listener, end, queue, letterbox, send, i, next = 0;
	ssize_t len;

	listener = mbuf_listen(session, NAME, strlen(NAME), 0600, 1);
	if (listener < 0)
		return failed("cannot listen", listener);
	i = make_letterbox(session, &letterbox, &send);
	if (i < 0)
		return failed("cannot make a queue", i);
	printf("consumer: waiting for a producer\n");
	fflush(stdout);

	end = mbuf_accept(listener, &producer, MBUF_FOREVER);
	if (end < 0)
		return failed("cannot accept", end);
	close(listener);
	i = mbuf_give(end, send);
	if (i >= 0)
		i = mbuf_channel_signal(end);
	if (i < 0)
		return failed("the producer has left", i);
	/* The producer has the only one now: if it dies, this ends. */
	close(send);

	queue = receive_queue(letterbox);
	if (queue < 0)
		return failed("the producer has sent no queue", queue);
	close(letterbox);
	close(end);
	printf("consumer: woken by process %u of user %u, and has the queue\n",
	       producer.pid, producer.uid);

	while ((len = mbuf_recv(queue, &i, sizeof(i), MBUF_FOREVER)) >= 0) {
		printf("consumer: %d\n", i);
		if (len != sizeof(i) || i != next++) {
			fprintf(stderr, "bootstrap: that is not in order\n");
			return 1;
		}
	}
	if (len != -EPIPE)
		return failed("receive", (int)len);
	printf("consumer: %d integers, in order\n", next);
	return 0;
}

/* Moves the receive right: this process has it no more then. */
static int send_queue(int session, int letterbox, uint64_t recv)
{
	const struct mbuf_cap cap = mbuf_cap_move(recv);
	struct mbuf_msg msg = { .buf = (uintptr_t)"a queue", .len = 7 };

	return mbuf_send_caps(letterbox, &msg, &cap, 1, session, MBUF_FOREVER);
}

static int produce(int session, int count)
{
	int end, letterbox, out, i, err;
	uint64_t recv;

	end = mbuf_connect(session, NAME, strlen(NAME),
			   mbuf_deadline(PATIENCE_NS));
	if (end == -ECONNREFUSED) {
		fprintf(stderr, "bootstrap: nobody listens: start a consumer first\n");
		return 1;
	}
	if (end < 0)
		return failed("cannot connect", end);
	err = mbuf_channel_wait(end, NULL, NULL, mbuf_deadline(PATIENCE_NS));
	letterbox = err < 0 ? err : mbuf_given(end);
	if (letterbox < 0)
		return failed("the consumer has not said where to", letterbox);

	err = make_queue(session, &recv, &out);
	if (err < 0)
		return failed("cannot make a queue", err);
	err = send_queue(session, letterbox, recv);
	if (err < 0)
		return failed("the consumer has left", err);
	close(letterbox);

	for (i = 0; i < count; i++) {
		err = mbuf_send(out, &i, sizeof(i), MBUF_FOREVER);
		if (err < 0)
			return failed("send", err);
	}
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: bootstrap consumer | producer [N]\n");
	return 2;
}

int main(int argc, char **argv)
{
	long count = 20;
	int session, status;
	char *end;

	if (argc == 3 && !strcmp(argv[1], "producer")) {
		errno = 0;
		count = strtol(argv[2], &end, 10);
		if (end == argv[2] || *end || errno || count < 0 ||
		    count > INT_MAX)
			return usage();
	} else if (argc != 2 || (strcmp(argv[1], "consumer") &&
				 strcmp(argv[1], "producer"))) {
		return usage();
	}
	session = example_open();
	if (session < 0)
		return 1;
	if (!strcmp(argv[1], "consumer"))
		status = consume(session);
	else
		status = produce(session, (int)count);
	/* A result that could not be written is none. */
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "bootstrap: cannot write the result: %s\n",
			strerror(errno));
		return 1;
	}
	return status;
}
