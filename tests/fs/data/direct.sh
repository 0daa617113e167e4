# SPDX-License-Identifier: Apache-2.0
# O_DIRECT reads and writes see, and are seen by, buffered ones.
fresh_volume
mount_volume
dd if=/dev/urandom of=data bs=64k count=40 status=none
dd if=data of="$MNT/f" bs=64k oflag=direct status=none
cmp data "$MNT/f"
dd if="$MNT/f" of=back bs=128k iflag=direct status=none
cmp data back
dd if=/dev/zero of=data bs=4k seek=5 count=3 conv=notrunc status=none
dd if=/dev/zero of="$MNT/f" bs=4k seek=5 count=3 conv=notrunc status=none
dd if="$MNT/f" of=back bs=128k iflag=direct status=none
cmp data back
