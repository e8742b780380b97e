// SPDX-License-Identifier: Apache-2.0
/* Dedupe: a packet that passes several hooks counts at one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/dedupe.h"
#include "selftests/row.h"

#define SYN    PKT(ETH, IP4(), TCP(.flags = TH_SYN))
#define ACK    PKT(ETH, IP4(), TCP())
#define ANSWER PKT(ETH, IP4(REPLY), TCP(REPLY))

static void test_hooks(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness,
	      { "the first hook on the way",
	        SYN,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" },
	        POD_IN },
	      { "the second",
	        SYN,
	        VERDICT_DUPLICATE,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" },
	        NIC_OUT },
	      { "out where it came in",
	        SYN,
	        VERDICT_DUPLICATE,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (0 0)" },
	        POD_OUT },
	      { "the answer's first hook",
	        ANSWER,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 A)" },
	        NIC_IN },
	      { "the answer's second",
	        ANSWER,
	        VERDICT_DUPLICATE,
	        { "tcp 10.0.0.1:40000 (1 40 S) -> 10.0.0.2:443 (1 40 A)" },
	        POD_OUT },
	      { "the owner goes on",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (2 80 SA) -> 10.0.0.2:443 (1 40 A)" },
	        POD_IN });
}

/* What one end sent so far, the other one nothing. */
#define SENT(totals)                                                      \
	{                                                                 \
		"tcp 10.0.0.1:40000 (" totals " A) -> 10.0.0.2:443 (0 0)" \
	}

static void expect_stats(const struct harness *harness, uint64_t takeovers, uint64_t ambiguous)
{
	_cleanup_(freep) struct dedupe_stats *stats = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*stats));
	uint32_t zero = 0;
	uint64_t sums[2] = { 0 };
	assert_non_null(stats);
	assert_int_equal(bpf_map_lookup_elem(harness_map(harness, "dedupe_stats"), &zero, stats), 0);
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++) {
		sums[0] += stats[cpu].takeovers;
		sums[1] += stats[cpu].ambiguous;
	}
	assert_int_equal(sums[0], takeovers);
	assert_int_equal(sums[1], ambiguous);
}

static void test_silence(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness, { "the owner", ACK, VERDICT_OBSERVED, SENT("1 40"), NIC_IN },
	      { "a packet that waited in a queue", ACK, VERDICT_DUPLICATE, SENT("1 40"), POD_OUT, .after_ms = 150 },
	      { "the owner's silence is long: it moved", ACK, VERDICT_OBSERVED, SENT("2 80"), POD_OUT,
	        .after_ms = 100 },
	      { "an owner's silence alone does no harm", ACK, VERDICT_OBSERVED, SENT("3 120"), POD_OUT,
	        .after_ms = 5000 },
	      { "the other direction has its own owner",
	        ANSWER,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (3 120 A) -> 10.0.0.2:443 (1 40 A)" },
	        POD_IN },
	      { "and does not keep this one's alive",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (4 160 A) -> 10.0.0.2:443 (1 40 A)" },
	        NIC_OUT,
	        .after_ms = 210 });
	expect_stats(harness, 2, 0);
}

/* Of two uplinks the second one takes over at its first packet, and the first one back at its own, later. */
static void test_failover(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness, { "in by one", ACK, VERDICT_OBSERVED, SENT("1 40"), NIC_IN },
	      { "again", ACK, VERDICT_OBSERVED, SENT("2 80"), NIC_IN },
	      { "in by the other", ACK, VERDICT_OBSERVED, SENT("3 120"), NIC2_IN },
	      { "and further on", ACK, VERDICT_DUPLICATE, SENT("3 120"), POD_OUT },
	      { "back", ACK, VERDICT_OBSERVED, SENT("4 160"), NIC_IN, .after_ms = 210 },
	      { "and to it once more", ACK, VERDICT_OBSERVED, SENT("5 200"), NIC2_IN, .after_ms = 210 });
	expect_stats(harness, 3, 0);

	STORY(harness, { "out by one", ACK, VERDICT_OBSERVED, SENT("1 40"), NIC_OUT },
	      { "out by the other", ACK, VERDICT_OBSERVED, SENT("2 80"), NIC2_OUT });
	expect_stats(harness, 4, 0);
}

/* The same packets pass several edges in one direction: a proxy that keeps the addresses. They settle at one of them. */
static void test_ping_pong(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness, { "in from the pod", ACK, VERDICT_OBSERVED, SENT("1 40"), POD_IN },
	      { "the same, in from the proxy", ACK, VERDICT_OBSERVED, SENT("2 80"), NIC_IN },
	      { "the next one", ACK, VERDICT_DUPLICATE, SENT("2 80"), POD_IN },
	      { "is counted there", ACK, VERDICT_OBSERVED, SENT("3 120"), NIC_IN },
	      { "150 ms later", ACK, VERDICT_DUPLICATE, SENT("3 120"), POD_IN, .after_ms = 150 },
	      { "no change", ACK, VERDICT_OBSERVED, SENT("4 160"), NIC_IN },
	      { "150 ms later still", ACK, VERDICT_DUPLICATE, SENT("4 160"), POD_IN, .after_ms = 150 },
	      { "none either", ACK, VERDICT_OBSERVED, SENT("5 200"), NIC_IN },
	      { "without the proxy", ACK, VERDICT_OBSERVED, SENT("6 240"), POD_IN, .after_ms = 210 });
	expect_stats(harness, 2, 3);

	STORY(harness, { "three of them: the first", ACK, VERDICT_OBSERVED, SENT("1 40"), POD_IN },
	      { "the second", ACK, VERDICT_OBSERVED, SENT("2 80"), NIC_IN },
	      { "the third", ACK, VERDICT_DUPLICATE, SENT("2 80"), NIC2_IN },
	      { "the next packet at the first", ACK, VERDICT_DUPLICATE, SENT("2 80"), POD_IN },
	      { "at the second", ACK, VERDICT_OBSERVED, SENT("3 120"), NIC_IN },
	      { "at the third", ACK, VERDICT_DUPLICATE, SENT("3 120"), NIC2_IN });
	expect_stats(harness, 3, 6);
}

/* Hooks on the way, in other orders than they are passed. */
static void test_order(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness, { "only the way out is attached", ACK, VERDICT_OBSERVED, SENT("1 40"), NIC_OUT },
	      { "now the way in, too", ACK, VERDICT_OBSERVED, SENT("2 80"), POD_IN },
	      { "which has it", ACK, VERDICT_DUPLICATE, SENT("2 80"), NIC_OUT },
	      { "inside the host", ACK, VERDICT_DUPLICATE, SENT("2 80"), INNER_IN },
	      { "and out of that", ACK, VERDICT_DUPLICATE, SENT("2 80"), INNER_OUT });
	expect_stats(harness, 1, 0);

	STORY(harness, { "first seen inside", ACK, VERDICT_OBSERVED, SENT("1 40"), INNER_OUT },
	      { "then at the edge", ACK, VERDICT_DUPLICATE, SENT("1 40"), NIC_OUT },
	      { "and inside again", ACK, VERDICT_OBSERVED, SENT("2 80"), INNER_OUT },
	      { "it comes in at the edge", ACK, VERDICT_OBSERVED, SENT("3 120"), NIC_IN });
	expect_stats(harness, 2, 0);
}

/* Whatever happens, a bridge whose ports are attached owns nothing: not the first packet, not a direction gone silent. */
static void test_upper(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness, { "from the host", ACK, VERDICT_DUPLICATE, {}, BRIDGE_OUT },
	      { "by the port", ACK, VERDICT_OBSERVED, SENT("1 40"), POD_OUT },
	      { "the next", ACK, VERDICT_DUPLICATE, SENT("1 40"), BRIDGE_OUT },
	      { "as before", ACK, VERDICT_OBSERVED, SENT("2 80"), POD_OUT },
	      { "after a while", ACK, VERDICT_DUPLICATE, SENT("2 80"), BRIDGE_OUT, .after_ms = 1000 },
	      { "it is the port's still", ACK, VERDICT_OBSERVED, SENT("3 120"), POD_OUT });
	expect_stats(harness, 0, 0);
}

/* An owner that is gone keeps nobody waiting, wherever the others stand. */
static void test_departed(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	uint32_t id = HOOK_IFACE_ID(NIC_IN);

	STORY(harness, { "in", ACK, VERDICT_OBSERVED, SENT("1 40"), NIC_IN },
	      { "and on", ACK, VERDICT_DUPLICATE, SENT("1 40"), POD_OUT });
	assert_int_equal(bpf_map_update_elem(harness_map(harness, "departed"), &id, &id, BPF_ANY), 0);
	row_run(harness, &(struct row) { "the uplink is let go", ACK, VERDICT_OBSERVED, SENT("2 80"), POD_OUT });
	row_run(harness, &(struct row) { "for good", ACK, VERDICT_OBSERVED, SENT("3 120"), POD_OUT });
	expect_stats(harness, 1, 0);
}

/* The same interface with another place than before: nothing has moved. */
static void test_new_place(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	const struct entry entry = {
		.hook = hook_number(HOOK_IFACE_ID(NIC_IN), PLACE_INNER, DIRECTION_INGRESS),
		.stats_index = HOOK_STATS(NIC_IN),
		.link_type = LINK_ETHERNET,
	};

	STORY(harness, { "at the edge", ACK, VERDICT_OBSERVED, SENT("1 40"), NIC_IN });
	close(harness->entry[NIC_IN]);
	assert_int_equal(entry_load(&harness->loader, &entry, &harness->entry[NIC_IN]), 0);
	row_run(harness, &(struct row) { "inside", ACK, VERDICT_OBSERVED, SENT("2 80"), NIC_IN });
	row_run(harness, &(struct row) { "further on", ACK, VERDICT_DUPLICATE, SENT("2 80"), POD_OUT });
	expect_stats(harness, 0, 0);
}

/* The hooks from OUT - 1 on become those of a loopback device in the network namespace DOMAIN. */
static void make_loopback(struct harness *harness, enum hook out, uint16_t domain)
{
	for (uint32_t hook = out - 1; hook <= out; hook++) {
		enum hook_place place = hook == out ? PLACE_INNER : PLACE_UPPER;
		const struct entry entry = {
			.hook = hook_number(HOOK_IFACE_ID(hook), place, HOOK_DIRECTION(hook)),
			.stats_index = HOOK_STATS(hook),
			.link_type = LINK_ETHERNET,
			.domain = domain,
		};
		close(harness->entry[hook]);
		assert_int_equal(entry_load(&harness->loader, &entry, &harness->entry[hook]), 0);
	}
}

/* What goes out at a pod's loopback device comes in there again; the same tuple at another pod's is another flow. */
static void test_loopbacks(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	make_loopback(harness, POD_OUT, 1);
	make_loopback(harness, NIC_OUT, 2);
	STORY(harness, { "out", ACK, VERDICT_OBSERVED, SENT("1 40"), POD_OUT },
	      { "in again", ACK, VERDICT_DUPLICATE, SENT("1 40"), POD_IN },
	      { "in again, late", ACK, VERDICT_DUPLICATE, SENT("1 40"), POD_IN, .after_ms = 1000 },
	      { "out, after a silence", ACK, VERDICT_OBSERVED, SENT("2 80"), POD_OUT },
	      { "out in another pod",
	        ACK,
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)",
	          "tcp 10.0.0.1:40000 (2 80 A) -> 10.0.0.2:443 (0 0)" },
	        NIC_OUT },
	      { "and in",
	        ACK,
	        VERDICT_DUPLICATE,
	        { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0)",
	          "tcp 10.0.0.1:40000 (2 80 A) -> 10.0.0.2:443 (0 0)" },
	        NIC_IN });
	expect_stats(harness, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hooks),     cmocka_unit_test(test_silence),   cmocka_unit_test(test_failover),
		cmocka_unit_test(test_ping_pong), cmocka_unit_test(test_order),     cmocka_unit_test(test_upper),
		cmocka_unit_test(test_departed),  cmocka_unit_test(test_new_place), cmocka_unit_test(test_loopbacks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
