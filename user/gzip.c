// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdint.h>
#include <zlib.h>
#include "user/gzip.h"

/*
 * Measured on batches of flow and packet records, one core: level 1 leaves 17.6 % at 182 MB/s, 3 leaves 17.0 % at
 * 171 MB/s, 4 15.9 % at 107 MB/s, 6 14.9 % at 94 MB/s. Above 3 the node pays more than the network gains.
 */
#define GZIP_LEVEL 3

struct gzip {
	z_stream stream;
};

int gzip_new(struct gzip **ret_gzip)
{
	_cleanup_(freep) struct gzip *gzip = calloc(1, sizeof(*gzip));
	if (!gzip)
		return -ENOMEM;
	/* 16: a gzip header instead of zlib's. */
	if (deflateInit2(&gzip->stream, GZIP_LEVEL, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	*ret_gzip = TAKE_PTR(gzip);
	return 0;
}

void gzip_free(struct gzip *gzip)
{
	if (!gzip)
		return;
	deflateEnd(&gzip->stream);
	free(gzip);
}

int gzip_compress(struct gzip *gzip, const struct buf *input, struct buf *out)
{
	z_stream *stream = &gzip->stream;
	size_t room = deflateBound(stream, input->size);
	void *space;
	int r = buf_reserve(out, room, &space);
	if (r < 0)
		return r;
	deflateReset(stream);
	stream->next_in = (uint8_t *)input->data;
	stream->avail_in = (uInt)input->size;
	stream->next_out = space;
	stream->avail_out = (uInt)room;
	/* With the room deflateBound asks for, one call ends the stream. */
	if (deflate(stream, Z_FINISH) != Z_STREAM_END)
		return -EIO;
	buf_commit(out, room - stream->avail_out);
	return 0;
}
