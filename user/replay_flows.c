// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <uthash.h>
#include "user/otlp.h"
#include "user/replay_flows.h"
#include "user/sink/decode.h"
#include "user/sink/ndjson.h"

struct identified {
	uint64_t id;
	uint64_t generation;
};

struct replay_flow {
	struct identified key;
	struct record *record;
	UT_hash_handle hh;
};

struct replay_flows {
	char interface[IF_NAMESIZE];
	struct replay_flow *known;
	struct record_list without_id;
};

struct replay_flows *replay_flows_new(const char *interface)
{
	struct replay_flows *flows = calloc(1, sizeof(*flows));
	if (flows)
		snprintf(flows->interface, sizeof(flows->interface), "%s", interface);
	return flows;
}

void replay_flows_free(struct replay_flows *flows)
{
	struct replay_flow *flow, *next;
	if (!flows)
		return;
	HASH_ITER (hh, flows->known, flow, next) {
		HASH_DEL(flows->known, flow);
		record_free(flow->record);
		free(flow);
	}
	record_list_clear(&flows->without_id);
	free(flows);
}

static size_t count(const struct replay_flows *flows)
{
	return HASH_COUNT(flows->known) + flows->without_id.records;
}

static int add_known(struct replay_flows *flows, const struct identified *key, struct record **record)
{
	struct replay_flow *flow;
	HASH_FIND(hh, flows->known, key, sizeof(*key), flow);
	if (!flow) {
		flow = calloc(1, sizeof(*flow));
		if (!flow)
			return -ENOMEM;
		flow->key = *key;
		HASH_ADD(hh, flows->known, key, sizeof(flow->key), flow);
	}
	record_free(flow->record);
	flow->record = TAKE_PTR(*record);
	return 0;
}

int replay_flows_add(struct replay_flows *flows, struct record *record)
{
	_cleanup_(record_freep) struct record *owned = record;
	struct identified key = { record->flow.id, record->flow.generation };

	if (count(flows) >= REPLAY_FLOWS_MAX)
		return -E2BIG;
	memcpy(record->interface, flows->interface, sizeof(record->interface));
	/* Nothing was reported before: what is new is all there is. */
	memcpy(record->flow.delta, record->flow.total, sizeof(record->flow.delta));
	if (record->flow.id)
		return add_known(flows, &key, &owned);
	record_list_append(&flows->without_id, TAKE_PTR(owned));
	return 0;
}

static uint64_t flow_bytes(const struct record *record)
{
	return record->flow.total[0].bytes + record->flow.total[1].bytes;
}

static int compare_flows(const void *a, const void *b)
{
	const struct record *left = *(const struct record *const *)a, *right = *(const struct record *const *)b;
	uint64_t left_bytes = flow_bytes(left), right_bytes = flow_bytes(right);
	if (left_bytes != right_bytes)
		return left_bytes < right_bytes ? 1 : -1;
	return (left->flow.start_ns > right->flow.start_ns) - (left->flow.start_ns < right->flow.start_ns);
}

int replay_flows_sorted(const struct replay_flows *flows, const struct record ***ret_records, size_t *ret_n)
{
	_cleanup_(freep) const struct record **records = calloc(count(flows) + 1, sizeof(const struct record *));
	const struct replay_flow *flow;
	size_t n = 0;
	if (!records)
		return -ENOMEM;

	for (flow = flows->known; flow; flow = flow->hh.next)
		records[n++] = flow->record;
	for (const struct record *record = flows->without_id.first; record; record = record->next)
		records[n++] = record;
	qsort(records, n, sizeof(const struct record *), compare_flows);
	*ret_records = TAKE_PTR(records);
	*ret_n = n;
	return 0;
}

/* The record of a request with just one; it stays the request's. */
static const Sonde__Otlp__LogRecord *only_record(const struct request *request)
{
	return request->message->resource_logs[0]->scope_logs[0]->log_records[0];
}

int replay_flow_json(const struct record *record, struct buf *out)
{
	static const struct otlp_resource nobody = { "", "", "", "" };
	_cleanup_(buf_free) struct buf encoded = BUF_INIT(OTLP_RECORD_MAX);
	struct record one = *record;
	struct record_list list = { .first = &one, .last = &one, .records = 1 };
	struct ndjson scratch = { 0 };
	struct request request;

	one.next = NULL;
	int r = otlp_encode(&nobody, 0, &list, &encoded);
	if (r == 0)
		r = request_decode(encoded.data, encoded.size, REQUEST_MEMORY(encoded.size), &request);
	if (r < 0)
		return r;
	struct record_view view = { .record = only_record(&request) };
	r = ndjson_put_record(&scratch, &view, out);
	ndjson_free(&scratch);
	request_free(&request);
	if (r == 0)
		out->data[--out->size] = '\0'; /* the line's end */
	return r;
}
