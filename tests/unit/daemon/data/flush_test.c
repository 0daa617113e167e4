/* SPDX-License-Identifier: Apache-2.0 */
/* From staged to committed, when the store fails or the process dies on the way. */
#include "tests/unit/daemon/data/fixture.h"

#include <signal.h>
#include <sys/wait.h>

static void reopen_with(struct fixture *f, const char *faults)
{
	f->faults = faults;
	fixture_reopen(f);
}

static void a_failed_upload_is_reported_and_tried_again(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;
	struct meta_attr attr;
	struct model m;

	reopen_with(f, "put:error=EIO,times=3");
	file = get(f, ino);
	model_init(&m, ino, 1);
	/* Several windows, of which the first fail in the background or in the flush. */
	model_write(&m, file, 100, 3 * MIB);
	for (int i = 0; i < 4 && data_flush(file) < 0; i++) {
		assert_int_equal(i < 3, true);
		assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
		model_check(&m, f, file); /* still there */
	}
	assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
	assert_int_equal(attr.size, m.size);
	data_file_put(file);

	reopen_with(f, NULL);
	cache_forget(f->cache, ino);
	file = get(f, ino);
	model_check(&m, f, file);
	data_file_put(file);
	expect_no_leftover(f, ino);
	free(m.bytes);
}

static void a_flush_that_cannot_reach_the_store_fails(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;
	struct meta_attr attr;

	reopen_with(f, "put:error=ETIMEDOUT,times=1");
	file = get(f, ino);
	put_bytes(file, 0, "hello", 5);
	assert_int_equal(data_flush(file), -ETIMEDOUT);
	assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
	assert_int_equal(attr.size, 0);
	assert_true(data_pending(f->data, &attr));
	assert_int_equal(attr.size, 5);
	commit_bytes(file, 5, "!", 1);
	assert_false(data_pending(f->data, &attr));
	data_file_put(file);
	expect_no_leftover(f, ino);
}

static void without_a_cache_the_write_itself_fails(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;

	reopen_with(f, "put:error=ENOSPC,times=1");
	file = get(f, ino);
	assert_int_equal(data_write(file, 0, 5, "hello", false), -ENOSPC);
	assert_int_equal(attr_of(f, ino).size, 0);
	put_bytes(file, 0, "hello", 5);
	expect_bytes(file, 0, "hello", 5);
	data_file_put(file);
	expect_no_leftover(f, ino);
}

static void bytes_outlive_the_last_user_while_the_store_is_away(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;
	struct meta_attr attr;

	reopen_with(f, "put:error=EIO,times=1");
	file = get(f, ino);
	put_bytes(file, 0, "hello", 5);
	data_file_put(file); /* its flush fails */
	assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
	assert_int_equal(attr.size, 0);
	assert_true(data_pending(f->data, &attr));
	assert_int_equal(attr.size, 5);
	file = get(f, ino);
	expect_bytes(file, 0, "hello", 5);
	data_file_put(file);
	assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
	assert_int_equal(attr.size, 5);
	expect_no_leftover(f, ino);
}

static void syncing_flushes_all_and_reports_the_first_error(void **state)
{
	struct fixture *f = *state;
	struct data_file *files[3];
	uint64_t inos[3];
	char name[2] = "a";
	int committed = 0;

	for (int i = 0; i < 3; i++, name[0]++)
		inos[i] = make_file(f, name);
	reopen_with(f, "put:error=EIO,times=1");
	for (int i = 0; i < 3; i++) {
		files[i] = get(f, inos[i]);
		put_bytes(files[i], 0, "hello", 5);
	}
	assert_int_equal(data_sync(f->data), -EIO);
	for (int i = 0; i < 3; i++) {
		struct meta_attr attr;

		assert_int_equal(meta_getattr(f->meta, inos[i], &attr), 0);
		committed += attr.size == 5;
	}
	assert_int_equal(committed, 2);
	assert_int_equal(data_sync(f->data), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(objects_of(f, inos[i]), 1);
		data_file_put(files[i]);
	}
}

static void an_object_whose_answer_was_lost_is_deleted(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;

	reopen_with(f, "put:error=EIO,times=1,late");
	file = get(f, ino);
	put_bytes(file, 0, "hello", 5);
	assert_int_equal(data_flush(file), -EIO);
	assert_int_equal(objects_in_store(f), 1);
	assert_int_equal(data_flush(file), 0);
	data_file_put(file);
	expect_no_leftover(f, ino);
}

static void garbage_that_cannot_be_deleted_is_tried_again(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;

	reopen_with(f, "delete:error=EIO");
	for (int i = 0; i < 3; i++) {
		file = get(f, ino);
		put_bytes(file, 0, "hello", 5);
		data_file_put(file);
	}
	fixture_close(f);
	f->faults = NULL;
	fixture_open(f);
	expect_no_leftover(f, ino);
	assert_int_equal(objects_of(f, ino), 1);
}

static bool wait_for_objects(struct fixture *f, size_t count, unsigned tenths)
{
	while (objects_in_store(f) != count && tenths--)
		usleep(100000);
	return objects_in_store(f) == count;
}

static void what_a_copy_of_the_metadata_names_is_not_deleted(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;

	f->backed_up = true;
	file = get(f, ino);
	for (int i = 0; i < 3; i++)
		commit_bytes(file, 0, "hello", 5);
	for (int i = 0; i < 300 && !f->deletes_refused; i++)
		usleep(100000);
	assert_false(wait_for_objects(f, 1, 6));
	assert_int_equal(objects_in_store(f), 3);
	f->shipped = meta_sequence(f->meta);
	commit_bytes(file, 0, "hello", 5); /* and the janitor looks again */
	/* The one that was overwritten just now has to wait, and so has what the janitor had not yet seen. */
	for (int i = 0; i < 300 && objects_in_store(f) > 3; i++)
		usleep(100000);
	assert_in_range(objects_in_store(f), 2, 3);
	assert_false(wait_for_objects(f, 1, 6));
	data_file_put(file);
	/* At the end everything is shipped. */
	expect_no_leftover(f, ino);
}

static void what_came_and_went_since_the_copy_goes_at_once(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a"), first;
	struct data_file *file;

	f->backed_up = true;
	file = get(f, ino);
	commit_bytes(file, 0, "hello", 5); /* this one the copy names */
	assert_int_equal(meta_new_object(f->meta, &first), 0);
	f->first_private = first;
	for (int i = 0; i < 3; i++)
		commit_bytes(file, 0, "hello", 5);
	assert_true(wait_for_objects(f, 2, 50));
	assert_false(wait_for_objects(f, 1, 6));
	data_file_put(file);
	expect_no_leftover(f, ino);
}

static void a_full_store_asks_for_what_may_be_deleted(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;

	f->backed_up = true;
	reopen_with(f, "put:error=ENOSPC,after=2,times=1");
	file = get(f, ino);
	for (int i = 0; i < 2; i++)
		commit_bytes(file, 0, "hello", 5);
	assert_int_equal(objects_in_store(f), 2);
	put_bytes(file, 0, "again", 5);
	assert_int_equal(data_flush(file), -ENOSPC);
	assert_true(wait_for_objects(f, 1, 100));
	assert_true(f->deletes_wanted > 0);
	assert_int_equal(data_flush(file), 0);
	data_file_put(file);
}

static void nothing_is_taken_from_a_writer_who_may_not_write(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);

	f->may_write = -EROFS;
	assert_int_equal(data_write(file, 0, 5, "hello", false), -EROFS);
	f->may_write = 0;
	commit_bytes(file, 0, "hello", 5);
	data_file_put(file);
}

static void a_read_only_mount_deletes_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;
	size_t before;

	reopen_with(f, "delete:error=EIO");
	for (int i = 0; i < 2; i++) {
		file = get(f, ino);
		put_bytes(file, 0, "hello", 5);
		data_file_put(file);
	}
	fixture_close(f);
	f->faults = NULL;
	f->options.read_only = true;
	fixture_open(f);
	before = objects_in_store(f);
	assert_int_equal(before, 2);
	assert_int_equal(data_reap_orphans(f->data), 0);
	fixture_reopen(f);
	assert_int_equal(objects_in_store(f), before);
}

/* ---- writes during an upload ---- */

struct rewriter {
	struct data_file *file;
	_Atomic bool flushed;
	int result;
};

static void *flush_main(void *arg)
{
	struct rewriter *w = arg;

	w->result = data_flush(w->file);
	w->flushed = true;
	return NULL;
}

static void a_write_during_its_upload_is_uploaded_again(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct rewriter w = {};
	struct meta_attr attr;
	pthread_t thread;

	reopen_with(f, "put:delay_ms=300,times=1");
	w.file = get(f, ino);
	put_bytes(w.file, 0, "old old old", 11);
	pthread_create(&thread, NULL, flush_main, &w);
	usleep(100000);
	put_bytes(w.file, 4, "new", 3); /* does not wait for the upload */
	assert_false(w.flushed);
	expect_bytes(w.file, 0, "old new old", 11);
	pthread_join(thread, NULL);
	assert_int_equal(w.result, 0);
	assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
	assert_true(data_pending(f->data, &attr));
	expect_bytes(w.file, 0, "old new old", 11);
	assert_int_equal(data_flush(w.file), 0);
	data_file_put(w.file);
	cache_forget(f->cache, ino);
	fixture_reopen(f);
	w.file = get(f, ino);
	expect_bytes(w.file, 0, "old new old", 11);
	data_file_put(w.file);
	expect_no_leftover(f, ino);
}

static void full_chunks_are_uploaded_in_the_background(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct meta_attr attr;
	struct model m;

	model_init(&m, ino, 2);
	model_write(&m, file, 0, 2 * MIB + 100);
	for (int ms = 0; objects_in_store(f) < 2 && ms < 5000; ms += 10)
		usleep(10000);
	assert_int_equal(objects_in_store(f), 2);
	assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
	assert_int_equal(attr.size, 0); /* not committed */
	/* Rewritten while that upload waits for its commit. */
	model_write(&m, file, MIB - 10, 20);
	model_check(&m, f, file);
	assert_int_equal(data_flush(file), 0);
	assert_false(data_pending(f->data, &attr));
	data_file_put(file);
	cache_forget(f->cache, ino);
	fixture_reopen(f);
	file = get(f, ino);
	model_check(&m, f, file);
	data_file_put(file);
	expect_no_leftover(f, ino);
	free(m.bytes);
}

static void scattered_writes_share_an_object(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	struct model m;

	model_init(&m, ino, 3);
	for (uint64_t at = 0; at < MIB; at += 10000)
		model_write(&m, file, at, 100);
	assert_int_equal(data_flush(file), 0);
	assert_int_equal(objects_of(f, ino), 1);
	data_file_put(file);
	cache_forget(f->cache, ino);
	fixture_reopen(f);
	file = get(f, ino);
	model_check(&m, f, file);
	model_write(&m, file, 0, 500 * KIB); /* the object is still needed */
	data_file_put(file);
	expect_no_leftover(f, ino);
	assert_int_equal(objects_of(f, ino), 2);
	file = get(f, ino);
	model_write(&m, file, 0, MIB);
	data_file_put(file);
	expect_no_leftover(f, ino);
	assert_int_equal(objects_of(f, ino), 1);
	free(m.bytes);
}

/* ---- crashes: the child does it and dies, the parent looks ---- */

enum part { WRITE_FLUSH_WRITE, DIE_IN_UPLOAD, UNLINK };

/* A process of its own, since a fork has none of the threads that RocksDB counts on. */
static void in_a_child_that_is_killed(struct fixture *f, enum part part, const struct model *m)
{
	char kind[12], which[12], ino[24], seed[12];
	pid_t pid;
	int status;

	assert_int_equal(fixture_close(f), 0);
	snprintf(kind, sizeof(kind), "%d", f->kind);
	snprintf(which, sizeof(which), "%d", part);
	snprintf(ino, sizeof(ino), "%" PRIu64, m->ino);
	snprintf(seed, sizeof(seed), "%u", m->seed);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execl("/proc/self/exe", "flush_test", f->top, kind, f->faults ? f->faults : "", which, ino,
		      seed, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail_msg("the child ended with status %x", status);
	f->faults = NULL;
	fixture_open(f);
}

/* The same random bytes as in the child. */
static void fill_model(struct model *m, uint64_t offset, size_t length)
{
	for (size_t i = 0; i < length; i++)
		m->bytes[offset + i] = (char)rand_r(&m->seed);
	m->size = offset + length;
}

static void write_flush_write(struct fixture *f, struct model *m)
{
	struct data_file *file = get(f, m->ino);

	model_write(m, file, 0, 2 * MIB + 17);
	assert_int_equal(data_flush(file), 0);
	put_bytes(file, 1000, "not flushed", 11);
}

static void what_was_flushed_survives_a_kill(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;
	struct model m;
	char seen[11];

	model_init(&m, ino, 4);
	in_a_child_that_is_killed(f, WRITE_FLUSH_WRITE, &m);
	fill_model(&m, 0, 2 * MIB + 17);
	file = get(f, ino);
	/* Written past the cache it may be there; else the old bytes are. */
	assert_int_equal(data_read(file, 1000, 11, seen), 11);
	if (memcmp(seen, "not flushed", 11) == 0)
		memcpy(m.bytes + 1000, seen, 11);
	model_check(&m, f, file);
	data_file_put(file);
	free(m.bytes);
}

static void write_and_die_in_upload(struct fixture *f, struct model *m)
{
	struct data_file *file = get(f, m->ino);

	commit_bytes(file, 0, "hello", 5);
	model_write(m, file, 0, 3 * MIB);
	data_flush(file);
}

static void a_kill_during_upload_leaves_the_old_file(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file;
	struct model m;

	model_init(&m, ino, 5);
	f->faults = "put:kill,after=2,late";
	in_a_child_that_is_killed(f, DIE_IN_UPLOAD, &m);
	file = get(f, ino);
	assert_int_equal(attr_of(f, ino).size, 5);
	expect_bytes(file, 0, "hello", 5);
	data_file_put(file);
	free(m.bytes);
}

static void unlink_and_die(struct fixture *f, struct model *m)
{
	struct data_file *file = get(f, m->ino);
	struct meta_attr attr;

	assert_int_equal(meta_unlink(f->meta, META_ROOT_INO, "a", &attr, NULL), 0);
	data_orphaned(f->data, m->ino);
	expect_bytes(file, 0, "hello", 5);
	assert_int_equal(meta_sync(f->meta), 0);
}

static void orphans_of_a_crash_are_reaped_at_the_next_mount(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a");
	struct data_file *file = get(f, ino);
	const struct model m = {.ino = ino};
	struct meta_attr attr;

	put_bytes(file, 0, "hello", 5);
	data_file_put(file);
	in_a_child_that_is_killed(f, UNLINK, &m);
	assert_int_equal(meta_getattr(f->meta, ino, &attr), 0);
	assert_int_equal(data_reap_orphans(f->data), 0);
	assert_int_equal(meta_getattr(f->meta, ino, &attr), -ENOENT);
	assert_int_equal(f->forgotten, 1);
	expect_no_leftover(f, 0);
}

static int child_main(char **argv)
{
	struct fixture f = {.top = argv[1], .kind = (enum cache_kind)atoi(argv[2])};
	struct model m;

	log_set_level(LOG_CRIT);
	f.faults = *argv[3] ? argv[3] : NULL;
	model_init(&m, strtoull(argv[5], NULL, 10), (unsigned)strtoul(argv[6], NULL, 10));
	fixture_open(&f);
	switch ((enum part)atoi(argv[4])) {
	case WRITE_FLUSH_WRITE:
		write_flush_write(&f, &m);
		break;
	case DIE_IN_UPLOAD:
		write_and_die_in_upload(&f, &m);
		break;
	case UNLINK:
		unlink_and_die(&f, &m);
		break;
	}
	kill(getpid(), SIGKILL);
	return 1;
}

/* A flush is one commit: a crash leaves the old or the new file. */
static void what_was_uploaded_and_rewritten_is_committed_once(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a"), version;
	struct data_file *file = get(f, ino);
	struct data_stats stats = {.uploads_running = 1};
	struct model m;

	model_init(&m, ino, 21);
	model_write(&m, file, 0, 1);
	assert_int_equal(data_flush(file), 0);
	version = attr_of(f, ino).version;
	model_write(&m, file, 0, 3 * MIB);
	for (int i = 0; i < 500 && (objects_in_store(f) < 4 || stats.uploads_running); i++) {
		usleep(10000);
		data_get_stats(f->data, &stats);
	}
	assert_int_equal(objects_in_store(f), 4);
	model_write(&m, file, 1000, 100);
	model_write(&m, file, 2 * MIB - 50, 100);
	assert_int_equal(data_flush(file), 0);
	assert_int_equal(attr_of(f, ino).version, version + 1);
	model_check(&m, f, file);
	data_file_put(file);
	expect_no_leftover(f, ino);
	free(m.bytes);
}

static void a_flush_of_very_many_pieces_is_committed_once(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = make_file(f, "a"), version;
	struct data_file *file = get(f, ino);
	struct model m;

	model_init(&m, ino, 22);
	model_write(&m, file, 0, 1);
	assert_int_equal(data_flush(file), 0);
	version = attr_of(f, ino).version;
	for (unsigned i = 0; i < 5000; i++)
		model_write(&m, file, 1000ull * i, 10);
	assert_int_equal(data_flush(file), 0);
	assert_int_equal(attr_of(f, ino).version, version + 1);
	model_check(&m, f, file);
	data_file_put(file);
	expect_no_leftover(f, ino);
	free(m.bytes);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_failed_upload_is_reported_and_tried_again, setup_roomy,
	                                        teardown),
		cmocka_unit_test_setup_teardown(a_flush_that_cannot_reach_the_store_fails, setup_roomy,
	                                        teardown),
		cmocka_unit_test_setup_teardown(without_a_cache_the_write_itself_fails, setup_none, teardown),
		cmocka_unit_test_setup_teardown(bytes_outlive_the_last_user_while_the_store_is_away,
	                                        setup_roomy, teardown),
		cmocka_unit_test_setup_teardown(syncing_flushes_all_and_reports_the_first_error, setup_roomy,
	                                        teardown),
		cmocka_unit_test_setup_teardown(an_object_whose_answer_was_lost_is_deleted, setup_roomy,
	                                        teardown),
		WITH_EACH_CACHE(garbage_that_cannot_be_deleted_is_tried_again),
		WITH_EACH_CACHE(what_a_copy_of_the_metadata_names_is_not_deleted),
		WITH_EACH_CACHE(what_came_and_went_since_the_copy_goes_at_once),
		cmocka_unit_test_setup_teardown(a_full_store_asks_for_what_may_be_deleted, setup_roomy,
	                                        teardown),
		WITH_EACH_CACHE(nothing_is_taken_from_a_writer_who_may_not_write),
		cmocka_unit_test_setup_teardown(a_read_only_mount_deletes_nothing, setup_roomy, teardown),
		cmocka_unit_test_setup_teardown(a_write_during_its_upload_is_uploaded_again, setup_roomy,
	                                        teardown),
		cmocka_unit_test_setup_teardown(full_chunks_are_uploaded_in_the_background, setup_roomy,
	                                        teardown),
		cmocka_unit_test_setup_teardown(scattered_writes_share_an_object, setup_roomy, teardown),
		cmocka_unit_test_setup_teardown(what_was_uploaded_and_rewritten_is_committed_once,
	                                        setup_roomy, teardown),
		cmocka_unit_test_setup_teardown(a_flush_of_very_many_pieces_is_committed_once, setup_roomy,
	                                        teardown),
		WITH_EACH_CACHE(what_was_flushed_survives_a_kill),
		cmocka_unit_test_setup_teardown(a_kill_during_upload_leaves_the_old_file, setup_roomy,
	                                        teardown),
		WITH_EACH_CACHE(orphans_of_a_crash_are_reaped_at_the_next_mount),
	};

	if (argc == 7)
		return child_main(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
