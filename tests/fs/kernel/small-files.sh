# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# Hundreds of small files that are warm cost the daemon nothing, and the kernel a handful of open files; each has
# its own bytes, whatever becomes of its neighbours.
fresh_volume
mount_volume
COUNT=240
mkdir "$MNT/tree" "$CASE_DIR/copy"
run_python "$CASE_DIR/copy" <<'PY'
import threading
def body(n, version):
    return (b"%d.%d " % (n, version) * 12000)[:1 + n * 37 % 5200 if n % 40 else 30000 + n]
def write(n, version):
    with open(f"tree/{n}", "wb") as f:
        f.write(body(n, version))
def write_some(first):
    for n in range(first, 240, 24):
        write(n, 0)
        with open(f"{sys.argv[1]}/{n}", "wb") as f:
            f.write(body(n, 0))
threads = [threading.Thread(target=write_some, args=(i,)) for i in range(24)]  # their commits go together
[t.start() for t in threads]
[t.join() for t in threads]
with open("tree/large", "wb") as f:
    f.write(os.urandom(70000))
PY
content() { cat "$MNT"/tree/[0-9]* | sha256sum; }
wanted=$(cat "$CASE_DIR"/copy/* | sha256sum)
warm() { assert_eq "$(content)" "$wanted" "content"; }
all_in_kernel() {
	warm
	warm # what the first one opened at the daemon is released by now
	assert_daemon_not_asked lookup getattr open read flush release -- warm
	bpf_on || return 0
	[ "$(case_grown kernel.open.hit)" -ge $COUNT ] || fail "not every open was answered in the kernel"
	[ "$(case_grown kernel.read.hit)" -ge $COUNT ] || fail "not every read was answered in the kernel"
	[ "$(stat_counter maps.backing_files)" -le 3 ] || fail "$(stat_counter maps.backing_files) backing files"
}
packed_is() { [ "$(stat_counter cache.packed)" = "$1" ]; }
# Written here: packed once nobody writes them any more. The large one has a backing file to itself.
all_in_kernel
if bpf_on; then
	wait_for 10 packed_is $COUNT
	curvefs info "$MNT/tree/7" | grep -q "every byte readable, packed"
	curvefs info "$MNT/tree/large" | grep -q "every byte readable$"
fi

# Warm from the start after a remount, and after a warm-up of an empty cache.
remount_volume
all_in_kernel
umount_volume
rm -rf "$CACHE"
mkdir "$CACHE"
mount_volume
curvefs warmup "$MNT"
curvefs warmup --check "$MNT"
assert_eq "$(stat_counter cache.packed)" $COUNT
assert_eq "$(stat_counter cache.packs)" 1
not bpf_on || echo 3 >/proc/sys/vm/drop_caches
assert_daemon_not_asked lookup getattr open read flush release -- warm
all_in_kernel

# Changed, cut, grown, deleted and made anew while somebody reads: the neighbours stay as they are.
run_python "$CASE_DIR/copy" <<'PY'
import random, threading
def body(n, version):
    return (b"%d.%d " % (n, version) * 12000)[:1 + n * 37 % 5200 if n % 40 else 30000 + n]
done, wrong = False, []
def read():
    rng = random.Random(1)
    while not done:
        n = rng.randrange(100, 240)
        with open(f"tree/{n}", "rb") as f:
            if f.read() != body(n, 0):
                wrong.append(n)
reader = threading.Thread(target=read)
reader.start()
def change(kind):
    for n in range(kind, 25, 5):
        path = f"tree/{n}"
        want = body(n, 0)
        if n % 5 == 0:
            with open(path, "r+b") as f:
                f.seek(len(want) // 2)
                f.write(b"#")
            want = want[:len(want) // 2] + b"#" + want[len(want) // 2 + 1:]
        elif n % 5 == 1:
            os.truncate(path, len(want) // 2)
            want = want[:len(want) // 2]
        elif n % 5 == 2:
            with open(path, "ab") as f:
                f.write(b"more")
            want += b"more"
        elif n % 5 == 3:
            os.unlink(path)
            want = body(n, 1)
            with open(path, "wb") as f:
                f.write(want)
        else:
            os.truncate(path, len(want) + 100)
            want += bytes(100)
        for again in range(2):
            with open(path, "rb") as f:
                if f.read() != want:
                    wrong.append((n, again))
        with open(f"{sys.argv[1]}/{n}", "wb") as f:
            f.write(want)
writers = [threading.Thread(target=change, args=(kind,)) for kind in range(5)]
[t.start() for t in writers]
[t.join() for t in writers]
done = True
reader.join()
assert not wrong, wrong
assert len(os.listdir(sys.argv[1])) == 240
PY
wanted=$(cat "$CASE_DIR"/copy/* | sha256sum)
all_in_kernel
remount_volume
all_in_kernel
