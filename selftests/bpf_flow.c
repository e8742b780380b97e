// SPDX-License-Identifier: Apache-2.0
/* Flow: totals per end, who began, generations, the table's bound. Each test runs with both of the kernel's clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/row.h"
#include "user/clock.h"

#define SYN     PKT(ETH, IP4(), TCP(.flags = TH_SYN))
#define SYN_ACK PKT(ETH, IP4(REPLY), TCP(REPLY, .flags = TH_SYN | TH_ACK))
#define DATA    PKT(ETH, IP4(), TCP(.flags = TH_ACK | TH_PUSH), BYTES(60))
#define ANSWER  PKT(ETH, IP4(REPLY), TCP(REPLY, .flags = TH_ACK), BYTES(160))
#define FIN     PKT(ETH, IP4(), TCP(.flags = TH_FIN | TH_ACK))
#define FIN_TOO PKT(ETH, IP4(REPLY), TCP(REPLY, .flags = TH_FIN | TH_ACK))
#define RST     PKT(ETH, IP4(REPLY), TCP(REPLY, .flags = TH_RST))
#define QUERY   PKT(ETH, IP4(), UDP(.to_port = 53), BYTES(12))
#define REPLIED PKT(ETH, IP4(REPLY), UDP(REPLY, .to_port = 53), BYTES(72))

static bool coarse_clock;

static struct harness *open_with(uint32_t flows_max, uint32_t ring_bytes)
{
	const struct harness_options options = {
		.flows_max = flows_max,
		.ring_bytes = ring_bytes,
		.config = { .coarse_clock = coarse_clock, .idle_timeout_ns = 15 * NS_PER_SEC, .id_salt = 12345 },
	};
	return harness_open(&options);
}

/* The only flow in the table. */
static struct flow only_flow(const struct harness *harness)
{
	int map = harness_map(harness, "flows");
	struct flow_key key, next;
	struct flow flow;

	assert_int_equal(bpf_map_get_next_key(map, NULL, &key), 0);
	assert_int_not_equal(bpf_map_get_next_key(map, &key, &next), 0);
	assert_int_equal(bpf_map_lookup_elem(map, &key, &flow), 0);
	return flow;
}

static void test_connection(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 0);

	STORY(harness, { "SYN", SYN, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" } },
	      { "SYN-ACK", SYN_ACK, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 SA)" } },
	      { "a SYN once more is no new connection",
	        SYN,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (2 80 S) -> 10.0.0.2:443 (1 40 SA)" } },
	      { "data", DATA, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (3 180 SPA) -> 10.0.0.2:443 (1 40 SA)" } },
	      { "answer", ANSWER, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (3 180 SPA) -> 10.0.0.2:443 (2 240 SA)" } },
	      { "another port is another flow",
	        PKT(ETH, IP4(), TCP(.from_port = 40001, .flags = TH_SYN)),
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (3 180 SPA) -> 10.0.0.2:443 (2 240 SA)",
	          "tcp 10.0.0.1:40001 (1 40 S) -> 10.0.0.2:443 (0 0)" } },
	      { "another protocol, too",
	        PKT(ETH, IP4(), UDP()),
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (3 180 SPA) -> 10.0.0.2:443 (2 240 SA)",
	          "tcp 10.0.0.1:40001 (1 40 S) -> 10.0.0.2:443 (0 0)",
	          "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" } });
}

static void test_initiator(void **state)
{
	static const struct row rows[] = {
		{ "SYN, upwards", SYN, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" } },
		{ "SYN from a well-known port",
		  PKT(ETH, IP4(REPLY), TCP(REPLY, .flags = TH_SYN)),
		  VERDICT_OBSERVED,
		  { "tcp 10.0.0.1:40000 (0 0) <- 10.0.0.2:443 (1 40 S)" } },
		{ "SYN-ACK answers the other end",
		  SYN_ACK,
		  VERDICT_OBSERVED,
		  { "tcp 10.0.0.1:40000 (0 0) -> 10.0.0.2:443 (1 40 SA)" } },
		{ "SYN-ACK to a well-known port",
		  PKT(ETH, IP4(), TCP(.flags = TH_SYN | TH_ACK)),
		  VERDICT_OBSERVED,
		  { "tcp 10.0.0.1:40000 (1 40 SA) <- 10.0.0.2:443 (0 0)" } },
		{ "the middle of a connection, from the server",
		  ANSWER,
		  VERDICT_OBSERVED,
		  { "tcp 10.0.0.1:40000 (0 0) -> 10.0.0.2:443 (1 200 A)" } },
		{ "the middle of a connection, from the client",
		  DATA,
		  VERDICT_OBSERVED,
		  { "tcp 10.0.0.1:40000 (1 100 PA) -> 10.0.0.2:443 (0 0)" } },
		{ "a well-known port answers",
		  REPLIED,
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (0 0) -> 10.0.0.2:53 (1 100)" } },
		{ "1023 is well-known",
		  PKT(ETH, IP4(), UDP(.from_port = 1023, .to_port = 1024)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:1023 (1 28) <- 10.0.0.2:1024 (0 0)" } },
		{ "1024 is not",
		  PKT(ETH, IP4(), UDP(.from_port = 1024, .to_port = 1025)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:1024 (1 28) -> 10.0.0.2:1025 (0 0)" } },
		{ "both well-known: the first to send",
		  PKT(ETH, IP4(), UDP(.from_port = 123, .to_port = 123)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:123 (1 28) -> 10.0.0.2:123 (0 0)" } },
		{ "neither: the first to send",
		  PKT(ETH, IP4(REPLY), UDP(REPLY, .to_port = 5000)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (0 0) <- 10.0.0.2:5000 (1 28)" } },
		{ "types of ICMP are no ports",
		  PKT(ETH, IP4(), ICMP(3, 1)),
		  VERDICT_OBSERVED,
		  { "icmp 10.0.0.1:3 (1 28) -> 10.0.0.2:1 (0 0)" } },
	};
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 0);
	rows_run_each(harness, rows, ARRAY_SIZE(rows));
}

static void test_echo(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 0);

	STORY(harness,
	      { "echo",
	        PKT(ETH, IP4(), ICMP(8, 0), BYTES(56)),
	        VERDICT_OBSERVED,
	        { "icmp 10.0.0.1:8 (1 84) -> 10.0.0.2:0 (0 0)" } },
	      { "its reply is the same flow",
	        PKT(ETH, IP4(REPLY), ICMP(0, 0), BYTES(56)),
	        VERDICT_OBSERVED,
	        { "icmp 10.0.0.1:8 (1 84) -> 10.0.0.2:0 (1 84)" } },
	      { "echo over IPv6",
	        PKT(ETH, IP6(), ICMP6(128, 0)),
	        VERDICT_OBSERVED,
	        { "icmp 10.0.0.1:8 (1 84) -> 10.0.0.2:0 (1 84)",
	          "icmp6 [fd00::1]:128 (1 48) -> [fd00::2]:129 (0 0)" } },
	      { "its reply is the same flow",
	        PKT(ETH, IP6(REPLY), ICMP6(129, 0)),
	        VERDICT_OBSERVED,
	        { "icmp 10.0.0.1:8 (1 84) -> 10.0.0.2:0 (1 84)",
	          "icmp6 [fd00::1]:128 (1 48) -> [fd00::2]:129 (1 48)" } });
}

static void test_fragments(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 0);

	STORY(harness,
	      { "first fragment",
	        PKT(ETH, IP4(.more = true), UDP(.longer = 64), BYTES(24)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (1 52) -> 10.0.0.2:443 (0 0)" } },
	      { "second fragment goes to its flow",
	        PKT(ETH, IP4(.fragment = 4, .more = true, .protocol = IPPROTO_UDP), BYTES(32)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (2 104) -> 10.0.0.2:443 (0 0)" } },
	      { "the last one, too",
	        PKT(ETH, IP4(.fragment = 8, .protocol = IPPROTO_UDP), BYTES(32)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (3 156) -> 10.0.0.2:443 (0 0)" } },
	      { "another pair's is another flow's",
	        PKT(ETH, IP4(.to = "10.0.0.3", .fragment = 8, .protocol = IPPROTO_UDP), BYTES(32)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (3 156) -> 10.0.0.2:443 (0 0)", "udp 10.0.0.1:0 (1 52) -> 10.0.0.3:0 (0 0)" } });
}

/* What a flow holds besides its totals. */
static void test_fields(void **state)
{
	static const struct row first = {
		"query", QUERY, VERDICT_OBSERVED, { "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:53 (0 0)" }, .hook = POD_IN
	};
	static const struct row second = { "reply",
		                           REPLIED,
		                           VERDICT_OBSERVED,
		                           { "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:53 (1 100)" },
		                           .hook = NIC_OUT };
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 0);

	/* The coarse clock lags by up to a tick. */
	uint64_t began = clock_monotonic_ns() - 20 * NS_PER_MS;
	row_run(harness, &first);
	struct flow flow = only_flow(harness);
	assert_in_range(flow.start_ns, began, clock_monotonic_ns());
	assert_int_equal(flow.end[0].last_ns, flow.start_ns);
	assert_int_equal(flow.end[1].last_ns, 0);
	assert_int_equal(flow.end[0].hook, HOOK_NUMBER(POD_IN));
	assert_int_equal(flow.end[1].hook, 0);
	assert_int_equal(flow.closed_ns, 0);
	uint64_t id = flow.id, start_ns = flow.start_ns;

	row_run(harness, &second);
	flow = only_flow(harness);
	assert_int_equal(flow.id, id);
	assert_int_equal(flow.start_ns, start_ns);
	assert_in_range(flow.end[1].last_ns, start_ns, clock_monotonic_ns());
	assert_int_equal(flow.end[1].hook, HOOK_NUMBER(NIC_OUT));
	assert_int_not_equal(flow.end[0].cgroup_id, 0);
	assert_int_equal(flow.end[0].cgroup_id, flow.end[1].cgroup_id);

	harness_clear(harness);
	row_run(harness, &first);
	assert_int_not_equal(only_flow(harness).id, id);
}

/* Ids are made from the time, against repeats after a reboot salted with what the loader draws. */
static void test_salt(void **state)
{
	static const struct row row = {
		"query", QUERY, VERDICT_OBSERVED, { "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:53 (0 0)" }
	};
	const uint64_t salt = 0xa5ULL << 56;
	_cleanup_(harness_freep) struct harness *plain = harness_open(&(struct harness_options) { 0 });
	_cleanup_(harness_freep) struct harness *salted =
		harness_open(&(struct harness_options) { .config.id_salt = salt });

	row_run(plain, &row);
	row_run(salted, &row);
	/* The time's highest bits do not change within a day. */
	assert_int_equal(only_flow(plain).id >> 57, (only_flow(salted).id ^ salt) >> 57);
}

static int use_precise_clock(void **state)
{
	coarse_clock = false;
	return 0;
}

static int use_coarse_clock(void **state)
{
	coarse_clock = true;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection), cmocka_unit_test(test_initiator), cmocka_unit_test(test_echo),
		cmocka_unit_test(test_fragments),  cmocka_unit_test(test_fields),    cmocka_unit_test(test_salt),
	};
	return cmocka_run_group_tests_name("precise clock", tests, use_precise_clock, NULL) +
	       cmocka_run_group_tests_name("coarse clock", tests, use_coarse_clock, NULL);
}
