// SPDX-License-Identifier: Apache-2.0
/* Owners: which socket stands at each end of a flow, from the packet itself and from what the socket hooks know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/row.h"

#define LOW_COOKIE  0x4000000000000001ULL /* beyond those that the kernel gives */
#define HIGH_COOKIE 0x4000000000000002ULL

static struct harness *open_harness(bool sockets, bool samples)
{
	const struct harness_options options = {
		.config = { .sockets = sockets, .samples = samples, .head_bytes = 4096, .snaplen = 96 },
	};
	return harness_open(&options);
}

static struct flow_key key_of(uint8_t protocol)
{
	return (struct flow_key) {
		.addr = { { [10] = 0xff, 0xff, 10, 0, 0, 1 }, { [10] = 0xff, 0xff, 10, 0, 0, 2 } },
		.port = { htons(40000), htons(443) },
		.protocol = protocol,
		.ip_version = 4,
	};
}

static void connect_ends(const struct harness *harness, uint8_t protocol, uint64_t low, uint64_t high)
{
	const struct flow_key key = key_of(protocol);
	const struct connection connection = { .cookie = { low, high } };
	assert_int_equal(bpf_map_update_elem(harness_map(harness, "connections"), &key, &connection, BPF_ANY), 0);
}

static struct flow flow_of(const struct harness *harness, uint8_t protocol, uint8_t twin)
{
	struct flow_key key = key_of(protocol);
	struct flow flow;
	key.twin = twin;
	assert_int_equal(bpf_map_lookup_elem(harness_map(harness, "flows"), &key, &flow), 0);
	return flow;
}

static void send_packet(const struct harness *harness, const struct layer *packet)
{
	struct frame frame;
	packet_build(packet, &frame);
	program_run(harness->entry[POD_IN], &frame, &(struct delivery) { 0 });
}

static void send_data(const struct harness *harness)
{
	static const struct layer packet[LAYERS_MAX] = PKT(ETH, IP4(), TCP());
	send_packet(harness, packet);
}

static void send_answer(const struct harness *harness)
{
	static const struct layer packet[LAYERS_MAX] = PKT(ETH, IP4(REPLY), TCP(REPLY));
	send_packet(harness, packet);
}

/* In a test run each packet has a socket of its own, made for the run. */
static void test_sender(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_harness(true, false);
	send_data(harness);
	struct flow flow = flow_of(harness, IPPROTO_TCP, 0);
	uint64_t cookie = flow.end[0].cookie;
	assert_true(cookie && cookie < LOW_COOKIE);
	assert_int_equal(flow.end[1].cookie, 0);

	send_answer(harness);
	send_data(harness);
	flow = flow_of(harness, IPPROTO_TCP, 0);
	assert_int_equal(flow.end[0].cookie, cookie);
	assert_true(flow.end[1].cookie && flow.end[1].cookie != cookie);
}

static void test_receiver_by_tuple(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_harness(true, false);
	connect_ends(harness, IPPROTO_TCP, LOW_COOKIE, HIGH_COOKIE);
	send_data(harness);
	struct flow flow = flow_of(harness, IPPROTO_TCP, 0);
	/* The packet's own socket is the surer witness. */
	assert_true(flow.end[0].cookie && flow.end[0].cookie != LOW_COOKIE);
	assert_int_equal(flow.end[1].cookie, HIGH_COOKIE);
}

static void test_established_later(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_harness(true, false);
	send_data(harness);
	assert_int_equal(flow_of(harness, IPPROTO_TCP, 0).end[1].cookie, 0);
	connect_ends(harness, IPPROTO_TCP, LOW_COOKIE, HIGH_COOKIE);
	for (int i = 0; i < 8; i++)
		send_data(harness);
	struct flow flow = flow_of(harness, IPPROTO_TCP, 0);
	assert_int_equal(flow.end[1].cookie, HIGH_COOKIE);
}

static void test_twin_is_found_too(void **state)
{
	static const struct layer fin[LAYERS_MAX] = PKT(ETH, IP4(), TCP(.flags = TH_RST));
	static const struct layer syn[LAYERS_MAX] = PKT(ETH, IP4(), TCP(.flags = TH_SYN));
	_cleanup_(harness_freep) struct harness *harness = open_harness(true, false);
	send_packet(harness, fin);
	connect_ends(harness, IPPROTO_TCP, 0, HIGH_COOKIE);
	send_packet(harness, syn);
	assert_int_equal(flow_of(harness, IPPROTO_TCP, 0).end[1].cookie, 0);
	assert_int_equal(flow_of(harness, IPPROTO_TCP, 1).end[1].cookie, HIGH_COOKIE);
}

static void test_not_asked(void **state)
{
	static const struct layer datagram[LAYERS_MAX] = PKT(ETH, IP4(), UDP());
	static const struct {
		const char *what;
		bool sockets;
		uint8_t protocol;
	} cases[] = { { "without the socket hooks", false, IPPROTO_TCP }, { "not TCP", true, IPPROTO_UDP } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(harness_freep) struct harness *harness = open_harness(cases[i].sockets, false);
		connect_ends(harness, cases[i].protocol, LOW_COOKIE, HIGH_COOKIE);
		if (cases[i].protocol == IPPROTO_TCP)
			send_data(harness);
		else
			send_packet(harness, datagram);
		if (flow_of(harness, cases[i].protocol, 0).end[1].cookie)
			fail_msg("%s: the receiver has a cookie", cases[i].what);
	}
}

static void test_samples_carry_it(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_harness(true, true);
	connect_ends(harness, IPPROTO_TCP, LOW_COOKIE, HIGH_COOKIE);
	for (int i = 0; i < 2; i++)
		send_data(harness);
	harness_drain(harness);
	struct flow flow = flow_of(harness, IPPROTO_TCP, 0);
	for (size_t i = 0; i < 2; i++) {
		const struct packet_event *event = harness_record(harness, RECORD_PACKET, i);
		assert_non_null(event);
		assert_int_equal(event->cookie[0], flow.end[0].cookie);
		assert_int_equal(event->cookie[1], HIGH_COOKIE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_receiver_by_tuple),
		cmocka_unit_test(test_established_later),
		cmocka_unit_test(test_twin_is_found_too),
		cmocka_unit_test(test_not_asked),
		cmocka_unit_test(test_samples_carry_it),
	};
	return cmocka_run_group_tests_name("bpf_owner", tests, NULL, NULL);
}
