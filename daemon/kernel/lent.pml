/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may write a file that is lent, and what anybody sees of it: every interleaving, checked by spin
 * (`make model`).  One file, whose contents are the number of the last write(2).  In brackets is where the
 * code has what a step stands for.
 *
 *   kernel    write(2), in the kernel or by way of the daemon       kpatch-extfuse/write.c, bpf/write.bpf.h
 *   daemon    lends, takes back, uploads, commits                   daemon/data/lend.c, flush.c
 *   publisher answers a LOOKUP and puts the inode into the map      daemon/kernel/publish.c, publish_lent.c
 *   reader    read(2): in the kernel if there is an entry, else by the daemon
 *   dropper   a request that changes the inode (chmod) passes by, at any moment   bpf/mutate.bpf.h
 *
 * What must hold: a read that begins after a write(2) has returned sees it or a later one, whoever answers
 * (stale); nobody but the kernel touches the cache file while a kernel write is under way (torn); what was
 * written when a flush began is committed when it ends (lost).
 *
 * MISTAKE plants one, which spin must find: 1 the daemon does not wait for a write that is under way; 2 a write looks
 * whether the file is lent before it says that it is writing; 3 it notes what it wrote before it has written it; 4 the
 * daemon takes the kernel's size over when it has let go of the publish lock; 5 a change by way of the daemon leaves
 * the inode in the map.
 */
#ifndef MISTAKE
#define MISTAKE 0
#endif
#ifndef WRITES
#define WRITES 2
#endif

#define ABSENT 0
#define COMMITTED 1
#define LENT 2

/* ---- the maps ---- */
byte entry = ABSENT; /* inode map: what it says ... */
byte entry_value;    /* ... and, if COMMITTED, of which write */
byte epoch;          /* counts drops, modulo */
bool note;           /* there is a "written" entry */
byte note_value;     /* its size and time, as the number of the write that set them */
byte writing;        /* its count */
bool dirty;

/* ---- the cache file ---- */
byte file;
bool touching; /* a kernel write is under way in it */

/* ---- the daemon ---- */
byte known;     /* data_file.size and mtime: the last write it knows of */
byte committed; /* in the metadata and the store */
bool lent, pending;
bool stripe; /* the publish lock */
bool io;     /* data_file.io */

byte acked; /* the last write(2) that has returned */

inline lock(l) { atomic { !l -> l = true } }
inline unlock(l) { l = false }
inline drop_entry() { atomic { epoch++; entry = ABSENT } }

/* [publish_take_back(), with file_take_back() around it: pending is set, io is held] */
inline take_back() {
	lock(stripe);
	taken = known;
	if
	:: note ->
		entry = ABSENT;               /* [kernel_drop_inode()] */
		if
		:: MISTAKE != 1 -> writing == 0 /* [w.writing, kernel_barrier()] */
		:: else
		fi;
		assert(MISTAKE == 1 || !touching);
		if
		:: dirty -> taken = note_value; dirty = false /* [harvest(), take_range()] */
		:: else
		fi;
		if
		:: MISTAKE != 4 -> known = taken
		:: else
		fi;
		note = false                  /* [kernel_drop_written()] */
	:: else
	fi;
	lent = false;
	unlock(stripe);
	known = taken
}

/* [data_lend(), publish_lend()] */
inline lend() {
	lock(io);
	atomic {
		if
		:: !pending && !lent -> lent = true /* [set_lent()] */
		:: else -> goto not_lent
		fi
	}
	lock(stripe);
	dirty = false;
	note_value = known;
	note = true;
	if
	:: lent && !pending -> entry = LENT
	:: else
	fi;
	unlock(stripe);
not_lent:
	unlock(io)
}

proctype kernel() {
	byte number, taken;

	do
	:: number < WRITES ->
		number++;
		/* under the inode's lock, so one after the other */
		if
		:: MISTAKE == 2 ->
			if
			:: entry == LENT && note -> writing++; goto in_kernel
			:: else -> goto by_daemon
			fi
		:: else ->
			if
			:: note -> writing++              /* [do_write()] */
			:: else -> goto by_daemon
			fi;
			if
			:: entry == LENT -> goto in_kernel /* [is_lent()] */
			:: else -> writing--; goto by_daemon
			fi
		fi;
in_kernel:
		if
		:: MISTAKE == 3 -> dirty = true; note_value = number; writing--
		:: else -> dirty = true               /* [mark_write()] */
		fi;
		touching = true;                      /* [extfuse_write_once()] */
		file = number;
		touching = false;
		if
		:: MISTAKE == 3
		:: else ->
			note_value = number;
			writing--                     /* [do_write_end()] */
		fi;
		goto done;
by_daemon:
		drop_entry();                         /* [do_inode(), the WRITE on its way] */
		atomic { !pending -> pending = true } /* [file_begin_change()] */
		lock(io);
		take_back();
		lock(stripe);
		if
		:: MISTAKE != 5 -> entry = ABSENT     /* [publish_will_write()] */
		:: else
		fi;
		unlock(stripe);
		assert(!touching);
		file = number;                        /* [cache_write()] */
		known = number;
		unlock(io);
		pending = false;                      /* [file_end_change(), changed as long as known > committed] */
		lend();
done:
		acked = number
	:: else -> break
	od
}

/* close(2) or fsync(2): flush_file() */
proctype daemon() {
	byte from, rounds, taken;

	do
	:: rounds < 2 ->
		rounds++;
		from = acked;
		atomic { !pending -> pending = true }
		lock(io);
		take_back();
		unlock(io);
		lock(stripe);
		committed = (known > committed -> known : committed); /* [upload_window(), commit()] */
		unlock(stripe);
		pending = false;
		assert(committed >= from);            /* lost */
		lend()
	:: else -> break
	od
}

/* [publish_locked()] */
proctype publisher() {
	byte before, value, rounds;

	do
	:: rounds < 2 ->
		rounds++;
		lock(stripe);
		before = epoch;
		if
		:: !pending && lent && note ->
			entry = LENT
		:: !pending && !lent && known == committed ->
			value = committed;
			entry_value = value;
			entry = COMMITTED
		:: else -> entry = ABSENT
		fi;
		if
		:: epoch != before -> entry = ABSENT  /* [put()] */
		:: else
		fi;
		unlock(stripe)
	:: else -> break
	od
}

proctype reader() {
	byte least, got;

	least = acked;
	if
	:: entry == LENT && note -> got = note_value   /* [get_size()]; the bytes are no older */
	:: entry == COMMITTED -> got = entry_value
	:: else ->
		lock(stripe);                          /* [publish_getattr(), publish_lent_attr()] */
		got = (note && note_value > known -> note_value : known);
		unlock(stripe)
	fi;
	assert(got >= least)                           /* stale */
}

proctype dropper() {
	drop_entry()
}

init {
	atomic {
		run kernel();
		run daemon();
		run publisher();
		run reader();
		run dropper()
	}
	_nr_pr == 1;
	assert(file == WRITES && (known == WRITES || (note && dirty && note_value == WRITES)))
}
