# SPDX-License-Identifier: Apache-2.0
# -o acl: ACLs are kept, inherited and in step with the mode as on ext4, and the kernel checks callers by them.
# Without: they are refused, and not shown.
need_root
case $(stat -f -c %T "$CASE_DIR") in
ext*) reference=$CASE_DIR/reference ;;
*) skip "the temporary folder is not on ext4" ;;
esac
mkdir "$reference"
touch "$reference/f"
setfacl -m u:1:r "$reference/f" 2>/dev/null || skip "no ACLs on the temporary folder's ext4"
rm "$reference/f"
fresh_volume
mount_volume -o allow_other,acl
chmod 711 "${CASE_DIR%/*}"
chmod 755 "$CASE_DIR"

as() { # UID COMMAND...
	setpriv --reuid "$1" --regid 1000 --clear-groups "${@:2}"
}
show() { # FILE...: all that is to be the same
	getfacl -n "$@"
	stat -c '%n %A %h' "$@"
	getfattr -m - -d -e hex "$@"
}
session() { # FOLDER
	cd "$1"
	umask 027
	set +e
	touch f
	setfacl -m u:1000:rw,g:77:r f; show f
	chmod 660 f; show f
	chmod 2711 f; show f
	setfacl -m m::r f; show f
	setfacl -b f; setfacl -b f; show f
	setfacl -m u::rwx,g::r,o::r f; show f # no more than a mode
	setfacl -d -m u:5:r f                 # not of a file
	mkdir d
	setfacl -d -m u:1000:rwx,o::r d; show d
	touch d/file; mkdir -m 700 d/sub; mknod d/fifo p; ln -s q d/link; mkdir d/sub/sub
	show d/file d/sub d/fifo d/sub/sub
	stat -c %A d/link
	setfacl -h -m u:5:r d/link
	setfacl -k d/sub; show d/sub
	mv d/file d/sub; ln d/fifo d/sub/fifo2; show d/sub/file d/sub/fifo2
	chmod 755 d/sub; cp -a d d2; show d2/sub d2/sub/file
	touch g; mkdir h; show g h # no default ACL: the umask
	chmod 2777 .
	echo hello >k
	chmod 600 k
	as 1000 cat k
	setfacl -m u:1000:r k
	as 1000 cat k
	as 1000 sh -c 'echo more >>k'
	as 1001 cat k
	as 1000 setfacl -m u:1001:r k # not the owner
	as 1000 touch o
	chmod 2770 o
	as 1000 setfacl -m u:4:r o; show o # not in the group: loses set-gid
	rm -r d
}
(session "$reference") >reference.out 2>&1
(session "$MNT") >mount.out 2>&1
diff reference.out mount.out
[ "$(wc -l <mount.out)" -gt 200 ]

remount_volume -o allow_other,acl
(cd "$reference" && show f k d2 d2/sub d2/sub/file) >reference.out 2>&1
(cd "$MNT" && show f k d2 d2/sub d2/sub/file) >mount.out 2>&1
diff reference.out mount.out

remount_volume -o allow_other
assert_fails -e "not supported" setfacl -m u:3:r "$MNT/f"
assert_eq "$(getfattr -m - "$MNT/k")" ""
chmod 644 "$MNT/k" # and the ACL follows
touch "$MNT/d2/plain"
remount_volume -o allow_other,acl
assert_eq "$(getfacl -cn "$MNT/k" | tr '\n' ' ')" "user::rw- user:1000:r-- group::--- mask::r-- other::r--  "
assert_eq "$(getfacl -cn "$MNT/d2/plain" | tr '\n' ' ')" "user::rw- group::r-- other::r--  "
