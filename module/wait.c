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
	ktime_t at = 0;
	int err = 0;

	if (d->mode == MBUF_WAIT_UNTIL)
		at = d->at;

	/*
	 * Whom the caller has woken may be to run here right away. Then this
	 * task need not go to sleep, and need not be woken, if the other has
	 * answered by the time that it gets the CPU again.
	 */
	if (need_resched())
		schedule();
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		/* Pairs with the release of who ends the wait. */
		if (smp_load_acquire(state) != MBUF_WAITING)
			break;
		if (signal_pending(current)) {
			err = -ERESTARTSYS;
			break;
		}
		if (d->mode == MBUF_WAIT_FOREVER) {
			schedule();
		} else if (!schedule_hrtimeout_range(&at,
						     current->timer_slack_ns,
						     HRTIMER_MODE_ABS)) {
			err = -ETIMEDOUT;
			break;
		}
	}
	__set_current_state(TASK_RUNNING);
	return err;
}

/**
 * __mbuf_kick_poll() - wake pollers
 * @kick: which
 */
void __mbuf_kick_poll(const struct mbuf_kick *kick)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(kick->poll); i++) {
		__poll_t events = kick->events[i];

		/* That nothing more will come is for everybody. */
		if (kick->poll[i])
			__wake_up(kick->poll[i], TASK_NORMAL,
				  events & (EPOLLHUP | EPOLLERR) ? 0 : 1,
				  poll_to_key(events));
	}
}
