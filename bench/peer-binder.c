// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Android's binder by its raw ioctls, without libbinder: one BINDER_WRITE_READ
 * a side and round trip. A binder call is a send and a wait for the answer in
 * one, so there is no sendrecv, and both sides read the payload where the
 * driver put it.
 *
 * There can be only one context manager, and the driver lets go of a dead one
 * some time later. So one partner serves all rows of the run.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/android/binder.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"

#define BINDER_DEVICE	"/dev/binder"
#define BINDER_MAP	(1024 * 1024)

/* The driver reads commands one behind the other, without padding. */
struct send_and_free {
	uint32_t send;
	struct binder_transaction_data data;
	uint32_t free;
	binder_uintptr_t buffer;
} __attribute__((packed));

static int binder_fd = -1;

static int binder_open(void)
{
	void *map;
	int fd, ret;

	fd = open(BINDER_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Incoming payloads appear here. */
	map = mmap(NULL, BINDER_MAP, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, fd,
		   0);
	if (map == MAP_FAILED) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

/*
 * Gives the driver @size bytes of commands and waits until a transaction of
 * the kind @want comes.
 */
static int binder_talk(int fd, const void *cmds, size_t size, uint32_t want,
		       struct binder_transaction_data *data)
{
	char in[256] __attribute__((aligned(8)));
	struct binder_write_read bwr = {
		.write_size = size,
		.write_buffer = (uintptr_t)cmds,
		.read_size = sizeof(in),
		.read_buffer = (uintptr_t)in,
	};
	bool got = false;
	uint32_t cmd;
	size_t at;

	while (!got) {
		bwr.read_consumed = 0;
		if (ioctl(fd, BINDER_WRITE_READ, &bwr)) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		for (at = 0; at + sizeof(cmd) <= bwr.read_consumed;
		     at += _IOC_SIZE(cmd)) {
			memcpy(&cmd, in + at, sizeof(cmd));
			at += sizeof(cmd);
			if (cmd == want) {
				memcpy(data, in + at, sizeof(*data));
				got = true;
			} else if (cmd == BR_DEAD_REPLY ||
				   cmd == BR_FAILED_REPLY) {
				return -EPIPE;
			}
		}
	}
	return 0;
}

/* The partner: sends back what it gets, from where it got it. */
static int binder_serve(int fd, int ready)
{
	uint32_t enter = BC_ENTER_LOOPER;
	struct binder_transaction_data data;
	struct send_and_free reply;
	int ret;

	if (ioctl(fd, BINDER_SET_CONTEXT_MGR, 0))
		return -errno;
	if (write(ready, "", 1) != 1)
		return -errno;
	ret = binder_talk(fd, &enter, sizeof(enter), BR_TRANSACTION, &data);
	while (!ret) {
		reply = (struct send_and_free) {
			.send = BC_REPLY,
			.data = {
				.data_size = data.data_size,
				.data.ptr.buffer = data.data.ptr.buffer,
			},
			.free = BC_FREE_BUFFER,
			.buffer = data.data.ptr.buffer,
		};
		ret = binder_talk(fd, &reply, sizeof(reply), BR_TRANSACTION,
				  &data);
	}
	return ret;
}

static int binder_start(void)
{
	int ready[2], ret;
	pid_t pid;
	char c;

	if (pipe(ready))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		close(ready[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ret = binder_open();
		if (ret >= 0)
			ret = binder_serve(ret, ready[1]);
		fprintf(stderr, "mbuf-bench: binder's partner: %s\n",
			strerror(-ret));
		_exit(1);
	}
	close(ready[1]);
	/* End of file if it could not become the context manager. */
	ret = read(ready[0], &c, 1) == 1 ? 0 : -EPIPE;
	close(ready[0]);
	if (ret)
		return ret;
	binder_fd = binder_open();
	return binder_fd < 0 ? binder_fd : 0;
}

static int binder_setup(struct row *row)
{
	row->priv = calloc(1, sizeof(struct send_and_free));
	if (!row->priv)
		return -ENOMEM;
	return binder_fd < 0 ? binder_start() : 0;
}

static void binder_teardown(struct row *row)
{
	free(row->priv);
}

static int binder_run(struct row *row, unsigned int iters)
{
	struct send_and_free *call = row->priv;
	struct binder_transaction_data data = { 0 };
	/* There is nothing to free yet at the very first call of a row. */
	size_t skip = call->buffer ? 0 : sizeof(*call) -
		offsetof(struct send_and_free, free);
	int ret;

	while (iters--) {
		call->send = BC_TRANSACTION;
		call->data = (struct binder_transaction_data) {
			.data_size = row->size,
			.data.ptr.buffer = (uintptr_t)row->out,
		};
		call->free = BC_FREE_BUFFER;
		ret = binder_talk(binder_fd, call, sizeof(*call) - skip,
				  BR_REPLY, &data);
		if (ret)
			return ret;
		skip = 0;
		call->buffer = data.data.ptr.buffer;
		row->got = (const char *)(uintptr_t)data.data.ptr.buffer;
		if (data.data_size != row->size)
			return -EIO;
	}
	return 0;
}

static const struct ops binder_pingpong = {
	.setup = binder_setup,
	.run = binder_run,
	.teardown = binder_teardown,
};

static const char *no_binder(void)
{
	if (access(BINDER_DEVICE, R_OK | W_OK))
		return "no " BINDER_DEVICE ": the kernel has no binder_linux";
	return NULL;
}

const struct peer peer_binder = {
	.name = "binder",
	.own = { [WORK_PINGPONG] = &binder_pingpong },
	.optional = true,
	.unavailable = no_binder,
};
