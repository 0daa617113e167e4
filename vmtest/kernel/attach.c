/* SPDX-License-Identifier: Apache-2.0 */
/* Who may attach to what, the device, and that nothing is left when a daemon goes. */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct extfuse_config no_config;

/*
 * An object is loaded once, with two numbers for the descriptors (loading takes
 * long, since all of the kernel's BTF is read); what is open under these numbers
 * when it is attached is what counts.
 */
enum { FUSE_FD = 500, DEVICE_FD = 501 };

static int try_attach(struct bpf_object *object, int fuse_fd, int device_fd)
{
	struct bpf_link *link;
	int r;

	close(FUSE_FD);
	close(DEVICE_FD);
	check(fuse_fd < 0 || dup2(fuse_fd, FUSE_FD) == FUSE_FD);
	check(device_fd < 0 || dup2(device_fd, DEVICE_FD) == DEVICE_FD);
	r = tfs_link(object, &link);
	if (r == 0)
		bpf_link__destroy(link);
	close(FUSE_FD);
	close(DEVICE_FD);
	return r;
}

static void a_second_instance_is_refused_until_the_first_is_gone(void)
{
	struct tfs *t = tfs_start();
	struct bpf_object *object;

	tfs_attach(t, NULL);
	check(tfs_load(t, &no_config, FUSE_FD, DEVICE_FD, EXTFUSE_ABI_VERSION, &object) == 0);
	check_equal(try_attach(object, t->fuse_fd, t->device_fd), -EBUSY);
	bpf_link__destroy(t->link);
	t->link = NULL;
	for (int i = 0; i < 10; i++)
		check_equal(try_attach(object, t->fuse_fd, t->device_fd), 0);
	bpf_object__close(object);
	tfs_stop(t);
}

static void descriptors_of_another_kind_are_refused(void)
{
	struct tfs *t = tfs_start();
	int device = open(EXTFUSE_DEVICE, O_RDWR), unmounted = open("/dev/fuse", O_RDWR);
	int file = open("/proc/self/exe", O_RDONLY), pipes[2];
	struct bpf_object *object;

	check(device >= 0 && unmounted >= 0 && file >= 0 && pipe(pipes) == 0);
	check(tfs_load(t, &no_config, FUSE_FD, DEVICE_FD, EXTFUSE_ABI_VERSION, &object) == 0);
	check_equal(try_attach(object, file, device), -EINVAL);
	check_equal(try_attach(object, pipes[0], device), -EINVAL);
	check_equal(try_attach(object, device, device), -EINVAL);
	check_equal(try_attach(object, -1, device), -EBADF);
	check_equal(try_attach(object, unmounted, device), -ENOTCONN);
	check_equal(try_attach(object, t->fuse_fd, file), -EINVAL);
	check_equal(try_attach(object, t->fuse_fd, t->fuse_fd), -EINVAL);
	check_equal(try_attach(object, t->fuse_fd, -1), -EBADF);
	check_equal(try_attach(object, t->fuse_fd, device), 0);
	check(umount2(t->dir, 0) == 0);
	check_equal(try_attach(object, t->fuse_fd, device), -ENOTCONN);
}

static void another_abi_is_refused(void)
{
	struct tfs *t = tfs_start();
	struct bpf_object *object;
	struct bpf_link *link;
	int device = open(EXTFUSE_DEVICE, O_RDWR);

	check(device >= 0);
	check(tfs_load(t, &no_config, t->fuse_fd, device, EXTFUSE_ABI_VERSION + 1, &object) == 0);
	check_equal(tfs_link(object, &link), -EINVAL);
	bpf_object__close(object);
	tfs_stop(t);
}

/* In a child: with the descriptors of root, but not its capabilities. */
static void without_privilege_nothing_works(void)
{
	struct tfs *t = tfs_start();
	struct extfuse_ioc_backing add = {};
	struct extfuse_ioc_info info;
	struct bpf_object *object;
	struct bpf_link *link;
	uint64_t id = 1;

	t->device_fd = open(EXTFUSE_DEVICE, O_RDWR);
	check(t->device_fd >= 0);
	check(tfs_load(t, &no_config, t->fuse_fd, t->device_fd, EXTFUSE_ABI_VERSION, &object) == 0);
	check(seteuid(1000) == 0);
	check_errno(open(EXTFUSE_DEVICE, O_RDWR), EACCES);
	check_errno(ioctl(t->device_fd, EXTFUSE_IOC_INFO, &info), EPERM);
	check_errno(ioctl(t->device_fd, EXTFUSE_IOC_BACKING_ADD, &add), EPERM);
	check_errno(ioctl(t->device_fd, EXTFUSE_IOC_BACKING_DEL, &id), EPERM);
	check_errno(ioctl(t->device_fd, EXTFUSE_IOC_BARRIER), EPERM);
	check_equal(tfs_link(object, &link), -EPERM);
	check(seteuid(0) == 0);
	check_equal(tfs_link(object, &link), 0);
	bpf_link__destroy(link);
	bpf_object__close(object);
	tfs_stop(t);
}

static void every_ioctl_checks_its_argument(void)
{
	struct tfs *t = tfs_start();
	int device = open(EXTFUSE_DEVICE, O_RDWR), directory = open("/", O_RDONLY), pipes[2], file, append;
	struct extfuse_ioc_backing add = {};
	struct extfuse_ioc_info info = {};
	struct extfuse_ioc_maps maps = {};
	char path[] = "/tmp/attach.XXXXXX", fdinfo[64], line[512];
	bool listed = false;
	uint64_t id = 0;
	FILE *f;

	tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	file = mkstemp(path);
	append = open(path, O_WRONLY);
	check(device >= 0 && directory >= 0 && file >= 0 && append >= 0 && pipe(pipes) == 0);

	check_errno(ioctl(device, _IO('E', 99)), ENOTTY);
	check_errno(ioctl(device, _IOR('E', 1, char[12]), &info), ENOTTY);
	check_errno(ioctl(device, _IOWR('E', 2, char[24]), &add), ENOTTY);
	check_errno(ioctl(device, EXTFUSE_IOC_INFO, NULL), EFAULT);
	check_errno(ioctl(device, EXTFUSE_IOC_BACKING_ADD, NULL), EFAULT);
	check_errno(ioctl(device, EXTFUSE_IOC_BACKING_DEL, NULL), EFAULT);
	check_errno(ioctl(device, EXTFUSE_IOC_BACKING_DEL, &id), ENOENT);
	check(ioctl(device, EXTFUSE_IOC_BARRIER) == 0);
	check_errno(ioctl(device, EXTFUSE_IOC_MAPPED, NULL), EFAULT);
	check_errno(ioctl(device, EXTFUSE_IOC_MAPPED, &(int){-1}), EBADF);
	check_errno(ioctl(device, EXTFUSE_IOC_MAPPED, &directory), EINVAL);
	check_equal(ioctl(device, EXTFUSE_IOC_MAPPED, &file), 0);

	check(ioctl(device, EXTFUSE_IOC_SETTLE) == 0);
	check_errno(ioctl(device, EXTFUSE_IOC_MAPS, NULL), EFAULT);
	check_errno(ioctl(device, EXTFUSE_IOC_MAPS, &maps), EBADF); /* descriptors of no maps */

	check_errno((add.fd = -1, ioctl(device, EXTFUSE_IOC_BACKING_ADD, &add)), EBADF);
	check_errno((add.fd = append, ioctl(device, EXTFUSE_IOC_BACKING_ADD, &add)), EBADF);
	check_errno((add.fd = directory, ioctl(device, EXTFUSE_IOC_BACKING_ADD, &add)), EINVAL);
	check_errno((add.fd = pipes[0], ioctl(device, EXTFUSE_IOC_BACKING_ADD, &add)), EINVAL);
	check((add.fd = open(tfs_path(t, "file"), O_RDONLY)) >= 0);
	check_errno(ioctl(device, EXTFUSE_IOC_BACKING_ADD, &add), EINVAL);
	close(add.fd); /* or the mount would not go */
	add.fd = file;
	add.flags = 1;
	check_errno(ioctl(device, EXTFUSE_IOC_BACKING_ADD, &add), EINVAL);
	add.flags = 0;
	check(ioctl(device, EXTFUSE_IOC_BACKING_ADD, &add) == 0);

	check(ioctl(device, EXTFUSE_IOC_INFO, &info) == 0);
	check_equal(info.magic, EXTFUSE_ABI_MAGIC);
	check_equal(info.version, EXTFUSE_ABI_VERSION);
	check_equal(info.features, EXTFUSE_FEATURE_REQUEST | EXTFUSE_FEATURE_READ | EXTFUSE_FEATURE_WRITE |
	                                   EXTFUSE_FEATURE_MMAP | EXTFUSE_FEATURE_REMEMBER);
	check_equal(info.backing, 1);
	snprintf(fdinfo, sizeof(fdinfo), "/proc/self/fdinfo/%d", device);
	f = fopen(fdinfo, "r");
	check(f);
	while (fgets(line, sizeof(line), f))
		listed |= !strncmp(line, "backing:", 8) && strstr(line, path);
	fclose(f);
	check(listed);
	check(ioctl(device, EXTFUSE_IOC_BACKING_DEL, &add.id) == 0);
	check(ioctl(device, EXTFUSE_IOC_INFO, &info) == 0);
	check_equal(info.backing, 0);
	unlink(path);
	tfs_stop(t);
}

static int make_map(enum bpf_map_type type, uint32_t key, uint32_t value, uint32_t entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int fd = bpf_map_create(type, "attach", key, value, entries, &opts);

	check(fd >= 0);
	return fd;
}

static void only_maps_of_the_right_kind_are_taken_and_once(void)
{
	enum { STATS = EXTFUSE_OP_COUNT * EXTFUSE_OUTCOMES };
	int device = open(EXTFUSE_DEVICE, O_RDWR);
	int changes = make_map(BPF_MAP_TYPE_ARRAY, 4, 4, EXTFUSE_EPOCH_SLOTS);
	int stats = make_map(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, STATS);
	int written = make_map(BPF_MAP_TYPE_HASH, 8, sizeof(struct extfuse_written), 10);
	int others[] = {make_map(BPF_MAP_TYPE_ARRAY, 4, 4, EXTFUSE_EPOCH_SLOTS - 1),
	                make_map(BPF_MAP_TYPE_ARRAY, 4, 8, EXTFUSE_EPOCH_SLOTS),
	                make_map(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, STATS - 1),
	                make_map(BPF_MAP_TYPE_ARRAY, 4, 8, STATS),
	                make_map(BPF_MAP_TYPE_HASH, 8, sizeof(struct extfuse_written) - 8, 10),
	                make_map(BPF_MAP_TYPE_HASH, 4, sizeof(struct extfuse_written), 10),
	                make_map(BPF_MAP_TYPE_LRU_HASH, 8, sizeof(struct extfuse_written), 10)};
	struct extfuse_ioc_maps maps = {.changes_fd = changes, .stats_fd = stats, .written_fd = written};

	check(device >= 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		struct extfuse_ioc_maps wrong[] = {maps, maps, maps};

		wrong[0].changes_fd = wrong[1].stats_fd = wrong[2].written_fd = others[i];
		for (int k = 0; k < 3; k++)
			check_errno(ioctl(device, EXTFUSE_IOC_MAPS, &wrong[k]), EINVAL);
		close(others[i]);
	}
	maps.flags = 1;
	check_errno(ioctl(device, EXTFUSE_IOC_MAPS, &maps), EINVAL);
	maps.flags = 0;
	check(ioctl(device, EXTFUSE_IOC_MAPS, &maps) == 0);
	check_errno(ioctl(device, EXTFUSE_IOC_MAPS, &maps), EBUSY);
	close(changes);
	close(stats);
	close(written);
	close(device);
}

/* Read-only, and without a layer of its own: what is opened there is the daemon's. */
static void a_file_over_a_daemons_is_refused(void)
{
	struct tfs *t = tfs_start();
	int device = open(EXTFUSE_DEVICE, O_RDWR);
	char over[] = "/tmp/over.XXXXXX", empty[] = "/tmp/empty.XXXXXX", options[600], path[64];
	struct extfuse_ioc_backing add = {};

	tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	check(device >= 0 && mkdtemp(over) && mkdtemp(empty));
	snprintf(options, sizeof(options), "lowerdir=%s:%s", t->dir, empty);
	snprintf(path, sizeof(path), "%s/file", over);
	check(mount("overlay", over, "overlay", MS_RDONLY, options) == 0);
	add.fd = open(path, O_RDONLY);
	check(add.fd >= 0);
	check_errno(ioctl(device, EXTFUSE_IOC_BACKING_ADD, &add), EINVAL);
	close(add.fd);
	close(device);
	check(umount2(over, 0) == 0);
	rmdir(over);
	rmdir(empty);
	tfs_stop(t);
}

static int unload(void)
{
	return (int)syscall(SYS_delete_module, "extfuse", O_NONBLOCK);
}

static void the_module_stays_while_it_is_used(void)
{
	struct tfs *t = tfs_start();
	int device = open(EXTFUSE_DEVICE, O_RDWR);

	check(device >= 0);
	check_errno(unload(), EAGAIN);
	tfs_attach(t, NULL);
	close(device);
	close(t->device_fd);
	t->device_fd = -1;
	check_errno(unload(), EAGAIN); /* attached, even without a device */
	tfs_stop(t);
}

/* Ids die with the descriptor, names and attributes are still answered. */
static void a_closed_device_leaves_no_backing_file(void)
{
	struct tfs *t = tfs_start();
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "daemon"), id;
	char buf[8];
	int fd;

	tfs_attach(t, NULL);
	id = tfs_backing(t, "cached", 6, NULL);
	tfs_publish_name(t, FUSE_ROOT_ID, "file", ino);
	tfs_publish_inode(t, ino, id);
	fd = open(tfs_path(t, "file"), O_RDONLY);
	check(fd >= 0);
	check_equal(pread(fd, buf, sizeof(buf), 0), 6);
	check(!memcmp(buf, "cached", 6));
	close(t->device_fd);
	t->device_fd = -1;
	check_equal(pread(fd, buf, sizeof(buf), 0), 6);
	check(!memcmp(buf, "daemon", 6));
	close(fd);
	tfs_stop(t);
}

static void a_killed_daemon_leaves_enotconn(void)
{
	struct stat st;
	char dir[256];
	int ready[2], status;
	pid_t pid;

	check(pipe(ready) == 0);
	pid = fork();
	check(pid >= 0);
	if (!pid) {
		struct tfs *t = tfs_start();
		uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");

		tfs_attach(t, NULL);
		tfs_publish_name(t, FUSE_ROOT_ID, "file", ino);
		tfs_publish_inode(t, ino, 0);
		check(write(ready[1], t->dir, sizeof(t->dir)) == sizeof(t->dir));
		for (;;)
			pause();
	}
	check(read(ready[0], dir, sizeof(dir)) == sizeof(dir));
	check(chdir(dir) == 0);
	check(stat("file", &st) == 0);
	check(kill(pid, SIGKILL) == 0);
	check(waitpid(pid, &status, 0) == pid);
	check_errno(stat("file", &st), ENOTCONN);
	check_errno(open("file", O_RDONLY), ENOTCONN);
	check(chdir("/") == 0);
	check(umount2(dir, 0) == 0);
	rmdir(dir);
	/* and the module can go: nothing of the daemon is left (freeing is deferred a little) */
	for (int i = 0; i < 100 && unload() < 0; i++)
		usleep(50000);
	check_errno(unload(), ENOENT);
}

/* ---- what a program may write: one store at an offset of a context ---- */

static int load_store(int btf_fd, int type_id, uint32_t member, int offset)
{
	struct bpf_insn code[] = {
		{.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_1},
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_1, .off = (int16_t)offset},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .attach_btf_id = (uint32_t)type_id,
	            .attach_btf_obj_fd = (uint32_t)btf_fd, .expected_attach_type = member);
	int fd = bpf_prog_load(BPF_PROG_TYPE_STRUCT_OPS, "store", "GPL", code, 4, &opts);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static void programs_may_write_the_answer_and_nothing_else(void)
{
	struct btf *vmlinux = btf__load_vmlinux_btf();
	struct btf *btf = vmlinux ? btf__load_module_btf("extfuse", vmlinux) : NULL;
	struct extfuse_request q;
	struct extfuse_read r;
	struct extfuse_mmap m;
	uint32_t id = 0;
	int type, fd = -1;

	check(btf);
	type = btf__find_by_name_kind(btf, "extfuse_ops", BTF_KIND_STRUCT);
	check(type > 0);
	while (bpf_btf_get_next_id(id, &id) == 0) { /* the kernel's own descriptor of it */
		struct bpf_btf_info info = {};
		uint32_t size = sizeof(info);
		char name[32] = "";

		info.name = (uintptr_t)name;
		info.name_len = sizeof(name);
		fd = bpf_btf_get_fd_by_id(id);
		if (fd < 0)
			continue;
		if (bpf_btf_get_info_by_fd(fd, &info, &size) == 0 && !strcmp(name, "extfuse"))
			break;
		close(fd);
		fd = -1;
	}
	check(fd >= 0);
	for (size_t at = 0; at < sizeof(q); at += 4) {
		bool allowed = at >= offsetof(struct extfuse_request, error) &&
		               at < offsetof(struct extfuse_request, out) + sizeof(q.out);

		if (load_store(fd, type, 0, (int)at) != (allowed ? 0 : -EACCES))
			die("request: a store at %zu is%s allowed", at, allowed ? " not" : "");
	}
	for (size_t at = 0; at < sizeof(r); at += 4) {
		bool allowed = at >= offsetof(struct extfuse_read, backing_id);

		if (load_store(fd, type, 1, (int)at) != (allowed ? 0 : -EACCES))
			die("read: a store at %zu is%s allowed", at, allowed ? " not" : "");
	}
	for (size_t at = 0; at < sizeof(m); at += 4) {
		bool allowed = at >= offsetof(struct extfuse_mmap, backing_id);

		if (load_store(fd, type, 2, (int)at) != (allowed ? 0 : -EACCES))
			die("mmap: a store at %zu is%s allowed", at, allowed ? " not" : "");
	}
	check(load_store(fd, type, 0, sizeof(q)) < 0);
	check(load_store(fd, type, 1, sizeof(r)) < 0);
	check(load_store(fd, type, 2, sizeof(m)) < 0);
	check(load_store(fd, type, 3, 0) < 0); /* a data member is no program */
	close(fd);
}

const struct test attach_tests[] = {
	TEST(a_second_instance_is_refused_until_the_first_is_gone),
	TEST(descriptors_of_another_kind_are_refused),
	TEST(another_abi_is_refused),
	TEST(without_privilege_nothing_works),
	TEST(every_ioctl_checks_its_argument),
	TEST(only_maps_of_the_right_kind_are_taken_and_once),
	TEST(a_file_over_a_daemons_is_refused),
	TEST(the_module_stays_while_it_is_used),
	TEST(a_closed_device_leaves_no_backing_file),
	TEST(programs_may_write_the_answer_and_nothing_else),
	TEST(a_killed_daemon_leaves_enotconn), /* the last one: it unloads the module */
	{},
};
