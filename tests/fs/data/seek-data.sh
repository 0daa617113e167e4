# SPDX-License-Identifier: Apache-2.0
# SEEK_DATA and SEEK_HOLE, on what is committed and what is not; files up to 8 EiB - 1.
fresh_volume
mount_volume
run_python <<'EOF'
def both(fd, offset):
    return os.lseek(fd, offset, os.SEEK_DATA), os.lseek(fd, offset, os.SEEK_HOLE)
fd = os.open("f", os.O_CREAT | os.O_RDWR)
raises(errno.ENXIO, os.lseek, fd, 0, os.SEEK_DATA)
raises(errno.ENXIO, os.lseek, fd, 0, os.SEEK_HOLE)
os.pwrite(fd, b"a" * 5000, 8192)
os.pwrite(fd, b"b" * (5 << 20), 20 << 20)
os.ftruncate(fd, 40 << 20)
end = 25 << 20
hole = os.lseek(fd, 8192, os.SEEK_HOLE)
assert hole in (13192, 16384)  # what the kernel writes by itself is known by pages, as ext4 has it
for _ in range(2):
    assert both(fd, 0) == (8192, 0)
    assert both(fd, 8192) == (8192, hole)
    assert both(fd, 9000) == (9000, hole)
    assert both(fd, hole) == (20 << 20, hole)
    assert both(fd, 22 << 20) == (22 << 20, end)
    assert os.lseek(fd, end, os.SEEK_HOLE) == end
    raises(errno.ENXIO, os.lseek, fd, end, os.SEEK_DATA)
    raises(errno.ENXIO, os.lseek, fd, 40 << 20, os.SEEK_DATA)
    raises(errno.ENXIO, os.lseek, fd, 40 << 20, os.SEEK_HOLE)
    raises(errno.ENXIO, os.lseek, fd, -1, os.SEEK_DATA)
    assert os.fstat(fd).st_size == 40 << 20
    os.fsync(fd)
os.ftruncate(fd, end)
assert both(fd, end - 1) == (end - 1, end)
os.posix_fallocate(fd, 0, end + 10)
assert both(fd, end - 1) == (end - 1, end)
# the offset of the descriptor moves, and a failed seek leaves it
assert os.lseek(fd, 0, os.SEEK_CUR) == end
raises(errno.ENXIO, os.lseek, fd, end, os.SEEK_DATA)
assert os.lseek(fd, 0, os.SEEK_CUR) == end
# holes survive a copy by whoever looks for them
assert os.system("cp --sparse=auto f g && cmp f g && tar -cSf - f | tar -xOf - | cmp - f") == 0
# the largest file there can be
last = (1 << 63) - 1
fd = os.open("large", os.O_CREAT | os.O_RDWR)
for at in 5 << 30, (16 << 40) - 5, 1 << 50, last - 3:
    assert os.pwrite(fd, b"xyz", at) == 3
    assert os.pread(fd, 5, at - 2) == bytes(2) + b"xyz", at
assert os.fstat(fd).st_size == last
assert os.pwrite(fd, b"xy", last - 2) == 2
# the kernel refuses what would end behind that by itself, as on any file system
raises(errno.EINVAL, os.pwrite, fd, b"x", last)
raises(errno.EINVAL, os.pwrite, fd, b"xyz", last - 2)
raises(errno.EINVAL, os.pwrite, fd, b"x", -1)
raises(errno.EINVAL, os.ftruncate, fd, -1)
assert os.pread(fd, 0, last) == b""
for _ in range(2):
    assert os.lseek(fd, 0, os.SEEK_DATA) == 5 << 30
    assert os.lseek(fd, (16 << 40) - 2, os.SEEK_DATA) == 1 << 50
    assert os.lseek(fd, 1 << 62, os.SEEK_DATA) == last - 3
    assert os.lseek(fd, last - 3, os.SEEK_HOLE) == last
    os.fsync(fd)
EOF
remount_volume
run_python <<'EOF'
last = (1 << 63) - 1
fd = os.open("large", os.O_RDWR)
assert os.fstat(fd).st_size == last
for at in 5 << 30, (16 << 40) - 5, 1 << 50:
    assert os.pread(fd, 7, at - 2) == bytes(2) + b"xyz" + bytes(2), at
assert os.pread(fd, 5, last - 5) == bytes(2) + b"xxy"
assert os.lseek(fd, 1 << 51, os.SEEK_DATA) == last - 3
os.ftruncate(fd, 1 << 50)
raises(errno.ENXIO, os.lseek, fd, (16 << 40), os.SEEK_DATA)
EOF
