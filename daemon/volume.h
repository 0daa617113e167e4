/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_VOLUME_H
#define CURVEFS_VOLUME_H

/*
 * A mounted volume: the parts and what ties them together. Made once by
 * volume_open(), read by every request thread, taken apart after the session ended.
 */

#include "daemon/options.h"

#include <stdatomic.h>
#include <stdint.h>

struct backup;
struct cache;
struct data;
struct kernel;
struct lease;
struct fuse_session;
struct meta;
struct publish;
struct removed;
struct store;

/* Requests that reached the daemon, by FUSE operation; the names are those of `curvefs stats`. */
/* clang-format off */
#define DAEMON_OPS(X)                                                             \
	X(lookup) X(getattr) X(setattr) X(readlink)                               \
	X(mknod) X(mkdir) X(unlink) X(rmdir) X(symlink) X(rename) X(link)         \
	X(open) X(create) X(read) X(write) X(flush) X(release) X(fsync)           \
	X(opendir) X(readdir) X(readdirplus) X(releasedir) X(fsyncdir) X(statfs)  \
	X(setxattr) X(getxattr) X(listxattr) X(removexattr)                       \
	X(access) X(fallocate) X(lseek) X(copy_file_range) X(forget)
/* clang-format on */

enum daemon_op {
#define X(op) DAEMON_OP_##op,
	DAEMON_OPS(X)
#undef X
		DAEMON_OP_COUNT
};

struct volume {
	const struct options *options;
	struct store *remote; /* the object store */
	struct store *store;  /* where data/ puts and finds objects: the same, or with the journal of
	                         --writeback on top, which then owns it */
	struct lease *lease;  /* NULL: mounted read-only */
	struct meta *meta;
	struct backup *backup; /* NULL: mounted read-only, or --meta-backup=0 */
	struct cache *cache;   /* NULL: no cache */
	struct data *data;
	struct publish *publish;
	struct removed *removed; /* inodes without a name that somebody may have in use */
	struct kernel *kernel;   /* NULL: BPF is off, and then why_no_bpf says why */
	char *why_no_bpf;

	struct fuse_session *session; /* set once it is mounted; the caller's */
	bool no_opendir;              /* the kernel can do without OPENDIR */

	/* Seconds that the kernel may keep what a reply says; set by volume_attach_kernel(). */
	double attr_valid, entry_valid, negative_entry_valid;

	_Atomic uint64_t requests[DAEMON_OP_COUNT];
};

/**
 * Check the volume's descriptor in the store against the metadata, open all parts, reap orphans.
 * @return 0 or negative errno; *ret_why (free it) says it for people.
 */
int volume_open(const struct options *options, struct volume **ret, char **ret_why);

/** Attach the kernel side once the file system is mounted; @p fuse_fd stays the caller's. As
 * options->bpf_cache says. */
int volume_attach_kernel(struct volume *v, int fuse_fd, const char *pin_dir, char **ret_why);

/** Have everything written in the store, the copy of the metadata included. */
int volume_sync(struct volume *v);

/** Flush and close everything; the first error is returned (it was logged). */
int volume_close(struct volume *v);

#endif
