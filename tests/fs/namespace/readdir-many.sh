# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# 10 000 entries (3000 in the VM, where each takes 10 ms): each listed once, also while entries go, and again after
# a remount.  Their directory is renamed as any other, read as a queue, and they cost the daemon little memory.
export COUNT=10000
[ -z "${CURVEFS_VM:-}" ] || COUNT=3000
inodes_used() { df --output=iused "$MNT" | tail -n 1; }
all_gone() { [ "$(inodes_used)" -eq 1 ]; }

fresh_volume
mount_volume
run_python <<'EOF'
os.mkdir("d")
count = int(os.environ["COUNT"])
wanted = {f"entry-{i:05}" for i in range(count)}
for name in wanted:
    os.mknod("d/" + name, stat.S_IFREG | 0o644)
found = os.listdir("d")
assert len(found) == count and set(found) == wanted
EOF
remount_volume
run_python <<'EOF'
kept = {f"entry-{i:05}" for i in range(0, int(os.environ["COUNT"]), 2)}
seen = []
with os.scandir("d") as entries:
    for entry in entries:
        assert entry.is_file(follow_symlinks=False)
        seen.append(entry.name)
        if entry.name not in kept:
            os.unlink(entry.path)
assert len(seen) == len(set(seen)), "listed twice"
assert kept <= set(seen), "an entry that stayed was skipped"
assert set(os.listdir("d")) == kept
os.rename("d", "e")
assert set(os.listdir("e")) == kept and os.listdir() == ["e"]
EOF
assert_eq "$(inodes_used | tr -d ' ')" $((COUNT / 2 + 2)) "number of inodes"
run_python <<'EOF'
# Always the first names, by a new look at the directory.
left = set(os.listdir("e"))
while left:
    with os.scandir("e") as entries:
        first = [next(entries).name for _ in range(min(250, len(left)))]
    for name in first:
        left.remove(name)
        os.unlink("e/" + name)
assert os.listdir("e") == []
os.rmdir("e")
EOF
wait_for 10 all_gone
anonymous=$(awk '/^RssAnon:/ {print $2}' "/proc/$DAEMON/status")
case $CURVEFS_BUILD in
*-?san) ;; # takes more
*) [ "$anonymous" -lt 49152 ] || fail "$COUNT files left the daemon with $anonymous KiB of memory" ;;
esac
