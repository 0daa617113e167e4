# SPDX-License-Identifier: Apache-2.0
# Command lines and lists with any bytes: an error of one line, or what was asked for; never a crash.
bpf_on && skip "nothing of this depends on the kernel"
fresh_volume
mount_volume
mkdir "$MNT/d"
run_python <<'EOP'
os.chdir(b"d")
for i in range(1, 256):
    if i != ord("/"):
        open(bytes([i]) + b"x", "w").write("data")
EOP
find "$MNT/d" -type f -print0 >names
curvefs warmup --null --file names --json >said
assert_eq "$(json said files) $(json said failed_count)" "254 0"
python3 - "$VOLUME" "$MNT" "$CASE_DIR" <<'EOP'
import os, random, subprocess, sys
volume, mnt, here = sys.argv[1:]
random.seed(11)
words = [b"--cache-size", b"--bpf-cache", b"-o", b"-f", b"-fo", b"-fbz", b"--", b"-", b"", b"=", b"ro", b"ro,,=,", b"--retries=", b"99999999999999999999",
         b"-1", b"1e9", b"nan", b"\xff\xfe", b"\x1b[31m", b"%s%n", b"--help=1", b"--no", b"x" * 5000, volume.encode(), b"s3://", b"file://",
         b"-ofsname=a\\,b", b"--attr-cache=0x10", b"warmup", b"stats", b"info", b"umount", b"format", b"--json", b"--file=" + os.fsencode(here) + b"/list"]
def run(*argv):
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    # 98 and above: a signal, or a sanitizer's
    assert 0 <= p.returncode < 98, (argv, p)
    assert p.returncode == 0 or p.stdout.strip(), argv
    return p
for i in range(20):
    some = [random.choice(words) for k in range(random.randint(0, 5))]
    if i % 2:
        run(b"curvefs", *some[:1], *some)
    else: # no mount point but one that is none
        run(b"curvefs-fuse", b"--bpf-cache=off", b"--meta-dir", b"/nonexistent", *some, b"/nonexistent")
for i in range(4): # lists
    with open(here + "/list", "wb") as f:
        f.write(b"".join(random.choice((b"\n", b"\0", os.fsencode(mnt), b"/d/", b"\\", b"\xff", random.randbytes(9), b"a" * 5000)) for k in range(40)))
    run("curvefs", "warmup", "--file", here + "/list", *(["--null"] if i % 2 else []))
EOP
assert_eq "$(find "$MNT/d" -type f -printf x | wc -c)" 254
