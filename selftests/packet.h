/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets for tests, written down as the layers they are made of, from the outside in:
 *
 *	struct layer packet[LAYERS_MAX] = PKT(ETH, IP4(), UDP(.to_port = 53), BYTES(32));
 *
 * Each layer names the next one, and its length is that of what follows, unless the test says otherwise. Without
 * addresses and ports a packet goes from 10.0.0.1 (fd00::1) port 40000 to 10.0.0.2 (fd00::2) port 443, with REPLY in
 * both layers the other way. Checksums are zero.
 */
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAYERS_MAX 20
#define FRAME_MAX  4096

enum layer_kind {
	LAYER_NONE,
	LAYER_ETHERNET,
	LAYER_VLAN,
	LAYER_IPV4,
	LAYER_IPV6,
	LAYER_EXTENSION,
	LAYER_TCP,
	LAYER_UDP,
	LAYER_SCTP,
	LAYER_ICMP,
	LAYER_ICMPV6,
	LAYER_VXLAN,
	LAYER_GENEVE,
	LAYER_GRE,
	LAYER_BYTES,
	LAYER_TEXT,
	LAYER_PADDING,
	LAYER_CUT,
};

/* Numbers in host order. Zero is what a sound packet has. */
struct layer {
	enum layer_kind kind;
	const char *from, *to;       /* IP: addresses */
	uint16_t from_port, to_port; /* TCP, UDP, SCTP */
	bool reply;                  /* IP, TCP, UDP, SCTP: both are swapped */
	uint16_t type;               /* Ethernet, VLAN, Geneve, GRE: EtherType of what follows; ICMP: type */
	uint8_t code;                /* ICMP */
	uint8_t version;             /* IP */
	uint8_t protocol;            /* IP, extension: of what follows */
	uint8_t number;              /* extension: its own */
	uint16_t fragment;           /* IPv4, fragment header: offset, in units of 8 bytes */
	bool more;                   /* IPv4, fragment header: more fragments follow */
	uint8_t options;             /* IPv4, TCP, extension, Geneve: bytes more than the smallest header has */
	uint8_t header;              /* IPv4, TCP: header length it claims, in bytes */
	int longer;                  /* IP, extension, UDP, Geneve: claims so many bytes more than there are */
	bool no_length;              /* IP, UDP: the length field is zero */
	uint16_t flags;              /* TCP: TH_*; VXLAN, Geneve, GRE: the first bytes */
	uint32_t id;                 /* IPv4, fragment header: identification; VXLAN, Geneve: VNI; GRE: key; VLAN: id */
	uint16_t size;               /* bytes, text, padding, cut */
	const char *text;            /* text */
};

#define PKT(...)            \
	{                   \
		__VA_ARGS__ \
	}

#define ETH                            \
	{                              \
		.kind = LAYER_ETHERNET \
	}
#define ETH_TYPE(t)                                 \
	{                                           \
		.kind = LAYER_ETHERNET, .type = (t) \
	}
#define VLAN                                 \
	{                                    \
		.kind = LAYER_VLAN, .id = 42 \
	}
#define VLAN_TYPE(t)                                      \
	{                                                 \
		.kind = LAYER_VLAN, .id = 42, .type = (t) \
	}
#define VLAN_ID(...)                            \
	{                                       \
		.kind = LAYER_VLAN, __VA_ARGS__ \
	}
#define IP4(...)                                \
	{                                       \
		.kind = LAYER_IPV4, __VA_ARGS__ \
	}
#define IP6(...)                                \
	{                                       \
		.kind = LAYER_IPV6, __VA_ARGS__ \
	}
#define EXT(n, ...)                                                 \
	{                                                           \
		.kind = LAYER_EXTENSION, .number = (n), __VA_ARGS__ \
	}
#define TCP(...)                               \
	{                                      \
		.kind = LAYER_TCP, __VA_ARGS__ \
	}
#define UDP(...)                               \
	{                                      \
		.kind = LAYER_UDP, __VA_ARGS__ \
	}
#define SCTP(...)                               \
	{                                       \
		.kind = LAYER_SCTP, __VA_ARGS__ \
	}
#define ICMP(t, c)                                           \
	{                                                    \
		.kind = LAYER_ICMP, .type = (t), .code = (c) \
	}
#define ICMP6(t, c)                                            \
	{                                                      \
		.kind = LAYER_ICMPV6, .type = (t), .code = (c) \
	}
#define VXLAN(...)                               \
	{                                        \
		.kind = LAYER_VXLAN, __VA_ARGS__ \
	} /* behind UDP(VXLAN_PORT) */
#define GENEVE(...)                               \
	{                                         \
		.kind = LAYER_GENEVE, __VA_ARGS__ \
	} /* behind UDP(GENEVE_PORT) */
#define GRE(...)                               \
	{                                      \
		.kind = LAYER_GRE, __VA_ARGS__ \
	}
#define VXLAN_PORT  .to_port = 4789
#define GENEVE_PORT .to_port = 6081
#define BYTES(n)                                 \
	{                                        \
		.kind = LAYER_BYTES, .size = (n) \
	}
#define TEXT(characters)                                                                             \
	{                                                                                            \
		.kind = LAYER_TEXT, .size = (uint16_t)(sizeof(characters) - 1), .text = (characters) \
	}
#define PADDING(n)                                 \
	{                                          \
		.kind = LAYER_PADDING, .size = (n) \
	} /* behind the end of the IP packet */
#define CUT(n)                                 \
	{                                      \
		.kind = LAYER_CUT, .size = (n) \
	} /* the frame ends after n bytes, whatever headers say */
#define REPLY .reply = true

struct frame {
	uint8_t data[FRAME_MAX];
	size_t size;
};

/* Fails the test where the layers do not fit. */
void packet_build(const struct layer layers[static LAYERS_MAX], struct frame *ret_frame);
