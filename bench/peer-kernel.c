// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The floors: what the way into the kernel and back costs without anything
 * being done there. sendrecv is a write and a read of /dev/null, ioctl and signal
 * are an ioctl that no one knows. (The floor of pingpong is worked out from ioctl and
 * eventfd by the program that collects the results.)
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.h"

static int null_setup(struct row *row)
{
	row->chan[0].recv_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return row->chan[0].recv_fd < 0 ? -errno : 0;
}

static void null_teardown(struct row *row)
{
	close_fd(&row->chan[0].recv_fd);
}

static int null_sendrecv_run(struct row *row, unsigned int iters)
{
	const int fd = row->chan[0].recv_fd;

	while (iters--) {
		if (write(fd, row->out, row->size) != (ssize_t)row->size)
			return -EIO;
		if (read(fd, row->in, row->size) != 0)
			return -EIO;
	}
	return 0;
}

static int null_ioctl_run(struct row *row, unsigned int iters)
{
	const int fd = row->chan[0].recv_fd;

	while (iters--) {
		if (ioctl(fd, _IO(0xD6, 0xff), 0) != -1 || errno != ENOTTY)
			return -EIO;
	}
	return 0;
}

static const struct ops null_sendrecv = {
	.setup = null_setup,
	.run = null_sendrecv_run,
	.teardown = null_teardown,
	.no_data = true,
};

static const struct ops null_ioctl = {
	.setup = null_setup,
	.run = null_ioctl_run,
	.teardown = null_teardown,
	.no_data = true,
};

const struct peer peer_kernel = {
	.name = "kernel",
	.own = {
		[WORK_SENDRECV] = &null_sendrecv,
		[WORK_IOCTL] = &null_ioctl,
		[WORK_SIGNAL] = &null_ioctl,
	},
};
