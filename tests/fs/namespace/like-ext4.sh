# SPDX-License-Identifier: Apache-2.0
# Some 130 system calls, good and bad ones, are answered as ext4 answers them.
need_root
case $(stat -f -c %T "$CASE_DIR") in
ext*) reference=$CASE_DIR/reference ;;
*) skip "the temporary folder is not on ext4" ;;
esac
chmod 755 "$CASE_DIR" # a part of it runs as nobody
mkdir "$reference"
fresh_volume
mount_volume -o allow_other,suid,dev
python3 "$CURVEFS_TOP/tests/harness/compare_calls.py" "$reference" "$MNT"
