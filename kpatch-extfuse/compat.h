/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXTFUSE_COMPAT_H
#define EXTFUSE_COMPAT_H

/*
 * What differs between kernels, in one place, and by what a kernel has, never
 * by its version: fuse_layout.h, made from the kernel's BTF by layout.sh, has
 * its structs of fs/fuse and a macro EXTFUSE_HAVE_struct_member for each member.
 * What has one name everywhere is used where it is needed; how the arguments of
 * a request are laid out does not matter (request.c reads them as one stream).
 */

#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/ftrace.h>
#include <uapi/linux/fuse.h>
#include "fuse_layout.h"

/*
 * struct fuse_conn's side towards the daemon became struct fuse_chan, which
 * lives as long as the connection.
 */
#ifdef EXTFUSE_HAVE_fuse_conn_chan
#define extfuse_chan(fc) ((fc)->chan)
#else
#define extfuse_chan(fc) (fc)
#endif

/* Not aborted, and not unmounted. */
static __always_inline bool extfuse_conn_connected(const struct fuse_conn *fc)
{
	return READ_ONCE(extfuse_chan(fc)->connected);
}

/* Besides, the daemon has answered INIT. */
static __always_inline bool extfuse_conn_up(const struct fuse_conn *fc)
{
	return extfuse_conn_connected(fc) && READ_ONCE(extfuse_chan(fc)->initialized);
}

/* Not up yet, or torn down: later kernels put small numbers where 6.12 has NULL. */
static inline bool extfuse_is_object(const void *p)
{
	return (unsigned long)p >= PAGE_SIZE;
}

/* The connection of an open /dev/fuse, which holds a reference on it; NULL: it has none. */
static inline struct fuse_conn *extfuse_fud_conn(struct fuse_dev *fud)
{
	struct fuse_conn *fc;
#ifdef EXTFUSE_HAVE_fuse_dev_chan
	struct fuse_chan *chan = smp_load_acquire(&fud->chan);

	fc = extfuse_is_object(chan) ? READ_ONCE(chan->conn) : NULL;
#else
	fc = READ_ONCE(fud->fc);
#endif
	return extfuse_is_object(fc) ? fc : NULL;
}

/* Until when fs/fuse itself takes the dentry to hold, in jiffies. */
static __always_inline u64 extfuse_dentry_time(const struct dentry *entry)
{
#ifdef EXTFUSE_HAVE_fuse_dentry_time
	return ((struct fuse_dentry *)entry->d_fsdata)->time;
#else
	return (u64)entry->d_fsdata;
#endif
}

/*
 * Is it from before the daemon declared all dentries of the connection void
 * (FUSE_NOTIFY_INC_EPOCH)?  Its number was in d_time before it was in a struct.
 */
static __always_inline bool extfuse_dentry_old(struct fuse_conn *fc, const struct dentry *entry)
{
#ifdef EXTFUSE_HAVE_fuse_dentry_epoch
	return ((struct fuse_dentry *)entry->d_fsdata)->epoch < atomic_read(&fc->epoch);
#elif defined(EXTFUSE_HAVE_fuse_conn_epoch)
	return entry->d_time < atomic_read(&fc->epoch);
#else
	return false;
#endif
}

static inline struct fuse_inode *extfuse_inode(struct inode *inode)
{
	return container_of(inode, struct fuse_inode, inode);
}

/* log2 of what stat(2) says is the best size for I/O. */
static __always_inline unsigned int extfuse_blkbits(const struct fuse_inode *fi)
{
#ifdef EXTFUSE_HAVE_fuse_inode_cached_i_blkbits
	return fi->cached_i_blkbits;
#else
	return fi->inode.i_blkbits;
#endif
}

/* A helper's argument that is the size of the memory before it. */
#ifdef EXTFUSE_HAVE_ARG_MEM_SIZE
#define EXTFUSE_ARG_SIZE ARG_MEM_SIZE
#else
#define EXTFUSE_ARG_SIZE ARG_CONST_SIZE
#endif

/* The registers that a handler may change; some kernels hide them. */
static __always_inline struct pt_regs *extfuse_regs(struct ftrace_regs *fregs)
{
#ifdef arch_ftrace_regs
	return &arch_ftrace_regs(fregs)->regs;
#else
	return &fregs->regs;
#endif
}

#endif
