# SPDX-License-Identifier: Apache-2.0
# Whatever one process changes, the next stat, open and read of another one sees, at once.
fresh_volume
mount_volume
cd "$MNT"
warm() { stat "$1" >/dev/null 2>&1 || true; cat "$1" >/dev/null 2>&1 || true; }
for i in 1 2 3; do
	warm f; echo "$i" >f; assert_eq "$(cat f)" "$i"; assert_eq "$(stat -c %s f)" 2
	warm f; echo more >>f; assert_eq "$(stat -c %s f)" 7; assert_eq "$(tail -n 1 f)" more
	warm f; chmod 60$i f; assert_eq "$(stat -c %a f)" 60$i
	warm f; truncate -s 1 f; assert_eq "$(cat f)" "$i"
	warm f; warm g; mv f g; not test -e f; assert_eq "$(cat g)" "$i"
	warm h; ln g h; assert_eq "$(stat -c %h g)" 2; assert_eq "$(stat -c %h h)" 2
	warm g; rm g; not test -e g; assert_eq "$(stat -c %h h)" 1
	warm d; mkdir d; test -d d; warm d/x; mv h d/x; assert_eq "$(cat d/x)" "$i"; not test -e h
	warm d/x; echo new >y; mv y d/x; assert_eq "$(cat d/x)" new
	warm d; warm s; ln -s d s; assert_eq "$(readlink s)" d; assert_eq "$(cat s/x)" new
	warm d/x; rm -r d; not test -e d; not test -e d/x; rm s
	warm p; mkfifo p; test -p p; rm p; not test -e p
done
