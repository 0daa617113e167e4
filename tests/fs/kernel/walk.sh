# SPDX-License-Identifier: Apache-2.0
# timeout: 240
# After a warm-up a whole walk of a real tree - every entry's stat, every byte, absent names - never
# reaches the daemon, also when nothing of it is in the kernel's own caches.
fresh_volume
mount_volume
cp -r /usr/include/linux "$MNT/tree"
chmod 640 "$MNT/tree/fuse.h"
ln -s tree/fuse.h "$MNT/link"
remount_volume
curvefs warmup "$MNT"

walk() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	run_python <<'PY'
original = "/usr/include/linux"
files = 0
for where, folders, names in os.walk(original):
    here = "tree" + where[len(original):]
    for name in folders + names:
        st, wanted = os.lstat(f"{here}/{name}"), os.lstat(f"{where}/{name}")
        assert stat.S_IFMT(st.st_mode) == stat.S_IFMT(wanted.st_mode), name
        for absent in (name + ".absent", "." + name, name[:-1] or "x"):
            if not os.path.lexists(f"{where}/{absent}"):
                raises(errno.ENOENT, os.stat, f"{here}/{absent}")
    for name in names:
        with open(f"{here}/{name}", "rb") as mine, open(f"{where}/{name}", "rb") as theirs:
            assert mine.read() == theirs.read(), f"{here}/{name}"
        assert os.stat(f"{here}/{name}").st_size == os.stat(f"{where}/{name}").st_size
        files += 1
assert os.stat("link").st_mode & 0o777 == 0o640
print(files, "files")
PY
}
assert_daemon_not_asked lookup getattr read -- assert_kernel_hits lookup getattr read -- walk
