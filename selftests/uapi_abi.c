// SPDX-License-Identifier: GPL-2.0
/*
 * The binary interface: layout, the rules that let it grow, and every error
 * that <linux/mbuf.h> names for every ioctl, provoked one by one. The ioctls
 * are called directly, without the library.
 */
#include <sys/resource.h>
#include "channel.h"
#include "uapi.h"

/*
 * Layout. These are promises to programs that exist already.
 */
#define LAYOUT(type, member, offset) \
	_Static_assert(offsetof(struct type, member) == (offset), \
		       #type "." #member " has moved")
#define SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size), #type " has another size")

SIZE(mbuf_ref, 16);
LAYOUT(mbuf_ref, fd, 0);
LAYOUT(mbuf_ref, flags, 4);
LAYOUT(mbuf_ref, handle, 8);

SIZE(mbuf_wait, 16);
LAYOUT(mbuf_wait, deadline, 0);
LAYOUT(mbuf_wait, mode, 8);
LAYOUT(mbuf_wait, clock, 12);

SIZE(mbuf_usage, 16);
SIZE(mbuf_query, 144);
LAYOUT(mbuf_query, target, 0);
LAYOUT(mbuf_query, features, 8);
LAYOUT(mbuf_query, slots_max, 16);
LAYOUT(mbuf_query, msg_max, 20);
LAYOUT(mbuf_query, inline_max, 24);
LAYOUT(mbuf_query, batch_max, 28);
LAYOUT(mbuf_query, prio_max, 32);
LAYOUT(mbuf_query, resv, 36);
LAYOUT(mbuf_query, objects, 40);
LAYOUT(mbuf_query, memory, 56);
LAYOUT(mbuf_query, inflight, 72);
LAYOUT(mbuf_query, name_max, 88);
LAYOUT(mbuf_query, wait_any_max, 92);
LAYOUT(mbuf_query, backlog_max, 96);
LAYOUT(mbuf_query, acl_max, 100);
LAYOUT(mbuf_query, handles, 104);
LAYOUT(mbuf_query, caps, 120);
LAYOUT(mbuf_query, caps_max, 136);
LAYOUT(mbuf_query, path_max, 140);

SIZE(mbuf_queue_create, 64);
LAYOUT(mbuf_queue_create, target, 0);
LAYOUT(mbuf_queue_create, slots, 8);
LAYOUT(mbuf_queue_create, max_msg, 12);
LAYOUT(mbuf_queue_create, flags, 16);
LAYOUT(mbuf_queue_create, max_caps, 20);
LAYOUT(mbuf_queue_create, recv, 24);
LAYOUT(mbuf_queue_create, send, 40);
LAYOUT(mbuf_queue_create, id, 56);

SIZE(mbuf_queue_info, 112);
LAYOUT(mbuf_queue_info, target, 0);
LAYOUT(mbuf_queue_info, id, 8);
LAYOUT(mbuf_queue_info, slots, 16);
LAYOUT(mbuf_queue_info, rights, 28);
LAYOUT(mbuf_queue_info, depth, 32);
LAYOUT(mbuf_queue_info, senders, 40);
LAYOUT(mbuf_queue_info, send_waiters, 48);
LAYOUT(mbuf_queue_info, next_len, 56);
LAYOUT(mbuf_queue_info, next_caps, 60);
LAYOUT(mbuf_queue_info, sent, 64);
LAYOUT(mbuf_queue_info, recv_blocked, 104);

SIZE(mbuf_msg, 40);
LAYOUT(mbuf_msg, buf, 0);
LAYOUT(mbuf_msg, len, 8);
LAYOUT(mbuf_msg, flags, 12);
LAYOUT(mbuf_msg, seq, 16);
LAYOUT(mbuf_msg, prio, 24);
LAYOUT(mbuf_msg, pid, 28);
LAYOUT(mbuf_msg, uid, 32);
LAYOUT(mbuf_msg, gid, 36);

SIZE(mbuf_xfer, 72);
LAYOUT(mbuf_xfer, target, 0);
LAYOUT(mbuf_xfer, wait, 8);
LAYOUT(mbuf_xfer, flags, 24);
LAYOUT(mbuf_xfer, resv, 28);
LAYOUT(mbuf_xfer, msg, 32);

SIZE(mbuf_batch, 48);
LAYOUT(mbuf_batch, target, 0);
LAYOUT(mbuf_batch, wait, 8);
LAYOUT(mbuf_batch, msgs, 24);
LAYOUT(mbuf_batch, nr, 32);
LAYOUT(mbuf_batch, stride, 36);
LAYOUT(mbuf_batch, min, 40);
LAYOUT(mbuf_batch, flags, 44);

SIZE(mbuf_end, 40);
LAYOUT(mbuf_end, ref, 0);
LAYOUT(mbuf_end, cookie, 16);
LAYOUT(mbuf_end, id, 24);
LAYOUT(mbuf_end, flags, 32);
LAYOUT(mbuf_end, resv, 36);

SIZE(mbuf_channel_create, 96);
LAYOUT(mbuf_channel_create, flags, 8);
LAYOUT(mbuf_channel_create, resv, 12);
LAYOUT(mbuf_channel_create, end, 16);

SIZE(mbuf_exchange, 88);
LAYOUT(mbuf_exchange, wait, 8);
LAYOUT(mbuf_exchange, steps, 24);
LAYOUT(mbuf_exchange, done, 28);
LAYOUT(mbuf_exchange, state, 32);
LAYOUT(mbuf_exchange, resv, 36);
LAYOUT(mbuf_exchange, signals, 40);
LAYOUT(mbuf_exchange, seq, 48);
LAYOUT(mbuf_exchange, data, 56);

SIZE(mbuf_slot_map, 64);
LAYOUT(mbuf_slot_map, version, 0);
LAYOUT(mbuf_slot_map, state, 4);
LAYOUT(mbuf_slot_map, seq, 8);
LAYOUT(mbuf_slot_map, signals, 16);
LAYOUT(mbuf_slot_map, resv, 24);
LAYOUT(mbuf_slot_map, data, 32);

SIZE(mbuf_peer, 24);
LAYOUT(mbuf_peer, pid, 0);
LAYOUT(mbuf_peer, uid, 4);
LAYOUT(mbuf_peer, gid, 8);
LAYOUT(mbuf_peer, flags, 12);
LAYOUT(mbuf_peer, start, 16);

SIZE(mbuf_channel_info, 88);
LAYOUT(mbuf_channel_info, id, 8);
LAYOUT(mbuf_channel_info, peer_id, 16);
LAYOUT(mbuf_channel_info, flags, 24);
LAYOUT(mbuf_channel_info, state, 28);
LAYOUT(mbuf_channel_info, seq, 32);
LAYOUT(mbuf_channel_info, peer_seq, 40);
LAYOUT(mbuf_channel_info, signals, 48);
LAYOUT(mbuf_channel_info, peer_signals, 52);
LAYOUT(mbuf_channel_info, waiters, 56);
LAYOUT(mbuf_channel_info, peer, 64);

SIZE(mbuf_approve, 16);
LAYOUT(mbuf_approve, verdict, 8);
LAYOUT(mbuf_approve, resv, 12);

SIZE(mbuf_attach, 40);
LAYOUT(mbuf_attach, ref, 8);
LAYOUT(mbuf_attach, cookie, 24);
LAYOUT(mbuf_attach, flags, 32);
LAYOUT(mbuf_attach, resv, 36);

SIZE(mbuf_event, 16);
LAYOUT(mbuf_event, cookie, 0);
LAYOUT(mbuf_event, events, 8);
LAYOUT(mbuf_event, resv, 12);

SIZE(mbuf_poll_all, 48);
LAYOUT(mbuf_poll_all, wait, 8);
LAYOUT(mbuf_poll_all, events, 24);
LAYOUT(mbuf_poll_all, nr, 32);
LAYOUT(mbuf_poll_all, stride, 36);
LAYOUT(mbuf_poll_all, flags, 40);
LAYOUT(mbuf_poll_all, resv, 44);

SIZE(mbuf_wait_any, 104);
LAYOUT(mbuf_wait_any, wait, 8);
LAYOUT(mbuf_wait_any, ends, 24);
LAYOUT(mbuf_wait_any, nr, 32);
LAYOUT(mbuf_wait_any, stride, 36);
LAYOUT(mbuf_wait_any, flags, 40);
LAYOUT(mbuf_wait_any, index, 44);
LAYOUT(mbuf_wait_any, state, 48);
LAYOUT(mbuf_wait_any, resv, 52);
LAYOUT(mbuf_wait_any, signals, 56);
LAYOUT(mbuf_wait_any, seq, 64);
LAYOUT(mbuf_wait_any, data, 72);

SIZE(mbuf_listen, 72);
LAYOUT(mbuf_listen, name, 8);
LAYOUT(mbuf_listen, name_len, 16);
LAYOUT(mbuf_listen, flags, 20);
LAYOUT(mbuf_listen, mode, 24);
LAYOUT(mbuf_listen, backlog, 28);
LAYOUT(mbuf_listen, uid, 32);
LAYOUT(mbuf_listen, gid, 36);
LAYOUT(mbuf_listen, cookie, 40);
LAYOUT(mbuf_listen, listener, 48);
LAYOUT(mbuf_listen, id, 64);

SIZE(mbuf_listener_set, 32);
LAYOUT(mbuf_listener_set, flags, 8);
LAYOUT(mbuf_listener_set, mode, 12);
LAYOUT(mbuf_listener_set, backlog, 16);
LAYOUT(mbuf_listener_set, uid, 20);
LAYOUT(mbuf_listener_set, gid, 24);
LAYOUT(mbuf_listener_set, resv, 28);

SIZE(mbuf_listener_acl, 16);
LAYOUT(mbuf_listener_acl, uid, 8);
LAYOUT(mbuf_listener_acl, op, 12);

SIZE(mbuf_listener_info, 104);
LAYOUT(mbuf_listener_info, id, 8);
LAYOUT(mbuf_listener_info, listener_id, 16);
LAYOUT(mbuf_listener_info, name, 24);
LAYOUT(mbuf_listener_info, name_len, 32);
LAYOUT(mbuf_listener_info, mode, 36);
LAYOUT(mbuf_listener_info, backlog, 48);
LAYOUT(mbuf_listener_info, resv, 68);
LAYOUT(mbuf_listener_info, accepted, 72);
LAYOUT(mbuf_listener_info, withdrawn, 96);

SIZE(mbuf_accept_queue, 48);
LAYOUT(mbuf_accept_queue, backlog, 8);
LAYOUT(mbuf_accept_queue, flags, 12);
LAYOUT(mbuf_accept_queue, cookie, 16);
LAYOUT(mbuf_accept_queue, queue, 24);
LAYOUT(mbuf_accept_queue, id, 40);

SIZE(mbuf_connect, 120);
LAYOUT(mbuf_connect, wait, 8);
LAYOUT(mbuf_connect, name, 24);
LAYOUT(mbuf_connect, name_len, 32);
LAYOUT(mbuf_connect, flags, 36);
LAYOUT(mbuf_connect, uid, 40);
LAYOUT(mbuf_connect, resv, 44);
LAYOUT(mbuf_connect, end, 48);
LAYOUT(mbuf_connect, data, 88);

SIZE(mbuf_accept, 96);
LAYOUT(mbuf_accept, wait, 8);
LAYOUT(mbuf_accept, flags, 24);
LAYOUT(mbuf_accept, resv, 28);
LAYOUT(mbuf_accept, end, 32);
LAYOUT(mbuf_accept, peer, 72);

SIZE(mbuf_cap, 40);
LAYOUT(mbuf_cap, ref, 0);
LAYOUT(mbuf_cap, rights, 16);
LAYOUT(mbuf_cap, type, 20);
LAYOUT(mbuf_cap, flags, 24);
LAYOUT(mbuf_cap, error, 28);
LAYOUT(mbuf_cap, id, 32);

SIZE(mbuf_xfer_caps, 104);
LAYOUT(mbuf_xfer_caps, target, 0);
LAYOUT(mbuf_xfer_caps, wait, 8);
LAYOUT(mbuf_xfer_caps, flags, 24);
LAYOUT(mbuf_xfer_caps, nr_caps, 28);
LAYOUT(mbuf_xfer_caps, msg, 32);
LAYOUT(mbuf_xfer_caps, caps, 72);
LAYOUT(mbuf_xfer_caps, stride, 80);
LAYOUT(mbuf_xfer_caps, resv, 84);
LAYOUT(mbuf_xfer_caps, table, 88);

SIZE(mbuf_table_create, 32);
LAYOUT(mbuf_table_create, target, 0);
LAYOUT(mbuf_table_create, handle, 8);
LAYOUT(mbuf_table_create, flags, 16);
LAYOUT(mbuf_table_create, resv, 20);
LAYOUT(mbuf_table_create, id, 24);

SIZE(mbuf_handle_put, 40);
LAYOUT(mbuf_handle_put, target, 0);
LAYOUT(mbuf_handle_put, ref, 8);
LAYOUT(mbuf_handle_put, handle, 24);
LAYOUT(mbuf_handle_put, rights, 32);
LAYOUT(mbuf_handle_put, resv, 36);

SIZE(mbuf_handle_open, 32);
LAYOUT(mbuf_handle_open, target, 0);
LAYOUT(mbuf_handle_open, ref, 8);
LAYOUT(mbuf_handle_open, flags, 24);
LAYOUT(mbuf_handle_open, resv, 28);

SIZE(mbuf_handle_copy, 32);
LAYOUT(mbuf_handle_copy, target, 0);
LAYOUT(mbuf_handle_copy, from, 8);
LAYOUT(mbuf_handle_copy, handle, 16);
LAYOUT(mbuf_handle_copy, rights, 24);
LAYOUT(mbuf_handle_copy, resv, 28);

SIZE(mbuf_handle, 16);
LAYOUT(mbuf_handle, target, 0);
LAYOUT(mbuf_handle, flags, 8);
LAYOUT(mbuf_handle, resv, 12);

SIZE(mbuf_handle_info, 40);
LAYOUT(mbuf_handle_info, target, 0);
LAYOUT(mbuf_handle_info, id, 8);
LAYOUT(mbuf_handle_info, type, 16);
LAYOUT(mbuf_handle_info, rights, 20);
LAYOUT(mbuf_handle_info, size, 24);
LAYOUT(mbuf_handle_info, resv, 32);

SIZE(mbuf_handle_entry, 24);
LAYOUT(mbuf_handle_entry, handle, 0);
LAYOUT(mbuf_handle_entry, id, 8);
LAYOUT(mbuf_handle_entry, type, 16);
LAYOUT(mbuf_handle_entry, rights, 20);

SIZE(mbuf_table_list, 32);
LAYOUT(mbuf_table_list, target, 0);
LAYOUT(mbuf_table_list, start, 8);
LAYOUT(mbuf_table_list, entries, 16);
LAYOUT(mbuf_table_list, nr, 24);
LAYOUT(mbuf_table_list, stride, 28);

SIZE(mbuf_message_create, 80);
LAYOUT(mbuf_message_create, target, 0);
LAYOUT(mbuf_message_create, handle, 8);
LAYOUT(mbuf_message_create, max_msg, 16);
LAYOUT(mbuf_message_create, max_caps, 20);
LAYOUT(mbuf_message_create, inbox_msg, 24);
LAYOUT(mbuf_message_create, inbox_caps, 28);
LAYOUT(mbuf_message_create, flags, 32);
LAYOUT(mbuf_message_create, resv, 36);
LAYOUT(mbuf_message_create, sent, 40);
LAYOUT(mbuf_message_create, arrived, 56);
LAYOUT(mbuf_message_create, id, 72);

SIZE(mbuf_message_load, 72);
LAYOUT(mbuf_message_load, target, 0);
LAYOUT(mbuf_message_load, flags, 8);
LAYOUT(mbuf_message_load, nr_caps, 12);
LAYOUT(mbuf_message_load, msg, 16);
LAYOUT(mbuf_message_load, caps, 56);
LAYOUT(mbuf_message_load, stride, 64);
LAYOUT(mbuf_message_load, resv, 68);

SIZE(mbuf_message_enqueue, 32);
LAYOUT(mbuf_message_enqueue, target, 0);
LAYOUT(mbuf_message_enqueue, dest, 8);
LAYOUT(mbuf_message_enqueue, flags, 24);
LAYOUT(mbuf_message_enqueue, resv, 28);

SIZE(mbuf_message_info, 64);
LAYOUT(mbuf_message_info, target, 0);
LAYOUT(mbuf_message_info, id, 8);
LAYOUT(mbuf_message_info, state, 16);
LAYOUT(mbuf_message_info, error, 20);
LAYOUT(mbuf_message_info, max_msg, 24);
LAYOUT(mbuf_message_info, max_caps, 28);
LAYOUT(mbuf_message_info, len, 32);
LAYOUT(mbuf_message_info, nr_caps, 36);
LAYOUT(mbuf_message_info, delivered, 40);
LAYOUT(mbuf_message_info, dest, 48);
LAYOUT(mbuf_message_info, inbox, 56);

SIZE(mbuf_message_grant, 32);
LAYOUT(mbuf_message_grant, target, 0);
LAYOUT(mbuf_message_grant, table, 8);
LAYOUT(mbuf_message_grant, handle, 16);
LAYOUT(mbuf_message_grant, flags, 24);
LAYOUT(mbuf_message_grant, resv, 28);

SIZE(mbuf_key_create, 32);
LAYOUT(mbuf_key_create, target, 0);
LAYOUT(mbuf_key_create, handle, 8);
LAYOUT(mbuf_key_create, flags, 16);
LAYOUT(mbuf_key_create, resv, 20);
LAYOUT(mbuf_key_create, id, 24);

SIZE(mbuf_seal, 72);
LAYOUT(mbuf_seal, target, 0);
LAYOUT(mbuf_seal, table, 8);
LAYOUT(mbuf_seal, handle, 16);
LAYOUT(mbuf_seal, pad, 24);
LAYOUT(mbuf_seal, nr_caps, 28);
LAYOUT(mbuf_seal, buf, 32);
LAYOUT(mbuf_seal, len, 40);
LAYOUT(mbuf_seal, flags, 44);
LAYOUT(mbuf_seal, caps, 48);
LAYOUT(mbuf_seal, stride, 56);
LAYOUT(mbuf_seal, resv, 60);
LAYOUT(mbuf_seal, id, 64);

SIZE(mbuf_unseal, 56);
LAYOUT(mbuf_unseal, target, 0);
LAYOUT(mbuf_unseal, sealed, 8);
LAYOUT(mbuf_unseal, flags, 16);
LAYOUT(mbuf_unseal, nr_caps, 20);
LAYOUT(mbuf_unseal, buf, 24);
LAYOUT(mbuf_unseal, len, 32);
LAYOUT(mbuf_unseal, resv, 36);
LAYOUT(mbuf_unseal, caps, 40);
LAYOUT(mbuf_unseal, stride, 48);
LAYOUT(mbuf_unseal, resv2, 52);

_Static_assert(MBUF_IOC_QUERY == 0xc090d600, "QUERY");
SIZE(mbuf_consent, 80);
LAYOUT(mbuf_consent, offer, 8);
LAYOUT(mbuf_consent, min, 16);
LAYOUT(mbuf_consent, max, 24);
LAYOUT(mbuf_consent, expires, 32);
LAYOUT(mbuf_consent, rights, 40);
LAYOUT(mbuf_consent, flags, 44);
LAYOUT(mbuf_consent, uid, 48);
LAYOUT(mbuf_consent, resv, 52);
LAYOUT(mbuf_consent, consent, 56);
LAYOUT(mbuf_consent, id, 72);

SIZE(mbuf_revoke, 16);
LAYOUT(mbuf_revoke, id, 8);

SIZE(mbuf_claim, 64);
LAYOUT(mbuf_claim, wait, 8);
LAYOUT(mbuf_claim, id, 24);
LAYOUT(mbuf_claim, size, 32);
LAYOUT(mbuf_claim, rights, 40);
LAYOUT(mbuf_claim, options, 44);
LAYOUT(mbuf_claim, region, 48);

SIZE(mbuf_consent_info, 136);
LAYOUT(mbuf_consent_info, id, 8);
LAYOUT(mbuf_consent_info, offer, 16);
LAYOUT(mbuf_consent_info, end, 24);
LAYOUT(mbuf_consent_info, peer, 32);
LAYOUT(mbuf_consent_info, min, 40);
LAYOUT(mbuf_consent_info, max, 48);
LAYOUT(mbuf_consent_info, left, 56);
LAYOUT(mbuf_consent_info, rights, 64);
LAYOUT(mbuf_consent_info, flags, 68);
LAYOUT(mbuf_consent_info, party, 72);
LAYOUT(mbuf_consent_info, error, 76);
LAYOUT(mbuf_consent_info, options, 80);
LAYOUT(mbuf_consent_info, resv, 84);
LAYOUT(mbuf_consent_info, by, 88);
LAYOUT(mbuf_consent_info, holder, 112);

SIZE(mbuf_provide, 88);
LAYOUT(mbuf_provide, consent, 8);
LAYOUT(mbuf_provide, memory, 40);
LAYOUT(mbuf_provide, size, 56);
LAYOUT(mbuf_provide, rights, 64);
LAYOUT(mbuf_provide, flags, 72);
LAYOUT(mbuf_provide, resv, 76);
LAYOUT(mbuf_provide, offer, 80);

_Static_assert(MBUF_IOC_QUEUE_CREATE == 0xc040d601, "QUEUE_CREATE");
_Static_assert(MBUF_IOC_SEND == 0xc048d610, "SEND");
_Static_assert(MBUF_IOC_RECV == 0xc048d611, "RECV");
_Static_assert(MBUF_IOC_SEND_BATCH == 0xc030d612, "SEND_BATCH");
_Static_assert(MBUF_IOC_RECV_BATCH == 0xc030d613, "RECV_BATCH");
_Static_assert(MBUF_IOC_QUEUE_INFO == 0xc070d614, "QUEUE_INFO");
_Static_assert(MBUF_IOC_CHANNEL_CREATE == 0xc060d602, "CHANNEL_CREATE");
_Static_assert(MBUF_IOC_LISTEN == 0xc048d603, "LISTEN");
_Static_assert(MBUF_IOC_CONNECT == 0xc078d604, "CONNECT");
_Static_assert(MBUF_IOC_ATTACH == 0xc028d605, "ATTACH");
_Static_assert(MBUF_IOC_DETACH == 0xc028d606, "DETACH");
_Static_assert(MBUF_IOC_POLL_ALL == 0xc030d607, "POLL_ALL");
_Static_assert(MBUF_IOC_WAIT_ANY == 0xc068d608, "WAIT_ANY");
_Static_assert(MBUF_IOC_EXCHANGE == 0xc058d620, "EXCHANGE");
_Static_assert(MBUF_IOC_APPROVE == 0xc010d621, "APPROVE");
_Static_assert(MBUF_IOC_CHANNEL_INFO == 0xc058d622, "CHANNEL_INFO");
_Static_assert(MBUF_IOC_ACCEPT == 0xc060d630, "ACCEPT");
_Static_assert(MBUF_IOC_ACCEPT_QUEUE == 0xc030d631, "ACCEPT_QUEUE");
_Static_assert(MBUF_IOC_LISTENER_SET == 0xc020d632, "LISTENER_SET");
_Static_assert(MBUF_IOC_LISTENER_ACL == 0xc010d633, "LISTENER_ACL");
_Static_assert(MBUF_IOC_LISTENER_INFO == 0xc068d634, "LISTENER_INFO");
_Static_assert(MBUF_IOC_PROVIDE == 0xc058d60a, "PROVIDE");
_Static_assert(MBUF_IOC_CONSENT == 0xc050d62a, "CONSENT");
_Static_assert(MBUF_IOC_REVOKE == 0xc010d62b, "REVOKE");
_Static_assert(MBUF_IOC_CLAIM == 0xc040d62c, "CLAIM");
_Static_assert(MBUF_IOC_CONSENT_INFO == 0xc088d62d, "CONSENT_INFO");
_Static_assert(MBUF_IOC_SEND_CAPS == 0xc068d615, "SEND_CAPS");
_Static_assert(MBUF_IOC_RECV_CAPS == 0xc068d616, "RECV_CAPS");
_Static_assert(MBUF_IOC_TABLE_CREATE == 0xc020d650, "TABLE_CREATE");
_Static_assert(MBUF_IOC_HANDLE_PUT == 0xc028d651, "HANDLE_PUT");
_Static_assert(MBUF_IOC_HANDLE_OPEN == 0xc020d652, "HANDLE_OPEN");
_Static_assert(MBUF_IOC_HANDLE_COPY == 0xc020d653, "HANDLE_COPY");
_Static_assert(MBUF_IOC_HANDLE_MOVE == 0xc020d654, "HANDLE_MOVE");
_Static_assert(MBUF_IOC_HANDLE_DELETE == 0xc010d655, "HANDLE_DELETE");
_Static_assert(MBUF_IOC_HANDLE_REVOKE == 0xc010d656, "HANDLE_REVOKE");
_Static_assert(MBUF_IOC_HANDLE_INFO == 0xc028d657, "HANDLE_INFO");
_Static_assert(MBUF_IOC_TABLE_LIST == 0xc020d658, "TABLE_LIST");
_Static_assert(MBUF_IOC_MESSAGE_CREATE == 0xc050d660, "MESSAGE_CREATE");
_Static_assert(MBUF_IOC_MESSAGE_LOAD == 0xc048d661, "MESSAGE_LOAD");
_Static_assert(MBUF_IOC_MESSAGE_ENQUEUE == 0xc020d662, "MESSAGE_ENQUEUE");
_Static_assert(MBUF_IOC_MESSAGE_CANCEL == 0xc010d663, "MESSAGE_CANCEL");
_Static_assert(MBUF_IOC_MESSAGE_INFO == 0xc040d664, "MESSAGE_INFO");
_Static_assert(MBUF_IOC_MESSAGE_GRANT == 0xc020d665, "MESSAGE_GRANT");
_Static_assert(MBUF_IOC_KEY_CREATE == 0xc020d670, "KEY_CREATE");
_Static_assert(MBUF_IOC_SEAL == 0xc048d671, "SEAL");
_Static_assert(MBUF_IOC_UNSEAL == 0xc038d672, "UNSEAL");
_Static_assert(MBUF_IOC_GRANT == 0xc030d609, "GRANT");
_Static_assert(MBUF_IOC_OFFER == 0xc040d623, "OFFER");
_Static_assert(MBUF_IOC_OFFERED == 0xc048d624, "OFFERED");
_Static_assert(MBUF_IOC_TAKE == 0xc030d625, "TAKE");
_Static_assert(MBUF_IOC_COUNTER == 0xc038d626, "COUNTER");
_Static_assert(MBUF_IOC_REJECT == 0xc038d627, "REJECT");
_Static_assert(MBUF_IOC_ANSWER == 0xc058d628, "ANSWER");
_Static_assert(MBUF_IOC_WITHDRAW == 0xc010d629, "WITHDRAW");
_Static_assert(MBUF_IOC_GIVE == 0xc020d62e, "GIVE");
_Static_assert(MBUF_IOC_GIVEN == 0xc020d62f, "GIVEN");
_Static_assert(MBUF_IOC_REGION_INFO == 0xc020d640, "REGION_INFO");
_Static_assert(MBUF_IOC_PAGED_CREATE == 0xc040d643, "PAGED_CREATE");
_Static_assert(MBUF_IOC_FAULTS == 0xc030d644, "FAULTS");
_Static_assert(MBUF_IOC_SUPPLY == 0xc038d645, "SUPPLY");
_Static_assert(MBUF_IOC_REFUSE == 0xc018d646, "REFUSE");
_Static_assert(MBUF_IOC_EVICT == 0xc050d647, "EVICT");
_Static_assert(MBUF_IOC_PROTECT == 0xc028d648, "PROTECT");
_Static_assert(MBUF_IOC_PAGES == 0xc028d649, "PAGES");
_Static_assert(MBUF_IOC_PAGED_INFO == 0xc050d64a, "PAGED_INFO");

SIZE(mbuf_offer, 64);
LAYOUT(mbuf_offer, min, 8);
LAYOUT(mbuf_offer, wanted, 16);
LAYOUT(mbuf_offer, max, 24);
LAYOUT(mbuf_offer, rights, 32);
LAYOUT(mbuf_offer, options, 36);
LAYOUT(mbuf_offer, memory, 40);
LAYOUT(mbuf_offer, id, 56);

SIZE(mbuf_offered, 72);
LAYOUT(mbuf_offered, wait, 8);
LAYOUT(mbuf_offered, flags, 24);
LAYOUT(mbuf_offered, resv, 28);
LAYOUT(mbuf_offered, id, 32);
LAYOUT(mbuf_offered, min, 40);
LAYOUT(mbuf_offered, wanted, 48);
LAYOUT(mbuf_offered, max, 56);
LAYOUT(mbuf_offered, rights, 64);
LAYOUT(mbuf_offered, options, 68);

SIZE(mbuf_take, 48);
LAYOUT(mbuf_take, id, 8);
LAYOUT(mbuf_take, size, 16);
LAYOUT(mbuf_take, rights, 24);
LAYOUT(mbuf_take, resv, 28);
LAYOUT(mbuf_take, region, 32);

SIZE(mbuf_counter, 56);
LAYOUT(mbuf_counter, id, 8);
LAYOUT(mbuf_counter, min, 16);
LAYOUT(mbuf_counter, wanted, 24);
LAYOUT(mbuf_counter, max, 32);
LAYOUT(mbuf_counter, rights, 40);
LAYOUT(mbuf_counter, options, 44);
LAYOUT(mbuf_counter, reason, 48);
LAYOUT(mbuf_counter, resv, 52);

SIZE(mbuf_answer, 88);
LAYOUT(mbuf_answer, wait, 8);
LAYOUT(mbuf_answer, id, 24);
LAYOUT(mbuf_answer, outcome, 32);
LAYOUT(mbuf_answer, reason, 36);
LAYOUT(mbuf_answer, min, 40);
LAYOUT(mbuf_answer, wanted, 48);
LAYOUT(mbuf_answer, max, 56);
LAYOUT(mbuf_answer, rights, 64);
LAYOUT(mbuf_answer, options, 68);
LAYOUT(mbuf_answer, region, 72);

SIZE(mbuf_withdraw, 16);
LAYOUT(mbuf_withdraw, id, 8);

SIZE(mbuf_grant, 48);
LAYOUT(mbuf_grant, from, 8);
LAYOUT(mbuf_grant, rights, 24);
LAYOUT(mbuf_grant, flags, 28);
LAYOUT(mbuf_grant, region, 32);

SIZE(mbuf_region_info, 32);
LAYOUT(mbuf_region_info, id, 8);
LAYOUT(mbuf_region_info, size, 16);
LAYOUT(mbuf_region_info, rights, 24);
LAYOUT(mbuf_region_info, options, 28);

SIZE(mbuf_paged_create, 64);
LAYOUT(mbuf_paged_create, size, 8);
LAYOUT(mbuf_paged_create, flags, 16);
LAYOUT(mbuf_paged_create, resv, 20);
LAYOUT(mbuf_paged_create, pager, 24);
LAYOUT(mbuf_paged_create, region, 40);
LAYOUT(mbuf_paged_create, id, 56);

SIZE(mbuf_fault, 40);
LAYOUT(mbuf_fault, id, 0);
LAYOUT(mbuf_fault, region, 8);
LAYOUT(mbuf_fault, offset, 16);
LAYOUT(mbuf_fault, access, 24);
LAYOUT(mbuf_fault, pid, 28);
LAYOUT(mbuf_fault, tid, 32);
LAYOUT(mbuf_fault, resv, 36);

SIZE(mbuf_faults, 48);
LAYOUT(mbuf_faults, wait, 8);
LAYOUT(mbuf_faults, faults, 24);
LAYOUT(mbuf_faults, nr, 32);
LAYOUT(mbuf_faults, stride, 36);
LAYOUT(mbuf_faults, flags, 40);
LAYOUT(mbuf_faults, resv, 44);

SIZE(mbuf_supply, 56);
LAYOUT(mbuf_supply, offset, 8);
LAYOUT(mbuf_supply, size, 16);
LAYOUT(mbuf_supply, data, 24);
LAYOUT(mbuf_supply, flags, 32);
LAYOUT(mbuf_supply, resv, 36);
LAYOUT(mbuf_supply, done, 40);
LAYOUT(mbuf_supply, supplied, 48);

SIZE(mbuf_refuse, 24);
LAYOUT(mbuf_refuse, id, 8);
LAYOUT(mbuf_refuse, offset, 16);

SIZE(mbuf_evict, 80);
LAYOUT(mbuf_evict, offset, 8);
LAYOUT(mbuf_evict, size, 16);
LAYOUT(mbuf_evict, data, 24);
LAYOUT(mbuf_evict, states, 32);
LAYOUT(mbuf_evict, flags, 40);
LAYOUT(mbuf_evict, resv, 44);
LAYOUT(mbuf_evict, done, 48);
LAYOUT(mbuf_evict, evicted, 56);
LAYOUT(mbuf_evict, dirty, 64);
LAYOUT(mbuf_evict, busy, 72);

SIZE(mbuf_protect, 40);
LAYOUT(mbuf_protect, offset, 8);
LAYOUT(mbuf_protect, size, 16);
LAYOUT(mbuf_protect, flags, 24);
LAYOUT(mbuf_protect, resv, 28);
LAYOUT(mbuf_protect, busy, 32);

SIZE(mbuf_pages, 40);
LAYOUT(mbuf_pages, offset, 8);
LAYOUT(mbuf_pages, size, 16);
LAYOUT(mbuf_pages, states, 24);
LAYOUT(mbuf_pages, flags, 32);
LAYOUT(mbuf_pages, resv, 36);

SIZE(mbuf_paged_info, 80);
LAYOUT(mbuf_paged_info, id, 8);
LAYOUT(mbuf_paged_info, size, 16);
LAYOUT(mbuf_paged_info, resident, 24);
LAYOUT(mbuf_paged_info, waiting, 32);
LAYOUT(mbuf_paged_info, faults, 40);
LAYOUT(mbuf_paged_info, supplied, 48);
LAYOUT(mbuf_paged_info, evicted, 56);
LAYOUT(mbuf_paged_info, refused, 64);
LAYOUT(mbuf_paged_info, clients, 72);
LAYOUT(mbuf_paged_info, resv, 76);

SIZE(mbuf_path, 8);
LAYOUT(mbuf_path, nr, 0);
LAYOUT(mbuf_path, resv, 4);

SIZE(mbuf_give, 32);
LAYOUT(mbuf_give, ref, 8);
LAYOUT(mbuf_give, flags, 24);
LAYOUT(mbuf_give, resv, 28);

/* Flags and the like are part of the interface, too. */
_Static_assert(MBUF_CAP_MOVE == 1, "MBUF_CAP_MOVE");
_Static_assert(MBUF_RECV_LOOK == 1 && MBUF_RECV_HANDLES == 2 &&
	       MBUF_RECV_DROP == 4, "MBUF_RECV_*");
_Static_assert(MBUF_RIGHT_COPY == 0x10 && MBUF_RIGHT_PASS == 0x20 &&
	       MBUF_RIGHT_OPEN == 0x40 && MBUF_RIGHT_LOOKUP == 0x100 &&
	       MBUF_RIGHT_MODIFY == 0x200 && MBUF_RIGHT_SEAL == 0x400 &&
	       MBUF_RIGHT_UNSEAL == 0x800, "MBUF_RIGHT_*");
_Static_assert(MBUF_END_NONBLOCK == 1 && MBUF_END_DETACHED == 2 &&
	       MBUF_END_MAP == 4 && MBUF_END_THREAD == 8, "MBUF_END_*");
_Static_assert(MBUF_END_CLOSED == 1 && MBUF_END_PENDING == 2 &&
	       MBUF_END_ASKING == 4 && MBUF_END_REFUSED == 8 &&
	       MBUF_END_DEAD == 16, "MBUF_END_*");
_Static_assert(MBUF_STEP_WRITE == 1 && MBUF_STEP_SIGNAL == 2 &&
	       MBUF_STEP_WAIT == 4 && MBUF_STEP_READ == 8, "MBUF_STEP_*");
_Static_assert(MBUF_EVENT_IN == POLLIN && MBUF_EVENT_OUT == POLLOUT &&
	       MBUF_EVENT_HUP == POLLHUP, "MBUF_EVENT_*");

/* The largest struct that a command number can stand for. */
#define ARG_MAX_SIZE	((1u << _IOC_SIZEBITS) - 1)

/* The same command as if from a header in which the struct has another size. */
#define RESIZED(cmd, size) \
	_IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), size)

enum call_nr {
	/* On a queue or session. */
	QUERY, CREATE, SEND, RECV, SEND_BATCH, RECV_BATCH, INFO,
	/* Channels and sets. */
	CHANNEL_CREATE, ATTACH, DETACH, POLL_SET, ANY, EXCHANGE,
	CHANNEL_INFO,
	/* Listeners. */
	LISTEN, CONNECT, ACCEPT, APPROVE, ACCEPT_QUEUE, LISTENER_SET,
	LISTENER_ACL, LISTENER_INFO,
	NR_CMDS
};

/* The kinds of descriptors that there are here: see uapi.h. */
#define NR_KINDS	6

static const struct {
	const char *name;
	unsigned long cmd;
	uint64_t feature;
	unsigned int min;	/* size of the first version */
	unsigned int on;
	int arg;
} cmds[NR_CMDS] = {
#define CMD(name, ioc, feature, min, on, arg) \
	[name] = { #ioc, MBUF_IOC_##ioc, MBUF_FEATURE_##feature, min, on, arg }
	CMD(QUERY, QUERY, QUEUE, 88, ON_SESSION, ARG_OUT),
	CMD(CREATE, QUEUE_CREATE, QUEUE, 64, ON_SESSION, ARG_OUT),
	CMD(SEND, SEND, QUEUE, 72, ON_SEND, ARG_SENT),
	CMD(RECV, RECV, QUEUE, 72, ON_RECV, ARG_OUT),
	CMD(SEND_BATCH, SEND_BATCH, QUEUE, 48, ON_SEND, ARG_SENT),
	CMD(RECV_BATCH, RECV_BATCH, QUEUE, 48, ON_RECV, ARG_OUT),
	CMD(INFO, QUEUE_INFO, QUEUE, 112, ON_RECV | ON_SEND, ARG_OUT),
	CMD(CHANNEL_CREATE, CHANNEL_CREATE, CHANNEL, 96, ON_SESSION, ARG_OUT),
	CMD(ATTACH, ATTACH, CHANNEL, 40, ON_SESSION, ARG_IN),
	CMD(DETACH, DETACH, CHANNEL, 40, ON_SESSION, ARG_IN),
	CMD(POLL_SET, POLL_ALL, CHANNEL, 48, ON_SESSION, ARG_OUT),
	CMD(ANY, WAIT_ANY, CHANNEL, 104, ON_SESSION, ARG_OUT),
	CMD(EXCHANGE, EXCHANGE, CHANNEL, 88, ON_CHANNEL, ARG_DONE),
	CMD(CHANNEL_INFO, CHANNEL_INFO, CHANNEL, 88, ON_CHANNEL, ARG_OUT),
	CMD(LISTEN, LISTEN, LISTENER, 72, ON_SESSION, ARG_OUT),
	CMD(CONNECT, CONNECT, LISTENER, 120, ON_SESSION, ARG_DONE),
	CMD(ACCEPT, ACCEPT, LISTENER, 96, ON_LISTENER | ON_ACCEPT_QUEUE,
	    ARG_OUT),
	CMD(APPROVE, APPROVE, LISTENER, 16, ON_CHANNEL, ARG_IN),
	CMD(ACCEPT_QUEUE, ACCEPT_QUEUE, LISTENER, 48, ON_LISTENER, ARG_OUT),
	CMD(LISTENER_SET, LISTENER_SET, LISTENER, 32, ON_LISTENER, ARG_IN),
	CMD(LISTENER_ACL, LISTENER_ACL, LISTENER, 16, ON_LISTENER, ARG_IN),
	CMD(LISTENER_INFO, LISTENER_INFO, LISTENER, 104,
	    ON_LISTENER | ON_ACCEPT_QUEUE, ARG_OUT),
#undef CMD
};

/*
 * What the calls are made on, beside the session and the queue, or with.
 */
static struct {
	int a, b;		/* a channel */
	int loose, loose_peer;	/* its first end is attached nowhere */
	int tied, tied_peer;	/* its first end is attached, cookie 7 */
	int listener, queue;	/* of the name "abi"; it has an accept queue */
	int filler[2];		/* connections, so that the queue is full */
	int asker, asked;	/* a connection */
} things;

#define ABI_NAME	"abi"

/*
 * One ioctl with a valid argument, to be spoiled by a test. What is only a
 * result is poisoned. Batches are of two messages.
 */
struct call {
	enum call_nr which;
	int fd;
	union {
		uint64_t target;
		struct mbuf_query query;
		struct mbuf_queue_create create;
		struct mbuf_xfer xfer;
		struct mbuf_batch batch;
		struct mbuf_queue_info info;
		struct mbuf_channel_create channel;
		struct mbuf_attach attach;
		struct mbuf_poll_all poll;
		struct mbuf_wait_any any;
		struct mbuf_exchange x;
		struct mbuf_channel_info chinfo;
		struct mbuf_listen listen;
		struct mbuf_connect connect;
		struct mbuf_accept accept;
		struct mbuf_approve approve;
		struct mbuf_accept_queue queue;
		struct mbuf_listener_set set;
		struct mbuf_listener_acl acl;
		struct mbuf_listener_info linfo;
	};
	struct mbuf_msg msgs[2];
	struct mbuf_ref refs[2];
	struct mbuf_event events[2];
	char buf[2][16];
};

static struct mbuf_msg valid_msg(enum call_nr which, char *buf)
{
	struct mbuf_msg m;

	poison(&m, sizeof(m));
	m.buf = (uintptr_t)buf;
	m.len = which == RECV || which == RECV_BATCH ? 16 : 3;
	m.prio = 0;
	if (which == SEND || which == SEND_BATCH)
		m.flags = 0;
	memset(buf, 'a', 16);
	return m;
}

static int async_connect(int session)
{
	struct mbuf_connect c = {
		.name = (uintptr_t)ABI_NAME,
		.name_len = sizeof(ABI_NAME) - 1,
		.flags = MBUF_CONNECT_ASYNC,
		.end.flags = MBUF_END_DETACHED,
	};
	int ret = (int)xioctl(session, MBUF_IOC_CONNECT, &c);

	return ret ? ret : c.end.ref.fd;
}

static int ask(void)
{
	struct mbuf_accept a = {
		.wait.mode = MBUF_WAIT_NOW,
		.flags = MBUF_ACCEPT_ASK,
		.end.flags = MBUF_END_DETACHED,
	};
	int ret = (int)xioctl(things.listener, MBUF_IOC_ACCEPT, &a);

	return ret ? ret : a.end.ref.fd;
}

static bool open_things(int session, uint64_t features)
{
	struct mbuf_channel_create c = create_of(MBUF_END_DETACHED,
						 MBUF_END_DETACHED);
	struct mbuf_accept_queue q = { .backlog = 1,
				       .flags = MBUF_LISTEN_DETACHED };
	struct mbuf_listen l = {
		.name = (uintptr_t)ABI_NAME,
		.name_len = sizeof(ABI_NAME) - 1,
		.flags = MBUF_LISTEN_DETACHED,
		.mode = 0600,
		.backlog = 4,
	};
	int end[2];

	memset(&things, 0xff, sizeof(things));
	if (features & MBUF_FEATURE_CHANNEL) {
		if (xioctl(session, MBUF_IOC_CHANNEL_CREATE, &c))
			return false;
		things.loose = c.end[0].ref.fd;
		things.loose_peer = c.end[1].ref.fd;
		if (xioctl(session, MBUF_IOC_CHANNEL_CREATE, &c))
			return false;
		things.tied = c.end[0].ref.fd;
		things.tied_peer = c.end[1].ref.fd;
		if (ch_create(session, MBUF_END_DETACHED, end) ||
		    ch_attach(session, things.tied, 7))
			return false;
		things.a = end[0];
		things.b = end[1];
	}
	if (features & MBUF_FEATURE_LISTENER) {
		if (xioctl(session, MBUF_IOC_LISTEN, &l))
			return false;
		things.listener = l.listener.fd;
		if (xioctl(things.listener, MBUF_IOC_ACCEPT_QUEUE, &q))
			return false;
		things.queue = q.queue.fd;
		/* One goes to each; that to the listener is not kept there. */
		things.filler[0] = async_connect(session);
		things.filler[1] = async_connect(session);
		end[0] = ask();
		if (things.filler[0] < 0 || things.filler[1] < 0 || end[0] < 0)
			return false;
		close(end[0]);
	}
	return true;
}

static void close_things(void)
{
	int *fd = (int *)&things;
	size_t i;

	for (i = 0; i < sizeof(things) / sizeof(*fd); i++)
		close_fd(&fd[i]);
}

#define make_things() do {						\
	make_queue(4, 16, 0);						\
	ASSERT_TRUE(open_things(self->session, self->q.features));	\
} while (0)

static void valid_end(struct mbuf_end *end)
{
	memset(end, 0, sizeof(*end));
	poison(&end->ref.fd, sizeof(end->ref.fd));
	poison(&end->id, sizeof(end->id));
}

static void valid_call(struct call *c, enum call_nr which,
		       struct _test_data_queue *self)
{
	memset(c, 0, sizeof(*c));
	c->which = which;
	c->fd = cmds[which].on & ON_SESSION ? self->session :
		cmds[which].on & ON_CHANNEL ? things.a : things.listener;
	switch (which) {
	case QUERY:
		poison(&c->query, sizeof(c->query));
		c->query.target = 0;
		c->query.resv = 0;
		break;
	case CREATE:
		c->create.slots = 1;
		c->create.max_msg = 1;
		poison(&c->create.recv.fd, sizeof(c->create.recv.fd));
		poison(&c->create.send.fd, sizeof(c->create.send.fd));
		poison(&c->create.id, sizeof(c->create.id));
		break;
	case SEND:
	case RECV:
		c->fd = which == SEND ? self->sfd : self->rfd;
		c->xfer.wait.mode = MBUF_WAIT_NOW;
		c->xfer.msg = valid_msg(which, c->buf[0]);
		break;
	case SEND_BATCH:
	case RECV_BATCH:
		c->fd = which == SEND_BATCH ? self->sfd : self->rfd;
		c->batch.wait.mode = MBUF_WAIT_NOW;
		c->msgs[0] = valid_msg(which, c->buf[0]);
		c->msgs[1] = valid_msg(which, c->buf[1]);
		c->batch.msgs = (uintptr_t)c->msgs;
		c->batch.nr = 2;
		c->batch.stride = sizeof(struct mbuf_msg);
		break;
	case INFO:
		c->fd = self->rfd;
		poison(&c->info, sizeof(c->info));
		c->info.target = 0;
		c->info.next_caps = 0;
		break;
	case CHANNEL_CREATE:
		valid_end(&c->channel.end[0]);
		valid_end(&c->channel.end[1]);
		break;
	case ATTACH:
		c->attach.ref.fd = things.loose;
		c->attach.cookie = 5;
		break;
	case DETACH:
		c->attach.ref.fd = things.tied;
		break;
	case POLL_SET:
		c->poll.wait.mode = MBUF_WAIT_NOW;
		c->poll.events = (uintptr_t)c->events;
		c->poll.nr = 2;
		c->poll.stride = sizeof(struct mbuf_event);
		poison(c->events, sizeof(c->events));
		break;
	case ANY:
		c->refs[0].fd = things.loose;
		c->refs[1].fd = things.a;
		c->any = any_of(c->refs, 2, MBUF_NOW);
		break;
	case EXCHANGE:
		c->x = xchg_of(STEPS_ALL, 1, MBUF_NOW);
		break;
	case CHANNEL_INFO:
		poison(&c->chinfo, sizeof(c->chinfo));
		c->chinfo.target = 0;
		c->chinfo.resv = 0;
		break;
	case LISTEN:
		strcpy(c->buf[0], "abi-new");
		c->listen.name = (uintptr_t)c->buf[0];
		c->listen.name_len = 7;
		c->listen.mode = 0600;
		c->listen.backlog = 1;
		poison(&c->listen.listener.fd, sizeof(c->listen.listener.fd));
		poison(&c->listen.id, sizeof(c->listen.id));
		break;
	case CONNECT:
		strcpy(c->buf[0], ABI_NAME);
		c->connect.name = (uintptr_t)c->buf[0];
		c->connect.name_len = sizeof(ABI_NAME) - 1;
		c->connect.flags = MBUF_CONNECT_ASYNC;
		valid_end(&c->connect.end);
		break;
	case ACCEPT:
		c->accept.wait.mode = MBUF_WAIT_NOW;
		valid_end(&c->accept.end);
		poison(&c->accept.peer, sizeof(c->accept.peer));
		break;
	case APPROVE:
		c->fd = things.asked;
		c->approve.verdict = 1;
		break;
	case ACCEPT_QUEUE:
		c->queue.backlog = 1;
		poison(&c->queue.queue.fd, sizeof(c->queue.queue.fd));
		poison(&c->queue.id, sizeof(c->queue.id));
		break;
	case LISTENER_SET:
		c->set.flags = MBUF_LISTEN_MODE;
		c->set.mode = 0600;
		break;
	case LISTENER_ACL:
		c->acl.uid = 1;
		c->acl.op = MBUF_ACL_FORGET;
		break;
	case LISTENER_INFO:
		poison(&c->linfo, sizeof(c->linfo));
		c->linfo.target = 0;
		c->linfo.resv = 0;
		c->linfo.name = (uintptr_t)c->buf[0];
		c->linfo.name_len = sizeof(c->buf[0]);
		break;
	case NR_CMDS:
		break;
	}
}

static struct mbuf_wait *call_wait(struct call *c)
{
	switch (c->which) {
	case SEND:
	case RECV:
		return &c->xfer.wait;
	case SEND_BATCH:
	case RECV_BATCH:
		return &c->batch.wait;
	case POLL_SET:
		return &c->poll.wait;
	case ANY:
		return &c->any.wait;
	case EXCHANGE:
		return &c->x.wait;
	case ACCEPT:
		return &c->accept.wait;
	case CONNECT:
		return &c->connect.wait;
	default:
		return NULL;
	}
}

/* What the call gives when it works. */
static long call_success(enum call_nr which)
{
	return which == SEND_BATCH || which == RECV_BATCH ? 2 :
	       which == POLL_SET ? 1 : 0;
}

/* Makes the call. If it fails, nothing in it may have changed: else EPROTO. */
static long do_call(struct call *c)
{
	struct call before = *c;
	long ret = xioctl(c->fd, cmds[c->which].cmd, &c->target);

	if (ret < 0 && memcmp(c, &before, sizeof(before)))
		return -EPROTO;
	return ret;
}

/*
 * Undoes what feed() and a successful call did; harmless after one that failed.
 */
static void undo_call(struct call *c, struct _test_data_queue *self)
{
	char buf[16];

	switch (c->which) {
	case CREATE:
		close(c->create.recv.fd);
		close(c->create.send.fd);
		break;
	case CHANNEL_CREATE:
		close(c->channel.end[0].ref.fd);
		close(c->channel.end[1].ref.fd);
		break;
	case ATTACH:
		ch_detach(self->session, things.loose);
		break;
	case DETACH:
		ch_attach(self->session, things.tied, 7);
		break;
	case POLL_SET:
		ch_wait(things.tied, MBUF_NOW);
		break;
	case ANY:
	case EXCHANGE:
		ch_wait(things.a, MBUF_NOW);
		ch_wait(things.b, MBUF_NOW);
		break;
	case LISTEN:
		close(c->listen.listener.fd);
		break;
	case CONNECT:
		close(c->connect.end.ref.fd);
		break;
	case ACCEPT:
		close(c->accept.end.ref.fd);
		close_fd(&things.asker);
		break;
	case APPROVE:
		close_fd(&things.asked);
		close_fd(&things.asker);
		break;
	case ACCEPT_QUEUE:
		close(c->queue.queue.fd);
		break;
	default:
		break;
	}
	while (mbuf_recv(self->rfd, buf, sizeof(buf), MBUF_NOW) >= 0)
		;
}

/* Some calls need something that they can take. */
static void feed(struct _test_data_queue *self, enum call_nr which)
{
	if (which == RECV || which == RECV_BATCH) {
		mbuf_send(self->sfd, "xyz", 3, MBUF_NOW);
		mbuf_send(self->sfd, "xyz", 3, MBUF_NOW);
	} else if (which == POLL_SET) {
		ch_put(things.tied_peer, 3);
	} else if (which == ANY || which == EXCHANGE) {
		ch_put(things.b, 3);
	} else if (which == ACCEPT || which == APPROVE) {
		things.asker = async_connect(self->session);
		if (which == APPROVE)
			things.asked = ask();
	}
}

/* The state that a failed call must leave alone. */
struct state {
	struct mbuf_queue_info info;
	struct mbuf_channel_info ch[6];
	struct mbuf_listener_info linfo;
	struct snapshot snap;
	short ready;
};

static struct state get_state(struct _test_data_queue *self)
{
	const int ends[] = { things.a, things.b, things.loose,
			     things.loose_peer, things.tied, things.tied_peer };
	struct state s;
	int i;

	memset(&s, 0, sizeof(s));
	s.info = get_info(self->rfd);
	for (i = 0; i < 6; i++)
		if (ends[i] > 0)
			s.ch[i] = ch_info(ends[i]);
	if (things.listener > 0)
		xioctl(things.listener, MBUF_IOC_LISTENER_INFO, &s.linfo);
	take_snapshot(self->session, &s.snap);
	s.ready = poll_now(self->session, POLLIN);
	return s;
}

#define EXPECT_UNCHANGED(before) do {					\
	struct state __now = get_state(self);				\
									\
	EXPECT_EQ(0, memcmp(&(before), &__now, sizeof(__now)));		\
} while (0)

/* The first command from w on that the module has; see all_features. */
static enum call_nr next_cmd(uint64_t features, enum call_nr w)
{
	while (w < NR_CMDS && !(features & cmds[w].feature))
		w++;
	return w;
}

#define FOR_EACH_CMD(w)							\
	for ((w) = next_cmd(self->q.features, 0); (w) < NR_CMDS;	\
	     (w) = next_cmd(self->q.features, (w) + 1))

TEST_F(queue, all_features)
{
	const uint64_t all = MBUF_FEATURE_QUEUE | MBUF_FEATURE_CHANNEL |
			     MBUF_FEATURE_LISTENER;

	if ((self->q.features & all) != all)
		SKIP(return, "of features %#llx this module has %#llx: the rest is not tested",
		     (unsigned long long)all,
		     (unsigned long long)(self->q.features & all));
}

TEST_F(queue, valid_calls_work)
{
	enum call_nr w;
	struct call c;

	make_things();
	FOR_EACH_CMD(w) {
		feed(self, w);
		valid_call(&c, w, self);
		EXPECT_EQ(call_success(w), do_call(&c)) {
			TH_LOG("%s", cmds[w].name);
		}
		undo_call(&c, self);
	}
	close_things();
}

/* RECV sets all of msg but buf; SEND only msg.seq, and its batch nothing. */
TEST_F(queue, results)
{
	struct call c, was;
	int i;

	make_queue(4, 16, 0);
	valid_call(&c, SEND, self);
	was = c;
	ASSERT_EQ(0, do_call(&c));
	EXPECT_EQ(1, c.xfer.msg.seq);
	c.xfer.msg.seq = was.xfer.msg.seq;
	EXPECT_EQ(0, memcmp(&c, &was, sizeof(c)));

	valid_call(&c, RECV, self);
	was = c;
	ASSERT_EQ(0, do_call(&c));
	EXPECT_EQ(was.xfer.msg.buf, c.xfer.msg.buf);
	EXPECT_EQ(3, c.xfer.msg.len);
	EXPECT_EQ(0, c.xfer.msg.flags);
	EXPECT_EQ(1, c.xfer.msg.seq);
	EXPECT_EQ(0, c.xfer.msg.prio);
	EXPECT_EQ(0, c.xfer.msg.pid);
	/* Nobody's id: (uid_t)-2 unless somebody has changed the sysctl. */
	EXPECT_EQ(65534, c.xfer.msg.uid);
	EXPECT_EQ(65534, c.xfer.msg.gid);
	EXPECT_EQ(0, memcmp(&c.xfer, &was.xfer, offsetof(struct mbuf_xfer,
							 msg)));

	valid_call(&c, SEND_BATCH, self);
	was = c;
	ASSERT_EQ(2, do_call(&c));
	EXPECT_EQ(0, memcmp(&c, &was, sizeof(c)));

	valid_call(&c, RECV_BATCH, self);
	was = c;
	ASSERT_EQ(2, do_call(&c));
	EXPECT_EQ(0, memcmp(&c.batch, &was.batch, sizeof(c.batch)));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(was.msgs[i].buf, c.msgs[i].buf);
		EXPECT_EQ(3, c.msgs[i].len);
		EXPECT_EQ(0, c.msgs[i].flags);
		EXPECT_EQ(i + 2, c.msgs[i].seq);
		EXPECT_EQ(0, c.msgs[i].prio);
		EXPECT_EQ(0, c.msgs[i].pid);
		EXPECT_EQ(65534, c.msgs[i].uid);
		EXPECT_EQ(65534, c.msgs[i].gid);
	}

	valid_call(&c, CREATE, self);
	was = c;
	ASSERT_EQ(0, do_call(&c));
	EXPECT_LE(0, c.create.recv.fd);
	EXPECT_LE(0, c.create.send.fd);
	EXPECT_NE(c.create.recv.fd, c.create.send.fd);
	EXPECT_FALSE(is_poison(&c.create.id, sizeof(c.create.id)));
	EXPECT_EQ(0, c.create.recv.flags);
	EXPECT_EQ(0, c.create.recv.handle);
	EXPECT_EQ(1, c.create.slots);
	EXPECT_EQ(1, c.create.max_msg);
	undo_call(&c, self);
}

/*
 * An older program passes less, but never less than the first version; a newer
 * one more.
 */
TEST_F(queue, shorter_structs)
{
	enum call_nr w;
	struct call c, was;
	unsigned int size;
	struct state before;

	make_things();
	FOR_EACH_CMD(w) {
		feed(self, w);
		before = get_state(self);
		valid_call(&c, w, self);
		was = c;
		for (size = 0; size < cmds[w].min; size++) {
			EXPECT_EQ(-EINVAL,
				  xioctl(c.fd, RESIZED(cmds[w].cmd, size),
					 &c.target)) {
				TH_LOG("%s of %u bytes", cmds[w].name, size);
			}
		}
		EXPECT_EQ(0, memcmp(&c, &was, sizeof(c)));
		EXPECT_UNCHANGED(before);
		undo_call(&c, self);
	}
	close_things();
}

TEST_F(queue, longer_structs)
{
	const unsigned int more[] = { 1, 4, 7, 8, 64, 1000, 4000, 5000, 8192 };
	unsigned int i, size, known;
	struct state before;
	enum call_nr w;
	struct call c;
	uint8_t *arg;

	make_things();
	arg = map_pages(ARG_MAX_SIZE + 1, PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, arg);
	FOR_EACH_CMD(w) {
		known = _IOC_SIZE(cmds[w].cmd);
		for (i = 0; i <= ARRAY_SIZE(more); i++) {
			size = i < ARRAY_SIZE(more) ? known + more[i] :
						      ARG_MAX_SIZE;
			feed(self, w);
			before = get_state(self);
			valid_call(&c, w, self);

			/* What this kernel does not know is not zero. */
			memset(arg, 0, ARG_MAX_SIZE + 1);
			memcpy(arg, &c.target, known);
			arg[known] = 1;
			EXPECT_EQ(-E2BIG, xioctl(c.fd,
						 RESIZED(cmds[w].cmd, size),
						 arg)) {
				TH_LOG("%s of %u bytes", cmds[w].name, size);
			}
			arg[known] = 0;
			arg[size - 1] = 0x80;
			EXPECT_EQ(-E2BIG, xioctl(c.fd,
						 RESIZED(cmds[w].cmd, size),
						 arg)) {
				TH_LOG("%s of %u bytes", cmds[w].name, size);
			}
			EXPECT_EQ(0, memcmp(arg, &c.target, known));
			EXPECT_UNCHANGED(before);

			/* It is; what lies behind it does not matter. */
			arg[size - 1] = 0;
			arg[size] = 0xff;
			EXPECT_EQ(call_success(w),
				  xioctl(c.fd, RESIZED(cmds[w].cmd, size),
					 arg)) {
				TH_LOG("%s of %u bytes", cmds[w].name, size);
			}
			EXPECT_EQ(0xff, arg[size]);
			while (--size >= known)
				if (arg[size])
					break;
			EXPECT_EQ(known - 1, size);
			memcpy(&c.target, arg, known);
			undo_call(&c, self);
		}
	}
	munmap(arg, ARG_MAX_SIZE + 1);
	close_things();
}

/* An older program passes less of it, and gets less. */
TEST_F(queue, old_query)
{
	struct mbuf_query q;
	unsigned int size;

	for (size = 88; size < sizeof(q); size++) {
		poison(&q, sizeof(q));
		q.target = 0;
		q.resv = 0;
		ASSERT_EQ(0, xioctl(self->session,
				    RESIZED(MBUF_IOC_QUERY, size), &q)) {
			TH_LOG("%u bytes", size);
		}
		EXPECT_EQ(0, memcmp(&q, &self->q, size));
		EXPECT_TRUE(is_poison((uint8_t *)&q + size, sizeof(q) - size));
	}
}

/* A descriptor of each kind, in the order of ON_*; -1 if there is none. */
static void kinds(struct _test_data_queue *self, int fds[NR_KINDS])
{
	fds[0] = self->session;
	fds[1] = self->rfd;
	fds[2] = self->sfd;
	fds[3] = things.a;
	fds[4] = things.listener;
	fds[5] = things.queue;
}

TEST_F(queue, unknown_commands)
{
	const unsigned int dirs[] = { _IOC_NONE, _IOC_READ, _IOC_WRITE,
				      _IOC_READ | _IOC_WRITE };
	const unsigned int sizes[] = { 0, 8, 16, 40, 48, 64, 72, 88, 96, 104,
				       112, 120 };
	unsigned int nr, d, k, i;
	unsigned int on[256] = {};
	struct state before;
	int fds[NR_KINDS];
	uint8_t arg[128] = {};

	for (nr = 0; nr < 256; nr++) {
		on[nr] = uapi_calls_on(nr);
		/* What those of queues do on sessions is in uapi_calls.c. */
		if (on[nr] & (ON_RECV | ON_SEND))
			on[nr] |= ON_SESSION;
	}
	for (i = 0; i < NR_CMDS; i++)
		on[_IOC_NR(cmds[i].cmd)] = cmds[i].on |
			(cmds[i].on & (ON_RECV | ON_SEND) ? ON_SESSION : 0);
	make_things();
	kinds(self, fds);
	before = get_state(self);
	for (nr = 0; nr < 256; nr++) {
		for (d = 0; d < ARRAY_SIZE(dirs); d++) {
			for (k = 0; k < NR_KINDS; k++) {
				if (fds[k] < 0)
					continue;
				/* Both rights of a queue know its commands. */
				if (dirs[d] == (_IOC_READ | _IOC_WRITE) &&
				    (on[nr] & (1u << k) ||
				     (on[nr] & (ON_RECV | ON_SEND) &&
				      (k == 1 || k == 2))))
					continue;
				for (i = 0; i < ARRAY_SIZE(sizes); i++) {
					ASSERT_EQ(-ENOTTY,
						  xioctl(fds[k],
							 _IOC(dirs[d],
							      MBUF_IOC_TYPE,
							      nr, sizes[i]),
							 arg)) {
						TH_LOG("nr %#x dir %u size %u on kind %u",
						       nr, dirs[d], sizes[i],
						       k);
					}
				}
			}
		}
	}
	EXPECT_UNCHANGED(before);
	close_things();
}

TEST_F(queue, wrong_type_letter)
{
	struct state before;
	unsigned int type;
	enum call_nr w;
	struct call c;

	make_things();
	FOR_EACH_CMD(w) {
		feed(self, w);
		before = get_state(self);
		for (type = 0; type < 256; type++) {
			if (type == MBUF_IOC_TYPE)
				continue;
			valid_call(&c, w, self);
			EXPECT_EQ(-ENOTTY,
				  xioctl(c.fd, _IOC(_IOC_READ | _IOC_WRITE,
						    type,
						    _IOC_NR(cmds[w].cmd),
						    _IOC_SIZE(cmds[w].cmd)),
					 &c.target)) {
				TH_LOG("type %#x nr of %s", type, cmds[w].name);
			}
		}
		EXPECT_UNCHANGED(before);
		undo_call(&c, self);
	}
	/* What the kernel itself answers for any file. */
	type = 1;
	EXPECT_EQ(0, xioctl(self->rfd, FIONBIO, &type));
	EXPECT_EQ(O_NONBLOCK, fcntl(self->rfd, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(0, xioctl(self->rfd, FIONCLEX, NULL));
	EXPECT_EQ(0, fcntl(self->rfd, F_GETFD));
	EXPECT_EQ(-ENOTTY, xioctl(self->rfd, FIONREAD, &type));
	close_things();
}

TEST_F(queue, wrong_object)
{
	int null, fds[NR_KINDS];
	struct call c;
	enum call_nr w;
	unsigned int k;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, null);
	make_things();
	kinds(self, fds);
	FOR_EACH_CMD(w) {
		valid_call(&c, w, self);
		c.fd = null;
		EXPECT_EQ(-ENOTTY, do_call(&c)) {
			TH_LOG("%s", cmds[w].name);
		}
		for (k = 0; k < NR_KINDS; k++) {
			/* Both rights of a queue know its commands: EBADF. */
			if (fds[k] < 0 || cmds[w].on & (1u << k) ||
			    (k == 1 && cmds[w].on & ON_SEND) ||
			    (k == 2 && cmds[w].on & ON_RECV))
				continue;
			c.fd = fds[k];
			EXPECT_EQ(-ENOTTY, do_call(&c)) {
				TH_LOG("%s on kind %u", cmds[w].name, k);
			}
		}
	}
	close(null);
	close_things();
}

TEST_F(queue, bad_descriptors)
{
	int path, path_fds[2], i;
	char name[64];
	struct call c;
	enum call_nr w;

	make_things();
	path = open("/dev/mbuf", O_PATH | O_CLOEXEC);
	ASSERT_LE(0, path);
	for (i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d",
			 i ? self->sfd : self->rfd);
		path_fds[i] = open(name, O_PATH | O_CLOEXEC);
		ASSERT_LE(0, path_fds[i]);
	}
	FOR_EACH_CMD(w) {
		valid_call(&c, w, self);
		c.fd = -1;
		EXPECT_EQ(-EBADF, do_call(&c));
		c.fd = dup(self->rfd);
		close(c.fd);
		EXPECT_EQ(-EBADF, do_call(&c));
		c.fd = path;
		EXPECT_EQ(-EBADF, do_call(&c));
		c.fd = path_fds[0];
		EXPECT_EQ(-EBADF, do_call(&c));
		c.fd = path_fds[1];
		EXPECT_EQ(-EBADF, do_call(&c));
	}
	close(path);
	close(path_fds[0]);
	close(path_fds[1]);

	/* Rights. */
	valid_call(&c, SEND, self);
	c.fd = self->rfd;
	EXPECT_EQ(-EBADF, do_call(&c));
	valid_call(&c, SEND_BATCH, self);
	c.fd = self->rfd;
	EXPECT_EQ(-EBADF, do_call(&c));
	feed(self, RECV);
	valid_call(&c, RECV, self);
	c.fd = self->sfd;
	EXPECT_EQ(-EBADF, do_call(&c));
	valid_call(&c, RECV_BATCH, self);
	c.fd = self->sfd;
	EXPECT_EQ(-EBADF, do_call(&c));
	EXPECT_EQ(2, get_info(self->rfd).depth);
	close_things();
}

TEST_F(queue, wild_arguments)
{
	struct state before;
	struct guarded g;
	unsigned int i;
	struct call c;
	uint8_t *page;
	enum call_nr w;

	make_things();
	page = map_pages(page_size(), PROT_NONE);
	ASSERT_NE(NULL, page);
	FOR_EACH_CMD(w) {
		unsigned int size = _IOC_SIZE(cmds[w].cmd), fit;

		feed(self, w);
		before = get_state(self);
		valid_call(&c, w, self);
		for (i = 0; i < ARRAY_SIZE(wild); i++) {
			/* Cut to 32 bits it may well be memory. */
			if (wild[i] > UINTPTR_MAX)
				continue;
			EXPECT_EQ(-EFAULT, xioctl(c.fd, cmds[w].cmd,
						  (void *)(uintptr_t)wild[i])) {
				TH_LOG("%s at %#llx", cmds[w].name,
				       (unsigned long long)wild[i]);
			}
		}
		EXPECT_EQ(-EFAULT, xioctl(c.fd, cmds[w].cmd, page));
		EXPECT_EQ(-EFAULT, xioctl(c.fd, RESIZED(cmds[w].cmd, 4096),
					  page));
		/* Only a part of it is memory. */
		for (fit = 1; fit < size; fit += 7) {
			ASSERT_TRUE(guarded_alloc(&g, fit));
			memcpy(g.p, &c.target, fit);
			EXPECT_EQ(-EFAULT, xioctl(c.fd, cmds[w].cmd, g.p));
			EXPECT_EQ(0, memcmp(g.p, &c.target, fit));
			guarded_free(&g);
		}
		/* The known part is, but not the rest. */
		ASSERT_TRUE(guarded_alloc(&g, size));
		memcpy(g.p, &c.target, size);
		EXPECT_EQ(-EFAULT, xioctl(c.fd, RESIZED(cmds[w].cmd, size + 8),
					  g.p));
		/* Up to the last byte before the hole it is fine. */
		EXPECT_UNCHANGED(before);
		EXPECT_EQ(call_success(w), xioctl(c.fd, cmds[w].cmd, g.p));
		memcpy(&c.target, g.p, size);
		guarded_free(&g);
		undo_call(&c, self);
	}
	munmap(page, page_size());
	close_things();
}

/* The argument can be read, but results cannot be written. */
TEST_F(queue, read_only_arguments)
{
	struct state before;
	struct call c, *ro;
	enum call_nr w;

	make_things();
	ro = map_pages(sizeof(*ro), PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, ro);
	FOR_EACH_CMD(w) {
		feed(self, w);
		before = get_state(self);
		ASSERT_EQ(0, mprotect(ro, page_size(), PROT_READ | PROT_WRITE));
		valid_call(ro, w, self);
		/* Its arrays as well. */
		c = *ro;
		ASSERT_EQ(0, mprotect(ro, page_size(), PROT_READ));
		if (cmds[w].arg == ARG_SENT || cmds[w].arg == ARG_IN) {
			/* It is sent by then, or nothing is to be written. */
			EXPECT_EQ(call_success(w), xioctl(c.fd, cmds[w].cmd,
							  &ro->target)) {
				TH_LOG("%s", cmds[w].name);
			}
			if (w == SEND || w == SEND_BATCH)
				EXPECT_EQ(w == SEND ? 1 : 2,
					  get_info(self->rfd).depth);
		} else {
			EXPECT_EQ(-EFAULT, xioctl(c.fd, cmds[w].cmd,
						  &ro->target)) {
				TH_LOG("%s", cmds[w].name);
			}
			if (cmds[w].arg == ARG_OUT)
				EXPECT_UNCHANGED(before);
		}
		EXPECT_EQ(0, memcmp(ro, &c, sizeof(c)));
		undo_call(&c, self);
	}
	munmap(ro, sizeof(*ro));
	close_things();
}

TEST_F(queue, targets)
{
	const uint64_t targets[] = { 1, 1ull << 32, 1ull << 63, UINT64_MAX };
	struct state before;
	unsigned int i;
	struct call c;
	enum call_nr w;

	make_things();
	FOR_EACH_CMD(w) {
		feed(self, w);
		before = get_state(self);
		for (i = 0; i < ARRAY_SIZE(targets); i++) {
			valid_call(&c, w, self);
			c.target = targets[i];
			EXPECT_EQ(-EOPNOTSUPP, do_call(&c)) {
				TH_LOG("%s", cmds[w].name);
			}
		}
		EXPECT_UNCHANGED(before);
		undo_call(&c, self);
	}
	close_things();
}

/* Every bit that means nothing yet, one at a time. */
TEST_F(queue, unknown_flags)
{
	struct state before;
	struct call c;
	enum call_nr w;
	int bit;

	make_queue(4, 16, 0);
	for (w = SEND; w <= RECV_BATCH; w++) {
		feed(self, w);
		before = get_state(self);
		for (bit = 0; bit < 32; bit++) {
			uint32_t flag = 1u << bit;

			valid_call(&c, w, self);
			if (w == SEND || w == RECV)
				c.xfer.flags = flag;
			else
				c.batch.flags = flag;
			EXPECT_EQ(-EINVAL, do_call(&c)) {
				TH_LOG("%s flag %#x", cmds[w].name, flag);
			}
			if (w == SEND || w == RECV) {
				valid_call(&c, w, self);
				c.xfer.resv = flag;
				EXPECT_EQ(-EINVAL, do_call(&c));
			}
			if (w == SEND) {
				valid_call(&c, w, self);
				c.xfer.msg.flags = flag;
				EXPECT_EQ(-EINVAL, do_call(&c));
			}
			if (w == SEND_BATCH) {
				valid_call(&c, w, self);
				c.msgs[0].flags = flag;
				EXPECT_EQ(-EINVAL, do_call(&c));
			}
		}
		EXPECT_UNCHANGED(before);
		/* What comes in as a result's old value does not matter. */
		if (w == RECV || w == RECV_BATCH) {
			valid_call(&c, w, self);
			c.xfer.msg.flags = UINT32_MAX;
			if (w == RECV_BATCH) {
				valid_call(&c, w, self);
				c.msgs[0].flags = UINT32_MAX;
			}
			EXPECT_EQ(call_success(w), do_call(&c));
		}
		undo_call(&c, self);
	}
}

TEST_F(queue, waits)
{
	const struct {
		struct mbuf_wait wait;
		long ret;	/* of a call that cannot be done at once */
	} t[] = {
		{ { 0, MBUF_WAIT_NOW, 0 }, -EAGAIN },
		{ { 0, MBUF_WAIT_UNTIL, 0 }, -ETIMEDOUT },
		{ { 1, MBUF_WAIT_UNTIL, 0 }, -ETIMEDOUT },
		{ { 1000000, MBUF_WAIT_UNTIL, 0 }, -ETIMEDOUT },
		{ { 0, 3, 0 }, -EINVAL },
		{ { 0, UINT32_MAX, 0 }, -EINVAL },
		{ { 0, 1u << 31, 0 }, -EINVAL },
		{ { 1, MBUF_WAIT_FOREVER, 0 }, -EINVAL },
		{ { UINT64_MAX, MBUF_WAIT_FOREVER, 0 }, -EINVAL },
		{ { 1, MBUF_WAIT_NOW, 0 }, -EINVAL },
		{ { 1ull << 63, MBUF_WAIT_NOW, 0 }, -EINVAL },
		{ { 0, MBUF_WAIT_NOW, 1 }, -EINVAL },
		{ { 0, MBUF_WAIT_FOREVER, 1 }, -EINVAL },
		{ { 1, MBUF_WAIT_UNTIL, 1 }, -EINVAL },
		{ { 1, MBUF_WAIT_UNTIL, CLOCK_BOOTTIME }, -EINVAL },
		{ { 0, MBUF_WAIT_NOW, UINT32_MAX }, -EINVAL },
	};
	struct state before;
	unsigned int i;
	struct call c;
	enum call_nr w;

	make_queue(2, 16, 0);
	ASSERT_TRUE(open_things(self->session, self->q.features));
	FOR_EACH_CMD(w) {
		/* This one does not wait for anything here. */
		memset(&c, 0, sizeof(c));
		c.which = w;
		if (!call_wait(&c) || w == CONNECT)
			continue;
		/* Where it cannot be done: to a full queue, from an empty. */
		if (w == SEND || w == SEND_BATCH)
			feed(self, RECV);
		for (i = 0; i < ARRAY_SIZE(t); i++) {
			valid_call(&c, w, self);
			*call_wait(&c) = t[i].wait;
			if (w == SEND_BATCH || w == RECV_BATCH)
				c.batch.min = 1;
			/* What it does before it waits has its own tests. */
			if (w == EXCHANGE)
				c.x.steps = STEPS_TAKE;
			EXPECT_EQ(t[i].ret, do_call(&c)) {
				TH_LOG("%s, wait %u", cmds[w].name, i);
			}
		}
		undo_call(&c, self);

		/* Where it can, a bad wait is bad all the same. */
		for (i = 0; i < ARRAY_SIZE(t); i++) {
			undo_call(&c, self);
			feed(self, w);
			before = get_state(self);
			valid_call(&c, w, self);
			*call_wait(&c) = t[i].wait;
			if (t[i].ret == -EINVAL) {
				EXPECT_EQ(-EINVAL, do_call(&c)) {
					TH_LOG("%s, wait %u", cmds[w].name, i);
				}
				EXPECT_UNCHANGED(before);
			} else {
				EXPECT_EQ(call_success(w), do_call(&c)) {
					TH_LOG("%s, wait %u", cmds[w].name, i);
				}
			}
		}
		undo_call(&c, self);
	}
	close_things();
}

/* O_NONBLOCK goes before the mode. */
TEST_F(queue, nonblocking_descriptors)
{
	const struct mbuf_wait waits[] = {
		{ 0, MBUF_WAIT_FOREVER, 0 },
		{ 0, MBUF_WAIT_NOW, 0 },
		{ UINT64_MAX, MBUF_WAIT_UNTIL, 0 },
		{ 1, MBUF_WAIT_UNTIL, 0 },
	};
	unsigned int i;
	struct call c;
	enum call_nr w;

	make_queue(2, 16, MBUF_QUEUE_NONBLOCK);
	for (w = SEND; w <= RECV_BATCH; w++) {
		if (w == SEND || w == SEND_BATCH)
			feed(self, RECV);
		for (i = 0; i < ARRAY_SIZE(waits); i++) {
			valid_call(&c, w, self);
			*call_wait(&c) = waits[i];
			if (w == SEND_BATCH || w == RECV_BATCH)
				c.batch.min = 2;
			EXPECT_EQ(-EAGAIN, do_call(&c)) {
				TH_LOG("%s, wait %u", cmds[w].name, i);
			}
		}
		undo_call(&c, self);
	}
	EXPECT_EQ(0, get_info(self->rfd).send_blocked);
	EXPECT_EQ(0, get_info(self->rfd).recv_blocked);
}

TEST_F(queue, batch_shapes)
{
	uint32_t max = self->q.batch_max;
	const struct {
		uint32_t nr, stride, min;
	} bad[] = {
		{ 0, 40, 0 },
		{ max + 1, 40, 0 },
		{ UINT32_MAX, 40, 0 },
		{ UINT32_MAX / 40 + 2, 40, 0 },
		{ 2, 0, 0 },
		{ 2, 8, 0 },
		{ 2, 32, 0 },
		{ 2, 39, 0 },
		{ 2, 41, 0 },
		{ 2, 44, 0 },
		{ 2, 47, 0 },
		{ 2, 255, 0 },
		{ 2, 257, 0 },
		{ 2, 264, 0 },
		{ 2, 1u << 31, 0 },
		{ 2, UINT32_MAX - 7, 0 },
		{ 2, 40, 3 },
		{ 2, 40, UINT32_MAX },
		{ 1, 40, 2 },
	};
	struct state before;
	unsigned int i;
	struct call c;
	enum call_nr w;

	make_queue(4, 16, 0);
	for (w = SEND_BATCH; w <= RECV_BATCH; w++) {
		feed(self, w);
		before = get_state(self);
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			valid_call(&c, w, self);
			c.batch.nr = bad[i].nr;
			c.batch.stride = bad[i].stride;
			c.batch.min = bad[i].min;
			EXPECT_EQ(-EINVAL, do_call(&c)) {
				TH_LOG("%s, shape %u", cmds[w].name, i);
			}
		}
		EXPECT_UNCHANGED(before);
		undo_call(&c, self);
	}
}

/* Elements grow like structs do. */
TEST_F(queue, batch_strides)
{
	uint32_t stride, known = sizeof(struct mbuf_msg);
	uint8_t *arr, *e1;
	struct call c;
	enum call_nr w;

	make_queue(4, 16, 0);
	arr = malloc(2 * 256);
	ASSERT_NE(NULL, arr);
	for (w = SEND_BATCH; w <= RECV_BATCH; w++) {
		for (stride = known; stride <= 256; stride += 8) {
			valid_call(&c, w, self);
			memset(arr, 0, 2 * 256);
			e1 = arr + stride;
			memcpy(arr, &c.msgs[0], known);
			memcpy(e1, &c.msgs[1], known);
			c.batch.msgs = (uintptr_t)arr;
			c.batch.stride = stride;

			if (stride > known) {
				/* In the first element it is an error ... */
				feed(self, w);
				arr[stride - 1] = 1;
				EXPECT_EQ(-E2BIG, do_call(&c));
				EXPECT_EQ(w == RECV_BATCH ? 2 : 0,
					  get_info(self->rfd).depth);
				EXPECT_EQ(0, memcmp(arr, &c.msgs[0], known));
				arr[stride - 1] = 0;
				/* ... later the end of the batch. */
				e1[known] = 1;
				EXPECT_EQ(1, do_call(&c));
				EXPECT_EQ(1, get_info(self->rfd).depth);
				EXPECT_EQ(0, memcmp(e1, &c.msgs[1], known));
				e1[known] = 0;
				undo_call(&c, self);
				memcpy(arr, &c.msgs[0], known);
			}
			feed(self, w);
			EXPECT_EQ(2, do_call(&c)) {
				TH_LOG("%s, stride %u", cmds[w].name, stride);
			}
			if (w == RECV_BATCH) {
				EXPECT_EQ(3, ((struct mbuf_msg *)arr)->len);
				EXPECT_EQ(3, ((struct mbuf_msg *)e1)->len);
			}
			EXPECT_EQ(0, memcmp(e1 + known, "\0\0\0\0\0\0\0\0",
					    stride > known ? 8 : 0));
			undo_call(&c, self);
		}
	}
	free(arr);
}

TEST_F(queue, wild_arrays)
{
	struct state before;
	struct guarded g;
	unsigned int i;
	struct call c;
	enum call_nr w;

	make_queue(4, 16, 0);
	for (w = SEND_BATCH; w <= RECV_BATCH; w++) {
		feed(self, w);
		before = get_state(self);
		for (i = 0; i < ARRAY_SIZE(wild); i++) {
			valid_call(&c, w, self);
			c.batch.msgs = wild[i];
			EXPECT_EQ(-EFAULT, do_call(&c)) {
				TH_LOG("%s at %#llx", cmds[w].name,
				       (unsigned long long)wild[i]);
			}
		}
		EXPECT_UNCHANGED(before);

		/* The second element is no memory: the first one counts. */
		valid_call(&c, w, self);
		ASSERT_TRUE(guarded_alloc(&g, sizeof(struct mbuf_msg)));
		memcpy(g.p, &c.msgs[0], sizeof(struct mbuf_msg));
		c.batch.msgs = (uintptr_t)g.p;
		EXPECT_EQ(1, do_call(&c));
		EXPECT_EQ(1, get_info(self->rfd).depth);
		guarded_free(&g);
		undo_call(&c, self);
	}
}

/* Where there is no payload, its address does not matter. */
TEST_F(queue, wild_address_of_nothing)
{
	struct mbuf_msg m;
	size_t i;

	make_queue(4, 16, MBUF_QUEUE_EMPTY);
	for (i = 0; i < ARRAY_SIZE(wild); i++) {
		m = (struct mbuf_msg){ .buf = wild[i] };
		ASSERT_EQ(0, mbuf_send_msg(self->sfd, &m, MBUF_NOW)) {
			TH_LOG("sent from %#lx", wild[i]);
		}
		m.flags = 0;
		ASSERT_EQ(1, mbuf_send_batch(self->sfd, &m, 1, 1, MBUF_NOW));
		m = (struct mbuf_msg){ .buf = wild[i] };
		ASSERT_EQ(0, mbuf_recv_msg(self->rfd, &m, MBUF_NOW)) {
			TH_LOG("received at %#lx", wild[i]);
		}
		EXPECT_EQ(MBUF_MSG_EMPTY, m.flags);
		m = (struct mbuf_msg){ .buf = wild[i] };
		ASSERT_EQ(1, mbuf_recv_batch(self->rfd, &m, 1, 1, MBUF_NOW));
		EXPECT_EQ(MBUF_MSG_EMPTY, m.flags);
	}
}

/* A receive that fails has not changed how much room its caller has. */
TEST_F(queue, room_survives_failure)
{
	struct mbuf_msg m[2];
	char buf[16];

	make_queue(4, 16, 0);
	ASSERT_EQ(0, mbuf_send(self->sfd, "abc", 3, MBUF_NOW));
	ASSERT_EQ(0, mbuf_send(self->sfd, "de", 2, MBUF_NOW));
	memset(m, 0, sizeof(m));
	m[0].buf = 8;
	m[0].len = 16;
	EXPECT_EQ(-EFAULT, mbuf_recv_msg(self->rfd, &m[0], MBUF_NOW));
	EXPECT_EQ(16, m[0].len);
	EXPECT_EQ(-EFAULT, mbuf_recv_batch(self->rfd, m, 1, 1, MBUF_NOW));
	EXPECT_EQ(16, m[0].len);
	m[0].buf = (uintptr_t)buf;
	m[1].buf = 8;
	m[1].len = 16;
	EXPECT_EQ(1, mbuf_recv_batch(self->rfd, m, 2, 2, MBUF_NOW));
	EXPECT_EQ(3, m[0].len);
	EXPECT_EQ(16, m[1].len);
	EXPECT_EQ(1, get_info(self->rfd).depth);
}

TEST_F(queue, wild_payload)
{
	struct state before;
	unsigned int i;
	struct call c;
	enum call_nr w;

	make_queue(4, 16, MBUF_QUEUE_EMPTY);
	for (w = SEND; w <= RECV_BATCH; w++) {
		bool batch = w == SEND_BATCH || w == RECV_BATCH;

		feed(self, w);
		before = get_state(self);
		for (i = 0; i < ARRAY_SIZE(wild); i++) {
			valid_call(&c, w, self);
			if (batch)
				c.msgs[0].buf = wild[i];
			else
				c.xfer.msg.buf = wild[i];
			EXPECT_EQ(-EFAULT, do_call(&c)) {
				TH_LOG("%s at %#llx", cmds[w].name,
				       (unsigned long long)wild[i]);
			}
		}
		EXPECT_UNCHANGED(before);
		undo_call(&c, self);
	}
	/* Where nothing is to be read, the address may be anything mapped. */
	valid_call(&c, SEND, self);
	c.xfer.msg.buf = 0;
	c.xfer.msg.len = 0;
	EXPECT_EQ(0, do_call(&c));
	valid_call(&c, RECV, self);
	c.xfer.msg.buf = 0;
	c.xfer.msg.len = 0;
	EXPECT_EQ(0, do_call(&c));
	EXPECT_EQ(MBUF_MSG_EMPTY, c.xfer.msg.flags);
}

/* Also longer messages, and lengths that go past the end of all addresses. */
TEST_F(queue, payload_ranges)
{
	struct call c;
	uint8_t *page;

	make_queue(4, 65536, 0);
	page = map_pages(page_size(), PROT_READ | PROT_WRITE);
	ASSERT_NE(NULL, page);
	valid_call(&c, SEND, self);
	c.xfer.msg.buf = UINT64_MAX - 4096;
	c.xfer.msg.len = 65536;
	EXPECT_EQ(-EFAULT, do_call(&c));
	c.xfer.msg.buf = 0x7ffffffff000ull - 1;
	EXPECT_EQ(-EFAULT, do_call(&c));
	c.xfer.msg.len = 65537;
	EXPECT_EQ(-EMSGSIZE, do_call(&c));

	ASSERT_EQ(0, mbuf_send(self->sfd, "xyz", 3, MBUF_NOW));
	valid_call(&c, RECV, self);
	c.xfer.msg.buf = UINT64_MAX - 4096;
	c.xfer.msg.len = 65536;
	EXPECT_EQ(-EFAULT, do_call(&c));
	EXPECT_EQ(1, get_info(self->rfd).depth);
	/* Room that nobody would believe is room, if what is used is. */
	valid_call(&c, RECV, self);
	c.xfer.msg.buf = (uintptr_t)page;
	c.xfer.msg.len = UINT32_MAX;
	EXPECT_EQ(0, do_call(&c));
	EXPECT_EQ(3, c.xfer.msg.len);
	munmap(page, page_size());
}

TEST_F(queue, query_errors)
{
	struct call c;

	/* The common ones have tests of their own; there are no others. */
	valid_call(&c, QUERY, self);
	EXPECT_EQ(0, do_call(&c));
	EXPECT_EQ(0, memcmp(&self->q, &c.query, sizeof(c.query)));
}

TEST_F(queue, create_errors)
{
	uint32_t slots_max = self->q.slots_max, msg_max = self->q.msg_max;
	struct rlimit was, lim;
	struct state before;
	struct call c;
	int free_fds, fd;

	make_queue(1, 1, 0);
	before = get_state(self);
#define CREATE_FAILS(err, stmt) do {					\
	valid_call(&c, CREATE, self);					\
	stmt;								\
	EXPECT_EQ(-(err), do_call(&c)) {				\
		TH_LOG(#stmt);						\
	}								\
} while (0)
	CREATE_FAILS(EINVAL, c.create.slots = 0);
	CREATE_FAILS(EINVAL, c.create.slots = slots_max + 1);
	CREATE_FAILS(EINVAL, c.create.slots = UINT32_MAX);
	CREATE_FAILS(EINVAL, c.create.max_msg = 0);
	CREATE_FAILS(EINVAL, c.create.max_msg = msg_max + 1);
	CREATE_FAILS(EINVAL, c.create.max_msg = UINT32_MAX);
	CREATE_FAILS(EINVAL, c.create.flags = 1u << 5);
	CREATE_FAILS(EINVAL, c.create.flags = 1u << 31);
	CREATE_FAILS(EINVAL, c.create.max_caps = 1);
	CREATE_FAILS(EINVAL, c.create.recv.flags = 1);
	CREATE_FAILS(EINVAL, c.create.send.flags = 1);
	CREATE_FAILS(EINVAL, c.create.recv.handle = 1);
	CREATE_FAILS(EINVAL, c.create.send.handle = 1);
#undef CREATE_FAILS

	/* EMFILE with none and with one descriptor free. */
	fd = dup(0);
	ASSERT_LE(0, fd);
	close(fd);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &was));
	for (free_fds = 0; free_fds < 2; free_fds++) {
		lim = was;
		lim.rlim_cur = (rlim_t)fd + (rlim_t)free_fds;
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
		valid_call(&c, CREATE, self);
		EXPECT_EQ(-EMFILE, do_call(&c));
	}
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &was));
	EXPECT_UNCHANGED(before);
}

TEST_F(queue, send_errors)
{
	uint32_t prio_max = self->q.prio_max;
	struct state before;
	struct mbuf_msg *m;
	struct call c;

	make_queue(1, 16, 0);
	before = get_state(self);
/* As a message by itself, and as the first one of a batch. */
#define SEND_FAILS(err, stmt) do {					\
	valid_call(&c, SEND, self);					\
	m = &c.xfer.msg;						\
	stmt;								\
	EXPECT_EQ(-(err), do_call(&c)) {				\
		TH_LOG("SEND: " #stmt);					\
	}								\
	valid_call(&c, SEND_BATCH, self);				\
	m = &c.msgs[0];							\
	stmt;								\
	EXPECT_EQ(-(err), do_call(&c)) {				\
		TH_LOG("SEND_BATCH: " #stmt);				\
	}								\
} while (0)
	SEND_FAILS(EMSGSIZE, m->len = 17);
	SEND_FAILS(EMSGSIZE, m->len = UINT32_MAX);
	SEND_FAILS(EINVAL, m->flags = 1);
	SEND_FAILS(EINVAL, m->len = 0);
	SEND_FAILS(EINVAL, m->prio = 1);
	SEND_FAILS(EFAULT, m->buf = 0);
	EXPECT_UNCHANGED(before);

	/* EAGAIN and ETIMEDOUT. */
	ASSERT_EQ(0, mbuf_send(self->sfd, "x", 1, MBUF_NOW));
	before = get_state(self);
	SEND_FAILS(EAGAIN, (void)m);
	EXPECT_UNCHANGED(before);
	valid_call(&c, SEND, self);
	c.xfer.wait.mode = MBUF_WAIT_UNTIL;
	EXPECT_EQ(-ETIMEDOUT, do_call(&c));
	valid_call(&c, SEND_BATCH, self);
	c.batch.wait.mode = MBUF_WAIT_UNTIL;
	c.batch.min = 1;
	EXPECT_EQ(-ETIMEDOUT, do_call(&c));
	EXPECT_EQ(1, get_info(self->rfd).depth);
	EXPECT_EQ(1, get_info(self->rfd).sent);
	EXPECT_EQ(0, get_info(self->rfd).send_waiters);

	/* EPIPE. */
	close_fd(&self->rfd);
	SEND_FAILS(EPIPE, (void)m);
	close_fd(&self->sfd);

	/* Priorities out of range. */
	make_queue(1, 16, MBUF_QUEUE_PRIO);
	before = get_state(self);
	SEND_FAILS(EINVAL, m->prio = prio_max + 1);
	SEND_FAILS(EINVAL, m->prio = UINT32_MAX);
	EXPECT_UNCHANGED(before);
	close_fd(&self->rfd);
	close_fd(&self->sfd);

	/* ENOBUFS. */
	make_queue(1, 16, MBUF_QUEUE_PRIO | MBUF_QUEUE_OVERWRITE);
	valid_call(&c, SEND, self);
	c.xfer.msg.prio = 1;
	ASSERT_EQ(0, do_call(&c));
	SEND_FAILS(ENOBUFS, (void)m);
	EXPECT_EQ(2, get_info(self->rfd).refused);
	EXPECT_EQ(1, get_info(self->rfd).depth);
	EXPECT_EQ(0, get_info(self->rfd).dropped);
#undef SEND_FAILS
}

TEST_F(queue, recv_errors)
{
	struct mbuf_msg was;
	struct state before;
	struct call c;

	make_queue(2, 16, 0);
	/* EAGAIN and ETIMEDOUT. */
	before = get_state(self);
	valid_call(&c, RECV, self);
	EXPECT_EQ(-EAGAIN, do_call(&c));
	valid_call(&c, RECV_BATCH, self);
	EXPECT_EQ(-EAGAIN, do_call(&c));
	EXPECT_UNCHANGED(before);
	valid_call(&c, RECV, self);
	c.xfer.wait.mode = MBUF_WAIT_UNTIL;
	EXPECT_EQ(-ETIMEDOUT, do_call(&c));
	valid_call(&c, RECV_BATCH, self);
	c.batch.wait.mode = MBUF_WAIT_UNTIL;
	c.batch.min = 1;
	EXPECT_EQ(-ETIMEDOUT, do_call(&c));
	EXPECT_EQ(0, get_info(self->rfd).recv_waiters);

	/* EMSGSIZE sets len, and nothing else. */
	feed(self, RECV);
	before = get_state(self);
	valid_call(&c, RECV, self);
	c.xfer.msg.len = 2;
	was = c.xfer.msg;
	EXPECT_EQ(-EMSGSIZE, xioctl(c.fd, MBUF_IOC_RECV, &c.xfer));
	EXPECT_EQ(3, c.xfer.msg.len);
	was.len = 3;
	EXPECT_EQ(0, memcmp(&was, &c.xfer.msg, sizeof(was)));
	valid_call(&c, RECV_BATCH, self);
	c.msgs[0].len = 0;
	was = c.msgs[0];
	EXPECT_EQ(-EMSGSIZE, xioctl(c.fd, MBUF_IOC_RECV_BATCH, &c.batch));
	EXPECT_EQ(3, c.msgs[0].len);
	was.len = 3;
	EXPECT_EQ(0, memcmp(&was, &c.msgs[0], sizeof(was)));
	EXPECT_EQ(16, c.msgs[1].len);

	/* EFAULT: the payload. */
	valid_call(&c, RECV, self);
	c.xfer.msg.buf = 4096;
	EXPECT_EQ(-EFAULT, do_call(&c));
	valid_call(&c, RECV_BATCH, self);
	c.msgs[0].buf = 4096;
	EXPECT_EQ(-EFAULT, do_call(&c));
	EXPECT_UNCHANGED(before);
	undo_call(&c, self);

	/* EPIPE. */
	close_fd(&self->sfd);
	valid_call(&c, RECV, self);
	EXPECT_EQ(-EPIPE, do_call(&c));
	valid_call(&c, RECV_BATCH, self);
	EXPECT_EQ(-EPIPE, do_call(&c));
}

/* A call in a thread, to be interrupted. */
struct sleeper {
	struct call c;
	long ret;
};

static void *sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	s->ret = do_call(&s->c);
	return NULL;
}

TEST_F(queue, interrupted)
{
	pthread_t thread;
	struct sleeper s;
	enum call_nr w;

	ASSERT_EQ(0, catch_signal(SIGUSR1, 0));
	make_queue(2, 16, 0);
	for (w = SEND; w <= RECV_BATCH; w++) {
		bool sends = w == SEND || w == SEND_BATCH;

		if (sends)
			feed(self, RECV);
		valid_call(&s.c, w, self);
		call_wait(&s.c)->mode = MBUF_WAIT_FOREVER;
		if (s.c.which >= SEND_BATCH)
			s.c.batch.min = 1;
		ASSERT_EQ(0, pthread_create(&thread, NULL, sleeper_main, &s));
		ASSERT_SLEEPERS(self->rfd, !sends, sends);
		ASSERT_EQ(0, pthread_kill(thread, SIGUSR1));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(-EINTR, s.ret) {
			TH_LOG("%s", cmds[w].name);
		}
		EXPECT_EQ(sends ? 2 : 0, get_info(self->rfd).depth);
		EXPECT_EQ(0, get_info(self->rfd).send_waiters);
		EXPECT_EQ(0, get_info(self->rfd).recv_waiters);
		undo_call(&s.c, self);
	}
}

/* Where in an argument bits are, and which of them mean something. */
TEST_F(queue, unknown_bits)
{
#define BITS(which, type, member, known) \
	{ which, #which " " #member, offsetof(struct type, member), known }
	const struct {
		enum call_nr which;
		const char *name;
		size_t offset;
		uint32_t known;
	} t[] = {
		BITS(CHANNEL_CREATE, mbuf_channel_create, flags, 0),
		BITS(CHANNEL_CREATE, mbuf_channel_create, resv, 0),
		BITS(CHANNEL_CREATE, mbuf_channel_create, end[0].flags, 0xf),
		BITS(CHANNEL_CREATE, mbuf_channel_create, end[1].flags, 0xf),
		BITS(CHANNEL_CREATE, mbuf_channel_create, end[0].resv, 0),
		BITS(CHANNEL_CREATE, mbuf_channel_create, end[1].resv, 0),
		BITS(CHANNEL_CREATE, mbuf_channel_create, end[0].ref.flags, 0),
		BITS(CHANNEL_CREATE, mbuf_channel_create, end[1].ref.flags, 0),
		BITS(CHANNEL_CREATE, mbuf_channel_create, end[0].ref.handle, 0),
		BITS(CHANNEL_CREATE, mbuf_channel_create, end[1].ref.handle, 0),
		BITS(ATTACH, mbuf_attach, flags, MBUF_ATTACH_MOVE),
		BITS(ATTACH, mbuf_attach, resv, 0),
		BITS(ATTACH, mbuf_attach, ref.flags, 0),
		BITS(ATTACH, mbuf_attach, ref.handle, 0),
		BITS(DETACH, mbuf_attach, flags, 0),
		BITS(DETACH, mbuf_attach, cookie, 0),
		BITS(DETACH, mbuf_attach, resv, 0),
		BITS(DETACH, mbuf_attach, ref.flags, 0),
		BITS(DETACH, mbuf_attach, ref.handle, 0),
		BITS(POLL_SET, mbuf_poll_all, flags, 0),
		BITS(POLL_SET, mbuf_poll_all, resv, 0),
		BITS(ANY, mbuf_wait_any, flags, 0),
		BITS(ANY, mbuf_wait_any, resv, 0),
		BITS(EXCHANGE, mbuf_exchange, steps, STEPS_ALL),
		/* Only what has been done before WAIT. */
		BITS(EXCHANGE, mbuf_exchange, done, STEPS_PUT),
		BITS(EXCHANGE, mbuf_exchange, resv, 0),
		BITS(LISTEN, mbuf_listen, flags,
		     MBUF_LISTEN_NONBLOCK | MBUF_LISTEN_DETACHED |
		     MBUF_LISTEN_OWNER | MBUF_LISTEN_GROUP),
		BITS(LISTEN, mbuf_listen, mode, 0777),
		BITS(LISTEN, mbuf_listen, uid, 0),
		BITS(LISTEN, mbuf_listen, gid, 0),
		BITS(LISTEN, mbuf_listen, listener.flags, 0),
		BITS(LISTEN, mbuf_listen, listener.handle, 0),
		BITS(CONNECT, mbuf_connect, flags,
		     MBUF_CONNECT_ASYNC | MBUF_CONNECT_UID |
		     MBUF_CONNECT_HELLO),
		BITS(CONNECT, mbuf_connect, uid, 0),
		BITS(CONNECT, mbuf_connect, resv, 0),
		BITS(CONNECT, mbuf_connect, data, 0),
		BITS(CONNECT, mbuf_connect, end.flags, 0xf),
		BITS(CONNECT, mbuf_connect, end.resv, 0),
		BITS(CONNECT, mbuf_connect, end.ref.flags, 0),
		BITS(CONNECT, mbuf_connect, end.ref.handle, 0),
		BITS(ACCEPT, mbuf_accept, flags, MBUF_ACCEPT_ASK),
		BITS(ACCEPT, mbuf_accept, resv, 0),
		BITS(ACCEPT, mbuf_accept, end.flags, 0xf),
		BITS(ACCEPT, mbuf_accept, end.resv, 0),
		BITS(ACCEPT, mbuf_accept, end.ref.flags, 0),
		BITS(ACCEPT, mbuf_accept, end.ref.handle, 0),
		BITS(APPROVE, mbuf_approve, verdict, 1),
		BITS(APPROVE, mbuf_approve, resv, 0),
		BITS(ACCEPT_QUEUE, mbuf_accept_queue, flags,
		     MBUF_LISTEN_NONBLOCK | MBUF_LISTEN_DETACHED),
		BITS(ACCEPT_QUEUE, mbuf_accept_queue, queue.flags, 0),
		BITS(ACCEPT_QUEUE, mbuf_accept_queue, queue.handle, 0),
		BITS(LISTENER_SET, mbuf_listener_set, flags,
		     MBUF_LISTEN_OWNER | MBUF_LISTEN_GROUP |
		     MBUF_LISTEN_MODE | MBUF_LISTEN_BACKLOG),
		BITS(LISTENER_SET, mbuf_listener_set, mode, 0777),
		BITS(LISTENER_SET, mbuf_listener_set, backlog, 0),
		BITS(LISTENER_SET, mbuf_listener_set, uid, 0),
		BITS(LISTENER_SET, mbuf_listener_set, gid, 0),
		BITS(LISTENER_SET, mbuf_listener_set, resv, 0),
		BITS(LISTENER_ACL, mbuf_listener_acl, op, 3),
	};
#undef BITS
	struct state before;
	unsigned int i, bit;
	struct call c;

	make_things();
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		if (!(self->q.features & cmds[t[i].which].feature))
			continue;
		feed(self, t[i].which);
		before = get_state(self);
		for (bit = 0; bit < 32; bit++) {
			uint32_t value;

			if (t[i].known & (1u << bit))
				continue;
			valid_call(&c, t[i].which, self);
			memcpy(&value, (uint8_t *)&c.target + t[i].offset, 4);
			value |= 1u << bit;
			memcpy((uint8_t *)&c.target + t[i].offset, &value, 4);
			EXPECT_EQ(-EINVAL, do_call(&c)) {
				TH_LOG("%s, bit %u", t[i].name, bit);
			}
		}
		EXPECT_UNCHANGED(before);
		undo_call(&c, self);
	}
	close_things();
}

TEST_F(queue, exchange_errors)
{
	struct state before;
	struct call c;
	uint32_t steps, done;

	if (!(self->q.features & MBUF_FEATURE_CHANNEL))
		SKIP(return, "this module has no channels");
	make_things();
	feed(self, EXCHANGE);
	before = get_state(self);
	valid_call(&c, EXCHANGE, self);
	c.x.steps = 0;
	EXPECT_EQ(-EINVAL, do_call(&c));
	/* Done cannot be what was not to be done, or all of it. */
	for (steps = 1; steps <= STEPS_ALL; steps++) {
		for (done = 1; done <= STEPS_ALL; done++) {
			if (!(done & ~(steps & STEPS_PUT)) && done != steps)
				continue;
			valid_call(&c, EXCHANGE, self);
			c.x.steps = steps;
			c.x.done = done;
			EXPECT_EQ(-EINVAL, do_call(&c)) {
				TH_LOG("steps %#x, done %#x", steps, done);
			}
		}
	}
	/* How long to wait has to be valid also if nobody waits. */
	valid_call(&c, EXCHANGE, self);
	c.x.steps = STEPS_PUT;
	c.x.wait.mode = 3;
	EXPECT_EQ(-EINVAL, do_call(&c));
	c.x.wait.mode = MBUF_WAIT_NOW;
	c.x.wait.deadline = 1;
	EXPECT_EQ(-EINVAL, do_call(&c));
	c.x.wait.deadline = 0;
	c.x.wait.clock = 1;
	EXPECT_EQ(-EINVAL, do_call(&c));
	EXPECT_UNCHANGED(before);
	undo_call(&c, self);
	close_things();
}

/* Cookies are for who is attached. */
TEST_F(queue, cookie_of_nothing)
{
	struct call c;

	if (!(self->q.features & MBUF_FEATURE_CHANNEL))
		SKIP(return, "this module has no channels");
	make_things();
	valid_call(&c, CHANNEL_CREATE, self);
	c.channel.end[1].flags = MBUF_END_DETACHED;
	c.channel.end[1].cookie = 1;
	EXPECT_EQ(-EINVAL, do_call(&c));
	close_things();
}

/* An argument may be anywhere. */
TEST_F(queue, unaligned_arguments)
{
	unsigned int size, shift;
	uint8_t room[256 + 8];
	struct call c;
	enum call_nr w;

	make_things();
	FOR_EACH_CMD(w) {
		size = _IOC_SIZE(cmds[w].cmd);
		for (shift = 1; shift < 8; shift++) {
			feed(self, w);
			valid_call(&c, w, self);
			poison(room, sizeof(room));
			memcpy(room + shift, &c.target, size);
			EXPECT_EQ(call_success(w), xioctl(c.fd, cmds[w].cmd,
							  room + shift)) {
				TH_LOG("%s at %u", cmds[w].name, shift);
			}
			EXPECT_TRUE(is_poison(room, shift));
			EXPECT_TRUE(is_poison(room + shift + size,
					      sizeof(room) - shift - size));
			memcpy(&c.target, room + shift, size);
			if (w == EXCHANGE) {
				EXPECT_EQ(3, value_num(c.x.data));
				EXPECT_EQ(1, ch_look(things.b));
			}
			undo_call(&c, self);
		}
	}
	close_things();
}

/*
 * Another thread changes the argument all the time. Whatever a call made of it,
 * it must have made up its mind once.
 */
struct flipper {
	volatile uint32_t *at;
	uint32_t a, b;
	_Atomic bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!atomic_load(&f->stop)) {
		*f->at = f->a;
		*f->at = f->b;
	}
	return NULL;
}

TEST_F(queue, changing_lengths)
{
	uint32_t ok, bad, seen, i;
	struct flipper f = {};
	pthread_t thread;
	uint8_t *in;
	struct call c;
	enum call_nr w;
	long ret;

	in = malloc(70000);
	ASSERT_NE(NULL, in);
	make_queue(4, 16, 0);
	/* What is sent is 3 bytes or refused; 3 bytes or no room for them. */
	for (w = SEND; w <= RECV_BATCH; w++) {
		bool batch = w >= SEND_BATCH;
		bool sends = w == SEND || w == SEND_BATCH;

		valid_call(&c, w, self);
		c.fd = sends ? self->sfd : self->rfd;
		if (batch)
			c.batch.nr = 1;
		f.at = batch ? &c.msgs[0].len : &c.xfer.msg.len;
		f.a = sends ? 3 : 16;
		f.b = sends ? 65536 : 1;
		f.stop = false;
		ASSERT_EQ(0, pthread_create(&thread, NULL, flip, &f));
		ok = 0;
		bad = 0;
		seen = 0;
		for (i = 0; i < 4000; i++) {
			if (!sends)
				ASSERT_EQ(0, mbuf_send(self->sfd, "xyz", 3,
						       MBUF_NOW));
			ret = xioctl(c.fd, cmds[w].cmd, &c.target);
			if (ret == call_success(w) - batch) {
				ok++;
				ret = sends ? mbuf_recv(self->rfd, in, 70000,
							MBUF_NOW) : 3;
				if (ret != 3)
					seen++;
			} else {
				ASSERT_EQ(-EMSGSIZE, ret);
				bad++;
				if (!sends)
					ASSERT_EQ(3, mbuf_recv(self->rfd, in,
							       70000,
							       MBUF_NOW));
			}
		}
		f.stop = true;
		pthread_join(thread, NULL);
		EXPECT_EQ(0, seen);
		EXPECT_LT(0, ok + bad);
		EXPECT_EQ(0, get_info(self->rfd).depth);
	}
	free(in);
}

TEST_F(queue, changing_batches)
{
	struct flipper f = {};
	struct mbuf_msg *m;
	pthread_t thread;
	unsigned int i, j;
	struct call c;
	long ret;

	/* Two elements, behind which there is no memory. */
	struct guarded g;

	make_queue(4, 16, 0);
	ASSERT_TRUE(guarded_alloc(&g, 2 * sizeof(*m)));
	m = (struct mbuf_msg *)g.p;
	for (j = 0; j < 2; j++) {
		valid_call(&c, SEND_BATCH, self);
		m[0] = c.msgs[0];
		m[1] = c.msgs[1];
		c.batch.msgs = (uintptr_t)m;
		f.at = j ? &c.batch.nr : &c.batch.stride;
		f.a = j ? 2 : sizeof(*m);
		f.b = j ? UINT32_MAX : 0;
		f.stop = false;
		ASSERT_EQ(0, pthread_create(&thread, NULL, flip, &f));
		for (i = 0; i < 4000; i++) {
			ret = xioctl(c.fd, MBUF_IOC_SEND_BATCH, &c.batch);
			if (ret != -EINVAL)
				ASSERT_EQ(2, ret);
			undo_call(&c, self);
		}
		f.stop = true;
		pthread_join(thread, NULL);
	}
	guarded_free(&g);
}

/* Two elements that are to be filled in or looked at, then no memory. */
TEST_F(queue, changing_sets)
{
	struct flipper f = {};
	unsigned int i, j;
	struct guarded g;
	pthread_t thread;
	struct call c;
	long ret;

	if (!(self->q.features & MBUF_FEATURE_CHANNEL))
		SKIP(return, "this module has no channels");
	make_things();
	ASSERT_TRUE(guarded_alloc(&g, 2 * 16));
	for (j = 0; j < 4; j++) {
		enum call_nr w = j < 2 ? POLL_SET : ANY;
		uint32_t *nr, *stride;

		feed(self, w);
		valid_call(&c, w, self);
		if (w == POLL_SET) {
			c.poll.events = (uintptr_t)g.p;
			nr = &c.poll.nr;
			stride = &c.poll.stride;
		} else {
			memcpy(g.p, c.refs, sizeof(c.refs));
			c.any.ends = (uintptr_t)g.p;
			nr = &c.any.nr;
			stride = &c.any.stride;
		}
		f.at = j % 2 ? nr : stride;
		f.a = j % 2 ? 2 : 16;
		f.b = j % 2 ? UINT32_MAX : 0;
		f.stop = false;
		ASSERT_EQ(0, pthread_create(&thread, NULL, flip, &f));
		for (i = 0; i < 4000; i++) {
			ret = xioctl(c.fd, cmds[w].cmd, &c.target);
			if (ret != -EINVAL)
				ASSERT_EQ(call_success(w), ret);
			if (!ret)
				feed(self, w);
		}
		f.stop = true;
		pthread_join(thread, NULL);
		undo_call(&c, self);
	}
	guarded_free(&g);
	close_things();
}

/* The steps change while they are done: all is from one reading. */
TEST_F(queue, changing_steps)
{
	struct flipper f = {};
	pthread_t thread;
	struct call c;
	unsigned int i;
	long ret;

	if (!(self->q.features & MBUF_FEATURE_CHANNEL))
		SKIP(return, "this module has no channels");
	make_things();
	valid_call(&c, EXCHANGE, self);
	c.x.steps = MBUF_STEP_WRITE;
	f.at = &c.x.steps;
	f.a = MBUF_STEP_WRITE;
	f.b = MBUF_STEP_SIGNAL;
	ASSERT_EQ(0, pthread_create(&thread, NULL, flip, &f));
	for (i = 0; i < 8000; i++) {
		struct value v = value_of(1);

		memcpy(c.x.data, &v, sizeof(v));
		ret = ch_xchg(c.fd, &c.x);
		ASSERT_EQ(0, ret);
	}
	f.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(8000, ch_info(things.b).seq + ch_info(things.b).signals);
	EXPECT_LE(0, ch_look(things.b));
	ch_wait(things.b, MBUF_NOW);
	close_things();
}

#ifdef __x86_64__
/*
 * The 32-bit entry, as a 32-bit program uses it. All that the arguments point
 * to has to be below 4 GiB.
 */
#define COMPAT_READ	3
#define COMPAT_WRITE	4
#define COMPAT_GETPID	20
#define COMPAT_IOCTL	54
#define COMPAT_READV	145
#define COMPAT_WRITEV	146

static long compat_call(int nr, uint32_t a, uint32_t b, uint32_t c)
{
	int ret;

	asm volatile("int $0x80"
		     : "=a" (ret)
		     : "a" (nr), "b" (a), "c" (b), "d" (c)
		     : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

static int compat_probe(void *arg)
{
	(void)arg;
	return compat_call(COMPAT_GETPID, 0, 0, 0) == getpid() ? 0 : 1;
}

static uint32_t low(const void *p)
{
	return (uint32_t)(uintptr_t)p;
}

static long compat_do(struct call *c)
{
	return compat_call(COMPAT_IOCTL, (uint32_t)c->fd,
			   (uint32_t)cmds[c->which].cmd, low(&c->target));
}

TEST_F(queue, compat)
{
	struct {
		uint32_t base, len;
	} *iov;
	struct mbuf_query q;
	struct call *c;
	enum call_nr w;
	char *buf;
	int ret;

	ret = reap(spawn(compat_probe, NULL));
	if (ret)
		SKIP(return, "no 32-bit system calls here (CONFIG_IA32_EMULATION)");

	c = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, c);
	buf = (char *)c + page_size();
	iov = (void *)(buf + 64);

	make_things();
	FOR_EACH_CMD(w) {
		feed(self, w);
		valid_call(c, w, self);
		EXPECT_EQ(call_success(w), compat_do(c)) {
			TH_LOG("%s", cmds[w].name);
		}
		switch (w) {
		case QUERY:
			ASSERT_EQ(0, mbuf_query(self->session, &q));
			EXPECT_EQ(0, memcmp(&c->query, &q, sizeof(q)));
			break;
		case CREATE:
			EXPECT_EQ(c->create.id, get_info(c->create.recv.fd).id);
			break;
		case RECV:
			EXPECT_EQ(3, c->xfer.msg.len);
			EXPECT_EQ(0, memcmp(c->buf[0], "xyzaaa", 6));
			break;
		case RECV_BATCH:
			EXPECT_EQ(3, c->msgs[1].len);
			EXPECT_EQ(0, memcmp(c->buf[1], "xyzaaa", 6));
			break;
		case SEND:
			EXPECT_NE(0, c->xfer.msg.seq);
			EXPECT_EQ(3, mbuf_recv(self->rfd, buf, 16, MBUF_NOW));
			EXPECT_EQ(0, memcmp(buf, "aaa", 3));
			break;
		case INFO:
			EXPECT_EQ(4, c->info.slots);
			break;
		case CHANNEL_CREATE:
			EXPECT_EQ(c->channel.end[0].id,
				  ch_info(c->channel.end[1].ref.fd).peer_id);
			break;
		case POLL_SET:
			EXPECT_EQ(7, c->events[0].cookie);
			EXPECT_EQ(MBUF_EVENT_IN, c->events[0].events);
			break;
		case ANY:
			EXPECT_EQ(1, c->any.index);
			EXPECT_EQ(3, value_num(c->any.data));
			break;
		case EXCHANGE:
			EXPECT_EQ(3, value_num(c->x.data));
			EXPECT_EQ(1, ch_look(things.b));
			break;
		default:
			break;
		}
		undo_call(c, self);

		/* Errors, too. */
		feed(self, w);
		valid_call(c, w, self);
		c->target = 1;
		EXPECT_EQ(-EOPNOTSUPP, compat_do(c));
		valid_call(c, w, self);
		EXPECT_EQ(-EFAULT, compat_call(COMPAT_IOCTL, (uint32_t)c->fd,
					       (uint32_t)cmds[w].cmd, 0));
		EXPECT_EQ(-EFAULT, compat_call(COMPAT_IOCTL, (uint32_t)c->fd,
					       (uint32_t)cmds[w].cmd,
					       0xfffff000));
		EXPECT_EQ(-ENOTTY, compat_call(COMPAT_IOCTL, (uint32_t)c->fd,
					       _IOC(_IOC_READ | _IOC_WRITE,
						    MBUF_IOC_TYPE, 0x0f, 8),
					       low(c)));
		undo_call(c, self);
	}

	/* A pointer that does not fit into 32 bits was never one of theirs. */
	memcpy(buf, "hello", 5);
	EXPECT_EQ(5, compat_call(COMPAT_WRITE, (uint32_t)self->sfd, low(buf),
				 5));
	memset(buf, 0, 16);
	EXPECT_EQ(5, compat_call(COMPAT_READ, (uint32_t)self->rfd, low(buf),
				 16));
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
	EXPECT_EQ(-EFAULT, compat_call(COMPAT_WRITE, (uint32_t)self->sfd, 0,
				       5));

	iov[0].base = low(buf);
	iov[0].len = 2;
	iov[1].base = low(buf + 2);
	iov[1].len = 3;
	EXPECT_EQ(5, compat_call(COMPAT_WRITEV, (uint32_t)self->sfd, low(iov),
				 2));
	memset(buf, 0, 16);
	EXPECT_EQ(5, compat_call(COMPAT_READV, (uint32_t)self->rfd, low(iov),
				 2));
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
	/* Endpoints. */
	*(struct value *)buf = value_of(9);
	EXPECT_EQ(32, compat_call(COMPAT_WRITE, (uint32_t)things.a, low(buf),
				  32));
	memset(buf, 0, 64);
	EXPECT_EQ(32, compat_call(COMPAT_READ, (uint32_t)things.b, low(buf),
				  64));
	EXPECT_EQ(9, value_num(buf));
	munmap(c, 2 * page_size());
	close_things();
}
#else
TEST_F(queue, compat)
{
	SKIP(return, "a test for x86-64 only");
}
#endif

TEST_HARNESS_MAIN
