# SPDX-License-Identifier: Apache-2.0
# What is written is read: sizes around sub-blocks and chunks, before and after a remount.
fresh_volume
mount_volume
check=$(cat <<'EOF'
import hashlib, random
sizes = [0, 1, 4095, 4096, 65535, 65536, 65537, 4194303, 4194304, 4194305, 10000000]
def body(size):
    return random.Random(size).randbytes(size)
EOF
)
run_python <<EOF
$check
for size in sizes:
    with open(f"f{size}", "wb") as f:
        f.write(body(size))
    assert open(f"f{size}", "rb").read() == body(size), size
EOF
remount_volume
run_python <<EOF
$check
for size in sizes:
    assert os.stat(f"f{size}").st_size == size
    assert open(f"f{size}", "rb").read() == body(size), size
    fd = os.open(f"f{size}", os.O_RDONLY)
    assert os.pread(fd, 100, size) == b"" and os.pread(fd, 100, size + 12345678) == b""
    for position in (0, 1, 65530, 4194300):
        assert os.pread(fd, 20, position) == body(size)[position:position + 20], (size, position)
    os.close(fd)
EOF
