/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a request while it arrives: unpacked piece by piece, so that a gzip bomb is stopped at the bound. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>
#include "user/buf.h"

struct body {
	struct buf data;   /* unpacked */
	uint64_t received; /* bytes, as they came */
	uint64_t max;      /* of both */
	bool gzip;
	bool member; /* amid a gzip member: what came so far cannot be all */
	z_stream stream;
};

/* 0 or -ENOMEM. Free with body_free. */
int body_init(struct body *body, bool gzip, uint64_t max);

/* 0; -EFBIG: beyond max, as received or unpacked; -EBADMSG: not gzip; -ENOMEM. */
int body_add(struct body *body, const void *data, size_t size);

/* All has come: 0, or -EBADMSG where the gzip stream is not at its end. */
int body_end(const struct body *body);

/* Frees what it holds; may be called again, and on a body that is all zero. */
void body_free(struct body *body);
