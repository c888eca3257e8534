// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Bootstrapping: a queue has no name, so how does it get from the process that
 * makes it to the one that needs it?
 *
 * The consumer listens under a name and sleeps until the producer, of which it
 * knows nothing, hands over a queue. Then it is woken at once, and from there on
 * sleeps on the queue. A channel does the talking: the consumer says which
 * AF_UNIX socket it takes descriptors from, the producer sends the queue's
 * receive right there and signals.
 *
 * usage: bootstrap consumer
 *        bootstrap producer [N]
 *
 * Start the consumer first, in another terminal. Exit status: 0 if all went
 * well, for the consumer also that the integers were in order; 1 if not, 2 for
 * wrong usage.
 */
#define _GNU_SOURCE	/* struct ucred */
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "example.h"

#define NAME		"mbuf example: bootstrap"
#define SLOTS		4
#define PATIENCE_NS	10000000000ull

/* What the consumer tells the producer: 32 bytes are enough for that. */
struct invitation {
	uint8_t len;			/* of the socket's name */
	char name[MBUF_SLOT_SIZE - 1];
};

static int failed(const char *what, int err)
{
	fprintf(stderr, "bootstrap: %s: %s\n", what, mbuf_strerror(err));
	return 1;
}

static int failed_errno(const char *what)
{
	fprintf(stderr, "bootstrap: %s: %s\n", what, strerror(errno));
	return -1;
}

/* ---- descriptors over AF_UNIX ----------------------------------------------- */

/* A socket whose name the kernel has made up, which is a short one. */
static int invite(struct invitation *inv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(addr);
	const int on = 1;
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (sock < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ||
	    bind(sock, (struct sockaddr *)&addr, sizeof(addr.sun_family)) ||
	    getsockname(sock, (struct sockaddr *)&addr, &len))
		return failed_errno("cannot make a socket");
	len -= offsetof(struct sockaddr_un, sun_path);
	inv->len = (uint8_t)len;
	memcpy(inv->name, addr.sun_path, len);
	return sock;
}

union control {
	char room[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr align;
};

static int give(const struct invitation *inv, int fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	union control control = { { 0 } };
	struct iovec byte = { .iov_base = "q", .iov_len = 1 };
	struct msghdr msg = {
		.msg_name = &addr,
		.msg_namelen = (socklen_t)offsetof(struct sockaddr_un,
						   sun_path) + inv->len,
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = CMSG_SPACE(sizeof(fd)),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (inv->len > sizeof(inv->name)) {
		fprintf(stderr, "bootstrap: that is no name of a socket\n");
		return -1;
	}
	memcpy(addr.sun_path, inv->name, inv->len);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sock < 0 || sendmsg(sock, &msg, 0) != 1)
		return failed_errno("cannot send the queue");
	close(sock);
	return 0;
}

/*
 * What has come from that process. Others can send to the socket, too, so each
 * message's sender counts, as the kernel names it.
 */
static int take(int sock, uint32_t pid)
{
	for (;;) {
		union control control;
		struct ucred who = { 0 };
		struct cmsghdr *cmsg;
		char byte;
		struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.room,
			.msg_controllen = sizeof(control.room),
		};
		int fd = -1;

		if (recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
			return failed_errno("the producer has sent no queue");
		for (cmsg = CMSG_FIRSTHDR(&msg); cmsg;
		     cmsg = CMSG_NXTHDR(&msg, cmsg)) {
			size_t i, nr = (cmsg->cmsg_len - CMSG_LEN(0)) /
				       sizeof(fd);

			if (cmsg->cmsg_type == SCM_CREDENTIALS)
				memcpy(&who, CMSG_DATA(cmsg), sizeof(who));
			/* One is wanted, but more may come. */
			for (i = 0; cmsg->cmsg_type == SCM_RIGHTS && i < nr;
			     i++) {
				if (fd >= 0)
					close(fd);
				memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd),
				       sizeof(fd));
			}
		}
		if (fd >= 0 && (uint32_t)who.pid == pid)
			return fd;
		if (fd >= 0)
			close(fd);
	}
}

/* ---- the two sides ------------------------------------------------------------ */

static int consume(int session)
{
	struct mbuf_exchange x = { 0 };
	struct invitation inv = { 0 };
	struct mbuf_peer producer;
	int listener, end, sock, queue, i, next = 0;
	ssize_t len;

	listener = mbuf_listen(session, NAME, strlen(NAME), 0600, 1);
	if (listener < 0)
		return failed("cannot listen", listener);
	printf("consumer: waiting for a producer\n");
	fflush(stdout);

	end = mbuf_accept(listener, &producer, MBUF_FOREVER);
	if (end < 0)
		return failed("cannot accept", end);
	close(listener);
	sock = invite(&inv);
	if (sock < 0)
		return 1;
	/* Says where to, and sleeps until it is there. */
	memcpy(x.data, &inv, sizeof(inv));
	i = mbuf_call(end, &x, MBUF_FOREVER);
	if (i < 0)
		return failed("the producer has left", i);
	queue = take(sock, producer.pid);
	if (queue < 0)
		return 1;
	close(sock);
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

static int produce(int session, int count)
{
	struct invitation inv;
	int end, in, out, i, err;

	end = mbuf_connect(session, NAME, strlen(NAME),
			   mbuf_deadline(PATIENCE_NS));
	if (end == -ECONNREFUSED) {
		fprintf(stderr, "bootstrap: nobody listens: start a consumer first\n");
		return 1;
	}
	if (end < 0)
		return failed("cannot connect", end);
	err = mbuf_channel_wait(end, &inv, NULL, mbuf_deadline(PATIENCE_NS));
	if (err < 0)
		return failed("the consumer has not said where to", err);

	err = mbuf_queue_create(session, SLOTS, sizeof(int), 0, &in, &out);
	if (err < 0)
		return failed("cannot make a queue", err);
	if (give(&inv, in))
		return 1;
	/* Whoever has a right keeps the queue: this one is the consumer's. */
	close(in);
	err = mbuf_channel_signal(end);
	if (err < 0)
		return failed("the consumer has left", err);

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
