// SPDX-License-Identifier: GPL-2.0
#include "extfuse.h"

/*
 * Loading and unloading.  An instance or an open device holds a reference on
 * the module, so neither is there when extfuse_exit() runs; what may still be
 * there is text in use: handlers, and reads on their way out of read.c.
 */
static int __init extfuse_init(void)
{
	int err;

	err = extfuse_ops_init();
	if (err)
		return err;
	err = extfuse_hook_init();
	if (err)
		goto err_ops;
	err = extfuse_device_init();
	if (err)
		goto err_hook;
	return 0;

err_hook:
	extfuse_hook_exit();
err_ops:
	extfuse_ops_exit();
	return err;
}

static void __exit extfuse_exit(void)
{
	extfuse_device_exit();
	extfuse_hook_exit();               /* no task enters any more ... */
	extfuse_ops_exit();                /* ... reads of the last instances have ended ... */
	synchronize_srcu(&extfuse_frames); /* ... so have those that fell back to the original ... */
	rcu_barrier();                     /* ... callbacks of ours, too ... */
	synchronize_rcu_tasks();           /* ... and all have left their last instruction in here. */
	extfuse_mmap_exit();
}

module_init(extfuse_init);
module_exit(extfuse_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Let BPF programs answer requests of FUSE mounts");
