// SPDX-License-Identifier: Apache-2.0
#include "daemon/volume.h"

#include "cache/cache.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/why.h"
#include "daemon/backup/backup.h"
#include "daemon/backup/manifest.h"
#include "daemon/data/data.h"
#include "daemon/descriptor.h"
#include "daemon/fs/removed.h"
#include "daemon/journal.h"
#include "daemon/kernel/kernel.h"
#include "daemon/kernel/publish.h"
#include "daemon/lease.h"
#include "daemon/meta/meta.h"
#include "daemon/meta/stream.h"
#include "daemon/store/store.h"

#include <math.h>
#include <sys/stat.h>
#include <time.h>

#define META_BASE_DIR "/var/lib/curvefs"
#define CACHE_BASE_DIR "/var/cache/curvefs"
#define META_BUSY_ROUNDS 60 /* of 50 ms */

/* ---- what the parts call each other for ---- */

/* Publish is there before data is; then nothing is pending. */
static enum publish_truth volume_pending(void *arg, struct meta_attr *attr)
{
	static const enum publish_truth truth[] = {
		[DATA_COMMITTED] = PUBLISH_COMMITTED,
		[DATA_PENDING] = PUBLISH_PENDING,
		[DATA_LENT] = PUBLISH_LENT,
	};
	struct volume *v = arg;

	return v->data ? truth[data_pending(v->data, attr)] : PUBLISH_COMMITTED;
}

static void volume_will_write(void *arg, uint64_t ino)
{
	publish_will_write(((struct volume *)arg)->publish, ino);
}

static bool volume_may_lend(void *arg)
{
	struct volume *v = arg;

	return v->kernel && (!v->lease || lease_check(v->lease, 0) == 0);
}

static void volume_kernel_writes(void *arg, uint64_t ino)
{
	struct volume *v = arg;

	data_kernel_writes(v->data, ino);
}

static bool volume_lend(void *arg, uint64_t ino, const struct data_loan *loan)
{
	struct publish_loan p = {
		.cache = loan->cache,
		.size = loan->size,
		.first_chunk = loan->offset / CACHE_CHUNK_SIZE,
		.last_chunk = loan->length ? (loan->offset + loan->length - 1) / CACHE_CHUNK_SIZE : 0,
		.none = !loan->length,
		.max_bytes = loan->room,
	};

	return publish_lend(((struct volume *)arg)->publish, ino, &p);
}

static int volume_take_back(void *arg, uint64_t ino, bool end, data_written_fn fn, void *fn_arg,
                            struct timespec *ret_time)
{
	return publish_take_back(((struct volume *)arg)->publish, ino, end, fn, fn_arg, ret_time);
}

static void volume_changed(void *arg, uint64_t ino, uint64_t offset, uint64_t length)
{
	struct volume *v = arg;

	if (length)
		publish_data(v->publish, ino, offset, length);
	else
		publish_inode(v->publish, ino);
}

static void volume_forgotten(void *arg, uint64_t ino)
{
	publish_forget(((struct volume *)arg)->publish, ino);
}

/* Nothing is committed, taken from a writer or deleted without the lease. */
static int volume_may_write(void *arg)
{
	return lease_check(((struct volume *)arg)->lease, 0);
}

static bool volume_may_delete(void *arg, uint64_t sequence)
{
	struct volume *v = arg;

	return v->backup ? backup_covers(v->backup, sequence) : lease_check(v->lease, 0) == 0;
}

static uint64_t volume_first_private(void *arg)
{
	struct volume *v = arg;

	return v->backup ? backup_first_private(v->backup) : UINT64_MAX;
}

/* A copy of the metadata must not name what only this machine has. */
static int volume_objects_stored(void *arg)
{
	struct volume *v = arg;

	return v->store != v->remote ? writeback_drain(v->store) : 0;
}

static void volume_ship(void *arg)
{
	struct volume *v = arg;

	/* It is logged there; what is local is whole all the same. */
	if (v->backup)
		backup_ship(v->backup);
	else
		volume_objects_stored(v);
}

/* ---- opening ---- */

static int volume_open_store(struct volume *v, char **ret_why)
{
	const struct options *o = v->options;
	const struct store_options options = {
		.endpoint_url = o->endpoint_url,
		.region = o->region,
		.timeout_s = o->get_timeout_s,
		.retries = o->retries,
	};

	return store_open(o->source, &options, &v->remote, ret_why);
}

/*
 * umount(8) is done before the daemon of that mount is: it lets go of the
 * metadata last. Who mounts again at once should not be told that it is in use.
 */
static int open_meta_patiently(const char *dir, struct meta **ret, char **ret_why)
{
	const struct timespec pause = {.tv_nsec = 50 * 1000000};
	int r;

	for (int round = 0;; round++) {
		r = meta_open(dir, ret, ret_why);
		if (r != -EBUSY || round == META_BUSY_ROUNDS)
			return r;
		free(*ret_why);
		*ret_why = NULL;
		nanosleep(&pause, NULL);
	}
}

/* There is no metadata in @p dir: say what to do. */
static int refuse_without_meta(struct volume *v, const struct meta_volume *descriptor, const char *dir,
                               char **ret_why)
{
	const char *own = v->options->meta_dir;
	_cleanup_free_ char *why = NULL;
	char when[MANIFEST_TIME_MAX];
	struct manifest m;
	int r = manifest_newest(v->remote, descriptor->uuid, &m, &why);

	if (r == -ENOENT)
		return why_r(r, ret_why,
		             "%s holds no metadata of the volume in %s, which has no backup of it: give the "
		             "--meta-dir that it was formatted with",
		             dir, v->options->source);
	if (r < 0)
		return why_r(-ENOENT, ret_why,
		             "%s holds no metadata of the volume in %s: give the --meta-dir that it was "
		             "formatted with. There is a backup of it, but: %s",
		             dir, v->options->source, why ? why : strerror(-r));
	manifest_time(m.created_s, when);
	manifest_clear(&m);
	return why_r(-ENOENT, ret_why,
	             "%s holds no metadata of the volume in %s, but this volume has a backup of it of %s: "
	             "`curvefs restore %s%s%s` brings it up here",
	             dir, v->options->source, when, v->options->source, own ? " --meta-dir " : "",
	             own ? own : "");
}

static int volume_take_lease(struct volume *v, char **ret_why)
{
	const struct lease_options options = {
		.mountpoint = v->options->mountpoint,
		.break_it = v->options->break_lease,
	};

	return v->options->read_only ? 0 : lease_take(v->remote, &options, &v->lease, ret_why);
}

/* What is done with the lease in hand, or looked at without. */
static int volume_use_lease(struct volume *v, char **ret_why)
{
	struct lease_record record;
	int r;

	if (!v->lease) {
		r = lease_read(v->remote, &record);
		/* One that is damaged says nothing. */
		if (r < 0 && r != -ENOENT && r != -EBADMSG)
			return why_r(r, ret_why, "cannot read the lease of %s: %s", v->options->source,
			             r == -EPROTO ? strerror(-r) : store_last_error());
		return r < 0 ? 0
		             : lease_check_meta_id(v->remote, record.meta_id, meta_identity(v->meta),
		                                   ret_why);
	}
	r = lease_adopt(v->lease, meta_identity(v->meta), ret_why);
	if (r < 0)
		return r;
	meta_set_guard(v->meta, volume_may_write, v);
	return 0;
}

/*
 * Uploads from the journal have one object each in memory, of the common budget, of which data/ has the rest.
 */
static unsigned writeback_uploads(const struct options *o)
{
	uint64_t room = o->buffer_size / 2 / DATA_OBJECT_MAX;

	return room < o->max_uploads ? (unsigned)room : o->max_uploads;
}

static int volume_open_journal(struct volume *v, char **ret_why)
{
	const struct options *o = v->options;
	const struct writeback_options options = {
		.stage = o->writeback && !o->read_only,
		.uploads = o->read_only ? 0 : writeback_uploads(o),
		.delay_s = o->upload_delay_s,
		.free_space_ratio = o->free_space_ratio,
	};

	return journal_open(v->remote, v->meta, options, &v->store, ret_why);
}

static int volume_open_backup(struct volume *v, char **ret_why)
{
	const struct backup_options options = {
		.interval_s = v->options->meta_backup_s,
		.objects_stored = volume_objects_stored,
		.arg = v,
	};
	int r;

	if (!v->lease)
		return 0;
	if (options.interval_s)
		return backup_start(v->meta, v->remote, v->lease, &options, &v->backup, ret_why);
	r = backup_remove(v->remote);
	if (r < 0)
		return why_r(r, ret_why, "--meta-backup=0: cannot remove the backup there is: %s",
		             store_last_error());
	if (r > 0)
		log_warning(
			"--meta-backup=0: the backup of the metadata in %s was removed, since it would no "
			"longer fit",
			v->options->source);
	return 0;
}

static int volume_open_meta(struct volume *v, const struct meta_volume *descriptor, char **ret_why)
{
	_cleanup_free_ char *default_dir = NULL;
	const char *dir = v->options->meta_dir;
	const struct meta_volume *found;
	int r;

	if (!dir) {
		if (asprintf(&default_dir, "%s/%s", META_BASE_DIR, descriptor->uuid) < 0) {
			default_dir = NULL;
			return -ENOMEM;
		}
		dir = default_dir;
	}
	r = open_meta_patiently(dir, &v->meta, ret_why);
	if (r == -ENOENT) {
		free(TAKE_PTR(*ret_why));
		return refuse_without_meta(v, descriptor, dir, ret_why);
	}
	if (r < 0)
		return r;
	found = meta_volume(v->meta);
	if (strcmp(found->uuid, descriptor->uuid) != 0)
		return why_r(-EINVAL, ret_why,
		             "%s holds the metadata of another volume (%s \"%s\"), %s is %s \"%s\"", dir,
		             found->uuid, found->name, v->options->source, descriptor->uuid,
		             descriptor->name);
	if (found->chunk_size != descriptor->chunk_size)
		return why_r(-EINVAL, ret_why,
		             "%s: the chunk size is %u in its descriptor, %u in its metadata in %s",
		             v->options->source, descriptor->chunk_size, found->chunk_size, dir);
	return 0;
}

/* A cache asked for must be there, unless its disk is full; without one, everything works and is slower. */
static int volume_open_cache(struct volume *v, char **ret_why)
{
	_cleanup_free_ char *default_dir = NULL, *why = NULL;
	const struct options *o = v->options;
	const char *uuid = meta_volume(v->meta)->uuid;
	struct cache_options options = {
		.dir = o->cache_dir,
		.max_bytes = o->cache_size,
		.free_space_ratio = o->free_space_ratio,
		.volume_uuid = uuid,
		.pack_max = CACHE_PACK_MAX,
		.before_drop = publish_before_drop,
		.before_drop_arg = v->publish,
		.is_mapped = publish_is_mapped,
		.is_mapped_arg = v->publish,
	};
	int r;

	if (!options.dir) {
		if (asprintf(&default_dir, "%s/%s", CACHE_BASE_DIR, uuid) < 0) {
			default_dir = NULL;
			return -ENOMEM;
		}
		options.dir = default_dir;
		mkdir(CACHE_BASE_DIR, 0700); /* if that fails, cache_open() says it */
	}
	r = cache_open(&options, &v->cache, &why);
	if (r < 0 && r != -ENOSPC && o->cache_dir)
		return why_r(r, ret_why, "cannot use the cache directory %s: %s", options.dir,
		             why ? why : strerror(-r));
	if (r < 0)
		log_warning("no data cache: cannot use %s: %s", options.dir, why ? why : strerror(-r));
	return 0;
}

static int volume_open_data(struct volume *v)
{
	const struct options *o = v->options;
	uint64_t journal = v->store != v->remote ? writeback_uploads(o) * (uint64_t)DATA_OBJECT_MAX : 0;
	const struct data_options options = {
		.memory_bytes = o->buffer_size - journal,
		.uploads = o->max_uploads,
		.downloads = o->max_downloads,
		.read_ahead = o->read_ahead,
		.expire_s = o->dirty_expire_s,
		.read_only = o->read_only,
	};
	const struct data_hooks hooks = {
		.will_write = volume_will_write,
		.may_lend = volume_may_lend,
		.lend = volume_lend,
		.take_back = volume_take_back,
		.changed = volume_changed,
		.forgotten = volume_forgotten,
		.may_write = v->lease ? volume_may_write : NULL,
		.may_delete = v->lease ? volume_may_delete : NULL,
		.first_private = volume_first_private,
		.want_delete = volume_ship,
		.all_committed = volume_ship,
		.arg = v,
	};

	return data_open(v->meta, v->store, v->cache, &options, &hooks, &v->data);
}

static int volume_open_parts(struct volume *v, char **ret_why)
{
	struct publish_source source = {.pending = volume_pending, .arg = v};
	struct meta_volume descriptor;
	int r;

	r = volume_open_store(v, ret_why);
	if (r < 0)
		return r;
	r = descriptor_read(v->remote, &descriptor, ret_why);
	if (r < 0)
		return r;
	r = volume_take_lease(v, ret_why);
	if (r < 0)
		return r;
	r = volume_open_meta(v, &descriptor, ret_why);
	if (!r)
		r = volume_use_lease(v, ret_why);
	if (!r)
		r = volume_open_journal(v, ret_why);
	if (!r)
		r = volume_open_backup(v, ret_why);
	if (r < 0)
		return r;
	source.meta = v->meta;
	r = publish_new(&source, NULL, &v->publish);
	if (r < 0)
		return r;
	meta_set_usage_changed(v->meta, publish_usage_changed, v->publish);
	r = volume_open_cache(v, ret_why);
	if (r < 0)
		return r;
	publish_set_cache(v->publish, v->cache);
	r = volume_open_data(v);
	if (r < 0)
		return r;
	if (!v->options->read_only) {
		r = data_reap_orphans(v->data);
		if (r < 0)
			return why_r(r, ret_why, "cannot delete the orphans of an earlier mount: %s",
			             strerror(-r));
	}
	return 0;
}

int volume_open(const struct options *options, struct volume **ret, char **ret_why)
{
	struct volume *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return -ENOMEM;
	v->options = options;
	v->removed = removed_new();
	r = v->removed ? volume_open_parts(v, ret_why) : -ENOMEM;
	if (r < 0) {
		volume_close(v);
		return r;
	}
	*ret = v;
	return 0;
}

/* ---- the kernel side ---- */

static double seconds_or(double given, double otherwise)
{
	return isnan(given) ? otherwise : given;
}

/*
 * More than none: the kernel rounds up to its next tick. So attributes that came with a name serve the
 * very call that looked it up.
 */
#define ONE_TICK 1e-6

/* With BPF every name is looked up again: the answer costs little, and is never old. */
static void volume_set_validities(struct volume *v, bool bpf)
{
	const struct options *o = v->options;
	double otherwise = bpf ? 0 : 1;

	v->attr_valid = seconds_or(o->attr_cache, bpf ? ONE_TICK : 1);
	v->entry_valid = seconds_or(o->entry_cache, otherwise);
	v->negative_entry_valid = seconds_or(o->negative_entry_cache, otherwise);
}

static uint64_t to_ns(double seconds)
{
	return (uint64_t)(seconds * 1e9); /* options_parse() limits it to a year */
}

static int volume_open_kernel(struct volume *v, int fuse_fd, const char *pin_dir, char **ret_why)
{
	struct kernel_options options = {
		.pin_dir = pin_dir,
		.max_entries = v->options->bpf_max_entries,
		.ring_pages = v->options->bpf_ring_pages,
	};
	int r;

	r = kernel_probe(ret_why);
	if (r < 0)
		return r;
	volume_set_validities(v, true);
	options.config = (struct extfuse_config){
		.entry_valid_ns = to_ns(v->entry_valid),
		.negative_valid_ns = to_ns(v->negative_entry_valid),
		.attr_valid_ns = to_ns(v->attr_valid),
		.events = 1,
		.flags = v->options->acl ? EXTFUSE_CONFIG_ACL : 0,
	};
	return kernel_open(&options, fuse_fd, &v->kernel, ret_why);
}

int volume_attach_kernel(struct volume *v, int fuse_fd, const char *pin_dir, char **ret_why)
{
	_cleanup_free_ char *why = NULL;
	int r;

	if (v->options->bpf_cache == BPF_CACHE_OFF) {
		volume_set_validities(v, false);
		v->why_no_bpf = strdup("--bpf-cache=off");
		return v->why_no_bpf ? 0 : -ENOMEM;
	}
	r = volume_open_kernel(v, fuse_fd, pin_dir, &why);
	if (!r) {
		publish_set_kernel(v->publish, v->kernel);
		kernel_on_write(v->kernel, volume_kernel_writes, v);
		return 0;
	}
	if (!why)
		why = strdup(strerror(-r));
	if (v->options->bpf_cache == BPF_CACHE_REQUIRE)
		return why_r(r, ret_why, "--bpf-cache: %s", why);
	volume_set_validities(v, false);
	log_info("BPF cache off: %s", why);
	v->why_no_bpf = TAKE_PTR(why);
	return 0;
}

int volume_sync(struct volume *v)
{
	int r = data_sync(v->data), q;

	/* The shipping waits for the journal by itself. */
	q = v->backup ? backup_ship(v->backup) : volume_objects_stored(v);
	return r ? r : q;
}

/* ---- closing ---- */

int volume_close(struct volume *v)
{
	int r = 0, q;

	if (!v)
		return 0;
	if (v->data) {
		for (uint64_t ino; (ino = removed_take_any(v->removed));)
			data_orphaned(v->data, ino);
		kernel_on_write(v->kernel, NULL, NULL);
		r = data_close(v->data); /* publishes what it commits, so the rest must be there */
		if (r < 0)
			log_error("data written last could not be stored: %s", strerror(-r));
		v->data = NULL;
	}
	/*
	 * Until the kernel side is detached, somebody with a file still open may read in the kernel. So the
	 * cache, whose own threads evict, ends before: up to then what it drops leaves the maps first.
	 */
	if (v->cache)
		cache_close(v->cache);
	if (v->publish)
		publish_set_kernel(v->publish, NULL);
	if (v->kernel)
		kernel_close(v->kernel);
	if (v->publish)
		publish_free(v->publish);
	backup_stop(v->backup);
	/* Its directory is the metadata's, and goes with it to whoever comes next. */
	if (v->store && v->store != v->remote)
		writeback_stop(v->store);
	if (v->meta) {
		q = meta_sync(v->meta);
		if (q < 0)
			log_error("metadata could not be made durable: %s", strerror(-q));
		r = r ? r : q;
		meta_close(v->meta);
	}
	/* Last: whoever takes it next finds everything closed. */
	lease_release(v->lease);
	if (v->store || v->remote)
		store_close(v->store ? v->store : v->remote);
	removed_free(v->removed);
	free(v->why_no_bpf);
	free(v);
	return r;
}
