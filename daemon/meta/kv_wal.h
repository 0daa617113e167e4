/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_META_KV_WAL_H
#define CURVEFS_META_KV_WAL_H

/*
 * RocksDB's write-ahead logs, looked through before RocksDB replays them.
 *
 * It replays a log up to the first record that does not fit its checksum, takes what follows for never
 * written, and deletes the log. That is right for the end of a log that was cut short by a crash, and loses
 * what was acknowledged if the log was damaged. (Its stricter recovery modes refuse logs that a power failure
 * may well leave.) The two can be told apart: what a crash leaves is the log as it was written, up to some
 * place, and zeros from there to the end of a sector or the file. Other sectors further on may be there
 * again.
 */

/**
 * Look through the logs of the database in @p dir, unless somebody has it open. One with records behind a
 * place that a power failure left unwritten is cut there, since RocksDB may skip the zeros and go on.
 *
 * @return 0: RocksDB may open it; -EBADMSG: one is damaged (*ret_why says which and where); or why it cannot
 * be read.
 */
int kv_wal_check(const char *dir, char **ret_why);

#endif
