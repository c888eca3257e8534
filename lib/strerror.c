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
		return "would have to wait, and was told not to; or there is no room";
	case -ETIMEDOUT:
		return "the deadline has passed";
	case -EINTR:
		return "interrupted by a signal while waiting";
	case -EPIPE:
		return "no peer is left: the other side is closed";
	case -ECONNRESET:
		return "the peer is gone, and has not said that it had nothing more to send";
	case -EPROTO:
		return "the peer does not keep to the rules of rings or streams";
	case -EMSGSIZE:
		return "longer than is allowed, or than the room for it";
	case -EBADMSG:
		return "an empty message, for read(); or one with capabilities: RECV_CAPS takes it";
	case -ENOBUFS:
		return "the queue is full of messages of higher priority";
	case -EBUSY:
		return "somebody else is at it, or waits for it; or it is attached already";
	case -ENOTCONN:
		return "the connection has not been approved yet";
	case -ECONNREFUSED:
		return "there is no listener of that name, or it did not want the connection";
	case -EADDRINUSE:
		return "there is a listener of that name already";
	case -ENAMETOOLONG:
		return "the name is longer than the module allows";
	case -ENOSPC:
		return "a list or table is full; too many accept queues; no protection key left";
	case -EALREADY:
		return "too late: the offer was taken, the consent used, or the message sent";
	case -ESTALE:
		return "a consent was used, replaced or revoked, or its offer is over";
	case -EXDEV:
		return "the consents are not those of the two ends of one channel";
	case -EDQUOT:
		return "over the user's limit of objects, memory, handles, or of what is in flight";
	case -EBADF:
		return "not an open descriptor, or one without the right that this needs";
	case -ENOTTY:
		return "not an mbuf object, or one of another type";
	case -EINVAL:
		return "an argument is out of its range, or a flag is not known";
	case -E2BIG:
		return "asks for something that this version of the module does not know";
	case -EOPNOTSUPP:
		return "not possible with this object, with this handle, or on this machine";
	case -EFAULT:
		return "an address is not accessible";
	case -ENOMEM:
		return "out of memory, or over the memory limit of the control group";
	case -EMFILE:
		return "the process has too many open descriptors (ulimit -n)";
	case -ENFILE:
		return "the system has too many open files";
	case -ENXIO:
		return "there is no /dev/mbuf; load the module: modprobe mbuf";
	case -ENOENT:
		return "no such handle or offer; not attached; or no /dev/mbuf: modprobe mbuf";
	case -ENOTDIR:
		return "a path of handles leads through what is no table";
	case -EEXIST:
		return "there is one already: a handle of this index, or a mapping at this address";
	case -EKEYREVOKED:
		return "the handle has been revoked";
	case -EKEYREJECTED:
		return "sealed with another key";
	case -ELOOP:
		return "it would own itself, or be owned or sealed at too many removes";
	case -ENODATA:
		return "nothing is loaded";
	case -ENODEV:
		return "cannot be mapped; or there is no /dev/mbuf: modprobe mbuf";
	case -EACCES:
		return "no permission: for /dev/mbuf, to connect there, or to do so by this handle";
	case -EPERM:
		return "not permitted: it belongs to another thread, or that takes a privilege";
	default:
		return "unknown error";
	}
}
