# SPDX-License-Identifier: Apache-2.0
# flock, fcntl and OFD locks: whom they exclude, deadlocks found, what lets go of them. They are the kernel's.
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
run_python <<'EOF'
import signal, struct
OFD_GETLK, OFD_SETLK, OFD_SETLKW = 36, 37, 38
def lock(fd, command, kind, start, length):
    answer = fcntl.fcntl(fd, command, struct.pack("=hh4xqqi4x", kind, os.SEEK_SET, start, length, 0))
    return struct.unpack("=hh4xqqi4x", answer)
def step(pipe):
    assert os.read(pipe, 1) == b"x"
signal.alarm(60)
# the second of two that wait for each other is told so, and the first goes on
a, b = os.open("f", os.O_RDWR), os.open("f", os.O_RDWR)
ready, go = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    fcntl.lockf(a, fcntl.LOCK_EX, 1, 1)
    os.write(ready[1], b"x")
    step(go[0])
    fcntl.lockf(a, fcntl.LOCK_EX, 1, 0) # waits
    os._exit(0)
fcntl.lockf(a, fcntl.LOCK_EX, 1, 0)
step(ready[0])
os.write(go[1], b"x")
while True: # until it waits
    time.sleep(0.1)
    if "->" in open("/proc/locks").read():
        break
raises(errno.EDEADLK, fcntl.lockf, a, fcntl.LOCK_EX, 1, 1)
fcntl.lockf(a, fcntl.LOCK_UN)
assert os.waitpid(pid, 0)[1] == 0
fcntl.lockf(a, fcntl.LOCK_EX | fcntl.LOCK_NB)
fcntl.lockf(a, fcntl.LOCK_UN)
# of an open file: they exclude each other in one process, and say so
lock(a, OFD_SETLK, fcntl.F_WRLCK, 100, 50)
raises(errno.EAGAIN, lock, b, OFD_SETLK, fcntl.F_RDLCK, 149, 1)
assert lock(b, OFD_GETLK, fcntl.F_RDLCK, 0, 0) == (fcntl.F_WRLCK, 0, 100, 50, -1)
lock(b, OFD_SETLKW, fcntl.F_RDLCK, 150, 1)
raises(errno.EAGAIN, fcntl.lockf, a, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 150)
# a duplicate is the same open file; the last close lets go
c = os.dup(a)
os.close(a)
raises(errno.EAGAIN, lock, b, OFD_SETLK, fcntl.F_WRLCK, 100, 1)
os.close(c)
lock(b, OFD_SETLK, fcntl.F_WRLCK, 0, 0)
lock(b, OFD_SETLK, fcntl.F_UNLCK, 0, 0)
# any close of the file lets go of a process's own locks, as POSIX wants it
fcntl.lockf(b, fcntl.LOCK_EX)
os.close(os.open("f", os.O_RDONLY))
pid = os.fork()
if pid == 0:
    fcntl.lockf(os.open("f", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
# a lock outlives the name of its file
fcntl.flock(b, fcntl.LOCK_EX)
d = os.open("f", os.O_RDWR)
os.unlink("f")
raises(errno.EAGAIN, fcntl.flock, d, fcntl.LOCK_SH | fcntl.LOCK_NB)
# one that waits is woken by a signal
signal.signal(signal.SIGUSR1, lambda *_: None)
pid = os.fork()
if pid == 0:
    time.sleep(0.3)
    os.kill(os.getppid(), signal.SIGUSR1)
    os._exit(0)
class Woken(Exception):
    pass
def wake(*_):
    raise Woken
signal.signal(signal.SIGUSR1, wake)
try:
    fcntl.flock(d, fcntl.LOCK_EX)
    raise AssertionError("got a lock that another has")
except Woken:
    pass
os.waitpid(pid, 0)
EOF
