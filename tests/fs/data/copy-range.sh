# SPDX-License-Identifier: Apache-2.0
# copy_file_range(2) shares what is stored: no byte is uploaded, and each file keeps its own contents.
fresh_volume
mount_volume
objects() { find "$CASE_DIR/volume" -type f -path '*/data/*' | wc -l; }
head -c 13000000 /dev/urandom >"$CASE_DIR/a"
cp "$CASE_DIR/a" "$MNT/a"
before=$(objects)
cp "$MNT/a" "$MNT/b"
cmp "$MNT/a" "$MNT/b"
assert_eq "$(objects)" "$before" "number of objects after a copy"
run_python <<'EOF'
a = open("a", "rb").read()
def copy(source, at, target, to, length):
    done = 0
    while done < length:
        n = os.copy_file_range(source, target, length - done, at + done, to + done)
        if n == 0:
            break
        done += n
    return done
def check(name, model):
    data = open(name, "rb").read()
    assert len(data) == len(model), (name, len(data), len(model))
    if data != model:
        at = next(i for i in range(len(data)) if data[i] != model[i])
        raise AssertionError(f"{name} differs at {at}")
source = os.open("a", os.O_RDONLY)
target = os.open("c", os.O_CREAT | os.O_RDWR)
model = bytearray()
# between borders of chunks, over them, behind the end, over what is there, of nothing
for at, to, length in (10, 5000, 9000000), (4 << 20, 0, 4 << 20), (1, 2, 3), (0, (4 << 20) - 5, 10), \
        (12999990, 15000000, 100), (5000000, 100, 3), (13000000, 0, 10), (1 << 40, 0, 10), (77, 12345678, 1 << 20):
    n = max(0, min(length, len(a) - at))
    assert copy(source, at, target, to, length) == n, (at, to, length)
    if n:
        if len(model) < to + n:
            model.extend(bytes(to + n - len(model)))
        model[to:to + n] = a[at:at + n]
    check("c", model)
    check("a", a)
# staged bytes are copied too, and staged bytes below a copy are gone
fd = os.open("d", os.O_CREAT | os.O_RDWR)
os.pwrite(fd, b"d" * 300000, 100000)
assert copy(fd, 50000, fd, 1000000, 200000) == 200000
d = bytearray(bytes(100000) + b"d" * 300000 + bytes(600000 + 50000) + b"d" * 150000)
check("d", d)
os.pwrite(fd, b"e" * 1000, 200000)
assert copy(source, 0, fd, 199000, 2000) == 2000
d[199000:201000] = a[:2000]
check("d", d)
# holes are copied as such
h = os.open("h", os.O_CREAT | os.O_RDWR)
os.ftruncate(h, 1 << 30)
os.pwrite(h, b"h", 1 << 29)
assert copy(h, 0, fd, 0, 1 << 30) == 1 << 30
assert os.lseek(fd, 0, os.SEEK_DATA) == 1 << 29 and os.lseek(fd, (1 << 29) + 1, os.SEEK_HOLE) == (1 << 29) + 1
# what is changed in the copy does not change the original, nor the other way round
os.pwrite(target, b"changed", 4100000)
model[4100000:4100007] = b"changed"
w = os.open("a", os.O_WRONLY)
os.pwrite(w, b"also changed", 4100000)
a = a[:4100000] + b"also changed" + a[4100012:]
os.close(w)
check("c", model)
check("a", a)
os.ftruncate(target, 5000000)
del model[5000000:]
# an unlinked source goes on being one
os.unlink("a")
assert copy(source, 1000, target, 5000000, 7000) == 7000
model.extend(a[1000:8000])
check("c", model)
open("c.model", "wb").write(model)
# errors
raises(errno.EINVAL, os.copy_file_range, target, target, 100, 0, 99)
assert os.copy_file_range(target, target, 100, 0, 100) == 100
model[100:200] = model[:100]
check("c", model)
os.pwrite(target, open("c.model", "rb").read()[100:200], 100)
raises(errno.EBADF, os.copy_file_range, target, source, 10, 0, 0)
raises(errno.EISDIR, os.copy_file_range, os.open(".", os.O_RDONLY), target, 10, 0, 0)
raises(errno.EBADF, os.copy_file_range, source, os.open("c", os.O_RDWR | os.O_APPEND), 10, 0, 0)
# cloning does not pass FUSE: cp falls back to the copy that shares
raises(errno.EOPNOTSUPP, fcntl.ioctl, target, 0x40049409, source)
EOF
remount_volume
cmp "$MNT/c" "$MNT/c.model"
cmp "$MNT/b" "$CASE_DIR/a"
rm "$MNT"/*
umount_volume
assert_eq "$(objects)" 0 "number of objects after all files are gone"
