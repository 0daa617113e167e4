/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_KV_ROCKSDB_H
#define CURVEFS_META_KV_ROCKSDB_H

/* What kv_rocksdb.c and kv_rocksdb_open.c share; nobody else includes this. */

#include "common/db_gate.h"
#include "daemon/meta/kv.h"

#include <pthread.h>
#include <rocksdb/c.h>

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

	/* One commit at a time, so that none comes behind one that failed (db_gate.h); or a cut. */
	pthread_mutex_t commit_lock;

	pthread_mutex_t sync_lock;
	pthread_cond_t sync_ended;
	bool syncing;          /* protected by sync_lock, as are the next three */
	uint64_t sync_started; /* number of the newest fsync begun */
	uint64_t sync_done;    /* number of the newest fsync that succeeded */
	uint64_t durable;      /* so many of `commits` one came after */

	_Atomic uint64_t commits; /* counted when they are over, the failed ones, too */
};

/** RocksDB's error text as an errno: the C interface gives nothing else. */
int kv_errno(const char *text);

/** Turn RocksDB's error text, which is freed, into an errno; 0 for none. */
int kv_result(const char *what, char *error);

/** Begin to use kv->db, which is opened again if it has to be. @return 0, or why it is not there. */
int kv_enter(struct kv *kv);
void kv_leave(struct kv *kv);

#endif
