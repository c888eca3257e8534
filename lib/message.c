// SPDX-License-Identifier: LGPL-2.1-or-later
/* Message objects, and sealed messages. */
#include "internal.h"

int mbuf_message_create(int session, struct mbuf_message_create *args)
{
	return libmbuf_ioctl(session, MBUF_IOC_MESSAGE_CREATE, args);
}

int mbuf_message_load(int session, uint64_t message, const void *buf,
		      size_t len, const struct mbuf_cap *caps, unsigned int nr)
{
	struct mbuf_message_load load = {
		.target = message,
		.msg.buf = libmbuf_addr(buf),
		.msg.len = len < UINT32_MAX ? (uint32_t)len : UINT32_MAX,
		.caps = nr ? libmbuf_addr(caps) : 0,
		.nr_caps = nr,
		.stride = nr ? sizeof(*caps) : 0,
	};

	return libmbuf_ioctl(session, MBUF_IOC_MESSAGE_LOAD, &load);
}

int mbuf_message_load_args(int session, struct mbuf_message_load *args)
{
	return libmbuf_ioctl(session, MBUF_IOC_MESSAGE_LOAD, args);
}

int mbuf_message_enqueue(int session, uint64_t message, int fd)
{
	struct mbuf_message_enqueue enqueue = {
		.target = message,
		.dest.fd = fd,
	};

	return libmbuf_ioctl(session, MBUF_IOC_MESSAGE_ENQUEUE, &enqueue);
}

int mbuf_message_enqueue_handle(int session, uint64_t message, uint64_t handle)
{
	struct mbuf_message_enqueue enqueue = {
		.target = message,
		.dest.fd = -1,
		.dest.flags = MBUF_REF_HANDLE,
		.dest.handle = handle,
	};

	return libmbuf_ioctl(session, MBUF_IOC_MESSAGE_ENQUEUE, &enqueue);
}

int mbuf_message_cancel(int session, uint64_t message)
{
	struct mbuf_handle arg = { .target = message };

	return libmbuf_ioctl(session, MBUF_IOC_MESSAGE_CANCEL, &arg);
}

int mbuf_message_info(int session, uint64_t message,
		      struct mbuf_message_info *out)
{
	struct mbuf_message_info info = { .target = message };
	int ret = libmbuf_ioctl(session, MBUF_IOC_MESSAGE_INFO, &info);

	if (ret >= 0)
		*out = info;
	return ret;
}

int mbuf_message_grant(int session, uint64_t message, uint64_t table,
		       uint32_t flags, uint64_t *handle)
{
	struct mbuf_message_grant grant = {
		.target = message,
		.table = table,
		.handle = *handle,
		.flags = flags,
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_MESSAGE_GRANT, &grant);

	if (ret >= 0)
		*handle = grant.handle;
	return ret;
}

int mbuf_key_create(int session, uint64_t table, uint64_t *handle)
{
	struct mbuf_key_create create = {
		.target = table,
		.handle = *handle,
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_KEY_CREATE, &create);

	if (ret >= 0)
		*handle = create.handle;
	return ret;
}

int mbuf_seal(int session, struct mbuf_seal *args)
{
	return libmbuf_ioctl(session, MBUF_IOC_SEAL, args);
}

int mbuf_unseal(int session, struct mbuf_unseal *args)
{
	return libmbuf_ioctl(session, MBUF_IOC_UNSEAL, args);
}
