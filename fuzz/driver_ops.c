// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Endpoints and listeners that drivers have. The driver is that of the tests,
 * mbuf_test.ko; where it is not loaded, nothing of this can be done. Its calls
 * are not what is tested, so they are made as they should be; what they make the
 * module do, in interrupts as well, is up to chance.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/mbuf.h>
#include "../selftests/mbuf_test/mbuf_test.h"
#include "fuzz.h"

static const uint64_t text_vals[] = { 0, 0, 0, 1, 1, 2 };
static const uint64_t end_vals[] = { 0, 0, 0, MBUF_END_MAP, MBUF_END_THREAD };

static const uint64_t flag_vals[] = {
	MBUF_TEST_RECEIVE, MBUF_TEST_RECEIVE,
	MBUF_TEST_RECEIVE | MBUF_TEST_ECHO, MBUF_TEST_RECEIVE | MBUF_TEST_ECHO,
	0,
};

static const uint64_t mode_vals[] = { 0666, 0666, 0222, 0600, 0 };
static const uint64_t backlog_vals[] = { 1, 1, 2, 4, 0 };
static const uint64_t period_vals[] = { 0, 20000, 100000, 1000000 };
static const uint64_t limit_vals[] = { 1, 10, 50 };
static const uint64_t hold_vals[] = { 0, 0, 1000, 20000 };
static const uint64_t wait_vals[] = { 0, 1, 1, 3, 10 };
static const uint64_t bool_vals[] = { 0, 1 };

static const char *const context_names[] = {
	"process", "preempt-off", "bh-off", "irq-off", "raw-lock", "soft-irq",
	"hard-irq", NULL
};

static const char *const call_names[] = {
	"write", "signal", "send", "read", "take", NULL
};

/* The names that other calls listen under, too. */
static void name_of(char name[4], uint64_t text)
{
	memset(name, 'a' + text % 4, 4);
}

static const struct arg_spec driver_open_args[] = {
	{ .name = "out", .type = A_OUT, .kinds = K_DRIVER },
};

static long op_driver_open(struct ctx *c, const struct value *arg)
{
	int fd = open("/dev/mbuf-test", O_RDWR | O_CLOEXEC);

	(void)c;
	if (fd < 0)
		return ret_of(-1);
	slot_set(arg[0].n, fd);
	return fd;
}

static const struct arg_spec driver_end_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_DRIVER },
	{ .name = "out", .type = A_OUT, .kinds = K_END },
	{ .name = "flags", .type = A_NUM, VALS(flag_vals) },
	{ .name = "end_flags", .type = A_NUM, VALS(end_vals) },
};

static long op_driver_end(struct ctx *c, const struct value *arg)
{
	struct mbuf_test_open o = {
		.flags = arg[2].n,
		.end_flags = arg[3].n,
	};
	long ret = ret_of(ioctl(slot_fd(arg[0].n), MBUF_TEST_OPEN, &o));

	(void)c;
	if (ret < 0)
		return ret;
	slot_set(arg[1].n, o.fd);
	return o.fd;
}

static const struct arg_spec driver_call_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_DRIVER },
	{ .name = "context", .type = A_NAME, .names = context_names, .max = 6,
	  .rare = 80 },
	{ .name = "what", .type = A_NAME, .names = call_names, .max = 4,
	  .rare = 80 },
	{ .name = "data", .type = A_NUM, .max = 100 },
};

static long op_driver_call(struct ctx *c, const struct value *arg)
{
	struct mbuf_test_call call = {
		.context = arg[1].n % MBUF_TEST_CONTEXTS,
		.op = arg[2].n % MBUF_TEST_OPS,
		.value = mbuf_test_value(arg[3].n % 1000),
	};
	long ret;

	ends_within(c, 10 * NS_PER_MS);
	ret = ret_of(ioctl(slot_fd(arg[0].n), MBUF_TEST_CALL, &call));
	if (!ret)
		feature(mix(21ULL << 60 | (uint64_t)call.op << 32 |
			    (uint32_t)call.result));
	return ret;
}

static const struct arg_spec driver_timer_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_DRIVER },
	{ .name = "period", .type = A_NUM, VALS(period_vals) },
	{ .name = "limit", .type = A_NUM, VALS(limit_vals) },
	{ .name = "hold", .type = A_NUM, VALS(hold_vals) },
};

static long op_driver_timer(struct ctx *c, const struct value *arg)
{
	/* Faster, and nothing else would run on a slow machine. */
	struct mbuf_test_timer t = {
		.period = arg[1].n && arg[1].n < 20000 ? 20000 : arg[1].n,
		.limit = 1 + arg[2].n % 100,
		.hold = arg[3].n % 50000,
	};

	(void)c;
	return ret_of(ioctl(slot_fd(arg[0].n), MBUF_TEST_TIMER, &t));
}

static const struct arg_spec driver_listen_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_DRIVER },
	{ .name = "text", .type = A_NUM, VALS(text_vals) },
	{ .name = "mode", .type = A_NUM, VALS(mode_vals) },
	{ .name = "backlog", .type = A_NUM, VALS(backlog_vals) },
	{ .name = "flags", .type = A_NUM, VALS(flag_vals) },
};

static long op_driver_listen(struct ctx *c, const struct value *arg)
{
	char name[4];
	struct mbuf_test_listen l = {
		.name = (uintptr_t)name,
		.len = sizeof(name),
		.mode = arg[2].n,
		.backlog = arg[3].n,
		.flags = arg[4].n,
		.refuse = -1,
	};

	(void)c;
	name_of(name, arg[1].n);
	return ret_of(ioctl(slot_fd(arg[0].n), MBUF_TEST_LISTEN, &l));
}

static const struct arg_spec driver_connect_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_DRIVER },
	{ .name = "text", .type = A_NUM, VALS(text_vals) },
	{ .name = "flags", .type = A_NUM, VALS(flag_vals) },
	{ .name = "greet", .type = A_NUM, VALS(bool_vals) },
	{ .name = "ms", .type = A_NUM, VALS(wait_vals) },
};

static long op_driver_connect(struct ctx *c, const struct value *arg)
{
	char name[4];
	struct mbuf_test_connect k = {
		.name = (uintptr_t)name,
		.len = sizeof(name),
		.flags = arg[2].n,
		.maker = -1,
		.greet = arg[3].n & 1,
		.hello = 7,
		.wait = arg[4].n % 21 * NS_PER_MS,
	};

	name_of(name, arg[1].n);
	ends_within(c, k.wait);
	return ret_of(ioctl(slot_fd(arg[0].n), MBUF_TEST_CONNECT, &k));
}

static const char *const do_names[] = {
	"close", "unlisten", "keep", "accepts", "stats", NULL
};

static const struct arg_spec driver_do_args[] = {
	{ .name = "on", .type = A_FD, .kinds = K_DRIVER },
	{ .name = "what", .type = A_NAME, .names = do_names, .max = 4,
	  .rare = 80 },
};

static long op_driver_do(struct ctx *c, const struct value *arg)
{
	int fd = slot_fd(arg[0].n);
	struct mbuf_test_accepts accepts = { 0 };
	struct mbuf_test_stats stats = { 0 };
	uint32_t one = 1;
	long ret;

	(void)c;
	switch (arg[1].n % 5) {
	case 0:
		return ret_of(ioctl(fd, MBUF_TEST_CLOSE));
	case 1:
		return ret_of(ioctl(fd, MBUF_TEST_UNLISTEN));
	case 2:
		return ret_of(ioctl(fd, MBUF_TEST_KEEP, &one));
	case 3:
		ret = ret_of(ioctl(fd, MBUF_TEST_ACCEPTS, &accepts));
		if (accepts.wrong)
			complain("the driver's acceptor was called wrongly");
		return ret;
	default:
		ret = ret_of(ioctl(fd, MBUF_TEST_STATS, &stats));
		/* Values that it takes for torn are those of other calls. */
		if (stats.nested || stats.after || stats.again)
			complain("receiver: %llu calls nested, %llu after the end, %llu ends again",
				 (unsigned long long)stats.nested,
				 (unsigned long long)stats.after,
				 (unsigned long long)stats.again);
		return ret;
	}
}

const struct op driver_ops[] = {
	OP(driver_open, 5, OP_SETUP | OP_MAKES, driver_open_args),
	OP(driver_end, 6, OP_SETUP | OP_MAKES, driver_end_args),
	OP(driver_call, 6, 0, driver_call_args),
	OP(driver_timer, 3, 0, driver_timer_args),
	OP(driver_listen, 5, OP_SETUP, driver_listen_args),
	OP(driver_connect, 5, 0, driver_connect_args),
	OP(driver_do, 4, 0, driver_do_args),
	{ }
};
