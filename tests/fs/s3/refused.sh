# SPDX-License-Identifier: Apache-2.0
# Wrong keys, an absent bucket, an absent server: a sentence, no mount, no hang.
start_s3
fresh_volume
refused() { # TEXT SOURCE
	assert_fails -e "$1" curvefs-fuse --bpf-cache=off --retries 1 --meta-dir "$META" --cache-dir "$CACHE" "$2" "$MNT"
	not is_mounted "$MNT"
}
AWS_SECRET_ACCESS_KEY=wrong refused "SignatureDoesNotMatch" "$VOLUME"
AWS_ACCESS_KEY_ID=nobody refused "InvalidAccessKeyId" "$VOLUME"
refused "no-such-bucket" s3://no-such-bucket/volume
refused "s3://test/nothing-here" s3://test/nothing-here
AWS_ENDPOINT_URL=http://127.0.0.1:$(free_port) refused "127.0.0.1" "$VOLUME"
