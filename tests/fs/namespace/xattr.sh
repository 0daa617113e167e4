# SPDX-License-Identifier: Apache-2.0
# Extended attributes: set, replaced, listed, removed, sizes asked first; kept over a remount.
fresh_volume
mount_volume
run_python <<'EOF'
open("f", "w").close()
os.setxattr("f", "user.a", b"one")
os.setxattr("f", "user.b", b"\0binary\xff")
os.setxattr("f", "user.empty", b"")
os.setxattr("f", "user.big", b"v" * 60000)
os.mkdir("d"); os.setxattr("d", "user.dir", b"x")
raises(errno.EEXIST, os.setxattr, "f", "user.a", b"", os.XATTR_CREATE)
raises(errno.ENODATA, os.setxattr, "f", "user.none", b"", os.XATTR_REPLACE)
raises(errno.ENODATA, os.getxattr, "f", "user.none")
raises(errno.ENODATA, os.removexattr, "f", "user.none")
os.setxattr("f", "user.a", b"two", os.XATTR_REPLACE)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.getxattr(b"f", b"user.a", None, 0) == 3
buffer = ctypes.create_string_buffer(2)
assert libc.getxattr(b"f", b"user.a", buffer, 2) == -1 and ctypes.get_errno() == errno.ERANGE
EOF
remount_volume
run_python <<'EOF'
assert sorted(os.listxattr("f")) == ["user.a", "user.b", "user.big", "user.empty"]
assert os.getxattr("f", "user.a") == b"two" and os.getxattr("f", "user.b") == b"\0binary\xff"
assert os.getxattr("f", "user.empty") == b"" and os.getxattr("f", "user.big") == b"v" * 60000
assert os.getxattr("d", "user.dir") == b"x"
os.removexattr("f", "user.a")
assert "user.a" not in os.listxattr("f")
os.unlink("f"); open("f", "w").close()
assert os.listxattr("f") == []
EOF
