/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exercise: random operations on a file by several processes, compared with a copy in memory, as fsx does.
 * usage() says how to call it.
 *
 * All operations are drawn before the first is done, each complete in itself, so that any part of them can be
 * done again: when something differs, operations are left out one piece after the other as long as it still
 * does, and the script that remains is printed.  It is read again by --replay.
 *
 * The processes take turns on the whole file, or with --apart work at once, each in a region of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_PIECE 300000
#define PAGE 4096
#define PROCESSES_MAX 16
#define RUN_SECONDS 600    /* one run that takes longer hangs */
#define SHRINK_SECONDS 120 /* no more replays after that */

/* How often each is drawn; whether with --apart, too. A file that is shared does not change its size there.
 */
#define KINDS(X)                  \
	X(read, 24, true)         \
	X(write, 16, true)        \
	X(append, 2, false)       \
	X(truncate, 5, false)     \
	X(map_read, 5, true)      \
	X(map_write, 5, true)     \
	X(punch, 4, true)         \
	X(zero, 3, false)         \
	X(zero_keep, 3, true)     \
	X(allocate, 2, false)     \
	X(allocate_keep, 1, true) \
	X(copy, 6, true)          \
	X(seek, 4, true)          \
	X(fsync, 4, true)         \
	X(reopen, 4, true)        \
	X(forget, 3, true)        \
	X(size, 2, true)

enum kind {
#define X(name, often, apart) KIND_##name,
	KINDS(X)
#undef X
		KIND_COUNT
};

static const struct {
	const char *name;
	unsigned often;
	bool apart;
} kinds[] = {
#define X(name, often, apart) {#name, often, apart},
	KINDS(X)
#undef X
};

struct op {
	unsigned kind, process;
	uint64_t at, length;
	uint64_t to;   /* copy: where to */
	uint64_t seed; /* of the bytes */
};

struct ops {
	struct op *list;
	size_t count;
};

static const char *path;
static uint64_t max_size = 6000000;
static unsigned processes = 3;
static bool apart;

/* Shared by the processes of a run. */
static struct shared {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	size_t turn;                   /* number of the operation whose turn it is */
	bool failed;                   /* the first says why */
	bool unwritten[PROCESSES_MAX]; /* changed a mapping and did not sync it */
	char why[512];
	uint64_t size; /* of the model */
} * shared;
static unsigned char *model; /* shared, too */

/* Of one process. */
static unsigned me;
static int fd = -1;
static unsigned char *map, *piece;
static const struct op *current;
static size_t current_number;

/* ---- chance ---- */

static uint64_t next_random(uint64_t *state)
{
	/* splitmix64 */
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t *state, uint64_t n)
{
	return n ? next_random(state) % n : 0;
}

/* Often near a border of a page, a sub-block or a chunk, where mistakes live. */
static uint64_t random_place(uint64_t *state, uint64_t limit)
{
	static const uint64_t borders[] = {PAGE, 65536, 4 << 20};
	uint64_t border, at;

	if (limit == 0 || below(state, 2))
		return below(state, limit + 1);
	border = borders[below(state, 3)];
	at = below(state, limit / border + 1) * border + below(state, 17);
	at = at > 8 ? at - 8 : at;
	return at > limit ? limit : at;
}

static struct op random_op(uint64_t *state)
{
	struct op op = {.process = below(state, processes)};
	uint64_t region = apart ? max_size / processes / PAGE * PAGE : max_size;
	uint64_t base = apart ? op.process * region : 0, sum = 0, pick;

	for (unsigned k = 0; k < KIND_COUNT; k++)
		sum += kinds[k].apart || !apart ? kinds[k].often : 0;
	pick = below(state, sum);
	for (unsigned k = 0; k < KIND_COUNT; k++) {
		unsigned often = kinds[k].apart || !apart ? kinds[k].often : 0;

		if (pick < often) {
			op.kind = k;
			break;
		}
		pick -= often;
	}
	op.at = random_place(state, region - 1);
	op.to = random_place(state, region - 1);
	op.length = 1 + below(state, below(state, 3) ? 5000 : MAX_PIECE);
	if (op.kind == KIND_copy || op.kind == KIND_punch)
		op.length *= 1 + below(state, 4);
	if (op.length > region - op.at)
		op.length = region - op.at;
	if (op.kind == KIND_copy && op.length > region - op.to)
		op.length = region - op.to;
	op.at += base;
	op.to += base;
	op.seed = next_random(state);
	return op;
}

/* ---- as text ---- */

static void print_op(FILE *out, const struct op *op)
{
	fprintf(out, "%u %s %llu %llu %llu %llu\n", op->process, kinds[op->kind].name,
	        (unsigned long long)op->at, (unsigned long long)op->length, (unsigned long long)op->to,
	        (unsigned long long)op->seed);
}

static bool read_op(const char *line, struct op *ret)
{
	unsigned long long at, length, to, seed;
	struct op op = {.kind = KIND_COUNT};
	char name[32];

	if (sscanf(line, "%u %31s %llu %llu %llu %llu", &op.process, name, &at, &length, &to, &seed) != 6)
		return false;
	for (unsigned k = 0; k < KIND_COUNT; k++)
		if (!strcmp(name, kinds[k].name))
			op.kind = k;
	op.at = at;
	op.length = length;
	op.to = to;
	op.seed = seed;
	*ret = op;
	return op.kind < KIND_COUNT && op.process < processes && at <= max_size && length <= max_size - at &&
	       to <= max_size;
}

/* ---- one process of a run ---- */

__attribute__((format(printf, 1, 2), noreturn)) static void differs(const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&shared->lock);
	if (!shared->failed)
		snprintf(shared->why, sizeof(shared->why), "operation %zu, %s by process %u: %s",
		         current_number, current ? kinds[current->kind].name : "the end", me, text);
	shared->failed = true;
	pthread_cond_broadcast(&shared->moved);
	pthread_mutex_unlock(&shared->lock);
	_exit(1);
}

static void must(bool ok, const char *what)
{
	if (!ok)
		differs("%s: %s", what, strerror(errno));
}

static void compare(const char *what, const unsigned char *got, uint64_t at, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		unsigned long long where = at + i;

		if (got[i] != model[where])
			differs("%s at %llu, %llu bytes: byte %llu is %02x, not %02x", what,
			        (unsigned long long)at, (unsigned long long)n, where, got[i], model[where]);
	}
}

static void open_file(void)
{
	fd = open(path, O_RDWR);
	must(fd >= 0, "open");
	map = mmap(NULL, max_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED, "mmap");
}

static void close_file(void)
{
	must(munmap(map, max_size) == 0, "munmap");
	must(close(fd) == 0, "close");
	if (!apart) {
		for (unsigned i = 0; i < processes; i++)
			shared->unwritten[i] &= i != me;
	} else {
		shared->unwritten[me] = false;
	}
}

static void fill(const struct op *op, uint64_t n)
{
	uint64_t state = op->seed;

	for (uint64_t i = 0; i < n; i++)
		piece[i] = (unsigned char)next_random(&state);
}

static void grow(uint64_t size)
{
	if (size > shared->size)
		shared->size = size;
}

/* What of the operation's range lies below the end of file. */
static uint64_t inside(const struct op *op)
{
	uint64_t size = shared->size;

	return op->at >= size ? 0 : op->length < size - op->at ? op->length : size - op->at;
}

static void do_read(const struct op *op)
{
	uint64_t wanted = inside(op);
	ssize_t n = pread(fd, piece, op->length, (off_t)op->at);

	must(n >= 0, "read");
	if ((uint64_t)n != wanted)
		differs("read at %llu gave %zd bytes, not %llu", (unsigned long long)op->at, n,
		        (unsigned long long)wanted);
	compare("read", piece, op->at, wanted);
}

static void do_write(const struct op *op)
{
	fill(op, op->length);
	must(pwrite(fd, piece, op->length, (off_t)op->at) == (ssize_t)op->length, "write");
	memcpy(model + op->at, piece, op->length);
	grow(op->at + op->length);
}

static void do_append(const struct op *op)
{
	uint64_t n = max_size - shared->size < op->length ? max_size - shared->size : op->length;
	int own = open(path, O_WRONLY | O_APPEND);

	must(own >= 0, "open to append");
	fill(op, n);
	must(write(own, piece, n) == (ssize_t)n, "append");
	must(close(own) == 0, "close");
	memcpy(model + shared->size, piece, n);
	grow(shared->size + n);
}

static void do_truncate(const struct op *op)
{
	must(ftruncate(fd, (off_t)op->at) == 0, "truncate");
	if (op->at < shared->size)
		memset(model + op->at, 0, shared->size - op->at);
	shared->size = op->at;
}

static void do_map(const struct op *op, bool change)
{
	uint64_t n = inside(op), start = op->at / PAGE * PAGE;

	compare("mapping", map + op->at, op->at, n);
	if (!change || !n)
		return;
	fill(op, n);
	memcpy(map + op->at, piece, n);
	memcpy(model + op->at, piece, n);
	if (op->seed % 2)
		must(msync(map + start, op->at + n - start, MS_SYNC) == 0, "msync");
	else
		shared->unwritten[me] = true;
}

static void do_allocate(const struct op *op, int mode)
{
	uint64_t n = inside(op);

	must(fallocate(fd, mode, (off_t)op->at, (off_t)op->length) == 0, "fallocate");
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(model + op->at, 0, n);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grow(op->at + op->length);
}

static void do_copy(const struct op *op)
{
	uint64_t n = inside(op), done = 0;

	if (op->at < op->to + op->length && op->to < op->at + op->length) {
		loff_t from = (loff_t)op->at, to = (loff_t)op->to;

		if (n == op->length)
			must(copy_file_range(fd, &from, fd, &to, n, 0) < 0 && errno == EINVAL,
			     "copy onto itself");
		return;
	}
	while (done < n) {
		loff_t from = (loff_t)(op->at + done), to = (loff_t)(op->to + done);
		ssize_t r = copy_file_range(fd, &from, fd, &to, n - done, 0);

		must(r > 0, "copy_file_range");
		done += (uint64_t)r;
	}
	memcpy(model + op->to, model + op->at, n);
	if (n)
		grow(op->to + n);
}

static bool is_zero(uint64_t from, uint64_t to)
{
	while (from < to)
		if (model[from++])
			return false;
	return true;
}

/* A hole may be where data could be, and the other way round only if it is zeros. */
static void do_seek(const struct op *op)
{
	uint64_t end = apart ? op->at + op->length : shared->size;
	bool unwritten = false;
	off_t data, hole;

	/* What was changed through a mapping is the kernel's until it is written. */
	for (unsigned i = 0; i < processes; i++)
		unwritten |= shared->unwritten[i] && (!apart || i == me);
	if (unwritten)
		must(fsync(fd) == 0, "fsync");
	data = lseek(fd, (off_t)op->at, SEEK_DATA);
	must(data >= 0 || errno == ENXIO, "SEEK_DATA");
	if (data >= 0 && ((uint64_t)data < op->at || (uint64_t)data >= shared->size))
		differs("SEEK_DATA from %llu gave %lld of %llu", (unsigned long long)op->at, (long long)data,
		        (unsigned long long)shared->size);
	if (!is_zero(op->at, data < 0 || (uint64_t)data > end ? end : (uint64_t)data))
		differs("SEEK_DATA from %llu passed data and gave %lld", (unsigned long long)op->at,
		        (long long)data);
	hole = lseek(fd, (off_t)op->at, SEEK_HOLE);
	must(hole >= 0 ? op->at < shared->size : errno == ENXIO && op->at >= shared->size, "SEEK_HOLE");
	if (hole >= 0 && (uint64_t)hole < end && model[hole])
		differs("SEEK_HOLE from %llu gave %lld, where data is", (unsigned long long)op->at,
		        (long long)hole);
}

static void do_size(void)
{
	struct stat st;

	must(fstat(fd, &st) == 0, "fstat");
	if ((uint64_t)st.st_size != shared->size)
		differs("size is %lld, not %llu", (long long)st.st_size, (unsigned long long)shared->size);
}

static void do_op(const struct op *op)
{
	switch ((enum kind)op->kind) {
	case KIND_read:
		return do_read(op);
	case KIND_write:
		return do_write(op);
	case KIND_append:
		return do_append(op);
	case KIND_truncate:
		return do_truncate(op);
	case KIND_map_read:
		return do_map(op, false);
	case KIND_map_write:
		return do_map(op, true);
	case KIND_punch:
		return do_allocate(op, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	case KIND_zero:
		return do_allocate(op, FALLOC_FL_ZERO_RANGE);
	case KIND_zero_keep:
		return do_allocate(op, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	case KIND_allocate:
		return do_allocate(op, 0);
	case KIND_allocate_keep:
		return do_allocate(op, FALLOC_FL_KEEP_SIZE);
	case KIND_copy:
		return do_copy(op);
	case KIND_seek:
		return do_seek(op);
	case KIND_fsync:
		must((op->seed % 2 ? fsync(fd) : fdatasync(fd)) == 0, "fsync");
		shared->unwritten[me] = false;
		return;
	case KIND_reopen:
		close_file();
		return open_file();
	case KIND_forget: /* so that the next read asks the file system */
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		return;
	case KIND_size:
	case KIND_COUNT:
		return do_size();
	}
}

/* Wait until it is the turn of operation @p i. */
static void wait_turn(size_t i)
{
	pthread_mutex_lock(&shared->lock);
	while (shared->turn < i && !shared->failed)
		pthread_cond_wait(&shared->moved, &shared->lock);
	if (shared->failed)
		_exit(1); /* the lock goes with the run */
	pthread_mutex_unlock(&shared->lock);
}

static void end_turn(void)
{
	pthread_mutex_lock(&shared->lock);
	shared->turn++;
	pthread_cond_broadcast(&shared->moved);
	pthread_mutex_unlock(&shared->lock);
}

static void process_main(const struct ops *ops)
{
	alarm(RUN_SECONDS);
	piece = malloc(4 * MAX_PIECE);
	must(piece != NULL, "memory");
	open_file();
	for (size_t i = 0; i < ops->count; i++) {
		if (ops->list[i].process != me)
			continue;
		current = &ops->list[i];
		current_number = i;
		if (!apart)
			wait_turn(i);
		do_op(current);
		if (!apart) {
			do_size();
			end_turn();
		}
	}
	current = NULL;
	close_file();
	_exit(0);
}

/* ---- a run ---- */

static void check_end(void)
{
	struct op op = {.kind = KIND_read};

	piece = malloc(4 * MAX_PIECE);
	open_file();
	do_size();
	for (op.at = 0; op.at < shared->size; op.at += MAX_PIECE) {
		op.length = MAX_PIECE;
		do_read(&op);
	}
	close_file();
	_exit(0);
}

static void run_process(unsigned number, const struct ops *ops, pid_t *ret)
{
	*ret = fork();
	if (*ret < 0) {
		perror("exercise: fork");
		exit(2);
	}
	if (*ret)
		return;
	me = number;
	if (ops)
		process_main(ops);
	check_end();
}

static void end_process(unsigned number, pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid) {
		perror("exercise: wait");
		exit(2);
	}
	pthread_mutex_lock(&shared->lock);
	if (!shared->failed && WIFSIGNALED(status)) {
		shared->failed = true;
		snprintf(shared->why, sizeof(shared->why), "process %u was ended by signal %d", number,
		         WTERMSIG(status));
		pthread_cond_broadcast(&shared->moved);
	}
	pthread_mutex_unlock(&shared->lock);
}

static void *map_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("exercise: memory");
		exit(2);
	}
	return p;
}

/* Do these operations on an empty file. @return whether all was as it must be; else shared->why says more. */
static bool run(const struct ops *ops)
{
	pthread_mutexattr_t mutex;
	pthread_condattr_t cond;
	pid_t pids[PROCESSES_MAX];
	int file;

	memset(shared, 0, sizeof(*shared));
	memset(model, 0, max_size);
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->lock, &mutex);
	pthread_condattr_init(&cond);
	pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->moved, &cond);
	unlink(path);
	file = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	shared->size = apart ? max_size : 0;
	if (file < 0 || ftruncate(file, (off_t)shared->size) < 0 || close(file) < 0) {
		perror("exercise: creating the file");
		exit(2);
	}
	for (unsigned i = 0; i < processes; i++)
		run_process(i, ops, &pids[i]);
	for (unsigned i = 0; i < processes; i++)
		end_process(i, pids[i]);
	if (!shared->failed) {
		run_process(0, NULL, &pids[0]);
		end_process(0, pids[0]);
	}
	return !shared->failed;
}

/* ---- shrinking ---- */

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* With several at once, a failure may need a few tries. */
static bool fails_again(const struct ops *ops)
{
	for (int i = 0; i < (apart ? 3 : 1); i++)
		if (!run(ops))
			return true;
	return false;
}

/* Leave pieces out, smaller and smaller ones, as long as it fails without them. */
static void shrink(struct ops *ops, char why[sizeof(shared->why)])
{
	time_t end = now() + SHRINK_SECONDS;
	struct ops less = {.list = calloc(ops->count + 1, sizeof(*less.list))};

	for (size_t n = (ops->count + 1) / 2; less.list && n; n = n > 1 ? (n + 1) / 2 : 0) {
		for (size_t at = 0; at < ops->count && now() < end;) {
			size_t cut = n < ops->count - at ? n : ops->count - at;

			less.count = ops->count - cut;
			memcpy(less.list, ops->list, at * sizeof(*less.list));
			memcpy(less.list + at, ops->list + at + cut, (less.count - at) * sizeof(*less.list));
			if (fails_again(&less)) {
				memcpy(ops->list, less.list, less.count * sizeof(*less.list));
				ops->count = less.count;
				memcpy(why, shared->why, sizeof(shared->why));
			} else {
				at += cut;
			}
		}
	}
	free(less.list);
}

/* Do it; if it fails, shrink it and say so. */
static bool run_and_tell(struct ops *ops, const char *name)
{
	char why[sizeof(shared->why)];
	size_t count = ops->count;

	if (run(ops))
		return true;
	memcpy(why, shared->why, sizeof(why));
	printf("exercise: %s: %s\n", name, why);
	fflush(stdout);
	shrink(ops, why);
	printf("exercise: %zu of %zu operations remain: %s\n", ops->count, count, why);
	printf("# exercise FILE --replay SCRIPT --processes %u --max-size %llu%s\n", processes,
	       (unsigned long long)max_size, apart ? " --apart" : "");
	for (size_t i = 0; i < ops->count; i++)
		print_op(stdout, &ops->list[i]);
	return false;
}

static bool run_seed(uint64_t seed, size_t count)
{
	struct ops ops = {.list = calloc(count + 1, sizeof(*ops.list)), .count = count};
	uint64_t state = seed;
	char name[40];
	bool ok;

	if (!ops.list) {
		perror("exercise: memory");
		exit(2);
	}
	for (size_t i = 0; i < count; i++)
		ops.list[i] = random_op(&state);
	snprintf(name, sizeof(name), "seed %llu", (unsigned long long)seed);
	ok = run_and_tell(&ops, name);
	free(ops.list);
	return ok;
}

static bool run_script(const char *script)
{
	struct ops ops = {};
	FILE *in = fopen(script, "r");
	char line[256];
	bool ok;

	while (in && fgets(line, sizeof(line), in)) {
		if (*line == '#')
			continue;
		ops.list = reallocarray(ops.list, ops.count + 1, sizeof(*ops.list));
		if (!ops.list || !read_op(line, &ops.list[ops.count++])) {
			fprintf(stderr, "exercise: %s: not an operation: %s", script, line);
			exit(2);
		}
	}
	if (!in) {
		perror(script);
		exit(2);
	}
	fclose(in);
	ok = run_and_tell(&ops, script);
	free(ops.list);
	return ok;
}

static void usage(void)
{
	fprintf(stderr, "usage: exercise FILE [--seed N] [--operations N] [--seconds N] [--processes N]\n"
	                "                     [--max-size BYTES] [--apart] [--replay SCRIPT]\n"
	                "--seconds: one seed after the other until then; --apart: each process in a region\n"
	                "of its own, all at once\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", 1, NULL, 's'},     {"operations", 1, NULL, 'o'},
		{"seconds", 1, NULL, 't'},  {"processes", 1, NULL, 'p'},
		{"max-size", 1, NULL, 'm'}, {"apart", 0, NULL, 'a'},
		{"replay", 1, NULL, 'r'},   {},
	};
	uint64_t seed = 1, operations = 800;
	const char *script = NULL;
	time_t end = now();
	bool ok = true;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			seed = strtoull(optarg, NULL, 10);
			break;
		case 'o':
			operations = strtoull(optarg, NULL, 10);
			break;
		case 't':
			end += (time_t)strtoul(optarg, NULL, 10);
			break;
		case 'p':
			processes = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'm':
			max_size = strtoull(optarg, NULL, 10);
			break;
		case 'a':
			apart = true;
			break;
		case 'r':
			script = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind + 1 != argc || !processes || processes > PROCESSES_MAX || max_size < PAGE * PROCESSES_MAX)
		usage();
	path = argv[optind];
	shared = map_shared(sizeof(*shared));
	model = map_shared(max_size);
	if (script)
		return run_script(script) ? 0 : 1;
	do {
		ok = run_seed(seed, operations);
		if (ok)
			printf("exercise: seed %llu: %llu operations by %u processes%s\n",
			       (unsigned long long)seed, (unsigned long long)operations, processes,
			       apart ? " at once" : "");
		seed++;
	} while (ok && now() < end);
	return ok ? 0 : 1;
}
