# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Random operations on names, seed after seed, for SOAK_SECONDS in all; a failure prints what cannot be
# explained, and the shortest script that leads there. SOAK_SEED repeats a run.
seconds=$((${SOAK_SECONDS:-600} / 5 + 1))
seed=${SOAK_SEED:-$(date +%s)}
soak() { # OPTION...
	exercise-tree "$MNT/t" --seed "$seed" --seconds "$seconds" --operations 1000 "$@"
}

# The same on what the temporary folder is on: if this fails, the model is wrong.
exercise-tree "$CASE_DIR/reference" --seed "$seed" --seconds "$seconds" --operations 1000 --processes 4
fresh_volume
mount_volume
soak --processes 1 --burst 30
if bpf_on; then
	soak --processes 4 --late-attributes # they are kept until the kernel's next tick
else
	soak --processes 4
fi
remount_volume --attr-cache=0
soak --processes 4 --burst 8
remount_volume --attr-cache=0 --entry-cache=0 --negative-entry-cache=0
soak --processes 3
umount_volume
curvefs fsck "$VOLUME" --meta-dir "$META"
