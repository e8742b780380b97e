// SPDX-License-Identifier: Apache-2.0
/* Delivery against a real TLS backend: what arrives, what is retried, dropped and said. The books balance after each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "selftests/backend.h"
#include "selftests/ship_fixture.h"
#include "user/clock.h"

/* A backend that demands a client certificate of ours. */
static struct backend *start_backend(void)
{
	struct backend *backend = backend_start(&(struct backend_options) { .cert = fixture_file("server.crt"),
	                                                                    .key = fixture_file("server.key"),
	                                                                    .client_ca = fixture_file("ca.crt") });
	assert_non_null(backend);
	return backend;
}

static void test_delivers(void **state)
{
	struct fixture fixture;
	struct backend *backend = start_backend();
	struct backend_request request;
	struct ship_status status;
	fixture_prepare(&fixture, backend_port(backend));
	fixture_push(&fixture, RECORD_FLOW, 60, 0);
	fixture_push(&fixture, RECORD_PACKET, 35, 100);
	fixture_start(&fixture);
	size_t records = 0, encoded = 0, sent = 0;
	for (size_t i = 0; i < 10; i++) {
		assert_true(backend_wait(backend, i, &request));
		assert_int_equal(request.sequence, i + 1);
		assert_int_equal(request.batch_records, request.records);
		assert_int_equal(request.records, i < 9 ? 10 : 5);
		records += request.records;
		encoded += request.encoded;
		sent += request.size;
	}
	assert_int_equal(records, 95);
	assert_true(strncmp(request.head, "POST /v1/logs HTTP/1.1\r\n", 24) == 0);
	assert_non_null(strstr(request.head, "Content-Type: application/x-protobuf"));
	assert_null(strstr(request.head, "Expect"));
	assert_true(eventually(&fixture, is_up, NULL));
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).acked, 60);
	assert_int_equal(fixture_account(&fixture, RECORD_PACKET).acked, 35);

	ship_status(fixture.ship, &status);
	assert_string_equal(status.last_error, "");
	assert_int_equal(status.sequence, 10);
	assert_int_equal(status.batches_sent, 10);
	assert_int_equal(status.batches_retried, 0);
	assert_int_equal(status.bytes_encoded, encoded);
	assert_int_equal(status.bytes_compressed, sent);
	assert_int_equal(status.bytes_sent, sent);
	assert_int_equal(status.cert_expiry, fixture_not_after);
	assert_int_equal(status.ca_expiry, fixture_not_after);
	assert_int_equal(backend_connections(backend), 1);
	assert_int_equal(fixture.sockets_opened, 1);
	fixture_finish(&fixture, SECOND);
	backend_stop(backend);
}

/* A few records go when they are old enough, later ones too; a full batch does not wait for its age. */
static void test_age_and_wake(void **state)
{
	struct fixture fixture;
	struct backend *backend = start_backend();
	struct backend_request request;
	fixture_prepare(&fixture, backend_port(backend));
	fixture_start(&fixture);
	fixture_push(&fixture, RECORD_FLOW, 3, 0);
	assert_true(backend_wait(backend, 0, &request));
	assert_int_equal(request.records, 3);
	fixture_push(&fixture, RECORD_FLOW, 2, 0);
	assert_true(backend_wait(backend, 1, &request));
	assert_int_equal(request.records, 2);

	fixture.options.batch_age_ns = 3600 * SECOND;
	assert_int_equal(ship_reload(fixture.ship, &fixture.options), 0);
	/* The age of before may still be running: then these ten go with it. */
	fixture_push(&fixture, RECORD_FLOW, 10, 0);
	assert_true(backend_wait(backend, 2, &request));
	fixture_push(&fixture, RECORD_FLOW, 10, 0);
	assert_true(backend_wait(backend, 3, &request));
	assert_int_equal(request.records, 10);
	fixture_finish(&fixture, SECOND);
	backend_stop(backend);
}

static void test_bound_in_bytes(void **state)
{
	struct fixture fixture;
	struct backend *backend = start_backend();
	struct backend_request request;
	size_t records = 0;
	fixture_prepare(&fixture, backend_port(backend));
	fixture.options.gzip = false;
	fixture.options.batch_records = 1000;
	fixture.options.batch_bytes = 20000;
	fixture_push(&fixture, RECORD_PACKET, 50, 1000);
	fixture_push(&fixture, RECORD_PACKET, 1, 60000); /* more than a batch may have: goes alone */
	fixture_start(&fixture);
	for (size_t i = 0; records < 51; i++) {
		assert_true(backend_wait(backend, i, &request));
		assert_null(strstr(request.head, "Content-Encoding"));
		assert_true(request.size <= 20000 || request.records == 1);
		records += request.records;
	}
	assert_in_range(backend_requests(backend), 51 / 10, 51 / 4);
	fixture_finish(&fixture, SECOND);
	backend_stop(backend);
}

/* 503 with Retry-After: the same bytes under the same sequence, and not sooner. */
static void test_unavailable(void **state)
{
	struct fixture fixture;
	struct backend *backend = start_backend();
	struct backend_request first, second, third;
	struct ship_status status;
	backend_script(backend, &(struct backend_answer) { .status = 503, .headers = "Retry-After: 1\r\n" });
	fixture_prepare(&fixture, backend_port(backend));
	fixture_push(&fixture, RECORD_FLOW, 10, 0);
	fixture_start(&fixture);
	assert_true(backend_wait(backend, 0, &first));
	assert_says(&fixture, "not ready (status 503)");
	fixture_push(&fixture, RECORD_FLOW, 5, 0);
	assert_true(backend_wait(backend, 1, &second));
	assert_true(second.time_ns - first.time_ns >= SECOND);
	assert_int_equal(first.sequence, 1);
	assert_int_equal(second.sequence, 1);
	assert_int_equal(first.checksum, second.checksum);
	assert_true(backend_wait(backend, 2, &third));
	assert_int_equal(third.sequence, 2);
	assert_true(eventually(&fixture, is_up, NULL));
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).acked, 15);
	ship_status(fixture.ship, &status);
	assert_int_equal(status.batches_sent, 2);
	assert_int_equal(status.batches_retried, 1);
	assert_string_equal(status.last_error, "");
	fixture_finish(&fixture, SECOND);
	backend_stop(backend);
}

static void test_refused(void **state)
{
	struct fixture fixture;
	struct backend *backend = start_backend();
	struct backend_request request;
	backend_script(backend, &(struct backend_answer) { 400, NULL, "\x08\x03\x12\x07no such", 11 });
	backend_script(backend, &(struct backend_answer) { 302, "Location: https://127.0.0.1:1/\r\n", NULL, 0 });
	fixture_prepare(&fixture, backend_port(backend));
	fixture_push(&fixture, RECORD_FLOW, 10, 0);
	fixture_start(&fixture);
	assert_says(&fixture, "malformed (status 400): no such");
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).dropped[DROP_REFUSED], 10);
	fixture_push(&fixture, RECORD_FLOW, 10, 0);
	assert_says(&fixture, "redirects are not followed");
	fixture_push(&fixture, RECORD_FLOW, 10, 0);
	assert_true(backend_wait(backend, 2, &request));
	assert_int_equal(request.sequence, 3);
	assert_true(eventually(&fixture, is_up, NULL));
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).dropped[DROP_REFUSED], 20);
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).acked, 10);
	fixture_finish(&fixture, SECOND);
	backend_stop(backend);
}

static void test_partial_success(void **state)
{
	struct fixture fixture;
	struct backend *backend = start_backend();
	backend_script(backend, &(struct backend_answer) { 200, NULL, "\x0a\x07\x08\x03\x12\x03old", 9 });
	fixture_prepare(&fixture, backend_port(backend));
	fixture_push(&fixture, RECORD_FLOW, 10, 0);
	fixture_start(&fixture);
	assert_true(eventually(&fixture, is_up, NULL));
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).acked, 7);
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).dropped[DROP_REJECTED], 3);
	fixture_finish(&fixture, SECOND);
	backend_stop(backend);
}

static void test_dead_then_back(void **state)
{
	struct fixture fixture;
	struct backend *backend = start_backend();
	struct backend_request request;
	int port = backend_port(backend);
	backend_stop(backend);
	fixture_prepare(&fixture, port);
	fixture_push(&fixture, RECORD_FLOW, 10, 0);
	fixture_start(&fixture);
	assert_says(&fixture, "refuses connections");
	backend = backend_start(&(struct backend_options) { .cert = fixture_file("server.crt"),
	                                                    .key = fixture_file("server.key"),
	                                                    .client_ca = fixture_file("ca.crt"),
	                                                    .port = port });
	assert_non_null(backend);
	assert_true(backend_wait(backend, 0, &request));
	assert_int_equal(request.sequence, 1);
	assert_true(eventually(&fixture, is_up, NULL));
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).acked, 10);
	fixture_finish(&fixture, SECOND);
	backend_stop(backend);
}

/* A kept connection that the backend closed is no failure. */
static void test_closed_connection(void **state)
{
	struct fixture fixture;
	struct ship_status status;
	struct backend *backend = backend_start(&(struct backend_options) {
		.cert = fixture_file("server.crt"), .key = fixture_file("server.key"), .closes = true });
	fixture_prepare(&fixture, backend_port(backend));
	fixture_push(&fixture, RECORD_FLOW, 30, 0);
	fixture_start(&fixture);
	assert_true(backend_wait(backend, 2, NULL));
	assert_true(eventually(&fixture, is_up, NULL));
	ship_status(fixture.ship, &status);
	assert_int_equal(status.batches_retried, 0);
	assert_int_equal(backend_connections(backend), 3);
	assert_int_equal(fixture.sockets_opened, 3);
	fixture_finish(&fixture, SECOND);
	backend_stop(backend);
}

static void test_timeout(void **state)
{
	struct fixture fixture;
	struct backend *backend = start_backend();
	backend_script(backend, &(struct backend_answer) { .status = 0 });
	fixture_prepare(&fixture, backend_port(backend));
	fixture.options.timeout_ns = SECOND / 5;
	fixture_push(&fixture, RECORD_PACKET, 10, 10);
	fixture_start(&fixture);
	assert_says(&fixture, "no answer within backend.timeout");
	fixture_finish(&fixture, 0);
	backend_stop(backend);
}

static void test_answer_too_long(void **state)
{
	struct fixture fixture;
	struct backend *backend = start_backend();
	static char body[70000];
	backend_script(backend, &(struct backend_answer) { 200, NULL, body, sizeof(body) });
	fixture_prepare(&fixture, backend_port(backend));
	fixture_push(&fixture, RECORD_FLOW, 10, 0);
	fixture_start(&fixture);
	assert_says(&fixture, "exceeds 64 KiB");
	assert_true(backend_wait(backend, 1, NULL));
	assert_true(eventually(&fixture, is_up, NULL));
	fixture_finish(&fixture, SECOND);
	backend_stop(backend);
}

static void test_no_backend(void **state)
{
	struct fixture fixture;
	fixture_prepare(&fixture, 0);
	fixture_push(&fixture, RECORD_FLOW, 25, 0);
	fixture_start(&fixture);
	assert_true(eventually(&fixture, all_settled, NULL));
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).dropped[DROP_NO_BACKEND], 25);
	assert_says(&fixture, "backend.url is empty");
	fixture_finish(&fixture, SECOND);
}

/* A stop sends what is queued, without waiting for its age. */
static void test_stop_sends_the_rest(void **state)
{
	struct fixture fixture;
	struct backend *backend = start_backend();
	fixture_prepare(&fixture, backend_port(backend));
	fixture.options.batch_age_ns = 3600 * SECOND;
	fixture.options.batch_records = 100;
	backend_script(backend, &(struct backend_answer) { .status = 503, .headers = "Retry-After: 60\r\n" });
	fixture_start(&fixture);
	fixture_push(&fixture, RECORD_FLOW, 7, 0);
	ship_stop(fixture.ship, 5 * SECOND);
	assert_int_equal(backend_requests(backend), 2);
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).acked, 7);
	assert_int_equal(queue_waiting(fixture.queue), 0);
	queue_free(fixture.queue, DROP_SHUTDOWN);
	books_free(fixture.books);
	backend_stop(backend);
}

/* A backend that never answers holds a stop up to its deadline, and no longer; what is left is in the queue. */
static void test_stop_deadline(void **state)
{
	struct fixture fixture;
	struct backend *backend = start_backend();
	backend_script(backend, &(struct backend_answer) { .status = 0 });
	fixture_prepare(&fixture, backend_port(backend));
	fixture_push(&fixture, RECORD_FLOW, 15, 0);
	fixture_start(&fixture);
	assert_true(backend_wait(backend, 0, NULL));
	uint64_t begun = clock_monotonic_ns();
	ship_stop(fixture.ship, SECOND / 2);
	uint64_t took = clock_monotonic_ns() - begun;
	assert_in_range(took, SECOND / 2, 2 * SECOND);
	assert_int_equal(fixture.sockets_open, 0);

	struct queue_level level;
	books_begin(fixture.books);
	queue_level(fixture.queue, &level);
	books_commit(fixture.books);
	assert_int_equal(level.records[RECORD_FLOW], 15);
	assert_int_equal(level.waiting, 5);
	queue_free(fixture.queue, DROP_SHUTDOWN);
	assert_int_equal(fixture_account(&fixture, RECORD_FLOW).dropped[DROP_SHUTDOWN], 15);
	books_free(fixture.books);
	backend_stop(backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivers),       cmocka_unit_test(test_age_and_wake),
		cmocka_unit_test(test_bound_in_bytes), cmocka_unit_test(test_unavailable),
		cmocka_unit_test(test_refused),        cmocka_unit_test(test_partial_success),
		cmocka_unit_test(test_dead_then_back), cmocka_unit_test(test_closed_connection),
		cmocka_unit_test(test_timeout),        cmocka_unit_test(test_answer_too_long),
		cmocka_unit_test(test_no_backend),     cmocka_unit_test(test_stop_sends_the_rest),
		cmocka_unit_test(test_stop_deadline),
	};
	return cmocka_run_group_tests_name("ship", tests, fixture_setup, fixture_teardown);
}
