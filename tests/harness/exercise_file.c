/* SPDX-License-Identifier: Apache-2.0 */
/* One run of exercise.prog.c: the file, its copy in memory, and the processes that change both. */
#include "tests/harness/exercise.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/chance.h"

#define RUN_SECONDS 600 /* one run that takes longer hangs */

struct exercise exercise = {.max_size = 6000000, .processes = 3};

/* Shared by the processes of a run. */
static struct shared {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	size_t turn;                            /* number of the operation whose turn it is */
	bool failed;                            /* the first says why */
	bool unwritten[EXERCISE_PROCESSES_MAX]; /* changed a mapping and did not sync it */
	char why[SCRIPT_WHY];
	uint64_t size; /* of the model */
} * shared;
static unsigned char *model; /* shared, too */

/* Of one process. */
static unsigned me;
static int fd = -1;
static unsigned char *map, *piece;
static const struct exercise_op *current;
static size_t current_number;

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
		         current_number, current ? exercise_op_name(current) : "the end", me, text);
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
	fd = open(exercise.path, O_RDWR);
	must(fd >= 0, "open");
	if (exercise.mapped) {
		int reader = open(exercise.path, O_RDONLY);

		must(reader >= 0, "open to read");
		map = mmap(NULL, exercise.max_size, PROT_READ, MAP_SHARED, reader, 0);
		close(reader);
	} else {
		map = mmap(NULL, exercise.max_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	}
	must(map != MAP_FAILED, "mmap");
}

static void close_file(void)
{
	must(munmap(map, exercise.max_size) == 0, "munmap");
	must(close(fd) == 0, "close");
	if (!exercise.apart) {
		for (unsigned i = 0; i < exercise.processes; i++)
			shared->unwritten[i] &= i != me;
	} else {
		shared->unwritten[me] = false;
	}
}

static void fill(const struct exercise_op *op, uint64_t n)
{
	uint64_t state = op->seed;

	for (uint64_t i = 0; i < n; i++)
		piece[i] = (unsigned char)chance_next(&state);
}

static void grow(uint64_t size)
{
	if (size > shared->size)
		shared->size = size;
}

/* What of the operation's range lies below the end of file. */
static uint64_t inside(const struct exercise_op *op)
{
	uint64_t size = shared->size;

	return op->at >= size ? 0 : op->length < size - op->at ? op->length : size - op->at;
}

static void do_read(const struct exercise_op *op)
{
	uint64_t wanted = inside(op);
	ssize_t n = pread(fd, piece, op->length, (off_t)op->at);

	must(n >= 0, "read");
	if ((uint64_t)n != wanted)
		differs("read at %llu gave %zd bytes, not %llu", (unsigned long long)op->at, n,
		        (unsigned long long)wanted);
	compare("read", piece, op->at, wanted);
}

static void do_write(const struct exercise_op *op)
{
	fill(op, op->length);
	must(pwrite(fd, piece, op->length, (off_t)op->at) == (ssize_t)op->length, "write");
	memcpy(model + op->at, piece, op->length);
	grow(op->at + op->length);
}

static void do_append(const struct exercise_op *op)
{
	uint64_t n =
		exercise.max_size - shared->size < op->length ? exercise.max_size - shared->size : op->length;
	int own = open(exercise.path, O_WRONLY | O_APPEND);

	must(own >= 0, "open to append");
	fill(op, n);
	must(write(own, piece, n) == (ssize_t)n, "append");
	must(close(own) == 0, "close");
	memcpy(model + shared->size, piece, n);
	grow(shared->size + n);
}

static void do_truncate(const struct exercise_op *op)
{
	must(ftruncate(fd, (off_t)op->at) == 0, "truncate");
	if (op->at < shared->size)
		memset(model + op->at, 0, shared->size - op->at);
	shared->size = op->at;
}

static void do_map(const struct exercise_op *op, bool change)
{
	uint64_t n = inside(op), start = op->at / EXERCISE_PAGE * EXERCISE_PAGE;

	compare("mapping", map + op->at, op->at, n);
	if (!change || !n)
		return;
	if (exercise.mapped)
		return do_write(op);
	fill(op, n);
	memcpy(map + op->at, piece, n);
	memcpy(model + op->at, piece, n);
	if (op->seed % 2)
		must(msync(map + start, op->at + n - start, MS_SYNC) == 0, "msync");
	else
		shared->unwritten[me] = true;
}

static void do_allocate(const struct exercise_op *op, int mode)
{
	uint64_t n = inside(op);

	must(fallocate(fd, mode, (off_t)op->at, (off_t)op->length) == 0, "fallocate");
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(model + op->at, 0, n);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grow(op->at + op->length);
}

static void do_copy(const struct exercise_op *op)
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
static void do_seek(const struct exercise_op *op)
{
	uint64_t end = exercise.apart ? op->at + op->length : shared->size;
	bool unwritten = false;
	off_t data, hole;

	/* What was changed through a mapping is the kernel's until it is written. */
	for (unsigned i = 0; i < exercise.processes; i++)
		unwritten |= shared->unwritten[i] && (!exercise.apart || i == me);
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

static void do_op(const struct exercise_op *op)
{
	switch ((enum exercise_kind)op->kind) {
	case EXERCISE_read:
		return do_read(op);
	case EXERCISE_write:
		return do_write(op);
	case EXERCISE_append:
		return do_append(op);
	case EXERCISE_truncate:
		return do_truncate(op);
	case EXERCISE_map_read:
		return do_map(op, false);
	case EXERCISE_map_write:
		return do_map(op, true);
	case EXERCISE_punch:
		return do_allocate(op, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	case EXERCISE_zero:
		return do_allocate(op, FALLOC_FL_ZERO_RANGE);
	case EXERCISE_zero_keep:
		return do_allocate(op, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	case EXERCISE_allocate:
		return do_allocate(op, 0);
	case EXERCISE_allocate_keep:
		return do_allocate(op, FALLOC_FL_KEEP_SIZE);
	case EXERCISE_copy:
		return do_copy(op);
	case EXERCISE_seek:
		return do_seek(op);
	case EXERCISE_fsync:
		must((op->seed % 2 ? fsync(fd) : fdatasync(fd)) == 0, "fsync");
		shared->unwritten[me] = false;
		return;
	case EXERCISE_reopen:
		close_file();
		return open_file();
	case EXERCISE_forget: /* so that the next read asks the file system */
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		return;
	case EXERCISE_size:
	case EXERCISE_COUNT:
		return do_size();
	}
}

/* Wait until it is the turn of operation @p i. */
static void wait_turn(size_t i)
{
	bool failed;

	pthread_mutex_lock(&shared->lock);
	while (shared->turn < i && !shared->failed)
		pthread_cond_wait(&shared->moved, &shared->lock);
	failed = shared->failed;
	pthread_mutex_unlock(&shared->lock);
	if (failed)
		_exit(1);
}

static void end_turn(void)
{
	pthread_mutex_lock(&shared->lock);
	shared->turn++;
	pthread_cond_broadcast(&shared->moved);
	pthread_mutex_unlock(&shared->lock);
}

static void process_main(const struct script *ops)
{
	alarm(RUN_SECONDS);
	piece = malloc(4 * EXERCISE_PIECE);
	must(piece != NULL, "memory");
	open_file();
	for (size_t i = 0; i < ops->count; i++) {
		const struct exercise_op *op = (const struct exercise_op *)ops->ops + i;

		if (op->process != me)
			continue;
		current = op;
		current_number = i;
		if (!exercise.apart)
			wait_turn(i);
		do_op(current);
		if (exercise.mapped)
			do_map(op, false);
		if (!exercise.apart) {
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
	struct exercise_op op = {.kind = EXERCISE_read};

	piece = malloc(4 * EXERCISE_PIECE);
	open_file();
	do_size();
	for (op.at = 0; op.at < shared->size; op.at += EXERCISE_PIECE) {
		op.length = EXERCISE_PIECE;
		do_read(&op);
	}
	close_file();
	_exit(0);
}

static void run_process(unsigned number, const struct script *ops, pid_t *ret)
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

bool exercise_run(const struct script *s, char ret_why[SCRIPT_WHY])
{
	pthread_mutexattr_t mutex;
	pthread_condattr_t cond;
	pid_t pids[EXERCISE_PROCESSES_MAX];
	int file;

	memset(shared, 0, sizeof(*shared));
	memset(model, 0, exercise.max_size);
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->lock, &mutex);
	pthread_condattr_init(&cond);
	pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->moved, &cond);
	unlink(exercise.path);
	file = open(exercise.path, O_RDWR | O_CREAT | O_EXCL, 0600);
	shared->size = exercise.apart ? exercise.max_size : 0;
	if (file < 0 || ftruncate(file, (off_t)shared->size) < 0 || close(file) < 0) {
		perror("exercise: creating the file");
		exit(2);
	}
	for (unsigned i = 0; i < exercise.processes; i++)
		run_process(i, s, &pids[i]);
	for (unsigned i = 0; i < exercise.processes; i++)
		end_process(i, pids[i]);
	if (!shared->failed) {
		run_process(0, NULL, &pids[0]);
		end_process(0, pids[0]);
	}
	memcpy(ret_why, shared->why, SCRIPT_WHY);
	return !shared->failed;
}

void exercise_prepare(void)
{
	shared = map_shared(sizeof(*shared));
	model = map_shared(exercise.max_size);
}
