/* SPDX-License-Identifier: Apache-2.0 */
/* A second database that is kept the same by a cut and the changes since, whatever happens to the first. */
#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/meta/kv.h"

enum { KEYS = 40, WRITERS = 4 };

struct pair {
	struct fixture *f;
	char from_dir[PATH_MAX + 32], to_dir[PATH_MAX + 32];
	struct kv *from, *to;
	uint64_t sequence; /* of what is in to */
};

static struct kv *open_kv(const char *dir, bool create)
{
	struct kv *kv = NULL;
	char *why = NULL;

	if (kv_open(dir, create, &kv, &why) < 0)
		fail_msg("%s", why);
	return kv;
}

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	void *f;

	fixture_setup_empty(&f);
	p->f = f;
	snprintf(p->from_dir, sizeof(p->from_dir), "%s/from", p->f->top);
	snprintf(p->to_dir, sizeof(p->to_dir), "%s/to", p->f->top);
	p->from = open_kv(p->from_dir, true);
	p->to = open_kv(p->to_dir, true);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;
	void *f = p->f;

	kv_close(p->from);
	kv_close(p->to);
	fixture_teardown(&f);
	free(p);
	return 0;
}

/* ---- the copy ---- */

static int apply(enum kv_op op, struct kv_slice key, struct kv_slice value, void *arg)
{
	uint64_t delta;

	switch (op) {
	case KV_PUT:
		return kv_put(arg, key, value);
	case KV_DELETE:
		return kv_delete(arg, key);
	case KV_ADD:
		memcpy(&delta, value.data, sizeof(delta));
		return kv_add(arg, key, le64toh(delta));
	}
	return -EINVAL;
}

static int copy_pair(struct kv_slice key, struct kv_slice value, void *arg)
{
	return kv_put(arg, key, value);
}

static void copy_all(struct pair *p)
{
	struct kv_slice all = {"", 0};
	struct kv_txn *from, *to;

	assert_int_equal(kv_begin_cut(p->from, &from, &p->sequence), 0);
	assert_int_equal(kv_begin(p->to, &to), 0);
	assert_int_equal(kv_scan(from, all, all, copy_pair, to), 0);
	kv_rollback(from);
	assert_int_equal(kv_commit(to, false), 0);
}

static int copy_changes(struct pair *p)
{
	uint64_t until = kv_sequence(p->from);
	struct kv_txn *to;
	int r;

	assert_int_equal(kv_begin(p->to, &to), 0);
	r = kv_changes(p->from, p->sequence, until, apply, to);
	if (r) {
		kv_rollback(to);
		return r;
	}
	assert_int_equal(kv_commit(to, false), 0);
	p->sequence = until;
	return 0;
}

struct listing {
	char *text;
	size_t size;
	FILE *f;
};

static int list_pair(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct listing *l = arg;

	fwrite(key.data, 1, key.size, l->f);
	fputc('=', l->f);
	fwrite(value.data, 1, value.size, l->f);
	fputc('\n', l->f);
	return 0;
}

static char *list(struct kv *kv, size_t *ret_size)
{
	struct kv_slice all = {"", 0};
	struct listing l = {0};
	struct kv_txn *txn;

	l.f = open_memstream(&l.text, &l.size);
	assert_int_equal(kv_begin_read(kv, &txn), 0);
	assert_int_equal(kv_scan(txn, all, all, list_pair, &l), 0);
	kv_rollback(txn);
	fclose(l.f);
	*ret_size = l.size;
	return l.text;
}

static void assert_same(struct pair *p)
{
	size_t from_size, to_size;
	_cleanup_free_ char *from = list(p->from, &from_size), *to = list(p->to, &to_size);

	assert_int_equal(from_size, to_size);
	assert_memory_equal(from, to, from_size);
}

/* ---- the original ---- */

static void change(struct kv *kv, unsigned *seed, size_t value_size)
{
	_cleanup_free_ char *value = malloc(value_size);
	struct kv_txn *txn;

	memset(value, 'a' + rand_r(seed) % 26, value_size);
	assert_int_equal(kv_begin(kv, &txn), 0);
	for (int i = 0; i < 3; i++) {
		char key[16];
		struct kv_slice k = {key, snprintf(key, sizeof(key), "k%02d", rand_r(seed) % KEYS)};
		int r = rand_r(seed) % 4 ? kv_put(txn, k, (struct kv_slice){value, value_size})
		                         : kv_delete(txn, k);

		if (r == -EAGAIN) { /* another has it locked */
			kv_rollback(txn);
			return;
		}
		assert_int_equal(r, 0);
	}
	assert_int_equal(kv_add(txn, (struct kv_slice){"n", 1}, rand_r(seed)), 0);
	if (rand_r(seed) % 8)
		assert_int_equal(kv_commit(txn, false), 0);
	else
		kv_rollback(txn);
}

static struct pair *shared;
static atomic_uint writing;

static void *write_on(void *arg)
{
	unsigned seed = (uintptr_t)arg;

	for (int i = 0; i < 300; i++)
		change(shared->from, &seed, 10);
	atomic_fetch_sub(&writing, 1);
	return NULL;
}

static void a_copy_follows_many_writers(void **state)
{
	struct pair *p = *state;
	pthread_t threads[WRITERS];
	unsigned seed = 1;

	for (int i = 0; i < 100; i++)
		change(p->from, &seed, 10);
	shared = p;
	atomic_store(&writing, WRITERS);
	for (uintptr_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_on, (void *)(i + 1)), 0);
	/* The cut is amidst them. */
	copy_all(p);
	while (atomic_load(&writing))
		assert_int_equal(copy_changes(p), 0);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(copy_changes(p), 0);
	assert_same(p);
}

static void it_goes_on_after_the_tables_were_written(void **state)
{
	struct pair *p = *state;
	unsigned seed = 2;

	copy_all(p);
	for (int i = 0; i < 120; i++)
		change(p->from, &seed, 100000); /* several times the write buffer */
	assert_int_equal(copy_changes(p), 0);
	assert_same(p);
}

static void it_goes_on_after_the_database_was_opened_again(void **state)
{
	struct pair *p = *state;
	char identity[KV_IDENTITY_MAX];
	unsigned seed = 3;

	strcpy(identity, kv_identity(p->from));
	assert_string_not_equal(identity, kv_identity(p->to));
	copy_all(p);
	for (int round = 0; round < 3; round++) {
		uint64_t before = kv_sequence(p->from);

		change(p->from, &seed, 10);
		kv_close(p->from);
		p->from = open_kv(p->from_dir, false);
		assert_true(kv_sequence(p->from) >= before);
		assert_string_equal(kv_identity(p->from), identity);
		change(p->from, &seed, 10);
		assert_int_equal(copy_changes(p), 0);
		assert_same(p);
	}
}

static void it_goes_on_after_a_kill(void **state)
{
	struct pair *p = *state;
	pid_t pid;

	copy_all(p);
	kv_close(p->from);
	pid = fork();
	if (!pid) {
		unsigned seed = 4;
		struct kv *kv = open_kv(p->from_dir, false);

		for (int i = 0; i < 20; i++)
			change(kv, &seed, 10);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &(int){0}, 0), pid);
	p->from = open_kv(p->from_dir, false);
	assert_int_equal(copy_changes(p), 0);
	assert_same(p);
}

static void what_the_log_has_no_more_is_enodata(void **state)
{
	struct pair *p = *state;
	char path[PATH_MAX + 64];
	unsigned seed = 5;

	copy_all(p);
	for (int i = 0; i < 120; i++)
		change(p->from, &seed, 100000);
	kv_close(p->from);
	p->from = open_kv(p->from_dir, false);
	/* What is kept of it goes. */
	snprintf(path, sizeof(path), "rm -rf %s/archive", p->from_dir);
	assert_int_equal(system(path), 0);
	assert_int_equal(copy_changes(p), -ENODATA);
	assert_int_equal(kv_changes(p->from, 0, kv_sequence(p->from) + 1, apply, NULL), -ENODATA);
	assert_int_equal(kv_changes(p->from, kv_sequence(p->from) + 5, kv_sequence(p->from) + 9, apply, NULL),
	                 -ENODATA);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_copy_follows_many_writers),
		T(it_goes_on_after_the_tables_were_written),
		T(it_goes_on_after_the_database_was_opened_again),
		T(it_goes_on_after_a_kill),
		T(what_the_log_has_no_more_is_enodata),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
