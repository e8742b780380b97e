// SPDX-License-Identifier: Apache-2.0
/* What an answer means, how long to wait, how rejections are shared out, and what the operator is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "user/advice.h"
#include "user/clock.h"
#include "user/outcome.h"

#define SECOND NS_PER_SEC

static void test_answers(void **state)
{
	static const struct {
		int status;
		enum answer answer;
	} rows[] = {
		{ 0, ANSWER_RETRY },     { 200, ANSWER_TAKEN },   { 202, ANSWER_TAKEN },   { 301, ANSWER_REFUSED },
		{ 400, ANSWER_REFUSED }, { 403, ANSWER_REFUSED }, { 413, ANSWER_REFUSED }, { 429, ANSWER_RETRY },
		{ 500, ANSWER_REFUSED }, { 502, ANSWER_RETRY },   { 503, ANSWER_RETRY },   { 504, ANSWER_RETRY },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(answer_of_status(rows[i].status), rows[i].answer);
}

static void test_backoff(void **state)
{
	uint64_t longest = 0;
	for (unsigned failures = 1; failures < 200; failures++) {
		uint64_t limit = failures > 6 ? 60 * SECOND : SECOND << (failures - 1);
		uint64_t wait = backoff_ns(failures);
		assert_true(wait <= limit);
		longest = wait > longest ? wait : longest;
	}
	/* 190 draws below half of it are as good as impossible. */
	assert_true(longest > 30 * SECOND);
	assert_true(backoff_ns(UINT32_MAX) <= 60 * SECOND);
}

static void test_rejected_shares(void **state)
{
	struct queue_outcome outcome = outcome_acked((uint64_t[RECORD_KIND_MAX]) { 30, 10 }, 5);
	assert_int_equal(outcome.dropped[RECORD_FLOW][DROP_REJECTED], 3);
	assert_int_equal(outcome.dropped[RECORD_PACKET][DROP_REJECTED], 2);
	assert_int_equal(outcome.acked[RECORD_FLOW], 27);
	assert_int_equal(outcome.acked[RECORD_PACKET], 8);
	/* A backend that rejects more than it was given. */
	outcome = outcome_acked((uint64_t[RECORD_KIND_MAX]) { 30, 10 }, UINT64_MAX);
	assert_int_equal(outcome.dropped[RECORD_FLOW][DROP_REJECTED], 30);
	assert_int_equal(outcome.dropped[RECORD_PACKET][DROP_REJECTED], 10);
}

static void test_advice(void **state)
{
	char text[256];
	const struct ship_options options = { .url = "http://127.0.0.1", .ca = "", .cert = "" };
	advise_on_transfer(&(struct transfer_failure) { .code = CURLE_UNSUPPORTED_PROTOCOL }, &options, text);
	assert_non_null(strstr(text, "begin with https://"));
	advise_on_transfer(&(struct transfer_failure) { .code = CURLE_PEER_FAILED_VERIFICATION, .verify_result = 20 },
	                   &options, text);
	assert_non_null(strstr(text, "set backend.ca"));
	advise_on_transfer(&(struct transfer_failure) { .code = CURLE_COULDNT_RESOLVE_HOST }, &options, text);
	assert_non_null(strstr(text, "DNS"));
	advise_on_transfer(&(struct transfer_failure) { .code = CURLE_READ_ERROR }, &options, text);
	assert_string_not_equal(text, "");
	advise_on_status(418, "teapot", text);
	assert_string_equal(text, "the backend refuses the batch (status 418): teapot");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_rejected_shares),
		cmocka_unit_test(test_advice),
	};
	return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
