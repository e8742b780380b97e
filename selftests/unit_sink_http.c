// SPDX-License-Identifier: Apache-2.0
/* What the sink understands of HTTP: heads, chunks, packed bodies with their bounds, and what it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>
#include "user/otlp.pb-c.h"
#include "user/sink/body.h"
#include "user/sink/reply.h"

#define MAX_BODY 100000

static const struct {
	const char *what, *head;
	int result; /* -errno; 0: not complete; 1: the size of all */
	struct http_head parsed;
} heads[] = {
	{ "a sensor's",
	  "POST /v1/logs?x=1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf; v=1\r\n"
	  "Content-Encoding: GZIP\r\nContent-Length: 42\r\n\r\n",
	  1,
	  { "POST", "/v1/logs", "application/x-protobuf", "gzip", true, false, false, true, 42 } },
	{ "chunks, upper case, white space",
	  "POST / HTTP/1.1\r\nTRANSFER-ENCODING:\t chunked \r\nexpect: 100-Continue\r\n\r\n",
	  1,
	  { "POST", "/", "", "", true, true, true } },
	{ "HTTP/1.0 closes", "GET / HTTP/1.0\r\n\r\n", 1, { "GET", "/" } },
	{ "but not when asked",
	  "GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n",
	  1,
	  { "GET", "/", .keep_alive = true } },
	{ "HTTP/1.1 closes when asked", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 1, { "GET", "/" } },
	{ "two codings are none",
	  "GET / HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\n",
	  1,
	  { "GET", "/", "", "several", true } },
	{ "nothing", "", 0 },
	{ "a part", "POST / HTTP/1.1\r\nHost: a\r\n", 0 },
	{ "almost all", "POST / HTTP/1.1\r\nHost: a\r\n\r", 0 },
	{ "no version", "POST /\r\n\r\n", -EBADMSG },
	{ "HTTP/2", "PRI * HTTP/2.0\r\n\r\n", -EBADMSG },
	{ "another version", "GET / HTTP/1.2\r\n\r\n", -EBADMSG },
	{ "no path", "POST http://a/ HTTP/1.1\r\n\r\n", -EBADMSG },
	{ "two spaces", "POST  / HTTP/1.1\r\n\r\n", -EBADMSG },
	{ "a long method", "AAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n\r\n", -EBADMSG },
	{ "no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", -EBADMSG },
	{ "space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", -EBADMSG },
	{ "a folded line", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", -EBADMSG },
	{ "a bare newline", "GET / HTTP/1.1\nHost: a\r\n\r\n", -EBADMSG },
	{ "two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", -EBADMSG },
	{ "a length and chunks", "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	  -EBADMSG },
	{ "chunks twice", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	  -EBADMSG },
	{ "another coding", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", -ENOSYS },
	{ "a negative length", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", -EBADMSG },
	{ "a length in hexadecimal", "POST / HTTP/1.1\r\nContent-Length: 0x10\r\n\r\n", -EBADMSG },
	{ "an empty length", "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", -EBADMSG },
	{ "a length beyond all", "POST / HTTP/1.1\r\nContent-Length: 18446744073709551617\r\n\r\n", -EBADMSG },
};

static void test_heads(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct http_head head;
		size_t size = strlen(heads[i].head);
		ssize_t r = http_parse_head(heads[i].head, size, &head);
		if (r != (heads[i].result == 1 ? (ssize_t)size : heads[i].result))
			fail_msg("%s: %zd", heads[i].what, r);
		if (heads[i].result != 1)
			continue;
		const struct http_head *want = &heads[i].parsed;
		if (strcmp(head.method, want->method) || strcmp(head.path, want->path) ||
		    strcmp(head.content_type, want->content_type) ||
		    strcmp(head.content_encoding, want->content_encoding) || head.keep_alive != want->keep_alive ||
		    head.chunked != want->chunked || head.expect_continue != want->expect_continue ||
		    head.has_length != want->has_length || head.length != want->length)
			fail_msg("%s: parsed wrongly", heads[i].what);
	}

	static char long_head[HTTP_HEAD_MAX + 100] = "GET / HTTP/1.1\r\nA: ";
	struct http_head head;
	memset(long_head + 19, 'a', sizeof(long_head) - 20);
	assert_int_equal(http_parse_head(long_head, HTTP_HEAD_MAX - 1, &head), 0);
	assert_int_equal(http_parse_head(long_head, HTTP_HEAD_MAX, &head), -EFBIG);
	memcpy(long_head + HTTP_HEAD_MAX, (const char[]) { '\r', '\n', '\r', '\n' }, 4);
	assert_int_equal(http_parse_head(long_head, sizeof(long_head), &head), -EFBIG);
}

/* Reads a chunked body that comes STEP bytes at a time. Returns 0, -EBADMSG, or 1: not complete. */
static int read_chunked(const char *data, size_t size, size_t step, struct buf *out)
{
	struct http_chunks chunks = { 0 };
	size_t at = 0;
	while (chunks.state != CHUNK_DONE) {
		if (at == size)
			return 1;
		size_t payload;
		size_t n = size - at < step ? size - at : step;
		ssize_t used = http_read_chunk(&chunks, data + at, n, &payload);
		if (used < 0)
			return (int)used;
		assert_true(used > 0 && (size_t)used <= n && payload <= (size_t)used);
		at += (size_t)used;
		buf_append(out, data + at - payload, payload);
	}
	assert_int_equal(at, size);
	return 0;
}

static void test_chunks(void **state)
{
	static const struct {
		const char *data, *body;
		int result;
	} cases[] = {
		{ "0\r\n\r\n", "", 0 },
		{ "5\r\nhello\r\n0\r\n\r\n", "hello", 0 },
		{ "5;name=\"v\"\r\nhello\r\n00b\r\n, big world\r\n0\r\nA: b\r\n\r\n", "hello, big world", 0 },
		{ "A\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0 },
		{ "5\r\nhello\r\n", "hello", 1 },
		{ "5\r\nhel", "hel", 1 },
		{ "5\r\nhelloX\r\n", NULL, -EBADMSG },
		{ "x\r\n", NULL, -EBADMSG },
		{ "\r\n", NULL, -EBADMSG },
		{ "-1\r\n", NULL, -EBADMSG },
		{ "1000000000000000\r\n", NULL, -EBADMSG },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t step = 1; step < 50; step++) {
			_cleanup_(buf_free) struct buf out = BUF_INIT(1000);
			int r = read_chunked(cases[i].data, strlen(cases[i].data), step, &out);
			if (r != cases[i].result || (cases[i].body && strcmp(buf_text(&out), cases[i].body)))
				fail_msg("%s in steps of %zu: %d \"%s\"", cases[i].data, step, r, buf_text(&out));
		}
	}

	static char extension[8192];
	memset(extension, 'x', sizeof(extension));
	extension[0] = '1';
	extension[1] = ';';
	_cleanup_(buf_free) struct buf out = BUF_INIT(1000);
	assert_int_equal(read_chunked(extension, sizeof(extension), sizeof(extension), &out), -EBADMSG);
}

/* N bytes of zeros, packed; *ret_size is how much that is. */
static void *pack(size_t n, size_t *ret_size)
{
	unsigned char *zeros = calloc(1, n + 1), *packed = malloc(n + 100);
	assert_true(zeros && packed);
	z_stream stream = { .next_in = zeros, .avail_in = (uInt)n, .next_out = packed, .avail_out = (uInt)n + 100 };
	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	*ret_size = stream.total_out;
	deflateEnd(&stream);
	free(zeros);
	return packed;
}

static void test_body(void **state)
{
	for (size_t n = MAX_BODY - 2; n <= MAX_BODY + 2; n++) {
		size_t size;
		_cleanup_(freep) char *packed = pack(n, &size);
		for (size_t step = 1; step <= size; step = step * 7 + 1) {
			_cleanup_(body_free) struct body body;
			assert_int_equal(body_init(&body, true, MAX_BODY), 0);
			int r = 0;
			for (size_t at = 0; at < size && r == 0; at += step)
				r = body_add(&body, packed + at, size - at < step ? size - at : step);
			assert_int_equal(r, n <= MAX_BODY ? 0 : -EFBIG);
			if (r < 0)
				continue;
			assert_int_equal(body_end(&body), 0);
			assert_int_equal(body.data.size, n);
			assert_int_equal(body.received, size);
		}
	}
}

static void test_body_bounds(void **state)
{
	size_t size;
	_cleanup_(freep) char *packed = pack(1000, &size);
	_cleanup_(body_free) struct body body;

	assert_int_equal(body_init(&body, true, MAX_BODY), 0);
	assert_int_equal(body_end(&body), -EBADMSG);
	assert_int_equal(body_add(&body, packed, size - 1), 0);
	assert_int_equal(body_end(&body), -EBADMSG);
	assert_int_equal(body_add(&body, packed + size - 1, 1), 0);
	assert_int_equal(body_end(&body), 0);
	assert_int_equal(body_add(&body, packed, size), 0);
	assert_int_equal(body_end(&body), 0);
	assert_int_equal(body.data.size, 2000);
	assert_int_equal(body_add(&body, "trailing", 8), -EBADMSG);
	body_free(&body);

	/* What is received is bounded as well: here it is more than it unpacks to. */
	assert_int_equal(body_init(&body, true, 64), 0);
	int r = 0;
	for (int i = 0; i < 10 && r == 0; i++) {
		size_t empty_size;
		_cleanup_(freep) char *empty = pack(0, &empty_size);
		r = body_add(&body, empty, empty_size);
	}
	assert_int_equal(r, -EFBIG);
	body_free(&body);

	assert_int_equal(body_init(&body, false, 10), 0);
	assert_int_equal(body_add(&body, "0123456789", 10), 0);
	assert_int_equal(body_end(&body), 0);
	assert_int_equal(body_add(&body, "0", 1), -EFBIG);
}

static void test_replies(void **state)
{
	struct http_head head = { "POST", "/v1/logs", "application/x-protobuf", "gzip", true };
	struct outcome outcome;
	outcome_of_head(&head, MAX_BODY, &outcome);
	assert_int_equal(outcome.status, 200);
	head.has_length = true;
	head.length = MAX_BODY;
	outcome_of_head(&head, MAX_BODY, &outcome);
	assert_int_equal(outcome.status, 200);
	head.length++;
	outcome_of_head(&head, MAX_BODY, &outcome);
	assert_int_equal(outcome.status, 413);
	snprintf(head.content_encoding, sizeof(head.content_encoding), "br");
	outcome_of_head(&head, MAX_BODY, &outcome);
	assert_int_equal(outcome.status, 415);
	assert_int_equal(outcome.refusal, REFUSED_CONTENT_ENCODING);
	snprintf(head.content_type, sizeof(head.content_type), "application/x-protobuf2");
	outcome_of_head(&head, MAX_BODY, &outcome);
	assert_int_equal(outcome.refusal, REFUSED_CONTENT_TYPE);
	snprintf(head.method, sizeof(head.method), "PUT");
	outcome_of_head(&head, MAX_BODY, &outcome);
	assert_int_equal(outcome.status, 405);

	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	assert_int_equal(reply_put(&outcome, false, &out), 0);
	assert_non_null(strstr(out.data, "HTTP/1.1 405 Method Not Allowed\r\n"));
	assert_non_null(strstr(out.data, "\r\nAllow: POST\r\n"));
	assert_non_null(strstr(out.data, "\r\nConnection: close\r\n"));
	const char *body = strstr(out.data, "\r\n\r\n") + 4;
	Sonde__Otlp__Status *status =
		sonde__otlp__status__unpack(NULL, (size_t)(out.data + out.size - body), (const uint8_t *)body);
	assert_non_null(status);
	assert_string_equal(status->message, "method PUT is not POST");
	sonde__otlp__status__free_unpacked(status, NULL);
	snprintf(head.path, sizeof(head.path), "/");
	outcome_of_head(&head, MAX_BODY, &outcome);
	assert_int_equal(outcome.status, 404);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),       cmocka_unit_test(test_chunks),  cmocka_unit_test(test_body),
		cmocka_unit_test(test_body_bounds), cmocka_unit_test(test_replies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
