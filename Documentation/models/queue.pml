/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The protocol of mbuf's queue: see README.md here for what is claimed, for
 * which function of module/ each part stands for, and for what is left out.
 *
 * Senders and receivers, each with a right of its own, send and receive until
 * they have had enough, and then close. All that the environment may do (a
 * call that waits or does not, a large message or a small one, a signal, a
 * deadline, a fault, a kill, a close) is chosen anew each time.
 *
 * What happens under the queue's lock is one atomic step, except where another
 * party can see the middle of it: the outcome of a wait is read by the waiter
 * without the lock, so storing it is a step by itself, with the lock held, and
 * so is dropping the lock after it. Waking is a step after that. Two things
 * that happen without the lock are in one step only if one of them concerns
 * nobody else.
 *
 * These select the size: NS, NR, SLOTS, MSGS_0, MSGS_N. POLL lets parties poll,
 * and with OVERWRITE a sender that finds the queue full drops the oldest message
 * instead of waiting. These select wrong variants, and each has to fail:
 *
 *	NO_RECHECK		who gives up waiting does not look again
 *	RECHECK_UNLOCKED	it looks again before it takes the lock
 *	WITHDRAW_STAYS		it gives up and stays in line
 *	WAKE_FIRST		wakes, then stores the outcome
 *	CHECK_FIRST		looks at the outcome, then goes to sleep
 *	NO_TASK_REF		wakes without a reference to the task
 *	UNLINK_LATE		takes the waiter out of the line after storing
 *				the outcome
 *	HANDOFF_STAYS		hands over and leaves the receiver in line
 *	LINE_LIFO		the last to come is served first
 *	ADMIT_LATER		lets parked messages in after dropping the lock
 *	WAKE_TO_RETRY		wakes a parked sender to try again
 *	ADMIT_NEVER		lets nobody in
 *	ADMIT_SKIPPED		lets nobody in after a put-back
 *	ADMIT_OVERFULL		lets one in though the queue is over-full
 *	PUT_BACK_TAIL		a message comes back behind the others
 *	PUT_BACK_HEAD		a message comes back before the others, even if
 *				they came back first and are older
 *	PUT_BACK_DROPS		a message comes back only if there is room
 *	PUT_BACK_QUEUES		a message comes back though receivers wait
 *	SPARE_FROM_SLOTS	a receiver waits with a slot that the queue needs
 *	SLOW_TAKES_SLOT		a receiver drops the lock before it waits, and
 *				then takes out what has come, slot and all
 *	OVERWRITE_TIGHT		there is no slot to fill before one is dropped
 *	OVERWRITE_NEWEST	the newest message is dropped
 *	PUT_BACK_OVERFULL	a message that comes back drops none
 *	CLOSE_LATE		dismisses those in line, then counts the right
 *				off
 *	CLOSE_ALONE		dismisses nobody
 *	POLL_LOOKS_FIRST	a poller looks, then enters the waitqueue
 *	POLL_IN_MISSED		a message that comes back wakes no poller
 *	POLL_OUT_MISSED		a slot that becomes free wakes no poller
 *
 * NO_INVARIANTS leaves out I1 to I4 and what lists demand, to see what breaking
 * them leads to.
 * EOF_IS_LAST adds a property that the protocol does not have, which has to
 * fail, too: that nobody sees the end before all messages are received.
 */

#ifndef NS
#define NS	2	/* senders */
#endif
#ifndef NR
#define NR	2	/* receivers */
#endif
#ifndef SLOTS
#define SLOTS	2
#endif
#ifndef MSGS_0
#define MSGS_0	2	/* messages of the first sender */
#endif
#ifndef MSGS_N
#define MSGS_N	1	/* messages of every other sender */
#endif

#define NM	(MSGS_0 + (NS - 1) * MSGS_N)
#define NP	(NS + NR)

/* As long as any list can get: at least NM, NS and NR. */
#ifndef LEN
#define LEN	4
#endif

typedef list {
	byte n;
	byte at[LEN];
}

/* Senders are 0 to NS - 1, receivers are NS to NP - 1. */
#define FIRST(p) ((p) == 0 -> 0 : MSGS_0 + ((p) - 1) * MSGS_N)
#define QUOTA(p) ((p) == 0 -> MSGS_0 : MSGS_N)

/*
 * assert() under a name, which is a constant 0, so that a report says what was
 * violated.
 */
#define CHECK(name, cond)	assert(name || (cond))
#ifdef NO_INVARIANTS
#define INVARIANT(name, cond)	skip
#else
#define INVARIANT(name, cond)	CHECK(name, cond)
#endif

hidden byte I1, I2, I3, I4;	/* see invariants() */
hidden byte not_in_list;	/* what is taken out of a list is not in it */
hidden byte lost;		/* a message is nowhere */
hidden byte doubled;		/* a message or a waiter is served twice */
hidden byte reordered;		/* a message leaves before an older one */
hidden byte too_many;		/* a message enters a full queue */
hidden byte overtaken;		/* somebody gets before who waits what he waits for */
hidden byte out_of_line;	/* who waits is not served in order */
hidden byte failed_with_effect;
hidden byte succeeded_without_effect;
hidden byte dead_waiter;	/* a waiter is used after its owner returned */
hidden byte dead_task;		/* a task that is gone is woken */
hidden byte dead_queue;		/* a slot is given to a dead queue */
hidden byte no_slot;		/* there is no slot for a message to be sent */
hidden byte slot_leaked;	/* a slot is nowhere */
hidden byte early_eof;		/* see EOF_IS_LAST */

/* Results of calls. */
#define OK	1
#define EAGAIN	2		/* or, after waiting, EINTR or ETIMEDOUT */
#define EPIPE	3
#define TAKEN	4		/* OK, and there is nothing left to be done */
#define LINE	5		/* not a result yet: it is in line */
#define SPARE	6		/* likewise: it has allocated a slot */
#define AGAIN	7		/* likewise, in some variants */

/* struct mbuf_queue; the two lists after the lock are level[0]. */
bit lock;
list queued;
list parked;
list receivers;
byte nr_send = NS;
byte nr_recv = NR;

/* struct mbuf_slots; see queue_slots() for what overwriting needs */
#if defined(OVERWRITE) && !defined(OVERWRITE_TIGHT)
#define NR_KEEP	(SLOTS + 1)
#else
#define NR_KEEP	SLOTS
#endif
byte nr_free = NR_KEEP + 1;
byte nr_slots = NR_KEEP + 1;	/* free or not */

/* struct mbuf_waiter, and the task that it belongs to. */
#define WAITING	0
#define DONE	1
#define GONE	2
#define RETRY	3		/* only with WAKE_TO_RETRY */
byte state[NP];
byte item[NP];			/* sender: its message; receiver: what it got */
bit spare[NP];			/* it has brought a slot */
bit waiter[NP];			/* the waiter exists */
bit asleep[NP];			/* TASK_INTERRUPTIBLE */
bit exited[NP];
byte refs[NP];			/* get_task_struct() */

/* struct mbuf_item */
bit large[NM];			/* has to be copied without the lock */
bit slot[NM];			/* is in a slot */
list order;			/* seq: QUEUED and HELD, as they entered */

#ifdef POLL
bit on_wq[NP];			/* in poll_in or poll_out */
bit triggered[NP];
#endif

/* What the properties are about, and the protocol knows nothing of. */
#define NEW	0		/* not sent yet */
#define QUEUED	1
#define HELD	2		/* has left the queue to a receiver */
#define OVER	3		/* received, dropped, or sending it failed */
byte where[NM];
list blocked;			/* senders that wait, in order of arrival */
list queuing;			/* receivers likewise */
#ifdef EOF_IS_LAST
bit eof_seen;
#endif
#ifdef ADMIT_SKIPPED
bit skip_one;
#endif

/*
 * For use within one step. The checker restores the first two when it goes back
 * into the middle of a step, and not what a d_step changes, so that has others.
 */
hidden byte x, y;
hidden byte dx, dy;

/* What is done with lists; all under the lock. */
inline list_add_tail(l, what)
{
	l.at[l.n] = what;
	l.n++
}

/* At place dx, which is known. */
inline list_add_at(l, what)
{
	dy = l.n;
	do
	:: dy > dx -> l.at[dy] = l.at[dy - 1]; dy--
	:: else -> break
	od;
	l.at[dx] = what;
	l.n++
}

inline list_add(l, what)
{
	d_step {
		dx = 0;
		list_add_at(l, what)
	}
}

/* From place dx on. */
inline list_close(l)
{
	l.n--;
	do
	:: dx < l.n -> l.at[dx] = l.at[dx + 1]; dx++
	:: else -> break
	od;
	l.at[dx] = 0
}

inline list_pop(l)
{
	d_step {
		dx = 0;
		list_close(l)
	}
}

inline list_del(l, what)
{
	d_step {
		dx = 0;
		do
		:: dx < l.n && l.at[dx] != what -> dx++
		:: else -> break
		od;
		INVARIANT(not_in_list, dx < l.n);
		if
		:: dx < l.n -> list_close(l)
		:: else
		fi
	}
}

/*
 * Those of module/queue.h, whenever the lock is free. Senders may be in line in
 * a dead queue until dismiss() is through with them.
 */
inline invariants()
{
	INVARIANT(I1, receivers.n == 0 || queued.n == 0);
	INVARIANT(I2, parked.n == 0 || queued.n >= SLOTS || nr_recv == 0);
	INVARIANT(I3, nr_recv == 0 || nr_free + queued.n >= NR_KEEP);
#ifdef OVERWRITE
	CHECK(too_many, queued.n <= SLOTS);
#endif
	INVARIANT(I4, nr_recv > 0 || receivers.n == 0)
}

/*
 * mbuf_waiter_finish() for the first in a line, but for storing the outcome.
 * come has who is in line, in the order in which they came.
 */
inline take_first(l, come, first)
{
	CHECK(dead_waiter, waiter[first]);
	CHECK(doubled, state[first] == WAITING);
	CHECK(out_of_line, come.at[0] == first);
	list_pop(come);
	finished = first + 1;
#ifndef NO_TASK_REF
	refs[first]++;
#endif
#if !defined(HANDOFF_STAYS) && !defined(UNLINK_LATE)
	list_pop(l)
#endif
}

inline wake()
{
	atomic {
		CHECK(dead_task, !exited[finished - 1] || refs[finished - 1] > 0);
		asleep[finished - 1] = 0;
		if
		:: refs[finished - 1] > 0 -> refs[finished - 1]--
		:: else
		fi;
		finished = 0
	}
}

/*
 * The end of a step under the lock. If it has ended a wait, the lock is still
 * held until finish() has stored the outcome.
 */
inline unlock()
{
	if
	:: finished -> lock = 1
	:: else -> invariants()
	fi
}

/* If a wait has ended: the rest of mbuf_waiter_finish(), and mbuf_wake(). */
inline finish(l, outcome)
{
	if
	:: finished ->
#ifdef WAKE_FIRST
		asleep[finished - 1] = 0;
#endif
		state[finished - 1] = outcome;
		atomic {
#ifdef UNLINK_LATE
			CHECK(dead_waiter, waiter[finished - 1]);
			list_del(l, finished - 1);
#endif
			invariants();
			lock = 0
		};
#ifdef WAKE_FIRST
		atomic {
			refs[finished - 1]--;
			finished = 0
		}
#else
		wake()
#endif
	:: else
	fi
}

/* Message m enters the queue, or goes to a receiver directly. */
inline enters(m)
{
	CHECK(doubled, where[m] == NEW);
	list_add_tail(order, m);
	where[m] = HELD
}

/* Message m leaves the model. */
inline over(m)
{
	where[m] = OVER;
	large[m] = 0;
	slot[m] = 0
}

/* queue_link() */
inline link(m)
{
	CHECK(too_many, queued.n < SLOTS);
	where[m] = QUEUED;
	list_add_tail(queued, m)
}

/* queue_link_back(): in front of the first message that entered later. */
inline link_back(m)
{
	where[m] = QUEUED;
	d_step {
		dx = 0;		/* where to */
		dy = 0;		/* whom to compare with, in order */
		do
		:: order.at[dy] != m ->
			if
			:: dx < queued.n && queued.at[dx] == order.at[dy] -> dx++
			:: else
			fi;
			dy++
		:: else -> break
		od;
		list_add_at(queued, m)
	}
}

/* queue_hand_over(): m, which is in no list, to the first in line. */
inline hand_over(m)
{
	y = receivers.at[0];
	item[y] = m;
	take_first(receivers, queuing, y)
}

/*
 * mbuf_slots_give(). Which slots are part of a chunk, and are kept though there
 * are enough, is not modelled: there are never fewer free ones than here.
 */
inline give_slot()
{
	CHECK(dead_queue, nr_recv > 0);
	if
	:: nr_free > NR_KEEP -> nr_slots--
	:: else -> nr_free++
	fi
}

/*
 * queue_polled(), asked under the lock, and what __mbuf_effects() does after
 * it: all pollers look again.
 */
#ifdef POLL
inline polled(from, to, answer)
{
	x = from;
	do
	:: x < to && !on_wq[x] -> x++
	:: else -> break
	od;
	answer = (x < to)
}

inline look_in()
{
	polled(NS, NP, poll_in)
}

inline look_out()
{
	polled(0, NS, poll_out)
}

inline wake_pollers(from, to)
{
	atomic {
		x = from;
		do
		:: x < to ->
			triggered[x] = triggered[x] || on_wq[x];
			x++
		:: else -> break
		od
	}
}

#define NO_EFFECTS	(!finished && !poll_in && !poll_out)
#define POLL_FIRST	poll_first

inline effects_in()
{
	if
	:: poll_in -> wake_pollers(NS, NP); poll_in = 0
	:: else
	fi
}

inline effects_out()
{
	if
	:: poll_out -> wake_pollers(0, NS); poll_out = 0
	:: else
	fi
}

/* poll() until there is something to be had: queue_poll() and its caller. */
inline poll(ready)
{
#ifndef POLL_LOOKS_FIRST
	on_wq[me] = 1;
#endif
	do
	:: atomic {
		!lock ->
		if
		:: ready -> break
		:: else
		fi
	   };
#ifdef POLL_LOOKS_FIRST
	   on_wq[me] = 1;
#endif
	   atomic {
		triggered[me] -> triggered[me] = 0
	   }
	od;
	atomic {
		on_wq[me] = 0;
		triggered[me] = 0
	}
}
#else
inline look_in()
{
	skip
}

inline look_out()
{
	skip
}

inline wake_pollers(from, to)
{
	skip
}

#ifdef ADMIT_LATER
#define NO_EFFECTS	(!finished && result != OK && result != TAKEN)
#else
#define NO_EFFECTS	(!finished)
#endif
#define POLL_FIRST	false

inline effects_in()
{
	skip
}

inline effects_out()
{
	skip
}
#endif

/* queue_admit(): the message that was parked first enters. */
inline admit()
{
	y = parked.at[0];
#ifdef WAKE_TO_RETRY
	/* It is still blocked, so it stays in that list. */
	finished = y + 1;
	refs[y]++;
	list_del(parked, y)
#else
	enters(item[y]);
	link(item[y]);
	look_in();
	take_first(parked, blocked, y)
#endif
}

#ifdef WAKE_TO_RETRY
#define ADMITTED	RETRY
#else
#define ADMITTED	DONE
#endif

#ifdef ADMIT_OVERFULL
#define MAY_ADMIT	parked.n > 0
#elif defined(ADMIT_LATER) || defined(ADMIT_NEVER)
#define MAY_ADMIT	false
#elif defined(ADMIT_SKIPPED)
#define MAY_ADMIT	parked.n > 0 && queued.n < SLOTS && !skip_one
#else
#define MAY_ADMIT	parked.n > 0 && queued.n < SLOTS
#endif

/* queue_take(): m becomes the first message, which leaves. */
inline take(m)
{
	m = queued.at[0];
	x = 0;
	do
	:: order.at[x] != m ->
		CHECK(reordered, where[order.at[x]] != QUEUED);
		x++
	:: else -> break
	od;
	CHECK(doubled, where[m] == QUEUED);
	CHECK(overtaken, queuing.n == 0);
	where[m] = HELD;
	y = queued.n;
	list_pop(queued);
	if
	:: y >= SLOTS ->
		if
		:: MAY_ADMIT -> admit()
		:: else
		fi;
#ifndef POLL_OUT_MISSED
		if
		:: queued.n < SLOTS -> look_out()
		:: else
		fi;
#endif
#ifdef ADMIT_SKIPPED
		skip_one = 0
#endif
	:: else
	fi
}

/*
 * mbuf_waiter_sleep(), and what queue_park() and queue_wait() do after it:
 * outcome() and after(), or given_up() and in_vain().
 *
 * Either nothing but the end of the wait ends the sleep, so that a lost
 * wake-up is for ever. Or a signal or a deadline does, at any time: then it
 * does not matter how me sleeps, only that it looks again under the lock.
 */
#define wait_in(l, come, after, in_vain)				\
	do								\
	:: before_look();						\
	   if								\
	   :: atomic {							\
		state[me] != WAITING ->					\
		outcome();						\
		after()							\
	      };							\
	      break							\
	   :: state[me] == WAITING					\
	   fi;								\
	   after_look();						\
	   !asleep[me]							\
	:: before_lock();						\
	   atomic {							\
		!lock ->						\
		look_again();						\
		if							\
		:: gave_up ->						\
			unlink_me(l);					\
			list_del(come, me);				\
			invariants();					\
			given_up();					\
			in_vain()					\
		:: else ->						\
			outcome();					\
			after()						\
		fi							\
	   };								\
	   break							\
	od

#ifdef CHECK_FIRST
#define before_look()	skip
#define after_look()	asleep[me] = 1
#else
#define before_look()	asleep[me] = 1
#define after_look()	skip
#endif

#ifdef WITHDRAW_STAYS
#define unlink_me(l)	skip
#else
#define unlink_me(l)	list_del(l, me)
#endif

#if defined(NO_RECHECK)
#define before_lock()	skip
#define look_again()	gave_up = 1
#elif defined(RECHECK_UNLOCKED)
#define before_lock()	gave_up = (state[me] == WAITING)
#define look_again()	skip
#else
#define before_lock()	skip
#define look_again()	gave_up = (state[me] == WAITING)
#endif

/* The waiter is no more. */
inline forget()
{
	asleep[me] = 0;
	waiter[me] = 0;
	state[me] = 0;
	item[me] = 0;
	gave_up = 0
}

/* The outcome, in the view of who waited. */
inline outcome()
{
	if
	:: state[me] == DONE ->
		result = OK;
		m = item[me]
	:: state[me] == GONE ->
#ifdef EOF_IS_LAST
		eof_seen = eof_seen || me >= NS;
#endif
		result = EPIPE
#ifdef WAKE_TO_RETRY
	:: state[me] == RETRY ->
		result = AGAIN
#endif
	fi;
	forget()
}

inline given_up()
{
	result = EAGAIN;
	forget()
}

/* mbuf_waiter_init() and joining a line. */
inline join(l, come)
{
	waiter[me] = 1;
	state[me] = WAITING;
#ifdef LINE_LIFO
	list_add(l, me);
#else
	list_add_tail(l, me);
#endif
	list_add_tail(come, me)
}

/*
 * queue_dismiss(): the waits in a line end, as the last right of the other
 * side is gone.
 */
inline dismiss(l, come)
{
#ifndef CLOSE_ALONE
	do
	:: atomic {
		!lock ->
		if
		:: l.n > 0 ->
			y = l.at[0];
			take_first(l, come, y);
			lock = 1
		:: else -> break
		fi
	   };
	   finish(l, GONE)
	od
#else
	skip
#endif
}

/* mbuf_queue_overwrite() */
#ifdef OVERWRITE
inline overwrite()
{
#ifdef OVERWRITE_NEWEST
	y = queued.at[queued.n - 1];
#else
	y = queued.at[0];
#endif
	list_del(queued, y);
	x = 0;
	do
	:: order.at[x] != y ->
		CHECK(reordered, where[order.at[x]] != QUEUED);
		x++
	:: else -> break
	od;
	list_del(order, y);
	if
	:: slot[y] -> give_slot()
	:: else
	fi;
	over(y)
}
#endif

/* queue_try_send(), or with own the same in queue_send_own(). Locked. */
inline try_send()
{
	if
	:: nr_recv == 0 ->
		result = EPIPE
	:: nr_recv > 0 && receivers.n > 0 ->
		CHECK(overtaken, blocked.n == 0);
		enters(m);
		if
		:: !own ->
			/* Straight into the slot that the receiver brought. */
			slot[m] = 1;
			spare[receivers.at[0]] = 0
		:: else
		fi;
		hand_over(m);
		result = OK
	:: nr_recv > 0 && receivers.n == 0 && queued.n < SLOTS ->
#ifdef WAKE_TO_RETRY
		if
		:: blocked.n > 0 && blocked.at[0] == me -> list_del(blocked, me)
		:: else
		fi;
#endif
		CHECK(overtaken, blocked.n == 0);
		enters(m);
		if
		:: !own ->
			CHECK(no_slot, nr_free > 0);
			nr_free--;
			slot[m] = 1
		:: else
		fi;
		link(m);
		look_in();
		result = OK
#ifdef OVERWRITE
	:: nr_recv > 0 && receivers.n == 0 && queued.n >= SLOTS ->
		if
		:: !own ->
			CHECK(no_slot, nr_free > 0);
			nr_free--;
			slot[m] = 1
		:: else
		fi;
		overwrite();
		enters(m);
		link(m);
		look_in();
		result = OK
#else
	:: nr_recv > 0 && receivers.n == 0 && queued.n >= SLOTS ->
		result = EAGAIN
#endif
	fi
}

/* The call is over, and its message has been dealt with. */
inline next_message()
{
	own = 0;
	result = 0;
	m = 0
}

/* The sender of m is told that it is sent, or never will be. */
inline told()
{
	if
	:: result == OK ->
		CHECK(succeeded_without_effect, where[m] != NEW);
		k++;
		next_message()
	:: result == EPIPE ->
		CHECK(failed_with_effect, where[m] == NEW);
		over(m);
		k++;
		next_message()
#ifdef WAKE_TO_RETRY
	:: result == AGAIN -> result = 0; own = 1
#endif
	fi
}

/* It is told that it was not sent. */
inline told_no()
{
	CHECK(failed_with_effect, where[m] == NEW);
	if
#ifdef POLL
	:: true ->
		/* It waits in poll(), and sends it again. */
		poll_first = 1;
		large[m] = 0
#endif
	:: true ->
		over(m);
		k++
	fi;
	next_message()
}

proctype sender(byte me)
{
	byte k, m;
	byte result;
	byte finished;		/* whose wait this call has ended, + 1 */
	bit own;		/* the message is in memory of its own */
	bit gave_up, final;
#ifdef POLL
	bit poll_first;
	bit poll_in, poll_out;
#endif

next:
	if
	:: !own -> goto close		/* it has had enough */
	:: atomic {
		/* mbuf_queue_send(), with own queue_send_own() */
		k < QUOTA(me) && !lock ->
		m = FIRST(me) + k;
		if
		:: true
		:: !own -> own = 1; large[m] = 1
		fi;
		try_send();
		if
		:: result == EAGAIN && !own ->
			own = 1;
			result = 0
		:: result == EAGAIN && own ->
			item[me] = m;
			join(parked, blocked);
			result = LINE
		:: result == EAGAIN && (!own || large[m]) ->
			told_no()		/* it will not wait */
		:: else -> told()
		fi;
		unlock();
		if
		:: NO_EFFECTS && result == 0 && !POLL_FIRST -> goto next
		:: else
		fi
	   }
	fi;
	finish(receivers, DONE);
	effects_in();
	if
	:: result == LINE ->
		/* queue_park() */
		wait_in(parked, blocked, told, told_no)
	:: else
	fi;
#ifdef POLL
	if
	:: poll_first -> poll(queued.n < SLOTS || nr_recv == 0)
	:: true
	fi;
	poll_first = 0;
#endif
	goto next;

close:
	/* queue_drop_send() */
#ifdef CLOSE_LATE
	if
	:: nr_send == 1 -> dismiss(receivers, queuing)
	:: else
	fi;
#endif
	atomic {
		!lock ->
		nr_send--;
		final = (nr_send == 0);
		exited[me] = !final;
		invariants()
	};
	if
	:: final ->
#ifndef CLOSE_LATE
		dismiss(receivers, queuing);
#endif
		wake_pollers(NS, NP);
		exited[me] = 1
	:: else
	fi
}

/* The receiver has got message m. */
inline received()
{
	CHECK(doubled, where[m] == HELD);
	/* For a single receiver the order does not bend. */
	CHECK(reordered, NR > 1 || order.at[0] == m);
	list_del(order, m);
	over(m);
	m = 0
}

/* queue_give_slots(q, spare, NULL), which does nothing if there is none. */
inline give_spare()
{
	if
	:: spare[me] ->
		spare[me] = 0;
		give_slot();
		invariants()
	:: else
	fi
}

inline nothing()
{
	skip
}

/* queue_put_back() */
inline put_back()
{
	atomic {
		!lock ->
		CHECK(doubled, where[m] == HELD);
#ifdef ADMIT_SKIPPED
		skip_one = 1;
#endif
#ifdef EOF_IS_LAST
		CHECK(early_eof, !eof_seen);
#endif
		if
#ifndef PUT_BACK_QUEUES
		:: receivers.n > 0 ->
			hand_over(m)
#endif
#ifdef PUT_BACK_DROPS
		:: receivers.n == 0 && queued.n >= SLOTS
#endif
		:: else ->
#if defined(PUT_BACK_TAIL)
			where[m] = QUEUED;
			list_add_tail(queued, m);
#elif defined(PUT_BACK_HEAD)
			where[m] = QUEUED;
			list_add(queued, m);
#else
			link_back(m);
#endif
#if defined(OVERWRITE) && !defined(PUT_BACK_OVERFULL)
			if
			:: queued.n > SLOTS -> overwrite()
			:: else
			fi;
#endif
#ifndef POLL_IN_MISSED
			look_in()
#endif
		fi;
		m = 0;
		unlock()
	};
	finish(receivers, DONE);
	effects_in()
}

#ifdef SPARE_FROM_SLOTS
#define TO_SPARE	(nr_free > 0)
#else
#define TO_SPARE	(nr_free > NR_KEEP)
#endif

/* queue_recv_slow() while it has the lock. */
inline recv_slow()
{
	if
	:: queued.n > 0 ->
		take(m);
		result = OK
	:: queued.n == 0 && nr_send == 0 ->
#ifdef EOF_IS_LAST
		eof_seen = 1;
#endif
		result = EPIPE
	:: queued.n == 0 && nr_send > 0 ->
		result = EAGAIN			/* does not want to wait */
	:: queued.n == 0 && nr_send > 0 && !spare[me] && !TO_SPARE ->
		nr_slots++;
		spare[me] = 1;
		result = SPARE
	:: queued.n == 0 && nr_send > 0 && (spare[me] || TO_SPARE) ->
		if
		:: !spare[me] -> nr_free--; spare[me] = 1
		:: else
		fi;
		join(receivers, queuing);
		result = LINE
	fi
}

proctype receiver(byte me)
{
	byte m;
	byte result;
	byte finished;
	bit gave_up, final;
#ifdef SLOW_TAKES_SLOT
	bit slow;
#else
#define slow	false
#endif
#ifdef POLL
	bit poll_in, poll_out;
#endif

next:
	if
	:: !spare[me] -> goto close	/* it has had enough */
	:: atomic {
		/* mbuf_queue_recv() */
		!lock ->
		if
#ifdef SLOW_TAKES_SLOT
		:: !slow && (queued.n == 0 || large[queued.at[0]]) ->
			slow = 1;
			result = AGAIN
		:: slow ->
			slow = 0;
			recv_slow()
#endif
		:: queued.n > 0 && !large[queued.at[0]] && !slow ->
			/* queue_try_recv() */
			take(m);
			if
			:: slot[m] -> give_slot()
			:: else
			fi;
			received();
			result = TAKEN
		:: else -> recv_slow()
		fi;
		unlock();
		if
		:: NO_EFFECTS && result == SPARE -> result = 0; goto next
		:: NO_EFFECTS && result == AGAIN -> result = 0; goto next
		:: NO_EFFECTS && result == TAKEN && !spare[me] ->
			result = 0;
			goto next
		:: NO_EFFECTS && result == EAGAIN && !spare[me] ->
			result = 0;
			goto idle
		:: NO_EFFECTS && result == LINE -> goto line
		:: else
		fi
	   }
	fi;
	finish(parked, ADMITTED);
	effects_in();
	effects_out();
#ifdef ADMIT_LATER
	atomic {
		!lock ->
		if
		:: parked.n > 0 && queued.n < SLOTS -> admit()
		:: else
		fi;
		unlock()
	};
	finish(parked, ADMITTED);
#endif
	goto decided;
line:
	/* queue_wait() */
	wait_in(receivers, queuing, nothing, nothing);
decided:
	if
	:: result == OK ->
		/* queue_deliver(): copied first, then given back */
		if
		:: atomic {
			!lock || !(slot[m] || spare[me]) ->
			if
			:: slot[m] ->
				give_slot();
				invariants()
			:: else
			fi;
			give_spare();
			received();
			result = 0;
			goto next
		   }
		:: put_back()		/* no room, bad memory, or killed */
		fi
	:: else
	fi;
	atomic {
		!lock || !spare[me] ->
		give_spare();
		if
		:: result == EPIPE -> goto close
		:: else -> result = 0
		fi
	};
idle:
#ifdef POLL
	if
	:: poll(queued.n > 0 || nr_send == 0)
	:: true
	fi;
#endif
	goto next;

close:
	/* queue_drop_recv() */
#ifdef CLOSE_LATE
	if
	:: nr_recv == 1 -> dismiss(parked, blocked)
	:: else
	fi;
#endif
	atomic {
		!lock ->
		final = (nr_recv == 1);
		if
		:: !final -> nr_recv--; exited[me] = 1
		:: else
		fi;
		result = 0;
		invariants()
	};
	if
	:: final ->
		/* queue_die() */
		atomic {
			!lock ->
			nr_recv = 0;
			/* Who could hold any has gone. */
			x = 0;
			do
			:: x < NM -> CHECK(lost, where[x] != HELD); x++
			:: else -> break
			od;
			y = nr_free;
			do
			:: queued.n > 0 ->
				m = queued.at[0];
				list_pop(queued);
				CHECK(doubled, where[m] == QUEUED);
				CHECK(reordered, order.at[0] == m);
				list_pop(order);
				y = y + slot[m];
				over(m)
			:: else -> break
			od;
			CHECK(slot_leaked, y == nr_slots);
			m = 0;
			nr_free = 0;
			nr_slots = 0;
			invariants()
		};
#ifndef CLOSE_LATE
		dismiss(parked, blocked);
#endif
		wake_pollers(0, NS);
		exited[me] = 1
	:: else
	fi
}

init
{
	byte i;

	atomic {
		do
		:: i < NS -> run sender(i); i++
		:: i >= NS && i < NP -> run receiver(i); i++
		:: else -> break
		od;
		i = 0
	};

	_nr_pr == 1;
	atomic {
		do
		:: i < NM ->
			CHECK(lost, where[i] != QUEUED && where[i] != HELD);
			i++
		:: else -> break
		od;
		CHECK(lost, parked.n == 0 && receivers.n == 0)
	}
}
