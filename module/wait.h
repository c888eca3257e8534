/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Waiting in line.
 *
 * Who has to wait links a struct mbuf_waiter, usually on its stack, into a
 * line of the object and sleeps. Whoever makes the wait end takes it out of
 * the line, decides the outcome, and wakes it after dropping the object's
 * lock. The outcome is in one word:
 *
 *	MBUF_WAITING  -> in the line; the waiter may withdraw
 *	MBUF_DONE     -> got what it waited for, which is in the waiter
 *	MBUF_GONE     -> can never get it, as the peers are gone
 *
 * The word leaves MBUF_WAITING once, under the object's lock. A waiter that
 * was woken for another reason, a signal or its deadline, takes the lock and
 * looks at the word before it withdraws: an outcome that has been decided
 * counts, always. So nothing is lost or done twice, however the two race.
 *
 * As soon as the word has left MBUF_WAITING the waiter may return and its
 * stack may be gone. So the waker takes a reference to the task first, and
 * touches only that afterwards.
 */
#ifndef _MBUF_WAIT_H
#define _MBUF_WAIT_H

#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <uapi/linux/mbuf.h>

/* States of a waiter. */
#define MBUF_WAITING	0
#define MBUF_DONE	1
#define MBUF_GONE	2

struct mbuf_item;
struct mbuf_target;

/**
 * struct mbuf_target_ops - what differs between targets
 * @tell: tell it; in process context, perhaps under the lock of a waitqueue
 * @free: free it
 */
struct mbuf_target_ops {
	void (*tell)(struct mbuf_target *t);
	void (*free)(struct mbuf_target *t);
};

/**
 * struct mbuf_target - whom to tell if nobody sleeps
 * @ops: how
 * @ref: references
 */
struct mbuf_target {
	const struct mbuf_target_ops *ops;
	refcount_t ref;
};

/**
 * struct mbuf_waiter - one party in a line
 * @link: place in the line; the object's lock
 * @state: MBUF_WAITING and so on; written under the object's lock, read
 *	without (acquire)
 * @task: who sleeps; NULL: nobody, @target is told
 * @target: without @task: whom to tell, or NULL for nobody
 * @item: a sender's message on its way in, a receiver's on its way out. The
 *	object's lock while MBUF_WAITING, then the waiter alone
 * @spare: receiver: a slot for a message to land in; likewise
 * @seq: sender: the message's sequence number, valid when MBUF_DONE
 * @id: without @task: identity of the message object; constant
 */
struct mbuf_waiter {
	struct list_head link;
	int state;
	struct task_struct *task;
	struct mbuf_target *target;
	struct mbuf_item *item;
	struct mbuf_item *spare;
	u64 seq;
	u64 id;
};

/**
 * struct mbuf_deadline - how long a call may sleep
 * @mode: enum mbuf_wait_mode
 * @at: for MBUF_WAIT_UNTIL: CLOCK_MONOTONIC of the host
 */
struct mbuf_deadline {
	u32 mode;
	ktime_t at;
};

/**
 * struct mbuf_kick - whom to wake once the locks are dropped
 * @task: up to two tasks whose waits have ended
 * @poll: up to two waitqueues of pollers
 * @events: what to tell these
 *
 * For objects whose locks are raw: they wake without taking references to the
 * tasks, or to what the waitqueues are part of. Instead mbuf_kick_begin() is
 * called before the first lock is taken, and mbuf_kick_end() after the last is
 * dropped: RCU keeps all of that in memory in between.
 */
struct mbuf_kick {
	struct task_struct *task[2];
	wait_queue_head_t *poll[2];
	__poll_t events[2];
};

int mbuf_deadline_parse(struct mbuf_deadline *d, const struct mbuf_wait *u);

/**
 * mbuf_deadline_get() - mbuf_deadline_parse(), fast for what needs no deadline
 * @d: result
 * @u: as the caller gave it
 *
 * Return: as mbuf_deadline_parse().
 */
static __always_inline int mbuf_deadline_get(struct mbuf_deadline *d,
					     const struct mbuf_wait *u)
{
	if (unlikely(u->mode | u->clock | u->deadline)) {
		/* A copy lets the caller keep its own in registers. */
		struct mbuf_wait copy = *u;

		return mbuf_deadline_parse(d, &copy);
	}
	BUILD_BUG_ON(MBUF_WAIT_FOREVER | MBUF_CLOCK_MONOTONIC);
	d->mode = MBUF_WAIT_FOREVER;
	return 0;
}

int __mbuf_sleep_until(ktime_t at);
int mbuf_sleep(const int *state, const struct mbuf_deadline *d);
void __mbuf_kick_more(const struct mbuf_kick *kick);

/**
 * __mbuf_sleep() - mbuf_sleep(), inline
 * @state: as there
 * @d: as there
 *
 * Context, return: as mbuf_sleep().
 */
static __always_inline int __mbuf_sleep(const int *state,
					const struct mbuf_deadline *d)
{
	int err = 0;

	/*
	 * Whom the caller has woken may be to run here right away. Then this
	 * task need not go to sleep, and need not be woken, if the other has
	 * answered by the time that it gets the CPU again.
	 */
	if (need_resched()) {
		schedule();
		/* Pairs with the release of who ends the wait. */
		if (smp_load_acquire(state) != MBUF_WAITING)
			return 0;
	}
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		/* Pairs with the release of who ends the wait. */
		if (smp_load_acquire(state) != MBUF_WAITING)
			break;
		if (signal_pending(current)) {
			err = -ERESTARTSYS;
			break;
		}
		if (likely(d->mode == MBUF_WAIT_FOREVER)) {
			schedule();
		} else if (!__mbuf_sleep_until(d->at)) {
			err = -ETIMEDOUT;
			break;
		}
	}
	__set_current_state(TASK_RUNNING);
	return err;
}

/**
 * mbuf_waiter_sleep() - sleep until the wait ends
 * @w: the current task's waiter, in a line
 * @d: how long; the mode is not MBUF_WAIT_NOW
 *
 * Context, return: as mbuf_sleep().
 */
static inline int mbuf_waiter_sleep(struct mbuf_waiter *w,
				    const struct mbuf_deadline *d)
{
	return mbuf_sleep(&w->state, d);
}

/**
 * mbuf_kick_begin() - before taking a lock under which somebody may be kicked
 * @kick: nobody yet
 *
 * Context: enters a read-side critical section of RCU.
 */
static __always_inline void mbuf_kick_begin(struct mbuf_kick *kick)
	__acquires(RCU)
{
	kick->task[0] = NULL;
	kick->task[1] = NULL;
	kick->poll[0] = NULL;
	kick->poll[1] = NULL;
	rcu_read_lock();
}

/*
 * Wake who may be in mbuf_sleep(), after its wait has been ended. Both sides
 * have a full barrier between what they write and what they read: the sleeper
 * between its task's state and that of the wait. So one that is seen running
 * here will see that its wait has ended, and need not be woken. On one CPU that
 * is every other wake-up of a round trip.
 */
static __always_inline void mbuf_kick_task(struct task_struct *task)
{
	/* Pairs with set_current_state() in mbuf_sleep(). */
	smp_mb();
	if (!task_is_running(task))
		wake_up_process(task);
}

/**
 * mbuf_kick_end_tasks() - wake whom it says, but the pollers
 * @kick: whom; somebody else sees to pollers
 *
 * Context: any but NMI, none of our locks held; leaves the critical section.
 */
static __always_inline void mbuf_kick_end_tasks(const struct mbuf_kick *kick)
	__releases(RCU)
{
	if (kick->task[0])
		mbuf_kick_task(kick->task[0]);
	if (kick->task[1])
		mbuf_kick_task(kick->task[1]);
	rcu_read_unlock();
}

/**
 * mbuf_kick_end() - wake whom it says
 * @kick: whom
 *
 * Context: no locks held, in process context or from an irq_work; leaves the
 * critical section.
 */
static __always_inline void mbuf_kick_end(const struct mbuf_kick *kick)
	__releases(RCU)
{
	if (kick->task[0])
		mbuf_kick_task(kick->task[0]);
	if (unlikely((uintptr_t)kick->task[1] | (uintptr_t)kick->poll[0] |
		     (uintptr_t)kick->poll[1]))
		__mbuf_kick_more(kick);
	rcu_read_unlock();
}

/**
 * mbuf_waiter_init() - prepare to wait
 * @w: the waiter; the current task is who sleeps
 */
static inline void mbuf_waiter_init(struct mbuf_waiter *w)
{
	w->state = MBUF_WAITING;
	w->task = current;
	w->target = NULL;
	w->item = NULL;
	w->spare = NULL;
	w->seq = 0;
}

/* For tracing: who waits, 0 if nobody does. */
static inline pid_t mbuf_waiter_pid(const struct mbuf_waiter *w)
{
	return w->task ? w->task->pid : 0;
}

/* In a wake-up: it is a target's address, not a task's. */
#define MBUF_WAKE_TARGET	1UL

void __mbuf_wake_target(struct mbuf_target *t);

/**
 * mbuf_target_put() - drop a reference to a target
 * @t: the target, or NULL
 *
 * Context: may sleep.
 */
static inline void mbuf_target_put(struct mbuf_target *t)
{
	if (t && refcount_dec_and_test(&t->ref))
		t->ops->free(t);
}

/**
 * mbuf_waiter_finish() - end a wait
 * @w: the waiter, which must not be touched afterwards
 * @state: the outcome, MBUF_DONE or MBUF_GONE
 *
 * Context: under the object's lock, @w in its line.
 * Return: whom to wake: to be given to mbuf_wake() after unlocking.
 */
static inline unsigned long mbuf_waiter_finish(struct mbuf_waiter *w, int state)
{
	struct task_struct *task = w->task;
	unsigned long wake = (unsigned long)task;

	list_del(&w->link);
	if (likely(task)) {
		get_task_struct(task);
	} else if (w->target) {
		refcount_inc(&w->target->ref);
		wake = (unsigned long)w->target | MBUF_WAKE_TARGET;
	}
	/* Pairs with the acquire in mbuf_waiter_state(). */
	smp_store_release(&w->state, state);
	return wake;
}

/**
 * mbuf_wake() - wake or tell whose wait has ended
 * @wake: from mbuf_waiter_finish(), or 0 for nobody
 *
 * Context: process context, not under an object's lock. Drops the reference.
 */
static inline void mbuf_wake(unsigned long wake)
{
	struct task_struct *task = (struct task_struct *)wake;

	if (!wake)
		return;
	if (unlikely(wake & MBUF_WAKE_TARGET)) {
		__mbuf_wake_target((void *)(wake & ~MBUF_WAKE_TARGET));
		return;
	}
	wake_up_process(task);
	put_task_struct(task);
}

/**
 * mbuf_waiter_state() - how is it going?
 * @w: the caller's own waiter
 *
 * Return: its state; if it is not MBUF_WAITING, the rest of @w can be read.
 */
static inline int mbuf_waiter_state(const struct mbuf_waiter *w)
{
	/* Pairs with the release in mbuf_waiter_finish(). */
	return smp_load_acquire(&w->state);
}

#endif /* _MBUF_WAIT_H */
