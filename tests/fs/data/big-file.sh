# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# 96 MiB, more than the buffers hold: written in pieces, read in order and from the back.
fresh_volume
mount_volume --buffer-size 16M
run_python <<'EOF'
import hashlib
piece = lambda i: hashlib.sha256(b"%d" % i).digest() * 4096        # 128 KiB
count = 768
with open("f", "wb") as f:
    for i in range(count):
        f.write(piece(i))
assert os.stat("f").st_size == 96 << 20
EOF
remount_volume --buffer-size 16M
run_python <<'EOF'
import hashlib
piece = lambda i: hashlib.sha256(b"%d" % i).digest() * 4096
with open("f", "rb") as f:
    for i in range(768):
        assert f.read(131072) == piece(i), i
fd = os.open("f", os.O_RDONLY)
for i in reversed(range(0, 768, 5)):
    assert os.pread(fd, 131072, i * 131072) == piece(i), i
EOF
