/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may read which part of a file that is lent: every interleaving, checked by spin (`make model`).  A part
 * of the file is lent, and stays in the cache file as long as it is; what goes on with that is in lent.pml.
 * This is about the rest, which the cache may drop and the daemon may fetch at any moment.  In brackets is
 * where the code has what a step stands for.
 *
 *   daemon    lends, fetches the rest, takes back       daemon/data/lend.c, daemon/kernel/publish_lent.c
 *   publisher answers a LOOKUP and puts the inode into the map      daemon/kernel/publish.c
 *   evictor   drops the rest                            cache/fill.c, publish_before_drop()
 *   reader    read(2) of the rest in the kernel, if the map says that the file is wholly cached   bpf/read.bpf.h
 *
 * What must hold: who reads the rest in the kernel finds its bytes (gone).
 *
 * MISTAKE plants one, which spin must find: 1 a file that is lent counts as wholly cached, whatever was dropped since;
 * 2 whether it is wholly cached is asked before the publish lock is taken; 3 the evictor does not wait for who is
 * reading.
 */
#ifndef MISTAKE
#define MISTAKE 0
#endif

bool valid = true;    /* the cache says that the rest is there ... */
bool bytes = true;    /* ... and its bytes are */
bool lent, whole;     /* struct loan; it stays when the file is taken back */
bool entry, complete; /* the inode map: EXTFUSE_INODE_LENT, and EXTFUSE_INODE_CACHED with it */
bool stripe;          /* the publish lock */
bool reading;         /* a section that kernel_barrier() waits for */

inline lock(l) { atomic { !l -> l = true } }
inline unlock(l) { l = false }

/* [publish_locked()] */
inline publish() {
	lock(stripe);
	if
	:: lent -> complete = whole; entry = true
	:: else -> entry = false
	fi;
	unlock(stripe)
}

proctype daemon() {
	byte rounds;
	bool found;

	do
	:: rounds < 2 ->
		rounds++;
		found = valid;                        /* MISTAKE 2: here ... */
		lock(stripe);
		if
		:: MISTAKE != 2 && !whole -> whole = valid /* [get_loan_checked(): cache_is_complete()] */
		:: MISTAKE == 2 -> whole = found
		:: else
		fi;
		lent = true;
		unlock(stripe);
		publish();
		if
		:: atomic { !valid -> bytes = true; valid = true } /* [cache_fill()] */
		:: skip
		fi;
		lock(stripe);
		entry = false;                        /* [publish_take_back()] */
		lent = false;
		unlock(stripe)
	:: else -> break
	od
}

proctype publisher() {
	publish();
	publish()
}

proctype evictor() {
	byte rounds;

	do
	:: rounds < 2 ->
		rounds++;
		valid = false;                        /* [cache_drop_blocks(), its first half] */
		lock(stripe);
		entry = false;                        /* [publish_before_drop()] */
		if
		:: MISTAKE != 1 -> whole = false      /* [publish_lent_in_part()] */
		:: else
		fi;
		unlock(stripe);
		if
		:: MISTAKE != 3 -> !reading           /* [kernel_barrier()] */
		:: else
		fi;
		atomic {
			if
			:: !valid -> bytes = false    /* its second half: unless it was put in anew */
			:: else
			fi
		}
	:: else -> break
	od
}

proctype reader() {
	byte rounds;

	do
	:: rounds < 2 ->
		rounds++;
		reading = true;                       /* [extfuse_decide(): srcu_read_lock()] */
		if
		:: entry && complete ->
			assert(bytes)                 /* gone */
		:: else
		fi;
		reading = false
	:: else -> break
	od
}

init {
	atomic {
		run daemon();
		run publisher();
		run evictor();
		run reader()
	}
}
