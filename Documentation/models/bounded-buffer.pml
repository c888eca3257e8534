/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The bounded buffer of the textbooks: N slots, and two counters that only
 * grow. Message number i goes into slot i mod N; in - out messages are in the
 * buffer.
 *
 *	send(bb, message):
 *		acquire(bb.lock)
 *		while bb.in - bb.out = N:
 *			release(bb.lock)
 *			acquire(bb.lock)
 *		bb.buf[bb.in mod N] <- message
 *		bb.in <- bb.in + 1
 *		release(bb.lock)
 *
 * and receive() likewise. Without a variant this is what is modelled, and it
 * is right. The variants, selected by -D:
 *
 *	NO_LOCK			no locks. Right for one sender and one receiver,
 *				wrong for two senders
 *	INCREMENT_FIRST		NO_LOCK, and the sender increments in before it
 *				writes the message: wrong even for one sender
 *	INCREMENT_FIRST_RECV	NO_LOCK, and the receiver increments out before
 *				it reads the message: likewise
 *	LOCK_PER_LINE		the lock is taken around each line for itself
 *	CHECK_OUTSIDE		the sender looks for room before it takes the lock
 *	HOLD_WHILE_WAITING	the sender keeps the lock while it waits for room
 *	TWO_LOCKS		HOLD_WHILE_WAITING, and receivers have a lock of
 *				their own
 *	COUNT			how full the buffer is is counted in one variable
 *				that both sides change, instead of in - out. Right
 *				by itself, wrong with TWO_LOCKS
 *
 * A loop that drops the lock, takes it, and looks again does nothing that
 * anyone could see until there is something new to be seen. So it is written
 * as dropping the lock, waiting for that, taking the lock, and looking again;
 * then a party that waits for ever is stuck, and does not run in circles.
 */

#ifndef NS
#define NS	2		/* senders */
#endif
#ifndef NR
#define NR	1		/* receivers */
#endif
#ifndef EACH
#define EACH	2		/* messages of each sender */
#endif
#ifndef N
#define N	2		/* slots */
#endif

#define ALL	(NS * EACH)

#if defined(INCREMENT_FIRST) || defined(INCREMENT_FIRST_RECV)
#define NO_LOCK
#endif
#ifdef TWO_LOCKS
#define HOLD_WHILE_WAITING
#endif

/*
 * assert() under a name, which is a constant 0, so that a report says what was
 * violated.
 */
#define CHECK(name, cond)	assert(name || (cond))

hidden byte empty_slot;		/* a slot is read that has no message */
hidden byte overwritten;	/* a message is overwritten before it is read */
hidden byte doubled;		/* a message is received twice */
hidden byte reordered;		/* not in the order of its sender */
hidden byte miscounted;		/* in does not count the messages sent */
hidden byte stuck;		/* somebody waits for ever */
hidden byte lost;		/* a message is never received */

/* The buffer. */
byte in, out;
byte buf[N];
bit lock[2];
#ifdef COUNT
byte count;
#define FULL	(count == N)
#define EMPTY	(count == 0)
#else
#define FULL	(in - out >= N)
#define EMPTY	(out == in)
#endif

/* What the properties are about. */
bit has_message[N];
bit received[ALL + 1];
byte last[NS * NR];		/* what receiver r has got from sender s */
byte sent_all, received_all;	/* how many parties have */

#define SEND_LOCK	lock[0]
#ifdef TWO_LOCKS
#define RECV_LOCK	lock[1]
#else
#define RECV_LOCK	lock[0]
#endif

#define acquire(l)	atomic { !l -> l = 1 }
#define release(l)	l = 0

/* Around all of send() or receive(), or around a line. */
#if defined(NO_LOCK)
#define ACQUIRE(l)	skip
#define RELEASE(l)	skip
#define BEGIN(l)	skip
#define END(l)		skip
#elif defined(LOCK_PER_LINE)
#define ACQUIRE(l)	skip
#define RELEASE(l)	skip
#define BEGIN(l)	acquire(l)
#define END(l)		release(l)
#else
#define ACQUIRE(l)	acquire(l)
#define RELEASE(l)	release(l)
#define BEGIN(l)	skip
#define END(l)		skip
#endif

/* Adding to a variable in memory is reading it and writing it. */
inline add(l, variable, n)
{
	BEGIN(l);
	t = variable;
	variable = t + n;
	END(l)
}

inline write()
{
	BEGIN(SEND_LOCK);
#ifdef INCREMENT_FIRST
	t = (in - 1) % N;
#else
	t = in % N;
#endif
	atomic {
		CHECK(overwritten, !has_message[t]);
		has_message[t] = 1;
		buf[t] = m
	};
	END(SEND_LOCK)
}

inline send()
{
#ifdef CHECK_OUTSIDE
	!FULL;
	ACQUIRE(SEND_LOCK);
#else
	ACQUIRE(SEND_LOCK);
#if defined(HOLD_WHILE_WAITING) || defined(NO_LOCK) || defined(LOCK_PER_LINE)
	!FULL;
#else
	do
	:: FULL -> RELEASE(SEND_LOCK); !FULL; ACQUIRE(SEND_LOCK)
	:: else -> break
	od;
#endif
#endif
#ifdef INCREMENT_FIRST
	add(SEND_LOCK, in, 1);
	write();
#else
	write();
	add(SEND_LOCK, in, 1);
#endif
#ifdef COUNT
	add(SEND_LOCK, count, 1);
#endif
	RELEASE(SEND_LOCK)
}

inline read()
{
	BEGIN(RECV_LOCK);
#ifdef INCREMENT_FIRST_RECV
	t = (out - 1) % N;
#else
	t = out % N;
#endif
	atomic {
		CHECK(empty_slot, has_message[t]);
		has_message[t] = 0;
		m = buf[t];
		if
		:: m > 0 ->
			CHECK(doubled, !received[m]);
			received[m] = 1;
			t = me * NS + (m - 1) / EACH;
			CHECK(reordered, last[t] < m);
			last[t] = m;
			m = 0
		:: else
		fi
	};
	END(RECV_LOCK)
}

inline receive()
{
	ACQUIRE(RECV_LOCK);
#if defined(NO_LOCK) || defined(LOCK_PER_LINE)
	!EMPTY;
#else
	do
	:: EMPTY -> RELEASE(RECV_LOCK); !EMPTY; ACQUIRE(RECV_LOCK)
	:: else -> break
	od;
#endif
#ifdef INCREMENT_FIRST_RECV
	add(RECV_LOCK, out, 1);
	read();
#else
	read();
	add(RECV_LOCK, out, 1);
#endif
#ifdef COUNT
	add(RECV_LOCK, count, -1);
#endif
	RELEASE(RECV_LOCK)
}

proctype sender(byte me)
{
	byte i, m, t;

	do
	:: i < EACH ->
		i++;
		m = me * EACH + i;
		send()
	:: else -> break
	od;
	sent_all++
}

proctype receiver(byte me)
{
	byte i, m, t;

	do
	:: i < ALL / NR ->
		i++;
		receive()
	:: else -> break
	od;
	received_all++
}

init
{
	byte i;

	atomic {
		do
		:: i < NS -> run sender(i); i++
		:: i >= NS && i < NS + NR -> run receiver(i - NS); i++
		:: else -> break
		od;
		i = 1
	};

	/* Nobody can do anything any more. */
	timeout;
	atomic {
		CHECK(stuck, sent_all == NS && received_all == NR);
		CHECK(miscounted, sent_all < NS || in == ALL);
		do
		:: i <= ALL && sent_all == NS ->
			CHECK(lost, received[i]);
			i++
		:: else -> break
		od
	}
}
