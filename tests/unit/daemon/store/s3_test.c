/* SPDX-License-Identifier: Apache-2.0 */
/* What is particular to s3://, against the S3 test server; what every driver does is in contract_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/store/store.h"
#include "tests/harness/s3d_child.h"
#include "tests/harness/tempdir.h"

static struct s3d_child server;
static struct store *store;

static struct store *open_url(const char *url, struct store_options options)
{
	_cleanup_free_ char *why = NULL;
	struct store *s = NULL;

	options.endpoint_url = server.url;
	if (store_open(url, &options, &s, &why) < 0)
		fail_msg("%s", why);
	return s;
}

static int start(void **state)
{
	(void)state;
	return s3d_child_start(&server, NULL);
}

static int stop(void **state)
{
	(void)state;
	return s3d_child_stop(&server);
}

static int open_store(void **state)
{
	(void)state;
	if (s3d_child_faults(&server, "") < 0)
		return -1;
	/* Three retries with full jitter: 0.35 s on average. */
	store = open_url("s3://test", (struct store_options){.retries = 3, .timeout_s = 1});
	return 0;
}

static int close_store(void **state)
{
	(void)state;
	store_close(store);
	return 0;
}

static void inject(const char *faults)
{
	assert_int_equal(s3d_child_faults(&server, faults), 0);
}

static struct store_stats stats(void)
{
	struct store_stats st;

	store_get_stats(store, &st);
	return st;
}

static void assert_said(const char *part)
{
	if (!strstr(store_last_error(), part))
		fail_msg("'%s' is not in '%s'", part, store_last_error());
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* ---- retries ---- */

static void a_busy_server_is_asked_again(void **state)
{
	static const char *const faults[] = {
		"put:status=503,code=SlowDown,times=2",
		"put:status=500,code=InternalError,times=2",
		"put:status=429,times=2",
		"put:status=502,times=2",
		"put:status=400,code=RequestTimeout,times=2",
		"put:status=409,code=OperationAborted,times=2",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct store_stats before = stats(), after;

		inject(faults[i]);
		if (store_put(store, "busy", "x", 1))
			fail_msg("%s: %s", faults[i], store_last_error());
		after = stats();
		assert_int_equal(after.requests[STORE_PUT] - before.requests[STORE_PUT], 3);
		assert_int_equal(after.retries - before.retries, 2);
		assert_int_equal(after.errors[STORE_PUT], before.errors[STORE_PUT]);
	}
}

static void a_dropped_connection_is_opened_again(void **state)
{
	(void)state;
	for (int i = 1; i <= 3; i++) {
		char fault[32];

		snprintf(fault, sizeof(fault), "put:drop,times=%d", i);
		inject(fault);
		assert_int_equal(store_put(store, "dropped", "x", 1), 0);
	}
}

static void a_server_that_stays_busy_is_given_up(void **state)
{
	char c;

	(void)state;
	inject("get:status=503,code=SlowDown");
	assert_int_equal(store_get(store, "k", 0, 1, &c), -EIO);
	assert_int_equal(stats().requests[STORE_GET], 4);
	assert_int_equal(stats().errors[STORE_GET], 1);
	assert_said("GET s3://test/k: 503 SlowDown");
	assert_said("4 attempts");
}

static void what_is_refused_is_not_asked_again(void **state)
{
	static const struct {
		const char *faults;
		int r;
	} cases[] = {
		{"put:status=403,code=AccessDenied", -EACCES},
		{"put:status=404,code=NoSuchBucket", -ENOENT},
		{"put:status=400,code=InvalidRequest", -EIO},
		{"put:status=501,code=NotImplemented", -EIO},
		{"put:status=507,code=XMinioStorageFull", -ENOSPC},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t before = stats().requests[STORE_PUT];

		inject(cases[i].faults);
		assert_int_equal(store_put(store, "refused", "x", 1), cases[i].r);
		assert_int_equal(stats().requests[STORE_PUT] - before, 1);
	}
}

static void retry_after_is_waited_for(void **state)
{
	double begun = now();

	(void)state;
	inject("put:status=503,retry_after=1,times=1");
	assert_int_equal(store_put(store, "patient", "x", 1), 0);
	assert_true(now() - begun >= 1);
}

static void a_server_that_is_not_there_is_given_up(void **state)
{
	struct store_options options = {.endpoint_url = "http://127.0.0.1:1", .retries = 1};
	_cleanup_free_ char *why = NULL;
	struct store *s;

	(void)state;
	assert_int_equal(store_open("s3://test", &options, &s, &why), 0);
	assert_int_equal(store_put(s, "k", "x", 1), -EIO);
	assert_said("2 attempts");
	store_close(s);
}

static void a_silent_server_times_out(void **state)
{
	struct store *s = open_url("s3://test", (struct store_options){.retries = 1, .timeout_s = 1});
	char c;

	(void)state;
	assert_int_equal(store_put(s, "silent", "x", 1), 0);
	inject("get:delay_ms=3000");
	assert_int_equal(store_get(s, "silent", 0, 1, &c), -ETIMEDOUT);
	store_close(s);
}

static void a_stalled_body_is_fetched_again(void **state)
{
	_cleanup_free_ char *in = malloc(2000), *out = calloc(1, 2000);

	(void)state;
	memset(in, 'q', 2000);
	assert_int_equal(store_put(store, "stalled", in, 2000), 0);
	inject("get:stall_ms=6000,times=1");
	assert_int_equal(store_get(store, "stalled", 0, 2000, out), 0);
	assert_memory_equal(in, out, 2000);
	assert_int_equal(stats().retries, 1);
}

/* ---- answers that do not fit ---- */

static void a_cut_body_is_fetched_again(void **state)
{
	_cleanup_free_ void *data = NULL;
	char out[1000];
	size_t n;

	(void)state;
	memset(out, 'c', sizeof(out));
	assert_int_equal(store_put(store, "cut", out, sizeof(out)), 0);
	memset(out, 0, sizeof(out));
	inject("get:cut,times=1");
	assert_int_equal(store_get(store, "cut", 0, sizeof(out), out), 0);
	assert_int_equal(out[999], 'c');
	inject("get:cut,times=1");
	assert_int_equal(store_get_all(store, "cut", 1000, &data, &n), 0);
	assert_int_equal(n, 1000);
	inject("get:cut");
	assert_int_equal(store_get(store, "cut", 0, sizeof(out), out), -EIO);
}

static void wrong_bytes_are_noticed_by_the_checksum(void **state)
{
	_cleanup_free_ void *data = NULL;
	void *none = NULL;
	size_t n;

	(void)state;
	assert_int_equal(store_put(store, "corrupt", "0123456789", 10), 0);
	inject("get:corrupt,times=1");
	assert_int_equal(store_get_all(store, "corrupt", 10, &data, &n), 0);
	assert_memory_equal(data, "0123456789", 10);
	inject("get:corrupt");
	assert_int_equal(store_get_all(store, "corrupt", 10, &none, &n), -EBADMSG);
	assert_null(none);
	assert_said("CRC32C");
}

static void another_range_than_asked_is_refused(void **state)
{
	char out[4];

	(void)state;
	assert_int_equal(store_put(store, "shifted", "0123456789", 10), 0);
	inject("get:shift");
	assert_int_equal(store_get(store, "shifted", 2, 4, out), -EBADMSG);
	assert_said("Content-Range");
	inject("get:shift,times=1");
	assert_int_equal(store_get(store, "shifted", 2, 4, out), 0);
	assert_memory_equal(out, "2345", 4);
}

static int ignore(const struct store_object *o, void *arg)
{
	(void)o;
	++*(unsigned *)arg;
	return 0;
}

static void a_page_of_something_else_is_no_listing(void **state)
{
	unsigned n = 0;

	(void)state;
	inject("list:garbage");
	assert_int_equal(store_list(store, "", ignore, &n), -EBADMSG);
	assert_int_equal(n, 0);
	assert_said("ListBucketResult");
}

/* ---- put_new ---- */

static void put_new_knows_its_own_lost_answer(void **state)
{
	(void)state;
	inject("put:drop,late,times=1");
	assert_int_equal(store_put_new(store, "lost/mine", "mine", 4), 0);
	/* Dropped before it was carried out: the object is not there yet. */
	inject("put:drop,times=1");
	assert_int_equal(store_put_new(store, "lost/again", "mine", 4), 0);
}

struct rival {
	struct store *store;
	const char *key;
};

static void *put_rival(void *arg)
{
	struct rival *r = arg;

	usleep(300000);
	store_put(r->store, r->key, "theirs", 6);
	return NULL;
}

static void put_new_does_not_take_anothers_object_for_its_own(void **state)
{
	struct rival rival = {.key = "lost/theirs"};
	pthread_t thread;

	(void)state;
	/* Our first attempt is slow and fails; meanwhile a rival, whose put is the second, gets in. */
	inject("put:status=503,delay_ms=800,times=1");
	rival.store = open_url("s3://test", (struct store_options){0});
	pthread_create(&thread, NULL, put_rival, &rival);
	assert_int_equal(store_put_new(store, "lost/theirs", "mine!!", 6), -EEXIST);
	pthread_join(thread, NULL);
	store_close(rival.store);
}

/* ---- refusals, in words ---- */

static void a_missing_bucket_is_said(void **state)
{
	struct store *s = open_url("s3://no-such-bucket", (struct store_options){0});
	unsigned n = 0;
	char c;

	(void)state;
	assert_int_equal(store_get(s, "k", 0, 1, &c), -ENOENT);
	assert_said("NoSuchBucket");
	assert_said("create the bucket");
	assert_int_equal(store_put(s, "k", "x", 1), -ENOENT);
	assert_int_equal(store_list(s, "", ignore, &n), -ENOENT);
	assert_int_equal(store_delete(s, "k"), -ENOENT);
	store_close(s);
}

static void a_wrong_region_is_said(void **state)
{
	struct store *s = open_url("s3://test", (struct store_options){.region = "eu-west-3"});
	uint64_t size;

	(void)state;
	assert_int_equal(store_put(s, "k", "x", 1), -EIO);
	assert_said("AuthorizationHeaderMalformed");
	assert_said("the bucket is in region us-east-1, the request was for eu-west-3");
	assert_int_equal(store_head(s, "k", &size), -EIO);
	assert_said("the bucket is in region us-east-1");
	assert_int_equal(stats().retries, 0);
	store_close(s);
	inject("put:status=301,code=PermanentRedirect");
	assert_int_equal(store_put(store, "k", "x", 1), -EIO);
	assert_said("--region");
}

static void wrong_keys_are_said_and_not_shown(void **state)
{
	struct store *s;

	(void)state;
	setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-secret", 1);
	s = open_url("s3://test", (struct store_options){0});
	assert_int_equal(store_put(s, "k", "x", 1), -EACCES);
	assert_said("SignatureDoesNotMatch");
	assert_said("AWS_SECRET_ACCESS_KEY");
	assert_null(strstr(store_last_error(), "wrong-and-secret"));
	assert_null(strstr(store_url(s), "secret"));
	store_close(s);
	setenv("AWS_SECRET_ACCESS_KEY", "test-secret-key", 1);
	setenv("AWS_ACCESS_KEY_ID", "nobody", 1);
	s = open_url("s3://test", (struct store_options){0});
	assert_int_equal(store_put(s, "k", "x", 1), -EACCES);
	assert_said("InvalidAccessKeyId");
	store_close(s);
	setenv("AWS_ACCESS_KEY_ID", "test-access-key", 1);
	inject("put:status=403,code=RequestTimeTooSkewed");
	assert_int_equal(store_put(store, "k", "x", 1), -EACCES);
	assert_said("clock");
}

static void nothing_secret_is_logged(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	FILE *old = stderr, *f = open_memstream(&text, &n);

	(void)state;
	stderr = f;
	log_set_level(LOG_DEBUG);
	inject("put:status=503,times=1");
	store_close(open_url("s3://test", (struct store_options){0}));
	store_put(store, "logged", "x", 1);
	log_set_level(LOG_INFO);
	stderr = old;
	fclose(f);
	assert_non_null(strstr(text, "503"));
	assert_null(strstr(text, "test-secret-key"));
	assert_null(strstr(text, "Signature="));
}

static void open_says_what_is_wrong(void **state)
{
	static const struct {
		const char *url, *endpoint, *region, *says;
	} cases[] = {
		{"s3://", NULL, NULL, "bucket name"},
		{"s3:///x", NULL, NULL, "bucket name"},
		{"s3://ab", NULL, NULL, "bucket name"},
		{"s3://Upper", NULL, NULL, "bucket name"},
		{"s3://a_b", NULL, NULL, "bucket name"},
		{"s3://bucket/..", NULL, NULL, "prefix"},
		{"s3://bucket/a//b", NULL, NULL, "prefix"},
		{"s3://bucket/a b", NULL, NULL, "prefix"},
		{"s3://bucket", "ftp://x", NULL, "endpoint"},
		{"s3://bucket", "127.0.0.1:9000", NULL, "endpoint"},
		{"s3://bucket", "http://user:pw@h", NULL, "endpoint"},
		{"s3://bucket", "http://h/?x=1", NULL, "endpoint"},
		{"s3://bucket", NULL, "eu west\r\n", "region"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct store_options options = {.endpoint_url = cases[i].endpoint, .region = cases[i].region};
		_cleanup_free_ char *why = NULL;
		struct store *s = NULL;

		if (store_open(cases[i].url, &options, &s, &why) != -EINVAL || !why ||
		    !strstr(why, cases[i].says))
			fail_msg("%s: %s", cases[i].url, why ? why : "opened");
		assert_null(s);
	}
}

static void missing_credentials_are_said_at_open(void **state)
{
	const char *home_now = getenv("HOME");
	_cleanup_free_ char *why = NULL, *home = home_now ? strdup(home_now) : NULL;
	struct store *s = NULL;

	(void)state;
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	setenv("HOME", "/nonexistent", 1);
	assert_int_equal(store_open("s3://test", NULL, &s, &why), -EINVAL);
	assert_non_null(strstr(why, "AWS_ACCESS_KEY_ID"));
	setenv("AWS_ACCESS_KEY_ID", "test-access-key", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "test-secret-key", 1);
	if (home)
		setenv("HOME", home, 1);
}

/* ---- connections ---- */

static void connections_are_reused(void **state)
{
	long before = s3d_child_stat(&server, "connections");
	char c;

	(void)state;
	assert_int_equal(store_put(store, "reused", "x", 1), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(store_get(store, "reused", 0, 1, &c), 0);
	/* One of the store, and those of the questions for the number themselves. */
	assert_in_range(s3d_child_stat(&server, "connections") - before, 1, 2);
}

static void the_endpoint_may_come_from_the_environment(void **state)
{
	_cleanup_free_ char *why = NULL;
	struct store *s;

	(void)state;
	setenv("AWS_ENDPOINT_URL", server.url, 1);
	assert_int_equal(store_open("s3://test", NULL, &s, &why), 0);
	unsetenv("AWS_ENDPOINT_URL");
	assert_int_equal(store_put(s, "environment", "x", 1), 0);
	store_close(s);
}

static void a_session_token_is_sent(void **state)
{
	static const char *const arguments[] = {"--session-token", "the/token==", "--region", "eu-north-1",
	                                        NULL};
	struct store_options options = {.region = "eu-north-1"};
	_cleanup_free_ char *why = NULL;
	struct s3d_child other;
	struct store *s;

	(void)state;
	assert_int_equal(s3d_child_start(&other, arguments), 0);
	options.endpoint_url = other.url;
	setenv("AWS_SESSION_TOKEN", "the/token==", 1);
	assert_int_equal(store_open("s3://test", &options, &s, &why), 0);
	unsetenv("AWS_SESSION_TOKEN");
	assert_int_equal(store_put(s, "k", "x", 1), 0);
	store_close(s);
	assert_int_equal(store_open("s3://test", &options, &s, &why), 0);
	assert_int_equal(store_put(s, "k", "x", 1), -EIO);
	assert_said("InvalidToken");
	store_close(s);
	assert_int_equal(s3d_child_stop(&other), 0);
}

static void a_certificate_must_be_trusted(void **state)
{
	_cleanup_free_ char *command = NULL, *cert = NULL, *key = NULL, *why = NULL;
	char *directory = tempdir_make();
	struct store_options options = {0};
	struct s3d_child tls;
	struct store *s;

	(void)state;
	assert_true(asprintf(&cert, "%s/cert.pem", directory) > 0 &&
	            asprintf(&key, "%s/key.pem", directory) > 0);
	assert_true(asprintf(&command,
	                     "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext "
	                     "subjectAltName=IP:127.0.0.1 -keyout %s -out %s 2>/dev/null",
	                     key, cert) > 0);
	assert_int_equal(system(command), 0);
	{
		const char *const arguments[] = {"--tls-cert", cert, "--tls-key", key, NULL};

		assert_int_equal(s3d_child_start(&tls, arguments), 0);
	}
	options.endpoint_url = tls.url;
	assert_int_equal(store_open("s3://test", &options, &s, &why), 0);
	assert_int_equal(store_put(s, "k", "x", 1), -EACCES);
	assert_said("certificate");
	setenv("AWS_CA_BUNDLE", cert, 1);
	assert_int_equal(store_put(s, "k", "x", 1), 0);
	unsetenv("AWS_CA_BUNDLE");
	store_close(s);
	assert_int_equal(s3d_child_stop(&tls), 0);
	tempdir_remove(directory);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, open_store, close_store)
	const struct CMUnitTest cases[] = {
		CASE(a_busy_server_is_asked_again),
		CASE(a_dropped_connection_is_opened_again),
		CASE(a_server_that_stays_busy_is_given_up),
		CASE(what_is_refused_is_not_asked_again),
		CASE(retry_after_is_waited_for),
		CASE(a_server_that_is_not_there_is_given_up),
		CASE(a_silent_server_times_out),
		CASE(a_stalled_body_is_fetched_again),
		CASE(a_cut_body_is_fetched_again),
		CASE(wrong_bytes_are_noticed_by_the_checksum),
		CASE(another_range_than_asked_is_refused),
		CASE(a_page_of_something_else_is_no_listing),
		CASE(put_new_knows_its_own_lost_answer),
		CASE(put_new_does_not_take_anothers_object_for_its_own),
		CASE(a_missing_bucket_is_said),
		CASE(a_wrong_region_is_said),
		CASE(wrong_keys_are_said_and_not_shown),
		CASE(nothing_secret_is_logged),
		CASE(open_says_what_is_wrong),
		CASE(missing_credentials_are_said_at_open),
		CASE(connections_are_reused),
		CASE(the_endpoint_may_come_from_the_environment),
		CASE(a_session_token_is_sent),
		CASE(a_certificate_must_be_trusted),
	};

	return cmocka_run_group_tests(cases, start, stop);
}
