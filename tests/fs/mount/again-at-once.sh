# SPDX-License-Identifier: Apache-2.0
# A volume can be mounted again as soon as umount(8) is back, though its daemon may still be ending.
fresh_volume
for round in 1 2 3; do
	curvefs-fuse --bpf-cache="$BPF" --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT"
	assert_eq "$(ls "$MNT" | wc -l)" $((round - 1))
	head -c 3000000 /dev/urandom >"$MNT/f$round"
	umount "$MNT"
done
wait_for 10 not pgrep -x curvefs-fuse
