/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metarecord DIR KIND [NUMBER [NAME]] [=VALUE]: in the metadata that nobody has open, put VALUE at a key of
 * daemon/meta/codec.h, or take its record away.
 */
#include "common/cleanup.h"
#include "daemon/meta/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	_cleanup_free_ char *why = NULL;
	const char *value = argc > 1 && argv[argc - 1][0] == '=' ? argv[--argc] + 1 : NULL;
	struct meta_key key;
	struct kv_txn *txn;
	struct kv *kv;
	int r;

	if (argc < 3 || argc > 5) {
		fputs("usage: metarecord DIR KIND [NUMBER [NAME]] [=VALUE]\n", stderr);
		return 2;
	}
	key = argc == 3   ? meta_key_plain(argv[2][0])
	      : argc == 4 ? meta_key_number(argv[2][0], strtoull(argv[3], NULL, 10))
	                  : meta_key_name(argv[2][0], strtoull(argv[3], NULL, 10), argv[4]);
	r = kv_open(argv[1], false, &kv, &why);
	if (r < 0) {
		fprintf(stderr, "metarecord: %s\n", why);
		return 1;
	}
	r = kv_begin(kv, &txn);
	if (r == 0) {
		r = value ? kv_put(txn, meta_key_slice(&key), (struct kv_slice){value, strlen(value)})
		          : kv_delete(txn, meta_key_slice(&key));
		if (r == 0)
			r = kv_commit(txn, true);
		else
			kv_rollback(txn);
	}
	kv_close(kv);
	return r < 0;
}
