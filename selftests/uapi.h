/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which calls there are, beside those that uapi_abi.c has tables for: it knows
 * by this that they exist, and uapi_calls.c makes each of them. A call that the
 * module has and that is neither here nor there fails uapi_abi.unknown_commands.
 */
#ifndef MBUF_SELFTESTS_UAPI_H
#define MBUF_SELFTESTS_UAPI_H

#include <stdint.h>
#include <linux/mbuf.h>

/* What a command is for; the first six are those of uapi_abi.c. */
#define ON_SESSION	0x001
#define ON_RECV		0x002
#define ON_SEND		0x004
#define ON_CHANNEL	0x008
#define ON_LISTENER	0x010
#define ON_ACCEPT_QUEUE	0x020
#define ON_REGION	0x040	/* not a memfd */
#define ON_PAGED	0x080	/* a right to a paged region */
#define ON_PAGER	0x100
#define ON_CONSENT	0x200

/* What the argument is for. */
#define ARG_IN		0	/* is not written */
#define ARG_OUT		1
#define ARG_SENT	2	/* that it cannot be written is no failure */
#define ARG_DONE	3	/* a failure, but something was done */

/*
 * X(which, feature, size of the first version, what it is for, its argument).
 * Those of queues are for sessions, too, with a target.
 */
#define UAPI_CALLS(X) \
	X(GRANT, REGION, 48, ON_SESSION, ARG_OUT) \
	X(PROVIDE, PROVIDE, 88, ON_SESSION, ARG_OUT) \
	X(SEND_CAPS, CAPS, 104, ON_SEND, ARG_SENT) \
	X(RECV_CAPS, CAPS, 104, ON_RECV, ARG_OUT) \
	X(OFFER, REGION, 64, ON_CHANNEL, ARG_OUT) \
	X(OFFERED, REGION, 72, ON_CHANNEL, ARG_OUT) \
	X(TAKE, REGION, 48, ON_CHANNEL, ARG_OUT) \
	X(COUNTER, REGION, 56, ON_CHANNEL, ARG_IN) \
	X(REJECT, REGION, 56, ON_CHANNEL, ARG_IN) \
	X(ANSWER, REGION, 88, ON_CHANNEL, ARG_OUT) \
	X(WITHDRAW, REGION, 16, ON_CHANNEL, ARG_IN) \
	X(CONSENT, PROVIDE, 80, ON_CHANNEL, ARG_OUT) \
	X(REVOKE, PROVIDE, 16, ON_CHANNEL, ARG_IN) \
	X(CLAIM, PROVIDE, 64, ON_CHANNEL, ARG_OUT) \
	X(CONSENT_INFO, PROVIDE, 136, ON_CONSENT, ARG_OUT) \
	X(GIVE, CAPS, 32, ON_CHANNEL, ARG_IN) \
	X(GIVEN, CAPS, 32, ON_CHANNEL, ARG_OUT) \
	X(REGION_INFO, REGION, 32, ON_REGION | ON_PAGED, ARG_OUT) \
	X(PAGED_CREATE, PAGED, 64, ON_SESSION, ARG_OUT) \
	X(FAULTS, PAGED, 48, ON_PAGER, ARG_IN) \
	X(SUPPLY, PAGED, 56, ON_PAGER, ARG_OUT) \
	X(REFUSE, PAGED, 24, ON_PAGER, ARG_IN) \
	X(EVICT, PAGED, 80, ON_PAGER, ARG_OUT) \
	X(PROTECT, PAGED, 40, ON_PAGER, ARG_DONE) \
	X(PAGES, PAGED, 40, ON_PAGER, ARG_IN) \
	X(PAGED_INFO, PAGED, 80, ON_PAGER, ARG_OUT) \
	X(TABLE_CREATE, CAPS, 32, ON_SESSION, ARG_OUT) \
	X(HANDLE_PUT, CAPS, 40, ON_SESSION, ARG_OUT) \
	X(HANDLE_OPEN, CAPS, 32, ON_SESSION, ARG_OUT) \
	X(HANDLE_COPY, CAPS, 32, ON_SESSION, ARG_OUT) \
	X(HANDLE_MOVE, CAPS, 32, ON_SESSION, ARG_OUT) \
	X(HANDLE_DELETE, CAPS, 16, ON_SESSION, ARG_IN) \
	X(HANDLE_REVOKE, CAPS, 16, ON_SESSION, ARG_IN) \
	X(HANDLE_INFO, CAPS, 40, ON_SESSION, ARG_OUT) \
	X(TABLE_LIST, CAPS, 32, ON_SESSION, ARG_OUT) \
	X(MESSAGE_CREATE, MESSAGE, 80, ON_SESSION, ARG_OUT) \
	X(MESSAGE_LOAD, MESSAGE, 72, ON_SESSION, ARG_IN) \
	X(MESSAGE_ENQUEUE, MESSAGE, 32, ON_SESSION, ARG_IN) \
	X(MESSAGE_CANCEL, MESSAGE, 16, ON_SESSION, ARG_IN) \
	X(MESSAGE_INFO, MESSAGE, 64, ON_SESSION, ARG_OUT) \
	X(MESSAGE_GRANT, MESSAGE, 32, ON_SESSION, ARG_OUT) \
	X(KEY_CREATE, SEAL, 32, ON_SESSION, ARG_OUT) \
	X(SEAL, SEAL, 72, ON_SESSION, ARG_OUT) \
	X(UNSEAL, SEAL, 56, ON_SESSION, ARG_OUT)

/* The kinds that a command of UAPI_CALLS() is for, 0 if it is none of them. */
static inline unsigned int uapi_calls_on(unsigned int nr)
{
	static const struct {
		unsigned int nr, on;
	} calls[] = {
#define X(ioc, feature, min, on, arg) { _IOC_NR(MBUF_IOC_##ioc), on },
		UAPI_CALLS(X)
#undef X
	};
	unsigned int i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].nr == nr)
			return calls[i].on;
	return 0;
}

/* Addresses that are no memory of ours. */
static const uint64_t wild[] = {
	0,
	1,
	8,
	4096,
	0x7fffffffffffull - 7,		/* the end of what a user can have */
	0x800000000000ull,		/* the first that is not canonical */
	0x8000000000000000ull,
	0xffff800000000000ull,		/* the kernel's */
	0xffff888000000000ull,
	0xffffffff81000000ull,
	0xffffffffff600000ull,		/* vsyscall */
	(uint64_t)-4096,
	(uint64_t)-8,
	(uint64_t)-1,
#if UINTPTR_MAX == UINT32_MAX
	0xffffe000,			/* the end, where a kernel has 64 bits */
	0xfffff000,
	0xffffffff,
#endif
};

#endif /* MBUF_SELFTESTS_UAPI_H */
