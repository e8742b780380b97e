// SPDX-License-Identifier: Apache-2.0
/* Parse: link headers, IPv4 and transport headers; IPv6 and super-packets have tables of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "selftests/row.h"

static const struct row link_rows[] = {
	{ "Ethernet",
	  PKT(ETH, IP4(), UDP(), BYTES(10)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 38) -> 10.0.0.2:443 (0 0)" } },
	{ "padding to Ethernet's minimum does not count",
	  PKT(ETH, IP4(), UDP(), BYTES(1), PADDING(17)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 29) -> 10.0.0.2:443 (0 0)" } },
	{ "one VLAN tag",
	  PKT(ETH, VLAN, IP4(), UDP(), BYTES(10)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 38) -> 10.0.0.2:443 (0 0) vlan 42" } },
	{ "service and customer tag",
	  PKT(ETH_TYPE(0x88a8), VLAN, VLAN, IP6(), UDP(), BYTES(10)),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 58) -> [fd00::2]:443 (0 0) vlan 42.42" } },
	{ "customer tag outside",
	  PKT(ETH, VLAN_TYPE(0x88a8), VLAN, IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0) vlan 42.42" } },
	{ "three tags", PKT(ETH, VLAN, VLAN, VLAN, IP4(), UDP()), VERDICT_UNSUPPORTED },
	{ "three tags, the third a service tag", PKT(ETH, VLAN, VLAN_TYPE(0x88a8), VLAN, IP4(), UDP()),
	  VERDICT_UNSUPPORTED },
	{ "no tag behind the type", PKT(ETH_TYPE(0x8100)), VERDICT_MALFORMED },
	{ "half a tag", PKT(ETH, VLAN, CUT(17)), VERDICT_MALFORMED },
	{ "half a second tag", PKT(ETH, VLAN, VLAN, CUT(21)), VERDICT_MALFORMED },
	{ "a tag and nothing", PKT(ETH, VLAN_TYPE(0x0800)), VERDICT_MALFORMED },
	{ "ARP", PKT(ETH_TYPE(0x0806), BYTES(28)), VERDICT_NOT_IP },
	{ "ARP in a VLAN", PKT(ETH, VLAN_TYPE(0x0806), BYTES(28)), VERDICT_NOT_IP },
	{ "LLDP", PKT(ETH_TYPE(0x88cc), BYTES(40)), VERDICT_NOT_IP },
	{ "MPLS", PKT(ETH_TYPE(0x8847), BYTES(40)), VERDICT_NOT_IP },
	{ "spanning tree: a length in place of the type", PKT(ETH_TYPE(38), BYTES(38)), VERDICT_NOT_IP },
	{ "a header and nothing", PKT(ETH), VERDICT_NOT_IP },

	{ "raw IPv4",
	  PKT(IP4(), UDP(), BYTES(10)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 38) -> 10.0.0.2:443 (0 0)" },
	  TUN_IN },
	{ "raw IPv6",
	  PKT(IP6(), UDP(), BYTES(10)),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 58) -> [fd00::2]:443 (0 0)" },
	  TUN_OUT },
	{ "raw, options",
	  PKT(IP4(.options = 4), TCP()),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 44 A) -> 10.0.0.2:443 (0 0)" },
	  TUN_IN },
	{ "raw, neither", PKT(IP4(.version = 5), UDP()), VERDICT_NOT_IP, .hook = TUN_IN },
	{ "raw, zeros", PKT(BYTES(1), PADDING(19)), VERDICT_NOT_IP, .hook = TUN_IN },
	{ "an Ethernet frame where there is no Ethernet", PKT(ETH, IP4(), UDP()), VERDICT_NOT_IP, .hook = TUN_IN },
};

static const struct row ipv4_rows[] = {
	{ "options are skipped",
	  PKT(ETH, IP4(.options = 8), UDP(), BYTES(4)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 40) -> 10.0.0.2:443 (0 0)" } },
	{ "the longest header",
	  PKT(ETH, IP4(.options = 40), TCP(.flags = TH_SYN)),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 80 S) -> 10.0.0.2:443 (0 0)" } },
	{ "GRE with a protocol that is not looked into",
	  PKT(ETH, IP4(.protocol = 47), BYTES(4)),
	  VERDICT_OBSERVED,
	  { "47 10.0.0.1:0 (1 24) -> 10.0.0.2:0 (0 0)" } },
	{ "nothing behind the header",
	  PKT(ETH, IP4(.protocol = 47)),
	  VERDICT_OBSERVED,
	  { "47 10.0.0.1:0 (1 20) -> 10.0.0.2:0 (0 0)" } },
	{ "another version", PKT(ETH, IP4(.version = 6), UDP()), VERDICT_MALFORMED },
	{ "header cut short", PKT(ETH, VLAN, IP4(), CUT(37)), VERDICT_MALFORMED },
	{ "raw, header cut short", PKT(IP4(), CUT(19)), VERDICT_MALFORMED, .hook = TUN_IN },
	{ "header length below 20", PKT(ETH, IP4(.header = 16), UDP()), VERDICT_MALFORMED },
	{ "header length 0", PKT(ETH, IP4(.header = 3), UDP()), VERDICT_MALFORMED },
	{ "header beyond the packet", PKT(ETH, IP4(.header = 32), UDP()), VERDICT_MALFORMED },
	{ "total length below the header", PKT(ETH, IP4(.protocol = 47, .longer = -1)), VERDICT_MALFORMED },
	{ "total length beyond the frame", PKT(ETH, IP4(.longer = 1), UDP()), VERDICT_MALFORMED },
	{ "total length beyond a tagged frame", PKT(ETH, VLAN, IP4(.longer = 1), UDP()), VERDICT_MALFORMED },
	{ "total length zero", PKT(ETH, IP4(.no_length = true), UDP()), VERDICT_MALFORMED },

	{ "authentication header",
	  PKT(ETH, IP4(), EXT(IPPROTO_AH, .options = 4), TCP()),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 52 A) -> 10.0.0.2:443 (0 0)" } },
	{ "authentication header cut short", PKT(ETH, IP4(.protocol = IPPROTO_AH), BYTES(7)), VERDICT_MALFORMED },
	{ "IPv6's extensions are none of IPv4's",
	  PKT(ETH, IP4(.protocol = IPPROTO_DSTOPTS), BYTES(8)),
	  VERDICT_OBSERVED,
	  { "60 10.0.0.1:0 (1 28) -> 10.0.0.2:0 (0 0)" } },
	{ "do not fragment",
	  PKT(ETH, IP4(.fragment = 0x4000), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" } },
	{ "first fragment has ports",
	  PKT(ETH, IP4(.more = true), UDP(.longer = 1000), BYTES(32)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 60) -> 10.0.0.2:443 (0 0)" } },
	{ "first fragment ends within TCP's options",
	  PKT(ETH, IP4(.more = true), TCP(.header = 40), BYTES(4)),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 44 A) -> 10.0.0.2:443 (0 0)" } },
	{ "first fragment ends within TCP's fixed header", PKT(ETH, IP4(.more = true), TCP(), CUT(42)),
	  VERDICT_MALFORMED },
	{ "first fragment of eight bytes: ports, no flags",
	  PKT(ETH, IP4(.more = true, .protocol = IPPROTO_TCP), UDP()),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" } },
	{ "first fragment of SCTP, eight bytes",
	  PKT(ETH, IP4(.more = true, .protocol = IPPROTO_SCTP), UDP()),
	  VERDICT_OBSERVED,
	  { "sctp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" } },
	{ "first fragment too short for ports", PKT(ETH, IP4(.more = true, .protocol = IPPROTO_UDP), BYTES(7)),
	  VERDICT_MALFORMED },
	{ "later fragment has none",
	  PKT(ETH, IP4(.fragment = 1, .more = true, .protocol = IPPROTO_UDP), BYTES(32)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:0 (1 52) -> 10.0.0.2:0 (0 0)" } },
	{ "last fragment of one byte",
	  PKT(ETH, IP4(.fragment = 0x1fff, .protocol = IPPROTO_TCP), BYTES(1)),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:0 (1 21) -> 10.0.0.2:0 (0 0)" } },
};

static const struct row transport_rows[] = {
	{ "TCP",
	  PKT(ETH, IP4(), TCP(), BYTES(5)),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 45 A) -> 10.0.0.2:443 (0 0)" } },
	{ "TCP, all flags",
	  PKT(ETH, IP4(), TCP(.flags = 0xff)),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 40 FSRPAUEC) <- 10.0.0.2:443 (0 0)" } },
	{ "TCP with options",
	  PKT(ETH, IP4(), TCP(.options = 40), BYTES(5)),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 85 A) -> 10.0.0.2:443 (0 0)" } },
	{ "TCP cut short", PKT(ETH, IP4(.protocol = IPPROTO_TCP), BYTES(19)), VERDICT_MALFORMED },
	{ "TCP ends in the frame's padding", PKT(ETH, IP4(.protocol = IPPROTO_TCP), BYTES(19), PADDING(20)),
	  VERDICT_MALFORMED },
	{ "TCP header length below 20", PKT(ETH, IP4(), TCP(.header = 16)), VERDICT_MALFORMED },
	{ "TCP header beyond the packet", PKT(ETH, IP4(), TCP(.header = 24), BYTES(3)), VERDICT_MALFORMED },
	{ "TCP header in the frame's padding", PKT(ETH, IP4(), TCP(.header = 24), PADDING(6)), VERDICT_MALFORMED },
	{ "TCP header ends with the packet",
	  PKT(ETH, IP4(), TCP(.header = 24), BYTES(4)),
	  VERDICT_OBSERVED,
	  { "tcp 10.0.0.1:40000 (1 44 A) -> 10.0.0.2:443 (0 0)" } },
	{ "UDP without payload",
	  PKT(ETH, IP4(), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 28) -> 10.0.0.2:443 (0 0)" } },
	{ "UDP cut short", PKT(ETH, IP4(.protocol = IPPROTO_UDP), BYTES(7)), VERDICT_MALFORMED },
	{ "UDP length below its header", PKT(ETH, IP4(), UDP(.longer = -1)), VERDICT_MALFORMED },
	{ "UDP length beyond the packet", PKT(ETH, IP4(), UDP(.longer = 1), BYTES(9)), VERDICT_MALFORMED },
	{ "UDP length in the frame's padding", PKT(ETH, IP4(), UDP(.longer = 1), PADDING(9)), VERDICT_MALFORMED },
	{ "UDP length below the packet's",
	  PKT(ETH, IP4(), UDP(.longer = -2), BYTES(9)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 37) -> 10.0.0.2:443 (0 0)" } },
	{ "UDP length zero",
	  PKT(ETH, IP4(), UDP(.no_length = true), BYTES(9)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (1 37) -> 10.0.0.2:443 (0 0)" } },
	{ "SCTP",
	  PKT(ETH, IP4(), SCTP(), BYTES(16)),
	  VERDICT_OBSERVED,
	  { "sctp 10.0.0.1:40000 (1 48) -> 10.0.0.2:443 (0 0)" } },
	{ "SCTP cut short", PKT(ETH, IP4(.protocol = IPPROTO_SCTP), BYTES(11)), VERDICT_MALFORMED },
	{ "SCTP ends in the frame's padding", PKT(ETH, IP4(.protocol = IPPROTO_SCTP), BYTES(11), PADDING(20)),
	  VERDICT_MALFORMED },
	{ "ICMP echo",
	  PKT(ETH, IP4(), ICMP(8, 0), BYTES(56)),
	  VERDICT_OBSERVED,
	  { "icmp 10.0.0.1:8 (1 84) -> 10.0.0.2:0 (0 0)" } },
	{ "ICMP cut short", PKT(ETH, IP4(.protocol = IPPROTO_ICMP), BYTES(7)), VERDICT_MALFORMED },
	{ "ICMP ends in the frame's padding", PKT(ETH, IP4(.protocol = IPPROTO_ICMP), BYTES(7), PADDING(20)),
	  VERDICT_MALFORMED },
};

/* Both directions of a conversation have one key: the lower address first, then the lower port. */
static const struct row key_rows[] = {
	{ "upwards",
	  PKT(ETH, IP4(.from = "9.255.255.255"), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 9.255.255.255:40000 (1 28) -> 10.0.0.2:443 (0 0)" } },
	{ "downwards",
	  PKT(ETH, IP4(.from = "10.0.1.0", .to = "10.0.0.255"), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.255:443 (0 0) <- 10.0.1.0:40000 (1 28)" } },
	{ "high addresses are not negative",
	  PKT(ETH, IP4(.from = "200.0.0.1", .to = "100.0.0.1"), UDP()),
	  VERDICT_OBSERVED,
	  { "udp 100.0.0.1:443 (0 0) <- 200.0.0.1:40000 (1 28)" } },
	{ "to itself, ports upwards",
	  PKT(ETH, IP4(.to = "10.0.0.1"), UDP(.from_port = 255, .to_port = 256)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:255 (1 28) -> 10.0.0.1:256 (0 0)" } },
	{ "to itself, ports downwards",
	  PKT(ETH, IP4(.to = "10.0.0.1"), UDP(.from_port = 50000, .to_port = 40000)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:40000 (0 0) <- 10.0.0.1:50000 (1 28)" } },
	{ "to itself, the same port",
	  PKT(ETH, IP4(.to = "10.0.0.1"), UDP(.from_port = 5353, .to_port = 5353)),
	  VERDICT_OBSERVED,
	  { "udp 10.0.0.1:5353 (1 28) -> 10.0.0.1:5353 (0 0)" } },
	{ "IPv6 differs in its last byte",
	  PKT(ETH, IP6(.from = "fd00::ff", .to = "fd00::fe"), UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::fe]:443 (0 0) <- [fd00::ff]:40000 (1 48)" } },
	{ "IPv6 differs in its first byte",
	  PKT(ETH, IP6(.from = "fd00::1", .to = "fe00::"), UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 48) -> [fe00::]:443 (0 0)" } },
};

static void run(const struct row *rows, size_t n)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	rows_run_each(harness, rows, n);
}

static void test_link(void **state)
{
	run(link_rows, ARRAY_SIZE(link_rows));
}

static void test_ipv4(void **state)
{
	run(ipv4_rows, ARRAY_SIZE(ipv4_rows));
}

static void test_transport(void **state)
{
	run(transport_rows, ARRAY_SIZE(transport_rows));
}

static void test_key(void **state)
{
	run(key_rows, ARRAY_SIZE(key_rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_ipv4),
		cmocka_unit_test(test_transport),
		cmocka_unit_test(test_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
