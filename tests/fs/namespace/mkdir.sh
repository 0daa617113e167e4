# SPDX-License-Identifier: Apache-2.0
# Directories: made, refused, counted, removed.
fresh_volume
mount_volume
run_python <<'EOF'
os.mkdir("a", 0o750)
st = os.stat("a")
assert stat.S_ISDIR(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o750, oct(st.st_mode)
assert st.st_nlink == 2 and os.stat(".").st_nlink == 3
before = os.stat("a").st_mtime_ns
time.sleep(0.01)
os.makedirs("a/b/c")
assert os.stat("a").st_nlink == 3 and os.stat("a").st_mtime_ns > before
raises(errno.EEXIST, os.mkdir, "a")
raises(errno.ENOENT, os.mkdir, "no/where")
open("file", "w").close()
raises(errno.ENOTDIR, os.mkdir, "file/x")
raises(errno.EEXIST, os.mkdir, "file")
raises(errno.ENOTEMPTY, os.rmdir, "a")
raises(errno.ENOTDIR, os.rmdir, "file")
raises(errno.EISDIR, os.unlink, "a")
os.removedirs("a/b/c")
raises(errno.ENOENT, os.stat, "a")
assert os.stat(".").st_nlink == 2
EOF
