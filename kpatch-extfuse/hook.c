// SPDX-License-Identifier: GPL-2.0
/*
 * Entry of fs/fuse.  Its functions below are traced; the handler runs the verdict and
 * either returns (the original runs as if nothing was there, and no frame of
 * this module stays on the stack while it waits for the daemon) or has the task
 * continue in a function of this module instead, called as the original was.
 *
 * What the handler knows is handed to that function in argument registers that
 * the original does not use.
 */
#include "extfuse.h"

static_assert(IS_ENABLED(CONFIG_DYNAMIC_FTRACE_WITH_ARGS));

/* An argument of a hooked function, by its name: its place differs between kernels (layout.sh). */
#define extfuse_arg(fregs, function, name) ftrace_regs_get_argument(fregs, EXTFUSE_ARG_##function##_##name)

/* Integer arguments 2..5; 0 and 1 stay as they are. */
static __always_inline void extfuse_set_args(struct ftrace_regs *fregs, long arg2, long arg3, long arg4,
                                             long arg5)
{
	struct pt_regs *regs = extfuse_regs(fregs);

	regs->dx = arg2;
	regs->cx = arg3;
	regs->r8 = arg4;
	regs->r9 = arg5;
}

/* Stands in for a function whose result is known already. */
static noinline notrace long extfuse_result(void *arg0, void *arg1, long result)
{
	return result;
}

static __always_inline void extfuse_return(struct ftrace_regs *fregs, long result)
{
	extfuse_set_args(fregs, result, 0, 0, 0);
	ftrace_regs_set_instruction_pointer(fregs, (unsigned long)extfuse_result);
}

/* ssize_t __fuse_simple_request(struct mnt_idmap *idmap, struct fuse_mount *fm, struct fuse_args *args) */
static void notrace extfuse_on_request(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
                                       struct ftrace_regs *fregs)
{
	struct fuse_mount *fm = (struct fuse_mount *)extfuse_arg(fregs, __fuse_simple_request, fm);
	struct fuse_args *args = (struct fuse_args *)extfuse_arg(fregs, __fuse_simple_request, args);
	long result;

	if (!extfuse_maybe_served(fm->fc))
		return;
	if (extfuse_answer(fm->fc, args, &result))
		extfuse_return(fregs, result);
}

/*
 * int fuse_simple_background(struct fuse_mount *fm, struct fuse_args *args, gfp_t gfp_flags)
 *
 * A RELEASE that is answered is as one that could not be sent: its caller, who needs no answer, does at once
 * what else the daemon's would have it do.
 */
static void notrace extfuse_on_background(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
                                          struct ftrace_regs *fregs)
{
	struct fuse_mount *fm = (struct fuse_mount *)extfuse_arg(fregs, fuse_simple_background, fm);
	struct fuse_args *args = (struct fuse_args *)extfuse_arg(fregs, fuse_simple_background, args);
	long result;

	if (!extfuse_maybe_served(fm->fc) || args->opcode != FUSE_RELEASE)
		return;
	if (extfuse_answer(fm->fc, args, &result))
		extfuse_return(fregs, -ENOTCONN);
}

/* ssize_t fuse_file_read_iter(struct kiocb *iocb, struct iov_iter *to) */
static void notrace extfuse_on_read(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
                                    struct ftrace_regs *fregs)
{
	struct kiocb *iocb = (struct kiocb *)extfuse_arg(fregs, fuse_file_read_iter, iocb);
	struct iov_iter *to = (struct iov_iter *)extfuse_arg(fregs, fuse_file_read_iter, to);
	struct fuse_mount *fm = file_inode(iocb->ki_filp)->i_sb->s_fs_info;
	struct extfuse_io io EXTFUSE_UNINIT;

	if (!extfuse_maybe_served(fm->fc))
		return;
	switch (extfuse_decide(iocb, to, &io)) {
	case EXTFUSE_HOW_BACKING:
		extfuse_set_args(fregs, (long)io.backing, io.offset, io.count, io.srcu);
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)extfuse_read_backing);
		break;
	case EXTFUSE_HOW_EOF:
		extfuse_return(fregs, 0);
		break;
	case EXTFUSE_HOW_ORIGINAL:
		break;
	}
}

/* ssize_t fuse_file_write_iter(struct kiocb *iocb, struct iov_iter *from) */
static void notrace extfuse_on_write(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
                                     struct ftrace_regs *fregs)
{
	struct kiocb *iocb = (struct kiocb *)ftrace_regs_get_argument(fregs, 0);
	struct iov_iter *from = (struct iov_iter *)ftrace_regs_get_argument(fregs, 1);
	struct fuse_mount *fm = file_inode(iocb->ki_filp)->i_sb->s_fs_info;
	struct extfuse_io io;

	if (!extfuse_maybe_served(fm->fc))
		return;
	switch (extfuse_how_to_write(iocb, from, &io)) {
	case EXTFUSE_WRITE_BEGUN:
		extfuse_set_args(fregs, (long)io.backing, io.offset, io.count, io.srcu);
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)extfuse_write_begun);
		break;
	case EXTFUSE_WRITE_WHOLE:
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)extfuse_write_iter);
		break;
	case EXTFUSE_WRITE_ORIGINAL:
		break;
	}
}

/* int fuse_file_mmap(struct file *file, struct vm_area_struct *vma) */
static void notrace extfuse_on_mmap(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
                                    struct ftrace_regs *fregs)
{
	struct file *file = (struct file *)ftrace_regs_get_argument(fregs, 0);
	struct vm_area_struct *vma = (struct vm_area_struct *)ftrace_regs_get_argument(fregs, 1);
	struct fuse_mount *fm = file_inode(file)->i_sb->s_fs_info;
	struct extfuse_io io;

	if (!extfuse_maybe_served(fm->fc) || !extfuse_mmap_decide(file, vma, &io))
		return;
	extfuse_set_args(fregs, (long)io.backing, io.srcu, 0, 0);
	ftrace_regs_set_instruction_pointer(fregs, (unsigned long)extfuse_mmap_backing);
}

/*
 * ssize_t fuse_splice_read(struct file *in, loff_t *ppos, struct pipe_inode_info *pipe, size_t len,
 *                          unsigned int flags)
 *
 * The original lends the pipe pages of fs/fuse's page cache, which the daemon fills.  The kernel's own splice
 * by copying has the same arguments, and reads by the hook above.  Pages of the cache file are not lent:
 * a pipe may keep them for as long as it likes, and one that is part of a larger folio is zeroed where
 * another part of that is punched.
 */
static void notrace extfuse_on_splice_read(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
                                           struct ftrace_regs *fregs)
{
	struct file *in = (struct file *)ftrace_regs_get_argument(fregs, 0);
	loff_t *ppos = (loff_t *)ftrace_regs_get_argument(fregs, 1);
	struct fuse_mount *fm = file_inode(in)->i_sb->s_fs_info;

	if (extfuse_maybe_served(fm->fc) && extfuse_could_read(in, *ppos, ftrace_regs_get_argument(fregs, 3)))
		ftrace_regs_set_instruction_pointer(fregs, (unsigned long)copy_splice_read);
}

/* int fuse_dentry_revalidate([struct inode *dir, const struct qstr *name,] struct dentry *entry, unsigned int
 * flags) */
static void notrace extfuse_on_revalidate(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
                                          struct ftrace_regs *fregs)
{
	struct dentry *entry = (struct dentry *)extfuse_arg(fregs, fuse_dentry_revalidate, entry);
	struct fuse_mount *fm = entry->d_sb->s_fs_info;

	if (extfuse_maybe_served(fm->fc) &&
	    extfuse_revalidate(fm->fc, entry, extfuse_arg(fregs, fuse_dentry_revalidate, flags)))
		extfuse_return(fregs, 1);
}

/*
 * Without FTRACE_OPS_FL_RECURSION ftrace calls a handler straight from its trampoline, with no guard in
 * between for handlers that come back to themselves: these call nothing that they hook.
 */
static struct {
	char function[32];
	struct ftrace_ops ops;
} extfuse_hooks[] = {
	{"__fuse_simple_request", {.func = extfuse_on_request, .flags = FTRACE_OPS_FL_IPMODIFY}},
	{"fuse_simple_background", {.func = extfuse_on_background, .flags = FTRACE_OPS_FL_IPMODIFY}},
	{"fuse_file_read_iter", {.func = extfuse_on_read, .flags = FTRACE_OPS_FL_IPMODIFY}},
	{"fuse_file_write_iter", {.func = extfuse_on_write, .flags = FTRACE_OPS_FL_IPMODIFY}},
	{"fuse_file_mmap", {.func = extfuse_on_mmap, .flags = FTRACE_OPS_FL_IPMODIFY}},
	{"fuse_splice_read", {.func = extfuse_on_splice_read, .flags = FTRACE_OPS_FL_IPMODIFY}},
	{"fuse_dentry_revalidate", {.func = extfuse_on_revalidate, .flags = FTRACE_OPS_FL_IPMODIFY}},
};

static int extfuse_hook_one(struct ftrace_ops *ops, char *function)
{
	int err;

	err = ftrace_set_filter(ops, function, strlen(function), 1);
	if (!err)
		err = register_ftrace_function(ops);
	if (err) {
		pr_err("cannot hook %s: %d\n", function, err);
		ftrace_free_filter(ops);
	}
	return err;
}

/* Waits for every task in a handler and for the trampoline. */
static void extfuse_unhook_one(struct ftrace_ops *ops)
{
	unregister_ftrace_function(ops);
	ftrace_free_filter(ops);
}

int extfuse_hook_init(void)
{
	int i, err;

	for (i = 0; i < ARRAY_SIZE(extfuse_hooks); i++) {
		err = extfuse_hook_one(&extfuse_hooks[i].ops, extfuse_hooks[i].function);
		if (err)
			goto err_hooks;
	}
	return 0;

err_hooks:
	while (i--)
		extfuse_unhook_one(&extfuse_hooks[i].ops);
	return err;
}

void extfuse_hook_exit(void)
{
	for (int i = 0; i < ARRAY_SIZE(extfuse_hooks); i++)
		extfuse_unhook_one(&extfuse_hooks[i].ops);
}
