/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ring of libmbuf: records in shared memory, and its doorbell. See
 * README.md here for what is claimed, for which function of lib/ each part
 * stands for, and for what is left out.
 *
 * A producer sends RECORDS records of one or two units through a ring of SIZE
 * units; a consumer receives them and gives the room back in portions as it
 * likes. Either may sleep, be interrupted while it does, stop for ever, end, or
 * die, at any time. Each load from shared memory is a step. Stores go through a
 * store buffer (total store order: this is x86), so that a store is a step when
 * it leaves it; litmus/ring-* is about processors that reorder more.
 *
 * Without CALMS no side ever is CALM; with it each may become so as soon as it
 * has moved. These select wrong variants, and each has to fail:
 *
 *	NO_FENCE_PUBLISH	no barrier between publishing something and
 *				looking whether the peer is armed
 *	NO_FENCE_ARM		no barrier between arming and looking again
 *	NO_LOOK			arms and sleeps without looking again
 *	LOOK_FIRST		looks, and then arms
 *	NO_MEMBARRIER		who was CALM arms without membarrier()
 *	CALM_ARMED		the consumer also becomes CALM after padding, where
 *				it may be armed
 *	RUNG_ONCE		ARMED has no count, so it is rung once only
 *	BELL_EMPTIED		who has armed forgets what has been rung before
 *	TELL_LATER		sleeps without giving back what it has received
 *	WANT_MORE		wants to be woken when there is more than it needs
 *	END_AT_ONCE		the consumer takes END for the end of all records
 *	END_SILENT		END does not ring
 *	CLEAR_NEVER		the head that follows a record is not cleared
 *	CLEAR_LATE		... is cleared after the record is published
 *	NO_SPARE		... has no room that is kept free for it
 */

#ifndef RECORDS
#define RECORDS	3
#endif
#ifndef SIZE
#define SIZE	4
#endif
#ifndef START
#define START	0		/* where both sides are at first */
#endif

/*
 * assert() under a name, which is a constant 0, so that a report says what was
 * violated.
 */
#define CHECK(name, cond)	assert(name || (cond))

hidden byte stuck;		/* somebody sleeps though there is something */
hidden byte wrong;		/* a record is lost, doubled, reordered or none */
hidden byte overwritten;	/* a unit is used again before it is given back */
hidden byte lost;		/* the end is reported too early */

#define PRODUCER	0
#define CONSUMER	1

/* Shared memory: heads, and what struct mbuf_ring_[tr]x_page have. */
#define TX_WAIT	SIZE
#define WANT	(SIZE + 1)
#define TAIL	(SIZE + 2)
#define RX_WAIT	(SIZE + 3)
byte mem[SIZE + 4];

#define PAD	255		/* of heads; others are 0 or a record's number */

/* States of a side. */
#define AWAKE	0
#define CALM	1
#define ARMED	2
#define END	3
#define STATE(word)	((word) & 3)

/* Store buffers. */
#ifndef DEPTH
#define DEPTH	4
#endif
typedef buffer {
	byte n;
	byte addr[DEPTH];
	byte value[DEPTH];
}
buffer store[2];

/* The two ends of the channel. */
bit bell[2];			/* a signal is pending */
bit closed[2];

byte size_of[RECORDS + 1];	/* the length that is in each head */

/* What the properties are about, and the protocol knows nothing of. */
byte published;			/* records whose heads were stored */
byte received;
byte given_back;
byte needs;			/* what TAIL has to be for the producer */
bit asleep[2];
bit ended[2];			/* nothing more will come from it */
bit done[2];			/* does nothing any more */

hidden byte dx;

/* The oldest store of a side becomes visible. */
inline drain_one(side)
{
	d_step {
		mem[store[side].addr[0]] = store[side].value[0];
		store[side].n--;
		dx = 0;
		do
		:: dx < store[side].n ->
			store[side].addr[dx] = store[side].addr[dx + 1];
			store[side].value[dx] = store[side].value[dx + 1];
			dx++
		:: else -> break
		od;
		store[side].addr[dx] = 0;
		store[side].value[dx] = 0
	}
}

active proctype memory()
{
end:	do
	:: atomic { store[PRODUCER].n > 0 -> drain_one(PRODUCER) }
	:: atomic { store[CONSUMER].n > 0 -> drain_one(CONSUMER) }
	od
}

/* Nobody else sees this; it is used within steps. */
inline put(where, what)
{
	store[me].n < DEPTH;
	store[me].addr[store[me].n] = where;
	store[me].value[store[me].n] = what;
	store[me].n++
}

#define DRAINED	(store[me].n == 0)

/* Both sides have executed a full barrier when it returns. */
inline membarrier()
{
#ifndef NO_MEMBARRIER
	DRAINED;
	do
	:: store[1 - me].n > 0 -> drain_one(1 - me)
	:: else -> break
	od
#else
	skip
#endif
}

/* side_arm() */
inline arm(word_of_mine)
{
	atomic {
#ifndef RUNG_ONCE
		armed++;
#endif
		put(word_of_mine, ARMED + 4 * armed);
		if
		:: calm -> membarrier(); calm = 0
		:: else
		fi
	};
#ifdef BELL_EMPTIED
	bell[me] = 0;
#endif
#ifndef NO_FENCE_ARM
	DRAINED
#else
	skip
#endif
}

/*
 * side_moved(): it has not slept for long. Within a step. The producer also
 * calls it when it has published, but that is only another place between the
 * same two barriers.
 */
inline moved(word_of_mine)
{
#ifdef CALMS
	if
	:: !calm ->
		calm = 1;
		put(word_of_mine, CALM)
	:: true
	fi
#else
	skip
#endif
}

#ifdef NO_FENCE_PUBLISH
#define FENCED	true
#else
#define FENCED	DRAINED
#endif

/*
 * Looking for the peer after having published something: side_word(), if it is
 * not seen to be CALM.
 */
inline look(word_of_peer)
{
	word = mem[word_of_peer];
	if
	:: atomic {
		STATE(word) != CALM && FENCED -> word = mem[word_of_peer]
	   }
	:: STATE(word) == CALM
	fi
}

/* side_ring(), within a step */
inline ring()
{
	if
	:: STATE(word) == ARMED && word != rung ->
		rung = word;
		bell[1 - me] = 1
	:: else
	fi;
	word = 0
}

#define OK	0
#define EAGAIN	1
#define EPIPE	2
#define EINTR	3

/* side_sleep(), after asleep has been set; once a side it is interrupted. */
inline sleep()
{
	if
	:: atomic {
		bell[me] -> bell[me] = 0; woken = OK; asleep[me] = 0
	   }
	:: atomic {
		!bell[me] && closed[1 - me] -> woken = EPIPE; asleep[me] = 0
	   }
	:: atomic {
		!interrupted -> interrupted = 1; woken = EINTR; asleep[me] = 0
	   }
	fi
}

/*
 * It does nothing any more. Or it says so: mbuf_ring_tx_end(),
 * mbuf_ring_rx_end(). Or it exits or is killed; then all stores are visible.
 */
inline stop(word_of_mine, word_of_peer)
{
	if
	:: true
	:: atomic {
		put(word_of_mine, END)
	   };
	   atomic {
		DRAINED ->
		ended[me] = 1;
		word = mem[word_of_peer];
#ifndef END_SILENT
		ring()
#endif
	   }
	:: atomic {
		DRAINED ->
		closed[me] = 1;
		ended[me] = 1
	   }
	fi;
	done[me] = 1
}

#ifdef NO_SPARE
#define KEPT	0
#else
#define KEPT	1
#endif
/* Bytes up to the end, if a record of k units does not fit there. */
#define REST	(k > SIZE - pos -> SIZE - pos : 0)
#define FITS	(k + KEPT + REST <= SIZE - (count - tail))

/* tx_room(): room for k units */
inline room()
{
	if
	:: atomic { FITS -> result = OK }
	:: atomic {
		!FITS ->
		tail = mem[TAIL];
		result = (FITS -> OK : EAGAIN)
	   };
	   if
	   :: atomic {
		result == EAGAIN ->
		result = (STATE(mem[RX_WAIT]) == END -> EPIPE : EAGAIN)
	      }
	   :: result == OK
	   fi
	fi;
	atomic {
		if
		:: result == OK && REST > 0 ->
			CHECK(overwritten, count + REST + 1 - given_back <= SIZE);
#ifndef CLEAR_NEVER
			put(0, 0);
#endif
			put(pos, PAD);
			count = count + SIZE - pos;
			pos = 0;
			moved(TX_WAIT)
		:: result == OK && REST == 0 -> moved(TX_WAIT)
		:: else
		fi
	}
}

#ifdef WANT_MORE
#define WANTED	(count + k + KEPT + REST - SIZE + 1)
#else
#define WANTED	(count + k + KEPT + REST - SIZE)
#endif

proctype producer(byte me)
{
	byte pos = START, count = START, tail = START;
	byte rung, word, k, result, woken, armed;
	bit calm, interrupted, stopped;

	do
	:: atomic {
		published < RECORDS && !stopped ->
		if
		:: k = 1
		:: k = 2
		fi
	   };
	   /* mbuf_ring_push() */
	   room();
	   if
	   :: result == EAGAIN ->
		/* tx_await() */
		do
		:: atomic {
			needs = count + k + KEPT + REST - SIZE;
			put(WANT, WANTED)
		   };
#ifdef LOOK_FIRST
		   room();
#endif
		   arm(TX_WAIT);
#if !defined(NO_LOOK) && !defined(LOOK_FIRST)
		   room();
#endif
		   if
		   :: result != EAGAIN -> break
		   :: atomic { result == EAGAIN -> asleep[me] = 1 }
		   fi;
		   sleep();
		   room();
		   atomic {
			if
			:: result != EAGAIN -> break
			:: result == EAGAIN && woken != OK ->
				result = woken;
				break
			:: else
			fi
		   }
		od;
		atomic {
			/* side_awake() */
			put(TX_WAIT, AWAKE);
			woken = OK;
			needs = 0
		}
	   :: result != EAGAIN
	   fi;
	   if
	   :: atomic {
		result == OK ->
		/* mbuf_ring_tx_publish(), tx_finish() */
		CHECK(overwritten, count + k + 1 - given_back <= SIZE);
		size_of[published + 1] = k;
#if !defined(CLEAR_NEVER) && !defined(CLEAR_LATE)
		put((pos + k) % SIZE, 0);
#endif
		put(pos, published + 1);
		published++;
#ifdef CLEAR_LATE
		put((pos + k) % SIZE, 0);
#endif
		count = count + k;
		pos = pos + k;
		k = 0;
		if
		:: pos == SIZE -> pos = 0
		:: else
		fi
	      };
	      look(RX_WAIT);
	      atomic {
		stopped = (STATE(word) == END);
		ring()
	      }
	   :: atomic { result == EINTR -> k = 0 }	/* and tries again */
	   :: atomic { result == EPIPE -> k = 0; stopped = 1 }
	   fi
	:: break					/* that is all */
	od;
	stop(TX_WAIT, RX_WAIT)
}

/* rx_tell(), mbuf_ring_release(), mbuf_ring_rx_wake() */
inline tell()
{
	if
	:: atomic {
		told != count ->
		told = count;
		moved(RX_WAIT);
		put(TAIL, count);
		given_back = count
	   };
	   look(TX_WAIT);
	   atomic {
		if
		:: STATE(word) == ARMED && count >= mem[WANT] -> ring()
		:: else -> word = 0
		fi
	   }
	:: told == count
	fi
}

/* Results of looking at a head that are none of rx_find() yet. */
#define REPEAT	4
#define EMPTY	5

/* rx_find() */
inline find()
{
	do
	:: atomic {
		head = mem[pos];
		if
		:: head == PAD ->
			count = count + SIZE - pos;
			pos = 0;
			head = 0;
			result = REPEAT;
#ifdef CALM_ARMED
			moved(RX_WAIT)
#endif
		:: head == 0 -> result = EMPTY
		:: head > 0 && head < PAD -> result = OK
		fi
	   };
	   if
	   :: result == OK -> break
	   :: result == REPEAT
	   :: atomic {
		result == EMPTY ->
		result = (STATE(mem[TX_WAIT]) == END -> EPIPE : EAGAIN)
	      };
	      if
	      :: result == EAGAIN -> break
#ifdef END_AT_ONCE
	      :: result == EPIPE -> break
#else
	      :: atomic {
		result == EPIPE ->
		/* What came before the end has to be seen now. */
		if
		:: mem[pos] == 0 -> break
		:: else
		fi
		 }
#endif
	      fi
	   fi
	od
}

proctype consumer(byte me)
{
	byte pos = START, count = START, told = START;
	byte rung, word, head, result, woken, armed;
	bit calm, interrupted, stopped;

	do
	:: !stopped ->
		/* mbuf_ring_pop() */
		find();
		if
		:: result == EAGAIN ->
			/* rx_await() */
#ifndef TELL_LATER
			tell();
#endif
			do
			::
#ifdef LOOK_FIRST
			   find();
#endif
			   arm(RX_WAIT);
#if !defined(NO_LOOK) && !defined(LOOK_FIRST)
			   find();
#endif
			   if
			   :: result != EAGAIN -> break
			   :: atomic { result == EAGAIN -> asleep[me] = 1 }
			   fi;
			   sleep();
			   find();
			   atomic {
				if
				:: result != EAGAIN -> break
				:: result == EAGAIN && woken != OK ->
					result = woken;
					break
				:: else
				fi
			   }
			od;
			atomic {
				/* side_awake() */
				put(RX_WAIT, AWAKE);
					woken = OK
			}
		:: result != EAGAIN
		fi;
		if
		:: atomic {
			result == OK ->
			CHECK(wrong, head == received + 1);
			received++;
			count = count + size_of[head];
			pos = pos + size_of[head];
			head = 0;
			if
			:: pos == SIZE -> pos = 0
			:: else
			fi
		   };
		   /* Portions: it may as well keep it for now. */
		   if
		   :: tell()
		   :: true
		   fi
		:: result == EINTR
		:: atomic {
			result == EPIPE ->
			/* All that the other one had sent was received. */
			CHECK(lost, received == published);
			stopped = 1
		   }
		fi
	:: break
	od;
	stop(RX_WAIT, TX_WAIT)
}

init
{
	atomic {
		mem[TAIL] = START;
		given_back = START;
		run producer(PRODUCER);
		run consumer(CONSUMER)
	};

	/* Nobody can do anything any more. */
	timeout;
	atomic {
		CHECK(stuck, done[PRODUCER] != asleep[PRODUCER]);
		CHECK(stuck, done[CONSUMER] != asleep[CONSUMER]);
		CHECK(stuck, !asleep[PRODUCER] || !asleep[CONSUMER]);
		CHECK(stuck, !asleep[CONSUMER] ||
		      (received == published && !ended[PRODUCER]));
		CHECK(stuck, !asleep[PRODUCER] ||
		      (given_back < needs && !ended[CONSUMER]))
	}
}
