// SPDX-License-Identifier: GPL-2.0
/*
 * extfuse: answers to FUSE requests out of maps, inside the kernel.
 *
 * 1. Where this runs.  The module extfuse.ko stops a request of the mount that
 *    this object is attached to at the door of fs/fuse, before it is queued for
 *    the daemon, takes it apart and calls extfuse_request(); for read(2) on a
 *    regular file it calls extfuse_read() before the page cache is asked, for write(2)
 *    extfuse_write(), for mmap(2) extfuse_mmap().  All run in the caller's context, under RCU, and cannot
 * sleep.
 *
 * 2. What they answer.  A verdict: PASS (as if nothing of this were here), REPLY
 *    (the context holds the answer), BACKING (do this I/O on that cache file, at
 *    that offset: small files share one).
 *    A program does no I/O; the module does it after the program returned.
 *
 * 3. What is true.  An entry in a map means that the daemon, asked now, would
 *    answer exactly this.  The daemon writes entries, before it replies to the
 *    request that made them true; nobody guesses.  No entry, an expired one, one
 *    of another generation or one that went while it was copied is never an error
 *    and never an answer: PASS.
 *
 * 4. What changes.  A mutating request drops what it touches on its way to the
 *    daemon.  A publisher that read the truth before such a drop must not put it
 *    back after: each drop moves a counter (map "epoch") first, and a publisher
 *    that finds it moved takes its entry out again.  See mutate.bpf.h.  What the
 *    kernel writes by itself, to files that were lent to it, is the truth until the
 *    daemon takes it over.  See write.bpf.h.
 *
 * 5. Names.  Of the names that people use few are longer than 40 bytes, so those
 *    have a map of their own; the hit path for the others copies five words.
 *
 * 6. Permissions.  The mounts served have default_permissions: the kernel checks
 *    the caller against the mode and owner that are answered here.
 *
 * 7. Numbers.  Each path counts one outcome (map "stats").  Only drops, and the
 *    first write to a file that was lent, write a ring record, other hits never do; a record lost loses
 * nothing, since the maps are the truth and the ring an alarm clock.
 */
#include "getattr.bpf.h"
#include "lookup.bpf.h"
#include "mmap.bpf.h"
#include "mutate.bpf.h"
#include "open.bpf.h"
#include "read.bpf.h"
#include "statfs.bpf.h"
#include "write.bpf.h"
#include "xattr.bpf.h"

#define FUSE_TMPFILE_OP 51 /* by number: not in every kernel's enum fuse_opcode */
#define FUSE_COPY_FILE_RANGE_64_OP 53

SEC("struct_ops/extfuse_request")
int BPF_PROG(extfuse_request, struct extfuse_request *req)
{
	switch (req->opcode) {
	case FUSE_LOOKUP:
		return do_lookup(req);
	case FUSE_GETATTR:
		return do_getattr(req);
	case FUSE_SETATTR:
		return do_inode(ctx, req->nodeid, EXTFUSE_OP_SETATTR);
	case FUSE_MKNOD:
		return do_name(ctx, req, EXTFUSE_OP_MKNOD);
	case FUSE_MKDIR:
		return do_name(ctx, req, EXTFUSE_OP_MKDIR);
	case FUSE_UNLINK:
		return do_name(ctx, req, EXTFUSE_OP_UNLINK);
	case FUSE_RMDIR:
		return do_name(ctx, req, EXTFUSE_OP_RMDIR);
	case FUSE_SYMLINK:
		return do_name(ctx, req, EXTFUSE_OP_SYMLINK);
	case FUSE_RENAME:
	case FUSE_RENAME2:
		return do_rename(ctx, req);
	case FUSE_LINK:
		return do_link(ctx, req);
	case FUSE_OPEN:
		return do_open(ctx, req);
	case FUSE_RELEASE:
		return do_release(req);
	case FUSE_GETXATTR:
		return do_getxattr(req);
	case FUSE_LISTXATTR:
		return do_listxattr(req);
	case FUSE_STATFS:
		return do_statfs(req);
	case FUSE_CREATE:
		return do_name(ctx, req, EXTFUSE_OP_CREATE);
	case FUSE_TMPFILE_OP: /* puts no name into the directory */
		return do_inode(ctx, req->nodeid, EXTFUSE_OP_TMPFILE);
	case FUSE_WRITE:
		return do_inode(ctx, req->nodeid, EXTFUSE_OP_WRITE);
	case FUSE_FALLOCATE:
		return do_inode(ctx, req->nodeid, EXTFUSE_OP_FALLOCATE);
	case FUSE_COPY_FILE_RANGE:
	case FUSE_COPY_FILE_RANGE_64_OP:
		return do_inode(ctx, req->nodeid2, EXTFUSE_OP_COPY_FILE_RANGE);
	case FUSE_SETXATTR: /* a POSIX ACL changes the mode, any attribute the change time */
		return do_inode(ctx, req->nodeid, EXTFUSE_OP_SETXATTR);
	case FUSE_REMOVEXATTR:
		return do_inode(ctx, req->nodeid, EXTFUSE_OP_REMOVEXATTR);
	/*
	 * Nothing else changes what is in the maps. Not FUSE_IOCTL either: the daemon has none that does, and
	 * isatty(3), which many a program asks of each file it opens, is one.
	 */
	default:
		count(EXTFUSE_OP_OTHER, EXTFUSE_PASS);
		return EXTFUSE_V_PASS;
	}
}

SEC("struct_ops/extfuse_read")
int BPF_PROG(extfuse_read, struct extfuse_read *rd)
{
	return do_read(rd);
}

SEC("struct_ops/extfuse_mmap")
int BPF_PROG(extfuse_mmap, struct extfuse_mmap *map)
{
	return do_mmap(map);
}

SEC("struct_ops/extfuse_write")
int BPF_PROG(extfuse_write, struct extfuse_write *wr)
{
	return do_write(wr);
}

SEC("struct_ops/extfuse_write_end")
int BPF_PROG(extfuse_write_end, struct extfuse_write *wr)
{
	return do_write_end(ctx, wr);
}

/* The daemon sets fuse_fd and device_fd before it loads the object. */
SEC(".struct_ops.link")
struct extfuse_ops extfuse = {
	.request = (void *)extfuse_request,
	.read = (void *)extfuse_read,
	.mmap = (void *)extfuse_mmap,
	.write = (void *)extfuse_write,
	.write_end = (void *)extfuse_write_end,
	.abi_version = EXTFUSE_ABI_VERSION,
};

char LICENSE[] SEC("license") = "GPL";
