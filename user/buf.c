// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include "user/buf.h"

static int buf_fail(struct buf *buf, int error)
{
	buf->error = error;
	return error;
}

int buf_reserve(struct buf *buf, size_t size, void **ret_space)
{
	if (buf->error)
		return buf->error;
	if (size > buf->max - buf->size)
		return buf_fail(buf, -EFBIG);

	size_t need = buf->size + size + 1;
	if (need > buf->capacity) {
		size_t capacity = buf->capacity ? buf->capacity : 256;
		while (capacity < need)
			capacity *= 2;
		char *data = realloc(buf->data, capacity);
		if (!data)
			return buf_fail(buf, -ENOMEM);
		buf->data = data;
		buf->capacity = capacity;
		buf->data[buf->size] = '\0';
	}
	*ret_space = buf->data + buf->size;
	return 0;
}

void buf_commit(struct buf *buf, size_t size)
{
	buf->size += size;
	if (buf->data)
		buf->data[buf->size] = '\0';
}

int buf_append(struct buf *buf, const void *data, size_t size)
{
	void *space;
	int r = buf_reserve(buf, size, &space);
	if (r < 0)
		return r;
	if (size)
		memcpy(space, data, size);
	buf_commit(buf, size);
	return 0;
}

int buf_vappendf(struct buf *buf, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int size = vsnprintf(NULL, 0, format, args);
	void *space;
	int r = size < 0 ? buf_fail(buf, -EINVAL) : buf_reserve(buf, (size_t)size, &space);
	if (r == 0) {
		vsnprintf(space, (size_t)size + 1, format, again);
		buf_commit(buf, (size_t)size);
	}
	va_end(again);
	return r;
}

int buf_appendf(struct buf *buf, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int r = buf_vappendf(buf, format, args);
	va_end(args);
	return r;
}

void buf_consume(struct buf *buf, size_t size)
{
	if (!size)
		return;
	memmove(buf->data, buf->data + size, buf->size - size);
	buf->size -= size;
	buf->data[buf->size] = '\0';
}

void buf_reset(struct buf *buf)
{
	buf->size = 0;
	buf->error = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

void buf_free(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf) { .max = buf->max };
}
