# SPDX-License-Identifier: Apache-2.0
# info names the objects that hold a file, and what is cached of it.
fresh_volume
mount_volume
mkdir "$MNT/d"
head -c 9000000 /dev/urandom >"$MNT/d/f"
ln -s f "$MNT/d/link"
stat "$MNT/d/f" >/dev/null
curvefs info "$MNT/d/f" --json >told
assert_eq "$(json told path)" d/f
assert_eq "$(json told type)" file
assert_eq "$(json told size)" 9000000
assert_eq "$(json told ino)" "$(stat -c %i "$MNT/d/f")"
assert_eq "$(json told chunk_count)" 3
assert_eq "$(json told cached_bytes)" 9000000
! bpf_on || assert_eq "$(json told published.all_data)" true
# Every object it names is in the store, and put together, without the four bytes of checksum behind each
# 64 KiB, they are the file.
python3 - "$CASE_DIR/volume" <<'EOP' >joined
import json, sys
info = json.load(open("told"))
data = bytearray(info["size"])
for chunk in info["chunks"]:
    for s in chunk["slices"]:
        at = chunk["chunk"] * info["chunk_size"] + s["pos"]
        piece = open(f"{sys.argv[1]}/{s['object']}", "rb").read()
        piece = b"".join(piece[i:i + 65540][:-4] for i in range(0, len(piece), 65540))
        assert len(piece) == s["object_size"], s
        data[at:at + s["length"]] = piece[s["offset"]:s["offset"] + s["length"]]
sys.stdout.buffer.write(data)
EOP
cmp joined "$MNT/d/f"
curvefs info "$MNT/d/f" | grep -q '^chunks *3 of 4.0 MiB'
assert_eq "$(curvefs info "$MNT/d/link" --json | json - ino)" "$(json told ino)"
assert_eq "$(curvefs info -P "$MNT/d/link" --json | json - type)" symlink
assert_eq "$(curvefs info "$MNT" --json | json - ino)" 1
assert_fails -e "No such file" curvefs info "$MNT/none"
assert_fails -e "not on a curvefs mount" curvefs info /proc/self
