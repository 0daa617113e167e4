# SPDX-License-Identifier: Apache-2.0
# d_type and inode numbers of a listing are those of stat, "." and ".." included.
fresh_volume
mount_volume
mkdir "$MNT/dir" "$MNT/dir/sub"
touch "$MNT/dir/file"
ln -s file "$MNT/dir/link"
mkfifo "$MNT/dir/fifo"
run_python <<'EOF'
for e in os.scandir("dir"):
    assert e.inode() == os.lstat(e.path).st_ino, e
    assert e.is_dir(follow_symlinks=False) == (e.name == "sub") and e.is_symlink() == (e.name == "link")
EOF
assert_eq "$(ls -ia "$MNT/dir" | awk '$2 == "." {print $1}')" "$(stat -c %i "$MNT/dir")"
assert_eq "$(ls -ia "$MNT/dir" | awk '$2 == ".." {print $1}')" "$(stat -c %i "$MNT")"
assert_eq "$(find "$MNT" | wc -l)" 6
