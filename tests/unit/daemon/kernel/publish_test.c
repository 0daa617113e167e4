/* SPDX-License-Identifier: Apache-2.0 */
/* The truth that answers are made of, without a kernel side; with one, the VM's cases show the rest. */
#include "daemon/kernel/publish.h"
#include "tests/unit/daemon/meta/fixture.h"

/* A writer whose commit comes in while the question is being answered. */
struct writer {
	struct meta *m;
	unsigned asked;
	unsigned commit_at; /* the how-manieth question finds the commit done; 0: none pending */
	uint64_t size;
};

static enum publish_truth writer_pending(void *arg, struct meta_attr *attr)
{
	struct writer *w = arg;
	struct meta_attr after;

	w->asked++;
	if (w->asked == w->commit_at)
		assert_int_equal(meta_setattr(w->m, attr->ino, META_SET_SIZE,
		                              &(struct meta_attr){.size = w->size}, &after),
		                 0);
	if (w->asked >= w->commit_at)
		return PUBLISH_COMMITTED;
	attr->size = w->size;
	return PUBLISH_PENDING;
}

static struct publish *publish_of(struct fixture *f, struct writer *w)
{
	const struct publish_source source = {.meta = f->m, .pending = writer_pending, .arg = w};
	struct publish *p;

	w->m = f->m;
	assert_int_equal(publish_new(&source, NULL, &p), 0);
	return p;
}

static void what_is_committed_is_the_answer(void **state)
{
	struct fixture *f = *state;
	struct writer w = {.commit_at = 0};
	struct publish *p = publish_of(f, &w);
	uint64_t ino = make_file(f, META_ROOT_INO, "f");
	struct meta_attr attr;

	assert_int_equal(publish_getattr(p, ino, &attr), 0);
	assert_int_equal(attr.size, 0);
	assert_int_equal(publish_lookup(p, META_ROOT_INO, "f", &attr), 0);
	assert_int_equal(attr.ino, ino);
	publish_free(p);
}

static void what_is_pending_is_on_top_of_it(void **state)
{
	struct fixture *f = *state;
	struct writer w = {.commit_at = 100, .size = 4711};
	struct publish *p = publish_of(f, &w);
	struct meta_attr attr;

	assert_int_equal(publish_getattr(p, make_file(f, META_ROOT_INO, "f"), &attr), 0);
	assert_int_equal(attr.size, 4711);
	publish_free(p);
}

static void a_commit_in_the_middle_is_not_missed(void **state)
{
	struct fixture *f = *state;
	struct writer w = {.commit_at = 2, .size = 4711};
	struct publish *p = publish_of(f, &w);
	struct meta_attr attr;

	/* Pending when first asked; committed after the metadata was read. */
	assert_int_equal(publish_getattr(p, make_file(f, META_ROOT_INO, "f"), &attr), 0);
	assert_int_equal(attr.size, 4711);
	publish_free(p);
}

static void absent_names_and_inodes_are_enoent(void **state)
{
	struct fixture *f = *state;
	struct writer w = {};
	struct publish *p = publish_of(f, &w);
	struct meta_attr attr = {.ino = 99};

	assert_int_equal(publish_lookup(p, META_ROOT_INO, "absent", &attr), -ENOENT);
	assert_int_equal(publish_lookup(p, 12345, "absent", &attr), -ENOENT);
	assert_int_equal(publish_getattr(p, 12345, &attr), -ENOENT);
	assert_int_equal(attr.ino, 99); /* untouched */
	publish_free(p);
}

static void nothing_is_published_without_a_kernel(void **state)
{
	struct fixture *f = *state;
	struct writer w = {};
	struct publish *p = publish_of(f, &w);
	uint64_t ino = make_file(f, META_ROOT_INO, "f");
	struct publish_state s = {.inode = true, .complete = true, .backing_id = 1};

	publish_inode(p, ino);
	publish_data(p, ino, 0, 100);
	publish_directory(p, META_ROOT_INO);
	publish_name(p, META_ROOT_INO, "f");
	publish_will_write(p, ino);
	publish_before_drop(p, ino, 0, UINT64_MAX);
	publish_get_state(p, ino, &s);
	assert_false(s.inode);
	assert_false(s.complete);
	assert_int_equal(s.backing_id, 0);
	publish_forget(p, ino);
	publish_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		META_TEST(what_is_committed_is_the_answer),
		META_TEST(what_is_pending_is_on_top_of_it),
		META_TEST(a_commit_in_the_middle_is_not_missed),
		META_TEST(absent_names_and_inodes_are_enoent),
		META_TEST(nothing_is_published_without_a_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
