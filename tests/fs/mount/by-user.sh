# SPDX-License-Identifier: Apache-2.0
# A user who is not root formats a volume, mounts it and owns what is in it; nobody else gets in.
need_root
bpf_on && skip "only root attaches programs"
[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not set-uid root"
as() { # UID COMMAND...
	setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"
}
as 65534 test -x "$(command -v curvefs)" || skip "the build is not where others can see it"
chmod 711 "${CASE_DIR%/*}"
chmod 755 "$CASE_DIR"
mkdir "$MNT" "$META" "$CACHE" "$CASE_DIR/volume"
chown 65534:65534 "$MNT" "$META" "$CACHE" "$CASE_DIR/volume"
as 65534 curvefs format "$VOLUME" --meta-dir "$META"
as 65534 curvefs-fuse -f --bpf-cache=off --meta-dir "$META" --cache-dir "$CACHE" "$VOLUME" "$MNT" >>daemon.log 2>&1 </dev/null &
DAEMON=$!
# shellcheck disable=SC2004 # by name
case_daemons[$MNT]=$DAEMON
wait_for 10 is_mounted "$MNT"
# shellcheck disable=SC2016 # its own arguments
as 65534 sh -c 'umask 022; cd "$1" && echo hello >f && mkdir d && mv f d/g && chmod 4755 d/g' sh "$MNT"
assert_eq "$(as 65534 stat -c '%a %u:%g' "$MNT" "$MNT/d" "$MNT/d/g" | tr '\n' ' ')" \
	"755 65534:65534 755 65534:65534 4755 65534:65534 "
assert_fails -e "not permitted" as 65534 chown 0 "$MNT/d/g"
assert_fails -e "denied" as 65533 ls "$MNT"
assert_fails -e "denied" stat "$MNT" # root neither, without allow_other
as 65534 fusermount3 -u "$MNT"
daemon_ended
