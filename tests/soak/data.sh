# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Random operations on a file, seed after seed, for SOAK_SECONDS in all; a failure prints the shortest script
# that shows it. SOAK_SEED repeats a run.
seconds=$((${SOAK_SECONDS:-600} / 4 + 1))
seed=${SOAK_SEED:-$(date +%s)}
soak() { # OPTION...
	exercise "$MNT/f" --seed "$seed" --seconds "$seconds" "$@"
}
fsck_unmounted() {
	umount_volume
	curvefs fsck "$VOLUME" --meta-dir "$META"
}

fresh_volume
mount_volume
soak
soak --apart --processes 4
fsck_unmounted
# A cache that has no room: what is written goes past it now and then.
mount_volume --cache-size 1MiB
soak --max-size 3000000 --operations 400
fsck_unmounted
mount_volume --cache-size 2MiB --buffer-size 16MiB
soak --apart --processes 8 --max-size 9000000
fsck_unmounted
