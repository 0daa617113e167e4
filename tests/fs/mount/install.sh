# SPDX-License-Identifier: Apache-2.0
# What `make install` puts below DESTDIR is complete: programs, pages, licences, the module's sources.
"$CURVEFS_TOP/build-aux/install.sh" "$CURVEFS_BUILD" "$CASE_DIR/root" /usr
cd root
for file in usr/bin/curvefs-fuse usr/bin/curvefs usr/sbin/mount.curvefs usr/share/doc/curvefs-fuse/LICENSE; do
	[ -s "$file" ] || fail "$file is missing"
done
usr/bin/curvefs-fuse --version >/dev/null
usr/bin/curvefs --help >/dev/null
for program in curvefs-fuse curvefs mount.curvefs; do
	[ -s "usr/share/man/man1/$program.1" ] || [ -s "usr/share/man/man8/$program.8" ] || fail "$program has no page"
done
src=$(echo usr/src/extfuse-*)
for file in dkms.conf Kbuild Makefile extfuse_abi.h COPYING; do
	[ -s "$src/$file" ] || fail "$src/$file is missing"
done
assert_eq "extfuse-$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$src/dkms.conf")" "${src#usr/src/}"
