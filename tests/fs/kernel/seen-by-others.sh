# SPDX-License-Identifier: Apache-2.0
# timeout: 120
# Every mutation is seen by the next stat and read of another process, while all of it is warm.
fresh_volume
mount_volume
run_python <<'PY'
import subprocess

# The other process: runs one expression after the other and says what came out.
other = subprocess.Popen([sys.executable, "-uc", """
import os, sys
def stat_of(name):
    try:
        st = os.lstat(name)
        return st.st_size, oct(st.st_mode), st.st_nlink, st.st_uid, st.st_mtime_ns
    except OSError as e:
        return e.errno
def text(name):
    with open(name, 'rb') as f:
        return f.read()
for line in sys.stdin:
    try:
        print(repr(eval(line)))
    except OSError as e:
        print(repr(e.errno))
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

def there(expression):
    other.stdin.write(expression + "\n")
    other.stdin.flush()
    return eval(other.stdout.readline())

def here(name):
    st = os.lstat(name)
    return st.st_size, oct(st.st_mode), st.st_nlink, st.st_uid, st.st_mtime_ns

def warm(*names):
    for name in names:
        for _ in range(3):
            there(f"stat_of({name!r})"), there(f"text({name!r})")

def write(name, data, flags=os.O_WRONLY | os.O_CREAT):
    fd = os.open(name, flags, 0o644)
    os.write(fd, data)
    os.close(fd)

long = "n" * 200
for name in ("f", long):
    warm(name)                                   # absent, known to be
    write(name, b"one")
    assert there(f"text({name!r})") == b"one"
    warm(name)
    write(name, b"two, longer")
    assert there(f"text({name!r})") == b"two, longer"
    warm(name)
    write(name, b" and more", os.O_WRONLY | os.O_APPEND)
    assert there(f"text({name!r})") == b"two, longer and more"
    warm(name)
    write(name, b"3", os.O_WRONLY | os.O_TRUNC)
    assert there(f"text({name!r})") == b"3"
    warm(name)
    os.truncate(name, 5)
    assert there(f"text({name!r})") == b"3\0\0\0\0"
    warm(name)
    os.chmod(name, 0o600)
    assert there(f"stat_of({name!r})") == here(name)
    warm(name)
    os.utime(name, ns=(1, 10**18 + 7))
    assert there(f"stat_of({name!r})") == here(name) and here(name)[4] == 10**18 + 7
    warm(name)
    if os.getuid() == 0:
        os.chown(name, 7, 8)
        assert there(f"stat_of({name!r})")[3] == 7
        warm(name)
    os.link(name, name + "2")
    assert there(f"stat_of({name!r})")[2] == 2 and there(f"stat_of({name + '2'!r})")[2] == 2
    warm(name, name + "2")
    os.unlink(name + "2")
    assert there(f"stat_of({name + '2'!r})") == errno.ENOENT and there(f"stat_of({name!r})")[2] == 1
    warm(name)
    # not yet closed: what is written is seen all the same
    fd = os.open(name, os.O_RDWR)
    os.pwrite(fd, b"open", 0)
    assert there(f"text({name!r})") == b"open\0"
    os.close(fd)
    assert there(f"text({name!r})") == b"open\0"

os.mkdir("a")
os.mkdir("b")
write("a/x", b"x")
write("b/y", b"y")
warm("a/x", "b/y", "a/y", "b/x")
parents = there("stat_of('a')"), there("stat_of('b')")
os.rename("a/x", "b/x")
assert there("stat_of('a/x')") == errno.ENOENT and there("text('b/x')") == b"x"
assert there("stat_of('a')")[4] > parents[0][4] and there("stat_of('b')")[4] > parents[1][4]
warm("a/x", "b/x")
os.rename("b/x", "b/y")                          # over an existing one
assert there("stat_of('b/x')") == errno.ENOENT and there("text('b/y')") == b"x"
write("a/z", b"z")
warm("a/z", "b/y")
libc = ctypes.CDLL(None, use_errno=True)
assert libc.renameat2(-100, b"a/z", -100, b"b/y", 2) == 0, os.strerror(ctypes.get_errno())
assert there("text('a/z')") == b"x" and there("text('b/y')") == b"z"
warm("a/z", "b/y")
os.rename("a", "b/a")                            # a folder with what is in it
assert there("stat_of('a/z')") == errno.ENOENT and there("text('b/a/z')") == b"x"
assert there("stat_of('.')")[2] == here(".")[2]
warm("b/a/z")
os.unlink("b/a/z")
assert there("stat_of('b/a/z')") == errno.ENOENT
there("stat_of('b/a')")
os.rmdir("b/a")
assert there("stat_of('b/a')") == errno.ENOENT
os.mkdir("b/a")
assert there("stat_of('b/a/z')") == errno.ENOENT
os.symlink("f", "s")
assert there("text('s')") == there("text('f')")
os.unlink("s")
os.symlink(long, "s")
assert there("text('s')") == there(f"text({long!r})")
warm("f")
os.setxattr("f", "user.k", b"v")
assert there("os.getxattr('f', 'user.k')") == b"v"
os.removexattr("f", "user.k")
assert there("os.listxattr('f')") == []
# a shared mapping, written
with open("f", "r+b") as f:
    warm("f")
    m = mmap.mmap(f.fileno(), 5)
    m[0:4] = b"mmap"
    assert there("text('f')") == b"mmap\0"
    m.flush()
    m.close()
assert there("text('f')") == b"mmap\0"
other.stdin.close()
other.wait(30)
PY
