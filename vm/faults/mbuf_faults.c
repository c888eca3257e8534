// SPDX-License-Identifier: GPL-2.0
/*
 * Does on purpose what vm/run has to notice: write the name of a fault to
 * /sys/module/mbuf_faults/parameters/fault. For vm/selftest only.
 */
#include <linux/bug.h>
#include <linux/module.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/string.h>

static bool refuse;
module_param(refuse, bool, 0);
MODULE_PARM_DESC(refuse, "do not load");

static struct kmem_cache *faults_cache;
static void *faults_lost;

static void faults_ctor(void *object)
{
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
	} else {
		return -EINVAL;
	}
	return 0;
}

static const struct kernel_param_ops faults_ops = {
	.set = faults_set,
};
module_param_cb(fault, &faults_ops, NULL, 0200);
MODULE_PARM_DESC(fault, "warn, bug, refcount, leak or hold");

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
