# SPDX-License-Identifier: Apache-2.0
# flock and fcntl locks: exclusive ones exclude other processes until released.
fresh_volume
mount_volume
run_python <<'EOF'
open("f", "w").write("x" * 100)
fd = os.open("f", os.O_RDWR)
def other(what):
    pid = os.fork()
    if pid == 0:
        own = os.open("f", os.O_RDWR)
        try:
            what(own)
            os._exit(0)
        except OSError as e:
            os._exit(2 if e.errno in (errno.EAGAIN, errno.EACCES) else 3)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
fcntl.flock(fd, fcntl.LOCK_EX)
assert other(lambda f: fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)) == 2
fcntl.flock(fd, fcntl.LOCK_UN)
assert other(lambda f: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)) == 0
fcntl.lockf(fd, fcntl.LOCK_EX, 10, 0)
assert other(lambda f: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5)) == 2
assert other(lambda f: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 10)) == 0
EOF
