# SPDX-License-Identifier: Apache-2.0
# A server that fails now and then, drops connections and flips bits: retried, and never a wrong byte.
start_s3 --faults 'put:status=503,times=2;put:drop,after=3,times=1;get:status=500,times=1;get:corrupt,after=2,times=1;get:cut,after=4,times=1'
fresh_volume
mount_volume
head -c 20000000 /dev/urandom >data
cp data "$MNT/f"
umount_volume
rm -rf "$CACHE"
mkdir "$CACHE"
mount_volume
cmp data "$MNT/f"
