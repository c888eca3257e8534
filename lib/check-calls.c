// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What libmbuf says to the kernel, and what it makes of the answer: this program
 * has an ioctl() of its own, which the shared library finds first. Says nothing
 * if all is well.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <mbuf.h>

static int failed;

#define EXPECT(cond) do {						\
	if (!(cond)) {							\
		printf("line %d: %s\n", __LINE__, #cond);		\
		failed = 1;						\
	}								\
} while (0)

/* ---- the kernel ----------------------------------------------------------- */

static struct {
	int calls;
	int fd;
	unsigned long cmd;
	unsigned char arg[256];		/* as it came */
	int result;			/* or -errno */
	void (*answer)(void *arg);	/* changes the struct, then or on success */
} kernel;

int ioctl(int fd, unsigned long cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	kernel.calls++;
	kernel.fd = fd;
	kernel.cmd = cmd;
	memset(kernel.arg, 0, sizeof(kernel.arg));
	memcpy(kernel.arg, arg, _IOC_SIZE(cmd));
	if (kernel.answer)
		kernel.answer(arg);
	if (kernel.result < 0) {
		errno = -kernel.result;
		return -1;
	}
	return kernel.result;
}

/* The next call gives @result. */
static void expect(int result, void (*answer)(void *arg))
{
	kernel.calls = 0;
	kernel.result = result;
	kernel.answer = answer;
}

/* What came was one call with this descriptor and number. */
#define CAME(number) \
	(kernel.calls == 1 && kernel.fd == 77 && kernel.cmd == (number))

/* The struct as it came. */
#define ARG(type)	((const struct type *)(const void *)kernel.arg)

static int is_wait(const struct mbuf_wait *wait, uint32_t mode,
		   uint64_t deadline)
{
	return wait->mode == mode && wait->deadline == deadline &&
	       wait->clock == MBUF_CLOCK_MONOTONIC;
}

static int all_zero(const void *p, size_t size)
{
	const unsigned char *byte = p;

	while (size--)
		if (*byte++)
			return 0;
	return 1;
}

static int all_are(const void *p, unsigned char what, size_t size)
{
	const unsigned char *byte = p;

	while (size--)
		if (*byte++ != what)
			return 0;
	return 1;
}

/* ---- channels ------------------------------------------------------------- */

#define ALL	(MBUF_STEP_WRITE | MBUF_STEP_SIGNAL | \
		 MBUF_STEP_WAIT | MBUF_STEP_READ)
#define FIRST	(MBUF_STEP_WRITE | MBUF_STEP_SIGNAL)
#define SECOND	(MBUF_STEP_WAIT | MBUF_STEP_READ)

static void answer_create(void *arg)
{
	struct mbuf_channel_create *create = arg;

	create->end[0].ref.fd = 5;
	create->end[1].ref.fd = 6;
}

static void test_create(void)
{
	struct mbuf_channel_create args = { 0 };
	int fds[2] = { -7, -8 };

	expect(-EDQUOT, answer_create);
	EXPECT(mbuf_channel_create(77, MBUF_END_MAP, fds) == -EDQUOT);
	EXPECT(fds[0] == -7 && fds[1] == -8);
	EXPECT(CAME(MBUF_IOC_CHANNEL_CREATE));
	EXPECT(ARG(mbuf_channel_create)->end[0].flags ==
	       (MBUF_END_MAP | MBUF_END_DETACHED));
	EXPECT(ARG(mbuf_channel_create)->end[1].flags ==
	       (MBUF_END_MAP | MBUF_END_DETACHED));

	expect(0, answer_create);
	EXPECT(mbuf_channel_create(77, 0, fds) == 0);
	EXPECT(fds[0] == 5 && fds[1] == 6);

	args.end[0].cookie = 12;
	args.end[1].flags = MBUF_END_THREAD | MBUF_END_DETACHED;
	expect(0, answer_create);
	EXPECT(mbuf_channel_create_args(77, &args) == 0);
	EXPECT(CAME(MBUF_IOC_CHANNEL_CREATE));
	EXPECT(ARG(mbuf_channel_create)->end[0].cookie == 12);
	EXPECT(ARG(mbuf_channel_create)->end[0].flags == 0);
	EXPECT(args.end[0].ref.fd == 5 && args.end[1].ref.fd == 6);
}

/* Interrupted in WAIT: what came before it is done. */
static void answer_interrupted(void *arg)
{
	struct mbuf_exchange *x = arg;

	x->done = x->steps & FIRST;
}

static void answer_exchange(void *arg)
{
	struct mbuf_exchange *x = arg;

	x->done = 0;
	x->signals = 3;
	x->seq = 4;
	if (x->steps & MBUF_STEP_READ)
		memset(x->data, 'a', sizeof(x->data));
}

static void test_call(void)
{
	static const int again[] = { -EINTR, -EAGAIN, -ETIMEDOUT, -EBUSY };
	struct mbuf_exchange x = { 0 };
	unsigned int i;

	memset(x.data, 'q', sizeof(x.data));
	expect(0, answer_exchange);
	EXPECT(mbuf_call(77, &x, 1234) == 0);
	EXPECT(CAME(MBUF_IOC_EXCHANGE));
	EXPECT(ARG(mbuf_exchange)->steps == ALL);
	EXPECT(ARG(mbuf_exchange)->done == 0);
	EXPECT(is_wait(&ARG(mbuf_exchange)->wait, MBUF_WAIT_UNTIL, 1234));
	EXPECT(all_are(ARG(mbuf_exchange)->data, 'q', MBUF_SLOT_SIZE));
	EXPECT(x.signals == 3 && x.seq == 4);
	EXPECT(all_are(x.data, 'a', MBUF_SLOT_SIZE));

	/* However often it is interrupted, the request is sent once. */
	for (i = 0; i < sizeof(again) / sizeof(again[0]); i++) {
		memset(x.data, 'q', sizeof(x.data));
		expect(-EINTR, answer_interrupted);
		EXPECT(mbuf_call(77, &x, MBUF_FOREVER) == -EINTR);
		EXPECT(ARG(mbuf_exchange)->done == 0);
		expect(again[i], NULL);
		EXPECT(mbuf_call(77, &x, MBUF_NOW) == again[i]);
		EXPECT(ARG(mbuf_exchange)->steps == ALL);
		EXPECT(ARG(mbuf_exchange)->done == FIRST);
		EXPECT(is_wait(&ARG(mbuf_exchange)->wait, MBUF_WAIT_NOW, 0));
		expect(0, answer_exchange);
		EXPECT(mbuf_call(77, &x, MBUF_FOREVER) == 0);
		EXPECT(ARG(mbuf_exchange)->done == FIRST);
		EXPECT(is_wait(&ARG(mbuf_exchange)->wait, MBUF_WAIT_FOREVER,
			       0));
		EXPECT(x.done == 0);
	}

	/* The next request is a new one. */
	expect(0, answer_exchange);
	EXPECT(mbuf_call(77, &x, MBUF_FOREVER) == 0);
	EXPECT(ARG(mbuf_exchange)->done == 0);
}

static void test_serve(void)
{
	struct mbuf_exchange x = { 0 };

	/* The first call only waits, however often. */
	expect(-EINTR, answer_interrupted);
	EXPECT(mbuf_serve(77, &x, MBUF_FOREVER) == -EINTR);
	EXPECT(CAME(MBUF_IOC_EXCHANGE));
	EXPECT(ARG(mbuf_exchange)->steps == SECOND);
	expect(0, answer_exchange);
	EXPECT(mbuf_serve(77, &x, MBUF_FOREVER) == 0);
	EXPECT(ARG(mbuf_exchange)->steps == SECOND);
	EXPECT(ARG(mbuf_exchange)->done == 0);
	EXPECT(all_are(x.data, 'a', MBUF_SLOT_SIZE));

	/* Then a reply goes out before each wait, once. */
	memset(x.data, 'r', sizeof(x.data));
	expect(-EINTR, answer_interrupted);
	EXPECT(mbuf_serve(77, &x, MBUF_FOREVER) == -EINTR);
	EXPECT(ARG(mbuf_exchange)->steps == ALL);
	EXPECT(ARG(mbuf_exchange)->done == 0);
	EXPECT(all_are(ARG(mbuf_exchange)->data, 'r', MBUF_SLOT_SIZE));
	expect(0, answer_exchange);
	EXPECT(mbuf_serve(77, &x, MBUF_FOREVER) == 0);
	EXPECT(ARG(mbuf_exchange)->steps == ALL);
	EXPECT(ARG(mbuf_exchange)->done == FIRST);
	expect(-EPIPE, NULL);
	EXPECT(mbuf_serve(77, &x, MBUF_FOREVER) == -EPIPE);
	EXPECT(ARG(mbuf_exchange)->steps == ALL);
	EXPECT(ARG(mbuf_exchange)->done == 0);
}

static void test_steps(void)
{
	struct mbuf_exchange x = { .steps = SECOND, .done = 0 };
	unsigned char data[MBUF_SLOT_SIZE + 1];
	uint64_t number = 99;

	expect(0, answer_exchange);
	EXPECT(mbuf_exchange(77, &x) == 0);
	EXPECT(CAME(MBUF_IOC_EXCHANGE));
	EXPECT(ARG(mbuf_exchange)->steps == SECOND);
	EXPECT(x.seq == 4);

	memset(data, 'w', sizeof(data));
	expect(0, NULL);
	EXPECT(mbuf_channel_write(77, data) == 0);
	EXPECT(CAME(MBUF_IOC_EXCHANGE));
	EXPECT(ARG(mbuf_exchange)->steps == MBUF_STEP_WRITE);
	EXPECT(all_are(ARG(mbuf_exchange)->data, 'w', MBUF_SLOT_SIZE));
	EXPECT(all_zero(kernel.arg, offsetof(struct mbuf_exchange, steps)));
	EXPECT(mbuf_channel_post(77, data) == 0);
	EXPECT(ARG(mbuf_exchange)->steps == FIRST);
	EXPECT(all_are(ARG(mbuf_exchange)->data, 'w', MBUF_SLOT_SIZE));
	EXPECT(mbuf_channel_signal(77) == 0);
	EXPECT(ARG(mbuf_exchange)->steps == MBUF_STEP_SIGNAL);

	expect(-EINTR, answer_exchange);
	EXPECT(mbuf_channel_wait(77, data, &number, 5) == -EINTR);
	EXPECT(mbuf_channel_read(77, data, &number) == -EINTR);
	EXPECT(number == 99 && all_are(data, 'w', sizeof(data)));

	expect(0, answer_exchange);
	EXPECT(mbuf_channel_wait(77, data, &number, 5) == 0);
	EXPECT(CAME(MBUF_IOC_EXCHANGE));
	EXPECT(ARG(mbuf_exchange)->steps == SECOND);
	EXPECT(is_wait(&ARG(mbuf_exchange)->wait, MBUF_WAIT_UNTIL, 5));
	EXPECT(number == 3 && all_are(data, 'a', MBUF_SLOT_SIZE));
	EXPECT(data[MBUF_SLOT_SIZE] == 'w');
	EXPECT(mbuf_channel_wait(77, NULL, NULL, MBUF_FOREVER) == 0);
	EXPECT(ARG(mbuf_exchange)->steps == MBUF_STEP_WAIT);

	memset(data, 'w', sizeof(data));
	expect(0, answer_exchange);
	EXPECT(mbuf_channel_read(77, data, &number) == 0);
	EXPECT(ARG(mbuf_exchange)->steps == MBUF_STEP_READ);
	EXPECT(number == 4 && all_are(data, 'a', MBUF_SLOT_SIZE));
	EXPECT(data[MBUF_SLOT_SIZE] == 'w');
	EXPECT(mbuf_channel_read(77, data, NULL) == 0);
}

static void answer_info(void *arg)
{
	((struct mbuf_channel_info *)arg)->peer.pid = 42;
}

static void test_info(void)
{
	struct mbuf_channel_info info = { .id = 7 };

	expect(-ENOTTY, answer_info);
	EXPECT(mbuf_channel_info(77, &info) == -ENOTTY);
	EXPECT(info.id == 7 && !info.peer.pid);
	expect(0, answer_info);
	EXPECT(mbuf_channel_info(77, &info) == 0);
	EXPECT(CAME(MBUF_IOC_CHANNEL_INFO));
	EXPECT(info.peer.pid == 42 && info.id == 0);

	expect(0, NULL);
	EXPECT(mbuf_approve(77, 1) == 0);
	EXPECT(CAME(MBUF_IOC_APPROVE) && ARG(mbuf_approve)->verdict == 1);
	EXPECT(mbuf_approve(77, 0) == 0 && ARG(mbuf_approve)->verdict == 0);
}

/* ---- sets ----------------------------------------------------------------- */

static void answer_any(void *arg)
{
	struct mbuf_wait_any *any = arg;

	any->index = 1;
	any->signals = 3;
	memset(any->data, 'a', sizeof(any->data));
}

static void test_sets(void)
{
	const struct mbuf_ref ends[] = { { .fd = 3 }, { .fd = 4 } };
	struct mbuf_wait_any any = { .index = 9 };
	struct mbuf_event events[4];

	expect(0, NULL);
	EXPECT(mbuf_attach(77, 8, 9, MBUF_ATTACH_MOVE) == 0);
	EXPECT(CAME(MBUF_IOC_ATTACH));
	EXPECT(ARG(mbuf_attach)->ref.fd == 8);
	EXPECT(ARG(mbuf_attach)->ref.flags == 0);
	EXPECT(ARG(mbuf_attach)->cookie == 9);
	EXPECT(ARG(mbuf_attach)->flags == MBUF_ATTACH_MOVE);
	expect(0, NULL);
	EXPECT(mbuf_detach(77, 8) == 0);
	EXPECT(CAME(MBUF_IOC_DETACH));
	EXPECT(ARG(mbuf_attach)->ref.fd == 8 && ARG(mbuf_attach)->cookie == 0);

	expect(2, NULL);
	EXPECT(mbuf_poll_all(77, events, 4, MBUF_NOW) == 2);
	EXPECT(CAME(MBUF_IOC_POLL_ALL));
	EXPECT(ARG(mbuf_poll_all)->events == (uintptr_t)events);
	EXPECT(ARG(mbuf_poll_all)->nr == 4);
	EXPECT(ARG(mbuf_poll_all)->stride == sizeof(events[0]));
	EXPECT(is_wait(&ARG(mbuf_poll_all)->wait, MBUF_WAIT_NOW, 0));

	expect(-EINTR, answer_any);
	EXPECT(mbuf_wait_any(77, ends, 2, &any, MBUF_FOREVER) == -EINTR);
	EXPECT(any.index == 9 && any.signals == 0);
	expect(0, answer_any);
	EXPECT(mbuf_wait_any(77, ends, 2, &any, 5) == 1);
	EXPECT(CAME(MBUF_IOC_WAIT_ANY));
	EXPECT(ARG(mbuf_wait_any)->ends == (uintptr_t)ends);
	EXPECT(ARG(mbuf_wait_any)->nr == 2);
	EXPECT(ARG(mbuf_wait_any)->stride == sizeof(ends[0]));
	EXPECT(is_wait(&ARG(mbuf_wait_any)->wait, MBUF_WAIT_UNTIL, 5));
	EXPECT(any.index == 1 && any.signals == 3);
	EXPECT(all_are(any.data, 'a', MBUF_SLOT_SIZE));
}

/* ---- listeners ------------------------------------------------------------ */

static void answer_listen(void *arg)
{
	((struct mbuf_listen *)arg)->listener.fd = 12;
}

static void answer_accept_queue(void *arg)
{
	((struct mbuf_accept_queue *)arg)->queue.fd = 13;
}

static void answer_connect(void *arg)
{
	((struct mbuf_connect *)arg)->end.ref.fd = 14;
}

static void answer_accept(void *arg)
{
	((struct mbuf_accept *)arg)->end.ref.fd = 15;
	((struct mbuf_accept *)arg)->peer.uid = 1000;
}

static void answer_name_len(void *arg)
{
	((struct mbuf_listener_info *)arg)->name_len = 20;
	((struct mbuf_listener_info *)arg)->accepted = 30;
}

static void test_listen(void)
{
	struct mbuf_listener_set set = {
		.flags = MBUF_LISTEN_MODE,
		.mode = 0600,
	};
	struct mbuf_listen args = { .name_len = 1, .cookie = 2 };
	struct mbuf_accept_queue queue = { .backlog = 3, .cookie = 4 };
	struct mbuf_listener_info info = { .accepted = 7 };
	static const char name[] = "a\0b";
	char room[10];

	expect(0, answer_listen);
	EXPECT(mbuf_listen(77, name, 3, 0620, 16) == 12);
	EXPECT(CAME(MBUF_IOC_LISTEN));
	EXPECT(ARG(mbuf_listen)->name == (uintptr_t)name);
	EXPECT(ARG(mbuf_listen)->name_len == 3);
	EXPECT(ARG(mbuf_listen)->mode == 0620);
	EXPECT(ARG(mbuf_listen)->backlog == 16);
	EXPECT(ARG(mbuf_listen)->flags == MBUF_LISTEN_DETACHED);
	expect(-EADDRINUSE, answer_listen);
	EXPECT(mbuf_listen(77, name, 3, 0620, 16) == -EADDRINUSE);
	if (sizeof(size_t) > 4) {
		/* Too long is not cut off to something that would do. */
		EXPECT(mbuf_listen(77, name, (size_t)UINT32_MAX + 4, 0, 1) < 0);
		EXPECT(ARG(mbuf_listen)->name_len == UINT32_MAX);
		EXPECT(mbuf_connect(77, name, (size_t)UINT32_MAX + 4, 1) < 0);
		EXPECT(ARG(mbuf_connect)->name_len == UINT32_MAX);
	}
	expect(0, answer_listen);
	EXPECT(mbuf_listen_args(77, &args) == 0);
	EXPECT(CAME(MBUF_IOC_LISTEN));
	EXPECT(ARG(mbuf_listen)->cookie == 2 && args.listener.fd == 12);

	expect(0, NULL);
	EXPECT(mbuf_listener_set(77, &set) == 0);
	EXPECT(CAME(MBUF_IOC_LISTENER_SET));
	EXPECT(ARG(mbuf_listener_set)->mode == 0600);
	EXPECT(mbuf_listener_deny(77, 1001) == 0);
	EXPECT(kernel.cmd == MBUF_IOC_LISTENER_ACL);
	EXPECT(ARG(mbuf_listener_acl)->uid == 1001);
	EXPECT(ARG(mbuf_listener_acl)->op == MBUF_ACL_DENY);
	EXPECT(mbuf_listener_allow(77, 1001) == 0);
	EXPECT(ARG(mbuf_listener_acl)->op == MBUF_ACL_ALLOW);
	EXPECT(mbuf_listener_forget(77, 1001) == 0);
	EXPECT(ARG(mbuf_listener_acl)->op == MBUF_ACL_FORGET);

	expect(-EMSGSIZE, answer_name_len);
	EXPECT(mbuf_listener_info(77, room, sizeof(room), &info) == -EMSGSIZE);
	EXPECT(CAME(MBUF_IOC_LISTENER_INFO));
	EXPECT(ARG(mbuf_listener_info)->name == (uintptr_t)room);
	EXPECT(ARG(mbuf_listener_info)->name_len == sizeof(room));
	EXPECT(info.name_len == 20 && info.accepted == 7);
	expect(0, answer_name_len);
	EXPECT(mbuf_listener_info(77, NULL, 10, &info) == 0);
	EXPECT(ARG(mbuf_listener_info)->name == 0);
	EXPECT(ARG(mbuf_listener_info)->name_len == 0);
	EXPECT(info.accepted == 30);

	expect(0, answer_accept_queue);
	EXPECT(mbuf_accept_queue(77, 5) == 13);
	EXPECT(CAME(MBUF_IOC_ACCEPT_QUEUE));
	EXPECT(ARG(mbuf_accept_queue)->backlog == 5);
	EXPECT(ARG(mbuf_accept_queue)->flags == MBUF_LISTEN_DETACHED);
	expect(0, answer_accept_queue);
	EXPECT(mbuf_accept_queue_args(77, &queue) == 0);
	EXPECT(ARG(mbuf_accept_queue)->cookie == 4 && queue.queue.fd == 13);
}

static void test_connect(void)
{
	struct mbuf_connect connect = { .name_len = 1, .uid = 2 };
	struct mbuf_accept accept = { .flags = MBUF_ACCEPT_ASK };
	struct mbuf_peer peer = { .uid = 7 };
	static const char name[] = "xy";

	expect(0, answer_connect);
	EXPECT(mbuf_connect(77, name, 2, 5) == 14);
	EXPECT(CAME(MBUF_IOC_CONNECT));
	EXPECT(ARG(mbuf_connect)->name == (uintptr_t)name);
	EXPECT(ARG(mbuf_connect)->name_len == 2);
	EXPECT(ARG(mbuf_connect)->flags == 0);
	EXPECT(ARG(mbuf_connect)->end.flags == MBUF_END_DETACHED);
	EXPECT(is_wait(&ARG(mbuf_connect)->wait, MBUF_WAIT_UNTIL, 5));
	expect(-EACCES, answer_connect);
	EXPECT(mbuf_connect(77, name, 2, MBUF_FOREVER) == -EACCES);
	expect(0, answer_connect);
	EXPECT(mbuf_connect_args(77, &connect, MBUF_NOW) == 0);
	EXPECT(CAME(MBUF_IOC_CONNECT));
	EXPECT(ARG(mbuf_connect)->uid == 2 && connect.end.ref.fd == 14);
	EXPECT(is_wait(&ARG(mbuf_connect)->wait, MBUF_WAIT_NOW, 0));

	expect(-EINTR, answer_accept);
	EXPECT(mbuf_accept(77, &peer, MBUF_FOREVER) == -EINTR);
	EXPECT(peer.uid == 7);
	expect(0, answer_accept);
	EXPECT(mbuf_accept(77, &peer, MBUF_FOREVER) == 15);
	EXPECT(CAME(MBUF_IOC_ACCEPT));
	EXPECT(ARG(mbuf_accept)->end.flags == MBUF_END_DETACHED);
	EXPECT(peer.uid == 1000);
	EXPECT(mbuf_accept(77, NULL, MBUF_FOREVER) == 15);
	expect(0, answer_accept);
	EXPECT(mbuf_accept_args(77, &accept, 5) == 0);
	EXPECT(ARG(mbuf_accept)->flags == MBUF_ACCEPT_ASK);
	EXPECT(is_wait(&ARG(mbuf_accept)->wait, MBUF_WAIT_UNTIL, 5));
	EXPECT(accept.end.ref.fd == 15 && accept.peer.uid == 1000);
}

/* ---- providing ------------------------------------------------------------ */

static void answer_consent(void *arg)
{
	struct mbuf_consent *consent = arg;

	consent->consent.fd = 16;
	consent->id = 17;
}

static void answer_claim(void *arg)
{
	struct mbuf_claim *claim = arg;

	claim->region.fd = 18;
	claim->size = 4096;
}

static void answer_consent_info(void *arg)
{
	((struct mbuf_consent_info *)arg)->id = 17;
}

static void test_provide(void)
{
	struct mbuf_consent consent = { .offer = 3, .min = 4 };
	struct mbuf_consent_info info = { .id = 1 };
	struct mbuf_provide provide = { .size = 5 };
	struct mbuf_claim claim = { .size = 6 };

	expect(-ENOENT, NULL);
	EXPECT(mbuf_consent(77, &consent) == -ENOENT);
	expect(0, answer_consent);
	EXPECT(mbuf_consent(77, &consent) == 16 && consent.id == 17);
	EXPECT(CAME(MBUF_IOC_CONSENT));
	EXPECT(ARG(mbuf_consent)->offer == 3 && ARG(mbuf_consent)->min == 4);

	expect(-EALREADY, NULL);
	EXPECT(mbuf_revoke(77, 17) == -EALREADY);
	EXPECT(CAME(MBUF_IOC_REVOKE) && ARG(mbuf_revoke)->id == 17);

	expect(-EAGAIN, answer_claim);
	EXPECT(mbuf_claim(77, 3, &claim, MBUF_NOW) == -EAGAIN);
	EXPECT(claim.size == 6);
	expect(0, answer_claim);
	EXPECT(mbuf_claim(77, 3, &claim, 9) == 18 && claim.size == 4096);
	EXPECT(CAME(MBUF_IOC_CLAIM) && ARG(mbuf_claim)->id == 3);
	EXPECT(is_wait(&ARG(mbuf_claim)->wait, MBUF_WAIT_UNTIL, 9));
	EXPECT(mbuf_claim(77, 3, NULL, MBUF_FOREVER) == 18);

	expect(-ENOTTY, answer_consent_info);
	EXPECT(mbuf_consent_info(77, &info) == -ENOTTY && info.id == 1);
	expect(0, answer_consent_info);
	EXPECT(mbuf_consent_info(77, &info) == 0 && info.id == 17);
	EXPECT(CAME(MBUF_IOC_CONSENT_INFO));

	expect(-EXDEV, NULL);
	EXPECT(mbuf_provide(77, &provide) == -EXDEV);
	EXPECT(CAME(MBUF_IOC_PROVIDE) && ARG(mbuf_provide)->size == 5);
}

/* ---- programs that were linked with 0.1 ----------------------------------- */

int query_0_1(int session, void *out);
__asm__(".symver query_0_1, mbuf_query@LIBMBUF_0.1");

static void answer_query(void *arg)
{
	memset(arg, 'k', sizeof(struct mbuf_query));
}

static void test_old_query(void)
{
	/* What the struct had then, and what lay behind it. */
	unsigned char query[88 + 64];

	memset(query, 'p', sizeof(query));
	expect(-EINVAL, answer_query);
	EXPECT(query_0_1(77, query) == -EINVAL);
	EXPECT(all_are(query, 'p', sizeof(query)));
	expect(0, answer_query);
	EXPECT(query_0_1(77, query) == 0);
	EXPECT(CAME(MBUF_IOC_QUERY));
	EXPECT(all_are(query, 'k', 88));
	EXPECT(all_are(query + 88, 'p', sizeof(query) - 88));
}

int main(void)
{
	test_create();
	test_call();
	test_serve();
	test_steps();
	test_info();
	test_sets();
	test_listen();
	test_connect();
	test_provide();
	test_old_query();
	return failed;
}
