// SPDX-License-Identifier: Apache-2.0
/* Why a packet behind its direction's head is a sample: what its flags, ports and payload tell, or chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
#include "selftests/harness.h"

#define NONE SAMPLE_REASON_MAX

#define CLIENT_HELLO "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
#define SERVER_HELLO "\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"

/* Over TCP, from port 40000 to 443. */
#define SAYS(text) PKT(ETH, IP4(), TCP(), TEXT(text))

struct reason_case {
	const char *name;
	struct layer packet[LAYERS_MAX];
	enum sample_reason reason; /* NONE: it is no sample */
	enum hook hook;
};

static void check_case(struct harness *harness, const struct reason_case *test)
{
	static const char *const names[] = SAMPLE_REASON_NAMES;
	struct frame frame;

	harness_clear(harness);
	packet_build(test->packet, &frame);
	assert_int_equal(program_run(harness->entry[test->hook], &frame, &(struct delivery) { 0 }), -1);
	harness_drain(harness);
	struct hook_stats stats = harness_hook_stats(harness, HOOK_STATS(test->hook));
	if (stats.verdicts[VERDICT_OBSERVED] != 1)
		fail_msg("\"%s\" is not observed", test->name);

	const struct packet_event *event = harness_record(harness, RECORD_PACKET, 0);
	if ((test->reason == NONE) != !event)
		fail_msg("\"%s\": %s", test->name, event ? names[event->reason] : "no sample");
	if (!event)
		return;
	if (event->reason != test->reason || event->one_in != 1)
		fail_msg("\"%s\": %s, one in %u", test->name, names[event->reason], event->one_in);
	assert_memory_equal(event->data, frame.data, event->captured_length);
}

static struct harness *open_with(uint32_t head_bytes, uint32_t one_in)
{
	const struct harness_options options = {
		.ring_bytes = 8 << 20,
		.config = { .samples = 1, .head_bytes = head_bytes, .one_in = one_in, .snaplen = 96 },
	};
	return harness_open(&options);
}

#define CHECK_EACH(...)                                                             \
	do {                                                                        \
		static const struct reason_case cases_[] = { __VA_ARGS__ };         \
		_cleanup_(harness_freep) struct harness *harness = open_with(0, 0); \
		for (size_t i_ = 0; i_ < ARRAY_SIZE(cases_); i_++)                  \
			check_case(harness, &cases_[i_]);                           \
	} while (0)

static void test_control(void **state)
{
	CHECK_EACH({ "SYN", PKT(ETH, IP4(), TCP(.flags = TH_SYN)), SAMPLE_CONTROL },
	           { "SYN and ACK", PKT(ETH, IP4(), TCP(.flags = TH_SYN | TH_ACK)), SAMPLE_CONTROL },
	           { "FIN, IPv6", PKT(ETH, IP6(), TCP(.flags = TH_FIN | TH_ACK)), SAMPLE_CONTROL },
	           { "RST at a link without header", PKT(IP4(), TCP(.flags = TH_RST)), SAMPLE_CONTROL, TUN_IN },
	           { "ACK", PKT(ETH, IP4(), TCP(.flags = TH_ACK)), NONE },
	           { "data", PKT(ETH, IP4(), TCP(.flags = TH_ACK | TH_PUSH), BYTES(100)), NONE },
	           { "not of a connection", PKT(ETH, IP4(), UDP(), BYTES(100)), NONE },
	           { "echo", PKT(ETH, IP4(), ICMP(8, 0)), NONE });
}

static void test_dns(void **state)
{
	CHECK_EACH({ "query", PKT(ETH, IP4(), UDP(.to_port = 53), BYTES(30)), SAMPLE_DNS },
	           { "answer", PKT(ETH, IP6(REPLY), UDP(.to_port = 53, REPLY), BYTES(30)), SAMPLE_DNS },
	           { "over TCP", PKT(ETH, IP4(), TCP(.to_port = 53), BYTES(2)), SAMPLE_DNS },
	           { "over TCP, without payload", PKT(ETH, IP4(), TCP(.to_port = 53)), NONE },
	           { "mDNS", PKT(ETH, IP4(), UDP(.from_port = 5353, .to_port = 5353), BYTES(30)), NONE },
	           { "port 53 in the other byte order", PKT(ETH, IP4(), UDP(.to_port = 53 << 8), BYTES(30)), NONE },
	           { "SCTP", PKT(ETH, IP4(), SCTP(.to_port = 53), BYTES(30)), NONE },
	           { "ICMP type 53", PKT(ETH, IP4(), ICMP(53, 53), BYTES(30)), NONE },
	           { "a later fragment", PKT(ETH, IP4(.fragment = 8, .protocol = IPPROTO_UDP), BYTES(30)), NONE });
}

static void test_tls(void **state)
{
	CHECK_EACH({ "ClientHello", SAYS(CLIENT_HELLO), SAMPLE_TLS }, { "ServerHello", SAYS(SERVER_HELLO), SAMPLE_TLS },
	           { "port 8443, IPv6, TCP options",
	             PKT(ETH, IP6(), TCP(.to_port = 8443, .options = 12), TEXT(CLIENT_HELLO)), SAMPLE_TLS },
	           { "behind a VLAN tag and IP options", PKT(ETH, VLAN, IP4(.options = 8), TCP(), TEXT(CLIENT_HELLO)),
	             SAMPLE_TLS },
	           { "at a link without header", PKT(IP4(), TCP(), TEXT(CLIENT_HELLO)), SAMPLE_TLS, TUN_IN },
	           { "SSL 3.0", SAYS("\x16\x03\x00\x00\x31\x01\x00\x00"), SAMPLE_TLS },
	           { "version 3.4", SAYS("\x16\x03\x04\x00\x31\x02\x00\x00"), SAMPLE_TLS },
	           { "version 3.5", SAYS("\x16\x03\x05\x00\x31\x01\x00\x00"), NONE },
	           { "version 2.3", SAYS("\x16\x02\x03\x00\x31\x01\x00\x00"), NONE },
	           { "application data", SAYS("\x17\x03\x03\x00\x31\x01\x00\x00"), NONE },
	           { "alert", SAYS("\x15\x03\x03\x00\x02\x02\x28\x00"), NONE },
	           { "HelloRequest", SAYS("\x16\x03\x03\x00\x04\x00\x00\x00"), NONE },
	           { "Certificate", SAYS("\x16\x03\x03\x0b\xb8\x0b\x00\x0b"), NONE },
	           { "over UDP", PKT(ETH, IP4(), UDP(), TEXT(CLIENT_HELLO)), NONE },
	           { "one byte late", SAYS("\x00" CLIENT_HELLO), NONE });
}

static void test_http(void **state)
{
	CHECK_EACH({ "GET", SAYS("GET / HTTP/1.1\r\n"), SAMPLE_HTTP }, { "HEAD", SAYS("HEAD / HTTP/1.1"), SAMPLE_HTTP },
	           { "POST", SAYS("POST /x HTTP/1.1"), SAMPLE_HTTP }, { "PUT", SAYS("PUT /x HTTP/1.1"), SAMPLE_HTTP },
	           { "DELETE", SAYS("DELETE /x HTTP/1.1"), SAMPLE_HTTP },
	           { "OPTIONS", SAYS("OPTIONS * HTTP/1.1"), SAMPLE_HTTP },
	           { "PATCH", SAYS("PATCH /x HTTP/1.1"), SAMPLE_HTTP },
	           { "CONNECT", SAYS("CONNECT a:1 HTTP/1.1"), SAMPLE_HTTP },
	           { "TRACE", SAYS("TRACE / HTTP/1.1"), SAMPLE_HTTP },
	           { "a response", SAYS("HTTP/1.1 200 OK\r\n"), SAMPLE_HTTP },
	           { "a response of HTTP/1.0", SAYS("HTTP/1.0 404 No"), SAMPLE_HTTP },
	           { "port 8080, IPv6", PKT(ETH, IP6(), TCP(.to_port = 8080), TEXT("GET /abc HTTP/1.1")), SAMPLE_HTTP },
	           { "no method", SAYS("GETS / HTTP/1.1"), NONE }, { "lower case", SAYS("get / HTTP/1.1"), NONE },
	           { "POSTS", SAYS("POSTS /x HTTP/1.1"), NONE }, { "HEADS", SAYS("HEADS /x HTTP/1.1"), NONE },
	           { "DELETES", SAYS("DELETES /x"), NONE }, { "OPTIONAL", SAYS("OPTIONAL"), NONE },
	           { "PATCHES", SAYS("PATCHES /"), NONE }, { "CONNECTS", SAYS("CONNECTS"), NONE },
	           { "TRACER", SAYS("TRACER / "), NONE }, { "HTTP/2", SAYS("HTTP/2.0 200 OK"), NONE },
	           { "HTTP/2's preface", SAYS("PRI * HTTP/2.0\r\n"), NONE },
	           { "the middle of a message", SAYS("> <p>POST /x HTTP/1.1"), NONE },
	           { "over UDP (SSDP)", PKT(ETH, IP4(), UDP(.to_port = 1900), TEXT("HTTP/1.1 200 OK")), NONE });
}

/* Payloads of 0 to 8 bytes; what stands behind the end of the IP packet is not payload. */
static void test_short_payload(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 0);

	for (uint16_t size = 0; size <= 8; size++) {
		const struct layer text[] = { TEXT("GET /a b"), TEXT(CLIENT_HELLO) };
		for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
			struct reason_case test = {
				"cut short",
				PKT(ETH, IP4(), TCP(), text[i], PADDING(20)),
				size < 8 ? NONE
				: i      ? SAMPLE_TLS
					 : SAMPLE_HTTP,
			};
			test.packet[3].size = size;
			check_case(harness, &test);
		}
	}
}

/* The head is told first, and ends; what comes later has to have a reason of its own. */
static void test_later(void **state)
{
	static const struct {
		struct layer packet[LAYERS_MAX];
		enum sample_reason reason;
	} steps[] = {
		{ PKT(ETH, IP4(), TCP(.flags = TH_SYN)), SAMPLE_HEAD },
		{ SAYS("GET / HTTP/1.1\r\n"), SAMPLE_HEAD },
		{ PKT(ETH, IP4(), TCP(), BYTES(500)), SAMPLE_HEAD },
		{ PKT(ETH, IP4(), TCP(), BYTES(500)), NONE },
		{ SAYS("GET / HTTP/1.1\r\n"), SAMPLE_HTTP },
		{ PKT(ETH, IP4(), TCP()), NONE },
		{ PKT(ETH, IP4(), TCP(), BYTES(500)), NONE },
		{ SAYS(CLIENT_HELLO), SAMPLE_TLS },
		{ PKT(ETH, IP4(), TCP(.flags = TH_FIN | TH_ACK)), SAMPLE_CONTROL },
	};
	_cleanup_(harness_freep) struct harness *harness = open_with(500, 0);
	uint64_t flow_id = 0;

	/* More packets than a direction needs to be counted without the table. */
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct frame frame;
		packet_build(steps[i].packet, &frame);
		program_run(harness->entry[POD_IN], &frame, &(struct delivery) { 0 });
		harness_drain(harness);
		const struct packet_event *event = harness_record(harness, RECORD_PACKET, 0);
		if ((event ? (unsigned)event->reason : NONE) != steps[i].reason)
			fail_msg("step %zu: reason %d", i, event ? event->reason : -1);
		if (!event)
			continue;
		if (!flow_id)
			flow_id = event->flow_id;
		assert_int_equal(event->flow_id, flow_id);
		assert_int_not_equal(event->cgroup_id[0], 0);
	}
}

/* The number of records in the ring is that of those produced: none is lost here. */
static uint64_t samples_of(const struct harness *harness, const struct layer packet[static LAYERS_MAX], unsigned n)
{
	struct frame frame;

	packet_build(packet, &frame);
	for (unsigned i = 0; i < n; i++)
		program_run(harness->entry[POD_IN], &frame, &(struct delivery) { 0 });
	struct record_stats records = harness_record_stats(harness, RECORD_PACKET);
	assert_int_equal(records.lost_ring, 0);
	return records.produced;
}

/* Within six standard deviations: wrong once in 500 million runs. The kernel's random numbers have no seed to repeat. */
static void test_one_in(void **state)
{
	static const struct layer packet[LAYERS_MAX] = PKT(ETH, IP4(), UDP(), BYTES(22));
	const unsigned n = 20000;
	const double p = 0.1, away = 6 * sqrt(n * p * (1 - p));
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 10);

	uint64_t samples = samples_of(harness, packet, n);
	print_message("%u packets, one in 10: %llu samples\n", n, (unsigned long long)samples);
	assert_in_range(samples, n * p - away, n * p + away);
	harness_drain(harness);
	const struct packet_event *event = harness_record(harness, RECORD_PACKET, 0);
	assert_int_equal(event->reason, SAMPLE_ONE_IN);
	assert_int_equal(event->one_in, 10);
}

/* One in one is all; and a packet that is certain to be chosen says so. */
static void test_one_in_one(void **state)
{
	static const struct layer packet[LAYERS_MAX] = PKT(ETH, IP4(), UDP(), BYTES(22));
	static const struct layer query[LAYERS_MAX] = PKT(ETH, IP4(), UDP(.to_port = 53), BYTES(22));
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 1), *rarely = open_with(0, UINT32_MAX);

	assert_int_equal(samples_of(harness, packet, 100), 100);
	assert_int_equal(samples_of(rarely, query, 1), 1);
	harness_drain(rarely);
	const struct packet_event *event = harness_record(rarely, RECORD_PACKET, 0);
	assert_int_equal(event->reason, SAMPLE_DNS);
	assert_int_equal(event->one_in, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_control), cmocka_unit_test(test_dns),        cmocka_unit_test(test_tls),
		cmocka_unit_test(test_http),    cmocka_unit_test(test_later),      cmocka_unit_test(test_short_payload),
		cmocka_unit_test(test_one_in),  cmocka_unit_test(test_one_in_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
