# SPDX-License-Identifier: Apache-2.0
# Opening with O_TRUNC empties the file for everybody, and what is written next is all there is.
fresh_volume
mount_volume
run_python <<'EOF'
open("f", "wb").write(b"old" * 100000)
reader = os.open("f", os.O_RDONLY)
assert os.pread(reader, 3, 0) == b"old"
fd = os.open("f", os.O_WRONLY | os.O_TRUNC)
assert os.fstat(reader).st_size == 0 and os.pread(reader, 10, 0) == b""
os.write(fd, b"new"); os.close(fd)
assert os.pread(reader, 10, 0) == b"new" and os.stat("f").st_size == 3
EOF
remount_volume
assert_eq "$(cat "$MNT/f")" new
