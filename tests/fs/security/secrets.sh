# SPDX-License-Identifier: Apache-2.0
# The keys of the object store are seen nowhere: not in logs, files, errors, /proc, nor a core dump.
bpf_on && skip "nothing of this depends on the kernel"
start_s3
secret=$AWS_SECRET_ACCESS_KEY
fresh_volume
# A daemon's own children, threads and what it answers.
mount_volume --log-level debug
head -c 300000 /dev/urandom >"$MNT/f"
cmp <(head -c 300000 "$MNT/f") "$MNT/f"
for what in status stats doctor; do
	curvefs "$what" --json >>said 2>&1 || true
done
for process in /proc/"$DAEMON"/task/*; do
	cat "$process"/cmdline "$process"/environ "$process"/comm >>said
done
cat /run/curvefs/*/mount.json >>said 2>/dev/null || true
grep -qa AWS_ENDPOINT_URL said # so environ was read
remount_volume -d # libfuse's trace
ls "$MNT" >/dev/null
# What goes wrong: refused keys, nobody there, a SOURCE with keys in it.
umount_volume
try() { not curvefs-fuse -f --log-level debug --bpf-cache=off --meta-dir "$META" "$@" >>said 2>&1; }
AWS_ACCESS_KEY_ID=wrong try "$VOLUME" "$MNT"
grep -qi "AWS_SECRET_ACCESS_KEY" said
try --retries 1 --endpoint-url "http://127.0.0.1:$(free_port)" "$VOLUME" "$MNT"
try --endpoint-url "http://key:$secret@127.0.0.1" "$VOLUME" "$MNT"
try "s3://key:$secret@test/volume" "$MNT"
try "http://key:$secret@host/test/volume" "$MNT"
not curvefs format "http://key:$secret@host/test/volume" >>said 2>&1
not curvefs format "s3://key:$secret@test/volume" >>said 2>&1
printf '[default]\naws_secret_access_key = %s\n' "$secret" >half
env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY AWS_SHARED_CREDENTIALS_FILE="$CASE_DIR/half" \
	bash -c '! curvefs-fuse "$@"' - "$VOLUME" "$MNT" >>said 2>&1
assert_fails grep -raF -e "$secret" said daemon.log s3.log "$META" "$CACHE"

# Keys that only their owner may read are root's to read all the same.
printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$AWS_ACCESS_KEY_ID" "$secret" >theirs
chmod 600 theirs
[ "$(awk '{print $3}' /proc/self/uid_map)" -le 65536 ] || chown 12345 theirs
(
	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	export AWS_SHARED_CREDENTIALS_FILE=$CASE_DIR/theirs
	mount_volume
	umount_volume
)

# The same daemon, killed by SIGABRT with everything allowed that makes a core.
mkdir cores
python3 - "$CASE_DIR/cores" curvefs-fuse -f --bpf-cache="$BPF" --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT" <<'EOP'
import os, resource, signal, subprocess, sys, time
def limits():
    os.chdir(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
daemon = subprocess.Popen(sys.argv[2:], preexec_fn=limits)
for i in range(400):
    if any(line.split()[1] == sys.argv[-1] for line in open("/proc/self/mounts")):
        break
    assert daemon.poll() is None
    time.sleep(0.05)
time.sleep(0.1)
os.kill(daemon.pid, signal.SIGABRT)
_, status = os.waitpid(daemon.pid, 0)
assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT, status
assert not os.WCOREDUMP(status)
EOP
umount "$MNT"
