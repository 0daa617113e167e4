/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXTFUSE_H
#define EXTFUSE_H

#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/ioctl.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <uapi/linux/fuse.h>
#include "extfuse_abi.h"
#include "fuse_layout.h"

#endif
