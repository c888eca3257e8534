// SPDX-License-Identifier: LGPL-2.1-or-later
/* The receiving side of the stream example. */
#include <stdlib.h>

#include "example.h"
#include "stream.h"

int stream_consume(int queue, const struct stream *s)
{
	struct stream_report report = { .side = STREAM_CONSUMER };
	struct mbuf_queue_info info;
	struct sha256_ctx hash;
	uint64_t next = s->step;
	unsigned char *buf;
	ssize_t len;
	int err;

	/* The queue itself says how large its messages may be. */
	err = mbuf_queue_info(queue, &info);
	if (err < 0)
		return stream_failed(s, &report, "cannot ask about the queue: %s",
				     mbuf_strerror(err));
	buf = malloc(info.max_msg);
	if (!buf)
		return stream_failed(s, &report, "no memory for a message");

	sha256_init(&hash);
	while ((len = mbuf_recv(queue, buf, info.max_msg, MBUF_FOREVER)) >= 0) {
		sha256_update(&hash, (size_t)len, buf);
		report.messages++;
		report.bytes += (uint64_t)len;
		if (!stream_progress(s, &report, &next))
			return 1;
	}
	free(buf);
	/* -EPIPE: the queue is empty and no producer is left. */
	err = len == -EPIPE ? mbuf_queue_info(queue, &info) : (int)len;
	if (err < 0)
		return stream_failed(s, &report,
				     "cannot receive message %llu: %s",
				     (unsigned long long)report.messages + 1,
				     mbuf_strerror(err));
	report.blocked = info.recv_blocked;
	return stream_done(s, &report, &hash);
}
