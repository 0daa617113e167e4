# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The module's build refuses a kernel whose fs/fuse it does not know, and says what it does not know of it.
! bpf_on || skip "compiles, which takes long in the VM"
layout=$CURVEFS_TOP/kpatch-extfuse/layout.sh

# kernel [SED-EXPRESSION...]: a kernel's types, as far as layout.sh looks at them, changed so; in vmlinux.
kernel() {
	local change=()
	for expression; do change+=(-e "$expression"); done
	sed "${change[@]}" -e '' >kernel.c <<'C'
typedef long ssize_t;
typedef unsigned int gfp_t;
struct mnt_idmap { int i; };
struct kiocb { int i; };
struct iov_iter { int i; };
struct dentry { int i; };
struct super_block { int i; };
struct list_head { void *next; };
struct rw_semaphore { int i; };
struct inode { int i; };
struct vm_area_struct { int i; };
struct file { int i; };
struct fuse_in_arg { unsigned int size; const void *value; } a;
struct fuse_arg { unsigned int size; void *value; } b;
struct fuse_args {
	unsigned long nodeid;
	unsigned int opcode;
	unsigned char in_numargs, out_numargs;
	_Bool in_pages:1, out_pages:1, out_argvar:1;
	struct fuse_in_arg in_args[3];
	struct fuse_arg out_args[2];
} c;
struct fuse_conn {
	struct rw_semaphore killsb;
	struct list_head mounts;
	unsigned int connected;
	int initialized;
} d;
struct fuse_mount { struct fuse_conn *fc; struct super_block *sb; struct list_head fc_entry; } e;
struct fuse_dev { struct fuse_conn *fc; } f;
struct fuse_inode {
	struct inode inode;
	unsigned long nodeid, i_time;
	unsigned int inval_mask;
	unsigned short orig_i_mode;
	unsigned long orig_ino, state;
} g;
enum { FUSE_I_INIT_RDPLUS, FUSE_I_BAD };
ssize_t __fuse_simple_request(struct mnt_idmap *idmap, struct fuse_mount *fm, struct fuse_args *args) { return 0; }
int fuse_simple_background(struct fuse_mount *fm, struct fuse_args *args, gfp_t gfp_flags) { return 0; }
ssize_t fuse_file_read_iter(struct kiocb *iocb, struct iov_iter *to) { return 0; }
int fuse_dentry_revalidate(struct dentry *entry, unsigned int flags) { return 0; }
C
	gcc -c -g -fno-eliminate-unused-debug-types kernel.c -o vmlinux
	pahole -J vmlinux
}

# What layout.sh asks of it has grown: what is hooked is not all above.
known() { grep -E "^(#|$1)" "$CURVEFS_TOP/kpatch-extfuse/fuse.known"; }
mkdir build
cp "$layout" build
{
	known 'fuse_(args|arg|in_arg|mount|conn|dev|inode)\.(nodeid|opcode|in_|out_|size|value|fc|sb|killsb|mounts|connected|initialized|inode|state)'
	known '.*(__fuse_simple_request|fuse_simple_background|fuse_file_read_iter|fuse_dentry_revalidate)\('
} >build/fuse.known
echo "struct fuse_out_header {" >fuse.h

kernel
sh build/layout.sh vmlinux fuse.h >header
grep -qx 'struct fuse_conn {' header
grep -qx '#define EXTFUSE_HAVE_fuse_conn_connected 1' header
grep -qx '#define EXTFUSE_ARG_fuse_dentry_revalidate_entry 0' header

refused() { # MESSAGE SED-EXPRESSION...
	local message=$1
	shift
	kernel "$@"
	assert_fails -e "layout.sh: this kernel is not known: $message" sh build/layout.sh vmlinux fuse.h
}
refused 'fs/fuse has no fuse_conn.connected, nor fuse_chan.connected' 's/int connected/int linked/'
refused 'fs/fuse has no struct fuse_dev' '/struct fuse_dev /d'
refused 'fs/fuse has no FUSE_I_BAD' 's/FUSE_I_BAD/FUSE_I_GOOD/'
refused 'it has no function fuse_file_read_iter' 's/fuse_file_read_iter/fuse_read_iter/'
refused 'it declares' 's/struct iov_iter \*to/struct iov_iter *into/'
assert_fails -e 'ssize_t fuse_file_read_iter(struct kiocb *iocb, struct iov_iter *into)' sh build/layout.sh vmlinux fuse.h
refused 'it declares' 's/unsigned int flags)/unsigned long flags)/'
refused 'it has no fs/fuse in its BTF' 's/struct fuse_/struct fused_/'
kernel 's/struct dentry \*entry, /struct inode *dir, const struct qstr *name, &/' 's/^struct inode /struct qstr { int i; };\n&/'
sh build/layout.sh vmlinux fuse.h >header
grep -qx '#define EXTFUSE_ARG_fuse_dentry_revalidate_entry 2' header
