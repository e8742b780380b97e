/* SPDX-License-Identifier: GPL-2.0-only */
/* Parse, second half: ports, TCP flags, ICMP types, and how many wire packets and bytes a super-packet stands for. */
#pragma once

#include "bpf/compat.bpf.h"
#include "bpf/packet.bpf.h"

#define TCP_MIN_SIZE 20
#define UDP_SIZE     8
#define SCTP_SIZE    12
#define ICMP_SIZE    8 /* RFC 792; RFC 4443 messages all have four bytes behind the checksum, too */

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

/* Ports and flags; *ret_header is the transport header's size, 0 where the protocol is not looked into. */
static __always_inline enum verdict parse_transport(struct __sk_buff *skb, const struct cursor *cursor,
                                                    struct packet *packet, __u32 *ret_header)
{
	__u8 space[TCP_MIN_SIZE];
	__u32 room = cursor->end - cursor->offset;
	__u32 need;

	switch (cursor->protocol) {
	case IPPROTO_TCP:
		need = TCP_MIN_SIZE;
		break;
	case IPPROTO_UDP:
		need = UDP_SIZE;
		break;
	case IPPROTO_SCTP:
		need = SCTP_SIZE;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		need = ICMP_SIZE;
		break;
	default:
		*ret_header = 0;
		return VERDICT_OBSERVED;
	}
	if (room < need)
		return VERDICT_MALFORMED;

	/* Every transport header here begins within its first eight bytes; TCP is read further below. */
	const __u8 *head = frame_at(skb, cursor->offset, UDP_SIZE, space);
	if (!head)
		return VERDICT_MALFORMED;

	if (cursor->protocol == IPPROTO_ICMP || cursor->protocol == IPPROTO_ICMPV6) {
		packet->key.port[0] = bpf_htons(head[0]);
		packet->key.port[1] = bpf_htons(icmp_answer(cursor->protocol, head[0], head[1]));
		*ret_header = need;
		return VERDICT_OBSERVED;
	}

	packet->key.port[0] = *(const __be16 *)head;
	packet->key.port[1] = *(const __be16 *)(head + 2);
	*ret_header = need;
	if (cursor->protocol == IPPROTO_UDP) {
		/* Super-packets and jumbograms may leave the length field zero. */
		__u16 length = bpf_ntohs(*(const __be16 *)(head + 4));
		if ((length && length < UDP_SIZE) || (length > room && !cursor->fragmented && !skb->gso_size))
			return VERDICT_MALFORMED;
	} else if (cursor->protocol == IPPROTO_TCP) {
		head = frame_at(skb, cursor->offset, TCP_MIN_SIZE, space);
		if (!head)
			return VERDICT_MALFORMED;
		__u32 size = (head[12] >> 4) * 4;
		if (size < TCP_MIN_SIZE || (size > room && !cursor->fragmented))
			return VERDICT_MALFORMED;
		packet->tcp_flags = head[13];
		*ret_header = size;
	}
	return VERDICT_OBSERVED;
}

/*
 * How many packets, and bytes from the IP header on, a tap on the wire would count: a super-packet is the segments it
 * stands for, each with its own copy of the headers. COUNTED is what gso_segs said, 0 where it said nothing (tap and
 * AF_PACKET senders leave that to the kernel): then the payload tells.
 */
static __always_inline void parse_size(struct __sk_buff *skb, const struct cursor *cursor, __u32 transport,
                                       __u32 counted, struct packet *packet)
{
	__u32 bytes = cursor->end - cursor->network;
	__u32 segment = skb->gso_size;

	packet->packets = counted;
	packet->bytes = bytes;
	if (transport) {
		packet->payload = cursor->offset + transport;
		packet->payload_size = cursor->end > packet->payload ? cursor->end - packet->payload : 0;
	}
	if (!segment || !transport)
		goto out;
	__u32 headers = cursor->offset - cursor->network + transport;
	if (headers >= bytes)
		goto out;
	if (!counted)
		packet->packets = (bytes - headers + segment - 1) / segment;
	if (packet->packets > 1)
		packet->bytes += (__u64)(packet->packets - 1) * headers;
out:
	if (!packet->packets)
		packet->packets = 1;
}
