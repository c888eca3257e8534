// SPDX-License-Identifier: GPL-2.0
#include <linux/bitops.h>
#include <linux/file.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <net/netlink.h>
#include "object.h"
#include "pass.h"
#include "payload.h"
#include "queue.h"
#include "message.h"
#include "registry.h"
#include "target.h"

/* Sizes of the first version of each struct. */
#define CREATE_SIZE_V0	80
#define LOAD_SIZE_V0	72
#define ENQUEUE_SIZE_V0	32
#define CANCEL_SIZE_V0	16
#define INFO_SIZE_V0	64
#define GRANT_SIZE_V0	32

/* Bits of struct mbuf_message.flags. */
#define MESSAGE_BUSY	0	/* a call works on it, or it is being ended */
#define MESSAGE_DEAD	1	/* the owner has gone */

/**
 * struct mbuf_message - a message object
 * @flags: MESSAGE_*
 * @ref: references: the owner's, and that of each who uses it
 * @item: the message, or room for one; NULL: in line, or the queue kept it
 * @loaded: there is a message
 * @max_msg: the most payload; constant
 * @max_caps: the most capabilities; constant
 * @error: why the last one could not be delivered
 * @delivered: how many were
 * @line: where it stands in line, or has; holds a reference. NULL: nowhere
 * @w: its place there
 * @arrived: told when a message comes to @inbox; may be NULL; constant
 * @arrival: how it is told
 * @inbox: the inbox's receive right, or NULL; constant, also when the owner has
 *	gone
 * @nest: where it is in who owns whom
 * @payer: who pays; holds a reference; constant
 * @id: identity; constant
 * @len: length of the message that was loaded last
 * @nr_caps: how many capabilities came with it
 * @dest: identity of the queue to which it was enqueued last
 * @node: its place in the registry, until the owner has gone
 *
 * What is not constant is for who has set MESSAGE_BUSY. @w.target, told when
 * the message has been delivered, is constant. Who looks on from outside keeps
 * nobody from working on it, so reads single values without having set that.
 */
struct mbuf_message {
	unsigned long flags;
	refcount_t ref;
	struct mbuf_item *item;
	bool loaded;
	u32 max_msg;
	u32 max_caps;
	s32 error;
	u64 delivered;
	struct mbuf_queue *line;
	struct mbuf_waiter w;
	struct mbuf_target *arrived;
	struct wait_queue_entry arrival;
	struct file *inbox;
	struct mbuf_nest nest;
	struct mbuf_account *payer;
	u64 id;
	u32 len;
	u32 nr_caps;
	u64 dest;
	struct mbuf_node node;
};

static const struct mbuf_charge message_charge = {
	.n = {
		[MBUF_RES_OBJECTS] = 1,
		[MBUF_RES_MEMORY] = sizeof(struct mbuf_message),
	},
};

static void message_put(struct mbuf_message *m)
{
	if (!refcount_dec_and_test(&m->ref))
		return;
	if (m->inbox)
		mbuf_file_put(m->inbox);
	mbuf_uncharge(m->payer, &message_charge);
	mbuf_account_put(m->payer);
	kfree(m);
}

static struct mbuf_caps *message_caps(const struct mbuf_message *m)
{
	return m->item ? m->item->caps : NULL;
}

/* It stands in line no more, with a message that has not entered. */
static void message_back(struct mbuf_message *m)
{
	m->item = m->w.item;
	WRITE_ONCE(m->loaded, true);
	mbuf_item_forget(m->item);
	/* While the queue is still there: it could be the owner. */
	if (m->item->caps)
		mbuf_caps_nest_back(m->item->caps, &m->nest);
}

/* Notice what has become of it in line. Busy. */
static void message_settle(struct mbuf_message *m)
{
	struct mbuf_queue *line = m->line;

	if (!line)
		return;
	switch (mbuf_waiter_state(&m->w)) {
	case MBUF_WAITING:
		return;
	case MBUF_DONE:
		WRITE_ONCE(m->delivered, m->delivered + 1);
		break;
	default:
		message_back(m);
		WRITE_ONCE(m->error, -EPIPE);
		break;
	}
	WRITE_ONCE(m->line, NULL);
	mbuf_queue_settle(line, &m->w);
}

/* Take it out of line. Busy; it has been settled. Returns false if too late. */
static bool message_cancel(struct mbuf_message *m)
{
	struct mbuf_queue *line = m->line;

	if (!mbuf_queue_cancel(line, &m->w)) {
		message_settle(m);
		return false;
	}
	message_back(m);
	WRITE_ONCE(m->line, NULL);
	mbuf_queue_settle(line, &m->w);
	return true;
}

/* The owner has gone, and nobody works on it. */
static void message_destroy(struct mbuf_message *m)
{
	mbuf_node_unlink(&m->node);
	message_settle(m);
	if (m->line)
		message_cancel(m);
	mbuf_item_free(m->item);
	m->item = NULL;
	if (m->inbox) {
		if (m->arrived)
			remove_wait_queue(mbuf_queue_arrivals(m->inbox),
					  &m->arrival);
		mbuf_nest_move(mbuf_queue_nest(m->inbox), NULL);
	}
	mbuf_target_put(m->arrived);
	mbuf_target_put(m->w.target);
}

static int message_work(struct mbuf_message *m)
{
	if (test_and_set_bit_lock(MESSAGE_BUSY, &m->flags))
		return -EBUSY;
	message_settle(m);
	return 0;
}

static void message_end_if_dead(struct mbuf_message *m)
{
	if (test_bit(MESSAGE_DEAD, &m->flags) &&
	    !test_and_set_bit_lock(MESSAGE_BUSY, &m->flags))
		message_destroy(m);
}

static void message_worked(struct mbuf_message *m)
{
	clear_bit_unlock(MESSAGE_BUSY, &m->flags);
	/* Either this sees it dead, or who ends it sees it not busy. */
	smp_mb__after_atomic();
	message_end_if_dead(m);
}

/* As it is seen from outside */

static struct mbuf_message *message_of_node(const struct mbuf_node *node)
{
	return container_of(node, struct mbuf_message, node);
}

static u64 message_id(const struct mbuf_node *node)
{
	return message_of_node(node)->id;
}

/* What it will be found to be by who works on it next. */
static u32 message_state(const struct mbuf_message *m, s32 *error)
{
	*error = READ_ONCE(m->error);
	if (!READ_ONCE(m->line))
		return READ_ONCE(m->loaded) ? MBUF_MESSAGE_LOADED :
					      MBUF_MESSAGE_EMPTY;
	switch (mbuf_waiter_state(&m->w)) {
	case MBUF_WAITING:
		return MBUF_MESSAGE_PARKED;
	case MBUF_DONE:
		return MBUF_MESSAGE_EMPTY;
	default:
		*error = -EPIPE;
		return MBUF_MESSAGE_LOADED;
	}
}

static int message_describe(void *object, struct sk_buff *skb,
			    const struct mbuf_reader *reader)
{
	const struct mbuf_message *m = message_of_node(object);
	u64 parent = mbuf_nest_parent_id(&m->nest);
	s32 error;
	u32 state = message_state(m, &error);

	if (nla_put_u32(skb, MBUF_A_MESSAGE_STATE, state) ||
	    nla_put_u32(skb, MBUF_A_MESSAGE_ERROR, -error) ||
	    nla_put_u32(skb, MBUF_A_MESSAGE_MAX_MSG, m->max_msg) ||
	    nla_put_u32(skb, MBUF_A_MESSAGE_MAX_CAPS, m->max_caps) ||
	    nla_put_u64_64bit(skb, MBUF_A_MESSAGE_DELIVERED,
			      READ_ONCE(m->delivered), MBUF_A_MESSAGE_PAD))
		return -EMSGSIZE;
	if (state != MBUF_MESSAGE_EMPTY &&
	    (nla_put_u32(skb, MBUF_A_MESSAGE_LEN, READ_ONCE(m->len)) ||
	     nla_put_u32(skb, MBUF_A_MESSAGE_CAPS, READ_ONCE(m->nr_caps))))
		return -EMSGSIZE;
	if (state == MBUF_MESSAGE_PARKED &&
	    nla_put_u64_64bit(skb, MBUF_A_MESSAGE_DEST_ID, READ_ONCE(m->dest),
			      MBUF_A_MESSAGE_PAD))
		return -EMSGSIZE;
	if (m->inbox &&
	    nla_put_u64_64bit(skb, MBUF_A_MESSAGE_INBOX_ID,
			      mbuf_queue_id(m->inbox), MBUF_A_MESSAGE_PAD))
		return -EMSGSIZE;
	if (parent &&
	    nla_put_u64_64bit(skb, MBUF_A_MESSAGE_PARENT_ID, parent,
			      MBUF_A_MESSAGE_PAD))
		return -EMSGSIZE;
	return 0;
}

static const struct mbuf_kind message_kind = {
	.type		= MBUF_OBJECT_TYPE_MESSAGE,
	.attr		= MBUF_A_OBJECT_MESSAGE,
	.id		= message_id,
	.describe	= message_describe,
};

/* As a right */

static void message_obj_get(void *obj)
{
	struct mbuf_message *m = obj;

	refcount_inc(&m->ref);
}

static void message_obj_put(void *obj)
{
	message_put(obj);
}

static u64 message_obj_id(void *obj)
{
	const struct mbuf_message *m = obj;

	return m->id;
}

static void message_obj_end(void *obj)
{
	struct mbuf_message *m = obj;

	set_bit(MESSAGE_DEAD, &m->flags);
	/* Pairs with that of message_worked(). */
	smp_mb__after_atomic();
	message_end_if_dead(m);
}

static struct mbuf_nest *message_obj_nest(void *obj)
{
	struct mbuf_message *m = obj;

	return &m->nest;
}

static const struct mbuf_right_type message_type = {
	.nr = MBUF_CAP_MESSAGE,
	.all = MBUF_RIGHT_RECV,
	.get = message_obj_get,
	.put = message_obj_put,
	.id = message_obj_id,
	.end = message_obj_end,
	.nest = message_obj_nest,
};

static void reply_obj_get(void *obj)
{
	get_file(obj);
}

static void reply_obj_put(void *obj)
{
	mbuf_file_put(obj);
}

static u64 reply_obj_id(void *obj)
{
	return mbuf_queue_id(obj);
}

static const struct mbuf_right_type reply_type = {
	.nr = MBUF_CAP_REPLY,
	.all = MBUF_RIGHT_PASS | MBUF_RIGHT_SEND,
	.get = reply_obj_get,
	.put = reply_obj_put,
	.id = reply_obj_id,
};

/* Making one */

/* Under the lock of the waitqueue. */
static int message_arrived(struct wait_queue_entry *wqe, unsigned int mode,
			   int sync, void *key)
{
	struct mbuf_message *m = container_of(wqe, struct mbuf_message,
					      arrival);

	/* Who only looks at a message puts it back: that is no arrival. */
	if (!(key_to_poll(key) & MBUF_POLL_AGAIN))
		m->arrived->ops->tell(m->arrived);
	return 0;
}

static int message_inbox(struct mbuf_message *m,
			 const struct mbuf_message_create *c)
{
	const struct mbuf_queue_spec spec = {
		.slots = 1,
		.max_msg = c->inbox_msg,
		.flags = c->inbox_caps ? MBUF_QUEUE_CAPS : 0,
		.max_caps = c->inbox_caps,
	};
	struct file *inbox;

	if (!c->inbox_msg)
		return 0;
	inbox = mbuf_queue_new(m->payer, &spec);
	if (IS_ERR(inbox))
		return PTR_ERR(inbox);
	m->inbox = inbox;
	mbuf_nest_move(mbuf_queue_nest(inbox), &m->nest);
	if (m->arrived) {
		init_waitqueue_func_entry(&m->arrival, message_arrived);
		add_wait_queue(mbuf_queue_arrivals(inbox), &m->arrival);
	}
	return 0;
}

static int message_target(struct mbuf_target **t, const struct mbuf_ref *ref)
{
	if (ref->fd < 0)
		return 0;
	*t = mbuf_target_new(ref->fd);
	return PTR_ERR_OR_ZERO(*t);
}

static struct mbuf_message *message_new(struct mbuf_account *payer,
					const struct mbuf_message_create *c)
{
	struct mbuf_target *sent = NULL, *arrived = NULL;
	struct mbuf_message *m;
	int err;

	err = mbuf_charge(payer, &message_charge);
	if (err)
		return ERR_PTR(err);
	m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
	if (!m) {
		mbuf_uncharge(payer, &message_charge);
		return ERR_PTR(-ENOMEM);
	}
	refcount_set(&m->ref, 1);
	m->max_msg = c->max_msg;
	m->max_caps = c->max_caps;
	m->id = mbuf_object_id();
	m->nest.id = m->id;
	m->w.id = m->id;
	m->payer = payer;
	mbuf_account_hold(payer);

	err = message_target(&sent, &c->sent);
	if (err)
		goto destroy;
	m->w.target = sent;
	err = message_target(&arrived, &c->arrived);
	if (err)
		goto destroy;
	m->arrived = arrived;
	m->item = mbuf_item_new(m->max_msg);
	if (IS_ERR(m->item)) {
		err = PTR_ERR(m->item);
		m->item = NULL;
		goto destroy;
	}
	err = message_inbox(m, c);
	if (err)
		goto destroy;
	return m;

destroy:
	message_destroy(m);
	message_put(m);
	return ERR_PTR(err);
}

static long message_create(struct mbuf_table *root, void __user *arg,
			   size_t size)
{
	struct mbuf_message_create c;
	struct mbuf_right *right;
	struct mbuf_message *m;
	int err;

	BUILD_BUG_ON(sizeof(c) != CREATE_SIZE_V0);

	err = mbuf_ioctl_get(&c, sizeof(c), CREATE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (c.flags || c.resv || c.sent.flags || c.sent.handle ||
	    c.arrived.flags || c.arrived.handle ||
	    c.max_msg > MBUF_MSG_MAX || c.max_caps > MBUF_CAPS_MAX ||
	    c.inbox_msg > MBUF_MSG_MAX || c.inbox_caps > MBUF_CAPS_MAX ||
	    !(c.max_msg | c.max_caps | c.inbox_msg) ||
	    (!c.inbox_msg && (c.inbox_caps || c.arrived.fd >= 0)))
		return -EINVAL;
	m = message_new(mbuf_table_payer(root), &c);
	if (IS_ERR(m))
		return PTR_ERR(m);
	right = mbuf_right_new(&message_type, m, message_type.all);
	if (!right) {
		message_obj_end(m);
		message_put(m);
		return -ENOMEM;
	}
	mbuf_node_link(&m->node, &message_kind, m->payer, NULL);
	c.id = m->id;
	return mbuf_handle_new(root, c.target, &c.handle, right, arg, size, &c,
			       sizeof(c));
}

/* Working with one */

/* The message object that a handle is; it is in use then. */
static struct mbuf_message *message_find(struct mbuf_table *root, u64 handle)
{
	struct mbuf_use use;
	int err = mbuf_table_use(root, handle, &use);

	if (err)
		return ERR_PTR(err);
	if (use.type != &message_type) {
		mbuf_use_end(&use);
		return ERR_PTR(-ENOTTY);
	}
	return use.obj;
}

/* What there was goes; there is room for another. Busy, and not in line. */
static int message_room(struct mbuf_message *m)
{
	struct mbuf_caps *caps = message_caps(m);

	WRITE_ONCE(m->loaded, false);
	WRITE_ONCE(m->error, 0);
	if (caps) {
		m->item->caps = NULL;
		mbuf_caps_drop(caps);
	}
	if (!m->item) {
		struct mbuf_item *item = mbuf_item_new(m->max_msg);

		if (IS_ERR(item))
			return PTR_ERR(item);
		m->item = item;
	}
	mbuf_item_forget(m->item);
	return 0;
}

static int message_fill(struct mbuf_message *m, const struct mbuf_message_load *l,
			const struct mbuf_pass *pass)
{
	struct mbuf_moves moves = { };
	struct mbuf_caps *caps = NULL;
	struct mbuf_uaddr u = { .len = l->msg.len };
	int err;

	u.ptr = u64_to_user_ptr(l->msg.buf);
	if ((uintptr_t)l->msg.buf != l->msg.buf)
		return -EFAULT;
	/* While what was loaded before is still there. */
	if (pass->nr) {
		caps = mbuf_pass_load(pass, &moves);
		if (IS_ERR(caps))
			return PTR_ERR(caps);
		err = mbuf_caps_nest(caps, &m->nest);
		if (err) {
			mbuf_node_cap_refused(&m->node, 0, err);
			goto abort;
		}
	}
	err = message_room(m);
	if (err)
		goto abort;
	m->item->len = l->msg.len;
	m->item->prio = l->msg.prio;
	err = mbuf_item_load(m->item, &u);
	if (err)
		goto abort;
	if (caps)
		mbuf_pass_commit(&moves);
	m->item->caps = caps;
	WRITE_ONCE(m->len, l->msg.len);
	WRITE_ONCE(m->nr_caps, pass->nr);
	WRITE_ONCE(m->loaded, true);
	return 0;

abort:
	if (caps)
		mbuf_pass_abort(caps, &moves);
	return err;
}

static long message_load(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_message_load l;
	struct mbuf_message *m;
	struct mbuf_pass pass;
	int err;

	BUILD_BUG_ON(sizeof(l) != LOAD_SIZE_V0);

	err = mbuf_ioctl_get(&l, sizeof(l), LOAD_SIZE_V0, arg, size);
	if (err)
		return err;
	if (l.flags || l.resv || l.msg.flags || l.msg.seq || l.msg.pid ||
	    l.msg.uid || l.msg.gid || l.msg.prio > MBUF_PRIO_MAX)
		return -EINVAL;
	err = mbuf_pass_init(&pass, l.caps, l.nr_caps, l.stride);
	if (err)
		return err;
	pass.root = root;
	m = message_find(root, l.target);
	if (IS_ERR(m))
		return PTR_ERR(m);
	pass.node = &m->node;
	err = -EMSGSIZE;
	if (l.msg.len > m->max_msg || l.nr_caps > m->max_caps)
		goto put;
	err = message_work(m);
	if (err)
		goto put;
	err = m->line ? -EBUSY : message_fill(m, &l, &pass);
	message_worked(m);
put:
	message_put(m);
	return err;
}

/* A send right that a caller names. */
static int dest_get(struct mbuf_table *root, const struct mbuf_ref *ref,
		    struct mbuf_use *use)
{
	struct file *file;
	int err;

	if (ref->flags) {
		err = mbuf_table_use(root, ref->handle, use);
		if (err)
			return err;
		file = use->obj;
		if (use->type != &reply_type &&
		    (use->type != &mbuf_file_type || !mbuf_queue_is(file)))
			err = -ENOTTY;
		else if (!(use->rights & MBUF_RIGHT_SEND))
			err = -EACCES;
		if (err)
			mbuf_use_end(use);
		return err;
	}
	if (ref->handle)
		return -EINVAL;
	file = fget(ref->fd);
	if (!file)
		return -EBADF;
	if (!mbuf_queue_is(file))
		err = -ENOTTY;
	else
		err = file->f_mode & FMODE_WRITE ? 0 : -EBADF;
	if (err) {
		fput(file);
		return err;
	}
	use->type = &mbuf_file_type;
	use->obj = file;
	use->rights = mbuf_file_type.all;
	return 0;
}

/* ENQUEUE, with a send right that lasts. Busy, loaded, and not in line. */
static int message_enqueue_on(struct mbuf_message *m, struct file *dest)
{
	struct mbuf_caps *caps = message_caps(m);
	int err;

	WRITE_ONCE(m->dest, mbuf_queue_id(dest));
	err = mbuf_queue_enqueue(dest, &m->item, &m->w, &m->line);
	if (err < 0) {
		/* Who tries next may be another. */
		mbuf_item_forget(m->item);
		if (caps)
			mbuf_caps_nest_back(caps, &m->nest);
		return err;
	}
	WRITE_ONCE(m->loaded, false);
	WRITE_ONCE(m->error, 0);
	if (!err)
		WRITE_ONCE(m->delivered, m->delivered + 1);
	return err;
}

/*
 * Use a right that is good for one message: it is out of its table meanwhile,
 * so that it is used once. @place is where it is.
 */
static struct mbuf_right *reply_take(const struct mbuf_place *place)
{
	struct mbuf_right *right = mbuf_place_take(place, MBUF_RIGHT_SEND);

	if (IS_ERR(right) || right->type == &reply_type)
		return right;
	/* It has become another meanwhile. */
	if (mbuf_place_fill(place, right))
		mbuf_right_kill(right);
	return ERR_PTR(-ENOENT);
}

static void reply_used(const struct mbuf_place *place, struct mbuf_right *right,
		       bool success)
{
	if (!success && !mbuf_place_fill(place, right))
		return;
	mbuf_place_release(place);
	mbuf_right_kill(right);
}

static int message_enqueue_once(struct mbuf_message *m, struct mbuf_table *root,
				u64 handle)
{
	struct mbuf_place place;
	struct mbuf_right *right;
	int err;

	err = mbuf_table_find(root, handle, &place);
	if (err)
		return err;
	right = reply_take(&place);
	err = PTR_ERR_OR_ZERO(right);
	if (!err) {
		err = message_enqueue_on(m, right->obj);
		reply_used(&place, right, err >= 0);
	}
	mbuf_place_put(&place);
	return err;
}

static long message_enqueue(struct mbuf_table *root, void __user *arg,
			    size_t size)
{
	struct mbuf_message_enqueue e;
	struct mbuf_message *m;
	struct mbuf_use dest;
	int err;

	BUILD_BUG_ON(sizeof(e) != ENQUEUE_SIZE_V0);

	err = mbuf_ioctl_get(&e, sizeof(e), ENQUEUE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (e.flags || e.resv || e.dest.flags & ~MBUF_REF_HANDLE)
		return -EINVAL;
	m = message_find(root, e.target);
	if (IS_ERR(m))
		return PTR_ERR(m);
	err = dest_get(root, &e.dest, &dest);
	if (err)
		goto put;
	err = message_work(m);
	if (err)
		goto put_dest;
	if (m->line)
		err = -EBUSY;
	else if (!m->loaded)
		err = -ENODATA;
	else if (dest.type == &reply_type)
		err = message_enqueue_once(m, root, e.dest.handle);
	else
		err = message_enqueue_on(m, dest.obj);
	message_worked(m);
put_dest:
	mbuf_use_end(&dest);
put:
	message_put(m);
	return err;
}

static long message_cancel_ioctl(struct mbuf_table *root, void __user *arg,
				 size_t size)
{
	struct mbuf_message *m;
	struct mbuf_handle h;
	int err;

	err = mbuf_ioctl_get(&h, sizeof(h), CANCEL_SIZE_V0, arg, size);
	if (err)
		return err;
	if (h.flags || h.resv)
		return -EINVAL;
	m = message_find(root, h.target);
	if (IS_ERR(m))
		return PTR_ERR(m);
	err = message_work(m);
	if (!err) {
		if (!m->line || !message_cancel(m))
			err = -EALREADY;
		message_worked(m);
	}
	message_put(m);
	return err;
}

static long message_info(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_message_info info;
	struct mbuf_message *m;
	u64 target;
	int err;

	BUILD_BUG_ON(sizeof(info) != INFO_SIZE_V0);

	err = mbuf_ioctl_get(&info, sizeof(info), INFO_SIZE_V0, arg, size);
	if (err)
		return err;
	target = info.target;
	m = message_find(root, target);
	if (IS_ERR(m))
		return PTR_ERR(m);
	err = message_work(m);
	if (err)
		goto put;
	memset(&info, 0, sizeof(info));
	info.target = target;
	info.id = m->id;
	info.state = m->line ? MBUF_MESSAGE_PARKED :
		     m->loaded ? MBUF_MESSAGE_LOADED : MBUF_MESSAGE_EMPTY;
	info.error = m->error;
	info.max_msg = m->max_msg;
	info.max_caps = m->max_caps;
	if (m->loaded) {
		info.len = m->item->len;
		info.nr_caps = m->item->caps ? m->item->caps->nr : 0;
	}
	info.delivered = m->delivered;
	info.dest = m->line ? mbuf_queue_line_id(m->line) : 0;
	info.inbox = m->inbox ? mbuf_queue_id(m->inbox) : 0;
	message_worked(m);
	err = mbuf_ioctl_put(arg, size, &info, sizeof(info));
put:
	message_put(m);
	return err;
}

static long message_grant(struct mbuf_table *root, void __user *arg,
			  size_t size)
{
	const struct mbuf_right_type *type;
	struct mbuf_message_grant g;
	struct mbuf_message *m;
	struct mbuf_right *right;
	struct file *file;
	int err;

	BUILD_BUG_ON(sizeof(g) != GRANT_SIZE_V0);

	err = mbuf_ioctl_get(&g, sizeof(g), GRANT_SIZE_V0, arg, size);
	if (err)
		return err;
	if (g.flags & ~MBUF_GRANT_ONCE || g.resv)
		return -EINVAL;
	m = message_find(root, g.target);
	if (IS_ERR(m))
		return PTR_ERR(m);
	file = m->inbox ? mbuf_queue_new_sender(m->inbox) : ERR_PTR(-ENOTTY);
	err = PTR_ERR_OR_ZERO(file);
	if (err)
		goto put;
	type = g.flags & MBUF_GRANT_ONCE ? &reply_type : &mbuf_file_type;
	right = mbuf_right_new(type, file, type->all);
	if (!right) {
		fput(file);
		err = -ENOMEM;
		goto put;
	}
	err = mbuf_handle_new(root, g.table, &g.handle, right, arg, size, &g,
			      sizeof(g));
put:
	message_put(m);
	return err;
}

/**
 * mbuf_message_ioctl() - do what a session was asked to do with a message object
 * @root: the session's root table
 * @nr: number of the command
 * @arg: its argument
 * @size: size of that
 *
 * Context: process context, may sleep.
 * Return: result of the ioctl.
 */
long mbuf_message_ioctl(struct mbuf_table *root, unsigned int nr,
			void __user *arg, size_t size)
{
	switch (nr) {
	case _IOC_NR(MBUF_IOC_MESSAGE_CREATE):
		return message_create(root, arg, size);
	case _IOC_NR(MBUF_IOC_MESSAGE_LOAD):
		return message_load(root, arg, size);
	case _IOC_NR(MBUF_IOC_MESSAGE_ENQUEUE):
		return message_enqueue(root, arg, size);
	case _IOC_NR(MBUF_IOC_MESSAGE_CANCEL):
		return message_cancel_ioctl(root, arg, size);
	case _IOC_NR(MBUF_IOC_MESSAGE_INFO):
		return message_info(root, arg, size);
	case _IOC_NR(MBUF_IOC_MESSAGE_GRANT):
		return message_grant(root, arg, size);
	default:
		return -ENOTTY;
	}
}

/* Commands of queues, for handles */

/* A right to one message: SEND and SEND_CAPS. */
static long reply_ioctl(struct mbuf_table *root, unsigned int cmd,
			void __user *arg, u64 target)
{
	struct mbuf_place place;
	struct mbuf_right *right;
	long ret;

	ret = mbuf_table_find(root, target, &place);
	if (ret)
		return ret;
	right = reply_take(&place);
	ret = PTR_ERR_OR_ZERO(right);
	if (!ret) {
		ret = mbuf_queue_ioctl(right->obj, cmd, arg, target, root);
		reply_used(&place, right, !ret);
	}
	mbuf_place_put(&place);
	return ret;
}

static bool cmd_sends(unsigned int nr)
{
	return nr == _IOC_NR(MBUF_IOC_SEND) ||
	       nr == _IOC_NR(MBUF_IOC_SEND_CAPS);
}

/* RECV and others, of the inbox. */
static long inbox_ioctl(struct mbuf_message *m, unsigned int cmd,
			void __user *arg, u64 target, struct mbuf_table *root)
{
	/* It is there as long as @m, which is in use. */
	if (!m->inbox)
		return -ENOTTY;
	return mbuf_queue_ioctl(m->inbox, cmd, arg, target, root);
}

/**
 * mbuf_message_queue_ioctl() - do with a handle what queues can do
 * @root: the session's root table
 * @cmd: the command, which mbuf_ioctl_known(), with a number of queues
 * @arg: its argument
 * @target: the handle
 *
 * Context: process context, may sleep.
 * Return: result of the ioctl.
 */
long mbuf_message_queue_ioctl(struct mbuf_table *root, unsigned int cmd,
			      void __user *arg, u64 target)
{
	const bool info = _IOC_NR(cmd) == _IOC_NR(MBUF_IOC_QUEUE_INFO);
	struct mbuf_use use;
	long ret;

	ret = mbuf_table_use(root, target, &use);
	if (ret)
		return ret;
	if (use.type == &message_type) {
		ret = inbox_ioctl(use.obj, cmd, arg, target, root);
	} else if (use.type == &reply_type && !info) {
		ret = cmd_sends(_IOC_NR(cmd)) ?
		      reply_ioctl(root, cmd, arg, target) : -ENOTTY;
	} else if (use.type != &reply_type && use.type != &mbuf_receiver_type &&
		   (use.type != &mbuf_file_type || !mbuf_queue_is(use.obj))) {
		ret = -ENOTTY;
	} else if (!info &&
		   !(use.rights & (MBUF_RIGHT_SEND | MBUF_RIGHT_RECV))) {
		ret = -EACCES;
	} else {
		ret = mbuf_queue_ioctl(use.obj, cmd, arg, target, root);
	}
	mbuf_use_end(&use);
	return ret;
}
