# SPDX-License-Identifier: Apache-2.0
# One warmup over two mounts and a bind mount: each path is warmed by the daemon that has it.
need_root
fresh_volume
mount_volume
mkdir -p "$MNT/sub/dir" second bind
echo one >"$MNT/sub/dir/f"
echo two >"$MNT/g"
umount_volume
rm -rf "$CACHE"
mkdir "$CACHE"
mount_volume
curvefs format "file://$CASE_DIR/volume2" --meta-dir "$CASE_DIR/meta2"
MNT=$CASE_DIR/second VOLUME=file://$CASE_DIR/volume2 META=$CASE_DIR/meta2 CACHE=$CASE_DIR/cache2 mount_volume
echo three >second/h
mount --bind "$MNT/sub" bind

# Through the bind mount the volume's own path is found.
assert_eq "$(curvefs info --json bind/dir/f | json - path)" sub/dir/f
curvefs warmup bind/dir second
curvefs warmup --check "$MNT/sub/dir/f" second
assert_fails -e "g" curvefs warmup --check "$MNT"
curvefs warmup "$MNT" second --json >result
assert_eq "$(json result files)" 3
umount bind
