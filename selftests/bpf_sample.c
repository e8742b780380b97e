// SPDX-License-Identifier: Apache-2.0
/* Sample and emit: which packets are shipped, what of them, and how the reader hears of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <cmocka.h>
#include <linux/bpf.h>
#include "selftests/row.h"

#define QUERY   PKT(ETH, IP4(), UDP(), BYTES(22)) /* 50 bytes from the IP header on */
#define REPLIED PKT(ETH, IP4(REPLY), UDP(REPLY), BYTES(1000))

static struct harness *open_with(uint32_t head_bytes, uint32_t snaplen, uint32_t ring_bytes)
{
	const struct harness_options options = {
		.ring_bytes = ring_bytes,
		.config = { .samples = 1, .head_bytes = head_bytes, .snaplen = snaplen },
	};
	return harness_open(&options);
}

static void test_head(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(100, 96, 0);

	STORY(harness,
	      { "the first packet",
	        QUERY,
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (0 0)" },
	        .samples = 1 },
	      { "seen elsewhere again",
	        QUERY,
	        VERDICT_DUPLICATE,
	        { "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (0 0)" },
	        NIC_OUT },
	      { "the second begins within the head",
	        QUERY,
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (2 100) -> 10.0.0.2:443 (0 0)" },
	        .samples = 1 },
	      { "the third does not", QUERY, VERDICT_OBSERVED, { "udp 10.0.0.1:40000 (3 150) -> 10.0.0.2:443 (0 0)" } },
	      { "the other end has a head of its own",
	        REPLIED,
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (3 150) -> 10.0.0.2:443 (1 1028)" },
	        .samples = 1 },
	      { "which one packet can be all of",
	        REPLIED,
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (3 150) -> 10.0.0.2:443 (2 2056)" } },
	      { "a new generation has one again",
	        QUERY,
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (3 150) -> 10.0.0.2:443 (2 2056)",
	          "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (0 0) generation 2" },
	        .samples = 1,
	        .after_ms = 15000 },
	      { "not IP",
	        PKT(ETH, BYTES(40)),
	        VERDICT_NOT_IP,
	        { "udp 10.0.0.1:40000 (3 150) -> 10.0.0.2:443 (2 2056)",
	          "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (0 0) generation 2" } });
}

static void test_no_samples(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 96, 0);

	STORY(harness, { "no head, and no other reason",
	                 QUERY,
	                 VERDICT_OBSERVED,
	                 { "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (0 0)" } });
}

/* packets.enabled: false. */
static void test_disabled(void **state)
{
	const struct harness_options options = {
		.config = { .head_bytes = 1000, .one_in = 1, .snaplen = 96 },
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&options);

	STORY(harness, { "a SYN within the head, and every packet by chance",
	                 PKT(ETH, IP4(), TCP(.flags = TH_SYN)),
	                 VERDICT_OBSERVED,
	                 { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" } });
}

/* A packet without an entry is a record already, and has no flow that a sample could belong to. */
static void test_table_full(void **state)
{
	const struct harness_options options = {
		.flows_max = 1,
		.config = { .samples = 1, .head_bytes = 1000, .snaplen = 96 },
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&options);

	STORY(harness,
	      { "the only entry",
	        QUERY,
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (0 0)" },
	        .samples = 1 },
	      { "no entry, no sample",
	        PKT(ETH, IP4(), TCP()),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (0 0)" },
	        .full = 1 });
}

/* snaplen is kept to the byte, and a record takes the smallest class of ring space that holds it. */
static void test_snaplen(void **state)
{
	static const struct {
		uint32_t snaplen;
		uint16_t frame, captured, room;
	} cases[] = {
		{ 0, 60, 0, 96 },
		{ 1, 60, 1, 96 },
		{ 96, 60, 60, 96 },
		{ 96, 96, 96, 96 },
		{ 96, 97, 96, 96 },
		{ 97, 96, 96, 96 },
		{ 97, 97, 97, 256 },
		{ 256, 255, 255, 256 },
		{ 256, 256, 256, 256 },
		{ 256, 257, 256, 256 },
		{ 257, 257, 257, 1536 },
		{ 1536, 1535, 1535, 1536 },
		{ 1536, 3000, 1536, 1536 },
		{ 1537, 1537, 1537, 9216 },
		{ 1537, 3000, 1537, 9216 },
		{ 9216, 3700, 3700, 9216 },
		{ 70000, 3700, 3700, 9216 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(harness_freep) struct harness *harness = open_with(1000, cases[i].snaplen, 0);
		const struct layer packet[LAYERS_MAX] = PKT(ETH, IP4(), UDP(), BYTES((uint16_t)(cases[i].frame - 42)));
		struct frame frame;
		packet_build(packet, &frame);
		assert_int_equal(frame.size, cases[i].frame);

		assert_int_equal(program_run(harness->entry[POD_IN], &frame, &(struct delivery) { 0 }), -1);
		uint64_t position = harness->ring_position;
		harness_drain(harness);
		const struct packet_event *event = harness_record(harness, RECORD_PACKET, 0);
		assert_non_null(event);
		assert_int_equal(event->captured_length, cases[i].captured);
		assert_int_equal(event->header.size, sizeof(*event) + cases[i].captured);
		assert_int_equal(event->original_length, cases[i].frame);
		assert_memory_equal(event->data, frame.data, cases[i].captured);
		assert_int_equal(harness->ring_position - position,
		                 BPF_RINGBUF_HDR_SZ + sizeof(*event) + cases[i].room);
	}
}

static void assert_end(const struct packet_event *event, unsigned end, uint8_t last, uint16_t port)
{
	const uint8_t address[16] = { [10] = 0xff, 0xff, 10, 0, 0, last };
	assert_memory_equal(event->key.addr[end], address, sizeof(address));
	assert_int_equal(event->key.port[end], htons(port));
}

static void test_fields(void **state)
{
	static const struct row rows[] = {
		{ "query",
		  QUERY,
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (0 0)" },
		  .samples = 1 },
		{ "reply at a raw link, egress",
		  PKT(IP4(REPLY), UDP(REPLY), BYTES(4)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (1 32)" },
		  TUN_OUT,
		  .samples = 1 },
	};
	_cleanup_(harness_freep) struct harness *harness = open_with(1000, 96, 0);

	row_run(harness, &rows[0]);
	const struct packet_event *event = harness_record(harness, RECORD_PACKET, 0);
	uint64_t id = event->flow_id;
	assert_end(event, 0, 1, 40000);
	assert_end(event, 1, 2, 443);
	assert_int_equal(event->key.protocol, IPPROTO_UDP);
	assert_int_equal(event->key.ip_version, 4);
	assert_int_not_equal(event->cgroup_id[0], 0);
	assert_int_equal(event->cgroup_id[1], 0);
	assert_int_equal(event->sender, 0);
	assert_int_equal(event->initiator, 0);
	assert_int_equal(event->direction, DIRECTION_INGRESS);
	assert_int_equal(event->link_type, LINK_ETHERNET);

	row_run(harness, &rows[1]);
	event = harness_record(harness, RECORD_PACKET, 0);
	assert_int_equal(event->flow_id, id);
	assert_end(event, 0, 1, 40000);
	assert_end(event, 1, 2, 443);
	assert_int_not_equal(event->cgroup_id[0], 0);
	assert_int_not_equal(event->cgroup_id[1], 0);
	assert_int_equal(event->sender, 1);
	assert_int_equal(event->initiator, 0);
	assert_int_equal(event->direction, DIRECTION_EGRESS);
	assert_int_equal(event->link_type, LINK_RAW_IP);
	assert_int_equal(event->data[0], 0x45);
}

/* In its records, a generation is told by its id and number; which of two entries holds it is the table's own affair. */
static void test_twin(void **state)
{
	static const struct row rows[] = {
		{ "query",
		  QUERY,
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (0 0)" },
		  .samples = 1 },
		{ "later",
		  QUERY,
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (0 0)",
		    "udp 10.0.0.1:40000 (1 50) -> 10.0.0.2:443 (0 0) generation 2" },
		  .samples = 1,
		  .after_ms = 15000 },
	};
	_cleanup_(harness_freep) struct harness *harness = open_with(1000, 96, 0);

	row_run(harness, &rows[0]);
	uint64_t id = ((const struct packet_event *)harness_record(harness, RECORD_PACKET, 0))->flow_id;
	row_run(harness, &rows[1]);
	const struct packet_event *event = harness_record(harness, RECORD_PACKET, 0);
	assert_int_equal(event->flow_id, id);
	assert_int_equal(event->key.twin, 0);
}

/* Without room in the ring the packet is observed all the same, and the lost record is counted. */
static void test_ring_full(void **state)
{
	static const struct layer packet[LAYERS_MAX] = QUERY;
	const uint64_t room = 4096 / (BPF_RINGBUF_HDR_SZ + sizeof(struct packet_event) + 96);
	_cleanup_(harness_freep) struct harness *harness = open_with(1000000, 96, 4096);
	struct frame frame;

	packet_build(packet, &frame);
	for (uint64_t i = 0; i < room + 3; i++)
		assert_int_equal(program_run(harness->entry[POD_IN], &frame, &(struct delivery) { 0 }), -1);

	struct hook_stats stats = harness_hook_stats(harness, HOOK_STATS(POD_IN));
	struct record_stats records = harness_record_stats(harness, RECORD_PACKET);
	assert_int_equal(stats.seen, room + 3);
	assert_int_equal(stats.verdicts[VERDICT_OBSERVED], room + 3);
	assert_int_equal(records.produced, room + 3);
	assert_int_equal(records.lost_ring, 3);
	harness_drain(harness);
	assert_int_equal(harness->n_records, room);

	static const struct row row = { "there is room again",
		                        QUERY,
		                        VERDICT_OBSERVED,
		                        { "udp 10.0.0.1:40000 (22 1100) -> 10.0.0.2:443 (0 0)" },
		                        .samples = 1 };
	assert_int_equal(room, 18);
	row_run(harness, &row);
}

/* Was the reader woken since it was asked last? */
static bool is_woken(int epoll, int timeout_ms)
{
	struct epoll_event event;
	return epoll_wait(epoll, &event, 1, timeout_ms) > 0;
}

/* One wake-up when the fill crosses a multiple of wake_bytes and none in between, whatever the records' size. */
static void check_wake(uint16_t frame_size, uint32_t room)
{
	const struct layer packet[LAYERS_MAX] = PKT(ETH, IP4(), UDP(), BYTES((uint16_t)(frame_size - 42)));
	const uint32_t record = BPF_RINGBUF_HDR_SZ + (uint32_t)sizeof(struct packet_event) + room;
	uint32_t wake_bytes = 1;
	while (wake_bytes < 2 * record)
		wake_bytes *= 2;
	const struct harness_options options = {
		.ring_bytes = 1 << 20,
		.config = { .samples = 1, .head_bytes = 1 << 20, .snaplen = 9216, .wake_bytes = wake_bytes },
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&options);
	_cleanup_(closep) int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct frame frame;

	packet_build(packet, &frame);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, harness_map(harness, "ring"), &event), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 1; i <= 8; i++) {
			bool crosses = i * record / wake_bytes > (i - 1) * record / wake_bytes;
			assert_int_equal(program_run(harness->entry[POD_IN], &frame, &(struct delivery) { 0 }), -1);
			assert_int_equal(is_woken(epoll, crosses ? 5000 : 0), crosses);
		}
		harness_drain(harness);
		assert_int_equal(harness->n_records, 8);
	}
}

static void test_wake(void **state)
{
	check_wake(60, 96);
	check_wake(200, 256);
	check_wake(1500, 1536);
	check_wake(3000, 9216);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head),      cmocka_unit_test(test_no_samples), cmocka_unit_test(test_table_full),
		cmocka_unit_test(test_snaplen),   cmocka_unit_test(test_fields),     cmocka_unit_test(test_twin),
		cmocka_unit_test(test_ring_full), cmocka_unit_test(test_wake),       cmocka_unit_test(test_disabled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
