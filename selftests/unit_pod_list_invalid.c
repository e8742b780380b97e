// SPDX-License-Identifier: Apache-2.0
/* Texts that are no list of pods, and lists with more in them than is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "user/buf.h"
#include "user/pod_snapshot.h"

static void test_no_lists(void **state)
{
	static const struct {
		const char *json, *told;
	} rows[] = {
		{ "", "is not JSON" },
		{ "{\"kind\":\"PodList\",\"items\":[]", "is not JSON" },
		{ "{\"kind\":\"PodList\",\"items\":[]}x", "is not JSON" },
		{ "<html>", "is not JSON" },
		{ "{\"kind\":\"PodList\",\"x\":\"\xff\"}", "is not JSON" },
		{ "[]", "is not a list of pods" },
		{ "{}", "is not a list of pods" },
		{ "{\"kind\":\"Status\",\"code\":403}", "is not a list of pods" },
		{ "{\"kind\":\"NodeList\",\"items\":[]}", "is not a list of pods" },
		{ "{\"kind\":\"PodList\",\"items\":{}}", "has no items" },
		{ "{\"kind\":\"PodList\",\"metadata\":{\"continue\":\"abc\"},\"items\":[]}", "leave limit= out" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char error[256] = "";
		struct pod_snapshot *snapshot = NULL;
		assert_int_equal(pod_snapshot_parse(rows[i].json, strlen(rows[i].json), 0, error, &snapshot), -EBADMSG);
		assert_null(snapshot);
		if (!strstr(error, rows[i].told))
			fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].json, error, rows[i].told);
	}
}

/* "head, N times each, tail". */
static int parse_many(const char *each, size_t n, char ret_error[static 256], struct pod_snapshot **ret_snapshot)
{
	_cleanup_(buf_free) struct buf json = BUF_INIT(64 << 20);
	buf_appendf(&json, "{\"kind\":\"PodList\",\"items\":[");
	for (size_t i = 0; i < n; i++)
		buf_appendf(&json, "%s%s", i ? "," : "", each);
	buf_appendf(&json, "]}");
	assert_int_equal(json.error, 0);
	return pod_snapshot_parse(buf_text(&json), json.size, 0, ret_error, ret_snapshot);
}

static void test_bounds(void **state)
{
	char error[256] = "";
	_cleanup_(pod_snapshot_freep) struct pod_snapshot *snapshot = NULL;
	assert_int_equal(parse_many("{}", POD_SNAPSHOT_MAX, error, &snapshot), 0);
	assert_int_equal(parse_many("{}", POD_SNAPSHOT_MAX + 1, error, &snapshot), -EFBIG);
	assert_non_null(strstr(error, "more than 16384 pods"));
	/* Deep and many: nothing that costs more memory than a list of this size may. */
	assert_int_equal(parse_many("[[]]", 1 << 20, error, &snapshot), -EFBIG);
	assert_non_null(strstr(error, "more in it than can be read"));

	_cleanup_(buf_free) struct buf deep = BUF_INIT(1 << 20);
	for (int i = 0; i < 100000; i++)
		buf_appendf(&deep, "[");
	assert_int_equal(pod_snapshot_parse(buf_text(&deep), deep.size, 0, error, &snapshot), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_no_lists), cmocka_unit_test(test_bounds) };
	return cmocka_run_group_tests_name("pod_list_invalid", tests, NULL, NULL);
}
