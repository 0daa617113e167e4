# SPDX-License-Identifier: Apache-2.0
# renameat2(2): NOREPLACE keeps what is there, EXCHANGE swaps, in one directory and across two.
fresh_volume
mount_volume
run_python <<'EOF'
libc = ctypes.CDLL(None, use_errno=True)
def rename2(old, new, flags):
    if libc.renameat2(-100, old.encode(), -100, new.encode(), flags):
        raise OSError(ctypes.get_errno(), old)
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
for name in "ab":
    with open(name, "w") as f:
        f.write(name)
os.makedirs("d/sub")
raises(errno.EEXIST, rename2, "a", "b", NOREPLACE)
assert open("a").read() + open("b").read() == "ab"
rename2("a", "c", NOREPLACE)
rename2("c", "b", EXCHANGE)
assert open("c").read() + open("b").read() == "ba"
rename2("b", "d/sub", EXCHANGE)
assert os.path.isdir("b") and open("d/sub").read() == "a"
assert os.stat("d").st_nlink == 2 and os.stat(".").st_nlink == 4
raises(errno.ENOENT, rename2, "b", "none", EXCHANGE)
raises(errno.EINVAL, rename2, "b", "c", NOREPLACE | EXCHANGE)
raises(errno.EINVAL, rename2, "b", "new", WHITEOUT)
assert not os.path.exists("new")
EOF
