# SPDX-License-Identifier: Apache-2.0
# maps shows what the kernel knows, with path names; without BPF it says why there is nothing.
fresh_volume
mount_volume
mkdir "$MNT/dir"
echo hello >"$MNT/dir/file"
long=$(printf 'l%.0s' {1..100})
echo long >"$MNT/dir/$long"
if ! bpf_on; then
	assert_fails -e "BPF is off" curvefs maps "$MNT"
	exit 0
fi
curvefs warmup "$MNT"
stat "$MNT/dir/absent" 2>/dev/null || true
curvefs maps "$MNT" --json >dumped
python3 - "$(stat -c %i "$MNT/dir/file")" "$long" <<'EOP'
import json, sys
maps, ino, long = json.load(open("dumped")), int(sys.argv[1]), sys.argv[2]
inodes = {e["ino"]: e for e in maps["inode"]["entries"]}
assert inodes[ino]["path"] == "/dir/file", inodes[ino]
assert inodes[ino]["size"] == 6 and inodes[ino]["cached"], inodes[ino]
assert {e["path"]: e["ino"] for e in maps["dentry"]["entries"]}["/dir/file"] == ino
assert any(e["name"] == long for e in maps["dentry_long"]["entries"])
EOP
curvefs maps "$MNT" --map inode | grep -q '/dir/file$'
# A file that is written in the kernel.
mkfifo end
python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(fd, b"first\n")
os.write(fd, b"second\n")
open("written", "w")
sys.stdin.read()' "$MNT/dir/lent" <end &
exec 5>end
wait_for 20 test -e written
[ "$(stat_counter kernel.write.hit)" -gt 0 ]
curvefs maps "$MNT" --map written | grep -Eq ' 13 +13 +[0-9]+ +0-0 +/dir/lent$'
curvefs maps "$MNT" --map dirty | grep -Eq ' 0 +1 +0 +/dir/lent$'
curvefs maps "$MNT" --map inode | grep -Eq ' cached lent .*/dir/lent$'
exec 5>&-
wait $!
curvefs maps "$MNT" -n 1 | grep -q 'there are more'
assert_fails -e "no map 'nonsense'" curvefs maps "$MNT" --map nonsense
umount_volume
assert_fails -e "not on a curvefs mount" curvefs maps "$MNT"
