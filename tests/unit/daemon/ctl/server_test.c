/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cache/cache.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/rundir.h"
#include "daemon/meta/meta.h"
#include "daemon/volume.h"
#include "tests/harness/volume.h"

#define MINOR 77

static struct test_volume t;
static struct ctl_server *server;
static char run_dir[256], *why;

static void start(void)
{
	if (ctl_server_start(t.v, MINOR, &server, &why) < 0)
		fail_msg("ctl_server_start: %s", why);
}

static int open_all(void **state)
{
	(void)state;
	log_set_level(LOG_ERR);
	test_volume_open(&t);
	snprintf(run_dir, sizeof(run_dir), "%s/run", t.dir);
	setenv("CURVEFS_RUN_DIR", run_dir, 1);
	start();
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	ctl_server_stop(server);
	test_volume_close(&t);
	free(why);
	why = NULL;
	return 0;
}

static int connect_raw(void)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(rundir_socket(MINOR, &address), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Everything that comes until the server closes; free it. */
static char *read_all(int fd)
{
	size_t length = 0;
	char *text = calloc(1, 1 << 20);
	ssize_t n;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		assert_int_equal(poll(&p, 1, 20000), 1);
		n = read(fd, text + length, (1 << 20) - 1 - length);
		if (n <= 0)
			return text;
		length += (size_t)n;
	}
}

/* Send @p size bytes as they are; the answer must be one line of an error with @p number. */
static void assert_error(const char *bytes, size_t size, int number)
{
	int fd = connect_raw();
	_cleanup_free_ char *text = NULL;
	json_t *answer;

	for (size_t sent = 0; sent < size;) {
		ssize_t n = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);

		if (n < 0)
			break; /* it has heard enough */
		sent += (size_t)n;
	}
	shutdown(fd, SHUT_WR);
	text = read_all(fd);
	close(fd);
	answer = json_loads(text, 0, NULL);
	if (!json_is_object(json_object_get(answer, "error")))
		fail_msg("answer to %.60s: %s", bytes, text);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(answer, "error"), "errno")),
	                 number);
	assert_true(json_is_string(json_object_get(json_object_get(answer, "error"), "message")));
	json_decref(answer);
}

static void assert_request_error(const char *request, int number)
{
	_cleanup_free_ char *line = NULL;

	assert_true(asprintf(&line, "%s\n", request) > 0);
	assert_error(line, strlen(line), number);
}

static json_t *call(json_t *request)
{
	json_t *answer = NULL;
	int r;

	free(why);
	why = NULL;
	r = ctl_call(MINOR, request, 20, NULL, NULL, &answer, &why);
	json_decref(request);
	if (r < 0)
		fail_msg("ctl_call: %s", why);
	return answer;
}

static void run_directory_is_private_and_goes_with_the_server(void **state)
{
	char path[PATH_MAX];
	struct stat st;
	json_t *mount;

	(void)state;
	rundir_path(MINOR, NULL, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	rundir_path(MINOR, RUNDIR_SOCKET, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(ctl_read_mount_json(MINOR, &mount), 0);
	assert_int_equal(json_integer_value(json_object_get(mount, "pid")), getpid());
	assert_string_equal(json_string_value(json_object_get(mount, "name")), "test");
	assert_string_equal(json_string_value(json_object_get(mount, "why_no_bpf")), "it is off");
	json_decref(mount);

	ctl_server_stop(server);
	server = NULL;
	rundir_path(MINOR, NULL, path);
	assert_int_equal(stat(path, &st), -1);
}

static void what_a_killed_daemon_left_is_replaced(void **state)
{
	_cleanup_free_ unsigned *minors = NULL;
	struct sockaddr_un address;
	char path[PATH_MAX];
	size_t count;
	pid_t pid;
	FILE *f;
	int fd;

	(void)state;
	ctl_server_stop(server);
	server = NULL;
	rundir_path(MINOR, NULL, path);
	assert_int_equal(mkdir(path, 0700), 0);
	rundir_path(MINOR, RUNDIR_JSON, path);
	f = fopen(path, "w");
	fputs("{}", f);
	fclose(f);
	rundir_socket(MINOR, &address);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(ctl_server_pid(MINOR, &pid), -ECONNREFUSED);
	start();
	assert_int_equal(ctl_server_pid(MINOR, &pid), 0);
	assert_int_equal(pid, getpid());
	assert_int_equal(ctl_list_mounts(&minors, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(minors[0], MINOR);
}

static void a_server_does_not_remove_its_successors_directory(void **state)
{
	struct ctl_server *old = server;
	pid_t pid;

	(void)state;
	start(); /* the number was given to a new mount while the old daemon was still flushing */
	ctl_server_stop(old);
	assert_int_equal(ctl_server_pid(MINOR, &pid), 0);
}

static void a_run_directory_that_others_can_write_is_refused(void **state)
{
	struct ctl_server *second;
	int r;

	(void)state;
	chmod(run_dir, 0777);
	r = ctl_server_start(t.v, MINOR + 1, &second, &why);
	chmod(run_dir, 0755);
	assert_int_equal(r, -EPERM);
	assert_non_null(strstr(why, run_dir));
}

static void garbage_is_answered_with_an_error(void **state)
{
	static const char *const garbage[] = {
		"",
		"x",
		"{",
		"[",
		"null",
		"[]",
		"1e999",
		"\"stats\"",
		"{}",
		"{\"cmd\"",
		"{\"cmd\":1}",
		"{\"cmd\":\"no such\"}",
		"{\"cmd\":\"stats\"} trailing",
		"{\"cmd\":\"stats\",\"cmd\":\"stats\"}",
		"\x01\x02\xff\xfe",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++)
		assert_request_error(garbage[i], EINVAL);
	assert_error("{\"cmd\":\0\"stats\"}\n", 17, EINVAL);
	json_decref(call(json_pack("{s:s}", "cmd", "stats"))); /* and nobody was harmed */
}

static void nesting_without_end_is_an_error(void **state)
{
	_cleanup_free_ char *deep = malloc(1 << 19);

	(void)state;
	memset(deep, '[', 1 << 19);
	deep[(1 << 19) - 1] = '\n';
	assert_error(deep, 1 << 19, EINVAL);
}

static void a_line_without_end_is_an_error(void **state)
{
	size_t size = (4u << 20) + 10;
	_cleanup_free_ char *line = malloc(size);

	(void)state;
	memset(line, ' ', size);
	assert_error(line, size, EMSGSIZE);
	/* Exactly the limit is a request, if an empty one. */
	line[CTL_LINE_MAX] = '\n';
	assert_error(line, CTL_LINE_MAX + 1, EINVAL);
}

static void wrong_types_and_numbers_are_errors(void **state)
{
	static const char *const bad[] = {
		"{\"cmd\":\"info\"}",
		"{\"cmd\":\"info\",\"ino\":\"1\"}",
		"{\"cmd\":\"info\",\"ino\":0}",
		"{\"cmd\":\"info\",\"ino\":-1}",
		"{\"cmd\":\"info\",\"ino\":1.5}",
		"{\"cmd\":\"info\",\"ino\":99999999999999999999999}",
		"{\"cmd\":\"info\",\"ino\":1,\"max_chunks\":-1}",
		"{\"cmd\":\"info\",\"ino\":1,\"max_chunks\":70000}",
		"{\"cmd\":\"paths\"}",
		"{\"cmd\":\"paths\",\"inos\":{}}",
		"{\"cmd\":\"paths\",\"inos\":[\"1\"]}",
		"{\"cmd\":\"warmup\"}",
		"{\"cmd\":\"warmup\",\"paths\":[1]}",
		"{\"cmd\":\"warmup\",\"paths\":[\"\\\\q\"]}",
		"{\"cmd\":\"warmup\",\"paths\":[\"a\\u0000b\"]}",
		"{\"cmd\":\"warmup\",\"paths\":[],\"threads\":0}",
		"{\"cmd\":\"warmup\",\"paths\":[],\"threads\":100000}",
		"{\"cmd\":\"warmup\",\"paths\":[],\"check\":1}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_request_error(bad[i], EINVAL);
	assert_request_error("{\"cmd\":\"info\",\"ino\":9223372036854775807}", ENOENT);
}

static void more_clients_than_are_served_at_a_time_wait(void **state)
{
	int fds[CTL_CLIENTS_MAX + 4];
	static const char request[] = "{\"cmd\":\"status\"}\n";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) /* none says anything: all places are taken */
		fds[i] = connect_raw();
	assert_int_equal(send(fds[CTL_CLIENTS_MAX], request, sizeof(request) - 1, MSG_NOSIGNAL),
	                 sizeof(request) - 1);
	{
		struct pollfd p = {.fd = fds[CTL_CLIENTS_MAX], .events = POLLIN};

		assert_int_equal(poll(&p, 1, 300), 0);
		close(fds[0]); /* one goes, the next is served */
		assert_int_equal(poll(&p, 1, 10000), 1);
	}
	for (size_t i = 1; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	json_decref(call(json_pack("{s:s}", "cmd", "status")));
}

static void stopping_does_not_wait_for_silent_clients(void **state)
{
	struct timespec a, b;
	int fd = connect_raw(), fd2 = connect_raw();

	(void)state;
	assert_int_equal(send(fd2, "{\"cmd\"", 6, MSG_NOSIGNAL), 6);
	clock_gettime(CLOCK_MONOTONIC, &a);
	ctl_server_stop(server);
	server = NULL;
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true(b.tv_sec - a.tv_sec < 5);
	close(fd);
	close(fd2);
}

static void stats_have_the_keys_that_programs_read(void **state)
{
	static const char *const keys[][2] = {
		{"store", "get"},    {"store", "put"},   {"store", "delete"},  {"store", "list"},
		{"store", "head"},   {"cache", "bytes"}, {"cache", "hits"},    {"cache", "misses"},
		{"ring", "records"}, {"ring", "lost"},   {"daemon", "lookup"}, {"daemon", "read"},
	};
	json_t *stats;

	(void)state;
	test_volume_make(&t, META_ROOT_INO, "f", S_IFREG | 0644, 1000);
	stats = call(json_pack("{s:s}", "cmd", "stats"));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_true(json_is_integer(json_object_get(json_object_get(stats, keys[i][0]), keys[i][1])));
	assert_true(json_is_integer(
		json_object_get(json_object_get(json_object_get(stats, "kernel"), "getattr"), "hit")));
	assert_true(json_is_integer(
		json_object_get(json_object_get(json_object_get(stats, "kernel"), "read"), "miss")));
	/* the descriptor, and the file */
	assert_true(json_integer_value(json_object_get(json_object_get(stats, "store"), "put")) >= 1);
	json_decref(stats);
}

static void info_tells_slices_objects_and_what_is_cached(void **state)
{
	uint64_t ino = test_volume_make(&t, META_ROOT_INO, "f", S_IFREG | 0640, (4 << 20) + 100);
	json_t *info = call(json_pack("{s:s,s:I}", "cmd", "info", "ino", (json_int_t)ino)), *chunks, *slice;

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(info, "size")), (4 << 20) + 100);
	assert_string_equal(json_string_value(json_object_get(info, "mode")), "0640");
	assert_string_equal(json_string_value(json_object_get(info, "type")), "file");
	chunks = json_object_get(info, "chunks");
	assert_int_equal(json_array_size(chunks), 2);
	slice = json_array_get(json_object_get(json_array_get(chunks, 1), "slices"), 0);
	assert_int_equal(json_integer_value(json_object_get(slice, "length")), 100);
	assert_int_equal(strncmp(json_string_value(json_object_get(slice, "object")), "data/", 5), 0);
	assert_true(json_is_false(json_object_get(info, "chunks_truncated")));
	json_decref(info);

	info = call(json_pack("{s:s,s:I,s:i}", "cmd", "info", "ino", (json_int_t)ino, "max_chunks", 1));
	assert_int_equal(json_array_size(json_object_get(info, "chunks")), 1);
	assert_true(json_is_true(json_object_get(info, "chunks_truncated")));
	json_decref(info);
}

static void paths_are_found_and_unknown_ones_left_out(void **state)
{
	uint64_t a = test_volume_make(&t, META_ROOT_INO, "a", S_IFDIR | 0755, 0);
	uint64_t b = test_volume_make(&t, a, "b\xff", S_IFDIR | 0755, 0);
	uint64_t f = test_volume_make(&t, b, "f", S_IFREG | 0644, 0);
	json_t *answer, *paths;
	char key[24];

	(void)state;
	answer = call(json_pack("{s:s,s:[i,I,I,i]}", "cmd", "paths", "inos", META_ROOT_INO, (json_int_t)a,
	                        (json_int_t)f, 424242));
	paths = json_object_get(answer, "paths");
	assert_int_equal(json_object_size(paths), 3);
	assert_string_equal(json_string_value(json_object_get(paths, "1")), "");
	snprintf(key, sizeof(key), "%llu", (unsigned long long)a);
	assert_string_equal(json_string_value(json_object_get(paths, key)), "a");
	snprintf(key, sizeof(key), "%llu", (unsigned long long)f);
	assert_string_equal(json_string_value(json_object_get(paths, key)), "a/b\\xFF/f");
	json_decref(answer);
}

static void count_progress(json_t *progress, void *arg)
{
	assert_true(json_is_integer(json_object_get(progress, "files")));
	(*(unsigned *)arg)++;
}

static void a_warmup_tells_progress_and_what_failed(void **state)
{
	uint64_t ino = test_volume_make(&t, META_ROOT_INO, "na\nme", S_IFREG | 0644, 70000);
	json_t *request = json_pack("{s:s,s:[s,s],s:b}", "cmd", "warmup", "paths", "na\\x0Ame", "nowhere",
	                            "totals", true);
	json_t *answer;
	unsigned progress = 0;

	(void)state;
	cache_forget(t.v->cache, ino);
	assert_int_equal(ctl_call(MINOR, request, 20, count_progress, &progress, &answer, &why), 0);
	assert_true(progress > 0);
	assert_int_equal(json_integer_value(json_object_get(answer, "fetched_bytes")), 70000);
	assert_int_equal(json_integer_value(json_object_get(answer, "failed_count")), 1);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(answer, "failed"), 0), "path")),
	                    "nowhere");
	assert_true(cache_cached_bytes(t.v->cache, ino) > 0);
	json_decref(answer);
	json_decref(request);
}

static void sync_answers_when_all_is_stored(void **state)
{
	(void)state;
	json_decref(call(json_pack("{s:s}", "cmd", "sync")));
}

int main(void)
{
#define SERVED(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)
	const struct CMUnitTest tests[] = {
		SERVED(run_directory_is_private_and_goes_with_the_server),
		SERVED(what_a_killed_daemon_left_is_replaced),
		SERVED(a_server_does_not_remove_its_successors_directory),
		SERVED(a_run_directory_that_others_can_write_is_refused),
		SERVED(garbage_is_answered_with_an_error),
		SERVED(nesting_without_end_is_an_error),
		SERVED(a_line_without_end_is_an_error),
		SERVED(wrong_types_and_numbers_are_errors),
		SERVED(more_clients_than_are_served_at_a_time_wait),
		SERVED(stopping_does_not_wait_for_silent_clients),
		SERVED(stats_have_the_keys_that_programs_read),
		SERVED(info_tells_slices_objects_and_what_is_cached),
		SERVED(paths_are_found_and_unknown_ones_left_out),
		SERVED(a_warmup_tells_progress_and_what_failed),
		SERVED(sync_answers_when_all_is_stored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
