/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/s3d_child.h"

#include <curl/curl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"

#define ARGUMENTS_MAX 32

/**
 * Find @p program relative to the build directory: this one is B/tests/unit/... itself. @return 0, or -1 if
 * it is not there.
 */
static int find_program(const char *program, char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 64);
	char *at;

	if (n < 0)
		return -1;
	path[n] = 0;
	at = strstr(path, "/tests/unit/");
	if (!at)
		return -1;
	snprintf(at, PATH_MAX - (at - path), "/%s", program);
	return access(path, X_OK);
}

int s3d_child_start(struct s3d_child *c, const char *const arguments[])
{
	char *argv[ARGUMENTS_MAX] = {"s3d"};
	_cleanup_fclose_ FILE *out = NULL;
	char path[PATH_MAX];
	int fds[2];

	if (find_program("tests/harness/s3d", path) < 0) {
		fprintf(stderr, "s3d is not there: build it with 'make harness'\n");
		return -1;
	}
	for (int i = 0; arguments && arguments[i] && i + 2 < ARGUMENTS_MAX; i++)
		argv[i + 1] = (char *)arguments[i];
	if (pipe(fds) < 0)
		return -1;
	c->pid = fork();
	if (c->pid < 0)
		return -1;
	if (!c->pid) {
		/* A test that crashes must not leave its server behind. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execv(path, argv);
		_exit(127);
	}
	close(fds[1]);
	out = fdopen(fds[0], "r");
	if (!out || !fgets(c->url, sizeof(c->url), out)) {
		fprintf(stderr, "s3d did not start\n");
		return -1;
	}
	c->url[strcspn(c->url, "\n")] = 0;
	setenv("no_proxy", "127.0.0.1", 1);
	setenv("AWS_ACCESS_KEY_ID", "test-access-key", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "test-secret-key", 1);
	return 0;
}

/** Wait for the line that says where it listens. */
static int read_address(struct s3d_child *c, const char *log)
{
	for (int i = 0; i < 400; i++) {
		_cleanup_fclose_ FILE *f = fopen(log, "re");
		char line[256];

		while (f && fgets(line, sizeof(line), f)) {
			unsigned port;

			if (sscanf(line, "S3rver listening on 127.0.0.1:%u", &port) == 1 &&
			    strchr(line, '\n')) {
				snprintf(c->url, sizeof(c->url), "http://127.0.0.1:%u", port);
				return 0;
			}
		}
		if (waitpid(c->pid, NULL, WNOHANG) == c->pid)
			break;
		usleep(50000);
	}
	fprintf(stderr, "s3rver did not start; see %s\n", log);
	return -1;
}

int s3rver_child_start(struct s3d_child *c, const char *directory)
{
	_cleanup_free_ char *log = NULL;
	char path[PATH_MAX];

	if (find_program("../build/s3rver/node_modules/.bin/s3rver", path) < 0)
		return -2;
	if (asprintf(&log, "%s/s3rver.log", directory) < 0)
		return -1;
	c->pid = fork();
	if (c->pid < 0)
		return -1;
	if (!c->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!freopen(log, "w", stdout))
			_exit(127);
		execl(path, "s3rver", "-s", "-d", directory, "-a", "127.0.0.1", "-p", "0",
		      "--configure-bucket", "test", NULL);
		_exit(127);
	}
	setenv("no_proxy", "127.0.0.1", 1);
	setenv("AWS_ACCESS_KEY_ID", "S3RVER", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "S3RVER", 1);
	return read_address(c, log);
}

static size_t keep(char *data, size_t one, size_t n, void *arg)
{
	char *text = arg;

	(void)one;
	strncat(text, data, n < 1000 - strlen(text) ? n : 1000 - strlen(text));
	return n;
}

/** @return the HTTP status, or -1. */
static long ask(const struct s3d_child *c, const char *path, const char *body, char text[1024])
{
	CURL *curl = curl_easy_init();
	char url[128];
	long status = -1;

	*text = 0;
	snprintf(url, sizeof(url), "%s%s", c->url, path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	if (body)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
	if (!curl_easy_perform(curl))
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	return status;
}

int s3d_child_faults(const struct s3d_child *c, const char *spec)
{
	char text[1024];

	return ask(c, "/-/faults", spec, text) == 204 ? 0 : -1;
}

long s3d_child_stat(const struct s3d_child *c, const char *name)
{
	char text[1024], quoted[64], *at;

	snprintf(quoted, sizeof(quoted), "\"%s\": ", name);
	if (ask(c, "/-/stats", NULL, text) != 200)
		return -1;
	at = strstr(text, quoted);
	return at ? strtol(at + strlen(quoted), NULL, 10) : -1;
}

int s3d_child_stop(struct s3d_child *c)
{
	int status;

	if (c->pid <= 0)
		return -1;
	kill(c->pid, SIGTERM);
	if (waitpid(c->pid, &status, 0) != c->pid)
		return -1;
	c->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
