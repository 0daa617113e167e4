/* SPDX-License-Identifier: Apache-2.0 */
#include "common/db_gate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define OPEN_SPACE (1u << 20) /* for what is made anew with every opening */
#define PAUSE_NS 1000000000ll /* between two attempts to reopen */

void db_gate_init(struct db_gate *g)
{
	*g = (struct db_gate){};
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->opened, NULL);
}

void db_gate_done(struct db_gate *g)
{
	pthread_cond_destroy(&g->opened);
	pthread_mutex_destroy(&g->lock);
}

bool db_gate_enter(struct db_gate *g)
{
	SCOPED_LOCK(&g->lock);
	while (g->closed)
		pthread_cond_wait(&g->opened, &g->lock);
	if (g->failed && !g->for_good && !g->users && monotonic_ns() - g->tried_ns > PAUSE_NS) {
		g->closed = true;
		return true;
	}
	g->users++;
	return false;
}

void db_gate_reopened(struct db_gate *g, int r)
{
	SCOPED_LOCK(&g->lock);
	g->failed = r;
	g->tried_ns = monotonic_ns();
	g->closed = false;
	g->users++;
	pthread_cond_broadcast(&g->opened);
}

void db_gate_leave(struct db_gate *g)
{
	SCOPED_LOCK(&g->lock);
	g->users--;
}

void db_gate_fail(struct db_gate *g, int r, bool for_good)
{
	SCOPED_LOCK(&g->lock);
	/* The first reason is the right one, those behind it may be its consequences. */
	if (!g->failed)
		g->failed = r;
	g->for_good |= for_good;
}

int db_gate_failed(struct db_gate *g)
{
	SCOPED_LOCK(&g->lock);
	return g->failed;
}

int db_gate_probe(const char *dir, size_t size)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int r = 0;

	if (asprintf(&path, "%s/probe", dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = -posix_fallocate(fd, 0, (off_t)size);
	if (r == 0 && (pwrite(fd, path, 1, 0) != 1 || fsync(fd) < 0))
		r = -errno;
	unlink(path);
	return r;
}

int db_gate_probe_open(const char *dir, uint64_t *ret_needed)
{
	uint64_t needed = OPEN_SPACE;
	DIR *d = opendir(dir);
	struct dirent *e;
	int r;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		const char *dot = strrchr(e->d_name, '.');
		struct stat st;

		if (dot && !strcmp(dot, ".log") &&
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			needed += (uint64_t)st.st_size;
	}
	closedir(d);
	r = db_gate_probe(dir, needed);
	*ret_needed = needed;
	return r;
}
