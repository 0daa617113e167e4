# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# --writeback: acknowledged when the local disk has it, uploaded later; what is lost with what, and what is not.
export CURVEFS_RUN_DIR=$CASE_DIR/run
fresh_volume
store=${VOLUME#file://}
objects() { find "$store" -path '*/data/*' -type f | wc -l; }
status() { # NAME.NAME: of the mount that is up; those that were killed are listed too
	curvefs status --json | python3 -c 'import functools, json, sys
up = [m for m in json.load(sys.stdin)["mounts"] if m["state"] == "up"]
print(functools.reduce(lambda m, name: m[name], sys.argv[1].split("."), up[0]))' "$1"
}
waiting() { status writeback.objects; }
journal() { find "$META/journal" -type f | wc -l; }
journal_has_at_most() { [ "$(journal)" -le "$1" ]; }
seen() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

assert_fails -e "--upload-delay means something with --writeback only" \
	curvefs-fuse --upload-delay=1 "$VOLUME" "$MNT"

# What is closed is in the journal, not in the store, and is read from there also without a cache.
mount_volume --writeback --upload-delay=3600 --meta-backup=3600
head -c 9000000 /dev/urandom >"$MNT/large"
for i in {1..20}; do echo "$i" >"$MNT/f$i"; done
assert_eq "$(objects)" 0 "objects in the store"
[ "$(waiting)" -ge 23 ]
curvefs status | grep -q 'objects (.*) wait for their upload, the oldest for'
seen "$MNT" >wanted
curvefs fsck "$MNT" | grep -q ': clean'
# What is removed before its upload is never uploaded.
before=$(journal)
echo brief >"$MNT/brief"
rm "$MNT/brief"
wait_for 15 journal_has_at_most "$before"
assert_eq "$(objects)" 0 "objects in the store"

# kill -9 loses nothing of it, whatever the next mount is; nor does the loss of the cache.
kill_daemon
[ "$(journal)" -ge 23 ]
curvefs fsck "$VOLUME" --meta-dir "$META" | grep -q ': clean'
rm -rf "$CACHE"
mkdir "$CACHE"
mount_volume -o ro
seen "$MNT" >got
diff wanted got
assert_eq "$(objects)" 0 "objects in the store after a read-only mount"
umount_volume
mount_volume
seen "$MNT" >got
diff wanted got
wait_for 20 journal_has_at_most 0
[ "$(objects)" -ge 23 ]
umount_volume

# The machine is lost: what the copy of the metadata names is in the store, whatever was not uploaded.
mount_volume --writeback --upload-delay=3600 --meta-backup=3600
echo shipped >"$MNT/shipped"
assert_eq "$(waiting)" 1
curvefs sync "$MNT"
assert_eq "$(waiting)" 0
echo "only here" >"$MNT/lost"
head -c 5000000 /dev/urandom >"$MNT/f1"
cp "$MNT/shipped" wanted.shipped
kill_daemon
mv "$META" old-meta
rm -rf "$CACHE"
mkdir "$META" "$CACHE"
curvefs restore "$VOLUME" --meta-dir "$META" --break-lease >/dev/null
mount_volume
cmp wanted.shipped "$MNT/shipped"
assert_eq "$(cat "$MNT/f1")" 1
[ ! -e "$MNT/lost" ]
seen "$MNT" >/dev/null
curvefs fsck "$MNT" | grep -q ': clean'
umount_volume

# The store fails: nobody who writes is told, the copy of the metadata does not run ahead of the objects,
# and when the store is well again all of it arrives.
CURVEFS_STORE_FAULTS='put:error=EIO,key=data/,times=40' mount_volume --writeback --retries=1
for i in {1..20}; do echo "again $i" >"$MNT/g$i"; done
wait_for 10 grep -q "cannot be uploaded, it is kept in" "$CASE_DIR/daemon.log"
copied() { status meta_backup.shipped_sequence; }
before=$(copied)
assert_fails curvefs sync "$MNT"
assert_eq "$(copied)" "$before" "copy of the metadata"
curvefs status | grep -q 'the last one failed'
for _ in {1..60}; do curvefs sync "$MNT" 2>/dev/null && break; done
assert_eq "$(waiting)" 0
[ "$(copied)" -gt "$before" ]
seen "$MNT" >wanted
umount_volume
rm -rf "$META"
mkdir "$META"
curvefs restore "$VOLUME" --meta-dir "$META" >/dev/null
mount_volume -o ro
seen "$MNT" >got
diff wanted got
umount_volume

# No room for the journal: straight to the store.
mount_volume --writeback --free-space-ratio=1 --upload-delay=3600
before=$(objects)
echo direct >"$MNT/direct"
assert_eq "$(objects)" $((before + 1)) "objects in the store"
umount_volume
