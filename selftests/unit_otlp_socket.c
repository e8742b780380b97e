// SPDX-License-Identifier: Apache-2.0
/* Records of sockets as OTLP, read back by protoc: their own attributes, and the words for actions, errors and states. */
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

/* Encodes RECORD (which it frees) as a batch of one. */
static struct buf encode_one(struct record *record)
{
	static const struct otlp_resource resource = { .service_version = "1", .host_name = "host" };
	struct buf out = BUF_INIT(1 << 20);
	_cleanup_(record_list_clear) struct record_list list = { 0 };
	size_t bound = OTLP_ENVELOPE_SIZE + otlp_record_size(record);
	record_list_append(&list, record);
	assert_int_equal(otlp_encode(&resource, 1, &list, &out), 0);
	assert_in_range(out.size, 1, bound);
	return out;
}

/* What a batch of one has from the record's first attribute on. */
static const char *attributes_of(struct buf *text)
{
	const char *found = strstr(buf_text(text), "event.name=");
	assert_non_null(found);
	return found;
}

static void test_socket(void **state)
{
	struct record *record = make_record(RECORD_SOCKET, "10.0.0.1", "10.0.0.2", IPPROTO_TCP, 40000, 443, 0);
	record->time_ns = 7;
	record->observed_ns = 8;
	record->direction = DIRECTION_EGRESS;
	record->source.owner = owner_new(&(struct owner_names) { .executable_name = "curl", .pid = 5, .uid = 1000 });
	record->socket = (struct socket_record) {
		.action = SOCKET_CLOSE,
		.error = ECONNRESET,
		.state = 4,
		.start_ns = 6,
		.health = { true, .min_rtt_us = 0, .retransmits = 1 },
	};
	struct buf batch = encode_one(record), text = read_with_protoc(&batch, false);
	assert_string_equal(attributes_of(&text), "event.name=\"sonde.socket\"\n"
	                                          "source.address=\"10.0.0.1\"\n"
	                                          "source.port=40000\n"
	                                          "source.process.executable.name=\"curl\"\n"
	                                          "source.process.pid=5\n"
	                                          "source.process.user.id=1000\n"
	                                          "destination.address=\"10.0.0.2\"\n"
	                                          "destination.port=443\n"
	                                          "network.transport=\"tcp\"\n"
	                                          "network.type=\"ipv4\"\n"
	                                          "network.iana_number=\"6\"\n"
	                                          "network.community_id=\"1:UWHKJ/x6OQ1YiVv4rIl0t3yhjg8=\"\n"
	                                          "network.io.direction=\"transmit\"\n"
	                                          "sonde.socket.action=\"close\"\n"
	                                          "sonde.socket.start=6\n"
	                                          "error.type=\"connection_reset\"\n"
	                                          "tcp.state=\"fin_wait1\"\n"
	                                          "tcp.retransmits=1\n"
	                                          "tcp.lost=0\n"
	                                          "tcp.delivered=0\n"
	                                          "observed: 8\n"
	                                          "event: \"sonde.socket\"\n");
	buf_free(&text);
	buf_free(&batch);
}

/* Each action, and errors by their names. */
static void test_socket_words(void **state)
{
	static const struct {
		enum socket_action action;
		uint32_t error;
		uint8_t state;
		const char *there, *not_there;
	} cases[] = {
		{ SOCKET_CONNECT, 0, 2, "sonde.socket.action=\"connect\"\ntcp.state=\"syn_sent\"\n", "error.type" },
		{ SOCKET_ACCEPT, 0, 0, "sonde.socket.action=\"accept\"\n", "tcp." },
		{ SOCKET_FAIL, ECONNREFUSED, 2, "error.type=\"connection_refused\"\n", "tcp.retransmits" },
		{ SOCKET_FAIL, ETIMEDOUT, 2, "error.type=\"timed_out\"\n", "sonde.socket.start" },
		{ SOCKET_FAIL, EHOSTUNREACH, 200, "error.type=\"host_unreachable\"\n", "tcp.state" },
		{ SOCKET_FAIL, ENOBUFS, 2, "error.type=\"ENOBUFS\"\n", "interface" },
		{ SOCKET_CLOSE, 9999, 1, "error.type=\"_OTHER\"\ntcp.state=\"established\"\n", "tcp.rtt_us" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct record *record = make_record(RECORD_SOCKET, "::1", "::1", IPPROTO_TCP, 1, 2, 0);
		record->socket.action = cases[i].action;
		record->socket.error = cases[i].error;
		record->socket.state = cases[i].state;
		struct buf batch = encode_one(record);
		struct buf text = read_with_protoc(&batch, false);
		if (!strstr(buf_text(&text), cases[i].there) || strstr(buf_text(&text), cases[i].not_there))
			fail_msg("case %zu: %s", i, buf_text(&text));
		buf_free(&text);
		buf_free(&batch);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_socket_words),
	};
	return cmocka_run_group_tests_name("otlp_socket", tests, NULL, NULL);
}
