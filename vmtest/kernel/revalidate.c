/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the dentry cache has: the RCU walk asks the maps, and believes them only where they agree. */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/trivialfs.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

static const struct extfuse_config one_tick = {.attr_valid_ns = 1};

static unsigned long asked(struct tfs *t)
{
	return tfs_requests(t, FUSE_LOOKUP) + tfs_requests(t, FUSE_GETATTR);
}

static void publish(struct tfs *t, uint64_t parent, const char *name, uint64_t ino)
{
	tfs_publish_name(t, parent, name, ino);
	tfs_publish_inode(t, ino, 0);
}

/* Everything that the kernel can let go of; FORGETs come in the background. */
static void drop_dentries(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	check(fd >= 0 && write(fd, "2", 1) == 1);
	close(fd);
}

/* fs/fuse counts each LOOKUP answer that it takes, and says how many when it forgets; the fast walk takes
 * none. */
static void a_warm_name_takes_no_lookup_at_all(void)
{
	struct tfs *t = tfs_start();
	uint64_t dir = tfs_add(t, FUSE_ROOT_ID, "dir", S_IFDIR | 0755, NULL);
	uint64_t ino = tfs_add(t, dir, "file", S_IFREG | 0644, "hello");
	unsigned long before;
	struct stat st;

	tfs_attach(t, &one_tick);
	publish(t, FUSE_ROOT_ID, "dir", dir);
	publish(t, dir, "file", ino);
	check(stat(tfs_path(t, "dir/file"), &st) == 0);
	before = asked(t);
	for (int i = 0; i < 1000; i++) {
		check(stat(tfs_path(t, "dir/file"), &st) == 0);
		check_equal(st.st_ino, ino);
		check_equal(st.st_size, 5);
	}
	check_equal(asked(t), before);
	check(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_HIT) >= 2000);
	check_equal(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_MISS), 0);
	for (int i = 0; i < 100 && atomic_load(&t->forgotten) < 2; i++) {
		drop_dentries();
		usleep(20000);
	}
	check(atomic_load(&t->forgotten) >= 2);
	check(atomic_load(&t->forgotten) < 100);
	tfs_stop(t);
}

static void attributes_that_differ_are_fetched(void)
{
	struct tfs *t = tfs_start();
	uint64_t ino = tfs_add(t, FUSE_ROOT_ID, "file", S_IFREG | 0644, "hello");
	struct stat *now = &t->nodes[ino].st, st;

	tfs_attach(t, &one_tick);
	publish(t, FUSE_ROOT_ID, "file", ino);
	for (int i = 0; i < 9; i++) {
		switch (i) {
		case 1:
			now->st_mode = S_IFREG | 0600;
			break;
		case 2:
			now->st_size = 4;
			break;
		case 3:
			now->st_uid = 7;
			break;
		case 4:
			now->st_gid = 7;
			break;
		case 5:
			now->st_mtim.tv_nsec++;
			break;
		case 6:
			now->st_ctim.tv_sec++;
			break;
		case 7:
			now->st_nlink = 2;
			break;
		case 8:
			now->st_atim.tv_nsec++;
			break;
		}
		tfs_publish_inode(t, ino, 0);
		for (int again = 0; again < 3; again++) {
			check(stat(tfs_path(t, "file"), &st) == 0);
			check_equal(st.st_mode, now->st_mode);
			check_equal(st.st_size, now->st_size);
			check_equal(st.st_uid, now->st_uid);
			check_equal(st.st_gid, now->st_gid);
			check_equal(st.st_mtim.tv_nsec, now->st_mtim.tv_nsec);
			check_equal(st.st_ctim.tv_sec, now->st_ctim.tv_sec);
			check_equal(st.st_nlink, now->st_nlink);
			check_equal(st.st_atim.tv_nsec, now->st_atim.tv_nsec);
		}
	}
	check_equal(asked(t), 0);
	tfs_stop(t);
}

static void a_name_that_leads_elsewhere_is_looked_up(void)
{
	struct tfs *t = tfs_start();
	uint64_t first = tfs_add(t, FUSE_ROOT_ID, "name", S_IFREG | 0644, "1");
	uint64_t second = tfs_add(t, FUSE_ROOT_ID, "other", S_IFREG | 0644, "22");
	struct stat st;

	tfs_attach(t, &one_tick);
	tfs_publish_inode(t, first, 0);
	tfs_publish_inode(t, second, 0);
	for (int i = 0; i < 20; i++) {
		uint64_t ino = i % 3 == 2 ? 0 : i % 3 ? second : first;

		tfs_publish_name(t, FUSE_ROOT_ID, "name", ino);
		for (int again = 0; again < 2; again++) {
			if (!ino) {
				check_errno(stat(tfs_path(t, "name"), &st), ENOENT);
			} else {
				check(stat(tfs_path(t, "name"), &st) == 0);
				check_equal(st.st_ino, ino);
			}
		}
	}
	check_equal(asked(t), 0);
	tfs_stop(t);
}

static void an_absent_name_stays_absent_until_it_is_there(void)
{
	struct tfs *t = tfs_start();
	unsigned long before;
	struct stat st;
	uint64_t ino;

	tfs_attach(t, &one_tick);
	tfs_publish_name(t, FUSE_ROOT_ID, "name", 0);
	for (int i = 0; i < 100; i++)
		check_errno(stat(tfs_path(t, "name"), &st), ENOENT);
	check_equal(asked(t), 0);
	check(tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_NEGATIVE) >= 100);
	ino = tfs_add(t, FUSE_ROOT_ID, "name", S_IFREG | 0644, "now");
	publish(t, FUSE_ROOT_ID, "name", ino);
	check(stat(tfs_path(t, "name"), &st) == 0);
	check_equal(st.st_ino, ino);
	/* nothing known any more: the daemon's */
	check(tfs_take_out(t, t->inode, &ino) == 0);
	before = asked(t);
	check(stat(tfs_path(t, "name"), &st) == 0);
	check(asked(t) > before);
	tfs_stop(t);
}

static void names_of_every_length_lead_to_their_own(void)
{
	struct tfs *t = tfs_start();
	uint64_t inos[60];
	char name[256];
	struct stat st;

	tfs_attach(t, &one_tick);
	for (int round = 0; round < 3; round++) {
		for (int length = 1; length < 60; length++) {
			memset(name, 'n', (size_t)length);
			name[length] = '\0';
			if (!round) {
				inos[length] = tfs_add(t, FUSE_ROOT_ID, name, S_IFREG | 0644, "");
				publish(t, FUSE_ROOT_ID, name, inos[length]);
			}
			check(stat(tfs_path(t, name), &st) == 0);
			check_equal(st.st_ino, inos[length]);
		}
	}
	memset(name, 'n', 255);
	name[255] = '\0';
	tfs_publish_name(t, FUSE_ROOT_ID, name, 0);
	for (int i = 0; i < 3; i++)
		check_errno(stat(tfs_path(t, name), &st), ENOENT);
	check_equal(asked(t), 0);
	tfs_stop(t);
}

/* ---- while names move ---- */

static atomic_bool stop;

static void *mover(void *arg)
{
	struct tfs *t = arg;
	/* one inline in the dentry, one not: what is copied changes its place */
	static const char long_name[] =
		"a name that is longer than what fits into a dentry itself, so it lies apart";
	char *a = strdup(tfs_path(t, "dir/a")), *b = strdup(tfs_path(t, "dir2/b"));
	char *c = strdup(tfs_path(t, "dir")), *l;

	check(asprintf(&l, "%s/%s", c, long_name) > 0);
	while (!atomic_load(&stop)) {
		check(rename(a, b) == 0);
		check(rename(b, l) == 0);
		check(rename(l, a) == 0);
	}
	free(a);
	free(b);
	free(c);
	free(l);
	return NULL;
}

/* What stays must always be found with its own inode, what moves with its own or not at all. */
static void renames_beside_a_walk(void)
{
	struct tfs *t = tfs_start();
	uint64_t dir = tfs_add(t, FUSE_ROOT_ID, "dir", S_IFDIR | 0755, NULL);
	uint64_t dir2 = tfs_add(t, FUSE_ROOT_ID, "dir2", S_IFDIR | 0755, NULL);
	uint64_t moving = tfs_add(t, dir, "a", S_IFREG | 0644, "moving");
	uint64_t staying = tfs_add(t, dir, "b", S_IFREG | 0644, "staying");
	struct timespec start, now;
	pthread_t thread;
	struct stat st;
	time_t seconds;
	uint64_t hits;

	tfs_attach(t, &one_tick);
	check(pthread_create(&thread, NULL, mover, t) == 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		publish(t, FUSE_ROOT_ID, "dir", dir);
		publish(t, FUSE_ROOT_ID, "dir2", dir2);
		publish(t, dir, "b", staying);
		for (int i = 0; i < 50; i++) {
			check(stat(tfs_path(t, "dir/b"), &st) == 0);
			check_equal(st.st_ino, staying);
			if (stat(tfs_path(t, "dir/a"), &st) == 0)
				check_equal(st.st_ino, moving);
			else
				check_equal(errno, ENOENT);
			if (stat(tfs_path(t, "dir2/b"), &st) == 0)
				check_equal(st.st_ino, moving);
			else
				check_equal(errno, ENOENT);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
		seconds = now.tv_sec - start.tv_sec;
		hits = tfs_stat(t, EXTFUSE_OP_LOOKUP, EXTFUSE_HIT);
	} while (seconds < 4 || (hits <= 100 && seconds < 60));
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	check(hits > 100);
	tfs_stop(t);
}

const struct test revalidate_tests[] = {
	TEST(a_warm_name_takes_no_lookup_at_all),
	TEST(attributes_that_differ_are_fetched),
	TEST(a_name_that_leads_elsewhere_is_looked_up),
	TEST(an_absent_name_stays_absent_until_it_is_there),
	TEST(names_of_every_length_lead_to_their_own),
	TEST(renames_beside_a_walk),
	{},
};
