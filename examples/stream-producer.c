// SPDX-License-Identifier: LGPL-2.1-or-later
/* The sending side of the stream example. */
#include <stdlib.h>
#include <unistd.h>

#include "example.h"
#include "stream.h"

/* As read(2), but short only at the end of the file. */
static ssize_t read_full(int file, unsigned char *buf, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t got = read(file, buf + have, size - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		have += (size_t)got;
	}
	return (ssize_t)have;
}

int stream_produce(int queue, int file, const struct stream *s)
{
	struct stream_report report = { .side = STREAM_PRODUCER };
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
	while ((len = read_full(file, buf, info.max_msg)) > 0) {
		err = mbuf_send(queue, buf, (size_t)len, MBUF_FOREVER);
		if (err < 0)
			break;
		/* While the consumer has the message. */
		sha256_update(&hash, (size_t)len, buf);
		report.messages++;
		report.bytes += (uint64_t)len;
		if (!stream_progress(s, &report, &next))
			return 1;
	}
	free(buf);
	if (len < 0)
		return stream_failed(s, &report, "cannot read the file: %s",
				     strerror((int)-len));
	if (err >= 0)
		err = mbuf_queue_info(queue, &info);
	if (err < 0)
		return stream_failed(s, &report, "cannot send message %llu: %s",
				     (unsigned long long)report.messages + 1,
				     mbuf_strerror(err));
	report.blocked = info.send_blocked;

	/* The last send right: the consumer gets what is left, and the end. */
	close(queue);
	return stream_done(s, &report, &hash);
}
