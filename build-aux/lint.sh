#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Static checks over everything that git knows; every warning is an error.  $CPPFLAGS comes from
# the Makefile.  Runs all checks, then says which failed.
set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C.UTF-8

failed=()
check() { # NAME COMMAND...
	local name=$1
	shift
	echo "lint: $name"
	"$@" || failed+=("$name")
}
files() { git ls-files -z -- "$@"; }
none() { # MESSAGE, found lines on standard input: fine only if there are none
	local found
	found=$(cat)
	[ -z "$found" ] || { echo "$1:"; echo "$found"; return 1; }
}

user_c() { files 'common/*.c' 'cache/*.c' 'daemon/*.c' 'tools/*.c' 'tests/*.c'; }

format() { files '*.c' '*.h' | xargs -0r clang-format --dry-run -Werror; }

cpp_check() {
	files '*.c' | xargs -0r cppcheck -j "$(nproc)" --quiet --std=c11 --enable=warning,portability,performance \
		--suppressions-list=build-aux/cppcheck.supp --inline-suppr --error-exitcode=1 \
		-D__x86_64__ -DCONFIG_X86_64 -D_GNU_SOURCE -I.
}

tidy() {
	# The kernel module and BPF sources need their own compilers' view; -Werror is theirs.
	local flags
	read -ra flags <<<"${CPPFLAGS:--D_GNU_SOURCE -I.}"
	# shellcheck disable=SC2016 # for the inner shell
	user_c | xargs -0r -n 4 -P "$(nproc)" sh -c '
		flags=$1; shift
		said=$(clang-tidy --quiet "$@" -- -std=gnu11 $flags 2>/dev/null)
		[ -z "$said" ] || { echo "$said"; exit 1; }' sh "${flags[*]}"
}

shell() {
	local file shells=() bad=0
	while IFS= read -r -d '' file; do
		case $(head -c 64 "$file" | tr -d '\0' | head -n 1) in
		'#!'*sh | '# shellcheck shell='*) shells+=("$file") ;;
		esac
	done < <(files)
	# SC2034: libraries set what their users read.
	shellcheck -x -e SC2034 "${shells[@]}" || bad=1
	# Cases are sourced: variables come from and go to lib.sh, -e is on, and `ls` is what is tested.
	files 'tests/fs/*.sh' | xargs -0r shellcheck -s bash -e SC2154,SC2164,SC2034,SC2012 || bad=1
	return $bad
}

man_pages() {
	local page bad=0
	while IFS= read -r -d '' page; do
		# Missing from the base system's database is not missing from the world.
		mandoc -T lint -W warning "$page" | grep -v 'referenced manual not found' && bad=1
	done < <(files '*.1' '*.8')
	return $bad
}

licences() {
	local file
	while IFS= read -r -d '' file; do
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: ' || echo "$file"
	done < <(files '*.c' '*.h' '*.S' '*.sh' '*.py' '*.mk' '*Makefile' '*Kbuild' \
		tests/check tests/run-cases tests/run-units tests/harness/case vmtest/guest vmtest/suite .ci/run) |
		none "without an SPDX line"
}

unfinished() {
	files ':!build-aux/lint.sh' | xargs -0r grep -nIwE 'TODO|FIXME|XXX' | none "unfinished"
}

check "SPDX lines" licences
check "nothing unfinished" unfinished
check "layout (clang-format)" format
check "man pages (mandoc)" man_pages
check "shell scripts (shellcheck)" shell
check "cppcheck" cpp_check
check "clang-tidy" tidy

if [ ${#failed[@]} -gt 0 ]; then
	printf 'lint: failed: %s\n' "${failed[@]}"
	exit 1
fi
echo "lint: clean"
