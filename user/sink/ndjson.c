// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "user/sink/decode.h"
#include "user/sink/json.h"
#include "user/sink/ndjson.h"

struct ndjson_field {
	const Sonde__Otlp__KeyValue *attribute;
	size_t rank; /* of equal names the lowest counts */
};

const char *record_event_name(const Sonde__Otlp__LogRecord *record)
{
	if (*record->event_name)
		return record->event_name;
	const char *name = attribute_text(record->attributes, record->n_attributes, "event.name");
	return name ? name : "";
}

static int add_attributes(struct ndjson *scratch, attributes list, size_t n)
{
	if (scratch->n + n > scratch->capacity) {
		size_t capacity = (scratch->n + n) * 2;
		struct ndjson_field *fields = reallocarray(scratch->fields, capacity, sizeof(*fields));
		if (!fields)
			return -ENOMEM;
		scratch->fields = fields;
		scratch->capacity = capacity;
	}
	/* From the end: the last one of a list counts, as attribute_find has it. */
	while (n--) {
		scratch->fields[scratch->n] = (struct ndjson_field) { list[n], scratch->n };
		scratch->n++;
	}
	return 0;
}

static int compare_fields(const void *a, const void *b)
{
	const struct ndjson_field *left = a, *right = b;
	int order = strcmp(left->attribute->key, right->attribute->key);
	return order ? order : (left->rank > right->rank) - (left->rank < right->rank);
}

static int collect(struct ndjson *scratch, const struct record_view *view)
{
	scratch->n = 0;
	int r = add_attributes(scratch, view->record->attributes, view->record->n_attributes);
	if (r == 0 && view->scope)
		r = add_attributes(scratch, view->scope->attributes, view->scope->n_attributes);
	if (r == 0 && view->resource)
		r = add_attributes(scratch, view->resource->attributes, view->resource->n_attributes);
	if (r == 0 && scratch->n)
		qsort(scratch->fields, scratch->n, sizeof(*scratch->fields), compare_fields);
	return r;
}

static void put_time(struct buf *out, uint64_t time_ns)
{
	char text[32];
	struct tm tm;
	time_t seconds = (time_t)(time_ns / 1000000000);
	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_appendf(out, "{\"time\":\"%s.%09uZ\"", text, (unsigned)(time_ns % 1000000000));
}

/* Names that the line has of its own. */
static bool is_reserved(const char *key)
{
	return strcmp(key, "time") == 0 || strcmp(key, "event_name") == 0 || strcmp(key, "body") == 0 ||
	       strcmp(key, "severity_text") == 0;
}

int ndjson_put_record(struct ndjson *scratch, const struct record_view *view, struct buf *out)
{
	const Sonde__Otlp__LogRecord *record = view->record;
	const char *event_name = record_event_name(record);
	int r = collect(scratch, view);
	if (r < 0)
		return r;

	put_time(out, record->time_unix_nano ? record->time_unix_nano : record->observed_time_unix_nano);
	buf_appendf(out, ",\"event_name\":");
	json_put_string(out, event_name);

	const char *previous = NULL;
	for (size_t i = 0; i < scratch->n && !out->error; i++) {
		const Sonde__Otlp__KeyValue *attribute = scratch->fields[i].attribute;
		if ((previous && strcmp(previous, attribute->key) == 0) || is_reserved(attribute->key))
			continue;
		previous = attribute->key;
		buf_append(out, ",", 1);
		json_put_string(out, attribute->key);
		buf_append(out, ":", 1);
		json_put_value(out, attribute->value);
	}

	if (*record->severity_text) {
		buf_appendf(out, ",\"severity_text\":");
		json_put_string(out, record->severity_text);
	}
	if (record->body && strcmp(event_name, "sonde.packet") != 0) {
		buf_appendf(out, ",\"body\":");
		json_put_value(out, record->body);
	}
	return buf_append(out, "}\n", 2);
}

void ndjson_free(struct ndjson *scratch)
{
	free(scratch->fields);
	*scratch = (struct ndjson) { 0 };
}
