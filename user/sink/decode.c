// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "user/sink/decode.h"
#include "user/cleanup.h"

#define CHUNK_SIZE  (64 * 1024)
#define ARENA_ALIGN 16

/* Wire types of protobuf; groups (3 and 4) are not of proto3. */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	_Alignas(ARENA_ALIGN) unsigned char data[];
};

/* Memory that is given out piece by piece and freed at once. */
struct arena {
	struct arena_chunk *chunks;
	size_t left; /* of what it may take */
	int error;
};

static void *arena_alloc(void *data, size_t size)
{
	struct arena *arena = data;
	if (size > SIZE_MAX - ARENA_ALIGN)
		return NULL;
	size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);

	struct arena_chunk *chunk = arena->chunks;
	if (!chunk || size > chunk->size - chunk->used) {
		size_t chunk_size = arena->left < CHUNK_SIZE ? arena->left : CHUNK_SIZE;
		if (size > chunk_size)
			chunk_size = size;
		if (chunk_size > arena->left) {
			arena->error = -EFBIG;
			return NULL;
		}
		chunk = malloc(sizeof(*chunk) + chunk_size);
		if (!chunk) {
			arena->error = -ENOMEM;
			return NULL;
		}
		*chunk = (struct arena_chunk) { .next = arena->chunks, .size = chunk_size };
		arena->chunks = chunk;
		arena->left -= chunk_size;
	}
	void *space = chunk->data + chunk->used;
	chunk->used += size;
	return space;
}

static void arena_keep(void *data, void *pointer)
{
}

static void chunks_free(struct arena_chunk *chunk)
{
	while (chunk) {
		struct arena_chunk *next = chunk->next;
		free(chunk);
		chunk = next;
	}
}

struct reader {
	const uint8_t *at, *end;
};

/* A varint of at most MAX_BYTES bytes: protobuf-c takes 5 for tags and lengths. */
static int read_varint(struct reader *reader, unsigned max_bytes, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < max_bytes && reader->at < reader->end; i++) {
		uint8_t byte = *reader->at++;
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80)) {
			*ret_value = value;
			return 0;
		}
	}
	return -EBADMSG;
}

static int skip(struct reader *reader, uint64_t size)
{
	if (size > (uint64_t)(reader->end - reader->at))
		return -EBADMSG;
	reader->at += size;
	return 0;
}

static int check_message(const ProtobufCMessageDescriptor *type, struct reader reader, unsigned depth);

static int check_field(const ProtobufCMessageDescriptor *type, struct reader *reader, unsigned depth)
{
	uint64_t tag, value;
	int r = read_varint(reader, 5, &tag);
	if (r < 0)
		return r;

	switch (tag & 7) {
	case WIRE_VARINT:
		return read_varint(reader, 10, &value);
	case WIRE_64:
		return skip(reader, 8);
	case WIRE_32:
		return skip(reader, 4);
	case WIRE_BYTES:
		break;
	default:
		return -EBADMSG;
	}

	r = read_varint(reader, 5, &value);
	if (r < 0)
		return r;
	struct reader inner = { reader->at, NULL };
	r = skip(reader, value);
	if (r < 0)
		return r;
	inner.end = reader->at;

	const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
	if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE)
		return 0;
	return check_message(field->descriptor, inner, depth + 1);
}

static int check_message(const ProtobufCMessageDescriptor *type, struct reader reader, unsigned depth)
{
	if (depth > REQUEST_DEPTH_MAX)
		return -ELOOP;
	while (reader.at < reader.end) {
		int r = check_field(type, &reader, depth);
		if (r < 0)
			return r;
	}
	return 0;
}

int request_decode(const void *data, size_t size, size_t max_memory, struct request *ret_request)
{
	const uint8_t *bytes = size ? data : (const uint8_t *)"";
	const ProtobufCMessageDescriptor *type = &sonde__otlp__export_logs_service_request__descriptor;
	int r = check_message(type, (struct reader) { bytes, bytes + size }, 1);
	if (r < 0)
		return r;

	struct arena arena = { .left = max_memory };
	ProtobufCAllocator allocator = { .alloc = arena_alloc, .free = arena_keep, .allocator_data = &arena };
	ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, size, bytes);
	if (!message) {
		chunks_free(arena.chunks);
		return arena.error ? arena.error : -EBADMSG;
	}
	ret_request->message = (const Sonde__Otlp__ExportLogsServiceRequest *)message;
	ret_request->memory = arena.chunks;
	return 0;
}

void request_free(struct request *request)
{
	chunks_free(request->memory);
	*request = (struct request) { 0 };
}

const Sonde__Otlp__AnyValue *attribute_find(attributes list, size_t n, const char *key)
{
	while (n--)
		if (strcmp(list[n]->key, key) == 0)
			return list[n]->value;
	return NULL;
}

const char *attribute_text(attributes list, size_t n, const char *key)
{
	const Sonde__Otlp__AnyValue *value = attribute_find(list, n, key);
	return value && value->value_case == SONDE__OTLP__ANY_VALUE__VALUE_STRING_VALUE ? value->string_value : NULL;
}

bool attribute_number(attributes list, size_t n, const char *key, int64_t *ret_number)
{
	const Sonde__Otlp__AnyValue *value = attribute_find(list, n, key);
	if (!value || value->value_case != SONDE__OTLP__ANY_VALUE__VALUE_INT_VALUE)
		return false;
	*ret_number = value->int_value;
	return true;
}
