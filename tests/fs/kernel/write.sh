# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A file that is written, is written in the kernel, once the daemon has lent it: each write(2) is seen at once by
# every other call, and fsync, close and whatever else the daemon does with the file have all of it.
fresh_volume
mount_volume
cat >ops.py <<'EOF2'
import os, sys
M = 1 << 20

def check(path, wanted):
    "The same by every way to ask."
    st = os.stat(path)
    assert st.st_size == len(wanted), (path, st.st_size, len(wanted))
    assert st.st_blocks == (len(wanted) + 4095) // 4096 * 8
    with open(path, "rb") as f:
        assert f.read() == wanted, path
        assert f.seek(0, os.SEEK_END) == len(wanted)

def new_file(path):
    "Created, then written piece by piece, over chunks of 4 MiB, back and forth, with holes."
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o644)
    image = bytearray()
    def write(at, data):
        if at > len(image):
            image.extend(bytes(at - len(image)))
        image[at:at + len(data)] = data
        before = os.fstat(fd).st_mtime_ns
        assert os.pwrite(fd, data, at) == len(data)
        st = os.fstat(fd)
        assert st.st_size == len(image) and st.st_mtime_ns >= before and st.st_ctime_ns >= st.st_mtime_ns
        assert os.stat(path).st_mtime_ns == st.st_mtime_ns
    write(0, b"a")
    for i in range(40):
        write(1 + i * 100, bytes([i]) * 100)
    write(4 * M - 5, b"across the border")
    write(9 * M + 123, b"behind a hole")
    write(4095, b"xx")
    assert os.pread(fd, 50, 4 * M - 20) == bytes(image[4 * M - 20:4 * M + 30])
    check(path, bytes(image))
    return fd, image

if sys.argv[1] == "new":
    fd, image = new_file("new")
    # two at once, one of them appending
    app = os.open("new", os.O_WRONLY | os.O_APPEND)
    for i in range(30):
        image += b"line %d\n" % i
        assert os.write(app, b"line %d\n" % i)
        image[i:i + 3] = b"%03d" % i
        assert os.pwrite(fd, b"%03d" % i, i) == 3
    check("new", bytes(image))
    os.close(app)
    os.close(fd)
    check("new", bytes(image))
    open("../wanted", "wb").write(image)
elif sys.argv[1] == "check":
    check("new", open("../wanted", "rb").read())
elif sys.argv[1] == "small":
    for i in range(20):
        fd = os.open("small%d" % i, os.O_CREAT | os.O_WRONLY)
        for j in range(8):
            assert os.write(fd, b"%d %d\n" % (i, j))
        os.close(fd)
elif sys.argv[1] == "empty":
    for i in range(5):
        os.close(os.open("empty%d" % i, os.O_CREAT | os.O_WRONLY))
elif sys.argv[1] == "bad":
    import ctypes
    fd = os.open("bad", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"good")
    pwrite = ctypes.CDLL(None, use_errno=True).pwrite
    pwrite.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
    for at in (0, 6 * M, 4 * M - 1):
        assert pwrite(fd, 1, 5, at) == -1 and ctypes.get_errno() == 14
    os.close(fd)
    check("bad", b"good")
elif sys.argv[1] == "sync":
    fd = os.open("new", os.O_RDWR)
    for round in range(4):
        for i in range(32):
            os.pwrite(fd, bytes([round * 32 + i]) * 64, i * 200)
        os.fsync(fd)
    os.close(fd)
    wanted = bytearray(open("../wanted", "rb").read())
    for i in range(32):
        wanted[i * 200:i * 200 + 64] = bytes([96 + i]) * 64
    check("new", bytes(wanted))
    open("../wanted", "wb").write(wanted)
elif sys.argv[1] == "others":
    import resource, signal, struct, mmap
    fd = os.open("o", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"x" * 10000)
    os.chmod("o", 0o4755)                          # a change of the mode in between, kept
    os.write(fd, b"y" * 10)
    assert os.stat("o").st_mode & 0o7777 == 0o4755  # root keeps the set-id bits
    os.truncate("o", 5000)
    os.write(fd, b"z")                              # at 10010: a hole
    check("o", b"x" * 5000 + bytes(5010) + b"z")
    os.utime("o", ns=(5, 7))
    assert os.stat("o").st_mtime_ns == 7
    os.pwrite(fd, b"Z", 10010)
    assert os.stat("o").st_mtime_ns > 7
    os.rename("o", "p")
    os.pwrite(fd, b"AB", 0)
    os.link("p", "q")
    os.pwrite(fd, b"C", 2)
    os.unlink("p")
    os.setxattr("q", "user.x", b"1")
    os.pwrite(fd, b"D", 3)
    check("q", b"ABCD" + b"x" * 4996 + bytes(5010) + b"Z")
    m = mmap.mmap(fd, 4096)
    m[4:6] = b"EF"                                  # stored through a mapping, then written over
    os.pwrite(fd, b"F", 5)
    assert m[0:7] == b"ABCDEFx"
    os.pwrite(fd, b"G", 6)
    assert m[0:8] == b"ABCDEFGx"
    m.close()
    os.posix_fallocate(fd, 0, 20000)
    os.pwrite(fd, b"end", 19997)
    check("q", b"ABCDEFG" + b"x" * 4993 + bytes(5010) + b"Z" + bytes(9986) + b"end")
    dup = os.dup(fd)
    os.close(dup)                                   # a close of one of two: written on
    os.pwrite(fd, b"END", 19997)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20010, -1))
    assert os.pwrite(fd, b"0123456789abcdef", 20000) == 10
    try:
        os.pwrite(fd, b"!", 20010)
        raise SystemExit("no EFBIG")
    except OSError as e:
        assert e.errno == 27
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    os.unlink("q")
    os.pwrite(fd, b"unlinked", 0)
    assert os.pread(fd, 9, 0) == b"unlinkedx"
    os.close(fd)
    capable = os.open("capable", os.O_CREAT | os.O_RDWR)
    os.write(capable, b"x")
    os.setxattr("capable", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
    os.pwrite(capable, b"y", 0)                     # which takes it away
    assert os.listxattr("capable") == []
    os.pwrite(capable, b"z", 1)
    check("capable", b"yz")
    os.close(capable)
    ro = os.open("new", os.O_RDONLY)                # never written by this
    try:
        os.write(ro, b"!")
        raise SystemExit("no EBADF")
    except OSError as e:
        assert e.errno == 9
EOF2
ops() { (cd "$MNT" && python3 "$CASE_DIR/ops.py" "$1"); }
assert_kernel_hits write -- ops new
assert_daemon_not_asked write -- ops small
for i in {0..19}; do
	assert_eq "$(sha256sum <"$MNT/small$i")" "$(for j in {0..7}; do echo "$i $j"; done | sha256sum)" "small$i"
done
# Lent in vain: nothing is left of it in the cache, and what is told of the file is in the map.
files=$(stat_counter cache.files)
ops empty
assert_eq "$(stat_counter cache.files)" "$files" "files in the cache"
assert_daemon_not_asked getattr -- stat "$MNT"/empty{0..4}
# Writes that fail leave nothing: the chunks that they would have been in are not written to later as if they were lent.
ops bad
! bpf_on || curvefs maps "$MNT" --map dirty --json | python3 -c 'import json, sys
assert not [e for e in json.load(sys.stdin)["dirty"]["entries"] if e.get("path") == "/bad"]'
# 4 times 32 writes and an fsync: the first goes by the daemon, which lends the file and does again after each fsync.
before=$(stat_counter daemon.write)
assert_kernel_hits write -- ops sync
after=$(stat_counter daemon.write)
! bpf_on || [ $((after - before)) -le 4 ] || fail "$((after - before)) WRITE at the daemon"
ops others
remount_volume
ops check
umount_volume
curvefs fsck "$VOLUME" --meta-dir "$META" --read-data
