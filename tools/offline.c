/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/offline.h"

#include "common/cleanup.h"
#include "common/text.h"
#include "common/why.h"
#include "daemon/backup/backup.h"
#include "daemon/backup/manifest.h"
#include "daemon/ctl/ctl.h"
#include "daemon/descriptor.h"
#include "daemon/journal.h"
#include "daemon/lease.h"
#include "daemon/meta/check.h"
#include "daemon/meta/stream.h"
#include "daemon/store/store.h"
#include "tools/cmd.h"
#include "tools/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define META_ROOT "/var/lib/curvefs"
#define UPLOADS 4
#define SILENCE_S 600 /* a store that is slow to list */

struct offline_options offline_options;

static struct progress bar;
static struct lease *lease;  /* of the volume that is open */
static struct store *remote; /* its store, without the journal of --writeback */

bool offline_is_path(const char *source)
{
	return !strstr(source, "://");
}

void offline_progress_start(const char *label)
{
	progress_start(&bar, label);
}

bool offline_progress(const char *phase, uint64_t done, uint64_t total, void *arg)
{
	char text[128];

	(void)arg;
	if (total)
		snprintf(text, sizeof(text), "%s: %" PRIu64 "/%" PRIu64, phase, done, total);
	else
		snprintf(text, sizeof(text), "%s: %" PRIu64, phase, done);
	progress_update(&bar, done, total, text);
	return true;
}

void offline_progress_end(void)
{
	progress_end(&bar);
}

static void daemon_progress(json_t *p, void *arg)
{
	offline_progress(cmd_string(p, "phase"), cmd_number(p, "done"), cmd_number(p, "total"), arg);
}

int offline_ask(const char *path, json_t *request, json_t **ret, char **ret_why)
{
	_cleanup_(ctl_place_free) struct ctl_place place = {0};
	int r = ctl_find_place(path, true, &place, ret_why);

	if (r == 0 && place.dead)
		r = why_r(-ENOTCONN, ret_why, "its daemon is gone: `curvefs umount %s`, then give the source",
		          place.mountpoint);
	if (r == 0)
		r = ctl_call(place.minor, request, SILENCE_S, daemon_progress, NULL, ret, ret_why);
	json_decref(request);
	return r;
}

/* Where is it mounted? NULL: no mount of this machine says so. */
static char *mountpoint_of(const char *uuid)
{
	_cleanup_free_ unsigned *minors = NULL;
	char *mountpoint = NULL;
	size_t count = 0;

	if (ctl_list_mounts(&minors, &count) < 0)
		return NULL;
	for (size_t i = 0; i < count && !mountpoint; i++) {
		json_t *mount = NULL;
		pid_t pid;

		if (ctl_read_mount_json(minors[i], &mount) < 0)
			continue;
		if (strcmp(cmd_string(mount, "uuid"), uuid) == 0 && ctl_server_pid(minors[i], &pid) == 0)
			mountpoint = strdup(cmd_string(mount, "mountpoint"));
		json_decref(mount);
	}
	return mountpoint;
}

static int open_meta(const char *source, const struct meta_volume *volume, bool as_it_is, struct meta **ret,
                     char **ret_why)
{
	_cleanup_free_ char *default_dir = NULL, *why = NULL, *mountpoint = NULL;
	const char *dir = offline_options.meta_dir;
	struct meta *m;
	int r;

	if (!dir) {
		if (asprintf(&default_dir, META_ROOT "/%s", volume->uuid) < 0) {
			default_dir = NULL;
			return -ENOMEM;
		}
		dir = default_dir;
	}
	r = as_it_is ? meta_open_to_repair(dir, &m, &why) : meta_open(dir, &m, &why);
	if (r == -EBUSY)
		mountpoint = mountpoint_of(volume->uuid);
	if (r == -EBUSY && mountpoint)
		return why_r(r, ret_why, "%s is mounted on %s: unmount it, or give %s instead of the source",
		             source, mountpoint, mountpoint);
	if (r == -ENOENT)
		return why_r(r, ret_why,
		             "%s holds no metadata of the volume in %s: give the --meta-dir that it was "
		             "formatted with",
		             dir, source);
	if (r < 0) {
		*ret_why = TAKE_PTR(why);
		return r;
	}
	if (strcmp(meta_volume(m)->uuid, volume->uuid) != 0) {
		r = why_r(-EINVAL, ret_why,
		          "%s holds the metadata of another volume (%s \"%s\"), %s is %s \"%s\"", dir,
		          meta_volume(m)->uuid, meta_volume(m)->name, source, volume->uuid, volume->name);
		meta_close(m);
		return r;
	}
	*ret = m;
	return 0;
}

static int may_change(void *arg)
{
	return lease_check(arg, 0);
}

static int take_lease(struct store *store, struct meta *meta, char **ret_why)
{
	const struct lease_options options = {.mountpoint = "curvefs fsck or gc"};
	int r = lease_take(store, &options, &lease, ret_why);

	if (r == 0)
		r = lease_adopt(lease, meta_identity(meta), ret_why);
	if (r == 0)
		meta_set_guard(meta, may_change, lease);
	return r;
}

static int objects_stored(void *arg)
{
	return arg ? writeback_drain(arg) : 0;
}

int offline_ship(struct store *store, struct meta *meta, char **ret_why)
{
	const struct backup_options options = {
		.interval_s = 86400,
		.objects_stored = objects_stored,
		.arg = store != remote ? store : NULL,
	};
	struct backup *backup = NULL;
	struct manifest m;
	int r = manifest_newest(remote, meta_volume(meta)->uuid, &m, ret_why);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	manifest_clear(&m);
	r = backup_start(meta, remote, lease, &options, &backup, ret_why);
	if (r < 0)
		return r;
	r = backup_ship(backup);
	backup_stop(backup);
	return r < 0 ? why_r(r, ret_why, "cannot copy the metadata to the store: %s", store_last_error()) : 0;
}

int offline_open(const char *source, enum offline_for what_for, struct store **ret_store,
                 struct meta **ret_meta, char **ret_why)
{
	const struct store_options options = {.endpoint_url = offline_options.endpoint_url,
	                                      .region = offline_options.region};
	struct meta_volume volume;
	/* What an earlier mount left in its journal counts as stored, and goes up if anything is changed. */
	const struct writeback_options journal = {.uploads = what_for == OFFLINE_TO_CHANGE ? UPLOADS : 0};
	struct store *store = NULL;
	struct meta *meta = NULL;
	int r = store_open(source, &options, &remote, ret_why);

	if (r == 0)
		r = descriptor_read(remote, &volume, ret_why);
	if (r == 0)
		r = open_meta(source, &volume, what_for != OFFLINE_TO_CHANGE, &meta, ret_why);
	if (r == 0 && what_for != OFFLINE_TO_LOOK)
		r = take_lease(remote, meta, ret_why);
	if (r == 0)
		r = journal_open(remote, meta, journal, &store, ret_why);
	if (r < 0) {
		offline_close(store, meta);
		return r;
	}
	*ret_store = store;
	*ret_meta = meta;
	return 0;
}

void offline_close(struct store *store, struct meta *meta)
{
	if (store && store != remote)
		writeback_stop(store);
	meta_close(meta);
	lease_release(TAKE_PTR(lease));
	if (store || remote)
		store_close(store ? store : remote);
	remote = NULL;
}
