/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/mbuf-test: a driver that uses mbuf, made to be tested.
 *
 * Each open file is a driver of its own, with one endpoint at most. An ioctl
 * that fails has had no effect.
 */
#ifndef MBUF_TEST_H
#define MBUF_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* What goes over channels: four words, made from a number. */
struct mbuf_test_value {
	__u64 word[4];
};

/* What a receiver does: struct mbuf_test_open.flags. */
#define MBUF_TEST_RECEIVE	0x01	/* it is told */
#define MBUF_TEST_ECHO		0x02	/* sends the value back */
#define MBUF_TEST_GREET		0x04	/* at an accepted end: sends a value */
/* Numbers that are commands to a receiver, in values that are whole. */
#define MBUF_TEST_CMD_BLOCK	(~0ULL)		/* until RELEASE */
#define MBUF_TEST_CMD_CLOSE	(~0ULL - 1)	/* close the own endpoint */

/**
 * struct mbuf_test_open - make a channel
 * @flags: MBUF_TEST_*
 * @end_flags: MBUF_END_* of the endpoint that is handed out
 * @fd: out: it
 * @resv: 0
 * @id: out: its identity
 */
struct mbuf_test_open {
	__u32 flags;
	__u32 end_flags;
	__s32 fd;
	__u32 resv;
	__u64 id;
};

/**
 * struct mbuf_test_timer - start or stop the interrupt source
 * @period: ns from one interrupt to the next; 0 stops it
 * @limit: it stops by itself after so many values were sent; 0: it does not
 * @hold: ns between looking up the endpoint and using it
 *
 * In a hard interrupt it sends the number of the interrupt.
 */
struct mbuf_test_timer {
	__u64 period;
	__u64 limit;
	__u64 hold;
};

/* Where SEND is called. */
enum mbuf_test_context {
	MBUF_TEST_PROCESS,
	MBUF_TEST_PREEMPT_OFF,
	MBUF_TEST_BH_OFF,
	MBUF_TEST_IRQ_OFF,
	MBUF_TEST_RAW_LOCK,	/* under a raw spinlock, interrupts disabled */
	MBUF_TEST_SOFT_IRQ,
	MBUF_TEST_HARD_IRQ,
	MBUF_TEST_CONTEXTS
};

enum mbuf_test_op {
	MBUF_TEST_OP_WRITE,
	MBUF_TEST_OP_SIGNAL,
	MBUF_TEST_OP_SEND,
	MBUF_TEST_OP_READ,
	MBUF_TEST_OP_TAKE,
	MBUF_TEST_OPS
};

/**
 * struct mbuf_test_call - call one function of mbuf
 * @context: enum mbuf_test_context
 * @op: enum mbuf_test_op
 * @result: out: what it returned
 * @right: out: 1 if it was called in the context it had to
 * @value: WRITE, SEND: what to write. READ, TAKE: out
 * @seq: READ, TAKE: out
 * @signals: READ, TAKE: out
 * @closed: READ, TAKE: out
 */
struct mbuf_test_call {
	__u32 context;
	__u32 op;
	__s32 result;
	__u32 right;
	struct mbuf_test_value value;
	__u64 seq;
	__u32 signals;
	__u32 closed;
};

/**
 * struct mbuf_test_stats - what has happened so far
 * @fired: values that the interrupt source has sent
 * @refused: that it could not send, as the peer was gone
 * @late: that it could not send, as its own endpoint was being closed
 * @none: interrupts that found no endpoint
 * @not_hard: interrupts that were not hard
 * @received: calls of the receiver
 * @signals: signals that it was told of
 * @closed: how often it was told that the peer has gone
 * @torn: values that were not whole
 * @nested: calls of the receiver while it was running
 * @after: calls of the receiver after the endpoint was closed
 * @again: calls of the receiver after it was told that the peer has gone
 * @atomic: calls of the receiver where it could not have slept
 * @seq: number of the value that it got last
 * @last: the number that this was made from
 * @blocked: receivers that wait for RELEASE
 * @active: the interrupt source runs
 */
struct mbuf_test_stats {
	__u64 fired;
	__u64 refused;
	__u64 late;
	__u64 none;
	__u64 not_hard;
	__u64 received;
	__u64 signals;
	__u64 closed;
	__u64 torn;
	__u64 nested;
	__u64 after;
	__u64 again;
	__u64 atomic;
	__u64 seq;
	__u64 last;
	__u32 blocked;
	__u32 active;
};

/**
 * struct mbuf_test_peer - who the driver says is at the other end
 * @pid: in the initial namespaces, as are uid and gid
 * @uid: its user
 * @gid: its group
 * @kernel: it is a driver
 * @start: when it was started
 */
struct mbuf_test_peer {
	__u32 pid;
	__u32 uid;
	__u32 gid;
	__u32 kernel;
	__u64 start;
};

/**
 * struct mbuf_test_drivers - two drivers pass pages to each other
 * @rounds: how many pages each of them passes
 * @context: where the first one is sent
 * @verified: out: pages whose content was right
 * @wrong: out: pages that were not as they were said to be
 */
struct mbuf_test_drivers {
	__u32 rounds;
	__u32 context;
	__u64 verified;
	__u64 wrong;
};

/**
 * struct mbuf_test_race - close both ends of channels between drivers, while
 *	interrupts and receivers use them
 * @rounds: how many channels
 * @seed: of the delays
 * @sent: out: values that were sent
 * @received: out: calls of receivers
 * @late: out: calls on an endpoint that was being closed
 * @wrong: out: what must not happen: calls of receivers that were nested, or
 *	after the endpoint was closed; ends that were told twice
 * @self: out: endpoints that their receivers have closed
 */
struct mbuf_test_race {
	__u32 rounds;
	__u32 seed;
	__u64 sent;
	__u64 received;
	__u64 late;
	__u64 wrong;
	__u64 self;
};

/**
 * struct mbuf_test_listen - listen
 * @name: address of the name
 * @len: its length; more than 256 counts as 256
 * @mode: who may connect
 * @backlog: as mbuf_kernel_listen()
 * @flags: MBUF_TEST_* of endpoints that are accepted
 * @refuse: the user whose connections the acceptor refuses, -1: none. A driver's
 *	are those of user 0
 * @resv: 0
 *
 * Endpoints that are accepted close themselves when the peer has gone, if they
 * have a receiver. All are closed with the file.
 */
struct mbuf_test_listen {
	__u64 name;
	__u32 len;
	__u32 mode;
	__u32 backlog;
	__u32 flags;
	__s32 refuse;
	__u32 resv;
};

/* What MBUF_TEST_GREET sends. */
#define MBUF_TEST_GREETING	4711

/**
 * struct mbuf_test_connect - connect; the endpoint is then as that of OPEN
 * @name: address of the name
 * @len: its length; more than 256 counts as 256
 * @flags: MBUF_TEST_*
 * @maker: the user who must have made the listener; -1: anybody
 * @greet: 1: write and signal @hello
 * @hello: a number
 * @wait: ns until the deadline; 0: now; ~0: no deadline
 */
struct mbuf_test_connect {
	__u64 name;
	__u32 len;
	__u32 flags;
	__s32 maker;
	__u32 greet;
	__u64 hello;
	__u64 wait;
};

/**
 * struct mbuf_test_accepts - what the acceptor has seen
 * @asked: connections
 * @refused: of these, that it refused
 * @drivers: that came from drivers
 * @wrong: calls that were nested, or after UNLISTEN; endpoints that could be
 *	written to already
 * @open: endpoints that were accepted and are open
 * @resv: 0
 * @hello: the number that it saw last
 * @peer: who asked last
 */
struct mbuf_test_accepts {
	__u64 asked;
	__u64 refused;
	__u64 drivers;
	__u64 wrong;
	__u32 open;
	__u32 resv;
	__u64 hello;
	struct mbuf_test_peer peer;
};

#define MBUF_TEST_TYPE		0xD7
#define MBUF_TEST_OPEN		_IOWR(MBUF_TEST_TYPE, 0, struct mbuf_test_open)
#define MBUF_TEST_TIMER		_IOW(MBUF_TEST_TYPE, 1, struct mbuf_test_timer)
#define MBUF_TEST_CALL		_IOWR(MBUF_TEST_TYPE, 2, struct mbuf_test_call)
#define MBUF_TEST_STATS		_IOR(MBUF_TEST_TYPE, 3, struct mbuf_test_stats)
#define MBUF_TEST_PEER		_IOR(MBUF_TEST_TYPE, 4, struct mbuf_test_peer)
/* Close the driver's endpoint. The interrupt source goes on. */
#define MBUF_TEST_CLOSE		_IO(MBUF_TEST_TYPE, 5)
/* Let receivers that wait go on, from now on for ever. */
#define MBUF_TEST_RELEASE	_IO(MBUF_TEST_TYPE, 6)
#define MBUF_TEST_DRIVERS	_IOWR(MBUF_TEST_TYPE, 7, struct mbuf_test_drivers)
#define MBUF_TEST_RACE		_IOWR(MBUF_TEST_TYPE, 8, struct mbuf_test_race)
/* Make and keep so many channels between drivers, until the file is closed. */
#define MBUF_TEST_KEEP		_IOW(MBUF_TEST_TYPE, 9, __u32)

#define MBUF_TEST_LISTEN	_IOW(MBUF_TEST_TYPE, 10, struct mbuf_test_listen)
#define MBUF_TEST_UNLISTEN	_IO(MBUF_TEST_TYPE, 11)
#define MBUF_TEST_CONNECT	_IOW(MBUF_TEST_TYPE, 12, struct mbuf_test_connect)
#define MBUF_TEST_ACCEPTS	_IOR(MBUF_TEST_TYPE, 13, struct mbuf_test_accepts)

/* The value for a number; that for 0 is what a slot has at first. */
static inline struct mbuf_test_value mbuf_test_value(__u64 n)
{
	struct mbuf_test_value v = {
		.word = {
			n * 0x9e3779b97f4a7c15ULL,
			n,
			n * 0xc2b2ae3d27d4eb4fULL,
			n * 0xd6e8feb86659fd93ULL,
		},
	};

	return v;
}

/* The number of a value. */
static inline __u64 mbuf_test_number(const struct mbuf_test_value *v)
{
	return v->word[1];
}

/* Is it a value, and whole? */
static inline int mbuf_test_whole(const struct mbuf_test_value *v)
{
	struct mbuf_test_value want = mbuf_test_value(mbuf_test_number(v));

	return v->word[0] == want.word[0] && v->word[2] == want.word[2] &&
	       v->word[3] == want.word[3];
}

#endif /* MBUF_TEST_H */
