// SPDX-License-Identifier: Apache-2.0
#include "daemon/backup/restore.h"

#include "common/cleanup.h"
#include "common/why.h"
#include "daemon/backup/manifest.h"
#include "daemon/descriptor.h"
#include "daemon/lease.h"
#include "daemon/meta/stream.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <string.h>

struct counted {
	struct meta_rebuild *rebuild;
	uint64_t changes;
};

static int apply(enum kv_op op, struct kv_slice key, struct kv_slice value, void *arg)
{
	struct counted *c = arg;

	c->changes++;
	return meta_rebuild_apply(op, key, value, c->rebuild);
}

static int restore_part(struct store *store, const char *uuid, const struct manifest_part *part,
                        enum part_kind kind, struct counted *c, char **ret_why)
{
	const struct part_id id = {.kind = kind, .epoch = part->epoch, .number = part->number, .uuid = uuid};
	_cleanup_free_ void *object = NULL;
	char key[BACKUP_KEY_MAX];
	const char *wrong;
	size_t size;
	int r;

	manifest_part_key(part->epoch, part->number, key);
	r = store_get_all(store, key, part->size, &object, &size);
	if (r == -ENOENT || r == -EFBIG)
		r = -EBADMSG;
	if (r < 0)
		return why_r(r, ret_why, "the metadata backup is not whole: %s", store_last_error());
	if (size != part->size || part_crc(object, size) != part->crc)
		return why_r(-EBADMSG, ret_why, "%s/%s cannot be used: %s", store_url(store), key,
		             "it is not the object that the manifest names");
	r = part_read(object, size, &id, apply, c, &wrong);
	return r < 0 ? why_r(r, ret_why, "%s/%s cannot be used: %s", store_url(store), key, wrong) : 0;
}

static int restore_parts(struct store *store, const struct manifest *m, struct counted *c,
                         restore_progress_fn progress, void *arg, struct restored *ret, char **ret_why)
{
	int r = 0;

	for (size_t i = 0; !r && i < m->count; i++) {
		r = restore_part(store, ret->volume.uuid, &m->parts[i],
		                 i < m->checkpoint_count ? PART_CHECKPOINT : PART_LOG, c, ret_why);
		ret->bytes += m->parts[i].size;
		if (!r && progress)
			progress(i + 1, m->count, arg);
	}
	return r;
}

static int restore_into(struct store *store, const char *dir, const struct manifest *m,
                        restore_progress_fn progress, void *arg, struct restored *ret,
                        char ret_identity[KV_IDENTITY_MAX], char **ret_why)
{
	struct counted c = {0};
	int r = meta_rebuild_begin(dir, &c.rebuild, ret_why);

	if (r < 0)
		return r;
	r = restore_parts(store, m, &c, progress, arg, ret, ret_why);
	if (r < 0) {
		meta_rebuild_abort(c.rebuild);
		return r;
	}
	ret->parts = m->count;
	ret->changes = c.changes;
	ret->created_s = m->created_s;
	ret->sequence = m->sequence;
	r = meta_rebuild_finish(c.rebuild, &ret->volume, ret_identity, &ret->usage, ret_why);
	if (r < 0 && !*ret_why)
		return why_r(r, ret_why, "the metadata in %s cannot be completed: %s", dir,
		             r == -EBADMSG ? "the backup has no whole volume" : strerror(-r));
	return r;
}

int restore(struct store *store, const char *dir, bool break_lease, restore_progress_fn progress, void *arg,
            struct restored *ret, char **ret_why)
{
	const struct lease_options options = {.mountpoint = "curvefs restore", .break_it = break_lease};
	char identity[KV_IDENTITY_MAX];
	struct restored done = {0};
	struct manifest m = {0};
	struct lease *lease;
	int r;

	r = descriptor_read(store, &done.volume, ret_why);
	if (!r)
		r = lease_take(store, &options, &lease, ret_why);
	if (r < 0)
		return r;
	/* Only now nobody ships any more. */
	r = manifest_newest(store, done.volume.uuid, &m, ret_why);
	if (r == -ENOENT)
		r = why_r(-ENODATA, ret_why,
		          "%s has no backup of its metadata: none was made yet, or it is mounted with "
		          "--meta-backup=0",
		          store_url(store));
	if (!r)
		r = restore_into(store, dir, &m, progress, arg, &done, identity, ret_why);
	if (!r) {
		r = lease_set_meta_id(lease, identity);
		if (r < 0)
			r = why_r(r, ret_why, "the lease was lost while the metadata was restored: %s",
			          store_last_error());
	}
	lease_release(lease);
	manifest_clear(&m);
	if (!r)
		*ret = done;
	return r;
}
