# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# A warm file is mapped without its daemon, and the mapping sees every change made here: written, past a
# cache that is full or not, cut, punched, copied into, and evicted around.  Programs run from the mount.
fresh_volume
mount_volume
head -c 3000000 /dev/urandom >"$MNT/big"
cp /bin/bash "$MNT/program"
cat "$MNT/big" "$MNT/program" >/dev/null
scan() {
	run_python <<'PY'
fd = os.open("big", os.O_RDONLY)
m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
p = mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
data = os.pread(fd, len(m), 0)
assert m[:] == data and p[:] == data
p[:1000] = bytes(1000)
assert m[:] == data and os.pread(fd, 1000, 0) == data[:1000]
got = b""
r, w = os.pipe()
while len(got) < len(data):
    os.sendfile(w, fd, len(got), 65536)
    got += os.read(r, 65536)
assert got == data
PY
}
assert_daemon_not_asked open read flush release -- scan
assert_kernel_hits mmap read -- scan
run() { "$MNT/program" -c :; }
assert_daemon_not_asked open read flush release -- run
mkfifo waits
"$MNT/program" -c 'read -r x <>waits' &
wait_for 10 grep -q "$MNT/program" "/proc/$!/maps"
if (: >>"$MNT/program") 2>/dev/null; then fail "a program that runs could be written to"; fi
kill $!
wait $! || :

# Each process maps it anew at each reopen, most often when it is wholly cached.
exercise "$MNT/f" --operations 60 --mapped --max-size 1000000
exercise "$MNT/g" --operations 60 --mapped --max-size 1000000 --apart
[ "$BPF" != require ] || [ "$(stat_counter kernel.mmap.hit)" -gt 10 ]

change() {
	run_python <<'PY'
import random
rng = random.Random(7)
model = bytearray(rng.randbytes(1500000))
with open("changed", "wb") as f:
    f.write(model)
fd = os.open("changed", os.O_RDONLY)
other = os.open("big", os.O_RDONLY)
os.pread(fd, len(model), 0)
m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
assert m[:] == model
libc = ctypes.CDLL(None, use_errno=True)
PUNCH, ZERO = 3, 16
def fallocate(fd, mode, at, n):
    assert libc.fallocate(fd, mode, ctypes.c_long(at), ctypes.c_long(n)) == 0, ctypes.get_errno()
for i in range(15):
    at, n = rng.randrange(900000), rng.choice((1, 4096, 70000, 300000))
    w = os.open("changed", os.O_RDWR)
    kind = i % 5
    if kind < 2:
        bytes_ = rng.randbytes(n)
        os.pwrite(w, bytes_, at)
        model[at:at + n] = bytes_
    elif kind == 2:
        fallocate(w, PUNCH if i % 2 else ZERO, at, n)
        model[at:at + n] = bytes(n)
    elif kind == 3:
        assert os.copy_file_range(other, w, n, 1000 + at, at) == n
        model[at:at + n] = os.pread(other, n, 1000 + at)
    else:
        os.ftruncate(w, 1200000)
        assert m[:1200000] == model[:1200000], i
        os.ftruncate(w, 1500000)
        model[1200000:] = bytes(300000)
    assert m[:] == model, (i, kind, at, n)
    os.close(w)
    assert m[:] == model, (i, kind, at, n, "closed")
    assert os.pread(fd, 1500000, 0) == model
    # room for others is made, and not of what is mapped
    for n in range(i % 3):
        with open("filler%d" % (i + n), "wb") as f:
            f.write(bytes(range(250)) * 6000)
    assert m[:] == model, (i, kind, "evicted around")
os.truncate("changed", 0)
with open("changed", "wb") as f:
    f.write(b"short")
assert m[:5] == b"short"
PY
}
change
rm "$MNT"/filler*
umount_volume
mount_volume --cache-size=6M --free-space-ratio=0
change
[ "$(stat_counter cache.evictions)" -gt 0 ] || fail "nothing was evicted"
umount_volume
