/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of capabilities share. */
#ifndef MBUF_SELFTESTS_CAP_H
#define MBUF_SELFTESTS_CAP_H

#include <sys/eventfd.h>
#include <sys/epoll.h>
#include "util.h"

/* A queue that takes capabilities, in the fixture's rfd and sfd. */
static inline int cap_queue(int session, uint32_t slots, uint32_t max_caps,
			    int *rfd, int *sfd)
{
	struct mbuf_queue_create c = {
		.slots = slots,
		.max_msg = 256,
		.flags = MBUF_QUEUE_CAPS,
		.max_caps = max_caps,
	};
	int ret = mbuf_queue_create_args(session, &c);

	if (ret >= 0) {
		*rfd = c.recv.fd;
		*sfd = c.send.fd;
	}
	return ret;
}

/* The same, but the receive right is a handle. */
static inline int cap_queue_handle(int session, uint32_t slots,
				   uint32_t max_caps, uint64_t *recv, int *sfd)
{
	struct mbuf_queue_create c = {
		.slots = slots,
		.max_msg = 256,
		.flags = MBUF_QUEUE_CAPS | MBUF_QUEUE_HANDLE,
		.max_caps = max_caps,
	};
	int ret = mbuf_queue_create_args(session, &c);

	if (ret >= 0) {
		*recv = c.recv.handle;
		*sfd = c.send.fd;
	}
	return ret;
}

static inline int send_caps(int sfd, int session, const char *text,
			    const struct mbuf_cap *caps, unsigned int nr)
{
	struct mbuf_msg msg = {
		.buf = (uintptr_t)text,
		.len = (uint32_t)strlen(text),
	};

	return mbuf_send_caps(sfd, &msg, caps, nr, session, MBUF_NOW);
}

/* Receives up to 64; the text must be @text. Returns how many, or an error. */
static inline int recv_caps(int rfd, int session, const char *text,
			    struct mbuf_cap *caps, uint32_t flags)
{
	unsigned int nr = 64;
	char buf[256];
	struct mbuf_msg msg = { .buf = (uintptr_t)buf, .len = sizeof(buf) };
	int ret = mbuf_recv_caps(rfd, &msg, caps, &nr, flags, session,
				 MBUF_NOW);

	if (ret < 0)
		return ret;
	if (msg.len != strlen(text) || memcmp(buf, text, msg.len))
		return -EILSEQ;
	return (int)nr;
}

/* A path, as a handle; the indices are of the caller's block. */
#define PATH(...) ({							\
	static _Thread_local struct {					\
		struct mbuf_path p;					\
		uint64_t index[32];					\
	} __path;							\
	const uint64_t __index[] = { __VA_ARGS__ };			\
									\
	memcpy(__path.index, __index, sizeof(__index));			\
	__path.p.nr = sizeof(__index) / sizeof(__index[0]);		\
	MBUF_HANDLE_PATH | (uintptr_t)&__path.p;			\
})

/* Are these two descriptors the same open file? */
static inline bool same_file(int a, int b)
{
	return !syscall(SYS_kcmp, getpid(), getpid(), 0, a, b);
}

#endif /* MBUF_SELFTESTS_CAP_H */
