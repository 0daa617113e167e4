/* SPDX-License-Identifier: Apache-2.0 */
/* Histories of a small tree that can be, and some that cannot. */
#include "tests/harness/tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "tests/harness/linear.h"

enum { A, B };

/* Do it on the model, whatever comes of it. */
static struct tree_result make(struct tree *t, unsigned number, struct tree_op op)
{
	struct tree_result wanted = {};
	unsigned step = 0;
	int r;

	while ((r = tree_step(t, &op, number, step, NULL, &wanted)) == LINEAR_MORE)
		step++;
	assert_int_equal(r, LINEAR_DONE);
	return wanted;
}

#define MAKE(t, number, ...) make(t, number, (struct tree_op){__VA_ARGS__})

/* a and b are files 11 and 12, open in slots 4 and 5 of process 0. */
static void two_files(struct tree_round *round)
{
	memset(round, 0, sizeof(*round));
	tree_init(&round->before, 10);
	MAKE(&round->before, 2, .kind = TREE_create, .name = A, .slot = 4);
	MAKE(&round->before, 3, .kind = TREE_create, .name = B, .slot = 5);
	round->before.inodes[2].ino = 11;
	round->before.inodes[3].ino = 12;
}

static void add(struct tree_round *round, uint64_t start, uint64_t end, struct tree_op op,
                struct tree_result result)
{
	size_t i = round->count++;

	round->done[i].op = op;
	round->done[i].result = result;
	round->done[i].start = start;
	round->done[i].end = end;
}

#define OP(...) ((struct tree_op){__VA_ARGS__})
#define GOT(...) ((struct tree_result){__VA_ARGS__})
#define OK ((struct tree_result){})
#define FILE_11(n) GOT(.ino = 11, .type = TREE_FILE, .links = n)
#define FILE_12(n) GOT(.ino = 12, .type = TREE_FILE, .links = n)

/* Without a look at the tree behind it. */
static int check(const struct tree_round *round)
{
	struct tree_part part = {.until = LINEAR_NEVER - 1};

	return tree_check_part(round, &part, NULL);
}

static void a_name_that_is_replaced_is_never_absent(void **state)
{
	static const struct {
		struct tree_result first, second;
		int wanted;
	} cases[] = {
		{FILE_12(1), FILE_11(1), 1},        {FILE_12(1), FILE_12(1), 1},
		{FILE_12(0), FILE_11(1), 1}, /* found, and then replaced */
		{FILE_11(1), FILE_12(1), 0},        {FILE_12(1), {.error = ENOENT}, 0},
		{{.error = ENOENT}, FILE_11(1), 0},
	};
	struct tree_round round;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		two_files(&round);
		add(&round, 1, 9, OP(.kind = TREE_rename, .name = A, .name2 = B), OK);
		add(&round, 2, 3, OP(.process = 1, .kind = TREE_stat, .name = B), cases[i].first);
		add(&round, 4, 5, OP(.process = 1, .kind = TREE_stat, .name = B), cases[i].second);
		assert_int_equal(check(&round), cases[i].wanted);
	}
}

static void a_file_is_never_under_both_names_while_it_is_renamed(void **state)
{
	struct tree_round round;

	(void)state;
	for (int gone = 0; gone < 2; gone++) {
		two_files(&round);
		add(&round, 1, 9, OP(.kind = TREE_rename, .name = A, .name2 = B), OK);
		add(&round, 2, 3, OP(.process = 1, .kind = TREE_stat, .name = B), FILE_11(1));
		add(&round, 4, 5, OP(.process = 1, .kind = TREE_stat, .name = A),
		    gone ? GOT(.error = ENOENT) : FILE_11(1));
		assert_int_equal(check(&round), gone);
	}
}

static void only_one_of_two_makes_a_name(void **state)
{
	struct tree_round round;

	(void)state;
	for (int both = 0; both < 2; both++) {
		two_files(&round);
		add(&round, 1, 9, OP(.kind = TREE_mkdir, .name = 3), OK);
		add(&round, 1, 9, OP(.process = 1, .kind = TREE_create, .name = 3, .slot = 4),
		    both ? GOT(.ino = 13) : GOT(.error = EEXIST));
		assert_int_equal(check(&round), !both);
	}
}

/* The kernel looks at the first name long before it makes the second. */
static void a_link_may_be_of_what_the_name_was_before(void **state)
{
	struct tree_round round;

	(void)state;
	for (int late = 0; late < 2; late++) {
		two_files(&round);
		add(&round, 2 + 8 * (uint64_t)late, 20, OP(.kind = TREE_link, .name = A, .name2 = 3), OK);
		add(&round, 3, 5, OP(.process = 1, .kind = TREE_exchange, .name = A, .name2 = B), OK);
		add(&round, 21, 22, OP(.process = 1, .kind = TREE_stat, .name = 3), FILE_11(2));
		assert_int_equal(check(&round), !late);
	}
}

static void links_may_go_before_the_name_but_not_after(void **state)
{
	struct tree_round round;

	(void)state;
	two_files(&round);
	add(&round, 1, 9, OP(.kind = TREE_unlink, .name = A), OK);
	add(&round, 2, 3, OP(.process = 1, .kind = TREE_stat, .name = A), FILE_11(0));
	add(&round, 4, 5, OP(.process = 1, .kind = TREE_readlink, .name = A), GOT(.error = EINVAL));
	assert_int_equal(check(&round), 1);

	two_files(&round);
	round.before.slots[1][4] = 2;
	add(&round, 1, 9, OP(.kind = TREE_unlink, .name = A), OK);
	add(&round, 2, 3, OP(.process = 1, .kind = TREE_stat, .name = A), GOT(.error = ENOENT));
	add(&round, 4, 5, OP(.process = 1, .kind = TREE_fstat, .slot = 4), FILE_11(1));
	assert_int_equal(check(&round), 0);
}

static void a_list_is_of_one_moment(void **state)
{
	struct tree_result list = {.names = {[B] = {12, TREE_FILE}, [2] = {11, TREE_FILE}}};
	struct tree_round round;

	(void)state;
	for (int both = 0; both < 2; both++) {
		two_files(&round);
		if (both)
			list.names[A] = list.names[2];
		add(&round, 1, 9, OP(.kind = TREE_rename, .name = A, .name2 = 2), OK);
		add(&round, 1, 9, OP(.process = 1, .kind = TREE_list), list);
		assert_int_equal(check(&round), !both);
	}
}

static void an_inode_number_is_of_one_file(void **state)
{
	struct tree_round round;

	(void)state;
	two_files(&round);
	add(&round, 1, 2, OP(.kind = TREE_create, .name = 3, .slot = 4), GOT(.ino = 11));
	assert_int_equal(check(&round), 0);

	/* But that of one that is gone may come again. */
	two_files(&round);
	add(&round, 1, 2, OP(.kind = TREE_unlink, .name = B), OK);
	add(&round, 3, 4, OP(.kind = TREE_path, .name = A, .slot = 5), GOT(.ino = 11));
	add(&round, 5, 6, OP(.kind = TREE_mkdir, .name = 3), OK);
	add(&round, 7, 8, OP(.kind = TREE_stat, .name = 3), GOT(.ino = 12, .type = TREE_DIR));
	assert_int_equal(check(&round), 1);
}

static void errors_are_those_of_ext4(void **state)
{
	struct tree t;

	(void)state;
	tree_init(&t, 10);
	MAKE(&t, 2, .kind = TREE_mkdir, .name = A);
	MAKE(&t, 3, .kind = TREE_mkdir, .name = B);
	MAKE(&t, 4, .kind = TREE_enter, .name = A, .slot = 1);
	MAKE(&t, 4, .kind = TREE_mkdir, .dir = 1, .name = A);
	MAKE(&t, 5, .kind = TREE_enter, .dir = 1, .name = A, .slot = 2);
	MAKE(&t, 5, .kind = TREE_symlink, .name = 2);
#define ERROR(number, ...) assert_int_equal(MAKE(&t, 6, __VA_ARGS__).error, number)
	ERROR(EEXIST, .kind = TREE_mkdir, .name = 2);
	ERROR(EEXIST, .kind = TREE_create, .name = 2, .slot = 4);
	ERROR(ELOOP, .kind = TREE_open, .name = 2, .slot = 4);
	ERROR(EISDIR, .kind = TREE_open, .name = A, .slot = 4);
	ERROR(ENOTDIR, .kind = TREE_enter, .name = 2, .slot = 3);
	ERROR(ENOTDIR, .kind = TREE_rmdir, .name = 2);
	ERROR(ENOTEMPTY, .kind = TREE_rmdir, .name = A);
	ERROR(EISDIR, .kind = TREE_unlink, .name = A);
	ERROR(EPERM, .kind = TREE_link, .name = A, .name2 = 3);
	ERROR(EEXIST, .kind = TREE_link, .name = A, .name2 = B);
	ERROR(EINVAL, .kind = TREE_rename, .name = A, .dir2 = 2, .name2 = 3);
	ERROR(EINVAL, .kind = TREE_exchange, .dir = 1, .name = A, .name2 = A);
	ERROR(ENOTEMPTY, .kind = TREE_rename, .dir = 1, .name = A, .name2 = A);
	ERROR(ENOTEMPTY, .kind = TREE_rename, .name = B, .name2 = A);
	ERROR(EISDIR, .kind = TREE_rename, .name = 2, .name2 = A);
	ERROR(ENOTDIR, .kind = TREE_rename, .name = A, .name2 = 2);
	ERROR(EEXIST, .kind = TREE_noreplace, .name = A, .name2 = A);
	ERROR(ENOENT, .kind = TREE_exchange, .name = A, .name2 = 3);
	ERROR(EBADF, .kind = TREE_fstat, .slot = 4);
	ERROR(0, .kind = TREE_rmdir, .dir = 1, .name = A);
	ERROR(ENOENT, .kind = TREE_mkdir, .dir = 2, .name = A);
	ERROR(ENOENT, .kind = TREE_list, .dir = 2);
	ERROR(ENOENT, .kind = TREE_rename, .name = A, .dir2 = 2, .name2 = 3);
	ERROR(0, .kind = TREE_rename, .name = A, .name2 = B);
}

static void a_file_without_a_name_gets_one_once(void **state)
{
	struct tree t;

	(void)state;
	tree_init(&t, 10);
	MAKE(&t, 2, .kind = TREE_tmpfile, .slot = 4);
	assert_int_equal(MAKE(&t, 3, .kind = TREE_fstat, .slot = 4).links, 0);
	ERROR(0, .kind = TREE_fdlink, .slot = 4, .name2 = A);
	assert_int_equal(MAKE(&t, 3, .kind = TREE_fstat, .slot = 4).links, 1);
	ERROR(0, .kind = TREE_fdlink, .slot = 4, .name2 = B);
	ERROR(0, .kind = TREE_unlink, .name = A);
	ERROR(0, .kind = TREE_unlink, .name = B);
	ERROR(ENOENT, .kind = TREE_fdlink, .slot = 4, .name2 = A);
	ERROR(ENOENT, .kind = TREE_fdlink, .slot = 5, .name2 = A);
}

static void operations_are_read_as_they_were_printed(void **state)
{
	static struct tree_op ops[500 + TREE_SETUP_OPS];
	size_t count = tree_draw(7, 500, 4, 5, ops);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *line = NULL;
		struct tree_op again;
		size_t length;
		FILE *out = open_memstream(&line, &length);

		tree_print_op(out, &ops[i]);
		fclose(out);
		assert_true(tree_read_op(line, &again));
		assert_memory_equal(&again, &ops[i], sizeof(again));
	}
	assert_false(tree_read_op("0 0 mkdir 0\n", &ops[0]));
	assert_false(tree_read_op("0 0 mkdir 0 nobody\n", &ops[0]));
	assert_false(tree_read_op("0 4 mkdir 0 a\n", &ops[0]));
	assert_false(tree_read_op("0 0 enter 0 a 0\n", &ops[0]));
	assert_false(tree_read_op("0 0 fstat 6\n", &ops[0]));
	assert_false(tree_read_op("0 0 dance 0 a\n", &ops[0]));
}

static char *as_text(const struct tree *t)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	tree_print(out, t);
	fclose(out);
	return text;
}

/* Number the inodes as they are found, so that equal trees have equal texts. */
static void number_inodes(struct tree *t, unsigned dir, uint64_t *next)
{
	for (unsigned i = 0; i < TREE_NAMES; i++) {
		unsigned node = t->inodes[dir].names[i];

		if (!node || t->inodes[node].ino)
			continue;
		t->inodes[node].ino = (*next)++;
		if (t->inodes[node].type == TREE_DIR)
			number_inodes(t, node, next);
	}
}

static void a_cut_script_leads_to_the_same_tree(void **state)
{
	static struct tree_op ops[60 + TREE_SETUP_OPS];
	unsigned cut = 0;

	(void)state;
	tree_options.processes = 3;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		size_t count = tree_draw(seed, 60, 3, 5, ops);
		_cleanup_free_ char *wanted = NULL, *got = NULL;
		struct script script = {};
		struct tree t, again;
		uint64_t next = 100, next_again = 100;

		tree_init(&t, 10);
		for (size_t i = 0; i < count; i++) {
			make(&t, TREE_INODES - 1, ops[i]);
			tree_compact(&t);
		}
		tree_failed.before = t;
		tree_failed.count = 1;
		tree_failed.done[0].op = OP(.kind = TREE_list);
		if (!tree_cut(&script))
			continue;
		cut++;
		tree_init(&again, 10);
		for (size_t i = 0; i < script.count; i++) {
			assert_int_equal(
				make(&again, TREE_INODES - 1, ((struct tree_op *)script.ops)[i]).error, 0);
			tree_compact(&again);
		}
		/* Who built it may have more open than there was. */
		for (unsigned at = 0; at < TREE_PROCESSES_MAX * TREE_SLOTS; at++)
			if (!t.slots[at / TREE_SLOTS][at % TREE_SLOTS])
				again.slots[at / TREE_SLOTS][at % TREE_SLOTS] = 0;
		number_inodes(&t, TREE_TOP, &next);
		number_inodes(&again, TREE_TOP, &next_again);
		wanted = as_text(&t);
		got = as_text(&again);
		assert_string_equal(got, wanted);
		free(script.ops);
	}
	assert_true(cut > 25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_that_is_replaced_is_never_absent),
		cmocka_unit_test(a_file_is_never_under_both_names_while_it_is_renamed),
		cmocka_unit_test(only_one_of_two_makes_a_name),
		cmocka_unit_test(a_link_may_be_of_what_the_name_was_before),
		cmocka_unit_test(links_may_go_before_the_name_but_not_after),
		cmocka_unit_test(a_list_is_of_one_moment),
		cmocka_unit_test(an_inode_number_is_of_one_file),
		cmocka_unit_test(errors_are_those_of_ext4),
		cmocka_unit_test(a_file_without_a_name_gets_one_once),
		cmocka_unit_test(operations_are_read_as_they_were_printed),
		cmocka_unit_test(a_cut_script_leads_to_the_same_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
