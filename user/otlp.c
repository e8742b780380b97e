// SPDX-License-Identifier: Apache-2.0
/*
 * The encoder builds protobuf-c's tree of a whole batch in one allocation, a slot a record, and packs it: no memory is
 * asked for per attribute. Strings are the record's own, or stand in the slot.
 */
#include <errno.h>
#include <string.h>
#include "user/otlp_internal.h"

/* Packs LOGS with what stands around them: request, resource, scope. */
static int pack_request(const struct otlp_resource *resource, uint64_t sequence, Sonde__Otlp__LogRecord **logs,
                        size_t n_logs, struct buf *out)
{
	struct attributes who = { 0 }, batch = { 0 };
	add_text(&who, "service.name", "sonde");
	add_text(&who, "service.version", resource->service_version);
	add_text(&who, "host.name", resource->host_name);
	add_text(&who, "k8s.node.name", resource->node_name);
	add_text(&who, "sonde.stream_id", resource->stream_id);
	add_int(&batch, "sonde.batch.sequence", sequence);
	add_int(&batch, "sonde.batch.records", n_logs);

	Sonde__Otlp__InstrumentationScope scope = SONDE__OTLP__INSTRUMENTATION_SCOPE__INIT;
	scope.name = (char *)"sonde";
	scope.attributes = batch.list;
	scope.n_attributes = batch.n;

	Sonde__Otlp__ScopeLogs scope_logs = SONDE__OTLP__SCOPE_LOGS__INIT;
	scope_logs.scope = &scope;
	scope_logs.log_records = logs;
	scope_logs.n_log_records = n_logs;

	Sonde__Otlp__Resource resource_message = SONDE__OTLP__RESOURCE__INIT;
	resource_message.attributes = who.list;
	resource_message.n_attributes = who.n;

	Sonde__Otlp__ResourceLogs resource_logs = SONDE__OTLP__RESOURCE_LOGS__INIT;
	resource_logs.resource = &resource_message;
	resource_logs.scope_logs = (Sonde__Otlp__ScopeLogs *[]) { &scope_logs };
	resource_logs.n_scope_logs = 1;

	Sonde__Otlp__ExportLogsServiceRequest request = SONDE__OTLP__EXPORT_LOGS_SERVICE_REQUEST__INIT;
	request.resource_logs = (Sonde__Otlp__ResourceLogs *[]) { &resource_logs };
	request.n_resource_logs = 1;

	void *space;
	size_t size = sonde__otlp__export_logs_service_request__get_packed_size(&request);
	int r = buf_reserve(out, size, &space);
	if (r < 0)
		return r;
	buf_commit(out, sonde__otlp__export_logs_service_request__pack(&request, space));
	return 0;
}

int otlp_encode(const struct otlp_resource *resource, uint64_t sequence, const struct record_list *records,
                struct buf *out)
{
	_cleanup_(freep) struct slot *slots = reallocarray(NULL, records->records + 1, sizeof(*slots));
	_cleanup_(freep) Sonde__Otlp__LogRecord **logs = calloc(records->records + 1, sizeof(Sonde__Otlp__LogRecord *));
	if (!slots || !logs)
		return -ENOMEM;

	size_t n = 0;
	for (const struct record *record = records->first; record; record = record->next, n++) {
		slot_fill(&slots[n], record);
		logs[n] = &slots[n].log;
	}
	return pack_request(resource, sequence, logs, n, out);
}

static size_t facts_size(const struct pod_facts *facts)
{
	size_t n, size = 0;
	const struct pod_fact *all = pod_facts_all(facts, &n);
	/* With the lengths and tags around both. */
	for (size_t i = 0; i < n; i++)
		size += strlen(all[i].end_key[1]) + strlen(all[i].value) + 32;
	return size;
}

size_t otlp_record_size(const struct record *record)
{
	/* All keys, numbers and addresses at their longest, and the lengths before the names. */
	size_t size = 2048;
	const struct endpoint *ends[] = { &record->source, &record->destination };
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		const struct owner_names *names = owner_names(ends[i]->owner);
		const char *const texts[] = { names->namespace_name, names->pod_name,     names->pod_uid,
			                      names->container_name, names->container_id, names->executable_name };
		for (size_t j = 0; j < ARRAY_SIZE(texts); j++)
			size += texts[j] ? strlen(texts[j]) : 0;
		size += facts_size(ends[i]->facts);
	}
	return size + (record->kind == RECORD_PACKET ? record->packet.captured_length : 0);
}
