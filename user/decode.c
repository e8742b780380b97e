// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <bpf/bpf.h>
#include "user/clock.h"
#include "user/decode.h"
#include "user/naming.h"

/* What the kernel knows of the ends, per end of the key, and the time that the record tells of (CLOCK_MONOTONIC). */
struct sight {
	uint64_t cgroup_id[2], cookie[2];
	uint32_t ifindex[2];
	uint64_t from_ns, until_ns;
};

static uint64_t unix_ns(const struct decoder *decoder, uint64_t kernel_ns)
{
	return decoder->unix_clock ? kernel_ns : clock_to_unix_ns(kernel_ns);
}

/* The interface by which what an end sends comes in; 0: the hook sees it elsewhere on its way, and tells nothing. */
static uint32_t ifindex_of(const struct decoder *decoder, uint32_t iface_id, enum direction direction)
{
	return decoder->ifaces && direction == DIRECTION_INGRESS ? ifaces_ifindex(decoder->ifaces, iface_id) : 0;
}

static struct endpoint endpoint_of(const struct flow_key *key, unsigned end)
{
	struct endpoint endpoint = { .port = ntohs(key->port[end]) };
	memcpy(endpoint.address, key->addr[end], sizeof(endpoint.address));
	return endpoint;
}

static struct enrich_end end_of(const struct flow_key *key, unsigned end, const struct sight *sight)
{
	struct enrich_end enrich = {
		.port = ntohs(key->port[end]),
		.protocol = key->protocol,
		.domain = key->domain,
		.apart = key->segment_kind != SEGMENT_NONE,
		.cgroup_id = sight->cgroup_id[end],
		.cookie = sight->cookie[end],
		.ifindex = sight->ifindex[end],
		.from_ns = sight->from_ns,
		.until_ns = sight->until_ns,
	};
	memcpy(enrich.address, key->addr[end], sizeof(enrich.address));
	return enrich;
}

/* What all kinds have in common. SOURCE: the end of KEY that becomes the record's source. */
static void fill(const struct decoder *decoder, struct record *record, const struct flow_key *key, unsigned source,
                 uint32_t iface_id, const struct sight *sight)
{
	const char *name = decoder->ifaces ? ifaces_name(decoder->ifaces, iface_id) : "";

	record->time_ns = unix_ns(decoder, sight->until_ns);
	record->observed_ns = clock_realtime_ns();
	record->protocol = key->protocol;
	record->ip_version = key->ip_version;
	record->segment_kind = key->segment_kind;
	record->segment = key->segment;
	record->source = endpoint_of(key, source);
	record->destination = endpoint_of(key, !source);
	snprintf(record->interface, sizeof(record->interface), "%s", name);
	if (!decoder->enrich)
		return;
	const struct enrich_end ends[2] = { end_of(key, source, sight), end_of(key, !source, sight) };
	record_name(record, decoder->enrich, ends);
}

/*
 * The flow of a packet or connection (KEY without its twin) as it was at TIME_NS. 0, or -ENOENT: it is not in the table (any
 * more), or there is no table.
 */
static int find_flow(const struct decoder *decoder, const struct flow_key *key, uint64_t time_ns, struct flow *ret_flow)
{
	struct flow_key twin = *key;
	for (twin.twin = 0; decoder->maps && twin.twin < 2; twin.twin++) {
		struct flow flow;
		if (bpf_map_lookup_elem(decoder->maps->flows, &twin, &flow) < 0)
			continue;
		/* The table's clock may move with the tick. */
		if (flow.start_ns > time_ns + NS_PER_SEC / 50 || (flow.closed_ns && flow.closed_ns < time_ns))
			continue;
		*ret_flow = flow;
		return 0;
	}
	return -ENOENT;
}

static bool is_blank(const struct sight *sight, unsigned end)
{
	return !sight->cgroup_id[end] && !sight->cookie[end];
}

/* An end that had not sent yet when the event was made may have by now: the table knows its socket then. */
static void complete(struct sight *sight, const struct flow *flow)
{
	for (unsigned end = 0; end < 2; end++) {
		if (!is_blank(sight, end))
			continue;
		sight->cgroup_id[end] = flow->end[end].cgroup_id;
		sight->cookie[end] = flow->end[end].cookie;
	}
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
	unsigned sender = event->sender & 1;
	struct sight sight = {
		.cgroup_id = { event->cgroup_id[0], event->cgroup_id[1] },
		.cookie = { event->cookie[0], event->cookie[1] },
		.from_ns = event->header.time_ns,
		.until_ns = event->header.time_ns,
	};
	sight.ifindex[sender] = ifindex_of(decoder, event->header.iface_id, event->direction);
	struct flow flow;
	if (is_blank(&sight, !sender) && find_flow(decoder, &event->key, event->header.time_ns, &flow) == 0 &&
	    flow.id == event->flow_id)
		complete(&sight, &flow);
	fill(decoder, record, &event->key, sender, event->header.iface_id, &sight);
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
	unsigned sender = event->sender & 1;
	struct sight sight = { .from_ns = event->header.time_ns, .until_ns = event->header.time_ns };
	sight.cgroup_id[sender] = event->cgroup_id;
	sight.cookie[sender] = event->cookie;
	sight.ifindex[sender] = ifindex_of(decoder, event->header.iface_id, event->direction);
	fill(decoder, record, &event->key, sender, event->header.iface_id, &sight);
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

static struct tcp_health health_of(const struct socket_health *health)
{
	return (struct tcp_health) {
		.known = health->read_ns != 0,
		.rtt_us = health->srtt_us,
		.min_rtt_us = health->min_rtt_us,
		.retransmits = health->retransmits,
		.lost = health->lost,
		.delivered = health->delivered,
	};
}

static int decode_socket(const struct decoder *decoder, const struct socket_event *event, size_t size,
                         struct record **ret_record)
{
	if (size < sizeof(*event) || event->header.size != sizeof(*event) || event->action >= SOCKET_ACTION_MAX ||
	    event->end > 1 || event->initiator > 1)
		return -EBADMSG;

	struct record *record = record_new(RECORD_SOCKET, 0, NULL);
	if (!record)
		return -ENOMEM;
	/* A connection that ends tells of all its time: the address may have gone to another pod before its end. */
	bool began_now = event->action == SOCKET_CONNECT || event->action == SOCKET_ACCEPT || !event->opened_ns;
	struct sight sight = {
		.from_ns = began_now ? event->header.time_ns : event->opened_ns,
		.until_ns = event->header.time_ns,
	};
	sight.cgroup_id[event->end] = event->owner.cgroup_id;
	sight.cookie[event->end] = event->owner.cookie;
	struct flow flow;
	if (find_flow(decoder, &event->key, event->header.time_ns, &flow) == 0 &&
	    flow.end[event->end].cookie == event->owner.cookie)
		complete(&sight, &flow);
	fill(decoder, record, &event->key, event->initiator, event->header.iface_id, &sight);
	record->direction = event->end == event->initiator ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	record->socket = (struct socket_record) {
		.action = event->action,
		.error = event->error,
		.state = event->state,
		.start_ns = event->opened_ns ? unix_ns(decoder, event->opened_ns) : 0,
		.health = health_of(&event->health),
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
	case RECORD_SOCKET:
		return decode_socket(decoder, data, size, ret_record);
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

/* The initiator's own view, where its socket is on this host, else the responder's. */
static struct tcp_health flow_health(const struct decoder *decoder, const struct flow *flow, unsigned source)
{
	const uint64_t cookies[2] = { flow->end[source].cookie, flow->end[!source].cookie };
	for (size_t i = 0; decoder->enrich && i < ARRAY_SIZE(cookies); i++) {
		struct socket_info info;
		if (cookies[i] && enrich_socket(decoder->enrich, cookies[i], &info) == 0 && info.health.read_ns)
			return health_of(&info.health);
	}
	return (struct tcp_health) { 0 };
}

static struct sight flow_sight(const struct decoder *decoder, const struct flow_part *part)
{
	struct sight sight = { .from_ns = part->from_ns, .until_ns = flow_last_ns(part->flow) };
	for (int i = 0; i < 2; i++) {
		const struct flow_end *end = &part->flow->end[i];
		sight.cgroup_id[i] = end->cgroup_id;
		sight.cookie[i] = end->cookie;
		if (end->hook)
			sight.ifindex[i] = ifindex_of(decoder, hook_iface_id(end->hook), hook_direction(end->hook));
	}
	/* The last record may have been written in between a packet's time and its counting. */
	if (sight.from_ns > sight.until_ns)
		sight.from_ns = sight.until_ns;
	return sight;
}

struct record *decode_flow(const struct decoder *decoder, const struct flow_part *part)
{
	const struct flow *flow = part->flow;
	struct record *record = record_new(RECORD_FLOW, 0, NULL);
	if (!record)
		return NULL;

	unsigned source = flow->initiator & 1, destination = !source;
	uint32_t hook = flow->end[source].hook ? flow->end[source].hook : flow->end[destination].hook;
	struct sight sight = flow_sight(decoder, part);
	fill(decoder, record, part->key, source, hook_iface_id(hook), &sight);
	record->direction = hook_direction(hook);
	record->flow = (struct flow_record) {
		.id = flow->id,
		.generation = flow->generation,
		.reason = part->reason,
		.start_ns = unix_ns(decoder, flow->start_ns),
		.end_ns = record->time_ns,
		.delta = { part->delta[source], part->delta[destination] },
		.total = { { flow->end[source].packets, flow->end[source].bytes },
		           { flow->end[destination].packets, flow->end[destination].bytes } },
		.tcp_flags = { flow->end[source].tcp_flags, flow->end[destination].tcp_flags },
	};
	if (part->key->protocol == IPPROTO_TCP)
		record->flow.health = flow_health(decoder, flow, source);
	if (part->details)
		fill_details(&record->flow, part->details, source);
	return record;
}
