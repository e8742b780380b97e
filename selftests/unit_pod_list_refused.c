// SPDX-License-Identifier: Apache-2.0
/* Answers that are no pod list, and servers that cannot be had: what is said, and that the old list stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "selftests/pod_fixture.h"

static void test_refusals(void **state)
{
	static const struct {
		int status;
		const char *headers, *body, *told;
	} rows[] = {
		{ 401, NULL, "", "does not know the token: check what node.pods_token_file holds (status 401)" },
		{ 403, NULL, "{\"kind\":\"Status\"}", "the token may not read the pods" },
		{ 404, NULL, "", "there is no list at node.pods_url" },
		{ 301, "Location: https://127.0.0.1:1/pods\r\n", "", "redirects are not followed" },
		{ 302, "Location: /other\r\n", LIST(""), "redirects are not followed" },
		{ 429, "Retry-After: 1\r\n", "", "overloaded (status 429)" },
		{ 503, NULL, "", "not ready (status 503)" },
		{ 204, NULL, "", "refuses (status 204)" },
		{ 418, NULL, "", "refuses (status 418)" },
		{ 200, NULL, "", "is not JSON" },
		{ 200, NULL, "\x01\x02", "is not JSON" },
		{ 200, NULL, "{\"kind\":\"PodList\",\"items\":", "is not JSON" },
		{ 200, NULL, "{\"kind\":\"NodeList\",\"items\":[]}", "is not a list of pods" },
	};
	struct pod_fixture *fixture = *state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].told);
		pod_fixture_answer(fixture, 200, NULL, LIST(POD(UID, "kept")));
		pod_fixture_answer(fixture, rows[i].status, rows[i].headers, rows[i].body);
		/* So that nothing changes any more. */
		pod_fixture_answer(fixture, 0, NULL, "");
		pod_fixture_start(fixture);
		assert_true(backend_wait(fixture->server, 2, NULL));
		pod_fixture_expect_error(fixture, rows[i].told);
		struct pod_list_status status;
		pod_list_status(fixture->list, &status);
		assert_int_equal(status.refreshes, 1);
		assert_int_equal(status.failures, 1);
		assert_string_equal(pod_fixture_app(fixture, UID), "kept");

		/* Redirects: nothing was asked elsewhere. */
		struct backend_request request;
		assert_true(backend_wait(fixture->server, 2, &request));
		assert_ptr_equal(strstr(request.head, "GET /pods "), request.head);
		pod_list_stop(TAKE_PTR(fixture->list));
		pod_fixture_change_server(fixture, "server");
	}
}

static void test_recovery(void **state)
{
	struct pod_fixture *fixture = *state;
	pod_fixture_answer(fixture, 503, NULL, "");
	pod_fixture_answer(fixture, 200, NULL, LIST(POD(UID, "web")));
	pod_fixture_answer(fixture, 0, NULL, "");
	pod_fixture_start(fixture);
	assert_true(backend_wait(fixture->server, 2, NULL));
	struct pod_list_status status = pod_fixture_wait(fixture, true);
	assert_int_equal(status.refreshes, 1);
	assert_int_equal(status.failures, 1);
	assert_string_equal(status.last_error, "");
	assert_string_equal(pod_fixture_app(fixture, UID), "web");
}

static void test_oversize(void **state)
{
	struct pod_fixture *fixture = *state;
	_cleanup_(freep) char *body = malloc(65537);
	memset(body, ' ', 65536);
	body[65536] = '\0';
	memcpy(body, LIST(POD(UID, "large")), strlen(LIST(POD(UID, "large"))));
	pod_fixture_answer(fixture, 200, NULL, body);
	fixture->options.bytes_max = 65535;
	fixture->options.interval_ns = 3600 * NS_PER_SEC;
	pod_fixture_start(fixture);
	pod_fixture_expect_error(fixture, "exceeds 65535 bytes: ask for this node's pods");
	pod_list_stop(TAKE_PTR(fixture->list));

	pod_fixture_answer(fixture, 200, NULL, body);
	fixture->options.bytes_max = 65536;
	pod_fixture_start(fixture);
	pod_fixture_wait(fixture, true);
	assert_string_equal(pod_fixture_app(fixture, UID), "large");
}

static void test_slow_server(void **state)
{
	struct pod_fixture *fixture = *state;
	pod_fixture_answer(fixture, 0, NULL, "");
	fixture->options.timeout_ns = 200 * NS_PER_MS;
	pod_fixture_start(fixture);
	pod_fixture_expect_error(fixture, "no whole list from node.pods_url within 200 ms");
}

static void test_transfer_failures(void **state)
{
	static const struct {
		const char *url, *ca, *server, *told; /* url, server: NULL: the usual one */
	} rows[] = {
		{ NULL, "other-ca.crt", NULL, "is not signed by node.pods_ca" },
		{ NULL, "none.crt", NULL, "node.pods_ca cannot be used: check that /tmp/" },
		{ NULL, "ca.key", NULL, "node.pods_ca cannot be used" },
		{ NULL, NULL, NULL, "is not signed by a CA that this system trusts: set node.pods_ca" },
		{ NULL, "ca.crt", "stranger", "is for another name" },
		{ NULL, "ca.crt", "stale", "has expired" },
		{ "https://127.0.0.1:1/pods", "ca.crt", NULL, "are refused: check that a kubelet" },
		{ "https://nobody.invalid/pods", "ca.crt", NULL, "cannot be resolved" },
		{ "http://127.0.0.1:1/pods", "ca.crt", NULL, "does not begin with https://" },
	};
	struct pod_fixture *fixture = *state;
	fixture->options.interval_ns = 3600 * NS_PER_SEC;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("%s\n", rows[i].told);
		if (rows[i].server)
			pod_fixture_change_server(fixture, rows[i].server);
		pod_fixture_trust(fixture, rows[i].ca);
		fixture->options.url = rows[i].url ? rows[i].url : fixture->url;
		pod_fixture_start(fixture);
		pod_fixture_expect_error(fixture, rows[i].told);
		pod_list_stop(TAKE_PTR(fixture->list));
		assert_int_equal(backend_requests(fixture->server), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		POD_FIXTURE_TEST(test_refusals),          POD_FIXTURE_TEST(test_recovery),
		POD_FIXTURE_TEST(test_oversize),          POD_FIXTURE_TEST(test_slow_server),
		POD_FIXTURE_TEST(test_transfer_failures),
	};
	return cmocka_run_group_tests_name("pod_list_refused", tests, pod_fixture_setup_group,
	                                   pod_fixture_teardown_group);
}
