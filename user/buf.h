/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer that takes its maximum when it is made. */
#pragma once

#include <stddef.h>
#include <stdarg.h>
#include "user/cleanup.h"

/*
 * data holds size bytes, followed by a NUL that is not counted, so that text can be used as a C string (data is NULL
 * until the first byte arrives: use buf_text). Once an append failed, error is set and stays: a writer may append many
 * times and look once.
 */
struct buf {
	char *data;
	size_t size, capacity, max;
	int error; /* 0, -ENOMEM, -EFBIG: more than max */
};

/* A buffer that never holds more than MAX bytes. Release with buf_free. */
#define BUF_INIT(max_bytes) ((struct buf) { .max = (max_bytes) })

/* Append; 0, or the buffer's error. On failure the content is as before. */
int buf_append(struct buf *buf, const void *data, size_t size);
int buf_appendf(struct buf *buf, const char *format, ...) _printf_(2, 3);
int buf_vappendf(struct buf *buf, const char *format, va_list args) _printf_(2, 0);

/* Room for SIZE bytes more at the end of the content: *ret_space is where they go; buf_commit says how many came. */
int buf_reserve(struct buf *buf, size_t size, void **ret_space);
void buf_commit(struct buf *buf, size_t size);

/* Drop the first SIZE bytes. */
void buf_consume(struct buf *buf, size_t size);

/* Empty it, keep the memory, clear the error. */
void buf_reset(struct buf *buf);

/* The content as a C string; "" when empty. Valid until the buffer changes. */
static inline const char *buf_text(const struct buf *buf)
{
	return buf->data ? buf->data : "";
}

void buf_free(struct buf *buf);
