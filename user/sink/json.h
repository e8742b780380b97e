/* SPDX-License-Identifier: Apache-2.0 */
/* Values as JSON (RFC 8259), appended to a buffer. All return 0 or the buffer's error. */
#pragma once

#include <stddef.h>
#include "user/buf.h"
#include "user/otlp.pb-c.h"

/* In quotes; what is not UTF-8 (RFC 3629) becomes U+FFFD, a byte each. */
int json_put_string(struct buf *out, const char *text);

/*
 * Any value of OTLP: numbers as numbers, but what is not finite as "NaN", "Infinity", "-Infinity"; bytes in base64;
 * none, or NULL, as null. Recurses into lists: the depth is the caller's to bound.
 */
int json_put_value(struct buf *out, const Sonde__Otlp__AnyValue *value);
