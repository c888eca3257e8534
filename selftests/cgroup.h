/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A memory cgroup for tests.
 */
#ifndef MBUF_SELFTESTS_CGROUP_H
#define MBUF_SELFTESTS_CGROUP_H

#include <sys/mount.h>
#include "util.h"

#define CG_MOUNT	"/sys/fs/cgroup"

struct cgroup {
	char mount[64], path[96];
	bool mounted;
};

/* NULL, or why there can be none. */
static inline const char *cgroup_make(struct cgroup *cg)
{
	char path[160], text[256];

	snprintf(cg->mount, sizeof(cg->mount), "%s", CG_MOUNT);
	cg->mounted = false;
	snprintf(path, sizeof(path), "%s/cgroup.controllers", cg->mount);
	if (access(path, R_OK)) {
		snprintf(cg->mount, sizeof(cg->mount), "/tmp/cgroup-%d",
			 getpid());
		mkdir("/tmp", 01777);
		if (mkdir(cg->mount, 0700))
			return "cannot make a directory in /tmp";
		if (mount("cgroup2", cg->mount, "cgroup2", 0, NULL)) {
			rmdir(cg->mount);
			return "cannot mount cgroup2 (CONFIG_CGROUPS)";
		}
		cg->mounted = true;
		snprintf(path, sizeof(path), "%s/cgroup.controllers",
			 cg->mount);
	}
	if (!read_file(path, text, sizeof(text)) || !strstr(text, "memory"))
		return "no memory controller in cgroup2 (CONFIG_MEMCG)";
	if (read_file("/proc/cmdline", text, sizeof(text)) &&
	    strstr(text, "nokmem"))
		return "kernel memory is not accounted (cgroup.memory=nokmem)";
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", cg->mount);
	if (!write_file(path, "+memory"))
		return "cannot enable the memory controller";
	snprintf(cg->path, sizeof(cg->path), "%s/mbuf-selftest-%d", cg->mount,
		 getpid());
	if (mkdir(cg->path, 0700))
		return "cannot make a cgroup";
	return NULL;
}

static inline void cgroup_remove(struct cgroup *cg)
{
	if (cg->path[0])
		EVENTUALLY(!rmdir(cg->path));
	if (cg->mounted) {
		umount2(cg->mount, MNT_DETACH);
		rmdir(cg->mount);
	}
}

static inline uint64_t cgroup_current(const struct cgroup *cg)
{
	char path[160], text[32];

	snprintf(path, sizeof(path), "%s/memory.current", cg->path);
	CHECK(read_file(path, text, sizeof(text)));
	return strtoull(text, NULL, 10);
}

static inline void join_cgroup(const struct cgroup *cg)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cg->path);
	CHECK(write_file(path, "%d", getpid()));
}

/* Statistics are kept per CPU, in batches: allow for this much. */
#define CG_SLACK	(2ull << 20)

#endif /* MBUF_SELFTESTS_CGROUP_H */
