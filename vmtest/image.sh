#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# image.sh FILE: make FILE an ext4 image of those programs, libraries and settings of this machine that
# cases start again and again.  The guest lays it over what it sees of this machine by 9p, where every
# open(2) and every lookup costs a round trip, and a shell script makes thousands.  What is missing in
# it is found below, so the list is about time only.  Nothing is done while FILE is newer than the
# last change to the installed packages, and than this list.
set -euo pipefail
export LC_ALL=C.UTF-8
file=$(realpath -m "${1:?usage: vmtest/image.sh FILE}")
[ "$file" -nt /var/lib/dpkg/status ] && [ "$file" -nt "$0" ] && exit 0

packages=(
	bash dash coreutils findutils grep sed gawk mawk diffutils util-linux mount procps psmisc hostname
	kmod iproute2 e2fsprogs attr acl fuse3 busybox-static perl-base tar gzip bpftool git
	python3 python3-minimal python3.11 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib
	libc6 libc-bin gcc-12-base libgcc-s1 libstdc++6 sqlite3
)
settings=(etc/{ld.so.cache,nsswitch.conf,passwd,group,host.conf,localtime,mke2fs.conf,alternatives})

top=$(cd "$(dirname "$0")/.." && pwd)
tree=$(mktemp -d "$file.XXXXXX")
trap 'rm -rf "$tree" "$file.new"' EXIT

# Files of packages by the names that they have since /bin and /lib are links into /usr.
owned() {
	# It is fine if one of them is not installed.
	{ dpkg-query -L "${packages[@]}" 2>/dev/null || :; } | sed -E 's,^/(bin|sbin|lib|lib64)/,/usr/\1/,' | grep -E '^/usr/(s?bin|lib|lib64|libexec)/' |
		grep -vE '/(lib2to3|idlelib|tkinter|ensurepip|config-3[^/]*|test)/' | sort -u |
		while IFS= read -r path; do [ ! -f "$path" ] || echo "$path"; done
}
libraries() { # of the programs named on standard input
	{ xargs -r -d '\n' ldd 2>/dev/null || :; } | grep -oE '=> /[^ ]+' | cut -c 4- | sort -u |
		while IFS= read -r path; do
			echo "/usr${path#/usr}"
			realpath "$path"
		done
}

owned >"$tree/owned"
{
	grep -E '^/usr/s?bin/|/lib-dynload/' "$tree/owned"
	ls "$top"/build/curvefs-fuse 2>/dev/null || :
} | libraries >"$tree/libraries"
mkdir "$tree/root"
sort -u "$tree/owned" "$tree/libraries" | (cd / && xargs -d '\n' cp -a --parents -t "$tree/root" 2>/dev/null) || :
# Compiled modules are no part of the package.
(cd / && find usr/lib/python3.11 -name __pycache__ -prune \( -path '*/lib2to3/*' -o -print0 \) 2>/dev/null |
	xargs -r -0 cp -a --parents -t "$tree/root") || :
(cd / && cp -a --parents -t "$tree/root" "${settings[@]}") || :

size=$(du -sm "$tree/root" | cut -f 1)
rm -f "$file.new"
truncate -s "$((size * 5 / 4 + 32))M" "$file.new"
mkfs.ext4 -q -F -m 0 -O ^has_journal -d "$tree/root" "$file.new"
mv "$file.new" "$file"
