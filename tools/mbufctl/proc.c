// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who has descriptors: what /proc says, as far as it lets itself be read. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "ctl.h"

static bool field(const char *line, const char *key, char *value, size_t size)
{
	size_t len = strlen(key);

	if (strncmp(line, key, len) || line[len] != ':')
		return false;
	line += len + 1;
	line += strspn(line, " \t");
	snprintf(value, size, "%.*s", (int)strcspn(line, "\n"), line);
	return true;
}

/* Is it one of ours? */
static bool holder_read(int pid, int fd, struct holder *h)
{
	char path[64], line[512], value[64];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	f = fopen(path, "re");
	if (!f)
		return false;
	h->pid = pid;
	h->fd = fd;
	h->right[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (field(line, "mbuf-id", value, sizeof(value)))
			found = parse_id(value, &h->id);
		field(line, "mbuf-right", h->right, sizeof(h->right));
	}
	fclose(f);
	return found;
}

static void comm_read(int pid, char *comm, size_t size)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	snprintf(comm, size, "?");
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(comm, (int)size, f))
		comm[strcspn(comm, "\n")] = '\0';
	fclose(f);
}

/*
 * Calls fn for each descriptor of an object, of any if id is 0. How many
 * processes could not be looked at.
 */
int holders(uint64_t id, holder_fn *fn, void *arg)
{
	DIR *proc = opendir("/proc"), *fds;
	struct dirent *p, *d;
	int hidden = 0;

	while (proc && (p = readdir(proc))) {
		struct holder h = {};
		char path[300];
		int pid;

		if (!isdigit((unsigned char)p->d_name[0]))
			continue;
		pid = atoi(p->d_name);
		snprintf(path, sizeof(path), "/proc/%s/fdinfo", p->d_name);
		fds = opendir(path);
		if (!fds) {
			hidden += errno == EACCES || errno == EPERM;
			continue;
		}
		comm_read(pid, h.comm, sizeof(h.comm));
		while ((d = readdir(fds))) {
			if (!isdigit((unsigned char)d->d_name[0]) ||
			    !holder_read(pid, atoi(d->d_name), &h) ||
			    (id && h.id != id))
				continue;
			if (fn(&h, arg)) {
				closedir(fds);
				closedir(proc);
				return hidden;
			}
		}
		closedir(fds);
	}
	if (proc)
		closedir(proc);
	return hidden;
}

/* The same descriptor, for us; -errno. */
int steal_fd(int pid, int fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), ret;

	if (pidfd < 0)
		return -errno;
	ret = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (ret < 0)
		ret = -errno;
	close(pidfd);
	return ret;
}
