// SPDX-License-Identifier: Apache-2.0
/* From events and flows to records: what is refused, which end is which, and what is asked about the ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "selftests/decode_world.h"

static void test_refused(void **state)
{
	const struct socket_event right = make_socket_event(SOCKET_CLOSE, 1, 0);
	struct socket_event event;
	struct record *record = NULL;

#define REFUSES(field, value)                                                                       \
	do {                                                                                        \
		event = right;                                                                      \
		event.field = value;                                                                \
		assert_int_equal(decode_event(&decoder, &event, sizeof(event), &record), -EBADMSG); \
	} while (0)
	REFUSES(header.version, EVENT_VERSION - 1);
	REFUSES(header.kind, RECORD_KIND_MAX);
	REFUSES(header.size, sizeof(event) - 1);
	REFUSES(header.size, sizeof(event) + 1);
	REFUSES(action, SOCKET_ACTION_MAX);
	REFUSES(end, 2);
	REFUSES(initiator, 2);
#undef REFUSES
	event = right;
	for (size_t size = 0; size < sizeof(event); size++)
		assert_int_equal(decode_event(&decoder, &event, size, &record), -EBADMSG);
	assert_null(record);
	assert_int_equal(decode_event(&decoder, &event, sizeof(event) + 8, &record), 0);
	record_free(record);
}

/* Who is source, which way it goes, and the time that the ends are asked for. */
static void test_sockets(void **state)
{
	static const struct {
		enum socket_action action;
		uint8_t end, initiator;
		uint16_t source;
		enum direction direction;
		uint64_t from_ns;
	} rows[] = {
		{ SOCKET_CONNECT, 0, 0, 1, DIRECTION_EGRESS, 900 }, { SOCKET_CONNECT, 1, 1, 2, DIRECTION_EGRESS, 900 },
		{ SOCKET_ACCEPT, 1, 0, 1, DIRECTION_INGRESS, 900 }, { SOCKET_ACCEPT, 0, 1, 2, DIRECTION_INGRESS, 900 },
		{ SOCKET_CLOSE, 0, 1, 2, DIRECTION_INGRESS, 500 },  { SOCKET_FAIL, 1, 1, 2, DIRECTION_EGRESS, 500 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct socket_event event = make_socket_event(rows[i].action, rows[i].end, rows[i].initiator);
		_cleanup_(record_freep) struct record *record = NULL;
		event.error = ECONNRESET;
		event.health = (struct socket_health) { 1, 2, 3, 4, 5, 6, 7, 8, 0 };
		assert_int_equal(decode_event(&decoder, &event, sizeof(event), &record), 0);
		assert_int_equal(record->kind, RECORD_SOCKET);
		assert_int_equal(record->time_ns, 900);
		assert_int_equal(record->source.port, rows[i].source);
		assert_int_equal(record->destination.port, 3 - rows[i].source);
		assert_int_equal(owner_names(record->source.owner)->pid, rows[i].source);
		assert_int_equal(record->direction, rows[i].direction);
		assert_string_equal(record->interface, "");
		assert_int_equal(record->socket.action, rows[i].action);
		assert_int_equal(record->socket.error, ECONNRESET);
		assert_int_equal(record->socket.state, 1);
		assert_int_equal(record->socket.start_ns, 500);
		const struct tcp_health *health = &record->socket.health;
		assert_true(health->known);
		assert_int_equal(health->rtt_us, 4);
		assert_int_equal(health->min_rtt_us, 5);
		assert_int_equal(health->retransmits, 6);
		assert_int_equal(health->lost, 7);
		assert_int_equal(health->delivered, 8);

		const struct enrich_end *ours = &asked[1 + rows[i].end], *theirs = &asked[2 - rows[i].end];
		assert_int_equal(ours->cgroup_id, 77);
		assert_int_equal(ours->cookie, 88);
		assert_int_equal(theirs->cgroup_id + theirs->cookie, 0);
		assert_int_equal(theirs->from_ns, rows[i].from_ns);
		assert_int_equal(theirs->until_ns, 900);
	}

	/* Not known since when. */
	struct socket_event event = make_socket_event(SOCKET_CLOSE, 0, 0);
	_cleanup_(record_freep) struct record *record = NULL;
	event.opened_ns = 0;
	assert_int_equal(decode_event(&decoder, &event, sizeof(event), &record), 0);
	assert_int_equal(record->socket.start_ns, 0);
	assert_int_equal(asked[1].from_ns, 900);
	assert_false(record->socket.health.known);
}

static struct record *decode(const struct flow *flow, const struct flow_key *flow_key, uint64_t from_ns)
{
	static const struct totals delta[2] = { { 1, 60 }, { 2, 120 } };
	const struct flow_part part = { .key = flow_key, .flow = flow, .delta = delta, .from_ns = from_ns };
	struct record *record = decode_flow(&decoder, &part);
	assert_non_null(record);
	return record;
}

static void test_flow(void **state)
{
	const struct flow flow = make_flow();
	_cleanup_(record_freep) struct record *record = decode(&flow, &tcp_key, 200);

	assert_int_equal(record->source.port, 2);
	assert_int_equal(record->time_ns, 400);
	assert_int_equal(record->flow.delta[0].packets, 2);
	assert_string_equal(record->interface, "veth0");
	assert_int_equal(record->direction, DIRECTION_INGRESS);
	assert_int_equal(asked[1].cgroup_id, 11);
	assert_int_equal(asked[1].cookie, 21);
	assert_int_equal(asked[2].cgroup_id, 12);
	assert_int_equal(asked[2].cookie, 22);
	assert_memory_equal(asked[1].address, tcp_key.addr[0], 16);
	/* What leaves by the uplink came from anywhere; what comes in by the veth, from behind it. */
	assert_int_equal(asked[1].ifindex, 0);
	assert_int_equal(asked[2].ifindex, 10 * VETH);
	assert_int_equal(asked[1].from_ns, 200);
	assert_int_equal(asked[1].until_ns, 400);
	assert_false(asked[1].apart);
}

/* A flow that was written after its latest packet; one of another network. */
static void test_flow_at_the_edge(void **state)
{
	const struct flow flow = make_flow();
	struct flow_key other = tcp_key;
	other.segment_kind = SEGMENT_VXLAN;
	other.domain = 9;
	_cleanup_(record_freep) struct record *record = decode(&flow, &other, 401);
	assert_int_equal(asked[1].from_ns, 400);
	assert_int_equal(asked[1].until_ns, 400);
	assert_true(asked[1].apart);
	assert_int_equal(asked[1].domain, 9);
}

/* The initiator's view, else the responder's; TCP only. */
static void test_health(void **state)
{
	static const struct {
		uint64_t initiator, responder;
		uint32_t rtt_us;
	} rows[] = { { 22, 21, 22 }, { 0, 21, 21 }, { 101, 21, 21 }, { 100, 21, 21 }, { 22, 0, 22 } };
	struct flow flow = make_flow();
	struct flow_key udp = tcp_key;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		flow.end[1].cookie = rows[i].initiator;
		flow.end[0].cookie = rows[i].responder;
		_cleanup_(record_freep) struct record *record = decode(&flow, &tcp_key, 200);
		assert_true(record->flow.health.known);
		assert_int_equal(record->flow.health.rtt_us, rows[i].rtt_us);
	}
	udp.protocol = IPPROTO_UDP;
	_cleanup_(record_freep) struct record *none = decode(&flow, &udp, 200);
	assert_false(none->flow.health.known);
	flow.end[0].cookie = flow.end[1].cookie = 0;
	_cleanup_(record_freep) struct record *unknown = decode(&flow, &tcp_key, 200);
	assert_false(unknown->flow.health.known);
}

static void test_packet(void **state)
{
	struct packet_event event = {
		.header = { .time_ns = 700,
		            .iface_id = VETH,
		            .size = sizeof(event),
		            .version = EVENT_VERSION,
		            .kind = RECORD_PACKET },
		.key = tcp_key,
		.cgroup_id = { 11, 12 },
		.cookie = { 21, 22 },
		.one_in = 1,
		.sender = 1,
	};
	_cleanup_(record_freep) struct record *in = NULL, *out = NULL;
	assert_int_equal(decode_event(&decoder, &event, sizeof(event), &in), 0);
	assert_int_equal(in->source.port, 2);
	assert_int_equal(asked[2].cookie, 22);
	assert_int_equal(asked[1].cgroup_id, 11);
	assert_int_equal(asked[2].ifindex, 10 * VETH);
	assert_int_equal(asked[1].ifindex, 0);
	assert_int_equal(asked[1].from_ns, 700);
	assert_int_equal(asked[1].until_ns, 700);

	event.direction = DIRECTION_EGRESS;
	assert_int_equal(decode_event(&decoder, &event, sizeof(event), &out), 0);
	assert_int_equal(asked[2].ifindex, 0);
}

/* What the event did not know of the other end, the table may know by now: of the same flow, at that time. */
static void test_other_end(void **state)
{
	static const struct sensor_maps maps;
	static const struct {
		const char *what;
		uint8_t twin;
		uint64_t id, start_ns, closed_ns, cookie;
		bool packet, socket; /* completes them */
	} rows[] = {
		{ "the flow", 0, 5, 100, 0, 21, true, true },
		{ "its twin", 1, 5, 100, 0, 21, true, true },
		{ "one that was closed before", 0, 5, 100, 600, 21, false, false },
		{ "one that was closed after", 0, 5, 100, 1000, 21, true, true },
		{ "one that began after", 0, 5, 1000000000, 0, 21, false, false },
		{ "another flow, of the same socket", 0, 6, 100, 0, 21, false, true },
		{ "another socket's", 0, 5, 100, 0, 23, true, false },
	};
	struct decoder with_table = decoder;
	with_table.maps = &maps;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct socket_event socket = make_socket_event(SOCKET_CONNECT, 0, 0);
		const struct packet_event packet = {
			.header = { .time_ns = 700,
			            .size = sizeof(packet),
			            .version = EVENT_VERSION,
			            .kind = RECORD_PACKET },
			.key = tcp_key,
			.flow_id = 5,
			.cookie[0] = 99,
			.one_in = 1,
		};
		_cleanup_(record_freep) struct record *record = NULL, *connection = NULL;
		socket.owner.cookie = 21;
		table.key = tcp_key;
		table.key.twin = rows[i].twin;
		table.flow = make_flow();
		table.flow.id = rows[i].id;
		table.flow.start_ns = rows[i].start_ns;
		table.flow.closed_ns = rows[i].closed_ns;
		table.flow.end[0].cookie = rows[i].cookie;

		assert_int_equal(decode_event(&with_table, &packet, sizeof(packet), &record), 0);
		assert_int_equal(asked[1].cookie, 99);
		if (asked[2].cookie != (rows[i].packet ? 22 : 0) || asked[2].cgroup_id != (rows[i].packet ? 12 : 0))
			fail_msg("%s: a packet's end has cookie %d", rows[i].what, (int)asked[2].cookie);
		assert_int_equal(decode_event(&with_table, &socket, sizeof(socket), &connection), 0);
		assert_int_equal(asked[1].cookie, 21);
		if (asked[2].cookie != (rows[i].socket ? 22 : 0))
			fail_msg("%s: a connection's end has cookie %d", rows[i].what, (int)asked[2].cookie);
	}
	memset(&table, 0, sizeof(table));
}

static void test_table_full(void **state)
{
	const struct flow_event event = {
		.header = { .time_ns = 700, .size = sizeof(event), .version = EVENT_VERSION, .kind = RECORD_FLOW },
		.key = tcp_key,
		.packets = 1,
		.cgroup_id = 12,
		.cookie = 22,
		.sender = 1,
	};
	_cleanup_(record_freep) struct record *record = NULL;
	assert_int_equal(decode_event(&decoder, &event, sizeof(event), &record), 0);
	assert_int_equal(asked[2].cgroup_id, 12);
	assert_int_equal(asked[2].cookie, 22);
	assert_int_equal(asked[1].cgroup_id + asked[1].cookie, 0);
}

/* A capture has no owners. */
static void test_without_names(void **state)
{
	const struct decoder bare = { .unix_clock = true };
	const struct socket_event event = make_socket_event(SOCKET_CLOSE, 1, 0);
	_cleanup_(record_freep) struct record *record = NULL;
	assert_int_equal(decode_event(&bare, &event, sizeof(event), &record), 0);
	assert_null(record->source.owner);
	assert_null(record->unnamed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),       cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_flow),          cmocka_unit_test(test_flow_at_the_edge),
		cmocka_unit_test(test_health),        cmocka_unit_test(test_packet),
		cmocka_unit_test(test_other_end),     cmocka_unit_test(test_table_full),
		cmocka_unit_test(test_without_names),
	};
	return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
