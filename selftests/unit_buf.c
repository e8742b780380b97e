// SPDX-License-Identifier: Apache-2.0
/* The growing buffer: its content is a C string at any time, and never more than its maximum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include "user/buf.h"

static void assert_text(const struct buf *buf, const char *text)
{
	assert_int_equal(buf->size, strlen(text));
	assert_string_equal(buf_text(buf), text);
}

static void test_append(void **state)
{
	_cleanup_(buf_free) struct buf buf = BUF_INIT(1000);

	assert_text(&buf, "");
	assert_int_equal(buf_append(&buf, NULL, 0), 0);
	assert_text(&buf, "");
	assert_int_equal(buf_append(&buf, "one", 3), 0);
	assert_int_equal(buf_appendf(&buf, " %s %d", "two", 3), 0);
	assert_text(&buf, "one two 3");
	assert_int_equal(buf_append(&buf, "\0", 1), 0);
	assert_int_equal(buf.size, 10);
}

static void test_growth(void **state)
{
	_cleanup_(buf_free) struct buf buf = BUF_INIT(1 << 20);

	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(buf_appendf(&buf, "%08u", i), 0);
	assert_int_equal(buf.size, 40000);
	assert_memory_equal(buf.data, "0000000000000001", 16);
	assert_memory_equal(buf.data + 39992, "00004999", 9);
	assert_true(buf.capacity > buf.size);
}

static void test_maximum(void **state)
{
	_cleanup_(buf_free) struct buf buf = BUF_INIT(8);

	assert_int_equal(buf_append(&buf, "12345678", 8), 0);
	assert_int_equal(buf_append(&buf, "", 0), 0);
	assert_int_equal(buf_append(&buf, "9", 1), -EFBIG);
	assert_text(&buf, "12345678");
	/* The error stays, so that a writer may look once. */
	buf_consume(&buf, 4);
	assert_int_equal(buf_append(&buf, "9", 1), -EFBIG);
	assert_int_equal(buf_appendf(&buf, "9"), -EFBIG);
	assert_int_equal(buf.error, -EFBIG);
	assert_text(&buf, "5678");

	buf_reset(&buf);
	assert_int_equal(buf.error, 0);
	assert_text(&buf, "");
	assert_int_equal(buf_appendf(&buf, "%s", "123456789"), -EFBIG);
	assert_text(&buf, "");
}

static void test_reserve(void **state)
{
	_cleanup_(buf_free) struct buf buf = BUF_INIT(600);
	void *space = NULL;

	assert_int_equal(buf_append(&buf, "head", 4), 0);
	assert_int_equal(buf_reserve(&buf, 596, &space), 0);
	memset(space, 'x', 596);
	buf_commit(&buf, 3);
	assert_text(&buf, "headxxx");
	assert_int_equal(buf_reserve(&buf, 594, &space), -EFBIG);
	assert_text(&buf, "headxxx");
}

static void test_consume(void **state)
{
	_cleanup_(buf_free) struct buf buf = BUF_INIT(100);

	buf_consume(&buf, 0);
	assert_int_equal(buf_append(&buf, "header body", 11), 0);
	buf_consume(&buf, 7);
	assert_text(&buf, "body");
	buf_consume(&buf, 4);
	assert_text(&buf, "");
	assert_int_equal(buf_append(&buf, "more", 4), 0);
	assert_text(&buf, "more");
}

static void test_reuse(void **state)
{
	struct buf buf = BUF_INIT(100);

	assert_int_equal(buf_append(&buf, "text", 4), 0);
	buf_free(&buf);
	assert_null(buf.data);
	assert_int_equal(buf.max, 100);
	assert_int_equal(buf_append(&buf, "again", 5), 0);
	assert_text(&buf, "again");
	buf_free(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),  cmocka_unit_test(test_growth),  cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_reserve), cmocka_unit_test(test_consume), cmocka_unit_test(test_reuse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
