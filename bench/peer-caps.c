// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Capabilities: a descriptor in a message, here and over a socket; message
 * objects; sealed messages; and finding a handle.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mbuf.h>

#include "bench.h"

/**
 * struct caps - what a row needs
 * @session: a session
 * @recv_fd: receive right, or one end of a pair
 * @send_fd: send right, or the other
 * @message: a message object
 * @key: a key
 * @back_recv: receive right of the queue that answers come over, or -1
 * @back_send: its send right
 * @path: handle of what is looked up
 * @walk: the path, if it is one
 */
struct caps {
	int session;
	int recv_fd;
	int send_fd;
	uint64_t message;
	uint64_t key;
	int back_recv;
	int back_send;
	uint64_t path;
	struct {
		struct mbuf_path head;
		uint64_t index[8];
	} walk;
};

static int caps_queue(struct caps *caps, size_t size, int *recv_fd,
		      int *send_fd)
{
	struct mbuf_queue_create create = {
		.slots = 4,
		.max_msg = (uint32_t)size,
		.flags = MBUF_QUEUE_CAPS,
		.max_caps = 1,
	};
	int ret = mbuf_queue_create_args(caps->session, &create);

	if (ret >= 0) {
		*recv_fd = create.recv.fd;
		*send_fd = create.send.fd;
	}
	return ret;
}

static int caps_setup(struct row *row)
{
	struct caps *caps = calloc(1, sizeof(*caps));

	if (!caps)
		return -ENOMEM;
	row->priv = caps;
	caps->recv_fd = -1;
	caps->send_fd = -1;
	caps->back_recv = -1;
	caps->back_send = -1;
	caps->session = mbuf_open();
	if (caps->session < 0)
		return caps->session;
	return caps_queue(caps, row->size, &caps->recv_fd, &caps->send_fd);
}

static void caps_teardown(struct row *row)
{
	struct caps *caps = row->priv;

	if (!caps)
		return;
	close_fd(&caps->recv_fd);
	close_fd(&caps->send_fd);
	close_fd(&caps->back_recv);
	close_fd(&caps->back_send);
	close_fd(&caps->session);
	free(caps);
	row->priv = NULL;
}

static int plain_recv(struct row *row, int fd)
{
	ssize_t len = mbuf_recv(fd, row->in, row->size, MBUF_FOREVER);

	if (len < 0)
		return (int)len;
	return len == (ssize_t)row->size ? 0 : -EIO;
}

/* A descriptor is sent, received, and closed. */
static int pass_run(struct row *row, unsigned int iters)
{
	struct caps *caps = row->priv;
	int ret;

	while (iters--) {
		struct mbuf_cap cap = mbuf_cap_fd(caps->session);
		struct mbuf_msg msg = {
			.buf = (uintptr_t)row->out,
			.len = (uint32_t)row->size,
		};
		unsigned int nr = 1;

		ret = mbuf_send_caps(caps->send_fd, &msg, &cap, 1, -1,
				     MBUF_FOREVER);
		if (ret)
			return ret;
		msg.buf = (uintptr_t)row->in;
		ret = mbuf_recv_caps(caps->recv_fd, &msg, &cap, &nr, 0, -1,
				     MBUF_FOREVER);
		if (ret)
			return ret;
		if (close(cap.ref.fd))
			return -errno;
	}
	return 0;
}

/* A session cannot be sent: anything else that is open. */
static int pass_setup(struct row *row)
{
	struct caps *caps;
	int ret = caps_setup(row), fd;

	if (ret)
		return ret;
	caps = row->priv;
	fd = dup(caps->send_fd);
	if (fd < 0)
		return -errno;
	close(caps->session);
	caps->session = fd;
	return 0;
}

static const struct ops caps_pass = {
	.setup = pass_setup,
	.run = pass_run,
	.teardown = caps_teardown,
};

static int scm_setup(struct row *row)
{
	struct caps *caps = calloc(1, sizeof(*caps));
	int fds[2];

	if (!caps)
		return -ENOMEM;
	row->priv = caps;
	caps->session = -1;
	caps->recv_fd = -1;
	caps->send_fd = -1;
	caps->back_recv = -1;
	caps->back_send = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	caps->recv_fd = fds[0];
	caps->send_fd = fds[1];
	/* The same kind of file as the other peer sends. */
	if (pipe(fds))
		return -errno;
	close(fds[0]);
	caps->session = fds[1];
	return 0;
}

static int scm_run(struct row *row, unsigned int iters)
{
	struct caps *caps = row->priv;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;

	while (iters--) {
		struct iovec iov = { .iov_base = row->out,
				     .iov_len = row->size };
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.room,
			.msg_controllen = sizeof(control.room),
		};
		int fd;

		control.head = (struct cmsghdr) {
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(&control.head), &caps->session, sizeof(int));
		if (sendmsg(caps->send_fd, &msg, 0) != (ssize_t)row->size)
			return -errno;
		iov.iov_base = row->in;
		msg.msg_controllen = sizeof(control.room);
		if (recvmsg(caps->recv_fd, &msg, MSG_CMSG_CLOEXEC) !=
		    (ssize_t)row->size)
			return -errno;
		memcpy(&fd, CMSG_DATA(&control.head), sizeof(int));
		if (close(fd))
			return -errno;
	}
	return 0;
}

static const struct ops scm_pass = {
	.setup = scm_setup,
	.run = scm_run,
	.teardown = caps_teardown,
};

/* A message object: loaded, enqueued, and received. */
static int message_setup(struct row *row)
{
	struct mbuf_message_create create = {
		.max_msg = (uint32_t)row->size,
		.sent.fd = -1,
		.arrived.fd = -1,
	};
	struct caps *caps;
	int ret = caps_setup(row);

	if (ret)
		return ret;
	caps = row->priv;
	ret = mbuf_message_create(caps->session, &create);
	caps->message = create.handle;
	return ret;
}

/* A message object's message is sent. */
static int message_send(struct row *row)
{
	struct caps *caps = row->priv;
	int ret = mbuf_message_load(caps->session, caps->message, row->out,
				    row->size, NULL, 0);

	return ret ? ret : mbuf_message_enqueue(caps->session, caps->message,
						caps->send_fd);
}

static int message_run(struct row *row, unsigned int iters)
{
	struct caps *caps = row->priv;
	int ret = 0;

	while (!ret && iters--) {
		ret = message_send(row);
		if (!ret)
			ret = plain_recv(row, caps->recv_fd);
	}
	return ret;
}

static const struct ops caps_message = {
	.setup = message_setup,
	.run = message_run,
	.teardown = caps_teardown,
};

/* Only loaded: what the row above does besides. */
static int load_run(struct row *row, unsigned int iters)
{
	struct caps *caps = row->priv;
	int ret;

	while (iters--) {
		ret = mbuf_message_load(caps->session, caps->message, row->out,
					row->size, NULL, 0);
		if (ret)
			return ret;
	}
	return 0;
}

static const struct ops caps_load = {
	.setup = message_setup,
	.run = load_run,
	.teardown = caps_teardown,
	.no_data = true,
};

/* The same with the calls of a queue. */
static int plain_send(struct row *row)
{
	struct caps *caps = row->priv;

	return mbuf_send(caps->send_fd, row->out, row->size, MBUF_FOREVER);
}

static int plain_run(struct row *row, unsigned int iters)
{
	struct caps *caps = row->priv;
	int ret = 0;

	while (!ret && iters--) {
		ret = plain_send(row);
		if (!ret)
			ret = plain_recv(row, caps->recv_fd);
	}
	return ret;
}

static const struct ops plain_message = {
	.setup = caps_setup,
	.run = plain_run,
	.teardown = caps_teardown,
};

/*
 * The receiver sleeps, and answers. What another way of sending costs more is
 * the difference: all else is the same.
 */
static int handoff_setup(struct row *row)
{
	struct caps *caps;
	int ret = message_setup(row);

	if (ret)
		return ret;
	caps = row->priv;
	return caps_queue(caps, row->size, &caps->back_recv, &caps->back_send);
}

static int handoff_serve(struct row *row)
{
	struct caps *caps = row->priv;
	int ret = 0;

	while (!ret) {
		ret = plain_recv(row, caps->recv_fd);
		if (!ret)
			ret = mbuf_send(caps->back_send, row->in, row->size,
					MBUF_FOREVER);
	}
	return ret;
}

static int handoff(struct row *row, unsigned int iters,
		   int (*send)(struct row *row))
{
	struct caps *caps = row->priv;
	int ret = 0;

	while (!ret && iters--) {
		ret = send(row);
		if (!ret)
			ret = plain_recv(row, caps->back_recv);
	}
	return ret;
}

static int handoff_run(struct row *row, unsigned int iters)
{
	return handoff(row, iters, message_send);
}

static int handoff_plain_run(struct row *row, unsigned int iters)
{
	return handoff(row, iters, plain_send);
}

/* It is loaded, and something else is sent. */
static int load_send(struct row *row)
{
	int ret = load_run(row, 1);

	return ret ? ret : plain_send(row);
}

static int handoff_load_run(struct row *row, unsigned int iters)
{
	return handoff(row, iters, load_send);
}

static const struct ops caps_handoff = {
	.setup = handoff_setup,
	.serve = handoff_serve,
	.run = handoff_run,
	.teardown = caps_teardown,
};

static const struct ops plain_handoff = {
	.setup = handoff_setup,
	.serve = handoff_serve,
	.run = handoff_plain_run,
	.teardown = caps_teardown,
};

static const struct ops load_handoff = {
	.setup = handoff_setup,
	.serve = handoff_serve,
	.run = handoff_load_run,
	.teardown = caps_teardown,
};

/* Sealed, unsealed, and forgotten. */
static int seal_setup(struct row *row)
{
	struct caps *caps;
	int ret = caps_setup(row);

	if (ret)
		return ret;
	caps = row->priv;
	return mbuf_key_create(caps->session, 0, &caps->key);
}

static int seal_run(struct row *row, unsigned int iters)
{
	struct caps *caps = row->priv;
	int ret;

	while (iters--) {
		struct mbuf_seal seal = {
			.target = caps->key,
			.buf = (uintptr_t)row->out,
			.len = (uint32_t)row->size,
		};
		struct mbuf_unseal unseal = {
			.target = caps->key,
			.buf = (uintptr_t)row->in,
			.len = (uint32_t)row->size,
		};

		ret = mbuf_seal(caps->session, &seal);
		if (ret)
			return ret;
		unseal.sealed = seal.handle;
		ret = mbuf_unseal(caps->session, &unseal);
		if (ret)
			return ret;
		ret = mbuf_handle_delete(caps->session, seal.handle);
		if (ret)
			return ret;
	}
	return 0;
}

static const struct ops caps_seal = {
	.setup = seal_setup,
	.run = seal_run,
	.teardown = caps_teardown,
};

/* A handle that lies so many tables deep. */
static int lookup_setup(struct row *row)
{
	struct caps *caps;
	int ret = caps_setup(row);
	unsigned int i;

	if (ret)
		return ret;
	caps = row->priv;
	caps->walk.head.nr = 0;
	for (i = 0; i < row->size; i++) {
		uint64_t handle = 0;

		ret = mbuf_table_create(caps->session, caps->path, &handle);
		if (ret)
			return ret;
		caps->walk.index[i] = handle;
		caps->walk.head.nr = i + 1;
		caps->path = MBUF_HANDLE_PATH | (uintptr_t)&caps->walk;
	}
	if (row->size == 1)
		caps->path = caps->walk.index[0];
	return 0;
}

static int lookup_run(struct row *row, unsigned int iters)
{
	struct mbuf_handle_info info;
	struct caps *caps = row->priv;
	int ret;

	while (iters--) {
		ret = mbuf_handle_info(caps->session, caps->path, &info);
		if (ret)
			return ret;
	}
	return 0;
}

static const struct ops caps_lookup = {
	.setup = lookup_setup,
	.run = lookup_run,
	.teardown = caps_teardown,
	.no_data = true,
};

const struct peer peer_caps = {
	.name = "mbuf-caps",
	.own = {
		[WORK_PASS] = &caps_pass,
		[WORK_MESSAGE] = &caps_message,
		[WORK_HANDOFF] = &caps_handoff,
		[WORK_SEAL] = &caps_seal,
		[WORK_LOOKUP] = &caps_lookup,
	},
};

const struct peer peer_caps_load = {
	.name = "mbuf-load",
	.own = {
		[WORK_MESSAGE] = &caps_load,
		[WORK_HANDOFF] = &load_handoff,
	},
};

const struct peer peer_caps_plain = {
	.name = "mbuf-plain",
	.own = {
		[WORK_MESSAGE] = &plain_message,
		[WORK_HANDOFF] = &plain_handoff,
		[WORK_SEAL] = &plain_message,
	},
};

const struct peer peer_scm = {
	.name = "scm-rights",
	.own = { [WORK_PASS] = &scm_pass },
};
