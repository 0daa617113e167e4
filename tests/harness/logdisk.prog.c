/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logdisk IMAGE LOG MOUNTPOINT: a file MOUNTPOINT/disk that is IMAGE, for a loop device; each write and each
 * flush is put down in LOG, for lose_writes.py.  Whoever kills it pulls the plug of that disk.
 *
 * LOG is in the format of QEMU's blklogwrites and Linux's dm-log-writes: a header, then for each entry a
 * sector that describes it, and its bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	SECTOR = 512,
	FLAG_FLUSH = 1,
	/* It takes its time as a disk does, so that the plug is pulled in the middle of something. */
	WRITE_US = 200,
	FLUSH_US = 2000,
};

static const char name[] = "/disk";
static int image, writes;

struct entry {
	uint64_t sector, count, flags, length;
	char rest[SECTOR - 32];
};

/* One system call for all of it: what is killed has written it whole, or nearly always not at all. */
static int put_down(uint64_t offset, const void *data, size_t length, uint64_t flags)
{
	struct entry e = {.sector = offset / SECTOR, .count = length / SECTOR, .flags = flags};
	struct iovec parts[] = {{&e, sizeof(e)}, {(void *)(uintptr_t)data, length}};

	return writev(writes, parts, 2) == (ssize_t)(sizeof(e) + length) ? 0 : -EIO;
}

static int disk_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	if (!strcmp(path, "/")) {
		*st = (struct stat){.st_mode = S_IFDIR | 0700, .st_nlink = 2};
		return 0;
	}
	return strcmp(path, name) ? -ENOENT : fstat(image, st) < 0 ? -errno : 0;
}

static int disk_open(const char *path, struct fuse_file_info *fi)
{
	fi->direct_io = 1; /* a write is here when the disk has taken it */
	return strcmp(path, name) ? -ENOENT : 0;
}

static int disk_read(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *fi)
{
	ssize_t n = pread(image, buffer, size, offset);

	(void)path, (void)fi;
	return n < 0 ? -errno : (int)n;
}

static int disk_write(const char *path, const char *data, size_t size, off_t offset,
                      struct fuse_file_info *fi)
{
	(void)path, (void)fi;
	if (size % SECTOR || offset % SECTOR)
		return -EINVAL;
	usleep(WRITE_US);
	if (put_down((uint64_t)offset, data, size, 0) < 0 ||
	    pwrite(image, data, size, offset) != (ssize_t)size)
		return -EIO;
	return (int)size;
}

static int disk_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
	(void)path, (void)datasync, (void)fi;
	usleep(FLUSH_US);
	return put_down(0, NULL, 0, FLAG_FLUSH);
}

static const struct fuse_operations operations = {
	.getattr = disk_getattr,
	.open = disk_open,
	.read = disk_read,
	.write = disk_write,
	.fsync = disk_fsync,
};

int main(int argc, char **argv)
{
	char *arguments[] = {argv[0], "-f", "-s", "-o", "fsname=logdisk", argc == 4 ? argv[3] : NULL, NULL};
	struct {
		uint64_t magic, version, entries;
		uint32_t sector;
		char rest[SECTOR - 28];
	} __attribute__((packed)) header = {.magic = 0x6a736677736872, .version = 1, .sector = SECTOR};

	if (argc != 4) {
		fprintf(stderr, "usage: logdisk IMAGE LOG MOUNTPOINT\n");
		return 2;
	}
	image = open(argv[1], O_RDWR | O_CLOEXEC);
	writes = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (image < 0 || writes < 0 || write(writes, &header, sizeof(header)) != sizeof(header)) {
		fprintf(stderr, "logdisk: %s: %s\n", image < 0 ? argv[1] : argv[2], strerror(errno));
		return 1;
	}
	return fuse_main(6, arguments, &operations, NULL);
}
