/* SPDX-License-Identifier: Apache-2.0 */
/* STATFS: two counters of the volume, and the limits that it does not have. */
#include "common/clock.h"
#include "daemon/kernel/publish_internal.h"

#define BLOCK 4096u
#define BYTES (1ull << 50)  /* what an object store holds has no end; df wants a number */
#define INODES (1ull << 40) /* ditto */

/* What this mount commits is seen at once, by whatever else may change the numbers within this. */
#define VALID_NS INT64_C(1000000000)

void publish_statfs(struct publish *p, struct statvfs *ret)
{
	uint64_t changes = kernel_statfs_changes(p->kernel), used;
	uint64_t expires_ns = (uint64_t)(monotonic_ns() + VALID_NS);
	struct statvfs st = {.f_bsize = BLOCK, .f_frsize = BLOCK, .f_namemax = META_NAME_MAX};
	struct meta_usage usage;

	meta_get_usage(p->source.meta, &usage);
	used = usage.bytes / BLOCK;
	/* There is always room for as much again as anybody asks about. */
	st.f_bfree = st.f_bavail = BYTES / BLOCK;
	st.f_ffree = st.f_favail = INODES;
	if (used < st.f_bfree)
		st.f_bfree = st.f_bavail = st.f_bfree - used;
	if (usage.inodes < st.f_ffree)
		st.f_ffree = st.f_favail = st.f_ffree - usage.inodes;
	st.f_blocks = st.f_bfree + used;
	st.f_files = st.f_ffree + usage.inodes;
	kernel_put_statfs(p->kernel, changes, expires_ns,
	                  &(struct fuse_kstatfs){
				  .blocks = st.f_blocks,
				  .bfree = st.f_bfree,
				  .bavail = st.f_bavail,
				  .files = st.f_files,
				  .ffree = st.f_ffree,
				  .bsize = (uint32_t)st.f_bsize,
				  .namelen = (uint32_t)st.f_namemax,
				  .frsize = (uint32_t)st.f_frsize,
			  });
	*ret = st;
}

void publish_usage_changed(void *publish)
{
	struct publish *p = publish;

	kernel_statfs_changed(p->kernel);
}
