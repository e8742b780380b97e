/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Parse, third part: ports, TCP flags, ICMP types, and how many wire packets and bytes a super-packet stands for. */
#pragma once

#include "bpf/compat.bpf.h"
#include "bpf/packet.bpf.h"
#include "bpf/tunnel.bpf.h"

#define TCP_MIN_SIZE 20
#define UDP_SIZE     8
#define SCTP_SIZE    12
#define PORTS_MIN_SIZE \
	8           /* no fragment but the last holds less, so all ports and ICMP types are in the first: RFC 791 */
#define ICMP_SIZE 8 /* RFC 792; RFC 4443 messages all have four bytes behind the checksum, too */

/*
 * The ICMP message type that answers TYPE, or CODE where none does. It stands in place of the destination port, and TYPE
 * in place of the source port, so that both directions of an exchange are one flow: the mapping of the Community ID
 * specification v1.
 */
__verified_alone __u32 icmp_answer(__u32 protocol, __u32 type, __u32 code)
{
	if (protocol == IPPROTO_ICMP) {
		switch (type) {
		case 0: /* echo reply */
			return 8;
		case 8: /* echo */
			return 0;
		case 9:  /* router advertisement */
		case 13: /* timestamp */
		case 15: /* information request */
		case 17: /* address mask request */
			return type + 1;
		case 10: /* router solicitation */
		case 14: /* timestamp reply */
		case 16: /* information reply */
		case 18: /* address mask reply */
			return type - 1;
		default:
			return code;
		}
	}
	switch (type) {
	case 128: /* echo request */
	case 130: /* multicast listener query */
	case 133: /* router solicitation */
	case 135: /* neighbor solicitation */
	case 139: /* node information query */
	case 144: /* home agent address discovery request */
		return type + 1;
	case 129: /* echo reply */
	case 131: /* multicast listener report */
	case 134: /* router advertisement */
	case 136: /* neighbor advertisement */
	case 140: /* node information response */
	case 145: /* home agent address discovery reply */
		return type - 1;
	default:
		return code;
	}
}

/*
 * TCP's flags, and the payload behind its options. A first fragment need not hold all of the header: its ports are in any,
 * and without flags it still counts.
 */
static __always_inline enum verdict parse_tcp(struct __sk_buff *skb, struct cursor *cursor, struct packet *packet,
                                              __u32 room)
{
	__u8 space[TCP_MIN_SIZE];
	const __u8 *tcp = room < TCP_MIN_SIZE ? NULL : frame_at(skb, cursor->offset, TCP_MIN_SIZE, space);

	if (!tcp) {
		const __be16 *ports;
		if (!cursor->fragmented || room < PORTS_MIN_SIZE)
			return VERDICT_MALFORMED;
		ports = frame_at(skb, cursor->offset, PORTS_MIN_SIZE, space);
		if (!ports)
			return VERDICT_MALFORMED;
		packet->key.port[0] = ports[0];
		packet->key.port[1] = ports[1];
		return VERDICT_OBSERVED;
	}
	__u32 size = (tcp[12] >> 4) * 4;
	if (size < TCP_MIN_SIZE || (size > room && !cursor->fragmented))
		return VERDICT_MALFORMED;
	packet->key.port[0] = ((const __be16 *)tcp)[0];
	packet->key.port[1] = ((const __be16 *)tcp)[1];
	packet->tcp_flags = tcp[13];
	cursor->transport = size;
	return VERDICT_OBSERVED;
}

static __always_inline enum verdict parse_udp(struct __sk_buff *skb, struct cursor *cursor, struct packet *packet,
                                              __u32 room)
{
	__be16 space[UDP_SIZE / 2];
	const __be16 *udp = room < UDP_SIZE ? NULL : frame_at(skb, cursor->offset, UDP_SIZE, space);
	if (!udp)
		return VERDICT_MALFORMED;

	/* Super-packets and jumbograms may leave the length field zero. */
	__u16 length = bpf_ntohs(udp[2]);
	if ((length && length < UDP_SIZE) || (length > room && !cursor->fragmented && !skb->gso_size))
		return VERDICT_MALFORMED;
	packet->key.port[0] = udp[0];
	packet->key.port[1] = udp[1];
	cursor->transport = UDP_SIZE;
	/* The first fragment of a tunnel's packet goes where the later ones go: to the tunnel's own flow. */
	cursor->tunnel = is_tunnel_port(udp[1]) && !cursor->fragmented;
	return VERDICT_OBSERVED;
}

/* The protocols whose first eight bytes are all that is looked at. */
static __always_inline enum verdict parse_other(struct __sk_buff *skb, struct cursor *cursor, struct packet *packet,
                                                __u32 room)
{
	__u8 space[PORTS_MIN_SIZE];
	__u32 need;

	if (cursor->protocol == IPPROTO_SCTP) {
		need = cursor->fragmented ? PORTS_MIN_SIZE : SCTP_SIZE;
	} else if (cursor->protocol == IPPROTO_ICMP || cursor->protocol == IPPROTO_ICMPV6) {
		need = ICMP_SIZE;
	} else {
		cursor->tunnel = is_tunnel_protocol(cursor->protocol) && !cursor->fragmented;
		return VERDICT_OBSERVED;
	}
	const __u8 *head = room < need ? NULL : frame_at(skb, cursor->offset, PORTS_MIN_SIZE, space);
	if (!head)
		return VERDICT_MALFORMED;
	if (cursor->protocol == IPPROTO_SCTP) {
		packet->key.port[0] = ((const __be16 *)head)[0];
		packet->key.port[1] = ((const __be16 *)head)[1];
		cursor->transport = SCTP_SIZE;
	} else {
		packet->key.port[0] = bpf_htons(head[0]);
		packet->key.port[1] = bpf_htons(icmp_answer(cursor->protocol, head[0], head[1]));
		cursor->transport = ICMP_SIZE;
	}
	return VERDICT_OBSERVED;
}

/*
 * Ports (in the key, as source and destination for the time being) and flags of the transport header at the cursor, and its
 * size, if the protocol is one that is looked into.
 */
static __always_inline enum verdict parse_transport(struct __sk_buff *skb, struct cursor *cursor, struct packet *packet)
{
	__u32 room = cursor->end - cursor->offset;

	if (cursor->protocol == IPPROTO_TCP)
		return parse_tcp(skb, cursor, packet, room);
	if (cursor->protocol == IPPROTO_UDP)
		return parse_udp(skb, cursor, packet, room);
	return parse_other(skb, cursor, packet, room);
}

/*
 * How many packets, and bytes from the IP header on, a tap on the wire would count: a super-packet is the segments it
 * stands for, each with its own copy of the headers. COUNTED is what gso_segs said, 0 where it said nothing (tap and
 * AF_PACKET senders leave that to the kernel): then the payload tells.
 */
static __always_inline void parse_size(struct __sk_buff *skb, const struct cursor *cursor, __u32 counted,
                                       struct packet *packet)
{
	__u32 bytes = cursor->end - cursor->network;

	packet->bytes = bytes;
	if (cursor->transport) {
		packet->payload = cursor->offset + cursor->transport;
		packet->payload_size = cursor->end > packet->payload ? cursor->end - packet->payload : 0;
	}
	if (counted == 1)
		return;
	__u32 headers = cursor->offset - cursor->network + cursor->transport, segment = skb->gso_size;
	if (!segment || !cursor->transport || headers >= bytes)
		return;
	if (!counted)
		packet->packets = (bytes - headers + segment - 1) / segment;
	packet->bytes += (__u64)(packet->packets - 1) * headers;
}
