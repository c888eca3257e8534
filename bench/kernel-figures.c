// SPDX-License-Identifier: LGPL-2.1-or-later
/* What /proc says: memory of the kernel, and how often a process has slept. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"

/*
 * Room for @nr descriptors, also if other peers have as many, and the table of
 * descriptors large enough already.
 */
int room_for_fds(unsigned int nr)
{
	const rlim_t want = 4 * (rlim_t)nr + 1000;
	struct rlimit limit;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	if (limit.rlim_cur < want) {
		limit.rlim_cur = want;
		if (limit.rlim_max < want)
			limit.rlim_max = want;
		if (setrlimit(RLIMIT_NOFILE, &limit))
			return -errno;
	}
	fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int)want - 1);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* What every open file costs, whatever is behind it. */
static bool of_files(const char *cache)
{
	static const char *const caches[] = {
		"filp", "dentry", "lsm_file_cache",
	};
	unsigned int i;

	for (i = 0; i < sizeof(caches) / sizeof(caches[0]); i++)
		if (!strcmp(cache, caches[i]))
			return true;
	return false;
}

/*
 * Bytes of all objects in slab caches. The allocator counts what a CPU keeps at
 * hand as used, so this is right to some pages.
 */
int slab_bytes(bool files, double *bytes)
{
	FILE *file = fopen("/proc/slabinfo", "re");
	unsigned long long active, all, size;
	char line[512], cache[64];

	if (!file)
		return -errno;
	*bytes = 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %llu %llu %llu", cache, &active, &all,
			   &size) == 4 && (files || !of_files(cache)))
			*bytes += (double)active * (double)size;
	}
	fclose(file);
	return *bytes > 0 ? 0 : -EIO;
}

/* How often the process has gone to sleep: once for each time it was woken. */
static int sleeps(pid_t pid, unsigned long long *number)
{
	static const char key[] = "voluntary_ctxt_switches:";
	char path[64], line[256];
	int ret = -EIO;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (ret && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, strlen(key)) &&
		    sscanf(line + strlen(key), "%llu", number) == 1)
			ret = 0;
	}
	fclose(file);
	return ret;
}

/*
 * What is left of earlier works is freed some time later, and would hide what
 * is allocated meanwhile. So it is done again if there is less afterwards.
 */
#define FLOODS	5

int flood(struct row *row, unsigned int nr,
	  int (*attempt)(struct row *row, unsigned int nr))
{
	unsigned long long slept = 0, sleeps_again = 0;
	double slab = 0, slab_again = 0;
	int ret, n;

	for (n = 0; n < FLOODS; n++) {
		ret = sleeps(row->partner, &slept);
		if (!ret)
			ret = slab_bytes(true, &slab);
		if (!ret)
			ret = attempt(row, nr);
		if (!ret)
			ret = slab_bytes(true, &slab_again);
		if (!ret)
			ret = sleeps(row->partner, &sleeps_again);
		if (ret)
			return ret;
		if (slab_again >= slab)
			break;
	}
	figure(row, nr, "wakeups", (double)(sleeps_again - slept));
	figure(row, nr, "slab-bytes", slab_again - slab);
	return 0;
}
