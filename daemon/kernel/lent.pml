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
 * A write enters before it looks at anything, and exits when all that it did is in the maps; who takes the file back
 * takes the entry out, and then waits for one that has entered (how, is in settle.pml).  All writes are of the same page.
 * So one may be done without asking the program, if the verdict on one before is remembered and the change counter has
 * not moved: then the page is still marked as dirty.  How a verdict is remembered, beside others, is in recall.pml; here
 * it is one step.
 *
 * A counter that is only compared is, for each who has read it, whether it has moved since: the epoch is `epoch_moved`
 * (one publisher at a time), map "changes" is `current` of the write that is under way, and `remembered` of the verdict.
 *
 * What must hold: a read that begins after a write(2) has returned sees it or a later one, whoever answers
 * (stale); nobody but the kernel touches the cache file while a kernel write is under way (torn); what was
 * written when a flush began is committed when it ends (lost).
 *
 * MISTAKE plants one, which spin must find: 1 the daemon does not wait for a write that is under way; 2 a write asks the
 * program before it has entered; 3 it notes what it wrote, and exits, before it has written it; 4 the daemon takes the
 * kernel's size over when it has let go of the publish lock; 5 a change by way of the daemon leaves the inode in the map;
 * 6 a remembered write does not compare the counter; 7 it compares it before it has entered; 8 the counter moves before
 * the entry goes; 9 a write reads the counter after it has asked the program.
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
bool epoch_moved;    /* since the publisher read it */
bool note;           /* there is a "written" entry */
byte note_value;     /* its size and time, as the number of the write that set them */
bool dirty;

/* ---- the module ---- */
bool section;        /* the write that is under way has entered ... */
bool awaited;        /* ... before somebody began to wait for it */
bool remembered;     /* there is a verdict, and the counter has not moved since it was read for that */
bool current;        /* the counter has not moved since the write that is under way read it */

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

/* [changed() of maps.c, add_one(&changes) of mutate.bpf.h] */
inline move_counter() { atomic { remembered = false; current = false } }

inline drop_entry() { atomic { entry = ABSENT; entry_value = 0 } }

/* [kernel_drop_inode()] */
inline drop_inode() {
#if MISTAKE == 8
	move_counter();
	drop_entry()
#else
	drop_entry();
	move_counter()
#endif
}

/* [drop_inode() of mutate.bpf.h] */
inline kernel_drop() {
	epoch_moved = true;
	drop_inode()
}

inline enter() { section = true }                              /* [extfuse_write_enter()] */
inline exit() { atomic { section = false; awaited = false } }  /* [extfuse_write_exit()] */
inline settle() { awaited = section; !awaited }                /* [kernel_settle(), extfuse_settle()] */

/* [publish_take_back(), with file_take_back() around it: pending is set, io is held] */
inline take_back() {
	atomic { lock(stripe); taken = known }
	if
	:: note ->
		drop_inode();
#if MISTAKE != 1
		settle();
#endif
		assert(MISTAKE == 1 || !touching);
		if
		:: dirty -> taken = note_value; dirty = false /* [harvest(), take_range(), clear()] */
		:: else
		fi;
#if MISTAKE != 4
		known = taken;
#endif
		note = false                  /* [kernel_drop_written()] */
	:: else
	fi;
	atomic { lent = false; unlock(stripe) }
	atomic { known = taken; taken = 0 }
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
	atomic { lock(stripe); dirty = false }
	note_value = known;
	note = true;
	if
	:: lent && !pending -> atomic { entry = LENT; entry_value = 0 }; move_counter()
	:: else
	fi;
	unlock(stripe);
not_lent:
	unlock(io)
}

proctype kernel() {
	byte number, taken;
	bool may, asked;

	do
	:: number < WRITES ->
		number++;
		/* under the inode's lock, so one after the other */
#if MISTAKE == 2
		if
		:: entry == LENT && note -> enter(); current = true; goto marked
		:: else -> goto by_daemon
		fi;
#endif
#if MISTAKE == 7
		may = remembered;
#endif
		enter();
		atomic {
			current = true;               /* [extfuse_decide_write(): extfuse_change()] */
#if MISTAKE != 7
			may = remembered;             /* [extfuse_recall_write()] */
#endif
#if MISTAKE == 6
			may = asked;
#endif
			if
			:: may -> may = false; goto in_kernel
			:: else
			fi
		}
		if
		:: entry == LENT && note              /* [do_write()] */
		:: else -> current = false; exit(); goto by_daemon
		fi;
marked:
		dirty = true;                         /* [mark_write()] */
		atomic {
#if MISTAKE == 9
			current = true;
#endif
#if MISTAKE == 6
			asked = true;
#endif
			remembered = current;         /* [extfuse_remember_write()] */
			current = false
		}
in_kernel:
#if MISTAKE == 3
		note_value = number;
		exit();
#endif
		touching = true;                      /* [extfuse_write_once()] */
		file = number;
		touching = false;
#if MISTAKE != 3
		note_value = number;                  /* [do_write_end(), extfuse_recall_write_end()] */
		exit();
#endif
		goto done;
by_daemon:
		kernel_drop();                        /* [do_inode(), the WRITE on its way] */
		atomic { !pending -> pending = true } /* [file_begin_change()] */
		lock(io);
		take_back();
#if MISTAKE != 5
		lock(stripe);
		drop_inode();                         /* [publish_will_write()] */
		unlock(stripe);
#endif
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
		atomic { assert(committed >= from); from = 0 } /* lost */
		lend()
	:: else -> break
	od
}

/* [publish_locked()] */
proctype publisher() {
	byte value, rounds;

	do
	:: rounds < 2 ->
		rounds++;
		lock(stripe);
		epoch_moved = false;                  /* since it was read: now */
		if
		:: !pending && lent && note ->
			atomic { entry = LENT; entry_value = 0 }
		:: !pending && !lent && known == committed ->
			value = committed;
			atomic { entry_value = value; entry = COMMITTED; value = 0 }
		:: else -> drop_entry()
		fi;
		move_counter();                       /* [put(), kernel_drop_inode()] */
		if
		:: epoch_moved -> drop_inode()        /* [put()] */
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
	:: atomic { entry == COMMITTED -> got = entry_value }
	:: else ->
		lock(stripe);                          /* [publish_getattr(), publish_lent_attr()] */
		got = (note && note_value > known -> note_value : known);
		unlock(stripe)
	fi;
	atomic { assert(got >= least); got = 0; least = 0 } /* stale */
}

proctype dropper() {
	kernel_drop()
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
