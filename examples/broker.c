// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A broker that is not trusted: it takes messages from Alice, keeps them, and
 * passes them on to Bob. They are sealed, so dropping them is all the harm it
 * can do; and it tries more than that.
 *
 * Alice and Bob have a key, the broker has not. What the broker has is a queue
 * on which sealed messages come, and one on which it sends. It looks at what
 * comes, tries to open it with a key of its own, passes some on twice and drops
 * others, mixes in what it has sealed itself, and finally searches all of its
 * own memory for what was in the messages.
 *
 * usage: broker [MESSAGES]
 *
 * Exit status: 0 if Bob got nothing but what Alice has sent, and the broker has
 * seen nothing; 1 if not, 2 for wrong usage.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "example.h"

#define MESSAGES	100
#define MESSAGES_MAX	1000
#define SECRET		16

/* What Alice seals. */
struct letter {
	uint32_t nr;
	uint8_t secret[SECRET];
};

/* The two queues, and how the secret is told when all is over. */
struct post {
	int in_recv, in_send;	/* to the broker */
	int out_recv, out_send;	/* from it */
	int told[2];
	unsigned int messages;
};

static int failed(const char *who, const char *what, int err)
{
	fprintf(stderr, "broker: %s: %s: %s\n", who, what, mbuf_strerror(err));
	return 1;
}

static int send_handle(int session, int fd, uint64_t handle)
{
	struct mbuf_msg msg = { .buf = (uintptr_t)"letter", .len = 6 };
	const struct mbuf_cap cap = mbuf_cap_handle(handle);

	return mbuf_send_caps(fd, &msg, &cap, 1, session, MBUF_FOREVER);
}

/* A handle in @session, or a negative errno. */
static int64_t recv_handle(int session, int fd)
{
	char room[8];
	struct mbuf_msg msg = { .buf = (uintptr_t)room, .len = sizeof(room) };
	struct mbuf_cap cap;
	unsigned int nr = 1;
	int ret = mbuf_recv_caps(fd, &msg, &cap, &nr, 0, session, MBUF_FOREVER);

	if (ret < 0)
		return ret;
	if (nr != 1 || cap.error || cap.type != MBUF_CAP_SEALED)
		return cap.error ? cap.error : -EPROTO;
	return (int64_t)cap.ref.handle;
}

static int seal(int session, uint64_t key, const struct letter *letter,
		uint64_t *handle)
{
	struct mbuf_seal args = {
		.target = key,
		.pad = 64,
		.buf = (uintptr_t)letter,
		.len = sizeof(*letter),
	};
	int ret = mbuf_seal(session, &args);

	*handle = args.handle;
	return ret;
}

static int unseal(int session, uint64_t key, uint64_t handle,
		  struct letter *letter)
{
	struct mbuf_unseal args = {
		.target = key,
		.sealed = handle,
		.buf = (uintptr_t)letter,
		.len = sizeof(*letter),
	};

	return mbuf_unseal(session, &args);
}

/* ---- Alice ------------------------------------------------------------------- */

static int alice(int session, uint64_t key, struct post *post)
{
	struct letter letter;
	uint64_t handle;
	FILE *random;
	int ret;

	random = fopen("/dev/urandom", "r");
	if (!random || fread(letter.secret, SECRET, 1, random) != 1)
		return failed("Alice", "no secret", -EIO);
	fclose(random);
	for (letter.nr = 0; letter.nr < post->messages; letter.nr++) {
		ret = seal(session, key, &letter, &handle);
		if (ret >= 0)
			ret = send_handle(session, post->in_send, handle);
		if (ret < 0)
			return failed("Alice", "cannot send", ret);
		mbuf_handle_delete(session, handle);
	}
	/* When the broker has looked, it is told what it was looking for. */
	close(post->in_send);
	if (write(post->told[1], letter.secret, SECRET) != SECRET)
		return failed("Alice", "cannot tell", -errno);
	return 0;
}

/* ---- the broker ---------------------------------------------------------------- */

/* Whatever can be tried with a handle. Returns true if anything got through. */
static bool pry(int session, uint64_t own_key, uint64_t handle)
{
	struct letter letter;
	struct mbuf_msg msg = { .buf = (uintptr_t)&letter,
				.len = sizeof(letter) };
	bool open = false;

	open |= unseal(session, own_key, handle, &letter) >= 0;
	open |= mbuf_handle_open(session, handle) >= 0;
	open |= mbuf_handle_recv(session, handle, &msg, NULL, NULL, 0,
				 MBUF_NOW) >= 0;
	open |= mbuf_message_load(session, handle, &letter, sizeof(letter),
				  NULL, 0) >= 0;
	/* A sealed message is no key, either. */
	open |= unseal(session, handle, handle, &letter) >= 0;
	return open;
}

/* All that this process can read of itself. */
static char *all_memory(size_t *len)
{
	size_t room = 64u << 20, from, to;
	FILE *maps = fopen("/proc/self/maps", "r");
	FILE *mem = fopen("/proc/self/mem", "r");
	char *all = malloc(room), line[256], right;

	*len = 0;
	while (maps && mem && all && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%zx-%zx %c", &from, &to, &right) != 3 ||
		    right != 'r' || to - from > room - *len ||
		    (from <= (size_t)all && (size_t)all < to) ||
		    fseeko(mem, (off_t)from, SEEK_SET))
			continue;
		*len += fread(all + *len, 1, to - from, mem);
	}
	if (maps)
		fclose(maps);
	if (mem)
		fclose(mem);
	return all;
}

static bool contains(const char *all, size_t len, const void *what, size_t n)
{
	size_t i;

	for (i = 0; i + n <= len; i++)
		if (!memcmp(all + i, what, n))
			return true;
	return false;
}

static int broker(struct post *post)
{
	unsigned int nr, dropped = 0, twice = 0, forged = 0;
	uint8_t secret[SECRET];
	uint64_t key = 0, fake;
	int session, ret;
	bool seen = false;
	size_t len;
	char *all;

	session = example_open();
	if (session < 0)
		return 1;
	close(post->in_send);
	close(post->out_recv);
	close(post->told[1]);
	ret = mbuf_key_create(session, 0, &key);
	if (ret < 0)
		return failed("broker", "no key", ret);
	for (nr = 0; ; nr++) {
		struct letter letter = { .nr = nr };
		int64_t handle = recv_handle(session, post->in_recv);

		if (handle == -EPIPE)
			break;
		if (handle < 0)
			return failed("broker", "cannot receive", (int)handle);
		seen |= pry(session, key, (uint64_t)handle);
		ret = 0;
		if (nr % 10 == 3) {
			dropped++;
		} else {
			ret = send_handle(session, post->out_send,
					  (uint64_t)handle);
			if (ret >= 0 && nr % 10 == 5) {
				twice++;
				ret = send_handle(session, post->out_send,
						  (uint64_t)handle);
			}
		}
		if (ret >= 0 && nr % 10 == 7) {
			forged++;
			ret = seal(session, key, &letter, &fake);
			if (ret >= 0)
				ret = send_handle(session, post->out_send,
						  fake);
			mbuf_handle_delete(session, fake);
		}
		if (ret < 0)
			return failed("broker", "cannot send", ret);
		mbuf_handle_delete(session, (uint64_t)handle);
	}
	close(post->out_send);
	all = all_memory(&len);
	if (!all || !len)
		return failed("broker", "cannot read its own memory", -EIO);
	if (read(post->told[0], secret, SECRET) != SECRET)
		return failed("broker", "was not told", -EIO);
	seen |= contains(all, len, secret, SECRET);
	printf("broker: %u messages, %u dropped, %u sent twice, %u made up; searched %zu KiB: %s\n",
	       nr, dropped, twice, forged, len >> 10,
	       seen ? "HAS SEEN SOMETHING" : "has seen nothing");
	free(all);
	return seen;
}

/* ---- Bob ---------------------------------------------------------------------- */

static int bob(int session, uint64_t key, struct post *post)
{
	unsigned int good = 0, again = 0, fakes = 0, bad = 0;
	uint8_t got[MESSAGES_MAX] = { 0 }, secret[SECRET];

	close(post->in_send);
	close(post->out_send);
	for (;;) {
		int64_t handle = recv_handle(session, post->out_recv);
		struct letter letter;
		int ret;

		if (handle == -EPIPE)
			break;
		if (handle < 0)
			return failed("Bob", "cannot receive", (int)handle);
		ret = unseal(session, key, (uint64_t)handle, &letter);
		mbuf_handle_delete(session, (uint64_t)handle);
		if (ret == -EKEYREJECTED) {
			fakes++;
			continue;
		}
		if (ret < 0)
			return failed("Bob", "cannot unseal", ret);
		if (!good)
			memcpy(secret, letter.secret, SECRET);
		if (letter.nr >= post->messages ||
		    memcmp(secret, letter.secret, SECRET))
			bad++;
		else if (got[letter.nr]++)
			again++;
		good++;
	}
	printf("Bob: %u messages of Alice's, %u twice, %u altered; %u of others refused\n",
	       good, again, bad, fakes);
	return bad || !good;
}

/* ---- who introduces them ------------------------------------------------------- */

static int make_queue(int session, int *recv, int *send)
{
	struct mbuf_queue_create create = {
		.slots = 16,
		.max_msg = 8,
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

static int reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return 1;
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static int run(unsigned int messages)
{
	struct post post = { .messages = messages };
	pid_t the_broker, the_bob;
	uint64_t key = 0;
	int session, ret;

	session = example_open();
	if (session < 0)
		return 1;
	ret = make_queue(session, &post.in_recv, &post.in_send);
	if (ret >= 0)
		ret = make_queue(session, &post.out_recv, &post.out_send);
	if (ret < 0)
		return failed("main", "cannot make a queue", ret);
	if (pipe(post.told))
		return failed("main", "cannot make a pipe", -errno);
	/* Before there is a key, and without the session that will have it. */
	the_broker = fork();
	if (!the_broker) {
		close(session);
		ret = broker(&post);
		exit(fflush(stdout) ? 1 : ret);
	}
	close(post.in_recv);
	close(post.out_send);
	ret = mbuf_key_create(session, 0, &key);
	if (ret < 0)
		return failed("main", "cannot make a key", ret);
	the_bob = fork();
	if (!the_bob) {
		ret = bob(session, key, &post);
		exit(fflush(stdout) ? 1 : ret);
	}
	close(post.out_recv);
	ret = alice(session, key, &post);
	ret |= reap(the_broker);
	ret |= reap(the_bob);
	return ret;
}

int main(int argc, char **argv)
{
	long messages = MESSAGES;
	char *end;

	if (argc == 2) {
		errno = 0;
		messages = strtol(argv[1], &end, 10);
		if (end == argv[1] || *end || errno)
			messages = 0;
	}
	if (argc > 2 || messages < 10 || messages > MESSAGES_MAX) {
		fprintf(stderr, "usage: broker [MESSAGES], from 10 to %d\n",
			MESSAGES_MAX);
		return 2;
	}
	return run((unsigned int)messages);
}
