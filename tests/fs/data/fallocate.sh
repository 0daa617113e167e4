# SPDX-License-Identifier: Apache-2.0
# fallocate(2): plain, keep size, punch hole, zero range; what is staged, committed and cached; its errors.
fresh_volume
mount_volume -o allow_other
run_python <<'EOF'
libc = ctypes.CDLL(None, use_errno=True)
KEEP, PUNCH, COLLAPSE, ZERO, INSERT, UNSHARE = 1, 2, 8, 16, 32, 64
def fallocate(fd, mode, offset, length):
    if libc.fallocate64(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) < 0:
        raise OSError(ctypes.get_errno(), "fallocate")
size = 9 << 20
bytes_ = bytes(i * 7 % 251 for i in range(65536)) * (size // 65536)
def check(fd, model):
    assert os.fstat(fd).st_size == len(model), (os.fstat(fd).st_size, len(model))
    assert os.pread(fd, len(model) + 1, 0) == model
for when in "staged", "committed", "cached":
    model = bytearray(bytes_)
    fd = os.open(when, os.O_CREAT | os.O_RDWR)
    os.write(fd, model)
    if when != "staged":
        os.fsync(fd)
    if when == "cached":
        check(fd, model)
    # within a page, over a page, over blocks and chunks, the last bytes, behind the end
    for mode in PUNCH | KEEP, ZERO, ZERO | KEEP:
        for offset, length in (5, 90), (4000, 200), (70000, 5 << 20), (size - 10, 10), (size - 3, 1000), (size + 5000, 9):
            before = os.fstat(fd)
            fallocate(fd, mode, offset, length)
            st = os.fstat(fd)
            assert st.st_mtime_ns > before.st_mtime_ns and st.st_ctime_ns > before.st_ctime_ns
            end = min(offset + length, len(model))
            if offset < end:
                model[offset:end] = bytes(end - offset)
            if mode == ZERO and offset + length > len(model):
                model.extend(bytes(offset + length - len(model)))
            check(fd, model)
        os.pwrite(fd, b"again", 4090)
        model[4090:4095] = b"again"
        check(fd, model)
        os.pwrite(fd, bytes_[:100000], 60000)
        model[60000:160000] = bytes_[:100000]
    for mode, offset, length in (0, 0, 10), (0, len(model), 5000), (KEEP, len(model), 1 << 40), (0, 10, 1):
        fallocate(fd, mode, offset, length)
        if not mode and offset + length > len(model):
            model.extend(bytes(offset + length - len(model)))
        check(fd, model)
    os.close(fd)
    fd = os.open(when, os.O_RDONLY)
    check(fd, model)
    open(when + ".model", "wb").write(model)
    raises(errno.EBADF, fallocate, fd, 0, 0, 1)
    os.close(fd)
# an unlinked file, and huge ranges
fd = os.open("gone", os.O_CREAT | os.O_RDWR)
os.unlink("gone")
os.write(fd, b"x" * 10000)
fallocate(fd, PUNCH | KEEP, 100, 1 << 62)
assert os.pread(fd, 20000, 0) == b"x" * 100 + bytes(9900)
fallocate(fd, 0, 0, (1 << 63) - 1)
assert os.fstat(fd).st_size == (1 << 63) - 1
fallocate(fd, ZERO, 50, (1 << 63) - 51)
assert os.pread(fd, 200, 0) == b"x" * 50 + bytes(150)
# errors
for mode in COLLAPSE, INSERT, UNSHARE, PUNCH, PUNCH | ZERO | KEEP, 0x80:
    raises(errno.EOPNOTSUPP, fallocate, fd, mode, 0, 4096)
raises(errno.EINVAL, fallocate, fd, 0, -1, 1)
raises(errno.EINVAL, fallocate, fd, 0, 0, 0)
raises(errno.EINVAL, fallocate, fd, PUNCH | KEEP, 0, -4096)
raises(errno.EFBIG, fallocate, fd, 0, 1 << 62, 1 << 62)
os.mkdir("dir")
raises(errno.EBADF, fallocate, os.open("dir", os.O_RDONLY), 0, 0, 1)
# who may not keep the set-id bits loses them, as by write(2)
if os.getuid() == 0:
    os.chmod(".", 0o777)
    for call in (lambda fd: fallocate(fd, 0, 0, 10), lambda fd: fallocate(fd, PUNCH | KEEP, 0, 10),
            lambda fd: os.copy_file_range(os.open("cached", os.O_RDONLY), fd, 10)):
        suid = os.open("suid", os.O_CREAT | os.O_RDWR)
        os.chmod("suid", 0o6777)
        pid = os.fork()
        if pid == 0:
            try:
                os.setuid(1000)
            except OSError: # a namespace that has no such user
                os._exit(0)
            call(suid)
            os._exit(stat.S_IMODE(os.fstat(suid).st_mode) != 0o777)
        assert os.waitpid(pid, 0)[1] == 0
# RLIMIT_FSIZE
pid = os.fork()
if pid == 0:
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
    fd = os.open("limited", os.O_CREAT | os.O_RDWR)
    raises(errno.EFBIG, fallocate, fd, 0, 0, 5001)
    fallocate(fd, KEEP, 0, 5001)
    assert os.write(fd, bytes(6000)) == 5000
    raises(errno.EFBIG, os.write, fd, b"x")
    raises(errno.EFBIG, os.ftruncate, fd, 5001)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
EOF
remount_volume
for when in staged committed cached; do
	cmp "$MNT/$when" "$MNT/$when.model"
done
