# SPDX-License-Identifier: Apache-2.0
# Mapped files: read, written through a shared mapping, seen by read, kept after msync and a remount.
fresh_volume
mount_volume
run_python <<'EOF'
size = 300000
open("f", "wb").write(b"a" * size)
fd = os.open("f", os.O_RDWR)
m = mmap.mmap(fd, size)
assert m[:3] == b"aaa" and m[size - 1:] == b"a"
m[100000:100003] = b"XYZ"
m.flush()
assert os.pread(fd, 5, 99999) == b"aXYZa"
os.pwrite(fd, b"!", 5)
assert m[4:7] == b"a!a"
m.close(); os.close(fd)
fd = os.open("f", os.O_RDONLY)
p = mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
assert p[100000:100003] == b"XYZ" and p[5:6] == b"!"
EOF
remount_volume
assert_eq "$(dd if="$MNT/f" bs=1 skip=99999 count=5 status=none)" aXYZa
