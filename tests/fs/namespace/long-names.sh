# SPDX-License-Identifier: Apache-2.0
# Names up to 255 bytes of anything but '/' and NUL; of which one is the beginning of another.
fresh_volume
mount_volume
run_python <<'EOF'
names = [b"n" * n for n in list(range(1, 5)) + list(range(38, 44)) + [63, 64, 127, 128, 254, 255]]
names += [b"f1", b"f12", b"f123", b"with space", b"new\nline", b"\xff\xfe", "größe-日本".encode(), b"-rf", b"*", b"\\"]
names += [b"p" * 39 + b"x", b"p" * 40 + b"x", b"p" * 40 + b"y", b"p" * 41]
for i, name in enumerate(names):
    with open(name, "w") as f:
        f.write(str(i))
for i, name in enumerate(names):
    assert open(name).read() == str(i), name
assert sorted(os.listdir(b".")) == sorted(names)
raises(errno.ENAMETOOLONG, os.stat, "n" * 256)
raises(errno.ENAMETOOLONG, os.mkdir, "n" * 256)
raises(errno.ENOENT, os.stat, "n" * 200)
for name in names:
    os.unlink(name)
    raises(errno.ENOENT, os.stat, name)
EOF
