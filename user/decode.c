// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "user/clock.h"
#include "user/decode.h"

static struct owner *owner_of(const struct decoder *decoder, uint64_t cgroup_id)
{
	return decoder->identity && cgroup_id ? identity_lookup(decoder->identity, cgroup_id) : NULL;
}

static struct endpoint endpoint_of(const struct decoder *decoder, const struct flow_key *key, unsigned end,
                                   uint64_t cgroup_id)
{
	struct endpoint endpoint = { .port = ntohs(key->port[end]), .owner = owner_of(decoder, cgroup_id) };
	memcpy(endpoint.address, key->addr[end], sizeof(endpoint.address));
	return endpoint;
}

static uint64_t unix_ns(const struct decoder *decoder, uint64_t kernel_ns)
{
	return decoder->unix_clock ? kernel_ns : clock_to_unix_ns(kernel_ns);
}

/* What all kinds have in common. SOURCE: the end of KEY that becomes the record's source. */
static void fill(const struct decoder *decoder, struct record *record, const struct flow_key *key, unsigned source,
                 const uint64_t cgroup_id[static 2], uint32_t iface_id)
{
	const char *name = decoder->ifaces ? ifaces_name(decoder->ifaces, iface_id) : "";

	record->observed_ns = clock_realtime_ns();
	record->protocol = key->protocol;
	record->ip_version = key->ip_version;
	record->segment_kind = key->segment_kind;
	record->segment = key->segment;
	record->source = endpoint_of(decoder, key, source, cgroup_id[source]);
	record->destination = endpoint_of(decoder, key, !source, cgroup_id[!source]);
	snprintf(record->interface, sizeof(record->interface), "%s", name);
}

static int decode_packet(const struct decoder *decoder, const struct packet_event *event, size_t size,
                         struct record **ret_record)
{
	if (size < sizeof(*event) || event->header.size != sizeof(*event) + event->captured_length ||
	    event->header.size > size || event->link_type >= LINK_TYPE_MAX || event->direction >= DIRECTION_MAX ||
	    event->reason >= SAMPLE_REASON_MAX || !event->one_in)
		return -EBADMSG;

	uint8_t *data;
	struct record *record = record_new(RECORD_PACKET, event->captured_length, &data);
	if (!record)
		return -ENOMEM;
	fill(decoder, record, &event->key, event->sender & 1, (const uint64_t *)event->cgroup_id,
	     event->header.iface_id);
	record->time_ns = unix_ns(decoder, event->header.time_ns);
	record->direction = event->direction;
	memcpy(data, event->data, event->captured_length);
	record->packet = (struct packet_record) {
		.flow_id = event->flow_id,
		.original_length = event->original_length,
		.captured_length = event->captured_length,
		.link_type = event->link_type,
		.reason = event->reason,
		.one_in = event->one_in,
		.data = data,
	};
	*ret_record = record;
	return 0;
}

static int decode_table_full(const struct decoder *decoder, const struct flow_event *event, size_t size,
                             struct record **ret_record)
{
	if (size < sizeof(*event) || event->header.size != sizeof(*event) || event->direction >= DIRECTION_MAX)
		return -EBADMSG;

	struct record *record = record_new(RECORD_FLOW, 0, NULL);
	if (!record)
		return -ENOMEM;
	uint64_t cgroup_id[2] = { 0 };
	cgroup_id[event->sender & 1] = event->cgroup_id;
	fill(decoder, record, &event->key, event->sender & 1, cgroup_id, event->header.iface_id);
	record->time_ns = unix_ns(decoder, event->header.time_ns);
	record->direction = event->direction;
	struct totals totals = { event->packets, event->bytes };
	record->flow = (struct flow_record) {
		.reason = FLOW_TABLE_FULL,
		.start_ns = record->time_ns,
		.end_ns = record->time_ns,
		.delta[0] = totals,
		.total[0] = totals,
		.tcp_flags[0] = event->tcp_flags,
	};
	*ret_record = record;
	return 0;
}

int decode_event(const struct decoder *decoder, const void *data, size_t size, struct record **ret_record)
{
	const struct event_header *header = data;

	if (size < sizeof(*header) || header->version != EVENT_VERSION)
		return -EBADMSG;
	switch (header->kind) {
	case RECORD_PACKET:
		return decode_packet(decoder, data, size, ret_record);
	case RECORD_FLOW:
		return decode_table_full(decoder, data, size, ret_record);
	default:
		return -EBADMSG;
	}
}

static void fill_details(struct flow_record *record, const struct flow_details *details, unsigned source)
{
	for (unsigned i = 0; i < 2; i++) {
		unsigned end = i ? !source : source;
		memcpy(record->tunnel[i].address, details->outer[end], sizeof(record->tunnel[i].address));
		memcpy(record->translated[i].address, details->translated[end], sizeof(record->translated[i].address));
		record->translated[i].port = ntohs(details->translated_port[end]);
	}
}

struct record *decode_flow(const struct decoder *decoder, const struct flow_key *key, const struct flow *flow,
                           const struct flow_details *details, const struct totals delta[static 2],
                           enum flow_reason reason)
{
	struct record *record = record_new(RECORD_FLOW, 0, NULL);
	if (!record)
		return NULL;

	unsigned source = flow->initiator & 1, destination = !source;
	const uint64_t cgroup_id[2] = { flow->end[0].cgroup_id, flow->end[1].cgroup_id };
	uint32_t hook = flow->end[source].hook ? flow->end[source].hook : flow->end[destination].hook;
	fill(decoder, record, key, source, cgroup_id, hook_iface_id(hook));
	record->direction = hook_direction(hook);
	record->time_ns = unix_ns(decoder, flow_last_ns(flow));
	record->flow = (struct flow_record) {
		.id = flow->id,
		.generation = flow->generation,
		.reason = reason,
		.start_ns = unix_ns(decoder, flow->start_ns),
		.end_ns = record->time_ns,
		.delta = { delta[source], delta[destination] },
		.total = { { flow->end[source].packets, flow->end[source].bytes },
		           { flow->end[destination].packets, flow->end[destination].bytes } },
		.tcp_flags = { flow->end[source].tcp_flags, flow->end[destination].tcp_flags },
	};
	if (details)
		fill_details(&record->flow, details, source);
	return record;
}
