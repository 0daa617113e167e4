# SPDX-License-Identifier: Apache-2.0
# Directories of data and metadata, and the control socket, are the daemon's user's alone.
bpf_on && skip "nothing of this depends on the kernel"
need_root
mode() { stat -c %a "$1"; }
refused() { # TEXT DIRECTORY: as --cache-dir
	assert_fails -e "$1" curvefs-fuse --bpf-cache=off --meta-dir "$META" --cache-dir "$2" "$VOLUME" "$MNT"
	not is_mounted "$MNT"
}
mkdir -m 0755 "$META" "$CACHE"
mkdir "$CACHE/lost+found" # as on a file system of its own
fresh_volume
mount_volume
echo secret >"$MNT/f"
chmod 0755 "$MNT"
assert_eq "$(mode "$META") $(mode "$CACHE") $(mode "$CACHE/data") $(mode "$CACHE/index")" "700 700 700 700"
assert_eq "$(find "$META" "$CACHE" -type f -perm /077 | wc -l)" 0

# The socket: through no directory, and should that be open, by no connection.
run=/run/curvefs/$(awk -v at="$MNT" '$5 == at { sub(".*:", "", $3); print $3 }' /proc/self/mountinfo)
assert_eq "$(mode "$run") $(mode "$run/control.sock") $(mode "$run/mount.json")" "700 600 600"
ask='import os, socket, sys
os.chdir(sys.argv[1])
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX)
s.connect("control.sock")
try: s.sendall(b"{\"cmd\": \"status\"}\n")
except BrokenPipeError: pass # answered already
print(s.recv(65536).decode())'
assert_fails -e Permission python3 -c "$ask" "$run" 12345
chmod 711 "$run"
chmod 666 "$run/control.sock"
python3 -c "$ask" "$run" 12345 >answer
grep -q "only the owner of the mount and root may ask" answer
python3 -c "$ask" "$run" 0 >answer
grep -q '"state": *"up"' answer
umount_volume

# Directories that are not for this, or not ours: refused, and left as they are.
mkdir -m 1777 shared
touch shared/somebody
refused "give a directory" "$CASE_DIR/shared"
mkdir -m 0755 photos
touch photos/cat
refused "other things are in it" "$CASE_DIR/photos"
mkdir -m 0700 others
chown 12345 others
refused "belongs to user 12345" "$CASE_DIR/others"
assert_fails -e "belongs to user 12345" curvefs format "file://$CASE_DIR/second" --meta-dir "$CASE_DIR/others"
assert_eq "$(mode shared) $(mode photos) $(ls -A others)" "1777 755 "

# One that was opened up later is closed again.
chmod 0755 "$META" "$CACHE"
mount_volume
assert_eq "$(mode "$META") $(mode "$CACHE")" "700 700"
assert_eq "$(cat "$MNT/f")" secret
umount_volume

# Links that somebody planted lead nowhere: nothing outside is written, and the mount works.
mkdir outside
ino=$(printf '%02x' 2)
rm -rf "$CACHE/data/$ino"
ln -s "$CASE_DIR/outside" "$CACHE/data/$ino"
assert_fails -e "Not a directory" curvefs-fuse --bpf-cache=off --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT"
rm "$CACHE/data/$ino"
mount_volume
python3 - "$CACHE/data" outside <<'EOP' # while it is mounted: every directory there is
import os, shutil, sys
for name in os.listdir(sys.argv[1]):
    path = os.path.join(sys.argv[1], name)
    shutil.rmtree(path)
    os.symlink(os.path.abspath(sys.argv[2]), path)
EOP
echo new >"$MNT/g"
echo more >>"$MNT/f"
assert_eq "$(cat "$MNT/f" "$MNT/g" | tr '\n' ' ')" "secret more new "
ln -s /etc/passwd "$CASE_DIR/volume/data/link"
sync -f "$MNT/g"
assert_eq "$(ls -A outside)" ""
umount_volume
assert_fails -e "Not a directory" curvefs-fuse --bpf-cache=off --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT"
rm -r "$CACHE"
mount_volume
assert_eq "$(cat "$MNT/f" "$MNT/g" | tr '\n' ' ')" "secret more new "
