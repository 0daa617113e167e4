/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_TESTS_TREE_H
#define CURVEFS_TESTS_TREE_H

/*
 * The parts of exercise-tree.prog.c: random operations on the names of a small tree by several processes, and
 * the model that says what they may return.
 *
 * Each process has slots for what it has open: a few directories (the first is the top, for ever), below
 * which it names everything by a single component, and a few files. So each operation is a few atomic steps;
 * a path of more components is walked in as many, with anything in between.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "tests/harness/script.h"

#define TREE_PROCESSES_MAX 4
#define TREE_DIRS 4  /* slots of a process; the first is the top */
#define TREE_FILES 2 /* slots of a process */
#define TREE_SLOTS (TREE_DIRS + TREE_FILES)
#define TREE_NAMES 5
#define TREE_TARGETS 4    /* what a symbolic link may hold */
#define TREE_VALUES 250   /* what a file may hold: 1 .. this; 0 is an empty one */
#define TREE_ROUND_MAX 40 /* operations of a round */
#define TREE_INODES 128   /* number 0 is none, number 1 the top */
#define TREE_TOP 1

/*
 * How often each is drawn, and its arguments: d, n: the slot of a directory and a name in it; D, N: a second
 * one; e: the slot for a directory; f: of a file; v: a value; m: a mode; t: a target.
 */
#define TREE_KINDS(X)           \
	X(mkdir, 9, "dn")       \
	X(rmdir, 4, "dn")       \
	X(create, 7, "dnf")     \
	X(open, 4, "dnf")       \
	X(reopen, 3, "dnf")     \
	X(path, 3, "dnf")       \
	X(tmpfile, 3, "f")      \
	X(enter, 15, "dne")     \
	X(mkfifo, 2, "dn")      \
	X(symlink, 3, "dnt")    \
	X(readlink, 3, "dn")    \
	X(unlink, 9, "dn")      \
	X(link, 10, "dnDN")     \
	X(fdlink, 5, "fDN")     \
	X(rename, 10, "dnDN")   \
	X(noreplace, 4, "dnDN") \
	X(exchange, 5, "dnDN")  \
	X(stat, 14, "dn")       \
	X(mode, 3, "dn")        \
	X(size, 2, "dn")        \
	X(chmod, 3, "dnm")      \
	X(list, 6, "d")         \
	X(fstat, 4, "f")        \
	X(write, 2, "fv")       \
	X(read, 3, "f")

enum tree_kind {
#define X(name, often, args) TREE_##name,
	TREE_KINDS(X)
#undef X
		TREE_KIND_COUNT
};

/* An operation; "open" may create, "reopen" may not, "create" must, "tmpfile" does so without a name. */
struct tree_op {
	uint32_t round; /* those of one round are done at once, after all of the rounds before it */
	uint8_t process, kind;
	uint8_t dir, name, dir2, name2;
	uint8_t slot, value;
};

enum tree_type { TREE_NONE, TREE_DIR, TREE_FILE, TREE_LINK, TREE_FIFO };

/* What an operation returned; what it does not return is 0. */
struct tree_result {
	int error;    /* errno */
	uint64_t ino; /* of what was opened or looked at */
	uint8_t type;
	uint8_t value; /* of a file, or the number of the target; a size is that of a file with a value */
	uint16_t mode;
	uint32_t links;
	bool strange; /* something that is never right, as a name twice in a list */
	struct {
		uint64_t ino;
		uint8_t type;
	} names[TREE_NAMES]; /* of a list */
};

/* All zero if there is none. */
struct tree_inode {
	uint64_t ino;  /* as the file system says it, 0 as long as nobody looked */
	uint16_t mode; /* permissions */
	uint8_t type, value;
	uint8_t links;             /* a directory: 0 or 1 */
	uint8_t parent;            /* of a directory */
	uint8_t names[TREE_NAMES]; /* of a directory: numbers of inodes */
	uint8_t linkable;          /* had no name yet, and may get one */
	uint8_t unused[4];
};
_Static_assert(sizeof(struct tree_inode) == 24, "compared as bytes");

struct tree {
	struct tree_inode inodes[TREE_INODES];
	uint8_t slots[TREE_PROCESSES_MAX][TREE_SLOTS];
	uint8_t by_path[TREE_PROCESSES_MAX];  /* bit: the slot was opened with O_PATH */
	uint8_t found[TREE_PROCESSES_MAX][2]; /* what the operation under way has found */
	uint8_t unused[4];
};
_Static_assert(sizeof(struct tree) == 24 * TREE_INODES + 40, "compared as bytes");

/* All that there is, seen while nothing changes. */
struct tree_seen {
	struct tree tree; /* without slots; links of directories are as stat(2) says */
	struct tree_result slots[TREE_PROCESSES_MAX]
				[TREE_SLOTS]; /* as of fstat, links of directories included */
};

/* ---- tree_model.c ---- */

/** Nothing but the top, whose inode number is @p ino. */
void tree_init(struct tree *t, uint64_t ino);

/**
 * One step of @p op, which makes inode @p number if it makes one.
 * @param got       what it returned; NULL: it did not, anything goes
 * @param ret_wanted  what it would have to return here; may be NULL
 * @return an enum linear_verdict
 */
int tree_step(struct tree *t, const struct tree_op *op, unsigned number, unsigned step,
              const struct tree_result *got, struct tree_result *ret_wanted);

/** Inode @p node is @p ino from now on, if it was none yet. @return whether it can be. */
bool tree_bind(struct tree *t, unsigned node, uint64_t ino);

/** Whether @p op with this result changed nothing, so that the history is as good without it. */
bool tree_only_looked(const struct tree_op *op, const struct tree_result *result);

/* ---- tree_whole.c ---- */

/**
 * Whether what was @p seen is @p t. The inode numbers of @p t are filled in. @p ret_why may be NULL: else it
 * says what is not.
 */
bool tree_is(struct tree *t, const struct tree_seen *seen, char ret_why[SCRIPT_WHY]);

/** Number the inodes from 1 on without gaps. @return how many there are. */
unsigned tree_compact(struct tree *t);

/** Number of subdirectories. */
unsigned tree_subdirs(const struct tree *t, unsigned dir);

/** What there is, in lines that begin with '#'. */
void tree_print(FILE *out, const struct tree *t);

/* ---- tree_op.c ---- */

const char *tree_kind_name(unsigned kind);
/** The name of a file; @p n below TREE_NAMES. */
const char *tree_name(unsigned n);
/** @return TREE_NAMES: none of them. */
unsigned tree_name_number(const char *name);
const char *tree_target(unsigned n);
mode_t tree_mode(unsigned n);
const char *tree_type_name(unsigned type);

/**
 * A script of @p count operations by @p processes, of which each does up to @p burst in a round.
 * @p ret_ops has room for TREE_SETUP_OPS more.
 * @return how many there are.
 */
#define TREE_SETUP_OPS (TREE_DIRS * (TREE_PROCESSES_MAX + 1))
size_t tree_draw(uint64_t seed, size_t count, unsigned processes, unsigned burst, struct tree_op *ret_ops);
void tree_print_op(FILE *out, const void *op);
bool tree_read_op(const char *line, void *ret_op);
/** What it returned, without a newline. */
void tree_print_result(FILE *out, const struct tree_result *result);

/* ---- tree_do.c: on the file system ---- */

/** What a process has open; -1: nothing. */
struct tree_fds {
	int slots[TREE_SLOTS];
};

/** Nothing but the top. */
void tree_open_top(struct tree_fds *fds, const char *path);
void tree_close_all(struct tree_fds *fds);
void tree_do(struct tree_fds *fds, const struct tree_op *op, struct tree_result *ret);
/** The type, inode number and links of a slot, as a result; none: error is EBADF. */
void tree_look_slot(const struct tree_fds *fds, unsigned slot, struct tree_result *ret);
/** See all that is below @p path, while nothing changes. @return false, and why. */
bool tree_see(const char *path, struct tree *ret_tree, char ret_why[SCRIPT_WHY]);
/** Remove all below @p path, and make it if it is not there. @return its inode number, 0: failed, errno says
 * why. */
uint64_t tree_wipe(const char *path);

/* ---- tree_check.c ---- */

/* A round: what was there, what the processes did at once, and what is there now. */
struct tree_round {
	struct tree before; /* as of tree_compact(); at most TREE_INODES - TREE_ROUND_MAX - 1 inodes */
	size_t count;
	struct {
		struct tree_op op;
		struct tree_result result;
		uint64_t start, end; /* nanoseconds */
	} done[TREE_ROUND_MAX];
	struct tree_seen seen;
};

/* What of it is looked at. */
struct tree_part {
	uint64_t until; /* what ends later may have been done or not, what starts later was not; LINEAR_NEVER:
	                   all */
	bool without[TREE_ROUND_MAX]; /* as if they had not been done */
};

/** @return as linear_check(); 1: @p ret_after, which may be NULL, is the tree afterwards. */
int tree_check_part(const struct tree_round *round, const struct tree_part *part, struct tree *ret_after);

/* ---- tree_run.c ---- */

extern struct tree_options {
	const char *path; /* of the top */
	unsigned processes;
	bool late_attributes; /* links, modes and sizes are not compared */
} tree_options;

/** Of all runs. */
extern struct tree_counts {
	uint64_t rounds, good[TREE_KIND_COUNT], bad[TREE_KIND_COUNT];
} tree_counts;

bool tree_run(const struct script *s, char ret_why[SCRIPT_WHY]);

/** The last round that failed. */
extern struct tree_round tree_failed;

/* ---- tree_explain.c: of tree_failed ---- */

/** A script type's explain: the smallest part of it that cannot be. */
void tree_explain(FILE *out);
/** A script type's cut: operations that lead to what was before it, and those of the round. */
bool tree_cut(struct script *ret_shorter);

#endif
