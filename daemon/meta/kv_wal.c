/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log is a sequence of blocks, a block one of records: checksum (4 bytes, masked), length of the data (2),
 * type (1), data. No record crosses the end of a block; what is left there, less than a header, is nothing.
 */
#include "daemon/meta/kv_wal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/why.h"

enum {
	BLOCK = 32768,
	HEADER = 7,
	LAST_TYPE = 4, /* whole, first, middle and last part; the others are not made here */
	SECTOR = 512,  /* of a disk: written or not, but never half */
};

#define NOWHERE UINT64_MAX

enum verdict {
	WHOLE,   /* or with an end that RocksDB sees by itself */
	TORN,    /* there is more behind what is unwritten */
	DAMAGED, /* nothing that a crash leaves */
};

struct wal {
	int fd;
	uint64_t size;
	unsigned char block[BLOCK];
	size_t filled; /* bytes in block */
};

static size_t record_size(const unsigned char *header)
{
	return HEADER + header[4] + ((size_t)header[5] << 8);
}

/* Does a record of at most @room bytes begin at @p? */
static bool is_record(const unsigned char *p, size_t room)
{
	uint32_t stored, crc;

	if (room < HEADER || !p[6] || record_size(p) > room)
		return false;
	stored = p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
	stored -= 0xa282ead8;
	stored = stored >> 17 | stored << 15;
	crc = ~crc32_iscsi((unsigned char *)p + 6, (int)(record_size(p) - 6), ~0u);
	return crc == stored;
}

static int read_at(struct wal *w, uint64_t offset, unsigned char *buffer, size_t size, size_t *ret_filled)
{
	size_t filled = 0;

	while (filled < size) {
		ssize_t n = pread(w->fd, buffer + filled, size - filled, (off_t)(offset + filled));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		filled += (size_t)n;
	}
	*ret_filled = filled;
	return 0;
}

static int read_block(struct wal *w, uint64_t start)
{
	return read_at(w, start, w->block, BLOCK, &w->filled);
}

/* Where what is no record begins, in the block left in w->block; NOWHERE: everything is one. */
static int find_bad(struct wal *w, uint64_t *ret)
{
	for (uint64_t start = 0; start < w->size; start += BLOCK) {
		size_t at = 0;
		int r = read_block(w, start);

		if (r < 0)
			return r;
		while (w->filled - at >= HEADER && is_record(w->block + at, w->filled - at))
			at += record_size(w->block + at);
		if (w->filled - at >= HEADER) {
			*ret = start + at;
			return 0;
		}
	}
	*ret = NOWHERE;
	return 0;
}

/* The first record at or behind @offset: anywhere, as the lengths in between may be wrong. */
static int find_record(struct wal *w, uint64_t offset, uint64_t *ret)
{
	for (uint64_t start = offset - offset % BLOCK; start < w->size; start += BLOCK) {
		size_t at = start < offset ? offset - start : 0;
		int r = read_block(w, start);

		if (r < 0)
			return r;
		for (; at + HEADER <= w->filled; at++) {
			if (is_record(w->block + at, w->filled - at)) {
				*ret = start + at;
				return 0;
			}
		}
	}
	*ret = NOWHERE;
	return 0;
}

/* Is there a sector, from @from to @to, that may never have been written? The first one perhaps in part. */
static int find_unwritten(struct wal *w, uint64_t from, uint64_t to, bool *ret)
{
	static const unsigned char zeros[SECTOR];

	*ret = false;
	while (from < to && !*ret) {
		unsigned char sector[SECTOR];
		size_t filled;
		int r = read_at(w, from, sector, SECTOR - from % SECTOR, &filled);

		if (r < 0)
			return r;
		/* Of a few bytes one would not be sure. */
		*ret = filled >= HEADER && !memcmp(sector, zeros, filled);
		from += SECTOR - from % SECTOR;
	}
	return 0;
}

/* *ret_at: where it is torn or damaged. */
static int judge(struct wal *w, enum verdict *ret, uint64_t *ret_at)
{
	uint64_t bad, end, behind;
	bool unwritten;
	size_t room;
	int r = find_bad(w, &bad);

	*ret = WHOLE;
	if (r < 0 || bad == NOWHERE)
		return r;
	*ret_at = bad;
	room = BLOCK - bad % BLOCK;
	end = bad + record_size(w->block + bad % BLOCK);
	/* A header that was written is a good one. */
	if (w->block[bad % BLOCK + 6] == 0 || w->block[bad % BLOCK + 6] > LAST_TYPE || end > bad + room)
		end = NOWHERE;

	r = find_record(w, bad + 1, &behind);
	if (r < 0)
		return r;
	if (behind == NOWHERE && end != NOWHERE && end > w->size)
		return 0;
	r = find_unwritten(w, bad, behind == NOWHERE ? w->size : behind, &unwritten);
	if (r < 0)
		return r;
	if (!unwritten)
		*ret = DAMAGED;
	else if (behind != NOWHERE)
		*ret = TORN;
	return 0;
}

/* Part of a header is left, which tells RocksDB that the log did not end here. */
static int cut(struct wal *w, uint64_t at)
{
	return ftruncate(w->fd, (off_t)at + 1) < 0 || fsync(w->fd) < 0 ? -errno : 0;
}

static int check_one(int dir_fd, const char *name, bool mend, enum verdict *ret, char **ret_why)
{
	_cleanup_free_ struct wal *w = malloc(sizeof(*w));
	_cleanup_close_ int fd = -1;
	uint64_t at = 0;
	struct stat st;
	int r;

	if (!w)
		return -ENOMEM;
	fd = openat(dir_fd, name, (mend ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) /* whoever has the database open has deleted it */
		return 0;
	r = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
	if (!r) {
		w->fd = fd;
		w->size = (uint64_t)st.st_size;
		r = judge(w, ret, &at);
	}
	if (!r && *ret == DAMAGED)
		return why_r(0, ret_why, "its log %s is damaged at byte %llu", name, (unsigned long long)at);
	if (!r && *ret == TORN && mend) {
		log_debug("metadata: %s is cut at byte %llu, behind which a power failure left holes", name,
		          (unsigned long long)at);
		r = cut(w, at);
	}
	return r < 0 ? why_r(r, ret_why, "its log %s: %s", name, strerror(-r)) : 0;
}

static int is_log(const struct dirent *entry)
{
	size_t digits = strspn(entry->d_name, "0123456789");

	return digits && !strcmp(entry->d_name + digits, ".log");
}

/* *ret: the worst; *ret_why: where that is DAMAGED, or the error. */
static int check_all(const char *dir, bool mend, enum verdict *ret, char **ret_why)
{
	_cleanup_close_ int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **logs;
	int count, r = 0;

	*ret = WHOLE;
	if (dir_fd < 0)
		return -errno;
	count = scandirat(dir_fd, ".", &logs, is_log, alphasort);
	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++) {
		enum verdict verdict = WHOLE;

		if (!r && *ret != DAMAGED)
			r = check_one(dir_fd, logs[i]->d_name, mend, &verdict, ret_why);
		if (verdict > *ret)
			*ret = verdict;
		free(logs[i]);
	}
	free(logs);
	return r;
}

/* RocksDB's own lock. @return 1: somebody has it. */
static int lock(const char *dir, int *ret_fd)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	_cleanup_free_ char *path = NULL;
	int fd, r;

	if (asprintf(&path, "%s/LOCK", dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
		r = errno == EAGAIN || errno == EACCES ? 1 : -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int kv_wal_check(const char *dir, char **ret_why)
{
	_cleanup_close_ int locked = -1;
	_cleanup_free_ char *why = NULL;
	enum verdict verdict;
	int r = check_all(dir, false, &verdict, &why);

	if (r < 0) {
		*ret_why = TAKE_PTR(why);
		return r;
	}
	if (verdict == WHOLE)
		return 0;
	/* Only what nobody writes to is as it seems, and may be cut. The lock is asked for no sooner, because
	 * to close its file would free it, if it were another part of this process that has the database
	 * open. */
	r = lock(dir, &locked);
	if (r > 0)
		return 0; /* RocksDB will say so */
	if (r < 0)
		return r;
	r = check_all(dir, true, &verdict, ret_why);
	return r < 0 ? r : verdict == DAMAGED ? -EBADMSG : 0;
}
