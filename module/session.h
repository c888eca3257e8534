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

extern const struct file_operations mbuf_session_fops;

#endif /* _MBUF_SESSION_H */
