# SPDX-License-Identifier: Apache-2.0
# Hard links: one inode, counted; not of directories.
fresh_volume
mount_volume
run_python <<'EOF'
os.mkdir("d")
open("a", "w").write("1")
before = os.stat("a").st_ctime_ns
time.sleep(0.01)
os.link("a", "d/b")
a, b = os.stat("a"), os.stat("d/b")
assert a.st_ino == b.st_ino and a.st_nlink == b.st_nlink == 2 and a.st_ctime_ns > before
open("d/b", "a").write("2")
assert open("a").read() == "12" and os.stat("a").st_size == 2
raises(errno.EEXIST, os.link, "a", "d/b")
raises(errno.EPERM, os.link, "d", "e")
raises(errno.ENOENT, os.link, "none", "e")
os.unlink("a")
assert os.stat("d/b").st_nlink == 1 and open("d/b").read() == "12"
os.symlink("x", "s"); os.link("s", "s2", follow_symlinks=False)
assert os.readlink("s2") == "x" and os.lstat("s").st_nlink == 2
EOF
