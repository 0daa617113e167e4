# SPDX-License-Identifier: Apache-2.0
# Rewritten across sub-block and chunk borders, newest bytes on top, also when reopened between.
fresh_volume
mount_volume
run_python <<'EOF'
import random
rng = random.Random(7)
size = 9 << 20
model = bytearray(rng.randbytes(size))
with open("f", "wb") as f:
    f.write(model)
for border in (65536, 4 << 20, 8 << 20):
    for before, length in ((1, 2), (100, 70000), (65536, 131072), (300000, 1)):
        piece = rng.randbytes(length)
        fd = os.open("f", os.O_RDWR)
        os.pwrite(fd, piece, max(0, border - before))
        os.close(fd)
        at = max(0, border - before)
        model[at:at + length] = piece
        assert open("f", "rb").read() == bytes(model[:size]), (border, before, length)
import hashlib
open("../sum", "w").write(hashlib.sha256(bytes(model)).hexdigest())
EOF
remount_volume
assert_eq "$(sha256sum <"$MNT/f" | cut -d' ' -f1)" "$(cat sum)"
