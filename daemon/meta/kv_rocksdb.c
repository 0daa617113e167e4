/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kv.h on RocksDB's TransactionDB: pessimistic transactions, one column family.
 *
 * Memory is what a volume's metadata may cost the daemon, so all of it is bounded: two write buffers, one
 * block cache that holds the indexes and filters too, few open tables, one flush and one compaction thread.
 */
#include "daemon/meta/kv.h"

#include <errno.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/db_gate.h"
#include "common/log.h"
#include "common/private_dir.h"
#include "common/why.h"
#include "daemon/meta/kv_batch.h"
#include "daemon/meta/kv_wal.h"

enum {
	LOCK_TIMEOUT_MS = 1000,
	WRITE_BUFFER_SIZE = 8 << 20,
	WRITE_BUFFERS = 2,
	BLOCK_CACHE_SIZE = 16 << 20,
	TABLE_SIZE = 16 << 20,
	OPEN_FILES = 64,
	INFO_LOG_SIZE = 1 << 20,
	REOPEN_SPACE = 4 * WRITE_BUFFER_SIZE, /* opening turns the log into tables */
};

struct kv {
	char *dir;
	struct db_gate gate;         /* who uses `db` is between kv_enter() and kv_leave() */
	rocksdb_transactiondb_t *db; /* NULL: it could not be reopened */
	rocksdb_options_t *options;
	rocksdb_transactiondb_options_t *db_options;
	rocksdb_block_based_table_options_t *table_options;
	rocksdb_cache_t *cache;
	rocksdb_writeoptions_t *write_options;
	rocksdb_transaction_options_t *txn_options;
	rocksdb_readoptions_t *read_options;
	char identity[KV_IDENTITY_MAX];

	/* Commits are readers, a cut is the writer. */
	pthread_rwlock_t commit_lock;

	pthread_mutex_t sync_lock;
	pthread_cond_t sync_ended;
	bool syncing;          /* protected by sync_lock, as are the next two */
	uint64_t sync_started; /* number of the newest fsync begun */
	uint64_t sync_done;    /* number of the newest fsync that succeeded */
};

/* One of txn (reads and writes) and snapshot (reads only) is set. */
struct kv_txn {
	struct kv *kv;
	rocksdb_transaction_t *txn;
	const rocksdb_snapshot_t *snapshot;
	rocksdb_readoptions_t *read_options; /* of a snapshot; else the shared ones */
};

/* The C interface gives errors as text only; these are the starts of Status::ToString(). */
static int kv_errno(const char *text)
{
	if (!strncmp(text, "Resource busy", 13) || !strncmp(text, "Operation timed out", 19) ||
	    !strncmp(text, "Operation failed. Try again", 27))
		return -EAGAIN;
	if (strstr(text, "No space left") || strstr(text, "Disk quota exceeded"))
		return -ENOSPC;
	if (!strncmp(text, "Corruption", 10))
		return -EBADMSG;
	return -EIO;
}

/* Turn RocksDB's error text, which is freed, into an errno; 0 for none. */
static int kv_result(const char *what, char *error)
{
	int r = 0;

	if (error) {
		r = kv_errno(error);
		log_debug("metadata store: %s: %s", what, error);
		rocksdb_free(error);
	}
	return r;
}

static void kv_free(struct kv *kv)
{
	if (kv->db)
		rocksdb_transactiondb_close(kv->db);
	if (kv->read_options)
		rocksdb_readoptions_destroy(kv->read_options);
	if (kv->txn_options)
		rocksdb_transaction_options_destroy(kv->txn_options);
	if (kv->write_options)
		rocksdb_writeoptions_destroy(kv->write_options);
	if (kv->options)
		rocksdb_options_destroy(kv->options);
	if (kv->table_options)
		rocksdb_block_based_options_destroy(kv->table_options);
	if (kv->cache)
		rocksdb_cache_destroy(kv->cache);
	if (kv->db_options)
		rocksdb_transactiondb_options_destroy(kv->db_options);
	pthread_rwlock_destroy(&kv->commit_lock);
	pthread_cond_destroy(&kv->sync_ended);
	pthread_mutex_destroy(&kv->sync_lock);
	db_gate_done(&kv->gate);
	free(kv->dir);
	free(kv);
}

static void kv_set_options(struct kv *kv, bool create)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_options_t *o = rocksdb_options_create();
	rocksdb_lru_cache_options_t *lru = rocksdb_lru_cache_options_create();

	/* Few shards, and indexes and filters in small partitions: whole ones of a table are larger than a
	 * shard of such a small cache, and would be read from the disk for every look-up. */
	rocksdb_lru_cache_options_set_capacity(lru, BLOCK_CACHE_SIZE);
	rocksdb_lru_cache_options_set_num_shard_bits(lru, 2);
	kv->cache = rocksdb_cache_create_lru_opts(lru);
	rocksdb_lru_cache_options_destroy(lru);
	kv->table_options = table;
	rocksdb_block_based_options_set_block_cache(table, kv->cache);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocksdb_block_based_options_set_index_type(
		table, rocksdb_block_based_table_index_type_two_level_index_search);
	rocksdb_block_based_options_set_partition_filters(table, 1);
	rocksdb_block_based_options_set_pin_top_level_index_and_filter(table, 1);
	rocksdb_block_based_options_set_data_block_index_type(
		table, rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
	/* The table takes the filter over. */
	rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));

	kv->options = o;
	rocksdb_options_set_create_if_missing(o, create);
	rocksdb_options_set_block_based_table_factory(o, table);
	rocksdb_options_set_write_buffer_size(o, WRITE_BUFFER_SIZE);
	rocksdb_options_set_max_write_buffer_number(o, WRITE_BUFFERS);
	/* Spares a search of the memtables for keys that are in the tables. */
	rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.02);
	rocksdb_options_set_memtable_whole_key_filtering(o, 1);
	rocksdb_options_set_target_file_size_base(o, TABLE_SIZE);
	rocksdb_options_set_max_bytes_for_level_base(o, 4 * TABLE_SIZE);
	rocksdb_options_set_max_open_files(o, OPEN_FILES);
	rocksdb_options_set_max_background_jobs(o, 2);
	rocksdb_options_set_compression(o, rocksdb_lz4_compression);
	rocksdb_options_set_uint64add_merge_operator(o);
	rocksdb_options_set_WAL_ttl_seconds(o, KV_LOG_KEPT_S);
	rocksdb_options_set_info_log_level(o, 2 /* warnings */);
	rocksdb_options_set_max_log_file_size(o, INFO_LOG_SIZE);
	rocksdb_options_set_keep_log_file_num(o, 2);
	rocksdb_options_set_stats_dump_period_sec(o, 0);
	rocksdb_options_set_stats_persist_period_sec(o, 0);

	kv->db_options = rocksdb_transactiondb_options_create();
	rocksdb_transactiondb_options_set_transaction_lock_timeout(kv->db_options, LOCK_TIMEOUT_MS);
	rocksdb_transactiondb_options_set_default_lock_timeout(kv->db_options, LOCK_TIMEOUT_MS);

	kv->txn_options = rocksdb_transaction_options_create();
	rocksdb_transaction_options_set_deadlock_detect(kv->txn_options, 1);
	kv->write_options = rocksdb_writeoptions_create();
	kv->read_options = rocksdb_readoptions_create();
}

/* Whether RocksDB has ever made a database in @p dir; opening would make a folder, so this asks before. */
static int kv_check_dir(const char *dir, bool create)
{
	_cleanup_free_ char *current = NULL;

	if (create)
		return mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;
	if (asprintf(&current, "%s/CURRENT", dir) < 0) {
		current = NULL;
		return -ENOMEM;
	}
	return access(current, F_OK) < 0 ? -errno : 0;
}

static int kv_fail(char **ret_why, int r, const char *dir, const char *why)
{
	return why_r(r, ret_why, "cannot open the metadata in %s: %s", dir, why);
}

static int kv_fail_damaged(char **ret_why, int r, const char *dir, const char *why)
{
	return why_r(r, ret_why,
	             "cannot open the metadata in %s: %s. Move that directory out of the way, and bring the "
	             "volume up from its backup with `curvefs restore SOURCE`",
	             dir, why);
}

/* RocksDB's text for @p dir, where there was a database. */
static int kv_fail_open(char **ret_why, const char *dir, const char *error)
{
	static const char *const signs[] = {"Corruption", "Invalid argument", "No such file",
	                                    "Not implemented"};
	int r = kv_errno(error);

	/* "While lock file: DIR/LOCK: Resource temporarily unavailable", or "lock hold by current process".
	 */
	if (strstr(error, "While lock file") || strstr(error, "lock hold by current process"))
		return kv_fail(ret_why, -EBUSY, dir, "another process has it open");
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		if (strstr(error, signs[i]))
			return kv_fail_damaged(ret_why, r, dir, error);
	}
	return kv_fail(ret_why, r, dir, error);
}

/* What RocksDB would not get over, or not notice. */
static int kv_check_before(const char *dir, char **ret_why)
{
	_cleanup_free_ char *why = NULL;
	uint64_t needed;
	int r = private_dir(dir, (const char *const[]){"CURRENT", NULL}, &why);

	if (r < 0)
		return kv_fail(ret_why, r, dir, why ? why : strerror(-r));
	r = db_gate_probe_open(dir, &needed);
	if (r == -ENOSPC || r == -EDQUOT)
		return why_r(-ENOSPC, ret_why,
		             "cannot open the metadata in %s: %s, where %llu KiB are needed", dir,
		             strerror(-r), (unsigned long long)needed >> 10);
	if (r < 0)
		return kv_fail(ret_why, r, dir, strerror(-r));
	r = kv_wal_check(dir, &why);
	if (r == -EBADMSG)
		return kv_fail_damaged(ret_why, r, dir, why ? why : "a log is damaged");
	return r < 0 ? kv_fail(ret_why, r, dir, why ? why : strerror(-r)) : 0;
}

/* What RocksDB named the database when it made it. */
static int kv_read_identity(const char *dir, char ret[KV_IDENTITY_MAX])
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *f = NULL;

	if (asprintf(&path, "%s/IDENTITY", dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	f = fopen(path, "re");
	if (!f)
		return -errno;
	if (!fgets(ret, KV_IDENTITY_MAX, f))
		return -EBADMSG;
	ret[strcspn(ret, "\n")] = '\0';
	/* It is shown, and compared with what is in the store. */
	for (const char *p = ret; *p; p++) {
		if (*p <= ' ' || *p > '~')
			return -EBADMSG;
	}
	return *ret ? 0 : -EBADMSG;
}

int kv_open(const char *dir, bool create, struct kv **ret, char **ret_why)
{
	pthread_rwlockattr_t cut_first;
	struct kv *kv;
	char *error = NULL;
	int r;

	r = kv_check_dir(dir, create);
	if (r < 0)
		return kv_fail(ret_why, r, dir, strerror(-r));
	r = kv_check_before(dir, ret_why);
	if (r < 0)
		return r;
	kv = calloc(1, sizeof(*kv));
	if (!kv)
		return kv_fail(ret_why, -ENOMEM, dir, strerror(ENOMEM));
	db_gate_init(&kv->gate);
	pthread_mutex_init(&kv->sync_lock, NULL);
	pthread_cond_init(&kv->sync_ended, NULL);
	pthread_rwlockattr_init(&cut_first);
	pthread_rwlockattr_setkind_np(&cut_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&kv->commit_lock, &cut_first);
	pthread_rwlockattr_destroy(&cut_first);
	kv->dir = strdup(dir);
	if (!kv->dir) {
		kv_free(kv);
		return kv_fail(ret_why, -ENOMEM, dir, strerror(ENOMEM));
	}
	kv_set_options(kv, create);
	kv->db = rocksdb_transactiondb_open(kv->options, kv->db_options, dir, &error);
	if (error) {
		r = kv_fail_open(ret_why, dir, error);
		rocksdb_free(error);
		kv_free(kv);
		return r;
	}
	r = kv_read_identity(dir, kv->identity);
	if (r < 0) {
		kv_free(kv);
		return kv_fail_damaged(ret_why, r, dir, "its file IDENTITY cannot be read");
	}
	*ret = kv;
	return 0;
}

/* Nothing is left in the log: what is in a table is checked whenever it is read, and the next open is quick.
 */
static void flush_log(struct kv *kv)
{
	rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
	char *error = NULL;

	rocksdb_flushoptions_set_wait(o, 1);
	rocksdb_transactiondb_flush(kv->db, o, &error);
	rocksdb_flushoptions_destroy(o);
	kv_result("flush", error); /* then it is in the log as before */
}

void kv_close(struct kv *kv)
{
	if (!kv)
		return;
	flush_log(kv);
	kv_free(kv);
}

/* The log could not be written, which RocksDB does not get over: open the database again. What it showed is
 * in its files: a change that failed was not shown. */
static int kv_reopen(struct kv *kv)
{
	char *error = NULL;
	int r;

	/* Without it even reading would be over. */
	if (kv->db) {
		r = db_gate_probe(kv->dir, REOPEN_SPACE);
		if (r < 0)
			return r == -EDQUOT ? -ENOSPC : r;
		rocksdb_transactiondb_close(kv->db);
	}
	kv->db = rocksdb_transactiondb_open(kv->options, kv->db_options, kv->dir, &error);
	r = kv_result("reopen", error);
	if (!r)
		log_info("the metadata's disk can be written again");
	return r;
}

/* Begin to use kv->db. */
static int kv_enter(struct kv *kv)
{
	int r;

	if (db_gate_enter(&kv->gate))
		db_gate_reopened(&kv->gate, kv_reopen(kv));
	if (kv->db)
		return 0;
	r = db_gate_failed(&kv->gate);
	db_gate_leave(&kv->gate);
	return r < 0 ? r : -EIO;
}

static void kv_leave(struct kv *kv)
{
	db_gate_leave(&kv->gate);
}

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

	/* A log with a failed write in it must not be written to again: RocksDB aborts at that, if it was
	 * built with assertions. */
	if (txn->txn)
		r = db_gate_failed(&kv->gate);
	if (txn->txn && !r) {
		pthread_rwlock_rdlock(&kv->commit_lock);
		rocksdb_transaction_commit(txn->txn, &error);
		pthread_rwlock_unlock(&kv->commit_lock);
		r = kv_result("commit", error);
		if (r < 0 && r != -EAGAIN)
			kv_say_failed(kv, r, false);
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
	uint64_t need, mine;
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
	if (!r)
		kv->sync_done = mine;
	pthread_cond_broadcast(&kv->sync_ended);
	pthread_mutex_unlock(&kv->sync_lock);
	return r;
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

	pthread_rwlock_wrlock(&kv->commit_lock);
	r = kv_begin_read(kv, ret);
	if (!r)
		*ret_sequence = kv_sequence(kv);
	pthread_rwlock_unlock(&kv->commit_lock);
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
