// SPDX-License-Identifier: GPL-2.0
/* /dev/extfuse: see "the module's device" in extfuse_abi.h. */
#include "extfuse.h"
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

struct extfuse_dev *extfuse_dev_new(void)
{
	struct extfuse_dev *dev = kzalloc(sizeof(*dev), GFP_KERNEL_ACCOUNT);
	int err;

	if (!dev)
		return ERR_PTR(-ENOMEM);
	err = -ENOMEM;
	dev->writes = alloc_percpu_gfp(struct extfuse_writes, GFP_KERNEL_ACCOUNT);
	if (!dev->writes)
		goto err_dev;
	err = init_srcu_struct(&dev->srcu);
	if (err)
		goto err_writes;
	refcount_set(&dev->refs, 1);
	xa_init(&dev->backing);
	mutex_init(&dev->maps_lock);
	return dev;

err_writes:
	free_percpu(dev->writes);
err_dev:
	kfree(dev);
	return ERR_PTR(err);
}

/* May sleep: the last one waits for readers and for files still to be released. */
void extfuse_dev_put(struct extfuse_dev *dev)
{
	if (!refcount_dec_and_test(&dev->refs))
		return;
	synchronize_srcu(&dev->srcu);
	srcu_barrier(&dev->srcu);
	cleanup_srcu_struct(&dev->srcu);
	xa_destroy(&dev->backing);
	extfuse_maps_put(&dev->maps);
	free_percpu(dev->writes);
	kfree(dev);
}

static int extfuse_open(struct inode *inode, struct file *file)
{
	struct extfuse_dev *dev;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	dev = extfuse_dev_new();
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	file->private_data = dev;
	return nonseekable_open(inode, file);
}

static int extfuse_release(struct inode *inode, struct file *file)
{
	struct extfuse_dev *dev = file->private_data;

	extfuse_backing_del_all(dev);
	extfuse_dev_put(dev);
	return 0;
}

static long extfuse_mapped(const void __user *user)
{
	struct file *file;
	long mapped;
	__s32 fd;

	if (copy_from_user(&fd, user, sizeof(fd)))
		return -EFAULT;
	file = fget(fd);
	if (!file)
		return -EBADF;
	mapped = S_ISREG(file_inode(file)->i_mode) ? extfuse_is_mapped(file) : -EINVAL;
	fput(file);
	return mapped;
}

/* Wait for the writes that are under way (extfuse_write_enter()); daemon/kernel/settle.pml is a model of it.
 */
static void extfuse_settle(struct extfuse_dev *dev)
{
	u64 begun = 0, ended = 0;
	int cpu;

	smp_mb(); /* what the caller took out is out before anything is counted ... */
	for_each_possible_cpu(cpu) ended += READ_ONCE(per_cpu_ptr(dev->writes, cpu)->ended);
	smp_mb(); /* ... and of each write that has ended it is seen that it had begun */
	for_each_possible_cpu(cpu) begun += READ_ONCE(per_cpu_ptr(dev->writes, cpu)->begun);
	if (begun != ended)
		synchronize_srcu_expedited(&dev->srcu);
}

static long extfuse_set_maps(struct extfuse_dev *dev, const void __user *user)
{
	struct extfuse_ioc_maps from;
	int err;

	if (copy_from_user(&from, user, sizeof(from)))
		return -EFAULT;
	mutex_lock(&dev->maps_lock);
	err = dev->maps.changes ? -EBUSY : extfuse_maps_get(&from, &dev->maps);
	mutex_unlock(&dev->maps_lock);
	return err;
}

static long extfuse_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct extfuse_dev *dev = file->private_data;
	void __user *user = (void __user *)arg;
	struct extfuse_ioc_backing backing;
	struct extfuse_ioc_info info;
	u64 id;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	/* The size of the argument is a part of each number, so another one's is unknown here. */
	switch (cmd) {
	case EXTFUSE_IOC_INFO:
		info = (struct extfuse_ioc_info){
			.magic = EXTFUSE_ABI_MAGIC,
			.version = EXTFUSE_ABI_VERSION,
			.features = EXTFUSE_FEATURE_REQUEST | EXTFUSE_FEATURE_READ | EXTFUSE_FEATURE_WRITE |
		                    EXTFUSE_FEATURE_MMAP | EXTFUSE_FEATURE_REMEMBER,
			.backing = atomic_read(&dev->backings),
		};
		return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
	case EXTFUSE_IOC_BACKING_ADD:
		if (copy_from_user(&backing, user, sizeof(backing)))
			return -EFAULT;
		if (backing.flags)
			return -EINVAL;
		err = extfuse_backing_add(dev, backing.fd, &id);
		if (err)
			return err;
		backing.id = id;
		if (copy_to_user(user, &backing, sizeof(backing))) {
			extfuse_backing_del(dev, id);
			return -EFAULT;
		}
		return 0;
	case EXTFUSE_IOC_BACKING_DEL:
		if (copy_from_user(&id, user, sizeof(id)))
			return -EFAULT;
		return extfuse_backing_del(dev, id);
	case EXTFUSE_IOC_BARRIER:
		synchronize_srcu(&dev->srcu);
		return 0;
	case EXTFUSE_IOC_SETTLE:
		extfuse_settle(dev);
		return 0;
	case EXTFUSE_IOC_MAPPED:
		return extfuse_mapped(user);
	case EXTFUSE_IOC_MAPS:
		return extfuse_set_maps(dev, user);
	}
	return -ENOTTY;
}

/* Registered files are in nobody's descriptor table, so lsof cannot see them: this is where a person can. */
static void extfuse_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct extfuse_dev *dev = file->private_data;
	struct extfuse_backing *backing;
	unsigned long id;
	int srcu;

	srcu = srcu_read_lock(&dev->srcu);
	xa_for_each (&dev->backing, id, backing) {
		seq_printf(m, "backing:\t%lu ", id);
		seq_file_path(m, backing->file, "\n\\");
		seq_putc(m, '\n');
	}
	srcu_read_unlock(&dev->srcu, srcu);
}

const struct file_operations extfuse_dev_fops = {
	.owner = THIS_MODULE,
	.open = extfuse_open,
	.release = extfuse_release,
	.unlocked_ioctl = extfuse_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = extfuse_show_fdinfo,
};

static struct miscdevice extfuse_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "extfuse",
	.fops = &extfuse_dev_fops,
	.mode = 0600,
};

int extfuse_device_init(void)
{
	return misc_register(&extfuse_misc);
}

void extfuse_device_exit(void)
{
	misc_deregister(&extfuse_misc);
}
