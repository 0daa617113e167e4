# SPDX-License-Identifier: Apache-2.0
# Modes and owners decide for everyone but root; sticky, set-gid and set-uid rules.
need_root
fresh_volume
mount_volume -o allow_other
chmod 755 "$CASE_DIR"
run_python <<'EOF'
os.chmod(".", 0o755)
os.mkdir("pub"); os.chmod("pub", 0o1777)
os.mkdir("team"); os.chown("team", 0, 4242); os.chmod("team", 0o2777)
open("secret", "w").close(); os.chmod("secret", 0o600)
open("pub/roots", "w").close()
def as_user(uid, what):
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([]); os.setgid(uid); os.setuid(uid); what(); os._exit(0)
        except BaseException as e:
            print(e, file=sys.stderr, flush=True); os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0, what
def stranger():
    raises(errno.EACCES, os.open, "secret", os.O_RDONLY)
    raises(errno.EACCES, os.mkdir, "mine")
    raises(errno.EPERM, os.chmod, "secret", 0o666)
    raises(errno.EPERM, os.chown, "secret", 1000, 1000)
    raises(errno.EPERM, os.unlink, "pub/roots")          # sticky
    open("pub/own", "w").close(); os.chmod("pub/own", 0o6755)
    os.mkdir("team/d"); open("team/f", "w").close()
as_user(1000, stranger)
st = os.stat("pub/own")
assert (st.st_uid, st.st_gid) == (1000, 1000)
as_user(1001, lambda: raises(errno.EPERM, os.rename, "pub/own", "pub/stolen"))
assert os.stat("team/f").st_gid == 4242 and os.stat("team/d").st_gid == 4242
assert os.stat("team/d").st_mode & stat.S_ISGID
def write_own():
    fd = os.open("pub/own", os.O_WRONLY); os.write(fd, b"x"); os.close(fd)
as_user(1000, write_own)
assert not os.stat("pub/own").st_mode & (stat.S_ISUID | stat.S_ISGID), "a write must clear set-uid"
os.chown("pub/own", 1001, -1)
assert (os.stat("pub/own").st_uid, os.stat("pub/own").st_gid) == (1001, 1000)
EOF
remount_volume -o allow_other
assert_eq "$(stat -c '%a %u:%g' "$MNT/team" "$MNT/secret" | tr '\n' ' ')" "2777 0:4242 600 0:0 "
