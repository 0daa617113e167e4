/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/daemon/meta/scene.h"

struct said {
	char text[4096];
};

static void hear(const char *problem, void *arg)
{
	struct said *said = arg;

	strncat(said->text, problem, sizeof(said->text) - strlen(said->text) - 2);
	strcat(said->text, "\n");
}

/* After damage @p d the check says @p what among other things. */
static void assert_noticed(struct fixture *f, struct damage d, const char *what)
{
	struct said said = {};
	size_t problems = 0;

	assert_int_equal(meta_run(f->m, false, do_damage, &d), 0);
	assert_int_equal(meta_check(f->m, hear, &said, &problems), 0);
	assert_true(problems > 0);
	if (!strstr(said.text, what))
		fail_msg("not said: %s\nsaid: %s", what, said.text);
}

static int get_inode(struct meta_txn *t, void *arg)
{
	struct inode *inode = arg;

	return txn_get_inode(t, inode->attr.ino, false, inode);
}

static struct inode inode_of(struct fixture *f, uint64_t ino)
{
	struct inode inode = {.attr.ino = ino};

	assert_int_equal(meta_run_read(f->m, get_inode, &inode), 0);
	return inode;
}

static void a_sound_volume_has_no_problems(void **state)
{
	struct fixture *f = *state;

	make_scene(f);
	assert_consistent(f);
}

static void wrong_link_counts_are_noticed(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	struct inode file = inode_of(f, s.file), dir = inode_of(f, s.dir);

	file.attr.nlink++;
	dir.attr.nlink++;
	assert_noticed(f, (struct damage){.inode = &file}, "has nlink 3 and 2 names");
	assert_noticed(f, (struct damage){.inode = &dir}, "has nlink 4 and 1 subdirectories");
}

static void wrong_directories_are_noticed(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	struct inode sub = inode_of(f, s.sub), dir = inode_of(f, s.dir);

	dir.entries = 5;
	assert_noticed(f, (struct damage){.inode = &dir}, "has 2 names and counts 5");
	sub.attr.parent = 1;
	assert_noticed(f, (struct damage){.inode = &sub}, "and believes in 1");
	sub.attr.parent = s.dir;
	assert_noticed(f, (struct damage){.inode = &sub}, "");
	dir.attr.parent = s.sub;
	assert_noticed(f, (struct damage){.inode = &dir}, "is in 1 and believes in");
}

static void a_loop_of_directories_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	struct dentry d = {.ino = s.dir, .type = S_IFDIR, .position = 100};
	unsigned char value[META_VALUE_MAX];
	size_t size = meta_encode_dentry(&d, value);

	assert_noticed(f, (struct damage){.key = meta_key_name('D', 1, "dir")}, "which lookup does not");
	assert_noticed(f, (struct damage){.key = meta_key_pair('R', 1, META_POSITION_FIRST)},
	               "has nlink 3 and no name");
	assert_noticed(f,
	               (struct damage){.key = meta_key_name('D', s.sub, "up"), .value = value, .size = size},
	               "is not below the root");
}

static void lost_name_records_are_noticed(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	assert_noticed(f, (struct damage){.key = meta_key_name('D', s.dir, "file")},
	               "meets file, which lookup does not");
	assert_noticed(f, (struct damage){.key = meta_key_pair('R', 1, META_POSITION_FIRST)},
	               "name dir in 1 is not where readdir looks for it");
}

static void lost_inodes_are_noticed(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	assert_noticed(f, (struct damage){.key = meta_key_number('I', s.link)}, "which is not of its type");
	assert_noticed(f, (struct damage){.key = meta_key_number('I', s.link)}, "has no symlink");
	assert_noticed(f, (struct damage){.key = meta_key_number('I', s.orphan)}, "an orphan has no inode");
}

static void wrong_orphans_targets_and_xattrs_are_noticed(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	assert_noticed(f, (struct damage){.key = meta_key_number('O', s.orphan)},
	               "nlink 0 and is not an orphan");
	assert_noticed(f, (struct damage){.key = meta_key_number('O', s.file), .value = "\1", .size = 1},
	               "nlink 2 and is an orphan");
	assert_noticed(f, (struct damage){.key = meta_key_number('T', s.file), .value = "\1", .size = 1},
	               "disagrees on a truncation");
	assert_noticed(f, (struct damage){.key = meta_key_number('S', s.link), .value = "\1xx", .size = 3},
	               "target of symlink");
	assert_noticed(f, (struct damage){.key = meta_key_number('S', s.link)}, "has no target");
	assert_noticed(f, (struct damage){.key = meta_key_name('X', s.file, "user.a")}, "and counts 1");
}

static void wrong_slices_are_noticed(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);
	_cleanup_slices_ struct meta_slices list = {};
	_cleanup_free_ void *value = NULL;
	unsigned char garbage[META_VALUE_MAX], counted[META_VALUE_MAX];
	size_t size;

	assert_int_equal(meta_slices(f->m, s.file, 0, &list), 0);
	size = meta_encode_garbage(1000, garbage);
	assert_noticed(f,
	               (struct damage){.key = meta_key_number('G', list.slices[0].object),
	                               .value = garbage,
	                               .size = size},
	               "is in use and in the garbage");
	assert_int_equal(meta_encode_slices(&list, &value, &size), 0);
	assert_noticed(f, (struct damage){.key = meta_key_pair('C', s.file, 5), .value = value, .size = size},
	               "has data behind its end");
	assert_noticed(f, (struct damage){.key = meta_key_pair('C', s.file, 1), .value = value, .size = size},
	               "has 3 references, which are not counted");
	assert_noticed(f,
	               (struct damage){.key = meta_key_number('K', list.slices[0].object),
	                               .value = counted,
	                               .size = meta_encode_references(4, counted)},
	               "references and counts 5");
	assert_noticed(f, (struct damage){.key = meta_key_pair('C', s.dir, 0), .value = value, .size = size},
	               "belongs to no file");
}

static void wrong_counters_are_noticed(void **state)
{
	struct fixture *f = *state;
	unsigned char value[META_VALUE_MAX];
	size_t size = meta_encode_number(1, value);

	make_scene(f);
	assert_noticed(f, (struct damage){.count = 1}, "7 inodes are there and 8 counted");
	assert_noticed(f, (struct damage){.key = meta_key_counter('i'), .value = value, .size = size},
	               "is in use and not reserved");
	assert_noticed(f, (struct damage){.key = meta_key_counter('o')}, "counter o is damaged");
}

static void damaged_records_are_noticed(void **state)
{
	struct fixture *f = *state;
	struct scene s = make_scene(f);

	assert_noticed(f, (struct damage){.key = meta_key_number('I', s.file), .value = "\1", .size = 1},
	               "an inode record is damaged");
	assert_noticed(f, (struct damage){.key = meta_key_name('D', 1, "hard"), .value = "\1", .size = 1},
	               "a name record is damaged");
	assert_noticed(f, (struct damage){.key = meta_key_pair('C', s.file, 0), .value = "\1x", .size = 2},
	               "a slice list is damaged");
	assert_noticed(f, (struct damage){.key = meta_key_number('G', 5), .value = "\1x", .size = 2},
	               "a garbage record is damaged");
	assert_noticed(f, (struct damage){.key = meta_key_number('K', 5), .value = "\1x", .size = 2},
	               "a reference count is damaged");
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(a_sound_volume_has_no_problems),
		T(wrong_link_counts_are_noticed),
		T(wrong_directories_are_noticed),
		T(a_loop_of_directories_is_noticed),
		T(lost_name_records_are_noticed),
		T(lost_inodes_are_noticed),
		T(wrong_orphans_targets_and_xattrs_are_noticed),
		T(wrong_slices_are_noticed),
		T(wrong_counters_are_noticed),
		T(damaged_records_are_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
