/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of the stream example.
 *
 *	stream-producer.c	the process that reads the file and sends it
 *	stream-consumer.c	the process that receives it
 *	stream.c		starts both, prints what they report, compares
 *
 * Producer and consumer know nothing of each other but the queue. Both report
 * to their parent through a second queue, so that one process prints.
 */
#ifndef _MBUF_STREAM_H
#define _MBUF_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <nettle/sha2.h>
#include <nettle/version.h>

enum stream_side {
	STREAM_PRODUCER,
	STREAM_CONSUMER,
	STREAM_SIDES
};

/* How far a side is: struct stream_report.state. */
enum stream_state {
	STREAM_RUNNING,
	STREAM_DONE,
	STREAM_FAILED
};

/**
 * struct stream_report - one message of the queue of reports
 * @side: who reports: enum stream_side
 * @state: enum stream_state; any but STREAM_RUNNING is the last report
 * @messages: messages sent or received so far
 * @bytes: bytes in them
 * @blocked: STREAM_DONE: how often this side had to wait for the other
 * @digest: STREAM_DONE: SHA-256 of those bytes
 * @error: STREAM_FAILED: a line that says why
 */
struct stream_report {
	uint32_t side;
	uint32_t state;
	uint64_t messages;
	uint64_t bytes;
	uint64_t blocked;
	uint8_t digest[SHA256_DIGEST_SIZE];
	char error[160];
};

/**
 * struct stream - what a side has to know besides the queue
 * @reports: send right of the queue of reports
 * @step: bytes between two reports
 */
struct stream {
	int reports;
	uint64_t step;
};

/* Both return an exit status, and have reported why if it is not 0. */
int stream_produce(int queue, int file, const struct stream *s);
int stream_consume(int queue, const struct stream *s);

/*
 * Reports if @next bytes have been reached, and sets @next anew. Progress is
 * worth telling, but not worth waiting for. Returns false if nobody is left
 * to report to; then there is no use in going on.
 */
bool stream_progress(const struct stream *s,
		     const struct stream_report *report, uint64_t *next);

/* The last report, in case all went well or not; both return an exit status. */
int stream_done(const struct stream *s, struct stream_report *report,
		struct sha256_ctx *hash);
__attribute__((format(printf, 3, 4)))
int stream_failed(const struct stream *s, struct stream_report *report,
		  const char *format, ...);

#endif /* _MBUF_STREAM_H */
