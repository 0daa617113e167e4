# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# Random reads, writes, truncations, mappings and reopens, compared with a copy in memory.
fresh_volume
mount_volume
for seed in 1 2 3; do
	exercise "$MNT/f$seed" "$seed" 800 6000000
done
