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

/* For so many ticks do attributes hold, as fs/fuse counts it: the one in which it is, included. */
static __always_inline u64 extfuse_ticks(const struct fuse_entry_out *entry)
{
	if (!entry->attr_valid && !entry->attr_valid_nsec)
		return 0;
	if (!entry->attr_valid && entry->attr_valid_nsec <= TICK_NSEC)
		return 1;
	return timespec64_to_jiffies(&(struct timespec64){
		.tv_sec = entry->attr_valid, .tv_nsec = min(entry->attr_valid_nsec, NSEC_PER_SEC - 1)});
}

static __always_inline void extfuse_extend(struct fuse_inode *fi, u64 ticks)
{
	u64 until = get_jiffies_64() + ticks;

	/* Once a tick, so that CPUs which share the inode do not take its cache line from each other. */
	if (ticks && time_before64(READ_ONCE(fi->i_time), until))
		WRITE_ONCE(fi->i_time, until);
}

/*
 * Remember that name and inode are as @req says. fs/fuse gives an inode whose attributes it changes a new
 * attr_version, within its lock: that no other one had or will have, so it stands for the inode and for them.
 */
static noinline void extfuse_remember_same(struct extfuse_recall *recall, struct extfuse_known_name *want,
                                           const struct extfuse_request *req, struct inode *inode)
{
	if (inode) {
		struct fuse_inode *fi = extfuse_inode(inode);
		bool same;

		want->ticks = min_t(u64, extfuse_ticks(&req->out.entry), U16_MAX);
		/* Attributes that do not hold at all are asked for, and then the inode has a new version. */
		if (!want->ticks || !spin_trylock(&fi->lock))
			return;
		want->attr_version = fi->attr_version;
		want->size = i_size_read(inode);
		same = extfuse_same_attr(inode, &req->out.entry.attr);
		spin_unlock(&fi->lock);
		if (!same)
			return;
	}
	extfuse_remember_name(recall, want, req->remember);
}

/* Ask the program about what @want describes. */
static bool extfuse_ask_same(struct extfuse_inst *inst, struct extfuse_known_name *want, struct inode *inode)
{
	struct extfuse_request req EXTFUSE_UNINIT;
	bool same;

	req.name_len = extfuse_dentry_name(want->entry, req.name);
	if (!req.name_len)
		return false;
	req.nodeid = want->dir;
	req.nodeid2 = 0;
	req.opcode = FUSE_LOOKUP;
	req.flags = EXTFUSE_LOOKUP_REVALIDATE;
	req.name2_len = 0;
	extfuse_clear_answer(&req, sizeof(req.out.entry));
	if (inst->ops->request(&req) != EXTFUSE_V_REPLY)
		return false;
	if (req.error || !req.out.entry.nodeid)
		same = !inode &&
		       (req.error == -ENOENT || (!req.error && req.out_len == sizeof(req.out.entry)));
	else
		same = inode && req.out_len == sizeof(req.out.entry) &&
		       req.out.entry.nodeid == want->nodeid &&
		       req.out.entry.generation == inode->i_generation &&
		       extfuse_same_attr(inode, &req.out.entry.attr);
	if (!same || read_seqcount_retry(&want->entry->d_seq, want->dentry_seq))
		return false;
	if (inode)
		extfuse_extend(extfuse_inode(inode), extfuse_ticks(&req.out.entry));
	if (inst->recall && req.remember)
		extfuse_remember_same(inst->recall, want, &req, inode);
	return true;
}

bool extfuse_revalidate(struct fuse_conn *fc, struct dentry *entry, unsigned int flags)
{
	struct extfuse_known_name want EXTFUSE_UNINIT;
	struct extfuse_recall *recall;
	struct inode *inode, *dir;
	struct extfuse_inst *inst;
	bool same = false;
	u32 ticks;

	if (flags & (LOOKUP_EXCL | LOOKUP_REVAL | LOOKUP_RENAME_TARGET) ||
	    !time_before64(extfuse_dentry_time(entry), get_jiffies_64()) || extfuse_dentry_old(fc, entry))
		return false;
	rcu_read_lock();
	inst = extfuse_find(fc);
	if (!inst || !(inst->ops->flags & EXTFUSE_OPS_REVALIDATE) || !inst->ops->request)
		goto out;
	recall = inst->recall;
	want.dentry_seq = raw_seqcount_begin(&entry->d_seq);
	dir = d_inode_rcu(READ_ONCE(entry->d_parent));
	inode = d_inode_rcu(entry);
	if (!dir)
		goto out;
	want.entry = entry;
	want.hash = entry->d_name.hash;
	want.dir = extfuse_inode(dir)->nodeid;
	want.nodeid = want.attr_version = want.size = 0;
	want.change = want.dir_change = want.ticks = 0;
	if (recall)
		want.dir_change = extfuse_change(recall, extfuse_epoch_slot(want.dir));
	if (inode) {
		struct fuse_inode *fi = extfuse_inode(inode);

		if (fi->state & (1ul << FUSE_I_BAD | 1ul << FUSE_I_INIT_RDPLUS) ||
		    READ_ONCE(fi->inval_mask) & STATX_BASIC_STATS || IS_AUTOMOUNT(inode) ||
		    inode->i_sb->s_user_ns != &init_user_ns)
			goto out;
		want.nodeid = fi->nodeid;
		want.attr_version = READ_ONCE(fi->attr_version);
		want.size = i_size_read(inode);
		if (recall)
			want.change = extfuse_change(recall, extfuse_epoch_slot(want.nodeid));
	}
	if (recall && extfuse_recall_name(recall, &want, &ticks)) {
		same = !read_seqcount_retry(&entry->d_seq, want.dentry_seq);
		if (same && inode)
			extfuse_extend(extfuse_inode(inode), ticks);
	} else {
		same = extfuse_ask_same(inst, &want, inode);
	}
out:
	rcu_read_unlock();
	return same;
}
