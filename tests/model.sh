#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# model.sh MODEL.pml...: have spin go through every interleaving of each, which must all hold, and then through those with
# each mistake that the model can plant (MISTAKE, from 1 on): one of them must not.
set -eu
export LC_ALL=C.UTF-8
[ $# -gt 0 ] || { echo "usage: tests/model.sh MODEL.pml..." >&2; exit 2; }
command -v spin >/dev/null || { echo "model.sh: no spin: make setup installs it" >&2; exit 1; }
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

errors() { # MODEL MISTAKE: how many spin finds, its words are in said
	spin -DMISTAKE="$2" -a "$here/$1" >said 2>&1 || { cat said; return 1; }
	${CC:-gcc} -w -O1 -DSAFETY -DMEMLIM=4096 -o pan pan.c
	timeout 600 ./pan -m200000 >said 2>&1 || { cat said; return 1; }
	if grep -q 'max search depth too small\|out of memory' said; then
		cat said
		return 1
	fi
	sed -n 's/.*errors: \([0-9]*\)$/\1/p' said
}

failed=0
for model; do
	mistakes=$(grep -o 'MISTAKE [!=]= [0-9]*' "$here/$model" | grep -o '[0-9]*$' | sort -n | tail -n 1)
	for ((mistake = 0; mistake <= ${mistakes:-0}; mistake++)); do
		found=$(errors "$model" $mistake) || { echo "$found"; exit 1; }
		states=$(sed -n 's/^ *\([0-9]*\) states, stored$/\1/p' said)
		if [ $mistake = 0 ] && [ "$found" = 0 ]; then
			echo "ok   $model: holds in $states states"
		elif [ $mistake != 0 ] && [ "$found" != 0 ]; then
			echo "ok   $model: mistake $mistake is found"
		else
			echo "FAIL $model: mistake $mistake, $found errors"
			cat said
			failed=1
		fi
	done
done
exit $failed
