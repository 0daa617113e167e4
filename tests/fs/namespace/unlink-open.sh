# SPDX-License-Identifier: Apache-2.0
# A file without a name lives until its last descriptor is closed, then its objects go.
fresh_volume
mount_volume
run_python <<'EOF'
fd = os.open("f", os.O_CREAT | os.O_RDWR)
os.write(fd, b"x" * 100000)
os.fsync(fd)
other = os.open("f", os.O_RDONLY)
os.unlink("f")
assert os.fstat(fd).st_nlink == 0 and os.listdir(".") == []
os.pwrite(fd, b"tail", 100000)
assert os.pread(other, 8, 99996) == b"xxxxtail"
os.ftruncate(fd, 10)
assert os.fstat(other).st_size == 10
os.close(fd)
assert os.pread(other, 100, 0) == b"x" * 10
# renamed over: the same
open("g", "w").write("old"); fd = os.open("g", os.O_RDONLY)
open("h", "w").write("new"); os.rename("h", "g")
assert os.read(fd, 10) == b"old" and open("g").read() == "new"
# a removed directory that is somebody's current one
os.mkdir("d"); held = os.open("d", os.O_RDONLY); os.chdir("d"); os.rmdir("../d")
raises(errno.ENOENT, os.open, "x", os.O_CREAT | os.O_RDWR)
assert os.listdir(held) == []
EOF
