# SPDX-License-Identifier: Apache-2.0
"""compare_calls.py REFERENCE DIRECTORY: make the same system calls in both, and compare what they
answer, errors included. REFERENCE is an empty directory of a file system that is known to be right.
Exit status 1: there are differences, printed as `step : reference | directory`."""
import ctypes
import errno
import fcntl
import os
import socket
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100


def E(f):
    """What the call returns, or the name of its error."""
    try:
        return f()
    except OSError as e:
        return errno.errorcode.get(e.errno, e.errno)

def renameat2(a, b, flags):
    ctypes.set_errno(0)
    r = libc.renameat2(AT_FDCWD, a.encode() if isinstance(a,str) else a, AT_FDCWD, b.encode() if isinstance(b,str) else b, flags)
    if r < 0:
        e = ctypes.get_errno(); raise OSError(e, os.strerror(e))
    return 0

def st(p, follow=False):
    s = os.stat(p, follow_symlinks=follow)
    return (stat.filemode(s.st_mode), s.st_nlink, s.st_uid, s.st_gid, s.st_size if not stat.S_ISDIR(s.st_mode) else None, s.st_rdev)

def tree(top="."):
    """Every name below top, with what does not depend on the file system."""
    out = []
    for d, ds, fs in os.walk(top):
        ds.sort()
        for n in sorted(ds + fs):
            p = os.path.join(d, n)
            out.append((p, st(p)))
    return out

def W(p, data=b"x", flags=os.O_CREAT | os.O_WRONLY, mode=0o644):
    fd = os.open(p, flags, mode)
    try:
        n = os.write(fd, data)
    finally:
        os.close(fd)
    return n

def R(p):
    with open(p, "rb") as f:
        return f.read()

def steps():
    L = "n" * 255
    yield "create", lambda: W("f")
    yield "excl", lambda: os.close(os.open("f", os.O_CREAT | os.O_EXCL | os.O_RDWR))
    yield "mkdir", lambda: os.mkdir("d")
    yield "mkdir again", lambda: os.mkdir("d")
    yield "mkdir over file", lambda: os.mkdir("f")
    yield "mkdir in file", lambda: os.mkdir("f/x")
    yield "mkdir in nothing", lambda: os.mkdir("nope/x")
    yield "long", lambda: W(L)
    yield "too long", lambda: W(L + "n")
    yield "too long mkdir", lambda: os.mkdir(L + "n")
    yield "too long lookup", lambda: os.stat(L + "n")
    yield "too long symlink", lambda: os.symlink("x" * 4096, "sl0")
    yield "long symlink", lambda: os.symlink("x" * 4095, "sl1")
    yield "readlink", lambda: os.readlink("sl1")
    yield "empty symlink", lambda: os.symlink("", "sl2")
    yield "symlink", lambda: os.symlink("d", "sl")
    yield "symlink again", lambda: os.symlink("d", "sl")
    yield "through symlink", lambda: W("sl/g")
    yield "readlink file", lambda: os.readlink("f")
    yield "rmdir nonempty", lambda: os.rmdir("d")
    yield "rmdir file", lambda: os.rmdir("f")
    yield "rmdir symlink", lambda: os.rmdir("sl")
    yield "rmdir nothing", lambda: os.rmdir("nope")
    yield "rmdir .", lambda: os.rmdir("d/.")
    yield "rmdir ..", lambda: os.rmdir("d/..")
    yield "unlink dir", lambda: os.unlink("d")
    yield "unlink nothing", lambda: os.unlink("nope")
    yield "unlink slash", lambda: os.unlink("f/")
    yield "link", lambda: os.link("f", "f2")
    yield "link again", lambda: os.link("f", "f2")
    yield "link dir", lambda: os.link("d", "d2")
    yield "link nothing", lambda: os.link("nope", "n2")
    yield "link symlink", lambda: os.link("sl", "sl3", follow_symlinks=False)
    yield "rename same inode", lambda: os.rename("f", "f2")
    yield "tree 1", tree
    yield "rename noreplace", lambda: renameat2("f", "f2", 1)
    yield "rename exchange", lambda: renameat2("f", "d", 2)
    yield "tree 2", tree
    yield "rename exchange back", lambda: renameat2("f", "d", 2)
    yield "rename exchange nothing", lambda: renameat2("f", "nope", 2)
    yield "rename both flags", lambda: renameat2("f", "nope", 3)
    yield "rename unknown flag", lambda: renameat2("f", "nope", 16)
    yield "rename file over dir", lambda: os.rename("f", "d")
    yield "rename dir over file", lambda: os.rename("d", "f")
    yield "rename into self", lambda: os.rename("d", "d/sub")
    yield "mkdir sub", lambda: os.mkdir("d/sub")
    yield "rename into child", lambda: os.rename("d", "d/sub/x")
    yield "rename over ancestor", lambda: os.rename("d/sub", "d")
    yield "rename over nonempty", lambda: (os.mkdir("e"), os.rename("e", "d"))
    yield "rename over empty", lambda: (os.mkdir("e2"), os.rename("e", "e2"))
    yield "rename dir across", lambda: os.rename("d/sub", "e2/sub")
    yield "rename exchange ancestor", lambda: renameat2("e2", "e2/sub", 2)
    yield "rename noreplace ok", lambda: renameat2("f2", "f3", 1)
    yield "rename nothing", lambda: os.rename("nope", "x")
    yield "rename to too long", lambda: os.rename("f3", L + "n")
    yield "rename in notdir", lambda: os.rename("f3", "f/x")
    yield "rename .", lambda: os.rename("d/.", "x")
    yield "tree 3", tree
    yield "mkfifo", lambda: os.mkfifo("p", 0o600)
    yield "mknod reg", lambda: os.mknod("reg", stat.S_IFREG | 0o640)
    yield "mknod chr", lambda: os.mknod("chr", stat.S_IFCHR | 0o640, os.makedev(1, 3))
    yield "mknod blk", lambda: os.mknod("blk", stat.S_IFBLK | 0o640, os.makedev(260, 70000))
    yield "mknod sock", lambda: os.mknod("so", stat.S_IFSOCK | 0o640)
    yield "mknod dir", lambda: os.mknod("dd", stat.S_IFDIR | 0o640)
    yield "mknod again", lambda: os.mknod("p", stat.S_IFIFO)
    yield "bind", lambda: socket.socket(socket.AF_UNIX).bind("sock")
    yield "open dir rw", lambda: os.open("d", os.O_RDWR)
    yield "open dir creat", lambda: os.open("d", os.O_CREAT | os.O_RDONLY)
    yield "open O_DIRECTORY file", lambda: os.open("f", os.O_DIRECTORY)
    yield "open nofollow", lambda: os.open("sl", os.O_NOFOLLOW)
    yield "open loop", lambda: (os.symlink("loop", "loop"), os.open("loop", os.O_RDONLY))
    yield "open nothing", lambda: os.open("nope", os.O_RDONLY)
    yield "open dangling", lambda: os.open("sl1", os.O_RDONLY)
    yield "creat dangling", lambda: (os.symlink("target", "dang"), W("dang"), R("target"))
    yield "tmpfile", lambda: os.close(os.open(".", os.O_TMPFILE | os.O_RDWR))
    yield "read dir", lambda: os.read(os.open("d", os.O_RDONLY), 1)
    yield "truncate", lambda: (os.truncate("f", 100), R("f"))
    yield "truncate dir", lambda: os.truncate("d", 0)
    yield "truncate negative", lambda: os.truncate("f", -1)
    yield "truncate huge", lambda: os.truncate("reg", 1 << 42)
    yield "stat huge", lambda: st("reg")
    yield "truncate back", lambda: os.truncate("reg", 3)
    yield "ftruncate ro", lambda: os.ftruncate(os.open("f", os.O_RDONLY), 1)
    yield "write ro", lambda: os.write(os.open("f", os.O_RDONLY), b"x")
    yield "append", lambda: (W("f", b"tail", os.O_APPEND | os.O_WRONLY), R("f"))
    yield "pwrite far", lambda: (lambda fd: (os.pwrite(fd, b"z", 100000), os.fstat(fd).st_size, os.pread(fd, 10, 99995), os.close(fd)))(os.open("f", os.O_RDWR))
    yield "pread beyond", lambda: os.pread(os.open("f", os.O_RDONLY), 10, 1 << 40)
    yield "pread negative", lambda: os.pread(os.open("f", os.O_RDONLY), 10, -1)
    yield "otrunc", lambda: (os.close(os.open("f", os.O_TRUNC | os.O_WRONLY)), st("f"))
    yield "fallocate", lambda: (lambda fd: (os.posix_fallocate(fd, 0, 5000), os.fstat(fd).st_size, os.close(fd)))(os.open("f", os.O_RDWR))
    yield "fallocate bad", lambda: os.posix_fallocate(os.open("f", os.O_RDWR), 0, 0)
    yield "fallocate ro", lambda: os.posix_fallocate(os.open("f", os.O_RDONLY), 0, 5)
    yield "lseek", lambda: (lambda fd: (os.lseek(fd, 0, os.SEEK_END), os.lseek(fd, -1, os.SEEK_CUR)))(os.open("f", os.O_RDWR))
    yield "seek hole end", lambda: os.lseek(os.open("f", os.O_RDWR), 10000, os.SEEK_DATA)
    yield "copy_file_range", lambda: (W("c1", b"abc" * 1000), os.copy_file_range(os.open("c1", os.O_RDONLY), os.open("c2", os.O_CREAT | os.O_WRONLY), 3000), R("c2") == R("c1"))
    yield "chmod", lambda: (os.chmod("f", 0o4755), st("f"))
    yield "chown", lambda: (os.chown("f", 1000, 1001), st("f"))
    yield "chmod sgid", lambda: (os.chmod("f", 0o2755), os.chown("f", 1002, -1), st("f"))
    yield "chmod sgid noexec", lambda: (os.chmod("f", 0o2744), os.chown("f", 1003, -1), st("f"))
    yield "suid write root", lambda: (os.chmod("f", 0o6755), W("f"), st("f"))
    yield "suid truncate root", lambda: (os.chmod("f", 0o6755), os.truncate("f", 1), st("f"))
    yield "sgid dir", lambda: (os.mkdir("sg"), os.chown("sg", 0, 77), os.chmod("sg", 0o2775), os.mkdir("sg/s"), W("sg/f"), st("sg/s"), st("sg/f"))
    yield "utime", lambda: (os.utime("f", ns=(1, 1234567890123456789)), os.stat("f").st_mtime_ns, os.stat("f").st_atime_ns)
    yield "utime negative", lambda: (os.utime("f", ns=(-1500000000, -1)), os.stat("f").st_mtime_ns, os.stat("f").st_atime_ns)
    yield "utime symlink", lambda: (os.utime("sl", ns=(5, 7), follow_symlinks=False), os.lstat("sl").st_mtime_ns)
    yield "lchown", lambda: (os.lchown("sl", 5, 6), st("sl"))
    yield "setxattr", lambda: os.setxattr("f", "user.a", b"1")
    yield "getxattr", lambda: os.getxattr("f", "user.a")
    yield "listxattr", lambda: sorted(os.listxattr("f"))
    yield "setxattr create", lambda: os.setxattr("f", "user.a", b"1", os.XATTR_CREATE)
    yield "setxattr replace", lambda: os.setxattr("f", "user.b", b"1", os.XATTR_REPLACE)
    yield "getxattr none", lambda: os.getxattr("f", "user.none")
    yield "removexattr none", lambda: os.removexattr("f", "user.none")
    yield "removexattr", lambda: os.removexattr("f", "user.a")
    yield "setxattr no ns", lambda: os.setxattr("f", "foo", b"1")
    yield "setxattr long name", lambda: os.setxattr("f", "user." + "x" * 251, b"1")
    yield "setxattr empty", lambda: (os.setxattr("f", "user.e", b""), os.getxattr("f", "user.e"))
    yield "setxattr trusted", lambda: (os.setxattr("f", "trusted.t", b"1"), os.getxattr("f", "trusted.t"))
    yield "setxattr symlink", lambda: os.setxattr("sl", "user.a", b"1", follow_symlinks=False)
    yield "setxattr fifo", lambda: os.setxattr("p", "user.a", b"1")
    yield "setxattr dir", lambda: (os.setxattr("d", "user.a", b"1"), os.listxattr("d"))
    yield "fsync dir", lambda: os.fsync(os.open("d", os.O_RDONLY))
    yield "flock", lambda: fcntl.flock(os.open("f", os.O_RDONLY), fcntl.LOCK_EX)
    yield "lockf", lambda: fcntl.lockf(os.open("f", os.O_RDWR), fcntl.LOCK_EX)
    yield "ioctl", lambda: fcntl.ioctl(os.open("f", os.O_RDWR), 0x1234)
    yield "O_DIRECT", lambda: os.close(os.open("f", os.O_RDWR | os.O_DIRECT))
    yield "exec", lambda: (W("x.sh", b"#!/bin/sh\nexit 7\n", mode=0o755), os.spawnl(os.P_WAIT, "./x.sh", "x.sh"))
    yield "exec not", lambda: os.spawnl(os.P_WAIT, "./c1", "c1")
    yield "many links", lambda: ([os.link("f", "e2/l%d" % i) for i in range(100)], st("f"))[1]
    yield "removed cwd", removed_cwd
    yield "unlink open", unlink_open
    yield "tree 4", tree
    yield "as nobody", as_nobody
    yield "tree 5", tree

def unlink_open():
    fd = os.open("uo", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"abc"); os.unlink("uo")
    out = [os.fstat(fd).st_nlink, os.fstat(fd).st_size, os.pread(fd, 10, 0)]
    out.append(E(lambda: os.link("/proc/self/fd/%d" % fd, "again", follow_symlinks=True)))
    out.append(E(lambda: os.fchmod(fd, 0o600)))
    out.append(E(lambda: os.setxattr(fd, "user.x", b"1")))
    out.append(E(lambda: os.getxattr(fd, "user.x")))
    os.close(fd)
    return out

def removed_cwd():
    top = os.getcwd()
    os.mkdir("rc"); os.chdir("rc"); os.rmdir("../rc")
    out = [E(lambda: W("x")), E(lambda: os.mkdir("y")), E(lambda: os.listdir(".")), E(lambda: os.stat(".").st_nlink), E(os.getcwd), E(lambda: sorted(os.listdir(".."))[:2])]
    os.chdir(top)
    return out

def as_nobody():
    """In a child, as an unprivileged user."""
    os.mkdir("sticky"); os.chmod("sticky", 0o1777); W("sticky/root")
    os.mkdir("open"); os.chmod("open", 0o777); W("open/root"); os.chmod("open/root", 0o6777)
    os.mkdir("closed"); os.chmod("closed", 0o700)
    os.chmod(".", 0o755)
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
        out = []
        def do(name, f):
            out.append((name, E(f)))
        do("create sticky", lambda: W("sticky/mine"))
        do("unlink sticky", lambda: os.unlink("sticky/root"))
        do("rename sticky", lambda: os.rename("sticky/root", "sticky/r2"))
        do("rename over sticky", lambda: os.rename("sticky/mine", "sticky/root"))
        do("unlink mine", lambda: os.unlink("sticky/mine"))
        do("closed", lambda: os.stat("closed/x"))
        do("list closed", lambda: os.listdir("closed"))
        do("create here", lambda: W("mine"))
        do("write suid", lambda: (W("open/root"), st("open/root")))
        do("chmod other", lambda: os.chmod("open/root", 0o777))
        do("chown", lambda: os.chown("open/root", 65534, -1))
        do("utime now other", lambda: os.utime("open/root"))
        do("utime set other", lambda: os.utime("open/root", ns=(1, 1)))
        do("mine", lambda: (W("open/mine"), os.chmod("open/mine", 0o6755), st("open/mine")))
        do("chown mine away", lambda: os.chown("open/mine", 0, -1))
        do("chown mine same", lambda: (os.chown("open/mine", 65534, 65534), st("open/mine")))
        do("chmod mine sgid", lambda: (os.chmod("open/mine", 0o6755), st("open/mine")))
        do("truncate mine suid", lambda: (os.truncate("open/mine", 0), st("open/mine")))
        do("otrunc mine suid", lambda: (os.chmod("open/mine", 0o6755), os.close(os.open("open/mine", os.O_WRONLY | os.O_TRUNC)), st("open/mine")))
        do("mknod chr", lambda: os.mknod("open/chr", stat.S_IFCHR, os.makedev(1, 3)))
        do("mkfifo", lambda: os.mkfifo("open/fifo"))
        do("trusted", lambda: os.setxattr("open/mine", "trusted.x", b"1"))
        do("get trusted", lambda: os.getxattr("f", "trusted.t"))
        do("user xattr other", lambda: os.setxattr("f", "user.x", b"1"))
        do("link other", lambda: os.link("f", "open/f"))
        do("sgid dir", lambda: (os.mkdir("sg/mine"),))
        do("access", lambda: [os.access("closed", m) for m in (os.R_OK, os.W_OK, os.X_OK)])
        os.write(w, repr(out).encode()); os._exit(0)
    os.close(w)
    data = b""
    while chunk := os.read(r, 65536):
        data += chunk
    os.waitpid(pid, 0)
    return eval(data)

def run(top):
    os.umask(0o022)
    os.chdir(top)
    return [(name, E(f)) for name, f in steps()]

# libfuse 3.14 cannot pass O_TMPFILE on; programs do without it.
KNOWN = {"tmpfile"}


def main(reference, directory):
    here = os.getcwd()
    expected = run(reference)
    os.chdir(here)
    got = run(directory)
    different = 0
    for (name, x), (_, y) in zip(expected, got):
        if x == y or name in KNOWN:
            continue
        different += 1
        if isinstance(x, list) and isinstance(y, list):  # of many answers: only those that differ
            x, y = [a for a in x if a not in y], [b for b in y if b not in x]
        print(name, ":", str(x)[:500], "|", str(y)[:500])
    print(f"{len(expected)} calls, {different} answered differently")
    return 1 if different else 0


sys.exit(main(*sys.argv[1:3]))
