// SPDX-License-Identifier: Apache-2.0
/* Replay without the kernel: what the reader makes of link headers, and the parser as user space has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include <pcap/pcap.h>
#include "selftests/packet.h"
#include "user/capture.h"
#include "user/parse_user.h"

#define TIME_S 1767323045

/* A capture of one frame, opened. */
static struct capture *capture_of(int link, const void *data, uint32_t captured, uint32_t length)
{
	char path[] = "/tmp/sonde-unit-replay-XXXXXX", reason[CAPTURE_REASON_SIZE];
	_cleanup_(closep) int fd = mkstemp(path);
	struct capture *capture;
	assert_true(fd >= 0);
	pcap_t *dead = pcap_open_dead_with_tstamp_precision(link, 65535, PCAP_TSTAMP_PRECISION_NANO);
	pcap_dumper_t *dumper = pcap_dump_open(dead, path);
	struct pcap_pkthdr header = { .ts = { TIME_S, 123456789 }, .caplen = captured, .len = length };
	assert_non_null(dumper);

	pcap_dump((unsigned char *)dumper, &header, data);
	pcap_dump_close(dumper);
	pcap_close(dead);
	assert_int_equal(capture_open(path, &capture, reason), 0);
	unlink(path);
	return capture;
}

struct link_case {
	const char *name;
	int link;
	const char *bytes;   /* the frame */
	uint32_t size, more; /* of it here, and on the wire only */
	enum link_type link_type;
	const char *expected; /* what is left; NULL: the frame as it is */
	uint32_t expected_size;
};

#define BYTES_OF(text) text, sizeof(text) - 1
#define SLL_HEAD       "\0\0\0\1\0\6\2\0\0\0\0\1\0\0"
#define SLL2_TAIL      "\0\0\0\0\0\3\0\1\0\6\2\0\0\0\0\1\0\0"
#define ETH_ZERO       "\0\0\0\0\0\0\0\0\0\0\0\0"

static void test_links(void **state)
{
	static const struct link_case cases[] = {
		{ "Ethernet", DLT_EN10MB, BYTES_OF("abcdefghijkl\x08\0E"), 3, LINK_ETHERNET, NULL, 0 },
		{ "raw IPv4", DLT_RAW, BYTES_OF("E234"), 0, LINK_RAW_IP, NULL, 0 },
		{ "cooked IPv4", DLT_LINUX_SLL, BYTES_OF(SLL_HEAD "\x08\0E234"), 9, LINK_RAW_IP, BYTES_OF("E234") },
		{ "cooked IPv6", DLT_LINUX_SLL, BYTES_OF(SLL_HEAD "\x86\xdd`234"), 0, LINK_RAW_IP, BYTES_OF("`234") },
		{ "cooked ARP", DLT_LINUX_SLL, BYTES_OF(SLL_HEAD "\x08\x06xyz"), 0, LINK_ETHERNET,
		  BYTES_OF(ETH_ZERO "\x08\x06xyz") },
		{ "cooked VLAN", DLT_LINUX_SLL, BYTES_OF(SLL_HEAD "\x81\0\0*\x08\0E"), 5, LINK_ETHERNET,
		  BYTES_OF(ETH_ZERO "\x81\0\0*\x08\0E") },
		{ "cooked, IPv4 that is none", DLT_LINUX_SLL, BYTES_OF(SLL_HEAD "\x08\0`234"), 0, LINK_ETHERNET,
		  BYTES_OF(ETH_ZERO "\x08\0`234") },
		{ "cooked, nothing behind", DLT_LINUX_SLL, BYTES_OF(SLL_HEAD "\x08\0"), 0, LINK_ETHERNET,
		  BYTES_OF(ETH_ZERO "\x08\0") },
		{ "cooked, cut in the header", DLT_LINUX_SLL, BYTES_OF(SLL_HEAD), 20, LINK_RAW_IP, BYTES_OF("") },
		{ "cooked v2 IPv4", DLT_LINUX_SLL2, BYTES_OF("\x08\0" SLL2_TAIL "E234"), 0, LINK_RAW_IP,
		  BYTES_OF("E234") },
		{ "cooked v2 LLDP", DLT_LINUX_SLL2, BYTES_OF("\x88\xcc" SLL2_TAIL "x"), 0, LINK_ETHERNET,
		  BYTES_OF(ETH_ZERO "\x88\xccx") },
		{ "loopback IPv4", DLT_NULL, BYTES_OF("\2\0\0\0E2"), 0, LINK_RAW_IP, BYTES_OF("E2") },
		{ "loopback IPv6, big endian", DLT_NULL, BYTES_OF("\0\0\0\x1e`2"), 0, LINK_RAW_IP, BYTES_OF("`2") },
		{ "loopback, another family", DLT_LOOP, BYTES_OF("\0\0\0\x10zz"), 0, LINK_ETHERNET,
		  BYTES_OF(ETH_ZERO "\0\0zz") },
	};
	char reason[CAPTURE_REASON_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct link_case *row = &cases[i];
		_cleanup_(capture_freep) struct capture *capture =
			capture_of(row->link, row->bytes, row->size, row->size + row->more);
		const char *expected = row->expected ? row->expected : row->bytes;
		uint32_t size = row->expected ? row->expected_size : row->size;
		struct capture_frame frame;

		if (capture_next(capture, &frame, reason) != 1)
			fail_msg("%s: %s", row->name, reason);
		if (frame.link_type != row->link_type || frame.captured != size || memcmp(frame.data, expected, size))
			fail_msg("%s: link type %d, %u bytes", row->name, frame.link_type, frame.captured);
		if (row->size >= 16 || row->link != DLT_LINUX_SLL)
			assert_int_equal(frame.length, frame.captured + row->more);
		assert_true(frame.time_ns == TIME_S * 1000000000ULL + 123456789);
		assert_int_equal(capture_next(capture, &frame, reason), 0);
	}
}

static void test_refusals(void **state)
{
	struct capture *capture = NULL;
	char reason[CAPTURE_REASON_SIZE] = "";
	assert_int_equal(capture_open("/nonexistent/capture", &capture, reason), -ENOENT);
	assert_non_null(strstr(reason, "No such file"));
	assert_int_equal(capture_open("/dev/null", &capture, reason), -EBADMSG);
	assert_null(capture);
}

/* What the bytes of a whole packet must be for a parser to let it pass; everything shorter is cut. */
static void check_every_length(const struct layer *layers, enum link_type link_type, size_t needs)
{
	struct frame frame;
	packet_build(layers, &frame);
	assert_true(frame.size >= needs);
	for (size_t size = 0; size <= frame.size; size++) {
		/* An own allocation, so that a read behind the end is found by the sanitizers. */
		_cleanup_(freep) uint8_t *copy = malloc(size ? size : 1);
		assert_non_null(copy);
		memcpy(copy, frame.data, size);
		enum verdict verdict = parse_user(link_type, copy, (uint32_t)size, (uint32_t)frame.size);
		if (verdict != (size < needs ? VERDICT_MALFORMED : VERDICT_OBSERVED))
			fail_msg("%zu of %zu bytes: verdict %d", size, frame.size, verdict);
		/* And where that is all there was on the wire. */
		verdict = parse_user(link_type, copy, (uint32_t)size, (uint32_t)size);
		if (verdict != (size < frame.size ? VERDICT_MALFORMED : VERDICT_OBSERVED))
			fail_msg("%zu bytes alone: verdict %d", size, verdict);
	}
}

static void test_short(void **state)
{
	static const struct layer udp4[LAYERS_MAX] = PKT(ETH, IP4(), UDP(), BYTES(18));
	static const struct layer udp6[LAYERS_MAX] = PKT(ETH, IP6(), UDP(), BYTES(18));
	static const struct layer raw[LAYERS_MAX] = PKT(IP4(), TCP(), BYTES(20));
	static const struct layer raw6[LAYERS_MAX] = PKT(IP6(), ICMP6(128, 0), BYTES(20));
	static const struct layer tagged[LAYERS_MAX] = PKT(ETH, VLAN, IP4(), UDP(), BYTES(14));
	static const struct layer other[LAYERS_MAX] = PKT(ETH, BYTES(46));
	struct frame frame;

	check_every_length(udp4, LINK_ETHERNET, 14 + 20 + 8);
	check_every_length(udp6, LINK_ETHERNET, 14 + 40 + 8);
	check_every_length(raw, LINK_RAW_IP, 20 + 20);
	check_every_length(raw6, LINK_RAW_IP, 40 + 8);
	check_every_length(tagged, LINK_ETHERNET, 18 + 20 + 8);
	packet_build(other, &frame);
	for (uint32_t size = 0; size <= 60; size++)
		assert_int_equal(parse_user(LINK_ETHERNET, frame.data, size, 60),
		                 size < 14 ? VERDICT_MALFORMED : VERDICT_NOT_IP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_short),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
