# SPDX-License-Identifier: Apache-2.0
# timeout: 180
# 10 000 entries: each listed once, also while entries go, and again after a remount.
fresh_volume
mount_volume
run_python <<'EOF'
os.mkdir("d")
wanted = {f"entry-{i:05}" for i in range(10000)}
for name in wanted:
    os.close(os.open("d/" + name, os.O_CREAT | os.O_WRONLY))
found = os.listdir("d")
assert len(found) == 10000 and set(found) == wanted
EOF
remount_volume
run_python <<'EOF'
kept = {f"entry-{i:05}" for i in range(0, 10000, 2)}
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
EOF
