// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that uses mbuf, for the tests of that: see mbuf_test.h.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/hrtimer.h>
#include <linux/io.h>
#include <linux/mbuf_kernel.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include "mbuf_test.h"

#define RECEIVE_FLAGS	(MBUF_TEST_RECEIVE | MBUF_TEST_ECHO)

/* Longer than any name may be, so that such ones can be tried. */
#define NAME_ROOM	256

#define KEEP_MAX	100000
#define RACE_MAX	1000000
#define ROUNDS_MAX	1000000

/* A limit that is never met, unless something was lost. */
#define PATIENCE	(120 * HZ)

struct test;

/*
 * struct test_end - an endpoint
 * @t: whose
 * @next: an older one; kept until the file is closed, for late receivers
 * @ke: as mbuf knows it
 * @flags: MBUF_TEST_*
 * @inside: receivers that run
 * @over: mbuf_kernel_close() has returned
 * @told: the receiver knows that the peer has gone
 */
struct test_end {
	struct test *t;
	struct test_end *next;
	struct mbuf_kernel_end *ke;
	u32 flags;
	atomic_t inside;
	bool over;
	bool told;
};

/*
 * struct accepted - an endpoint from the listener
 * @t: whose
 * @ke: as mbuf knows it
 * @link: among those that are open; who takes it out closes it
 * @greet: send a value at the beginning
 * @echo: send back what comes
 */
struct accepted {
	struct test *t;
	struct mbuf_kernel_end *ke;
	struct list_head link;
	bool greet;
	bool echo;
};

/*
 * struct test - an open file
 * @lock: protects making and closing
 * @end: the endpoint; looked up by interrupts under RCU
 * @all: it and all older ones
 * @timer: the interrupt source
 * @release: for receivers that wait
 * @stats: each field has one writer, the receiver or the interrupt
 * @kept: endpoints of channels between drivers
 * @listener: a listener, or NULL
 * @listen: how it was made
 * @asking: calls of the acceptor that run
 * @accepts: what it has seen; @accepted_lock
 * @accepted: its endpoints that are open; @accepted_lock
 */
struct test {
	struct mutex lock;	/* see above */
	struct test_end __rcu *end;
	struct test_end *all;
	struct hrtimer timer;
	u64 limit;
	ktime_t period;
	unsigned int hold;
	struct completion release;
	struct mbuf_test_stats stats;
	struct mbuf_kernel_end **kept;
	u32 nr_kept;
	struct mbuf_kernel_listener *listener;
	struct mbuf_test_listen listen;
	atomic_t asking;
	struct mbuf_test_accepts accepts;
	spinlock_t accepted_lock;	/* see above */
	struct list_head accepted;
};

/* Of a field that others read. */
static void count(u64 *n)
{
	WRITE_ONCE(*n, *n + 1);
}

static void test_timer_setup(struct hrtimer *timer,
			     enum hrtimer_restart (*fn)(struct hrtimer *),
			     enum hrtimer_mode mode)
{
#ifdef HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, mode);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, mode);
	timer->function = fn;
#endif
}

/* The interrupt source */

static enum hrtimer_restart test_fire(struct hrtimer *timer)
{
	struct test *t = container_of(timer, struct test, timer);
	struct mbuf_test_stats *s = &t->stats;
	struct mbuf_test_value v = mbuf_test_value(s->fired + 1);
	struct test_end *e;

	if (!in_hardirq())
		count(&s->not_hard);
	rcu_read_lock();
	e = rcu_dereference(t->end);
	if (e) {
		ndelay(t->hold);
		switch (mbuf_kernel_send(e->ke, &v)) {
		case 0:
			count(&s->fired);
			break;
		case -ESHUTDOWN:
			count(&s->late);
			break;
		default:
			count(&s->refused);
		}
	} else {
		count(&s->none);
	}
	rcu_read_unlock();
	if (t->limit && s->fired >= t->limit)
		return HRTIMER_NORESTART;
	hrtimer_forward_now(timer, t->period);
	return HRTIMER_RESTART;
}

static long test_timer(struct test *t, void __user *arg)
{
	struct mbuf_test_timer a;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.hold > 100 * NSEC_PER_USEC || a.period > NSEC_PER_SEC ||
	    (a.period && a.period < 10 * NSEC_PER_USEC))
		return -EINVAL;
	mutex_lock(&t->lock);
	hrtimer_cancel(&t->timer);
	if (a.period) {
		t->period = ns_to_ktime(a.period);
		t->limit = a.limit;
		t->hold = a.hold;
		/* On this CPU, so that the test can choose. */
		hrtimer_start(&t->timer, t->period,
			      HRTIMER_MODE_REL_PINNED_HARD);
	}
	mutex_unlock(&t->lock);
	return 0;
}

/* The endpoint */

static void test_close(struct test *t)
{
	struct test_end *e;

	/* The receiver may do the same: who gets it closes it. */
	e = unrcu_pointer(xchg(&t->end, NULL));
	if (!e)
		return;
	mbuf_kernel_close(e->ke);
	WRITE_ONCE(e->over, true);
}

static void test_receive(struct mbuf_kernel_end *ke,
			 const struct mbuf_kernel_msg *msg, void *priv)
{
	struct test_end *e = priv;
	struct test *t = e->t;
	struct mbuf_test_stats *s = &t->stats;
	struct mbuf_test_value v;
	u64 number, command;

	if (atomic_inc_return(&e->inside) != 1)
		count(&s->nested);
	if (READ_ONCE(e->over))
		count(&s->after);
	if (e->told)
		count(&s->again);
	e->told = msg->closed;
	if (!in_task() || irqs_disabled() || in_softirq())
		count(&s->atomic);
	might_sleep();

	memcpy(&v, msg->data, sizeof(v));
	number = mbuf_test_number(&v);
	command = number;
	if (!mbuf_test_whole(&v)) {
		count(&s->torn);
		/* Whatever else is sent here must not look like a command. */
		command = 0;
	}
	WRITE_ONCE(s->last, number);
	WRITE_ONCE(s->seq, msg->seq);
	WRITE_ONCE(s->signals, s->signals + msg->signals);
	if (msg->closed)
		count(&s->closed);

	if (command == MBUF_TEST_CMD_BLOCK) {
		WRITE_ONCE(s->blocked, 1);
		wait_for_completion(&t->release);
		WRITE_ONCE(s->blocked, 0);
	} else if (e->flags & MBUF_TEST_ECHO && !msg->closed) {
		mbuf_kernel_send(ke, &v);
	}
	/* The last, so that what was counted is there when it is seen. */
	smp_store_release(&s->received, s->received + 1);
	atomic_dec(&e->inside);
	if (command == MBUF_TEST_CMD_CLOSE)
		test_close(t);
}

static struct test_end *test_end_new(struct test *t, u32 flags)
{
	struct test_end *e = kzalloc(sizeof(*e), GFP_KERNEL);

	if (e) {
		e->t = t;
		e->flags = flags;
	}
	return e;
}

static long test_open_end(struct test *t, void __user *arg)
{
	struct mbuf_kernel_receiver receiver = { .receive = test_receive };
	struct mbuf_kernel_fd user;
	struct mbuf_test_open a;
	struct test_end *e;
	long err = 0;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.flags & ~RECEIVE_FLAGS || a.resv)
		return -EINVAL;
	mutex_lock(&t->lock);
	if (rcu_access_pointer(t->end)) {
		err = -EBUSY;
		goto unlock;
	}
	e = test_end_new(t, a.flags);
	if (!e) {
		err = -ENOMEM;
		goto unlock;
	}
	receiver.priv = e;
	e->ke = mbuf_kernel_create(a.flags & MBUF_TEST_RECEIVE ? &receiver :
				   NULL, a.end_flags, &user);
	if (IS_ERR(e->ke)) {
		err = PTR_ERR(e->ke);
		kfree(e);
		goto unlock;
	}
	e->next = t->all;
	t->all = e;
	a.fd = user.fd;
	a.id = user.id;
	if (copy_to_user(arg, &a, sizeof(a))) {
		mbuf_kernel_fd_abort(&user);
		mbuf_kernel_close(e->ke);
		err = -EFAULT;
		goto unlock;
	}
	rcu_assign_pointer(t->end, e);
	mbuf_kernel_fd_install(&user);
unlock:
	mutex_unlock(&t->lock);
	return err;
}

/* A call in a certain context */

static DEFINE_RAW_SPINLOCK(test_raw_lock);

/*
 * struct call - a call that is to be made
 * @t: on whose endpoint
 * @ke: or on this one, if @t is NULL
 * @a: what, and the result
 * @msg: result of READ and TAKE
 * @timer: for interrupts
 * @done: it was made
 */
struct call {
	struct test *t;
	struct mbuf_kernel_end *ke;
	struct mbuf_test_call a;
	struct mbuf_kernel_msg msg;
	struct hrtimer timer;
	struct completion done;
};

static int call_op(struct call *call)
{
	struct mbuf_kernel_end *ke = call->ke;
	const struct test_end *e;
	int err;

	rcu_read_lock();
	if (call->t) {
		e = rcu_dereference(call->t->end);
		ke = e ? e->ke : NULL;
	}
	switch (ke ? call->a.op : MBUF_TEST_OPS) {
	case MBUF_TEST_OP_WRITE:
		err = mbuf_kernel_write(ke, &call->a.value);
		break;
	case MBUF_TEST_OP_SIGNAL:
		err = mbuf_kernel_signal(ke);
		break;
	case MBUF_TEST_OP_SEND:
		err = mbuf_kernel_send(ke, &call->a.value);
		break;
	case MBUF_TEST_OP_READ:
		err = mbuf_kernel_read(ke, &call->msg);
		break;
	case MBUF_TEST_OP_TAKE:
		err = mbuf_kernel_take(ke, &call->msg);
		break;
	default:
		err = -ENXIO;
	}
	rcu_read_unlock();
	return err;
}

static enum hrtimer_restart call_fire(struct hrtimer *timer)
{
	struct call *call = container_of(timer, struct call, timer);

	if (call->a.context == MBUF_TEST_HARD_IRQ)
		call->a.right = in_hardirq() && irqs_disabled();
	else
		call->a.right = in_serving_softirq() && !in_hardirq();
	call->a.result = call_op(call);
	complete(&call->done);
	return HRTIMER_NORESTART;
}

static void call_by_timer(struct call *call)
{
	enum hrtimer_mode mode = call->a.context == MBUF_TEST_HARD_IRQ ?
				 HRTIMER_MODE_REL_HARD : HRTIMER_MODE_REL_SOFT;

	init_completion(&call->done);
	test_timer_setup(&call->timer, call_fire, mode);
	hrtimer_start(&call->timer, ns_to_ktime(20 * NSEC_PER_USEC), mode);
	wait_for_completion(&call->done);
	/* It may still be on its way out. */
	hrtimer_cancel(&call->timer);
}

static void call_here(struct call *call)
{
	unsigned long flags;

	switch (call->a.context) {
	case MBUF_TEST_PREEMPT_OFF:
		preempt_disable();
		call->a.right = in_task() && !irqs_disabled();
		call->a.result = call_op(call);
		preempt_enable();
		break;
	case MBUF_TEST_BH_OFF:
		local_bh_disable();
		call->a.right = in_softirq() && !irqs_disabled();
		call->a.result = call_op(call);
		local_bh_enable();
		break;
	case MBUF_TEST_IRQ_OFF:
		local_irq_save(flags);
		call->a.right = irqs_disabled();
		call->a.result = call_op(call);
		call->a.right &= irqs_disabled();
		local_irq_restore(flags);
		break;
	case MBUF_TEST_RAW_LOCK:
		raw_spin_lock_irqsave(&test_raw_lock, flags);
		call->a.right = irqs_disabled();
		call->a.result = call_op(call);
		call->a.right &= irqs_disabled();
		raw_spin_unlock_irqrestore(&test_raw_lock, flags);
		break;
	default:
		call->a.right = in_task() && !irqs_disabled();
		call->a.result = call_op(call);
	}
}

static long test_call(struct test *t, void __user *arg)
{
	struct call *call;
	long err = 0;

	call = kzalloc(sizeof(*call), GFP_KERNEL);
	if (!call)
		return -ENOMEM;
	if (copy_from_user(&call->a, arg, sizeof(call->a))) {
		err = -EFAULT;
		goto free;
	}
	if (call->a.context >= MBUF_TEST_CONTEXTS ||
	    call->a.op >= MBUF_TEST_OPS) {
		err = -EINVAL;
		goto free;
	}
	call->t = t;
	if (call->a.context == MBUF_TEST_HARD_IRQ ||
	    call->a.context == MBUF_TEST_SOFT_IRQ)
		call_by_timer(call);
	else
		call_here(call);
	if (call->a.result == -ENXIO) {
		err = -ENXIO;
		goto free;
	}
	if (call->a.op == MBUF_TEST_OP_READ || call->a.op == MBUF_TEST_OP_TAKE) {
		memcpy(&call->a.value, call->msg.data, sizeof(call->a.value));
		call->a.seq = call->msg.seq;
		call->a.signals = call->msg.signals;
		call->a.closed = call->msg.closed;
	}
	if (copy_to_user(arg, &call->a, sizeof(call->a)))
		err = -EFAULT;
free:
	kfree(call);
	return err;
}

/* What is known */

static long test_stats(struct test *t, void __user *arg)
{
	struct mbuf_test_stats s;
	u64 received;

	/* All that belongs to so many calls of the receiver, or to more. */
	received = smp_load_acquire(&t->stats.received);
	s = t->stats;
	s.received = received;
	s.active = hrtimer_active(&t->timer);
	return copy_to_user(arg, &s, sizeof(s)) ? -EFAULT : 0;
}

static long test_peer(struct test *t, void __user *arg)
{
	struct mbuf_test_peer a = { };
	struct mbuf_kernel_peer peer;
	struct test_end *e;
	long err = 0;

	rcu_read_lock();
	e = rcu_dereference(t->end);
	if (e) {
		mbuf_kernel_peer(e->ke, &peer);
		a.pid = pid_nr(peer.pid);
		a.uid = from_kuid_munged(&init_user_ns, peer.uid);
		a.gid = from_kgid_munged(&init_user_ns, peer.gid);
		a.kernel = peer.kernel;
		a.start = peer.start;
	} else {
		err = -ENXIO;
	}
	rcu_read_unlock();
	return err ?: copy_to_user(arg, &a, sizeof(a)) ? -EFAULT : 0;
}

/* Two drivers that pass pages to each other */

struct drivers;

/*
 * struct driver - one of two drivers
 * @both: it and the other one
 * @end: its end of the channel
 * @page: its own page
 * @passed: how often it has passed it
 */
struct driver {
	struct drivers *both;
	struct mbuf_kernel_end *end;
	struct page *page;
	u32 passed;
};

struct drivers {
	struct driver driver[2];
	u32 rounds;
	u64 verified;
	u64 wrong;
	struct completion done;
};

/* What is passed: words of a struct mbuf_test_value. */
enum { PASS_ADDRESS, PASS_LENGTH, PASS_SEED };

static u64 page_word(u64 seed, unsigned int at)
{
	return (seed + at) * 0x9e3779b97f4a7c15ULL;
}

/* Fill the own page anew, and say where it is. */
static int driver_pass(struct driver *d, struct mbuf_test_value *v)
{
	u64 seed = get_random_u32();
	unsigned int i;
	u64 *words;

	words = kmap_local_page(d->page);
	for (i = 0; i < PAGE_SIZE / sizeof(u64); i++)
		words[i] = page_word(seed, i);
	kunmap_local(words);
	v->word[PASS_ADDRESS] = page_to_phys(d->page);
	v->word[PASS_LENGTH] = PAGE_SIZE;
	v->word[PASS_SEED] = seed;
	d->passed++;
	return 0;
}

static bool page_right(const struct mbuf_test_value *v)
{
	unsigned int i, bad = 0;
	const u64 *words;

	if (v->word[PASS_LENGTH] != PAGE_SIZE ||
	    v->word[PASS_ADDRESS] & ~PAGE_MASK ||
	    !pfn_valid(PHYS_PFN(v->word[PASS_ADDRESS])))
		return false;
	words = kmap_local_page(pfn_to_page(PHYS_PFN(v->word[PASS_ADDRESS])));
	for (i = 0; i < PAGE_SIZE / sizeof(u64); i++)
		bad += words[i] != page_word(v->word[PASS_SEED], i);
	kunmap_local(words);
	return !bad;
}

static void driver_receive(struct mbuf_kernel_end *ke,
			   const struct mbuf_kernel_msg *msg, void *priv)
{
	struct driver *d = priv;
	struct drivers *both = d->both;
	struct mbuf_test_value v;

	if (msg->closed)
		return;
	memcpy(&v, msg->data, sizeof(v));
	/* They take turns, so that nobody else counts. */
	if (msg->signals == 1 && page_right(&v))
		both->verified++;
	else
		both->wrong++;
	if (d->passed == both->rounds) {
		complete(&both->done);
		return;
	}
	driver_pass(d, &v);
	if (mbuf_kernel_send(ke, &v)) {
		both->wrong++;
		complete(&both->done);
	}
}

static long test_drivers(struct test *t, void __user *arg)
{
	struct mbuf_kernel_receiver receiver[2];
	struct mbuf_kernel_end *ends[2];
	struct mbuf_test_drivers a;
	struct drivers *both;
	struct call *call;
	long err, left;
	int i;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (!a.rounds || a.rounds > ROUNDS_MAX ||
	    (a.context != MBUF_TEST_PROCESS && a.context != MBUF_TEST_HARD_IRQ))
		return -EINVAL;
	both = kzalloc(sizeof(*both), GFP_KERNEL);
	call = kzalloc(sizeof(*call), GFP_KERNEL);
	err = -ENOMEM;
	if (!both || !call)
		goto free;
	both->rounds = a.rounds;
	init_completion(&both->done);
	for (i = 0; i < 2; i++) {
		struct driver *d = &both->driver[i];

		d->both = both;
		d->page = alloc_page(GFP_KERNEL);
		if (!d->page)
			goto free_pages;
		receiver[i].receive = driver_receive;
		receiver[i].priv = d;
	}
	err = mbuf_kernel_pair(&receiver[0], &receiver[1], ends);
	if (err)
		goto free_pages;

	call->ke = ends[0];
	call->a.op = MBUF_TEST_OP_SEND;
	call->a.context = a.context;
	driver_pass(&both->driver[0], &call->a.value);
	if (a.context == MBUF_TEST_HARD_IRQ)
		call_by_timer(call);
	else
		call_here(call);
	err = call->a.result;
	if (!err) {
		left = wait_for_completion_killable_timeout(&both->done,
							    PATIENCE);
		if (left <= 0)
			err = left ?: -ETIMEDOUT;
	}
	mbuf_kernel_close(ends[0]);
	mbuf_kernel_close(ends[1]);
	a.verified = both->verified;
	a.wrong = both->wrong;
	if (!err && copy_to_user(arg, &a, sizeof(a)))
		err = -EFAULT;
free_pages:
	for (i = 0; i < 2; i++) {
		if (both->driver[i].page)
			__free_page(both->driver[i].page);
	}
free:
	kfree(call);
	kfree(both);
	return err;
}

/* Closing both ends while they are used */

/*
 * struct racer - one end of a channel in a race
 * @end: it
 * @timer: sends from a hard interrupt
 * @closer: closes it
 * @self: it is its receiver that closes it
 * @gone: that has happened
 * @delay: us from the start until @closer closes it
 */
struct racer {
	struct mbuf_kernel_end __rcu *end;
	struct hrtimer timer;
	struct work_struct closer;
	bool self;
	struct completion gone;
	unsigned int delay;
	atomic_t inside;
	bool over;
	unsigned int closed;
	u64 sent;
	u64 late;
	u64 received;
	u64 wrong;
};

#define RACE_PERIOD	(40 * NSEC_PER_USEC)

static void racer_close(struct racer *r, struct mbuf_kernel_end *ke)
{
	RCU_INIT_POINTER(r->end, NULL);
	mbuf_kernel_close(ke);
	WRITE_ONCE(r->over, true);
}

static enum hrtimer_restart racer_fire(struct hrtimer *timer)
{
	struct racer *r = container_of(timer, struct racer, timer);
	struct mbuf_test_value v = mbuf_test_value(r->sent);
	struct mbuf_kernel_end *ke;

	rcu_read_lock();
	ke = rcu_dereference(r->end);
	if (ke) {
		switch (mbuf_kernel_send(ke, &v)) {
		case 0:
			r->sent++;
			break;
		case -ESHUTDOWN:
			r->late++;
			break;
		}
	}
	rcu_read_unlock();
	hrtimer_forward_now(timer, ns_to_ktime(RACE_PERIOD));
	return HRTIMER_RESTART;
}

static void racer_receive(struct mbuf_kernel_end *ke,
			  const struct mbuf_kernel_msg *msg, void *priv)
{
	struct racer *r = priv;

	if (atomic_inc_return(&r->inside) != 1 || READ_ONCE(r->over))
		r->wrong++;
	r->received++;
	if (msg->closed && r->closed++)
		r->wrong++;
	if (!msg->closed)
		mbuf_kernel_send(ke, msg->data);
	atomic_dec(&r->inside);
	if (msg->closed && r->self) {
		racer_close(r, ke);
		complete(&r->gone);
	}
}

static void racer_work(struct work_struct *work)
{
	struct racer *r = container_of(work, struct racer, closer);
	struct mbuf_kernel_end *ke;

	hrtimer_start(&r->timer, ns_to_ktime(RACE_PERIOD),
		      HRTIMER_MODE_REL_PINNED_HARD);
	rcu_read_lock();
	ke = rcu_dereference(r->end);
	if (ke)
		mbuf_kernel_signal(ke);
	rcu_read_unlock();
	udelay(r->delay);
	if (r->self)
		wait_for_completion(&r->gone);
	else
		racer_close(r, ke);
	hrtimer_cancel(&r->timer);
}

static int race_once(struct racer *r, u32 dice)
{
	const struct mbuf_kernel_receiver receiver[2] = {
		{ racer_receive, &r[0] }, { racer_receive, &r[1] },
	};
	struct mbuf_kernel_end *ends[2];
	int i, err;

	err = mbuf_kernel_pair(&receiver[0], &receiver[1], ends);
	if (err)
		return err;
	for (i = 0; i < 2; i++) {
		r[i].over = false;
		r[i].closed = 0;
		reinit_completion(&r[i].gone);
		rcu_assign_pointer(r[i].end, ends[i]);
	}
	/* One of both at most, or each would wait for the other. */
	r[0].self = dice % 8 == 0;
	r[1].self = dice % 8 == 1;
	r[0].delay = dice / 8 % 256;
	r[1].delay = dice / 2048 % 256;
	queue_work(system_unbound_wq, &r[1].closer);
	racer_work(&r[0].closer);
	flush_work(&r[1].closer);
	return 0;
}

static long test_race(struct test *t, void __user *arg)
{
	struct mbuf_test_race a;
	struct racer *r;
	u64 self = 0;
	u32 dice, n;
	int i, err = 0;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.rounds > RACE_MAX)
		return -EINVAL;
	r = kcalloc(2, sizeof(*r), GFP_KERNEL);
	if (!r)
		return -ENOMEM;
	for (i = 0; i < 2; i++) {
		test_timer_setup(&r[i].timer, racer_fire,
				 HRTIMER_MODE_REL_PINNED_HARD);
		INIT_WORK(&r[i].closer, racer_work);
		init_completion(&r[i].gone);
	}
	dice = a.seed;
	for (n = 0; n < a.rounds && !err; n++) {
		dice = dice * 1664525 + 1013904223;
		err = race_once(r, dice >> 8);
		self += r[0].self + r[1].self;
		if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	/* What closed itself may still be on its way out. */
	mbuf_kernel_flush();

	a.sent = r[0].sent + r[1].sent;
	a.received = r[0].received + r[1].received;
	a.late = r[0].late + r[1].late;
	a.wrong = r[0].wrong + r[1].wrong;
	a.self = self;
	kfree(r);
	if (!err && copy_to_user(arg, &a, sizeof(a)))
		err = -EFAULT;
	return err;
}

/* Channels that are just there */

static void test_unkeep(struct test *t)
{
	while (t->nr_kept)
		mbuf_kernel_close(t->kept[--t->nr_kept]);
	kvfree(t->kept);
	t->kept = NULL;
}

static long test_keep(struct test *t, void __user *arg)
{
	struct mbuf_kernel_end **kept;
	long err = 0;
	u32 n;

	if (get_user(n, (u32 __user *)arg))
		return -EFAULT;
	if (!n || n > KEEP_MAX)
		return -EINVAL;
	kept = kvcalloc(n, 2 * sizeof(*kept), GFP_KERNEL);
	if (!kept)
		return -ENOMEM;
	mutex_lock(&t->lock);
	if (t->kept) {
		mutex_unlock(&t->lock);
		kvfree(kept);
		return -EBUSY;
	}
	t->kept = kept;
	while (t->nr_kept < 2 * n && !err) {
		err = mbuf_kernel_pair(NULL, NULL, kept + t->nr_kept);
		if (!err)
			t->nr_kept += 2;
	}
	if (err)
		test_unkeep(t);
	mutex_unlock(&t->lock);
	return err;
}

/* Names */

static int name_get(struct mbuf_kernel_name *name, u8 *room, u64 from, u32 len)
{
	name->net = NULL;
	name->name = room;
	name->len = min_t(u32, len, NAME_ROOM);
	return copy_from_user(room, u64_to_user_ptr(from), name->len) ?
	       -EFAULT : 0;
}

/* Does the caller close it, or somebody else? */
static bool accepted_claim(struct accepted *a)
{
	struct test *t = a->t;
	bool claimed;

	spin_lock(&t->accepted_lock);
	claimed = !list_empty(&a->link);
	if (claimed) {
		list_del_init(&a->link);
		t->accepts.open--;
	}
	spin_unlock(&t->accepted_lock);
	return claimed;
}

static void accepted_receive(struct mbuf_kernel_end *ke,
			     const struct mbuf_kernel_msg *msg, void *priv)
{
	struct mbuf_test_value v = mbuf_test_value(MBUF_TEST_GREETING);
	struct accepted *a = priv;

	if (a->greet && !msg->closed)
		mbuf_kernel_send(ke, &v);
	a->greet = false;
	if (a->echo && msg->signals && !msg->closed)
		mbuf_kernel_send(ke, msg->data);
	if (msg->closed && accepted_claim(a)) {
		mbuf_kernel_close(ke);
		kfree(a);
	}
}

/* What came of one call of the acceptor: who sees it sees all of it. */
static void accepts_add(struct test *t, const struct mbuf_test_accepts *more)
{
	struct mbuf_test_accepts *s = &t->accepts;

	spin_lock(&t->accepted_lock);
	s->asked += more->asked;
	s->refused += more->refused;
	s->drivers += more->drivers;
	s->wrong += more->wrong;
	s->hello = more->hello;
	s->peer = more->peer;
	spin_unlock(&t->accepted_lock);
}

static struct mbuf_test_accepts accepts_of(struct test *t)
{
	struct mbuf_test_accepts s;

	spin_lock(&t->accepted_lock);
	s = t->accepts;
	spin_unlock(&t->accepted_lock);
	return s;
}

static int test_accept(struct mbuf_kernel_end *ke,
		       const struct mbuf_kernel_peer *peer,
		       const struct mbuf_kernel_msg *hello,
		       struct mbuf_kernel_receiver *receiver, void *priv)
{
	struct test *t = priv;
	struct mbuf_test_accepts s = { .asked = 1 };
	struct mbuf_test_value v;
	struct accepted *a;
	int err = 0;

	if (atomic_inc_return(&t->asking) != 1 || receiver->receive)
		s.wrong++;
	memcpy(&v, hello->data, sizeof(v));
	s.hello = mbuf_test_number(&v);
	s.peer.pid = pid_nr(peer->pid);
	s.peer.uid = from_kuid_munged(&init_user_ns, peer->uid);
	s.peer.gid = from_kgid_munged(&init_user_ns, peer->gid);
	s.peer.kernel = peer->kernel;
	s.peer.start = peer->start;
	if (peer->kernel)
		s.drivers++;
	/* Too early. */
	switch (mbuf_kernel_signal(ke)) {
	case -ENOTCONN:
	case -EPIPE:	/* it has gone already */
		break;
	default:
		s.wrong++;
	}
	if (t->listen.refuse == (s32)s.peer.uid) {
		s.refused++;
		err = -EACCES;
		goto out;
	}
	a = kzalloc(sizeof(*a), GFP_KERNEL);
	err = -ENOMEM;
	if (!a)
		goto out;
	err = 0;
	a->t = t;
	a->ke = ke;
	a->greet = t->listen.flags & MBUF_TEST_GREET;
	a->echo = t->listen.flags & MBUF_TEST_ECHO;
	if (t->listen.flags & MBUF_TEST_RECEIVE) {
		receiver->receive = accepted_receive;
		receiver->priv = a;
	}
	/* From here on somebody else may close it. */
	spin_lock(&t->accepted_lock);
	list_add(&a->link, &t->accepted);
	t->accepts.open++;
	spin_unlock(&t->accepted_lock);
out:
	atomic_dec(&t->asking);
	accepts_add(t, &s);
	return err;
}

static long test_listen(struct test *t, void __user *arg)
{
	struct mbuf_kernel_acceptor acceptor = {
		.accept = test_accept,
		.priv = t,
	};
	struct mbuf_kernel_listener *kl;
	struct mbuf_test_listen a;
	struct mbuf_kernel_name name;
	u8 room[NAME_ROOM];
	long err;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.flags & ~(RECEIVE_FLAGS | MBUF_TEST_GREET) || a.resv)
		return -EINVAL;
	err = name_get(&name, room, a.name, a.len);
	if (err)
		return err;
	mutex_lock(&t->lock);
	if (t->listener) {
		err = -EBUSY;
	} else {
		t->listen = a;
		kl = mbuf_kernel_listen(&name, a.mode, a.backlog, &acceptor);
		err = PTR_ERR_OR_ZERO(kl);
		if (!err)
			t->listener = kl;
	}
	mutex_unlock(&t->lock);
	return err;
}

static void test_unlisten(struct test *t)
{
	u64 asked;

	mbuf_kernel_unlisten(t->listener);
	t->listener = NULL;
	asked = accepts_of(t).asked;
	if (atomic_read(&t->asking) || asked != accepts_of(t).asked) {
		spin_lock(&t->accepted_lock);
		t->accepts.wrong++;
		spin_unlock(&t->accepted_lock);
	}
}

static void test_close_accepted(struct test *t)
{
	struct accepted *a;

	do {
		spin_lock(&t->accepted_lock);
		a = list_first_entry_or_null(&t->accepted, struct accepted,
					     link);
		if (a) {
			list_del_init(&a->link);
			t->accepts.open--;
		}
		spin_unlock(&t->accepted_lock);
		if (a) {
			mbuf_kernel_close(a->ke);
			kfree(a);
		}
	} while (a);
}

static long test_connect(struct test *t, void __user *arg)
{
	struct mbuf_kernel_receiver receiver = { .receive = test_receive };
	struct mbuf_test_value hello;
	struct mbuf_test_connect a;
	struct mbuf_kernel_name name;
	kuid_t maker = INVALID_UID;
	ktime_t deadline = KTIME_MAX;
	u8 room[NAME_ROOM];
	struct test_end *e;
	long err;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.flags & ~RECEIVE_FLAGS || a.greet > 1)
		return -EINVAL;
	err = name_get(&name, room, a.name, a.len);
	if (err)
		return err;
	if (a.maker >= 0)
		maker = make_kuid(&init_user_ns, a.maker);
	if (!a.wait)
		deadline = 0;
	else if (a.wait != ~0ULL)
		deadline = ktime_add_ns(ktime_get(), a.wait);
	hello = mbuf_test_value(a.hello);

	err = mutex_lock_interruptible(&t->lock);
	if (err)
		return err;
	if (rcu_access_pointer(t->end)) {
		err = -EBUSY;
		goto unlock;
	}
	e = test_end_new(t, a.flags);
	if (!e) {
		err = -ENOMEM;
		goto unlock;
	}
	receiver.priv = e;
	e->ke = mbuf_kernel_connect(&name, maker, a.greet ? &hello : NULL,
				    deadline,
				    a.flags & MBUF_TEST_RECEIVE ? &receiver :
								  NULL);
	err = PTR_ERR_OR_ZERO(e->ke);
	if (err) {
		kfree(e);
		goto unlock;
	}
	e->next = t->all;
	t->all = e;
	rcu_assign_pointer(t->end, e);
unlock:
	mutex_unlock(&t->lock);
	return err;
}

static long test_accepts(struct test *t, void __user *arg)
{
	const struct mbuf_test_accepts s = accepts_of(t);

	return copy_to_user(arg, &s, sizeof(s)) ? -EFAULT : 0;
}

/* The device */

static int test_open(struct inode *inode, struct file *file)
{
	struct test *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	mutex_init(&t->lock);
	init_completion(&t->release);
	spin_lock_init(&t->accepted_lock);
	INIT_LIST_HEAD(&t->accepted);
	test_timer_setup(&t->timer, test_fire, HRTIMER_MODE_REL_PINNED_HARD);
	file->private_data = t;
	return nonseekable_open(inode, file);
}

static int test_release(struct inode *inode, struct file *file)
{
	struct test *t = file->private_data;

	complete_all(&t->release);
	/* First the endpoint: the interrupts have to cope with that. */
	mutex_lock(&t->lock);
	test_close(t);
	test_unkeep(t);
	test_unlisten(t);
	test_close_accepted(t);
	mutex_unlock(&t->lock);
	hrtimer_cancel(&t->timer);
	/* It may have closed its endpoint itself. */
	mbuf_kernel_flush();
	while (t->all) {
		struct test_end *e = t->all;

		t->all = e->next;
		kfree(e);
	}
	kfree(t);
	return 0;
}

static long test_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct test *t = file->private_data;
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case MBUF_TEST_OPEN:
		return test_open_end(t, uarg);
	case MBUF_TEST_TIMER:
		return test_timer(t, uarg);
	case MBUF_TEST_CALL:
		return test_call(t, uarg);
	case MBUF_TEST_STATS:
		return test_stats(t, uarg);
	case MBUF_TEST_PEER:
		return test_peer(t, uarg);
	case MBUF_TEST_CLOSE:
		mutex_lock(&t->lock);
		test_close(t);
		mutex_unlock(&t->lock);
		return 0;
	case MBUF_TEST_RELEASE:
		complete_all(&t->release);
		return 0;
	case MBUF_TEST_DRIVERS:
		return test_drivers(t, uarg);
	case MBUF_TEST_RACE:
		return test_race(t, uarg);
	case MBUF_TEST_KEEP:
		return test_keep(t, uarg);
	case MBUF_TEST_LISTEN:
		return test_listen(t, uarg);
	case MBUF_TEST_UNLISTEN:
		mutex_lock(&t->lock);
		test_unlisten(t);
		mutex_unlock(&t->lock);
		return 0;
	case MBUF_TEST_CONNECT:
		return test_connect(t, uarg);
	case MBUF_TEST_ACCEPTS:
		return test_accepts(t, uarg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations test_fops = {
	.owner		= THIS_MODULE,
	.open		= test_open,
	.release	= test_release,
	.unlocked_ioctl	= test_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

static struct miscdevice test_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "mbuf-test",
	.fops	= &test_fops,
	/* It reaches what nobody else may: interrupts, and pages by number. */
	.mode	= 0600,
};
module_misc_device(test_device);

MODULE_DESCRIPTION("A driver that uses mbuf, made to be tested");
MODULE_LICENSE("GPL");
