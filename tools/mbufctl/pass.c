// SPDX-License-Identifier: LGPL-2.1-or-later
/* mbufctl send, recv: messages to and from a queue that somebody has open. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <mbuf.h>
#include "ctl.h"

struct wanted {
	const char *right;
	int fd;
};

static int take(const struct holder *h, void *arg)
{
	struct wanted *w = arg;

	if (strcmp(h->right, w->right))
		return 0;
	w->fd = steal_fd(h->pid, h->fd);
	return w->fd >= 0;
}

/* A right to a queue, taken from who has one. An exit status. */
static int right_to(int argc, char **argv, const char *right, int *fd)
{
	struct wanted w = { right, -ENOENT };
	uint64_t id;

	if (argc != 1 || !parse_id(argv[0], &id)) {
		complain("%s takes the id of a queue, as ls shows it",
			 *right == 's' ? "send" : "recv");
		return EXIT_USAGE;
	}
	holders(id, take, &w);
	if (w.fd == -ENOENT) {
		complain("no process that you may look at has a %s right to %s",
			 right, argv[0]);
		return EXIT_NOT_FOUND;
	}
	if (w.fd < 0) {
		complain("cannot take over a descriptor of %s: %s", argv[0],
			 strerror(-w.fd));
		return w.fd == -EPERM ? EXIT_NO_PERMISSION : EXIT_FAILED;
	}
	*fd = w.fd;
	return EXIT_OK;
}

static uint64_t deadline(void)
{
	return opt.timeout < 0 ? MBUF_FOREVER :
	       opt.timeout ? mbuf_deadline((uint64_t)opt.timeout) : MBUF_NOW;
}

static int failed(int err)
{
	complain("%s", mbuf_strerror(err));
	return err == -ETIMEDOUT || err == -EAGAIN ? EXIT_TIMEOUT : EXIT_FAILED;
}

/* Each line that is read is a message. */
int cmd_send(int argc, char **argv)
{
	char *line = NULL;
	long left = opt.count;
	size_t size = 0;
	ssize_t len;
	int ret, fd;

	ret = right_to(argc, argv, "send", &fd);
	if (ret)
		return ret;
	while ((len = getline(&line, &size, stdin)) > 0) {
		if (line[len - 1] == '\n')
			len--;
		ret = mbuf_send(fd, line, (size_t)len, deadline());
		if (ret < 0) {
			ret = failed(ret);
			break;
		}
		if (left && !--left)
			break;
	}
	free(line);
	close(fd);
	return ret;
}

/* Each message is a line. One is taken from those for whom it was. */
int cmd_recv(int argc, char **argv)
{
	struct mbuf_queue_info info;
	long left = opt.count ? opt.count : 1;
	ssize_t len;
	int ret, fd;
	char *buf;

	ret = right_to(argc, argv, "recv", &fd);
	if (ret)
		return ret;
	ret = mbuf_queue_info(fd, &info);
	if (ret)
		return failed(ret);
	buf = malloc(info.max_msg);
	if (!buf)
		return failed(-ENOMEM);
	do {
		len = mbuf_recv(fd, buf, info.max_msg, deadline());
		if (len < 0) {
			ret = failed((int)len);
			break;
		}
		fwrite(buf, 1, (size_t)len, stdout);
		putchar('\n');
		fflush(stdout);
	} while (--left);
	free(buf);
	close(fd);
	return ret;
}
