// SPDX-License-Identifier: Apache-2.0
/*
 * A request's head and its chunks out of any bytes. The first byte is how many bytes arrive at a time: what comes out
 * of the chunks may not depend on it.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include "user/sink/http.h"

#define BODY_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_chunks(const char *data, size_t size, size_t step, struct buf *body)
{
	struct http_chunks chunks = { 0 };
	for (size_t at = 0; at < size && chunks.state != CHUNK_DONE;) {
		size_t payload, n = size - at < step ? size - at : step;
		ssize_t used = http_read_chunk(&chunks, data + at, n, &payload);
		if (used < 0)
			return (int)used;
		assert(used > 0 && (size_t)used <= n && payload <= (size_t)used);
		at += (size_t)used;
		buf_append(body, data + at - payload, payload);
	}
	return chunks.state == CHUNK_DONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head head;
	if (!size || size > BODY_MAX)
		return 0;
	size_t step = data[0] + 1u;
	const char *text = (const char *)data + 1;
	size--;

	ssize_t r = http_parse_head(text, size, &head);
	assert(r == -EBADMSG || r == -EFBIG || r == -ENOSYS || (r >= 0 && (size_t)r <= size && r <= HTTP_HEAD_MAX));
	if (r > 0) {
		assert(memchr(head.path, '\0', sizeof(head.path)) && head.path[0] == '/');
		assert(memchr(head.content_type, '\0', sizeof(head.content_type)));
		assert(!(head.chunked && head.has_length));
		text += r;
		size -= (size_t)r;
	}

	_cleanup_(buf_free) struct buf once = BUF_INIT(BODY_MAX), pieces = BUF_INIT(BODY_MAX);
	int whole = read_chunks(text, size, BODY_MAX, &once);
	assert(read_chunks(text, size, step, &pieces) == whole);
	assert(whole < 0 ||
	       (once.size == pieces.size && (!once.size || memcmp(once.data, pieces.data, once.size) == 0)));
	return 0;
}
