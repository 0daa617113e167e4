// SPDX-License-Identifier: GPL-2.0
/* Backing files: registered by descriptor, named by an id that is never used again. */
#include "extfuse.h"
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/slab.h>

static atomic64_t extfuse_last_id;

static void extfuse_backing_free(struct extfuse_backing *backing)
{
	fput(backing->file);
	put_cred(backing->cred);
	kfree(backing);
}

static void extfuse_backing_free_rcu(struct rcu_head *rcu)
{
	extfuse_backing_free(container_of(rcu, struct extfuse_backing, rcu));
}

/*
 * Reading it must depend on no daemon: that one could be waiting for the reader (the barrier).  Nor may the
 * file below it, if it is one of an overlay.  A file of huge pages puts such pages where the mapping of
 * another file, at any page, has no room for them.  And files of /proc may be read from an iterator and
 * written without one.
 */
static int extfuse_backing_check(struct file *file)
{
	struct inode *inode = file_inode(file);

	if (!(file->f_mode & FMODE_READ) || !(file->f_mode & FMODE_CAN_READ))
		return -EBADF;
	if (!S_ISREG(inode->i_mode) || d_real_inode(file->f_path.dentry)->i_sb->s_magic == FUSE_SUPER_MAGIC ||
	    inode->i_sb->s_magic == HUGETLBFS_MAGIC || !file->f_op->read_iter)
		return -EINVAL;
	if (file->f_mode & FMODE_CAN_WRITE && !file->f_op->write_iter)
		return -EINVAL;
	return 0;
}

int extfuse_backing_add(struct extfuse_dev *dev, int fd, u64 *ret_id)
{
	struct extfuse_backing *backing;
	struct file *file;
	u64 id;
	int err;

	file = fget(fd);
	if (!file)
		return -EBADF;
	err = extfuse_backing_check(file);
	if (err)
		goto err_file;
	backing = kzalloc(sizeof(*backing), GFP_KERNEL_ACCOUNT);
	err = -ENOMEM;
	if (!backing)
		goto err_file;
	backing->dev = dev;
	backing->file = file;
	backing->cred = get_current_cred();
	id = atomic64_inc_return(&extfuse_last_id);
	err = xa_insert(&dev->backing, id, backing, GFP_KERNEL_ACCOUNT);
	if (err) {
		extfuse_backing_free(backing);
		return err;
	}
	atomic_inc(&dev->backings);
	*ret_id = id;
	return 0;

err_file:
	fput(file);
	return err;
}

int extfuse_backing_del(struct extfuse_dev *dev, u64 id)
{
	struct extfuse_backing *backing = xa_erase(&dev->backing, id);

	if (!backing)
		return -ENOENT;
	atomic_dec(&dev->backings);
	/* Before the grace period begins: who still remembers it is in a section that began before that. */
	atomic_inc_return(&dev->removed);
	call_srcu(&dev->srcu, &backing->rcu, extfuse_backing_free_rcu);
	return 0;
}

void extfuse_backing_del_all(struct extfuse_dev *dev)
{
	struct extfuse_backing *backing;
	unsigned long id;

	xa_for_each (&dev->backing, id, backing) {
		extfuse_backing_del(dev, id);
		cond_resched();
	}
}
