/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of libmbuf share. Nothing here has external linkage: the
 * static library must not define any name but mbuf_*.
 */
#ifndef _LIBMBUF_INTERNAL_H
#define _LIBMBUF_INTERNAL_H

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include <mbuf.h>

/*
 * The size of a struct is part of its command number and its layout is the
 * same everywhere, so that a compiler that disagrees must not get further.
 */
static_assert(sizeof(struct mbuf_ref) == 16, "struct mbuf_ref");
static_assert(sizeof(struct mbuf_wait) == 16, "struct mbuf_wait");
static_assert(sizeof(struct mbuf_usage) == 16, "struct mbuf_usage");
static_assert(sizeof(struct mbuf_query) == 144, "struct mbuf_query");
static_assert(offsetof(struct mbuf_query, objects) == 40, "struct mbuf_query");
static_assert(sizeof(struct mbuf_queue_create) == 64,
	      "struct mbuf_queue_create");
static_assert(offsetof(struct mbuf_queue_create, recv) == 24,
	      "struct mbuf_queue_create");
static_assert(sizeof(struct mbuf_queue_info) == 112, "struct mbuf_queue_info");
static_assert(offsetof(struct mbuf_queue_info, sent) == 64,
	      "struct mbuf_queue_info");
static_assert(sizeof(struct mbuf_msg) == 40, "struct mbuf_msg");
static_assert(offsetof(struct mbuf_msg, seq) == 16, "struct mbuf_msg");
static_assert(sizeof(struct mbuf_xfer) == 72, "struct mbuf_xfer");
static_assert(offsetof(struct mbuf_xfer, msg) == 32, "struct mbuf_xfer");
static_assert(sizeof(struct mbuf_batch) == 48, "struct mbuf_batch");
static_assert(offsetof(struct mbuf_batch, msgs) == 24, "struct mbuf_batch");
static_assert(sizeof(struct mbuf_end) == 40, "struct mbuf_end");
static_assert(sizeof(struct mbuf_channel_create) == 96,
	      "struct mbuf_channel_create");
static_assert(sizeof(struct mbuf_exchange) == 88, "struct mbuf_exchange");
static_assert(offsetof(struct mbuf_exchange, data) == 56,
	      "struct mbuf_exchange");
static_assert(sizeof(struct mbuf_slot_map) == 64, "struct mbuf_slot_map");
static_assert(offsetof(struct mbuf_slot_map, data) == 32,
	      "struct mbuf_slot_map");
static_assert(sizeof(struct mbuf_peer) == 24, "struct mbuf_peer");
static_assert(sizeof(struct mbuf_channel_info) == 88,
	      "struct mbuf_channel_info");
static_assert(sizeof(struct mbuf_approve) == 16, "struct mbuf_approve");
static_assert(sizeof(struct mbuf_attach) == 40, "struct mbuf_attach");
static_assert(sizeof(struct mbuf_event) == 16, "struct mbuf_event");
static_assert(sizeof(struct mbuf_poll_all) == 48, "struct mbuf_poll_all");
static_assert(sizeof(struct mbuf_wait_any) == 104, "struct mbuf_wait_any");
static_assert(sizeof(struct mbuf_listen) == 72, "struct mbuf_listen");
static_assert(sizeof(struct mbuf_listener_set) == 32,
	      "struct mbuf_listener_set");
static_assert(sizeof(struct mbuf_listener_acl) == 16,
	      "struct mbuf_listener_acl");
static_assert(sizeof(struct mbuf_listener_info) == 104,
	      "struct mbuf_listener_info");
static_assert(sizeof(struct mbuf_accept_queue) == 48,
	      "struct mbuf_accept_queue");
static_assert(sizeof(struct mbuf_connect) == 120, "struct mbuf_connect");
static_assert(offsetof(struct mbuf_connect, end) == 48,
	      "struct mbuf_connect");
static_assert(sizeof(struct mbuf_accept) == 96, "struct mbuf_accept");
static_assert(sizeof(struct mbuf_offer) == 64, "struct mbuf_offer");
static_assert(sizeof(struct mbuf_offered) == 72, "struct mbuf_offered");
static_assert(sizeof(struct mbuf_take) == 48, "struct mbuf_take");
static_assert(sizeof(struct mbuf_counter) == 56, "struct mbuf_counter");
static_assert(sizeof(struct mbuf_answer) == 88, "struct mbuf_answer");
static_assert(sizeof(struct mbuf_withdraw) == 16, "struct mbuf_withdraw");
static_assert(sizeof(struct mbuf_grant) == 48, "struct mbuf_grant");
static_assert(sizeof(struct mbuf_region_info) == 32,
	      "struct mbuf_region_info");
static_assert(sizeof(struct mbuf_paged_create) == 64,
	      "struct mbuf_paged_create");
static_assert(sizeof(struct mbuf_fault) == 40, "struct mbuf_fault");
static_assert(sizeof(struct mbuf_faults) == 48, "struct mbuf_faults");
static_assert(sizeof(struct mbuf_supply) == 56, "struct mbuf_supply");
static_assert(sizeof(struct mbuf_refuse) == 24, "struct mbuf_refuse");
static_assert(sizeof(struct mbuf_evict) == 80, "struct mbuf_evict");
static_assert(sizeof(struct mbuf_protect) == 40, "struct mbuf_protect");
static_assert(sizeof(struct mbuf_pages) == 40, "struct mbuf_pages");
static_assert(sizeof(struct mbuf_paged_info) == 80, "struct mbuf_paged_info");
static_assert(sizeof(struct mbuf_consent) == 80, "struct mbuf_consent");
static_assert(sizeof(struct mbuf_revoke) == 16, "struct mbuf_revoke");
static_assert(sizeof(struct mbuf_claim) == 64, "struct mbuf_claim");
static_assert(sizeof(struct mbuf_consent_info) == 136,
	      "struct mbuf_consent_info");
static_assert(sizeof(struct mbuf_provide) == 88, "struct mbuf_provide");

static_assert(sizeof(struct mbuf_give) == 32, "struct mbuf_give");
static_assert(sizeof(struct mbuf_cap) == 40, "struct mbuf_cap");
static_assert(sizeof(struct mbuf_xfer_caps) == 104, "struct mbuf_xfer_caps");
static_assert(sizeof(struct mbuf_table_create) == 32,
	      "struct mbuf_table_create");
static_assert(sizeof(struct mbuf_handle_put) == 40, "struct mbuf_handle_put");
static_assert(sizeof(struct mbuf_handle_open) == 32, "struct mbuf_handle_open");
static_assert(sizeof(struct mbuf_handle_copy) == 32, "struct mbuf_handle_copy");
static_assert(sizeof(struct mbuf_handle) == 16, "struct mbuf_handle");
static_assert(sizeof(struct mbuf_handle_info) == 40, "struct mbuf_handle_info");
static_assert(sizeof(struct mbuf_handle_entry) == 24,
	      "struct mbuf_handle_entry");
static_assert(sizeof(struct mbuf_table_list) == 32, "struct mbuf_table_list");
static_assert(sizeof(struct mbuf_message_create) == 80,
	      "struct mbuf_message_create");
static_assert(sizeof(struct mbuf_message_load) == 72,
	      "struct mbuf_message_load");
static_assert(sizeof(struct mbuf_message_enqueue) == 32,
	      "struct mbuf_message_enqueue");
static_assert(sizeof(struct mbuf_message_info) == 64,
	      "struct mbuf_message_info");
static_assert(sizeof(struct mbuf_message_grant) == 32,
	      "struct mbuf_message_grant");
static_assert(sizeof(struct mbuf_key_create) == 32, "struct mbuf_key_create");
static_assert(sizeof(struct mbuf_seal) == 72, "struct mbuf_seal");
static_assert(sizeof(struct mbuf_unseal) == 56, "struct mbuf_unseal");

/* The one place where errno becomes a result. */
static inline int libmbuf_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

static inline uint64_t libmbuf_addr(const void *ptr)
{
	return (uint64_t)(uintptr_t)ptr;
}

static inline struct mbuf_wait libmbuf_wait(uint64_t deadline)
{
	struct mbuf_wait wait = {
		.mode = MBUF_WAIT_UNTIL,
		.clock = MBUF_CLOCK_MONOTONIC,
		.deadline = deadline,
	};

	if (deadline == MBUF_NOW || deadline == MBUF_FOREVER) {
		wait.deadline = 0;
		wait.mode = deadline == MBUF_NOW ? MBUF_WAIT_NOW :
						   MBUF_WAIT_FOREVER;
	}
	return wait;
}

struct mbuf_ring_tx;

/* Bytes that a producer has used since the ring was new, modulo 2^32. */
uint32_t libmbuf_ring_tx_count(const struct mbuf_ring_tx *tx);

/*
 * Another producer of the same ring has used it up to @count: go on from there.
 * Returns 0, or an error that stays.
 */
int libmbuf_ring_tx_adopt(struct mbuf_ring_tx *tx, uint32_t count);

#endif /* _LIBMBUF_INTERNAL_H */
