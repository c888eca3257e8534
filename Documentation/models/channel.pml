/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The protocol of mbuf's channels: see README.md here for what is claimed, for
 * which function of module/ each part stands for, and for what is left out.
 *
 * Tasks do some calls each: write, signal, wait and read in all combinations,
 * and wait at any of several endpoints. All that the environment may do (a
 * call that waits or does not, a signal handler, a deadline, a restart, bad
 * memory for the result) is chosen anew each time. Then they end, and the last
 * that used an endpoint closes it, or leaves it as it is for ever. Others poll.
 *
 * What happens under a channel's lock is one atomic step, except where another
 * party can see the middle of it: the outcome of a wait is read by the waiter
 * without the lock, so storing it is a step by itself, with the lock held.
 * Waking is a step after that.
 *
 * Channel c has the endpoints 2c and 2c + 1. What is in a slot is told by how
 * often it was written, which is right as a write is done under the lock.
 *
 * The size is selected by how many calls each task makes, and by one of these:
 *
 *	PAIR		one channel; a task at one end, and NT - 1 at the other
 *	POLL		the same, and each end is polled as well
 *	ANY		two channels, a sender in each; two tasks wait at the
 *			other ends of both
 *
 * These select wrong variants, and each has to fail:
 *
 *	SIGNAL_ONCE		a second signal is not counted
 *	SIGNAL_PENDS		a signal is counted though somebody waits
 *	SIGNAL_FIRST		EXCHANGE signals before it writes
 *	TAKE_KEEPS		taking the signals leaves them
 *	CHECK_UNLOCKED		WAIT looks before it takes the lock
 *	BUSY_LATE		EXCHANGE finds out that somebody waits after it
 *				has written and signalled
 *	BUSY_NEVER		the second who waits takes the place of the first
 *	NO_RECHECK		who gives up waiting does not look again
 *	WAITER_STAYS		it gives up and stays the waiter
 *	RESTART_REPEATS		a restarted EXCHANGE signals again
 *	WAKE_FIRST		wakes, then stores the outcome
 *	CHECK_FIRST		looks at the outcome, then goes to sleep
 *	NO_RCU			nothing keeps a task until it has been woken
 *	UNDO_SETS		what could not be told replaces what came since
 *	UNDO_PENDS		what could not be told does not wake who waits
 *				meanwhile
 *	UNDO_NEVER		what could not be told is lost
 *	CLOSE_SILENT		closing does not wake who waits
 *	CLOSE_DROPS		closing wakes it, and the last value is not told
 *	DEATH_REPEATS		the last value is told again and again
 *	POLL_TAKES		poll() takes the signals
 *	POLL_LOOKS_FIRST	poll() looks, then enters the waitqueue
 *	POLL_NOT_UNDO		what could not be told wakes no poller
 *	POLL_ONE_END		closing wakes pollers of its own end only if
 *				there are none at the other
 *	ANY_LOOKS		to hand over to who waits at several, it is
 *				looked whether it has got something, and then
 *				given: no cmpxchg
 *	ANY_TWO_STATES		who waits at several looks at its outcome before
 *				it has left all of them
 *	ANY_LEAVES_ONE		... leaves only the endpoint that it has got
 *				something from
 *	ANY_UNDOES_NOT		... and fails with EBUSY, keeps what it has got
 *	ANY_NO_TRY		... does not look at what was there before
 *	ANY_OWN_ORDER		... claims them in the order they were given
 */

#ifndef CALLS
#define CALLS	1
#endif
#ifndef CALLS_2
#define CALLS_2	1
#endif
#ifndef SENDS
#define SENDS	1
#endif

#ifdef ANY
#define NT	4		/* tasks */
#define NE	4		/* endpoints */
#else
#define NE	2
#ifndef NT
#define NT	3
#endif
#endif
#define NC	(NE / 2)

#define CH(e)	((e) / 2)
#define PEER(e)	((e) ^ 1)

/*
 * assert() under a name, which is a constant 0, so that a report says what was
 * violated.
 */
#define CHECK(name, cond)	assert(name || (cond))

hidden byte stuck;		/* somebody sleeps though there is something */
hidden byte lost;		/* a signal is nowhere */
hidden byte doubled;		/* a signal is told twice */
hidden byte stale;		/* a signal is seen, but not what came with it */
hidden byte two_waiters;	/* somebody waits where another one does */
hidden byte both_lose;		/* two calls fail because of one another */
hidden byte busy_with_effect;	/* EBUSY, and yet something was done */
hidden byte signalled_twice;	/* one call signals twice */
hidden byte value_lost;		/* the peer has died, and what it wrote is not told */
hidden byte death_twice;	/* ... is told twice */
hidden byte dead_waiter;	/* a waiter is used after its owner returned */
hidden byte dead_task;		/* a task that is gone is woken */

/* struct mbuf_channel and struct mbuf_endpoint */
bit lock[NC];
bit open[NE] = 1;
byte seq[NE];
byte seen[NE];
byte signals[NE];
byte waiter[NE];		/* task + 1 */

/* struct mbuf_end_waiter, and the task that it belongs to. */
#define WAITING	0
#define DONE	1
#define GONE	2
#define CLAIMED	3
byte state[NT];
bit any[NT];
byte at[NT];			/* end */
byte got_signals[NT];
byte got_seq[NT];
byte got_seen[NT];
bit waits[NT];			/* the waiter exists */
bit asleep[NT];
bit exited[NT];
byte readers;			/* critical sections of RCU */

#ifdef POLL
bit on_wq[NE];
bit triggered[NE];
bit poller_asleep[NE];
#endif

/* What the properties are about, and the protocol knows nothing of. */
byte users[NE];			/* tasks that have not ended */
byte sent[NE];			/* signals */
byte told[NE];
byte with[NE];			/* seq of what came with the last signal */
bit death_told[NE];
#ifdef ANY
byte blames[NT];		/* whom a failing WAIT_ANY fails for, + 1 */
#endif

hidden byte x, y;		/* for use within one step */

/* Results. */
#define OK	1
#define EAGAIN	2		/* or EINTR, ETIMEDOUT */
#define EPIPE	3
#define EBUSY	4
#define SLEEP	5		/* not a result yet */

#define PEER_GONE(e)	(!open[PEER(e)])
#define UNSEEN(e)	(seen[e] != seq[e])
/* mbuf_end_ready() */
#define READY(e)	(signals[e] > 0 || (PEER_GONE(e) && UNSEEN(e)))

/* end_poll_kick() */
#ifdef POLL
inline kick_poll(e)
{
	poll = poll | (on_wq[e] << (e))
}
#else
inline kick_poll(e)
{
	skip
}
#endif

/* mbuf_end_take(): w gets what there is at e. */
inline take(e, w)
{
	CHECK(stale, signals[e] == 0 || seq[e] >= with[e]);
	got_signals[w] = signals[e];
	got_seq[w] = seq[e];
	got_seen[w] = seen[e];
	at[w] = e;
#ifndef DEATH_REPEATS
	seen[e] = seq[e];
#endif
#ifndef TAKE_KEEPS
	signals[e] = 0
#endif
}

/*
 * mbuf_end_hand_over(), but for storing the outcome. Nothing happens if who
 * waits got something elsewhere.
 */
inline hand_over(e)
{
	y = waiter[e] - 1;
	CHECK(dead_waiter, waits[y]);
	if
#ifdef ANY
	:: any[y] && state[y] != WAITING
	:: any[y] && state[y] == WAITING ->
#ifndef ANY_LOOKS
		state[y] = CLAIMED;
#endif
		take(e, y);
		waiter[e] = 0;
		finished = y + 1
#endif
	:: !any[y] ->
		CHECK(doubled, state[y] == WAITING);
		take(e, y);
		waiter[e] = 0;
		finished = y + 1
	fi
}

/* mbuf_end_signal(): signal e, the peer. */
inline signal(e)
{
	sent[e]++;
#ifdef SIGNAL_ONCE
	x = (signals[e] == 0);
#else
	x = 1;
#endif
	signals[e] = signals[e] + x;
	if
#ifndef SIGNAL_PENDS
	:: waiter[e] && signals[e] == 1 ->
		hand_over(e);
		if
		:: !finished -> kick_poll(e)
		:: else
		fi
#endif
	:: else -> kick_poll(e)
	fi
}

/*
 * The end of a step under the lock of c. If there is somebody to be woken, this
 * goes on in kick().
 */
#ifdef POLL
#define KICKS	(finished || poll)
#else
#define KICKS	finished
#endif

inline unlock(c)
{
	if
	:: finished -> lock[c] = 1
	:: else
	fi;
	if
	:: KICKS ->
		kicks = 1;
#ifndef NO_RCU
		readers++
#endif
	:: else
	fi
}

/* Storing the outcome, unlocking, and mbuf_kick_end(). */
inline kick(c)
{
	if
	:: finished ->
#ifdef WAKE_FIRST
		asleep[finished - 1] = 0;
#endif
		state[finished - 1] = outcome;
		lock[c] = 0;
		atomic {
#ifndef WAKE_FIRST
			CHECK(dead_task, !exited[finished - 1]);
			asleep[finished - 1] = 0;
#endif
			finished = 0;
			outcome = DONE
		}
	:: else
	fi;
#ifdef POLL
	if
	:: poll ->
		atomic {
			x = 0;
			do
			:: x < NE ->
				triggered[x] = triggered[x] ||
					       (on_wq[x] && ((poll >> x) & 1));
				x++
			:: else -> break
			od;
			poll = 0
		}
	:: else
	fi;
#endif
	if
	:: kicks ->
		atomic {
			kicks = 0;
#ifndef NO_RCU
			readers--
#endif
		}
	:: else
	fi
}

/* The waiter is no more; who reads the result does so before. */
inline forget()
{
	asleep[me] = 0;
	waits[me] = 0;
	state[me] = 0;
	any[me] = 0;
	gave_up = 0
}

inline forget_got()
{
	got_signals[me] = 0;
	got_seq[me] = 0;
	got_seen[me] = 0;
	at[me] = 0
}

/* mbuf_end_unwait() */
#ifdef WAITER_STAYS
inline unwait(e)
{
	skip
}
#else
inline unwait(e)
{
	if
	:: waiter[e] == me + 1 -> waiter[e] = 0
	:: else
	fi
}
#endif

/*
 * mbuf_sleep(). Either nothing but the end of the wait ends the sleep, so that
 * a lost wake-up is for ever. Or a signal handler or a deadline does, at any
 * time: then it does not matter how me sleeps, only what it does afterwards.
 */
#ifdef CHECK_FIRST
#define before_look()	skip
#define after_look()	asleep[me] = 1
#else
#define before_look()	asleep[me] = 1
#define after_look()	skip
#endif

inline sleep()
{
	do
	:: before_look();
	   if
	   :: state[me] != WAITING -> break
	   :: state[me] == WAITING
	   fi;
	   after_look();
	   !asleep[me]
	:: gave_up = 1; break
	od
}

/*
 * The caller is told what it got; or cannot be told, and it is undone:
 * mbuf_end_undo().
 */
inline tell()
{
	if
	:: atomic {
		true ->
		told[at[me]] = told[at[me]] + got_signals[me];
		if
		:: got_signals[me] == 0 && !was_any ->
			CHECK(death_twice, !death_told[at[me]]);
			death_told[at[me]] = 1
		:: else
		fi;
		forget_got()
	   }
#ifndef NO_FAULTS
	:: undo()
#endif
	fi
}

inline undo()
{
#ifdef UNDO_NEVER
	forget_got()
#else
	atomic {
		!lock[CH(at[me])] ->
		where = at[me];
		if
		:: seen[where] == got_seq[me] -> seen[where] = got_seen[me]
		:: else
		fi;
		if
		:: got_signals[me] > 0 ->
#ifdef UNDO_SETS
			signals[where] = got_signals[me];
#else
			signals[where] = signals[where] + got_signals[me];
#endif
#ifndef POLL_NOT_UNDO
			kick_poll(where);
#endif
			if
#ifndef UNDO_PENDS
			:: waiter[where] -> hand_over(where)
#endif
			:: else
			fi
		:: else
		fi;
		forget_got();
		unlock(CH(where))
	};
	kick(CH(where));
	where = 0
#endif
}

#ifdef SIGNAL_FIRST
#define WRITE_LATER	1
#else
#define WRITE_LATER	0
#endif

/* MBUF_STEP_* */
#define WRITE	1
#define SIGNAL	2
#define WAIT	4
#define READ	8

#ifdef CHECK_UNLOCKED
#define FOUND	unlocked
#else
#define FOUND	READY(e)
#endif

/*
 * EXCHANGE, read and write: end_do() and what comes after it. WAIT means READ
 * as well, which makes no difference to anybody else.
 */
inline exchange(e)
{
#ifdef CHECK_UNLOCKED
	unlocked = READY(e);
#endif
	atomic {
		!lock[CH(e)] ->
		result = OK;
		if
		:: PEER_GONE(e) && (steps & (WRITE | SIGNAL)) ->
			result = EPIPE
		:: PEER_GONE(e) && steps == WAIT && !READY(e) ->
			result = EPIPE
#if !defined(BUSY_NEVER) && !defined(BUSY_LATE)
		:: (!PEER_GONE(e) || (steps == WAIT && READY(e))) &&
		   (steps & WAIT) && waiter[e] ->
			result = EBUSY
#endif
		:: else
		fi;
		if
		:: result == OK && (steps & WRITE) && !WRITE_LATER ->
			seq[PEER(e)]++
		:: else
		fi;
		if
		:: result == OK && (steps & SIGNAL) ->
			CHECK(signalled_twice, !has_signalled);
			has_signalled = 1;
			with[PEER(e)] = seq[PEER(e)];
#ifdef SIGNAL_FIRST
			if
			:: steps & WRITE -> with[PEER(e)]++
			:: else
			fi;
#endif
			signal(PEER(e))
		:: else
		fi;
#ifdef BUSY_LATE
		if
		:: result == OK && (steps & WAIT) && waiter[e] ->
			CHECK(busy_with_effect, !(steps & (WRITE | SIGNAL)));
			result = EBUSY
		:: else
		fi;
#endif
		if
		:: result == OK && (steps & READ) -> seen[e] = seq[e]
		:: result == OK && (steps & WAIT) && FOUND -> take(e, me)
		:: result == OK && (steps & WAIT) && !FOUND -> result = EAGAIN
		:: result == OK && (steps & WAIT) && !FOUND ->
			CHECK(two_waiters, !waiter[e]);
			waiter[e] = me + 1;
			waits[me] = 1;
			result = SLEEP
		:: result != OK || !(steps & (WAIT | READ))
		fi;
		unlock(CH(e))
	};
	kick(CH(e));
#ifdef SIGNAL_FIRST
	if
	:: steps & WRITE && result != EPIPE && result != EBUSY ->
		seq[PEER(e)]++
	:: else
	fi;
#endif
	if
	:: result == SLEEP ->
		sleep();
		if
		:: !gave_up
		:: gave_up ->
			atomic {
				!lock[CH(e)] ->
				unwait(e);
#ifndef NO_RECHECK
				gave_up = (state[me] == WAITING)
#endif
			}
		fi;
		atomic {
			if
			:: gave_up -> result = EAGAIN
			:: !gave_up && state[me] == DONE -> result = OK
			:: !gave_up && state[me] == GONE -> result = EPIPE
			fi;
			forget()
		}
	:: else
	fi;
	if
	:: result == OK && (steps & WAIT) -> tell()
	:: else
	fi
}

#ifdef ANY
/* mbuf_wait_any() at the endpoints 0 and 2 */
inline claim(e)
{
	atomic {
		!lock[CH(e)] ->
		if
		:: waiter[e] ->
			result = EBUSY;
			x = waiter[e] - 1;
			CHECK(both_lose, blames[x] != me + 1);
			blames[me] = x + 1
		:: else ->
			waiter[e] = me + 1;
			claimed++
		fi
	}
}

inline try(e)
{
	atomic {
		!lock[CH(e)] ->
		if
		:: waiter[e] != me + 1 -> result = OK
		:: waiter[e] == me + 1 && (READY(e) || PEER_GONE(e)) ->
			hand_over(e);
			if
			:: finished -> state[me] = DONE; finished = 0
			:: else
			fi;
			result = OK
		:: else
		fi
	}
}

inline unclaim(e)
{
	atomic {
		!lock[CH(e)] ->
		unwait(e)
	}
}

inline wait_any()
{
	atomic {
		any[me] = 1;
		waits[me] = 1;
		if
#ifdef ANY_OWN_ORDER
		:: first = 2
#endif
		:: first = 0
		fi
	};
	claim(first);
	if
	:: !result -> claim(2 - first)
	:: else
	fi;
#ifndef ANY_NO_TRY
	if
	:: !result ->
		/* Which of them is looked at first, the caller says. */
		if
		:: try(0);
		   if
		   :: !result -> try(2)
		   :: else
		   fi
		:: try(2);
		   if
		   :: !result -> try(0)
		   :: else
		   fi
		fi
	:: else
	fi;
#endif
	if
	:: !result			/* does not want to wait */
	:: !result -> sleep()
	:: else
	fi;
#ifdef ANY_TWO_STATES
	early = state[me];
#endif
	if
	:: claimed > 0 -> unclaim(first)
	:: else
	fi;
	if
#ifdef ANY_LEAVES_ONE
	:: claimed > 1 && state[me] == WAITING -> unclaim(2 - first)
#else
	:: claimed > 1 -> unclaim(2 - first)
#endif
	:: else
	fi;
	atomic {
#ifdef ANY_TWO_STATES
		got = (early == DONE);
		early = 0;
#else
		got = (state[me] == DONE);
#endif
		forget();
		claimed = 0;
		first = 0
	};
	if
	:: got && result != EBUSY -> was_any = 1; tell(); was_any = 0
#ifndef ANY_UNDOES_NOT
	:: got && result == EBUSY -> undo()
#endif
	:: else -> forget_got()
	fi;
	blames[me] = 0;
	got = 0
}
#endif

/* mbuf_end_close() */
inline close(e)
{
	atomic {
		!lock[CH(e)] ->
		open[e] = 0;
		if
		:: open[PEER(e)] ->
			/* end_state_changed() */
			if
#ifndef CLOSE_SILENT
#ifdef CLOSE_DROPS
			:: waiter[PEER(e)] && any[waiter[PEER(e)] - 1] ->
				hand_over(PEER(e))
			:: waiter[PEER(e)] && !any[waiter[PEER(e)] - 1] ->
#else
			:: waiter[PEER(e)] && (any[waiter[PEER(e)] - 1] ||
					       UNSEEN(PEER(e))) ->
				hand_over(PEER(e))
			:: waiter[PEER(e)] && !any[waiter[PEER(e)] - 1] &&
			   !UNSEEN(PEER(e)) ->
#endif
				CHECK(value_lost, !READY(PEER(e)));
				finished = waiter[PEER(e)];
				waiter[PEER(e)] = 0;
				outcome = GONE
#endif
			:: else
			fi;
			kick_poll(PEER(e))
		:: else
		fi;
#ifdef POLL_ONE_END
		if
		:: !poll -> kick_poll(e)
		:: else
		fi;
#else
		kick_poll(e);
#endif
		unlock(CH(e))
	};
	kick(CH(e))
}

/* It does not use e any more. If nobody does it can be closed. */
inline leave(e)
{
	atomic {
		users[e]--;
		final = (users[e] == 0)
	};
	if
	:: final -> close(e)
	:: true
	fi;
	final = 0
}

#ifdef POLL
#define POLLERS	byte poll
#else
#define POLLERS	skip
#endif

/* Variables of every task. */
#define LOCALS								\
	byte calls, steps, result, where;				\
	byte finished;		/* whose wait this call has ended, + 1 */ \
	byte outcome = DONE;						\
	bit kicks, gave_up, has_signalled, was_any, final, unlocked;	\
	POLLERS

/* The task is gone after a grace period. */
inline exit()
{
	atomic {
		!readers ->
		exited[me] = 1
	}
}

#ifndef ANY
proctype task(byte me, e, todo)
{
	LOCALS;

	do
	:: calls < todo ->
		calls++;
		if
		:: steps = WRITE | SIGNAL | WAIT
		:: steps = SIGNAL
		:: steps = WRITE
		:: steps = WAIT
		:: steps = READ
		fi;
again:		exchange(e);
		if
		:: result == EAGAIN && (steps & SIGNAL) ->
			/* A restart, by the kernel or by the caller. */
#ifndef RESTART_REPEATS
			steps = WAIT;
#endif
			goto again
		:: true
		fi;
		result = 0;
		steps = 0;
		has_signalled = 0
	:: break
	od;
	calls = 0;
	leave(e);
	exit()
}
#else
/* One of them may also wait at endpoint e only. */
proctype any_task(byte me, e)
{
	LOCALS;
	byte first, claimed, early;
	bit got;

	do
	:: calls < CALLS ->
		calls++;
		if
		:: wait_any()
		:: e == 2 -> steps = WAIT; exchange(e)
		fi;
		result = 0;
		steps = 0
	:: break
	od;
	calls = 0;
	/* That it closes an endpoint is nothing new: see PAIR. */
	exit()
}

proctype sender(byte me, e)
{
	LOCALS;

	do
	:: calls < SENDS ->
		calls++;
		if
		:: steps = WRITE | SIGNAL
		:: steps = WRITE
		fi;
		exchange(e);
		result = 0;
		steps = 0;
		has_signalled = 0
	:: break
	od;
	calls = 0;
	leave(e);
	exit()
}
#endif

#ifdef POLL
/*
 * poll() of a task that has nothing else to do with the endpoint: end_poll().
 * An endpoint of a thread can be closed meanwhile.
 */
proctype poller(byte e)
{
#ifndef POLL_LOOKS_FIRST
	on_wq[e] = 1;
#endif
	do
	:: atomic {
		!lock[CH(e)] ->
		if
		:: READY(e) || PEER_GONE(e) || !open[e] ->
#ifdef POLL_TAKES
			signals[e] = 0;
#endif
			break
		:: else
		fi
	   };
#ifdef POLL_LOOKS_FIRST
	   on_wq[e] = 1;
#endif
	   poller_asleep[e] = 1;
	   atomic {
		triggered[e] ->
		triggered[e] = 0;
		poller_asleep[e] = 0
	   }
	od;
	atomic {
		on_wq[e] = 0;
		triggered[e] = 0
	}
}
#endif

init
{
	byte i;

	atomic {
#ifdef ANY
		users[1] = 1;
		users[3] = 1;
		run any_task(0, 0);
		run any_task(1, 2);
		run sender(2, 1);
		run sender(3, 3);
#else
		users[0] = 1;
		users[1] = NT - 1;
		run task(0, 0, CALLS);
		run task(1, 1, CALLS);
#ifdef POLL
		run poller(0);
		run poller(1);
#endif
#if NT == 3
		run task(2, 1, CALLS_2);
#endif
#endif
	};

	/* Nobody can do anything any more. */
	timeout;
	atomic {
		do
		:: i < NT ->
			CHECK(stuck, exited[i] || (waits[i] && asleep[i] &&
						   state[i] == WAITING));
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < NE ->
			CHECK(stuck, !waiter[i] || !(signals[i] || PEER_GONE(i)));
#ifdef POLL
			CHECK(stuck, !poller_asleep[i] ||
			      !(signals[i] || PEER_GONE(i) || !open[i]));
#endif
			CHECK(lost, told[i] + signals[i] >= sent[i]);
			CHECK(doubled, told[i] + signals[i] <= sent[i]);
			i++
		:: else -> break
		od
	}
}
