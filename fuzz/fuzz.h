/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mbuf-fuzz: programs of calls on mbuf objects by several processes, made up
 * and changed at random, kept when they reach code that nothing has reached
 * before. README.md describes the whole.
 */
#ifndef _FUZZ_H
#define _FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define MAX_CALLS	32
#define MAX_ARGS	24
#define MAX_WORKERS	4
#define NR_SLOTS	16
/* The worker of calls that are made before there are workers. */
#define SETUP		0xff

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* A clock that everything here is timed by. */
uint64_t now_ns(void);
#define NS_PER_US	1000ULL
#define NS_PER_MS	1000000ULL
#define NS_PER_S	1000000000ULL

/*
 * Memory that programs name in arguments, at the same address in all workers
 * and below 4 GiB for the sake of 32-bit calls. Pages by number:
 *
 *	0-127	memory		144-159	without access	176-191	memory
 *	128-143	read-only	160-175	nothing		256-	17 MiB of memory
 */
#define ARENA_BASE	0x40000000ULL
#define PAGE		4096ULL
#define ARENA_RO	(128 * PAGE)
#define ARENA_NONE	(144 * PAGE)
#define ARENA_HOLE	(160 * PAGE)
#define ARENA_SPARE	(176 * PAGE)
#define ARENA_SMALL	(192 * PAGE)
#define ARENA_BIG	(256 * PAGE)
#define ARENA_END	(ARENA_BIG + (17ULL << 20))
/* Each worker's private room for the structs it passes, below the arena. */
#define ARGS_BASE	0x30000000ULL
#define ARGS_SIZE	0x10000ULL

/* Programs ---------------------------------------------------------------- */

/* Kinds of descriptors, as bits. */
#define K_SESSION	0x01
#define K_RECV		0x02
#define K_SEND		0x04
#define K_EPOLL		0x08
#define K_UFFD		0x10
#define K_URING		0x20
#define K_SAME		0x40	/* what the call's first argument is */
#define K_END		0x80
#define K_LISTENER	0x100
#define K_ACCEPT	0x200
#define K_REGION	0x400
#define K_MEMFD		0x800
#define K_DRIVER	0x1000
#define K_CONSENT	0x2000
#define K_PAGER		0x10000
#define K_NETLINK	0x20000
#define K_QUEUE		(K_RECV | K_SEND)
#define K_MBUF		(K_SESSION | K_QUEUE | K_END | K_LISTENER | K_ACCEPT | \
			 K_REGION | K_CONSENT | K_PAGER)

/* How a value is to be understood. */
enum value_kind {
	V_NUM,		/* as it is */
	V_ARENA,	/* an offset in the arena */
	V_SOON,		/* microseconds from now; a deadline */
};

struct value {
	uint8_t kind;
	uint64_t n;
};

enum arg_type {
	A_NUM,		/* a number */
	A_FLAGS,	/* an OR of the values in the list, or of others */
	A_NAME,		/* one of a list of names, or a number */
	A_FD,		/* a descriptor: the slot it is in */
	A_OUT,		/* where a descriptor is put: likewise */
	A_PTR,		/* an address */
	A_TIME,		/* a deadline */
	A_WORKER,	/* a worker */
};

/**
 * struct arg_spec - an argument of an operation
 * @name: its name in the text of a program
 * @type: what it is
 * @kinds: A_FD: what is wanted; A_OUT: what it is
 * @def: the value that is not worth mentioning
 * @vals: values worth trying; A_NAME has more of them than names
 * @nr_vals: how many
 * @names: A_NAME: what the values from 0 are called, ended by NULL
 * @max: otherwise a value is anything up to this
 * @rare: how often it is not the default, in percent; 0: always any
 * @at: where in the struct of an ioctl it goes, or comes from if it is A_OUT
 * @width: so many bytes; 0: nowhere by itself
 */
struct arg_spec {
	const char *name;
	enum arg_type type;
	unsigned int kinds;
	struct value def;
	const uint64_t *vals;
	unsigned int nr_vals;
	const char *const *names;
	uint64_t max;
	unsigned int rare;
	uint16_t at;
	uint16_t width;
};

struct ctx;

/* What an operation is like. */
#define OP_SETUP	0x01	/* can come before there are workers */
#define OP_TIMED	0x02	/* has arguments mode and time */
#define OP_EXCUSE	0x04	/* a worker may rightly take any time after it */
#define OP_CLOSES	0x08	/* ends descriptors */
#define OP_ERRORS	0x10	/* @errors lists all that may happen */
#define OP_IOCTL	0x40	/* @errors are besides those of any ioctl */
#define OP_ARMS		0x20	/* calls fail_arm() itself */
#define OP_MAKES	0x80	/* a program may begin with it */

/**
 * struct op - a kind of call
 * @name: its name in the text of a program
 * @weight: how often it is drawn
 * @flags: OP_*
 * @nr_args: how many arguments
 * @args: what they are
 * @run: does it. Returns what the system call returned, or -errno
 * @errors: OP_ERRORS: errno values that are documented, ended by 0
 * @cmd: run_ioctl(): the command
 * @fill: run_ioctl(): what fields of the struct cannot say; may be NULL
 * @check: run_ioctl(): what is wrong with a result; may be NULL
 */
struct op {
	const char *name;
	unsigned int weight;
	unsigned int flags;
	unsigned int nr_args;
	const struct arg_spec *args;
	long (*run)(struct ctx *c, const struct value *arg);
	const int *errors;
	uint32_t cmd;
	void (*fill)(struct ctx *c, const struct value *arg, void *st);
	void (*check)(struct ctx *c, const struct value *arg, const void *st,
		      long ret);
};

/* For tables of operations. */
#define OP(_name, _weight, _flags, _args, ...)				\
	{ .name = #_name, .weight = (_weight), .flags = (_flags),	\
	  .nr_args = NELEMS(_args), .args = (_args), .run = op_##_name,	\
	  ##__VA_ARGS__ }
#define VALS(_v)	.vals = (_v), .nr_vals = NELEMS(_v)

extern const struct op head_op, worker_op;
const struct op *op_get(unsigned int nr);
int op_find(const char *name);
unsigned int op_count(void);

/* Tables of operations, each ended by one without a name. */
extern const struct op mbuf_ops[], channel_ops[], file_ops[], event_ops[],
			task_ops[], driver_ops[], cap_ops[], netlink_ops[];

/*
 * What all ioctls have in common, their first arguments:
 *	on	the descriptor
 *	target	the first field of each struct
 *	size	of the struct as the command says; 0: as it is
 *	tail	last byte of what is longer than the struct
 *	at	where the struct is; 0: in memory where there is no doubt
 *	compat	by way of the entry for 32-bit programs
 *	resv	a word of 32 bits, from 1, whose lowest bit is changed: what
 *		has to be zero, or anything else
 */
enum { IOCTL_ON, IOCTL_TARGET, IOCTL_SIZE, IOCTL_TAIL, IOCTL_AT, IOCTL_COMPAT,
	IOCTL_RESV, IOCTL_NR };

extern const uint64_t ioctl_sizes[48], ioctl_targets[2], bit_vals[2], true_vals[1];

#define IOCTL_FIELDS(_kinds)						\
	[IOCTL_ON] = { .name = "on", .type = A_FD, .kinds = (_kinds) },	\
	{ .name = "target", .type = A_NUM, .rare = 1,			\
	  VALS(ioctl_targets) },					\
	{ .name = "size", .type = A_NUM, .rare = 3, VALS(ioctl_sizes) }, \
	{ .name = "tail", .type = A_NUM, .rare = 8, VALS(bit_vals) },	\
	{ .name = "at", .type = A_PTR, .rare = 5 },			\
	{ .name = "compat", .type = A_NUM, .rare = 8, VALS(true_vals) }, \
	{ .name = "resv", .type = A_NUM, .rare = 3, .max = 40 }

/* Makes the call that the arguments with a place in its struct describe. */
long run_ioctl(struct ctx *c, const struct value *arg);

/**
 * struct call - one call of a program
 * @op: number of its operation
 * @worker: who makes it, or SETUP
 * @fail: let the n-th thing fail that can be made to fail; 0: none
 * @arg: arguments
 */
struct call {
	uint8_t op;
	uint8_t worker;
	uint8_t fail;
	struct value arg[MAX_ARGS];
};

/* Arguments of the line that begins a program. */
enum { HEAD_ORDER, HEAD_USER, HEAD_LIMITS, HEAD_CLOCK, HEAD_REPEAT };
enum { ORDER_TURNS, ORDER_FREE };
enum { USER_NOBODY, USER_ROOT, USER_NS, USER_NS2 };
enum { LIMITS_NORMAL, LIMITS_LOW };
enum { CLOCK_HOST, CLOCK_AHEAD, CLOCK_BEHIND };
/* Arguments of the line of a worker. */
enum { WORKER_KIND, WORKER_DROP };
enum { WORKER_PROCESS, WORKER_THREAD };

/**
 * struct program - what is run at once
 * @head: settings, arguments of head_op
 * @nr_workers: how many
 * @worker: arguments of worker_op
 * @nr: how many calls
 * @call: the calls, those of SETUP first
 */
struct program {
	struct call head;
	unsigned int nr_workers;
	struct call worker[MAX_WORKERS];
	unsigned int nr;
	struct call call[MAX_CALLS];
};

static inline unsigned int head_of(const struct program *p, int which)
{
	return p->head.arg[which].n;
}

static inline bool is_thread(const struct program *p, unsigned int worker)
{
	return worker && p->worker[worker].arg[WORKER_KIND].n == WORKER_THREAD;
}

/* prog.c: text for people, bytes for the log. */
#define ENCODED_MAX	20480
void prog_print(FILE *f, const struct program *p);
void call_print(FILE *f, const struct call *call);
int prog_read(FILE *f, struct program *p, char *why, size_t len);
size_t prog_encode(const struct program *p, char *text);
bool prog_decode(struct program *p, const char *text);
void prog_fix(struct program *p);
uint64_t prog_hash(const struct program *p);

/* gen.c */
struct rng {
	uint64_t s;
};

uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n);
bool rng_percent(struct rng *r, unsigned int percent);
void prog_generate(struct rng *r, struct program *p);
void prog_mutate(struct rng *r, struct program *p, const struct program *other);
void prog_drop_call(struct program *p, unsigned int i);
void prog_drop_worker(struct program *p, unsigned int w);
extern bool gen_faults;

/* Execution --------------------------------------------------------------- */

enum { CALL_NOT_YET, CALL_RUNNING, CALL_DONE };
/* Where a call may sleep: in a line of a queue, or at other objects. */
enum { WAIT_NOT, WAIT_RECV, WAIT_SEND, WAIT_END, WAIT_SET, WAIT_OFFER,
	WAIT_FAULTS };
#define WAIT_MAX	4

/**
 * struct result - what came of a call
 * @state: CALL_*
 * @wait: where it may sleep, WAIT_*
 * @nr_fds: at how many
 * @fds: which
 * @err: errno, or 0
 * @ret: what was returned
 * @faulted: what was to fail did
 * @ends_by: when it has to have ended; 0: may take any time
 */
struct result {
	uint32_t state;
	uint32_t wait;
	uint32_t nr_fds;
	int32_t fds[WAIT_MAX];
	int32_t err;
	int64_t ret;
	uint32_t faulted;
	uint64_t ends_by;
};

/**
 * struct worker_state - a worker, as all see it
 * @pid: its process, 0 before there is one
 * @tid: its thread
 * @cur: index of its last call + 1
 * @ended: it will make no more calls
 */
struct worker_state {
	uint32_t pid;
	uint32_t tid;
	uint32_t cur;
	uint32_t ended;
};

#define MAP_BITS	(1U << 16)
#define PCS_MAX		(1U << 20)

/**
 * struct shared - memory that all processes share
 * @prog: what is run
 * @result: of each call
 * @worker: each worker
 * @cursor: calls before this one may be made
 * @events: changes whenever something has happened
 * @ready: workers that have arrived
 * @calls: calls that were ever made
 * @died: a signal that ended a worker though nobody sent it
 * @complaint: what a worker has found to be wrong
 * @map: a bit for each feature that was seen in this program
 * @pcs: a bit for each address of the module that was ever reached
 * @pc_changed: there is a new bit in @pcs
 * @offers: identities of offers, as calls name them
 */
struct shared {
	struct program prog;
	struct result result[MAX_CALLS];
	struct worker_state worker[MAX_WORKERS];
	uint32_t cursor;
	uint32_t events;
	uint32_t ready;
	uint64_t calls;
	uint32_t died;
	uint32_t complained;
	char complaint[400];
	uint64_t map[MAP_BITS / 64];
	uint64_t pcs[PCS_MAX / 64];
	uint32_t pc_changed;
	uint64_t offers[4];
	uint64_t consents[4];
};

extern struct shared *shm;

/**
 * struct ctx - who makes calls
 * @worker: its number, or SETUP
 * @op: what it does now
 * @fail: the n-th thing is to fail in this call; 0: none
 * @armed: so it is, at the moment
 * @fail_fd: its fail-nth, or -1
 * @args: private room for structs, ARGS_SIZE bytes
 * @res: result of the call that is being made
 */
struct ctx {
	unsigned int worker;
	const struct op *op;
	unsigned int fail;
	bool armed;
	int fail_fd;
	void *args;
	struct result *res;
};

/* exec.c */
enum outcome { RAN_WELL, RAN_FOUND };

struct exec_options {
	unsigned int stuck_s;
};

void exec_init(const struct exec_options *opt);
enum outcome exec_program(const struct program *p, char *what, size_t len);
void exec_print_results(FILE *f);
void exec_log(const char *tag, const char *text);

/* exec.c, for operations: the table of descriptors of this process. */
int slot_fd(uint64_t slot);
void slot_set(uint64_t slot, int fd);
int slot_take(uint64_t slot);
int mailbox(unsigned int worker, bool receiving);

/* What a value means now. */
uint64_t value_of(const struct value *v);
/* The call may sleep at the object in a slot; how: WAIT_*. */
void may_wait(struct ctx *c, uint64_t slot, unsigned int how);
/* From here on what is to fail in this call fails; until fail_disarm(). */
void fail_arm(struct ctx *c);
void fail_disarm(struct ctx *c);
/* The call has to end so much from now. */
void ends_within(struct ctx *c, uint64_t ns);
/* Note that something was seen that is worth keeping a program for. */
void feature(uint64_t what);
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Access to memory that may be none; false if so. */
bool mem_write(uint64_t to, const void *from, size_t n);
bool mem_read(void *to, uint64_t from, size_t n);
long ret_of(long ret);

struct mbuf_queue_info;
/* mbuf_ops.c */
bool info_wrong(const struct mbuf_queue_info *i, char *text, size_t len);
long mbuf_ioctl(struct ctx *c, const struct value *arg, unsigned int nr,
		void *st, size_t native);
/* channel_ops.c */
struct mbuf_channel_info;
bool end_wrong(const struct mbuf_channel_info *i, char *text, size_t len);

/* netlink_ops.c */
void netlink_init(void);
/* What a program may have changed for those after it; true if it has. */
bool netlink_restore(const struct program *p);

/* cover.c */
bool cover_init(void);
void cover_start(unsigned int slot);
void cover_call_begin(unsigned int slot);
void cover_collect(unsigned int slot);
void cover_child(void);
void cover_collect_children(void);
void cover_print_sections(FILE *f);
void cover_log_new(void);
unsigned int cover_count(void);
uint64_t mix(uint64_t x);

#endif /* _FUZZ_H */
