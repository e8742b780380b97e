// SPDX-License-Identifier: Apache-2.0
/* The configuration engine: what is refused, and in which words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "selftests/config_sample.h"

#define NOT_BOOLEAN " is not a boolean; try true or false (as in YAML 1.2; yes, no, on and off are only text)"
#define NOT_CLOSED  " begins with [ and does not end with ]; put an item that begins with [ in double quotes"
#define NOT_QUOTED  " has an item that begins with a quote and does not end with one (in quotes, write \\\" and \\\\)"

/* Loading SOURCE fails with R and tells exactly TOLD; the outputs are as before. */
static void assert_refused(const struct source *source, int r, const char *told)
{
	_cleanup_(buf_free) struct buf error = BUF_INIT(1 << 20);
	enum config_source sources[SAMPLE_KEYS], sources_before[SAMPLE_KEYS];
	struct sample sample, before;
	memset(&sample, 0x5a, sizeof(sample));
	memset(&before, 0x5a, sizeof(before));
	memset(sources, 0x5a, sizeof(sources));
	memset(sources_before, 0x5a, sizeof(sources));
	int loaded = sample_load(source, &sample, sources, &error);
	assert_string_equal(buf_text(&error), told);
	assert_int_equal(loaded, r);
	assert_memory_equal(&sample, &before, sizeof(sample));
	assert_memory_equal(sources, sources_before, sizeof(sources));
}

static const struct {
	const char *set, *told;
} bad_flags[] = {
	{ "on=yes", "on: \"yes\"" NOT_BOOLEAN },
	{ "on=True", "on: \"True\"" NOT_BOOLEAN },
	{ "name=123456789", "name: \"123456789\" is too long; up to 8 characters" },
	{ "name=a\tb", "name: \"a\\x09b\" has a control character" },
	{ "path=a", "path: \"a\" must be absolute" },
	{ "count=many", "count: \"many\" is not a count; try 10 (2 to 100)" },
	{ "count=", "count: \"\" is not a count; try 10 (2 to 100)" },
	{ "count=1", "count: \"1\" is too little; try 10 (2 to 100)" },
	{ "count=101", "count: \"101\" is too much; try 10 (2 to 100)" },
	{ "count=-3", "count: \"-3\" is not a count; try 10 (2 to 100)" },
	{ "count=+3", "count: \"+3\" is not a count; try 10 (2 to 100)" },
	{ "count= 3", "count: \" 3\" is not a count; try 10 (2 to 100)" },
	{ "count=010", "count: \"010\" is not a count; try 10 (2 to 100)" },
	{ "count=0x10", "count: \"0x10\" is not a count; try 10 (2 to 100)" },
	{ "count=10.0", "count: \"10.0\" is not a count; try 10 (2 to 100)" },
	{ "count=10KiB", "count: \"10KiB\" is not a count; try 10 (2 to 100)" },
	{ "any=18446744073709551616", "any: \"18446744073709551616\" is too much; try 0 (0 or more)" },
	{ "size=1MB", "size: \"1MB\" is not a size (such as 512, 64KiB, 16MiB, 1GiB); try 4KiB (1 to 1TiB)" },
	{ "size=1.5MiB", "size: \"1.5MiB\" is not a size (such as 512, 64KiB, 16MiB, 1GiB); try 4KiB (1 to 1TiB)" },
	{ "size=1 MiB", "size: \"1 MiB\" is not a size (such as 512, 64KiB, 16MiB, 1GiB); try 4KiB (1 to 1TiB)" },
	{ "size=0KiB", "size: \"0KiB\" is too little; try 4KiB (1 to 1TiB)" },
	{ "size=2TiB", "size: \"2TiB\" is too much; try 4KiB (1 to 1TiB)" },
	{ "size=16777216TiB", "size: \"16777216TiB\" is too much; try 4KiB (1 to 1TiB)" },
	{ "wait=10", "wait: \"10\" has no unit (ns, us, ms, s, m, h, d); try 1500ms (0 to 7d)" },
	{ "wait=1m30s", "wait: \"1m30s\" is not a duration (such as 500ms, 10s, 5m, 1h); try 1500ms (0 to 7d)" },
	{ "wait=", "wait: \"\" is not a duration (such as 500ms, 10s, 5m, 1h); try 1500ms (0 to 7d)" },
	{ "wait=8d", "wait: \"8d\" is too much; try 1500ms (0 to 7d)" },
	{ "mode=quick", "mode: \"quick\" is not a choice; try slow, fast or mad" },
	{ "mode=", "mode: \"\" is not a choice; try slow, fast or mad" },
	{ "words=a,,b", "words: \"a,,b\" has an empty item; try [a, \"b,c\"]" },
	{ "words=a,", "words: \"a,\" has an empty item; try [a, \"b,c\"]" },
	{ "words=[a,]", "words: \"[a,]\" has an empty item; try [a, \"b,c\"]" },
	{ "words=,", "words: \",\" has an empty item; try [a, \"b,c\"]" },
	{ "words=[a", "words: \"[a\"" NOT_CLOSED },
	{ "words=[", "words: \"[\"" NOT_CLOSED },
	{ "words=\"a", "words: \"\\\"a\"" NOT_QUOTED },
	{ "words=\"a\\n\"", "words: \"\\\"a\\\\n\\\"\"" NOT_QUOTED },
	{ "words=\"a\\", "words: \"\\\"a\\\\\"" NOT_QUOTED },
	{ "words=\"a\"b", "words: \"\\\"a\\\"b\" lacks a comma after a quoted item" },
	{ "words=ok,loud!", "words: \"loud!\" is too loud" },
	{ "words=a,12345678901234567", "words: \"12345678901234567\" is too long; up to 16 characters" },
	{ "rules=a*", "rules: takes a list of rules; try [{match: \"a*\", action: keep}]" },
	{ "rules={match: a, action: keep}", "rules: takes a list of rules; try [{match: \"a*\", action: keep}]" },
	{ "rules=[a]", "rules: \"a\" is no rule; try [{match: \"a*\", action: keep}]" },
	{ "rules=[{match: a}]", "rules: a rule lacks its action; try {match: \"a*\", action: keep}" },
	{ "rules=[{action: keep}]", "rules: a rule lacks its match; try {match: \"a*\", action: keep}" },
	{ "rules=[{match: a, action: shoot}]", "rules: \"shoot\" is not a choice; try keep or drop" },
	{ "rules=[{match: a, action: }]", "rules: \"\" is not a choice; try keep or drop" },
	{ "rules=[{match: loud!, action: keep}]", "rules: \"loud!\" is too loud" },
	{ "rules=[{match: 12345678901234567, action: keep}]",
	  "rules: \"12345678901234567\" is too long; up to 16 characters" },
	{ "rules=[{match: a, action: keep, why: x}]", "rules: a rule has match and action, no \"why\"" },
	{ "rules=[{match: a, match: b, action: keep}]", "rules: a rule has match twice; keep one" },
	{ "rules=[{match: [a], action: keep}]", "rules: match takes a text\n--set rules=[{match: [a], action: keep}]: "
	                                        "rules: a rule lacks its match; try {match: \"a*\", action: keep}" },
	{ "rules=[[a]]", "rules: an item is neither a text nor a mapping" },
	{ "rules=[{match: a",
	  "rules: this is not YAML: did not find expected ',' or '}' while parsing a flow mapping" },
	{ "outer=1", "\"outer\" is a section, its keys are below it" },
	{ "outer.=1", "unknown key \"outer.\"" },
	{ "coutn=1", "unknown key \"coutn\"; did you mean \"count\"?" },
	{ "cont=1", "unknown key \"cont\"; did you mean \"count\"?" },
	{ "OUTER_DEP=1", "unknown key \"OUTER_DEP\"; did you mean \"outer.deep\"?" },
	{ "elephant=1", "unknown key \"elephant\"" },
	{ "=1", "unknown key \"\"" },
	{ "count", "has no value; write --set key=value" },
	{ "size=3", "size: \"3\" must not be 3" },
	{ "outer.deep=11", "outer.deep: \"11\" must not be more than count (count is \"10\")" },
	{ "count=4", "outer.deep: \"5\" must not be more than count (count is \"4\")" },
};

static void test_bad_flags(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_flags); i++) {
		_cleanup_(buf_free) struct buf told = BUF_INIT(4096);
		/* The flag is shown escaped, as values are. */
		const char *set = bad_flags[i].set;
		buf_appendf(&told, "--set ");
		for (const char *c = set; *c; c++)
			buf_appendf(&told, *c == '"' || *c == '\\' ? "\\%c" : *c < ' ' ? "\\x%02x" : "%c", *c);
		buf_appendf(&told, ": %s\n", bad_flags[i].told);
		assert_refused(&(struct source) { .set = { set } }, -EINVAL, buf_text(&told));
	}
}

static const struct {
	const char *yaml, *told;
} bad_yaml[] = {
	{ "\n\ncount: many\n", "FILE:3: count: \"many\" is not a count; try 10 (2 to 100)\n" },
	{ "count:\n", "FILE:1: count: \"\" is not a count; try 10 (2 to 100)\n" },
	{ "count: ''\n", "FILE:1: count: \"\" is not a count; try 10 (2 to 100)\n" },
	{ "on: no\n", "FILE:1: on: \"no\"" NOT_BOOLEAN "\n" },
	{ "outer:\n  deep: 51\n", "FILE:2: outer.deep: \"51\" is too much; try 5 (0 to 50)\n" },
	{ "count: [1]\n", "FILE:1: count: takes a count, not a list; try 10 (2 to 100)\n" },
	{ "mode: {}\n", "FILE:1: mode: takes a choice, not a mapping; try slow, fast or mad\n" },
	{ "words: a\n", "FILE:1: words: takes a list, not a text; try [a, b]\n" },
	{ "words: ''\n", "FILE:1: words: takes a list, not a text; try [a, b]\n" },
	{ "name: [a]\n", "FILE:1: name: takes a text, not a list\n" },
	{ "words:\n- a\n- loud!\n- [b, {c: d}]\n- ~\n- e: f\n",
	  "FILE:4: words: an item is neither a text nor a mapping\n"
	  "FILE:5: words: an item is empty; take it out, or write \"\"\n"
	  "FILE:3: words: \"loud!\" is too loud\n"
	  "FILE:6: words: a list's items are texts; try [a, b]\n" },
	{ "rules: a*\n", "FILE:1: rules: takes a list of rules; try [{match: \"a*\", action: keep}]\n" },
	{ "rules: {match: a, action: keep}\n",
	  "FILE:1: rules: takes a list of rules; try [{match: \"a*\", action: keep}]\n"
	  "FILE:1: unknown key \"rules.match\"\nFILE:1: unknown key \"rules.action\"\n" },
	{ "rules:\n- a*\n- match: b\n  action: shoot\n- action: keep\n- match: loud!\n  action: keep\n",
	  "FILE:2: rules: \"a*\" is no rule; try [{match: \"a*\", action: keep}]\n"
	  "FILE:4: rules: \"shoot\" is not a choice; try keep or drop\n"
	  "FILE:5: rules: a rule lacks its match; try {match: \"a*\", action: keep}\n"
	  "FILE:6: rules: \"loud!\" is too loud\n" },
	{ "outer: 3\n", "FILE:1: \"outer\" is a section, its keys are below it\n" },
	{ "outer: [a]\n", "FILE:1: \"outer\" is a section, its keys are below it\n" },
	{ "cuont: 3\nCounts: 4\n", "FILE:1: unknown key \"cuont\"; did you mean \"count\"?\n"
	                           "FILE:2: unknown key \"Counts\"; did you mean \"count\"?\n" },
	{ "outre: {}\n", "FILE:1: unknown key \"outre\"\n" },
	{ "outer:\n  dep: 3\n", "FILE:2: unknown key \"outer.dep\"; did you mean \"outer.deep\"?\n" },
	{ "spool: { dir: /x, max: 3 }\n", "FILE:1: unknown key \"spool.dir\"\nFILE:1: unknown key \"spool.max\"\n" },
	{ "spool:\n", "FILE:1: unknown key \"spool\"\n" },
	{ "outer.deep: 3\n", "FILE:1: outer.deep: in a file, keys are nested: "
	                     "\"flows: { max: 1000 }\", not \"flows.max: 1000\"\n" },
	{ "count: 3\nname: x\ncount: 4\n", "FILE:3: count: was set before, on line 1; keep one\n" },
	{ "outer: { deep: 1 }\nouter: {}\n", "FILE:2: outer: was set before, on line 1; keep one\n" },
	{ "count: &c 3\nany: *c\n",
	  "FILE:1: count: anchors (&c) are not supported; write the value out where it is used\n"
	  "FILE:2: any: aliases (*c) are not supported; write the value out\n" },
	{ "outer: &o { deep: 1 }\n",
	  "FILE:1: outer: anchors (&o) are not supported; write the value out where it is used\n" },
	{ "words: [&w a]\n", "FILE:1: words: anchors (&w) are not supported; write the value out where it is used\n" },
	{ "outer:\n  <<: { deep: 1 }\n", "FILE:2: unknown key \"outer.<<.deep\"\n" },
	{ "count: !!int 3\n",
	  "FILE:1: count: tags (tag:yaml.org,2002:int) are not supported; write the value alone\n" },
	{ "- a\n", "FILE:1: the file is not a mapping of keys, such as \"log: { level: info }\"\n" },
	{ "text\n", "FILE:1: the file is not a mapping of keys, such as \"log: { level: info }\"\n" },
	{ "count: 3\n---\ncount: 4\n", "FILE:2: a second document begins here; one is read\n" },
	{ "? [a]\n: b\n", "FILE:1: a key is a plain name, such as \"log\"\n" },
	{ "name: \"a\\0b\"\n", "FILE:1: name: has a NUL character\n" },
	{ "path: \"/a\\nb\"\n", "FILE:1: path: \"/a\\x0ab\" has a control character\n" },
	{ "a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}\n", "FILE:1: a.b.c.d.e.f.g.h: nested deeper than 8 levels\n" },
	{ "outer:\n\tdeep: 3\n", "FILE:2: this is not YAML: found character that cannot start any token "
	                         "while scanning for the next token\n" },
	{ "outer: { deep: 3\n",
	  "FILE:2: this is not YAML: did not find expected ',' or '}' while parsing a flow mapping\n" },
	{ "name: \"a\n", "FILE:2: this is not YAML: found unexpected end of stream while scanning a quoted scalar\n" },
	{ "name: \xff\n", "FILE: this is not YAML: invalid leading UTF-8 octet\n" },
};

static void test_bad_yaml(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_yaml); i++)
		assert_refused(&(struct source) { .yaml = bad_yaml[i].yaml }, -EINVAL, bad_yaml[i].told);
}

static void test_bad_environment(void **state)
{
	static const struct {
		const char *variable, *told;
	} cases[] = {
		{ "T_COUNT=many", "T_COUNT: count: \"many\" is not a count; try 10 (2 to 100)\n" },
		{ "T_OUTER_DEP=3", "T_OUTER_DEP: no key has this variable; did you mean T_OUTER_DEEP?\n" },
		{ "T_ELEPHANT=3", "T_ELEPHANT: no key has this variable\n" },
		{ "T_=3", "T_: no key has this variable\n" },
		{ "T_count=3", "T_count: no key has this variable; did you mean T_COUNT?\n" },
		{ "T_SINK_PORT=4318", "T_SINK_PORT: no key has this variable\n" },
		{ "T_SINK_SERVICE_PORT=any", "T_SINK_SERVICE_PORT: no key has this variable\n" },
		{ "T_SINK_PORT_X_TCP=1", "T_SINK_PORT_X_TCP: no key has this variable\n" },
		{ "T_SINK_PORT_1_TCPX=1", "T_SINK_PORT_1_TCPX: no key has this variable\n" },
		{ "T_OUTER=", "T_OUTER: no key has this variable\n" },
		{ "T_COUNT=4", "T_COUNT: outer.deep: \"5\" must not be more than count (count is \"4\")\n" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_refused(&(struct source) { .environment = { (char *)cases[i].variable } }, -EINVAL,
		               cases[i].told);
}

/* Every source's problems are told at once; a wrong value is told even where a later source overrides it. */
static void test_all_at_once(void **state)
{
	struct source source = { .yaml = "count: many\nextra: 1\nsize: 3\n",
		                 .set = { "mode=quick", "count=5" },
		                 .environment = { "T_ON=1" } };
	assert_refused(&source, -EINVAL,
	               "FILE:1: count: \"many\" is not a count; try 10 (2 to 100)\n"
	               "FILE:2: unknown key \"extra\"\n"
	               "T_ON: on: \"1\"" NOT_BOOLEAN "\n"
	               "--set mode=quick: mode: \"quick\" is not a choice; try slow, fast or mad\n");
}

/* Messages end up in logs: no password, no line of a megabyte, no line break of the user's. */
static void test_quoting(void **state)
{
	char set[256] = "path=";
	memset(set + 5, 'x', 100);
	assert_refused(&(struct source) { .yaml = "path: https://me:secret@host/x@y\n" }, -EINVAL,
	               "FILE:1: path: \"https://***@host/x@y\" must be absolute\n");
	assert_refused(&(struct source) { .set = { "path=a\nb\x7f" } }, -EINVAL,
	               "--set path=a\\x0ab\\x7f: path: \"a\\x0ab\\x7f\" has a control character\n");
	assert_refused(
		&(struct source) { .set = { set } }, -EINVAL,
		"--set path=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: path: "
		"\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\" must be absolute\n");
}

static void append_many(struct buf *yaml, size_t n, const char *format)
{
	for (size_t i = 0; i < n; i++) {
		char line[64];
		snprintf(line, sizeof(line), "%s%zu\n", format, i);
		buf_append(yaml, line, strlen(line));
	}
}

static void test_bounds(void **state)
{
	_cleanup_(buf_free) struct buf problems = BUF_INIT(1 << 21), items = BUF_INIT(1 << 21),
				       nodes = BUF_INIT(1 << 21);
	_cleanup_(buf_free) struct buf error = BUF_INIT(1 << 21), huge = BUF_INIT(1 << 21);
	struct sample sample;

	for (int i = 0; i < 60; i++)
		buf_appendf(&problems, "k%d: 1\n", i);
	assert_int_equal(sample_load(&(struct source) { .yaml = buf_text(&problems) }, &sample, NULL, &error), -EINVAL);
	assert_non_null(strstr(buf_text(&error), "FILE:50: unknown key \"k49\"\nand 10 more problems\n"));

	buf_appendf(&items, "words:\n");
	append_many(&items, 257, "- w");
	assert_refused(&(struct source) { .yaml = buf_text(&items) }, -EINVAL,
	               "FILE:258: words: has more than 256 items\n");

	append_many(&nodes, 1025, "- w");
	_cleanup_(buf_free) struct buf list = BUF_INIT(1 << 21);
	buf_appendf(&list, "words:\n%s", buf_text(&nodes));
	assert_refused(&(struct source) { .yaml = buf_text(&list) }, -EINVAL,
	               "FILE:1025: more than 1024 keys and list items\n");

	for (int i = 0; i < 1024 * 16 + 1; i++)
		buf_appendf(&huge, "# a comment of 64 characters, which is long for nothing at all.\n");
	assert_refused(&(struct source) { .yaml = buf_text(&huge) }, -EFBIG,
	               "FILE: larger than 1 MiB; is it the right file?\n");
}

static void test_unreadable_file(void **state)
{
	static const struct {
		const char *file;
		int r;
		const char *told;
	} cases[] = {
		{ "/nonexistent/sonde.yaml", -ENOENT,
		  "/nonexistent/sonde.yaml: cannot be read: No such file or directory\n" },
		{ "/", -EISDIR, "/: cannot be read: Is a directory\n" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
		const char *set = "mode=quick";
		struct config_input input = { .file = cases[i].file, .sets = &set, .n_sets = 1 };
		struct sample sample;
		assert_int_equal(config_load(&sample_schema, &input, &sample, NULL, &error), cases[i].r);
		assert_int_equal(strncmp(buf_text(&error), cases[i].told, strlen(cases[i].told)), 0);
		assert_non_null(strstr(buf_text(&error), "--set mode=quick: "));
	}
}

/* Where the caller's buffer is full, the load fails all the same. */
static void test_full_buffer(void **state)
{
	_cleanup_(buf_free) struct buf error = BUF_INIT(8);
	struct config_input input = { .sets = (const char *[]) { "mode=quick" }, .n_sets = 1 };
	struct sample sample;
	assert_int_equal(config_load(&sample_schema, &input, &sample, NULL, &error), -EINVAL);
	assert_int_equal(error.size, 0);
}

/* A default that its own check refuses makes a key required. */
static void test_required_key(void **state)
{
	struct config_key key = sample_schema.keys[SAMPLE_PATH];
	struct config_schema schema = { .env_prefix = "T_", .keys = &key, .n_keys = 1, .size = sizeof(struct sample) };
	_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
	struct config_input input = { .n_sets = 0 };
	struct sample sample = { 0 };
	key.fallback = "unset";
	assert_int_equal(config_load(&schema, &input, &sample, NULL, &error), -EINVAL);
	assert_string_equal(buf_text(&error), "path: \"unset\" must be absolute\n");

	input.sets = (const char *[]) { "path=/x" };
	input.n_sets = 1;
	buf_reset(&error);
	assert_int_equal(config_load(&schema, &input, &sample, NULL, &error), 0);
	config_free(&schema, &sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_flags),       cmocka_unit_test(test_bad_yaml),
		cmocka_unit_test(test_bad_environment), cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_quoting),         cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_unreadable_file), cmocka_unit_test(test_full_buffer),
		cmocka_unit_test(test_required_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
