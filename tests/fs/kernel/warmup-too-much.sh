# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# A warm-up of more than the maps can hold does not claim to have done it.
bpf_on || skip "without BPF there are no maps to fill"
fresh_volume
mount_volume --bpf-max-entries 1K
run_python <<'PY'
for folder, count in ("few", 20), ("many", 1500):
    os.mkdir(folder)
    for i in range(count):
        os.symlink("x", f"{folder}/{i}")
PY
curvefs warmup "$MNT/few"
curvefs warmup --check "$MNT/few"
assert_fails -e "not in the kernel's maps" curvefs warmup "$MNT/many"
assert_fails -e "not in the kernel's maps" curvefs warmup --check "$MNT"
