// SPDX-License-Identifier: GPL-2.0
/* What can be done with tables and handles. */
#include <linux/file.h>
#include "object.h"
#include "pass.h"
#include "queue.h"
#include "table.h"

/* Sizes of the first version of each struct. */
#define CREATE_SIZE_V0	32
#define PUT_SIZE_V0	40
#define OPEN_SIZE_V0	32
#define COPY_SIZE_V0	32
#define HANDLE_SIZE_V0	16
#define INFO_SIZE_V0	40
#define LIST_SIZE_V0	32
#define ENTRY_SIZE_V0	24

#define STRIDE_MAX	256

/* Entries that are looked at before others get the CPU. */
#define LIST_CHUNK	32

/* @right, which is in no table, is going to be in @to. 0 or -ELOOP. */
static int move_nest(struct mbuf_right *right, struct mbuf_table *to)
{
	const struct mbuf_right_type *type = READ_ONCE(right->type);
	struct mbuf_nest *nest;
	int err;

	if (!type || !type->nest)
		return 0;
	nest = type->nest(right->obj);
	mutex_lock(&mbuf_nest_mutex);
	err = mbuf_nest_check(nest, mbuf_table_nest(to));
	if (!err)
		mbuf_nest_set(nest, mbuf_table_nest(to));
	mutex_unlock(&mbuf_nest_mutex);
	return err;
}

/**
 * mbuf_handle_new() - make a handle for something new
 * @root: the session's root table
 * @table: index or path of the table to put it into, 0: @root
 * @index: where, 0: anywhere; the result
 * @right: what; consumed, also on failure
 * @arg: user's struct, which is written before the handle can be found
 * @size: its size
 * @k: the struct
 * @ksize: its size
 *
 * @index is part of *@k.
 *
 * Context: may sleep.
 * Return: 0, or an error of mbuf_table_find_table() or mbuf_place_reserve(), or
 * -EFAULT, -ELOOP.
 */
int mbuf_handle_new(struct mbuf_table *root, u64 table, u64 *index,
		    struct mbuf_right *right, void __user *arg, size_t size,
		    const void *k, size_t ksize)
{
	struct mbuf_place place;
	int err;

	err = mbuf_table_find_table(root, table, MBUF_RIGHT_MODIFY, *index,
				    &place);
	if (err)
		goto kill;
	err = mbuf_place_reserve(&place);
	if (err)
		goto put;
	*index = place.index;
	err = move_nest(right, place.table);
	if (err)
		goto release;
	err = mbuf_ioctl_put(arg, size, k, ksize);
	if (err)
		goto release;
	err = mbuf_place_fill(&place, right);
	if (err)
		goto release;
	mbuf_place_put(&place);
	return 0;

release:
	mbuf_place_release(&place);
put:
	mbuf_place_put(&place);
kill:
	mbuf_right_kill(right);
	return err;
}

static long table_create(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_table_create c;
	struct mbuf_right *right;
	struct mbuf_table *t;
	int err;

	BUILD_BUG_ON(sizeof(c) != CREATE_SIZE_V0);

	err = mbuf_ioctl_get(&c, sizeof(c), CREATE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (c.flags || c.resv)
		return -EINVAL;
	t = mbuf_table_new(mbuf_table_payer(root), false);
	if (IS_ERR(t))
		return PTR_ERR(t);
	right = mbuf_right_new(&mbuf_table_type, t, mbuf_table_type.all);
	if (!right) {
		mbuf_table_put(t);
		return -ENOMEM;
	}
	mbuf_table_show(t);
	c.id = mbuf_table_id(t);
	return mbuf_handle_new(root, c.target, &c.handle, right, arg, size, &c,
			       sizeof(c));
}

static long handle_put(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_handle_put p;
	struct mbuf_right *right;
	struct file *file;
	int err;

	BUILD_BUG_ON(sizeof(p) != PUT_SIZE_V0);

	err = mbuf_ioctl_get(&p, sizeof(p), PUT_SIZE_V0, arg, size);
	if (err)
		return err;
	if (p.resv || p.ref.flags || p.ref.handle ||
	    p.rights & ~mbuf_file_type.all)
		return -EINVAL;
	file = fget(p.ref.fd);
	if (!file)
		return -EBADF;
	err = mbuf_pass_check(file);
	if (err)
		goto put;
	err = -ENOMEM;
	right = mbuf_right_new(&mbuf_file_type, file,
			       p.rights ?: mbuf_file_type.all);
	if (!right)
		goto put;
	return mbuf_handle_new(root, p.target, &p.handle, right, arg, size, &p,
			       sizeof(p));

put:
	fput(file);
	return err;
}

/* A descriptor that goes again if the caller cannot be told. */
static int open_fd(struct mbuf_handle_open *o, void __user *arg, size_t size,
		   struct file *file)
{
	int fd, err;

	/* What is installed cannot be taken back: see first, with what it is. */
	err = mbuf_ioctl_put(arg, size, o, sizeof(*o));
	if (err)
		return err;
	fd = mbuf_pass_to_fd(file);
	if (fd < 0)
		return fd;
	o->ref.fd = fd;
	if (mbuf_ioctl_put(arg, size, o, sizeof(*o)))
		return -EFAULT;
	return 0;
}

/* The descriptor takes the place of what owns the queue. */
static int open_receiver(struct mbuf_handle_open *o, void __user *arg,
			 size_t size, const struct mbuf_place *place)
{
	struct mbuf_right *right;
	struct file *file;
	int err;

	right = mbuf_place_take(place, MBUF_RIGHT_OPEN);
	if (IS_ERR(right))
		return PTR_ERR(right);
	/* It can have become another meanwhile. */
	err = -EOPNOTSUPP;
	if (right->type != &mbuf_receiver_type)
		goto back;
	file = right->obj;
	err = open_fd(o, arg, size, file);
	if (err)
		goto back;
	mbuf_place_release(place);
	mbuf_right_kill(right);
	return 0;

back:
	if (mbuf_place_fill(place, right))
		mbuf_right_kill(right);
	return err;
}

static long handle_open(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_handle_open o;
	struct mbuf_place place;
	struct mbuf_use use;
	int err;

	BUILD_BUG_ON(sizeof(o) != OPEN_SIZE_V0);

	err = mbuf_ioctl_get(&o, sizeof(o), OPEN_SIZE_V0, arg, size);
	if (err)
		return err;
	if (o.flags || o.resv || o.ref.flags || o.ref.handle)
		return -EINVAL;
	err = mbuf_table_find(root, o.target, &place);
	if (err)
		return err;
	err = mbuf_place_use(&place, &use);
	if (err)
		goto put;
	if (!(use.rights & MBUF_RIGHT_OPEN))
		err = use.type->all & MBUF_RIGHT_OPEN ? -EACCES : -EOPNOTSUPP;
	else if (use.type == &mbuf_file_type)
		err = open_fd(&o, arg, size, use.obj);
	else
		err = open_receiver(&o, arg, size, &place);
	mbuf_use_end(&use);
put:
	mbuf_place_put(&place);
	return err;
}

static long handle_copy(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_handle_copy c;
	struct mbuf_place from;
	struct mbuf_right *right;
	int err;

	BUILD_BUG_ON(sizeof(c) != COPY_SIZE_V0);

	err = mbuf_ioctl_get(&c, sizeof(c), COPY_SIZE_V0, arg, size);
	if (err)
		return err;
	if (c.resv)
		return -EINVAL;
	err = mbuf_table_find(root, c.from, &from);
	if (err)
		return err;
	err = mbuf_place_derive(&from, c.rights, 0, &right);
	mbuf_place_put(&from);
	if (err)
		return err;
	return mbuf_handle_new(root, c.target, &c.handle, right, arg, size, &c,
			       sizeof(c));
}

static long handle_move(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_place from, to;
	struct mbuf_handle_copy m;
	struct mbuf_right *right;
	u32 had;
	int err;

	err = mbuf_ioctl_get(&m, sizeof(m), COPY_SIZE_V0, arg, size);
	if (err)
		return err;
	if (m.resv)
		return -EINVAL;
	err = mbuf_table_find(root, m.from, &from);
	if (err)
		return err;
	err = mbuf_table_find_table(root, m.target, MBUF_RIGHT_MODIFY, m.handle,
				    &to);
	if (err)
		goto put_from;
	right = mbuf_place_take(&from, 0);
	err = PTR_ERR_OR_ZERO(right);
	if (err)
		goto put_to;
	err = READ_ONCE(right->type) ? mbuf_place_reserve(&to) : -EKEYREVOKED;
	if (err)
		goto back;
	m.handle = to.index;
	had = right->rights;
	err = mbuf_right_reduce(right, m.rights);
	if (err)
		goto release;
	err = move_nest(right, to.table);
	if (err)
		goto restore;
	err = mbuf_ioctl_put(arg, size, &m, sizeof(m)) ?:
	      mbuf_place_fill(&to, right);
	if (err)
		goto unnest;
	mbuf_place_release(&from);
	mbuf_place_put(&to);
	mbuf_place_put(&from);
	return 0;

unnest:
	/*
	 * Back to where it was, unless that is in what it owns by now: then it
	 * is nowhere, and goes.
	 */
	if (move_nest(right, from.table)) {
		mbuf_place_release(&to);
		mbuf_place_release(&from);
		mbuf_right_kill(right);
		goto put_to;
	}
restore:
	right->rights = had;
release:
	mbuf_place_release(&to);
back:
	if (mbuf_place_fill(&from, right))
		mbuf_right_kill(right);
put_to:
	mbuf_place_put(&to);
put_from:
	mbuf_place_put(&from);
	return err;
}

/* What DELETE and REVOKE have in common. */
static int handle_get(struct mbuf_place *place, struct mbuf_table *root,
		      void __user *arg, size_t size)
{
	struct mbuf_handle h;
	int err;

	BUILD_BUG_ON(sizeof(h) != HANDLE_SIZE_V0);

	err = mbuf_ioctl_get(&h, sizeof(h), HANDLE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (h.flags || h.resv)
		return -EINVAL;
	return mbuf_table_find(root, h.target, place);
}

static long handle_delete(struct mbuf_table *root, void __user *arg,
			  size_t size)
{
	struct mbuf_place place;
	struct mbuf_right *right;
	int err = handle_get(&place, root, arg, size);

	if (err)
		return err;
	right = mbuf_place_take(&place, 0);
	if (!IS_ERR(right)) {
		mbuf_place_release(&place);
		mbuf_right_kill(right);
	}
	mbuf_place_put(&place);
	return PTR_ERR_OR_ZERO(right);
}

static long handle_revoke(struct mbuf_table *root, void __user *arg,
			  size_t size)
{
	struct mbuf_place place;
	long nr = handle_get(&place, root, arg, size);

	if (nr)
		return nr;
	nr = mbuf_place_revoke(&place);
	mbuf_place_put(&place);
	return nr;
}

static void info_of_use(struct mbuf_handle_info *info,
			const struct mbuf_use *use)
{
	info->id = use->type->id(use->obj);
	info->type = use->type->nr;
	info->rights = use->rights;
	if (use->type->info)
		use->type->info(use->obj, info);
}

static long handle_info(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_handle_info info;
	struct mbuf_place place;
	struct mbuf_use use;
	u64 target;
	int err;

	BUILD_BUG_ON(sizeof(info) != INFO_SIZE_V0);

	err = mbuf_ioctl_get(&info, sizeof(info), INFO_SIZE_V0, arg, size);
	if (err)
		return err;
	target = info.target;
	memset(&info, 0, sizeof(info));
	info.target = target;
	if (target) {
		/* A table on the way that has been revoked is another matter. */
		err = mbuf_table_find(root, target, &place);
		if (err)
			return err;
		err = mbuf_place_use(&place, &use);
		mbuf_place_put(&place);
		if (!err) {
			info_of_use(&info, &use);
			mbuf_use_end(&use);
		} else if (err != -EKEYREVOKED) {
			return err;
		}
	} else {
		use.type = &mbuf_table_type;
		use.obj = root;
		use.rights = MBUF_RIGHT_LOOKUP | MBUF_RIGHT_MODIFY;
		info_of_use(&info, &use);
	}
	return mbuf_ioctl_put(arg, size, &info, sizeof(info));
}

static long table_list(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_handle_entry __user *to;
	struct mbuf_table_list l;
	struct mbuf_place place;
	u32 done = 0;
	int err;

	BUILD_BUG_ON(sizeof(l) != LIST_SIZE_V0);
	BUILD_BUG_ON(sizeof(struct mbuf_handle_entry) != ENTRY_SIZE_V0);

	err = mbuf_ioctl_get(&l, sizeof(l), LIST_SIZE_V0, arg, size);
	if (err)
		return err;
	if (!l.nr || l.nr > MBUF_BATCH_MAX || l.stride < ENTRY_SIZE_V0 ||
	    l.stride > STRIDE_MAX || l.stride % 8)
		return -EINVAL;
	if ((uintptr_t)l.entries != l.entries)
		return -EFAULT;
	to = u64_to_user_ptr(l.entries);
	err = mbuf_table_find_table(root, l.target, 0, 0, &place);
	if (err)
		return err;
	while (done < l.nr && l.start <= MBUF_INDEX_MAX) {
		struct mbuf_handle_entry e = { };
		struct mbuf_use use;

		err = mbuf_place_next(&place, l.start, &e.handle, &use);
		if (err == -ENOENT) {
			err = 0;
			break;
		}
		if (!err) {
			e.id = use.type->id(use.obj);
			e.type = use.type->nr;
			e.rights = use.rights;
			mbuf_use_end(&use);
		}
		err = 0;
		if (copy_to_user(to, &e, sizeof(e))) {
			err = -EFAULT;
			break;
		}
		to = (void __user *)to + l.stride;
		l.start = e.handle + 1;
		if (!(++done % LIST_CHUNK))
			cond_resched();
	}
	mbuf_place_put(&place);
	err = err ?: mbuf_ioctl_put(arg, size, &l, sizeof(l));
	return err ?: done;
}

/**
 * mbuf_table_ioctl() - do what a session was asked to do with its tables
 * @root: the session's root table
 * @nr: number of the command
 * @arg: its argument
 * @size: size of that
 *
 * Context: process context, may sleep.
 * Return: result of the ioctl.
 */
long mbuf_table_ioctl(struct mbuf_table *root, unsigned int nr,
		      void __user *arg, size_t size)
{
	switch (nr) {
	case _IOC_NR(MBUF_IOC_TABLE_CREATE):
		return table_create(root, arg, size);
	case _IOC_NR(MBUF_IOC_HANDLE_PUT):
		return handle_put(root, arg, size);
	case _IOC_NR(MBUF_IOC_HANDLE_OPEN):
		return handle_open(root, arg, size);
	case _IOC_NR(MBUF_IOC_HANDLE_COPY):
		return handle_copy(root, arg, size);
	case _IOC_NR(MBUF_IOC_HANDLE_MOVE):
		return handle_move(root, arg, size);
	case _IOC_NR(MBUF_IOC_HANDLE_DELETE):
		return handle_delete(root, arg, size);
	case _IOC_NR(MBUF_IOC_HANDLE_REVOKE):
		return handle_revoke(root, arg, size);
	case _IOC_NR(MBUF_IOC_HANDLE_INFO):
		return handle_info(root, arg, size);
	case _IOC_NR(MBUF_IOC_TABLE_LIST):
		return table_list(root, arg, size);
	default:
		return -ENOTTY;
	}
}
