// SPDX-License-Identifier: GPL-2.0
#include <linux/hrtimer.h>
#include <linux/sched/signal.h>
#include "compat.h"
#include "wait.h"

/**
 * mbuf_deadline_parse() - take over how long the caller wants to wait
 * @d: result
 * @u: as the caller gave it
 *
 * Return: 0, or -EINVAL for an unknown mode or clock, or a deadline without
 * MBUF_WAIT_UNTIL.
 */
int mbuf_deadline_parse(struct mbuf_deadline *d, const struct mbuf_wait *u)
{
	if (u->mode > MBUF_WAIT_UNTIL || u->clock != MBUF_CLOCK_MONOTONIC)
		return -EINVAL;

	d->mode = u->mode;
	if (likely(u->mode != MBUF_WAIT_UNTIL))
		return u->deadline ? -EINVAL : 0;

	d->at = mbuf_ktime_to_host(min_t(u64, u->deadline, KTIME_MAX));
	return 0;
}

/**
 * __mbuf_sleep_until() - sleep until somebody wakes this task, or a deadline
 * @at: CLOCK_MONOTONIC of the host
 *
 * Return: 0 if it was the deadline.
 */
int __mbuf_sleep_until(ktime_t at)
{
	return schedule_hrtimeout_range(&at, current->timer_slack_ns,
					HRTIMER_MODE_ABS);
}

/**
 * mbuf_sleep() - sleep until a wait ends
 * @state: of the current task's waiter: MBUF_WAITING until the wait ends
 * @d: how long; the mode is not MBUF_WAIT_NOW
 *
 * The wait has ended when @state has changed. If not, the caller has to look
 * again under the object's lock before it withdraws.
 *
 * Context: no locks held.
 * Return: 0, -ERESTARTSYS for a signal, -ETIMEDOUT.
 */
int mbuf_sleep(const int *state, const struct mbuf_deadline *d)
{
	return __mbuf_sleep(state, d);
}

/**
 * __mbuf_kick_more() - wake the second task, and pollers
 * @kick: which
 */
void __mbuf_kick_more(const struct mbuf_kick *kick)
{
	int i;

	if (kick->task[1])
		wake_up_process(kick->task[1]);
	for (i = 0; i < ARRAY_SIZE(kick->poll); i++) {
		__poll_t events = kick->events[i];

		/* That nothing more will come is for everybody. */
		if (kick->poll[i])
			__wake_up(kick->poll[i], TASK_NORMAL,
				  events & (EPOLLHUP | EPOLLERR) ? 0 : 1,
				  poll_to_key(events));
	}
}

/**
 * __mbuf_wake_target() - tell a target, and drop a reference to it
 * @t: the target
 *
 * Context: process context, no locks held.
 */
void __mbuf_wake_target(struct mbuf_target *t)
{
	t->ops->tell(t);
	mbuf_target_put(t);
}
