#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# install.sh B DESTDIR PREFIX: put what was built in B below DESTDIR.  Programs and pages go to PREFIX,
# the module's sources to /usr/src, where DKMS looks for them.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:?usage: install.sh B DESTDIR PREFIX}
destdir=${2-}
prefix=${3:-/usr/local}
root=$destdir$prefix

put() { # MODE FILE FOLDER
	install -D -m "$1" "$2" "$3/${2##*/}"
}

put 755 "$build/curvefs-fuse" "$root/bin"
put 755 "$build/curvefs" "$root/bin"
# What mount(8) runs for "mount -t curvefs" and in fstab: the daemon by another name.  It is looked for
# in /sbin and /usr/sbin only, so with another PREFIX a link there is the administrator's to make.
install -d "$root/sbin"
ln -sfn ../bin/curvefs-fuse "$root/sbin/mount.curvefs"
for page in daemon/*.[1-8] tools/*.[1-8]; do
	[ ! -e "$page" ] || put 644 "$page" "$root/share/man/man${page##*.}"
done
ln -sfn curvefs-fuse.8 "$root/share/man/man8/mount.curvefs.8"
install -D -m 644 LICENSE "$root/share/doc/curvefs-fuse/LICENSE"
install -D -m 644 kpatch-extfuse/COPYING "$root/share/doc/curvefs-fuse/COPYING.extfuse"
[ ! -e README.md ] || put 644 README.md "$root/share/doc/curvefs-fuse"

version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"$/\1/p' kpatch-extfuse/dkms.conf)
[ -n "$version" ] || { echo "install: kpatch-extfuse/dkms.conf names no PACKAGE_VERSION" >&2; exit 1; }
sources=$destdir/usr/src/extfuse-$version
for file in kpatch-extfuse/*; do
	case $file in */rules.mk) continue ;; esac
	mode=644
	[ ! -x "$file" ] || mode=755
	put "$mode" "$file" "$sources"
done
put 644 bpf/extfuse_abi.h "$sources"
echo "installed below ${root:-/}; the module's sources are in $sources:"
echo "    dkms add extfuse/$version && dkms install extfuse/$version"
