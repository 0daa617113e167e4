/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#ifndef EXTFUSE_ABI_H
#define EXTFUSE_ABI_H

/*
 * The only home of everything that the kernel module, the BPF programs and the
 * daemon have in common: map keys and values, verdicts, contexts, ioctls, ring
 * records, counters.  A change of any size or meaning here is a new
 * EXTFUSE_ABI_VERSION; module, BPF object and daemon refuse another one's.
 *
 * Include before this header, whichever the side has:
 *   kernel module   <linux/types.h>, <linux/ioctl.h> and <uapi/linux/fuse.h>
 *   BPF             "vmlinux.h" (carries the FUSE protocol structs)
 *   user space      nothing
 */
#if !defined(__KERNEL__) && !defined(__VMLINUX_H__)
#include <linux/fuse.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#endif

#ifdef __cplusplus
#error "C only"
#endif

#define EXTFUSE_ABI_MAGIC 0x45584655u /* "EXFU" */
#define EXTFUSE_ABI_VERSION 6u

/* ---- geometry of the data cache --------------------------------------- */

#define EXTFUSE_CHUNK_SHIFT 22 /* one map entry describes 4 MiB of a file ... */
#define EXTFUSE_CHUNK_SIZE (1ull << EXTFUSE_CHUNK_SHIFT)
#define EXTFUSE_BLOCK_SHIFT 16 /* ... with one bit per 64 KiB sub-block */
#define EXTFUSE_BLOCK_SIZE (1ull << EXTFUSE_BLOCK_SHIFT)
#define EXTFUSE_BLOCKS_PER_CHUNK 64
#define EXTFUSE_READ_MAX_CHUNKS 8 /* a read over more chunks than this passes */

#define EXTFUSE_PAGE_SHIFT 12 /* what the kernel wrote by itself is kept by pages of 4 KiB ... */
#define EXTFUSE_PAGES_PER_CHUNK 1024
#define EXTFUSE_WRITE_MAX EXTFUSE_CHUNK_SIZE /* ... for at most so many bytes at a time */
#define EXTFUSE_FRESH_CHUNKS 64              /* so far behind its end a file that is lent may be written */

/* ---- maps -------------------------------------------------------------- */

#define EXTFUSE_NAME_MAX 255
#define EXTFUSE_NAME_SHORT 40 /* names of at most 40 bytes live in the short map */

/* Names are padded with NUL to the end of the key; a file name has no NUL in it. */
struct extfuse_dentry_key {
	__u64 parent; /* node id of the directory */
	char name[EXTFUSE_NAME_SHORT];
};

struct extfuse_dentry_long_key {
	__u64 parent;
	char name[256];
};

/*
 * The kernel's hash maps give the memory of an element that was taken out, or replaced, to the next one at
 * once, even if a program is reading it; and what is copied into it comes in any order (memcpy() on x86
 * without FSRM begins at either end).  So each value begins with a checksum of its key and of all the rest of
 * it: a program copies the whole value, and a copy that is not of its tag is half of one and half of another.
 */
#define EXTFUSE_TAG_START 0x9e3779b97f4a7c15ull

static inline __u64 extfuse_tag(__u64 tag, const __u64 *words, int n)
{
#ifdef __VMLINUX_H__
#pragma unroll
#endif
	for (int i = 0; i < n; i++) {
		tag = (tag ^ words[i]) * 0xff51afd7ed558ccdull;
		tag ^= tag >> 32;
	}
	return tag;
}

/* Of a key, and of a value behind its first word. */
#define EXTFUSE_TAG_KEY(key) extfuse_tag(EXTFUSE_TAG_START, (const __u64 *)(key), sizeof(*(key)) / 8)
#define EXTFUSE_TAG_VALUE(tag, value) extfuse_tag(tag, (const __u64 *)(value) + 1, sizeof(*(value)) / 8 - 1)

/* What a LOOKUP of the key would answer. */
struct extfuse_dentry {
	__u64 tag;        /* extfuse_dentry_tag() */
	__u64 ino;        /* node id; 0: known to be absent */
	__u64 generation; /* of that node id */
	__u64 expires_ns; /* CLOCK_MONOTONIC; 0: true until dropped */
};

/* @key: EXTFUSE_TAG_KEY() of a key of either kind. */
static inline __u64 extfuse_dentry_tag(__u64 key, const struct extfuse_dentry *d)
{
	return EXTFUSE_TAG_VALUE(key, d);
}

enum extfuse_inode_flags {
	EXTFUSE_INODE_CACHED =
		1 << 0, /* every byte below attr.size is in backing_id, from backing_offset on */
	EXTFUSE_INODE_NO_XATTR = 1 << 1, /* has no extended attribute at all */
	/*
	 * Directory: every name in it is in the dentry maps, so a name that is not there is absent.
	 * Whoever takes a dentry out adds one to the directory's epoch and drops this entry *first*; whoever
	 * concludes "absent" reads the epoch before the dentry and again after this flag, and passes if it
	 * moved.
	 */
	EXTFUSE_INODE_ALL_NAMES = 1 << 2,
	/*
	 * Lent: the kernel may write the file by itself, into backing_id. Size and times are those of map
	 * "written". Without EXTFUSE_INODE_CACHED not every byte is in backing_id, but all of each chunk that
	 * has an entry in map "dirty". Whoever takes it back drops this entry first.
	 */
	EXTFUSE_INODE_LENT = 1 << 3,
};

/*
 * What a GETATTR would answer; key: node id (__u64), which attr.ino is, too.
 *
 * A backing_offset other than 0 says that the file is packed: it shares its backing file with others, whose
 * bytes lie before it and behind attr.size.  So it is read, of [0, attr.size), and nothing else: it is not
 * mapped (a page, and what a mapping shows behind the end of the file, would be another file's) and not
 * written to.  A file that has its backing file to itself is at offset 0, and no packed one ever is.
 */
struct extfuse_inode {
	__u32 tag;    /* extfuse_inode_tag() */
	__u16 serial; /* another one each time that an inode's entry is put */
	__u16 flags;  /* enum extfuse_inode_flags */
	struct fuse_attr attr;
	__u64 generation;
	__u64 expires_ns;     /* CLOCK_MONOTONIC; 0: true until dropped */
	__u64 backing_id;     /* with EXTFUSE_INODE_CACHED or _LENT, else 0 */
	__u64 backing_offset; /* of the file's first byte in the backing file */
};

static inline __u32 extfuse_inode_tag(__u64 ino, const struct extfuse_inode *i)
{
	const __u64 first[] = {ino, (__u64)i->serial << 16 | i->flags};

	return (__u32)EXTFUSE_TAG_VALUE(extfuse_tag(EXTFUSE_TAG_START, first, 2), i);
}

/* Which part of a file is in its cache file. */
struct extfuse_chunk_key {
	__u64 ino;
	__u64 chunk; /* file offset >> EXTFUSE_CHUNK_SHIFT */
};

struct extfuse_chunk {
	__u64 tag;        /* extfuse_chunk_tag() */
	__u64 backing_id; /* from EXTFUSE_IOC_BACKING_ADD */
	__u64 offset;     /* of the chunk's first byte in the backing file */
	__u64 valid;      /* bit n: sub-block n is in the backing file */
	__u64 version;    /* data version of the inode that these bytes belong to */
};

static inline __u64 extfuse_chunk_tag(const struct extfuse_chunk_key *key, const struct extfuse_chunk *c)
{
	return EXTFUSE_TAG_VALUE(EXTFUSE_TAG_KEY(key), c);
}

/*
 * A file that is lent to the kernel: what it did to it.  Key: node id.  The daemon makes the entry before
 * the inode is published with EXTFUSE_INODE_LENT, and takes it away when that is gone and no write is under
 * way any more.  In between the kernel alone changes it, one write at a time (the inode's lock).
 *
 * A write is under way (EXTFUSE_IOC_SETTLE) before it looks whether the inode is (still) lent, and until
 * everything here and in map "dirty" is as the write left it.  So who has dropped the inode entry, and then
 * waits for that, knows that nothing is under way nor will be.
 */
struct extfuse_written {
	__u64 ino;         /* the key */
	__u64 size;        /* of the file, bytes */
	__u64 time_ns;     /* of the last write, CLOCK_REALTIME; 0: none since it was lent */
	__u64 bytes;       /* written since then */
	__u64 max_bytes;   /* a write that would make it more passes; or, repeating a verdict, the next one */
	__u64 fresh_chunk; /* from this chunk on, for EXTFUSE_FRESH_CHUNKS, the kernel makes "dirty" entries
	                    */
	__u64 first_chunk; /* those with "dirty" pages lie in [first_chunk, last_chunk]; first > last: none */
	__u64 last_chunk;
};

/* Pages of a chunk that the kernel has written.  Key: struct extfuse_chunk_key.  No entry: a write passes. */
struct extfuse_dirty {
	__u64 pages[EXTFUSE_PAGES_PER_CHUNK / 64]; /* bit n % 64 of word n / 64: page n */
};

/*
 * Drop counters by inode, so that a publish that raced with a drop loses: who
 * publishes reads the counter first, then the truth, then updates the map, and
 * takes the entry out again if the counter moved.  The kernel adds one *before*
 * it deletes.  Inodes share a slot by hash; a clash costs a needless miss, no more.
 * Index: extfuse_epoch_slot(node id); for a dentry the node id of its directory.
 */
#define EXTFUSE_EPOCH_SLOTS 65536u

static inline __u32 extfuse_epoch_slot(__u64 ino)
{
	return (__u32)((ino * 0x9e3779b97f4a7c15ull) >> 48);
}

/*
 * Change counters, for what the module remembers of verdicts ("remembered verdicts" below); the same slots,
 * of map "changes". Whoever puts, changes or takes out an entry of map "inode", or of a dentry map, adds one
 * to the inode's, or the directory's, *after* that. Who remembers reads the counter *before* it asks, and
 * what is remembered holds until the counter moves. (The epoch moves before a drop, and not when something is
 * put: a publisher must lose to the former and never to another publisher.)
 */

/*
 * The value of map "statfs" (mapped by the daemon, one entry): what a STATFS
 * would answer.  It is written in place, so whoever reads it reads `seq` before
 * and after: odd, or another one, means that what was read is of no use.
 */
struct extfuse_statfs {
	__u64 seq;        /* 0: nothing was written yet; odd: being written */
	__u64 changes;    /* grows with each commit after which `st` would be another */
	__u64 seen;       /* `changes` from before `st` was read: it holds while the two are equal ... */
	__u64 expires_ns; /* ... and until then, CLOCK_MONOTONIC */
	struct fuse_kstatfs st;
};

/* The value of map "info" (array, one entry): what made the maps beside it. */
struct extfuse_info {
	__u32 magic;
	__u32 version;
	__u32 dentry_key_size, dentry_long_key_size, dentry_size;
	__u32 inode_size, chunk_key_size, chunk_size;
	__u32 written_size, dirty_size;
};

/* Names of the maps in the BPF object and of their pins below the mount's bpffs folder. */
#define EXTFUSE_MAP_DENTRY "dentry"           /* hash: extfuse_dentry_key -> extfuse_dentry */
#define EXTFUSE_MAP_DENTRY_LONG "dentry_long" /* hash: extfuse_dentry_long_key -> extfuse_dentry */
#define EXTFUSE_MAP_INODE "inode"             /* hash: __u64 -> extfuse_inode */
#define EXTFUSE_MAP_CHUNK "read_cache"        /* hash: extfuse_chunk_key -> extfuse_chunk */
#define EXTFUSE_MAP_WRITTEN "written"         /* hash: __u64 -> extfuse_written */
#define EXTFUSE_MAP_DIRTY "dirty"             /* hash: extfuse_chunk_key -> extfuse_dirty */
#define EXTFUSE_MAP_EPOCH "epoch"             /* array, BPF_F_MMAPABLE: __u32 slot -> __u32 */
#define EXTFUSE_MAP_CHANGES "changes"         /* the same */
#define EXTFUSE_MAP_STATFS "statfs"           /* array of one struct extfuse_statfs, BPF_F_MMAPABLE */
#define EXTFUSE_MAP_EVENTS "events"           /* perf event array: struct extfuse_event */
#define EXTFUSE_MAP_STATS "stats"             /* per-CPU array: op * EXTFUSE_OUTCOMES + outcome -> __u64 */
#define EXTFUSE_MAP_INFO "info"               /* array of one struct extfuse_info */

/* Constants of the mount, set in the BPF object's read-only data ("config") before it is loaded. */
struct extfuse_config {
	__u64 entry_valid_ns;    /* validity that a positive LOOKUP answer carries */
	__u64 negative_valid_ns; /* ... and a negative one */
	__u64 attr_valid_ns;     /* ... and attributes; rounded up to the kernel's next tick if not 0 */
	__u32 events;            /* 0: write no ring records */
	__u32 flags;             /* enum extfuse_config_flags */
};

enum extfuse_config_flags {
	EXTFUSE_CONFIG_ACL = 1 << 0, /* the mount has POSIX ACLs; without it they are EOPNOTSUPP */
};

/* ---- counters ---------------------------------------------------------- */

#define EXTFUSE_OPS(X)                        \
	X(LOOKUP, "lookup")                   \
	X(GETATTR, "getattr")                 \
	X(READ, "read")                       \
	X(SETATTR, "setattr")                 \
	X(MKNOD, "mknod")                     \
	X(MKDIR, "mkdir")                     \
	X(UNLINK, "unlink")                   \
	X(RMDIR, "rmdir")                     \
	X(SYMLINK, "symlink")                 \
	X(RENAME, "rename")                   \
	X(LINK, "link")                       \
	X(OPEN, "open")                       \
	X(RELEASE, "release")                 \
	X(CREATE, "create")                   \
	X(TMPFILE, "tmpfile")                 \
	X(WRITE, "write")                     \
	X(FALLOCATE, "fallocate")             \
	X(COPY_FILE_RANGE, "copy_file_range") \
	X(GETXATTR, "getxattr")               \
	X(LISTXATTR, "listxattr")             \
	X(SETXATTR, "setxattr")               \
	X(REMOVEXATTR, "removexattr")         \
	X(STATFS, "statfs")                   \
	X(MMAP, "mmap")                       \
	X(OTHER, "other")

enum extfuse_op {
#define X(op, name) EXTFUSE_OP_##op,
	EXTFUSE_OPS(X)
#undef X
		EXTFUSE_OP_COUNT
};

#define EXTFUSE_OUTCOME_LIST(X)                                                                            \
	X(HIT, "hit")             /* answered in the kernel with something that exists */                  \
	X(NEGATIVE, "negative")   /* answered in the kernel: known to be absent */                         \
	X(MISS, "miss")           /* no entry: passed to the daemon */                                     \
	X(STALE, "stale")         /* entry expired or of another generation: passed */                     \
	X(UNCOVERED, "uncovered") /* read, open, mmap: not every byte is in the cache file: passed */      \
	X(ASIDE, "aside")         /* read, mmap: the module stepped aside (dirty pages, shared mapping) */ \
	X(DROP, "drop")           /* mutating request: entries dropped, then passed */                     \
	X(PASS, "pass")           /* nothing to look up or to drop */

enum extfuse_outcome {
#define X(outcome, name) EXTFUSE_##outcome,
	EXTFUSE_OUTCOME_LIST(X)
#undef X
		EXTFUSE_OUTCOMES
};

/* ---- the ring ---------------------------------------------------------- */

enum extfuse_event_kind {
	EXTFUSE_EVENT_DROP = 1,  /* the kernel dropped the entries of ino, and of (parent, some name) */
	EXTFUSE_EVENT_WRITE = 2, /* the kernel wrote to ino for the first time since it was lent */
};

/* What the kernel did to the maps by itself.  A wake-up and an audit: losing one loses nothing. */
struct extfuse_event {
	__u32 kind; /* enum extfuse_event_kind */
	__u32 op;   /* enum extfuse_op */
	__u64 ino;
	__u64 parent;     /* 0: no dentry was touched */
	__u64 new_parent; /* rename: directory of the second name; else 0 */
	__u64 time_ns;    /* CLOCK_MONOTONIC */
};

/* ---- verdicts and contexts (module <-> BPF) ----------------------------- */

enum extfuse_verdict {
	EXTFUSE_V_PASS = 0,    /* to the daemon; so is every value not named here */
	EXTFUSE_V_REPLY = 1,   /* ctx->error and ctx->out are the answer */
	EXTFUSE_V_BACKING = 2, /* do this I/O on ctx->backing_id at ctx->backing_offset */
	EXTFUSE_V_PRIVS = 3,   /* of a write: ask again with EXTFUSE_WRITE_PRIVS */
};

/*
 * Remembered verdicts.  A program says of a verdict that it may be repeated without asking, with what it
 * writes to the context's `remember`: EXTFUSE_REMEMBER() of the counter in "stats" that counts a repetition;
 * 0 says: ask again.  What is repeated is
 *   of a LOOKUP to revalidate   that name and inode are still what they were found to be, until the counter
 *                               of the directory or of that inode moves (map "changes")
 *   of another request          the answer to the same one (same numbers, no name), if it is short enough,
 *                               until the inode's counter moves
 *   of a read                   that all of the file, `size` bytes, is in that backing file, one byte after
 *                               the other; ditto
 *   of a write                  that the pages it touches, and so writes within them, may be written at the
 * same place of that backing file; ditto.  What write_end() would do, to an entry of map "written" with a
 * time in it, the module does then So nothing that expires is to be remembered, nor what is in other maps
 * than "inode" and the dentries.
 */
#define EXTFUSE_REMEMBER(op, outcome) ((op)*EXTFUSE_OUTCOMES + (outcome) + 1)

/*
 * A request in its wire form (uapi/linux/fuse.h), taken apart by the module
 * with every length checked.  Fields without a meaning for an opcode are 0.
 * The verdict's answer goes into error, out_len and out; nothing else is
 * writable for the BPF program.
 */
struct extfuse_request {
	__u64 nodeid;    /* inode of the request; directory of the (first) name */
	__u64 nodeid2;   /* RENAME, RENAME2: directory of the second name; LINK: the inode linked;
	                  * COPY_FILE_RANGE: the inode written to; RELEASE: the file handle */
	__u32 opcode;    /* enum fuse_opcode */
	__u32 flags;     /* OPEN, CREATE: open flags; SETATTR: valid; GETATTR: getattr_flags; RENAME2: flags;
	                  * LOOKUP: enum extfuse_lookup_flags; GETXATTR, LISTXATTR: size asked for */
	__u32 name_len;  /* without NUL; 0: this request has no name */
	__u32 name2_len; /* second name of RENAME, RENAME2 */
	__u32 out_max;   /* bytes that the caller has room for, at most sizeof(out) */
	/* writable from here ... */
	__s32 error;    /* 0 or a negative errno, with V_REPLY */
	__u32 out_len;  /* bytes of out that are the answer, with V_REPLY and error == 0 */
	__u32 remember; /* with V_REPLY: see above */
	union {
		struct fuse_entry_out entry;
		struct fuse_attr_out attr;
		struct fuse_open_out open;
		struct fuse_getxattr_out xattr;
		struct fuse_statfs_out statfs;
		__u64 raw[16];
	} out;
	/* ... to here */
	/* Padded with NUL to EXTFUSE_NAME_SHORT, or if longer, to 256; what lies behind the padding is
	 * undefined. */
	char name[256];
	char name2[256];
};

/*
 * The file handle of a file that was opened by the programs. The daemon, which gives out no such handle,
 * knows nothing of it; the node id says what is meant. A RELEASE of it ends with V_REPLY.
 */
#define EXTFUSE_FH_NONE 0ull

enum extfuse_lookup_flags {
	/*
	 * The kernel has this name already and asks whether it still leads there (EXTFUSE_OPS_REVALIDATE).
	 * What does not end with an answer, or with another one than the kernel has, comes once more as a
	 * LOOKUP without this flag: so only answers are to be counted.
	 */
	EXTFUSE_LOOKUP_REVALIDATE = 1 << 0,
};

/* read(2) and its kin on a regular file of the mount, before the page cache is asked. */
struct extfuse_read {
	__u64 nodeid;
	__u64 pos;   /* file offset, bytes */
	__u64 count; /* bytes asked for, > 0 */
	__u32 flags; /* enum extfuse_read_flags */
	__u32 reserved;
	/* writable from here ... */
	__u64 backing_id;     /* with V_BACKING */
	__u64 backing_offset; /* file offset in the backing file of pos */
	__u64 backing_count;  /* bytes to read, <= count: shortened to the end of file; 0 with V_REPLY: end of
	                         file */
	__u64 size;           /* with remember: of the file */
	__u32 reserved2;
	__u32 remember; /* with V_BACKING: see above */
			/* ... to here */
};

enum extfuse_read_flags {
	EXTFUSE_READ_DIRECT = 1 << 0, /* O_DIRECT */
	EXTFUSE_READ_ASIDE =
		1 << 1, /* dirty pages or a writable shared mapping: count it, the module passes */
	EXTFUSE_READ_AGAIN = 1 << 2, /* second verdict on a read already counted: do not count it */
};

/* mmap(2) of a regular file of the mount. */
struct extfuse_mmap {
	__u64 nodeid;
	__u32 flags; /* enum extfuse_mmap_flags */
	__u32 reserved;
	/* writable from here ... */
	__u64 backing_id; /* with V_BACKING: this file is mapped instead, at the same offsets ... */
	__u64 size;       /* ... if it is that many bytes long */
			  /* ... to here */
};

enum extfuse_mmap_flags {
	/* It is shared and may be written to, or dirty pages or such a mapping are there: count it, the
	   module passes. */
	EXTFUSE_MMAP_ASIDE = 1 << 0,
};

/*
 * write(2) and its kin on a regular file of the mount.  Asked under the inode's lock, and if the answer is
 * V_BACKING there is exactly one write_end() for it, with the same position and count, after the bytes are in
 * the backing file.  Where the lock is not to be had at once, it is asked without it first
 * (EXTFUSE_WRITE_PROBE): may the file be written in the kernel at all?
 */
struct extfuse_write {
	__u64 nodeid;
	__u64 pos;     /* file offset, bytes */
	__u64 count;   /* bytes, > 0; not more than EXTFUSE_WRITE_MAX but for a probe */
	__u64 size;    /* of the file, as the VFS has it */
	__u64 written; /* write_end(): bytes that are in the backing file now, <= count */
	__u64 time_ns; /* write_end(): CLOCK_REALTIME */
	__u32 flags;   /* enum extfuse_write_flags */
	__u32 reserved;
	/* writable from here ... */
	__u64 backing_id;     /* with V_BACKING */
	__u64 backing_offset; /* file offset in the backing file of pos */
	__u32 reserved2;
	__u32 remember; /* with V_BACKING: see above */
			/* ... to here */
};

enum extfuse_write_flags {
	EXTFUSE_WRITE_PROBE = 1 << 0,
	EXTFUSE_WRITE_AGAIN = 1 << 1, /* a further part of a write(2) already counted */
	/* What a write takes away from a file (set-id bits, capabilities) is away. Without this there is no
	   V_BACKING for a file that may have extended attributes, but V_PRIVS: looking for them costs the
	   caller a request. */
	EXTFUSE_WRITE_PRIVS = 1 << 2,
};

/* ---- the module's device ------------------------------------------------ */

#define EXTFUSE_DEVICE "/dev/extfuse"

enum extfuse_features {
	EXTFUSE_FEATURE_REQUEST = 1 << 0,
	EXTFUSE_FEATURE_READ = 1 << 1,
	EXTFUSE_FEATURE_WRITE = 1 << 2,
	EXTFUSE_FEATURE_MMAP = 1 << 3,
	EXTFUSE_FEATURE_REMEMBER = 1 << 4,
};

struct extfuse_ioc_info {
	__u32 magic;    /* out */
	__u32 version;  /* out */
	__u32 features; /* out: enum extfuse_features */
	__u32 backing;  /* out: backing files registered through this descriptor */
};

struct extfuse_ioc_backing {
	__s32 fd; /* in: a regular file open for reading (to be lent, for writing, too); the module takes its
	             own reference */
	__u32 flags; /* in: 0 */
	__u64 id;    /* out: never 0, never used again while the module is loaded */
};

/* The maps that the module looks into by itself, to repeat verdicts. */
struct extfuse_ioc_maps {
	__s32 changes_fd, stats_fd, written_fd; /* in: descriptors of the maps of these names */
	__u32 flags;                            /* in: 0 */
};

/* All need CAP_SYS_ADMIN.  Ids belong to the open /dev/extfuse that made them and die with it. */
#define EXTFUSE_IOC_INFO _IOR('E', 1, struct extfuse_ioc_info)
#define EXTFUSE_IOC_BACKING_ADD _IOWR('E', 2, struct extfuse_ioc_backing)
#define EXTFUSE_IOC_BACKING_DEL _IOW('E', 3, __u64) /* ENOENT: no such id here */
/* Returns when every kernel I/O that could have seen an entry deleted before this call has ended. */
#define EXTFUSE_IOC_BARRIER _IO('E', 4)
/*
 * Of a descriptor of a regular file: 1 if anybody has it mapped, else 0.  After a barrier that covers a
 * mapping whose verdict was given before, too, so that 0 stays true until an entry names the file again.
 */
#define EXTFUSE_IOC_MAPPED _IOW('E', 6, __s32)
/* Returns when every kernel write that could have seen an entry deleted before this call has ended; at once
 * if none is under way. */
#define EXTFUSE_IOC_SETTLE _IO('E', 8)
/*
 * An instance that is registered with this device from now on remembers verdicts; without these maps every
 * request is asked about.  Once: EBUSY after that.  EBADF, EINVAL: no map, or not such a one.
 */
#define EXTFUSE_IOC_MAPS _IOW('E', 7, struct extfuse_ioc_maps)

/*
 * The struct_ops type of the module.  A BPF object has one instance of it; the
 * daemon fills the data members before the object is loaded.  Registering needs
 * CAP_SYS_ADMIN and both descriptors in the caller's table; a connection that
 * already has an instance gives EBUSY, a descriptor of another kind or another
 * abi_version EINVAL, a connection that is not up ENOTCONN.
 */
struct extfuse_ops {
	int (*request)(struct extfuse_request *ctx); /* enum extfuse_verdict; may be absent */
	int (*read)(struct extfuse_read *ctx);       /* ditto */
	int (*mmap)(struct extfuse_mmap *ctx);       /* ditto */
	int (*write)(struct extfuse_write *ctx);     /* ditto, and only with the next */
	int (*write_end)(struct extfuse_write *ctx); /* what it returns is not looked at */
	__s32 fuse_fd;                               /* an open /dev/fuse of the connection to serve */
	__s32 device_fd;   /* the open EXTFUSE_DEVICE whose backing ids the programs may name */
	__u32 abi_version; /* EXTFUSE_ABI_VERSION */
	__u32 flags;       /* enum extfuse_ops_flags; others EINVAL */
};

enum extfuse_ops_flags {
	/*
	 * Names are answered with no validity, so each path walk asks again: let the programs say whether a
	 * name that the kernel has still holds, without leaving the fast (RCU) walk.
	 */
	EXTFUSE_OPS_REVALIDATE = 1 << 0,
};

#define EXTFUSE_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), "ABI: size of " #type)
EXTFUSE_ASSERT_SIZE(struct extfuse_dentry_key, 48);
EXTFUSE_ASSERT_SIZE(struct extfuse_dentry_long_key, 264);
EXTFUSE_ASSERT_SIZE(struct extfuse_dentry, 32);
EXTFUSE_ASSERT_SIZE(struct extfuse_inode, 128);
EXTFUSE_ASSERT_SIZE(struct extfuse_chunk_key, 16);
EXTFUSE_ASSERT_SIZE(struct extfuse_chunk, 40);
EXTFUSE_ASSERT_SIZE(struct extfuse_statfs, 112);
EXTFUSE_ASSERT_SIZE(struct extfuse_written, 64);
EXTFUSE_ASSERT_SIZE(struct extfuse_dirty, 128);
EXTFUSE_ASSERT_SIZE(struct extfuse_info, 40);
EXTFUSE_ASSERT_SIZE(struct extfuse_config, 32);
EXTFUSE_ASSERT_SIZE(struct extfuse_event, 40);
EXTFUSE_ASSERT_SIZE(struct extfuse_request, 40 + 8 + 128 + 512);
EXTFUSE_ASSERT_SIZE(struct extfuse_read, 72);
EXTFUSE_ASSERT_SIZE(struct extfuse_mmap, 32);
EXTFUSE_ASSERT_SIZE(struct extfuse_write, 80);
EXTFUSE_ASSERT_SIZE(struct extfuse_ops, 56);
EXTFUSE_ASSERT_SIZE(struct extfuse_ioc_info, 16);
EXTFUSE_ASSERT_SIZE(struct extfuse_ioc_backing, 16);
EXTFUSE_ASSERT_SIZE(struct extfuse_ioc_maps, 16);

#endif
