# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# curvefs gc: deletes what nothing names, and nothing else.
gc() { curvefs gc --meta-dir "$META" "$VOLUME" --min-age 0 "$@"; }
objects() { find volume/data -type f | wc -l; }

fresh_volume
mount_volume
for i in 1 2 3; do echo "$i" >"$MNT/$i"; done

# What a mount that was killed left: an open file that was removed, an upload nothing names.
python3 - "$MNT" "$DAEMON" <<'PYTHON'
import os, signal, sys
mnt, daemon = sys.argv[1], int(sys.argv[2])
fd = os.open(mnt + "/gone", os.O_CREAT | os.O_WRONLY)
os.write(fd, b"x" * 100)
os.fsync(fd)
os.unlink(mnt + "/gone")
dir = os.open(mnt, os.O_RDONLY)
os.fsync(dir)
os.kill(daemon, signal.SIGKILL)
PYTHON
kill_daemon
mkdir -p volume/data/05/00
head -c 10 /dev/zero >volume/data/05/00/0000000000000005_10
echo mine >volume/data/05/00/notes
assert_eq "$(objects)" 6 'number of objects'

gc --dry-run | grep -q '1 objects (10 B) that nothing names would be deleted, 0 pending ones, 1 files'
curvefs gc --meta-dir "$META" "$VOLUME" --dry-run | grep -q '1 objects that nothing names are younger'
assert_eq "$(objects)" 6 'number of objects after dry runs'

# Mounted: only what is older than the mount; its own are its own business.
mount_volume
assert_fails -e "is mounted on $MNT" gc
mkdir -p volume/data/00/10
head -c 20 /dev/zero >volume/data/00/10/1000000000100005_20
echo more >"$MNT/more"
curvefs gc "$MNT" --min-age 0 --json >said
assert_eq "$(json said objects) $(json said failed)" '1 0' 'objects deleted and failed'
[ -e volume/data/00/10/1000000000100005_20 ]
[ ! -e volume/data/05/00/0000000000000005_10 ]
umount_volume

gc >said
grep -q '1 objects (20 B) that nothing names deleted' said
gc --json >said
assert_eq "$(json said objects) $(json said pending) $(json said orphans)" '0 0 0' 'what a second run finds'
assert_eq "$(objects)" 5 'number of objects at the end'
curvefs fsck --meta-dir "$META" "$VOLUME"

# A store that cannot delete is said.
head -c 10 /dev/zero >volume/data/05/00/0000000000000005_10
CURVEFS_STORE_FAULTS='delete:error=EIO' assert_fails -e '1 objects could not be deleted' gc
mount_volume
for i in 1 2 3; do assert_eq "$(cat "$MNT/$i")" "$i"; done
assert_eq "$(cat "$MNT/more")" more
