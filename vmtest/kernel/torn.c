/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program that is interrupted may find in the memory of an entry that has gone: another one, or parts
 * of both, in any mixture. Each value here has a bit that is not its own; all that is asked of it, the daemon
 * answers.
 */
#include "vmtest/kernel/recall.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Three bits or more of each word. */
enum { STEP = 17 };

static void flip(void *value, size_t bit)
{
	((unsigned char *)value)[bit / 8] ^= (unsigned char)(1 << bit % 8);
}

/* Did @op find its entry stale, and more requests reach the daemon, since @m? */
static bool was_stale(const struct mark *m)
{
	return tfs_stat(m->t, m->op, m->outcome) > m->counted && asked(m->t) > m->asked;
}

static bool stat_is_stale(struct fixture *f)
{
	struct mark m = mark(f->t, EXTFUSE_OP_LOOKUP, EXTFUSE_STALE);

	check_equal(leads_to(f->path), f->ino);
	return was_stale(&m);
}

static bool read_is_stale(struct fixture *f)
{
	struct mark m = mark(f->t, EXTFUSE_OP_READ, EXTFUSE_STALE);

	check(reads(f->fd, DAEMONS));
	return was_stale(&m);
}

static bool open_is_stale(struct fixture *f)
{
	struct mark m = mark(f->t, EXTFUSE_OP_OPEN, EXTFUSE_STALE);

	open_and_close(f->path);
	return was_stale(&m);
}

static bool getxattr_is_stale(struct fixture *f)
{
	struct mark m = mark(f->t, EXTFUSE_OP_GETXATTR, EXTFUSE_STALE);
	char value[8];

	check(getxattr(f->path, "user.none", value, sizeof(value)) < 0);
	return was_stale(&m);
}

static bool mmap_is_stale(struct fixture *f)
{
	uint64_t before = tfs_stat(f->t, EXTFUSE_OP_MMAP, EXTFUSE_STALE);
	int fd = open(f->path, O_RDONLY);
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	check(fd >= 0 && p != MAP_FAILED);
	check(memcmp(p, DAEMONS, strlen(DAEMONS)) == 0);
	munmap(p, 4096);
	close(fd);
	return tfs_stat(f->t, EXTFUSE_OP_MMAP, EXTFUSE_STALE) > before;
}

static void an_inode_with_a_bit_of_another_is_none(void)
{
	struct fixture f = setup();
	struct extfuse_inode v = inode_of(f.t, f.ino);

	for (size_t bit = 0; bit < 8 * sizeof(v); bit += STEP) {
		check(reads(f.fd, CACHED));
		flip(&v, bit);
		check(tfs_put(f.t, f.t->inode, &f.ino, &v) == 0);
		check(stat_is_stale(&f));
		check(read_is_stale(&f));
		check(open_is_stale(&f));
		check(mmap_is_stale(&f));
		check(getxattr_is_stale(&f));
		flip(&v, bit);
		check(tfs_put(f.t, f.t->inode, &f.ino, &v) == 0);
	}
	teardown(&f);
}

/* Such an entry lends nothing: the daemon writes. */
static void a_loan_with_a_bit_of_another_is_none(void)
{
	struct fixture f = setup_lent(O_RDWR);
	struct extfuse_inode v = inode_of(f.t, f.ino);
	unsigned long writes;

	for (size_t bit = 0; bit < 8 * sizeof(v); bit += STEP) {
		writes = tfs_requests(f.t, FUSE_WRITE);
		write_twice(&f);
		check_equal(tfs_requests(f.t, FUSE_WRITE), writes);
		flip(&v, bit);
		check(tfs_put(f.t, f.t->inode, &f.ino, &v) == 0);
		check_equal(pwrite(f.fd, "C", 1, 0), 1);
		check_equal(tfs_requests(f.t, FUSE_WRITE), writes + 1);
		flip(&v, bit);
		check(tfs_put(f.t, f.t->inode, &f.ino, &v) == 0);
	}
	teardown(&f);
}

/* Only the list of all its names says of a directory that a name is absent. */
static void a_directory_with_a_bit_of_another_knows_no_absent_name(void)
{
	struct fixture f = setup();
	const uint64_t root = FUSE_ROOT_ID;
	struct extfuse_inode v;
	unsigned long lookups;

	say_all_names_are_there(f.t, root);
	v = inode_of(f.t, root);
	for (size_t bit = 0; bit < 8 * sizeof(v); bit += STEP) {
		lookups = tfs_requests(f.t, FUSE_LOOKUP);
		check_equal(leads_to(tfs_path(f.t, "absent")), 0);
		check_equal(tfs_requests(f.t, FUSE_LOOKUP), lookups);
		flip(&v, bit);
		check(tfs_put(f.t, f.t->inode, &root, &v) == 0);
		check_equal(leads_to(tfs_path(f.t, "absent")), 0);
		check_equal(tfs_requests(f.t, FUSE_LOOKUP), lookups + 1);
		flip(&v, bit);
		check(tfs_put(f.t, f.t->inode, &root, &v) == 0);
	}
	teardown(&f);
}

/* @name leads to @ino; the daemon says so, too. */
static void flip_bits_of_a_name(struct fixture *f, const char *name, uint64_t ino)
{
	struct extfuse_dentry_long_key key = {.parent = FUSE_ROOT_ID};
	int map = strlen(name) > EXTFUSE_NAME_SHORT ? f->t->dentry_long : f->t->dentry;
	struct extfuse_dentry v;

	memcpy(key.name, name, strlen(name));
	check(bpf_map_lookup_elem(map, &key, &v) == 0);
	for (size_t bit = 0; bit < 8 * sizeof(v); bit += STEP) {
		struct mark m = mark(f->t, EXTFUSE_OP_LOOKUP, EXTFUSE_STALE);

		check_equal(leads_to(tfs_path(f->t, name)), ino);
		check_equal(asked(f->t), m.asked);
		flip(&v, bit);
		check(tfs_put(f->t, map, &key, &v) == 0);
		check_equal(leads_to(tfs_path(f->t, name)), ino);
		check(was_stale(&m));
		flip(&v, bit);
		check(tfs_put(f->t, map, &key, &v) == 0);
	}
}

static void a_name_with_a_bit_of_another_is_none(void)
{
	const char *const long_name = "a-name-of-more-than-forty-bytes-and-so-of-the-other-map";
	struct fixture f = setup();
	uint64_t ino = tfs_add(f.t, FUSE_ROOT_ID, long_name, S_IFREG | 0644, DAEMONS);

	publish(f.t, FUSE_ROOT_ID, long_name, ino, 0);
	tfs_publish_name(f.t, FUSE_ROOT_ID, "absent", 0);
	flip_bits_of_a_name(&f, "file", f.ino);
	flip_bits_of_a_name(&f, long_name, ino);
	flip_bits_of_a_name(&f, "absent", 0);
	teardown(&f);
}

static void a_chunk_with_a_bit_of_another_is_none(void)
{
	struct fixture f = setup();
	const struct extfuse_chunk_key key = {.ino = f.ino};
	struct extfuse_chunk v = {.backing_id = f.id, .valid = 1, .version = 1};

	tfs_publish_inode(f.t, f.ino, 0);
	tfs_publish_chunk(f.t, f.ino, 0, &v);
	check(bpf_map_lookup_elem(f.t->chunk, &key, &v) == 0);
	for (size_t bit = 0; bit < 8 * sizeof(v); bit += STEP) {
		check(reads(f.fd, CACHED));
		flip(&v, bit);
		check(bpf_map_update_elem(f.t->chunk, &key, &v, BPF_ANY) == 0);
		check(reads(f.fd, DAEMONS));
		flip(&v, bit);
		check(bpf_map_update_elem(f.t->chunk, &key, &v, BPF_ANY) == 0);
	}
	teardown(&f);
}

const struct test torn_tests[] = {
	TEST(an_inode_with_a_bit_of_another_is_none),
	TEST(a_loan_with_a_bit_of_another_is_none),
	TEST(a_directory_with_a_bit_of_another_knows_no_absent_name),
	TEST(a_name_with_a_bit_of_another_is_none),
	TEST(a_chunk_with_a_bit_of_another_is_none),
	{},
};
