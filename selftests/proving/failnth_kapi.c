// SPDX-License-Identifier: GPL-2.0
/*
 * Whatever can fail when drivers make endpoints and listeners does; see
 * failnth.h. The driver is mbuf_test.ko; what it allocates for itself fails as
 * well.
 */
#include "../kapi.h"
#include "failnth.h"

#define NAME	"failnth-kapi"

enum driver_way {
	WAY_OPEN, WAY_OPEN_MAP, WAY_OPEN_THREAD, WAY_PAIR, WAY_LISTEN,
	WAY_CONNECT, WAY_PAGES, WAY_SEND, NR_DRIVER_WAYS
};

static const struct {
	const char *name;
	unsigned int slab, fault;
} ways[NR_DRIVER_WAYS] = {
	/* The endpoint's file, the driver's end, the channel, and more. */
	[WAY_OPEN] = { "mbuf_kernel_create", 4, 2 },
	[WAY_OPEN_MAP] = { "mbuf_kernel_create, mapped", 4, 2 },
	[WAY_OPEN_THREAD] = { "mbuf_kernel_create, of a thread", 6, 2 },
	/* The number of them is one word, whose copy does not fail. */
	[WAY_PAIR] = { "mbuf_kernel_pair", 3, 0 },
	[WAY_LISTEN] = { "mbuf_kernel_listen", 3, 2 },
	[WAY_CONNECT] = { "mbuf_kernel_connect", 2, 2 },
	[WAY_PAGES] = { "drivers that pass pages", 3, 2 },
	[WAY_SEND] = { "mbuf_kernel_send in a hard interrupt", 1, 2 },
};

/* Two drivers: the second listens when the first connects. */
static int test = -1, other = -1;

static struct mbuf_test_open an_open;
static struct mbuf_test_listen a_listen;
static struct mbuf_test_connect a_connect;
static struct mbuf_test_drivers a_drivers;
static struct mbuf_test_call a_call;
static uint32_t one;

static void prepare_driver(struct scene *s, const struct action *op)
{
	an_open = (struct mbuf_test_open){
		.flags = MBUF_TEST_RECEIVE | MBUF_TEST_ECHO,
		.end_flags = op->way == WAY_OPEN_MAP ? MBUF_END_MAP :
			     op->way == WAY_OPEN_THREAD ? MBUF_END_THREAD : 0,
		.fd = -1,
	};
	a_listen = (struct mbuf_test_listen){
		.name = (uintptr_t)NAME,
		.len = strlen(NAME),
		.mode = 0600,
		.backlog = 4,
		/* Who receives nothing does not hear of the end. */
		.flags = MBUF_TEST_RECEIVE,
		.refuse = -1,
	};
	a_connect = (struct mbuf_test_connect){
		.name = (uintptr_t)NAME,
		.len = strlen(NAME),
		.maker = -1,
		.greet = 1,
		.wait = ~0ull,
	};
	a_drivers = (struct mbuf_test_drivers){
		.rounds = 2,
		.context = MBUF_TEST_HARD_IRQ,
	};
	a_call = (struct mbuf_test_call){
		.context = MBUF_TEST_HARD_IRQ,
		.op = MBUF_TEST_OP_SEND,
		.value = mbuf_test_value(++s->seed),
	};
	one = 1;
	if (op->way == WAY_CONNECT && xioctl(other, MBUF_TEST_LISTEN,
					     &a_listen))
		SCENE_FAIL(s, "cannot listen");
	if (op->way == WAY_SEND) {
		s->end[0] = drv_open(test, 0, 0);
		if (s->end[0] < 0)
			SCENE_FAIL(s, "cannot make an endpoint");
	}
}

static long call_driver(struct scene *s, const struct action *op)
{
	(void)s;
	switch (op->way) {
	case WAY_PAIR:
		return xioctl(test, MBUF_TEST_KEEP, &one);
	case WAY_LISTEN:
		return xioctl(test, MBUF_TEST_LISTEN, &a_listen);
	case WAY_CONNECT:
		return xioctl(test, MBUF_TEST_CONNECT, &a_connect);
	case WAY_PAGES:
		return xioctl(test, MBUF_TEST_DRIVERS, &a_drivers);
	case WAY_SEND:
		return xioctl(test, MBUF_TEST_CALL, &a_call);
	default:
		return xioctl(test, MBUF_TEST_OPEN, &an_open);
	}
}

/* Of a call that has succeeded: has it done what it has to do? */
static bool driver_right(struct scene *s, const struct action *op)
{
	int fd;

	switch (op->way) {
	case WAY_OPEN:
	case WAY_OPEN_MAP:
	case WAY_OPEN_THREAD:
		return !ch_put(an_open.fd, ++s->seed) &&
		       ch_take(an_open.fd, MBUF_FOREVER) == s->seed;
	case WAY_LISTEN:
		fd = drv_listen(other, NAME, 0600, 1, 0);
		return fd == -EADDRINUSE;
	case WAY_CONNECT:
		return !drv_send(test, MBUF_TEST_HARD_IRQ, 1) &&
		       EVENTUALLY(drv_accepts(other).open == 1);
	case WAY_PAGES:
		return a_drivers.verified == 4 && !a_drivers.wrong;
	case WAY_SEND:
		return !a_call.result && a_call.right &&
		       ch_take(s->end[0], MBUF_NOW) == s->seed;
	default:
		return true;
	}
}

static bool settle_driver(struct scene *s, const struct action *op, long ret)
{
	bool fine = ret < 0 || driver_right(s, op);

	/* What an interrupt has sent cannot be taken back. */
	if (op->way == WAY_SEND && ret == -EFAULT)
		ch_wait(s->end[0], MBUF_NOW);
	if (!fine)
		SCENE_FAIL(s, "%s gives %ld, but it is not done", op->name,
			   ret);
	close_fd(&an_open.fd);
	close_fd(&s->end[0]);
	/* The driver anew, so that all it has is gone. */
	close(test);
	test = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);
	xioctl(other, MBUF_TEST_UNLISTEN, 0);
	if (!EVENTUALLY(drv_accepts(other).open == 0 || op->way != WAY_CONNECT))
		SCENE_FAIL(s, "the other driver has not heard of the end");
	if (drv_accepts(other).wrong)
		SCENE_FAIL(s, "the acceptor was called as it must not be");
	return fine;
}

TEST_F_TIMEOUT(failnth, drivers, LONG_TIMEOUT)
{
	struct scene *s = &self->s;
	struct action op = {
		.prepare = prepare_driver,
		.call = call_driver,
		.settle = settle_driver,
	};
	struct mbuf_query q = {};

	NEED_INJECTION();
	mbuf_query(s->session, &q);
	test = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);
	if (test < 0)
		SKIP(return, "no %s: load mbuf_test.ko", TEST_DEVICE);
	other = open(TEST_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(other, 0);
	for (op.way = 0; op.way < NR_DRIVER_WAYS; op.way++) {
		snprintf(op.name, sizeof(op.name), "%s", ways[op.way].name);
		if (op.way == WAY_OPEN_THREAD &&
		    !(q.features & MBUF_FEATURE_THREAD)) {
			diag("%s: not on this kernel", op.name);
			continue;
		}
		op.need_slab = ways[op.way].slab;
		op.need_fault = ways[op.way].fault;
		op.need_pages = op.way == WAY_OPEN_MAP || op.way == WAY_PAGES;
		drive(s, &op);
	}
	close_fd(&test);
	close_fd(&other);
}

TEST_HARNESS_MAIN
