# SPDX-License-Identifier: Apache-2.0
# In a memory cgroup that is tight, with the cache's pages charged to it too, everything works and nobody is killed.
bpf_on && skip "too much data for a machine that is emulated"
need_root
limit=$((96 << 20))
[[ $CURVEFS_BUILD != *-?san ]] || skip "a sanitizer takes more memory than that"
megabytes=50 options=(--buffer-size 16M)
mkdir groups
group=
try_group() { # HIERARCHY LIMIT-FILE
	mkdir "$1/curvefs-test-$(basename "$(dirname "$CASE_DIR")")" 2>/dev/null || return 1
	group=$(realpath "$1/curvefs-test-$(basename "$(dirname "$CASE_DIR")")")
	{ echo $limit >"$group/$2"; } 2>/dev/null || { rmdir "$group"; return 1; }
}
if ! { mount -t cgroup2 none groups && { echo +memory >groups/cgroup.subtree_control || true; } 2>/dev/null &&
	try_group groups memory.max; }; then
	old=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
	try_group "$old" memory.limit_in_bytes || skip "no memory cgroup to be had here"
fi
daemons_in_cgroup "$group"
fresh_volume
mount_volume "${options[@]}"
grep -qx "$DAEMON" "$group/cgroup.procs"
head -c "${megabytes}000000" /dev/urandom >large
for i in 1 2 3 4; do cp large "$MNT/large$i" & done
wait %2 %3 %4 %5
curvefs umount "$MNT"
daemon_ended
rm -r "$CACHE"
mount_volume "${options[@]}" # nothing is cached
for i in 1 2 3 4; do
	cmp large "$MNT/large$i" &
	readers[i]=$!
done
for i in 1 2 3 4; do wait "${readers[i]}"; done
events=$group/memory.events
[ -e "$events" ] || events=$group/memory.oom_control
killed=$(awk '$1 == "oom_kill" { print $2 }' "$events")
assert_eq "$killed" 0 "processes that were killed for want of memory"
umount_volume
wait_for 5 rmdir "$group"
