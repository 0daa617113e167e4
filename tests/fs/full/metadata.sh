# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The metadata's disk is full: ENOSPC to whoever changes something, everything can be read, and it goes on
# by itself when there is space again.
need_root
mkdir -p "$META"
mount -t tmpfs -o size=64M,mode=700 meta "$META"
fresh_volume
mount_volume
echo before >"$MNT/file"
head -c 60M /dev/zero >"$META/ballast" 2>/dev/null || true
head -c 60M /dev/zero >>"$META/ballast" 2>/dev/null || true

run_python <<'PYTHON'
made = 0
try:
    for i in range(10000):
        os.mkdir(f'd{i}')
        made += 1
        os.setxattr(f'd{i}', 'user.large', bytes(60000))
except OSError as e:
    assert e.errno == errno.ENOSPC, e
else:
    raise AssertionError('never full')
raises(errno.ENOSPC, os.setxattr, 'file', 'user.large', bytes(60000))
assert open('file').read() == 'before\n'
assert len(os.listdir('.')) == made + 1

PYTHON
curvefs stats "$MNT" >/dev/null

rm "$META/ballast"
wait_for 30 mkdir "$MNT/after"
echo after >"$MNT/after/file"
sync "$MNT/after/file"
find "$MNT" | sort >listed
kill_daemon
# Less than opening takes, at which RocksDB would abort.
for free in 0 40 400; do
	head -c 100M /dev/zero >"$META/ballast" 2>/dev/null || true
	truncate -s "-${free}K" "$META/ballast"
	assert_fails -e "No space left on device, where" \
		curvefs-fuse --bpf-cache=off --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT"
	rm "$META/ballast"
done
mount_volume
find "$MNT" | sort | cmp - listed
assert_eq "$(cat "$MNT/file" "$MNT/after/file")" $'before\nafter'
umount_volume
curvefs fsck --meta-dir "$META" "$VOLUME"
