# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A warm tree costs the daemon nothing: open, read and close, listings, attributes that are not there, absent names.
fresh_volume
mount_volume
mkdir -p "$MNT/tree/sub"
for i in {1..40}; do
	head -c $((i * 300)) /dev/urandom >"$MNT/tree/file$i"
	echo "$i" >"$MNT/tree/sub/small$i"
done
: >"$MNT/tree/empty"
ln -s file1 "$MNT/tree/link"
chmod u+s "$MNT/tree/file2"
use() {
	cat "$MNT"/tree/file* "$MNT"/tree/sub/* "$MNT/tree/empty" "$MNT/tree/link" | sha256sum
	# shellcheck disable=SC2012 # what ls asks for is what is to be seen
	ls -laR "$MNT/tree" | sha256sum
	find "$MNT/tree" -printf '%p %s %l\n' | sort | sha256sum
	getfattr -R -d -m - "$MNT/tree"
	not test -e "$MNT/tree/none"
	readlink "$MNT/tree/link"
	test -r "$MNT/tree/file1" -a -w "$MNT/tree/file1"
}
use >first
use >second
cmp first second
warm() { use >third; }
assert_daemon_not_asked lookup getattr open read flush release opendir readdir readdirplus releasedir \
	getxattr listxattr readlink access -- warm
cmp first third
assert_kernel_hits open release -- warm

# statfs is the daemon's once a second, and as soon as something has changed.
df "$MNT" >/dev/null
ask() { for _ in {1..20}; do stat -f "$MNT" >/dev/null; done; }
assert_kernel_hits statfs -- ask
run_python <<'EOF'
def used():
    v = os.statvfs(".")
    return v.f_files - v.f_ffree, v.f_blocks - v.f_bfree
for i in range(20):
    files, blocks = used()
    assert used() == (files, blocks)
    with open("new%d" % i, "wb") as f:
        f.write(bytes(20000))
    assert used() == (files + 1, blocks + 5), (i, used(), files, blocks)
    os.truncate("new%d" % i, 4096)
    assert used() == (files + 1, blocks + 1), (i, used(), files, blocks)
EOF
rm "$MNT"/new*

# What is removed while it is open here and nowhere else is still read, by whomever; then it is gone.
exec 3<"$MNT/tree/file40"
sha256sum <"$MNT/tree/file40" >wanted
rm "$MNT/tree/file40"
sha256sum </proc/self/fd/3 >got
cmp wanted got
sha256sum <&3 >got
cmp wanted got
exec 3<&-
not test -e "$MNT/tree/file40"

# Changed while it is open here: the reader sees it, cache or not.
exec 3<"$MNT/tree/file39"
echo changed >"$MNT/tree/file39"
assert_eq "$(cat <&3)" changed
exec 3<&-
# A mapping of it, seeking and copying from it work as well.
python3 - "$MNT/tree/file38" "$MNT/tree/copy" <<'EOF'
import mmap, os, sys
source, copy = sys.argv[1:]
wanted = open(source, 'rb').read()
fd = os.open(source, os.O_RDONLY)
assert mmap.mmap(fd, 0, prot=mmap.PROT_READ)[:] == wanted
assert os.lseek(fd, 0, os.SEEK_DATA) == 0
assert os.lseek(fd, 0, os.SEEK_HOLE) == len(wanted)
out = os.open(copy, os.O_RDWR | os.O_CREAT)
assert os.copy_file_range(fd, out, len(wanted), 0, 0) == len(wanted)
os.fsync(fd)
os.close(out)
assert open(copy, 'rb').read() == wanted
EOF
# An attribute that is set is seen, one that is removed is not.
setfattr -n user.colour -v blue "$MNT/tree/file3"
assert_eq "$(getfattr --only-values -n user.colour "$MNT/tree/file3")" blue
setfattr -x user.colour "$MNT/tree/file3"
assert_fails -e "No such attribute" getfattr -n user.colour "$MNT/tree/file3"
umount_volume
# No inode stayed behind for want of a RELEASE.
curvefs fsck "$VOLUME" --meta-dir "$META"
curvefs gc "$VOLUME" --meta-dir "$META" --min-age=0 --dry-run | grep -q '0 files'
