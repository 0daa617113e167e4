# SPDX-License-Identifier: Apache-2.0
# A write through O_SYNC, O_DSYNC or RWF_SYNC is durable when it returns: it outlives a kill of the daemon.
fresh_volume
mount_volume
run_python "$DAEMON" <<'EOF'
import signal
files = {}
for name, flags, write in ("sync", os.O_SYNC, os.write), ("dsync", os.O_DSYNC, os.write), \
        ("rwf-sync", 0, lambda fd, data: os.pwritev(fd, [data], 0, os.RWF_SYNC)), \
        ("rwf-dsync", 0, lambda fd, data: os.pwritev(fd, [data], 0, os.RWF_DSYNC)), \
        ("direct-sync", os.O_DIRECT | os.O_SYNC, None), ("append-sync", os.O_SYNC | os.O_APPEND, os.write):
    fd = os.open(name, os.O_CREAT | os.O_WRONLY | flags, 0o600)
    if write:
        write(fd, name.encode() * 1000)
    else:
        page = mmap.mmap(-1, 8192)
        page.write(b"D" * 8192)
        os.writev(fd, [page])
    files[name] = fd
other = os.open("no-sync", os.O_CREAT | os.O_WRONLY, 0o600)
os.write(other, b"x" * 1000)
shared = os.open("mapped", os.O_CREAT | os.O_RDWR, 0o600)
os.ftruncate(shared, 5000)
m = mmap.mmap(shared, 5000)
m[4990:5000] = b"0123456789"
m.flush()
os.kill(int(sys.argv[1]), signal.SIGKILL)
os._exit(0)
EOF
kill_daemon
mount_volume
run_python <<'EOF'
for name in "sync", "dsync", "rwf-sync", "rwf-dsync", "append-sync":
    assert open(name, "rb").read() == name.encode() * 1000, name
assert open("direct-sync", "rb").read() == b"D" * 8192
assert open("mapped", "rb").read() == bytes(4990) + b"0123456789"
assert os.stat("no-sync").st_size in (0, 1000)
EOF
