/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMTEST_RECALL_H
#define VMTEST_RECALL_H

/*
 * Verdicts that the module repeats without asking a program: that it does, and that it never does so once
 * what they came from is another. What the maps say differs from what the daemon says, to tell by an answer
 * who gave it; how often the programs ran tells whether they were asked.
 */

#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

enum { TIMES = 200 };

/* As the daemon has it; without a validity of attributes no name is remembered. */
extern const struct extfuse_config one_tick;

uint64_t now_ns(void);

/* ---- who was asked ---- */

/* Requests that the daemon got since the mount. */
unsigned long asked(struct tfs *t);

/* What there was of an outcome by then, and who had been asked. */
struct mark {
	struct tfs *t;
	enum extfuse_op op;
	enum extfuse_outcome outcome;
	uint64_t ran, counted;
	unsigned long asked;
};

struct mark mark(struct tfs *t, enum extfuse_op op, enum extfuse_outcome outcome);
/* Since then, were there @p times of it, with the programs run for @p programs of them, and the daemon for
 * none? */
bool was(const struct mark *m, uint64_t times, uint64_t programs);
bool were_repeated(const struct mark *m, uint64_t times);
bool were_asked(const struct mark *m, uint64_t times);

/* ---- a file "file" ---- */

#define CACHED "cached"
#define DAEMONS "daemon"

struct fixture {
	struct tfs *t;
	uint64_t ino, id;
	int cache_fd, fd; /* open_direct(), unless it is lent */
	char *path;
};

/* A mount with the file, which reads as CACHED in the kernel and as DAEMONS of the daemon. */
struct fixture setup(void);
/* Lent, without extended attributes, and open with @p flags, for writing. */
struct fixture setup_lent(int flags);
void teardown(struct fixture *f);
void publish_file(struct fixture *f);

/* With nothing written of it yet, and room for so many bytes. */
void lend(struct fixture *f, uint64_t max_bytes);
struct extfuse_written written(struct fixture *f);
/* The first write is told to the program. */
void write_twice(struct fixture *f);

/* Of TIMES stats or reads, is a program asked about each? */
bool stats_are_asked(struct fixture *f, const char *path, enum extfuse_outcome outcome);
bool reads_are_asked(struct fixture *f);

/* ---- two directories ---- */

/* "a" and "b" with a file each; of a name "nothing" in either the maps say that it is not there. */
struct tree {
	struct tfs *t;
	char top[16];
	uint64_t a, b, a_file, b_file;
	int a_fd, b_fd;
};

struct tree plant(struct tfs *t); /* another one each time */
void uproot(struct tree *r);
const char *below(struct tree *r, const char *name); /* as tfs_path() */

/* ---- any path and entry ---- */

struct tfs *start_attached(void); /* a mount with nothing in it */

int open_direct(const char *path); /* what is not read in the kernel, the daemon is asked for */
void open_and_close(const char *path);
bool reads(int fd, const char *text);
ino_t leads_to(const char *path); /* 0: there is nothing */
mode_t mode_of(const char *path);
/* Often enough that whatever can be remembered is. */
void warm_up(const char *path);

void publish(struct tfs *t, uint64_t parent, const char *name, uint64_t ino, uint64_t id);
struct extfuse_inode inode_of(struct tfs *t, uint64_t ino);
void put_inode(struct tfs *t, const struct extfuse_inode *v);
void say_all_names_are_there(struct tfs *t, uint64_t dir);

/* How often it was changed; and let it change until it was so often. */
uint32_t changes_of(struct tfs *t, uint64_t ino);
void change_until(struct tfs *t, uint64_t ino, uint32_t changes);

#endif
