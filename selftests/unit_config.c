// SPDX-License-Identifier: Apache-2.0
/* The configuration engine: sources and their order, values of each type and back, what is somebody else's variable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "selftests/config_sample.h"

/* All values of what SOURCE gives, one a line; fails the test when it does not load. */
static void values(const struct source *source, struct buf *out)
{
	_cleanup_(buf_free) struct buf error = BUF_INIT(1 << 20);
	struct sample sample;
	int r = sample_load(source, &sample, NULL, &error);
	assert_string_equal(buf_text(&error), "");
	assert_int_equal(r, 0);
	for (size_t i = 0; i < SAMPLE_KEYS; i++) {
		buf_appendf(out, "%s=", sample_schema.keys[i].name);
		assert_int_equal(config_format(&sample_schema, &sample_schema.keys[i], &sample, out), 0);
		buf_append(out, "\n", 1);
	}
	config_free(&sample_schema, &sample);
}

static void assert_value(const struct source *source, const char *line)
{
	_cleanup_(buf_free) struct buf all = BUF_INIT(1 << 20);
	char needle[256];
	buf_append(&all, "\n", 1);
	values(source, &all);
	snprintf(needle, sizeof(needle), "\n%s\n", line);
	if (!strstr(buf_text(&all), needle))
		fail_msg("no line \"%s\" in:%s", line, buf_text(&all));
}

static void test_defaults(void **state)
{
	_cleanup_(buf_free) struct buf all = BUF_INIT(4096);
	values(&(struct source) { 0 }, &all);
	assert_string_equal(buf_text(&all), "on=false\nname=nobody\npath=\ncount=10\nany=0\nsize=4KiB\nwait=1500ms\n"
	                                    "mode=fast\nwords=[]\nrules=[]\nouter.deep=5\n");
}

static void test_order_of_sources(void **state)
{
	_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
	enum config_source sources[SAMPLE_KEYS];
	struct sample sample;
	struct source source = { .yaml = "count: 20\nname: file\nouter: { deep: 6 }\n",
		                 .set = { "count=40", "count=41" },
		                 .environment = { "T_COUNT=30", "T_NAME=env", "UNRELATED=1" } };
	assert_int_equal(sample_load(&source, &sample, sources, &error), 0);
	assert_int_equal(sample.count, 41);
	assert_string_equal(sample.name, "env");
	assert_int_equal(sample.outer.deep, 6);
	assert_int_equal(sources[SAMPLE_COUNT], CONFIG_FROM_FLAG);
	assert_int_equal(sources[SAMPLE_NAME], CONFIG_FROM_ENVIRONMENT);
	assert_int_equal(sources[SAMPLE_OUTER_DEEP], CONFIG_FROM_FILE);
	assert_int_equal(sources[SAMPLE_ON], CONFIG_FROM_DEFAULT);
	config_free(&sample_schema, &sample);
}

static void test_good_values(void **state)
{
	static const struct {
		const char *set, *line;
	} cases[] = {
		{ "on=true", "on=true" },
		{ "name=", "name=" },
		{ "name=null", "name=null" },
		{ "name=a=b", "name=a=b" },
		{ "path=/a b", "path=/a b" },
		{ "count=100", "count=100" },
		{ "any=18446744073709551615", "any=18446744073709551615" },
		{ "size=512", "size=512" },
		{ "size=1024", "size=1KiB" },
		{ "size=3MiB", "size=3MiB" },
		{ "size=1TiB", "size=1TiB" },
		{ "wait=0", "wait=0" },
		{ "wait=0s", "wait=0" },
		{ "wait=60s", "wait=1m" },
		{ "wait=7d", "wait=7d" },
		{ "wait=90m", "wait=90m" },
		{ "wait=5us", "wait=5us" },
		{ "wait=17ns", "wait=17ns" },
		{ "mode=mad", "mode=mad" },
		{ "words=", "words=[]" },
		{ "words=[]", "words=[]" },
		{ "words= [ ] ", "words=[]" },
		{ "words=a,b", "words=[a, b]" },
		{ "words=[a, \"b,c\"]", "words=[a, \"b,c\"]" },
		{ "words= a b , c ", "words=[a b, c]" },
		{ "words=\"\"", "words=[\"\"]" },
		{ "words=eth[0-9]", "words=[eth[0-9]]" },
		{ "words=[\"[ab]\"]", "words=[\"[ab]\"]" },
		{ "words=\"\\\"\\\\\" , x", "words=[\"\\\"\\\\\", x]" },
		{ "words=a\\.b", "words=[a\\.b]" },
		{ "rules=", "rules=[]" },
		{ "rules=[]", "rules=[]" },
		{ "rules=~", "rules=[]" },
		{ "rules=[{match: \"a*\", action: drop}]", "rules=[{match: \"a*\", action: drop}]" },
		{ "rules=[{action: keep, match: a}, {match: '*', action: drop}]",
		  "rules=[{match: \"a\", action: keep}, {match: \"*\", action: drop}]" },
		{ "rules=[{match: '\"\\', action: keep}]", "rules=[{match: \"\\\"\\\\\", action: keep}]" },
		{ "rules=- {match: a, action: keep}\n- match: b\n  action: drop\n",
		  "rules=[{match: \"a\", action: keep}, {match: \"b\", action: drop}]" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_value(&(struct source) { .set = { cases[i].set } }, cases[i].line);
}

static void test_good_yaml(void **state)
{
	static const struct {
		const char *yaml, *line;
	} cases[] = {
		{ "", "count=10" },
		{ "# nothing\n", "count=10" },
		{ "---\n", "count=10" },
		{ "{}", "count=10" },
		{ "%YAML 1.1\n---\ncount: 7\n...\n", "count=7" },
		{ "\xef\xbb\xbf"
		  "count: 7\n",
		  "count=7" },
		{ "count: '7'\n", "count=7" },
		{ "name:\n", "name=" },
		{ "name: ~\n", "name=" },
		{ "name: null\n", "name=" },
		{ "name: 'null'\n", "name=null" },
		{ "name: 1.20\n", "name=1.20" },
		{ "name: \"\\u00e9\"\n", "name=\xc3\xa9" },
		{ "words:\n", "words=[]" },
		{ "words: []\n", "words=[]" },
		{ "words:\n- a\n- \"b,c\"\n- ''\n", "words=[a, \"b,c\", \"\"]" },
		{ "words: [on, 1]\n", "words=[on, 1]" },
		{ "rules:\n", "rules=[]" },
		{ "rules: []\n", "rules=[]" },
		{ "rules:\n- match: 'a*'\n  action: drop\n- { match: b, action: keep }\ncount: 7\n",
		  "rules=[{match: \"a*\", action: drop}, {match: \"b\", action: keep}]" },
		{ "rules: [{match: a, action: keep}]\ncount: 7\n", "count=7" },
		{ "outer:\n", "outer.deep=5" },
		{ "outer: {}\n", "outer.deep=5" },
		{ "outer:\n  deep: 6\n", "outer.deep=6" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_value(&(struct source) { .yaml = cases[i].yaml }, cases[i].line);
}

static void test_environment_of_others(void **state)
{
	static const char *const others[] = {
		"T_SINK_SERVICE_HOST=10.96.0.7",
		"T_SINK_SERVICE_PORT=4318",
		"T_SINK_SERVICE_PORT_OTLP=4318",
		"T_SERVICE_HOST=10.96.0.7",
		"T_PORT=tcp://10.96.0.7:4318",
		"T_SINK_PORT=udp://[fd00::1]:53",
		"T_SINK_PORT_4318_TCP=tcp://10.96.0.7:4318",
		"T_SINK_PORT_4318_TCP_PROTO=tcp",
		"T_SINK_PORT_4318_TCP_PORT=4318",
		"T_SINK_PORT_4318_TCP_ADDR=10.96.0.7",
		"T_PORT_9_SCTP_ADDR=10.96.0.7",
		"T_OTHER_COUNT=many",
		"TT_COUNT=many",
		"t_count=many",
		"T_COUNT",
	};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_value(&(struct source) { .environment = { (char *)others[i] } }, "count=10");
	assert_value(&(struct source) { .environment = { "T_OUTER_DEEP=7", "T_WORDS=a,b" } }, "outer.deep=7");
	assert_value(&(struct source) { .environment = { "T_OUTER_DEEP=7", "T_WORDS=a,b" } }, "words=[a, b]");
	assert_value(&(struct source) { .environment = { "T_RULES=[{match: a*, action: drop}]" } },
	             "rules=[{match: \"a*\", action: drop}]");
}

/* What a value prints as is read again as that value. */
static void test_round_trip(void **state)
{
	_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
	static const char *const sets[] = { "on=true",
		                            "name=x",
		                            "path=/",
		                            "count=99",
		                            "any=12345678901",
		                            "size=5GiB",
		                            "wait=61s",
		                            "mode=slow",
		                            "words=\"a,\\\"b\",c,\"\"",
		                            "rules=[{match: a, action: drop}, {match: '\"b\\', action: keep}]",
		                            "outer.deep=0" };
	for (size_t i = 0; i < SAMPLE_KEYS; i++) {
		_cleanup_(buf_free) struct buf text = BUF_INIT(4096);
		const struct config_key *key = &sample_schema.keys[i];
		struct sample first, second, fallback;
		buf_appendf(&text, "%s=", key->name);
		assert_int_equal(sample_load(&(struct source) { .set = { sets[i] } }, &first, NULL, &error), 0);
		assert_int_equal(config_format(&sample_schema, key, &first, &text), 0);
		struct source again = { .set = { buf_text(&text) } };
		assert_int_equal(sample_load(&again, &second, NULL, &error), 0);
		assert_int_equal(sample_load(&(struct source) { 0 }, &fallback, NULL, &error), 0);

		assert_true(config_equal(&sample_schema, key, &first, &second));
		assert_false(config_equal(&sample_schema, key, &first, &fallback));
		config_swap(&sample_schema, key, &first, &fallback);
		assert_true(config_equal(&sample_schema, key, &second, &fallback));
		assert_false(config_equal(&sample_schema, key, &first, &second));
		config_free(&sample_schema, &first);
		config_free(&sample_schema, &second);
		config_free(&sample_schema, &fallback);
	}
}

static void test_help(void **state)
{
	_cleanup_(buf_free) struct buf help = BUF_INIT(4096);
	assert_int_equal(config_help(&sample_schema, &help), 0);
	assert_non_null(strstr(buf_text(&help), "  name        nobody  text      who\n"));
	assert_non_null(strstr(buf_text(&help), "  words       []      list      what\n"));
	assert_non_null(strstr(buf_text(&help), "  outer.deep  5       count     below\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_order_of_sources),
		cmocka_unit_test(test_good_values),
		cmocka_unit_test(test_good_yaml),
		cmocka_unit_test(test_environment_of_others),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_help),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
