// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include "user/sink/body.h"

#define WINDOW_GZIP (15 + 16) /* zlib: the largest window, a gzip header and nothing else */
#define STEP        65536     /* bytes unpacked at a time */

int body_init(struct body *body, bool gzip, uint64_t max)
{
	*body = (struct body) { .data = BUF_INIT(max), .max = max, .gzip = gzip };
	/* An empty body is no gzip stream either. */
	body->member = gzip;
	if (gzip && inflateInit2(&body->stream, WINDOW_GZIP) != Z_OK) {
		body->gzip = false;
		return -ENOMEM;
	}
	return 0;
}

/* One call of inflate. *ret_more: there is more to come out, or to be read. */
static int unpack_step(struct body *body, bool *ret_more)
{
	/* One byte beyond the bound tells a body that just fits from one that goes on. */
	unsigned char beyond;
	size_t room = body->data.max - body->data.size;
	void *space = &beyond;
	size_t step = room < STEP ? room : STEP;
	if (step) {
		int r = buf_reserve(&body->data, step, &space);
		if (r < 0)
			return r;
	} else {
		step = sizeof(beyond);
	}

	body->stream.next_out = space;
	body->stream.avail_out = (uInt)step;
	int z = inflate(&body->stream, Z_NO_FLUSH);
	size_t out = step - body->stream.avail_out;
	if (space == &beyond && out)
		return -EFBIG;
	if (space != &beyond)
		buf_commit(&body->data, out);

	if (z == Z_STREAM_END) {
		/* Another member may follow (RFC 1952 §2.2). */
		body->member = false;
		inflateReset(&body->stream);
	} else if (z == Z_MEM_ERROR) {
		return -ENOMEM;
	} else if (z != Z_OK && z != Z_BUF_ERROR) {
		return -EBADMSG;
	}
	*ret_more = body->stream.avail_in || (z == Z_OK && !body->stream.avail_out);
	return 0;
}

int body_add(struct body *body, const void *data, size_t size)
{
	if (!size)
		return 0;
	body->received += size;
	if (body->received > body->max)
		return -EFBIG;
	if (!body->gzip)
		return buf_append(&body->data, data, size);

	body->stream.next_in = (unsigned char *)data;
	body->stream.avail_in = (uInt)size;
	for (bool more = true; more;) {
		if (body->stream.avail_in)
			body->member = true;
		int r = unpack_step(body, &more);
		if (r < 0)
			return r;
	}
	return 0;
}

int body_end(const struct body *body)
{
	return body->gzip && body->member ? -EBADMSG : 0;
}

void body_free(struct body *body)
{
	if (body->gzip)
		inflateEnd(&body->stream);
	buf_free(&body->data);
	*body = (struct body) { 0 };
}
