/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests out of any bytes whatever. protobuf-c by itself follows nested messages as deep as they go, and makes
 * hundreds of bytes of two: so depth is checked before it starts, and all that it allocates comes from a bounded arena.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "user/otlp.pb-c.h"

/* A value may hold lists in lists nine deep; a request itself is six messages deep down to an attribute's value. */
#define REQUEST_DEPTH_MAX 32

/* Memory for a request of SIZE bytes: records with the shortest of attributes take 17 times their size. */
#define REQUEST_MEMORY(size) ((size_t)(size)*24 + 65536)

typedef Sonde__Otlp__KeyValue *const *attributes;

struct request {
	const Sonde__Otlp__ExportLogsServiceRequest *message;
	struct arena_chunk *memory;
};

/*
 * Unpacks an ExportLogsServiceRequest with at most MAX_MEMORY bytes; DATA may go away afterwards. 0; -EBADMSG: not such
 * a message; -ELOOP: nested deeper than REQUEST_DEPTH_MAX; -EFBIG: it would take more; -ENOMEM. Free with request_free.
 */
int request_decode(const void *data, size_t size, size_t max_memory, struct request *ret_request);
void request_free(struct request *request);

/* The value of the last attribute with this key; NULL: there is none, or it is empty. */
const Sonde__Otlp__AnyValue *attribute_find(attributes list, size_t n, const char *key);

/* Its text; NULL: there is none, or it is not a string. */
const char *attribute_text(attributes list, size_t n, const char *key);

/* Its number, or false: there is none, or it is not an integer. */
bool attribute_number(attributes list, size_t n, const char *key, int64_t *ret_number);
