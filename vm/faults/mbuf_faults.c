// SPDX-License-Identifier: GPL-2.0
/*
 * Does on purpose what vm/run has to notice: write the name of a fault to
 * /sys/module/mbuf_faults/parameters/fault. For vm/selftest only.
 */
#include <asm/rwonce.h>
#include <linux/bug.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timer.h>

static bool refuse;
module_param(refuse, bool, 0);
MODULE_PARM_DESC(refuse, "do not load");

static struct kmem_cache *faults_cache;
static void *faults_lost;

static void faults_ctor(void *object)
{
}

/* What is wrong only for those who look: a plain kernel says nothing. */

static int faults_freed(void)
{
	char *object = kmalloc(64, GFP_KERNEL);

	if (!object)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(object);
	kfree(object);
	READ_ONCE(*object);
	return 0;
}

static int faults_lose(void)
{
	void *object = kmalloc(64, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(object);
	return object ? 0 : -ENOMEM;
}

static DEFINE_MUTEX(faults_first);
static DEFINE_MUTEX(faults_second);

static void faults_order(void)
{
	mutex_lock(&faults_first);
	mutex_lock(&faults_second);
	mutex_unlock(&faults_second);
	mutex_unlock(&faults_first);
	mutex_lock(&faults_second);
	mutex_lock(&faults_first);
	mutex_unlock(&faults_first);
	mutex_unlock(&faults_second);
}

static void faults_sleep(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
}

static int __rcu *faults_pointer;

static void faults_rcu(void)
{
	OPTIMIZER_HIDE_VAR(faults_pointer);
	if (rcu_dereference(faults_pointer))
		pr_info("there is nothing behind it\n");
}

static void faults_undefined(void)
{
	static struct {
		int array[4];
		int next;
	} numbers;
	static unsigned char truth = 2;
	int n = 40;

	OPTIMIZER_HIDE_VAR(n);
	numbers.next = 1 << n;
	numbers.next = READ_ONCE(*(bool *)&truth);
	n = 4;
	OPTIMIZER_HIDE_VAR(n);
	numbers.next = numbers.array[n];
}

static void faults_expire(struct timer_list *timer)
{
}

static int faults_timer(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return -ENOMEM;
	timer_setup(timer, faults_expire, 0);
	mod_timer(timer, jiffies + 3600 * HZ);
	OPTIMIZER_HIDE_VAR(timer);
	kfree(timer);
	return 0;
}

static void faults_list(void)
{
	LIST_HEAD(head);
	struct list_head entry;

	list_add(&entry, &head);
	list_add(&entry, &head);
}

static unsigned long faults_count;
static DECLARE_COMPLETION(faults_done);

static int faults_racer(void *unused)
{
	int i;

	for (i = 0; i < 1000000; i++) {
		faults_count++;
		barrier();
		if (i % 1000 == 0)
			cond_resched();
	}
	complete(&faults_done);
	set_current_state(TASK_INTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_INTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static int faults_race(void)
{
	struct task_struct *racer[2];
	int i;

	for (i = 0; i < 2; i++) {
		racer[i] = kthread_create_on_cpu(faults_racer, NULL, i,
						 "faults/%u");
		if (IS_ERR(racer[i])) {
			int err = PTR_ERR(racer[i]);

			while (i--)
				kthread_stop(racer[i]);
			return err;
		}
	}
	for (i = 0; i < 2; i++)
		wake_up_process(racer[i]);
	for (i = 0; i < 2; i++)
		wait_for_completion(&faults_done);
	for (i = 0; i < 2; i++)
		kthread_stop(racer[i]);
	return 0;
}

static int faults_set(const char *val, const struct kernel_param *kp)
{
	if (sysfs_streq(val, "warn")) {
		WARN_ON(1);
	} else if (sysfs_streq(val, "bug")) {
		BUG();
	} else if (sysfs_streq(val, "refcount")) {
		refcount_t ref = REFCOUNT_INIT(1);

		/* The second one drops below zero, and is reported. */
		if (refcount_dec_and_test(&ref))
			refcount_dec(&ref);
	} else if (sysfs_streq(val, "leak")) {
		/* Its cache is destroyed with the object still in it. */
		faults_lost = kmem_cache_alloc(faults_cache, GFP_KERNEL);
		return faults_lost ? 0 : -ENOMEM;
	} else if (sysfs_streq(val, "hold")) {
		/* Cannot be unloaded any more. */
		__module_get(THIS_MODULE);
	} else if (sysfs_streq(val, "user")) {
		/* Not by means that are made for it, nor seen by KASAN. */
		READ_ONCE_NOCHECK(*(unsigned long *)current->mm->start_stack);
	} else if (sysfs_streq(val, "freed")) {
		return faults_freed();
	} else if (sysfs_streq(val, "lose")) {
		return faults_lose();
	} else if (sysfs_streq(val, "order")) {
		faults_order();
	} else if (sysfs_streq(val, "sleep")) {
		faults_sleep();
	} else if (sysfs_streq(val, "rcu")) {
		faults_rcu();
	} else if (sysfs_streq(val, "undefined")) {
		faults_undefined();
	} else if (sysfs_streq(val, "timer")) {
		return faults_timer();
	} else if (sysfs_streq(val, "list")) {
		faults_list();
	} else if (sysfs_streq(val, "race")) {
		return faults_race();
	} else {
		return -EINVAL;
	}
	return 0;
}

static const struct kernel_param_ops faults_ops = {
	.set = faults_set,
};
module_param_cb(fault, &faults_ops, NULL, 0200);
MODULE_PARM_DESC(fault, "which one: see the source");

static int __init faults_init(void)
{
	if (refuse)
		return -ENODEV;
	/* A cache with a constructor is not merged with others. */
	faults_cache = kmem_cache_create("mbuf_faults", 64, 0, 0, faults_ctor);
	return faults_cache ? 0 : -ENOMEM;
}
module_init(faults_init);

static void __exit faults_exit(void)
{
	kmem_cache_destroy(faults_cache);
}
module_exit(faults_exit);

MODULE_DESCRIPTION("Faults on purpose, to test the test runner");
MODULE_LICENSE("GPL");
