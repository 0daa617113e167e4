// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings.  A file that is wholly cached is mapped by mapping its cache file:
 * the kernel's own helpers for backing files put that one into the mapping, and
 * leave the path of the file on the mount for people to see, which keeps the
 * mount busy as well.  From then on a page fault is one of the file system
 * that the cache lies on; nothing of this module, of fs/fuse or of the daemon is
 * in its way, and nothing in it waits for any of them.
 *
 * Which.  Private mappings, where a store goes into a copy, and shared ones that
 * can never be made writable.  Shared and writable ones are fs/fuse's, which tells
 * the daemon what was stored; while there is one, or while stores are on their way
 * to the daemon, new mappings are fs/fuse's, too.  The mapping holds a file that is
 * open for reading only, so whatever mprotect(2) is asked for, the cache
 * file is not written to.
 *
 * How long.  A mapping that is there can not be taken back: the daemon has to
 * leave the cache file as it is while anybody has it mapped, and asks for that
 * (EXTFUSE_IOC_MAPPED) after the barrier.  The kernel enters a mapping among
 * those of a file only after the hook has returned.  So those that are being
 * made are written down here, with the address space: who gets the lock of that
 * one knows that they are made, or have failed.
 */
#include "extfuse.h"
#include <linux/backing-file.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

struct extfuse_mapping {
	struct list_head node;
	const struct inode *inode; /* only compared */
	struct mm_struct *mm;      /* whose lock the one who makes the mapping holds for writing */
};

static LIST_HEAD(extfuse_mappings);
static DEFINE_SPINLOCK(extfuse_mappings_lock); /* of the list */

/* Forget the mappings that are not being made any more; is one of @inode left? */
static bool extfuse_mappings_settle(const struct inode *inode)
{
	struct extfuse_mapping *mapping, *next;
	bool found = false;
	LIST_HEAD(settled);

	spin_lock(&extfuse_mappings_lock);
	list_for_each_entry_safe(mapping, next, &extfuse_mappings, node)
	{
		if (!down_read_trylock(&mapping->mm->mmap_lock)) {
			found |= mapping->inode == inode;
			continue;
		}
		up_read(&mapping->mm->mmap_lock);
		list_move(&mapping->node, &settled);
	}
	spin_unlock(&extfuse_mappings_lock);
	list_for_each_entry_safe(mapping, next, &settled, node)
	{
		mmdrop(mapping->mm);
		kfree(mapping);
	}
	return found;
}

bool extfuse_is_mapped(struct file *file)
{
	/* In this order: what is being made now is among the file's mappings when it is made. */
	return extfuse_mappings_settle(file_inode(file)) || mapping_mapped(file->f_mapping);
}

void extfuse_mmap_exit(void)
{
	struct extfuse_mapping *mapping, *next;

	list_for_each_entry_safe(mapping, next, &extfuse_mappings, node)
	{
		mmdrop(mapping->mm);
		kfree(mapping);
	}
}

/* @mm: its lock is held for writing, so a mapping that it made before is made. */
static int extfuse_mapping_begins(const struct inode *inode, struct mm_struct *mm)
{
	struct extfuse_mapping *mapping;

	extfuse_mappings_settle(NULL); /* what others left */
	spin_lock(&extfuse_mappings_lock);
	list_for_each_entry (mapping, &extfuse_mappings, node) {
		if (mapping->mm == mm) {
			mapping->inode = inode;
			spin_unlock(&extfuse_mappings_lock);
			return 0;
		}
	}
	spin_unlock(&extfuse_mappings_lock);
	mapping = kmalloc(sizeof(*mapping), GFP_KERNEL);
	if (!mapping)
		return -ENOMEM;
	mapping->inode = inode;
	mapping->mm = mm;
	mmgrab(mm);
	spin_lock(&extfuse_mappings_lock);
	list_add(&mapping->node, &extfuse_mappings);
	spin_unlock(&extfuse_mappings_lock);
	return 0;
}

/*
 * The mappings of a file are those of its inode only where no other file system lies below; and of a file
 * that is not as long as it is said to be, the rest would be SIGBUS or another's.
 */
static bool extfuse_mmap_fits(struct file *file, u64 size)
{
	struct inode *inode = file_inode(file);
	bool can = file->f_op->mmap;

#ifdef EXTFUSE_HAVE_file_operations_mmap_prepare
	can |= file->f_op->mmap_prepare != NULL;
#endif
	return can && !inode->i_sb->s_stack_depth && file->f_mapping == inode->i_mapping && !IS_DAX(inode) &&
	       i_size_read(inode) == size;
}

bool extfuse_mmap_decide(struct file *file, struct vm_area_struct *vma, struct extfuse_io *ret_io)
{
	struct inode *inode = file_inode(file);
	struct fuse_mount *fm = inode->i_sb->s_fs_info;
	struct extfuse_backing *backing;
	struct extfuse_inst *inst;
	struct extfuse_mmap ctx;
	struct extfuse_dev *dev;
	int srcu;

	if (!S_ISREG(inode->i_mode) || IS_DAX(inode) || test_bit(FUSE_I_BAD, &extfuse_inode(inode)->state) ||
	    extfuse_falls_back(vma))
		return false;
	rcu_read_lock();
	inst = extfuse_find(fm->fc);
	if (!inst || !inst->ops->mmap)
		goto out_rcu;
	ctx = (struct extfuse_mmap){.nodeid = extfuse_inode(inode)->nodeid};
	/* A shared mapping of a file that is open for reading only has lost VM_SHARED and VM_MAYWRITE here.
	 */
	if (vma->vm_flags & VM_SHARED || extfuse_must_step_aside(inode))
		ctx.flags |= EXTFUSE_MMAP_ASIDE;

	dev = inst->dev;
	srcu = srcu_read_lock(&dev->srcu);
	if (inst->ops->mmap(&ctx) != EXTFUSE_V_BACKING || ctx.flags & EXTFUSE_MMAP_ASIDE)
		goto out_srcu;
	backing = extfuse_backing_find(dev, ctx.backing_id);
	if (!backing || !extfuse_mmap_fits(backing->file, ctx.size))
		goto out_srcu;
	*ret_io = (struct extfuse_io){.backing = backing, .srcu = srcu};
	rcu_read_unlock();
	return true; /* srcu goes on */
out_srcu:
	srcu_read_unlock(&dev->srcu, srcu);
out_rcu:
	rcu_read_unlock();
	return false;
}

static struct file *extfuse_mmap_open(struct file *user_file, struct extfuse_backing *backing)
{
	int flags = O_RDONLY | O_LARGEFILE | O_NOATIME;

#ifdef EXTFUSE_HAVE_backing_file_open_user_file
	return backing_file_open(user_file, flags, &backing->file->f_path, backing->cred);
#else
	return backing_file_open(&user_file->f_path, flags, &backing->file->f_path, backing->cred);
#endif
}

/*
 * In place of fuse_file_mmap(), in the caller's context with its mmap_lock, within the SRCU section that the
 * verdict was made in: so after a barrier the mapping is at least being made.  FUSE inodes carry S_NOATIME.
 */
notrace int extfuse_mmap_backing(struct file *file, struct vm_area_struct *vma,
                                 struct extfuse_backing *backing, long srcu)
{
	struct extfuse_dev *dev = backing->dev;
	struct backing_file_ctx ctx = {
		.cred = backing->cred,
#ifdef EXTFUSE_HAVE_backing_file_ctx_user_file
		.user_file = file,
#endif
	};
	struct extfuse_fallback fallback;
	struct file *opened;
	int frame, err;

	opened = extfuse_mmap_open(file, backing);
	if (IS_ERR(opened))
		goto original;
	if (extfuse_mapping_begins(file_inode(opened), vma->vm_mm)) {
		fput(opened);
		goto original;
	}
	err = backing_file_mmap(opened, vma, &ctx); /* the mapping has a reference of its own now */
	srcu_read_unlock(&dev->srcu, srcu);
	fput(opened);
	return err;

original:
	frame = srcu_read_lock(&extfuse_frames);
	srcu_read_unlock(&dev->srcu, srcu);
	extfuse_fallback_begin(&fallback, vma);
	err = file->f_op->mmap(file, vma);
	extfuse_fallback_end(&fallback);
	srcu_read_unlock(&extfuse_frames, frame);
	return err;
}
