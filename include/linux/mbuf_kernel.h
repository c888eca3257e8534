/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mbuf for drivers: endpoints of channels that the kernel has.
 *
 * A channel connects two endpoints, each of which has a slot of 32 bytes that
 * the other one writes, and a count of signals (see uapi/linux/mbuf.h). Either
 * endpoint, or both, can belong to a driver. Documentation/kernel-api.md has an
 * introduction; what each function does stands at its definition, in kapi.c.
 *
 *	function			context
 *	mbuf_kernel_create		process, that of who gets the descriptor
 *	mbuf_kernel_pair		process
 *	mbuf_kernel_connect		process
 *	mbuf_kernel_listen		process
 *	mbuf_kernel_unlisten		process
 *	mbuf_kernel_write		any but NMI
 *	mbuf_kernel_signal		any but NMI
 *	mbuf_kernel_send		any but NMI
 *	mbuf_kernel_read		any but NMI
 *	mbuf_kernel_take		any but NMI
 *	mbuf_kernel_peer		process
 *	mbuf_kernel_close		process
 *	mbuf_kernel_flush		process
 *	mbuf_kernel_fd_install		process, as mbuf_kernel_create
 *	mbuf_kernel_fd_abort		process, as mbuf_kernel_create
 *
 * "Process" may sleep. "Any but NMI" never sleeps and never allocates, and may
 * be called in hard interrupts and under raw spinlocks, but not under locks of
 * the scheduler.
 *
 * Lifetime. An endpoint is the driver's from the function that makes it to
 * mbuf_kernel_close(). All have to be closed before the driver is unloaded. As
 * the driver uses symbols of mbuf, that stays loaded for as long.
 */
#ifndef _LINUX_MBUF_KERNEL_H
#define _LINUX_MBUF_KERNEL_H

#include <linux/ktime.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <uapi/linux/mbuf.h>

struct file;
struct net;
struct pid;
struct mbuf_kernel_end;
struct mbuf_kernel_listener;

/**
 * struct mbuf_kernel_msg - what there is at an endpoint
 * @data: what the peer wrote last; zeroes if it never did
 * @seq: how often it wrote: the number of that value
 * @signals: signals since they were last taken
 * @closed: the peer is gone; nothing will come any more
 */
struct mbuf_kernel_msg {
	u8 data[MBUF_SLOT_SIZE] __aligned(8);
	u64 seq;
	u32 signals;
	bool closed;
};

/**
 * struct mbuf_kernel_receiver - who is told of what comes to an endpoint
 * @receive: called when signals have come, and once when the peer has gone; or
 *	NULL. At an endpoint that was accepted it is called at the beginning,
 *	too, maybe without signals: from then on it can be written to. In process
 *	context, by a workqueue, and may sleep. Never by two at a time for one
 *	endpoint, nor from within a function of mbuf. Signals that come while it
 *	runs are told by another call, together
 * @priv: passed to it
 */
struct mbuf_kernel_receiver {
	void (*receive)(struct mbuf_kernel_end *end,
			const struct mbuf_kernel_msg *msg, void *priv);
	void *priv;
};

/**
 * struct mbuf_kernel_fd - an endpoint for user space, about to be handed out
 * @file: its file
 * @fd: its descriptor, reserved but not visible yet
 * @id: its identity, as user space knows it
 */
struct mbuf_kernel_fd {
	struct file *file;
	int fd;
	u64 id;
};

/**
 * struct mbuf_kernel_peer - who is at the other end
 * @pid: the process, valid for as long as the endpoint is open; NULL if it is
 *	a driver, or not known
 * @uid: its effective user id at the time when it got its endpoint
 * @gid: likewise its effective group id
 * @start: when it was started: nanoseconds of CLOCK_BOOTTIME
 * @kernel: it is a driver
 */
struct mbuf_kernel_peer {
	struct pid *pid;
	kuid_t uid;
	kgid_t gid;
	u64 start;
	bool kernel;
};

/**
 * struct mbuf_kernel_name - the name of a listener
 * @net: network namespace that it is in; NULL: the initial one
 * @name: the name; any bytes, not ended by a NUL
 * @len: its length, 1 to 255
 */
struct mbuf_kernel_name {
	struct net *net;
	const void *name;
	size_t len;
};

/**
 * struct mbuf_kernel_acceptor - who decides about connections
 * @accept: called for each: for which endpoint, from whom, and what has been
 *	written to it already. Returns 0 if it is accepted, after setting the
 *	receiver, which is all zeroes before; anything else refuses it. In
 *	process context, by a workqueue, may sleep, one after the other. An
 *	endpoint that was accepted is the driver's, which has to close it, even
 *	if who wanted to connect has gone meanwhile; one that was not is mbuf's.
 *	Writing to it gives -ENOTCONN until this has returned
 * @priv: passed to it
 */
struct mbuf_kernel_acceptor {
	int (*accept)(struct mbuf_kernel_end *end,
		      const struct mbuf_kernel_peer *peer,
		      const struct mbuf_kernel_msg *hello,
		      struct mbuf_kernel_receiver *receiver, void *priv);
	void *priv;
};

struct mbuf_kernel_end *
mbuf_kernel_create(const struct mbuf_kernel_receiver *receiver, u32 flags,
		   struct mbuf_kernel_fd *user);
void mbuf_kernel_fd_install(struct mbuf_kernel_fd *user);
void mbuf_kernel_fd_abort(struct mbuf_kernel_fd *user);
int mbuf_kernel_pair(const struct mbuf_kernel_receiver *first,
		     const struct mbuf_kernel_receiver *second,
		     struct mbuf_kernel_end *ends[2]);
struct mbuf_kernel_end *
mbuf_kernel_connect(const struct mbuf_kernel_name *to, kuid_t maker,
		    const void *hello, ktime_t deadline,
		    const struct mbuf_kernel_receiver *receiver);

struct mbuf_kernel_listener *
mbuf_kernel_listen(const struct mbuf_kernel_name *name, umode_t mode,
		   u32 backlog, const struct mbuf_kernel_acceptor *acceptor);
void mbuf_kernel_unlisten(struct mbuf_kernel_listener *kl);

int mbuf_kernel_write(struct mbuf_kernel_end *ke, const void *data);
int mbuf_kernel_signal(struct mbuf_kernel_end *ke);
int mbuf_kernel_send(struct mbuf_kernel_end *ke, const void *data);
int mbuf_kernel_read(struct mbuf_kernel_end *ke, struct mbuf_kernel_msg *msg);
int mbuf_kernel_take(struct mbuf_kernel_end *ke, struct mbuf_kernel_msg *msg);
void mbuf_kernel_peer(struct mbuf_kernel_end *ke,
		      struct mbuf_kernel_peer *peer);
void mbuf_kernel_close(struct mbuf_kernel_end *ke);
void mbuf_kernel_flush(void);

#endif /* _LINUX_MBUF_KERNEL_H */
