# SPDX-License-Identifier: Apache-2.0
# mount.curvefs takes what mount(8) gives it, fstab options that are not ours included.
need_root
fresh_volume
helper=$CASE_DIR/mount.curvefs
ln -s "$CURVEFS_BUILD/curvefs-fuse" "$helper"
"$helper" "$VOLUME" "$MNT" -o "rw,noatime,_netdev,x-systemd.automount,bpf-cache=$BPF,meta-dir=$META,cache-dir=$CACHE"
echo works >"$MNT/f"
assert_eq "$(cat "$MNT/f")" works
daemon=$(pgrep -x mount.curvefs)
umount "$MNT"
wait_for 10 not is_running "$daemon"
assert_fails "$helper" "$VOLUME" "$MNT" -o no-such-option
