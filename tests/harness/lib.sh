# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What a whole-program case can use.  A case is sourced by tests/harness/case, with -e: the first
# command that fails ends it, so a case is a list of things that must be true.  It runs in
# $CASE_DIR, which is removed afterwards, with the programs of the build in $PATH.
#
# Variables a case may read (and set before the first mount):
#   MNT       the mount point            VOLUME   the volume's SOURCE
#   META      --meta-dir                 CACHE    --cache-dir
#   BPF       off, auto or require: what --bpf-cache is given
#   DAEMON    process id of the daemon of the last mount_volume
#   S3_URL    address of start_s3's server; S3D its process id

MNT=$CASE_DIR/mnt
META=$CASE_DIR/meta
CACHE=$CASE_DIR/cache
BPF=$CURVEFS_BPF
VOLUME=file://$CASE_DIR/volume
DAEMON=
declare -A case_daemons=() # mount point -> process id

# The sanitizers of an asan build: a leak makes the daemon end with a status of its own.
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99:verify_asan_link_order=0
export LSAN_OPTIONS=suppressions=$CURVEFS_TOP/tests/lsan.supp:print_suppressions=0
export TSAN_OPTIONS=suppressions=$CURVEFS_TOP/tests/tsan.supp:history_size=7:exitcode=99
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

fail() { echo "-- $*" >&2; return 1; }
skip() { echo "$*"; exit 77; }
bpf_on() { [ "$BPF" = require ]; }

need_root() { # a user namespace's root cannot make device nodes or own files as anybody
	[ "$(awk '{print $3}' /proc/self/uid_map)" -gt 65536 ] || skip "needs root"
}

# assert_eq GOT WANTED [WHAT]
assert_eq() { [ "$1" = "$2" ] || fail "${3:-value} is '$1', expected '$2'"; }

# assert_fails [-e TEXT] COMMAND...: the command must fail, with TEXT in what it says.
assert_fails() {
	local text='' said status=0
	if [ "$1" = -e ]; then
		text=$2
		shift 2
	fi
	said=$("$@" 2>&1) || status=$?
	[ "$status" != 0 ] || fail "succeeded, but must not: $*"
	[ "$status" -lt 98 ] || fail "died (status $status): $*: $said"
	[[ $said == *"$text"* ]] || fail "'$*' says '$said', without '$text'"
}

# wait_for SECONDS COMMAND...: until it succeeds; in the VM, and on a slow kernel, as much longer as a case may take
# there (run-cases).
wait_for() {
	local end=$((SECONDS + $1 * ${CURVEFS_VM:+3*}${CURVEFS_SLOW:-1} + 1))
	shift
	until "$@" 2>/dev/null; do
		[ "$SECONDS" -lt "$end" ] || fail "waited in vain for: $*" || return
		sleep 0.05
	done
}

# Without touching it: a dead FUSE mount answers no stat.
is_mounted() { # MOUNTPOINT
	local mounted
	while read -r _ mounted _; do
		[ "$mounted" != "$1" ] || return 0
	done </proc/self/mounts
	return 1
}

is_running() { # PID; a zombie is not
	local state
	state=$(sed -n 's/^State:[^A-Z]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
	[ -n "$state" ] && [ "$state" != Z ]
}

# fresh_volume [OPTION...]: format an empty volume (options go to `curvefs format`).
fresh_volume() {
	mkdir -p "$MNT" "$META" "$CACHE"
	[[ $VOLUME != file://* ]] || mkdir -p "${VOLUME#file://}"
	curvefs format "$VOLUME" --meta-dir "$META" "$@"
}

# start_s3 [OPTION...]: a strict S3 server of our own (options go to `s3d`); $VOLUME is then a place in
# its bucket "test", $S3_URL its address, and the environment has the credentials it wants.
start_s3() {
	s3d --port-file "$CASE_DIR/s3.port" "$@" >"$CASE_DIR/s3.log" 2>&1 </dev/null &
	S3D=$!
	wait_for 20 test -s "$CASE_DIR/s3.port"
	S3_URL=http://127.0.0.1:$(<"$CASE_DIR/s3.port")
	VOLUME=s3://test/volume
	export AWS_ACCESS_KEY_ID=test-access-key AWS_SECRET_ACCESS_KEY=test-secret-key AWS_ENDPOINT_URL=$S3_URL
}

# mount_volume [OPTION...]: mount $VOLUME on $MNT, back when it is usable.
# The daemon stays in the foreground, so that its messages ($CASE_DIR/daemon.log, shown if
# the case fails) and its exit status are seen.
mount_volume() {
	local state
	curvefs-fuse -f --bpf-cache="$BPF" --meta-dir "$META" --cache-dir "$CACHE" "$@" "$VOLUME" "$MNT" \
		>>"$CASE_DIR/daemon.log" 2>&1 </dev/null &
	DAEMON=$!
	case_daemons[$MNT]=$DAEMON
	until is_mounted "$MNT"; do
		if ! is_running "$DAEMON"; then
			unset "case_daemons[$MNT]"
			state=0
			wait "$DAEMON" || state=$?
			tail -n 5 "$CASE_DIR/daemon.log" >&2
			fail "curvefs-fuse ended before the mount was there, status $state"
			return
		fi
		sleep 0.02
	done
	stat -f "$MNT" >/dev/null
}

# umount_volume [MOUNTPOINT]: unmount, wait for the daemon's end, which must be a good one.
umount_volume() {
	local mnt=${1:-$MNT}
	umount "$mnt"
	daemon_ended "$mnt"
}

# daemon_ended [MOUNTPOINT] [STATUS]: the daemon of a mount made by mount_volume ends by itself.
daemon_ended() {
	local mnt=${1:-$MNT} wanted=${2:-0} pid status=0
	pid=${case_daemons[$mnt]:?not mounted by mount_volume}
	unset "case_daemons[$mnt]"
	wait_for 30 not is_running "$pid"
	wait "$pid" || status=$?
	assert_eq "$status" "$wanted" "exit status of the daemon"
}

not() { ! "$@"; }

flip_middle() { # FILE...: a bit in the middle of each; the second time it is back
	python3 -c 'import os, sys
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDWR)
    at = os.fstat(fd).st_size // 2
    os.pwrite(fd, bytes([os.pread(fd, 1, at)[0] ^ 16]), at)' "$@"
}

remount_volume() { # [OPTION...]
	umount_volume
	mount_volume "$@"
}

# kill_daemon: kill -9 (if it was not yet), and clear the dead mount away.
kill_daemon() {
	kill -KILL "$DAEMON" 2>/dev/null || true
	unset "case_daemons[$MNT]"
	wait "$DAEMON" 2>/dev/null || true
	wait_for 10 umount "$MNT"
}

# stat_counter JSON.PATH [FILE]: a number of `curvefs stats`, now or from an earlier FILE.
stat_counter() {
	if [ $# = 2 ]; then
		json "$2" "$1"
	else
		curvefs stats "$MNT" --json | json - "$1"
	fi
}

case_stats() { curvefs stats "$MNT" --json >"$CASE_DIR/stats.$1"; }
case_grown() { # JSON.PATH: by how much between case_stats before and after
	echo $(($(stat_counter "$1" "$CASE_DIR/stats.after") - $(stat_counter "$1" "$CASE_DIR/stats.before")))
}
case_ops() { # splits "OP... -- CMD..." into ops and command
	ops=() command=()
	while [ "$1" != -- ]; do
		ops+=("$1")
		shift
	done
	shift
	command=("$@")
}

# assert_daemon_not_asked OP... -- COMMAND...: the command must send none of these requests to the
# daemon (lookup, getattr, read ...).  Without BPF nobody else can answer: then it only runs it.
assert_daemon_not_asked() {
	local ops command op
	case_ops "$@"
	case_stats before
	"${command[@]}"
	case_stats after
	bpf_on || return 0
	for op in "${ops[@]}"; do
		assert_eq "$(case_grown "daemon.$op")" 0 "number of '$op' requests at the daemon during '${command[*]}'"
	done
}

# assert_kernel_hits OP... -- COMMAND...: the kernel must answer some of each by itself.
assert_kernel_hits() {
	local ops command op
	case_ops "$@"
	case_stats before
	"${command[@]}"
	case_stats after
	bpf_on || return 0
	for op in "${ops[@]}"; do
		[ "$(case_grown "kernel.$op.hit")" -gt 0 ] || fail "no '$op' was answered in the kernel during '${command[*]}'"
	done
}

# assert_daemon_asked OP... -- COMMAND...: each must reach the daemon at least once.
assert_daemon_asked() {
	local ops command op
	case_ops "$@"
	case_stats before
	"${command[@]}"
	case_stats after
	for op in "${ops[@]}"; do
		[ "$(case_grown "daemon.$op")" -gt 0 ] || fail "no '$op' reached the daemon during '${command[*]}'"
	done
}

# free_port: a TCP port on 127.0.0.1 that nobody listens on.
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# daemons_in_cgroup FOLDER: every daemon that is started from now on is born in that cgroup.
daemons_in_cgroup() {
	mkdir bin
	cat >bin/curvefs-fuse <<-EOS
		#!/bin/sh
		echo \$\$ >"$1/cgroup.procs"
		exec "$(command -v curvefs-fuse)" "\$@"
	EOS
	chmod +x bin/curvefs-fuse
	PATH=$CASE_DIR/bin:$PATH
}

# run_python [ARGUMENT...] <<'EOF': a piece of Python in which $MNT is the current directory, and
# raises(ERRNO, function, *arguments) checks that a call fails as it must.
run_python() {
	local prelude
	prelude='import ctypes, errno, fcntl, mmap, os, stat, sys, time
def raises(number, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except OSError as e:
        assert e.errno == number, f"{function.__name__}{args}: {e}, expected {errno.errorcode[number]}"
        return
    raise AssertionError(f"{function.__name__}{args} succeeded, expected {errno.errorcode[number]}")
'
	(cd "$MNT" && python3 -c "$prelude$(cat)" "$@")
}

# Says which line of the case failed.
case_failed() {
	local i
	trap - ERR
	for ((i = 1; i < ${#BASH_SOURCE[@]}; i++)); do
		[[ ${BASH_SOURCE[i]} != "$CURVEFS_TOP"/tests/harness/* ]] || continue
		echo "-- failed: ${BASH_SOURCE[i]##*/}:${BASH_LINENO[i - 1]}:$(sed -n "${BASH_LINENO[i - 1]}p" "${BASH_SOURCE[i]}")" >&2
		return 0
	done
}

# Runs at the end of every case, good or bad.
case_end() {
	local status=$? mnt
	trap - EXIT ERR
	set +e
	cd /
	for mnt in "${!case_daemons[@]}"; do
		if [ "$status" = 0 ]; then
			umount_volume "$mnt" || status=1
		else
			umount -l "$mnt"
			kill -KILL "${case_daemons[$mnt]}"
		fi
	done 2>&1
	if [ "$status" != 0 ] && [ "$status" != 77 ] && [ -s "$CASE_DIR/daemon.log" ]; then
		echo "-- the daemon said:"
		tail -n 100 "$CASE_DIR/daemon.log"
	fi
	exit "$status"
}
