// SPDX-License-Identifier: GPL-2.0
#include <linux/hashtable.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>
#include "bind.h"
#include "compat.h"

/**
 * struct mbuf_thread - a thread that something belongs to
 * @hash: in the table, until it has ended
 * @task: who; only to be compared. No reference: it is valid until @ended
 * @ended: nobody is this thread any more
 * @bonds: what belongs to it
 * @ref: one for each bond and one for the work
 * @work: calls the owners
 * @rcu: the probes search under RCU
 */
struct mbuf_thread {
	struct hlist_node hash;
	const struct task_struct *task;
	bool ended;
	struct list_head bonds;
	refcount_t ref;
	struct work_struct work;
	struct rcu_head rcu;
};

/* Protects the table, and @ended and @bonds of all in it. */
static DEFINE_RAW_SPINLOCK(threads_lock);
static DEFINE_HASHTABLE(threads, 6);
static struct workqueue_struct *bind_wq;

static struct mbuf_thread *thread_find(const struct task_struct *task)
{
	struct mbuf_thread *t;

	hash_for_each_possible_rcu(threads, t, hash, (unsigned long)task) {
		if (t->task == task)
			return t;
	}
	return NULL;
}

static void thread_put(struct mbuf_thread *t)
{
	if (refcount_dec_and_test(&t->ref))
		kfree_rcu(t, rcu);
}

/* Probes and their registration */

/*
 * The current thread ends. Preemption is disabled, and so much else may be
 * that all that can take time is left to the work.
 */
static void thread_ends(void)
{
	struct mbuf_thread *t;
	unsigned long flags;

	rcu_read_lock();
	t = thread_find(current);
	if (unlikely(t)) {
		raw_spin_lock_irqsave(&threads_lock, flags);
		if (!t->ended) {
			WRITE_ONCE(t->ended, true);
			hash_del_rcu(&t->hash);
			/* It has bonds, and they keep it: see mbuf_unbind(). */
			refcount_inc(&t->ref);
			queue_work(bind_wq, &t->work);
		}
		raw_spin_unlock_irqrestore(&threads_lock, flags);
	}
	rcu_read_unlock();
}

#ifdef CONFIG_TRACEPOINTS

static mbuf_probe_task probe_exit __maybe_unused;
static mbuf_probe_task_group probe_exit_group __maybe_unused;
static mbuf_probe_exec probe_exec;

static void probe_exit(void *data, struct task_struct *task)
{
	thread_ends();
}

static void probe_exit_group(void *data, struct task_struct *task,
			     bool group_dead)
{
	thread_ends();
}

static void probe_exec(void *data, struct task_struct *task, pid_t pid,
		       struct linux_binprm *bprm)
{
	thread_ends();
}

static struct bind_probe {
	const char *name;
	void *func;
	struct tracepoint *tp;
} probes[] = {
	{ "sched_process_exit",
	  mbuf_exit_probe(probe_exit, probe_exit_group) },
	{ "sched_process_exec", probe_exec },
};

static void probe_match(struct tracepoint *tp, void *priv)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		if (!strcmp(tp->name, probes[i].name))
			probes[i].tp = tp;
	}
}

static void probes_find(void)
{
	for_each_kernel_tracepoint(probe_match, NULL);
}

bool mbuf_bind_supported(void)
{
	return probes[0].tp && probes[1].tp;
}

static void probes_unregister(int nr)
{
	while (nr--)
		tracepoint_probe_unregister(probes[nr].tp, probes[nr].func,
					    NULL);
}

static int probes_register(void)
{
	int i, err;

	for (i = 0; i < ARRAY_SIZE(probes); i++) {
		err = tracepoint_probe_register(probes[i].tp, probes[i].func,
						NULL);
		if (err) {
			probes_unregister(i);
			return err;
		}
	}
	return 0;
}

static void probes_sync(void)
{
	tracepoint_synchronize_unregister();
}

#define NR_PROBES	ARRAY_SIZE(probes)

#else /* !CONFIG_TRACEPOINTS */

#define NR_PROBES	0

bool mbuf_bind_supported(void) { return false; }
static void probes_find(void) { }
static void probes_unregister(int nr) { }
static int probes_register(void) { return -EOPNOTSUPP; }
static void probes_sync(void) { }

#endif

/* Protects the two below. */
static DEFINE_MUTEX(probes_mutex);
static unsigned long nr_bonds;
static bool registered;

static void probes_idle(struct work_struct *work)
{
	mutex_lock(&probes_mutex);
	if (!nr_bonds && registered) {
		probes_unregister(NR_PROBES);
		registered = false;
	}
	mutex_unlock(&probes_mutex);
}

/* Registering patches code: do not do it for each bond. */
static DECLARE_DELAYED_WORK(idle_work, probes_idle);
#define IDLE_DELAY	(2 * HZ)

static int probes_get(void)
{
	int err = 0;

	mutex_lock(&probes_mutex);
	if (!registered) {
		err = probes_register();
		registered = !err;
	}
	if (!err)
		nr_bonds++;
	mutex_unlock(&probes_mutex);
	return err;
}

static void probes_put(void)
{
	mutex_lock(&probes_mutex);
	if (!--nr_bonds)
		mod_delayed_work(bind_wq, &idle_work, IDLE_DELAY);
	mutex_unlock(&probes_mutex);
}

/* Bonds */

/* A thread has ended: tell the owners of what belonged to it. */
static void thread_work(struct work_struct *work)
{
	struct mbuf_thread *t = container_of(work, struct mbuf_thread, work);

	for (;;) {
		const struct mbuf_bond_ops *ops = NULL;
		struct mbuf_bond *bond;
		void *owner = NULL;

		raw_spin_lock_irq(&threads_lock);
		bond = list_first_entry_or_null(&t->bonds, struct mbuf_bond,
						link);
		if (bond) {
			/* From here on the owner may free it at any time. */
			list_del_init(&bond->link);
			ops = bond->ops;
			owner = bond->owner;
			if (!ops->get(owner))
				owner = NULL;
		}
		raw_spin_unlock_irq(&threads_lock);
		if (!bond)
			break;
		if (owner)
			ops->ended(owner);
		cond_resched();
	}
	thread_put(t);
}

/**
 * mbuf_bind() - let something belong to the current thread
 * @ops: what to call when it ends
 * @owner: what to call it with
 *
 * Context: process context, may sleep.
 * Return: the bond, or an error pointer: -EOPNOTSUPP if the kernel does not
 * offer what is needed, -ENOMEM.
 */
struct mbuf_bond *mbuf_bind(const struct mbuf_bond_ops *ops, void *owner)
{
	struct mbuf_thread *t, *new;
	struct mbuf_bond *bond;
	int err;

	if (!mbuf_bind_supported())
		return ERR_PTR(-EOPNOTSUPP);

	bond = kmalloc(sizeof(*bond), GFP_KERNEL_ACCOUNT);
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	err = -ENOMEM;
	if (!bond || !new)
		goto free;
	err = probes_get();
	if (err)
		goto free;
	bond->ops = ops;
	bond->owner = owner;
	new->task = current;
	INIT_LIST_HEAD(&new->bonds);
	refcount_set(&new->ref, 0);
	INIT_WORK(&new->work, thread_work);

	raw_spin_lock_irq(&threads_lock);
	t = thread_find(current);
	if (!t) {
		t = new;
		new = NULL;
		hash_add_rcu(threads, &t->hash, (unsigned long)current);
		refcount_set(&t->ref, 1);
	} else {
		refcount_inc(&t->ref);
	}
	bond->thread = t;
	list_add_tail(&bond->link, &t->bonds);
	raw_spin_unlock_irq(&threads_lock);
	kfree(new);
	return bond;

free:
	kfree(new);
	kfree(bond);
	return ERR_PTR(err);
}

/**
 * mbuf_unbind() - something does no longer belong to a thread
 * @bond: what mbuf_bind() returned; freed
 *
 * Context: process context, may sleep. The owner cannot be referenced any
 * more, so its @ended is not called afterwards.
 */
void mbuf_unbind(struct mbuf_bond *bond)
{
	struct mbuf_thread *t = bond->thread;

	raw_spin_lock_irq(&threads_lock);
	list_del_init(&bond->link);
	/* One that is in the table has bonds: the probe relies on it. */
	if (list_empty(&t->bonds) && !t->ended) {
		WRITE_ONCE(t->ended, true);
		hash_del_rcu(&t->hash);
	}
	raw_spin_unlock_irq(&threads_lock);
	thread_put(t);
	kfree(bond);
	probes_put();
}

/**
 * mbuf_bond_mine() - is the current thread the one?
 * @bond: the bond
 *
 * Return: true if so.
 */
bool mbuf_bond_mine(const struct mbuf_bond *bond)
{
	const struct mbuf_thread *t = bond->thread;

	return t->task == current && !READ_ONCE(t->ended);
}

/**
 * mbuf_bind_current() - the current thread, if anything belongs to it
 *
 * Return: to be compared with the thread of a bond, NULL if nothing does.
 */
const struct mbuf_thread *mbuf_bind_current(void)
{
	const struct mbuf_thread *t;

	rcu_read_lock();
	t = thread_find(current);
	rcu_read_unlock();
	return t;
}

/**
 * mbuf_bind_init() - prepare for mbuf_bind()
 *
 * Return: 0 or -ENOMEM.
 */
int __init mbuf_bind_init(void)
{
	bind_wq = alloc_workqueue("mbuf_bind", WQ_UNBOUND, 0);
	if (!bind_wq)
		return -ENOMEM;
	probes_find();
	return 0;
}

/**
 * mbuf_bind_exit() - the opposite; there are no bonds left
 */
void mbuf_bind_exit(void)
{
	cancel_delayed_work_sync(&idle_work);
	probes_idle(NULL);
	probes_sync();
	destroy_workqueue(bind_wq);
	/* thread_put() frees by RCU, without code of ours. */
}
