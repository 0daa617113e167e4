# SPDX-License-Identifier: Apache-2.0
# The local metadata is lost: the volume comes back from the copy in its store, and whoever still has other
# metadata of it may not write any more.
export CURVEFS_RUN_DIR=$CASE_DIR/run
fresh_volume
mount_volume --meta-backup=3600
make_tree() { # DIR
	mkdir -p "$1/a/b" "$1/empty"
	head -c 5000000 /dev/urandom >"$1/a/large"
	for i in {1..50}; do echo "$i" >"$1/a/b/f$i"; done
	ln "$1/a/large" "$1/second-name"
	ln -s a/large "$1/link"
	chmod 4750 "$1/a/b/f1"
	touch -d '2001-02-03 04:05:06.789' "$1/a/b/f2"
	setfattr -n user.colour -v blue "$1/a/b/f3"
	truncate -s 3000000000 "$1/sparse"
	mkfifo "$1/fifo"
}
seen() { # DIR: names, attributes, contents
	(
		cd "$1"
		find . -mindepth 1 -printf '%p %y %m %U:%G %n %s %T@ %l\n' | sort
		find . -type f ! -name sparse -print0 | sort -z | xargs -0 sha256sum
		getfattr -R -d . | sort
	)
}
make_tree "$MNT"
curvefs sync "$MNT"
curvefs status --json >now.json
assert_eq "$(json now.json mounts.0.lease.state)" held
assert_eq "$(json now.json mounts.0.meta_backup.checkpoints)" 1
seen "$MNT" >wanted
# More of it as a log behind the checkpoint; and an object that the copy still names is not deleted.
objects() { find "${VOLUME#file://}/data" -type f | wc -l; }
before=$(objects)
rm "$MNT/a/b/f50"
echo other >"$MNT/a/b/f49"
echo new >"$MNT/lost"
wait_for 5 test "$(objects)" -ge "$((before + 2))"
sleep 0.5
[ "$(objects)" -ge "$before" ]
# The machine is gone, with all that it had.
kill -KILL "$DAEMON"
wait_for 10 not is_running "$DAEMON"
wait "$DAEMON" || true
unset "case_daemons[$MNT]"
umount "$MNT"
mv "$META" old-meta
rm -rf "$CACHE"
mkdir "$META" "$CACHE"

assert_fails -e "curvefs restore $VOLUME --meta-dir $META" mount_volume
# There must be nothing that could be overwritten.
assert_fails -e "not an empty directory" curvefs restore "$VOLUME" --meta-dir old-meta
curvefs restore "$VOLUME" --meta-dir "$META" --json >restored
assert_eq "$(json restored inodes)" $((1 + $(grep -c '^\./' wanted) - 1))
mount_volume --meta-backup=3600
seen "$MNT" >got
diff wanted got
# Numbers that the lost mount may have used are not used again.
echo more >"$MNT/more"
[ "$(stat -c %i "$MNT/more")" -gt 4294967296 ]
umount_volume
# After a clean end everything is in the copy, the log in parts of its own.
mount_volume
seen "$MNT" >wanted
umount_volume
rm -rf "$META"
curvefs restore "$VOLUME" --meta-dir "$META" | grep "mount it with: curvefs-fuse --meta-dir $META $VOLUME"
mount_volume -o ro
seen "$MNT" >got
diff wanted got
umount_volume
# The metadata that was believed to be lost turns up.
META=$CASE_DIR/old-meta
assert_fails -e "was restored elsewhere" mount_volume
