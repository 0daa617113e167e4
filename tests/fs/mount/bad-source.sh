# SPDX-License-Identifier: Apache-2.0
# A SOURCE that is no volume gives one clear sentence that names it, and no mount.
fresh_volume
refused() { # TEXT SOURCE
	assert_fails -e "$1" curvefs-fuse --bpf-cache=off --meta-dir "$META" --cache-dir "$CACHE" "$2" "$MNT"
	not is_mounted "$MNT"
}
mkdir empty
refused empty "file://$CASE_DIR/empty"
refused nowhere "file://$CASE_DIR/nowhere"
refused "ftp:" "ftp://host/x"
refused "relative" relative
assert_fails -e no-mountpoint curvefs-fuse "$VOLUME" "$CASE_DIR/no-mountpoint"
touch file
assert_fails -e "$CASE_DIR/file" curvefs-fuse "$VOLUME" "$CASE_DIR/file"
# A descriptor that was damaged.
find "$CASE_DIR/volume" -type f | while read -r object; do echo garbage >"$object"; done
refused volume "$VOLUME"
