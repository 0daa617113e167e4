# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# Random reads, writes, truncations, mappings, holes, copies and reopens by several processes, compared with a
# copy in memory: in turns on one file, and at once in regions of it.
fresh_volume
mount_volume
exercise "$MNT/f" --operations 300
exercise "$MNT/g" --operations 300 --apart
umount_volume
curvefs fsck "$VOLUME" --meta-dir "$META"
