/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For calls that are ioctls of which each argument is a field of the struct: how
 * a table says so.
 */
#ifndef MBUF_FUZZ_FIELDS_H
#define MBUF_FUZZ_FIELDS_H

#include <stddef.h>
#include <linux/mbuf.h>
#include "fuzz.h"

/* The field of an ioctl's struct that an argument is. */
#define FIELD(_struct, _field)						\
	.at = offsetof(struct _struct, _field),				\
	.width = sizeof(((struct _struct *)0)->_field)

#define NUM(_name, _struct, _field, ...)				\
	{ .name = (_name), .type = A_NUM, FIELD(_struct, _field), ##__VA_ARGS__ }
#define FLAGS(_name, _struct, _field, _vals, ...)			\
	{ .name = (_name), .type = A_FLAGS, FIELD(_struct, _field),	\
	  VALS(_vals), ##__VA_ARGS__ }
#define PTR(_name, _struct, _field)					\
	{ .name = (_name), .type = A_PTR, FIELD(_struct, _field) }
#define OUT(_name, _struct, _field, _kinds)				\
	{ .name = (_name), .type = A_OUT, .kinds = (_kinds),		\
	  FIELD(_struct, _field) }
#define IN(_name, _struct, _field, _kinds, ...)				\
	{ .name = (_name), .type = A_FD, .kinds = (_kinds),		\
	  FIELD(_struct, _field), ##__VA_ARGS__ }

/* The row of a call; its arguments are in NAME_args. */
#define CALL(_name, _NAME, _weight, _flags, ...)			\
	{ .name = #_name, .weight = (_weight),				\
	  .flags = (_flags) | OP_ERRORS | OP_IOCTL | OP_ARMS,		\
	  .nr_args = NELEMS(_name##_args), .args = _name##_args,	\
	  .run = run_ioctl, .cmd = MBUF_IOC_##_NAME, ##__VA_ARGS__ }

/* Modes of struct mbuf_wait, and what is rarely in range. */
static const char *const mode_names[] = { "forever", "now", "until", NULL };
static const uint64_t mode_vals[] = { 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2 };
static const uint64_t one_vals[] = { 1, 0x100, 0x80000000 };

#endif /* MBUF_FUZZ_FIELDS_H */
