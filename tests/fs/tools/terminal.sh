# SPDX-License-Identifier: Apache-2.0
# On a terminal there is a progress bar, gone when all is done; elsewhere there is none.
fresh_volume
mount_volume
mkdir "$MNT/d"
for i in {1..5}; do head -c 100000 /dev/urandom >"$MNT/d/f$i"; done
umount_volume
rm -rf "$CACHE"
mkdir "$CACHE"
CURVEFS_STORE_FAULTS="get:delay_ms=150" mount_volume

# on_terminal COMMAND...: what it writes to a terminal of 60 columns.
on_terminal() {
	TERM=xterm python3 - "$@" <<'EOF'
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
said = b""
while True:
    try:
        piece = os.read(fd, 4096)
    except OSError:
        break
    if not piece:
        break
    said += piece
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
EOF
}
on_terminal curvefs warmup -p 1 "$MNT/d" >said
grep -aq '\[=* *\] *[0-9]*%' said
grep -aq $'\r\033\\[K' said
tr '\r' '\n' <said | sed 's/\x1b\[K//' | awk 'length($0) > 60 { exit 1 }' || fail "a line is wider than the terminal"
tail -n 1 said | grep -q 'files of'
curvefs warmup -p 1 "$MNT/d" >said 2>&1
not grep -q '\[=' said

curvefs stats -i 0.2 -c 2 "$MNT" >said
grep -q 'the last 0.2 s' said
