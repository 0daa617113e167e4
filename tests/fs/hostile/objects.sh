# SPDX-License-Identifier: Apache-2.0
# Objects and the descriptor, flipped, cut, exchanged or missing: an error that names what is wrong, never
# wrong data, and everything else stays readable.
bpf_on && skip "nothing of this depends on the kernel"
fresh_volume
mount_volume --cache-dir "$CACHE"
head -c 300000 /dev/urandom >good
for name in flipped short empty missing swapped fine; do cp good "$MNT/$name"; done
head -c 9000000 /dev/urandom >large
cp large "$MNT/large"
object_of() { # FILE [N]: the path of its first, or N'th, object
	echo "$CASE_DIR/volume/$(curvefs info "$MNT/$1" --json | json - "chunks.${2:-0}.slices.0.object")"
}
declare -A objects=()
for name in flipped short empty missing swapped fine; do objects[$name]=$(object_of $name); done
objects[large]=$(object_of large 1)
umount_volume
rm -r "$CACHE"
flip() { # FILE OFFSET
	python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
at = int(sys.argv[2])
os.pwrite(fd, bytes([os.pread(fd, 1, at)[0] ^ 8]), at)' "$@"
}
flip "${objects[flipped]}" 200000
flip "${objects[large]}" 100
truncate -s 100000 "${objects[short]}"
truncate -s 0 "${objects[empty]}"
rm "${objects[missing]}"
cp "${objects[fine]}" "${objects[swapped]}"

mount_volume
for name in flipped short empty missing swapped; do
	assert_fails -e "Input/output error" cat "$MNT/$name"
	assert_fails -e "Input/output error" dd if="$MNT/$name" of=/dev/null bs=4k skip=49 count=1 iflag=direct status=none
done
cmp good "$MNT/fine"
grep -q "${objects[flipped]##*/} is damaged: .*do not fit their checksum" daemon.log
grep -q "${objects[swapped]##*/} is damaged" daemon.log
grep -q "${objects[short]##*/}: the object has 100000 bytes" daemon.log
grep -q "an object that its metadata names is not in the store" daemon.log
# What is around the damage.
cmp -n 131072 good "$MNT/flipped"
cmp -n 65536 good "$MNT/short"
cmp -n 4194304 large "$MNT/large"
cmp -i 4259840 large "$MNT/large"
assert_fails -e "Input/output error" dd if="$MNT/large" of=/dev/null bs=64k skip=64 count=1 status=none
assert_fails -e "flipped" curvefs warmup "$MNT/flipped" "$MNT/fine"
# It can be written anew, removed, and the others used.
cp good "$MNT/flipped"
rm "$MNT/missing" "$MNT/short"
echo more >>"$MNT/fine"
remount_volume
cmp good "$MNT/flipped"
cmp <(cat good; echo more) "$MNT/fine"
umount_volume

# The descriptor.
cp volume/curvefs.json kept
descriptor() { # TEXT: the mount is refused with it; what it is made of is on standard input
	cat >volume/curvefs.json
	local status=0
	timeout 20 curvefs-fuse --bpf-cache=off --meta-dir "$META" "$VOLUME" "$MNT" >refused 2>&1 || status=$?
	assert_eq "$status" 1
	grep -q "$1" refused
	grep -q "$VOLUME" refused
	not is_mounted "$MNT"
}
descriptor "not a JSON object" </dev/null
descriptor "not a JSON object" < <(head -c 60 kept)
descriptor "not a JSON object" < <(head -c 3000 /dev/urandom)
descriptor "larger than" < <(head -c 100000 /dev/zero)
descriptor "later version" < <(sed 's/"version": [0-9]*/"version": 99/' kept)
descriptor "earlier version" < <(sed 's/"version": [0-9]*/"version": 1/' kept)
descriptor "another volume" < <(sed 's/"uuid": "......../"uuid": "01234567/' kept)
descriptor "chunk size" < <(sed 's/"chunk_size": [0-9]*/"chunk_size": 1048576/' kept)
descriptor "uuid" < <(sed 's/"uuid": "......../"uuid": "\/..\/..\/./' kept)
cp kept volume/curvefs.json
mount_volume
cmp good "$MNT/flipped"
