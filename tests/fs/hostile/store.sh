# SPDX-License-Identifier: Apache-2.0
# An object store that answers garbage, too much, too little, the wrong thing, an error or nothing: an error in
# bounded time, never wrong data, and what it answers well is read.
bpf_on && skip "nothing of this depends on the kernel"
object() { printf '1%015x_' $(($1 - 1)); } # begins the name of a volume's Nth
declare -a readers=()
faults=
number=0
for fault in corrupt cut shift garbage status=500 status=200 status=302 status=404 drop delay_ms=20000; do
	number=$((number + 1))
	faults+="get:$fault,key=$(object $number);"
done
start_s3 --faults "${faults%;}"
fresh_volume
mount_volume
head -c 100000 /dev/urandom >good
for ((i = 1; i <= number + 1; i++)); do
	cp good "$MNT/f$i"
	curvefs info "$MNT/f$i" --json | grep -q "/$(object "$i")" # the object that its fault is for
done
umount_volume
rm -r "$CACHE"
mount_volume --retries 1 --get-timeout 1
started=$SECONDS
for ((i = 1; i <= number; i++)); do
	(
		! timeout 30 dd if="$MNT/f$i" bs=128k iflag=direct status=none >"out$i" 2>"err$i" || cmp good "out$i"
		[ ! -s "out$i" ] || cmp -n "$(stat -c %s "out$i")" good "out$i"
	) &
	readers[i]=$!
done
for ((i = 1; i <= number; i++)); do wait "${readers[i]}" || fail "f$i was read wrong"; done
[ $((SECONDS - started)) -lt 20 ]
for i in 1 2 3 4 5 9; do grep -q "Input/output error\|timed out" "err$i" || fail "f$i: no error"; done
grep -q "timed out" err10
cmp good "$MNT/f$((number + 1))"
echo more >"$MNT/new"
umount_volume

# A descriptor that is none, and a server that never ends.
kill "$S3D"
rm s3.port
start_s3 --faults 'get:garbage,key=curvefs.json'
META=$CASE_DIR/second
fresh_volume
assert_fails -e "s3://test/volume" timeout 20 curvefs-fuse --bpf-cache=off --meta-dir "$META" "$VOLUME" "$MNT"
