# SPDX-License-Identifier: Apache-2.0
# format makes a volume only of an empty store, and leaves nothing behind when it fails.
bpf_on && skip "nothing of this depends on the kernel"
left() { find "$CASE_DIR" -mindepth 1 ! -path '*/mnt' | sort | tr '\n' ' '; }

before=$(left)
assert_fails -e "power of two" curvefs format "$VOLUME" --meta-dir "$META" --chunk-size 3M
assert_fails -e "--chunk-size" curvefs format "$VOLUME" --meta-dir "$META" --chunk-size 512
assert_fails -e "--name" curvefs format "$VOLUME" --meta-dir "$META" --name "$(printf 'n%.0s' {1..64})"
assert_fails -e "did you mean --meta-dir" curvefs format "$VOLUME" --metadir "$META"
assert_eq "$(left)" "$before" "what refused calls left behind"

# Somebody else's files are neither taken over nor harmed, and no metadata is left.
mkdir "$CASE_DIR/full"
echo precious >"$CASE_DIR/full/file"
assert_fails -e "not empty" curvefs format "file://$CASE_DIR/full" --meta-dir "$META"
assert_eq "$(cat "$CASE_DIR/full/file")" precious
not test -e "$META"

# A metadata directory that is in use is refused before the store is touched.
mkdir "$META"
echo precious >"$META/file"
assert_fails -e "not an empty directory" curvefs format "$VOLUME" --meta-dir "$META"
not test -e "${VOLUME#file://}"
rm -r "$META"

curvefs format "$VOLUME" --meta-dir "$META" --name first --chunk-size 8M --json >made
assert_eq "$(json made name)" first
assert_eq "$(json made chunk_size)" 8388608
assert_eq "$(json made meta_dir)" "$META"
before=$(left)
assert_fails -e "the volume 'first'" curvefs format "$VOLUME" --meta-dir "$CASE_DIR/meta2"
assert_eq "$(left)" "$before" "what a second format left behind"
