# SPDX-License-Identifier: Apache-2.0
# The same with S3: lost metadata is restored, twice.
export CURVEFS_RUN_DIR=$CASE_DIR/run
start_s3
fresh_volume
mount_volume
mkdir "$MNT/d"
head -c 3000000 /dev/urandom >"$MNT/d/large"
for i in {1..20}; do echo "$i" >"$MNT/d/f$i"; done
umount_volume # which ships
mount_volume --meta-backup=1
rm "$MNT/d/f20"
echo changed >"$MNT/d/f1"
(cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >wanted
backup() { curvefs status --json | json - "mounts.0.meta_backup.$1"; }
newest=$(backup sequence)
copied() { [ "$(backup shipped_sequence)" -ge "$newest" ]; }
wait_for 10 copied
kill_daemon
for _ in 1 2; do
	rm -rf "$META" "$CACHE"
	mkdir "$META" "$CACHE"
	curvefs restore "$VOLUME" --meta-dir "$META"
	mount_volume
	(cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >got
	diff wanted got
	umount_volume
done
