// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mbuf, and loading and unloading.
 *
 * Anybody may open it: all that can be made through it is charged to who opens
 * it, and nothing that others made can be reached without a descriptor that
 * they gave away. Opening cannot load the module, as an alias for that takes a
 * number that is not dynamic; asking for its netlink family does. Unloading is
 * refused while any descriptor is open, as each pins the module through its
 * file_operations, and while a driver is loaded that uses kapi.c.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include "bind.h"
#include "channel.h"
#include "kapi.h"
#include "listener.h"
#include "netlink.h"
#include "object.h"
#include "quota.h"
#include "registry.h"
#include "session.h"

static struct miscdevice mbuf_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "mbuf",
	.fops	= &mbuf_session_fops,
	.mode	= 0666,
};

static int __init mbuf_init(void)
{
	int err;

	mbuf_object_init();
	mbuf_listener_init();
	err = mbuf_quota_init();
	if (err)
		return err;
	err = mbuf_registry_init();
	if (err)
		goto quota;
	err = mbuf_bind_init();
	if (err)
		goto registry;
	err = mbuf_channel_init();
	if (err)
		goto bind;
	err = mbuf_kernel_init();
	if (err)
		goto channel;
	err = mbuf_netlink_init();
	if (err)
		goto kernel;
	err = misc_register(&mbuf_device);
	if (err)
		goto netlink;
	return 0;

netlink:
	mbuf_netlink_exit();
kernel:
	mbuf_kernel_exit();
channel:
	mbuf_channel_exit();
bind:
	mbuf_bind_exit();
registry:
	mbuf_registry_exit();
quota:
	mbuf_quota_exit();
	return err;
}

static void __exit mbuf_exit(void)
{
	misc_deregister(&mbuf_device);
	mbuf_netlink_exit();
	mbuf_listener_exit();
	mbuf_kernel_exit();
	mbuf_channel_exit();
	mbuf_bind_exit();
	mbuf_registry_exit();
	/* Last, as the others may have left something to do. */
	mbuf_quota_exit();
}

module_init(mbuf_init);
module_exit(mbuf_exit);

MODULE_DESCRIPTION("Message buffers for local inter-process communication");
MODULE_AUTHOR("The mbuf developers");
MODULE_LICENSE("GPL");
