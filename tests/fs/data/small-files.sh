# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# Many small files, written, read back after a remount, removed: nothing of them stays in the store.
fresh_volume
mount_volume
run_python <<'EOF'
for d in range(10):
    os.mkdir(f"d{d}")
    for i in range(50):
        with open(f"d{d}/f{i}", "w") as f:
            f.write(f"{d} {i}\n" * (i * 20))
EOF
remount_volume
run_python <<'EOF'
for d in range(10):
    for i in range(50):
        assert open(f"d{d}/f{i}").read() == f"{d} {i}\n" * (i * 20), (d, i)
EOF
objects() { find volume -type f | wc -l; }
[ "$(objects)" -gt 400 ]
rm -r "$MNT"/d*
remount_volume
assert_eq "$(ls -A "$MNT")" ""
few() { [ "$(objects)" -lt 50 ]; }
wait_for 30 few
