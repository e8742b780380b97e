// SPDX-License-Identifier: Apache-2.0
/* Parse: IPv6, its extension headers and fragments, and the mapping of ICMP and ICMPv6 types to ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "selftests/row.h"

#define HOP  EXT(IPPROTO_HOPOPTS)
#define DEST EXT(IPPROTO_DSTOPTS)

static const struct row ipv6_rows[] = {
	{ "TCP",
	  PKT(ETH, IP6(), TCP(), BYTES(5)),
	  VERDICT_OBSERVED,
	  { "tcp [fd00::1]:40000 (1 65 A) -> [fd00::2]:443 (0 0)" } },
	{ "UDP, the other way",
	  PKT(ETH, IP6(REPLY), UDP(REPLY), BYTES(5)),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (0 0) -> [fd00::2]:443 (1 53)" } },
	{ "SCTP", PKT(ETH, IP6(), SCTP()), VERDICT_OBSERVED, { "sctp [fd00::1]:40000 (1 52) -> [fd00::2]:443 (0 0)" } },
	{ "ICMPv6",
	  PKT(ETH, IP6(), ICMP6(128, 0)),
	  VERDICT_OBSERVED,
	  { "icmp6 [fd00::1]:128 (1 48) -> [fd00::2]:129 (0 0)" } },
	{ "ESP is not looked into",
	  PKT(ETH, IP6(.protocol = IPPROTO_ESP), BYTES(24)),
	  VERDICT_OBSERVED,
	  { "50 [fd00::1]:0 (1 64) -> [fd00::2]:0 (0 0)" } },
	{ "no next header", PKT(ETH, IP6()), VERDICT_OBSERVED, { "59 [fd00::1]:0 (1 40) -> [fd00::2]:0 (0 0)" } },
	{ "no payload, padding does not count",
	  PKT(ETH, IP6(), PADDING(20)),
	  VERDICT_OBSERVED,
	  { "59 [fd00::1]:0 (1 40) -> [fd00::2]:0 (0 0)" } },
	{ "another version", PKT(ETH, IP6(.version = 4), UDP()), VERDICT_MALFORMED },
	{ "header cut short", PKT(ETH, VLAN, IP6(), CUT(57)), VERDICT_MALFORMED },
	{ "raw, header cut short", PKT(IP6(), CUT(39)), VERDICT_MALFORMED, .hook = TUN_IN },
	{ "payload beyond the frame", PKT(ETH, IP6(.longer = 1), UDP()), VERDICT_MALFORMED },
	{ "payload length zero", PKT(ETH, IP6(.no_length = true), UDP()), VERDICT_MALFORMED },
	{ "TCP cut short", PKT(ETH, IP6(.protocol = IPPROTO_TCP), BYTES(19)), VERDICT_MALFORMED },
	{ "UDP cut short", PKT(ETH, IP6(.protocol = IPPROTO_UDP), BYTES(7), PADDING(1)), VERDICT_MALFORMED },
	{ "SCTP cut short", PKT(ETH, IP6(.protocol = IPPROTO_SCTP), BYTES(11)), VERDICT_MALFORMED },
	{ "ICMPv6 cut short", PKT(ETH, IP6(.protocol = IPPROTO_ICMPV6), BYTES(7)), VERDICT_MALFORMED },
};

static const struct row extension_rows[] = {
	{ "hop-by-hop options",
	  PKT(ETH, IP6(), HOP, UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 56) -> [fd00::2]:443 (0 0)" } },
	{ "hop-by-hop options of 24 bytes",
	  PKT(ETH, IP6(), EXT(IPPROTO_HOPOPTS, .options = 16), UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 72) -> [fd00::2]:443 (0 0)" } },
	{ "hop-by-hop, multicast listener report",
	  PKT(ETH, IP6(), HOP, ICMP6(143, 0), BYTES(20)),
	  VERDICT_OBSERVED,
	  { "icmp6 [fd00::1]:143 (1 76) -> [fd00::2]:0 (0 0)" } },
	{ "routing",
	  PKT(ETH, IP6(), EXT(IPPROTO_ROUTING, .options = 16), TCP()),
	  VERDICT_OBSERVED,
	  { "tcp [fd00::1]:40000 (1 84 A) -> [fd00::2]:443 (0 0)" } },
	{ "destination options",
	  PKT(ETH, IP6(), DEST, UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 56) -> [fd00::2]:443 (0 0)" } },
	{ "mobility",
	  PKT(ETH, IP6(), EXT(135), UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 56) -> [fd00::2]:443 (0 0)" } },
	{ "host identity",
	  PKT(ETH, IP6(), EXT(139), UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 56) -> [fd00::2]:443 (0 0)" } },
	{ "Shim6",
	  PKT(ETH, IP6(), EXT(140), UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 56) -> [fd00::2]:443 (0 0)" } },
	{ "destination options before hop-by-hop",
	  PKT(ETH, IP6(), DEST, EXT(135), HOP, TCP()),
	  VERDICT_OBSERVED,
	  { "tcp [fd00::1]:40000 (1 84 A) -> [fd00::2]:443 (0 0)" } },
	{ "ESP ends the walk",
	  PKT(ETH, IP6(), HOP, EXT(IPPROTO_DSTOPTS, .protocol = IPPROTO_ESP), BYTES(24)),
	  VERDICT_OBSERVED,
	  { "50 [fd00::1]:0 (1 80) -> [fd00::2]:0 (0 0)" } },
	{ "authentication counts in words",
	  PKT(ETH, IP6(), EXT(IPPROTO_AH, .options = 4), UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 60) -> [fd00::2]:443 (0 0)" } },
	{ "one of each",
	  PKT(ETH, IP6(), HOP, DEST, EXT(IPPROTO_ROUTING), EXT(IPPROTO_FRAGMENT), EXT(IPPROTO_AH), UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 88) -> [fd00::2]:443 (0 0)" } },
	{ "behind a raw link",
	  PKT(IP6(), HOP, UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 56) -> [fd00::2]:443 (0 0)" },
	  TUN_IN },
	{ "an extension and nothing",
	  PKT(ETH, IP6(), DEST),
	  VERDICT_OBSERVED,
	  { "59 [fd00::1]:0 (1 48) -> [fd00::2]:0 (0 0)" } },
	{ "eight",
	  PKT(ETH, IP6(), HOP, DEST, DEST, DEST, DEST, DEST, DEST, DEST, UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 112) -> [fd00::2]:443 (0 0)" } },
	{ "nine", PKT(ETH, IP6(), HOP, DEST, DEST, DEST, DEST, DEST, DEST, DEST, DEST, UDP()), VERDICT_UNSUPPORTED },
	{ "cut short", PKT(ETH, IP6(.protocol = IPPROTO_DSTOPTS), BYTES(7)), VERDICT_MALFORMED },
	{ "the second is cut short", PKT(ETH, IP6(), HOP, EXT(IPPROTO_DSTOPTS), CUT(66)), VERDICT_MALFORMED },
	{ "ends beyond the frame", PKT(ETH, IP6(), EXT(IPPROTO_HOPOPTS, .longer = 8), BYTES(7)), VERDICT_MALFORMED },
	{ "ends in the frame's padding", PKT(ETH, IP6(), EXT(IPPROTO_HOPOPTS, .longer = 8), BYTES(4), PADDING(40)),
	  VERDICT_MALFORMED },
	{ "lies in the frame's padding", PKT(ETH, IP6(.protocol = IPPROTO_DSTOPTS), PADDING(40)), VERDICT_MALFORMED },
	{ "authentication beyond the packet", PKT(ETH, IP6(), EXT(IPPROTO_AH, .longer = 4), BYTES(3)),
	  VERDICT_MALFORMED },
	{ "no room left for UDP", PKT(ETH, IP6(), EXT(IPPROTO_HOPOPTS, .protocol = IPPROTO_UDP), BYTES(7)),
	  VERDICT_MALFORMED },
};

static const struct row fragment_rows[] = {
	{ "atomic: a whole packet",
	  PKT(ETH, IP6(), EXT(IPPROTO_FRAGMENT), UDP()),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 56) -> [fd00::2]:443 (0 0)" } },
	{ "atomic: lengths are believed as little", PKT(ETH, IP6(), EXT(IPPROTO_FRAGMENT), UDP(.longer = 1)),
	  VERDICT_MALFORMED },
	{ "first fragment has ports",
	  PKT(ETH, IP6(), EXT(IPPROTO_FRAGMENT, .more = true), UDP(.longer = 1000)),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:40000 (1 56) -> [fd00::2]:443 (0 0)" } },
	{ "later fragment has none",
	  PKT(ETH, IP6(), EXT(IPPROTO_FRAGMENT, .fragment = 1, .protocol = IPPROTO_UDP), BYTES(32)),
	  VERDICT_OBSERVED,
	  { "udp [fd00::1]:0 (1 80) -> [fd00::2]:0 (0 0)" } },
	{ "later fragment of one byte",
	  PKT(ETH, IP6(), EXT(IPPROTO_FRAGMENT, .fragment = 0x1fff, .protocol = IPPROTO_TCP), BYTES(1)),
	  VERDICT_OBSERVED,
	  { "tcp [fd00::1]:0 (1 49) -> [fd00::2]:0 (0 0)" } },
	{ "later fragment: what looks like an extension is payload",
	  PKT(ETH, IP6(), EXT(IPPROTO_FRAGMENT, .fragment = 1, .protocol = IPPROTO_DSTOPTS), BYTES(4)),
	  VERDICT_OBSERVED,
	  { "60 [fd00::1]:0 (1 52) -> [fd00::2]:0 (0 0)" } },
	{ "later fragment as the eighth header",
	  PKT(ETH, IP6(), HOP, DEST, DEST, DEST, DEST, DEST, DEST,
	      EXT(IPPROTO_FRAGMENT, .fragment = 1, .protocol = IPPROTO_DSTOPTS)),
	  VERDICT_OBSERVED,
	  { "60 [fd00::1]:0 (1 104) -> [fd00::2]:0 (0 0)" } },
	{ "fragment header cut short", PKT(ETH, IP6(.protocol = IPPROTO_FRAGMENT), BYTES(7)), VERDICT_MALFORMED },
};

/* The Community ID specification v1: a type that another one answers is paired with that, else the code stands there. */
static const struct icmp_case {
	uint8_t type, code, paired;
} icmp_cases[] = {
	{ 8, 0, 0 },   { 0, 0, 8 },   { 9, 0, 10 },  { 10, 0, 9 },  { 13, 0, 14 }, { 14, 0, 13 }, { 15, 0, 16 },
	{ 16, 0, 15 }, { 17, 0, 18 }, { 18, 0, 17 }, { 3, 1, 1 },   { 11, 0, 0 },  { 5, 3, 3 },   { 128, 7, 7 },
}, icmpv6_cases[] = {
	{ 128, 0, 129 }, { 129, 0, 128 }, { 130, 0, 131 }, { 131, 0, 130 }, { 133, 0, 134 }, { 134, 0, 133 },
	{ 135, 0, 136 }, { 136, 0, 135 }, { 139, 0, 140 }, { 140, 0, 139 }, { 144, 0, 145 }, { 145, 0, 144 },
	{ 1, 4, 4 },     { 2, 0, 0 },     { 137, 6, 6 },   { 143, 5, 5 },   { 8, 9, 9 },
};

static void test_icmp(void **state)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(icmp_cases); i++) {
		const struct icmp_case *icmp = &icmp_cases[i];
		snprintf(text, sizeof(text), "icmp 10.0.0.1:%d (1 28) -> 10.0.0.2:%d (0 0)", icmp->type, icmp->paired);
		const struct row row = {
			"ICMP", PKT(ETH, IP4(), ICMP(icmp->type, icmp->code)), VERDICT_OBSERVED, { text }
		};
		rows_run_each(harness, &row, 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(icmpv6_cases); i++) {
		const struct icmp_case *icmp = &icmpv6_cases[i];
		snprintf(text, sizeof(text), "icmp6 [fd00::1]:%d (1 48) -> [fd00::2]:%d (0 0)", icmp->type,
		         icmp->paired);
		const struct row row = {
			"ICMPv6", PKT(ETH, IP6(), ICMP6(icmp->type, icmp->code)), VERDICT_OBSERVED, { text }
		};
		rows_run_each(harness, &row, 1);
	}
}

static void run(const struct row *rows, size_t n)
{
	_cleanup_(harness_freep) struct harness *harness = harness_open(&(struct harness_options) { 0 });
	rows_run_each(harness, rows, n);
}

static void test_ipv6(void **state)
{
	run(ipv6_rows, ARRAY_SIZE(ipv6_rows));
}

static void test_extensions(void **state)
{
	run(extension_rows, ARRAY_SIZE(extension_rows));
}

static void test_fragments(void **state)
{
	run(fragment_rows, ARRAY_SIZE(fragment_rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_icmp),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
