// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Producer and consumer: one thread makes integers, another prints them.
 *
 * The queue is shorter than the sequence, so that each waits for the other in
 * turn: the producer while the queue is full, the consumer while it is empty.
 * There is no lock, no condition and no count to keep: the queue is all that
 * the two threads share. That nothing more will come is said by closing the
 * send right.
 *
 * usage: integers [N]
 *
 * Exit status: 0 if the N integers (default 20) came out in order, 1 if not or
 * if something failed, 2 for wrong usage.
 */
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "example.h"

#define SLOTS	4

struct producer {
	int queue;
	int count;
	int err;
};

struct consumer {
	int queue;
	int received;
	int wrong;
	int err;
};

static void *produce(void *arg)
{
	struct producer *me = arg;
	int i;

	for (i = 0; i < me->count && me->err >= 0; i++)
		me->err = mbuf_send(me->queue, &i, sizeof(i), MBUF_FOREVER);
	close(me->queue);
	return NULL;
}

static void *consume(void *arg)
{
	struct consumer *me = arg;
	ssize_t len;
	int i;

	while ((len = mbuf_recv(me->queue, &i, sizeof(i), MBUF_FOREVER)) >= 0) {
		if (len != sizeof(i) || i != me->received) {
			fprintf(stderr, "integers: expected %d, received %d (%zd bytes)\n",
				me->received, i, len);
			me->wrong++;
		}
		me->received++;
		printf("consumer: %d\n", i);
	}
	if (len != -EPIPE)
		me->err = (int)len;
	return NULL;
}

static int failed(const char *what, int err)
{
	fprintf(stderr, "integers: %s: %s\n", what, mbuf_strerror(err));
	return 1;
}

int main(int argc, char **argv)
{
	struct mbuf_queue_info info;
	struct consumer consumer = { 0 };
	struct producer producer = { .count = 20 };
	pthread_t threads[2];
	int session, err;

	if (argc > 1) {
		char *end;
		long n;

		errno = 0;
		n = strtol(argv[1], &end, 10);
		if (argc > 2 || end == argv[1] || *end || errno || n < 0 ||
		    n > INT_MAX) {
			fprintf(stderr, "usage: integers [N], with N from 0 to %d\n",
				INT_MAX);
			return 2;
		}
		producer.count = (int)n;
	}

	session = example_open();
	if (session < 0)
		return 1;
	err = mbuf_queue_create(session, SLOTS, sizeof(int), 0,
				&consumer.queue, &producer.queue);
	if (err < 0)
		return failed("cannot make a queue", err);
	close(session);

	err = pthread_create(&threads[0], NULL, consume, &consumer);
	if (!err)
		err = pthread_create(&threads[1], NULL, produce, &producer);
	if (err) {
		fprintf(stderr, "integers: cannot make a thread: %s\n",
			strerror(err));
		return 1;
	}
	pthread_join(threads[1], NULL);
	pthread_join(threads[0], NULL);

	if (producer.err < 0)
		return failed("send", producer.err);
	if (consumer.err < 0)
		return failed("receive", consumer.err);
	err = mbuf_queue_info(consumer.queue, &info);
	if (err < 0)
		return failed("cannot ask about the queue", err);

	printf("%d integers, %s; the producer had to wait %llu times, the consumer %llu times\n",
	       consumer.received,
	       consumer.wrong || consumer.received != producer.count ?
	       "NOT as they were sent" : "in order",
	       (unsigned long long)info.send_blocked,
	       (unsigned long long)info.recv_blocked);
	/* A result that could not be written is none. */
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "integers: cannot write the result: %s\n",
			strerror(errno));
		return 1;
	}
	return consumer.wrong || consumer.received != producer.count;
}
