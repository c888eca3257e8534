// SPDX-License-Identifier: LGPL-2.1-or-later
/* Errors, as mbuf means them. */
#include "internal.h"

const char *mbuf_strerror(int err)
{
	/* Compared as negative values: the most negative int has no opposite. */
	switch (err > 0 ? -err : err) {
	case 0:
		return "success";
	case -EAGAIN:
		return "would have to wait, and was told not to";
	case -ETIMEDOUT:
		return "the deadline has passed";
	case -EINTR:
		return "interrupted by a signal while waiting, without effect";
	case -EPIPE:
		return "no peer is left: all rights of the other side are closed";
	case -EMSGSIZE:
		return "the message is longer than the queue allows, or than the room for it";
	case -EBADMSG:
		return "the next message is empty, which read() cannot deliver, only RECV";
	case -ENOBUFS:
		return "the queue is full of messages of higher priority";
	case -EDQUOT:
		return "over the user's limit of mbuf objects, memory or bytes in flight";
	case -EBADF:
		return "not an open descriptor, or one without the right that this needs";
	case -ENOTTY:
		return "not an mbuf object, or one of another type";
	case -EINVAL:
		return "an argument is out of its range, or a flag is not known";
	case -E2BIG:
		return "asks for something that this version of the module does not know";
	case -EOPNOTSUPP:
		return "the object has no table of handles";
	case -EFAULT:
		return "an address is not accessible";
	case -ENOMEM:
		return "out of memory, or over the memory limit of the control group";
	case -EMFILE:
		return "the process has too many open descriptors (ulimit -n)";
	case -ENFILE:
		return "the system has too many open files";
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return "there is no /dev/mbuf; load the module: modprobe mbuf";
	case -EACCES:
	case -EPERM:
		return "no permission to open /dev/mbuf";
	default:
		return "unknown error";
	}
}
