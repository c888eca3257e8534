// SPDX-License-Identifier: LGPL-2.1-or-later
/* Listeners: names to which others connect. */
#include "internal.h"

/*
 * Names are far shorter than what 32 bits can count: a longer length is passed
 * as the longest that there is, which is too long as well.
 */
static uint32_t libmbuf_name_len(size_t len)
{
	return len < UINT32_MAX ? (uint32_t)len : UINT32_MAX;
}

int mbuf_listen(int session, const void *name, size_t len, uint32_t mode,
		uint32_t backlog)
{
	struct mbuf_listen listen = {
		.name = libmbuf_addr(name),
		.name_len = libmbuf_name_len(len),
		.flags = MBUF_LISTEN_DETACHED,
		.mode = mode,
		.backlog = backlog,
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_LISTEN, &listen);

	return ret < 0 ? ret : listen.listener.fd;
}

int mbuf_listen_args(int session, struct mbuf_listen *args)
{
	return libmbuf_ioctl(session, MBUF_IOC_LISTEN, args);
}

int mbuf_listener_set(int fd, const struct mbuf_listener_set *set)
{
	struct mbuf_listener_set copy = *set;

	return libmbuf_ioctl(fd, MBUF_IOC_LISTENER_SET, &copy);
}

static int libmbuf_acl(int fd, uint32_t uid, uint32_t op)
{
	struct mbuf_listener_acl acl = {
		.uid = uid,
		.op = op,
	};

	return libmbuf_ioctl(fd, MBUF_IOC_LISTENER_ACL, &acl);
}

int mbuf_listener_allow(int fd, uint32_t uid)
{
	return libmbuf_acl(fd, uid, MBUF_ACL_ALLOW);
}

int mbuf_listener_deny(int fd, uint32_t uid)
{
	return libmbuf_acl(fd, uid, MBUF_ACL_DENY);
}

int mbuf_listener_forget(int fd, uint32_t uid)
{
	return libmbuf_acl(fd, uid, MBUF_ACL_FORGET);
}

int mbuf_listener_info(int fd, void *name, size_t size,
		       struct mbuf_listener_info *out)
{
	struct mbuf_listener_info info = {
		.name = libmbuf_addr(name),
		.name_len = name ? libmbuf_name_len(size) : 0,
	};
	int ret = libmbuf_ioctl(fd, MBUF_IOC_LISTENER_INFO, &info);

	if (ret >= 0)
		*out = info;
	else if (ret == -EMSGSIZE)
		out->name_len = info.name_len;
	return ret;
}

int mbuf_accept_queue(int fd, uint32_t backlog)
{
	struct mbuf_accept_queue queue = {
		.backlog = backlog,
		.flags = MBUF_LISTEN_DETACHED,
	};
	int ret = libmbuf_ioctl(fd, MBUF_IOC_ACCEPT_QUEUE, &queue);

	return ret < 0 ? ret : queue.queue.fd;
}

int mbuf_accept_queue_args(int fd, struct mbuf_accept_queue *args)
{
	return libmbuf_ioctl(fd, MBUF_IOC_ACCEPT_QUEUE, args);
}

int mbuf_connect(int session, const void *name, size_t len, uint64_t deadline)
{
	struct mbuf_connect connect = {
		.wait = libmbuf_wait(deadline),
		.name = libmbuf_addr(name),
		.name_len = libmbuf_name_len(len),
		.end.flags = MBUF_END_DETACHED,
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_CONNECT, &connect);

	return ret < 0 ? ret : connect.end.ref.fd;
}

int mbuf_connect_args(int session, struct mbuf_connect *args,
		      uint64_t deadline)
{
	args->wait = libmbuf_wait(deadline);
	return libmbuf_ioctl(session, MBUF_IOC_CONNECT, args);
}

int mbuf_accept(int fd, struct mbuf_peer *peer, uint64_t deadline)
{
	struct mbuf_accept accept = {
		.wait = libmbuf_wait(deadline),
		.end.flags = MBUF_END_DETACHED,
	};
	int ret = libmbuf_ioctl(fd, MBUF_IOC_ACCEPT, &accept);

	if (ret < 0)
		return ret;
	if (peer)
		*peer = accept.peer;
	return accept.end.ref.fd;
}

int mbuf_accept_args(int fd, struct mbuf_accept *args, uint64_t deadline)
{
	args->wait = libmbuf_wait(deadline);
	return libmbuf_ioctl(fd, MBUF_IOC_ACCEPT, args);
}
