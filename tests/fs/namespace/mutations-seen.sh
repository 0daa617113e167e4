# SPDX-License-Identifier: Apache-2.0
# Whatever one process changes, the next stat, open and read of another one sees, at once.
fresh_volume
mount_volume
run_python <<'EOF'
# The other process looks at every name, before a change (so that all is known, and cached) and after it.
ask, answer = os.pipe(), os.pipe()
names = ["f", "g", "h", "d", "d/x", "s", "s/x", "p"]
def look():
    seen = {}
    for name in names:
        try:
            st = os.lstat(name)
        except OSError as e:
            seen[name] = errno.errorcode[e.errno]
            continue
        kind, text = stat.S_IFMT(st.st_mode), None
        if kind == stat.S_IFREG:
            text = open(name).read()
            assert st.st_size == len(text), name
        elif kind == stat.S_IFLNK:
            text = os.readlink(name)
        seen[name] = (kind, stat.S_IMODE(st.st_mode), st.st_nlink if kind == stat.S_IFREG else 0, text)
    return seen
if os.fork() == 0:
    os.close(ask[1])
    while os.read(ask[0], 1):
        text = repr(look()).encode()
        os.write(answer[1], b"%08d" % len(text) + text)
    os._exit(0)
def seen():
    os.write(ask[1], b"?")
    return eval(os.read(answer[0], int(os.read(answer[0], 8))))
R, D, L, P = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO
wanted = {name: "ENOENT" for name in names}
def step(what, **changes):
    assert seen() == wanted, ("before", what.__code__.co_firstlineno, seen(), wanted)
    what()
    for name, value in changes.items():
        wanted[name.replace("_", "/")] = value
    assert seen() == wanted, (changes, seen())
def put(name, text, mode="w"):
    with open(name, mode) as f:
        f.write(text)
os.umask(0o022)
for i in "123":
    gone = "ENOENT"
    step(lambda: put("f", i), f=(R, 0o644, 1, i))
    step(lambda: put("f", "more", "a"), f=(R, 0o644, 1, i + "more"))
    step(lambda: os.chmod("f", 0o600), f=(R, 0o600, 1, i + "more"))
    step(lambda: os.truncate("f", 1), f=(R, 0o600, 1, i))
    step(lambda: os.rename("f", "g"), f=gone, g=(R, 0o600, 1, i))
    step(lambda: os.link("g", "h"), g=(R, 0o600, 2, i), h=(R, 0o600, 2, i))
    step(lambda: os.unlink("g"), g=gone, h=(R, 0o600, 1, i))
    step(lambda: os.mkdir("d"), d=(D, 0o755, 0, None))
    step(lambda: os.rename("h", "d/x"), h=gone, d_x=(R, 0o600, 1, i))
    step(lambda: put("g", "new"), g=(R, 0o644, 1, "new"))
    step(lambda: os.rename("g", "d/x"), g=gone, d_x=(R, 0o644, 1, "new"))
    step(lambda: os.symlink("d", "s"), s=(L, 0o777, 0, "d"), s_x=(R, 0o644, 1, "new"))
    step(lambda: os.rename("d", "g"), d=gone, d_x=gone, s_x=gone, g=(D, 0o755, 0, None))
    step(lambda: os.rename("g", "d"), g=gone, d=(D, 0o755, 0, None), d_x=(R, 0o644, 1, "new"), s_x=(R, 0o644, 1, "new"))
    step(lambda: os.unlink("d/x"), d_x=gone, s_x=gone)
    step(lambda: os.rmdir("d"), d=gone)
    step(lambda: os.unlink("s"), s=gone)
    step(lambda: os.mkfifo("p", 0o640), p=(P, 0o640, 0, None))
    step(lambda: os.unlink("p"), p=gone)
os.close(ask[1])
assert os.wait()[1] == 0
EOF
