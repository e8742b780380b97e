// SPDX-License-Identifier: Apache-2.0
/* What a record's attributes are called, and which it has; their meaning is in docs/records.md. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include "user/otlp_internal.h"

#define SEVERITY_INFO 9

/* The attributes of one end; [0] of each pair of ends is source. */
struct end_keys {
	const char *address, *port, *packets, *bytes, *flow_packets, *flow_bytes;
	const char *namespace_name, *pod_name, *pod_uid, *container_name, *container_id;
	const char *executable_name, *pid, *uid;
	const char *tunnel, *translated, *translated_port;
};
#define END_KEYS(end)                                                                                               \
	{                                                                                                           \
		.address = end ".address", .port = end ".port", .packets = end ".packets", .bytes = end ".bytes",   \
		.flow_packets = "sonde.flow." end ".packets", .flow_bytes = "sonde.flow." end ".bytes",             \
		.namespace_name = end ".k8s.namespace.name", .pod_name = end ".k8s.pod.name",                       \
		.pod_uid = end ".k8s.pod.uid", .container_name = end ".k8s.container.name",                         \
		.container_id = end ".container.id", .executable_name = end ".process.executable.name",             \
		.pid = end ".process.pid", .uid = end ".process.user.id", .tunnel = "sonde.tunnel." end ".address", \
		.translated = end ".nat.ip", .translated_port = end ".nat.port",                                    \
	}
static const struct end_keys end_keys[2] = { END_KEYS("source"), END_KEYS("destination") };

static Sonde__Otlp__AnyValue *add_value(struct attributes *attributes, const char *key)
{
	assert(attributes->n < ATTRIBUTES_MAX);
	Sonde__Otlp__KeyValue *pair = &attributes->pairs[attributes->n];
	Sonde__Otlp__AnyValue *value = &attributes->values[attributes->n];
	sonde__otlp__key_value__init(pair);
	sonde__otlp__any_value__init(value);
	pair->key = (char *)key;
	pair->value = value;
	attributes->list[attributes->n++] = pair;
	return value;
}

void add_text(struct attributes *attributes, const char *key, const char *text)
{
	if (!text || !*text)
		return;
	Sonde__Otlp__AnyValue *value = add_value(attributes, key);
	value->value_case = SONDE__OTLP__ANY_VALUE__VALUE_STRING_VALUE;
	value->string_value = (char *)text;
}

void add_int(struct attributes *attributes, const char *key, uint64_t number)
{
	Sonde__Otlp__AnyValue *value = add_value(attributes, key);
	value->value_case = SONDE__OTLP__ANY_VALUE__VALUE_INT_VALUE;
	value->int_value = (int64_t)number;
}

static void add_double(struct attributes *attributes, const char *key, double number)
{
	Sonde__Otlp__AnyValue *value = add_value(attributes, key);
	value->value_case = SONDE__OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE;
	value->double_value = number;
}

/* IANA's keyword in lower case; NULL for those that one rarely meets. */
static const char *protocol_name(uint8_t protocol)
{
	static const char *const names[256] = {
		[1] = "icmp",      [2] = "igmp",       [4] = "ipv4",   [6] = "tcp",      [17] = "udp",
		[33] = "dccp",     [41] = "ipv6",      [46] = "rsvp",  [47] = "gre",     [50] = "esp",
		[51] = "ah",       [58] = "ipv6-icmp", [88] = "eigrp", [89] = "ospfigp", [94] = "ipip",
		[103] = "pim",     [108] = "ipcomp",   [112] = "vrrp", [115] = "l2tp",   [132] = "sctp",
		[136] = "udplite",
	};
	return names[protocol];
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/* Mapped IPv4 as IPv4: of a tunnel, the outside may be of another family than the flow. "" where there is none. */
static void write_address(const uint8_t address[static 16], char text[static INET6_ADDRSTRLEN])
{
	static const uint8_t none[16], mapped[12] = { [10] = 0xff, 0xff };
	if (memcmp(address, none, sizeof(none)) == 0)
		text[0] = '\0';
	else if (memcmp(address, mapped, sizeof(mapped)) == 0)
		inet_ntop(AF_INET, address + sizeof(mapped), text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, address, text, INET6_ADDRSTRLEN);
}

static void add_details(struct slot *slot, const struct flow_record *flow, int end)
{
	const struct end_keys *keys = &end_keys[end];
	write_address(flow->tunnel[end].address, slot->tunnel[end]);
	write_address(flow->translated[end].address, slot->translated[end]);
	add_text(&slot->attributes, keys->tunnel, slot->tunnel[end]);
	add_text(&slot->attributes, keys->translated, slot->translated[end]);
	if (flow->translated[end].port)
		add_int(&slot->attributes, keys->translated_port, flow->translated[end].port);
}

/* Labels may be empty, and are there all the same. */
static void add_facts(struct slot *slot, const struct endpoint *endpoint, int end)
{
	size_t n;
	const struct pod_fact *facts = pod_facts_all(endpoint->facts, &n);
	for (size_t i = 0; i < n; i++) {
		Sonde__Otlp__AnyValue *value = add_value(&slot->attributes, facts[i].end_key[end]);
		value->value_case = SONDE__OTLP__ANY_VALUE__VALUE_STRING_VALUE;
		value->string_value = (char *)facts[i].value;
	}
}

static void add_endpoint(struct slot *slot, const struct record *record, int end)
{
	const struct endpoint *endpoint = end ? &record->destination : &record->source;
	const struct end_keys *keys = &end_keys[end];
	if (record->ip_version == 4)
		inet_ntop(AF_INET, endpoint->address + 12, slot->address[end], sizeof(slot->address[end]));
	else
		inet_ntop(AF_INET6, endpoint->address, slot->address[end], sizeof(slot->address[end]));
	add_text(&slot->attributes, keys->address, slot->address[end]);
	if (endpoint->port && has_ports(record->protocol))
		add_int(&slot->attributes, keys->port, endpoint->port);

	const struct owner_names *names = owner_names(endpoint->owner);
	add_text(&slot->attributes, keys->namespace_name, names->namespace_name);
	add_text(&slot->attributes, keys->pod_name, names->pod_name);
	add_text(&slot->attributes, keys->pod_uid, names->pod_uid);
	add_text(&slot->attributes, keys->container_name, names->container_name);
	add_text(&slot->attributes, keys->container_id, names->container_id);
	add_text(&slot->attributes, keys->executable_name, names->executable_name);
	if (names->pid) {
		add_int(&slot->attributes, keys->pid, names->pid);
		add_int(&slot->attributes, keys->uid, names->uid);
	}
	add_facts(slot, endpoint, end);
}

/* What sets the tuple apart from the same one elsewhere: VLAN or tunnel. */
static void add_segment(struct slot *slot, const struct record *record)
{
	static const char *const kinds[] = SEGMENT_KIND_NAMES;
	uint32_t outer = record->segment >> 16, inner = record->segment & 0xffff;

	if (record->segment_kind == SEGMENT_NONE || record->segment_kind >= SEGMENT_KIND_MAX)
		return;
	if (record->segment_kind != SEGMENT_VLAN) {
		add_text(&slot->attributes, "sonde.tunnel.type", kinds[record->segment_kind]);
		/* VNI 0 is one; a tunnel without a key has no id. */
		if (record->segment || record->segment_kind == SEGMENT_VXLAN || record->segment_kind == SEGMENT_GENEVE)
			add_int(&slot->attributes, "sonde.tunnel.id", record->segment);
		return;
	}
	snprintf(slot->vlan[0], sizeof(slot->vlan[0]), "%hu", (uint16_t)(outer ? outer : inner));
	snprintf(slot->vlan[1], sizeof(slot->vlan[1]), "%hu", (uint16_t)inner);
	add_text(&slot->attributes, "network.vlan.id", slot->vlan[0]);
	if (outer)
		add_text(&slot->attributes, "network.inner.vlan.id", slot->vlan[1]);
}

static void add_network(struct slot *slot, const struct record *record)
{
	struct attributes *attributes = &slot->attributes;
	snprintf(slot->protocol, sizeof(slot->protocol), "%u", record->protocol);
	community_id(record, slot->community_id);
	/* An interface's name is bytes to the kernel; a receiver refuses a batch with a string that is not UTF-8. */
	for (size_t i = 0; i < sizeof(slot->interface); i++)
		slot->interface[i] = (record->interface[i] & 0x80) ? '?' : record->interface[i];
	slot->interface[sizeof(slot->interface) - 1] = '\0';

	add_text(attributes, "network.transport", protocol_name(record->protocol));
	add_text(attributes, "network.type", record->ip_version == 4 ? "ipv4" : "ipv6");
	add_text(attributes, "network.iana_number", slot->protocol);
	add_text(attributes, "network.community_id", slot->community_id);
	add_text(attributes, "network.interface.name", slot->interface);
	add_text(attributes, "network.io.direction", record->direction == DIRECTION_INGRESS ? "receive" : "transmit");
}

/* A packet that found no room in the flow table belongs to no flow: id 0. */
static void add_flow_id(struct slot *slot, uint64_t id)
{
	if (!id)
		return;
	snprintf(slot->flow_id, sizeof(slot->flow_id), "%016" PRIx64, id);
	add_text(&slot->attributes, "sonde.flow.id", slot->flow_id);
}

static void add_flow(struct slot *slot, const struct record *record)
{
	static const char *const reasons[] = FLOW_REASON_NAMES;
	const struct flow_record *flow = &record->flow;
	struct attributes *attributes = &slot->attributes;

	for (int end = 0; end < 2; end++) {
		add_int(attributes, end_keys[end].packets, flow->delta[end].packets);
		add_int(attributes, end_keys[end].bytes, flow->delta[end].bytes);
		add_int(attributes, end_keys[end].flow_packets, flow->total[end].packets);
		add_int(attributes, end_keys[end].flow_bytes, flow->total[end].bytes);
		add_details(slot, flow, end);
	}
	add_flow_id(slot, flow->id);
	if (flow->generation)
		add_int(attributes, "sonde.flow.generation", flow->generation);
	add_text(attributes, "sonde.flow.reason", reasons[flow->reason]);
	add_int(attributes, "sonde.flow.start", flow->start_ns);
	add_int(attributes, "sonde.flow.end", flow->end_ns);
	if (record->protocol == IPPROTO_TCP)
		add_int(attributes, "tcp.flags", flow->tcp_flags[0] | flow->tcp_flags[1]);
	add_health(attributes, &flow->health);
}

static void add_packet(struct slot *slot, const struct record *record)
{
	static const char *const link_types[] = { "ethernet", "raw_ip" }, *const reasons[] = SAMPLE_REASON_NAMES;
	const struct packet_record *packet = &record->packet;
	struct attributes *attributes = &slot->attributes;

	add_int(attributes, "packet.original_length", packet->original_length);
	add_int(attributes, "packet.captured_length", packet->captured_length);
	add_flow_id(slot, packet->flow_id);
	add_text(attributes, "sonde.packet.link_type", link_types[packet->link_type]);
	add_text(attributes, "sonde.packet.reason", reasons[packet->reason]);
	add_double(attributes, "sonde.packet.probability", 1.0 / packet->one_in);

	sonde__otlp__any_value__init(&slot->body);
	slot->body.value_case = SONDE__OTLP__ANY_VALUE__VALUE_BYTES_VALUE;
	slot->body.bytes_value.data = (uint8_t *)packet->data;
	slot->body.bytes_value.len = packet->captured_length;
	slot->log.body = &slot->body;
}

void slot_fill(struct slot *slot, const struct record *record)
{
	static const char *const events[RECORD_KIND_MAX] = {
		[RECORD_FLOW] = "sonde.flow",
		[RECORD_PACKET] = "sonde.packet",
		[RECORD_SOCKET] = "sonde.socket",
	};
	Sonde__Otlp__LogRecord *log = &slot->log;

	sonde__otlp__log_record__init(log);
	slot->attributes.n = 0;
	add_text(&slot->attributes, "event.name", events[record->kind]);
	add_endpoint(slot, record, 0);
	add_endpoint(slot, record, 1);
	add_network(slot, record);
	add_segment(slot, record);
	if (record->kind == RECORD_FLOW)
		add_flow(slot, record);
	else if (record->kind == RECORD_PACKET)
		add_packet(slot, record);
	else
		add_socket(&slot->attributes, &record->socket);

	log->time_unix_nano = record->time_ns;
	log->observed_time_unix_nano = record->observed_ns;
	log->severity_number = SEVERITY_INFO;
	log->event_name = (char *)events[record->kind];
	log->attributes = slot->attributes.list;
	log->n_attributes = slot->attributes.n;
}
