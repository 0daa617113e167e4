// SPDX-License-Identifier: GPL-2.0
#include "extfuse.h"

static int __init extfuse_init(void)
{
	return 0;
}

static void __exit extfuse_exit(void)
{
}

module_init(extfuse_init);
module_exit(extfuse_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Let BPF programs answer requests of FUSE mounts");
