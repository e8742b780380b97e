// SPDX-License-Identifier: Apache-2.0
/* VLAN tags set a flow apart, unless this host terminates the VLAN. Tags in metadata: selftests/net/test_vlan.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include "bpf/iface.h"
#include "selftests/row.h"

#define FLOW "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)"

static const struct row rows[] = {
	{ "one tag", PKT(ETH, VLAN_ID(.id = 5), IP4(), UDP()), VERDICT_OBSERVED, { FLOW " vlan 5" } },
	{ "priority and drop eligibility are not part of the id",
	  PKT(ETH, VLAN_ID(.id = 0xf005), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { FLOW " vlan 5" } },
	{ "two tags",
	  PKT(ETH_TYPE(0x88a8), VLAN_ID(.id = 5), VLAN_ID(.id = 4095), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { FLOW " vlan 5.4095" } },
	{ "a priority tag", PKT(ETH, VLAN_ID(.id = 0xe000), IP4(), UDP()), VERDICT_OBSERVED, { FLOW } },
	{ "a priority tag outside",
	  PKT(ETH, VLAN_ID(.id = 0), VLAN_ID(.id = 7), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { FLOW " vlan 7" } },
	{ "a priority tag inside",
	  PKT(ETH, VLAN_ID(.id = 5), VLAN_ID(.id = 0), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { FLOW " vlan 5" } },
	{ "priority tags are tags: three", PKT(ETH, VLAN_ID(.id = 0), VLAN_ID(.id = 0), VLAN, IP4(), UDP()),
	  VERDICT_UNSUPPORTED },
};

/* With VLANs 5, 6 and 7 in 6 on the interface POD. */
static const struct row terminated_rows[] = {
	{ "terminated", PKT(ETH, VLAN_ID(.id = 5), IP4(), UDP()), VERDICT_OBSERVED, { FLOW } },
	{ "not this one", PKT(ETH, VLAN_ID(.id = 4), IP4(), UDP()), VERDICT_OBSERVED, { FLOW " vlan 4" } },
	{ "not on this interface",
	  PKT(ETH, VLAN_ID(.id = 5), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { FLOW " vlan 5" },
	  NIC_IN },
	{ "a tag inside counts alone",
	  PKT(ETH, VLAN_ID(.id = 5), VLAN_ID(.id = 9), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { FLOW " vlan 9" } },
	{ "a tag inside that is terminated, too",
	  PKT(ETH, VLAN_ID(.id = 6), VLAN_ID(.id = 7), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { FLOW } },
	{ "the same in another one",
	  PKT(ETH, VLAN_ID(.id = 5), VLAN_ID(.id = 7), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { FLOW " vlan 7" } },
	{ "the same outside", PKT(ETH, VLAN_ID(.id = 7), IP4(), UDP()), VERDICT_OBSERVED, { FLOW " vlan 7" } },
	{ "terminated inside one that is not",
	  PKT(ETH, VLAN_ID(.id = 4), VLAN_ID(.id = 5), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { FLOW " vlan 4.5" } },
	{ "behind a priority tag",
	  PKT(ETH, VLAN_ID(.id = 0), VLAN_ID(.id = 5), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { FLOW } },
};

static void test_segments(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	rows_run_each(harness, rows, ARRAY_SIZE(rows));
}

static void test_terminated(void **state)
{
	static const struct vlan_key keys[] = {
		{ .iface_id = HOOK_IFACE_ID(POD_IN), .vid = 5 },
		{ .iface_id = HOOK_IFACE_ID(POD_IN), .vid = 6 },
		{ .iface_id = HOOK_IFACE_ID(POD_IN), .vid = 7, .outer = 6 },
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	const uint8_t nothing = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_int_equal(bpf_map_update_elem(harness_map(harness, "vlans"), &keys[i], &nothing, BPF_ANY), 0);
	rows_run_each(harness, terminated_rows, ARRAY_SIZE(terminated_rows));
}

/* The same tuple in two VLANs is two flows. */
static void test_apart(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness, { "in one", PKT(ETH, VLAN_ID(.id = 5), IP4(), UDP()), VERDICT_OBSERVED, { FLOW " vlan 5" } },
	      { "in another",
	        PKT(ETH, VLAN_ID(.id = 6), IP4(), UDP()),
	        VERDICT_OBSERVED,
	        { FLOW " vlan 5", FLOW " vlan 6" } });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_terminated),
		cmocka_unit_test(test_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
