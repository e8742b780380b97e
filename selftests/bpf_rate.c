// SPDX-License-Identifier: Apache-2.0
/* The rate of samples and its shares, in a replay's time, which the test sets to the nanosecond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sched.h>
#include <string.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "selftests/harness.h"

#define MS        1000000ULL
#define START     (1000000 * MS)
#define RATE      1000 /* a sample costs a millisecond */
#define BURST_MS  250
#define SHARES    16
#define PORT      1000 /* of owner 0 */
#define FLOWS_MAX 128
#define BURST     (RATE * BURST_MS / 1000)
/* Of a share: a sixteenth, and the sample that is begun with the last bit of budget. */
#define SHARE_BURST (BURST / SHARES + 1)

/* Budgets are per CPU. */
static int stay_on_one_cpu(void **state)
{
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	return sched_setaffinity(0, sizeof(cpus), &cpus);
}

static struct harness *open_with(uint32_t max_rate)
{
	const struct harness_options options = {
		.flows_max = FLOWS_MAX,
		.ring_bytes = 4 << 20,
		.config = { .samples = 1, .head_bytes = UINT32_MAX, .snaplen = 96, .max_rate = max_rate, .replay = 1 },
	};
	return harness_open(&options);
}

/*
 * How many of N packets of flow OWNER that arrive at TIME_NS become samples; the others are counted as lost. Odd owners are
 * the key's other end.
 */
static uint64_t offer(const struct harness *harness, enum hook hook, uint16_t owner, uint64_t time_ns, unsigned n)
{
	bool reply = HOOK_DIRECTION(hook) == DIRECTION_EGRESS;
	const struct layer packet[LAYERS_MAX] =
		PKT(ETH, IP4(.from = owner % 2 ? "10.0.0.9" : NULL, .reply = reply),
	            UDP(.from_port = (uint16_t)(PORT + owner), .reply = reply), BYTES(22));
	struct record_stats before = harness_record_stats(harness, RECORD_PACKET);
	struct delivery delivery = { .tstamp = time_ns };
	struct frame frame;

	packet_build(packet, &frame);
	delivery.cb[CB_LENGTH] = (uint32_t)frame.size;
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(program_run(harness->entry[hook], &frame, &delivery), -1);
	struct record_stats after = harness_record_stats(harness, RECORD_PACKET);
	assert_int_equal(after.produced - before.produced, n);
	assert_int_equal(after.lost_ring, 0);
	return n - (after.lost_rate - before.lost_rate);
}

/* Changes each flow in the table: FLOW, what its client sent, and which owner that is. */
static void change_flows(const struct harness *harness, void (*change)(struct flow_end *client, uint16_t owner))
{
	int map = harness_map(harness, "flows");
	struct flow_key keys[FLOWS_MAX];
	size_t n = 0;

	/* Keys first: an update moves the entry within its bucket, and the walk would meet it again. */
	for (void *from = NULL; n < FLOWS_MAX && bpf_map_get_next_key(map, from, &keys[n]) == 0; n++)
		from = &keys[n];
	for (size_t i = 0; i < n; i++) {
		unsigned client = ntohs(keys[i].port[1]) == 443 ? 0 : 1;
		struct flow flow;
		assert_int_equal(bpf_map_lookup_elem(map, &keys[i], &flow), 0);
		change(&flow.end[client], (uint16_t)(ntohs(keys[i].port[client]) - PORT));
		assert_int_equal(bpf_map_update_elem(map, &keys[i], &flow, BPF_EXIST), 0);
	}
}

static void set_cgroup(struct flow_end *client, uint16_t owner)
{
	client->cgroup_id = 5000 + owner;
}

/* Flows 0 to N-1 are there, each of another cgroup, and the budgets are whole at START. */
static void make_owners(const struct harness *harness, uint16_t n)
{
	for (uint16_t owner = 0; owner < n; owner++)
		offer(harness, POD_IN, owner, START - 1000 * MS, 1);
	change_flows(harness, set_cgroup);
}

/* At one instant: the burst, and the share's; a millisecond later, what that earned, less the debt. */
static void test_burst(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(RATE);

	assert_int_equal(offer(harness, POD_IN, 0, START, BURST - 1), BURST - 1);
	assert_int_equal(offer(harness, POD_IN, 0, START, 1000), 1 + SHARE_BURST);
	struct record_stats records = harness_record_stats(harness, RECORD_PACKET);
	assert_int_equal(records.produced, BURST - 1 + 1000);
	assert_int_equal(records.lost_rate, 1000 - 1 - SHARE_BURST);

	/* The share's last sample took six milliseconds more than it had, and the common bucket owes sixteen. */
	assert_int_equal(offer(harness, POD_IN, 0, START + 6 * MS, 1000), 0);
	assert_int_equal(offer(harness, POD_IN, 0, START + 6 * MS + 1, 1000), 1);
	assert_int_equal(offer(harness, POD_IN, 0, START + 17 * MS, 1000), 0);
	assert_int_equal(offer(harness, POD_IN, 0, START + 17 * MS + 1, 1000), 1);

	/* Silence saves up a burst, and not more. */
	assert_int_equal(offer(harness, POD_IN, 0, START + 3600000 * MS, 1000), BURST + SHARE_BURST);
}

/* One that floods gets the whole rate. */
static void test_rate(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(RATE);
	uint64_t samples = 0;

	for (uint64_t ms = 0; ms < 5000; ms++)
		samples += offer(harness, POD_IN, 0, START + ms * MS, 5);
	assert_in_range(samples, BURST + 4999, BURST + 4999 + SHARES + 2);
}

/* One that stays within its share is refused nothing, however loud the others are. */
static void test_fair_share(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(RATE);
	const uint16_t quiet = SHARES - 1;
	uint64_t loud = 0;

	make_owners(harness, SHARES);
	for (uint64_t ms = 0; ms < 3000; ms++) {
		for (uint16_t owner = 0; owner < quiet; owner++)
			loud += offer(harness, POD_IN, owner, START + ms * MS, 3);
		/* A burst at first, and then one each sixteen milliseconds. */
		if (ms == 0)
			assert_int_equal(offer(harness, POD_IN, quiet, START, SHARE_BURST), SHARE_BURST);
		else if (ms >= SHARES && ms % SHARES == 0)
			assert_int_equal(offer(harness, POD_IN, quiet, START + ms * MS, 1), 1);
	}
	/* The rate holds all the same, and nothing of it is wasted. */
	assert_in_range(loud + SHARE_BURST + 3000 / SHARES, BURST + 2999, 2 * BURST + 3000 + SHARES + 2);
}

/* Who began the flow is charged for both of its directions. */
static void test_both_directions(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(RATE);

	make_owners(harness, 2);
	assert_int_equal(offer(harness, POD_IN, 0, START, 1000), BURST + SHARE_BURST);
	assert_int_equal(offer(harness, POD_OUT, 0, START, 10), 0);
	assert_int_equal(offer(harness, POD_OUT, 1, START, SHARE_BURST - 1), SHARE_BURST - 1);
	assert_int_equal(offer(harness, POD_IN, 1, START, 10), 1);
}

/* No socket at either end: owner 2 is behind the other interface. */
static void clear_cgroup(struct flow_end *client, uint16_t owner)
{
	client->cgroup_id = 0;
	client->packets = 100; /* late: the socket is not asked for any more */
	client->hook = HOOK_NUMBER(owner == 2 ? NIC_IN : POD_IN);
}

/* Without a cgroup, it is the interface that is charged. */
static void test_interfaces(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(RATE);

	make_owners(harness, 3);
	change_flows(harness, clear_cgroup);
	assert_int_equal(offer(harness, POD_IN, 0, START, 1000), BURST + SHARE_BURST);
	assert_int_equal(offer(harness, POD_IN, 1, START, 10), 0);
	assert_int_equal(offer(harness, NIC_IN, 2, START, 1000), SHARE_BURST);
}

/* However many owners there are, the rate holds. */
static void test_bound(void **state)
{
	enum { OWNERS = 100, MILLISECONDS = 1000 };
	_cleanup_(harness_freep) struct harness *harness = open_with(RATE);
	uint64_t samples = 0;

	make_owners(harness, OWNERS);
	for (uint64_t ms = 0; ms < MILLISECONDS; ms += 10)
		for (int owner = 0; owner < OWNERS; owner++)
			samples += offer(harness, POD_IN, (uint16_t)owner, START + ms * MS, 20);
	assert_in_range(samples, BURST + MILLISECONDS - 10, 2 * BURST + MILLISECONDS + SHARES + 2);
}

/* A clock that goes back (a capture file's may), and the spent time that a lower rate left behind. */
static void test_clock_back(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(RATE);
	const uint64_t early = START / 2;

	assert_int_equal(offer(harness, POD_IN, 0, START, 1000), BURST + SHARE_BURST);
	assert_int_equal(offer(harness, POD_IN, 0, early, 1000), 0);
	/* The share hears of it only when it is asked. */
	assert_int_equal(offer(harness, POD_IN, 0, early + 1000 * MS, 1000), BURST);
	assert_int_equal(offer(harness, POD_IN, 0, early + 2000 * MS, 1000), BURST + SHARE_BURST);
}

/* Less than one in the time that a burst keeps: one at a time. */
static void test_low_rate(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(1);

	/* One of the common budget, one of the share's. */
	assert_int_equal(offer(harness, POD_IN, 0, START, 100), 2);
	assert_int_equal(offer(harness, POD_IN, 0, START + 1000 * MS, 100), 0);
	assert_int_equal(offer(harness, POD_IN, 0, START + 2000 * MS, 100), 1);
	assert_int_equal(offer(harness, POD_IN, 0, START + 2500 * MS, 100), 0);
}

static void test_unlimited(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = open_with(0);
	assert_int_equal(offer(harness, POD_IN, 0, START, 10000), 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst),      cmocka_unit_test(test_rate),
		cmocka_unit_test(test_fair_share), cmocka_unit_test(test_both_directions),
		cmocka_unit_test(test_interfaces), cmocka_unit_test(test_bound),
		cmocka_unit_test(test_clock_back), cmocka_unit_test(test_low_rate),
		cmocka_unit_test(test_unlimited),
	};
	return cmocka_run_group_tests(tests, stay_on_one_cpu, NULL);
}
