# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# A file that is lent to the kernel while only a part of it is cached, or of which a part is evicted meanwhile: it is
# read and written in the kernel where all is there, and nowhere else, and no byte is wrong.
SIZE=24 # MiB
fresh_volume
mount_volume
cat >part.py <<'PY'
import os, random, sys
M, SIZE = 1 << 20, int(sys.argv[2]) << 20
state = os.environ["CASE_DIR"] + "/wanted"

def text(name):
    rng = random.Random(name)
    return bytearray(b"".join(b"%s%07d" % (name.encode(), rng.randrange(10**7)) * 512 for _ in range(SIZE // 4096)))

def check(fd, wanted, at, n):
    got = os.pread(fd, n, at)
    assert got == wanted[at:at + n], ("a", at, n, got[:16], bytes(wanted[at:at + 16]))

def put(fd, wanted, at, data):
    if at > len(wanted):
        wanted.extend(bytes(at - len(wanted)))
    wanted[at:at + len(data)] = data
    assert os.pwrite(fd, data, at) == len(data)

def check_all(fd, wanted):
    assert os.stat("a").st_size == os.fstat(fd).st_size == len(wanted)
    for at in range(0, len(wanted), M):
        check(fd, wanted, at, M)

if sys.argv[1] == "make":
    for name in "ab":
        with open(name, "wb") as f:
            f.write(text(name))
    open(state, "wb").write(text("a"))
    sys.exit()
wanted = bytearray(open(state, "rb").read())
fd = os.open("a", os.O_RDWR)
if sys.argv[1] == "evict":  # what was lent when all was there
    check_all(fd, wanted)
    for n in range(4):
        put(fd, wanted, n, b"A%d" % n)
    with open("b", "rb") as b:
        assert b.read() == text("b")
    for n in range(4):
        os.stat("a")
        put(fd, wanted, 100 * n, b"B%d" % n)
        check(fd, wanted, (4 + 5 * n) * M, M)
    check_all(fd, wanted)
elif sys.argv[1] == "touch":  # two chunks, backwards, so that nothing is fetched ahead
    for at in range(12 * M - 65536, 4 * M - 1, -65536):
        check(fd, wanted, at, 65536)
elif sys.argv[1] == "write":  # in these two
    for n in range(200):
        at = 4 * M + random.Random(n).randrange(8 * M - 5000)
        put(fd, wanted, at, bytes([n]) * 5000)
        check(fd, wanted, at - at % 4096, 4096)
    os.fsync(fd)
    put(fd, wanted, 6 * M, b"once more")
elif sys.argv[1] == "mix":  # there and elsewhere, cut and made longer
    rng = random.Random(5)
    for n in range(300):
        at, length = rng.randrange(len(wanted) - 70000), rng.randrange(70000)
        what = rng.randrange(20)
        if what < 10:
            put(fd, wanted, 4 * M + at % (8 * M), rng.randbytes(length % 5000))
        elif what < 14:
            put(fd, wanted, at, rng.randbytes(length % 5000))
        elif what < 18:
            check(fd, wanted, at, length)
        elif what == 18:
            put(fd, wanted, len(wanted) + n % 2 * rng.randrange(2 * M), b"behind the end")
            assert os.fstat(fd).st_size == len(wanted)
        elif n % 3:
            os.fsync(fd)
        else:
            cut = len(wanted) - rng.randrange(3 * M)
            os.ftruncate(fd, cut)
            del wanted[cut:]
    check_all(fd, wanted)
elif sys.argv[1] == "check":
    check_all(fd, wanted)
os.close(fd)
open(state, "wb").write(wanted)
PY
part() { (cd "$MNT" && python3 "$CASE_DIR/part.py" "$1" $SIZE); }
part make
umount_volume
mount_volume --cache-size=34M --free-space-ratio=0
evicted=$(stat_counter cache.evictions)
assert_kernel_hits write -- part evict
[ "$(stat_counter cache.evictions)" -gt "$evicted" ] || fail "nothing was evicted: the case shows nothing"
umount_volume

rm -rf "$CACHE"
mkdir "$CACHE"
mount_volume --read-ahead=0
part touch
assert_kernel_hits write read -- part write
for op in write read; do # of 200 the first to each of the two chunks; it comes by every half a minute, too
	! bpf_on || [ "$(case_grown daemon.$op)" -le 20 ] || fail "$(case_grown daemon.$op) '$op' at the daemon"
done
part mix
remount_volume
part check
umount_volume
curvefs fsck "$VOLUME" --meta-dir "$META" --read-data
