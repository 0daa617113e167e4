/* SPDX-License-Identifier: Apache-2.0 */
/* kv.h on RocksDB's TransactionDB: pessimistic transactions, one column family. */
#include "daemon/meta/kv_rocksdb.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/meta/kv_batch.h"

/* One of txn (reads and writes) and snapshot (reads only) is set. */
struct kv_txn {
	struct kv *kv;
	rocksdb_transaction_t *txn;
	const rocksdb_snapshot_t *snapshot;
	rocksdb_readoptions_t *read_options; /* of a snapshot; else the shared ones */
};

int kv_begin(struct kv *kv, struct kv_txn **ret)
{
	struct kv_txn *txn = calloc(1, sizeof(*txn));
	int r = txn ? kv_enter(kv) : -ENOMEM;

	if (r < 0) {
		free(txn);
		return r;
	}
	txn->kv = kv;
	txn->read_options = kv->read_options;
	txn->txn = rocksdb_transaction_begin(kv->db, kv->write_options, kv->txn_options, NULL);
	*ret = txn;
	return 0;
}

int kv_begin_read(struct kv *kv, struct kv_txn **ret)
{
	struct kv_txn *txn = calloc(1, sizeof(*txn));
	int r = txn ? kv_enter(kv) : -ENOMEM;

	if (r < 0) {
		free(txn);
		return r;
	}
	txn->kv = kv;
	txn->snapshot = rocksdb_transactiondb_create_snapshot(kv->db);
	txn->read_options = rocksdb_readoptions_create();
	rocksdb_readoptions_set_snapshot(txn->read_options, txn->snapshot);
	*ret = txn;
	return 0;
}

static void kv_txn_free(struct kv_txn *txn)
{
	if (txn->txn)
		rocksdb_transaction_destroy(txn->txn);
	if (txn->snapshot) {
		rocksdb_readoptions_destroy(txn->read_options);
		rocksdb_transactiondb_release_snapshot(txn->kv->db, txn->snapshot);
	}
	kv_leave(txn->kv);
	free(txn);
}

int kv_get(struct kv_txn *txn, struct kv_slice key, bool lock, void **ret_value, size_t *ret_size)
{
	char *error = NULL, *value;
	size_t size;
	int r;

	if (lock && !txn->txn)
		return -EINVAL;
	if (lock)
		value = rocksdb_transaction_get_for_update(txn->txn, txn->read_options, key.data, key.size,
		                                           &size, 1, &error);
	else if (txn->txn)
		value = rocksdb_transaction_get(txn->txn, txn->read_options, key.data, key.size, &size,
		                                &error);
	else
		value = rocksdb_transactiondb_get(txn->kv->db, txn->read_options, key.data, key.size, &size,
		                                  &error);
	r = kv_result("get", error);
	if (r < 0)
		return r;
	if (!value)
		return -ENOENT;
	*ret_value = value;
	*ret_size = size;
	return 0;
}

int kv_put(struct kv_txn *txn, struct kv_slice key, struct kv_slice value)
{
	char *error = NULL;

	if (!txn->txn)
		return -EINVAL;
	rocksdb_transaction_put(txn->txn, key.data, key.size, value.data, value.size, &error);
	return kv_result("put", error);
}

int kv_delete(struct kv_txn *txn, struct kv_slice key)
{
	char *error = NULL;

	if (!txn->txn)
		return -EINVAL;
	rocksdb_transaction_delete(txn->txn, key.data, key.size, &error);
	return kv_result("delete", error);
}

int kv_add(struct kv_txn *txn, struct kv_slice key, uint64_t delta)
{
	rocksdb_writebatch_wi_t *batch;
	unsigned char value[8];

	if (!txn->txn)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = delta >> (8 * i);

	/* Straight into the batch: rocksdb_transaction_merge() would lock the key until the commit, and every
	 * create and write of the volume would queue up there. Sums do not mind the order. */
	batch = rocksdb_transaction_get_writebatch_wi(txn->txn);
	rocksdb_writebatch_wi_merge(batch, key.data, key.size, (const char *)value, sizeof(value));
	rocksdb_free(batch); /* the handle only; the batch is the transaction's */
	return 0;
}

/* The smallest key behind all that start with @p prefix, into @p ret (as large). @return its size; 0: none.
 */
static size_t prefix_end(struct kv_slice prefix, unsigned char *ret)
{
	size_t size = prefix.size;

	memcpy(ret, prefix.data, size);
	while (size && ret[size - 1] == 0xff)
		size--;
	if (size)
		ret[size - 1]++;
	return size;
}

static bool slice_before(struct kv_slice a, struct kv_slice b)
{
	int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);

	return order < 0 || (!order && a.size < b.size);
}

int kv_scan(struct kv_txn *txn, struct kv_slice prefix, struct kv_slice first, kv_scan_fn fn, void *arg)
{
	_cleanup_free_ unsigned char *end = malloc(prefix.size + 1);
	rocksdb_readoptions_t *options;
	rocksdb_iterator_t *it;
	size_t end_size;
	int r = 0;

	if (!end)
		return -ENOMEM;

	/* The upper bound spares walking the tombstones behind the prefix. */
	options = rocksdb_readoptions_create();
	if (txn->snapshot)
		rocksdb_readoptions_set_snapshot(options, txn->snapshot);
	end_size = prefix_end(prefix, end);
	if (end_size)
		rocksdb_readoptions_set_iterate_upper_bound(options, (const char *)end, end_size);
	if (txn->txn)
		it = rocksdb_transaction_create_iterator(txn->txn, options);
	else
		it = rocksdb_transactiondb_create_iterator(txn->kv->db, options);

	if (slice_before(first, prefix))
		first = prefix;
	for (rocksdb_iter_seek(it, first.data, first.size); !r && rocksdb_iter_valid(it);
	     rocksdb_iter_next(it)) {
		struct kv_slice key, value;

		key.data = rocksdb_iter_key(it, &key.size);
		if (key.size < prefix.size || memcmp(key.data, prefix.data, prefix.size))
			break;
		value.data = rocksdb_iter_value(it, &value.size);
		r = fn(key, value, arg);
	}
	if (!r) {
		char *error = NULL;

		rocksdb_iter_get_error(it, &error);
		r = kv_result("scan", error);
	}
	rocksdb_iter_destroy(it);
	rocksdb_readoptions_destroy(options);
	return r;
}

static void kv_say_failed(struct kv *kv, int r, bool for_good)
{
	if (!db_gate_failed(&kv->gate))
		log_error("the metadata in %s cannot be changed: %s", kv->dir, strerror(-r));
	db_gate_fail(&kv->gate, r, for_good);
}

int kv_commit(struct kv_txn *txn, bool sync)
{
	struct kv *kv = txn->kv;
	char *error = NULL;
	int r = 0;

	if (txn->txn) {
		SCOPED_LOCK(&kv->commit_lock);
		r = db_gate_failed(&kv->gate);
		if (!r) {
			rocksdb_transaction_commit(txn->txn, &error);
			atomic_fetch_add(&kv->commits, 1);
			r = kv_result("commit", error);
			if (r < 0 && r != -EAGAIN)
				kv_say_failed(kv, r, false);
		}
	}
	kv_txn_free(txn);
	if (!r && sync)
		r = kv_sync(kv);
	return r;
}

void kv_rollback(struct kv_txn *txn)
{
	/* Destroying an open transaction rolls it back. */
	kv_txn_free(txn);
}

int kv_sync(struct kv *kv)
{
	char *error = NULL;
	uint64_t need, mine, commits;
	int r;

	pthread_mutex_lock(&kv->sync_lock);
	/* One under way may have begun before the caller's commit; the one after it has not. */
	need = kv->sync_started + 1;
	while (kv->syncing) {
		pthread_cond_wait(&kv->sync_ended, &kv->sync_lock);
		if (kv->sync_done >= need) {
			pthread_mutex_unlock(&kv->sync_lock);
			return 0;
		}
	}
	kv->syncing = true;
	mine = ++kv->sync_started;
	commits = atomic_load(&kv->commits);
	pthread_mutex_unlock(&kv->sync_lock);

	r = kv_enter(kv);
	if (!r) {
		r = db_gate_failed(&kv->gate);
		if (!r) {
			rocksdb_transactiondb_flush_wal(kv->db, 1, &error);
			r = kv_result("sync", error);
			/* What it was to write may be lost, and is shown: no later sync may say it is there.
			 */
			if (r < 0)
				kv_say_failed(kv, r, true);
		}
		kv_leave(kv);
	}

	pthread_mutex_lock(&kv->sync_lock);
	kv->syncing = false;
	if (!r) {
		kv->sync_done = mine;
		kv->durable = commits;
	}
	pthread_cond_broadcast(&kv->sync_ended);
	pthread_mutex_unlock(&kv->sync_lock);
	return r;
}

uint64_t kv_commits(struct kv *kv)
{
	return atomic_load(&kv->commits);
}

int kv_sync_to(struct kv *kv, uint64_t commits)
{
	bool done;

	pthread_mutex_lock(&kv->sync_lock);
	done = kv->durable >= commits;
	pthread_mutex_unlock(&kv->sync_lock);
	return done ? 0 : kv_sync(kv);
}

/* ---- for a copy ---- */

/*
 * The database below the transactions. The C interface of RocksDB 7 has no call for it, but both handles are
 * a structure of one pointer, and the classes behind it are related by single inheritance.
 */
static rocksdb_t *kv_base(struct kv *kv)
{
	return (rocksdb_t *)kv->db;
}

const char *kv_identity(const struct kv *kv)
{
	return kv->identity;
}

const char *kv_directory(const struct kv *kv)
{
	return kv->dir;
}

uint64_t kv_sequence(struct kv *kv)
{
	uint64_t sequence;

	if (kv_enter(kv) < 0)
		return 0;
	sequence = rocksdb_get_latest_sequence_number(kv_base(kv));
	kv_leave(kv);
	return sequence;
}

int kv_begin_cut(struct kv *kv, struct kv_txn **ret, uint64_t *ret_sequence)
{
	int r;

	SCOPED_LOCK(&kv->commit_lock);
	r = kv_begin_read(kv, ret);
	if (!r)
		*ret_sequence = kv_sequence(kv);
	return r;
}

/* The changes of the batch that @p it is at, which must begin behind *since; *since goes on. */
static int kv_changes_of_batch(rocksdb_wal_iterator_t *it, uint64_t *since, kv_change_fn fn, void *arg)
{
	uint64_t first;
	rocksdb_writebatch_t *batch = rocksdb_wal_iter_get_batch(it, &first);
	struct kv_slice bytes;
	uint32_t count;
	int r;

	bytes.data = rocksdb_writebatch_data(batch, &bytes.size);
	r = first == *since + 1 ? kv_batch_count(bytes, &count) : -ENODATA;
	if (!r)
		r = kv_batch_read(bytes, fn, arg);
	if (!r)
		*since += count;
	rocksdb_writebatch_destroy(batch);
	return r;
}

static int kv_changes_in(struct kv *kv, uint64_t since, uint64_t until, kv_change_fn fn, void *arg)
{
	rocksdb_wal_iterator_t *it;
	char *error = NULL;
	int r = 0;

	if (since > until || until > kv_sequence(kv))
		return -ENODATA;
	if (since == until)
		return 0;
	it = rocksdb_get_updates_since(kv_base(kv), since + 1, NULL, &error);
	if (error) {
		kv_result("log", error);
		return -ENODATA;
	}
	for (; !r && since < until && rocksdb_wal_iter_valid(it); rocksdb_wal_iter_next(it))
		r = kv_changes_of_batch(it, &since, fn, arg);
	/* Whatever is wrong with the log, the caller can do without. */
	if (!r && since != until) {
		rocksdb_wal_iter_status(it, &error);
		kv_result("log", error);
		r = -ENODATA;
	}
	rocksdb_wal_iter_destroy(it);
	return r;
}

int kv_changes(struct kv *kv, uint64_t since, uint64_t until, kv_change_fn fn, void *arg)
{
	int r = kv_enter(kv);

	if (r < 0)
		return r;
	r = kv_changes_in(kv, since, until, fn, arg);
	kv_leave(kv);
	return r;
}
