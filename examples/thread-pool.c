// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A thread pool: closures are sealed, and left to the kernel to be handed to
 * workers, all of which receive from one queue.
 *
 * Who dispatches a closure never waits: a message object stands in line for it
 * when the queue is full. Whoever holds a sealed closure on its way can pass it
 * on and nothing else; only the workers have a key that opens it. In it is what
 * to do, and the right to send the result.
 *
 * usage: thread-pool [WORKERS [JOBS]]
 *
 * Sums up the squares of the first numbers, a piece for each job. Exit status: 0
 * if all is well, 1 if not, 2 for wrong usage.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "example.h"

#define WORKERS		4
#define JOBS		1000
#define WORKERS_MAX	64
#define JOBS_MAX	10000
#define SLOTS		8	/* of the queue: few, so that many stand in line */
#define PIECE		1000	/* numbers that a job sums up */

/* What is sealed. */
struct closure {
	uint64_t from;
	uint64_t to;
};

struct result {
	uint64_t sum;
};

struct pool {
	int session;
	int queue;		/* receive right, of closures */
	uint64_t open_key;	/* may unseal, and no more */
	unsigned long done[WORKERS_MAX];
};

struct worker {
	struct pool *pool;
	unsigned int nr;
	pthread_t thread;
};

static int failed(const char *what, int err)
{
	fprintf(stderr, "thread-pool: %s: %s\n", what, mbuf_strerror(err));
	return 1;
}

/* One closure: open it, do it, send the result. 0 or -errno. */
static int work(struct pool *pool, uint64_t sealed)
{
	struct closure closure = { 0 };
	struct result result = { 0 };
	struct mbuf_cap reply = { 0 };
	struct mbuf_unseal unseal = {
		.target = pool->open_key,
		.sealed = sealed,
		.buf = (uintptr_t)&closure,
		.len = sizeof(closure),
		.caps = (uintptr_t)&reply,
		.nr_caps = 1,
		.stride = sizeof(reply),
	};
	int ret = mbuf_unseal(pool->session, &unseal);
	uint64_t i;

	if (ret < 0)
		return ret;
	for (i = closure.from; i < closure.to; i++)
		result.sum += i * i;
	if (reply.error)
		return reply.error;
	ret = mbuf_send(reply.ref.fd, &result, sizeof(result), MBUF_FOREVER);
	close(reply.ref.fd);
	return ret;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *pool = w->pool;

	for (;;) {
		char room[8];
		struct mbuf_msg msg = { .buf = (uintptr_t)room,
					.len = sizeof(room) };
		struct mbuf_cap cap;
		unsigned int nr = 1;
		int ret = mbuf_recv_caps(pool->queue, &msg, &cap, &nr,
					 MBUF_RECV_HANDLES, pool->session,
					 MBUF_FOREVER);

		/* No more closures will come. */
		if (ret == -EPIPE)
			return NULL;
		if (!ret && nr == 1)
			ret = cap.error ? cap.error :
					  work(pool, cap.ref.handle);
		if (ret) {
			failed("a worker", ret);
			return w;
		}
		mbuf_handle_delete(pool->session, cap.ref.handle);
		pool->done[w->nr]++;
	}
}

/* Seals one closure and lets a message object of its own carry it. */
static int dispatch(int session, uint64_t key, int queue, int reply,
		    const struct closure *closure)
{
	struct mbuf_cap cap = mbuf_cap_fd(reply);
	struct mbuf_seal seal = {
		.target = key,
		.buf = (uintptr_t)closure,
		.len = sizeof(*closure),
		.caps = (uintptr_t)&cap,
		.nr_caps = 1,
		.stride = sizeof(cap),
	};
	struct mbuf_message_create create = {
		.max_msg = 1,
		.max_caps = 1,
		.sent.fd = -1,
		.arrived.fd = -1,
	};
	int ret = mbuf_seal(session, &seal);

	if (ret < 0)
		return ret;
	ret = mbuf_message_create(session, &create);
	if (ret < 0)
		return ret;
	cap = mbuf_cap_move(seal.handle);
	ret = mbuf_message_load(session, create.handle, "c", 1, &cap, 1);
	if (ret < 0)
		return ret;
	return mbuf_message_enqueue(session, create.handle, queue);
}

static int make_pool(struct pool *pool, uint64_t *key, int *queue)
{
	struct mbuf_queue_create create = {
		.slots = SLOTS,
		.max_msg = 8,
		.flags = MBUF_QUEUE_CAPS,
		.max_caps = 1,
	};
	int ret = mbuf_queue_create_args(pool->session, &create);

	if (ret < 0)
		return ret;
	pool->queue = create.recv.fd;
	*queue = create.send.fd;
	ret = mbuf_key_create(pool->session, 0, key);
	if (ret < 0)
		return ret;
	/* The pool's own right is derived, and cannot seal. */
	return mbuf_handle_copy(pool->session, *key, 0, MBUF_RIGHT_UNSEAL,
				&pool->open_key);
}

static int run(int session, unsigned int workers, unsigned int jobs)
{
	struct pool pool = { .session = session };
	struct worker worker[WORKERS_MAX];
	uint64_t key = 0, sum = 0, want = 0, i;
	int queue, results, reply, ret, bad = 0;
	unsigned int parked = 0, nr;
	void *end;

	ret = make_pool(&pool, &key, &queue);
	if (ret >= 0)
		ret = mbuf_queue_create(session, 64, sizeof(struct result), 0,
					&results, &reply);
	if (ret < 0)
		return failed("cannot make the pool", ret);

	/* All of them, before anybody works on one. */
	for (nr = 0; nr < jobs; nr++) {
		const struct closure closure = {
			.from = (uint64_t)nr * PIECE,
			.to = (uint64_t)(nr + 1) * PIECE,
		};

		ret = dispatch(session, key, queue, reply, &closure);
		if (ret < 0)
			return failed("cannot dispatch", ret);
		parked += (unsigned int)ret;
	}
	/* What stands in line is a sender still. */
	close(queue);
	close(reply);

	for (nr = 0; nr < workers; nr++) {
		worker[nr] = (struct worker) { .pool = &pool, .nr = nr };
		if (pthread_create(&worker[nr].thread, NULL, worker_main,
				   &worker[nr]))
			return failed("cannot start a worker", -EAGAIN);
	}
	for (nr = 0; nr < jobs; nr++) {
		struct result result;
		ssize_t len = mbuf_recv(results, &result, sizeof(result),
					MBUF_FOREVER);

		if (len != sizeof(result))
			return failed("a result", len < 0 ? (int)len : -EIO);
		sum += result.sum;
	}
	for (nr = 0; nr < workers; nr++) {
		pthread_join(worker[nr].thread, &end);
		bad |= !!end;
	}
	for (i = 0; i < (uint64_t)jobs * PIECE; i++)
		want += i * i;
	printf("thread-pool: %u jobs, of which %u stood in line; %u workers; sum %llu: %s\n",
	       jobs, parked, workers, (unsigned long long)sum,
	       sum == want ? "right" : "WRONG");
	return sum != want || bad;
}

static int usage(void)
{
	fprintf(stderr, "usage: thread-pool [WORKERS [JOBS]], up to %d and %d\n",
		WORKERS_MAX, JOBS_MAX);
	return 2;
}

static int number(const char *text, long max, unsigned int *to)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (end == text || *end || errno || n < 1 || n > max)
		return -1;
	*to = (unsigned int)n;
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int workers = WORKERS, jobs = JOBS;
	int session, status;

	if (argc > 3 || (argc > 1 && number(argv[1], WORKERS_MAX, &workers)) ||
	    (argc > 2 && number(argv[2], JOBS_MAX, &jobs)))
		return usage();
	session = example_open();
	if (session < 0)
		return 1;
	status = run(session, workers, jobs);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "thread-pool: cannot write the result: %s\n",
			strerror(errno));
		return 1;
	}
	return status;
}
