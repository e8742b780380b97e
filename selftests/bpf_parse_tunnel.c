// SPDX-License-Identifier: Apache-2.0
/* Parse: what is in a tunnel is the flow, and what only looks like a tunnel is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "selftests/row.h"

#define OUTER4    IP4(.from = "192.0.2.1", .to = "192.0.2.2")
#define OUTER6    IP6(.from = "2001:db8::1", .to = "2001:db8::2")
#define TO_VXLAN  UDP(.from_port = 50000, VXLAN_PORT)
#define TO_LINUX  UDP(.from_port = 50000, .to_port = 8472)
#define TO_GENEVE UDP(.from_port = 50000, GENEVE_PORT)

static const struct row udp_rows[] = {
	{ "VXLAN",
	  PKT(ETH, OUTER4, TO_VXLAN, VXLAN(.id = 7), ETH, IP4(), TCP(), BYTES(5)),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 45 A) -> 10.0.0.2:443 (0 0) vxlan 7" } },
	{ "VXLAN, Linux's port, IPv6 in IPv6, the way back",
	  PKT(ETH, OUTER6, TO_LINUX, VXLAN(.id = 0xffffff), ETH, IP6(REPLY), UDP(REPLY), BYTES(5)),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (0 0) -> [fd00::2]:443 (1 53) vxlan 16777215" } },
	{ "VXLAN, the addresses outside are in another order than inside",
	  PKT(ETH, IP4(.from = "192.0.2.2", .to = "192.0.2.1"), TO_VXLAN, VXLAN(.id = 7), ETH, IP4(), ICMP(8, 0)),
	  VERDICT_OBSERVED,
	  { "icmp 10.0.0.1:8 (1 28) -> 10.0.0.2:0 (0 0) vxlan 7" } },
	{ "VXLAN on a raw link, with flags that are ignored",
	  PKT(OUTER4, TO_VXLAN, VXLAN(.id = 7, .flags = 0x88), ETH, IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) vxlan 7" },
	  TUN_IN },
	{ "VXLAN without UDP length",
	  PKT(ETH, OUTER6, UDP(VXLAN_PORT, .no_length = true), VXLAN(.id = 7), ETH, IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) vxlan 7" } },
	{ "VXLAN in a VLAN, with two VLAN tags inside: the tunnel counts",
	  PKT(ETH, VLAN, OUTER4, TO_VXLAN, VXLAN(.id = 7), ETH, VLAN, VLAN, IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) vxlan 7" } },
	{ "padding inside does not count",
	  PKT(ETH, OUTER4, UDP(VXLAN_PORT), VXLAN(.id = 7), ETH, IP4(.longer = -9), UDP(.longer = -9), BYTES(9)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) vxlan 7" } },
	{ "Geneve, Ethernet inside",
	  PKT(ETH, OUTER4, TO_GENEVE, GENEVE(.id = 9), ETH, IP4(), UDP(), BYTES(5)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 33) -> 10.0.0.2:443 (0 0) geneve 9" } },
	{ "Geneve, IPv6 inside, with options",
	  PKT(ETH, OUTER4, TO_GENEVE, GENEVE(.id = 9, .options = 252), IP6(), EXT(IPPROTO_HOPOPTS), TCP()),
	  VERDICT_OBSERVED,
	  { "tcp [fd00::1]:40000 (1 68 A) -> [fd00::2]:443 (0 0) geneve 9" } },
	{ "Geneve, IPv4 inside",
	  PKT(ETH, OUTER6, TO_GENEVE, GENEVE(.id = 9), IP4(), TCP()),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0) geneve 9" } },
	{ "inside, a header that cannot be", PKT(ETH, OUTER4, TO_VXLAN, VXLAN(.id = 7), ETH, IP4(), TCP(.header = 16)),
	  VERDICT_MALFORMED },
	{ "inside, more extensions than are followed",
	  PKT(ETH, OUTER4, TO_VXLAN, VXLAN(.id = 7), ETH, IP6(), EXT(0), EXT(60), EXT(60), EXT(60), EXT(60), EXT(60),
	      EXT(60), EXT(60), EXT(60), UDP()),
	  VERDICT_UNSUPPORTED },
};

/* A port is a hint only: all of these are ordinary UDP flows. */
#define PLAIN(bytes)                                                       \
	{                                                                  \
		"udp 10.0.0.1:40000 (1 " #bytes ") -> 10.0.0.2:4789 (0 0)" \
	}
static const struct row no_tunnel_rows[] = {
	{ "nothing behind UDP", PKT(ETH, IP4(), UDP(VXLAN_PORT)), VERDICT_OBSERVED, PLAIN(28) },
	{ "seven bytes", PKT(ETH, IP4(), UDP(VXLAN_PORT), BYTES(7)), VERDICT_OBSERVED, PLAIN(35) },
	{ "something else", PKT(ETH, IP4(), UDP(VXLAN_PORT), BYTES(100)), VERDICT_OBSERVED, PLAIN(128) },
	{ "no VNI", PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(.flags = 0x77), ETH, IP4(), UDP()), VERDICT_OBSERVED,
	  PLAIN(78) },
	{ "ARP inside", PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(), ETH_TYPE(0x0806), BYTES(28)), VERDICT_OBSERVED,
	  PLAIN(78) },
	{ "three tags inside", PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(), ETH, VLAN, VLAN, VLAN, IP4(), UDP()),
	  VERDICT_OBSERVED, PLAIN(90) },
	{ "inside, another version", PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(), ETH, IP4(.version = 6), UDP()),
	  VERDICT_OBSERVED, PLAIN(78) },
	{ "inside, IPv6 announced", PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(), ETH_TYPE(0x86dd), IP4(), BYTES(30)),
	  VERDICT_OBSERVED, PLAIN(100) },
	{ "inside, a header below 20 bytes", PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(), ETH, IP4(.header = 16), UDP()),
	  VERDICT_OBSERVED, PLAIN(78) },
	{ "inside, a length beyond the outside",
	  PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(), ETH, IP4(.longer = 1), UDP()), VERDICT_OBSERVED, PLAIN(78) },
	{ "inside, a length that ends in the outer padding",
	  PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(), ETH, IP4(.longer = 1), UDP(), PADDING(9)), VERDICT_OBSERVED,
	  PLAIN(78) },
	{ "inside, IPv6 beyond the outside", PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(), ETH, IP6(.longer = 1), UDP()),
	  VERDICT_OBSERVED, PLAIN(98) },
	{ "inside, length zero", PKT(ETH, IP4(), UDP(VXLAN_PORT), VXLAN(), ETH, IP4(.no_length = true), UDP()),
	  VERDICT_OBSERVED, PLAIN(78) },
	{ "Geneve of another version",
	  PKT(ETH, IP4(), UDP(GENEVE_PORT), GENEVE(.flags = 0x4000), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 64) -> 10.0.0.2:6081 (0 0)" } },
	{ "Geneve with options beyond the packet",
	  PKT(ETH, IP4(), UDP(GENEVE_PORT), GENEVE(.longer = 252), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 64) -> 10.0.0.2:6081 (0 0)" } },
	{ "Geneve with another protocol",
	  PKT(ETH, IP4(), UDP(GENEVE_PORT), GENEVE(.type = 0x894f), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 64) -> 10.0.0.2:6081 (0 0)" } },
	{ "from a tunnel's port, not to it",
	  PKT(ETH, IP4(), UDP(.from_port = 4789), VXLAN(), ETH, IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:4789 (1 78) -> 10.0.0.2:443 (0 0)" } },
	{ "TCP to a tunnel's port",
	  PKT(ETH, IP4(), TCP(VXLAN_PORT), VXLAN(), ETH, IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 90 A) -> 10.0.0.2:4789 (0 0)" } },
	{ "the outer packet is a first fragment: it goes where the later ones go",
	  PKT(ETH, IP4(.more = true), UDP(VXLAN_PORT), VXLAN(), ETH, IP4(), UDP(), BYTES(6)), VERDICT_OBSERVED,
	  PLAIN(84) },
};

static const struct row gre_rows[] = {
	{ "IPv4",
	  PKT(ETH, OUTER4, GRE(), IP4(), UDP(), BYTES(5)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 33) -> 10.0.0.2:443 (0 0) gre 0" } },
	{ "IPv6 over IPv6, with a key",
	  PKT(ETH, OUTER6, GRE(.flags = 0x2000, .id = 0xfffffffe), IP6(), UDP(), BYTES(5)),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 53) -> [fd00::2]:443 (0 0) gre 4294967294" } },
	{ "checksum, key and sequence",
	  PKT(ETH, OUTER4, GRE(.flags = 0xb000, .id = 5), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) gre 5" } },
	{ "checksum and sequence, no key",
	  PKT(ETH, OUTER4, GRE(.flags = 0x9000), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) gre 0" } },
	{ "Ethernet inside, as in NVGRE",
	  PKT(ETH, OUTER4, GRE(.flags = 0x2000, .id = 0x123401), ETH, VLAN, IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) gre 1192961" } },
	{ "behind IPv6 extension headers",
	  PKT(ETH, OUTER6, EXT(IPPROTO_DSTOPTS), GRE(), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) gre 0" } },
	{ "another version (PPTP)",
	  PKT(ETH, IP4(), GRE(.flags = 0x2001), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "47 10.0.0.1:0 (1 56) -> 10.0.0.2:0 (0 0)" } },
	{ "source routing",
	  PKT(ETH, IP4(), GRE(.flags = 0x4000), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "47 10.0.0.1:0 (1 52) -> 10.0.0.2:0 (0 0)" } },
	{ "another protocol",
	  PKT(ETH, IP4(), GRE(.type = 0x88be), IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "47 10.0.0.1:0 (1 52) -> 10.0.0.2:0 (0 0)" } },
	{ "a key that is not there", PKT(ETH, IP4(.protocol = IPPROTO_GRE), IP4(.from = "32.0.8.0"), CUT(38)),
	  VERDICT_MALFORMED },
	{ "nothing inside",
	  PKT(ETH, IP4(), GRE(.type = 0x0800)),
	  VERDICT_OBSERVED,
	  { "47 10.0.0.1:0 (1 24) -> 10.0.0.2:0 (0 0)" } },
	{ "inside, a length beyond the outside",
	  PKT(ETH, IP4(), GRE(), IP4(.longer = 1), UDP()),
	  VERDICT_OBSERVED,
	  { "47 10.0.0.1:0 (1 52) -> 10.0.0.2:0 (0 0)" } },
};

/* Protocols 4 and 41 promise IP. */
static const struct row ipip_rows[] = {
	{ "IPv4 in IPv4",
	  PKT(ETH, OUTER4, IP4(), TCP()),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0) ipip 0" } },
	{ "IPv6 in IPv4",
	  PKT(ETH, OUTER4, IP6(), TCP()),
	  VERDICT_OBSERVED,
	  { "tcp [fd00::1]:40000 (1 60 A) -> [fd00::2]:443 (0 0) ipip 0" } },
	{ "IPv4 in IPv6",
	  PKT(ETH, OUTER6, IP4(), TCP()),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 40 A) -> 10.0.0.2:443 (0 0) ipip 0" } },
	{ "IPv6 in IPv6 behind destination options",
	  PKT(ETH, OUTER6, EXT(IPPROTO_DSTOPTS), IP6(), TCP()),
	  VERDICT_OBSERVED,
	  { "tcp [fd00::1]:40000 (1 60 A) -> [fd00::2]:443 (0 0) ipip 0" } },
	{ "no ports inside, UDP outside them all",
	  PKT(ETH, OUTER4, TO_VXLAN, VXLAN(), ETH, OUTER4, IP4(.protocol = IPPROTO_ESP), BYTES(20)),
	  VERDICT_OBSERVED,
	  { "50 10.0.0.1:0 (1 40) -> 10.0.0.2:0 (0 0) ipip 0" } },
	{ "another version inside", PKT(ETH, OUTER4, IP4(.version = 6), TCP()), VERDICT_MALFORMED },
	{ "inside, a length beyond the outside", PKT(ETH, OUTER4, IP4(.longer = 1), TCP()), VERDICT_MALFORMED },
	{ "nothing inside", PKT(ETH, IP4(.protocol = IPPROTO_IPIP)), VERDICT_MALFORMED },
	{ "the outer packet is a first fragment",
	  PKT(ETH, IP4(.more = true), IP4(), TCP()),
	  VERDICT_OBSERVED,
	  { "4 10.0.0.1:0 (1 60) -> 10.0.0.2:0 (0 0)" } },
};

static const struct row nested_rows[] = {
	{ "VXLAN in GRE: the innermost counts",
	  PKT(ETH, OUTER4, GRE(.flags = 0x2000, .id = 5), OUTER6, TO_VXLAN, VXLAN(.id = 7), ETH, IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) vxlan 7" } },
	{ "three",
	  PKT(ETH, OUTER4, OUTER6, OUTER4, IP6(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 48) -> [fd00::2]:443 (0 0) ipip 0" } },
	{ "four", PKT(ETH, OUTER4, OUTER6, OUTER4, OUTER6, IP4(), UDP()), VERDICT_UNSUPPORTED },
	{ "three, and a port that is no tunnel's",
	  PKT(ETH, OUTER4, OUTER4, OUTER4, IP4(), UDP(VXLAN_PORT), BYTES(40)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 68) -> 10.0.0.2:4789 (0 0) ipip 0" } },
};

/* Headers repeat from the inner IP header on. */
static const struct row gso_rows[] = {
	{ "super-packet in VXLAN",
	  PKT(ETH, OUTER4, TO_VXLAN, VXLAN(.id = 7), ETH, IP4(), TCP(), BYTES(2500)),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (3 2620 A) -> 10.0.0.2:443 (0 0) vxlan 7" },
	  .gso_size = 1000,
	  .gso_segs = 3,
	  .packets = 3 },
	{ "super-packet in GRE that nobody counted",
	  PKT(ETH, OUTER4, GRE(), IP6(), TCP(), BYTES(2001)),
	  VERDICT_OBSERVED,
	  { "tcp [fd00::1]:40000 (3 2181 A) -> [fd00::2]:443 (0 0) gre 0" },
	  .gso_size = 1000,
	  .packets = 3 },
	{ "too long for the length fields",
	  PKT(ETH, IP6(.no_length = true), UDP(VXLAN_PORT, .no_length = true), VXLAN(.id = 7), ETH,
	      IP6(.no_length = true), TCP(), BYTES(2500)),
	  VERDICT_OBSERVED,
	  { "tcp [fd00::1]:40000 (3 2680 A) -> [fd00::2]:443 (0 0) vxlan 7" },
	  .gso_size = 1000,
	  .gso_segs = 3,
	  .packets = 3 },
};

static void run(const struct row *rows, size_t n)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	rows_run_each(harness, rows, n);
}

static void test_udp(void **state)
{
	run(udp_rows, ARRAY_SIZE(udp_rows));
}

static void test_no_tunnel(void **state)
{
	run(no_tunnel_rows, ARRAY_SIZE(no_tunnel_rows));
}

static void test_gre(void **state)
{
	run(gre_rows, ARRAY_SIZE(gre_rows));
}

static void test_ipip(void **state)
{
	run(ipip_rows, ARRAY_SIZE(ipip_rows));
}

static void test_nested(void **state)
{
	run(nested_rows, ARRAY_SIZE(nested_rows));
}

static void test_gso(void **state)
{
	run(gso_rows, ARRAY_SIZE(gso_rows));
}

/* An encapsulated conversation is one flow; the same tuple outside the tunnel, or in another one, is another. */
static void test_apart(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });

	STORY(harness,
	      { "there",
	        PKT(ETH, OUTER4, TO_VXLAN, VXLAN(.id = 7), ETH, IP4(), UDP()),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) vxlan 7" } },
	      { "and back",
	        PKT(ETH, IP4(.from = "192.0.2.2", .to = "192.0.2.1"), TO_VXLAN, VXLAN(.id = 7), ETH, IP4(REPLY),
	            UDP(REPLY), BYTES(2)),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (1 30) vxlan 7" } },
	      { "in another network",
	        PKT(ETH, OUTER4, TO_VXLAN, VXLAN(.id = 8), ETH, IP4(), UDP()),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (1 30) vxlan 7",
	          "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) vxlan 8" } },
	      { "in none",
	        PKT(ETH, IP4(), UDP()),
	        VERDICT_OBSERVED,
	        { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (1 30) vxlan 7",
	          "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) vxlan 8",
	          "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" } });
}

/* A frame that ends anywhere gets a verdict, and that is not "error". */
static void test_cut(void **state)
{
	static const struct layer packets[][LAYERS_MAX] = {
		PKT(OUTER4, TO_VXLAN, VXLAN(.id = 7), ETH, VLAN, IP4(.options = 4), TCP(.options = 4), BYTES(3)),
		PKT(OUTER6, TO_GENEVE, GENEVE(.id = 7, .options = 8), IP6(), EXT(60), UDP(), BYTES(3)),
		PKT(OUTER4, GRE(.flags = 0xb000), ETH, IP4(), ICMP(8, 0), BYTES(3)),
		PKT(OUTER4, IP6(), GRE(), IP4(), SCTP(), BYTES(3)),
	};
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	struct frame frame;

	for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
		packet_build(packets[i], &frame);
		uint64_t sent = 0;
		harness_clear(harness);
		for (size_t size = frame.size; size >= 14; size--, sent++) {
			frame.size = size;
			assert_int_equal(program_run(harness->entry[TUN_IN], &frame, &(struct delivery) { 0 }), -1);
		}
		struct hook_stats stats = harness_hook_stats(harness, HOOK_STATS(TUN_IN));
		assert_int_equal(stats.seen, sent);
		assert_int_equal(stats.verdicts[VERDICT_OBSERVED], 1);
		assert_int_equal(stats.verdicts[VERDICT_MALFORMED], sent - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp),   cmocka_unit_test(test_no_tunnel), cmocka_unit_test(test_gre),
		cmocka_unit_test(test_ipip),  cmocka_unit_test(test_nested),    cmocka_unit_test(test_gso),
		cmocka_unit_test(test_apart), cmocka_unit_test(test_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
