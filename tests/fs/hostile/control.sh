# SPDX-License-Identifier: Apache-2.0
# Whatever a client of the control socket does, the mount serves on, and the next client is answered.
bpf_on && skip "nothing of this depends on the kernel"
fresh_volume
mount_volume
echo data >"$MNT/f"
minor=$(awk -v at="$MNT" '$5 == at { sub(".*:", "", $3); print $3 }' /proc/self/mountinfo)
python3 - "/run/curvefs/$minor/control.sock" "$MNT/f" "$DAEMON" <<'EOP'
import errno, json, os, random, resource, socket, sys, time
path, file, pid = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000))

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(path) # waits while the queue is full
    s.settimeout(20)
    return s
def say(data):
    """What is answered to these bytes, or None if there is no answer."""
    s = connect()
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    except OSError as e: # it has heard enough
        assert e.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN), e
    answer = b""
    try:
        while piece := s.recv(65536):
            answer += piece
    except ConnectionResetError:
        pass
    s.close()
    return json.loads(answer.splitlines()[-1]) if answer else None
def alive():
    assert say(b'{"cmd": "status"}\n')["result"]["state"] == "up"
    assert open(file).read() == "data\n"
def refused(data):
    answer = say(data)
    assert answer and answer["error"]["message"], (data[:80], answer)

random.seed(7)
for garbage in (b"\n", b"\0\n", b"[]\n", b"{}\n", b"1e999\n", b'"\n', b"\xff\xfe\n", b'{"cmd": 7}\n', b'{"cmd": "no"}\n',
                b'{"cmd": "info"}\n', b'{"cmd": "info", "ino": -1}\n', b'{"cmd": "info", "ino": 99999999999999999999}\n',
                b'{"cmd": "info", "ino": 1, "max_chunks": 1e9}\n', b'{"cmd": "warmup"}\n',
                b'{"cmd": "warmup", "paths": [1]}\n', b'{"cmd": "warmup", "paths": ["\\\\x00"]}\n',
                b'{"cmd": "warmup", "paths": [], "threads": 100000}\n', b'{"cmd": "paths", "inos": ["x"]}\n',
                b"[" * 100000 + b"\n", random.randbytes(5000).replace(b"\n", b"") + b"\n"):
    refused(garbage)
assert say(b"") is None and say(b'{"cmd": "status"') is None # nothing; half a line
alive()
# A line without an end.
s = connect()
sent = 0
try:
    while sent < 100 << 20:
        sent += s.send(b"x" * 65536)
except OSError:
    pass
assert sent < 4 << 20, sent
s.close()
alive()
# Those that say nothing: as many as are served are kept 30 s at most, the others wait; those that leave make room.
idle = [connect() for i in range(60)]
for s in idle:
    s.close()
alive()
# A thousand that come, ask for something and do not listen.
for i in range(1000):
    s = connect()
    try:
        s.send(b'{"cmd": "stats"}\n')
    except OSError:
        pass
    s.close()
alive()
# A client that reads nothing of a long answer leaves the daemon's memory alone.
for line in open(f"/proc/{pid}/status"):
    if line.startswith("VmRSS"):
        assert int(line.split()[1]) < 200 << 10 or os.environ["CURVEFS_BUILD"].endswith("asan"), line
assert len(os.listdir(f"/proc/{pid}/fd")) < 200
EOP
assert_eq "$(cat "$MNT/f")" data
