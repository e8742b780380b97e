// SPDX-License-Identifier: Apache-2.0
/*
 * The sink on any body: it is refused, or all of its records can be written. The first byte chooses how much memory the
 * decoder may have, so that running out of it happens at each place.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include "user/sink/decode.h"
#include "user/sink/samples.h"

#define OUT_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_record(const struct record_view *view, struct ndjson *scratch, struct samples *samples)
{
	_cleanup_(buf_free) struct buf line = BUF_INIT(OUT_MAX), packets = BUF_INIT(OUT_MAX);
	char reason[SAMPLES_REASON_MAX];
	int r = ndjson_put_record(scratch, view, &line);
	assert(r == 0 || r == -EFBIG);
	/* One line, whatever is in it. */
	assert(r < 0 || (memchr(line.data, '\n', line.size) == line.data + line.size - 1 &&
	                 !memchr(line.data, '\0', line.size)));
	if (is_sample(view)) {
		r = samples_put(samples, view, &packets, reason);
		assert(r == 0 || r == -EFBIG || r == -EBADMSG);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	size_t memory = data[0] ? (size_t)data[0] * 512 : REQUEST_MEMORY(size);
	_cleanup_(request_free) struct request request = { 0 };
	_cleanup_(ndjson_free) struct ndjson scratch = { 0 };
	_cleanup_(samples_freep) struct samples *samples = NULL;
	int r = request_decode(data + 1, size - 1, memory, &request);
	assert(r == 0 || r == -EBADMSG || r == -ELOOP || r == -EFBIG);
	if (r < 0 || samples_new(&samples) < 0)
		return 0;

	for (size_t i = 0; i < request.message->n_resource_logs; i++) {
		const Sonde__Otlp__ResourceLogs *resource = request.message->resource_logs[i];
		for (size_t j = 0; j < resource->n_scope_logs; j++) {
			const Sonde__Otlp__ScopeLogs *scope = resource->scope_logs[j];
			for (size_t k = 0; k < scope->n_log_records; k++) {
				struct record_view view = { resource->resource, scope->scope, scope->log_records[k] };
				write_record(&view, &scratch, samples);
			}
		}
	}
	return 0;
}
