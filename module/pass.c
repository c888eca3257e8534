// SPDX-License-Identifier: GPL-2.0
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/major.h>
#include <linux/miscdevice.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <net/sock.h>
#include "channel.h"
#include "compat.h"
#include "listener.h"
#include "object.h"
#include "paged.h"
#include "pass.h"
#include "provide.h"
#include "queue.h"
#include "region.h"
#include "session.h"

#define STRIDE_MAX	256

/* Size of the first version of the struct. */
#define CAP_SIZE_V0	40

/* What may be passed */

/*
 * Drivers can hold any files: binder, vhost (which holds the address space of
 * a process besides), fuse, KVM. So of character devices only those kinds may
 * be passed that are known not to.
 */
static bool chrdev_ok(dev_t dev)
{
	const unsigned int major = MAJOR(dev);
	static const u16 ok[] = {
		MEM_MAJOR, TTY_MAJOR, TTYAUX_MAJOR, INPUT_MAJOR, SOUND_MAJOR,
		FB_MAJOR, 81 /* video */, 116 /* ALSA */, 226 /* DRM */,
	};
	unsigned int i;

	if (major == MISC_MAJOR && MINOR(dev) == TUN_MINOR)
		return true;
	if (major >= UNIX98_PTY_MASTER_MAJOR &&
	    major < UNIX98_PTY_SLAVE_MAJOR + UNIX98_PTY_MAJOR_COUNT)
		return true;
	for (i = 0; i < ARRAY_SIZE(ok); i++)
		if (ok[i] == major)
			return true;
	return false;
}

/* Of those without an inode of their own, it is io_uring that holds files. */
static bool anon_ok(const struct file *file)
{
	const struct dentry *dentry = file->f_path.dentry;

	return file_inode(file)->i_sb->s_magic != ANON_INODE_FS_MAGIC ||
	       strcmp(dentry->d_name.name, "[io_uring]");
}

/**
 * mbuf_pass_check() - may a file be passed, or become a handle?
 * @file: the file
 *
 * Return: 0, or -EOPNOTSUPP, or -EPERM for an endpoint of a thread.
 */
int mbuf_pass_check(struct file *file)
{
	const struct inode *inode = file_inode(file);

	if (S_ISSOCK(inode->i_mode)) {
		const struct socket *sock = sock_from_file(file);

		return sock && sock->sk && sock->sk->sk_family != AF_UNIX ?
		       0 : -EOPNOTSUPP;
	}
	if (mbuf_queue_is(file))
		return file->f_mode & FMODE_READ ? -EOPNOTSUPP : 0;
	if (mbuf_session_is(file))
		return -EOPNOTSUPP;
	if (mbuf_channel_is(file))
		return mbuf_channel_bound(file) ? -EPERM : 0;
	if (S_ISCHR(inode->i_mode))
		return chrdev_ok(inode->i_rdev) ? 0 : -EOPNOTSUPP;
	return anon_ok(file) ? 0 : -EOPNOTSUPP;
}

/* Files as rights */

static void file_obj_get(void *obj)
{
	get_file(obj);
}

static void file_obj_put(void *obj)
{
	mbuf_file_put(obj);
}

/* The identity of what a descriptor of ours is; 0 for all others. */
static u64 file_id(const struct file *file)
{
	if (mbuf_queue_is(file))
		return mbuf_queue_id(file);
	if (mbuf_channel_is(file))
		return mbuf_channel_id(file);
	if (mbuf_listener_is(file))
		return mbuf_listener_id(file);
	if (mbuf_region_is(file))
		return mbuf_region_id(file);
	return mbuf_paged_id(file) ?: mbuf_consent_id(file);
}

static u64 file_obj_id(void *obj)
{
	return file_id(obj);
}

const struct mbuf_right_type mbuf_file_type = {
	.nr = MBUF_CAP_FILE,
	.all = MBUF_RIGHT_COPY | MBUF_RIGHT_PASS | MBUF_RIGHT_OPEN |
	       MBUF_RIGHT_SEND,
	.get = file_obj_get,
	.put = file_obj_put,
	.id = file_obj_id,
	.derived = &mbuf_file_type,
};

/* Sending */

/**
 * mbuf_pass_init() - take over what the caller says of its array
 * @pass: result; but for @flags, @root and @node, which are cleared
 * @caps: its address
 * @nr: its length
 * @stride: bytes from one element to the next
 *
 * Return: 0, -EINVAL, -EFAULT.
 */
int mbuf_pass_init(struct mbuf_pass *pass, u64 caps, u32 nr, u32 stride)
{
	BUILD_BUG_ON(sizeof(struct mbuf_cap) != CAP_SIZE_V0);

	memset(pass, 0, sizeof(*pass));
	if (!nr && !stride)
		return 0;
	if (stride < CAP_SIZE_V0 || stride > STRIDE_MAX || stride % 8 ||
	    nr > MBUF_BATCH_MAX)
		return -EINVAL;
	if (!nr)
		return 0;
	pass->caps = u64_to_user_ptr(caps);
	pass->nr = nr;
	pass->stride = stride;
	if ((uintptr_t)caps != caps ||
	    !access_ok(pass->caps, (size_t)nr * stride))
		return -EFAULT;
	return 0;
}

static struct mbuf_cap __user *pass_elem(const struct mbuf_pass *pass, u32 i)
{
	return (void __user *)pass->caps + (size_t)i * pass->stride;
}

static int load_fd(struct mbuf_cap_slot *slot, const struct mbuf_cap *cap,
		   u64 *id)
{
	int err;

	if (cap->flags || cap->rights || cap->ref.handle)
		return -EINVAL;
	slot->file = fget(cap->ref.fd);
	if (!slot->file)
		return -EBADF;
	err = mbuf_pass_check(slot->file);
	if (err) {
		*id = file_id(slot->file);
		fput(slot->file);
		slot->file = NULL;
	}
	return err;
}

/* Take out of its table what is to be moved. Consumes @place on success. */
static int load_move(struct mbuf_cap_slot *slot, struct mbuf_place *place,
		     u32 rights, struct mbuf_moves *moves)
{
	struct mbuf_right *right = mbuf_place_take(place, 0);
	struct mbuf_move *move = &moves->move[moves->nr];
	int err;

	if (IS_ERR(right))
		return PTR_ERR(right);
	move->had = right->rights;
	if (!READ_ONCE(right->type))
		err = -EKEYREVOKED;
	else if (right->type == &mbuf_table_type ||
		 !(right->type->all & MBUF_RIGHT_PASS))
		err = -EOPNOTSUPP;
	else if (!(right->rights & MBUF_RIGHT_PASS))
		err = -EACCES;
	else
		err = mbuf_right_reduce(right, rights);
	if (err) {
		if (mbuf_place_fill(place, right))
			mbuf_right_kill(right);
		return err;
	}
	slot->right = right;
	move->place = *place;
	move->slot = slot;
	moves->nr++;
	return 0;
}

static int load_handle(struct mbuf_cap_slot *slot, const struct mbuf_cap *cap,
		       struct mbuf_table *root, struct mbuf_moves *moves)
{
	struct mbuf_place place;
	int err;

	if (cap->flags & ~MBUF_CAP_MOVE)
		return -EINVAL;
	if (!root)
		return -EBADF;
	if (cap->flags & MBUF_CAP_MOVE && !moves->move) {
		moves->move = kcalloc(MBUF_CAPS_MAX, sizeof(*moves->move),
				      GFP_KERNEL_ACCOUNT);
		if (!moves->move)
			return -ENOMEM;
	}
	err = mbuf_table_find(root, cap->ref.handle, &place);
	if (err)
		return err;
	if (cap->flags & MBUF_CAP_MOVE) {
		err = load_move(slot, &place, cap->rights, moves);
		if (!err)
			return 0;
	} else {
		err = mbuf_place_derive(&place, cap->rights, MBUF_RIGHT_PASS,
					&slot->right);
	}
	mbuf_place_put(&place);
	return err;
}

/**
 * mbuf_pass_load() - resolve what a sender wants to pass
 * @pass: the array, of at least one
 * @moves: result: what was taken out of tables; must be all zeroes
 *
 * Context: may sleep.
 * Return: what goes with the message, for mbuf_pass_commit() or
 * mbuf_pass_abort(); or an error pointer: those of SEND_CAPS.
 */
struct mbuf_caps *mbuf_pass_load(const struct mbuf_pass *pass,
				 struct mbuf_moves *moves)
{
	struct mbuf_caps *caps;
	int err = 0;
	u64 id = 0;
	u32 i;

	if (pass->nr > MBUF_CAPS_MAX)
		return ERR_PTR(-EMSGSIZE);
	caps = mbuf_caps_new(pass->nr);
	if (IS_ERR(caps))
		return caps;
	for (i = 0; i < pass->nr && !err; i++) {
		struct mbuf_cap cap;

		err = mbuf_ioctl_get(&cap, sizeof(cap), CAP_SIZE_V0,
				     pass_elem(pass, i), pass->stride);
		if (err)
			break;
		if (cap.type || cap.error || cap.id ||
		    cap.ref.flags & ~MBUF_REF_HANDLE)
			err = -EINVAL;
		else if (cap.ref.flags)
			err = load_handle(&caps->slot[i], &cap, pass->root,
					  moves);
		else
			err = load_fd(&caps->slot[i], &cap, &id);
	}
	if (err) {
		mbuf_node_cap_refused(pass->node, id, err);
		mbuf_pass_abort(caps, moves);
		return ERR_PTR(err);
	}
	return caps;
}

/**
 * mbuf_pass_commit() - the message is sent
 * @moves: what has left its table for good
 *
 * Context: may sleep.
 */
void mbuf_pass_commit(struct mbuf_moves *moves)
{
	u32 i;

	for (i = 0; i < moves->nr; i++) {
		mbuf_place_release(&moves->move[i].place);
		mbuf_place_put(&moves->move[i].place);
	}
	kfree(moves->move);
}

/**
 * mbuf_pass_abort() - the message could not be sent
 * @caps: what should have gone with it; freed
 * @moves: what goes back to its table
 *
 * Context: may sleep.
 */
void mbuf_pass_abort(struct mbuf_caps *caps, struct mbuf_moves *moves)
{
	u32 i;

	for (i = 0; i < moves->nr; i++) {
		struct mbuf_move *move = &moves->move[i];
		struct mbuf_right *right = move->slot->right;
		const struct mbuf_right_type *type = READ_ONCE(right->type);

		right->rights = move->had;
		if (type && type->nest)
			mbuf_nest_move(type->nest(right->obj),
				       mbuf_table_nest(move->place.table));
		if (!mbuf_place_fill(&move->place, right))
			move->slot->right = NULL;
		mbuf_place_put(&move->place);
	}
	kfree(moves->move);
	mbuf_caps_free(caps);
}

/* Receiving */

/**
 * mbuf_pass_room() - has the receiver room for them?
 * @pass: the receiver's array
 * @caps: what has come
 *
 * Return: 0 or -EMSGSIZE.
 */
int mbuf_pass_room(const struct mbuf_pass *pass, const struct mbuf_caps *caps)
{
	return caps->nr <= pass->nr || pass->flags & MBUF_RECV_DROP ?
	       0 : -EMSGSIZE;
}

static int pass_say_nr(struct mbuf_pass *pass, u32 nr)
{
	pass->said_nr = true;
	return pass->say_nr && put_user(nr, pass->say_nr) ? -EFAULT : 0;
}

/* All but what it becomes. */
static void slot_describe(const struct mbuf_cap_slot *slot, struct mbuf_cap *cap)
{
	struct mbuf_use use;

	memset(cap, 0, sizeof(*cap));
	cap->ref.fd = -1;
	if (slot->file) {
		cap->type = MBUF_CAP_FILE;
		cap->rights = mbuf_file_type.all;
		cap->id = file_id(slot->file);
		return;
	}
	cap->error = mbuf_right_use(slot->right, &use);
	if (!cap->error) {
		cap->type = use.type->nr;
		cap->rights = use.rights;
		cap->id = use.type->id(use.obj);
		mbuf_use_end(&use);
	}
}

static int elem_put(const struct mbuf_pass *pass, u32 i,
		    const struct mbuf_cap *cap)
{
	return copy_to_user(pass_elem(pass, i), cap, sizeof(*cap)) ? -EFAULT : 0;
}

/**
 * mbuf_pass_look() - describe capabilities to a receiver
 * @pass: its array
 * @caps: what has come, or NULL
 *
 * Context: may sleep.
 * Return: 0 or -EFAULT.
 */
int mbuf_pass_look(struct mbuf_pass *pass, const struct mbuf_caps *caps)
{
	u32 i, nr = caps ? caps->nr : 0;
	int err = pass_say_nr(pass, nr);

	for (i = 0; i < min(nr, pass->nr) && !err; i++) {
		struct mbuf_cap cap;

		slot_describe(&caps->slot[i], &cap);
		err = elem_put(pass, i, &cap);
	}
	return err;
}

/* Shall it become a descriptor? If not, it becomes a handle. */
static bool slot_to_fd(const struct mbuf_pass *pass,
		       const struct mbuf_cap_slot *slot)
{
	const struct mbuf_right_type *type;

	if (pass->flags & MBUF_RECV_HANDLES)
		return false;
	if (slot->file)
		return true;
	type = READ_ONCE(slot->right->type);
	if (!(slot->right->rights & MBUF_RIGHT_OPEN))
		return false;
	return type == &mbuf_file_type ||
	       (type == &mbuf_receiver_type && !pass->root);
}

/* Nothing can be installed of it; whatever it was, it is gone. */
static bool slot_revoked(const struct mbuf_cap_slot *slot)
{
	return slot->right && !READ_ONCE(slot->right->type);
}

/**
 * struct pass_plan - what installing needs
 * @kind: what each becomes
 * @place: for those that become handles
 * @fd: for those that become descriptors, one that is reserved, or -1
 * @fresh: for files that become handles
 */
struct pass_plan {
	enum { PLAN_NOTHING, PLAN_FD, PLAN_HANDLE } kind;
	struct mbuf_place place;
	struct mbuf_right *fresh;
	int fd;
};

static void plan_undo(struct pass_plan *plan, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (plan[i].fd >= 0)
			put_unused_fd(plan[i].fd);
		plan[i].fd = -1;
		if (plan[i].place.table) {
			mbuf_place_release(&plan[i].place);
			mbuf_place_put(&plan[i].place);
		}
		mbuf_right_free(plan[i].fresh);
	}
}

/* Get everything that can fail done. */
static int plan_make(struct pass_plan *plan, const struct mbuf_pass *pass,
		     const struct mbuf_caps *caps, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		const struct mbuf_cap_slot *slot = &caps->slot[i];
		struct pass_plan *p = &plan[i];
		int err;

		p->fd = -1;
		if (slot_revoked(slot))
			continue;
		if (slot_to_fd(pass, slot)) {
			p->kind = PLAN_FD;
			p->fd = get_unused_fd_flags(O_CLOEXEC);
			if (p->fd < 0)
				return p->fd;
			continue;
		}
		p->kind = PLAN_HANDLE;
		if (!pass->root)
			return -EBADF;
		if (slot->file) {
			p->fresh = mbuf_right_alloc();
			if (!p->fresh)
				return -ENOMEM;
		}
		err = mbuf_table_find_table(pass->root, 0, MBUF_RIGHT_MODIFY, 0,
					    &p->place);
		if (!err) {
			err = mbuf_place_reserve(&p->place);
			if (err) {
				mbuf_place_put(&p->place);
				p->place.table = NULL;
			}
		}
		if (err)
			return err;
	}
	return 0;
}

/**
 * mbuf_pass_to_fd() - make a descriptor of a file
 * @file: the file; takes a reference of its own
 *
 * Asks security modules.
 *
 * Context: may sleep.
 * Return: the descriptor, or -EMFILE, -ENFILE, or what they say.
 */
int mbuf_pass_to_fd(struct file *file)
{
	return mbuf_receive_fd(file, O_CLOEXEC);
}

/* A descriptor. What is left in @slot is closed by who frees it. */
static void install_fd(struct mbuf_cap_slot *slot, struct pass_plan *plan,
		       struct mbuf_cap *cap)
{
	struct file *file = slot->file;
	struct mbuf_use use;
	int fd;

	if (!file) {
		cap->error = mbuf_right_use(slot->right, &use);
		if (cap->error)
			return;
		file = use.obj;
	}
	if (plan->fd >= 0)
		put_unused_fd(plan->fd);
	plan->fd = -1;
	fd = mbuf_pass_to_fd(file);
	if (!slot->file) {
		/* As a descriptor it is owned by nothing but its holders. */
		if (fd >= 0 && use.type->nest)
			mbuf_nest_move(use.type->nest(use.obj), NULL);
		mbuf_use_end(&use);
	}
	if (fd < 0)
		cap->error = fd;
	else
		cap->ref.fd = fd;
}

static void install_handle(struct mbuf_cap_slot *slot, struct pass_plan *plan,
			   struct mbuf_cap *cap)
{
	struct mbuf_right *right = slot->right;
	const struct mbuf_right_type *type;

	if (slot->file) {
		mbuf_right_init(plan->fresh, &mbuf_file_type, slot->file,
				mbuf_file_type.all);
		right = plan->fresh;
		plan->fresh = NULL;
		slot->file = NULL;
	}
	slot->right = right;
	type = READ_ONCE(right->type);
	if (type && type->nest)
		mbuf_nest_move(type->nest(right->obj),
			       mbuf_table_nest(plan->place.table));
	cap->error = mbuf_place_fill(&plan->place, right);
	if (cap->error)
		return;
	slot->right = NULL;
	cap->ref.flags = MBUF_REF_HANDLE;
	cap->ref.handle = plan->place.index;
	mbuf_place_put(&plan->place);
	plan->place.table = NULL;
}

/**
 * mbuf_pass_install() - give capabilities to a receiver
 * @pass: where it wants them; there is room, or the rest shall be dropped
 * @caps: what has come; freed on success
 *
 * Context: may sleep.
 * Return: 0, or an error and nothing has been installed: -EMFILE, -ENFILE,
 * -ENOMEM, -EDQUOT, -ENOSPC, -EBADF, -EFAULT.
 */
int mbuf_pass_install(struct mbuf_pass *pass, struct mbuf_caps *caps)
{
	u32 i, nr = min(caps->nr, pass->nr);
	struct pass_plan one = { }, *plan = &one;
	bool left = nr < caps->nr;
	int err = 0;

	if (nr > 1) {
		plan = kcalloc(nr, sizeof(*plan), GFP_KERNEL_ACCOUNT);
		if (!plan)
			return -ENOMEM;
	}
	one.fd = -1;
	for (i = 0; i < nr; i++)
		plan[i].fd = -1;
	err = plan_make(plan, pass, caps, nr);
	if (err)
		goto out;
	/* Nothing is installed for who cannot be told. */
	err = pass_say_nr(pass, caps->nr);
	for (i = 0; i < nr && !err; i++)
		if (clear_user(pass_elem(pass, i), sizeof(struct mbuf_cap)))
			err = -EFAULT;
	if (err)
		goto out;

	for (i = 0; i < nr; i++) {
		struct mbuf_cap cap;

		slot_describe(&caps->slot[i], &cap);
		if (plan[i].kind == PLAN_FD && !cap.error)
			install_fd(&caps->slot[i], &plan[i], &cap);
		else if (plan[i].kind == PLAN_HANDLE && !cap.error)
			install_handle(&caps->slot[i], &plan[i], &cap);
		if (unlikely(cap.error))
			mbuf_node_cap_refused(pass->node, cap.id, cap.error);
		left |= cap.error;
		elem_put(pass, i, &cap);
	}
out:
	plan_undo(plan, nr);
	if (plan != &one)
		kfree(plan);
	/* What the receiver has not got is not for it to close. */
	if (!err && left)
		mbuf_caps_drop(caps);
	else if (!err)
		mbuf_caps_free(caps);
	return err;
}
