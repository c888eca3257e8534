/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The protocol of a message object: parking, delivery, cancelling, death. See
 * module/message.h and queue.h, and README.md here.
 *
 * There is a queue of one slot, a receiver that takes what comes and may close at
 * any time, an ordinary sender that may have to stand in line, and the owner of
 * a message object. The owner loads it with LOADS messages, one after the other,
 * and enqueues each; one that stands in line it waits for, or cancels, and in
 * the end the object is gone, whatever its state. All under the queue's lock is
 * one step; whoever has ended the wait of an object tells its target in a step
 * after that, when the owner may have freed the object.
 *
 * With STAYS_OPEN the receiver closes only at the end of all messages, which has
 * to come then. These select wrong variants, and each has to fail:
 *
 *	CANCEL_BLIND	CANCEL does not look whether it comes too late
 *	TOUCH_LATE	the object is touched when its wait has been ended
 *	GONE_IS_DONE	the owner takes the death of the queue for delivery
 *	COUNT_STAYS	(with STAYS_OPEN) a message that has entered counts as a sender still
 *	TELL_CANCEL	who cancels is told, too
 *	TELL_DONE_ONLY	the death of the queue is not told
 *	LEFT_IN_LINE	an object that is freed stays in line
 *	LINE_LIFO	the last to come is served first
 */
#ifndef LOADS
#define LOADS	2
#endif
#define OTHER	(LOADS + 1)	/* the message of the ordinary sender */

/*
 * assert() under a name, which is a constant 0, so that a report says what was
 * violated.
 */
#define CHECK(name, cond)	assert(name || (cond))

hidden byte lost;		/* the owner thinks it delivered, and it is not */
hidden byte doubled;		/* received twice */
hidden byte taken_back;		/* the owner has it, and so has the queue */
hidden byte dead_object;	/* memory is used that was freed */
hidden byte told_wrong;		/* told too often, or too little */
hidden byte out_of_line;	/* not served in order */

#define NONE	0
#define WAITING	1
#define DONE	2
#define GONE	3

#define OBJECT	1
#define TASK	2

/* The queue. */
byte slot;			/* the message in it, or 0 */
bool dead;
byte senders = 2;
byte line[2];
byte in_line;

/* The message object, and the task's waiter. */
byte state, item;
bool exists = true;
byte task_state;

/* What the properties are about. */
byte told, to_tell;
bool entered[OTHER + 1], received[OTHER + 1];
byte came, next_came, at[3];
byte finished;

inline line_up(who)
{
	line[in_line] = who;
	in_line++;
	came++;
	at[who] = came
}

inline leave(who)
{
	if
	:: line[0] == who -> line[0] = line[1]
	:: else
	fi;
	line[1] = 0;
	in_line--
}

/* Under the lock: who is first in line enters, and is to be woken. */
inline admit()
{
	if
	:: !in_line -> wake = 0
	:: else ->
#ifdef LINE_LIFO
		wake = line[in_line - 1];
#else
		wake = line[0];
#endif
		CHECK(out_of_line, in_line == 1 ||
				   at[wake] < at[OBJECT + TASK - wake]);
		leave(wake);
		if
		:: wake == OBJECT ->
			CHECK(dead_object, exists);
			slot = item;
#ifndef COUNT_STAYS
			senders--;
#endif
			state = DONE
		:: else ->
			slot = OTHER;
			task_state = DONE
		fi;
		entered[slot] = true
	fi
}

/* After the lock is dropped. */
inline wake_up()
{
	if
	:: wake == OBJECT ->
#ifdef TOUCH_LATE
		CHECK(dead_object, exists);
#endif
		told++
	:: else
	fi
}

active proctype receiver()
{
	byte wake;

	do
	:: atomic {
		slot ->
		CHECK(doubled, !received[slot]);
		received[slot] = true;
		slot = 0;
		admit()
	   };
	   wake_up()
	:: atomic { !slot && !senders -> break }
#ifndef STAYS_OPEN
	:: dead = true; break
#endif
	od;
	/* It closes: what is in the slot goes, and who is in line is told. */
	atomic { dead = true; slot = 0 };
	do
	:: atomic {
		in_line ->
		wake = line[0];
		leave(wake);
		if
		:: wake == OBJECT ->
			CHECK(dead_object, exists);
			state = GONE
		:: else -> task_state = GONE
		fi
	   };
#ifdef TELL_DONE_ONLY
	   skip
#else
	   wake_up()
#endif
	:: atomic { !in_line -> break }
	od;
	finished++
}

/* An ordinary sender: one message, and it sleeps if it has to. */
active proctype sender()
{
	if
	:: atomic { dead -> skip }
	:: atomic { !dead && !slot -> slot = OTHER; entered[OTHER] = true }
	:: atomic {
		!dead && slot ->
		task_state = WAITING;
		line_up(TASK)
	   };
	   task_state != WAITING
	fi;
	atomic { senders--; finished++ }
}

active proctype owner()
{
	byte n = 1, mine, parked;

	do
	:: n > LOADS -> break
	:: else ->
		item = n;
		mine = n;
		parked = false;
		if
		:: atomic { dead -> skip }
		:: atomic { !dead && !slot ->
			slot = n;
			entered[n] = true;
			mine = 0
		   }
		:: atomic { !dead && slot ->
			state = WAITING;
			senders++;
			line_up(OBJECT);
			parked = true;
			mine = 0
		   }
		fi;
		if
		:: !parked
		:: parked ->
			if
			:: told > to_tell		/* it waits to be told */
			:: true				/* it cancels */
			:: true -> break		/* it goes */
			fi;
			/* CANCEL, which also finds out what has happened. */
			atomic {
				if
#ifdef CANCEL_BLIND
				:: true ->
					if
					:: state == WAITING -> leave(OBJECT);
						senders--
					:: else -> to_tell++
					fi;
					mine = n
#else
				:: state == WAITING ->
					leave(OBJECT);
					senders--;
#ifdef TELL_CANCEL
					told++;
#endif
					mine = n
				:: state == DONE -> to_tell++
				:: state == GONE ->
					to_tell++;
					senders--;
#ifndef GONE_IS_DONE
					mine = n
#endif
#endif
				fi;
				state = NONE
			}
		fi;
		CHECK(lost, mine == n || entered[n]);
		CHECK(taken_back, mine != n || !entered[n]);
		n++
	od;
	/* It goes: out of line, if it is in one. */
	atomic {
		if
		:: state == WAITING ->
#ifndef LEFT_IN_LINE
			leave(OBJECT);
#endif
			senders--
		:: state == GONE -> to_tell++; senders--
		:: state == DONE -> to_tell++
		:: state == NONE
		fi;
		exists = false
	};
	atomic { senders--; finished++ };
	/* All have been told that had to be, and no more. */
	finished == 3;
	CHECK(told_wrong, told == to_tell)
}
