/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that mbuf supports, 6.1 to mainline, and
 * what mainline has but does not export to modules. No other file knows
 * kernel versions.
 */
#ifndef _MBUF_COMPAT_H
#define _MBUF_COMPAT_H

#include <linux/ktime.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/time_namespace.h>

/**
 * mbuf_ktime_to_host() - convert a caller's monotonic time to the host's
 * @t: time of CLOCK_MONOTONIC in the time namespace of the current task
 *
 * The kernel's own timens_ktime_to_host() calls a function that modules can
 * link against only in recent kernels.
 *
 * Return: the same instant in the initial time namespace, clamped to what
 * ktime_t can hold.
 */
static inline ktime_t mbuf_ktime_to_host(ktime_t t)
{
#ifdef CONFIG_TIME_NS
	/* Zero in the initial namespace, which modules cannot name. */
	ktime_t offset =
		timespec64_to_ktime(current->nsproxy->time_ns->offsets.monotonic);

	if (offset >= 0)
		return t < offset ? 0 : t - offset;
	/* A negative offset moves the instant later: beware of overflow. */
	if (t > KTIME_MAX + offset)
		return KTIME_MAX;
	return t - offset;
#else
	return t;
#endif
}

#endif /* _MBUF_COMPAT_H */
