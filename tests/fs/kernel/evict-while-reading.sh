# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# A file is read flat out while a cache too small for it and its neighbours evicts and fetches again:
# never a wrong byte.
fresh_volume
mount_volume
run_python <<'PY'
for n in range(6):
    with open(f"f{n}", "wb") as f:
        for block in range(96):  # 6 MiB; each 64 KiB block says whose it is and which
            f.write(b"%08d%08d" % (n, block) * 4096)
PY
umount_volume
rm -rf "$CACHE"
mkdir "$CACHE"
mount_volume --cache-size=16M --free-space-ratio=0
run_python <<'PY'
import random, threading
wrong = []
end = time.time() + 15
reads = 0

def check(name, n, offset, data):
    at = 0
    while at < len(data):
        block, inside = divmod(offset + at, 65536)
        length = min(65536 - inside, len(data) - at)
        if data[at:at + length] != (b"%08d%08d" % (n, block) * (length // 16)):
            wrong.append((name, offset + at, data[at:at + 16]))
            return
        at += length

def reader(seed, files):
    global reads
    rng = random.Random(seed)
    fds = [os.open(f"f{n}", os.O_RDONLY) for n in files]
    while time.time() < end and not wrong:
        i = rng.randrange(len(fds))
        offset = rng.randrange(6 * 1024 * 1024 // 4096) * 4096
        length = rng.choice((4096, 65536, 262144))
        check(f"f{files[i]}", files[i], offset, os.pread(fds[i], length, offset))
        reads += 1

threads = [threading.Thread(target=reader, args=(1, [0])), threading.Thread(target=reader, args=(2, [0, 1, 2])),
           threading.Thread(target=reader, args=(3, [3, 4, 5]))]
[t.start() for t in threads]
[t.join() for t in threads]
assert not wrong, wrong
print(reads, "reads")
PY
[ "$(stat_counter cache.evictions)" -gt 0 ] || fail "nothing was evicted: the case shows nothing"
