# SPDX-License-Identifier: Apache-2.0
# Holes read as zeros and take no objects.
fresh_volume
mount_volume
run_python <<'EOF'
fd = os.open("f", os.O_CREAT | os.O_RDWR)
places = [0, 70000, 5 << 20, (1 << 32) + 7, (1 << 40) + 3]
for p in places:
    assert os.pwrite(fd, b"data%d" % p, p) > 0
os.ftruncate(fd, 1 << 41)
os.close(fd)
EOF
remount_volume
run_python <<'EOF'
fd = os.open("f", os.O_RDONLY)
assert os.fstat(fd).st_size == 1 << 41
for p in [0, 70000, 5 << 20, (1 << 32) + 7, (1 << 40) + 3]:
    text = b"data%d" % p
    assert os.pread(fd, len(text) + 50, p) == text + bytes(50), p
    assert os.pread(fd, 100000, p + 4096)[:60000] == bytes(60000), p
assert os.pread(fd, 10, (1 << 41) - 5) == bytes(5)
EOF
[ "$(du -sm "$CASE_DIR/volume" | cut -f1)" -lt 64 ] || fail "holes are stored"
