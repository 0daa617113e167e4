# SPDX-License-Identifier: Apache-2.0
# Files: exclusive creation, inode numbers, a name that comes back is another file.
fresh_volume
mount_volume
run_python <<'EOF'
fd = os.open("f", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640)
st = os.fstat(fd)
assert stat.S_IMODE(st.st_mode) == 0o640 and st.st_nlink == 1 and st.st_size == 0
assert os.stat("f").st_ino == st.st_ino
raises(errno.EEXIST, os.open, "f", os.O_CREAT | os.O_EXCL | os.O_RDWR)
raises(errno.EISDIR, os.open, ".", os.O_WRONLY)
raises(errno.ENOENT, os.open, "g", os.O_RDWR)
raises(errno.ENOENT, os.open, "", os.O_RDWR)
os.write(fd, b"old")
os.unlink("f")
raises(errno.ENOENT, os.stat, "f")
raises(errno.ENOENT, os.unlink, "f")
open("f", "w").close()
assert os.stat("f").st_size == 0 and os.stat("f").st_ino != st.st_ino
assert sorted(os.listdir(".")) == ["f"]
EOF
