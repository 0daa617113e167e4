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
# another process's mapping has the change at once; a private one keeps its own to itself
pid = os.fork()
if pid == 0:
    own = mmap.mmap(os.open("f", os.O_RDWR), size)
    own[200000:200003] = b"own"
    private = mmap.mmap(os.open("f", os.O_RDWR), size, flags=mmap.MAP_PRIVATE)
    private[150000:150003] = b"not"
    os._exit(private[200000:200003] != b"own")
assert os.waitpid(pid, 0)[1] == 0
assert m[200000:200003] == b"own" and os.pread(fd, 3, 200000) == b"own"
assert m[150000:150003] == b"aaa" and os.pread(fd, 3, 150000) == b"aaa"
# what is cut off leaves the mappings too: zeros up to the end of the page, nothing behind it
os.ftruncate(fd, 4097)
os.ftruncate(fd, size)
assert m[4090:4200] == b"aaaaaaa" + bytes(103) and m[200000:200003] == bytes(3)
os.pwrite(fd, b"a" * (size - 4097), 4097)
os.pwrite(fd, b"XYZ", 100000)
m.close(); os.close(fd)
fd = os.open("f", os.O_RDONLY)
p = mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
assert p[100000:100003] == b"XYZ" and p[5:6] == b"!"
EOF
remount_volume
assert_eq "$(dd if="$MNT/f" bs=1 skip=99999 count=5 status=none)" aXYZa
