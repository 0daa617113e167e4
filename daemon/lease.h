/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_LEASE_H
#define CURVEFS_LEASE_H

/*
 * The lease: one writer of a volume at a time, wherever it runs.
 *
 * It is the object "lease" of the volume's store, JSON, changed by store_put_if() only (compare and swap): of
 * two who want it one gets it.  Whoever holds it renews it three times within its duration.  It is free when
 *
 * - its holder gave it up (a clean end; the object stays, for the epoch), or
 * - its holder was a process of this very boot and process namespace that is no more: taken over at once,
 *   so that a crash and a new mount on the same machine lose no time, or
 * - it has expired by the clock, and was not renewed while it was watched for longer than the time between
 * two renewals: clocks may differ, and a holder that lives is never overtaken by a clock alone, or
 * - --break-lease says that its holder is gone for good.
 *
 * Fencing.  Each taking counts the epoch up.  The holder measures by CLOCK_BOOTTIME, from before a renewal
 * was sent, so for itself the lease always ends before it does for others; lease_check() fails from then on,
 * and with it every change of the metadata, every deletion of an object and every shipping of the metadata
 * (backup.h).  What a request under way may still do after that does no harm: new objects have names that no
 * other writer uses (data objects by their ids, of which a restored volume skips those that the lost machine
 * may have used; copies of the metadata by the epoch in them, and the greatest epoch counts).
 * A lease that only could not be renewed in time is good again with the next renewal, whose compare and swap
 * proves that nobody had it in between; one that somebody else took is lost for ever.
 *
 * "meta_id" in it names the local metadata that wrote last.  Other metadata of the same volume (on a machine
 * that lost the lease to one where the volume was restored) may not write any more: lease_adopt().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LEASE_KEY "lease"
#define LEASE_DURATION_MS 60000
#define LEASE_TOKEN_MAX 33 /* with its NUL */
#define LEASE_TEXT_MAX 256
#define LEASE_META_ID_MAX 64

struct lease;
struct store;

/** What the object says. */
struct lease_record {
	uint64_t epoch;                  /* of the newest taking */
	char meta_id[LEASE_META_ID_MAX]; /* "": no metadata wrote yet */
	bool held;
	/* Of the holder, if held: */
	char host[LEASE_TEXT_MAX], mountpoint[LEASE_TEXT_MAX * 4];
	char boot_id[64], token[LEASE_TOKEN_MAX];
	pid_t pid;
	uint64_t pid_ns, pid_start; /* inode of the process namespace; start time as in /proc/PID/stat */
	uint64_t renewals;
	int64_t since_s, expires_s; /* Unix time */
	unsigned duration_ms;
};

struct lease_options {
	const char *mountpoint; /* for whoever is refused; NULL: what the program is for */
	unsigned duration_ms;   /* 0: LEASE_DURATION_MS */
	bool break_it;          /* take it from whoever has it */
};

/**
 * Take it, and keep it renewed by a thread. Waits up to 3 s for a holder on this machine, who may be
 * ending, and for an expired one as long as it is watched.
 * @return 0; -EBUSY: somebody has it, and *ret_why says who, where, since when and what to do; -EBADMSG:
 * there is an object that is no lease; or the store's error. *ret_why is to be freed.
 */
int lease_take(struct store *store, const struct lease_options *options, struct lease **ret, char **ret_why);

/** Give it up, if it still is ours, and stop renewing. @p l is gone after. NULL is fine. */
void lease_release(struct lease *l);

/**
 * May this process write? Cheap, thread-safe. @p margin_ms: also that long from now.
 * @return 0; -EIO: not renewed in time, perhaps later again; -EROFS: lost to another. The first of each was
 * logged.
 */
int lease_check(const struct lease *l, unsigned margin_ms);

uint64_t lease_epoch(const struct lease *l);

/** It was taken from a holder that may still run and have requests under way. */
bool lease_was_broken(const struct lease *l);

/** The metadata that wrote last before, as lease_set_meta_id() had it. */
const char *lease_meta_id(const struct lease *l);

/** Record, at once, that the metadata of this process write from now on. */
int lease_set_meta_id(struct lease *l, const char *meta_id);

/**
 * The same, if it is the metadata that wrote last, or none did. -ESTALE: it is not, and *ret_why (free it)
 * says what to do; or the store's error.
 */
int lease_adopt(struct lease *l, const char *meta_id, char **ret_why);

/** What lease_adopt() says to @p meta_id, for who has no lease: @p last is what the record says. */
int lease_check_meta_id(struct store *store, const char *last, const char *meta_id, char **ret_why);

/** For the status: as last written by this process. */
void lease_get(struct lease *l, struct lease_record *ret);

/** Who has the lease? -ENOENT: nobody ever had; -EBADMSG, or the store's error. Sets store_last_error(). */
int lease_read(struct store *store, struct lease_record *ret);

/* ---- lease_record.c: the object's form ---- */

/** @return 0, -EBADMSG, or -EPROTO: of a later version. */
int lease_record_parse(const void *text, size_t length, struct lease_record *ret);

/** @return a string to free, or NULL without memory. */
char *lease_record_print(const struct lease_record *r);

/** Fill in who this process is: host to pid_start, with a new token. @return 0 or negative errno. */
int lease_record_own(struct lease_record *r);

/** Whether a holder is a process of this boot and namespace, and then whether it is still there. */
enum lease_holder { LEASE_ELSEWHERE, LEASE_HERE, LEASE_DEAD };
enum lease_holder lease_record_holder(const struct lease_record *r);

#endif
