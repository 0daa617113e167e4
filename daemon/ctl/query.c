/* SPDX-License-Identifier: Apache-2.0 */

/* The commands that only look: stats, info, status, paths. */

#include "cache/cache.h"
#include "common/cleanup.h"
#include "common/text.h"
#include "daemon/backup/backup.h"
#include "daemon/ctl/command.h"
#include "daemon/data/data.h"
#include "daemon/journal.h"
#include "daemon/kernel/kernel.h"
#include "daemon/kernel/publish.h"
#include "daemon/lease.h"
#include "daemon/meta/meta.h"
#include "daemon/store/store.h"
#include "daemon/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INFO_CHUNKS_MAX 65536 /* listed in one answer */

static const char *const op_names[EXTFUSE_OP_COUNT] = {
#define X(op, name) [EXTFUSE_OP_##op] = name,
	EXTFUSE_OPS(X)
#undef X
};

static const char *const outcome_names[EXTFUSE_OUTCOMES] = {
#define X(outcome, name) [EXTFUSE_##outcome] = name,
	EXTFUSE_OUTCOME_LIST(X)
#undef X
};

static const char *const daemon_op_names[DAEMON_OP_COUNT] = {
#define X(op) [DAEMON_OP_##op] = #op,
	DAEMON_OPS(X)
#undef X
};

static const char *const store_kind_names[STORE_KINDS] = {
	[STORE_GET] = "get",   [STORE_PUT] = "put",   [STORE_DELETE] = "delete",
	[STORE_LIST] = "list", [STORE_HEAD] = "head",
};

/* JSON integers are signed; a counter does not get there. */
static void set_count(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

/* ---- stats ---- */

static json_t *kernel_json(const struct kernel_stats *k)
{
	json_t *kernel = json_object();

	for (size_t op = 0; op < EXTFUSE_OP_COUNT; op++) {
		json_t *j = json_object();

		for (size_t o = 0; o < EXTFUSE_OUTCOMES; o++)
			set_count(j, outcome_names[o], k->count[op][o]);
		/* Answered in the kernel is answered, also with "there is none". */
		set_count(j, "hit", k->count[op][EXTFUSE_HIT] + k->count[op][EXTFUSE_NEGATIVE]);
		json_object_set_new(kernel, op_names[op], j);
	}
	return kernel;
}

static json_t *store_json(const struct store_stats *s)
{
	json_t *store = json_object(), *bytes = json_object(), *errors = json_object();

	for (size_t kind = 0; kind < STORE_KINDS; kind++) {
		set_count(store, store_kind_names[kind], s->requests[kind]);
		set_count(bytes, store_kind_names[kind], s->bytes[kind]);
		set_count(errors, store_kind_names[kind], s->errors[kind]);
	}
	json_object_set_new(store, "bytes", bytes);
	json_object_set_new(store, "errors", errors);
	set_count(store, "retries", s->retries);
	return store;
}

static json_t *cache_json(struct volume *v)
{
	struct cache_stats c = {0};
	json_t *cache = json_object();

	if (v->cache)
		cache_get_stats(v->cache, &c);
	set_count(cache, "bytes", c.bytes);
	set_count(cache, "limit", v->cache ? v->options->cache_size : 0);
	set_count(cache, "files", c.files);
	set_count(cache, "packed", c.packed);
	set_count(cache, "packs", c.packs);
	set_count(cache, "hits", c.hits);
	set_count(cache, "misses", c.misses);
	set_count(cache, "evictions", c.evictions);
	set_count(cache, "corrupt", c.corrupt);
	set_count(cache, "full", c.full);
	set_count(cache, "dirty_bytes", c.dirty_bytes);
	return cache;
}

/* Bytes of this process that are in memory now; 0 if /proc is not there. */
static uint64_t resident_bytes(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (!f || fscanf(f, "%*u %llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static json_t *bpf_json(const struct volume *v)
{
	return json_pack("{s:b,s:s*}", "on", v->kernel != NULL, "why", v->kernel ? NULL : v->why_no_bpf);
}

int ctl_stats(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why)
{
	struct volume *v = session->volume;
	struct kernel_stats k = {0};
	struct store_stats s = {0};
	struct data_stats d = {0};
	struct meta_usage usage = {0};
	json_t *stats = json_object(), *daemon = json_object(), *j;

	(void)request;
	(void)ret_why;
	kernel_get_stats(v->kernel, &k);
	store_get_stats(v->remote, &s);
	data_get_stats(v->data, &d);
	meta_get_usage(v->meta, &usage);

	json_object_set_new(stats, "kernel", kernel_json(&k));
	for (size_t op = 0; op < DAEMON_OP_COUNT; op++)
		set_count(daemon, daemon_op_names[op], v->requests[op]);
	json_object_set_new(stats, "daemon", daemon);
	json_object_set_new(stats, "store", store_json(&s));
	json_object_set_new(stats, "cache", cache_json(v));

	json_object_set_new(stats, "ring", j = json_object());
	set_count(j, "records", k.ring_records);
	set_count(j, "lost", k.ring_lost);
	json_object_set_new(stats, "maps", j = json_object());
	set_count(j, "inodes", k.inodes);
	set_count(j, "dentries", k.dentries);
	set_count(j, "chunks", k.chunks);
	set_count(j, "backing_files", k.backing_files);
	set_count(j, "lost_publishes", k.lost_publishes);
	set_count(j, "evicted", k.evicted);
	json_object_set_new(stats, "data", j = json_object());
	set_count(j, "open_files", d.open_files);
	set_count(j, "dirty_bytes", d.dirty_bytes);
	set_count(j, "uploads_running", d.uploads_running);
	set_count(j, "downloads_running", d.downloads_running);
	json_object_set_new(stats, "memory", j = json_object());
	set_count(j, "resident_bytes", resident_bytes());
	set_count(j, "buffer_bytes", d.memory_bytes);
	json_object_set_new(stats, "volume", j = json_object());
	set_count(j, "inodes", usage.inodes);
	set_count(j, "bytes", usage.bytes);
	json_object_set_new(stats, "bpf", bpf_json(v));
	set_count(stats, "uptime_s", (uint64_t)(time(NULL) - session->started));
	*ret = stats;
	return 0;
}

/* ---- status ---- */

static json_t *lease_json(struct volume *v)
{
	static const struct {
		int r;
		const char *state;
	} states[] = {{0, "held"}, {-EIO, "expired"}, {-EROFS, "lost"}};
	int r = lease_check(v->lease, 0);
	json_t *lease = json_object();
	struct lease_record record;

	lease_get(v->lease, &record);
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (r == states[i].r)
			json_object_set_new(lease, "state", json_string(states[i].state));
	}
	json_object_set_new(lease, "host", json_string(record.host));
	set_count(lease, "epoch", record.epoch);
	set_count(lease, "since", (uint64_t)record.since_s);
	set_count(lease, "expires", (uint64_t)record.expires_s);
	return lease;
}

static json_t *backup_json(struct volume *v)
{
	json_t *backup = json_object();
	struct backup_state state;

	backup_get_state(v->backup, &state);
	set_count(backup, "interval_s", state.interval_s);
	set_count(backup, "sequence", state.sequence);
	set_count(backup, "shipped_sequence", state.shipped);
	set_count(backup, "shipped", (uint64_t)state.shipped_s);
	set_count(backup, "shipments", state.shipments);
	set_count(backup, "checkpoints", state.checkpoints);
	set_count(backup, "bytes", state.bytes);
	json_object_set_new(backup, "failing", json_boolean(state.failing));
	return backup;
}

static json_t *writeback_json(struct volume *v)
{
	json_t *writeback = json_object();
	struct writeback_state state;

	writeback_get_state(v->store, &state);
	json_object_set_new(writeback, "on", json_boolean(v->options->writeback));
	set_count(writeback, "objects", state.objects);
	set_count(writeback, "bytes", state.bytes);
	set_count(writeback, "oldest", (uint64_t)state.oldest_s);
	set_count(writeback, "staged", state.staged);
	set_count(writeback, "uploaded", state.uploaded);
	set_count(writeback, "unneeded", state.unneeded);
	set_count(writeback, "passed", state.passed);
	json_object_set_new(writeback, "failing", json_boolean(state.failing));
	return writeback;
}

int ctl_status(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why)
{
	struct volume *v = session->volume;
	struct meta_usage usage = {0};
	struct cache_stats c = {0};
	struct data_stats d = {0};
	json_t *status = json_deep_copy(session->mount), *j;

	(void)request;
	(void)ret_why;
	if (!status)
		return -ENOMEM;
	meta_get_usage(v->meta, &usage);
	data_get_stats(v->data, &d);
	if (v->cache)
		cache_get_stats(v->cache, &c);
	json_object_set_new(status, "state", json_string("up"));
	set_count(status, "uptime_s", (uint64_t)(time(NULL) - session->started));
	json_object_set_new(status, "read_only", json_boolean(v->options->read_only));
	json_object_set_new(status, "volume", j = json_object());
	set_count(j, "inodes", usage.inodes);
	set_count(j, "bytes", usage.bytes);
	json_object_set_new(status, "cache", j = json_object());
	json_object_set_new(j, "on", json_boolean(v->cache != NULL));
	set_count(j, "bytes", c.bytes);
	set_count(j, "limit", v->cache ? v->options->cache_size : 0);
	json_object_set_new(status, "data", j = json_object());
	set_count(j, "open_files", d.open_files);
	set_count(j, "dirty_bytes", d.dirty_bytes);
	json_object_set_new(status, "memory", j = json_object());
	set_count(j, "resident_bytes", resident_bytes());
	if (v->lease)
		json_object_set_new(status, "lease", lease_json(v));
	if (v->backup)
		json_object_set_new(status, "meta_backup", backup_json(v));
	if (v->store != v->remote)
		json_object_set_new(status, "writeback", writeback_json(v));
	*ret = status;
	return 0;
}

/* ---- info ---- */

/* An inode number; false for what cannot be one. */
static bool get_ino(const json_t *j, uint64_t *ret)
{
	if (!json_is_integer(j) || json_integer_value(j) < META_ROOT_INO)
		return false;
	*ret = (uint64_t)json_integer_value(j);
	return true;
}

static json_t *time_json(struct timespec t)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld.%09ld", (long long)t.tv_sec, t.tv_nsec);
	return json_string(text);
}

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFCHR:
		return "character device";
	case S_IFBLK:
		return "block device";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	default:
		return "unknown";
	}
}

static json_t *attr_json(const struct meta_attr *a)
{
	json_t *j = json_object();
	char mode[16];

	snprintf(mode, sizeof(mode), "%04o", a->mode & 07777);
	set_count(j, "ino", a->ino);
	set_count(j, "generation", a->generation);
	json_object_set_new(j, "type", json_string(type_name(a->mode)));
	json_object_set_new(j, "mode", json_string(mode));
	set_count(j, "uid", a->uid);
	set_count(j, "gid", a->gid);
	set_count(j, "nlink", a->nlink);
	set_count(j, "size", a->size);
	set_count(j, "version", a->version);
	set_count(j, "xattrs", a->xattrs);
	json_object_set_new(j, "atime", time_json(a->atime));
	json_object_set_new(j, "mtime", time_json(a->mtime));
	json_object_set_new(j, "ctime", time_json(a->ctime));
	json_object_set_new(j, "btime", time_json(a->btime));
	return j;
}

static json_t *slices_json(const struct meta_slices *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->count; i++) {
		const struct meta_slice *slice = &s->slices[i];
		json_t *j = json_object();
		char key[DATA_KEY_MAX];

		set_count(j, "pos", slice->pos);
		set_count(j, "length", slice->length);
		if (slice->object) {
			data_object_key(slice->object, slice->size, key);
			json_object_set_new(j, "object", json_string(key));
			set_count(j, "offset", slice->offset);
			set_count(j, "object_size", slice->size);
		} else {
			json_object_set_new(j, "zeros", json_true());
		}
		json_array_append_new(list, j);
	}
	return list;
}

/* Chunks that have slices, at most @p max of them; the others are holes. */
static int chunks_json(struct volume *v, const struct meta_attr *a, uint64_t max, json_t *info)
{
	uint32_t chunk_size = meta_volume(v->meta)->chunk_size;
	uint64_t count = a->size / chunk_size + (a->size % chunk_size != 0), listed = 0, c;
	json_t *list = json_array();

	/* A sparse file can have more chunks than anybody wants to wait for. */
	for (c = 0; c < count && listed < max && c < 16 * max; c++) {
		struct meta_slices slices = {0};
		int r = meta_slices(v->meta, a->ino, c, &slices);

		if (r < 0) {
			json_decref(list);
			return r;
		}
		if (slices.count) {
			json_array_append_new(list, json_pack("{s:I,s:o}", "chunk", (json_int_t)c, "slices",
			                                      slices_json(&slices)));
			listed++;
		}
		free(slices.slices);
	}
	set_count(info, "chunk_size", chunk_size);
	set_count(info, "chunk_count", count);
	json_object_set_new(info, "chunks", list);
	json_object_set_new(info, "chunks_truncated", json_boolean(c < count));
	return 0;
}

int ctl_info(struct ctl_session *session, const json_t *request, json_t **ret, char **ret_why)
{
	struct volume *v = session->volume;
	struct publish_state state = {0};
	struct meta_attr attr;
	uint64_t ino, max = 1024;
	json_t *info, *limit = json_object_get(request, "max_chunks"), *j;
	bool pending;
	int r;

	if (!get_ino(json_object_get(request, "ino"), &ino))
		return ctl_bad_request(ret_why, "\"ino\" is an inode number");
	if (limit && (!json_is_integer(limit) || json_integer_value(limit) < 0 ||
	              json_integer_value(limit) > INFO_CHUNKS_MAX))
		return ctl_bad_request(ret_why, "\"max_chunks\" is a number from 0 to 65536");
	if (limit)
		max = (uint64_t)json_integer_value(limit);
	r = meta_getattr(v->meta, ino, &attr);
	if (r < 0)
		return r;

	info = attr_json(&attr);
	if (S_ISREG(attr.mode)) {
		r = chunks_json(v, &attr, max, info);
		if (r < 0) {
			json_decref(info);
			return r;
		}
	}
	pending = data_pending(v->data, &attr) != DATA_COMMITTED;
	json_object_set_new(info, "being_written", json_boolean(pending));
	if (pending && publish_getattr(v->publish, ino, &attr) == 0)
		set_count(info, "size", attr.size);
	if (S_ISREG(attr.mode))
		set_count(info, "cached_bytes", v->cache ? cache_cached_bytes(v->cache, ino) : 0);
	publish_get_state(v->publish, ino, &state);
	json_object_set_new(info, "published", j = json_object());
	json_object_set_new(j, "attributes", json_boolean(state.inode));
	json_object_set_new(j, "all_data", json_boolean(state.complete));
	json_object_set_new(j, "packed", json_boolean(state.packed));
	set_count(j, "backing_id", state.backing_id);
	json_object_set_new(j, "lent", json_boolean(state.lent));
	json_object_set_new(info, "bpf", bpf_json(v));
	*ret = info;
	return 0;
}
