#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kernels that the tests in the VM know.  See --help.
# shellcheck disable=SC2016 # $(REPO_URI) is for apt, not for the shell
set -euo pipefail
export LC_ALL=C.UTF-8

usage() {
	cat <<'HELP'
usage: vmtest/kernels.sh list           the names, and the version of those that are here
       vmtest/kernels.sh fetch NAME...  get those that are not here from the distribution's mirror;
                                        status 77: it has no such package
       vmtest/kernels.sh module NAME    compile extfuse.ko for it (what `make module KERNEL=NAME` does)
       vmtest/kernels.sh image NAME     print where the file to boot is
       vmtest/kernels.sh version NAME   print its whole version

A kernel is a file vmtest/kernels/NAME, which sets
  version    a pattern; of those that the suites have, the newest is taken
  suites     Debian suites that it and what compiles it are in
  boot       its packages, @ being the version: kernel and modules
  headers    the package to compile against
or `installed=yes` for one that build-aux/setup.sh installs, or for one that debug-kernel.sh compiles
  source     the distribution's package of sources
  config     its configuration, in vmtest/

Nothing is installed: kernel, headers and the userland that these were made for, in which the module is compiled,
are unpacked below build/kernels/NAME (about 500 MB).  Delete that folder to get a newer version.
One that is compiled takes 20 minutes and 3 GB, and is made anew when its sources or its configuration change.
HELP
}
die() { echo "kernels: $*" >&2; exit 1; }

top=$(cd "$(dirname "$0")/.." && pwd)
here=$top/build/kernels

# What a userland must have to compile a module, besides what the headers depend on.
tools=(base-files dash bash coreutils sed grep mawk findutils diffutils make binutils kmod pahole bpftool)

describe() { # NAME: set what its file sets
	case $1 in
	*/* | .* | '') die "'$1' is no name of a kernel" ;;
	esac
	[ -f "$top/vmtest/kernels/$1" ] || die "no kernel '$1'; there are: $(names | xargs)"
	version='' suites='' boot='' headers='' installed='' source='' config=''
	# shellcheck source=/dev/null
	. "$top/vmtest/kernels/$1"
	[ -n "$version" ] || die "vmtest/kernels/$1 sets no version"
}
names() { (cd "$top/vmtest/kernels" && printf '%s\n' * | sort -V); }

# The newest of the versions on standard input that are as the pattern says.
newest() {
	while IFS= read -r one; do
		# shellcheck disable=SC2053 # it is a pattern
		[[ $one != $version ]] || echo "$one"
	done | sort -V | tail -n 1
}

version_here() { # NAME: after `describe`; nothing if it is not here
	if [ -n "$installed" ]; then
		printf '%s\n' /boot/vmlinuz-* | sed 's|.*/vmlinuz-||' | newest
	else
		{ cat "$here/$1/version" 2>/dev/null || :; } | newest
	fi
}
image() { # NAME VERSION
	if [ -n "$installed" ]; then
		echo "/boot/vmlinuz-$2"
	else
		echo "$here/$1/boot/usr/lib/modules/$2/vmlinuz"
	fi
}
need() { # NAME: describe it, and end if it is not here; its version is in $found
	describe "$1"
	found=$(version_here "$1")
	[ -n "$found" ] || die "kernel $1 is not here; run $(if [ -n "$installed" ]; then echo "'make setup'"; else echo "'vmtest/kernels.sh fetch $1'"; fi)"
}

# unpack PACKAGE ROOT [TAR-OPTION...]: without running anything of it.
unpack() {
	local package=$1 root=$2
	shift 2
	dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink --no-same-owner "$@"
}

fetch() { # NAME, after `describe`
	local name=$1 mirror suite v package
	new=$here/$name.new # not local, for the trap
	trap 'rm -rf "$new"' EXIT
	rm -rf "$new"
	mkdir -p "$new"/apt/{lists/partial,cache/archives/partial} "$new"/{boot,root}
	# apt with sources and a cache of its own, for a system on which nothing is installed.
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Codename: bookworm' | sort -u | head -n 1)
	[ -n "$mirror" ] || die "no Debian mirror in the apt sources of this machine; run 'make setup'"
	for suite in $suites; do
		printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' \
			"$mirror" "$suite" /usr/share/keyrings/debian-archive-keyring.gpg
	done >"$new/apt/list.sources"
	: >"$new/apt/status"
	cat >"$new/apt/apt.conf" <<-CONF
		Dir::State::lists "$new/apt/lists";
		Dir::State::status "$new/apt/status";
		Dir::Cache "$new/apt/cache";
		Dir::Etc::sourcelist "$new/apt/list.sources";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Acquire::Languages "none";
		Acquire::Retries "3";
		APT::Install-Recommends "false";
		APT::Sandbox::User "";
	CONF
	local -x APT_CONFIG=$new/apt/apt.conf
	timeout 120 apt-get -qq update || die "cannot read the package lists of $suites"

	v=$(apt-cache pkgnames "${headers%@}" | sed "s|^${headers%@}||" | newest)
	[ -n "$v" ] || {
		echo "kernels: $suites: no package (any more) like ${headers%@}$version" >&2
		exit 77
	}
	echo "kernels: $name is $v"
	read -ra packages <<<"${boot//@/$v}"
	# The tools as of the last suite, too: an older bpftool may not know a newer BTF.
	timeout 300 apt-get -qq -y --download-only -t "${suites##* }" install "${tools[@]}" "${headers//@/$v}" >"$new/apt/log" ||
		die "cannot download what compiles a module for $v: $(tail -n 3 "$new/apt/log")"
	(cd "$new/apt" && timeout 300 apt-get -qq download "${packages[@]}") || die "cannot download ${packages[*]}"

	for package in "$new"/apt/cache/archives/base-files_*.deb "$new"/apt/cache/archives/*.deb; do
		unpack "$package" "$new/root" --exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*' --exclude='./usr/share/man/*'
	done
	ln -sf mawk "$new/root/usr/bin/awk" # what the package does when it is installed
	# Of the modules those that a virtual machine may want.
	ln -s usr/lib "$new/boot/lib"
	mkdir -p "$new/boot/usr/lib"
	for package in "$new"/apt/*.deb; do
		unpack "$package" "$new/boot" --wildcards --exclude='*/kernel/sound' --exclude='*/kernel/drivers/gpu' --exclude='*/kernel/drivers/media' \
			--exclude='*/kernel/drivers/iio' --exclude='*/kernel/drivers/infiniband' --exclude='*/kernel/drivers/net/*/*' \
			--exclude='*/kernel/drivers/hwmon' --exclude='*/kernel/drivers/platform' --exclude='*/kernel/drivers/usb'
	done
	depmod -b "$new/boot" "$v"
	[ -r "$new/boot/usr/lib/modules/$v/vmlinuz" ] || die "${packages[*]} have no usr/lib/modules/$v/vmlinuz"
	[ -r "$new/root/usr/src/${headers//@/$v}/vmlinux" ] || die "${headers//@/$v} has no vmlinux with BTF"
	rm -rf "$new/apt" "${here:?}/$name"
	echo "$v" >"$new/version"
	mv "$new" "$here/$name"
}

# inside ROOT FOLDER COMMAND...: run COMMAND in FOLDER with the userland in ROOT; nothing stays mounted.
inside() {
	local root=$1 folder=$2 unshare=(unshare --mount --propagation private)
	shift 2
	[ "$(id -u)" = 0 ] || unshare+=(--map-root-user)
	mkdir -p "$root/dev" "$root/proc" "$root$folder"
	# shellcheck disable=SC2016 # for the inner shell
	"${unshare[@]}" bash -c '
		root=$1 folder=$2
		shift 2
		mount --rbind /dev "$root/dev" && mount --rbind /proc "$root/proc" && mount --bind "$folder" "$root$folder" &&
			exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 HOME=/root sh -c "cd \"\$0\" && exec \"\$@\"" "$folder" "$@"
	' - "$root" "$folder" "$@"
}

module() { # NAME, after `need`
	local folder=$here/$1/module
	[ -z "$installed" ] || die "the module for $1 is built by 'make module'"
	rm -rf "$folder" "$here/$1/extfuse.ko"
	mkdir -p "$folder"
	cp "$top"/kpatch-extfuse/{*.c,*.h,Kbuild,Makefile,layout.sh,fuse.known} "$top/bpf/extfuse_abi.h" "$folder"
	if [ -n "$source" ]; then # by the compiler that made the kernel
		env -u MAKEFLAGS timeout 600 make -s -j"$(nproc)" -C "$folder" KDIR="$here/$1/build" >&2
	else
		inside "$here/$1/root" "$folder" timeout 600 make -s -j"$(nproc)" KDIR="/usr/src/${headers//@/$found}" >&2
	fi || die "cannot build the module for $1 ($found): see above"
	cp "$folder/extfuse.ko" "$here/$1/extfuse.ko"
}

command=${1:-}
[ $# = 0 ] || shift
case $command in
list)
	[ $# = 0 ] || die "list takes no argument"
	for name in $(names); do
		describe "$name"
		found=$(version_here "$name")
		printf '%-16s %s\n' "$name" "${found:-(not here)}"
	done
	;;
fetch)
	[ $# -gt 0 ] || die "fetch what? There are: $(names | xargs)"
	mkdir -p "$here"
	exec 9>"$here/.lock"
	flock -w 900 9 || die "another fetch has been going on for 15 minutes"
	for name in "$@"; do
		describe "$name"
		found=$(version_here "$name")
		if [ -n "$source" ]; then
			"$top/vmtest/debug-kernel.sh" build "$here/$name" "$source" "$top/vmtest/$config"
		elif [ -n "$found" ]; then
			continue
		elif [ -n "$installed" ]; then
			need "$name"
		else
			fetch "$name"
		fi
	done
	;;
module | image | version)
	[ $# = 1 ] || die "$command of which kernel? There are: $(names | xargs)"
	need "$1"
	case $command in
	module) module "$1" ;;
	image) image "$1" "$found" ;;
	version) echo "$found" ;;
	esac
	;;
--help | -h) usage ;;
*) die "unknown command '$command' (see --help)" ;;
esac
