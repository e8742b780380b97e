/* SPDX-License-Identifier: Apache-2.0 */
/* An encoded batch as protoc reads it. */
#pragma once

#include <stdbool.h>
#include "user/buf.h"

/*
 * By OpenTelemetry's fields, a line each: "key=value" for attributes, "field: value" for all else. RAW: protoc's own text,
 * with field numbers instead of names. Free with buf_free.
 */
struct buf read_with_protoc(const struct buf *batch, bool raw);
