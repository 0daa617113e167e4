# SPDX-License-Identifier: Apache-2.0
# A warm-up of more than the maps can hold does not claim to have done it.
bpf_on || skip "without BPF there are no maps to fill"
fresh_volume
mount_volume --bpf-max-entries 128
mkdir "$MNT/few" "$MNT/many"
touch "$MNT/few/"{1..20} "$MNT/many/"{1..300}
curvefs warmup "$MNT/few"
curvefs warmup --check "$MNT/few"
assert_fails -e "not in the kernel's maps" curvefs warmup "$MNT/many"
assert_fails -e "not in the kernel's maps" curvefs warmup --check "$MNT"
