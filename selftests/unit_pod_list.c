// SPDX-License-Identifier: Apache-2.0
/* The pod list from a real HTTPS server: what it is asked, tokens that change, readers all the while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "selftests/pod_fixture.h"

static void test_request(void **state)
{
	struct pod_fixture *fixture = *state;
	struct backend_request request;
	pod_fixture_answer(fixture, 200, NULL, LIST(POD(UID, "web") "," POD(UID2, "db")));
	fixture->options.interval_ns = 3600 * NS_PER_SEC;
	pod_fixture_start(fixture);
	struct pod_list_status status = pod_fixture_wait(fixture, true);
	assert_int_equal(status.pods, 2);
	assert_int_equal(status.refreshes, 1);
	assert_int_equal(status.failures, 0);
	assert_string_equal(status.last_error, "");
	assert_true(status.listed_ns && status.listed_ns <= clock_monotonic_ns());
	assert_string_equal(pod_fixture_app(fixture, UID), "web");
	assert_string_equal(pod_fixture_app(fixture, "000000004a5e4f608b7c9d0e1f2a3b4c"), "db");
	assert_null(pod_list_find(fixture->list, "00000000-0000-0000-0000-000000000000"));
	assert_null(pod_list_find(fixture->list, ""));
	assert_null(pod_list_find(fixture->list, NULL));
	assert_null(pod_list_find(NULL, UID));
	assert_int_equal(fixture->sockets_opened, 1);

	assert_true(backend_wait(fixture->server, 0, &request));
	assert_ptr_equal(strstr(request.head, "GET /pods HTTP/1.1\r\n"), request.head);
	assert_non_null(strstr(request.head, "\r\nAuthorization: Bearer first.token\r\n"));
	assert_non_null(strstr(request.head, "\r\nUser-Agent: sonde/7\r\n"));
	assert_non_null(strstr(request.head, "\r\nAccept: application/json;as=PartialObjectMetadataList;"));
	assert_int_equal(request.size, 0);
}

static void test_no_token(void **state)
{
	struct pod_fixture *fixture = *state;
	struct backend_request request;
	pod_fixture_answer(fixture, 403, NULL, "");
	fixture->options.token_file = "";
	fixture->options.interval_ns = 3600 * NS_PER_SEC;
	pod_fixture_start(fixture);
	pod_fixture_expect_error(fixture, "demands a token: set node.pods_token_file (status 403)");
	assert_true(backend_wait(fixture->server, 0, &request));
	assert_null(strstr(request.head, "Authorization"));
}

/* A token that was replaced is used by the next request, though the connection is the same. */
static void test_token_is_rotated(void **state)
{
	struct pod_fixture *fixture = *state;
	struct backend_request request;
	for (int i = 0; i < 50; i++)
		pod_fixture_answer(fixture, 200, NULL, LIST(POD(UID, "web")));
	pod_fixture_start(fixture);
	pod_fixture_wait(fixture, true);
	pod_fixture_write_token(fixture, "second.token \r\n");
	for (size_t i = 1; i < 50; i++) {
		assert_true(backend_wait(fixture->server, i, &request));
		if (strstr(request.head, "\r\nAuthorization: Bearer second.token\r\n"))
			break;
		/* In between the file may have been empty. */
		assert_non_null(strstr(request.head, "\r\nAuthorization: Bearer first.token\r\n"));
	}
	assert_non_null(strstr(request.head, "second.token"));
	assert_int_equal(backend_connections(fixture->server), 1);
}

static void test_token_files(void **state)
{
	static const struct {
		const char *text, *told;
	} rows[] = {
		{ "", "node.pods_token_file holds no token" },
		{ " \n", "node.pods_token_file holds no token" },
		{ "two words", "node.pods_token_file holds no token" },
		{ "a\r\nX-Header: b", "node.pods_token_file holds no token" },
		{ "\xc3\xa4", "node.pods_token_file holds no token" },
		{ NULL, "node.pods_token_file cannot be read (No such file or directory): check that /tmp/" },
	};
	struct pod_fixture *fixture = *state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].text)
			pod_fixture_write_token(fixture, rows[i].text);
		else
			unlink(fixture->token);
		pod_fixture_start(fixture);
		pod_fixture_expect_error(fixture, rows[i].told);
		pod_list_stop(TAKE_PTR(fixture->list));
	}
	assert_int_equal(backend_requests(fixture->server), 0);

	/* One that is there again is as good as ever. */
	pod_fixture_answer(fixture, 200, NULL, LIST(POD(UID, "web")));
	pod_fixture_start(fixture);
	pod_fixture_wait(fixture, false);
	pod_fixture_write_token(fixture, "first.token");
	pod_fixture_wait(fixture, true);
	assert_string_equal(pod_fixture_app(fixture, UID), "web");
}

/* A stop does not wait for an answer. */
static void test_stop_breaks_off(void **state)
{
	struct pod_fixture *fixture = *state;
	pod_fixture_answer(fixture, 0, NULL, "");
	fixture->options.timeout_ns = 60 * NS_PER_SEC;
	pod_fixture_start(fixture);
	assert_true(backend_wait(fixture->server, 0, NULL));
	uint64_t before = clock_monotonic_ns();
	pod_list_stop(TAKE_PTR(fixture->list));
	assert_true(clock_monotonic_ns() - before < 5 * NS_PER_SEC);
}

/* Pods that are gone stay known for their last records; those that changed are as in the latest list. */
static void test_gone_pod(void **state)
{
	struct pod_fixture *fixture = *state;
	pod_fixture_answer(fixture, 200, NULL, LIST(POD(UID, "gone") "," POD(UID2, "old")));
	for (int i = 0; i < 100; i++)
		pod_fixture_answer(fixture, 200, NULL, LIST(POD(UID2, "new")));
	pod_fixture_start(fixture);
	assert_true(backend_wait(fixture->server, 2, NULL));
	assert_string_equal(pod_fixture_app(fixture, UID), "gone");
	assert_string_equal(pod_fixture_app(fixture, UID2), "new");
	struct pod_list_status status;
	pod_list_status(fixture->list, &status);
	assert_int_equal(status.pods, 1);
}

/* Readers that hold on to what they found, while lists are replaced under them as fast as they come. */
static void test_refresh_under_readers(void **state)
{
	struct pod_fixture *fixture = *state;
	struct pod_facts *held[64] = { 0 };
	size_t n_held = 0, n, rounds = 0;
	for (int i = 0; i < 200; i++)
		pod_fixture_answer(fixture, 200, NULL, i % 2 ? LIST(POD(UID, "odd")) : LIST(POD(UID, "even")));
	fixture->options.interval_ns = NS_PER_MS;
	pod_fixture_start(fixture);
	pod_fixture_wait(fixture, true);
	struct pod_facts *first = pod_list_find(fixture->list, UID);
	const struct pod_fact *fact = pod_facts_all(first, &n);
	while (backend_requests(fixture->server) < 200) {
		struct pod_facts **place = &held[n_held++ % ARRAY_SIZE(held)];
		pod_facts_unref(*place);
		*place = pod_list_find(fixture->list, UID);
		assert_non_null(*place);
		const char *value = pod_facts_all(*place, &n)->value;
		assert_true(strcmp(value, "odd") == 0 || strcmp(value, "even") == 0);
		rounds++;
	}
	print_message("%zu look-ups during 200 lists\n", rounds);
	pod_list_stop(TAKE_PTR(fixture->list));
	assert_string_equal(fact->key, "k8s.pod.label.app");
	assert_true(strcmp(fact->value, "odd") == 0 || strcmp(fact->value, "even") == 0);
	pod_facts_unref(first);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		pod_facts_unref(held[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		POD_FIXTURE_TEST(test_request),
		POD_FIXTURE_TEST(test_no_token),
		POD_FIXTURE_TEST(test_token_is_rotated),
		POD_FIXTURE_TEST(test_token_files),
		POD_FIXTURE_TEST(test_stop_breaks_off),
		POD_FIXTURE_TEST(test_gone_pod),
		POD_FIXTURE_TEST(test_refresh_under_readers),
	};
	return cmocka_run_group_tests_name("pod_list", tests, pod_fixture_setup_group, pod_fixture_teardown_group);
}
