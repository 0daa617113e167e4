// SPDX-License-Identifier: GPL-2.0
/*
 * The request normaliser.  How a kernel splits a request into in-arguments is
 * its own affair and differs (a name with its NUL; a name, then a NUL; an empty
 * argument first).  Laid one after the other they are the body of the request
 * as uapi/linux/fuse.h describes it, which never changes.  So the arguments are
 * read as one stream, and never past its end.
 */
#include "extfuse.h"

#include <linux/unaligned.h>
#include <asm/word-at-a-time.h>

#define EXTFUSE_TMPFILE 51 /* enum fuse_opcode of this kernel may end earlier */
#define EXTFUSE_COPY_FILE_RANGE_64 53

struct wire {
	const struct fuse_in_arg *arg, *end;
	size_t off; /* bytes of *arg already read */
};

static __always_inline void wire_init(struct wire *w, const struct fuse_args *args)
{
	unsigned int n = min_t(unsigned int, args->in_numargs, ARRAY_SIZE(args->in_args));

	/* The last one lies in pages: WRITE's data, which nobody asks for. */
	if (args->in_pages && n)
		n--;
	w->arg = args->in_args;
	w->end = w->arg + n;
	w->off = 0;
}

/* Copy the next len bytes; false if there are not as many. */
static bool wire_read(struct wire *w, void *to, size_t len)
{
	for (; w->arg != w->end; w->arg++, w->off = 0) {
		size_t n = min(len, w->arg->size - w->off);

		if (n && !w->arg->value)
			return false;
		memcpy(to, w->arg->value + w->off, n);
		to += n;
		len -= n;
		w->off += n;
		if (!len)
			return true;
	}
	return !len;
}

/*
 * Copy bytes up to, not including, a NUL; their number, max if there is none.
 * Names are short, and this is on the way of each LOOKUP: eight at a time.
 */
static __always_inline size_t copy_to_nul(char *to, const char *from, size_t max)
{
	const struct word_at_a_time constants = WORD_AT_A_TIME_CONSTANTS;
	unsigned long word, data;
	size_t n = 0;

	for (; n + sizeof(word) <= max; n += sizeof(word)) {
		word = get_unaligned((const unsigned long *)(from + n));
		if (has_zero(word, &data, &constants))
			break;
		put_unaligned(word, (unsigned long *)(to + n));
	}
	for (; n < max && from[n]; n++)
		to[n] = from[n];
	return n;
}

/*
 * Copy the next name, which ends with a NUL, and pad it as struct
 * extfuse_request says.  Its length; 0 if it has no end, is empty or longer than
 * any name in the maps.
 */
static __always_inline u32 wire_name(struct wire *w, char *name)
{
	size_t len = 0;

	for (; w->arg != w->end; w->arg++, w->off = 0) {
		size_t size = w->arg->size - w->off, n;

		if (!size)
			continue;
		if (!w->arg->value)
			return 0;
		n = copy_to_nul(name + len, w->arg->value + w->off, min(size, EXTFUSE_NAME_MAX + 1 - len));
		len += n;
		if (len > EXTFUSE_NAME_MAX)
			return 0;
		if (n < size) { /* the NUL */
			w->off += n + 1;
			break;
		}
	}
	if (w->arg == w->end || !len)
		return 0;
	for (size_t n = len, end = len <= EXTFUSE_NAME_SHORT ? EXTFUSE_NAME_SHORT : 256; n < end;) {
		if (n % 8 == 0) {
			*(u64 *)(name + n) = 0;
			n += 8;
		} else {
			name[n++] = 0;
		}
	}
	return len;
}

/*
 * Take a request apart; false if it is none that a program is asked about.  A
 * mutating request that cannot be parsed in full keeps what could be: dropping
 * less than it touches is for the daemon to put right, which sees it next.
 */
static __always_inline bool extfuse_parse(const struct fuse_args *args, struct extfuse_request *req)
{
	union {
		struct fuse_getattr_in getattr;
		struct fuse_setattr_in setattr;
		struct fuse_mknod_in mknod;
		struct fuse_mkdir_in mkdir;
		struct fuse_rename2_in rename;
		struct fuse_link_in link;
		struct fuse_open_in open;
		struct fuse_release_in release;
		struct fuse_getxattr_in getxattr;
		struct fuse_create_in create;
		struct fuse_copy_file_range_in copy;
	} in EXTFUSE_UNINIT;
	struct wire w;

	req->nodeid = args->nodeid;
	req->nodeid2 = 0;
	req->opcode = args->opcode;
	req->flags = 0;
	req->name_len = 0;
	req->name2_len = 0;
	wire_init(&w, args);

	switch (args->opcode) {
	case FUSE_LOOKUP:
		req->name_len = wire_name(&w, req->name);
		return req->name_len;
	case FUSE_GETATTR:
		if (!wire_read(&w, &in.getattr, sizeof(in.getattr)))
			return false;
		req->flags = in.getattr.getattr_flags;
		return true;
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_SYMLINK:
		req->name_len = wire_name(&w, req->name);
		return true;
	case FUSE_MKNOD:
		if (wire_read(&w, &in.mknod, sizeof(in.mknod)))
			req->name_len = wire_name(&w, req->name);
		return true;
	case FUSE_MKDIR:
		if (wire_read(&w, &in.mkdir, sizeof(in.mkdir)))
			req->name_len = wire_name(&w, req->name);
		return true;
	case FUSE_CREATE:
	case EXTFUSE_TMPFILE:
		if (wire_read(&w, &in.create, sizeof(in.create))) {
			req->flags = in.create.flags;
			req->name_len = wire_name(&w, req->name);
		}
		return true;
	case FUSE_RENAME:
	case FUSE_RENAME2:
		BUILD_BUG_ON(offsetof(struct fuse_rename_in, newdir) !=
		             offsetof(struct fuse_rename2_in, newdir));
		in.rename.flags = 0;
		if (wire_read(&w, &in.rename,
		              args->opcode == FUSE_RENAME ? sizeof(struct fuse_rename_in)
		                                          : sizeof(in.rename))) {
			req->nodeid2 = in.rename.newdir;
			req->flags = in.rename.flags;
			req->name_len = wire_name(&w, req->name);
			req->name2_len = wire_name(&w, req->name2);
		}
		return true;
	case FUSE_LINK:
		if (wire_read(&w, &in.link, sizeof(in.link))) {
			req->nodeid2 = in.link.oldnodeid;
			req->name_len = wire_name(&w, req->name);
		}
		return true;
	case FUSE_OPEN:
		if (!wire_read(&w, &in.open, sizeof(in.open)))
			return false;
		req->flags = in.open.flags;
		return true;
	case FUSE_RELEASE:
		if (!wire_read(&w, &in.release, sizeof(in.release)))
			return false;
		req->nodeid2 = in.release.fh;
		return true;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		if (!wire_read(&w, &in.getxattr, sizeof(in.getxattr)))
			return false;
		req->flags = in.getxattr.size;
		if (args->opcode == FUSE_GETXATTR)
			req->name_len = wire_name(&w, req->name);
		return true;
	case FUSE_SETATTR:
		if (wire_read(&w, &in.setattr, sizeof(in.setattr)))
			req->flags = in.setattr.valid;
		return true;
	case FUSE_COPY_FILE_RANGE:
	case EXTFUSE_COPY_FILE_RANGE_64:
		if (wire_read(&w, &in.copy, sizeof(in.copy)))
			req->nodeid2 = in.copy.nodeid_out;
		return true;
	case FUSE_STATFS:
	case FUSE_WRITE:
	case FUSE_FALLOCATE:
	case FUSE_SETXATTR:
	case FUSE_REMOVEXATTR:
	case FUSE_IOCTL:
		return true;
	}
	return false;
}

/* Bytes that the caller has room for in the one out-argument; a reply to several, or into pages, is not ours.
 */
static __always_inline u32 extfuse_room(const struct fuse_args *args)
{
	if (args->out_numargs != 1 || args->out_pages || !args->out_args[0].value)
		return 0;
	return min_t(u32, args->out_args[0].size, sizeof_field(struct extfuse_request, out));
}

/* Carry out V_REPLY; false if the answer is not one that the caller can take. */
static __always_inline bool extfuse_reply(struct fuse_args *args, const struct extfuse_request *req,
                                          long *ret_result)
{
	if (req->error) {
		/* the range that fs/fuse takes from a daemon */
		if (req->error > 0 || req->error <= -512)
			return false;
		*ret_result = req->error;
		return true;
	}
	if (req->out_len > req->out_max || args->out_numargs > 1)
		return false;
	if (args->out_argvar) {
		args->out_args[0].size = req->out_len;
		*ret_result = req->out_len;
	} else {
		if (args->out_numargs ? req->out_len != args->out_args[0].size : req->out_len)
			return false;
		*ret_result = 0;
	}
	memcpy(args->out_args[0].value, &req->out, req->out_len);
	return true;
}

bool extfuse_answer(struct fuse_conn *fc, struct fuse_args *args, long *ret_result)
{
	struct extfuse_request req EXTFUSE_UNINIT;
	struct extfuse_inst *inst;
	bool answered = false;
	u32 change;

	rcu_read_lock();
	inst = extfuse_find(fc);
	if (!inst || !inst->ops->request || !extfuse_parse(args, &req))
		goto out;
	extfuse_clear_answer(&req, extfuse_room(args));
	if (!inst->recall || !extfuse_is_short(&req)) {
		if (inst->ops->request(&req) == EXTFUSE_V_REPLY)
			answered = extfuse_reply(args, &req, ret_result);
		goto out;
	}
	if (extfuse_recall_answer(inst->recall, &req)) {
		answered = extfuse_reply(args, &req, ret_result);
		goto out;
	}
	change = extfuse_change(inst->recall, extfuse_epoch_slot(req.nodeid));
	smp_rmb();
	if (inst->ops->request(&req) == EXTFUSE_V_REPLY) {
		answered = extfuse_reply(args, &req, ret_result);
		if (answered && req.remember)
			extfuse_remember_answer(inst->recall, &req, change);
	}
out:
	rcu_read_unlock();
	return answered;
}
