// SPDX-License-Identifier: Apache-2.0
/* Fragments: the later ones go to the flow of the first, and to no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "bpf/config.h"
#include "sensor.skel.h"
#include "selftests/row.h"

#define FIRST(...) IP4(.more = true, __VA_ARGS__)
#define LATER(...) IP4(.fragment = 4, .protocol = IPPROTO_UDP, __VA_ARGS__) /* of UDP */
#define BIG_UDP    UDP(.longer = 1000)

static void test_ipv4(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness,
	      { "first",
	        PKT(ETH, FIRST(.id = 7), BIG_UDP, BYTES(24)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (1 52) -> 10.0.0.2:443 (0 0)" } },
	      { "second",
	        PKT(ETH, LATER(.id = 7, .more = true), BYTES(32)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (2 104) -> 10.0.0.2:443 (0 0)" } },
	      { "third",
	        PKT(ETH, LATER(.id = 7), BYTES(1)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (3 125) -> 10.0.0.2:443 (0 0)" } },
	      { "the other way, the same identification, its first one lost",
	        PKT(ETH, LATER(REPLY, .id = 7), BYTES(1)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (3 125) -> 10.0.0.2:443 (0 0)", "udp 10.0.0.1:0 (0 0) <- 10.0.0.2:0 (1 21)" } },
	      { "the other way, a first one",
	        PKT(ETH, FIRST(REPLY, .id = 7), UDP(REPLY, .longer = 1000), BYTES(24)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (3 125) -> 10.0.0.2:443 (1 52)", "udp 10.0.0.1:0 (0 0) <- 10.0.0.2:0 (1 21)" } },
	      { "and a later one of it",
	        PKT(ETH, LATER(REPLY, .id = 7), BYTES(1)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (3 125) -> 10.0.0.2:443 (2 73)", "udp 10.0.0.1:0 (0 0) <- 10.0.0.2:0 (1 21)" } });
}

/* What only looks like a part of the same packet. */
static void test_others(void **state)
{
	static const struct row others[] = {
		{ "another identification",
		  PKT(ETH, LATER(.id = 8), BYTES(8)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 52) -> 10.0.0.2:443 (0 0)", "udp 10.0.0.1:0 (1 28) -> 10.0.0.2:0 (0 0)" } },
		{ "another protocol",
		  PKT(ETH, IP4(.id = 7, .fragment = 4, .protocol = IPPROTO_TCP), BYTES(8)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 52) -> 10.0.0.2:443 (0 0)", "tcp 10.0.0.1:0 (1 28) -> 10.0.0.2:0 (0 0)" } },
		{ "another destination",
		  PKT(ETH, LATER(.id = 7, .to = "10.0.0.3"), BYTES(8)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 52) -> 10.0.0.2:443 (0 0)", "udp 10.0.0.1:0 (1 28) -> 10.0.0.3:0 (0 0)" } },
		{ "in a VLAN",
		  PKT(ETH, VLAN, LATER(.id = 7), BYTES(8)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 52) -> 10.0.0.2:443 (0 0)",
		    "udp 10.0.0.1:0 (1 28) -> 10.0.0.2:0 (0 0) vlan 42" } },
		{ "in a tunnel",
		  PKT(ETH, IP4(), GRE(), LATER(.id = 7), BYTES(8)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 52) -> 10.0.0.2:443 (0 0)",
		    "udp 10.0.0.1:0 (1 28) -> 10.0.0.2:0 (0 0) gre 0" } },
	};
	static const struct row first = { "first",
		                          PKT(ETH, FIRST(.id = 7), BIG_UDP, BYTES(24)),
		                          VERDICT_OBSERVED,
		                          { "udp 10.0.0.1:40000 (1 52) -> 10.0.0.2:443 (0 0)" } };
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		harness_clear(harness);
		row_run(harness, &first);
		row_run(harness, &others[i]);
	}
}

/* An identification that comes again is the next packet's. */
static void test_again(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness,
	      { "first of one",
	        PKT(ETH, FIRST(.id = 7), UDP(.from_port = 1111), BYTES(24)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:1111 (1 52) -> 10.0.0.2:443 (0 0)" } },
	      { "first of another",
	        PKT(ETH, FIRST(.id = 7), UDP(.from_port = 2222), BYTES(24)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:1111 (1 52) -> 10.0.0.2:443 (0 0)",
	          "udp 10.0.0.1:2222 (1 52) -> 10.0.0.2:443 (0 0)" } },
	      { "later",
	        PKT(ETH, LATER(.id = 7), BYTES(8)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:1111 (1 52) -> 10.0.0.2:443 (0 0)",
	          "udp 10.0.0.1:2222 (2 80) -> 10.0.0.2:443 (0 0)" } });
}

/* Identifications come again: what was seen long ago says nothing. */
static void test_stale(void **state)
{
	static const struct row rows[] = {
		{ "first",
		  PKT(ETH, FIRST(.id = 7), BIG_UDP, BYTES(24)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (1 52) -> 10.0.0.2:443 (0 0)" } },
		{ "29 s later",
		  PKT(ETH, LATER(.id = 7), BYTES(8)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (2 80) -> 10.0.0.2:443 (0 0)" } },
		{ "31 s later",
		  PKT(ETH, LATER(.id = 7), BYTES(8)),
		  VERDICT_OBSERVED,
		  { "udp 10.0.0.1:40000 (2 80) -> 10.0.0.2:443 (0 0)", "udp 10.0.0.1:0 (1 28) -> 10.0.0.2:0 (0 0)" } },
	};
	static const uint64_t pass_ms[] = { 0, 29000, 2000 };
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	int map = harness_map(harness, "fragments");
	uint8_t key[48];
	uint64_t value[2];

	assert_int_equal(bpf_map__key_size(harness->skeleton->maps.fragments), sizeof(key));
	assert_int_equal(bpf_map__value_size(harness->skeleton->maps.fragments), sizeof(value));
	harness_clear(harness);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (bpf_map_get_next_key(map, NULL, key) == 0) {
			assert_int_equal(bpf_map_lookup_elem(map, key, value), 0);
			value[0] -= pass_ms[i] * 1000000; /* struct fragment begins with its time */
			assert_int_equal(bpf_map_update_elem(map, key, value, BPF_EXIST), 0);
		}
		row_run(harness, &rows[i]);
	}
}

/* To itself: only the ports tell the ends apart, and later fragments learn them. */
static void test_same_address(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness,
	      { "first",
	        PKT(ETH, FIRST(.id = 7, .to = "10.0.0.1"), BIG_UDP, BYTES(24)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:443 (0 0) <- 10.0.0.1:40000 (1 52)" } },
	      { "later",
	        PKT(ETH, LATER(.id = 7, .to = "10.0.0.1"), BYTES(8)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:443 (0 0) <- 10.0.0.1:40000 (2 80)" } });
}

/* Ports are in each first fragment; TCP's flags may be beyond it, and ICMP's type stands for ports. */
static void test_short(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness,
	      { "eight bytes of TCP",
	        PKT(ETH, FIRST(.id = 7, .protocol = IPPROTO_TCP), UDP()),
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" } },
	      { "the rest",
	        PKT(ETH, IP4(.id = 7, .fragment = 1, .protocol = IPPROTO_TCP), BYTES(12)),
	        VERDICT_OBSERVED,
	        { "tcp 10.0.0.1:40000 (2 60) -> 10.0.0.2:443 (0 0)" } });
	STORY(harness,
	      { "echo",
	        PKT(ETH, FIRST(.id = 9), ICMP(8, 0), BYTES(24)),
	        VERDICT_OBSERVED,
	        { "icmp 10.0.0.1:8 (1 52) -> 10.0.0.2:0 (0 0)" } },
	      { "the rest of it",
	        PKT(ETH, IP4(.id = 9, .fragment = 4, .protocol = IPPROTO_ICMP), BYTES(12)),
	        VERDICT_OBSERVED,
	        { "icmp 10.0.0.1:8 (2 84) -> 10.0.0.2:0 (0 0)" } });
}

/* RFC 8200: identification and addresses are all that fragments have in common; the first one's header counts. */
static void test_ipv6(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness,
	      { "first, with options in the part that is cut up",
	        PKT(ETH, IP6(), EXT(IPPROTO_FRAGMENT, .more = true, .id = 0x80000001), EXT(IPPROTO_DSTOPTS), BIG_UDP),
	        VERDICT_OBSERVED,
	        { "udp [fd00::1]:40000 (1 64) -> [fd00::2]:443 (0 0)" } },
	      { "later",
	        PKT(ETH, IP6(), EXT(IPPROTO_FRAGMENT, .fragment = 2, .id = 0x80000001, .protocol = IPPROTO_DSTOPTS),
	            BYTES(8)),
	        VERDICT_OBSERVED,
	        { "udp [fd00::1]:40000 (2 120) -> [fd00::2]:443 (0 0)" } },
	      { "another identification, of 32 bits",
	        PKT(ETH, IP6(), EXT(IPPROTO_FRAGMENT, .fragment = 2, .id = 1, .protocol = IPPROTO_UDP), BYTES(8)),
	        VERDICT_OBSERVED,
	        { "udp [fd00::1]:40000 (2 120) -> [fd00::2]:443 (0 0)",
	          "udp [fd00::1]:0 (1 56) -> [fd00::2]:0 (0 0)" } });
}

/* Inside a tunnel as outside; a tunnel's own packet in fragments is the tunnel's flow, all of it. */
static void test_tunnel(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness,
	      { "inside, first",
	        PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(.id = 7), ETH, FIRST(.id = 7), BIG_UDP, BYTES(24)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (1 52) -> 10.0.0.2:443 (0 0) vxlan 7" } },
	      { "inside, later",
	        PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(.id = 7), ETH, LATER(.id = 7), BYTES(8)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (2 80) -> 10.0.0.2:443 (0 0) vxlan 7" } });
	STORY(harness,
	      { "outside, first",
	        PKT(ETH, FIRST(.id = 7), UDP(VXLAN_PORT), VXLAN(.id = 7), ETH, IP4(), UDP(), BYTES(6)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (1 84) -> 10.0.0.2:4789 (0 0)" } },
	      { "outside, later",
	        PKT(ETH, LATER(.id = 7), BYTES(8)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (2 112) -> 10.0.0.2:4789 (0 0)" } });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),  cmocka_unit_test(test_others),       cmocka_unit_test(test_again),
		cmocka_unit_test(test_stale), cmocka_unit_test(test_same_address), cmocka_unit_test(test_short),
		cmocka_unit_test(test_ipv6),  cmocka_unit_test(test_tunnel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
