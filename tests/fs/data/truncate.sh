# SPDX-License-Identifier: Apache-2.0
# Cut and grown at every kind of border: what was cut off never comes back.
fresh_volume
mount_volume
run_python <<'EOF'
import random
data = random.Random(1).randbytes(9 << 20)
for cut in (0, 1, 65536, 65537, 1 << 20, 4 << 20, (4 << 20) + 1, (8 << 20) - 1, 9 << 20):
    with open("f", "wb") as f:
        f.write(data)
    os.truncate("f", cut)
    assert os.stat("f").st_size == cut
    os.truncate("f", 9 << 20)
    got = open("f", "rb").read()
    assert got == data[:cut] + bytes((9 << 20) - cut), cut
# on an open file, with data not flushed yet
fd = os.open("g", os.O_CREAT | os.O_RDWR)
os.write(fd, b"abcdefgh"); os.ftruncate(fd, 3); os.pwrite(fd, b"Z", 5)
assert os.pread(fd, 100, 0) == b"abc\0\0Z"
os.close(fd)
assert open("g", "rb").read() == b"abc\0\0Z"
raises(errno.EINVAL, os.truncate, "g", -1)
raises(errno.EISDIR, os.truncate, ".", 0)
EOF
remount_volume
run_python <<'EOF'
assert open("g", "rb").read() == b"abc\0\0Z" and os.stat("f").st_size == 9 << 20
EOF
