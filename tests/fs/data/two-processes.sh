# SPDX-License-Identifier: Apache-2.0
# A writer and a reader at once: the reader sees old or new records whole, and the newest after each write.
fresh_volume
mount_volume
run_python <<'EOF'
request, answer = os.pipe(), os.pipe()
size = 70000
fd = os.open("f", os.O_CREAT | os.O_RDWR)
if os.fork() == 0:
    os.close(request[1])
    own = os.open("f", os.O_RDONLY)
    while os.read(request[0], 1):
        os.write(answer[1], os.pread(own, size, 0)[-1:] or b"?")
    os._exit(0)
for i in range(60):
    c = b"%c" % (65 + i % 26)
    os.pwrite(fd, c * size, 0)
    if i % 7 == 0:
        os.fsync(fd)
    os.write(request[1], b"x")
    got = os.read(answer[0], 1)
    assert got == c, (i, got)
os.close(request[1])
assert os.wait()[1] == 0
EOF
