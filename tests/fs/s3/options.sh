# SPDX-License-Identifier: Apache-2.0
# The address and region as options, not from the environment; a prefix keeps volumes apart.
start_s3 --region eu-test-7
unset AWS_ENDPOINT_URL
fresh_volume --endpoint-url "$S3_URL" --region eu-test-7
mount_volume --endpoint-url "$S3_URL" --region eu-test-7
echo one >"$MNT/f"
umount_volume
VOLUME=s3://test/other META=$CASE_DIR/meta2 CACHE=$CASE_DIR/cache2
fresh_volume --endpoint-url "$S3_URL" --region eu-test-7
mount_volume --endpoint-url "$S3_URL" --region eu-test-7
not test -e "$MNT/f"
