// SPDX-License-Identifier: Apache-2.0
/* From a request's bytes to records: decoding with its bounds, lines of JSON, packet samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
#include "user/sink/decode.h"
#include "user/sink/json.h"
#include "user/sink/samples.h"

static void expect_json(const char *text, const char *json)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	assert_int_equal(json_put_string(&out, text), 0);
	assert_string_equal(buf_text(&out), json);
}

static void test_strings(void **state)
{
	expect_json("", "\"\"");
	expect_json("plain", "\"plain\"");
	expect_json("\"\\\n\t\r\x01\x1f\x7f", "\"\\\"\\\\\\n\\t\\u000d\\u0001\\u001f\\u007f\"");
	expect_json("\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
	            "\"\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
#define BAD "\xef\xbf\xbd"
	expect_json("\x80", "\"" BAD "\"");
	expect_json("\xc0\xaf", "\"" BAD BAD "\"");                 /* overlong */
	expect_json("\xe0\x9f\xbf", "\"" BAD BAD BAD "\"");         /* overlong */
	expect_json("\xed\xa0\x80", "\"" BAD BAD BAD "\"");         /* a surrogate */
	expect_json("\xf4\x90\x80\x80", "\"" BAD BAD BAD BAD "\""); /* beyond U+10FFFF */
	expect_json("\xff.", "\"" BAD ".\"");
	expect_json("\xe2\x82", "\"" BAD BAD "\""); /* cut off */
	expect_json("\xc3", "\"" BAD "\"");
}

static Sonde__Otlp__AnyValue any_int(int64_t value)
{
	Sonde__Otlp__AnyValue any = SONDE__OTLP__ANY_VALUE__INIT;
	any.value_case = SONDE__OTLP__ANY_VALUE__VALUE_INT_VALUE;
	any.int_value = value;
	return any;
}

static Sonde__Otlp__AnyValue any_text(const char *value)
{
	Sonde__Otlp__AnyValue any = SONDE__OTLP__ANY_VALUE__INIT;
	any.value_case = SONDE__OTLP__ANY_VALUE__VALUE_STRING_VALUE;
	any.string_value = (char *)value;
	return any;
}

static Sonde__Otlp__KeyValue pair(const char *key, Sonde__Otlp__AnyValue *value)
{
	Sonde__Otlp__KeyValue pair = SONDE__OTLP__KEY_VALUE__INIT;
	pair.key = (char *)key;
	pair.value = value;
	return pair;
}

static void expect_value_is(Sonde__Otlp__AnyValue any, const char *json)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	assert_int_equal(json_put_value(&out, &any), 0);
	assert_string_equal(buf_text(&out), json);
}

static void test_values(void **state)
{
	Sonde__Otlp__AnyValue any = SONDE__OTLP__ANY_VALUE__INIT;
	expect_value_is(any, "null");
	expect_value_is(any_int(INT64_MIN), "-9223372036854775808");
	expect_value_is(any_int(INT64_MAX), "9223372036854775807");
	any.value_case = SONDE__OTLP__ANY_VALUE__VALUE_BOOL_VALUE;
	any.bool_value = 1;
	expect_value_is(any, "true");
	any.value_case = SONDE__OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE;
	any.double_value = 0.1;
	expect_value_is(any, "0.10000000000000001");
	any.double_value = (double)NAN;
	expect_value_is(any, "\"NaN\"");
	any.double_value = -(double)INFINITY;
	expect_value_is(any, "\"-Infinity\"");
	any.value_case = SONDE__OTLP__ANY_VALUE__VALUE_BYTES_VALUE;
	any.bytes_value = (ProtobufCBinaryData) { 4, (uint8_t *)"\0\xff\x10z" };
	expect_value_is(any, "\"AP8Qeg==\"");
	any.bytes_value.len = 0;
	expect_value_is(any, "\"\"");

	Sonde__Otlp__AnyValue one = any_int(1), two = any_text("2");
	Sonde__Otlp__AnyValue *both[] = { &one, &two };
	Sonde__Otlp__ArrayValue array = SONDE__OTLP__ARRAY_VALUE__INIT;
	array.values = both;
	array.n_values = 2;
	any.value_case = SONDE__OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
	any.array_value = &array;
	expect_value_is(any, "[1,\"2\"]");
}

static void test_record(void **state)
{
	Sonde__Otlp__AnyValue values[] = { any_int(1), any_int(2), any_int(3), any_text("resource"), any_text("x") };
	Sonde__Otlp__KeyValue pairs[] = {
		pair("b", &values[0]),    pair("a", &values[1]),          pair("b", &values[2]),
		pair("time", &values[4]), pair("event.name", &values[4]), pair("none", NULL),
	};
	Sonde__Otlp__KeyValue *list[] = { &pairs[0], &pairs[1], &pairs[2], &pairs[3], &pairs[4], &pairs[5] };
	Sonde__Otlp__KeyValue of_resource[] = { pair("a", &values[3]), pair("z", &values[3]) };
	Sonde__Otlp__KeyValue *resource_list[] = { &of_resource[0], &of_resource[1] };
	Sonde__Otlp__Resource resource = SONDE__OTLP__RESOURCE__INIT;
	Sonde__Otlp__LogRecord record = SONDE__OTLP__LOG_RECORD__INIT;
	resource.attributes = resource_list;
	resource.n_attributes = 2;
	record.attributes = list;
	record.n_attributes = 6;
	record.observed_time_unix_nano = 1000000001;
	record.body = &values[4];

	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	_cleanup_(ndjson_free) struct ndjson scratch = { 0 };
	struct record_view view = { &resource, NULL, &record };
	assert_int_equal(ndjson_put_record(&scratch, &view, &out), 0);
	assert_string_equal(buf_text(&out),
	                    "{\"time\":\"1970-01-01T00:00:01.000000001Z\",\"event_name\":\"x\",\"a\":2,\"b\":3,"
	                    "\"event.name\":\"x\",\"none\":null,\"z\":\"resource\",\"body\":\"x\"}\n");
}

/* A request of RECORDS records, each with N attributes "k": 1; freed by the caller. */
static void *pack_request(size_t n_records, size_t n, size_t *ret_size)
{
	Sonde__Otlp__AnyValue one = any_int(1);
	Sonde__Otlp__KeyValue k = pair("k", &one);
	Sonde__Otlp__KeyValue **list = calloc(n, sizeof(*list));
	Sonde__Otlp__LogRecord record = SONDE__OTLP__LOG_RECORD__INIT;
	Sonde__Otlp__LogRecord **records = calloc(n_records, sizeof(*records));
	Sonde__Otlp__ScopeLogs scope = SONDE__OTLP__SCOPE_LOGS__INIT, *scopes[] = { &scope };
	Sonde__Otlp__ResourceLogs resource = SONDE__OTLP__RESOURCE_LOGS__INIT, *resources[] = { &resource };
	Sonde__Otlp__ExportLogsServiceRequest request = SONDE__OTLP__EXPORT_LOGS_SERVICE_REQUEST__INIT;
	for (size_t i = 0; i < n; i++)
		list[i] = &k;
	for (size_t i = 0; i < n_records; i++)
		records[i] = &record;
	record.attributes = list;
	record.n_attributes = n;
	scope.log_records = records;
	scope.n_log_records = n_records;
	resource.n_scope_logs = request.n_resource_logs = 1;
	resource.scope_logs = scopes;
	request.resource_logs = resources;
	*ret_size = sonde__otlp__export_logs_service_request__get_packed_size(&request);
	uint8_t *data = malloc(*ret_size);
	assert_non_null(data);
	sonde__otlp__export_logs_service_request__pack(&request, data);
	free(records);
	free(list);
	return data;
}

static void test_decode(void **state)
{
	size_t size;
	_cleanup_(freep) uint8_t *data = pack_request(1, 3, &size);
	_cleanup_(request_free) struct request request = { 0 };
	assert_int_equal(request_decode(data, size, REQUEST_MEMORY(size), &request), 0);
	const Sonde__Otlp__LogRecord *record = request.message->resource_logs[0]->scope_logs[0]->log_records[0];
	int64_t number = 0;
	assert_int_equal(record->n_attributes, 3);
	assert_true(attribute_number(record->attributes, 3, "k", &number));
	assert_int_equal(number, 1);
	assert_null(attribute_text(record->attributes, 3, "k"));
	assert_null(attribute_find(record->attributes, 3, "j"));
	request_free(&request);

	/* Each prefix is a request of fewer fields, or refused; nothing is read beyond it. */
	for (size_t n = 0; n < size; n++) {
		_cleanup_(freep) uint8_t *part = malloc(n + 1);
		memcpy(part, data, n);
		int r = request_decode(part, n, REQUEST_MEMORY(n), &request);
		assert_true(r == 0 ? n == 0 : r == -EBADMSG);
		request_free(&request);
	}
	assert_int_equal(request_decode("\x0a\x02\x0b\x0c", 4, 1 << 20, &request), -EBADMSG); /* groups */
}

static void test_decode_bounds(void **state)
{
	/* The shortest attributes that there are do fit, and none more than may. */
	size_t size;
	_cleanup_(freep) uint8_t *data = pack_request(2500, 40, &size);
	_cleanup_(request_free) struct request request = { 0 };
	assert_int_equal(request_decode(data, size, REQUEST_MEMORY(size), &request), 0);
	request_free(&request);
	for (size_t memory = 0; memory < 10 * size; memory += size / 7)
		assert_int_equal(request_decode(data, size, memory, &request), -EFBIG);

	/* A body that is a list of a list of ...: value{5: list{1: value{...}}}, built from the inside. */
	for (size_t depth = 1; depth < 30; depth++) {
		uint8_t bytes[512];
		size_t at = sizeof(bytes);
		size_t n = 0;
		for (size_t i = 0; i < 2 * depth; i++) {
			bytes[--at] = (uint8_t)n;
			bytes[--at] = i % 2 ? 5 << 3 | 2 : 1 << 3 | 2;
			n += 2;
		}
		static const uint8_t outside[] = { 5 << 3 | 2, 2 << 3 | 2, 2 << 3 | 2, 1 << 3 | 2 };
		for (size_t i = 0; i < sizeof(outside); i++) {
			bytes[--at] = (uint8_t)n;
			bytes[--at] = outside[i];
			n += 2;
		}
		/* Request, resource, scope, record, value, and two for each list. */
		bool deep = n / 2 + 1 > REQUEST_DEPTH_MAX;
		int r = request_decode(bytes + at, n, 1 << 20, &request);
		assert_int_equal(r, deep ? -ELOOP : 0);
		request_free(&request);
	}
}

/* The record of a packet with these link type and interface. */
static int put_sample(struct samples *samples, const char *link, const char *interface, const char *host,
                      struct buf *out)
{
	Sonde__Otlp__AnyValue host_value = any_text(host), bytes = SONDE__OTLP__ANY_VALUE__INIT;
	Sonde__Otlp__AnyValue values[] = { any_text(link), any_text(interface), any_int(100) };
	Sonde__Otlp__KeyValue pairs[] = {
		pair("sonde.packet.link_type", &values[0]),
		pair("network.interface.name", &values[1]),
		pair("packet.original_length", &values[2]),
	};
	Sonde__Otlp__KeyValue *list[] = { &pairs[0], &pairs[1], &pairs[2] };
	Sonde__Otlp__KeyValue host_pair = pair("host.name", &host_value), *hosts[] = { &host_pair };
	Sonde__Otlp__Resource resource = SONDE__OTLP__RESOURCE__INIT;
	Sonde__Otlp__LogRecord record = SONDE__OTLP__LOG_RECORD__INIT;
	char reason[SAMPLES_REASON_MAX];
	resource.attributes = hosts;
	resource.n_attributes = 1;
	record.event_name = (char *)"sonde.packet";
	record.attributes = list;
	record.n_attributes = 3;
	record.body = &bytes;
	bytes.value_case = SONDE__OTLP__ANY_VALUE__VALUE_BYTES_VALUE;
	bytes.bytes_value = (ProtobufCBinaryData) { 4, (uint8_t *)"abcd" };
	struct record_view view = { &resource, NULL, &record };
	assert_true(is_sample(&view));
	return samples_put(samples, &view, out, reason);
}

/* The types of the blocks in OUT, as letters: s(ection), i(nterface), and the interface's number of a packet. */
static const char *blocks(const struct buf *out, char text[static 64])
{
	size_t n = 0;
	for (size_t at = 0; at < out->size && n < 63;) {
		uint32_t words[3];
		memcpy(words, out->data + at, sizeof(words));
		text[n++] = words[0] == 0x0a0d0d0a ? 's' : words[0] == 1 ? 'i' : (char)('0' + words[2]);
		at += words[1];
	}
	text[n] = '\0';
	return text;
}

static void test_samples(void **state)
{
	_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
	_cleanup_(samples_freep) struct samples *samples = NULL;
	char text[64];
	assert_int_equal(samples_new(&samples), 0);
	assert_int_equal(samples_begin_file(samples, &out), 0);
	assert_int_equal(put_sample(samples, "ethernet", "eth0", "a", &out), 0);
	assert_int_equal(put_sample(samples, "ethernet", "eth0", "a", &out), 0);
	assert_int_equal(put_sample(samples, "raw_ip", "eth0", "a", &out), 0);
	assert_int_equal(put_sample(samples, "ethernet", "eth0", "b", &out), 0);
	assert_string_equal(blocks(&out, text), "si00i1i2");
	samples_commit(samples);

	/* What is rolled back is not in the file, so its interface is announced again. */
	buf_reset(&out);
	assert_int_equal(put_sample(samples, "ethernet", "eth1", "a", &out), 0);
	assert_int_equal(put_sample(samples, "ethernet", "eth0", "b", &out), 0);
	assert_string_equal(blocks(&out, text), "i32");
	samples_rollback(samples);
	buf_reset(&out);
	assert_int_equal(put_sample(samples, "ethernet", "eth2", "a", &out), 0);
	assert_int_equal(put_sample(samples, "raw_ip", "eth0", "a", &out), 0);
	assert_string_equal(blocks(&out, text), "i31");

	assert_int_equal(put_sample(samples, "token_ring", "eth0", "a", &out), -EBADMSG);
	buf_reset(&out);
	assert_int_equal(samples_begin_file(samples, &out), 0);
	assert_int_equal(put_sample(samples, "raw_ip", "eth0", "a", &out), 0);
	assert_string_equal(blocks(&out, text), "si0");
}

/* Who is at the ends, in a packet's comment: as far as it is known. */
static void test_comments(void **state)
{
	static const struct {
		const char *pod, *container, *executable, *comment;
	} rows[] = {
		{ "web-1", "nginx", "nginx", "source: shop/web-1 (nginx) nginx 4711" },
		{ "web-1", "", "", "source: shop/web-1" },
		{ "", "", "sshd", "source: sshd 4711" },
		{ "", "nginx", "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(buf_free) struct buf out = BUF_INIT(4096);
		_cleanup_(samples_freep) struct samples *samples = NULL;
		const char *const texts[] = { "ethernet", "shop", rows[i].pod, rows[i].container, rows[i].executable };
		const char *const keys[] = { "sonde.packet.link_type", "source.k8s.namespace.name",
			                     "source.k8s.pod.name", "source.k8s.container.name",
			                     "source.process.executable.name" };
		Sonde__Otlp__AnyValue values[7], bytes = SONDE__OTLP__ANY_VALUE__INIT;
		Sonde__Otlp__KeyValue pairs[7], *list[7];
		Sonde__Otlp__LogRecord record = SONDE__OTLP__LOG_RECORD__INIT;
		char reason[SAMPLES_REASON_MAX];
		for (size_t j = 0; j < ARRAY_SIZE(list); j++) {
			values[j] = j < 5 ? any_text(texts[j]) : any_int(4711);
			pairs[j] = pair(j < 5    ? keys[j]
			                : j == 5 ? "packet.original_length"
			                         : "source.process.pid",
			                &values[j]);
			list[j] = &pairs[j];
		}
		record.attributes = list;
		record.n_attributes = ARRAY_SIZE(list);
		record.body = &bytes;
		bytes.value_case = SONDE__OTLP__ANY_VALUE__VALUE_BYTES_VALUE;
		assert_int_equal(samples_new(&samples), 0);
		assert_int_equal(samples_put(samples, &(struct record_view) { .record = &record }, &out, reason), 0);
		const char *found = memmem(out.data, out.size, "source:", 7);
		assert_string_equal(found ? found : "", rows[i].comment);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),  cmocka_unit_test(test_values),        cmocka_unit_test(test_record),
		cmocka_unit_test(test_decode),   cmocka_unit_test(test_decode_bounds), cmocka_unit_test(test_samples),
		cmocka_unit_test(test_comments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
