# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# With BPF the kernel keeps a directory's listing: who lists it again asks nobody. With and without, every
# change is seen at once.
fresh_volume
mount_volume
mkdir "$MNT/dir" "$MNT/other"
touch "$MNT"/dir/file{1..300}
listing() { find "$MNT/dir" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort >"$CASE_DIR/listed"; }
asked() { # COMMAND...: requests about directories that it made, if that must be none
	bpf_on || echo 0
	bpf_on || return 0
	case_stats before
	"$@"
	case_stats after
	echo $(($(case_grown daemon.opendir) + $(case_grown daemon.readdir) + $(case_grown daemon.readdirplus) +
		$(case_grown daemon.releasedir)))
}
# What the listing says after a change must be what the change made of it.
changed() { # COMMAND...
	listing
	"$@"
	listing
	(cd "$CASE_DIR" && diff <(sort expected) listed)
}
printf '%s\n' file{1..300} >expected
listing
listing
assert_eq "$(asked listing)" 0 "requests of a listing that was read before"
(cd "$CASE_DIR" && diff <(sort expected) listed)

echo new >>expected
changed touch "$MNT/dir/new"
sed -i '/^file7$/d' expected
changed rm "$MNT/dir/file7"
sed -i 's/^file8$/moved/' expected
changed mv "$MNT/dir/file8" "$MNT/dir/moved"
sed -i '/^moved$/d' expected
changed mv "$MNT/dir/moved" "$MNT/other/"
echo back >>expected
changed mv "$MNT/other/moved" "$MNT/dir/back"
echo hard >>expected
changed ln "$MNT/dir/file1" "$MNT/dir/hard"
echo soft >>expected
changed ln -s file1 "$MNT/dir/soft"
echo sub >>expected
changed mkdir "$MNT/dir/sub"
changed touch "$MNT/dir/sub/deeper" # in another directory
rm "$MNT/dir/sub/deeper"
sed -i '/^sub$/d' expected
changed rmdir "$MNT/dir/sub"
assert_eq "$(asked listing)" 0 "requests of a listing that was read before"

# A removed directory that somebody is in has nothing to list.
mkdir "$MNT/gone"
touch "$MNT/gone/x"
(
	cd "$MNT/gone" || exit
	ls >"$CASE_DIR/inside"
	rm "$MNT/gone/x"
	rmdir "$MNT/gone"
	ls -a >"$CASE_DIR/inside"
)
[ "$(wc -l <inside)" -le 2 ]
umount_volume
