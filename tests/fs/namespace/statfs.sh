# SPDX-License-Identifier: Apache-2.0
# statfs: numbers that make sense, names may have 255 bytes, inodes are counted.
fresh_volume
mount_volume
run_python <<'EOF'
v = os.statvfs(".")
assert v.f_namemax == 255 and v.f_bsize >= 512 and v.f_blocks > 0 and v.f_bavail <= v.f_bfree <= v.f_blocks, v
used = v.f_files - v.f_ffree
for i in range(10):
    open(str(i), "w").close()
v = os.statvfs(".")
assert v.f_files - v.f_ffree == used + 10, (used, v)
EOF
assert_eq "$(df --output=fstype "$MNT" | tail -n 1 | cut -d. -f1)" fuse
