// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>
#include "user/sink/json.h"

/* The length of the UTF-8 character at TEXT (which a NUL ends); 0: it is none. */
static size_t utf8_length(const unsigned char *text)
{
	/* Bounds of the second byte keep out overlong forms, surrogates and what is beyond U+10FFFF. */
	static const struct {
		unsigned char first, last, second_min, second_max, length;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (text[0] < forms[i].first || text[0] > forms[i].last)
			continue;
		if (text[1] < forms[i].second_min || text[1] > forms[i].second_max)
			return 0;
		for (size_t j = 2; j < forms[i].length; j++)
			if ((text[j] & 0xc0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

/* One character that cannot stand as it is; returns how many bytes of TEXT it takes. */
static size_t put_special(struct buf *out, const unsigned char *text)
{
	switch (*text) {
	case '"':
	case '\\':
		buf_appendf(out, "\\%c", *text);
		return 1;
	case '\n':
		buf_append(out, "\\n", 2);
		return 1;
	case '\t':
		buf_append(out, "\\t", 2);
		return 1;
	}
	if (*text < 0x20 || *text == 0x7f) {
		buf_appendf(out, "\\u%04x", *text);
		return 1;
	}
	size_t length = utf8_length(text);
	if (length)
		buf_append(out, text, length);
	else
		buf_append(out, "\xef\xbf\xbd", 3);
	return length ? length : 1;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

int json_put_string(struct buf *out, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	buf_append(out, "\"", 1);
	while (*at && !out->error) {
		size_t plain = 0;
		while (is_plain(at[plain]))
			plain++;
		buf_append(out, at, plain);
		at += plain;
		if (*at)
			at += put_special(out, at);
	}
	return buf_append(out, "\"", 1);
}

static int put_double(struct buf *out, double value)
{
	if (isnan(value))
		return buf_append(out, "\"NaN\"", 5);
	if (isinf(value))
		return buf_appendf(out, "\"%sInfinity\"", value < 0 ? "-" : "");
	return buf_appendf(out, "%.17g", value);
}

static int put_bytes(struct buf *out, const ProtobufCBinaryData *bytes)
{
	if (bytes->len > INT_MAX / 2)
		return out->error = -EFBIG;
	void *space;
	size_t size = (bytes->len + 2) / 3 * 4;
	buf_append(out, "\"", 1);
	if (buf_reserve(out, size, &space) == 0) {
		/* It also writes a NUL, for which a buffer always has room. */
		EVP_EncodeBlock(space, bytes->data, (int)bytes->len);
		buf_commit(out, size);
	}
	return buf_append(out, "\"", 1);
}

static int put_array(struct buf *out, const Sonde__Otlp__ArrayValue *array)
{
	buf_append(out, "[", 1);
	for (size_t i = 0; i < array->n_values && !out->error; i++) {
		if (i)
			buf_append(out, ",", 1);
		json_put_value(out, array->values[i]);
	}
	return buf_append(out, "]", 1);
}

static int put_object(struct buf *out, const Sonde__Otlp__KeyValueList *list)
{
	buf_append(out, "{", 1);
	for (size_t i = 0; i < list->n_values && !out->error; i++) {
		if (i)
			buf_append(out, ",", 1);
		json_put_string(out, list->values[i]->key);
		buf_append(out, ":", 1);
		json_put_value(out, list->values[i]->value);
	}
	return buf_append(out, "}", 1);
}

int json_put_value(struct buf *out, const Sonde__Otlp__AnyValue *value)
{
	switch (value ? value->value_case : SONDE__OTLP__ANY_VALUE__VALUE__NOT_SET) {
	case SONDE__OTLP__ANY_VALUE__VALUE_STRING_VALUE:
		return json_put_string(out, value->string_value);
	case SONDE__OTLP__ANY_VALUE__VALUE_BOOL_VALUE:
		return value->bool_value ? buf_append(out, "true", 4) : buf_append(out, "false", 5);
	case SONDE__OTLP__ANY_VALUE__VALUE_INT_VALUE:
		return buf_appendf(out, "%" PRId64, value->int_value);
	case SONDE__OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE:
		return put_double(out, value->double_value);
	case SONDE__OTLP__ANY_VALUE__VALUE_ARRAY_VALUE:
		return put_array(out, value->array_value);
	case SONDE__OTLP__ANY_VALUE__VALUE_KVLIST_VALUE:
		return put_object(out, value->kvlist_value);
	case SONDE__OTLP__ANY_VALUE__VALUE_BYTES_VALUE:
		return put_bytes(out, &value->bytes_value);
	default:
		return buf_append(out, "null", 4);
	}
}
