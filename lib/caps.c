// SPDX-License-Identifier: LGPL-2.1-or-later
/* Capabilities: messages that carry them, tables, and handles. */
#include "internal.h"

int mbuf_queue_create_args(int session, struct mbuf_queue_create *args)
{
	return libmbuf_ioctl(session, MBUF_IOC_QUEUE_CREATE, args);
}

int mbuf_send_caps(int fd, struct mbuf_msg *msg, const struct mbuf_cap *caps,
		   unsigned int nr, int session, uint64_t deadline)
{
	struct mbuf_xfer_caps xfer = {
		.wait = libmbuf_wait(deadline),
		.msg = *msg,
		.caps = nr ? libmbuf_addr(caps) : 0,
		.nr_caps = nr,
		.stride = nr ? sizeof(*caps) : 0,
		.table.fd = session,
	};
	int ret = libmbuf_ioctl(fd, MBUF_IOC_SEND_CAPS, &xfer);

	if (ret >= 0)
		msg->seq = xfer.msg.seq;
	return ret;
}

int mbuf_recv_caps(int fd, struct mbuf_msg *msg, struct mbuf_cap *caps,
		   unsigned int *nr, uint32_t flags, int session,
		   uint64_t deadline)
{
	struct mbuf_xfer_caps xfer = {
		.wait = libmbuf_wait(deadline),
		.msg = *msg,
		.flags = flags,
		.caps = *nr ? libmbuf_addr(caps) : 0,
		.nr_caps = *nr,
		.stride = *nr ? sizeof(*caps) : 0,
		.table.fd = session,
	};
	int ret = libmbuf_ioctl(fd, MBUF_IOC_RECV_CAPS, &xfer);

	if (ret >= 0) {
		*msg = xfer.msg;
		*nr = xfer.nr_caps;
	} else if (ret == -EMSGSIZE) {
		msg->len = xfer.msg.len;
		*nr = xfer.nr_caps;
	}
	return ret;
}

int mbuf_table_create(int session, uint64_t table, uint64_t *handle)
{
	struct mbuf_table_create create = {
		.target = table,
		.handle = *handle,
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_TABLE_CREATE, &create);

	if (ret >= 0)
		*handle = create.handle;
	return ret;
}

int mbuf_table_list(int session, uint64_t table, uint64_t *start,
		    struct mbuf_handle_entry *entries, unsigned int nr)
{
	struct mbuf_table_list list = {
		.target = table,
		.start = *start,
		.entries = libmbuf_addr(entries),
		.nr = nr,
		.stride = sizeof(*entries),
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_TABLE_LIST, &list);

	if (ret >= 0)
		*start = list.start;
	return ret;
}

int mbuf_handle_put(int session, int fd, uint64_t table, uint32_t rights,
		    uint64_t *handle)
{
	struct mbuf_handle_put put = {
		.target = table,
		.ref.fd = fd,
		.handle = *handle,
		.rights = rights,
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_HANDLE_PUT, &put);

	if (ret >= 0)
		*handle = put.handle;
	return ret;
}

int mbuf_handle_open(int session, uint64_t handle)
{
	struct mbuf_handle_open open = { .target = handle };
	int ret = libmbuf_ioctl(session, MBUF_IOC_HANDLE_OPEN, &open);

	return ret < 0 ? ret : open.ref.fd;
}

static int libmbuf_handle_copy(int session, unsigned long cmd, uint64_t from,
			       uint64_t table, uint32_t rights,
			       uint64_t *handle)
{
	struct mbuf_handle_copy copy = {
		.target = table,
		.from = from,
		.handle = *handle,
		.rights = rights,
	};
	int ret = libmbuf_ioctl(session, cmd, &copy);

	if (ret >= 0)
		*handle = copy.handle;
	return ret;
}

int mbuf_handle_copy(int session, uint64_t from, uint64_t table,
		     uint32_t rights, uint64_t *handle)
{
	return libmbuf_handle_copy(session, MBUF_IOC_HANDLE_COPY, from, table,
				   rights, handle);
}

int mbuf_handle_move(int session, uint64_t from, uint64_t table,
		     uint32_t rights, uint64_t *handle)
{
	return libmbuf_handle_copy(session, MBUF_IOC_HANDLE_MOVE, from, table,
				   rights, handle);
}

static int libmbuf_handle(int session, unsigned long cmd, uint64_t handle)
{
	struct mbuf_handle arg = { .target = handle };

	return libmbuf_ioctl(session, cmd, &arg);
}

int mbuf_handle_delete(int session, uint64_t handle)
{
	return libmbuf_handle(session, MBUF_IOC_HANDLE_DELETE, handle);
}

int mbuf_handle_revoke(int session, uint64_t handle)
{
	return libmbuf_handle(session, MBUF_IOC_HANDLE_REVOKE, handle);
}

int mbuf_handle_info(int session, uint64_t handle, struct mbuf_handle_info *out)
{
	struct mbuf_handle_info info = { .target = handle };
	int ret = libmbuf_ioctl(session, MBUF_IOC_HANDLE_INFO, &info);

	if (ret >= 0)
		*out = info;
	return ret;
}

int mbuf_handle_queue_info(int session, uint64_t handle,
			   struct mbuf_queue_info *out)
{
	struct mbuf_queue_info info = { .target = handle };
	int ret = libmbuf_ioctl(session, MBUF_IOC_QUEUE_INFO, &info);

	if (ret >= 0)
		*out = info;
	return ret;
}

int mbuf_handle_send(int session, uint64_t handle, struct mbuf_msg *msg,
		     const struct mbuf_cap *caps, unsigned int nr,
		     uint64_t deadline)
{
	struct mbuf_xfer_caps xfer = {
		.target = handle,
		.wait = libmbuf_wait(deadline),
		.msg = *msg,
		.caps = nr ? libmbuf_addr(caps) : 0,
		.nr_caps = nr,
		.stride = nr ? sizeof(*caps) : 0,
		.table.fd = -1,
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_SEND_CAPS, &xfer);

	if (ret >= 0)
		msg->seq = xfer.msg.seq;
	return ret;
}

int mbuf_handle_recv(int session, uint64_t handle, struct mbuf_msg *msg,
		     struct mbuf_cap *caps, unsigned int *nr, uint32_t flags,
		     uint64_t deadline)
{
	unsigned int room = nr ? *nr : 0;
	struct mbuf_xfer_caps xfer = {
		.target = handle,
		.wait = libmbuf_wait(deadline),
		.msg = *msg,
		.flags = flags,
		.caps = room ? libmbuf_addr(caps) : 0,
		.nr_caps = room,
		.stride = room ? sizeof(*caps) : 0,
		.table.fd = -1,
	};
	int ret = libmbuf_ioctl(session, MBUF_IOC_RECV_CAPS, &xfer);

	if (ret >= 0) {
		*msg = xfer.msg;
		if (nr)
			*nr = xfer.nr_caps;
	} else if (ret == -EMSGSIZE) {
		msg->len = xfer.msg.len;
		if (nr)
			*nr = xfer.nr_caps;
	}
	return ret;
}

int mbuf_give(int end, int send_fd)
{
	struct mbuf_give give = { .ref.fd = send_fd };

	return libmbuf_ioctl(end, MBUF_IOC_GIVE, &give);
}

int mbuf_given(int end)
{
	struct mbuf_give give = { .ref.fd = -1 };
	int ret = libmbuf_ioctl(end, MBUF_IOC_GIVEN, &give);

	return ret < 0 ? ret : give.ref.fd;
}
