# SPDX-License-Identifier: Apache-2.0
# The metadata's files, damaged in every way: the mount is refused with an error that names the directory, or
# what can be read is right and the rest is an error. Nothing is silently gone or other than it was.
bpf_on && skip "nothing of this depends on the kernel"
fresh_volume
mount_volume
for i in {0..9}; do echo "content $i" >"$MNT/f$i"; done
mkdir "$MNT/d"
ln -s f1 "$MNT/l"
remount_volume
echo "content 10" >"$MNT/f10"
umount_volume
cp -a "$META" good
rm -r "$CACHE"

check_tree() { # mounted: every entry as it was, or an error
	local name i
	for i in {0..10}; do
		name=$MNT/f$i
		[ "$(cat "$name" 2>>errors || echo error)" = "content $i" ] || grep -q "f$i: Input/output error" errors ||
			fail "$name is gone or wrong: $(cat "$name" 2>&1)"
	done
	ls "$MNT" >listed 2>>errors || return 0
	assert_eq "$(wc -l <listed)" 13 "number of entries"
}
damaged() { # WHAT
	local status=0
	: >errors
	timeout 20 curvefs-fuse --bpf-cache=off --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT" >said 2>&1 || status=$?
	echo "$1: status $status: $(tail -n 1 said)"
	[ "$status" -lt 98 ] # neither a crash nor a hang
	if [ "$status" = 0 ]; then
		check_tree
		curvefs umount "$MNT"
	else
		grep -q "$META" said
		not is_mounted "$MNT"
	fi
	rm -rf "$META"
	cp -a good "$META"
}
ls good/*.sst >/dev/null # or nothing would be tried below
flip_middle "$META"/*.sst; damaged "tables flipped"
for table in "$META"/*.sst; do truncate -s 400 "$table"; done; damaged "tables cut"
rm "$META"/*.sst; damaged "tables missing"
flip_middle "$META"/MANIFEST-*; damaged "MANIFEST flipped"
truncate -s 40 "$META"/MANIFEST-*; damaged "MANIFEST cut"
rm "$META"/MANIFEST-*; damaged "MANIFEST missing"
echo garbage >"$META/CURRENT"; damaged "CURRENT garbage"
for log in "$META"/*.log; do head -c 3000 /dev/urandom >"$log"; done; damaged "log garbage"
for options in "$META"/OPTIONS-*; do echo garbage >"$options"; done; damaged "OPTIONS garbage"
mount_volume
check_tree
assert_eq "$(cat errors)" ""
umount_volume

# The log of a killed daemon: torn at its end it is what a crash leaves, damaged it would lose what was acknowledged.
mount_volume
for i in {0..99}; do mkdir "$MNT/d/$i"; done
kill_daemon
log=$(find "$META" -maxdepth 1 -name '*.log' -size +4k)
flip_middle "$log"
assert_fails -e "${log##*/} is damaged" \
	curvefs-fuse --bpf-cache=off --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT"
assert_fails -e "curvefs restore" curvefs fsck --meta-dir "$META" "$VOLUME"
flip_middle "$log"
truncate -s -5 "$log"
mount_volume
check_tree
assert_eq "$(find "$MNT/d" -mindepth 1 | wc -l)" 99
umount_volume
curvefs fsck --meta-dir "$META" "$VOLUME"
