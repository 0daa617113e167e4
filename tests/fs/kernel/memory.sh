# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 90
# Programs read, map and write in the kernel in a memory cgroup, one more of which takes memory until it is killed,
# over and over; then they are slowed down and frozen; the daemon is in a tight one of its own.  Nobody hangs, no
# byte is wrong, and afterwards everything is as it should be.  (Without the kernel's answers this is hostile/memory.sh.)
bpf_on || skip "is about what the kernel does by itself"
mkdir groups
mount -t cgroup2 none groups
echo +memory >groups/cgroup.subtree_control || skip "no memory cgroup to be had here"
name=curvefs-test-$$-$RANDOM
apps=$CASE_DIR/groups/$name-apps tight=$CASE_DIR/groups/$name-daemon
mkdir "$apps" "$tight"
echo $((96 << 20)) >"$apps/memory.max"
tight_MiB=96
[ "${CURVEFS_SLOW:-1}" = 1 ] || tight_MiB=1024 # to verify the programs takes such a kernel more than 256
echo $((tight_MiB << 20)) >"$tight/memory.max"
daemons_in_cgroup "$tight"
fresh_volume
mount_volume --buffer-size 16M
grep -qx "$DAEMON" "$tight/cgroup.procs"
cat >app.py <<'PY'
import errno, mmap, os, sys, time
base, role, MiB = os.environ["CASE_DIR"], sys.argv[1], 1 << 20
SIZE = 12 * MiB

def block(name, n):  # 64 KiB that say whose they are and which
    return b"%8s%08d" % (name.encode(), n) * 4096

def check(name, data, at):
    for n in range(len(data) // 65536):
        assert data[n * 65536:(n + 1) * 65536] == block(name, at // 65536 + n), (role, name, at, n)

if role == "make":
    for name in ("read", "mapped"):
        with open(name, "wb") as f:
            for n in range(SIZE // 65536):
                f.write(block(name, n))
    sys.exit()
if role == "hog":
    taken = []
    while True:
        taken.append(b"x" * MiB)
def once():
    if role == "read":
        with open("read", "rb", buffering=0) as f:
            for at in range(0, SIZE, MiB):
                check("read", os.pread(f.fileno(), MiB, at), at)
    elif role == "mapped":
        with open("mapped", "rb") as f, mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as m:
            for at in range(0, SIZE, 65536):
                check("mapped", m[at:at + 65536], at)
    else:
        with open("write", "wb", buffering=0) as f:
            for n in range(64):
                assert f.write(block("write", n)) == 65536
            os.fsync(f.fileno())
        with open("write", "rb") as f:
            check("write", f.read(), 0)

round = 0
while not os.path.exists(base + "/stop"):
    try:
        once()
    except OSError as e:  # what the killed one had comes back some time later
        if e.errno != errno.ENOMEM:
            raise
        continue
    round += 1
    with open("%s/rounds.%s" % (base, role), "w") as f:
        f.write("%d\n" % round)
PY
app() { (cd "$MNT" && exec python3 "$CASE_DIR/app.py" "$1"); }
in_group() { # ROLE: in the programs' cgroup
	local adjust=-1000 # nobody else is to be killed
	[ "$1" != hog ] || adjust=1000
	(echo $adjust >/proc/self/oom_score_adj && echo "$BASHPID" >"$apps/cgroup.procs" && cd "$MNT" && exec python3 "$CASE_DIR/app.py" "$1")
}
app make
curvefs warmup "$MNT"
case_stats before
pids=()
for role in read mapped write; do
	in_group $role &
	pids+=($!)
done
for _ in 1 2 3; do
	status=0
	in_group hog || status=$?
	assert_eq "$status" 137 "status of the one that takes all memory"
	sleep 0.3
done
# Slowed down in whatever they do, then stopped there: the others are not.
echo $((64 << 20)) >"$apps/memory.high"
sleep 2
echo 1 >"$apps/cgroup.freeze"
wait_for 10 grep -q "frozen 1" "$apps/cgroup.events"
timeout 20 dd if=/dev/zero of="$MNT/other" bs=64k count=20 conv=fsync status=none
timeout 20 cat "$MNT/read" >/dev/null
echo 0 >"$apps/cgroup.freeze"
echo max >"$apps/memory.high"
rm -f rounds.*
done_by() { [ -s "rounds.$1" ]; }
for role in read mapped write; do wait_for 30 done_by $role || fail "'$role' comes to nothing"; done
case_stats after
for op in read mmap write; do
	[ "$(case_grown kernel.$op.hit)" -gt 0 ] || fail "no '$op' was done in the kernel"
done
touch stop
for pid in "${pids[@]}"; do
	wait_for 30 not is_running "$pid"
	status=0
	wait "$pid" || status=$?
	assert_eq "$status" 0 "status of a program"
done
[ "$(awk '$1 == "oom_kill" { print $2 }' "$apps/memory.events")" -ge 3 ]
assert_eq "$(awk '$1 == "oom_kill" { print $2 }' "$tight/memory.events")" 0 "daemons that were killed"
rm stop rounds.*
for role in read mapped write; do app $role & done
for role in read mapped write; do wait_for 30 done_by $role; done
touch stop
for job in $(jobs -p); do
	[ "$job" = "$DAEMON" ] || wait "$job"
done
umount_volume
wait_for 5 rmdir "$apps" "$tight"
curvefs fsck "$VOLUME" --meta-dir "$META"
