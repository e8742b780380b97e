/* SPDX-License-Identifier: Apache-2.0 */
/* gzip (RFC 1952) of whole buffers, with a compressor that is kept from one to the next. */
#pragma once

#include "user/buf.h"

struct gzip;

/* 0 or -ENOMEM. Free with gzip_free. */
int gzip_new(struct gzip **ret_gzip);
void gzip_free(struct gzip *gzip);
DEFINE_CLEANUP(struct gzip *, gzip_free)

/* Appends INPUT, compressed, to OUT. 0 or -errno of OUT. */
int gzip_compress(struct gzip *gzip, const struct buf *input, struct buf *out);
