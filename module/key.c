// SPDX-License-Identifier: GPL-2.0
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include "key.h"
#include "object.h"
#include "pass.h"
#include "payload.h"
#include "queue.h"
#include "registry.h"
#include "trace.h"

/* Sizes of the first version of each struct. */
#define CREATE_SIZE_V0	32
#define SEAL_SIZE_V0	72
#define UNSEAL_SIZE_V0	56

/* How often a message can be sealed: what is freed together is bounded. */
#define SEALS_MAX	16

/**
 * struct mbuf_key - a key
 * @ref: references
 * @sealed: how many of them are those of sealed messages
 * @payer: who pays; holds a reference
 * @id: identity
 * @node: its place in the registry
 */
struct mbuf_key {
	refcount_t ref;
	atomic_t sealed;
	struct mbuf_account *payer;
	u64 id;
	struct mbuf_node node;
};

/**
 * struct mbuf_sealed - a sealed message
 * @ref: references
 * @seals: how often what is in it was sealed, with this one
 * @shown: length that others are told
 * @item: payload and capabilities
 * @key: what it was sealed with; holds a reference
 * @payer: who pays; holds a reference
 * @id: identity
 */
struct mbuf_sealed {
	refcount_t ref;
	u32 seals;
	u64 shown;
	struct mbuf_item *item;
	struct mbuf_key *key;
	struct mbuf_account *payer;
	u64 id;
};

static const struct mbuf_charge key_charge = {
	.n = {
		[MBUF_RES_OBJECTS] = 1,
		[MBUF_RES_MEMORY] = sizeof(struct mbuf_key),
	},
};

static const struct mbuf_charge sealed_charge = {
	.n = {
		[MBUF_RES_OBJECTS] = 1,
		[MBUF_RES_MEMORY] = sizeof(struct mbuf_sealed),
	},
};

/* As it is seen from outside */

static u64 key_node_id(const struct mbuf_node *node)
{
	return container_of(node, struct mbuf_key, node)->id;
}

static int key_describe(void *object, struct sk_buff *skb,
			const struct mbuf_reader *reader)
{
	const struct mbuf_key *key = container_of(object, struct mbuf_key,
						  node);
	int sealed = atomic_read(&key->sealed);
	int refs = refcount_read(&key->ref);

	/* Not of one moment, as nothing is held: never below 0. */
	if (nla_put_u32(skb, MBUF_A_KEY_RIGHTS, max(refs - sealed, 0)) ||
	    nla_put_u32(skb, MBUF_A_KEY_SEALED, sealed))
		return -EMSGSIZE;
	return 0;
}

static const struct mbuf_kind key_kind = {
	.type		= MBUF_OBJECT_TYPE_KEY,
	.attr		= MBUF_A_OBJECT_KEY,
	.id		= key_node_id,
	.describe	= key_describe,
};

static void key_obj_get(void *obj)
{
	struct mbuf_key *key = obj;

	refcount_inc(&key->ref);
}

static void key_obj_put(void *obj)
{
	struct mbuf_key *key = obj;

	if (!refcount_dec_and_test(&key->ref))
		return;
	mbuf_node_unlink(&key->node);
	mbuf_uncharge(key->payer, &key_charge);
	mbuf_account_put(key->payer);
	kfree(key);
}

static u64 key_obj_id(void *obj)
{
	const struct mbuf_key *key = obj;

	return key->id;
}

static const struct mbuf_right_type key_type = {
	.nr = MBUF_CAP_KEY,
	.all = MBUF_RIGHT_COPY | MBUF_RIGHT_PASS | MBUF_RIGHT_SEAL |
	       MBUF_RIGHT_UNSEAL,
	.get = key_obj_get,
	.put = key_obj_put,
	.id = key_obj_id,
	.derived = &key_type,
};

static void sealed_obj_get(void *obj)
{
	struct mbuf_sealed *sealed = obj;

	refcount_inc(&sealed->ref);
}

static void sealed_obj_put(void *obj)
{
	struct mbuf_sealed *sealed = obj;

	if (!refcount_dec_and_test(&sealed->ref))
		return;
	mbuf_item_free(sealed->item);
	if (sealed->key) {
		atomic_dec(&sealed->key->sealed);
		key_obj_put(sealed->key);
	}
	mbuf_uncharge(sealed->payer, &sealed_charge);
	mbuf_account_put(sealed->payer);
	kfree(sealed);
}

static u64 sealed_obj_id(void *obj)
{
	const struct mbuf_sealed *sealed = obj;

	return sealed->id;
}

static void sealed_obj_info(void *obj, struct mbuf_handle_info *info)
{
	const struct mbuf_sealed *sealed = obj;

	info->size = sealed->shown;
}

static const struct mbuf_right_type sealed_type = {
	.nr = MBUF_CAP_SEALED,
	.all = MBUF_RIGHT_COPY | MBUF_RIGHT_PASS,
	.get = sealed_obj_get,
	.put = sealed_obj_put,
	.id = sealed_obj_id,
	.derived = &sealed_type,
	.info = sealed_obj_info,
};

static long key_make(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_account *payer = mbuf_table_payer(root);
	struct mbuf_key_create c;
	struct mbuf_right *right;
	struct mbuf_key *key;
	int err;

	BUILD_BUG_ON(sizeof(c) != CREATE_SIZE_V0);

	err = mbuf_ioctl_get(&c, sizeof(c), CREATE_SIZE_V0, arg, size);
	if (err)
		return err;
	if (c.flags || c.resv)
		return -EINVAL;
	err = mbuf_charge(payer, &key_charge);
	if (err)
		return err;
	key = kzalloc(sizeof(*key), GFP_KERNEL_ACCOUNT);
	if (!key) {
		mbuf_uncharge(payer, &key_charge);
		return -ENOMEM;
	}
	refcount_set(&key->ref, 1);
	key->payer = payer;
	mbuf_account_hold(payer);
	key->id = mbuf_object_id();
	right = mbuf_right_new(&key_type, key, key_type.all);
	if (!right) {
		key_obj_put(key);
		return -ENOMEM;
	}
	mbuf_node_link(&key->node, &key_kind, payer, NULL);
	c.id = key->id;
	return mbuf_handle_new(root, c.target, &c.handle, right, arg, size, &c,
			       sizeof(c));
}

/* The key that a handle is, if it has @need; it is in use then. */
static struct mbuf_key *key_find(struct mbuf_table *root, u64 handle, u32 need)
{
	struct mbuf_use use;
	int err = mbuf_table_use(root, handle, &use);

	if (err)
		return ERR_PTR(err);
	if (use.type != &key_type)
		err = -ENOTTY;
	else if (!(use.rights & need))
		err = -EACCES;
	if (!err)
		return use.obj;
	mbuf_use_end(&use);
	return ERR_PTR(err);
}

static struct mbuf_sealed *sealed_find(struct mbuf_table *root, u64 handle)
{
	struct mbuf_use use;
	int err = mbuf_table_use(root, handle, &use);

	if (err)
		return ERR_PTR(err);
	if (use.type == &sealed_type)
		return use.obj;
	mbuf_use_end(&use);
	return ERR_PTR(-ENOTTY);
}

/* How often the most sealed one of them was. */
static u32 caps_seals(const struct mbuf_caps *caps)
{
	u32 i, seals = 0;

	for (i = 0; i < caps->nr; i++) {
		struct mbuf_use use;

		if (!caps->slot[i].right ||
		    mbuf_right_use(caps->slot[i].right, &use))
			continue;
		if (use.type == &sealed_type) {
			const struct mbuf_sealed *sealed = use.obj;

			seals = max(seals, sealed->seals);
		}
		mbuf_use_end(&use);
	}
	return seals;
}

static int sealed_load_caps(struct mbuf_sealed *sealed,
			    const struct mbuf_pass *pass)
{
	struct mbuf_moves moves = { };
	struct mbuf_caps *caps;
	int err = 0;

	sealed->seals = 1;
	if (!pass->nr)
		return 0;
	caps = mbuf_pass_load(pass, &moves);
	if (IS_ERR(caps))
		return PTR_ERR(caps);
	if (moves.nr)
		err = -EINVAL;
	sealed->seals += caps_seals(caps);
	if (!err && sealed->seals > SEALS_MAX)
		err = -ELOOP;
	if (err) {
		mbuf_node_cap_refused(pass->node, 0, err);
		mbuf_pass_abort(caps, &moves);
		return err;
	}
	mbuf_pass_commit(&moves);
	sealed->item->caps = caps;
	return 0;
}

static int sealed_load(struct mbuf_sealed *sealed, const struct mbuf_seal *s,
		       const struct mbuf_pass *pass)
{
	const struct mbuf_uaddr u = {
		.ptr = u64_to_user_ptr(s->buf),
		.len = s->len,
	};
	struct mbuf_item *item;
	int err;

	if ((uintptr_t)s->buf != s->buf)
		return -EFAULT;
	item = mbuf_item_new(s->len);
	if (IS_ERR(item))
		return PTR_ERR(item);
	sealed->item = item;
	err = mbuf_item_load(item, &u);
	if (err)
		return err;
	sealed->shown = s->pad ? roundup(s->len, s->pad) : s->len;
	return sealed_load_caps(sealed, pass);
}

static struct mbuf_sealed *sealed_new(struct mbuf_account *payer)
{
	struct mbuf_sealed *sealed;
	int err;

	err = mbuf_charge(payer, &sealed_charge);
	if (err)
		return ERR_PTR(err);
	sealed = kzalloc(sizeof(*sealed), GFP_KERNEL_ACCOUNT);
	if (!sealed) {
		mbuf_uncharge(payer, &sealed_charge);
		return ERR_PTR(-ENOMEM);
	}
	refcount_set(&sealed->ref, 1);
	sealed->payer = payer;
	mbuf_account_hold(payer);
	sealed->id = mbuf_object_id();
	return sealed;
}

static long key_seal(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_sealed *sealed;
	struct mbuf_right *right;
	struct mbuf_pass pass;
	struct mbuf_key *key;
	struct mbuf_seal s;
	u64 key_id;
	int err;

	BUILD_BUG_ON(sizeof(s) != SEAL_SIZE_V0);

	err = mbuf_ioctl_get(&s, sizeof(s), SEAL_SIZE_V0, arg, size);
	if (err)
		return err;
	if (s.flags || s.resv || s.pad > MBUF_MSG_MAX)
		return -EINVAL;
	if (s.len > MBUF_MSG_MAX)
		return -EMSGSIZE;
	err = mbuf_pass_init(&pass, s.caps, s.nr_caps, s.stride);
	if (err)
		return err;
	pass.root = root;
	key = key_find(root, s.target, MBUF_RIGHT_SEAL);
	if (IS_ERR(key))
		return PTR_ERR(key);
	sealed = sealed_new(mbuf_table_payer(root));
	if (IS_ERR(sealed)) {
		key_obj_put(key);
		return PTR_ERR(sealed);
	}
	sealed->key = key;
	pass.node = &key->node;
	atomic_inc(&key->sealed);
	err = sealed_load(sealed, &s, &pass);
	if (err)
		goto put;
	err = -ENOMEM;
	right = mbuf_right_new(&sealed_type, sealed, sealed_type.all);
	if (!right)
		goto put;
	s.id = sealed->id;
	/* From here on it can go at any time, and the key with it. */
	key_id = key->id;
	err = mbuf_handle_new(root, s.table, &s.handle, right, arg, size, &s,
			      sizeof(s));
	if (!err)
		trace_mbuf_seal(s.id, key_id, s.len, s.nr_caps);
	return err;

put:
	sealed_obj_put(sealed);
	return err;
}

/* Give out copies of what is in @sealed. */
static int sealed_give(const struct mbuf_sealed *sealed, struct mbuf_unseal *u,
		       struct mbuf_unseal __user *uarg, struct mbuf_pass *pass)
{
	const struct mbuf_item *item = sealed->item;
	struct mbuf_caps *caps = NULL;
	int err;

	if (item->len > u->len ||
	    (item->caps && mbuf_pass_room(pass, item->caps))) {
		put_user(item->len, &uarg->len);
		put_user(item->caps ? item->caps->nr : 0, &uarg->nr_caps);
		return -EMSGSIZE;
	}
	if (item->caps) {
		caps = mbuf_caps_clone(item->caps);
		if (IS_ERR(caps))
			return PTR_ERR(caps);
	}
	err = -EFAULT;
	if (copy_to_user(u64_to_user_ptr(u->buf), item->data, item->len) ||
	    put_user(item->len, &uarg->len) ||
	    put_user(caps ? caps->nr : 0, &uarg->nr_caps)) {
		if (signal_pending(current))
			err = -ERESTARTSYS;
		goto free;
	}
	err = caps ? mbuf_pass_install(pass, caps) : 0;
	if (!err)
		return 0;
free:
	if (caps)
		mbuf_caps_free(caps);
	return err;
}

static long key_unseal(struct mbuf_table *root, void __user *arg, size_t size)
{
	struct mbuf_unseal __user *uarg = arg;
	struct mbuf_sealed *sealed;
	struct mbuf_pass pass;
	struct mbuf_unseal u;
	struct mbuf_key *key;
	int err;

	BUILD_BUG_ON(sizeof(u) != UNSEAL_SIZE_V0);

	err = mbuf_ioctl_get(&u, sizeof(u), UNSEAL_SIZE_V0, arg, size);
	if (err)
		return err;
	if (u.flags & ~MBUF_RECV_HANDLES || u.resv || u.resv2)
		return -EINVAL;
	err = mbuf_pass_init(&pass, u.caps, u.nr_caps, u.stride);
	if (err)
		return err;
	pass.flags = u.flags;
	pass.root = root;
	if ((uintptr_t)u.buf != u.buf)
		return -EFAULT;
	key = key_find(root, u.target, MBUF_RIGHT_UNSEAL);
	if (IS_ERR(key))
		return PTR_ERR(key);
	sealed = sealed_find(root, u.sealed);
	err = PTR_ERR_OR_ZERO(sealed);
	if (err)
		goto put_key;
	pass.node = &key->node;
	err = sealed->key == key ? sealed_give(sealed, &u, uarg, &pass) :
				   -EKEYREJECTED;
	trace_mbuf_unseal(sealed->id, key->id, err);
	sealed_obj_put(sealed);
put_key:
	key_obj_put(key);
	return err;
}

/**
 * mbuf_key_ioctl() - do what a session was asked to do with a key
 * @root: the session's root table
 * @nr: number of the command
 * @arg: its argument
 * @size: size of that
 *
 * Context: process context, may sleep.
 * Return: result of the ioctl.
 */
long mbuf_key_ioctl(struct mbuf_table *root, unsigned int nr, void __user *arg,
		    size_t size)
{
	switch (nr) {
	case _IOC_NR(MBUF_IOC_KEY_CREATE):
		return key_make(root, arg, size);
	case _IOC_NR(MBUF_IOC_SEAL):
		return key_seal(root, arg, size);
	case _IOC_NR(MBUF_IOC_UNSEAL):
		return key_unseal(root, arg, size);
	default:
		return -ENOTTY;
	}
}
