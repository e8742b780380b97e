// SPDX-License-Identifier: Apache-2.0
/* Flow: when an entry is over, what becomes of its tuple then, and of packets that the table has no room for. */
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
#define ACK     PKT(ETH, IP4(), TCP())
#define FIN     PKT(ETH, IP4(), TCP(.flags = TH_FIN | TH_ACK))
#define FIN_TOO PKT(ETH, IP4(REPLY), TCP(REPLY, .flags = TH_FIN | TH_ACK))
#define RST     PKT(ETH, IP4(REPLY), TCP(REPLY, .flags = TH_RST))
#define QUERY   PKT(ETH, IP4(), UDP(), BYTES(12))
#define REPLIED PKT(ETH, IP4(REPLY), UDP(REPLY), BYTES(72))

static struct harness *open_with(uint64_t idle_timeout_ms, uint32_t flows_max, uint32_t ring_bytes)
{
	const struct harness_options options = {
		.flows_max = flows_max,
		.ring_bytes = ring_bytes,
		.config = { .coarse_clock = 1, .idle_timeout_ns = idle_timeout_ms * NS_PER_MS },
	};
	return harness_open(&options);
}

/* What the loader does with an entry that is over: removes it. Its id. */
static uint64_t remove_generation(const struct harness *harness, uint32_t generation)
{
	int map = harness_map(harness, "flows");
	struct flow_key key;
	struct flow flow;

	for (void *from = NULL; bpf_map_get_next_key(map, from, &key) == 0; from = &key) {
		assert_int_equal(bpf_map_lookup_elem(map, &key, &flow), 0);
		if (flow.generation != generation)
			continue;
		assert_int_equal(bpf_map_delete_elem(map, &key), 0);
		return flow.id;
	}
	fail_msg("no generation %u in the table", generation);
	return 0;
}

static void test_idle(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(15000, 0, 0);

	STORY(harness, { "a query", QUERY, VERDICT_OBSERVED, { "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (0 0)" } },
	      { "the timeout is not over",
	        QUERY,
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (2 80) -> 10.0.0.2:443 (0 0)" },
	        .after_ms = 14500 },
	      { "each packet starts it anew, either end's",
	        REPLIED,
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (2 80) -> 10.0.0.2:443 (1 100)" },
	        .after_ms = 14500 },
	      { "it is over: a new generation",
	        QUERY,
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (2 80) -> 10.0.0.2:443 (1 100)",
	          "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (0 0) generation 2" },
	        .after_ms = 15000 },
	      { "which others join",
	        REPLIED,
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (2 80) -> 10.0.0.2:443 (1 100)",
	          "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (1 100) generation 2" } },
	      { "it is over, but both entries wait for the loader",
	        QUERY,
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (2 80) -> 10.0.0.2:443 (1 100)",
	          "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (1 100) generation 2" },
	        .full = 1,
	        .after_ms = 15000 });

	uint64_t id = remove_generation(harness, 1);
	static const struct row third = { "one was removed",
		                          QUERY,
		                          VERDICT_OBSERVED,
		                          { "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (1 100) generation 2",
		                            "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (0 0) generation 3" } };
	row_run(harness, &third);
	assert_int_equal(remove_generation(harness, 2), id);
	assert_int_equal(remove_generation(harness, 3), id);

	static const struct row fresh = {
		"nothing is left of it", QUERY, VERDICT_OBSERVED, { "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (0 0)" }
	};
	row_run(harness, &fresh);
	assert_int_not_equal(remove_generation(harness, 1), id);
}

static void test_reset(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(15000, 0, 0);

	STORY(harness, { "SYN", SYN, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" } },
	      { "a connection may be silent for long",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (2 80 SA) -> 10.0.0.2:443 (0 0)" },
	        .after_ms = 5500 },
	      { "RST", RST, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (2 80 SA) -> 10.0.0.2:443 (1 40 R)" } },
	      { "what is late still counts",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (3 120 SA) -> 10.0.0.2:443 (1 40 R)" },
	        .after_ms = 4500 },
	      { "later, it does not",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (3 120 SA) -> 10.0.0.2:443 (1 40 R)",
	          "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0) generation 2" },
	        .after_ms = 5000 });
}

static void test_fin(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(15000, 0, 0);

	STORY(harness, { "SYN", SYN, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" } },
	      { "FIN", FIN, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (2 80 FSA) -> 10.0.0.2:443 (0 0)" } },
	      { "half-closed is not ended",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (3 120 FSA) -> 10.0.0.2:443 (0 0)" },
	        .after_ms = 5500 },
	      { "a SYN does not take it over",
	        SYN,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (4 160 FSA) -> 10.0.0.2:443 (0 0)" } },
	      { "FIN, too",
	        FIN_TOO,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (4 160 FSA) -> 10.0.0.2:443 (1 40 FA)" },
	        .after_ms = 5500 },
	      { "the last ACK", ACK, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (5 200 FSA) -> 10.0.0.2:443 (1 40 FA)" } },
	      { "five seconds later it is over",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (5 200 FSA) -> 10.0.0.2:443 (1 40 FA)",
	          "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0) generation 2" },
	        .after_ms = 5000 });
}

static void test_reuse(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(15000, 0, 0);

	STORY(harness, { "SYN", SYN, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" } },
	      { "RST", RST, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 R)" } },
	      { "a new connection closes it",
	        SYN,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 R) closed",
	          "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0) generation 2" } },
	      { "no packet counts into the former any more",
	        RST,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 R) closed",
	          "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 R) generation 2" } },
	      { "the next one finds no entry",
	        SYN,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 R) closed",
	          "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 R) generation 2 closed" },
	        .full = 1 });
}

static void test_short_idle_timeout(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(2000, 0, 0);

	STORY(harness, { "RST", RST, VERDICT_OBSERVED, { "tcp 10.0.0.1:40000 (0 0) -> 10.0.0.2:443 (1 40 R)" } },
	      { "an ended flow waits no longer than an idle one",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (0 0) -> 10.0.0.2:443 (1 40 R)",
	          "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0) generation 2" },
	        .after_ms = 2000 });
}

#define KNOWN                                                                                                        \
	{                                                                                                            \
		"udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (0 0)", "udp 10.0.0.1:40001 (1 40) -> 10.0.0.2:443 (0 0)" \
	}

static void test_table_full(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(15000, 2, 0);

	STORY(harness, { "the first", QUERY, VERDICT_OBSERVED, { "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (0 0)" } },
	      { "the second", PKT(ETH, IP4(), UDP(.from_port = 40001), BYTES(12)), VERDICT_OBSERVED, KNOWN },
	      { "the third is a record", PKT(ETH, IP4(REPLY), UDP(.to_port = 40002), BYTES(32)), VERDICT_OBSERVED,
	        KNOWN, .hook = NIC_OUT, .full = 1 });

	const struct flow_event *event = harness_record(harness, RECORD_FLOW, 0);
	static const uint8_t low[] = { 10, 0, 0, 1 }, high[] = { 10, 0, 0, 2 };
	assert_int_equal(event->header.size, sizeof(*event));
	assert_memory_equal(event->key.addr[0] + 12, low, sizeof(low));
	assert_memory_equal(event->key.addr[1] + 12, high, sizeof(high));
	assert_int_equal(event->key.port[0], htons(40002));
	assert_int_equal(event->key.port[1], htons(40000));
	assert_int_equal(event->key.protocol, IPPROTO_UDP);
	assert_int_equal(event->key.ip_version, 4);
	assert_int_equal(event->key.twin, 0);
	assert_int_equal(event->packets, 1);
	assert_int_equal(event->bytes, 60);
	assert_int_not_equal(event->cgroup_id, 0);
	assert_int_equal(event->sender, 1);
	assert_int_equal(event->direction, DIRECTION_EGRESS);
	assert_int_equal(event->tcp_flags, 0);

	static const struct row super = { "a super-packet is a record, too",
		                          PKT(ETH, IP4(), TCP(.flags = TH_SYN), BYTES(2000)),
		                          VERDICT_OBSERVED,
		                          KNOWN,
		                          .gso_size = 1000,
		                          .packets = 2,
		                          .full = 1 };
	row_run(harness, &super);
	event = harness_record(harness, RECORD_FLOW, 0);
	assert_int_equal(event->packets, 2);
	assert_int_equal(event->bytes, 2080);
	assert_int_equal(event->tcp_flags, TH_SYN);
	assert_int_equal(event->sender, 0);

	static const struct row known = { "known flows go on",
		                          REPLIED,
		                          VERDICT_OBSERVED,
		                          { "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (1 100)",
		                            "udp 10.0.0.1:40001 (1 40) -> 10.0.0.2:443 (0 0)" } };
	row_run(harness, &known);
}

/* Neither table nor ring has room: the packet is an error, and the record is lost. */
static void test_no_room_at_all(void **state)
{
	static const struct layer other[LAYERS_MAX] = PKT(ETH, IP4(), TCP(), BYTES(2000));
	static const struct row first = {
		"the only entry", QUERY, VERDICT_OBSERVED, { "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (0 0)" }
	};
	_cleanup_(harness_freep) struct harness *harness = open_with(15000, 1, 4096);
	const struct delivery twice = { .gso_size = 1000 };
	struct frame frame;

	row_run(harness, &first);
	packet_build(other, &frame);
	while (!harness_record_stats(harness, RECORD_FLOW).lost_ring)
		assert_int_equal(program_run(harness->entry[POD_IN], &frame, &twice), -1);

	struct hook_stats stats = harness_hook_stats(harness, HOOK_STATS(POD_IN));
	struct record_stats records = harness_record_stats(harness, RECORD_FLOW);
	uint64_t room = 4096 / (BPF_RINGBUF_HDR_SZ + sizeof(struct flow_event));
	assert_int_equal(records.produced, room + 1);
	assert_int_equal(records.lost_ring, 1);
	assert_int_equal(stats.verdicts[VERDICT_ERROR], 2);
	assert_int_equal(stats.verdicts[VERDICT_OBSERVED], 1 + room * 2);
	assert_int_equal(stats.seen, 1 + room * 2 + 2);
	assert_int_equal(stats.table_full_packets, room * 2);
	assert_int_equal(stats.table_full_bytes, room * 2080);
	assert_int_equal(stats.bytes_observed, 40 + room * 2080);
	harness_drain(harness);
	assert_int_equal(harness->n_records, room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_fin),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_short_idle_timeout),
		cmocka_unit_test(test_table_full),
		cmocka_unit_test(test_no_room_at_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
