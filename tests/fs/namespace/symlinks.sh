# SPDX-License-Identifier: Apache-2.0
# Symbolic links: read back as written, followed, dangling, in a circle, too long.
fresh_volume
mount_volume
run_python <<'EOF'
open("file", "w").write("hello")
for target, name in ("file", "s1"), ("none/there", "s2"), ("s3", "s3"), ("t" * 4095, "s4"), ("/etc", "s5"):
    os.symlink(target, name)
    st = os.lstat(name)
    assert os.readlink(name) == target and stat.S_ISLNK(st.st_mode) and st.st_size == len(target), name
assert open("s1").read() == "hello" and os.path.isdir("s5")
raises(errno.ENOENT, os.stat, "s2")
raises(errno.ELOOP, os.stat, "s3")
raises(errno.EEXIST, os.symlink, "x", "s1")
raises(errno.ENAMETOOLONG, os.symlink, "t" * 4096, "s6")
raises(errno.EINVAL, os.readlink, "file")
os.unlink("s1")
assert open("file").read() == "hello"
EOF
