// SPDX-License-Identifier: GPL-2.0
/*
 * A path walk that comes by a dentry whose time has run out.  fs/fuse would leave
 * the RCU walk, send a LOOKUP and write its answer into the inode.  Here the
 * program is asked first, in the RCU walk: if its answer is what dentry and
 * inode say already, then both hold, and nothing needs to be written.  In every
 * other case fs/fuse does what it always does.
 *
 * In an RCU walk the dentry may be renamed, and its inode go away, at any
 * moment.  What is read here is then wrong but not wild: the memory stays until
 * the RCU grace period, and the dentry's sequence count, which a rename and a
 * change of d_inode both move, says at the end whether all of it belonged together.
 */
#include "extfuse.h"
#include <linux/dcache.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/namei.h>
#include <linux/stat.h>
#include <asm/word-at-a-time.h>

/*
 * Copy a dentry's name, padded as struct extfuse_request says; its length, or 0 for one that is in no map.
 * Such names start at a multiple of a word and end with a NUL, and a word that a name ends in lies in the
 * same object (as the dentry cache's own comparison has it).
 */
static __always_inline u32 extfuse_dentry_name(const struct dentry *entry, char *to)
{
	const struct word_at_a_time constants = WORD_AT_A_TIME_CONSTANTS;
	const char *from = READ_ONCE(entry->d_name.name);
	unsigned long word, bits;
	u32 n, len, end;

	for (n = 0;; n += sizeof(word)) {
		if (n > EXTFUSE_NAME_MAX)
			return 0;
		word = read_word_at_a_time(from + n);
		if (has_zero(word, &bits, &constants))
			break;
		*(unsigned long *)(to + n) = word;
	}
	bits = create_zero_mask(prep_zero_mask(word, bits, &constants));
	*(unsigned long *)(to + n) = word & zero_bytemask(bits);
	len = n + find_zero(bits);
	if (len > EXTFUSE_NAME_MAX)
		return 0;
	end = len <= EXTFUSE_NAME_SHORT ? EXTFUSE_NAME_SHORT : 256;
	for (n += sizeof(word); n < end; n += sizeof(word))
		*(unsigned long *)(to + n) = 0;
	return len;
}

static __always_inline bool extfuse_same_time(struct timespec64 have, u64 sec, u32 nsec)
{
	return have.tv_sec == sec && have.tv_nsec == nsec;
}

/* Would fuse_change_attributes() change nothing that anybody sees? */
static __always_inline bool extfuse_same_attr(const struct inode *inode, const struct fuse_attr *attr)
{
	const struct fuse_inode *fi = container_of(inode, struct fuse_inode, inode);

	return inode->i_mode == attr->mode && fi->orig_i_mode == attr->mode && fi->orig_ino == attr->ino &&
	       i_size_read(inode) == attr->size && inode->i_blocks == attr->blocks &&
	       inode->i_nlink == attr->nlink && __kuid_val(inode->i_uid) == attr->uid &&
	       __kgid_val(inode->i_gid) == attr->gid &&
	       extfuse_same_time(inode_get_mtime(inode), attr->mtime, attr->mtimensec) &&
	       extfuse_same_time(inode_get_ctime(inode), attr->ctime, attr->ctimensec) &&
	       extfuse_same_time(inode_get_atime(inode), attr->atime, attr->atimensec) && !attr->flags &&
	       extfuse_blkbits(fi) == (attr->blksize ? ilog2(attr->blksize) : inode->i_sb->s_blocksize_bits);
}

/* The attributes hold until then, as fs/fuse counts it: the tick in which it is, included. */
static __always_inline void extfuse_extend(struct fuse_inode *fi, const struct fuse_entry_out *entry)
{
	u64 until = get_jiffies_64() + 1;

	if (!entry->attr_valid && !entry->attr_valid_nsec)
		return;
	if (entry->attr_valid || entry->attr_valid_nsec > TICK_NSEC)
		until = get_jiffies_64() + timespec64_to_jiffies(&(struct timespec64){
						   .tv_sec = entry->attr_valid,
						   .tv_nsec = min(entry->attr_valid_nsec, NSEC_PER_SEC - 1)});
	/* Once a tick, so that CPUs which share the inode do not take its cache line from each other. */
	if (time_before64(READ_ONCE(fi->i_time), until))
		WRITE_ONCE(fi->i_time, until);
}

bool extfuse_revalidate(struct fuse_conn *fc, struct dentry *entry, unsigned int flags)
{
	struct extfuse_request req EXTFUSE_UNINIT;
	struct inode *inode, *dir;
	struct extfuse_inst *inst;
	struct fuse_inode *fi;
	bool same = false;
	unsigned int seq;

	if (flags & (LOOKUP_EXCL | LOOKUP_REVAL | LOOKUP_RENAME_TARGET) ||
	    !time_before64(extfuse_dentry_time(entry), get_jiffies_64()) || extfuse_dentry_old(fc, entry))
		return false;
	rcu_read_lock();
	inst = extfuse_find(fc);
	if (!inst || !(inst->ops->flags & EXTFUSE_OPS_REVALIDATE) || !inst->ops->request)
		goto out;
	seq = raw_seqcount_begin(&entry->d_seq);
	dir = d_inode_rcu(READ_ONCE(entry->d_parent));
	inode = d_inode_rcu(entry);
	if (!dir)
		goto out;
	if (inode) {
		fi = extfuse_inode(inode);
		if (fi->state & (1ul << FUSE_I_BAD | 1ul << FUSE_I_INIT_RDPLUS) ||
		    READ_ONCE(fi->inval_mask) & STATX_BASIC_STATS || IS_AUTOMOUNT(inode) ||
		    inode->i_sb->s_user_ns != &init_user_ns)
			goto out;
	}
	req.name_len = extfuse_dentry_name(entry, req.name);
	if (!req.name_len)
		goto out;
	req.nodeid = extfuse_inode(dir)->nodeid;
	req.nodeid2 = 0;
	req.opcode = FUSE_LOOKUP;
	req.flags = EXTFUSE_LOOKUP_REVALIDATE;
	req.name2_len = 0;
	extfuse_clear_answer(&req, sizeof(req.out.entry));
	if (inst->ops->request(&req) != EXTFUSE_V_REPLY)
		goto out;
	if (req.error || !req.out.entry.nodeid)
		same = !inode &&
		       (req.error == -ENOENT || (!req.error && req.out_len == sizeof(req.out.entry)));
	else
		same = inode && req.out_len == sizeof(req.out.entry) && req.out.entry.nodeid == fi->nodeid &&
		       req.out.entry.generation == inode->i_generation &&
		       extfuse_same_attr(inode, &req.out.entry.attr);
	same = same && !read_seqcount_retry(&entry->d_seq, seq);
	if (same && inode)
		extfuse_extend(fi, &req.out.entry);
out:
	rcu_read_unlock();
	return same;
}
