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
