# SPDX-License-Identifier: Apache-2.0
# A warm-up of one file makes the very first touch of it a kernel hit, its folders included, and
# warmup --check tells what is warm.
fresh_volume
mount_volume
mkdir -p "$MNT/a/b/c"
head -c 300000 /dev/urandom >"$CASE_DIR/data"
cp "$CASE_DIR/data" "$MNT/a/b/c/file"
cp "$CASE_DIR/data" "$MNT/other"
umount_volume
rm -rf "$CACHE"
mkdir "$CACHE"
mount_volume
assert_fails curvefs warmup --check "$MNT/a/b/c/file"
curvefs warmup "$MNT/a/b/c/file"
curvefs warmup --check "$MNT/a/b/c/file"
echo 3 >/proc/sys/vm/drop_caches
assert_daemon_not_asked lookup getattr read -- cmp "$MNT/a/b/c/file" "$CASE_DIR/data"
assert_fails curvefs warmup --check "$MNT/other"
assert_daemon_asked read -- cmp "$MNT/other" "$CASE_DIR/data"
