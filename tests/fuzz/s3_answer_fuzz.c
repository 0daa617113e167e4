// SPDX-License-Identifier: Apache-2.0
/*
 * An answer's status, headers and body, a line each as libcurl hands them out, and what is made of them:
 * done, an error, another attempt.  First byte: what was asked for; second: the status.
 */
#include "daemon/store/s3_http.c"
#include "daemon/store/s3_request.c"

#include "tests/fuzz/fuzz.h"

static const long statuses[] = {200, 204, 206, 206, 206, 301, 307, 400, 401, 403,
                                404, 408, 412, 416, 429, 500, 503, 507, 99};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct s3_store store = {
		.base.url = (char *)"s3://bucket", .region = (char *)"here", .retries = 1};
	struct s3_http_answer answer = {0};
	char into[64];
	const struct iovec parts[] = {{into, 1}, {into + 1, 40}, {into + 41, 23}};
	struct s3_request asked = {
		.kind = STORE_GET, .method = "GET", .key = "k", .query = "", .max = sizeof(into)};
	struct s3_http_request request = {.method = "GET", .max = sizeof(into)};
	struct exchange x = {.request = &request, .answer = &answer};
	struct prepared p = {0};
	struct outcome o;
	size_t n = 0;

	if (size < 2)
		return 0;
	if (data[0] & 1) {
		asked.ranged = true;
		asked.into = request.into = parts;
		asked.into_count = request.into_count = ARRAY_SIZE(parts);
		asked.offset = data[0] >> 1;
	}
	answer.status = statuses[data[1] % ARRAY_SIZE(statuses)];
	x.curl = curl_easy_init();
	CHECK(x.curl);
	data += 2;
	size -= 2;
	for (; size && *data != '\n'; data += n, size -= n) {
		const uint8_t *end = memchr(data, '\n', size);
		_cleanup_free_ char *line = NULL;

		n = end ? (size_t)(end - data) + 1 : size;
		line = malloc(n); /* not NUL-terminated: libcurl's are not either */
		CHECK(line);
		memcpy(line, data, n);
		CHECK(on_header(line, 1, n, &x) == n);
	}
	if (size) {
		char *body = fuzz_string(data, size);

		/* The status that on_body() asks libcurl for is 0 here: an error's body, of any length. */
		on_body(body, 1, size, &x);
		free(body);
	}
	if (success(answer.status) && answer.length > sizeof(into))
		answer.length = sizeof(into);
	if (request.into && success(answer.status))
		memset(into, 0, sizeof(into));
	o = judge(&store, &asked, &p, &answer, x.too_long ? -EFBIG : 0);
	CHECK(strnlen(o.message, sizeof(o.message)) < sizeof(o.message));
	CHECK(o.r <= 0);
	if (!o.r && asked.ranged)
		CHECK(answer.length == sizeof(into));
	curl_easy_cleanup(x.curl);
	s3_http_answer_clear(&answer);
	return 0;
}
