# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 90
# alone
# Readers, writers and mappers are busy in a mount whose daemon is stopped, whose mount is taken away under them,
# whose connection is aborted, whose daemon is killed.  What is warm goes on while the daemon is stopped, nobody
# hangs, no byte is wrong, what was synced is there, and after all that the module can be unloaded.
bpf_on || need_root
cat >load.py <<'PY'
import errno, mmap, os, random, signal, sys, time
base, seed = os.environ["CASE_DIR"], int(sys.argv[1])
READ, WRITTEN, RECORDS, SIZE = 5, 3, 300, 992
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.ENODEV, errno.EIO)

def text(i):
    return b"".join(b"%07d:%07d;" % (i, n) for n in range(2000 + 4000 * i))

texts = [text(i) for i in range(READ)]

def record(k, n, number):
    return (b"%02d.%05d.%07d" % (k, n, number)) * (SIZE // 16)

class State:
    "What may be, and what must be, in file k: numbers of records, outside of the volume; and which was being written."
    def __init__(self, k):
        fd = os.open("%s/state%d" % (base, k), os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, 12 * RECORDS)
        self.map = memoryview(mmap.mmap(fd, 12 * RECORDS)).cast("I")
        self.last, self.synced = self.map[:RECORDS], self.map[RECORDS:2 * RECORDS]
        self.failed = self.map[2 * RECORDS:]  # a write that fails may have written some of it

def verify():
    for i in range(READ):
        if open("r%d" % i, "rb").read() != texts[i]:
            sys.exit("r%d is not what was written" % i)
    for k in range(WRITTEN):
        state, data = State(k), open("w%d" % k, "rb").read()
        for n in range(RECORDS):
            found = data[n * SIZE:(n + 1) * SIZE]
            parts = {found[at:at + 16] for at in range(0, SIZE, 16)}
            may = {record(k, n, i)[:16]: i for i in range(max(state.synced[n], 1), state.last[n] + 1)}
            if not state.synced[n]:
                may[bytes(16)] = 0
            if not parts <= may.keys() or (len(parts) > 1 and not state.failed[n]):
                sys.exit("w%d, record %d: synced %d, last %d, %s, found %s" % (
                    k, n, state.synced[n], state.last[n], "failed" if state.failed[n] else "whole", sorted(parts)))
            if len(parts) == 1:
                state.last[n] = state.synced[n] = may[parts.pop()]
                state.failed[n] = 0

def read(rng):
    i = rng.randrange(READ)
    at, n = rng.randrange(len(texts[i])), rng.choice((1, 4096, 200000))
    fd = os.open("r%d" % i, os.O_RDONLY)
    assert os.fstat(fd).st_size == os.stat("r%d" % i).st_size == len(texts[i])
    assert os.pread(fd, n, at) == texts[i][at:at + n], ("read", i, at, n)
    os.close(fd)

def map_it(rng):
    i = rng.randrange(READ)
    fd = os.open("r%d" % i, os.O_RDONLY)
    with mmap.mmap(fd, len(texts[i]), flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as m:
        for _ in range(20):
            at = rng.randrange(len(m))
            assert m[at:at + 3000] == texts[i][at:at + 3000], ("map", i, at)
    os.close(fd)

def reader(rng):
    while not os.path.exists(base + "/stop"):
        read(rng)
        map_it(rng)

def writer(rng, k):
    state, fd = State(k), os.open("w%d" % k, os.O_RDWR)
    while True:
        for _ in range(rng.randrange(1, 60)):
            n = rng.randrange(RECORDS)
            state.last[n] += 1
            state.failed[n] = 1
            wanted = record(k, n, state.last[n])
            assert os.pwrite(fd, wanted, n * SIZE) == SIZE
            state.failed[n] = 0
            assert os.pread(fd, SIZE, n * SIZE) == wanted, ("written", k, n)
        end, before = os.path.exists(base + "/stop"), state.last.tolist()
        if end or rng.randrange(4) == 0:
            os.close(fd)
            fd = -1
        else:
            os.fsync(fd)
        for n in range(RECORDS):
            if not state.failed[n]:
                state.synced[n] = before[n]
        if end:
            return
        if fd < 0:
            fd = os.open("w%d" % k, os.O_RDWR)

def work(number, function, *arguments):
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        function(random.Random(seed * 100 + number), *arguments)
        status = 0
    except OSError as e:
        status = 0 if e.errno in GONE and os.path.exists(base + "/gone") else 1
        if status:
            print("worker %d: %s" % (number, e), flush=True)
    except AssertionError as e:
        print("worker %d: %s" % (number, e), flush=True)
    finally:
        os._exit(status)

if seed == 0:
    for i in range(READ):
        with open("r%d" % i, "wb") as f:
            f.write(texts[i])
    for k in range(WRITTEN):
        with open("w%d" % k, "wb") as f:
            f.write(bytes(RECORDS * SIZE))
elif seed < 0:      # while the daemon is stopped: nothing of this needs it
    rng = random.Random(seed)
    fd = os.open("lent", os.O_RDWR | os.O_CREAT)
    for n in range(5):
        os.pwrite(fd, record(9, n, 1), n * SIZE)
    for _ in range(10):
        read(rng)
        map_it(rng)
    os.kill(int(sys.argv[2]), signal.SIGSTOP)
    try:
        for n in range(100):
            read(rng)
            map_it(rng)
            os.pwrite(fd, record(9, n, 2), n * SIZE)
        assert os.fstat(fd).st_size == 100 * SIZE and os.pread(fd, SIZE, 0) == record(9, 0, 2)
    finally:
        os.kill(int(sys.argv[2]), signal.SIGCONT)
    os.fsync(fd)
    with open("lent", "rb") as f:
        assert f.read() == b"".join(record(9, n, 2) for n in range(100))
else:
    verify()
    if len(sys.argv) > 2:
        sys.exit()
    workers = [work(n, reader) for n in range(2)] + [work(2 + k, writer, k) for k in range(WRITTEN)]
    open(base + "/running", "w").close()
    ends = [os.waitpid(pid, 0)[1] for pid in workers]
    if os.path.exists(base + "/gone"):  # so is what a mapping needs that was not cached when it was made
        ends = [0 if os.WIFSIGNALED(end) and os.WTERMSIG(end) == signal.SIGBUS else end for end in ends]
    sys.exit("the workers ended with %s" % ends if any(ends) else 0)
PY
round=0
load() {
	rm -f running stop gone
	round=$((round + 1))
	(cd "$MNT" && exec python3 "$CASE_DIR/load.py" $round) &
	load=$!
	wait_for 20 test -e running
	! bpf_on || sleep 1
}
load_ends() { # nobody hangs, and nobody has seen anything wrong
	local status=0
	wait_for 20 not is_running "$load"
	wait "$load" || status=$?
	assert_eq "$status" 0 "status of the load"
}
unload_module() {
	! [ -d /sys/module/extfuse ] || rmmod extfuse
}
connections=/sys/fs/fuse/connections
[ -n "$(ls $connections 2>/dev/null)" ] || mount -t fusectl fusectl $connections 2>/dev/null || true

fresh_volume
mount_volume
(cd "$MNT" && python3 "$CASE_DIR/load.py" 0 && cat r* >/dev/null)
load
! bpf_on || (cd "$MNT" && timeout 60 python3 "$CASE_DIR/load.py" -1 "$DAEMON")
umount -l "$MNT" # they have it open, and stand in it
! bpf_on || sleep 0.5
touch stop
load_ends
daemon_ended

mount_volume
load
connection=$connections/$(stat -c %Ld "$MNT")
if [ -e "$connection/abort" ]; then
	touch gone
	echo 1 >"$connection/abort"
	load_ends
	wait_for 20 not is_running "$DAEMON"
	kill_daemon
	mount_volume
	load
fi
touch gone
kill -KILL "$DAEMON"
load_ends
kill_daemon

if bpf_on; then # root writes anything into the maps; then what is read is anything, too, but from then on not
	rm -f stop
	mount_volume
	(cd "$MNT" && while [ ! -e "$CASE_DIR/stop" ]; do
		for file in r*; do # the maps may say that it is a FIFO, whose open waits
			dd if="$file" bs=100000 count=1 iflag=nonblock status=none || true
		done
		stat -t -- * || true
	done >../nonsense 2>&1) &
	users=$!
	kernel-case scribble "/sys/fs/bpf/curvefs/$(stat -c %Ld "$MNT")" 2
	touch stop
	wait_for 20 not is_running $users || {
		for pid in $(pgrep -P $users); do
			tr '\0' ' ' <"/proc/$pid/cmdline"
			cat "/proc/$pid/stack"
		done
		fail "what read nonsense does not end"
	}
	umount_volume
fi
mount_volume
(cd "$MNT" && python3 "$CASE_DIR/load.py" $((round + 1)) only)
umount_volume
curvefs fsck "$VOLUME" --meta-dir "$META" --read-data
if bpf_on; then
	wait_for 10 unload_module
	insmod "$CURVEFS_BUILD/extfuse.ko"
fi
