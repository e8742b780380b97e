// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "selftests/filter_frames.h"
#include "user/cleanup.h"

#define FRAME_SIZE_MAX 3000
#define RUN_SIZE_MAX   3712 /* of the kernel's test run */

/* Each without its Ethernet header is a raw IP packet, where it is IP at all. */
static const struct layer shapes[][LAYERS_MAX] = {
	PKT(ETH, IP4(), TCP()),
	PKT(ETH, IP4(), TCP(.flags = TH_SYN, .options = 20)),
	PKT(ETH, IP4(REPLY), TCP(.flags = TH_SYN | TH_ACK, REPLY)),
	PKT(ETH, IP4(), TCP(.flags = TH_FIN | TH_ACK), BYTES(100)),
	PKT(ETH, IP4(REPLY), TCP(.flags = TH_RST, REPLY)),
	PKT(ETH, IP4(.options = 20), TCP(), BYTES(1400)),
	PKT(ETH, IP4(.options = 40), TCP(.to_port = 80, .options = 12), BYTES(30)),
	PKT(ETH, IP4(), UDP()),
	PKT(ETH, IP4(REPLY), UDP(REPLY), BYTES(40)),
	PKT(ETH, IP4(), UDP(.to_port = 53), BYTES(32)),
	PKT(ETH, IP4(.from = "192.168.0.1", .to = "224.0.0.251"), UDP(.from_port = 5353, .to_port = 5353), BYTES(200)),
	PKT(ETH, IP4(), UDP(), BYTES(2900)),
	PKT(ETH, IP4(), UDP(.from_port = 443, .to_port = 443)),
	PKT(ETH, IP4(), SCTP(), BYTES(20)),
	PKT(ETH, IP4(), ICMP(8, 0), BYTES(56)),
	PKT(ETH, IP4(REPLY), ICMP(0, 0), BYTES(56)),
	PKT(ETH, IP4(), ICMP(3, 1), IP4(), UDP()),
	PKT(ETH, IP4(.protocol = 2), BYTES(8)),
	PKT(ETH, IP4(.protocol = 47), BYTES(40)),
	PKT(ETH, IP4(.protocol = 50), BYTES(60)),
	PKT(ETH, IP4(), EXT(IPPROTO_AH, .options = 4), TCP()),
	PKT(ETH, IP4(), EXT(IPPROTO_AH, .options = 4), UDP(), BYTES(20)),
	PKT(ETH, IP4(.protocol = 103), BYTES(20)),
	PKT(ETH, IP4(.protocol = 112), BYTES(20)),
	PKT(ETH, IP4(.more = true), UDP(), BYTES(1400)),
	PKT(ETH, IP4(.fragment = 5, .protocol = IPPROTO_UDP), BYTES(200)),
	PKT(ETH, IP4(.fragment = 5, .protocol = IPPROTO_TCP), BYTES(200)),
	PKT(ETH, IP4(.protocol = 4), IP4(), TCP()),
	PKT(ETH, IP4(.protocol = 41), IP6(), UDP()),
	PKT(ETH, IP6(), TCP()),
	PKT(ETH, IP6(REPLY), TCP(.flags = TH_SYN | TH_ACK, REPLY)),
	PKT(ETH, IP6(), UDP()),
	PKT(ETH, IP6(.to = "ff02::fb"), UDP(.from_port = 5353, .to_port = 5353), BYTES(100)),
	PKT(ETH, IP6(), SCTP()),
	PKT(ETH, IP6(), ICMP6(128, 0), BYTES(56)),
	PKT(ETH, IP6(), ICMP6(135, 0), BYTES(24)),
	PKT(ETH, IP6(), EXT(0), TCP()),
	PKT(ETH, IP6(), EXT(0), EXT(60), UDP(), BYTES(30)),
	PKT(ETH, IP6(), EXT(43, .options = 16), EXT(60), TCP()),
	PKT(ETH, IP6(), EXT(0), EXT(43), EXT(60), EXT(60), EXT(60), EXT(60), SCTP()),
	PKT(ETH, IP6(), EXT(IPPROTO_FRAGMENT, .more = true), UDP(), BYTES(1200)),
	PKT(ETH, IP6(), EXT(IPPROTO_FRAGMENT, .fragment = 150, .protocol = IPPROTO_UDP), BYTES(100)),
	PKT(ETH, IP6(), EXT(IPPROTO_AH, .options = 4), TCP()),
	PKT(ETH, IP6(), EXT(0), EXT(IPPROTO_AH, .options = 4), EXT(60), UDP()),
	PKT(ETH, IP6()),
	PKT(ETH, VLAN, IP4(), TCP()),
	PKT(ETH, VLAN, IP4(), UDP(), BYTES(20)),
	PKT(ETH, VLAN, IP6(), UDP()),
	PKT(ETH, VLAN, VLAN, IP4(), TCP(), BYTES(40)),
	PKT(ETH_TYPE(0x88a8), VLAN, VLAN, IP6(), TCP()),
	PKT(ETH_TYPE(0x9100), VLAN, IP4(), UDP()),
	PKT(ETH, VLAN_TYPE(0x0806), BYTES(28)),
	PKT(ETH_TYPE(0x0806), BYTES(46)),
	PKT(ETH_TYPE(0x8035), BYTES(46)),
	PKT(ETH_TYPE(0x88cc), BYTES(60)),
	PKT(ETH_TYPE(0x0042), BYTES(66)),
	PKT(ETH_TYPE(0x8847), BYTES(60)),
	PKT(ETH_TYPE(0x8864), BYTES(60)),
	PKT(ETH_TYPE(0x8863), BYTES(46)),
	PKT(ETH, VLAN_TYPE(0x8864), BYTES(60)),
	PKT(ETH, VLAN_TYPE(0x8847), BYTES(60)),
	PKT(ETH, BYTES(0)),
	PKT(ETH, BYTES(1)),
	PKT(ETH, IP4(), UDP(.to_port = 4789), BYTES(100)),
	PKT(ETH, IP4(), UDP(.to_port = 6081), BYTES(100)),
	PKT(ETH, IP6(), UDP(.to_port = 6081), BYTES(120)),
};

/* What makes something of the bytes behind a header that packet.h does not know. Offsets from the frame's start. */
static const struct {
	uint16_t type_at, type; /* only where these two bytes stand there */
	uint16_t at;
	uint8_t bytes[24], size;
} contents[] = {
	/* ARP and RARP: Ethernet and IPv4, 10.0.0.1 asks for 10.0.0.2. */
	{ 12, 0x0806, 14, { 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0 }, 24 },
	{ 12, 0x0806, 38, { 10, 0, 0, 2 }, 4 },
	{ 12, 0x8035, 14, { 0, 1, 8, 0, 6, 4, 0, 3, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0 }, 24 },
	/* MPLS: label 100000, then 1024, at the bottom, IPv4 and TCP. */
	{ 12, 0x8847, 14, { 0x18, 0x6a, 0x00, 64, 0x00, 0x40, 0x01, 64, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6 }, 18 },
	{ 16, 0x8847, 18, { 0x18, 0x6a, 0x01, 64, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17 }, 14 },
	/* PPPoE: session 1 and session 0x27, IPv4 and IPv6. */
	{ 12, 0x8864, 14, { 0x11, 0, 0, 1, 0, 42, 0, 0x21, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1 }, 24 },
	{ 16, 0x8864, 18, { 0x11, 0, 0, 0x27, 0, 42, 0, 0x57, 0x60, 0, 0, 0, 0, 0, 17, 64 }, 16 },
	/* LLC: an unnumbered frame for the spanning tree. */
	{ 12, 0x0042, 14, { 0x42, 0x42, 0x03 }, 3 },
	/* VXLAN with a frame in it; Geneve 7 with 8 bytes of options, and IPv4. */
	{ 36, 4789, 42, { 8, 0, 0, 0, 0, 0, 7, 0 }, 8 },
	{ 36, 6081, 42, { 2, 0, 0x65, 0x58, 0, 0, 7, 0 }, 8 },
	{ 56, 6081, 62, { 0, 0, 0x08, 0x00, 0, 0, 11, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6 }, 18 },
};

static void fill_contents(struct frame *frame)
{
	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		size_t at = contents[i].type_at;
		if (frame->size >= contents[i].at + (size_t)contents[i].size &&
		    (frame->data[at] << 8 | frame->data[at + 1]) == contents[i].type)
			memcpy(frame->data + contents[i].at, contents[i].bytes, contents[i].size);
	}
}

/* Byte values and places that expressions look at more often than chance would. */
static void mutate(struct frame *frame, unsigned *seed)
{
	static const uint8_t likely[] = { 0, 1, 4, 6, 8, 17, 43, 44, 51, 58, 60, 0x45, 0x46, 0x60, 0x81, 0x86, 0xff };
	for (int changes = rand_r(seed) % 6; changes; changes--) {
		size_t reach = rand_r(seed) % 4 ? 70 : frame->size;
		size_t at = (size_t)rand_r(seed) % (reach < frame->size ? reach : frame->size);
		frame->data[at] =
			rand_r(seed) % 2 ? likely[(size_t)rand_r(seed) % ARRAY_SIZE(likely)] : (uint8_t)rand_r(seed);
	}
	switch (rand_r(seed) % 4) {
	case 0:
		frame->size = 14 + (size_t)rand_r(seed) % (frame->size - 13);
		break;
	case 1:
		frame->size += (size_t)rand_r(seed) % 64;
		break;
	}
}

static void random_bytes(struct frame *frame, unsigned *seed)
{
	frame->size = 14 + (size_t)rand_r(seed) % (rand_r(seed) % 8 ? 100 : FRAME_SIZE_MAX - 14);
	for (size_t i = 0; i < frame->size; i++)
		frame->data[i] = (uint8_t)rand_r(seed);
}

/* The kernel's test run takes no frame that is shorter than the headers which its EtherType announces. */
static size_t least_size(const uint8_t *data)
{
	uint16_t type = (uint16_t)(data[12] << 8 | data[13]);
	return type == 0x0800 ? 34 : type == 0x86dd ? 54 : 14;
}

bool filter_is_runnable(const uint8_t *data, size_t size)
{
	return size >= 14 && size >= least_size(data) && size <= RUN_SIZE_MAX;
}

static void make_runnable(struct frame *frame)
{
	size_t least = least_size(frame->data);
	if (frame->size < least)
		frame->size = least;
	if (frame->size > FRAME_SIZE_MAX)
		frame->size = FRAME_SIZE_MAX;
}

static void drop_ethernet(struct frame *frame)
{
	size_t header = frame->size >= 28 ? 14 : 0;
	memmove(frame->data, frame->data + header, frame->size - header);
	frame->size -= header;
}

void filter_frames(size_t n, unsigned seed, bool ethernet, struct frames *ret_frames)
{
	struct frame *frames = calloc(n, sizeof(*frames));
	assert_non_null(frames);
	for (size_t i = 0; i < n; i++) {
		struct frame *frame = &frames[i];
		packet_build(shapes[i % ARRAY_SIZE(shapes)], frame);
		fill_contents(frame);
		if (!ethernet)
			drop_ethernet(frame);
		if (i >= ARRAY_SIZE(shapes) && i % 16 == 0)
			random_bytes(frame, &seed);
		else if (i >= ARRAY_SIZE(shapes))
			mutate(frame, &seed);
		make_runnable(frame);
	}
	*ret_frames = (struct frames) { frames, n };
}
