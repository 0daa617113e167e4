# SPDX-License-Identifier: Apache-2.0
# timeout: 300
# warmup takes paths and lists of paths with any name, fetches what they hold, and names what fails.
fresh_volume
mount_volume
mkdir -p "$MNT/d/deep/er" "$MNT/other"
head -c 5000000 /dev/urandom >"$MNT/d/big"
for i in {1..40}; do echo "$i" >"$MNT/d/deep/f$i"; done
odd="$MNT/d/"$'bad\xff\\na\nme'
echo odd >"$odd"
ln -s ../big "$MNT/d/deep/link"
ln -s nowhere "$MNT/d/dangling"
echo x >"$MNT/other/x"
cp -r "$MNT" copy
rm -rf copy/.[!.]*

cold() { umount_volume; rm -rf "$CACHE"; mkdir "$CACHE"; mount_volume; }

cold
assert_fails -e "big" curvefs warmup --check "$MNT/d"

curvefs warmup "$MNT/d" --json >result
assert_eq "$(json result failed_count)" 0
assert_eq "$(json result files)" 42
assert_eq "$(json result fetched_bytes)" "$(json result bytes)"
curvefs warmup --check "$MNT/d"
assert_fails -e "other/x" curvefs warmup --check "$MNT"
got=$(stat_counter store.bytes.get) # not how often: the lease is looked at, too, of which nothing is read
diff -r --no-dereference copy/d "$MNT/d"
assert_eq "$(stat_counter store.bytes.get)" "$got" "bytes from the store after a warm-up"

# Lists: one a line, or ended by NUL with names that need it; from a file or standard input.
cold
printf '%s\n' "$MNT/d/big" "" "$MNT/other" >list
curvefs warmup -f list
curvefs warmup --check "$MNT/d/big" "$MNT/other/x"
printf '%s\0' "$odd" "$MNT/d/deep/f1" | curvefs warmup -0 -f - -p 2
curvefs warmup --check "$odd" "$MNT/d/deep/f1"
assert_fails -e f2 curvefs warmup --check "$MNT/d/deep"

# A symbolic link brings what it points to, and a dangling one is warm by itself.
cold
curvefs warmup "$MNT/d/deep/link" "$MNT/d/dangling"
curvefs warmup --check "$MNT/d/big"
curvefs warmup --metadata-only "$MNT"
assert_fails curvefs warmup --check "$MNT"
curvefs warmup --check --metadata-only "$MNT"

# What cannot be warmed is named, the rest is warmed, and the status says so.
status=0
curvefs warmup "$MNT/missing" /proc/self "$MNT/other" 2>said || status=$?
assert_eq "$status" 1
grep -q "$MNT/missing: No such file" said
grep -q "/proc/self: not on a curvefs mount" said
curvefs warmup --check "$MNT/other"
(cd "$MNT/d" && curvefs warmup deep ./deep/../big . )
curvefs warmup --check "$MNT/d"
assert_fails -e "no PATH" curvefs warmup
assert_fails -e "-p must be from 1" curvefs warmup -p 0 "$MNT"
