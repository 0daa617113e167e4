# SPDX-License-Identifier: Apache-2.0
# A damaged cache is a smaller cache: whatever is done to its files, every byte read is right.
bpf_on && skip "what the kernel reads, the daemon has checked before"
fresh_volume
mount_volume
for i in {0..7}; do head -c 200000 /dev/urandom >"good$i"; cp "good$i" "$MNT/f$i"; done
umount_volume
cp -a "$CACHE" kept
check() {
	local i
	mount_volume
	for i in {0..7}; do cmp "good$i" "$MNT/f$i"; done
	umount_volume
	[ $# = 0 ] || { rm -r "$CACHE"; cp -a kept "$CACHE"; }
}
# Data files: flipped, cut, grown, gone, links, directories, of others.
mapfile -t files < <(find "$CACHE/data" -type f | sort)
assert_eq ${#files[@]} 8
flip_middle "${files[0]}"
truncate -s 70000 "${files[1]}"
head -c 100000 /dev/urandom >>"${files[2]}"
rm "${files[3]}"
ln -sf "$CASE_DIR/good0" "${files[4]}"
rm "${files[5]}" && mkdir "${files[5]}"
cp "${files[7]}" "${files[6]}"
rm "${files[7]}" && mkfifo "${files[7]}"
check
check kept
# Pack files: the same, and small files that are fetched share one.
rm -r "$CACHE" && mkdir "$CACHE"
mount_volume
for i in {0..7}; do head -c 3000 "good$i" >"tiny$i" && cp "tiny$i" "$MNT/t$i"; done
umount_volume
rm -r "$CACHE" && mkdir "$CACHE"
tiny() { # PACKED: so many of them are in a pack before they are read
	local i
	mount_volume
	assert_eq "$(stat_counter cache.packed)" "$1" "files in packs"
	for i in {0..7}; do cmp "tiny$i" "$MNT/t$i"; done
	assert_eq "$(stat_counter cache.packed)" 8 "files in packs"
	umount_volume
}
tiny 0
tiny 8
pack() { find "$CACHE/data/packs" -type f; }
flip_byte() { printf '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
for i in {1..3}; do flip_byte "$(pack)" $((i * 4096 + i)); done
truncate -s 20000 "$(pack)"
tiny 8
ln -sf "$CASE_DIR/good0" "$(pack)"
tiny 0
file=$(pack)
rm "$file" && mkdir "$file"
tiny 0
rm -r "$CACHE" && cp -a kept "$CACHE"
# The index.
for kind in MANIFEST CURRENT log sst; do
	find "$CACHE/index" -name "*$kind*" -type f -print0 | while IFS= read -r -d '' file; do flip_middle "$file"; done
done
check kept
for file in "$CACHE"/index/*; do echo garbage >"$file"; done
check kept
rm -r "$CACHE/index" && mkdir "$CACHE/index"
check kept
rm -r "$CACHE/index" "$CACHE/data/0"? && ln -s /nonexistent "$CACHE/index"
assert_fails -e "cache" curvefs-fuse --bpf-cache=off --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT"
