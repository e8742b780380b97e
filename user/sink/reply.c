// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include "user/otlp.pb-c.h"
#include "user/sink/reply.h"

#define LOGS_PATH   "/v1/logs"
#define PROTOBUF    "application/x-protobuf"
#define RETRY_AFTER "Retry-After: 5" /* seconds */

/* Codes of google.rpc.Status. */
enum {
	CODE_INVALID_ARGUMENT = 3,
	CODE_NOT_FOUND = 5,
	CODE_RESOURCE_EXHAUSTED = 8,
	CODE_UNIMPLEMENTED = 12,
	CODE_UNAVAILABLE = 14
};

void outcome_set(struct outcome *ret_outcome, unsigned status, enum refusal refusal, const char *format, ...)
{
	va_list args;
	ret_outcome->status = status;
	ret_outcome->refusal = refusal;
	va_start(args, format);
	vsnprintf(ret_outcome->reason, sizeof(ret_outcome->reason), format, args);
	va_end(args);
}

void outcome_of_head(const struct http_head *head, uint64_t max_body, struct outcome *ret_outcome)
{
	if (strcmp(head->path, LOGS_PATH) != 0)
		outcome_set(ret_outcome, 404, REFUSED_PATH, "path %s is not " LOGS_PATH, head->path);
	else if (strcmp(head->method, "POST") != 0)
		outcome_set(ret_outcome, 405, REFUSED_METHOD, "method %s is not POST", head->method);
	else if (strcmp(head->content_type, PROTOBUF) != 0)
		outcome_set(ret_outcome, 415, REFUSED_CONTENT_TYPE, "Content-Type \"%s\" is not " PROTOBUF,
		            head->content_type);
	else if (*head->content_encoding && strcmp(head->content_encoding, "gzip") != 0 &&
	         strcmp(head->content_encoding, "identity") != 0)
		outcome_set(ret_outcome, 415, REFUSED_CONTENT_ENCODING,
		            "Content-Encoding \"%s\" is not gzip or identity", head->content_encoding);
	else if (head->has_length && head->length > max_body)
		outcome_set(ret_outcome, 413, REFUSED_TOO_LARGE, "a body of %" PRIu64 " bytes; max_body is %" PRIu64,
		            head->length, max_body);
	else
		*ret_outcome = (struct outcome) { .status = 200 };
}

static int code_of(unsigned status)
{
	switch (status) {
	case 404:
		return CODE_NOT_FOUND;
	case 405:
	case 501:
		return CODE_UNIMPLEMENTED;
	case 413:
	case 431:
		return CODE_RESOURCE_EXHAUSTED;
	case 503:
		return CODE_UNAVAILABLE;
	default:
		return CODE_INVALID_ARGUMENT;
	}
}

static const char *header_of(unsigned status)
{
	switch (status) {
	case 405:
		return "Allow: POST";
	case 503:
		return RETRY_AFTER;
	default:
		return NULL;
	}
}

int reply_put(const struct outcome *outcome, bool keep_alive, struct buf *out)
{
	Sonde__Otlp__Status status = SONDE__OTLP__STATUS__INIT;
	uint8_t body[sizeof(outcome->reason) + 32];
	size_t size = 0;
	/* A full success has nothing to tell: an ExportLogsServiceResponse without fields is no bytes. */
	if (outcome->status != 200) {
		status.code = code_of(outcome->status);
		status.message = (char *)outcome->reason;
		size = sonde__otlp__status__pack(&status, body);
	}

	struct http_reply reply = {
		.status = outcome->status,
		.content_type = PROTOBUF,
		.header = header_of(outcome->status),
		.keep_alive = keep_alive,
		.body = body,
		.body_size = size,
	};
	return http_put_reply(out, &reply);
}
