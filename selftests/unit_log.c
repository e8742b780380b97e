// SPDX-License-Identifier: Apache-2.0
/* Log lines as they arrive on stderr: whole, escaped, bounded, in both formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <regex.h>
#include <string.h>
#include <cmocka.h>
#include "user/log.h"

#define LINE_MAX_BYTES 4096

/* stderr is a pipe while a test runs. */
struct capture {
	int reader, saved;
	char text[3 * LINE_MAX_BYTES];
};

static int setup(void **state)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	int fds[2];
	if (!capture || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	capture->reader = fds[0];
	capture->saved = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	*state = capture;
	return 0;
}

static int teardown(void **state)
{
	struct capture *capture = *state;
	dup2(capture->saved, STDERR_FILENO);
	close(capture->saved);
	close(capture->reader);
	free(capture);
	log_setup(LOG_INFO, LOG_LOGFMT);
	return 0;
}

/* What was written since the last call; "" if nothing. */
static const char *written(struct capture *capture)
{
	ssize_t size = read(capture->reader, capture->text, sizeof(capture->text) - 1);
	capture->text[size > 0 ? size : 0] = '\0';
	return capture->text;
}

/* The line behind its time, or all of it where there is none: a test that compares will fail. */
static const char *without_time(const char *line)
{
	regex_t stamp;
	regmatch_t match;
	assert_int_equal(regcomp(&stamp, "^time=[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}\\.[0-9]{3}Z ",
	                         REG_EXTENDED),
	                 0);
	int r = regexec(&stamp, line, 1, &match, 0);
	regfree(&stamp);
	return r == 0 ? line + match.rm_eo : line;
}

static void test_logfmt(void **state)
{
	log_setup(LOG_INFO, LOG_LOGFMT);
	log_warn("backend refused the batch, dropping it", "url", "https://a:4318", "status", "400");
	assert_string_equal(
		without_time(written(*state)),
		"level=warn msg=\"backend refused the batch, dropping it\" url=https://a:4318 status=400\n");
	log_info("bare");
	assert_string_equal(without_time(written(*state)), "level=info msg=bare\n");
	log_error("values", "empty", "", "none", NULL, "number", LOG_FMT("%d/%s", 7, "x"));
	assert_string_equal(without_time(written(*state)), "level=error msg=values empty=\"\" number=7/x\n");
	log_error("quotes", "a", "x=y", "b", "say \"hi\"", "c", "back\\slash", "d", "two\nlines", "e", "\x01\x7f", "f",
	          "caf\xc3\xa9");
	assert_string_equal(
		without_time(written(*state)),
		"level=error msg=quotes a=\"x=y\" b=\"say \\\"hi\\\"\" c=\"back\\\\slash\" d=\"two\\nlines\" "
		"e=\"\\u0001\\u007f\" f=caf\xc3\xa9\n");
}

static void test_levels(void **state)
{
	log_setup(LOG_WARN, LOG_LOGFMT);
	assert_int_equal(log_level_get(), LOG_WARN);
	log_info("no");
	log_debug("no");
	assert_string_equal(written(*state), "");
	log_warn("yes");
	assert_string_equal(without_time(written(*state)), "level=warn msg=yes\n");
	log_error("yes");
	assert_string_equal(without_time(written(*state)), "level=error msg=yes\n");
	log_setup(LOG_DEBUG, LOG_LOGFMT);
	log_debug("yes");
	assert_string_equal(without_time(written(*state)), "level=debug msg=yes\n");
}

static json_t *line_json(struct capture *capture)
{
	const char *line = written(capture);
	assert_true(strlen(line) > 0 && strchr(line, '\n') == line + strlen(line) - 1);
	json_t *json = json_loads(line, 0, NULL);
	if (!json)
		fail_msg("not JSON: %s", line);
	return json;
}

static void assert_member(const json_t *json, const char *key, const char *value)
{
	assert_string_equal(json_string_value(json_object_get(json, key)), value);
}

static void test_json(void **state)
{
	log_setup(LOG_INFO, LOG_JSON);
	log_warn("say \"hi\"", "path", "C:\\x", "text", "two\nlines\t\x01", "none", NULL, "empty", "");
	json_t *json = line_json(*state);
	assert_int_equal(json_object_size(json), 6);
	assert_int_equal(strlen(json_string_value(json_object_get(json, "time"))), strlen("2026-01-02T03:04:05.678Z"));
	assert_member(json, "level", "warn");
	assert_member(json, "msg", "say \"hi\"");
	assert_member(json, "path", "C:\\x");
	assert_member(json, "text", "two\nlines\t\x01");
	assert_member(json, "empty", "");
	json_decref(json);
}

/* A line is cut at its maximum, wherever that falls, and stays a line of its format. */
static void test_cut(void **state)
{
	char value[LINE_MAX_BYTES + 100];

	for (size_t size = LINE_MAX_BYTES - 150; size < LINE_MAX_BYTES + 50; size++) {
		memset(value, size % 2 ? '"' : 'x', size);
		value[size] = '\0';
		log_setup(LOG_INFO, LOG_JSON);
		log_info("long", "value", value, "more", "and more");
		json_decref(line_json(*state));

		log_setup(LOG_INFO, LOG_LOGFMT);
		log_info("long", "value", value, "more", "and more");
		size_t written_size = strlen(written(*state));
		assert_in_range(written_size, 1000, LINE_MAX_BYTES);
	}
}

static void test_errno(void **state)
{
	log_setup(LOG_INFO, LOG_LOGFMT);
	errno = ENOENT;
	log_info("reading", "error", LOG_ERRNO(-EACCES));
	assert_int_equal(errno, ENOENT);
	assert_string_equal(without_time(written(*state)), "level=info msg=reading error=\"Permission denied\"\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_logfmt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errno, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
