// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <string.h>
#include "user/sink/decode.h"
#include "user/sink/ingest.h"
#include "user/sink/ndjson.h"
#include "user/sink/samples.h"
#include "user/sink/tls.h"

#define STREAM_MAX  128         /* bytes of a stream's id */
#define FLUSH_BYTES (1 << 20)   /* buffered before they are written */
#define RECORD_MAX  (64 << 20)  /* of one record, written out */
#define REQUEST_MAX (512 << 20) /* of a request: attributes of a resource are written with each of its records */

struct ingest {
	struct store *store;
	struct metrics *metrics;
	struct samples *samples;
	struct ndjson scratch;
	struct buf out[STORE_FILES];
};

/* What a request does to the counters, once it is committed. */
struct tally {
	uint64_t stored, duplicates;
	uint64_t records[KINDS];
	char reason[SAMPLES_REASON_MAX]; /* why the sender is to blame */
};

int ingest_new(struct store *store, struct metrics *metrics, struct ingest **ret_ingest)
{
	_cleanup_(ingest_freep) struct ingest *ingest = malloc(sizeof(*ingest));
	if (!ingest)
		return -ENOMEM;
	*ingest = (struct ingest) { .store = store, .metrics = metrics };
	for (size_t i = 0; i < STORE_FILES; i++)
		ingest->out[i] = BUF_INIT(RECORD_MAX + FLUSH_BYTES);
	int r = samples_new(&ingest->samples);
	if (r < 0)
		return r;
	*ret_ingest = TAKE_PTR(ingest);
	return 0;
}

void ingest_free(struct ingest *ingest)
{
	if (ingest->samples)
		samples_free(ingest->samples);
	ndjson_free(&ingest->scratch);
	for (size_t i = 0; i < STORE_FILES; i++)
		buf_free(&ingest->out[i]);
	free(ingest);
}

static enum stored_kind kind_of(const Sonde__Otlp__LogRecord *record)
{
	static const char *const kinds[] = STORED_KIND_NAMES;
	const char *name = record_event_name(record);
	if (strncmp(name, "sonde.", 6) == 0)
		for (enum stored_kind kind = 0; kind < KIND_OTHER; kind++)
			if (strcmp(name + 6, kinds[kind]) == 0)
				return kind;
	return KIND_OTHER;
}

/*
 * *ret_has_key is false where the sender does not number its batches. -EBADMSG: it does, but not as agreed, and so
 * could not be told from a repeat.
 */
static int key_of(const char *subject, const Sonde__Otlp__Resource *resource,
                  const Sonde__Otlp__InstrumentationScope *scope, struct batch_key *ret_key, bool *ret_has_key,
                  char reason[static SAMPLES_REASON_MAX])
{
	const char *stream =
		resource ? attribute_text(resource->attributes, resource->n_attributes, "sonde.stream_id") : NULL;
	if (!stream || !*stream || !scope ||
	    !attribute_find(scope->attributes, scope->n_attributes, "sonde.batch.sequence")) {
		*ret_has_key = false;
		return 0;
	}

	int64_t sequence = 0, part = 0;
	attribute_number(scope->attributes, scope->n_attributes, "sonde.batch.sequence", &sequence);
	attribute_number(scope->attributes, scope->n_attributes, "sonde.batch.part", &part);
	if (sequence < 1 || part < 0 || part > UINT32_MAX) {
		snprintf(reason, SAMPLES_REASON_MAX,
		         "sonde.batch.sequence or sonde.batch.part is not a number from 1, or 0");
		return -EBADMSG;
	}

	/* The NUL keeps the two apart. */
	char name[TLS_NAME_MAX + STREAM_MAX];
	int size = snprintf(name, sizeof(name), "%s%c%s", subject, 0, stream);
	if (size < 0 || (size_t)size >= sizeof(name)) {
		snprintf(reason, SAMPLES_REASON_MAX, "sonde.stream_id is longer than %d bytes", STREAM_MAX);
		return -EBADMSG;
	}
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA256((const unsigned char *)name, (size_t)size, digest);
	*ret_key = (struct batch_key) { .sequence = (uint64_t)sequence, .part = (uint32_t)part };
	memcpy(ret_key->stream, digest, sizeof(ret_key->stream));
	*ret_has_key = true;
	return 0;
}

static int flush(struct ingest *ingest, enum store_file file)
{
	struct buf *out = &ingest->out[file];
	if (!out->size)
		return 0;
	if (store_written(ingest->store, STORE_RECORDS) + store_written(ingest->store, STORE_PACKETS) + out->size >
	    REQUEST_MAX)
		return -EFBIG;
	int r = store_write(ingest->store, file, out->data, out->size);
	/* A buffer that one huge record made large is given back. */
	if (out->capacity > 4 * FLUSH_BYTES)
		buf_free(out);
	else
		buf_reset(out);
	return r;
}

static int flush_all(struct ingest *ingest)
{
	int r = 0;
	for (enum store_file file = 0; r == 0 && file < STORE_FILES; file++)
		r = flush(ingest, file);
	return r;
}

static int put_sample(struct ingest *ingest, const struct record_view *view, struct tally *tally)
{
	struct buf *out = &ingest->out[STORE_PACKETS];
	int r = store_need_file(ingest->store, STORE_PACKETS);
	if (r < 0)
		return r;
	if (store_size(ingest->store, STORE_PACKETS) + out->size == 0) {
		r = samples_begin_file(ingest->samples, out);
		if (r < 0)
			return r;
	}
	r = samples_put(ingest->samples, view, out, tally->reason);
	if (r == 0 && out->size >= FLUSH_BYTES)
		r = flush(ingest, STORE_PACKETS);
	return r;
}

static int put_record(struct ingest *ingest, const struct record_view *view, struct tally *tally)
{
	struct buf *out = &ingest->out[STORE_RECORDS];
	int r = ndjson_put_record(&ingest->scratch, view, out);
	if (r == 0 && out->size >= FLUSH_BYTES)
		r = flush(ingest, STORE_RECORDS);
	if (r == 0 && is_sample(view))
		r = put_sample(ingest, view, tally);
	if (r == 0)
		tally->records[kind_of(view->record)]++;
	return r;
}

static int put_batch(struct ingest *ingest, const char *subject, const Sonde__Otlp__Resource *resource,
                     const Sonde__Otlp__ScopeLogs *logs, struct tally *tally)
{
	struct batch_key key;
	bool has_key;
	int r = key_of(subject, resource, logs->scope, &key, &has_key, tally->reason);
	if (r < 0)
		return r;
	if (has_key && store_has(ingest->store, &key)) {
		tally->duplicates++;
		return 0;
	}

	struct record_view view = { .resource = resource, .scope = logs->scope };
	r = store_need_file(ingest->store, STORE_RECORDS);
	for (size_t i = 0; r == 0 && i < logs->n_log_records; i++) {
		view.record = logs->log_records[i];
		r = put_record(ingest, &view, tally);
	}
	if (r == 0)
		r = flush_all(ingest);
	if (r == 0)
		r = store_add_batch(ingest->store, has_key ? &key : NULL);
	if (r == 0)
		tally->stored++;
	return r;
}

static int put_request(struct ingest *ingest, const char *subject, const struct request *request, struct tally *tally)
{
	const Sonde__Otlp__ExportLogsServiceRequest *message = request->message;
	for (size_t i = 0; i < message->n_resource_logs; i++) {
		const Sonde__Otlp__ResourceLogs *logs = message->resource_logs[i];
		for (size_t j = 0; j < logs->n_scope_logs; j++) {
			int r = put_batch(ingest, subject, logs->resource, logs->scope_logs[j], tally);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int store_request(struct ingest *ingest, const char *subject, const struct request *request, struct tally *tally)
{
	int r = store_begin(ingest->store);
	if (r < 0)
		return r;
	if (samples_full(ingest->samples))
		store_end_file(ingest->store, STORE_PACKETS);

	r = put_request(ingest, subject, request, tally);
	uint64_t written[STORE_FILES];
	for (size_t i = 0; i < STORE_FILES; i++)
		written[i] = store_written(ingest->store, i);
	if (r == 0)
		r = store_commit(ingest->store);
	if (r < 0) {
		store_rollback(ingest->store);
		samples_rollback(ingest->samples);
		for (size_t i = 0; i < STORE_FILES; i++)
			buf_free(&ingest->out[i]);
		return r;
	}
	samples_commit(ingest->samples);
	ingest->metrics->bytes[STAGE_RECORDS] += written[STORE_RECORDS];
	ingest->metrics->bytes[STAGE_PACKETS] += written[STORE_PACKETS];
	return 0;
}

/* The sender's fault where sending it again cannot help; else ours, and it shall come again. */
static void explain(int error, enum refusal malformed, const char *reason, struct outcome *ret_outcome)
{
	switch (error) {
	case -EBADMSG:
		outcome_set(ret_outcome, 400, malformed, "%s", reason);
		break;
	case -ELOOP:
		outcome_set(ret_outcome, 400, malformed, "messages are nested too deep");
		break;
	case -E2BIG:
		outcome_set(ret_outcome, 400, malformed, "more than %d ScopeLogs", STORE_BATCHES_MAX);
		break;
	case -EFBIG:
		outcome_set(ret_outcome, 413, REFUSED_TOO_LARGE, "takes too much memory or disk once it is unpacked");
		break;
	case -ENOMEM:
		outcome_set(ret_outcome, 503, REFUSED_BUSY, "out of memory");
		break;
	default:
		outcome_set(ret_outcome, 503, REFUSED_DISK, "cannot store: %s", strerrordesc_np(-error));
	}
}

void ingest_request(struct ingest *ingest, const char *subject, const void *body, size_t size,
                    struct ingest_result *ret_result)
{
	struct ingest_result result = { .outcome = { .status = 200 } };
	struct tally tally = { .reason = "" };
	_cleanup_(request_free) struct request request = { 0 };

	int r = request_decode(body, size, REQUEST_MEMORY(size), &request);
	if (r < 0) {
		explain(r, REFUSED_PROTOBUF, "not an ExportLogsServiceRequest in protobuf", &result.outcome);
		*ret_result = result;
		return;
	}
	r = store_request(ingest, subject, &request, &tally);
	if (r < 0) {
		ingest->metrics->batches[BATCH_FAILED]++;
		explain(r, REFUSED_RECORD, tally.reason, &result.outcome);
		*ret_result = result;
		return;
	}

	result.stored = tally.stored;
	result.duplicates = tally.duplicates;
	ingest->metrics->batches[BATCH_STORED] += tally.stored;
	ingest->metrics->batches[BATCH_DUPLICATE] += tally.duplicates;
	for (size_t i = 0; i < KINDS; i++) {
		ingest->metrics->records[i] += tally.records[i];
		result.records += tally.records[i];
	}
	*ret_result = result;
}
