# SPDX-License-Identifier: Apache-2.0
# Without the module, --bpf-cache=require refuses with the reason; auto mounts all the same.
[ "$BPF" = off ] || skip "the module is here"
! [ -e /dev/extfuse ] || skip "the module is here"
fresh_volume
assert_fails -e extfuse curvefs-fuse --bpf-cache --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT"
not is_mounted "$MNT"
BPF=auto
mount_volume
echo works >"$MNT/f"
assert_eq "$(cat "$MNT/f")" works
umount_volume
grep -q extfuse daemon.log
