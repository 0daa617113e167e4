/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/attr.h"

#include <string.h>

/*
 * Holes are not subtracted: st_blocks is what the size would take, in 4 KiB steps. What is stored is in the
 * slice lists, one per chunk, which a stat cannot read; and what is written in the kernel and not committed
 * is known there by the size alone.
 */
static uint64_t blocks_512(const struct meta_attr *attr)
{
	uint64_t pages = attr->size / 4096 + (attr->size % 4096 != 0);

	return S_ISREG(attr->mode) || S_ISDIR(attr->mode) ? pages * 8 : 0;
}

void attr_to_stat(const struct meta_attr *attr, struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = attr->ino,
		.st_mode = attr->mode,
		.st_nlink = attr->nlink,
		.st_uid = attr->uid,
		.st_gid = attr->gid,
		.st_rdev = attr->rdev,
		.st_size = (off_t)attr->size,
		.st_blksize = ATTR_BLKSIZE,
		.st_blocks = (blkcnt_t)blocks_512(attr),
		.st_atim = attr->atime,
		.st_mtim = attr->mtime,
		.st_ctim = attr->ctime,
	};
}

void attr_to_fuse(const struct meta_attr *attr, struct fuse_attr *ret)
{
	*ret = (struct fuse_attr){
		.ino = attr->ino,
		.size = attr->size,
		.blocks = blocks_512(attr),
		.atime = (uint64_t)attr->atime.tv_sec,
		.mtime = (uint64_t)attr->mtime.tv_sec,
		.ctime = (uint64_t)attr->ctime.tv_sec,
		.atimensec = (uint32_t)attr->atime.tv_nsec,
		.mtimensec = (uint32_t)attr->mtime.tv_nsec,
		.ctimensec = (uint32_t)attr->ctime.tv_nsec,
		.mode = attr->mode,
		.nlink = attr->nlink,
		.uid = attr->uid,
		.gid = attr->gid,
		.rdev = attr->rdev,
		.blksize = ATTR_BLKSIZE,
	};
}
