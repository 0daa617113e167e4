// SPDX-License-Identifier: GPL-2.0
/* What recall.h does not do on the way of each hit: the maps, the tables, and filling them. */
#include "extfuse.h"
#include <linux/mm.h>
#include <linux/slab.h>

static_assert(sizeof(struct extfuse_known_file) == 64);
static_assert(sizeof(struct extfuse_known_name) == 64);
static_assert(sizeof(struct extfuse_known_answer) == 64);
static_assert(sizeof(struct extfuse_known_write) == 64);
static_assert(EXTFUSE_OP_COUNT * EXTFUSE_OUTCOMES <= U16_MAX);
static_assert(EXTFUSE_KNOWN_FILES <= EXTFUSE_EPOCH_SLOTS);

/* Where bpf_map_get() is, on kernels that put it there.  (MODULE_IMPORT_NS() takes a name or a string, by
 * kernel.) */
MODULE_INFO(import_ns, "BPF_INTERNAL");

static struct bpf_map *extfuse_map_get(int fd, enum bpf_map_type type, u32 key_size, u32 value_size)
{
	struct bpf_map *map = bpf_map_get(fd);

	if (IS_ERR(map))
		return ERR_PTR(-EBADF);
	if (map->map_type == type && map->key_size == key_size && map->value_size == value_size)
		return map;
	bpf_map_put(map);
	return ERR_PTR(-EINVAL);
}

static struct bpf_array *extfuse_array_get(int fd, enum bpf_map_type type, u32 value_size, u32 entries)
{
	struct bpf_map *map = extfuse_map_get(fd, type, sizeof(u32), value_size);

	if (IS_ERR(map))
		return ERR_CAST(map);
	if (map->max_entries == entries)
		return container_of(map, struct bpf_array, map);
	bpf_map_put(map);
	return ERR_PTR(-EINVAL);
}

int extfuse_maps_get(const struct extfuse_ioc_maps *from, struct extfuse_maps *ret)
{
	struct bpf_array *changes, *stats;
	struct bpf_map *written;
	int err;

	if (from->flags)
		return -EINVAL;
	changes = extfuse_array_get(from->changes_fd, BPF_MAP_TYPE_ARRAY, sizeof(u32), EXTFUSE_EPOCH_SLOTS);
	if (IS_ERR(changes))
		return PTR_ERR(changes);
	stats = extfuse_array_get(from->stats_fd, BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(u64),
	                          EXTFUSE_OP_COUNT * EXTFUSE_OUTCOMES);
	if (IS_ERR(stats)) {
		err = PTR_ERR(stats);
		goto err_changes;
	}
	written = extfuse_map_get(from->written_fd, BPF_MAP_TYPE_HASH, sizeof(u64),
	                          sizeof(struct extfuse_written));
	if (IS_ERR(written)) {
		err = PTR_ERR(written);
		goto err_stats;
	}
	*ret = (struct extfuse_maps){.changes = changes, .stats = stats, .written = written};
	return 0;

err_stats:
	bpf_map_put(&stats->map);
err_changes:
	bpf_map_put(&changes->map);
	return err;
}

void extfuse_maps_put(struct extfuse_maps *maps)
{
	if (!maps->changes)
		return;
	bpf_map_put(&maps->changes->map);
	bpf_map_put(&maps->stats->map);
	bpf_map_put(maps->written);
}

struct extfuse_recall *extfuse_recall_new(const struct extfuse_maps *maps)
{
	/* Of zeros: no node id is 0, no dentry's address, and so nothing is known. */
	struct extfuse_recall *recall = kvzalloc(sizeof(*recall), GFP_KERNEL_ACCOUNT);

	if (!recall)
		return NULL;
	bpf_map_inc(&maps->changes->map);
	bpf_map_inc(&maps->stats->map);
	bpf_map_inc(maps->written);
	recall->changes = maps->changes;
	recall->stats = maps->stats;
	recall->written = maps->written;
	return recall;
}

void extfuse_recall_free(struct extfuse_recall *recall)
{
	if (!recall)
		return;
	bpf_map_put(&recall->changes->map);
	bpf_map_put(&recall->stats->map);
	bpf_map_put(recall->written);
	kvfree(recall);
}

void extfuse_remember_file(struct extfuse_recall *recall, const struct extfuse_read *rd, u32 change,
                           u32 removed, struct extfuse_backing *backing)
{
	u32 slot = extfuse_epoch_slot(rd->nodeid), counter;
	struct extfuse_known_file *known = &recall->files[slot % EXTFUSE_KNOWN_FILES];

	if (!rd->nodeid || rd->backing_offset < rd->pos ||
	    rd->size > LLONG_MAX - (rd->backing_offset - rd->pos) ||
	    !extfuse_recall_counter(recall, rd->remember, &counter) || !extfuse_known_fill(&known->seq))
		return;
	known->change = change;
	known->nodeid = rd->nodeid;
	known->backing = backing;
	known->base = rd->backing_offset - rd->pos;
	known->size = rd->size;
	known->removed = removed;
	known->counter = counter;
	extfuse_known_filled(&known->seq);
}

void extfuse_remember_write(struct extfuse_recall *recall, const struct extfuse_write *wr, u32 change,
                            u32 removed, struct extfuse_backing *backing)
{
	const u64 page = 1 << EXTFUSE_PAGE_SHIFT;
	u32 slot = extfuse_epoch_slot(wr->nodeid), counter;
	struct extfuse_known_write *known = &recall->writes[slot % EXTFUSE_KNOWN_WRITES];

	if (!wr->nodeid || wr->backing_offset != wr->pos || wr->pos > LLONG_MAX - wr->count - page ||
	    !extfuse_recall_counter(recall, wr->remember, &counter) || !extfuse_known_fill(&known->seq))
		return;
	known->change = change;
	known->nodeid = wr->nodeid;
	known->backing = backing;
	known->first = round_down(wr->pos, page);
	known->end = round_up(wr->pos + wr->count, page);
	known->removed = removed;
	known->counter = counter;
	extfuse_known_filled(&known->seq);
}

void extfuse_forget_write(struct extfuse_recall *recall, u64 nodeid)
{
	struct extfuse_known_write *known =
		&recall->writes[extfuse_epoch_slot(nodeid) % EXTFUSE_KNOWN_WRITES];

	if (!extfuse_known_fill(&known->seq))
		return; /* it is about to be another's, most likely */
	known->nodeid = 0;
	extfuse_known_filled(&known->seq);
}

void extfuse_remember_answer(struct extfuse_recall *recall, const struct extfuse_request *req, u32 change)
{
	u32 slot = extfuse_epoch_slot(req->nodeid), counter;
	struct extfuse_known_answer *known = extfuse_known_answer(recall, slot, req->opcode);

	if (!req->nodeid || !extfuse_recall_counter(recall, req->remember, &counter) ||
	    !extfuse_known_fill(&known->seq))
		return;
	known->change = change;
	known->nodeid = req->nodeid;
	known->nodeid2 = req->nodeid2;
	known->opcode = req->opcode;
	known->flags = req->flags;
	known->out_max = req->out_max;
	known->error = req->error;
	known->out_len = req->out_len;
	known->counter = counter;
	known->out[0] = req->out.raw[0];
	known->out[1] = req->out.raw[1];
	extfuse_known_filled(&known->seq);
}

void extfuse_remember_name(struct extfuse_recall *recall, const struct extfuse_known_name *want, u32 remember)
{
	struct extfuse_known_name *known = extfuse_known_name(recall, want->entry);
	u32 counter;

	if (!extfuse_recall_counter(recall, remember, &counter) || !extfuse_known_fill(&known->seq))
		return;
	known->change = want->change;
	known->dir_change = want->dir_change;
	known->dentry_seq = want->dentry_seq;
	known->entry = want->entry;
	known->dir = want->dir;
	known->nodeid = want->nodeid;
	known->attr_version = want->attr_version;
	known->size = want->size;
	known->hash = want->hash;
	known->ticks = want->ticks;
	known->counter = counter;
	extfuse_known_filled(&known->seq);
}
