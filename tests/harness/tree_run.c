/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of exercise-tree.prog.c. The processes live as long as it does, so that what they have open lives
 * on from round to round. The first one, which does nothing else meanwhile, tells them when to do the next
 * round, looks at the whole tree behind it and checks what they saw.
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/harness/linear.h"
#include "tests/harness/tree.h"

#define HANG_SECONDS 120 /* of one round */
#define SPINS 2000       /* of a process that waits for the others, some microseconds */
#define INODES_MANY 24   /* begin with an empty tree again */

struct tree_options tree_options = {.processes = 3};
struct tree_counts tree_counts;
struct tree_round tree_failed;

enum command { COMMAND_ROUND, COMMAND_SLOTS, COMMAND_CLOSE };

static struct shared {
	atomic_uint number; /* of the command; it goes when this changes */
	enum command command;
	atomic_uint here, ready;            /* processes */
	atomic_uint at[TREE_PROCESSES_MAX]; /* operation of the round under way */
	struct tree_round round;
} * shared;

static pid_t pids[TREE_PROCESSES_MAX];
static unsigned started;

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "exercise-tree: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* @return false: it took too long */
static bool wait_change(atomic_uint *p, unsigned old)
{
	static const struct timespec limit = {.tv_nsec = 100000000};

	return syscall(SYS_futex, p, FUTEX_WAIT, old, &limit, NULL, 0) == 0 || errno != ETIMEDOUT;
}

static void wake(atomic_uint *p)
{
	syscall(SYS_futex, p, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* ---- one process ---- */

static void do_round(struct tree_fds *fds, unsigned me)
{
	struct tree_round *round = &shared->round;

	/* Begin together, if all can run at once. */
	atomic_fetch_add(&shared->here, 1);
	for (unsigned i = 0; i < SPINS && atomic_load(&shared->here) < tree_options.processes; i++)
		__builtin_ia32_pause();
	for (unsigned i = 0; i < round->count; i++) {
		if (round->done[i].op.process != me)
			continue;
		atomic_store(&shared->at[me], i);
		round->done[i].start = clock_ns();
		tree_do(fds, &round->done[i].op, &round->done[i].result);
		round->done[i].end = clock_ns();
	}
}

static void process_main(unsigned me)
{
	unsigned number = 0;
	struct tree_fds fds;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	tree_open_top(&fds, tree_options.path);
	for (;;) {
		while (atomic_load(&shared->number) == number)
			wait_change(&shared->number, number);
		number++;
		switch (shared->command) {
		case COMMAND_ROUND:
			do_round(&fds, me);
			break;
		case COMMAND_SLOTS:
			for (unsigned slot = 0; slot < TREE_SLOTS; slot++)
				tree_look_slot(&fds, slot, &shared->round.seen.slots[me][slot]);
			break;
		case COMMAND_CLOSE:
			tree_close_all(&fds);
			tree_open_top(&fds, tree_options.path);
			break;
		}
		if (atomic_fetch_add(&shared->ready, 1) + 1 == tree_options.processes)
			wake(&shared->ready);
	}
}

/* ---- the first one ---- */

static bool ended(char why[SCRIPT_WHY])
{
	for (unsigned i = 0; i < started; i++) {
		int status;

		if (pids[i] <= 0 || waitpid(pids[i], &status, WNOHANG) != pids[i])
			continue;
		pids[i] = 0;
		snprintf(why, SCRIPT_WHY, "process %u was ended by signal %d", i,
		         WIFSIGNALED(status) ? WTERMSIG(status) : 0);
		return true;
	}
	return false;
}

/* Let all do it. @return false, and why, if they do not. */
static bool command(enum command command, char why[SCRIPT_WHY])
{
	int64_t end = script_now() + HANG_SECONDS;

	shared->command = command;
	atomic_store(&shared->here, 0);
	atomic_store(&shared->ready, 0);
	atomic_fetch_add(&shared->number, 1);
	wake(&shared->number);
	for (unsigned ready; (ready = atomic_load(&shared->ready)) < tree_options.processes;) {
		if (wait_change(&shared->ready, ready))
			continue;
		if (ended(why))
			return false;
		if (script_now() > end) {
			int n = snprintf(why, SCRIPT_WHY, "the round hangs; under way or last:");

			for (unsigned p = 0; p < tree_options.processes && n > 0 && n < SCRIPT_WHY; p++)
				n += snprintf(why + n, SCRIPT_WHY - (size_t)n, " operation %u of process %u",
				              atomic_load(&shared->at[p]), p);
			return false;
		}
	}
	return true;
}

static void start_processes(void)
{
	if (!shared) {
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		              0);
		if (shared == MAP_FAILED)
			die("memory");
	}
	memset(shared, 0, sizeof(*shared));
	for (started = 0; started < tree_options.processes; started++) {
		pids[started] = fork();
		if (pids[started] < 0)
			die("fork");
		if (pids[started] == 0)
			process_main(started);
	}
}

static void end_processes(void)
{
	for (unsigned i = 0; i < started; i++) {
		if (pids[i] <= 0)
			continue;
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	started = 0;
}

static void count_results(const struct tree_round *round)
{
	tree_counts.rounds++;
	for (size_t i = 0; i < round->count; i++) {
		unsigned kind = round->done[i].op.kind;

		if (round->done[i].result.error)
			tree_counts.bad[kind]++;
		else
			tree_counts.good[kind]++;
	}
}

/* Do these operations at once, and go on from @p t. */
static bool run_round(const struct tree_op *ops, size_t count, struct tree *t, char why[SCRIPT_WHY])
{
	static const struct tree_part all = {.until = LINEAR_NEVER};
	struct tree_round *round = &shared->round;
	int r;

	memset(round, 0, sizeof(*round));
	round->before = *t;
	round->count = count;
	for (size_t i = 0; i < count; i++)
		round->done[i].op = ops[i];
	for (unsigned p = tree_options.processes; p < TREE_PROCESSES_MAX; p++)
		for (unsigned slot = 0; slot < TREE_SLOTS; slot++)
			round->seen.slots[p][slot].error = EBADF;
	if (!command(COMMAND_ROUND, why) || !command(COMMAND_SLOTS, why)) {
		tree_failed.count = 0; /* nothing is known of it */
		return false;
	}
	count_results(round);
	if (!tree_see(tree_options.path, &round->seen.tree, why)) {
		tree_failed = *round;
		return false;
	}
	r = tree_check_part(round, &all, t);
	if (r == 1)
		return true;
	tree_failed = *round;
	if (r < 0) {
		errno = -r;
		die("checking a round");
	}
	snprintf(why, SCRIPT_WHY, "round %u: no order of these %zu operations explains what was seen",
	         ops->round, count);
	return false;
}

static void empty(struct tree *t)
{
	uint64_t ino = tree_wipe(tree_options.path);

	if (!ino)
		die(tree_options.path);
	tree_init(t, ino);
	for (unsigned p = tree_options.processes; p < TREE_PROCESSES_MAX; p++)
		t->slots[p][0] = 0;
}

static bool run_rounds(const struct tree_op *ops, size_t count, struct tree *t, char why[SCRIPT_WHY])
{
	for (size_t at = 0, n; at < count; at += n) {
		for (n = 1; at + n < count && n < TREE_ROUND_MAX && ops[at + n].round == ops[at].round; n++)
			;
		if (!run_round(ops + at, n, t, why))
			return false;
		if (tree_compact(t) <= INODES_MANY)
			continue;
		if (!command(COMMAND_CLOSE, why))
			return false;
		empty(t);
	}
	return true;
}

bool tree_run(const struct script *s, char ret_why[SCRIPT_WHY])
{
	struct tree t;
	bool ok;

	empty(&t);
	start_processes();
	ok = run_rounds(s->ops, s->count, &t, ret_why);
	end_processes();
	return ok;
}
