/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of endpoints that drivers have share. The driver is
 * mbuf_test.ko, which has to be loaded.
 */
#ifndef MBUF_SELFTESTS_KAPI_H
#define MBUF_SELFTESTS_KAPI_H

#include "channel.h"
#include "mbuf_test/mbuf_test.h"

#define TEST_DEVICE	"/dev/mbuf-test"

/*
 * The driver
 */
static inline int drv_open(int test, uint32_t flags, uint32_t end_flags)
{
	struct mbuf_test_open o = { .flags = flags, .end_flags = end_flags };
	int ret = (int)xioctl(test, MBUF_TEST_OPEN, &o);

	return ret ? ret : o.fd;
}

static inline int drv_timer(int test, uint64_t period, uint64_t limit,
			    uint64_t hold)
{
	struct mbuf_test_timer t = {
		.period = period,
		.limit = limit,
		.hold = hold,
	};

	return (int)xioctl(test, MBUF_TEST_TIMER, &t);
}

static inline struct mbuf_test_stats drv_stats(int test)
{
	struct mbuf_test_stats s = {};
	int ret = (int)xioctl(test, MBUF_TEST_STATS, &s);

	if (ret) {
		fprintf(stderr, "# STATS: %s\n", mbuf_strerror(ret));
		memset(&s, 0xff, sizeof(s));
	}
	return s;
}

/* -EXDEV if it could not be called where it should. */
static inline int drv_call(int test, enum mbuf_test_context context,
			   struct mbuf_test_call *c)
{
	int ret;

	c->context = context;
	ret = (int)xioctl(test, MBUF_TEST_CALL, c);
	if (ret)
		return ret;
	return c->right ? c->result : -EXDEV;
}

static inline int drv_op(int test, enum mbuf_test_context context,
			 enum mbuf_test_op op, uint64_t num)
{
	struct mbuf_test_call c = {
		.op = op,
		.value = mbuf_test_value(num),
	};

	return drv_call(test, context, &c);
}

static inline int drv_send(int test, enum mbuf_test_context context,
			   uint64_t num)
{
	return drv_op(test, context, MBUF_TEST_OP_SEND, num);
}

/* READ or TAKE: the number, or -errno. */
static inline int64_t drv_get(int test, enum mbuf_test_op op,
			      uint32_t *signals, bool *closed)
{
	struct mbuf_test_call c = { .op = op };
	int ret = drv_call(test, MBUF_TEST_PROCESS, &c);

	if (signals)
		*signals = c.signals;
	if (closed)
		*closed = c.closed;
	return ret ? ret : value_num(&c.value);
}

static inline struct mbuf_test_listen
listen_of(const char *name, uint32_t mode, uint32_t backlog, uint32_t flags)
{
	struct mbuf_test_listen l = {
		.name = (uintptr_t)name,
		.len = (uint32_t)strlen(name),
		.mode = mode,
		.backlog = backlog,
		.flags = flags,
		.refuse = -1,
	};

	return l;
}

static inline int drv_listen(int test, const char *name, uint32_t mode,
			     uint32_t backlog, uint32_t flags)
{
	struct mbuf_test_listen l = listen_of(name, mode, backlog, flags);

	return (int)xioctl(test, MBUF_TEST_LISTEN, &l);
}

static inline struct mbuf_test_accepts drv_accepts(int test)
{
	struct mbuf_test_accepts a = {};
	int ret = (int)xioctl(test, MBUF_TEST_ACCEPTS, &a);

	if (ret) {
		fprintf(stderr, "# ACCEPTS: %s\n", mbuf_strerror(ret));
		memset(&a, 0xff, sizeof(a));
	}
	return a;
}

static inline const char *context_name(enum mbuf_test_context context)
{
	static const char *const names[] = {
		[MBUF_TEST_PROCESS] = "process",
		[MBUF_TEST_PREEMPT_OFF] = "preemption disabled",
		[MBUF_TEST_BH_OFF] = "softirqs disabled",
		[MBUF_TEST_IRQ_OFF] = "interrupts disabled",
		[MBUF_TEST_RAW_LOCK] = "raw spinlock",
		[MBUF_TEST_SOFT_IRQ] = "softirq",
		[MBUF_TEST_HARD_IRQ] = "hard interrupt",
	};

	return names[context];
}

#define FOR_EACH_CONTEXT(c) \
	for ((c) = 0; (c) < MBUF_TEST_CONTEXTS; (c)++)

/* How the receiver must have been called, always. */
#define EXPECT_RECEIVER_SANE(test) do {					\
	struct mbuf_test_stats __s = drv_stats(test);			\
									\
	EXPECT_EQ(0, __s.torn);						\
	EXPECT_EQ(0, __s.nested);					\
	EXPECT_EQ(0, __s.after);					\
	EXPECT_EQ(0, __s.atomic);					\
	EXPECT_EQ(0, __s.not_hard);					\
	EXPECT_EQ(0, __s.again);					\
} while (0)

/*
 * How long a race may take, and how often it is run. Emulated, and with a debug
 * kernel, each round takes long. MBUF_STRESS_SECONDS: three times as long as
 * each may take, 15 by default.
 */
#define RACE_ROUNDS	3000

struct race {
	uint64_t end;
	unsigned int round;
};

static inline struct race race_begin(void)
{
	const char *env = getenv("MBUF_STRESS_SECONDS");
	uint64_t seconds = env ? strtoull(env, NULL, 10) : 15;

	return (struct race){ .end = now_ns() + seconds * NS_PER_SEC / 3 };
}

/* For the rounds of a loop; the first is always run. */
static inline bool race_goes_on(const struct race *r)
{
	return r->round < RACE_ROUNDS && (!r->round || now_ns() < r->end);
}

#endif /* MBUF_SELFTESTS_KAPI_H */
