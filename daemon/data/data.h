/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_DATA_H
#define CURVEFS_DATA_H

/*
 * File contents: between the requests of fs/ and the slices, objects and cache
 * files that hold the bytes.
 *
 *   write  staged in the cache file (or, when that has no room, uploaded at
 *          once), uploaded in the background as chunks fill up, and
 *          committed by data_flush(): upload new objects -> one metadata
 *          transaction -> garbage deleted later
 *   read   from the cache file; what is missing is fetched from the store in
 *          multiples of 64 KiB, with read-ahead for sequential readers, and
 *          put into the cache; without room it is read through
 *
 * What is written but not committed lives here and is merged into every answer
 * by data_pending().
 *
 * A file that is written may be lent to the kernel, which then writes its cache file by itself, until it is
 * taken back: by whatever else is done to it here (lend.c).
 *
 * Thread-safe. Errors: negative errno. An upload that failed in the background left
 * its bytes staged; the next flush of that inode tries again, and reports it if it fails again. So a flush
 * that returned 0 has everything in the store, whatever happened before.
 */

#include "daemon/meta/meta.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache;
struct data;
struct data_file; /* an inode in use; shared by all that have it open */
struct store;

struct data_options {
	uint64_t memory_bytes; /* hard limit on all buffers; 0: 64 MiB */
	unsigned uploads;      /* concurrent; 0: 8 */
	unsigned downloads;    /* concurrent; 0: 16 */
	uint64_t read_ahead;   /* bytes; 0: none */
	unsigned expire_s;     /* so long may bytes be staged only; 0: 30 */
	bool read_only;        /* deletes no garbage */
};

/** What is lent. */
struct data_loan {
	struct cache_file *cache; /* the chunks that are lent are in it, and maybe no others */
	uint64_t size;            /* of the file */
	uint64_t offset, length;  /* chunks that may be written from now on, besides those lent before */
	uint64_t room;            /* bytes that may be written in all before it comes back */
};

/** [offset, offset + length) was written. @return 0, or what take_back() shall return. */
typedef int (*data_written_fn)(void *arg, uint64_t offset, uint64_t length);

/** Told around changes; all may be NULL. Called without locks of data/ held. */
struct data_hooks {
	/** Pending is set; called before the first byte or the size changes (publish_will_write()). */
	void (*will_write)(void *arg, uint64_t ino);
	/** May files be lent to the kernel? NULL: no, and the next two are not called. */
	bool (*may_lend)(void *arg);
	/** The file is lent: data_pending() says so already. @return false: not possible. */
	bool (*lend)(void *arg, uint64_t ino, const struct data_loan *loan);
	/**
	 * The kernel writes the file no more. @p fn is called for all that it wrote, in order. @p end: what
	 * was lent so far is not lent any more next time. *ret_time: of the last write, set before @p fn is
	 * called.
	 * @return 0, or what @p fn returned; then call it again.
	 */
	int (*take_back)(void *arg, uint64_t ino, bool end, data_written_fn fn, void *fn_arg,
	                 struct timespec *ret_time);
	/**
	 * A commit is through (@p length 0: attributes only), or the bytes of [offset, offset + length)
	 * are now in the cache, committed: publish again (publish_data()). A commit and a whole fetch
	 * name the whole file; a reader what it filled.
	 */
	void (*changed)(void *arg, uint64_t ino, uint64_t offset, uint64_t length);
	/** The inode was reaped (publish_forget()). */
	void (*forgotten)(void *arg, uint64_t ino);
	/** Asked before bytes are taken from a writer: 0, or what data_write() ends with. */
	int (*may_write)(void *arg);
	/**
	 * Asked before objects are deleted that were freed by change @p sequence of the metadata or earlier
	 * (meta_sequence()). Those that may not be yet are kept for another time.
	 */
	bool (*may_delete)(void *arg, uint64_t sequence);
	/**
	 * Objects of this number and above are named by no copy of the metadata, so garbage among them goes
	 * at once; UINT64_MAX: none. Asked after the garbage was listed. NULL: none.
	 */
	uint64_t (*first_private)(void *arg);
	/** The store has no space, and what could be deleted waits for may_delete(): do what it takes. */
	void (*want_delete)(void *arg);
	/** By data_close(), when everything is committed and before the last garbage is deleted. */
	void (*all_committed)(void *arg);
	void *arg;
};

/** @p cache NULL: everything is read and written through. @p options NULL: the defaults, with 8 MiB of
 * read-ahead. */
int data_open(struct meta *meta, struct store *store, struct cache *cache, const struct data_options *options,
              const struct data_hooks *hooks, struct data **ret);

/** Flush what is dirty, delete what garbage there is within a few seconds, stop the threads. */
int data_close(struct data *d);

/** For each open(2): get, and put. -ENOENT: no such inode, or an orphan that is being deleted. */
int data_file_get(struct data *d, uint64_t ino, struct data_file **ret);
void data_file_put(struct data_file *f);

uint64_t data_file_ino(const struct data_file *f);

/** @return bytes read (short only at the end of file), or a negative errno. */
ssize_t data_read(struct data_file *f, uint64_t offset, size_t length, void *buffer);

/** @return 0 when all is taken, or a negative errno and nothing of it. @p append: at the end of file,
 * whatever that is. */
int data_write(struct data_file *f, uint64_t offset, size_t length, const void *buffer, bool append);

/** Close: upload and commit everything that is dirty; durable on return. Cheap if nothing is. */
int data_flush(struct data_file *f);

/** fsync(2): the same, and a file that was lent is lent again. */
int data_fsync(struct data_file *f);

/**
 * [offset, offset + length) was written, or the file is empty and about to be: lend it to the kernel, if its
 * chunks are in the cache, with what was lent of it before.
 */
void data_lend(struct data_file *f, uint64_t offset, uint64_t length);

/** The kernel has begun to write @p ino: what it writes is to be stored within half a minute or so. */
void data_kernel_writes(struct data *d, uint64_t ino);

/** Change the size, and with it the attributes in @p set (as meta_setattr(), META_SET_SIZE implied). */
int data_truncate(struct data *d, uint64_t ino, unsigned set, const struct meta_attr *attr,
                  struct meta_attr *ret);

/**
 * fallocate(2). Plain: only the size grows, there is nothing to reserve in an object store. @p zero: the
 * range (what of it lies before the end of file) becomes a hole, which reads as zeros. @p keep_size: the size
 * stays. The times are now in any case.
 */
int data_fallocate(struct data_file *f, bool zero, bool keep_size, uint64_t offset, uint64_t length);

/** SEEK_DATA, or SEEK_HOLE if @p hole: as meta_seek(), after a commit of what is pending. */
int data_seek(struct data_file *f, uint64_t offset, bool hole, uint64_t *ret);

/**
 * copy_file_range(2), by naming the same objects again; both may be the same file, without overlap (-EINVAL).
 * @return bytes copied, which may be fewer than asked for, 0 only at the end of @p from; or a negative errno.
 */
ssize_t data_copy(struct data_file *from, uint64_t from_offset, struct data_file *to, uint64_t offset,
                  size_t length);

enum data_state {
	DATA_COMMITTED = 0,
	DATA_PENDING, /* it is being written */
	DATA_LENT,    /* by the kernel, which alone knows its size and times */
};

/**
 * Merge size and times that are written but not committed into @p attr.
 * To know what is committed, ask before it is read: if nothing is
 * pending then, nothing changes before will_write is called. What is pending may be committed at any moment.
 */
enum data_state data_pending(struct data *d, struct meta_attr *attr);

/** The name count of @p ino became 0 (unlink, rename over it): nothing of it needs to be stored any more. */
void data_unlinked(struct data *d, uint64_t ino);
/**
 * ... and nobody has it in use but by a data_file: reap it now, or when the last of those is put.
 * Objects are deleted in the background.
 */
void data_orphaned(struct data *d, uint64_t ino);

/** The open file @p f was made without a name, and may get one (O_TMPFILE without O_EXCL). */
void data_file_set_linkable(struct data_file *f);

/**
 * Before @p ino gets a name. *ret_file NULL: it has one already. Else it had none: what was written to it is
 * stored now, and it is not reaped until data_link_end(). -ENOENT: a name must not be given to it any more.
 */
int data_link_begin(struct data *d, uint64_t ino, struct data_file **ret_file);
void data_link_end(struct data_file *f, bool linked);

/** At mount: reap what an earlier mount left. */
int data_reap_orphans(struct data *d);

/**
 * Fetch every byte of @p ino into the cache (warm-up). @p ret_bytes: fetched from the store by this call.
 * @return 0 (all cached), -ENOSPC (no room in the cache), or the store's error.
 */
int data_fetch(struct data *d, uint64_t ino, uint64_t *ret_bytes);

/** Flush every dirty inode (syncfs, unmount). The first error is returned, all are tried. */
int data_sync(struct data *d);

struct data_stats {
	uint64_t dirty_bytes, memory_bytes;
	uint64_t uploads_running, downloads_running;
	uint64_t open_files;
};
void data_get_stats(struct data *d, struct data_stats *ret);

/*
 * An object holds up to 4 MiB (or a chunk) of a file in blocks of 64 KiB, the last of which may be
 * shorter. Each is followed by four bytes, little endian: its CRC-32C, begun with the number of the object
 * and of the block, so that an object in the place of another is found out as well.
 */
#define DATA_OBJECT_BLOCK 65536u
#define DATA_OBJECT_CRC 4u
#define DATA_OBJECT_MAX (4u << 20) /* bytes of a file in an object, at most */

/** Bytes in the store of an object with @p size bytes of a file. */
static inline uint64_t data_object_bytes(uint32_t size)
{
	uint64_t blocks = ((uint64_t)size + DATA_OBJECT_BLOCK - 1) / DATA_OBJECT_BLOCK;

	return size + blocks * DATA_OBJECT_CRC;
}

/**
 * Read the whole object, in pieces of 1 MiB, and compare each block with its checksum; twice, where it does
 * not fit. @return 0; -EBADMSG: not from byte *ret_at of the object in the store on; -ENODATA: it is too
 * short; or what store_get() says.
 */
int data_object_verify(struct store *store, uint64_t object, uint32_t size, uint64_t *ret_at);

/** Store key of an object, as "data/<..>/<..>/<id>_<size>". */
#define DATA_KEY_MAX 64
void data_object_key(uint64_t object, uint32_t size, char ret[DATA_KEY_MAX]);
#define DATA_KEY_PREFIX "data/"
/** The way back; -EINVAL: no key of an object. */
int data_object_of_key(const char *key, uint64_t *ret_object, uint32_t *ret_size);

#endif
