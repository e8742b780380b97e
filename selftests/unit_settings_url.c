// SPDX-License-Identifier: Apache-2.0
/* Which URLs the sensor's configuration takes, and what it says of the others. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "user/cleanup.h"
#include "user/settings_url.h"

struct row {
	const char *url, *told; /* NULL: it passes */
};

static void expect_rows(int (*check)(const char *value, struct buf *error), const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
		int r = check(rows[i].url, &error);
		if (r != (rows[i].told ? -EINVAL : 0))
			fail_msg("%s: %d, \"%s\"", rows[i].url, r, buf_text(&error));
		if (rows[i].told && !strstr(buf_text(&error), rows[i].told))
			fail_msg("%s: not \"%s\" in: %s", rows[i].url, rows[i].told, buf_text(&error));
		if (!rows[i].told)
			assert_string_equal(buf_text(&error), "");
	}
}

static void test_backend(void **state)
{
	static const struct row rows[] = {
		{ "https://a", NULL },
		{ "https://sink.example:4318/otlp", NULL },
		{ "https://10.0.0.1:1", NULL },
		{ "https://[fd00::1]", NULL },
		{ "https://[fd00::1]:65535/a/b%20c", NULL },
		{ "", NULL },
		{ "http://a:4318", "must begin with https://: records leave over mutual TLS only" },
		{ "a:4318", "must be https://host[:port][/path]" },
		{ "https://", "with a host name or address" },
		{ "https://:4318", "with a host name or address" },
		{ "https://a:", "with a host name or address" },
		{ "https://a:0", "with a host name or address" },
		{ "https://a:65536", "with a host name or address" },
		{ "https://a:43x", "with a host name or address" },
		{ "https://fd00::1", "with a host name or address" },
		{ "https://[fd00::1", "with a host name or address" },
		{ "https://[fd00::1]x", "with a host name or address" },
		{ "https://[a]", "with a host name or address" },
		{ "https://a b", "with a host name or address" },
		{ "https://me:pw@a", "must not hold a user or a password" },
		{ "https://a/x?y", "must not hold a query or a fragment" },
		{ "https://a#y", "must not hold a query or a fragment" },
		{ "https://a/b c", "must have spaces and the like in its path encoded" },
		{ "https://a/", "must not end with a slash" },
		{ "https://a/v1/logs", "must not end with /v1/logs" },
	};
	expect_rows(settings_check_url, rows, ARRAY_SIZE(rows));
}

static void test_pod_list(void **state)
{
	static const struct row rows[] = {
		{ "https://10.0.0.1:10250/pods", NULL },
		{ "https://[fd00::1]/api/v1/pods?fieldSelector=spec.nodeName=a@b", NULL },
		{ "", NULL },
		{ "http://a/pods", "must begin with https://: no token is sent unencrypted" },
		{ "a/pods", "must be https://host[:port][/path]" },
		{ "https://me:pw@a/pods", "must not hold a user or a password" },
		{ "https://a:10250", "must name the list: /pods at a kubelet" },
		{ "https://a:10250/", "must name the list: /pods at a kubelet" },
		{ "https://a:b/pods", "with a host name or address" },
		{ "https://a/pods#x", "must not hold a fragment" },
		{ "https://a/pods?x=a b", "encoded, as %20" },
	};
	expect_rows(settings_check_pods_url, rows, ARRAY_SIZE(rows));
}

static void test_proxy(void **state)
{
	static const struct row rows[] = {
		{ "http://proxy.example:3128", NULL },
		{ "http://[fd00::1]:3128", NULL },
		{ "https://proxy:3128", "must be http://host:port" },
		{ "proxy:3128", "must be http://host:port" },
		{ "http://proxy", "must be http://host:port" },
		{ "http://proxy:", "must be http://host:port" },
		{ "http://[fd00::1]", "must be http://host:port" },
		{ "http://proxy:3128/", "must be http://host:port" },
		{ "http://me:pw@proxy:3128", "must not hold a user or a password" },
	};
	expect_rows(settings_check_proxy, rows, ARRAY_SIZE(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backend),
		cmocka_unit_test(test_pod_list),
		cmocka_unit_test(test_proxy),
	};
	return cmocka_run_group_tests_name("settings_url", tests, NULL, NULL);
}
