/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Session: an open /dev/mbuf. It makes objects, and fixes when it is opened
 * who pays for them. The objects live on without it.
 *
 * It has no lock: what it holds is constant from open to release.
 */
#ifndef _MBUF_SESSION_H
#define _MBUF_SESSION_H

#include <linux/fs.h>

struct mbuf_table;

extern const struct file_operations mbuf_session_fops;

bool mbuf_session_is(const struct file *file);
struct mbuf_table *mbuf_session_table(const struct file *file);

#endif /* _MBUF_SESSION_H */
