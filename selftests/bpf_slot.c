// SPDX-License-Identifier: Apache-2.0
/* Slots: what a CPU counts in front of the table, when it has to ask there, and that nothing is lost in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <string.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/row.h"
#include "user/clock.h"

#define DATA       PKT(ETH, IP4(), UDP(), BYTES(72))
#define REPLY_DATA PKT(ETH, IP4(REPLY), UDP(REPLY), BYTES(72))
#define ACK        PKT(ETH, IP4(), TCP())
#define FIN        PKT(ETH, IP4(), TCP(.flags = TH_FIN | TH_ACK))
#define RST        PKT(ETH, IP4(), TCP(.flags = TH_RST))
#define SYN        PKT(ETH, IP4(), TCP(.flags = TH_SYN))

#define WARM 4 /* packets before a direction may be counted in a slot */

static cpu_set_t all_cpus;

/* Slots are a CPU's own: the tests stay on one. */
static int stay(void **state)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	return sched_getaffinity(0, sizeof(all_cpus), &all_cpus) < 0 || sched_setaffinity(0, sizeof(one), &one) < 0;
}

static int leave(void **state)
{
	return sched_setaffinity(0, sizeof(all_cpus), &all_cpus);
}

static struct harness *open_with(uint32_t flows_max, uint32_t head_bytes)
{
	const struct harness_options options = {
		.flows_max = flows_max,
		.ring_bytes = 1 << 20,
		.config = { .coarse_clock = 1, .samples = 1, .head_bytes = head_bytes, .snaplen = 96 },
	};
	return harness_open(&options);
}

static void shoot(struct harness *harness, const struct layer layers[static LAYERS_MAX], enum hook hook, unsigned n)
{
	struct frame frame;
	packet_build(layers, &frame);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(program_run(harness->entry[hook], &frame, &(struct delivery) { 0 }), -1);
}

static uint64_t in_slots(const struct harness *harness)
{
	uint64_t packets = 0;
	for (size_t i = 0; i < harness->n_slots; i++)
		packets += harness->slots[i].packets[0] + harness->slots[i].packets[1];
	return packets;
}

static uint64_t observed(const struct harness *harness, enum hook hook)
{
	return harness_hook_stats(harness, HOOK_STATS(hook)).verdicts[VERDICT_OBSERVED];
}

/* The totals of all flows as the table has them, and the number of entries. */
static uint64_t in_table(const struct harness *harness, unsigned *ret_entries)
{
	int map = harness_map(harness, "flows");
	struct flow_key key;
	struct flow flow;
	uint64_t packets = 0;

	*ret_entries = 0;
	for (void *from = NULL; bpf_map_get_next_key(map, from, &key) == 0; from = &key) {
		assert_int_equal(bpf_map_lookup_elem(map, &key, &flow), 0);
		packets += flow.end[0].packets + flow.end[1].packets;
		(*ret_entries)++;
	}
	return packets;
}

static void expect(const struct harness *harness, uint64_t table, uint64_t slots)
{
	unsigned entries;
	assert_int_equal(in_table(harness, &entries), table);
	assert_int_equal(in_slots(harness), slots);
}

static void test_lease(void **state)
{
	static const struct layer data[LAYERS_MAX] = DATA;
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 0);

	shoot(harness, data, POD_IN, WARM);
	expect(harness, WARM, 0);
	shoot(harness, data, POD_IN, 3);
	expect(harness, WARM, 3);
	assert_int_equal(observed(harness, POD_IN), WARM + 3);

	/* The first packet behind the lease is counted in the table, and brings the others along. */
	harness_pass_ms(harness, SLOT_LEASE_NS / NS_PER_MS + 20);
	shoot(harness, data, POD_IN, 1);
	expect(harness, WARM + 4, 0);
	shoot(harness, data, POD_IN, 1);
	expect(harness, WARM + 4, 1);
}

static void test_directions(void **state)
{
	static const struct layer data[LAYERS_MAX] = DATA, reply[LAYERS_MAX] = REPLY_DATA;
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 100 * WARM);

	/* The answering direction is still within its head: its packets are samples, and the table counts them. */
	shoot(harness, data, POD_IN, WARM);
	shoot(harness, reply, POD_OUT, 1);
	expect(harness, WARM + 1, 0);
	shoot(harness, data, POD_IN, 2);
	shoot(harness, reply, POD_OUT, 2);
	shoot(harness, data, POD_IN, 2);
	expect(harness, WARM + 1 + 2 + 2, 2);
	harness_drain(harness);
	assert_int_equal(harness->n_records, WARM + 3);
}

static void test_duplicates(void **state)
{
	static const struct layer data[LAYERS_MAX] = DATA;
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 0);

	shoot(harness, data, POD_IN, WARM + 2);
	shoot(harness, data, NIC_OUT, 5);
	expect(harness, WARM, 2);
	assert_int_equal(harness_hook_stats(harness, HOOK_STATS(NIC_OUT)).verdicts[VERDICT_DUPLICATE], 5);

	/* A silent owner is replaced, whatever the slot says. */
	harness_pass_ms(harness, 1000);
	shoot(harness, data, NIC_OUT, 1);
	assert_int_equal(observed(harness, NIC_OUT), 1);
	expect(harness, WARM + 3, 0);
}

/* What may change more than totals goes to the table: a connection's begin and end, and flags not seen before. */
static void test_flags(void **state)
{
	static const struct layer ack[LAYERS_MAX] = ACK, fin[LAYERS_MAX] = FIN, rst[LAYERS_MAX] = RST,
				  push[LAYERS_MAX] = PKT(ETH, IP4(), TCP(.flags = TH_PUSH | TH_ACK));
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 0);

	shoot(harness, ack, POD_IN, WARM + 1);
	expect(harness, WARM, 1);
	shoot(harness, push, POD_IN, 1);
	expect(harness, WARM + 2, 0);
	shoot(harness, push, POD_IN, 2);
	expect(harness, WARM + 2, 2);
	shoot(harness, fin, POD_IN, 1);
	expect(harness, WARM + 5, 0);
	shoot(harness, rst, POD_IN, 1);
	/* The flow has ended: it stays in the table from now on. */
	shoot(harness, ack, POD_IN, 3);
	expect(harness, WARM + 9, 0);
}

/* A tuple's next connection is not counted into what the slot has of the former one. */
static void test_reuse(void **state)
{
	static const struct layer ack[LAYERS_MAX] = ACK, fin[LAYERS_MAX] = FIN, syn[LAYERS_MAX] = SYN,
				  fin_too[LAYERS_MAX] = PKT(ETH, IP4(REPLY), TCP(REPLY, .flags = TH_FIN | TH_ACK));
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 0);
	unsigned entries;

	shoot(harness, ack, POD_IN, WARM + 3);
	shoot(harness, fin, POD_IN, 1);
	shoot(harness, fin_too, POD_OUT, 1);
	shoot(harness, syn, POD_IN, 1);
	shoot(harness, ack, POD_IN, WARM + 3);
	assert_int_equal(in_table(harness, &entries) + in_slots(harness), 2 * (WARM + 3) + 3);
	assert_int_equal(entries, 2);
	assert_true(in_slots(harness) > 0);
}

/* An entry that is over stays as it is, in table and slot, until it was read and removed; then its slot is free. */
static void test_over(void **state)
{
	static const struct layer data[LAYERS_MAX] = DATA;
	_cleanup_(harness_freep) struct harness *harness = open_with(0, 0);
	struct flow_key key;
	unsigned entries;

	shoot(harness, data, POD_IN, WARM + 2);
	assert_int_equal(bpf_map_get_next_key(harness_map(harness, "flows"), NULL, &key), 0);
	harness_pass_ms(harness, 16000);
	shoot(harness, data, POD_IN, 2 * WARM);
	assert_int_equal(in_table(harness, &entries), 3 * WARM);
	assert_int_equal(entries, 2);
	assert_int_equal(in_slots(harness), 2);

	assert_int_equal(bpf_map_delete_elem(harness_map(harness, "flows"), &key), 0);
	shoot(harness, data, POD_IN, 2);
	expect(harness, 2 * WARM + 1, 1);
}

/* More busy flows than slots: whoever has none is counted in the table. */
static void test_crowd(void **state)
{
	enum { FLOWS = 3 * SLOTS_PER_CPU, ROUNDS = 3 };
	_cleanup_(harness_freep) struct harness *harness = open_with(FLOWS, 0);
	unsigned entries;

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < FLOWS; i++) {
			const struct layer data[LAYERS_MAX] =
				PKT(ETH, IP4(), UDP(.from_port = (uint16_t)(1024 + i)), BYTES(72));
			shoot(harness, data, POD_IN, WARM + 1);
		}
		harness_pass_ms(harness, SLOT_LEASE_NS / NS_PER_MS + 20);
	}
	uint64_t table = in_table(harness, &entries), slots = in_slots(harness);
	assert_int_equal(entries, FLOWS);
	assert_true(slots > 0);
	assert_int_equal(table + slots, ROUNDS * FLOWS * (WARM + 1));
	assert_int_equal(observed(harness, POD_IN), ROUNDS * FLOWS * (WARM + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lease), cmocka_unit_test(test_directions), cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_flags), cmocka_unit_test(test_reuse),      cmocka_unit_test(test_over),
		cmocka_unit_test(test_crowd),
	};
	return cmocka_run_group_tests(tests, stay, leave);
}
