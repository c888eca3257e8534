// SPDX-License-Identifier: GPL-2.0
/* Tracepoints: each of them, where it is, with what it says. */
#include <sys/mount.h>
#include "cap.h"
#include "listener.h"
#include "paged.h"

#define TRACING	"/tmp/mbuf-tracing/"

FIXTURE(trace) {
	FIXTURE_DATA(queue) base;
	bool traced;
	char text[65536];
};

FIXTURE_SETUP(trace)
{
	queue_setup(_metadata, &self->base, NULL);
	if (geteuid())
		return;
	mkdir("/tmp", 0777);
	mkdir(TRACING, 0700);
	if (mount("tracefs", TRACING, "tracefs", 0, NULL))
		return;
	/* The test may run beside others that trace. */
	if (mkdir(TRACING "instances/mbuf-test", 0700))
		return;
	self->traced =
		write_file(TRACING "instances/mbuf-test/events/mbuf/enable",
			   "1");
}

FIXTURE_TEARDOWN(trace)
{
	rmdir(TRACING "instances/mbuf-test");
	umount(TRACING);
	rmdir(TRACING);
	queue_teardown(_metadata, &self->base, NULL);
}

#define NEED_TRACE() do {						\
	if (!self->traced)						\
		SKIP(return, "needs root, and a kernel with tracefs");	\
} while (0)

/* What there was since the last time. */
static const char *trace_read(char *text, size_t size)
{
	if (!read_file(TRACING "instances/mbuf-test/trace", text, size))
		text[0] = '\0';
	write_file(TRACING "instances/mbuf-test/trace", "\n");
	return text;
}

/*
 * The first of these that is not there, or not after those before it, NULL if all
 * are. Others may be in between.
 */
static const char *trace_lacks(const char *text, ...)
{
	const char *want;
	va_list ap;

	va_start(ap, text);
	while ((want = va_arg(ap, const char *))) {
		text = strstr(text, want);
		if (!text)
			break;
		text += strlen(want);
	}
	va_end(ap);
	return want;
}

#define EXPECT_TRACED(...) do {						\
	const char *__lacks = trace_lacks(trace_read(self->text,	\
						     sizeof(self->text)), \
					  __VA_ARGS__, NULL);		\
									\
	EXPECT_EQ(NULL, __lacks) {					\
		TH_LOG("missing: %s", __lacks);				\
	}								\
} while (0)

static const char *fmt(const char *format, ...)
{
	static char text[8][160];
	static unsigned int at;
	char *to = text[at++ % 8];
	va_list ap;

	va_start(ap, format);
	vsnprintf(to, sizeof(text[0]), format, ap);
	va_end(ap);
	return to;
}

#define ID(id)	((unsigned long long)(id))

TEST_F(trace, a_queue)
{
	uint32_t num = 0;
	struct party p = {
		.op = OP_RECV,
		.buf = &num,
		.len = sizeof(num),
		.deadline = MBUF_FOREVER,
	};
	struct mbuf_queue_info info;

	NEED_TRACE();
	ASSERT_EQ(0, mbuf_queue_create(self->base.session, 2, 8,
				       MBUF_QUEUE_OVERWRITE, &self->base.rfd,
				       &self->base.sfd));
	info = get_info(self->base.rfd);
	trace_read(self->text, sizeof(self->text));
	ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	EXPECT_TRACED(fmt("mbuf_send: id=%016llx seq=1 len=4 prio=0 depth=1",
			  ID(info.id)),
		      fmt("mbuf_receive: id=%016llx seq=1 len=4 prio=0 depth=0",
			  ID(info.id)));

	p.fd = self->base.rfd;
	ASSERT_TRUE(party_start(&p));
	ASSERT_SLEEPERS(self->base.rfd, 1, 0);
	ASSERT_EQ(0, send_num(self->base.sfd, 2, MBUF_NOW));
	ASSERT_EQ(4, party_join(&p));
	EXPECT_TRACED(fmt("mbuf_block: id=%016llx for=receive", ID(info.id)),
		      fmt("mbuf_send: id=%016llx seq=2", ID(info.id)),
		      fmt("mbuf_receive: id=%016llx seq=2", ID(info.id)),
		      fmt("mbuf_wake: id=%016llx pid=", ID(info.id)));

	ASSERT_EQ(0, send_num(self->base.sfd, 3, MBUF_NOW));
	ASSERT_EQ(0, send_num(self->base.sfd, 4, MBUF_NOW));
	ASSERT_EQ(0, send_num(self->base.sfd, 5, MBUF_NOW));
	close_fd(&self->base.rfd);
	EXPECT_TRACED(fmt("mbuf_drop: id=%016llx nr=1 why=overwritten",
			  ID(info.id)),
		      fmt("mbuf_drop: id=%016llx nr=2 why=dead",
			  ID(info.id)));
}

TEST_F(trace, a_sender_that_waits)
{
	uint32_t num = 2;
	struct party p = {
		.op = OP_SEND,
		.buf = &num,
		.len = sizeof(num),
		.deadline = MBUF_FOREVER,
	};
	struct mbuf_queue_info info;

	NEED_TRACE();
	ASSERT_EQ(0, mbuf_queue_create(self->base.session, 1, 8, 0,
				       &self->base.rfd, &self->base.sfd));
	info = get_info(self->base.rfd);
	ASSERT_EQ(0, send_num(self->base.sfd, 1, MBUF_NOW));
	trace_read(self->text, sizeof(self->text));
	p.fd = self->base.sfd;
	ASSERT_TRUE(party_start(&p));
	ASSERT_SLEEPERS(self->base.rfd, 0, 1);
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	ASSERT_EQ(0, party_join(&p));
	EXPECT_TRACED(fmt("mbuf_block: id=%016llx for=send", ID(info.id)),
		      fmt("mbuf_receive: id=%016llx seq=1", ID(info.id)),
		      fmt("mbuf_send: id=%016llx seq=2", ID(info.id)),
		      fmt("mbuf_wake: id=%016llx pid=", ID(info.id)));
}

TEST_F(trace, a_channel)
{
	struct mbuf_channel_info info = {};
	struct mbuf_counter n = {};
	struct mbuf_offered look;
	struct mbuf_offer o;
	int end[2];

	NEED_TRACE();
	ASSERT_EQ(0, ch_create(self->base.session, MBUF_END_DETACHED, end));
	ASSERT_EQ(0, mbuf_channel_info(end[1], &info));
	trace_read(self->text, sizeof(self->text));
	ASSERT_EQ(0, ch_steps(end[0], STEPS_PUT, 1));
	EXPECT_TRACED(fmt("mbuf_signal: id=%016llx peer=%016llx seq=1",
			  ID(info.id), ID(info.peer_id)));

	o = offer_of(1, RIGHTS_R, 0);
	ASSERT_EQ(0, rg_offer(end[0], &o));
	ASSERT_EQ(0, rg_offered(end[1], &look, MBUF_NOW));
	n.id = look.id;
	ASSERT_EQ(0, xioctl(end[1], MBUF_IOC_REJECT, &n));
	EXPECT_TRACED(fmt("mbuf_negotiate: id=%016llx offer=%016llx step=offer",
			  ID(info.peer_id), ID(o.id)),
		      fmt("mbuf_negotiate: id=%016llx offer=%016llx step=reject",
			  ID(info.id), ID(o.id)));
	close(end[0]);
	close(end[1]);
}

TEST_F(trace, a_message_object)
{
	const int s = self->base.session;
	struct mbuf_message_create c = {
		.max_msg = 4, .sent.fd = -1, .arrived.fd = -1,
	};
	uint32_t num = 1;
	uint64_t queue;

	NEED_TRACE();
	ASSERT_EQ(0, mbuf_queue_create(s, 1, 8, 0, &self->base.rfd,
				       &self->base.sfd));
	queue = get_info(self->base.rfd).id;
	ASSERT_EQ(0, mbuf_message_create(s, &c));
	trace_read(self->text, sizeof(self->text));
#define LOAD()	ASSERT_EQ(0, mbuf_message_load(s, c.handle, &num, 4, NULL, 0))
#define STEP(step)							\
	fmt("mbuf_enqueue: id=%016llx queue=%016llx step=" step,	\
	    ID(c.id), ID(queue))
	LOAD();
	ASSERT_EQ(0, mbuf_message_enqueue(s, c.handle, self->base.sfd));
	LOAD();
	ASSERT_EQ(1, mbuf_message_enqueue(s, c.handle, self->base.sfd));
	ASSERT_EQ(0, mbuf_message_cancel(s, c.handle));
	ASSERT_EQ(1, mbuf_message_enqueue(s, c.handle, self->base.sfd));
	ASSERT_EQ(1, recv_num(self->base.rfd, MBUF_NOW));
	LOAD();
	ASSERT_EQ(1, mbuf_message_enqueue(s, c.handle, self->base.sfd));
	close_fd(&self->base.rfd);
	EXPECT_TRACED(STEP("entered"), STEP("parked"), STEP("cancelled"),
		      STEP("parked"),
		      fmt("mbuf_send: id=%016llx seq=2", ID(queue)),
		      STEP("delivered"), STEP("parked"), STEP("lost"));
#undef LOAD
#undef STEP
	ASSERT_EQ(0, mbuf_handle_delete(s, c.handle));
}

TEST_F(trace, a_sealed_message)
{
	const int s = self->base.session;
	struct mbuf_handle_info right = {}, wrong = {};
	struct mbuf_seal seal = { .len = 4 };
	struct mbuf_unseal u = {};
	uint64_t key = 0, other = 0;
	uint32_t num = 1;

	NEED_TRACE();
	ASSERT_EQ(0, mbuf_key_create(s, 0, &key));
	ASSERT_EQ(0, mbuf_key_create(s, 0, &other));
	ASSERT_EQ(0, mbuf_handle_info(s, key, &right));
	ASSERT_EQ(0, mbuf_handle_info(s, other, &wrong));
	trace_read(self->text, sizeof(self->text));
	seal.target = key;
	seal.buf = (uintptr_t)&num;
	ASSERT_EQ(0, mbuf_seal(s, &seal));
	u.sealed = seal.handle;
	u.buf = (uintptr_t)&num;
	u.len = 4;
	u.target = other;
	ASSERT_EQ(-EKEYREJECTED, mbuf_unseal(s, &u));
	u.target = key;
	ASSERT_EQ(0, mbuf_unseal(s, &u));
	EXPECT_TRACED(fmt("mbuf_seal: id=%016llx key=%016llx len=4 caps=0",
			  ID(seal.id), ID(right.id)),
		      fmt("mbuf_unseal: id=%016llx key=%016llx err=%d",
			  ID(seal.id), ID(wrong.id), -EKEYREJECTED),
		      fmt("mbuf_unseal: id=%016llx key=%016llx err=0",
			  ID(seal.id), ID(right.id)));
	ASSERT_EQ(0, mbuf_handle_delete(s, seal.handle));
	ASSERT_EQ(0, mbuf_handle_delete(s, key));
	ASSERT_EQ(0, mbuf_handle_delete(s, other));
}

TEST_F(trace, faults)
{
	const size_t page = page_size();
	struct mbuf_fault f = {};
	int pager, region;
	struct toucher t;
	uint64_t id;
	uint8_t *p;

	NEED_TRACE();
	touch_init();
	ASSERT_EQ(0, pg_create(self->base.session, 2 * page, &pager, &region,
			       &id));
	p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
	ASSERT_NE(MAP_FAILED, p);
	trace_read(self->text, sizeof(self->text));
#define STEP(nr, at, step)						\
	fmt("mbuf_fault: id=%016llx fault=%d offset=%zu access=%x step=" step, \
	    ID(id), nr, at, MBUF_FAULT_WRITE)
	ASSERT_TRUE(toucher_start(&t, p + page, 1));
	ASSERT_EQ(1, pg_fault(pager, &f));
	ASSERT_EQ(1, f.id);
	ASSERT_EQ(1, pg_zero(pager, page, page));
	EXPECT_EQ(0, toucher_join(&t));
	ASSERT_TRUE(toucher_start(&t, p, 1));
	ASSERT_EQ(1, pg_fault(pager, &f));
	ASSERT_EQ(0, pg_refuse(pager, &f));
	EXPECT_EQ(-SIGBUS, toucher_join(&t));
	ASSERT_TRUE(toucher_start(&t, p, 1));
	ASSERT_EQ(1, pg_fault(pager, &f));
	close(pager);
	EXPECT_EQ(-SIGBUS, toucher_join(&t));
	EXPECT_TRACED(STEP(1, page, "raised"), STEP(1, page, "supplied"),
		      STEP(2, (size_t)0, "raised"),
		      STEP(2, (size_t)0, "refused"),
		      STEP(3, (size_t)0, "raised"), STEP(3, (size_t)0, "gone"));
#undef STEP
	munmap(p, 2 * page);
	close(region);
}

TEST_F(trace, a_connection)
{
	struct mbuf_channel_info info = {};
	struct mbuf_listener_info l = {};
	struct mbuf_connect c;
	int lfd;

	NEED_TRACE();
	lfd = ls_listen(self->base.session, 0777, 1);
	ASSERT_LE(0, lfd);
	ASSERT_EQ(0, xioctl(lfd, MBUF_IOC_LISTENER_INFO, &l));
	trace_read(self->text, sizeof(self->text));
	c = connect_of(NAME, NAME_LEN, MBUF_CONNECT_ASYNC, MBUF_FOREVER);
	ASSERT_EQ(0, xioctl(self->base.session, MBUF_IOC_CONNECT, &c));
	ASSERT_EQ(0, mbuf_channel_info(c.end.ref.fd, &info));
	EXPECT_TRACED(fmt("mbuf_connect: id=%016llx listener=%016llx err=0",
			  ID(info.id), ID(l.id)));
	close(c.end.ref.fd);
	close(lfd);
}

TEST_HARNESS_MAIN
