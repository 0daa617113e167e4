/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

#define WORDS (PACK_SLOTS / 64)
#define WORTH_FILLING (PACK_SLOTS / 8) /* so many free slots, and a pack that was full is filled again */

/* For people who look into one; nothing reads it. */
static const char banner[] = "curvefs cache: files of at most 64 KiB, each at a multiple of 4096; which, the "
			     "index beside knows\n";

struct pack {
	struct packs *packs;
	uint64_t id;
	int fd;
	/* packs.lock */
	uint32_t used; /* slots */
	uint64_t taken[WORDS];
};

struct packs {
	struct datadir *datadir;
	_Atomic uint64_t *next_id;
	pthread_mutex_t lock; /* the list and the bitmaps. Never held over file I/O but to make a pack */
	struct pack **list;
	size_t n, capacity;
	struct pack *current; /* places are given out of this one, in order */
	uint32_t cursor;
};

int packs_new(struct datadir *d, _Atomic uint64_t *next_id, struct packs **ret)
{
	struct packs *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->datadir = d;
	p->next_id = next_id;
	pthread_mutex_init(&p->lock, NULL);
	*ret = p;
	return 0;
}

void packs_free(struct packs *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++) {
		close(p->list[i]->fd);
		free(p->list[i]);
	}
	free(p->list);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- the bitmap; all under the lock ---- */

static bool is_taken(const struct pack *k, uint32_t slot)
{
	return k->taken[slot / 64] >> slot % 64 & 1;
}

static void take(struct pack *k, uint32_t slot, uint32_t count)
{
	for (uint32_t i = slot; i < slot + count; i++)
		k->taken[i / 64] |= UINT64_C(1) << i % 64;
	k->used += count;
}

static void give(struct pack *k, uint32_t slot, uint32_t count)
{
	for (uint32_t i = slot; i < slot + count; i++)
		k->taken[i / 64] &= ~(UINT64_C(1) << i % 64);
	k->used -= count;
}

/** @return the first of @p count free slots in a row, at @p slot or behind; PACK_SLOTS: there are none. */
static uint32_t find_free(const struct pack *k, uint32_t slot, uint32_t count)
{
	uint32_t run = 0;

	while (slot < PACK_SLOTS) {
		if (slot % 64 == 0 && k->taken[slot / 64] == UINT64_MAX) {
			slot += 64;
			run = 0;
			continue;
		}
		run = is_taken(k, slot) ? 0 : run + 1;
		slot++;
		if (run == count)
			return slot - count;
	}
	return PACK_SLOTS;
}

/* ---- the packs; all under the lock ---- */

static struct pack *find(struct packs *p, uint64_t id)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i]->id == id)
			return p->list[i];
	return NULL;
}

/** Add the open pack file @p fd, as long as it has to be: one that somebody cut has holes, which fit no CRC.
 */
static int add(struct packs *p, uint64_t id, int fd, struct pack **ret)
{
	struct pack *k;
	struct stat st;

	if (fstat(fd, &st) < 0 || ((uint64_t)st.st_size != PACK_BYTES && ftruncate(fd, PACK_BYTES) < 0))
		return errno == EFBIG ? -ENOSPC : -EIO;
	if (p->n == p->capacity) {
		size_t capacity = p->capacity ? 2 * p->capacity : 8;
		struct pack **list = reallocarray(p->list, capacity, sizeof(struct pack *));

		if (!list)
			return -ENOMEM;
		p->list = list;
		p->capacity = capacity;
	}
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->packs = p;
	k->id = id;
	k->fd = fd;
	take(k, 0, 1);
	p->list[p->n++] = k;
	*ret = k;
	return 0;
}

static int make_pack(struct packs *p, struct pack **ret)
{
	uint64_t id = (*p->next_id)++;
	_cleanup_close_ int fd = datadir_create_pack(p->datadir, id);
	int r;

	if (fd < 0)
		return fd;
	if (pwrite(fd, banner, sizeof(banner) - 1, 0) < 0)
		r = errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
	else
		r = add(p, id, fd, ret);
	if (r)
		datadir_unlink_pack(p->datadir, id);
	else
		(void)TAKE_FD(fd);
	return r;
}

/** Go on in the pack with the most room, or in a new one. @p fresh: in a new one. */
static int next_pack(struct packs *p, bool fresh)
{
	struct pack *best = NULL;
	int r = 0;

	for (size_t i = 0; i < p->n && !fresh; i++)
		if (p->list[i] != p->current && (!best || p->list[i]->used < best->used))
			best = p->list[i];
	if (!best || PACK_SLOTS - best->used < WORTH_FILLING)
		r = make_pack(p, &best);
	if (r)
		return r;
	p->current = best;
	p->cursor = 0;
	return 0;
}

static int take_place(struct packs *p, uint32_t count, struct pack **ret, uint32_t *ret_slot)
{
	/* The pack that comes next may have its room not in one piece: the one after that is new. */
	for (int attempt = 0; attempt < 3; attempt++) {
		uint32_t slot = p->current ? find_free(p->current, p->cursor, count) : PACK_SLOTS;
		int r;

		if (slot < PACK_SLOTS) {
			take(p->current, slot, count);
			p->cursor = slot + count;
			*ret = p->current;
			*ret_slot = slot;
			return 0;
		}
		r = next_pack(p, attempt > 0);
		if (r)
			return r;
	}
	return -ENOSPC;
}

/* ---- while the cache is opened ---- */

int packs_claim(struct packs *p, uint64_t id, uint32_t slot, uint64_t length)
{
	struct pack *k;

	if (!pack_is_place(slot, length))
		return -EINVAL;
	SCOPED_LOCK(&p->lock);
	k = find(p, id);
	if (!k) {
		_cleanup_close_ int fd = datadir_open_pack(p->datadir, id);
		int r = fd < 0 ? fd : add(p, id, fd, &k);

		if (r)
			return r;
		(void)TAKE_FD(fd);
	}
	for (uint32_t i = slot; i < slot + pack_slots(length); i++)
		if (is_taken(k, i))
			return -EEXIST;
	take(k, slot, pack_slots(length));
	return 0;
}

struct sweep {
	struct packs *p;
	uint64_t max_id;
};

static bool keep_pack(uint64_t id, void *arg)
{
	struct sweep *s = arg;

	if (id > s->max_id)
		s->max_id = id;
	return find(s->p, id) != NULL;
}

uint64_t packs_sweep(struct packs *p)
{
	struct sweep s = {.p = p};
	int r;

	SCOPED_LOCK(&p->lock);
	r = datadir_sweep_packs(p->datadir, keep_pack, &s);
	if (r)
		log_debug("cache: looking for packs that nobody uses: %s", strerror(-r));
	return s.max_id;
}

/* ---- places ---- */

static uint64_t offset_of(uint32_t slot)
{
	return (uint64_t)slot * PACK_SLOT_SIZE;
}

static int write_all(int fd, uint64_t offset, const char *data, size_t length)
{
	while (length) {
		ssize_t n = pwrite(fd, data, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && (errno == ENOSPC || errno == EDQUOT) ? -ENOSPC : -EIO;
		data += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return 0;
}

int packs_put(struct packs *p, const void *data, size_t length, struct pack **ret, uint32_t *ret_slot)
{
	struct pack *k;
	uint32_t slot;
	int r;

	if (!length || length > CACHE_PACK_MAX)
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	r = take_place(p, pack_slots(length), &k, &slot);
	pthread_mutex_unlock(&p->lock);
	if (r)
		return r;
	r = write_all(k->fd, offset_of(slot), data, length);
	if (r) {
		pack_release(k, slot, length);
		return r;
	}
	*ret = k;
	*ret_slot = slot;
	return 0;
}

void pack_release(struct pack *k, uint32_t slot, uint64_t length)
{
	/* Punched first: what is given back may be written to by another at once. */
	if (fallocate(k->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset_of(slot),
	              (off_t)pack_slot_bytes(length)) < 0)
		log_debug("cache: pack %llx: cannot punch: %s", (unsigned long long)k->id, strerror(errno));
	SCOPED_LOCK(&k->packs->lock);
	give(k, slot, pack_slots(length));
}

int pack_read(struct pack *k, uint32_t slot, uint64_t offset, size_t length, void *buffer)
{
	uint64_t at = offset_of(slot) + offset;
	char *p = buffer;

	while (length) {
		ssize_t n = pread(k->fd, p, length, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		p += n;
		at += (uint64_t)n;
		length -= (size_t)n;
	}
	return 0;
}

struct pack *packs_find(struct packs *p, uint64_t id)
{
	SCOPED_LOCK(&p->lock);
	return find(p, id);
}

uint64_t pack_id(const struct pack *k)
{
	return k->id;
}

int pack_fd(const struct pack *k)
{
	return k->fd;
}

unsigned packs_count(struct packs *p)
{
	SCOPED_LOCK(&p->lock);
	return (unsigned)p->n;
}
