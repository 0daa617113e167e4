/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <dlfcn.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/meta/kv.h"
#include "tests/harness/full_log.h"

static atomic_int syncs;

/* In the place of libc's, for RocksDB too. */
int fdatasync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	return syscall(SYS_fdatasync, fd);
}

static atomic_bool slow;
static atomic_int commit_calls;

/* Loses the CPU on the way while `slow`. */
void rocksdb_transaction_commit(rocksdb_transaction_t *txn, char **message)
{
	__typeof__(&rocksdb_transaction_commit) next =
		(__typeof__(next))dlsym(RTLD_NEXT, "rocksdb_transaction_commit");

	commit_calls++;
	if (slow)
		usleep(500000);
	next(txn, message);
}

struct kv_fixture {
	struct fixture *f; /* the folder */
	struct kv *kv;
};

static struct kv_slice str(const char *text)
{
	return (struct kv_slice){text, strlen(text)};
}

static int setup(void **state)
{
	struct kv_fixture *k = calloc(1, sizeof(*k));
	void *f;
	char *why = NULL;

	assert_non_null(k);
	fixture_setup_empty(&f);
	k->f = f;
	assert_int_equal(kv_open(k->f->dir, true, &k->kv, &why), 0);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	struct kv_fixture *k = *state;
	void *f = k->f;

	kv_close(k->kv);
	fixture_teardown(&f);
	free(k);
	return 0;
}

static struct kv_txn *begin(struct kv_fixture *k)
{
	struct kv_txn *txn;

	assert_int_equal(kv_begin(k->kv, &txn), 0);
	return txn;
}

static void put(struct kv_txn *txn, const char *key, const char *value)
{
	assert_int_equal(kv_put(txn, str(key), str(value)), 0);
}

static void put_now(struct kv_fixture *k, const char *key, const char *value)
{
	struct kv_txn *txn = begin(k);

	put(txn, key, value);
	assert_int_equal(kv_commit(txn, false), 0);
}

static void assert_value(struct kv_txn *txn, const char *key, const char *want)
{
	_cleanup_free_ void *value = NULL;
	size_t size = 0;
	int r = kv_get(txn, str(key), false, &value, &size);

	assert_int_equal(r, want ? 0 : -ENOENT);
	if (want) {
		assert_int_equal(size, strlen(want));
		assert_memory_equal(value, want, size);
	}
}

static void a_transaction_sees_its_own_writes_and_others_do_not(void **state)
{
	struct kv_fixture *k = *state;
	struct kv_txn *a = begin(k), *b = begin(k);

	put(a, "x", "1");
	put(a, "empty", "");
	assert_value(a, "x", "1");
	assert_value(a, "empty", "");
	assert_value(b, "x", NULL);
	assert_int_equal(kv_commit(a, true), 0);
	assert_value(b, "x", "1");
	assert_int_equal(kv_delete(b, str("x")), 0);
	assert_value(b, "x", NULL);
	kv_rollback(b);
	a = begin(k);
	assert_value(a, "x", "1");
	kv_rollback(a);
}

static void a_read_sees_one_moment(void **state)
{
	struct kv_fixture *k = *state;
	struct kv_txn *read;
	void *value;
	size_t size;

	put_now(k, "x", "1");
	assert_int_equal(kv_begin_read(k->kv, &read), 0);
	put_now(k, "x", "2");
	put_now(k, "y", "2");
	assert_value(read, "x", "1");
	assert_value(read, "y", NULL);
	assert_int_equal(kv_put(read, str("x"), str("3")), -EINVAL);
	assert_int_equal(kv_delete(read, str("x")), -EINVAL);
	assert_int_equal(kv_add(read, str("x"), 1), -EINVAL);
	assert_int_equal(kv_get(read, str("x"), true, &value, &size), -EINVAL);
	assert_int_equal(kv_commit(read, false), 0);
}

static void a_locked_key_is_not_to_be_had(void **state)
{
	struct kv_fixture *k = *state;
	struct kv_txn *a = begin(k), *b = begin(k);
	void *value = NULL;
	size_t size;

	assert_int_equal(kv_get(a, str("absent"), true, &value, &size), -ENOENT);
	assert_int_equal(kv_get(b, str("absent"), true, &value, &size), -EAGAIN);
	assert_int_equal(kv_put(b, str("absent"), str("x")), -EAGAIN);
	assert_null(value);
	kv_rollback(a);
	assert_int_equal(kv_get(b, str("absent"), true, &value, &size), -ENOENT);
	kv_rollback(b);
}

struct locker {
	struct kv_fixture *k;
	const char *first, *second;
	pthread_barrier_t *barrier;
	int r;
};

static void *lock_two(void *arg)
{
	struct locker *l = arg;
	struct kv_txn *txn = begin(l->k);
	void *value;
	size_t size;

	l->r = kv_get(txn, str(l->first), true, &value, &size);
	pthread_barrier_wait(l->barrier);
	if (l->r == -ENOENT)
		l->r = kv_get(txn, str(l->second), true, &value, &size);
	kv_rollback(txn);
	return NULL;
}

static void a_deadlock_ends_for_one_of_the_two(void **state)
{
	struct kv_fixture *k = *state;
	pthread_barrier_t barrier;
	struct locker a = {k, "x", "y", &barrier, 0}, b = {k, "y", "x", &barrier, 0};
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, lock_two, &a), 0);
	lock_two(&b);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
	assert_true((a.r == -EAGAIN && b.r == -ENOENT) || (a.r == -ENOENT && b.r == -EAGAIN));
}

struct seen {
	char keys[256];
	size_t count, max;
};

static int see(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct seen *seen = arg;
	size_t length = strlen(seen->keys);

	if (seen->count++ == seen->max)
		return -ECANCELED;
	snprintf(seen->keys + length, sizeof(seen->keys) - length, "%.*s=%.*s ", (int)key.size,
	         (const char *)key.data, (int)value.size, (const char *)value.data);
	return 0;
}

static void a_scan_gives_what_begins_with_the_prefix_in_order(void **state)
{
	struct kv_fixture *k = *state;
	struct kv_txn *txn, *read;
	struct seen seen = {.max = 100}, rest = {.max = 100}, two = {.max = 2}, early = {.max = 100},
		    high = {.max = 100}, snapshot = {.max = 100};

	put_now(k, "a", "0");
	put_now(k, "b2", "2");
	put_now(k, "b1", "1");
	put_now(k, "b", "0");
	put_now(k, "c", "0");
	put_now(k, "\xff\xff", "h");
	assert_int_equal(kv_begin_read(k->kv, &read), 0);
	txn = begin(k);
	put(txn, "b3", "3");
	assert_int_equal(kv_delete(txn, str("b1")), 0);
	assert_int_equal(kv_scan(txn, str("b"), str("b"), see, &seen), 0);
	assert_string_equal(seen.keys, "b=0 b2=2 b3=3 ");
	assert_int_equal(kv_scan(txn, str("b"), str("b2"), see, &rest), 0);
	assert_string_equal(rest.keys, "b2=2 b3=3 ");
	assert_int_equal(kv_scan(txn, str("b"), str("b"), see, &two), -ECANCELED);
	assert_int_equal(kv_scan(txn, str("b"), str("a"), see, &early), 0);
	assert_string_equal(early.keys, "b=0 b2=2 b3=3 ");
	assert_int_equal(kv_scan(txn, str("\xff"), str("\xff"), see, &high), 0);
	assert_int_equal(high.count, 1);
	kv_commit(txn, false);
	assert_int_equal(kv_scan(read, str("b"), str("b"), see, &snapshot), 0);
	assert_string_equal(snapshot.keys, "b=0 b1=1 b2=2 ");
	kv_rollback(read);
}

static uint64_t counter(struct kv_fixture *k, const char *key)
{
	struct kv_txn *txn = begin(k);
	_cleanup_free_ void *value = NULL;
	uint64_t n;
	size_t size;

	assert_int_equal(kv_get(txn, str(key), false, &value, &size), 0);
	assert_int_equal(size, sizeof(n));
	memcpy(&n, value, sizeof(n)); /* the tests run on little-endian machines */
	kv_rollback(txn);
	return n;
}

static void adding_takes_no_lock_and_is_undone_by_a_rollback(void **state)
{
	struct kv_fixture *k = *state;
	struct kv_txn *a = begin(k), *b = begin(k), *c = begin(k);
	char *why;

	assert_int_equal(kv_add(a, str("n"), 5), 0);
	assert_int_equal(kv_add(b, str("n"), -2), 0);
	assert_int_equal(kv_add(c, str("n"), 100), 0);
	assert_int_equal(kv_add(a, str("n"), 10), 0);
	assert_int_equal(kv_commit(b, false), 0);
	assert_int_equal(counter(k, "n"), -2);
	kv_rollback(c);
	assert_int_equal(kv_commit(a, false), 0);
	assert_int_equal(counter(k, "n"), 13);
	kv_close(k->kv);
	assert_int_equal(kv_open(k->f->dir, false, &k->kv, &why), 0);
	assert_int_equal(counter(k, "n"), 13);
}

static void commits_outlive_the_process(void **state)
{
	struct kv_fixture *k = *state;
	struct kv_txn *txn;
	char *why = NULL;
	int status;
	pid_t pid;

#ifdef __SANITIZE_THREAD__
	skip(); /* the child, of a process that had threads, starts threads */
#endif
	kv_close(k->kv);
	k->kv = NULL;
	pid = fork();
	if (!pid) {
		if (kv_open(k->f->dir, false, &k->kv, &why))
			_exit(1);
		put_now(k, "x", "1");
		txn = begin(k);
		put(txn, "y", "1");
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(kv_open(k->f->dir, false, &k->kv, &why), 0);
	txn = begin(k);
	assert_value(txn, "x", "1");
	assert_value(txn, "y", NULL);
	kv_rollback(txn);
}

static void what_is_open_is_not_opened_again(void **state)
{
	struct kv_fixture *k = *state;
	_cleanup_free_ char *why = NULL;
	struct kv *second = (void *)1;

	assert_int_equal(kv_open(k->f->dir, false, &second, &why), -EBUSY);
	assert_non_null(strstr(why, "has it open"));
	assert_ptr_equal(second, (void *)1);
}

static void what_is_absent_is_not_opened(void **state)
{
	struct kv_fixture *k = *state;
	_cleanup_free_ char *why = NULL, *why_not = NULL;
	char dir[PATH_MAX + 32];
	struct kv *kv = NULL;

	snprintf(dir, sizeof(dir), "%s/none", k->f->top);
	assert_int_equal(kv_open(dir, false, &kv, &why), -ENOENT);
	assert_non_null(strstr(why, "none"));
	assert_int_equal(access(dir, F_OK), -1);
	snprintf(dir, sizeof(dir), "%s/no/folder", k->f->top);
	assert_int_equal(kv_open(dir, true, &kv, &why_not), -ENOENT);
	assert_null(kv);
}

static void *sync_often(void *arg)
{
	struct kv_fixture *k = arg;

	for (int i = 0; i < 50; i++) {
		struct kv_txn *txn = begin(k);

		assert_int_equal(kv_add(txn, str("n"), 1), 0);
		assert_int_equal(kv_commit(txn, true), 0);
	}
	return NULL;
}

static void many_threads_can_sync(void **state)
{
	struct kv_fixture *k = *state;
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sync_often, k), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter(k, "n"), 200);
	assert_int_equal(kv_sync(k->kv), 0);
}

static void what_was_synced_since_is_not_synced_again(void **state)
{
	struct kv_fixture *k = *state;
	struct kv_txn *txn;
	uint64_t moment;
	int before;

	put_now(k, "x", "1");
	moment = kv_commits(k->kv);
	before = syncs;
	assert_int_equal(kv_sync_to(k->kv, moment), 0);
	assert_int_equal(syncs, before + 1);

	put_now(k, "x", "2");
	assert_int_equal(kv_sync_to(k->kv, moment), 0);
	assert_int_equal(syncs, before + 1);
	moment = kv_commits(k->kv);
	txn = begin(k);
	put(txn, "y", "1");
	assert_int_equal(kv_commit(txn, true), 0);
	assert_int_equal(syncs, before + 2);
	put_now(k, "x", "3");
	assert_int_equal(kv_sync_to(k->kv, moment), 0);
	assert_int_equal(syncs, before + 2);
	assert_int_equal(kv_sync_to(k->kv, kv_commits(k->kv)), 0);
	assert_int_equal(syncs, before + 3);
}

static void *commit_slowly(void *arg)
{
	assert_true(kv_commit(arg, false) < 0);
	return NULL;
}

/* As RocksDB may have forgotten meanwhile that it failed, and abort. */
static void nothing_is_committed_behind_a_failed_commit(void **state)
{
	struct kv_fixture *k = *state;
	struct kv_txn *one, *two;
	char *why = NULL;
	pthread_t other;
	int before;

	kv_close(k->kv);
	assert_int_equal(kv_open(k->f->dir, false, &k->kv, &why), 0);
	one = begin(k);
	two = begin(k);
	put(one, "x", "1");
	put(two, "y", "1");
	before = commit_calls;
	slow = true;
	assert_int_equal(pthread_create(&other, NULL, commit_slowly, one), 0);
	while (commit_calls == before)
		usleep(1000);
	slow = false;
	log_full = true;
	assert_true(kv_commit(two, false) < 0);
	pthread_join(other, NULL);
	assert_int_equal(commit_calls, before + 1);
	log_full = false;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_transaction_sees_its_own_writes_and_others_do_not),
		T(a_read_sees_one_moment),
		T(a_locked_key_is_not_to_be_had),
		T(a_deadlock_ends_for_one_of_the_two),
		T(a_scan_gives_what_begins_with_the_prefix_in_order),
		T(adding_takes_no_lock_and_is_undone_by_a_rollback),
		T(commits_outlive_the_process),
		T(what_is_open_is_not_opened_again),
		T(what_is_absent_is_not_opened),
		T(nothing_is_committed_behind_a_failed_commit),
		T(many_threads_can_sync),
		T(what_was_synced_since_is_not_synced_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
