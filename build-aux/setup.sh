#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Install everything that building, testing and running curvefs-fuse needs on
# Debian 12, as root.  Idempotent: a second run finds all of it there and asks
# no mirror.
#
# Two foreign suites are added, pinned below the base system so that nothing
# else is ever pulled from them:
#   bookworm-backports  the 6.12 kernel, its headers, libbpf 1.4, bpftool
#   trixie              virtme-ng only
# shellcheck disable=SC2016 # $(REPO_URI) and the like are for apt, not for the shell
set -euo pipefail

die() { echo "setup: $*" >&2; exit 1; }

# shellcheck source=/dev/null
. /etc/os-release
[ "${ID:-}:${VERSION_ID:-}" = "debian:12" ] ||
	die "this is ${PRETTY_NAME:-an unknown system}; only Debian 12 (bookworm) is set up by this script"

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt=(apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)

base=(
	build-essential bc pkg-config python3 ca-certificates
	clang llvm libclang-rt-14-dev clang-format clang-tidy cppcheck shellcheck
	libfuse3-dev fuse3 librocksdb-dev libcurl4-openssl-dev libssl-dev
	libjansson-dev libexpat1-dev libisal-dev libelf-dev zlib1g-dev
	libcmocka-dev libmicrohttpd-dev spin
	qemu-system-x86 udev busybox-static kmod pahole iproute2
	e2fsprogs attr acl util-linux procps psmisc git man-db mandoc
)
# virtme-ng itself comes from trixie, what it depends on from bookworm.
virtme_deps=(python3-argcomplete python3-pkg-resources python3-requests file)
backports=(libbpf-dev bpftool)

installed() { # PACKAGE...: true if all are installed
	[ "$(dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>/dev/null | grep -cx installed)" = $# ]
}

kernel_here() { # the newest installed stock 6.12 kernel with its headers, if any
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'linux-headers-6.12.*+deb12-amd64' 2>/dev/null |
		sed -n 's/^installed linux-headers-//p' | sort -V | tail -n 1
}

complete() {
	local k
	installed "${base[@]}" "${virtme_deps[@]}" "${backports[@]}" virtme-ng || return 1
	# A suite number such as 1.1 would lack struct_ops in modules.
	dpkg --compare-versions "$(dpkg-query -W -f '${Version}' libbpf-dev)" ge 1:1.4 || return 1
	k=$(kernel_here)
	[ -n "$k" ] && installed "linux-image-$k" && [ -e "/lib/modules/$k/modules.dep" ]
}

if complete; then
	echo "setup: everything is installed (kernel for the VM: $(kernel_here))"
	exit 0
fi
[ "$(id -u)" = 0 ] || die "needs root (it installs Debian packages); run it with sudo"

# The mirror is whatever this system already uses for bookworm.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Codename: bookworm' | sort -u | head -n 1)
if [ -z "$mirror" ]; then
	"${apt[@]}" update
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 'Codename: bookworm' | sort -u | head -n 1)
fi
[ -n "$mirror" ] || die "no Debian bookworm mirror in the apt sources; add one to /etc/apt/sources.list.d"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
list=/etc/apt/sources.list.d/curvefs-fuse.sources
for suite in bookworm-backports trixie; do
	# A suite that the system already has from elsewhere is used as it is.
	apt-get indextargets --format '$(SOURCESENTRY)' 'Created-By: Packages' "Codename: $suite" |
		grep -qv "^$list" && continue
	printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' \
		"$mirror" "$suite" "$keyring"
done >"$list"
cat >/etc/apt/preferences.d/curvefs-fuse <<PIN
Package: *
Pin: release n=bookworm-backports
Pin-Priority: 90

Package: *
Pin: release n=trixie
Pin-Priority: 50
PIN

"${apt[@]}" update
"${apt[@]}" install --no-install-recommends "${base[@]}" "${virtme_deps[@]}"
k=$(apt-cache pkgnames linux-headers-6.12. | sed -n 's/^linux-headers-\(6\.12\.[0-9]*+deb12-amd64\)$/\1/p' | sort -V | tail -n 1)
[ -n "$k" ] || die "bookworm-backports on $mirror has no 6.12 kernel (linux-headers-6.12.*+deb12-amd64)"
"${apt[@]}" install --no-install-recommends -t bookworm-backports \
	"${backports[@]}" "linux-image-$k" "linux-headers-$k"
"${apt[@]}" install --no-install-recommends virtme-ng/trixie

complete || die "the packages were installed, but something is still missing; run 'bash -x $0' to see what"
echo "setup: done (kernel for the VM: $k)"
