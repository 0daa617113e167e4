# SPDX-License-Identifier: Apache-2.0
# FIFOs, sockets and device nodes keep their type and number, also over a remount.
need_root
fresh_volume
mount_volume
run_python <<'EOF'
import socket
os.mkfifo("fifo", 0o600)
s = socket.socket(socket.AF_UNIX); s.bind("socket"); s.close()
os.mknod("char", 0o644 | stat.S_IFCHR, os.makedev(1, 3))
os.mknod("block", 0o644 | stat.S_IFBLK, os.makedev(259, 70000))
os.mknod("plain", 0o644 | stat.S_IFREG)
EOF
remount_volume
run_python <<'EOF'
kind = {name: stat.S_IFMT(os.stat(name).st_mode) for name in os.listdir(".")}
assert kind == {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK, "char": stat.S_IFCHR,
                "block": stat.S_IFBLK, "plain": stat.S_IFREG}, kind
assert os.stat("char").st_rdev == os.makedev(1, 3) and os.stat("block").st_rdev == os.makedev(259, 70000)
if os.fork() == 0:
    open("fifo", "w").write("through")
    os._exit(0)
assert open("fifo").read() == "through"
EOF
