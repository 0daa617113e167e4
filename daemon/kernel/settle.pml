/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How to find that no write is under way without waiting (EXTFUSE_IOC_SETTLE): every interleaving, checked by spin
 * (`make model`).  Each CPU has its own counts, and nobody sees all of them at one moment.  lent.pml takes from here
 * that who has settled has waited.  In brackets is where the code has what a step stands for.
 *
 *   writer    enters, looks whether the file is lent, writes, exits; perhaps on another CPU
 *                                                        kpatch-extfuse/write.c, extfuse.h
 *   settler   takes the entry out and settles            daemon/kernel/publish_lent.c, kpatch-extfuse/device.c
 *   closer    unregisters the programs, then frees the device, which nobody holds any more
 *                                                        kpatch-extfuse/ops.c, device.c
 *
 * What must hold: who has settled finds no write under way, nor does one begin (torn); nobody touches the device when
 * it has been freed (freed).
 *
 * MISTAKE plants one, which spin must find: 1 those begun are summed before those ended; 2 both are summed CPU by CPU;
 * 3 a write looks before it is seen to have begun, as it might without a full barrier in between; 4 it counts as ended
 * before its bytes are there; 5 it counts as ended after its section has ended.
 */
#ifndef MISTAKE
#define MISTAKE 0
#endif

#define WRITERS 2
#define ME (1 << me) /* a bit for each */
#define NOT_ME (255 - ME)

bool lent = true;        /* the inode entry */
byte begun[2], ended[2]; /* struct extfuse_writes, by CPU */
byte sections, rcu;      /* who is in an SRCU section of the device; in an RCU section */
byte settler_for, closer_for, rcu_for; /* of these, whom somebody waits for: they have been in it since before */
bool settled, freed;
bool served = true;

inline begin(cpu) {
	begun[cpu]++;                                /* [extfuse_write_enter()] */
	sections = sections | ME                     /* its end is a full barrier */
}

inline end_section() {
	atomic { sections = sections & NOT_ME; settler_for = settler_for & NOT_ME; closer_for = closer_for & NOT_ME }
}

inline leave_rcu() { atomic { rcu = rcu & NOT_ME; rcu_for = rcu_for & NOT_ME } }

proctype writer(byte me) {
	byte from, to;
	bool may;

	atomic { select(from : 0 .. 1); select(to : 0 .. 1); rcu = rcu | ME }
	if
	:: served                                    /* [extfuse_find_writer()] */
	:: else -> goto out
	fi;
#if MISTAKE == 3
	may = lent;
	begin(from);
#else
	begin(from);
	may = lent;                                  /* [extfuse_decide_write()] */
#endif
	leave_rcu();
#if MISTAKE == 4
	ended[to]++;
#endif
	assert(!may || !settled);                    /* torn [extfuse_write_allowed()] */
#if MISTAKE == 5
	end_section();
	assert(!freed);
	ended[to]++;
#else
#if MISTAKE != 4
	assert(!freed);                              /* freed [extfuse_write_exit()] */
	ended[to]++;
#endif
	end_section();
#endif
out:
	atomic { leave_rcu(); from = 0; to = 0; may = false }
}

proctype settler() {
	byte e, b;

	lent = false;                                /* [kernel_drop_inode()] */
#if MISTAKE == 1
	b = begun[0];                                /* [extfuse_settle()] */
	b = b + begun[1];
	e = ended[0];
	e = e + ended[1];
#else
#if MISTAKE == 2
	e = ended[0];
	b = begun[0];
	e = e + ended[1];
	b = b + begun[1];
#else
	e = ended[0];
	e = e + ended[1];
	b = begun[0];
	b = b + begun[1];
#endif
#endif
	if
	:: b != e -> settler_for = sections; !settler_for /* [synchronize_srcu_expedited()] */
	:: else
	fi;
	settled = true
}

proctype closer() {
	served = false;                              /* [extfuse_unreg()] */
	rcu_for = rcu;                               /* [extfuse_inst_free(): synchronize_rcu()] */
	!rcu_for;
	closer_for = sections;                       /* [extfuse_dev_put(): synchronize_srcu()] */
	!closer_for;
	freed = true
}

init {
	byte i;

	atomic {
		for (i : 0 .. WRITERS - 1) {
			run writer(i)
		}
		if /* neither does anything that the other looks at */
		:: run settler()
		:: run closer()
		fi
	}
}
