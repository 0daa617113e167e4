# SPDX-License-Identifier: Apache-2.0
# O_APPEND: always at the end, also for two writers, none of whose records is lost.
fresh_volume
mount_volume
run_python <<'EOF'
open("f", "w").write("head")
fd = os.open("f", os.O_WRONLY | os.O_APPEND)
os.lseek(fd, 0, 0); os.write(fd, b"+1"); os.close(fd)
assert open("f").read() == "head+1"
def writer(who):
    fd = os.open("log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for i in range(300):
        os.write(fd, b"%s%05d\n" % (who, i))
    os.close(fd)
pid = os.fork()
writer(b"child" if pid == 0 else b"other")
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
lines = open("log").read().split("\n")[:-1]
for who in "child", "other":
    assert [l for l in lines if l.startswith(who)] == [f"{who}{i:05}" for i in range(300)], who
assert len(lines) == 600
EOF
