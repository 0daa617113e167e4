#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Boot a stock distribution kernel on a copy of nothing: the guest's root file system is
# this machine's, so what is built here is tested there.  See --help.
set -uo pipefail
export LC_ALL=C.UTF-8

usage() {
	cat <<'HELP'
usage: vmtest/run.sh [options] -- COMMAND [ARGUMENT...]

Boot a stock kernel in a VM, run COMMAND there as root with this checkout as the current
directory, pass its output through, and end with its exit status.

  --kernel NAME     one of vmtest/kernels, or VERSION of an installed one, as in /boot/vmlinuz-VERSION
                    (default: 6.12-bookworm, the newest installed 6.12 of Debian 12 backports)
  --timeout S       end the VM after S seconds, with status 124 (default 600)
  --cpus N          (default 2)
  --memory M        (default 3G)
  --disk M          size of the scratch file system (default 8G, takes what is written to it)
  --no-journal      make it without a journal: an fsync(2) takes half the time, and nothing of it
                    outlives a VM that dies
  --disk-file FILE  that file system in FILE, which is kept: one that is there is used as it is, and
                    what a VM that was ended had written to it is there
  --log-writes FILE also put down in FILE, which is made, each write to that file system's disk and each
                    flush, for lose_writes.py
  --icount          one CPU, on which one nanosecond is one executed instruction: repeatable
                    measurements of work done
  --log FILE        also keep the guest's kernel log, of warnings and worse until COMMAND runs
                    and of everything when it ended
  --help

The guest has this machine's files, writable (so do not test `rm -rf /` there), except for
/tmp, /run, /var/tmp, which are its own memory.  Set for COMMAND are
  CURVEFS_SCRATCH   a fresh ext4 file system on a disk of its own, for volumes and caches
  CURVEFS_VM=1      this is the guest
  CURVEFS_MODULE    the module that was built for this kernel, if that is not extfuse.ko in the build folder
bpffs is mounted on /sys/fs/bpf, FUSE is there, extfuse.ko is not loaded, 127.0.0.1 answers.

exit status: that of COMMAND; 124 after a time-out; 125 if the VM could not be started, or
died (the end of its kernel log is shown then).
HELP
}
die() { echo "vmtest: $*" >&2; exit 125; }

kernel=6.12-bookworm timeout=600 cpus=2 memory=3G disk=8G disk_file='' log_writes='' icount='' log='' features=''
while [ $# -gt 0 ]; do
	case $1 in
	--kernel | --timeout | --cpus | --memory | --disk | --log)
		[ $# -ge 2 ] || die "$1 needs a value"
		declare "${1#--}=$2"
		shift 2
		;;
	--no-journal) features=^has_journal; shift ;;
	--disk-file)
		[ $# -ge 2 ] || die "$1 needs a value"
		disk_file=$2
		shift 2
		;;
	--log-writes)
		[ $# -ge 2 ] || die "$1 needs a value"
		log_writes=$2
		shift 2
		;;
	--icount) icount=1 cpus=1; shift ;;
	--help | -h) usage; exit 0 ;;
	--) shift; break ;;
	*) die "unknown option '$1'; the command comes behind '--' (see --help)" ;;
	esac
done
[ $# -gt 0 ] || die "no command; usage: vmtest/run.sh [options] -- COMMAND (see --help)"
[[ $timeout =~ ^[1-9][0-9]*$ ]] || die "--timeout '$timeout' is not a number of seconds"
[[ $cpus =~ ^[1-9][0-9]*$ ]] || die "--cpus '$cpus' is not a number"
! grep -qs 'virtme_hostname=' /proc/cmdline ||
	die "this is the VM already; run the command itself"
command -v vng >/dev/null || die "virtme-ng is not installed; run 'make setup'"

top=$(cd "$(dirname "$0")/.." && pwd) || die "cannot find the checkout"
image=/boot/vmlinuz-$kernel modules=/lib/modules/$kernel module=''
if [ -e "$top/vmtest/kernels/$kernel" ]; then
	image=$("$top/vmtest/kernels.sh" image "$kernel") || exit 125
	version=$("$top/vmtest/kernels.sh" version "$kernel") || exit 125
	if [[ $image != /boot/* ]]; then # with its modules beside it, and a module of ours made for it
		modules=${image%/*} module=$top/build/kernels/$kernel/extfuse.ko
		[ -e "$module" ] || die "no module for $kernel; run 'make module KERNEL=$kernel'"
	else
		modules=/lib/modules/$version
	fi
fi
[ -r "$image" ] || die "no kernel $image (--kernel)"
[ -e "$modules/modules.dep" ] || die "no modules of that kernel: $modules/modules.dep"

# In the checkout, as the guest does not share /tmp.
mkdir -p "$top/build" || die "cannot write to $top/build"
for old in "$top"/build/vm.*; do # of a run that was killed
	[ -d "$old" ] && ! kill -0 "${old##*.}" 2>/dev/null && rm -rf "$old"
done
state=$top/build/vm.$$
vm=
# shellcheck disable=SC2317 # the trap reaches it
finish() {
	[ -z "$vm" ] || kill -TERM "$vm" 2>/dev/null && wait "$vm" 2>/dev/null
	[ -z "$log" ] || cat "$state/console" "$state/dmesg" >"$log" 2>/dev/null
	rm -rf "$state"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir "$state" "$state/tmp" || die "cannot make $state"
printf '%s\0' "$@" >"$state/argv"
printf '%s\n' "$PWD" >"$state/cwd"
printf '%s\n' "$module" >"$state/module"
mkfifo "$state/out" "$state/err"
make_disk() {
	truncate -s "$disk" "$disk_file" || die "cannot make a scratch disk of size '$disk'"
	mkfs.ext4 -q -F -m 0 ${features:+-O "$features"} -E lazy_itable_init=1,lazy_journal_init=1 "$disk_file" || die "mkfs.ext4 failed"
}
kept_disk=$disk_file
[ -n "$disk_file" ] || disk_file=$state/scratch.img
[ -e "$disk_file" ] || make_disk

# vng does not tell how the emulator ended.
cat >"$state/qemu" <<'END'
#!/bin/sh
qemu-system-x86_64 "$@"
echo $? >"${0%/*}/qemu.status"
END
chmod +x "$state/qemu"

"$top/vmtest/image.sh" "$top/build/guest.img" || die "cannot make $top/build/guest.img"

qemu_opts="-drive file=$disk_file,if=none,id=scratch,format=raw,cache=unsafe,discard=unmap"
if [ -n "$log_writes" ]; then
	: >"$log_writes" || die "cannot make $log_writes"
	qemu_opts="-blockdev driver=file,node-name=disk,filename=$disk_file,cache.no-flush=on"
	qemu_opts+=" -blockdev driver=file,node-name=writes,filename=$log_writes,cache.no-flush=on"
	qemu_opts+=" -blockdev driver=blklogwrites,node-name=scratch,file=disk,log=writes,log-sector-size=512"
	qemu_opts+=" -pidfile $state/qemu.pid" # for who wants it to end without a flush
fi
qemu_opts+=" -device virtio-blk-pci,drive=scratch,serial=scratch"
qemu_opts+=" -drive file=$top/build/guest.img,if=none,id=often,format=raw,readonly=on"
qemu_opts+=" -device virtio-blk-pci,drive=often,serial=often"
qemu_opts+=" -fsdev local,id=usr,path=/usr,security_model=none,multidevs=remap,readonly=on"
qemu_opts+=" -device virtio-9p-pci,fsdev=usr,mount_tag=usr"
# In place of the systemd of the guest's start, which is its udev (virtme-ng's --rodir would do this, but for a
# folder of an overlay only).
qemu_opts+=" -fsdev local,id=init,path=$top/vmtest/init,security_model=none,multidevs=remap,readonly=on"
qemu_opts+=" -device virtio-9p-pci,fsdev=init,mount_tag=virtme.initmount0"
qemu_opts+=" -chardev file,id=klog,path=$state/console -serial chardev:klog"
[ -z "$icount" ] || qemu_opts+=" -icount shift=0,sleep=off"

# vng wants descriptors that it can open again by name, and would empty a file that it opens so.
cat <"$state/out" &
copy_out=$!
cat <"$state/err" >&2 &
copy_err=$!
exec 8>"$state/out" 9>"$state/err" # until the last attempt is over
cd "$top" || die "cannot enter $top"
# A loaded host may keep a virtual CPU waiting for long: a stall is reported after a minute only.
# norandmaps: the emulator keeps translated code by its address, so what each process has at addresses of
# its own is translated again and again.
# `timeout` leads a process group, in which the whole VM is; if we are killed, it gets the signal.
# What vng keeps in temporary files goes with the state, however this ends.
boot() {
	TMPDIR=$state/tmp setpriv --pdeathsig TERM timeout -k 5 "$timeout" \
		vng --qemu "$state/qemu" --disable-kvm --force-9p --run "$image" --cpus "$cpus" --memory "$memory" --rw \
		--append "console=ttyS1 loglevel=5 rcupdate.rcu_cpu_stall_timeout=60 norandmaps" \
		--append virtme_initmount0=/usr/lib/systemd --qemu-opts="$qemu_opts" \
		-- "exec $(printf %q "$top/vmtest/guest") $(printf %q "$state")" \
		</dev/null >"$state/out" 2>"$state/err" 8>&- 9>&- &
	vm=$!
	wait "$vm"
	vng_status=$?
	vm=
}
boot
# virtme-ng's init powers off, without a word, if it does not find the ports it speaks through: on a host with
# much else to do.
tries=1
while [ "$vng_status" = 255 ] && [ ! -e "$state/began" ] && [ -z "$log_writes" ] && [ $((tries++)) -lt 3 ]; do
	echo "vmtest: the VM ended while it was starting; once more" >&2
	boot
done
# Emulators have mistakes of their own, too: one that a signal ended that comes from within has said nothing
# about the kernel in it. 134: abort, 135: bus error, 139: segmentation fault.
emulator=$(cat "$state/qemu.status" 2>/dev/null)
if [[ $emulator =~ ^(134|135|139)$ ]] && [ -z "$log_writes$kept_disk" ]; then
	echo "vmtest: the emulator crashed (signal $((emulator - 128))); everything once more" >&2
	rm -f "$disk_file" "$state"/{began,status,qemu.status}
	make_disk
	boot
	emulator=$(cat "$state/qemu.status" 2>/dev/null)
fi
exec 8>&- 9>&-
wait "$copy_out" "$copy_err"

status=$(cat "$state/status" 2>/dev/null)
if [[ $status =~ ^[0-9]+$ ]]; then
	exit "$status"
elif [ "$vng_status" = 124 ] || [ "$vng_status" = 137 ]; then
	echo "vmtest: timed out after $timeout s: $*" >&2
	tail -n 20 "$state/console" >&2 2>/dev/null
	exit 124
fi
echo "vmtest: the VM died (virtme-ng's status: $vng_status, the emulator's: ${emulator:-none}); the end of its kernel log:" >&2
tail -n 60 "$state/console" >&2 2>/dev/null
exit 125
