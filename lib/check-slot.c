// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * mbuf_slot_read() against a writer that changes the slot as the kernel does:
 * every copy is what one write put there, and none is older than the last. To be
 * compiled as C and as C++.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <mbuf.h>

#define COPIES	200000

static struct mbuf_slot_map slot;
static int stop;

/* The time from one write to the next: about that of two, as with system calls. */
#define REST	64

static __u8 low_byte(__u64 n)
{
	return n & 0xff;
}

static void *write_slot(void *unused)
{
	__u64 seq = 0;
	unsigned int i;
	volatile int rest;

	(void)unused;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		seq++;
		__atomic_store_n(&slot.version, slot.version + 1,
				 __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_RELEASE);
		__atomic_store_n(&slot.seq, seq, __ATOMIC_RELAXED);
		__atomic_store_n(&slot.signals, seq, __ATOMIC_RELAXED);
		for (i = 0; i < MBUF_SLOT_SIZE; i++)
			__atomic_store_n(&slot.data[i],
					 low_byte(seq + i),
					 __ATOMIC_RELAXED);
		__atomic_store_n(&slot.version, slot.version + 1,
				 __ATOMIC_RELEASE);
		for (rest = 0; rest < REST; rest = rest + 1)
			;
	}
	return NULL;
}

int main(void)
{
	struct mbuf_slot_map copy;
	__u64 last = 0, changed = 0;
	pthread_t writer;
	unsigned int i, n;
	int ret = 0;

	if (pthread_create(&writer, NULL, write_slot, NULL)) {
		printf("cannot make a thread\n");
		return 1;
	}
	/* At least so many, and until it has been seen to change. */
	for (n = 0; !ret && (n < COPIES || changed < 1000); n++) {
		memset(&copy, 0xff, sizeof(copy));
		mbuf_slot_read(&slot, &copy);
		if (copy.seq != last)
			changed++;
		if (copy.version & 1 || copy.seq < last ||
		    copy.signals != copy.seq || copy.state || copy.resv)
			ret = 1;
		for (i = 0; copy.seq && i < MBUF_SLOT_SIZE; i++)
			if (copy.data[i] != low_byte(copy.seq + i))
				ret = 1;
		last = copy.seq;
	}
	if (ret)
		printf("copy %u is not what one write put there\n", n);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(writer, NULL);
	return ret;
}
