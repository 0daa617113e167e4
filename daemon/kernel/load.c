/* SPDX-License-Identifier: Apache-2.0 */
/* Load the BPF object, attach it to one FUSE connection, pin its maps. */
#include "bpf/embed.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/kernel/internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char *const map_names[MAPS] = {
	[MAP_DENTRY] = EXTFUSE_MAP_DENTRY,   [MAP_DENTRY_LONG] = EXTFUSE_MAP_DENTRY_LONG,
	[MAP_INODE] = EXTFUSE_MAP_INODE,     [MAP_CHUNK] = EXTFUSE_MAP_CHUNK,
	[MAP_WRITTEN] = EXTFUSE_MAP_WRITTEN, [MAP_DIRTY] = EXTFUSE_MAP_DIRTY,
	[MAP_EPOCH] = EXTFUSE_MAP_EPOCH,     [MAP_CHANGES] = EXTFUSE_MAP_CHANGES,
	[MAP_STATFS] = EXTFUSE_MAP_STATFS,   [MAP_EVENTS] = EXTFUSE_MAP_EVENTS,
	[MAP_STATS] = EXTFUSE_MAP_STATS,     [MAP_INFO] = EXTFUSE_MAP_INFO,
};

static int say(char **ret_why, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(ret_why, fmt, ap) < 0)
		*ret_why = NULL;
	va_end(ap);
	return r;
}

/* libbpf's own messages: for whoever asks for debug output. */
static int libbpf_log(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[1024];

	if (level == LIBBPF_DEBUG || log_get_level() < LOG_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("%s", line);
	return 0;
}

static int open_device(int *ret_fd, char **ret_why)
{
	_cleanup_close_ int fd = open(EXTFUSE_DEVICE, O_RDWR | O_CLOEXEC);
	struct extfuse_ioc_info info = {};

	if (fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		return say(ret_why, -ENOENT,
		           "the kernel module extfuse is not loaded (no " EXTFUSE_DEVICE
		           "); load it with 'modprobe extfuse', or see 'curvefs doctor'");
	if (fd < 0)
		return say(ret_why, -errno,
		           "cannot open " EXTFUSE_DEVICE ": %m; the daemon must run as root");
	if (ioctl(fd, EXTFUSE_IOC_INFO, &info) < 0)
		return say(ret_why, errno == EPERM ? -EPERM : -EPROTO,
		           EXTFUSE_DEVICE
		           " does not answer: %m; CAP_SYS_ADMIN is needed, and an extfuse module "
		           "of this version");
	if (info.magic != EXTFUSE_ABI_MAGIC || info.version != EXTFUSE_ABI_VERSION)
		return say(ret_why, -EPROTO,
		           "the loaded extfuse module speaks ABI %u, this daemon speaks %u; load the module "
		           "that "
		           "came with it",
		           info.version, EXTFUSE_ABI_VERSION);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int kernel_probe(char **ret_why)
{
	_cleanup_close_ int fd = -1;

	return open_device(&fd, ret_why);
}

static int set_config(struct bpf_object *object, const struct extfuse_config *config)
{
	struct bpf_map *map;

	bpf_object__for_each_map (map, object) {
		size_t size = 0;
		void *data;

		if (!strstr(bpf_map__name(map), ".rodata"))
			continue;
		data = bpf_map__initial_value(map, &size);
		if (!data || size != sizeof(*config))
			continue;
		memcpy(data, config, sizeof(*config));
		return 0;
	}
	return -EINVAL;
}

static struct bpf_map *find_struct_ops(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map (map, object) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			return map;
	}
	return NULL;
}

static int prepare(struct kernel *k, const struct kernel_options *options, int fuse_fd,
                   struct bpf_map **ret_ops)
{
	static const enum kernel_map sized[] = {MAP_DENTRY, MAP_INODE, MAP_CHUNK};
	struct bpf_map *ops = find_struct_ops(k->object);
	struct extfuse_ops *value;
	size_t size = 0;
	int r;

	for (int i = 0; i < MAPS; i++) {
		k->maps[i] = bpf_object__find_map_by_name(k->object, map_names[i]);
		if (!k->maps[i])
			return -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sized); i++) {
		r = bpf_map__set_max_entries(k->maps[sized[i]], options->max_entries);
		if (r < 0)
			return r;
	}
	/* Names of more than 40 bytes are rare. */
	r = bpf_map__set_max_entries(k->maps[MAP_DENTRY_LONG], options->max_entries / 4 ?: 1);
	if (r < 0)
		return r;
	r = set_config(k->object, &options->config);
	if (r < 0)
		return r;
	value = ops ? bpf_map__initial_value(ops, &size) : NULL;
	if (!value || size < sizeof(*value))
		return -EINVAL;
	value->fuse_fd = fuse_fd;
	value->device_fd = k->device_fd;
	value->abi_version = EXTFUSE_ABI_VERSION;
	value->flags = options->config.entry_valid_ns ? 0 : EXTFUSE_OPS_REVALIDATE;
	*ret_ops = ops;
	return 0;
}

/* An array's elements lie 8 bytes apart, whatever their size. */
#define COUNTERS_SIZE (EXTFUSE_EPOCH_SLOTS * sizeof(uint64_t))

/* A map that this process and the BPF programs write to without a system call. */
static int map_shared(struct kernel *k, enum kernel_map map, size_t size, void *ret)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, k->map_fd[map], 0);

	if (p == MAP_FAILED)
		return -errno;
	*(void **)ret = p;
	return 0;
}

static int map_all_shared(struct kernel *k)
{
	int r = map_shared(k, MAP_EPOCH, COUNTERS_SIZE, &k->epochs);

	if (r == 0)
		r = map_shared(k, MAP_CHANGES, COUNTERS_SIZE, &k->changes);
	return r < 0 ? r : map_shared(k, MAP_STATFS, sizeof(*k->statfs), &k->statfs);
}

/* What the module repeats verdicts by. */
static int name_maps(struct kernel *k)
{
	const struct extfuse_ioc_maps maps = {.changes_fd = k->map_fd[MAP_CHANGES],
	                                      .stats_fd = k->map_fd[MAP_STATS],
	                                      .written_fd = k->map_fd[MAP_WRITTEN]};

	return ioctl(k->device_fd, EXTFUSE_IOC_MAPS, &maps) < 0 ? -errno : 0;
}

static int write_info(struct kernel *k)
{
	const struct extfuse_info info = {
		.magic = EXTFUSE_ABI_MAGIC,
		.version = EXTFUSE_ABI_VERSION,
		.dentry_key_size = sizeof(struct extfuse_dentry_key),
		.dentry_long_key_size = sizeof(struct extfuse_dentry_long_key),
		.dentry_size = sizeof(struct extfuse_dentry),
		.inode_size = sizeof(struct extfuse_inode),
		.chunk_key_size = sizeof(struct extfuse_chunk_key),
		.chunk_size = sizeof(struct extfuse_chunk),
		.written_size = sizeof(struct extfuse_written),
		.dirty_size = sizeof(struct extfuse_dirty),
	};
	const uint32_t zero = 0;

	return bpf_map_update_elem(k->map_fd[MAP_INFO], &zero, &info, BPF_ANY) < 0 ? -errno : 0;
}

static int make_dirs(const char *path)
{
	char partial[PATH_MAX];

	for (const char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		int n = slash ? (int)(slash - path) : (int)strlen(path);

		if (snprintf(partial, sizeof(partial), "%.*s", n, path) >= (int)sizeof(partial))
			return -ENAMETOOLONG;
		if (mkdir(partial, 0700) < 0 && errno != EEXIST)
			return -errno;
		if (!slash)
			return 0;
	}
}

static void unpin(const char *dir)
{
	char path[PATH_MAX];

	for (int i = 0; i < MAPS; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, map_names[i]);
		unlink(path);
	}
	rmdir(dir);
}

/* Pins are for people and tools: without them everything works, so a failure is said and no more. */
static void pin(struct kernel *k, const char *dir)
{
	char path[PATH_MAX];
	int r;

	unpin(dir); /* what a killed daemon left */
	r = make_dirs(dir);
	for (int i = 0; r == 0 && i < MAPS; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, map_names[i]);
		r = bpf_map__pin(k->maps[i], path);
	}
	if (r < 0) {
		unpin(dir);
		log_warning("the BPF maps are not pinned: %s: %s; is a bpffs mounted on /sys/fs/bpf?", dir,
		            strerror(-r));
		return;
	}
	k->pin_dir = strdup(dir);
	if (stat(dir, &k->pinned) < 0)
		memset(&k->pinned, 0, sizeof(k->pinned)); /* nothing is like it */
}

/* The mount's number may have been given to another one while this one was still closing. */
static bool pins_are_ours(const struct kernel *k)
{
	struct stat there;

	return k->pin_dir && lstat(k->pin_dir, &there) == 0 && there.st_dev == k->pinned.st_dev &&
	       there.st_ino == k->pinned.st_ino;
}

int kernel_open(const struct kernel_options *options, int fuse_fd, struct kernel **ret, char **ret_why)
{
	struct bpf_object_open_opts open_opts = {.sz = sizeof(open_opts), .object_name = "extfuse"};
	struct kernel *k = calloc(1, sizeof(*k));
	struct bpf_map *ops;
	int r;

	if (!k)
		return say(ret_why, -ENOMEM, "out of memory");
	k->device_fd = k->ring_stop_fd = -1;
	r = open_device(&k->device_fd, ret_why);
	if (r < 0)
		goto fail;

	libbpf_set_print(libbpf_log);
	k->object = bpf_object__open_mem(extfuse_bpf_start, (size_t)(extfuse_bpf_end - extfuse_bpf_start),
	                                 &open_opts);
	if (!k->object) {
		r = say(ret_why, -EIO, "cannot open the built-in BPF object: %m");
		goto fail;
	}
	r = prepare(k, options, fuse_fd, &ops);
	if (r < 0) {
		r = say(ret_why, r, "the built-in BPF object is not the one this daemon was made for: %s",
		        strerror(-r));
		goto fail;
	}
	r = bpf_object__load(k->object);
	if (r < 0) {
		r = say(ret_why, r == -ENOENT ? -ENOTSUP : r,
		        "the kernel refuses the BPF programs: %s; --log-level=debug shows its reasons",
		        strerror(-r));
		goto fail;
	}
	for (int i = 0; i < MAPS; i++)
		k->map_fd[i] = bpf_map__fd(k->maps[i]);
	if ((r = kernel_maps_init(k)) < 0 || (r = map_all_shared(k)) < 0 || (r = write_info(k)) < 0 ||
	    (r = name_maps(k)) < 0 || (r = kernel_events_start(k, options->ring_pages)) < 0) {
		r = say(ret_why, r, "cannot set the BPF maps up: %s", strerror(-r));
		goto fail;
	}
	k->link = bpf_map__attach_struct_ops(ops);
	if (!k->link) {
		r = say(ret_why, -errno, "cannot attach the BPF programs to this mount: %m");
		goto fail;
	}
	if (options->pin_dir)
		pin(k, options->pin_dir);
	*ret = k;
	return 0;
fail:
	kernel_close(k);
	return r;
}

void kernel_close(struct kernel *k)
{
	if (!k)
		return;
	bpf_link__destroy(k->link); /* detaches; the programs are idle from here on */
	kernel_events_stop(k);
	if (k->epochs)
		munmap(k->epochs, COUNTERS_SIZE);
	if (k->changes)
		munmap(k->changes, COUNTERS_SIZE);
	if (k->statfs)
		munmap(k->statfs, sizeof(*k->statfs));
	kernel_maps_fini(k);
	if (pins_are_ours(k))
		unpin(k->pin_dir);
	free(k->pin_dir);
	bpf_object__close(k->object);
	if (k->device_fd >= 0)
		close(k->device_fd); /* forgets the backing files */
	free(k);
}
