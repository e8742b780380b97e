// SPDX-License-Identifier: Apache-2.0
/* What a backend answers to a batch, sound and not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "user/buf.h"
#include "user/otlp.h"

static void test_responses(void **state)
{
	struct otlp_response response = { .rejected = 42 };
	assert_int_equal(otlp_decode_response(NULL, 0, &response), 0);
	assert_int_equal(response.rejected, 0);
	assert_string_equal(response.message, "");
	assert_int_equal(otlp_decode_response("\x0a\x07\x08\x03\x12\x03why", 9, &response), 0);
	assert_int_equal(response.rejected, 3);
	assert_string_equal(response.message, "why");

	/* Cut short; a negative count; not protobuf: the output stays. */
	assert_int_equal(otlp_decode_response("\x0a\x07\x08\x03\x12\x03wh", 8, &response), -EBADMSG);
	assert_int_equal(otlp_decode_response("<html>", 6, &response), -EBADMSG);
	assert_int_equal(response.rejected, 3);
	assert_int_equal(otlp_decode_response("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13, &response),
	                 0);
	assert_int_equal(response.rejected, 0);

	char words[256] = "unchanged";
	assert_int_equal(otlp_decode_status("\x08\x03\x12\x03why", 7, words), 0);
	assert_string_equal(words, "why");
	assert_int_equal(otlp_decode_status("", 0, words), -EBADMSG);
	assert_string_equal(words, "why");
}

/* A long message is cut between two characters. */
static void test_long_message(void **state)
{
	struct buf message = BUF_INIT(1024);
	struct otlp_response response;
	buf_append(&message, "\x0a\x93\x02\x12\x90\x02", 6);
	for (int i = 0; i < 136; i++)
		buf_append(&message, "\xc3\xa9", 2);
	assert_int_equal(otlp_decode_response(message.data, message.size, &response), 0);
	assert_int_equal(strlen(response.message), 254);
	buf_free(&message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_long_message),
	};
	return cmocka_run_group_tests_name("otlp_response", tests, NULL, NULL);
}
