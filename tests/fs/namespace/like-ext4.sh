# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# Thousands of system calls, good and bad ones, by root and by others, are answered as ext4 answers them.
need_root
case $(stat -f -c %T "$CASE_DIR") in
ext*) reference=$CASE_DIR/reference ;;
*) skip "the temporary folder is not on ext4" ;;
esac
chmod 711 "${CASE_DIR%/*}" # a part of it runs as nobody
chmod 755 "$CASE_DIR"
mkdir "$reference"
fresh_volume
mount_volume -o allow_other,suid,dev
like-ext4 "$reference" "$MNT"

# Where nothing can be written.
remount_volume -o allow_other,suid,dev,ro
# shellcheck disable=SC2016 # its own arguments
unshare --mount sh -ec '
	mount --bind "$1" "$1"
	mount -o remount,bind,ro "$1"
	exec like-ext4 --read-only "$1" "$2"' sh "$reference" "$MNT"
