#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A kernel that looks for mistakes: see --help.
set -euo pipefail
export LC_ALL=C.UTF-8

usage() {
	cat <<'HELP'
usage: vmtest/debug-kernel.sh build FOLDER PACKAGE CONFIG   what kernels.sh does to get such a kernel
       vmtest/debug-kernel.sh watch COMMAND...              run COMMAND in the VM on such a kernel

build: get the distribution's PACKAGE of kernel sources, and compile it in FOLDER with the options that the
file CONFIG has, and no others.  Nothing is done while both are as they were, and nothing is installed: what the
compilation needs besides what `make setup` installs is unpacked in FOLDER, too.

watch: fail, too, if the kernel complained at any time since it was booted, between the cases of a
suite for instance, or if its lock validator was switched off, which it does to itself.
HELP
}
die() { echo "debug-kernel: $*" >&2; exit 1; }
top=$(cd "$(dirname "$0")/.." && pwd)

get() { # PACKAGE...: into the current folder
	timeout 300 apt-get -qq -o APT::Sandbox::User="" download "$@" || die "cannot download $*; run 'make setup' if the mirror is not known"
}

sources() { # FOLDER PACKAGE VERSION
	local new=$1/source.new package
	rm -rf "$1/source" "$1/build" "$1/tools" "$new"
	mkdir -p "$new/tree" "$1/tools"
	(
		cd "$new"
		get flex bison m4
		for package in *.deb; do
			dpkg-deb -x "$package" "$1/tools"
			rm "$package"
		done
		get "$2=$3"
		# All of Kconfig, and no drivers that nobody asks for.
		dpkg-deb --fsys-tarfile "$2"_*.deb | tar -xO "./usr/src/$2.tar.xz" | tar -xJ -C tree --strip-components=1 \
			--exclude='*/drivers/gpu/*.[ch]' --exclude='*/Documentation/*/*' --exclude='*/tools/testing'
	) || die "cannot unpack $2 $3"
	echo "$3" >"$new/tree/.package"
	mv "$new/tree" "$1/source"
	rm -rf "$new"
}

build() { # FOLDER PACKAGE CONFIG
	local folder=$1 package=$2 config=$3 available wanted release missing
	available=$(apt-cache policy "$package" | sed -n 's/^ *Candidate: *//p')
	if [ -z "$available" ] || [ "$available" = '(none)' ]; then
		[ -s "$folder/version" ] || die "no package $package in the apt sources of this machine; run 'make setup'"
		available=$(<"$folder/source/.package")
	fi
	wanted="$package $available $(sha256sum <"$config") $(gcc --version | head -n 1)"
	! [ -s "$folder/version" ] || [ "$(cat "$folder/made" 2>/dev/null)" != "$wanted" ] || return 0

	rm -f "$folder/version" "$folder/made"
	[ "$(cat "$folder/source/.package" 2>/dev/null)" = "$available" ] || sources "$folder" "$package" "$available"
	echo "debug-kernel: compiling $package $available (about 20 minutes)"
	export PATH=$folder/tools/usr/bin:$PATH BISON_PKGDATADIR=$folder/tools/usr/share/bison M4=$folder/tools/usr/bin/m4
	local make=(env -u MAKEFLAGS nice -n 10 make -s -j"$(nproc)" -C "$folder/source" O="$folder/build")
	mkdir -p "$folder/build"
	"${make[@]}" KCONFIG_ALLCONFIG="$config" allnoconfig
	missing=$(grep '^CONFIG_' "$config" | grep -vxFf "$folder/build/.config" || :)
	[ -z "$missing" ] || die "these options of $config did not take, something that they depend on is off: $(xargs <<<"$missing")"
	"${make[@]}" bzImage modules || die "cannot compile $package $available: see above"

	release=$("${make[@]}" kernelrelease)
	rm -rf "${folder:?}/boot"
	mkdir -p "$folder/boot/usr/lib"
	ln -s usr/lib "$folder/boot/lib"
	"${make[@]}" INSTALL_MOD_PATH="$folder/boot" modules_install
	cp "$folder/build/arch/x86/boot/bzImage" "$folder/boot/lib/modules/$release/vmlinuz"
	[ -e "$folder/boot/lib/modules/$release/modules.dep" ] || depmod -b "$folder/boot" -F "$folder/build/System.map" "$release"
	echo "$wanted" >"$folder/made"
	echo "$release" >"$folder/version"
}

locks_are_checked() { grep -q '^ debug_locks: *1$' /proc/lockdep_stats; }

watch() {
	local status=0 said
	[ -n "${CURVEFS_VM:-}" ] || die "watch runs in the VM: vmtest/run.sh --kernel 6.12-debug -- vmtest/debug-kernel.sh watch COMMAND"
	[ -r /proc/lockdep_stats ] || die "this kernel has no lock validator"
	. "$top/tests/harness/kernel-log.sh"
	"$@" || status=$?
	said=$(kernel_complaints 200)
	if [ -n "$said" ]; then
		printf '%s\n' "debug-kernel: the kernel complained:" "$said" >&2
		[ "$status" != 0 ] || status=1
	fi
	if ! locks_are_checked; then
		echo "debug-kernel: the lock validator is off, so not all was looked at" >&2
		[ "$status" != 0 ] || status=1
	fi
	return "$status"
}

case ${1:-} in
build)
	[ $# = 4 ] || die "build needs a folder, a package and a configuration (see --help)"
	build "${@:2}"
	;;
watch)
	[ $# -gt 1 ] || die "watch what? (see --help)"
	watch "${@:2}"
	;;
--help | -h) usage ;;
*) die "unknown command '${1:-}' (see --help)" ;;
esac
