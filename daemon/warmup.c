/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/warmup.h"

#include "cache/cache.h"
#include "common/cleanup.h"
#include "daemon/data/data.h"
#include "daemon/kernel/kernel.h"
#include "daemon/kernel/publish.h"
#include "daemon/meta/meta.h"
#include "daemon/volume.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 256      /* entries read from a directory at a time */
#define QUEUE_MAX 1024 /* files waiting to be fetched */
#define PROGRESS_MS 200

/* A directory on the way; kept while anything below it is in work, to name what fails. */
struct node {
	struct node *parent; /* holds a reference; NULL: the root of the volume */
	_Atomic unsigned references;
	uint64_t ino;
	char name[];
};

/* A piece of work: read on in a directory, or do one file. */
struct item {
	struct item *next;
	struct node *dir;  /* holds a reference */
	uint64_t position; /* directory: where to go on */
	uint64_t ino, size;
	char name[]; /* file: its name in dir */
};

enum pass { PASS_COUNT, PASS_WARM, PASS_CHECK };

struct warmup {
	struct volume *v;
	const struct warmup_options *o;
	enum pass pass;
	_Atomic bool stop;
	_Atomic uint64_t entries, files, bytes, fetched;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* for workers: there is work, or nothing will come any more */
	pthread_cond_t ended;   /* for the caller: nobody is busy, or stop */
	/* protected by lock: */
	struct item *dirs, *first_file, **last_file;
	size_t files_waiting;
	unsigned busy; /* workers that may still add work */
	int error;

	pthread_mutex_t failed_lock; /* one failed() at a time; nothing else is taken below it */
};

static struct node *node_get(struct node *n)
{
	atomic_fetch_add(&n->references, 1);
	return n;
}

static void node_put(struct node *n)
{
	while (n && atomic_fetch_sub(&n->references, 1) == 1) {
		struct node *parent = n->parent;

		free(n);
		n = parent;
	}
}

static void node_putp(struct node **n)
{
	node_put(*n);
}

/* Takes no reference of @p parent from the caller. */
static struct node *node_new(struct node *parent, uint64_t ino, const char *name)
{
	struct node *n = malloc(sizeof(*n) + strlen(name) + 1);

	if (!n)
		return NULL;
	n->parent = parent ? node_get(parent) : NULL;
	atomic_init(&n->references, 1);
	n->ino = ino;
	strcpy(n->name, name);
	return n;
}

/* "a/b/name", or NULL without memory. */
static char *path_of(const struct node *dir, const char *name)
{
	size_t length = strlen(name), at;
	char *path;

	for (const struct node *n = dir; n && n->parent; n = n->parent)
		length += strlen(n->name) + 1;
	path = malloc(length + 1);
	if (!path)
		return NULL;
	at = length - strlen(name);
	strcpy(path + at, name);
	for (const struct node *n = dir; n && n->parent; n = n->parent) {
		size_t l = strlen(n->name);

		path[--at] = '/';
		at -= l;
		memcpy(path + at, n->name, l);
	}
	if (!*name && length) /* a directory itself */
		path[length - 1] = '\0';
	return path;
}

static void failed_path(struct warmup *w, const char *path, const char *message)
{
	if (w->pass == PASS_COUNT)
		return;
	SCOPED_LOCK(&w->failed_lock);
	if (w->o->failed)
		w->o->failed(path, message, w->o->arg);
}

static void failed(struct warmup *w, const struct node *dir, const char *name, const char *message)
{
	_cleanup_free_ char *path = path_of(dir, name);

	failed_path(w, path ? path : name, message);
}

/* ---- the work that waits ---- */

static void item_free(struct item *i)
{
	node_put(i->dir);
	free(i);
}

static void give_up(struct warmup *w, int error)
{
	SCOPED_LOCK(&w->lock);
	if (!w->error)
		w->error = error;
	w->stop = true;
	pthread_cond_broadcast(&w->changed);
	pthread_cond_broadcast(&w->ended);
}

static struct item *item_new(struct warmup *w, struct node *dir, const char *name)
{
	struct item *i = calloc(1, sizeof(*i) + strlen(name) + 1);

	if (!i) {
		give_up(w, -ENOMEM);
		return NULL;
	}
	i->dir = node_get(dir);
	strcpy(i->name, name);
	return i;
}

static void push_dir(struct warmup *w, struct node *dir, uint64_t position)
{
	struct item *i = item_new(w, dir, "");

	if (!i)
		return;
	i->position = position;
	SCOPED_LOCK(&w->lock);
	i->next = w->dirs;
	w->dirs = i;
	pthread_cond_signal(&w->changed);
}

/* @return false: the queue is full. */
static bool push_file(struct warmup *w, struct item *i)
{
	SCOPED_LOCK(&w->lock);
	if (w->files_waiting >= QUEUE_MAX)
		return false;
	w->files_waiting++;
	*w->last_file = i;
	w->last_file = &i->next;
	pthread_cond_signal(&w->changed);
	return true;
}

/* Files first: they free their place in the queue. NULL: all is done. */
static struct item *pop(struct warmup *w, bool *ret_is_dir)
{
	struct item *i = NULL;

	SCOPED_LOCK(&w->lock);
	for (;;) {
		if (w->stop) {
			return NULL;
		} else if ((i = w->first_file)) {
			w->first_file = i->next;
			if (!w->first_file)
				w->last_file = &w->first_file;
			w->files_waiting--;
			*ret_is_dir = false;
		} else if ((i = w->dirs)) {
			w->dirs = i->next;
			*ret_is_dir = true;
		} else if (!w->busy) {
			return NULL;
		} else {
			pthread_cond_wait(&w->changed, &w->lock);
			continue;
		}
		i->next = NULL;
		w->busy++;
		return i;
	}
}

static void not_busy(struct warmup *w)
{
	SCOPED_LOCK(&w->lock);
	if (--w->busy == 0) {
		pthread_cond_broadcast(&w->changed);
		pthread_cond_signal(&w->ended);
	}
}

/* ---- one entry ---- */

static bool data_is_warm(struct warmup *w, uint64_t ino, uint64_t size, const struct publish_state *state)
{
	if (w->o->metadata_only || size == 0)
		return true;
	if (w->v->kernel)
		return state->complete;
	return w->v->cache && cache_cached_bytes(w->v->cache, ino) >= size;
}

/* Say it if the first touch of this entry would still reach the daemon. */
static void check_entry(struct warmup *w, const struct node *dir, const char *name, uint64_t ino,
                        bool regular, uint64_t size)
{
	struct publish_state state = {0};

	publish_get_state(w->v->publish, ino, &state);
	if (w->v->kernel && !state.inode)
		failed(w, dir, name, "its attributes are not in the kernel's maps (is it being written?)");
	else if (w->v->kernel && !kernel_has_dentry(w->v->kernel, dir->ino, name))
		failed(w, dir, name, "its name is not in the kernel's maps");
	else if (regular && !data_is_warm(w, ino, size, &state))
		failed(w, dir, name,
		       w->v->kernel ? "not all of it can be read in the kernel" : "not all of it is cached");
}

static void do_file(struct warmup *w, const struct item *i)
{
	uint64_t fetched = 0;
	int r = 0;

	if (w->pass == PASS_WARM && !w->o->metadata_only) {
		r = data_fetch(w->v->data, i->ino, &fetched);
		w->fetched += fetched;
		publish_data(w->v->publish, i->ino, 0, i->size);
	}
	/* A file that was deleted meanwhile needs no warmth. */
	if (r == -ENOSPC)
		failed(w, i->dir, i->name, "no room for it in the cache (--cache-size, --free-space-ratio)");
	else if (r < 0 && r != -ENOENT)
		failed(w, i->dir, i->name, strerror(-r));
	else if (r == 0 && w->pass != PASS_COUNT)
		check_entry(w, i->dir, i->name, i->ino, true, i->size);
	w->files++;
	w->bytes += i->size;
}

static void do_entry(struct warmup *w, struct node *dir, const char *name, uint64_t ino, uint32_t type,
                     uint64_t size)
{
	if (w->pass == PASS_WARM)
		publish_entry(w->v->publish, dir->ino, name);
	w->entries++;
	if (type == S_IFREG) {
		struct item *i = item_new(w, dir, name);

		if (!i)
			return;
		i->ino = ino;
		i->size = size;
		/* When the queue is full its producer works on: nobody waits for room, so nobody waits for
		 * ever. */
		if (!push_file(w, i)) {
			do_file(w, i);
			item_free(i);
		}
	} else {
		if (w->pass != PASS_COUNT)
			check_entry(w, dir, name, ino, false, 0);
		if (type == S_IFDIR) {
			_cleanup_(node_putp) struct node *n = node_new(dir, ino, name);

			if (n)
				push_dir(w, n, 0);
			else
				give_up(w, -ENOMEM);
		}
	}
}

/* ---- one directory ---- */

struct entry {
	char *name;
	uint64_t ino, size;
	uint32_t type;
};

struct batch {
	struct entry entries[BATCH];
	size_t count;
	uint64_t next;
};

static void batch_free(struct batch **b)
{
	for (size_t i = 0; *b && i < (*b)->count; i++)
		free((*b)->entries[i].name);
	free(*b);
}

/* Only copies: what publishes takes locks that come before those of the metadata. */
static int add_to_batch(const struct meta_dirent *e, void *arg)
{
	struct batch *b = arg;
	char *name = strdup(e->name);

	if (!name)
		return -ENOMEM;
	b->entries[b->count++] = (struct entry){name, e->ino, e->attr ? e->attr->size : 0, e->type};
	b->next = e->next;
	return b->count == BATCH;
}

static void do_dir(struct warmup *w, const struct item *i)
{
	_cleanup_(batch_free) struct batch *b = calloc(1, sizeof(*b));
	int r;

	if (!b) {
		give_up(w, -ENOMEM);
		return;
	}
	r = meta_readdir(w->v->meta, i->dir->ino, i->position, true, add_to_batch, b);
	if (r == -ENOMEM)
		give_up(w, r);
	else if (r < 0 && r != -ENOENT)
		failed(w, i->dir, "", strerror(-r));
	if (r >= 0 && b->count == BATCH)
		push_dir(w, i->dir, b->next); /* below the subdirectories that come now */
	for (size_t n = 0; n < b->count && !w->stop; n++)
		do_entry(w, i->dir, b->entries[n].name, b->entries[n].ino, b->entries[n].type & S_IFMT,
		         b->entries[n].size);
	/* Now that its names are there: so is that there are no others. */
	if (w->pass == PASS_WARM && r >= 0 && b->count < BATCH && !w->stop)
		publish_directory(w->v->publish, i->dir->ino);
}

/* ---- the way down to a path that was asked for ---- */

static int lookup(struct warmup *w, uint64_t parent, const char *name, struct meta_attr *ret)
{
	if (w->pass == PASS_WARM)
		return publish_lookup(w->v->publish, parent, name, ret);
	return meta_lookup(w->v->meta, parent, name, ret);
}

static void start_path(struct warmup *w, const char *path)
{
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_(node_putp) struct node *dir = node_new(NULL, META_ROOT_INO, "");
	struct publish_state state = {0};
	struct meta_attr attr;
	char *save = NULL, *name, *next;
	int r;

	if (!copy || !dir) {
		give_up(w, -ENOMEM);
		return;
	}
	r = w->pass == PASS_WARM ? publish_getattr(w->v->publish, META_ROOT_INO, &attr)
	                         : meta_getattr(w->v->meta, META_ROOT_INO, &attr);
	for (name = strtok_r(copy, "/", &save); r == 0 && name; name = next) {
		next = strtok_r(NULL, "/", &save);
		if (strlen(name) > META_NAME_MAX)
			r = -ENAMETOOLONG;
		else if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			r = -EINVAL;
		else
			r = lookup(w, dir->ino, name, &attr);
		if (r == 0 && next) {
			struct node *n = S_ISDIR(attr.mode) ? node_new(dir, attr.ino, name) : NULL;

			r = n ? 0 : S_ISDIR(attr.mode) ? -ENOMEM : -ENOTDIR;
			if (n) {
				if (w->pass != PASS_COUNT)
					check_entry(w, dir, name, attr.ino, false, 0);
				node_put(dir);
				dir = n;
			}
		} else if (r == 0) {
			do_entry(w, dir, name, attr.ino, attr.mode & S_IFMT, attr.size);
			return;
		}
	}
	if (r < 0) {
		failed_path(w, path, strerror(-r));
		return;
	}
	/* The root itself: it has no name to look up. */
	publish_get_state(w->v->publish, META_ROOT_INO, &state);
	if (w->v->kernel && !state.inode)
		failed_path(w, "", "the root's attributes are not in the kernel's maps");
	push_dir(w, dir, 0);
}

/* ---- a pass ---- */

static void *worker(void *arg)
{
	struct warmup *w = arg;
	struct item *i;
	bool is_dir;

	while ((i = pop(w, &is_dir))) {
		if (is_dir)
			do_dir(w, i);
		else
			do_file(w, i);
		item_free(i);
		not_busy(w);
	}
	return NULL;
}

/* Feeds the paths in, beside the workers. */
static void *feeder(void *arg)
{
	struct warmup *w = arg;

	for (size_t n = 0; n < w->o->count && !w->stop; n++)
		start_path(w, w->o->paths[n]);
	not_busy(w);
	return NULL;
}

static struct warmup_progress progress_now(struct warmup *w, const struct warmup_progress *totals)
{
	struct warmup_progress p = *totals;

	if (w->pass != PASS_COUNT) {
		p.entries = w->entries;
		p.files = w->files;
		p.bytes = w->bytes;
		p.fetched_bytes = w->fetched;
	}
	return p;
}

/* Tell how it goes until nothing is left to do, and then once more. */
static void watch(struct warmup *w, const struct warmup_progress *totals)
{
	bool more = true;

	pthread_mutex_lock(&w->lock);
	while (more && !w->stop) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += PROGRESS_MS * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		while (!w->stop && (w->busy || w->dirs || w->first_file) &&
		       pthread_cond_timedwait(&w->ended, &w->lock, &until) == 0)
			;
		more = w->busy || w->dirs || w->first_file;
		pthread_mutex_unlock(&w->lock);
		if (w->o->progress) {
			struct warmup_progress p = progress_now(w, totals);

			if (!w->o->progress(&p, w->o->arg))
				give_up(w, -ECANCELED);
		}
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
}

static int run_pass(struct volume *v, const struct warmup_options *o, enum pass pass,
                    struct warmup_progress *totals)
{
	struct warmup w = {.v = v, .o = o, .pass = pass, .busy = 1};
	unsigned count = o->threads ? o->threads : 1, started = 0;
	_cleanup_free_ pthread_t *threads = calloc(count + 1, sizeof(*threads));
	pthread_condattr_t attr;

	if (!threads)
		return -ENOMEM;
	w.last_file = &w.first_file;
	pthread_mutex_init(&w.lock, NULL);
	pthread_mutex_init(&w.failed_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w.changed, NULL);
	pthread_cond_init(&w.ended, &attr);
	pthread_condattr_destroy(&attr);

	while (started < count + 1 &&
	       pthread_create(&threads[started], NULL, started ? worker : feeder, &w) == 0)
		started++;
	if (started < 2) /* the feeder alone would do nothing */
		give_up(&w, -EAGAIN);
	else
		watch(&w, totals);
	for (unsigned n = 0; n < started; n++)
		pthread_join(threads[n], NULL);

	for (struct item *i = w.dirs, *next; i; i = next) {
		next = i->next;
		item_free(i);
	}
	for (struct item *i = w.first_file, *next; i; i = next) {
		next = i->next;
		item_free(i);
	}
	*totals = progress_now(&w, totals);
	if (pass == PASS_COUNT && !w.error) {
		totals->total_known = true;
		totals->total_files = w.files;
		totals->total_bytes = w.bytes;
	}
	pthread_cond_destroy(&w.changed);
	pthread_cond_destroy(&w.ended);
	pthread_mutex_destroy(&w.failed_lock);
	pthread_mutex_destroy(&w.lock);
	return w.error;
}

int warmup_run(struct volume *v, const struct warmup_options *o, struct warmup_progress *ret)
{
	struct warmup_progress progress = {0}, again;
	struct warmup_options quiet = *o;
	struct kernel_stats before = {0}, after = {0};
	int r = 0;

	if (o->totals)
		r = run_pass(v, o, PASS_COUNT, &progress);
	kernel_get_stats(v->kernel, &before);
	if (r == 0)
		r = run_pass(v, o, o->check ? PASS_CHECK : PASS_WARM, &progress);
	kernel_get_stats(v->kernel, &after);
	/* Full maps made room by dropping entries, perhaps of what had been warmed just before: there is room
	 * for that now, and who fails is told by the look behind it. */
	if (r == 0 && !o->check && after.evicted != before.evicted) {
		quiet.failed = NULL;
		again = progress;
		r = run_pass(v, &quiet, PASS_WARM, &again);
		again = progress;
		if (r == 0)
			r = run_pass(v, o, PASS_CHECK, &again);
	}
	if (r == 0)
		*ret = progress;
	return r;
}
