/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXTFUSE_H
#define EXTFUSE_H

/*
 * Inside of extfuse.ko, in the order a request meets it:
 *
 *   compat.h      what differs between kernels
 *   hook.c        ftrace on entries of fs/fuse: is this connection served?
 *   revalidate.c  a name that the dentry cache has -> does it still hold?
 *   request.c     a request in its wire form -> struct extfuse_request -> verdict -> answer
 *   recall.h      what a program said before -> does it still hold?
 *   read.c        read(2) -> struct extfuse_read -> verdict -> I/O on a backing file
 *   write.c       write(2) -> struct extfuse_write -> verdict -> I/O on it, and what became of it
 *   mmap.c        mmap(2) -> struct extfuse_mmap -> verdict -> a mapping of a backing file
 *   backing.c     files that the daemon registered for that I/O
 *   device.c      /dev/extfuse: registers them, the barrier, and who is mapped
 *   ops.c         struct_ops type "extfuse_ops": who is served, by which programs
 *
 * Lifetimes.  An instance (one served connection) is found under RCU and freed
 * a grace period after it was unregistered.  A backing file is found, and read,
 * within an SRCU section of its device; the section begins before the verdict,
 * so that waiting for the section (the barrier) waits for every read that a map
 * entry deleted before could still have sent to that file.  In such a section
 * nothing may wait for a daemon, which may be waiting for the barrier: user
 * pages are not faulted in and the original function is not called.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/ioctl.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/rbtree.h>
#include <linux/rculist.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <linux/hash.h>
#include <uapi/linux/fuse.h>
#include "extfuse_abi.h"
#include "compat.h"
#include "recall.h"

#ifndef CONFIG_X86_64
#error "only x86-64 so far: hook.c writes argument registers"
#endif

/* Left uninitialised although the kernel is built to clear every local: for large ones on hot paths. */
#define EXTFUSE_UNINIT __attribute__((uninitialized))

/* ---- device.c, backing.c ---- */

/* Of one CPU; a write may begin on one and end on another. */
struct extfuse_writes {
	u64 begun, ended;
};

/* An open /dev/extfuse; instances hold references, too, which see no more ids once the file is closed. */
struct extfuse_dev {
	refcount_t refs;
	struct srcu_struct srcu; /* from before a read's verdict until its I/O has ended */
	struct xarray backing;   /* id -> struct extfuse_backing; read within srcu */
	atomic_t backings;       /* entries in it */
	atomic_t removed;        /* moves when an entry goes, before its backing file is freed */
	struct extfuse_writes __percpu *writes; /* extfuse_settle() */
	struct mutex maps_lock;
	struct extfuse_maps maps; /* said at most once */
};

struct extfuse_backing {
	struct extfuse_dev *dev; /* no reference: the device outlives its entries */
	struct file *file;
	const struct cred *cred; /* who registered it; reads are done in this name */
	struct rcu_head rcu;
};

extern const struct file_operations extfuse_dev_fops;
int extfuse_device_init(void);
void extfuse_device_exit(void);
struct extfuse_dev *extfuse_dev_new(void); /* or ERR_PTR; one reference */
void extfuse_dev_put(struct extfuse_dev *dev);

/*
 * A write is under way; an SRCU section as well.  It counts as begun before the section, whose beginning is a
 * full barrier, and as ended when all that it wrote is written: who has taken an entry out and finds as many
 * ended as begun knows that none is under way that saw it.  Ended within the section: behind that the device
 * may be gone.
 */
static __always_inline int extfuse_write_enter(struct extfuse_dev *dev)
{
	this_cpu_inc(dev->writes->begun);
	return srcu_read_lock(&dev->srcu);
}

static __always_inline void extfuse_write_exit(struct extfuse_dev *dev, int srcu)
{
	smp_wmb(); /* what was written before the count; x86 keeps reads before it, too */
	this_cpu_inc(dev->writes->ended);
	srcu_read_unlock(&dev->srcu, srcu);
}

/* A file registered under a new id, or a negative errno: EBADF no such descriptor or not open for reading,
 * EINVAL not a regular file, or one on FUSE, of huge pages, or without a way to write it here. */
int extfuse_backing_add(struct extfuse_dev *dev, int fd, u64 *ret_id);
int extfuse_backing_del(struct extfuse_dev *dev, u64 id); /* or ENOENT; does not wait for readers */

/* Within srcu and RCU; NULL: no such id.  What xa_load() does, but for its own RCU section. */
static __always_inline struct extfuse_backing *extfuse_backing_find(struct extfuse_dev *dev, u64 id)
{
	XA_STATE(xas, &dev->backing, id);
	void *entry = xas_load(&xas);

	return likely(!xa_is_internal(entry)) ? entry : NULL; /* the tree is being changed: a miss */
}

void extfuse_backing_del_all(struct extfuse_dev *dev);

/* ---- ops.c ---- */

/* A served connection. */
struct extfuse_inst {
	struct hlist_node node;
	struct fuse_conn *fc;
	struct extfuse_dev *dev;
	const struct extfuse_ops *ops; /* in the struct_ops map: RCU keeps programs and map while they run */
	struct bpf_link *link;         /* by which it is unregistered */
	struct extfuse_recall *recall; /* NULL: nothing is remembered */
	struct work_struct free;
};

#define EXTFUSE_TABLE_BITS 6
extern struct hlist_head extfuse_table[1 << EXTFUSE_TABLE_BITS];

static inline struct hlist_head *extfuse_bucket(const struct fuse_conn *fc)
{
	return &extfuse_table[hash_ptr(fc, EXTFUSE_TABLE_BITS)];
}

/* All that a connection without an instance pays. */
static __always_inline bool extfuse_maybe_served(const struct fuse_conn *fc)
{
	return unlikely(READ_ONCE(extfuse_bucket(fc)->first));
}

/* Within rcu_read_lock().  NULL too while the connection is not (or no longer) up: fs/fuse knows the errno.
 */
static __always_inline struct extfuse_inst *extfuse_find(const struct fuse_conn *fc)
{
	struct extfuse_inst *inst;

	hlist_for_each_entry_rcu (inst, extfuse_bucket(fc), node) {
		if (inst->fc == fc)
			return extfuse_conn_up(fc) ? inst : NULL;
	}
	return NULL;
}

int extfuse_ops_init(void);
void extfuse_ops_exit(void);

/* ---- request.c ---- */

/* What a program writes, empty, with room for @out_max bytes; the rest of @req is the request. */
static __always_inline void extfuse_clear_answer(struct extfuse_request *req, u32 out_max)
{
	req->out_max = out_max;
	req->error = 0;
	req->out_len = 0;
	req->remember = 0;
	memset(&req->out, 0, sizeof(req->out));
}

/* True: answered, *ret_result is what __fuse_simple_request() shall return. */
bool extfuse_answer(struct fuse_conn *fc, struct fuse_args *args, long *ret_result);

/* ---- revalidate.c ---- */

/* True: the dentry and its inode's attributes are as the maps have them.  False: who knows.  Never sleeps. */
bool extfuse_revalidate(struct fuse_conn *fc, struct dentry *entry, unsigned int flags);

/* ---- read.c ---- */

enum extfuse_how {
	EXTFUSE_HOW_ORIGINAL, /* let fuse_file_read_iter() do it */
	EXTFUSE_HOW_EOF,      /* the answer is 0 */
	EXTFUSE_HOW_BACKING,  /* extfuse_read_backing() with what is in struct extfuse_io */
};

/* A verdict to be carried out; the SRCU section of backing->dev is still open. */
struct extfuse_io {
	struct extfuse_backing *backing;
	u64 offset; /* in the backing file */
	u64 count;  /* bytes to read, > 0 */
	long srcu;  /* index of the section */
};

/* By asking the program; @flags: 0 or EXTFUSE_READ_AGAIN. */
enum extfuse_how extfuse_ask_read(struct kiocb *iocb, struct iov_iter *to, u32 flags,
                                  struct extfuse_io *ret_io);
ssize_t extfuse_read_backing(struct kiocb *iocb, struct iov_iter *to, struct extfuse_backing *backing,
                             u64 offset, u64 count, long srcu);
/* Tasks that are, or may come to be, in an original function with a frame of this module below it. */
extern struct srcu_struct extfuse_frames;

/*
 * Has the page cache of the FUSE inode something newer than the daemon?  Data
 * moves through these states in this order, so asking in this order misses none.
 */
static __always_inline bool extfuse_must_step_aside(struct inode *inode)
{
	struct address_space *mapping = inode->i_mapping;

	if (mapping_writably_mapped(mapping) || mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) ||
	    mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK))
		return true;
#ifdef EXTFUSE_HAVE_fuse_inode_writepages
	/* copies of pages on their way to the daemon; the pages themselves count as written */
	if (!RB_EMPTY_ROOT(&extfuse_inode(inode)->writepages))
		return true;
#endif
	return false;
}

/* A call of an original that is not to be hooked again; named by its kiocb or vma. */
struct extfuse_fallback {
	struct list_head node;
	const void *what; /* only compared */
};

extern atomic_t extfuse_fallbacks_count;
void extfuse_fallback_begin(struct extfuse_fallback *fallback, const void *what);
void extfuse_fallback_end(struct extfuse_fallback *fallback);

/*
 * override_creds() without taking a reference: the backing file has one, and
 * stays as long as the SRCU section.
 */
static __always_inline const struct cred *extfuse_lend_creds(const struct cred *cred)
{
	const struct cred *old = current->cred;

	rcu_assign_pointer(current->cred, cred);
	return old;
}

typedef ssize_t (*extfuse_iter_fn)(struct kiocb *iocb, struct iov_iter *iter);
/* Call fs/fuse's own read_iter or write_iter so. */
ssize_t extfuse_iter_original(extfuse_iter_fn original, struct kiocb *iocb, struct iov_iter *iter);
bool extfuse_falls_back_slow(const void *what);

static __always_inline bool extfuse_falls_back(const void *what)
{
	return unlikely(atomic_read(&extfuse_fallbacks_count)) && extfuse_falls_back_slow(what);
}

/* What is remembered of the file, else the program's verdict.  Inlined into the hook: this is all that a hit
 * does but for its I/O. */
static __always_inline enum extfuse_how extfuse_decide(struct kiocb *iocb, struct iov_iter *to,
                                                       struct extfuse_io *ret_io)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct fuse_mount *fm = inode->i_sb->s_fs_info;
	struct extfuse_inst *inst;
	struct extfuse_dev *dev;

	/* Never waiting (NOWAIT) cannot be promised; a bad inode gets its EIO from the original. */
	if (!iov_iter_count(to) || iocb->ki_pos < 0 || iocb->ki_flags & IOCB_NOWAIT ||
	    !S_ISREG(inode->i_mode) || test_bit(FUSE_I_BAD, &extfuse_inode(inode)->state) ||
	    extfuse_falls_back(iocb))
		return EXTFUSE_HOW_ORIGINAL;
	/* An RCU section as good as any, and shorter than two calls. */
	preempt_disable();
	inst = extfuse_find(fm->fc);
	if (unlikely(!inst || !inst->recall || extfuse_must_step_aside(inode)))
		goto ask;
	dev = inst->dev;
	ret_io->srcu = srcu_read_lock(&dev->srcu);
	if (!extfuse_recall_file(inst->recall, extfuse_inode(inode)->nodeid, atomic_read(&dev->removed),
	                         iocb->ki_pos, min_t(u64, iov_iter_count(to), MAX_RW_COUNT), &ret_io->backing,
	                         &ret_io->offset, &ret_io->count)) {
		srcu_read_unlock(&dev->srcu, ret_io->srcu);
		goto ask;
	}
	if (!ret_io->count) {
		srcu_read_unlock(&dev->srcu, ret_io->srcu);
		preempt_enable();
		return EXTFUSE_HOW_EOF;
	}
	preempt_enable();
	return EXTFUSE_HOW_BACKING; /* srcu goes on */
ask:
	preempt_enable();
	return extfuse_ask_read(iocb, to, 0, ret_io);
}

/* Could a read of @count bytes at @pos be served now?  Counts nothing. */
bool extfuse_could_read(struct file *file, loff_t pos, size_t count);

/* ---- write.c ---- */

enum extfuse_write_how {
	EXTFUSE_WRITE_ORIGINAL, /* let fuse_file_write_iter() do it */
	EXTFUSE_WRITE_WHOLE,    /* extfuse_write_iter() */
	EXTFUSE_WRITE_BEGUN, /* extfuse_write_begun() with what is in struct extfuse_io; the inode is locked
	                      */
};

enum extfuse_write_how extfuse_how_to_write(struct kiocb *iocb, struct iov_iter *from,
                                            struct extfuse_io *ret_io);
ssize_t extfuse_write_iter(struct kiocb *iocb, struct iov_iter *from);
ssize_t extfuse_write_begun(struct kiocb *iocb, struct iov_iter *from, struct extfuse_backing *backing,
                            u64 offset, u64 count, long srcu);

/* ---- mmap.c ---- */

/* True: extfuse_mmap_backing() with what is in *ret_io, whose SRCU section is still open. */
bool extfuse_mmap_decide(struct file *file, struct vm_area_struct *vma, struct extfuse_io *ret_io);
int extfuse_mmap_backing(struct file *file, struct vm_area_struct *vma, struct extfuse_backing *backing,
                         long srcu);

/* Has anybody mapped it, or is about to by a verdict from before the last barrier? */
bool extfuse_is_mapped(struct file *file);
void extfuse_mmap_exit(void);

/* ---- hook.c ---- */

int extfuse_hook_init(void);
void extfuse_hook_exit(void);

#endif
