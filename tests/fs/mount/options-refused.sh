# SPDX-License-Identifier: Apache-2.0
# Unknown options and values out of range are refused by name, before anything is mounted.
fresh_volume
refused() { # TEXT OPTION...
	local text=$1
	shift
	assert_fails -e "$text" curvefs-fuse "$@" "$VOLUME" "$MNT"
	not is_mounted "$MNT"
}
refused --no-such-option --no-such-option
refused no_such_name -o no_such_name
refused bpf-cache --bpf-cache=sometimes
refused cache-size --cache-size=lots
refused cache-size --cache-size=-1
refused free-space-ratio --free-space-ratio=7
refused log-level --log-level=loud
assert_fails -e "MOUNTPOINT" curvefs-fuse
assert_fails curvefs-fuse "$VOLUME"
assert_fails curvefs-fuse "$VOLUME" "$MNT" more
assert_fails curvefs no-such-command
assert_fails curvefs format
assert_fails curvefs format "$VOLUME" --no-such-option
curvefs-fuse --help | grep -q -- --cache-dir
curvefs-fuse --version | grep -q '[0-9]'
curvefs --help | grep -q format
