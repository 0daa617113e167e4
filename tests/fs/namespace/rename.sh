# SPDX-License-Identifier: Apache-2.0
# rename(2): every pair of kinds, both parents, what is replaced is gone.
fresh_volume
mount_volume
run_python <<'EOF'
def put(name, text):
    with open(name, "w") as f:
        f.write(text)
put("a", "A"); put("b", "BB")
ino = os.stat("a").st_ino
os.rename("a", "b")
raises(errno.ENOENT, os.stat, "a")
assert os.stat("b").st_ino == ino and open("b").read() == "A"
os.makedirs("d1/sub"); os.mkdir("d2"); os.mkdir("full"); put("full/x", "x")
os.rename("b", "d1/b")
assert open("d1/b").read() == "A" and not os.path.exists("b")
os.rename("d1/sub", "d2/sub")
assert (os.stat("d1").st_nlink, os.stat("d2").st_nlink) == (2, 3)
assert os.stat("d2/sub/..").st_ino == os.stat("d2").st_ino
os.rename("d2/sub", "d1/sub"); os.rename("d1", "d2")         # over an empty directory
raises(errno.ENOTEMPTY, os.rename, "d2", "full")
raises(errno.EISDIR, os.rename, "d2/b", "full")
raises(errno.ENOTDIR, os.rename, "full", "d2/b")
raises(errno.EINVAL, os.rename, "d2", "d2/sub/inside")
raises(errno.ENOENT, os.rename, "none", "x")
os.link("d2/b", "b2"); os.rename("b2", "d2/b")               # two names of one file: nothing happens
assert os.path.exists("b2") and os.stat("b2").st_nlink == 2
put("full/y", "y"); os.rename("full/x", "full/y")
assert open("full/y").read() == "x" and os.listdir("full") == ["y"]
EOF
