# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The kernel says when it begins to write a file; what of that is lost, loses nothing.  The ring is as small as it
# can be and its reader stopped, while more files are written than records fit in.
fresh_volume
mount_volume --bpf-ring-pages=1 --dirty-expire=2
head -c 5000 /dev/urandom >pattern
before=$(stat_counter ring.lost)
# Each file is created, and from then on written in the kernel.
files=300
bpf_on || files=30
cat >write.py <<'PY'
import os, signal, sys, time
daemon, stop, files = int(sys.argv[1]), sys.argv[2] == "stop", int(sys.argv[3])
pattern = open("../pattern", "rb").read()
fds = [os.open("f%d" % i, os.O_CREAT | os.O_WRONLY) for i in range(files)]
if stop:
    if os.fork() == 0:                          # should one have been taken back just now, its write waits for this
        time.sleep(4)
        os.kill(daemon, signal.SIGCONT)
        os._exit(0)
    os.kill(daemon, signal.SIGSTOP)
try:
    for i, fd in enumerate(fds):
        os.write(fd, b"%08d" % i)
        os.write(fd, pattern[i:i + 300 + i * 10])
finally:
    os.kill(daemon, signal.SIGCONT)
open("../written", "w").close()
while not os.path.exists("../uploaded"):        # all that time they stay open
    time.sleep(0.05)
for i in range(0, files, 2):                    # some are written once more, and synced or closed
    os.write(fds[i], b"end%05d" % i)
    if i % 4:
        os.fsync(fds[i])
    else:
        os.close(fds[i])
open("../finished", "w").close()
time.sleep(60)
PY
(cd "$MNT" && exec python3 "$CASE_DIR/write.py" "$DAEMON" "$(bpf_on && echo stop)" $files) &
writer=$!
wait_for 40 test -e written
# One more record, and the kernel says how many it had no room for: in the ring of that CPU.
for ((i = 0; i < $(nproc); i++)); do taskset -c $i touch "$MNT/one-more$i"; done
lost() { [ "$(stat_counter ring.lost)" -gt "$before" ]; }
! bpf_on || wait_for 5 lost || fail "no record was lost: the case shows nothing"
# Nobody closes or syncs them: they are uploaded by the time that has passed, also those of which nobody heard.
cat >uploaded.py <<'PY'
import json, subprocess, sys
for i in range(0, int(sys.argv[2]), 29):
    info = json.loads(subprocess.check_output(["curvefs", "info", "--json", "%s/f%d" % (sys.argv[1], i)]))
    slices = info["chunks"][0]["slices"] if info["chunks"] else []
    if max([s["pos"] + s["length"] for s in slices], default=0) != 8 + 300 + i * 10:
        sys.exit(1)
PY
wait_for 30 python3 uploaded.py "$MNT" $files
touch uploaded
wait_for 30 test -e finished
kill "$writer"
wait "$writer" || true
kill_daemon
mount_volume
run_python $files <<'PY'
pattern = open("../pattern", "rb").read()
for i in range(int(sys.argv[1])):
    wanted = b"%08d" % i + pattern[i:i + 300 + i * 10] + (b"end%05d" % i if i % 2 == 0 else b"")
    got = open("f%d" % i, "rb").read()
    assert got == wanted, (i, len(got), len(wanted))
PY
umount_volume
curvefs fsck "$VOLUME" --meta-dir "$META" --read-data
