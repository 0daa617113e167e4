/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What root can do wrong, while a mount is used: any ioctl on anything, any value in the maps, any file as a
 * cache file.  Never a fault, never a wrong file's byte.  See world.h.
 */
#include "vmtest/kernel/case.h"
#include "vmtest/kernel/storm.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/memfd.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CHUNK EXTFUSE_CHUNK_SIZE

enum { THREADS = 2 };

struct thread {
	struct storm *s;
	void (*step)(struct storm *s, struct chance *c);
	uint64_t seed;
	pthread_t thread;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *run_thread(void *arg)
{
	struct thread *t = arg;
	struct chance c = {.state = t->s->w->seed + t->seed};

	while (!t->s->stop)
		t->step(t->s, &c);
	return NULL;
}

/* ---- ioctls ---- */

enum { KINDS = 16 };
static int kinds[KINDS]; /* descriptors of all sorts */

static void open_kinds(struct storm *s)
{
	int pipes[2];

	check(pipe(pipes) == 0);
	kinds[0] = s->w->t->device_fd;
	kinds[1] = s->other_device;
	kinds[2] = s->w->t->fuse_fd;
	kinds[3] = pipes[0];
	kinds[4] = pipes[1];
	kinds[5] = open("/", O_RDONLY);
	kinds[6] = open("/proc/self/exe", O_RDONLY);
	kinds[7] = open("/proc/self/exe", O_PATH);
	kinds[8] = open("/dev/null", O_RDWR);
	kinds[9] = memfd_create("memory", 0);
	kinds[10] = open("/var/tmp", O_TMPFILE | O_WRONLY, 0600);
	kinds[11] = open("/proc/self/maps", O_RDONLY);
	kinds[12] = s->w->t->inode;
	kinds[13] = open("/proc/sys/kernel/hostname", O_RDWR);
	kinds[14] = socket(AF_UNIX, SOCK_STREAM, 0);
	kinds[15] = s->w->files[0].cache_fd;
}

static int some_fd(struct chance *c)
{
	return one_in(c, 8) ? (int)chance_odd(c) : kinds[chance_below(c, KINDS)];
}

static unsigned long some_request(struct chance *c)
{
	static const unsigned long known[] = {
		EXTFUSE_IOC_INFO,        EXTFUSE_IOC_BACKING_ADD, EXTFUSE_IOC_BACKING_ADD,
		EXTFUSE_IOC_BACKING_ADD, EXTFUSE_IOC_BACKING_DEL, EXTFUSE_IOC_BARRIER,
		EXTFUSE_IOC_MAPPED,      EXTFUSE_IOC_MAPPED,      EXTFUSE_IOC_MAPS};

	if (one_in(c, 8))
		return _IOC(chance_below(c, 4), 'E', chance_below(c, 10), chance_below(c, 64));
	if (one_in(c, 16))
		return chance(c) & UINT32_MAX;
	return known[chance_below(c, sizeof(known) / sizeof(*known))];
}

/* Where an argument may be: @page has one that is not there behind it, and @constant cannot be written to. */
static void *some_argument(struct chance *c, char *page, void *constant)
{
	switch (chance_below(c, 12)) {
	case 0:
		return NULL;
	case 1:
		return (void *)UINTPTR_MAX;
	case 2:
		return (void *)0xffff888000001000ull; /* the kernel's */
	case 3:
		return page + 4096 - chance_below(c, 16); /* goes over the end */
	case 4:
		return constant;
	default:
		return page + 8 * chance_below(c, 64);
	}
}

static void call(struct storm *s, struct chance *c)
{
	static _Thread_local char *page, *constant;
	struct extfuse_ioc_backing backing = {.fd = some_fd(c),
	                                      .flags = one_in(c, 8) ? (uint32_t)chance(c) : 0};
	unsigned long request = some_request(c);
	int device = one_in(c, 8) ? some_fd(c) : kinds[chance_below(c, 2)];
	uint64_t id = one_in(c, 2) ? s->gone[chance_below(c, IDS)] : chance_odd(c);
	void *argument;

	if (!page) {
		page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		constant = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		check(page != MAP_FAILED && constant != MAP_FAILED && munmap(page + 4096, 4096) == 0);
	}
	argument = some_argument(c, page, constant);
	/* Only these are the module's; what others do to a connection or a file is their affair. */
	if (device != kinds[0] && device != kinds[1])
		request = _IOC(_IOC_DIR(request), 'E', _IOC_NR(request), _IOC_SIZE(request));
	/* Not the ids that are in use by their own files. */
	if (request == EXTFUSE_IOC_BACKING_DEL)
		memcpy(page + 512, &id, sizeof(id));
	else
		memcpy(page + 512, &backing, sizeof(backing));
	if (argument == page + 8 * ((argument - (void *)page) / 8) && argument < (void *)(page + 512))
		argument = page + 512;
	s->ioctls++;
	if (ioctl(device, request, argument) != 0)
		return;
	s->taken++;
	if (request == EXTFUSE_IOC_BACKING_ADD && argument == page + 512) {
		memcpy(&backing, page + 512, sizeof(backing));
		s->gone[chance_below(c, IDS)] = backing.id; /* to be deleted one day */
	}
}

/* ---- the tests ---- */

static void attach(struct storm *s)
{
	struct tfs *t = s->w->t;

	s->other_device = open(EXTFUSE_DEVICE, O_RDWR | O_CLOEXEC);
	check(s->other_device >= 0);
	tfs_attach(t, NULL);
	for (int i = 0; i < WORLD_FILES; i++) {
		s->ids[i] = storm_add(t->device_fd, s->w->files[i].cache_fd);
		check(s->ids[i]);
		tfs_publish_name(t, FUSE_ROOT_ID, s->w->files[i].name, s->w->files[i].ino);
		tfs_publish_inode(t, s->w->files[i].ino, s->ids[i]);
	}
}

/* What every descriptor, number and pointer does to the device, from several threads at once; and the maps.
 */
static void rage(struct storm *s, int ms, bool ioctls, bool maps)
{
	struct thread threads[2 * THREADS];
	int n = 0;

	s->stop = false;
	for (int i = 0; i < THREADS; i++) {
		if (ioctls)
			threads[n++] = (struct thread){.s = s, .step = call, .seed = (uint64_t)i};
		if (maps)
			threads[n++] = (struct thread){.s = s, .step = scribble, .seed = 100 + (uint64_t)i};
	}
	for (int i = 0; i < n; i++)
		check(pthread_create(&threads[i].thread, NULL, run_thread, &threads[i]) == 0);
	usleep((useconds_t)ms * 1000);
	s->stop = true;
	for (int i = 0; i < n; i++)
		pthread_join(threads[i].thread, NULL);
}

static struct storm *begin(void)
{
	static struct storm s;

	s.w = world_start();
	s.other_device = -1;
	return &s;
}

static void detach(struct storm *s)
{
	tfs_detach(s->w->t);
	close(s->other_device);
	s->other_device = -1;
}

static void end(struct storm *s)
{
	world_rest(s->w);
	detach(s);
	world_check(s->w);
	world_stop(s->w);
}

static uint64_t hits(struct storm *s, enum extfuse_op op)
{
	return tfs_stat(s->w->t, op, EXTFUSE_HIT);
}

static void any_ioctl_on_anything(void)
{
	struct storm *s = begin();

	world_use(s->w);
	attach(s);
	open_kinds(s);
	rage(s, world_seconds(2) * 1000, true, false);
	printf("     %lu ioctls, %lu of them taken\n", s->ioctls, s->taken);
	check(s->ioctls > 100 && s->taken > 10);
	end(s);
}

static bool all_were_hit(struct storm *s)
{
	return s->values > 100 && s->refused && hits(s, EXTFUSE_OP_LOOKUP) && hits(s, EXTFUSE_OP_READ) &&
	       hits(s, EXTFUSE_OP_WRITE) && hits(s, EXTFUSE_OP_MMAP);
}

static void any_value_in_the_maps(void)
{
	struct storm *s = begin();

	world_use(s->w);
	attach(s);
	/* On a slow kernel few of them come to pass in that time. */
	for (int round = 0; round < 10 && !all_were_hit(s); round++)
		rage(s, world_seconds(3) * 1000, false, true);
	printf("     %lu values; hits: %llu lookup, %llu getattr, %llu read, %llu write, %llu mmap\n",
	       s->values, (unsigned long long)hits(s, EXTFUSE_OP_LOOKUP),
	       (unsigned long long)hits(s, EXTFUSE_OP_GETATTR), (unsigned long long)hits(s, EXTFUSE_OP_READ),
	       (unsigned long long)hits(s, EXTFUSE_OP_WRITE), (unsigned long long)hits(s, EXTFUSE_OP_MMAP));
	check(all_were_hit(s));
	end(s);
}

static void unload(void)
{
	for (int i = 0; syscall(SYS_delete_module, "extfuse", O_NONBLOCK) < 0; i++) {
		if (i == 200)
			die("cannot be unloaded: %s", strerror(errno));
		usleep(20000);
	}
}

static void load(void)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/extfuse.ko", getenv("CURVEFS_BUILD") ?: "build");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0);
	check(syscall(SYS_finit_module, fd, "", 0) == 0);
	close(fd);
}

/* The users see nothing of it, but who answers. */
static void loaded_attached_detached_and_unloaded_under_load(void)
{
	int64_t until = now_ms() + world_seconds(3) * 1000;
	struct storm *s = begin();
	int rounds = 0;

	world_use(s->w);
	do {
		unload();
		usleep(50000);
		load();
		attach(s);
		rage(s, 300, false, true);
		detach(s);
		rounds++;
	} while (now_ms() < until);
	printf("     %d rounds\n", rounds);
	end(s);
}

/* ---- cache files that nobody would have ---- */

static uint64_t add_to_tree(struct tfs *t, const char *name, size_t size)
{
	char *data = malloc(size + 1);
	uint64_t ino;

	memset(data, 'd', size);
	data[size] = '\0';
	ino = tfs_add(t, FUSE_ROOT_ID, name, S_IFREG | 0644, data);
	free(data);
	return ino;
}

/* Its pages are not those that a mapping of any other file can have. */
static void a_file_of_huge_pages_is_refused(void)
{
	struct tfs *t = tfs_start();
	FILE *pages = fopen("/proc/sys/vm/nr_hugepages", "w");
	int huge = memfd_create("huge", MFD_HUGETLB | MFD_HUGE_2MB), fd;
	const size_t size = 2 << 20;
	uint64_t ino = add_to_tree(t, "file", size), id;
	char *room, *p;

	if (!pages) { /* a kernel without any */
		check(huge < 0);
		tfs_stop(t);
		return;
	}
	check(fprintf(pages, "4") > 0 && fclose(pages) == 0);
	check(huge >= 0 && ftruncate(huge, (off_t)size) == 0);
	tfs_attach(t, NULL);
	id = storm_add(t->device_fd, huge);
	tfs_publish_name(t, FUSE_ROOT_ID, "file", ino);
	tfs_publish_inode(t, ino, id ?: 1);
	fd = open(tfs_path(t, "file"), O_RDONLY);
	room = mmap(NULL, 4 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(fd >= 0 && room != MAP_FAILED);
	room = (char *)(((uintptr_t)room + size - 1) / size * size) + 4096;
	p = mmap(room, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
	check(p == room);
	check(p[5] == 'd');
	check(munmap(p + 8192, 4096) == 0);
	check(munmap(p, size) == 0);
	close(fd);
	close(huge);
	tfs_stop(t);
	check_equal(id, 0);
}

/* There are files that can be read from an iterator, and written to, but not from one. */
static void a_file_without_a_way_to_write_is_refused(void)
{
	struct tfs *t = tfs_start();
	int odd = open("/proc/cpuinfo", O_RDWR), fd;
	uint64_t ino = add_to_tree(t, "file", 5), id;
	const struct extfuse_chunk_key key = {.ino = ino};
	const struct extfuse_written w = {.ino = ino, .size = 5, .max_bytes = 100, .first_chunk = UINT64_MAX};
	const struct extfuse_dirty none = {};

	check(odd >= 0);
	tfs_attach(t, NULL);
	id = storm_add(t->device_fd, odd);
	check(bpf_map_update_elem(t->written, &ino, &w, BPF_ANY) == 0);
	check(bpf_map_update_elem(t->dirty, &key, &none, BPF_ANY) == 0);
	tfs_publish_name(t, FUSE_ROOT_ID, "file", ino);
	tfs_publish_lent(t, ino, id ?: 1);
	fd = open(tfs_path(t, "file"), O_RDWR);
	check(fd >= 0);
	check_equal(pwrite(fd, "d", 1, 0), 1);
	check_equal(tfs_requests(t, FUSE_WRITE), 1);
	close(fd);
	close(odd);
	tfs_stop(t);
	check_equal(id, 0);
}

const struct test fuzz_tests[] = {
	TEST(a_file_of_huge_pages_is_refused),
	TEST(a_file_without_a_way_to_write_is_refused),
	TEST(any_ioctl_on_anything),
	TEST(any_value_in_the_maps),
	TEST(loaded_attached_detached_and_unloaded_under_load),
	{NULL, NULL},
};
