// SPDX-License-Identifier: Apache-2.0
#include "daemon/backup/backup.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/why.h"
#include "daemon/backup/manifest.h"
#include "daemon/lease.h"
#include "daemon/meta/stream.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define PART_BYTES (4u << 20)
#define LOG_BYTES (4u << 20)
#define LOG_PARTS 1000 /* keeps manifests small */

struct backup {
	struct meta *meta;
	struct store *store;
	const struct lease *lease;
	struct backup_options options;

	pthread_mutex_t ship_lock; /* one shipping at a time; all below up to `failing` */
	struct manifest current;   /* the newest in the store; count 0: none that can be gone on from */
	uint64_t next_number;
	bool checkpoint; /* the next one is a checkpoint */
	bool sweep;      /* there may be objects that no manifest names */
	bool put_failed; /* the store is why the shipping under way failed */

	_Atomic uint64_t first_private; /* UINT64_MAX during a shipping */
	_Atomic uint64_t shipped;
	_Atomic int64_t shipped_s;
	_Atomic uint64_t shipments, checkpoints, bytes;
	_Atomic bool failing;

	pthread_mutex_t lock; /* the next two */
	pthread_cond_t wake;
	bool ends;
	pthread_t thread;
};

/* ---- one shipping; ship_lock is held ---- */

struct shipment {
	struct backup *b;
	enum part_kind kind;
	struct part_buffer buffer;
	struct manifest next;
	size_t room; /* of next.parts */
};

static int add_part(struct shipment *s, const struct manifest_part *part)
{
	if (s->next.count == s->room) {
		size_t room = s->room ? 2 * s->room : 16;
		struct manifest_part *bigger = reallocarray(s->next.parts, room, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		s->next.parts = bigger;
		s->room = room;
	}
	s->next.parts[s->next.count++] = *part;
	return 0;
}

/* Put what is in the buffer. */
static int put_part(struct shipment *s)
{
	struct backup *b = s->b;
	struct manifest_part part = {.epoch = lease_epoch(b->lease), .number = b->next_number};
	const struct part_id id = {.kind = s->kind,
	                           .epoch = part.epoch,
	                           .number = part.number,
	                           .uuid = meta_volume(b->meta)->uuid};
	_cleanup_free_ void *object = NULL;
	char key[BACKUP_KEY_MAX];
	size_t size;
	int r = lease_check(b->lease, 0);

	if (r < 0)
		return r;
	r = part_print(&s->buffer, &id, &object, &size, &part.crc);
	part_clear(&s->buffer);
	if (r < 0)
		return r;
	part.size = size;
	b->next_number++;
	b->sweep = true; /* until a manifest names it */
	manifest_part_key(part.epoch, part.number, key);
	r = store_put(b->store, key, object, size);
	b->put_failed = r < 0;
	if (r < 0)
		return r;
	atomic_fetch_add(&b->bytes, size);
	return add_part(s, &part);
}

static int ship_change(enum kv_op op, struct kv_slice key, struct kv_slice value, void *arg)
{
	struct shipment *s = arg;
	int r = part_add(&s->buffer, op, key, value);

	return !r && s->buffer.size >= s->b->options.part_bytes ? put_part(s) : r;
}

static int ship_log(struct shipment *s, uint64_t until)
{
	struct backup *b = s->b;
	int r = 0;

	s->kind = PART_LOG;
	s->next.checkpoint_count = b->current.checkpoint_count;
	for (size_t i = 0; !r && i < b->current.count; i++)
		r = add_part(s, &b->current.parts[i]);
	if (!r)
		r = meta_stream_changes(b->meta, b->current.sequence, until, ship_change, s);
	if (!r && s->buffer.changes)
		r = put_part(s);
	s->next.sequence = until;
	return r;
}

static int ship_checkpoint(struct shipment *s)
{
	struct backup *b = s->b;
	int r;

	part_clear(&s->buffer);
	s->kind = PART_CHECKPOINT;
	s->next.count = 0;
	r = meta_stream_all(b->meta, ship_change, s, &s->next.sequence);
	/* Also when nothing is left over: a checkpoint has a part. */
	if (!r)
		r = put_part(s);
	/* What is in the copy must not be more than what a power failure leaves here. */
	if (!r)
		r = meta_sync(b->meta);
	s->next.checkpoint_count = s->next.count;
	if (!r)
		atomic_fetch_add(&b->checkpoints, 1);
	return r;
}

/* Is the log so long that a restore would rather read a new checkpoint? */
static bool log_is_long(const struct backup *b)
{
	const struct manifest *m = &b->current;
	uint64_t checkpoint = 0, log = 0;

	for (size_t i = 0; i < m->count; i++)
		*(i < m->checkpoint_count ? &checkpoint : &log) += m->parts[i].size;
	if (checkpoint < b->options.log_bytes)
		checkpoint = b->options.log_bytes;
	return log > checkpoint || m->count - m->checkpoint_count >= LOG_PARTS;
}

static int put_manifest(struct shipment *s)
{
	struct backup *b = s->b;
	_cleanup_free_ char *text = NULL;
	char key[BACKUP_KEY_MAX];
	int r = lease_check(b->lease, 0);

	if (r < 0)
		return r;
	snprintf(s->next.meta_id, sizeof(s->next.meta_id), "%s", meta_identity(b->meta));
	s->next.epoch = lease_epoch(b->lease);
	s->next.number = b->next_number++;
	s->next.created_s = time(NULL);
	text = manifest_print(&s->next, meta_volume(b->meta)->uuid);
	if (!text)
		return -ENOMEM;
	manifest_key(s->next.epoch, s->next.number, key);
	r = store_put(b->store, key, text, strlen(text));
	b->put_failed = r < 0;
	/* A put that took longer than the lease may have come behind the one of another. */
	return r < 0 ? r : lease_check(b->lease, 0);
}

/* ---- what no manifest names any more ---- */

struct sweep {
	struct backup *b;
	int r;
};

static bool is_named(const struct manifest *m, uint64_t epoch, uint64_t number)
{
	for (size_t i = 0; i < m->count; i++) {
		if (m->parts[i].epoch == epoch && m->parts[i].number == number)
			return true;
	}
	return false;
}

static int sweep_one(const struct store_object *object, void *arg)
{
	struct sweep *sweep = arg;
	const struct backup *b = sweep->b;
	const struct manifest *m = &b->current;
	uint64_t epoch, number;
	bool needed;

	if (manifest_parse_key(object->key, PART_PREFIX, &epoch, &number))
		needed = is_named(m, epoch, number);
	else if (manifest_parse_key(object->key, MANIFEST_PREFIX, &epoch, &number))
		needed = epoch == m->epoch && number == m->number;
	else
		return 0;
	/* Whose it is that came after us we are the last to know. */
	if (needed || epoch > lease_epoch(b->lease))
		return 0;
	sweep->r = lease_check(b->lease, 0);
	if (!sweep->r)
		sweep->r = store_delete(b->store, object->key);
	return sweep->r;
}

/* What fails is tried again after the next shipping. */
static void sweep(struct backup *b)
{
	struct sweep sweep = {.b = b};
	int r = store_list(b->store, BACKUP_PREFIX, sweep_one, &sweep);

	b->sweep = r != 0;
	if (r < 0)
		log_debug("metadata backup: deleting old parts: %s", store_last_error());
}

static void delete_manifest(struct backup *b, uint64_t epoch, uint64_t number)
{
	char key[BACKUP_KEY_MAX];

	manifest_key(epoch, number, key);
	if (store_delete(b->store, key) < 0)
		b->sweep = true;
}

/* ---- shipping ---- */

static void adopt(struct shipment *s)
{
	struct backup *b = s->b;
	const struct manifest before = b->current;
	/* A checkpoint leaves parts behind; so may what failed before, or an earlier mount. */
	bool clean = s->kind == PART_LOG && !b->checkpoint;

	b->current = s->next;
	s->next = (struct manifest){0};
	b->checkpoint = false;
	if (clean && before.count)
		delete_manifest(b, before.epoch, before.number);
	else
		b->sweep = true;
	free(before.parts);
	atomic_store(&b->shipped_s, b->current.created_s);
	atomic_store(&b->shipped, b->current.sequence);
	atomic_fetch_add(&b->shipments, 1);
	if (b->sweep)
		sweep(b);
}

/* Numbers are given out in order: whatever a copy made so far names has a lower one than this. */
static void note_first_private(struct backup *b)
{
	uint64_t first;

	atomic_store(&b->first_private, meta_next_object(b->meta, &first) == 0 ? first : UINT64_MAX);
}

static int ship(struct backup *b)
{
	uint64_t until = meta_sequence(b->meta);
	struct shipment s = {.b = b};
	bool sweep_later = b->sweep;
	int r = lease_check(b->lease, 0);

	if (r < 0)
		return r;
	if (!until)
		return -EIO;
	if (b->current.count && !b->checkpoint && b->current.sequence == until)
		return 0;
	r = meta_sync(b->meta);
	if (r < 0)
		return r;
	if (!b->current.count || b->checkpoint || log_is_long(b)) {
		r = ship_checkpoint(&s);
	} else {
		r = ship_log(&s, until);
		if (r == -ENODATA) {
			log_debug("metadata backup: the log does not reach back to change %" PRIu64,
			          b->current.sequence);
			r = ship_checkpoint(&s);
		} else if (!r) {
			b->sweep = sweep_later; /* all put is named */
		}
	}
	if (!r && b->options.objects_stored) {
		r = b->options.objects_stored(b->options.arg);
		b->put_failed = r < 0;
	}
	if (!r)
		r = put_manifest(&s);
	if (!r)
		adopt(&s);
	else
		b->sweep = true;
	part_clear(&s.buffer);
	manifest_clear(&s.next);
	return r;
}

int backup_ship(struct backup *b)
{
	SCOPED_LOCK(&b->ship_lock);
	int r;

	b->put_failed = false;
	/* Before the cut; and what a shipping that failed has put may be there all the same. */
	atomic_store(&b->first_private, UINT64_MAX);
	r = ship(b);
	note_first_private(b);

	/* Once per outage; a lease that is lost was logged as that. */
	if (r < 0 && !atomic_exchange(&b->failing, true) && lease_check(b->lease, 0) == 0)
		log_warning("the metadata could not be copied to %s, this is tried again: %s",
		            store_url(b->store), b->put_failed ? store_last_error() : strerror(-r));
	if (!r && atomic_exchange(&b->failing, false))
		log_info("the metadata is copied to %s again", store_url(b->store));
	return r;
}

static void *backup_main(void *arg)
{
	struct backup *b = arg;
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	pthread_mutex_lock(&b->lock);
	while (!b->ends) {
		next.tv_sec += b->options.interval_s;
		while (!b->ends && pthread_cond_timedwait(&b->wake, &b->lock, &next) == 0)
			;
		if (b->ends)
			break;
		pthread_mutex_unlock(&b->lock);
		backup_ship(b);
		clock_gettime(CLOCK_MONOTONIC, &next);
		pthread_mutex_lock(&b->lock);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

/* ---- life ---- */

/* Go on from what is in the store, if it is of this database. */
static int resume(struct backup *b, char **ret_why)
{
	struct manifest m;
	char when[MANIFEST_TIME_MAX];
	int r = manifest_newest(b->store, meta_volume(b->meta)->uuid, &m, ret_why);

	if (r == -EBADMSG) {
		/* One that cannot be restored is best replaced. */
		log_warning("%s; a new one is made", *ret_why ? *ret_why : "the metadata backup is damaged");
		free(TAKE_PTR(*ret_why));
		r = -ENOENT;
	}
	if (r == -ENOENT) {
		b->checkpoint = true;
		return 0;
	}
	if (r < 0)
		return r;
	manifest_time(m.created_s, when);
	if (m.epoch > lease_epoch(b->lease))
		r = why_r(-ESTALE, ret_why,
		          "the metadata backup in %s is of lease epoch %" PRIu64 ", ours is %" PRIu64
		          ": delete the object \"" LEASE_KEY "\" to start a later one",
		          store_url(b->store), m.epoch, lease_epoch(b->lease));
	else if (!strcmp(m.meta_id, meta_identity(b->meta)) && m.sequence > meta_sequence(b->meta))
		r = why_r(-ESTALE, ret_why,
		          "the metadata here is older than its own backup of %s (an old copy of its "
		          "directory?): "
		          "restore that into another one with `curvefs restore`",
		          when);
	if (r < 0) {
		manifest_clear(&m);
		return r;
	}
	b->checkpoint = strcmp(m.meta_id, meta_identity(b->meta)) != 0 || lease_was_broken(b->lease);
	b->current = m;
	atomic_store(&b->shipped_s, m.created_s);
	if (!b->checkpoint)
		atomic_store(&b->shipped, m.sequence);
	return 0;
}

int backup_start(struct meta *meta, struct store *store, const struct lease *lease,
                 const struct backup_options *options, struct backup **ret, char **ret_why)
{
	struct backup *b = calloc(1, sizeof(*b));
	pthread_condattr_t monotonic;
	int r;

	if (!b)
		return -ENOMEM;
	b->meta = meta;
	b->store = store;
	b->lease = lease;
	b->options = *options;
	if (!b->options.part_bytes)
		b->options.part_bytes = PART_BYTES;
	if (!b->options.log_bytes)
		b->options.log_bytes = LOG_BYTES;
	/* What an earlier mount may have left half done. */
	b->sweep = true;
	r = resume(b, ret_why);
	if (r < 0) {
		free(b);
		return r;
	}
	pthread_mutex_init(&b->ship_lock, NULL);
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&b->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	note_first_private(b);
	r = pthread_create(&b->thread, NULL, backup_main, b);
	if (r) {
		pthread_cond_destroy(&b->wake);
		pthread_mutex_destroy(&b->lock);
		pthread_mutex_destroy(&b->ship_lock);
		manifest_clear(&b->current);
		free(b);
		return -r;
	}
	*ret = b;
	return 0;
}

void backup_stop(struct backup *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->ends = true;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	pthread_cond_destroy(&b->wake);
	pthread_mutex_destroy(&b->lock);
	pthread_mutex_destroy(&b->ship_lock);
	manifest_clear(&b->current);
	free(b);
}

bool backup_covers(struct backup *b, uint64_t sequence)
{
	return atomic_load(&b->shipped) >= sequence && lease_check(b->lease, 0) == 0;
}

uint64_t backup_first_private(struct backup *b)
{
	uint64_t first = atomic_load(&b->first_private);

	return lease_check(b->lease, 0) == 0 ? first : UINT64_MAX;
}

void backup_get_state(struct backup *b, struct backup_state *ret)
{
	*ret = (struct backup_state){
		.interval_s = b->options.interval_s,
		.sequence = meta_sequence(b->meta),
		.shipped = atomic_load(&b->shipped),
		.shipped_s = atomic_load(&b->shipped_s),
		.shipments = atomic_load(&b->shipments),
		.checkpoints = atomic_load(&b->checkpoints),
		.bytes = atomic_load(&b->bytes),
		.failing = atomic_load(&b->failing),
	};
}

/* ---- off ---- */

struct removal {
	struct store *store;
	int manifests;
};

static int remove_one(const struct store_object *object, void *arg)
{
	struct removal *removal = arg;
	uint64_t epoch, number;
	bool manifest = manifest_parse_key(object->key, MANIFEST_PREFIX, &epoch, &number);

	if (!manifest && !manifest_parse_key(object->key, PART_PREFIX, &epoch, &number))
		return 0;
	removal->manifests += manifest;
	return store_delete(removal->store, object->key);
}

int backup_remove(struct store *store)
{
	struct removal removal = {.store = store};
	int r;

	/* The manifests first: none must be there without its parts. */
	r = store_list(store, MANIFEST_PREFIX, remove_one, &removal);
	if (!r)
		r = store_list(store, PART_PREFIX, remove_one, &removal);
	return r < 0 ? r : removal.manifests;
}
