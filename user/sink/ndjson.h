/* SPDX-License-Identifier: Apache-2.0 */
/* Records as lines of JSON (RFC 8259). */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "user/buf.h"
#include "user/otlp.pb-c.h"

/* A record where it stands in its request; resource and scope may be NULL. */
struct record_view {
	const Sonde__Otlp__Resource *resource;
	const Sonde__Otlp__InstrumentationScope *scope;
	const Sonde__Otlp__LogRecord *record;
};

/* Scratch space that is used again for each record. Begin with all zero; free with ndjson_free. */
struct ndjson {
	struct ndjson_field *fields;
	size_t n, capacity;
};

/* "sonde.flow": the record's event_name, else its attribute event.name; "" where it has neither. */
const char *record_event_name(const Sonde__Otlp__LogRecord *record);

/*
 * Appends one object and a newline: "time" (RFC 3339, nanoseconds, UTC), "event_name", then in alphabetical order the
 * attributes of record, scope and resource (of equal names the record's counts, then the scope's), then "severity_text"
 * and "body" where there are any. Bytes become base64; a packet sample's body is left out: it goes to the capture file.
 * What is not UTF-8 becomes U+FFFD. 0, -ENOMEM or OUT's error; then OUT may hold a part of the line.
 */
int ndjson_put_record(struct ndjson *scratch, const struct record_view *view, struct buf *out);
void ndjson_free(struct ndjson *scratch);
