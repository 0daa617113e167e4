// SPDX-License-Identifier: Apache-2.0
#include "daemon/lease.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/why.h"
#include "daemon/store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum {
	RECORD_MAX = 65536,
	RENEWALS = 3,       /* within the duration */
	TAKE_TRIES = 20,    /* against others who take it at the same time */
	PATIENCE_MS = 3000, /* with a holder on this machine */
	PATIENCE_STEP_MS = 100,
	WATCH_EXTRA_MS =
		5000, /* watched for longer than the time between renewals, but no more than double */
};

struct lease {
	struct store *store;
	bool broken;
	char former_meta_id[LEASE_META_ID_MAX];

	pthread_mutex_t busy; /* held during requests for the object; before lock */
	char tag[STORE_TAG_MAX];

	pthread_mutex_t lock;       /* the next three; nothing is called under it */
	struct lease_record record; /* written under busy too; epoch and duration stay, and need no lock */
	pthread_cond_t wake;
	bool ends;

	pthread_t renewer;
	_Atomic int64_t valid_until; /* CLOCK_BOOTTIME, ms */
	_Atomic bool lost;
	atomic_bool expiry_said;
};

/* Goes on while the machine is suspended, as time does for everybody else. */
static int64_t boot_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static void sleep_ms(int64_t ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static void print_time(int64_t s, char ret[32])
{
	time_t t = (time_t)s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(ret, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
		strcpy(ret, "?");
}

/* ---- the object ---- */

static int read_tagged(struct store *store, struct lease_record *ret, char ret_tag[STORE_TAG_MAX])
{
	_cleanup_free_ void *text = NULL;
	size_t length;
	int r = store_get_tagged(store, LEASE_KEY, RECORD_MAX, &text, &length, ret_tag);

	if (r < 0)
		return r == -EFBIG ? -EBADMSG : r;
	return lease_record_parse(text, length, ret);
}

int lease_read(struct store *store, struct lease_record *ret)
{
	char tag[STORE_TAG_MAX];

	return read_tagged(store, ret, tag);
}

/*
 * Write @p record in place of what @p tag names (NULL: of nothing). @return 0, -ESTALE: somebody else was
 * faster, or the store's error.
 */
static int write_record(struct store *store, const struct lease_record *record, const char *tag,
                        char ret_tag[STORE_TAG_MAX])
{
	_cleanup_free_ char *text = lease_record_print(record);
	struct lease_record there;
	char there_tag[STORE_TAG_MAX];
	int r;

	if (!text)
		return -ENOMEM;
	r = store_put_if(store, LEASE_KEY, text, strlen(text), tag, ret_tag);
	if (r != -EEXIST && r != -ESTALE)
		return r;
	/* Our own put, whose answer was lost? */
	r = read_tagged(store, &there, there_tag);
	if (!r && there.held && record->held && !strcmp(there.token, record->token) &&
	    there.renewals == record->renewals && there.epoch == record->epoch) {
		memcpy(ret_tag, there_tag, STORE_TAG_MAX);
		return 0;
	}
	return !r || r == -ENOENT || r == -EBADMSG || r == -EPROTO ? -ESTALE : r;
}

/* ---- taking ---- */

static int refuse(struct store *store, const struct lease_record *r, enum lease_holder holder, char **ret_why)
{
	char since[32], until[32];

	print_time(r->since_s, since);
	print_time(r->expires_s, until);
	if (holder == LEASE_HERE)
		return why_r(
			-EBUSY, ret_why,
			"%s is in use already: on this machine (%s), by process %d, %s, since %s; end that "
			"first, or mount with -o ro",
			store_url(store), r->host, (int)r->pid, r->mountpoint, since);
	return why_r(
		-EBUSY, ret_why,
		"%s is in use already: on machine %s, by process %d there, %s, since %s; end that first. If "
		"that machine is gone, its lease ends at %s if it is not renewed; if it is gone for good, "
		"--break-lease takes it now",
		store_url(store), r->host, (int)r->pid, r->mountpoint, since, until);
}

struct taking {
	struct store *store;
	const struct lease_options *options;
	int64_t patient_until;
	char watched[STORE_TAG_MAX]; /* what was there when the watch began; "" before */
	bool broken;                 /* result */
};

/* An expired lease is watched for one renewal. @return 0: it may be taken, 1: look again. */
static int watch(struct taking *t, const struct lease_record *r, const char *tag)
{
	unsigned between = r->duration_ms / RENEWALS;

	if (!strcmp(t->watched, tag)) {
		t->broken = true;
		return 0;
	}
	memcpy(t->watched, tag, sizeof(t->watched));
	log_info("the lease of %s on %s has ended: watching for a moment whether it is renewed", r->host,
	         store_url(t->store));
	sleep_ms(between + (between < WATCH_EXTRA_MS ? between : WATCH_EXTRA_MS));
	return 1;
}

/* May it be taken from whom @p r names? @return 0 yes, 1 ask again, or -EBUSY. */
static int may_take(struct taking *t, const struct lease_record *r, const char *tag, char **ret_why)
{
	enum lease_holder holder;

	if (!r->held)
		return 0;
	holder = lease_record_holder(r);
	if (holder == LEASE_DEAD)
		return 0;
	if (t->options->break_it) {
		t->broken = true;
		return 0;
	}
	if (holder == LEASE_HERE) {
		/* umount(8) is done before the daemon of that mount is. */
		if (boot_ms() >= t->patient_until)
			return refuse(t->store, r, holder, ret_why);
		sleep_ms(PATIENCE_STEP_MS);
		return 1;
	}
	/* Renewed while it was watched: its holder lives, and only the clocks differ. */
	if (time(NULL) <= r->expires_s || (*t->watched && strcmp(t->watched, tag)))
		return refuse(t->store, r, holder, ret_why);
	return watch(t, r, tag);
}

/* One look, and if it is free one try. @return 0 taken, 1 look again, or negative errno. */
static int try_take(struct taking *t, struct lease *l, unsigned *tries, char **ret_why)
{
	struct lease_record *own = &l->record, there = {0};
	char tag[STORE_TAG_MAX];
	const char *expect = tag;
	int64_t before;
	int r = read_tagged(t->store, &there, tag);

	if (r == -ENOENT) {
		expect = NULL;
	} else if (r == -EBADMSG && t->options->break_it) {
		t->broken = true;
	} else if (r == -EBADMSG || r == -EPROTO) {
		return why_r(r, ret_why,
		             r == -EPROTO
		                     ? "%s: the lease was taken by a later version of curvefs: use that one"
		                     : "%s: the object \"" LEASE_KEY
		                       "\" is damaged, so nobody knows who writes "
		                       "to the volume; if nobody does, --break-lease replaces it",
		             store_url(t->store));
	} else if (r < 0) {
		return why_r(r, ret_why, "cannot read the lease of %s: %s", store_url(t->store),
		             store_last_error());
	} else {
		r = may_take(t, &there, tag, ret_why);
		if (r)
			return r;
	}

	/* Without a record to count on, the time is above every epoch there was. */
	own->epoch = there.epoch ? there.epoch + 1 : (uint64_t)time(NULL);
	memcpy(own->meta_id, there.meta_id, sizeof(own->meta_id));
	own->since_s = time(NULL);
	own->expires_s = own->since_s + (own->duration_ms + 999) / 1000;
	before = boot_ms();
	r = write_record(t->store, own, expect, l->tag);
	if (r == -ESTALE && ++*tries < TAKE_TRIES)
		return 1;
	if (r < 0)
		return why_r(r, ret_why, "cannot take the lease of %s: %s", store_url(t->store),
		             store_last_error());
	atomic_store(&l->valid_until, before + own->duration_ms);
	return 0;
}

/* ---- renewing ---- */

/* busy is held. */
static void lose(struct lease *l)
{
	struct lease_record there;

	if (atomic_exchange(&l->lost, true))
		return;
	if (lease_read(l->store, &there) < 0 || !there.held)
		log_error("%s: the lease was taken away: nothing is written any more, what was not fsynced "
		          "is lost; "
		          "unmount and mount again",
		          store_url(l->store));
	else
		log_error("%s: the lease was taken by %s (process %d, %s): nothing is written any more, what "
		          "was "
		          "not fsynced is lost; unmount here",
		          store_url(l->store), there.host, (int)there.pid, there.mountpoint);
}

/* Renew, with another meta_id unless that is NULL. */
static int renew(struct lease *l, const char *meta_id)
{
	SCOPED_LOCK(&l->busy);
	struct lease_record next = l->record;
	int64_t before = boot_ms();
	int r;

	if (atomic_load(&l->lost))
		return -EROFS;
	if (meta_id)
		snprintf(next.meta_id, sizeof(next.meta_id), "%s", meta_id);
	next.renewals++;
	next.expires_s = time(NULL) + (next.duration_ms + 999) / 1000;
	r = write_record(l->store, &next, l->tag, l->tag);
	if (r == -ESTALE) {
		lose(l);
		return -EROFS;
	}
	if (r < 0)
		return r;
	pthread_mutex_lock(&l->lock);
	l->record.renewals = next.renewals;
	l->record.expires_s = next.expires_s;
	memcpy(l->record.meta_id, next.meta_id, sizeof(next.meta_id));
	pthread_mutex_unlock(&l->lock);
	atomic_store(&l->valid_until, before + next.duration_ms);
	if (atomic_exchange(&l->expiry_said, false))
		log_info("%s: the lease is renewed, writing goes on", store_url(l->store));
	return 0;
}

static void *renewer_main(void *arg)
{
	struct lease *l = arg;
	bool failed = false;

	pthread_mutex_lock(&l->lock);
	while (!l->ends && !atomic_load(&l->lost)) {
		unsigned wait = l->record.duration_ms / (failed ? 4 * RENEWALS : RENEWALS);
		struct timespec until;
		int r;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += wait / 1000;
		until.tv_nsec += wait % 1000 * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		while (!l->ends && pthread_cond_timedwait(&l->wake, &l->lock, &until) == 0)
			;
		if (l->ends)
			break;
		pthread_mutex_unlock(&l->lock);
		r = renew(l, NULL);
		if (r < 0 && r != -EROFS && !failed)
			log_warning("cannot renew the lease of %s, this is tried again: %s",
			            store_url(l->store), store_last_error());
		failed = r < 0;
		if (r < 0)
			lease_check(l, 0); /* says it when it is over */
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

static int start_renewer(struct lease *l)
{
	pthread_condattr_t monotonic;
	int r;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&l->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = pthread_create(&l->renewer, NULL, renewer_main, l);
	if (r)
		pthread_cond_destroy(&l->wake);
	return -r;
}

/* ---- the interface ---- */

static void give_up(struct lease *l)
{
	struct lease_record free_record = {.epoch = l->record.epoch};
	int r;

	memcpy(free_record.meta_id, l->record.meta_id, sizeof(free_record.meta_id));
	r = write_record(l->store, &free_record, l->tag, l->tag);
	if (r < 0 && r != -ESTALE)
		log_warning("cannot give up the lease of %s, the next mount elsewhere has to wait for its "
		            "end: %s",
		            store_url(l->store), store_last_error());
}

int lease_take(struct store *store, const struct lease_options *options, struct lease **ret, char **ret_why)
{
	struct taking t = {.store = store, .options = options, .patient_until = boot_ms() + PATIENCE_MS};
	struct lease *l = calloc(1, sizeof(*l));
	unsigned tries = 0;
	int r;

	if (!l)
		return -ENOMEM;
	l->store = store;
	l->record.held = true;
	l->record.duration_ms = options->duration_ms ? options->duration_ms : LEASE_DURATION_MS;
	snprintf(l->record.mountpoint, sizeof(l->record.mountpoint), "%s",
	         options->mountpoint ? options->mountpoint : "-");
	r = lease_record_own(&l->record);
	if (r < 0) {
		free(l);
		return why_r(r, ret_why, "cannot tell who this process is (is /proc mounted?): %s",
		             strerror(-r));
	}
	while ((r = try_take(&t, l, &tries, ret_why)) > 0)
		;
	if (!r) {
		l->broken = t.broken;
		memcpy(l->former_meta_id, l->record.meta_id, sizeof(l->former_meta_id));
		pthread_mutex_init(&l->busy, NULL);
		pthread_mutex_init(&l->lock, NULL);
		r = start_renewer(l);
		if (r < 0) {
			give_up(l);
			pthread_mutex_destroy(&l->lock);
			pthread_mutex_destroy(&l->busy);
		}
	}
	if (r < 0) {
		free(l);
		return r;
	}
	if (l->broken)
		log_warning("%s: the lease was taken from a holder who did not give it up", store_url(store));
	log_debug("%s: lease taken, epoch %" PRIu64, store_url(store), l->record.epoch);
	*ret = l;
	return 0;
}

void lease_release(struct lease *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->ends = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->renewer, NULL);
	if (!atomic_load(&l->lost))
		give_up(l);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->busy);
	free(l);
}

int lease_check(const struct lease *l, unsigned margin_ms)
{
	struct lease *own = (struct lease *)l;

	if (atomic_load(&own->lost))
		return -EROFS;
	if (boot_ms() + margin_ms < atomic_load(&own->valid_until))
		return 0;
	if (boot_ms() >= atomic_load(&own->valid_until) && !atomic_exchange(&own->expiry_said, true))
		log_error("%s: the lease could not be renewed for %u s: nothing is written until it is",
		          store_url(l->store), l->record.duration_ms / 1000);
	return -EIO;
}

uint64_t lease_epoch(const struct lease *l)
{
	return l->record.epoch;
}

bool lease_was_broken(const struct lease *l)
{
	return l->broken;
}

const char *lease_meta_id(const struct lease *l)
{
	return l->former_meta_id;
}

int lease_set_meta_id(struct lease *l, const char *meta_id)
{
	return strlen(meta_id) < LEASE_META_ID_MAX ? renew(l, meta_id) : -EINVAL;
}

int lease_check_meta_id(struct store *store, const char *last, const char *meta_id, char **ret_why)
{
	if (!*last || !strcmp(last, meta_id))
		return 0;
	return why_r(
		-ESTALE, ret_why,
		"the metadata here is not the newest of %s: the volume was restored elsewhere since (its "
		"metadata is now %s, this is %s). Use that --meta-dir, or `curvefs restore` into a new one",
		store_url(store), last, meta_id);
}

int lease_adopt(struct lease *l, const char *meta_id, char **ret_why)
{
	int r = lease_check_meta_id(l->store, l->former_meta_id, meta_id, ret_why);

	if (r < 0 || !strcmp(l->former_meta_id, meta_id))
		return r;
	r = lease_set_meta_id(l, meta_id);
	if (r < 0)
		return why_r(r, ret_why, "cannot write the lease of %s: %s", store_url(l->store),
		             store_last_error());
	return 0;
}

void lease_get(struct lease *l, struct lease_record *ret)
{
	SCOPED_LOCK(&l->lock);
	*ret = l->record;
}
