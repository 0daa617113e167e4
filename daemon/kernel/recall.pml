/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remembered verdicts: every interleaving, checked by spin (`make model`).  Two files whose verdicts share one place of
 * the module's table and one change counter: A, which is published anew, dropped and evicted, and B, which stays as it
 * is.  In brackets is where the code has what a step stands for.
 *
 *   reader    a read on one CPU: repeats what is remembered, else asks the program, remembers what it said, and reads
 *             the backing file                   kpatch-extfuse/recall.h, recall.c, extfuse.h (extfuse_decide()), read.c
 *   daemon    publishes A in another backing file; before or after that, perhaps, evicts it, or takes the old backing
 *             file back, which the entry may still name       daemon/kernel/maps.c, publish.c, publish_cached.c
 *   freer     frees that one                     kpatch-extfuse/backing.c
 *   dropper   a request that changes A passes by, and is then handled                bpf/mutate.bpf.h
 *
 * This is of a read, the one that needs both the counter and the backing file.  A name, an answer and a write are
 * remembered in the same way (extfuse_recall_name(), extfuse_recall_answer(), extfuse_recall_write()): with two counters
 * for a name, which must both not have moved, and without a backing file for the first two.  What a write needs beside
 * that is in lent.pml.
 *
 * A counter that is only compared is, for each who has read it, whether it has moved since: so map "changes" is no number
 * here, but `current` of each who is about to remember something, and `place_current`.  Steps come in the order of the
 * code: x86 keeps the order of writes, and that of reads, and where a read must not come before a write there is a full
 * barrier (the beginning of an SRCU section, both counters).
 *
 * What must hold: a read that begins after the daemon has published A, or has a request that changes it, never gets what
 * was published before (stale); nobody reads from a cache file what is punched after the barrier (punched), uses a
 * backing file that is freed (freed), or reads another file's bytes (wrong).
 *
 * MISTAKE plants one, which spin must find: 1 the counter moves before the map changes; 2 who remembers reads the counter
 * after it asked the program; 3 nobody looks at the sequence number; 4 the count of backing files removed moves after the
 * grace period; 5 the SRCU section begins after the place was looked at; 6 the key is not compared; 7 nor is the count of
 * those removed; 8 who remembers reads that count after it asked the program; 9 a publish that lost against a drop takes
 * the entry out again without moving the counter; 10 two fill the place at once.
 */
#ifndef MISTAKE
#define MISTAKE 0
#endif

#define READERS 2
#define ME (1 << me) /* a bit for each */
#define NOT_ME (255 - ME)

#define A 1
#define B 2

/* ---- the daemon's backing files: two, two parts of each ---- */
#define OLD 0
#define NEW 1
#define AT(backing, base) ((backing) * 2 + (base))
#define OTHERS 255 /* B's bytes, which are in NEW from 1 on */
byte bytes[4];     /* which publish of A they are of, or OTHERS; 0: none */
bool known[2];     /* has an id [extfuse_backing_find()] */
bool freed[2];
bool removed;      /* their count: one is */

/* ---- the map: of B, nothing changes ---- */
bool entry, entry_backing, entry_base;
byte last;         /* the newest of A that was published */
byte least;        /* older ones are nobody's any more */
bool epoch_moved;  /* since the publisher read it */
bool stripe;       /* the publish lock */

/* ---- the place: struct extfuse_known_file ---- */
byte seq, place_key;
bool place_current, place_backing, place_base, place_removed;

/* ---- the readers ---- */
bool current[READERS];      /* the counter has not moved since it was read */
byte sections;              /* who is in an SRCU section ... */
byte barrier_for, free_for; /* ... and has been since before somebody began to wait for that */
bool to_free;

inline lock(l) { atomic { !l -> l = true } }
inline unlock(l) { l = false }

/* [changed() of maps.c, add_one(&changes) of mutate.bpf.h] */
inline move_counter() { atomic { place_current = false; current[0] = false; current[1] = false } }

inline put() { atomic { entry = true; entry_backing = NEW; entry_base = 0 } }
inline del() { atomic { entry = false; entry_backing = 0; entry_base = 0 } }

/* [kernel_drop_inode(), take_out(), drop_inode() of mutate.bpf.h] */
inline drop() {
#if MISTAKE == 1
	move_counter();
	del()
#else
	del();
	move_counter()
#endif
}

inline begin_section() { sections = sections | ME }
inline end_section() {
	sections = sections & NOT_ME;
	barrier_for = barrier_for & NOT_ME;
	free_for = free_for & NOT_ME
}

proctype reader(byte me) {
	byte rounds, key, from, was;
	bool backing, base, seen;

	do
	:: rounds < 2 - me -> /* the second CPU has one, which is enough for what follows */
		atomic {
			rounds++;
			if
			:: key = A; from = least
			:: key = B
			fi
		}
#if MISTAKE != 5
		begin_section();                         /* [extfuse_decide()] */
#endif
		seen = removed;
		/* [extfuse_recall_file()] */
		atomic {
			was = seq;                       /* [extfuse_known_read()] */
			if
			:: was % 2 && MISTAKE != 3 -> goto ask
			:: else
			fi
		}
#if MISTAKE != 6
		if
		:: place_key == key
		:: else -> goto ask
		fi;
#endif
		if
		:: place_current
		:: else -> goto ask
		fi;
#if MISTAKE != 7
		if
		:: place_removed == seen
		:: else -> goto ask
		fi;
#endif
		backing = place_backing;
		base = place_base;
		atomic {
			if
			:: seq == was || MISTAKE == 3 -> was = 0; seen = 0 /* [extfuse_known_is_still()] */
			:: else -> goto ask
			fi
		}
#if MISTAKE == 5
		begin_section();
#endif
		goto use;
ask:
		atomic { end_section(); begin_section(); was = 0; backing = 0; base = 0 } /* [extfuse_ask_read()] */
		current[me] = true;                      /* [extfuse_change()] */
		seen = removed;
		atomic {                                 /* [do_read()] */
			if
			:: key == B -> backing = NEW; base = 1
			:: key == A && entry -> backing = entry_backing; base = entry_base
			:: else -> goto out
			fi
		}
		if
		:: known[backing]                        /* [extfuse_backing_find()] */
		:: else -> goto out
		fi;
#if MISTAKE == 2
		current[me] = true;
#endif
#if MISTAKE == 8
		seen = removed;
#endif
		/* [extfuse_remember_file()] */
		atomic {
			if
			:: seq % 2 && MISTAKE != 10 -> seen = 0; current[me] = 0; goto use
			:: else -> seq++                 /* [extfuse_known_fill()] */
			fi
		}
		atomic { place_current = current[me]; current[me] = 0 }
		place_key = key;
		place_backing = backing;
		place_base = base;
		atomic { place_removed = seen; seen = 0 }
		seq++;                                   /* [extfuse_known_filled()] */
use:
		atomic {                                 /* [extfuse_read_once()] */
			assert(!freed[backing]); /* freed */
			assert(bytes[AT(backing, base)]); /* punched */
			assert((key == B) == (bytes[AT(backing, base)] == OTHERS)); /* wrong */
			assert(key == B || bytes[AT(backing, base)] >= from) /* stale */
		}
out:
		atomic {
			end_section();
			current[me] = false;
			key = 0;
			from = 0;
			was = 0;
			backing = 0;
			base = 0;
			seen = 0
		}
	:: else -> break
	od
}

proctype daemon(bool evicts, deletes) {
	bool published;

	do
	:: !published ->                                 /* [publish_locked(), put()] */
		atomic { published = true; lock(stripe) }
		atomic { epoch_moved = false; last++ }   /* [kernel_epoch()] */
		bytes[AT(NEW, 0)] = last;
#if MISTAKE == 1
		move_counter();
		put();
#else
		put();
		move_counter();
#endif
		if
		:: epoch_moved ->
#if MISTAKE == 9
			del()
#else
			drop()                           /* [take_out()] */
#endif
		:: else
		fi;
		atomic { least = (last > least -> last : least); unlock(stripe) }
	:: evicts ->                                     /* [publish_before_drop()] */
		atomic { evicts = false; lock(stripe) }
		drop();
		unlock(stripe);
		barrier_for = sections;                  /* [kernel_barrier()] */
		!barrier_for;
		bytes[AT((published -> NEW : OLD), 0)] = 0
	:: deletes ->                                    /* [kernel_backing_del(): extfuse_backing_del()] */
		deletes = false;
		known[OLD] = false;
#if MISTAKE != 4
		removed = true;
#endif
		to_free = true                           /* [call_srcu()] */
	:: published && !evicts && !deletes -> break
	od
}

proctype freer() {
	to_free;
	free_for = sections;
	!free_for;
#if MISTAKE == 4
	removed = true;
#endif
	freed[OLD] = true                                /* [extfuse_backing_free_rcu()] */
}

proctype dropper() {
	byte after;

	atomic { epoch_moved = true; after = last + 1 }  /* [begin_drop()] */
	drop();
	atomic {                                         /* the daemon handles the request */
		!stripe -> least = (after > least -> after : least);
		after = 0
	}
}

init {
	atomic {
		known[OLD] = true;
		known[NEW] = true;
		entry = true;
		last = 1;
		least = 1;
		bytes[AT(OLD, 0)] = 1;
		bytes[AT(NEW, 1)] = OTHERS;
		run reader(0);
		run reader(1);
		if /* with the eviction beside either of the others it holds, too, but takes longer */
		:: run daemon(false, true); run freer()
		:: run daemon(false, false); run dropper()
		:: run daemon(true, false)
		fi
	}
}
