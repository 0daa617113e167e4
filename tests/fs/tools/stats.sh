# SPDX-License-Identifier: Apache-2.0
# stats counts what reached the daemon and the store, in JSON and for people.
fresh_volume
mount_volume
case_stats before
mkdir "$MNT/d"
head -c 100000 /dev/urandom >"$MNT/d/f"
case_stats after
assert_eq "$(case_grown daemon.mkdir)" 1
assert_eq "$(case_grown daemon.create)" 1
[ "$(case_grown store.put)" -ge 1 ]
[ "$(case_grown store.bytes.put)" -ge 100000 ]
all=$CASE_DIR/stats.after
[ "$(json "$all" memory.resident_bytes)" -gt 1000000 ]
assert_eq "$(json "$all" volume.inodes)" 3
for key in kernel.lookup.hit kernel.read.miss kernel.getattr.negative daemon.getattr store.get store.put \
	store.delete store.list store.head cache.bytes cache.hits cache.misses ring.records ring.lost; do
	json "$all" "$key" >/dev/null
done

# Asking is not counted as use of the file system.
cp "$all" stats.before
curvefs stats "$MNT" >said
case_stats after
assert_eq "$(case_grown daemon.getattr)" 0
grep -Eq '^create +1$' said
grep -Eq '^put +[0-9]+ +[0-9.]+ KiB' said

curvefs stats -i 0.1 -c 2 --json "$MNT" >lines
assert_eq "$(wc -l <lines)" 2
assert_eq "$(tail -n 1 lines | json - daemon.create)" 0 "creations in the last interval"
assert_fails -e "not on a curvefs mount" curvefs stats /proc
assert_fails -e "did you mean --json" curvefs stats --jsn "$MNT"
