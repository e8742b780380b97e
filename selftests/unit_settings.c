// SPDX-License-Identifier: Apache-2.0
/* The sensor's table of keys: defaults, checks, and that docs/configuration.md says the same. Run from the source's
 * root. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "user/config_internal.h"
#include "user/listen.h"
#include "user/settings.h"

#define SECOND 1000000000ULL
#define PAGE   "docs/configuration.md"

static int load(const char *const *sets, size_t n_sets, struct settings *ret_settings, struct buf *error)
{
	struct config_input input = { .sets = sets, .n_sets = n_sets };
	return settings_load(&input, ret_settings, error);
}

static void test_defaults(void **state)
{
	_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
	struct settings settings;
	assert_int_equal(load(NULL, 0, &settings, &error), 0);
	assert_int_equal(settings.interfaces.include.n, 0);
	assert_int_equal(settings.interfaces.exclude.n, 0);
	assert_true(settings.interfaces.hotplug);
	assert_int_equal(settings.interfaces.netns, NETNS_HOST);
	assert_int_equal(settings.namespaces.n, 0);
	assert_string_equal(settings.filter, "");
	assert_int_equal(settings.flows.max, 262144);
	assert_int_equal(settings.flows.interval, 10 * SECOND);
	assert_int_equal(settings.flows.active_timeout, 60 * SECOND);
	assert_int_equal(settings.flows.idle_timeout, 15 * SECOND);
	assert_true(settings.packets.enabled);
	assert_int_equal(settings.packets.head_bytes, 1024);
	assert_int_equal(settings.packets.snaplen, 256);
	assert_int_equal(settings.packets.one_in, 0);
	assert_int_equal(settings.packets.max_rate, 10000);
	assert_true(settings.sockets.enabled);
	assert_int_equal(settings.ring.bytes, 16 << 20);
	assert_string_equal(settings.backend.url, "");
	assert_string_equal(settings.backend.ca, "");
	assert_string_equal(settings.backend.cert, "");
	assert_string_equal(settings.backend.key, "");
	assert_string_equal(settings.backend.proxy, "");
	assert_string_equal(settings.backend.no_proxy, "");
	assert_int_equal(settings.backend.compression, COMPRESSION_GZIP);
	assert_int_equal(settings.backend.timeout, 10 * SECOND);
	assert_int_equal(settings.batch.records, 8192);
	assert_int_equal(settings.batch.bytes, 1 << 20);
	assert_int_equal(settings.batch.age, SECOND);
	assert_string_equal(settings.metrics.listen, "127.0.0.1:9797");
	assert_string_equal(settings.node.name, "");
	assert_string_equal(settings.node.cgroup_root, "/sys/fs/cgroup");
	assert_string_equal(settings.node.proc_root, "/proc");
	assert_string_equal(settings.node.pods_dir, "/var/log/pods");
	assert_string_equal(settings.node.pods_url, "");
	assert_string_equal(settings.node.pods_ca, "");
	assert_string_equal(settings.node.pods_token_file, "");
	assert_int_equal(settings.node.pods_interval, 30 * SECOND);
	assert_int_equal(settings.log.level, LOG_INFO);
	assert_int_equal(settings.log.format, LOG_LOGFMT);
	assert_string_equal(settings.control, "/run/sonde/control.sock");
	assert_string_equal(settings.bpffs, "/sys/fs/bpf/sonde");
	assert_false(settings.keep_attached);
	settings_free(&settings);
}

/* The table is in the order of the struct, and leaves out no member of it. */
static void test_every_member_has_a_key(void **state)
{
	static const size_t sizes[] = { [CONFIG_BOOL] = sizeof(bool),
		                        [CONFIG_STRING] = sizeof(char *),
		                        [CONFIG_COUNT] = sizeof(uint64_t),
		                        [CONFIG_BYTES] = sizeof(uint64_t),
		                        [CONFIG_DURATION] = sizeof(uint64_t),
		                        [CONFIG_ENUM] = sizeof(int),
		                        [CONFIG_LIST] = sizeof(struct config_list),
		                        [CONFIG_RULES] = sizeof(struct config_rules) };
	size_t end = 0;
	for (size_t i = 0; i < settings_schema.n_keys; i++) {
		const struct config_key *key = &settings_schema.keys[i];
		size_t size = sizes[key->type], align = size > 8 ? 8 : size;
		size_t padding = key->offset - end;
		if (key->offset < end || padding >= 8 || (padding && end % 8 == 0) || key->offset % align)
			fail_msg("%s is at %zu, the key before ends at %zu", key->name, key->offset, end);
		end = key->offset + size;
	}
	assert_true(sizeof(struct settings) - end < 8);
}

/* Stages that do not exist yet have no keys, so that nobody believes they work. */
static void test_no_key_without_its_stage(void **state)
{
	static const char *const sets[] = { "spool.dir=/x", "backend.token_file=" };
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
		struct settings settings;
		assert_int_equal(load(&sets[i], 1, &settings, &error), -EINVAL);
		assert_non_null(strstr(buf_text(&error), "unknown key"));
	}
}

static void test_good_values(void **state)
{
	static const char *const sets[] = {
		"filter=tcp port 443 or (udp and not host 10.0.0.1)",
		"filter=tcp\n\tand port 1\n",
		"filter= ",
		"interfaces.include=eth[0-9]+,(cali|veth).*,^x$",
		"backend.url=https://sink.example:4318/otlp",
		"backend.url=",
		"metrics.listen=",
		"metrics.listen=[::]:0",
		"node.name=ip-10-0-0-1.eu_west.internal",
		"ring.bytes=64KiB",
		"flows.active_timeout=10s",
		"packets.head_bytes=0",
		"packets.snaplen=9216",
		"packets.one_in=1000000000",
		"packets.max_rate=0",
		"backend.ca=/a b/ca.crt",
		"backend.proxy=http://proxy.example:3128",
		"backend.no_proxy=.example,10.0.0.0/8",
		"node.pods_url=https://10.0.0.1:10250/pods",
		"node.pods_interval=10s",
		"namespaces=[{match: 'kube-*', action: deny}, {match: \"*\", action: allow}]",
	};
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
		struct settings settings;
		int r = load(&sets[i], 1, &settings, &error);
		if (r < 0)
			fail_msg("%s", buf_text(&error));
		settings_free(&settings);
	}
}

static void test_bad_values(void **state)
{
	static const struct {
		const char *set, *told; /* what follows the value */
	} cases[] = {
		{ "interfaces.include=eth(", "is not an extended regular expression (Unmatched ( or \\()" },
		{ "interfaces.include=a)(b", "is not an extended regular expression" },
		{ "interfaces.exclude=eth0,*", "is not an extended regular expression" },
		{ "interfaces.include=\"\"", "matches no name; write .* for all interfaces" },
		{ "flows.max=15", "is too little; try 262144 (16 to 16777216)" },
		{ "packets.snaplen=63", "is too little; try 256 (64 to 9KiB)" },
		{ "ring.bytes=32KiB", "is too little; try 16MiB (64KiB to 1GiB)" },
		{ "ring.bytes=48MiB", "must be a power of two, such as 8MiB or 16MiB" },
		{ "backend.url=http://a:4318", "must begin with https://: records leave over mutual TLS only" },
		{ "backend.ca=ca.crt", "must be an absolute path" },
		{ "backend.cert=/c", "is no key for the certificate; set both or none (backend.cert is \"/c\")" },
		{ "backend.key=/k", "is no certificate for the key; set both or none (backend.key is \"/k\")" },
		{ "namespaces=kube-*", "takes a list of rules; try [{match: \"a*\", action: allow}]" },
		{ "namespaces=[kube-*]", "is no rule; try [{match: \"a*\", action: allow}]" },
		{ "namespaces=[{match: a, action: drop}]", "is not a choice; try allow or deny" },
		{ "namespaces=[{match: '', action: deny}]", "matches no namespace; write \"*\" for all" },
		{ "backend.proxy=https://proxy:3128", "must be http://host:port" },
		{ "metrics.listen=9797", "must be address:port" },
		{ "metrics.listen=localhost:9797", "must be address:port" },
		{ "node.name=a b", "must be a host name" },
		{ "node.proc_root=proc", "must be an absolute path" },
		{ "node.pods_dir=", "must be an absolute path" },
		{ "interfaces.netns=pods", "host or all" },
		{ "node.pods_url=http://a/pods", "must begin with https://: no token is sent unencrypted" },
		{ "node.pods_token_file=token", "must be an absolute path" },
		{ "node.pods_interval=9s", "is too little; try 30s (10s to 1h)" },
		{ "flows.interval=61s",
		  "is less than flows.interval; a flow is written at readings only (flows.interval is" },
		{ "flows.active_timeout=9s", "is less than flows.interval" },
		{ "control=/ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"
		  "ssssssssssssssssssssssssssssssssssssss",
		  "is too long; up to 107 characters" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
		struct settings settings;
		if (load(&cases[i].set, 1, &settings, &error) != -EINVAL)
			fail_msg("%s is not refused", cases[i].set);
		if (!strstr(buf_text(&error), cases[i].told))
			fail_msg("%s: not \"%s\" in: %s", cases[i].set, cases[i].told, buf_text(&error));
	}
}

/* A password is in no message, neither as the value nor in the flag. */
static void test_password_is_not_told(void **state)
{
	static const char *const sets[] = { "backend.url=https://me:secret@a",
		                            "node.pods_url=https://me:secret@a/pods" };
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
		struct settings settings;
		assert_int_equal(load(&sets[i], 1, &settings, &error), -EINVAL);
		assert_null(strstr(buf_text(&error), "secret"));
	}
}

static void test_variables_of_the_sink(void **state)
{
	_cleanup_(buf_free) struct buf error = BUF_INIT(4096);
	char *environment[] = { "SONDE_SINK_LISTEN=0.0.0.0:4318", "SONDE_PORT=tcp://10.0.0.1:80", "SONDE_FLOWS_MAX=77",
		                NULL };
	struct config_input input = { .environment = environment };
	struct settings settings;
	assert_int_equal(settings_load(&input, &settings, &error), 0);
	assert_int_equal(settings.flows.max, 77);
	settings_free(&settings);
}

static void test_listen_split(void **state)
{
	static const struct {
		const char *listen, *host;
		int port; /* -1: refused */
	} cases[] = {
		{ "127.0.0.1:9797", "127.0.0.1", 9797 },
		{ "0.0.0.0:0", "0.0.0.0", 0 },
		{ "[::]:65535", "::", 65535 },
		{ "[fd00::1]:80", "fd00::1", 80 },
		{ "", NULL, -1 },
		{ ":80", NULL, -1 },
		{ "127.0.0.1", NULL, -1 },
		{ "127.0.0.1:", NULL, -1 },
		{ "127.0.0.1:65536", NULL, -1 },
		{ "127.0.0.1:-1", NULL, -1 },
		{ "127.0.0.1: 80", NULL, -1 },
		{ "127.0.0.1:80x", NULL, -1 },
		{ "127.0.0.1:000080", NULL, -1 },
		{ "127.0.0:80", NULL, -1 },
		{ "::1:80", NULL, -1 },
		{ "[::1]", NULL, -1 },
		{ "[::1]80", NULL, -1 },
		{ "[::1:80", NULL, -1 },
		{ "[127.0.0.1]:80", NULL, -1 },
		{ "host:80", NULL, -1 },
		{ "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80", NULL, -1 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char host[64] = "before";
		uint16_t port = 12345;
		int r = listen_split(cases[i].listen, host, &port);
		assert_int_equal(r, cases[i].port < 0 ? -EINVAL : 0);
		assert_string_equal(host, cases[i].host ? cases[i].host : "before");
		assert_int_equal(port, cases[i].port < 0 ? 12345 : cases[i].port);
	}
}

/* "| `flows.max` | `262144` | count, 16 to 16777216 | no | help |" */
static void append_row(struct buf *out, const struct config_key *key)
{
	_cleanup_(buf_free) struct buf expected = BUF_INIT(4096);
	config_expect(key, &expected);
	const char *choices = strstr(buf_text(&expected), "; try "), *range = strchr(buf_text(&expected), '(');
	bool is_number = key->type == CONFIG_COUNT || key->type == CONFIG_BYTES || key->type == CONFIG_DURATION;
	const char *fallback = *key->fallback                                          ? key->fallback
	                       : key->type == CONFIG_LIST || key->type == CONFIG_RULES ? "[]"
	                                                                               : "\"\"";
	buf_appendf(out, "| `%s` | `%s` | ", key->name, fallback);
	if (key->type == CONFIG_ENUM)
		buf_appendf(out, "%s", choices + strlen("; try "));
	else if (is_number)
		buf_appendf(out, "%s, %.*s", config_type_name(key->type), (int)strlen(range) - 2, range + 1);
	else
		buf_appendf(out, "%s", config_type_name(key->type));
	buf_appendf(out, " | %s | %s |\n", key->live ? "yes" : "no", key->help);
}

/* The next row about a key, or "". */
static const char *read_row(FILE *page, char line[static 1024])
{
	while (fgets(line, 1024, page))
		if (!strncmp(line, "| `", 3))
			return line;
	return "";
}

static void test_documentation(void **state)
{
	char line[1024];
	_cleanup_(fclosep) FILE *page = fopen(PAGE, "re");
	if (!page)
		fail_msg("no %s: is this the source's root?", PAGE);
	for (size_t i = 0; i < settings_schema.n_keys; i++) {
		_cleanup_(buf_free) struct buf row = BUF_INIT(4096);
		append_row(&row, &settings_schema.keys[i]);
		assert_string_equal(read_row(page, line), buf_text(&row));
	}
	assert_string_equal(read_row(page, line), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_member_has_a_key),
		cmocka_unit_test(test_no_key_without_its_stage),
		cmocka_unit_test(test_good_values),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_password_is_not_told),
		cmocka_unit_test(test_variables_of_the_sink),
		cmocka_unit_test(test_listen_split),
		cmocka_unit_test(test_documentation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
