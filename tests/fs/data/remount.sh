# SPDX-License-Identifier: Apache-2.0
# Everything about a tree is the same after a remount, its inode numbers included.
fresh_volume
mount_volume
cd "$MNT"
mkdir -p a/b/c empty
for i in 1 2 3; do seq "$i" 5000 >"a/b/f$i"; done
ln a/b/f1 a/hard
ln -s b/f2 a/soft
chmod 640 a/b/f3
setfattr -n user.note -v kept a/b/f3
mkfifo a/fifo
touch -d '2001-02-03 04:05:06.789012345' a/b/f2
cd "$CASE_DIR"
picture() { (cd "$MNT" && find . -printf '%p %y %i %m %n %s %U:%G %T@ %l\n' | sort && find . -type f -exec sha256sum {} + | sort); }
picture >before
for _ in 1 2; do
	remount_volume
	picture >after
	diff before after
	assert_eq "$(getfattr --only-values -n user.note "$MNT/a/b/f3")" kept
done
