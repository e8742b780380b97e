// SPDX-License-Identifier: Apache-2.0
/* What a backend answers: OTLP's response, and the Status message of a refusal. */
#include <errno.h>
#include <string.h>
#include "user/otlp.h"
#include "user/otlp.pb-c.h"

/* Cuts TEXT to what fits, between two characters of UTF-8. */
static void copy_message(char message[static 256], const char *text)
{
	size_t size = strnlen(text, 256);
	if (size == 256)
		for (size = 255; size && ((uint8_t)text[size] & 0xc0) == 0x80;)
			size--;
	memcpy(message, text, size);
	message[size] = '\0';
}

int otlp_decode_response(const void *data, size_t size, struct otlp_response *ret_response)
{
	struct otlp_response response = { 0 };
	Sonde__Otlp__ExportLogsServiceResponse *message =
		sonde__otlp__export_logs_service_response__unpack(NULL, size, data);
	if (!message)
		return -EBADMSG;
	if (message->partial_success) {
		int64_t rejected = message->partial_success->rejected_log_records;
		response.rejected = rejected > 0 ? (uint64_t)rejected : 0;
		copy_message(response.message, message->partial_success->error_message);
	}
	sonde__otlp__export_logs_service_response__free_unpacked(message, NULL);
	*ret_response = response;
	return 0;
}

int otlp_decode_status(const void *data, size_t size, char ret_message[static 256])
{
	Sonde__Otlp__Status *status = sonde__otlp__status__unpack(NULL, size, data);
	int r = status && *status->message ? 0 : -EBADMSG;
	if (r == 0)
		copy_message(ret_message, status->message);
	if (status)
		sonde__otlp__status__free_unpacked(status, NULL);
	return r;
}
