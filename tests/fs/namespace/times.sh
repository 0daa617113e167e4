# SPDX-License-Identifier: Apache-2.0
# Times to the nanosecond: set, left out, and moved by what must move them; kept over a remount.
fresh_volume
mount_volume
run_python <<'EOF'
open("f", "w").close()
os.utime("f", ns=(1_000_000_000_123_456_789, 4_000_000_000_987_654_321))
os.mkdir("d"); os.utime("d", ns=(1, 2))
os.symlink("f", "s"); os.utime("s", ns=(3, 4), follow_symlinks=False)
EOF
remount_volume
run_python <<'EOF'
st = os.stat("f")
assert (st.st_atime_ns, st.st_mtime_ns) == (1_000_000_000_123_456_789, 4_000_000_000_987_654_321)
assert os.stat("d").st_mtime_ns == 2 and os.lstat("s").st_mtime_ns == 4
def moves(what, *fields, name="f"):
    before = os.stat(name); time.sleep(0.02); what(); after = os.stat(name)
    for field in "st_mtime_ns", "st_ctime_ns":
        moved = getattr(before, field) != getattr(after, field)
        assert moved == (field in fields), (what, field, moved)
def write(flags=os.O_WRONLY):
    fd = os.open("f", flags); os.write(fd, b"x"); os.close(fd)
moves(write, "st_mtime_ns", "st_ctime_ns")
moves(lambda: os.truncate("f", 5), "st_mtime_ns", "st_ctime_ns")
moves(lambda: os.chmod("f", 0o600), "st_ctime_ns")
moves(lambda: os.link("f", "l"), "st_ctime_ns")
moves(lambda: os.rename("l", "d/l"), "st_mtime_ns", "st_ctime_ns", name="d")
moves(lambda: os.unlink("d/l"), "st_mtime_ns", "st_ctime_ns", name="d")
moves(lambda: open("f").read())
assert abs(os.stat("f").st_ctime - time.time()) < 60
EOF
