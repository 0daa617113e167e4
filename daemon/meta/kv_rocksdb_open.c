/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the database is opened, closed, and opened again.
 *
 * Memory is what a volume's metadata may cost the daemon, so all of it is bounded: two write buffers, one
 * block cache that holds the indexes and filters too, few open tables, one flush and one compaction thread.
 */
#include "daemon/meta/kv_rocksdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/private_dir.h"
#include "common/why.h"
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

/* These are the starts of Status::ToString(). */
int kv_errno(const char *text)
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

int kv_result(const char *what, char *error)
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
	pthread_mutex_destroy(&kv->commit_lock);
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
	kv->commits = 1; /* what the log has */
	pthread_mutex_init(&kv->sync_lock, NULL);
	pthread_cond_init(&kv->sync_ended, NULL);
	pthread_mutex_init(&kv->commit_lock, NULL);
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
	if (kv->db)
		flush_log(kv);
	kv_free(kv);
}

/* The log could not be written, which RocksDB does not get over: open the database again. What it showed is
 * in its files: a change that failed was not shown. */
static int kv_reopen(struct kv *kv)
{
	char *error = NULL;
	uint64_t needed;
	int r;

	/* Without it even reading would be over. */
	r = kv->db ? db_gate_probe(kv->dir, REOPEN_SPACE) : db_gate_probe_open(kv->dir, &needed);
	if (r < 0)
		return r == -EDQUOT ? -ENOSPC : r;
	if (kv->db)
		rocksdb_transactiondb_close(kv->db);
	kv->db = rocksdb_transactiondb_open(kv->options, kv->db_options, kv->dir, &error);
	r = kv_result("reopen", error);
	if (!r)
		log_info("the metadata's disk can be written again");
	return r;
}

int kv_enter(struct kv *kv)
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

void kv_leave(struct kv *kv)
{
	db_gate_leave(&kv->gate);
}
