// SPDX-License-Identifier: Apache-2.0
/* Entry: the stub of each hook counts what comes, says which hook it is, and fails openly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "selftests/row.h"
#include "sensor.skel.h"
#include "user/loader_filter.h"

#define QUERY PKT(ETH, IP4(), UDP())
#define RAW   PKT(IP4(), UDP())

static void test_hooks(void **state)
{
	static const struct row rows[] = {
		{ "ingress",
		  QUERY,
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" },
		  POD_IN,
		  .samples = 1 },
		{ "egress",
		  QUERY,
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" },
		  POD_OUT,
		  .samples = 1 },
		{ "another interface",
		  QUERY,
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" },
		  NIC_IN,
		  .samples = 1 },
		{ "another link type",
		  RAW,
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" },
		  TUN_OUT,
		  .samples = 1 },
	};
	const struct harness_options options = { .config = { .samples = 1, .head_bytes = 1000, .snaplen = 96 } };
	_cleanup_(harness_freep) struct harness *harness = harness_open(&options);

	/* The account, iface_id and direction of the row's hook are what each row checks. */
	rows_run_each(harness, rows, ARRAY_SIZE(rows));
}

/* A tail call that misses: the packet goes on, and the books show it. */
static void test_miss(void **state)
{
	static const struct row rows[] = {
		{ "a packet", QUERY, VERDICT_ERROR, .hook = POD_IN },
		{ "not even looked at", PKT(ETH, BYTES(4)), VERDICT_ERROR, .hook = NIC_OUT },
		{ "segments", PKT(ETH, IP4(), TCP(), BYTES(2000)), VERDICT_ERROR, .gso_size = 1000, .gso_segs = 2,
		  .packets = 2 },
		{ "segments that nobody counted: one", PKT(ETH, IP4(), TCP(), BYTES(2000)), VERDICT_ERROR,
		  .gso_size = 1000 },
		{ "a raw packet", RAW, VERDICT_ERROR, .hook = TUN_IN },
	};
	static const struct row back = {
		"a program again", QUERY, VERDICT_OBSERVED, { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" }
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	harness_filters(harness, -1);
	rows_run_each(harness, rows, ARRAY_SIZE(rows));
	harness_filters(harness, harness->main);
	row_run(harness, &back);
}

static void set_slot(const struct harness *harness, enum program_slot slot, int program)
{
	uint32_t index = slot;
	assert_int_equal(bpf_map_update_elem(harness_map(harness, "filters"), &index, &program, BPF_ANY), 0);
}

/* A filter, and what it calls, as the loader puts them in. */
static void set_filter(const struct harness *harness, const char *expression)
{
	const struct filter_maps maps = { harness_map(harness, "filters"), harness_map(harness, "iface_stats") };
	_cleanup_(loaded_filter_close) struct loaded_filter filter = LOADED_FILTER_NONE;
	_cleanup_(buf_free) struct buf log = BUF_INIT(4096);

	assert_int_equal(loaded_filter_load(expression, &maps, &log, &filter), 0);
	set_slot(harness, PROGRAM_MAIN, harness->main);
	set_slot(harness, PROGRAM_FILTERED, bpf_program__fd(harness->skeleton->progs.sonde_filtered));
	for (int link_type = 0; link_type < LINK_TYPE_MAX; link_type++)
		set_slot(harness, (enum program_slot)link_type, filter.programs[link_type].fd);
}

/* What does not match is counted in wire packets, also those that the entry could not count. */
static void test_filtered(void **state)
{
	static const struct row rows[] = {
		{ "matches", QUERY, VERDICT_OBSERVED, { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" } },
		{ "does not", PKT(ETH, IP4(), TCP()), VERDICT_FILTERED },
		{ "segments", PKT(ETH, IP4(), TCP(), BYTES(2500)), VERDICT_FILTERED, .gso_size = 1000, .gso_segs = 3,
		  .packets = 3 },
		{ "segments without their number", PKT(ETH, IP4(), TCP(), BYTES(2500)), VERDICT_FILTERED,
		  .gso_size = 1000, .packets = 3 },
		{ "the same without link header", PKT(IP4(), TCP(), BYTES(2500)), VERDICT_FILTERED, .hook = TUN_OUT,
		  .gso_size = 1000, .packets = 3 },
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	set_filter(harness, "udp");
	rows_run_each(harness, rows, ARRAY_SIZE(rows));
}

/* What a filter calls is not there: the packet goes on, and the books show it. */
static void test_filter_miss(void **state)
{
	static const struct row rows[] = {
		{ "matches", QUERY, VERDICT_ERROR },
		{ "segments that match", PKT(ETH, IP4(), UDP(), BYTES(2500)), VERDICT_ERROR, .gso_size = 1000,
		  .gso_segs = 3, .packets = 3 },
		{ "segments that nobody counted: one", PKT(ETH, IP4(), UDP(), BYTES(2500)), VERDICT_ERROR,
		  .gso_size = 1000 },
		{ "the same, and they do not match", PKT(ETH, IP4(), TCP(), BYTES(2500)), VERDICT_ERROR,
		  .gso_size = 1000 },
		{ "does not match, needs nobody", PKT(ETH, IP4(), TCP()), VERDICT_FILTERED },
	};
	static const uint32_t called[] = { PROGRAM_MAIN, PROGRAM_FILTERED };
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	set_filter(harness, "udp");
	for (size_t i = 0; i < ARRAY_SIZE(called); i++)
		assert_int_equal(bpf_map_delete_elem(harness_map(harness, "filters"), &called[i]), 0);
	rows_run_each(harness, rows, ARRAY_SIZE(rows));
}

/* Each link type has its own slot. */
static void test_slots(void **state)
{
	static const struct row rows[] = {
		{ "Ethernet has a program",
		  QUERY,
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" },
		  POD_IN },
		{ "raw IP has none", RAW, VERDICT_ERROR, .hook = TUN_IN },
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	const uint32_t raw = LINK_RAW_IP;

	assert_int_equal(bpf_map_delete_elem(harness_map(harness, "filters"), &raw), 0);
	rows_run_each(harness, rows, ARRAY_SIZE(rows));
}

/* A slot's new program runs for the very next packet, behind the same stub. */
static void test_swap(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	_cleanup_(harness_freep) struct harness *other = harness_open(&(struct harness_options) { 0 });
	static const struct layer packet[LAYERS_MAX] = QUERY;
	struct frame frame;

	packet_build(packet, &frame);
	harness_filters(harness, other->main);
	assert_int_equal(program_run(harness->entry[NIC_IN], &frame, &(struct delivery) { 0 }), -1);
	assert_int_equal(harness_hook_stats(harness, HOOK_STATS(NIC_IN)).seen, 1);
	assert_int_equal(harness_hook_stats(harness, HOOK_STATS(NIC_IN)).verdicts[VERDICT_OBSERVED], 0);
	assert_int_equal(harness_hook_stats(other, HOOK_STATS(NIC_IN)).verdicts[VERDICT_OBSERVED], 1);
}

/* A stub whose account does not exist lets the packet go, and nothing else. */
static void test_no_account(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	_cleanup_(closep) int stub = -1;
	static const struct layer packet[LAYERS_MAX] = QUERY;
	struct flow_key key;
	struct frame frame;

	packet_build(packet, &frame);
	const struct entry entry = { .hook = hook_number(99, PLACE_EDGE, DIRECTION_INGRESS),
		                     .stats_index = IFACE_SLOTS * DIRECTION_MAX,
		                     .link_type = LINK_ETHERNET };
	assert_int_equal(entry_load(&harness->loader, &entry, &stub), 0);
	assert_int_equal(program_run(stub, &frame, &(struct delivery) { 0 }), -1);
	assert_int_not_equal(bpf_map_get_next_key(harness_map(harness, "flows"), NULL, &key), 0);
}

/* The main program by itself: what the stub left open, it counts; what the stub counted, it does not. */
static void test_main(void **state)
{
	static const struct layer packet[LAYERS_MAX] = PKT(ETH, IP4(), TCP(), BYTES(2000));
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	struct delivery delivery = {
		.gso_size = 1000,
		.cb = { [CB_HOOK] = 7, [CB_STATS] = HOOK_STATS(NIC_OUT), [CB_LINK] = LINK_ETHERNET },
	};
	struct frame frame;

	packet_build(packet, &frame);
	assert_int_equal(program_run(harness->main, &frame, &delivery), -1);
	struct hook_stats stats = harness_hook_stats(harness, HOOK_STATS(NIC_OUT));
	assert_int_equal(stats.seen, 2);
	assert_int_equal(stats.verdicts[VERDICT_OBSERVED], 2);

	delivery.cb[CB_PACKETS] = 2;
	assert_int_equal(program_run(harness->main, &frame, &delivery), -1);
	stats = harness_hook_stats(harness, HOOK_STATS(NIC_OUT));
	assert_int_equal(stats.seen, 2);
	assert_int_equal(stats.verdicts[VERDICT_OBSERVED], 4);
	assert_int_equal(stats.bytes_observed, 2 * 2080);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hooks),      cmocka_unit_test(test_miss),        cmocka_unit_test(test_slots),
		cmocka_unit_test(test_filtered),   cmocka_unit_test(test_filter_miss), cmocka_unit_test(test_swap),
		cmocka_unit_test(test_no_account), cmocka_unit_test(test_main),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
