/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/daemon/meta/scene.h"

static void damage(struct fixture *f, struct meta_key key, const void *value, size_t size)
{
	struct damage d = {.key = key, .value = value, .size = size};

	assert_int_equal(meta_run(f->m, true, do_damage, &d), 0);
}

static void lose(struct fixture *f, struct meta_key key)
{
	damage(f, key, NULL, 0);
}

static void damage_dentry(struct fixture *f, uint64_t parent, const char *name, struct dentry d)
{
	unsigned char value[META_VALUE_MAX];

	damage(f, meta_key_name('D', parent, name), value, meta_encode_dentry(&d, value));
}

/* Close, repair, open again; @return how much could not be repaired. */
static size_t repair(struct fixture *f, uint64_t next_object)
{
	struct meta_check_hooks hooks = {.left = fixture_print_problem};
	struct meta_objects objects = {};
	size_t problems = 0, left = 0;
	struct meta *m;
	char *why = NULL;

	meta_close(f->m);
	assert_int_equal(meta_open_to_repair(f->dir, &m, &why), 0);
	assert_int_equal(meta_repair(m, next_object, &hooks, &problems, &left, &objects), 0);
	assert_true(problems > 0);
	free(objects.list);
	meta_close(m);
	fixture_open(f);
	return left;
}

static void assert_repaired(struct fixture *f)
{
	assert_int_equal(repair(f, 0), 0);
	assert_consistent(f);
}

/* ---- names ---- */

static void a_name_comes_back_from_its_place_in_readdir(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	lose(f, meta_key_name('D', s.dir, "file"));
	damage(f, meta_key_name('D', 1, "dir"), "\1x", 2);
	assert_repaired(f);
	assert_int_equal(look(f, s.dir, "file"), s.file);
	assert_int_equal(look(f, 1, "dir"), s.dir);
	assert_int_equal(attr_of(f, s.file).nlink, 2);
}

static void a_place_in_readdir_comes_back_from_its_name(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	lose(f, meta_key_pair('R', s.dir, META_POSITION_FIRST));
	damage(f, meta_key_pair('R', 1, META_POSITION_FIRST), "\1", 1);
	assert_repaired(f);
	assert_int_equal(look(f, 1, "dir"), s.dir);
	assert_int_equal(look(f, s.dir, "sub"), s.sub);
}

static void two_names_at_one_place_get_two(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	damage_dentry(f, s.dir, "file",
	              (struct dentry){.ino = s.file, .type = S_IFREG, .position = META_POSITION_FIRST});
	assert_repaired(f);
	assert_int_equal(look(f, s.dir, "file"), s.file);
	assert_int_equal(look(f, s.dir, "sub"), s.sub);
}

static void a_name_that_leads_nowhere_is_taken_away(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	make_file(f, s.dir, "empty");
	lose(f, meta_key_number('I', look(f, s.dir, "empty")));
	damage_dentry(f, 1, "nowhere", (struct dentry){.ino = 999, .type = S_IFDIR, .position = 77});
	assert_repaired(f);
	assert_int_equal(look(f, s.dir, "empty"), 0);
	assert_int_equal(look(f, 1, "nowhere"), 0);
	assert_int_equal(look(f, 1, "dir"), s.dir);
}

static void a_second_name_of_a_directory_is_taken_away(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	damage_dentry(f, s.dir, "again", (struct dentry){.ino = s.sub, .type = S_IFDIR, .position = 99});
	damage_dentry(f, s.dir, "root", (struct dentry){.ino = 1, .type = S_IFDIR, .position = 98});
	assert_repaired(f);
	assert_int_equal(look(f, s.dir, "root"), 0);
	assert_true(!look(f, s.dir, "again") != !look(f, s.dir, "sub"));
}

static void what_has_no_name_goes_to_lost_and_found(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	uint64_t lost_and_found;
	char name[32];

	lose(f, meta_key_name('D', s.dir, "sub"));
	lose(f, meta_key_pair('R', s.dir, META_POSITION_FIRST));
	assert_repaired(f);
	lost_and_found = look(f, 1, "lost+found");
	assert_int_equal(attr_of(f, lost_and_found).mode, S_IFDIR | 0700);
	snprintf(name, sizeof(name), "#%llu", (unsigned long long)s.sub);
	assert_int_equal(look(f, lost_and_found, name), s.sub);
	assert_int_equal(attr_of(f, s.sub).parent, lost_and_found);
	assert_int_not_equal(look(f, s.sub, "deep"), 0);
	assert_int_equal(attr_of(f, s.dir).nlink, 2);
}

static void a_loop_of_directories_is_opened(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	lose(f, meta_key_name('D', 1, "dir"));
	lose(f, meta_key_pair('R', 1, META_POSITION_FIRST));
	damage_dentry(f, s.sub, "up", (struct dentry){.ino = s.dir, .type = S_IFDIR, .position = 50});
	assert_repaired(f);
	assert_int_not_equal(look(f, s.dir, "file") + look(f, s.sub, "deep"), 0);
}

/* ---- inodes ---- */

static void a_lost_inode_with_something_in_it_is_made_again(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	struct meta_attr attr;
	char *target;

	lose(f, meta_key_number('I', s.file));
	damage(f, meta_key_number('I', s.dir), "\1rubbish", 8);
	lose(f, meta_key_number('I', s.link));
	assert_repaired(f);
	attr = attr_of(f, s.file);
	assert_int_equal(attr.mode, S_IFREG | 0600);
	assert_int_equal(attr.size, CHUNK + 1000);
	assert_int_equal(attr.nlink, 2);
	assert_int_equal(attr.xattrs, 1);
	attr = attr_of(f, s.dir);
	assert_int_equal(attr.mode, S_IFDIR | 0700);
	assert_int_equal(look(f, s.dir, "sub"), s.sub);
	assert_int_equal(meta_readlink(f->m, s.link, &target), 0);
	assert_string_equal(target, "target");
	free(target);
	make_file(f, s.dir, "new");
}

static void a_lost_root_is_made_again(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	lose(f, meta_key_number('I', 1));
	assert_repaired(f);
	assert_int_equal(look(f, 1, "dir"), s.dir);
	make_file(f, 1, "new");
}

static void counts_become_what_is_there(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	struct inode inode = {.attr = attr_of(f, s.file), .cut_from = META_CUT_NONE};
	unsigned char value[META_VALUE_MAX];

	inode.attr.nlink = 7;
	inode.attr.xattrs = 3;
	damage(f, meta_key_number('I', s.file), value, meta_encode_inode(&inode, value));
	inode = (struct inode){.attr = attr_of(f, s.dir), .entries = 9, .next_position = META_POSITION_FIRST};
	inode.attr.nlink = 2;
	inode.attr.parent = 4;
	damage(f, meta_key_number('I', s.dir), value, meta_encode_inode(&inode, value));
	damage(f, meta_key_counter('b'), "12345678", 8);
	damage(f, meta_key_counter('n'), "x", 1);
	damage(f, meta_key_counter('i'), value, meta_encode_number(2, value));
	lose(f, meta_key_counter('o'));
	assert_repaired(f);
	assert_int_equal(attr_of(f, s.file).nlink, 2);
	assert_int_equal(attr_of(f, s.dir).nlink, 3);
	assert_true(make_file(f, s.dir, "new") > s.orphan);
	assert_true(write_slice(f, s.file, 0, 0, 10) > s.object);
	assert_consistent(f);
}

static void orphans_are_recorded_and_named_ones_are_none(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	uint64_t *orphans;
	size_t count;

	lose(f, meta_key_number('O', s.orphan));
	damage(f, meta_key_number('O', s.file), "\1", 1);
	damage(f, meta_key_number('O', 999), "\1", 1);
	damage(f, meta_key_number('T', s.file), "\1", 1);
	assert_repaired(f);
	assert_int_equal(meta_list_orphans(f->m, &orphans, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(orphans[0], s.orphan);
	free(orphans);
}

static void the_epoch_goes_on_behind_every_version(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	uint64_t version;

	for (int i = 0; i < 5; i++)
		fixture_reopen(f);
	write_slice(f, s.file, 0, 0, 10);
	version = attr_of(f, s.file).version;
	lose(f, meta_key_counter('e'));
	assert_repaired(f);
	write_slice(f, s.file, 0, 0, 10);
	assert_true(attr_of(f, s.file).version >> META_EPOCH_SHIFT > version >> META_EPOCH_SHIFT);
}

/* ---- data ---- */

static void data_behind_the_end_is_cut_off(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	struct inode inode = {.attr = attr_of(f, s.file), .cut_from = META_CUT_NONE};
	_cleanup_slices_ struct meta_slices list = {};
	unsigned char value[META_VALUE_MAX];

	inode.attr.size = 100;
	damage(f, meta_key_number('I', s.file), value, meta_encode_inode(&inode, value));
	assert_repaired(f);
	assert_int_equal(attr_of(f, s.file).size, 100);
	assert_int_equal(meta_slices(f->m, s.file, 0, &list), 0);
	assert_int_equal(list.slices[0].length, 100);
}

static void what_is_lost_stays_an_error_until_it_is_removed(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	struct meta_slices list = {};

	damage(f, meta_key_pair('C', s.file, 0), "\1rubbish", 8);
	assert_int_equal(repair(f, 0), 1);
	assert_int_equal(meta_slices(f->m, s.file, 0, &list), -EIO);
	assert_int_equal(meta_unlink(f->m, 1, "hard", NULL, NULL), 0);
	assert_int_equal(meta_unlink(f->m, s.dir, "file", NULL, NULL), 0);
	assert_int_equal(meta_reap(f->m, s.file), 0);
	assert_consistent(f);
}

static void an_object_in_use_is_no_garbage(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	unsigned char value[META_VALUE_MAX];

	damage(f, meta_key_number('G', s.object), value, meta_encode_garbage(1000, value));
	damage(f, meta_key_number('G', 77), "\1x", 2);
	assert_repaired(f);
	assert_int_equal(garbage_count(f), 0);
}

static void references_are_counted_again(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	unsigned char value[META_VALUE_MAX];
	uint64_t other = write_slice(f, s.file, 0, 100, 10);

	damage(f, meta_key_number('K', s.object), value, meta_encode_references(7, value));
	damage(f, meta_key_number('K', other), value, meta_encode_references(1, value));
	damage(f, meta_key_number('K', 555), value, meta_encode_references(1, value));
	assert_repaired(f);
	lose(f, meta_key_number('K', s.object));
	assert_repaired(f);
	write_slice(f, s.file, 0, 0, 1000);
	assert_true(is_garbage(f, s.object) && is_garbage(f, other));
}

static void numbers_of_objects_in_the_store_are_taken(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	assert_int_equal(repair(f, META_FIRST_OBJECT + 1000000), 0);
	assert_true(write_slice(f, s.file, 0, 0, 10) >= META_FIRST_OBJECT + 1000000);
	assert_consistent(f);
}

static void a_path_is_found(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	char *path;

	assert_int_equal(meta_find_path(f->m, look(f, s.sub, "deep"), &path), 0);
	assert_string_equal(path, "dir/sub/deep");
	free(path);
	assert_int_equal(meta_find_path(f->m, 1, &path), 0);
	assert_string_equal(path, "");
	free(path);
	assert_int_equal(meta_find_path(f->m, s.orphan, &path), -ENOENT);
}

static void the_files_of_an_object_are_found(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	uint64_t copies[3], inos[4], copied;
	struct meta_attr attr;
	size_t count;

	for (size_t i = 0; i < ARRAY_SIZE(copies); i++) {
		copies[i] = make_file(f, 1, (const char *const[]){"a", "b", "c"}[i]);
		assert_int_equal(meta_copy_range(f->m, s.file, 0, copies[i], 0, 1000, &copied, &attr), 0);
	}
	assert_int_equal(meta_find_files(f->m, s.object, inos, 4, &count), 0);
	assert_int_equal(count, 4);
	assert_int_equal(inos[0], s.file);
	assert_memory_equal(&inos[1], copies, sizeof(copies));
	assert_int_equal(meta_find_files(f->m, s.object, inos, 2, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(meta_find_files(f->m, s.object + 1000, inos, 4, &count), 0);
	assert_int_equal(count, 0);
}

/* Whatever record is lost or rubbish: what can be repaired is, and nothing crashes. */
struct record {
	struct meta_key key;
	unsigned char value[META_VALUE_MAX];
	size_t size;
};

static int add_record(struct kv_slice key, struct kv_slice value, void *arg)
{
	struct record **at = arg;

	if (*(const char *)key.data != 'V') {
		assert_true(value.size <= sizeof((*at)->value));
		(*at)->key.size = key.size;
		memcpy((*at)->key.bytes, key.data, key.size);
		(*at)->size = value.size;
		memcpy((*at)->value, value.data, value.size);
		(*at)++;
	}
	return 0;
}

static int list_records(struct meta_txn *t, void *arg)
{
	return kv_scan(t->kv, (struct kv_slice){"", 0}, (struct kv_slice){"", 0}, add_record, arg);
}

static void any_record_may_be_lost(void **state)
{
	struct fixture *f = *state;
	struct record *records = calloc(1000, sizeof(*records)), *end = records;
	size_t left;

	make_scene(f);
	assert_non_null(records);
	assert_int_equal(meta_run_read(f->m, list_records, &end), 0);
	for (struct record *k = records; k < end; k++) {
		char kind = (char)k->key.bytes[0];

		for (int rubbish = 0; rubbish < 2; rubbish++) {
			damage(f, k->key, rubbish ? "\1?" : NULL, 2);
			assert_int_equal(meta_check(f->m, NULL, NULL, &left), 0);
			if (left)
				left = repair(f, 0);
			if (left && kind != 'S' && kind != 'C' && kind != 'X')
				fail_msg("%zu problems are left after '%c' was %s", left, kind,
				         rubbish ? "rubbish" : "lost");
			/* Nothing brings these back. */
			if (kind == 'S' || kind == 'C' || kind == 'X')
				damage(f, k->key, k->value, k->size);
		}
	}
	free(records);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(a_name_comes_back_from_its_place_in_readdir),
		META_TEST(a_place_in_readdir_comes_back_from_its_name),
		META_TEST(two_names_at_one_place_get_two),
		META_TEST(a_name_that_leads_nowhere_is_taken_away),
		META_TEST(a_second_name_of_a_directory_is_taken_away),
		META_TEST(what_has_no_name_goes_to_lost_and_found),
		META_TEST(a_loop_of_directories_is_opened),
		META_TEST(a_lost_inode_with_something_in_it_is_made_again),
		META_TEST(a_lost_root_is_made_again),
		META_TEST(counts_become_what_is_there),
		META_TEST(orphans_are_recorded_and_named_ones_are_none),
		META_TEST(the_epoch_goes_on_behind_every_version),
		META_TEST(data_behind_the_end_is_cut_off),
		META_TEST(what_is_lost_stays_an_error_until_it_is_removed),
		META_TEST(an_object_in_use_is_no_garbage),
		META_TEST(references_are_counted_again),
		META_TEST(numbers_of_objects_in_the_store_are_taken),
		META_TEST(a_path_is_found),
		META_TEST(the_files_of_an_object_are_found),
		T(any_record_may_be_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
