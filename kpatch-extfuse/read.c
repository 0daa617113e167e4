// SPDX-License-Identifier: GPL-2.0
/*
 * Reads.  extfuse_decide() (extfuse.h) runs in the ftrace handler and only decides;
 * extfuse_read_backing() then runs in place of fuse_file_read_iter() and reads
 * the cache file.  A read is served whole or not at all: whatever goes wrong
 * with the cache file, the original function does the read from its first byte.
 */
#include "extfuse.h"
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

DEFINE_SRCU(extfuse_frames);

/*
 * Calls that go to the original although a verdict would keep them.  They are
 * rare, so the handler asks for the number first.  (The caller's address would
 * not do: other tracers put theirs in its place.)
 */
static LIST_HEAD(extfuse_fallbacks);
static DEFINE_SPINLOCK(extfuse_fallbacks_lock); /* of the list */
atomic_t extfuse_fallbacks_count;

bool extfuse_falls_back_slow(const void *what)
{
	struct extfuse_fallback *fallback;
	bool found = false;

	spin_lock(&extfuse_fallbacks_lock);
	list_for_each_entry (fallback, &extfuse_fallbacks, node)
		found |= fallback->what == what;
	spin_unlock(&extfuse_fallbacks_lock);
	return found;
}

void extfuse_fallback_begin(struct extfuse_fallback *fallback, const void *what)
{
	fallback->what = what;
	spin_lock(&extfuse_fallbacks_lock);
	list_add(&fallback->node, &extfuse_fallbacks);
	spin_unlock(&extfuse_fallbacks_lock);
	atomic_inc(&extfuse_fallbacks_count);
}

void extfuse_fallback_end(struct extfuse_fallback *fallback)
{
	atomic_dec(&extfuse_fallbacks_count);
	spin_lock(&extfuse_fallbacks_lock);
	list_del(&fallback->node);
	spin_unlock(&extfuse_fallbacks_lock);
}

ssize_t extfuse_iter_original(extfuse_iter_fn original, struct kiocb *iocb, struct iov_iter *iter)
{
	struct extfuse_fallback fallback;
	ssize_t ret;

	extfuse_fallback_begin(&fallback, iocb);
	ret = original(iocb, iter);
	extfuse_fallback_end(&fallback); /* iocb may be gone by now, if it is an asynchronous one */
	return ret;
}

enum extfuse_how extfuse_ask_read(struct kiocb *iocb, struct iov_iter *to, u32 flags,
                                  struct extfuse_io *ret_io)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct fuse_mount *fm = inode->i_sb->s_fs_info;
	enum extfuse_how how = EXTFUSE_HOW_ORIGINAL;
	struct extfuse_backing *backing;
	struct extfuse_recall *recall;
	struct extfuse_inst *inst;
	u32 change = 0, removed;
	struct extfuse_read rd;
	struct extfuse_dev *dev;
	int verdict, srcu;

	rcu_read_lock();
	inst = extfuse_find(fm->fc);
	if (!inst || !inst->ops->read) {
		rcu_read_unlock();
		return EXTFUSE_HOW_ORIGINAL;
	}
	recall = inst->recall;
	if (iocb->ki_flags & IOCB_DIRECT)
		flags |= EXTFUSE_READ_DIRECT;
	if (extfuse_must_step_aside(inode))
		flags |= EXTFUSE_READ_ASIDE;
	rd = (struct extfuse_read){
		.nodeid = extfuse_inode(inode)->nodeid,
		.pos = iocb->ki_pos,
		.count = min_t(u64, iov_iter_count(to), MAX_RW_COUNT),
		.flags = flags,
	};

	dev = inst->dev;
	srcu = srcu_read_lock(&dev->srcu);
	if (recall)
		change = extfuse_change(recall, extfuse_epoch_slot(rd.nodeid));
	removed = atomic_read(&dev->removed);
	smp_rmb(); /* these before what the program looks at */
	verdict = inst->ops->read(&rd);
	if (flags & EXTFUSE_READ_ASIDE)
		goto out;
	if (verdict == EXTFUSE_V_REPLY && !rd.backing_count) {
		how = EXTFUSE_HOW_EOF;
		goto out;
	}
	if (verdict != EXTFUSE_V_BACKING || !rd.backing_count || rd.backing_count > rd.count ||
	    rd.backing_offset > LLONG_MAX - rd.backing_count)
		goto out;
	backing = extfuse_backing_find(dev, rd.backing_id);
	if (!backing)
		goto out; /* a stale id is a miss */
	if (recall && rd.remember)
		extfuse_remember_file(recall, &rd, change, removed, backing);
	*ret_io = (struct extfuse_io){
		.backing = backing,
		.offset = rd.backing_offset,
		.count = rd.backing_count,
		.srcu = srcu,
	};
	rcu_read_unlock();
	return EXTFUSE_HOW_BACKING; /* srcu goes on */
out:
	srcu_read_unlock(&dev->srcu, srcu);
	rcu_read_unlock();
	return how;
}

bool extfuse_could_read(struct file *file, loff_t pos, size_t count)
{
	struct inode *inode = file_inode(file);
	struct fuse_mount *fm = inode->i_sb->s_fs_info;
	struct extfuse_read rd = {
		.nodeid = extfuse_inode(inode)->nodeid,
		.pos = pos,
		.count = min_t(u64, count, MAX_RW_COUNT),
		.flags = EXTFUSE_READ_AGAIN,
	};
	struct extfuse_inst *inst;
	bool could = false;

	if (!count || pos < 0 || !S_ISREG(inode->i_mode) ||
	    test_bit(FUSE_I_BAD, &extfuse_inode(inode)->state) || extfuse_must_step_aside(inode))
		return false;
	rcu_read_lock();
	inst = extfuse_find(fm->fc);
	if (inst && inst->ops->read)
		switch (inst->ops->read(&rd)) {
		case EXTFUSE_V_BACKING:
		case EXTFUSE_V_REPLY:
			could = true;
		}
	rcu_read_unlock();
	return could;
}

/* Read into the pages that are there: a fault could wait for the daemon, or for ever. */
static __always_inline ssize_t extfuse_read_once(struct extfuse_backing *backing, struct iov_iter *to,
                                                 loff_t pos, size_t count)
{
	bool nofault = to->nofault;
	const struct cred *old;
	/* Buffered, whatever the flags of either file. */
	struct kiocb iocb = {.ki_filp = backing->file, .ki_pos = pos};
	size_t rest;
	ssize_t ret;

	rest = iov_iter_count(to) - count;
	iov_iter_truncate(to, count);
	old = extfuse_lend_creds(backing->cred);
	to->nofault = true;
	pagefault_disable();
	/*
	 * Not vfs_iocb_iter_read(): the caller's right to read was checked on the FUSE file, the one of who
	 * registered the backing file when it was opened, and the range by extfuse_decide().
	 */
	ret = backing->file->f_op->read_iter(&iocb, to);
	pagefault_enable();
	to->nofault = nofault;
	extfuse_lend_creds(old);
	iov_iter_reexpand(to, iov_iter_count(to) + rest);
	return ret;
}

/*
 * The rest of a read that was not served whole: @ret of the device's SRCU section @srcu, which ends here.
 * What was copied is taken back.
 */
static noinline ssize_t extfuse_read_again(struct kiocb *iocb, struct iov_iter *to, struct extfuse_io *io,
                                           size_t whole, ssize_t ret)
{
	bool again = false;
	int frame;

	for (;;) {
		struct extfuse_dev *dev = io->backing->dev;

		frame = srcu_read_lock(&extfuse_frames);
		srcu_read_unlock(&dev->srcu, io->srcu);
		iov_iter_revert(to, whole - iov_iter_count(to));
		/* Most likely the caller's buffer was not there yet: fetch it, and ask for a verdict anew. */
		if (again || (ret < 0 && ret != -EFAULT) || fatal_signal_pending(current))
			break;
		again = true;
		if (fault_in_iov_iter_writeable(to, io->count))
			break;
		switch (extfuse_ask_read(iocb, to, EXTFUSE_READ_AGAIN, io)) {
		case EXTFUSE_HOW_BACKING:
			srcu_read_unlock(&extfuse_frames, frame);
			dev = io->backing->dev;
			ret = extfuse_read_once(io->backing, to, io->offset, io->count);
			if (ret != io->count)
				continue;
			srcu_read_unlock(&dev->srcu, io->srcu);
			iocb->ki_pos += ret;
			return ret;
		case EXTFUSE_HOW_EOF:
			srcu_read_unlock(&extfuse_frames, frame);
			return 0;
		case EXTFUSE_HOW_ORIGINAL:
			break;
		}
		break;
	}
	ret = extfuse_iter_original(iocb->ki_filp->f_op->read_iter, iocb, to);
	srcu_read_unlock(&extfuse_frames, frame);
	return ret;
}

/*
 * In place of fuse_file_read_iter(), in the caller's context, within the SRCU
 * section that the verdict was made in.  FUSE inodes carry S_NOATIME, and the
 * original leaves nothing but ki_pos behind either.
 */
notrace ssize_t extfuse_read_backing(struct kiocb *iocb, struct iov_iter *to, struct extfuse_backing *backing,
                                     u64 offset, u64 count, long srcu)
{
	size_t whole = iov_iter_count(to);
	ssize_t ret = extfuse_read_once(backing, to, offset, count);

	if (unlikely(ret != count)) {
		struct extfuse_io io = {.backing = backing, .offset = offset, .count = count, .srcu = srcu};

		return extfuse_read_again(iocb, to, &io, whole, ret);
	}
	srcu_read_unlock(&backing->dev->srcu, srcu);
	iocb->ki_pos += ret;
	return ret;
}
