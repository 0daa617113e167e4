// SPDX-License-Identifier: GPL-2.0
/*
 * The struct_ops type "extfuse_ops".  Registering binds the programs to the
 * FUSE connection whose descriptor the caller has open: only who serves a mount
 * can attach to it.  The descriptors are looked up here, in a system call of
 * the one who attaches, never when a request is served.
 */
#include "extfuse.h"
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/slab.h>

/* fs/fuse exports these for its own modules, without a header outside of it. */
extern const struct file_operations fuse_dev_operations;
struct fuse_conn *fuse_conn_get(struct fuse_conn *fc);
void fuse_conn_put(struct fuse_conn *fc);

struct hlist_head extfuse_table[1 << EXTFUSE_TABLE_BITS];
static DEFINE_MUTEX(extfuse_table_lock); /* writers of the table */
static struct workqueue_struct *extfuse_wq;

/* ---- instances ---- */

/* The layout that the module was built with, against a mount that is there. */
static int extfuse_check_layout(struct fuse_conn *fc)
{
	struct fuse_mount *fm;
	int err = -ENOTCONN;

	down_read(&fc->killsb);
	list_for_each_entry (fm, &fc->mounts, fc_entry) {
		err = 0;
		if (fm->fc != fc || !fm->sb || fm->sb->s_fs_info != fm ||
		    fm->sb->s_magic != FUSE_SUPER_MAGIC) {
			pr_err("this kernel's fs/fuse is not the one that the module was built for\n");
			err = -EPROTO;
			break;
		}
	}
	up_read(&fc->killsb);
	return err;
}

/* The connection behind an open /dev/fuse, with a reference; or ERR_PTR. */
static struct fuse_conn *extfuse_conn_get(int fd)
{
	struct fuse_conn *fc;
	struct fuse_dev *fud;
	struct file *file;
	int err;

	file = fget(fd);
	if (!file)
		return ERR_PTR(-EBADF);
	err = -EINVAL;
	if (file->f_op != &fuse_dev_operations)
		goto err_file;
	err = -ENOTCONN;
	fud = READ_ONCE(file->private_data);
	if (!extfuse_is_object(fud))
		goto err_file;
	fc = extfuse_fud_conn(fud);
	if (!fc || !extfuse_conn_connected(fc))
		goto err_file;
	err = extfuse_check_layout(fc);
	if (err)
		goto err_file;
	fuse_conn_get(fc); /* the file had one until here */
	fput(file);
	return fc;

err_file:
	fput(file);
	return ERR_PTR(err);
}

/* The same for an open /dev/extfuse. */
static struct extfuse_dev *extfuse_dev_get(int fd)
{
	struct extfuse_dev *dev;
	struct file *file;

	file = fget(fd);
	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op == &extfuse_dev_fops) {
		dev = file->private_data;
		refcount_inc(&dev->refs);
	} else {
		dev = ERR_PTR(-EINVAL);
	}
	fput(file);
	return dev;
}

static void extfuse_inst_free(struct work_struct *work)
{
	struct extfuse_inst *inst = container_of(work, struct extfuse_inst, free);

	synchronize_rcu();
	extfuse_recall_free(inst->recall);
	extfuse_dev_put(inst->dev);
	fuse_conn_put(inst->fc);
	kfree(inst);
}

static int extfuse_inst_insert(struct extfuse_inst *inst)
{
	struct hlist_head *bucket = extfuse_bucket(inst->fc);
	struct extfuse_inst *other;
	int err = 0;

	mutex_lock(&extfuse_table_lock);
	hlist_for_each_entry (other, bucket, node) {
		if (other->fc == inst->fc)
			err = -EBUSY;
	}
	if (!err)
		hlist_add_head_rcu(&inst->node, bucket);
	mutex_unlock(&extfuse_table_lock);
	return err;
}

/* ---- what the struct_ops core calls ---- */

static int extfuse_validate(void *kdata)
{
	const struct extfuse_ops *ops = kdata;

	return ops->abi_version == EXTFUSE_ABI_VERSION && !(ops->flags & ~EXTFUSE_OPS_REVALIDATE) ? 0
	                                                                                          : -EINVAL;
}

static int extfuse_reg(void *kdata, struct bpf_link *link)
{
	const struct extfuse_ops *ops = kdata;
	struct extfuse_inst *inst;
	int err;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (!link) /* without a link nobody would unregister a daemon that died */
		return -EOPNOTSUPP;
	inst = kzalloc(sizeof(*inst), GFP_KERNEL_ACCOUNT);
	if (!inst)
		return -ENOMEM;
	inst->ops = ops;
	inst->link = link;
	INIT_WORK(&inst->free, extfuse_inst_free);
	inst->fc = extfuse_conn_get(ops->fuse_fd);
	if (IS_ERR(inst->fc)) {
		err = PTR_ERR(inst->fc);
		goto err_free;
	}
	inst->dev = extfuse_dev_get(ops->device_fd);
	if (IS_ERR(inst->dev)) {
		err = PTR_ERR(inst->dev);
		goto err_conn;
	}
	mutex_lock(&inst->dev->maps_lock);
	if (inst->dev->maps.changes)
		inst->recall = extfuse_recall_new(&inst->dev->maps);
	mutex_unlock(&inst->dev->maps_lock);
	err = extfuse_inst_insert(inst);
	if (err)
		goto err_recall;
	return 0;

err_recall:
	extfuse_recall_free(inst->recall);
	extfuse_dev_put(inst->dev);
err_conn:
	fuse_conn_put(inst->fc);
err_free:
	kfree(inst);
	return err;
}

/* The programs may still run when this returns; the core frees them after RCU. */
static void extfuse_unreg(void *kdata, struct bpf_link *link)
{
	struct extfuse_inst *inst, *found = NULL;
	int i;

	mutex_lock(&extfuse_table_lock);
	for (i = 0; i < ARRAY_SIZE(extfuse_table) && !found; i++) {
		hlist_for_each_entry (inst, &extfuse_table[i], node) {
			if (inst->link == link) {
				found = inst;
				break;
			}
		}
	}
	if (!WARN_ON_ONCE(!found)) {
		hlist_del_rcu(&found->node);
		queue_work(extfuse_wq, &found->free);
	}
	mutex_unlock(&extfuse_table_lock);
}

static int extfuse_init_type(struct btf *btf)
{
	return 0;
}

static int extfuse_init_member(const struct btf_type *t, const struct btf_member *member, void *kdata,
                               const void *udata)
{
	const struct extfuse_ops *from = udata;
	struct extfuse_ops *to = kdata;

	switch (__btf_member_bit_offset(t, member) / 8) {
	case offsetof(struct extfuse_ops, fuse_fd):
		to->fuse_fd = from->fuse_fd;
		return 1;
	case offsetof(struct extfuse_ops, device_fd):
		to->device_fd = from->device_fd;
		return 1;
	case offsetof(struct extfuse_ops, abi_version):
		to->abi_version = from->abi_version;
		return 1;
	case offsetof(struct extfuse_ops, flags):
		to->flags = from->flags;
		return 1;
	}
	return 0; /* a function */
}

/* ---- what the programs may do ---- */

/* The contexts' types in the module's BTF.  Set before a program that gets one is verified. */
static const struct btf_type *extfuse_request_type, *extfuse_read_type, *extfuse_write_type,
	*extfuse_mmap_type;

static int extfuse_check_member(const struct btf_type *t, const struct btf_member *member,
                                const struct bpf_prog *prog)
{
	const struct btf *btf = prog->aux->attach_btf;
	const struct btf_type *type;

	if (prog->sleepable) /* they run under RCU */
		return -EINVAL;
	/* A member is a pointer to a function of a pointer to the context. */
	type = btf_type_by_id(btf, member->type);
	type = btf_type_by_id(btf, type->type);
	if (!btf_type_is_func_proto(type) || btf_type_vlen(type) != 1)
		return -EINVAL;
	type = btf_type_by_id(btf, btf_params(type)->type);
	type = btf_type_by_id(btf, type->type);
	switch (__btf_member_bit_offset(t, member) / 8) {
	case offsetof(struct extfuse_ops, request):
		WRITE_ONCE(extfuse_request_type, type);
		return 0;
	case offsetof(struct extfuse_ops, read):
		WRITE_ONCE(extfuse_read_type, type);
		return 0;
	case offsetof(struct extfuse_ops, write):
	case offsetof(struct extfuse_ops, write_end):
		WRITE_ONCE(extfuse_write_type, type);
		return 0;
	case offsetof(struct extfuse_ops, mmap):
		WRITE_ONCE(extfuse_mmap_type, type);
		return 0;
	}
	return -EINVAL;
}

static bool extfuse_is_valid_access(int off, int size, enum bpf_access_type type, const struct bpf_prog *prog,
                                    struct bpf_insn_access_aux *info)
{
	return bpf_tracing_btf_ctx_access(off, size, type, prog, info);
}

/* Called for writes: exactly the fields that extfuse_abi.h calls writable. */
static int extfuse_btf_struct_access(struct bpf_verifier_log *log, const struct bpf_reg_state *reg, int off,
                                     int size)
{
	const struct btf_type *t = btf_type_by_id(reg->btf, reg->btf_id);
	int start, end;

	if (t && t == READ_ONCE(extfuse_request_type)) {
		start = offsetof(struct extfuse_request, error);
		end = offsetofend(struct extfuse_request, out);
	} else if (t && t == READ_ONCE(extfuse_read_type)) {
		start = offsetof(struct extfuse_read, backing_id);
		end = offsetofend(struct extfuse_read, remember);
	} else if (t && t == READ_ONCE(extfuse_write_type)) {
		start = offsetof(struct extfuse_write, backing_id);
		end = offsetofend(struct extfuse_write, remember);
	} else if (t && t == READ_ONCE(extfuse_mmap_type)) {
		start = offsetof(struct extfuse_mmap, backing_id);
		end = offsetofend(struct extfuse_mmap, size);
	} else {
		bpf_log(log, "extfuse: only its contexts may be written to\n");
		return -EACCES;
	}
	if (off < start || off + size > end) {
		bpf_log(log, "extfuse: %d bytes at %d of the context are read-only\n", size, off);
		return -EACCES;
	}
	return 0;
}

/* bpf_perf_event_output(): for tracing programs the kernel takes registers from ctx, which there are none of
 * here. */
BPF_CALL_5(extfuse_event_output, void *, ctx, struct bpf_map *, map, u64, flags, void *, data, u64, size)
{
	if (flags & ~BPF_F_INDEX_MASK)
		return -EINVAL;
	return bpf_event_output(map, flags, data, size, NULL, 0, NULL);
}

static const struct bpf_func_proto extfuse_event_output_proto = {
	.func = extfuse_event_output,
	.gpl_only = true,
	.ret_type = RET_INTEGER,
	.arg1_type = ARG_PTR_TO_CTX,
	.arg2_type = ARG_CONST_MAP_PTR,
	.arg3_type = ARG_ANYTHING,
	.arg4_type = ARG_PTR_TO_MEM | MEM_RDONLY,
	.arg5_type = EXTFUSE_ARG_SIZE,
};

static const struct bpf_func_proto *extfuse_get_func_proto(enum bpf_func_id func_id,
                                                           const struct bpf_prog *prog)
{
	if (func_id == BPF_FUNC_perf_event_output)
		return &extfuse_event_output_proto;
	return bpf_base_func_proto(func_id, prog);
}

static const struct bpf_verifier_ops extfuse_verifier_ops = {
	.get_func_proto = extfuse_get_func_proto,
	.is_valid_access = extfuse_is_valid_access,
	.btf_struct_access = extfuse_btf_struct_access,
};

/* Never called: they carry the signatures. */
static int extfuse_stub_request(struct extfuse_request *ctx)
{
	return EXTFUSE_V_PASS;
}

static int extfuse_stub_read(struct extfuse_read *ctx)
{
	return EXTFUSE_V_PASS;
}

static int extfuse_stub_write(struct extfuse_write *ctx)
{
	return EXTFUSE_V_PASS;
}

static int extfuse_stub_write_end(struct extfuse_write *ctx)
{
	return 0;
}

static int extfuse_stub_mmap(struct extfuse_mmap *ctx)
{
	return EXTFUSE_V_PASS;
}

static struct extfuse_ops extfuse_stubs = {
	.request = extfuse_stub_request,
	.read = extfuse_stub_read,
	.write = extfuse_stub_write,
	.write_end = extfuse_stub_write_end,
	.mmap = extfuse_stub_mmap,
};

static struct bpf_struct_ops extfuse_struct_ops = {
	.verifier_ops = &extfuse_verifier_ops,
	.init = extfuse_init_type,
	.check_member = extfuse_check_member,
	.init_member = extfuse_init_member,
	.validate = extfuse_validate,
	.reg = extfuse_reg,
	.unreg = extfuse_unreg, /* no .update: maps and connection belong together */
	.cfi_stubs = &extfuse_stubs,
	.name = "extfuse_ops",
	.owner = THIS_MODULE,
};

int extfuse_ops_init(void)
{
	int err;

	extfuse_wq = alloc_workqueue("extfuse", WQ_UNBOUND, 0);
	if (!extfuse_wq)
		return -ENOMEM;
	err = register_bpf_struct_ops(&extfuse_struct_ops, extfuse_ops);
	if (err) {
		pr_err("cannot register struct_ops: %d\n", err);
		destroy_workqueue(extfuse_wq);
	}
	return err;
}

/* The type goes with the module's BTF. */
void extfuse_ops_exit(void)
{
	destroy_workqueue(extfuse_wq);
}
