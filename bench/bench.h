/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The benchmark: works x peers.
 *
 * A *work* is something that a program wants done ("send a message and receive
 * it"), a *peer* is a mechanism that can do it. A *row* is one work done by one
 * peer with one size of message. All rows of a work and a size are set up
 * together and measured in turns, so that a drift hits all of them.
 *
 * Most peers move messages through something with two ends. Such a peer fills
 * in struct chan_ops and can then do every work that is made of send and
 * receive. A peer that does a work in its own way brings a struct ops for it.
 */
#ifndef MBUF_BENCH_H
#define MBUF_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum work_id {
	WORK_SENDRECV,
	WORK_PINGPONG,
	WORK_BATCH64,
	WORK_BULK,
	WORK_IOCTL,
	WORK_SIGNAL,
	WORK_POLLALL,
	WORK_CONNECT_DENIED,
	WORK_FAULT,
	WORK_READPAGES,
	WORK_PASS,
	WORK_MESSAGE,
	WORK_HANDOFF,
	WORK_SEAL,
	WORK_LOOKUP,
	NR_WORKS,
};

/* Messages in one batch of WORK_BATCH64. */
#define BATCH_NR	64

struct peer;
struct row;
struct work;

/*
 * struct ops - how a row is measured. All functions return 0 or -errno.
 * @setup:	makes the objects, before the partner is forked
 * @serve:	the partner process; returns only when it fails, and is killed
 *		in the end. NULL if the work needs no partner
 * @run:	does the work @iters times. This is what is measured
 * @fetch:	gets into row.in what a @run that was verified has sent, if @run
 *		does not. It is not measured. May be NULL
 * @figures:	reports what is not counted in instructions, by figure(), after
 *		all is measured. @divide: how many times less is enough. May be
 *		NULL
 * @teardown:	releases what @setup made; the partner is gone by then
 * @no_data:	@run moves no data, so there is nothing to verify. Otherwise
 *		row.got must equal row.out after each @run (and @fetch)
 */
struct ops {
	int (*setup)(struct row *row);
	int (*serve)(struct row *row);
	int (*run)(struct row *row, unsigned int iters);
	int (*fetch)(struct row *row);
	int (*figures)(struct row *row, unsigned int divide);
	void (*teardown)(struct row *row);
	bool no_data;
};

/* One direction of a mechanism: who may send, and who may receive. */
struct chan {
	int send_fd;
	int recv_fd;
	size_t size;		/* of each message */
	unsigned int depth;	/* messages it must hold without blocking */
	void *priv;
};

/*
 * struct chan_ops - a mechanism that moves messages. 0 or -errno.
 * @open:	chan.size and chan.depth are set
 * @send:	sends chan.size bytes, blocks if there is no room
 * @recv:	receives chan.size bytes, blocks if there is no message
 * @send_n:	sends @nr messages that lie one behind the other; NULL if the
 *		mechanism has no call for that
 * @recv_n:	likewise
 * @close:	also called after a failed @open, with fds of -1 and a NULL
 *		priv where nothing was made
 */
struct chan_ops {
	int (*open)(struct chan *chan);
	int (*send)(struct chan *chan, const void *buf);
	int (*recv)(struct chan *chan, void *buf);
	int (*send_n)(struct chan *chan, const void *bufs, unsigned int nr);
	int (*recv_n)(struct chan *chan, void *bufs, unsigned int nr);
	void (*close)(struct chan *chan);
};

/**
 * struct peer - a mechanism
 * @name:	as it appears in the results
 * @chan:	how it moves messages, NULL if it has nothing with two ends
 * @own:	by work: how it does that work, in place of what @chan would do
 * @not:	bits of works that it does not do although it has @chan
 * @size:	if not 0, the only size of message it knows; it is then
 *		measured together with the smallest size of each work
 * @optional:	it is left out where it is not available, with the reason
 *		stated. A peer that is not optional is a failure then
 * @unavailable: returns why it cannot be used here, or NULL. May be NULL
 */
struct peer {
	const char *name;
	const struct chan_ops *chan;
	const struct ops *own[NR_WORKS];
	unsigned int not;
	size_t size;
	bool optional;
	const char *(*unavailable)(void);
};

/**
 * struct work - something to do
 * @name:	as it appears in the results
 * @chan:	how a peer with a channel does it; NULL if each has its own way
 * @depth:	messages that a queue must hold for it
 * @nr:		messages at a time (the size of row.out in messages)
 * @things:	@sizes say how many things there are, and a peer's only size of
 *		message does not matter
 * @sizes:	sizes of message, smallest first, ends with 0; and how often
 *		the work is done per measurement. Fixed, never found by time:
 *		about a million instructions, so that most measurements have no
 *		timer tick in them
 */
struct work {
	const char *name;
	const struct ops *chan;
	unsigned int depth;
	unsigned int nr;
	bool things;
	struct {
		size_t size;
		unsigned int iters;
	} sizes[5];
};

struct row {
	const struct work *work;
	const struct peer *peer;
	const struct ops *ops;
	size_t size;
	pid_t partner;
	char *out;		/* what is sent: work.nr messages */
	char *in;		/* room for what is received */
	const char *got;	/* where what was received lies: @in, mostly */
	struct chan chan[2];	/* to the partner and back, or only the first */
	void *priv;		/* of struct ops */
	double *samples;
};

extern const struct work works[NR_WORKS];
extern const struct peer *const peers[];

void close_fd(int *fd);
int read_full(int fd, void *buf, size_t size);

/* A result that is not a duration; @size: of how many things it is. */
void figure(const struct row *row, size_t size, const char *metric,
	    double value);

/* kernel-figures.c; 0 or -errno. */
int room_for_fds(unsigned int nr);
int slab_bytes(bool files, double *bytes);
/* What @nr attempts cost the partner and the kernel, as figures. */
int flood(struct row *row, unsigned int nr,
	  int (*attempt)(struct row *row, unsigned int nr));

#endif /* MBUF_BENCH_H */
