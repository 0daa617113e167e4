# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# curvefs fsck: of a volume that is mounted, of one that is not, and of broken ones.
fsck() { # STATUS [OPTION...]
	local status=0 wanted=$1
	shift
	curvefs fsck --meta-dir "$META" "$VOLUME" "$@" >fsck.out 2>&1 || status=$?
	assert_eq "$status" "$wanted" "status of fsck $*, which said '$(<fsck.out)'"
}
says() { grep -qF -- "$1" fsck.out || fail "fsck does not say '$1' but: $(<fsck.out)"; }

fresh_volume
mount_volume
mkdir "$MNT/dir"
dd if=/dev/urandom of="$MNT/dir/file" bs=64K count=20 status=none
echo small >"$MNT/dir/small"
ln "$MNT/dir/small" "$MNT/hard"
ln -s target "$MNT/soft"

# Mounted: by its daemon, as it is; not behind its back.
curvefs fsck "$MNT/dir" | grep -q 'clean; 2 objects in use'
curvefs fsck --json "$MNT" | json - problem_count | grep -qx 0
assert_fails -e 'wants the volume unmounted' curvefs fsck --repair "$MNT"
fsck 8
says "is mounted on $MNT: unmount it, or give $MNT instead"
umount_volume

fsck 0
says 'clean; 2 objects in use, 1.3 MiB'
fsck 0 --repair
fsck 0 --json
assert_eq "$(json fsck.out left_count)" 0

# Broken metadata: said, and changed only if asked to.
dir=2 # the first number that is given away
metarecord "$META" D "$dir" small
metarecord "$META" I "$dir"
fsck 4
says 'name dir in 1 leads to 2, which is not of its type'
fsck 4
fsck 1 --repair
says 'repaired'
fsck 0
mount_volume
assert_eq "$(cat "$MNT/dir/small" "$MNT/hard")" $'small\nsmall'
umount_volume

# A name without anything behind it, and an inode without a name.
metarecord "$META" I 5
metarecord "$META" S 5
metarecord "$META" D 1 hard
metarecord "$META" N =rubbish
fsck 1 --repair
fsck 0
mount_volume
assert_fails stat "$MNT/soft"
umount_volume

# An object that is lost, and one that is cut short: the files are named, and stay an error.
object=$(find volume/data -type f -size +1000k)
cp -p "$object" saved
: >"$object"
fsck 4
says '(dir/file) has 0 bytes instead of 1310800'
rm "$object"
fsck 4 --repair
says '(dir/file) is not in the store: the 1310720 bytes it held are lost'
says '1 left'
rm -rf "${CACHE:?}"/*
mount_volume
assert_fails -e 'Input/output error' cat "$MNT/dir/file"
assert_fails test "$(curvefs fsck "$MNT" >fsck.out; echo $?)" = 0
says 'dir/file'
umount_volume
mv saved "$object"
fsck 0

# Damage that only reading finds: a bit in it, and in an object that files share.
small=$(find volume/data -type f -size 1)
mount_volume
cp "$MNT/dir/small" "$MNT/shared" # without moving data
echo other >"$MNT/other"
umount_volume
fsck 0 --read-data
says 'clean; 3 objects in use, 1.3 MiB; 3 of them read and good, 1.3 MiB'
flip_middle "$object" "$small"
fsck 0
fsck 4 --read-data
says "(dir/file) is damaged: ${object#volume/} does not fit its checksum from byte 655400 on"
grep -q "of file [0-9]* (.*) and of file [0-9]* (shared) is damaged: ${small#volume/} does not fit" fsck.out
says "${small#volume/} does not fit its checksum from byte 0 on"
says '2 problems; 3 objects in use, 1.3 MiB; 1 of them read and good'
fsck 4 --read-data --repair
says '2 left'
mount_volume
assert_fails test "$(curvefs fsck --read-data --json "$MNT" >fsck.json; echo $?)" = 0
assert_eq "$(json fsck.json left_count),$(json fsck.json objects),$(json fsck.json read_objects)" 2,3,1
umount_volume
flip_middle "$object" "$small"
fsck 0 --read-data
# A store that fails is no damage: it could not be checked.
CURVEFS_STORE_FAULTS='get:error=EIO,key=data/' fsck 4 --read-data
says 'cannot be read'

# What nothing names is no error.
mkdir -p volume/data/ff/00
cp "$object" volume/data/ff/00/100000000000ffff_1310720
fsck 0
says '1 objects (1.3 MiB) in the store are named by nothing'
# But its number is taken.
fsck 1 --repair
fsck 0
