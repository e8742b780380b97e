/* SPDX-License-Identifier: Apache-2.0 */
/* How a request ends: the status, and the words for it in the log and in the answer. */
#pragma once

#include "user/buf.h"
#include "user/sink/http.h"
#include "user/sink/metrics.h"

struct outcome {
	unsigned status;      /* of HTTP */
	enum refusal refusal; /* where status is not 200 */
	char reason[256];     /* the same in words */
};

void outcome_set(struct outcome *ret_outcome, unsigned status, enum refusal refusal, const char *format, ...)
	_printf_(4, 5);

/*
 * What the head alone tells of a request: 200 where its body may be read, else 404, 405, 415 or 413. MAX_BODY: what a
 * body may have.
 */
void outcome_of_head(const struct http_head *head, uint64_t max_body, struct outcome *ret_outcome);

/*
 * Appends the answer: an ExportLogsServiceResponse, or google.rpc.Status (opentelemetry-proto, OTLP/HTTP response),
 * both in protobuf. 0 or OUT's error.
 */
int reply_put(const struct outcome *outcome, bool keep_alive, struct buf *out);
