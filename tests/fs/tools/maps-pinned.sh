# SPDX-License-Identifier: Apache-2.0
# maps shows maps as they are pinned, and none that another version, or somebody else, has made.
# They are made by the test, so that this needs no module.
need_root
bpf_on && skip "the daemon has pinned its own"
mount -t bpf bpf /sys/fs/bpf 2>/dev/null || skip "no bpffs here"
fresh_volume
mount_volume
echo hello >"$MNT/file"
assert_eq "$(stat -c %i "$MNT/file")" 2
pins=/sys/fs/bpf/curvefs/$(stat -c %Ld "$MNT")
mkdir -p "$pins"
again() { # [WRONG]
	rm -f "$pins"/*
	pin-maps "$pins" "$@"
}

status=0
again >said || status=$?
[ "$status" != 77 ] || skip "$(cat said)"
assert_eq "$status" 0
curvefs maps "$MNT" --json >dumped
assert_eq "$(json dumped inode.max_entries)" 8
assert_eq "$(json dumped dentry_long.entries.0.path)" "/$(printf 'l%.0s' {1..200})"
assert_eq "$(json dumped read_cache.entries.0.path)" /file
assert_eq "$(json dumped read_cache.entries.0.valid)" 0x0000000000000005
curvefs maps "$MNT" >said
grep -Eq '^ +1 +2 +/file$' said
grep -Eq '^ +1 +absent +/absent$' said
grep -Eq '^ +999 +absent +\?/absent$' said
grep -Eq '^ +1 +040755 +6 +- +all-names no-xattr +/$' said
grep -Eq '^ +2 +100644 +6 +7 +cached lent +/file$' said
grep -Eq '^ +3 +100644 +6 +- +\?$' said
grep -Eq '^ +2 +3 +7 +12582912 +0x0000000000000005 +9 +/file$' said
grep -Eq '^ +2 +6 +40 +16777216 +0-3 +/file$' said
grep -Eq '^ +3 +6 +0 +7 +- +\?$' said
grep -Eq '^ +2 +3 +6 +0-2,63-64,1023 +/file$' said
assert_eq "$(json dumped dirty.entries.0.ranges)" 0-2,63-64,1023
curvefs maps "$MNT" -n 2 >said
grep -q '^inode: 2 (there are more, see --limit) of at most 8 entries' said
assert_eq "$(curvefs maps "$MNT" --map inode --json | json - inode.truncated)" false

again magic
assert_fails -e "are not extfuse's" curvefs maps "$MNT"
again version
assert_fails -e ", this tool is of" curvefs maps "$MNT"
again layout
assert_fails -e "does not fit their version" curvefs maps "$MNT"
again sizes
assert_fails -e "bytes, but this tool knows" curvefs maps "$MNT"

rm -r "$pins"
assert_fails -e "BPF is off" curvefs maps "$MNT"
