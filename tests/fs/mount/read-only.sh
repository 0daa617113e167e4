# SPDX-License-Identifier: Apache-2.0
# -o ro: everything can be read and nothing changed.
fresh_volume
mount_volume
echo kept >"$MNT/f"
mkdir "$MNT/d"
remount_volume -o ro
run_python <<'EOF'
assert open("f").read() == "kept\n"
raises(errno.EROFS, os.open, "f", os.O_WRONLY)
raises(errno.EROFS, os.open, "g", os.O_CREAT | os.O_WRONLY)
raises(errno.EROFS, os.mkdir, "e")
raises(errno.EROFS, os.unlink, "f")
raises(errno.EROFS, os.rename, "f", "g")
raises(errno.EROFS, os.chmod, "f", 0o777)
raises(errno.EROFS, os.setxattr, "f", "user.x", b"")
EOF
remount_volume
assert_eq "$(ls "$MNT" | tr '\n' ' ')" "d f "
