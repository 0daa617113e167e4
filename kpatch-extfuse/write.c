// SPDX-License-Identifier: GPL-2.0
/*
 * Writes to a file that the daemon has lent.  Under the inode's lock, what fuse_file_write_iter() would do
 * before it sends anything is done, and then the cache file is written instead.  If the lock is to be had at
 * once, the handler begins with that itself, and extfuse_write_begun() goes on; else it only asks whether the
 * file is lent, and extfuse_write_iter() does all of it.  Both run in place of fuse_file_write_iter().
 *
 * daemon/kernel/lent.pml is a model of who may write when, `make model` checks it.
 *
 * A write is done in pieces: each is of one verdict, in one SRCU section, from pages that are there.  What
 * cannot be done so is done by the original function, if nothing was written yet; else the write ends
 * short, and the caller's next one gets there.
 */
#include "extfuse.h"
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

/* Within RCU.  NULL: this connection's writes are not asked about. */
static __always_inline struct extfuse_inst *extfuse_find_writer(const struct inode *inode)
{
	struct fuse_mount *fm = inode->i_sb->s_fs_info;
	struct extfuse_inst *inst = extfuse_find(fm->fc);

	return inst && inst->ops->write && inst->ops->write_end ? inst : NULL;
}

/* Is the file lent? Asked without the inode's lock. */
static bool extfuse_probe_write(struct kiocb *iocb, const struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct extfuse_write wr = {
		.nodeid = extfuse_inode(inode)->nodeid,
		.pos = iocb->ki_pos,
		.count = min_t(u64, iov_iter_count(from), MAX_RW_COUNT),
		.size = i_size_read(inode),
		.flags = EXTFUSE_WRITE_PROBE,
	};
	struct extfuse_inst *inst;
	bool lent;

	rcu_read_lock();
	inst = extfuse_find_writer(inode);
	lent = inst && inst->ops->write(&wr) == EXTFUSE_V_BACKING;
	rcu_read_unlock();
	return lent;
}

/* Tell the program what became of the write that it was asked about. */
static void extfuse_write_end(struct inode *inode, struct extfuse_write *wr)
{
	struct extfuse_inst *inst;

	rcu_read_lock();
	inst = extfuse_find_writer(inode);
	if (inst && !(inst->recall && extfuse_recall_write_end(inst->recall, wr)))
		inst->ops->write_end(wr);
	rcu_read_unlock();
}

/*
 * The verdict on [wr->pos, + wr->count), in an SRCU section of *ret_dev that goes on if it is a backing file.
 * NULL: the original's; *ret_privs: or one is to ask again without privileges of the file.
 */
static struct extfuse_backing *extfuse_decide_write(struct inode *inode, struct extfuse_write *wr,
                                                    struct extfuse_dev **ret_dev, int *ret_srcu,
                                                    bool *ret_privs)
{
	struct extfuse_backing *backing = NULL;
	struct extfuse_recall *recall;
	struct extfuse_inst *inst;
	u32 change = 0, removed;
	struct extfuse_dev *dev;
	int verdict, srcu;

	*ret_privs = false;
	if (extfuse_must_step_aside(inode))
		return NULL;
	rcu_read_lock();
	inst = extfuse_find_writer(inode);
	if (!inst)
		goto out;
	dev = inst->dev;
	recall = inst->recall;
	srcu = extfuse_write_enter(dev);
	removed = atomic_read(&dev->removed);
	if (recall) {
		change = extfuse_change(recall, extfuse_epoch_slot(wr->nodeid));
		if (!wr->flags && extfuse_recall_write(recall, removed, wr, &backing))
			goto found;
	}
	smp_rmb(); /* these before what the program looks at */
	verdict = inst->ops->write(wr);
	*ret_privs = verdict == EXTFUSE_V_PRIVS;
	if (verdict == EXTFUSE_V_BACKING) {
		if (wr->backing_offset <= LLONG_MAX - wr->count)
			backing = extfuse_backing_find(dev, wr->backing_id);
		if (backing && !(backing->file->f_mode & FMODE_CAN_WRITE))
			backing = NULL;
		if (!backing)
			inst->ops->write_end(wr);
	}
	if (!backing) {
		extfuse_write_exit(dev, srcu);
		goto out;
	}
	if (recall && wr->remember)
		extfuse_remember_write(recall, wr, change, removed, backing);
found:
	*ret_dev = dev;
	*ret_srcu = srcu;
out:
	rcu_read_unlock();
	return backing;
}

/* Bytes written from pages that are there, or a negative errno and none. */
static ssize_t extfuse_write_once(struct extfuse_backing *backing, struct iov_iter *from,
                                  const struct extfuse_write *wr)
{
	struct kiocb iocb = {.ki_filp = backing->file, .ki_pos = wr->backing_offset};
	size_t rest = iov_iter_count(from) - wr->count;
	const struct cred *old = extfuse_lend_creds(backing->cred);
	ssize_t ret;

	iov_iter_truncate(from, wr->count);
	file_start_write(backing->file);
	pagefault_disable(); /* a fault could wait for the daemon, which may wait for this (the barrier) */
	ret = backing->file->f_op->write_iter(&iocb, from);
	pagefault_enable();
	file_end_write(backing->file);
	iov_iter_reexpand(from, iov_iter_count(from) + rest);
	extfuse_lend_creds(old);
	return ret;
}

/* The VFS inode as the maps have it now. */
static void extfuse_wrote(struct inode *inode, loff_t end, struct timespec64 now)
{
	struct fuse_inode *fi = extfuse_inode(inode);
	struct fuse_mount *fm = inode->i_sb->s_fs_info;

	spin_lock(&fi->lock);
	/* Attributes that were asked for before this are old when they come. */
	fi->attr_version = atomic64_inc_return(&fm->fc->attr_version);
	if (end > i_size_read(inode)) {
		i_size_write(inode, end);
		inode->i_blocks = (blkcnt_t)DIV_ROUND_UP_ULL(end, 4096) * 8; /* as the daemon has it */
	}
	inode_set_mtime_to_ts(inode, now);
	inode_set_ctime_to_ts(inode, now);
	spin_unlock(&fi->lock);
}

/* What of @iocb and @from the programs are asked about at once. */
static struct extfuse_write extfuse_write_of(const struct kiocb *iocb, const struct iov_iter *from, u32 flags)
{
	struct inode *inode = file_inode(iocb->ki_filp);

	return (struct extfuse_write){
		.nodeid = extfuse_inode(inode)->nodeid,
		.pos = iocb->ki_pos,
		.count = min_t(u64, iov_iter_count(from), EXTFUSE_WRITE_MAX),
		.size = i_size_read(inode),
		.flags = flags,
	};
}

/* Write what the verdict allows, within its SRCU section. Bytes written, or a negative errno. */
static ssize_t extfuse_write_allowed(struct kiocb *iocb, struct iov_iter *from,
                                     struct extfuse_backing *backing, struct extfuse_write *wr)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t ret = extfuse_write_once(backing, from, wr);
	struct timespec64 now;

	ktime_get_real_ts64(&now);
	wr->written = ret > 0 ? ret : 0;
	wr->time_ns = timespec64_to_ns(&now);
	extfuse_write_end(inode, wr);
	if (ret > 0) {
		iocb->ki_pos += ret;
		extfuse_wrote(inode, iocb->ki_pos, now);
	}
	return ret ?: -EIO;
}

/* One piece. Bytes written; 0: the original's, or *ret_privs: to be done again; or a negative errno. */
static ssize_t extfuse_write_piece(struct kiocb *iocb, struct iov_iter *from, u32 flags, bool *ret_privs)
{
	struct extfuse_write wr = extfuse_write_of(iocb, from, flags);
	struct extfuse_backing *backing;
	struct extfuse_dev *dev;
	ssize_t ret;
	int srcu;

	backing = extfuse_decide_write(file_inode(iocb->ki_filp), &wr, &dev, &srcu, ret_privs);
	if (!backing)
		return 0;
	ret = extfuse_write_allowed(iocb, from, backing, &wr);
	extfuse_write_exit(dev, srcu);
	return ret;
}

/* Most likely the caller's buffer was not there: fetch some of it, outside of any section. */
static bool extfuse_fetch(const struct iov_iter *from)
{
	return fault_in_iov_iter_readable(from, iov_iter_count(from)) != iov_iter_count(from);
}

/*
 * Under the inode's lock, with the checks of the original done. Bytes written; 0: the original's; or a
 * negative errno. @flags: 0, or EXTFUSE_WRITE_AGAIN if a piece was tried already.
 *
 * What file_remove_privs() would find is a set-id bit or a capability. The latter is an extended attribute,
 * and to set one takes this lock: so of a file that has none by the verdict nothing is to be removed.
 */
static ssize_t extfuse_write_locked(struct kiocb *iocb, struct iov_iter *from, u32 flags)
{
	bool privs = file_inode(iocb->ki_filp)->i_mode & (S_ISUID | S_ISGID), faulted = false;
	ssize_t n, total = 0;

	while (iov_iter_count(from) && !fatal_signal_pending(current)) {
		if (privs) {
			n = file_remove_privs(iocb->ki_filp);
			if (n)
				return n;
			flags |= EXTFUSE_WRITE_PRIVS;
		}
		n = extfuse_write_piece(iocb, from, total || faulted ? flags | EXTFUSE_WRITE_AGAIN : flags,
		                        &privs);
		if (privs && !(flags & EXTFUSE_WRITE_PRIVS))
			continue;
		privs = false;
		flags |= EXTFUSE_WRITE_PRIVS;
		if (n > 0) {
			total += n;
			faulted = false;
			continue;
		}
		if (n != -EFAULT || faulted || !extfuse_fetch(from))
			break;
		faulted = true;
	}
	return total;
}

/* @total bytes before the position were written: what fs/fuse has of them in pages of its own, and all that
 * is mapped to those, is old. */
static void extfuse_forget_pages(const struct kiocb *iocb, ssize_t total)
{
	struct address_space *mapping = iocb->ki_filp->f_mapping;

	if (total > 0 && mapping->nrpages)
		invalidate_inode_pages2_range(mapping, (iocb->ki_pos - total) >> PAGE_SHIFT,
		                              (iocb->ki_pos - 1) >> PAGE_SHIFT);
}

/* Nothing was written: it checks anew; what of the position and length was settled settles again. */
static ssize_t extfuse_write_original(struct kiocb *iocb, struct iov_iter *from)
{
	return extfuse_iter_original(iocb->ki_filp->f_op->write_iter, iocb, from);
}

notrace ssize_t extfuse_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	int frame = srcu_read_lock(&extfuse_frames);
	ssize_t ret;

	inode_lock(inode);
	ret = generic_write_checks(iocb, from);
	if (ret > 0) {
		ret = extfuse_write_locked(iocb, from, 0);
		extfuse_forget_pages(iocb, ret);
		inode_unlock(inode);
		if (!ret)
			ret = extfuse_write_original(iocb, from);
	} else {
		inode_unlock(inode);
	}
	srcu_read_unlock(&extfuse_frames, frame);
	return ret;
}

enum extfuse_write_how extfuse_how_to_write(struct kiocb *iocb, struct iov_iter *from,
                                            struct extfuse_io *ret_io)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct extfuse_backing *backing = NULL;
	struct extfuse_write wr;
	struct extfuse_dev *dev;
	bool privs = false;
	int srcu;

	/* What is to be durable when the call returns is the daemon's; never waiting cannot be promised. */
	if (!iov_iter_count(from) || iocb->ki_flags & (IOCB_NOWAIT | IOCB_DSYNC) || IS_SYNC(inode) ||
	    !S_ISREG(inode->i_mode) || test_bit(FUSE_I_BAD, &extfuse_inode(inode)->state) ||
	    extfuse_falls_back(iocb))
		return EXTFUSE_WRITE_ORIGINAL;
	if (inode->i_mode & (S_ISUID | S_ISGID) || !inode_trylock(inode))
		return extfuse_probe_write(iocb, from) ? EXTFUSE_WRITE_WHOLE : EXTFUSE_WRITE_ORIGINAL;
	if (generic_write_checks(iocb, from) > 0) { /* else the original finds so, too */
		wr = extfuse_write_of(iocb, from, 0);
		backing = extfuse_decide_write(inode, &wr, &dev, &srcu, &privs);
	}
	if (backing) {
		*ret_io = (struct extfuse_io){
			.backing = backing, .offset = wr.backing_offset, .count = wr.count, .srcu = srcu};
		return EXTFUSE_WRITE_BEGUN;
	}
	inode_unlock(inode);
	return privs ? EXTFUSE_WRITE_WHOLE : EXTFUSE_WRITE_ORIGINAL;
}

notrace ssize_t extfuse_write_begun(struct kiocb *iocb, struct iov_iter *from,
                                    struct extfuse_backing *backing, u64 offset, u64 count, long srcu)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct extfuse_dev *dev = backing->dev;
	struct extfuse_write wr = extfuse_write_of(iocb, from, 0);
	ssize_t total, n;
	int frame;

	wr.count = count;
	wr.backing_offset = offset;
	total = extfuse_write_allowed(iocb, from, backing, &wr);
	if (likely(total > 0 && !iov_iter_count(from) && !iocb->ki_filp->f_mapping->nrpages)) {
		inode_unlock(inode);
		extfuse_write_exit(dev, srcu);
		return total;
	}
	frame = srcu_read_lock(&extfuse_frames);
	extfuse_write_exit(dev, srcu);
	if (total > 0 || (total == -EFAULT && extfuse_fetch(from))) {
		n = extfuse_write_locked(iocb, from, EXTFUSE_WRITE_AGAIN);
		total = total < 0 ? n : total + max_t(ssize_t, n, 0);
	} else {
		total = 0;
	}
	extfuse_forget_pages(iocb, total);
	inode_unlock(inode);
	if (!total)
		total = extfuse_write_original(iocb, from);
	srcu_read_unlock(&extfuse_frames, frame);
	return total;
}
