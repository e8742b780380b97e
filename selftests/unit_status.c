// SPDX-License-Identifier: Apache-2.0
/* Status: the JSON that other programs read, and the text made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <cmocka.h>
#include "selftests/snapshot_sample.h"
#include "user/status.h"
#include "version.h"

#define URL "https://collector:4318"

static const char *const verdict_names[] = VERDICT_NAMES;
static const char *const lost_names[] = LOST_REASON_NAMES;
static const char *const drop_names[] = DROP_REASON_NAMES;

static void cleanup_json(json_t **json)
{
	json_decref(*json);
}

static json_t *format(const struct snapshot *snapshot)
{
	_cleanup_(buf_free) struct buf text = BUF_INIT(1 << 20);
	assert_int_equal(status_json(snapshot, URL, &text), 0);
	assert_int_equal(text.data[text.size - 1], '\n');
	json_t *json = json_loadb(text.data, text.size, 0, NULL);
	assert_non_null(json);
	return json;
}

static const json_t *member(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	if (!value)
		fail_msg("no member \"%s\"", key);
	return value;
}

static void assert_number(const json_t *object, const char *key, uint64_t value)
{
	const json_t *number = member(object, key);
	assert_true(json_is_integer(number));
	assert_int_equal(json_integer_value(number), value);
}

static void assert_string(const json_t *object, const char *key, const char *value)
{
	assert_string_equal(json_string_value(member(object, key)), value);
}

/* OBJECT has each reason that occurred, and no other. */
static void assert_reasons(const json_t *object, const char *const *names, const uint64_t *values, size_t n)
{
	size_t occurred = 0;
	for (size_t i = 0; i < n; i++) {
		if (values[i])
			assert_number(object, names[i], values[i]);
		occurred += values[i] != 0;
	}
	assert_int_equal(json_object_size(object), occurred);
}

static void assert_hook(const json_t *object, const struct hook_stats *stats)
{
	assert_number(object, "seen", stats->seen);
	assert_number(object, "observed", stats->verdicts[VERDICT_OBSERVED]);
	assert_number(object, "bytes_observed", stats->bytes_observed);
	assert_reasons(member(object, "skipped"), verdict_names + 1, (const uint64_t *)stats->verdicts + 1,
	               VERDICT_MAX - 1);
}

static void test_interfaces(void **state)
{
	_cleanup_(snapshot_clear) struct snapshot snapshot;
	snapshot_sample(&snapshot);
	snapshot.ifaces[0].stats[DIRECTION_INGRESS].verdicts[VERDICT_SELF] = 0;
	_cleanup_(cleanup_json) json_t *json = format(&snapshot);

	const json_t *interfaces = member(json, "interfaces");
	assert_int_equal(json_array_size(interfaces), SAMPLE_IFACES);
	for (size_t i = 0; i < SAMPLE_IFACES; i++) {
		const json_t *iface = json_array_get(interfaces, i);
		assert_number(iface, "ifindex", snapshot.ifaces[i].ifindex);
		assert_hook(member(iface, "ingress"), &snapshot.ifaces[i].stats[DIRECTION_INGRESS]);
		assert_hook(member(iface, "egress"), &snapshot.ifaces[i].stats[DIRECTION_EGRESS]);
	}
	assert_string(json_array_get(interfaces, 0), "name", "eth0");
	assert_string(json_array_get(interfaces, 0), "hook", "tcx");
	/* JSON is UTF-8; the kernel's names need not be. */
	assert_string(json_array_get(interfaces, 1), "name", "a\"b\\c?");
	assert_string(json_array_get(interfaces, 1), "hook", "clsact");
	assert_hook(member(member(json, "departed"), "egress"), &snapshot.departed[DIRECTION_EGRESS]);

	const json_t *namespaces = member(json, "network_namespaces"), *refused = member(namespaces, "refused");
	assert_number(namespaces, "attached", 5);
	assert_number(refused, "permission", 3);
	assert_number(refused, "error", 4);
	assert_int_equal(json_object_size(refused), 2);
}

static void test_records(void **state)
{
	static const char *const kinds[] = RECORD_KIND_NAMES;
	_cleanup_(snapshot_clear) struct snapshot snapshot;
	snapshot_sample(&snapshot);
	snapshot.records[RECORD_FLOW].lost[LOST_CRASH] = 0;
	_cleanup_(cleanup_json) json_t *json = format(&snapshot);

	assert_int_equal(json_object_size(member(json, "records")), RECORD_KIND_MAX);
	for (size_t kind = 0; kind < RECORD_KIND_MAX; kind++) {
		const json_t *object = member(member(json, "records"), kinds[kind]);
		const struct snapshot_records *records = &snapshot.records[kind];
		assert_number(object, "produced", records->produced);
		assert_number(object, "received", records->received);
		assert_number(object, "acked", records->acked);
		assert_number(object, "queued", records->queued);
		assert_true(json_is_integer(member(object, "spooled")));
		assert_reasons(member(object, "lost"), lost_names, records->lost, LOST_REASON_MAX);
		assert_reasons(member(object, "dropped"), drop_names, records->dropped, DROP_REASON_MAX);
	}
}

static void test_rest(void **state)
{
	_cleanup_(snapshot_clear) struct snapshot snapshot;
	snapshot_sample(&snapshot);
	_cleanup_(cleanup_json) json_t *json = format(&snapshot);

	assert_string(json, "version", SONDE_VERSION);
	assert_number(member(json, "flows"), "current", snapshot.readout.flows);
	assert_number(member(json, "flows"), "unreported_packets", snapshot.readout.unreported.packets);
	assert_number(member(json, "flows"), "unreported_bytes", snapshot.readout.unreported.bytes);
	assert_number(member(json, "flows"), "takeovers", 31);
	assert_number(member(json, "flows"), "takeovers_ambiguous", 32);
	assert_number(member(json, "ring"), "bytes", snapshot.backlog.bytes);
	assert_number(member(json, "ring"), "records", snapshot.backlog.records);
	assert_string(member(json, "backend"), "url", URL);
	assert_true(json_is_true(member(member(json, "backend"), "up")));
	assert_string(member(json, "backend"), "last_error", "");
	assert_true(json_is_true(member(member(json, "books"), "balanced")));
	assert_number(member(json, "books"), "difference", 0);
}

static void test_unbalanced(void **state)
{
	_cleanup_(snapshot_clear) struct snapshot snapshot;
	snapshot_sample(&snapshot);
	snapshot.difference.hooks = 1;
	snapshot.difference.flows = 20;
	snapshot.difference.bytes = 300;
	snapshot.difference.records = 4000;
	_cleanup_(cleanup_json) json_t *json = format(&snapshot);

	const json_t *books = member(json, "books");
	assert_true(json_is_false(member(books, "balanced")));
	assert_number(books, "difference", 4321);
	assert_number(books, "hooks", 1);
	assert_number(books, "flows", 20);
	assert_number(books, "bytes", 300);
	assert_number(books, "records", 4000);
}

/* The backend's message may be cut within a character. */
static void test_odd_error(void **state)
{
	_cleanup_(snapshot_clear) struct snapshot snapshot;
	snapshot_sample(&snapshot);
	snapshot.ship.up = false;
	snprintf(snapshot.ship.last_error, sizeof(snapshot.ship.last_error), "\"caf\xc3");
	_cleanup_(cleanup_json) json_t *json = format(&snapshot);

	assert_true(json_is_false(member(member(json, "backend"), "up")));
	assert_string(member(json, "backend"), "last_error", "\"caf?");
}

static void assert_contains(const struct buf *text, const char *part)
{
	if (!strstr(buf_text(text), part))
		fail_msg("no \"%s\" in: %s", part, buf_text(text));
}

static void test_text(void **state)
{
	_cleanup_(snapshot_clear) struct snapshot snapshot;
	_cleanup_(buf_free) struct buf json = BUF_INIT(1 << 20), text = BUF_INIT(1 << 20), bad = BUF_INIT(1 << 20);
	snapshot_sample(&snapshot);

	assert_int_equal(status_json(&snapshot, URL, &json), 0);
	assert_int_equal(status_text(buf_text(&json), &text), 0);
	assert_contains(&text, "sonde " SONDE_VERSION "\n");
	assert_contains(&text, "  eth0                 tcx    ingress");
	assert_contains(&text, "duplicate 1057, not_ip 1058");
	assert_contains(&text, "(departed)");
	assert_contains(&text, "backend  " URL " up\n");
	assert_contains(&text, "books    balanced\n");

	snapshot.difference.flows = 5;
	snapshot.ship.up = false;
	snprintf(snapshot.ship.last_error, sizeof(snapshot.ship.last_error), "connection refused");
	assert_int_equal(status_json(&snapshot, "", &bad), 0);
	buf_reset(&text);
	assert_int_equal(status_text(buf_text(&bad), &text), 0);
	assert_contains(&text, "backend  (none) down: connection refused\n");
	assert_contains(&text, "NOT balanced: difference 5 (hooks 0, flows 5, bytes 0, records 0)\n");
}

static void test_not_a_status(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "{}", "{\"interfaces\":[],\"backend\":{}}", "null" };
	_cleanup_(buf_free) struct buf text = BUF_INIT(1000);

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(status_text(texts[i], &text), -EBADMSG);
	assert_int_equal(text.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interfaces),   cmocka_unit_test(test_records),   cmocka_unit_test(test_rest),
		cmocka_unit_test(test_unbalanced),   cmocka_unit_test(test_odd_error), cmocka_unit_test(test_text),
		cmocka_unit_test(test_not_a_status),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
