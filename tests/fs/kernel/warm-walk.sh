# SPDX-License-Identifier: Apache-2.0
# After one walk of a tree, a second one is answered in the kernel: names, attributes, bytes, absent names.
fresh_volume
mount_volume
mkdir -p "$MNT"/{include,src/deep/er}
for i in $(seq 30); do
	seq "$i" $((i * 40)) >"$MNT/src/file$i.c"
	echo "header $i" >"$MNT/include/a-header-with-a-name-that-is-longer-than-forty-bytes-$i.h"
done
head -c 300000 /dev/urandom >"$MNT/src/deep/er/blob"
walk() {
	find "$MNT" -type f -exec cat {} + | sha256sum >"$CASE_DIR/sum.$1"
	find "$MNT" -printf '%p %s %m %T@\n' | sort | sha256sum >>"$CASE_DIR/sum.$1"
	local name
	for name in none src/file99.c include/an-absent-name-that-is-also-longer-than-forty-bytes.h; do
		not test -e "$MNT/$name"
	done
}
walk 1
assert_daemon_not_asked lookup getattr read -- walk 2
assert_kernel_hits lookup getattr read -- walk 3
cmp sum.1 sum.2
cmp sum.1 sum.3
