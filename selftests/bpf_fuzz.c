// SPDX-License-Identifier: Apache-2.0
/*
 * Fuzz: random packets, and sound ones that were damaged, through the programs. Each gets one verdict, none of them
 * `error`; what the table holds is what the hooks say they observed, and no flow has totals that cannot be.
 *
 *	FUZZ_PACKETS  how many (20,000)        SEED  repeats a run
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "selftests/harness.h"

/* Packets between two looks at the maps; and twice as many flows have room. */
#define ROUND     20000
#define FLOWS_MAX (2 * ROUND)
/* What a test run takes whatever the frame says it is. */
#define SIZE_MIN     54
#define SIZE_MAX_RUN 3712

static const struct layer templates[][LAYERS_MAX] = {
	PKT(ETH, IP4(), TCP(.flags = TH_SYN, .options = 20)),
	PKT(ETH, IP4(.options = 12), TCP(), BYTES(100)),
	PKT(ETH, IP4(), UDP(.to_port = 53), BYTES(60)),
	PKT(ETH, IP4(), ICMP(8, 0), BYTES(56)),
	PKT(ETH, IP4(.more = true), UDP(), BYTES(80)),
	PKT(ETH, IP4(.fragment = 100), BYTES(80)),
	PKT(ETH, VLAN, VLAN, IP6(), SCTP(), BYTES(40)),
	PKT(ETH, IP6(), EXT(IPPROTO_HOPOPTS), EXT(IPPROTO_ROUTING, .options = 16), EXT(IPPROTO_FRAGMENT, .more = true),
	    UDP(), BYTES(80)),
	PKT(ETH, IP6(), EXT(IPPROTO_DSTOPTS), EXT(IPPROTO_AH, .options = 16), TCP(), BYTES(300)),
	PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(), ETH, IP4(), TCP(), BYTES(50)),
	PKT(ETH, IP6(), UDP(GENEVE_PORT), GENEVE(), ETH, IP6(), UDP(), BYTES(50)),
	PKT(ETH, IP4(), GRE(), IP4(), GRE(), IP6(), TCP(), BYTES(20)),
	PKT(ETH, IP4(), IP6(), IP4(), UDP(), BYTES(20)),
	PKT(ETH, IP4(), UDP(), BYTES(2000)),
};

static uint64_t state;

/* xorshift64* */
static uint32_t random_below(uint32_t bound)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545f4914f6cdd1d) >> 32) % bound;
}

static void damage(struct frame *frame)
{
	for (uint32_t n = random_below(8); n; n--) {
		size_t reach = random_below(4) ? 96 : frame->size;
		uint8_t *byte = &frame->data[random_below((uint32_t)(reach < frame->size ? reach : frame->size))];
		*byte = random_below(2) ? (uint8_t)random_below(256) : (uint8_t)(*byte ^ 1 << random_below(8));
	}
	if (!random_below(4))
		frame->size = random_below((uint32_t)frame->size + 1);
	else if (!random_below(8))
		frame->size += random_below(200);
}

/* RAW: without the Ethernet header. */
static void make(struct frame *frame, bool raw)
{
	memset(frame->data, 0, sizeof(frame->data));
	if (!random_below(10)) {
		frame->size = random_below(SIZE_MAX_RUN);
		for (size_t i = 0; i < frame->size; i++)
			frame->data[i] = (uint8_t)random_below(256);
	} else {
		packet_build(templates[random_below(ARRAY_SIZE(templates))], frame);
		if (raw) {
			frame->size -= 14;
			memmove(frame->data, frame->data + 14, frame->size);
		}
		damage(frame);
	}
	if (frame->size < SIZE_MIN)
		frame->size = SIZE_MIN;
	if (frame->size > SIZE_MAX_RUN)
		frame->size = SIZE_MAX_RUN;
}

struct sums {
	uint64_t packets, bytes;
};

static void add(struct sums *sums, uint64_t packets, uint64_t bytes, const char *where)
{
	if (bytes < packets * 20 || (bytes && !packets))
		fail_msg("%s: %lu packets of together %lu bytes", where, packets, bytes);
	sums->packets += packets;
	sums->bytes += bytes;
}

static struct sums table_sums(const struct harness *harness)
{
	int map = harness_map(harness, "flows");
	struct flow_key key, *from = NULL;
	struct sums sums = { 0 };
	struct flow flow;

	for (; bpf_map_get_next_key(map, from, &key) == 0; from = &key) {
		assert_int_equal(bpf_map_lookup_elem(map, &key, &flow), 0);
		for (int end = 0; end < 2; end++)
			add(&sums, flow.end[end].packets, flow.end[end].bytes, "a flow in the table");
		assert_true(flow.end[0].packets + flow.end[1].packets > 0);
	}
	for (size_t i = 0; i < harness->n_slots; i++)
		for (int end = 0; end < 2 && harness->slots[i].id; end++)
			add(&sums, harness->slots[i].packets[end], harness->slots[i].bytes[end], "a slot");
	return sums;
}

static void check(const struct harness *harness, uint64_t sent)
{
	struct sums sums = table_sums(harness), full = { 0 }, observed = { 0 };
	uint64_t verdicts = 0, seen = 0;

	for (unsigned hook = 0; hook < HOOKS; hook++) {
		struct hook_stats stats = harness_hook_stats(harness, HOOK_STATS(hook));
		for (int verdict = 0; verdict < VERDICT_MAX; verdict++)
			verdicts += stats.verdicts[verdict];
		assert_int_equal(stats.verdicts[VERDICT_ERROR], 0);
		seen += stats.seen;
		observed.packets += stats.verdicts[VERDICT_OBSERVED];
		observed.bytes += stats.bytes_observed;
		full.packets += stats.table_full_packets;
		full.bytes += stats.table_full_bytes;
	}
	assert_int_equal(seen, sent);
	assert_int_equal(verdicts, sent);
	assert_int_equal(sums.packets + full.packets, observed.packets);
	assert_int_equal(sums.bytes + full.bytes, observed.bytes);
	/* Damage leaves many whole: a fuzzer whose packets are all refused would prove nothing. */
	assert_true(observed.packets > sent / 10);
	assert_true(observed.packets < sent);
}

static void test_fuzz(void **unused)
{
	const char *seed = getenv("SEED"), *packets = getenv("FUZZ_PACKETS");
	const struct harness_options options = {
		.flows_max = FLOWS_MAX,
		.config = { .samples = 1, .head_bytes = 1000, .snaplen = 256, .one_in = 10 },
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&options);
	const struct delivery delivery = { 0 };
	uint64_t left = packets ? strtoull(packets, NULL, 10) : ROUND;
	struct frame frame;

	state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	print_message("SEED=%lu FUZZ_PACKETS=%lu\n", state, left);
	state = state * 2 + 1; /* never 0 */
	while (left) {
		uint64_t round = left < ROUND ? left : ROUND;
		for (uint64_t i = 0; i < round; i++) {
			bool raw = !random_below(4);
			make(&frame, raw);
			assert_int_equal(program_run(harness->entry[raw ? TUN_IN : POD_IN], &frame, &delivery), -1);
			if (i % 16 == 0)
				harness_drain(harness);
		}
		check(harness, round);
		harness_clear(harness);
		left -= round;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_fuzz) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
