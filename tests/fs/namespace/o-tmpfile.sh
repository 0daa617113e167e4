# SPDX-License-Identifier: Apache-2.0
# O_TMPFILE: a file without a name, which linkat(2) may give one, unless it was opened with O_EXCL.
fresh_volume
mount_volume
run_python "$DAEMON" <<'PY'
libc = ctypes.CDLL(None, use_errno=True)
def name(fd, path):
    if libc.linkat(-100, b"/proc/self/fd/%d" % fd, -100, path, 0x400) < 0:
        raise OSError(ctypes.get_errno(), path)
def unnamed(flags=0):
    fd = os.open(".", os.O_TMPFILE | os.O_RDWR | flags, 0o640)
    os.write(fd, b"hello" * 1000)
    return fd
fd = unnamed()
assert os.listdir(".") == []
st = os.fstat(fd)
assert (st.st_nlink, st.st_size, st.st_mode) == (0, 5000, stat.S_IFREG | 0o640), st
os.fsync(fd)
name(fd, b"named")
assert os.fstat(fd).st_nlink == 1 and open("named").read() == "hello" * 1000
raises(errno.EEXIST, name, fd, b"named")
name(fd, b"again")
assert os.stat("again").st_nlink == 2
os.unlink("named"); os.unlink("again")
raises(errno.ENOENT, name, fd, b"named")
os.close(fd)
fd = unnamed(os.O_EXCL)
raises(errno.ENOENT, name, fd, b"excl")
os.close(fd)
raises(errno.ENOENT, os.open, "nowhere", os.O_TMPFILE | os.O_RDWR)
os.close(unnamed())  # gone without a trace
fd = unnamed()  # named, and the daemon dies before it is closed
os.setxattr(fd, "user.a", b"1")
os.fsync(fd)
name(fd, b"kept")
left = unnamed()  # ... and this one is an orphan that the next mount finds
os.fsync(os.open(".", os.O_RDONLY))
os.kill(int(sys.argv[1]), 9)
PY
kill_daemon
mount_volume --clone-fd
run_python <<'PY'
os.write(os.open(".", os.O_TMPFILE | os.O_RDWR), b"x")
PY
assert_eq "$(ls "$MNT")" kept
assert_eq "$(cksum <"$MNT/kept")" "$(printf 'hello%.0s' {1..1000} | cksum)"
assert_eq "$(stat -c %h "$MNT/kept")" 1
# Only the root and that file are left.
assert_eq "$(df --output=iused "$MNT" | tail -n 1 | tr -d ' ')" 2
