// SPDX-License-Identifier: Apache-2.0
/* Batches as OTLP, read back by protoc from OpenTelemetry's field numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "selftests/protoc.h"
#include "selftests/record_sample.h"
#include "user/otlp.h"

static const struct otlp_resource resource = {
	.service_version = "1.2.3",
	.host_name = "worker-7",
	.node_name = "node-7",
	.stream_id = "00112233445566778899aabbccddeeff",
};

#define BATCH_MAX (16 << 20)

static void set_interface(struct record *record, const char *name)
{
	snprintf(record->interface, sizeof(record->interface), "%s", name);
}

/* Encodes RECORD (which it frees) as a batch of one. */
static struct buf encode_one(struct record *record, uint64_t sequence)
{
	struct buf out = BUF_INIT(BATCH_MAX);
	_cleanup_(record_list_clear) struct record_list list = { 0 };
	record_list_append(&list, record);
	assert_int_equal(otlp_encode(&resource, sequence, &list, &out), 0);
	return out;
}

static void assert_reads(struct buf batch, const char *expected)
{
	struct buf text = read_with_protoc(&batch, false);
	assert_string_equal(buf_text(&text), expected);
	buf_free(&text);
	buf_free(&batch);
}

#define HEAD                                                     \
	"service.name=\"sonde\"\n"                               \
	"service.version=\"1.2.3\"\n"                            \
	"host.name=\"worker-7\"\n"                               \
	"k8s.node.name=\"node-7\"\n"                             \
	"sonde.stream_id=\"00112233445566778899aabbccddeeff\"\n" \
	"name: \"sonde\"\n"

/* A flow of which all is known but tunnels and translations. */
static struct record *make_flow(void)
{
	struct record *record = make_record(RECORD_FLOW, "128.232.110.120", "66.35.250.204", IPPROTO_TCP, 34855, 80, 0);
	record->time_ns = 1700000000000000002;
	record->observed_ns = 1700000000000000003;
	set_interface(record, "eth0");
	record->direction = DIRECTION_EGRESS;
	record->flow = (struct flow_record) {
		.id = 0x00c0ffee12345678,
		.generation = 2,
		.reason = FLOW_END,
		.start_ns = 1700000000000000001,
		.end_ns = 1700000000000000002,
		.delta = { { 1, 60 }, { 0, 0 } },
		.total = { { 10, 600 }, { 9, 540000000000 } },
		.tcp_flags = { 0x02, 0x11 },
	};
	record->source.owner = owner_new(&(struct owner_names) { .namespace_name = "shop",
	                                                         .pod_name = "cart-0",
	                                                         .pod_uid = "11112222-3333-4444-5555-666677778888",
	                                                         .container_name = "cart",
	                                                         .container_id = "0123abcd",
	                                                         .executable_name = "cartd",
	                                                         .pid = 4711 });
	record->destination.owner = owner_new(&(struct owner_names) { .container_id = "feed", .executable_name = "x" });
	record->flow.health = (struct tcp_health) { true, 150, 90, 3, 2, 1000 };
	return record;
}

static void test_flow(void **state)
{
	assert_reads(encode_one(make_flow(), 7), HEAD "sonde.batch.sequence=7\n"
	                                              "sonde.batch.records=1\n"
	                                              "time: 1700000000000000002\n"
	                                              "severity: 9\n"
	                                              "event.name=\"sonde.flow\"\n"
	                                              "source.address=\"128.232.110.120\"\n"
	                                              "source.port=34855\n"
	                                              "source.k8s.namespace.name=\"shop\"\n"
	                                              "source.k8s.pod.name=\"cart-0\"\n"
	                                              "source.k8s.pod.uid=\"11112222-3333-4444-5555-666677778888\"\n"
	                                              "source.k8s.container.name=\"cart\"\n"
	                                              "source.container.id=\"0123abcd\"\n"
	                                              "source.process.executable.name=\"cartd\"\n"
	                                              "source.process.pid=4711\n"
	                                              "source.process.user.id=0\n"
	                                              "destination.address=\"66.35.250.204\"\n"
	                                              "destination.port=80\n"
	                                              "destination.container.id=\"feed\"\n"
	                                              "destination.process.executable.name=\"x\"\n"
	                                              "network.transport=\"tcp\"\n"
	                                              "network.type=\"ipv4\"\n"
	                                              "network.iana_number=\"6\"\n"
	                                              "network.community_id=\"1:LQU9qZlK+B5F3KDmev6m5PMibrg=\"\n"
	                                              "network.interface.name=\"eth0\"\n"
	                                              "network.io.direction=\"transmit\"\n"
	                                              "source.packets=1\n"
	                                              "source.bytes=60\n"
	                                              "sonde.flow.source.packets=10\n"
	                                              "sonde.flow.source.bytes=600\n"
	                                              "destination.packets=0\n"
	                                              "destination.bytes=0\n"
	                                              "sonde.flow.destination.packets=9\n"
	                                              "sonde.flow.destination.bytes=540000000000\n"
	                                              "sonde.flow.id=\"00c0ffee12345678\"\n"
	                                              "sonde.flow.generation=2\n"
	                                              "sonde.flow.reason=\"end\"\n"
	                                              "sonde.flow.start=1700000000000000001\n"
	                                              "sonde.flow.end=1700000000000000002\n"
	                                              "tcp.flags=19\n"
	                                              "tcp.rtt_us=150\n"
	                                              "tcp.min_rtt_us=90\n"
	                                              "tcp.retransmits=3\n"
	                                              "tcp.lost=2\n"
	                                              "tcp.delivered=1000\n"
	                                              "observed: 1700000000000000003\n"
	                                              "event: \"sonde.flow\"\n");
}

/* What is known of a flow beyond its totals; the tunnel may be of another family than the flow. */
static void test_details(void **state)
{
	struct record *record = make_record(RECORD_FLOW, "10.0.0.1", "10.0.0.2", IPPROTO_UDP, 1000, 2000, 0);
	struct flow_record *flow = &record->flow;
	flow->tunnel[0] = (struct other_address) { .address = { 0xfd, [15] = 1 } };
	flow->tunnel[1] = (struct other_address) { .address = { [10] = 0xff, 0xff, 192, 0, 2, 2 } };
	flow->translated[1] = (struct other_address) { .address = { [10] = 0xff, 0xff, 192, 0, 2, 9 }, .port = 53 };

	struct buf batch = encode_one(record, 1), out = read_with_protoc(&batch, false);
	const char *text = buf_text(&out);
	assert_non_null(strstr(text, "sonde.tunnel.source.address=\"fd00::1\"\n"));
	assert_non_null(strstr(text, "sonde.tunnel.destination.address=\"192.0.2.2\"\n"));
	assert_null(strstr(text, "source.nat."));
	assert_non_null(strstr(text, "destination.nat.ip=\"192.0.2.9\"\ndestination.nat.port=53\n"));
	buf_free(&out);
	buf_free(&batch);
}

static void test_packet(void **state)
{
	struct record *record = make_record(RECORD_PACKET, "2001:db8::1", "2001:db8::2", IPPROTO_UDP, 5353, 53, 4);
	record->time_ns = 5;
	record->observed_ns = 6;
	set_interface(record, "wg0");
	record->direction = DIRECTION_INGRESS;
	record->packet.flow_id = 1;
	record->packet.original_length = 1500;
	record->packet.link_type = LINK_RAW_IP;
	record->packet.reason = SAMPLE_ONE_IN;
	record->packet.one_in = 8;
	assert_reads(encode_one(record, 1), HEAD "sonde.batch.sequence=1\n"
	                                         "sonde.batch.records=1\n"
	                                         "time: 5\n"
	                                         "severity: 9\n"
	                                         "bytes: \"\\000\\001\\002\\003\"\n"
	                                         "event.name=\"sonde.packet\"\n"
	                                         "source.address=\"2001:db8::1\"\n"
	                                         "source.port=5353\n"
	                                         "destination.address=\"2001:db8::2\"\n"
	                                         "destination.port=53\n"
	                                         "network.transport=\"udp\"\n"
	                                         "network.type=\"ipv6\"\n"
	                                         "network.iana_number=\"17\"\n"
	                                         "network.community_id=\"1:sEzqFsMvqwEs2PgSeOAwGpzkZJo=\"\n"
	                                         "network.interface.name=\"wg0\"\n"
	                                         "network.io.direction=\"receive\"\n"
	                                         "packet.original_length=1500\n"
	                                         "packet.captured_length=4\n"
	                                         "sonde.flow.id=\"0000000000000001\"\n"
	                                         "sonde.packet.link_type=\"raw_ip\"\n"
	                                         "sonde.packet.reason=\"one_in\"\n"
	                                         "sonde.packet.probability=0.125\n"
	                                         "observed: 6\n"
	                                         "event: \"sonde.packet\"\n");
}

/* An ICMP flow of one packet that found no room, on an interface with a name that is not UTF-8, with nobody's owner. */
static void test_left_out(void **state)
{
	struct record *record = make_record(RECORD_FLOW, "192.168.0.89", "192.168.0.1", IPPROTO_ICMP, 8, 0, 0);
	record->time_ns = 5;
	record->observed_ns = 6;
	set_interface(record, "v\xff"
	                      "0");
	record->flow = (struct flow_record) {
		.reason = FLOW_TABLE_FULL, .start_ns = 5, .end_ns = 5, .delta = { { 1, 84 } }, .total = { { 1, 84 } }
	};
	assert_reads(encode_one(record, 1), HEAD "sonde.batch.sequence=1\n"
	                                         "sonde.batch.records=1\n"
	                                         "time: 5\n"
	                                         "severity: 9\n"
	                                         "event.name=\"sonde.flow\"\n"
	                                         "source.address=\"192.168.0.89\"\n"
	                                         "destination.address=\"192.168.0.1\"\n"
	                                         "network.transport=\"icmp\"\n"
	                                         "network.type=\"ipv4\"\n"
	                                         "network.iana_number=\"1\"\n"
	                                         "network.community_id=\"1:X0snYXpgwiv9TZtqg64sgzUn6Dk=\"\n"
	                                         "network.interface.name=\"v?0\"\n"
	                                         "network.io.direction=\"receive\"\n"
	                                         "source.packets=1\n"
	                                         "source.bytes=84\n"
	                                         "sonde.flow.source.packets=1\n"
	                                         "sonde.flow.source.bytes=84\n"
	                                         "destination.packets=0\n"
	                                         "destination.bytes=0\n"
	                                         "sonde.flow.destination.packets=0\n"
	                                         "sonde.flow.destination.bytes=0\n"
	                                         "sonde.flow.reason=\"table_full\"\n"
	                                         "sonde.flow.start=5\n"
	                                         "sonde.flow.end=5\n"
	                                         "observed: 6\n"
	                                         "event: \"sonde.flow\"\n");
}

/* What sets a tuple apart, kind by kind. */
static void test_segments(void **state)
{
	static const struct {
		enum segment_kind kind;
		uint32_t id;
		const char *there, *not_there;
	} cases[] = {
		{ SEGMENT_NONE, 0, "network.io.direction=", "tunnel" },
		{ SEGMENT_VLAN, 42, "network.vlan.id=\"42\"\n", "inner" },
		{ SEGMENT_VLAN, 5u << 16 | 4095, "network.vlan.id=\"5\"\nnetwork.inner.vlan.id=\"4095\"\n", "tunnel" },
		{ SEGMENT_VXLAN, 0, "sonde.tunnel.type=\"vxlan\"\nsonde.tunnel.id=0\n", "vlan" },
		{ SEGMENT_GENEVE, 0xffffff, "sonde.tunnel.type=\"geneve\"\nsonde.tunnel.id=16777215\n", "vlan" },
		{ SEGMENT_GRE, 0xfffffffe, "sonde.tunnel.type=\"gre\"\nsonde.tunnel.id=4294967294\n", "vlan" },
		{ SEGMENT_GRE, 0, "sonde.tunnel.type=\"gre\"\n", "tunnel.id" },
		{ SEGMENT_IPIP, 0, "sonde.tunnel.type=\"ipip\"\n", "tunnel.id" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct record *record = make_record(RECORD_PACKET, "10.0.0.1", "10.0.0.2", IPPROTO_UDP, 1, 2, 0);
		record->segment_kind = cases[i].kind;
		record->segment = cases[i].id;
		struct buf batch = encode_one(record, 1);
		struct buf text = read_with_protoc(&batch, false);
		if (!strstr(buf_text(&text), cases[i].there) || strstr(buf_text(&text), cases[i].not_there))
			fail_msg("case %zu: %s", i, buf_text(&text));
		buf_free(&text);
		buf_free(&batch);
	}
}

/* What the pod list says, at the end that it is said of; a label may be empty. */
static void test_facts(void **state)
{
	static const struct pod_fact facts[] = {
		{ .key = "k8s.deployment.name", .value = "web" },
		{ .key = "k8s.pod.label.app.kubernetes.io/name", .value = "web" },
		{ .key = "k8s.pod.label.canary", .value = "" },
	};
	static const char *const parts[] = {
		"source.k8s.deployment.name=\"web\"\n",
		"source.k8s.pod.label.app.kubernetes.io/name=\"web\"\n",
		"source.k8s.pod.label.canary=\"\"\n",
		"destination.k8s.deployment.name=\"web\"\n",
	};
	struct record *record = make_record(RECORD_FLOW, "10.0.0.1", "10.0.0.2", IPPROTO_UDP, 1, 2, 0);
	record->source.facts = pod_facts_new(facts, ARRAY_SIZE(facts));
	record->destination.facts = pod_facts_new(facts, 1);
	struct buf batch = encode_one(record, 1);
	struct buf text = read_with_protoc(&batch, false);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!strstr(buf_text(&text), parts[i]))
			fail_msg("missing: %sin: %s", parts[i], buf_text(&text));
	assert_null(strstr(buf_text(&text), "destination.k8s.pod.label"));
	buf_free(&text);
	buf_free(&batch);
}

static void test_raw_fields(void **state)
{
	struct record *record = make_record(RECORD_PACKET, "10.0.0.1", "10.0.0.2", 253, 0, 0, 2);
	record->time_ns = 5;
	record->observed_ns = 6;
	record->packet.original_length = 60;
	struct buf batch = encode_one(record, 300);
	struct buf text = read_with_protoc(&batch, true);
	static const char *const parts[] = {
		"1 {\n  1 {\n    1 {\n      1: \"service.name\"\n      2 {\n        1: \"sonde\"\n",
		"  2 {\n    1 {\n      1: \"sonde\"\n      3 {\n        1: \"sonde.batch.sequence\"\n"
		"        2 {\n          3: 300\n",
		"    2 {\n      1: 0x0000000000000005\n      2: 9\n      5 {\n        7: \"\\000\\001\"\n      }\n"
		"      6 {\n        1: \"event.name\"\n        2 {\n          1: \"sonde.packet\"\n",
		"      11: 0x0000000000000006\n      12: \"sonde.packet\"\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!strstr(buf_text(&text), parts[i]))
			fail_msg("missing:\n%sin:\n%s", parts[i], buf_text(&text));
	/* A protocol of no name, and without an interface. */
	assert_null(strstr(buf_text(&text), "network.transport"));
	assert_null(strstr(buf_text(&text), "network.interface.name"));
	assert_non_null(strstr(buf_text(&text), "network.community_id"));
	buf_free(&text);
	buf_free(&batch);
}

static void test_no_node_name(void **state)
{
	struct otlp_resource bare = resource;
	struct buf out = BUF_INIT(BATCH_MAX);
	bare.node_name = NULL;
	assert_int_equal(otlp_encode(&bare, 1, &(struct record_list) { 0 }, &out), 0);
	struct buf text = read_with_protoc(&out, false);
	assert_null(strstr(buf_text(&text), "k8s.node.name"));
	assert_non_null(strstr(buf_text(&text), "sonde.batch.records=0\n"));
	buf_free(&text);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flow),       cmocka_unit_test(test_details),      cmocka_unit_test(test_packet),
		cmocka_unit_test(test_left_out),   cmocka_unit_test(test_segments),     cmocka_unit_test(test_facts),
		cmocka_unit_test(test_raw_fields), cmocka_unit_test(test_no_node_name),
	};
	return cmocka_run_group_tests_name("otlp", tests, NULL, NULL);
}
